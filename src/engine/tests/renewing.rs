//! A member whose token is due, the enrollers it asks, and a node that is one.

use std::sync::Arc;

use bytes::Bytes;
use peer_proto::group::{
    Badge, DenyList, EpochSecret, GrantFault, HolderId, Membership, Offer, Roles, Token, Wish,
};
use peer_proto::peer::PeerId;
use peer_proto::session::EnrolBy;
use peer_proto::sign::Signer;
use peer_proto::wire::{Enrolled, Frame, Newest};

use super::groups::*;
use super::world::*;
use crate::engine::GroupConfig;
use crate::engine::event::Event;
use crate::engine::io::Input;

const DAY: u64 = 24 * 60 * 60;

fn usual() -> Roles {
    Roles::FETCH.and(Roles::SERVE)
}

/// The node's own membership, whose token lives from `since` seconds ago for so long.
fn member_since(since: u64, life: u64) -> GroupConfig {
    let (not_before, not_after) = (NOW - since, NOW - since + life);
    let token = Token::grant(&group(), &Wish { not_before, not_after, ..wish(peer_id(1)) });
    let badge = Badge { token, secret: EpochSecret([7; 32]), former: None };
    GroupConfig { badge: Arc::new(badge), ..membership() }
}

/// A world in which half of the node's token is over, and nobody else.
fn due() -> World {
    let mut world = world();
    set(&mut world, member_since(16 * DAY, 30 * DAY));
    world
}

fn set(world: &mut World, group: GroupConfig) {
    world.tell(Input::GroupsChanged(Some(group).into()));
}

fn enroller_wish(number: u8) -> Wish {
    let peer = key(number).peer();
    let holder = HolderId([number; 16]);
    Wish { holder, roles: usual().and(Roles::ENROL), not_after: NOW + 29 * DAY, ..wish(peer) }
}

fn enroller(world: &mut World, number: u8) -> PeerId {
    neighbour(world, &enroller_wish(number))
}

/// What an enroller was handed by whoever runs the group.
fn handed(number: u8) -> Membership {
    Membership {
        key: group().public_key(),
        epoch: 1,
        secret: EpochSecret([7; 32]),
        former: None,
        token: Token::grant(&group(), &enroller_wish(number)),
        denied: None,
        name: None,
        seal: None,
    }
    .sealed(&group())
}

/// The numbers under which a neighbour was asked for a token.
fn asked(world: &mut World, id: PeerId) -> Vec<u32> {
    let frames = world.model(id).frames.iter();
    let asked = frames.filter_map(|frame| match frame {
        Frame::Enrol(ask) => {
            assert_eq!(ask.ticket, None);
            Some(ask.number)
        }
        _ => None,
    });
    asked.collect()
}

fn answers(world: &mut World, id: PeerId, given: Result<Bytes, GrantFault>) {
    let number = *asked(world, id).last().expect("it was asked");
    world.model(id).session.show_enrolled(number, given);
    world.pump_and_tell(id);
}

/// What an enroller gives the node for this token.
fn given(number: u8, token: &Token) -> Bytes {
    let given = handed(number).renew(&key(number), token, NOW).expect("it may be given");
    given.invitation().expect("sealed")
}

fn own_token(world: &World) -> Token {
    let group = only(&world.engine.core.config.groups);
    group.badge.token.clone()
}

fn offered(world: &World) -> Vec<Wish> {
    let wish = |offer: &Offer| match offer {
        Offer::Invitation(given) => *given.token.wish(),
        Offer::Denied(_) => panic!("a token"),
    };
    world.offers.iter().map(wish).collect()
}

#[test]
fn group_5_a_token_that_is_due_is_renewed_at_an_enroller_and_at_nobody_else() {
    let mut world = due();
    let ordinary = member(&mut world, 2);
    let given_one =
        neighbour(&mut world, &Wish { roles: Roles::FETCH.and(Roles::CACHE), ..wish(key(4).peer()) });
    let one = enroller(&mut world, 3);
    assert_eq!(asked(&mut world, one), [1]);
    assert!(asked(&mut world, ordinary).is_empty() && asked(&mut world, given_one).is_empty());
    let before = own_token(&world);
    answers(&mut world, one, Ok(given(3, &before)));
    let [after] = offered(&world)[..] else { panic!("{:?}", world.offers) };
    assert_eq!((after.holder, after.roles, after.peer), (before.wish().holder, usual(), peer_id(1)));
    assert!(after.not_after > before.wish().not_after && after.serial > before.wish().serial);
    // When it counts there is nothing to ask for any more.
    set(&mut world, member_since(600, 30 * DAY));
    world.run_for(70_000);
    assert_eq!(asked(&mut world, one), [1]);
    assert_eq!(world.engine.renewal_fault(membership().id()), None);
}

