//! Lists that peers stated: which is followed, how they are audited, what is in conflict.
//!
//! Knows: the rules by their ids. Does not know: who reads what is drawn.

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
    let found =
        |among: std::ops::Range<u32>| Claims::differing(&list, |_| Some(Hash([1; 32])), &PieceSet::of(among));
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

#[test]
fn claim_5_a_small_file_has_no_audit_and_of_a_larger_one_half_a_percent_is_drawn_exactly() {
    let mut chance = Chance::new([3; 32]);
    let mut drawn =
        |count| -> BTreeSet<u32> { (0..2_000).map(|_| audit_budget(count, 0, &mut chance)).collect() };
    assert_eq!(drawn(AUDITED_FROM - 1), BTreeSet::from([0]));
    assert_eq!(
        drawn(AUDITED_FROM),
        BTreeSet::from([AUDITED_FROM / AUDIT_SHARE, AUDITED_FROM / AUDIT_SHARE + 1])
    );
    assert_eq!(drawn(5 * AUDIT_SHARE), BTreeSet::from([5]), "there is nothing to round");
}

#[test]
fn claim_5_a_piece_is_drawn_once_and_no_more_are_than_are_missing() {
    let mut claims = claims(&[(list(None), 1)]);
    claims.choose();
    let (mut chance, now) = (Chance::new([1; 32]), Instant::from_micros(1));
    for at in [now, now.after(AUDIT_GROWS_AFTER)] {
        claims.draw_audit(PieceSet::of(3..5), 0, &mut chance, at);
    }
    let drawn: BTreeSet<u32> = claims.hints[0].audit.pieces.iter().copied().collect();
    assert_eq!((drawn.len(), claims.hints[0].audit.pieces.len() <= 3), (2, true), "{drawn:?}");
}

#[test]
fn claim_5_and_claim_13_on_trial_nothing_is_taken_unaudited_and_each_audit_is_answered_first() {
    let mut claims = claims(&[(list(None), 1)]);
    let content = list(None).content();
    let room = |claims: &Claims| claims.unaudited_room(content, 3);
    assert_eq!(room(&claims), 16 - 3, "1 MiB of pieces of 64 KiB");
    claims.hints[0].audit.trial = Trial::Open(2);
    claims.hints[0].audit.pieces = vec![4, 5];
    for room_left in [0, u32::MAX] {
        assert_eq!(room(&claims), 0);
        let piece = if room_left == 0 { 4 } else { 5 };
        assert_eq!(claims.compare(piece, Hash([1; 32])), []);
        assert_eq!(room(&claims), room_left, "after piece {piece}");
    }
}

#[test]
fn claim_4_of_contents_that_failed_64_are_remembered() {
    let mut claims = Claims::default();
    for len in 1..=70 {
        claims.drop_content(ContentId { root: Hash([1; 32]), len });
    }
    assert_eq!(claims.dropped.len(), 64);
}

#[test]
fn claim_10_step_3_a_list_is_put_on_trial_once_over_three_pieces_and_wins_it_once() {
    let mut claims = claims(&[(list(None), 1)]);
    let mut chance = Chance::new([2; 32]);
    assert!(!claims.owes_trial() && !claims.is_on_trial(), "none is followed");
    claims.choose();
    assert!(claims.owes_trial() && !claims.is_on_trial() && claims.trial_won().is_none());
    claims.draw_trial(PieceSet::of(10..15), &mut chance);
    let hint = &claims.hints[0];
    let drawn: BTreeSet<u32> = hint.audit.pieces.iter().copied().collect();
    assert_eq!((drawn.len(), hint.audit.trial, hint.cleared), (3, Trial::Open(3), false));
    assert!(drawn.iter().all(|piece| (10..15).contains(piece)), "{drawn:?}");
    assert!(claims.is_on_trial() && !claims.owes_trial() && claims.trial_won().is_none());
    for piece in drawn {
        assert_eq!(claims.compare(piece, Hash([1; 32])), []);
    }
    assert!(!claims.is_on_trial());
    assert!(claims.trial_won().is_some() && claims.trial_won().is_none());
    assert!(!claims.owes_trial());
}

#[test]
fn claim_10_step_3_of_two_pieces_both_speak_of_none_nobody_need_and_a_refuted_list_has_no_trial() {
    let mut chance = Chance::new([2; 32]);
    for (differing, wanted) in [(3..5, 2), (3..3, 0)] {
        let mut claims = claims(&[(list(None), 1)]);
        claims.choose();
        claims.draw_trial(PieceSet::of(differing), &mut chance);
        let hint = &claims.hints[0];
        assert_eq!((hint.audit.trial, hint.cleared), (Trial::Open(wanted), wanted == 0));
    }
    let mut claims = claims(&[(list(None), 1)]);
    claims.choose();
    claims.hints[0].refuted = true;
    assert!(!claims.owes_trial());
}
