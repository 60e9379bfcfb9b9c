//! Real nodes of two groups: one of them is in both.
//!
//! Knows: three nodes that are all connected to each other. Does not know: what is said between them.

use nearbits::job::{Ask, Caller, JobSpec, OneGroup, PeerFlags};
use nearbits::node::{Authority, JobCommand};
use peer_proto::group::Roles;
use peer_proto::peer::PeerId;

use crate::groups::now;
use crate::lab::{LabNode, PATIENCE, assert_exact, placed, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

/// The keys of two groups: whoever holds one locks its folder.
struct Keys {
    _folders: [tempfile::TempDir; 2],
    a: Authority,
    b: Authority,
}

impl Keys {
    fn new(now: u64) -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [a, b] = folders
            .each_ref()
            .map(|folder| Authority::create(&folder.path().join("its.group"), "its", now).expect("made"));
        Self { _folders: folders, a, b }
    }
}

async fn invite(authority: &mut Authority, node: &LabNode, replaces: bool) {
    let (peer, now) = (node.handle.peer_id(), now(&node.folder));
    let line = authority.grant(peer, Roles::FETCH.and(Roles::SERVE), None, now).expect("granted");
    node.handle.group().take(&line, replaces).await.unwrap_or_else(|error| panic!("{error}"));
}

/// In how many groups of its own a node takes another one for a member; `None` while they are not connected.
async fn in_common(node: &LabNode, peer: PeerId) -> Option<usize> {
    let peers = node.handle.peers().await.expect("the node runs");
    peers.iter().find(|view| view.peer == peer && view.connected).map(|view| view.groups.len())
}

/// Waits until two nodes take each other for members in so many groups.
async fn are_kin(one: &LabNode, other: &LabNode, count: usize) {
    let looked = tokio::time::timeout(PATIENCE, async {
        for (node, peer) in [(one, other.handle.peer_id()), (other, one.handle.peer_id())] {
            while in_common(node, peer).await != Some(count) {
                tokio::task::yield_now().await;
            }
        }
    });
    looked.await.unwrap_or_else(|_| panic!("in vain waited for {count} groups in common"));
}

fn of_members_only(spec: JobSpec) -> JobSpec {
    JobSpec { ask: Ask::Members, ..spec }
}

/// Bytes that a node took from another.
async fn taken(node: &LabNode, peer: PeerId) -> u64 {
    let peers = node.handle.peers().await.expect("the node runs");
    peers.iter().filter(|view| view.peer == peer).map(|view| view.bytes_in).sum()
}

