//! Questions, answers, and what they tell.

use super::pair::*;
use crate::content::PieceIndex;
use crate::limits::{CONTENTS_PER_PEER_MAX, QUESTIONS_UNANSWERED_MAX, QUESTIONS_WAITING_MAX};
use crate::lookup::{lookup_id, verify_know_proof};
use crate::session::{Answer, ProtocolError, SessionEvent};
use crate::wire::{Find, Found, Frame, Have, HavePage, HaveSet, NumberedAnswer, PageBits, Question};

fn find(first: u32, count: usize) -> Frame {
    Frame::Find(Find { first, questions: vec![Question { id: [1; 32], proof: [2; 32] }; count] })
}

fn found(number: u32, answer: Answer) -> Frame {
    Frame::Found(Found { answers: vec![NumberedAnswer { number, answer }] })
}

fn here(number: u8, whole: bool) -> Answer {
    Answer::Here { content: content(number), whole, sealed: true }
}

/// How many questions each `Find` among the frames holds.
fn asked(frames: &[Frame]) -> Vec<usize> {
    let count = |frame: &Frame| match frame {
        Frame::Find(find) => Some(find.questions.len()),
        _ => None,
    };
    frames.iter().filter_map(count).collect()
}

#[test]
fn lookup_2_a_question_carries_a_proof_for_this_answerer_and_this_session() {
    let mut alone = Alone::greeted();
    alone.session.find(&[(9, digest(3))], alone.now);
    alone.poll();
    let frames = alone.frames();
    let [Frame::Find(find)] = frames.as_slice() else { panic!("{frames:?}") };
    let Question { id, proof } = find.questions[0];
    assert_eq!(id, lookup_id(&digest(3)).0);
    assert!(verify_know_proof(&digest(3), &me(), &you(), &[0xee; 16], &proof));
    assert!(!verify_know_proof(&digest(3), &you(), &me(), &[0xee; 16], &proof), "not for anybody else");
    assert!(!verify_know_proof(&digest(3), &me(), &you(), &[0xef; 16], &proof), "nor in another session");
}

#[test]
fn lookup_4_a_question_is_answered_under_the_callers_key() {
    let mut alone = Alone::greeted();
    alone.session.find(&[(70, digest(1)), (71, digest(2))], alone.now);
    alone.poll();
    alone.take(found(1, Answer::NotHere)).unwrap();
    alone.take(found(0, here(1, true))).unwrap();
    assert!(alone.session.have(content(1)).is_some_and(HaveSet::is_whole));
    assert_eq!(alone.answers(), [(71, Answer::NotHere), (70, here(1, true))]);
    alone.take(found(0, Answer::NotHere)).unwrap();
    assert_eq!(alone.answers(), [], "an answer counts once");
    let unasked = ProtocolError::UnaskedAnswer { number: 2 };
    assert_eq!(alone.take(found(2, Answer::NotHere)), Err(unasked));
}

#[test]
fn lookup_4_silence_for_5_s_is_not_here_and_a_late_answer_is_harmless() {
    let mut alone = Alone::greeted();
    alone.session.find(&[(5, digest(1))], alone.now);
    alone.poll();
    alone.wait(ms(4_999));
    assert_eq!(alone.answers(), []);
    alone.wait(ms(1));
    assert_eq!(alone.answers(), [(5, Answer::NotHere)]);
    alone.take(found(0, here(1, true))).unwrap();
    assert_eq!(alone.answers(), []);
    assert_eq!(alone.session.have(content(1)), None);
}

#[test]
fn lookup_4_an_asker_keeps_the_pace_and_at_most_32_ids_per_find() {
    let mut alone = Alone::greeted();
    let questions: Vec<_> = (0..100).map(|key| (key, digest(1))).collect();
    alone.session.find(&questions, alone.now);
    alone.poll();
    assert_eq!(asked(&alone.frames()), [20]);
    alone.wait(ms(1_000));
    assert_eq!(asked(&alone.frames()), [1; 10]);
    alone.wait(ms(10_000));
    assert_eq!(asked(&alone.frames()), [1; 70]);
    assert_eq!(alone.answers().len(), 80, "those asked more than 5 s ago");
}

#[test]
fn lookup_4_questions_beyond_the_bound_are_answered_without_being_asked() {
    let mut alone = Alone::new();
    let questions: Vec<_> = (0..600).map(|key| (key, digest(1))).collect();
    alone.session.find(&questions, alone.now);
    alone.poll();
    let answers = alone.answers();
    assert_eq!(answers.len(), 600 - QUESTIONS_WAITING_MAX);
    assert_eq!(answers[0], (512, Answer::NotHere));
}

