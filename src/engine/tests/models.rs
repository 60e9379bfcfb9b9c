//! The models of the scripted world: files, sources and their paces, wishes.

use std::collections::BTreeSet;
use std::sync::Arc;

use peer_proto::attest::Attestation;
use peer_proto::batch::Batch;
use peer_proto::content::{ContentId, Hash};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::Badge;
use peer_proto::lookup::lookup_id;
use peer_proto::peer::PeerId;
use peer_proto::session::{Answer, RequestId, Session, SessionConfig};
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::version::Version;
use peer_proto::wire::{Frame, HaveSet, ListPart};

use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::engine::queue::QueueConfig;
use crate::engine::{EngineConfig, GroupConfig, Groups, SiteConfig};
use crate::job::{Caller, JobId, JobSpec, PeerFlags, Policy, ServeRates};

pub(super) const STEP_MS: u64 = 10;
pub(super) const MIB: u64 = 1024 * 1024;
pub(super) const JOB: JobId = JobId([7; 16]);
/// Whose jobs these are.
pub(super) const ME: Caller = Caller { uid: 1_000, is_administrator: false };

pub(super) fn peer_id(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

/// A file whose pieces have values that follow from their number and `mark`.
pub(super) fn file(len: u64, mark: u8) -> Arc<HashList> {
    altered(len, mark, &[])
}

/// The same file with some pieces false.
pub(super) fn altered(len: u64, mark: u8, false_pieces: &[u32]) -> Arc<HashList> {
    let count = peer_proto::content::Geometry::of(len).expect("short").piece_count();
    let value = |piece: u32| {
        let mut bytes = [mark; 32];
        bytes[..4].copy_from_slice(&piece.to_be_bytes());
        bytes[31] = u8::from(false_pieces.contains(&piece));
        Hash(bytes)
    };
    Arc::new(HashList::from_values(len, (0..count).map(value).collect()).expect("as many as pieces"))
}

pub(super) fn root_digest(list: &HashList) -> Digest {
    Digest::new(Algorithm::Blake3, list.content().root.0.to_vec()).expect("32 bytes")
}

pub(super) fn sha256() -> Digest {
    Digest::new(Algorithm::Sha256, vec![0x5a; 32]).expect("32 bytes")
}

pub(super) fn version(etag: &str, len: Option<u64>) -> Version {
    Version {
        final_origin: "https://example.org:443".into(),
        etag: Some(format!("\"{etag}\"")),
        last_modified: None,
        len,
    }
}

/// What a source does over the bytes it gave.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Bytes per second.
    pub(super) rate: u64,
    /// From so many bytes on, another rate (zero: silence).
    pub(super) then: Option<(u64, u64)>,
    pub(super) given: u64,
}

impl Pace {
    pub(super) fn steady(rate: u64) -> Self {
        Self { rate, then: None, given: 0 }
    }

    pub(super) fn step(&self) -> u64 {
        let rate = match self.then {
            Some((from, then)) if self.given >= from => then,
            _ => self.rate,
        };
        rate * STEP_MS / 1_000
    }
}

pub(super) struct OriginModel {
    pub(super) serves: Arc<HashList>,
    pub(super) version: Version,
    pub(super) ranges: bool,
    pub(super) digests: Vec<Digest>,
    pub(super) public: bool,
    pub(super) footing: Footing,
    pub(super) pace: Pace,
    /// What every probe and lease fails with, while set.
    pub(super) fault: Option<OriginFault>,
    /// Bytes after which a lease breaks off.
    pub(super) cuts_after: Option<u64>,
    /// It never answers a probe.
    pub(super) silent: bool,
    pub(super) probes: u32,
    pub(super) leases: u32,
}

pub(super) struct PeerModel {
    pub(super) session: Session,
    /// What it states.
    pub(super) list: Arc<HashList>,
    /// What it sends.
    pub(super) sends: Arc<HashList>,
    pub(super) have: PieceSet,
    pub(super) digest: Option<Digest>,
    pub(super) sealed: bool,
    pub(super) pace: Pace,
    pub(super) asked: u32,
    pub(super) wanted: BTreeSet<RequestId>,
    /// What it was answered, by key of its own question.
    pub(super) answers: Vec<Answer>,
    pub(super) frames: Vec<Frame>,
    /// What it passes on of attestors' words, whatever it is asked.
    pub(super) attestations: Vec<Attestation>,
    /// What an attestor says that it reads: shown before those.
    pub(super) batches: Vec<Batch>,
    /// Questions for parts of its list, if it keeps them waiting.
    pub(super) lists_held: Option<Vec<(ContentId, ListPart)>>,
}

