//! Taking from those who fetch the file too: whom, how much at a time, under whose word.
//!
//! Knows: members that may be asked now, values a piece may be taken under, what may be taken before an audit. Does not
//! know: who is a member (`swarm`), list-based sources (`plan`).

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use peer_proto::content::{Geometry, Hash, PieceIndex};
use peer_proto::limits::{UNVERIFIED_BYTES_PER_PEER, VALUES_PER_WANT_MAX};
use peer_proto::peer::PeerId;
use peer_proto::standing::Standing;

use super::chance::Chance;
use super::core::Core;
use super::file::JobFile;
use super::grid::UNIT_LEN;
use super::lease::PeerSource;
use super::pace::bytes_in;
use super::piece_set::PieceSet;
use super::planner::{pick, pieces_in};
use super::scene::Scene;

/// A member is asked for what it gives in so long at a time, and for no more than this.
const MEMBER_AHEAD: Duration = Duration::from_millis(100);
const MEMBER_LEASE_MAX: u64 = 2 * 1024 * 1024;
/// Runs that one is chosen of.
const RUNS_DRAWN: usize = 4;
/// Leases a member may have open: the next one waits in its queue while one moves.
const MEMBER_LEASES_MAX: usize = 2;
/// Leases that members may have open together, whoever they are: as many as a member has slots. Whoever stayed with a few
/// of them would crowd those and leave others idle.
const LEASES_AT_ONCE: usize = 8;

impl JobFile {
    /// The value a piece may be taken from a member under, and what it is then.
    fn accept_piece(&self, piece: u32) -> Option<(Hash, Standing)> {
        if let Some(list) = &self.claims.trusted {
            return list.value(PieceIndex(piece)).map(|value| (value, Standing::Proved));
        }
        if self.follows_stream() {
            return self.streaming.value(piece).map(|value| (value, Standing::Proved));
        }
        let hint = self.claims.active.and_then(|active| self.claims.accept(active));
        let hinted = hint.and_then(|(list, standing)| Some((list.value(PieceIndex(piece))?, standing)));
        hinted.or_else(|| self.swarm.as_ref()?.accept(piece))
    }

    /// Members that may be asked for bytes now, in an order of chance.
    fn usable_members(&self, scene: &Scene, core: &mut Core) -> Vec<PeerId> {
        let now = core.time();
        let Some(swarm) = &self.swarm else { return Vec::new() };
        let is_usable = |(id, source): &(&PeerId, &PeerSource)| {
            source.content == swarm.id && !scene.load(**id).late && source.breaker.is_closed(now)
        };
        let mut usable: Vec<PeerId> = self.sources.iter().filter(is_usable).map(|(id, _)| *id).collect();
        let count = u32::try_from(usable.len()).unwrap_or(u32::MAX);
        if count > 0 {
            usable.rotate_left(super::piece_set::place(core.chance.below(count)));
        }
        usable
    }

    /// Takes from members what they have and this node lacks; from all of them, or from a few that are looked at.
    pub(super) fn plan_members(
        &mut self,
        geometry: &Geometry,
        among: Option<&BTreeSet<PeerId>>,
        scene: &mut Scene,
        core: &mut Core,
    ) {
        if !self.may_take_from_peers() {
            return;
        }
        let mut usable = self.usable_members(scene, core);
        if let Some(among) = among {
            usable.retain(|peer| among.contains(peer));
        }
        let why = match self.claims.trusted {
            Some(_) if self.follows_stream() => "it has pieces, and the attested root proves them",
            None if self.follows_stream() => {
                "it has pieces, and an attestor that reads the file says what they are"
            }
            Some(_) => "it fetches the file too, and the digest proves its pieces",
            None => "it fetches the file too; the file's digest will decide",
        };
        let mut open = self.open_at_members();
        loop {
            let mut opened = false;
            for id in &usable {
                if scene.gaps.is_empty() || open >= LEASES_AT_ONCE {
                    return;
                }
                let Some((pieces, values, standing)) = self.next_of_member(*id, scene, geometry, core) else {
                    continue;
                };
                if self.lease_from_member(*id, pieces.clone(), values, standing, why, core) {
                    scene.gaps.remove(pieces.clone());
                    scene.opened(*id, pieces);
                    open += 1;
                    opened = true;
                }
            }
            if !opened {
                return;
            }
        }
    }

