//! Who is asked after all others: strangers where liars were, and peers that often lack what they said they hold (TRUST-9).
//!
//! Knows: how many ids of an address are banned, how often a peer lacked something of late. Does not know: what a ban is for
//! (`peers`), who is faster (`scene`). Neither is a lie, and nobody is refused for it: who else comes from that address may be
//! honest, and what was held may have been given up since.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use peer_proto::limits::BANNED_PUT_LAST;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::core::Core;
use super::peers::Peers;

/// So often a peer may lack what it said it holds, within [`LACKS_WITHIN`], before it comes last.
const LACKS_MAX: usize = 8;
/// See [`LACKS_MAX`].
const LACKS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Until when an address comes last.
#[derive(Debug, Default)]
pub(super) struct Doubted(BTreeMap<String, Instant>);

impl Doubted {
    /// Looks anew at an address, of whose banned ids these are the ends of the bans.
    pub(super) fn look(&mut self, address: &str, bans: impl Iterator<Item = Instant>, now: Instant) {
        self.0.retain(|_, until| *until > now);
        let mut ends: Vec<Instant> = bans.collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        if let Some(until) = ends.get(BANNED_PUT_LAST - 1).filter(|_| !address.is_empty()) {
            self.0.insert(address.to_owned(), *until);
        }
    }

    fn has(&self, address: &str, now: Instant) -> bool {
        self.0.get(address).is_some_and(|until| *until > now)
    }
}

/// When a peer lacked what it had said it holds: the last few times, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lacks(VecDeque<Instant>);

impl Lacks {
    fn note(&mut self, now: Instant) {
        if self.0.len() >= LACKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    fn are_many(&self, now: Instant) -> bool {
        self.0.len() >= LACKS_MAX && self.0.front().is_some_and(|first| now.since(*first) < LACKS_WITHIN)
    }
}

impl Peers {
    /// A peer lacked what it had said it holds.
    pub(super) fn lacked(&mut self, id: PeerId, now: Instant) {
        self.get_mut(id).into_iter().for_each(|peer| peer.lacks.note(now));
    }
}

impl Core {
    /// Whether a peer is asked after all others.
    pub(super) fn comes_last(&self, id: PeerId) -> bool {
        let now = self.time();
        let Some(peer) = self.peers.get(id) else { return false };
        peer.lacks.are_many(now) || (self.peers.doubted.has(&peer.address, now) && !self.is_member(id))
    }
}
