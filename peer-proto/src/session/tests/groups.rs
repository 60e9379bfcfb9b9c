//! How two members recognize each other, and what a stranger sees of it.

use std::sync::Arc;

use super::pair::*;
use crate::content::Hash;
use crate::evidence::Against;
use crate::group::{Badge, Badges, EpochSecret, GroupId, HolderId, Roles, Token, Wish};
use crate::home::swarm_id;
use crate::limits::RECORDS_PER_FRAME_MAX;
use crate::peer::PeerId;
use crate::session::{Output, ProtocolError, Session, SessionConfig, SessionEvent};
use crate::sign::Signer;
use crate::time::Instant;
use crate::wire::codec::encode;
use crate::wire::tests::golden::contradiction;
use crate::wire::{AttestWant, Attestations, Frame, Hello, Record, RecordHead, Said, Versions};

/// The group of most members here.
pub(super) fn group() -> GroupId {
    GroupId::of(&Signer::of(&[9; 32]).public_key())
}

/// The badge as one of another group has it, whoever signed the token.
pub(super) fn of_group(badge: &Badge, group: GroupId) -> Arc<Badge> {
    let mut bytes = badge.token.bytes().to_vec();
    bytes[1..17].copy_from_slice(&group.0);
    Arc::new(Badge { token: Token::parse(bytes.into()).unwrap(), ..badge.clone() })
}

pub(super) fn badge(peer: PeerId, secret: u8, former: Option<u8>) -> Arc<Badge> {
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer,
        roles: Roles::FETCH,
        not_before: 0,
        not_after: 1,
        epoch: 0,
        serial: 0,
    };
    let token = Token::grant(&Signer::of(&[9; 32]), &wish);
    let former = former.map(|mark| EpochSecret([mark; 32]));
    Arc::new(Badge { token, secret: EpochSecret([secret; 32]), former })
}

/// A session of `me` with `you`, its Hello taken out.
fn session(me: PeerId, you: PeerId, nonce: u8, badge: Option<Arc<Badge>>) -> (Session, Frame) {
    session_in(me, you, nonce, badge.into())
}

pub(super) fn session_in(me: PeerId, you: PeerId, nonce: u8, badges: Badges) -> (Session, Frame) {
    let config = SessionConfig { me, peer: you, my_nonce: [nonce; 16], filler: [nonce ^ 0x55; 128], badges };
    let mut session = Session::new(config, Instant::ZERO);
    let Output::Transmit(hello) = session.poll_output() else { panic!("its first output is a Hello") };
    (session, hello)
}

/// What two sessions say to each other beside Hello, once each has the other's.
fn meeting(one: Option<Arc<Badge>>, other: Option<Arc<Badge>>) -> [Vec<Frame>; 2] {
    let (mut mine, my_hello) = session(me(), you(), 1, one);
    let (mut yours, your_hello) = session(you(), me(), 2, other);
    mine.handle_frame(your_hello, Instant::ZERO).unwrap();
    yours.handle_frame(my_hello, Instant::ZERO).unwrap();
    [mine, yours].map(|mut session| {
        let mut frames = Vec::new();
        loop {
            match session.poll_output() {
                Output::Transmit(frame) => frames.push(frame),
                Output::Event(_) => {}
                Output::WaitUntil(_) => return frames,
            }
        }
    })
}

#[test]
fn group_2_two_members_show_their_tokens_and_nobody_else_does() {
    let (mine, yours) = (badge(me(), 1, None), badge(you(), 1, None));
    let shown = meeting(Some(Arc::clone(&mine)), Some(Arc::clone(&yours)));
    assert_eq!(shown, [vec![Frame::Token(mine.token.clone())], vec![Frame::Token(yours.token.clone())]]);
    assert_eq!(meeting(Some(Arc::clone(&mine)), None), [vec![], vec![]], "a stranger");
    assert_eq!(meeting(Some(mine), Some(badge(you(), 2, None))), [vec![], vec![]], "another group");
}

#[test]
fn group_7_members_of_two_epochs_that_follow_each_other_recognize_each_other() {
    let shown = meeting(Some(badge(me(), 2, Some(1))), Some(badge(you(), 1, None)));
    assert!(shown.iter().all(|frames| frames.len() == 1), "{shown:?}");
    assert_eq!(meeting(Some(badge(me(), 3, Some(2))), Some(badge(you(), 1, None))), [vec![], vec![]]);
}

