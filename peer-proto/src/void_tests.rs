//! When something signed is taken back, and when nobody may.

use super::*;
use crate::attest::tests::{NOW, attestor, group, said, signed, wish};
use crate::digest::hex;
use crate::group::{Roles, Wish};

fn voided() -> Voided {
    let one = signed(said());
    let (group, holder, not_after) = (said().group, said().holder, said().not_after);
    Voided { group, holder, statement: one.id(), sequence: 5, not_after, reason: "it was read wrong".into() }
}

fn by_holder(said: Voided) -> Void {
    Void::sign(&attestor(), Some(&Token::grant(&group(), &wish())), said).expect("fit")
}

fn checked(void: &Void) -> Result<(), AttestFault> {
    Void::parse(void.bytes().clone())?.check(&group().public_key(), NOW)
}

#[test]
fn attest_9_who_said_it_and_the_groups_key_may_take_it_back_and_nobody_else() {
    assert_eq!(checked(&by_holder(voided())), Ok(()));
    assert_eq!(checked(&Void::sign(&group(), None, voided()).expect("fit")), Ok(()));
    let token = |wish: &Wish| Token::grant(&group(), wish);
    let signed = |signer: &Signer, token: Option<Token>| {
        checked(&Void::sign(signer, token.as_ref(), voided()).expect("fit"))
    };
    let other = Wish { holder: HolderId([8; 16]), ..wish() };
    assert_eq!(signed(&attestor(), Some(token(&other))), Err(AttestFault::OtherHolder));
    let member = Wish { roles: Roles::FETCH, ..wish() };
    assert_eq!(signed(&attestor(), Some(token(&member))), Err(AttestFault::NotAttestor));
    assert_eq!(signed(&attestor(), None), Err(AttestFault::Unsigned), "a node without its token");
    assert!(matches!(signed(&Signer::of(&[2; 32]), Some(token(&wish()))), Err(AttestFault::Token(_))));
    let over = Wish { not_before: 5, not_after: 6, epoch: 1, ..wish() };
    assert_eq!(signed(&attestor(), Some(token(&over))), Ok(()), "it speaks against itself whenever it likes");
}

#[test]
fn attest_9_a_void_lives_as_long_as_what_it_takes_back() {
    assert_eq!(checked(&by_holder(Voided { not_after: NOW - 1, ..voided() })), Err(AttestFault::Over));
    let long = NOW + ATTESTATION_LIFE_MAX_S + ATTESTATION_SKEW_S;
    assert_eq!(checked(&by_holder(Voided { not_after: long, ..voided() })), Ok(()));
    assert_eq!(checked(&by_holder(Voided { not_after: long + 1, ..voided() })), Err(AttestFault::TooLong));
    let elsewhere = Voided { group: GroupId([1; 16]), ..voided() };
    assert_eq!(checked(&by_holder(elsewhere)), Err(AttestFault::OtherGroup));
}

#[test]
fn attest_9_every_bit_of_a_void_is_signed() {
    let void = by_holder(voided());
    for bit in 0..void.bytes().len() * 8 {
        let mut flipped = void.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = Void::parse(flipped.into());
        assert!(read.and_then(|void| void.check(&group().public_key(), NOW)).is_err(), "bit {bit}");
    }
}

#[test]
fn attest_9_a_void_has_these_bytes_and_no_others() {
    let bytes = by_holder(voided()).bytes().clone();
    assert_eq!((bytes.len(), &hex(&bytes)[..6]), (357, "009f01"));
    assert_eq!(
        hex(blake3::hash(&bytes).as_bytes()),
        "d90c9009cb3dc061c1f02e452ce622240381e1a6119d0ae1afe9f8ef84823e60"
    );
    for end in 0..bytes.len() {
        assert_eq!(Void::parse(bytes.slice(..end)), Err(AttestFault::Malformed), "{end}");
    }
    assert_eq!(Void::parse([&bytes[..], &[0]].concat().into()), Err(AttestFault::Malformed));
    for reason in ["x".repeat(201), "two\nlines".into()] {
        assert!(Void::sign(&group(), None, Voided { reason, ..voided() }).is_none());
    }
    let longest = Voided { reason: "x".repeat(200), ..voided() };
    assert!(by_holder(longest).bytes().len() <= VOID_LEN_MAX);
}
