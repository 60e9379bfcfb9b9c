//! Answering peers: the conditions, the caps, the parts that still grow.

use peer_proto::content::ByteRange;
use peer_proto::digest::Digest;
use peer_proto::session::{Answer, RefuseReason};
use peer_proto::wire::Frame;

use super::world::*;
use crate::engine::file::{JobFile, Stage};
use crate::engine::io::*;
use crate::job::{JobSpec, PeerFlags, Policy, Priority};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const FAST: u64 = 40_000_000;

fn record(list: &peer_proto::verify::HashList) -> RecordSummary {
    RecordSummary {
        id: RecordId([4; 16]),
        content: list.content(),
        digests: vec![sha256()],
        holding: Holding::Whole,
        scope: Scope::Shareable,
        served: true,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    }
}

/// What a peer that asks for `digest` hears from a node that holds `record`.
fn answer(flags: PeerFlags, record: RecordSummary, near: bool, digest: &Digest) -> Answer {
    let truth = file(4 * MIB, 1);
    let mut world = World::with_flags(&truth, flags);
    world.tell(Input::RecordHeld(record));
    let asker = world.peer(2, &truth, sha256(), FAST);
    world.connect_again(asker, near);
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(1, digest.clone())], now);
    world.pump_and_tell(asker);
    world.run_for(50);
    *world.model(asker).answers.first().expect("every question is answered")
}

#[test]
fn lookup_3_only_who_is_on_the_link_is_told_what_is_read_from_the_origin() {
    for near in [true, false] {
        let truth = file(16 * MIB, 1);
        let mut world = World::new(&truth);
        let other = world.peer(2, &truth, sha256(), FAST);
        world.model(other).digest = None;
        world.connect_again(other, near);
        world.submit(spec(&[sha256()]));
        world.run_for(100);
        world.model(other).session.join(&sha256(), truth.content().len, false);
        world.pump_and_tell(other);
        world.run_for(4_000);
        let told = world.peers[&other].frames.iter().filter(|frame| matches!(frame, Frame::PieceClaim(_)));
        assert_eq!(told.count() > 0, near);
    }
}

#[test]
fn lookup_3_every_condition_must_hold() {
    let truth = file(4 * MIB, 1);
    let here = Answer::Here { content: truth.content(), whole: true, sealed: true };
    let good = || record(&truth);
    assert_eq!(answer(PeerFlags::BOTH, good(), true, &sha256()), here);
    assert_eq!(answer(PeerFlags::BOTH, good(), true, &root_digest(&truth)), here);
    assert_eq!(answer(PeerFlags { client: true, server: false }, good(), true, &sha256()), Answer::NotHere);
    assert_eq!(answer(PeerFlags::BOTH, good(), false, &sha256()), Answer::NotHere);
    let other = root_digest(&file(MIB, 3));
    assert_eq!(answer(PeerFlags::BOTH, good(), true, &other), Answer::NotHere);
    for hidden in [
        RecordSummary { served: false, ..good() },
        RecordSummary { scope: Scope::Machine, ..good() },
        RecordSummary { scope: Scope::Private { uid: 1 }, ..good() },
        RecordSummary { last_used_unix_s: 1_800_000_000 - 25 * 3_600, ..good() },
    ] {
        assert_eq!(answer(PeerFlags::BOTH, hidden, true, &sha256()), Answer::NotHere);
    }
}

#[test]
fn a_content_that_two_records_hold_is_there_until_both_are_gone() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let twin = RecordSummary { id: RecordId([5; 16]), ..record(&truth) };
    world.tell(Input::RecordHeld(record(&truth)));
    world.tell(Input::RecordHeld(twin.clone()));
    // Told again, as at each use.
    world.tell(Input::RecordHeld(record(&truth)));
    let asker = world.peer(2, &truth, sha256(), FAST);
    let told = |world: &mut World, key| {
        let now = world.now().monotonic;
        world.model(asker).session.find(&[(key, sha256()), (key + 1, root_digest(&truth))], now);
        world.pump_and_tell(asker);
        world.run_for(50);
        std::mem::take(&mut world.model(asker).answers)
    };
    let here = Answer::Here { content: truth.content(), whole: true, sealed: true };
    assert_eq!(told(&mut world, 1), [here, here]);
    world.tell(Input::RecordGone(RecordId([4; 16])));
    assert_eq!(told(&mut world, 3), [here, here], "the other one is there");
    world.tell(Input::RecordGone(twin.id));
    assert_eq!(told(&mut world, 5), [Answer::NotHere, Answer::NotHere]);
}

