//! What is being served, and whether there is room for one request more.
//!
//! Whoever fetches a file together crowds whoever just read a piece of it. A few who get it fast pass it on sooner than
//! all of them get it slowly, so members of swarms share a few slots; the others are told to come again, and find it
//! elsewhere by then. Knows: who is served, since when. Does not know: what (`serve`).

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::time::Instant;

use super::io::{SMALL_REQUEST, ServeId, Yields};

/// Requests of all peers together that are served at a time.
pub const SERVES_MAX: usize = 64;
/// Small requests that are served beside as many larger ones as there may be.
pub const SMALL_SERVES: usize = 8;
/// Where a rate holds, there are so many bytes per second of it for each request: two slow answers are worth less than a
/// fast one and a word to come again.
pub const RATE_PER_SERVE: u64 = 64 * 1024;
/// Requests that are served at a time at the lowest of rates.
pub const SERVES_MIN: usize = 2;
/// A place is free again, more or less, when so many bytes went out.
const SERVE_LEN: u64 = 1 << 20;
/// When a refused peer may ask again, at the latest.
const BUSY_RETRY_MAX: Duration = Duration::from_secs(10);
/// When a refused peer may ask again.
pub const BUSY_RETRY: Duration = Duration::from_millis(500);
/// Requests of members of swarms that are served at a time, as long as each is quick.
pub const SLOTS: usize = 8;
/// Slots of one member.
pub const SLOTS_PER_MEMBER: usize = 2;
/// A request gives its slot back after so long: who takes bytes slowly does not keep the others waiting.
pub const SLOT_HELD: Duration = Duration::from_millis(500);
/// When a member that found no slot may ask again.
pub const SLOT_RETRY: Duration = Duration::from_millis(100);

/// For whom a request is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guest {
    /// Somebody who fetches the file too.
    Member,
    /// Anybody else.
    Other,
}

/// A request that is served.
#[derive(Clone, Debug)]
pub(super) struct Serve {
    pub(super) peer: PeerId,
    pub(super) request: RequestId,
    pub(super) guest: Guest,
    pub(super) yields: Yields,
    pub(super) since: Instant,
}

/// A request that is not served yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) peer: PeerId,
    pub(super) guest: Guest,
    /// Bytes it asks for.
    pub(super) len: u64,
    /// Bytes per second that all which are served share, if there is a limit.
    pub(super) rate: Option<NonZeroU64>,
}

/// Requests that are being served.
#[derive(Debug, Default)]
pub(super) struct Slots {
    open: BTreeMap<ServeId, Serve>,
}

impl Slots {
    /// `None` if one request more may be served to this peer now; else when it may ask again.
    pub(super) fn busy(&self, caller: &Caller, now: Instant) -> Option<Duration> {
        let extra = if caller.len <= SMALL_REQUEST { SMALL_SERVES } else { 0 };
        if self.open.len() >= places(caller.rate) + extra {
            return Some(retry(caller.rate));
        }
        if caller.guest == Guest::Other {
            return None;
        }
        let members = || self.open.values().filter(|serve| serve.guest == Guest::Member);
        let taken = members().filter(|serve| now.since(serve.since) < SLOT_HELD).count();
        let own = members().filter(|serve| serve.peer == caller.peer).count();
        (taken >= SLOTS || own >= SLOTS_PER_MEMBER).then_some(SLOT_RETRY)
    }

    /// A request is served from now on.
    pub(super) fn add(&mut self, id: ServeId, serve: Serve) {
        self.open.insert(id, serve);
    }

    /// A request is served no more. Whose it was.
    pub(super) fn remove(&mut self, id: ServeId) -> Option<(PeerId, RequestId)> {
        self.open.remove(&id).map(|serve| (serve.peer, serve.request))
    }

    /// Whether anything is served that yields to foreground jobs.
    pub(super) fn any_yields(&self) -> bool {
        self.open.values().any(|serve| serve.yields == Yields::ToForeground)
    }

