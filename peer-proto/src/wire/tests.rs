//! Shape, caps and bytes of every frame.

pub(crate) mod golden;
mod kin;
mod page;

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::codec::{DecodeError, EncodeError, decode_body, decode_header, encode};
use super::*;
use crate::attest::{AttestFault, Attestation};
use crate::content::{ByteRange, ContentId, Hash};
use crate::digest::bytes_from_hex;
use crate::evidence::{Against, Contradiction};
use crate::group::GroupId;
use crate::limits::{BLOCK_LEN_MAX, FILE_LEN_MAX, PIECE_LEN_MIN, RETRY_MAX};
use crate::session::RequestId;
use golden::{
    attestation, attestation_of, golden_version_8, golden_version_9, golden_versions, golden_want_with_values,
};

const MIB: u64 = 1024 * 1024;

/// Three pieces, the last one short.
const SMALL: ContentId = ContentId { root: Hash([0xaa; 32]), len: 2 * PIECE_LEN_MIN + 1 };
/// 1 025 pieces: a head of two values.
const TWO_PAGES: ContentId = ContentId { root: Hash([0xbb; 32]), len: 1_025 * PIECE_LEN_MIN };

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start..end).unwrap()
}

fn want(content: ContentId, ranges: Vec<ByteRange>) -> Frame {
    Frame::Want(Want { request: RequestId(1), content, ranges, values: Vec::new() })
}

/// Header checked and body decoded, as a reader does it.
fn decode(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let (header, body) = bytes.split_first_chunk::<4>().unwrap();
    decode_body(decode_header(header)?, Bytes::copy_from_slice(body))
}

/// A frame around a body made by hand.
fn framed(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind.tag(), high, middle, low], body].concat()
}

/// A `Want` for 1 GiB whose ranges are written as they are, however wrong.
fn raw_want(ranges: &[(u64, u64)]) -> Result<Frame, DecodeError> {
    let packed: Vec<u8> =
        ranges.iter().flat_map(|(start, end)| [start.to_be_bytes(), end.to_be_bytes()]).flatten().collect();
    let body = super::proto::Want {
        request: 1,
        root: Bytes::from(vec![7; 32]),
        len: 1 << 30,
        ranges: Bytes::from(packed),
        values: Bytes::new(),
    };
    decode(&framed(FrameKind::Want, &prost::Message::encode_to_vec(&body)))
}

#[test]
fn every_frame_has_golden_bytes() {
    let golden = golden_versions();
    for (frame, hex) in golden.iter().chain(&golden_version_8()).chain(&golden_version_9()) {
        let bytes = bytes_from_hex(hex).unwrap();
        let written = encode(frame).unwrap();
        assert_eq!(written, bytes, "{frame:?} is written as {written:02x?}");
        assert_eq!(decode(&bytes).as_ref(), Ok(frame));
    }
    let kinds: Vec<FrameKind> = golden.iter().map(|(frame, _)| frame.kind()).collect();
    assert_eq!(kinds, FrameKind::ALL, "each kind once");
}

#[test]
fn a_request_inside_a_swarm_names_a_value_for_each_whole_piece() {
    let (frame, hex) = golden_want_with_values();
    let bytes = bytes_from_hex(&hex).unwrap();
    assert_eq!(encode(&frame).unwrap(), bytes, "written as {:02x?}", encode(&frame).unwrap());
    assert_eq!(decode(&bytes).as_ref(), Ok(&frame));
    let Frame::Want(want) = frame else { panic!("a request") };
    let refused = |want: Want| {
        let fault = Frame::Want(want).check().unwrap_err();
        assert!(matches!(fault, FrameFault::WantedValueCount { .. }), "{fault}");
    };
    refused(Want { values: vec![Hash([1; 32]); 3], ..want.clone() });
    refused(Want { values: vec![Hash([1; 32])], ..want.clone() });
    refused(Want {
        ranges: vec![range(65_536, 131_072 + 1 - 2)],
        values: vec![Hash([1; 32])],
        ..want.clone()
    });
    refused(Want { ranges: vec![range(1, 65_536)], values: vec![Hash([1; 32])], ..want });
    let long = ContentId { root: Hash([1; 32]), len: 65 * PIECE_LEN_MIN };
    refused(Want {
        request: RequestId(1),
        content: long,
        ranges: vec![range(0, 65 * PIECE_LEN_MIN)],
        values: vec![Hash([1; 32]); 65],
    });
}