#[test]
fn group_2_to_a_stranger_a_members_hello_looks_like_anybodys() {
    let hello = |nonce, badge| {
        let (_, frame) = session(me(), you(), nonce, badge);
        let bytes = encode(&frame).unwrap();
        let Frame::Hello(Hello { tags, .. }) = frame else { panic!("{frame:?}") };
        (bytes, tags)
    };
    let (plain, _) = hello(1, None);
    let member = |nonce| hello(nonce, Some(badge(me(), 1, Some(2))));
    assert_eq!(member(1).0.len(), plain.len(), "the same size");
    // However often the same stranger is greeted, no tag comes twice.
    let mut tags: Vec<[u8; 16]> = Vec::new();
    for nonce in 1..=8 {
        tags.extend(&member(nonce).1.as_chunks::<16>().0[..2]);
    }
    tags.sort_unstable();
    assert!(tags.is_sorted_by(|one, next| one < next), "constant bytes: {tags:?}");
}

#[test]
fn group_2_a_tag_sent_back_or_to_somebody_else_matches_nothing() {
    let (mut mine, my_hello) = session(me(), you(), 1, Some(badge(me(), 1, None)));
    let Frame::Hello(hello) = my_hello else { panic!("a Hello") };
    mine.handle_frame(Frame::Hello(hello), Instant::ZERO).unwrap();
    assert!(!mine.is_kin(), "sent back");
    let third = PeerId::from_public_key([3; 32]);
    let (mut mine, _) = session(me(), you(), 1, Some(badge(me(), 1, None)));
    let (_, hello) = session(you(), third, 2, Some(badge(you(), 1, None)));
    mine.handle_frame(hello, Instant::ZERO).unwrap();
    assert!(!mine.is_kin(), "made for another node");
}

#[test]
fn group_2_what_only_members_say_is_not_heard_from_strangers() {
    let mut alone = Alone::greeted();
    alone.take(Frame::Token(badge(you(), 1, None).token.clone())).unwrap();
    alone.take(Frame::Records(records(1))).unwrap();
    assert!(alone.events().is_empty());
    alone.session.show_records(records(1));
    alone.poll();
    assert!(alone.frames().is_empty(), "nor told to them");
}

#[test]
fn wire_1_a_member_of_version_2_is_greeted_as_a_stranger() {
    let (mut mine, _) = session(me(), you(), 1, Some(badge(me(), 1, None)));
    let (_, hello) = session(you(), me(), 2, Some(badge(you(), 1, None)));
    let Frame::Hello(hello) = hello else { panic!("a Hello") };
    mine.handle_frame(Frame::Hello(Hello { versions: Versions { min: 1, max: 2 }, ..hello }), Instant::ZERO)
        .unwrap();
    assert!(!mine.is_kin());
}

#[test]
fn wire_1_a_token_that_an_enroller_gave_is_not_shown_to_versions_that_cannot_read_it() {
    let own = badge(me(), 1, None);
    let signer = Signer::of(&[3; 32]);
    let delegated = Token::delegate(&own.token, &signer, own.token.wish()).unwrap();
    let own = Arc::new(Badge { token: delegated.clone(), ..(*own).clone() });
    let interest = Record::sign(
        &Signer::of(&[1; 32]),
        RecordHead { group: delegated.group(), author: me(), number: 1, swarm: content(1) },
        Said::Interest { fetches: true, token: delegated },
    );
    for (max, shown) in [(5, 0), (6, 2)] {
        let (mut mine, _) = session(me(), you(), 1, Some(Arc::clone(&own)));
        let (_, hello) = session(you(), me(), 2, Some(badge(you(), 1, None)));
        let Frame::Hello(hello) = hello else { panic!("a Hello") };
        let theirs = Hello { versions: Versions { min: 1, max }, ..hello };
        mine.handle_frame(Frame::Hello(theirs), Instant::ZERO).unwrap();
        mine.show_records(vec![interest.clone().unwrap()]);
        let mut frames = 0;
        loop {
            match mine.poll_output() {
                Output::Transmit(_) => frames += 1,
                Output::Event(_) => {}
                Output::WaitUntil(_) => break,
            }
        }
        assert_eq!(frames, shown, "version {max}");
    }
}

