//! The bodies of control frames as protobuf messages, and the packed lists inside them.
//!
//! Knows: field numbers and byte layouts. Does not know: whether values make sense ([`frame`](super::frame) does).
//! Every list travels as one `bytes` field, so that a small frame cannot decode into many objects (WIRE-2).

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use crate::attest::{AttestFault, Attestation};
use crate::batch::Batch;
use crate::content::{ByteRange, ContentId, Hash};
use crate::evidence::{self, Contradiction, Kind};
use crate::group::GrantFault;
use crate::limits::{
    ATTESTATIONS_PER_FRAME_MAX, BATCHES_PER_FRAME_MAX, PEERS_NAMED_MAX, RECORDS_PER_FRAME_MAX,
};
use crate::peer::PeerId;
use crate::void::Void;

use super::codec::DecodeError;
use super::fault::FrameFault;
use super::frame::{HavePage, ListPart, PageBits};
use super::lookup::{Answer, NumberedAnswer, Question};
use super::meet::NamedPeer;
use super::record::{NotARecord, Record};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(super) version_min: u32,
    #[prost(uint32, tag = "2")]
    pub(super) version_max: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) nonce: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) tags: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Find {
    #[prost(uint32, tag = "1")]
    pub(super) first: u32,
    /// 64 bytes each: id, proof.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) questions: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Found {
    /// 45 bytes each, whatever the answer: number (4), flags (1), root (32), length (8).
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) answers: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Have {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) root: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) len: u64,
    /// Page number (2), kind (1), and 128 bytes of bits if the kind says so.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) pages: Bytes,
}

/// A part of a list: also the body of `ListWant` and `ListRefuse`, whose values are absent.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct List {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) root: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) len: u64,
    /// Zero is the head, everything else the page number plus one.
    #[prost(uint32, tag = "3")]
    pub(super) part: u32,
    /// 32 bytes each.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) values: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Want {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) root: Bytes,
    #[prost(uint64, tag = "3")]
    pub(super) len: u64,
    /// 16 bytes each: start (8), end (8).
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) ranges: Bytes,
    /// 32 bytes for each piece, inside a swarm.
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) values: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Interest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) proof: Bytes,
    #[prost(uint64, tag = "3")]
    pub(super) len: u64,
    #[prost(bool, tag = "4")]
    pub(super) fetches: bool,
    /// Of the sender's group: 16 bytes, or absent.
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) group: Bytes,
}

/// The body of `Leave`, `PieceClaim` and `SegmentClaim`; what one of them does not have is absent.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SwarmClaim {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) root: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) len: u64,
    #[prost(uint32, tag = "3")]
    pub(super) number: u32,
    /// The first piece.
    #[prost(uint32, tag = "4")]
    pub(super) start: u32,
    /// One past the last piece.
    #[prost(uint32, tag = "5")]
    pub(super) end: u32,
    #[prost(bool, tag = "6")]
    pub(super) from_back: bool,
    #[prost(uint32, tag = "7")]
    pub(super) rate_kib: u32,
    /// 32 bytes each.
    #[prost(bytes = "bytes", tag = "8")]
    pub(super) values: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Cancel {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Refuse {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    /// 1 another content, 2 not held, 3 busy.
    #[prost(uint32, tag = "2")]
    pub(super) reason: u32,
    #[prost(uint32, tag = "3")]
    pub(super) retry_ms: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Goodbye {
    #[prost(string, tag = "1")]
    pub(super) words: String,
}

/// The body of `Token` and `Records`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Packed {
    /// A token as it was granted; or records, each after its length in two bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) packed: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttestWant {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) id: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attestations {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    /// Attestations, or batches, each after its length in two bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) packed: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Against {
    /// 1 two attestations, 2 a void, 3 two batches, 4 an attestation and the batches it denies.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    /// What was signed, each after its length in two bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) packed: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Tags {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) nonce: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) tags: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Newest {
    #[prost(uint32, tag = "1")]
    pub(super) epoch: u32,
    #[prost(uint64, tag = "2")]
    pub(super) denied: u64,
    #[prost(uint32, tag = "3")]
    pub(super) denied_len: u32,
    /// 16 bytes, or absent.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) group: Bytes,
}

/// The body of `DenyWant`, whose bytes are absent, and of `DenyPage`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DenyPage {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    #[prost(uint32, tag = "2")]
    pub(super) page: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) bytes: Bytes,
    /// 16 bytes, or absent.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) group: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Enrol {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    /// 32 bytes, or absent.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) ticket: Bytes,
    /// 16 bytes, or absent.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) group: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Enrolled {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) invitation: Bytes,
    /// Why there is none.
    #[prost(uint32, tag = "3")]
    pub(super) fault: u32,
}

