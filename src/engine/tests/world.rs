//! Scripted hands: an origin, peers, a disk, all in virtual time and in steps of 10 ms.
//!
//! Bytes are modelled by the values of pieces: what a piece "is" is its value, so lies are other values.

mod hands;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::attest::Attestation;
use peer_proto::content::{Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::{HolderId, Offer};
use peer_proto::question::Wanted;
use peer_proto::session::{Output as SessionOutput, RequestId, Session};
use peer_proto::standing::PieceRun;
use peer_proto::verify::HashList;
use peer_proto::wire::Frame;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

pub(super) use super::models::*;
use crate::engine::Engine;
use crate::engine::event::Event;
use crate::engine::io::*;
use crate::job::{JobSpec, JobState, PeerFlags};
use crate::record::{Scope, Voucher};
use peer_proto::version::Version;
use peer_proto::void::Void;

/// Takes the first word of what is written and then refuses more.
struct Name(String);

impl std::fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let word = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
        self.0.push_str(&text[..word]);
        if word < text.len() { Err(std::fmt::Error) } else { Ok(()) }
    }
}

struct Running {
    lease: Lease,
    at: u64,
    end: Option<u64>,
    idle_ms: u64,
    /// Its peer went; it still has something to write.
    is_cut_off: bool,
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) ms: u64,
    pub(super) truth: Arc<HashList>,
    pub(super) origin: OriginModel,
    pub(super) peers: BTreeMap<PeerId, PeerModel>,
    pub(super) disk: BTreeMap<u32, Hash>,
    /// What the pieces on it rest on, and whose they are.
    pub(super) standings: BTreeMap<u32, Standing>,
    version: Option<Version>,
    pub(super) found: PartFound,
    pub(super) events: Vec<Event>,
    pub(super) states: Vec<JobState>,
    pub(super) effects: Vec<String>,
    pub(super) disconnected: Vec<PeerId>,
    pub(super) resets: u32,
    pub(super) pins: u32,
    /// What the origin was asked for, in order.
    pub(super) origin_spans: Vec<(u64, Option<u64>)>,
    /// Probes a silent origin has not answered.
    unanswered: Vec<EffectId>,
    /// Attestations that are to be kept.
    pub(super) attested: Vec<Attestation>,
    /// What takes back what attestors signed, and is to be kept.
    pub(super) voids: Vec<Void>,
    /// What is to be done about tickets.
    pub(super) tickets: Vec<TicketWork>,
    /// What members handed on, to be kept.
    pub(super) offers: Vec<Offer>,
    /// Attestors that are not to be believed again, and why.
    pub(super) distrusted: Vec<(HolderId, String)>,
    /// What the link was asked for, and when.
    pub(super) asked_link: Vec<(u64, Vec<Wanted>)>,
    /// Who was called, where and when.
    pub(super) called: Vec<(u64, PeerId, SocketAddr)>,
    pub(super) kept: u32,
    pub(super) kept_scope: Option<Scope>,
    /// Attestors on whose word alone the file that was kept last rests.
    pub(super) kept_vouched: Vec<Voucher>,
    /// Whether the file that was sealed last was to be hashed with SHA-256 for others.
    pub(super) sealed_with_sha256: Option<bool>,
    pub(super) delivered: u32,
    pub(super) serves: Vec<(ServeId, PeerId, RequestId, ServeFrom)>,
    /// What a list of checksums says, each time it is asked, the last one for ever.
    pub(super) lists: VecDeque<Result<Vec<Digest>, OriginFault>>,
    /// Whether each of them is slowed for the sake of foreground jobs.
    pub(super) yields: Vec<Yields>,
    /// How fast peers were to be served, every time that was said.
    pub(super) paces: Vec<ServePace>,
    pub(super) open_fault: Option<LocalFault>,
    pub(super) reset_fault: Option<LocalFault>,
    pub(super) deliver_fault: Option<LocalFault>,
    pub(super) lease_fault: Option<LocalFault>,
    /// Parts take their time to go, until somebody says so.
    pub(super) slow_drops: bool,
    /// Parts take their time to be emptied, until somebody says so.
    pub(super) slow_resets: bool,
    dropping: Vec<Input>,
    /// What the own cache gives, and how many bytes of it before it fails.
    pub(super) cache: Option<(Arc<HashList>, u64)>,
    /// The own cache says nothing where it would fail.
    pub(super) cache_hangs: bool,
    leases: BTreeMap<LeaseId, Running>,
    inbox: VecDeque<Input>,
    /// Facts told at this very moment: the engine must not run in circles.
    told_now: u32,
}

