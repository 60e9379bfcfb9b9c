//! Memory for what one peer is being sent: a bounded number of buffers, used again and again.
//!
//! Knows: that whoever reads ahead of the network has to wait for room, and that a buffer which was just sent is still
//! in the processor's cache. Does not know: what is in a buffer, which request it is for.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::blocks::{BLOCK_MAX, Gone};
use super::limits::OUTGOING_BUFFERS_MAX;
use super::link::locked;

/// The buffers of one connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    room: Arc<Semaphore>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// An empty buffer to be filled with bytes for one peer. Its memory can be taken again once the last [`Bytes`] of it
/// is dropped.
#[derive(Debug)]
pub struct OutgoingBuffer {
    bytes: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Given back after the memory: whoever waits for room finds it.
    _room: OwnedSemaphorePermit,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        let room = Semaphore::new(usize::try_from(OUTGOING_BUFFERS_MAX).unwrap_or(1));
        Self { room: Arc::new(room), free: Arc::default() }
    }

    /// An empty buffer for `len` bytes. Waits until there is room, in turn: at most 2 MiB are held for a peer, or two
    /// pieces where those are longer.
    ///
    /// # Cancel safety
    /// Dropping the future loses its place in the queue and nothing else.
    pub(super) async fn take(&self, len: usize) -> Result<OutgoingBuffer, Gone> {
        let cost = if len <= BLOCK_MAX { 1 } else { OUTGOING_BUFFERS_MAX / 2 };
        let room = Arc::clone(&self.room).acquire_many_owned(cost).await.map_err(|_| Gone)?;
        let freed = if len <= BLOCK_MAX { locked(&self.free).pop() } else { None };
        let bytes = freed.unwrap_or_else(|| Vec::with_capacity(len.max(BLOCK_MAX)));
        Ok(OutgoingBuffer { bytes, home: Arc::clone(&self.free), _room: room })
    }
}

impl OutgoingBuffer {
    /// What is in it so far; more is appended.
    pub const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The filled buffer as bytes that can be shared, without a copy.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for OutgoingBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for OutgoingBuffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() == BLOCK_MAX {
            bytes.clear();
            locked(&self.home).push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn now(outgoing: &Outgoing, len: usize) -> Option<OutgoingBuffer> {
        outgoing.take(len).now_or_never().map(Result::unwrap)
    }

    #[test]
    fn whoever_reads_ahead_waits_until_something_was_sent() {
        let outgoing = Outgoing::new();
        let mut all: Vec<Bytes> =
            std::iter::from_fn(|| Some(now(&outgoing, BLOCK_MAX)?.freeze())).take(100).collect();
        assert_eq!(all.len(), usize::try_from(OUTGOING_BUFFERS_MAX).unwrap());
        assert!(now(&outgoing, 1).is_none(), "there is no room");
        all.pop();
        assert!(now(&outgoing, 1).is_some());
    }

    #[test]
    fn no_more_than_two_long_pieces_are_held() {
        let outgoing = Outgoing::new();
        let first = now(&outgoing, BLOCK_MAX + 1);
        let second = now(&outgoing, 4 << 20);
        assert!(first.is_some() && second.is_some());
        assert!(now(&outgoing, 1).is_none(), "there is no room");
        drop(first);
        assert!(now(&outgoing, 4 << 20).is_some());
    }

    #[test]
    fn memory_is_used_again_once_the_last_of_its_bytes_is_gone() {
        let outgoing = Outgoing::new();
        let mut buffer = now(&outgoing, 100).unwrap();
        buffer.bytes().extend_from_slice(b"some bytes");
        let bytes = buffer.freeze();
        let part = bytes.slice(5..);
        drop(bytes);
        assert_eq!(locked(&outgoing.free).len(), 0, "still used: {part:?}");
        drop(part);
        assert_eq!(locked(&outgoing.free).len(), 1);
        assert!(now(&outgoing, 100).unwrap().bytes().is_empty());
        assert_eq!(locked(&outgoing.free).len(), 1);
    }
}
