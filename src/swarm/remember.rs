//! Neighbours this node has met, kept for its next run: who, where, on which link, how long ago (PEER-16, PEER-17).
//!
//! Knows: that an address counts only on the link it was learned on, when it is forgotten, the bounds. Does not know: files,
//! wall clocks, whom to dial when. Only who proved his id at an address is kept, so that no flood of announcements gets in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;
use serde::{Deserialize, Serialize};

use super::limits::{ADDRESSES_PER_PEER_MAX, ANNOUNCEMENT_TTL_MAX, PEERS_MAX};

/// An address at which nobody was met for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A neighbour as it is kept across restarts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RememberedPeer {
    /// Who.
    pub peer: PeerId,
    /// Where it listens.
    pub address: SocketAddr,
    /// The link it was met on.
    pub link: Subnet,
    /// Seconds since it was met there last.
    pub unmet_s: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: BTreeMap<PeerId, BTreeMap<SocketAddr, Kept>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    link: Subnet,
    /// How long it was not met at the moment `at`.
    unmet: Duration,
    at: Instant,
}

impl Kept {
    fn unmet(&self, now: Instant) -> Duration {
        self.unmet.saturating_add(now.since(self.at))
    }
}

impl Memory {
    /// What an earlier run kept. What is overdue is kept ten minutes more: whoever is still there is met by then, and a clock
    /// that was wrong costs nothing.
    pub(super) fn restore(kept: Vec<RememberedPeer>, now: Instant) -> Self {
        let mut memory = Self::default();
        for one in kept {
            let unmet =
                Duration::from_secs(one.unmet_s).min(FORGOTTEN_AFTER.saturating_sub(ANNOUNCEMENT_TTL_MAX));
            if one.link.contains(one.address.ip()) {
                memory.keep(one.peer, one.address, Kept { link: one.link, unmet, at: now });
            }
        }
        memory
    }

    /// A peer was met at this address just now.
    pub(super) fn met(&mut self, peer: PeerId, address: SocketAddr, link: Subnet, now: Instant) {
        self.forget_old(now);
        if self.known.len() >= PEERS_MAX && !self.known.contains_key(&peer) {
            let unmet = |known: &BTreeMap<SocketAddr, Kept>| known.values().map(|kept| kept.unmet(now)).min();
            let oldest = self.known.iter().max_by_key(|(_, known)| unmet(known)).map(|(peer, _)| *peer);
            oldest.map(|peer| self.known.remove(&peer));
        }
        self.keep(peer, address, Kept { link, unmet: Duration::ZERO, at: now });
    }

    fn keep(&mut self, peer: PeerId, address: SocketAddr, kept: Kept) {
        if self.known.len() >= PEERS_MAX && !self.known.contains_key(&peer) {
            return;
        }
        let known = self.known.entry(peer).or_default();
        if known.len() >= ADDRESSES_PER_PEER_MAX && !known.contains_key(&address) {
            let oldest =
                known.iter().max_by_key(|(_, kept)| kept.unmet(kept.at)).map(|(address, _)| *address);
            oldest.map(|address| known.remove(&address));
        }
        known.insert(address, kept);
    }

    fn forget_old(&mut self, now: Instant) {
        self.known.retain(|_, known| {
            known.retain(|_, kept| kept.unmet(now) < FORGOTTEN_AFTER);
            !known.is_empty()
        });
    }

    /// Peers with an address on one of these links, and those addresses.
    pub(super) fn on(&self, links: &[Subnet]) -> Vec<(PeerId, Vec<SocketAddr>)> {
        let here = self.known.iter().map(|(peer, known)| {
            let on_link = known.iter().filter(|(_, kept)| links.contains(&kept.link));
            (*peer, on_link.map(|(address, _)| *address).collect::<Vec<_>>())
        });
        here.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }

