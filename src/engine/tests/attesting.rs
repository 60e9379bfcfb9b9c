//! Attestors: what they attest, what they and members tell, and what becomes of belief in the middle of a file.

use std::time::Duration;

use peer_proto::attest::{Attestation, Attested};
use peer_proto::content::PieceIndex;
use peer_proto::group::{EpochSecret, Roles, Token, Wish};
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::wire::{AttestWant, Frame};

use super::attested::*;
use super::world::*;
use crate::engine::file::JobFile;
use crate::engine::io::{Input, JobCommand, PartFound};
use crate::job::{Header, Headers, JobChange, JobSpec, JobState, PeerFlags, Policy, TrustFloor};

/// An attestor that read a file whole from its origin, if it attested that.
fn made(change: impl FnOnce(&mut World, &mut JobSpec), policy: &Policy, roles: Roles) -> Vec<Attestation> {
    let truth = file(8 * MIB, 1);
    let mut world = node(&truth, roles, policy, PeerFlags::BOTH);
    let mut spec = spec(&[]);
    change(&mut world, &mut spec);
    world.submit(spec);
    world.run(Duration::from_secs(60));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    world.attested
}

#[test]
fn attest_2_an_attestor_says_what_it_read_itself_and_only_what_is_fit() {
    let usual = Policy::default();
    let one = made(|_, _| {}, &usual, Roles::ATTEST);
    let [one] = one.as_slice() else { panic!("{one:?}") };
    let said = one.said();
    assert_eq!((said.url.as_str(), said.content), (URL, file(8 * MIB, 1).content()));
    assert_eq!((said.sha256, said.anchor, said.not_after - said.fetched_at), ([0x5a; 32], [5; 32], 7 * DAY));
    let own_root = |world: &mut World, _: &mut JobSpec| world.origin.footing.is_own_anchor = true;
    let named = Policy { attest_hosts: Some(vec!["example.org".into()]), ..Policy::default() };
    let other = Policy { attest_hosts: Some(vec!["example.com".into()]), ..Policy::default() };
    let shareable = |_: &mut World, spec: &mut JobSpec| {
        spec.files[0].url.push_str("?q=1");
        spec.shareable = true;
    };
    assert_eq!(made(own_root, &named, Roles::ATTEST).len(), 1);
    assert_eq!(made(shareable, &usual, Roles::ATTEST).len(), 1);
    for (word, count) in [
        ("no attestor", made(|_, _| {}, &usual, MEMBER).len()),
        ("a root of its own", made(own_root, &usual, Roles::ATTEST).len()),
        ("a root of its own for another host", made(own_root, &other, Roles::ATTEST).len()),
        ("a query", made(|_, spec| spec.files[0].url.push_str("?q=1"), &usual, Roles::ATTEST).len()),
        ("http", made(|world, _| world.origin.footing.secure = false, &usual, Roles::ATTEST).len()),
        ("private", made(|world, _| world.origin.public = false, &usual, Roles::ATTEST).len()),
        ("varies", made(|world, _| world.origin.footing.varies = true, &usual, Roles::ATTEST).len()),
        ("not served", made(|_, spec| spec.flags.server = false, &usual, Roles::ATTEST).len()),
        ("no strong version", made(|world, _| world.origin.version.etag = None, &usual, Roles::ATTEST).len()),
        (
            "header lines",
            made(
                |_, spec| spec.headers = Headers(vec![Header { name: "X-Key".into(), value: "7".into() }]),
                &usual,
                Roles::ATTEST,
            )
            .len(),
        ),
    ] {
        assert_eq!(count, 0, "{word}");
    }
}

#[test]
fn attest_13_what_peers_gave_is_never_attested() {
    let truth = file(8 * MIB, 1);
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    let (peers, _) = fetched(&mut world);
    assert!(peers > 0);
    let mine = world.attested.iter().filter(|one| one.said().peer == key(1).peer());
    assert_eq!(mine.count(), 0);
}

#[test]
fn attest_6_a_wrong_clock_is_put_right_by_the_origins_date() {
    let truth = file(8 * MIB, 1);
    for days in [-400_i64, 400] {
        let mut world = world(&truth);
        // The origin's date is the true one; everything that was signed is of that time.
        let then = NOW.cast_signed() + days * DAY.cast_signed();
        world.origin.footing.date_unix_s = Some(then);
        let at = u64::try_from(then).expect("after 1970");
        let fit = Attested { fetched_at: at - 600, not_after: at + DAY, ..said(3, &truth) };
        let wish = Wish { not_before: at - DAY, not_after: at + 5 * DAY, ..wish(3, Roles::ATTEST) };
        let one = Attestation::sign(&key(3), &Token::grant(&group(), &wish), fit).expect("fit");
        holder(&mut world, 2, &truth, vec![one]);
        let (peers, _) = fetched(&mut world);
        assert!(peers > 0, "{days} days: {}", why(&world));
    }
}

