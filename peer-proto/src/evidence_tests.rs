//! What proves an attestor false, and what does not.

use super::*;
use crate::attest::tests::*;
use crate::attest::{Attestation, Attested};
use crate::batch::Batched;
use crate::content::ContentId;
use crate::group::{HolderId, Roles, Token, TokenFault, Wish};
use crate::limits::{DENIAL_PATH_MAX, PIECE_LEN_MIN};
use crate::sign::Signer;
use crate::verify::HashList;

fn other() -> Attested {
    Attested { content: ContentId { root: Hash([0x0b; 32]), ..said().content }, ..said() }
}

#[test]
fn attest_8_two_contents_of_one_version_by_one_holder_prove_themselves() {
    let key = group().public_key();
    let (one, two) = (signed(said()), signed(other()));
    let pair = Contradiction::of(one.clone(), two.clone()).expect("they differ");
    assert_eq!((pair.holder(), pair.check(&key)), (HolderId([7; 16]), Ok(())));
    assert_eq!(Contradiction::of(two.clone(), one.clone()), Some(pair.clone()), "a pair is one pair");
    let sha256 = signed(Attested { sha256: [0xb0; 32], ..said() });
    assert_ne!(Contradiction::of(one.clone(), sha256), Some(pair.clone()));
    let mut newer = other();
    newer.version.etag = Some("\"b\"".into());
    let somebody = Attested { holder: HolderId([8; 16]), ..other() };
    let elsewhere = Attested { url: "https://example.org/v.bin".into(), ..other() };
    for (word, said) in [
        ("the same again", Attested { sequence: 9, ..said() }),
        ("another version", newer),
        ("another holder", somebody),
        ("another URL", elsewhere),
    ] {
        assert_eq!(Contradiction::of(one.clone(), signed(said)), None, "{word}");
    }
}

#[test]
fn attest_8_what_it_proves_does_not_pass_with_time_and_whoever_did_not_sign_is_not_framed() {
    let key = group().public_key();
    let one = signed(said());
    let over = Wish { not_before: 5, not_after: 6, epoch: 1, ..wish() };
    let long_ago = Attestation::sign(&attestor(), &Token::grant(&group(), &over), other()).expect("fit");
    let pair = Contradiction::of(one.clone(), long_ago).expect("they differ");
    assert_eq!(pair.check(&key), Ok(()), "its token was over");
    let checked = |signer: &Signer, token: &Token| {
        let forged = Attestation::sign(signer, token, other()).expect("fit");
        Contradiction::of(one.clone(), forged).expect("they differ").check(&key)
    };
    let token = Token::grant(&group(), &wish());
    assert_eq!(checked(&Signer::of(&[2; 32]), &token), Err(AttestFault::Unsigned));
    let member = Token::grant(&group(), &Wish { roles: Roles::FETCH, ..wish() });
    assert_eq!(checked(&attestor(), &member), Err(AttestFault::NotAttestor));
    let forged = Token::grant(&Signer::of(&[8; 32]), &wish());
    assert_eq!(checked(&attestor(), &forged), Err(AttestFault::Token(TokenFault::OtherGroup)));
    assert_eq!(pair.check(&[1; 32]), Err(AttestFault::OtherGroup));
}

#[test]
fn attest_8_two_values_of_one_piece_by_one_holder_prove_themselves_too() {
    use crate::batch::tests::{said, signed};
    let key = group().public_key();
    let other = |change: fn(&mut Batched)| {
        let mut other = Batched { stream: [9; 16], values: vec![Hash([0xdd; 32]); 3], first: 3, ..said() };
        change(&mut other);
        signed(other)
    };
    let one = signed(said());
    let pair = Contradiction::of_batches(one.clone(), other(|_| ())).expect("they differ");
    assert_eq!((pair.holder(), pair.check(&key), pair.kind()), (HolderId([7; 16]), Ok(()), Kind::Pieces));
    assert_eq!(Contradiction::of_batches(other(|_| ()), one.clone()), Some(pair.clone()));
    assert_eq!(Contradiction::parse(&pair.parts()), Some(pair.clone()));
    for (word, other) in [
        ("no piece of both", other(|said| said.first = 6)),
        ("the same values", other(|said| said.values = vec![Hash([0xcc; 32]); 3])),
        ("another version", other(|said| said.version.etag = Some("\"b\"".into()))),
        ("another URL", other(|said| said.url.push('x'))),
        ("another holder", other(|said| said.holder = HolderId([8; 16]))),
    ] {
        assert_eq!(Contradiction::of_batches(one.clone(), other), None, "{word}");
    }
    let token = Token::grant(&group(), &wish());
    let forged = Batched { values: vec![Hash([0xdd; 32]); 2], ..said() };
    let forged = crate::batch::Batch::sign(&Signer::of(&[2; 32]), &token, forged).expect("fit");
    let forged = Contradiction::of_batches(one, forged).expect("they differ");
    assert_eq!(forged.check(&key), Err(AttestFault::Unsigned), "nobody is framed");
}

/// Values of a file of so many pieces, and the list of them.
fn values(count: u32) -> (Vec<Hash>, HashList) {
    let values: Vec<Hash> = (0..count).map(|n| Hash(*blake3::hash(&n.to_be_bytes()).as_bytes())).collect();
    (values.clone(), HashList::from_values(u64::from(count) * PIECE_LEN_MIN, values).unwrap())
}

/// An attestation of a file of so many pieces, with the content as it is.
fn attested(list: &HashList) -> Attestation {
    let (content, mut version) = (list.content(), said().version);
    version.len = Some(content.len);
    signed(Attested { content, version, ..said() })
}

