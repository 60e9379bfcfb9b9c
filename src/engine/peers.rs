//! The peers that are there: one session each, and what we think of them.
//!
//! Knows: sessions, bans, refuted authors, how much each gave and took. Does not know: jobs, or what is asked of whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peer_proto::content::{ByteRange, ContentId, Hash};
use peer_proto::digest::Digest;
use peer_proto::peer::PeerId;
use peer_proto::session::{Output, RequestId, Session, SessionConfig, SessionEvent};
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;
use peer_proto::wire::Frame;
use serde::{Deserialize, Serialize};

use super::core::Core;
use super::doubts::{Doubted, Lacks};
use super::io::{Effect, KeptBan, LeaseId, ServeId};
use super::lookup::{ASK_AGAIN, ASK_AGAIN_MAX};
use super::piece_set::PieceSet;
use crate::job::FileId;

/// First ban of a peer that lied; each next one is twice as long.
pub const BAN_FIRST: Duration = Duration::from_secs(10 * 60);
/// Ban at most.
pub const BAN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long a refuted author's lists are not taken (CLAIM-4).
pub const REFUTED_FOR: Duration = Duration::from_secs(60 * 60);
/// Back-off after the first protocol error (WIRE-9); doubles.
pub const ERROR_BACK_OFF: Duration = Duration::from_secs(60);
const BANS_MAX: usize = 1_024;

/// A peer as it stands: what `peer list` shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerView {
    /// Who.
    pub peer: PeerId,
    /// Its address, as last seen; empty if it was never connected.
    pub address: String,
    /// Whether the address is on-link, loopback or configured, or a rendezvous of the configuration named it.
    pub near: bool,
    /// Whether it is connected now and said hello.
    pub connected: bool,
    /// Whether it is a member of a group of this node's, by a token that counts now.
    #[serde(default)]
    pub member: bool,
    /// The ids of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// For how many seconds more it is banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_for_s: Option<u64>,
    /// Contents of ours that it says it holds.
    pub held: u32,
    /// Bytes it gave us since it connected.
    pub bytes_in: u64,
    /// Bytes we gave it since it connected.
    pub bytes_out: u64,
}

/// Memory that what all peers together say they have may take (WIRE-4).
pub(super) const HAVE_MEMORY_MAX: usize = 16 << 20;

/// Why a peer is refused for a while.
#[derive(Clone, Debug)]
struct Ban {
    until: Instant,
    strikes: u32,
    /// Lies count as bans; protocol errors only back off.
    lied: bool,
    address: String,
}

/// One connected peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: String,
    pub(super) near: bool,
    /// The subnet it is on, if that is known.
    pub(super) link: Option<Subnet>,
    pub(super) session: Session,
    pub(super) ready: bool,
    /// Whether it wanted to join in and was not near.
    pub(super) turned_away: bool,
    /// Our questions that are open, by key.
    pub(super) asks: BTreeMap<u32, FileId>,
    pub(super) next_key: u32,
    /// How often each job asked it, and when it may ask again.
    pub(super) asked: BTreeMap<FileId, (u32, Instant)>,
    /// Our requests and the leases they are for.
    pub(super) requests: BTreeMap<RequestId, (FileId, LeaseId)>,
    /// Swarms it was told that we are in.
    pub(super) joined: BTreeSet<ContentId>,
    /// Contents it proved to know the digest of, and that we said we hold.
    pub(super) granted: BTreeSet<ContentId>,
    /// Its requests that are being served.
    pub(super) serving: BTreeMap<RequestId, ServeId>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) lacks: Lacks,
    /// Memory that what it says it has takes.
    have_bytes: usize,
    wake: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: BTreeMap<PeerId, Peer>,
    bans: BTreeMap<PeerId, Ban>,
    refuted: BTreeMap<PeerId, Instant>,
    pub(super) doubted: Doubted,
    /// When each session wants to be woken, if it does.
    wakes: BTreeSet<(Instant, PeerId)>,
}

