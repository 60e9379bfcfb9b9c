//! Tickets as the engine sees them: shown to one node only, spent by the hands, answered once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::group::{
    Badge, EpochSecret, GrantFault, HolderId, Membership, Roles, TicketSecret, Token, Wish,
};
use peer_proto::peer::PeerId;
use peer_proto::session::EnrolBy;
use peer_proto::wire::{Enrol, Enrolled, Frame};

use super::groups::*;
use super::world::*;
use crate::engine::GroupConfig;
use crate::engine::io::{Input, TicketFact, TicketFault, TicketWork};

const SECRET: TicketSecret = TicketSecret([5; 32]);

/// What makes the node an enroller.
fn enroller() -> GroupConfig {
    let roles = Roles::FETCH.and(Roles::SERVE).and(Roles::ENROL);
    let own = Wish { holder: HolderId([1; 16]), roles, ..wish(peer_id(1)) };
    let own = Membership {
        key: group().public_key(),
        epoch: 1,
        secret: EpochSecret([7; 32]),
        former: None,
        token: Token::grant(&group(), &own),
        denied: None,
        name: None,
        seal: None,
    }
    .sealed(&group());
    let badge = Badge { token: own.token.clone(), secret: EpochSecret([7; 32]), former: None };
    GroupConfig { badge: Arc::new(badge), enroller: Some(Arc::new(own)), ..membership() }
}

/// A node in no group, and somebody it knows nothing of.
fn stranger(world: &mut World, number: u8) -> PeerId {
    let list = file(LEN, 1);
    world.peer(number, &list, root_digest(&file(LEN, 2)), 1)
}

fn alone() -> World {
    World::new(&file(LEN, 1))
}

/// What a peer was shown.
fn shown(world: &mut World, id: PeerId) -> Vec<Enrol> {
    let frames = world.model(id).frames.iter();
    let shown = frames.filter_map(|frame| match frame {
        Frame::Enrol(ask) => Some(ask.clone()),
        _ => None,
    });
    shown.collect()
}

fn answers(world: &mut World, id: PeerId) -> Vec<Result<Bytes, GrantFault>> {
    let frames = world.model(id).frames.iter();
    let answers = frames.filter_map(|frame| match frame {
        Frame::Enrolled(Enrolled { given, .. }) => Some(given.clone()),
        _ => None,
    });
    answers.collect()
}

fn redeem(world: &mut World, enroller: PeerId, within_s: u64) {
    let until = world.now().monotonic.after(Duration::from_secs(within_s));
    world.tell(Input::Ticket(TicketFact::Redeem { enroller, secret: SECRET, until }));
}

#[test]
fn group_4_a_ticket_is_shown_to_its_enroller_when_it_is_there_and_to_nobody_else() {
    let mut world = alone();
    let other = stranger(&mut world, 2);
    let at = peer_id(3);
    redeem(&mut world, at, 30);
    world.run_for(1_000);
    let enroller = stranger(&mut world, 3);
    assert_eq!(shown(&mut world, enroller), [Enrol { number: 1, ticket: Some(SECRET.0), group: None }]);
    assert!(shown(&mut world, other).is_empty());
    world.model(enroller).session.show_enrolled(1, Err(GrantFault::UsedUp));
    world.pump_and_tell(enroller);
    let [TicketWork::Answered(Err(TicketFault::Refused(GrantFault::UsedUp)))] = world.tickets[..] else {
        panic!("{:?}", world.tickets)
    };
}

#[test]
fn group_4_what_an_enroller_gives_for_a_ticket_is_handed_over_once() {
    let mut world = alone();
    let at = stranger(&mut world, 3);
    redeem(&mut world, at, 30);
    let given = membership_for(1);
    world.model(at).session.show_enrolled(1, Ok(given.invitation().expect("sealed")));
    world.pump_and_tell(at);
    let [TicketWork::Answered(Ok(answered))] = &world.tickets[..] else { panic!("{:?}", world.tickets) };
    assert_eq!(**answered, given);
    assert!(world.offers.is_empty(), "whoever asked takes it");
}

