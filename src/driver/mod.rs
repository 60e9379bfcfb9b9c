//! The one loop that decides: facts go into the engine, its effects go to the hands.
//!
//! Whoever asks "why does it hang" looks here first. Knows: which room performs which effect. Does not know: why the
//! engine wants it.

mod added;
pub(crate) mod enrolment;
mod handle;
mod keeper;
mod spans;
mod statements;
pub(crate) mod tickets;
mod unheard;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use peer_proto::group::{Membership, Offer, TicketSecret};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::void::Void;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::added::{AddedError, AddedPeers};
pub use self::enrolment::{Called, Enrolled, Enrolment, EnrolmentError};
pub use self::handle::{Done, Gone, Handle, PolicyState, RequestError};
pub use self::keeper::{Cleared, Keeper, KeeperError, Shown};
use self::spans::Spans;
use self::statements::Statements;
pub use self::tickets::{TicketError, TicketWish};
use crate::clock::Clock;
use crate::disk::{Files, RealFiles};
use crate::engine::Engine;
use crate::engine::event::Event;
pub use crate::engine::fuse::BlownLink;
pub use crate::engine::io::JobCommand;
use crate::engine::io::{
    Effect, EffectId, Input, LocalFault, Output, StoredJob, TicketFact, TicketFault, TicketWork,
};
pub use crate::engine::{PeerView, Totals};
use crate::job::{Caller, Code, Effective, JobId, JobSpec, PeerFlags, Rates};
pub use crate::store::Damaged;
use crate::store::{AttestStore, FlagStore, JobStore};
pub use crate::swarm::{KnownBy, KnownPeer};
use crate::swarm::{Swarm, SwarmEvent};
use crate::transfer::{Transfer, Turns};

/// Requests of handles that may wait.
const REQUESTS_WAITING_MAX: usize = 64;
/// Events a slow watcher may be behind.
const EVENTS_BEHIND_MAX: usize = 1_024;

/// Where the outcome of a command goes.
type CommandReply = oneshot::Sender<Result<Done, RequestError>>;

/// Where what a ticket brought goes.
type RedeemReply = oneshot::Sender<Result<Box<Membership>, TicketFault>>;

/// What a handle asks of the driver.
pub(crate) enum Request {
    /// A new job; answered once it is durable.
    Submit {
        job: JobId,
        spec: Box<JobSpec>,
        by: Caller,
        start: bool,
        reply: oneshot::Sender<Result<JobId, RequestError>>,
    },
    /// A command on a job.
    Command { job: JobId, command: JobCommand, by: Caller, reply: CommandReply },
    /// A ticket is to be redeemed at its enroller.
    Redeem { enroller: PeerId, secret: TicketSecret, reply: RedeemReply },
    /// Other flags of the computer.
    SetFlags { flags: PeerFlags, reply: oneshot::Sender<Result<(), RequestError>> },
    /// What the administrator allows now.
    SetPolicy(Box<Effective>),
    /// Answered when what attestors said so far, and what was taken back, is on the disk; else with the reason.
    SettleStatements(oneshot::Sender<Result<(), String>>),
    /// A fact that is not answered.
    Tell(Box<Input>),
    /// A look at the engine.
    Read(Box<dyn FnOnce(&Engine) + Send>),
}

/// What the driver connects.
pub struct DriverParts {
    /// The brain.
    pub engine: Engine,
    /// The hands.
    pub transfer: Transfer,
    /// Talks to peers.
    pub swarm: Swarm,
    /// What the swarm said before the driver listened.
    pub early: Vec<SwarmEvent>,
    /// What the swarm says.
    pub swarm_events: mpsc::Receiver<SwarmEvent>,
    /// Where jobs are kept.
    pub jobs: JobStore<RealFiles>,
    /// Where the computer's flags are kept.
    pub flags: FlagStore<RealFiles>,
    /// What attestors of the group said.
    pub attestations: AttestStore<RealFiles>,
    /// The cache as its administrator has it.
    pub keeper: Keeper,
    /// Which group this node is in.
    pub enrolment: Enrolment,
    /// Peers that were added by command.
    pub added: AddedPeers,
    /// The file system, to look at destinations.
    pub files: RealFiles,
    /// Jobs of this state folder that cannot be read.
    pub damaged: Arc<[Damaged]>,
    /// Where the administrator's file is, for whoever asks.
    pub policy_file: PathBuf,
    /// The time.
    pub clock: Clock,
    /// What the hands report.
    pub facts: mpsc::Receiver<Input>,
    /// The same channel's other end, for answers of the driver's own tasks.
    pub tell: mpsc::Sender<Input>,
}

