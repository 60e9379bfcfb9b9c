//! How long is the file? A root alone does not say, and a list that folds does not prove it (TRUST-5, 6).
//!
//! Knows: the lengths peers stated, and that one is proved by the last piece at its exact place and length. Does not
//! know: how that piece is fetched. Until a length is proved: ask for the last piece first, allocate nothing, keep at
//! most one piece in flight.

use std::collections::BTreeSet;

use super::subtree::root_of_nothing;
use super::{HashList, VerifyError};
use crate::content::{ByteRange, ContentId, Geometry, Hash, PieceIndex, TooLong};
use crate::peer::PeerId;

/// Lengths that are open to trial at any time.
pub const LENGTH_CANDIDATES_MAX: usize = 4;

/// Finds the length of the content with a trusted root among what peers state.
///
/// The last piece of a candidate is asked for from the peer that stated it. If that fails, only this peer's word is
/// gone: another that states the same length is another try, so nobody can spoil the true length by stating it and
/// then sending rubbish. At most [`LENGTH_CANDIDATES_MAX`] lengths are open at a time, at most 16 peers stand behind
/// each, and after 64 failures only a trusted statement can name the length.
#[derive(Clone, Debug)]
pub struct LengthProof {
    root: Hash,
    candidates: Vec<Candidate>,
    failed: BTreeSet<PeerId>,
    proved: Option<u64>,
}

/// A length and the peers that stated it; at least one.
#[derive(Clone, Debug)]
struct Candidate {
    len: u64,
    by: Vec<PeerId>,
}

/// Why a stated length is not tried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LengthError {
    /// No shared file is so long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Another length is proved: whoever states this one holds other bytes, or lies.
    #[error("the length is {proved}, not {stated}")]
    Refuted {
        /// The length that was stated.
        stated: u64,
        /// The true length.
        proved: u64,
    },
    /// The root is not that of an empty file.
    #[error("a file with this root is not empty")]
    NotEmpty,
    /// The same peer stated another length before: one of the two is a lie.
    #[error("the same peer stated {before} before, now {stated}")]
    Contradiction {
        /// Its earlier word.
        before: u64,
        /// Its word now.
        stated: u64,
    },
    /// The peer's word failed before.
    #[error("this peer's word on the length has failed")]
    Failed,
    /// Enough is under trial: state it again later. Nobody's fault.
    #[error("enough lengths are under trial")]
    Full,
}

impl LengthProof {
    /// A proof for the file with this trusted root.
    #[must_use]
    pub const fn new(root: Hash) -> Self {
        Self { root, candidates: Vec::new(), failed: BTreeSet::new(), proved: None }
    }

    /// Takes a peer's word that the file has `len` bytes. The empty file is proved by its root alone.
    ///
    /// # Errors
    /// [`LengthError`] says why the word is not tried; only `Refuted` after a proof and `Contradiction` are lies.
    pub fn state(&mut self, len: u64, by: PeerId) -> Result<(), LengthError> {
        if let Some(proved) = self.proved {
            return if len == proved { Ok(()) } else { Err(LengthError::Refuted { stated: len, proved }) };
        }
        Geometry::of(len)?;
        if len == 0 {
            return if self.take_empty() { Ok(()) } else { Err(LengthError::NotEmpty) };
        }
        if self.failed.contains(&by) {
            return Err(LengthError::Failed);
        }
        if let Some(before) = self.candidates.iter().find(|candidate| candidate.by.contains(&by)) {
            let contradiction = LengthError::Contradiction { before: before.len, stated: len };
            return if before.len == len { Ok(()) } else { Err(contradiction) };
        }
        if self.failed.len() >= FAILED_MAX {
            return Err(LengthError::Full);
        }
        let room = self.candidates.len() < LENGTH_CANDIDATES_MAX;
        match self.candidates.iter_mut().find(|candidate| candidate.len == len) {
            Some(candidate) if candidate.by.len() < PEERS_PER_CANDIDATE_MAX => candidate.by.push(by),
            None if room => self.candidates.push(Candidate { len, by: vec![by] }),
            Some(_) | None => return Err(LengthError::Full),
        }
        Ok(())
    }

    /// The content to try next, and the peer whose word it is; `None` when proved, or when nothing was stated.
    #[must_use]
    pub fn candidate(&self) -> Option<(ContentId, PeerId)> {
        let candidate = self.candidates.first()?;
        Some((self.content(candidate.len), *candidate.by.first()?))
    }

    /// Contents under trial, in the order in which they were stated first.
    pub fn candidates(&self) -> impl Iterator<Item = ContentId> + '_ {
        self.candidates.iter().map(|candidate| self.content(candidate.len))
    }

    /// The piece that proves a length, and its bytes; `None` for the empty file.
    #[must_use]
    pub fn last_piece(geometry: &Geometry) -> Option<(PieceIndex, ByteRange)> {
        let piece = PieceIndex(geometry.piece_count().checked_sub(1)?);
        Some((piece, geometry.piece_range(piece)?))
    }

    /// The peer did not deliver what its word needs: a list that folds, and a last piece that agrees with it. Blames
    /// nobody else; the length goes unless another peer stands behind it.
    pub fn fail(&mut self, by: PeerId) {
        self.failed.insert(by);
        self.forget(by);
    }

    /// The peer is gone. Its word goes, without blame.
    pub fn forget(&mut self, by: PeerId) {
        for candidate in &mut self.candidates {
            candidate.by.retain(|peer| *peer != by);
        }
        self.candidates.retain(|candidate| !candidate.by.is_empty());
    }

    /// The last piece under `list` was found to agree with it, at its exact length: that is the proof.
    ///
    /// # Errors
    /// [`VerifyError::WrongRoot`] if the list is another content's.
    pub fn accept(&mut self, list: &HashList) -> Result<ContentId, VerifyError> {
        if list.content().root != self.root {
            return Err(VerifyError::WrongRoot);
        }
        self.settle(list.content().len);
        Ok(list.content())
    }

    /// Checks `bytes` as the last piece under `list`, and accepts its length if they are.
    ///
    /// # Errors
    /// As [`HashList::check`] and [`accept`](Self::accept). Nothing changes: whose word it was, [`fail`](Self::fail)s.
    pub fn check(&mut self, list: &HashList, bytes: &[u8]) -> Result<ContentId, VerifyError> {
        if let Some((piece, _)) = Self::last_piece(list.geometry()) {
            list.check(piece, bytes)?;
        }
        self.accept(list)
    }

    /// The content, once its length is proved.
    #[must_use]
    pub fn proved(&self) -> Option<ContentId> {
        self.proved.map(|len| self.content(len))
    }

    fn take_empty(&mut self) -> bool {
        let empty = self.root == root_of_nothing();
        if empty {
            self.settle(0);
        }
        empty
    }

    fn settle(&mut self, len: u64) {
        self.proved = Some(len);
        self.candidates.clear();
    }

    const fn content(&self, len: u64) -> ContentId {
        ContentId { root: self.root, len }
    }
}

/// Peers that stand behind one length; more are not needed.
const PEERS_PER_CANDIDATE_MAX: usize = 16;
/// Peers whose word failed, after which no more are heard.
const FAILED_MAX: usize = 64;