/// What an enroller would give this node.
fn membership_for(number: u8) -> Membership {
    Membership {
        key: group().public_key(),
        epoch: 1,
        secret: EpochSecret([7; 32]),
        former: None,
        token: Token::grant(&group(), &wish(peer_id(number))),
        denied: None,
        name: None,
        seal: None,
    }
    .sealed(&group())
}

#[test]
fn group_4_a_ticket_whose_enroller_comes_too_late_is_not_shown() {
    let mut world = alone();
    redeem(&mut world, peer_id(3), 30);
    world.run_for(30_100);
    let late = stranger(&mut world, 3);
    assert!(shown(&mut world, late).is_empty() && world.tickets.is_empty());
}

#[test]
fn group_4_a_ticket_is_shown_again_in_another_session_if_its_answer_was_lost() {
    let mut world = alone();
    let at = stranger(&mut world, 3);
    redeem(&mut world, at, 30);
    assert_eq!(shown(&mut world, at).len(), 1);
    world.tell(Input::PeerLost { peer: at });
    let at = stranger(&mut world, 3);
    assert_eq!(shown(&mut world, at).len(), 1);
}

#[test]
fn group_4_an_enroller_answers_when_the_hands_have_spent_the_ticket() {
    let mut world = world();
    world.tell(Input::GroupsChanged(Some(enroller()).into()));
    let guest = stranger(&mut world, 4);
    assert_eq!(world.model(guest).session.ask_enroller(EnrolBy::Ticket(SECRET)), Some(1));
    world.pump_and_tell(guest);
    let [TicketWork::Spend { peer, number, secret }] = world.tickets[..] else {
        panic!("{:?}", world.tickets)
    };
    assert_eq!((peer, number, secret), (guest, 1, SECRET));
    assert!(answers(&mut world, guest).is_empty(), "not before");
    assert_eq!(world.model(guest).session.ask_enroller(EnrolBy::Ticket(SECRET)), Some(2));
    world.pump_and_tell(guest);
    assert_eq!(answers(&mut world, guest), [Err(GrantFault::Busy)], "one at a time");
    let spent = |given| Input::Ticket(TicketFact::Spent { peer, number, given });
    world.tell(spent(Err(GrantFault::TicketOver)));
    world.tell(spent(Err(GrantFault::TicketOver)));
    assert_eq!(answers(&mut world, guest), [Err(GrantFault::Busy), Err(GrantFault::TicketOver)]);
}

#[test]
fn group_4_an_answer_for_a_session_that_is_gone_goes_nowhere() {
    let mut world = world();
    world.tell(Input::GroupsChanged(Some(enroller()).into()));
    let guest = stranger(&mut world, 4);
    world.model(guest).session.ask_enroller(EnrolBy::Ticket(SECRET));
    world.pump_and_tell(guest);
    world.tell(Input::PeerLost { peer: guest });
    let guest = stranger(&mut world, 4);
    let given = Err(GrantFault::UsedUp);
    world.tell(Input::Ticket(TicketFact::Spent { peer: guest, number: 1, given }));
    assert!(answers(&mut world, guest).is_empty());
}

#[test]
fn group_4_whoever_is_no_enroller_knows_no_ticket() {
    for group in [None, Some(membership())] {
        let mut world = alone();
        if let Some(group) = group {
            world.tell(Input::GroupsChanged(Some(group).into()));
        }
        let guest = stranger(&mut world, 4);
        world.model(guest).session.ask_enroller(EnrolBy::Ticket(SECRET));
        world.pump_and_tell(guest);
        assert_eq!(answers(&mut world, guest), [Err(GrantFault::NoTicket)]);
        assert!(world.tickets.is_empty());
    }
}
