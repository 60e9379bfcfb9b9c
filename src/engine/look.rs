//! When a job looks around after a fact, and at what: at everything, or at the peers something changed of.
//!
//! Knows: which facts wait for company, and how long. Does not know: what follows from a look (`fetch`, `plan`).

use std::collections::BTreeSet;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::core::Core;
use super::file::{JobFile, Stage};
use super::recall::Recall;

/// Facts that free no place and answer nothing wait for company until so long after the last look.
pub(super) const LOOK_TICK: Duration = Duration::from_millis(5);

/// What a fact calls for. While a job fetches it looks at everything every 100 ms anyhow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heed {
    /// Nothing before the next look.
    Later,
    /// A look at one peer, with the next such facts: at once if it was quiet for [`LOOK_TICK`].
    PeerSoon(PeerId),
    /// A look at one peer, at once: it has a place free.
    Peer(PeerId),
    /// A look at everything, with the next such facts.
    Soon,
    /// A look at everything, at once.
    Now,
}

/// The looks of one job.
#[derive(Debug)]
pub(super) struct Looks {
    last: Instant,
    /// Peers something changed of since then, and when they are looked at.
    peers: BTreeSet<PeerId>,
    peers_at: Instant,
    /// Peers that could be asked when everything was looked at last.
    pub(super) crowd: u32,
}

impl Default for Looks {
    fn default() -> Self {
        Self { last: Instant::ZERO, peers: BTreeSet::new(), peers_at: Instant::NEVER, crowd: 0 }
    }
}

impl JobFile {
    /// Sees to it that a fact is acted on.
    pub(super) fn heed(&mut self, heed: Heed, core: &mut Core) {
        let now = core.time();
        let soon = self.looks.last.after(LOOK_TICK).max(now);
        match heed {
            Heed::Later => {}
            Heed::Soon => self.wake_at(soon),
            Heed::Now => self.wake_at(now),
            Heed::PeerSoon(peer) | Heed::Peer(peer) => {
                let at = if heed == Heed::Peer(peer) { now } else { soon };
                self.looks.peers.insert(peer);
                self.looks.peers_at = self.looks.peers_at.min(at);
            }
        }
        if self.announce {
            self.wake_at(now);
        }
        if self.wakes_at() <= now {
            core.dirty.insert(self.id);
        }
    }

    /// When it wants to look again.
    pub(super) fn wakes_at(&self) -> Instant {
        self.wake.min(self.looks.peers_at)
    }

    /// Looks at what there is to look at now.
    pub(super) fn look(&mut self, core: &mut Core) {
        let now = core.time();
        self.looks.last = now;
        self.looks.peers_at = Instant::NEVER;
        let peers = std::mem::take(&mut self.looks.peers);
        if self.wake <= now || !self.look_at(&peers, core) {
            self.advance(core);
        }
    }

    /// Gives leases to these peers. `false` if that is not all there is to decide.
    fn look_at(&mut self, peers: &BTreeSet<PeerId>, core: &mut Core) -> bool {
        let is_plain = self.stage == Stage::Fetching
            && self.runs()
            && self.waiting.is_none()
            && self.reset_to.is_none()
            && self.repair.is_none()
            && self.claims.candidate.is_none()
            && self.claims.alone.is_none()
            && matches!(self.recall, Recall::Over(_))
            && self.local.is_closed(core.time());
        let Some(geometry) = self.geometry.filter(|_| is_plain) else { return false };
        let mut scene = self.scene_of(peers, core);
        self.plan_peers(&geometry, &mut scene, core);
        self.plan_members(&geometry, Some(peers), &mut scene, core);
        !scene.gaps.is_empty() || peers.iter().all(|peer| scene.load(*peer).busy)
    }
}
