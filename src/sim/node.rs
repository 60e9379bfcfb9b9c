//! The engine as a host: facts in, effects performed, peers dialled.
//!
//! Knows: the life of a machine (start, crash, peers that come and go) and the order in which facts are told. Does not
//! know: what an effect does (`hands`), how bytes move (`moves`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;
use simnet::{Answer, Crash, Dice, FlowEvent, FlowId, Host, HostId, HostOutput, Neighbour};

use super::content::{Library, TRUTH, URL};
use super::machine::Parcel;
use super::moves::{Running, Use};
use super::part::Part;
use crate::engine::event::JobView;
use crate::engine::io::{EffectId, Input, LeaseId, Now, ServeId, StoredJob};
use crate::engine::queue::QueueConfig;
use crate::engine::slots::{SERVES_MAX, SMALL_SERVES};
use crate::engine::{Engine, EngineConfig, SiteConfig};
use crate::job::{Caller, FileId, JobId, JobSpec, JobState, PeerFlags, Policy, Priority, ServeRates};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

/// Sessions with strangers at a time, as the real node has them.
const SESSIONS_MAX: usize = 64;
/// Strangers a node dials, as the real node does: all others of a site of 64; the rest is left to those that dial it.
const DIALLED_MAX: usize = SESSIONS_MAX - 1;
const REDIAL_FIRST: Duration = Duration::from_secs(1);
const REDIAL_MAX: Duration = Duration::from_secs(30);
/// Wall clock at the world's first moment: some day in 2027.
const WALL_UNIX_MS: i64 = 1_800_000_000_000;
/// The same in seconds.
pub(super) const WALL_UNIX_S: u64 = 1_800_000_000;
/// Sessions that a member of a group keeps at most, and dials: it hears of the others through these.
const MEMBERS_MAX: usize = 16;
const MEMBERS_DIALLED_MAX: usize = 10;
/// Machines whose addresses share so many bits are on one link.
const LINK_PREFIX: u8 = 16;
/// As `get` has it: somebody waits.
const RETRY_DELAY_S: u64 = 5;
/// Facts a node may be told in one moment before it counts as running in circles.
const FACTS_PER_MOMENT_MAX: u32 = 20_000;

/// What a node is made with.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// The contents of the world.
    pub library: Arc<Library>,
    /// The computer's half of the permissions.
    pub flags: PeerFlags,
    /// By which digest the job names the file; none: trust level 0.
    pub names: Option<Algorithm>,
    /// The job's half of the permissions.
    pub job_flags: PeerFlags,
    /// Whether somebody waits for it.
    pub priority: Priority,
    /// How long after its start the machine wants the file; never if absent.
    pub wants_after: Option<Duration>,
    /// Whether it holds the file, sealed, from the beginning.
    pub holds: bool,
    /// Pieces its disk has room for.
    pub room: u32,
    /// What came of a lease is told each time so many bytes are there.
    pub mark_every: u64,
}

impl NodeSpec {
    /// A machine that wants the file at once, named by its SHA-256, and shares it.
    #[must_use]
    pub const fn seeking(library: Arc<Library>) -> Self {
        Self {
            library,
            flags: PeerFlags::BOTH,
            names: Some(Algorithm::Sha256),
            job_flags: PeerFlags::BOTH,
            priority: Priority::Foreground,
            wants_after: Some(Duration::ZERO),
            holds: false,
            room: u32::MAX,
            mark_every: 2 * 1024 * 1024,
        }
    }

    /// A machine that holds the file and wants nothing.
    #[must_use]
    pub fn holding(library: Arc<Library>) -> Self {
        Self { wants_after: None, holds: true, ..Self::seeking(library) }
    }
}

