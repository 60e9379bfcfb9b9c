//! What watchers are told.
//!
//! Knows: the events of a job's life. Does not know: who listens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::stored::{FilePhase, Times, Validation};
use crate::job::{Code, JobError, JobId, JobState, NotifyFlags, Priority, RemoteRange};

/// Something an attestor of the group signed, as this node knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AttestationView {
    /// Its id.
    pub id: String,
    /// In which group: its id.
    pub group: String,
    /// Who says it, over changes of its node.
    pub holder: String,
    /// The node that signed it.
    pub peer: String,
    /// Of which URL.
    pub url: String,
    /// The ETag of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The Last-Modified of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Bytes of the file.
    pub len: u64,
    /// Its BLAKE3 root.
    pub blake3: String,
    /// Its SHA-256.
    pub sha256: String,
    /// When its last byte came from the origin, seconds since 1970.
    pub fetched_at_unix_s: u64,
    /// Until when it counts.
    pub not_after_unix_s: u64,
    /// Whether this node's holder said it, and may take it back.
    pub is_own: bool,
    /// Why it was taken back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<String>,
    /// Why it does not count for another reason, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Bytes by where they came from. The sum counts bytes fetched twice twice; `discarded` counts them once more, so that the
/// sum without it is what is on disk while nothing is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BytesBySource {
    /// From the origin.
    pub origin: u64,
    /// From peers.
    pub peers: u64,
    /// From this machine's own cache.
    pub cache: u64,
    /// On disk already when its file was opened, from a run of the node that ended before it wrote down whence.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier: u64,
    /// Of all these, bytes that were thrown away: late, wrong, or of an older version.
    pub discarded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl BytesBySource {
    /// Whether any of them came from a peer, or may have: what the own cache gave may be a peer's, and so may what an
    /// earlier run of the node left, if the job could ask peers.
    #[must_use]
    pub(super) const fn has_a_peers(&self, may_ask_peers: bool) -> bool {
        self.peers > 0 || self.cache > 0 || (may_ask_peers && self.earlier > 0)
    }

    /// Bytes that came and were not thrown away: those on disk, where nothing is on its way.
    #[must_use]
    pub const fn kept(&self) -> u64 {
        let came = self.origin.saturating_add(self.peers).saturating_add(self.cache);
        came.saturating_add(self.earlier).saturating_sub(self.discarded)
    }
}

/// One source's share of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SourceShare {
    /// `origin`, `cache`, or a peer id.
    pub source: String,
    /// The peer's address, if it is a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes it gave.
    pub bytes: u64,
    /// Leases it worked on.
    pub leases: u32,
}

/// A job as it stands: what `status`, `get` and watchers show. Sums are over all its files.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// What its owner calls it.
    #[serde(default)]
    pub name: String,
    /// Whose it is: a user's number.
    #[serde(default)]
    pub owner: u32,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// The URL of its first file.
    pub url: String,
    /// The destination of its first file.
    #[schema(value_type = String)]
    pub destination: std::path::PathBuf,
    /// Where it stands.
    pub state: JobState,
    /// Why, for people; empty if there is nothing to say.
    pub reason: String,
    /// Why it failed, for exit codes; set in `error` and `transient-error`.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// The last error, kept for the life of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Errors so far.
    #[serde(default)]
    pub error_count: u32,
    /// What the success of a job that is over has to say: that files were given up, or that something of it is still on
    /// the disk (JOB-13, 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Code>,
    /// Files that begin anew if they are stopped now: their origins give no ranges, or no sign of what is one version.
    #[serde(default)]
    pub files_from_zero: usize,
    /// How many files it has.
    #[serde(default)]
    pub files_total: usize,
    /// How many of them are whole.
    #[serde(default)]
    pub files_transferred: usize,
    /// Bytes of all its files, once the length of each is known (JOB-36).
    pub len: Option<u64>,
    /// Bytes of them that are on disk and certain, proved or provisional.
    pub stored: u64,
    /// Bytes by source.
    pub bytes: BytesBySource,
    /// Sources that gave bytes since the node started, most first.
    pub sources: Vec<SourceShare>,
    /// Restarts because the origin changed.
    pub restarts: u32,
    /// Root hash of the one file of a job of one, once sealed.
    pub blake3: Option<String>,
    /// SHA-256 of the one file of a job of one, once sealed, if it was computed.
    pub sha256: Option<String>,
    /// Trust level in force and why, for people: of the first file that is on its way.
    pub trust: String,
    /// When what happened.
    #[serde(default)]
    pub times: Times,
    /// Which events somebody is told of (NOTIFY-1).
    #[serde(default)]
    pub notify: NotifyFlags,
    /// Milliseconds between two events of changes (LIM-6).
    #[serde(default)]
    pub notify_interval_ms: u32,
}

