//! Jobs of several users side by side on a real node, and whose turn it is, measured at the origin's socket.
//!
//! Knows: callers as the control door names them. Does not know: the queue.

use std::time::Duration;

use nearbits::job::{Caller, Code, FileSpec, JobId, JobSpec, JobState, Priority};
use nearbits::node::{Done, JobCommand, RequestError};
use peer_proto::time::Instant;

use super::lab::{LabNode, wish};
use super::origin_script::{Payload, Scripted, Site};

/// Bytes an origin gave between two moments of its own clock.
fn given(marks: &[(Instant, u64)], from: Instant, to: Instant) -> u64 {
    let at = |moment: Instant| marks.iter().rev().find(|(at, _)| *at <= moment).map_or(0, |(_, sum)| *sum);
    at(to) - at(from)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sched_3_and_job_t8_a_foreground_job_has_the_line_within_a_second() {
    let slow = Scripted::serve(Site::new(Payload::new(51, 512 << 20))).await;
    let quick = Scripted::serve(Site::new(Payload::new(52, 512 << 20))).await;
    slow.throttle(8_000_000);
    quick.throttle(8_000_000);
    let node = LabNode::start(&[]).await;
    let background = JobSpec {
        priority: Priority::Normal,
        ..wish(slow.url("/payload.bin"), node.path("slow"), Vec::new())
    };
    let background = node.submit(background).await;
    node.until(|| slow.sent() > 4 << 20, "the background job runs").await;
    let foreground = node.submit(wish(quick.url("/payload.bin"), node.path("quick"), Vec::new())).await;
    let began = slow.marks().last().expect("it gave something").0;
    node.until(
        || quick.marks().last().is_some_and(|(at, _)| at.since(began) > Duration::from_secs(3)),
        "time",
    )
    .await;
    let marks = slow.marks();
    // What was in the sockets' buffers may still be taken from there; nothing new comes.
    let after = given(&marks, began.after(Duration::from_secs(1)), began.after(Duration::from_secs(3)));
    assert_eq!(after, 0, "bytes of the background job after the first second");
    assert!(quick.sent() > 4 << 20, "{} bytes", quick.sent());
    let state = node.handle.job(background).await.unwrap().unwrap().state;
    assert_eq!(state, JobState::Queued);
    node.handle.command(foreground, JobCommand::Cancel).await.expect("it runs");
    let before = slow.sent();
    node.until(|| slow.sent() > before + (1 << 20), "the background job goes on").await;
    node.shut_down().await;
}

fn user(number: u32) -> Caller {
    Caller { uid: 2_000 + number, is_administrator: false }
}

fn name(user: u32, job: u32, file: u32) -> String {
    format!("u{user}-j{job}-f{file}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_1_five_users_jobs_are_exact_and_out_of_each_others_reach() {
    let payload = Payload::new(53, 200_000);
    let origin = Scripted::serve(Site::new(payload)).await;
    let node = LabNode::start(&[]).await;
    let mut jobs: Vec<(u32, u32, JobId)> = Vec::new();
    for number in 0..5 {
        for job in 0..6 {
            let file = |file: u32| FileSpec {
                url: origin.url("/payload.bin"),
                mirrors: Vec::new(),
                destination: node.path(&name(number, job, file)),
                digests: Vec::new(),
                digest_from: None,
                ranges: Vec::new(),
            };
            let spec = JobSpec { files: (0..4).map(file).collect(), ..JobSpec::default() };
            let id = node.handle.submit_as(spec, user(number), true).await.expect("within the limits");
            jobs.push((number, job, id));
        }
    }
    for (owner, _, id) in &jobs {
        let other = user((owner + 1) % 5);
        for command in [JobCommand::Suspend, JobCommand::Complete, JobCommand::Cancel, JobCommand::Take] {
            let refused = node.handle.command_as(*id, command, other).await;
            let Err(RequestError::Refused { code, reason, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(code, Code::AccessDenied, "{reason}");
        }
    }
    for (number, job, id) in jobs {
        let view = node.settled(id).await;
        assert_eq!((view.state, view.owner), (JobState::Transferred, user(number).uid), "{}", view.reason);
        let done = node.handle.command_as(id, JobCommand::Complete, user(number)).await;
        assert_eq!(done, Ok(Done::Wholly));
        for file in 0..4 {
            let found = std::fs::read(node.path(&name(number, job, file))).unwrap();
            assert_eq!(found, payload.all());
        }
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d35_t20_no_name_that_comes_from_the_server_is_ever_used() {
    let payload = Payload::new(54, 70_000);
    let mut site = Site::new(payload);
    for name in ["../../evil", "/etc/evil", "CON", "..%2f..%2fevil"] {
        let value = format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}");
        site.extra.push(("Content-Disposition".into(), value));
    }
    site.extra.push(("Content-Location".into(), "/../../evil".into()));
    let origin = Scripted::serve(site).await;
    let node = LabNode::start(&[]).await;
    std::fs::create_dir(node.path("out")).unwrap();
    let destination = node.path("out").join("wanted");
    let view = node.fetch(wish(origin.url("/a/..%2f..%2fevil"), destination.clone(), Vec::new())).await;
    assert_eq!(view.state, JobState::Acknowledged, "{}", view.reason);
    assert_eq!(std::fs::read(&destination).unwrap(), payload.all());
    let names: Vec<_> =
        std::fs::read_dir(node.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["wanted"]);
    node.shut_down().await;
}
