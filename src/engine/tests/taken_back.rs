//! What attestors signed and somebody takes back.

use std::time::Duration;

use peer_proto::attest::{Attestation, Attested};
use peer_proto::content::Hash;
use peer_proto::evidence::Against;
use peer_proto::group::{DenyList, GroupId, HolderId, Roles, Token};
use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::void::{Void, Voided};
use peer_proto::wire::Frame;

use super::attested::*;
use super::fallen::record;
use super::world::*;
use crate::engine::io::Input;
use crate::engine::void::{VOIDS_MAX, VOIDS_OF_ONE_MAX};
use crate::job::{JobId, JobSpec, JobState, PeerFlags, Policy, TrustFloor};

fn voided(holder: u8, statement: Hash) -> Voided {
    Voided {
        group: GroupId::of(&group().public_key()),
        holder: HolderId([holder; 16]),
        statement,
        sequence: 1,
        not_after: NOW + DAY,
        reason: "it was read wrong".into(),
    }
}

/// What an attestor signed, taken back by itself.
fn by_itself(number: u8, one: &Attestation) -> Void {
    let token = Token::grant(&group(), &wish(number, Roles::ATTEST));
    Void::sign(&key(number), Some(&token), voided(number, one.id())).expect("fit")
}

fn show(world: &mut World, from: PeerId, void: &Void) {
    world.model(from).session.show_against(Against::Void(void.clone()));
    world.pump_and_tell(from);
}

/// The voids that a peer was told.
fn told(world: &mut World, id: PeerId) -> Vec<Void> {
    let void = |frame: &Frame| match frame {
        Frame::Against(Against::Void(void)) => Some(void.clone()),
        _ => None,
    };
    world.model(id).frames.iter().filter_map(void).collect()
}

#[test]
fn attest_9_what_is_taken_back_in_the_middle_of_a_file_comes_from_the_origin_and_counts_no_more() {
    let truth = file(LEN, 1);
    let one = attested(3, said(3, &truth));
    let groups = Void::sign(&group(), None, voided(3, one.id())).expect("fit");
    let other = attested(3, Attested { sequence: 7, ..said(3, &truth) });
    for (word, void, counts) in [
        ("by itself", by_itself(3, &one), true),
        ("by the group's key", groups, true),
        ("by another attestor, in its own name", by_itself(4, &one), false),
        ("something else", by_itself(3, &other), false),
    ] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, vec![one.clone()]);
        world.model(id).pace = Pace::steady(10_000_000);
        world.submit(spec(&[]));
        world.run_for(2_000);
        let before = world.view().bytes.peers;
        assert!(before > MIB, "{}", why(&world));
        show(&mut world, id, &void);
        let (peers, origin) = fetched(&mut world);
        match counts {
            true => assert!(peers <= before + MIB && origin >= LEN, "{word}: {peers} {}", why(&world)),
            false => assert!(peers > LEN * 98 / 100, "{word}: {peers}"),
        }
        assert_eq!((world.distrusted.len(), world.voids.len()), (0, 1), "{word}: nobody fell");
    }
}

/// Three are asked for, and these vouch.
fn wanted_of_three(
    by: std::ops::Range<u8>,
    truth: &std::sync::Arc<HashList>,
    auto_complete: bool,
) -> (World, PeerId) {
    let mut world = world(truth);
    let said = by.map(|number| attested(number, said(number, truth))).collect();
    let id = holder(&mut world, 2, truth, said);
    world.submit(JobSpec { trust: TrustFloor::AttestedByThree, auto_complete, ..spec(&[]) });
    (world, id)
}

