//! The end of the pipe: hashes, compares, writes, tells. Runs on a thread that may block.
//!
//! A piece is written only after its value agreed, so a wrong byte of one source never lies over a proved byte of
//! another that worked on the same range. Knows: pieces, values, standings. Does not know: sources.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::content::{ByteRange, Geometry, Hash, PieceIndex};
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;
use peer_proto::verify::{HashList, PieceHasher, StreamHasher};
use tokio::sync::{mpsc, watch};

use super::fault::{broken_rule, local};
use super::lease::{Feed, Limit};
use super::part_table::NodePart;
use crate::clock::Clock;
use crate::disk::DiskError;
use crate::disk::part::Writer;
use crate::engine::io::{Accept, Input, LeaseFault, LeaseId};

/// Proved bytes are written together once there are so many: soon after they were hashed, while they are still in
/// the processor's own cache.
const WRITE_LEN: u64 = 128 * 1024;
/// Stored pieces are told together once there are so many bytes of them ...
const TELL_LEN: u64 = 2 * 1024 * 1024;
/// ... or so much time has passed.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What a sink has stored when it ends without a fault of its own.
pub(super) enum Sunk {
    /// The whole span as it was trimmed, and the length where it was not known before.
    All {
        /// Set where the span had no end.
        len: Option<u64>,
    },
    /// Less than that: the feed ended early.
    Part,
}

/// Takes chunks until the feed ends or it has all it wants.
pub(super) trait Sink: Send + 'static {
    fn run(self, feed: mpsc::Receiver<Feed>) -> Result<Sunk, LeaseFault>;
}

/// What every sink needs.
pub(super) struct SinkParts {
    pub(super) lease: LeaseId,
    pub(super) part: Arc<NodePart>,
    pub(super) facts: mpsc::Sender<Input>,
    pub(super) clock: Clock,
}

impl SinkParts {
    /// Makes a run durable enough and tells it.
    fn store(&self, mut run: PieceRun) -> Result<(), LeaseFault> {
        let outcome = match self.part.commit(&run) {
            Ok(()) => Ok(()),
            // Another source's bytes got mixed in: nobody's fault. That piece stays a gap, those before it count.
            Err(DiskError::NotHeld { piece, .. }) => {
                run.values.truncate(before(&run, piece));
                Err(LeaseFault::Stopped)
            }
            // What another source brought stays. Who of them is right the brain may know.
            Err(DiskError::Differs { piece, .. }) => {
                let value = run.values.get(before(&run, piece)).copied();
                run.values.truncate(before(&run, piece));
                if run.standing == Standing::Certain {
                    tracing::warn!(
                        lease = self.lease.0,
                        piece = piece.0,
                        "the origin's bytes are left out: another source's differ"
                    );
                }
                Err(value.map_or(LeaseFault::Stopped, |value| LeaseFault::Differs { piece, value }))
            }
            Err(error) => return Err(LeaseFault::Local(local(&error))),
        };
        if !run.values.is_empty() {
            // When the node is going down nobody listens; the journal has it.
            drop(self.facts.blocking_send(Input::PiecesStored { lease: self.lease, run }));
        }
        outcome
    }

    /// A part that was pinned without a length learns it.
    fn set_len(&self, len: u64) -> Result<(), LeaseFault> {
        self.part.set_len(len).map_err(|error| LeaseFault::Local(local(&error)))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), LeaseFault> {
        self.part
            .write_at(Writer(self.lease.0), offset, bytes)
            .map_err(|error| LeaseFault::Local(local(&error)))
    }
}

/// How many pieces of a run lie before one of them.
fn before(run: &PieceRun, piece: PieceIndex) -> usize {
    usize::try_from(piece.0.saturating_sub(run.first.0)).unwrap_or(usize::MAX)
}

/// Stores whole pieces of a file of known length.
pub(super) struct PieceSink {
    parts: SinkParts,
    geometry: Geometry,
    accept: Accept,
    limit: watch::Receiver<Limit>,
    /// Where it ends, as it was said before it was stopped.
    wanted: u64,
    /// The piece being hashed, if any byte of it came.
    hasher: Option<PieceHasher>,
    /// Where the next byte from the feed belongs.
    next: u64,
    /// Bytes not yet written, the first of them at `written`.
    held: VecDeque<Bytes>,
    written: u64,
    /// Everything before this offset agrees.
    agreed: u64,
    /// The same for whoever waits for it.
    proved: watch::Sender<u64>,
    /// Pieces that agree and were not told: the first, and their values.
    first: PieceIndex,
    values: Vec<Hash>,
    told: Instant,
}

