//! A little node: one session per stream, as a holder of one file or as a seeker of it.
//!
//! Knows: enough to use every part of a session. Does not know: trust, leases, disks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use peer_proto::content::{ByteRange, ContentId, Hash};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::limits::{BLOCK_LEN_MAX, OPEN_REQUESTS_PER_PEER_MAX};
use peer_proto::lookup::{lookup_id, verify_know_proof};
use peer_proto::peer::PeerId;
use peer_proto::range_set::RangeSet;
use peer_proto::session::{
    Answer, ListFault, Output, RefuseReason, RequestId, Session, SessionConfig, SessionEvent,
};
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::wire::block::Passage;
use peer_proto::wire::codec::{decode_body, decode_header, encode};
use peer_proto::wire::{BLOCK_HEADER_LEN, BlockGate, BlockHeader};
use simnet::{Dice, Host, HostId, HostOutput, Neighbour};

const LEASE_LEN: u64 = 4 << 20;

/// The list of a file of so many pieces; its values are functions of the index.
pub(crate) fn list(pieces: u32) -> HashList {
    let value = |index: u32| Hash(Dice::new(u64::from(index)).bytes());
    HashList::from_values(u64::from(pieces) * 65_536, (0..pieces).map(value).collect()).unwrap()
}

fn wanted_digest() -> Digest {
    Digest::new(Algorithm::Sha256, vec![0xab; 32]).unwrap()
}

/// What travels: a frame's bytes, or a block of which only the header is real.
#[derive(Debug)]
pub(crate) enum Parcel {
    Frame(Bytes),
    Block([u8; BLOCK_HEADER_LEN]),
}

/// One line of a node's story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happening {
    Connected,
    Lost,
    Here,
    NotHere,
    List,
    ListSilent,
    Refused,
    Broken(String),
}

pub(crate) struct Node {
    me: PeerId,
    dice: Dice,
    held: Option<HashList>,
    list: Option<Arc<HashList>>,
    missing: RangeSet,
    talks: BTreeMap<HostId, Talk>,
    out: VecDeque<(HostId, Parcel, u32)>,
    story: Vec<(Instant, Happening)>,
}

/// What a node has going with one other.
struct Talk {
    session: Session,
    gate: BlockGate,
    open: BTreeMap<RequestId, ByteRange>,
    wake: Instant,
}

impl Node {
    pub(crate) fn seeker(number: u8) -> Self {
        Self {
            me: PeerId::from_public_key([number; 32]),
            dice: Dice::new(u64::from(number)),
            held: None,
            list: None,
            missing: RangeSet::new(),
            talks: BTreeMap::new(),
            out: VecDeque::new(),
            story: Vec::new(),
        }
    }

    pub(crate) fn holder(number: u8, list: HashList) -> Self {
        Self { held: Some(list), ..Self::seeker(number) }
    }

    /// Whether every byte of the wanted file has come, each once.
    pub(crate) fn is_complete(&self) -> bool {
        let open = self.talks.values().map(|talk| talk.open.len()).sum::<usize>();
        self.list.is_some() && self.missing.is_empty() && open == 0
    }

    pub(crate) fn story(&self) -> &[(Instant, Happening)] {
        &self.story
    }

    fn tell(&mut self, now: Instant, happening: Happening) {
        self.story.push((now, happening));
    }

    /// Takes everything a session has to say.
    fn drain(&mut self, peer: HostId, now: Instant) {
        loop {
            let Some(talk) = self.talks.get_mut(&peer) else { return };
            match talk.session.poll_output() {
                Output::Transmit(frame) => {
                    let bytes = encode(&frame).unwrap();
                    let len = u32::try_from(bytes.len()).unwrap();
                    self.out.push_back((peer, Parcel::Frame(bytes), len));
                }
                Output::Event(event) => self.react(peer, event, now),
                Output::WaitUntil(at) => {
                    talk.wake = at;
                    return;
                }
            }
        }
    }

    fn react(&mut self, peer: HostId, event: SessionEvent, now: Instant) {
        match event {
            SessionEvent::Ready if self.held.is_none() => self.seek(peer, now),
            SessionEvent::Found { answer: Answer::NotHere, .. } => {
                self.tell(now, Happening::NotHere);
                self.seek(peer, now);
            }
            SessionEvent::Found { answer: Answer::Here { content, .. }, .. } => {
                self.tell(now, Happening::Here);
                self.talk(peer).session.want_list(content, now);
            }
            SessionEvent::ListComplete { list, .. } => {
                self.tell(now, Happening::List);
                if self.list.is_none() {
                    self.missing.insert(ByteRange::new(0..list.content().len).unwrap());
                }
                self.list = Some(list);
                self.fetch(peer, now);
            }
            SessionEvent::ListFailed { content, reason } => {
                assert_eq!(reason, ListFault::Silent);
                self.tell(now, Happening::ListSilent);
                self.talk(peer).session.want_list(content, now);
            }
            SessionEvent::Refused { request, .. } => {
                self.tell(now, Happening::Refused);
                if let Some(range) = self.talk(peer).open.remove(&request) {
                    self.missing.insert(range);
                }
            }
            SessionEvent::Failed(error) => self.tell(now, Happening::Broken(error.to_string())),
            SessionEvent::Left { words } => self.tell(now, Happening::Broken(words)),
            asked => self.provide(peer, asked, now),
        }
    }

