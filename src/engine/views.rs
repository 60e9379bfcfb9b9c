//! How a file's sources stand, in words, and who was passed over.
//!
//! Knows: words for people. Does not know: decisions.

use super::core::Core;
use super::fetch::Reach;
use super::file::JobFile;
use super::peers::Peer;
use super::trust::Level;
use super::why::{OriginStand, PeerStand, Scenery};
use crate::job::Ask;
use peer_proto::peer::PeerId;

impl JobFile {
    pub(super) fn stored_bytes(&self) -> u64 {
        match self.blake3 {
            Some(_) => self.len.unwrap_or(0),
            None => self.pieces.bytes(self.geometry.as_ref()),
        }
    }

    pub(super) fn trust_text(&self, core: &Core) -> String {
        let trust = self.trust_level(core);
        let named = match self.digests().first().filter(|_| trust.level == Level::Digest) {
            Some(digest) => format!("level 3 (digest): {} names the bytes", digest.algorithm()),
            None => trust.to_string(),
        };
        match (trust.level, self.why_no_peers(core)) {
            (Level::Origin, _) => format!("{named}; no peer is asked"),
            (_, Some(why)) => format!("{named}; no peer is asked: {why}"),
            (_, None) => {
                let who = match (trust.level, self.wish.ask, self.wish.group) {
                    (_, _, Some(only)) => format!("members of the group {only}, and nobody else,"),
                    (Level::Digest, Ask::Link | Ask::Nobody, None) => "peers on this link".to_owned(),
                    _ => "members of the group".to_owned(),
                };
                format!("{named}; {who} may be asked and learn that it is wanted")
            }
        }
    }

    fn why_no_peers(&self, core: &Core) -> Option<&'static str> {
        match (core.flags.client, self.wish.flags.client) {
            (false, _) => Some("the computer's client flag is off"),
            (true, false) => Some("the job's client flag is off"),
            (true, true) if self.lacks_its_group(core) => {
                Some("this machine is not in the group that the job is kept to")
            }
            (true, true) => None,
        }
    }

    /// Why the origin works without peers.
    pub(super) fn why_alone(&self, core: &Core) -> &'static str {
        let trust = self.trust_level(core);
        if trust.level == Level::Origin {
            return trust.why;
        }
        match self.why_no_peers(core) {
            Some(why) => why,
            None if core.peers.is_empty() => "no peer is connected",
            None => "no peer that may be asked holds it",
        }
    }

    /// Who could be asked now, and who could not and why.
    pub(super) fn scenery(&self, core: &Core) -> Scenery {
        let now = core.time();
        let origin = match self.origin.reach {
            Reach::Up if self.origin.breaker.is_closed(now) => OriginStand::Ready,
            Reach::Up | Reach::Away => OriginStand::Waits(self.origin.fault.text.clone()),
            Reach::Unknown => OriginStand::Unasked,
            Reach::Dead => OriginStand::Dead(self.origin.fault.text.clone()),
        };
        let trust = self.trust_level(core);
        let unnamed = (trust.level == Level::Origin).then_some(trust.why);
        let nobody = self.why_no_peers(core).or(unnamed);
        if nobody.is_some() {
            return Scenery { origin, nobody, ..Scenery::default() };
        }
        let peers = core.peers.iter().take(Scenery::PEERS_MAX);
        Scenery {
            origin,
            nobody,
            peers: peers.map(|(id, peer)| (id, self.stand(id, peer, core))).collect(),
            banned: core.peers.banned_count(now),
        }
    }

    fn stand(&self, id: PeerId, peer: &Peer, core: &Core) -> PeerStand {
        let now = core.time();
        match self.sources.get(&id) {
            _ if !peer.ready => PeerStand::NoHello,
            None if self.is_doubted(id, core) => PeerStand::Refuted,
            None if peer.asks.values().any(|job| *job == self.id) => PeerStand::Unanswered,
            None if !self.may_ask(id, core) => PeerStand::Outside,
            None => PeerStand::Lacks,
            Some(source) if !source.breaker.is_closed(now) => PeerStand::Waits(source.breaker.failures()),
            Some(source) if !self.claims.is_accepted(source.content) => PeerStand::NoList,
            Some(_) => PeerStand::Busy,
        }
    }
}
