//! From a TCP address to an encrypted, multiplexed connection of a proven peer.
//!
//! Knows: TCP with scope ids and keep-alive, TLS 1.3 first and noise second, the time a handshake may take. Does
//! not know: who is worth a connection.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either};
use futures::{AsyncRead, AsyncWrite, FutureExt};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version};
use libp2p::identity::Keypair;
use libp2p::tcp::tokio::{TcpStream, Transport as TokioTcp};
use libp2p::{Multiaddr, PeerId, Transport, noise, tcp};
use tracing::debug;

use super::limits::HANDSHAKE_TIMEOUT;
use super::scoped::Scoped;
use super::tls::{Tls, TlsError, TlsSetupError};
use super::{address, muxer, scoped};

/// A connection this quiet is asked whether it still lives.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
/// Then again at this interval, three times.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes not acknowledged for so long end the connection.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// What keeps the transport from being built.
#[derive(Debug, thiserror::Error)]
pub enum TransportSetupError {
    /// No TLS certificate could be made for the node's key.
    #[error("no TLS certificate for this node's key")]
    Tls(#[source] TlsSetupError),
    /// Noise refused the node's key.
    #[error("noise refuses this node's key")]
    Noise(#[source] noise::Error),
}

/// The whole stack, boxed for the swarm.
pub(super) fn build(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, TransportSetupError> {
    let security = Security {
        tls: Tls::new(keypair).map_err(TransportSetupError::Tls)?,
        noise: noise::Config::new(keypair).map_err(TransportSetupError::Noise)?,
    };
    let tcp = Tcp {
        plain: TokioTcp::new(tcp::Config::new().nodelay(true)),
        scoped: Vec::new(),
        untold: VecDeque::new(),
    };
    let stack = tcp
        .map(|stream, _| {
            keep_alive(&stream);
            stream
        })
        .upgrade(Version::V1Lazy)
        .authenticate(security)
        .multiplex(muxer::Upgrade)
        .timeout(HANDSHAKE_TIMEOUT);
    Ok(stack.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed())
}

/// A machine that was unplugged is noticed within half a minute, also while nothing is sent.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let socket = &stream.0;
    let set = || {
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEP_ALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, 3)?;
        sockopt::set_tcp_user_timeout(
            socket,
            u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX),
        )
    };
    if let Err(error) = set() {
        debug!(%error, "a connection goes without keep-alive");
    }
}

/// libp2p's TCP, except that dialling goes through the operating system's own connect: it takes scope ids, which
/// libp2p's drops, and never binds the listening port, so two nodes dialling each other stay two connections. For the
/// scope ids' sake it also listens itself where there is one.
struct Tcp {
    plain: TokioTcp,
    scoped: Vec<Scoped>,
    /// Scoped listeners nobody was told of yet, and ends of such.
    untold: VecDeque<TcpEvent>,
}

type TcpEvent = TransportEvent<<TokioTcp as Transport>::ListenerUpgrade, io::Error>;

impl Transport for Tcp {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <TokioTcp as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<TcpStream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        match address::from_multiaddr(&address).filter(|socket| scoped::needs_scope(*socket)) {
            None => self.plain.listen_on(id, address),
            Some(socket) => {
                let listener = Scoped::open(id, socket).map_err(TransportError::Other)?;
                let listen_addr = address::to_multiaddr(listener.at);
                self.untold.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr });
                self.scoped.push(listener);
                Ok(())
            }
        }
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.scoped.len();
        self.scoped.retain(|listener| listener.id != id);
        if self.scoped.len() == before {
            return self.plain.remove_listener(id);
        }
        self.untold.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        true
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match address::from_multiaddr(&address) {
            Some(socket) => Ok(connect(socket).boxed()),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        if let Some(event) = self.untold.pop_front() {
            return Poll::Ready(event);
        }
        for listener in &mut self.scoped {
            let listener_id = listener.id;
            match listener.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(TransportEvent::ListenerError { listener_id, error });
                }
                Poll::Ready(Ok(caller)) => {
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id,
                        upgrade: futures::future::ready(Ok(caller.stream)),
                        local_addr: address::to_multiaddr(listener.at),
                        send_back_addr: address::to_multiaddr(caller.from),
                    });
                }
            }
        }
        Pin::new(&mut self.plain).poll(cx)
    }
}

async fn connect(socket: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::net::TcpStream::connect(socket).await?;
    stream.set_nodelay(true)?;
    // Linux connects a socket to itself when the kernel happens to pick the dialled port as the local one.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(TcpStream(stream))
}

/// TLS first, noise second: whichever both sides speak, in that order. There is no plaintext.
#[derive(Clone)]
struct Security {
    tls: Tls,
    noise: noise::Config,
}

/// Why a channel was not secured.
#[derive(Debug, thiserror::Error)]
enum SecurityError {
    /// In TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// In noise.
    #[error(transparent)]
    Noise(#[from] noise::Error),
}

/// An encrypted channel of either kind.
type Secured<C> = Either<futures_rustls::TlsStream<C>, noise::Output<C>>;

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = Vec<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.tls.protocol_info().chain(self.noise.protocol_info()).collect()
    }
}

impl Security {
    fn is_tls(&self, name: &str) -> bool {
        self.tls.protocol_info().any(|tls| tls == name)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Security {
    type Output = (PeerId, Secured<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_inbound(self, socket: C, name: &'static str) -> Self::Future {
        if self.is_tls(name) {
            let upgrade = self.tls.upgrade_inbound(socket, name);
            async { upgrade.await.map(|(peer, io)| (peer, Either::Left(io))).map_err(SecurityError::Tls) }
                .boxed()
        } else {
            let upgrade = self.noise.upgrade_inbound(socket, name);
            async { upgrade.await.map(|(peer, io)| (peer, Either::Right(io))).map_err(SecurityError::Noise) }
                .boxed()
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Security {
    type Output = (PeerId, Secured<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, SecurityError>>;

    fn upgrade_outbound(self, socket: C, name: &'static str) -> Self::Future {
        if self.is_tls(name) {
            let upgrade = self.tls.upgrade_outbound(socket, name);
            async { upgrade.await.map(|(peer, io)| (peer, Either::Left(io))).map_err(SecurityError::Tls) }
                .boxed()
        } else {
            let upgrade = self.noise.upgrade_outbound(socket, name);
            async { upgrade.await.map(|(peer, io)| (peer, Either::Right(io))).map_err(SecurityError::Noise) }
                .boxed()
        }
    }
}
