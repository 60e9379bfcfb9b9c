//! Taking from those who fetch the file too, by the values they state, and serving them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ByteRange, ContentId, Hash, PieceIndex};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;
use peer_proto::verify::HashList;
use peer_proto::wire::{Frame, HaveSet};

use super::world::*;
use crate::engine::io::*;
use crate::job::JobState;
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;
const LEN: u64 = 64 * MIB;

fn swarm() -> ContentId {
    swarm_id(&sha256(), LEN)
}

/// Strangers on the link that fetch the file too, beside a node whose origin gives so many bytes a second.
fn world_with(members: &[u8], origin_rate: u64) -> World {
    let mut world = world_beside(members, origin_rate);
    members.iter().for_each(|number| join(&mut world, peer_id(*number)));
    world
}

fn join(world: &mut World, id: PeerId) {
    world.model(id).session.join(&sha256(), LEN, true);
    world.pump_and_tell(id);
}

/// The same before they have said so.
fn world_beside(strangers: &[u8], origin_rate: u64) -> World {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(origin_rate);
    for number in strangers {
        let id = world.peer(*number, &truth, sha256(), FAST);
        world.model(id).digest = None;
    }
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    world
}

/// A member says that it read these pieces from the origin, and that they are what `list` has.
fn state(world: &mut World, id: PeerId, list: &HashList, pieces: std::ops::Range<u32>) {
    let values: Vec<Hash> = pieces.clone().filter_map(|piece| list.value(PieceIndex(piece))).collect();
    for (at, some) in (pieces.start..).step_by(64).zip(values.chunks(64)) {
        world.model(id).session.claim_pieces(swarm(), at, some);
    }
    world.pump_and_tell(id);
}

fn reasons(world: &World, part: &str) -> usize {
    let decisions = world.engine.decisions(JOB).expect("known");
    decisions.iter().filter(|decision| decision.why.contains(part)).count()
}

#[test]
fn relay_what_a_member_read_comes_from_it_by_its_word_and_one_piece_of_it_is_checked() {
    let mut world = world_with(&[2], 1_000_000);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 512..1_024);
    world.run_for(3_000);
    let theirs = world.disk.keys().filter(|piece| **piece >= 512).count();
    assert_eq!(theirs, 512);
    let bytes = world.view().bytes;
    assert!(bytes.peers >= 511 * 65_536 && bytes.discarded == 0, "{bytes:?}");
    assert!(reasons(&world, "it fetches the file too; the file's digest will decide") > 0);
    let audits = world.origin_spans.iter().filter(|(at, _)| *at >= 32 * MIB).count();
    assert_eq!(audits, 1, "CLAIM-5: {:?}", world.origin_spans);
}

#[test]
fn claim_5_a_member_gives_a_megabyte_at_most_until_a_piece_of_it_was_checked() {
    let mut world = world_with(&[2], 0);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 0..1_024);
    world.run_for(1_000);
    assert_eq!(world.disk.len(), 16, "one megabyte");
    world.origin.pace = Pace::steady(1_000_000);
    world.run_for(1_000);
    assert!(world.disk.len() > 256, "then the rest: {}", world.disk.len());
}

#[test]
fn claim_5_an_origin_that_is_slow_to_answer_an_audit_is_asked_once() {
    let mut world = world_with(&[2, 3], 0);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 512..1_024);
    for at in 0..8 {
        state(&mut world, peer_id(3), &truth, at * 2..at * 2 + 2);
        world.run_for(1_000);
    }
    let asked: BTreeSet<_> = world.origin_spans.iter().collect();
    assert_eq!(world.origin_spans.len(), asked.len(), "{:?}", world.origin_spans);
    world.origin.pace = Pace::steady(1_000_000);
    world.run_for(2_000);
    assert!(world.disk.len() > 256, "it is answered, and the rest comes: {}", world.disk.len());
}

#[test]
fn claim_5_another_members_word_is_good_for_another_megabyte() {
    let mut world = world_with(&[2, 3], 0);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 0..512);
    state(&mut world, peer_id(3), &truth, 512..1_024);
    world.run_for(1_000);
    let of = |from: u32| world.disk.keys().filter(|piece| (from..from + 512).contains(*piece)).count();
    assert_eq!([of(0), of(512)], [16, 16]);
}

