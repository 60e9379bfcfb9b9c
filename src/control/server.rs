//! The serving end of the control door.
//!
//! Knows: who is let in (LOCAL-6), which request means what, how many may come at once. Does not know: how the node
//! does it; that is a [`Desk`].

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::api::{
    AddPeer, Command, Decision, Event, JobId, JobSpec, JobView, PeerFlags, PeerRow, Problem, ProblemKind,
    RecordRow, Status, Submit, Submitted, Verb,
};
use super::socket::ControlSocket;

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's body.
const REQUEST_LEN_MAX: usize = 64 * 1024;
/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence on an event stream after which a comment keeps it alive.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Events that may wait for a slow reader.
const EVENTS_WAITING_MAX: usize = 16;
/// Jobs whose handing in is remembered.
const HANDED_IN_MAX: usize = 1_024;
/// Time for open requests when the node leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// What the kernel says of a user it cannot map into our namespace.
const UNMAPPED_UID: u32 = 65_534;

/// What the door needs of a node. The driver's handle is one; tests have their own.
pub trait Desk: Clone + Send + Sync + 'static {
    /// The node as it stands.
    fn status(&self) -> impl Future<Output = Result<Status, Problem>> + Send;
    /// All jobs.
    fn jobs(&self) -> impl Future<Output = Result<Vec<JobView>, Problem>> + Send;
    /// One job, if there is one.
    fn job(&self, id: JobId) -> impl Future<Output = Result<Option<JobView>, Problem>> + Send;
    /// A job's decisions.
    fn why(&self, id: JobId) -> impl Future<Output = Result<Option<Vec<Decision>>, Problem>> + Send;
    /// An unfinished job with this URL, destination, digests and flags.
    fn find(&self, spec: &JobSpec) -> impl Future<Output = Result<Option<JobId>, Problem>> + Send;
    /// Takes a wish; durable when it returns.
    fn submit(&self, spec: JobSpec) -> impl Future<Output = Result<JobId, Problem>> + Send;
    /// Does something to a job.
    fn command(&self, id: JobId, verb: Verb) -> impl Future<Output = Result<(), Problem>> + Send;
    /// The peers it knows.
    fn peers(&self) -> impl Future<Output = Result<Vec<PeerRow>, Problem>> + Send;
    /// Keeps trying a peer.
    fn add_peer(&self, address: String) -> impl Future<Output = Result<(), Problem>> + Send;
    /// The records of its cache.
    fn records(&self) -> impl Future<Output = Result<Vec<RecordRow>, Problem>> + Send;
    /// The computer's flags.
    fn flags(&self) -> impl Future<Output = Result<PeerFlags, Problem>> + Send;
    /// Changes them.
    fn set_flags(&self, flags: PeerFlags) -> impl Future<Output = Result<(), Problem>> + Send;
    /// What happens from now on. A reader that falls behind loses some and asks [`job`](Self::job) again.
    fn changes(&self) -> broadcast::Receiver<Event>;
}

/// What the door knows beside its desk.
struct Door<D> {
    desk: D,
    stop: CancellationToken,
    /// One wish at a time, so that two equal ones meet in one job.
    submitting: tokio::sync::Mutex<()>,
    followers: Arc<AtomicUsize>,
    handed_in: HandedIn,
}

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
    /// Serves `desk` at this socket until [`stop`](Self::stop).
    #[must_use]
    pub fn start<D: Desk>(socket: ControlSocket, desk: D) -> Self {
        let stop = CancellationToken::new();
        let followers = Arc::new(AtomicUsize::new(0));
        let handed_in = HandedIn::default();
        let door = Arc::new(Door {
            desk,
            stop: stop.clone(),
            submitting: tokio::sync::Mutex::new(()),
            followers: Arc::clone(&followers),
            handed_in: Arc::clone(&handed_in),
        });
        let task = tokio::spawn(serve(socket, router(door), stop.clone()));
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

/// Whether a caller of this user may come in: the same user only, and never one the kernel could not name (LOCAL-6).
fn admits(caller: u32, own: u32) -> bool {
    caller == own && caller != UNMAPPED_UID
}

async fn serve(socket: ControlSocket, router: Router, stop: CancellationToken) {
    let own = rustix::process::geteuid().as_raw();
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
        if !stream.peer_cred().is_ok_and(|caller| admits(caller.uid(), own)) {
            tracing::warn!("a caller of another user was turned away from the control socket");
            continue;
        }
        let router = router.clone();
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

fn router<D: Desk>(door: Arc<Door<D>>) -> Router {
    Router::new()
        .route("/v1/status", get(status::<D>))
        .route("/v1/jobs", get(jobs::<D>).post(submit::<D>))
        .route("/v1/jobs/{id}", get(job::<D>))
        .route("/v1/jobs/{id}/command", post(command::<D>))
        .route("/v1/jobs/{id}/events", get(events::<D>))
        .route("/v1/jobs/{id}/why", get(why::<D>))
        .route("/v1/peers", get(peers::<D>).post(add_peer::<D>))
        .route("/v1/records", get(records::<D>))
        .route("/v1/flags", get(flags::<D>).put(set_flags::<D>))
        .fallback(|| async { Refusal(Problem::new(ProblemKind::NotFound, "there is no such path")) })
        .layer(middleware::from_fn(json_only))
        .layer(DefaultBodyLimit::max(REQUEST_LEN_MAX))
        .with_state(door)
}

/// A [`Problem`] as an answer.
struct Refusal(Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

type Answer<T> = Result<Json<T>, Refusal>;
type AnyDoor<D> = State<Arc<Door<D>>>;

/// A web page can make a browser send forms, not JSON: verbs that change something ask for JSON (LOCAL-6).
async fn json_only(request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe();
    if changes && !is_json(request.headers()) {
        let text = "a request that changes something needs Content-Type: application/json";
        return Refusal(Problem::new(ProblemKind::Usage, text)).into_response();
    }
    next.run(request).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal(Problem::new(ProblemKind::Usage, format!("the request's body: {error}"))))
}

fn parse_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|error| Refusal(Problem::new(ProblemKind::Usage, format!("{text:?}: {error}"))))
}

