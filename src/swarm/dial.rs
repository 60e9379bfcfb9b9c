//! The table of peers: who was announced or named, where, whom to dial next, whom not to talk to.
//!
//! Knows: addresses with their ages and failures, back-off per (peer, address), bans per peer id (TRUST-9), the
//! bounds of T11. Does not know: sockets, clocks, who is connected: it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peer_proto::limits::BANNED_PUT_LAST;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::KnownBy;
use super::address::PeerAddress;
use super::calls::Calls;
use super::limits::{
    ADDRESSES_PER_PEER_MAX, ANNOUNCEMENT_TTL_MAX, BACK_OFF_FIRST, BACK_OFF_MAX, BACK_OFF_STATIC_MAX, BAN_MAX,
    BANS_MAX, DIALS_PER_S_MAX, PEERS_MAX, PEERS_PER_IP_MAX, POLITE_WAIT, PROTOCOL_ERROR_BAN,
    STATIC_DIALS_PER_TICK, STATIC_PEERS_MAX,
};

/// One attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dial {
    /// Where.
    pub(super) socket: SocketAddr,
    /// Who must answer; anybody if `None`.
    pub(super) peer: Option<PeerId>,
    /// Why it is tried.
    pub(super) reason: Reason,
}

/// Why somebody is dialled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// It is configured under this address.
    Configured(PeerAddress),
    /// It was announced.
    Announced,
    /// It asked the link for what is here.
    Asked,
}

/// What became of an announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Announced {
    /// The peer was unknown, or gone for longer than its announcement lived.
    New,
    /// Nothing new.
    Known,
    /// A bound is reached, or nothing usable was announced.
    Ignored,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PeerTable {
    me: PeerId,
    configured: Vec<Configured>,
    announced: BTreeMap<PeerId, BTreeMap<SocketAddr, Reach>>,
    bans: BTreeMap<PeerId, Ban>,
    /// Where the round of announced peers goes on.
    cursor: Option<PeerId>,
    /// When the last dials were begun, the oldest first; no more than a second may have.
    begun: VecDeque<Instant>,
    calls: Calls,
    /// Whether the last dial to a stranger was a call: announced ones and callers take turns.
    called_last: bool,
}

/// A configured peer.
#[derive(Debug)]
struct Configured {
    address: PeerAddress,
    /// Who answered there, if the configuration does not say.
    learned: Option<PeerId>,
    purpose: Purpose,
    by: NamedBy,
    attempts: Attempts,
}

/// What a peer is configured for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To be connected.
    Peer,
    /// To name others of the site, too.
    Rendezvous,
}

/// What came of naming a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// It is tried from now on.
    New,
    /// It was named already, and stands under whoever said so for longer.
    Known,
    /// As many are named as there may be, or it is this node.
    Refused,
}

/// An announced address.
#[derive(Debug)]
struct Reach {
    expires: Instant,
    by: KnownBy,
    attempts: Attempts,
}

/// How dialling went so far.
#[derive(Debug)]
struct Attempts {
    not_before: Instant,
    failures: u32,
    under_way: bool,
}

/// A peer id not to talk to.
#[derive(Debug)]
struct Ban {
    until: Instant,
    protocol_errors: u32,
}

impl PeerTable {
    pub(super) const fn new(me: PeerId) -> Self {
        Self {
            me,
            configured: Vec::new(),
            announced: BTreeMap::new(),
            bans: BTreeMap::new(),
            cursor: None,
            begun: VecDeque::new(),
            calls: Calls::new(),
            called_last: false,
        }
    }

    /// Adds a peer that somebody named.
    pub(super) fn configure(
        &mut self,
        address: PeerAddress,
        purpose: Purpose,
        by: NamedBy,
        now: Instant,
    ) -> Named {
        if let Some(known) = self.configured_at(address) {
            if purpose == Purpose::Rendezvous {
                known.purpose = purpose;
            }
            known.by = known.by.max(by);
            return Named::Known;
        }
        if self.configured.len() >= STATIC_PEERS_MAX || address.peer() == Some(self.me) {
            return Named::Refused;
        }
        let attempts = Attempts::due(now);
        self.configured.push(Configured { address, learned: None, purpose, by, attempts });
        Named::New
    }

