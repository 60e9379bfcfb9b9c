//! Where to listen, and what to tell others about it.
//!
//! Knows: how ports are chosen and which listening addresses can be announced. Does not know: libp2p's listeners.

use std::net::{IpAddr, SocketAddr, TcpListener};

use super::onlink::Links;

/// What is told on the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Advertised {
    /// All addresses of this machine of these families.
    All { v4: bool, v6: bool },
    /// Just these.
    These(Vec<IpAddr>),
    /// Nothing: this node listens on loopback only, or not at all.
    Nothing,
}

/// Gives all addresses with port 0 the same free port, if there is more than one: an announcement names one port.
/// The port is free when this returns; who needs it must cope if it is not any more.
pub(super) fn settle_ports(listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let open: Vec<&SocketAddr> = listen.iter().filter(|socket| socket.port() == 0).collect();
    let port = match open.as_slice() {
        [first, _, ..] => {
            TcpListener::bind(first).and_then(|probe| probe.local_addr()).map_or(0, |at| at.port())
        }
        _ => 0,
    };
    let settled = listen.iter().map(|socket| {
        let mut socket = *socket;
        if socket.port() == 0 {
            socket.set_port(port);
        }
        socket
    });
    settled.collect()
}

/// Whether an announcement can name the port of this listening address: others must be able to reach it, unless
/// nothing is to be announced anyway.
pub(super) fn is_announced(socket: SocketAddr, listen: &[SocketAddr]) -> bool {
    !socket.ip().is_loopback() || listen.iter().all(|at| at.ip().is_loopback())
}

/// What to announce under `port`, given where this node was told to listen.
pub(super) fn advertised(listen: &[SocketAddr], port: u16) -> Advertised {
    let listen: Vec<&SocketAddr> = listen.iter().filter(|at| at.port() == 0 || at.port() == port).collect();
    let all = |v4: bool| listen.iter().any(|at| at.ip().is_unspecified() && at.is_ipv4() == v4);
    if all(true) || all(false) {
        return Advertised::All { v4: all(true), v6: all(false) };
    }
    let these: Vec<IpAddr> = listen.iter().map(|at| at.ip()).filter(|ip| !ip.is_loopback()).take(8).collect();
    if these.is_empty() { Advertised::Nothing } else { Advertised::These(these) }
}

/// A listening address as others can dial it: link-local ones with their interface, or not at all.
pub(super) fn dialable(socket: SocketAddr, links: &Links) -> Option<SocketAddr> {
    let socket = links.with_scope(socket);
    match socket {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => None,
        _ => Some(socket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn both_families_share_one_port() {
        let settled = settle_ports(&sockets(&["127.0.0.1:0", "[::1]:0"]));
        assert!(settled[0].port() != 0 && settled[0].port() == settled[1].port());
        assert_eq!(settle_ports(&sockets(&["127.0.0.1:0"])), sockets(&["127.0.0.1:0"]));
        let fixed = sockets(&["127.0.0.1:4710", "[::1]:4711"]);
        assert_eq!(settle_ports(&fixed), fixed);
    }

    #[test]
    fn loopback_is_never_announced() {
        assert_eq!(advertised(&sockets(&["127.0.0.1:1", "[::1]:1"]), 1), Advertised::Nothing);
        assert_eq!(advertised(&[], 1), Advertised::Nothing);
        let these = Advertised::These(vec!["192.168.7.2".parse().unwrap()]);
        assert_eq!(advertised(&sockets(&["127.0.0.1:1", "192.168.7.2:1"]), 1), these);
        assert_eq!(advertised(&sockets(&["0.0.0.0:1"]), 1), Advertised::All { v4: true, v6: false });
    }

    #[test]
    fn the_port_that_is_announced_is_one_that_others_can_reach_and_goes_with_its_addresses() {
        let listen = sockets(&["127.0.0.1:7501", "0.0.0.0:7502", "[::]:7503"]);
        let is_announced = |text: &str| is_announced(text.parse().unwrap(), &listen);
        assert!(!is_announced("127.0.0.1:7501") && is_announced("192.168.7.2:7502"));
        assert_eq!(advertised(&listen, 7_502), Advertised::All { v4: true, v6: false });
        assert_eq!(advertised(&listen, 7_503), Advertised::All { v4: false, v6: true });
        // The system chose one port for both.
        let open = sockets(&["0.0.0.0:0", "[::]:0"]);
        assert_eq!(advertised(&open, 4_710), Advertised::All { v4: true, v6: true });
        // Such a node only looks for others.
        let own = sockets(&["127.0.0.1:0"]);
        assert!(super::is_announced("127.0.0.1:4710".parse().unwrap(), &own));
    }
}
