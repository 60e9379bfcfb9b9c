//! One lease: bytes from one source through one pipe onto the disk, proved on the way.
//!
//! The network is read on an async task, hashing and writing happen on a thread of their own: neither waits for the
//! other longer than a few chunks. Knows: when a lease is at its end and what to report. Does not know: where the
//! bytes come from (`origin_lease`, `peer_lease`) or what is done with a chunk (`sink`).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::cache_lease::CacheSource;
use super::origin_lease::OriginSource;
use super::pace::Pace;
use super::peer_lease::PeerSource;
use super::sink::{Sink, Sunk};
use crate::engine::io::{Input, LeaseFault, LeaseId, LocalFault, LocalFaultKind};

/// Chunks on the way from the network to the disk.
const CHUNKS_IN_FLIGHT: usize = 16;
/// The same of a peer, whose next block is not taken before the pieces in front of it are proved.
const BLOCKS_IN_FLIGHT: usize = 1;
/// How often progress is told, and pieces that wait for company are written.
const TICK: Duration = Duration::from_millis(100);

/// How far a lease may go; the brain changes it while the lease runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    /// Up to this offset in the file.
    Until(u64),
    /// Not a byte more.
    Stopped,
}

/// What goes through the pipe.
pub(super) enum Feed {
    /// The next bytes.
    Chunk(Bytes),
    /// Some time has passed: write and tell what is ready.
    Tick,
    /// The source ended in good order; without it the pipe was cut.
    End,
}

/// Where the bytes of a lease come from.
pub(super) enum Source {
    Origin(Box<OriginSource>),
    Peer(PeerSource),
    Cache(CacheSource),
}

impl Source {
    /// Chunks that may wait to be looked at.
    const fn in_flight(&self) -> usize {
        match self {
            Self::Peer(_) => BLOCKS_IN_FLIGHT,
            Self::Origin(_) | Self::Cache(_) => CHUNKS_IN_FLIGHT,
        }
    }

    /// Says that bytes will be taken in slices of this length. Peers' blocks have their own.
    fn limit_read(&mut self, len: u64) {
        match self {
            Self::Origin(source) => source.limit_read(len),
            Self::Peer(_) | Self::Cache(_) => {}
        }
    }

    /// The next bytes, in order; `None` at the good end.
    ///
    /// Not cancel safe: once polled, it is polled to its end or dropped with the source.
    async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        match self {
            Self::Origin(source) => source.next().await,
            Self::Peer(source) => source.next().await,
            Self::Cache(source) => source.next().await,
        }
    }
}

/// What a lease needs beside its source and its sink.
pub(super) struct Pipe {
    pub(super) lease: LeaseId,
    pub(super) limit: watch::Receiver<Limit>,
    pub(super) facts: mpsc::Sender<Input>,
    pub(super) pace: Option<Pace>,
}

/// How a lease ended, before it is told.
pub(super) struct Ended {
    pub(super) received: u64,
    pub(super) len: Option<u64>,
    pub(super) outcome: Result<(), LeaseFault>,
}

impl Ended {
    pub(super) const fn failed(fault: LeaseFault) -> Self {
        Self { received: 0, len: None, outcome: Err(fault) }
    }
}

/// Does `work` and tells how it ended exactly once, even if it panics.
pub(super) async fn report(lease: LeaseId, facts: mpsc::Sender<Input>, work: impl Future<Output = Ended>) {
    let ended = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Ended::failed(broken()));
    let Ended { received, len, outcome } = ended;
    if let Err(fault) = &outcome {
        tracing::debug!(%fault, received, "lease ended early");
    }
    // Nobody hears it when the node is going down; then nobody needs to.
    drop(facts.send(Input::LeaseEnded { lease, received, len, outcome }).await);
}

/// A lease's thread broke: our fault, not the source's.
fn broken() -> LeaseFault {
    LeaseFault::Local(LocalFault {
        kind: LocalFaultKind::Io,
        message: "an internal error ended a transfer; it is tried again".into(),
    })
}

