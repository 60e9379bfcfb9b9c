//! What members of a swarm state of single pieces they read from the origin (CLAIM-1..7).
//!
//! Knows: values by piece, who stated them, who was refuted, where two differ. Does not know: hash lists (`claims`), or
//! what is on disk.

use std::collections::BTreeMap;

use peer_proto::content::Hash;
use peer_proto::peer::PeerId;

use super::piece_set::{PieceSet, place};

/// Authors whose values are kept for one file (CLAIM-2).
pub const AUTHORS_MAX: usize = 64;
/// Pieces of which two values are kept; a third, and what exceeds this, is ignored.
const CONFLICTS_MAX: usize = 1_024;
const NOBODY: u8 = u8::MAX;

/// One who stated values.
#[derive(Clone, Debug)]
struct Author {
    peer: PeerId,
    /// What it stated, refuted or not: none is asked for again.
    pieces: PieceSet,
    /// Of these, those of which it stated the first value that is kept, and those of which it stated the other one. A third
    /// value is not kept, and nobody is held to what he did not say.
    first: PieceSet,
    other: PieceSet,
    refuted: bool,
}

/// The values of one file's pieces as others state them.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    authors: Vec<Author>,
    /// The first value stated of each piece, and who stated it.
    values: Vec<(u8, Hash)>,
    /// Other values of pieces that have one, with theirs.
    others: BTreeMap<u32, (u8, Hash)>,
}

impl Stated {
    /// Takes values in. Pieces that have a value of a standing author keep it; one other is kept beside it.
    pub fn state(&mut self, peer: PeerId, first: u32, values: &[Hash]) {
        let Some(number) = self.author(peer) else { return };
        let by = place(u32::from(number));
        if self.authors[by].refuted {
            return;
        }
        for (piece, value) in (first..).zip(values) {
            self.authors[by].pieces.insert(piece..piece.saturating_add(1));
            if self.values.len() <= place(piece) {
                self.values.resize(place(piece) + 1, (NOBODY, Hash([0; 32])));
            }
            let (author, kept) = self.values[place(piece)];
            let one = piece..piece.saturating_add(1);
            if self.is_refuted(author) {
                self.values[place(piece)] = (number, *value);
                self.authors[by].first.insert(one);
            } else if kept == *value {
                self.authors[by].first.insert(one);
            } else {
                let has_room = self.others.len() < CONFLICTS_MAX || self.others.contains_key(&piece);
                let other = has_room.then(|| *self.others.entry(piece).or_insert((number, *value)));
                if other.is_some_and(|(_, other)| other == *value) {
                    self.authors[by].other.insert(one);
                }
            }
        }
    }

    fn author(&mut self, peer: PeerId) -> Option<u8> {
        let known = self.authors.iter().position(|author| author.peer == peer);
        let at = match known {
            Some(at) => at,
            None if self.authors.len() < AUTHORS_MAX => {
                let none = PieceSet::new;
                self.authors.push(Author {
                    peer,
                    pieces: none(),
                    first: none(),
                    other: none(),
                    refuted: false,
                });
                self.authors.len() - 1
            }
            None => return None,
        };
        u8::try_from(at).ok()
    }

    /// Whether what this author says counts for nothing; nobody says nothing.
    fn is_refuted(&self, author: u8) -> bool {
        self.authors.get(place(u32::from(author))).is_none_or(|author| author.refuted)
    }

    /// The value a piece is taken under, and who answers for it.
    #[must_use]
    pub fn value(&self, piece: u32) -> Option<(Hash, PeerId)> {
        let (author, value) = self.values.get(place(piece)).copied()?;
        let author = self.authors.get(place(u32::from(author)))?;
        (!author.refuted).then_some((value, author.peer))
    }

    /// What an author says it read.
    #[must_use]
    pub fn pieces_of(&self, peer: PeerId) -> Option<&PieceSet> {
        self.authors.iter().find(|author| author.peer == peer && !author.refuted).map(|author| &author.pieces)
    }

    /// Pieces that have a value.
    #[must_use]
    pub fn known(&self) -> PieceSet {
        let mut known = PieceSet::new();
        for author in self.authors.iter().filter(|author| !author.refuted) {
            known.union_with(&author.first);
        }
        known
    }