/// A command while the engine handles it.
struct Commanded {
    job: JobId,
    /// What the engine says against it.
    refusal: Option<(String, Code)>,
    /// Whether the job as it is after the command could be written down.
    kept: Option<oneshot::Receiver<Result<(), String>>>,
}

/// The loop and what it remembers beside the engine.
pub struct Driver {
    parts: DriverParts,
    requests: mpsc::Receiver<Request>,
    events: broadcast::Sender<Event>,
    submitters: BTreeMap<JobId, oneshot::Sender<Result<JobId, RequestError>>>,
    completing: BTreeMap<JobId, Vec<CommandReply>>,
    commanded: Option<Commanded>,
    /// Who waits for a ticket to be redeemed.
    redeeming: Option<RedeemReply>,
    persisting: Arc<Turns<JobId>>,
    keeping_flags: Turns<()>,
    statements: Statements,
    spans: Spans,
    tasks: TaskTracker,
}

impl Driver {
    /// A driver that has not begun, and a handle to it.
    #[must_use]
    pub fn new(parts: DriverParts) -> (Self, Handle) {
        let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
        let (events, _) = broadcast::channel(EVENTS_BEHIND_MAX);
        let handle = Handle {
            requests,
            events: events.clone(),
            swarm: parts.swarm.clone(),
            keeper: parts.keeper.clone(),
            enrolment: parts.enrolment.clone(),
            added: parts.added.clone(),
            files: parts.files,
            damaged: Arc::clone(&parts.damaged),
            own: Caller { uid: parts.files.uid(), is_administrator: true },
            policy_file: parts.policy_file.clone(),
            policy_problem: Arc::default(),
        };
        let statements = Statements::new(parts.attestations.clone());
        let driver = Self {
            parts,
            requests: waiting,
            events,
            submitters: BTreeMap::new(),
            completing: BTreeMap::new(),
            commanded: None,
            redeeming: None,
            persisting: Arc::default(),
            keeping_flags: Turns::default(),
            statements,
            spans: Spans::default(),
            tasks: TaskTracker::new(),
        };
        (driver, handle)
    }

