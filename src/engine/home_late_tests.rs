//! What a node does about homes that are late: it helps, meets others in the middle, leaves out who is slow.

use peer_proto::wire::SegmentClaim;

use super::tests::{MIB, all, at, geometry, home, key, peer, wide_claim};
use super::*;

const UNIT: u32 = 4;
const SEGMENT: u32 = 16;
/// Bytes a second at which a segment takes two seconds to the millisecond.
const SEGMENT_IN_2_S: u64 = 512 * 1024;

/// A claim that names the rate of its author, in bytes per second.
fn claim_at(pieces: Range<u32>, number: u32, rate: u64, from_back: bool) -> SegmentClaim {
    let rate_kib = u32::try_from(rate / 1_024).expect("slow enough");
    SegmentClaim { from_back, rate_kib, ..wide_claim(pieces, number) }
}

/// The first pieces of the segments at which this node would help, over many draws.
fn helped(view: &Home, open: &PieceSet) -> BTreeSet<Option<u32>> {
    let mut chance = Chance::new([5; 32]);
    (0..60).map(|_| view.late_segment(open, at(0), &mut chance).map(|pieces| pieces.start)).collect()
}

fn last_segment_of(view: &Home, number: u8) -> Range<u32> {
    view.grid.pieces_of(*view.orders[&peer(number)].last().expect("it is a home"))
}

#[test]
fn home_4_a_home_is_helped_from_a_quarter_of_a_second_and_eight_units_on_and_from_two_seconds_in_any_case() {
    let helps = |segments: usize, rate: u64| {
        let mut view = home(1, 2);
        view.set_own_rate(rate);
        let theirs: Vec<u32> = view.orders[&peer(2)].iter().rev().take(segments).copied().collect();
        let mut open = PieceSet::new();
        theirs.iter().for_each(|segment| open.insert(view.grid.pieces_of(*segment)));
        helped(&view, &open) == BTreeSet::from([Some(view.grid.pieces_of(theirs[0]).start)])
    };
    assert!(!helps(2, 8 * MIB) && helps(2, 8 * MIB - 65_536), "two segments in a quarter of a second");
    assert!(!helps(2, 2 * MIB) && helps(3, 2 * MIB), "of four units each");
    assert!(!helps(1, SEGMENT_IN_2_S) && helps(1, SEGMENT_IN_2_S - 1_024), "one in two seconds");
    let mut view = home(1, 2);
    view.set_own_rate(SEGMENT_IN_2_S / 2);
    let mine = PieceSet::of(last_segment_of(&view, 1));
    assert_eq!(helped(&view, &mine), BTreeSet::from([None]), "nobody helps himself");
}

#[test]
fn home_4_help_begins_with_the_last_segment_that_nobody_claims() {
    let mut view = home(1, 3);
    view.set_own_rate(SEGMENT_IN_2_S / 2);
    let mut order = view.orders[&peer(2)].iter().rev();
    let [last, before] =
        [order.next(), order.next()].map(|segment| view.grid.pieces_of(*segment.expect("two")));
    let mut open = PieceSet::of(last.clone());
    open.insert(before.clone());
    assert_eq!(helped(&view, &open), BTreeSet::from([Some(last.start)]));
    view.claimed(peer(3), &wide_claim(last, 1), at(0));
    assert_eq!(helped(&view, &open), BTreeSet::from([Some(before.start)]));
}

#[test]
fn home_4_the_home_with_by_far_the_longest_backlog_is_helped_and_of_equals_all_are() {
    let mut view = home(1, 3);
    view.set_own_rate(1_024 * 1_024);
    let both = BTreeSet::from([2, 3].map(|number| Some(last_segment_of(&view, number).start)));
    assert_eq!(helped(&view, &all()), both, "helpers spread");
    let first = view.grid.pieces_of(view.orders[&peer(3)][0]);
    view.claimed(peer(3), &claim_at(first, 1, 4 * 1_024 * 1_024, false), at(0));
    assert_eq!(
        helped(&view, &all()),
        BTreeSet::from([Some(last_segment_of(&view, 2).start)]),
        "four times as fast"
    );
}

