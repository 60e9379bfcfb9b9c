//! Requests for bytes, from both sides.

use super::pair::*;
use crate::limits::{BUSY_RETRY, OPEN_REQUESTS_PER_PEER_MAX, RETRY_MAX};
use crate::session::{ProtocolError, RefuseReason, RequestError, RequestId, SessionEvent};
use crate::wire::{Cancel, Frame, FrameFault, Refuse, Want};

fn want(request: u64) -> Frame {
    Frame::Want(Want {
        request: RequestId(request),
        content: content(1),
        ranges: vec![range(0, 100)],
        values: Vec::new(),
    })
}

fn cancel(request: u64) -> Frame {
    Frame::Cancel(Cancel { request: RequestId(request) })
}

fn refuse(request: u64, reason: RefuseReason) -> Frame {
    Frame::Refuse(Refuse { request: RequestId(request), reason })
}

const BUSY: RefuseReason = RefuseReason::Busy { retry: BUSY_RETRY };

/// The requests these events begin.
fn wanted(events: Vec<SessionEvent>) -> Vec<u64> {
    let request = |event| match event {
        SessionEvent::Wanted { request, .. } => Some(request.0),
        _ => None,
    };
    events.into_iter().filter_map(request).collect()
}

#[test]
fn trust_7_a_request_names_the_pair() {
    let mut alone = Alone::greeted();
    let ranges = vec![range(0, 65_536), range(131_072, 200_000)];
    let request = alone.session.request(content(1), ranges.clone(), alone.now).unwrap();
    alone.poll();
    let frames = alone.frames();
    assert_eq!(
        frames,
        [Frame::Want(Want { request, content: content(1), ranges: ranges.clone(), values: Vec::new() })]
    );

    let mut provider = Alone::greeted();
    provider.take(frames[0].clone()).unwrap();
    let events = provider.events();
    let [SessionEvent::Wanted { request: theirs, content: pair, ranges: asked, .. }] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*theirs, *pair, asked), (request, content(1), &ranges));
}

