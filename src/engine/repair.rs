//! After a mismatch: finding the false piece without fetching everything again (CLAIM-10).
//!
//! Knows: the order lists first, then what rests on nobody's word any more, when the whole file is looked at again. Does not
//! know: which piece comes next (`walk`), leases in flight.

use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::claims::Claims;
use super::core::Core;
use super::event::Failure;
use super::fetch::Reach;
use super::file::JobFile;
use super::io::{LeaseId, Standing};
use super::lease::{OpenLease, PeerSource, Purpose};
use super::pace::{bytes_in, per_second};
use super::peers::Peer;
use super::piece_set::PieceSet;
use super::planner::pieces_in;
use super::trouble::Trouble;
use super::why::Chosen;

/// What the origin has sent and this node has not been told of.
const UNTOLD: Duration = Duration::from_millis(150);
/// The least of that: a connection that just began is faster than it was.
const UNTOLD_LEN: u64 = 128 * 1024;
/// A request that gives nothing for so long does not hold up a check.
const CHECK_WAIT: Duration = Duration::from_secs(2);

/// What a repair remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Repair {
    /// A piece turned out to be other than it was: worth checking again.
    pub(super) changed: bool,
    /// What the seal said.
    pub(super) text: String,
    /// When the last check began.
    check_began: Instant,
    /// The next one begins no sooner: all of them take a third of the time at most.
    next_check: Instant,
    /// Pieces that were certain, and pieces that were held, in sum, when it was found wrong first.
    began_with: u32,
    /// How many more there were at the last check.
    checked_with: u32,
}

impl Repair {
    /// A check found the file wrong, perhaps not the first one.
    fn after(before: Option<Self>, text: String, now: Instant) -> Self {
        let Some(before) = before else { return Self { text, ..Self::default() } };
        let took = now.since(before.check_began);
        Self { changed: false, text, next_check: now.after(took * 2), ..before }
    }

    /// The whole file is looked at now, with so many pieces certain and held, in sum.
    pub(super) const fn begin_check(&mut self, sum: u32, now: Instant) {
        self.changed = false;
        self.check_began = now;
        self.checked_with = sum.saturating_sub(self.began_with);
    }

    /// Whether so much more is known by now that a check may come out otherwise: who falsified one piece is found out by
    /// the first that changed, who falsified many by the last.
    const fn is_worth_it(&self, sum: u32) -> bool {
        sum.saturating_sub(self.began_with) >= self.checked_with.saturating_mul(2)
    }
}

impl JobFile {
    /// The file does not have a digest it must have.
    pub(super) fn mismatch(&mut self, text: String, is_root: bool, core: &mut Core) {
        if !is_root && self.recalled_in_vain(core) {
            return;
        }
        let followed_alone = self.claims.alone.is_some();
        let mut doubtful = self.pieces.provisional();
        doubtful.union_with(self.pieces.suspect());
        let is_first = self.repair.is_none();
        self.repair = Some(Repair::after(self.repair.take(), text, core.time()));
        self.blame_only_author(core);
        let is_root = is_root && self.claims.trusted.is_some();
        if followed_alone && self.origin.reach != Reach::Up && self.next_hint_alone(core) {
            return;
        }
        if followed_alone || is_root || (self.claims.trusted.is_some() && doubtful.is_empty()) {
            return self.not_what_was_asked_for(core);
        }
        if !doubtful.is_empty() {
            let why = "the whole file is not what was asked for: what rests on peers' words is fetched again"
                .to_owned();
            let found = self.repair.as_ref().map(|repair| repair.text.clone()).unwrap_or_default();
            self.why.note(Chosen::Origin, why, found, core.time());
            self.refute_sworn(core);
            let sum = self.certain_and_held();
            self.repair.iter_mut().filter(|_| is_first).for_each(|repair| repair.began_with = sum);
            if self.origin.reach != Reach::Up {
                self.next_hint_alone(core);
            }
            return;
        }
        self.all_certain_and_wrong(core);
    }

