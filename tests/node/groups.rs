//! Real nodes as members of one group.
//!
//! Knows: how a membership file is written into a state folder, how a running node is handed an invitation. Does not know:
//! sites of more than a few nodes (the simulated world has them).

use std::path::Path;

use futures::future::join_all;
use nearbits::node::{Authority, EnrolmentError, Node, NodeConfig};
use peer_proto::digest::hex;
use peer_proto::group::offer::invitation_text;
use peer_proto::group::{EpochSecret, GroupId, HolderId, Membership, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;

use crate::lab::{LabNode, PATIENCE, assert_exact, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;

/// What its members know in its first epoch.
pub(crate) const SECRET: [u8; 32] = [7; 32];

pub(crate) fn group() -> Signer {
    Signer::of(&[77; 32])
}

/// Seconds since 1970: a folder that was made just now says so.
pub(crate) fn now(folder: &tempfile::TempDir) -> u64 {
    made(folder.path())
}

fn made(folder: &Path) -> u64 {
    let made = folder.metadata().and_then(|found| found.modified()).expect("its time");
    made.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A state folder with an identity in it, and whose it is.
async fn folder() -> (tempfile::TempDir, PeerId) {
    let node = LabNode::start(&[]).await;
    let peer = node.handle.peer_id();
    (node.shut_down().await, peer)
}

/// What makes this node a member until then.
fn write_membership(folder: &tempfile::TempDir, peer: PeerId, not_after: u64) {
    write_membership_of(folder, HolderId([1; 16]), peer, Roles(0), not_after);
}

/// The same for a holder with these roles beside fetch and serve.
pub(crate) fn write_membership_of(
    folder: &tempfile::TempDir,
    holder: HolderId,
    peer: PeerId,
    roles: Roles,
    not_after: u64,
) {
    write_membership_at(&folder.path().join("state"), holder, peer, roles, not_after);
}

fn write_membership_at(state: &Path, holder: HolderId, peer: PeerId, roles: Roles, not_after: u64) {
    let wish = Wish {
        holder,
        peer,
        roles: Roles::FETCH.and(Roles::SERVE).and(roles),
        not_before: not_after - 2 * DAY,
        not_after,
        epoch: 1,
        serial: 1,
    };
    let token = Token::grant(&group(), &wish);
    let text = format!(
        r#"{{"key": "{}", "epoch": 1, "secret": "{}", "token": "{}"}}"#,
        hex(&group().public_key()),
        hex(&SECRET),
        hex(token.bytes())
    );
    std::fs::write(state.join("group.json"), text).expect("written");
}

/// Makes the node of this state folder a member for a day.
pub(crate) fn join_for_a_day(state: &Path, number: u8, peer: PeerId) {
    write_membership_at(state, HolderId([number; 16]), peer, Roles(0), made(state) + DAY);
}

/// Four nodes in a row: each has a session with the one before it, and with the one after it.
async fn row() -> Vec<LabNode> {
    let mut nodes: Vec<LabNode> = Vec::new();
    for _ in 0..4 {
        let (folder, peer) = folder().await;
        write_membership(&folder, peer, now(&folder) + DAY);
        let before: Vec<&LabNode> = nodes.last().into_iter().collect();
        let node = LabNode::start_in(folder, &before).await;
        nodes.push(node);
    }
    for (node, count) in nodes.iter().zip([1, 2, 2, 1]) {
        node.connected(count).await;
    }
    nodes
}

/// Bytes that the origin sent when all of them had fetched the same file at the same time, in hundredths of the file.
async fn fetched_by(nodes: Vec<LabNode>, mark: u64) -> u64 {
    let content = Content::new(mark, 24 * MIB);
    let manner = Manner { bytes_per_s: Some(6_000_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let digest = sha256_of(content);
    let jobs = join_all(nodes.iter().map(|node| node.submit(node.spec(&origin, vec![digest.clone()])))).await;
    join_all(nodes.iter().zip(&jobs).map(|(node, job)| node.delivered(*job))).await;
    for node in &nodes {
        assert_exact(&node.path("payload.bin"), content);
    }
    join_all(nodes.into_iter().map(LabNode::shut_down)).await;
    origin.sent() * 100 / content.len
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_without_a_session_with_each_other_fetch_once_through_those_between_them() {
    // As strangers they took 2.01 times the file, as members 1.02.
    let sent = fetched_by(row().await, 61).await;
    assert!(sent <= 120, "the origin sent {sent} % of the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_5_a_node_whose_token_is_over_shares_as_a_stranger() {
    let (folder_of_one, peer) = folder().await;
    write_membership(&folder_of_one, peer, now(&folder_of_one) - 1);
    let over = LabNode::start_in(folder_of_one, &[]).await;
    let (folder_of_other, peer) = folder().await;
    write_membership(&folder_of_other, peer, now(&folder_of_other) + DAY);
    let member = LabNode::start_in(folder_of_other, &[&over]).await;
    member.connected(1).await;
    let sent = fetched_by(vec![over, member], 62).await;
    assert!(sent <= 130, "the origin sent {sent} % of the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_1_a_node_does_not_start_with_another_nodes_token() {
    let (folder, _) = folder().await;
    write_membership(&folder, Signer::of(&[5; 32]).peer(), now(&folder) + DAY);
    let error = match Node::start(NodeConfig::embedded(folder.path().join("state"))).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("group.json") && error.contains("another node"), "{error}");
}

/// Waits until a node takes another for a member, or for a stranger with a session.
pub(crate) async fn takes_for(node: &LabNode, other: &LabNode, is_member: bool) {
    takes_peer_for(node, other.handle.peer_id(), is_member).await;
}

/// The same for whoever has this identity.
pub(crate) async fn takes_peer_for(node: &LabNode, peer: PeerId, is_member: bool) {
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            let peers = node.handle.peers().await.expect("the node runs");
            if peers.iter().any(|view| view.peer == peer && view.connected && view.member == is_member) {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("in vain waited for a member: {is_member}"));
}

/// Hands a node an invitation.
async fn invite(authority: &mut Authority, node: &LabNode) {
    let (peer, now) = (node.handle.peer_id(), now(&node.folder));
    let line = authority.grant(peer, Roles::FETCH.and(Roles::SERVE), None, now).expect("granted");
    node.handle.group().take(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_4_and_group_6_who_joins_is_denied_or_leaves_while_nodes_run_counts_so_at_once() {
    let one = LabNode::start(&[]).await;
    let other = LabNode::start(&[&one]).await;
    other.connected(1).await;
    let made = tempfile::tempdir().expect("a folder");
    let now = now(&one.folder);
    let mut authority = Authority::create(&made.path().join("g.group"), "g", now).expect("made");
    for node in [&one, &other] {
        invite(&mut authority, node).await;
    }
    takes_for(&one, &other, true).await;
    takes_for(&other, &one, true).await;
    // A renewed token and another epoch change nothing of that.
    authority.rotate(now).expect("random bytes");
    for node in [&one, &other] {
        invite(&mut authority, node).await;
        takes_for(&one, &other, true).await;
        takes_for(&other, &one, true).await;
    }
    let (list, _) = authority.forget(&[other.handle.peer_id().to_string()], now).expect("denied");
    one.handle.group().take(&list, false).await.unwrap_or_else(|error| panic!("{error}"));
    takes_for(&one, &other, false).await;
    // Its invitation is of no use to anybody else.
    let line = authority.renew(one.handle.peer_id(), now).expect("granted");
    let refused = other.handle.group().take(&line, false).await.expect_err("a copy");
    assert!(matches!(refused, EnrolmentError::Offer(_)), "{refused}");
    one.handle.group().leave(None).await.unwrap_or_else(|error| panic!("{error}"));
    takes_for(&other, &one, false).await;
    // What it was is forgotten on disk too.
    let folder = one.shut_down().await;
    assert!(!folder.path().join("state/group.json").exists());
    other.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_6_a_node_that_was_denied_starts_as_a_stranger() {
    let node = LabNode::start(&[]).await;
    let made = tempfile::tempdir().expect("a folder");
    let now = now(&node.folder);
    let mut authority = Authority::create(&made.path().join("g.group"), "g", now).expect("made");
    invite(&mut authority, &node).await;
    let (list, _) = authority.forget(&[node.handle.peer_id().to_string()], now).expect("denied");
    node.handle.group().take(&list, false).await.unwrap_or_else(|error| panic!("{error}"));
    let again = LabNode::start_in(node.shut_down().await, &[]).await;
    let enrolled = again.handle.group().enrolled().await;
    assert!(enrolled.first().is_some_and(|held| enrolled.standing(held).is_err()), "{enrolled:?}");
}

/// Waits until this is so of what a node keeps of its membership.
pub(crate) async fn keeps(node: &LabNode, what: &str, is_so: impl Fn(&Membership) -> bool) {
    let looked = tokio::time::timeout(PATIENCE, async {
        while !node.handle.group().enrolled().await.first().is_some_and(&is_so) {
            tokio::task::yield_now().await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("in vain waited for {what}"));
}

/// Waits until a node keeps a deny list of so many holders.
async fn denies(node: &LabNode, count: usize) {
    let is_so = |kept: &Membership| kept.denied.as_ref().is_some_and(|list| list.holders().len() == count);
    keeps(node, "a deny list", is_so).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_6_a_deny_list_reaches_members_who_were_not_handed_it_and_counts_there_at_once() {
    let first = LabNode::start(&[]).await;
    let second = LabNode::start(&[&first]).await;
    let lost = LabNode::start(&[&second]).await;
    let made = tempfile::tempdir().expect("a folder");
    let now = now(&first.folder);
    let mut authority = Authority::create(&made.path().join("g.group"), "g", now).expect("made");
    for node in [&first, &second, &lost] {
        invite(&mut authority, node).await;
    }
    takes_for(&first, &second, true).await;
    takes_for(&second, &lost, true).await;
    let late = LabNode::start(&[&second]).await;
    let roles = Roles::FETCH.and(Roles::SERVE);
    let invitation = authority.grant(late.handle.peer_id(), roles, None, now).expect("granted");
    let (list, _) = authority.forget(&[lost.handle.peer_id().to_string()], now).expect("denied");
    first.handle.group().take(&list, false).await.unwrap_or_else(|error| panic!("{error}"));
    denies(&second, 1).await;
    takes_for(&second, &lost, false).await;
    // Whoever comes with an invitation from before hears of it from those who are there.
    late.handle.group().take(&invitation, false).await.unwrap_or_else(|error| panic!("{error}"));
    denies(&late, 1).await;
    let again = LabNode::start_in(late.shut_down().await, &[]).await;
    denies(&again, 1).await;
}

/// Makes a node a member whose token began to count so many days ago and does so for as many more.
async fn make_member(node: &LabNode, roles: Roles, since: u64, left: u64) {
    let (peer, now) = (node.handle.peer_id(), now(&node.folder));
    let wish = Wish {
        holder: HolderId::of(GroupId::of(&group().public_key()), peer),
        peer,
        roles: Roles::FETCH.and(Roles::SERVE).and(roles),
        not_before: now - since * DAY,
        not_after: now + left * DAY,
        epoch: 1,
        serial: 1,
    };
    let membership = Membership {
        key: group().public_key(),
        epoch: 1,
        secret: EpochSecret(SECRET),
        former: None,
        token: Token::grant(&group(), &wish),
        denied: None,
        name: None,
        seal: None,
    };
    let line = invitation_text(&membership.sealed(&group())).expect("sealed");
    node.handle.group().take(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_5_a_member_renews_its_token_at_an_enroller_and_counts_with_it_for_everybody() {
    let enroller = LabNode::start(&[]).await;
    let node = LabNode::start(&[&enroller]).await;
    let third = LabNode::start(&[&node]).await;
    make_member(&node, Roles(0), 16, 4).await;
    make_member(&third, Roles(0), 1, 20).await;
    takes_for(&third, &node, true).await;
    make_member(&enroller, Roles::ENROL, 1, 25).await;
    let end = now(&node.folder) + 24 * DAY;
    keeps(&node, "a newer token", |kept| kept.token.is_delegated() && kept.token.wish().not_after > end)
        .await;
    takes_for(&third, &node, true).await;
    // What came is kept, and counts after a restart.
    let again = LabNode::start_in(node.shut_down().await, &[&third]).await;
    let enrolled = again.handle.group().enrolled().await;
    let kept = enrolled.first().expect("a member");
    assert_eq!((enrolled.standing(kept), kept.token.is_delegated()), (Ok(()), true));
    takes_for(&third, &again, true).await;
    takes_for(&again, &third, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_7_a_new_epoch_reaches_members_through_an_enroller_that_was_handed_it() {
    let (enroller, mut authority, _made) = made_enroller(Roles::ENROL).await;
    let node = LabNode::start(&[&enroller]).await;
    let now = now(&enroller.folder);
    invite(&mut authority, &node).await;
    takes_for(&node, &enroller, true).await;
    authority.rotate(now).expect("random bytes");
    let line = authority.renew(enroller.handle.peer_id(), now).expect("granted");
    enroller.handle.group().take(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
    keeps(&node, "the next epoch", |kept| kept.epoch == 2).await;
    takes_for(&node, &enroller, true).await;
    takes_for(&enroller, &node, true).await;
}

/// A node that may enrol others, with its group's authority.
pub(crate) async fn made_enroller(roles: Roles) -> (LabNode, Authority, tempfile::TempDir) {
    let node = LabNode::start(&[]).await;
    let made = tempfile::tempdir().expect("a folder");
    let now = now(&node.folder);
    let mut authority = Authority::create(&made.path().join("g.group"), "g", now).expect("made");
    let roles = Roles::FETCH.and(Roles::SERVE).and(roles);
    let line = authority.grant(node.handle.peer_id(), roles, None, now).expect("granted");
    node.handle.group().take(&line, false).await.unwrap_or_else(|error| panic!("{error}"));
    (node, authority, made)
}
