//! The origin alone: exact bytes or an error, whatever the size.
//!
//! Knows: one node and one origin. Does not know: peers.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};

use nearbits::job::{JobSpec, JobState, Rates};
use nearbits::node::{Failure, JobCommand};

use crate::lab::{LabNode, assert_exact, blake3_of, placed, sha256_of, wish, wrong_blake3};
use crate::origin_script::{Act, Payload, Scripted, Site};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const PIECE: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_comes_from_the_origin_alone() {
    let content = Content::new(1, 20 << 20);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let view = node.fetch(node.spec(&origin, Vec::new())).await;
    assert_exact(&node.path("payload.bin"), content);
    assert_eq!((view.bytes.origin, view.bytes.peers), (content.len, 0));
    assert_eq!(view.blake3, Some(blake3_of(content).to_hex()));
    node.shut_down().await;
}

/// Every size that is special, with and without a stated length, with and without a digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_telling_size_are_exact() {
    let node = LabNode::start(&[]).await;
    for chunked in [false, true] {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 5 * PIECE + 7] {
            let content = Content::new(3, len);
            let origin = PlainOrigin::start(content, Manner { chunked, ..Manner::default() }).await;
            for digests in [Vec::new(), vec![sha256_of(content)]] {
                let name = format!("{chunked}-{len}-{}", digests.len());
                let destination = node.path(&name);
                let view = node.fetch(placed(node.spec(&origin, digests), destination)).await;
                assert_exact(&node.path(&name), content);
                assert_eq!((view.len, view.blake3), (Some(len), Some(blake3_of(content).to_hex())), "{name}");
            }
        }
    }
    node.shut_down().await;
}

/// Takes 5 GiB of disk for a while; where there is less room it tries a small file and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_beyond_four_gibibytes_is_exact() {
    let node = LabNode::start(&[]).await;
    let disk = rustix::fs::statvfs(node.path("payload.bin").parent().unwrap()).expect("the disk says");
    let content = if disk.f_bavail * disk.f_frsize >= 8 << 30 {
        Content::sparse((5 << 30) + 11)
    } else {
        let words = b"less than 8 GiB are free for temporary files: 5 MiB are tried instead of 5 GiB\n";
        drop(std::io::Write::write_all(&mut std::io::stderr(), words));
        Content::sparse((5 << 20) + 11)
    };
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    // Ten minutes at the most: a slow disk is no failure.
    let settled = tokio::time::timeout(std::time::Duration::from_secs(600), node.handle.settled(job)).await;
    assert!(settled.is_ok(), "{}", node.why(job).await);
    node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_is_an_integrity_error_and_leaves_nothing_under_the_name() {
    let content = Content::new(4, 3 << 20);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let other = Content::new(5, 3 << 20);
    for digest in [wrong_blake3(), sha256_of(other)] {
        let job = node.submit(node.spec(&origin, vec![digest])).await;
        let view = node.settled(job).await;
        assert_eq!((view.state, view.failure), (JobState::Error, Some(Failure::Integrity)), "{view:#?}");
        assert!(!node.path("payload.bin").exists());
        node.handle.command(job, JobCommand::Cancel).await.expect("an error may be cancelled");
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_changes_half_way_is_fetched_anew() {
    let (before, after) = (Content::new(6, 16 << 20), Content::new(7, 17 << 20));
    let manner = Manner { bytes_per_s: Some(16 << 20), ..Manner::default() };
    let origin = PlainOrigin::start(before, manner).await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(node.spec(&origin, Vec::new())).await;
    node.stored(job, 4 << 20).await;
    origin.change(after);
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), after);
    assert_eq!(view.restarts, 1);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_stays_under_its_rate() {
    let content = Content::new(8, 6 << 20);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let node = LabNode::start(&[]).await;
    let limit = NonZeroU64::new(4 << 20);
    let clock = nearbits::clock::Clock::start();
    node.fetch(JobSpec {
        rates: Rates { total: limit, ..Rates::default() },
        ..node.spec(&origin, Vec::new())
    })
    .await;
    let took = clock.monotonic().as_micros();
    assert!(took >= 1_300_000, "6 MiB at 4 MiB/s in {took} microseconds");
    assert_exact(&node.path("payload.bin"), content);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_leaves_nothing() {
    let manner = Manner { bytes_per_s: Some(8 << 20), ..Manner::default() };
    let origin = PlainOrigin::start(Content::new(9, 64 << 20), manner).await;
    let node = LabNode::start(&[]).await;
    std::fs::create_dir(node.path("out")).expect("a folder");
    let destination = node.path("out").join("payload.bin");
    let job = node.submit(placed(node.spec(&origin, Vec::new()), destination)).await;
    node.stored(job, 1 << 20).await;
    node.handle.command(job, JobCommand::Cancel).await.expect("a running job may be cancelled");
    let view = node.settled(job).await;
    assert_eq!(view.state, JobState::Cancelled);
    let is_empty = || std::fs::read_dir(node.path("out")).expect("a folder").next().is_none();
    node.until(is_empty, "the part is removed").await;
    node.shut_down().await;
}

/// D05 gives up at the third broken answer in a row. Here every one is followed by a good body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d05_a_broken_answer_now_and_then_is_no_reason_to_give_up() {
    let (site, asked_for) = (Site::new(Payload::new(31, 200_000)), AtomicUsize::new(0));
    let origin = Scripted::start(move |asked| {
        let is_broken = !asked.is_head() && asked_for.fetch_add(1, Ordering::Relaxed) % 2 == 0;
        if is_broken { vec![site.part_head(7, 9), Act::Fin] } else { site.reply(asked) }
    })
    .await;
    let node = LabNode::start(&[]).await;
    for name in ["first", "second", "third", "fourth"] {
        let job = node.submit(wish(origin.url("/payload.bin"), node.path(name), Vec::new())).await;
        let view = node.settled(job).await;
        assert_eq!(view.state, JobState::Acknowledged, "{name}: {view:#?}");
    }
    node.shut_down().await;
}

/// HEAD names a length; GET brings more, in chunks, under the same validators: what was asked for first is no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d12_a_body_longer_than_its_head_said_is_never_delivered_short() {
    let (payload, len) = (Payload::new(32, 3 << 20), (3 << 20) - 100_000);
    let site = Site::new(payload);
    let origin = Scripted::start(move |asked| {
        if asked.is_head() {
            return vec![site.head("200 OK", &format!("Content-Length: {len}\r\n"))];
        }
        // The first chunk ends where HEAD said that all ends.
        let chunk = |bytes: Vec<u8>| {
            Act::Send([format!("{:x}\r\n", bytes.len()).into_bytes(), bytes, b"\r\n".to_vec()].concat())
        };
        vec![
            site.head("200 OK", "Transfer-Encoding: chunked\r\n"),
            chunk(payload.bytes(0..len)),
            chunk(payload.bytes(len..payload.len)),
            Act::Send(b"0\r\n\r\n".to_vec()),
        ]
    })
    .await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(wish(origin.url("/payload.bin"), node.path("payload.bin"), Vec::new())).await;
    let view = node.settled(job).await;
    assert_eq!(view.state, JobState::Acknowledged, "{view:#?}");
    let found = std::fs::read(node.path("payload.bin")).unwrap();
    assert!(found == payload.all(), "{} bytes of {}", found.len(), payload.len);
    node.shut_down().await;
}
