//! Who gets a connection: counts checked before anything is spent on it (T7).
//!
//! Knows: open and half-open connections by peer and by IP address. Does not know: what the connections carry,
//! who is banned.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::limits::{
    ACCEPT_RATES_MAX, ACCEPTS_PER_IP_PER_S_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_PER_PEER_MAX, HALF_OPEN_MAX, STRANGER_CONNECTIONS_MAX,
};

/// How the other end is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Named in the configuration: outside the counts per address, and of strangers.
    Configured,
    /// Anybody else on this very machine: outside the counts per address.
    Local,
    /// Anybody else.
    Stranger,
}

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("too many connections")]
    Connections,
    #[error("too many connections of strangers")]
    Strangers,
    #[error("too many connections from this address")]
    Address,
    #[error("too many connections of this peer")]
    Peer,
    #[error("too many handshakes at once")]
    HalfOpen,
    #[error("too many connections a second from this address")]
    Rate,
    #[error("nobody is met over this tunnel")]
    Tunnel,
    #[error("the peer is banned")]
    Banned,
    #[error("the peer is this node")]
    Myself,
    #[error("the peer's key is not Ed25519, or its address not TCP")]
    Foreign,
}

/// One established connection.
#[derive(Clone, Copy, Debug)]
struct Open {
    peer: PeerId,
    ip: IpAddr,
    standing: Standing,
}

/// All connections, open and half-open.
#[derive(Debug, Default)]
pub(super) struct Admission {
    open: BTreeMap<ConnectionId, Open>,
    half_open: BTreeMap<ConnectionId, IpAddr>,
    rates: BTreeMap<IpAddr, Rate>,
}

/// Connections of one address in the second that began at `since`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    since: Instant,
    count: u32,
}

impl Admission {
    /// A TCP connection came in; nothing is known but its address.
    pub(super) fn knock(
        &mut self,
        id: ConnectionId,
        ip: IpAddr,
        standing: Standing,
        now: Instant,
    ) -> Result<(), Refused> {
        self.count_rate(ip, standing, now)?;
        if self.half_open.len() >= HALF_OPEN_MAX {
            return Err(Refused::HalfOpen);
        }
        if self.open.len() + self.half_open.len() >= CONNECTIONS_MAX {
            return Err(Refused::Connections);
        }
        if standing == Standing::Stranger {
            let open = self.open.values().filter(|open| open.ip == ip).count();
            let half = self.half_open.values().filter(|half| **half == ip).count();
            if open + half >= CONNECTIONS_PER_IP_MAX {
                return Err(Refused::Address);
            }
        }
        self.half_open.insert(id, ip);
        Ok(())
    }

    /// The handshake ended well: the peer is who it says.
    pub(super) fn enter(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        ip: IpAddr,
        standing: Standing,
    ) -> Result<(), Refused> {
        self.half_open.remove(&id);
        if self.open.len() >= CONNECTIONS_MAX {
            return Err(Refused::Connections);
        }
        let count = |matches: &dyn Fn(&Open) -> bool| self.open.values().filter(|open| matches(open)).count();
        if count(&|open| open.peer == peer) >= CONNECTIONS_PER_PEER_MAX {
            return Err(Refused::Peer);
        }
        let strangers = count(&|open| open.standing != Standing::Configured);
        if standing != Standing::Configured && strangers >= STRANGER_CONNECTIONS_MAX {
            return Err(Refused::Strangers);
        }
        if standing == Standing::Stranger && count(&|open| open.ip == ip) >= CONNECTIONS_PER_IP_MAX {
            return Err(Refused::Address);
        }
        self.open.insert(id, Open { peer, ip, standing });
        Ok(())
    }