    /// Forgets a peer at an address that `peer add` named; whether there was one. Its session stays.
    pub(super) fn remove_added(&mut self, address: PeerAddress) -> bool {
        let before = self.configured.len();
        self.configured.retain(|one| one.address != address || one.by != NamedBy::Added);
        self.configured.len() < before
    }

    fn configured_at(&mut self, address: PeerAddress) -> Option<&mut Configured> {
        self.configured.iter_mut().find(|one| one.address == address)
    }

    /// Whether the configuration names this peer as a rendezvous: by its id, or where no id is given by its address.
    pub(super) fn is_rendezvous(&self, peer: PeerId, ip: IpAddr) -> bool {
        let mut all = self.configured.iter().filter(|one| one.purpose == Purpose::Rendezvous);
        all.any(|one| match one.address.peer() {
            Some(named) => named == peer,
            None => one.address.socket().ip() == ip,
        })
    }

    /// Whether the configuration names this peer, or somebody at this IP address.
    pub(super) fn is_configured(&self, peer: Option<PeerId>, ip: IpAddr) -> bool {
        self.configured.iter().any(|one| {
            let same_peer = peer.is_some() && one.peer() == peer;
            same_peer || (one.address.socket().ip() == ip && one.address.peer().is_none())
        })
    }

    /// Takes a hint whose addresses were already found to be such as may be dialled.
    pub(super) fn announce(
        &mut self,
        peer: PeerId,
        sockets: &[SocketAddr],
        by: KnownBy,
        now: Instant,
    ) -> Announced {
        if peer == self.me || sockets.is_empty() {
            return Announced::Ignored;
        }
        let known = self.announced.contains_key(&peer);
        if !known && !self.make_room(sockets, now) {
            return Announced::Ignored;
        }
        let polite = if self.me > peer { POLITE_WAIT } else { Duration::ZERO };
        let addresses = self.announced.entry(peer).or_default();
        addresses.retain(|_, reach| reach.expires > now);
        for socket in sockets {
            if addresses.len() >= ADDRESSES_PER_PEER_MAX && !addresses.contains_key(socket) {
                break;
            }
            let expires = now.after(ANNOUNCEMENT_TTL_MAX);
            addresses.entry(*socket).and_modify(|reach| reach.expires = expires).or_insert_with(|| Reach {
                expires,
                by,
                attempts: Attempts::due(now.after(polite)),
            });
        }
        if known { Announced::Known } else { Announced::New }
    }

    /// Somebody asked the link for what is here: it is called once, soon.
    pub(super) fn call(&mut self, peer: PeerId, socket: SocketAddr, now: Instant) -> bool {
        peer != self.me && self.calls.add(peer, socket, now)
    }

    /// A peer is connected from this IP address: its sockets there stay known. Which they are.
    pub(super) fn still_there(&mut self, peer: PeerId, ip: IpAddr, now: Instant) -> Vec<SocketAddr> {
        let known = self.announced.get_mut(&peer).into_iter().flatten();
        let there = known.filter(|(socket, _)| socket.ip() == ip).map(|(socket, reach)| {
            reach.expires = reach.expires.max(now.after(ANNOUNCEMENT_TTL_MAX));
            *socket
        });
        there.collect()
    }

    /// Somebody said goodbye on the link in the peer's name: what was announced there is forgotten.
    pub(super) fn withdraw(&mut self, peer: PeerId) {
        if let Some(known) = self.announced.get_mut(&peer) {
            known.retain(|_, reach| reach.by != KnownBy::Announced);
            if known.is_empty() {
                self.announced.remove(&peer);
            }
        }
    }

