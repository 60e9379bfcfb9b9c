//! A node in two groups: what of one reaches the other, and what does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use peer_proto::group::{Badge, Badges, DenyList, EpochSecret, GroupId, HolderId, Token, Wish};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::session::{Session, SessionConfig};
use peer_proto::sign::Signer;
use peer_proto::wire::{Frame, Record, RecordHead, Said};

use super::groups::{LEN, NOW, key, wish};
use super::models::session_config;
use super::world::*;
use crate::engine::io::Input;
use crate::engine::{Engine, EngineConfig, GroupConfig};
use crate::job::{Ask, PeerFlags};

const SLOW: u64 = 100_000;

/// The keys of two groups: the first is the one whose id comes first.
pub(super) fn keys() -> [Signer; 2] {
    let mut keys = [Signer::of(&[90; 32]), Signer::of(&[91; 32])];
    keys.sort_by_key(|key| GroupId::of(&key.public_key()));
    keys
}

pub(super) fn ids() -> [GroupId; 2] {
    keys().map(|key| GroupId::of(&key.public_key()))
}

pub(super) fn badge(group: usize, wish: &Wish) -> Arc<Badge> {
    let mark = u8::try_from(group).expect("one of two");
    let token = Token::grant(&keys()[group], wish);
    Arc::new(Badge { token, secret: EpochSecret([40 + mark; 32]), former: None })
}

/// The same holder in both groups: each names holders as it likes.
pub(super) fn membership(group: usize) -> GroupConfig {
    GroupConfig {
        signer: key(1),
        key: keys()[group].public_key(),
        badge: badge(group, &wish(peer_id(1))),
        epoch: 1,
        denied: None,
        enroller: None,
    }
}

pub(super) fn both() -> Vec<GroupConfig> {
    vec![membership(0), membership(1)]
}