/// What a node did and had to do with since it started last, and what of it must not be.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// When the job was done, if it is.
    pub done: Option<Instant>,
    /// When it started last.
    pub started: Instant,
    /// When a piece was stored last.
    pub stored_at: Instant,
    /// Bytes of leases that were told to the engine, from origins and from peers.
    pub told: (u64, u64),
    /// Bytes whose serving was told to the engine.
    pub served: u64,
    /// Leases that were started, and answered.
    pub leases: (u64, u64),
    /// Peers that were sent away for a lie or an error.
    pub sent_away: u32,
    /// What an engine must never do, and did.
    pub broken: Vec<String>,
}

/// What a node knows of another host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acquaintance {
    dial_at: Instant,
    pause: Duration,
}

/// The shipping engine on a modelled machine.
#[derive(Debug)]
pub struct Node {
    pub(super) host: HostId,
    pub(super) spec: NodeSpec,
    pub(super) engine: Engine,
    pub(super) dice: Dice,
    pub(super) now: Instant,
    engine_wake: Instant,
    known: BTreeMap<HostId, Acquaintance>,
    connected: BTreeSet<HostId>,
    refused: BTreeSet<HostId>,
    pub(super) parts: BTreeMap<FileId, Part>,
    pub(super) jobs: BTreeMap<JobId, StoredJob>,
    pub(super) records: BTreeMap<RecordId, (RecordSummary, u16)>,
    pub(super) leases: BTreeMap<LeaseId, Running>,
    pub(super) awaited: BTreeMap<(HostId, RequestId), LeaseId>,
    pub(super) uses: BTreeMap<FlowId, Use>,
    pub(super) serves: BTreeMap<ServeId, FlowId>,
    pub(super) probes: BTreeMap<u64, EffectId>,
    pub(super) last_lease: u64,
    pub(super) states: BTreeMap<JobId, JobState>,
    pub(super) out: VecDeque<HostOutput<Parcel>>,
    pub(super) inbox: VecDeque<Input>,
    later: BTreeMap<(Instant, u64), Input>,
    numbers: u64,
    facts: (Instant, u32),
    has_asked: bool,
    /// When the next neighbour may be dialled; to be looked for if absent.
    dials_at: Option<Instant>,
    /// What happened.
    pub tally: Tally,
}

impl Node {
    /// A node that is not started yet.
    #[must_use]
    pub fn new(host: HostId, spec: NodeSpec, dice: &mut Dice) -> Self {
        let mut dice = Dice::new(dice.roll());
        let engine = engine(host, &spec, &mut dice, Instant::ZERO);
        let mut node = Self {
            host,
            spec,
            engine,
            dice,
            now: Instant::ZERO,
            engine_wake: Instant::NEVER,
            known: BTreeMap::new(),
            connected: BTreeSet::new(),
            refused: BTreeSet::new(),
            parts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            records: BTreeMap::new(),
            leases: BTreeMap::new(),
            awaited: BTreeMap::new(),
            uses: BTreeMap::new(),
            serves: BTreeMap::new(),
            probes: BTreeMap::new(),
            last_lease: 0,
            states: BTreeMap::new(),
            out: VecDeque::new(),
            inbox: VecDeque::new(),
            later: BTreeMap::new(),
            numbers: 0,
            facts: (Instant::ZERO, 0),
            has_asked: false,
            dials_at: None,
            tally: Tally::default(),
        };
        if node.spec.holds {
            let (record, content) = node.record(RecordId([1; 16]), TRUTH);
            node.records.insert(record.id, (record, content));
        }
        node
    }

    /// The node's one job, as it stands.
    #[must_use]
    pub fn job(&self) -> Option<JobView> {
        self.engine.job_view(job_id(self.host))
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Peers with a session.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.connected.len()
    }

