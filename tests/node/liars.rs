//! Peers that lie, against a real node over real sockets: the bytes stay exact, the waste stays bounded, and only
//! liars are banned.

use std::net::SocketAddr;
use std::path::Path;

use futures::future::join_all;
use nearbits::job::{JobId, JobState};
use nearbits::node::{JobView, NodeConfig};
use peer_proto::content::ContentId;
use peer_proto::digest::Digest;

use crate::hostile::{Hostile, Manner, Plan};
use crate::lab::{LabNode, PATIENCE, blake3_of, sha256_of, wish};
use crate::plain_origin::{Content, Manner as OriginManner, PlainOrigin};

const MIB: u64 = 1 << 20;
const PIECE: u64 = 64 * 1024;

/// A payload, its bytes, and an origin that serves it.
struct Scene {
    content: Content,
    bytes: Vec<u8>,
    origin: PlainOrigin,
}

async fn scene(len: u64) -> Scene {
    let content = Content::new(7, len);
    Scene {
        content,
        bytes: bytes_of(content),
        origin: PlainOrigin::start(content, OriginManner::default()).await,
    }
}

fn bytes_of(content: Content) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(content.len).unwrap()];
    content.fill(0, &mut bytes);
    bytes
}

/// A node whose state is in this folder, and that keeps trying these peers.
fn config_with(folder: &Path, peers: &[String]) -> NodeConfig {
    let mut config = NodeConfig::embedded(folder.join("state"));
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.mdns = false;
    config.static_peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
    config
}

async fn node_with(peers: &[String]) -> LabNode {
    let folder = tempfile::tempdir().unwrap();
    let config = config_with(folder.path(), peers);
    let node = LabNode::start_with(folder, config).await;
    node.connected(peers.len()).await;
    node
}

async fn submit(node: &LabNode, url: String, digests: Vec<Digest>) -> JobId {
    node.submit(wish(url, node.path("file"), digests)).await
}

async fn get(node: &LabNode, scene: &Scene, digests: Vec<Digest>) -> JobView {
    let job = submit(node, scene.origin.url(), digests).await;
    let view = node.delivered(job).await;
    exact(&view, node, &scene.bytes);
    view
}

fn exact(view: &JobView, machine: &LabNode, bytes: &[u8]) {
    assert_eq!(view.state, JobState::Acknowledged, "{view:#?}");
    let found = std::fs::read(machine.path("file")).unwrap();
    assert_eq!(found.len(), bytes.len());
    let differing: Vec<usize> = (0..bytes.len()).filter(|at| found[*at] != bytes[*at]).collect();
    let ends = differing.first().zip(differing.last());
    assert!(ends.is_none(), "{} bytes differ, within {ends:?}: {view:#?}", differing.len());
}

