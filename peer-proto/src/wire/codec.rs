//! Bytes from frames and frames from bytes.
//!
//! Knows: the framing (tag, three bytes of length, body) and that every cap is checked before a buffer exists.
//! Does not know: sockets. A reader takes four bytes, asks [`decode_header`], reads as many bytes as that allows,
//! and hands them to [`decode_body`].

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::attest::AttestFault;
use crate::content::ContentId;
use crate::group::{GroupId, Token, TokenFault};
use crate::limits::{
    HAVE_PAGES_MAX, IDS_PER_FIND_MAX, LIST_PAGE_VALUES, RANGES_PER_WANT_MAX, RETRY_MAX, VALUES_PER_CLAIM_MAX,
    VALUES_PER_WANT_MAX,
};
use crate::session::RequestId;

use super::attest::{AttestWant, Attestations, Batches};
use super::fault::FrameFault;
use super::frame::{
    Cancel, Frame, FrameKind, Goodbye, Have, Hello, ListRefuse, ListValues, ListWant, Refuse, RefuseReason,
    Want,
};
use super::kin::{DenyPage, DenyWant, Enrol, Enrolled, Newest, Tags};
use super::lookup::{Find, Found, Question};
use super::meet::Register;
use super::proto;
use super::record::NotARecord;
use super::swarm::{Interest, Leave, PieceClaim, SegmentClaim};
use super::versions::Versions;

/// Bytes before the body of a frame.
pub const FRAME_HEADER_LEN: usize = 4;

/// The first four bytes of a frame, understood and within the caps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What the body is.
    pub kind: FrameKind,
    /// Bytes in the body, at most [`FrameKind::body_max`].
    pub len: u32,
}

