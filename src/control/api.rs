//! The values that pass the control door, the same for both ends.
//!
//! Knows: the paths of `/v1` and the shapes of their JSON. Does not know: sockets, nodes.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/jobs` with [`ListJobs`] | [`JobView`]s: one's own, or everybody's for an administrator |
//! | `POST /v1/jobs` [`Submit`] | [`Submitted`] |
//! | `GET /v1/jobs/{id}`, `PATCH /v1/jobs/{id}` [`JobChange`] | [`JobView`] |
//! | `GET /v1/jobs/{id}/spec` | [`JobSpec`], header lines for its owner only |
//! | `GET /v1/jobs/{id}/files` | [`FileView`]s |
//! | `POST /v1/jobs/{id}/files/{index}/validation` [`Verdict`] | [`FileView`] |
//! | `GET /v1/jobs/{id}/files/{index}/ranges`, `POST …` [`RequestRanges`] | [`FileRanges`] |
//! | `POST /v1/jobs/{id}/files/{index}/position` [`Position`] | [`FileRanges`] |
//! | `POST /v1/jobs/{id}/command` [`Command`] | [`CommandDone`] |
//! | `GET /v1/jobs/{id}/events` | server-sent events: a [`JobView`] now and at every change |
//! | `GET /v1/jobs/{id}/why` | [`Decision`]s |
//! | `GET /v1/events?since=ID` | server-sent events: [`Notice`]s of all jobs the caller may see |
//! | `GET /v1/policy` | [`PolicyShown`] |
//! | `GET /v1/explain/{code}` | [`Explanation`] |
//! | `GET /v1/peers`, `POST /v1/peers` [`AddPeer`] | [`PeerRow`]s; nothing |
//! | `DELETE /v1/peers/added?address=` | nothing |
//! | `DELETE /v1/peers` | [`PeersForgotten`] |
//! | `POST /v1/peers/discovery` | [`PeersAsked`] |
//! | `GET /v1/records`, `GET /v1/records/{id}` | [`RecordRow`]s; a [`RecordRow`] with its ranges |
//! | `GET /v1/group`, `DELETE /v1/group` | [`GroupShown`] |
//! | `POST /v1/group` [`GroupOffer`] | [`GroupTaken`] |
//! | `GET /v1/attestations` | [`AttestationView`]s |
//! | `POST /v1/attestations/void` [`TakeBack`] | [`AttestationView`]s |
//! | `GET /v1/flags`, `PUT /v1/flags` [`PeerFlags`] | [`PeerFlags`] |
//!
//! Errors come as [`Problem`] under a status that fits. Verbs that change something need
//! `Content-Type: application/json`. `docs/api.md` has examples.

mod attested;
mod group;
mod peer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use self::attested::TakeBack;
pub use self::group::{
    GroupOffer, GroupShown, GroupState, GroupTaken, GroupTakenAs, TicketMade, TicketOrder, WhichGroup,
};
pub use self::peer::{AddPeer, PeerKnownBy, PeerRow, PeersAsked, PeersForgotten, WhichPeer};
pub use crate::engine::event::{
    AttestationView, BytesBySource, Event, Failure, FilePhase, FileRanges, FileView, JobView, SourceShare,
    Times, Validation,
};
pub use crate::engine::explain::Decision;
pub use crate::job::amount::parse_count;
pub use crate::job::{
    Ask, Caller, Class, Code, Context, Existing, Explanation, FileSpec, Header, Headers, InGroup, JobChange,
    JobError, JobId, JobSpec, JobState, MaxSize, NotifyFlags, OneGroup, PeerFlags, PolicyRow, PolicySource,
    Priority, RETRY_DELAY_MIN_S, Rates, Redirects, RemoteRange, TrustFloor, explain,
};
pub use crate::record::{
    CacheLimits, CacheSize, CacheWish as CacheChange, Holding, KeepAs, LimitError, RecordId, RecordSummary,
    Scope, parse_age_days,
};

