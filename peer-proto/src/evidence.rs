//! Proof against an attestor: two things it signed that cannot both be so (ATTEST-8).
//!
//! Knows: when two statements are such a proof, for everybody and for good. Does not know: who is told, and what follows
//! (the node's engine decides).

use bytes::Bytes;

use crate::attest::{AttestFault, Attestation};
use crate::batch::Batch;
use crate::content::Hash;
use crate::group::{GroupId, HolderId};
use crate::void::Void;

/// What members tell each other against an attestor, or something it signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Against {
    /// It signed two things that cannot both be so.
    Contradiction(Contradiction),
    /// Something it signed is taken back.
    Void(Void),
}

/// Two statements of one holder about one version of one URL that deny each other, as it signed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction(Pair);

/// That with the lower id first: a pair is one pair, whoever found it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Pair {
    /// They name other bytes for the whole file.
    Attestations(Attestation, Attestation),
    /// They name other values for one piece.
    Batches(Batch, Batch),
}

impl Against {
    /// In which group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        match self {
            Self::Contradiction(pair) => pair.group(),
            Self::Void(void) => void.said().group,
        }
    }
}

impl Contradiction {
    /// The proof that two attestations are, if they are one.
    #[must_use]
    pub fn of(one: Attestation, other: Attestation) -> Option<Self> {
        let (mine, theirs) = (one.said(), other.said());
        let is_same = mine.holder == theirs.holder && mine.group == theirs.group;
        if !is_same || !one.contradicts(&other) {
            return None;
        }
        let (one, other) = if one.id() <= other.id() { (one, other) } else { (other, one) };
        Some(Self(Pair::Attestations(one, other)))
    }

    /// The proof that two batches are, of one stream or of two, if they are one.
    #[must_use]
    pub fn of_batches(one: Batch, other: Batch) -> Option<Self> {
        let (mine, theirs) = (one.said(), other.said());
        let is_same = mine.holder == theirs.holder
            && mine.group == theirs.group
            && mine.url == theirs.url
            && mine.version.is_same(&theirs.version);
        let denies = |(piece, value): (u32, &Hash)| mine.value(piece).is_some_and(|said| said != *value);
        if !is_same || !(theirs.first..).zip(&theirs.values).any(denies) {
            return None;
        }
        let (one, other) = if one.id() <= other.id() { (one, other) } else { (other, one) };
        Some(Self(Pair::Batches(one, other)))
    }

    /// In which group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        match &self.0 {
            Pair::Attestations(one, _) => one.said().group,
            Pair::Batches(one, _) => one.said().group,
        }
    }

    /// Whom it is against.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        match &self.0 {
            Pair::Attestations(one, _) => one.said().holder,
            Pair::Batches(one, _) => one.said().holder,
        }
    }

    /// Whether it is about pieces, and not about whole files.
    #[must_use]
    pub const fn is_of_batches(&self) -> bool {
        matches!(self.0, Pair::Batches(..))
    }

    /// What was signed, as it travels.
    #[must_use]
    pub fn signed(&self) -> [&Bytes; 2] {
        match &self.0 {
            Pair::Attestations(one, other) => [one.bytes(), other.bytes()],
            Pair::Batches(one, other) => [one.bytes(), other.bytes()],
        }
    }

    /// The proof that two signed things are, whatever they are, if they are one.
    #[must_use]
    pub fn parse(one: &Bytes, other: &Bytes) -> Option<Self> {
        let attestations = (Attestation::parse(one.clone()), Attestation::parse(other.clone()));
        if let (Ok(one), Ok(other)) = attestations {
            return Self::of(one, other);
        }
        Self::of_batches(Batch::parse(one.clone()).ok()?, Batch::parse(other.clone()).ok()?)
    }

    /// Whether an attestor of the group with this key signed both, whenever that was: what it proves does not pass.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, group: &[u8; 32]) -> Result<(), AttestFault> {
        match &self.0 {
            Pair::Attestations(one, other) => {
                one.check_author(group)?;
                other.check_author(group)
            }
            Pair::Batches(one, other) => {
                one.check_author(group)?;
                other.check_author(group)
            }
        }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