/// A batch of the same holder about the same version.
fn read(list: &HashList, first: u32, values: Vec<Hash>) -> Batch {
    let mut said = crate::batch::tests::said();
    (said.version.len, said.first, said.values) = (Some(list.content().len), first, values);
    crate::batch::tests::signed(said)
}

#[test]
fn attest_8_batches_that_name_every_piece_and_fold_to_another_root_deny_an_attestation() {
    let key = group().public_key();
    let (mut values, list) = values(300);
    let one = attested(&list);
    let batches = |values: &[Hash]| {
        vec![read(&list, 256, values[256..].to_vec()), read(&list, 0, values[..256].to_vec())]
    };
    assert_eq!(Denial::by_root(one.clone(), batches(&values)), None, "it is what was read");
    values[299] = Hash([1; 32]);
    let pair = Contradiction::from(Denial::by_root(one.clone(), batches(&values)).expect("another root"));
    assert_eq!((pair.holder(), pair.group(), pair.kind()), (HolderId([7; 16]), said().group, Kind::Denial));
    assert_eq!((pair.check(&key), pair.check(&[1; 32])), (Ok(()), Err(AttestFault::OtherGroup)));
    assert_eq!(Contradiction::parse(&pair.parts()), Some(pair.clone()));
    assert_eq!(Contradiction::parse(&pair.parts()[..2]), None, "a piece of which nothing was said");
    for change in [
        |said: &mut Batched| said.url.push('x'),
        |said: &mut Batched| said.version.etag = Some("\"b\"".into()),
        |said: &mut Batched| said.holder = HolderId([8; 16]),
        |said: &mut Batched| said.group = crate::group::GroupId([8; 16]),
    ] {
        let mut other = batches(&values);
        let mut said = other[0].said().clone();
        change(&mut said);
        other[0] = crate::batch::tests::signed(said);
        assert_eq!(Denial::by_root(one.clone(), other), None);
    }
    let mut forged = batches(&values);
    let token = Token::grant(&group(), &wish());
    forged[1] = Batch::sign(&Signer::of(&[2; 32]), &token, forged[1].said().clone()).expect("fit");
    let forged = Contradiction::from(Denial::by_root(one, forged).expect("another root"));
    assert_eq!(forged.check(&key), Err(AttestFault::Unsigned), "nobody is framed");
}

#[test]
fn attest_8_more_than_a_frame_holds_is_not_passed_on_as_batches() {
    let (values, list) = values(1_300);
    let one = attested(&list);
    let mut others = values.clone();
    others[0] = Hash([1; 32]);
    let batches = |step: usize| -> Vec<Batch> {
        let starts = (0_u32..).step_by(step);
        starts.zip(others.chunks(step)).map(|(first, values)| read(&list, first, values.to_vec())).collect()
    };
    assert_eq!(Denial::by_root(one.clone(), batches(256)), None, "too long");
    let by_piece = Denial::by_piece(one, batches(256).swap_remove(0), &list);
    assert!(by_piece.is_some(), "one of them is enough beside the list");
    let (values, list) = self::values(33);
    let one = attested(&list);
    let each = |values: &[Hash]| -> Vec<Batch> {
        (0_u32..).zip(values).map(|(first, value)| read(&list, first, vec![*value])).collect()
    };
    let mut others = values;
    others[32] = Hash([1; 32]);
    assert_eq!(Denial::by_root(one, each(&others)), None, "too many");
}

#[test]
fn attest_8_one_batch_and_the_path_of_one_piece_deny_an_attestation_of_any_length() {
    let key = group().public_key();
    let (values, list) = values(16_384);
    let one = attested(&list);
    assert_eq!(Denial::by_piece(one.clone(), read(&list, 9_000, values[9_000..9_003].to_vec()), &list), None);
    let batch = read(&list, 9_000, vec![values[9_000], Hash([1; 32]), Hash([2; 32])]);
    let pair = Contradiction::from(Denial::by_piece(one.clone(), batch, &list).expect("another value"));
    assert_eq!((pair.kind(), pair.check(&key)), (Kind::Denial, Ok(())));
    let parts = pair.parts();
    assert_eq!((parts.len(), parts[2].len()), (3, 36 + 32 * DENIAL_PATH_MAX));
    assert_eq!(Contradiction::parse(&parts), Some(pair));
    for (at, what) in [(3, "another piece"), (4, "another value"), (36, "another path"), (483, "its end")] {
        let mut last = parts[2].to_vec();
        last[at] ^= 1;
        assert_eq!(Contradiction::parse(&[parts[0].clone(), parts[1].clone(), last.into()]), None, "{what}");
    }
    for last in [parts[2].slice(..36), parts[2].slice(..482), Bytes::new()] {
        assert_eq!(Contradiction::parse(&[parts[0].clone(), parts[1].clone(), last]), None);
    }
    // The path proves the true value: a batch that names it denies nothing.
    let honest = read(&list, 9_001, vec![values[9_001]]);
    assert_eq!(Contradiction::parse(&[parts[0].clone(), honest.bytes().clone(), parts[2].clone()]), None);
    let (_, other) = self::values(16_383);
    assert_eq!(Denial::by_piece(one, read(&list, 0, vec![Hash([1; 32])]), &other), None, "another list");
}

#[test]
fn attest_8_a_denial_is_told_from_version_9_on() {
    let (_, list) = values(2);
    let batch = read(&list, 1, vec![Hash([1; 32])]);
    let denial = Denial::by_piece(attested(&list), batch, &list).expect("another value");
    assert_eq!(Against::Contradiction(denial.into()).since(), 9);
    let pair = Contradiction::of(signed(said()), signed(other())).expect("they differ");
    assert_eq!(Against::Contradiction(pair).since(), 5);
}
