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
mod tests {
    use super::*;

    const LEN: u64 = 64 * 1024 * 1024;

    /// How many pieces are drawn at once, and in all, if so many others are known 300 ms later.
    fn drawn(others: u32) -> (usize, usize) {
        let list = Arc::new(HashList::from_values(LEN, vec![Hash([1; 32]); 1_024]).expect("as many pieces"));
        let author = PeerId::from_public_key([1; 32]);
        let hint = Hint {
            list: Arc::clone(&list),
            author,
            stated_by: BTreeSet::from([author]),
            refuted: false,
            audit: Audit::default(),
            cleared: false,
            followed_alone: false,
        };
        let mut claims = Claims { hints: vec![hint], ..Claims::default() };
        claims.choose();
        let (mut chance, now) = (Chance::new([1; 32]), Instant::from_micros(1_000_000));
        let mut draw = |claims: &mut Claims, others, at| {
            if claims.audit_is_due(at) {
                claims.draw_audit(PieceSet::of(0..1_024), others, &mut chance, at);
            }
            claims.hints[0].audit.pieces.len()
        };
        // Nobody else is known at first.
        let first = draw(&mut claims, 0, now);
        assert_eq!(draw(&mut claims, 0, now.after(AUDIT_GROWS_AFTER / 2)), first, "not yet");
        let all = draw(&mut claims, others, now.after(AUDIT_GROWS_AFTER));
        assert_eq!(draw(&mut claims, 0, now.after(AUDIT_GROWS_AFTER * 9)), all, "once");
        (first, all)
    }

    #[test]
    fn claim_5_an_audit_is_shared_with_those_who_are_known_a_moment_later() {
        let (first, alone) = drawn(0);
        assert!(first == 1 && (5..=6).contains(&alone), "half a percent of 1024 pieces: {alone}");
        assert_eq!(drawn(49), (1, 1), "fifty share what one alone would read");
    }

    fn author(number: u8) -> PeerId {
        PeerId::from_public_key([number; 32])
    }

    /// A list of so many equal pieces, but for one that is another.
    fn list(other: Option<usize>) -> Arc<HashList> {
        let mut values = vec![Hash([1; 32]); 1_024];
        other.into_iter().for_each(|piece| values[piece] = Hash([2; 32]));
        Arc::new(HashList::from_values(LEN, values).expect("as many pieces"))
    }

    /// What these stated: each list by so many.
    fn claims(lists: &[(Arc<HashList>, u8)]) -> Claims {
        let hint = |(number, (list, count)): (u8, &(Arc<HashList>, u8))| Hint {
            list: Arc::clone(list),
            author: author(number),
            stated_by: (0..*count).map(|more| author(number + 100 + more)).collect(),
            refuted: false,
            audit: Audit::default(),
            cleared: false,
            followed_alone: false,
        };
        Claims { hints: (1..).zip(lists).map(hint).collect(), ..Claims::default() }
    }

