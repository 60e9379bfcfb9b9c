//! Attestors that contradict themselves: who is told, and what falls with them.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::attest::{Attestation, Attested};
use peer_proto::evidence::{Against, Contradiction};
use peer_proto::group::{GroupId, HolderId, Token};
use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::wire::Frame;

use super::attested::*;
use super::world::*;
use crate::engine::io::Input;
use crate::job::JobState;
use crate::record::{Holding, RecordId, RecordSummary, Scope, Voucher};

/// Two contents of one version that an attestor signed.
fn pair(number: u8, one: &HashList, other: &HashList) -> Contradiction {
    let second = attested(number, Attested { sequence: 2, ..said(number, other) });
    Contradiction::of(attested(number, said(number, one)), second).expect("they differ")
}

fn show(world: &mut World, from: PeerId, pair: &Contradiction) {
    let against = Against::Contradiction(pair.clone());
    world.model(from).session.show_against(against);
    world.pump_and_tell(from);
}

/// The proofs that a peer was told.
fn told(world: &mut World, id: PeerId) -> Vec<Contradiction> {
    let frames = world.model(id).frames.iter();
    let proof = |frame: &Frame| match frame {
        Frame::Against(Against::Contradiction(pair)) => Some(pair.clone()),
        _ => None,
    };
    frames.filter_map(proof).collect()
}

fn files() -> (Arc<HashList>, Arc<HashList>) {
    (file(LEN, 1), altered(LEN, 1, &[3]))
}

#[test]
fn attest_8_an_attestor_that_signs_two_contents_of_one_version_is_proof_against_itself() {
    let truth = file(8 * MIB, 1);
    let wrong = altered(8 * MIB, 1, &[3]);
    let mut world = world(&truth);
    let one = attested(3, said(3, &truth));
    let other = attested(3, Attested { sequence: 2, ..said(3, &wrong) });
    holder(&mut world, 2, &truth, vec![one, other]);
    assert_eq!(fetched(&mut world), (0, 8 * MIB));
    let [(_, reason)] = world.distrusted.as_slice() else { panic!("{:?}", world.distrusted) };
    assert!(reason.contains("two different contents"), "{reason}");
}

#[test]
fn attest_8_a_contradiction_is_passed_on_once_to_members_and_to_those_who_come_later() {
    let (truth, wrong) = files();
    let mut world = world(&truth);
    let from = holder(&mut world, 2, &truth, Vec::new());
    let member = holder(&mut world, 4, &truth, Vec::new());
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    let pair = pair(3, &truth, &wrong);
    show(&mut world, from, &pair);
    show(&mut world, from, &pair);
    let [(fallen, why)] = world.distrusted.as_slice() else { panic!("{:?}", world.distrusted) };
    assert_eq!((*fallen, why.contains("two different contents")), (HolderId([3; 16]), true));
    assert_eq!(told(&mut world, member), std::slice::from_ref(&pair));
    assert_eq!((told(&mut world, from), told(&mut world, stranger)), (Vec::new(), Vec::new()));
    let late = holder(&mut world, 5, &truth, Vec::new());
    assert_eq!(told(&mut world, late), std::slice::from_ref(&pair));
    // What was kept of an earlier run is passed on, too.
    let mut later = node(&truth, MEMBER, &crate::job::Policy::default(), crate::job::PeerFlags::BOTH);
    later.tell(Input::DistrustFound {
        group: Some(pair.group()),
        holder: HolderId([3; 16]),
        proof: Some(pair.clone()),
    });
    let late = holder(&mut later, 5, &truth, Vec::new());
    assert_eq!(told(&mut later, late), [pair]);
}

#[test]
fn attest_8_whoever_passes_on_what_no_attestor_signed_is_left_alone_for_a_while_and_frames_nobody() {
    let (truth, wrong) = files();
    let mut world = world(&truth);
    let from = holder(&mut world, 2, &truth, Vec::new());
    let member = holder(&mut world, 4, &truth, Vec::new());
    // A member's own key under the attestor's token.
    let token = Token::grant(&group(), &wish(3, peer_proto::group::Roles::ATTEST));
    let forged = Attestation::sign(&key(2), &token, said(3, &wrong)).expect("fit");
    let forged = Contradiction::of(attested(3, said(3, &truth)), forged).expect("they differ");
    show(&mut world, from, &forged);
    assert_eq!((world.distrusted.len(), told(&mut world, member).len()), (0, 0));
    assert_eq!(world.disconnected, [from]);
    // Another group's quarrels are none of ours.
    let elsewhere = Attested { group: peer_proto::group::GroupId([1; 16]), ..said(3, &wrong) };
    let first = attested(3, Attested { content: truth.content(), ..elsewhere.clone() });
    let other = Contradiction::of(first, attested(3, elsewhere)).expect("they differ");
    show(&mut world, member, &other);
    assert_eq!((world.distrusted.len(), world.disconnected.len()), (0, 1));
}

#[test]
fn attest_8_what_rested_on_an_attestor_that_falls_in_the_middle_of_a_file_comes_from_the_origin() {
    let (truth, wrong) = files();
    for fallen in [3, 4] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
        world.model(id).pace = Pace::steady(10_000_000);
        world.submit(spec(&[]));
        world.run_for(2_000);
        let before = world.view().bytes.peers;
        assert!(before > MIB, "{}", why(&world));
        show(&mut world, id, &pair(fallen, &truth, &wrong));
        let (peers, origin) = fetched(&mut world);
        match fallen {
            3 => assert!(peers <= before + MIB && origin >= LEN, "{peers} {origin}: {}", why(&world)),
            _ => assert!(peers > LEN * 98 / 100, "somebody else fell: {peers}"),
        }
    }
}