#[test]
fn claims_speak_of_pieces_the_file_has() {
    let claim = |first, count| PieceClaim { swarm: SMALL, first, values: vec![Hash([1; 32]); count] };
    assert_eq!(Frame::PieceClaim(claim(1, 2)).check(), Ok(()));
    assert_eq!(Frame::PieceClaim(claim(2, 2)).check(), Err(FrameFault::PiecesBeyondEnd { end: 4, count: 3 }));
    assert_eq!(
        Frame::PieceClaim(claim(u32::MAX, 2)).check(),
        Err(FrameFault::PiecesBeyondEnd { end: u32::MAX, count: 3 })
    );
    assert_eq!(Frame::PieceClaim(claim(0, 0)).check(), Err(FrameFault::ClaimCount { count: 0 }));
    assert_eq!(Frame::PieceClaim(claim(0, 65)).check(), Err(FrameFault::ClaimCount { count: 65 }));
    for pieces in [0..0, 3..3, 1..4] {
        let claim = SegmentClaim { swarm: SMALL, number: 1, pieces, from_back: false, rate_kib: 0 };
        assert!(Frame::SegmentClaim(claim).check().is_err());
    }
}

#[test]
fn a_rendezvous_names_1_to_256_peers_at_once_and_nobody_listens_at_port_0() {
    let named = |port| NamedPeer {
        peer: crate::peer::PeerId::from_public_key([1; 32]),
        address: ([10, 1, 2, 3], port).into(),
    };
    let most = Frame::Named(vec![named(u16::MAX); 256]);
    assert_eq!(decode(&encode(&most).unwrap()), Ok(most), "it fits its cap");
    for count in [0, 257] {
        let packed = super::proto::pack_named(&vec![named(1); count]);
        let body = prost::Message::encode_to_vec(&super::proto::Packed { packed });
        let wrong = DecodeError::Fault(FrameFault::NamedCount { count });
        assert_eq!(decode(&framed(FrameKind::Named, &body)), Err(wrong));
    }
    assert_eq!(Frame::Named(vec![named(1), named(0)]).check(), Err(FrameFault::Port));
    assert_eq!(Frame::Register(Register { port: 0 }).check(), Err(FrameFault::Port));
    let body = prost::Message::encode_to_vec(&super::proto::Register { port: 65_536 });
    let wrong = DecodeError::UnknownValue { field: "port", value: 65_536 };
    assert_eq!(decode(&framed(FrameKind::Register, &body)), Err(wrong));
    let short = decode(&framed(FrameKind::Named, &[0x0a, 1, 0])).unwrap_err();
    assert!(matches!(short, DecodeError::FieldLength { unit: 50, .. }), "{short}");
}

#[test]
fn tags_are_distinct_and_leave_room_for_what_comes() {
    assert!(FrameKind::ALL.is_sorted_by(|one, next| one.tag() < next.tag()));
    for tag in (0x2a..=0x2f).chain(0x36..=0x37).chain([0x00, 0x0a, 0x12, 0x3a, 0xff]) {
        assert_eq!(decode_header(&[tag, 0, 0, 0]), Err(DecodeError::UnknownKind { tag }), "WIRE-2");
    }
}

#[test]
fn d30_each_frame_kind_one_byte_over_its_cap_is_refused_before_its_body() {
    for kind in FrameKind::ALL {
        let cap = kind.body_max();
        let header = |len: u32| {
            let [_, high, middle, low] = len.to_be_bytes();
            decode_header(&[kind.tag(), high, middle, low])
        };
        assert_eq!(header(cap), Ok(FrameHeader { kind, len: cap }));
        assert_eq!(header(cap + 1), Err(DecodeError::TooLong { kind, len: cap + 1 }));
        assert_eq!(
            header(0xff_ffff),
            Err(DecodeError::TooLong { kind, len: 0xff_ffff }),
            "a prefix of 16 MiB"
        );
    }
}