/// A file of a job as it stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FileView {
    /// Its place in the job, from zero.
    pub index: u16,
    /// Its remote name.
    pub url: String,
    /// Its local name.
    #[schema(value_type = String)]
    pub destination: std::path::PathBuf,
    /// Where its bytes are until it is delivered (FILE-7).
    #[serde(default)]
    #[schema(value_type = String)]
    pub temp_path: std::path::PathBuf,
    /// The parts of the remote file it is made of; the whole if empty (RNG-8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RemoteRange>,
    /// How far it has come.
    pub phase: FilePhase,
    /// Whether it is on its way at this moment: its origin is asked, or bytes come.
    #[serde(default)]
    pub is_moving: bool,
    /// Why it stands there, for people; empty if there is nothing to say.
    pub reason: String,
    /// What kind of failure, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its length, once known.
    pub len: Option<u64>,
    /// Bytes of it that are on disk.
    pub stored: u64,
    /// Bytes by source.
    pub bytes: BytesBySource,
    /// Whether any byte of it came from a peer (FILE-17).
    pub from_peer: bool,
    /// Restarts because the origin changed.
    pub restarts: u32,
    /// Root hash, once sealed.
    pub blake3: Option<String>,
    /// SHA-256, once sealed, if it was computed.
    pub sha256: Option<String>,
    /// What the application said of it.
    pub validation: Validation,
    /// The header block of the origin's last answer, for the owner only (FILE-19); empty until one came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

/// What is there of a file and what is asked for, in bytes of the local file (RNG-10..12).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FileRanges {
    /// Its length, once known.
    pub len: Option<u64>,
    /// What may be read under the temporary name: merged, by offset, each byte certain or proved. `null` if that is not
    /// known before the job goes on: after a restart, of a job that is not in on-demand mode.
    pub filled: Option<Vec<RemoteRange>>,
    /// What was asked for, in the order in which it was.
    pub requested: Vec<RemoteRange>,
    /// From where on what is missing comes first.
    pub position: Option<u64>,
}

/// Why a job stands in an error state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// May pass by itself: the network, a busy origin, no space.
    Transient,
    /// Will not pass: not found at the origin, refused, content keeps changing.
    Fatal,
    /// This machine refused: rights, a taken name.
    Denied,
    /// The bytes are not what a digest names.
    Integrity,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A submitted job is durable; as it was then.
    JobAccepted(Box<JobView>),
    /// A submitted job was refused; nothing of it is left.
    JobRefused {
        /// Which.
        job: JobId,
        /// Why, for people.
        reason: String,
        /// What kind of failure.
        failure: Failure,
        /// Under which of BITS' names.
        code: Code,
    },
    /// A job changed its state or its progress (at most ten times a second and job).
    JobChanged(Box<JobView>),
    /// A file of a job is whole (NOTIFY-2). Told before what follows from it for the job (NOTIFY-4); after a restart it may
    /// be told again.
    FileTransferred {
        /// Which job.
        job: JobId,
        /// The file.
        file: Box<FileView>,
    },
    /// Bytes of a file are there that were not before; of a job that wants them told (RNG-16). Merged and in order, at most
    /// ten times a second and job, and once more before the file is called whole.
    FileRanges {
        /// Which job.
        job: JobId,
        /// The file's place in it.
        file: u16,
        /// What has come since the event before.
        ranges: Vec<RemoteRange>,
    },
    /// A completion or a cancellation was carried out: every whole file has its final name, or all are removed.
    JobTaken {
        /// Which job.
        job: JobId,
        /// Whether files that were not whole were given up.
        is_partial: bool,
    },
    /// Three quarters of the life of this node's token in a group are over and it was not renewed, or all of it (GROUP-5).
    TokenOld {
        /// In which group: its id.
        group: String,
        /// Until when it counts, or counted, seconds since 1970.
        until_unix_s: u64,
        /// Whether it counts no more: the node is a stranger.
        is_over: bool,
        /// Why there is no newer one, for people.
        reason: String,
    },
    /// A command on a job could not be carried out.
    CommandRefused {
        /// Which job.
        job: JobId,
        /// Why, for people.
        reason: String,
        /// Under which of BITS' names.
        code: Code,
    },
}
