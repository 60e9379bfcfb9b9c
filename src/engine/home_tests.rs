//! Homes among several nodes, each with its own view, without an engine around them.

use peer_proto::digest::{Algorithm, Digest};
use peer_proto::wire::SegmentClaim;

use super::*;

pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

pub(super) fn peer(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

pub(super) fn key() -> HomeKey {
    HomeKey::of(&Digest::new(Algorithm::Sha256, vec![7; 32]).expect("32 bytes"))
}

pub(super) fn geometry() -> Geometry {
    Geometry::of(64 * MIB).expect("short")
}

/// The view of one of so many members.
pub(super) fn home(me: u8, members: u8) -> Home {
    let mut home = Home::new(key(), peer(me), &geometry(), true, at(0));
    for number in 1..=members {
        if number != me {
            assert!(home.joined(peer(number), true, at(0)));
        }
    }
    home
}

pub(super) fn all() -> PieceSet {
    PieceSet::of(0..geometry().piece_count())
}

fn told(work: &Work) -> SegmentClaim {
    let claim = work.claim.as_ref().expect("a new claim");
    SegmentClaim {
        swarm: peer_proto::content::ContentId { root: peer_proto::content::Hash([0; 32]), len: 64 * MIB },
        number: claim.number,
        pieces: claim.pieces.clone(),
        from_back: claim.from_back,
        rate_kib: 1_000,
    }
}

#[test]
fn home_1_all_views_agree_on_eight_fetchers_and_every_segment_has_one_home() {
    let views: Vec<Home> = (1..=20).map(|me| home(me, 20)).collect();
    let first = &views[0];
    assert_eq!(first.fetchers().len(), FETCHERS);
    assert!(views.iter().all(|view| view.fetchers() == first.fetchers() && view.orders == first.orders));
    let mut segments: Vec<u32> = first.orders.values().flatten().copied().collect();
    segments.sort_unstable();
    assert_eq!(segments, (0..first.grid.segments()).collect::<Vec<_>>());
    let fetching = views.iter().filter(|view| view.may_fetch()).count();
    assert_eq!(fetching, FETCHERS, "the others leave the origin alone");
}

#[test]
fn members_that_cannot_fetch_are_no_homes() {
    let mut view = home(1, 4);
    view.joined(peer(2), false, at(1));
    view.set_fetches(false, at(1));
    assert_eq!(view.fetchers().len(), 2);
    assert!(!view.fetchers().contains(&peer(1)) && !view.fetchers().contains(&peer(2)));
    assert_eq!(view.next(&all(), at(1), &mut Chance::new([1; 32])), None);
}

#[test]
fn where_nobody_fetches_for_others_everybody_fetches() {
    let mut view = home(1, 2);
    view.joined(peer(2), false, at(1));
    view.set_fetches(false, at(1));
    assert!(view.may_fetch() && view.next(&all(), at(1), &mut Chance::new([1; 32])).is_some());
}

/// A claim of these pieces, as its author may tell it.
pub(super) fn wide_claim(pieces: Range<u32>, number: u32) -> SegmentClaim {
    let swarm = peer_proto::content::ContentId { root: peer_proto::content::Hash([0; 32]), len: 64 * MIB };
    SegmentClaim { swarm, number, pieces, from_back: false, rate_kib: u32::MAX }
}

/// Whether somebody's claim keeps this node from a piece.
fn is_kept_from(view: &Home, piece: u32) -> bool {
    view.is_claimed(&(piece..piece + 1))
}

#[test]
fn home_3_a_claim_of_more_than_a_segment_counts_for_nothing() {
    let mut view = home(1, 4);
    view.claimed(peer(2), &wide_claim(0..geometry().piece_count(), 1), at(0));
    assert!(!is_kept_from(&view, 0) && !is_kept_from(&view, 500));
    view.claimed(peer(2), &wide_claim(view.grid.pieces_of(1), 2), at(0));
    assert!(is_kept_from(&view, view.grid.segment()));
}

#[test]
fn home_3_claims_that_follow_each_other_and_bring_nothing_are_void_like_one() {
    let mut view = home(1, 4);
    let claim = |view: &mut Home, number, ms| {
        let pieces = view.grid.pieces_of(number);
        view.claimed(peer(2), &wide_claim(pieces.clone(), number), at(ms));
        is_kept_from(view, pieces.start)
    };
    assert!(claim(&mut view, 1, 0) && claim(&mut view, 2, 1_000) && claim(&mut view, 3, 2_000));
    view.judge(&all(), at(3_500));
    assert!(!is_kept_from(&view, view.grid.pieces_of(3).start), "its first claim stalls since 3.5 s");
    assert!(claim(&mut view, 4, 4_000));
    view.judge(&all(), at(7_500));
    assert!(!claim(&mut view, 5, 8_000), "two of them brought nothing");
    let moved = view.grid.pieces_of(5);
    view.progressed(peer(2), &moved, at(38_000));
    assert!(claim(&mut view, 6, 38_100), "it moves again, and its time is over");
}

#[test]
fn home_2_claims_of_strangers_count_for_nothing_where_members_of_the_group_are() {
    let mut view = home(1, 4);
    view.joined_kin(peer(9), true, at(0));
    view.claimed(peer(2), &wide_claim(view.grid.pieces_of(1), 1), at(0));
    assert!(!is_kept_from(&view, view.grid.pieces_of(1).start));
    view.claimed(peer(9), &wide_claim(view.grid.pieces_of(2), 1), at(0));
    assert!(is_kept_from(&view, view.grid.pieces_of(2).start));
}

#[test]
fn fetchers_take_everything_once_without_a_word_but_their_claims() {
    let mut views: Vec<Home> = (1..=4).map(|me| home(me, 4)).collect();
    let mut open = all();
    let mut chance = Chance::new([3; 32]);
    let mut now = 0;
    while !open.is_empty() {
        now += 10;
        for at_view in 0..views.len() {
            let Some(work) = views[at_view].next(&open, at(now), &mut chance) else { continue };
            assert!(work.pieces.clone().all(|piece| open.contains(piece)), "nothing is fetched twice");
            if work.claim.is_some() {
                let me = views[at_view].me;
                let claim = told(&work);
                views.iter_mut().for_each(|view| view.claimed(me, &claim, at(now)));
            }
            open.remove(work.pieces.clone());
            let me = views[at_view].me;
            views.iter_mut().for_each(|view| view.progressed(me, &work.pieces, at(now)));
        }
        assert!(now < 10_000, "{} pieces are left", open.count());
    }
}

#[test]
fn home_3_a_claim_without_progress_is_void_after_3_s_and_its_author_left_out() {
    let mut view = home(1, 3);
    let open = all();
    let segment = view.orders[&peer(2)][0];
    let pieces = view.grid.pieces_of(segment);
    let claim = SegmentClaim { pieces: pieces.clone(), ..claim_of(&view, 1) };
    view.claimed(peer(2), &claim, at(0));
    view.progressed(peer(3), &view.grid.pieces_of(view.orders[&peer(3)][0]), at(2_500));
    view.judge(&open, at(2_900));
    assert!(view.is_claimed(&pieces) && view.fetchers().contains(&peer(2)));
    view.judge(&open, at(3_100));
    assert!(!view.is_claimed(&pieces));
    assert!(!view.fetchers().contains(&peer(2)));
    assert!(view.fetchers().contains(&peer(3)));
    // What it reads after all brings it back.
    view.progressed(peer(2), &(pieces.start..pieces.start + 1), at(3_200));
    assert!(view.fetchers().contains(&peer(2)));
}

#[test]
fn home_3_a_claim_too_old_is_void_whatever_it_says() {
    let mut view = home(1, 3);
    let (open, pieces) = (all(), view.grid.pieces_of(view.orders[&peer(2)][0]));
    let claim = SegmentClaim { pieces: pieces.clone(), ..claim_of(&view, 1) };
    view.claimed(peer(2), &claim, at(0));
    for second in 1..=200 {
        view.progressed(peer(2), &(pieces.start..pieces.start + 1), at(second * 1_000));
        view.progressed(peer(3), &view.grid.pieces_of(view.orders[&peer(3)][0]), at(second * 1_000));
        view.judge(&open, at(second * 1_000));
    }
    assert!(!view.is_claimed(&pieces), "64 KiB a second for a segment of a mebibyte");
    assert!(!view.fetchers().contains(&peer(2)));
}

#[test]
fn a_done_claim_is_no_failure() {
    let mut view = home(1, 3);
    let pieces = view.grid.pieces_of(view.orders[&peer(2)][0]);
    let claim = SegmentClaim { pieces: pieces.clone(), ..claim_of(&view, 1) };
    view.claimed(peer(2), &claim, at(0));
    view.judge(&PieceSet::new(), at(60_000));
    assert_eq!(view.fetchers().len(), 3);
    assert!(view.failed.is_empty());
}

#[test]
fn home_4_whoever_sees_most_homes_fail_fetches_itself() {
    // Somebody who is no fetcher.
    let me = (1..=20).find(|me| !home(*me, 20).may_fetch()).expect("twelve of twenty");
    let mut view = home(me, 20);
    view.judge(&all(), at(3_100));
    assert!(view.may_fetch(), "eight stalled: {:?}", view.failed);
    assert!(view.next(&all(), at(3_100), &mut Chance::new([1; 32])).is_some());
}

#[test]
fn two_that_began_at_the_front_meet_in_the_middle() {
    let (mut one, mut two) = (home(1, 2), home(2, 2));
    let pieces = 0..4 * unit(one.grid);
    one.take_over(pieces.clone());
    two.take_over(pieces.clone());
    let claim =
        |view: &Home, number| SegmentClaim { pieces: pieces.clone(), number, ..claim_of(view, number) };
    let (of_one, of_two) = (claim(&one, 1), claim(&two, 1));
    one.claimed(peer(2), &of_two, at(0));
    two.claimed(peer(1), &of_one, at(0));
    let backs = [&one, &two].map(|view| view.own().expect("still its own").from_back);
    assert_ne!(backs[0], backs[1], "one of them turns");
}

#[test]
fn a_request_ends_before_what_others_have() {
    let view = home(1, 2);
    let unit = unit(view.grid);
    let mut site = PieceSet::new();
    site.insert(3 * unit..4 * unit);
    assert_eq!(view.cut(0, 8 * unit, &site, &all(), at(0)), Some(3 * unit));
    assert_eq!(view.cut(3 * unit + 1, 4 * unit, &site, &all(), at(0)), None, "never inside a unit");
    assert_eq!(view.cut(0, 2 * unit, &site, &all(), at(0)), None);
}

fn unit(grid: Grid) -> u32 {
    grid.unit_of(0).end
}

fn claim_of(view: &Home, number: u32) -> SegmentClaim {
    SegmentClaim {
        swarm: peer_proto::content::ContentId { root: peer_proto::content::Hash([0; 32]), len: 64 * MIB },
        number,
        pieces: view.grid.unit_of(0),
        from_back: false,
        rate_kib: 0,
    }
}

#[test]
fn home_2_where_members_of_the_group_are_present_strangers_hold_no_home() {
    let mut home = home(1, 12);
    assert!(home.fetchers().contains(&peer(2)) || home.fetchers().contains(&peer(3)), "strangers among them");
    for number in 100..103 {
        assert!(home.joined_kin(peer(number), true, at(0)));
    }
    let mut fetchers = home.fetchers().to_vec();
    fetchers.sort_unstable();
    assert_eq!(fetchers, [peer(1), peer(100), peer(101), peer(102)]);
    assert!(!home.joined_kin(peer(100), false, at(0)), "known");
    assert!(!home.fetchers().contains(&peer(100)));
    for number in 100..103 {
        home.left(peer(number), at(0));
    }
    assert_eq!(home.fetchers().len(), FETCHERS, "strangers count again");
}

#[test]
fn home_1_a_thousand_members_rank_alike_in_whatever_order_they_come() {
    let members: Vec<PeerId> = (0..1_000_u32)
        .map(|number| PeerId::from_public_key(*blake3::hash(&number.to_be_bytes()).as_bytes()))
        .collect();
    let view = |me: usize, order: &mut dyn Iterator<Item = &PeerId>| {
        let mut home = Home::new(key(), members[me], &geometry(), true, at(0));
        order.filter(|member| **member != members[me]).for_each(|member| {
            home.joined_kin(*member, true, at(0));
        });
        home
    };
    let (one, other) = (view(3, &mut members.iter()), view(700, &mut members.iter().rev()));
    assert_eq!((one.fetchers(), &one.orders), (other.fetchers(), &other.orders));
}
