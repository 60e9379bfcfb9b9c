//! Asking the whole link at once, and calling those who ask it (LOOKUP, PEER-14, PEER-15).
//!
//! Knows: when a file is asked for and when again, how many questions may leave, who is called and when. Does not know: the
//! datagram (`peer_proto::question`), sockets, what peers say once they are there (`lookup`).
//!
//! Nobody answers a question in the open. Whoever has what is asked for, and may say so, calls the asker after a moment of
//! chance, and is asked in the session as every peer is.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::group::GroupId;
use peer_proto::limits::{CALL_DELAY_MAX, IDS_PER_QUESTION_MAX, LINK_QUESTIONS_PER_SECOND_MAX};
use peer_proto::lookup::{LookupId, lookup_id};
use peer_proto::peer::PeerId;
use peer_proto::question::{Audience, Clue, Question, Wanted};
use peer_proto::time::Instant;

use super::Engine;
use super::asks::AsksAs;
use super::chance::Chance;
use super::core::Core;
use super::file::{JobFile, Stage};
use super::io::Effect;
use super::serve::{Shelf, names_of, root_digest};
use crate::job::{Ask, FileId};

/// When the link is asked for a file: at once, and again if nobody came by then, because datagrams get lost.
const ASK_LINK_AT: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// So long after the first time it is not asked for anew (PEER-15).
const ASK_LINK_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Contents whose last question is remembered.
const SOUGHT_MAX: usize = 1_024;
/// Askers that are to be called.
const CALLS_MAX: usize = 64;
const SECOND: Duration = Duration::from_secs(1);

/// Questions that are to be asked, and calls that are to be made.
#[derive(Debug)]
pub(super) struct Inquiries {
    sought: BTreeMap<LookupId, Sought>,
    /// When the last questions left, the oldest first.
    left: VecDeque<Instant>,
    calls: BTreeMap<PeerId, (Instant, SocketAddr)>,
    /// Apart from the engine's other chance: how a file is fetched does not depend on who asks for what.
    chance: Chance,
}

/// One content the link is asked for.
#[derive(Debug)]
struct Sought {
    file: FileId,
    first: Instant,
    times: usize,
    next: Instant,
}

impl Inquiries {
    pub(super) fn new(mut seed: [u8; 32]) -> Self {
        seed[0] ^= 0xa5;
        Self {
            sought: BTreeMap::new(),
            left: VecDeque::new(),
            calls: BTreeMap::new(),
            chance: Chance::new(seed),
        }
    }

    /// When the next question or call is due.
    pub(super) fn wake(&self) -> Instant {
        let due = self.sought.values().map(|one| one.next).min().unwrap_or(Instant::NEVER);
        let may = match self.left.front() {
            Some(oldest) if self.left.len() >= LINK_QUESTIONS_PER_SECOND_MAX => oldest.after(SECOND),
            _ => Instant::ZERO,
        };
        let call = self.calls.values().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER);
        due.max(may).min(call)
    }

    /// Whether one more question may leave now.
    pub(super) fn may_leave(&mut self, now: Instant) -> bool {
        while self.left.front().is_some_and(|oldest| oldest.after(SECOND) <= now) {
            self.left.pop_front();
        }
        self.left.len() < LINK_QUESTIONS_PER_SECOND_MAX
    }

    pub(super) fn note_left(&mut self, now: Instant) {
        self.left.push_back(now);
    }

    /// Notes that a file is wanted that has this digest; it is asked for unless it was lately.
    pub(super) fn seek(&mut self, id: LookupId, file: FileId, now: Instant) {
        if self.sought.len() >= SOUGHT_MAX {
            self.sought.retain(|_, one| one.first.after(ASK_LINK_AGAIN) > now);
        }
        if let Some(known) = self.sought.get_mut(&id) {
            known.file = file;
        } else if self.sought.len() < SOUGHT_MAX {
            self.sought.insert(id, Sought { file, first: now, times: 0, next: now });
        }
    }

    /// A content was asked for, or need not be this time. Ten minutes later it is again, if somebody still wants it.
    fn passed(&mut self, id: LookupId, is_wanted: bool, now: Instant) {
        let Some(one) = self.sought.get_mut(&id) else { return };
        if one.times >= ASK_LINK_AT.len() {
            if !is_wanted {
                self.sought.remove(&id);
                return;
            }
            (one.first, one.times) = (now, 0);
        }
        one.times += 1;
        let wait = ASK_LINK_AT.get(one.times).copied().unwrap_or(ASK_LINK_AGAIN);
        one.next = one.first.after(wait).max(now);
    }

    /// What is still wanted is asked for again as if it never had been (PEER-23).
    pub(super) fn lift(&mut self, now: Instant) {
        for one in self.sought.values_mut() {
            (one.first, one.times, one.next) = (now, 0, now);
        }
    }

    fn nonce(&mut self) -> [u8; 8] {
        self.chance.number().to_be_bytes()
    }
}

