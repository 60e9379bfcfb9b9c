//! Body of the fuzz target for sessions; ordinary tests run it on seeded bytes.
//!
//! Knows: what must hold whatever a peer sends and in whatever order. Does not know: who makes it up.

use std::time::Duration;

use bytes::Bytes;

use crate::content::{ByteRange, ContentId, Hash};
use crate::digest::{Algorithm, Digest};
use crate::group::{
    Badge, Badges, DenyList, EpochSecret, GrantFault, GroupId, HolderId, Roles, TicketSecret, Token, Wish,
};
use crate::home::swarm_id;
use crate::limits::{
    CONTENTS_PER_PEER_MAX, LIST_PARTS_IN_FLIGHT_MAX, LISTS_WAITING_MAX, OPEN_REQUESTS_PER_PEER_MAX,
    PARKED_REQUESTS_MAX, QUESTIONS_UNANSWERED_MAX, QUESTIONS_WAITING_MAX,
};
use crate::peer::PeerId;
use crate::sign::Signer;
use crate::time::Instant;
use crate::wire::codec::{decode_body, decode_header, encode};
use crate::wire::{
    Answer, Cancel, DenyPage, DenyWant, Enrol, Enrolled, Find, Found, Frame, Have, HavePage, HaveSet, Hello,
    Interest, Leave, ListPart, ListRefuse, ListValues, ListWant, Newest, NumberedAnswer, PageBits,
    PieceClaim, Question, Record, RecordHead, Refuse, RefuseReason, Said, SegmentClaim, Tags, Versions, Want,
};

use super::{EnrolBy, HandedOn, Output, RequestId, Session, SessionConfig, SessionEvent};

/// Plays the bytes as a script of frames, commands and time. Whatever it says: no panic, every frame that leaves can
/// be written, everything kept stays within its bound, and the outputs of one step come to an end.
///
/// # Panics
/// If one of these does not hold.
pub fn fuzz_session(script: &[u8]) {
    let config = SessionConfig {
        me: PeerId::from_public_key([1; 32]),
        peer: PeerId::from_public_key([2; 32]),
        my_nonce: [3; 16],
        filler: [4; 128],
        badges: badges(),
    };
    let mut now = Instant::ZERO;
    let mut session = Session::new(config, now);
    let mut script = Script { bytes: script, next: 1 };
    if !script.byte().is_multiple_of(8) {
        let max = 1 + u32::from(script.byte() % 9);
        let mut tags = [6; 128];
        if max > 2 {
            badges().put_tags(
                &PeerId::from_public_key([2; 32]),
                &PeerId::from_public_key([1; 32]),
                &[5; 16],
                &mut tags,
            );
        }
        let hello = Hello { versions: Versions { min: 1, max }, nonce: [5; 16], tags };
        let _ = session.handle_frame(Frame::Hello(hello), now);
    }
    let mut asked = Pending::default();
    while !script.bytes.is_empty() {
        step(&mut session, &mut script, &mut asked, &mut now);
        drain(&mut session, &mut asked, now);
        check_bounds(&session);
    }
}

/// What a member of two groups shows.
fn badges() -> Badges {
    [9, 8].into_iter().map(|group| std::sync::Arc::new(badge(group))).collect()
}

/// The group whose key is of these bytes.
fn group(key: u8) -> GroupId {
    GroupId::of(&Signer::of(&[key; 32]).public_key())
}

/// A member's badge, as good as any.
fn badge(group: u8) -> Badge {
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer: PeerId::from_public_key([1; 32]),
        roles: Roles::FETCH,
        not_before: 0,
        not_after: 1,
        epoch: 0,
        serial: 0,
    };
    let token = Token::grant(&Signer::of(&[group; 32]), &wish);
    Badge { token, secret: EpochSecret([group; 32]), former: None }
}

/// What waits for an answer that a later step may give.
#[derive(Default)]
struct Pending {
    /// Questions and requests of the peer.
    events: Vec<SessionEvent>,
    /// Questions and requests of the session.
    frames: Vec<Frame>,
}

fn step(session: &mut Session, script: &mut Script<'_>, asked: &mut Pending, now: &mut Instant) {
    let content = ContentId { root: Hash([script.byte() % 4; 32]), len: u64::from(script.number()) };
    match script.byte() % 16 {
        0..=4 => {
            if let Some(frame) = script.frame() {
                let _ = session.handle_frame(frame, *now);
            }
        }
        5 => {
            *now = now.after(Duration::from_micros(u64::from(script.number())));
            session.handle_timeout(*now);
        }
        6 => {
            if let Ok(digest) = Digest::new(Algorithm::Blake3, vec![script.byte() % 8; 32]) {
                session.find(&vec![(7, digest); usize::from(script.byte())], *now);
            }
        }
        7 => session.want_list(content, *now),
        8 => {
            let start = u64::from(script.number());
            if let Some(range) = ByteRange::new(start..start + 1 + u64::from(script.byte())) {
                let _ = session.request(content, vec![range], *now);
            }
        }
        9 => {
            let request = RequestId(u64::from(script.byte()));
            if script.byte().is_multiple_of(2) {
                session.cancel(request, *now)
            } else {
                session.close_request(request)
            }
        }
        10 => {
            let pieces = content.len.div_ceil(64 * 1024);
            session.send_have(content, HaveSet::whole(u32::try_from(pieces).unwrap_or(0)), *now);
            session.forget(content, *now);
        }
        11 => among_members(session, script, content),
        12 | 13 => {
            if let Some(event) = asked.events.pop() {
                reply(session, &event, script.byte(), *now);
            }
        }
        _ => {
            if let Some(frame) = asked.frames.pop().and_then(|frame| script.answer(&frame)) {
                let _ = session.handle_frame(frame, *now);
            }
        }
    }
}

