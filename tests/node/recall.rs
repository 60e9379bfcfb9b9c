//! The machine's own cache as a source: what is here already crosses no line, and what rotted there comes from
//! elsewhere.
//!
//! Knows: one node and its origin. Does not know: other peers.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use nearbits::clock::Clock;
use nearbits::job::{Caller, Header, Headers, JobSpec, JobState};
use nearbits::record::{Holding, RecordId};

use crate::from_peers::{holder, list_of};
use crate::lab::{LabNode, assert_exact, blake3_of, placed, sha256_of};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const PIECE: u64 = 64 << 10;

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

const fn user(uid: u32) -> Caller {
    Caller { uid, is_administrator: false }
}

/// A node whose user 101 fetched this with a secret of its own, and the origin it came from.
async fn with_a_file_of_user_101(content: Content) -> (PlainOrigin, LabNode) {
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let header = Headers(vec![Header { name: "X-Key".into(), value: "secret".into() }]);
    let spec = named(&node, node.spec(&origin, vec![sha256_of(content)]), "a");
    let job = node.handle.submit_as(JobSpec { headers: header, ..spec }, user(101), true).await.unwrap();
    node.delivered(job).await;
    (origin, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_1_what_one_user_fetched_with_a_secret_gives_another_user_neither_a_byte_nor_a_hint() {
    let content = Content::new(64, 4 * MIB);
    let (origin, node) = with_a_file_of_user_101(content).await;
    let digest = sha256_of(content);
    let records = node.handle.cache().records(None).await.unwrap();
    assert_eq!(records.len(), 1, "it is kept, for its owner");
    origin.kill();
    let ends = async |uid: u32, name: &str, digest| {
        let spec = named(&node, node.spec(&origin, vec![digest]), name);
        let spec = JobSpec { no_progress_s: 0, ..spec };
        let job = node.handle.submit_as(spec, user(uid), true).await.unwrap();
        let view = node.settled(job).await;
        (view.state, view.bytes.cache, view.reason)
    };
    let asked_by_b = ends(102, "b", digest.clone()).await;
    assert_eq!((asked_by_b.0, asked_by_b.1), (JobState::Error, 0));
    // Exactly what somebody hears who asks for what nobody ever had.
    assert_eq!(asked_by_b, ends(102, "c", crate::lab::wrong_blake3()).await);
    let asked_by_a = ends(101, "d", digest).await;
    assert_eq!((asked_by_a.0, asked_by_a.1), (JobState::Acknowledged, content.len));
}

/// Flips 250 bits of 320 pieces, each somewhere else in its own piece.
fn rot(path: &Path) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    for piece in 0..250_u64 {
        let at = piece * PIECE + (piece * 7_919 + 13) % PIECE;
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ (1 << (piece % 8))]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_1_another_users_secret_file_and_one_that_nobody_has_are_missed_in_the_same_time() {
    const PROBES: u32 = 25;
    let content = Content::new(65, 4 * MIB);
    let (origin, node) = with_a_file_of_user_101(content).await;
    let digest = sha256_of(content);
    origin.kill();
    let clock = Clock::start();
    let probe = async |digest, name: String| {
        let spec = JobSpec { no_progress_s: 0, ..named(&node, node.spec(&origin, vec![digest]), &name) };
        let start = clock.monotonic();
        let job = node.handle.submit_as(spec, user(102), true).await.unwrap();
        let view = node.settled(job).await;
        assert_eq!((view.state, view.bytes.cache), (JobState::Error, 0));
        clock.monotonic().since(start)
    };
    // One after the other, so that what else the machine does falls on both alike.
    let (mut held, mut missing) = (Vec::new(), Vec::new());
    for turn in 0..PROBES {
        held.push(probe(digest.clone(), format!("held-{turn}")).await);
        missing.push(probe(crate::lab::wrong_sha256(), format!("missing-{turn}")).await);
    }
    let median = |took: &mut Vec<Duration>| {
        took.sort_unstable();
        took[took.len() / 2]
    };
    let (of_held, of_missing) = (median(&mut held), median(&mut missing));
    let bound = Duration::from_millis(10) + of_missing / 2;
    assert!(of_held.abs_diff(of_missing) <= bound, "{of_held:?} for a secret, {of_missing:?} for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d46_of_a_thousand_bits_that_flipped_in_the_caches_own_copies_none_is_served_and_all_are_repaired() {
    for mark in 80..84 {
        let content = Content::new(mark, 20 * MIB);
        let list = list_of(content);
        let holder = holder(content, &list, 0..list.geometry().piece_count()).await;
        assert_eq!(holder.handle.cache().usage().await.unwrap().own, content.len, "a copy of its own");
        rot(&holder.path(&format!("state/cache/{}.data", RecordId([9; 16]))));
        let origin = PlainOrigin::start(content, Manner::default()).await;
        let spec = |node: &LabNode, origin| named(node, node.spec(origin, vec![blake3_of(content)]), "file");
        let other = LabNode::start(&[&holder]).await;
        other.connected(1).await;
        let view = other.fetch(spec(&other, &origin)).await;
        assert_exact(&other.path("file"), content);
        assert!(view.bytes.peers <= 70 * PIECE, "only what did not rot was served: {:?}", view.bytes);
        assert!(view.bytes.origin >= 250 * PIECE, "{:?}", view.bytes);
        let peers = other.handle.peers().await.unwrap();
        assert!(peers.iter().all(|peer| peer.banned_for_s.is_none()), "rot is nobody's lie: {peers:?}");
        other.shut_down().await;
        // It takes what rotted from elsewhere, and gives all of it again.
        let view = holder.fetch(spec(&holder, &origin)).await;
        assert_exact(&holder.path("file"), content);
        assert!(view.bytes.origin >= 250 * PIECE, "{:?}", view.bytes);
        let shown = holder.handle.cache().records(None).await.unwrap();
        assert!(shown.iter().any(|shown| shown.summary.holding == Holding::Whole), "{shown:?}");
        let manner = Manner { bytes_per_s: Some(100_000), ..Manner::default() };
        let slow = PlainOrigin::start(content, manner).await;
        let late = LabNode::start(&[&holder]).await;
        late.connected(1).await;
        let view = late.fetch(spec(&late, &slow)).await;
        assert_exact(&late.path("file"), content);
        assert!(view.bytes.peers >= content.len - MIB, "{:?}\n{}", view.bytes, late.why(view.id).await);
        late.shut_down().await;
        holder.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d46_of_a_thousand_bits_that_flipped_in_cached_files_none_is_served_and_all_are_repaired() {
    let contents: Vec<Content> = (0..4).map(|mark| Content::new(70 + mark, 20 * MIB)).collect();
    let holder = LabNode::start(&[]).await;
    let other = LabNode::start(&[&holder]).await;
    other.connected(1).await;
    for (number, content) in contents.iter().enumerate() {
        let origin = PlainOrigin::start(*content, Manner::default()).await;
        let digest = blake3_of(*content);
        let spec = |node: &LabNode, name: &str| named(node, node.spec(&origin, vec![digest.clone()]), name);
        let place = format!("held-{number}");
        holder.fetch(spec(&holder, &place)).await;
        rot(&holder.path(&place));
        let view = other.fetch(spec(&other, &place)).await;
        assert_exact(&other.path(&place), *content);
        assert!(view.bytes.peers <= 70 * PIECE, "only what did not rot was served: {:?}", view.bytes);
        // Whoever held it takes what rotted from elsewhere, and holds it whole again.
        let again = format!("again-{number}");
        holder.fetch(spec(&holder, &again)).await;
        assert_exact(&holder.path(&again), *content);
    }
    let peers = other.handle.peers().await.unwrap();
    assert!(peers.iter().all(|peer| peer.banned_for_s.is_none()), "rot is nobody's lie: {peers:?}");
}