#[test]
fn wire_2_the_caps_are_4_16_and_36_kib() {
    assert_eq!(FrameKind::Hello.body_max(), 4 * 1024);
    for kind in FrameKind::ALL.into_iter().filter(|kind| *kind != FrameKind::Hello) {
        let is_page = matches!(
            kind,
            FrameKind::ListValues
                | FrameKind::Attestations
                | FrameKind::Against
                | FrameKind::Batches
                | FrameKind::DenyPage
        );
        assert_eq!(kind.body_max(), if is_page { 36 * 1024 } else { 16 * 1024 }, "{kind:?}");
    }
}

#[test]
fn wire_2_the_largest_valid_frames_fit_their_caps() {
    let huge = ContentId { root: Hash([1; 32]), len: FILE_LEN_MAX };
    let bits = || PageBits::Bits(Box::new([0x55; 128]));
    let ranges = |at: u64| range(FILE_LEN_MAX - 2 * at - 1, FILE_LEN_MAX - 2 * at);
    for frame in [
        Frame::Find(Find {
            first: u32::MAX - 32,
            questions: vec![Question { id: [9; 32], proof: [9; 32] }; 32],
        }),
        Frame::Found(Found {
            answers: (0..32)
                .map(|number| NumberedAnswer {
                    number,
                    answer: Answer::Here { content: huge, whole: true, sealed: true },
                })
                .collect(),
        }),
        Frame::Have(Have {
            content: huge,
            pages: (960..1_024).map(|page| HavePage { page, bits: bits() }).collect(),
        }),
        Frame::ListValues(ListValues {
            content: huge,
            part: ListPart::Page(1_023),
            values: vec![Hash([3; 32]); 1_024],
        }),
        Frame::Want(Want {
            request: RequestId(u64::MAX),
            content: huge,
            ranges: (0..64).rev().map(ranges).collect(),
            values: Vec::new(),
        }),
        Frame::Want(Want {
            request: RequestId(u64::MAX),
            content: huge,
            ranges: (0..64)
                .map(|at| range(FILE_LEN_MAX - (256 - 4 * at) * MIB, FILE_LEN_MAX - (252 - 4 * at) * MIB))
                .collect(),
            values: vec![Hash([7; 32]); 64],
        }),
        Frame::PieceClaim(PieceClaim { swarm: huge, first: 1_048_512, values: vec![Hash([7; 32]); 64] }),
        Frame::Goodbye(Goodbye { words: "x".repeat(200) }),
        Frame::Attestations(Attestations {
            number: u32::MAX,
            list: vec![attestation(&"x".repeat(3_500)); 8],
        }),
        Frame::Against(Against::Contradiction({
            let long = "x".repeat(3_500);
            let other = ContentId { root: Hash([0xbb; 32]), ..SMALL };
            Contradiction::of(attestation(&long), attestation_of(&long, other)).unwrap()
        })),
        Frame::DenyPage(DenyPage {
            of: DenyWant { group: Some(GroupId([9; 16])), version: u64::MAX, page: 2 },
            bytes: Bytes::from(vec![7; 32 * 1024]),
        }),
    ] {
        let bytes = encode(&frame).unwrap();
        assert_eq!(decode(&bytes), Ok(frame));
    }
}

#[test]
fn wire_2_unknown_fields_are_ignored() {
    let bytes = framed(FrameKind::Cancel, &[0x08, 0x05, 0xf8, 0x07, 0x01, 0xfa, 0x07, 0x02, 0xff, 0xff]);
    assert_eq!(decode(&bytes), Ok(Frame::Cancel(Cancel { request: RequestId(5) })));
}

#[test]
fn t8_and_d30_65_ranges_are_refused() {
    let ranges: Vec<(u64, u64)> = (0..65).map(|at| (at * 10, at * 10 + 5)).collect();
    assert!(raw_want(&ranges[..64]).is_ok());
    assert_eq!(raw_want(&ranges), Err(FrameFault::RangeCount { count: 65 }.into()));
    assert_eq!(raw_want(&[]), Err(FrameFault::RangeCount { count: 0 }.into()));
}

