//! Frames between members: attestations, what tells against them, what a group signed.

use super::golden::contradiction;
use super::*;
use crate::evidence::{Against, Contradiction};
use crate::group::{GrantFault, GroupId, HolderId};
use crate::sign::Signer;
use crate::void::{Void, Voided};

#[test]
fn attest_1_at_most_eight_attestations_come_at_once_and_none_is_an_answer_too() {
    let answer = |count| Frame::Attestations(Attestations { number: 6, list: vec![attestation("a"); count] });
    assert_eq!(encode(&answer(0)).unwrap(), bytes_from_hex("270000020806").unwrap());
    assert_eq!(decode(&encode(&answer(8)).unwrap()), Ok(answer(8)));
    assert_eq!(answer(9).check(), Err(FrameFault::AttestationCount { count: 9 }));
    let packed = |packed: Vec<u8>| {
        let body = super::super::proto::Attestations { number: 6, packed: packed.into() };
        decode(&framed(FrameKind::Attestations, &prost::Message::encode_to_vec(&body)))
    };
    let one = attestation("a");
    let sized = [&u16::try_from(one.bytes().len()).unwrap().to_be_bytes()[..], one.bytes()].concat();
    let nine = DecodeError::Fault(FrameFault::AttestationCount { count: 9 });
    assert_eq!(packed(sized.repeat(9)), Err(nine));
    for end in [1, 2, 3, sized.len() - 1] {
        assert_eq!(packed(sized[..end].to_vec()), Err(DecodeError::Attestation(AttestFault::Malformed)));
    }
}

#[test]
fn attest_8_what_is_said_against_an_attestor_is_two_attestations_that_contradict_each_other() {
    let frame = |kind, list: &[Attestation]| {
        let packed = super::super::proto::pack_attestations(list);
        let body = super::super::proto::Against { kind, packed };
        decode(&framed(FrameKind::Against, &prost::Message::encode_to_vec(&body)))
    };
    let [one, other] =
        <[Bytes; 2]>::try_from(contradiction().parts()).unwrap().map(|one| Attestation::parse(one).unwrap());
    let pair = || Frame::Against(Against::Contradiction(contradiction()));
    assert_eq!(frame(1, &[one.clone(), other.clone()]), Ok(pair()));
    assert_eq!(frame(1, &[other.clone(), one.clone()]), Ok(pair()), "in any order");
    for list in
        [vec![], vec![one.clone()], vec![one.clone(); 2], vec![one.clone(), other.clone(), one.clone()]]
    {
        assert_eq!(frame(1, &list), Err(DecodeError::Fault(FrameFault::NoContradiction)), "{}", list.len());
    }
    let unknown = DecodeError::UnknownValue { field: "against", value: 9 };
    assert_eq!(frame(9, &[one, other]), Err(unknown));
}

/// A frame with a void, and its bytes.
fn golden_void() -> (Frame, String) {
    let reason = "read wrong".to_owned();
    let statement = attestation("a").id();
    let (group, holder) = (GroupId([0xbb; 16]), HolderId([7; 16]));
    let said = Voided { group, holder, statement, sequence: 1, not_after: 2, reason };
    let void = Void::sign(&Signer::of(&[9; 32]), None, said).unwrap();
    let told: String = void.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (Frame::Against(Against::Void(void)), format!("280000c6080212c10100bf{told}"))
}

#[test]
fn attest_8_two_batches_that_deny_each_other_are_told_as_such_and_the_longest_two_fit() {
    let said = crate::batch::tests::said();
    let long = |mark: u8| {
        let (url, values) = ("x".repeat(3_500), vec![Hash([mark; 32]); 256]);
        crate::batch::tests::signed(crate::batch::Batched { url, values, ..said.clone() })
    };
    let pair = Contradiction::of_batches(long(1), long(2)).unwrap();
    let frame = Frame::Against(Against::Contradiction(pair.clone()));
    assert_eq!(decode(&encode(&frame).unwrap()), Ok(frame));
    let body = |kind| {
        let packed = super::super::proto::pack_batches(&[long(1), long(2)]);
        let body = super::super::proto::Against { kind, packed };
        decode(&framed(FrameKind::Against, &prost::Message::encode_to_vec(&body)))
    };
    assert_eq!(body(3), Ok(Frame::Against(Against::Contradiction(pair))));
    assert_eq!(body(1), Err(DecodeError::Fault(FrameFault::NoContradiction)), "under another kind");
}

