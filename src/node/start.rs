//! Builds a node, in the order in which its parts need each other.
//!
//! Knows: what each part is given. Does not know: what happens once they run.

use std::path::Path;
use std::time::Duration;

use peer_proto::evidence::Contradiction;
use peer_proto::sign::Signer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::neighbours::{Keeping, Neighbours};
use super::{Node, NodeConfig, NodeError, NodeKind, door, idle, membership, network, policy};
use crate::cache::Cache;
use crate::clock::{self, Clock};
use crate::control::events::Events;
use crate::disk::RealFiles;
use crate::driver::{AddedPeers, Driver, DriverParts, Enrolment, Keeper};
use crate::engine::io::{Input, StoredJob};
use crate::engine::{Engine, EngineConfig, Groups};
use crate::job::{Code, PeerFlags, Policy};
use crate::origin::Origin;
use crate::record::CacheWish;
use crate::store::index::INDEXED_FROM;
use crate::store::{Damaged, Distrusted, FlagStore, Index, JobStore, KnownAttestations, StateFolder};
use crate::swarm::{PeerAddress, Swarm, SwarmConfig, SwarmEvent};
use crate::transfer::{Transfer, TransferParts};

/// Facts that may wait for the driver.
const FACTS_WAITING_MAX: usize = 1_024;
/// Time for the sockets to be reported.
const LISTEN_TIMEOUT: Duration = Duration::from_millis(500);
/// Events of the swarm that may wait for the driver.
const SWARM_EVENTS_WAITING_MAX: usize = 1_024;

/// What a state folder holds.
struct Known {
    folder: StateFolder,
    cache: Cache<RealFiles>,
    jobs: JobStore<RealFiles>,
    stored: Vec<StoredJob>,
    attested: KnownAttestations,
    neighbours: Neighbours,
    damaged: Vec<Damaged>,
    flags: FlagStore<RealFiles>,
    enrolment: Enrolment,
    added: AddedPeers,
    /// Which of them can be tried now.
    added_now: Vec<PeerAddress>,
    groups: Groups,
    policy: Policy,
    /// Which file that was.
    stamp: Option<policy::Stamp>,
}

pub(super) async fn start(config: NodeConfig) -> Result<Node, NodeError> {
    let clock = Clock::start();
    let (tell, facts) = mpsc::channel(FACTS_WAITING_MAX);
    let mut known = known(&config, tell.clone()).await?;
    let origin = Origin::new(config.origin.clone())?;
    let stop = CancellationToken::new();
    // Whoever drops this future half-way leaves nothing running.
    let guard = stop.clone().drop_guard();
    let Met { swarm, task: swarm_task, events: swarm_events, early } = meet(&known, &config, &stop).await?;
    let engine = engine(&config, &mut known, &swarm, clock)?;
    let found = facts_of(&mut known);
    let transfer = hands(origin, swarm.clone(), &known, tell.clone(), clock);
    let keeper = keeper(&known, &transfer, config.cache, &stop);
    let network = network::run(tell.clone(), stop.clone());
    let (driver, handle) = Driver::new(DriverParts {
        engine,
        transfer: transfer.clone(),
        swarm,
        swarm_events,
        early,
        jobs: known.jobs,
        flags: known.flags,
        attestations: known.folder.attestations(),
        keeper: keeper.clone(),
        enrolment: known.enrolment.clone(),
        added: known.added,
        files: RealFiles,
        damaged: known.damaged.into(),
        policy_file: config.policy_file.clone(),
        clock,
        facts,
        tell,
    });
    tracing::info!(peer = %handle.peer_id(), started_unix_ms = clock::wall_unix_ms(), "node started");
    let (events, hearing) = Events::of(door::desk(handle.clone(), config.kind), stop.clone());
    let follower = policy::Follower::new(config.policy_file, known.stamp, config.preference, handle.clone());
    let tasks = TaskTracker::new();
    tasks.spawn(hearing);
    tasks.spawn(follower.run(stop.clone()));
    tasks.spawn(network);
    tasks.spawn(known.enrolment.watch(stop.clone()));
    let neighbours = Keeping::new(known.folder.neighbours(), handle.clone(), clock, &known.neighbours);
    tasks.spawn(neighbours.clone().run(stop.clone()));
    // A node that lives for one job leaves copying to whoever has the time.
    if config.kind == NodeKind::Daemon {
        tasks.spawn(idle::run(known.cache.clone(), keeper, transfer.clone(), stop.clone()));
    }
    tasks.close();
    transfer.set_rates(None, config.rates);
    let driver = tokio::spawn(driver.run(found, stop.clone()));
    guard.disarm();
    Ok(Node {
        handle,
        transfer,
        kind: config.kind,
        stop,
        driver,
        swarm: swarm_task,
        tasks,
        events,
        cache: known.cache,
        neighbours,
        folder: known.folder,
    })
}

