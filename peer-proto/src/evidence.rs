//! Proof against an attestor: things it signed that cannot all be so (ATTEST-8).
//!
//! Knows: when two statements are such a proof, for everybody and for good. Does not know: who is told, and what follows
//! (the node's engine decides).

use bytes::Bytes;

use crate::attest::{AttestFault, Attestation};
use crate::batch::Batch;
use crate::content::Hash;
use crate::denial::Denial;
use crate::group::{GroupId, HolderId};
use crate::void::Void;
use crate::wire::Versions;

/// What members tell each other against an attestor, or something it signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Against {
    /// It signed things that cannot all be so.
    Contradiction(Contradiction),
    /// Something it signed is taken back.
    Void(Void),
}

/// Statements of one holder about one version of one URL that deny each other, as it signed them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction(Proof);

/// Of two alike that with the lower id first: a pair is one pair, whoever found it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Proof {
    /// They name other bytes for the whole file.
    Attestations(Attestation, Attestation),
    /// They name other values for one piece.
    Batches(Batch, Batch),
    /// An attestation names other bytes than the batches.
    Denial(Denial),
}

/// What contradicts what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Two whole files.
    Contents,
    /// Two values of one piece.
    Pieces,
    /// A whole file, and what was said of it while it was read.
    Denial,
}

impl Against {
    /// The first version of the protocol in which it can be told.
    #[must_use]
    pub const fn since(&self) -> u32 {
        match self {
            Self::Contradiction(pair) if matches!(pair.kind(), Kind::Denial) => Versions::DENIAL,
            Self::Contradiction(_) | Self::Void(_) => Versions::EVIDENCE,
        }
    }

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
        Some(Self(Proof::Attestations(one, other)))
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
        Some(Self(Proof::Batches(one, other)))
    }

    /// In which group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        match &self.0 {
            Proof::Attestations(one, _) => one.said().group,
            Proof::Batches(one, _) => one.said().group,
            Proof::Denial(denial) => denial.attestation().said().group,
        }
    }

    /// Whom it is against.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        match &self.0 {
            Proof::Attestations(one, _) => one.said().holder,
            Proof::Batches(one, _) => one.said().holder,
            Proof::Denial(denial) => denial.attestation().said().holder,
        }
    }

    /// What contradicts what.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            Proof::Attestations(..) => Kind::Contents,
            Proof::Batches(..) => Kind::Pieces,
            Proof::Denial(_) => Kind::Denial,
        }
    }

    /// What was signed, as it travels and is kept; behind it, where one piece shows it, what proves its value.
    #[must_use]
    pub fn parts(&self) -> Vec<Bytes> {
        match &self.0 {
            Proof::Attestations(one, other) => vec![one.bytes().clone(), other.bytes().clone()],
            Proof::Batches(one, other) => vec![one.bytes().clone(), other.bytes().clone()],
            Proof::Denial(denial) => denial.parts(),
        }
    }

    /// The proof that such parts are, whatever they are, if they are one.
    #[must_use]
    pub fn parse(parts: &[Bytes]) -> Option<Self> {
        let [one, other] = parts else { return Denial::parse(parts).map(Self::from) };
        match (Attestation::parse(one.clone()), Attestation::parse(other.clone())) {
            (Ok(one), Ok(other)) => Self::of(one, other),
            (Ok(_), Err(_)) => Denial::parse(parts).map(Self::from),
            (Err(_), _) => {
                Self::of_batches(Batch::parse(one.clone()).ok()?, Batch::parse(other.clone()).ok()?)
            }
        }
    }

    /// Whether an attestor of the group with this key signed all of it, whenever that was: what it proves does not pass.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, group: &[u8; 32]) -> Result<(), AttestFault> {
        match &self.0 {
            Proof::Attestations(one, other) => {
                one.check_author(group)?;
                other.check_author(group)
            }
            Proof::Batches(one, other) => {
                one.check_author(group)?;
                other.check_author(group)
            }
            Proof::Denial(denial) => denial.check(group),
        }
    }
}

impl From<Denial> for Contradiction {
    fn from(denial: Denial) -> Self {
        Self(Proof::Denial(denial))
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
