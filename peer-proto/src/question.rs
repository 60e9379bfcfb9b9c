//! The question a node asks its whole link at once: who holds this, or fetches it? (LOOKUP-1, 2)
//!
//! Knows: the one datagram, what stands in it for a digest, who can read that and use it. Does not know: sockets, who holds
//! what, what becomes of a question: nobody answers it in the open, whoever may and can *calls the asker*.
//!
//! A digest is stood for by a *mark*: the beginning of its lookup id, and a proof that the asker knows the digest. The proof
//! binds the asker's key, port and address, so that a mark seen on the link is of no use to whoever saw it. For members of a
//! group alone the mark is veiled with what follows from the epoch's secret: nobody else can tell it from random bytes, and
//! it never looks the same twice.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;

use crate::digest::Digest;
use crate::group::EpochSecret;
use crate::limits::{IDS_PER_QUESTION_MAX, QUESTION_LEN_MAX};
use crate::lookup::{LookupId, lookup_id};
use crate::peer::PeerId;

/// Bytes of a mark: so many of the lookup id, then of the proof.
pub const MARK_LEN: usize = ID_LEN + PROOF_LEN;
const ID_LEN: usize = 12;
const PROOF_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 2 + 32 + NONCE_LEN;
const NONCE_LEN: usize = 8;
/// The only format there is.
const FORMAT: u8 = 1;

const PROOF_CONTEXT: &str = "nearbits ask 1";
const VEIL_LABEL: &[u8] = b"nearbits veil 1";

/// One thing that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// What it is.
    pub digest: Digest,
    /// Who may understand that.
    pub audience: Audience,
}

/// Who may understand a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Everybody on the link who knows the digest.
    Link,
    /// Members of the group with this secret who know the digest.
    Members(EpochSecret),
}

/// What binds a question to who asks it, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Whose channel will be called.
    pub peer: PeerId,
    /// The TCP port it listens at.
    pub port: NonZeroU16,
    /// The address the question comes from.
    pub address: IpAddr,
    /// 8 bytes that this asker never used before.
    pub nonce: [u8; NONCE_LEN],
}

/// A question as it travels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    peer: PeerId,
    port: NonZeroU16,
    nonce: [u8; NONCE_LEN],
    marks: Vec<[u8; MARK_LEN]>,
}

/// Why a datagram is no question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuestionFault {
    /// It is longer than any question.
    #[error("a question has at most {QUESTION_LEN_MAX} bytes")]
    TooLong,
    /// It is shorter than its head, or ends within a mark, or has no mark or too many.
    #[error("a question is a head and 1 to {IDS_PER_QUESTION_MAX} marks")]
    Shape,
    /// It is of a format that this node does not know.
    #[error("format {0} of a question is not known here")]
    Format(u8),
    /// Nobody listens at port 0.
    #[error("a question names the port its asker listens at")]
    Port,
}

impl Question {
    /// Asks for the first sixteen of `wanted`; `None` if nothing is wanted.
    #[must_use]
    pub fn new(asker: &Asker, wanted: &[Wanted]) -> Option<Self> {
        let wanted = wanted.iter().take(IDS_PER_QUESTION_MAX).enumerate();
        let marks: Vec<_> = wanted
            .map(|(place, wanted)| {
                let mut mark = [0; MARK_LEN];
                mark[..ID_LEN].copy_from_slice(&lookup_id(&wanted.digest).0[..ID_LEN]);
                mark[ID_LEN..].copy_from_slice(&proof(&wanted.digest, asker));
                match &wanted.audience {
                    Audience::Link => mark,
                    Audience::Members(secret) => veiled(mark, secret, asker, place),
                }
            })
            .collect();
        let Asker { peer, port, nonce, .. } = *asker;
        (!marks.is_empty()).then_some(Self { peer, port, nonce, marks })
    }