    /// The connection closed, or never came to be.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.half_open.remove(&id);
        self.open.remove(&id);
    }

    /// Open connections of peers nobody configured.
    pub(super) fn strangers(&self) -> usize {
        self.open.values().filter(|open| open.standing != Standing::Configured).count()
    }

    fn count_rate(&mut self, ip: IpAddr, standing: Standing, now: Instant) -> Result<(), Refused> {
        if standing != Standing::Stranger {
            return Ok(());
        }
        let second = Duration::from_secs(1);
        if self.rates.len() >= ACCEPT_RATES_MAX {
            self.rates.retain(|_, rate| now.since(rate.since) < second);
        }
        if self.rates.len() >= ACCEPT_RATES_MAX && !self.rates.contains_key(&ip) {
            return Err(Refused::Rate);
        }
        let rate = self.rates.entry(ip).or_insert(Rate { since: now, count: 0 });
        if now.since(rate.since) >= second {
            *rate = Rate { since: now, count: 0 };
        }
        rate.count += 1;
        if rate.count > ACCEPTS_PER_IP_PER_S_MAX { Err(Refused::Rate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 168, 7, last].into()
    }

    fn peer(number: usize) -> PeerId {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        PeerId::from_public_key(key)
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn d29_one_address_gets_eight_connections_and_an_honest_one_still_gets_in() {
        let mut admission = Admission::default();
        let entered = (0..2_000)
            .filter(|number| {
                let at = Instant::from_micros(u64::try_from(*number).unwrap() * 100_000);
                admission.knock(id(*number), ip(9), Standing::Stranger, at).is_ok()
                    && admission.enter(id(*number), peer(*number), ip(9), Standing::Stranger).is_ok()
            })
            .count();
        assert_eq!(entered, CONNECTIONS_PER_IP_MAX);
        admission.knock(id(9_000), ip(10), Standing::Stranger, Instant::ZERO).unwrap();
        admission.enter(id(9_000), peer(9_000), ip(10), Standing::Stranger).unwrap();
    }

    #[test]
    fn d29_half_open_connections_are_bounded_in_all_and_per_address() {
        let mut admission = Admission::default();
        let mut knock =
            |number: usize, last| admission.knock(id(number), ip(last), Standing::Stranger, Instant::ZERO);
        for number in 0..8 {
            knock(number, 1).unwrap();
        }
        assert_eq!(knock(8, 1), Err(Refused::Address));
        for number in 9..33 {
            knock(number, u8::try_from(number).unwrap()).unwrap();
        }
        assert_eq!(knock(99, 99), Err(Refused::HalfOpen));
        admission.leave(id(0));
        admission.knock(id(100), ip(100), Standing::Stranger, Instant::ZERO).unwrap();
    }

    #[test]
    fn d29_strangers_leave_half_of_the_connections_to_configured_peers() {
        let mut admission = Admission::default();
        let refused = (0..1_000).find_map(|number| {
            let from = ip(u8::try_from(number % 200).unwrap());
            admission.enter(id(number), peer(number), from, Standing::Stranger).err()
        });
        assert_eq!(refused, Some(Refused::Strangers));
        assert_eq!(admission.strangers(), STRANGER_CONNECTIONS_MAX);
        for number in 2_000..2_064 {
            admission.enter(id(number), peer(number), ip(1), Standing::Configured).unwrap();
        }
        let last = admission.enter(id(3_000), peer(3_000), ip(1), Standing::Configured);
        assert_eq!(last, Err(Refused::Connections));
    }

    #[test]
    fn a_peer_has_two_connections_at_most() {
        let mut admission = Admission::default();
        for number in 0..2 {
            admission.enter(id(number), peer(1), ip(1), Standing::Configured).unwrap();
        }
        assert_eq!(admission.enter(id(2), peer(1), ip(1), Standing::Configured), Err(Refused::Peer));
        admission.leave(id(0));
        admission.enter(id(3), peer(1), ip(1), Standing::Configured).unwrap();
    }

    #[test]
    fn d29_fifty_connections_a_second_from_one_address_and_no_more() {
        let mut admission = Admission::default();
        let mut knock = |number: usize, at: u64| {
            let outcome = admission.knock(id(number), ip(1), Standing::Stranger, Instant::from_micros(at));
            admission.leave(id(number));
            outcome
        };
        for number in 0..50 {
            knock(number, 10).unwrap();
        }
        assert_eq!(knock(51, 999_999), Err(Refused::Rate));
        knock(52, 1_000_010).unwrap();
    }
}
