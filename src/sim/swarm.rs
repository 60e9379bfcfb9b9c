//! Who is where and wants what, and what came of it.
//!
//! Knows: how a world of nodes is built from a scenario, how long it runs, what is counted at its end. Does not know:
//! how nodes work.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use simnet::{Dice, Fault, HostId, Oracle, Scenario, SiteId, Stage, Wan, World};

use super::content::{Library, TRUTH};
use super::life::Flip;
use super::machine::Machine;
use super::node::{Node, NodeSpec};
use super::rogue::{Malice, Rogue};
use crate::job::{JobState, PeerFlags, Priority};

/// A wish: machines of a scenario that want one file.
#[derive(Clone, Debug)]
pub struct Swarm {
    scenario: Scenario,
    library: Library,
    names: Option<Algorithm>,
    job_flags: PeerFlags,
    holders: u32,
    rogues: Vec<Malice>,
    faults: Vec<(Instant, Fault)>,
    quiet_from: Instant,
    limit: Duration,
    room: u32,
    priority: Priority,
    /// Of a million machines that want the file, those that may not take, and those that may not give.
    flags_off: (u32, u32),
    flips: Vec<(Instant, Flip)>,
    beside: Beside,
}

/// Which world beside the one that was asked for this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Beside {
    /// None: it is the one.
    Itself,
    /// Nobody takes from others. Who cannot get the file then waits, and that is no trouble.
    OriginOnly,
    /// Those who are hostile in it only stand there.
    Calm,
}

/// What one node got from whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// Which machine.
    pub host: HostId,
    /// When it started first.
    pub began: Instant,
    /// From then to its file, with all that it was off or asleep; `None` if it never got it.
    pub took: Option<Duration>,
    /// When it got it.
    pub done: Option<Instant>,
    /// Bytes from the origin.
    pub from_origin: u64,
    /// Bytes from other machines.
    pub from_peers: u64,
    /// From which machines, most first: what its job counts since the machine started last.
    pub sources: Vec<(HostId, u64)>,
    /// Bytes to other machines.
    pub sent: u64,
    /// Whether it may give to others.
    pub may_serve: bool,
    /// Where its job stands and why, if it never got the file.
    pub why: String,
}

/// What a machine gave that wanted nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Giver {
    /// Which machine.
    pub host: HostId,
    /// Whether it is honest, and holds the file.
    pub holds: bool,
    /// Bytes to other machines.
    pub sent: u64,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Length of the file.
    pub len: u64,
    /// Each honest machine that wanted the file and was not lost for good.
    pub shares: Vec<Share>,
    /// Each other machine that stands there: holders, hostile ones.
    pub givers: Vec<Giver>,
    /// Bytes over the line of each office: into it, out of it.
    pub lines: Vec<(u64, u64)>,
    /// Bytes the origin sent.
    pub origin_bytes: u64,
    /// Questions the origin was asked.
    pub origin_asks: u64,
    /// Virtual time at the end.
    pub ended: Instant,
    /// Events that happened.
    pub steps: u64,
    /// Equal for equal runs.
    pub fingerprint: u64,
}

/// Progress must resume within this after everything healed.
const RESUMES_WITHIN: Duration = Duration::from_secs(30);

impl Swarm {
    /// Every machine of the scenario wants a file of so many bytes, named by its SHA-256, and shares it.
    ///
    /// `None` if no file is that long.
    #[must_use]
    pub fn of(scenario: Scenario, len: u64) -> Option<Self> {
        Some(Self {
            scenario,
            library: Library::of(len)?,
            names: Some(Algorithm::Sha256),
            job_flags: PeerFlags::BOTH,
            holders: 0,
            rogues: Vec::new(),
            faults: Vec::new(),
            quiet_from: Instant::ZERO,
            limit: Duration::from_secs(3_600),
            room: u32::MAX,
            priority: Priority::Foreground,
            flags_off: (0, 0),
            flips: Vec::new(),
            beside: Beside::Itself,
        })
    }

    /// The first so many machines hold the file already and want nothing.
    #[must_use]
    pub const fn holders(mut self, count: u32) -> Self {
        self.holders = count;
        self
    }

    /// The file is named by this digest, or by none.
    #[must_use]
    pub const fn named(mut self, names: Option<Algorithm>) -> Self {
        self.names = names;
        self
    }

    /// The job's half of the permissions.
    #[must_use]
    pub const fn job_flags(mut self, flags: PeerFlags) -> Self {
        self.job_flags = flags;
        self
    }

    /// One machine more is hostile (they come after the holders).
    #[must_use]
    pub fn rogue(mut self, malice: Malice) -> Self {
        self.rogues.push(malice);
        self
    }

    /// Something goes wrong at a moment; from the last such moment on progress must resume within 30 s.
    #[must_use]
    pub fn fault(mut self, at: Instant, fault: Fault) -> Self {
        self.faults.push((at, fault));
        self.quiet_from = self.quiet_from.max(at);
        self
    }

