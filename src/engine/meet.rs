//! Peers of this node's site that no announcement reaches: who registered here, and whom a rendezvous named.
//!
//! Knows: which addresses are of the site, how long what was said holds, who is told what. Does not know: how anybody is
//! dialled (`swarm`), what those who are of the site may ask (`serve`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::subnet::{Subnet, is_private};
use peer_proto::time::Instant;
use peer_proto::wire::NamedPeer;

use super::core::Core;
use super::io::Effect;

/// How long a registration holds, and a name that a rendezvous gave.
pub(super) const NAMED_FOR: Duration = Duration::from_secs(600);
/// How often a node says that it is still there.
pub(super) const REGISTER_EVERY: Duration = Duration::from_secs(300);
/// Registrations at one rendezvous, and peers that this node was named.
pub(super) const NAMED_MAX: usize = 1_024;
/// Those of them at one address.
pub(super) const NAMED_PER_IP_MAX: usize = 32;

/// What is of this node's site beyond its links.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SiteConfig {
    /// Whether this node names those who register with it to each other.
    pub is_rendezvous: bool,
    /// Addresses of the site's machines. Empty: every private address.
    pub subnets: Vec<Subnet>,
}

impl SiteConfig {
    /// Whether a machine of the site may have this address; never this very machine's, or one that is good on a link only.
    fn has(&self, ip: IpAddr) -> bool {
        let local = match ip {
            IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast()
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()
            }
        };
        let subnets = &self.subnets;
        !local
            && if subnets.is_empty() {
                is_private(ip)
            } else {
                subnets.iter().any(|subnet| subnet.contains(ip))
            }
    }
}

/// Where somebody is, and until when that holds.
#[derive(Clone, Copy, Debug)]
struct Place {
    address: SocketAddr,
    until: Instant,
}

/// Both sides of it.
#[derive(Debug)]
pub(super) struct Meeting {
    /// Who registered here.
    registered: BTreeMap<PeerId, Place>,
    /// Whom a rendezvous of the configuration named.
    named: BTreeMap<PeerId, Place>,
    /// Rendezvous of the configuration with a session.
    at: BTreeSet<PeerId>,
    /// Where this node listens, by family.
    ports: [Option<u16>; 2],
    renew_at: Instant,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            registered: BTreeMap::new(),
            named: BTreeMap::new(),
            at: BTreeSet::new(),
            ports: [None; 2],
            renew_at: Instant::NEVER,
        }
    }
}

impl Meeting {
    /// When this node says again that it is there.
    pub(super) const fn wake(&self) -> Instant {
        self.renew_at
    }

    /// Whether a peer at this address is known to be of the site.
    pub(super) fn counts(&self, peer: PeerId, address: &str, now: Instant) -> bool {
        let Ok(ip) = address.parse::<IpAddr>() else { return false };
        let places = [self.registered.get(&peer), self.named.get(&peer)];
        places.into_iter().flatten().any(|place| place.address.ip() == ip && place.until > now)
    }

    /// The session with a peer is over.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.at.remove(&peer);
        if self.at.is_empty() {
            self.renew_at = Instant::NEVER;
        }
    }
}

/// Takes note of somebody's place, if there is room. `Some` if it is news.
fn note(
    places: &mut BTreeMap<PeerId, Place>,
    peer: PeerId,
    address: SocketAddr,
    now: Instant,
) -> Option<bool> {
    places.retain(|_, place| place.until > now);
    let others = places.iter().filter(|(id, place)| **id != peer && place.address.ip() == address.ip());
    let is_crowded = others.count() >= NAMED_PER_IP_MAX;
    if is_crowded || (places.len() >= NAMED_MAX && !places.contains_key(&peer)) {
        return None;
    }
    let before = places.insert(peer, Place { address, until: now.after(NAMED_FOR) });
    Some(before.is_none_or(|before| before.address != address))
}

impl Core {
    /// This node listens here: others may reach it.
    pub(super) fn listens(&mut self, socket: SocketAddr) {
        if !socket.ip().is_loopback() {
            self.meeting.ports[usize::from(socket.is_ipv6())].get_or_insert(socket.port());
            self.meeting.at.clone().into_iter().for_each(|peer| self.register(peer));
        }
    }

