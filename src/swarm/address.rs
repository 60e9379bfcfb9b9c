//! Where a peer may be dialled: what people write and announcements carry, parsed at the door.
//!
//! Knows: `ip:port`, `[v6%zone]:port` and the multiaddr forms with a peer id. Does not know: whether anybody
//! answers there, or whether this node should dial.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use peer_proto::peer::PeerId;

use super::identity;

/// A TCP address, and the id the peer there must have if it is known.
///
/// Reads `192.0.2.7:4710`, `[2001:db8::7]:4710`, `[fe80::7%eth0]:4710`, `/ip4/192.0.2.7/tcp/4710`,
/// `/ip6/…/tcp/4710`, `/ip6zone/eth0/ip6/fe80::7/tcp/4710`, the multiaddr forms also with `/p2p/12D3KooW…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerAddress {
    socket: SocketAddr,
    peer: Option<PeerId>,
}

/// Text or parts that are no address to dial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither of the forms.
    #[error("{text:?} is not a peer address: expected IP:PORT, [IPV6%ZONE]:PORT or /ip4/IP/tcp/PORT/p2p/ID")]
    Form {
        /// What was read, at most 120 characters of it.
        text: String,
    },
    /// No address to listen on.
    #[error("{text:?} is not an address to listen on: expected IP:PORT or [IPV6%INTERFACE]:PORT")]
    Listen {
        /// What was read, at most 120 characters of it.
        text: String,
    },
    /// The `/p2p/` part is no peer id.
    #[error(transparent)]
    Peer(#[from] peer_proto::peer::NotAPeerId),
    /// No interface has this name.
    #[error("no network interface is called {zone:?}")]
    Zone {
        /// The name.
        zone: String,
    },
    /// A link-local IPv6 address names no machine without its interface.
    #[error("{ip} is link-local: say on which interface, as in [{ip}%eth0]:PORT")]
    ZoneMissing {
        /// The address.
        ip: Ipv6Addr,
    },
    /// Port zero, or an address that names no single machine.
    #[error("{socket} cannot be dialled: {}", why_not(socket))]
    NotDialable {
        /// The address.
        socket: SocketAddr,
    },
}

/// What keeps this from being the address of a machine to call.
fn why_not(socket: &SocketAddr) -> &'static str {
    if socket.port() == 0 {
        "nobody listens at port 0; `nearbits status` there shows at which it does"
    } else if socket.ip().is_unspecified() {
        "it stands for every address of a machine; write one of them"
    } else {
        "it stands for many machines; write the address of one"
    }
}

impl PeerAddress {
    /// The address, if it can be dialled at all.
    ///
    /// # Errors
    /// [`AddressError::NotDialable`] for port 0, unspecified, multicast and broadcast addresses;
    /// [`AddressError::ZoneMissing`] for a link-local IPv6 address without a scope.
    pub fn new(socket: SocketAddr, peer: Option<PeerId>) -> Result<Self, AddressError> {
        let ip = socket.ip();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        if socket.port() == 0 || ip.is_unspecified() || ip.is_multicast() || broadcast {
            return Err(AddressError::NotDialable { socket });
        }
        match socket {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
                Err(AddressError::ZoneMissing { ip: *v6.ip() })
            }
            _ => Ok(Self { socket, peer }),
        }
    }

    /// Where to connect; the scope id stands for the interface of a link-local address.
    #[must_use]
    pub const fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Who must answer there; anybody if `None`.
    #[must_use]
    pub const fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    /// [`FromStr`] with the names of interfaces looked up by `zone_index`.
    fn parse(text: &str, zone_index: impl Fn(&str) -> Option<u32>) -> Result<Self, AddressError> {
        let form = || AddressError::Form { text: text.chars().take(120).collect() };
        let zone = |name: &str| scope_of(name, &zone_index);
        if text.starts_with('/') {
            return Self::parse_multiaddr(text, form, zone);
        }
        Self::new(parse_socket(text, zone)?.ok_or_else(form)?, None)
    }

    fn parse_multiaddr(
        text: &str,
        form: impl Fn() -> AddressError,
        zone: impl Fn(&str) -> Result<u32, AddressError>,
    ) -> Result<Self, AddressError> {
        let parts: Vec<&str> = text.split('/').skip(1).take(9).collect();
        let (scope, parts) = match parts.as_slice() {
            ["ip6zone", name, rest @ ..] if rest.first() == Some(&"ip6") => (zone(name)?, rest),
            rest => (0, rest),
        };
        let (version, ip, port, peer) = match parts {
            [version, ip, "tcp", port] => (*version, *ip, *port, None),
            [version, ip, "tcp", port, "p2p", id] => (*version, *ip, *port, Some(id.parse()?)),
            _ => return Err(form()),
        };
        let port = parse_port(port).ok_or_else(&form)?;
        let socket = match version {
            "ip4" => (ip.parse::<Ipv4Addr>().map_err(|_| form())?, port).into(),
            "ip6" => SocketAddrV6::new(ip.parse().map_err(|_| form())?, port, 0, scope).into(),
            _ => return Err(form()),
        };
        Self::new(socket, peer)
    }
}