#[test]
fn group_5_a_token_is_due_when_half_of_its_life_is_over() {
    let mut world = world();
    set(&mut world, member_since(10, 30));
    let one = enroller(&mut world, 3);
    world.run_for(4_000);
    assert!(asked(&mut world, one).is_empty());
    world.run_for(2_000);
    assert_eq!(asked(&mut world, one), [1]);
}

#[test]
fn group_5_whoever_is_silent_or_says_no_is_passed_over_and_asked_again_after_a_minute_then_two() {
    let mut world = due();
    let [one, other] = [3, 5].map(|number| enroller(&mut world, number));
    assert_eq!((asked(&mut world, one).len(), asked(&mut world, other).len()), (1, 0));
    world.run_for(5_100);
    assert_eq!(asked(&mut world, other), [1], "the first was silent");
    answers(&mut world, other, Err(GrantFault::Roles));
    let fault = world.engine.renewal_fault(membership().id()).expect("it failed").to_string();
    assert!(fault.contains(&other.to_string()) && fault.contains("was not given"), "{fault}");
    let asked_in_all = |world: &mut World| asked(world, one).len() + asked(world, other).len();
    world.run_for(55_000);
    assert_eq!(asked_in_all(&mut world), 2);
    world.run_for(10_000);
    assert!(asked_in_all(&mut world) > 2, "a minute after all had failed");
    world.run_for(10_000);
    assert_eq!(asked_in_all(&mut world), 4);
    world.run_for(100_000);
    assert_eq!(asked_in_all(&mut world), 4, "two minutes now");
    world.run_for(30_000);
    assert_eq!(asked_in_all(&mut world), 6);
    // An enroller that was not there is asked at once.
    let third = enroller(&mut world, 6);
    assert!(asked(&mut world, third).len() + asked_in_all(&mut world) > 6);
}

#[test]
fn group_5_another_token_than_was_asked_for_is_not_taken() {
    let foreign = |mut world: World, change: &dyn Fn(&Token) -> Bytes| {
        let one = enroller(&mut world, 3);
        let own = own_token(&world);
        answers(&mut world, one, Ok(change(&own)));
        (world.offers.len(), world.engine.renewal_fault(membership().id()))
    };
    let with = |change: &'static dyn Fn(&mut Wish)| {
        move |own: &Token| {
            let mut wish =
                Wish { not_before: NOW - 600, not_after: NOW + 20 * DAY, serial: 99, ..*own.wish() };
            change(&mut wish);
            let token = Token::delegate(&handed(3).token, &key(3), &wish).expect("an enroller");
            Membership { token, ..handed(3) }.invitation().expect("sealed")
        }
    };
    assert_eq!(foreign(due(), &with(&|_| {})).0, 1, "as it should be");
    for change in [
        with(&|wish| wish.holder = HolderId([9; 16])),
        with(&|wish| wish.roles = Roles::FETCH),
        with(&|wish| wish.peer = peer_id(4)),
        with(&|wish| wish.serial = 1),
        with(&|wish| wish.not_after = NOW + DAY),
        with(&|wish| wish.not_after = NOW + 40 * DAY),
        with(&|wish| wish.not_before = NOW + DAY),
    ] {
        let (taken, fault) = foreign(due(), &change);
        assert!(taken == 0 && fault.is_some(), "{fault:?}");
    }
    let other_group = |own: &Token| {
        let theirs = Signer::of(&[91; 32]);
        let token = Token::grant(&theirs, &Wish { not_after: NOW + 20 * DAY, serial: 99, ..*own.wish() });
        let member = Membership { key: theirs.public_key(), token, ..handed(3) }.sealed(&theirs);
        member.invitation().expect("sealed")
    };
    assert_eq!(foreign(due(), &other_group).0, 0);
}

#[test]
fn group_7_an_enroller_with_a_newer_epoch_is_asked_though_the_token_is_young() {
    let mut world = world();
    set(&mut world, member_since(600, 30 * DAY));
    let [one, other] = [3, 5].map(|number| enroller(&mut world, number));
    let ordinary = member(&mut world, 2);
    let tells = |world: &mut World, id, epoch| {
        world.model(id).session.show_newest(Newest {
            group: Some(membership().id()),
            epoch,
            denied: 0,
            denied_len: 0,
        });
        world.pump_and_tell(id);
    };
    tells(&mut world, ordinary, 2);
    tells(&mut world, one, 1);
    world.run_for(1_000);
    assert!(asked(&mut world, one).is_empty() && asked(&mut world, other).is_empty());
    tells(&mut world, other, 2);
    assert_eq!((asked(&mut world, one).len(), asked(&mut world, other).len()), (0, 1));
    let newer = Membership { epoch: 2, secret: EpochSecret([8; 32]), ..handed(5) }.sealed(&group());
    let own = own_token(&world);
    let renewed = newer.renew(&key(5), &own, NOW).expect("another epoch");
    answers(&mut world, other, Ok(renewed.invitation().expect("sealed")));
    assert_eq!(offered(&world).len(), 1);
}

