//! Gives a peer what it asked for, proved in the very buffer that is sent (WIRE-7).
//!
//! Reading and hashing happen on a thread that may block, a few buffers ahead of the network: each peer has so much room
//! and no more. Knows: how a request is cut into blocks. Does not know: who may ask (the brain decided that before).

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::content::{ByteRange, Geometry};
use peer_proto::limits::BLOCK_LEN_MAX;
use peer_proto::session::RequestId;
use tokio_util::sync::CancellationToken;

use super::uploads::Upload;
use crate::engine::io::ServeOutcome;
use crate::swarm::{BlockSender, Gone, OutgoingBuffer};

/// A peer that takes no block for so long is gone, or might as well be.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// Reads pieces and proves them in the buffer they are read into. Blocks.
pub(super) trait PieceReader: Send + 'static {
    /// How the file is cut; `None` if nothing of it is held any more.
    fn geometry(&self) -> Option<Geometry>;
    /// Appends the bytes of consecutive pieces to `buffer`, if they still agree with their values.
    fn append(&mut self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), NotHeld>;
}

/// The piece is not there, or no longer what it was.
#[derive(Debug)]
pub(super) struct NotHeld;

/// One request being answered.
pub(super) struct Serving {
    pub(super) sender: BlockSender,
    pub(super) request: RequestId,
    pub(super) ranges: Vec<ByteRange>,
    pub(super) upload: Upload,
    pub(super) stop: CancellationToken,
}

/// Why an answer ended before its end.
enum Cut {
    NotHeld,
    PeerGone,
}

impl From<NotHeld> for Cut {
    fn from(_: NotHeld) -> Self {
        Self::NotHeld
    }
}

impl From<Gone> for Cut {
    fn from(_: Gone) -> Self {
        Self::PeerGone
    }
}

impl Serving {
    /// Sends all ranges in order. Returns payload bytes handed to the transport and how it ended.
    ///
    /// # Cancel safety
    /// What was sent was sent; a read that is under way ends by itself.
    pub(super) async fn run(self, reader: impl PieceReader) -> (u64, ServeOutcome) {
        let mut sent = 0;
        let ended = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Cut::PeerGone),
            ended = self.send_all(reader, &mut sent) => ended,
        };
        let outcome = match ended {
            Ok(()) => ServeOutcome::Sent,
            Err(Cut::NotHeld) => ServeOutcome::NotHeld,
            Err(Cut::PeerGone) => ServeOutcome::PeerGone,
        };
        (sent, outcome)
    }

    async fn send_all(&self, mut reader: impl PieceReader, sent: &mut u64) -> Result<(), Cut> {
        let geometry = reader.geometry().ok_or(NotHeld)?;
        for range in &self.ranges {
            for batch in batches(&geometry, *range)? {
                let batch = batch?;
                let buffer = self.sender.room(batch.len).await?;
                let reading = tokio::task::spawn_blocking(move || {
                    let read = batch.read(&mut reader, buffer);
                    (reader, read)
                });
                let (back, read) = reading.await.map_err(|_| NotHeld)?;
                reader = back;
                self.send(read?, sent).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, mut bytes: Bytes, sent: &mut u64) -> Result<(), Cut> {
        while !bytes.is_empty() {
            let block = u64::try_from(BLOCK_LEN.min(bytes.len())).unwrap_or(u64::MAX);
            let len = self.upload.turn(block).await;
            let block = bytes.split_to(usize::try_from(len).unwrap_or(BLOCK_LEN));
            let sending = self.sender.send(self.request, *sent, block);
            tokio::time::timeout(WRITE_STALL, sending).await.map_err(|_| Gone)??;
            *sent += len;
        }
        Ok(())
    }
}

const BLOCK_LEN: usize = BLOCK_LEN_MAX as usize;

/// Whole pieces that are read together, and what of them was asked for.
struct Batch {
    pieces: Range<u32>,
    len: usize,
    wanted: Range<usize>,
}

impl Batch {
    fn read(self, reader: &mut impl PieceReader, mut buffer: OutgoingBuffer) -> Result<Bytes, NotHeld> {
        reader.append(self.pieces, buffer.bytes())?;
        if buffer.bytes().len() < self.wanted.end {
            return Err(NotHeld);
        }
        Ok(buffer.freeze().slice(self.wanted))
    }
}

/// Cuts a range into batches: as many whole pieces as fit into a block, one at least.
fn batches(
    geometry: &Geometry,
    range: ByteRange,
) -> Result<impl Iterator<Item = Result<Batch, NotHeld>> + use<>, NotHeld> {
    if range.end() > geometry.len() {
        return Err(NotHeld);
    }
    let geometry = *geometry;
    let count = u32::try_from(u64::from(BLOCK_LEN_MAX) / geometry.piece_len()).unwrap_or(1).max(1);
    let step = usize::try_from(count).map_err(|_| NotHeld)?;
    let pieces = geometry.touched_pieces(range);
    let batch = move |first: u32| {
        let pieces = first..pieces.end.min(first.saturating_add(count));
        let whole = geometry.pieces_range(pieces.clone())?;
        let wanted = whole.intersection(range)?;
        let within = |at: u64| usize::try_from(at - whole.start()).ok();
        let wanted = within(wanted.start())?..within(wanted.end())?;
        Some(Batch { pieces, len: usize::try_from(whole.len()).ok()?, wanted })
    };
    Ok(geometry.touched_pieces(range).step_by(step).map(move |first| batch(first).ok_or(NotHeld)))
}