/// An address to listen on: `192.0.2.7:4710`, `[::]:0`, `[fe80::7%eth0]:4710`. Port 0 lets the system choose.
///
/// # Errors
/// [`AddressError::Listen`]; [`AddressError::Zone`] if no interface has the name;
/// [`AddressError::ZoneMissing`] for a link-local IPv6 address without one.
pub fn parse_listen(text: &str) -> Result<SocketAddr, AddressError> {
    let form = || AddressError::Listen { text: text.chars().take(120).collect() };
    let socket = parse_socket(text, |name| scope_of(name, index_of))?.ok_or_else(form)?;
    match socket {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            Err(AddressError::ZoneMissing { ip: *v6.ip() })
        }
        _ => Ok(socket),
    }
}

/// `IP:PORT` or `[IPV6%ZONE]:PORT`; `None` if it is neither.
fn parse_socket(
    text: &str,
    zone: impl Fn(&str) -> Result<u32, AddressError>,
) -> Result<Option<SocketAddr>, AddressError> {
    let Some((inside, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) else {
        let parts = text.rsplit_once(':');
        let v4 = parts.and_then(|(ip, port)| Some((ip.parse::<Ipv4Addr>().ok()?, parse_port(port)?)));
        return Ok(v4.map(Into::into));
    };
    let (ip, scope) = match inside.split_once('%') {
        Some((ip, name)) => (ip, zone(name)?),
        None => (inside, 0),
    };
    let v6 = ip.parse::<Ipv6Addr>().ok().zip(parse_port(port));
    Ok(v6.map(|(ip, port)| SocketAddrV6::new(ip, port, 0, scope).into()))
}

/// The index of an interface that is given by name or number.
fn scope_of(name: &str, index_of: impl Fn(&str) -> Option<u32>) -> Result<u32, AddressError> {
    match name.parse() {
        Ok(index) if index != 0 => Ok(index),
        _ => index_of(name).ok_or_else(|| AddressError::Zone { zone: name.chars().take(40).collect() }),
    }
}

/// The index of this machine's interface of that name.
fn index_of(name: &str) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().find(|one| one.name == name)?.index
}

/// A port in plain digits: no sign, no spaces.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, index_of)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peer) = self.peer else { return self.socket.fmt(f) };
        write!(f, "{}/p2p/{peer}", to_multiaddr(self.socket))
    }
}

/// The address in libp2p's form; a scope becomes an `ip6zone` with the interface's index.
pub(super) fn to_multiaddr(socket: SocketAddr) -> Multiaddr {
    let mut address = Multiaddr::empty();
    if let SocketAddr::V6(v6) = socket
        && v6.scope_id() != 0
    {
        address.push(Protocol::Ip6zone(v6.scope_id().to_string().into()));
    }
    address.push(Protocol::from(socket.ip()));
    address.push(Protocol::Tcp(socket.port()));
    address
}

/// libp2p's form as a socket address; `None` for anything that is not plain TCP.
pub(super) fn from_multiaddr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut scope = 0;
    let mut ip = None;
    for part in address {
        match (part, ip) {
            (Protocol::Ip6zone(zone), None) => scope = zone.parse().ok()?,
            (Protocol::Ip4(v4), None) => ip = Some(IpAddr::V4(v4)),
            (Protocol::Ip6(v6), None) => ip = Some(IpAddr::V6(v6)),
            (Protocol::Tcp(port), Some(IpAddr::V4(v4))) => return Some((v4, port).into()),
            (Protocol::Tcp(port), Some(IpAddr::V6(v6))) => {
                return Some(SocketAddrV6::new(v6, port, 0, scope).into());
            }
            _ => return None,
        }
    }
    None
}