#[test]
fn lookup_4_answers_leave_on_5_ms_ticks_hit_or_miss() {
    let mut alone = Alone::greeted();
    alone.wait(std::time::Duration::from_micros(12_345));
    alone.take(find(0, 2)).unwrap();
    assert_eq!(alone.events().len(), 2);
    alone.session.answer(1, here(1, true), alone.now);
    alone.poll();
    alone.wait(std::time::Duration::from_micros(1_000));
    alone.session.answer(0, Answer::NotHere, alone.now);
    alone.poll();
    assert_eq!(alone.next.as_micros(), 15_000);
    alone.wait(std::time::Duration::from_micros(1_654));
    assert_eq!(alone.frames(), []);
    alone.wait(std::time::Duration::from_micros(1));
    let answers = vec![
        NumberedAnswer { number: 0, answer: Answer::NotHere },
        NumberedAnswer { number: 1, answer: here(1, true) },
    ];
    assert_eq!(alone.frames(), [Frame::Found(Found { answers })]);
}

#[test]
fn lookup_4_an_answer_given_on_a_tick_waits_for_the_next() {
    let mut alone = Alone::greeted();
    alone.wait(ms(10));
    alone.take(find(0, 1)).unwrap();
    alone.session.answer(0, Answer::NotHere, alone.now);
    alone.poll();
    assert_eq!(alone.next.as_micros(), 15_000);
}

#[test]
fn lookup_4_beyond_20_ids_a_second_the_answer_is_not_here_without_a_look() {
    let mut alone = Alone::greeted();
    alone.take(find(0, 32)).unwrap();
    assert_eq!(alone.events().len(), 20);
    alone.wait(ms(5));
    let frames = alone.frames();
    let [Frame::Found(found)] = frames.as_slice() else { panic!("{frames:?}") };
    assert!(found.answers.iter().all(|numbered| numbered.answer == Answer::NotHere));
    assert_eq!(
        found.answers.iter().map(|numbered| numbered.number).collect::<Vec<_>>(),
        Vec::from_iter(20..32)
    );
    alone.wait(ms(500));
    alone.take(find(32, 32)).unwrap();
    assert_eq!(alone.events().len(), 10, "half a second is worth ten ids");
}

#[test]
fn lookup_4_a_flood_of_questions_is_closed() {
    let mut alone = Alone::greeted();
    let frames = QUESTIONS_UNANSWERED_MAX / 32;
    for index in 0..frames {
        alone.take(find(u32::try_from(index * 32).unwrap(), 32)).unwrap();
    }
    let next = u32::try_from(frames * 32).unwrap();
    assert_eq!(alone.take(find(next, 1)), Err(ProtocolError::TooManyQuestions));
}

#[test]
fn numbers_of_questions_must_ascend() {
    let mut alone = Alone::greeted();
    alone.take(find(0, 3)).unwrap();
    assert_eq!(alone.take(find(2, 1)), Err(ProtocolError::NumberGoesBack { number: 2 }));
    let mut alone = Alone::greeted();
    alone.take(find(u32::MAX - 1, 1)).unwrap();
    assert!(alone.take(find(u32::MAX - 1, 1)).is_err());
}

#[test]
fn a_question_is_answered_once() {
    let mut alone = Alone::greeted();
    alone.take(find(0, 1)).unwrap();
    alone.session.answer(0, Answer::NotHere, alone.now);
    alone.wait(ms(5));
    alone.session.answer(0, here(1, true), alone.now);
    alone.session.answer(77, here(1, true), alone.now);
    alone.wait(ms(50));
    assert_eq!(alone.frames().len(), 1);
}

#[test]
fn wire_4_what_is_told_of_a_content_follows_the_answer_that_names_it() {
    let mut alone = Alone::greeted();
    alone.take(find(0, 1)).unwrap();
    alone.session.answer(0, here(1, false), alone.now);
    let mut have = HaveSet::new(16);
    have.insert(3..5);
    alone.session.send_have(content(1), have.clone(), alone.now);
    alone.wait(ms(100));
    let frames = alone.frames();
    let [found @ Frame::Found(_), told @ Frame::Have(_)] = frames.as_slice() else { panic!("{frames:?}") };

    let mut other = Alone::greeted();
    other.session.find(&[(1, digest(1))], other.now);
    other.poll();
    other.take(found.clone()).unwrap();
    assert!(other.session.have(content(1)).is_some_and(HaveSet::is_empty));
    other.events();
    other.take(told.clone()).unwrap();
    assert!(
        matches!(other.events().as_slice(), [SessionEvent::HaveChanged { content: c }] if *c == content(1))
    );
    assert_eq!(other.session.have(content(1)), Some(&have));
    other.take(told.clone()).unwrap();
    assert!(other.events().is_empty(), "the same again changes nothing");
}

