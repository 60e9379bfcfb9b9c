//! The serving end of the control door.
//!
//! Knows: who is let in (LOCAL-6) and as whom, how many may come at once. Does not know: which request means what
//! (`verbs`), how the node does it; that is a [`Desk`].

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::api::{
    AddPeer, AttestationView, CacheChange, CacheState, Caller, Decision, Event, FileRanges, FileView,
    FlagsShown, GroupOffer, GroupShown, GroupTaken, JobId, JobSpec, JobView, PeerFlags, PeerRow, PolicyShown,
    Problem, RecordId, RecordRow, RecordVerified, RecordsRemoved, Status, TakeBack, TicketMade, TicketOrder,
    WhichGroup,
};
use super::events::Events;
use super::socket::{ControlSocket, UNMAPPED_UID};
use super::verbs;
use crate::driver::{Done, JobCommand};

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 256;
/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Jobs whose handing in is remembered.
const HANDED_IN_MAX: usize = 1_024;
/// Time for open requests when the node leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the door needs of a node. The driver's handle is one; tests have their own. Who may ask for what is looked at
/// before, except where a caller is named: there the node itself decides (SEC-1).
pub trait Desk: Clone + Send + Sync + 'static {
    /// The node as it stands.
    fn status(&self) -> impl Future<Output = Result<Status, Problem>> + Send;
    /// All jobs.
    fn jobs(&self) -> impl Future<Output = Result<Vec<JobView>, Problem>> + Send;
    /// One job, if there is one.
    fn job(&self, id: JobId) -> impl Future<Output = Result<Option<JobView>, Problem>> + Send;
    /// Its files.
    fn files(&self, id: JobId) -> impl Future<Output = Result<Option<Vec<FileView>>, Problem>> + Send;
    /// What is there of a file and what is asked for, if there is such a file.
    fn ranges(
        &self,
        id: JobId,
        file: u16,
    ) -> impl Future<Output = Result<Option<FileRanges>, Problem>> + Send;
    /// What it is made of, secrets included.
    fn spec(&self, id: JobId) -> impl Future<Output = Result<Option<JobSpec>, Problem>> + Send;
    /// A job's decisions.
    fn why(&self, id: JobId) -> impl Future<Output = Result<Option<Vec<Decision>>, Problem>> + Send;
    /// An unfinished job of the caller with this URL, destination, digests and flags.
    fn find(&self, spec: &JobSpec, by: Caller)
    -> impl Future<Output = Result<Option<JobId>, Problem>> + Send;
    /// Takes a wish; durable when it returns.
    fn submit(
        &self,
        spec: JobSpec,
        by: Caller,
        start: bool,
    ) -> impl Future<Output = Result<JobId, Problem>> + Send;
    /// Does something to a job; durable when it returns.
    fn command(
        &self,
        id: JobId,
        command: JobCommand,
        by: Caller,
    ) -> impl Future<Output = Result<Done, Problem>> + Send;
    /// What administrator and user said of jobs.
    fn policy(&self) -> impl Future<Output = Result<PolicyShown, Problem>> + Send;
    /// The peers it knows.
    fn peers(&self) -> impl Future<Output = Result<Vec<PeerRow>, Problem>> + Send;
    /// Keeps trying a peer; durable when it returns, if it is to be kept.
    fn add_peer(&self, peer: AddPeer) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Takes back one that was added to be kept; durable when it returns.
    fn remove_peer(&self, address: String) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Forgets those that were not configured; how many they were.
    fn forget_peers(&self) -> impl Future<Output = Result<usize, Problem>> + Send;
    /// Asks the network who is there; whether it is asked now.
    fn discover_peers(&self) -> impl Future<Output = Result<bool, Problem>> + Send;
    /// The records of its cache.
    fn records(&self, url: Option<String>) -> impl Future<Output = Result<Vec<RecordRow>, Problem>> + Send;
    /// One of them.
    fn record(&self, id: RecordId) -> impl Future<Output = Result<RecordRow, Problem>> + Send;
    /// Removes one.
    fn remove_record(&self, id: RecordId) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Forgets a URL; how many records knew it.
    fn forget_url(&self, url: String) -> impl Future<Output = Result<usize, Problem>> + Send;
    /// Removes all records.
    fn clear_cache(&self) -> impl Future<Output = Result<RecordsRemoved, Problem>> + Send;
    /// Reads one through.
    fn verify_record(&self, id: RecordId) -> impl Future<Output = Result<RecordVerified, Problem>> + Send;
    /// The cache's limits, and what it takes.
    fn cache_state(&self) -> impl Future<Output = Result<CacheState, Problem>> + Send;
    /// Changes its limits; durable when it returns.
    fn limit_cache(&self, change: CacheChange) -> impl Future<Output = Result<(), Problem>> + Send;
    /// Which groups it is in.
    fn group(&self) -> impl Future<Output = Result<GroupShown, Problem>> + Send;
    /// Takes an invitation, a deny list or a ticket; durable when it returns.
    fn offer_group(&self, offer: GroupOffer) -> impl Future<Output = Result<GroupTaken, Problem>> + Send;
    /// Makes a ticket, as an enroller; what is needed to redeem it is durable when it returns.
    fn make_ticket(&self, order: TicketOrder) -> impl Future<Output = Result<TicketMade, Problem>> + Send;
    /// Leaves a group; durable when it returns.
    fn leave_group(&self, which: WhichGroup) -> impl Future<Output = Result<(), Problem>> + Send;
    /// What attestors of its group signed.
    fn attestations(&self) -> impl Future<Output = Result<Vec<AttestationView>, Problem>> + Send;
    /// Takes something back; what it was.
    fn take_back(&self, wish: TakeBack)
    -> impl Future<Output = Result<Vec<AttestationView>, Problem>> + Send;
    /// The computer's flags.
    fn flags(&self) -> impl Future<Output = Result<FlagsShown, Problem>> + Send;
    /// Changes them.
    fn set_flags(&self, flags: PeerFlags) -> impl Future<Output = Result<(), Problem>> + Send;
    /// What happens from now on. A reader that falls behind loses some and asks [`job`](Self::job) again.
    fn changes(&self) -> broadcast::Receiver<Event>;
}

