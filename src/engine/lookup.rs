//! Asking peers who holds what a job wants, and taking in what they state.
//!
//! Knows: when a job may ask, whom, how often; answers, lists, proofs of length. Does not know: answering (`serve`),
//! which range goes where (`plan`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::session::{Answer, ListFault};
use peer_proto::standing::PieceRun;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::claims::{Audit, Claims, Fetching, Hint};
use super::core::Core;
use super::fetch::{HEAD_START_MAX, LIST_WAIT, LOOK_FOR, Reach, is_unknown};
use super::file::JobFile;
use super::io::Standing;
use super::lease::PeerSource;
use super::look::Heed;
use super::mutant::Mutant;
use super::pace::{Breaker, Speed};
use super::piece_set::PieceSet;
use super::step::Trigger;
use super::trouble::Trouble;
use super::trust::Level;
use super::why::Chosen;
use crate::job::Ask;

/// Peers that did not have it are asked again after this, then after twice as long, ...
pub const ASK_AGAIN: Duration = Duration::from_secs(2);
/// ... and after this at most.
pub const ASK_AGAIN_MAX: Duration = Duration::from_secs(8);
const SOURCES_MAX: usize = 64;
const DIGESTS_ASKED_MAX: usize = 3;

impl JobFile {
    /// Whether this job takes bytes from peers: both permissions, and enough that vouches for the bytes.
    pub(super) fn wants_peers(&self, core: &Core) -> bool {
        let may = (core.flags.client || Mutant::TakesUnasked.lives()) && self.wish.flags.client;
        // Where members alone may be asked, and there are none, nobody is waited for.
        let may =
            may && match self.wish.ask {
                Ask::Link => true,
                Ask::Members => core.belongs(),
                Ask::Nobody => false,
            } && !self.lacks_its_group(core);
        may && !self.origin_only && self.is_named() && self.trust_level(core).level > Level::Origin
    }

    /// Whether a peer may learn that this file is wanted here. What a URL brings is the group's affair; what a digest names
    /// may be anybody's, if the job does not say otherwise (LOOKUP-5).
    pub(super) fn may_ask(&self, id: PeerId, core: &Core) -> bool {
        match (self.rests_on_attestors(), &self.vouched) {
            (true, Some(vouched)) => core.is_member_of(id, vouched.group),
            _ => match self.wish.group {
                Some(only) => core.is_member_of(id, only.0),
                None => self.wish.ask != Ask::Members || core.is_member(id),
            },
        }
    }

    /// What peers are asked for: the root if it is known, else every other digest.
    pub(super) fn questions(&self) -> Vec<Digest> {
        let digests = self.digests();
        match digests.iter().find(|digest| digest.algorithm() == Algorithm::Blake3) {
            Some(root) => vec![root.clone()],
            None => digests.into_iter().take(DIGESTS_ASKED_MAX).collect(),
        }
    }

    /// Asks every peer that was not asked yet, and those that lacked it again while sources are few.
    pub(super) fn ask_peers(&mut self, core: &mut Core) {
        let has_name = self.has_digest() || self.vouched_digest().is_some();
        if !self.wants_peers(core) || self.is_whole() || !has_name {
            return;
        }
        let now = core.time();
        if self.ask_at <= now {
            self.ask_at = self.ask_due(core);
            self.seek_on_link(core);
        }
        self.wake_at(self.ask_at);
    }

    /// Asks whom it is time to ask; says when it is time for the next one.
    fn ask_due(&mut self, core: &mut Core) -> Instant {
        let now = core.time();
        let mut next = Instant::NEVER;
        let mut due = Vec::new();
        let members_only = self.asks_members_only();
        for (id, peer) in core.peers.iter() {
            if !peer.ready || (members_only && !self.may_ask(id, core)) {
                continue;
            }
            let asked = peer.asked.get(&self.id).map(|(_, again)| *again);
            let again = asked.unwrap_or(Instant::ZERO);
            let is_holder = self.sources.get(&id).is_some_and(|source| !self.is_swarm(source.content));
            if is_holder || peer.asks.values().any(|job| *job == self.id) {
                continue;
            }
            if again > now {
                next = next.min(again);
                continue;
            }
            if asked.is_none() {
                self.interest_at = Some(now);
            }
            due.push(id);
        }
        if !due.is_empty() {
            let questions = self.questions();
            due.into_iter().for_each(|id| core.find(id, self.id, &questions));
        }
        next
    }