#[test]
fn claim_4_a_member_that_states_what_is_not_so_costs_a_megabyte_and_is_believed_no_more() {
    let mut world = world_with(&[2], 4_000_000);
    let lie = file(LEN, 9);
    world.model(peer_id(2)).sends = Arc::clone(&lie);
    state(&mut world, peer_id(2), &lie, 0..1_024);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.peers <= MIB, "{:?}", view.bytes);
    assert!(reasons(&world, "nothing more is taken on its word") > 0);
    assert_eq!(world.disconnected, [], "it may have been lied to");
}

/// One who says what these pieces are and gives none, and one who has them and says nothing of his own: whether each of the two
/// was refuted, and whether each was banned.
fn author_and_relay(said: &Arc<HashList>, sent: &Arc<HashList>) -> (World, [bool; 2], [bool; 2]) {
    let mut world = world_with(&[2, 3], 4_000_000);
    let [author, relay] = [2, 3].map(peer_id);
    world.model(author).pace = Pace::steady(0);
    world.model(relay).sends = Arc::clone(sent);
    state(&mut world, author, said, 600..1_024);
    let mut have = HaveSet::new(1_024);
    have.insert(600..1_024);
    let now = world.now().monotonic;
    world.model(relay).session.send_have(swarm(), have, now);
    world.pump_and_tell(relay);
    world.run(2 * MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    let disk: Vec<Hash> = world.disk.values().copied().collect();
    assert_eq!(disk, world.truth.values(), "exact");
    let now = world.now().monotonic;
    let peers = &world.engine.core.peers;
    let refuted = [author, relay].map(|peer| peers.is_refuted(peer, now));
    let banned = [author, relay].map(|peer| peers.banned_until(peer, now).is_some());
    (world, refuted, banned)
}

/// Whether anything that a peer was told names another one.
fn is_told_of(world: &mut World, told: PeerId, of: PeerId) -> bool {
    let frames = world.model(told).frames.iter();
    let bytes = frames.map(|frame| peer_proto::wire::codec::encode(frame).expect("it was sent"));
    bytes.into_iter().any(|bytes| bytes.windows(32).any(|part| part == of.public_key()))
}

#[test]
fn home_5_what_a_member_keeps_from_this_node_alone_comes_from_elsewhere_and_nobody_is_told() {
    let origin = 10_000_000;
    let alone = world_with(&[], origin).run(MINUTE);
    let gives_none = Pace::steady(0);
    let all_but_one = Pace { then: Some((LEN / 2 - 65_536, 0)), ..Pace::steady(FAST) };
    for pace in [gives_none, all_but_one] {
        let mut world = world_with(&[2, 3], origin);
        let [selective, other] = [2, 3].map(peer_id);
        let given = pace.then.map_or(0, |(most, _)| most);
        world.model(selective).pace = pace;
        let truth = world.truth.clone();
        state(&mut world, selective, &truth, 512..1_024);
        let took = world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
        assert_eq!(world.disk.values().copied().collect::<Vec<_>>(), truth.values(), "exact");
        let bytes = world.view().bytes;
        assert!(bytes.peers <= given && bytes.origin + bytes.peers <= LEN + 2 * MIB, "{bytes:?}");
        assert!(took <= alone + alone / 20 + 2_000, "{took} ms, and {alone} ms alone");
        assert_eq!(world.disconnected, [], "to give nothing is no lie");
        assert!(!is_told_of(&mut world, other, selective), "it is this node's own affair");
    }
}

#[test]
fn trust_10_neither_a_ban_nor_a_refuted_word_is_told_to_anybody() {
    let (truth, lie) = (file(LEN, 1), file(LEN, 9));
    let [author, relay] = [2, 3].map(peer_id);
    let (mut world, refuted, _) = author_and_relay(&lie, &lie);
    assert!(refuted[0] && !is_told_of(&mut world, relay, author));
    let (mut world, _, banned) = author_and_relay(&truth, &lie);
    assert!(banned[1] && !is_told_of(&mut world, author, relay));
}

#[test]
fn trust_1_a_relay_is_not_framed_by_a_false_claim_nor_an_author_by_a_false_relay() {
    let truth = file(LEN, 1);
    let lie = altered(LEN, 1, &(900..1_000).collect::<Vec<u32>>());
    // The relay gives just what the author said, which is false: the author answers for it.
    let (world, refuted, banned) = author_and_relay(&lie, &lie);
    assert!(world.view().bytes.peers > 0, "the relay was asked");
    assert_eq!((refuted, banned), ([true, false], [false, false]));
    // The author said what is so, and the relay gives something else: the relay answers for it.
    let (world, refuted, banned) = author_and_relay(&truth, &lie);
    assert!(world.view().bytes.discarded > 0, "the relay was asked");
    assert_eq!((refuted, banned), ([false, false], [false, true]));
}

#[test]
fn claim_6_where_two_members_differ_the_origin_decides_and_the_honest_one_is_asked_on() {
    let mut world = world_with(&[2, 3], 1_000_000);
    let truth = Arc::clone(&world.truth);
    let lie = altered(LEN, 1, &[700]);
    state(&mut world, peer_id(2), &lie, 600..1_024);
    state(&mut world, peer_id(3), &truth, 600..1_024);
    world.run_for(4_000);
    assert!(world.origin_spans.contains(&(700 * 65_536, Some(701 * 65_536))), "{:?}", world.origin_spans);
    assert_eq!(world.disk.get(&700), truth.value(PieceIndex(700)).as_ref());
    assert_eq!(world.disk.range(600..).count(), 424, "all that the honest one has");
}

#[test]
fn claim_7_however_many_state_a_value_its_piece_rests_on_words_until_the_whole_file_agrees() {
    let others: Vec<u8> = (2..14).collect();
    let mut world = world_with(&others, 1_000_000);
    let truth = Arc::clone(&world.truth);
    others.iter().for_each(|number| state(&mut world, peer_id(*number), &truth, 0..1_024));
    world.run_until(20_000, |world| world.disk.len() >= 512);
    let is_firm = |standing: &&Standing| matches!(standing, Standing::Certain | Standing::Proved);
    let firm = world.standings.values().filter(is_firm).count();
    assert!(world.disk.len() >= 512 && firm < 64, "only what the origin gave: {firm}");
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!(
        world.standings.values().filter(is_firm).count(),
        1_024,
        "the digest of the whole file says so"
    );
}

#[test]
fn claim_11_what_this_node_reads_is_told_to_who_wants_the_file_and_to_nobody_else() {
    let mut world = world_beside(&[2, 3], 4_000_000);
    join(&mut world, peer_id(2));
    world.run_for(2_000);
    let told = |world: &World, number: u8| -> Vec<(u32, Vec<Hash>)> {
        let frames = world.peers[&peer_id(number)].frames.iter();
        let claims = frames.filter_map(|frame| match frame {
            Frame::PieceClaim(claim) => Some((claim.first, claim.values.clone())),
            _ => None,
        });
        claims.collect()
    };
    let claims = told(&world, 2);
    assert!(claims.iter().all(|(_, values)| (1..=64).contains(&values.len())), "{}", claims.len());
    for (first, values) in &claims {
        for (piece, value) in (*first..).zip(values) {
            assert_eq!(world.truth.value(PieceIndex(piece)).as_ref(), Some(value), "piece {piece}");
        }
    }
    let pieces: usize = claims.iter().map(|(_, values)| values.len()).sum();
    assert!(pieces >= 64 && pieces <= world.disk.len(), "{pieces} of {}", world.disk.len());
    assert!(told(&world, 3).is_empty(), "it does not want the file");
}

#[test]
fn claim_3_a_member_that_contradicts_what_this_node_read_is_not_believed() {
    let mut world = world_with(&[2], 1_000_000);
    world.run_for(1_000);
    let read = *world.disk.keys().next().expect("some of it is read");
    let lie = altered(LEN, 1, &[read]);
    state(&mut world, peer_id(2), &lie, 0..1_024);
    world.run_for(1_000);
    assert_eq!(world.view().bytes.peers, 0);
}

#[test]
fn a_member_is_asked_for_runs_that_rest_on_one_word_and_two_at_a_time() {
    let mut world = world_with(&[2, 3], 1_000_000);
    let truth = Arc::clone(&world.truth);
    // The one read every other piece, the other those between; both hold all of them.
    for piece in (600..640).step_by(2) {
        state(&mut world, peer_id(2), &truth, piece..piece + 1);
        state(&mut world, peer_id(3), &truth, piece + 1..piece + 2);
    }
    let mut have = HaveSet::new(1_024);
    have.insert(600..640);
    let now = world.now().monotonic;
    for id in [2, 3].map(peer_id) {
        world.model(id).session.send_have(swarm(), have.clone(), now);
        world.pump_and_tell(id);
        assert!(world.model(id).wanted.len() <= 2);
    }
    world.run_for(1_000);
    assert_eq!(world.disk.range(600..640).count(), 40);
    assert!(world.view().bytes.peers >= 38 * 65_536, "{:?}", world.view().bytes);
}

#[test]
fn eight_leases_are_open_at_members_wherever_they_have_something() {
    let members: Vec<u8> = (2..=11).collect();
    let mut world = world_with(&members, 1_000_000);
    let truth = Arc::clone(&world.truth);
    for (number, first) in members.iter().zip((512..).step_by(16)) {
        state(&mut world, peer_id(*number), &truth, first..first + 16);
    }
    let mut at_once = (0, 0);
    for _ in 0..100 {
        world.run_for(10);
        let open: Vec<usize> = members.iter().map(|number| world.leases_of(peer_id(*number)).len()).collect();
        let of_how_many = open.iter().filter(|open| **open > 0).count();
        at_once = at_once.max((open.iter().sum::<usize>(), of_how_many));
    }
    assert_eq!(at_once, (8, 8), "leases, of members");
}

/// What a member that asks for pieces by these values hears: nothing while it is served.
fn ask(world: &mut World, id: PeerId, first: u32, values: &[Hash]) -> Option<RefuseReason> {
    let now = world.now().monotonic;
    let end = first + u32::try_from(values.len()).expect("few");
    let range = ByteRange::new(u64::from(first) * 65_536..u64::from(end) * 65_536).expect("not empty");
    let (frames, serves) = (world.model(id).frames.len(), world.serves.len());
    world.model(id).session.request_values(swarm(), vec![range], values.to_vec(), now).expect("room");
    world.pump_and_tell(id);
    let refused = world.model(id).frames[frames..].iter().find_map(|frame| match frame {
        Frame::Refuse(refuse) => Some(refuse.reason),
        _ => None,
    });
    assert_eq!(refused.is_none(), world.serves.len() > serves, "either it is served or told why not");
    refused
}

/// A member beside a node that has read the first pieces of the file, and how many.
fn read_some() -> (World, PeerId, Vec<Hash>) {
    let mut world = world_with(&[2], 4_000_000);
    world.run_for(1_000);
    let first = *world.disk.keys().next().expect("it reads");
    let values: Vec<Hash> = world.disk.values().take(3).copied().collect();
    assert!(world.disk.keys().take(3).copied().eq(first..first + 3), "in a row");
    (world, peer_id(2), values)
}

fn first_read(world: &World) -> u32 {
    *world.disk.keys().next().expect("it reads")
}

#[test]
fn trust_1_a_member_is_served_what_is_there_with_the_values_it_asks_for_and_nothing_else() {
    let (mut world, member, values) = read_some();
    let first = first_read(&world);
    assert_eq!(ask(&mut world, member, first, &values), None);
    assert!(matches!(world.serves.last(), Some((_, _, _, ServeFrom::Part(file))) if file.job == JOB));
    let mut other = values.clone();
    other[1] = Hash([0xee; 32]);
    assert_eq!(ask(&mut world, member, first, &other), Some(RefuseReason::NotHeld));
    let missing = (0..1_024).find(|piece| !world.disk.contains_key(piece)).expect("much is missing");
    let value = world.truth.value(PieceIndex(missing)).expect("inside");
    assert_eq!(ask(&mut world, member, missing, &[value]), Some(RefuseReason::NotHeld));
}

#[test]
fn a_member_that_left_the_swarm_is_served_no_more() {
    let (mut world, member, values) = read_some();
    let first = first_read(&world);
    world.model(member).session.leave(swarm());
    world.pump_and_tell(member);
    assert_eq!(ask(&mut world, member, first, &values), Some(RefuseReason::NotHeld));
}

#[test]
fn a_third_request_of_a_member_waits_for_a_slot_and_one_it_takes_back_frees_it() {
    let (mut world, member, values) = read_some();
    let first = first_read(&world);
    assert_eq!(
        [ask(&mut world, member, first, &values), ask(&mut world, member, first, &values)],
        [None, None]
    );
    let busy = ask(&mut world, member, first, &values);
    assert!(matches!(busy, Some(RefuseReason::Busy { .. })), "{busy:?}");
    let (_, _, request, _) = world.serves[0];
    let now = world.now().monotonic;
    world.model(member).session.cancel(request, now);
    world.pump_and_tell(member);
    assert!(world.effects.iter().any(|effect| effect == "StopServe"));
    assert_eq!(ask(&mut world, member, first, &values), None);
}

#[test]
fn what_was_read_together_is_served_on_from_the_cache_once_the_file_is_delivered() {
    let mut world = world_with(&[2], FAST);
    let member = peer_id(2);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    let values = world.truth.values()[..2].to_vec();
    let busy = ask(&mut world, member, 0, &values);
    assert!(matches!(busy, Some(RefuseReason::Busy { .. })), "the cache is about to have it: {busy:?}");
    world.tell(Input::RecordHeld(RecordSummary {
        id: RecordId([4; 16]),
        content: world.truth.content(),
        digests: vec![sha256()],
        holding: Holding::Runs(vec![(0, 512)]),
        scope: Scope::Shareable,
        served: true,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    }));
    assert_eq!(ask(&mut world, member, 0, &values), None);
    assert!(matches!(world.serves.last(), Some((_, _, _, ServeFrom::Record(RecordId([4, ..]))))));
    world.run_for(6_000);
    let value = world.truth.value(PieceIndex(600)).expect("inside");
    assert_eq!(ask(&mut world, member, 600, &[value]), Some(RefuseReason::NotHeld), "the record lacks it");
    world.tell(Input::RecordGone(RecordId([4; 16])));
    assert_eq!(ask(&mut world, member, 0, &values), Some(RefuseReason::NotHeld));
}

#[test]
fn claim_5_among_many_only_who_gives_more_than_a_quarter_of_the_file_is_checked_first() {
    let mut world = world_with(&[2, 3, 4, 5, 6], 0);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 0..257);
    state(&mut world, peer_id(3), &truth, 300..556);
    world.run_for(2_000);
    let of = |range: std::ops::Range<u32>| world.disk.range(range).count();
    assert_eq!((of(0..257), of(300..556)), (16, 256));
}

