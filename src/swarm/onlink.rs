//! Which addresses are on this machine's own links.
//!
//! Knows: the interfaces and their subnets, and which addresses an announcement may name (T11). Does not know:
//! peers, sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use peer_proto::subnet::Subnet;

use super::tunnel::{Tunnels, is_tunnel};

/// 127.0.0.0/8.
const LOOPBACK_PREFIX: u8 = 8;
/// Leading bits of a subnet nothing is known of, by family.
const SUBNET_PREFIX: (u8, u8) = (24, 64);

/// The subnets this machine is attached to, as read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    nets: Vec<Net>,
    /// Those over which nobody is met.
    shunned: Vec<Net>,
}

/// One interface address with its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    /// The interface's own address.
    pub(super) ip: IpAddr,
    /// Leading bits that all machines of the link share.
    pub(super) prefix: u8,
    /// Index of the interface; 0 if unknown.
    pub(super) index: u32,
}

impl Links {
    /// Reads the interfaces of this machine; none if they cannot be read.
    pub(super) fn read(tunnels: Tunnels) -> Self {
        let (mut nets, mut shunned) = (Vec::new(), Vec::new());
        for interface in if_addrs::get_if_addrs().unwrap_or_default() {
            let (ip, prefix) = match interface.addr {
                if_addrs::IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen),
                if_addrs::IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen),
            };
            let net = Net { ip, prefix, index: interface.index.unwrap_or(0) };
            if tunnels == Tunnels::Shun && is_tunnel(&interface.name) {
                shunned.push(net);
            } else {
                nets.push(net);
            }
        }
        Self { shunned, ..Self::new(nets) }
    }

    /// The links with these addresses; loopback does not count as a link.
    pub(super) fn new(mut nets: Vec<Net>) -> Self {
        nets.retain(|net| !net.ip.is_loopback());
        Self { nets, shunned: Vec::new() }
    }

    /// Whether an address is at the other end of a tunnel over which nobody is met, or this machine's own on one.
    pub(super) fn is_shunned(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        // A link-local address says nothing without its interface.
        let is_there = |net: &Net| net.ip == ip || (!is_link_local_v6(ip) && net.contains(ip));
        self.shunned.iter().any(is_there) && !self.nets.iter().any(is_there)
    }

    /// Whether the way to an address begins with such a tunnel. No packet is sent to find out.
    pub(super) fn is_behind_shunned(&self, socket: SocketAddr) -> bool {
        if self.shunned.is_empty() {
            return false;
        }
        let any: IpAddr =
            if socket.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let own = UdpSocket::bind((any, 0)).and_then(|asking| {
            asking.connect(socket)?;
            asking.local_addr()
        });
        own.is_ok_and(|own| self.is_shunned(own.ip()))
    }

    /// The addresses and their subnets.
    pub(super) fn nets(&self) -> &[Net] {
        &self.nets
    }

    /// Whether a machine with this address is on one of our links.
    pub(super) fn is_on_link(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if is_link_local_v6(ip) {
            return self.nets.iter().any(|net| is_link_local_v6(net.ip));
        }
        self.nets.iter().any(|net| net.contains(ip))
    }

    /// The subnets themselves, without those of link-local addresses, which are the same on every link.
    pub(super) fn subnets(&self) -> Vec<Subnet> {
        let routed = self.nets.iter().filter(|net| !is_link_local_v6(net.ip));
        routed.filter_map(|net| Subnet::of(net.ip, net.prefix)).collect()
    }

    /// The subnet of ours that an address is in.
    pub(super) fn subnet_of(&self, ip: IpAddr) -> Option<Subnet> {
        self.subnets().into_iter().find(|subnet| subnet.contains(ip))
    }

    /// The subnet that stands for where a peer is: one of ours if it is on it. All of loopback is one, as are all link-local
    /// addresses: they do not say which interface they are on. What is behind a router is taken by the usual size of a
    /// subnet.
    pub(super) fn link_of(&self, ip: IpAddr) -> Option<Subnet> {
        let ip = ip.to_canonical();
        let prefix = match ip {
            IpAddr::V4(v4) if v4.is_loopback() => LOOPBACK_PREFIX,
            IpAddr::V4(_) => SUBNET_PREFIX.0,
            IpAddr::V6(_) => SUBNET_PREFIX.1,
        };
        self.subnet_of(ip).or_else(|| Subnet::of(ip, prefix))
    }

    /// Whether an announcement may make us dial this address: on-link, a single machine, not this one's loopback,
    /// not a metadata service. A link-local IPv6 address is taken only with its interface.
    pub(super) fn takes_announced(&self, socket: SocketAddr) -> bool {
        let ip = socket.ip();
        let link_local_without_scope =
            matches!(socket, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0);
        socket.port() != 0
            && ip == ip.to_canonical()
            && !ip.is_loopback()
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && !is_metadata(ip)
            && !link_local_without_scope
            && !self.is_edge(ip)
            && self.is_on_link(ip)
    }

    /// Network and broadcast address of a subnet: no single machine.
    fn is_edge(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(v4) = ip else { return false };
        v4.is_broadcast()
            || self.nets.iter().any(|net| match net.ip {
                IpAddr::V4(own) if net.prefix < 31 => {
                    let mask = u32::MAX.checked_shr(net.prefix.into()).unwrap_or(0);
                    let host = u32::from(v4) & mask;
                    u32::from(own) & !mask == u32::from(v4) & !mask && (host == 0 || host == mask)
                }
                _ => false,
            })
    }

    /// The interface a link-local address can only be on, if this machine has exactly one such link.
    pub(super) fn only_link_local_index(&self) -> Option<u32> {
        let mut indexes: Vec<u32> =
            self.nets.iter().filter(|net| is_link_local_v6(net.ip)).map(|net| net.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [only] if *only != 0 => Some(*only),
            _ => None,
        }
    }

    /// The address with its interface filled in, if it needs one and there is only one to choose.
    pub(super) fn with_scope(&self, socket: SocketAddr) -> SocketAddr {
        match (socket, self.only_link_local_index()) {
            (SocketAddr::V6(v6), Some(index)) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
                SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into()
            }
            _ => socket,
        }
    }
}

