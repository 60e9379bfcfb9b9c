//! The tasks that read and write one connection's streams.
//!
//! Knows: framing, deadlines for started frames and stalled writes (T6), the order Connected, frames, Lost. Does
//! not know: what frames mean.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use peer_proto::wire::{BLOCK_HEADER_LEN, BlockHeader, FRAME_HEADER_LEN, Frame, codec};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::SwarmEvent;
use super::blocks::{Block, Way};
use super::limits::{FRAME_TIMEOUT, STALL_TIMEOUT};
use super::link::{Link, Queued};

/// What is written after a link was told to end gets so long: the words of a goodbye.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The peer closed it in good order.
    #[error("closed by the peer")]
    Closed,
    /// The connection is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A started frame did not end, or a write made no progress.
    #[error("stalled")]
    Stalled,
    /// The peer broke the protocol.
    #[error("{0}")]
    Broken(String),
    /// Nobody listens to this swarm any more.
    #[error("the node is stopping")]
    Deaf,
}

/// The life of a link: tells `Connected`, then every frame, then `Lost`. Waits for `before`, the end of an earlier
/// link to the same peer, so that the two never overlap for whoever listens.
pub(super) async fn control(
    link: &Link,
    stream: Stream,
    queue: mpsc::Receiver<Bytes>,
    connected: SwarmEvent,
    events: mpsc::Sender<SwarmEvent>,
    before: Option<CancellationToken>,
) {
    if let Some(before) = before {
        before.cancelled().await;
    }
    let peer = link.peer;
    if events.send(connected).await.is_ok() {
        let ended = exchange(link, stream, queue, &events).await;
        tracing::debug!(%peer, reason = %ended, "control stream ended");
        if let Ended::Broken(message) = ended {
            link.break_off(message);
        }
        if let Some(message) = link.fault() {
            let message = message.to_owned();
            // The next line's failure says the same: nobody listens any more.
            let _ = events.send(SwarmEvent::BadFrame { peer, message }).await;
        }
        let _ = events.send(SwarmEvent::Lost { peer }).await;
    }
    link.stop.cancel();
    link.close_routes();
    link.ended.cancel();
}

/// Reads and writes side by side until either ends or the link is told to.
async fn exchange(
    link: &Link,
    stream: Stream,
    mut queue: mpsc::Receiver<Bytes>,
    events: &mpsc::Sender<SwarmEvent>,
) -> Ended {
    let (mut reader, writer) = stream.split();
    let mut writer = FrameWriter { writer, current: Bytes::new() };
    let reading = async {
        loop {
            let frame = read_frame(&mut reader).await?;
            events.send(SwarmEvent::Frame { peer: link.peer, frame }).await.map_err(|_| Ended::Deaf)?;
        }
    };
    let ended: Result<(), Ended> = tokio::select! {
        biased;
        () = link.stop.cancelled() => Err(Ended::Closed),
        read = reading => read,
        written = writer.write_queued(link, &mut queue, Until::Forever) => written,
    };
    if link.stop.is_cancelled() {
        let last = async {
            writer.write_queued(link, &mut queue, Until::Empty).await?;
            Ok::<_, Ended>(writer.writer.close().await?)
        };
        // Best effort: the connection closes either way.
        let _ = timeout(LAST_WORDS, last).await;
    }
    ended.err().unwrap_or(Ended::Closed)
}

/// How long [`FrameWriter::write_queued`] goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Forever,
    Empty,
}

/// Writes frames whole: a write that was dropped half-way is taken up where it stopped.
struct FrameWriter<W> {
    writer: W,
    /// What is left of the frame being written.
    current: Bytes,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    async fn write_queued(
        &mut self,
        link: &Link,
        queue: &mut mpsc::Receiver<Bytes>,
        until: Until,
    ) -> Result<(), Ended> {
        loop {
            while !self.current.is_empty() {
                let written = timeout(STALL_TIMEOUT, self.writer.write(&self.current));
                let count = written.await.map_err(|_| Ended::Stalled)??;
                if count == 0 {
                    return Err(Ended::Closed);
                }
                self.current.advance(count);
                link.unqueue(count);
            }
            self.current = match (queue.try_recv(), until) {
                (Ok(bytes), _) => bytes,
                (Err(_), Until::Empty) => return flush(&mut self.writer).await,
                (Err(_), Until::Forever) => {
                    flush(&mut self.writer).await?;
                    queue.recv().await.ok_or(Ended::Closed)?
                }
            };
        }
    }
}