#[test]
fn home_4_who_is_behind_the_origin_leaves_no_segment_to_a_claim_once_nothing_else_is_left() {
    let mut view = home(1, 3);
    let [claimed, free] = [3, 5].map(|segment| view.grid.pieces_of(segment));
    view.claimed(peer(2), &wide_claim(claimed.clone(), 1), at(0));
    let mut open = PieceSet::of(claimed.clone());
    let mut chance = Chance::new([5; 32]);
    for (patience, taken) in
        [(Patience::Kept, None), (Patience::Over, None), (Patience::Lost, Some(claimed.clone()))]
    {
        view.set_patience(patience);
        assert_eq!(view.any_segment(&open, &mut chance), taken, "{patience:?}");
    }
    open.insert(free.clone());
    let all: Vec<_> = (0..60).map(|_| view.any_segment(&open, &mut chance)).collect();
    assert_eq!(all, vec![Some(free); 60]);
}

#[test]
fn home_4_a_last_claim_that_will_last_gets_one_more_claimant_from_its_other_end() {
    for from_back in [false, true] {
        let mut view = home(1, 3);
        let pieces = view.grid.pieces_of(3);
        view.claimed(peer(2), &claim_at(pieces.clone(), 1, SEGMENT_IN_2_S, from_back), at(0));
        assert_eq!(view.last_claim(&all(), at(0)), None, "it is there in two seconds");
        view.claimed(peer(2), &claim_at(pieces.clone(), 2, SEGMENT_IN_2_S - 1_024, from_back), at(0));
        assert_eq!(view.last_claim(&all(), at(0)), Some((pieces.clone(), !from_back)));
        let mut open = all();
        open.remove(pieces.start..pieces.start + 1);
        assert_eq!(view.last_claim(&open, at(0)), None, "what is left of it is there in two seconds");
        view.claimed(peer(3), &claim_at(pieces, 1, SEGMENT_IN_2_S - 1_024, !from_back), at(0));
        assert_eq!(view.last_claim(&all(), at(0)), None, "two are enough");
    }
}

/// The request of this node inside the second segment, while somebody fast or slow has it from the other end.
fn request_beside(from_back: bool, rate: u64, open: &PieceSet) -> Option<Range<u32>> {
    let mut view = home(1, 2);
    let pieces = view.grid.pieces_of(1);
    view.claimed(peer(2), &claim_at(pieces.clone(), 1, rate, !from_back), at(0));
    view.request(&OwnClaim { number: 1, pieces, from_back }, open, at(0))
}

/// A unit takes the other one two seconds, or a little longer.
const FAST: u64 = 128 * 1_024;
const SLOW: u64 = 127 * 1_024;

#[test]
fn home_4_two_claimants_of_a_segment_never_ask_for_the_same_unit_unless_one_is_slow() {
    let (start, end) = (SEGMENT, 2 * SEGMENT);
    // From the back: a unit at a time, down to the one that the other is on.
    assert_eq!(request_beside(true, FAST, &all()), Some(end - UNIT..end));
    let front = PieceSet::of(start + 1..start + UNIT + 2);
    assert_eq!(request_beside(true, FAST, &front), Some(start + UNIT..start + UNIT + 2));
    let unit = PieceSet::of(start + 1..start + UNIT);
    assert_eq!(request_beside(true, FAST, &unit), None, "the other brings the last one");
    assert_eq!(request_beside(true, SLOW, &unit), Some(start + 1..start + UNIT));
    // From the front: all at once, up to the one that the other is on.
    assert_eq!(request_beside(false, FAST, &all()), Some(start..end - UNIT));
    let back = PieceSet::of(end - UNIT - 2..end - 1);
    assert_eq!(request_beside(false, FAST, &back), Some(end - UNIT - 2..end - UNIT));
    let unit = PieceSet::of(end - UNIT..end - 1);
    assert_eq!(request_beside(false, FAST, &unit), None);
    assert_eq!(request_beside(false, SLOW, &unit), Some(end - UNIT..end - 1));
}

