//! A job as it is kept across restarts, and what is kept of each of its files.
//!
//! Knows: values that are written down. Does not know: where (`store`), when (`job`).

use peer_proto::time::Instant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{BytesBySource, Failure};
use super::io::Probe;
use super::why::Decisions;
use crate::job::{Code, Context, JobError, JobId, JobSpec, JobState, RemoteRange};
use crate::record::Voucher;

/// A job as it is kept across restarts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StoredJob {
    /// Its name.
    pub id: JobId,
    /// What was asked for.
    pub spec: JobSpec,
    /// Whose it is: a user's number.
    #[serde(default)]
    pub owner: u32,
    /// Where it stood.
    pub state: JobState,
    /// Whether it was handed to an embedded node: a daemon that finds it unfinished suspends it.
    #[serde(default)]
    pub embedded: bool,
    /// Whether it was ever let go: some properties may not change any more (FILE-20).
    #[serde(default)]
    pub has_run: bool,
    /// The last error, kept for the life of the job (JOB-29 Δ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Errors so far (JOB-30).
    #[serde(default)]
    pub error_count: u32,
    /// When what happened.
    #[serde(default)]
    pub times: Times,
    /// Seconds since bytes were stored last while it wanted some (LIM-2).
    #[serde(default)]
    pub idle_s: u64,
    /// Seconds it has connected and transferred since it was resumed last (LIM-3).
    #[serde(default)]
    pub worked_s: u64,
    /// Seconds this node has run since anything happened to it (JOB-34).
    #[serde(default)]
    pub unused_s: u64,
    /// Whether it is suspended because all that was asked for is there (JOB-T31): the next request lets it go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ranges_done: bool,
    /// What is known of its files, in their order.
    #[serde(default)]
    pub files: Vec<StoredFile>,
}

/// Moments of a job's life, milliseconds since 1970 (JOB-35).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Times {
    /// It was made.
    pub created_unix_ms: i64,
    /// Its state or a property changed, or bytes came.
    pub modified_unix_ms: i64,
    /// Its last file was whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transferred_unix_ms: Option<i64>,
}

/// How far a file has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilePhase {
    /// Bytes are missing.
    #[default]
    Waiting,
    /// It failed in a way that does not pass by itself.
    Failed,
    /// Exact and synced under the part's name.
    Whole,
    /// It has its final name.
    Delivered,
}

impl FilePhase {
    /// Whether every byte of it is there and exact.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::Delivered)
    }
}

/// What the application says of a file (VAL-2 Δ).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Validation {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is what it should be.
    Valid,
    /// It was not; it is fetched again.
    Invalid,
}

impl Validation {
    /// What counts of it once the file is fetched again: what was invalid is not there any more.
    pub(super) const fn unless_invalid(self) -> Self {
        match self {
            Self::Invalid => Self::Unknown,
            said => said,
        }
    }
}

/// What an application said of a file that is on its way, and what that stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// What it said; invalid only while nothing counts of what lies under the part's name.
    pub(super) is: Validation,
    /// Whether it called the file valid while that was enough for the cache: a permission that goes later changes nothing
    /// about that (VAL-6).
    pub(super) for_cache: bool,
}

impl Verdict {
    /// What counts of it when the file is put on its way.
    pub(super) const fn of(kept: &StoredFile) -> Self {
        let is = if kept.stored > 0 { kept.validation.unless_invalid() } else { kept.validation };
        Self { is, for_cache: kept.valid_for_cache }
    }
}

/// What is kept of a file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct StoredFile {
    /// How far it has come.
    pub phase: FilePhase,
    /// Why it stands there, for people; empty if there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What kind of failure, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Under which of BITS' names it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The origin's last status, if the failure was its.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its length, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    /// Bytes of it that are on disk.
    pub stored: u64,
    /// Bytes by where they came from.
    pub bytes: BytesBySource,
    /// How often it had to start again because the origin changed.
    pub restarts: u32,
    /// Whether what it brings is not for others: the origin said so, or the record it was copied from (LOCAL-1).
    pub private: bool,
    /// Whether peers are not asked for it any more: an application found their bytes wrong (VAL-4).
    pub origin_only: bool,
    /// Root hash, once sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// SHA-256, once sealed, if it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Attestors on whose word alone it was sealed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vouched_by: Vec<Voucher>,
    /// What the application says of it.
    pub validation: Validation,
    /// Whether computer and job allowed to keep it for peers when it was called valid (VAL-6).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub valid_for_cache: bool,
    /// Bytes that somebody asked for, in the order of the requests (RNG-10).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<RemoteRange>,
    /// From where on what is missing comes first (RNG-11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// What was there of it when it was let go of last, if there were few ranges (RNG-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled: Option<Vec<RemoteRange>>,
    /// Decision records, oldest first (`job why`).
    pub decisions: Decisions,
    /// What is remembered as long as the node runs.
    #[serde(skip)]
    pub memory: Memory,
}

impl StoredFile {
    /// The file without a byte: what was asked for of it stays.
    #[must_use]
    pub(super) fn emptied(&self, origin_only: bool) -> Self {
        let (requested, position) = (self.requested.clone(), self.position);
        Self { origin_only, requested, position, ..Self::default() }
    }
}

/// What is remembered of a file while its job waits for its turn; a restart forgets it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// What the origin said last: digests it stated of a version stay stated (TRUST-11).
    pub probe: Option<Box<Probe>>,
    /// When it was put on its way first: decisions count from there.
    pub began: Option<Instant>,
    /// Whether all that was asked for of it is there: it is not put on its way before more is.
    pub rests: bool,
    /// Not to be put on its way before this: it waits for a retry, and others of its job had better luck.
    pub not_before: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rng_12_a_file_that_is_emptied_keeps_what_was_asked_for_of_it_and_nothing_else() {
        let requested = vec![RemoteRange { offset: 5, len: None }];
        let kept = StoredFile {
            requested: requested.clone(),
            position: Some(7),
            stored: 9,
            len: Some(10),
            reason: "wrong".into(),
            ..StoredFile::default()
        };
        for origin_only in [true, false] {
            let emptied = StoredFile {
                requested: requested.clone(),
                position: Some(7),
                origin_only,
                ..StoredFile::default()
            };
            assert_eq!(kept.emptied(origin_only), emptied);
        }
    }

    #[test]
    fn val_4_invalid_is_said_of_bytes_that_are_gone_and_not_of_those_that_took_their_place() {
        let of =
            |validation, stored| Verdict::of(&StoredFile { validation, stored, ..StoredFile::default() }).is;
        assert_eq!(of(Validation::Invalid, 0), Validation::Invalid);
        assert_eq!(of(Validation::Invalid, 1), Validation::Unknown);
        assert_eq!(of(Validation::Valid, 1), Validation::Valid);
    }
}
