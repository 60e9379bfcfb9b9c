//! What programs, the control socket and the command line hold of a running node.
//!
//! Knows: how to ask the driver and how to wait for a job. Does not know: how anything is decided.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{AddedPeers, Enrolment, Keeper, Request};
use crate::disk::RealFiles;
use crate::disk::paths;
use crate::engine::event::{AttestationView, Event, Failure, FileRanges, FileView, JobView};
use crate::engine::explain::Decision;
use crate::engine::io::{JobCommand, KeptBan};
use crate::engine::{Engine, PeerView, Totals};
use crate::job::{
    Caller, Code, Effective, FileSpec, InGroup, JobId, JobSpec, JobState, OneGroup, PeerFlags, PolicyRow,
};
use crate::store::Damaged;
use crate::swarm::{KnownPeer, RememberedPeer, Swarm};

/// A handle to a running node. Cheap to clone; the node goes on when all of them are dropped.
#[derive(Clone)]
pub struct Handle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) swarm: Swarm,
    pub(super) keeper: Keeper,
    pub(super) enrolment: Enrolment,
    pub(super) added: AddedPeers,
    pub(super) files: RealFiles,
    /// Jobs that cannot be read.
    pub(super) damaged: Arc<[Damaged]>,
    /// The user whose node this is.
    pub(super) own: Caller,
    /// The administrator's file.
    pub(super) policy_file: PathBuf,
    /// What is wrong with it.
    pub(super) policy_problem: Arc<Mutex<Option<String>>>,
}

/// What holds for jobs, and how the administrator's file stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyState {
    /// What holds, key by key, and who said so.
    pub rows: Vec<PolicyRow>,
    /// The administrator's file; it need not be there.
    pub file: PathBuf,
    /// What is wrong with it as it is now, in one line; then what it said before still holds.
    pub problem: Option<String>,
}

/// The node has been shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the node has been shut down")]
pub struct Gone;

/// Why a job was not taken, or a command not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Refused, and nothing of it is left.
    #[error("{reason}")]
    Refused {
        /// Why, for people.
        reason: String,
        /// What kind of failure, for exit codes; `None` if the request is merely not possible now.
        failure: Option<Failure>,
        /// Under which of BITS' names.
        code: Code,
    },
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// The node is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// How a command came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// As it was asked for.
    Wholly,
    /// A completion that left out files which were not whole (`BG_S_PARTIAL_COMPLETE`).
    InPart,
}

impl RequestError {
    pub(super) const fn refused(reason: String, failure: Option<Failure>, code: Code) -> Self {
        Self::Refused { reason, failure, code }
    }
}