fn no_such_job(id: JobId) -> Refusal {
    Refusal(Problem::new(
        ProblemKind::NotFound,
        format!("there is no job {id}: `nearbits job list` shows all"),
    ))
}

async fn status<D: Desk>(State(door): AnyDoor<D>) -> Answer<Status> {
    Ok(Json(door.desk.status().await?))
}

async fn jobs<D: Desk>(State(door): AnyDoor<D>) -> Answer<Vec<JobView>> {
    Ok(Json(door.desk.jobs().await?))
}

async fn job<D: Desk>(State(door): AnyDoor<D>, Path(id): Path<String>) -> Answer<JobView> {
    let id = parse_id(&id)?;
    door.desk.job(id).await?.map(Json).ok_or_else(|| no_such_job(id))
}

async fn why<D: Desk>(State(door): AnyDoor<D>, Path(id): Path<String>) -> Answer<Vec<Decision>> {
    let id = parse_id(&id)?;
    door.desk.why(id).await?.map(Json).ok_or_else(|| no_such_job(id))
}

async fn submit<D: Desk>(State(door): AnyDoor<D>, body: Bytes) -> Answer<Submitted> {
    let Submit { spec, adopt } = parse(&body)?;
    let _one_at_a_time = door.submitting.lock().await;
    if door.stop.is_cancelled() {
        return Err(Refusal(Problem::new(ProblemKind::Busy, "the node is leaving: try again")));
    }
    let known = if adopt { door.desk.find(&spec).await? } else { None };
    let submitted = match known {
        Some(id) => Submitted { id, adopted: true },
        None => Submitted { id: door.desk.submit(spec).await?, adopted: false },
    };
    let mut handed_in = door.handed_in.lock().unwrap_or_else(PoisonError::into_inner);
    handed_in.push_back(submitted.id);
    if handed_in.len() > HANDED_IN_MAX {
        handed_in.pop_front();
    }
    Ok(Json(submitted))
}

async fn command<D: Desk>(State(door): AnyDoor<D>, Path(id): Path<String>, body: Bytes) -> Answer<JobView> {
    let id = parse_id(&id)?;
    let Command { command } = parse(&body)?;
    let before = door.desk.job(id).await?.ok_or_else(|| no_such_job(id))?;
    door.desk.command(id, command).await?;
    Ok(Json(door.desk.job(id).await?.unwrap_or(before)))
}

async fn peers<D: Desk>(State(door): AnyDoor<D>) -> Answer<Vec<PeerRow>> {
    Ok(Json(door.desk.peers().await?))
}

async fn add_peer<D: Desk>(State(door): AnyDoor<D>, body: Bytes) -> Answer<()> {
    let AddPeer { address } = parse(&body)?;
    door.desk.add_peer(address).await?;
    Ok(Json(()))
}

async fn records<D: Desk>(State(door): AnyDoor<D>) -> Answer<Vec<RecordRow>> {
    Ok(Json(door.desk.records().await?))
}

async fn flags<D: Desk>(State(door): AnyDoor<D>) -> Answer<PeerFlags> {
    Ok(Json(door.desk.flags().await?))
}

async fn set_flags<D: Desk>(State(door): AnyDoor<D>, body: Bytes) -> Answer<PeerFlags> {
    door.desk.set_flags(parse(&body)?).await?;
    Ok(Json(door.desk.flags().await?))
}

/// Counts a caller who follows a job, for as long as it lives.
struct Follower(Arc<AtomicUsize>);

impl Follower {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn events<D: Desk>(
    State(door): AnyDoor<D>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let id = parse_id(&id)?;
    let changes = door.desk.changes();
    let first = door.desk.job(id).await?.ok_or_else(|| no_such_job(id))?;
    let (lines, mut waiting) = mpsc::channel(EVENTS_WAITING_MAX);
    let follower = Follower::new(&door.followers);
    tokio::spawn(async move {
        let _follower = follower;
        follow(&door, id, first, changes, lines).await;
    });
    let stream = futures::stream::poll_fn(move |context| waiting.poll_recv(context));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)))
}

type Line = Result<Bytes, std::convert::Infallible>;

/// Writes a job's changes until it is final, the node leaves, or nobody reads any more.
async fn follow<D: Desk>(
    door: &Door<D>,
    id: JobId,
    mut view: JobView,
    mut changes: broadcast::Receiver<Event>,
    lines: mpsc::Sender<Line>,
) {
    loop {
        let Ok(json) = serde_json::to_string(&view) else { return };
        if lines.send(Ok(format!("data: {json}\n\n").into())).await.is_err() {
            return;
        }
        if view.state.is_final() {
            drop(lines.send(Ok("event: end\ndata:\n\n".into())).await);
            return;
        }
        view = loop {
            let change = tokio::select! {
                () = door.stop.cancelled() => return,
                () = lines.closed() => return,
                change = tokio::time::timeout(KEEP_ALIVE, changes.recv()) => change,
            };
            match change {
                Ok(Ok(Event::JobChanged(changed))) if changed.id == id => break *changed,
                Ok(Ok(_)) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return,
                // Fallen behind, or silence: the job itself knows best.
                Ok(Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => match door.desk.job(id).await {
                    Ok(Some(current)) => break current,
                    _ => return,
                },
            }
        };
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