#[test]
fn a_request_from_the_back_is_one_run_of_what_is_open() {
    let view = home(1, 2);
    let own = OwnClaim { number: 1, pieces: view.grid.pieces_of(1), from_back: true };
    let mut open = PieceSet::of(SEGMENT..2 * SEGMENT);
    open.remove(2 * SEGMENT - 2..2 * SEGMENT - 1);
    assert_eq!(view.request(&own, &open, at(0)), Some(2 * SEGMENT - 1..2 * SEGMENT));
    open.remove(2 * SEGMENT - 1..2 * SEGMENT);
    assert_eq!(view.request(&own, &open, at(0)), Some(2 * SEGMENT - UNIT..2 * SEGMENT - 2));
    assert_eq!(view.request(&own, &PieceSet::of(0..SEGMENT), at(0)), None, "nothing outside of its claim");
    let from_front = OwnClaim { from_back: false, ..own };
    assert_eq!(view.request(&from_front, &PieceSet::of(2 * SEGMENT..3 * SEGMENT), at(0)), None);
}

#[test]
fn home_4_a_running_request_is_cut_where_another_claimant_is_and_after_its_unit_from_the_back() {
    let cut = |own_from_back, rate, position| {
        let mut view = home(1, 2);
        let pieces = view.grid.pieces_of(1);
        view.own = Some(OwnClaim { number: 1, pieces: pieces.clone(), from_back: own_from_back });
        view.claimed(peer(2), &claim_at(pieces, 1, rate, !own_from_back), at(0));
        view.cut(position, 2 * SEGMENT, &PieceSet::new(), &all(), at(0))
    };
    assert_eq!(cut(false, FAST, SEGMENT), Some(2 * SEGMENT - UNIT));
    assert_eq!(cut(false, SLOW, SEGMENT), None, "it would need longer than two seconds for that unit");
    assert_eq!(cut(false, FAST, 2 * SEGMENT - UNIT), None, "never inside the unit it is at");
    assert_eq!(cut(true, FAST, SEGMENT + UNIT + 1), Some(SEGMENT + 2 * UNIT));
    assert_eq!(cut(true, FAST, 2 * SEGMENT - UNIT), None);
}

#[test]
fn a_request_of_another_segment_is_not_cut_by_the_unit_of_a_claim_from_the_back() {
    let mut view = home(1, 2);
    view.own = Some(OwnClaim { number: 1, pieces: view.grid.pieces_of(1), from_back: true });
    assert_eq!(view.cut(0, SEGMENT, &PieceSet::new(), &all(), at(0)), None);
}

/// Four members of which all move at these rates, in pieces per quarter of a second, for so long.
fn moving(pieces: [u32; 3], ms: u64) -> Home {
    let mut view = home(1, 4);
    for step in 1..=ms / 250 {
        for (number, count) in (2..).zip(pieces) {
            view.progressed(peer(number), &(0..count), at(step * 250));
        }
    }
    view.judge(&all(), at(ms));
    view
}

#[test]
fn home_4_who_gives_less_than_a_fifth_of_what_is_usual_is_left_out_for_thirty_seconds() {
    let is_fetcher = |view: &Home| view.fetchers().contains(&peer(4));
    assert!(is_fetcher(&moving([10, 10, 1], 5_750)), "it is given six seconds");
    assert!(is_fetcher(&moving([10, 10, 2], 6_000)), "a fifth is enough");
    let mut view = moving([10, 10, 1], 6_000);
    assert!(!is_fetcher(&view) && view.fetchers().len() == 3);
    view.rank(at(6_000 + 29_999));
    assert!(!is_fetcher(&view));
    view.rank(at(6_000 + 30_000));
    assert!(is_fetcher(&view));
}