#[test]
fn claim_5_who_hears_of_the_others_one_by_one_checks_nobody_that_gives_little() {
    let mut world = world_beside(&[2, 3, 4, 5, 6], 1_000_000);
    let truth = Arc::clone(&world.truth);
    for (at, number) in (0..).step_by(200).zip(2..7) {
        join(&mut world, peer_id(number));
        state(&mut world, peer_id(number), &truth, at..at + 200);
        world.run_for(20);
    }
    world.run_for(3_000);
    assert!(world.disk.len() > 900, "{}", world.disk.len());
    assert_eq!(reasons(&world, "audit of what a member states"), 0);
}

#[test]
fn claim_5_where_a_list_is_followed_it_is_checked_and_no_members_word() {
    let mut world = world_with(&[2], 1_000_000);
    let truth = Arc::clone(&world.truth);
    world.peer(3, &truth, sha256(), FAST);
    world.run_for(100);
    state(&mut world, peer_id(2), &truth, 0..1_024);
    world.run_for(1_000);
    assert!(reasons(&world, "audit of an untrusted list") > 0);
    assert_eq!(reasons(&world, "audit of what a member states"), 0);
}

#[test]
fn home_4_an_origin_that_gives_less_to_each_because_there_are_more_is_not_asked_twice() {
    let mut world = world_with(&[2], 12_000_000);
    world.run_for(1_500);
    world.origin.pace = Pace::steady(1_200_000);
    world.run_for(4_000);
    let bytes = world.view().bytes;
    assert!(bytes.origin > 14 << 20 && bytes.discarded == 0, "{bytes:?}");
}