    #[test]
    fn claim_5_a_thousand_machines_audit_half_a_percent_of_the_pieces_together() {
        let seed = |number: u16| {
            let mut seed = [5; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            seed
        };
        // Ten times a thousand, so that chance evens out.
        let drawn = |number| audit_budget(4_096, 999, &mut Chance::new(seed(number)));
        let drawn: u32 = (0..10_000).map(drawn).sum();
        assert!((160..=245).contains(&drawn), "{drawn} of ten times 4096 pieces: 0.6 % at most");
    }

    #[test]
    fn claim_6_what_a_member_read_and_a_list_denies_is_a_conflict_at_its_first_piece() {
        let certain = PieceSet::of(0..12);
        let mut claims = claims(&[(list(Some(20)), 1)]);
        claims.note_claimed(10..13, &[Hash([1; 32]); 3], &certain);
        assert!(claims.conflicts.is_empty(), "they agree");
        claims.note_claimed(11..12, &[Hash([3; 32])], &certain);
        assert!(claims.conflicts.is_empty(), "that one is known");
        claims.note_claimed(10..22, &[Hash([1; 32]); 12], &certain);
        assert_eq!(claims.conflicts, BTreeSet::from([20]));
        for piece in [30, 31, 32, 33, 34] {
            claims.note_claimed(piece..piece + 1, &[Hash([3; 32])], &certain);
        }
        assert_eq!(claims.conflicts, BTreeSet::from([20, 30, 31, 32]), "four at a time");
        claims.conflicts.clear();
        claims.hints[0].refuted = true;
        claims.note_claimed(20..21, &[Hash([1; 32])], &certain);
        assert!(claims.conflicts.is_empty(), "nobody believes the list any more");
    }

    #[test]
    fn claim_6_two_lists_conflict_at_the_first_piece_that_is_not_known_yet() {
        let mut claims = claims(&[(list(None), 1), (list(Some(7)), 1)]);
        claims.note_conflict(&PieceSet::of(0..8));
        assert!(claims.conflicts.is_empty());
        claims.note_conflict(&PieceSet::of(0..7));
        assert_eq!(claims.conflicts, BTreeSet::from([7]));
        assert_eq!(claims.compare(7, Hash([1; 32])), [list(Some(7)).content()]);
        assert!(claims.conflicts.is_empty(), "it is settled");
    }

    #[test]
    fn claim_4_the_list_that_most_stated_is_followed_as_long_as_it_stands() {
        let mut claims = claims(&[(list(None), 1), (list(Some(1)), 3), (list(Some(2)), 3)]);
        claims.choose();
        assert_eq!(claims.active, Some(list(Some(1)).content()), "the first of equals");
        claims.hints[2].stated_by.insert(author(9));
        claims.choose();
        assert_eq!(claims.active, Some(list(Some(1)).content()), "it is not left for a better one");
        let stated_by = claims.refute(list(Some(1)).content()).expect("it is there");
        assert_eq!((stated_by.len(), claims.active), (3, Some(list(Some(2)).content())));
        assert_eq!(claims.accept(list(Some(1)).content()).map(|(_, standing)| standing), None);
        let followed = claims.accept(list(Some(2)).content()).map(|(_, standing)| standing);
        assert_eq!(followed, Some(Standing::Provisional { author: author(3) }));
        assert!(!claims.is_accepted(list(None).content()), "one at a time");
        claims.alone = Some(list(Some(1)).content());
        assert!(claims.is_accepted(list(Some(1)).content()), "alone it is tried all the same");
        claims.root = Some(Hash([5; 32]));
        assert!(!claims.is_accepted(list(Some(1)).content()), "a root makes lists of words needless");
    }

    #[test]
    fn claim_4_a_piece_of_a_refuted_list_rests_on_another_that_states_the_same() {
        let mut claims = claims(&[(list(None), 1), (list(Some(3)), 1)]);
        claims.refute(list(None).content());
        assert_eq!(claims.other_author(0, Hash([1; 32])), Some(author(2)));
        assert_eq!(claims.other_author(3, Hash([2; 32])), Some(author(2)));
        assert_eq!(claims.other_author(3, Hash([1; 32])), None);
    }

    #[test]
    fn claim_2_four_lists_are_known_or_asked_for_and_for_a_root_four_lengths_are_tried() {
        let mut known = claims(&[(list(None), 1), (list(Some(1)), 1), (list(Some(2)), 1)]);
        assert!(known.has_room());
        let asked = Fetching { asked: Vec::new(), since: Instant::ZERO };
        known.fetching.insert(list(Some(3)).content(), asked);
        assert!(!known.has_room());
        known.root = Some(Hash([1; 32]));
        (4..6).for_each(|piece| known.drop_content(list(Some(piece)).content()));
        assert!(known.has_room());
        known.drop_content(list(Some(6)).content());
        assert!(!known.has_room());
        known.drop_content(list(Some(3)).content());
        assert!(known.fetching.is_empty(), "what is dropped is not waited for");
        let all: Vec<(Arc<HashList>, u8)> = (0..8).map(|piece| (list(Some(piece)), 1)).collect();
        let (mut four, mut eight) = (claims(&all[..4]), claims(&all));
        assert!(!four.has_room());
        four.refute(all[1].0.content());
        assert!(four.has_room(), "a refuted one makes room");
        all.iter().for_each(|(list, _)| drop(eight.refute(list.content())));
        assert!(!eight.has_room(), "eight in all");
    }

    #[test]
    fn claim_5_sixteen_pieces_of_the_longest_file_are_audited_and_each_is_drawn_once() {
        let len = 16_384 * 4 * 1024 * 1024;
        let list = Arc::new(HashList::from_values(len, vec![Hash([1; 32]); 16_384]).expect("as many"));
        let mut claims = claims(&[(Arc::clone(&list), 1)]);
        claims.choose();
        let mut chance = Chance::new([4; 32]);
        let gaps = PieceSet::of(100..200);
        claims.draw_audit(gaps.clone(), 0, &mut chance, Instant::ZERO);
        claims.draw_audit(gaps.clone(), 0, &mut chance, Instant::ZERO);
        let drawn = claims.hints[0].audit.pieces.clone();
        assert!(drawn.len() == 16 && drawn.iter().all(|piece| gaps.contains(*piece)), "{drawn:?}");
        assert_eq!(claims.unaudited_room(list.content(), 0), 1, "a piece is longer than a megabyte");
        assert_eq!(claims.unaudited_room(list.content(), 1), 0);
        claims.compare(99, Hash([1; 32]));
        assert!(!claims.hints[0].cleared, "that one was not drawn");
        claims.compare(drawn[3], Hash([1; 32]));
        assert!(claims.hints[0].cleared);
        assert_eq!(claims.unaudited_room(list.content(), 1), u32::MAX);
    }

    #[test]
    fn claim_8_a_list_of_fewer_than_128_pieces_is_not_audited() {
        for (count, is_cleared) in [(127, true), (128, false)] {
            let values = vec![Hash([1; 32]); count];
            let len = u64::try_from(count).expect("few") * 65_536;
            let list = Arc::new(HashList::from_values(len, values).expect("as many"));
            let mut claims = claims(&[(list, 1)]);
            claims.choose();
            claims.draw_audit(PieceSet::of(0..127), 0, &mut Chance::new([4; 32]), Instant::ZERO);
            assert_eq!(claims.hints[0].cleared, is_cleared, "{count} pieces");
            assert_eq!(claims.hints[0].audit.pieces.is_empty(), is_cleared);
        }
    }

    #[test]
    fn trust_6_a_content_may_be_the_one_if_root_and_length_fit_and_it_did_not_fail() {
        let content = list(None).content();
        let named = Digest::new(Algorithm::Blake3, content.root.0.to_vec()).expect("32 bytes");
        let other = Digest::new(Algorithm::Sha256, vec![1; 32]).expect("32 bytes");
        let mut by_word = Claims::new(std::slice::from_ref(&other));
        assert_eq!(by_word.root, None);
        assert!(by_word.may_be(content, None, true) && !by_word.may_be(content, None, false));
        let by_root = Claims::new(&[other, named]);
        assert_eq!(by_root.root, Some(content.root));
        assert!(by_root.may_be(content, None, false) && by_root.may_be(content, Some(LEN), false));
        assert!(!by_root.may_be(content, Some(LEN + 1), true));
        assert!(!by_root.may_be(list(Some(1)).content(), None, true));
        by_word.drop_content(content);
        assert!(!by_word.may_be(content, None, true));
    }

    #[test]
    fn trust_5_only_the_candidate_that_failed_is_dropped() {
        let mut claims = Claims { candidate: Some(list(None)), ..Claims::default() };
        claims.drop_content(list(Some(1)).content());
        assert_eq!(claims.accept(list(None).content()).map(|(_, standing)| standing), Some(Standing::Proved));
        assert!(!claims.is_accepted(list(Some(1)).content()));
        claims.drop_content(list(None).content());
        assert!(claims.candidate.is_none());
    }

    #[test]
    fn pieces_that_differ_from_a_list_are_found_among_those_that_are_looked_at() {
        let list = list(Some(7));
        let found = |among: std::ops::Range<u32>| {
            Claims::differing(&list, |_| Some(Hash([1; 32])), &PieceSet::of(among))
        };
        assert_eq!((found(0..20), found(8..20)), (PieceSet::of(7..8), PieceSet::new()));
    }

    #[test]
    fn claim_5_half_a_percent_is_rounded_up_as_often_as_it_should() {
        let mut sum = 0;
        for seed in 0..200 {
            let mut claims = claims(&[(list(None), 1)]);
            claims.choose();
            let mut chance = Chance::new([seed; 32]);
            for _ in 0..2 {
                claims.draw_audit(PieceSet::of(0..1_024), 1, &mut chance, Instant::ZERO);
            }
            sum += claims.hints[0].audit.pieces.len();
        }
        // A thousand and 24 pieces, one in 200, between two: 2.56 on average.
        assert!((490..535).contains(&sum), "{sum} in 200 draws");
    }
}
