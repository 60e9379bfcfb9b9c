//! Peers that are refused for a while: how long, who is counted, what is shown of them.

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::session::RefuseReason;
use peer_proto::time::Instant;

use super::groups::{member, world as world_of_a_member};
use super::world::*;
use crate::engine::core::Core;
use crate::engine::io::Input;
use crate::engine::peers::{BAN_FIRST, BAN_MAX, ERROR_BACK_OFF, PeerView, REFUTED_FOR};

const BANS_MAX: u16 = 1_024;

fn many(number: u16) -> PeerId {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    key[31] = 0xbb;
    PeerId::from_public_key(key)
}

/// A node beside one peer, and its inner half.
fn world() -> (World, PeerId) {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let peer = world.peer(2, &truth, sha256(), 1_000);
    (world, peer)
}

fn at(core: &mut Core, when: Duration) {
    core.now.monotonic = Instant::ZERO.after(when);
}

/// For how long a peer is refused after each of its faults, if it comes back at once when it may.
fn refusals(count: usize, fault: impl Fn(&mut Core, PeerId)) -> Vec<Duration> {
    let (mut world, peer) = world();
    let core = &mut world.engine.core;
    let (mut now, mut spans) = (Duration::ZERO, Vec::new());
    for _ in 0..count {
        fault(core, peer);
        let until = core.peers.banned_until(peer, core.time()).expect("it is refused");
        spans.push(until.since(core.time()));
        now += until.since(core.time());
        at(core, now.saturating_sub(Duration::from_micros(1)));
        assert!(core.peers.banned_until(peer, core.time()).is_some(), "to the end");
        at(core, now);
        assert_eq!(core.peers.banned_until(peer, core.time()), None);
    }
    spans
}

#[test]
fn trust_8_each_lie_costs_twice_as_long_up_to_a_day() {
    let spans = refusals(10, |core, peer| core.ban(peer, "a lie"));
    assert_eq!(spans[..7], [1, 2, 4, 8, 16, 32, 64].map(|times| BAN_FIRST * times));
    assert_eq!(spans[7..], [128, 144, 144].map(|times| BAN_FIRST * times));
    assert_eq!(spans[9], BAN_MAX);
}

#[test]
fn wire_9_each_protocol_error_costs_twice_as_long_from_a_minute_on() {
    let spans = refusals(4, |core, peer| core.back_off(peer, "not understood"));
    assert_eq!(spans, [1, 2, 4, 8].map(|times| ERROR_BACK_OFF * times));
}

fn shown(world: &World, peer: PeerId) -> Option<PeerView> {
    world.engine.peer_views().into_iter().find(|view| view.peer == peer)
}

#[test]
fn a_banned_peer_is_shown_with_its_address_until_its_ban_is_over_and_counted_only_for_a_lie() {
    let (mut world, peer) = world();
    world.run_for(50);
    assert!(shown(&world, peer).is_some_and(|view| view.connected && view.banned_for_s.is_none()));
    world.engine.core.back_off(peer, "not understood");
    assert_eq!(world.engine.totals().banned_peers, 0, "that is no lie");
    world.engine.core.ban(peer, "a lie");
    assert_eq!(world.engine.totals().banned_peers, 1);
    world.run_for(10);
    let view = shown(&world, peer).expect("it is shown");
    assert_eq!((view.address.as_str(), view.connected, view.near), ("10.0.0.2", false, false));
    assert_eq!(view.banned_for_s, Some(1_200), "its second fault");
    let core = &world.engine.core;
    let end = core.peers.banned_until(peer, core.time()).expect("it is refused").since(Instant::ZERO);
    at(&mut world.engine.core, end.saturating_sub(Duration::from_secs(1)));
    assert_eq!(shown(&world, peer).and_then(|view| view.banned_for_s), Some(2), "rounded up");
    at(&mut world.engine.core, end);
    assert_eq!(shown(&world, peer), None);
    assert_eq!(world.engine.totals().banned_peers, 0);
}

#[test]
fn a_peer_that_is_refused_and_gone_is_not_punished_twice_for_what_came_late() {
    let (mut world, peer) = world();
    world.engine.core.ban(peer, "a lie");
    world.run_for(10);
    let until = world.engine.core.peers.banned_until(peer, Instant::ZERO);
    world.engine.core.ban(peer, "what it sent before it went");
    assert_eq!(world.engine.core.peers.banned_until(peer, Instant::ZERO), until);
}