impl World {
    /// An origin that serves the file at 10 MB/s; nobody else.
    pub(super) fn new(truth: &Arc<HashList>) -> Self {
        Self::with_flags(truth, PeerFlags::BOTH)
    }

    pub(super) fn with_flags(truth: &Arc<HashList>, flags: PeerFlags) -> Self {
        let now = Now { monotonic: Instant::ZERO, wall_unix_ms: 1_800_000_000_000 };
        Self {
            engine: Engine::new(config(flags), now),
            ms: 0,
            truth: Arc::clone(truth),
            origin: OriginModel {
                serves: Arc::clone(truth),
                version: version("a", Some(truth.content().len)),
                ranges: true,
                digests: Vec::new(),
                public: true,
                footing: Footing::default(),
                pace: Pace::steady(10_000_000),
                fault: None,
                cuts_after: None,
                silent: false,
                probes: 0,
                leases: 0,
            },
            peers: BTreeMap::new(),
            disk: BTreeMap::new(),
            standings: BTreeMap::new(),
            version: None,
            found: PartFound { version: None, runs: Vec::new() },
            events: Vec::new(),
            states: Vec::new(),
            effects: Vec::new(),
            disconnected: Vec::new(),
            resets: 0,
            pins: 0,
            origin_spans: Vec::new(),
            unanswered: Vec::new(),
            attested: Vec::new(),
            voids: Vec::new(),
            tickets: Vec::new(),
            offers: Vec::new(),
            distrusted: Vec::new(),
            asked_link: Vec::new(),
            called: Vec::new(),
            kept: 0,
            kept_scope: None,
            kept_vouched: Vec::new(),
            sealed_with_sha256: None,
            delivered: 0,
            serves: Vec::new(),
            lists: VecDeque::new(),
            yields: Vec::new(),
            paces: Vec::new(),
            open_fault: None,
            reset_fault: None,
            deliver_fault: None,
            lease_fault: None,
            slow_drops: false,
            slow_resets: false,
            dropping: Vec::new(),
            cache: None,
            cache_hangs: false,
            leases: BTreeMap::new(),
            inbox: VecDeque::new(),
            told_now: 0,
        }
    }

    /// A node that belongs to one command.
    pub(super) fn embedded(truth: &Arc<HashList>) -> Self {
        let mut world = Self::new(truth);
        let config = crate::engine::EngineConfig { embedded: true, ..config(PeerFlags::BOTH) };
        world.engine = Engine::new(config, world.now());
        world
    }

    /// The same node, with static peers configured.
    pub(super) fn expecting_peers(truth: &Arc<HashList>) -> Self {
        let mut world = Self::new(truth);
        let config = crate::engine::EngineConfig { expects_peers: true, ..config(PeerFlags::BOTH) };
        world.engine = Engine::new(config, world.now());
        world
    }

    /// A peer that holds all of `list` under `digest`, at `rate` bytes per second.
    pub(super) fn peer(&mut self, number: u8, list: &Arc<HashList>, digest: Digest, rate: u64) -> PeerId {
        let id = peer_id(number);
        let session = Session::new(session_config(id, None), self.now().monotonic);
        self.peers.insert(id, PeerModel::new(session, list, rate).holding(digest));
        self.connect(id, true);
        id
    }

    /// A peer on the link that comes now, and says what it wants to say.
    pub(super) fn admit(&mut self, id: PeerId, model: PeerModel) {
        self.peers.insert(id, model);
        self.connect(id, true);
        self.pump_and_tell(id);
    }

    pub(super) fn connect(&mut self, id: PeerId, near: bool) {
        let address = format!("10.0.0.{}", id.public_key()[0]);
        let link = "10.0.0.0/24".parse().ok();
        self.tell(Input::PeerConnected { peer: id, address, near, link, nonce: [9; 16] });
        self.pump_peer(id);
    }

    /// The same peer on a new connection.
    pub(super) fn connect_again(&mut self, id: PeerId, near: bool) {
        let session = Session::new(session_config(id, None), self.now().monotonic);
        self.model(id).session = session;
        self.connect(id, near);
        self.pump_and_tell(id);
    }

    /// Carries out what a peer's session wants to say.
    pub(super) fn pump_and_tell(&mut self, id: PeerId) {
        self.pump_peer(id);
        while let Some(input) = self.inbox.pop_front() {
            self.tell(input);
        }
    }

