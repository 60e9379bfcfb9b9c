//! Nodes that end in the middle of something and start again.
//!
//! Knows: that a job goes on where it was, from what is on disk. Does not know: `kill -9` (`killed`).

use nearbits::job::JobState;
use nearbits::node::{JobCommand, Node, NodeConfig};

use crate::lab::{LabNode, assert_exact};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_on_where_it_was_when_the_node_starts_again() {
    let content = Content::new(20, 24 * MIB);
    let manner = Manner { bytes_per_s: Some(16 * MIB), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let node = LabNode::start(&[]).await;
    let id = node.handle.peer_id();
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    let stored = node.stored(job, 8 * MIB).await.stored;
    let folder = node.shut_down().await;
    let node = LabNode::start_in(folder, &[]).await;
    assert_eq!(node.handle.peer_id(), id, "it is the same node");
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.origin <= content.len - stored, "{:?} after {stored}", view.bytes);
    assert!(origin.sent() <= content.len + 4 * MIB, "{} bytes sent", origin.sent());
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_job_waits_and_resumes() {
    let content = Content::new(21, 16 * MIB);
    let manner = Manner { bytes_per_s: Some(16 * MIB), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    node.stored(job, 4 * MIB).await;
    node.handle.command(job, JobCommand::Suspend).await.expect("it runs");
    assert_eq!(node.settled(job).await.state, JobState::Suspended);
    node.handle.command(job, JobCommand::Resume).await.expect("it is suspended");
    node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(origin.sent() <= content.len + 4 * MIB, "{} bytes sent", origin.sent());
    let refused = node.handle.command(job, JobCommand::Resume).await;
    assert!(refused.is_err(), "a delivered job takes no command");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_share_a_state_folder() {
    let node = LabNode::start(&[]).await;
    let mut config = NodeConfig::embedded(node.path("state"));
    config.listen = Vec::new();
    config.mdns = false;
    let second = Node::start(config.clone()).await;
    let text = second.err().expect("it is locked").to_string();
    assert!(text.contains("in use"), "{text}");
    let folder = node.shut_down().await;
    let third = Node::start(config).await.unwrap_or_else(|error| panic!("{error}"));
    third.shutdown().await;
    drop(folder);
}