#[test]
fn home_4_of_two_others_the_far_slower_one_is_left_out_too() {
    let mut view = home(1, 3);
    for step in 1..=24 {
        view.progressed(peer(2), &(0..10), at(step * 250));
        view.progressed(peer(3), &(0..1), at(step * 250));
    }
    view.judge(&all(), at(6_000));
    assert!(view.fetchers().contains(&peer(2)) && !view.fetchers().contains(&peer(3)));
}

#[test]
fn home_4_a_home_with_nothing_left_to_fetch_is_not_left_out() {
    let mut view = home(1, 2);
    view.judge(&PieceSet::of(last_segment_of(&view, 1)), at(10_000));
    assert!(view.fetchers().contains(&peer(2)));
    view.judge(&PieceSet::of(last_segment_of(&view, 2)), at(10_000));
    assert!(!view.fetchers().contains(&peer(2)));
}

/// A node that is no fetcher of twenty, and has seen so many of the eight fail.
fn seen_failing(count: usize) -> Home {
    let me = (1..=20).find(|me| !home(*me, 20).may_fetch()).expect("twelve of twenty");
    let mut view = home(me, 20);
    let moving: Vec<PeerId> = view.fetchers().iter().skip(count).copied().collect();
    moving.into_iter().for_each(|member| view.progressed(member, &(0..1), at(3_000)));
    view.judge(&all(), at(3_100));
    assert_eq!(view.failed.len(), count);
    view
}

#[test]
fn home_4_half_of_the_homes_may_fail_before_others_ask_the_origin() {
    assert!(!seen_failing(4).may_fetch());
    assert!(seen_failing(5).may_fetch());
    let mut view = seen_failing(5);
    let back = *view.failed.first().expect("five");
    view.progressed(back, &(0..1), at(3_200));
    assert!(!view.may_fetch(), "one of them brings something");
}

#[test]
fn home_4_one_or_two_that_fail_are_no_reason_to_ask_the_origin() {
    let mut view = home(1, 3);
    view.set_fetches(false, at(0));
    view.judge(&all(), at(3_100));
    assert!(view.failed.len() == 2 && view.fetchers().len() == 2 && !view.may_fetch(), "{:?}", view.failed);
}

#[test]
fn home_1_of_strangers_sixty_four_count_and_of_members_of_the_group_all() {
    let mut view = home(1, 1);
    for number in 100..110 {
        assert!(view.joined_kin(peer(number), true, at(0)));
    }
    let joined = (2..90).filter(|number| view.joined(peer(*number), true, at(0))).count();
    assert_eq!((joined, view.others().count()), (MEMBERS_MAX, MEMBERS_MAX + 10));
    assert!(view.joined_kin(peer(120), true, at(0)));
    view.left(peer(2), at(0));
    assert!(view.joined(peer(90), true, at(0)), "there is room again");
}

#[test]
fn a_member_that_says_it_cannot_fetch_loses_its_claim_and_one_that_can_keeps_it() {
    let mut view = home(1, 2);
    view.claimed(peer(2), &wide_claim(view.grid.pieces_of(1), 1), at(0));
    assert!(!view.joined(peer(2), true, at(0)), "it is known");
    assert!(view.is_claimed(&view.grid.pieces_of(1)));
    view.joined(peer(2), false, at(0));
    assert!(!view.is_claimed(&view.grid.pieces_of(1)));
}

#[test]
fn a_claim_with_an_older_number_does_not_take_the_place_of_a_newer_one() {
    let mut view = home(1, 2);
    let [first, second] = [1, 2].map(|segment| view.grid.pieces_of(segment));
    view.claimed(peer(2), &wide_claim(second.clone(), 2), at(0));
    view.claimed(peer(2), &wide_claim(first.clone(), 2), at(0));
    view.claimed(peer(2), &wide_claim(first.clone(), 1), at(0));
    assert!(view.is_claimed(&second) && !view.is_claimed(&first));
}

