//! Rates, measured where it counts: at the origin's socket.
//!
//! Knows: bytes and times the origin saw. Does not know: how the node keeps to a rate.

use std::num::NonZeroU64;
use std::time::Duration;

use nearbits::job::{JobSpec, JobState, Rates};
use peer_proto::time::Instant;

use super::lab::{LabNode, wish};
use super::origin_script::{Payload, Scripted, Site};

/// What fits into the sockets' buffers comes at once, and counts before the window opens.
const FILLED: Duration = Duration::from_millis(800);
const WINDOW: Duration = Duration::from_millis(2_500);

/// Bytes per second that left the origin, from one hand-over to another at least a window later.
fn rate(marks: &[(Instant, u64)]) -> Option<u64> {
    let opens = marks.first()?.0.after(FILLED);
    let from = marks.iter().find(|(at, _)| *at >= opens)?;
    let to = marks.iter().find(|(at, _)| *at >= from.0.after(WINDOW))?;
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
