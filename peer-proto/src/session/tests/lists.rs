//! Hash lists, part by part.

use super::pair::*;
use crate::content::{ContentId, Hash};
use crate::limits::{FILE_LEN_MAX, LIST_PARTS_IN_FLIGHT_MAX, LISTS_WAITING_MAX};
use crate::session::{ListFault, ProtocolError, SessionEvent};
use crate::verify::{HashList, VerifyError};
use crate::wire::{Frame, ListPart, ListRefuse, ListValues, ListWant};

fn values(list: &HashList, part: ListPart) -> Frame {
    Frame::ListValues(ListValues { content: list.content(), part, values: list.part(part).unwrap() })
}

/// The parts asked for by these frames.
fn parts(frames: &[Frame]) -> Vec<ListPart> {
    let part = |frame: &Frame| match frame {
        Frame::ListWant(want) => Some(want.part),
        _ => None,
    };
    frames.iter().filter_map(part).collect()
}

fn want(alone: &mut Alone, content: ContentId) -> Vec<ListPart> {
    alone.session.want_list(content, alone.now);
    alone.poll();
    parts(&alone.frames())
}

fn failures(events: Vec<SessionEvent>) -> Vec<ListFault> {
    let fault = |event| match event {
        SessionEvent::ListFailed { reason, .. } => Some(reason),
        _ => None,
    };
    events.into_iter().filter_map(fault).collect()
}

