//! How much is looked at, kept and said at a time.

use peer_proto::group::GroupId;
use peer_proto::sign::Signer;

use super::*;

const PACE: Pace = Pace { per_second: 100, at_once: 20 };

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn taken(budget: &mut Budget, ms: u64) -> usize {
    (0..1_000).take_while(|_| budget.take(PACE, at(ms))).count()
}

#[test]
fn a_budget_fills_up_by_the_second_and_never_beyond_what_may_come_at_once() {
    let mut budget = Budget::full(PACE, at(0));
    assert_eq!(taken(&mut budget, 0), 20);
    assert_eq!(taken(&mut budget, 9), 0, "the next one is due after 10 ms");
    assert_eq!(taken(&mut budget, 10), 1);
    assert_eq!(taken(&mut budget, 110), 10);
    assert_eq!(taken(&mut budget, 60_000), 20);
}

#[test]
fn a_budget_that_is_asked_all_the_time_fills_up_all_the_same() {
    let mut budget = Budget::full(PACE, at(0));
    let count = (0..10_000).filter(|ms| budget.take(PACE, at(*ms))).count();
    assert_eq!(count, 20 + 999, "ten seconds, less the tenth that is not over");
}

fn record(author: u8, number: u64, said: Said) -> Record {
    let signer = Signer::of(&[author; 32]);
    let swarm = ContentId { root: Hash([1; 32]), len: 1 << 30 };
    let head = RecordHead { group: GroupId::of(&[9; 32]), author: signer.peer(), number, swarm };
    Record::sign(&signer, head, said).expect("it may be said")
}

fn pieces(author: u8, number: u64) -> Record {
    record(author, number, Said::Pieces { first: 0, values: vec![Hash([author; 32]); 64] })
}

fn circle() -> Circle {
    Circle::new(PeerId::from_public_key([1; 32]))
}

#[test]
fn of_one_author_half_a_megabyte_is_kept_for_newcomers_and_of_all_four_megabytes() {
    let len = pieces(2, 1).bytes().len();
    let mut circle = circle();
    for author in 2..20_u8 {
        for number in 0..u64::try_from(KEPT_OF_ONE_MAX / len + 3).expect("few") {
            circle.keep(&pieces(author, number), at(0));
        }
    }
    let first = PeerId::from_public_key(Signer::of(&[2; 32]).public_key());
    assert_eq!(circle.pieces.keys().filter(|(author, _)| *author == first).count(), KEPT_OF_ONE_MAX / len);
    let kept: usize = circle.pieces.values().map(|record| record.bytes().len()).sum();
    assert!(kept <= KEPT_MAX && kept + len > KEPT_MAX - 8 * len, "{kept} bytes");
    assert_eq!(kept, circle.kept.values().sum::<usize>());
    let before = circle.kept.clone();
    circle.keep(&pieces(2, 0), at(0));
    assert_eq!(circle.kept, before, "what is kept is not counted twice");
}

#[test]
fn the_order_in_which_records_of_one_author_leave_is_who_what_and_that_it_goes() {
    let segment = Said::Segment { number: 1, pieces: 0..4, from_back: false, rate_kib: 1 };
    let said = [(9, Said::Leave), (7, segment)];
    let mut queue: BTreeMap<Place, Record> = said
        .into_iter()
        .map(|(number, said)| record(2, number, said))
        .map(|it| (place_of(&it), it))
        .collect();
    for number in [8, 6] {
        let one = pieces(2, number);
        queue.insert(place_of(&one), one);
    }
    let numbers: Vec<u64> = queue.values().map(|record| record.head().number).collect();
    assert_eq!(numbers, [6, 8, 7, 9]);
}

#[test]
fn a_tick_takes_as_many_records_as_fit_and_the_next_one_waits() {
    let len = pieces(2, 0).bytes().len();
    let fit = u64::try_from(TICK_LEN_MAX / len).expect("few");
    let queue = |count: u64| -> BTreeMap<Place, Record> {
        (0..count).map(|number| pieces(2, number)).map(|it| (place_of(&it), it)).collect()
    };
    assert_eq!(too_much(&queue(fit)), None);
    assert_eq!(too_much(&queue(fit + 3)), Some(place_of(&pieces(2, fit))));
}

#[test]
fn a_word_counts_for_thirty_seconds_and_a_newcomer_is_told_of_it_for_fifteen() {
    let mut circle = circle();
    circle.keep(&pieces(2, 1), at(0));
    let said = record(2, 2, Said::Segment { number: 1, pieces: 0..4, from_back: false, rate_kib: 1 });
    circle.keep(&said, at(0));
    let author = said.head().author;
    circle.heard.insert(author, (at(0), pieces(2, 3)));
    assert_eq!((circle.all(at(14_999)).len(), circle.all(at(15_000)).len()), (3, 2));
    assert_eq!(circle.expire(at(29_999)), []);
    assert!(!circle.is_news(&record(
        2,
        2,
        Said::Segment { number: 1, pieces: 0..4, from_back: false, rate_kib: 1 }
    )));
    assert_eq!(circle.expire(at(30_000)), [author]);
    assert_eq!((circle.heard.len(), circle.segments.len(), circle.pieces.len()), (0, 0, 1));
}

#[test]
fn home_1_a_neighbour_that_went_is_no_neighbour_and_known_still_if_others_told_of_it() {
    let mut circle = circle();
    let [told, untold] = [2, 3].map(|number| Signer::of(&[number; 32]).peer());
    circle.heard.insert(told, (at(0), pieces(2, 1)));
    for peer in [told, untold] {
        circle.near.insert((mixed(circle.me, peer), peer));
    }
    assert_eq!((circle.went(told), circle.has_neighbours(), circle.went(untold)), (true, true, false));
    assert!(!circle.has_neighbours());
}

#[test]
fn home_1_of_4096_authors_each_is_heard_and_one_more_is_not() {
    let mut circle = circle();
    let author = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        PeerId::from_public_key(key)
    };
    circle.seen = (1..AUTHORS_MAX).map(|number| (author(number), Seen::default())).collect();
    assert!(circle.is_news(&pieces(2, 1)));
    circle.seen.insert(author(AUTHORS_MAX), Seen::default());
    assert!(!circle.is_news(&pieces(2, 1)));
}
