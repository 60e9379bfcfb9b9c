//! What untrusted peers state of a file: roots, hash lists, and what becomes of them.
//!
//! Knows: which list is trusted, which are hints, who stated them, audits and conflicts (CLAIM-1..8). What is stated of
//! single pieces is kept by `stated`, who is not listened to at all by `fuse`. Does not know: leases, sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::limits::UNVERIFIED_BYTES_PER_PEER;
use peer_proto::peer::PeerId;
use peer_proto::standing::Standing;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::chance::Chance;
use super::fuse::Strangers;
use super::piece_set::PieceSet;
use super::planner::pieces_in;
use super::trial::Trial;

/// Sealed lists kept for one content (CLAIM-2), and lengths tried for one root (TRUST-6).
pub(super) const LISTS_MAX: usize = 4;
/// Lists for one content in all, those that were refuted included.
const LISTS_TRIED_MAX: usize = 8;
/// Below this many pieces nothing is audited (CLAIM-8).
pub(super) const AUDITED_FROM: u32 = 128;
const AUDITS_MAX: u32 = 16;
const AUDIT_SHARE: u32 = 200;
/// The first piece of an audit is drawn at once, the others then: by that time it is known who shares the audit.
const AUDIT_GROWS_AFTER: Duration = Duration::from_millis(300);

/// A list some peers stated for a digest that is no root: believed only as far as it is checked.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub(super) list: Arc<HashList>,
    /// Who answers for it.
    pub(super) author: PeerId,
    /// Everybody who stated it.
    pub(super) stated_by: BTreeSet<PeerId>,
    pub(super) refuted: bool,
    pub(super) audit: Audit,
    /// Whether an audit agreed, or none is needed.
    pub(super) cleared: bool,
    /// Whether it was followed alone, against what the origin says (CLAIM-10, step 1).
    pub(super) followed_alone: bool,
}

/// How far the audit of a hint is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Audit {
    /// Pieces drawn, fetched or not.
    pub(super) pieces: Vec<u32>,
    /// When more are drawn: at first at once.
    pub(super) grows_at: Instant,
    /// How many of them agreed.
    pub(super) answers: u32,
    pub(super) trial: Trial,
}

/// A list that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    pub(super) asked: Vec<PeerId>,
    pub(super) since: Instant,
}

/// All that is stated of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// The root the job or the origin names.
    pub(super) root: Option<Hash>,
    /// The list of a trusted root whose length is known.
    pub(super) trusted: Option<Arc<HashList>>,
    /// The list of a trusted root whose length is still to be proved by the last piece (TRUST-5).
    pub(super) candidate: Option<Arc<HashList>>,
    pub(super) hints: Vec<Hint>,
    /// The hint that is followed.
    pub(super) active: Option<ContentId>,
    pub(super) fetching: BTreeMap<ContentId, Fetching>,
    /// Contents that were refuted or failed their proof.
    pub(super) dropped: BTreeSet<ContentId>,
    /// Pieces on which two hints differ, to be settled by the origin (CLAIM-6).
    pub(super) conflicts: BTreeSet<u32>,
    /// Only this hint is followed and the origin is not asked (CLAIM-10, step 1).
    pub(super) alone: Option<ContentId>,
    /// Whose word was taken, and where they are.
    pub(super) strangers: Strangers,
}

impl Claims {
    pub(super) fn new(digests: &[Digest]) -> Self {
        let mut claims = Self::default();
        claims.add_digests(digests);
        claims
    }

    /// Takes the root from a BLAKE3 digest, if there is one.
    pub(super) fn add_digests(&mut self, digests: &[Digest]) {
        let root = digests.iter().find(|digest| digest.algorithm() == Algorithm::Blake3);
        if self.root.is_none() {
            self.root = root.and_then(|root| Some(Hash(root.bytes().try_into().ok()?)));
        }
    }

    /// Whether a peer's content may be what the job wants, as far as is known.
    pub(super) fn may_be(&self, content: ContentId, len: Option<u64>, sealed: bool) -> bool {
        let root_fits = self.root.map_or(sealed, |root| root == content.root);
        root_fits && len.is_none_or(|len| len == content.len) && !self.dropped.contains(&content)
    }

    /// The list a content's pieces are checked with, and what they are then; `None` if nothing is taken under it.
    pub(super) fn accept(&self, content: ContentId) -> Option<(Arc<HashList>, Standing)> {
        let (list, standing) = self.accepted(content)?;
        Some((Arc::clone(list), standing))
    }

