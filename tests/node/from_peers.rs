//! Peers beside the origin: what they hold comes from them, proved; without a digest nobody is asked.
//!
//! Knows: several nodes in one process. Does not know: hostile peers (`hostile`).

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use nearbits::cache::{Cache, Keep};
use nearbits::disk::RealFiles;
use nearbits::job::{JobSpec, PeerFlags, Rates};
use nearbits::node::{KeeperError, NodeConfig};
use nearbits::record::{CacheSize, CacheWish, RecordId, Scope};
use nearbits::store::{Index, StateFolder};
use peer_proto::verify::{HashList, StreamHasher};

use crate::lab::{LabNode, PATIENCE, assert_exact, blake3_of, each_block, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

pub(crate) fn list_of(content: Content) -> Arc<HashList> {
    let mut hasher = StreamHasher::new();
    each_block(content, |block| hasher.update(block));
    Arc::new(hasher.finish().expect("short enough"))
}

/// A folder with the state of a node whose cache holds these pieces of a content.
pub(crate) fn held(content: Content, list: &Arc<HashList>, pieces: Range<u32>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateFolder::open(&folder.path().join("state")).expect("a state folder");
    let cache =
        Cache::open(RealFiles, &state.cache_path(), Index::open(&state.index_path())).expect("a cache");
    let keep = Keep {
        id: RecordId([9; 16]),
        list: list.clone(),
        digests: vec![sha256_of(content)],
        url: "http://example.org/payload.bin".into(),
        version: None,
        scope: Scope::Shareable,
        served: true,
        vouched: Vec::new(),
        // An hour ago.
        now_unix_s: nearbits::clock::wall_unix_ms() / 1_000 - 3_600,
    };
    let read = |piece: peer_proto::content::PieceIndex, buffer: &mut Vec<u8>| {
        let range = list.geometry().piece_range(piece).expect("a piece of the file");
        buffer.resize(usize::try_from(range.len()).expect("a piece"), 0);
        content.fill(range.start(), buffer);
        pieces.contains(&piece.0)
    };
    cache.insert_partial(keep, read).expect("kept");
    cache.flush();
    drop((cache, state));
    folder
}

/// A node whose cache holds these pieces of a content when it starts.
pub(crate) async fn holder(content: Content, list: &Arc<HashList>, pieces: Range<u32>) -> LabNode {
    LabNode::start_in(held(content, list, pieces), &[]).await
}

/// An origin, a peer that holds all of its content, and a node that is connected to that peer.
async fn beside_a_holder(content: Content) -> (PlainOrigin, LabNode, LabNode) {
    let list = list_of(content);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let peer = holder(content, &list, 0..list.geometry().piece_count()).await;
    let node = LabNode::start(&[&peer]).await;
    node.connected(1).await;
    (origin, peer, node)
}

/// The same, under an administrator's file with this text.
pub(crate) async fn beside_a_holder_with(
    content: Content,
    policy: &str,
) -> (PlainOrigin, LabNode, LabNode, PathBuf) {
    let list = list_of(content);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let peer = holder(content, &list, 0..list.geometry().piece_count()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let policy_file = folder.path().join("policy.toml");
    std::fs::write(&policy_file, policy).expect("a fresh file");
    let config = NodeConfig {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        mdns: false,
        static_peers: peer.addresses(),
        policy_file: policy_file.clone(),
        ..NodeConfig::embedded(folder.path().join("state"))
    };
    let node = LabNode::start_with(folder, config).await;
    node.connected(1).await;
    (origin, peer, node, policy_file)
}

/// A job that takes two seconds, so that something can happen in the middle of it.
fn unhurried(node: &LabNode, origin: &PlainOrigin, content: Content) -> JobSpec {
    let rates = Rates { total: NonZeroU64::new(content.len / 2), ..Rates::default() };
    JobSpec { rates, ..node.spec(origin, vec![blake3_of(content)]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_node_takes_the_file_from_the_first() {
    let content = Content::new(2, 64 * MIB);
    let quick = PlainOrigin::start(content, Manner::default()).await;
    let manner = Manner { bytes_per_s: Some(10_000_000), ..Manner::default() };
    for digest in [blake3_of(content), sha256_of(content)] {
        let slow = PlainOrigin::start(content, manner).await;
        let first = LabNode::start(&[]).await;
        first.fetch(first.spec(&quick, vec![digest.clone()])).await;
        let second = LabNode::start(&[&first]).await;
        let job = second.submit(second.spec(&slow, vec![digest])).await;
        let view = second.delivered(job).await;
        assert_exact(&second.path("payload.bin"), content);
        let why = second.why(job).await;
        assert!(view.bytes.peers * 100 >= content.len * 99, "{:?}\n{why}", view.bytes);
        assert!(slow.sent() * 100 <= content.len, "{} bytes from the origin\n{why}", slow.sent());
        second.shut_down().await;
        first.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_peers_with_a_third_each_give_the_whole_file() {
    let content = Content::new(10, 24 * MIB);
    let list = list_of(content);
    let manner = Manner { bytes_per_s: Some(1_000_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let thirds = [0..128, 128..256, 256..384];
    let mut peers = Vec::new();
    for third in thirds {
        peers.push(holder(content, &list, third).await);
    }
    let node = LabNode::start(&peers.iter().collect::<Vec<_>>()).await;
    node.connected(3).await;
    let job = node.submit(node.spec(&origin, vec![blake3_of(content)])).await;
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    let why = node.why(job).await;
    assert_eq!(view.bytes.origin, 0, "{why}");
    for peer in &peers {
        let id = peer.handle.peer_id().to_string();
        let share = view.sources.iter().find(|source| source.source == id);
        assert!(share.is_some_and(|share| share.bytes >= 8 * MIB), "{id}: {:?}\n{why}", view.sources);
    }
    node.shut_down().await;
    for peer in peers {
        peer.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_with_the_origin_when_the_serving_peer_goes() {
    let content = Content::new(11, 32 * MIB);
    let (origin, peer, node) = beside_a_holder(content).await;
    let job = node.submit(unhurried(&node, &origin, content)).await;
    let at_kill = node.stored(job, 8 * MIB).await;
    peer.shut_down().await;
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(at_kill.bytes.peers > 0, "the peer was used: {:?}", at_kill.bytes);
    let twice = (view.bytes.origin + view.bytes.peers).saturating_sub(content.len);
    assert!(twice <= 4 * MIB, "{twice} bytes twice\n{}", node.why(job).await);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finishes_from_peers_when_the_origin_goes() {
    let content = Content::new(12, 32 * MIB);
    let list = list_of(content);
    let manner = Manner { bytes_per_s: Some(8 * MIB), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let (one, two) = (holder(content, &list, 0..300).await, holder(content, &list, 200..512).await);
    let node = LabNode::start(&[&one, &two]).await;
    node.connected(2).await;
    let job = node.submit(unhurried(&node, &origin, content)).await;
    node.stored(job, 4 * MIB).await;
    origin.kill();
    node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    node.shut_down().await;
    one.shut_down().await;
    two.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_digest_no_peer_gives_a_byte() {
    let content = Content::new(13, 8 * MIB);
    let (origin, peer, node) = beside_a_holder(content).await;
    let view = node.fetch(node.spec(&origin, Vec::new())).await;
    assert_exact(&node.path("payload.bin"), content);
    assert_eq!((view.bytes.peers, view.bytes.origin), (0, content.len));
    assert_eq!(peer.handle.totals().await.expect("it runs").served_bytes, 0);
    node.shut_down().await;
    peer.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleared_flag_stops_peers_in_the_middle_of_a_job() {
    let content = Content::new(14, 32 * MIB);
    let (origin, peer, node) = beside_a_holder(content).await;
    let job = node.submit(unhurried(&node, &origin, content)).await;
    node.stored(job, 8 * MIB).await;
    node.handle.set_flags(PeerFlags { client: false, server: true }).await.expect("kept");
    let at_flip = node.handle.job(job).await.expect("it runs").expect("the job");
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.origin > 0, "{:?}", view.bytes);
    // What was on its way may still be counted.
    assert!(view.bytes.peers <= at_flip.bytes.peers + 4 * MIB, "{:?} then {:?}", at_flip.bytes, view.bytes);
    node.shut_down().await;
    peer.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_23_a_record_that_a_peer_was_given_was_used_at_that_moment() {
    let content = Content::new(14, 2 * MIB);
    let (origin, peer, node) = beside_a_holder(content).await;
    let used = async || peer.handle.cache().records(None).await.unwrap()[0].summary.last_used_unix_s;
    let before = used().await;
    let view = node.fetch(node.spec(&origin, vec![sha256_of(content)])).await;
    assert!(view.bytes.peers > 0, "{view:?}");
    let noted = tokio::time::timeout(PATIENCE, async {
        while used().await == before {
            tokio::task::yield_now().await;
        }
    });
    noted.await.expect("the use is noted");
    assert!(used().await >= before + 3_600);
    peer.shut_down().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_8_and_cache_13_a_record_that_a_peer_reads_stays_until_it_was_read() {
    let content = Content::new(78, 16 * MIB);
    let (origin, peer, node) = beside_a_holder(content).await;
    let job = node.submit(unhurried(&node, &origin, content)).await;
    node.stored(job, 2 * MIB).await;
    let keeper = peer.handle.cache();
    let refused = keeper.remove(RecordId([9; 16])).await;
    assert!(matches!(refused, Err(KeeperError::Busy(_))), "{refused:?}");
    let least = CacheWish { size: Some(CacheSize::Bytes(1)), ..CacheWish::default() };
    keeper.set_limits(least).await.expect("they are kept");
    assert_eq!(keeper.usage().await.unwrap().own, content.len, "too much, and in use");
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.peers > content.len / 2, "{view:?}\n{}", node.why(job).await);
    keeper.trim(0).await.expect("nobody reads it any more");
    assert_eq!(keeper.usage().await.unwrap().own, 0);
    let shown = peer.handle.cache().records(None).await.unwrap();
    assert!(shown.is_empty(), "{shown:?}");
    peer.shut_down().await;
    node.shut_down().await;
}
