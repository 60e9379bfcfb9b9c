//! How members hand on deny lists, and what strangers see of it.

use bytes::Bytes;

use super::groups::{carried, group, members};
use super::pair::*;
use crate::group::{DenyList, HolderId};
use crate::session::{HandedOn, Output, ProtocolError, Session, SessionEvent};
use crate::sign::Signer;
use crate::time::Instant;
use crate::wire::{DenyPage, DenyWant, Frame, Newest};

const NOW: Instant = Instant::ZERO;

/// Two members that have each other's Hello.
fn greeted() -> (Session, Session) {
    let (mut mine, mut yours) = members();
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    (mine, yours)
}

fn newest(len: usize) -> Newest {
    Newest { group: Some(group()), epoch: 3, denied: 7, denied_len: u32::try_from(len).unwrap() }
}

/// Version 7 with so many holders.
fn list(count: u16) -> DenyList {
    let holder = |number: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        HolderId(id)
    };
    DenyList::sign(&Signer::of(&[9; 32]), 7, (0..count).map(holder).collect()).unwrap()
}

/// Carries frames both ways, the owner of this list answering, until one of them is asked for nothing more.
fn handed(mine: &mut Session, yours: &mut Session, list: &DenyList) -> Option<Option<DenyList>> {
    loop {
        let asked = carried(mine, yours, NOW);
        if asked.is_empty() {
            return None;
        }
        for event in asked {
            let SessionEvent::HandedOn(HandedOn::DenyWanted(of)) = event else { panic!("{event:?}") };
            yours.show_denied(of, Some(list));
        }
        if let Some(event) = carried(yours, mine, NOW).pop() {
            let SessionEvent::HandedOn(HandedOn::Denied { list, .. }) = event else { panic!("{event:?}") };
            return Some(list);
        }
    }
}

#[test]
fn group_6_a_deny_list_comes_page_by_page_and_whole() {
    // One page, the longest one page, the shortest two, the longest of all.
    for count in [0, 2_042, 2_043, 4_096] {
        let list = list(count);
        let len = list.bytes().len();
        let (mut mine, mut yours) = greeted();
        yours.show_newest(newest(len));
        let told = carried(&mut yours, &mut mine, NOW);
        assert!(
            matches!(told[..], [SessionEvent::HandedOn(HandedOn::Newest(told))] if told == newest(len)),
            "{told:?}"
        );
        assert!(mine.want_denied(newest(len)));
        assert!(!mine.want_denied(newest(len)), "once at a time");
        assert_eq!(handed(&mut mine, &mut yours, &list), Some(Some(list)), "{len} bytes");
        assert!(mine.want_denied(newest(len)), "and again when it is there");
    }
}

#[test]
fn group_6_whoever_has_another_list_by_now_says_so() {
    let (mut mine, mut yours) = greeted();
    assert!(mine.want_denied(Newest { denied: 6, ..newest(89) }));
    assert_eq!(handed(&mut mine, &mut yours, &list(0)), Some(None));
}

#[test]
fn group_6_pages_that_were_not_asked_for_or_have_another_length_break_the_protocol() {
    let page = |version, page, len| {
        let of = DenyWant { group: Some(group()), version, page };
        Frame::DenyPage(DenyPage { of, bytes: vec![7; len].into() })
    };
    let outcome = |asks: bool, frame| {
        let (mut mine, _) = greeted();
        assert!(!asks || mine.want_denied(newest(40_000)));
        mine.handle_frame(frame, NOW)
    };
    let unasked = |page| Err(ProtocolError::UnaskedPage { page });
    assert_eq!(outcome(true, page(7, 0, 32 * 1024)), Ok(()));
    assert_eq!(outcome(true, page(7, 0, 0)), Ok(()), "not any more");
    assert_eq!(outcome(false, page(7, 0, 32 * 1024)), unasked(0));
    assert_eq!(outcome(true, page(8, 0, 32 * 1024)), unasked(0), "another version");
    assert_eq!(outcome(true, page(7, 1, 32 * 1024)), unasked(1), "not its turn");
    assert_eq!(outcome(true, page(7, 0, 32 * 1024 - 1)), unasked(0), "too short");
    let (mut mine, _) = greeted();
    assert!(mine.want_denied(newest(100)));
    assert_eq!(mine.handle_frame(page(7, 0, 100), NOW), Err(ProtocolError::NoDenyList));
}

#[test]
fn group_6_more_than_six_pages_a_second_are_not_sent() {
    let (_, mut yours) = greeted();
    let (mut told, mut refused) = (0, 0);
    for _ in 0..10 {
        yours
            .handle_frame(Frame::DenyWant(DenyWant { group: Some(group()), version: 7, page: 0 }), NOW)
            .unwrap();
        match yours.poll_output() {
            Output::Event(SessionEvent::HandedOn(HandedOn::DenyWanted(_))) => told += 1,
            Output::Transmit(Frame::DenyPage(page)) if page.bytes.is_empty() => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((told, refused), (6, 4));
}

#[test]
fn group_6_strangers_are_neither_told_nor_heard_nor_asked() {
    let mut alone = Alone::greeted();
    for frame in [
        Frame::Newest(newest(89)),
        Frame::DenyWant(DenyWant { group: Some(group()), version: 7, page: 0 }),
        Frame::DenyPage(DenyPage {
            of: DenyWant { group: Some(group()), version: 7, page: 0 },
            bytes: Bytes::new(),
        }),
    ] {
        alone.take(frame).unwrap();
    }
    alone.session.show_newest(newest(89));
    alone.session.show_denied(DenyWant { group: Some(group()), version: 7, page: 0 }, Some(&list(0)));
    assert!(!alone.session.want_denied(newest(89)));
    alone.poll();
    assert!(alone.frames().is_empty() && alone.events().is_empty());
}
