//! From a URL to a connected, and where needed encrypted, stream.
//!
//! Knows: names, addresses and the check of each (LOCAL-7), racing IPv6 and IPv4, proxies and tunnels, TLS. Does not
//! know: HTTP beyond CONNECT.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::Inner;
use super::error::{Fault, Phase};
use super::proxy::{Proxy, is_loopback_name};
use super::reach::{Class, Trail, classify};
use super::tls::{self, Anchor};

/// A stream to an origin or to a proxy in front of it.
pub(super) enum Stream {
    /// TCP.
    Plain {
        /// The connection.
        tcp: TcpStream,
        /// Whether the other side has said anything yet.
        is_heard: bool,
    },
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was reached.
pub(super) struct Connected {
    pub(super) stream: Stream,
    /// Class of the address connected to; a name asked through a proxy counts as global.
    pub(super) class: Class,
    /// Whether both sides agreed on HTTP/2.
    pub(super) is_h2: bool,
    /// The root its certificates ended in, if it has any.
    pub(super) anchor: Option<Anchor>,
}

impl Inner {
    /// Connects to the URL's host, directly or through `proxy`.
    pub(super) async fn connect(
        &self,
        url: &Url,
        proxy: Option<&Proxy>,
        trail: &Trail,
    ) -> Result<Connected, Fault> {
        let limit = self.config.connect_timeout;
        let (tcp, class) = timeout(limit, self.connect_tcp(url, proxy, trail))
            .await
            .unwrap_or(Err(Fault::TimedOut { phase: Phase::Connect, limit }))?;
        if url.scheme() != "https" {
            return Ok(Connected { stream: Stream::plain(tcp), class, is_h2: false, anchor: None });
        }
        let handshake = async {
            let name = server_name(url)?;
            let settings = self.trust.settings().await;
            let connector = TlsConnector::from(Arc::clone(&settings.client));
            let tls = connector.connect(name, tcp).await.map_err(|e| tls::fault(&e))?;
            let anchor = settings.anchor(tls.get_ref().1.peer_certificates().unwrap_or_default());
            Ok((tls, anchor))
        };
        let (tls, anchor) = timeout(limit, handshake)
            .await
            .unwrap_or(Err(Fault::TimedOut { phase: Phase::Connect, limit }))?;
        let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: Stream::Tls(Box::new(tls)), class, is_h2, anchor })
    }

    async fn connect_tcp(
        &self,
        url: &Url,
        proxy: Option<&Proxy>,
        trail: &Trail,
    ) -> Result<(TcpStream, Class), Fault> {
        let Some(proxy) = proxy else {
            let addresses = self.checked_addresses(url, trail).await?;
            let tcp = race(addresses).await?;
            let class = classify(tcp.peer_addr().map_err(|e| unreachable(&e))?.ip());
            self.note_class(url, trail, class);
            return Ok((tcp, class));
        };
        // Only a literal address can be checked on the far side of a proxy; a name is somebody else's network.
        let class = match literal(url) {
            Some(address) => trail
                .admit(self.config.allow_private, address)
                .map_err(|reason| Fault::AddressRefused { address, reason })?,
            None => Class::Global,
        };
        let addresses = self.resolve(&proxy.host.clone(), proxy.port).await?;
        let mut tcp = race(addresses).await?;
        if url.scheme() == "https" {
            open_tunnel(&mut tcp, url, proxy).await?;
        }
        Ok((tcp, class))
    }

    /// Every address of the URL's host that may be asked, in the order to try.
    async fn checked_addresses(&self, url: &Url, trail: &Trail) -> Result<Vec<SocketAddr>, Fault> {
        let host = url.host().ok_or_else(|| Fault::Unresolved { reason: "no host".into() })?.to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let found = self.resolve(&host, port).await?;
        let mut refused = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            let checked = trail
                .admit(self.config.allow_private, address.ip())
                .and_then(|class| self.check_rebound(url, trail, class));
            match checked {
                Ok(()) => allowed.push(address),
                Err(reason) => refused = Some(Fault::AddressRefused { address: address.ip(), reason }),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(interleaved(allowed)),
            (true, Some(fault)) => Err(fault),
            (true, None) => Err(Fault::Unresolved { reason: "the name has no address".into() }),
        }
    }

    async fn resolve(&self, host: &Host<String>, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let name = match host {
            Host::Ipv4(address) => return Ok(vec![SocketAddr::new(IpAddr::V4(*address), port)]),
            Host::Ipv6(address) => return Ok(vec![SocketAddr::new(IpAddr::V6(*address), port)]),
            Host::Domain(name) => name,
        };
        if let Some(addresses) = self.config.names.get(&name.to_ascii_lowercase()) {
            return Ok(addresses.iter().map(|address| SocketAddr::new(*address, port)).collect());
        }
        let found = tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(|source| Fault::Unresolved { reason: one_line(&source.to_string()) })?;
        // A resolver may not make this machine answer to strangers' names, nor the other way round.
        let is_own = is_loopback_name(name);
        Ok(found.filter(|a| !is_own || a.ip().to_canonical().is_loopback()).take(ADDRESSES_MAX).collect())
    }
}