#[test]
fn own_claims_are_numbered_upwards_with_one_that_was_taken_over() {
    let mut view = home(1, 2);
    let (mut open, mut chance) = (all(), Chance::new([1; 32]));
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let claim = view.next(&open, at(0), &mut chance).expect("it is a home").claim.expect("a new one");
        numbers.push(claim.number);
        open.remove(claim.pieces);
    }
    view.take_over(0..SEGMENT);
    numbers.push(view.own().expect("just taken").number);
    let mut open = all();
    open.remove(0..SEGMENT);
    let next = view.next(&open, at(0), &mut chance).expect("it is a home").claim.expect("a new one");
    numbers.push(next.number);
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn home_3_a_claim_may_take_four_times_as_long_as_its_unit_and_eight_times_as_long_as_it_should() {
    // At 64 KiB a second a unit takes four seconds and a segment sixteen.
    let (pieces, rate) = (geometry().piece_count() - SEGMENT..geometry().piece_count(), 64 * 1_024);
    let after = |ms: u64, moves: bool| {
        let mut view = home(1, 2);
        view.claimed(peer(2), &claim_at(pieces.clone(), 1, rate, false), at(0));
        view.members.get_mut(&peer(2)).expect("there").fetcher_since = None;
        if moves {
            view.claims.get_mut(&peer(2)).expect("claimed").came(&pieces, at(ms - 1));
        }
        view.void_claims(&all(), at(ms));
        view.is_claimed(&pieces)
    };
    assert!(after(15_999, false) && !after(16_000, false), "it stalls");
    assert!(after(127_999, true) && !after(128_000, true), "it moves and is too old");
}

#[test]
fn who_is_there_and_who_of_them_is_of_the_group() {
    let mut view = home(1, 1);
    assert!(!view.has_company() && !view.has_kin());
    assert!(!view.is_member(peer(1)) && !view.is_member(peer(2)));
    view.joined(peer(2), true, at(0));
    assert!(view.has_company() && view.is_member(peer(2)) && !view.is_member(peer(1)) && !view.has_kin());
    view.joined_kin(peer(3), true, at(0));
    assert!(view.has_kin() && view.is_kin(peer(3)) && !view.is_kin(peer(2)));
}

#[test]
fn home_2_of_two_that_began_at_the_same_end_the_lighter_one_turns_in_every_segment() {
    let turns = |segment: u32, from_back: bool, third: Option<bool>| {
        let mut view = home(1, 3);
        let pieces = view.grid.pieces_of(segment);
        view.take_over(pieces.clone());
        view.own.as_mut().expect("just taken").from_back = from_back;
        if let Some(from_back) = third {
            view.claimed(peer(3), &claim_at(pieces.clone(), 1, 0, from_back), at(0));
        }
        view.claimed(peer(2), &claim_at(pieces, 1, 0, from_back), at(0));
        view.own().expect("its own").from_back != from_back
    };
    for segment in 0..geometry().piece_count() / SEGMENT {
        let is_lighter = key().weight(peer(1), segment) < key().weight(peer(2), segment);
        assert_eq!(turns(segment, false, None), is_lighter, "segment {segment}, both at the front");
        assert_eq!(turns(segment, true, None), is_lighter, "segment {segment}, both at the back");
        assert!(!turns(segment, true, Some(false)), "segment {segment}: a third is at the front already");
    }
}

#[test]
fn claims_of_neighbouring_segments_have_nothing_to_do_with_each_other() {
    let mut view = home(1, 2);
    let [before, pieces, after] = [1, 2, 3].map(|segment| view.grid.pieces_of(segment));
    view.claimed(peer(2), &claim_at(pieces.clone(), 1, FAST, true), at(0));
    assert!(view.is_claimed(&pieces) && !view.is_claimed(&before) && !view.is_claimed(&after));
    for other in [before, after] {
        let own = OwnClaim { number: 1, pieces: other.clone(), from_back: false };
        assert_eq!(view.request(&own, &all(), at(0)), Some(other));
    }
}