/// A node in these groups that wants a file, and nobody else.
pub(super) fn world(groups: Vec<GroupConfig>) -> World {
    let mut world = World::new(&file(LEN, 1));
    let config = EngineConfig { groups: groups.into_iter().collect(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    world
}

/// Whose token it is: a holder of his own.
fn wish_of(number: u8) -> Wish {
    Wish { holder: HolderId([number; 16]), ..wish(key(number).peer()) }
}

/// A neighbour that is a member of these groups, and wants nothing yet.
pub(super) fn neighbour(world: &mut World, number: u8, groups: &[usize]) -> PeerId {
    let badges = groups.iter().map(|group| badge(*group, &wish_of(number))).collect();
    neighbour_with(world, number, badges)
}

/// A neighbour that shows these badges.
pub(super) fn neighbour_with(world: &mut World, number: u8, badges: Badges) -> PeerId {
    let id = key(number).peer();
    let config = SessionConfig { badges, ..session_config(id, None) };
    let session = Session::new(config, world.now().monotonic);
    let model = PeerModel::new(session, &world.truth, SLOW);
    world.admit(id, model);
    id
}

/// It wants the file too, and fetches it in this group.
pub(super) fn join(world: &mut World, id: PeerId, group: Option<usize>) {
    let group = group.map(|group| ids()[group]);
    world.model(id).session.join_in(group, &sha256(), LEN, true);
    world.pump_and_tell(id);
}

fn record(group: usize, number: u8, sequence: u64, said: Said) -> Record {
    let swarm = swarm_id(&sha256(), LEN);
    let head = RecordHead { group: ids()[group], author: key(number).peer(), number: sequence, swarm };
    Record::sign(&key(number), head, said).expect("it may be said")
}

fn interest(group: usize, number: u8, sequence: u64) -> Record {
    let token = Token::grant(&keys()[group], &wish_of(number));
    record(group, number, sequence, Said::Interest { fetches: true, token })
}

fn show(world: &mut World, id: PeerId, records: &[Record]) {
    world.model(id).session.show_records(records.to_vec());
    world.pump_and_tell(id);
}

/// The groups that frames to a neighbour are of, by what they carry.
pub(super) fn groups_told(world: &mut World, id: PeerId) -> BTreeSet<GroupId> {
    let mut groups = BTreeSet::new();
    for frame in &world.model(id).frames {
        match frame {
            Frame::Token(token) => drop(groups.insert(token.group())),
            Frame::Records(records) => groups.extend(records.iter().map(|record| record.head().group)),
            Frame::Newest(newest) => groups.extend(newest.group),
            Frame::Interest(interest) => groups.extend(interest.group),
            _ => {}
        }
    }
    groups
}

/// Authors of whom a neighbour was told by records, but for the node.
fn authors_told(world: &mut World, id: PeerId) -> BTreeSet<PeerId> {
    let mut authors = BTreeSet::new();
    for frame in &world.model(id).frames {
        let Frame::Records(records) = frame else { continue };
        authors.extend(records.iter().map(|record| record.head().author));
    }
    authors.remove(&peer_id(1));
    authors
}

#[test]
fn group_8_nothing_of_one_group_reaches_who_is_a_member_of_the_other_only() {
    let mut world = world(both());
    let [a, more_a] = [2, 3].map(|number| neighbour(&mut world, number, &[0]));
    let [b, of_both] =
        [(4, &[1][..]), (5, &[0, 1][..])].map(|(number, groups)| neighbour(&mut world, number, groups));
    [a, more_a, of_both].into_iter().for_each(|id| join(&mut world, id, Some(0)));
    join(&mut world, b, Some(1));
    show(&mut world, a, &[interest(0, 8, 1), record(0, 8, 2, Said::Leave)]);
    show(&mut world, b, &[interest(1, 9, 1)]);
    world.run_for(500);
    let all: BTreeSet<GroupId> = ids().into();
    assert_eq!(groups_told(&mut world, a), [ids()[0]].into());
    assert_eq!(groups_told(&mut world, b), [ids()[1]].into());
    assert_eq!(groups_told(&mut world, of_both), all);
    assert_eq!(authors_told(&mut world, more_a), [key(8).peer()].into());
    assert_eq!(authors_told(&mut world, b), [].into(), "what was said in the first group");
    let views = world.engine.peer_views();
    let groups = |id: PeerId| views.iter().find(|view| view.peer == id).expect("there").groups.len();
    assert_eq!([a, b, of_both].map(groups), [1, 1, 2]);
}

#[test]
fn group_8_a_record_that_names_another_group_than_its_bearers_is_not_heard() {
    let mut world = world(both());
    let [a, more_a] = [2, 3].map(|number| neighbour(&mut world, number, &[0]));
    let b = neighbour(&mut world, 4, &[1]);
    [a, more_a].into_iter().for_each(|id| join(&mut world, id, Some(0)));
    // The frame as no session of a member would send it: what it says is true, but it is none of its business.
    world.tell(Input::FrameReceived { peer: b, frame: Frame::Records(vec![interest(0, 8, 1)]) });
    // Nor does a token of one group make somebody a member of the other.
    world.tell(Input::FrameReceived { peer: b, frame: Frame::Token(Token::grant(&keys()[0], &wish_of(4))) });
    world.run_for(200);
    assert_eq!(authors_told(&mut world, more_a), [].into());
    assert!(!world.engine.core.is_member_of(b, ids()[0]) && world.engine.core.is_member_of(b, ids()[1]));
}

#[test]
fn group_6_who_is_denied_in_one_group_is_a_member_of_the_other_all_the_same() {
    let mut world = world(both());
    let id = neighbour(&mut world, 2, &[0, 1]);
    let is_in = |world: &World| ids().map(|group| world.engine.core.is_member_of(id, group));
    assert_eq!(is_in(&world), [true, true]);
    let denied = DenyList::sign(&keys()[0], 1, [HolderId([2; 16])].into());
    let groups = vec![GroupConfig { denied, ..membership(0) }, membership(1)];
    world.tell(Input::GroupsChanged(groups.into_iter().collect()));
    assert_eq!(world.disconnected, [id], "its session begins anew");
    neighbour(&mut world, 2, &[0, 1]);
    assert_eq!(is_in(&world), [false, true]);
    join(&mut world, id, Some(1));
    show(&mut world, id, &[interest(0, 2, 1), interest(1, 2, 2)]);
    world.run_for(200);
    let other = neighbour(&mut world, 3, &[0, 1]);
    join(&mut world, other, Some(1));
    world.run_for(200);
    assert_eq!(authors_told(&mut world, other), [id].into(), "by what it said in the second");
}

#[test]
fn group_8_a_file_that_is_fetched_in_one_group_goes_on_when_another_one_is_left() {
    let mut world = world(both());
    let a = neighbour(&mut world, 2, &[0]);
    join(&mut world, a, Some(0));
    show(&mut world, a, &[interest(0, 8, 1)]);
    let knows = |world: &World| world.engine.files.values().any(|file| file.knows_author(key(8).peer()));
    assert!(knows(&world));
    world.tell(Input::GroupsChanged(Some(membership(0)).into()));
    assert!(knows(&world));
}

#[test]
fn group_8_leaving_one_group_leaves_the_others_sessions_as_they_are() {
    let mut world = world(both());
    let a = neighbour(&mut world, 2, &[0]);
    let b = neighbour(&mut world, 3, &[1]);
    let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
    join(&mut world, b, Some(1));
    world.run_for(100);
    world.tell(Input::GroupsChanged(Some(membership(1)).into()));
    assert_eq!(world.disconnected, [a]);
    assert!(world.engine.core.is_member_of(b, ids()[1]) && !world.engine.core.is_member(a));
    assert!(world.engine.core.peers.get(stranger).is_some());
    show(&mut world, b, &[interest(1, 9, 1)]);
    let other = neighbour(&mut world, 6, &[0, 1]);
    join(&mut world, other, Some(1));
    world.run_for(200);
    assert_eq!(authors_told(&mut world, other), [key(9).peer()].into());
    assert_eq!(groups_told(&mut world, other), [ids()[1]].into());
    // Into the first again: anybody may be a member of that, and who is one shows it in the session that is open.
    world.tell(Input::GroupsChanged(both().into_iter().collect()));
    assert_eq!(world.disconnected, [a]);
    let is_member = |id| world.engine.core.is_member_of(id, ids()[0]);
    assert_eq!([b, other, stranger].map(is_member), [false, true, false]);
}

#[test]
fn home_2_a_file_goes_over_to_the_group_of_whoever_wants_it_first_and_stays_there() {
    let mut world = world(both());
    // Most members are of the first group, and nobody of it wants the file.
    [2, 3].into_iter().for_each(|number| {
        neighbour(&mut world, number, &[0]);
    });
    let group =
        |world: &World| world.engine.files.values().next().expect("it").swarm.as_ref().expect("one").group;
    assert_eq!(group(&world), Some(ids()[0]));
    let b = neighbour(&mut world, 4, &[1]);
    join(&mut world, b, Some(1));
    assert_eq!(group(&world), Some(ids()[1]));
    show(&mut world, b, &[interest(1, 4, 1)]);
    // One of the first group comes too late for that: it is told as a stranger is.
    let a = neighbour(&mut world, 5, &[0]);
    join(&mut world, a, Some(0));
    world.run_for(1_000);
    assert_eq!(group(&world), Some(ids()[1]));
    assert!(!world.model(a).frames.iter().any(|frame| matches!(frame, Frame::Records(_))));
    assert!(world.model(b).frames.iter().any(|frame| matches!(frame, Frame::Records(_))));
    let told = |world: &mut World, id| {
        let fetches = world.model(id).frames.iter().filter_map(|frame| match frame {
            Frame::Interest(interest) => Some((interest.group, interest.fetches)),
            _ => None,
        });
        fetches.last()
    };
    assert_eq!(told(&mut world, b), Some((Some(ids()[1]), true)));
    assert_eq!(
        told(&mut world, a),
        Some((None, false)),
        "where members are, strangers hold no home, nor they for it"
    );
}

#[test]
fn home_2_of_two_that_could_go_over_to_each_others_group_the_one_in_the_later_does() {
    for (mine, theirs, after) in [(0, 1, 0), (1, 0, 0)] {
        let mut world = world(both());
        // What makes this node begin in one of them.
        neighbour(&mut world, 3, &[mine]);
        let file = world.engine.files.values_mut().next().expect("it");
        file.together_in = Some(ids()[mine]);
        file.leave_swarm(&mut world.engine.core);
        world.run_for(200);
        let id = neighbour(&mut world, 2, &[0, 1]);
        join(&mut world, id, Some(theirs));
        let file = world.engine.files.values().next().expect("it");
        assert_eq!(file.swarm.as_ref().and_then(|swarm| swarm.group), Some(ids()[after]));
    }
}

#[test]
fn lookup_5_who_asks_members_only_asks_those_of_all_groups_and_nobody_else() {
    let mut world = World::new(&file(LEN, 1));
    let config = EngineConfig { groups: both().into_iter().collect(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world.origin.pace = Pace::steady(SLOW);
    let [a, b] = [(2, 0), (3, 1)].map(|(number, group)| neighbour(&mut world, number, &[group]));
    let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
    let wish = spec(&[sha256()]);
    world.submit(crate::job::JobSpec { ask: Ask::Members, ..wish });
    world.run_for(500);
    let asked =
        |world: &mut World, id| world.model(id).frames.iter().any(|frame| matches!(frame, Frame::Find(_)));
    assert_eq!([a, b, stranger].map(|id| asked(&mut world, id)), [true, true, false]);
}

#[test]
fn group_1_a_token_that_is_over_in_one_group_makes_nobody_a_stranger_in_the_other() {
    let mut world = world(both());
    let id = neighbour(&mut world, 2, &[0, 1]);
    let wish = Wish { not_after: NOW - 1, ..wish(peer_id(1)) };
    let over = GroupConfig { badge: badge(0, &wish), ..membership(0) };
    world.tell(Input::GroupsChanged([over, membership(1)].into_iter().collect()));
    let is_in = ids().map(|group| world.engine.core.is_member_of(id, group));
    assert_eq!((is_in, world.disconnected.len()), ([false, true], 0));
    assert!(world.engine.core.belongs());
}