#[test]
fn who_has_not_joined_states_nothing() {
    let mut world = world_beside(&[2], 100_000);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 0..1_024);
    world.run_for(1_000);
    assert_eq!(world.view().bytes.peers, 0);
}

/// What the node said of itself when it joined: whether it can fetch from the origin for others.
fn fetches_for_others(change: impl Fn(&mut World, &mut crate::job::JobSpec)) -> Option<bool> {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    let id = world.peer(2, &truth, sha256(), FAST);
    world.model(id).digest = None;
    let mut wish = spec(&[sha256()]);
    change(&mut world, &mut wish);
    world.submit(wish);
    world.run_for(200);
    let told = world.model(id).frames.iter().filter_map(|frame| match frame {
        Frame::Interest(interest) => Some(interest.fetches),
        _ => None,
    });
    told.last()
}

#[test]
fn home_1_a_node_is_a_home_only_if_it_may_serve_and_its_origin_gives_parts() {
    assert_eq!(fetches_for_others(|_, _| {}), Some(true));
    let private = crate::job::PeerFlags { client: true, server: false };
    assert_eq!(fetches_for_others(|_, wish| wish.flags = private), Some(false));
    assert_eq!(fetches_for_others(|world, _| world.origin.ranges = false), Some(false));
    assert_eq!(fetches_for_others(|_, wish| wish.on_demand = true), Some(false));
    let alone = crate::job::PeerFlags::NONE;
    assert_eq!(fetches_for_others(|_, wish| wish.flags = alone), None, "it says nothing at all");
}