    /// The world is quiet only from this moment on (churn, arrivals).
    #[must_use]
    pub fn quiet_from(mut self, at: Instant) -> Self {
        self.quiet_from = self.quiet_from.max(at);
        self
    }

    /// It ends after so much virtual time at the latest.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Disks have room for so many pieces.
    #[must_use]
    pub const fn room(mut self, pieces: u32) -> Self {
        self.room = pieces;
        self
    }

    /// All machines are members of one group: each has few sessions and hears of the others through them.
    #[must_use]
    pub fn in_a_group(mut self) -> Self {
        self.library.enrol(self.scenario.machine_count());
        self
    }

    /// How urgent the jobs are.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Of a million machines that want the file, so many may not take from others, and so many may not give.
    #[must_use]
    pub const fn flags_off(mut self, client: u32, server: u32) -> Self {
        self.flags_off = (client, server);
        self
    }

    /// A machine's flags change at a moment; from the last such moment on progress must resume within 30 s.
    #[must_use]
    pub fn flip(mut self, at: Instant, flip: Flip) -> Self {
        self.flips.push((at, flip));
        self.quiet_from(at)
    }

    /// Nobody takes from others: what the origin alone would do in the same world.
    #[must_use]
    pub fn origin_only(&self) -> Self {
        let job_flags = PeerFlags { client: false, ..self.job_flags };
        Self { job_flags, beside: Beside::OriginOnly, ..self.clone() }
    }

    /// The same world with nothing going wrong and nobody hostile; `None` if it is such a world.
    #[must_use]
    pub fn calm(&self) -> Option<Self> {
        let scenario = self.scenario.clone().without_churn();
        let is_calm = self.faults.is_empty() && self.rogues.is_empty() && scenario == self.scenario;
        let calm = Self { scenario, faults: Vec::new(), beside: Beside::Calm, ..self.clone() };
        (!is_calm).then_some(calm)
    }

    /// How many machines there are in it.
    #[must_use]
    pub fn machine_count(&self) -> u32 {
        self.scenario.machine_count()
    }

    /// The lines of the offices as they are at the beginning.
    pub fn lines(&self) -> impl Iterator<Item = Wan> {
        self.scenario.lines()
    }

    /// What goes wrong, and when, in the order it was asked for.
    #[must_use]
    pub fn faults(&self) -> &[(Instant, Fault)] {
        &self.faults
    }

    /// Whether somebody swears to a list that only the digest of the whole file can refute.
    pub(super) fn has_lying_hints(&self) -> bool {
        let lies = |malice: &Malice| matches!(malice, Malice::FalseList { .. });
        self.names != Some(Algorithm::Blake3) && self.rogues.iter().any(lies)
    }

    /// Whose flags change, and when, in that order.
    #[must_use]
    pub fn flips(&self) -> Vec<(Instant, Flip)> {
        let mut flips = self.flips.clone();
        flips.sort_by_key(|(at, _)| *at);
        flips
    }

    pub(super) const fn time_limit(&self) -> Duration {
        self.limit
    }

    /// The contents, to add lies and versions.
    pub const fn library(&mut self) -> &mut Library {
        &mut self.library
    }

    /// The world at its first moment, with the oracles of the engine in it.
    #[must_use]
    pub fn stage(&self, seed: u64) -> Stage<Machine> {
        let library = Arc::new(self.library.clone());
        let rogues = u32::try_from(self.rogues.len()).unwrap_or(u32::MAX);
        let mut stage = self.scenario.clone().build(seed, |host, dice| {
            let rogue = host.0.checked_sub(self.holders).filter(|at| *at < rogues);
            let malice = rogue.and_then(|at| self.rogues.get(usize::try_from(at).unwrap_or(usize::MAX)));
            let mut spec = NodeSpec {
                names: self.names,
                job_flags: self.job_flags,
                room: self.room,
                priority: self.priority,
                ..if host.0 < self.holders {
                    NodeSpec::holding(Arc::clone(&library))
                } else {
                    NodeSpec::seeking(Arc::clone(&library))
                }
            };
            match malice {
                Some(_) if self.beside == Beside::Calm => spec.wants_after = None,
                Some(malice) => {
                    return Machine::Rogue(Box::new(Rogue::new(host, Arc::clone(&library), *malice, dice)));
                }
                None if spec.holds => {}
                None => spec.flags = self.flags_drawn(dice),
            }
            Machine::Node(Box::new(Node::new(host, spec, dice)))
        });
        for (at, fault) in &self.faults {
            stage.world.schedule(*at, *fault);
        }
        stage.world.add_oracle(Oracle { name: "engine", check: Box::new(engines_hold) });
        let quiet_from = self.quiet_from;
        let check = move |world: &World<Machine>| progress_resumes(world, quiet_from);
        if self.beside != Beside::OriginOnly {
            stage.world.add_oracle(Oracle { name: "progress", check: Box::new(check) });
        }
        stage
    }