#[test]
fn d30_overlapping_descending_empty_and_overflowing_ranges_are_refused() {
    let end = 1 << 30;
    for (ranges, fault) in [
        (vec![(0, 10), (9, 20)], FrameFault::NotAscending),
        (vec![(0, 10), (0, 10)], FrameFault::NotAscending),
        (vec![(20, 30), (0, 10)], FrameFault::NotAscending),
        (vec![(5, 5)], FrameFault::EmptyRange { start: 5, end: 5 }),
        (vec![(6, 5)], FrameFault::EmptyRange { start: 6, end: 5 }),
        (vec![(u64::MAX, 0)], FrameFault::EmptyRange { start: u64::MAX, end: 0 }),
        (vec![(0, end + 1)], FrameFault::RangeBeyondEnd { end: end + 1, len: end }),
        (vec![(0, 1), (end, u64::MAX)], FrameFault::RangeBeyondEnd { end: u64::MAX, len: end }),
    ] {
        assert_eq!(raw_want(&ranges), Err(fault.into()), "{ranges:?}");
    }
    assert!(raw_want(&[(0, 10), (10, end)]).is_ok(), "ranges may touch");
}

#[test]
fn wire_7_what_a_request_may_not_hold_never_leaves_either() {
    let all = range(0, SMALL.len);
    let refused = encode(&want(SMALL, vec![all, all]));
    assert_eq!(refused, Err(EncodeError::Fault(FrameFault::NotAscending)));
    assert!(encode(&want(SMALL, vec![range(0, SMALL.len + 1)])).is_err());
    assert!(encode(&want(SMALL, vec![])).is_err());
    let empty_file = ContentId { root: SMALL.root, len: 0 };
    assert!(encode(&want(empty_file, vec![range(0, 1)])).is_err());
}

#[test]
fn trust_2_no_frame_names_a_file_that_is_too_long_to_be_shared() {
    let long = ContentId { root: Hash([1; 32]), len: FILE_LEN_MAX + 1 };
    for frame in [
        want(long, vec![range(0, 1)]),
        Frame::ListWant(ListWant { content: long, part: ListPart::Head }),
        Frame::Have(Have { content: long, pages: vec![HavePage { page: 0, bits: PageBits::All }] }),
        Frame::Found(Found {
            answers: vec![NumberedAnswer {
                number: 0,
                answer: Answer::Here { content: long, whole: true, sealed: true },
            }],
        }),
    ] {
        assert!(matches!(encode(&frame), Err(EncodeError::Fault(FrameFault::TooLong(_)))), "{frame:?}");
    }
}

#[test]
fn wire_3_only_parts_that_a_list_has_can_be_named() {
    let content = |pieces: u64| ContentId { root: Hash([1; 32]), len: pieces * PIECE_LEN_MIN };
    for (pieces, part, values) in [
        (0, ListPart::Page(0), None),
        (1, ListPart::Page(0), None),
        (2, ListPart::Page(0), Some(2)),
        (2, ListPart::Head, None),
        (1_024, ListPart::Page(0), Some(1_024)),
        (1_024, ListPart::Head, None),
        (1_024, ListPart::Page(1), None),
        (1_025, ListPart::Head, Some(2)),
        (1_025, ListPart::Page(0), Some(1_024)),
        (1_025, ListPart::Page(1), Some(1)),
        (1_025, ListPart::Page(2), None),
        (1_025, ListPart::Page(u32::MAX), None),
    ] {
        assert_eq!(part.values_in(content(pieces)).ok(), values, "{pieces} pieces, {part:?}");
        let frame = Frame::ListWant(ListWant { content: content(pieces), part });
        assert_eq!(encode(&frame).is_ok(), values.is_some());
        let count = usize::try_from(values.unwrap_or(1)).unwrap();
        for (extra, fits) in [(0, values.is_some()), (1, false)] {
            let values = vec![Hash([2; 32]); count + extra];
            let frame = Frame::ListValues(ListValues { content: content(pieces), part, values });
            assert_eq!(encode(&frame).is_ok(), fits, "{pieces} pieces, {part:?}, {count} + {extra} values");
        }
    }
}

