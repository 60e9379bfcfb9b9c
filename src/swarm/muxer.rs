//! yamux with our bounds.
//!
//! Knows: streams per connection, receive window, frame length (WIRE-8). Does not know: what flows in a stream.
//!
//! libp2p's own adapter leaves yamux's receive window at 1 GiB with no way to set it, and writes each frame's
//! twelve header bytes as a TLS record of their own; hence this one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::{Ready, ready};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};

use super::joined::Joined;
use super::limits::{RECEIVE_WINDOW, STREAMS_MAX};

/// Payload of one yamux frame. With its header of 12 bytes it fills four TLS records exactly.
const FRAME_LEN: usize = 4 * 16 * 1024 - 12;

/// Turns an encrypted channel into a [`Muxer`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Upgrade;

impl Upgrade {
    fn muxer<C: AsyncRead + AsyncWrite + Unpin>(socket: C, mode: yamux::Mode) -> Muxer<C> {
        let mut config = yamux::Config::default();
        // In this order: yamux insists that the window covers the streams at every step.
        config.set_max_num_streams(STREAMS_MAX);
        config.set_max_connection_receive_window(Some(RECEIVE_WINDOW));
        config.set_split_send_size(FRAME_LEN);
        Muxer {
            connection: yamux::Connection::new(Joined::new(socket), config, mode),
            inbound: VecDeque::with_capacity(STREAMS_MAX),
            waiting: None,
        }
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Self::muxer(socket, yamux::Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Muxer<C>, Infallible>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Self::muxer(socket, yamux::Mode::Client)))
    }
}

/// One multiplexed connection.
pub(super) struct Muxer<C> {
    connection: yamux::Connection<Joined<C>>,
    /// Streams the peer opened while nobody asked; at most [`STREAMS_MAX`], which yamux enforces.
    inbound: VecDeque<yamux::Stream>,
    /// Whoever asked when there was none.
    waiting: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        self.connection.poll_next_inbound(cx).map(|next| match next {
            Some(stream) => stream.map_err(to_io),
            None => Err(io::ErrorKind::ConnectionAborted.into()),
        })
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_connection(cx);
        if next.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        self.connection.poll_new_outbound(cx).map_err(to_io)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(cx).map_err(to_io)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        match self.poll_connection(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(stream)) => {
                if self.inbound.len() < STREAMS_MAX {
                    self.inbound.push_back(stream);
                }
                if let Some(waker) = self.waiting.take() {
                    waker.wake();
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

fn to_io(error: yamux::ConnectionError) -> io::Error {
    match error {
        yamux::ConnectionError::Io(error) => error,
        other => io::Error::other(other),
    }
}