/// The node as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its identity.
    pub peer_id: String,
    /// Where it listens for peers, as multiaddresses.
    pub listen: Vec<String>,
    /// The computer's flags.
    pub flags: PeerFlags,
    /// Bytes and bans since it started.
    pub totals: Totals,
    /// Resident memory of its process, bytes.
    pub rss_bytes: u64,
    /// Whether it runs for its own sake or for the `get` that started it.
    pub kind: Kind,
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// What is wrong with its membership of its group; left out if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Links whose strangers are not listened to; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard_links: Vec<UnheardLink>,
    /// Jobs that could not be read when it started, and were set aside; left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_jobs: Vec<DamagedJob>,
}

/// A link on which twice within a day strangers swore to what a file was not. Lists and claims of strangers there are not
/// used; members of the group, and files that a root names, are not affected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UnheardLink {
    /// Its subnet, such as `10.1.2.0/24`.
    pub link: String,
    /// Until when, milliseconds since 1970.
    pub until_unix_ms: i64,
}

/// A job that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DamagedJob {
    /// Its name.
    pub id: JobId,
    /// Where its description lies now.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Why it cannot be read.
    pub reason: String,
    /// Partial files of it that are still there, as far as its description tells.
    #[schema(value_type = Vec<String>)]
    pub parts: Vec<PathBuf>,
}

/// What kind of process holds the state folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `nearbits daemon`.
    Daemon,
    /// Inside a `get`, or a program that embeds a node.
    Embedded,
}

/// Sums over all jobs and peers since the node started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Payload bytes from origins.
    pub origin_bytes: u64,
    /// Payload bytes from peers.
    pub peer_bytes: u64,
    /// Payload bytes given to peers.
    pub served_bytes: u64,
    /// Bytes that were fetched and thrown away.
    pub discarded_bytes: u64,
    /// Peers that are banned now.
    pub banned_peers: u64,
}

/// A wish.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// What is wanted.
    pub spec: JobSpec,
    /// Whether an unfinished job of the same user with the same URL, destination, digests and flags is taken up instead of
    /// a new one. Default no.
    #[serde(default)]
    pub adopt: bool,
    /// Whether a new job begins at once; it is suspended otherwise, as BITS makes jobs (JOB-3). Default yes.
    #[serde(default = "yes")]
    pub start: bool,
}

const fn yes() -> bool {
    true
}

/// A wish that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The job that works on it.
    pub id: JobId,
    /// Whether it was there before.
    pub adopted: bool,
}

/// Something done to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// What.
    pub command: Verb,
}

/// What may be done to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Stop for now.
    Suspend,
    /// Go on.
    Resume,
    /// Deliver the sealed file.
    Complete,
    /// Give up; nothing is left of it.
    Cancel,
    /// Make it the caller's own; administrators only (SEC-6).
    Take,
    /// Show it no more; only a job that is over.
    Forget,
}

/// How a command came out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CommandDone {
    /// The job after it.
    pub job: JobView,
    /// Whether files that were not whole were given up by a completion.
    pub partial: bool,
    /// What the success has to say under BITS' names: `BG_S_PARTIAL_COMPLETE`, or `BG_S_UNABLE_TO_DELETE_FILES`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What an application says of a file that is whole (VAL-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether it is what it should be. What is not is removed, and fetched again from the origin if a byte of it came
    /// from a peer; else the job is in error.
    pub valid: bool,
}

/// Bytes that somebody wants before the rest of a file, or at all in on-demand mode (RNG-10).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRanges {
    /// Which, in the local file. They may overlap each other and what is there; no byte is fetched twice.
    #[schema(min_items = 1)]
    pub ranges: Vec<RemoteRange>,
}

/// From where on what is missing of a file comes first (RNG-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// A byte of the local file.
    pub offset: u64,
}

/// Which jobs are listed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListJobs {
    /// Those of all users; administrators only. Default no.
    pub all: bool,
    /// Only those with this name; `*` stands for any letters, `?` for any one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
}

/// From where on events are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Since {
    /// The id of the last event that was seen. The header `Last-Event-ID` comes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// What an administrator and a user said of jobs, and what holds (POL-20).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyShown {
    /// One per key.
    pub rows: Vec<PolicyRow>,
    /// The administrator's file; it need not be there.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// What is wrong with it as it is now, in one line; then what it said before still holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Something that happened to a job, for whoever listens at `/v1/events` (NOTIFY-2, 12). Which of them are raised the