    /// Whether it has a job that is not done.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.spec.wants_after.is_some() && self.tally.done.is_none()
    }

    /// Whether it was given its job since it started.
    #[must_use]
    pub const fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// What must hold of every engine at every moment, as far as it can be seen from outside.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        let name = self.host.0;
        if let Some(first) = self.tally.broken.first() {
            return Err(format!("node {name}: {first}"));
        }
        let totals = self.engine.totals();
        let (origin, peers) = self.tally.told;
        if totals.origin_bytes > origin
            || totals.peer_bytes > peers
            || totals.served_bytes != self.tally.served
        {
            return Err(format!("node {name}: counts {totals:?}, was told {:?}", self.tally));
        }
        let (started, answered) = self.tally.leases;
        if started != answered + u64::try_from(self.leases.len()).unwrap_or(u64::MAX) {
            return Err(format!("node {name}: {started} leases, {answered} answered, some lost"));
        }
        let (asked, served) = (self.awaited.len(), self.serves.len());
        if self.connected.len() > SESSIONS_MAX + 1 || asked > 8 * SESSIONS_MAX {
            return Err(format!("node {name}: {asked} requests at {} peers", self.connected.len()));
        }
        if served > SERVES_MAX + SMALL_SERVES {
            return Err(format!("node {name}: {served} requests are served at a time"));
        }
        Ok(())
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn host_of(&self, peer: PeerId) -> HostId {
        self.spec.library.host_of(peer)
    }

    pub(super) fn is_connected(&self, host: HostId) -> bool {
        self.connected.contains(&host)
    }

    pub(super) fn wall(&self) -> Now {
        wall(self.now)
    }

    /// Tells the engine something after a while.
    pub(super) fn tell_later(&mut self, after: Duration, input: Input) {
        let number = self.number();
        self.later.insert((self.now.after(after), number), input);
    }

    pub(super) fn broke(&mut self, what: String) {
        if self.tally.broken.len() < 8 {
            self.tally.broken.push(what);
        }
    }

    /// Tells the engine everything that waits, and performs what it wants, until both are at rest.
    pub(super) fn work(&mut self) {
        loop {
            self.engine_wake = self.perform_all();
            let Some(input) = self.inbox.pop_front() else { return };
            self.facts = if self.facts.0 == self.now { (self.now, self.facts.1 + 1) } else { (self.now, 1) };
            if self.facts.1 > FACTS_PER_MOMENT_MAX {
                self.inbox.clear();
                return self.broke(format!("in circles at {:?}: {input:?}", self.now));
            }
            self.engine.handle_input(input, self.wall());
        }
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.inbox.push_back(input);
        self.work();
    }

    /// A peer was sent away by the engine.
    pub(super) fn send_away(&mut self, host: HostId, until: Instant) {
        self.tally.sent_away += 1;
        self.dials_at = None;
        let known = self.known.entry(host).or_insert(Acquaintance { dial_at: until, pause: REDIAL_FIRST });
        known.dial_at = known.dial_at.max(until);
        self.out.push_back(HostOutput::Disconnect(host));
    }

    fn dial_due(&mut self) {
        let now = self.now;
        if self.next_dial() > now {
            return;
        }
        self.dials_at = None;
        let free = self.sessions_max().1.saturating_sub(self.connected.len());
        let due =
            self.known.iter().filter(|(host, known)| known.dial_at <= now && !self.connected.contains(host));
        let mut due: Vec<HostId> = due.map(|(host, _)| *host).collect();
        if self.spec.library.roster().is_some() {
            // Few sessions for each: they had better not all be with the same ones.
            let rest = |at: usize| u64::try_from(at).unwrap_or(0);
            (1..due.len()).rev().for_each(|at| {
                let other = usize::try_from(self.dice.below(rest(at + 1))).unwrap_or(0);
                due.swap(at, other);
            });
        }
        for host in due.into_iter().take(free) {
            let Some(known) = self.known.get_mut(&host) else { continue };
            known.pause = known.pause.saturating_mul(2).min(REDIAL_MAX);
            known.dial_at = now.after(known.pause);
            self.out.push_back(HostOutput::Connect(host));
        }
    }

    /// Sessions at most, and those it dials.
    fn sessions_max(&self) -> (usize, usize) {
        match self.spec.library.roster() {
            Some(_) => (MEMBERS_MAX, MEMBERS_DIALLED_MAX),
            None => (SESSIONS_MAX, DIALLED_MAX),
        }
    }

    fn next_dial(&mut self) -> Instant {
        if self.connected.len() >= self.sessions_max().1 {
            return Instant::NEVER;
        }
        *self.dials_at.get_or_insert_with(|| {
            let absent = self.known.iter().filter(|(host, _)| !self.connected.contains(host));
            absent.map(|(_, known)| known.dial_at).min().unwrap_or(Instant::NEVER)
        })
    }

    pub(super) fn record(&self, id: RecordId, content: u16) -> (RecordSummary, u16) {
        let digests = self.spec.library.digest(content, Algorithm::Sha256).into_iter().collect();
        let last_used_unix_s = self.wall().wall_unix_ms / 1_000;
        let summary = RecordSummary {
            id,
            content: self.spec.library.list(content).content(),
            digests,
            holding: Holding::Whole,
            scope: Scope::Shareable,
            served: true,
            last_used_unix_s,
            vouched: Vec::new(),
        };
        (summary, content)
    }

    fn job_spec(&self) -> JobSpec {
        let library = &self.spec.library;
        let digest = self.spec.names.and_then(|algorithm| library.digest(TRUTH, algorithm));
        JobSpec {
            flags: self.spec.job_flags,
            priority: self.spec.priority,
            auto_complete: true,
            retry_delay_s: RETRY_DELAY_S,
            ..JobSpec::for_file(URL, "/home/user/file").named_by(digest.into_iter().collect())
        }
    }

    fn forget_the_running(&mut self) {
        self.leases.clear();
        self.awaited.clear();
        self.uses.clear();
        self.serves.clear();
        self.probes.clear();
        self.states.clear();
        self.out.clear();
        self.inbox.clear();
        self.later.clear();
        self.connected.clear();
        self.refused.clear();
        self.known.clear();
        self.dials_at = None;
        self.last_lease = 0;
        self.tally.leases = (0, 0);
        self.has_asked = false;
    }
}

