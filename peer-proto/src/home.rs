//! Who fetches what of a file that several nodes want at once: one order for all, without a coordinator (HOME-2).
//!
//! Every node computes the same ranks and homes from the digest and the ids of the others. Knows: the hashes. Does not
//! know: who is there, or who is slow (the node's engine does).

use crate::content::{ContentId, Hash};
use crate::digest::Digest;
use crate::group::EpochSecret;
use crate::lookup::lookup_id;
use crate::peer::PeerId;

const SWARM_CONTEXT: &str = "nearbits swarm 1";
const HOME_CONTEXT: &str = "nearbits home 1";

/// What stands for a file in the frames of those who fetch it together, while nobody can name its root: a root that is
/// none, and the length their origin states.
#[must_use]
pub fn swarm_id(digest: &Digest, len: u64) -> ContentId {
    ContentId { root: Hash(blake3::derive_key(SWARM_CONTEXT, &lookup_id(digest).0)), len }
}

/// The key of a file's ranks and homes: whoever does not know the digest cannot aim at a rank.
#[derive(Clone, PartialEq, Eq)]
pub struct HomeKey([u8; 32]);

impl std::fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HomeKey")
    }
}

impl HomeKey {
    /// The key that everybody who knows the digest computes.
    #[must_use]
    pub fn of(digest: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(HOME_CONTEXT);
        hasher.update(&[digest.algorithm().tag()]).update(digest.bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The key that members of a group compute: an outsider cannot, though he knows the digest.
    #[must_use]
    pub fn in_group(secret: &EpochSecret, digest: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&secret.0);
        hasher.update(HOME_CONTEXT.as_bytes()).update(&Self::of(digest).0);
        Self(*hasher.finalize().as_bytes())
    }

    /// A member's place in the order of fetchers; the lowest come first.
    #[must_use]
    pub fn rank(&self, member: PeerId) -> u64 {
        self.hash(member, &[])
    }

    /// How much a member draws a segment: the fetcher with the highest weight is its home. A home takes its segments
    /// by ascending weight, which is another order at each home.
    #[must_use]
    pub fn weight(&self, member: PeerId, segment: u32) -> u64 {
        self.hash(member, &segment.to_be_bytes())
    }

    fn hash(&self, member: PeerId, more: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(member.public_key()).update(more);
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    fn digest(mark: u8) -> Digest {
        Digest::new(Algorithm::Sha256, vec![mark; 32]).unwrap()
    }

    #[test]
    fn home_2_ranks_and_homes_depend_on_the_digest_the_member_and_the_segment() {
        let (key, other) = (HomeKey::of(&digest(1)), HomeKey::of(&digest(2)));
        let (one, two) = (PeerId::from_public_key([1; 32]), PeerId::from_public_key([2; 32]));
        assert_eq!(key.rank(one), HomeKey::of(&digest(1)).rank(one));
        assert_ne!(key.rank(one), other.rank(one));
        assert_ne!(key.rank(one), key.rank(two));
        assert_ne!(key.weight(one, 0), key.weight(one, 1));
        assert_ne!(key.weight(one, 0), key.rank(one));
        assert_eq!(format!("{key:?}"), "HomeKey", "a key is never printed");
    }

    #[test]
    fn home_2_in_a_group_the_epochs_secret_decides() {
        let key = |mark| HomeKey::in_group(&EpochSecret([mark; 32]), &digest(1));
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        assert_ne!(key(1), HomeKey::of(&digest(1)));
        assert_ne!(key(1), HomeKey::in_group(&EpochSecret([1; 32]), &digest(2)));
    }

    #[test]
    fn home_2_every_member_is_home_of_about_its_share() {
        let key = HomeKey::of(&digest(1));
        let members: Vec<PeerId> = (1..=8).map(|number| PeerId::from_public_key([number; 32])).collect();
        let mut homes = [0_u32; 8];
        for segment in 0..800 {
            let home = (0..8).max_by_key(|at| key.weight(members[*at], segment)).unwrap();
            homes[home] += 1;
        }
        assert!(homes.iter().all(|count| (70..=130).contains(count)), "{homes:?}");
    }

    #[test]
    fn a_swarm_is_named_by_digest_and_length() {
        assert_ne!(swarm_id(&digest(1), 7), swarm_id(&digest(1), 8));
        assert_ne!(swarm_id(&digest(1), 7), swarm_id(&digest(2), 7));
        assert_ne!(swarm_id(&digest(1), 7).root.0, lookup_id(&digest(1)).0);
    }
}