#[test]
fn group_5_that_a_token_was_not_renewed_is_told_at_three_quarters_and_at_the_end() {
    let told = |world: &World| {
        let old = world.events.iter().filter_map(|event| match event {
            Event::TokenOld { is_over, reason, .. } => Some((*is_over, reason.clone())),
            _ => None,
        });
        old.collect::<Vec<_>>()
    };
    let mut world = world();
    set(&mut world, member_since(10, 20));
    world.run_for(4_000);
    assert!(told(&world).is_empty());
    world.run_for(2_000);
    let nobody = "no enroller of the group is connected".to_owned();
    assert_eq!(told(&world), [(false, nobody.clone())]);
    world.run_for(20_000);
    assert_eq!(told(&world), [(false, nobody.clone()), (true, nobody)]);
    // With the reason, if there is one.
    let mut world = due();
    let one = enroller(&mut world, 3);
    answers(&mut world, one, Err(GrantFault::NoLonger));
    set(&mut world, member_since(23 * DAY, 30 * DAY));
    world.run_for(100);
    let [(false, reason)] = &told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert!(reason.contains("has to renew"), "{reason}");
}

/// The node itself is an enroller.
fn enrolling() -> World {
    let mut world = world();
    let own = enroller_wish(1);
    let own = Membership { token: Token::grant(&group(), &own), ..handed(1) };
    let badge = Badge { token: own.token.clone(), secret: EpochSecret([7; 32]), former: None };
    set(&mut world, GroupConfig { badge: Arc::new(badge), enroller: Some(Arc::new(own)), ..membership() });
    world
}

/// What a neighbour is answered that asks for a token.
fn asks(world: &mut World, id: PeerId) -> Option<Result<Bytes, GrantFault>> {
    assert!(world.model(id).session.ask_enroller(EnrolBy::Member(membership().id())).is_some());
    world.pump_and_tell(id);
    let frames = world.model(id).frames.iter();
    let answers = frames.filter_map(|frame| match frame {
        Frame::Enrolled(Enrolled { given, .. }) => Some(given.clone()),
        _ => None,
    });
    answers.last()
}

#[test]
fn group_5_an_enroller_renews_members_and_never_asks_itself() {
    let mut world = enrolling();
    let one = member(&mut world, 2);
    let bytes = asks(&mut world, one).expect("answered").expect("given");
    let given = Membership::invited(&bytes).expect("an invitation");
    assert_eq!((given.token.wish().peer, given.token.wish().roles), (key(2).peer(), usual()));
    assert_eq!(given.check(key(2).peer(), NOW), Ok(()));
    let other = enroller(&mut world, 3);
    world.run_for(1_000);
    assert!(asked(&mut world, other).is_empty());
    let beyond = Wish { roles: usual().and(Roles::CACHE), ..wish(key(4).peer()) };
    let beyond = neighbour(&mut world, &beyond);
    assert_eq!(asks(&mut world, beyond), Some(Err(GrantFault::Roles)));
}

#[test]
fn group_5_whoever_is_over_denied_or_a_stranger_is_not_answered() {
    let mut world = enrolling();
    let over = neighbour(&mut world, &Wish { not_after: NOW - 1, ..wish(key(2).peer()) });
    assert_eq!(asks(&mut world, over), None);
    let lost = neighbour(&mut world, &Wish { holder: HolderId([8; 16]), ..wish(key(4).peer()) });
    let list = DenyList::sign(&group(), 3, [HolderId([8; 16])].into());
    let group = only(&world.engine.core.config.groups);
    set(&mut world, GroupConfig { denied: list, ..group });
    assert_eq!(world.disconnected, [lost]);
    let again = neighbour(&mut world, &Wish { holder: HolderId([8; 16]), ..wish(key(6).peer()) });
    assert_eq!(asks(&mut world, again), None);
}

#[test]
fn group_3_a_member_that_is_no_enroller_says_so() {
    let mut world = world();
    let one = member(&mut world, 2);
    assert_eq!(asks(&mut world, one), Some(Err(GrantFault::NoEnroller)));
}