    /// Whether anything is taken under a content.
    pub(super) fn is_accepted(&self, content: ContentId) -> bool {
        self.accepted(content).is_some()
    }

    fn accepted(&self, content: ContentId) -> Option<(&Arc<HashList>, Standing)> {
        let mut trusted = self.trusted.iter().chain(&self.candidate);
        if let Some(list) = trusted.find(|list| list.content() == content) {
            return Some((list, Standing::Proved));
        }
        if self.trusted.is_some() || self.root.is_some() {
            return None;
        }
        let followed = self.alone.or(self.active)?;
        let hint = self.hint(content)?;
        let usable = followed == content && (!hint.refuted || self.alone == Some(content));
        usable.then_some((&hint.list, Standing::Provisional { author: hint.author }))
    }

    pub(super) fn hint(&self, content: ContentId) -> Option<&Hint> {
        self.hints.iter().find(|hint| hint.list.content() == content)
    }

    pub(super) fn hint_mut(&mut self, content: ContentId) -> Option<&mut Hint> {
        self.hints.iter_mut().find(|hint| hint.list.content() == content)
    }

    /// Whether there is room to ask for one more list. One that was refuted makes room, so that false ones do not keep a true
    /// one out, but not for ever.
    pub(super) fn has_room(&self) -> bool {
        let coming = self.fetching.len();
        if self.root.is_some() {
            return self.dropped.len() + coming < LISTS_MAX;
        }
        self.standing_hints().count() + coming < LISTS_MAX && self.hints.len() + coming < LISTS_TRIED_MAX
    }

    /// Hints that are not refuted.
    pub(super) fn standing_hints(&self) -> impl Iterator<Item = &Hint> {
        self.hints.iter().filter(|hint| !hint.refuted)
    }

    /// Follows the hint most peers stated, the first of equals; keeps the one that is followed as long as it stands.
    pub(super) fn choose(&mut self) {
        let stands = |content| self.hint(content).is_some_and(|hint| !hint.refuted);
        if self.active.is_some_and(stands) {
            return;
        }
        let best = self.standing_hints().fold(None, |best: Option<&Hint>, hint| match best {
            Some(best) if best.stated_by.len() >= hint.stated_by.len() => Some(best),
            Some(_) | None => Some(hint),
        });
        self.active = best.map(|hint| hint.list.content());
    }

    /// Which hints a value read from the origin contradicts, and which it clears (CLAIM-3, CLAIM-5).
    pub(super) fn compare(&mut self, piece: u32, value: Hash) -> Vec<ContentId> {
        self.conflicts.remove(&piece);
        let mut refuted = Vec::new();
        for hint in self.hints.iter_mut().filter(|hint| !hint.refuted) {
            let stated = hint.list.value(PieceIndex(piece));
            if stated != Some(value) {
                refuted.push(hint.list.content());
            } else if hint.audit.pieces.contains(&piece) {
                hint.audit.answers += 1;
                hint.cleared |= match hint.audit.trial {
                    Trial::Open(wanted) => hint.audit.answers >= wanted,
                    Trial::Untried | Trial::Won => true,
                };
            }
        }
        refuted
    }

    /// Notes one conflict between two hints that both stand (CLAIM-6): the first piece on which they differ.
    pub(super) fn note_conflict(&mut self, certain: &PieceSet) {
        let standing: Vec<&Hint> = self.standing_hints().collect();
        let [first, rest @ ..] = standing.as_slice() else { return };
        let differing = rest.iter().find_map(|other| {
            let values = first.list.values().iter().zip(other.list.values());
            (0_u32..)
                .zip(values)
                .find(|(piece, (mine, theirs))| mine != theirs && !certain.contains(*piece))
                .map(|(piece, _)| piece)
        });
        self.conflicts.extend(differing);
    }

    /// Notes a conflict between a list that stands and what somebody says to have read from the origin (CLAIM-6).
    pub(super) fn note_claimed(&mut self, pieces: Range<u32>, values: &[Hash], certain: &PieceSet) {
        if self.conflicts.len() >= LISTS_MAX || self.hints.is_empty() {
            return;
        }
        let differs = |(piece, value): &(u32, &Hash)| {
            let stated = |hint: &Hint| hint.list.value(PieceIndex(*piece)) != Some(**value);
            !certain.contains(*piece) && self.standing_hints().any(stated)
        };
        let differing = pieces.zip(values).find(differs).map(|(piece, _)| piece);
        self.conflicts.extend(differing);
    }

