//! What may go wrong for the hands, and whose fault it is.
//!
//! Knows: faults of the origin, of this machine, of leases and seals, as values. Does not know: what follows from them.

use std::time::Duration;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};

use crate::job::Code;

/// Who must act on an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// May pass: try again, not before the given time if the origin named one.
    Transient {
        /// What `Retry-After` asked for, capped at one hour.
        retry_after: Option<Duration>,
    },
    /// Will not pass by itself.
    Fatal,
    /// The origin serves another version now: this file starts again.
    VersionChanged,
    /// The origin does not give ranges: one stream from zero.
    NoRanges,
}

/// Something the origin did that ended a probe or a lease. The text says what and where, without secrets.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct OriginFault {
    /// What to do about it.
    pub severity: Severity,
    /// One line for people.
    pub message: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// BITS' name for it, where neither status nor severity tells.
    pub code: Option<Code>,
    /// Where a redirect leads that the job does not follow (HTTP-17). For the owner only: it may hold secrets.
    pub redirect: Option<String>,
}

impl OriginFault {
    /// A fault of which there is no more to say than this.
    #[must_use]
    pub fn new(severity: Severity, message: impl Into<String>, status: Option<u16>) -> Self {
        Self { severity, message: message.into(), status, code: None, redirect: None }
    }
}

/// Something this machine could not do: no space, no right, a broken disk. Pauses the job; nobody else's fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LocalFault {
    /// What kind of failure, for exit codes and retries.
    pub kind: LocalFaultKind,
    /// One line for people: what, where, what to do.
    pub message: String,
}

/// Kinds of local failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalFaultKind {
    /// No space is left; the job goes on when there is space.
    NoSpace,
    /// The folder or file may not be written, or the name is taken.
    Denied,
    /// A folder is missing.
    NotFound,
    /// Anything else the operating system refused.
    Io,
}

/// Why a lease ended before all its range was stored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseFault {
    /// Stopped or trimmed by the brain.
    #[error("stopped")]
    Stopped,
    /// The origin's doing.
    #[error("origin: {0}")]
    Origin(#[source] OriginFault),
    /// The cache does not hold it any more.
    #[error("the cache does not hold it any more")]
    NotHeld,
    /// The peer's connection went, or it refused in words.
    #[error("the peer went away")]
    PeerLost,
    /// A piece did not hash to the value it was asked for: the peer that sent it lied or broke (TRUST-8).
    #[error("piece {} did not hash to the value it was asked under", .piece.0)]
    WrongBytes {
        /// The first such piece.
        piece: PieceIndex,
    },
    /// A piece is stored already with another value, of another source: that one stays, and this one's bytes are left out.
    #[error("piece {} is stored with another value, of another source, and stays so: its own bytes are left out", .piece.0)]
    Differs {
        /// The first such piece.
        piece: PieceIndex,
        /// Its value here.
        value: Hash,
    },
    /// This machine's doing.
    #[error(transparent)]
    Local(LocalFault),
}

/// Why a file could not be sealed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealFault {
    /// The whole file does not have a digest that was asked for.
    #[error("the file's {algorithm} is {found}, not what was asked for")]
    Mismatch {
        /// The algorithm.
        algorithm: Algorithm,
        /// What the file has.
        found: Digest,
    },
    /// A piece on disk no longer has its journalled value: it is a gap again.
    #[error("{} pieces changed on disk", .pieces.len())]
    Rotten {
        /// Those pieces.
        pieces: Vec<PieceIndex>,
    },
    /// This machine's doing.
    #[error(transparent)]
    Local(LocalFault),
}
