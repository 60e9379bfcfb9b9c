//! When a batch counts, and which one follows which.

use std::collections::BTreeSet;

use super::*;
use crate::attest::tests::{DAY, NOW, attestor, group, wish};
use crate::digest::hex;
use crate::group::{Roles, TokenFault, Wish};
use crate::limits::PIECE_LEN_MIN;

pub(crate) fn said() -> Batched {
    Batched {
        group: GroupId::of(&group().public_key()),
        holder: HolderId([7; 16]),
        peer: attestor().peer(),
        stream: [5; 16],
        number: 0,
        previous: Hash([0; 32]),
        at: NOW - 60,
        url: "https://example.org/u.bin".into(),
        version: Version {
            final_origin: "https://example.org:443".into(),
            etag: Some("\"a\"".into()),
            last_modified: None,
            len: Some(1_000 * PIECE_LEN_MIN),
        },
        first: 4,
        values: vec![Hash([0xcc; 32]); 2],
    }
}

pub(crate) fn signed(said: Batched) -> Batch {
    Batch::sign(&attestor(), &Token::grant(&group(), &wish()), said).expect("fit to be signed")
}

fn checked(batch: &Batch, change: impl FnOnce(&mut AttestRules<'_>)) -> Result<(), AttestFault> {
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let mut rules = AttestRules { group: &key, now: NOW, epoch: 4, denied: &nobody };
    change(&mut rules);
    Batch::parse(batch.bytes().clone())?.check(&rules)
}

#[test]
fn attest_7_a_batch_counts_for_a_day_if_an_attestor_of_the_group_signed_it() {
    let one = signed(said());
    assert_eq!(checked(&one, |_| ()), Ok(()));
    assert_eq!(checked(&one, |rules| rules.now = NOW + DAY - 60), Ok(()));
    assert_eq!(checked(&one, |rules| rules.now = NOW + DAY), Err(AttestFault::Over));
    assert_eq!(checked(&signed(Batched { at: NOW + 601, ..said() }), |_| ()), Err(AttestFault::Future));
    assert_eq!(checked(&one, |rules| rules.group = &[1; 32]), Err(AttestFault::OtherGroup));
    let denied = BTreeSet::from([HolderId([7; 16])]);
    let (key, now) = (group().public_key(), NOW);
    let rules = AttestRules { group: &key, now, epoch: 4, denied: &denied };
    assert_eq!(one.check(&rules), Err(AttestFault::Token(TokenFault::Denied)));
    let with = |wish: &Wish| Batch::sign(&attestor(), &Token::grant(&group(), wish), said()).expect("fit");
    let member = Wish { roles: Roles::FETCH, ..wish() };
    assert_eq!(checked(&with(&member), |_| ()), Err(AttestFault::NotAttestor));
    let other = Wish { holder: HolderId([8; 16]), ..wish() };
    assert_eq!(checked(&with(&other), |_| ()), Err(AttestFault::OtherHolder));
    let forged = Batch::sign(&Signer::of(&[2; 32]), &Token::grant(&group(), &wish()), said()).expect("fit");
    assert_eq!(checked(&forged, |_| ()), Err(AttestFault::Unsigned));
}

#[test]
fn attest_7_every_bit_of_a_batch_is_signed() {
    let one = signed(said());
    for bit in 0..one.bytes().len() * 8 {
        let mut flipped = one.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = Batch::parse(flipped.into());
        assert!(read.and_then(|batch| checked(&batch, |_| ())).is_err(), "bit {bit}");
    }
}

#[test]
fn attest_7_batches_follow_each_other_without_holes_each_naming_the_one_before() {
    let first = signed(said());
    let next = |change: fn(&mut Batched)| {
        let mut second = Batched { number: 1, previous: first.id(), first: 6, ..said() };
        change(&mut second);
        signed(second)
    };
    let second = next(|_| ());
    assert!(first.follows(None) && second.follows(Some(&first)));
    assert!(!second.follows(None) && !first.follows(Some(&first)));
    for (word, wrong) in [
        ("a hole", next(|said| said.number = 2)),
        ("another one before", next(|said| said.previous = Hash([9; 32]))),
        ("another stream", next(|said| said.stream = [6; 16])),
        ("another URL", next(|said| said.url.push('x'))),
        ("another version", next(|said| said.version.etag = Some("\"b\"".into()))),
    ] {
        assert!(!wrong.follows(Some(&first)), "{word}");
    }
    assert_eq!(first.said().stream_id(), second.said().stream_id());
    assert_ne!(first.id(), second.id());
}

#[test]
fn attest_7_a_batch_has_these_bytes_and_its_bounds() {
    let bytes = signed(said()).bytes().clone();
    assert_eq!(
        hex(blake3::hash(&bytes).as_bytes()),
        "06bd09a45cca99231e8da98a2f2cc38e680441819508f0f55cb073b9eb4c4c87"
    );
    for end in 0..bytes.len() {
        assert_eq!(Batch::parse(bytes.slice(..end)), Err(AttestFault::Malformed), "{end}");
    }
    let fits = |said: Batched| Batch::sign(&attestor(), &Token::grant(&group(), &wish()), said).is_some();
    let values = |first, count| Batched { first, values: vec![Hash([1; 32]); count], ..said() };
    assert!(fits(values(0, 256)) && fits(values(744, 256)) && fits(values(0, 0)));
    assert!(
        !fits(values(0, 257))
            && !fits(values(745, 256))
            && !fits(values(u32::MAX, 2))
            && !fits(values(1_001, 0))
    );
    let empty = Batched { number: 1, previous: Hash([1; 32]), values: Vec::new(), ..said() };
    assert!(!fits(empty), "only the first one may name no piece");
    assert!(!fits(Batched { previous: Hash([1; 32]), ..said() }) && !fits(Batched { number: 1, ..said() }));
    let long = |pieces: u64| {
        let mut said = Batched { values: Vec::new(), first: 0, ..said() };
        said.version.len = Some(pieces * 4 * 1024 * 1024);
        said
    };
    assert!(fits(long(16_384)) && !fits(long(16_385)), "64 GiB");
    let text = "x".repeat(3_000);
    let longest = Batched { url: text.clone(), values: vec![Hash([1; 32]); 256], ..said() };
    assert!(signed(longest).bytes().len() <= BATCH_LEN_MAX);
    assert!(!fits(Batched { url: text.clone() + &text, ..values(0, 256) }));
}