#[test]
fn records_leave_in_frames_that_fit_and_are_told_as_they_came() {
    let (mut mine, my_hello) = session(me(), you(), 1, Some(badge(me(), 1, None)));
    let (mut yours, your_hello) = session(you(), me(), 2, Some(badge(you(), 1, None)));
    mine.handle_frame(your_hello, Instant::ZERO).unwrap();
    yours.handle_frame(my_hello, Instant::ZERO).unwrap();
    let sent = records(250);
    mine.show_records(sent.clone());
    let mut frames = 0;
    while let output = mine.poll_output()
        && !matches!(output, Output::WaitUntil(_))
    {
        let Output::Transmit(frame @ Frame::Records(_)) = output else { continue };
        frames += 1;
        yours.handle_frame(through_the_codec(&frame), Instant::ZERO).unwrap();
    }
    assert!(frames > 250 / RECORDS_PER_FRAME_MAX, "{frames}");
    let mut told = Vec::new();
    while let output = yours.poll_output()
        && !matches!(output, Output::WaitUntil(_))
    {
        if let Output::Event(SessionEvent::RecordsShown(records)) = output {
            told.extend(records);
        }
    }
    assert_eq!(told, sent);
}

/// Two members who greeted each other.
pub(super) fn members() -> (Session, Session) {
    members_of(&[group()])
}

/// The same of these groups, one and all.
pub(super) fn members_of(groups: &[GroupId]) -> (Session, Session) {
    let badges = |peer| -> Badges {
        groups.iter().map(|group| of_group(&badge(peer, group.0[0], None), *group)).collect()
    };
    let (mut mine, my_hello) = session_in(me(), you(), 1, badges(me()));
    let (mut yours, your_hello) = session_in(you(), me(), 2, badges(you()));
    mine.handle_frame(your_hello, Instant::ZERO).unwrap();
    yours.handle_frame(my_hello, Instant::ZERO).unwrap();
    (mine, yours)
}

/// Carries what one says to the other; the events of the other.
pub(super) fn carried(from: &mut Session, to: &mut Session, now: Instant) -> Vec<SessionEvent> {
    while let output = from.poll_output()
        && !matches!(output, Output::WaitUntil(_))
    {
        let Output::Transmit(frame) = output else { continue };
        to.handle_frame(through_the_codec(&frame), now).unwrap();
    }
    let mut events = Vec::new();
    let mut kept = Vec::new();
    loop {
        match to.poll_output() {
            Output::Event(event) => events.push(event),
            Output::Transmit(frame) => kept.push(frame),
            Output::WaitUntil(_) => break,
        }
    }
    kept.into_iter().for_each(|frame| to.out.frame(frame));
    events
}

