//! The hands: performs the effects that move bytes.
//!
//! Every method returns at once; work goes to tasks, and each effect is answered by exactly one fact. Knows: leases,
//! parts, answers to peers and how they end. Does not know: why any of it happens (that is `engine`).

mod bucket;
mod cache_lease;
mod fault;
mod files;
mod layout;
mod lease;
mod origin_lease;
#[cfg(test)]
mod origin_lease_tests;
mod pace;
mod part_table;
mod peer_lease;
mod serve;
mod serve_sources;
mod sink;
#[cfg(test)]
mod sink_tests;
mod turns;
mod uploads;

use std::sync::Arc;

use peer_proto::content::Geometry;
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::cache_lease::CacheSource;
pub use self::fault::local_kind;
pub use self::files::existing_rule;
use self::lease::{Ended, Limit, Pipe, Source};
use self::origin_lease::OriginSource;
use self::pace::{Line, Pace, Paces};
use self::part_table::{LeaseEntry, OpenPart, Tables};
use self::peer_lease::PeerSource;
use self::serve::Serving;
use self::sink::{PieceSink, SinkParts, StreamSink};
pub use self::turns::Turns;
use self::uploads::Uploads;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::disk::RealFiles;
use crate::engine::io::{
    Accept, EffectId, Input, Lease, LeaseFault, LeaseId, LeaseSource, Serve, ServeId, ServeOutcome,
    ServePace, Span,
};
use crate::job::{FileId, JobId, Rates, Remote};
use crate::origin::Origin;
use crate::store::JobStore;
use crate::swarm::{BlockReceiver, Swarm};

/// What the hands work with.
pub struct TransferParts {
    /// Asks origins.
    pub origin: Origin,
    /// Talks to peers.
    pub swarm: Swarm,
    /// What is kept for peers.
    pub cache: Cache<RealFiles>,
    /// The file system.
    pub files: RealFiles,
    /// Where the journals of jobs live.
    pub jobs: JobStore<RealFiles>,
    /// Where facts go; the hands wait when it is full, they never drop a fact.
    pub facts: mpsc::Sender<Input>,
    /// The time.
    pub clock: Clock,
}

/// Performs effects. Cheap to clone.
#[derive(Clone)]
pub struct Transfer {
    inner: Arc<Inner>,
}

