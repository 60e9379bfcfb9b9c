//! Who is where and wants what, and what came of it.
//!
//! Knows: how a world of nodes is built from a scenario, how long it runs, what is counted at its end. Does not know:
//! how nodes work.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Fault, HostId, Oracle, Scenario, Stage, Trouble, World};

use super::content::{Library, TRUTH};
use super::machine::Machine;
use super::node::{Node, NodeSpec};
use super::rogue::{Malice, Rogue};
use crate::job::{JobState, PeerFlags};

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
}

/// What one node got from whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// Which machine.
    pub host: HostId,
    /// From its start to its file; `None` if it never got it.
    pub took: Option<Duration>,
    /// When it got it.
    pub done: Option<Instant>,
    /// Bytes from the origin.
    pub from_origin: u64,
    /// Bytes from other machines.
    pub from_peers: u64,
    /// Bytes to other machines.
    pub sent: u64,
    /// Where its job stands and why, if it never got the file.
    pub why: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Length of the file.
    pub len: u64,
    /// Each honest machine that wanted the file and was not lost for good.
    pub shares: Vec<Share>,
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
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
            if let Some(malice) = malice {
                return Machine::Rogue(Box::new(Rogue::new(host, Arc::clone(&library), *malice, dice)));
            }
            let spec = NodeSpec {
                names: self.names,
                job_flags: self.job_flags,
                room: self.room,
                ..if host.0 < self.holders {
                    NodeSpec::holding(Arc::clone(&library))
                } else {
                    NodeSpec::seeking(Arc::clone(&library))
                }
            };
            Machine::Node(Box::new(Node::new(host, spec, dice)))
        });
        for (at, fault) in &self.faults {
            stage.world.schedule(*at, *fault);
        }
        stage.world.add_oracle(Oracle { name: "engine", check: Box::new(engines_hold) });
        let quiet_from = self.quiet_from;
        let check = move |world: &World<Machine>| progress_resumes(world, quiet_from);
        stage.world.add_oracle(Oracle { name: "progress", check: Box::new(check) });
        stage
    }

    /// Runs until everybody who can has the file, or time is up.
    ///
    /// # Errors
    /// [`Trouble`] if an oracle finds something.
    pub fn run(&self, seed: u64) -> Result<Outcome, Trouble> {
        let mut stage = self.stage(seed);
        let end = Instant::ZERO.after(self.limit);
        while stage.world.now() < end && !is_over(&stage) {
            let next = stage.world.now().after(LOOK_EVERY);
            stage.world.run_until(next.min(end))?;
        }
        Ok(self.outcome(&stage))
    }

    fn outcome(&self, stage: &Stage<Machine>) -> Outcome {
        let world = &stage.world;
        let nodes = world.hosts().filter_map(|(id, machine)| Some((id, machine.node()?)));
        let seeking = nodes.filter(|(id, node)| node.spec.wants_after.is_some() && !stage.lost.contains(id));
        let shares = seeking.map(|(host, node)| {
            let traffic = world.traffic(host);
            Share {
                host,
                took: node.tally.done.map(|done| done.since(node.tally.started)),
                done: node.tally.done,
                from_origin: traffic.from_origins,
                from_peers: traffic.from_hosts,
                sent: traffic.sent,
                why: if node.wants() { why(node, world.is_on(host)) } else { String::new() },
            }
        });
        let counts = world.origin_counts(stage.origin);
        Outcome {
            len: self.library.list(TRUTH).content().len,
            shares: shares.collect(),
            origin_bytes: counts.bytes,
            origin_asks: counts.asks,
            ended: world.now(),
            steps: world.steps(),
            fingerprint: world.fingerprint(),
        }
    }
}

impl Outcome {
    /// Machines that wanted the file and did not get it.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shares.iter().filter(|share| share.done.is_none()).count()
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
fn is_over(stage: &Stage<Machine>) -> bool {
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
