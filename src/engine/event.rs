//! What watchers are told.
//!
//! Knows: the events of a job's life. Does not know: who listens.

use serde::{Deserialize, Serialize};

use crate::job::{JobId, JobState};

/// Bytes by where they came from. The sum counts bytes fetched twice twice; `discarded` counts them once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BytesBySource {
    /// From the origin.
    pub origin: u64,
    /// From peers.
    pub peers: u64,
    /// From this machine's own cache.
    pub cache: u64,
    /// Of all these, bytes that were thrown away: late, wrong, or of an older version.
    pub discarded: u64,
}

/// One source's share of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// A job as it stands: what `status`, `get` and watchers show.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Its URL.
    pub url: String,
    /// Its destination.
    pub destination: std::path::PathBuf,
    /// Where it stands.
    pub state: JobState,
    /// Why, for people; empty if there is nothing to say.
    pub reason: String,
    /// Why it failed, for exit codes; set in `error` and `transient-error`.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Length of the file, once known.
    pub len: Option<u64>,
    /// Bytes of it that are on disk and certain, proved or provisional.
    pub stored: u64,
    /// Bytes by source.
    pub bytes: BytesBySource,
    /// Sources that gave bytes, most first.
    pub sources: Vec<SourceShare>,
    /// Restarts because the origin changed.
    pub restarts: u32,
    /// Root hash, once sealed.
    pub blake3: Option<String>,
    /// SHA-256, once sealed, if it was computed.
    pub sha256: Option<String>,
    /// Trust level in force and why, for people.
    pub trust: String,
}

/// Why a job stands in an error state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// A submitted job is durable.
    JobAccepted {
        /// Which.
        job: JobId,
    },
    /// A submitted job was refused; nothing of it is left.
    JobRefused {
        /// Which.
        job: JobId,
        /// Why, for people.
        reason: String,
        /// What kind of failure.
        failure: Failure,
    },
    /// A job changed its state or its progress (at most ten times a second and job).
    JobChanged(Box<JobView>),
    /// A command on a job could not be carried out.
    CommandRefused {
        /// Which job.
        job: JobId,
        /// Why, for people.
        reason: String,
    },
}