/// job's [`NotifyFlags`] say; that a job is there and that it is over is raised unless they are disabled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event")]
pub enum Notice {
    /// A job was handed in, and is durable.
    #[serde(rename = "job.created")]
    JobCreated {
        /// The job.
        job: Box<JobView>,
    },
    /// Bytes came, or files, properties or the state changed: not more often than the job's `notify-interval-ms` says,
    /// and not for the change into ERROR or TRANSFERRED.
    #[serde(rename = "job.changed")]
    JobChanged {
        /// The job.
        job: Box<JobView>,
    },
    /// All its files are whole.
    #[serde(rename = "job.transferred")]
    JobTransferred {
        /// The job.
        job: Box<JobView>,
    },
    /// It went into ERROR.
    #[serde(rename = "job.error")]
    JobError {
        /// The job.
        job: Box<JobView>,
    },
    /// It was completed or cancelled.
    #[serde(rename = "job.over")]
    JobOver {
        /// The job.
        job: Box<JobView>,
    },
    /// One of its files is whole.
    #[serde(rename = "file.transferred")]
    FileTransferred {
        /// The job.
        job: JobId,
        /// The file.
        file: Box<FileView>,
    },
    /// Bytes of one of its files are there: what has come since the event before, not what was asked for (RNG-16).
    #[serde(rename = "file.ranges")]
    FileRanges {
        /// The job.
        job: JobId,
        /// The file's place in it, from 0.
        file: u16,
        /// Which, in the local file.
        ranges: Vec<RemoteRange>,
    },
    /// The node's token in a group was not renewed when three quarters of its life were over, or at its end; told to administrators.
    #[serde(rename = "group.token-old")]
    GroupTokenOld {
        /// In which group: its id.
        group: String,
        /// Until when it counts, or counted, seconds since 1970.
        until_unix_s: u64,
        /// Whether it counts no more.
        is_over: bool,
        /// Why there is no newer one.
        reason: String,
    },
    /// What happened before this is not known any more, to the caller or to the node: this is what is there now.
    #[serde(rename = "reset")]
    Reset {
        /// All jobs the caller may see.
        jobs: Vec<JobView>,
    },
}

impl Notice {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::JobCreated { .. } => "job.created",
            Self::JobChanged { .. } => "job.changed",
            Self::JobTransferred { .. } => "job.transferred",
            Self::JobError { .. } => "job.error",
            Self::JobOver { .. } => "job.over",
            Self::FileTransferred { .. } => "file.transferred",
            Self::FileRanges { .. } => "file.ranges",
            Self::GroupTokenOld { .. } => "group.token-old",
            Self::Reset { .. } => "reset",
        }
    }
}

/// The computer's flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FlagsShown {
    /// Whether jobs may take bytes from peers: what holds, whoever said so.
    pub client: bool,
    /// Whether bytes may be kept for peers and served to them: what holds.
    pub server: bool,
    /// What was set for this computer; it holds where no policy says otherwise.
    pub preference: PeerFlags,
    /// `BG_S_OVERRIDDEN_BY_POLICY` where a policy says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl FlagsShown {
    /// What holds, if this was preferred.
    #[must_use]
    pub fn of(holds: PeerFlags, preference: PeerFlags) -> Self {
        let code = (holds != preference).then_some(Code::OverriddenByPolicy);
        Self { client: holds.client, server: holds.server, preference, code }
    }

    /// What holds.
    #[must_use]
    pub const fn holds(&self) -> PeerFlags {
        PeerFlags { client: self.client, server: self.server }
    }
}

/// A record of the cache.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordRow {
    /// Its name.
    pub id: String,
    /// BLAKE3 root of the content.
    pub blake3: String,
    /// Bytes of the whole content.
    pub len: u64,
    /// Bytes of it that are held.
    pub held: u64,
    /// Which these are, in an answer about one record only: by offset, neighbours as one, at most 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RemoteRange>>,
    /// Whether the whole file was judged to be what it should be: always so, nothing else becomes a record.
    pub validated: bool,
    /// Other digests that were checked, as `algorithm:hex`.
    pub digests: Vec<String>,
    /// `private`, `machine` or `shareable`.
    pub scope: String,
    /// Whether peers may be served from it.
    pub served: bool,
    /// When it was sealed or last served, seconds since 1970.
    pub last_used_unix_s: i64,
    /// Whether the cache has its own copy, or reads the delivered file where it lies.
    pub kept: KeepAs,
    /// The URLs it was seen under, and what their origins said of it, newest last.
    pub seen: Vec<SeenRow>,
}