#[test]
fn attest_9_and_attest_10_who_takes_his_word_back_falls_out_of_the_number_that_is_asked_for() {
    let truth = file(LEN, 1);
    for (by, is_enough) in [(3..6, false), (3..7, true)] {
        let (mut world, id) = wanted_of_three(by.clone(), &truth, true);
        world.model(id).pace = Pace::steady(10_000_000);
        world.run_for(2_000);
        let before = world.view().bytes.peers;
        assert!(before > MIB && world.view().trust.starts_with("level 2"), "{}", why(&world));
        show(&mut world, id, &by_itself(3, &attested(3, said(3, &truth))));
        let (peers, origin) = fetched(&mut world);
        match is_enough {
            true => assert!(peers > LEN * 98 / 100, "{by:?}: {peers} {}", why(&world)),
            false => assert!(peers <= before + MIB && origin >= LEN, "{by:?}: {peers} {}", why(&world)),
        }
    }
}

#[test]
fn attest_9_and_attest_10_a_file_that_waits_to_be_taken_is_fetched_again_when_fewer_vouch_than_are_asked_for()
{
    let truth = file(8 * MIB, 1);
    for (by, is_enough) in [(3..6, false), (3..7, true)] {
        let (mut world, id) = wanted_of_three(by.clone(), &truth, false);
        world.run_until(60_000, |world| world.state() == JobState::Transferred);
        assert!(world.view().bytes.origin < MIB, "the audit: {}", why(&world));
        show(&mut world, id, &by_itself(3, &attested(3, said(3, &truth))));
        world.run_for(1_000);
        world.run_until(120_000, |world| world.state() == JobState::Transferred);
        assert_eq!(world.view().bytes.origin < MIB, is_enough, "{by:?}: {}", why(&world));
    }
}

#[test]
fn d25_an_attestation_that_was_taken_back_before_a_job_began_brings_it_no_byte_whoever_shows_it() {
    let truth = file(LEN, 1);
    let one = attested(3, said(3, &truth));
    let other = attested(3, Attested { sequence: 7, ..said(3, &truth) });
    for (word, void, counts) in
        [("it", by_itself(3, &one), true), ("another one", by_itself(3, &other), false)]
    {
        let mut world = world(&truth);
        let told_by = holder(&mut world, 4, &truth, Vec::new());
        show(&mut world, told_by, &void);
        // He never heard of it, and shows what he was given.
        holder(&mut world, 2, &truth, vec![one.clone()]);
        let (peers, origin) = fetched(&mut world);
        match counts {
            true => assert_eq!((peers, origin), (0, LEN), "{word}: {}", why(&world)),
            false => assert!(peers > LEN * 98 / 100, "{word}: {peers} {}", why(&world)),
        }
    }
}

#[test]
fn attest_9_a_void_is_passed_on_once_and_holds_whatever_is_said_later() {
    let truth = file(8 * MIB, 1);
    let one = attested(3, said(3, &truth));
    let void = by_itself(3, &one);
    let mut world = world(&truth);
    let from = holder(&mut world, 2, &truth, vec![one.clone()]);
    let member = holder(&mut world, 4, &truth, Vec::new());
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    let again = Void::sign(&group(), None, Voided { sequence: 0, ..voided(3, one.id()) }).expect("fit");
    for void in [&void, &void, &again] {
        show(&mut world, from, void);
    }
    assert_eq!(told(&mut world, member), std::slice::from_ref(&void));
    assert_eq!((told(&mut world, from), told(&mut world, stranger)), (Vec::new(), Vec::new()));
    let late = holder(&mut world, 5, &truth, vec![one.clone()]);
    assert_eq!(told(&mut world, late), std::slice::from_ref(&void));
    assert_eq!(fetched(&mut world), (0, 8 * MIB), "the record shows up again and counts no more");
    // Nor after a restart.
    let mut later = node(&truth, MEMBER, &Policy::default(), PeerFlags::BOTH);
    later.tell(Input::VoidFound(void));
    holder(&mut later, 2, &truth, vec![one]);
    assert_eq!(fetched(&mut later), (0, 8 * MIB));
}

