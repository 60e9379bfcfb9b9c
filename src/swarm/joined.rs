//! Sends a small write together with the one that follows.
//!
//! Knows: that yamux writes a frame's header and body apart, and that each write to TLS becomes its own record and
//! system call. Does not know: what the bytes mean.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};

/// Writes up to this long are held back until the next write or a flush. A yamux header is 12 bytes.
const HELD_MAX: usize = 16;

/// A channel whose small writes travel with the next one.
pub(super) struct Joined<C> {
    inner: C,
    held: [u8; HELD_MAX],
    held_len: usize,
}

impl<C> Joined<C> {
    pub(super) const fn new(inner: C) -> Self {
        Self { inner, held: [0; HELD_MAX], held_len: 0 }
    }

    /// Forgets the first `count` held bytes: they were written.
    fn let_go(&mut self, count: usize) {
        self.held.copy_within(count..self.held_len, 0);
        self.held_len -= count;
    }
}

impl<C: AsyncWrite + Unpin> Joined<C> {
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held_len > 0 {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held[..self.held_len]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.let_go(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Joined<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Joined<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.len() <= HELD_MAX - this.held_len {
            this.held[this.held_len..this.held_len + buf.len()].copy_from_slice(buf);
            this.held_len += buf.len();
            return Poll::Ready(Ok(buf.len()));
        }
        while this.held_len > 0 {
            let both = [IoSlice::new(&this.held[..this.held_len]), IoSlice::new(buf)];
            let count = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, &both))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if count > this.held_len {
                let of_buf = count - this.held_len;
                this.held_len = 0;
                return Poll::Ready(Ok(of_buf));
            }
            this.let_go(count);
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::AsyncWriteExt;
    use futures::executor::block_on;

    use super::*;

    /// Takes at most `most` bytes per write and remembers each.
    struct Narrow {
        most: usize,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let count = buf.len().min(self.most);
            self.writes.push(buf[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(most: usize, parts: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut joined = Joined::new(Narrow { most, writes: Vec::new() });
        let mut expected = Vec::new();
        for (index, len) in parts.iter().enumerate() {
            let part: Vec<u8> = (0..*len).map(|at| u8::try_from((at * 7 + index) % 251).unwrap()).collect();
            block_on(joined.write_all(&part)).unwrap();
            expected.extend(part);
        }
        block_on(joined.flush()).unwrap();
        (expected, joined.inner.writes)
    }

    #[test]
    fn a_header_and_its_body_are_one_write() {
        let (expected, writes) = written(usize::MAX, &[12, 1000]);
        assert_eq!(writes, [expected]);
    }

    #[test]
    fn every_byte_arrives_in_order_whatever_the_channel_takes_at_once() {
        for most in [1, 2, 5, 11, 12, 13, 17, 400] {
            for parts in [&[12, 1000][..], &[12], &[12, 12, 3, 12, 90, 0, 12], &[40, 12, 16, 17]] {
                let (expected, writes) = written(most, parts);
                assert_eq!(writes.concat(), expected, "{most} {parts:?}");
            }
        }
    }

    #[test]
    fn a_lone_header_leaves_at_the_flush() {
        assert_eq!(written(usize::MAX, &[12]).1.len(), 1);
    }
}