#[test]
fn a_claim_goes_on_where_it_was_and_is_not_told_again() {
    let mut view = home(1, 2);
    let (mut open, mut chance) = (all(), Chance::new([1; 32]));
    let segment = view.next(&open, at(0), &mut chance).expect("it is a home").pieces;
    open.remove(segment.start..segment.start + 5);
    let work = view.next(&open, at(0), &mut chance).expect("the rest");
    assert_eq!((work.pieces, work.claim), (segment.start + 5..segment.end, None));
}

#[test]
fn home_4_whoever_is_impatient_takes_only_what_nobody_claims() {
    let mut view = seen_failing(5);
    let free = view.grid.pieces_of(9);
    let mut open = PieceSet::of(view.grid.pieces_of(5));
    open.insert(free.clone());
    let author = *view.fetchers().last().expect("eight");
    view.claimed(author, &wide_claim(view.grid.pieces_of(5), 1), at(3_100));
    for seed in 0..20 {
        assert_eq!(view.any_segment(&open, &mut Chance::new([seed; 32])), Some(free.clone()));
    }
}

#[test]
fn home_4_a_home_fails_after_three_seconds_and_three_that_fail_are_enough() {
    let mut view = home(1, 4);
    view.set_fetches(false, at(0));
    view.judge(&all(), at(2_999));
    assert!(view.failed.is_empty() && !view.may_fetch());
    view.judge(&all(), at(3_000));
    assert_eq!((view.failed.len(), view.may_fetch()), (3, true));
}

#[test]
fn home_4_one_with_nothing_to_do_helps_in_three_of_ten_looks_and_looks_again_in_50_ms_or_so() {
    let mut view = home(1, 2);
    view.set_own_rate(SEGMENT_IN_2_S / 2);
    let open = PieceSet::of(last_segment_of(&view, 2));
    let tried: Vec<(Home, Option<Work>)> = (0..200)
        .map(|seed| {
            let mut view = view.clone();
            let work = view.next(&open, at(0), &mut Chance::new([seed; 32]));
            (view, work)
        })
        .collect();
    let helps = tried.iter().filter(|(_, work)| work.is_some()).count();
    assert!((40..80).contains(&helps), "{helps} of 200");
    let pauses: Vec<u64> = tried.iter().map(|(view, _)| view.idle_until.as_micros() / 1_000).collect();
    let (shortest, longest) = (pauses.iter().min().expect("many"), pauses.iter().max().expect("many"));
    assert!((40..43).contains(shortest) && (57..60).contains(longest), "{shortest} to {longest} ms");
    for (mut view, _) in tried.into_iter().filter(|(_, work)| work.is_none()) {
        let again = (0..20).find_map(|seed| view.next(&open, at(39), &mut Chance::new([seed; 32])));
        assert_eq!(again, None, "not before its time");
    }
}

#[test]
fn a_home_wants_to_be_looked_at_when_somebody_comes_back_and_three_times_while_a_claim_stalls() {
    let view = home(1, 4);
    assert_eq!(view.wake(at(0)), at(750));
    let view = moving([10, 10, 1], 6_000);
    assert_eq!(view.wake(at(35_900)), at(36_000), "the one that was too slow");
    assert_eq!(view.wake(at(36_000)), at(36_750));
}

#[test]
fn home_4_whoever_gets_what_the_site_has_too_slowly_fetches_what_nobody_claims_until_it_comes() {
    let me = (1..=20).find(|me| !home(*me, 20).may_fetch()).expect("twelve of twenty");
    let mut view = home(me, 20);
    let mut chance = Chance::new([3; 32]);
    let claimed = view.grid.pieces_of(5);
    let fetcher = view.fetchers()[0];
    view.claimed(fetcher, &wide_claim(claimed.clone(), 1), at(0));
    assert_eq!(view.next(&all(), at(0), &mut chance), None, "it leaves the origin to the fetchers");
    view.set_patience(Patience::Over);
    let mut open = all();
    let first = view.next(&open, at(0), &mut chance).expect("it may").claim.expect("a new one").pieces;
    assert!(!overlap(&first, &claimed), "{first:?}");
    view.set_patience(Patience::Kept);
    let rest = view.next(&open, at(0), &mut chance).expect("what it claimed");
    assert_eq!((rest.pieces, rest.claim), (first.clone(), None));
    open.remove(first);
    assert_eq!(view.next(&open, at(0), &mut chance), None);
}

