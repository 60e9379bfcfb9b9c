//! Files that their origin makes as it is asked for them: one stream, no length, no version, no pace.
//!
//! Knows: one node and one scripted origin. Does not know: peers.

use std::num::NonZeroU64;

use nearbits::job::{Code, JobChange, JobSpec, JobState, PeerFlags, Priority, Rates};
use nearbits::node::JobCommand;

use super::lab::{LabNode, wish};
use super::origin_script::{Act, Asked, Payload, Reply, Scripted, status};

const LEN: u64 = 400_000;
/// Where what is made says nothing of its version.
const PLAIN: &str = "/plain";

/// Another content for every question; only the closed connection ends it.
fn made(asked: &Asked) -> Payload {
    Payload::new(70 + u64::try_from(asked.index).unwrap(), LEN + u64::try_from(asked.index).unwrap())
}

fn reply(asked: &Asked, count: u64, end: Act) -> Reply {
    if asked.is_head() {
        return status("405 Method Not Allowed", "");
    }
    let etag = if asked.target == PLAIN { String::new() } else { format!("ETag: \"{}\"\r\n", asked.index) };
    let head = format!("HTTP/1.1 200 OK\r\n{etag}\r\n").into_bytes();
    vec![Act::Send(head), Act::Payload(made(asked), 0..count), end]
}

fn dynamic(node: &LabNode, origin: &Scripted) -> JobSpec {
    JobSpec { dynamic: true, ..wish(origin.url("/report"), node.path("report"), Vec::new()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_23_and_http_15_a_stream_that_only_its_connection_ends_is_a_file() {
    let origin = Scripted::start(|asked| reply(asked, LEN, Act::Fin)).await;
    let node = LabNode::start(&[]).await;
    let rate = NonZeroU64::new(50_000);
    let rates = Rates { total: rate, wan: rate, lan: rate };
    let clock = nearbits::clock::Clock::start();
    let view = node.fetch(JobSpec { rates, ..dynamic(&node, &origin) }).await;
    // Eight seconds at its rate, which does not hold.
    assert!(clock.monotonic().as_micros() < 6_000_000);
    assert_eq!((view.len, view.restarts), (Some(LEN), 0));
    assert!(std::fs::read(node.path("report")).unwrap() == Payload::new(70, LEN).all());
    assert_eq!(origin.requests().len(), 1, "nothing is asked before: {:?}", origin.requests());
    // Without the property the end could be a cut.
    let job = node.submit(wish(origin.url(PLAIN), node.path("other"), Vec::new())).await;
    assert_eq!(node.settled(job).await.state, JobState::Error);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_13_an_origin_that_has_another_version_for_every_question_is_not_asked_for_ever() {
    let origin = Scripted::start(|asked| reply(asked, LEN, Act::Fin)).await;
    let node = LabNode::start(&[]).await;
    let job = node.submit(wish(origin.url("/report"), node.path("report"), Vec::new())).await;
    let view = node.settled(job).await;
    let code = view.error.map(|error| error.code);
    assert_eq!((view.state, code), (JobState::Error, Some(Code::RemoteFileChanged)), "{}", view.reason);
    assert!(origin.requests().len() < 30, "{} requests", origin.requests().len());
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_15_a_break_starts_from_zero_and_takes_what_is_made_then() {
    let origin = Scripted::start(|asked| match asked.index {
        0 => reply(asked, LEN / 2, Act::Reset),
        _ => reply(asked, LEN, Act::Fin),
    })
    .await;
    let node = LabNode::start(&[]).await;
    let view = node.fetch(dynamic(&node, &origin)).await;
    assert!(std::fs::read(node.path("report")).unwrap() == Payload::new(71, LEN).all());
    assert_eq!(view.len, Some(LEN));
    assert!(origin.requests().iter().all(|asked| asked.range().is_none()));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sched_8_a_dynamic_job_waits_for_foreground_priority_and_says_so() {
    let origin = Scripted::start(|asked| reply(asked, LEN, Act::Fin)).await;
    let node = LabNode::start(&[]).await;
    let spec = dynamic(&node, &origin);
    let job = node.submit(JobSpec { priority: Priority::High, ..spec }).await;
    let quick = node.submit(wish(origin.url(PLAIN), node.path("quick"), Vec::new())).await;
    node.settled(quick).await;
    let view = node.handle.job(job).await.unwrap().unwrap();
    assert_eq!(view.state, JobState::Queued);
    assert!(view.reason.contains("--priority foreground"), "{}", view.reason);
    let change = |change| JobCommand::Change(Box::new(change));
    let later = JobChange { dynamic: Some(false), ..JobChange::default() };
    let refused = node.handle.command(job, change(later)).await.unwrap_err();
    assert!(matches!(
        refused,
        nearbits::node::RequestError::Refused { code: Code::ReadOnlyPropertyAfterResume, .. }
    ));
    let priority = Some(Priority::Foreground);
    node.handle.command(job, change(JobChange { priority, ..JobChange::default() })).await.unwrap();
    assert_eq!(node.delivered(job).await.sources.len(), 1);
    let records = node.handle.cache().records(None).await.unwrap();
    assert!(records.is_empty(), "it is for nobody else: {records:?}");
    assert_eq!(node.handle.flags().await.unwrap(), PeerFlags::BOTH);
    node.shut_down().await;
}