    /// Runs until `stop`. `known` are the facts of the start: records, then jobs.
    ///
    /// # Cancel safety
    /// Dropping it ends the node at once: what was acknowledged is durable, leases end with their tasks.
    pub async fn run(mut self, known: Vec<Input>, stop: CancellationToken) {
        for fact in known {
            self.parts.engine.handle_input(fact, self.parts.clock.now());
            self.pump();
        }
        for event in std::mem::take(&mut self.parts.early) {
            self.hear_swarm(event);
            self.pump();
        }
        loop {
            let deadline = self.pump();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(fact) = self.parts.facts.recv() => self.hear(fact),
                Some(event) = self.parts.swarm_events.recv() => self.hear_swarm(event),
                request = self.requests.recv() => match request {
                    Some(request) => self.answer(request),
                    // The node itself holds a handle, so this is its end.
                    None => break,
                },
                () = self.parts.clock.sleep_until(deadline) => {
                    self.parts.engine.handle_timeout(self.parts.clock.now());
                }
            }
        }
        let Self { tasks, parts, .. } = self;
        // Nobody listens any more: the hands stop waiting for us.
        drop(parts);
        tasks.close();
        tasks.wait().await;
    }

    fn hear(&mut self, fact: Input) {
        self.parts.engine.handle_input(fact, self.parts.clock.now());
    }

    fn hear_swarm(&mut self, event: SwarmEvent) {
        let fact = match event {
            SwarmEvent::Connected { peer, address, near, link, rendezvous } => {
                let mut nonce = [0; 16];
                if let Err(error) = getrandom::fill(&mut nonce) {
                    tracing::error!(%error, "the system gives no random numbers: a peer is not talked to");
                    return;
                }
                self.spans.connected(peer, &address);
                self.spans.session(peer).in_scope(|| tracing::info!(near, "peer connected"));
                self.hear(Input::PeerConnected { peer, address, near, link, nonce });
                if !rendezvous {
                    return;
                }
                Input::RendezvousMet { peer }
            }
            SwarmEvent::Lost { peer } => {
                self.spans.session(peer).in_scope(|| tracing::info!("peer lost"));
                self.spans.lost(peer);
                Input::PeerLost { peer }
            }
            SwarmEvent::Frame { peer, frame } => {
                // What is done because of a frame is logged as part of the session.
                return self.spans.session(peer).in_scope(|| {
                    self.hear(Input::FrameReceived { peer, frame });
                    self.pump();
                });
            }
            SwarmEvent::BadFrame { peer, message } => {
                self.spans.session(peer).in_scope(|| tracing::warn!(message, "peer broke the protocol"));
                Input::BadFrame { peer, message }
            }
            SwarmEvent::Listening { address, at } => {
                tracing::info!(address, "listening for peers");
                Input::Listening { at }
            }
            SwarmEvent::Asked { from, question } => Input::LinkAsked { from, question },
            SwarmEvent::Discovered { .. } => return,
        };
        self.hear(fact);
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Submit { job, spec, by, start, reply } => {
                self.submitters.insert(job, reply);
                self.hear(Input::Submit { job, spec, by, start });
            }
            Request::Command { job, command, by, reply } => self.command(job, command, by, reply),
            Request::SetFlags { flags, reply } => {
                self.hear(Input::FlagsChanged(flags));
                self.keep_flags(flags, reply);
            }
            Request::Redeem { enroller, secret, reply } => {
                self.redeeming = Some(reply);
                let until = self.parts.clock.monotonic().after(tickets::REDEEM_WITHIN);
                self.hear(Input::Ticket(TicketFact::Redeem { enroller, secret, until }));
            }
            Request::SetPolicy(policy) => self.hear(Input::PolicyChanged(policy)),
            Request::SettleStatements(reply) => self.statements.settle(&self.tasks, reply),
            Request::Tell(fact) => self.hear(*fact),
            Request::Read(question) => question(&self.parts.engine),
        }
    }

    /// A command is answered once what it did is durable (P3).
    fn command(&mut self, job: JobId, command: JobCommand, by: Caller, reply: CommandReply) {
        if self.parts.engine.job_view(job).is_none() {
            drop(reply.send(Err(RequestError::NoSuchJob(job))));
            return;
        }
        self.commanded = Some(Commanded { job, refusal: None, kept: None });
        let (completes, cancels) = (command == JobCommand::Complete, command == JobCommand::Cancel);
        self.hear(Input::Command { job, command, by });
        self.pump();
        let Some(Commanded { refusal, kept, .. }) = self.commanded.take() else { return };
        if completes && refusal.is_none() {
            // Answered when every file has its name, or one could not get it.
            self.completing.entry(job).or_default().push(reply);
            return;
        }
        // Answered when it is written down and everything is removed (JOB-15).
        let removed = (cancels && refusal.is_none()).then(|| {
            let (tell_removed, removed) = oneshot::channel();
            self.completing.entry(job).or_default().push(tell_removed);
            removed
        });
        self.tasks.spawn(async move {
            let mut outcome = match (refusal, kept) {
                (Some((reason, code)), _) => Err(RequestError::refused(reason, None, code)),
                (None, None) => Ok(Done::Wholly),
                (None, Some(kept)) => match kept.await {
                    Ok(Ok(())) => Ok(Done::Wholly),
                    Ok(Err(reason)) => {
                        let reason = format!("it holds until the node ends: {reason}");
                        Err(RequestError::refused(reason, None, Code::IoDevice))
                    }
                    Err(_) => Err(Gone.into()),
                },
            };
            if let Some(removed) = removed
                && outcome.is_ok()
            {
                outcome = removed.await.unwrap_or(Err(Gone.into()));
            }
            drop(reply.send(outcome));
        });
    }

    /// Performs everything the engine wants now; returns when it wants to be asked again.
    fn pump(&mut self) -> Instant {
        loop {
            match self.parts.engine.poll_output() {
                Output::Effect(effect) => self.perform(*effect),
                Output::WaitUntil(moment) => return moment,
            }
        }
    }

    /// Never waits.
    fn perform(&mut self, effect: Effect) {
        let transfer = &self.parts.transfer;
        match effect {
            Effect::PersistJob { id, job } => self.persist(id, *job),
            Effect::ForgetJob { job } => {
                transfer.set_rates(Some(job), Rates::default());
                self.forget(job);
            }
            Effect::SetRates { job, rates } => transfer.set_rates(job, rates),
            Effect::FetchDigests { id, list, url } => transfer.fetch_digests(id, list, url),
            Effect::OpenPart { id, file, wish } => transfer.open_part(id, file, *wish),
            Effect::ClosePart { file } => transfer.close_part(file),
            Effect::ResetPart { id, file, version } => transfer.reset_part(id, file, version),
            Effect::RecallList { id, record } => transfer.recall_list(id, record),
            Effect::PinPart { file, version } => transfer.pin_part(file, version),
            Effect::Restand { file, first, count, standing } => {
                transfer.restand(file, first, count, standing)
            }
            Effect::Probe { id, file: _, remote } => transfer.probe(id, remote),
            Effect::StartLease(lease) => {
                // The lease's own span becomes a child of its job's.
                self.spans.job(lease.file.job).in_scope(|| transfer.start_lease(lease));
            }
            Effect::TrimLease { lease, end } => transfer.trim_lease(lease, end),
            Effect::StopLease { lease } => transfer.stop_lease(lease),
            Effect::Seal { id, file, len, digests, want_sha256 } => {
                transfer.seal(id, file, len, digests, want_sha256);
            }
            Effect::Deliver { id, file } => transfer.deliver(id, file),
            Effect::DropPart { id, file, destination } => transfer.drop_part(id, file, destination),
            Effect::Keep(kept) => transfer.keep(*kept),
            Effect::DropRecord { record } => transfer.drop_record(record),
            Effect::Send { peer, frame } => {
                if let Err(error) = self.parts.swarm.send(peer, frame) {
                    tracing::debug!(%peer, %error, "frame not sent");
                }
            }
            Effect::AskLink { nonce, wanted } => self.parts.swarm.ask_link(nonce, wanted),
            Effect::Call { peer, socket } => self.parts.swarm.call(peer, socket),
            Effect::Disconnect { peer, until, reason } => {
                tracing::warn!(%peer, reason, "peer disconnected");
                self.parts.swarm.disconnect(peer, until.since(self.parts.clock.monotonic()));
            }
            Effect::TakeOffer(offer) => self.take_offer(*offer),
            Effect::Ticket(work) => self.ticket(work),
            Effect::Meet { peer, address } => self.parts.swarm.meet(peer, address),
            Effect::KeepAttestation(one) => {
                self.statements.change(&self.tasks, move |store| store.keep(&one))
            }
            Effect::DropAttestation(id) => {
                self.statements.change(&self.tasks, move |store| store.drop_one(id))
            }
            Effect::KeepVoid(void) => self.keep_void(void),
            Effect::DropVoid(id) => self.statements.change(&self.tasks, move |store| store.drop_void(id)),
            Effect::Distrust { group, holder, evidence, why } => {
                let (id, of) = (holder.to_string(), group.to_string());
                tracing::error!(holder = id, group = of, why, "an attestor is not believed any more");
                self.statements
                    .change(&self.tasks, move |store| store.distrust(group, holder, &evidence, &why));
            }
            Effect::ReadList { id, record, part } => transfer.read_list(id, record, part),
            Effect::Serve(serve) => transfer.serve(serve),
            Effect::SetServePace(pace) => transfer.set_serve_pace(pace),
            Effect::StopServe { id } => transfer.stop_serve(id),
            Effect::Tell(event) => self.tell(event),
        }
    }

    fn keep_void(&mut self, void: Void) {
        let said = void.said();
        let (holder, statement) = (said.holder.to_string(), said.statement.to_string());
        let reason = said.reason.as_str();
        tracing::warn!(holder, statement, reason, "something an attestor of the group signed is taken back");
        self.statements.change(&self.tasks, move |store| store.keep_void(&void));
    }

    fn tell(&mut self, mut event: Event) {
        if let Event::FileTransferred { job, file } = &mut event {
            handle::place(*job, file);
        }
        match &event {
            Event::JobAccepted(view) => {
                if let Some(reply) = self.submitters.remove(&view.id) {
                    drop(reply.send(Ok(view.id)));
                }
            }
            Event::JobRefused { job, reason, failure, code } => {
                if let Some(reply) = self.submitters.remove(job) {
                    let refused = RequestError::refused(reason.clone(), Some(*failure), *code);
                    drop(reply.send(Err(refused)));
                }
            }
            Event::CommandRefused { job, reason, code } => {
                let commanded = self.commanded.as_mut().filter(|commanded| commanded.job == *job);
                match commanded {
                    Some(commanded) => commanded.refusal = Some((reason.clone(), *code)),
                    None => self.completed(*job, &Err(RequestError::refused(reason.clone(), None, *code))),
                }
            }
            Event::JobTaken { job, is_partial } => {
                let done = if *is_partial { Done::InPart } else { Done::Wholly };
                self.completed(*job, &Ok(done));
            }
            Event::TokenOld { group, until_unix_s, is_over: false, reason } => {
                tracing::warn!(
                    group,
                    until_unix_s,
                    reason,
                    "this node's token should have been renewed by now"
                );
            }
            Event::TokenOld { group, until_unix_s, is_over: true, reason } => {
                tracing::warn!(
                    group,
                    until_unix_s,
                    reason,
                    "this node's token is over: it is a stranger from now on"
                );
            }
            Event::FileTransferred { job, file } => tracing::debug!(%job, file = file.index, "file is whole"),
            Event::FileRanges { job, file, ranges } => {
                tracing::trace!(%job, file, count = ranges.len(), "ranges are there");
            }
            Event::JobChanged(view) => {
                self.spans.told(view);
                // The reason may name a path, which is its owner's business alone.
                let error = view.error.as_ref().map(|error| error.code);
                tracing::debug!(job = %view.id, state = ?view.state, stored = view.stored, ?error);
            }
        }
        // Nobody may be watching.
        drop(self.events.send(event));
    }

    /// Answers those who wait for a completion.
    fn completed(&mut self, job: JobId, outcome: &Result<Done, RequestError>) {
        for reply in self.completing.remove(&job).unwrap_or_default() {
            drop(reply.send(outcome.clone()));
        }
    }

    /// Where to say that what a command did is on disk, if this is about the job that is commanded now.
    fn awaited(&mut self, job: JobId) -> Option<oneshot::Sender<Result<(), String>>> {
        let commanded = self.commanded.as_mut().filter(|commanded| commanded.job == job)?;
        let (tell_kept, kept) = oneshot::channel();
        commanded.kept = Some(kept);
        Some(tell_kept)
    }

    fn persist(&mut self, id: EffectId, job: StoredJob) {
        let (jobs, tell, key) = (self.parts.jobs.clone(), self.parts.tell.clone(), job.id);
        let kept = self.awaited(key);
        let work = self.persisting.queue(key, async move {
            let outcome = match tokio::task::spawn_blocking(move || {
                let files = u16::try_from(job.files.len()).unwrap_or(u16::MAX);
                jobs.save(job.id, files, &job)
            })
            .await
            {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(LocalFault {
                    kind: crate::transfer::local_kind(error.kind()),
                    message: error.to_string(),
                }),
                Err(_) => Err(LocalFault {
                    kind: crate::engine::io::LocalFaultKind::Io,
                    message: "an internal error kept the job from being written".into(),
                }),
            };
            if let Some(kept) = kept {
                drop(kept.send(outcome.as_ref().copied().map_err(|fault| fault.message.clone())));
            }
            drop(tell.send(Input::JobPersisted { id, outcome }).await);
        });
        self.tasks.spawn(work);
    }

    fn forget(&mut self, job: JobId) {
        let (jobs, kept) = (self.parts.jobs.clone(), self.awaited(job));
        let work = self.persisting.queue(job, async move {
            let outcome = match tokio::task::spawn_blocking(move || jobs.remove(job)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("an internal error kept the job from being forgotten".to_owned()),
            };
            if let Err(error) = &outcome {
                tracing::warn!(%job, error, "a finished job stays on disk");
            }
            if let Some(kept) = kept {
                drop(kept.send(outcome));
            }
        });
        self.tasks.spawn(work);
    }

    /// Keeps what a member handed on; the brain hears of it when it is durable.
    fn take_offer(&self, offer: Offer) {
        let enrolment = self.parts.enrolment.clone();
        self.tasks.spawn(enrolment.take_handed(offer));
    }

    fn ticket(&mut self, work: TicketWork) {
        match work {
            TicketWork::Spend { peer, number, secret } => {
                let (enrolment, tell) = (self.parts.enrolment.clone(), self.parts.tell.clone());
                self.tasks.spawn(async move {
                    let given = enrolment.redeem(peer, secret).await;
                    drop(tell.send(Input::Ticket(TicketFact::Spent { peer, number, given })).await);
                });
            }
            TicketWork::Answered(given) => {
                if let Some(reply) = self.redeeming.take() {
                    // Whoever asked may have gone.
                    drop(reply.send(given));
                }
            }
        }
    }

    fn keep_flags(&self, flags: PeerFlags, reply: oneshot::Sender<Result<(), RequestError>>) {
        let store = self.parts.flags.clone();
        let work = self.keeping_flags.queue((), async move {
            let outcome = match tokio::task::spawn_blocking(move || store.save(&flags)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(RequestError::Refused {
                    reason: format!("the flags hold until the node ends: {error}"),
                    failure: None,
                    code: Code::IoDevice,
                }),
                Err(_) => Err(Gone.into()),
            };
            drop(reply.send(outcome));
        });
        self.tasks.spawn(work);
    }
}