pub(super) fn config(flags: PeerFlags) -> EngineConfig {
    EngineConfig {
        me: peer_id(1),
        seed: [3; 32],
        flags,
        embedded: false,
        expects_peers: false,
        neighbours_known: 0,
        groups: None.into(),
        site: SiteConfig::default(),
        queue: QueueConfig::default(),
        serving: ServeRates::default(),
        policy: Policy::default().over(&Policy::default()),
    }
}

/// A peer's session with the node, as a stranger or a member.
pub(super) fn session_config(id: PeerId, badge: Option<Arc<Badge>>) -> SessionConfig {
    SessionConfig {
        me: id,
        peer: peer_id(1),
        my_nonce: [id.public_key()[0]; 16],
        filler: [0; 128],
        badges: badge.into(),
    }
}

pub(super) fn spec(digests: &[Digest]) -> JobSpec {
    JobSpec {
        flags: PeerFlags::BOTH,
        auto_complete: true,
        retry_delay_s: 5,
        ..JobSpec::for_file("https://example.org/file", "/tmp/file").named_by(digests.to_vec())
    }
}

impl PeerModel {
    /// A peer of the file of this list that has nothing of it, knows no digest, and would give so many bytes a second.
    pub(super) fn new(session: Session, list: &Arc<HashList>, rate: u64) -> Self {
        Self {
            session,
            list: Arc::clone(list),
            sends: Arc::clone(list),
            have: PieceSet::new(),
            digest: None,
            sealed: false,
            pace: Pace::steady(rate),
            asked: 0,
            wanted: BTreeSet::new(),
            answers: Vec::new(),
            frames: Vec::new(),
            attestations: Vec::new(),
            lists_held: None,
            batches: Vec::new(),
        }
    }

    /// The same, with all of the file under a digest.
    pub(super) fn holding(self, digest: Digest) -> Self {
        let have = PieceSet::of(0..self.list.geometry().piece_count());
        Self { have, digest: Some(digest), sealed: true, ..self }
    }

    /// Answers the questions for its list that it kept waiting.
    pub(super) fn give_lists(&mut self, now: Instant) {
        use peer_proto::session::SessionEvent;
        let held = self.lists_held.take().unwrap_or_default();
        held.into_iter()
            .for_each(|(content, part)| self.react(SessionEvent::ListAsked { content, part }, now));
    }

    pub(super) fn react(&mut self, event: peer_proto::session::SessionEvent, now: Instant) {
        use peer_proto::session::SessionEvent;
        match event {
            SessionEvent::Asked { key, id, .. } => {
                self.asked += 1;
                let content = self.list.content();
                let whole = self.have.contains_all(0..self.list.geometry().piece_count());
                let holds = self.digest.as_ref().is_some_and(|digest| lookup_id(digest) == id);
                let answer = if holds {
                    Answer::Here { content, whole, sealed: self.sealed }
                } else {
                    Answer::NotHere
                };
                self.session.answer(key, answer, now);
                if holds && !whole {
                    let mut have = HaveSet::new(self.list.geometry().piece_count());
                    self.have.runs().for_each(|run| have.insert(run));
                    self.session.send_have(content, have, now);
                }
            }
            SessionEvent::ListAsked { content, part } => {
                if let Some(held) = &mut self.lists_held {
                    return held.push((content, part));
                }
                let values = match part {
                    ListPart::Head => Some(self.list.head()),
                    ListPart::Page(page) => self.list.page(page),
                };
                self.session.send_list(content, part, values);
            }
            SessionEvent::Wanted { request, .. } => {
                self.wanted.insert(request);
            }
            SessionEvent::Found { answer, .. } => self.answers.push(answer),
            SessionEvent::AttestWanted { number, .. } => {
                self.session.show_batches(number, self.batches.clone());
                self.session.show_attestations(number, self.attestations.clone());
            }
            _ => {}
        }
    }
}

pub(super) fn transient(message: &str, status: Option<u16>) -> OriginFault {
    OriginFault::new(Severity::Transient { retry_after: None }, message, status)
}

pub(super) fn fatal(message: &str) -> OriginFault {
    OriginFault::new(Severity::Fatal, message, Some(404))
}

/// The one group of a node that is in one.
pub(super) fn only(groups: &Groups) -> GroupConfig {
    groups.iter().next().expect("it is in one").1.clone()
}