/// Bytes that are no frame. Each is a protocol error of the peer: close, and back off (WIRE-9).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// A tag this version does not know.
    #[error("unknown frame type {tag:#04x}")]
    UnknownKind {
        /// The tag.
        tag: u8,
    },
    /// Longer than frames of this kind may be.
    #[error("a {kind:?} frame of {len} bytes: at most {} are allowed", .kind.body_max())]
    TooLong {
        /// The kind.
        kind: FrameKind,
        /// The length it announced.
        len: u32,
    },
    /// The body has another length than its header said.
    #[error("a frame announced {announced} bytes and has {len}")]
    BodyLength {
        /// What the header said.
        announced: u32,
        /// What there is.
        len: usize,
    },
    /// No protobuf.
    #[error("a {kind:?} frame cannot be parsed")]
    Protobuf {
        /// The kind.
        kind: FrameKind,
        /// Where it failed.
        #[source]
        source: prost::DecodeError,
    },
    /// A field, or a list's unit, with the wrong number of bytes.
    #[error("{field}: {len} bytes do not fit units of {unit}")]
    FieldLength {
        /// The field.
        field: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes of one unit.
        unit: usize,
    },
    /// A number that means nothing.
    #[error("{field}: unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// The value.
        value: u32,
    },
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// No attestation.
    #[error(transparent)]
    Attestation(#[from] AttestFault),
    /// No record.
    #[error(transparent)]
    Record(#[from] NotARecord),
    /// Well-formed, but against a rule of shape.
    #[error(transparent)]
    Fault(#[from] FrameFault),
}

/// A frame of our own that must not leave: a fault of this program, never of the peer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// Against a rule of shape.
    #[error(transparent)]
    Fault(#[from] FrameFault),
    /// Longer than frames of this kind may be.
    #[error("a {kind:?} frame would have {len} bytes: at most {} are allowed", .kind.body_max())]
    TooLong {
        /// The kind.
        kind: FrameKind,
        /// The length it would have.
        len: usize,
    },
}

/// The bytes of a frame, header included.
///
/// # Errors
/// [`EncodeError`] if the frame breaks a rule; frames made by a [`Session`](crate::session::Session) never do.
pub fn encode(frame: &Frame) -> Result<Bytes, EncodeError> {
    frame.check()?;
    match frame {
        Frame::Hello(hello) => write(frame, &pack_hello(hello)),
        Frame::Find(find) => write(
            frame,
            &proto::Find { first: find.first, questions: proto::pack_questions(&find.questions) },
        ),
        Frame::Found(found) => write(frame, &proto::Found { answers: proto::pack_answers(&found.answers) }),
        Frame::Have(have) => write(frame, &pack_have(have)),
        Frame::ListWant(ListWant { content, part }) | Frame::ListRefuse(ListRefuse { content, part }) => {
            write(frame, &pack_list(*content, *part, Bytes::new()))
        }
        Frame::ListValues(list) => {
            write(frame, &pack_list(list.content, list.part, proto::pack_values(&list.values)))
        }
        Frame::Want(want) => write(frame, &pack_want(want)),
        Frame::Cancel(cancel) => write(frame, &proto::Cancel { request: cancel.request.0 }),
        Frame::Refuse(refuse) => write(frame, &pack_refuse(*refuse)),
        Frame::Goodbye(goodbye) => write(frame, &proto::Goodbye { words: goodbye.words.clone() }),
        Frame::Interest(interest) => write(frame, &pack_interest(interest)),
        Frame::Leave(leave) => write(frame, &pack_claim(leave.swarm, 0)),
        Frame::PieceClaim(claim) => write(
            frame,
            &proto::SwarmClaim {
                start: claim.first,
                values: proto::pack_values(&claim.values),
                ..pack_claim(claim.swarm, 0)
            },
        ),
        Frame::SegmentClaim(claim) => write(
            frame,
            &proto::SwarmClaim {
                start: claim.pieces.start,
                end: claim.pieces.end,
                from_back: claim.from_back,
                rate_kib: claim.rate_kib,
                ..pack_claim(claim.swarm, claim.number)
            },
        ),
        Frame::Token(token) => write(frame, &proto::Packed { packed: token.bytes().clone() }),
        Frame::Records(records) => write(frame, &proto::Packed { packed: proto::pack_records(records) }),
        Frame::AttestWant(want) => {
            write(frame, &proto::AttestWant { number: want.number, id: Bytes::copy_from_slice(&want.id) })
        }
        Frame::Attestations(answer) => {
            let packed = proto::pack_attestations(&answer.list);
            write(frame, &proto::Attestations { number: answer.number, packed })
        }
        Frame::Batches(batches) => {
            let packed = proto::pack_batches(&batches.list);
            write(frame, &proto::Attestations { number: batches.number, packed })
        }
        Frame::Against(against) => write(frame, &proto::pack_against(against)),
        Frame::Newest(Newest { group, epoch, denied, denied_len }) => {
            let group = pack_group(*group);
            write(frame, &proto::Newest { epoch: *epoch, denied: *denied, denied_len: *denied_len, group })
        }
        Frame::DenyWant(want) => write(frame, &pack_deny(*want, Bytes::new())),
        Frame::DenyPage(page) => write(frame, &pack_deny(page.of, page.bytes.clone())),
        Frame::Enrol(Enrol { number, ticket, group }) => {
            let ticket = ticket.map_or_else(Bytes::new, |secret| Bytes::copy_from_slice(&secret));
            write(frame, &proto::Enrol { number: *number, ticket, group: pack_group(*group) })
        }
        Frame::Enrolled(answer) => write(frame, &proto::pack_given(answer.number, &answer.given)),
        Frame::Tags(tags) => write(frame, &pack_tags(tags)),
        Frame::Register(register) => write(frame, &proto::Register { port: u32::from(register.port) }),
        Frame::Named(named) => write(frame, &proto::Packed { packed: proto::pack_named(named) }),
    }
}

/// Understands the first four bytes of a frame. The caller may then make a buffer of `len` bytes, no sooner.
///
/// # Errors
/// [`DecodeError::UnknownKind`] and [`DecodeError::TooLong`]: close the connection.
pub fn decode_header(bytes: &[u8; FRAME_HEADER_LEN]) -> Result<FrameHeader, DecodeError> {
    let [tag, high, middle, low] = *bytes;
    let kind = FrameKind::from_tag(tag).ok_or(DecodeError::UnknownKind { tag })?;
    let len = u32::from_be_bytes([0, high, middle, low]);
    if len > kind.body_max() {
        return Err(DecodeError::TooLong { kind, len });
    }
    Ok(FrameHeader { kind, len })
}

/// A frame from its body. What comes out is valid in every respect that can be seen without the dialogue.
///
/// # Errors
/// [`DecodeError`]: close the connection.
pub fn decode_body(header: FrameHeader, body: Bytes) -> Result<Frame, DecodeError> {
    if u32::try_from(body.len()) != Ok(header.len) {
        return Err(DecodeError::BodyLength { announced: header.len, len: body.len() });
    }
    let frame = match header.kind {
        FrameKind::Hello => hello(&parse(header.kind, body)?)?,
        FrameKind::Find => find(&parse(header.kind, body)?)?,
        FrameKind::Found => found(&parse(header.kind, body)?)?,
        FrameKind::Have => have(&parse(header.kind, body)?)?,
        FrameKind::ListWant => {
            let list: proto::List = parse(header.kind, body)?;
            let content = proto::content(&list.root, list.len)?;
            Frame::ListWant(ListWant { content, part: proto::part(list.part) })
        }
        FrameKind::Want => want(&parse(header.kind, body)?)?,
        FrameKind::Cancel => {
            let cancel: proto::Cancel = parse(header.kind, body)?;
            Frame::Cancel(Cancel { request: RequestId(cancel.request) })
        }
        FrameKind::Refuse => refuse(&parse(header.kind, body)?)?,
        FrameKind::Goodbye => {
            let goodbye: proto::Goodbye = parse(header.kind, body)?;
            Frame::Goodbye(Goodbye { words: goodbye.words })
        }
        FrameKind::ListValues => list_values(&parse(header.kind, body)?)?,
        FrameKind::ListRefuse => {
            let list: proto::List = parse(header.kind, body)?;
            let content = proto::content(&list.root, list.len)?;
            Frame::ListRefuse(ListRefuse { content, part: proto::part(list.part) })
        }
        FrameKind::Interest => interest(&parse(header.kind, body)?)?,
        FrameKind::Leave | FrameKind::PieceClaim | FrameKind::SegmentClaim => {
            swarm_claim(header.kind, &parse(header.kind, body)?)?
        }
        FrameKind::Token => {
            let body: proto::Packed = parse(header.kind, body)?;
            Frame::Token(Token::parse(body.packed)?)
        }
        FrameKind::Records => {
            let body: proto::Packed = parse(header.kind, body)?;
            Frame::Records(proto::records(&body.packed)?)
        }
        FrameKind::AttestWant => {
            let body: proto::AttestWant = parse(header.kind, body)?;
            Frame::AttestWant(AttestWant { number: body.number, id: proto::exactly("id", &body.id)? })
        }
        FrameKind::Attestations => {
            let body: proto::Attestations = parse(header.kind, body)?;
            Frame::Attestations(Attestations {
                number: body.number,
                list: proto::attestations(&body.packed)?,
            })
        }
        FrameKind::Batches => {
            let body: proto::Attestations = parse(header.kind, body)?;
            Frame::Batches(Batches { number: body.number, list: proto::batches(&body.packed)? })
        }
        FrameKind::Against => Frame::Against(proto::against(&parse(header.kind, body)?)?),
        FrameKind::Newest
        | FrameKind::DenyWant
        | FrameKind::DenyPage
        | FrameKind::Enrol
        | FrameKind::Enrolled
        | FrameKind::Tags => handed_on(header.kind, body)?,
        FrameKind::Register => Frame::Register(registered(&parse(header.kind, body)?)?),
        FrameKind::Named => Frame::Named(proto::named(&parse::<proto::Packed>(header.kind, body)?.packed)?),
    };
    frame.check()?;
    Ok(frame)
}

fn registered(body: &proto::Register) -> Result<Register, DecodeError> {
    let port = u16::try_from(body.port);
    let port = port.map_err(|_| DecodeError::UnknownValue { field: "port", value: body.port })?;
    Ok(Register { port })
}

/// What members hand on, and enrollers give: kinds from 0x30 on.
fn handed_on(kind: FrameKind, body: Bytes) -> Result<Frame, DecodeError> {
    Ok(match kind {
        FrameKind::Newest => {
            let proto::Newest { epoch, denied, denied_len, group } = parse(kind, body)?;
            Frame::Newest(Newest { group: group_of(&group)?, epoch, denied, denied_len })
        }
        FrameKind::DenyWant => {
            let proto::DenyPage { version, page, group, .. } = parse(kind, body)?;
            Frame::DenyWant(DenyWant { group: group_of(&group)?, version, page })
        }
        FrameKind::Enrol => {
            let proto::Enrol { number, ticket, group } = parse(kind, body)?;
            let has_one = !ticket.is_empty();
            let ticket = has_one.then(|| proto::exactly("ticket", &ticket)).transpose()?;
            Frame::Enrol(Enrol { number, ticket, group: group_of(&group)? })
        }
        FrameKind::DenyPage => {
            let proto::DenyPage { version, page, bytes, group } = parse(kind, body)?;
            Frame::DenyPage(DenyPage { of: DenyWant { group: group_of(&group)?, version, page }, bytes })
        }
        FrameKind::Tags => {
            let proto::Tags { nonce, tags } = parse(kind, body)?;
            let tags = proto::exactly("tags", &tags)?;
            Frame::Tags(Tags { nonce: proto::exactly("nonce", &nonce)?, tags })
        }
        _ => {
            let answer: proto::Enrolled = parse(kind, body)?;
            Frame::Enrolled(Enrolled { number: answer.number, given: proto::given(answer)? })
        }
    })
}

fn parse<M: Message + Default>(kind: FrameKind, body: Bytes) -> Result<M, DecodeError> {
    M::decode(body).map_err(|source| DecodeError::Protobuf { kind, source })
}

fn write(frame: &Frame, body: &impl Message) -> Result<Bytes, EncodeError> {
    let kind = frame.kind();
    let len = body.encoded_len();
    let announced = match u32::try_from(len) {
        Ok(announced) if announced <= kind.body_max() => announced,
        _ => return Err(EncodeError::TooLong { kind, len }),
    };
    let [_, high, middle, low] = announced.to_be_bytes();
    let mut out = BytesMut::with_capacity(FRAME_HEADER_LEN + len);
    out.put_slice(&[kind.tag(), high, middle, low]);
    out.put_slice(&body.encode_to_vec());
    Ok(out.freeze())
}

fn pack_tags(tags: &Tags) -> proto::Tags {
    proto::Tags { nonce: Bytes::copy_from_slice(&tags.nonce), tags: Bytes::copy_from_slice(&tags.tags) }
}

fn pack_hello(hello: &Hello) -> proto::Hello {
    proto::Hello {
        version_min: hello.versions.min,
        version_max: hello.versions.max,
        nonce: Bytes::copy_from_slice(&hello.nonce),
        tags: Bytes::copy_from_slice(&hello.tags),
    }
}

fn hello(body: &proto::Hello) -> Result<Frame, DecodeError> {
    Ok(Frame::Hello(Hello {
        versions: Versions { min: body.version_min, max: body.version_max },
        nonce: proto::exactly("nonce", &body.nonce)?,
        tags: proto::exactly("tags", &body.tags)?,
    }))
}

fn find(body: &proto::Find) -> Result<Frame, DecodeError> {
    bounded(body.questions.len(), 64, IDS_PER_FIND_MAX)?;
    Ok(Frame::Find(Find { first: body.first, questions: proto::questions(&body.questions)? }))
}

fn found(body: &proto::Found) -> Result<Frame, DecodeError> {
    bounded(body.answers.len(), 45, IDS_PER_FIND_MAX)?;
    Ok(Frame::Found(Found { answers: proto::answers(&body.answers)? }))
}

/// Refuses too many questions or answers before they are unpacked.
fn bounded(len: usize, unit: usize, count_max: usize) -> Result<(), DecodeError> {
    let count = len.div_ceil(unit);
    if count > count_max { Err(FrameFault::QuestionCount { count }.into()) } else { Ok(()) }
}

fn pack_group(group: Option<GroupId>) -> Bytes {
    group.map_or_else(Bytes::new, |group| Bytes::copy_from_slice(&group.0))
}

/// Of the nodes of versions that knew one group only it is absent.
fn group_of(bytes: &Bytes) -> Result<Option<GroupId>, DecodeError> {
    let has_one = !bytes.is_empty();
    has_one.then(|| proto::exactly("group", bytes).map(GroupId)).transpose()
}

fn pack_deny(of: DenyWant, bytes: Bytes) -> proto::DenyPage {
    proto::DenyPage { version: of.version, page: of.page, bytes, group: pack_group(of.group) }
}

fn pack_have(have: &Have) -> proto::Have {
    proto::Have {
        root: proto::root_bytes(have.content),
        len: have.content.len,
        pages: proto::pack_pages(&have.pages),
    }
}

fn have(body: &proto::Have) -> Result<Frame, DecodeError> {
    let content = proto::content(&body.root, body.len)?;
    Ok(Frame::Have(Have { content, pages: proto::pages(&body.pages, HAVE_PAGES_MAX)? }))
}

fn pack_list(content: crate::content::ContentId, part: super::frame::ListPart, values: Bytes) -> proto::List {
    proto::List { root: proto::root_bytes(content), len: content.len, part: proto::pack_part(part), values }
}

fn list_values(body: &proto::List) -> Result<Frame, DecodeError> {
    let content = proto::content(&body.root, body.len)?;
    let part = proto::part(body.part);
    let expected = part.values_in(content)?;
    let count = body.values.len().div_ceil(32);
    if u32::try_from(count).map_or(true, |count| count > LIST_PAGE_VALUES) {
        return Err(FrameFault::ValueCount { count, expected }.into());
    }
    Ok(Frame::ListValues(ListValues { content, part, values: proto::values(&body.values)? }))
}

fn pack_want(want: &Want) -> proto::Want {
    proto::Want {
        request: want.request.0,
        root: proto::root_bytes(want.content),
        len: want.content.len,
        ranges: proto::pack_ranges(&want.ranges),
        values: proto::pack_values(&want.values),
    }
}

fn want(body: &proto::Want) -> Result<Frame, DecodeError> {
    if body.values.len() > VALUES_PER_WANT_MAX * 32 {
        return Err(FrameFault::WantedValueCount { count: body.values.len() / 32 }.into());
    }
    Ok(Frame::Want(Want {
        request: RequestId(body.request),
        content: proto::content(&body.root, body.len)?,
        ranges: proto::ranges(&body.ranges, RANGES_PER_WANT_MAX)?,
        values: proto::values(&body.values)?,
    }))
}

fn pack_interest(interest: &Interest) -> proto::Interest {
    proto::Interest {
        id: Bytes::copy_from_slice(&interest.question.id),
        proof: Bytes::copy_from_slice(&interest.question.proof),
        len: interest.len,
        fetches: interest.fetches,
        group: pack_group(interest.group),
    }
}

fn interest(body: &proto::Interest) -> Result<Frame, DecodeError> {
    let question =
        Question { id: proto::exactly("id", &body.id)?, proof: proto::exactly("proof", &body.proof)? };
    let group = group_of(&body.group)?;
    Ok(Frame::Interest(Interest { question, len: body.len, fetches: body.fetches, group }))
}

fn pack_claim(swarm: ContentId, number: u32) -> proto::SwarmClaim {
    proto::SwarmClaim { root: proto::root_bytes(swarm), len: swarm.len, number, ..Default::default() }
}

/// Leaving, and claims of all kinds: they share one body.
fn swarm_claim(kind: FrameKind, body: &proto::SwarmClaim) -> Result<Frame, DecodeError> {
    let swarm = proto::content(&body.root, body.len)?;
    let number = body.number;
    Ok(match kind {
        FrameKind::PieceClaim => {
            if body.values.len() > VALUES_PER_CLAIM_MAX * 32 {
                return Err(FrameFault::ClaimCount { count: body.values.len() / 32 }.into());
            }
            Frame::PieceClaim(PieceClaim { swarm, first: body.start, values: proto::values(&body.values)? })
        }
        FrameKind::SegmentClaim => Frame::SegmentClaim(SegmentClaim {
            swarm,
            number,
            pieces: body.start..body.end,
            from_back: body.from_back,
            rate_kib: body.rate_kib,
        }),
        _ => Frame::Leave(Leave { swarm }),
    })
}

const REFUSE_OTHER: u32 = 1;
const REFUSE_NOT_HELD: u32 = 2;
const REFUSE_BUSY: u32 = 3;

fn pack_refuse(refuse: Refuse) -> proto::Refuse {
    let (reason, retry) = match refuse.reason {
        RefuseReason::Other => (REFUSE_OTHER, None),
        RefuseReason::NotHeld => (REFUSE_NOT_HELD, None),
        RefuseReason::Busy { retry } => (REFUSE_BUSY, Some(retry.min(RETRY_MAX))),
    };
    let retry_ms = retry.map_or(0, |retry| u32::try_from(retry.as_millis()).unwrap_or(u32::MAX));
    proto::Refuse { request: refuse.request.0, reason, retry_ms }
}

fn refuse(body: &proto::Refuse) -> Result<Frame, DecodeError> {
    let reason = match body.reason {
        REFUSE_OTHER => RefuseReason::Other,
        REFUSE_NOT_HELD => RefuseReason::NotHeld,
        REFUSE_BUSY => {
            RefuseReason::Busy { retry: std::time::Duration::from_millis(u64::from(body.retry_ms)) }
        }
        value => return Err(DecodeError::UnknownValue { field: "reason", value }),
    };
    Ok(Frame::Refuse(Refuse { request: RequestId(body.request), reason }))
}