    /// The datagram, of at most 512 bytes: format (1), port (2), the asker's public key (32), nonce (8), then the marks.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_LEN + self.marks.len() * MARK_LEN);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.port.get().to_be_bytes());
        bytes.extend_from_slice(self.peer.public_key());
        bytes.extend_from_slice(&self.nonce);
        bytes.extend(self.marks.iter().flatten());
        bytes
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// [`QuestionFault`] if it is no question; it is passed over then, and nobody is blamed.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuestionFault> {
        if bytes.len() > QUESTION_LEN_MAX {
            return Err(QuestionFault::TooLong);
        }
        let (format, rest) = bytes.split_first().ok_or(QuestionFault::Shape)?;
        if *format != FORMAT {
            return Err(QuestionFault::Format(*format));
        }
        let (port, rest) = rest.split_first_chunk().ok_or(QuestionFault::Shape)?;
        let (key, rest) = rest.split_first_chunk::<32>().ok_or(QuestionFault::Shape)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(QuestionFault::Shape)?;
        let (marks, cut_off) = rest.as_chunks::<MARK_LEN>();
        if !cut_off.is_empty() || !(1..=IDS_PER_QUESTION_MAX).contains(&marks.len()) {
            return Err(QuestionFault::Shape);
        }
        let port = NonZeroU16::new(u16::from_be_bytes(*port)).ok_or(QuestionFault::Port)?;
        Ok(Self { peer: PeerId::from_public_key(*key), port, nonce: *nonce, marks: marks.to_vec() })
    }

    /// Who asks, if it came from this address.
    #[must_use]
    pub const fn asker(&self, address: IpAddr) -> Asker {
        Asker { peer: self.peer, port: self.port, address, nonce: self.nonce }
    }

    /// What may stand in it, to whom everybody's marks are plain and those that these secrets veil.
    pub fn clues<'a>(
        &'a self,
        address: IpAddr,
        secrets: impl Iterator<Item = &'a EpochSecret> + Clone + 'a,
    ) -> impl Iterator<Item = Clue> + 'a {
        let asker = self.asker(address);
        self.marks.iter().enumerate().flat_map(move |(place, mark)| {
            let unveiled = secrets.clone().map(move |secret| veiled(*mark, secret, &asker, place));
            let unveiled = unveiled.map(move |mark| Clue { mark, asker, of_member: true });
            std::iter::once(Clue { mark: *mark, asker, of_member: false }).chain(unveiled)
        })
    }
}

/// What may stand for a digest in a question.
#[derive(Clone, Copy, Debug)]
pub struct Clue {
    mark: [u8; MARK_LEN],
    asker: Asker,
    of_member: bool,
}

impl Clue {
    /// Whether only who knows a group's secret can have made it.
    #[must_use]
    pub const fn is_of_member(&self) -> bool {
        self.of_member
    }

    /// The lookup ids it may mean.
    #[must_use]
    pub fn ids(&self) -> RangeInclusive<LookupId> {
        let (mut first, mut last) = ([0; 32], [u8::MAX; 32]);
        first[..ID_LEN].copy_from_slice(&self.mark[..ID_LEN]);
        last[..ID_LEN].copy_from_slice(&self.mark[..ID_LEN]);
        LookupId(first)..=LookupId(last)
    }

    /// Whether it means this digest, and whoever sent it from there knows the digest; in the same time wherever the proof
    /// differs.
    #[must_use]
    pub fn means(&self, digest: &Digest) -> bool {
        let padded = |proof: &[u8]| {
            let mut whole = [0; 32];
            whole[..PROOF_LEN].copy_from_slice(proof);
            blake3::Hash::from_bytes(whole)
        };
        self.ids().contains(&lookup_id(digest))
            && padded(&proof(digest, &self.asker)) == padded(&self.mark[ID_LEN..])
    }
}

/// The first 16 bytes of keyed-BLAKE3(derive-key("nearbits ask 1", digest), asker).
fn proof(digest: &Digest, asker: &Asker) -> [u8; PROOF_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(PROOF_CONTEXT, digest.bytes()));
    write_asker(asker, &mut hasher);
    let mut proof = [0; PROOF_LEN];
    proof.copy_from_slice(&hasher.finalize().as_bytes()[..PROOF_LEN]);
    proof
}

/// A mark with the veil on it, or off it again: exclusive or with the first 28 bytes of keyed-BLAKE3(secret,
/// "nearbits veil 1" ‖ asker ‖ place).
fn veiled(mut mark: [u8; MARK_LEN], secret: &EpochSecret, asker: &Asker, place: usize) -> [u8; MARK_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(&secret.0);
    hasher.update(VEIL_LABEL);
    write_asker(asker, &mut hasher);
    hasher.update(&[u8::try_from(place).unwrap_or(u8::MAX)]);
    let veil = hasher.finalize();
    mark.iter_mut().zip(veil.as_bytes()).for_each(|(byte, veil)| *byte ^= veil);
    mark
}

/// Public key (32) ‖ port (2) ‖ address as an IPv6 address, without its interface (16) ‖ nonce (8).
fn write_asker(asker: &Asker, hasher: &mut blake3::Hasher) {
    let address: Ipv6Addr = match asker.address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    hasher.update(asker.peer.public_key()).update(&asker.port.get().to_be_bytes());
    hasher.update(&address.octets()).update(&asker.nonce);
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