impl PieceSink {
    /// A sink for `range`, which starts at a piece's start.
    pub(super) fn new(
        parts: SinkParts,
        geometry: Geometry,
        range: ByteRange,
        accept: Accept,
        limit: watch::Receiver<Limit>,
    ) -> Result<Self, LeaseFault> {
        let first = geometry.touched_pieces(range).start;
        let starts_whole = u64::from(first) * geometry.piece_len() == range.start();
        if !starts_whole || range.end() > geometry.len() {
            return Err(broken_rule("a lease is made of whole pieces"));
        }
        if accept.file_len().is_some_and(|len| len != geometry.len()) {
            return Err(broken_rule("a lease's values are of a file of its length"));
        }
        let told = parts.clock.monotonic();
        Ok(Self {
            parts,
            geometry,
            accept,
            limit,
            wanted: range.end(),
            hasher: None,
            next: range.start(),
            held: VecDeque::new(),
            written: range.start(),
            agreed: range.start(),
            proved: watch::Sender::new(range.start()),
            first: PieceIndex(first),
            values: Vec::new(),
            told,
        })
    }

    /// Up to where everything agrees; it ends with the sink.
    pub(super) fn proved(&self) -> watch::Receiver<u64> {
        self.proved.subscribe()
    }

    /// Where this lease ends now; where it stands if it was stopped.
    fn end(&mut self) -> u64 {
        match *self.limit.borrow() {
            Limit::Until(end) => {
                self.wanted = end.min(self.geometry.len());
                self.wanted
            }
            Limit::Stopped => self.next.min(self.wanted),
        }
    }

    fn take(&mut self, mut chunk: Bytes) -> Result<(), LeaseFault> {
        let room = usize::try_from(self.end().saturating_sub(self.next)).unwrap_or(usize::MAX);
        chunk.truncate(room);
        // Held before it is hashed: if a later piece of it is wrong, those before it are written all the same.
        self.held.push_back(chunk.clone());
        self.hash(&chunk)?;
        if self.agreed - self.written >= WRITE_LEN {
            self.write_agreed()?;
        }
        let untold = u64::try_from(self.values.len()).unwrap_or(u64::MAX) * self.geometry.piece_len();
        if untold >= TELL_LEN { self.tell() } else { Ok(()) }
    }

    fn hash(&mut self, mut bytes: &[u8]) -> Result<(), LeaseFault> {
        while !bytes.is_empty() {
            let hasher = match &mut self.hasher {
                Some(hasher) => hasher,
                None => {
                    let piece =
                        self.geometry.piece_at(self.next).ok_or_else(|| broken_rule("past the end"))?;
                    let hasher = PieceHasher::new(&self.geometry, piece)
                        .map_err(|_| broken_rule("a piece of the file can be hashed"))?;
                    self.hasher.insert(hasher)
                }
            };
            let missing = usize::try_from(hasher.missing()).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            hasher.update(now).map_err(|_| broken_rule("a piece takes what it misses"))?;
            self.next += u64::try_from(now.len()).unwrap_or(u64::MAX);
            bytes = later;
            if let Some(full) = self.hasher.take_if(|hasher| hasher.missing() == 0) {
                self.agree(&full)?;
            }
        }
        Ok(())
    }

    fn agree(&mut self, hasher: &PieceHasher) -> Result<(), LeaseFault> {
        let piece = hasher.piece();
        let value = hasher.finish().map_err(|_| broken_rule("a full piece has a value"))?;
        if self.is_wrong(piece, value) {
            // What agreed before is true whatever follows.
            self.tell()?;
            return Err(LeaseFault::WrongBytes { piece });
        }
        self.values.push(value);
        self.agreed = self.next;
        self.proved.send_replace(self.agreed);
        Ok(())
    }

    fn is_wrong(&self, piece: PieceIndex, value: Hash) -> bool {
        match (&self.accept, self.accept.value(piece)) {
            (_, Some(expected)) => expected != value,
            (Accept::Certain { check }, None) => check.is_some(),
            (Accept::Listed { .. } | Accept::Stated { .. }, None) => true,
        }
    }

