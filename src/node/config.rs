//! What a node needs to be told before it starts.
//!
//! Knows: the parts' own settings, side by side. Does not know: files and flags they may come from (`config`, `cli`).

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::policy::POLICY_FILE;
use crate::engine::SiteConfig;
use crate::engine::queue::QueueConfig;
use crate::job::{PeerFlags, Policy, Rates, ServeRates};
use crate::origin::OriginConfig;
use crate::record::CacheWish;
use crate::swarm::{PeerAddress, Tunnels};

/// For whose sake a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeKind {
    /// Inside a program, or for the one job of a `get`: it belongs to the user who started it.
    #[default]
    Embedded,
    /// For the machine, until it is told to end.
    Daemon,
}

/// How a node is started. [`NodeConfig::embedded`] has the usual values.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where it keeps its identity, jobs and cache. Created if missing; one process at a time.
    pub state_dir: PathBuf,
    /// Where it listens for peers. Port 0 takes any free one; empty means that no peer can connect to it.
    pub listen: Vec<SocketAddr>,
    /// Whether it looks for peers, and lets itself be found, on the local links.
    pub mdns: bool,
    /// Whether it asks everybody on its links at once who has what it wants, and hears what others ask; `None`: if `mdns` is
    /// on.
    pub ask_link: Option<bool>,
    /// Peers it keeps trying.
    pub static_peers: Vec<PeerAddress>,
    /// Peers that name others of the site to it, where no announcement comes from. It keeps trying them, too.
    pub rendezvous: Vec<PeerAddress>,
    /// Whether it meets peers over VPNs and other tunnels; those it keeps trying it meets anyway.
    pub tunnels: Tunnels,
    /// What is of its site beyond its links, and whether it is a rendezvous itself.
    pub site: SiteConfig,
    /// The computer's flags; `None` takes those that were set last, or the kind's own: both for an embedded node,
    /// neither for a daemon.
    pub flags: Option<PeerFlags>,
    /// How origins are asked.
    pub origin: OriginConfig,
    /// How jobs share it.
    pub queue: QueueConfig,
    /// Bytes per second of all its jobs together.
    pub rates: Rates,
    /// Bytes per second that peers are given; a policy may say less.
    pub serving: ServeRates,
    /// The administrator's file, which says what jobs may have (`docs/config.md`). It need not be there; it is read again
    /// when it changes.
    pub policy_file: PathBuf,
    /// What this node's user prefers where the administrator says nothing.
    pub preference: Policy,
    /// What this node's user says of the cache's limits; where he says nothing, what was set last holds.
    pub cache: CacheWish,
    /// For whose sake it runs.
    pub kind: NodeKind,
}

impl NodeConfig {
    /// Whether the links are asked.
    pub(super) fn asks_link(&self) -> bool {
        self.ask_link.unwrap_or(self.mdns)
    }

    /// An embedded node with its state in this folder: it listens on all addresses at a port of the system's
    /// choice, looks for peers on the local links, and may both take from peers and give to them.
    #[must_use]
    pub fn embedded(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            listen: vec![
                SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
            ],
            mdns: true,
            ask_link: None,
            static_peers: Vec::new(),
            rendezvous: Vec::new(),
            tunnels: Tunnels::default(),
            site: SiteConfig::default(),
            flags: Some(PeerFlags::BOTH),
            origin: OriginConfig::default(),
            queue: QueueConfig::default(),
            rates: Rates::default(),
            serving: ServeRates::default(),
            policy_file: POLICY_FILE.into(),
            preference: Policy::default(),
            cache: CacheWish::default(),
            kind: NodeKind::Embedded,
        }
    }
}