/// Two nodes that are members of the first key's group, and met as such.
async fn two_of_a() -> (LabNode, LabNode, Keys) {
    let one = LabNode::start(&[]).await;
    let other = LabNode::start(&[&one]).await;
    let mut keys = Keys::new(now(&one.folder));
    for node in [&one, &other] {
        invite(&mut keys.a, node, false).await;
    }
    are_kin(&one, &other, 1).await;
    (one, other, keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_8_a_node_in_two_groups_takes_from_one_and_gives_to_the_other_and_they_stay_strangers() {
    let x = LabNode::start(&[]).await;
    let y = LabNode::start(&[&x]).await;
    let z = LabNode::start(&[&x, &y]).await;
    let mut keys = Keys::new(now(&x.folder));
    invite(&mut keys.a, &x, false).await;
    invite(&mut keys.a, &y, false).await;
    invite(&mut keys.b, &y, false).await;
    invite(&mut keys.b, &z, false).await;
    are_kin(&x, &y, 1).await;
    are_kin(&y, &z, 1).await;
    are_kin(&x, &z, 0).await;
    let content = Content::new(83, 8 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let digest = sha256_of(content);
    for node in [&x, &y, &z] {
        node.fetch(of_members_only(node.spec(&origin, vec![digest.clone()]))).await;
        assert_exact(&node.path("payload.bin"), content);
    }
    let ids = [&x, &y, &z].map(|node| node.handle.peer_id());
    assert!(taken(&y, ids[0]).await > 7 * MIB, "of its fellow in the first group");
    assert!(taken(&z, ids[1]).await > 7 * MIB, "of its fellow in the second");
    assert_eq!((taken(&z, ids[0]).await, taken(&x, ids[2]).await), (0, 0), "strangers");
    let sent = origin.sent() * 100 / content.len;
    assert!(sent < 150, "the origin sent {sent} % of the file");
    are_kin(&x, &z, 0).await;
    for node in [x, y, z] {
        node.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_8_a_job_of_one_group_takes_from_its_members_alone_and_from_nobody_once_that_is_left() {
    let x = LabNode::start(&[]).await;
    let z = LabNode::start(&[]).await;
    let y = LabNode::start(&[&x, &z]).await;
    let mut keys = Keys::new(now(&x.folder));
    for node in [&x, &y] {
        invite(&mut keys.a, node, false).await;
    }
    for node in [&y, &z] {
        invite(&mut keys.b, node, false).await;
    }
    are_kin(&x, &y, 1).await;
    are_kin(&z, &y, 1).await;
    let content = Content::new(84, 8 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let digest = sha256_of(content);
    for node in [&x, &z] {
        node.fetch(node.spec(&origin, vec![digest.clone()])).await;
    }
    let wish = |name: &str| {
        let spec = placed(y.spec(&origin, vec![digest.clone()]), y.path(name));
        // Nothing is left behind that would be found in the cache instead of at a peer.
        JobSpec {
            group: Some(OneGroup(keys.b.id())),
            flags: PeerFlags { client: true, server: false },
            ..spec
        }
    };
    let ids = [&x, &z].map(|node| node.handle.peer_id());
    let own = Caller { uid: rustix::process::getuid().as_raw(), is_administrator: true };
    let later = y.handle.submit_as(wish("later"), own, false).await.unwrap_or_else(|error| panic!("{error}"));
    y.fetch(wish("kept")).await;
    assert_exact(&y.path("kept"), content);
    assert!(taken(&y, ids[1]).await > 7 * MIB, "of its fellow in the group of the job");
    assert_eq!(taken(&y, ids[0]).await, 0, "whoever else has it");

    let group = keys.b.id().to_string();
    y.handle.group().leave(Some(&group)).await.unwrap_or_else(|error| panic!("{error}"));
    let error = y.handle.submit(wish("more")).await.expect_err("it is in no such group");
    assert!(error.to_string().contains(&keys.a.id().to_string()), "it says where it is: {error}");
    let before = taken(&y, ids[1]).await;
    y.handle.command(later, JobCommand::Resume).await.expect("it goes on");
    let view = y.delivered(later).await;
    assert_exact(&y.path("later"), content);
    // Its former fellow is met anew, as a stranger, sooner or later: then nothing was taken in that session.
    assert_eq!((view.bytes.peers, taken(&y, ids[0]).await), (0, 0));
    assert!([0, before].contains(&taken(&y, ids[1]).await));
    assert!(
        y.why(later).await.contains("not in the group that the job is kept to"),
        "{}",
        y.why(later).await
    );
    for node in [x, y, z] {
        node.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_8_who_joins_a_further_group_meets_its_members_in_the_session_that_is_open() {
    let (one, other, mut keys) = two_of_a().await;
    let content = Content::new(85, 4 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let digest = sha256_of(content);
    one.fetch(one.spec(&origin, vec![digest.clone()])).await;
    other.fetch(of_members_only(other.spec(&origin, vec![digest]))).await;
    // What is counted is counted for one session.
    let giver = one.handle.peer_id();
    let before = taken(&other, giver).await;
    assert!(before > 3 * MIB, "{before}");
    for node in [&other, &one] {
        invite(&mut keys.b, node, false).await;
    }
    are_kin(&one, &other, 2).await;
    assert_eq!(taken(&other, giver).await, before, "it is the same session");
    one.shut_down().await;
    other.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_8_machines_go_over_to_another_key_one_after_the_other_and_are_members_all_the_time() {
    let (one, other, mut keys) = two_of_a().await;
    invite(&mut keys.b, &one, false).await;
    are_kin(&one, &other, 1).await;
    invite(&mut keys.b, &other, false).await;
    are_kin(&one, &other, 2).await;
    // They keep both over a restart.
    let folder = one.shut_down().await;
    let one = LabNode::start_in(folder, &[&other]).await;
    are_kin(&one, &other, 2).await;
    let old = keys.a.id().to_string();
    one.handle.group().leave(Some(&old[..6])).await.unwrap_or_else(|error| panic!("{error}"));
    are_kin(&one, &other, 1).await;
    other.handle.group().leave(Some(&old)).await.unwrap_or_else(|error| panic!("{error}"));
    are_kin(&one, &other, 1).await;
    let left: Vec<_> = one.handle.group().enrolled().await.memberships;
    assert_eq!(left.iter().map(|held| held.group()).collect::<Vec<_>>(), [keys.b.id()]);
    one.shut_down().await;
    other.shut_down().await;
}
