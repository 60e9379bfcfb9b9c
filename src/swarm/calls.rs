//! Whom to call because he asked the link for what is here.
//!
//! Knows: who waits to be called, how many at one address, where calls failed lately. Does not know: why somebody is to be
//! called (the engine), the rate of dials (`dial`).
//!
//! A question proves nothing of the address it came from, so a call may be a trap for a third party: there are few of them
//! per address, each is tried once, and where one failed the next waits, longer each time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::limits::{
    BACK_OFF_FIRST, CALL_BACK_OFF_MAX, CALLS_MAX, CALLS_PER_IP_MAX, FAILED_CALLS_REMEMBERED_MAX,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: VecDeque<(PeerId, SocketAddr)>,
    /// Calls that were not answered yet, by address.
    under_way: BTreeMap<IpAddr, usize>,
    failed: BTreeMap<IpAddr, Failed>,
}

/// How calls to one address failed lately.
#[derive(Debug)]
struct Failed {
    times: u32,
    until: Instant,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), under_way: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Adds one; `false` if it is there already, too many wait or are under way to its address, or the last one to that address failed just now.
    pub(super) fn add(&mut self, peer: PeerId, socket: SocketAddr, now: Instant) -> bool {
        let ip = socket.ip();
        let waiting = self.waiting.iter().filter(|(_, other)| other.ip() == ip).count();
        let at_ip = waiting + self.under_way.get(&ip).copied().unwrap_or(0);
        let may = self.waiting.len() < CALLS_MAX
            && at_ip < CALLS_PER_IP_MAX
            && !self.waiting.iter().any(|(other, _)| *other == peer)
            && self.failed.get(&ip).is_none_or(|failed| failed.until <= now);
        if may {
            self.waiting.push_back((peer, socket));
        }
        may
    }

    /// The next one, of those who are `free`; the others are let go of: they are here, or not to be talked to.
    pub(super) fn next(&mut self, free: impl Fn(PeerId) -> bool) -> Option<(PeerId, SocketAddr)> {
        while let Some(call) = self.waiting.pop_front() {
            if free(call.0) {
                *self.under_way.entry(call.1.ip()).or_insert(0) += 1;
                return Some(call);
            }
        }
        None
    }

    /// A call to this address failed.
    pub(super) fn failed(&mut self, ip: IpAddr, now: Instant) {
        self.ended(ip);
        if self.failed.len() >= FAILED_CALLS_REMEMBERED_MAX {
            self.failed.retain(|_, failed| failed.until.after(CALL_BACK_OFF_MAX) > now);
        }
        if self.failed.len() < FAILED_CALLS_REMEMBERED_MAX || self.failed.contains_key(&ip) {
            let failed = self.failed.entry(ip).or_insert(Failed { times: 0, until: now });
            let wait: Duration =
                BACK_OFF_FIRST.saturating_mul(1 << failed.times.min(8)).min(CALL_BACK_OFF_MAX);
            *failed = Failed { times: failed.times.saturating_add(1), until: now.after(wait) };
        }
    }

    /// Somebody answered there.
    pub(super) fn reached(&mut self, ip: IpAddr) {
        self.ended(ip);
        self.failed.remove(&ip);
    }

    fn ended(&mut self, ip: IpAddr) {
        if let Some(count) = self.under_way.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.under_way.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO.after(Duration::from_millis(ms))
    }

    fn peer(number: u16) -> PeerId {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PeerId::from_public_key(key)
    }

    fn socket(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 168, 7, last], 7_411))
    }

    #[test]
    fn t10_few_are_called_at_one_address_and_in_all() {
        let mut calls = Calls::new();
        let added = (0..100).filter(|number| calls.add(peer(*number), socket(9), at(0))).count();
        assert_eq!(added, CALLS_PER_IP_MAX);
        let added = (100..1_000)
            .filter(|number| calls.add(peer(*number), socket(u8::try_from(*number % 200).unwrap()), at(0)))
            .count();
        assert_eq!(added, CALLS_MAX - CALLS_PER_IP_MAX);
    }

    #[test]
    fn a_peer_is_called_once_and_not_if_it_is_here_already() {
        let mut calls = Calls::new();
        assert!(calls.add(peer(1), socket(1), at(0)) && !calls.add(peer(1), socket(2), at(0)));
        assert!(calls.add(peer(2), socket(2), at(0)));
        assert_eq!(calls.next(|free| free != peer(1)), Some((peer(2), socket(2))));
        assert_eq!(calls.next(|_| true), None);
    }

    #[test]
    fn t9_where_a_call_failed_the_next_waits_longer_each_time() {
        let mut calls = Calls::new();
        let (mut now, mut pauses) = (0, Vec::new());
        for number in 0..6 {
            calls.failed(socket(9).ip(), at(now));
            let waits = (1..).map(|pause| pause * 100).find(|pause| {
                let is_called = calls.add(peer(number), socket(9), at(now + pause));
                assert_eq!(calls.next(|_| true).is_some(), is_called);
                is_called
            });
            pauses.extend(waits);
            now += waits.unwrap_or(0);
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert!(calls.add(peer(90), socket(10), at(now)), "other addresses are called all the while");
        calls.reached(socket(9).ip());
        calls.failed(socket(9).ip(), at(now));
        assert!(calls.add(peer(91), socket(9), at(now + 1_000)), "it begins anew after somebody answered");
    }

    #[test]
    fn t10_calls_that_nobody_answers_fill_the_share_of_their_address() {
        let mut calls = Calls::new();
        for number in 0..CALLS_PER_IP_MAX {
            let peer = peer(u16::try_from(number).unwrap());
            assert!(calls.add(peer, socket(9), at(0)) && calls.next(|_| true).is_some());
        }
        assert!(!calls.add(peer(90), socket(9), at(0)) && calls.add(peer(90), socket(10), at(0)));
        calls.reached(socket(9).ip());
        assert!(calls.add(peer(91), socket(9), at(0)));
    }

    #[test]
    fn t9_the_memory_of_failed_calls_is_bounded() {
        let mut calls = Calls::new();
        for number in 0..10_000_u32 {
            calls.failed(IpAddr::from(number.to_be_bytes()), at(0));
        }
        assert_eq!(calls.failed.len(), FAILED_CALLS_REMEMBERED_MAX);
    }
}
