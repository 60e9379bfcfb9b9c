//! The control door over a real socket, with a desk that remembers.
//!
//! Knows: what a caller sees. Does not know: nodes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::control::api::{JobState, ProblemKind, Submit};
use crate::control::client::ClientError;
use crate::control::fake::{open, spec};

#[test]
fn local_6_admits_the_own_user_only_and_nobody_unmapped() {
    assert!(admits(1_000, 1_000));
    assert!(!admits(1_001, 1_000));
    assert!(!admits(0, 1_000));
    assert!(!admits(UNMAPPED_UID, UNMAPPED_UID));
}

#[tokio::test]
async fn local_6_changing_verbs_need_json() {
    let open = open().await;
    let mut stream = UnixStream::connect(open.client.path()).await.expect("it listens");
    let body = r#"{"client":true,"server":true}"#;
    let request = format!(
        "PUT /v1/flags HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered and closed");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(open.client.flags().await.expect("answered").holds(), PeerFlags::NONE);
    assert_eq!(open.client.set_flags(PeerFlags::BOTH).await.expect("json is sent").holds(), PeerFlags::BOTH);
}

#[tokio::test]
async fn equal_wishes_handed_in_at_once_meet_in_one_job() {
    let open = open().await;
    let submit = Submit { spec: spec(), adopt: true, start: true };
    let answers = futures::future::join_all((0..8).map(|_| open.client.submit(&submit))).await;
    let ids: Vec<JobId> = answers.into_iter().map(|answer| answer.expect("taken").id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(open.client.jobs().await.expect("answered").len(), 1);
}

#[tokio::test]
async fn a_follower_sees_the_job_now_its_changes_and_its_end() {
    let open = open().await;
    let id = open.client.submit(&Submit { spec: spec(), adopt: false, start: true }).await.expect("taken").id;
    let mut events = open.client.follow(id).await.expect("the job is there");
    let first = events.next().await.expect("alive").expect("the job as it stands");
    assert_eq!((first.state, open.server.followers()), (JobState::Queued, 1));
    open.fake.change(id, JobState::Transferring);
    open.fake.change(id, JobState::Acknowledged);
    let states =
        [events.next().await, events.next().await].map(|event| event.expect("alive").map(|view| view.state));
    assert_eq!(states, [Some(JobState::Transferring), Some(JobState::Acknowledged)]);
    assert!(events.next().await.expect("a good end").is_none());
}

#[tokio::test]
async fn a_leaving_node_ends_its_followers_and_takes_its_socket_away() {
    let open = open().await;
    let id = open.client.submit(&Submit { spec: spec(), adopt: false, start: true }).await.expect("taken").id;
    let mut events = open.client.follow(id).await.expect("the job is there");
    events.next().await.expect("alive").expect("the job as it stands");
    open.server.stop().await;
    assert!(matches!(events.next().await, Err(ClientError::Gone { .. })));
    assert!(open.client.status().await.is_err_and(|error| error.is_gone()));
}

#[tokio::test]
async fn refusals_come_back_in_words_and_kind() {
    let open = open().await;
    let Err(ClientError::Refused(problem)) = open.client.job(JobId([9; 16])).await else {
        panic!("no such job")
    };
    assert_eq!(problem.kind, ProblemKind::NotFound);
    let Err(ClientError::Refused(problem)) = open.client.add_peer("x").await else { panic!("no address") };
    assert_eq!((problem.kind, problem.error.as_str()), (ProblemKind::Usage, "x is not an address"));
}