#[test]
fn wire_4_have_sets_are_told_whole_once_and_then_by_what_changed_on_50_ms_ticks() {
    let list = list_of(2_000);
    let (content, mut have) = (list.content(), HaveSet::new(2_000));
    let mut alone = Alone::greeted();
    have.insert(0..1_500);
    alone.session.send_have(content, have.clone(), alone.now);
    alone.wait(ms(0));
    let page = |page, bits| HavePage { page, bits };
    let frames = alone.frames();
    let [Frame::Have(Have { pages, .. })] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!(pages[0], page(0, PageBits::All));
    assert!(matches!(pages[1].bits, PageBits::Bits(_)));
    for piece in 1_500..2_000 {
        have.insert(piece..piece + 1);
        alone.session.send_have(content, have.clone(), alone.now);
        alone.poll();
    }
    alone.wait(ms(49));
    assert_eq!(alone.frames(), [], "one tick apart");
    alone.wait(ms(1));
    assert_eq!(alone.frames(), [Frame::Have(Have { content, pages: vec![page(1, PageBits::All)] })]);
    alone.session.send_have(content, have, alone.now);
    alone.wait(ms(500));
    assert_eq!(alone.frames(), [], "nothing changed");
    alone.session.send_have(content, HaveSet::new(2_000), alone.now);
    alone.wait(ms(500));
    let gone = vec![page(0, PageBits::None), page(1, PageBits::None)];
    assert_eq!(alone.frames(), [Frame::Have(Have { content, pages: gone })]);
}

#[test]
fn wire_4_a_huge_have_set_leaves_a_few_frames_at_a_time() {
    let content = crate::content::ContentId { len: 4 << 40, ..content(1) };
    let mut have = HaveSet::new(1 << 20);
    (0..1 << 20).step_by(2).for_each(|piece| have.insert(piece..piece + 1));
    let mut alone = Alone::greeted();
    let mut other = Alone::greeted();
    other.session.find(&[(1, digest(1))], other.now);
    other.poll();
    other.take(found(0, Answer::Here { content, whole: false, sealed: false })).unwrap();
    alone.session.send_have(content, have.clone(), alone.now);
    for _ in 0..2 {
        alone.wait(ms(0));
        let frames = alone.frames();
        assert_eq!(frames.len(), 8);
        frames.into_iter().for_each(|frame| other.take(frame).unwrap());
        alone.wait(ms(50));
    }
    assert_eq!(alone.frames(), []);
    assert_eq!(other.session.have(content), Some(&have));
}

#[test]
fn wire_4_a_have_about_what_was_never_named_to_us_is_not_kept() {
    let mut alone = Alone::greeted();
    let pages = vec![HavePage { page: 0, bits: PageBits::All }];
    for number in 0..200 {
        alone.take(Frame::Have(Have { content: content(number), pages: pages.clone() })).unwrap();
    }
    assert!(alone.events().is_empty());
    assert_eq!(alone.session.have_memory(), 0);
}

#[test]
fn wire_4_have_sets_of_at_most_64_contents_are_kept() {
    let mut alone = Alone::greeted();
    for number in 0..200_u8 {
        alone.session.find(&[(1, digest(number))], alone.now);
        alone.poll();
        alone.wait(ms(100));
        alone.take(found(u32::from(number), here(number, true))).unwrap();
    }
    let kept = (0..200).filter(|number| alone.session.have(content(*number)).is_some());
    assert_eq!(
        kept.collect::<Vec<_>>(),
        Vec::from_iter(200 - u8::try_from(CONTENTS_PER_PEER_MAX).unwrap()..200)
    );
    alone.session.forget(content(199), alone.now);
    assert_eq!(alone.session.have(content(199)), None);
}

#[test]
fn wire_4_the_have_set_named_first_is_forgotten_first_and_what_is_said_of_it_later_is_kept() {
    let mut alone = Alone::greeted();
    let says = |alone: &mut Alone, number: u8| {
        let pages = vec![HavePage { page: 0, bits: PageBits::All }];
        alone.take(Frame::Have(Have { content: content(number), pages })).unwrap();
    };
    for number in 0..3_u8 {
        alone.session.find(&[(1, digest(number))], alone.now);
        alone.poll();
        alone.wait(ms(100));
        alone.take(found(u32::from(number), here(number, false))).unwrap();
    }
    assert_eq!(alone.session.forget_oldest_have(), None, "nothing was said of them");
    (1..3).for_each(|number| says(&mut alone, number));
    let both = alone.session.have_memory();
    assert_eq!(alone.session.forget_oldest_have(), Some(content(1)));
    assert_eq!(alone.session.have_memory() * 2, both);
    assert_eq!(alone.session.have(content(1)).map(HaveSet::count), Some(0));
    says(&mut alone, 1);
    assert_eq!(alone.session.have_memory(), both);
}

#[test]
fn a_whole_file_that_shrinks_is_told() {
    let mut other = Alone::greeted();
    other.session.find(&[(1, digest(1))], other.now);
    other.poll();
    other.take(found(0, here(1, true))).unwrap();
    let mut alone = Alone::greeted();
    let mut have = HaveSet::whole(16);
    have.remove(7..8);
    alone.session.send_have(content(1), have, alone.now);
    alone.wait(ms(0));
    alone.frames().into_iter().for_each(|frame| other.take(frame).unwrap());
    let known = other.session.have(content(1)).unwrap();
    assert!(!known.contains(PieceIndex(7)) && known.count() == 15);
}
