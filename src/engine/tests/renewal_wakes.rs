//! When a node looks at its own token again, and whom it turns to when an enroller goes.

use std::sync::Arc;

use peer_proto::group::{Badge, EpochSecret, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::wire::Frame;

use super::groups::*;
use super::world::*;
use crate::engine::GroupConfig;
use crate::engine::io::Input;
use crate::engine::renew::RenewalFault;

const DAY: u64 = 24 * 60 * 60;
const HOUR: u64 = 60 * 60;
const USUAL: Roles = Roles::FETCH.and(Roles::SERVE);

/// A node with a token of thirty days that lives for so long already.
fn node(age_s: u64, roles: Roles) -> World {
    let mut world = world();
    let (not_before, not_after) = (NOW - age_s, NOW - age_s + 30 * DAY);
    let wish = Wish { not_before, not_after, roles, ..wish(peer_id(1)) };
    let badge = Badge { token: Token::grant(&group(), &wish), secret: EpochSecret([7; 32]), former: None };
    let group = GroupConfig { badge: Arc::new(badge), ..membership() };
    world.tell(Input::GroupsChanged(Some(group).into()));
    world
}

fn enroller(world: &mut World, number: u8) -> PeerId {
    let wish = Wish {
        holder: HolderId([number; 16]),
        roles: USUAL.and(Roles::ENROL),
        not_after: NOW + 29 * DAY,
        ..wish(key(number).peer())
    };
    neighbour(world, &wish)
}

fn asked(world: &World, id: PeerId) -> usize {
    world.peers[&id].frames.iter().filter(|frame| matches!(frame, Frame::Enrol(_))).count()
}

/// In how many seconds it looks at its token again.
fn looks_in_s(world: &World) -> Option<u64> {
    let at = world.engine.core.renewal_wake();
    (at < Instant::NEVER).then(|| at.since(world.now().monotonic).as_secs())
}

#[test]
fn group_5_a_token_is_looked_at_when_half_its_life_is_over_and_each_hour_until_then() {
    assert_eq!(looks_in_s(&node(DAY, USUAL)), Some(HOUR));
    assert_eq!(
        looks_in_s(&node(15 * DAY - 600, USUAL)),
        Some(600),
        "the wall clock is half a second further"
    );
    assert_eq!(looks_in_s(&node(15 * DAY - 600, USUAL.and(Roles::ENROL))), Some(HOUR), "its owner renews it");
}

#[test]
fn group_5_a_token_that_is_due_is_looked_at_when_somebody_may_answer_and_else_when_it_is_late() {
    assert_eq!(looks_in_s(&node(16 * DAY, USUAL)), Some(HOUR), "nobody is there to ask");
    let mut world = node(16 * DAY, USUAL);
    let id = enroller(&mut world, 3);
    assert_eq!((asked(&world, id), looks_in_s(&world)), (1, Some(5)), "it has five seconds");
    world.run_for(5_100);
    let rest = looks_in_s(&world).expect("it is asked again");
    assert!((50..=60).contains(&rest), "{rest}");
    let late = node(45 * DAY / 2 - 600, USUAL);
    assert_eq!(looks_in_s(&late), Some(600), "people are told at three quarters of its life");
}

#[test]
fn group_5_when_the_enroller_that_was_asked_goes_the_next_one_is_asked_without_waiting_for_it() {
    let mut world = node(16 * DAY, USUAL);
    let [one, other] = [3, 4].map(|number| enroller(&mut world, number));
    let (first, second) = if asked(&world, one) > 0 { (one, other) } else { (other, one) };
    assert_eq!(asked(&world, second), 0);
    world.lose(first);
    let fault = world.engine.renewal_fault(membership().id());
    assert_eq!(fault, Some(RenewalFault::Silent(first)));
    world.run_for(200);
    assert_eq!(asked(&world, second), 1);
}