#[test]
fn d46_of_two_records_of_a_content_the_one_that_lost_nothing_gives_what_both_say_they_hold() {
    let truth = file(4 * MIB, 1);
    for (rotten, fresh) in [(4, 5), (5, 4)] {
        let mut world = World::new(&truth);
        let (rotten, fresh) = (RecordId([rotten; 16]), RecordId([fresh; 16]));
        let holding = Holding::Runs(vec![(0, 60), (61, 64)]);
        world.tell(Input::RecordHeld(RecordSummary { id: rotten, holding, ..record(&truth) }));
        world.tell(Input::RecordHeld(RecordSummary { id: fresh, ..record(&truth) }));
        let asker = world.peer(2, &truth, sha256(), FAST);
        find(&mut world, asker, 1);
        want(&mut world, asker, 2);
        let from: Vec<ServeFrom> = world.serves.iter().map(|(_, _, _, from)| *from).collect();
        assert_eq!(from, [ServeFrom::Record(fresh); 2]);
    }
}

fn serving_world() -> (World, peer_proto::peer::PeerId) {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.tell(Input::RecordHeld(record(&truth)));
    let asker = world.peer(2, &truth, sha256(), FAST);
    world.run_for(20);
    (world, asker)
}

fn want(world: &mut World, asker: peer_proto::peer::PeerId, count: u64) {
    let content = world.truth.content();
    let now = world.now().monotonic;
    for at in 0..count {
        let range = ByteRange::new(at * 65_536..(at + 1) * 65_536).expect("not empty");
        world.model(asker).session.request(content, vec![range], now).expect("room for eight");
    }
    world.pump_and_tell(asker);
    world.run_for(20);
}

#[test]
fn cache_20_nothing_is_served_to_who_did_not_prove_to_know_the_digest() {
    let (mut world, asker) = serving_world();
    want(&mut world, asker, 1);
    assert!(world.serves.is_empty());
}

#[test]
fn a_peer_that_was_told_is_served_and_stopped_when_the_permission_goes() {
    let (mut world, asker) = serving_world();
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(1, sha256())], now);
    world.pump_and_tell(asker);
    world.run_for(50);
    want(&mut world, asker, 8);
    assert_eq!(world.serves.len(), 8);
    let (id, _, request, _) = world.serves[0];
    world.model(asker).session.close_request(request);
    world.tell(Input::ServeEnded { id, sent: 65_536, outcome: ServeOutcome::Sent });
    assert_eq!(world.engine.totals().served_bytes, 65_536);
    assert_eq!(world.engine.peer_views()[0].bytes_out, 65_536);
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 9, "there is room for another one");
    world.tell(Input::FlagsChanged(PeerFlags { client: true, server: false }));
    assert_eq!(world.effects.iter().filter(|name| *name == "StopServe").count(), 8);
    let (_, _, request, _) = world.serves[1];
    world.model(asker).session.close_request(request);
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 9, "nothing more is served");
}

#[test]
fn peer_9_who_is_served_is_served_on_when_only_taking_from_peers_is_forbidden() {
    let (mut world, asker) = serving_world();
    find(&mut world, asker, 1);
    want(&mut world, asker, 2);
    world.tell(Input::FlagsChanged(PeerFlags { client: false, server: true }));
    assert!(!world.effects.iter().any(|name| name == "StopServe"));
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 3);
}

fn find(world: &mut World, asker: peer_proto::peer::PeerId, key: u32) {
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(key, sha256())], now);
    world.pump_and_tell(asker);
    world.run_for(50);
}

#[test]
fn cache_15_what_is_kept_stays_while_nobody_may_be_served_and_is_served_after_that() {
    let (mut world, asker) = serving_world();
    world.tell(Input::FlagsChanged(PeerFlags { client: true, server: false }));
    find(&mut world, asker, 1);
    assert!(!world.effects.iter().any(|effect| effect == "DropRecord"));
    world.tell(Input::FlagsChanged(PeerFlags::BOTH));
    find(&mut world, asker, 2);
    let here = Answer::Here { content: world.truth.content(), whole: true, sealed: true };
    assert_eq!(world.model(asker).answers, [Answer::NotHere, here]);
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 1);
}

