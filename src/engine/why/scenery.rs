//! How everybody stood when a decision was made: who could have been asked, and why he was not.
//!
//! Knows: ids, numbers, and the words for them. Does not know: who was chosen, until somebody reads it.

use peer_proto::peer::PeerId;

use super::Chosen;

/// Peers that are named in words for one decision.
const OTHERS_MAX: usize = 12;

/// How everybody stood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) struct Scenery {
    pub(in crate::engine) origin: OriginStand,
    /// Why no peer may be asked at all.
    pub(in crate::engine) nobody: Option<&'static str>,
    /// The first peers, in the order of their ids.
    pub(in crate::engine) peers: Vec<(PeerId, PeerStand)>,
    pub(in crate::engine) banned: u64,
}

/// How the origin stood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::engine) enum OriginStand {
    /// It has not answered yet.
    #[default]
    Unasked,
    /// It might have given it.
    Ready,
    /// It is left alone after a failure.
    Waits(String),
    /// It said no.
    Dead(String),
}

/// How a peer stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum PeerStand {
    NoHello,
    Refuted,
    Unanswered,
    Outside,
    Lacks,
    /// It is left alone after so many failures.
    Waits(u32),
    NoList,
    Busy,
}

impl Scenery {
    /// Peers that are worth noting.
    pub(in crate::engine) const PEERS_MAX: usize = OTHERS_MAX + 1;

    /// Who was passed over for whom was chosen, in words.
    pub(super) fn words(&self, chosen: Chosen) -> Vec<String> {
        let mut others = Vec::new();
        if chosen == Chosen::Cache {
            return others;
        }
        if chosen != Chosen::Origin {
            others.push(match &self.origin {
                OriginStand::Ready => "origin: peers hold it".to_owned(),
                OriginStand::Waits(fault) => format!("origin: waits after a failure ({fault})"),
                OriginStand::Unasked => "origin: has not answered yet".to_owned(),
                OriginStand::Dead(fault) => format!("origin: {fault}"),
            });
        }
        if let Some(why) = self.nobody {
            others.push(format!("peers: {why}"));
            return others;
        }
        let peers = self.peers.iter().filter(|(id, _)| chosen != Chosen::Peer(*id));
        others.extend(peers.take(OTHERS_MAX).map(|(id, stand)| format!("{id}: {}", stand.words())));
        if self.banned > 0 {
            others.push(format!("banned peers: {}", self.banned));
        }
        others
    }
}

impl PeerStand {
    fn words(self) -> String {
        match self {
            Self::NoHello => "has not said hello".to_owned(),
            Self::Refuted => "stated what the origin does not say".to_owned(),
            Self::Unanswered => "has not answered yet".to_owned(),
            Self::Outside => "is not of those who may learn that it is wanted".to_owned(),
            Self::Lacks => "says it does not have it".to_owned(),
            Self::Waits(failures) => format!("waits after {failures} failures"),
            Self::NoList => "its list is not here, or another one is followed".to_owned(),
            Self::Busy => "busy, or lacks these pieces".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_banned_peers_are_told_of_if_there_are_any() {
        let words = |banned| Scenery { banned, ..Scenery::default() }.words(Chosen::Origin);
        assert!(words(0).is_empty());
        assert_eq!([1, 2].map(words), [["banned peers: 1"], ["banned peers: 2"]]);
    }
}