    fn provide(&mut self, peer: HostId, event: SessionEvent, now: Instant) {
        let Some(list) = self.held.clone() else { return };
        let me = self.me;
        let session = &mut self.talk(peer).session;
        match event {
            SessionEvent::Asked { key, id, proof } => {
                let knows =
                    verify_know_proof(&wanted_digest(), &session.peer(), &me, session.my_nonce(), &proof);
                let here = knows && id == lookup_id(&wanted_digest());
                let answer = Answer::Here { content: list.content(), whole: true, sealed: true };
                session.answer(key, if here { answer } else { Answer::NotHere }, now);
            }
            SessionEvent::ListAsked { content, part } => {
                let values = list.part(part).filter(|_| content == list.content());
                session.send_list(content, part, values);
            }
            SessionEvent::Wanted { request, content, .. } if content != list.content() => {
                session.refuse(request, RefuseReason::Other, now);
            }
            SessionEvent::Wanted { request, ranges, .. } => {
                session.finish(request);
                self.send_blocks(peer, request, ranges.iter().map(|range| range.len()).sum());
            }
            _ => {}
        }
    }

    fn send_blocks(&mut self, peer: HostId, request: RequestId, total: u64) {
        let mut offset = 0;
        while offset < total {
            let len = u32::try_from((total - offset).min(u64::from(BLOCK_LEN_MAX))).unwrap();
            let header = BlockHeader { request, offset, len };
            self.out.push_back((peer, Parcel::Block(header.encode()), len + 20));
            offset += u64::from(len);
        }
    }

    fn seek(&mut self, peer: HostId, now: Instant) {
        self.talk(peer).session.find(&[(0, wanted_digest())], now);
    }

    /// Asks for what is missing, as much as may be open.
    fn fetch(&mut self, peer: HostId, now: Instant) {
        let Some(content) = self.list.as_ref().map(|list| list.content()) else { return };
        while self.talk(peer).open.len() < OPEN_REQUESTS_PER_PEER_MAX
            && let Some(range) = self.next_lease(content)
        {
            let talk = self.talk(peer);
            let request = talk.session.request(content, vec![range], now).unwrap();
            talk.gate.expect(request, range.len());
            talk.open.insert(request, range);
            self.missing.remove(range);
        }
    }

    fn next_lease(&self, content: ContentId) -> Option<ByteRange> {
        let first = self.missing.iter().next()?;
        ByteRange::new(first.start()..first.end().min(first.start() + LEASE_LEN).min(content.len))
    }

    fn take_block(&mut self, peer: HostId, header: BlockHeader, now: Instant) {
        let talk = self.talk(peer);
        match talk.gate.pass(header, now) {
            Ok(Passage::Deliver { last: true }) => {
                talk.open.remove(&header.request);
                talk.session.close_request(header.request);
                self.fetch(peer, now);
            }
            Ok(_) => {}
            Err(fault) => self.tell(now, Happening::Broken(fault.to_string())),
        }
    }

    fn talk(&mut self, peer: HostId) -> &mut Talk {
        self.talks.get_mut(&peer).expect("events come from sessions that exist")
    }
}

impl Host for Node {
    type Message = Parcel;

    fn handle_connected(&mut self, peer: Neighbour, now: Instant) {
        let peer = peer.id;
        self.tell(now, Happening::Connected);
        // Hosts are added in the order of their numbers, from 1.
        let other = PeerId::from_public_key([u8::try_from(peer.0 + 1).unwrap(); 32]);
        let config = SessionConfig {
            me: self.me,
            peer: other,
            my_nonce: self.dice.bytes(),
            filler: self.dice.bytes(),
            badges: peer_proto::group::Badges::default(),
        };
        let session = Session::new(config, now);
        let talk = Talk { session, gate: BlockGate::default(), open: BTreeMap::new(), wake: Instant::NEVER };
        self.talks.insert(peer, talk);
        self.drain(peer, now);
    }

    fn handle_message(&mut self, from: HostId, message: Parcel, now: Instant) {
        if !self.talks.contains_key(&from) {
            return;
        }
        match message {
            Parcel::Frame(bytes) => {
                let (header, body) = bytes.split_first_chunk::<4>().unwrap();
                let frame =
                    decode_body(decode_header(header).unwrap(), Bytes::copy_from_slice(body)).unwrap();
                if let Err(error) = self.talk(from).session.handle_frame(frame, now) {
                    self.tell(now, Happening::Broken(error.to_string()));
                }
            }
            Parcel::Block(bytes) => self.take_block(from, BlockHeader::decode(&bytes).unwrap(), now),
        }
        self.drain(from, now);
    }

    fn handle_lost(&mut self, peer: HostId, now: Instant) {
        self.tell(now, Happening::Lost);
        if let Some(talk) = self.talks.remove(&peer) {
            talk.open.into_values().for_each(|range| self.missing.insert(range));
        }
        self.out.retain(|(to, _, _)| *to != peer);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<HostId> =
            self.talks.iter().filter(|(_, talk)| talk.wake <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            self.talk(peer).session.handle_timeout(now);
            self.drain(peer, now);
        }
    }

    fn poll_output(&mut self) -> HostOutput<Parcel> {
        match self.out.pop_front() {
            Some((to, message, len)) => HostOutput::Send { to, message, len },
            None => {
                let wake = self.talks.values().map(|talk| talk.wake).min();
                HostOutput::WaitUntil(wake.unwrap_or(Instant::NEVER))
            }
        }
    }
}