/// The next frame. Its first byte may take for ever; the rest of it may not.
async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Ended> {
    let mut header = [0; FRAME_HEADER_LEN];
    if reader.read(&mut header[..1]).await? == 0 {
        return Err(Ended::Closed);
    }
    let rest = async {
        reader.read_exact(&mut header[1..]).await?;
        let header = codec::decode_header(&header).map_err(|error| Ended::Broken(error.to_string()))?;
        let len = usize::try_from(header.len).map_err(|_| Ended::Stalled)?;
        let mut body = BytesMut::zeroed(len);
        reader.read_exact(&mut body).await?;
        codec::decode_body(header, body.freeze()).map_err(|error| Ended::Broken(error.to_string()))
    };
    timeout(FRAME_TIMEOUT, rest).await.map_err(|_| Ended::Stalled)?
}

/// Reads the blocks a peer sends on one data stream and hands each to its request. Waits with the taker: that is
/// the back-pressure. Anything unexpected ends the connection.
pub(super) async fn take_blocks(link: Arc<Link>, mut stream: Stream) {
    let taken = async {
        loop {
            take_block(&link, &mut stream).await?;
        }
    };
    let ended: Result<(), Ended> = tokio::select! {
        biased;
        () = link.stop.cancelled() => return,
        taken = taken => taken,
    };
    match ended {
        Ok(()) | Err(Ended::Closed) => {}
        Err(Ended::Broken(message)) => link.break_off(message),
        Err(error) => {
            tracing::debug!(peer = %link.peer, %error, "a data stream from the peer ended");
            link.stop.cancel();
        }
    }
}

async fn take_block(link: &Link, stream: &mut Stream) -> Result<(), Ended> {
    let mut header = [0; BLOCK_HEADER_LEN];
    let first = stream.read(&mut header).await?;
    if first == 0 {
        return Err(Ended::Closed);
    }
    timeout(FRAME_TIMEOUT, stream.read_exact(&mut header[first..])).await.map_err(|_| Ended::Stalled)??;
    let header = BlockHeader::decode(&header).map_err(|error| Ended::Broken(error.to_string()))?;
    let way = link.route(header).map_err(|error| Ended::Broken(error.to_string()))?;
    let len = usize::try_from(header.len).map_err(|_| Ended::Stalled)?;
    let mut buffer = link.buffers().take(len);
    read_all(stream, buffer.room()).await?;
    if let Way::Deliver(blocks) = way {
        // A dropped receiver is a cancelled request: the route knows already.
        let _ = blocks.send(Block { offset: header.offset, bytes: buffer.freeze() }).await;
    }
    Ok(())
}

/// Writes the blocks queued for one data stream; flushes when none waits.
pub(super) async fn give_blocks(link: Arc<Link>, mut stream: Stream, mut queue: mpsc::Receiver<Queued>) {
    let given = async {
        loop {
            let next = match queue.try_recv() {
                Ok(next) => next,
                Err(_) => {
                    flush(&mut stream).await?;
                    queue.recv().await.ok_or(Ended::Closed)?
                }
            };
            write(&mut stream, &next.header.encode()).await?;
            write(&mut stream, &next.bytes).await?;
        }
    };
    let ended: Result<(), Ended> = tokio::select! {
        biased;
        () = link.stop.cancelled() => return,
        given = given => given,
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %link.peer, %error, "a data stream to the peer ended");
    }
    link.stop.cancel();
}

/// Writes all of `bytes`; [`Ended::Stalled`] if nothing at all can be written for ten seconds.
async fn write(writer: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> Result<(), Ended> {
    while !bytes.is_empty() {
        let count = timeout(STALL_TIMEOUT, writer.write(bytes)).await.map_err(|_| Ended::Stalled)??;
        if count == 0 {
            return Err(Ended::Closed);
        }
        bytes = &bytes[count..];
    }
    Ok(())
}

async fn flush(writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
    Ok(timeout(STALL_TIMEOUT, writer.flush()).await.map_err(|_| Ended::Stalled)??)
}

/// Fills `room`; [`Ended::Stalled`] if nothing at all arrives for ten seconds.
async fn read_all(reader: &mut (impl AsyncRead + Unpin), mut room: &mut [u8]) -> Result<(), Ended> {
    while !room.is_empty() {
        let count = timeout(STALL_TIMEOUT, reader.read(room)).await.map_err(|_| Ended::Stalled)??;
        if count == 0 {
            return Err(Ended::Closed);
        }
        room = &mut room[count..];
    }
    Ok(())
}