async fn banned(machine: &LabNode) -> u64 {
    machine.handle.totals().await.unwrap().banned_peers
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_and_d21_wrong_bytes_under_a_true_list_cost_a_megabyte_and_a_ban() {
    for from in [0, 5 * 1024 * 1024 + 17, 8 * 1024 * 1024 - 1] {
        let scene = scene(8 * MIB).await;
        let liar = Hostile::start(1, Plan::false_bytes(&scene.bytes, from)).await;
        let machine = node_with(&[liar.address()]).await;
        let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
        assert!(liar.requests() > 0, "the liar was never asked: {view:#?}");
        assert_eq!(banned(&machine).await, 1, "lie from {from}");
        let why = machine.why(view.id).await;
        assert!(view.bytes.discarded <= MIB.max(2 * PIECE), "lie from {from}: {:?}\n{why}", view.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_who_gave_right_pieces_on_four_leases_and_then_lies_on_all_of_them_wastes_a_megabyte() {
    let scene = scene(64 * MIB).await;
    let liar = Hostile::start(40, Plan::false_bytes(&scene.bytes, 48 << 20)).await;
    let machine = node_with(&[liar.address()]).await;
    let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
    let why = machine.why(view.id).await;
    assert!(view.bytes.peers >= 16 * MIB && banned(&machine).await == 1, "{:?}\n{why}", view.bytes);
    assert!(view.bytes.discarded <= MIB, "{:?}\n{why}", view.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_5_a_fabricated_list_costs_a_megabyte_and_a_piece() {
    let scene = scene(16 * MIB).await;
    let all = 0..scene.bytes.len();
    let liar = Hostile::start(2, Plan::consistent_lie(&scene.bytes, all)).await;
    let machine = node_with(&[liar.address()]).await;
    let view = get(&machine, &scene, vec![sha256_of(scene.content)]).await;
    assert!(liar.sent() <= MIB + PIECE, "it could send {} bytes", liar.sent());
    assert!(view.bytes.origin <= 16 * MIB + PIECE, "{:?}", view.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_10_one_false_piece_under_sha256_costs_the_origin_one_file_at_most() {
    let scene = scene(64 * MIB).await;
    let at = 33 * 1024 * 1024;
    let liar = Hostile::start(3, Plan::consistent_lie(&scene.bytes, at..at + 1)).await;
    let machine = node_with(&[liar.address()]).await;
    let job = submit(&machine, scene.origin.url(), vec![sha256_of(scene.content)]).await;
    let watcher = tokio::spawn({
        let (path, len) = (machine.path("file"), scene.bytes.len());
        let mut events = machine.handle.watch();
        async move {
            while events.recv().await.is_ok() {
                // P4: under the final name there is nothing, or everything.
                let seen = std::fs::metadata(&path).map(|file| file.len());
                assert!(seen.is_err() || seen.is_ok_and(|seen| seen == len as u64));
            }
        }
    });
    let view = machine.delivered(job).await;
    watcher.abort();
    assert!(!watcher.await.is_err_and(|error| error.is_panic()), "a partial file was visible");
    exact(&view, &machine, &scene.bytes);
    assert!(liar.sent() >= MIB, "the liar gave nothing: {view:#?}");
    assert!(view.bytes.origin <= 64 * MIB, "{:?}\n{}", view.bytes, machine.why(job).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_8_a_false_hint_beside_honest_holders_bans_no_honest_peer() {
    let scene = scene(16 * MIB).await;
    let liar = Hostile::start(4, Plan::consistent_lie(&scene.bytes, 9_000_000..9_000_001)).await;
    let mut honest = Vec::new();
    for seed in 5..8 {
        honest.push(Hostile::start(seed, Plan::honest(&scene.bytes)).await);
    }
    let mut peers = vec![liar.address()];
    peers.extend(honest.iter().map(Hostile::address));
    let machine = node_with(&peers).await;
    get(&machine, &scene, vec![sha256_of(scene.content)]).await;
    let peers = machine.handle.peers().await.unwrap();
    for peer in honest.iter().map(Hostile::peer_id) {
        let row = peers.iter().find(|row| row.peer == peer);
        assert!(row.is_none_or(|row| row.banned_for_s.is_none()), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_5_expanded_and_contracted_lists_end_exact_with_one_honest_peer_and_no_origin() {
    let content = Content::new(9, 4 * PIECE + 100);
    let bytes = bytes_of(content);
    let honest = Hostile::start(20, Plan::honest(&bytes)).await;
    let mut expanded = Plan::honest(&bytes);
    expanded.content.len = 6 * PIECE;
    expanded.values.push(expanded.values[4]);
    let mut contracted = Plan::honest(&bytes);
    contracted.content.len = 2 * PIECE;
    contracted.values.truncate(2);
    let liars = [Hostile::start(21, expanded).await, Hostile::start(22, contracted).await];
    let peers: Vec<String> = liars.iter().chain([&honest]).map(Hostile::address).collect();
    let machine = node_with(&peers).await;
    // Nobody listens at the discard port: the origin is away.
    let job = submit(&machine, "http://127.0.0.1:9/file".into(), vec![blake3_of(content)]).await;
    let view = machine.delivered(job).await;
    exact(&view, &machine, &bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn d22_stated_lengths_that_are_not_the_files_change_nothing() {
    let scene = scene(4 * MIB + 7).await;
    let true_len = scene.bytes.len() as u64;
    for (seed, len) in [(10, true_len - 1), (11, true_len + 1), (12, 4 << 40), (13, 1 << 63)] {
        let mut plan = Plan::honest(&scene.bytes);
        plan.content = ContentId { root: plan.content.root, len };
        let liar = Hostile::start(seed, plan).await;
        let machine = node_with(&[liar.address()]).await;
        let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
        assert_eq!(view.len, Some(true_len));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_5_and_trust_6_and_d22_a_true_list_under_another_length_is_found_out_by_the_last_piece() {
    let content = Content::new(17, 4 * MIB + 7);
    let bytes = bytes_of(content);
    // As many pieces: the list folds to the root for each of them. 2^63 is the length of no file.
    for (seed, len, asked_for_bytes) in
        [(40, content.len - 1, true), (41, content.len + 1, true), (42, 1 << 63, false)]
    {
        let mut plan = Plan::honest(&bytes);
        plan.content.len = len;
        let liar = Hostile::start(seed, plan).await;
        let honest = Hostile::start(seed + 10, Plan::honest(&bytes)).await;
        let machine = node_with(&[liar.address()]).await;
        // Nobody listens at the discard port: the origin is away.
        let job = submit(&machine, "http://127.0.0.1:9/file".into(), vec![blake3_of(content)]).await;
        if asked_for_bytes {
            machine.until(|| liar.requests() > 0, "the liar is asked for the last piece").await;
            until_banned(&machine, &liar).await;
        }
        let before = machine.handle.job(job).await.unwrap().unwrap();
        assert_eq!((before.stored, before.len), (0, None), "no length is believed: {before:#?}");
        assert!(liar.requests() <= 1 && liar.sent() <= PIECE, "{} {}", liar.requests(), liar.sent());
        machine.handle.add_peer(honest.address().parse().unwrap());
        let view = machine.delivered(job).await;
        exact(&view, &machine, &bytes);
        assert_eq!(view.len, Some(content.len));
        assert!(view.bytes.discarded <= PIECE, "{len}: {:?}", view.bytes);
        let rows = machine.handle.peers().await.unwrap();
        let is_banned = |peer| rows.iter().any(|row| row.peer == peer && row.banned_for_s.is_some());
        assert!(!is_banned(honest.peer_id()), "{rows:?}");
        assert!(!asked_for_bytes || is_banned(liar.peer_id()), "{rows:?}");
    }
}

/// Waits until a node bans a peer.
async fn until_banned(machine: &LabNode, peer: &Hostile) {
    let looked = async {
        loop {
            let rows = machine.handle.peers().await.unwrap();
            if rows.iter().any(|row| row.peer == peer.peer_id() && row.banned_for_s.is_some()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it is banned");
}

#[tokio::test(flavor = "multi_thread")]
async fn t4_and_d22_bytes_of_other_places_and_lists_of_other_trees_are_refused() {
    let scene = scene(4 * MIB).await;
    let mut shifted = Plan::honest(&scene.bytes);
    let mut bytes = scene.bytes.clone();
    bytes.rotate_left(usize::try_from(PIECE).unwrap());
    shifted.bytes = bytes.into();
    let mut other_tree = Plan::honest(&scene.bytes);
    other_tree.values = Plan::consistent_lie(&scene.bytes, 0..1).values;
    let mut truncated = Plan::honest(&scene.bytes);
    truncated.values.truncate(63);
    // A list of the wrong length proves that its sender is broken, not that it lies.
    for (seed, plan, bans) in [(14, shifted, 1), (15, other_tree, 1), (16, truncated, 0)] {
        let liar = Hostile::start(seed, plan).await;
        let machine = node_with(&[liar.address()]).await;
        let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
        assert!(view.bytes.discarded <= MIB, "{view:#?}");
        assert_eq!((view.bytes.origin, banned(&machine).await), (4 * MIB, bans), "{seed}: {view:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d23_a_liar_as_the_only_peer_leaves_the_origin() {
    let scene = scene(2 * MIB).await;
    let liar = Hostile::start(30, Plan::false_bytes(&scene.bytes, 0)).await;
    let machine = node_with(&[liar.address()]).await;
    let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
    assert_eq!(view.bytes.origin, 2 * MIB, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_and_d26_a_peer_that_has_all_and_answers_nothing_is_passed_over() {
    let scene = scene(4 * MIB).await;
    let mut plan = Plan::honest(&scene.bytes);
    plan.manner = Manner::Silent;
    let silent = Hostile::start(31, plan).await;
    let machine = node_with(&[silent.address()]).await;
    let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
    assert!(silent.requests() > 0);
    assert_eq!(view.bytes.peers, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_and_d24_a_url_alone_brings_no_peer_byte() {
    let scene = scene(4 * MIB).await;
    let holder = Hostile::start(32, Plan::honest(&scene.bytes)).await;
    let machine = node_with(&[holder.address()]).await;
    let view = get(&machine, &scene, Vec::new()).await;
    assert_eq!((view.bytes.peers, holder.requests()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_a_dozen_names_of_one_liar_neither_outvote_an_honest_peer_nor_bring_a_false_byte() {
    let scene = scene(8 * MIB).await;
    let honest = Hostile::start(60, Plan::honest(&scene.bytes)).await;
    let mut peers = vec![honest.address()];
    let mut liars = Vec::new();
    for seed in 61..73 {
        // All of them agree.
        let plan = Plan::consistent_lie(&scene.bytes, 3_000_000..3_000_001);
        liars.push(Hostile::start(seed, plan).await);
    }
    peers.extend(liars.iter().map(Hostile::address));
    let machine = node_with(&peers).await;
    // The root is named: what does not fold to it is of no use, however many say it.
    let view = get(&machine, &scene, vec![blake3_of(scene.content)]).await;
    assert!(honest.requests() > 0 && view.bytes.peers > 0, "{view:#?}");
    assert_eq!(liars.iter().map(Hostile::requests).sum::<u64>(), 0, "their list is of another file");
    // Only the whole file is named: the origin decides, piece by piece, and no number of names outvotes it.
    let machine = node_with(&peers).await;
    let view = get(&machine, &scene, vec![sha256_of(scene.content)]).await;
    assert!(view.bytes.origin <= 8 * MIB, "{:?}", view.bytes);
}

/// One more file of 16 MiB, for which only a liar under a new name is there. Gives what came of it, and why.
async fn lied_to(node: &LabNode, seed: u8) -> (JobView, String) {
    let content = Content::new(seed.into(), 16 * MIB);
    let bytes = bytes_of(content);
    let origin = PlainOrigin::start(content, OriginManner::default()).await;
    let liar = Hostile::start(seed, Plan::consistent_lie(&bytes, 3_000_000..3_000_001)).await;
    node.handle.add_peer(liar.address().parse().unwrap());
    let met = async {
        loop {
            let peers = node.handle.peers().await.unwrap();
            if peers.iter().any(|row| row.peer == liar.peer_id() && row.connected) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("it is met");
    let name = format!("file-{seed}");
    let job = node.submit(wish(origin.url(), node.path(&name), vec![sha256_of(content)])).await;
    let (view, why) = (node.delivered(job).await, node.why(job).await);
    assert!(std::fs::read(node.path(&name)).unwrap() == bytes, "file {seed} is exact");
    assert!(view.bytes.origin <= content.len, "{why}");
    (view, why)
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_12_after_two_files_nobody_on_the_link_is_believed_and_a_restart_does_not_forget_it() {
    let node = node_with(&[]).await;
    let mut files = 0;
    while node.handle.blown_links().await.unwrap().is_empty() {
        // One piece of 256 is false: a liar may fall at its first audit, which is no repair, but hardly twice.
        assert!(files < 4, "two were not enough");
        lied_to(&node, 100 + files).await;
        files += 1;
    }
    assert!(files >= 2);
    let (view, why) = lied_to(&node, 120).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (16 * MIB, 0), "{why}");
    assert!(why.contains("strangers at 127.0.0.0/8 are not listened to for"), "{why}");
    let blown = node.handle.blown_links().await.unwrap();
    assert_eq!((blown.len(), blown[0].link.to_string().as_str()), (1, "127.0.0.0/8"));

    let folder = node.shut_down().await;
    let config = config_with(folder.path(), &[]);
    let node = LabNode::start_with(folder, config).await;
    let kept = node.handle.blown_links().await.unwrap();
    assert_eq!(kept.iter().map(|link| link.link).collect::<Vec<_>>(), [blown[0].link]);
    let (view, why) = lied_to(&node, 121).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (16 * MIB, 0), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_10_eight_nodes_beside_a_liar_that_falsifies_one_piece_read_three_files_at_most() {
    let content = Content::new(8, 16 * MIB);
    let bytes = bytes_of(content);
    let manner = OriginManner { bytes_per_s: Some(8_000_000), ..OriginManner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let liar = Hostile::start(140, Plan::consistent_lie(&bytes, 11_000_000..11_000_001)).await;
    let mut nodes: Vec<LabNode> = Vec::new();
    for _ in 0..8 {
        let others = nodes.iter().flat_map(LabNode::addresses).map(|address| address.to_string());
        let peers: Vec<String> = others.chain([liar.address()]).collect();
        nodes.push(node_with(&peers).await);
    }
    for node in &nodes {
        node.connected(8).await;
    }
    let jobs = join_all(
        nodes.iter().map(|node| node.submit(wish(origin.url(), node.path("file"), vec![sha256_of(content)]))),
    )
    .await;
    let mut why = String::new();
    for (node, job) in nodes.iter().zip(jobs) {
        let view = node.delivered(job).await;
        exact(&view, node, &bytes);
        why += &format!("{:?}\n{}\n", view.bytes, node.why(job).await);
        assert!(view.bytes.origin <= content.len, "{why}");
    }
    assert!(
        liar.sent() > 0 && origin.sent() <= 3 * content.len,
        "{} bytes from the origin: {why}",
        origin.sent()
    );
    join_all(nodes.into_iter().map(LabNode::shut_down)).await;
}
