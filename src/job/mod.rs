//! A user's wish: what to fetch, where to, under which flags.
//!
//! Knows: the values a job is made of and its states. Does not know: how bytes come (that is `engine`), where jobs
//! are kept (`store`).

pub mod amount;
pub mod ask;
mod group;
pub mod queue;
mod remote;
pub mod trust;
mod wish;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use peer_proto::digest::{Digest, bytes_from_hex};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use ask::{Ask, NotAnAsk};
pub use group::{NotAGroupId, OneGroup};
pub use queue::error::{Class, Code, Context, Explanation, JobError, explain};
pub use queue::peering::{PeerRules, Strangers};
pub use queue::policy::{Effective, JobCounts, Maker, Policy, PolicyRow, Source as PolicySource};
pub use queue::spec::{
    Change as JobChange, FileSpec, InGroup, Limits, MaxSize, Moment, NotifyFlags, RETRY_DELAY_MIN_S,
    Spec as JobSpec, SpecError,
};
pub use queue::state::{Cause, Refusal, State as JobState};
pub use remote::{Header, Headers, Rates, Redirects, Remote, RemoteRange, ServeRates};
pub use trust::{NotAFloor, TrustFloor, TrustRules};
pub use wish::Wish;

/// Names a job for ever: 16 random bytes, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "00112233445566778899aabbccddeeff")]
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

/// One file of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    /// The job the file belongs to.
    pub job: JobId,
    /// Its place in the job, from zero.
    pub index: u16,
}

impl JobSpec {
    /// A job of one file, named after it; everything else stays at its default.
    #[must_use]
    pub fn for_file(url: impl Into<String>, destination: impl Into<PathBuf>) -> Self {
        let file = FileSpec {
            url: url.into(),
            mirrors: Vec::new(),
            destination: destination.into(),
            digests: Vec::new(),
            digest_from: None,
            ranges: Vec::new(),
        };
        let spec = Self { files: vec![file], ..Self::default() };
        Self { name: spec.suggested_name(), ..spec }
    }

    /// The same job, its first file named by these digests.
    #[must_use]
    pub fn named_by(mut self, digests: Vec<Digest>) -> Self {
        self.files.iter_mut().take(1).for_each(|file| file.digests.clone_from(&digests));
        self
    }
}

/// Who asks for something: a user of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// His number.
    pub uid: u32,
    /// Whether he may manage everybody's jobs: uid 0, the daemon's own user, members of the configured group.
    pub is_administrator: bool,
}

impl Caller {
    /// For whom limits are asked.
    #[must_use]
    pub const fn maker(&self) -> Maker {
        if self.is_administrator { Maker::Administrator } else { Maker::User }
    }

    /// Whether he may see and change a job of this owner (SEC-1): an administrator everybody's but the system's, which takes
    /// the system itself (SEC-5).
    #[must_use]
    pub const fn may_manage(&self, owner: u32) -> bool {
        self.uid == owner || (self.is_administrator && owner != SYSTEM)
    }
}

/// The user whom the system itself runs as.
const SYSTEM: u32 = 0;

impl FileId {
    /// The first file of a job.
    #[must_use]
    pub const fn first(job: JobId) -> Self {
        Self { job, index: 0 }
    }
}

/// Two permissions that exist at computer level and at job level; a permission holds only where both are set
/// (PEER-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, ToSchema,
)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// The job fails before a byte is fetched, and again at the rename.
    #[default]
    Refuse,
    /// An existing regular file of the same owner is replaced by the rename.
    Replace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = JobId(std::array::from_fn(|at| u8::try_from(at * 17).expect("below 256")));
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!((id.to_string().as_str(), format!("{id:?}").as_str()), (text, text));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(JobId::try_from(String::from(id)), Ok(id));
        for wrong in
            ["", "0011", &text[1..], "00112233445566778899aabbccddeeffff", "zz112233445566778899aabbccddeeff"]
        {
            assert_eq!(wrong.parse::<JobId>(), Err(NotAJobId), "{wrong}");
        }
    }
}
