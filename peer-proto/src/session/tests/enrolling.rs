//! How an enroller is asked for tokens, and who may ask.

use super::groups::{carried, group, members};
use super::hello::hello_of;
use super::pair::*;
use crate::group::{
    EpochSecret, GrantFault, GroupName, HolderId, Membership, Roles, TicketSecret, Token, Wish,
};
use crate::session::{EnrolBy, HandedOn, ProtocolError, Session, SessionEvent};
use crate::sign::Signer;
use crate::time::Instant;
use crate::wire::{Enrol, Enrolled, Frame};

const NOW: Instant = Instant::ZERO;

fn greeted() -> (Session, Session) {
    let (mut mine, mut yours) = members();
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    (mine, yours)
}

fn membership() -> Membership {
    let group = Signer::of(&[9; 32]);
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer: me(),
        roles: Roles::FETCH,
        not_before: 0,
        not_after: 1,
        epoch: 0,
        serial: 0,
    };
    Membership {
        key: group.public_key(),
        epoch: 0,
        secret: EpochSecret([1; 32]),
        former: None,
        token: Token::grant(&group, &wish),
        denied: None,
        name: GroupName::sign(&group, "branch"),
        seal: None,
    }
    .sealed(&group)
}

#[test]
fn group_5_a_member_asks_for_a_token_and_is_answered_by_number() {
    let (mut mine, mut yours) = greeted();
    assert_eq!(mine.ask_enroller(EnrolBy::Member(group())), Some(1));
    let asked = carried(&mut mine, &mut yours, NOW);
    let is_asked = |event: &SessionEvent| {
        matches!(event, SessionEvent::HandedOn(HandedOn::EnrolAsked { number: 1, by: EnrolBy::Member(_) }))
    };
    assert!(asked.len() == 1 && asked.iter().all(is_asked), "{asked:?}");
    yours.show_enrolled(1, Ok(membership().invitation().unwrap()));
    let answered = carried(&mut yours, &mut mine, NOW);
    let [SessionEvent::HandedOn(HandedOn::Enrolled { number: 1, given: Ok(given) })] = &answered[..] else {
        panic!("{answered:?}")
    };
    assert_eq!(**given, membership());
    // Once: whatever comes after it is not heard; what was never asked for breaks the protocol.
    yours.show_enrolled(1, Err(GrantFault::Denied));
    assert!(carried(&mut yours, &mut mine, NOW).is_empty());
    let unasked = Frame::Enrolled(Enrolled { number: 2, given: Err(GrantFault::Denied) });
    assert_eq!(mine.handle_frame(unasked, NOW), Err(ProtocolError::UnaskedAnswer { number: 2 }));
}

#[test]
fn group_8_who_knows_no_names_of_groups_is_given_none() {
    for (version, is_named) in [(8, false), (9, true)] {
        let mut alone = Alone::new();
        alone.take(hello_of(1, version)).unwrap();
        alone.frames();
        alone.take(Frame::Enrol(Enrol { number: 1, ticket: Some([3; 32]), group: None })).unwrap();
        alone.session.show_enrolled(1, Ok(membership().invitation().unwrap()));
        alone.poll();
        let [Frame::Enrolled(Enrolled { given: Ok(bytes), .. })] = &alone.frames()[..] else {
            panic!("no answer")
        };
        let name = membership().name.filter(|_| is_named);
        assert_eq!(Membership::invited(bytes), Some(Membership { name, ..membership() }));
    }
}

#[test]
fn group_5_what_is_no_invitation_breaks_the_protocol() {
    let mut forged = membership().invitation().unwrap().to_vec();
    forged[40] ^= 1;
    for bytes in [forged, vec![7; 90]] {
        let (mut mine, _) = greeted();
        mine.ask_enroller(EnrolBy::Member(group()));
        let answer = Frame::Enrolled(Enrolled { number: 1, given: Ok(bytes.into()) });
        assert_eq!(mine.handle_frame(answer, NOW), Err(ProtocolError::NoInvitation));
    }
}

#[test]
fn group_4_a_stranger_is_heard_with_a_ticket_only() {
    let mut alone = Alone::new();
    alone.take(hello_of(1, 6)).unwrap();
    alone.frames();
    alone.events();
    alone.take(Frame::Enrol(Enrol { number: 1, ticket: None, group: None })).unwrap();
    assert!(alone.frames().is_empty() && alone.events().is_empty());
    assert_eq!(alone.session.ask_enroller(EnrolBy::Member(group())), None);
    alone.take(Frame::Enrol(Enrol { number: 2, ticket: Some([3; 32]), group: None })).unwrap();
    let events = alone.events();
    let [SessionEvent::HandedOn(HandedOn::EnrolAsked { number: 2, by: EnrolBy::Ticket(secret) })] =
        events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(secret, TicketSecret([3; 32]));
    assert_eq!(alone.session.ask_enroller(EnrolBy::Ticket(secret)), Some(1));
    let again = Frame::Enrol(Enrol { number: 2, ticket: Some([3; 32]), group: None });
    assert_eq!(alone.take(again), Err(ProtocolError::NumberGoesBack { number: 2 }));
}

#[test]
fn group_4_nodes_of_older_versions_are_not_asked() {
    let mut alone = Alone::new();
    alone.take(hello_of(1, 5)).unwrap();
    assert_eq!(alone.session.ask_enroller(EnrolBy::Ticket(TicketSecret([3; 32]))), None);
}

#[test]
fn group_4_more_than_two_questions_a_second_are_refused() {
    let mut alone = Alone::new();
    alone.take(hello_of(1, 6)).unwrap();
    alone.frames();
    for number in 1..=5 {
        alone.take(Frame::Enrol(Enrol { number, ticket: Some([3; 32]), group: None })).unwrap();
    }
    let asked = alone.events().iter().filter(|event| matches!(event, SessionEvent::HandedOn(_))).count();
    let busy =
        |frame: &Frame| matches!(frame, Frame::Enrolled(Enrolled { given: Err(GrantFault::Busy), .. }));
    assert_eq!((asked, alone.frames().iter().filter(|frame| busy(frame)).count()), (2, 3));
}