#[test]
fn attest_9_who_takes_back_what_he_may_not_has_broken_the_protocol() {
    let truth = file(8 * MIB, 1);
    let one = attested(3, said(3, &truth));
    let token = Token::grant(&group(), &wish(3, Roles::ATTEST));
    let in_its_name = Void::sign(&key(2), Some(&token), voided(3, one.id())).expect("fit");
    let no_key = Void::sign(&key(2), None, voided(3, one.id())).expect("fit");
    for void in [in_its_name, no_key] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, vec![one.clone()]);
        show(&mut world, id, &void);
        assert_eq!((world.voids.len(), &world.disconnected), (0, &vec![id]));
    }
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, vec![one.clone()]);
    let over = Voided { not_after: NOW - 1, ..voided(3, one.id()) };
    let elsewhere = Voided { group: GroupId([1; 16]), ..voided(3, one.id()) };
    for said in [over, elsewhere] {
        let token = Token::grant(&group(), &wish(3, Roles::ATTEST));
        show(&mut world, id, &Void::sign(&key(3), Some(&token), said).expect("fit"));
    }
    assert_eq!((world.voids.len(), world.disconnected.len()), (0, 0), "of no use, and nobody's fault");
}

#[test]
fn attest_9_and_group_6_the_cache_lets_go_of_what_was_taken_back_or_comes_from_who_is_denied() {
    let truth = file(LEN, 1);
    let dropped = |world: &World| world.effects.iter().filter(|name| *name == "DropRecord").count();
    for number in [3, 4] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, Vec::new());
        world.tell(Input::RecordHeld(record(&truth, &[3])));
        show(&mut world, id, &by_itself(number, &attested(number, said(number, &truth))));
        assert_eq!(dropped(&world), usize::from(number == 3), "taken back by {number}");
        let mut world = node(&truth, MEMBER, &Policy::default(), PeerFlags::BOTH);
        world.tell(Input::RecordHeld(record(&truth, &[3])));
        let mut config = only(&member_config().groups);
        config.denied = DenyList::sign(&group(), 1, [HolderId([number; 16])].into());
        world.tell(Input::GroupsChanged(Some(config).into()));
        assert_eq!(dropped(&world), usize::from(number == 3), "{number} is denied");
    }
}

#[test]
fn attest_9_voids_are_bounded_for_each_holder_and_in_all_and_go_when_their_time_is_over() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, Vec::new());
    let many = |holder: u8, count: u64| {
        let said = move |number: u64| {
            let statement =
                Hash(*blake3::hash(&[number.to_be_bytes().to_vec(), vec![holder]].concat()).as_bytes());
            Voided { not_after: NOW + number, ..voided(holder, statement) }
        };
        (1..=count).map(move |number| Void::sign(&group(), None, said(number)).expect("fit"))
    };
    for void in many(3, 100) {
        show(&mut world, id, &void);
    }
    assert_eq!(world.voids.len(), VOIDS_OF_ONE_MAX);
    assert!(world.voids.iter().all(|void| void.said().not_after > NOW + 36), "those that end first go");
    for holder in 4..24 {
        many(holder, 60).for_each(|void| world.tell(Input::VoidFound(void)));
    }
    let dropped = world.effects.iter().filter(|name| *name == "DropVoid").count();
    assert_eq!(dropped, 36 + (64 + 20 * 60 - VOIDS_MAX));
    let old = Void::sign(&group(), None, Voided { not_after: NOW - 1, ..voided(3, Hash([1; 32])) });
    world.tell(Input::VoidFound(old.expect("fit")));
    assert_eq!(world.effects.iter().filter(|name| *name == "DropVoid").count(), dropped + 1);
}

