//! The machine's own cache as a source: what is here already crosses no line, and what rotted there comes from
//! elsewhere.
//!
//! Knows: one node and its origin. Does not know: other peers.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use nearbits::job::JobSpec;

use crate::lab::{LabNode, assert_exact, blake3_of, placed, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

fn named(node: &LabNode, spec: JobSpec, name: &str) -> JobSpec {
    placed(spec, node.path(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_here_is_copied_and_its_origin_is_not_needed() {
    let content = Content::new(61, 20 * MIB + 5);
    for digest in [blake3_of(content), sha256_of(content)] {
        let origin = PlainOrigin::start(content, Manner::default()).await;
        let node = LabNode::start(&[]).await;
        let spec = node.spec(&origin, vec![digest]);
        node.fetch(named(&node, spec.clone(), "first")).await;
        origin.kill();
        // Found again after a restart, too.
        let node = LabNode::start_in(node.shut_down().await, &[]).await;
        let job = node.submit(named(&node, spec, "second")).await;
        let view = node.delivered(job).await;
        assert_exact(&node.path("second"), content);
        let why = node.why(job).await;
        assert_eq!((view.bytes.cache, view.bytes.origin), (content.len, 0), "{why}");
        assert!(why.contains("this machine's cache has it"), "{why}");
        assert_eq!(node.handle.cache().records(None).await.unwrap().len(), 1, "one content, one record");
        node.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d46_a_bit_that_flipped_in_the_cache_is_fetched_again_and_never_delivered() {
    let content = Content::new(62, 16 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let spec = node.spec(&origin, vec![blake3_of(content)]);
    node.fetch(named(&node, spec.clone(), "first")).await;
    let before = origin.sent();
    let mut file = std::fs::File::options().read(true).write(true).open(node.path("first")).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(9 * MIB + 3)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(9 * MIB + 3)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    drop(file);
    let job = node.submit(named(&node, spec, "second")).await;
    let view = node.delivered(job).await;
    assert_exact(&node.path("second"), content);
    let why = node.why(job).await;
    assert!(view.bytes.cache > 0 && view.bytes.origin > 0, "{:?}\n{why}", view.bytes);
    assert!(origin.sent() - before < content.len, "{why}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d46_a_record_whose_list_is_damaged_is_held_no_more() {
    let content = Content::new(63, 3 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let spec = node.spec(&origin, vec![blake3_of(content)]);
    node.fetch(named(&node, spec.clone(), "first")).await;
    let damaged = node.handle.cache().records(None).await.unwrap()[0].summary.id;
    let folder = node.shut_down().await;
    std::fs::write(folder.path().join(format!("state/cache/{damaged}.list")), b"no list").unwrap();
    let node = LabNode::start_in(folder, &[]).await;
    node.fetch(named(&node, spec, "second")).await;
    assert_exact(&node.path("second"), content);
    let held: Vec<_> =
        node.handle.cache().records(None).await.unwrap().into_iter().map(|shown| shown.summary.id).collect();
    assert!(!held.contains(&damaged), "{held:?}");
    node.shut_down().await;
}
