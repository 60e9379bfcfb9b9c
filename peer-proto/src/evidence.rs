//! Proof against an attestor: two things it signed that cannot both be so (ATTEST-8).
//!
//! Knows: when two statements are such a proof, for everybody and for good. Does not know: who is told, and what follows
//! (the node's engine decides).

use crate::attest::{AttestFault, Attestation};
use crate::content::Hash;
use crate::group::HolderId;
use crate::void::Void;

/// What members tell each other against an attestor, or something it signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Against {
    /// It signed two things that cannot both be so.
    Contradiction(Contradiction),
    /// Something it signed is taken back.
    Void(Void),
}

/// Two attestations of one holder that name other bytes for one version of one URL, as it signed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// That with the lower id first: a pair is one pair, whoever found it.
    one: Attestation,
    other: Attestation,
}

impl Contradiction {
    /// The proof that these are, if they are one.
    #[must_use]
    pub fn of(one: Attestation, other: Attestation) -> Option<Self> {
        let (mine, theirs) = (one.said(), other.said());
        let is_same = mine.holder == theirs.holder && mine.group == theirs.group;
        if !is_same || !one.contradicts(&other) {
            return None;
        }
        Some(if one.id() <= other.id() { Self { one, other } } else { Self { one: other, other: one } })
    }

    /// Whom it is against.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.one.said().holder
    }

    /// What was signed.
    #[must_use]
    pub fn attestations(&self) -> [&Attestation; 2] {
        [&self.one, &self.other]
    }

    /// Its name: that of what was signed.
    #[must_use]
    pub fn id(&self) -> Hash {
        let both = [self.one.id().0, self.other.id().0].concat();
        Hash(blake3::derive_key("nearbits contradiction id 1", &both))
    }

    /// Whether an attestor of the group with this key signed both, whenever that was: what it proves does not pass.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, group: &[u8; 32]) -> Result<(), AttestFault> {
        self.one.check_author(group)?;
        self.other.check_author(group)
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
