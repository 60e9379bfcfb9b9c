//! Rates, measured where it counts: at the origin's socket.
//!
//! Knows: bytes and times the origin saw. Does not know: how the node keeps to a rate. The long forms are `just line`.

use std::num::NonZeroU64;
use std::time::Duration;

use nearbits::job::{JobSpec, JobState, Priority, Rates};
use nearbits::node::{NodeConfig, QueueConfig};
use peer_proto::time::Instant;

use super::lab::{LabNode, wish};
use super::origin_script::{Payload, Scripted, Site};

/// What fits into the sockets' buffers comes at once, and counts before the window opens.
const FILLED: Duration = Duration::from_millis(800);
const WINDOW: Duration = Duration::from_millis(2_500);

/// Bytes per second that left the origin, from one hand-over to another at least a window later.
fn rate(marks: &[(Instant, u64)]) -> Option<u64> {
    rate_from(marks, marks.first()?.0.after(FILLED), WINDOW)
}

pub(crate) fn rate_from(marks: &[(Instant, u64)], opens: Instant, window: Duration) -> Option<u64> {
    let from = marks.iter().find(|(at, _)| *at >= opens)?;
    let to = marks.iter().find(|(at, _)| *at >= from.0.after(window))?;
    let micros = u64::try_from(to.0.since(from.0).as_micros()).unwrap();
    Some((to.1 - from.1) * 1_000_000 / micros)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bw_5_an_origin_sees_the_rate_of_the_job_and_one_connection_for_it() {
    let limit = 1_500_000;
    let origin = Scripted::serve(Site::new(Payload::new(41, 512 << 20))).await;
    let node = LabNode::start(&[]).await;
    let rates = Rates { total: NonZeroU64::new(limit), ..Rates::default() };
    let wish = wish(origin.url("/payload.bin"), node.path("payload.bin"), Vec::new());
    let job = node.submit(JobSpec { rates, ..wish }).await;
    node.until(|| rate(&origin.marks()).is_some(), "the origin sends").await;
    let seen = rate(&origin.marks()).unwrap();
    assert!(seen.abs_diff(limit) <= limit / 20, "{seen} bytes/s at the origin for {limit}");
    let view = node.handle.job(job).await.unwrap().unwrap();
    assert_eq!(view.state, JobState::Transferring, "{view:#?}");
    // More connections would bring no more: a job that is held back does not look for them.
    let asked: Vec<String> = origin.requests().into_iter().map(|asked| asked.method).collect();
    assert_eq!(asked, ["HEAD", "GET"]);
    node.shut_down().await;
}

/// Whether nobody asked for the cases that take minutes.
pub(crate) fn is_short() -> bool {
    std::env::var_os("NEARBITS_LINE").is_none()
}

/// Bytes that left the origin between two moments.
fn given(marks: &[(Instant, u64)], from: Instant, to: Instant) -> u64 {
    let at = |moment: Instant| marks.iter().rev().find(|(at, _)| *at <= moment).map_or(0, |(_, sum)| *sum);
    at(to) - at(from)
}

#[expect(clippy::print_stderr, reason = "a measurement")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bw_5_a_rate_holds_over_every_ten_seconds() {
    if is_short() {
        return;
    }
    let limit = 1_500_000;
    let origin = Scripted::serve(Site::new(Payload::new(42, 512 << 20))).await;
    let node = LabNode::start(&[]).await;
    let rates = Rates { total: NonZeroU64::new(limit), ..Rates::default() };
    let wish = wish(origin.url("/payload.bin"), node.path("payload.bin"), Vec::new());
    node.submit(JobSpec { rates, ..wish }).await;
    tokio::time::sleep(Duration::from_secs(32)).await;
    let marks = origin.marks();
    let opens = marks[0].0.after(FILLED);
    let window =
        |second| rate_from(&marks, opens.after(Duration::from_secs(second)), Duration::from_secs(10));
    let seen: Vec<u64> = (0..20).map(|second| window(second).expect("it sent all the time")).collect();
    eprintln!("windows of 10 s: {:?} to {:?} bytes/s for {limit}", seen.iter().min(), seen.iter().max());
    assert!(seen.iter().all(|rate| rate.abs_diff(limit) <= limit / 20), "{seen:?}");
    node.shut_down().await;
}

#[expect(clippy::print_stderr, reason = "a measurement")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sched_4_jobs_of_one_priority_get_equal_shares_of_a_minute() {
    if is_short() {
        return;
    }
    let minute = Duration::from_secs(60);
    let folder = tempfile::tempdir().unwrap();
    let config = NodeConfig {
        queue: QueueConfig { background_at_once: 2, slice_s: 5, ..QueueConfig::default() },
        rates: Rates { total: NonZeroU64::new(6_000_000), ..Rates::default() },
        mdns: false,
        ..NodeConfig::embedded(folder.path().join("state"))
    };
    let node = LabNode::start_with(folder, config).await;
    let mut origins = Vec::new();
    for seed in 61..67 {
        let origin = Scripted::serve(Site::new(Payload::new(seed, 512 << 20))).await;
        let name = format!("payload-{seed}");
        let wish = wish(origin.url("/payload.bin"), node.path(&name), Vec::new());
        node.submit(JobSpec { priority: Priority::Normal, ..wish }).await;
        origins.push(origin);
    }
    tokio::time::sleep(minute + Duration::from_secs(8)).await;
    let all: Vec<_> = origins.iter().map(Scripted::marks).collect();
    let last = all.iter().filter_map(|marks| marks.last()).map(|(at, _)| *at).max().unwrap();
    let from = Instant::from_micros(last.as_micros() - u64::try_from(minute.as_micros()).unwrap());
    let seen: Vec<u64> = all.iter().map(|marks| given(marks, from, last)).collect();
    let equal = seen.iter().sum::<u64>() / 6;
    eprintln!("of a minute at 6 MB/s: {seen:?} bytes, {equal} each would be equal");
    assert!(seen.iter().all(|bytes| bytes.abs_diff(equal) <= equal / 10), "{seen:?} for {equal}");
    node.shut_down().await;
}
