//! What a node has answered is true: on disk, and whatever happens next.
//!
//! Knows: one node, its state folder, an origin. Does not know: peers.

use nearbits::job::{JobId, PeerFlags};
use nearbits::node::{JobCommand, Node, NodeConfig, OriginConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::lab::{LabNode, wish};
use crate::plain_origin::{Content, Manner, PlainOrigin};

/// An origin that takes a minute for what it has.
async fn slow_origin() -> PlainOrigin {
    let manner = Manner { bytes_per_s: Some(256 << 10), ..Manner::default() };
    PlainOrigin::start(Content::new(81, 16 << 20), manner).await
}

/// The state that a job has on disk; `gone` if nothing is left of it.
fn state_on_disk(node: &LabNode, job: JobId) -> String {
    let path = node.path("state").join(format!("jobs/{job}/job.json"));
    // One look: between two it may go.
    let Ok(text) = std::fs::read_to_string(path) else { return "gone".to_owned() };
    let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
    stored["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_command_that_was_answered_is_on_disk() {
    let origin = slow_origin().await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    for _ in 0..10 {
        node.handle.command(job, JobCommand::Suspend).await.expect("it runs");
        assert_eq!(state_on_disk(&node, job), "suspended");
        node.handle.command(job, JobCommand::Resume).await.expect("it is suspended");
        assert!(!["suspended", "gone"].contains(&state_on_disk(&node, job).as_str()));
    }
    node.handle.command(job, JobCommand::Suspend).await.expect("it runs");
    node.handle.command(job, JobCommand::Cancel).await.expect("it is suspended");
    // Gone, or known to go.
    assert!(["cancelled", "gone"].contains(&state_on_disk(&node, job).as_str()));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_command_that_cannot_be_written_down_is_not_acknowledged() {
    let origin = slow_origin().await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    // The system refuses the next writing, even to root.
    let fresh = node.path("state").join(format!("jobs/{job}/job.json.new"));
    std::fs::create_dir_all(fresh.join("in the way")).unwrap();
    let refused = node.handle.command(job, JobCommand::Suspend).await;
    let text = refused.expect_err("it cannot be kept").to_string();
    assert!(text.contains("job.json"), "{text}");
    std::fs::remove_dir_all(&fresh).unwrap();
    node.handle.command(job, JobCommand::Cancel).await.expect("now it can");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_are_set_at_the_same_time_are_all_kept_in_their_order() {
    let node = LabNode::start(&[]).await;
    for _ in 0..10 {
        let mut setting = JoinSet::new();
        for number in 0..8_u8 {
            let handle = node.handle.clone();
            let flags = PeerFlags { client: number % 2 == 0, server: number % 3 == 0 };
            setting.spawn(async move { handle.set_flags(flags).await });
        }
        while let Some(set) = setting.join_next().await {
            set.expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        }
        let text = std::fs::read_to_string(node.path("state").join("flags.json")).unwrap();
        let kept: PeerFlags = serde_json::from_str(&text).unwrap();
        assert_eq!(kept, node.handle.flags().await.unwrap());
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_at_once_while_an_origin_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = NodeConfig::embedded(tempfile::tempdir().unwrap().keep().join("state"));
    config.listen = Vec::new();
    config.mdns = false;
    config.origin = OriginConfig { head_timeout: std::time::Duration::from_secs(50), ..config.origin };
    let folder = config.state_dir.parent().unwrap().to_owned();
    let node = Node::start(config).await.unwrap_or_else(|error| panic!("{error}"));
    let url = format!("http://{}/payload.bin", silent.local_addr().unwrap());
    let spec = wish(url, folder.join("payload.bin"), Vec::new());
    node.handle().submit(spec).await.unwrap_or_else(|error| panic!("{error}"));
    let (asked, _) = silent.accept().await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), node.shutdown()).await;
    assert!(ended.is_ok(), "it waits for the origin");
    drop(asked);
    std::fs::remove_dir_all(folder).unwrap();
}
