//! Who may learn what is here: members of this node's groups all of it, strangers what the policy lets them have.
//!
//! Knows: LOOKUP-3, `strangers`. Does not know: what is asked for (`serve`, `inquiry`), whether it may be given at all.

use std::time::Duration;

use peer_proto::peer::PeerId;

use super::core::Core;
use super::io::{Effect, ServeId};
use crate::job::Strangers;
use crate::record::RecordSummary;

/// Strangers are answered for this long after a record was sealed or served last, if the policy says nothing else (LOOKUP-3).
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);

/// As whom somebody asks what is here (LOOKUP-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AsksAs {
    /// A member of one of this node's groups.
    Member,
    /// A stranger of this node's site.
    Neighbour,
    /// A stranger from elsewhere.
    Outsider,
}

impl Core {
    /// As whom a peer asks.
    pub(super) fn asks_as(&self, id: PeerId) -> Option<AsksAs> {
        if self.is_member(id) {
            return Some(AsksAs::Member);
        }
        self.peers.get(id).map(|peer| if peer.near { AsksAs::Neighbour } else { AsksAs::Outsider })
    }

    /// Whether whoever asks so is told anything at all (LOOKUP-3).
    pub(super) fn is_told(&self, asks: AsksAs) -> bool {
        match asks {
            AsksAs::Member => true,
            AsksAs::Neighbour => self.config.policy.strangers.value != Strangers::Off,
            AsksAs::Outsider => false,
        }
    }

    /// Whether a record is among what is told to whoever asks so: to members all, to strangers what is fresh.
    pub(super) fn is_for(&self, record: &RecordSummary, asks: AsksAs) -> bool {
        let is_all = asks == AsksAs::Member || self.config.policy.strangers.value == Strangers::All;
        self.is_told(asks) && (is_all || self.is_recent(record))
    }

    /// Stops giving to those whom the policy lets have nothing, or no longer; names them.
    pub(super) fn turn_away(&mut self) -> Vec<PeerId> {
        let is_out = |id: &PeerId| self.asks_as(*id).is_some_and(|asks| !self.is_told(asks));
        let out: Vec<PeerId> = self.peers.ready().into_iter().filter(is_out).collect();
        for id in &out {
            let Some(peer) = self.peers.get_mut(*id) else { continue };
            peer.granted.clear();
            let open: Vec<ServeId> = peer.serving.values().copied().collect();
            open.into_iter().for_each(|id| self.effect(Effect::StopServe { id }));
        }
        out
    }

    fn is_recent(&self, record: &RecordSummary) -> bool {
        let age_s = self.now.wall_unix_ms / 1_000 - record.last_used_unix_s;
        u64::try_from(age_s).unwrap_or(0) <= RECENT.as_secs()
    }
}
