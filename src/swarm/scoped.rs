//! Listening on addresses that need their interface: `[fe80::1%eth0]:7411`.
//!
//! Knows: how such a listener is opened, and that a failed accept is followed by a pause. Does not know: what becomes
//! of a connection. libp2p's own listeners lose the scope id, and the system then refuses to bind.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::tcp::tokio::TcpStream;
use tokio::net::TcpListener;
use tokio::time::Sleep;

/// How long nobody is let in after an accept failed: most likely there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// One listener.
pub(super) struct Scoped {
    pub(super) id: ListenerId,
    /// Where it listens, the port as the system chose it.
    pub(super) at: SocketAddr,
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Somebody who came in.
pub(super) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) from: SocketAddr,
}

/// Whether an address is nothing without its interface.
pub(super) const fn needs_scope(socket: SocketAddr) -> bool {
    matches!(socket, SocketAddr::V6(v6) if v6.scope_id() != 0)
}

impl Scoped {
    pub(super) fn open(id: ListenerId, socket: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        Ok(Self { id, at, listener: TcpListener::from_std(listener)?, pause: None })
    }

    /// The next caller, or why there was none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Caller>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let accepted = std::task::ready!(self.listener.poll_accept(cx));
        let called = accepted.and_then(|(stream, from)| {
            stream.set_nodelay(true)?;
            Ok(Caller { stream: TcpStream(stream), from })
        });
        if called.is_err() {
            self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
        }
        Poll::Ready(called)
    }
}
