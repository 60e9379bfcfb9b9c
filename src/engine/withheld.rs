//! Serving that is forbidden for a while: whoever was told what is here learns that it is not to be had, and later that it
//! is again.
//!
//! A peer that holds this node for a holder does not ask it again what it holds: without a word it would ask for bytes in
//! vain, and never come back. Knows: what peers were told. Does not know: why the permission changed.

use peer_proto::content::{ContentId, Geometry};
use peer_proto::peer::PeerId;
use peer_proto::wire::HaveSet;

use super::core::Core;
use super::io::{Effect, ServeFrom, ServeId};
use super::piece_set::PieceSet;
use super::serve::Shelf;

impl Core {
    /// Serving ended for all: the permission went.
    pub(super) fn stop_serving(&mut self) {
        let open: Vec<ServeId> = self.serving.open.ids().collect();
        open.into_iter().for_each(|id| self.effect(Effect::StopServe { id }));
        for (id, content) in self.told() {
            if let Ok(cut) = Geometry::of(content.len) {
                self.send_have(id, content, HaveSet::new(cut.piece_count()));
            }
        }
        self.serving.shared.clear();
    }

    /// Who was told of what.
    fn told(&self) -> Vec<(PeerId, ContentId)> {
        let told =
            self.peers.iter().flat_map(|(id, peer)| peer.granted.iter().map(move |known| (id, *known)));
        told.collect()
    }
}

impl Shelf<'_> {
    /// Serving may begin again for those who were told before.
    pub(super) fn serve_again(&mut self) {
        for (id, content) in self.core.told() {
            let Some(offer) = self.offer_of(content, &PieceSet::new()) else { continue };
            if let ServeFrom::Part(file) = offer.from {
                self.core.serving.shared.insert(file, offer.have.count());
            }
            if let Some(have) = offer.have_set() {
                self.core.send_have(id, content, have);
            }
        }
        for file in self.files.values() {
            if let Some((swarm, _)) = file.swarm_have(self.core)
                && !self.core.granted_to(swarm).is_empty()
            {
                self.core.serving.swarm_told.insert(file.id, u32::MAX);
            }
        }
    }
}