/// What a node says to those who fetch with it, and to members.
fn among_members(session: &mut Session, script: &mut Script<'_>, content: ContentId) {
    if let Ok(digest) = Digest::new(Algorithm::Blake3, vec![script.byte() % 4; 32]) {
        session.join_in(Some(group(9)), &digest, content.len, true);
        session.claim_pieces(swarm_id(&digest, 1 << 30), 0, &vec![content.root; usize::from(script.byte())]);
    }
    session.leave(content);
    let head = RecordHead {
        group: GroupId([1; 16]),
        author: PeerId::from_public_key([1; 32]),
        number: 1 + u64::from(script.byte()),
        swarm: content,
    };
    let values = vec![content.root; usize::from(script.byte() % 65)];
    let said = Said::Pieces { first: u32::from(script.byte()), values };
    let record = Record::sign(&Signer::of(&[1; 32]), head, said);
    session.show_records(record.map_or_else(Vec::new, |record| vec![record; 80]));
    session.ask_enroller(match script.byte() % 3 {
        0 => EnrolBy::Ticket(TicketSecret([7; 32])),
        _ => EnrolBy::Member(group(9)),
    });
    session.want_denied(Newest {
        group: script.group(),
        epoch: 1,
        denied: 7,
        denied_len: 90 + u32::from(script.byte()) * 256,
    });
}

fn reply(session: &mut Session, event: &SessionEvent, choice: u8, now: Instant) {
    match event {
        SessionEvent::Asked { key, .. } => session.answer(*key, Answer::NotHere, now),
        SessionEvent::ListAsked { content, part } => {
            let values = part.values_in(*content).ok().filter(|_| !choice.is_multiple_of(3));
            let values = values.map(|count| (0..count).map(|_| Hash([choice; 32])).collect());
            session.send_list(*content, *part, values);
        }
        SessionEvent::HandedOn(HandedOn::EnrolAsked { number, .. }) => {
            session.show_enrolled(*number, Err(GrantFault::UsedUp));
        }
        SessionEvent::HandedOn(HandedOn::DenyWanted(of)) => {
            let holders = (0..=u16::from(choice) * 16).map(|number| {
                let mut holder = [0; 16];
                holder[..2].copy_from_slice(&number.to_be_bytes());
                HolderId(holder)
            });
            session.show_denied(*of, DenyList::sign(&Signer::of(&[9; 32]), 7, holders.collect()).as_ref());
        }
        SessionEvent::Wanted { request, .. } if choice.is_multiple_of(2) => session.finish(*request),
        SessionEvent::Wanted { request, .. } => session.refuse(*request, RefuseReason::NotHeld, now),
        _ => {}
    }
}

fn drain(session: &mut Session, asked: &mut Pending, now: Instant) {
    for _ in 0..4_096 {
        match session.poll_output() {
            Output::Transmit(frame) => {
                encode(&frame).expect("a session sends valid frames only");
                if asked.frames.len() < 64 {
                    asked.frames.push(frame);
                }
            }
            Output::Event(event) if asked.events.len() < 64 => asked.events.push(event),
            Output::Event(_) => {}
            Output::WaitUntil(at) => {
                let overdue = at <= now && now != Instant::ZERO && at != Instant::NEVER;
                assert!(!overdue || !session.is_over(), "a session that is over waits for nothing");
                return;
            }
        }
    }
    panic!("one step must not cause outputs without end");
}

fn check_bounds(session: &Session) {
    let requester = &session.requester;
    assert!(requester.open_count() <= OPEN_REQUESTS_PER_PEER_MAX);
    assert!(requester.held_count() <= CONTENTS_PER_PEER_MAX);
    assert!(requester.questions.kept() <= QUESTIONS_WAITING_MAX);
    let (waiting, slots) = requester.lists.kept();
    assert!(waiting <= LISTS_WAITING_MAX && slots <= LIST_PARTS_IN_FLIGHT_MAX);
    let [questions, lists, open, parked, told] = session.provider.kept();
    assert!(questions <= QUESTIONS_UNANSWERED_MAX);
    assert!(lists <= LIST_PARTS_IN_FLIGHT_MAX);
    assert!(open <= OPEN_REQUESTS_PER_PEER_MAX);
    assert!(parked <= PARKED_REQUESTS_MAX);
    assert!(told <= CONTENTS_PER_PEER_MAX);
}