pub(super) fn record(list: &HashList, vouched: &[u8]) -> RecordSummary {
    let voucher = |number: &u8| Voucher {
        group: Some(GroupId::of(&group().public_key()).0),
        holder: [*number; 16],
        statement: attested(*number, said(*number, list)).id(),
    };
    RecordSummary {
        id: RecordId([7; 16]),
        content: list.content(),
        digests: vec![sha256()],
        holding: Holding::Whole,
        scope: Scope::Shareable,
        served: true,
        last_used_unix_s: NOW.cast_signed(),
        vouched: vouched.iter().map(voucher).collect(),
    }
}

#[test]
fn attest_8_what_the_cache_has_on_the_word_of_a_fallen_attestor_alone_goes() {
    let (truth, wrong) = files();
    for (vouched, goes) in [(vec![3], 1), (vec![3, 4], 0), (vec![4], 0), (vec![], 0)] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, Vec::new());
        world.tell(Input::RecordHeld(record(&truth, &vouched)));
        show(&mut world, id, &pair(3, &truth, &wrong));
        let dropped = |world: &World| world.effects.iter().filter(|name| *name == "DropRecord").count();
        assert_eq!(dropped(&world), goes, "{vouched:?}");
        // Found when the node starts again, it goes as well.
        world.tell(Input::RecordHeld(record(&truth, &vouched)));
        assert_eq!(dropped(&world), 2 * goes, "{vouched:?}");
    }
}

#[test]
fn attest_8_a_file_says_on_whose_word_it_is_kept_if_anything_of_it_rests_on_one() {
    let truth = file(LEN, 1);
    let mut peers = world(&truth);
    let one = attested(3, said(3, &truth));
    holder(&mut peers, 2, &truth, vec![one.clone()]);
    fetched(&mut peers);
    assert_eq!(
        peers.kept_vouched,
        [Voucher { group: Some(one.said().group.0), holder: [3; 16], statement: one.id() }]
    );
    let mut named = world(&truth);
    holder(&mut named, 2, &truth, vec![one]);
    named.submit(spec(&[root_digest(&truth)]));
    named.run(Duration::from_secs(60));
    assert_eq!((named.state(), named.kept), (JobState::Acknowledged, 1));
    assert!(named.kept_vouched.is_empty(), "the digest proves it");
    let mut alone = world(&truth);
    fetched(&mut alone);
    assert!(alone.kept == 1 && alone.kept_vouched.is_empty(), "every byte is the origin's");
}

#[test]
fn attest_8_a_file_that_waits_to_be_taken_is_fetched_again_when_its_attestor_falls() {
    let (truth, wrong) = (file(8 * MIB, 1), altered(8 * MIB, 1, &[3]));
    for (fallen, again) in [(3, true), (4, false)] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &wrong, vec![attested(3, said(3, &wrong))]);
        world.submit(crate::job::JobSpec { auto_complete: false, ..spec(&[]) });
        world.run_until(60_000, |world| world.state() == JobState::Transferred);
        assert!(world.view().bytes.peers > 0, "{}", why(&world));
        show(&mut world, id, &pair(fallen, &truth, &wrong));
        world.run_for(1_000);
        world.run_until(120_000, |world| world.state() == JobState::Transferred);
        assert_eq!(world.state(), JobState::Transferred, "{}", world.view().reason);
        let disk: Vec<_> = world.disk.values().copied().collect();
        let (old, new) = (wrong.values().to_vec(), truth.values().to_vec());
        assert_eq!(disk, if again { new } else { old }, "{fallen}: {}", why(&world));
    }
}

#[test]
fn attest_5_a_second_job_for_what_attestors_vouch_for_copies_it_from_this_machines_cache_and_audits_it() {
    let truth = file(LEN, 1);
    let one = attested(3, said(3, &truth));
    let mut world = world(&truth);
    world.tell(Input::AttestationFound(one.clone()));
    world.tell(Input::RecordHeld(record(&truth, &[3])));
    world.cache = Some((Arc::clone(&truth), u64::MAX));
    let (peers, origin) = fetched(&mut world);
    let (cache, audit) = (world.view().bytes.cache, 5 * 65_536..=7 * 65_536);
    assert!(
        peers == 0 && audit.contains(&origin) && cache + origin == LEN,
        "{cache} {origin}: {}",
        why(&world)
    );
    assert_eq!(
        world.kept_vouched,
        [Voucher { group: Some(one.said().group.0), holder: [3; 16], statement: one.id() }]
    );
    // What the origin contradicts is not used.
    let wrong = altered(LEN, 1, &(0..1_024).collect::<Vec<u32>>());
    let mut world = node(&truth, MEMBER, &crate::job::Policy::default(), crate::job::PeerFlags::BOTH);
    world.tell(Input::AttestationFound(attested(3, said(3, &wrong))));
    world.tell(Input::RecordHeld(record(&wrong, &[3])));
    world.cache = Some((wrong, u64::MAX));
    let (_, origin) = fetched(&mut world);
    assert!(origin >= LEN && world.distrusted.len() == 1, "{}", why(&world));
}
