//! What every part of the engine shares: the present, what is to be done, who is there.
//!
//! Knows: ids, effects waiting to be polled, totals, peers, records. Does not know: jobs (`job`), decisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use peer_proto::content::ContentId;
use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;
use peer_proto::session::SessionEvent;
use peer_proto::time::Instant;
use peer_proto::wire::ListPart;
use serde::{Deserialize, Serialize};

use super::attest::Attests;
use super::chance::Chance;
use super::flood::Queues;
use super::fuse::Fuse;
use super::group::Members;
use super::groups::Groups;
use super::handing::Handing;
use super::inquiry::Inquiries;
use super::io::{Effect, EffectId, LeaseId, Now, ServeId};
use super::meet::{Meeting, SiteConfig};
use super::peers::Peers;
use super::queue::QueueConfig;
use super::renew::Renewal;
use super::serve::Serving;
use super::ticket::Redeeming;
use super::yielding::Yielding;
use crate::job::{Effective, FileId, JobId, PeerFlags, ServeRates};
use crate::record::{RecordId, RecordSummary};

/// Sealed files that stay open, of all jobs.
const SEALED_OPEN_MAX: usize = 32;

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// This node's id: its key, as channels prove it.
    pub me: PeerId,
    /// 32 random bytes; all of the engine's chance follows from them.
    pub seed: [u8; 32],
    /// What the computer prefers of its half of the permissions; the policy may say otherwise.
    pub flags: PeerFlags,
    /// Whether this node is one command's or one program's own, and not the machine's daemon.
    pub embedded: bool,
    /// Whether peers may turn up (static ones are configured, or discovery is on): then the origin waits for the
    /// head start even if nobody is connected yet.
    pub expects_peers: bool,
    /// Machines of its links that an earlier run met; zero if none are known. Fewer than [`SMALL_SITE`](super::fetch::SMALL_SITE)
    /// of them are no crowd that the origin has to wait for.
    pub neighbours_known: usize,
    /// What makes this node a member of groups, if it is one of any.
    pub groups: Groups,
    /// What is of this node's site beyond its links.
    pub site: SiteConfig,
    /// How jobs share the node.
    pub queue: QueueConfig,
    /// How fast the user wants peers to be served, at most.
    pub serving: ServeRates,
    /// What the administrator allows.
    pub policy: Effective,
}

/// Bytes of this node since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Totals {
    /// From origins.
    pub origin_bytes: u64,
    /// From peers.
    pub peer_bytes: u64,
    /// To peers.
    pub served_bytes: u64,
    /// Thrown away: late, wrong, or of an older version.
    pub discarded_bytes: u64,
    /// Peers that are banned now.
    pub banned_peers: u64,
}

/// Who waits for the answer to an effect.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// A job that is written down.
    Job(JobId),
    /// A file of a job.
    File(FileId),
    /// A peer waits for a part of a list.
    List { peer: PeerId, content: ContentId, part: ListPart },
}

/// The shared ground of the engine's parts.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: EngineConfig,
    pub(super) flags: PeerFlags,
    pub(super) now: Now,
    pub(super) chance: Chance,
    pub(super) effects: VecDeque<Effect>,
    pub(super) events: VecDeque<(PeerId, SessionEvent)>,
    /// Files to be looked at.
    pub(super) dirty: BTreeSet<FileId>,
    /// Sealed files that stay open until their owner takes them.
    pub(super) sealed_open: BTreeSet<FileId>,
    /// Whether turns are to be given anew.
    pub(super) requeue: bool,
    pub(super) askers: BTreeMap<EffectId, Asker>,
    pub(super) leases: BTreeMap<LeaseId, FileId>,
    pub(super) records: BTreeMap<RecordId, RecordSummary>,
    pub(super) peers: Peers,
    pub(super) fuse: Fuse,
    pub(super) serving: Serving,
    pub(super) yielding: Yielding,
    pub(super) members: Members,
    pub(super) handing: BTreeMap<GroupId, Handing>,
    pub(super) renewal: BTreeMap<GroupId, Renewal>,
    pub(super) redeeming: Redeeming,
    pub(super) meeting: Meeting,
    pub(super) attests: Attests,
    pub(super) queues: Queues,
    pub(super) inquiries: Inquiries,
    pub(super) totals: Totals,
    next_id: u64,
}

impl Core {
    pub(super) fn new(config: EngineConfig, now: Now) -> Self {
        Self {
            flags: config.policy.peers.flags(config.flags),
            chance: Chance::new(config.seed),
            inquiries: Inquiries::new(config.seed),
            config,
            now,
            effects: VecDeque::new(),
            events: VecDeque::new(),
            dirty: BTreeSet::new(),
            sealed_open: BTreeSet::new(),
            requeue: false,
            askers: BTreeMap::new(),
            leases: BTreeMap::new(),
            records: BTreeMap::new(),
            peers: Peers::default(),
            fuse: Fuse::default(),
            serving: Serving::default(),
            yielding: Yielding::default(),
            members: Members::default(),
            handing: BTreeMap::new(),
            renewal: BTreeMap::new(),
            redeeming: Redeeming::default(),
            meeting: Meeting::default(),
            attests: Attests::default(),
            queues: Queues::default(),
            totals: Totals::default(),
            next_id: 1,
        }
    }

    /// The moment timers live in.
    pub(super) const fn time(&self) -> Instant {
        self.now.monotonic
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Emits an effect that is answered to a file.
    pub(super) fn ask(&mut self, file: FileId, effect: impl FnOnce(EffectId) -> Effect) -> EffectId {
        self.ask_for(Asker::File(file), effect)
    }

    /// Emits an effect that is answered.
    pub(super) fn ask_for(&mut self, asker: Asker, effect: impl FnOnce(EffectId) -> Effect) -> EffectId {
        let id = EffectId(self.number());
        self.askers.insert(id, asker);
        let effect = effect(id);
        self.effect(effect);
        id
    }

    pub(super) fn lease_id(&mut self, file: FileId) -> LeaseId {
        let id = LeaseId(self.number());
        self.leases.insert(id, file);
        id
    }

    pub(super) fn serve_id(&mut self) -> ServeId {
        ServeId(self.number())
    }

    /// Whether a sealed file may stay open: few do, the others are opened again when they are taken.
    pub(super) fn keep_open(&mut self, file: FileId) -> bool {
        let may = self.sealed_open.len() < SEALED_OPEN_MAX;
        may && self.sealed_open.insert(file)
    }

    fn number(&mut self) -> u64 {
        let number = self.next_id;
        self.next_id += 1;
        number
    }
}