impl Net {
    fn contains(&self, ip: IpAddr) -> bool {
        Subnet::of(self.ip, self.prefix).is_some_and(|subnet| subnet.contains(ip))
    }
}

/// Whether a rendezvous may make us dial this address, beyond being of the site: a single machine that a router leads to,
/// and not a metadata service.
pub(super) fn takes_named(socket: SocketAddr) -> bool {
    let ip = socket.ip();
    let is_local = match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    socket.port() != 0
        && ip == ip.to_canonical()
        && !is_local
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !is_metadata(ip)
}

fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Addresses where clouds hand out credentials.
fn is_metadata(ip: IpAddr) -> bool {
    const METADATA: [IpAddr; 4] = [
        IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
        IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    METADATA.contains(&ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office() -> Links {
        let net = |ip: &str, prefix, index| Net { ip: ip.parse().unwrap(), prefix, index };
        Links::new(vec![
            net("127.0.0.1", 8, 1),
            net("::1", 128, 1),
            net("192.168.7.20", 24, 2),
            net("2001:db8:7::20", 64, 2),
            net("fe80::20", 64, 2),
        ])
    }

    #[test]
    fn claim_12_a_peer_is_on_the_link_whose_subnet_it_shares() {
        let links = Links::new(vec![
            Net { ip: "10.4.0.9".parse().unwrap(), prefix: 22, index: 2 },
            Net { ip: "fe80::9".parse().unwrap(), prefix: 64, index: 2 },
        ]);
        for (ip, link) in [
            ("10.4.3.200", "10.4.0.0/22"),
            ("10.4.4.1", "10.4.4.0/24"),
            ("::ffff:10.4.3.200", "10.4.0.0/22"),
            ("127.8.9.1", "127.0.0.0/8"),
            ("fe80::77:1", "fe80::/64"),
            ("2001:db8:7::1", "2001:db8:7::/64"),
        ] {
            let found = links.link_of(ip.parse().unwrap()).map(|link| link.to_string());
            assert_eq!(found.as_deref(), Some(link), "{ip}");
        }
    }

    #[test]
    fn d32_announced_addresses_must_be_on_a_link_of_ours() {
        for (address, taken) in [
            ("192.168.7.21:80", true),
            ("[2001:db8:7::21]:80", true),
            ("[fe80::21%2]:80", true),
            ("192.168.7.21:0", false),
            ("192.168.8.21:80", false),
            ("8.8.8.8:80", false),
            ("[2001:db8:8::21]:80", false),
        ] {
            assert_eq!(office().takes_announced(address.parse().unwrap()), taken, "{address}");
        }
    }

    #[test]
    fn t11_loopback_multicast_metadata_and_disguises_are_dropped() {
        for address in [
            "127.0.0.1:80",
            "127.9.9.9:80",
            "[::1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.251:80",
            "[ff02::fb]:80",
            "255.255.255.255:80",
            "192.168.7.255:80",
            "192.168.7.0:80",
            "169.254.169.254:80",
            "[fd00:ec2::254]:80",
            "[::ffff:192.168.7.21]:80",
            "[::ffff:127.0.0.1]:80",
            "[fe80::21]:80",
        ] {
            assert!(!office().takes_announced(address.parse().unwrap()), "{address}");
        }
        let cloud = Links::new(vec![Net { ip: "169.254.1.1".parse().unwrap(), prefix: 16, index: 2 }]);
        assert!(cloud.takes_announced("169.254.3.3:80".parse().unwrap()));
        assert!(!cloud.takes_announced("169.254.169.254:80".parse().unwrap()), "metadata even if on-link");
    }

    #[test]
    fn t11_a_rendezvous_makes_nobody_dial_loopback_multicast_metadata_or_a_link() {
        for address in ["10.1.2.3:80", "[fd00::9]:80", "192.0.2.7:1"] {
            assert!(takes_named(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1:80",
            "[::1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.251:80",
            "[ff02::fb]:80",
            "255.255.255.255:80",
            "169.254.169.254:80",
            "100.100.100.200:80",
            "[fd00:ec2::254]:80",
            "[fe80::1%2]:80",
            "[::ffff:10.1.2.3]:80",
            "10.1.2.3:0",
        ] {
            assert!(!takes_named(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn nobody_at_the_other_end_of_a_shunned_tunnel_is_met() {
        let net = |ip: &str, prefix, index| Net { ip: ip.parse().unwrap(), prefix, index };
        let tunnel = vec![net("10.8.0.2", 24, 9), net("192.168.7.99", 32, 9), net("fe80::99", 64, 9)];
        let links = Links { shunned: tunnel, ..office() };
        for (ip, shunned) in [
            ("10.8.0.1", true),
            ("10.8.0.2", true),
            ("::ffff:10.8.0.1", true),
            ("fe80::99", true),
            ("192.168.7.21", false),
            ("192.168.7.99", false),
            ("fe80::21", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(links.is_shunned(ip.parse().unwrap()), shunned, "{ip}");
        }
        assert!(!links.takes_announced("10.8.0.1:80".parse().unwrap()));
        assert!(!links.is_on_link("10.8.0.1".parse().unwrap()));
        assert_eq!(links.subnets(), office().subnets());
        let own = vec![net("127.0.0.1", 8, 1)];
        let loopback = Links { nets: Vec::new(), shunned: own };
        assert!(loopback.is_behind_shunned("127.9.9.9:80".parse().unwrap()));
        assert!(!office().is_behind_shunned("127.9.9.9:80".parse().unwrap()));
    }

    #[test]
    fn odd_prefixes_never_take_everything() {
        let odd = |prefix| Links::new(vec![Net { ip: "10.0.0.1".parse().unwrap(), prefix, index: 2 }]);
        assert!(!odd(0).is_on_link("8.8.8.8".parse().unwrap()));
        assert!(!odd(200).is_on_link("10.0.0.1".parse().unwrap()));
        assert!(
            odd(32).is_on_link("10.0.0.1".parse().unwrap())
                && !odd(32).is_on_link("10.0.0.2".parse().unwrap())
        );
    }

    #[test]
    fn a_missing_scope_is_filled_in_only_where_there_is_no_choice() {
        let address: SocketAddr = "[fe80::9]:80".parse().unwrap();
        assert_eq!(office().with_scope(address), "[fe80::9%2]:80".parse().unwrap());
        let mut two = office();
        two.nets.push(Net { ip: "fe80::1".parse().unwrap(), prefix: 64, index: 3 });
        assert_eq!(two.with_scope(address), address);
    }
}
