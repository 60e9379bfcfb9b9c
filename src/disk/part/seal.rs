//! The end of a part: the whole file's digests, durability, the final name.
//!
//! Knows: the order data, sync, name, sync folder; what a mismatch means. Does not know: which digests a job was
//! given by whom, or what becomes of the file.

use std::io;
use std::sync::Arc;

use peer_proto::content::{ContentId, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::verify::HashList;

use super::Part;
use crate::disk::error::{At, DiskError};
use crate::disk::files::{Existing, FileHandle, FileKind, Files, umask};
use crate::disk::paths::DestinationError;
use crate::disk::prefix::Follower;

/// What follows a seal, and so what must be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The file is delivered at once: its name becomes durable then.
    Delivery,
    /// The file waits for its owner under the part's name.
    Waiting,
}

/// A whole file, exact and durable.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Root and length.
    pub content: ContentId,
    /// Its hash list.
    pub list: Arc<HashList>,
    /// Every digest that was computed, BLAKE3 only if it was asked for.
    pub digests: Vec<Digest>,
}

/// Why a file cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The bytes are as they came, and do not have a digest that was asked for.
    #[error("the file's {algorithm} is {found}, not what was asked for")]
    Mismatch {
        /// The algorithm.
        algorithm: Algorithm,
        /// What the file has.
        found: Digest,
    },
    /// Pieces are missing, or changed on disk: they are gaps.
    #[error("{} pieces are missing or changed on disk", .pieces.len())]
    Rotten {
        /// Those pieces.
        pieces: Vec<PieceIndex>,
    },
    /// This machine's doing.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl<F: Files> Part<F> {
    /// Computes the whole file's digests, compares them with `wanted`, and makes the file durable.
    ///
    /// The root comes from the piece values, without reading; SHA-2 digests are those of the bytes on disk.
    ///
    /// # Errors
    /// [`SealError`]. After a mismatch every piece was read again: if some had changed on disk, that is said instead.
    pub fn seal(&self, wanted: &[Digest], also: &[Algorithm], next: Next) -> Result<Sealed, SealError> {
        let (len, list) = self.whole()?;
        let mut algorithms: Vec<Algorithm> = wanted.iter().map(Digest::algorithm).collect();
        algorithms.extend_from_slice(also);
        algorithms.sort_unstable();
        algorithms.dedup();
        let mut digests = self.digests(&algorithms, len)?;
        if algorithms.contains(&Algorithm::Blake3)
            && let Ok(root) = Digest::new(Algorithm::Blake3, list.content().root.0.to_vec())
        {
            digests.push(root);
        }
        let differs = |found: &&Digest| {
            wanted.iter().any(|want| want.algorithm() == found.algorithm() && want != *found)
        };
        if let Some(found) = digests.iter().find(differs) {
            let pieces = self.drop_rotten()?;
            if !pieces.is_empty() {
                return Err(SealError::Rotten { pieces });
            }
            return Err(SealError::Mismatch { algorithm: found.algorithm(), found: found.clone() });
        }
        match next {
            Next::Delivery => self.sync_unnamed()?,
            Next::Waiting => self.sync()?,
        }
        // A sync after a failed one reads again, and may have found pieces that changed.
        let pieces = self.state().pieces.missing();
        if !pieces.is_empty() {
            return Err(SealError::Rotten { pieces });
        }
        Ok(Sealed { content: list.content(), list: Arc::new(list), digests })
    }

    /// Gives the sealed file its final name, mode and time, durably. Doing it again is harmless.
    ///
    /// # Errors
    /// [`DiskError::Destination`] if the name was taken meanwhile, [`DiskError::InTheWay`] if the part's name stands
    /// for something else by now, [`DiskError::Io`]. The part stays where it is.
    pub fn deliver(&self) -> Result<(), DiskError> {
        let folder = &self.destination.folder;
        let mut state = self.state();
        if !state.is_delivered {
            self.check_names()?;
            let modified = state.version.as_ref().and_then(|version| version.last_modified.as_deref());
            if let Some(unix_s) = modified.and_then(unix_seconds) {
                self.file.set_modified(unix_s).at("set the time of", &self.path)?;
            }
            self.file.set_mode(0o666 & !umask(&self.files)).at("set the mode of", &self.path)?;
            let path = self.destination.path();
            if let Err(error) = self.files.rename(&self.path, &path, self.existing) {
                drop(self.file.set_mode(0o600));
                return Err(match error.kind() {
                    io::ErrorKind::AlreadyExists => DestinationError::Taken(path).into(),
                    _ => DiskError::Io { doing: "rename the finished file to", path, cause: error },
                });
            }
            state.is_delivered = true;
        }
        self.files.sync_folder(folder).at("sync", folder)
    }

    /// All pieces, folded.
    fn whole(&self) -> Result<(u64, HashList), SealError> {
        let state = self.state();
        let cut = self.geometry(&state)?;
        let mut pieces = state.pieces.missing();
        let stat = self.file.stat().at("look at", &self.path)?;
        if stat.len > cut.len() {
            self.file.set_len(cut.len()).at("cut", &self.path)?;
        }
        let is_there =
            |piece: &PieceIndex| cut.piece_range(*piece).is_some_and(|range| range.end() <= stat.len);
        pieces.extend((0..cut.piece_count()).map(PieceIndex).filter(|piece| !is_there(piece)));
        let values = state.pieces.values().filter(|_| pieces.is_empty());
        let list = values.and_then(|values| HashList::from_values(cut.len(), values).ok());
        match list {
            Some(list) => Ok((cut.len(), list)),
            None => {
                pieces.sort_unstable();
                pieces.dedup();
                drop(state);
                pieces.iter().for_each(|piece| self.forget(*piece, 1));
                Err(SealError::Rotten { pieces })
            }
        }
    }

    /// SHA-2 digests of the bytes on disk, from where the follower got to.
    fn digests(&self, algorithms: &[Algorithm], len: u64) -> Result<Vec<Digest>, DiskError> {
        if algorithms.iter().all(|algorithm| *algorithm == Algorithm::Blake3) {
            return Ok(Vec::new());
        }
        let finisher = {
            let mut state = self.state();
            match state.follower.as_ref().filter(|follower| follower.covers(algorithms)) {
                Some(follower) => follower.finisher(),
                None => {
                    let follower = Follower::start(Arc::clone(&self.file), algorithms, len);
                    let finisher = follower.finisher();
                    state.follower = Some(follower);
                    finisher
                }
            }
        };
        finisher.finish(len).at("read", &self.path)
    }

    /// The part's name still stands for our file, and the final name may be taken.
    fn check_names(&self) -> Result<(), DiskError> {
        let named = self.files.stat(&self.path).at("look at", &self.path)?;
        if named.inode != self.stat.inode || named.device != self.stat.device {
            return Err(DiskError::InTheWay { path: self.path.clone() });
        }
        if self.existing == Existing::Replace {
            let path = self.destination.path();
            match self.files.stat(&path) {
                Ok(stat) if stat.kind != FileKind::Regular => {
                    return Err(DestinationError::Special(path).into());
                }
                Ok(stat) if stat.uid != self.files.uid() => {
                    return Err(DestinationError::Foreign(path).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The moment an HTTP date names, seconds since 1970.
fn unix_seconds(text: &str) -> Option<i64> {
    let moment = httpdate::parse_http_date(text).ok()?;
    let span = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(span.as_secs()).ok()
}