    /// Lists all of whose values are what is here: their authors say that they checked the whole file, and it is wrong. What
    /// rests on nobody else's word is suspect from now on, whoever gave the bytes.
    fn refute_sworn(&mut self, core: &mut Core) {
        let known = self.on_disk();
        let is_here = |list: &_| Claims::differing(list, |piece| self.pieces.value(piece), &known).is_empty();
        let here = self.claims.standing_hints().filter(|hint| is_here(&hint.list));
        for content in here.map(|hint| hint.list.content()).collect::<Vec<_>>() {
            self.refute(content, core);
        }
    }

    /// How much is known: each piece that is read or believed counts once, one that is certain twice.
    pub(super) fn certain_and_held(&self) -> u32 {
        self.pieces.certain().count().saturating_add(self.pieces.held().count())
    }

    /// Suspects that the origin is not asked for.
    pub(super) fn suspect_and_idle(&self) -> PieceSet {
        let mut suspect = self.pieces.suspect().clone();
        let asked = self.leases.values().filter(|lease| lease.is_from_origin() && !lease.stopped);
        asked.for_each(|lease| suspect.remove(lease.pieces.clone()));
        suspect
    }

    /// Whether a list that is followed has suspects that one of its holders can give.
    pub(super) fn list_fills(&self, core: &Core) -> bool {
        let (now, suspect) = (core.time(), self.suspect_and_idle());
        let gives = |source: &PeerSource| {
            let is_its = Some(source.content) == self.claims.active && source.breaker.is_closed(now);
            is_its && source.have.intersects(&suspect)
        };
        let is_followed = self.claims.active.is_some_and(|active| self.claims.is_accepted(active));
        is_followed && self.sources.values().any(gives)
    }

    /// Pieces whose bytes are here, gaps or not.
    pub(super) fn on_disk(&self) -> PieceSet {
        let mut known = self.pieces.held().clone();
        known.union_with(self.pieces.suspect());
        known
    }

    /// Suspect pieces whose very value somebody states who is believed: they rest on his word now, and need not come again.
    pub(super) fn revive(&mut self, among: &PieceSet, core: &mut Core) {
        let mut suspect = self.pieces.suspect().clone();
        suspect.intersect_with(among);
        if suspect.is_empty() || self.claims.trusted.is_some() {
            return;
        }
        for piece in suspect.runs().flatten().collect::<Vec<u32>>() {
            self.doubt(piece, core);
        }
    }

    /// Nothing can be fetched again in pieces from an origin without ranges, or whose answers cannot be joined: the
    /// list that was followed is refuted, and the file starts again.
    pub(super) fn drop_hint_without_ranges(&mut self, core: &mut Core) {
        let in_pieces = self.origin.gives_ranges() && self.is_joinable();
        if in_pieces || self.origin.reach != Reach::Up || !self.is_in_doubt() || self.reset_to.is_some() {
            return;
        }
        let why = "the file is wrong, and the origin gives it only whole: started again".to_owned();
        self.why.note(Chosen::Nobody, why, String::new(), core.time());
        if let Some(active) = self.claims.active {
            self.refute(active, core);
        }
        self.repair = None;
        self.reset_to = self.pinned.clone();
    }

    /// Everything is from the origin and still wrong: it contradicts the digest (CLAIM-10, step 1).
    fn all_certain_and_wrong(&mut self, core: &mut Core) {
        let version = self.origin.probe.as_ref().map(|probe| probe.version.clone());
        if let Some(version) = version.filter(|version| !version.can_resume())
            && !self.origin.in_one
        {
            // Its answers cannot be told apart, so they may have been of two versions: once more, in one piece.
            self.origin.in_one = true;
            self.repair = None;
            self.reset_to = Some(version);
            return;
        }
        if !self.next_hint_alone(core) {
            self.not_what_was_asked_for(core);
        }
    }

