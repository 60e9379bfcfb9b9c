//! What can go wrong with files: always this machine's doing, never a source's.
//!
//! Knows: what was tried, where, and what the system said, in one line. Does not know: what the job does about it.

use std::io;
use std::path::{Path, PathBuf};

use peer_proto::content::PieceIndex;

use super::paths::DestinationError;

/// A failure of this machine's files.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused an operation.
    #[error("cannot {doing} {}: {cause}", .path.display())]
    Io {
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The destination cannot take a file.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A journal written by a later version of this program.
    #[error("{} was written by a newer nearbits; go on with that version, or cancel the job", .path.display())]
    ForeignJournal {
        /// The journal.
        path: PathBuf,
    },
    /// Something else has the name of our partial file.
    #[error("{} is in the way and is not a file of this user; remove it", .path.display())]
    InTheWay {
        /// The partial file's name.
        path: PathBuf,
    },
    /// The length is not known yet, and the operation needs it.
    #[error("the length of {} is not known yet", .path.display())]
    LengthUnknown {
        /// The partial file.
        path: PathBuf,
    },
    /// Bytes or pieces beyond the end of the file, or beyond 4 TiB.
    #[error("{} has no bytes at {offset}", .path.display())]
    BeyondEnd {
        /// The partial file.
        path: PathBuf,
        /// The first offset beyond.
        offset: u64,
    },
    /// The piece is not there, or may not be given away with its standing.
    #[error("piece {} of {} is not held", .piece.0, .path.display())]
    NotHeld {
        /// The partial file.
        path: PathBuf,
        /// The piece.
        piece: PieceIndex,
    },
    /// The piece is stored with another value, which another source brought.
    #[error("piece {} of {} is stored with another value", .piece.0, .path.display())]
    Differs {
        /// The partial file.
        path: PathBuf,
        /// The piece.
        piece: PieceIndex,
    },
    /// A thread of ours is gone.
    #[error("the thread that hashes {} is gone", .path.display())]
    HasherGone {
        /// The partial file.
        path: PathBuf,
    },
}

impl DiskError {
    /// The system's word for the failure: `StorageFull` and `QuotaExceeded` pass when there is space,
    /// `PermissionDenied`, `ReadOnlyFilesystem` and `AlreadyExists` need the user, `NotFound` names a missing folder.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { cause, .. } => cause.kind(),
            Self::Destination(error) => error.kind(),
            Self::InTheWay { .. } => io::ErrorKind::AlreadyExists,
            Self::ForeignJournal { .. } => io::ErrorKind::InvalidData,
            Self::LengthUnknown { .. } | Self::BeyondEnd { .. } => io::ErrorKind::InvalidInput,
            Self::NotHeld { .. } => io::ErrorKind::NotFound,
            Self::Differs { .. } => io::ErrorKind::InvalidData,
            Self::HasherGone { .. } => io::ErrorKind::Other,
        }
    }
}

/// Says where and at what an operation of the system failed.
pub(crate) trait At<T> {
    /// The same result, with the verb phrase and the path.
    fn at(self, doing: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|cause| DiskError::Io { doing, path: path.to_owned(), cause })
    }
}
