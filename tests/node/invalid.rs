//! Files that an application calls invalid although their digest is right (VAL-4): they come from the origin alone.
//!
//! Knows: a node, its origin, a neighbour, the node's own cache. Does not know: why an application says so.

use nearbits::job::{JobId, JobSpec, JobState};
use nearbits::node::{JobCommand, JobView};

use crate::lab::{LabNode, assert_exact, blake3_of, placed};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

fn untaken(node: &LabNode, spec: JobSpec, name: &str) -> JobSpec {
    JobSpec { auto_complete: false, ..placed(spec, node.path(name)) }
}

async fn transferred(node: &LabNode, job: JobId) -> JobView {
    let view = node.settled(job).await;
    assert_eq!(view.state, JobState::Transferred, "{}\n{}", view.reason, node.why(job).await);
    view
}

/// Calls it invalid, sees it come again, and takes it.
async fn comes_again_from_the_origin(node: &LabNode, job: JobId, content: Content, name: &str) {
    node.handle.command(job, JobCommand::Validate { file: 0, valid: false }).await.unwrap();
    let view = transferred(node, job).await;
    let bytes = view.bytes;
    let why = node.why(job).await;
    assert_eq!((bytes.origin, bytes.peers, bytes.cache, bytes.earlier), (content.len, 0, 0, 0), "{why}");
    node.handle.command(job, JobCommand::Complete).await.unwrap();
    assert_exact(&node.path(name), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn val_4_an_invalid_file_from_a_peer_comes_again_from_the_origin_alone() {
    let content = Content::new(71, 8 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let first = LabNode::start(&[]).await;
    first.fetch(first.spec(&origin, vec![blake3_of(content)])).await;
    let slow =
        PlainOrigin::start(content, Manner { bytes_per_s: Some(4_000_000), ..Manner::default() }).await;
    let second = LabNode::start(&[&first]).await;
    second.connected(1).await;
    let spec = second.spec(&slow, vec![blake3_of(content)]);
    let job = second.submit(untaken(&second, spec, "again")).await;
    let view = transferred(&second, job).await;
    assert!(view.bytes.peers > 0, "{:?}\n{}", view.bytes, second.why(job).await);
    comes_again_from_the_origin(&second, job, content, "again").await;
    second.shut_down().await;
    first.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn val_4_the_record_leaves_the_cache_and_the_file_it_lent_stays() {
    let content = Content::new(72, 8 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let spec = node.spec(&origin, vec![blake3_of(content)]);
    node.fetch(placed(spec.clone(), node.path("first"))).await;
    let before = node.handle.cache().records(None).await.unwrap()[0].summary.id;
    let job = node.submit(untaken(&node, spec, "second")).await;
    assert_eq!(transferred(&node, job).await.bytes.cache, content.len);
    comes_again_from_the_origin(&node, job, content, "second").await;
    let records = node.handle.cache().records(None).await.unwrap();
    assert!(records.iter().all(|shown| shown.summary.id != before), "{records:?}");
    assert_exact(&node.path("first"), content);
    node.shut_down().await;
}
