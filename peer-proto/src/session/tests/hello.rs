//! How a dialogue begins and ends.

use super::pair::*;
use crate::session::{ProtocolError, RequestError, SessionEvent};
use crate::time::Instant;
use crate::wire::{Frame, FrameKind, Goodbye, Hello, Versions};

pub(super) fn hello_of(min: u32, max: u32) -> Frame {
    Frame::Hello(Hello { versions: Versions { min, max }, nonce: [1; 16], tags: [2; 128] })
}

fn goodbye(frames: &[Frame]) -> &str {
    let [Frame::Goodbye(Goodbye { words })] = frames else { panic!("{frames:?}") };
    words
}

#[test]
fn wire_1_hello_leaves_first_and_by_itself() {
    let mut alone = Alone::new();
    let frames = alone.frames();
    let [Frame::Hello(hello)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((hello.versions, hello.nonce, hello.tags), (Versions::OURS, [0xdd; 16], [0xcc; 128]));
    alone.take(hello_of(1, Versions::OURS.max)).unwrap();
    assert!(matches!(alone.events().as_slice(), [SessionEvent::Ready]));
    assert_eq!(alone.session.version(), Some(Versions::OURS.max));
    assert_eq!(alone.next, Instant::NEVER, "no timer is left");
}

#[test]
fn wire_1_nothing_but_hello_leaves_before_the_other_hello_is_here() {
    let mut alone = Alone::new();
    alone.frames();
    alone.session.find(&[(1, digest(1))], alone.now);
    alone.session.want_list(list_of(3).content(), alone.now);
    let refused = alone.session.request(content(1), vec![range(0, 1)], alone.now);
    assert_eq!(refused, Err(RequestError::NotOpen));
    alone.poll();
    assert_eq!(alone.frames(), []);
    alone.take(hello()).unwrap();
    let kinds: Vec<FrameKind> = alone.frames().iter().map(Frame::kind).collect();
    assert_eq!(kinds, [FrameKind::Find, FrameKind::ListWant]);
}

#[test]
fn wire_1_another_first_frame_is_an_error() {
    let mut alone = Alone::new();
    alone.frames();
    let words = Frame::Goodbye(Goodbye { words: String::new() });
    assert_eq!(alone.take(words), Err(ProtocolError::NotHello { kind: FrameKind::Goodbye }));
    assert!(goodbye(&alone.frames()).contains("not Hello"));
    assert!(alone.session.is_over());
}

#[test]
fn wire_1_a_second_hello_is_an_error() {
    let mut alone = Alone::greeted();
    assert_eq!(alone.take(hello()), Err(ProtocolError::SecondHello));
}

#[test]
fn wire_1_hello_must_come_within_2_s() {
    let mut alone = Alone::new();
    alone.frames();
    alone.wait(ms(1_999));
    assert!(alone.events().is_empty());
    alone.wait(ms(1));
    assert!(matches!(alone.events().as_slice(), [SessionEvent::Failed(ProtocolError::NoHello)]));
    assert_eq!(goodbye(&alone.frames()), "no hello within 2 s");
    assert!(alone.session.is_over());
    assert_eq!(alone.next, Instant::NEVER);
}

#[test]
fn wire_1_no_common_version_closes_in_words() {
    let ours = Versions::OURS.max;
    for (min, max) in [(ours + 1, ours + 1), (ours + 1, u32::MAX)] {
        let mut alone = Alone::new();
        alone.frames();
        let theirs = Versions { min, max };
        assert_eq!(alone.take(hello_of(min, max)), Err(ProtocolError::NoCommonVersion { theirs }));
        let frames = alone.frames();
        let words = goodbye(&frames);
        assert_eq!(
            words,
            format!("no common version: one side speaks 1 to {ours}, the other {min} to {max}")
        );
    }
}

#[test]
fn wire_9_after_an_error_nothing_more_is_said_or_heard() {
    let mut alone = Alone::greeted();
    alone.session.find(&[(1, digest(1))], alone.now);
    alone.take(hello()).unwrap_err();
    alone.frames();
    alone.session.find(&[(2, digest(2))], alone.now);
    alone.session.want_list(list_of(2).content(), alone.now);
    alone.session.goodbye("again");
    assert!(alone.session.request(content(1), vec![range(0, 1)], alone.now).is_err());
    assert_eq!(alone.take(hello()), Ok(()), "what still comes in is ignored");
    alone.wait(ms(60_000));
    assert_eq!(alone.frames(), []);
    assert!(alone.events().is_empty());
}

#[test]
fn a_session_ends_in_words_from_either_side() {
    let mut alone = Alone::greeted();
    alone.session.goodbye(&format!("shutting\ndown {}", "x".repeat(300)));
    alone.poll();
    let frames = alone.frames();
    let words = goodbye(&frames);
    assert!(words.starts_with("shutting down xxx") && words.len() == 200, "{words}");

    let mut alone = Alone::greeted();
    alone.take(frames[0].clone()).unwrap();
    assert!(
        matches!(alone.events().as_slice(), [SessionEvent::Left { words }] if words.starts_with("shutting"))
    );
    assert!(alone.session.is_over());
}
