//! Builds a node, in the order in which its parts need each other.
//!
//! Knows: what each part is given. Does not know: what happens once they run.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Node, NodeConfig, NodeError, NodeKind};
use crate::cache::Cache;
use crate::clock::{self, Clock};
use crate::disk::RealFiles;
use crate::driver::{Driver, DriverParts};
use crate::engine::io::{Input, StoredJob};
use crate::engine::{Engine, EngineConfig};
use crate::job::PeerFlags;
use crate::origin::Origin;
use crate::store::{FlagStore, Index, JobStore, StateFolder};
use crate::swarm::{Swarm, SwarmConfig};
use crate::transfer::{Transfer, TransferParts};

/// Facts that may wait for the driver.
const FACTS_WAITING_MAX: usize = 1_024;
/// Events of the swarm that may wait for the driver.
const SWARM_EVENTS_WAITING_MAX: usize = 1_024;

/// What a state folder holds.
struct Known {
    folder: StateFolder,
    cache: Cache<RealFiles>,
    jobs: JobStore<RealFiles>,
    stored: Vec<StoredJob>,
    flags: FlagStore<RealFiles>,
}

pub(super) async fn start(config: NodeConfig) -> Result<Node, NodeError> {
    let clock = Clock::start();
    let state_dir = config.state_dir.clone();
    let known =
        tokio::task::spawn_blocking(move || read(state_dir)).await.map_err(|_| NodeError::Broken)??;
    let origin = Origin::new(config.origin)?;
    let flags = config.flags.or_else(|| known.flags.load()).unwrap_or(match config.kind {
        NodeKind::Embedded => PeerFlags::BOTH,
        NodeKind::Daemon => PeerFlags::NONE,
    });
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(NodeError::Random)?;

    let stop = CancellationToken::new();
    let expects_peers = config.mdns || !config.static_peers.is_empty();
    let (swarm_tell, swarm_events) = mpsc::channel(SWARM_EVENTS_WAITING_MAX);
    let swarm_config = SwarmConfig {
        identity_seed: *known.folder.identity_seed(),
        listen: config.listen,
        mdns: config.mdns,
        static_peers: config.static_peers,
    };
    let (swarm, swarm_task) = Swarm::start(swarm_config, swarm_tell, stop.clone())?;

    let (tell, facts) = mpsc::channel(FACTS_WAITING_MAX);
    let engine_config = EngineConfig { me: swarm.peer_id(), seed, flags, expects_peers };
    let engine = Engine::new(engine_config, clock.now());
    let records = known.cache.records();
    let transfer = Transfer::new(TransferParts {
        origin,
        swarm: swarm.clone(),
        cache: known.cache,
        files: RealFiles,
        jobs: known.jobs.clone(),
        facts: tell.clone(),
        clock,
    });
    let (driver, handle) = Driver::new(DriverParts {
        engine,
        transfer: transfer.clone(),
        swarm,
        swarm_events,
        jobs: known.jobs,
        flags: known.flags,
        files: RealFiles,
        clock,
        facts,
        tell,
    });
    let facts = records
        .into_iter()
        .map(Input::RecordHeld)
        .chain(known.stored.into_iter().map(Input::JobFound))
        .collect();
    tracing::info!(peer = %handle.peer_id(), started_unix_ms = clock::wall_unix_ms(), "node started");
    let driver = tokio::spawn(driver.run(facts, stop.clone()));
    Ok(Node { handle, transfer, kind: config.kind, stop, driver, swarm: swarm_task, folder: known.folder })
}

/// Takes the state folder and reads what it holds. Blocks.
fn read(state_dir: PathBuf) -> Result<Known, NodeError> {
    let folder = StateFolder::open(&state_dir)?;
    let jobs = folder.jobs();
    let loaded = jobs.load_all()?;
    let cache = Cache::open(RealFiles, &folder.cache_path(), Index::open(&folder.index_path()))?;
    for note in loaded.damaged.into_iter().chain(cache.take_notes()) {
        tracing::warn!("{note}");
    }
    Ok(Known { flags: folder.flags(), folder, cache, jobs, stored: loaded.jobs })
}
