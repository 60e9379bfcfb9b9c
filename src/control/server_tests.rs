//! The control door over a real socket, with a desk that remembers.
//!
//! Knows: what a caller sees. Does not know: nodes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::control::api::{Code, JobState, ListJobs, ProblemKind, Submit};
use crate::control::client::ClientError;
use crate::control::fake::{open, open_to, spec};

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
    let answer = put_flags(open.client.path(), "text/plain", r#"{"client":true,"server":true}"#).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(open.client.flags().await.expect("answered").holds(), PeerFlags::NONE);
    assert_eq!(open.client.set_flags(PeerFlags::BOTH).await.expect("json is sent").holds(), PeerFlags::BOTH);
}

/// The status line and all that follows of the answer to a request with this body.
async fn put_flags(path: &std::path::Path, kind: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it listens");
    let len = body.len();
    let request = format!(
        "PUT /v1/flags HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered and closed");
    answer
}

#[tokio::test]
async fn peer_6_a_flag_nobody_knows_is_refused_and_nothing_changes() {
    let open = open().await;
    let body = r#"{"client":true,"server":true,"relay":true}"#;
    let answer = put_flags(open.client.path(), "application/json", body).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("relay"), "{answer}");
    assert_eq!(open.client.flags().await.expect("answered").holds(), PeerFlags::NONE);
}

#[tokio::test]
async fn peer_11_local_8_and_local_9_only_an_administrator_has_to_do_with_flags_peers_and_cache() {
    let user = Caller { uid: 4_242, is_administrator: false };
    let open = open_to(user).await;
    let (fake, client) = (&open.fake, &open.client);
    let record = RecordId([1; 16]);
    let refused = [
        client.set_flags(PeerFlags::BOTH).await.err(),
        client.limit_cache(&CacheChange::default()).await.err(),
        client.cache().await.err(),
        client.records(None).await.err(),
        client.remove_record(record).await.err(),
        client.forget_url("https://example.org/a").await.err(),
        client.clear_cache().await.err(),
        client.verify_record(record).await.err(),
        client.record(record).await.err(),
        client.attestations().await.err(),
        client.peers().await.err(),
        client.add_peer("127.0.0.1:9").await.err(),
        client.keep_peer("127.0.0.1:9").await.err(),
        client.remove_peer("127.0.0.1:9").await.err(),
        client.forget_peers().await.err(),
        client.discover_peers().await.err(),
    ];
    for (index, error) in refused.into_iter().enumerate() {
        let Some(ClientError::Refused(problem)) = error else { panic!("{index}: {error:?}") };
        assert_eq!((problem.kind, problem.code), (ProblemKind::Denied, Some(Code::AccessDenied)), "{index}");
    }
    assert_eq!(fake.flags().await.expect("answered").holds(), PeerFlags::NONE, "nothing was changed");
}

#[tokio::test]
async fn local_9_a_user_sees_his_own_jobs_their_urls_and_why_and_nothing_of_anothers() {
    let user = Caller { uid: 4_242, is_administrator: false };
    let open = open_to(user).await;
    let (fake, client) = (&open.fake, &open.client);
    let own = client.submit(&Submit { spec: spec(), adopt: false, start: true }).await.expect("taken").id;
    let others = fake.submit(spec(), Caller { uid: 1, ..user }, true).await.expect("taken");
    assert_eq!(client.job(own).await.expect("it is his").id, own);
    let listed: Vec<JobId> = client.jobs().await.expect("answered").iter().map(|view| view.id).collect();
    assert_eq!(listed, [own]);
    let refused = [
        client.job(others).await.err(),
        client.why(others).await.err(),
        client.files(others).await.err(),
        client.spec(others).await.err(),
        client.ranges(others, 0).await.err(),
        client.follow(others).await.err(),
        client.jobs_where(&ListJobs { all: true, ..ListJobs::default() }).await.err(),
    ];
    for (index, error) in refused.into_iter().enumerate() {
        let Some(ClientError::Refused(problem)) = error else { panic!("{index}: {error:?}") };
        assert_eq!((problem.kind, problem.code), (ProblemKind::Denied, Some(Code::AccessDenied)), "{index}");
        assert!(!problem.error.contains("http"), "{}", problem.error);
    }
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