pub(super) fn pack_given(number: u32, given: &Result<Bytes, GrantFault>) -> Enrolled {
    let code = |fault: &GrantFault| GrantFault::ALL.iter().find(|(known, _)| known == fault);
    match given {
        Ok(bytes) => Enrolled { number, invitation: bytes.clone(), fault: 0 },
        Err(fault) => {
            let fault = code(fault).map_or(0, |(_, code)| *code);
            Enrolled { number, invitation: Bytes::new(), fault }
        }
    }
}

pub(super) fn given(body: Enrolled) -> Result<Result<Bytes, GrantFault>, DecodeError> {
    let fault = GrantFault::ALL.iter().find(|(_, code)| *code == body.fault);
    match (body.fault, fault) {
        (0, _) => Ok(Ok(body.invitation)),
        (_, Some((fault, _))) if body.invitation.is_empty() => Ok(Err(*fault)),
        (_, Some(_)) => Err(FrameFault::Grant.into()),
        (value, None) => Err(DecodeError::UnknownValue { field: "fault", value }),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Register {
    #[prost(uint32, tag = "1")]
    pub(super) port: u32,
}

/// Exactly `N` bytes.
pub(super) fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::FieldLength { field, len: bytes.len(), unit: N })
}

/// The units of `N` bytes that a packed list is made of.
fn units<'a, const N: usize>(field: &'static str, bytes: &'a [u8]) -> Result<&'a [[u8; N]], DecodeError> {
    match bytes.as_chunks::<N>() {
        (units, []) => Ok(units),
        _ => Err(DecodeError::FieldLength { field, len: bytes.len(), unit: N }),
    }
}

/// The first bytes of a packed unit, and what follows them.
fn split<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk::<N>().map(|(first, rest)| (*first, rest))
}

pub(super) fn content(root: &[u8], len: u64) -> Result<ContentId, DecodeError> {
    Ok(ContentId { root: Hash(exactly("root", root)?), len })
}

pub(super) fn root_bytes(content: ContentId) -> Bytes {
    Bytes::copy_from_slice(&content.root.0)
}

pub(super) fn pack_questions(questions: &[Question]) -> Bytes {
    let mut out = BytesMut::with_capacity(questions.len() * 64);
    for question in questions {
        out.put_slice(&question.id);
        out.put_slice(&question.proof);
    }
    out.freeze()
}

pub(super) fn questions(bytes: &[u8]) -> Result<Vec<Question>, DecodeError> {
    let halves = units::<64>("questions", bytes)?.iter().filter_map(|unit| split::<32>(unit));
    Ok(halves.filter_map(|(id, rest)| Some(Question { id, proof: rest.try_into().ok()? })).collect())
}

const HERE: u8 = 1;
const WHOLE: u8 = 2;
const SEALED: u8 = 4;

pub(super) fn pack_answers(answers: &[NumberedAnswer]) -> Bytes {
    let mut out = BytesMut::with_capacity(answers.len() * 45);
    for numbered in answers {
        out.put_u32(numbered.number);
        match numbered.answer {
            Answer::NotHere => out.put_bytes(0, 41),
            Answer::Here { content, whole, sealed } => {
                out.put_u8(HERE | if whole { WHOLE } else { 0 } | if sealed { SEALED } else { 0 });
                out.put_slice(&content.root.0);
                out.put_u64(content.len);
            }
        }
    }
    out.freeze()
}

pub(super) fn answers(bytes: &[u8]) -> Result<Vec<NumberedAnswer>, DecodeError> {
    units::<45>("answers", bytes)?.iter().map(answer).collect()
}

fn answer(unit: &[u8; 45]) -> Result<NumberedAnswer, DecodeError> {
    let short = || DecodeError::FieldLength { field: "answers", len: unit.len(), unit: 45 };
    let (number, rest) = split::<4>(unit).ok_or_else(short)?;
    let (flags, rest) = split::<1>(rest).ok_or_else(short)?;
    let (root, rest) = split::<32>(rest).ok_or_else(short)?;
    let content = ContentId { root: Hash(root), len: u64::from_be_bytes(exactly("answers", rest)?) };
    let answer = match flags[0] {
        0 if content == (ContentId { root: Hash([0; 32]), len: 0 }) => Answer::NotHere,
        flags if flags & HERE != 0 && flags & !(HERE | WHOLE | SEALED) == 0 => {
            Answer::Here { content, whole: flags & WHOLE != 0, sealed: flags & SEALED != 0 }
        }
        flags => return Err(DecodeError::UnknownValue { field: "answers", value: u32::from(flags) }),
    };
    Ok(NumberedAnswer { number: u32::from_be_bytes(number), answer })
}

