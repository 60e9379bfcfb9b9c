//! Cold nodes that want one file at the same moment: the origin gives it about once.
//!
//! Knows: several nodes in one process, each with the others as static peers. Does not know: hostile members (the
//! simulated world has them).

use futures::future::join_all;

use crate::lab::{LabNode, assert_exact, blake3_of, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

/// So many nodes, all of them connected to each other.
async fn site(count: usize) -> Vec<LabNode> {
    let mut nodes: Vec<LabNode> = Vec::new();
    for _ in 0..count {
        let others: Vec<&LabNode> = nodes.iter().collect();
        let node = LabNode::start(&others).await;
        nodes.push(node);
    }
    for node in &nodes {
        node.connected(count - 1).await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_nodes_that_start_together_fetch_from_the_origin_once() {
    let content = Content::new(31, 24 * MIB);
    for digest in [sha256_of(content), blake3_of(content)] {
        let manner = Manner { bytes_per_s: Some(6_000_000), ..Manner::default() };
        let origin = PlainOrigin::start(content, manner).await;
        let nodes = site(5).await;
        let jobs =
            join_all(nodes.iter().map(|node| node.submit(node.spec(&origin, vec![digest.clone()])))).await;
        let views = join_all(nodes.iter().zip(&jobs).map(|(node, job)| node.delivered(*job))).await;
        let mut why = String::new();
        for (node, job) in nodes.iter().zip(&jobs) {
            assert_exact(&node.path("payload.bin"), content);
            why += &format!("{}\n", node.why(*job).await);
        }
        let shares: Vec<_> = views.iter().map(|view| view.bytes).collect();
        assert!(
            origin.sent() * 100 <= content.len * 115,
            "{} bytes from the origin: {shares:?}\n{why}",
            origin.sent()
        );
        assert!(shares.iter().all(|bytes| bytes.peers > content.len / 2), "{shares:?}\n{why}");
        join_all(nodes.into_iter().map(LabNode::shut_down)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_finish_though_the_origin_goes_once_one_copy_is_in() {
    let content = Content::new(32, 16 * MIB);
    let manner = Manner { bytes_per_s: Some(8_000_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let nodes = site(3).await;
    let digest = sha256_of(content);
    let jobs = join_all(nodes.iter().map(|node| node.submit(node.spec(&origin, vec![digest.clone()])))).await;
    nodes[0].stored(jobs[0], content.len).await;
    drop(origin);
    for (node, job) in nodes.iter().zip(&jobs) {
        node.delivered(*job).await;
        assert_exact(&node.path("payload.bin"), content);
    }
    join_all(nodes.into_iter().map(LabNode::shut_down)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_1_what_rests_on_a_members_word_goes_on_after_a_restart_and_is_decided_by_the_digest() {
    let content = Content::new(33, 24 * MIB);
    let manner = Manner { bytes_per_s: Some(6_000_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let nodes = site(2).await;
    let digest = sha256_of(content);
    let jobs = join_all(nodes.iter().map(|node| node.submit(node.spec(&origin, vec![digest.clone()])))).await;
    let [first, second] = <[LabNode; 2]>::try_from(nodes).ok().expect("two");
    second.stored(jobs[1], 8 * MIB).await;
    let folder = second.shut_down().await;
    let second = LabNode::start_in(folder, &[&first]).await;
    first.delivered(jobs[0]).await;
    let view = second.delivered(jobs[1]).await;
    assert_exact(&first.path("payload.bin"), content);
    assert_exact(&second.path("payload.bin"), content);
    assert!(view.bytes.peers > 0, "{:?}", view.bytes);
    first.shut_down().await;
    second.shut_down().await;
}
