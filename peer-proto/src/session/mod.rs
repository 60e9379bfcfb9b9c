//! The dialogue of two peers, both halves, without IO.
//!
//! Knows: which frame may follow which, the limits of one peer, when an answer is overdue. Does not know: sockets,
//! files, which peer is worth asking, whether a peer may be answered.
//!
//! One [`Session`] per connected peer. The contract of its caller: *one* command, [`Session::handle_frame`] or
//! [`Session::handle_timeout`], then [`Session::poll_output`] until it says [`Output::WaitUntil`], then wait for
//! that moment or the next frame. After a [`ProtocolError`] the last output is a `Goodbye`: send it, then close.
//! Blocks do not pass here: the transport routes them by request, behind a [`BlockGate`](crate::wire::BlockGate).
//! Everything a session keeps is bounded, whatever the peer sends ([`crate::limits`]).

mod enrolling;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzz;
mod handing;
mod kin;
mod lists;
mod meet;
mod pace;
mod provider;
mod questions;
mod requester;
mod timer;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::content::{ByteRange, ContentId, Geometry, Hash};
use crate::digest::Digest;
use crate::group::{Badges, GroupId};
use crate::home::swarm_id;
use crate::limits::{HELLO_TIMEOUT, VALUES_PER_CLAIM_MAX};
use crate::lookup::{know_proof, lookup_id};
use crate::peer::PeerId;
use crate::time::Instant;
use crate::wire::{
    Frame, Goodbye, HaveSet, Hello, Interest, Leave, ListPart, PieceClaim, Question, SegmentClaim, Tags,
    Versions,
};

pub use crate::wire::{Answer, RefuseReason};
pub use error::{ListFault, ProtocolError};
pub use event::SessionEvent;
pub use handing::{EnrolBy, HandedOn};
pub use requester::RequestError;

use kin::Kin;
use meet::Meeting;
use provider::Provider;
use questions::Binding;
use requester::Requester;
use timer::{Timer, Timers};

/// Names a request in one session: chosen by the requester, ascending; the blocks that answer it carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// What a session is between.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// This node, as the channel proved it.
    pub me: PeerId,
    /// The other node, as the channel proved it.
    pub peer: PeerId,
    /// 16 fresh random bytes for this session.
    pub my_nonce: [u8; 16],
    /// 128 fresh random bytes: they stand where group tags would, or around them (GROUP-2).
    pub filler: [u8; 128],
    /// What this node shows to other members of its groups; a stranger shows nothing.
    pub badges: Badges,
}

/// What a session wants next.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this frame, in this order.
    Transmit(Frame),
    /// Something happened.
    Event(SessionEvent),
    /// Nothing until this moment, or the next frame.
    WaitUntil(Instant),
}

/// One dialogue with one peer.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    requester: Requester,
    provider: Provider,
    kin: Kin,
    meeting: Meeting,
    timers: Timers,
    out: Outbox,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Our Hello is out, the peer's is not here.
    Greeting,
    Open {
        version: u32,
        peer_nonce: [u8; 16],
    },
    /// Failed, or somebody said goodbye.
    Over,
}