const PAGE_NONE: u8 = 0;
const PAGE_ALL: u8 = 1;
const PAGE_BITS: u8 = 2;

pub(super) fn pack_pages(pages: &[HavePage]) -> Bytes {
    let mut out = BytesMut::with_capacity(pages.len() * 131);
    for page in pages {
        out.put_u16(page.page);
        match &page.bits {
            PageBits::None => out.put_u8(PAGE_NONE),
            PageBits::All => out.put_u8(PAGE_ALL),
            PageBits::Bits(bits) => {
                out.put_u8(PAGE_BITS);
                out.put_slice(bits.as_slice());
            }
        }
    }
    out.freeze()
}

pub(super) fn pages(mut bytes: &[u8], count_max: usize) -> Result<Vec<HavePage>, DecodeError> {
    let mut pages = Vec::new();
    while !bytes.is_empty() {
        if pages.len() == count_max {
            return Err(FrameFault::PageCount { count: count_max + 1 }.into());
        }
        let short = DecodeError::FieldLength { field: "pages", len: bytes.len(), unit: 131 };
        let Some((page, rest)) = split::<2>(bytes) else { return Err(short) };
        let Some((kind, rest)) = split::<1>(rest) else { return Err(short) };
        bytes = rest;
        let bits = match kind[0] {
            PAGE_NONE => PageBits::None,
            PAGE_ALL => PageBits::All,
            PAGE_BITS => {
                let Some((bits, rest)) = split::<128>(rest) else { return Err(short) };
                bytes = rest;
                PageBits::Bits(Box::new(bits))
            }
            kind => return Err(DecodeError::UnknownValue { field: "pages", value: u32::from(kind) }),
        };
        pages.push(HavePage { page: u16::from_be_bytes(page), bits });
    }
    Ok(pages)
}

pub(super) fn pack_part(part: ListPart) -> u32 {
    match part {
        ListPart::Head => 0,
        ListPart::Page(page) => page.saturating_add(1),
    }
}

pub(super) fn part(number: u32) -> ListPart {
    number.checked_sub(1).map_or(ListPart::Head, ListPart::Page)
}

pub(super) fn pack_values(values: &[Hash]) -> Bytes {
    let mut out = BytesMut::with_capacity(values.len() * 32);
    values.iter().for_each(|value| out.put_slice(&value.0));
    out.freeze()
}

pub(super) fn values(bytes: &[u8]) -> Result<Vec<Hash>, DecodeError> {
    Ok(units::<32>("values", bytes)?.iter().map(|unit| Hash(*unit)).collect())
}

pub(super) fn pack_ranges(ranges: &[ByteRange]) -> Bytes {
    let mut out = BytesMut::with_capacity(ranges.len() * 16);
    for range in ranges {
        out.put_u64(range.start());
        out.put_u64(range.end());
    }
    out.freeze()
}

pub(super) fn ranges(bytes: &[u8], count_max: usize) -> Result<Vec<ByteRange>, DecodeError> {
    let units = units::<16>("ranges", bytes)?;
    if units.len() > count_max {
        return Err(FrameFault::RangeCount { count: units.len() }.into());
    }
    units
        .iter()
        .map(|unit| {
            let (start, end) = unit.split_at(8);
            let start = u64::from_be_bytes(exactly("ranges", start)?);
            let end = u64::from_be_bytes(exactly("ranges", end)?);
            ByteRange::new(start..end).ok_or_else(|| FrameFault::EmptyRange { start, end }.into())
        })
        .collect()
}

pub(super) fn pack_records(records: &[Record]) -> Bytes {
    pack_sized(records.iter().map(Record::bytes))
}

pub(super) fn records(bytes: &Bytes) -> Result<Vec<Record>, DecodeError> {
    let parts =
        sized(bytes, RECORDS_PER_FRAME_MAX, || NotARecord.into(), |count| FrameFault::RecordCount { count })?;
    parts.into_iter().map(|part| Ok(Record::parse(part)?)).collect()
}

pub(super) fn pack_attestations(list: &[Attestation]) -> Bytes {
    pack_sized(list.iter().map(Attestation::bytes))
}

pub(super) fn attestations(bytes: &Bytes) -> Result<Vec<Attestation>, DecodeError> {
    let malformed = || AttestFault::Malformed.into();
    let too_many = |count| FrameFault::AttestationCount { count };
    let parts = sized(bytes, ATTESTATIONS_PER_FRAME_MAX, malformed, too_many)?;
    parts.into_iter().map(|part| Ok(Attestation::parse(part)?)).collect()
}