#[test]
fn group_3_a_member_that_asks_is_told_what_attestors_said_and_a_stranger_is_not() {
    let truth = file(8 * MIB, 1);
    let url_version = version("a", Some(8 * MIB));
    let id = peer_proto::attest::attested_id(&EpochSecret([7; 32]), URL, &url_version);
    for (flags, told) in [(PeerFlags::BOTH, 1), (PeerFlags { client: true, server: false }, 0)] {
        let mut world = node(&truth, MEMBER, &Policy::default(), flags);
        world.tell(Input::AttestationFound(attested(3, said(3, &truth))));
        let member = holder(&mut world, 2, &truth, Vec::new());
        let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
        assert_eq!(world.model(member).session.want_attestations(id), Some(1));
        world.pump_and_tell(member);
        let frame = Frame::AttestWant(AttestWant { number: 1, id });
        world.tell(Input::FrameReceived { peer: stranger, frame });
        let shown = |world: &mut World, id| {
            let frames = world.model(id).frames.clone();
            frames.into_iter().find_map(|frame| match frame {
                Frame::Attestations(answer) => Some(answer.list.len()),
                _ => None,
            })
        };
        assert_eq!(shown(&mut world, member), Some(told));
        assert_eq!(shown(&mut world, stranger), None);
    }
}

#[test]
fn attest_6_what_was_over_long_ago_is_let_go_of_when_the_node_starts() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    for (days, dropped) in [(1, 0), (20, 1)] {
        let old = Attested { not_after: NOW - days * DAY, ..said(3, &truth) };
        world.tell(Input::AttestationFound(attested(3, old)));
        assert_eq!(world.effects.iter().filter(|name| *name == "DropAttestation").count(), dropped);
    }
}

#[test]
fn trust_11_a_digest_that_the_origin_states_later_takes_the_place_of_an_attestors_word() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    world.model(id).pace = Pace::steady(50_000);
    world.submit(spec(&[]));
    world.run_for(5_000);
    assert!(world.view().trust.starts_with("level 1"), "{}", world.view().trust);
    // It is asked again after ten minutes at the latest, and states one now.
    world.origin.digests = vec![sha256()];
    world.model(id).pace = Pace::steady(110_000);
    world.run(Duration::from_secs(1_200));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(world.view().trust.starts_with("level 3 (digest)"), "{}", world.view().trust);
}

#[test]
fn a_thousand_attestations_are_kept_and_those_that_end_first_go() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    for number in 0..1_100_u64 {
        let fit = Attested { not_after: NOW + number, url: format!("{URL}{number}"), ..said(3, &truth) };
        world.tell(Input::AttestationFound(attested(3, fit)));
    }
    let dropped = world.effects.iter().filter(|name| *name == "DropAttestation").count();
    assert_eq!(dropped, 1_100 - crate::engine::attest::ATTESTATIONS_MAX);
}

/// A node in the middle of a file of 64 MiB that holder 3 vouches for and a member gives at 10 MB/s.
fn halfway(vouched: Attested) -> World {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, vec![attested(3, vouched)]);
    world.model(id).pace = Pace::steady(10_000_000);
    world.submit(spec(&[]));
    world.run_for(2_000);
    assert!(world.view().bytes.peers > MIB, "{}", why(&world));
    world
}

#[test]
fn trust_a_floor_that_is_raised_in_the_middle_of_a_file_holds_for_the_rest_of_it() {
    for floor in [TrustFloor::AttestedTwice, TrustFloor::Digest, TrustFloor::Origin] {
        let mut world = halfway(said(3, &file(LEN, 1)));
        let before = world.view().bytes.peers;
        world.command(JobCommand::Change(Box::new(JobChange { trust: Some(floor), ..JobChange::default() })));
        let (peers, origin) = fetched(&mut world);
        assert!(peers <= before + MIB, "{floor}: {peers} of {before}");
        assert!(origin >= LEN, "{floor}: what rested on one attestor comes from the origin");
        let bytes = world.view().bytes;
        assert_eq!(bytes.kept(), LEN, "{floor}: what was fetched again counts as thrown away: {bytes:?}");
    }
    let mut world = halfway(said(3, &file(LEN, 1)));
    let before = world.view().bytes.peers;
    let policy = Policy { min_trust: Some(TrustFloor::Digest), ..Policy::default() };
    world.tell(Input::PolicyChanged(Box::new(policy.over(&Policy::default()))));
    let (peers, _) = fetched(&mut world);
    assert!(peers <= before + MIB, "the machine's floor: {peers} of {before}");
}