impl Session {
    /// Begins a dialogue; its first output is our Hello.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let mut session = Self {
            state: State::Greeting,
            requester: Requester::new(now),
            provider: Provider::new(now),
            kin: Kin::new(now),
            meeting: Meeting::new(now),
            timers: Timers::default(),
            out: Outbox::default(),
            config,
        };
        session.out.frame(Frame::Hello(Hello {
            versions: Versions::OURS,
            nonce: session.config.my_nonce,
            tags: session.config.tags(),
        }));
        session.timers.set(Timer::Hello, now.after(HELLO_TIMEOUT));
        session
    }

    /// Who the other side is.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.config.peer
    }

    /// Our nonce in this session: proofs in [`SessionEvent::Asked`] are made for it.
    #[must_use]
    pub const fn my_nonce(&self) -> &[u8; 16] {
        &self.config.my_nonce
    }

    /// The version both sides speak, while the session is open.
    #[must_use]
    pub const fn version(&self) -> Option<u32> {
        match self.state {
            State::Open { version, .. } => Some(version),
            State::Greeting | State::Over => None,
        }
    }

    /// Whether the session failed or was closed in words; commands do nothing then.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Asks who holds what these digests name. Each question is answered by one [`SessionEvent::Found`] with its
    /// key. At most 20 leave at once and 10 a second after that; beyond 512 that wait, the answer is "not here"
    /// without asking.
    pub fn find(&mut self, questions: &[(u32, Digest)], now: Instant) {
        if !self.is_over() {
            self.requester.questions.add(questions, &mut self.out);
            self.ask(now);
        }
    }

    /// Wants the hash list of a content, which ends in [`SessionEvent::ListComplete`] or
    /// [`SessionEvent::ListFailed`]. Lists come one after the other.
    pub fn want_list(&mut self, content: ContentId, now: Instant) {
        if !self.is_over() {
            self.requester.lists.add(content, &mut self.out);
            self.pump_lists(now);
        }
    }

    /// Asks for bytes; the answer comes as blocks, or as [`SessionEvent::Refused`].
    ///
    /// # Errors
    /// [`RequestError`]: nothing was sent.
    pub fn request(
        &mut self,
        content: ContentId,
        ranges: Vec<ByteRange>,
        now: Instant,
    ) -> Result<RequestId, RequestError> {
        self.request_values(content, ranges, Vec::new(), now)
    }

    /// Asks for whole pieces inside a swarm, each by its value: at most 64.
    ///
    /// # Errors
    /// [`RequestError`]: nothing was sent.
    pub fn request_values(
        &mut self,
        swarm: ContentId,
        ranges: Vec<ByteRange>,
        values: Vec<Hash>,
        _now: Instant,
    ) -> Result<RequestId, RequestError> {
        match self.state {
            State::Open { .. } => self.requester.request(swarm, ranges, values, &mut self.out),
            State::Greeting | State::Over => Err(RequestError::NotOpen),
        }
    }

    /// Whether the peer knows the frames of swarms.
    #[must_use]
    pub fn speaks_swarm(&self) -> bool {
        self.version().is_some_and(|version| version >= Versions::SWARM)
    }

    /// Joins those who fetch a file together, as one who is in no group: see [`join_in`](Self::join_in).
    pub fn join(&mut self, digest: &Digest, len: u64, fetches: bool) {
        self.join_in(None, digest, len, fetches);
    }

    /// Joins those who fetch a file together, or says anew what this node can do; in which of its groups it does so is told
    /// to members of that. From now on the peer's have-set of the swarm is kept.
    pub fn join_in(&mut self, group: Option<GroupId>, digest: &Digest, len: u64, fetches: bool) {
        let State::Open { peer_nonce, .. } = self.state else { return };
        if self.speaks_swarm() && Geometry::of(len).is_ok() {
            let SessionConfig { me, peer, .. } = self.config;
            self.requester.expect_have(swarm_id(digest, len));
            let proof = know_proof(digest, &me, &peer, &peer_nonce);
            let question = Question { id: lookup_id(digest).0, proof };
            self.out.frame(Frame::Interest(Interest {
                question,
                len,
                fetches,
                group: self.only_to_kin(group),
            }));
        }
    }

    /// Wants a file no more: the peer's have-set of the swarm is forgotten. Open requests stay.
    pub fn leave(&mut self, swarm: ContentId) {
        self.requester.forget(swarm);
        if self.speaks_swarm() {
            self.out.frame(Frame::Leave(Leave { swarm }));
        }
    }

    /// States values of pieces this node read from the origin; any number, from one run of pieces.
    pub fn claim_pieces(&mut self, swarm: ContentId, first: u32, values: &[Hash]) {
        if self.speaks_swarm() {
            for (values, first) in
                values.chunks(VALUES_PER_CLAIM_MAX).zip((first..).step_by(VALUES_PER_CLAIM_MAX))
            {
                self.out.frame(Frame::PieceClaim(PieceClaim { swarm, first, values: values.to_vec() }));
            }
        }
    }

    /// Says what this node fetches from the origin now.
    pub fn claim_segment(&mut self, claim: SegmentClaim) {
        if self.speaks_swarm() {
            self.out.frame(Frame::SegmentClaim(claim));
        }
    }

    /// All blocks of a request arrived: its place is free again.
    pub fn close_request(&mut self, request: RequestId) {
        self.requester.close_request(request);
    }

    /// Takes a request back. Blocks under way may still arrive.
    pub fn cancel(&mut self, request: RequestId, _now: Instant) {
        if !self.is_over() {
            self.requester.cancel(request, &mut self.out);
        }
    }

    /// Wants nothing more of a content: its have-set and its list are forgotten. Open requests stay.
    pub fn forget(&mut self, content: ContentId, now: Instant) {
        self.requester.forget(content);
        if !self.is_over() {
            self.pump_lists(now);
        }
    }

    /// What the peer says it serves of a content it named in an answer to us.
    #[must_use]
    pub fn have(&self, content: ContentId) -> Option<&HaveSet> {
        self.requester.have_set(content)
    }

    /// Bytes of memory the peer's have-sets take, about (WIRE-4: all peers together get 16 MiB).
    #[must_use]
    pub fn have_memory(&self) -> usize {
        self.requester.have_memory()
    }

    /// Forgets what the peer said it serves of the content that it named first among those of which anything is kept, and says
    /// which that is; what it says of it from now on is kept again. For when all peers together take too much.
    pub fn forget_oldest_have(&mut self) -> Option<ContentId> {
        self.requester.forget_oldest_have()
    }

    /// Requests of ours that are open; at most 8.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.requester.open_count()
    }

    /// Answers a question of the peer. Hit and miss leave at the next 5 ms tick. Unless the whole file is served,
    /// [`send_have`](Self::send_have) follows.
    pub fn answer(&mut self, key: u32, answer: Answer, now: Instant) {
        if !self.is_over() {
            self.provider.answer(key, answer, now, &mut self.timers);
        }
    }

    /// Tells what we serve of a content the peer asked about: whole at first, then what changed, every 50 ms at
    /// most. A set of another number of pieces than the content has is not told.
    pub fn send_have(&mut self, content: ContentId, have: HaveSet, now: Instant) {
        let fits = Geometry::of(content.len).is_ok_and(|cut| cut.piece_count() == have.piece_count());
        if fits && !self.is_over() {
            self.provider.set_have(content, have, now, &mut self.timers);
        }
    }

    /// Answers [`SessionEvent::ListAsked`]; `None`, or a wrong number of values, says no.
    pub fn send_list(&mut self, content: ContentId, part: ListPart, values: Option<Vec<Hash>>) {
        if !self.is_over() {
            self.provider.send_list(content, part, values, &mut self.out);
        }
    }

    /// Says no to a request of the peer. A time to ask again is brought between 1 ms and 60 s.
    pub fn refuse(&mut self, request: RequestId, reason: RefuseReason, _now: Instant) {
        if self.is_over() {
            return;
        }
        let reason = match reason {
            RefuseReason::Busy { retry } => {
                let retry = retry.clamp(Duration::from_millis(1), crate::limits::RETRY_MAX);
                RefuseReason::Busy { retry }
            }
            RefuseReason::Other | RefuseReason::NotHeld => reason,
        };
        self.provider.refuse(request, reason, &mut self.out, &mut self.timers);
    }

    /// A request of the peer was served, as far as it goes: its place is free again.
    pub fn finish(&mut self, request: RequestId) {
        if !self.is_over() {
            self.provider.finish(request, &mut self.out, &mut self.timers);
        }
    }

    /// Closes the session in words, which are cut at 200 bytes.
    pub fn goodbye(&mut self, words: &str) {
        if !self.is_over() {
            self.out.frame(Frame::Goodbye(Goodbye { words: error::fit(words) }));
            self.end();
        }
    }

    /// Takes in a frame of the peer.
    ///
    /// # Errors
    /// The peer broke the protocol. The session is over: send what is left to send, close, and back off (WIRE-9).
    pub fn handle_frame(&mut self, frame: Frame, now: Instant) -> Result<(), ProtocolError> {
        let outcome = match self.state {
            State::Over => Ok(()),
            State::Greeting => self.greet(&frame, now),
            State::Open { .. } => self.take(frame, now),
        };
        if let Err(error) = &outcome {
            self.goodbye(&error.to_string());
        }
        outcome
    }

    /// Lets the timers fire that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hello => {
                    self.goodbye(&ProtocolError::NoHello.to_string());
                    self.out.event(SessionEvent::Failed(ProtocolError::NoHello));
                }
                Timer::Reply => self.requester.questions.expire(now, &mut self.out, &mut self.timers),
                Timer::Ask => self.ask(now),
                Timer::List => {
                    self.requester.lists.expire(now, &mut self.out);
                    self.pump_lists(now);
                }
                Timer::Answer => self.provider.send_answers(&mut self.out),
                Timer::Have => self.provider.send_have(now, &mut self.out, &mut self.timers),
                Timer::Parked => self.provider.refuse_parked(now, &mut self.out, &mut self.timers),
            }
        }
    }

    /// What to do next; after [`Output::WaitUntil`] nothing until something is handled.
    pub fn poll_output(&mut self) -> Output {
        self.out.queue.pop_front().unwrap_or_else(|| Output::WaitUntil(self.timers.next()))
    }

    fn greet(&mut self, frame: &Frame, now: Instant) -> Result<(), ProtocolError> {
        frame.check()?;
        let Frame::Hello(hello) = frame else {
            return Err(ProtocolError::NotHello { kind: frame.kind() });
        };
        let common = Versions::OURS.common(hello.versions);
        let version = common.ok_or(ProtocolError::NoCommonVersion { theirs: hello.versions })?;
        self.state = State::Open { version, peer_nonce: hello.nonce };
        self.kin.groups = self.config.common_groups(version, hello);
        self.kin.shown = Some(Tags { nonce: hello.nonce, tags: hello.tags });
        self.timers.stop(Timer::Hello);
        self.out.event(SessionEvent::Ready);
        self.show_tokens();
        self.ask(now);
        self.pump_lists(now);
        Ok(())
    }

    fn take(&mut self, frame: Frame, now: Instant) -> Result<(), ProtocolError> {
        frame.check()?;
        let Self { requester, provider, out, timers, .. } = self;
        match frame {
            Frame::Hello(_) => return Err(ProtocolError::SecondHello),
            Frame::Find(find) => provider.find(find, now, out, timers)?,
            Frame::Found(found) => requester.found(found, out, timers)?,
            Frame::Have(have) => requester.have(&have, out),
            Frame::ListWant(want) => provider.list_want(want, out)?,
            Frame::Want(want) => provider.want(want, now, out, timers)?,
            Frame::Cancel(cancel) => provider.cancelled(cancel.request, out, timers)?,
            Frame::Refuse(refuse) => requester.refused(refuse, out)?,
            Frame::ListValues(list) => {
                requester.lists.take(list.content, list.part, Some(&list.values), out)?;
                self.pump_lists(now);
            }
            Frame::ListRefuse(list) => {
                requester.lists.take(list.content, list.part, None, out)?;
                self.pump_lists(now);
            }
            Frame::Interest(mut interest) => {
                interest.group = self.swarm_group(interest.group);
                self.provider.interested(interest, now, &mut self.out);
            }
            Frame::Leave(leave) => out.event(SessionEvent::Withdrew { swarm: leave.swarm }),
            Frame::PieceClaim(claim) => out.event(SessionEvent::PiecesClaimed(claim)),
            Frame::SegmentClaim(claim) => out.event(SessionEvent::SegmentClaimed(claim)),
            Frame::Enrol(ask) => self.enrol_asked(&ask, now)?,
            Frame::Enrolled(answer) => self.enrolled(&answer)?,
            Frame::Tags(tags) => self.tags_shown(tags, now),
            Frame::Register(register) => self.registers(register, now),
            Frame::Named(named) => self.named(named)?,
            Frame::Goodbye(goodbye) => {
                out.event(SessionEvent::Left { words: goodbye.words });
                self.end();
            }
            kin => self.kin_said(kin, now)?,
        }
        Ok(())
    }

    fn ask(&mut self, now: Instant) {
        if let State::Open { peer_nonce, .. } = self.state {
            let SessionConfig { me, peer, .. } = self.config;
            let binding = Binding { asker: me, answerer: peer, nonce: peer_nonce };
            self.requester.questions.pump(binding, now, &mut self.out, &mut self.timers);
        }
    }

    fn pump_lists(&mut self, now: Instant) {
        if let State::Open { .. } = self.state {
            self.requester.lists.pump(now, &mut self.out, &mut self.timers);
        }
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.timers.stop_all();
    }
}

/// What waits to be polled.
#[derive(Debug, Default)]
struct Outbox {
    queue: VecDeque<Output>,
}

impl Outbox {
    fn frame(&mut self, frame: Frame) {
        self.queue.push_back(Output::Transmit(frame));
    }

    fn event(&mut self, event: SessionEvent) {
        self.queue.push_back(Output::Event(event));
    }
}