    /// A peer that just connected is a rendezvous of the configuration.
    pub(super) fn rendezvous_met(&mut self, peer: PeerId) {
        if self.peers.get(peer).is_some() {
            self.meeting.at.insert(peer);
            self.register(peer);
        }
    }

    /// Says where this node listens, if the peer is a rendezvous and the session is open.
    pub(super) fn register(&mut self, id: PeerId) {
        if !self.meeting.at.contains(&id) {
            return;
        }
        let now = self.time();
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Ok(ip) = peer.address.parse::<IpAddr>() else { return };
        let Some(port) = self.meeting.ports[usize::from(ip.is_ipv6())] else { return };
        if peer.session.register(port) {
            self.meeting.renew_at = self.meeting.renew_at.min(now.after(REGISTER_EVERY));
        }
        self.pump(id);
    }

    /// Says again that it is there, when it is time.
    pub(super) fn renew_registrations(&mut self) {
        if self.meeting.renew_at <= self.time() {
            self.meeting.renew_at = Instant::NEVER;
            self.meeting.at.clone().into_iter().for_each(|peer| self.register(peer));
        }
    }

    /// A peer says where it listens. A rendezvous tells the others of it, and then it of the others: who is dialled should
    /// know by then who calls.
    pub(super) fn registered(&mut self, id: PeerId, port: u16) {
        let now = self.time();
        let ip = self.peers.get(id).and_then(|peer| peer.address.parse::<IpAddr>().ok());
        let Some(ip) = ip.filter(|ip| self.config.site.is_rendezvous && self.config.site.has(*ip)) else {
            return;
        };
        let address = SocketAddr::new(ip, port);
        let Some(is_new) = note(&mut self.meeting.registered, id, address, now) else { return };
        self.is_of_the_site(id, ip);
        let others = self.meeting.registered.iter().filter(|(peer, _)| **peer != id);
        let others: Vec<NamedPeer> =
            others.map(|(peer, place)| NamedPeer { peer: *peer, address: place.address }).collect();
        if is_new {
            for other in &others {
                self.name_peers(other.peer, &[NamedPeer { peer: id, address }]);
            }
        }
        self.name_peers(id, &others);
    }

    fn name_peers(&mut self, id: PeerId, named: &[NamedPeer]) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.name_peers(named);
        }
        self.pump(id);
    }

    /// A rendezvous of the configuration names others.
    pub(super) fn peers_named(&mut self, by: PeerId, named: &[NamedPeer]) {
        if !self.meeting.at.contains(&by) {
            return;
        }
        let now = self.time();
        for NamedPeer { peer, address } in named {
            let is_other = *peer != self.config.me && self.config.site.has(address.ip());
            if is_other && note(&mut self.meeting.named, *peer, *address, now).is_some() {
                self.effect(Effect::Meet { peer: *peer, address: *address });
                self.is_of_the_site(*peer, address.ip());
            }
        }
    }

    /// A peer counts as being on the link from now on, for as long as its session lasts. If it was turned away before that,
    /// its session begins anew, so that both sides say again what they want.
    fn is_of_the_site(&mut self, id: PeerId, ip: IpAddr) {
        let until = self.time();
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.near || peer.address.parse() != Ok(ip) {
            return;
        }
        peer.near = true;
        if peer.turned_away {
            let reason = "it turned out to be of this site: its session begins anew".to_owned();
            self.part_with(id, until, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_no_machine_of_the_site_has_an_address_that_is_good_on_one_link_or_one_machine_only() {
        let subnets = [
            "127.0.0.0/8",
            "169.254.0.0/16",
            "0.0.0.0/8",
            "224.0.0.0/8",
            "203.0.113.0/24",
            "10.0.0.0/8",
            "::/32",
            "fe80::/32",
            "ff02::/32",
            "2001:db8::/32",
        ];
        let everything = subnets.map(|subnet| subnet.parse().expect("a subnet"));
        let open = SiteConfig { subnets: everything.into(), ..SiteConfig::default() };
        let has = |ip: &str| open.has(ip.parse().expect("an address"));
        for ip in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "::", "ff02::1"] {
            assert!(!has(ip), "{ip}");
        }
        assert!(has("203.0.113.5") && has("10.1.2.3") && has("2001:db8::1"));
    }
}