    /// All that is served.
    pub(super) fn ids(&self) -> impl Iterator<Item = ServeId> + '_ {
        self.open.keys().copied()
    }
}

/// Requests that may be served at a time: as many as the rate is enough for (CACHE-19).
fn places(rate: Option<NonZeroU64>) -> usize {
    let enough = rate.map(|rate| usize::try_from(rate.get() / RATE_PER_SERVE).unwrap_or(SERVES_MAX));
    enough.map_or(SERVES_MAX, |places| places.clamp(SERVES_MIN, SERVES_MAX))
}

/// When there may be a place again.
fn retry(rate: Option<NonZeroU64>) -> Duration {
    let ms = rate.map_or(0, |rate| SERVE_LEN * 1_000 / rate);
    Duration::from_millis(ms).clamp(BUSY_RETRY, BUSY_RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(7_000_000);

    fn peer(number: u8) -> PeerId {
        PeerId::from_public_key([number; 32])
    }

    fn taken(guest: Guest, count: u64) -> Slots {
        let mut slots = Slots::default();
        for number in 0..count {
            let peer = peer(u8::try_from(number / 2).unwrap());
            let request = RequestId(number);
            slots.add(
                ServeId(number),
                Serve { peer, request, guest, yields: Yields::ToForeground, since: NOW },
            );
        }
        slots
    }

    fn caller(number: u8, guest: Guest) -> Caller {
        Caller { peer: peer(number), guest, len: SMALL_REQUEST + 1, rate: None }
    }

    #[test]
    fn the_ninth_request_of_members_comes_again_soon_unless_a_slot_is_given_back() {
        let mut slots = taken(Guest::Member, 8);
        assert_eq!(slots.busy(&caller(9, Guest::Member), NOW), Some(SLOT_RETRY));
        assert_eq!(slots.remove(ServeId(3)), Some((peer(1), RequestId(3))));
        assert_eq!(slots.busy(&caller(9, Guest::Member), NOW), None);
    }

    #[test]
    fn who_takes_bytes_slowly_keeps_nobody_waiting() {
        let slots = taken(Guest::Member, 8);
        assert_eq!(slots.busy(&caller(9, Guest::Member), NOW.after(SLOT_HELD)), None);
        let own = slots.busy(&caller(0, Guest::Member), NOW.after(SLOT_HELD));
        assert_eq!(own, Some(SLOT_RETRY), "it has two");
    }

    #[test]
    fn cache_19_holders_serve_who_asks_until_there_are_64_and_a_few_small_ones_more() {
        assert_eq!(taken(Guest::Other, 63).busy(&caller(99, Guest::Other), NOW), None);
        assert_eq!(taken(Guest::Other, 8).busy(&caller(99, Guest::Member), NOW), None);
        for guest in [Guest::Member, Guest::Other] {
            let small = Caller { len: SMALL_REQUEST, ..caller(99, guest) };
            assert_eq!(taken(Guest::Other, 64).busy(&caller(99, guest), NOW), Some(BUSY_RETRY));
            assert_eq!(taken(Guest::Other, 71).busy(&small, NOW), None);
            assert_eq!(taken(Guest::Other, 72).busy(&small, NOW), Some(BUSY_RETRY));
        }
    }

    #[test]
    fn cache_19_a_rate_is_shared_by_few_and_the_others_hear_when_there_is_a_place() {
        let busy = |rate, taken_already| {
            let caller = Caller { rate: NonZeroU64::new(rate), ..caller(99, Guest::Other) };
            taken(Guest::Other, taken_already).busy(&caller, NOW)
        };
        let second = Duration::from_secs(1);
        assert_eq!((busy(1, 1), busy(1, 2)), (None, Some(second * 10)));
        assert_eq!((busy(131_072, 1), busy(131_072, 2)), (None, Some(second * 8)));
        assert_eq!((busy(1 << 20, 15), busy(1 << 20, 16)), (None, Some(second)));
        assert_eq!((busy(u64::MAX, 63), busy(u64::MAX, 64)), (None, Some(BUSY_RETRY)));
    }
}