    /// A machine's own flags. Nothing is drawn where all are on.
    fn flags_drawn(&self, dice: &mut Dice) -> PeerFlags {
        let (client, server) = self.flags_off;
        PeerFlags { client: client == 0 || !dice.chance(client), server: server == 0 || !dice.chance(server) }
    }

    pub(super) fn outcome(&self, stage: &Stage<Machine>) -> Outcome {
        let world = &stage.world;
        let (mut shares, mut givers) = (Vec::new(), Vec::new());
        for ((host, machine), began) in world.hosts().zip(&stage.starts) {
            match machine.node().filter(|node| node.spec.wants_after.is_some()) {
                Some(node) if !stage.lost.contains(&host) => shares.push(share(world, host, node, *began)),
                Some(_) => {}
                None => {
                    let holds = machine.node().is_some_and(|node| node.spec.holds);
                    givers.push(Giver { host, holds, sent: world.traffic(host).sent });
                }
            }
        }
        let counts = world.origin_counts(stage.origin);
        Outcome {
            len: self.library.list(TRUTH).content().len,
            shares,
            givers,
            lines: stage.sites.iter().map(|site: &SiteId| world.wan_bytes(*site)).collect(),
            origin_bytes: counts.bytes,
            origin_asks: counts.asks,
            ended: world.now(),
            steps: world.steps(),
            fingerprint: world.fingerprint(),
        }
    }
}

fn share(world: &World<Machine>, host: HostId, node: &Node, began: Instant) -> Share {
    let traffic = world.traffic(host);
    let done = node.tally.done;
    let sources = node.job().map(|job| job.sources).unwrap_or_default();
    let peers = sources.iter().filter_map(|from| Some((from.source.parse::<PeerId>().ok()?, from.bytes)));
    Share {
        host,
        began,
        took: done.map(|done| done.since(began)),
        done,
        from_origin: traffic.from_origins,
        from_peers: traffic.from_hosts,
        sources: peers.map(|(peer, bytes)| (node.host_of(peer), bytes)).collect(),
        sent: traffic.sent,
        may_serve: node.spec.flags.and(node.spec.job_flags).server,
        why: if node.wants() { why(node, world.is_on(host)) } else { String::new() },
    }
}

impl Outcome {
    /// Machines that wanted the file and did not get it.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shares.iter().filter(|share| share.done.is_none()).count()
    }

    /// What one machine got.
    #[must_use]
    pub fn share(&self, host: HostId) -> Option<&Share> {
        self.shares.iter().find(|share| share.host == host)
    }

    /// Origin bytes for each thousand bytes of the file.
    #[must_use]
    pub fn origin_permille(&self) -> u64 {
        self.origin_bytes.saturating_mul(1_000).checked_div(self.len).unwrap_or(0)
    }

    /// When the last machine had the file.
    #[must_use]
    pub fn last(&self) -> Instant {
        self.shares.iter().filter_map(|share| share.done).max().unwrap_or(Instant::ZERO)
    }

    /// How long a machine waited that waited longer than so many of a hundred others.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut took: Vec<Duration> = self.shares.iter().filter_map(|share| share.took).collect();
        took.sort_unstable();
        let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(at).copied().unwrap_or_default()
    }
}

/// Whether nobody who can still get the file is without it.
pub(super) fn is_over(stage: &Stage<Machine>) -> bool {
    stage.world.now() > Instant::ZERO
        && stage.world.hosts().all(|(id, machine)| {
            let node = machine.node();
            stage.lost.contains(&id) || node.is_none_or(|node| !node.wants() || has_failed(node))
        })
}

fn has_failed(node: &Node) -> bool {
    node.states.values().any(|state| *state == JobState::Error)
}

fn why(node: &Node, is_on: bool) -> String {
    match node.job() {
        _ if !is_on => "the machine is off".into(),
        None => "it has not asked".into(),
        Some(job) => format!("{:?}: {}", job.state, job.reason),
    }
}

fn engines_hold(world: &World<Machine>) -> Result<(), String> {
    world.hosts().filter_map(|(_, machine)| machine.node()).try_for_each(Node::check)
}

fn progress_resumes(world: &World<Machine>, quiet_from: Instant) -> Result<(), String> {
    for (id, machine) in world.hosts() {
        let Some(node) = machine.node().filter(|node| node.wants() && node.has_asked()) else { continue };
        let since = node.tally.stored_at.max(node.tally.started).max(quiet_from);
        if world.is_on(id) && !has_failed(node) && world.now().since(since) > RESUMES_WITHIN {
            let job = node.job().map(|job| (job.state, job.stored, job.reason));
            return Err(format!("node {} has got nothing since {since:?}: {job:?}", id.0));
        }
    }
    Ok(())
}