impl JobFile {
    /// The link is asked for this file, if it was not lately.
    pub(super) fn seek_on_link(&self, core: &mut Core) {
        if let Some(digest) = self.questions().first() {
            let now = core.time();
            core.inquiries.seek(lookup_id(digest), self.id, now);
        }
    }

    /// What the link is asked for the sake of this file now.
    fn wanted_of_link(&self, core: &Core) -> Vec<Wanted> {
        let is_fetched = self.stage == Stage::Fetching && self.runs() && !self.is_whole();
        if !is_fetched || !self.wants_peers(core) {
            return Vec::new();
        }
        let audiences: Vec<Audience> = if self.asks_members_only() {
            let vouched = self.vouched.as_ref().filter(|_| self.rests_on_attestors());
            let is_meant =
                |group: GroupId| self.is_for(group) && vouched.is_none_or(|vouched| vouched.group == group);
            let groups = core.live_groups().filter(|(group, _)| is_meant(*group));
            // Who has not heard of the new epoch knows the one before.
            groups.map(|(_, group)| Audience::Members(group.badge.oldest().clone())).collect()
        } else {
            vec![Audience::Link]
        };
        let digests = self.questions();
        let wanted = |audience: Audience| {
            let digests = digests.iter().cloned();
            digests.map(move |digest| Wanted { digest, audience: audience.clone() })
        };
        audiences.into_iter().flat_map(wanted).take(IDS_PER_QUESTION_MAX).collect()
    }

    /// Whether only members may learn that this file is wanted here (LOOKUP-5): its job says so, or a member vouches for it.
    pub(super) fn asks_members_only(&self) -> bool {
        self.rests_on_attestors() || self.wish.ask == Ask::Members || self.wish.group.is_some()
    }

    /// Digests under which somebody who is on the link may have of this file what there is by now, or fetch it together.
    fn digests_to_share(&self, core: &Core) -> Vec<Digest> {
        if !self.may_serve(core) {
            return Vec::new();
        }
        let fetched = self.stage == Stage::Fetching && self.runs() && !self.asks_members_only();
        let swarm = self.swarm.as_ref().filter(|_| fetched).map(|swarm| swarm.digest.clone());
        let on_offer = self
            .offer(core)
            .map(|offer| root_digest(offer.content).into_iter().chain(self.checked_digests()));
        on_offer.into_iter().flatten().chain(swarm).collect()
    }
}

impl Engine {
    /// Asks and calls, if it is time to.
    pub(super) fn tend_inquiries(&mut self) {
        let now = self.core.time();
        if self.core.inquiries.wake() > now {
            return;
        }
        self.call_askers();
        while self.core.inquiries.may_leave(now) && self.ask_link() {
            self.core.inquiries.note_left(now);
        }
    }

    /// Puts what is due into one question. `false` if nothing is.
    fn ask_link(&mut self) -> bool {
        let now = self.core.time();
        let mut wanted: Vec<Wanted> = Vec::new();
        let due: Vec<LookupId> =
            self.core.inquiries.sought.iter().filter(|(_, one)| one.next <= now).map(|(id, _)| *id).collect();
        for id in due {
            let Some(file) = self.core.inquiries.sought.get(&id).map(|one| one.file) else { continue };
            // Whoever was found is asked in its session.
            let file = self.files.get(&file).filter(|file| file.sources.is_empty());
            let more = file.map(|file| file.wanted_of_link(&self.core)).unwrap_or_default();
            if wanted.len() + more.len() > IDS_PER_QUESTION_MAX {
                break;
            }
            self.core.inquiries.passed(id, !more.is_empty(), now);
            wanted.extend(more);
        }
        if wanted.is_empty() {
            return false;
        }
        let nonce = self.core.inquiries.nonce();
        self.core.effect(Effect::AskLink { nonce, wanted });
        true
    }

    fn call_askers(&mut self) {
        let now = self.core.time();
        let calls = &self.core.inquiries.calls;
        let due: Vec<PeerId> =
            calls.iter().filter(|(_, (at, _))| *at <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            let Some((_, socket)) = self.core.inquiries.calls.remove(&peer) else { continue };
            if self.core.flags.server && self.core.peers.get(peer).is_none() {
                self.core.effect(Effect::Call { peer, socket });
            }
        }
    }
}