impl Pipe {
    /// Moves everything from `source` into `sink` until the source, the sink or the brain ends it.
    pub(super) async fn run(mut self, mut source: Source, sink: impl Sink) -> Ended {
        let (feed, chunks) = mpsc::channel(source.in_flight());
        let span = tracing::Span::current();
        let sinking = tokio::task::spawn_blocking(move || span.in_scope(|| sink.run(chunks)));
        let mut received = 0;
        let fetched = self.fetch(&mut source, feed, &mut received).await;
        drop(source);
        let sunk = sinking.await.unwrap_or_else(|_| Err(broken()));
        let is_stopped = *self.limit.borrow() == Limit::Stopped;
        let (len, outcome) = match (sunk, fetched) {
            (Err(fault), _) => (None, Err(fault)),
            (Ok(Sunk::All { len }), _) => (len, Ok(())),
            (Ok(Sunk::Part), _) if is_stopped => (None, Err(LeaseFault::Stopped)),
            (Ok(Sunk::Part), Err(fault)) => (None, Err(fault)),
            // The source says that was all, and it was too little.
            (Ok(Sunk::Part), Ok(())) => (None, Err(LeaseFault::PeerLost)),
        };
        Ended { received, len, outcome }
    }

    async fn fetch(
        &mut self,
        source: &mut Source,
        feed: mpsc::Sender<Feed>,
        received: &mut u64,
    ) -> Result<(), LeaseFault> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            if let Some(pace) = &self.pace {
                source.limit_read(pace.slice(u64::MAX));
            }
            let chunk = {
                let mut next = std::pin::pin!(source.next());
                loop {
                    tokio::select! {
                        biased;
                        _ = ticks.tick() => self.tick(&feed, *received, &mut told).await,
                        () = stopped(&mut self.limit) => return Err(LeaseFault::Stopped),
                        chunk = &mut next => break chunk?,
                    }
                }
            };
            let Some(mut chunk) = chunk else {
                drop(feed.send(Feed::End).await);
                return Ok(());
            };
            while !chunk.is_empty() {
                let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                let slice = self.pace.as_ref().map_or(len, |pace| pace.slice(len));
                let passes = self.pass(slice, &feed, *received, &mut told, &mut ticks).await;
                // What has come was received, whether or not it is wanted any more.
                *received += if passes.is_ok() { slice } else { len };
                passes?;
                let slice = chunk.split_to(usize::try_from(slice).unwrap_or(usize::MAX));
                // A sink that is gone has all it wanted, or says itself what is wrong.
                if feed.send(Feed::Chunk(slice)).await.is_err() {
                    *received += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                    return Ok(());
                }
            }
        }
    }

    /// Waits until the rates let a slice of what has come pass.
    async fn pass(
        &mut self,
        slice: u64,
        feed: &mpsc::Sender<Feed>,
        received: u64,
        told: &mut u64,
        ticks: &mut tokio::time::Interval,
    ) -> Result<(), LeaseFault> {
        let Some(pace) = self.pace.clone() else { return Ok(()) };
        let mut taking = std::pin::pin!(pace.take(slice));
        loop {
            tokio::select! {
                biased;
                () = &mut taking => return Ok(()),
                () = stopped(&mut self.limit) => return Err(LeaseFault::Stopped),
                _ = ticks.tick() => {
                    self.tick(feed, received, told).await;
                    drop(self.facts.send(Input::LeaseHeld { lease: self.lease }).await);
                }
            }
        }
    }

    async fn tick(&self, feed: &mpsc::Sender<Feed>, received: u64, told: &mut u64) {
        // A full pipe needs no reminder.
        drop(feed.try_send(Feed::Tick));
        if received > *told {
            *told = received;
            drop(self.facts.send(Input::Progress { lease: self.lease, received }).await);
        }
    }
}

/// Waits until the brain stops the lease, or nobody can any more.
pub(super) async fn stopped(limit: &mut watch::Receiver<Limit>) {
    // An error means that the table of leases is gone: the node is going down.
    drop(limit.wait_for(|limit| *limit == Limit::Stopped).await);
}