/// Where a content was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SeenRow {
    /// The URL.
    pub url: String,
    /// The origin's ETag, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The origin's Last-Modified, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// What the cache may hold, and what it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CacheState {
    /// What holds.
    pub limits: CacheLimits,
    /// What was set for this computer; it holds where no policy says otherwise.
    pub preference: CacheLimits,
    /// `BG_S_OVERRIDDEN_BY_POLICY` where a policy says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Records.
    pub records: usize,
    /// Bytes of its own copies.
    pub own_bytes: u64,
    /// Bytes of delivered files that it reads where they lie.
    pub borrowed_bytes: u64,
    /// Bytes its own copies may take at this moment: the limit, or less where the disk is nearly full.
    pub own_max_bytes: u64,
}

/// Records that went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordsRemoved {
    /// How many.
    pub records: usize,
    /// How many were being read all the time, and stayed.
    pub busy: usize,
}

/// What reading a record through found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordVerified {
    /// The record.
    pub id: String,
    /// Pieces that are what they were.
    pub good: u32,
    /// Pieces that were not, and are held no longer.
    pub lost: u32,
}

/// Why a request was refused, in one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
    /// What kind of failure: the command's exit code follows from it.
    pub kind: ProblemKind,
    /// BITS' name for it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Kinds of refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The request is malformed: a bad URL, a relative path.
    Usage,
    /// The caller may not, or the file system does not let us.
    Denied,
    /// No such job or path.
    NotFound,
    /// The job's present state does not allow it.
    Conflict,
    /// The node is leaving: another one may take the state folder.
    Busy,
    /// May pass by itself: no space, for example.
    Transient,
    /// Anything else.
    Fatal,
}

impl ProblemKind {
    /// The HTTP status such a problem comes under.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Usage => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Busy | Self::Transient => 503,
            Self::Fatal => 500,
        }
    }
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: ProblemKind, error: impl Into<String>) -> Self {
        Self { error: error.into(), kind, code: None }
    }

    /// The same under a name of BITS.
    #[must_use]
    pub const fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_has_the_field_names_that_are_documented() {
        let status = Status {
            peer_id: "12D3".into(),
            listen: vec!["/ip4/127.0.0.1/tcp/1".into()],
            flags: PeerFlags::BOTH,
            totals: Totals::default(),
            rss_bytes: 1,
            kind: Kind::Daemon,
            version: "0.1.0".into(),
            group: None,
            unheard_links: Vec::new(),
            damaged_jobs: Vec::new(),
        };
        let json = serde_json::to_value(&status).expect("plain values");
        let keys = |value: &serde_json::Value| {
            value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
        };
        for key in ["peer_id", "listen", "flags", "totals", "rss_bytes"] {
            assert!(keys(&json).contains(&key.to_owned()), "{key}");
        }
        assert_eq!(
            keys(&json["totals"]),
            ["banned_peers", "discarded_bytes", "origin_bytes", "peer_bytes", "served_bytes"]
        );
        assert!(!keys(&json).contains(&"unheard_links".to_owned()), "left out while there are none");
        let unheard = UnheardLink { link: "10.1.2.0/24".into(), until_unix_ms: 7 };
        let json =
            serde_json::to_value(Status { unheard_links: vec![unheard], ..status }).expect("plain values");
        assert_eq!(json["unheard_links"], serde_json::json!([{ "link": "10.1.2.0/24", "until_unix_ms": 7 }]));
    }

    #[test]
    fn unknown_fields_of_a_wish_are_refused() {
        let error = serde_json::from_str::<Command>(r#"{"command":"cancel","force":true}"#).unwrap_err();
        assert!(error.to_string().contains("force"), "{error}");
    }
}