    /// Whether pieces are to be drawn for the audit of the followed hint.
    pub(super) fn audit_is_due(&self, now: Instant) -> bool {
        self.active.and_then(|active| self.hint(active)).is_some_and(|hint| hint.audit.grows_at <= now)
    }

    /// Draws the audit of the followed hint, after its author stated every value (CLAIM-5): one piece at once, and a
    /// moment later the rest of up to half a percent of the pieces, shared with the `others` that are interested by
    /// then, at most 16.
    pub(super) fn draw_audit(&mut self, mut gaps: PieceSet, others: u32, chance: &mut Chance, now: Instant) {
        let Some(active) = self.active else { return };
        let Some(hint) = self.hint_mut(active) else { return };
        let count = hint.list.geometry().piece_count();
        if count < AUDITED_FROM {
            hint.audit.grows_at = Instant::NEVER;
            hint.cleared = true;
            return;
        }
        let is_first = hint.audit.pieces.is_empty();
        let budget = if is_first {
            hint.audit.grows_at = now.after(AUDIT_GROWS_AFTER);
            1
        } else {
            hint.audit.grows_at = Instant::NEVER;
            audit_budget(count, others, chance)
        };
        while u32::try_from(hint.audit.pieces.len()).unwrap_or(u32::MAX) < budget
            && let Some(piece) = gaps.nth(chance.below(gaps.count()))
        {
            gaps.remove(piece..piece + 1);
            hint.audit.pieces.push(piece);
        }
        hint.cleared |= hint.audit.pieces.is_empty();
    }

    /// How many pieces may still be taken under a hint before an audit of it is answered: 1 MiB of them, or one; none while
    /// it is on trial.
    pub(super) fn unaudited_room(&self, content: ContentId, taken: u32) -> u32 {
        match self.hint(content) {
            Some(hint) if !hint.cleared && matches!(hint.audit.trial, Trial::Open(_)) => 0,
            Some(hint) if !hint.cleared => {
                pieces_in(hint.list.geometry(), UNVERIFIED_BYTES_PER_PEER).saturating_sub(taken)
            }
            Some(_) | None => u32::MAX,
        }
    }

    /// Refutes a hint (CLAIM-4). Returns everybody who stated it.
    pub(super) fn refute(&mut self, content: ContentId) -> Option<BTreeSet<PeerId>> {
        let hint = self.hint_mut(content)?;
        hint.refuted = true;
        let stated_by = hint.stated_by.clone();
        self.choose();
        Some(stated_by)
    }

    /// Under which author a value stands after another was refuted: somebody else may have stated it as well.
    pub(super) fn other_author(&self, piece: u32, value: Hash) -> Option<PeerId> {
        let mut hints = self.standing_hints();
        hints.find(|hint| hint.list.value(PieceIndex(piece)) == Some(value)).map(|hint| hint.author)
    }

    /// Drops a content that failed: nothing is asked for it again.
    pub(super) fn drop_content(&mut self, content: ContentId) {
        if self.dropped.len() < 64 {
            self.dropped.insert(content);
        }
        self.fetching.remove(&content);
        self.candidate.take_if(|list| list.content() == content);
    }

    /// Runs of pieces whose trusted value is not the one held.
    pub(super) fn differing(
        list: &HashList,
        value_of: impl Fn(u32) -> Option<Hash>,
        among: &PieceSet,
    ) -> PieceSet {
        let mut differing = PieceSet::new();
        for piece in among.runs().flat_map(|run: Range<u32>| run) {
            if value_of(piece) != list.value(PieceIndex(piece)) {
                differing.insert(piece..piece + 1);
            }
        }
        differing
    }
}

/// How many pieces of a file of so many are read from the origin for an audit that is shared with so many others: half a
/// percent of them, rounded up as often as it should, at most 16 (CLAIM-5).
pub(super) fn audit_budget(count: u32, others: u32, chance: &mut Chance) -> u32 {
    if count < AUDITED_FROM {
        return 0;
    }
    let share = AUDIT_SHARE.saturating_mul(others.saturating_add(1));
    let rounded_up = u32::from(chance.below(share) < count % share);
    (count / share + rounded_up).min(AUDITS_MAX)
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