/// Bytes that are read as choices.
struct Script<'a> {
    bytes: &'a [u8],
    /// Higher than any number the peer used.
    next: u32,
}

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// One of its groups, another, or none.
    fn group(&mut self) -> Option<GroupId> {
        let key = 7 + self.byte() % 4;
        (key < 10).then(|| group(key))
    }

    /// A number of up to 28 bits, small ones more often.
    fn number(&mut self) -> u32 {
        let shift = self.byte() % 21;
        u32::from(self.byte()) << shift
    }

    /// A number that ascends, as honest ones do; any number now and then.
    fn ascending(&mut self) -> u32 {
        if self.byte() < 4 {
            return self.number();
        }
        self.next += 32;
        self.next
    }

    /// An answer to a frame of the session, right or wrong.
    fn answer(&mut self, frame: &Frame) -> Option<Frame> {
        let right = !self.byte().is_multiple_of(8);
        let frame = match frame {
            Frame::Find(find) => {
                let content = ContentId { root: Hash([self.byte() % 4; 32]), len: u64::from(self.number()) };
                let answer = Answer::Here { content, whole: self.byte().is_multiple_of(2), sealed: right };
                Frame::Found(Found { answers: vec![NumberedAnswer { number: find.first, answer }] })
            }
            Frame::ListWant(ListWant { content, part }) if right => {
                let count = part.values_in(*content).ok()?;
                let values = (0..count).map(|_| Hash([self.byte(); 32])).collect();
                Frame::ListValues(ListValues { content: *content, part: *part, values })
            }
            Frame::ListWant(ListWant { content, part }) => {
                Frame::ListRefuse(ListRefuse { content: *content, part: *part })
            }
            Frame::Enrol(Enrol { number, .. }) => {
                let given = if right { Err(GrantFault::Busy) } else { Ok(vec![7; 90].into()) };
                Frame::Enrolled(Enrolled { number: *number, given })
            }
            Frame::DenyWant(of) => {
                let len = if right { 32 * 1024 } else { usize::from(self.byte()) };
                Frame::DenyPage(DenyPage { of: *of, bytes: Bytes::from(vec![7; len]) })
            }
            Frame::Want(want) => {
                Frame::Refuse(Refuse { request: want.request, reason: RefuseReason::NotHeld })
            }
            _ => return None,
        };
        frame.check().is_ok().then_some(frame)
    }

    /// A frame from the bytes that follow: a kind, a length, a body; and where that decodes to nothing, one made up.
    fn frame(&mut self) -> Option<Frame> {
        let kind = self.byte();
        let len = usize::from(self.byte() % 16).min(self.bytes.len());
        let (body, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        let announced = u32::try_from(len).ok()?.to_be_bytes();
        let header = decode_header(&[kind, announced[1], announced[2], announced[3]]).ok();
        let decoded = header.and_then(|header| decode_body(header, Bytes::copy_from_slice(body)).ok());
        decoded.or_else(|| self.made_up())
    }

    fn made_up(&mut self) -> Option<Frame> {
        let content = ContentId { root: Hash([self.byte() % 4; 32]), len: u64::from(self.number()) };
        let number = self.ascending();
        let request = RequestId(u64::from(number));
        let right = self.byte().is_multiple_of(2);
        let frame = match self.byte() % 14 {
            13 => Frame::Tags(Tags { nonce: [self.byte(); 16], tags: [self.byte(); 128] }),
            0 => {
                let count = usize::from(self.byte() % 36);
                let questions = vec![Question { id: [self.byte(); 32], proof: [0; 32] }; count];
                Frame::Find(Find { first: number, questions })
            }
            1 => Frame::Have(Have { content, pages: vec![HavePage { page: 0, bits: PageBits::All }] }),
            2 => Frame::ListWant(ListWant { content, part: ListPart::Page(u32::from(self.byte() % 4)) }),
            3 => Frame::Want(Want {
                request,
                content,
                ranges: vec![ByteRange::new(0..content.len)?],
                values: Vec::new(),
            }),
            4 => Frame::PieceClaim(PieceClaim {
                swarm: content,
                first: number % 8,
                values: vec![content.root; 3],
            }),
            5 => Frame::SegmentClaim(SegmentClaim {
                swarm: content,
                number,
                pieces: 0..1 + u32::from(self.byte() % 4),
                from_back: right,
                rate_kib: number,
            }),
            6 => Frame::Interest(Interest {
                question: Question { id: [self.byte(); 32], proof: [0; 32] },
                len: content.len,
                fetches: right,
                group: self.group(),
            }),
            7 => Frame::Leave(Leave { swarm: content }),
            8 => Frame::Token(badge(8 + self.byte() % 3).token),
            11 => Frame::Enrol(Enrol { number, ticket: right.then_some([7; 32]), group: self.group() }),
            9 => Frame::DenyWant(DenyWant {
                group: self.group(),
                version: 7,
                page: u32::from(self.byte() % 3),
            }),
            10 => Frame::Newest(Newest { group: self.group(), epoch: number, denied: 7, denied_len: 90 }),
            _ => Frame::Cancel(Cancel { request: RequestId(u64::from(self.next)) }),
        };
        frame.check().is_ok().then_some(frame)
    }
}
