//! How sources are said to stand when something is decided: in words for people.

use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;

use super::world::*;
use crate::engine::file::JobFile;
use crate::engine::io::Input;
use crate::engine::why::{OriginStand, PeerStand, Scenery};
use crate::job::{JobSpec, PeerFlags};

const LEN: u64 = 16 * MIB;
const SLOW: u64 = 100_000;

/// A node that began to fetch a file that its job names by these digests.
fn fetching(flags: PeerFlags, spec: JobSpec) -> World {
    let mut world = World::with_flags(&file(LEN, 1), flags);
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec);
    world.run_for(500);
    world
}

fn named() -> World {
    fetching(PeerFlags::BOTH, spec(&[root_digest(&file(LEN, 1))]))
}

fn file_of(world: &World) -> &JobFile {
    world.engine.files.values().next().expect("one is on its way")
}

fn scenery(world: &World) -> Scenery {
    file_of(world).scenery(&world.engine.core)
}

/// How the only peer stands.
fn stand(world: &World) -> PeerStand {
    scenery(world).peers[0].1
}

/// A node beside one peer.
fn beside(change: impl FnOnce(&mut World, PeerId)) -> World {
    let mut world = named();
    let truth = std::sync::Arc::clone(&world.truth);
    let peer = world.peer(2, &truth, root_digest(&truth), SLOW);
    change(&mut world, peer);
    world
}

#[test]
fn why_an_origin_is_ready_unasked_waiting_or_dead() {
    assert_eq!(scenery(&named()).origin, OriginStand::Ready);
    let begun = |change: fn(&mut World)| {
        let mut world = World::new(&file(LEN, 1));
        change(&mut world);
        world.submit(spec(&[root_digest(&file(LEN, 1))]));
        world.run_for(300);
        scenery(&world).origin
    };
    assert_eq!(begun(|world| world.origin.silent = true), OriginStand::Unasked);
    let reset = OriginStand::Waits("connection reset".into());
    assert_eq!(begun(|world| world.origin.fault = Some(transient("connection reset", None))), reset);
    let gone = begun(|world| world.origin.fault = Some(fatal("404 Not Found")));
    assert_eq!(gone, OriginStand::Dead("404 Not Found".into()));
    let mut broken = named();
    broken.origin.fault = Some(transient("connection reset", None));
    broken.open_at_origin().into_iter().for_each(|lease| broken.break_off(lease));
    assert!(matches!(scenery(&broken).origin, OriginStand::Waits(_)), "it was up a moment ago");
}

#[test]
fn why_no_peer_is_asked_is_said_once_for_all_of_them() {
    let client_off = PeerFlags { client: false, server: true };
    let spec = spec(&[root_digest(&file(LEN, 1))]);
    let beside = |mut world: World| {
        let truth = std::sync::Arc::clone(&world.truth);
        world.peer(2, &truth, sha256(), SLOW);
        world.run_for(100);
        (scenery(&world), file_of(&world).why_alone(&world.engine.core))
    };
    for (flags, spec, why) in [
        (client_off, spec.clone(), "the computer's client flag is off"),
        (PeerFlags::BOTH, JobSpec { flags: client_off, ..spec.clone() }, "the job's client flag is off"),
    ] {
        let (scenery, alone) = beside(fetching(flags, spec));
        assert_eq!((scenery.origin, scenery.nobody, scenery.peers), (OriginStand::Ready, Some(why), vec![]));
        assert_eq!(alone, why);
    }
    let (scenery, alone) = beside(fetching(PeerFlags::BOTH, super::world::spec(&[])));
    assert!(scenery.nobody.is_some() && scenery.nobody == Some(alone), "nothing names the bytes: {alone}");
    let (scenery, alone) = beside(fetching(PeerFlags::BOTH, spec));
    assert_eq!((scenery.nobody, alone), (None, "no peer that may be asked holds it"));
    let lonely = named();
    assert_eq!(file_of(&lonely).why_alone(&lonely.engine.core), "no peer is connected");
}

#[test]
fn why_a_peer_without_the_file_has_not_said_hello_or_answered_or_lacks_it_or_was_refuted() {
    let mut world = named();
    let address = "10.0.0.9".to_owned();
    world.tell(Input::PeerConnected { peer: peer_id(9), address, near: true, link: None, nonce: [9; 16] });
    assert_eq!(stand(&world), PeerStand::NoHello);
    let lacks = |world: &mut World, peer| {
        world.model(peer).digest = None;
        world.run_for(100);
    };
    let mut world = beside(lacks);
    assert_eq!(stand(&world), PeerStand::Lacks);
    let id = file_of(&world).id;
    let peer = world.engine.core.peers.get_mut(peer_id(2)).expect("connected");
    peer.asks.insert(77, id);
    assert_eq!(stand(&world), PeerStand::Unanswered);
    let peer = world.engine.core.peers.get_mut(peer_id(2)).expect("connected");
    peer.asks.insert(77, crate::job::FileId { index: id.index + 1, ..id });
    assert_eq!(stand(&world), PeerStand::Lacks, "it was asked for another file");
    let now = world.now().monotonic;
    world.engine.core.peers.refute(peer_id(2), now);
    assert_eq!(stand(&world), PeerStand::Lacks, "a root would prove what it gives");
    world.engine.files.values_mut().next().expect("one is on its way").claims.root = None;
    assert_eq!(stand(&world), PeerStand::Refuted);
}

#[test]
fn why_a_peer_with_the_file_is_busy_or_waits_or_its_list_is_not_here() {
    let mut world = beside(|world, _| world.run_for(500));
    assert_eq!(stand(&world), PeerStand::Busy);
    let now = world.now().monotonic;
    for request in std::mem::take(&mut world.model(peer_id(2)).wanted) {
        world.model(peer_id(2)).session.refuse(request, RefuseReason::NotHeld, now);
    }
    world.pump_and_tell(peer_id(2));
    assert!(matches!(stand(&world), PeerStand::Waits(failures) if failures > 0), "{:?}", stand(&world));
    let world = beside(|world, peer| {
        world.model(peer).lists_held = Some(Vec::new());
        world.run_for(300);
    });
    assert_eq!(stand(&world), PeerStand::NoList);
}

#[test]
fn why_banned_peers_are_counted_and_named_with_the_others() {
    let mut world = beside(|world, _| world.run_for(100));
    world.engine.core.ban(peer_id(5), "a lie");
    assert_eq!(scenery(&world).banned, 1);
}

#[test]
fn why_of_many_peers_the_first_twelve_are_named_beside_the_one_that_was_chosen() {
    let mut world = named();
    let truth = std::sync::Arc::clone(&world.truth);
    for number in 10..30 {
        world.peer(number, &truth, sha256(), SLOW);
    }
    let ids: Vec<PeerId> = scenery(&world).peers.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (10..23).map(peer_id).collect::<Vec<_>>());
}