impl Handle {
    /// This node's identity.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.swarm.peer_id()
    }

    /// Where it listens for peers, as multiaddresses with its peer id.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        self.swarm.listen_addresses()
    }

    /// Jobs that could not be read when the node started, and were set aside (JOB-33). They may be repaired or removed by
    /// hand while no node runs.
    #[must_use]
    pub fn damaged_jobs(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Takes a wish. When this returns, the job is durable and has begun.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the URL is not usable, the destination cannot take a file, or the job could not
    /// be written down: nothing of it is left then.
    ///
    /// # Cancel safety
    /// Dropping it may or may not leave the job; [`jobs`](Self::jobs) tells.
    pub async fn submit(&self, spec: JobSpec) -> Result<JobId, RequestError> {
        self.submit_as(spec, self.own, true).await
    }

    /// The same for another user of this machine: the job is theirs, and BITS' limits on their jobs hold. A job that is
    /// not started waits, suspended, for `Resume` (JOB-3).
    ///
    /// # Errors
    /// As [`submit`](Self::submit); also if that user has too many jobs.
    ///
    /// # Cancel safety
    /// Dropping it may or may not leave the job; [`jobs`](Self::jobs) tells.
    pub async fn submit_as(&self, spec: JobSpec, by: Caller, start: bool) -> Result<JobId, RequestError> {
        let name = if spec.name.is_empty() { spec.suggested_name() } else { spec.name.clone() };
        let spec = JobSpec { name, ..spec };
        self.check_group(spec.group).await?;
        self.check(&spec.files, &spec).await?;
        let job = random_job_id().map_err(|error| RequestError::Refused {
            reason: format!("the system gives no random numbers: {error}"),
            failure: Some(Failure::Fatal),
            code: Code::IoDevice,
        })?;
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Submit { job, spec: Box::new(spec), by, start, reply }).await?;
        answer.await.map_err(|_| Gone)?
    }

    /// Whether this machine is in the group that a job is to be kept to.
    async fn check_group(&self, group: Option<OneGroup>) -> Result<(), RequestError> {
        let Some(OneGroup(wanted)) = group else { return Ok(()) };
        let held = self.enrolment.enrolled().await.memberships;
        let which = wanted.to_string();
        match Enrolment::meant(&held.iter().collect::<Vec<_>>(), Some(&which)) {
            Ok(_) => Ok(()),
            Err(fault) => Err(RequestError::refused(fault.to_string(), None, Code::NotFound)),
        }
    }

    /// Whether these files' URLs can be asked, and their folders take them (FILE-1, 3).
    async fn check(&self, wanted: &[FileSpec], spec: &JobSpec) -> Result<(), RequestError> {
        let many = wanted.len() > 1;
        let at = |index: usize, reason: String| if many { format!("file {index}: {reason}") } else { reason };
        for (index, file) in wanted.iter().enumerate() {
            for url in std::iter::once(&file.url).chain(&file.mirrors) {
                crate::origin::parse_url(url).map_err(|error| RequestError::Refused {
                    reason: at(index, error.to_string()),
                    failure: Some(Failure::Fatal),
                    code: Code::InvalidArgument,
                })?;
            }
        }
        let (files, existing) = (self.files, crate::transfer::existing_rule(spec.existing));
        let destinations: Vec<PathBuf> = wanted.iter().map(|file| file.destination.clone()).collect();
        let creates = spec.create_dirs;
        let checked = tokio::task::spawn_blocking(move || {
            for (index, destination) in destinations.iter().enumerate() {
                if creates {
                    paths::create_folders(&files, destination).map_err(|error| (index, error))?;
                }
                paths::check_destination(&files, destination, existing).map_err(|error| (index, error))?;
            }
            Ok(())
        });
        match checked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((index, error))) => Err(RequestError::Refused {
                reason: at(index, error.to_string()),
                failure: Some(Failure::Denied),
                code: match error.kind() {
                    ErrorKind::NotFound => Code::PathNotFound,
                    ErrorKind::AlreadyExists => Code::FileExists,
                    _ => Code::AccessDenied,
                },
            }),
            Err(_) => Err(Gone.into()),
        }
    }

    /// Does something to a job. When this returns, it is durable.
    ///
    /// # Errors
    /// [`RequestError::NoSuchJob`], or [`RequestError::Refused`] if its state does not allow it, or if what it did could
    /// not be written down: it holds until the node ends all the same.
    ///
    /// # Cancel safety
    /// Dropping it does not take the command back.
    pub async fn command(&self, job: JobId, command: JobCommand) -> Result<Done, RequestError> {
        self.command_as(job, command, self.own).await
    }

    /// The same for another user of this machine: refused if the job is not theirs (SEC-1).
    ///
    /// # Errors
    /// As [`command`](Self::command).
    ///
    /// # Cancel safety
    /// Dropping it does not take the command back.
    pub async fn command_as(
        &self,
        job: JobId,
        command: JobCommand,
        by: Caller,
    ) -> Result<Done, RequestError> {
        if let JobCommand::Change(change) = &command {
            let stored = self.read(move |engine| engine.stored_job(job)).await?;
            let spec = stored.ok_or(RequestError::NoSuchJob(job))?.spec;
            self.check(&change.add_files, &spec).await?;
            self.check_group(change.group.and_then(|InGroup(group)| group)).await?;
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Command { job, command, by, reply }).await?;
        answer.await.map_err(|_| Gone)?
    }

    /// The files of a job, in their order, or `None` if there is no such job.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn files(&self, job: JobId) -> Result<Option<Vec<FileView>>, Gone> {
        let views = self.read(move |engine| engine.file_views(job)).await?;
        Ok(views.map(|mut views| {
            views.iter_mut().for_each(|view| place(job, view));
            views
        }))
    }

    /// What is there of a file and what is asked for, or `None` if there is no such job or file.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn file_ranges(&self, job: JobId, file: u16) -> Result<Option<FileRanges>, Gone> {
        self.read(move |engine| engine.file_ranges(job, file)).await
    }

    /// What a job is made of, or `None` if there is no such job.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn spec(&self, job: JobId) -> Result<Option<JobSpec>, Gone> {
        self.read(move |engine| engine.stored_job(job).map(|stored| stored.spec)).await
    }

    /// A job as it stands, or `None` if there is none of this name.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn job(&self, job: JobId) -> Result<Option<JobView>, Gone> {
        self.read(move |engine| engine.job_view(job)).await
    }

    /// All jobs that are remembered.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn jobs(&self) -> Result<Vec<JobView>, Gone> {
        self.read(Engine::job_views).await
    }

    /// An unfinished job of this user with this URL, destination, digests and flags: the same wish, handed in before.
    /// Whoever forbids peers now does not get a job back that was allowed them.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn unfinished_of(&self, spec: &JobSpec, owner: u32) -> Result<Option<JobId>, Gone> {
        let wanted = spec.clone();
        let is_it = move |known: &JobSpec| {
            known.files == wanted.files
                && known.flags == wanted.flags
                && known.auto_complete == wanted.auto_complete
                && known.headers == wanted.headers
                && (known.dynamic, known.on_demand) == (wanted.dynamic, wanted.on_demand)
                && known.max_size == wanted.max_size
        };
        self.read(move |engine| {
            let views = engine.job_views().into_iter();
            let open = views.filter(|view| view.owner == owner && !view.state.is_final());
            open.map(|view| view.id).find(|id| engine.stored_job(*id).is_some_and(|job| is_it(&job.spec)))
        })
        .await
    }

    /// Why every range of a job came from where it came, oldest first.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn decisions(&self, job: JobId) -> Result<Option<Vec<Decision>>, Gone> {
        self.read(move |engine| engine.decisions(job)).await
    }

    /// Peers this node has met since it started.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn peers(&self) -> Result<Vec<PeerView>, Gone> {
        self.read(Engine::peer_views).await
    }

    /// What attestors of its group signed, as far as it knows.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn attestations(&self) -> Result<Vec<AttestationView>, Gone> {
        self.read(Engine::attestations).await
    }

    /// Bytes and bans since it started.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn totals(&self) -> Result<Totals, Gone> {
        self.read(Engine::totals).await
    }

    /// The computer's flags.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn flags(&self) -> Result<PeerFlags, Gone> {
        self.read(Engine::flags).await
    }

    /// The computer's flags that hold, and those that were set for it: they differ where a policy says otherwise
    /// (PEER-4, PEER-5).
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn permissions(&self) -> Result<(PeerFlags, PeerFlags), Gone> {
        self.read(|engine| (engine.flags(), engine.preferred_flags())).await
    }

    /// Changes what this computer prefers of its flags: if that changes what holds, affected jobs go on from the sources
    /// that are allowed now (PEER-9). Kept across restarts, also where a policy says otherwise (PEER-4).
    ///
    /// # Errors
    /// [`RequestError::Refused`] if the choice could not be written down; it holds until the node ends all the same.
    ///
    /// # Cancel safety
    /// Dropping it does not take the change back.
    pub async fn set_flags(&self, flags: PeerFlags) -> Result<(), RequestError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::SetFlags { flags, reply }).await?;
        answer.await.map_err(|_| Gone)?
    }

    /// What administrator and user said of jobs (POL-20).
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn policy(&self) -> Result<PolicyState, Gone> {
        let rows = self.read(|engine| engine.policy().rows()).await?;
        let problem = self.policy_problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(PolicyState { rows, file: self.policy_file.clone(), problem })
    }

    /// The administrator's file was read anew: what holds now, or what is wrong with it, in one line.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it may or may not have changed what holds.
    pub(crate) async fn policy_read(&self, outcome: Result<Effective, String>) -> Result<(), Gone> {
        let problem = match outcome {
            Ok(policy) => {
                self.keeper.set_rules(policy.peers);
                self.ask(Request::SetPolicy(Box::new(policy))).await?;
                None
            }
            Err(problem) => Some(problem),
        };
        *self.policy_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        Ok(())
    }

    /// The cache, to be looked at and administered.
    #[must_use]
    pub const fn cache(&self) -> &Keeper {
        &self.keeper
    }

    /// Which groups this node is in, to be joined and left.
    #[must_use]
    pub const fn group(&self) -> &Enrolment {
        &self.enrolment
    }

    /// Why this node's token was not renewed though it is time, as far as is known (GROUP-5).
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn renewal_fault(&self, group: GroupId) -> Result<Option<String>, Gone> {
        self.read(move |engine| engine.renewal_fault(group).map(|fault| fault.to_string())).await
    }

    /// Where peers may be reached, met or not: one entry per address.
    #[must_use]
    pub fn known_peers(&self) -> Vec<KnownPeer> {
        self.swarm.known_peers()
    }

    /// Asks the network who is there, and returns at once (PEER-14). `false`: it was asked less than ten minutes ago, and is
    /// not asked again (PEER-15).
    #[must_use]
    pub fn discover_peers(&self) -> bool {
        self.swarm.discover()
    }

    /// Neighbours to be kept for the next run.
    pub(crate) fn remembered_peers(&self) -> Vec<RememberedPeer> {
        self.swarm.remembered()
    }

    /// Who is refused, and who was: to be kept for the next run.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn bans(&self) -> Result<Vec<KeptBan>, Gone> {
        self.read(Engine::bans).await
    }

    /// What happens from now on. A reader that falls behind loses the oldest events and is told how many.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until nothing more happens to a job without its owner: delivered, waiting to be completed, suspended,
    /// cancelled or failed. `None` if there is no such job.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn settled(&self, job: JobId) -> Result<Option<JobView>, Gone> {
        let mut events = self.watch();
        loop {
            let look = move |engine: &Engine| {
                let is_delivered_at_once = engine.stored_job(job).is_some_and(|job| job.spec.auto_complete);
                (engine.job_view(job), is_delivered_at_once)
            };
            match self.read(look).await? {
                (Some(view), at_once) if is_settled(view.state, at_once) => return Ok(Some(view)),
                (Some(_), _) => {}
                (None, _) => return Ok(None),
            }
            // Until something happens to this job, or for a second: a job may also wait for a retry.
            let changed = async {
                loop {
                    match events.recv().await {
                        Ok(Event::JobChanged(view)) if view.id == job => return Ok(()),
                        Ok(_) => {}
                        Err(broadcast::error::RecvError::Lagged(_)) => return Ok(()),
                        Err(broadcast::error::RecvError::Closed) => return Err(Gone),
                    }
                }
            };
            match tokio::time::timeout(Duration::from_secs(1), changed).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(gone)) => return Err(gone),
            }
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let question = move |engine: &Engine| {
            // Whoever asked may have gone.
            drop(reply.send(question(engine)));
        };
        self.ask(Request::Read(Box::new(question))).await?;
        answer.await.map_err(|_| Gone)
    }

    pub(super) async fn ask(&self, request: Request) -> Result<(), Gone> {
        self.requests.send(request).await.map_err(|_| Gone)
    }
}

/// Says where a file's bytes are until it is delivered.
pub(super) fn place(job: JobId, file: &mut FileView) {
    if let Ok(place) = paths::parse(&file.destination) {
        file.temp_path = place.part_path(&job.to_string());
    }
}

fn is_settled(state: JobState, is_delivered_at_once: bool) -> bool {
    match state {
        JobState::Acknowledged | JobState::Cancelled | JobState::Error | JobState::Suspended => true,
        JobState::Transferred => !is_delivered_at_once,
        JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError => false,
    }
}

fn random_job_id() -> Result<JobId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(JobId(id))
}
