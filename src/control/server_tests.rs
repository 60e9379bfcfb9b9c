//! The control door over a real socket, with a desk that remembers.
//!
//! Knows: what a caller sees. Does not know: nodes.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::control::api::{JobState, Kind, Priority, ProblemKind, Submit, Totals};
use crate::control::client::{Client, ClientError};

#[derive(Clone)]
struct Fake {
    jobs: Arc<Mutex<Vec<(JobView, JobSpec)>>>,
    flags: Arc<Mutex<PeerFlags>>,
    told: broadcast::Sender<Event>,
}

impl Fake {
    fn new() -> Self {
        Self { jobs: Arc::default(), flags: Arc::default(), told: broadcast::channel(4).0 }
    }

    fn change(&self, id: JobId, state: JobState) {
        let mut jobs = self.jobs.lock().expect("no panics under the lock");
        let (view, _) = jobs.iter_mut().find(|(view, _)| view.id == id).expect("the job is there");
        view.state = state;
        let _ = self.told.send(Event::JobChanged(Box::new(view.clone())));
    }
}

impl Desk for Fake {
    async fn status(&self) -> Result<Status, Problem> {
        Ok(Status {
            peer_id: "12D3KooW".into(),
            listen: Vec::new(),
            flags: *self.flags.lock().expect("no panics under the lock"),
            totals: Totals::default(),
            rss_bytes: 0,
            kind: Kind::Embedded,
            version: "0".into(),
        })
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Problem> {
        let jobs = self.jobs.lock().expect("no panics under the lock");
        Ok(jobs.iter().map(|(view, _)| view.clone()).collect())
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, Problem> {
        Ok(self.jobs().await?.into_iter().find(|view| view.id == id))
    }

    async fn why(&self, _: JobId) -> Result<Option<Vec<Decision>>, Problem> {
        Ok(None)
    }

    async fn files(&self, _: JobId) -> Result<Option<Vec<FileView>>, Problem> {
        Ok(None)
    }

    async fn spec(&self, id: JobId) -> Result<Option<JobSpec>, Problem> {
        let jobs = self.jobs.lock().expect("no panics under the lock");
        Ok(jobs.iter().find(|(view, _)| view.id == id).map(|(_, spec)| spec.clone()))
    }

    async fn find(&self, spec: &JobSpec, by: Caller) -> Result<Option<JobId>, Problem> {
        let jobs = self.jobs.lock().expect("no panics under the lock");
        let is_it = |(view, known): &&(JobView, JobSpec)| known == spec && view.owner == by.uid;
        Ok(jobs.iter().find(is_it).map(|(view, _)| view.id))
    }

    async fn submit(&self, spec: JobSpec, by: Caller, _: bool) -> Result<JobId, Problem> {
        tokio::task::yield_now().await;
        let mut jobs = self.jobs.lock().expect("no panics under the lock");
        let id = JobId([u8::try_from(jobs.len()).expect("few jobs"); 16]);
        jobs.push((JobView { owner: by.uid, ..view(id, &spec) }, spec));
        Ok(id)
    }

    async fn command(&self, id: JobId, command: JobCommand, _: Caller) -> Result<Done, Problem> {
        let is_over = command == JobCommand::Cancel;
        self.change(id, if is_over { JobState::Cancelled } else { JobState::Suspended });
        Ok(Done::Wholly)
    }

    async fn policy(&self) -> Result<PolicyShown, Problem> {
        Ok(PolicyShown { rows: Vec::new(), file: "/p".into(), problem: None })
    }

    async fn peers(&self) -> Result<Vec<PeerRow>, Problem> {
        Ok(Vec::new())
    }

    async fn add_peer(&self, address: String) -> Result<(), Problem> {
        Err(Problem::new(ProblemKind::Usage, format!("{address} is not an address")))
    }

    async fn records(&self) -> Result<Vec<RecordRow>, Problem> {
        Ok(Vec::new())
    }

    async fn flags(&self) -> Result<PeerFlags, Problem> {
        Ok(*self.flags.lock().expect("no panics under the lock"))
    }

    async fn set_flags(&self, flags: PeerFlags) -> Result<(), Problem> {
        *self.flags.lock().expect("no panics under the lock") = flags;
        Ok(())
    }

    fn changes(&self) -> broadcast::Receiver<Event> {
        self.told.subscribe()
    }
}

fn spec() -> JobSpec {
    JobSpec {
        flags: PeerFlags::BOTH,
        priority: Priority::Foreground,
        auto_complete: true,
        ..JobSpec::for_file("http://origin.test/a", "/tmp/a")
    }
}

fn view(id: JobId, spec: &JobSpec) -> JobView {
    let file = spec.files.first().expect("one");
    JobView {
        id,
        url: file.url.clone(),
        destination: file.destination.clone(),
        state: JobState::Queued,
        ..JobView::default()
    }
}

struct Open {
    fake: Fake,
    server: ControlServer,
    client: Client,
    _folder: tempfile::TempDir,
}

async fn open() -> Open {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = ControlSocket::bind(&folder.path().join("control.sock")).await.expect("a fresh path");
    let path = socket.path().to_owned();
    let fake = Fake::new();
    let server = ControlServer::start(socket, fake.clone());
    let client = Client::reach(&path).await.expect("it listens");
    Open { fake, server, client, _folder: folder }
}

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
    assert_eq!(open.client.flags().await.expect("answered"), PeerFlags::NONE);
    assert_eq!(open.client.set_flags(PeerFlags::BOTH).await.expect("json is sent"), PeerFlags::BOTH);
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
