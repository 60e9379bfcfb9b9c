//! A job that is kept to one of several groups: who is asked, whose word counts, what becomes of it without that group.

use peer_proto::group::{GroupId, Roles};
use peer_proto::peer::PeerId;
use peer_proto::wire::{Frame, FrameKind};

use super::attested::{attested, fetched, group, holder, kinds, said, why};
use super::groups::LEN;
use super::many::{both, groups_told, ids, join, membership, neighbour};
use super::many_attested::{in_other, other_holder, other_id, world_of_both};
use super::world::*;
use crate::engine::io::{Input, JobCommand};
use crate::engine::{Engine, EngineConfig};
use crate::job::{InGroup, JobChange, JobSpec, OneGroup, PeerFlags};

const SLOW: u64 = 100_000;

fn kept_to(spec: JobSpec, group: GroupId) -> JobSpec {
    JobSpec { group: Some(OneGroup(group)), ..spec }
}

/// A node of two groups that nobody has asked anything of yet.
fn world_of_two() -> World {
    let mut world = World::new(&file(LEN, 1));
    let config = EngineConfig { groups: both().into_iter().collect(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world.origin.pace = Pace::steady(SLOW);
    world
}

/// Whether a peer was told that the file is wanted.
fn knows(world: &mut World, id: PeerId) -> bool {
    let tells = |frame: &Frame| matches!(frame.kind(), FrameKind::Find | FrameKind::Interest);
    world.model(id).frames.iter().any(tells)
}

fn change(world: &mut World, group: Option<GroupId>) {
    let change = JobChange { group: Some(InGroup(group.map(OneGroup))), ..JobChange::default() };
    world.command(JobCommand::Change(Box::new(change)));
}

#[test]
fn group_8_and_lookup_5_a_job_of_one_group_is_asked_of_its_members_and_said_in_it() {
    let mut world = world_of_two();
    let [a, b, of_both] = [(2, &[0][..]), (3, &[1][..]), (4, &[0, 1][..])]
        .map(|(number, groups)| neighbour(&mut world, number, groups));
    let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
    world.submit(kept_to(spec(&[sha256()]), ids()[1]));
    world.run_for(300);
    // The others know the digest, and want the file as well.
    join(&mut world, a, Some(0));
    join(&mut world, of_both, Some(0));
    join(&mut world, b, Some(1));
    world.run_for(700);
    assert_eq!([a, b, of_both, stranger].map(|id| knows(&mut world, id)), [false, true, true, false]);
    let said = |frame: &Frame| match frame {
        Frame::Interest(interest) => Some(interest.group),
        Frame::Records(records) => Some(Some(records[0].head().group)),
        _ => None,
    };
    for id in [b, of_both] {
        let groups: Vec<_> = world.model(id).frames.iter().filter_map(said).collect();
        assert!(!groups.is_empty() && groups.iter().all(|group| *group == Some(ids()[1])), "{groups:?}");
    }
    assert!(!groups_told(&mut world, a).contains(&ids()[1]));
    let trust = world.view().trust;
    assert!(trust.contains(&format!("members of the group {}, and nobody else", ids()[1])), "{trust}");
    let file = world.engine.files.values().next().expect("it");
    let sources: Vec<PeerId> = file.sources.keys().copied().collect();
    assert!(sources.contains(&b) && !sources.contains(&a) && !sources.contains(&stranger), "{sources:?}");
}

#[test]
fn group_8_another_group_of_a_job_takes_it_from_the_members_of_the_one_before() {
    let mut world = world_of_two();
    let [a, b] = [(2, 0), (3, 1)].map(|(number, group)| neighbour(&mut world, number, &[group]));
    world.submit(kept_to(spec(&[sha256()]), ids()[1]));
    world.run_for(300);
    join(&mut world, b, Some(1));
    world.run_for(300);
    change(&mut world, Some(ids()[0]));
    world.run_for(100);
    join(&mut world, a, Some(0));
    world.run_for(300);
    let file = world.engine.files.values().next().expect("it");
    assert_eq!(file.swarm.as_ref().and_then(|swarm| swarm.group), Some(ids()[0]));
    assert!(file.sources.contains_key(&a) && !file.sources.contains_key(&b));
    assert!(world.model(b).frames.iter().any(|frame| frame.kind() == FrameKind::Leave), "it is told");
    // And of all there are.
    change(&mut world, None);
    world.run_for(3_000);
    assert!(world.view().trust.contains("peers on this link"), "{}", world.view().trust);
}

#[test]
fn group_8_a_job_whose_group_was_left_says_so_and_uses_no_peer_of_another() {
    let mut world = world_of_two();
    let [a, of_both] =
        [(2, &[0][..]), (4, &[0, 1][..])].map(|(number, groups)| neighbour(&mut world, number, groups));
    world.submit(kept_to(spec(&[sha256()]), ids()[1]));
    world.run_for(300);
    join(&mut world, of_both, Some(1));
    world.run_for(300);
    assert!(world.engine.files.values().next().expect("it").sources.contains_key(&of_both));
    world.tell(Input::GroupsChanged(Some(membership(0)).into()));
    let again = neighbour(&mut world, 4, &[0, 1]);
    [a, again].into_iter().for_each(|id| join(&mut world, id, Some(0)));
    world.run_for(1_000);
    assert!(!knows(&mut world, a));
    let file = world.engine.files.values().next().expect("it");
    assert!(file.sources.is_empty() && file.swarm.is_none());
    let words = "this machine is not in the group that the job is kept to";
    assert!(world.view().trust.contains(words), "{}", world.view().trust);
    world.origin.pace = Pace::steady(20_000_000);
    world.run(std::time::Duration::from_secs(900));
    assert!(why(&world).contains(words), "{}", why(&world));
    assert_eq!(world.view().bytes.origin, LEN, "the origin gives all of it");
}

#[test]
fn attest_10_attestors_of_another_group_count_for_nothing_where_a_job_is_kept_to_one() {
    let truth = file(8 * MIB, 1);
    let first = GroupId::of(&group().public_key());
    for (kept, is_believed) in [(other_id(), true), (first, false)] {
        let mut world = world_of_both(&truth, Roles::FETCH.and(Roles::SERVE));
        let vouches = other_holder(&mut world, 2, &truth, vec![in_other(3, &truth)]);
        let foreign = holder(&mut world, 4, &truth, Vec::new());
        world.submit(kept_to(spec(&[]), kept));
        let (peers, _) = fetched(&mut world);
        assert_eq!(peers > 0, is_believed, "{}", why(&world));
        let asked = |world: &mut World, id| kinds(world, id).contains(&FrameKind::AttestWant);
        assert_eq!(asked(&mut world, vouches), is_believed);
        assert_eq!(asked(&mut world, foreign), !is_believed);
    }
    // Two that deny each other would both not be believed, if both counted.
    let mut world = world_of_both(&truth, Roles::FETCH.and(Roles::SERVE));
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &altered(8 * MIB, 1, &[3])))]);
    other_holder(&mut world, 5, &truth, vec![in_other(4, &truth)]);
    world.submit(kept_to(spec(&[]), other_id()));
    assert!(fetched(&mut world).0 > 0, "{}", why(&world));
}

#[test]
fn attest_2_what_was_read_for_a_job_of_one_group_is_attested_in_that_one_only() {
    let truth = file(8 * MIB, 1);
    let mut world = world_of_both(&truth, Roles::ATTEST);
    world.origin.footing.is_own_anchor = false;
    world.submit(kept_to(spec(&[]), other_id()));
    assert_eq!(fetched(&mut world), (0, 8 * MIB));
    let groups: Vec<GroupId> = world.attested.iter().map(|one| one.said().group).collect();
    assert_eq!(groups, [other_id()]);
}