impl Peers {
    pub(super) fn get(&self, peer: PeerId) -> Option<&Peer> {
        self.table.get(&peer)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Peer> {
        self.table.get_mut(&peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.table.iter().map(|(id, peer)| (*id, peer))
    }

    /// Peers that said hello, in the order of their ids.
    pub(super) fn ready(&self) -> Vec<PeerId> {
        self.table.iter().filter(|(_, peer)| peer.ready).map(|(id, _)| *id).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether a peer's lists are not taken now.
    pub(super) fn is_refuted(&self, peer: PeerId, now: Instant) -> bool {
        self.refuted.get(&peer).is_some_and(|until| *until > now)
    }

    /// Notes that what a peer stated is not what the origin says (CLAIM-4).
    pub(super) fn refute(&mut self, peer: PeerId, now: Instant) {
        self.refuted.retain(|_, until| *until > now);
        if self.refuted.len() < BANS_MAX {
            self.refuted.insert(peer, now.after(REFUTED_FOR));
        }
    }

    /// Until when a peer is refused, if it is.
    pub(super) fn banned_until(&self, peer: PeerId, now: Instant) -> Option<Instant> {
        self.bans.get(&peer).map(|ban| ban.until).filter(|until| *until > now)
    }

    fn insert_ban(&mut self, peer: PeerId, ban: Ban, now: Instant) {
        let address = ban.address.clone();
        self.bans.insert(peer, ban);
        let there = self.bans.values().filter(|ban| ban.lied && ban.address == address);
        self.doubted.look(&address, there.map(|ban| ban.until), now);
    }

    /// All that is known of bans.
    pub(super) fn kept_bans(&self, now: Instant) -> Vec<KeptBan> {
        let kept = self.bans.iter().map(|(peer, ban)| KeptBan {
            peer: *peer,
            address: ban.address.clone(),
            strikes: ban.strikes,
            lied: ban.lied,
            left_s: ban.until.since(now).as_secs(),
        });
        kept.collect()
    }

    /// How many peers are banned for a lie now.
    pub(super) fn banned_count(&self, now: Instant) -> u64 {
        let count = self.bans.values().filter(|ban| ban.lied && ban.until > now).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// When the next session wants to be woken.
    pub(super) fn wake(&self) -> Instant {
        self.wakes.first().map_or(Instant::NEVER, |(at, _)| *at)
    }

    fn set_wake(&mut self, id: PeerId, at: Instant) {
        let before = self.table.get_mut(&id).map(|peer| std::mem::replace(&mut peer.wake, at));
        if let Some(before) = before.filter(|before| *before != at) {
            self.wakes.remove(&(before, id));
            if at != Instant::NEVER {
                self.wakes.insert((at, id));
            }
        }
    }

    /// Nobody needs to be asked for this file any more.
    pub(super) fn forget_file(&mut self, file: FileId) {
        self.table.values_mut().for_each(|peer| {
            peer.asked.remove(&file);
        });
    }

    /// A peer said what it has of something: where that is too much of all of them, whoever takes most of it is the one of
    /// whom the oldest is forgotten (WIRE-4).
    pub(super) fn bound_haves(&mut self, spoke: PeerId) {
        let Some(peer) = self.table.get_mut(&spoke) else { return };
        peer.have_bytes = peer.session.have_memory();
        while self.have_memory() > HAVE_MEMORY_MAX {
            let Some(most) = self.table.values_mut().max_by_key(|peer| peer.have_bytes) else { return };
            if most.session.forget_oldest_have().is_none() {
                return;
            }
            most.have_bytes = most.session.have_memory();
        }
    }

    /// Bytes of memory that what all peers say they have takes.
    pub(super) fn have_memory(&self) -> usize {
        self.table.values().map(|peer| peer.have_bytes).sum()
    }

    /// Writes what a peer says it holds of a content.
    pub(super) fn write_have(&self, peer: PeerId, content: ContentId, into: &mut PieceSet) {
        match self.table.get(&peer).and_then(|peer| peer.session.have(content)) {
            Some(have) => into.set_words(|words| have.write_words(words)),
            None => *into = PieceSet::new(),
        }
    }

    pub(super) fn views(&self, now: Instant) -> Vec<PeerView> {
        let banned_for =
            |peer| self.banned_until(peer, now).map(|until| until.since(now).as_secs().saturating_add(1));
        let mut views: Vec<PeerView> = self
            .table
            .iter()
            .map(|(id, peer)| PeerView {
                peer: *id,
                address: peer.address.clone(),
                near: peer.near,
                connected: peer.ready,
                member: false,
                groups: Vec::new(),
                banned_for_s: banned_for(*id),
                held: 0,
                bytes_in: peer.bytes_in,
                bytes_out: peer.bytes_out,
            })
            .collect();
        let absent = self.bans.iter().filter(|(id, ban)| ban.until > now && !self.table.contains_key(id));
        views.extend(absent.map(|(id, ban)| PeerView {
            peer: *id,
            address: ban.address.clone(),
            near: false,
            connected: false,
            member: false,
            groups: Vec::new(),
            banned_for_s: banned_for(*id),
            held: 0,
            bytes_in: 0,
            bytes_out: 0,
        }));
        views
    }
}

impl Core {
    /// A channel to a peer opened: its session begins, unless it is banned.
    pub(super) fn peer_connected(&mut self, id: PeerId, address: String, near: bool, nonce: [u8; 16]) {
        let now = self.time();
        if let Some(until) = self.peers.banned_until(id, now) {
            self.effect(Effect::Disconnect { peer: id, until, reason: "it is still banned".into() });
            return;
        }
        self.peer_gone(id);
        let filler = peer_proto::group::filler(&self.config.seed, id, &nonce);
        let badges = self.config.groups.badges();
        let config = SessionConfig { me: self.config.me, peer: id, my_nonce: nonce, filler, badges };
        let peer = Peer {
            near: near || self.meeting.counts(id, &address, now),
            address,
            link: None,
            session: Session::new(config, now),
            ready: false,
            turned_away: false,
            asks: BTreeMap::new(),
            next_key: 1,
            asked: BTreeMap::new(),
            requests: BTreeMap::new(),
            joined: BTreeSet::new(),
            granted: BTreeSet::new(),
            serving: BTreeMap::new(),
            bytes_in: 0,
            bytes_out: 0,
            lacks: Lacks::default(),
            have_bytes: 0,
            wake: Instant::NEVER,
        };
        self.peers.table.insert(id, peer);
        self.pump(id);
    }

    /// Forgets a peer's session. Its jobs must be told by the caller.
    pub(super) fn peer_gone(&mut self, id: PeerId) -> Option<Peer> {
        self.peers.set_wake(id, Instant::NEVER);
        self.forget_token(id);
        self.forget_queue(id);
        self.attests.forget_peer(id);
        self.handing.values_mut().for_each(|handing| handing.forget_peer(id));
        self.renewal.values_mut().for_each(|renewal| renewal.forget_peer(id));
        self.redeeming.forget_peer(id);
        self.meeting.forget(id);
        let peer = self.peers.table.remove(&id)?;
        for serve in peer.serving.values() {
            self.effect(Effect::StopServe { id: *serve });
        }
        Some(peer)
    }

    pub(super) fn frame(&mut self, id: PeerId, frame: Frame) {
        let now = self.time();
        let Some(peer) = self.peers.get_mut(id) else { return };
        let outcome = peer.session.handle_frame(frame, now);
        self.pump(id);
        if let Err(error) = outcome {
            self.back_off(id, &error.to_string());
        }
    }

    /// Wakes the sessions whose time has come.
    pub(super) fn wake_sessions(&mut self) {
        let now = self.time();
        let due = self.peers.wakes.iter().take_while(|(at, _)| *at <= now);
        let due: BTreeSet<PeerId> = due.map(|(_, id)| *id).collect();
        for id in due {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.session.handle_timeout(now);
            }
            self.pump(id);
        }
    }

    /// Carries a session's frames and events out.
    pub(super) fn pump(&mut self, id: PeerId) {
        let Some(peer) = self.peers.table.get_mut(&id) else { return };
        loop {
            match peer.session.poll_output() {
                Output::Transmit(frame) => self.effects.push_back(Effect::Send { peer: id, frame }),
                Output::Event(event) => self.events.push_back((id, event)),
                Output::WaitUntil(at) => {
                    if peer.wake != at {
                        self.peers.set_wake(id, at);
                    }
                    return;
                }
            }
        }
    }

    /// A lie (TRUST-8): the peer goes, for longer each time.
    pub(super) fn ban(&mut self, id: PeerId, reason: &str) {
        self.refuse_peer(id, reason, true);
    }

    /// A protocol error (WIRE-9): the peer goes for a while.
    pub(super) fn back_off(&mut self, id: PeerId, reason: &str) {
        self.refuse_peer(id, reason, false);
    }

    /// An earlier run refused a peer. It is told when it comes.
    pub(super) fn ban_found(&mut self, found: KeptBan) {
        let now = self.time();
        if self.peers.bans.len() < BANS_MAX {
            let KeptBan { peer, address, strikes, lied, left_s } = found;
            let until = now.after(Duration::from_secs(left_s).min(BAN_MAX));
            self.peers.insert_ban(peer, Ban { until, strikes, lied, address }, now);
            self.totals.banned_peers = self.peers.banned_count(now);
        }
    }

    fn refuse_peer(&mut self, id: PeerId, reason: &str, lied: bool) {
        let now = self.time();
        if self.peers.banned_until(id, now).is_some() && self.peers.get(id).is_none() {
            return;
        }
        let address = self.peers.get(id).map(|peer| peer.address.clone()).unwrap_or_default();
        if self.peers.bans.len() >= BANS_MAX {
            self.peers.bans.retain(|_, ban| ban.until > now);
        }
        let strikes = self.peers.bans.get(&id).map_or(0, |ban| ban.strikes) + 1;
        let first = if lied { BAN_FIRST } else { ERROR_BACK_OFF };
        let until = now.after(first.saturating_mul(1 << (strikes - 1).min(12)).min(BAN_MAX));
        if self.peers.bans.len() < BANS_MAX {
            self.peers.insert_ban(id, Ban { until, strikes, lied, address }, now);
        }
        self.totals.banned_peers = self.peers.banned_count(now);
        self.part_with(id, until, reason.into());
    }

    /// Ends a session; the peer may come back from a moment on.
    pub(super) fn part_with(&mut self, id: PeerId, until: Instant, reason: String) {
        self.effect(Effect::Disconnect { peer: id, until, reason });
        self.events.push_back((id, SessionEvent::Left { words: String::new() }));
    }

    /// Asks a peer for the digests of a job.
    pub(super) fn find(&mut self, id: PeerId, job: FileId, digests: &[Digest]) {
        let now = self.time();
        let Some(peer) = self.peers.get_mut(id) else { return };
        let mut questions = Vec::with_capacity(digests.len());
        for digest in digests {
            peer.asks.insert(peer.next_key, job);
            questions.push((peer.next_key, digest.clone()));
            peer.next_key = peer.next_key.wrapping_add(1);
        }
        let (times, again) = peer.asked.entry(job).or_insert((0, now));
        *again = now.after(ASK_AGAIN.saturating_mul(1 << (*times).min(8)).min(ASK_AGAIN_MAX));
        *times = times.saturating_add(1);
        peer.session.find(&questions, now);
        self.pump(id);
    }

    /// Asks a peer for a hash list.
    pub(super) fn want_list(&mut self, id: PeerId, content: ContentId) {
        let now = self.time();
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.want_list(content, now);
        }
        self.pump(id);
    }

    /// Opens a request; its frame leaves with the next [`pump`](Self::pump), after the lease was started.
    pub(super) fn request(
        &mut self,
        id: PeerId,
        content: ContentId,
        range: ByteRange,
        lease: (FileId, LeaseId),
    ) -> Option<RequestId> {
        let now = self.time();
        let peer = self.peers.get_mut(id)?;
        let request = peer.session.request(content, vec![range], now).ok()?;
        peer.requests.insert(request, lease);
        Some(request)
    }

    /// The same for pieces inside a swarm, each named by its value.
    pub(super) fn request_values(
        &mut self,
        id: PeerId,
        swarm: ContentId,
        range: ByteRange,
        values: Vec<Hash>,
        lease: (FileId, LeaseId),
    ) -> Option<RequestId> {
        let now = self.time();
        let peer = self.peers.get_mut(id)?;
        let request = peer.session.request_values(swarm, vec![range], values, now).ok()?;
        peer.requests.insert(request, lease);
        Some(request)
    }

    /// Closes a request: all its blocks are here, or it is taken back.
    pub(super) fn end_request(&mut self, id: PeerId, request: RequestId, complete: bool) {
        let now = self.time();
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.requests.remove(&request).is_none() {
            return;
        }
        if complete {
            peer.session.close_request(request);
        } else {
            peer.session.cancel(request, now);
        }
        self.pump(id);
    }
}