    /// Uses a peer no more as a source.
    pub(super) fn drop_source(&mut self, id: PeerId) -> bool {
        self.ask_at = Instant::ZERO;
        self.sources.remove(&id).is_some()
    }

    /// A peer answered a question.
    pub(super) fn answered_by(&mut self, id: PeerId, answer: Answer, core: &mut Core) -> Heed {
        self.changed = true;
        self.ask_at = Instant::ZERO;
        let Answer::Here { content, whole, sealed } = answer else {
            // It may have been the last one the origin was held back for.
            let began = self.fetching_since.unwrap_or(Instant::ZERO);
            let held_back = began.after(HEAD_START_MAX) > core.time();
            return if held_back { Heed::Soon } else { Heed::Later };
        };
        let now = core.time();
        let fits = self.claims.may_be(content, self.known_len(), sealed);
        let full = self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&id);
        if !self.wants_peers(core) || !fits || full || self.is_doubted(id, core) {
            return Heed::Soon;
        }
        if !self.listens_to(id, core) {
            return Heed::Soon;
        }
        if let Some(hint) = self.claims.hint_mut(content) {
            hint.stated_by.insert(id);
        }
        let count = peer_proto::content::Geometry::of(content.len).map_or(0, |cut| cut.piece_count());
        let mut have = PieceSet::of(0..if whole { count } else { 0 });
        if !whole {
            core.peers.write_have(id, content, &mut have);
        }
        let source = PeerSource {
            content,
            sealed,
            have,
            since: now,
            speed: Speed::default(),
            breaker: Breaker::default(),
            proven: 0,
        };
        match self.sources.get_mut(&id) {
            // A member that has the file proved is more than a member.
            Some(known) if self.swarm.as_ref().is_some_and(|swarm| swarm.id == known.content) => {
                (known.content, known.sealed, known.have) = (content, sealed, source.have);
            }
            Some(_) => {}
            None => drop(self.sources.insert(id, source)),
        }
        Heed::Soon
    }

    /// Whether a peer's word is needed and it was refuted. What a root proves may come from it all the same (CLAIM-4).
    pub(super) fn is_doubted(&self, id: PeerId, core: &Core) -> bool {
        self.claims.root.is_none() && core.peers.is_refuted(id, core.time())
    }

    /// A peer's have-set changed.
    pub(super) fn have_changed(&mut self, id: PeerId, content: ContentId, core: &Core) -> Heed {
        let Some(source) = self.sources.get_mut(&id).filter(|source| source.content == content) else {
            return Heed::Later;
        };
        let heed = if source.have.is_empty() { Heed::Soon } else { Heed::PeerSoon(id) };
        core.peers.write_have(id, content, &mut source.have);
        let stated = self.swarm.as_ref().filter(|swarm| swarm.id == content);
        let stated = stated.and_then(|swarm| swarm.stated.pieces_of(id));
        stated.into_iter().for_each(|pieces| source.have.union_with(pieces));
        self.changed = true;
        heed
    }

    /// Asks for the lists that are stated and not known yet, at most four, and from a second peer if the first is slow.
    pub(super) fn want_lists(&mut self, core: &mut Core) {
        let now = core.time();
        if self.claims.trusted.is_some() || !self.wants_peers(core) {
            return;
        }
        let len_known = self.known_len();
        let origin_silent = !matches!(self.origin.reach, Reach::Up | Reach::Unknown);
        let swarm = self.swarm.as_ref().map(|swarm| swarm.id);
        let listed = self.sources.iter().filter(|(_, source)| Some(source.content) != swarm);
        let offers: Vec<(PeerId, ContentId, bool)> =
            listed.map(|(id, source)| (*id, source.content, source.sealed)).collect();
        for (id, content, sealed) in offers {
            let known = self.claims.hint(content).is_some()
                || self.claims.candidate.as_ref().is_some_and(|list| list.content() == content);
            // Without an answer of the origin a stated length is tried, one at a time.
            let tried = len_known.is_some() || self.claims.root.is_some() || origin_silent;
            if known || !tried || !self.claims.may_be(content, len_known, sealed) {
                continue;
            }
            if len_known.is_none() && self.claims.candidate.is_some() {
                continue;
            }
            let has_room = self.claims.has_room();
            match self.claims.fetching.get_mut(&content) {
                Some(fetching) => {
                    let late = now.since(fetching.since) >= LIST_WAIT;
                    if late && !fetching.asked.contains(&id) && fetching.asked.len() < 4 {
                        fetching.asked.push(id);
                        fetching.since = now;
                        core.want_list(id, content);
                    }
                }
                None if has_room => {
                    self.claims.fetching.insert(content, Fetching { asked: vec![id], since: now });
                    core.want_list(id, content);
                }
                None => {}
            }
        }
    }

    /// A list came from a peer and folds to the root it stated.
    pub(super) fn list_arrived(&mut self, id: PeerId, list: &Arc<HashList>, core: &mut Core) {
        let content = list.content();
        if self.claims.fetching.remove(&content).is_none() {
            return;
        }
        self.changed = true;
        if self.claims.root == Some(content.root) {
            if self.claims.trusted.is_some() {
                return;
            }
            // A list that folds does not prove the length: that takes the origin's word, or the last piece.
            match self.len {
                Some(len) if len == content.len && self.origin_says_len() => {
                    self.trust(Arc::clone(list), core);
                }
                _ if content.len == 0 => self.trust(Arc::clone(list), core),
                _ if self.claims.candidate.is_none() => self.claims.candidate = Some(Arc::clone(list)),
                _ => {}
            }
            return;
        }
        let stating = self.sources.iter().filter(|(_, source)| source.content == content);
        let mut stated_by: BTreeSet<PeerId> = stating.map(|(id, _)| *id).collect();
        stated_by.insert(id);
        let agrees = self.agrees_with_certain(list);
        self.claims.hints.push(Hint {
            list: Arc::clone(list),
            author: id,
            stated_by,
            refuted: false,
            audit: Audit::default(),
            cleared: false,
            followed_alone: false,
        });
        if agrees {
            self.claims.choose();
            self.claims.note_conflict(self.pieces.certain());
            self.revive(&self.pieces.suspect().clone(), core);
        } else {
            self.refute(content, core);
        }
    }

    /// The file's length, if its ranges make it, the origin said it, a trusted list has it, or bytes were fetched under it.
    fn known_len(&self) -> Option<u64> {
        let said = self.origin.probe.as_ref().and_then(|probe| probe.version.len);
        let trusted = self.claims.trusted.as_ref().map(|list| list.content().len);
        let begun = if self.pieces.held().is_empty() { None } else { self.len };
        self.wish.remote.ranges_len().or(said).or(trusted).or(begun)
    }

    /// The file's length, unless only peers state it: it is shown and counted once it is proved (TRUST-5).
    pub(super) fn sure_len(&self) -> Option<u64> {
        let is_stated = self.pinned.as_ref().is_some_and(is_unknown);
        let is_proved = self.claims.trusted.is_some() || self.blake3.is_some() || self.origin_says_len();
        self.len.filter(|_| !is_stated || is_proved || self.wish.remote.ranges_len().is_some())
    }

    pub(super) fn origin_says_len(&self) -> bool {
        let said = self.origin.probe.as_ref().and_then(|probe| probe.version.len);
        said.is_some() && said == self.len
    }

    fn agrees_with_certain(&self, list: &HashList) -> bool {
        Claims::differing(list, |piece| self.pieces.value(piece), self.pieces.certain()).is_empty()
    }

    pub(super) fn list_failed(
        &mut self,
        id: PeerId,
        content: ContentId,
        reason: &ListFault,
        core: &mut Core,
    ) {
        let Some(fetching) = self.claims.fetching.get_mut(&content) else { return };
        fetching.asked.retain(|asked| *asked != id);
        if fetching.asked.is_empty() {
            self.claims.fetching.remove(&content);
        }
        self.changed = true;
        let jitter = core.chance.below(256);
        self.drop_source(id);
        if reason.is_lie() {
            self.why.note(Chosen::Peer(id), format!("banned: {reason}"), String::new(), core.time());
            core.ban(id, &format!("its list was a lie: {reason}"));
        } else if let Some(source) = self.sources.get_mut(&id) {
            source.breaker.fail(jitter, core.time());
        }
    }

    /// A root is trusted and its length known: what is held is compared, pieces that agree are proved (CLAIM-7).
    pub(super) fn trust(&mut self, list: Arc<HashList>, core: &mut Core) {
        let mut known = self.pieces.held().clone();
        known.union_with(self.pieces.suspect());
        let wrong = Claims::differing(&list, |piece| self.pieces.value(piece), &known);
        let certain_wrong = wrong.intersects(self.pieces.certain());
        if !self.list_has_stream(&list, core) {
            return self.wake_at(core.time());
        }
        if self.rests_on_attestors() {
            if !self.is_of_vouched_version() {
                // It is asked for again when the part is of that version.
                return;
            }
            let read = wrong.runs().flatten().find(|piece| self.pieces.certain().contains(*piece));
            if let Some(piece) = read {
                return self.differs_from_vouched(piece, self.pieces.value(piece), core);
            }
            // What this node read itself stays certain: it may attest it.
            known.subtract(self.pieces.certain());
        }
        known.subtract(&wrong);
        for run in known.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Proved, core);
        }
        for run in wrong.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Suspect, core);
        }
        if certain_wrong {
            self.leave_origin(core);
        }
        self.set_len(Some(list.content().len));
        self.claims.candidate = None;
        self.claims.trusted = Some(list);
        self.audit_attestors(core);
    }

    /// The origin contradicts the digest: nothing more is taken from it.
    fn leave_origin(&mut self, core: &mut Core) {
        self.stop_where(core, super::lease::OpenLease::is_from_origin);
        self.origin.reach = Reach::Dead;
        self.origin.failure = Some(super::event::Failure::Integrity);
        let text = "what the origin serves is not what the digest names";
        self.origin.fault = Trouble::integrity(text.to_owned());
    }

    /// Pieces of an origin lease that began before a list was trusted: those that differ from it are wrong.
    pub(super) fn compare_with_trusted(&mut self, run: &PieceRun, core: &mut Core) {
        let Some(list) = self.claims.trusted.clone() else { return };
        let differs = |(piece, value): &(u32, &Hash)| list.value(PieceIndex(*piece)) != Some(**value);
        let wrong: Vec<u32> =
            (run.first.0..).zip(&run.values).filter(differs).map(|(piece, _)| piece).collect();
        let Some(first) = wrong.first() else { return };
        if self.rests_on_attestors() {
            if !self.is_of_vouched_version() {
                return;
            }
            return self.differs_from_vouched(*first, self.pieces.value(*first), core);
        }
        for piece in wrong {
            self.restand(piece..piece.saturating_add(1), Standing::Suspect, core);
        }
        self.leave_origin(core);
    }

    /// The last piece of a candidate proved: its length is the file's (TRUST-5).
    pub(super) fn length_proved(&mut self, core: &mut Core) {
        if let Some(list) = self.claims.candidate.take() {
            self.trust(list, core);
        }
    }

    /// Pieces came from the origin: whatever contradicts them is refuted (CLAIM-3, 4).
    pub(super) fn certain_arrived(&mut self, run: &PieceRun, core: &mut Core) {
        for (piece, value) in (run.first.0..).zip(&run.values) {
            for content in self.claims.compare(piece, *value) {
                self.refute(content, core);
            }
        }
    }

    /// A hint is not what the origin says: nothing more is taken under it, its pieces are suspect (CLAIM-4).
    pub(super) fn refute(&mut self, content: ContentId, core: &mut Core) {
        let now = core.time();
        let Some(stated_by) = self.claims.refute(content) else { return };
        for peer in stated_by {
            core.peers.refute(peer, now);
            self.note_refuted(peer, core);
            let why =
                "what it states of this file is not what the origin says; nothing more is taken from it";
            self.why.note(Chosen::Peer(peer), why, String::new(), now);
        }
        self.stop_where(core, |lease| lease.content == Some(content));
        for piece in self.pieces.provisional().runs().flatten().collect::<Vec<u32>>() {
            self.doubt(piece, core);
        }
        self.claims.choose();
        self.claims.note_conflict(self.pieces.certain());
    }

    /// A provisional piece whose author was refuted rests on another author who states the same, or is suspect.
    pub(super) fn doubt(&mut self, piece: u32, core: &mut Core) {
        let value = self.pieces.value(piece).unwrap_or(Hash([0; 32]));
        let other = self.claims.other_author(piece, value).or_else(|| self.other_member(piece, value));
        let standing = match other {
            Some(author) => Standing::Provisional { author },
            None => Standing::Suspect,
        };
        self.restand(piece..piece + 1, standing, core);
    }

    /// Whether a peer may still help, though nothing is leased right now.
    pub(super) fn has_hope(&self, core: &Core) -> bool {
        let now = core.time();
        let mut gaps = self.next_gaps();
        // What is to be audited no peer may give.
        self.audited().into_iter().for_each(|audited| gaps.subtract(audited));
        // Before the length is proved, only the last piece is of any use.
        let proof = self.claims.candidate.as_ref().and_then(|list| Self::last_piece(list));
        let lists_coming =
            self.claims.fetching.values().any(|fetching| now.since(fetching.since) < LIST_WAIT * 3);
        let may_take = self.may_take_from_peers() || proof.is_some();
        lists_coming
            || may_take
                && self.sources.values().any(|source| {
                    let failing = source.breaker.failures() > 3;
                    let fresh = now.since(source.since) < LOOK_FOR;
                    let list = self.claims.accept(source.content).is_some() || self.is_swarm(source.content);
                    let useful = proof.map_or_else(
                        || self.geometry.is_none() || source.have.intersects(&gaps),
                        |last| source.have.contains(last),
                    );
                    !failing && (list || fresh) && useful
                })
    }

    /// Permission changed: leases end, the job is planned anew at the same offset (PEER-9).
    pub(super) fn flags_changed(&mut self, core: &mut Core) {
        let permission = core.flags.and(self.wish.flags);
        let toggled = permission.client != self.permission.client;
        self.permission = permission;
        self.ask_at = Instant::ZERO;
        if !toggled {
            return;
        }
        if !permission.client {
            self.leave_swarm(core);
            self.forget_sources(core);
        }
        self.interest_at = None;
        self.stop_all(core);
        if self.runs() {
            self.trigger(Trigger::Replanned);
            let why =
                if permission.client { "peers may be asked now" } else { "peers may not be asked any more" };
            self.why.note(Chosen::Nobody, format!("a permission changed: {why}"), String::new(), core.time());
        }
    }

    /// Wants nothing of peers any more.
    pub(super) fn forget_sources(&mut self, core: &mut Core) {
        self.ask_at = Instant::ZERO;
        for (id, source) in std::mem::take(&mut self.sources) {
            let now = core.time();
            if let Some(peer) = core.peers.get_mut(id) {
                peer.session.forget(source.content, now);
                peer.asked.remove(&self.id);
            }
            core.pump(id);
        }
        self.claims.fetching.clear();
    }

    /// The piece that proves a candidate's length.
    pub(super) fn last_piece(list: &HashList) -> Option<u32> {
        let last = list.geometry().piece_count().checked_sub(1)?;
        list.value(PieceIndex(last)).map(|_| last)
    }
}