/// An attestor that attested one content and then reads another one under the same version.
fn read_again(list: &std::sync::Arc<HashList>, later: &std::sync::Arc<HashList>) -> World {
    let mut world = node(list, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    fetched(&mut world);
    assert_eq!(world.attested.len(), 1);
    (world.origin.serves, world.truth) = (later.clone(), later.clone());
    world.disk.clear();
    let file = JobSpec { name: "again".into(), ..JobSpec::for_file(URL, "/tmp/again") };
    let spec = Box::new(JobSpec { flags: PeerFlags::BOTH, auto_complete: true, ..file });
    let job = JobId([8; 16]);
    world.tell(Input::Submit { job, spec, by: ME, start: true });
    world.run_for(60_000);
    assert_eq!(world.engine.job_view(job).expect("known").state, JobState::Acknowledged);
    world
}

#[test]
fn attest_9_an_attestor_that_reads_other_bytes_under_the_same_version_takes_back_what_it_said() {
    let truth = file(8 * MIB, 1);
    let world = read_again(&truth, &altered(8 * MIB, 1, &[3]));
    let [void] = world.voids.as_slice() else { panic!("{:?}", world.voids) };
    assert_eq!(void.said().statement, world.attested[0].id());
    assert_eq!(
        (world.attested.len(), world.distrusted.len()),
        (1, 0),
        "it says nothing more of that version"
    );
    let void = void.check(&group().public_key(), NOW);
    assert_eq!(void, Ok(()));
    let world = read_again(&truth, &truth);
    assert_eq!((world.voids.len(), world.attested.len()), (0, 2), "it stands by what it said");
}

#[test]
fn attest_9_an_attestor_whose_own_word_fails_its_audit_takes_it_back() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &(0..1_024).collect::<Vec<u32>>());
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    world.tell(Input::AttestationFound(attested(1, said(1, &wrong))));
    holder(&mut world, 2, &wrong, Vec::new());
    world.submit(spec(&[]));
    world.run(Duration::from_secs(120));
    assert_eq!((world.voids.len(), world.distrusted.len()), (1, 0), "{}", why(&world));
    assert!(why(&world).contains("what this node attested is taken back"), "{}", why(&world));
    assert_eq!(world.state(), JobState::Acknowledged);
}

#[test]
fn attest_9_a_void_of_an_earlier_run_counts_to_its_last_second_and_makes_room_after_it() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    let one = |number| attested(number, said(number, &truth));
    let until = |number: u8, not_after| {
        let said = Voided { not_after, ..voided(number, one(number).id()) };
        Void::sign(&group(), None, said).expect("fit")
    };
    let counts = |world: &World, number: u8| {
        let said = one(number).said().clone();
        world.engine.core.attests.voids.has(one(number).id(), (said.group, said.holder))
    };
    for (number, not_after) in [(3, NOW - 1), (4, NOW), (5, NOW + 9)] {
        world.tell(Input::VoidFound(until(number, not_after)));
    }
    assert_eq!([3, 4, 5].map(|number| counts(&world, number)), [false, true, true]);
    world.run_for(1_010);
    world.tell(Input::VoidFound(until(6, NOW + 9)));
    assert_eq!(
        [4, 5, 6].map(|number| counts(&world, number)),
        [false, true, true],
        "what is over goes first"
    );
}

#[test]
fn attest_9_an_attestor_takes_back_what_it_signed_itself_and_nothing_else() {
    let truth = file(MIB, 1);
    for (roles, voids) in [(Roles::ATTEST, 1), (MEMBER, 0)] {
        let mut world = node(&truth, roles, &Policy::default(), PeerFlags::BOTH);
        let all = [1, 3].map(|number| attested(number, said(number, &truth)));
        all.iter().for_each(|one| world.tell(Input::AttestationFound(one.clone())));
        let own = |world: &World| {
            let views = world.engine.attestations();
            views.into_iter().filter(|view| view.is_own).map(|view| view.id).collect::<Vec<_>>()
        };
        assert_eq!(own(&world).len(), voids);
        let statements = all.iter().map(|one| one.id().to_string()).collect();
        world.tell(Input::TakeBack { statements, reason: "it was read wrong".into() });
        assert_eq!(world.voids.len(), voids);
        assert!(world.voids.iter().all(|void| void.said().statement == all[0].id()));
    }
}
