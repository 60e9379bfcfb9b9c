//! A whole node asked by several users.
//!
//! Knows: doors that take every caller for somebody. Does not know: how a job is carried out.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::control::api::{
    CacheChange, Caller, Code, JobChange, JobId, JobSpec, ListJobs, Notice, PeerFlags, PolicySource, Problem,
    ProblemKind, RecordId, Submit, Verb,
};
use crate::control::client::{Client, ClientError};
use crate::job::{Header, Headers};
use crate::node::NodeConfig;

const OTHER: Caller = Caller { uid: 4_242, is_administrator: false };
const ROOT: Caller = Caller { uid: 0, is_administrator: true };

/// A node that nobody finds, and clients of it.
struct Lab {
    node: Node,
    _doors: Vec<ControlServer>,
    own: Client,
    other: Client,
    root: Client,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Node::start(config(&folder)).await.unwrap_or_else(|error| panic!("{error}"));
        let path = folder.path().join("own.sock");
        let own_door = node.open_door(&path).await.expect("a fresh path");
        let own = Client::reach(&path).await.expect("it listens");
        let (other_door, other) = door(&node, folder.path().join("other.sock"), |_| Some(OTHER)).await;
        let (root_door, root) = door(&node, folder.path().join("root.sock"), |_| Some(ROOT)).await;
        Self { node, _doors: vec![own_door, other_door, root_door], own, other, root, folder }
    }

    /// A job that waits for its first Resume.
    fn wish(&self, name: &str) -> Submit {
        let lines = Headers(vec![Header { name: "Authorization".into(), value: "secret".into() }]);
        let spec = JobSpec::for_file("http://127.0.0.1:9/a", self.folder.path().join(name));
        Submit { spec: JobSpec { headers: lines, ..spec }, adopt: true, start: false }
    }
}

fn config(folder: &tempfile::TempDir) -> NodeConfig {
    NodeConfig {
        listen: Vec::new(),
        mdns: false,
        policy_file: folder.path().join("policy.toml"),
        ..NodeConfig::embedded(folder.path().join("state"))
    }
}

async fn door(node: &Node, path: PathBuf, admit: fn(u32) -> Option<Caller>) -> (ControlServer, Client) {
    let server = node.open_door_for(&path, admit).await.expect("a fresh path");
    (server, Client::reach(&path).await.expect("it listens"))
}

