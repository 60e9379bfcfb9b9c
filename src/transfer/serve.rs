//! Gives a peer what it asked for, proved in the very buffer that is sent (WIRE-7).
//!
//! Reading and hashing happen on a thread of their own, one buffer ahead of the network. Knows: how a request is cut
//! into blocks. Does not know: who may ask (the brain decided that before).

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::content::{ByteRange, Geometry};
use peer_proto::limits::BLOCK_LEN_MAX;
use peer_proto::session::RequestId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::io::ServeOutcome;
use crate::swarm::BlockSender;

/// A peer that takes no block for so long is gone, or might as well be.
const WRITE_STALL: Duration = Duration::from_secs(10);
/// Buffers that were read and wait for the network.
const BUFFERS_AHEAD: usize = 2;

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
    pub(super) stop: CancellationToken,
}

impl Serving {
    /// Sends all ranges in order. Returns payload bytes handed to the transport and how it ended.
    ///
    /// # Cancel safety
    /// What was sent was sent; the reading thread ends with its channel.
    pub(super) async fn run(self, reader: impl PieceReader) -> (u64, ServeOutcome) {
        let Self { sender, request, ranges, stop } = self;
        let (buffers, mut ready) = mpsc::channel(BUFFERS_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(reader, &ranges, &buffers));
        let mut sent = 0;
        while let Some(bytes) = tokio::select! {
            biased;
            () = stop.cancelled() => return (sent, ServeOutcome::PeerGone),
            bytes = ready.recv() => bytes,
        } {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let is_sent = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                result = tokio::time::timeout(WRITE_STALL, sender.send(request, sent, bytes)) => {
                    matches!(result, Ok(Ok(())))
                }
            };
            if !is_sent {
                return (sent, ServeOutcome::PeerGone);
            }
            sent += len;
        }
        match reading.await {
            Ok(Ok(())) => (sent, ServeOutcome::Sent),
            Ok(Err(NotHeld)) | Err(_) => (sent, ServeOutcome::NotHeld),
        }
    }
}

/// Reads the ranges piece by piece and hands them over in blocks.
fn read(
    mut reader: impl PieceReader,
    ranges: &[ByteRange],
    buffers: &mpsc::Sender<Bytes>,
) -> Result<(), NotHeld> {
    let block_len = usize::try_from(BLOCK_LEN_MAX).unwrap_or(usize::MAX);
    let geometry = reader.geometry().ok_or(NotHeld)?;
    for range in ranges {
        if range.end() > geometry.len() {
            return Err(NotHeld);
        }
        // As many whole pieces as fit into a block, one at least.
        let batch_count = u32::try_from(u64::from(BLOCK_LEN_MAX) / geometry.piece_len()).unwrap_or(1).max(1);
        let pieces = geometry.touched_pieces(*range);
        let mut first = pieces.start;
        while first < pieces.end {
            let end = pieces.end.min(first.saturating_add(batch_count));
            let batch = geometry.pieces_range(first..end).ok_or(NotHeld)?;
            let mut buffer = Vec::with_capacity(usize::try_from(batch.len()).map_err(|_| NotHeld)?);
            reader.append(first..end, &mut buffer)?;
            let wanted = batch.intersection(*range).ok_or(NotHeld)?;
            let skip = usize::try_from(wanted.start() - batch.start()).map_err(|_| NotHeld)?;
            let len = usize::try_from(wanted.len()).map_err(|_| NotHeld)?;
            if buffer.len() < skip.saturating_add(len) {
                return Err(NotHeld);
            }
            let mut bytes = Bytes::from(buffer).slice(skip..skip + len);
            while !bytes.is_empty() {
                let block = bytes.split_to(block_len.min(bytes.len()));
                if buffers.blocking_send(block).is_err() {
                    return Ok(());
                }
            }
            first = end;
        }
    }
    Ok(())
}