#[test]
fn peer_9_and_peer_37_who_was_told_learns_that_nothing_is_given_any_more_and_later_that_it_is() {
    let (mut world, asker) = serving_world();
    find(&mut world, asker, 1);
    want(&mut world, asker, 2);
    let content = world.truth.content();
    let known = |world: &mut World| world.model(asker).session.have(content).map_or(0, |have| have.count());
    assert_eq!((known(&mut world), world.serves.len()), (64, 2));
    world.tell(Input::FlagsChanged(PeerFlags { client: true, server: false }));
    world.run_for(100);
    assert_eq!(known(&mut world), 0, "nothing is to be had");
    let refused = refusals(&world, asker);
    assert!(
        matches!(refused.as_slice(), [RefuseReason::Busy { .. }, RefuseReason::Busy { .. }]),
        "{refused:?}"
    );
    world.tell(Input::FlagsChanged(PeerFlags::BOTH));
    world.run_for(100);
    assert_eq!(known(&mut world), 64, "it need not ask again");
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 3);
}

#[test]
fn peer_9_who_was_told_of_a_growing_part_learns_the_same_of_it() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 10_000_000);
    let asker = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(asker).digest = None;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    take(&mut world, asker, 1, &truth);
    let content = truth.content();
    let known = |world: &mut World| world.model(asker).session.have(content).map_or(0, |have| have.count());
    assert!(known(&mut world) > 0 && world.serves.len() == 1);
    world.tell(Input::FlagsChanged(PeerFlags { client: true, server: false }));
    world.run_for(300);
    assert_eq!(known(&mut world), 0);
    world.tell(Input::FlagsChanged(PeerFlags::BOTH));
    world.run_for(200);
    let again = known(&mut world);
    assert!(again > 0, "what is there by now");
    world.run_for(300);
    assert!(known(&mut world) > again, "and what comes in");
}

fn refusals(world: &World, asker: peer_proto::peer::PeerId) -> Vec<RefuseReason> {
    let frames = world.peers[&asker].frames.iter();
    let refused =
        frames.filter_map(|frame| if let Frame::Refuse(refuse) = frame { Some(refuse.reason) } else { None });
    refused.collect()
}

#[test]
fn cache_21_only_what_a_search_found_is_given_and_what_was_removed_since_is_not_held() {
    let (mut world, asker) = serving_world();
    want(&mut world, asker, 1);
    assert_eq!(refusals(&world, asker), [RefuseReason::NotHeld], "it was not asked for");
    find(&mut world, asker, 1);
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 1);
    world.tell(Input::RecordGone(RecordId([4; 16])));
    want(&mut world, asker, 1);
    assert_eq!(world.serves.len(), 1);
    assert_eq!(refusals(&world, asker), [RefuseReason::NotHeld; 2]);
}

#[test]
fn lookup_4_an_address_that_asks_for_too_much_that_is_not_here_is_not_looked_up_for() {
    let (mut world, asker) = serving_world();
    for round in 0..110_u8 {
        let mut bytes = vec![round; 32];
        bytes[0] = 0xff;
        let digest = Digest::new(peer_proto::digest::Algorithm::Sha256, bytes).expect("32 bytes");
        let now = world.now().monotonic;
        world.model(asker).session.find(&[(u32::from(round), digest)], now);
        world.pump_and_tell(asker);
        world.run_for(200);
    }
    world.model(asker).answers.clear();
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(200, sha256())], now);
    world.pump_and_tell(asker);
    world.run_for(500);
    assert_eq!(world.model(asker).answers, [Answer::NotHere]);
}

#[test]
fn a_part_that_grows_is_shared_while_it_comes_in() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 10_000_000);
    let other = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(other).digest = None;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    let now = world.now().monotonic;
    world.model(other).session.find(&[(1, root_digest(&truth))], now);
    world.pump_and_tell(other);
    world.run_for(600);
    let content = truth.content();
    let here = Answer::Here { content, whole: false, sealed: false };
    assert_eq!(world.model(other).answers, [here]);
    let told = |world: &mut World| world.model(other).session.have(content).map_or(0, |have| have.count());
    let first = told(&mut world);
    assert!(first > 0);
    world.run_for(600);
    assert!(told(&mut world) > first, "deltas follow");
    want(&mut world, other, 0);
}

#[test]
fn provisional_pieces_are_never_offered() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, sha256(), 10_000_000);
    let other = world.peer(3, &truth, sha256(), FAST);
    world.model(other).digest = None;
    world.submit(spec(&[sha256()]));
    world.run_for(1_500);
    let now = world.now().monotonic;
    world.model(other).session.find(&[(1, sha256()), (2, root_digest(&truth))], now);
    world.pump_and_tell(other);
    world.run_for(100);
    assert_eq!(world.model(other).answers, [Answer::NotHere, Answer::NotHere]);
}