/// What moves bytes.
fn hands(origin: Origin, swarm: Swarm, known: &Known, facts: mpsc::Sender<Input>, clock: Clock) -> Transfer {
    let (cache, jobs) = (known.cache.clone(), known.jobs.clone());
    Transfer::new(TransferParts { origin, swarm, cache, files: RealFiles, jobs, facts, clock })
}

/// What the state folder holds, and what the administrator says.
async fn known(config: &NodeConfig, tell: mpsc::Sender<Input>) -> Result<Known, NodeError> {
    let (state_dir, policy_file) = (config.state_dir.clone(), config.policy_file.clone());
    let reading = move || read(&state_dir, &policy_file, tell);
    tokio::task::spawn_blocking(reading).await.map_err(|_| NodeError::Broken)?
}

/// Keeps the cache within its limits.
fn keeper(known: &Known, transfer: &Transfer, wish: CacheWish, stop: &CancellationToken) -> Keeper {
    let limits = known.folder.cache_limits();
    let rules = known.policy.over(&Policy::default()).peers;
    Keeper::new(known.cache.clone(), transfer.clone(), limits, wish, rules, stop.clone())
}

/// The brain, which knows nothing yet but who it is and what it may.
fn engine(config: &NodeConfig, known: &mut Known, swarm: &Swarm, clock: Clock) -> Result<Engine, NodeError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(NodeError::Random)?;
    let engine_config = EngineConfig {
        me: swarm.peer_id(),
        seed,
        flags: config.flags.or_else(|| known.flags.load()).unwrap_or(usual_flags(config.kind)),
        embedded: config.kind == NodeKind::Embedded,
        expects_peers: config.mdns
            || config.asks_link()
            || !config.static_peers.is_empty()
            || !known.added_now.is_empty()
            || !config.rendezvous.is_empty(),
        neighbours_known: swarm.remembered_here(),
        site: config.site.clone(),
        groups: std::mem::take(&mut known.groups),
        queue: config.queue.bounded(),
        serving: config.serving,
        policy: known.policy.over(&config.preference),
    };
    Ok(Engine::new(engine_config, clock.now()))
}

/// What is known at the start: who is not believed before what was said, and both, like records, before the jobs that may use
/// them; of the jobs those first that nothing happened to for longest: of those that are over they are forgotten first.
fn facts_of(known: &mut Known) -> Vec<Input> {
    let attested = std::mem::take(&mut known.attested);
    let fallen = |one: Distrusted| {
        let group = one.group.or_else(|| one.proof.as_ref().map(Contradiction::group));
        Input::DistrustFound { group, holder: one.holder, proof: one.proof }
    };
    let said = attested.distrusted.into_iter().map(fallen);
    let said = said.chain(attested.voids.into_iter().map(Input::VoidFound));
    let said = said.chain(attested.held.into_iter().map(Input::AttestationFound));
    let bans = known.neighbours.bans.clone().into_iter().map(Input::BanFound);
    let bans = bans.chain(known.neighbours.fuses.clone().into_iter().map(Input::FuseFound));
    let mut jobs = std::mem::take(&mut known.stored);
    jobs.sort_by_key(|job| job.times.modified_unix_ms);
    let jobs = jobs.into_iter().map(Box::new).map(Input::JobFound);
    known.cache.records().into_iter().map(Input::RecordHeld).chain(said).chain(bans).chain(jobs).collect()
}

