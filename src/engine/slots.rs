//! What is being served, and whether there is room for one request more.
//!
//! Whoever fetches a file together crowds whoever just read a piece of it. A few who get it fast pass it on sooner than
//! all of them get it slowly, so members of swarms share a few slots; the others are told to come again, and find it
//! elsewhere by then. Knows: who is served, since when. Does not know: what (`serve`).

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::time::Instant;

use super::io::ServeId;

/// Requests of all peers together that are served at a time.
pub const SERVES_MAX: usize = 64;
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

#[derive(Clone, Debug)]
struct Serve {
    peer: PeerId,
    request: RequestId,
    guest: Guest,
    since: Instant,
}

/// Requests that are being served.
#[derive(Debug, Default)]
pub(super) struct Slots {
    open: BTreeMap<ServeId, Serve>,
}

impl Slots {
    /// `None` if one request more may be served to this peer now; else when it may ask again.
    pub(super) fn busy(&self, peer: PeerId, guest: Guest, now: Instant) -> Option<Duration> {
        if self.open.len() >= SERVES_MAX {
            return Some(BUSY_RETRY);
        }
        if guest == Guest::Other {
            return None;
        }
        let members = || self.open.values().filter(|serve| serve.guest == Guest::Member);
        let taken = members().filter(|serve| now.since(serve.since) < SLOT_HELD).count();
        let own = members().filter(|serve| serve.peer == peer).count();
        (taken >= SLOTS || own >= SLOTS_PER_MEMBER).then_some(SLOT_RETRY)
    }

    /// A request is served from now on.
    pub(super) fn add(&mut self, id: ServeId, peer: PeerId, request: RequestId, guest: Guest, now: Instant) {
        self.open.insert(id, Serve { peer, request, guest, since: now });
    }

    /// A request is served no more. Whose it was.
    pub(super) fn remove(&mut self, id: ServeId) -> Option<(PeerId, RequestId)> {
        self.open.remove(&id).map(|serve| (serve.peer, serve.request))
    }

    /// All that is served.
    pub(super) fn ids(&self) -> impl Iterator<Item = ServeId> + '_ {
        self.open.keys().copied()
    }
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
            slots.add(ServeId(number), peer, RequestId(number), guest, NOW);
        }
        slots
    }

    #[test]
    fn the_ninth_request_of_members_comes_again_soon_unless_a_slot_is_given_back() {
        let mut slots = taken(Guest::Member, 8);
        assert_eq!(slots.busy(peer(9), Guest::Member, NOW), Some(SLOT_RETRY));
        assert_eq!(slots.remove(ServeId(3)), Some((peer(1), RequestId(3))));
        assert_eq!(slots.busy(peer(9), Guest::Member, NOW), None);
    }

    #[test]
    fn who_takes_bytes_slowly_keeps_nobody_waiting() {
        let slots = taken(Guest::Member, 8);
        assert_eq!(slots.busy(peer(9), Guest::Member, NOW.after(SLOT_HELD)), None);
        assert_eq!(slots.busy(peer(0), Guest::Member, NOW.after(SLOT_HELD)), Some(SLOT_RETRY), "it has two");
    }

    #[test]
    fn holders_serve_who_asks_until_there_are_64() {
        assert_eq!(taken(Guest::Other, 63).busy(peer(9), Guest::Other, NOW), None);
        assert_eq!(taken(Guest::Other, 8).busy(peer(9), Guest::Member, NOW), None);
        for guest in [Guest::Member, Guest::Other] {
            assert_eq!(taken(Guest::Other, 64).busy(peer(9), guest, NOW), Some(BUSY_RETRY));
        }
    }
}
