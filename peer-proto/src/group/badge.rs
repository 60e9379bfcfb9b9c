//! How two members find out that they are both members, while nobody else learns that there is a group (GROUP-2).
//!
//! Knows: tags in a Hello and what they are made of. Does not know: when a Hello is sent (`session`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::GroupId;
use super::token::Token;
use crate::limits::GROUPS_MAX;
use crate::peer::PeerId;

/// Bytes of a tag; a Hello has room for eight.
const TAG_LEN: usize = 16;

/// What members of one epoch know and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochSecret(pub [u8; 32]);

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret")
    }
}

/// The bytes of a Hello that stand where tags may: from the node's own seed, so that nobody else can tell them from
/// tags, and others in each session.
#[must_use]
pub fn filler(seed: &[u8; 32], peer: PeerId, my_nonce: &[u8; 16]) -> [u8; 8 * TAG_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key("nearbits filler 1", seed));
    hasher.update(peer.public_key()).update(my_nonce);
    let mut filler = [0; 8 * TAG_LEN];
    hasher.finalize_xof().fill(&mut filler);
    filler
}

impl EpochSecret {
    /// keyed-BLAKE3(secret, label ‖ sender ‖ receiver ‖ the sender's nonce). With the nonce the same two nodes never
    /// show the same tag twice: a stranger who calls often sees no constant bytes.
    fn tag(&self, sender: &PeerId, receiver: &PeerId, nonce: &[u8; 16]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"nearbits hello 1").update(sender.public_key());
        hasher.update(receiver.public_key()).update(nonce);
        hasher.finalize()
    }
}

/// What a node shows to other members of one group: its token, and that it knows the epoch's secret.
#[derive(Clone, Debug)]
pub struct Badge {
    /// Its own token.
    pub token: Token,
    /// The secret of the present epoch ...
    pub secret: EpochSecret,
    /// ... and of the one before, while that is honoured.
    pub former: Option<EpochSecret>,
}

impl Badge {
    /// The secrets that count: of this epoch, and of the one before.
    pub fn secrets(&self) -> impl Iterator<Item = &EpochSecret> + Clone {
        std::iter::once(&self.secret).chain(&self.former)
    }

    /// The secret that all know who are members in this epoch or the one before.
    #[must_use]
    pub fn oldest(&self) -> &EpochSecret {
        self.former.as_ref().unwrap_or(&self.secret)
    }
}

/// What a node shows in all of its groups: a badge for each, at most eight, in the order of their ids. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Badges(Arc<BTreeMap<GroupId, Arc<Badge>>>);

impl From<Option<Arc<Badge>>> for Badges {
    fn from(badge: Option<Arc<Badge>>) -> Self {
        badge.into_iter().collect()
    }
}

impl FromIterator<Arc<Badge>> for Badges {
    /// Of more than eight groups the first ones count.
    fn from_iter<I: IntoIterator<Item = Arc<Badge>>>(badges: I) -> Self {
        let mut all: BTreeMap<GroupId, Arc<Badge>> =
            badges.into_iter().map(|badge| (badge.token.group(), badge)).collect();
        while all.len() > GROUPS_MAX {
            all.pop_last();
        }
        Self(Arc::new(all))
    }
}

impl Badges {
    /// The badge of one group.
    #[must_use]
    pub fn of(&self, group: GroupId) -> Option<&Badge> {
        self.0.get(&group).map(AsRef::as_ref)
    }

    /// What a Hello has room for: of each group the secret that members of both epochs know, then what else there is. A side
    /// recognizes what it shows and nothing else, so that both sides recognize the same.
    fn shown(&self) -> impl Iterator<Item = (GroupId, &EpochSecret)> {
        let oldest = self.0.iter().map(|(group, badge)| (*group, badge.oldest()));
        let newer = self.0.iter().filter(|(_, badge)| badge.former.is_some());
        oldest.chain(newer.map(|(group, badge)| (*group, &badge.secret))).take(GROUPS_MAX)
    }

    /// Puts this node's tags into a Hello that is filled with random bytes.
    pub(crate) fn put_tags(
        &self,
        sender: &PeerId,
        receiver: &PeerId,
        nonce: &[u8; 16],
        tags: &mut [u8; 128],
    ) {
        for ((_, secret), place) in self.shown().zip(tags.as_chunks_mut::<TAG_LEN>().0) {
            place.copy_from_slice(&secret.tag(sender, receiver, nonce).as_bytes()[..TAG_LEN]);
        }
    }

    /// The groups whose members' tags are in the other side's Hello.
    pub(crate) fn known(
        &self,
        sender: &PeerId,
        receiver: &PeerId,
        nonce: &[u8; 16],
        tags: &[u8; 128],
    ) -> BTreeSet<GroupId> {
        // All are compared, and each in constant time: when it takes how long tells nothing.
        let mut known = BTreeSet::new();
        for (group, secret) in self.shown() {
            let mut wanted = *secret.tag(sender, receiver, nonce).as_bytes();
            wanted[TAG_LEN..].fill(0);
            let mut found = false;
            for tag in tags.as_chunks::<TAG_LEN>().0 {
                let mut whole = [0; 32];
                whole[..TAG_LEN].copy_from_slice(tag);
                found |= blake3::Hash::from_bytes(wanted) == blake3::Hash::from_bytes(whole);
            }
            if found {
                known.insert(group);
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_2_filler_is_another_one_for_each_seed_peer_and_session() {
        let peer = |number| PeerId::from_public_key([number; 32]);
        let one = filler(&[1; 32], peer(1), &[1; 16]);
        assert_eq!(one, filler(&[1; 32], peer(1), &[1; 16]));
        let others = [
            filler(&[2; 32], peer(1), &[1; 16]),
            filler(&[1; 32], peer(2), &[1; 16]),
            filler(&[1; 32], peer(1), &[2; 16]),
        ];
        for other in others {
            let same = one.iter().zip(other).filter(|(mine, theirs)| **mine == *theirs).count();
            assert!(same < 8, "{same} of 128 bytes are alike");
        }
    }
}