#[test]
fn wire_4_pages_ascend_exist_and_name_no_piece_beyond_the_end() {
    let page = |page: u16, bits: PageBits| HavePage { page, bits };
    let one_bit = |bit: usize| {
        let mut bits = Box::new([0; 128]);
        bits[bit / 8] = 1 << (bit % 8);
        PageBits::Bits(bits)
    };
    for (content, pages, fault) in [
        (SMALL, vec![], Some(FrameFault::PageCount { count: 0 })),
        (SMALL, vec![page(0, one_bit(2))], None),
        (SMALL, vec![page(0, one_bit(3))], Some(FrameFault::BitBeyondEnd { page: 0 })),
        (SMALL, vec![page(0, one_bit(1_023))], Some(FrameFault::BitBeyondEnd { page: 0 })),
        (SMALL, vec![page(1, PageBits::None)], Some(FrameFault::NoSuchPage { page: 1 })),
        (SMALL, vec![page(u16::MAX, PageBits::All)], Some(FrameFault::NoSuchPage { page: 65_535 })),
        (TWO_PAGES, vec![page(1, PageBits::All), page(0, PageBits::All)], Some(FrameFault::NotAscending)),
        (TWO_PAGES, vec![page(1, PageBits::All), page(1, PageBits::All)], Some(FrameFault::NotAscending)),
        (TWO_PAGES, vec![page(1, one_bit(0))], None),
        (TWO_PAGES, vec![page(1, one_bit(1))], Some(FrameFault::BitBeyondEnd { page: 1 })),
    ] {
        let frame = Frame::Have(Have { content, pages });
        assert_eq!(frame.check().err(), fault, "{frame:?}");
    }
}

#[test]
fn wire_4_a_message_holds_at_most_64_pages() {
    let huge = ContentId { root: Hash([1; 32]), len: FILE_LEN_MAX };
    let have = |count: u16| {
        Frame::Have(Have {
            content: huge,
            pages: (0..count).map(|page| HavePage { page, bits: PageBits::All }).collect(),
        })
    };
    assert!(encode(&have(64)).is_ok());
    assert!(encode(&have(65)).is_err());
    let body = super::proto::Have {
        root: Bytes::from(vec![1; 32]),
        len: FILE_LEN_MAX,
        pages: (0..65_u8).flat_map(|page| [0, page, 1]).collect(),
    };
    let bytes = framed(FrameKind::Have, &prost::Message::encode_to_vec(&body));
    assert_eq!(decode(&bytes), Err(FrameFault::PageCount { count: 65 }.into()));
}

#[test]
fn wire_2_packed_fields_of_a_wrong_length_are_refused() {
    let list = |root: usize, values: usize| super::proto::List {
        root: Bytes::from(vec![1; root]),
        len: SMALL.len,
        part: 1,
        values: Bytes::from(vec![2; values]),
    };
    for (root, values) in [(31, 96), (33, 96), (0, 96), (32, 95), (32, 97), (32, 64), (32, 128), (32, 0)] {
        let bytes = framed(FrameKind::ListValues, &prost::Message::encode_to_vec(&list(root, values)));
        assert!(decode(&bytes).is_err(), "a root of {root} bytes, values of {values}");
    }
    assert!(decode(&framed(FrameKind::ListValues, &prost::Message::encode_to_vec(&list(32, 96)))).is_ok());
}

#[test]
fn lookup_4_at_most_32_ids_per_find_and_a_miss_looks_like_a_hit() {
    let question = Question { id: [1; 32], proof: [2; 32] };
    let find = |count: usize, first| Frame::Find(Find { first, questions: vec![question; count] });
    assert!(encode(&find(32, 0)).is_ok());
    for (count, first) in [(0, 0), (33, 0), (2, u32::MAX)] {
        assert!(encode(&find(count, first)).is_err(), "{count} from {first}");
    }
    let body = super::proto::Find { first: 0, questions: Bytes::from(vec![0; 33 * 64]) };
    let bytes = framed(FrameKind::Find, &prost::Message::encode_to_vec(&body));
    assert_eq!(decode(&bytes), Err(FrameFault::QuestionCount { count: 33 }.into()));

    let answer = |answer| Frame::Found(Found { answers: vec![NumberedAnswer { number: 7, answer }] });
    let hit = encode(&answer(Answer::Here { content: SMALL, whole: true, sealed: true })).unwrap();
    let miss = encode(&answer(Answer::NotHere)).unwrap();
    assert_eq!(hit.len(), miss.len(), "nobody who counts bytes learns the answer");
}