/// A peer proves that it knows a content and asks for its first 64 KiB.
fn take(world: &mut World, asker: peer_proto::peer::PeerId, key: u32, list: &peer_proto::verify::HashList) {
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(key, root_digest(list))], now);
    world.pump_and_tell(asker);
    world.run_for(100);
    let now = world.now().monotonic;
    let range = ByteRange::new(0..65_536).expect("not empty");
    world.model(asker).session.request(list.content(), vec![range], now).expect("room for eight");
    world.pump_and_tell(asker);
    world.run_for(20);
}

#[test]
fn cache_22_what_is_served_yields_to_a_foreground_job_unless_that_brings_the_job_forward() {
    let (truth, other) = (file(64 * MIB, 1), file(4 * MIB, 3));
    let mut world = World::new(&truth);
    let giver = world.peer(2, &truth, root_digest(&truth), 10_000_000);
    let asker = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(asker).digest = None;
    world.tell(Input::RecordHeld(record(&other)));
    world.submit(JobSpec { priority: Priority::Foreground, ..spec(&[root_digest(&truth)]) });
    world.run_for(2_000);
    take(&mut world, giver, 901, &other);
    assert_eq!((world.yields.as_slice(), world.paces.len()), ([Yields::Never].as_slice(), 0), "it gives");
    take(&mut world, asker, 902, &truth);
    assert!(matches!(world.serves.last(), Some((_, _, _, ServeFrom::Part(_)))), "{:?}", world.serves);
    assert_eq!(world.yields.last(), Some(&Yields::Never), "of the file that is fetched");
    take(&mut world, asker, 903, &other);
    assert_eq!(world.yields.last(), Some(&Yields::ToForeground));
    let share = world.paces.last().and_then(|pace| pace.beside).expect("it yields").get();
    assert!((1_500_000..=6_000_000).contains(&share), "{share} beside two sources of 10 MB/s");
    world.run_for(9_000);
    assert_eq!(world.paces.last(), Some(&ServePace::default()), "the job is over");
}

#[test]
fn cache_22_background_jobs_do_not_slow_what_is_served() {
    let (truth, other) = (file(64 * MIB, 1), file(4 * MIB, 3));
    let mut world = World::new(&truth);
    let asker = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(asker).digest = None;
    world.tell(Input::RecordHeld(record(&other)));
    world.submit(JobSpec { priority: Priority::High, ..spec(&[]) });
    world.run_for(1_000);
    take(&mut world, asker, 903, &other);
    assert_eq!((world.yields.len(), world.paces.len()), (1, 0));
}

#[test]
fn pol_6_and_pol_19_a_policy_that_changes_is_told_at_once_and_holds_only_where_peer_caching_is_on() {
    let (mut world, _) = serving_world();
    let mut say = |on: Option<bool>, bits: Option<u64>| {
        let policy = Policy { enable_peer_caching: on, max_bandwidth_served: bits, ..Policy::default() };
        world.tell(Input::PolicyChanged(Box::new(policy.over(&Policy::default()))));
        let told = world.paces.iter().map(|pace| pace.rates.total);
        told.map(|rate| rate.map_or(0, std::num::NonZeroU64::get)).collect::<Vec<_>>()
    };
    assert_eq!(say(None, None), [0; 0]);
    assert_eq!(say(Some(true), Some(8_000_000)), [1_000_000]);
    assert_eq!(say(Some(true), Some(16_000_000)), [1_000_000, 2_000_000]);
    assert_eq!(say(None, Some(16_000_000)), [1_000_000, 2_000_000, 0]);
    assert_eq!(say(Some(true), None), [1_000_000, 2_000_000, 0], "nothing new");
}

#[test]
fn wire_7_a_growing_part_is_offered_while_it_lies_there_and_may_be_served() {
    let offered = |change: fn(&mut JobFile), flags: PeerFlags| {
        let truth = file(16 * MIB, 1);
        let mut world = World::new(&truth);
        world.origin.pace = Pace::steady(4_000_000);
        world.peer(2, &truth, root_digest(&truth), 4_000_000);
        world.submit(spec(&[root_digest(&truth)]));
        world.run_for(1_000);
        let file = world.engine.files.values_mut().next().expect("on its way");
        change(file);
        world.engine.core.flags = flags;
        file.offer(&world.engine.core).is_some()
    };
    assert!(offered(|_| {}, PeerFlags::BOTH));
    assert!(!offered(|_| {}, PeerFlags { client: true, server: false }));
    assert!(!offered(|file| file.reset_to = Some(version("b", None)), PeerFlags::BOTH), "it is emptied");
    assert!(!offered(|file| file.stage = Stage::Over, PeerFlags::BOTH), "it has another name");
    assert!(!offered(|file| file.claims.trusted = None, PeerFlags::BOTH), "no list proves it");
}