    /// Drops what expired; then, if still full, the unreachable peer with most failures.
    fn make_room(&mut self, sockets: &[SocketAddr], now: Instant) -> bool {
        for socket in sockets {
            let same_ip = |known: &BTreeMap<SocketAddr, Reach>| known.keys().any(|at| at.ip() == socket.ip());
            if self.announced.values().filter(|known| same_ip(known)).count() >= PEERS_PER_IP_MAX {
                return false;
            }
        }
        if self.announced.len() >= PEERS_MAX {
            self.forget_expired(now);
        }
        if self.announced.len() >= PEERS_MAX {
            let worst = self.announced.iter().max_by_key(|(_, known)| fewest_failures(known));
            match worst {
                Some((peer, known)) if fewest_failures(known) > 0 => {
                    let peer = *peer;
                    self.announced.remove(&peer);
                }
                _ => return false,
            }
        }
        true
    }

    fn forget_expired(&mut self, now: Instant) {
        self.announced.retain(|_, known| {
            known.retain(|_, reach| reach.expires > now || reach.attempts.under_way);
            !known.is_empty()
        });
    }

    /// Whom to dial now: at most one configured or one announced peer, none that is `busy` (connected or being
    /// dialled), none that is banned; and nobody once ten were dialled within a second (T11, LOCAL-8), however often
    /// it is asked. `strangers` says whether announced ones may be dialled at all.
    pub(super) fn next_dials(
        &mut self,
        now: Instant,
        busy: &BTreeSet<PeerId>,
        strangers: Strangers,
    ) -> Vec<Dial> {
        let mut dials = Vec::new();
        if self.begun.len() >= DIALS_PER_S_MAX {
            match self.begun.front() {
                Some(first) if now.since(*first) < Duration::from_secs(1) => return dials,
                _ => self.begun.pop_front(),
            };
        }
        let bans = &self.bans;
        let free = |peer: PeerId| !busy.contains(&peer) && !is_banned(bans, peer, now);
        for one in &mut self.configured {
            if dials.len() >= STATIC_DIALS_PER_TICK {
                break;
            }
            if one.attempts.is_due(now) && one.peer().is_none_or(free) {
                one.attempts.under_way = true;
                let (socket, peer) = (one.address.socket(), one.address.peer());
                dials.push(Dial { socket, peer, reason: Reason::Configured(one.address) });
            }
        }
        if strangers == Strangers::Dial && dials.is_empty() {
            dials.extend(self.next_stranger(now, busy));
        }
        self.begun.extend(dials.iter().map(|_| now));
        dials
    }

    /// Somebody who asked, or somebody announced, in turns while both wait.
    fn next_stranger(&mut self, now: Instant, busy: &BTreeSet<PeerId>) -> Option<Dial> {
        if self.called_last
            && let Some(dial) = self.next_announced(now, busy)
        {
            self.called_last = false;
            return Some(dial);
        }
        let bans = &self.bans;
        let call = self.calls.next(|peer| !busy.contains(&peer) && !is_banned(bans, peer, now));
        self.called_last = call.is_some();
        match call {
            Some((peer, socket)) => Some(Dial { socket, peer: Some(peer), reason: Reason::Asked }),
            None => self.next_announced(now, busy),
        }
    }

    /// Somebody announced; where several banned ids are known to be, only if nobody else is due (TRUST-9).
    fn next_announced(&mut self, now: Instant, busy: &BTreeSet<PeerId>) -> Option<Dial> {
        let doubted = self.doubted(now);
        let next = self.next_in_turn(now, busy, |ip| !doubted.contains(&ip));
        let (peer, socket) = match next {
            None if !doubted.is_empty() => self.next_in_turn(now, busy, |_| true)?,
            next => next?,
        };
        self.cursor = Some(peer);
        let dial = Dial { socket, peer: Some(peer), reason: Reason::Announced };
        self.attempts(&dial)?.under_way = true;
        Some(dial)
    }