    pub(super) fn model(&mut self, id: PeerId) -> &mut PeerModel {
        self.peers.get_mut(&id).expect("a peer of this world")
    }

    pub(super) fn submit(&mut self, spec: JobSpec) {
        self.tell(Input::Submit { job: JOB, spec: Box::new(spec), by: ME, start: true });
    }

    pub(super) fn now(&self) -> Now {
        let wall_unix_ms = 1_800_000_000_000 + i64::try_from(self.ms).expect("small");
        Now { monotonic: Instant::from_micros(self.ms * 1_000), wall_unix_ms }
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.inbox.push_front(input);
        while let Some(input) = self.inbox.pop_front() {
            self.told_now += 1;
            assert!(
                self.told_now < 5_000,
                "in circles at {} ms: {:?}",
                self.ms,
                self.effects.iter().rev().take(30).collect::<Vec<_>>()
            );
            self.engine.handle_input(input, self.now());
            self.drain();
        }
    }

    pub(super) fn command(&mut self, command: JobCommand) {
        self.tell(Input::Command { job: JOB, command, by: ME });
    }

    /// What took its time is gone now.
    pub(super) fn drop_now(&mut self) {
        let dropping = std::mem::take(&mut self.dropping);
        dropping.into_iter().for_each(|dropped| self.tell(dropped));
    }

    pub(super) fn lose(&mut self, id: PeerId) {
        self.peers.remove(&id);
        self.leases_of(id).into_iter().for_each(|lease| self.end(lease, Err(LeaseFault::PeerLost)));
        self.tell(Input::PeerLost { peer: id });
    }

    /// The peer goes; what it sent is still on its way to the disk, so its leases have not ended.
    pub(super) fn cut_off(&mut self, id: PeerId) -> Vec<LeaseId> {
        let open = self.leases_of(id);
        self.leases
            .values_mut()
            .filter(|run| source_of(run) == Some(id))
            .for_each(|run| run.is_cut_off = true);
        (self.model(id).wanted, self.model(id).frames) = Default::default();
        self.tell(Input::PeerLost { peer: id });
        open
    }

    /// Connections to the origin.
    pub(super) fn open_at_origin(&self) -> Vec<LeaseId> {
        let is_its = |run: &Running| matches!(run.lease.source, LeaseSource::Origin { .. });
        self.leases.iter().filter(|(_, run)| is_its(run)).map(|(id, _)| *id).collect()
    }

    /// One of them breaks off.
    pub(super) fn break_off(&mut self, lease: LeaseId) {
        self.end_as(lease, LeaseFault::Origin(transient("cut off", None)));
    }

    /// Its bytes met others on the disk: the hands end it without being told to.
    pub(super) fn meet_others(&mut self, lease: LeaseId) {
        self.end(lease, Err(LeaseFault::Stopped));
        self.inbox.pop_back().into_iter().for_each(|input| self.tell(input));
    }

    pub(super) fn end_late(&mut self, lease: LeaseId) {
        self.end_as(lease, LeaseFault::PeerLost);
    }

    pub(super) fn end_as(&mut self, lease: LeaseId, fault: LeaseFault) {
        self.end(lease, Err(fault));
        self.inbox.pop_back().into_iter().for_each(|input| self.tell(input));
    }

    pub(super) fn leases_of(&self, peer: PeerId) -> Vec<LeaseId> {
        self.leases.iter().filter(|(_, run)| source_of(run) == Some(peer)).map(|(id, _)| *id).collect()
    }

    pub(super) fn view(&self) -> crate::engine::event::JobView {
        self.engine.job_view(JOB).expect("the job is known")
    }

    pub(super) fn state(&self) -> JobState {
        self.view().state
    }

    /// Runs until the job has ended or `limit` virtual time passed; returns milliseconds.
    pub(super) fn run(&mut self, limit: Duration) -> u64 {
        let end = self.ms + u64::try_from(limit.as_millis()).expect("small");
        self.run_until(end, |world| {
            matches!(world.state(), JobState::Acknowledged | JobState::Error | JobState::Cancelled)
        });
        self.ms
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        self.run_until(self.ms + ms, |_| false);
    }

    pub(super) fn run_until(&mut self, end_ms: u64, is_done: impl Fn(&Self) -> bool) {
        while self.ms < end_ms && !is_done(self) {
            self.step();
        }
    }