#[test]
fn attest_1_a_member_is_asked_for_attestations_and_answers_by_number() {
    let (mut mine, mut yours) = members();
    carried(&mut yours, &mut mine, Instant::ZERO);
    carried(&mut mine, &mut yours, Instant::ZERO);
    assert_eq!(mine.want_attestations([3; 32]), Some(1));
    assert_eq!(mine.want_attestations([4; 32]), Some(2));
    let events = carried(&mut mine, &mut yours, Instant::ZERO);
    let [SessionEvent::AttestWanted { number: 1, id }, SessionEvent::AttestWanted { number: 2, .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(*id, [3; 32]);
    yours.show_attestations(2, Vec::new());
    let events = carried(&mut yours, &mut mine, Instant::ZERO);
    assert!(
        matches!(events.as_slice(), [SessionEvent::AttestationsShown { number: 2, list }] if list.is_empty()),
        "{events:?}"
    );
    let unasked = Frame::Attestations(Attestations { number: 3, list: Vec::new() });
    assert_eq!(mine.handle_frame(unasked, Instant::ZERO), Err(ProtocolError::UnaskedAnswer { number: 3 }));
}

#[test]
fn lookup_4_a_member_that_asks_for_too_many_attestations_is_told_that_there_are_none() {
    let (mut mine, mut yours) = members();
    carried(&mut yours, &mut mine, Instant::ZERO);
    carried(&mut mine, &mut yours, Instant::ZERO);
    let asked = |mine: &mut Session, yours: &mut Session, now| {
        assert!((0..30).all(|_| mine.want_attestations([3; 32]).is_some()));
        carried(mine, yours, now).len()
    };
    assert_eq!(asked(&mut mine, &mut yours, Instant::ZERO), 20);
    assert_eq!(carried(&mut yours, &mut mine, Instant::ZERO).len(), 10, "the others are answered at once");
    assert_eq!(asked(&mut mine, &mut yours, Instant::from_micros(500_000)), 10);
    let again = Frame::AttestWant(AttestWant { number: 60, id: [3; 32] });
    assert_eq!(yours.handle_frame(again, Instant::ZERO), Err(ProtocolError::NumberGoesBack { number: 60 }));
}

#[test]
fn group_2_nobody_but_kin_is_asked_for_attestations_and_old_versions_are_not() {
    let mut alone = Alone::greeted();
    assert_eq!(alone.session.want_attestations([3; 32]), None);
    alone.take(Frame::AttestWant(AttestWant { number: 1, id: [3; 32] })).unwrap();
    alone.session.show_attestations(1, Vec::new());
    alone.poll();
    assert!(alone.events().is_empty() && alone.frames().is_empty());
    let (mut mine, _) = session(me(), you(), 1, Some(badge(me(), 1, None)));
    let (_, hello) = session(you(), me(), 2, Some(badge(you(), 1, None)));
    let Frame::Hello(hello) = hello else { panic!("a Hello") };
    let older = Hello { versions: Versions { min: 1, max: 3 }, ..hello };
    mine.handle_frame(Frame::Hello(older), Instant::ZERO).unwrap();
    assert!(mine.is_kin());
    assert_eq!(mine.want_attestations([3; 32]), None);
}

#[test]
fn attest_7_batches_answer_a_question_as_often_as_there_are_some_and_fit_their_frames() {
    let said = crate::batch::tests::said();
    let long = crate::batch::Batched { values: vec![Hash([1; 32]); 256], ..said };
    let list = vec![crate::batch::tests::signed(long); 9];
    let (mut mine, mut yours) = members_of(&[list[0].said().group]);
    carried(&mut yours, &mut mine, Instant::ZERO);
    carried(&mut mine, &mut yours, Instant::ZERO);
    assert_eq!(mine.want_attestations([3; 32]), Some(1));
    carried(&mut mine, &mut yours, Instant::ZERO);
    for _ in 0..2 {
        assert!(yours.show_batches(1, list.clone()));
        let shown = carried(&mut yours, &mut mine, Instant::ZERO);
        let batches = |event| match event {
            SessionEvent::BatchesShown(list) => list,
            other => panic!("{other:?}"),
        };
        assert!(shown.len() > 1);
        assert_eq!(shown.into_iter().flat_map(batches).collect::<Vec<_>>(), list);
    }
    assert!(yours.show_batches(2, list[..1].to_vec()));
    let Output::Transmit(frame) = yours.poll_output() else { panic!("a frame") };
    assert_eq!(mine.handle_frame(frame, Instant::ZERO), Err(ProtocolError::UnaskedAnswer { number: 2 }));
    assert!(!Alone::greeted().session.show_batches(1, list), "a stranger");
}

#[test]
fn attest_8_kin_are_told_what_tells_against_an_attestor_and_nobody_else_says_it() {
    let pair = || Against::Contradiction(contradiction());
    let (mut mine, mut yours) = members_of(&[pair().group()]);
    carried(&mut yours, &mut mine, Instant::ZERO);
    carried(&mut mine, &mut yours, Instant::ZERO);
    mine.show_against(pair());
    let events = carried(&mut mine, &mut yours, Instant::ZERO);
    let [SessionEvent::AgainstShown(told)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(*told, pair());
    let mut alone = Alone::greeted();
    alone.take(Frame::Against(pair())).unwrap();
    alone.session.show_against(pair());
    alone.poll();
    assert!(alone.events().is_empty() && alone.frames().is_empty(), "a stranger");
    let in_it = |peer| Some(of_group(&badge(peer, 1, None), pair().group()));
    let (mut mine, _) = session(me(), you(), 1, in_it(me()));
    let (_, hello) = session(you(), me(), 2, in_it(you()));
    let Frame::Hello(hello) = hello else { panic!("a Hello") };
    let older = Hello { versions: Versions { min: 1, max: 4 }, ..hello };
    mine.handle_frame(Frame::Hello(older), Instant::ZERO).unwrap();
    while !matches!(mine.poll_output(), Output::WaitUntil(_)) {}
    mine.show_against(pair());
    assert!(mine.is_kin() && matches!(mine.poll_output(), Output::WaitUntil(_)), "it knows no such frame");
}

/// Claims of 1 to 64 values, one after the other.
fn records(count: u64) -> Vec<Record> {
    let signer = Signer::of(&[1; 32]);
    let swarm = swarm_id(&digest(1), 100 * 65_536);
    let head = |number| RecordHead { group: group(), author: signer.peer(), number, swarm };
    let said = |number: u64| Said::Pieces {
        first: 0,
        values: vec![Hash([1; 32]); usize::try_from(1 + number % 64).unwrap()],
    };
    (1..=count).map(|number| Record::sign(&signer, head(number), said(number)).unwrap()).collect()
}
