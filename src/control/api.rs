//! The values that pass the control door, the same for both ends.
//!
//! Knows: the paths of `/v1` and the shapes of their JSON. Does not know: sockets, nodes.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/jobs`, `GET /v1/jobs/{id}` | [`JobView`]s, one of them |
//! | `POST /v1/jobs` [`Submit`] | [`Submitted`] |
//! | `POST /v1/jobs/{id}/command` [`Command`] | [`JobView`] |
//! | `GET /v1/jobs/{id}/events` | server-sent events: a [`JobView`] now and at every change |
//! | `GET /v1/jobs/{id}/why` | [`Decision`]s |
//! | `GET /v1/peers`, `POST /v1/peers` [`AddPeer`] | [`PeerRow`]s; nothing |
//! | `GET /v1/records` | [`RecordRow`]s |
//! | `GET /v1/flags`, `PUT /v1/flags` [`PeerFlags`] | [`PeerFlags`] |
//!
//! Errors come as [`Problem`] under a status that fits. Verbs that change something need
//! `Content-Type: application/json`.

use serde::{Deserialize, Serialize};

pub use crate::engine::event::{BytesBySource, Event, Failure, JobView, SourceShare};
pub use crate::engine::explain::Decision;
pub use crate::job::{
    Caller, Existing, FileSpec, JobChange, JobId, JobSpec, JobState, PeerFlags, Priority, Rates,
};
pub use crate::record::{Holding, RecordSummary, Scope};

/// The node as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
}

/// What kind of process holds the state folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `nearbits daemon`.
    Daemon,
    /// Inside a `get`, or a program that embeds a node.
    Embedded,
}

/// Sums over all jobs and peers since the node started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// What is wanted.
    pub spec: JobSpec,
    /// Whether an unfinished job with the same URL, destination, digests and flags is taken up instead of a new one.
    pub adopt: bool,
}

/// A wish that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submitted {
    /// The job that works on it.
    pub id: JobId,
    /// Whether it was there before.
    pub adopted: bool,
}

/// Something done to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// What.
    pub command: Verb,
}

/// What may be done to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
}

/// A peer to keep trying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPeer {
    /// `ip:port`, `[v6%scope]:port`, or a multiaddress.
    pub address: String,
}

/// A peer as the node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerRow {
    /// Who, if its channel proved it.
    pub peer: String,
    /// Where.
    pub address: String,
    /// Whether it is on this link, on this machine, or was configured.
    pub near: bool,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Payload bytes it gave.
    pub received_bytes: u64,
    /// Payload bytes it was given.
    pub served_bytes: u64,
    /// Seconds until it may come back, if it is banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_s: Option<u64>,
}

/// A record of the cache.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordRow {
    /// Its name.
    pub id: String,
    /// BLAKE3 root of the content.
    pub blake3: String,
    /// Bytes of the whole content.
    pub len: u64,
    /// Bytes of it that are held.
    pub held: u64,
    /// Other digests that were checked, as `algorithm:hex`.
    pub digests: Vec<String>,
    /// `private`, `machine` or `shareable`.
    pub scope: String,
    /// Whether peers may be served from it.
    pub served: bool,
    /// When it was sealed or last served, seconds since 1970.
    pub last_used_unix_s: i64,
}

/// Why a request was refused, in one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
    /// What kind of failure: the command's exit code follows from it.
    pub kind: ProblemKind,
}

/// Kinds of refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The request is malformed: a bad URL, a relative path.
    Usage,
    /// The caller may not, or the file system does not let us.
    Denied,
    /// No such job or path.
    NotFound,
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
            Self::Busy | Self::Transient => 503,
            Self::Fatal => 500,
        }
    }
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: ProblemKind, error: impl Into<String>) -> Self {
        Self { error: error.into(), kind }
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
    }

    #[test]
    fn unknown_fields_of_a_wish_are_refused() {
        let error = serde_json::from_str::<Command>(r#"{"command":"cancel","force":true}"#).unwrap_err();
        assert!(error.to_string().contains("force"), "{error}");
    }
}
