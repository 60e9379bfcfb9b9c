//! Hash lists on their way: who is asked for them, what happens when none comes, who may have ours.

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::wire::{Frame, ListPart};

use super::world::*;
use crate::engine::fetch::LIST_WAIT;
use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobState, PeerFlags};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const MINUTE: Duration = Duration::from_secs(60);
const FAST: u64 = 40_000_000;

/// How often the node asked a peer for a part of a list.
fn asked(world: &World, id: PeerId) -> usize {
    world.peers[&id].frames.iter().filter(|frame| matches!(frame, Frame::ListWant(_))).count()
}

/// A node beside two that hold the file and give their lists only when they are told to; which of them is asked first.
fn two_that_hold_their_lists_back() -> (World, [PeerId; 2]) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let ids = [2, 3].map(|number| world.peer(number, &truth, sha256(), FAST));
    ids.into_iter().for_each(|id| world.model(id).lists_held = Some(Vec::new()));
    world.submit(spec(&[sha256()]));
    world.run_for(300);
    let [first, other] = if asked(&world, ids[0]) > 0 { ids } else { [ids[1], ids[0]] };
    assert_eq!((asked(&world, first), asked(&world, other)), (1, 0), "one is asked at first");
    (world, [first, other])
}

#[test]
fn a_second_holder_is_asked_for_a_list_that_does_not_come() {
    let (mut world, [first, other]) = two_that_hold_their_lists_back();
    let wait = u64::try_from(LIST_WAIT.as_millis()).expect("short");
    world.run_until(wait, |world| asked(world, other) > 0);
    assert_eq!(asked(&world, other), 0, "not so soon");
    world.run_for(600);
    assert_eq!((asked(&world, first), asked(&world, other)), (1, 1));
    let now = world.now().monotonic;
    world.model(other).give_lists(now);
    world.pump_and_tell(other);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(world.view().bytes.peers > 0);
}

#[test]
fn a_second_holder_is_asked_at_once_for_a_list_that_is_refused() {
    let (mut world, [first, other]) = two_that_hold_their_lists_back();
    let held = world.model(first).lists_held.take().expect("held back");
    for (content, part) in held {
        world.model(first).session.send_list(content, part, None);
    }
    world.pump_and_tell(first);
    world.run_for(100);
    assert_eq!(asked(&world, other), 1);
    assert_eq!(world.disconnected, [], "it is no lie not to have it");
}

fn record(list: &HashList) -> RecordSummary {
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

/// What a peer gets that wants the list of a content: its values, or `None` if it is refused; nothing if it is not answered.
fn list_given(world: &mut World, id: PeerId, list: &HashList) -> Vec<Option<usize>> {
    let (now, before) = (world.now().monotonic, world.model(id).frames.len());
    world.model(id).session.want_list(list.content(), now);
    world.pump_and_tell(id);
    world.run_for(50);
    let answers = world.model(id).frames[before..].iter().filter_map(|frame| match frame {
        Frame::ListValues(part) => Some(Some(part.values.len())),
        Frame::ListRefuse(_) => Some(None),
        _ => None,
    });
    answers.collect()
}

fn find(world: &mut World, id: PeerId, digest: peer_proto::digest::Digest) {
    let now = world.now().monotonic;
    world.model(id).session.find(&[(1, digest)], now);
    world.pump_and_tell(id);
    world.run_for(50);
}

#[test]
fn who_knows_the_digest_is_given_the_list_of_a_record_and_nobody_else() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.tell(Input::RecordHeld(record(&truth)));
    let [knows, guesses] = [2, 3].map(|number| world.peer(number, &truth, sha256(), FAST));
    world.run_for(20);
    find(&mut world, knows, sha256());
    assert_eq!(list_given(&mut world, knows, &truth), [Some(64)]);
    assert_eq!(list_given(&mut world, guesses, &truth), [None]);
    assert!(world.effects.iter().filter(|effect| *effect == "ReadList").count() == 1, "and nothing is read");
    world.tell(Input::RecordGone(RecordId([4; 16])));
    assert_eq!(list_given(&mut world, knows, &truth), [None]);
}