    /// Follows one list alone, against the origin; each at most once.
    fn next_hint_alone(&mut self, core: &mut Core) -> bool {
        let sources = &self.sources;
        let is_held = |content| sources.values().any(|source| source.content == content);
        let next =
            self.claims.hints.iter_mut().find(|hint| !hint.followed_alone && is_held(hint.list.content()));
        let Some(hint) = next else { return false };
        hint.followed_alone = true;
        let list = std::sync::Arc::clone(&hint.list);
        let author = hint.author;
        let differing = Claims::differing(&list, |piece| self.pieces.value(piece), &self.on_disk());
        if differing.is_empty() {
            return self.next_hint_alone(core);
        }
        self.claims.alone = Some(list.content());
        let mut same = self.pieces.suspect().clone();
        same.subtract(&differing);
        for run in same.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Provisional { author }, core);
        }
        for run in differing.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Suspect, core);
        }
        let why = "the origin contradicts the digest: one attempt under a peer's list alone".to_owned();
        self.why.note(Chosen::Nobody, why, String::new(), core.time());
        true
    }

    /// Nothing that can be had is what the digest names (D08): nothing is delivered.
    pub(super) fn not_what_was_asked_for(&mut self, core: &mut Core) {
        let text = self.repair.take().map(|repair| repair.text).unwrap_or_default();
        self.claims.alone = None;
        let text = if text.is_empty() { "the file is not what the digest names".to_owned() } else { text };
        if matches!(self.origin.reach, Reach::Unknown | Reach::Away) {
            return self.wait_for_another_word(text, core);
        }
        self.fail(Failure::Integrity, Trouble::integrity(text), core);
        // A later attempt starts from nothing: what is here is known to be wrong.
        self.reset_to = self.pinned.clone();
    }

    /// What peers gave is wrong, and the origin has not been heard: no reason to give up. Lists that were followed alone
    /// are wrong for certain.
    fn wait_for_another_word(&mut self, text: String, core: &mut Core) {
        let tried = self.claims.hints.iter().filter(|hint| hint.followed_alone && !hint.refuted);
        for content in tried.map(|hint| hint.list.content()).collect::<Vec<_>>() {
            self.refute(content, core);
        }
        self.reset_to = self.pinned.clone();
        self.fail_for_now(Trouble::integrity(text), core);
    }

    /// A list whose author alone gave everything that is not from the origin, and that is wrong: a lie (TRUST-8).
    fn blame_only_author(&mut self, core: &mut Core) {
        let mut givers =
            self.shares.iter().filter(|(_, share)| share.bytes > 0).filter_map(|(giver, _)| giver.peer());
        let (Some(only), None) = (givers.next(), givers.next()) else { return };
        let stated = self.claims.standing_hints().any(|hint| hint.stated_by.contains(&only));
        if stated && self.pieces.rests_on_words() && self.claims.hints.len() == 1 {
            let reason = "it said it checked the whole file, and the file is wrong";
            self.why.note(Chosen::Peer(only), format!("banned: {reason}"), String::new(), core.time());
            self.leave_peer(only, core);
            self.note_refuted(only, core);
            core.ban(only, reason);
        }
    }

    /// Whether the whole file should be validated again although pieces are in doubt: one of them changed, nothing is open
    /// that would soon say more, and the last check is some time ago.
    pub(super) fn check_is_due(&mut self, core: &Core) -> bool {
        let Some(repair) = self.repair.as_ref().filter(|repair| repair.changed) else { return false };
        let (now, next) = (core.time(), repair.next_check);
        if !self.suspect_and_idle().is_empty() && !repair.is_worth_it(self.certain_and_held()) {
            return false;
        }
        let Some(cut) = self.geometry else { return false };
        if !self.on_disk().contains_all(0..cut.piece_count()) || self.is_being_settled(core) {
            return false;
        }
        if next > now {
            self.wake_at(next);
        }
        next <= now
    }

    /// Whether the origin is being asked who is right, or what a list that won its trial has is on its way.
    fn is_being_settled(&self, core: &Core) -> bool {
        if !self.origin.is_usable(core.time()) || !self.origin.gives_ranges() {
            return false;
        }
        let is_open = |piece: &u32| !self.pieces.certain().contains(*piece);
        let between_members = || {
            let swarm = self.swarm.as_ref().filter(|swarm| !swarm.by_url);
            swarm.is_some_and(|swarm| swarm.stated.conflicts().any(|piece| is_open(&piece)))
        };
        self.claims.conflicts.iter().any(is_open)
            || between_members()
            || self.claims.is_on_trial()
            || self.list_fills(core)
    }

    /// Lets what is open come to its end before the whole file is looked at: checks say who is right. In a repair what the
    /// origin has sent is taken, whatever it is for: it is not asked for the same piece again.
    pub(super) fn wind_up(&mut self, core: &mut Core) {
        let Some(cut) = self.geometry else { return self.stop_all(core) };
        let (now, in_repair) = (core.time(), self.repair.is_some());
        let ends_soon = |lease: &OpenLease| {
            let is_meant = lease.is_from_origin() && !lease.to_end;
            let is_stuck = now.since(lease.moved) >= CHECK_WAIT;
            is_meant && !is_stuck && (in_repair || lease.purpose == Purpose::Check)
        };
        self.stop_where(core, |lease| !ends_soon(lease));
        let rate = self.origin.speed.recent(now).max(self.origin.speed.usual());
        // Of one that just began nobody can say how much is on its way.
        let is_known = |lease: &OpenLease| !lease.stopped && now.since(lease.started) >= UNTOLD * 2;
        let end = |lease: &OpenLease| {
            let own = per_second(lease.received, now.since(lease.started)).saturating_mul(2);
            let coming = bytes_in(rate.max(own), UNTOLD).saturating_add(UNTOLD_LEN);
            lease.position(cut.piece_len()).saturating_add(pieces_in(&cut, coming))
        };
        let open = self.leases.iter().filter(|(_, lease)| is_known(lease));
        let cuts: Vec<(LeaseId, u32)> = open.map(|(id, lease)| (*id, end(lease))).collect();
        cuts.into_iter().for_each(|(id, end)| self.trim(id, end, core));
        self.wake_at(now.after(UNTOLD));
    }

    /// The file is whole and what was asked for: nobody need be asked. If somebody lied, others may lack pieces that this node
    /// never read from the origin: they are told that it will not, and need not wait for it.
    pub(super) fn needs_nobody(&mut self, core: &mut Core) {
        let now = core.time();
        self.forget_sources(core);
        let is_odd = self.repair.is_some() || self.claims.hints.iter().any(|hint| hint.refuted);
        let Some(swarm) = self.swarm.as_mut().filter(|swarm| !swarm.by_url && is_odd) else {
            return;
        };
        swarm.fetches = false;
        swarm.home.set_fetches(false, now);
        let is_told = |(id, peer): (PeerId, &Peer)| peer.joined.contains(&swarm.id).then_some(id);
        for id in core.peers.iter().filter_map(is_told).collect::<Vec<_>>() {
            core.join(id, swarm, true);
        }
        self.tend_circle(core);
    }

    /// Whether the file was found wrong, and something in it still rests on peers' words.
    pub(super) fn is_in_doubt(&self) -> bool {
        let doubtful = || self.pieces.rests_on_words() || !self.pieces.suspect().is_empty();
        self.repair.is_some() && self.claims.alone.is_none() && doubtful()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn claim_10_checks_take_a_third_of_the_time_at_most() {
        let mut repair = Repair::after(None, "first".into(), at(10));
        assert_eq!((repair.text.as_str(), repair.changed, repair.next_check), ("first", false, at(0)));
        repair.began_with = 100;
        repair.changed = true;
        repair.begin_check(130, at(20));
        assert!(!repair.changed, "what is known by now is looked at");
        repair.changed = true;
        let repair = Repair::after(Some(repair), "second".into(), at(25));
        assert_eq!((repair.text.as_str(), repair.changed, repair.next_check), ("second", false, at(35)));
        assert_eq!((repair.began_with, repair.checked_with), (100, 30), "it goes on from where it was");
    }

    #[test]
    fn claim_10_a_check_is_worth_it_when_twice_as_much_is_known_as_at_the_last_one() {
        let mut repair = Repair { began_with: 100, ..Repair::default() };
        assert!(repair.is_worth_it(100), "the first change may be the one that matters");
        repair.begin_check(130, at(1));
        assert_eq!([130, 159, 160].map(|sum| repair.is_worth_it(sum)), [false, false, true]);
        repair.begin_check(90, at(2));
        assert!(repair.is_worth_it(90), "and if less is known than at first");
    }
}