#[test]
fn of_a_thousand_bans_those_that_are_over_make_room_and_no_other() {
    let (mut world, _) = world();
    let core = &mut world.engine.core;
    for number in 0..BANS_MAX {
        core.ban(many(number), "a lie");
    }
    core.ban(many(2_000), "a lie");
    assert_eq!(core.peers.banned_count(core.time()), u64::from(BANS_MAX), "there is no room");
    assert_eq!(core.totals.banned_peers, u64::from(BANS_MAX));
    at(core, BAN_FIRST);
    core.ban(many(2_000), "a lie");
    assert_eq!(core.peers.banned_count(core.time()), 1);
    assert!(core.peers.banned_until(many(2_000), core.time()).is_some());
}

#[test]
fn claim_4_a_refuted_author_is_not_believed_for_an_hour() {
    let (mut world, peer) = world();
    let core = &mut world.engine.core;
    core.peers.refute(peer, Instant::ZERO);
    for number in 0..2 * BANS_MAX {
        core.peers.refute(many(number), Instant::ZERO);
    }
    let after = |ms| Instant::ZERO.after(REFUTED_FOR.saturating_sub(Duration::from_millis(ms)));
    assert!(core.peers.is_refuted(peer, after(1)) && !core.peers.is_refuted(peer, after(0)));
    assert!(core.peers.is_refuted(many(BANS_MAX - 2), after(1)));
    assert!(!core.peers.is_refuted(many(BANS_MAX - 1), after(1)), "there was no room for it");
    core.peers.refute(many(5_000), after(0));
    assert!(core.peers.is_refuted(many(5_000), after(0)), "those that are over make room");
}

#[test]
fn a_peer_that_lacks_the_file_is_asked_again_after_two_four_and_then_eight_seconds() {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(10_000);
    let peer = world.peer(2, &truth, sha256(), 1_000);
    world.model(peer).digest = None;
    world.submit(spec(&[sha256()]));
    let (mut asked, mut times) = (0, Vec::new());
    while world.ms < 40_000 {
        world.run_for(10);
        if world.model(peer).asked > asked {
            asked = world.model(peer).asked;
            times.push(world.ms);
        }
    }
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0] + 50) / 1_000).collect();
    assert_eq!(pauses[..4], [2, 4, 8, 8]);
}

#[test]
fn what_a_peer_gave_is_counted_from_its_last_connection_on() {
    let (mut world, peer) = world();
    world.run_for(50);
    world.engine.core.peers.get_mut(peer).expect("there").bytes_in = 7;
    assert_eq!(shown(&world, peer).map(|view| view.bytes_in), Some(7));
    world.connect_again(peer, false);
    assert_eq!(shown(&world, peer).map(|view| (view.bytes_in, view.near)), Some((0, false)));
}

#[test]
fn bans_and_what_was_held_against_a_peer_are_kept_for_the_next_run() {
    let (mut world, peer) = world();
    world.engine.core.ban(peer, "a lie");
    at(&mut world.engine.core, BAN_FIRST - Duration::from_secs(100));
    let kept = world.engine.bans();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].peer, kept[0].strikes, kept[0].lied, kept[0].left_s), (peer, 1, true, 100));

    let (mut next, peer) = self::world();
    kept.into_iter().for_each(|ban| next.tell(Input::BanFound(ban)));
    let core = &mut next.engine.core;
    assert_eq!(
        core.peers.banned_until(peer, core.time()),
        Some(Instant::ZERO.after(Duration::from_secs(100)))
    );
    assert_eq!((core.totals.banned_peers, core.peers.banned_count(core.time())), (1, 1));
    at(core, Duration::from_secs(100));
    assert_eq!(core.peers.banned_until(peer, core.time()), None);
    core.ban(peer, "another lie");
    let until = core.peers.banned_until(peer, core.time()).expect("it is refused");
    assert_eq!(until.since(core.time()), 2 * BAN_FIRST, "it is its second");

    let (mut full, _) = self::world();
    for number in 0..BANS_MAX + 10 {
        let ban = crate::engine::io::KeptBan {
            peer: many(number),
            address: String::new(),
            strikes: 1,
            lied: true,
            left_s: u64::MAX,
        };
        full.tell(Input::BanFound(ban));
    }
    let core = &mut full.engine.core;
    assert_eq!(core.totals.banned_peers, u64::from(BANS_MAX));
    assert_eq!(core.peers.banned_until(many(0), core.time()), Some(Instant::ZERO.after(BAN_MAX)));
}

#[test]
fn claim_4_who_was_refuted_is_not_believed_for_an_hour() {
    let (mut world, peer) = world();
    let peers = &mut world.engine.core.peers;
    peers.refute(peer, Instant::ZERO);
    let minutes = |minutes: u64| Instant::ZERO.after(Duration::from_secs(minutes * 60));
    assert_eq!([0, 59, 60].map(|at| peers.is_refuted(peer, minutes(at))), [true, true, false]);
}