#[test]
fn the_list_of_a_part_that_grows_is_given_from_memory() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 10_000_000);
    let other = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(other).digest = None;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(500);
    find(&mut world, other, root_digest(&truth));
    assert_eq!(list_given(&mut world, other, &truth), [Some(1_024)]);
    assert!(!world.effects.iter().any(|effect| effect == "ReadList"));
}

#[test]
fn of_two_records_one_that_goes_takes_nothing_from_the_other() {
    let (truth, twin) = (file(4 * MIB, 1), file(2 * MIB, 5));
    let mut world = World::new(&truth);
    world.tell(Input::RecordHeld(record(&truth)));
    // The same digest names another content, as far as anybody knows.
    world.tell(Input::RecordHeld(RecordSummary { id: RecordId([5; 16]), ..record(&twin) }));
    world.tell(Input::RecordGone(RecordId([4; 16])));
    let asker = world.peer(2, &truth, sha256(), FAST);
    world.run_for(20);
    find(&mut world, asker, sha256());
    let here = peer_proto::session::Answer::Here { content: twin.content(), whole: true, sealed: true };
    assert_eq!(world.model(asker).answers, [here]);
}

#[test]
fn a_member_that_turns_out_to_hold_the_file_proved_is_used_as_a_holder() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(100_000);
    let id = world.peer(2, &truth, root_digest(&truth), FAST);
    (world.model(id).digest, world.model(id).sealed) = (None, false);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(50);
    world.model(id).session.join(&root_digest(&truth), 64 * MIB, false);
    world.pump_and_tell(id);
    world.run_for(500);
    assert_eq!(world.view().bytes.peers, 0, "it has nothing yet");
    let model = world.model(id);
    (model.digest, model.sealed) = (Some(root_digest(&truth)), true);
    model.have = PieceSet::of(0..1_024);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert!(view.bytes.peers > 60 * MIB, "it is asked again within seconds: {:?}", view.bytes);
}

#[test]
fn the_head_of_a_long_list_is_given_before_its_pages() {
    let truth = file(1 << 30, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(0);
    world.peer(2, &truth, root_digest(&truth), 10_000_000);
    let other = world.peer(3, &truth, root_digest(&truth), FAST);
    world.model(other).digest = None;
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    find(&mut world, other, root_digest(&truth));
    let head = truth.part(ListPart::Head).expect("a list of several pages").len();
    let given = list_given(&mut world, other, &truth);
    assert_eq!(given.first(), Some(&Some(head)));
    assert_eq!(given.len(), head + 1, "then its pages: {given:?}");
}

#[test]
fn claim_4_all_who_stated_a_false_list_are_refuted_and_nobody_else() {
    let (truth, lie) = (file(64 * MIB, 1), file(64 * MIB, 9));
    let mut world = World::new(&truth);
    let liars = [2, 3].map(|number| world.peer(number, &lie, sha256(), FAST));
    let honest = world.peer(4, &truth, sha256(), FAST);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    let now = world.now().monotonic;
    let is_refuted = |id| world.engine.core.peers.is_refuted(id, now);
    assert_eq!((liars.map(is_refuted), is_refuted(honest)), ([true; 2], false));
}

#[test]
fn a_file_nobody_named_is_hashed_for_others_only_if_they_may_have_it() {
    let sealed = |flags, digests: &[peer_proto::digest::Digest]| {
        let truth = file(4 * MIB, 1);
        let mut world = World::new(&truth);
        world.submit(crate::job::JobSpec { flags, ..spec(digests) });
        world.run(MINUTE);
        world.sealed_with_sha256
    };
    let fetches = PeerFlags { client: true, server: false };
    assert_eq!(sealed(PeerFlags::BOTH, &[]), Some(true));
    assert_eq!(sealed(fetches, &[]), Some(false));
    assert_eq!(sealed(PeerFlags::BOTH, &[sha256()]), Some(false), "it is checked anyhow");
}
