//! Which piece of a file that is wrong is looked at next (CLAIM-10, steps 3 and 4).
//!
//! Knows: lists on trial, suspects, pieces that rest on few words. Does not know: when a file is looked at as a whole
//! (`repair`), who states what (`stated`, `claims`).

use std::ops::Range;
use std::time::Duration;

use super::claims::Claims;
use super::core::Core;
use super::file::JobFile;
use super::io::Standing;
use super::lease::{OpenLease, Purpose};
use super::pace::bytes_in;
use super::piece_set::PieceSet;
use super::planner::pieces_in;

/// One request of the walk: what the origin gives in so long, ...
const STEP: Duration = Duration::from_millis(100);
/// ... but no less than this, so that few questions are asked, ...
const STEP_LEN_MIN: u64 = 256 * 1024;
/// ... and no more than this, so that it is a walk: in the end bytes are read that a lucky one would not have needed.
const STEP_LEN_MAX: u64 = 8 * 1024 * 1024;
/// Requests at the same time, so that the origin is never idle.
const STEPS_AT_ONCE: usize = 2;

impl JobFile {
    /// Leases of a repair: what a list that is on trial says first, then the walk.
    pub(super) fn plan_walk(&mut self, core: &mut Core) {
        if !self.is_in_doubt() {
            return;
        }
        self.plan_trial(core);
        let lanes = usize::try_from(self.origin.lanes.count()).unwrap_or(STEPS_AT_ONCE).max(STEPS_AT_ONCE);
        while self.leases.values().filter(|lease| !lease.stopped).count() < lanes {
            let Some(pieces) = self.next_to_walk(core) else { break };
            let why = "it rests on a peer's word and the file is wrong";
            // The hands leave bytes of stored pieces alone; those of suspect ones give way to the origin's.
            self.restand(pieces.clone(), Standing::Suspect, core);
            if !self.lease_from_origin(Some(pieces), Purpose::Repair, why, core) {
                break;
            }
        }
    }

    /// Puts a list that stands on trial, and takes what it differs in under it once that is won.
    fn plan_trial(&mut self, core: &mut Core) {
        if self.claims.trusted.is_some() {
            return;
        }
        if self.claims.owes_trial() {
            let differing = self.differing_from_active();
            self.claims.draw_trial(differing, &mut core.chance);
        }
        if self.claims.trial_won().is_some() {
            for run in self.differing_from_active().runs().collect::<Vec<_>>() {
                self.restand(run, Standing::Suspect, core);
            }
        }
    }

    /// Pieces that are not certain, and not what the followed list says.
    fn differing_from_active(&self) -> PieceSet {
        let Some(hint) = self.claims.active.and_then(|active| self.claims.hint(active)) else {
            return PieceSet::new();
        };
        let mut known = self.on_disk();
        known.subtract(self.pieces.certain());
        Claims::differing(&hint.list, |piece| self.pieces.value(piece), &known)
    }

    /// The next pieces to fetch again from the origin: suspects first; then now anywhere among the provisional ones, now among
    /// those that the fewest state: a liar that vouches for its own false piece under other names is met by the first, the
    /// others share the file by the second.
    fn next_to_walk(&self, core: &mut Core) -> Option<Range<u32>> {
        let cut = self.geometry?;
        let mut suspect = self.pieces.suspect().clone();
        let mut provisional = self.pieces.provisional();
        // What the origin was asked for and has not given yet may still come, however late: it is not asked for it twice.
        let is_coming = |lease: &&OpenLease| !lease.released || (lease.is_from_origin() && !lease.stopped);
        for lease in self.leases.values().filter(is_coming) {
            suspect.remove(lease.pieces.clone());
            provisional.remove(lease.pieces.clone());
        }
        // Suspects are gaps like any other, which the site fills once; what a list that is followed has is taken under it.
        let is_filled = self.claims.is_on_trial() || self.list_fills(core);
        if !suspect.is_empty() && (self.fetches_together(core) || is_filled) {
            return None;
        }
        let from = match (suspect.is_empty(), &self.swarm) {
            (false, _) => suspect,
            (true, Some(swarm)) if core.chance.below(2) == 0 => swarm.stated.least_stated(&provisional),
            (true, _) => provisional,
        };
        let piece = from.nth(core.chance.below(from.count()))?;
        // Whole units of the file, so that its first piece is met as often as any other.
        let len = bytes_in(self.origin.speed.usual(), STEP).clamp(STEP_LEN_MIN, STEP_LEN_MAX);
        let count = pieces_in(&cut, len.next_power_of_two());
        let unit = piece - piece % count..(piece - piece % count).saturating_add(count);
        let start =
            (unit.start..piece).rev().take_while(|piece| from.contains(*piece)).last().unwrap_or(piece);
        from.run_at(start, unit.end - start)
    }
}