/// In the middle of a job, the fast one of two holders first; its address is 10.0.0.2.
fn two_holders() -> (World, [PeerId; 2]) {
    let truth = file(64 * MIB, 1);
    let mut world = World::new(&truth);
    let [fast, slow] = [(2, 2_000_000), (3, 200_000)]
        .map(|(number, rate)| world.peer(number, &truth, root_digest(&truth), rate));
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(5_000);
    assert_eq!(in_order(&world), [fast, slow]);
    (world, [fast, slow])
}

/// Who may be asked, in order.
fn in_order(world: &World) -> Vec<PeerId> {
    let engine = &world.engine;
    engine.files.values().next().expect("one is on its way").holders(&engine.core)
}

/// So many ids come from this address and lie.
fn lie_at(world: &mut World, address: &str, numbers: std::ops::Range<u16>) {
    for peer in numbers.map(many) {
        let (address, nonce) = (address.to_owned(), [9; 16]);
        world.tell(Input::PeerConnected { peer, address, near: true, link: None, nonce });
        world.engine.core.ban(peer, "a lie");
    }
}

#[test]
fn trust_9_three_banned_ids_put_a_stranger_at_their_address_last_for_as_long_as_the_third_is_banned() {
    let (mut world, [fast, slow]) = two_holders();
    lie_at(&mut world, "10.0.0.2", 0..2);
    lie_at(&mut world, "10.0.0.9", 10..20);
    assert_eq!(in_order(&world), [fast, slow], "two are no crowd, and others' addresses are not its own");
    lie_at(&mut world, "10.0.0.2", 2..3);
    assert_eq!(in_order(&world), [slow, fast], "last, and not refused");
    let core = &world.engine.core;
    let end = core.time().after(BAN_FIRST).since(Instant::ZERO);
    at(&mut world.engine.core, end.saturating_sub(Duration::from_micros(1)));
    assert_eq!(in_order(&world), [slow, fast]);
    at(&mut world.engine.core, end);
    assert_eq!(in_order(&world), [fast, slow]);
}

#[test]
fn trust_9_a_member_does_not_come_last_for_the_liars_at_its_address() {
    let mut world = world_of_a_member();
    let member = member(&mut world, 2);
    let truth = world.truth.clone();
    let stranger = world.peer(3, &truth, sha256(), 1_000);
    let come_last = |world: &World| [stranger, member].map(|peer| world.engine.core.comes_last(peer));
    assert_eq!(come_last(&world), [false, false]);
    lie_at(&mut world, "10.0.0.3", 0..3);
    // The address of a peer in these worlds is the first byte of its id.
    let address = format!("10.0.0.{}", member.public_key()[0]);
    lie_at(&mut world, &address, 3..6);
    assert_eq!(come_last(&world), [true, false], "whose token was checked is known by more than its address");
}

#[test]
fn trust_9_who_lacked_what_it_said_it_holds_eight_times_in_ten_minutes_is_asked_last() {
    let (mut world, [fast, slow]) = two_holders();
    let lacks = |world: &mut World, times: u32| {
        let now = world.engine.core.time();
        (0..times).for_each(|_| world.engine.core.peers.lacked(fast, now));
        in_order(world)
    };
    assert_eq!(lacks(&mut world, 1), [fast, slow]);
    let ten_minutes = world.engine.core.time().after(Duration::from_secs(600)).since(Instant::ZERO);
    at(&mut world.engine.core, ten_minutes.saturating_sub(Duration::from_secs(1)));
    assert_eq!(lacks(&mut world, 6), [fast, slow]);
    assert_eq!(lacks(&mut world, 1), [slow, fast], "the eighth");
    at(&mut world.engine.core, ten_minutes);
    assert_eq!(in_order(&world), [fast, slow], "the first is forgotten");
    assert_eq!(lacks(&mut world, 1), [slow, fast]);
    assert_eq!(world.engine.totals().banned_peers, 0, "it is no lie");
}

#[test]
fn trust_9_a_refusal_of_what_is_not_held_any_more_counts() {
    let (mut world, [fast, _]) = two_holders();
    let now = world.engine.core.time();
    (0..7).for_each(|_| world.engine.core.peers.lacked(fast, now));
    assert!(!world.engine.core.comes_last(fast));
    for request in std::mem::take(&mut world.model(fast).wanted) {
        world.model(fast).session.refuse(request, RefuseReason::NotHeld, now);
    }
    world.pump_and_tell(fast);
    assert!(world.engine.core.comes_last(fast));
}