    /// IP addresses at which as many banned ids are announced as make it come last.
    fn doubted(&self, now: Instant) -> BTreeSet<IpAddr> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let banned = self.bans.iter().filter(|(_, ban)| ban.until > now);
        for known in banned.filter_map(|(peer, _)| self.announced.get(peer)) {
            let there: BTreeSet<IpAddr> = known.keys().map(SocketAddr::ip).collect();
            there.into_iter().for_each(|ip| *counts.entry(ip).or_default() += 1);
        }
        counts.retain(|_, count| *count >= BANNED_PUT_LAST);
        counts.into_keys().collect()
    }

    /// Goes round the announced peers, so that none waits for ever behind others.
    fn next_in_turn(
        &self,
        now: Instant,
        busy: &BTreeSet<PeerId>,
        is_wanted: impl Fn(IpAddr) -> bool,
    ) -> Option<(PeerId, SocketAddr)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let due = |peer: &PeerId, known: &BTreeMap<SocketAddr, Reach>| -> Option<SocketAddr> {
            if busy.contains(peer) || is_banned(&self.bans, *peer, now) {
                return None;
            }
            let ready = known.iter().filter(|(_, reach)| reach.expires > now && reach.attempts.is_due(now));
            let wanted = ready.filter(|(socket, _)| is_wanted(socket.ip()));
            wanted.min_by_key(|(_, reach)| reach.attempts.failures).map(|(socket, _)| *socket)
        };
        let after = self.cursor.map_or(Unbounded, Excluded);
        let until = self.cursor.map_or(Excluded(PeerId::from_public_key([0; 32])), Included);
        self.announced
            .range((after, Unbounded))
            .chain(self.announced.range((Unbounded, until)))
            .find_map(|(peer, known)| Some((*peer, due(peer, known)?)))
    }

    /// The attempts a dial counts for.
    fn attempts(&mut self, dial: &Dial) -> Option<&mut Attempts> {
        match (dial.reason, dial.peer) {
            (Reason::Configured(address), _) => self.configured_at(address).map(|one| &mut one.attempts),
            (Reason::Announced, Some(peer)) => {
                let reach = self.announced.get_mut(&peer)?.get_mut(&dial.socket)?;
                Some(&mut reach.attempts)
            }
            (Reason::Announced, None) | (Reason::Asked, _) => None,
        }
    }

    /// The dial failed: wait longer before the next one to that (peer, address). The peer id is not blamed.
    pub(super) fn failed(&mut self, dial: &Dial, now: Instant) {
        let most = match dial.reason {
            Reason::Configured(_) => BACK_OFF_STATIC_MAX,
            Reason::Announced => BACK_OFF_MAX,
            Reason::Asked => return self.calls.failed(dial.socket.ip(), now),
        };
        if let Some(attempts) = self.attempts(dial) {
            let wait = BACK_OFF_FIRST.saturating_mul(1 << attempts.failures.min(16)).min(most);
            attempts.failures = attempts.failures.saturating_add(1);
            attempts.not_before = now.after(wait);
            attempts.under_way = false;
        }
    }

    /// The dial reached `peer`.
    pub(super) fn reached(&mut self, dial: &Dial, peer: PeerId, now: Instant) {
        if let Some(attempts) = self.attempts(dial) {
            *attempts = Attempts::due(now.after(BACK_OFF_FIRST));
        }
        match dial.reason {
            Reason::Configured(address) => {
                self.configured_at(address).into_iter().for_each(|one| one.learned = Some(peer));
            }
            Reason::Announced => {}
            Reason::Asked => self.calls.reached(dial.socket.ip()),
        }
    }

    /// The last connection to `peer` is gone: it may be dialled again after a moment.
    pub(super) fn lost(&mut self, peer: PeerId, now: Instant) {
        let soon = now.after(BACK_OFF_FIRST);
        let configured = self.configured.iter_mut().filter(|one| one.peer() == Some(peer));
        let announced = self.announced.get_mut(&peer).into_iter().flat_map(BTreeMap::values_mut);
        for attempts in
            configured.map(|one| &mut one.attempts).chain(announced.map(|reach| &mut reach.attempts))
        {
            attempts.not_before = attempts.not_before.max(soon);
        }
    }

    /// Refuses a peer id until `now + span`, at most a day; never shortens a ban.
    pub(super) fn ban(&mut self, peer: PeerId, span: Duration, now: Instant) {
        if span.is_zero() {
            return;
        }
        let until = now.after(span.min(BAN_MAX));
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&peer) {
            let first = self.bans.iter().min_by_key(|(_, ban)| ban.until).map(|(peer, _)| *peer);
            first.map(|peer| self.bans.remove(&peer));
        }
        let ban = self.bans.entry(peer).or_insert(Ban { until, protocol_errors: 0 });
        ban.until = ban.until.max(until);
    }

    /// WIRE-9: a minute without this peer, doubling with each protocol error.
    pub(super) fn protocol_error(&mut self, peer: PeerId, now: Instant) {
        let earlier = self.bans.get(&peer).map_or(0, |ban| ban.protocol_errors);
        self.ban(peer, PROTOCOL_ERROR_BAN.saturating_mul(1 << earlier.min(16)), now);
        if let Some(ban) = self.bans.get_mut(&peer) {
            ban.protocol_errors = earlier.saturating_add(1);
        }
    }

    /// Whether this peer id is refused now.
    pub(super) fn is_banned(&self, peer: PeerId, now: Instant) -> bool {
        is_banned(&self.bans, peer, now)
    }

    /// Everyone is due now, however often nobody answered.
    pub(super) fn retry(&mut self, now: Instant) {
        let configured = self.configured.iter_mut().map(|one| &mut one.attempts);
        let announced = self.announced.values_mut().flat_map(BTreeMap::values_mut);
        for attempts in configured.chain(announced.map(|reach| &mut reach.attempts)) {
            attempts.not_before = attempts.not_before.min(now);
        }
    }

    /// Forgets everyone whom the configuration does not name; how many they were.
    pub(super) fn clear(&mut self) -> usize {
        let announced = std::mem::take(&mut self.announced);
        let is_other = |one: &&Configured| {
            one.by != NamedBy::Configuration && one.peer().is_none_or(|peer| !announced.contains_key(&peer))
        };
        let named = self.configured.iter().filter(is_other).count();
        self.configured.retain(|one| one.by == NamedBy::Configuration);
        announced.len() + named
    }

    /// Everyone known now: id if known, addresses, how they came to be known.
    pub(super) fn known(&self, now: Instant) -> impl Iterator<Item = (Option<PeerId>, SocketAddr, KnownBy)> {
        let configured = self.configured.iter().map(|one| (one.peer(), one.address.socket(), one.by.into()));
        let hints = self.announced.iter().flat_map(move |(peer, known)| {
            let valid = known.iter().filter(move |(_, reach)| reach.expires > now);
            valid.map(|(socket, reach)| (Some(*peer), *socket, reach.by))
        });
        configured.chain(hints)
    }
}

