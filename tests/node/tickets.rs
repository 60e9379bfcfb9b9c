//! Machines that become members by a ticket, at an enroller that runs.
//!
//! Knows: what whoever has a ticket is told. Does not know: what members do (`groups`).

use nearbits::node::{EnrolmentError, TicketError, TicketWish};
use peer_proto::group::{GroupName, Roles, Taken, Ticket, TokenFault};

use crate::groups::{keeps, made_enroller, now, takes_for};
use crate::lab::LabNode;

fn usual() -> Roles {
    Roles::FETCH.and(Roles::SERVE)
}

async fn ticket(enroller: &LabNode, uses: u16) -> String {
    let addresses = enroller.handle.reachable_at();
    let wish = TicketWish { group: None, uses, life_s: 3_600, roles: usual(), addresses };
    enroller.handle.group().make_ticket(&wish).await.unwrap_or_else(|error| panic!("{error}")).0
}

async fn refused(node: &LabNode, text: &str) -> String {
    let error = node.handle.join_by_ticket(text, false).await.expect_err("it is refused");
    assert!(node.handle.group().enrolled().await.first().is_none());
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_4_a_ticket_makes_as_many_machines_members_as_it_says_and_no_more() {
    let (enroller, _authority, _made) = made_enroller(Roles::ENROL).await;
    let line = ticket(&enroller, 2).await;
    let [one, other, third] =
        [LabNode::start(&[]).await, LabNode::start(&[]).await, LabNode::start(&[]).await];
    for node in [&one, &other] {
        let taken = node.handle.join_by_ticket(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(taken, Taken::Joined);
        takes_for(node, &enroller, true).await;
        takes_for(&enroller, node, true).await;
    }
    let enrolled = one.handle.group().enrolled().await;
    assert_eq!(enrolled.first().expect("a member").token.wish().roles, usual());
    assert_eq!(one.handle.join_by_ticket(&line, false).await.expect("no need"), Taken::Known);
    let words = refused(&third, &line).await;
    assert!(words.contains("used up"), "{words}");
    // Whoever left comes back with the ticket it used, also after the enroller was started again.
    let addresses = enroller.addresses();
    let folder = enroller.shut_down().await;
    let mut config = nearbits::node::NodeConfig::embedded(folder.path().join("state"));
    config.listen = addresses.iter().map(nearbits::node::PeerAddress::socket).collect();
    config.mdns = false;
    let enroller = LabNode::start_with(folder, config).await;
    one.handle.group().leave(None).await.unwrap_or_else(|error| panic!("{error}"));
    one.handle.join_by_ticket(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
    let words = refused(&third, &line).await;
    assert!(words.contains("used up"), "{words}");
    drop(enroller);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_4_a_ticket_that_is_over_or_not_its_enrollers_is_refused_in_words() {
    let (enroller, _authority, _made) = made_enroller(Roles::ENROL).await;
    let (stranger, guest) = (LabNode::start(&[]).await, LabNode::start(&[]).await);
    let line = ticket(&enroller, 1).await;
    let whole = Ticket::parse(&line).expect("a ticket");
    // Signed by a node that is no enroller, with its own address: it knows no such ticket.
    let signer = peer_proto::sign::Signer::of(&[7; 32]);
    let over = Ticket { until: now(&enroller.folder) - 60, enroller: signer.peer(), ..whole.clone() };
    let words = refused(&guest, &over.text(&signer)).await;
    assert!(words.contains("time is over"), "{words}");
    let changed = line.replace(&line[100..104], "0000");
    let words = refused(&guest, &changed).await;
    assert!(words.contains("cut short or changed"), "{words}");
    for (wish, error) in [
        (Roles::FETCH.and(Roles::ATTEST), TicketError::Roles),
        (usual().and(Roles::ENROL), TicketError::Roles),
        (Roles::SERVE, TicketError::Roles),
    ] {
        let addresses = enroller.handle.reachable_at();
        let wish = TicketWish { group: None, uses: 1, life_s: 3_600, roles: wish, addresses };
        let made = enroller.handle.group().make_ticket(&wish).await;
        assert!(matches!(made, Err(EnrolmentError::Ticket(said)) if said == error), "{made:?}");
    }
    for (uses, life_s, error) in [
        (0, 60, TicketError::Uses),
        (1_001, 60, TicketError::Uses),
        (1, 59, TicketError::Life),
        (1, 86_401, TicketError::Life),
    ] {
        let addresses = enroller.handle.reachable_at();
        let wish = TicketWish { group: None, uses, life_s, roles: usual(), addresses };
        let made = enroller.handle.group().make_ticket(&wish).await;
        assert!(matches!(made, Err(EnrolmentError::Ticket(said)) if said == error), "{made:?}");
    }
    let addresses = stranger.handle.reachable_at();
    let wish = TicketWish { group: None, uses: 1, life_s: 60, roles: usual(), addresses };
    let made = stranger.handle.group().make_ticket(&wish).await;
    assert!(matches!(made, Err(EnrolmentError::NoGroup)), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_6_whoever_was_forgotten_is_not_made_a_member_by_a_ticket() {
    let (enroller, mut authority, _made) = made_enroller(Roles::ENROL).await;
    let lost = LabNode::start(&[]).await;
    let (list, _) =
        authority.forget(&[lost.handle.peer_id().to_string()], now(&enroller.folder)).expect("denied");
    enroller.handle.group().take(&list, false).await.unwrap_or_else(|error| panic!("{error}"));
    let line = ticket(&enroller, 1).await;
    let words = refused(&lost, &line).await;
    assert!(words.contains("forgot this machine"), "{words}");
    // It used nothing up.
    let other = LabNode::start(&[]).await;
    other.handle.join_by_ticket(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
    keeps(&other, "the deny list", |kept| kept.denied.is_some()).await;
    let name = other.handle.group().enrolled().await.first().and_then(|held| held.name.clone());
    assert_eq!(name.as_ref().map(GroupName::text), Some(authority.name()), "its enroller knows it");
    // An enroller that is forgotten takes those with it that it made members.
    let (list, _) =
        authority.forget(&[enroller.handle.peer_id().to_string()], now(&enroller.folder)).expect("denied");
    other.handle.group().take(&list, false).await.unwrap_or_else(|error| panic!("{error}"));
    let enrolled = other.handle.group().enrolled().await;
    let standing = enrolled.first().map(|held| enrolled.standing(held));
    assert_eq!(standing, Some(Err(TokenFault::EnrollerDenied)));
}
