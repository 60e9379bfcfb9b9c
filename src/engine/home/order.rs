//! Who fetches, and who is the home of what: the order that everybody computes alike.
//!
//! Knows: ranks, weights, who counts where members of a group are there. Does not know: claims, what came of them.

use std::collections::BTreeMap;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::{FETCHERS, Home};

impl Home {
    /// A member of this node's group is there, which need not have a session. `true` if it was not there before.
    pub fn joined_kin(&mut self, peer: PeerId, fetches: bool, now: Instant) -> bool {
        let is_new = self.kin.insert(peer);
        let before = self.members.get(&peer).map(|member| member.fetches);
        match self.members.get_mut(&peer) {
            Some(member) => member.fetches = fetches,
            None => drop(self.members.insert(peer, self.member(peer, fetches))),
        }
        let place = |peer| self.members.get(&peer).map(|member| (member.rank, peer));
        // Of a thousand that come at once, few change who fetches.
        let is_behind = self.fetchers.last().is_some_and(|last| place(peer) > place(*last));
        let is_idle = is_new && before.is_none() && self.kin.len() > 1 && self.fetchers.len() == FETCHERS;
        if !(is_idle && is_behind) && (is_new || before != Some(fetches)) {
            self.rank(now);
        }
        is_new
    }

    /// Whether somebody is a member of this node's group.
    #[must_use]
    pub fn is_kin(&self, peer: PeerId) -> bool {
        self.kin.contains(&peer)
    }

    /// Whether members of this node's group are there.
    #[must_use]
    pub fn has_kin(&self) -> bool {
        !self.kin.is_empty()
    }

    /// Whether a member may be a home: where members of this node's group are, strangers are none (HOME-2).
    pub(super) fn counts(&self, peer: PeerId) -> bool {
        self.kin.is_empty() || peer == self.me || self.kin.contains(&peer)
    }

    /// The first members of the order, those who may not or do not fetch left out.
    pub(super) fn rank(&mut self, now: Instant) {
        let willing = || self.members.iter().filter(|(peer, member)| member.fetches && self.counts(**peer));
        let suspensions = willing().map(|(_, member)| member.suspended_until).filter(|until| *until > now);
        let back_at = suspensions.min().unwrap_or(Instant::NEVER);
        let mut able: Vec<(u64, PeerId)> = willing()
            .filter(|(_, member)| member.suspended_until <= now)
            .map(|(peer, member)| (member.rank, *peer))
            .collect();
        if able.is_empty() {
            // Nobody moves, which is no reason to give up: all of them again.
            able = willing().map(|(peer, member)| (member.rank, *peer)).collect();
        }
        self.back_at = back_at;
        if able.len() > FETCHERS {
            able.select_nth_unstable(FETCHERS);
            able.truncate(FETCHERS);
        }
        able.sort_unstable();
        let fetchers: Vec<PeerId> = able.into_iter().map(|(_, peer)| peer).collect();
        if fetchers == self.fetchers {
            return;
        }
        for (peer, member) in &mut self.members {
            let is_one = fetchers.contains(peer);
            member.fetcher_since = is_one.then(|| member.fetcher_since.unwrap_or(now));
        }
        self.fetchers = fetchers;
        self.settle();
    }

    /// Gives every segment its home among the fetchers.
    fn settle(&mut self) {
        let mut weights: BTreeMap<PeerId, Vec<(u64, u32)>> = BTreeMap::new();
        for segment in 0..self.grid.segments() {
            let weighed = self.fetchers.iter().map(|peer| (self.key.weight(*peer, segment), *peer));
            if let Some((weight, home)) = weighed.max() {
                weights.entry(home).or_default().push((weight, segment));
            }
        }
        self.orders = weights
            .into_iter()
            .map(|(home, mut segments)| {
                segments.sort_unstable();
                (home, segments.into_iter().map(|(_, segment)| segment).collect())
            })
            .collect();
    }
}