    /// Leases of members that owe bytes and give them.
    fn open_at_members(&self) -> usize {
        let at_work = self.leases.values().filter(|lease| !lease.stopped && !lease.released);
        at_work.filter(|lease| lease.content.is_some_and(|content| self.is_swarm(content))).count()
    }

    /// What to ask a member for next: consecutive pieces that rest on one word.
    fn next_of_member(
        &self,
        id: PeerId,
        scene: &Scene,
        geometry: &Geometry,
        core: &mut Core,
    ) -> Option<(Range<u32>, Vec<Hash>, Standing)> {
        let source = self.sources.get(&id)?;
        let now = core.time();
        let open = scene.load(id).open;
        let is_new = source.proven == 0 || source.breaker.failures() > 0;
        if open >= MEMBER_LEASES_MAX || (open >= 1 && is_new) {
            return None;
        }
        let len = bytes_in(source.speed.recent(now), MEMBER_AHEAD).clamp(UNIT_LEN, MEMBER_LEASE_MAX);
        let most = pieces_in(geometry, len).min(u32::try_from(VALUES_PER_WANT_MAX).unwrap_or(u32::MAX));
        let run = draw_run(&scene.gaps, &source.have, geometry.piece_count(), most, &mut core.chance)?;
        let (first, standing) = self.accept_piece(run.start)?;
        let mut values = vec![first];
        for piece in run.start + 1..run.end {
            match self.accept_piece(piece) {
                Some((value, same)) if same == standing => values.push(value),
                _ => break,
            }
        }
        let room = self.room_under(standing, geometry).min(self.room_before_audit(geometry, now));
        values.truncate(super::piece_set::place(room));
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        (count > 0).then_some((run.start..run.start.saturating_add(count), values, standing))
    }

    /// How many pieces may be taken on one word before an audit of it is answered (CLAIM-5).
    fn room_under(&self, standing: Standing, geometry: &Geometry) -> u32 {
        let (Standing::Provisional { author }, Some(swarm)) = (standing, &self.swarm) else {
            return u32::MAX;
        };
        // Drawn or not: pieces may be asked for before the next look at everything.
        if !swarm.owes_audit(author, geometry.piece_count()) || !self.audit_is_possible() {
            return u32::MAX;
        }
        let leased = self.leases.values().filter(|lease| lease.author == Some(author));
        let coming: u32 = leased.map(|lease| lease.left(geometry.piece_len())).sum();
        let taken = self.pieces.provisional_of(author).count().saturating_add(coming);
        pieces_in(geometry, UNVERIFIED_BYTES_PER_PEER).saturating_sub(taken)
    }
}

/// Of a few runs that are missing here and held there, each the first from a place of chance on, the longest: what is
/// taken whole is passed on whole.
fn draw_run(
    gaps: &PieceSet,
    have: &PieceSet,
    count: u32,
    most: u32,
    chance: &mut Chance,
) -> Option<Range<u32>> {
    let mut draw = || pick(gaps, have, chance.below(count), most);
    let first = draw()?;
    let longer = |best: Range<u32>, run: Range<u32>| if run.len() > best.len() { run } else { best };
    Some((1..RUNS_DRAWN).filter_map(|_| draw()).fold(first, longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_runs_that_are_drawn_the_longest_is_taken() {
        let mut gaps = PieceSet::of(0..200);
        gaps.remove(100..104);
        let mut have = PieceSet::of(40..41);
        have.insert(80..120);
        let mut chance = Chance::new([1; 32]);
        let lens: Vec<usize> = (0..100)
            .filter_map(|_| draw_run(&gaps, &have, 256, 16, &mut chance))
            .map(|run| run.len())
            .collect();
        assert_eq!(lens.len(), 100, "there is always one");
        assert!(lens.iter().all(|len| *len <= 16));
        let whole = lens.iter().filter(|len| **len == 16).count();
        assert!(whole >= 40, "of one draw alone one in five would be: {lens:?}");
        assert_eq!(draw_run(&gaps, &PieceSet::of(100..104), 256, 16, &mut chance), None);
    }
}