#[test]
fn home_3_what_a_member_claimed_before_is_left_to_it_for_a_second_while_it_is_on_its_way() {
    let mut view = home(1, 3);
    let [first, second] = [0, 1].map(|at| view.grid.pieces_of(view.orders[&peer(1)][at]));
    assert_eq!(view.own_segment(&all()), Some(first.clone()));
    view.claimed(peer(2), &wide_claim(first.clone(), 1), at(0));
    view.claimed(peer(2), &wide_claim(last_segment_of(&view, 2), 2), at(10));
    view.judge(&all(), at(1_009));
    assert_eq!(view.own_segment(&all()), Some(second.clone()), "the last pieces of it are coming");
    view.judge(&all(), at(1_010));
    assert_eq!(view.own_segment(&all()), Some(first), "they are not");
}

#[test]
fn home_3_what_arrives_of_an_earlier_claim_keeps_the_later_ones() {
    let claims_at = |came: Option<(u32, u64)>, ms: u64| {
        let mut view = home(1, 4);
        for (number, at_ms) in [(1, 0), (2, 1_000), (3, 2_000)] {
            view.claimed(peer(2), &wide_claim(view.grid.pieces_of(number), number), at(at_ms));
        }
        if let Some((number, at_ms)) = came {
            let first = view.grid.pieces_of(number).start;
            view.claims.get_mut(&peer(2)).expect("claimed").came(&(first..first + 1), at(at_ms));
        }
        view.judge(&all(), at(ms));
        view.claims.contains_key(&peer(2))
    };
    assert!(claims_at(None, 2_999) && !claims_at(None, 3_000), "as old as the first");
    assert!(
        claims_at(Some((1, 2_500)), 3_999) && !claims_at(Some((1, 2_500)), 4_000),
        "as old as the second"
    );
    assert!(claims_at(Some((2, 2_500)), 4_999) && !claims_at(Some((2, 2_500)), 5_000), "as old as the third");
    assert!(claims_at(Some((3, 2_500)), 5_499) && !claims_at(Some((3, 2_500)), 5_500), "it moved");
    assert!(!claims_at(Some((0, 2_500)), 3_000), "of what it did not claim something may come all day");
    let mut view = home(1, 4);
    let [first, second] = [1, 2].map(|segment| view.grid.pieces_of(segment));
    view.claimed(peer(2), &wide_claim(first.clone(), 1), at(0));
    view.claimed(peer(2), &wide_claim(second, 2), at(1_000));
    view.progressed(peer(2), &first, at(2_500));
    view.judge(&all(), at(3_500));
    assert!(view.claims.contains_key(&peer(2)), "what was stated and is here counts");
}

#[test]
fn home_4_a_fetcher_with_two_connections_asks_for_its_segment_in_two_parts() {
    let mut view = home(1, 2);
    let mut chance = Chance::new([7; 32]);
    let mut open = all();
    view.set_connections(2);
    let first = view.next(&open, at(0), &mut chance).expect("it is a home");
    let segment = first.claim.expect("a new claim").pieces;
    assert_eq!(first.pieces, segment.start..segment.start + SEGMENT / 2);
    open.remove(first.pieces);
    let second = view.next(&open, at(0), &mut chance).expect("the other half");
    assert_eq!((second.pieces, second.claim), (segment.start + SEGMENT / 2..segment.end, None));
    view.set_connections(3);
    let mut open = all();
    let third = view.next(&open, at(0), &mut chance).expect("a part of it");
    assert_eq!(third.pieces.end - third.pieces.start, 2 * UNIT, "whole units");
    open.remove(segment.clone());
    let next = view.next(&open, at(0), &mut chance).expect("the next one").claim.expect("a new one");
    let told: Vec<Range<u32>> = view.own_claims().map(|claim| claim.pieces.clone()).collect();
    assert_eq!(told, [segment, next.pieces], "newcomers hear of what may be on its way");
}

