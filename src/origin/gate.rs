//! Bounds what a head may read: hyper skips any number of interim answers, we do not. Bounds also what is read of a
//! body in one go, for readers that take their time.
//!
//! Knows: how many bytes may still come before a head is complete. Does not know: what they say.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Stream;

/// A stream that stops reading when the head's budget is spent.
pub(super) struct Gated {
    stream: Stream,
    gate: Gate,
}

/// The budget, shared with whoever waits for the head.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    /// Bytes the head may still have.
    head: AtomicUsize,
    /// Bytes that are read in one go.
    read: AtomicUsize,
}

impl Gate {
    /// A gate that lets everything through.
    pub(super) fn new() -> Self {
        Self(Arc::new(Bounds { head: AtomicUsize::new(OPEN), read: AtomicUsize::new(OPEN) }))
    }

    /// From here on a head is expected: at most `limit` bytes.
    pub(super) fn expect_head(&self, limit: usize) {
        self.0.head.store(limit, Ordering::Relaxed);
        self.0.read.store(OPEN, Ordering::Relaxed);
    }

    /// From here on at most so many bytes are read in one go, until the next head is expected.
    pub(super) fn limit_read(&self, len: usize) {
        self.0.read.store(len.max(1), Ordering::Relaxed);
    }

    /// The head is there: bodies are bounded by whoever reads them.
    pub(super) fn open(&self) {
        self.0.head.store(OPEN, Ordering::Relaxed);
    }

    /// Whether the budget was spent before the head was complete.
    pub(super) fn is_spent(&self) -> bool {
        self.0.head.load(Ordering::Relaxed) == 0
    }
}

impl Gated {
    pub(super) fn new(stream: Stream, gate: Gate) -> Self {
        Self { stream, gate }
    }
}

impl AsyncRead for Gated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bounds = &this.gate.0;
        let (budget, most) = (bounds.head.load(Ordering::Relaxed), bounds.read.load(Ordering::Relaxed));
        if budget == OPEN && most >= buf.remaining() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        if budget == 0 {
            // Connection and question are polled by one task, which looks at `is_spent` right after this.
            return Poll::Pending;
        }
        let space = buf.initialize_unfilled_to(budget.min(most).min(buf.remaining()));
        let mut part = ReadBuf::new(space);
        let outcome = Pin::new(&mut this.stream).poll_read(cx, &mut part);
        let read = part.filled().len();
        buf.advance(read);
        if budget != OPEN {
            bounds.head.store(budget - read, Ordering::Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

const OPEN: usize = usize::MAX;