#[test]
fn attest_5_an_origin_that_goes_in_the_middle_of_a_file_is_waited_for_before_it_is_sealed() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    world.model(id).pace = Pace::steady(100_000);
    world.submit(spec(&[]));
    world.run_for(2_000);
    assert!(world.view().trust.starts_with("level 1"), "{}", world.view().trust);
    // Long enough that the origin's word is old by the time the last piece comes.
    world.run_for(650_000);
    world.origin.fault = Some(transient("no answer", None));
    world.run_for(100_000);
    assert_eq!(world.delivered, 0, "{}", why(&world));
    assert_eq!(world.state(), JobState::TransientError, "{}", world.view().reason);
    world.origin.fault = None;
    world.run(Duration::from_secs(1_200));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn attest_11_a_file_that_waits_for_its_audit_only_says_that_it_waits_for_the_origin() {
    let truth = file(LEN, 1);
    for (fault, state) in
        [(transient("busy", Some(503)), JobState::TransientError), (fatal("gone"), JobState::Error)]
    {
        let mut world = world(&truth);
        holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
        world.submit(spec(&[]));
        // It is asked for its version, answers, and gives not a byte.
        world.run_until(60_000, |world| world.view().trust.starts_with("level 1"));
        world.origin.fault = Some(fault);
        world.run_for(60_000);
        assert_eq!(world.state(), state, "{}\n{}", world.view().reason, why(&world));
        assert_eq!(world.delivered, 0);
    }
}

#[test]
fn attest_6_a_word_whose_time_ends_on_the_way_is_not_sealed_on() {
    let truth = file(LEN, 1);
    let soon = Attested { not_after: NOW + 5, ..said(3, &truth) };
    let mut world = halfway(soon);
    let (peers, origin) = fetched(&mut world);
    assert!(peers > 0 && origin >= LEN, "{peers} {origin}: {}", why(&world));
}

#[test]
fn attest_11_an_honest_attestor_is_not_blamed_for_what_another_root_left_in_the_part() {
    let truth = file(8 * MIB, 1);
    let wrong = altered(8 * MIB, 1, &[3]);
    let mut world = world(&truth);
    // An earlier run believed somebody else: a false piece is on the disk, and counted as proved.
    let values = wrong.values()[..8].to_vec();
    world.disk = (0..8).zip(values.iter().copied()).collect();
    let run = PieceRun { first: PieceIndex(0), values, standing: Standing::Proved };
    world.found = PartFound { version: Some(world.origin.version.clone()), runs: vec![run] };
    // The honest one's word is known, and nobody here has the file.
    world.tell(Input::AttestationFound(attested(3, said(3, &truth))));
    let (peers, _) = fetched(&mut world);
    assert_eq!((peers, world.distrusted.len()), (0, 0), "{}", why(&world));
}

#[test]
fn attest_13_what_a_mirror_gave_is_not_attested_under_its_url() {
    let truth = file(8 * MIB, 1);
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    let mut spec = spec(&[]);
    spec.files[0].mirrors = vec!["https://mirror.example.org/file".into()];
    world.origin.fault = Some(fatal("gone"));
    world.submit(spec);
    world.run_until(500, |world| world.origin.probes > 0);
    world.origin.fault = None;
    world.run(Duration::from_secs(60));
    assert_eq!(world.attested.len(), 0, "{}", why(&world));
}

#[test]
fn attest_11_however_many_have_the_file_one_piece_is_read_to_check_their_attestor() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    for number in 10..40 {
        holder(&mut world, number, &truth, vec![attested(3, said(3, &truth))]);
    }
    let (_, origin) = fetched(&mut world);
    assert!(origin >= 65_536, "{}", why(&world));
}

#[test]
fn attest_2_that_this_node_attests_a_file_stands_among_the_files_decisions() {
    let truth = file(8 * MIB, 1);
    for (roles, says) in [(Roles::ATTEST, true), (MEMBER, false)] {
        let mut world = node(&truth, roles, &Policy::default(), PeerFlags::BOTH);
        fetched(&mut world);
        assert_eq!(why(&world).contains("this node attests it to its group"), says);
    }
}

#[test]
fn attest_5_what_is_on_disk_tells_whether_attestors_are_right_only_if_it_is_of_their_version() {
    let is_it = |change: fn(&mut JobFile)| {
        let truth = file(LEN, 1);
        let mut world = world(&truth);
        holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
        world.submit(spec(&[]));
        world.run_for(500);
        let file = world.engine.files.values_mut().next().expect("on its way");
        change(file);
        file.is_of_vouched_version()
    };
    assert!(is_it(|_| {}));
    assert!(!is_it(|file| file.reset_to = Some(version("a", Some(LEN)))), "it is being emptied");
    assert!(!is_it(|file| file.pinned = Some(version("b", Some(LEN)))), "of another one");
    assert!(!is_it(|file| file.pinned = None), "of nobody knows which");
    assert!(!is_it(|file| file.vouched = None), "nobody vouches");
}