    /// All that is to be kept.
    pub(super) fn all(&mut self, now: Instant) -> Vec<RememberedPeer> {
        self.forget_old(now);
        let all = self.known.iter().flat_map(|(peer, known)| {
            known.iter().map(|(address, kept)| RememberedPeer {
                peer: *peer,
                address: *address,
                link: kept.link,
                unmet_s: kept.unmet(now).as_secs(),
            })
        });
        all.collect()
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerId {
        let mut key = [0xdd; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        PeerId::from_public_key(key)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    fn link(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn address(number: u32) -> SocketAddr {
        let [_, _, high, low] = number.to_be_bytes();
        ([10, 1, high, low], 7_411).into()
    }

    const DAY: u64 = 24 * 3_600;

    #[test]
    fn peer_16_an_address_where_nobody_was_met_for_seven_days_is_forgotten_and_its_peer_with_the_last_one() {
        let (mut memory, lan) = (Memory::default(), link("10.1.0.0/16"));
        memory.met(peer(1), address(1), lan, at(0));
        memory.met(peer(1), address(2), lan, at(DAY));
        assert_eq!(memory.all(at(7 * DAY - 1)).len(), 2);
        let left = memory.all(at(7 * DAY));
        assert_eq!(
            left.iter().map(|one| (one.address, one.unmet_s)).collect::<Vec<_>>(),
            [(address(2), 6 * DAY)]
        );
        memory.met(peer(1), address(2), lan, at(7 * DAY));
        assert_eq!(memory.all(at(14 * DAY - 1)).len(), 1, "it was met in between");
        assert!(memory.all(at(14 * DAY)).is_empty() && memory.known.is_empty());
    }

    #[test]
    fn peer_17_an_address_counts_only_on_the_link_it_was_learned_on() {
        let (office, home) = (link("10.1.0.0/16"), link("192.168.1.0/24"));
        let mut memory = Memory::default();
        memory.met(peer(1), address(1), office, at(0));
        memory.met(peer(2), "192.168.1.9:80".parse().unwrap(), home, at(0));
        memory.met(peer(2), address(2), office, at(0));
        let kept = memory.all(at(60));
        let memory = Memory::restore(kept, at(0));
        assert_eq!(memory.on(&[]), []);
        assert_eq!(memory.on(&[link("10.1.0.0/24")]), [], "another subnet");
        assert_eq!(memory.on(&[home]), [(peer(2), vec!["192.168.1.9:80".parse().unwrap()])]);
        assert_eq!(memory.on(&[office]), [(peer(1), vec![address(1)]), (peer(2), vec![address(2)])]);
    }

    #[test]
    fn d47_what_a_leaping_clock_makes_overdue_is_tried_for_ten_minutes_more() {
        let one = RememberedPeer {
            peer: peer(1),
            address: address(1),
            link: link("10.1.0.0/16"),
            unmet_s: u64::MAX,
        };
        let mut memory = Memory::restore(vec![one.clone()], at(5));
        assert_eq!(memory.all(at(5 + 599)).len(), 1);
        assert_eq!(memory.all(at(5 + 600)).len(), 0);
        let mut memory = Memory::restore(vec![one], at(5));
        memory.met(peer(1), address(1), link("10.1.0.0/16"), at(6));
        assert_eq!(memory.all(at(7 * DAY)).len(), 1);
    }

    #[test]
    fn t11_1024_peers_with_8_addresses_each_are_remembered_and_who_was_not_met_for_longest_goes_first() {
        let (mut memory, lan) = (Memory::default(), link("10.1.0.0/16"));
        for number in 0..1_100 {
            (0..20).for_each(|port| {
                let mut address = address(number);
                address.set_port(port + 1);
                memory.met(peer(number), address, lan, at(u64::from(number)));
            });
        }
        let all = memory.all(at(2_000));
        assert_eq!(all.len(), PEERS_MAX * ADDRESSES_PER_PEER_MAX);
        assert_eq!(all.first().map(|one| one.peer), Some(peer(1_100 - 1_024)));
        let many: Vec<RememberedPeer> = (0..3_000)
            .map(|number| RememberedPeer {
                peer: peer(number),
                address: address(number),
                link: lan,
                unmet_s: 0,
            })
            .collect();
        assert_eq!(Memory::restore(many, at(0)).known.len(), PEERS_MAX);
    }

    #[test]
    fn an_address_outside_the_link_it_claims_is_not_taken_from_a_file() {
        let one =
            RememberedPeer { peer: peer(1), address: address(1), link: link("192.168.0.0/16"), unmet_s: 0 };
        assert_eq!(Memory::restore(vec![one], at(0)).all(at(0)), []);
    }
}