    /// Pieces of which two values stand (CLAIM-6).
    pub fn conflicts(&self) -> impl Iterator<Item = u32> + '_ {
        let stand = |(piece, (other, _)): (&u32, &(u8, Hash))| {
            let first = self.values.get(place(*piece)).map_or(NOBODY, |(author, _)| *author);
            (!self.is_refuted(*other) && !self.is_refuted(first)).then_some(*piece)
        };
        self.others.iter().filter_map(stand)
    }

    /// The conflicts to be settled now (CLAIM-6): those that are being settled, then those whose authors stand in most of
    /// them, one for each author: every answer removes one.
    #[must_use]
    pub fn to_settle(&self, is_open: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        let mut all: Vec<(u32, [u8; 2])> = Vec::new();
        for piece in self.conflicts() {
            let first = self.values.get(place(piece)).map_or(NOBODY, |(author, _)| *author);
            let other = self.others.get(&piece).map_or(NOBODY, |(author, _)| *author);
            [first, other].into_iter().for_each(|author| *counts.entry(author).or_default() += 1);
            all.push((piece, [first, other]));
        }
        let most = |both: &[u8; 2]| both.iter().filter_map(|author| counts.get(author)).max().copied();
        all.sort_by_key(|(piece, both)| (!is_open(*piece), std::cmp::Reverse(most(both)), *piece));
        let mut taken: Vec<u8> = Vec::new();
        all.retain(|(_, both)| {
            let is_free = both.iter().all(|author| !taken.contains(author));
            taken.extend(both.iter().filter(|_| is_free));
            is_free
        });
        all.into_iter().map(|(piece, _)| piece).collect()
    }

    /// Of these pieces those that the fewest standing authors stated: none, one, or more.
    #[must_use]
    pub fn least_stated(&self, among: &PieceSet) -> PieceSet {
        let (mut once, mut more) = (PieceSet::new(), PieceSet::new());
        for (_, pieces) in self.standing() {
            let mut again = pieces.clone();
            again.intersect_with(&once);
            more.union_with(&again);
            once.union_with(pieces);
        }
        for stated in [&once, &more] {
            let mut least = among.clone();
            least.subtract(stated);
            if !least.is_empty() {
                return least;
            }
        }
        among.clone()
    }

    /// Who stated another value than the one read from the origin (CLAIM-3).
    #[must_use]
    pub fn contradicting(&self, piece: u32, value: Hash) -> Vec<PeerId> {
        let kept = self.values.get(place(piece)).map(|(_, kept)| *kept);
        let other = self.others.get(&piece).map(|(_, other)| *other);
        let is_wrong = |kept: Option<Hash>| kept.is_some_and(|kept| kept != value);
        let said_it = |author: &&Author| {
            let first = is_wrong(kept) && author.first.contains(piece);
            first || (is_wrong(other) && author.other.contains(piece))
        };
        let standing = self.authors.iter().filter(|author| !author.refuted);
        standing.filter(said_it).map(|author| author.peer).collect()
    }

    /// Believes an author no more (CLAIM-4); what another one stated stands in its place. `false` if it stated nothing.
    pub fn refute(&mut self, peer: PeerId) -> bool {
        let Some(at) = self.authors.iter().position(|author| author.peer == peer && !author.refuted) else {
            return false;
        };
        self.authors[at].refuted = true;
        for piece in self.authors[at].first.clone().runs().flatten() {
            self.replace_first(piece);
        }
        for piece in self.authors[at].other.clone().runs().flatten() {
            self.replace_other(piece);
        }
        true
    }

    /// Who stands and stated one of the two values of a piece.
    fn who(&self, piece: u32, values: impl Fn(&Author) -> &PieceSet) -> Option<u8> {
        let says = |author: &Author| !author.refuted && values(author).contains(piece);
        self.authors.iter().position(says).and_then(|at| u8::try_from(at).ok())
    }

    /// The first value of a piece rests on another who stated it; if nobody did, the other value takes its place.
    fn replace_first(&mut self, piece: u32) {
        let Some((author, value)) = self.values.get(place(piece)).copied() else { return };
        if !self.is_refuted(author) {
            return;
        }
        if let Some(same) = self.who(piece, |author| &author.first) {
            self.values[place(piece)] = (same, value);
            return;
        }
        let other = self.who(piece, |author| &author.other).zip(self.others.remove(&piece));
        self.values[place(piece)] = other.map_or((NOBODY, value), |(author, (_, value))| (author, value));
        for author in self.authors.iter_mut().filter(|author| author.other.contains(piece)) {
            author.other.remove(piece..piece + 1);
            author.first.insert(piece..piece + 1);
        }
    }

    /// The other value of a piece rests on another who stated it, or is forgotten: that makes room for the next.
    fn replace_other(&mut self, piece: u32) {
        if let Some(same) = self.who(piece, |author| &author.other) {
            self.others.entry(piece).and_modify(|(author, _)| *author = same);
        } else {
            self.others.remove(&piece);
        }
    }

    /// How many authors stand.
    #[must_use]
    pub fn author_count(&self) -> usize {
        self.authors.iter().filter(|author| !author.refuted).count()
    }

    /// Those who stand, with what they stated.
    pub fn standing(&self) -> impl Iterator<Item = (PeerId, &PieceSet)> {
        self.authors.iter().filter(|author| !author.refuted).map(|author| (author.peer, &author.pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_public_key([number; 32])
    }

    const fn hash(mark: u8) -> Hash {
        Hash([mark; 32])
    }

    #[test]
    fn claim_6_two_values_of_a_piece_are_a_conflict_until_one_author_is_refuted() {
        let mut stated = Stated::default();
        stated.state(peer(1), 0, &[hash(1); 4]);
        stated.state(peer(2), 2, &[hash(1), hash(9)]);
        assert_eq!(stated.conflicts().collect::<Vec<_>>(), [3]);
        assert_eq!(stated.value(3), Some((hash(1), peer(1))));
        assert_eq!(stated.contradicting(3, hash(9)), [peer(1)]);
        assert_eq!(stated.contradicting(3, hash(1)), [peer(2)]);
        assert!(stated.refute(peer(1)));
        assert_eq!(stated.conflicts().count(), 0);
        assert_eq!(stated.value(3), Some((hash(9), peer(2))));
        assert_eq!(stated.value(2), Some((hash(1), peer(2))), "the other one stated it too");
        assert_eq!(stated.value(0), None);
        assert_eq!(stated.known(), PieceSet::of(2..4));
    }

    #[test]
    fn claim_6_of_each_author_one_conflict_is_settled_and_the_worst_authors_come_first() {
        let mut stated = Stated::default();
        stated.state(peer(1), 0, &[hash(1); 20]);
        stated.state(peer(2), 20, &[hash(1); 20]);
        stated.state(peer(3), 3, &[hash(9)]);
        stated.state(peer(4), 10, &[hash(9); 3]);
        stated.state(peer(5), 30, &[hash(9)]);
        assert_eq!(
            stated.to_settle(|_| false),
            [3, 30],
            "the first author stands in four, so does each beside him"
        );
        assert_eq!(stated.to_settle(|piece| piece == 11), [11, 30], "what is being settled goes on");
        assert!(stated.refute(peer(1)));
        assert_eq!(stated.to_settle(|_| false), [30]);
        assert!(stated.refute(peer(5)));
        assert!(stated.to_settle(|_| false).is_empty());
    }

    #[test]
    fn claim_10_what_the_fewest_authors_stated_is_what_nobody_did_then_one_then_any() {
        let mut stated = Stated::default();
        stated.state(peer(1), 0, &[hash(1); 8]);
        stated.state(peer(2), 4, &[hash(1); 8]);
        assert_eq!(stated.least_stated(&PieceSet::of(0..16)), PieceSet::of(12..16));
        let mut once = PieceSet::of(0..4);
        once.insert(8..12);
        assert_eq!(stated.least_stated(&PieceSet::of(0..12)), once);
        assert_eq!(stated.least_stated(&PieceSet::of(4..8)), PieceSet::of(4..8));
        assert!(stated.refute(peer(1)));
        assert_eq!(
            stated.least_stated(&PieceSet::of(0..12)),
            PieceSet::of(0..4),
            "a refuted one says nothing"
        );
        assert!(stated.least_stated(&PieceSet::new()).is_empty());
    }

    #[test]
    fn claim_4_a_refuted_author_states_nothing_more() {
        let mut stated = Stated::default();
        stated.state(peer(1), 0, &[hash(1)]);
        assert!(stated.refute(peer(1)));
        assert!(!stated.refute(peer(1)));
        stated.state(peer(1), 5, &[hash(1)]);
        assert_eq!((stated.value(0), stated.value(5)), (None, None));
        stated.state(peer(2), 0, &[hash(2)]);
        assert_eq!(stated.value(0), Some((hash(2), peer(2))));
        assert!(stated.pieces_of(peer(1)).is_none());
    }

    #[test]
    fn claim_2_of_more_than_64_authors_the_first_are_kept() {
        let mut stated = Stated::default();
        for number in 0..100 {
            stated.state(peer(number), u32::from(number), &[hash(number)]);
        }
        assert_eq!(stated.author_count(), AUTHORS_MAX);
        assert_eq!(stated.known(), PieceSet::of(0..64));
    }

    #[test]
    fn claim_4_what_a_refuted_author_said_beside_another_makes_room_for_the_next() {
        let mut stated = Stated::default();
        stated.state(peer(1), 5, &[hash(1)]);
        stated.state(peer(2), 5, &[hash(2)]);
        stated.state(peer(3), 5, &[hash(3)]);
        assert_eq!(stated.contradicting(5, hash(1)), [peer(2)], "a third value is not kept");
        assert!(stated.refute(peer(2)));
        assert_eq!(stated.conflicts().count(), 0);
        stated.state(peer(3), 5, &[hash(3)]);
        assert_eq!(stated.conflicts().collect::<Vec<_>>(), [5]);
        assert_eq!(stated.contradicting(5, hash(1)), [peer(3)]);
        assert_eq!((stated.value(5), stated.known()), (Some((hash(1), peer(1))), PieceSet::of(5..6)));
    }

    #[test]
    fn claim_3_all_who_stated_what_is_wrong_are_named_and_nobody_who_stated_a_third_value() {
        let mut stated = Stated::default();
        for (number, value) in [(1, 1), (2, 2), (3, 3), (4, 1), (5, 2)] {
            stated.state(peer(number), 5, &[hash(value)]);
        }
        assert_eq!(stated.contradicting(5, hash(3)), [peer(1), peer(2), peer(4), peer(5)]);
        assert_eq!(stated.contradicting(5, hash(1)), [peer(2), peer(5)]);
        stated.refute(peer(1));
        assert_eq!(stated.value(5), Some((hash(1), peer(4))), "another one stated it too");
        stated.refute(peer(4));
        assert_eq!(stated.value(5), Some((hash(2), peer(2))));
        assert!(stated.refute(peer(2)) && stated.refute(peer(5)));
        assert_eq!(
            stated.value(5),
            None,
            "what the third one stated was not kept, and he is held to nothing else"
        );
        assert!(stated.known().is_empty() && stated.contradicting(5, hash(9)).is_empty());
        stated.state(peer(6), 5, &[hash(3)]);
        assert_eq!((stated.value(5), stated.conflicts().count()), (Some((hash(3), peer(6))), 0));
    }

    #[test]
    fn claim_2_five_hundred_claimants_of_the_longest_file_take_a_megabyte() {
        let mut stated = Stated::default();
        for number in 0..500_u16 {
            let mut key = [7; 32];
            key[..2].copy_from_slice(&number.to_be_bytes());
            let author = PeerId::from_public_key(key);
            for first in (0..16_384).step_by(64) {
                let mark = u8::try_from(number % 200).expect("small");
                stated.state(author, first, &[hash(mark); 64]);
            }
        }
        let sets = stated.authors.iter().flat_map(|author| [&author.pieces, &author.first, &author.other]);
        let sets: usize = sets.map(|set| size_of_val(set.words())).sum();
        let values = size_of_val(stated.values.as_slice());
        let others = stated.others.len() * 2 * size_of::<(u32, (u8, Hash))>();
        assert!(sets + values + others <= 1 << 20, "{sets} {values} {others}");
        assert_eq!((stated.authors.len(), stated.others.len()), (AUTHORS_MAX, CONFLICTS_MAX));
    }

    #[test]
    fn claim_6_a_thousand_conflicts_are_kept_and_what_agrees_is_none() {
        let mut stated = Stated::default();
        let values: Vec<Hash> = vec![hash(1); 1_200];
        stated.state(peer(1), 0, &values);
        stated.state(peer(2), 0, &values);
        assert_eq!(stated.conflicts().count(), 0);
        stated.state(peer(3), 0, &vec![hash(2); 1_200]);
        assert_eq!(stated.conflicts().count(), CONFLICTS_MAX);
        assert_eq!(
            stated.standing().map(|(peer, pieces)| (peer, pieces.count())).collect::<Vec<_>>(),
            [(peer(1), 1_200), (peer(2), 1_200), (peer(3), 1_200)]
        );
    }

    #[test]
    fn a_value_of_a_refuted_author_gives_way_to_the_next_one_stated() {
        let mut stated = Stated::default();
        stated.state(peer(1), 0, &[hash(1), hash(1)]);
        stated.refute(peer(1));
        stated.state(peer(2), 1, &[hash(2)]);
        assert_eq!((stated.value(0), stated.value(1)), (None, Some((hash(2), peer(2)))));
        assert!(stated.contradicting(0, hash(9)).is_empty(), "nobody is refuted twice");
    }
}