fn wall(now: Instant) -> Now {
    let ms = i64::try_from(now.as_micros() / 1_000).unwrap_or(i64::MAX / 2);
    Now { monotonic: now, wall_unix_ms: WALL_UNIX_MS + ms }
}

fn engine(host: HostId, spec: &NodeSpec, dice: &mut Dice, now: Instant) -> Engine {
    let config = EngineConfig {
        me: spec.library.peer_of(host),
        seed: dice.bytes(),
        flags: spec.flags,
        embedded: false,
        expects_peers: true,
        neighbours_known: 0,
        groups: spec.library.roster().and_then(|roster| roster.membership(host)).into(),
        site: SiteConfig::default(),
        queue: QueueConfig::default(),
        serving: ServeRates::default(),
        policy: Policy::default().over(&Policy::default()),
    };
    Engine::new(config, wall(now))
}

/// The id of a node's job.
pub(super) fn job_id(host: HostId) -> JobId {
    let mut id = [7; 16];
    id[12..].copy_from_slice(&host.0.to_be_bytes());
    JobId(id)
}

impl Host for Node {
    type Message = Parcel;

    fn handle_start(&mut self, now: Instant) {
        self.now = now;
        self.forget_the_running();
        self.engine = engine(self.host, &self.spec, &mut self.dice, now);
        // What was delivered a moment before a crash was not told.
        let is_done = self.jobs.values().any(|job| job.state == JobState::Acknowledged);
        let done = self.tally.done.or(is_done.then_some(now));
        self.tally = Tally {
            started: now,
            stored_at: now,
            done,
            broken: std::mem::take(&mut self.tally.broken),
            ..Tally::default()
        };
        self.inbox.extend(self.records.values().map(|(record, _)| Input::RecordHeld(record.clone())));
        self.inbox.extend(self.jobs.values().cloned().map(Box::new).map(Input::JobFound));
        let job = job_id(self.host);
        if let Some(after) = self.spec.wants_after.filter(|_| done.is_none()) {
            self.has_asked = true;
            if !self.jobs.contains_key(&job) {
                let (spec, by) = (Box::new(self.job_spec()), Caller { uid: 1_000, is_administrator: false });
                self.tell_later(after, Input::Submit { job, spec, by, start: true });
            }
        }
        self.work();
    }

