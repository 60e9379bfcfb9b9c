//! One span for each job and for each session with a peer, so that log lines say what they belong to.
//!
//! Knows: which spans are open. Does not know: what is logged in them.

use std::collections::BTreeMap;

use peer_proto::peer::PeerId;
use tracing::Span;

use crate::engine::event::JobView;
use crate::job::JobId;

/// Jobs whose span is kept; the oldest ids go first. A job without one gets a new one when it is needed.
const JOBS_MAX: usize = 256;

/// The open spans.
#[derive(Debug, Default)]
pub(super) struct Spans {
    jobs: BTreeMap<JobId, Span>,
    sessions: BTreeMap<PeerId, Span>,
}

impl Spans {
    /// The span of a job.
    pub(super) fn job(&mut self, job: JobId) -> Span {
        if self.jobs.len() >= JOBS_MAX && !self.jobs.contains_key(&job) {
            self.jobs.pop_first();
        }
        self.jobs.entry(job).or_insert_with(|| tracing::info_span!(parent: None, "job", %job)).clone()
    }

    /// A job that is over needs no span any more.
    pub(super) fn told(&mut self, view: &JobView) {
        if view.state.is_final() {
            self.jobs.remove(&view.id);
        }
    }

    /// Opens the span of a session.
    pub(super) fn connected(&mut self, peer: PeerId, address: &str) {
        let span = tracing::info_span!(parent: None, "session", %peer, address);
        self.sessions.insert(peer, span);
    }

    /// The span of a session; none if the peer is not connected.
    pub(super) fn session(&self, peer: PeerId) -> Span {
        self.sessions.get(&peer).cloned().unwrap_or_else(Span::none)
    }

    /// Closes the span of a session.
    pub(super) fn lost(&mut self, peer: PeerId) {
        self.sessions.remove(&peer);
    }
}