#[test]
fn home_4_the_sum_of_a_site_is_what_all_of_it_read_of_late() {
    let mut view = home(1, 3);
    assert_eq!(view.sum(Duration::from_secs(1), at(0)), 0);
    view.progressed(peer(2), &(0..4), at(100));
    view.progressed(peer(3), &(16..20), at(900));
    view.read(&(32..40), at(1_000));
    assert_eq!(view.sum(Duration::from_secs(1), at(1_100)), 16 * 65_536);
    assert_eq!(view.sum(Duration::from_secs(1), at(1_101)), 12 * 65_536);
    assert_eq!(view.sum(Duration::from_secs(2), at(1_101)), 8 * 65_536);
    let readers = [1_101, 8_100, 8_101, 9_001].map(|ms| view.readers(at(ms)));
    assert_eq!(readers, [3, 3, 2, 1], "whoever read nothing for eight seconds does not read");
}

#[test]
fn home_3_on_a_line_on_which_a_piece_takes_seconds_a_claim_stalls_after_three_pieces() {
    let mut view = home(1, 2);
    for (rate, stalls_after_ms) in [(0, 3_000), (65_536, 3_000), (32_768, 6_000), (1_024, 30_000)] {
        view.set_own_rate(rate);
        assert_eq!(view.stalls_after(at(0)), Duration::from_millis(stalls_after_ms), "{rate} bytes/s");
    }
}

#[test]
fn home_4_a_unit_is_fetched_twice_only_by_who_is_twice_as_fast() {
    let mut view = home(1, 2);
    let needed = |ms: u64| Duration::from_millis(ms);
    view.set_own_rate(256 * 1_024 / 4);
    assert!(!view.is_worth_twice(needed(8_000)) && view.is_worth_twice(needed(8_001)), "four seconds here");
    view.set_own_rate(10_000_000);
    assert!(!view.is_worth_twice(needed(2_000)) && view.is_worth_twice(needed(2_001)), "no time here");
}

/// The view of one who reads nothing, of three who claim a segment each and of whom one has read so much by the second second.
fn watched(read: u64) -> Home {
    let mut view = home(1, 4);
    for number in 2..=4 {
        view.claimed(peer(number), &wide_claim(view.grid.pieces_of(u32::from(number)), 1), at(0));
    }
    let pieces = u32::try_from(read / 65_536).expect("few");
    view.progressed(peer(2), &(2 * SEGMENT..2 * SEGMENT + pieces), at(2_000));
    view
}

#[test]
fn home_4_who_reads_nothing_takes_those_who_claim_to_share_what_comes_of_them_all() {
    // A piece takes each of three two seconds, where all of them together get 96 KiB in one.
    for (read, stalls_after_ms) in [(3 * 65_536, 6_000), (6 * 65_536, 3_000), (65_536, 18_000), (0, 3_000)] {
        let view = watched(read);
        assert_eq!(view.stalls_after(at(2_000)), Duration::from_millis(stalls_after_ms), "{read} bytes");
    }
}

#[test]
fn home_4_on_a_narrow_line_who_claims_is_left_alone_until_nobody_has_read_anything_for_eight_seconds() {
    for (now_ms, fail) in [(4_000, 0), (10_000, 0), (10_001, 3)] {
        let mut view = watched(3 * 65_536);
        view.claims.values_mut().for_each(|claim| claim.rate = 0);
        view.judge(&all(), at(now_ms));
        assert_eq!(view.failed.len(), fail, "{now_ms} ms");
    }
}