fn refused<T: Debug>(outcome: Result<T, ClientError>) -> Problem {
    match outcome {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_denied<T: Debug>(outcome: Result<T, ClientError>) {
    let problem = refused(outcome);
    assert_eq!((problem.kind, problem.code), (ProblemKind::Denied, Some(Code::AccessDenied)), "{problem:?}");
}

#[tokio::test]
async fn d37_t23_each_verb_of_another_user_is_denied() {
    let lab = Lab::start().await;
    let id = lab.own.submit(&lab.wish("a")).await.expect("taken").id;
    for verb in [Verb::Suspend, Verb::Resume, Verb::Complete, Verb::Cancel, Verb::Take] {
        is_denied(lab.other.command(id, verb).await);
    }
    is_denied(lab.other.change(id, &JobChange { name: Some("x".into()), ..JobChange::default() }).await);
    is_denied(lab.other.validate(id, 0, true).await);
    is_denied(lab.other.job(id).await);
    is_denied(lab.other.spec(id).await);
    is_denied(lab.other.files(id).await);
    is_denied(lab.other.why(id).await);
    is_denied(lab.other.follow(id).await);
    is_denied(lab.other.jobs_where(&ListJobs { all: true, ..ListJobs::default() }).await);
    is_denied(lab.other.set_flags(PeerFlags::NONE).await);
    is_denied(lab.other.add_peer("127.0.0.1:1").await);
    is_denied(lab.other.keep_peer("127.0.0.1:1").await);
    is_denied(lab.other.remove_peer("127.0.0.1:1").await);
    is_denied(lab.other.peers().await);
    is_denied(lab.other.forget_peers().await);
    is_denied(lab.other.discover_peers().await);
    is_denied(lab.other.records(None).await);
    let record = RecordId([1; 16]);
    is_denied(lab.other.remove_record(record).await);
    is_denied(lab.other.forget_url("http://127.0.0.1:9/a").await);
    is_denied(lab.other.clear_cache().await);
    is_denied(lab.other.verify_record(record).await);
    is_denied(lab.other.cache().await);
    is_denied(lab.other.limit_cache(&CacheChange::default()).await);
    let view = lab.own.job(id).await.expect("untouched");
    assert_eq!((view.name.as_str(), view.files_total), ("a", 1));
    lab.node.shutdown().await;
}

#[tokio::test]
async fn d37_t23_each_user_sees_and_adopts_his_own_jobs_only_and_an_administrator_all() {
    let lab = Lab::start().await;
    let own = lab.own.submit(&lab.wish("a")).await.expect("taken").id;
    // The same wish of somebody else is refused, without a word of whose place it is.
    let problem = refused(lab.other.submit(&lab.wish("a")).await);
    assert!(
        problem.kind == ProblemKind::Denied && !problem.error.contains(&own.to_string()[..8]),
        "{problem:?}"
    );
    let theirs = lab.other.submit(&lab.wish("b")).await.expect("taken");
    assert!(theirs.id != own && !theirs.adopted);
    assert!(lab.other.submit(&lab.wish("b")).await.expect("taken").adopted);
    let ids = |views: Vec<crate::node::JobView>| views.iter().map(|view| view.id).collect::<Vec<JobId>>();
    assert_eq!(ids(lab.other.jobs().await.expect("answered")), [theirs.id]);
    assert_eq!(ids(lab.own.jobs().await.expect("answered")), [own]);
    let all = ListJobs { all: true, ..ListJobs::default() };
    let mut both = [own, theirs.id];
    both.sort();
    assert_eq!(ids(lab.root.jobs_where(&all).await.expect("answered")), both);
    let none = ListJobs { name: Some("c*".into()), ..all.clone() };
    assert_eq!(ids(lab.root.jobs_where(&none).await.expect("answered")), []);
    let state = Some(crate::job::JobState::Suspended);
    assert_eq!(ids(lab.root.jobs_where(&ListJobs { state, ..all }).await.expect("answered")), both);
    let mut heard = lab.other.events(None).await.expect("let in");
    let Notice::Reset { jobs } = heard.next().await.expect("an event").notice else { panic!("no reset") };
    assert_eq!(ids(jobs), [theirs.id]);
    lab.node.shutdown().await;
}

#[tokio::test]
async fn sec_6_http_36_whoever_takes_a_job_gets_it_without_its_secrets() {
    let lab = Lab::start().await;
    let id = lab.other.submit(&lab.wish("a")).await.expect("taken").id;
    let lines = |spec: JobSpec| spec.headers.0.len();
    assert_eq!(lines(lab.other.spec(id).await.expect("its owner")), 1);
    assert_eq!(lines(lab.root.spec(id).await.expect("an administrator")), 0);
    let done = lab.root.command(id, Verb::Take).await.expect("an administrator");
    assert_eq!((done.job.owner, done.partial, done.code), (0, false, None));
    is_denied(lab.other.job(id).await);
    assert_eq!(lines(lab.root.spec(id).await.expect("its owner")), 0);
    lab.node.shutdown().await;
}

#[tokio::test]
async fn refusals_carry_the_names_of_bits() {
    let lab = Lab::start().await;
    let of = |problem: Problem| (problem.kind, problem.code.expect("a code"));
    let missing = refused(lab.own.job(JobId([9; 16])).await);
    assert_eq!(of(missing), (ProblemKind::NotFound, Code::NotFound));
    let id = lab.own.submit(&lab.wish("a")).await.expect("taken").id;
    let pending = refused(lab.own.validate(id, 0, true).await);
    assert_eq!(of(pending), (ProblemKind::Conflict, Code::Pending));
    let beyond = refused(lab.own.validate(id, 1, true).await);
    assert_eq!(of(beyond), (ProblemKind::Usage, Code::FileNotAvailable));
    let long = JobChange { name: Some("n".repeat(257)), ..JobChange::default() };
    assert_eq!(of(refused(lab.own.change(id, &long).await)), (ProblemKind::Usage, Code::StringTooLong));
    lab.own.command(id, Verb::Cancel).await.expect("it goes");
    let over = refused(lab.own.command(id, Verb::Resume).await);
    assert_eq!(of(over), (ProblemKind::Conflict, Code::InvalidState));
    assert_eq!(refused(lab.own.explain("BG_E_NO_SUCH").await).kind, ProblemKind::NotFound);
    assert_eq!(lab.own.explain("0x80200001").await.expect("known").code, Code::NotFound);
    lab.node.shutdown().await;
}

#[tokio::test]
async fn pol_20_a_changed_policy_holds_for_the_next_job_and_a_broken_one_is_told() {
    let lab = Lab::start().await;
    let file = lab.folder.path().join("policy.toml");
    std::fs::write(&file, "jobs-per-user = 1\n").expect("writable");
    let shown = |wanted: fn(&crate::control::api::PolicyShown) -> bool| {
        let client = lab.own.clone();
        let look = async move {
            loop {
                let shown = client.policy().await.expect("answered");
                if wanted(&shown) {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), look)
    };
    let is_row = |shown: &crate::control::api::PolicyShown| {
        let row = shown.rows.iter().find(|row| row.id == "POL-13").expect("a row");
        row.value == "1" && row.source == PolicySource::Policy
    };
    assert_eq!(shown(is_row).await.expect("in time").problem, None);
    lab.other.submit(&lab.wish("a")).await.expect("one job");
    let problem = refused(lab.other.submit(&lab.wish("b")).await);
    assert_eq!((problem.kind, problem.code), (ProblemKind::Denied, Some(Code::TooManyJobsPerUser)));
    std::fs::write(&file, "jobs-per-user = many\n").expect("writable");
    let broken = shown(|shown| shown.problem.is_some()).await.expect("in time");
    assert!(broken.problem.is_some_and(|text| text.contains("policy.toml, line 1: ")));
    assert!(broken.rows.iter().any(|row| row.id == "POL-13" && row.value == "1"));
    lab.node.shutdown().await;
    // A node that starts with it does not start.
    let error = Node::start(config(&lab.folder)).await.err().expect("refused").to_string();
    assert!(error.contains("policy.toml, line 1: "), "{error}");
}
