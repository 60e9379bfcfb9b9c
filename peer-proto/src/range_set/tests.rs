//! The set against its slow twin, a vector of booleans.
//!
//! Knows: both. Does not know: who uses sets.

use proptest::prelude::*;

use super::*;

/// Offsets the twin knows.
const WORLD: u64 = 96;

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start..end).expect("not empty")
}

fn world() -> ByteRange {
    range(0, WORLD)
}

#[derive(Clone, Debug)]
enum Change {
    Insert(ByteRange),
    Remove(ByteRange),
}

/// A set and its twin, changed alike.
#[derive(Clone)]
struct Twins {
    set: RangeSet,
    slow: Vec<bool>,
}

impl Twins {
    fn after(changes: &[Change]) -> Self {
        let mut twins = Self { set: RangeSet::new(), slow: vec![false; usize::try_from(WORLD).unwrap()] };
        for change in changes {
            let (range, held) = match change {
                Change::Insert(range) => (*range, true),
                Change::Remove(range) => (*range, false),
            };
            if held {
                twins.set.insert(range)
            } else {
                twins.set.remove(range)
            }
            for offset in range.as_range() {
                twins.slow[usize::try_from(offset).unwrap()] = held;
            }
            twins.agree();
        }
        twins
    }

    fn agree(&self) {
        assert_eq!(self.set, set_of(&self.slow), "same ranges and same length");
        let ranges: Vec<ByteRange> = self.set.iter().collect();
        assert!(ranges.windows(2).all(|two| two[0].end() < two[1].start()), "{ranges:?}");
        assert_eq!(self.set.len(), ranges.iter().map(|range| range.len()).sum::<u64>());
        assert_eq!(self.set.range_count(), ranges.len());
        assert_eq!(self.set.is_empty(), ranges.is_empty());
    }
}

/// The set of the true places, built in the plainest way.
fn set_of(slow: &[bool]) -> RangeSet {
    let mut ends = BTreeMap::new();
    let mut len = 0;
    let mut start = None;
    for (offset, held) in (0..).zip(slow.iter().copied().chain([false])) {
        match (start, held) {
            (None, true) => start = Some(offset),
            (Some(from), false) => {
                ends.insert(from, offset);
                len += offset - from;
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    RangeSet { ends, len }
}

fn zip(a: &[bool], b: &[bool], rule: impl Fn(bool, bool) -> bool) -> RangeSet {
    set_of(&a.iter().zip(b).map(|(a, b)| rule(*a, *b)).collect::<Vec<_>>())
}

fn set_matches_a_vec_of_bools_impl(left: &[Change], right: &[Change], asked: ByteRange) {
    let (a, b) = (Twins::after(left), Twins::after(right));
    let places = usize::try_from(asked.start()).unwrap()..usize::try_from(asked.end()).unwrap();
    let inside = &a.slow[places.clone()];
    assert_eq!(a.set.contains(asked), inside.iter().all(|held| *held));
    assert_eq!(a.set.intersects(asked), inside.iter().any(|held| *held));
    for (offset, held) in (0..).zip(&a.slow) {
        assert_eq!(a.set.contains_offset(offset), *held);
    }
    let cut: Vec<bool> = (0..).zip(&a.slow).map(|(at, held)| *held && places.contains(&at)).collect();
    assert_eq!(a.set.iter_within(asked).collect::<RangeSet>(), set_of(&cut));
    let missing: Vec<bool> = (0..).zip(&a.slow).map(|(at, held)| !*held && places.contains(&at)).collect();
    assert_eq!(a.set.gaps(asked).collect::<Vec<_>>(), set_of(&missing).iter().collect::<Vec<_>>());
    assert_eq!(a.set.first_gap_at(asked.start(), asked.end()), set_of(&missing).iter().next());
    assert_eq!(a.set.union(&b.set), zip(&a.slow, &b.slow, |a, b| a || b));
    assert_eq!(a.set.intersection(&b.set), zip(&a.slow, &b.slow, |a, b| a && b));
    assert_eq!(a.set.difference(&b.set), zip(&a.slow, &b.slow, |a, b| a && !b));
    let mut rest = a.set.clone();
    rest.remove_all(&b.set);
    assert_eq!(rest, a.set.difference(&b.set));
    assert_eq!(a.set.iter().rev().collect::<RangeSet>(), a.set, "order of insertion does not matter");
}

#[test]
fn set_matches_a_vec_of_bools_cases() {
    use Change::{Insert, Remove};
    let comb: Vec<Change> = (0..WORLD / 2).map(|tooth| Insert(range(2 * tooth, 2 * tooth + 1))).collect();
    let cases = [
        vec![],
        vec![Insert(world())],
        vec![Insert(range(0, 4)), Insert(range(4, 8))],
        vec![Insert(range(4, 8)), Insert(range(0, 4))],
        vec![Insert(range(0, 4)), Insert(range(8, 12)), Insert(range(4, 8))],
        vec![Insert(range(0, 4)), Insert(range(8, 12)), Insert(range(3, 9))],
        vec![Insert(range(0, 12)), Insert(range(3, 9)), Remove(range(3, 9))],
        vec![Insert(range(5, 6)), Remove(range(5, 6))],
        vec![Insert(world()), Remove(range(0, 1)), Remove(range(WORLD - 1, WORLD)), Insert(range(0, 1))],
        [comb.clone(), vec![Remove(range(3, 40))]].concat(),
        [comb, vec![Insert(range(1, WORLD - 1))]].concat(),
    ];
    for left in &cases {
        for right in &cases {
            for asked in [world(), range(0, 1), range(4, 8), range(WORLD - 1, WORLD)] {
                set_matches_a_vec_of_bools_impl(left, right, asked);
            }
        }
    }
}

fn any_range() -> impl Strategy<Value = ByteRange> {
    (0..WORLD, 1..WORLD).prop_map(|(start, len)| range(start, (start + len).min(WORLD)))
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![3 => any_range().prop_map(Change::Insert), 2 => any_range().prop_map(Change::Remove)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn set_matches_a_vec_of_bools_proptest(
        left in prop::collection::vec(any_change(), 0..24),
        right in prop::collection::vec(any_change(), 0..24),
        asked in any_range(),
    ) {
        set_matches_a_vec_of_bools_impl(&left, &right, asked);
    }
}

#[test]
fn the_ends_of_the_number_line_are_ordinary_places() {
    let mut set = RangeSet::from(range(0, u64::MAX));
    assert_eq!(set.len(), u64::MAX);
    set.remove(range(1, u64::MAX - 1));
    assert_eq!(set.iter().collect::<Vec<_>>(), [range(0, 1), range(u64::MAX - 1, u64::MAX)]);
    assert_eq!(set.first_gap_at(0, u64::MAX), Some(range(1, u64::MAX - 1)));
    assert_eq!(set.first_gap_at(7, 7), None);
    assert_eq!(format!("{set:?}"), "{0..1, 18446744073709551614..18446744073709551615}");
}
