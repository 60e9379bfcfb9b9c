//! After a mismatch: finding the false piece without fetching everything again (CLAIM-10).
//!
//! Knows: the order lists first, then a walk over what rests on peers' words. Does not know: leases in flight.

use super::claims::Claims;
use super::core::Core;
use super::event::Failure;
use super::fetch::Reach;
use super::file::JobFile;
use super::io::Standing;
use super::lease::Purpose;
use super::planner::pieces_in;
use super::trouble::Trouble;
use super::why::Chosen;

const WALK_LEN: u64 = 256 * 1024;

/// What a repair remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Repair {
    /// A piece turned out to be other than it was: worth checking again.
    pub(super) changed: bool,
    /// What the seal said.
    pub(super) text: String,
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
        self.repair = Some(Repair { changed: false, text });
        self.blame_only_author(core);
        let is_root = is_root && self.claims.trusted.is_some();
        if followed_alone || is_root || (self.claims.trusted.is_some() && doubtful.is_empty()) {
            return self.not_what_was_asked_for(core);
        }
        if !doubtful.is_empty() {
            let why = "the whole file is not what was asked for: what rests on peers' words is fetched again"
                .to_owned();
            let found = self.repair.as_ref().map(|repair| repair.text.clone()).unwrap_or_default();
            self.why.note(Chosen::Origin, why, found, core.time());
            if self.origin.reach != Reach::Up {
                self.next_hint_alone(core);
            }
            return;
        }
        self.all_certain_and_wrong(core);
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
        self.claims.alone = Some(list.content());
        let differing = Claims::differing(&list, |piece| self.pieces.value(piece), self.pieces.held());
        for run in differing.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Suspect, core);
        }
        if differing.is_empty() {
            return self.next_hint_alone(core);
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

    /// Whether the whole file should be validated again although pieces are in doubt.
    pub(super) fn check_is_due(&self) -> bool {
        let Some(repair) = &self.repair else { return false };
        let Some(cut) = self.geometry else { return false };
        let mut on_disk = self.pieces.held().clone();
        on_disk.union_with(self.pieces.suspect());
        let settled = self.leases.values().all(|lease| lease.stopped || lease.purpose != Purpose::Repair);
        repair.changed && settled && on_disk.contains_all(0..cut.piece_count())
    }

    /// Whether the file was found wrong, and something in it still rests on peers' words.
    pub(super) fn is_in_doubt(&self) -> bool {
        let doubtful = || self.pieces.rests_on_words() || !self.pieces.suspect().is_empty();
        self.repair.is_some() && self.claims.alone.is_none() && doubtful()
    }

    /// Whether leases of the walk may be opened: there is something in doubt, and no check is waited for.
    pub(super) fn walks(&self) -> bool {
        self.claims.alone.is_none() && self.repair.as_ref().is_some_and(|repair| !repair.changed)
    }

    /// The next pieces to fetch again from the origin: suspects first, then anywhere among the provisional ones.
    pub(super) fn next_to_walk(&self, core: &mut Core) -> Option<std::ops::Range<u32>> {
        let cut = self.geometry?;
        let mut suspect = self.pieces.suspect().clone();
        let mut provisional = self.pieces.provisional();
        for lease in self.leases.values().filter(|lease| !lease.released) {
            suspect.remove(lease.pieces.clone());
            provisional.remove(lease.pieces.clone());
        }
        // Among others suspects are gaps like any other, which the site fills once.
        if self.fetches_together(core) && !suspect.is_empty() {
            return None;
        }
        let from = if suspect.is_empty() { &provisional } else { &suspect };
        let piece = from.nth(core.chance.below(from.count()))?;
        // Whole units of the file, so that its first piece is met as often as any other.
        let count = pieces_in(&cut, WALK_LEN);
        let unit = piece - piece % count..(piece - piece % count).saturating_add(count);
        let start =
            (unit.start..piece).rev().take_while(|piece| from.contains(*piece)).last().unwrap_or(piece);
        from.run_at(start, unit.end - start)
    }
}