/// The first address of each family in turn, beginning with the resolver's favourite.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let leads_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == leads_v6);
    first.reverse();
    second.reverse();
    let mut order = Vec::with_capacity(first.len() + second.len());
    while !first.is_empty() || !second.is_empty() {
        order.extend(first.pop());
        order.extend(second.pop());
    }
    order
}

/// Connects to the first address that answers: the next one is tried when one fails, or is slow (RFC 8305, simplified).
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, Fault> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = Fault::Unresolved { reason: "the name has no address".into() };
    attempts.extend(waiting.next().map(TcpStream::connect));
    while !attempts.is_empty() {
        tokio::select! {
            biased;
            Some(outcome) = attempts.next() => match outcome {
                Ok(tcp) => {
                    // Requests are small and waited for.
                    tcp.set_nodelay(true).map_err(|e| unreachable(&e))?;
                    return Ok(tcp);
                }
                Err(error) => {
                    last = unreachable(&error);
                    attempts.extend(waiting.next().map(TcpStream::connect));
                }
            },
            () = sleep(NEXT_ADDRESS_AFTER), if waiting.len() > 0 => {
                attempts.extend(waiting.next().map(TcpStream::connect));
            }
        }
    }
    Err(last)
}

async fn open_tunnel(tcp: &mut TcpStream, url: &Url, proxy: &Proxy) -> Result<(), Fault> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let mut question = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        question.extend_from_slice(b"Proxy-Authorization: ");
        question.extend_from_slice(authorization.as_bytes());
        question.extend_from_slice(b"\r\n");
    }
    question.extend_from_slice(b"\r\n");
    tcp.write_all(&question).await.map_err(|e| unreachable(&e))?;
    let mut head = Vec::with_capacity(1_024);
    // One byte at a time, so that nothing of the tunnel is swallowed; this happens once per connection.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= TUNNEL_HEAD_MAX {
            return Err(Fault::Unreachable { reason: "the proxy's answer is too long".into() });
        }
        head.push(tcp.read_u8().await.map_err(|e| unreachable(&e))?);
    }
    let status = head
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok())
        .ok_or_else(|| Fault::Unreachable { reason: "the proxy did not answer in HTTP".into() })?;
    if (200..300).contains(&status) { Ok(()) } else { Err(Fault::Proxy { status }) }
}

/// The URL's host, if it is an address.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

fn server_name(url: &Url) -> Result<ServerName<'static>, Fault> {
    let bad = || {
        let reason = "the host has no name a certificate could carry".into();
        Fault::Tls { reason, hopeless: true }
    };
    match url.host().ok_or_else(bad)? {
        Host::Ipv4(address) => Ok(ServerName::from(IpAddr::V4(address))),
        Host::Ipv6(address) => Ok(ServerName::from(IpAddr::V6(address))),
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| bad()),
    }
}

fn unreachable(error: &io::Error) -> Fault {
    Fault::Unreachable { reason: one_line(&error.to_string()) }
}

/// Text of others, short and on one line.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

impl Stream {
    /// A connection of which nothing was read yet.
    pub(super) const fn plain(tcp: TcpStream) -> Self {
        Self::Plain { tcp, is_heard: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { tcp, is_heard } => {
                let before = buf.filled().len();
                ready!(Pin::new(tcp).poll_read(cx, buf))?;
                let heard = buf.filled().get(before..).unwrap_or_default();
                if !*is_heard && tls::is_a_record(heard) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, tls::SpeaksTls)));
                }
                *is_heard |= !heard.is_empty();
                Poll::Ready(Ok(()))
            }
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Addresses of one name that are tried at most.
const ADDRESSES_MAX: usize = 16;
/// After this time without an answer the next address is tried beside the first (RFC 8305: 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Bytes of a proxy's answer to CONNECT.
const TUNNEL_HEAD_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let wanted = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleaved(given), wanted);
    }

    #[test]
    fn d17_texts_of_others_stay_on_one_line() {
        let text = one_line(&format!("a\r\nb\u{1b}[31m{}", "x".repeat(500)));
        assert!(!text.contains(['\r', '\n', '\u{1b}']) && text.len() < 300);
    }
}