/// Who named a peer that nobody announced; of several, who says so for longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NamedBy {
    /// A command, for as long as the node runs: `get --peer`, a ticket.
    Command,
    /// `peer add`, until it is taken back.
    Added,
    /// The configuration.
    Configuration,
}

impl From<NamedBy> for KnownBy {
    fn from(by: NamedBy) -> Self {
        match by {
            NamedBy::Command => Self::Command,
            NamedBy::Added => Self::Added,
            NamedBy::Configuration => Self::Configured,
        }
    }
}

/// Whether announced strangers may be dialled in this beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Strangers {
    /// There is room for one.
    Dial,
    /// Their share of the connections is used.
    Wait,
}

impl Configured {
    fn peer(&self) -> Option<PeerId> {
        self.address.peer().or(self.learned)
    }
}

impl Attempts {
    const fn due(at: Instant) -> Self {
        Self { not_before: at, failures: 0, under_way: false }
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.under_way && self.not_before <= now
    }
}

fn fewest_failures(known: &BTreeMap<SocketAddr, Reach>) -> u32 {
    known.values().map(|reach| reach.attempts.failures).min().unwrap_or(u32::MAX)
}

fn is_banned(bans: &BTreeMap<PeerId, Ban>, peer: PeerId, now: Instant) -> bool {
    bans.get(&peer).is_some_and(|ban| ban.until > now)
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