    fn handle_crash(&mut self, crash: Crash, now: Instant) {
        self.now = now;
        match crash {
            Crash::Program => {}
            Crash::Power => {
                let dice = &mut self.dice;
                self.parts.values_mut().for_each(|part| part.disk.power_cut(dice));
            }
            Crash::Disk => {
                self.parts.clear();
                self.jobs.clear();
                self.records.clear();
                self.tally.done = None;
            }
        }
        self.forget_the_running();
    }

    fn handle_discovered(&mut self, neighbour: Neighbour, now: Instant) {
        self.now = now;
        if self.known.len() < 1_024 {
            let fresh = Acquaintance { dial_at: now, pause: REDIAL_FIRST };
            let known = self.known.entry(neighbour.id).or_insert(fresh);
            known.pause = REDIAL_FIRST;
        }
        self.dials_at = None;
        self.dial_due();
        self.work();
    }

    fn handle_connected(&mut self, peer: Neighbour, now: Instant) {
        self.now = now;
        if self.connected.len() >= self.sessions_max().0 {
            self.refused.insert(peer.id);
            self.out.push_back(HostOutput::Disconnect(peer.id));
            return;
        }
        self.connected.insert(peer.id);
        self.dials_at = None;
        let pause = REDIAL_FIRST;
        self.known.entry(peer.id).or_insert(Acquaintance { dial_at: now, pause }).pause = pause;
        let [_, _, high, low] = peer.address.to_be_bytes();
        let address = format!("10.{}.{high}.{low}", peer.address >> 16 & 0xff);
        let nonce = self.dice.bytes();
        self.tell(Input::PeerConnected {
            peer: self.spec.library.peer_of(peer.id),
            near: peer.is_near,
            link: address.parse().ok().and_then(|ip: IpAddr| Subnet::of(ip, LINK_PREFIX)),
            nonce,
            address,
        });
    }

    fn handle_message(&mut self, from: HostId, message: Parcel, now: Instant) {
        self.now = now;
        if let (Parcel::Frame(frame), true) = (message, self.connected.contains(&from)) {
            self.tell(Input::FrameReceived { peer: self.spec.library.peer_of(from), frame: *frame });
        }
    }

    fn handle_lost(&mut self, peer: HostId, now: Instant) {
        self.now = now;
        self.dials_at = None;
        if let Some(known) = self.known.get_mut(&peer) {
            known.dial_at = known.dial_at.max(now.after(known.pause));
        }
        if self.refused.remove(&peer) || !self.connected.remove(&peer) {
            return;
        }
        self.lose_leases_of(peer);
        self.tell(Input::PeerLost { peer: self.spec.library.peer_of(peer) });
    }

    fn handle_answer(&mut self, number: u64, answer: Answer, now: Instant) {
        self.now = now;
        self.probed(number, answer);
        self.work();
    }

    fn handle_flow(&mut self, event: FlowEvent<Parcel>, now: Instant) {
        self.now = now;
        self.flow(event);
        self.work();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            self.inbox.push_back(entry.remove());
        }
        self.dial_due();
        if self.engine_wake <= now {
            self.engine.handle_timeout(self.wall());
        }
        self.work();
    }

    fn poll_output(&mut self) -> HostOutput<Parcel> {
        self.out.pop_front().unwrap_or_else(|| {
            let later = self.later.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at);
            let dial = self.next_dial();
            HostOutput::WaitUntil(self.engine_wake.min(later).min(dial))
        })
    }
}