#[test]
fn trust_4_head_first_then_pages_with_four_parts_under_way_at_most() {
    let list = list_of(9_000);
    let mut alone = Alone::greeted();
    assert_eq!(want(&mut alone, list.content()), [ListPart::Head]);
    alone.take(values(&list, ListPart::Head)).unwrap();
    let mut open = parts(&alone.frames());
    assert_eq!(open, [0, 1, 2, 3].map(ListPart::Page));
    let mut asked = open.len();
    while let Some(part) = open.pop() {
        alone.take(values(&list, part)).unwrap();
        let more = parts(&alone.frames());
        asked += more.len();
        open.extend(more);
        assert!(open.len() <= LIST_PARTS_IN_FLIGHT_MAX);
    }
    assert_eq!(asked, 9);
    let events = alone.events();
    let [SessionEvent::ListComplete { content, list: got }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((*content, got.as_ref()), (list.content(), &list));
    assert_eq!(alone.next, crate::time::Instant::NEVER);
}

#[test]
fn wire_3_a_list_of_one_page_needs_no_head() {
    let list = list_of(1_024);
    let mut alone = Alone::greeted();
    assert_eq!(want(&mut alone, list.content()), [ListPart::Page(0)]);
    assert_eq!(want(&mut alone, list.content()), [], "it is wanted already");
    alone.take(values(&list, ListPart::Page(0))).unwrap();
    assert!(matches!(alone.events().as_slice(), [SessionEvent::ListComplete { .. }]));
}

#[test]
fn wire_3_files_of_at_most_one_piece_need_no_list_from_anybody() {
    let empty = Hash(*blake3::hash(&[]).as_bytes());
    for content in [ContentId { root: Hash([1; 32]), len: 65_536 }, ContentId { root: empty, len: 0 }] {
        let mut alone = Alone::greeted();
        assert_eq!(want(&mut alone, content), []);
        assert!(matches!(alone.events().as_slice(), [SessionEvent::ListComplete { .. }]));
    }
    for content in
        [ContentId { root: Hash([1; 32]), len: 0 }, ContentId { root: Hash([1; 32]), len: FILE_LEN_MAX + 1 }]
    {
        let mut alone = Alone::greeted();
        assert_eq!(want(&mut alone, content), []);
        assert!(matches!(alone.events().as_slice(), [SessionEvent::ListFailed { .. }]));
    }
}

#[test]
fn wire_3_an_unasked_part_is_an_error() {
    let (list, other) = (list_of(3_000), list_of(2_999));
    for frame in [
        values(&list, ListPart::Page(0)),
        values(&other, ListPart::Head),
        Frame::ListRefuse(ListRefuse { content: list.content(), part: ListPart::Page(1) }),
    ] {
        let mut alone = Alone::greeted();
        assert_eq!(want(&mut alone, list.content()), [ListPart::Head]);
        assert!(matches!(alone.take(frame), Err(ProtocolError::UnaskedList { .. })));
    }
    let mut alone = Alone::greeted();
    want(&mut alone, list.content());
    alone.take(values(&list, ListPart::Head)).unwrap();
    let again = alone.take(values(&list, ListPart::Head));
    assert_eq!(again, Err(ProtocolError::UnaskedList { part: ListPart::Head }), "one answer each");
}

#[test]
fn trust_8_a_part_that_does_not_fold_names_its_senders_lie() {
    let list = list_of(3_000);
    let flipped = |part| {
        let mut values = list.part(part).unwrap();
        values[1].0[5] ^= 1;
        Frame::ListValues(ListValues { content: list.content(), part, values })
    };
    let mut alone = Alone::greeted();
    want(&mut alone, list.content());
    alone.take(flipped(ListPart::Head)).unwrap();
    let faults = failures(alone.events());
    assert_eq!(faults, [ListFault::Wrong(VerifyError::WrongRoot)]);
    assert!(faults[0].is_lie());

    let mut alone = Alone::greeted();
    want(&mut alone, list.content());
    alone.take(values(&list, ListPart::Head)).unwrap();
    alone.take(flipped(ListPart::Page(1))).unwrap();
    let faults = failures(alone.events());
    assert_eq!(faults, [ListFault::Wrong(VerifyError::WrongPage { page: 1 })]);
    assert!(faults[0].is_lie());
    alone.take(values(&list, ListPart::Page(0))).unwrap();
    assert!(alone.events().is_empty(), "what was under way is let in and dropped");
}

#[test]
fn trust_9_a_peer_without_the_list_does_not_lie() {
    let list = list_of(3);
    let mut alone = Alone::greeted();
    want(&mut alone, list.content());
    alone.take(Frame::ListRefuse(ListRefuse { content: list.content(), part: ListPart::Page(0) })).unwrap();
    let faults = failures(alone.events());
    assert_eq!(faults, [ListFault::NotHeld]);
    assert!(!faults[0].is_lie());
}

#[test]
fn a_silent_peer_fails_the_list_after_5_s_and_its_late_page_is_harmless() {
    let list = list_of(3);
    let mut alone = Alone::greeted();
    want(&mut alone, list.content());
    alone.wait(ms(4_999));
    assert!(alone.events().is_empty());
    alone.wait(ms(1));
    assert_eq!(failures(alone.events()), [ListFault::Silent]);
    assert_eq!(want(&mut alone, list.content()), [], "the first question still stands");
    alone.take(values(&list, ListPart::Page(0))).unwrap();
    assert!(matches!(alone.events().as_slice(), [SessionEvent::ListComplete { .. }]));
}

#[test]
fn wire_3_a_peer_that_never_answers_is_not_asked_for_more_than_four_parts() {
    let mut alone = Alone::greeted();
    let mut asked = 0;
    for pieces in 2..20 {
        asked += want(&mut alone, list_of(pieces).content()).len();
        alone.wait(ms(6_000));
        asked += parts(&alone.frames()).len();
        assert_eq!(failures(alone.events()), [ListFault::Silent]);
    }
    assert_eq!(asked, LIST_PARTS_IN_FLIGHT_MAX);
}

#[test]
fn lists_come_one_after_the_other_and_may_be_forgotten() {
    let (one, two, three) = (list_of(2), list_of(3), list_of(4));
    let mut alone = Alone::greeted();
    assert_eq!(want(&mut alone, one.content()).len(), 1);
    assert_eq!(want(&mut alone, two.content()).len(), 0);
    assert_eq!(want(&mut alone, three.content()).len(), 0);
    alone.session.forget(two.content(), alone.now);
    alone.session.forget(one.content(), alone.now);
    alone.poll();
    let asked = alone.frames();
    assert_eq!(asked, [Frame::ListWant(ListWant { content: three.content(), part: ListPart::Page(0) })]);
    alone.take(values(&one, ListPart::Page(0))).unwrap();
    alone.take(values(&three, ListPart::Page(0))).unwrap();
    let events = alone.events();
    assert!(
        matches!(events.as_slice(), [SessionEvent::ListComplete { content, .. }] if *content == three.content())
    );
}

#[test]
fn a_bounded_number_of_lists_waits() {
    let mut alone = Alone::greeted();
    for pieces in 2..100 {
        alone.session.want_list(list_of(pieces).content(), alone.now);
        alone.poll();
    }
    let faults = failures(alone.events());
    assert_eq!(faults.len(), 98 - 1 - LISTS_WAITING_MAX);
    assert!(faults.iter().all(|fault| *fault == ListFault::TooMany && !fault.is_lie()));
}

#[test]
fn wire_3_a_provider_answers_each_part_once_and_in_full() {
    let list = list_of(1_500);
    let content = list.content();
    let mut alone = Alone::greeted();
    for part in [ListPart::Head, ListPart::Page(0), ListPart::Page(1)] {
        alone.take(Frame::ListWant(ListWant { content, part })).unwrap();
    }
    assert_eq!(alone.events().len(), 3);
    alone.session.send_list(content, ListPart::Head, list.part(ListPart::Head));
    alone.session.send_list(content, ListPart::Page(1), Some(vec![Hash([0; 32])]));
    alone.session.send_list(content, ListPart::Page(0), None);
    alone.session.send_list(content, ListPart::Page(0), list.part(ListPart::Page(0)));
    alone.poll();
    let refuse = |part| Frame::ListRefuse(ListRefuse { content, part });
    let told = [values(&list, ListPart::Head), refuse(ListPart::Page(1)), refuse(ListPart::Page(0))];
    assert_eq!(alone.frames(), told);
}

#[test]
fn wire_3_asking_for_a_fifth_part_or_for_one_twice_is_an_error() {
    let content = list_of(9_000).content();
    let ask = |page| Frame::ListWant(ListWant { content, part: ListPart::Page(page) });
    let mut alone = Alone::greeted();
    (0..4).for_each(|page| alone.take(ask(page)).unwrap());
    assert_eq!(alone.take(ask(4)), Err(ProtocolError::TooManyLists));
    let mut alone = Alone::greeted();
    alone.take(ask(0)).unwrap();
    assert_eq!(alone.take(ask(0)), Err(ProtocolError::TooManyLists));
}
