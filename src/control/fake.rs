//! A desk that remembers, for tests of the door.
//!
//! Knows: jobs that change when a test says so. Does not know: nodes.

use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::ControlSocket;
use super::api::{
    AddPeer, AttestationView, CacheChange, CacheState, Caller, Decision, Event, FileRanges, FileView,
    FlagsShown, GroupOffer, GroupShown, GroupTaken, JobId, JobSpec, JobState, JobView, Kind, PeerFlags,
    PeerRow, PolicyShown, Priority, Problem, ProblemKind, RecordId, RecordRow, RecordVerified,
    RecordsRemoved, Status, TakeBack, TicketMade, TicketOrder, Totals, WhichGroup,
};
use super::client::Client;
use super::events::Events;
use super::server::{ControlServer, Desk};
use crate::driver::{Done, JobCommand};

#[derive(Clone)]
pub(super) struct Fake {
    jobs: Arc<Mutex<Vec<(JobView, JobSpec)>>>,
    flags: Arc<Mutex<PeerFlags>>,
    told: broadcast::Sender<Event>,
}

impl Fake {
    pub(super) fn new() -> Self {
        Self { jobs: Arc::default(), flags: Arc::default(), told: broadcast::channel(4).0 }
    }

    pub(super) fn change(&self, id: JobId, state: JobState) {
        let mut jobs = self.jobs.lock().expect("no panics under the lock");
        let (view, _) = jobs.iter_mut().find(|(view, _)| view.id == id).expect("the job is there");
        view.state = state;
        if state == JobState::Transferred {
            view.times.transferred_unix_ms = Some(1);
        }
        let _ = self.told.send(Event::JobChanged(Box::new(view.clone())));
    }
}

impl Fake {
    /// Tells that a job was taken.
    pub(super) fn accept(&self, job: JobId) {
        let jobs = self.jobs.lock().expect("no panics under the lock");
        let (view, _) = jobs.iter().find(|(view, _)| view.id == job).expect("the job is there");
        let _ = self.told.send(Event::JobAccepted(Box::new(view.clone())));
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
            group: None,
            unheard_links: Vec::new(),
            damaged_jobs: Vec::new(),
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

    async fn ranges(&self, _: JobId, file: u16) -> Result<Option<FileRanges>, Problem> {
        let ranges = FileRanges { len: Some(9), filled: None, requested: Vec::new(), position: None };
        Ok((file == 0).then_some(ranges))
    }

    async fn policy(&self) -> Result<PolicyShown, Problem> {
        Ok(PolicyShown { rows: Vec::new(), file: "/p".into(), problem: None })
    }

    async fn peers(&self) -> Result<Vec<PeerRow>, Problem> {
        Ok(Vec::new())
    }

    async fn add_peer(&self, peer: AddPeer) -> Result<(), Problem> {
        Err(Problem::new(ProblemKind::Usage, format!("{} is not an address", peer.address)))
    }

    async fn remove_peer(&self, address: String) -> Result<(), Problem> {
        Err(Problem::new(ProblemKind::NotFound, format!("{address} was not added")))
    }

    async fn forget_peers(&self) -> Result<usize, Problem> {
        Ok(0)
    }

    async fn discover_peers(&self) -> Result<bool, Problem> {
        Ok(false)
    }

    async fn records(&self, _: Option<String>) -> Result<Vec<RecordRow>, Problem> {
        Ok(Vec::new())
    }

    async fn record(&self, id: RecordId) -> Result<RecordRow, Problem> {
        Err(Problem::new(ProblemKind::NotFound, format!("there is no record {id}")))
    }

    async fn remove_record(&self, id: RecordId) -> Result<(), Problem> {
        self.record(id).await.map(drop)
    }

    async fn forget_url(&self, _: String) -> Result<usize, Problem> {
        Ok(0)
    }

    async fn clear_cache(&self) -> Result<RecordsRemoved, Problem> {
        Ok(RecordsRemoved { records: 0, busy: 0 })
    }

    async fn verify_record(&self, id: RecordId) -> Result<RecordVerified, Problem> {
        Err(Problem::new(ProblemKind::NotFound, format!("there is no record {id}")))
    }

    async fn cache_state(&self) -> Result<CacheState, Problem> {
        Ok(CacheState::default())
    }

    async fn limit_cache(&self, _: CacheChange) -> Result<(), Problem> {
        Ok(())
    }

    async fn group(&self) -> Result<GroupShown, Problem> {
        Ok(GroupShown::new(String::new(), Vec::new()))
    }

    async fn offer_group(&self, offer: GroupOffer) -> Result<GroupTaken, Problem> {
        Err(Problem::new(ProblemKind::Usage, format!("{} bytes are no offer", offer.text.len())))
    }

    async fn make_ticket(&self, _: TicketOrder) -> Result<TicketMade, Problem> {
        Err(Problem::new(ProblemKind::NotFound, "this node is in no group"))
    }

    async fn leave_group(&self, _: WhichGroup) -> Result<(), Problem> {
        Ok(())
    }

    async fn attestations(&self) -> Result<Vec<AttestationView>, Problem> {
        Ok(Vec::new())
    }

    async fn take_back(&self, wish: TakeBack) -> Result<Vec<AttestationView>, Problem> {
        wish.meant(Vec::new())
    }

    async fn flags(&self) -> Result<FlagsShown, Problem> {
        let flags = *self.flags.lock().expect("no panics under the lock");
        Ok(FlagsShown::of(flags, flags))
    }

    async fn set_flags(&self, flags: PeerFlags) -> Result<(), Problem> {
        *self.flags.lock().expect("no panics under the lock") = flags;
        Ok(())
    }

    fn changes(&self) -> broadcast::Receiver<Event> {
        self.told.subscribe()
    }
}

pub(super) fn spec() -> JobSpec {
    JobSpec {
        flags: PeerFlags::BOTH,
        priority: Priority::Foreground,
        auto_complete: true,
        ..JobSpec::for_file("http://origin.test/a", "/tmp/a")
    }
}

pub(super) fn view(id: JobId, spec: &JobSpec) -> JobView {
    let file = spec.files.first().expect("one");
    JobView {
        id,
        url: file.url.clone(),
        destination: file.destination.clone(),
        state: JobState::Queued,
        ..JobView::default()
    }
}

pub(super) struct Open {
    pub(super) fake: Fake,
    pub(super) server: ControlServer,
    pub(super) client: Client,
    _folder: tempfile::TempDir,
}

pub(super) async fn open() -> Open {
    opened(ControlServer::start).await
}

/// One that takes everybody for this caller.
pub(super) async fn open_to(caller: Caller) -> Open {
    opened(|socket, fake, events| ControlServer::start_for(socket, fake, events, move |_| Some(caller))).await
}

async fn opened(start: impl FnOnce(ControlSocket, Fake, Arc<Events>) -> ControlServer) -> Open {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = ControlSocket::bind(&folder.path().join("control.sock")).await.expect("a fresh path");
    let path = socket.path().to_owned();
    let fake = Fake::new();
    let (events, hearing) = Events::of(fake.clone(), CancellationToken::new());
    tokio::spawn(hearing);
    let server = start(socket, fake.clone(), events);
    let client = Client::reach(&path).await.expect("it listens");
    Open { fake, server, client, _folder: folder }
}