/// What the door knows beside its desk.
pub(super) struct Door<D> {
    pub(super) desk: D,
    pub(super) events: Arc<Events>,
    pub(super) stop: CancellationToken,
    /// One wish at a time, so that two equal ones meet in one job.
    pub(super) submitting: tokio::sync::Mutex<()>,
    followers: Arc<AtomicUsize>,
    handed_in: HandedIn,
}

impl<D> Door<D> {
    /// Counts a caller who listens, as long as what it returns lives.
    pub(super) fn follower(&self) -> Follower {
        self.followers.fetch_add(1, Ordering::AcqRel);
        Follower(Arc::clone(&self.followers))
    }

    /// Remembers that a job was handed in here.
    pub(super) fn remember(&self, job: JobId) {
        let mut handed_in = self.handed_in.lock().unwrap_or_else(PoisonError::into_inner);
        handed_in.push_back(job);
        if handed_in.len() > HANDED_IN_MAX {
            handed_in.pop_front();
        }
    }
}

/// A caller who listens.
pub(super) struct Follower(Arc<AtomicUsize>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who a connection's user is to the node, if he may come in.
type Admit = Arc<dyn Fn(u32) -> Option<Caller> + Send + Sync>;

/// The last wishes that were handed in, at most [`HANDED_IN_MAX`].
type HandedIn = Arc<std::sync::Mutex<VecDeque<JobId>>>;

/// A running control door.
#[derive(Debug)]
pub struct ControlServer {
    stop: CancellationToken,
    followers: Arc<AtomicUsize>,
    handed_in: HandedIn,
    task: tokio::task::JoinHandle<()>,
}

impl ControlServer {
    /// Serves `desk` and its events at this socket until [`stop`](Self::stop).
    #[must_use]
    pub fn start<D: Desk>(socket: ControlSocket, desk: D, events: Arc<Events>) -> Self {
        Self::start_for(socket, desk, events, admit)
    }

    /// The same with another idea of who may come in, and as whom.
    pub(crate) fn start_for<D: Desk>(
        socket: ControlSocket,
        desk: D,
        events: Arc<Events>,
        admit: impl Fn(u32) -> Option<Caller> + Send + Sync + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let followers = Arc::new(AtomicUsize::new(0));
        let handed_in = HandedIn::default();
        let door = Arc::new(Door {
            desk,
            events,
            stop: stop.clone(),
            submitting: tokio::sync::Mutex::new(()),
            followers: Arc::clone(&followers),
            handed_in: Arc::clone(&handed_in),
        });
        let task = tokio::spawn(serve(socket, verbs::router(door), Arc::new(admit), stop.clone()));
        Self { stop, followers, handed_in, task }
    }

    /// How many callers follow a job at this moment: an embedded node stays for them.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.followers.load(Ordering::Acquire)
    }

    /// Jobs that were handed in here, the last ones: an embedded node stays for those, not for what others left
    /// behind in its folder.
    #[must_use]
    pub fn handed_in(&self) -> Vec<JobId> {
        self.handed_in.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Lets nobody in any more, gives open requests a moment, takes the socket away.
    ///
    /// # Cancel safety
    /// Dropping it leaves the server stopping in the background.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.task.await);
    }
}

/// The node's own user, and nobody else: he administers his node.
fn admit(uid: u32) -> Option<Caller> {
    admits(uid, rustix::process::geteuid().as_raw()).then_some(Caller { uid, is_administrator: true })
}

/// Whether a caller of this user may come in: the same user only, and never one the kernel could not name (LOCAL-6).
const fn admits(caller: u32, own: u32) -> bool {
    caller == own && caller != UNMAPPED_UID
}

async fn serve(socket: ControlSocket, router: Router, admit: Admit, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = socket.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let Some(caller) = stream.peer_cred().ok().and_then(|caller| admit(caller.uid())) else {
            tracing::warn!("a caller of another user was turned away from the control socket");
            continue;
        };
        let router = router.clone().layer(Extension(caller));
        connections.spawn(async move {
            answer(stream, router).await;
            drop(seat);
        });
    }
    drop(socket);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LEAVE_TIMEOUT, all_done).await;
}

async fn answer(stream: UnixStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a control connection ended early");
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
