//! A user's wish: what to fetch, where to, under which flags.
//!
//! Knows: the values a job is made of and its states. Does not know: how bytes come (that is `engine`), where jobs
//! are kept (`store`).

pub mod queue;
mod remote;
mod transition;

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use peer_proto::digest::{Digest, bytes_from_hex};
use serde::{Deserialize, Serialize};

pub use remote::{Header, Headers, Rates, Redirects, Remote, RemoteRange};
pub use transition::{NotAllowed, Trigger};

/// Names a job for ever: 16 random bytes, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(pub [u8; 16]);

/// Text that is no job id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a job id has 32 hexadecimal digits")]
pub struct NotAJobId;

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let bytes = bytes_from_hex(text).ok_or(NotAJobId)?;
        Ok(Self(bytes.try_into().map_err(|_| NotAJobId)?))
    }
}

impl TryFrom<String> for JobId {
    type Error = NotAJobId;

    fn try_from(text: String) -> Result<Self, NotAJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// One file of a job. A job has one file for now; the index leaves room for more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    /// The job the file belongs to.
    pub job: JobId,
    /// Its place in the job, from zero.
    pub index: u16,
}

impl FileId {
    /// The first file of a job.
    #[must_use]
    pub const fn first(job: JobId) -> Self {
        Self { job, index: 0 }
    }
}

/// Two permissions that exist at computer level and at job level; a permission holds only where both are set
/// (PEER-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PeerFlags {
    /// May take bytes from peers.
    pub client: bool,
    /// May keep bytes for peers and serve them.
    pub server: bool,
}

impl PeerFlags {
    /// Neither permission.
    pub const NONE: Self = Self { client: false, server: false };
    /// Both permissions.
    pub const BOTH: Self = Self { client: true, server: true };

    /// What holds where both levels agree.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { client: self.client && other.client, server: self.server && other.server }
    }
}

/// How urgent a job is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Somebody waits for it.
    Foreground,
    /// Before other background jobs.
    High,
    /// The usual one.
    #[default]
    Normal,
    /// After all others.
    Low,
}

/// What happens when the destination's name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// The job fails before a byte is fetched, and again at the rename.
    #[default]
    Refuse,
    /// An existing regular file of the same owner is replaced by the rename.
    Replace,
}

/// What a user asks for. Immutable once submitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobSpec {
    /// Where the bytes come from first: an absolute http or https URL, at most 2 200 bytes.
    pub url: String,
    /// Where the file goes: an absolute path whose folder exists.
    pub destination: PathBuf,
    /// Digests the file must have; each one gives trust level 3.
    #[serde(default)]
    pub digests: Vec<Digest>,
    /// The job's half of the permissions.
    #[serde(default)]
    pub flags: PeerFlags,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// Whether the file is delivered as soon as it is sealed, without a `complete` of the user.
    #[serde(default)]
    pub auto_complete: bool,
    /// Bytes per second the job may take from all sources together; no limit if absent.
    #[serde(default)]
    pub limit_bytes_per_s: Option<NonZeroU64>,
    /// What happens when the destination's name is taken.
    #[serde(default)]
    pub existing: Existing,
}

/// Where a job stands (`spec`: BITS states; the numbers are BITS').
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Asks the origin and looks for peers.
    Connecting,
    /// Bytes are coming in.
    Transferring,
    /// Stopped by its owner.
    Suspended,
    /// Stopped by an error a retry cannot mend.
    Error,
    /// Waits to try again after an error that may pass.
    TransientError,
    /// Sealed: exact, synced, waiting to be completed.
    Transferred,
    /// Delivered under its final name.
    Acknowledged,
    /// Given up by its owner; nothing is left of it.
    Cancelled,
}

impl JobState {
    /// Whether nothing can happen to the job any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Cancelled)
    }
}
