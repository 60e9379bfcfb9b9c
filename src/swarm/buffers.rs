//! Buffers for blocks, used again.
//!
//! Knows: that a fresh 256 KiB costs page faults and zeroing, and one that was just freed does not. Does not know:
//! what is in them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use peer_proto::limits::BLOCK_LEN_MAX;

use super::limits::POOLED_BUFFERS_MAX;
use super::link::locked;

/// Blocks up to this long get a buffer of just their length.
const SMALL: usize = 32 * 1024;
const LARGE: usize = BLOCK_LEN_MAX as usize;

/// Freed buffers, kept for the next block; 4 MiB at most.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

/// Room for one block. Its memory goes back to [`Buffers`] when the last [`Bytes`] of it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    /// Room for `len` bytes, at most one block; what is in it is left over from before.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let bytes = if len <= SMALL {
            vec![0; len]
        } else {
            let freed = locked(&self.free).pop();
            freed.unwrap_or_else(|| vec![0; LARGE.max(len)])
        };
        Buffer { bytes, len, home: Arc::clone(self) }
    }
}

impl Buffer {
    /// The room, to be filled entirely.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// The filled buffer as bytes that can be shared, without a copy.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() < LARGE {
            return;
        }
        let mut free = locked(&self.home.free);
        if free.len() < POOLED_BUFFERS_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_makes_room_for_the_next() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = buffers.take(LARGE);
        buffer.room().fill(7);
        let bytes = buffer.freeze();
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(locked(&buffers.free).len(), 0, "still used");
        drop(part);
        assert_eq!(locked(&buffers.free).len(), 1);
        assert_eq!(buffers.take(SMALL + 1).room().len(), SMALL + 1);
    }

    #[test]
    fn no_more_than_4_mib_are_kept() {
        let buffers = Arc::new(Buffers::default());
        let many: Vec<_> = (0..100).map(|_| buffers.take(LARGE)).collect();
        drop(many);
        assert_eq!(locked(&buffers.free).len(), POOLED_BUFFERS_MAX);
        drop(buffers.take(100));
        assert_eq!(locked(&buffers.free).len(), POOLED_BUFFERS_MAX);
    }
}