    fn step(&mut self) {
        self.ms += STEP_MS;
        self.told_now = 0;
        let now = self.now().monotonic;
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            self.model(id).session.handle_timeout(now);
            self.pump_peer(id);
        }
        self.move_bytes();
        // It is woken when it said so, and no sooner: what it forgets to wait for is not done.
        if self.drain() <= now {
            self.engine.handle_timeout(self.now());
            self.drain();
        }
        while let Some(input) = self.inbox.pop_front() {
            self.tell(input);
        }
    }

    /// Performs what is to be done; gives when the engine wants to be woken.
    fn drain(&mut self) -> Instant {
        loop {
            match self.engine.poll_output() {
                Output::Effect(effect) => self.perform(*effect),
                Output::WaitUntil(at) => return at,
            }
        }
    }

    fn start(&mut self, lease: Lease) {
        let (at, end) = match lease.span {
            Span::Range(range) => (range.start(), Some(range.end())),
            Span::ToEnd => (0, None),
        };
        let id = lease.id;
        let fault = match &lease.source {
            LeaseSource::Origin { pinned, .. } => {
                self.origin.leases += 1;
                self.origin_spans.push((at, end));
                let changed = !pinned.is_same(&self.origin.version);
                let changed =
                    changed.then(|| OriginFault::new(Severity::VersionChanged, "changed", Some(200)));
                let is_part = end.is_some() && at > 0;
                let no_ranges = (!self.origin.ranges && is_part)
                    .then(|| OriginFault::new(Severity::NoRanges, "200 to a range", Some(200)));
                self.origin.fault.clone().or(changed).or(no_ranges).map(LeaseFault::Origin)
            }
            LeaseSource::Record(_) => None,
            LeaseSource::Peer { peer, .. } => {
                if self.peers.contains_key(peer) {
                    None
                } else {
                    Some(LeaseFault::PeerLost)
                }
            }
        };
        self.leases.insert(id, Running { lease, at, end, idle_ms: 0, is_cut_off: false });
        if let Some(fault) = fault {
            self.end(id, Err(fault));
        } else if let Some(fault) = self.lease_fault.take() {
            self.end(id, Err(LeaseFault::Local(fault)));
        }
    }

    fn end(&mut self, lease: LeaseId, outcome: Result<(), LeaseFault>) {
        let Some(run) = self.leases.remove(&lease) else { return };
        let start = start_of(&run.lease);
        if let (LeaseSource::Peer { peer, request }, Ok(())) = (&run.lease.source, &outcome) {
            self.peers.get_mut(peer).into_iter().for_each(|model| model.session.finish(*request));
        }
        let len = (run.lease.span == Span::ToEnd && outcome.is_ok()).then_some(run.at);
        self.inbox.push_back(Input::LeaseEnded { lease, received: run.at - start, len, outcome });
    }

    fn move_bytes(&mut self) {
        let mut budgets: BTreeMap<Option<PeerId>, u64> =
            self.peers.iter().map(|(id, model)| (Some(*id), model.pace.step())).collect();
        budgets.insert(None, self.origin.pace.step());
        for id in self.leases.keys().copied().collect::<Vec<_>>() {
            if self.leases.get(&id).is_some_and(|run| matches!(run.lease.source, LeaseSource::Record(_))) {
                let left = self.cache.as_ref().map_or(0, |(_, left)| *left).min(1 << 20);
                let moved = self.move_lease(id, left);
                self.cache.as_mut().into_iter().for_each(|(_, left)| *left -= moved);
                if moved == 0 && !self.cache_hangs {
                    self.end(id, Err(LeaseFault::NotHeld));
                }
                continue;
            }
            let source = self.leases.get(&id).and_then(source_of);
            let Some(budget) = budgets.get_mut(&source) else { continue };
            let moved = self.move_lease(id, *budget);
            *budget -= moved;
            match source {
                Some(peer) => {
                    self.peers.get_mut(&peer).into_iter().for_each(|model| model.pace.given += moved)
                }
                None => self.origin.pace.given += moved,
            }
        }
    }

    fn move_lease(&mut self, id: LeaseId, budget: u64) -> u64 {
        let Some(run) = self.leases.get_mut(&id) else { return 0 };
        let values = match run.lease.source {
            LeaseSource::Origin { .. } => Arc::clone(&self.origin.serves),
            LeaseSource::Record(_) => match &self.cache {
                Some((list, _)) => Arc::clone(list),
                None => return 0,
            },
            LeaseSource::Peer { peer, request } => match self.peers.get(&peer) {
                Some(model) if model.wanted.contains(&request) && !run.is_cut_off => Arc::clone(&model.sends),
                _ => return 0,
            },
        };
        let start = start_of(&run.lease);
        let end = run.end.unwrap_or(values.content().len).max(start);
        let from_origin = matches!(run.lease.source, LeaseSource::Origin { .. });
        let cut = self.origin.cuts_after.filter(|_| from_origin).map(|after| start + after);
        let reach = cut.map_or(end, |cut| cut.min(end));
        let moved = budget.min(reach.saturating_sub(run.at));
        let (before, after) = (run.at, run.at + moved);
        run.at = after;
        run.idle_ms = if moved > 0 { 0 } else { run.idle_ms + STEP_MS };
        let lease = run.lease.clone();
        let geometry = *values.geometry();
        let whole = |offset: u64| {
            if offset >= geometry.len() {
                geometry.piece_count()
            } else {
                u32::try_from(offset / geometry.piece_len()).expect("small")
            }
        };
        for piece in whole(before)..whole(after) {
            let value = values.value(PieceIndex(piece)).expect("inside");
            if !self.store(&lease, piece, value) {
                self.inbox.push_back(Input::Progress { lease: id, received: after - start });
                self.end(id, Err(LeaseFault::WrongBytes { piece: PieceIndex(piece) }));
                return moved;
            }
        }
        if moved > 0 {
            self.inbox.push_back(Input::Progress { lease: id, received: after - start });
        }
        if after >= end {
            self.end(id, Ok(()));
        } else if Some(after) == cut {
            self.end(id, Err(LeaseFault::Origin(transient("cut off", None))));
        }
        moved
    }

    /// Writes a piece if it agrees with what it must agree with.
    fn store(&mut self, lease: &Lease, piece: u32, value: Hash) -> bool {
        let standing = lease.accept.standing();
        if lease.accept.value(PieceIndex(piece)).is_some_and(|expected| expected != value) {
            return false;
        }
        self.disk.insert(piece, value);
        self.standings.insert(piece, standing);
        let run = PieceRun { first: PieceIndex(piece), values: vec![value], standing };
        self.inbox.push_back(Input::PiecesStored { lease: lease.id, run });
        true
    }

    fn seal(&mut self, id: EffectId, len: u64, digests: &[Digest]) {
        assert!(self.leases.is_empty(), "a file is sealed only when nobody writes to it");
        let count = peer_proto::content::Geometry::of(len).expect("short").piece_count();
        let values: Vec<Hash> = (0..count).filter_map(|piece| self.disk.get(&piece).copied()).collect();
        let is_named = self.view().trust.starts_with("level 3");
        let is_other = |list: &HashList| {
            let mut roots = digests.iter().filter(|digest| digest.algorithm() == Algorithm::Blake3);
            !is_named && roots.any(|root| *root != root_digest(list))
        };
        let outcome = match HashList::from_values(len, values) {
            Ok(list) if is_other(&list) => {
                Err(SealFault::Mismatch { algorithm: Algorithm::Blake3, found: root_digest(&list) })
            }
            Ok(list) if list == *self.truth || !is_named => {
                Ok(SealedFile { content: list.content(), list: Arc::new(list), digests: vec![sha256()] })
            }
            Ok(_) => Err(SealFault::Mismatch { algorithm: Algorithm::Sha256, found: sha256() }),
            Err(_) => panic!("sealed a file with gaps"),
        };
        self.inbox.push_back(Input::Sealed { id, outcome });
    }

    fn receive(&mut self, id: PeerId, frame: Frame) {
        let now = self.now().monotonic;
        if let Some(model) = self.peers.get_mut(&id) {
            model.frames.push(frame.clone());
            model.session.handle_frame(frame, now).expect("the engine's frames are in order");
            self.pump_peer(id);
        }
    }

    pub(super) fn pump_peer(&mut self, id: PeerId) {
        let now = self.now().monotonic;
        while let Some(model) = self.peers.get_mut(&id) {
            match model.session.poll_output() {
                SessionOutput::Transmit(frame) => {
                    self.inbox.push_back(Input::FrameReceived { peer: id, frame })
                }
                SessionOutput::Event(event) => model.react(event, now),
                SessionOutput::WaitUntil(_) => return,
            }
        }
    }
}

fn source_of(run: &Running) -> Option<PeerId> {
    match run.lease.source {
        LeaseSource::Origin { .. } | LeaseSource::Record(_) => None,
        LeaseSource::Peer { peer, .. } => Some(peer),
    }
}

fn start_of(lease: &Lease) -> u64 {
    match lease.span {
        Span::Range(range) => range.start(),
        Span::ToEnd => 0,
    }
}