#[test]
fn a_newcomer_is_told_what_was_read_and_what_is_fetched_now_and_a_lone_request_ends_for_it() {
    let mut world = world_beside(&[2], 4_000_000);
    let id = peer_id(2);
    world.run_for(2_000);
    assert!(!world.effects.iter().any(|effect| effect == "TrimLease"), "nobody is there");
    let read = world.disk.len();
    join(&mut world, id);
    assert!(world.effects.iter().any(|effect| effect == "TrimLease"), "the segment is finished, no more");
    let frames = &world.peers[&id].frames;
    let told = frames.iter().filter_map(|frame| match frame {
        Frame::PieceClaim(claim) => Some(claim.values.len()),
        _ => None,
    });
    assert!(read > 50 && told.sum::<usize>() == read, "of {read}");
    let claims: Vec<_> = frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::SegmentClaim(claim) => Some(claim.pieces.clone()),
            _ => None,
        })
        .collect();
    let at = u32::try_from(read).expect("few");
    assert!(claims.first().is_some_and(|pieces| pieces.contains(&at)), "{claims:?} at {at}");
}

#[test]
fn peer_9_when_the_permission_goes_members_are_asked_no_more_and_told_so() {
    let mut world = world_with(&[2], 1_000_000);
    let truth = Arc::clone(&world.truth);
    state(&mut world, peer_id(2), &truth, 256..1_024);
    world.run_for(300);
    let given = world.model(peer_id(2)).pace.given;
    assert!(given > 0);
    world.tell(Input::FlagsChanged(crate::job::PeerFlags::NONE));
    world.run_for(1_000);
    assert_eq!(world.model(peer_id(2)).pace.given, given);
    assert!(world.model(peer_id(2)).frames.iter().any(|frame| matches!(frame, Frame::Leave(_))));
}

#[test]
fn a_foreground_job_of_a_small_file_waits_for_nobodys_turn() {
    let ms_of = |priority, len| {
        let truth = file(len, 1);
        let mut world = World::new(&truth);
        for number in 2..10 {
            let id = world.peer(number, &truth, sha256(), FAST);
            world.model(id).digest = None;
        }
        world.submit(crate::job::JobSpec { priority, ..spec(&[sha256()]) });
        world.run_for(20);
        for number in 2..10 {
            world.model(peer_id(number)).session.join(&sha256(), len, true);
            world.pump_and_tell(peer_id(number));
        }
        world.run(MINUTE)
    };
    let foreground = ms_of(crate::job::Priority::Foreground, MIB);
    assert!(foreground <= 150, "{foreground} ms for what takes 105");
    let normal = ms_of(crate::job::Priority::Normal, MIB);
    assert!(normal > 250, "the others are given their turns: {normal} ms");
}