    fn write_agreed(&mut self) -> Result<(), LeaseFault> {
        // Not before a piece agreed: a length that a peer merely stated must not stick.
        self.parts.set_len(self.geometry.len())?;
        let run =
            PieceRun { first: self.first, values: self.values.clone(), standing: self.accept.standing() };
        self.parts.part.make_room(&run).map_err(|error| LeaseFault::Local(local(&error)))?;
        while self.written < self.agreed {
            let Some(chunk) = self.held.front_mut() else {
                return Err(broken_rule("bytes that agree are still held"));
            };
            let ready = usize::try_from(self.agreed - self.written).unwrap_or(usize::MAX).min(chunk.len());
            let bytes = chunk.split_to(ready);
            if chunk.is_empty() {
                self.held.pop_front();
            }
            self.parts.write(self.written, &bytes)?;
            self.written += u64::try_from(ready).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Writes and tells all that agrees.
    fn tell(&mut self) -> Result<(), LeaseFault> {
        self.told = self.parts.clock.monotonic();
        if self.values.is_empty() {
            return Ok(());
        }
        self.write_agreed()?;
        let values = std::mem::take(&mut self.values);
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let run = PieceRun { first: self.first, values, standing: self.accept.standing() };
        self.first = PieceIndex(self.first.0.saturating_add(count));
        self.parts.store(run)
    }
}

impl Sink for PieceSink {
    fn run(mut self, mut feed: mpsc::Receiver<Feed>) -> Result<Sunk, LeaseFault> {
        while self.agreed < self.end() {
            match feed.blocking_recv() {
                Some(Feed::Chunk(chunk)) => self.take(chunk)?,
                Some(Feed::Tick) if self.parts.clock.monotonic().since(self.told) >= TELL_EVERY => {
                    self.tell()?;
                }
                Some(Feed::Tick) => {}
                Some(Feed::End) | None => break,
            }
        }
        self.tell()?;
        self.end();
        Ok(if self.agreed >= self.wanted { Sunk::All { len: None } } else { Sunk::Part })
    }
}

/// Stores a body whose length nobody told: everything from zero until its good end.
pub(super) struct StreamSink {
    parts: SinkParts,
    check: Option<Arc<HashList>>,
}

impl StreamSink {
    pub(super) fn new(parts: SinkParts, accept: Accept) -> Result<Self, LeaseFault> {
        match accept {
            Accept::Certain { check } => Ok(Self { parts, check }),
            Accept::Listed { .. } | Accept::Stated { .. } => {
                Err(broken_rule("only the origin gives a file without its length"))
            }
        }
    }

    fn finish(self, hasher: StreamHasher) -> Result<Sunk, LeaseFault> {
        let len = hasher.len();
        let list =
            hasher.finish().map_err(|_| broken_rule("a file of this length can be cut into pieces"))?;
        if let Some(check) = &self.check
            && check.content() != list.content()
        {
            let wrong = (0..list.geometry().piece_count())
                .map(PieceIndex)
                .find(|piece| check.value(*piece) != list.value(*piece));
            return Err(LeaseFault::WrongBytes { piece: wrong.unwrap_or(PieceIndex(0)) });
        }
        self.parts.set_len(len)?;
        if !list.values().is_empty() {
            let run = PieceRun {
                first: PieceIndex(0),
                values: list.values().to_vec(),
                standing: Standing::Certain,
            };
            self.parts.part.make_room(&run).map_err(|error| LeaseFault::Local(local(&error)))?;
            self.parts.store(run)?;
        }
        Ok(Sunk::All { len: Some(len) })
    }
}

impl Sink for StreamSink {
    fn run(self, mut feed: mpsc::Receiver<Feed>) -> Result<Sunk, LeaseFault> {
        let mut hasher = StreamHasher::new();
        loop {
            match feed.blocking_recv() {
                Some(Feed::Chunk(chunk)) => {
                    self.parts.write(hasher.len(), &chunk)?;
                    hasher.update(&chunk);
                }
                Some(Feed::Tick) => {}
                Some(Feed::End) => return self.finish(hasher),
                None => return Ok(Sunk::Part),
            }
        }
    }
}