struct Inner {
    parts: TransferParts,
    tables: Arc<Tables>,
    paces: Paces,
    uploads: Uploads,
    turns: Turns<FileId>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Transfer {
    /// Hands that have nothing to do yet.
    #[must_use]
    pub fn new(parts: TransferParts) -> Self {
        Self {
            inner: Arc::new(Inner {
                paces: Paces::new(parts.clock),
                uploads: Uploads::new(parts.clock),
                parts,
                tables: Arc::default(),
                turns: Turns::default(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Asks the origin what it serves now. Answered by [`Input::Probed`].
    pub fn probe(&self, id: EffectId, remote: Arc<Remote>) {
        let this = self.clone();
        self.spawn(async move {
            // An origin that says nothing does not hold up the end of the node.
            let asked = this
                .inner
                .stop
                .run_until_cancelled(origin_lease::probe(&this.inner.parts.origin, &remote))
                .await;
            if let Some(outcome) = asked {
                this.tell(Input::Probed { id, outcome }).await;
            }
        });
    }

    /// Asks a list of checksums for the digests of a file. Answered by [`Input::DigestsFetched`].
    pub fn fetch_digests(&self, id: EffectId, list: String, url: String) {
        let this = self.clone();
        self.spawn(async move {
            let asking = origin_lease::digests(&this.inner.parts.origin, &list, &url);
            if let Some(outcome) = this.inner.stop.run_until_cancelled(asking).await {
                this.tell(Input::DigestsFetched { id, outcome }).await;
            }
        });
    }

    /// Starts a lease. Answered by exactly one [`Input::LeaseEnded`]. For a peer, its blocks are expected from now
    /// on: the request may be sent as soon as this returns.
    pub fn start_lease(&self, lease: Lease) {
        let id = lease.id;
        let end = match lease.span {
            Span::Range(range) => range.end(),
            Span::ToEnd => u64::MAX,
        };
        let entry = self.inner.tables.enter_lease(id, lease.file, end);
        let expected = match &lease.source {
            LeaseSource::Origin { .. } | LeaseSource::Record(_) => None,
            LeaseSource::Peer { peer, request } => Some(self.expect(*peer, *request, lease.span)),
        };
        let span = tracing::info_span!("lease", lease = id.0, range = ?lease.span);
        // What was wanted of the file before comes first.
        let turn = self.inner.turns.queue(lease.file, std::future::ready(()));
        let this = self.clone();
        let facts = self.inner.parts.facts.clone();
        self.spawn(
            lease::report(id, facts, async move { this.work(lease, entry, expected, turn).await })
                .instrument(span),
        );
    }

    fn expect(&self, peer: PeerId, request: RequestId, span: Span) -> Result<BlockReceiver, LeaseFault> {
        let Span::Range(range) = span else {
            return Err(fault::broken_rule("a peer is asked for a range"));
        };
        Ok(self.inner.parts.swarm.expect_blocks(peer, request, range.len()))
    }

    async fn work(
        &self,
        lease: Lease,
        entry: LeaseEntry,
        expected: Option<Result<BlockReceiver, LeaseFault>>,
        turn: impl Future<Output = ()> + Send,
    ) -> Ended {
        let mut limit = entry.limit.clone();
        tokio::select! {
            biased;
            () = turn => {}
            () = lease::stopped(&mut limit) => return Ended::failed(LeaseFault::Stopped),
        }

        let is_copy = matches!(lease.source, LeaseSource::Record(_));
        // The entry leaves the table when the work is done and before the end is told.
        let ended = self.try_work(lease, &entry, expected).await.unwrap_or_else(Ended::failed);
        if is_copy {
            self.tell_cache_changes().await;
        }
        ended
    }

    async fn try_work(
        &self,
        lease: Lease,
        entry: &LeaseEntry,
        expected: Option<Result<BlockReceiver, LeaseFault>>,
    ) -> Result<Ended, LeaseFault> {
        let Lease { id, file, span, source, accept } = lease;
        let parts = &self.inner.parts;
        let OpenPart { part, .. } =
            self.inner.tables.part(file).ok_or_else(|| fault::broken_rule("a lease has an open part"))?;
        let len = file_len(&source, &accept, span);
        let pace = self.pace(file.job, &source);
        let limit = entry.limit.clone();
        let sink = SinkParts { lease: id, part, facts: parts.facts.clone(), clock: parts.clock };
        let pipe = Pipe { lease: id, limit: limit.clone(), facts: parts.facts.clone(), pace };
        match span {
            Span::ToEnd => {
                let source = self.open_source(source, span, limit).await?;
                Ok(pipe.run(source, StreamSink::new(sink, accept)?).await)
            }
            Span::Range(range) => {
                let geometry = Geometry::of(len.unwrap_or(range.end()))
                    .map_err(|_| fault::broken_rule("a file in ranges is at most 4 TiB"))?;
                let sink = PieceSink::new(sink, geometry, range, accept, limit.clone())?;
                let source = match expected {
                    Some(blocks) => Source::Peer(PeerSource::new(blocks?, range, geometry, sink.proved())),
                    None => self.open_source(source, span, limit).await?,
                };
                Ok(pipe.run(source, sink).await)
            }
        }
    }

    /// Opens what is not a peer, whose blocks were expected before.
    async fn open_source(
        &self,
        source: LeaseSource,
        span: Span,
        mut limit: watch::Receiver<Limit>,
    ) -> Result<Source, LeaseFault> {
        let parts = &self.inner.parts;
        match source {
            LeaseSource::Origin { remote, pinned } => {
                let opening = OriginSource::open(&parts.origin, &remote, &pinned, span);
                tokio::select! {
                    biased;
                    source = opening => Ok(Source::Origin(Box::new(source?))),
                    () = lease::stopped(&mut limit) => Err(LeaseFault::Stopped),
                }
            }
            LeaseSource::Record(record) => {
                Ok(Source::Cache(CacheSource::open(parts.cache.clone(), record, span)?))
            }
            LeaseSource::Peer { .. } => Err(fault::broken_rule("a peer's blocks are expected")),
        }
    }

    /// What a lease draws from; nothing slows a copy on this machine, nor what cannot be fetched at a pace (HTTP-15).
    fn pace(&self, job: JobId, source: &LeaseSource) -> Option<Pace> {
        match source {
            LeaseSource::Origin { remote, .. } if remote.dynamic => None,
            LeaseSource::Origin { .. } => Some(self.inner.paces.of(job, Line::Wan)),
            LeaseSource::Peer { .. } => Some(self.inner.paces.of(job, Line::Lan)),
            LeaseSource::Record(_) => None,
        }
    }

    /// Sets the rates of a job, or of the whole machine; leases that are at work keep to them at once.
    /// [`Rates::default`] lets go.
    pub fn set_rates(&self, job: Option<JobId>, rates: Rates) {
        self.inner.paces.set(job, rates);
    }

    /// Lets a lease end earlier.
    pub fn trim_lease(&self, lease: LeaseId, end: u64) {
        self.inner.tables.trim(lease, end);
    }

    /// Ends a lease now.
    pub fn stop_lease(&self, lease: LeaseId) {
        self.inner.tables.stop_lease(lease);
    }

    /// Sets how fast peers are served; what is being served keeps to it at once.
    pub fn set_serve_pace(&self, pace: ServePace) {
        self.inner.uploads.set(pace);
    }

    /// Reads, proves and sends what a peer asked for, inside a swarm by its values. Answered by exactly one
    /// [`Input::ServeEnded`].
    pub fn serve(&self, serve: Serve) {
        let Serve { id, peer, request, from, ranges, values, yields } = serve;
        let entry = self.inner.tables.enter_serve(id);
        let upload = self.inner.uploads.open(peer, ranges.iter().map(|range| range.len()).sum(), yields);
        let this = self.clone();
        let span = tracing::info_span!("serve", %peer, request = request.0);
        let work = async move {
            let (sent, outcome) = match this.inner.parts.swarm.block_sender(peer) {
                None => (0, ServeOutcome::PeerGone),
                Some(sender) => {
                    let serving = Serving { sender, request, ranges, upload, stop: entry.stop.clone() };
                    this.serve_from(serving, from, values).await
                }
            };
            drop(entry);
            this.tell(Input::ServeEnded { id, sent, outcome }).await;
        };
        self.spawn(work.instrument(span));
    }

    /// Ends an answer to a peer.
    pub fn stop_serve(&self, id: ServeId) {
        self.inner.tables.stop_serve(id);
    }

    /// Answers to peers that are being sent right now.
    #[must_use]
    pub fn serve_count(&self) -> usize {
        self.inner.tables.serve_count()
    }

    /// Whether any lease or answer is at work.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.inner.tables.lease_count() + self.inner.tables.serve_count() > 0
    }

    /// Waits until one more answer to a peer has ended.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn serve_ended(&self) {
        self.inner.tables.serve_ended().await;
    }

    /// Stops all leases, waits for every task, writes down what the journals do not have yet.
    ///
    /// # Cancel safety
    /// Tasks that were not waited for end by themselves; their journals may lack the last pieces, which are then
    /// fetched again.
    pub async fn shut_down(&self) {
        self.inner.tables.stop_all_leases();
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.flush_parts().await;
    }

    async fn tell(&self, fact: Input) {
        // When the node is going down nobody listens.
        drop(self.inner.parts.facts.send(fact).await);
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(work);
    }
}

/// The length of the file a lease works on, from whoever knows it.
fn file_len(source: &LeaseSource, accept: &Accept, span: Span) -> Option<u64> {
    let pinned = match source {
        LeaseSource::Origin { pinned, .. } => pinned.len,
        LeaseSource::Peer { .. } | LeaseSource::Record(_) => None,
    };
    let covered = match span {
        Span::Range(range) => Some(range.end()),
        Span::ToEnd => None,
    };
    accept.file_len().or(pinned).or(covered)
}
