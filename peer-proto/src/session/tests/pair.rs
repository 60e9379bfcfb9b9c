//! Two sessions that talk to each other at once, through the codec.

use std::time::Duration;

use bytes::Bytes;

use crate::content::{ByteRange, ContentId, Hash};
use crate::digest::{Algorithm, Digest};
use crate::group::Badges;
use crate::peer::PeerId;
use crate::session::{Answer, Output, ProtocolError, Session, SessionConfig, SessionEvent};
use crate::time::Instant;
use crate::verify::HashList;
use crate::wire::codec::{decode_body, decode_header, encode};
use crate::wire::{Frame, Hello, Versions};

pub(super) fn me() -> PeerId {
    PeerId::from_public_key([1; 32])
}

pub(super) fn you() -> PeerId {
    PeerId::from_public_key([2; 32])
}

pub(super) fn digest(number: u8) -> Digest {
    Digest::new(Algorithm::Sha256, vec![number; 32]).unwrap()
}

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start..end).unwrap()
}

/// The list of a file of so many full pieces of 64 KiB; its values are functions of the index.
pub(super) fn list_of(pieces: u32) -> HashList {
    let value = |index: u32| Hash(*blake3::hash(&index.to_be_bytes()).as_bytes());
    HashList::from_values(u64::from(pieces) * 65_536, (0..pieces).map(value).collect()).unwrap()
}

pub(super) fn content(number: u8) -> ContentId {
    ContentId { root: Hash([number; 32]), len: 1 << 20 }
}

pub(super) fn hello() -> Frame {
    Frame::Hello(Hello { versions: Versions { min: 1, max: 1 }, nonce: [0xee; 16], tags: [0; 128] })
}

pub(super) fn session(now: Instant) -> Session {
    let config = SessionConfig {
        me: me(),
        peer: you(),
        my_nonce: [0xdd; 16],
        filler: [0xcc; 128],
        badges: Badges::default(),
    };
    Session::new(config, now)
}

/// One session whose other side is the test.
pub(super) struct Alone {
    pub(super) session: Session,
    pub(super) now: Instant,
    pub(super) frames: Vec<Frame>,
    pub(super) events: Vec<SessionEvent>,
    pub(super) next: Instant,
}

impl Alone {
    pub(super) fn new() -> Self {
        let now = Instant::ZERO;
        let mut alone =
            Self { session: session(now), now, frames: Vec::new(), events: Vec::new(), next: Instant::NEVER };
        alone.poll();
        alone
    }

    /// With the Hellos exchanged.
    pub(super) fn greeted() -> Self {
        let mut alone = Self::new();
        alone.take(hello()).unwrap();
        alone.frames.clear();
        alone.events.clear();
        alone
    }

    pub(super) fn poll(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(frame) => self.frames.push(through_the_codec(&frame)),
                Output::Event(event) => self.events.push(event),
                Output::WaitUntil(at) => {
                    self.next = at;
                    return;
                }
            }
        }
    }

    pub(super) fn take(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        let outcome = self.session.handle_frame(frame, self.now);
        self.poll();
        outcome
    }

    /// Moves time on, stopping at every moment the session waits for.
    pub(super) fn wait(&mut self, span: Duration) {
        self.poll();
        let end = self.now.after(span);
        while self.next <= end {
            self.now = self.now.max(self.next);
            self.session.handle_timeout(self.now);
            self.poll();
        }
        self.now = end;
    }

    pub(super) fn frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }

    pub(super) fn events(&mut self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.events)
    }

    /// The answers that were told, by key.
    pub(super) fn answers(&mut self) -> Vec<(u32, Answer)> {
        let answer = |event| match event {
            SessionEvent::Found { key, answer } => Some((key, answer)),
            _ => None,
        };
        self.events().into_iter().filter_map(answer).collect()
    }
}

pub(super) fn through_the_codec(frame: &Frame) -> Frame {
    let bytes = encode(frame).unwrap();
    let (header, body) = bytes.split_first_chunk::<4>().unwrap();
    decode_body(decode_header(header).unwrap(), Bytes::copy_from_slice(body)).unwrap()
}