impl Shelf<'_> {
    /// Somebody on the link asks all of it. Whoever is connected asks in its session as well.
    pub(super) fn link_asked(&mut self, from: SocketAddr, question: &Question) {
        let now = self.core.time();
        let asker = question.asker(from.ip());
        let known = asker.peer == self.core.config.me
            || self.core.peers.get(asker.peer).is_some()
            || self.core.peers.banned_until(asker.peer, now).is_some()
            || self.core.inquiries.calls.contains_key(&asker.peer);
        if known || !self.core.flags.server || self.core.inquiries.calls.len() >= CALLS_MAX {
            return;
        }
        if !self.core.serving.missed_too_often(&from.ip().to_string(), now) && self.has_any_of(from, question)
        {
            let delay = u32::try_from(CALL_DELAY_MAX.as_micros()).unwrap_or(0);
            let delay = Duration::from_micros(self.core.inquiries.chance.below(delay).into());
            let socket = SocketAddr::new(from.ip(), asker.port.get());
            let socket = with_scope_of(socket, from);
            self.core.inquiries.calls.insert(asker.peer, (now.after(delay), socket));
        }
    }

    /// Whether something is asked for that is here, or fetched here, and that the asker may have (LOOKUP-2, 3).
    fn has_any_of(&self, from: SocketAddr, question: &Question) -> bool {
        let core = &*self.core;
        let in_files: BTreeMap<LookupId, Digest> = self
            .files
            .values()
            .flat_map(|file| file.digests_to_share(core))
            .map(|digest| (lookup_id(&digest), digest))
            .collect();
        let secrets = core.live_groups().flat_map(|(_, group)| group.badge.secrets());
        let mut clues = question.clues(from.ip(), secrets);
        clues.any(|clue| {
            let asks = if clue.is_of_member() { AsksAs::Member } else { AsksAs::Neighbour };
            let in_file = in_files.range(clue.ids()).any(|(_, digest)| clue.means(digest));
            in_file && core.is_told(asks) || core.has_record_of(&clue, asks)
        })
    }
}

/// A link-local address is of use only with its interface.
fn with_scope_of(mut socket: SocketAddr, from: SocketAddr) -> SocketAddr {
    if let (SocketAddr::V6(socket), SocketAddr::V6(from)) = (&mut socket, from) {
        socket.set_scope_id(from.scope_id());
    }
    socket
}

impl Core {
    /// Whether a record is what a clue means, and may be given to who asks on the link (LOOKUP-3).
    fn has_record_of(&self, clue: &Clue, asks: AsksAs) -> bool {
        self.asked_for_by(clue.ids()).any(|record| {
            self.is_for(record, asks)
                && self.is_served(record)
                && names_of(record).any(|name| clue.means(&name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    const FILE: FileId = FileId { job: JobId([1; 16]), index: 0 };

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    fn content(number: usize) -> LookupId {
        let mut bytes = vec![0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        lookup_id(&Digest::new(peer_proto::digest::Algorithm::Sha256, bytes).expect("32 bytes"))
    }

    #[test]
    fn lookup_4_each_question_has_a_number_of_its_own() {
        let (mut one, mut other) = (Inquiries::new([1; 32]), Inquiries::new([2; 32]));
        let nonces: std::collections::BTreeSet<_> =
            [one.nonce(), one.nonce(), other.nonce(), other.nonce()].into();
        assert_eq!(nonces.len(), 4);
    }

    #[test]
    fn lookup_4_what_is_due_waits_only_if_five_questions_left_within_the_second() {
        let mut inquiries = Inquiries::new([1; 32]);
        inquiries.seek(content(1), FILE, at(1));
        (0..4).for_each(|_| inquiries.note_left(at(1)));
        assert_eq!(inquiries.wake(), at(1));
        inquiries.note_left(at(1));
        assert_eq!(inquiries.wake(), at(2));
    }

    #[test]
    fn peer_15_of_1024_contents_it_is_known_when_they_were_asked_for_until_ten_minutes_have_passed() {
        let mut inquiries = Inquiries::new([1; 32]);
        (0..SOUGHT_MAX + 9).for_each(|number| inquiries.seek(content(number), FILE, at(0)));
        assert_eq!(inquiries.sought.len(), SOUGHT_MAX);
        inquiries.seek(content(SOUGHT_MAX), FILE, at(599));
        assert!(!inquiries.sought.contains_key(&content(SOUGHT_MAX)), "there is no room");
        inquiries.seek(content(SOUGHT_MAX), FILE, at(600));
        assert!(inquiries.sought.contains_key(&content(SOUGHT_MAX)) && inquiries.sought.len() == 1);
    }
}