pub(super) fn pack_batches(list: &[Batch]) -> Bytes {
    pack_sized(list.iter().map(Batch::bytes))
}

pub(super) fn batches(bytes: &Bytes) -> Result<Vec<Batch>, DecodeError> {
    let malformed = || AttestFault::Malformed.into();
    let parts = sized(bytes, BATCHES_PER_FRAME_MAX, malformed, |count| FrameFault::BatchCount { count })?;
    parts.into_iter().map(|part| Ok(Batch::parse(part)?)).collect()
}

const CONTRADICTION: u32 = 1;
const VOID: u32 = 2;
const DENIED_PIECE: u32 = 3;
const DENIED_STREAM: u32 = 4;

pub(super) fn pack_against(against: &evidence::Against) -> Against {
    match against {
        evidence::Against::Contradiction(pair) => {
            let kind = match pair.kind() {
                Kind::Contents => CONTRADICTION,
                Kind::Pieces => DENIED_PIECE,
                Kind::Denial => DENIED_STREAM,
            };
            Against { kind, packed: pack_sized(pair.parts().iter()) }
        }
        evidence::Against::Void(void) => {
            Against { kind: VOID, packed: pack_sized(std::iter::once(void.bytes())) }
        }
    }
}

pub(super) fn against(body: &Against) -> Result<evidence::Against, DecodeError> {
    match body.kind {
        CONTRADICTION => contradiction(&body.packed, 2, Kind::Contents),
        DENIED_PIECE => contradiction(&body.packed, 2, Kind::Pieces),
        DENIED_STREAM => contradiction(&body.packed, 1 + BATCHES_PER_FRAME_MAX, Kind::Denial),
        VOID => {
            let malformed = || AttestFault::Malformed.into();
            let parts = sized(&body.packed, 1, malformed, |_| FrameFault::NoContradiction)?;
            let void = parts.into_iter().next().ok_or(AttestFault::Malformed)?;
            Ok(evidence::Against::Void(Void::parse(void)?))
        }
        value => Err(DecodeError::UnknownValue { field: "against", value }),
    }
}

fn contradiction(packed: &Bytes, most: usize, kind: Kind) -> Result<evidence::Against, DecodeError> {
    let malformed = || AttestFault::Malformed.into();
    let parts = sized(packed, most, malformed, |_| FrameFault::NoContradiction)?;
    let pair = Contradiction::parse(&parts).filter(|pair| pair.kind() == kind);
    Ok(evidence::Against::Contradiction(pair.ok_or(FrameFault::NoContradiction)?))
}

/// Signed things, each after its length in two bytes.
fn pack_sized<'a>(parts: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut out = BytesMut::new();
    for part in parts {
        out.put_u16(u16::try_from(part.len()).unwrap_or(0));
        out.put_slice(part);
    }
    out.freeze()
}

fn sized(
    bytes: &Bytes,
    count_max: usize,
    malformed: impl Fn() -> DecodeError,
    too_many: impl Fn(usize) -> FrameFault,
) -> Result<Vec<Bytes>, DecodeError> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if parts.len() == count_max {
            return Err(too_many(count_max + 1).into());
        }
        let Some((len, rest)) = split::<2>(&bytes[at..]) else { return Err(malformed()) };
        let len = usize::from(u16::from_be_bytes(len));
        if len > rest.len() {
            return Err(malformed());
        }
        // A copy: whoever keeps one of them should not keep the frame it came in.
        parts.push(Bytes::copy_from_slice(&rest[..len]));
        at += 2 + len;
    }
    Ok(parts)
}

pub(super) fn pack_named(named: &[NamedPeer]) -> Bytes {
    let mut out = BytesMut::with_capacity(named.len() * 50);
    for NamedPeer { peer, address } in named {
        out.put_slice(peer.public_key());
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        out.put_slice(&ip.octets());
        out.put_u16(address.port());
    }
    out.freeze()
}

pub(super) fn named(bytes: &[u8]) -> Result<Vec<NamedPeer>, DecodeError> {
    let units = units::<50>("named", bytes)?;
    if units.len() > PEERS_NAMED_MAX {
        return Err(FrameFault::NamedCount { count: units.len() }.into());
    }
    let peers = units.iter().filter_map(|unit| {
        let (key, rest) = split::<32>(unit)?;
        let (ip, port) = split::<16>(rest)?;
        let ip = IpAddr::from(ip).to_canonical();
        let port = u16::from_be_bytes(port.try_into().ok()?);
        Some(NamedPeer { peer: PeerId::from_public_key(key), address: SocketAddr::new(ip, port) })
    });
    Ok(peers.collect())
}