#[test]
fn trust_7_a_provider_refuses_in_words_and_is_not_blamed() {
    for reason in [RefuseReason::Other, RefuseReason::NotHeld, BUSY] {
        let mut provider = Alone::greeted();
        provider.take(want(1)).unwrap();
        provider.session.refuse(RequestId(1), reason, provider.now);
        provider.session.refuse(RequestId(1), reason, provider.now);
        provider.poll();
        let frames = provider.frames();
        assert_eq!(frames, [refuse(1, reason)], "once");

        let mut alone = Alone::greeted();
        let request = alone.session.request(content(1), vec![range(0, 100)], alone.now).unwrap();
        alone.take(frames[0].clone()).unwrap();
        let events = alone.events();
        let [SessionEvent::Refused { request: closed, reason: told }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((*closed, *told, told.retry().is_some()), (request, reason, reason == BUSY));
        assert_eq!(alone.session.open_requests(), 0);
    }
}

#[test]
fn trust_7_the_time_of_a_busy_provider_is_kept_within_bounds() {
    let mut provider = Alone::greeted();
    for (request, retry) in [(1, ms(0)), (2, ms(3_600_000))] {
        provider.take(want(request)).unwrap();
        provider.session.refuse(RequestId(request), RefuseReason::Busy { retry }, provider.now);
    }
    provider.poll();
    let expected =
        [refuse(1, RefuseReason::Busy { retry: ms(1) }), refuse(2, RefuseReason::Busy { retry: RETRY_MAX })];
    assert_eq!(provider.frames(), expected);
}

#[test]
fn wire_7_a_requester_opens_at_most_eight_and_only_requests_that_may_be_sent() {
    let mut alone = Alone::greeted();
    let ask = |alone: &mut Alone| alone.session.request(content(1), vec![range(0, 100)], alone.now);
    let ids: Vec<RequestId> = (0..OPEN_REQUESTS_PER_PEER_MAX).map(|_| ask(&mut alone).unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    assert_eq!(ask(&mut alone), Err(RequestError::TooManyOpen));
    alone.session.close_request(ids[3]);
    assert!(ask(&mut alone).is_ok());
    alone.session.cancel(ids[0], alone.now);
    let beyond = vec![range(0, content(1).len + 1)];
    let refused = alone.session.request(content(1), beyond, alone.now);
    assert!(matches!(refused, Err(RequestError::Ranges(FrameFault::RangeBeyondEnd { .. }))));
    let none = alone.session.request(content(1), vec![], alone.now);
    assert_eq!(none, Err(RequestError::Ranges(FrameFault::RangeCount { count: 0 })));
    assert!(ask(&mut alone).is_ok(), "a refused request takes no place");
}

#[test]
fn wire_7_a_ninth_request_waits_a_moment_and_takes_the_first_free_place() {
    let mut provider = Alone::greeted();
    (1..=10).for_each(|request| provider.take(want(request)).unwrap());
    assert_eq!(wanted(provider.events()), Vec::from_iter(1..=8));
    provider.wait(ms(249));
    provider.session.finish(RequestId(5));
    provider.poll();
    assert_eq!(wanted(provider.events()), [9]);
    provider.wait(ms(1));
    assert_eq!(provider.frames(), [refuse(10, BUSY)], "no place became free in time");
    provider.session.finish(RequestId(6));
    provider.poll();
    assert!(provider.events().is_empty());
}

#[test]
fn wire_7_a_provider_with_no_place_left_says_so_at_once() {
    let mut provider = Alone::greeted();
    (1..=20).for_each(|request| provider.take(want(request)).unwrap());
    assert_eq!(provider.frames(), [refuse(17, BUSY), refuse(18, BUSY), refuse(19, BUSY), refuse(20, BUSY)]);
    provider.wait(ms(250));
    assert_eq!(provider.frames().len(), 8, "and the parked ones hear of it");
}

#[test]
fn a_cancelled_request_frees_its_place_at_once() {
    let mut provider = Alone::greeted();
    (1..=9).for_each(|request| provider.take(want(request)).unwrap());
    provider.events();
    provider.take(cancel(2)).unwrap();
    let events = provider.events();
    assert!(matches!(
        events.as_slice(),
        [
            SessionEvent::Cancelled { request: RequestId(2) },
            SessionEvent::Wanted { request: RequestId(9), .. },
        ]
    ));
    provider.take(cancel(2)).unwrap();
    assert!(provider.events().is_empty(), "a second cancel is late, not wrong");
    provider.session.finish(RequestId(2));
    provider.session.refuse(RequestId(2), RefuseReason::NotHeld, provider.now);
    provider.poll();
    assert_eq!(provider.frames(), [], "nothing is said of a closed request");
}

#[test]
fn a_parked_request_may_be_cancelled() {
    let mut provider = Alone::greeted();
    (1..=9).for_each(|request| provider.take(want(request)).unwrap());
    provider.take(cancel(9)).unwrap();
    provider.session.finish(RequestId(1));
    provider.wait(ms(1_000));
    assert_eq!(wanted(provider.events()), Vec::from_iter(1..=8));
    assert_eq!(provider.frames(), []);
}

#[test]
fn names_of_requests_ascend_and_only_known_ones_may_be_named() {
    let mut provider = Alone::greeted();
    provider.take(want(5)).unwrap();
    assert_eq!(provider.take(want(5)), Err(ProtocolError::NumberGoesBack { number: 5 }));
    let mut provider = Alone::greeted();
    assert_eq!(provider.take(want(0)), Err(ProtocolError::NumberGoesBack { number: 0 }));
    let mut provider = Alone::greeted();
    let unknown = Err(ProtocolError::UnknownRequest { request: RequestId(1) });
    assert_eq!(provider.take(cancel(1)), unknown);
    let mut alone = Alone::greeted();
    assert_eq!(alone.take(refuse(1, BUSY)), unknown);
}

#[test]
fn a_refusal_that_crosses_a_cancel_is_harmless() {
    let mut alone = Alone::greeted();
    let request = alone.session.request(content(1), vec![range(0, 100)], alone.now).unwrap();
    alone.session.cancel(request, alone.now);
    alone.poll();
    alone.take(refuse(request.0, RefuseReason::NotHeld)).unwrap();
    assert!(alone.events().is_empty());
    assert_eq!(alone.frames().last(), Some(&cancel(request.0)));
}