/// What a node prints as its own address, to be pasted into another's `--peer`.
pub(super) fn with_peer(socket: SocketAddr, peer: PeerId) -> String {
    to_multiaddr(socket).with(Protocol::P2p(identity::to_libp2p(peer))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PeerAddress, AddressError> {
        PeerAddress::parse(text, |name| (name == "eth0").then_some(3))
    }

    #[test]
    fn reads_every_documented_form() {
        let id = identity::peer_id_of([1; 32]);
        for (text, socket, peer) in [
            ("192.0.2.7:4710", "192.0.2.7:4710", None),
            ("[2001:db8::7]:4710", "[2001:db8::7]:4710", None),
            ("[::1]:1", "[::1]:1", None),
            ("/ip4/192.0.2.7/tcp/4710", "192.0.2.7:4710", None),
            ("/ip6/2001:db8::7/tcp/65535", "[2001:db8::7]:65535", None),
            (&format!("/ip4/127.0.0.1/tcp/9/p2p/{id}"), "127.0.0.1:9", Some(id)),
        ] {
            let address = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.socket(), address.peer()), (socket.parse().unwrap(), peer), "{text}");
        }
    }

    #[test]
    fn a_link_local_address_needs_its_interface() {
        for text in ["[fe80::7%eth0]:80", "[fe80::7%3]:80", "/ip6zone/eth0/ip6/fe80::7/tcp/80"] {
            let SocketAddr::V6(v6) = parse(text).expect(text).socket() else { panic!("{text}") };
            assert_eq!((v6.scope_id(), v6.port()), (3, 80), "{text}");
        }
        assert!(matches!(parse("[fe80::7]:80"), Err(AddressError::ZoneMissing { .. })));
        assert!(matches!(parse("[fe80::7%wlan9]:80"), Err(AddressError::Zone { .. })));
    }

    #[test]
    fn what_it_writes_it_reads_back() {
        let id = identity::peer_id_of([1; 32]);
        for text in ["192.0.2.7:4710", "[2001:db8::7]:4710", "[fe80::7%3]:80"] {
            let plain = parse(text).unwrap();
            assert_eq!(parse(&plain.to_string()), Ok(plain));
            let named = PeerAddress::new(plain.socket(), Some(id)).unwrap();
            assert_eq!(parse(&named.to_string()), Ok(named), "{named}");
            assert_eq!(from_multiaddr(&to_multiaddr(plain.socket())), Some(plain.socket()));
        }
    }

    #[test]
    fn listens_at_any_port_and_at_link_local_addresses_with_their_interface() {
        for text in ["0.0.0.0:0", "[::]:4710", "[fe80::7%3]:0", "127.0.0.1:1"] {
            assert_eq!(parse_listen(text), Ok(text.parse().unwrap()), "{text}");
        }
        let loopback = "[::1%lo]:80";
        assert!(parse_listen(loopback).is_ok_and(|at| at.port() == 80), "{loopback}");
        for text in ["", "nowhere", ":80", "1.2.3.4", "[::]", "[fe80::7]:0", "[fe80::7%wlan9]:0", "[::]:+1"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_dialled() {
        for text in [
            "",
            ":",
            "host:80",
            "1.2.3.4",
            "1.2.3.4:",
            "1.2.3.4:0",
            "1.2.3.4:+80",
            "1.2.3.4:65536",
            "[::]:80",
            "0.0.0.0:80",
            "224.0.0.251:80",
            "255.255.255.255:80",
            "[ff02::fb]:80",
            "[::1]80",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/udp/80",
            "/ip4/1.2.3.4/tcp/80/ws",
            "/ip6/1.2.3.4/tcp/80",
            "/dns4/x/tcp/80",
            "/ip4/1.2.3.4/tcp/80/p2p/nobody",
            "/ip6zone/eth0/ip4/1.2.3.4/tcp/80",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        for (text, why) in [
            ("1.2.3.4:0", "1.2.3.4:0 cannot be dialled: nobody listens at port 0"),
            ("[::]:80", "it stands for every address of a machine"),
            ("224.0.0.251:80", "it stands for many machines"),
            ("255.255.255.255:80", "it stands for many machines"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        assert!(parse(&"9".repeat(100_000)).unwrap_err().to_string().len() < 300);
    }
}