#[test]
fn attest_7_one_to_32_batches_come_at_once() {
    let one = crate::batch::tests::signed(crate::batch::tests::said());
    let frame = |count| Frame::Batches(Batches { number: 6, list: vec![one.clone(); count] });
    for count in [1, 32] {
        assert_eq!(decode(&encode(&frame(count)).unwrap()), Ok(frame(count)));
    }
    for count in [0, 33] {
        assert_eq!(frame(count).check(), Err(FrameFault::BatchCount { count }));
    }
    let packed = |packed: Vec<u8>| {
        let body = super::super::proto::Attestations { number: 6, packed: packed.into() };
        decode(&framed(FrameKind::Batches, &prost::Message::encode_to_vec(&body)))
    };
    let sized = [&u16::try_from(one.bytes().len()).unwrap().to_be_bytes()[..], one.bytes()].concat();
    assert_eq!(packed(sized.repeat(33)), Err(DecodeError::Fault(FrameFault::BatchCount { count: 33 })));
    assert_eq!(packed(Vec::new()), Err(DecodeError::Fault(FrameFault::BatchCount { count: 0 })));
    for end in [1, 2, 3, sized.len() - 1] {
        assert_eq!(packed(sized[..end].to_vec()), Err(DecodeError::Attestation(AttestFault::Malformed)));
    }
}

#[test]
fn attest_9_a_void_travels_alone() {
    let (frame, bytes) = golden_void();
    let bytes = bytes_from_hex(&bytes).unwrap();
    assert_eq!((encode(&frame).unwrap(), decode(&bytes)), (Bytes::from(bytes), Ok(frame.clone())));
    let Frame::Against(Against::Void(void)) = frame else { panic!("a void") };
    let sized = [&u16::try_from(void.bytes().len()).unwrap().to_be_bytes()[..], void.bytes()].concat();
    for packed in [vec![], sized.repeat(2), sized[1..].to_vec(), sized[..9].to_vec()] {
        let body = super::super::proto::Against { kind: 2, packed: packed.into() };
        assert!(decode(&framed(FrameKind::Against, &prost::Message::encode_to_vec(&body))).is_err());
    }
}

#[test]
fn group_6_a_deny_list_has_three_pages_of_32_kib_at_most_and_a_version_if_it_has_bytes() {
    let newest =
        |denied, denied_len| Frame::Newest(Newest { group: None, epoch: 1, denied, denied_len }).check();
    assert_eq!([newest(0, 0), newest(1, 89), newest(1, 65_625)], [Ok(()), Ok(()), Ok(())]);
    for (denied, len) in [(0, 89), (1, 0), (1, 65_626), (1, u32::MAX)] {
        assert_eq!(newest(denied, len), Err(FrameFault::DenyList), "version {denied} of {len} bytes");
    }
    let page = |page, len| {
        let of = DenyWant { group: None, version: 1, page };
        (Frame::DenyWant(of).check(), Frame::DenyPage(DenyPage { of, bytes: vec![7; len].into() }).check())
    };
    assert_eq!(page(2, 0), (Ok(()), Ok(())));
    assert_eq!(page(2, 32_769), (Ok(()), Err(FrameFault::DenyList)));
    assert_eq!(page(3, 1), (Err(FrameFault::DenyList), Err(FrameFault::DenyList)));
}

#[test]
fn group_5_an_answer_of_an_enroller_is_an_invitation_or_one_of_the_reasons_there_are() {
    let answer = |given| Frame::Enrolled(Enrolled { number: 6, given });
    assert_eq!(answer(Ok(Bytes::new())).check(), Err(FrameFault::Grant));
    assert_eq!(answer(Ok(vec![7; 1_025].into())).check(), Err(FrameFault::Grant));
    let longest = answer(Ok(vec![7; 1_024].into()));
    assert_eq!(decode(&encode(&longest).unwrap()), Ok(longest));
    for (number, (fault, code)) in (1..).zip(GrantFault::ALL) {
        assert_eq!(code, number);
        assert_eq!(decode(&encode(&answer(Err(fault))).unwrap()), Ok(answer(Err(fault))));
    }
    let made = |invitation: &'static [u8], fault| {
        let body =
            super::super::proto::Enrolled { number: 6, invitation: Bytes::from_static(invitation), fault };
        decode(&framed(FrameKind::Enrolled, &prost::Message::encode_to_vec(&body)))
    };
    assert_eq!(made(&[], 10), Err(DecodeError::UnknownValue { field: "fault", value: 10 }));
    assert_eq!(made(&[7], 1), Err(DecodeError::Fault(FrameFault::Grant)), "one or the other");
    assert_eq!(made(&[], 0), Err(DecodeError::Fault(FrameFault::Grant)), "one of the two");
    let ticket = |len: usize| {
        let body = super::super::proto::Enrol { number: 6, ticket: vec![7; len].into(), group: Bytes::new() };
        decode(&framed(FrameKind::Enrol, &prost::Message::encode_to_vec(&body)))
    };
    assert_eq!(ticket(0), Ok(Frame::Enrol(Enrol { number: 6, ticket: None, group: None })));
    assert!(ticket(31).is_err() && ticket(33).is_err());
    let shown = format!("{:?}", Frame::Enrol(Enrol { number: 6, ticket: Some([0x77; 32]), group: None }));
    assert!(!shown.contains("119"), "a ticket's secret is in no log: {shown}");
}