#[test]
fn lookup_4_not_here_says_nothing_else() {
    let mut bytes = encode(&golden_versions()[2].0).unwrap().to_vec();
    assert!(decode(&bytes).is_ok());
    bytes[30] = 1;
    assert!(decode(&bytes).is_err(), "a byte of a root under a miss");
}

#[test]
fn trust_7_busy_names_a_time_between_1_ms_and_60_s() {
    for (retry, fits) in [
        (Duration::ZERO, false),
        (Duration::from_millis(1), true),
        (RETRY_MAX, true),
        (RETRY_MAX + Duration::from_millis(1), false),
        (Duration::MAX, false),
    ] {
        let reason = RefuseReason::Busy { retry };
        let refuse = Frame::Refuse(Refuse { request: RequestId(1), reason });
        assert_eq!(encode(&refuse).is_ok(), fits, "{retry:?}");
    }
    assert!(decode(&framed(FrameKind::Refuse, &[0x08, 1, 0x10, 4])).is_err(), "an unknown reason");
    assert!(decode(&framed(FrameKind::Refuse, &[0x08, 1])).is_err(), "no reason");
}

#[test]
fn wire_1_the_highest_common_version_wins() {
    let versions = |min, max| Versions { min, max };
    assert_eq!(versions(1, 3).common(versions(2, 5)), Some(3));
    assert_eq!(versions(1, 1).common(versions(1, 9)), Some(1));
    assert_eq!(versions(1, 2).common(versions(3, 4)), None);
    assert_eq!(versions(5, 6).common(versions(3, 4)), None);
    for bad in [versions(0, 1), versions(2, 1)] {
        let hello = Frame::Hello(Hello { versions: bad, nonce: [0; 16], tags: [0; 128] });
        assert_eq!(encode(&hello), Err(EncodeError::Fault(FrameFault::Versions)));
    }
}

#[test]
fn goodbye_is_short_and_stays_on_one_line() {
    for words in ["x".repeat(201), "two\nlines".into(), "bell\u{7}".into()] {
        assert!(encode(&Frame::Goodbye(Goodbye { words })).is_err());
    }
}

#[test]
fn a_body_shorter_than_its_header_said_is_refused() {
    let header = FrameHeader { kind: FrameKind::Cancel, len: 3 };
    let short = decode_body(header, Bytes::from_static(&[0x08, 0x05]));
    assert_eq!(short, Err(DecodeError::BodyLength { announced: 3, len: 2 }));
}

#[test]
fn every_golden_frame_survives_any_single_flipped_bit() {
    for (frame, _) in golden_versions().into_iter().chain(golden_version_9()) {
        let bytes = encode(&frame).unwrap();
        fuzz::fuzz_frame(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fuzz::fuzz_frame(&flipped);
        }
        for end in 0..bytes.len() {
            fuzz::fuzz_frame(&bytes[..end]);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(kind in 0..FrameKind::ALL.len(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz::fuzz_frame(&framed(FrameKind::ALL[kind], &body));
        fuzz::fuzz_frame(&body);
    }

    #[test]
    fn want_ranges_read_back(cuts in proptest::collection::btree_set(0_u64..SMALL.len, 2..120)) {
        let cuts: Vec<u64> = cuts.into_iter().collect();
        let ranges: Vec<ByteRange> = cuts.chunks_exact(2).map(|cut| range(cut[0], cut[1])).collect();
        let frame = want(SMALL, ranges);
        prop_assert_eq!(decode(&encode(&frame).unwrap()), Ok(frame));
    }
}

#[test]
fn a_block_fits_its_header() {
    assert_eq!(BLOCK_HEADER_LEN, 20);
    assert!(
        BlockHeader::decode(&BlockHeader { request: RequestId(1), offset: 0, len: BLOCK_LEN_MAX }.encode())
            .is_ok()
    );
}
