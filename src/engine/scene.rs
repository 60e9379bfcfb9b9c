//! What a plan looks at: the gaps, the peers that may be asked, what each of them has in hand.
//!
//! Knows: leases counted by peer, once for a whole plan. Does not know: what should be leased next (`plan`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use peer_proto::peer::PeerId;

use super::core::Core;
use super::fetch::LIST_WAIT;
use super::file::JobFile;
use super::lease::PeerSource;
use super::piece_set::PieceSet;

/// Leases of one peer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Load {
    /// Leases it works on.
    pub(super) open: usize,
    /// Pieces of these still to come.
    pub(super) left: u32,
    /// Where the last of them ends.
    pub(super) next: u32,
    /// It has a lease that was not told to end.
    pub(super) busy: bool,
    /// Others may have what it works on.
    pub(super) late: bool,
}

/// The state of things when a plan is made. Whoever opens leases keeps it true.
#[derive(Debug)]
pub(super) struct Scene {
    /// Pieces nobody works on and that are not held; where some come first, those.
    pub(super) gaps: PieceSet,
    /// Peers that may be asked for bytes now, the fastest first; behind all others those that are doubted.
    pub(super) usable: Vec<PeerId>,
    /// How many they are, those that are not looked at now included.
    pub(super) crowd: u32,
    loads: BTreeMap<PeerId, Load>,
}

impl Scene {
    /// What a peer has in hand.
    pub(super) fn load(&self, peer: PeerId) -> Load {
        self.loads.get(&peer).copied().unwrap_or_default()
    }

    /// A peer got a lease.
    pub(super) fn opened(&mut self, peer: PeerId, pieces: Range<u32>) {
        let load = self.loads.entry(peer).or_default();
        load.open += 1;
        load.left = load.left.saturating_add(pieces.end.saturating_sub(pieces.start));
        load.next = load.next.max(pieces.end);
        load.busy = true;
    }
}

impl JobFile {
    /// Pieces nobody works on and that are not held.
    pub(super) fn gaps(&self) -> PieceSet {
        let mut gaps = PieceSet::of(0..self.geometry.map_or(0, |cut| cut.piece_count()));
        gaps.subtract(self.pieces.held());
        for lease in self.leases.values().filter(|lease| lease.has_for_itself()) {
            gaps.remove(lease.pieces.clone());
        }
        gaps
    }

    /// A look around.
    pub(super) fn scene(&self, core: &Core) -> Scene {
        let mut scene = self.scene_among(self.sources.iter(), |_| true, core);
        if !self.may_take_from_peers() {
            scene.usable.clear();
        }
        scene.crowd = u32::try_from(scene.usable.len()).unwrap_or(u32::MAX);
        scene
    }

    /// Peers that could be asked to prove the length.
    pub(super) fn holders(&self, core: &Core) -> Vec<PeerId> {
        self.scene_among(self.sources.iter(), |_| true, core).usable
    }

    /// A look at a few peers.
    pub(super) fn scene_of(&self, peers: &BTreeSet<PeerId>, core: &Core) -> Scene {
        let sources = peers.iter().filter_map(|id| self.sources.get_key_value(id));
        self.scene_among(sources, |peer| peers.contains(&peer), core)
    }

    fn scene_among<'a>(
        &'a self,
        sources: impl Iterator<Item = (&'a PeerId, &'a PeerSource)>,
        is_looked_at: impl Fn(PeerId) -> bool,
        core: &Core,
    ) -> Scene {
        let piece_len = self.geometry.map_or(u64::MAX, |cut| cut.piece_len());
        let mut loads: BTreeMap<PeerId, Load> = BTreeMap::new();
        for lease in self.leases.values().filter(|lease| !lease.stopped) {
            let Some(peer) = lease.peer().filter(|peer| is_looked_at(*peer)) else { continue };
            let load = loads.entry(peer).or_default();
            load.busy = true;
            load.late |= lease.released;
            if lease.orphaned.is_none() {
                load.open += 1;
                load.left = load.left.saturating_add(lease.left(piece_len));
                load.next = load.next.max(lease.pieces.end);
            }
        }
        let now = core.time();
        let may = |(id, source): &(&PeerId, &PeerSource)| {
            let late = loads.get(id).is_some_and(|load| load.late);
            !late && source.breaker.is_closed(now) && self.claims.is_accepted(source.content)
        };
        let usable = sources.filter(may);
        let rank =
            |(id, source): (&PeerId, &PeerSource)| (core.comes_last(*id), Reverse(source.speed.usual()), *id);
        let mut usable: Vec<(bool, Reverse<u64>, PeerId)> = usable.map(rank).collect();
        usable.sort_unstable();
        let usable = usable.into_iter().map(|(.., id)| id).collect();
        let mut gaps = self.next_gaps();
        self.audited().into_iter().for_each(|audited| gaps.subtract(audited));
        Scene { gaps, usable, crowd: self.looks.crowd, loads }
    }

    /// Sources whose list is on its way: the origin need not replace them yet.
    fn coming(&self, core: &Core) -> impl Iterator<Item = &PeerSource> {
        let now = core.time();
        self.sources.values().filter(move |source| {
            let asked = self.claims.fetching.get(&source.content);
            asked.is_some_and(|asked| now.since(asked.since) < LIST_WAIT)
        })
    }

    /// Whether there are holders the origin need not replace: usable ones, and those whose list is on its way.
    pub(super) fn is_held(&self, scene: &Scene, core: &Core) -> bool {
        self.may_take_from_peers() && (!scene.usable.is_empty() || self.coming(core).next().is_some())
    }

    /// What these holders hold.
    pub(super) fn holdings<'a>(
        &'a self,
        scene: &'a Scene,
        core: &Core,
    ) -> impl Iterator<Item = &'a PieceSet> {
        let usable = scene.usable.iter().filter_map(|id| self.sources.get(id));
        usable.chain(self.coming(core)).map(|source| &source.have)
    }
}
