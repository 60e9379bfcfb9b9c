//! A node behind the control door.
//!
//! Knows: how the driver's handle answers what callers ask. Does not know: HTTP.

use tokio::sync::broadcast;

use super::api::{
    Caller, Code, Decision, Event, Failure, FileView, Holding, JobId, JobSpec, JobView, Kind, PeerFlags,
    PeerRow, PolicyShown, Problem, ProblemKind, RecordRow, RecordSummary, Scope, Status, Totals, Verb,
};
use super::server::Desk;
use crate::driver::{Done, Gone, Handle, JobCommand, PeerView, PolicyState, RequestError};
use crate::telemetry;

/// A running node and what it was started as.
#[derive(Clone)]
pub struct NodeDesk {
    handle: Handle,
    kind: Kind,
}

impl NodeDesk {
    /// The node behind this handle.
    #[must_use]
    pub const fn new(handle: Handle, kind: Kind) -> Self {
        Self { handle, kind }
    }
}

impl From<Gone> for Problem {
    fn from(gone: Gone) -> Self {
        Self::new(ProblemKind::Busy, gone.to_string())
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        match error {
            RequestError::NoSuchJob(_) => Self::new(ProblemKind::NotFound, text).with_code(Code::NotFound),
            RequestError::Gone(_) => Self::new(ProblemKind::Busy, text),
            RequestError::Refused { failure, code, .. } => {
                Self::new(kind(failure, code), text).with_code(code)
            }
        }
    }
}

/// What kind of refusal a code is; where it does not say, what kind of failure it was.
const fn kind(failure: Option<Failure>, code: Code) -> ProblemKind {
    match code {
        Code::NotFound => ProblemKind::NotFound,
        Code::AccessDenied => ProblemKind::Denied,
        Code::InvalidArgument
        | Code::StringTooLong
        | Code::InvalidRange
        | Code::OverlappingRanges
        | Code::MaxDownloadSizeInvalidValue
        | Code::UnsupportedJobConfiguration
        | Code::FileNotAvailable => ProblemKind::Usage,
        Code::InvalidState
        | Code::Empty
        | Code::Pending
        | Code::ReadOnlyProperty
        | Code::ReadOnlyPropertyAfterResume => ProblemKind::Conflict,
        _ => match failure {
            Some(Failure::Denied) => ProblemKind::Denied,
            Some(Failure::Fatal | Failure::Integrity) => ProblemKind::Fatal,
            Some(Failure::Transient) | None => ProblemKind::Transient,
        },
    }
}

impl From<Verb> for JobCommand {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Suspend => Self::Suspend,
            Verb::Resume => Self::Resume,
            Verb::Complete => Self::Complete,
            Verb::Cancel => Self::Cancel,
            Verb::Take => Self::Take,
        }
    }
}

impl From<PeerView> for PeerRow {
    fn from(view: PeerView) -> Self {
        Self {
            peer: view.peer.to_string(),
            address: view.address,
            near: view.near,
            connected: view.connected,
            received_bytes: view.bytes_in,
            served_bytes: view.bytes_out,
            banned_s: view.banned_for_s,
        }
    }
}

impl From<RecordSummary> for RecordRow {
    fn from(record: RecordSummary) -> Self {
        let len = record.content.len;
        let held = match &record.holding {
            Holding::Whole => len,
            Holding::Runs(runs) => held(len, runs),
        };
        Self {
            id: record.id.to_string(),
            blake3: record.content.root.to_string(),
            len,
            held,
            digests: record.digests.iter().map(ToString::to_string).collect(),
            scope: match record.scope {
                Scope::Private { .. } => "private",
                Scope::Machine => "machine",
                Scope::Shareable => "shareable",
            }
            .into(),
            served: record.served,
            last_used_unix_s: record.last_used_unix_s,
        }
    }
}

/// Bytes in these runs of pieces of a content of `len` bytes.
fn held(len: u64, runs: &[(u32, u32)]) -> u64 {
    let Ok(geometry) = peer_proto::content::Geometry::of(len) else { return 0 };
    runs.iter().filter_map(|(first, end)| geometry.pieces_range(*first..*end)).map(|range| range.len()).sum()
}

impl Desk for NodeDesk {
    async fn status(&self) -> Result<Status, Problem> {
        let totals = self.handle.totals().await?;
        Ok(Status {
            peer_id: self.handle.peer_id().to_string(),
            listen: self.handle.listen_addresses(),
            flags: self.handle.flags().await?,
            totals: Totals {
                origin_bytes: totals.origin_bytes,
                peer_bytes: totals.peer_bytes,
                served_bytes: totals.served_bytes,
                discarded_bytes: totals.discarded_bytes,
                banned_peers: totals.banned_peers,
            },
            rss_bytes: telemetry::rss_bytes().unwrap_or_default(),
            kind: self.kind,
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Problem> {
        Ok(self.handle.jobs().await?)
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, Problem> {
        Ok(self.handle.job(id).await?)
    }

    async fn why(&self, id: JobId) -> Result<Option<Vec<Decision>>, Problem> {
        Ok(self.handle.decisions(id).await?)
    }

    async fn files(&self, id: JobId) -> Result<Option<Vec<FileView>>, Problem> {
        Ok(self.handle.files(id).await?)
    }

    async fn spec(&self, id: JobId) -> Result<Option<JobSpec>, Problem> {
        Ok(self.handle.spec(id).await?)
    }

    async fn find(&self, spec: &JobSpec, by: Caller) -> Result<Option<JobId>, Problem> {
        Ok(self.handle.unfinished_of(spec, by.uid).await?)
    }

    async fn submit(&self, spec: JobSpec, by: Caller, start: bool) -> Result<JobId, Problem> {
        Ok(self.handle.submit_as(spec, by, start).await?)
    }

    async fn command(&self, id: JobId, command: JobCommand, by: Caller) -> Result<Done, Problem> {
        Ok(self.handle.command_as(id, command, by).await?)
    }

    async fn policy(&self) -> Result<PolicyShown, Problem> {
        let PolicyState { rows, file, problem } = self.handle.policy().await?;
        Ok(PolicyShown { rows, file, problem })
    }

    async fn peers(&self) -> Result<Vec<PeerRow>, Problem> {
        Ok(self.handle.peers().await?.into_iter().map(PeerRow::from).collect())
    }

    async fn add_peer(&self, address: String) -> Result<(), Problem> {
        let parsed = address.parse().map_err(|error| {
            Problem::new(ProblemKind::Usage, format!("{address:?} is not a peer's address: {error}"))
        })?;
        self.handle.add_peer(parsed);
        Ok(())
    }

    async fn records(&self) -> Result<Vec<RecordRow>, Problem> {
        Ok(self.handle.records().await?.into_iter().map(RecordRow::from).collect())
    }

    async fn flags(&self) -> Result<PeerFlags, Problem> {
        Ok(self.handle.flags().await?)
    }

    async fn set_flags(&self, flags: PeerFlags) -> Result<(), Problem> {
        Ok(self.handle.set_flags(flags).await?)
    }

    fn changes(&self) -> broadcast::Receiver<Event> {
        self.handle.watch()
    }
}