/// The computer's flags where nobody chose any: as in BITS for a machine, all for whoever embeds a node.
const fn usual_flags(kind: NodeKind) -> PeerFlags {
    match kind {
        NodeKind::Embedded => PeerFlags::BOTH,
        NodeKind::Daemon => PeerFlags::NONE,
    }
}

/// A swarm that listens.
struct Met {
    swarm: Swarm,
    task: JoinHandle<()>,
    events: mpsc::Receiver<SwarmEvent>,
    early: Vec<SwarmEvent>,
}

async fn meet(known: &Known, config: &NodeConfig, stop: &CancellationToken) -> Result<Met, NodeError> {
    let config = SwarmConfig {
        identity_seed: *known.folder.identity_seed(),
        listen: config.listen.clone(),
        mdns: config.mdns,
        ask_link: config.asks_link(),
        static_peers: config.static_peers.clone(),
        added_peers: known.added_now.clone(),
        rendezvous: config.rendezvous.clone(),
        tunnels: config.tunnels,
        remembered: known.neighbours.peers.clone(),
    };
    let (tell, mut events) = mpsc::channel(SWARM_EVENTS_WAITING_MAX);
    let listen_count = config.listen.len();
    let (swarm, task) = Swarm::start(config, tell, stop.clone())?;
    let early = listening(&mut events, listen_count).await;
    Ok(Met { swarm, task, events, early })
}

/// Waits until the swarm listens where it was told to, so that whoever starts a node can tell others where it is.
/// Gives back what else happened meanwhile.
async fn listening(events: &mut mpsc::Receiver<SwarmEvent>, count: usize) -> Vec<SwarmEvent> {
    let (mut early, mut heard) = (Vec::new(), 0);
    // Sockets are bound already; an address that does not show up in time is only not reported yet.
    let waiting = async {
        while heard < count {
            let Some(event) = events.recv().await else { return };
            heard += usize::from(matches!(event, SwarmEvent::Listening { .. }));
            early.push(event);
        }
    };
    drop(tokio::time::timeout(LISTEN_TIMEOUT, waiting).await);
    early
}

/// Takes the state folder and reads what it holds, and what the administrator says. Blocks.
fn read(state_dir: &Path, policy_file: &Path, tell: mpsc::Sender<Input>) -> Result<Known, NodeError> {
    let (policy, stamp) = policy::read(policy_file)?;
    let folder = StateFolder::open(state_dir)?;
    let jobs = folder.jobs();
    let loaded = jobs.load_all()?;
    let cache = Cache::open(
        RealFiles,
        &folder.cache_path(),
        Index::from_records(&folder.index_path(), INDEXED_FROM),
    )?;
    for damaged in &loaded.damaged {
        tracing::error!(code = Code::DatabaseCorrupt.name().as_ref(), "{damaged}");
    }
    for note in cache.take_notes() {
        tracing::warn!("{note}");
    }
    let attested = folder.attestations().load();
    for note in &attested.notes {
        tracing::warn!("{note}");
    }
    let (neighbours, note) = folder.neighbours::<Neighbours>().load_or_set_aside();
    if let Some(note) = note {
        tracing::warn!("{note}");
    }
    let (added, added_now, notes) = AddedPeers::load(folder.added_peers());
    for note in notes {
        tracing::warn!("{note}");
    }
    let signer = Signer::of(folder.identity_seed());
    let held = folder.group().load()?;
    let groups = membership::counts(&held, &signer, clock::wall_unix_ms())?;
    Ok(Known {
        flags: folder.flags(),
        enrolment: Enrolment::new(&folder, signer, held, Some(tell)),
        added,
        added_now,
        groups,
        folder,
        cache,
        jobs,
        attested,
        neighbours: neighbours.unwrap_or_default().aged(clock::wall_unix_ms()),
        stored: loaded.jobs,
        damaged: loaded.damaged,
        policy,
        stamp,
    })
}
