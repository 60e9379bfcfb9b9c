//! What proves an attestor false, and what does not.

use super::*;
use crate::attest::tests::*;
use crate::attest::{Attestation, Attested};
use crate::content::ContentId;
use crate::group::{HolderId, Roles, Token, TokenFault, Wish};
use crate::sign::Signer;

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
    use crate::batch::Batched;
    use crate::batch::tests::{said, signed};
    let key = group().public_key();
    let other = |change: fn(&mut Batched)| {
        let mut other = Batched { stream: [9; 16], values: vec![Hash([0xdd; 32]); 3], first: 3, ..said() };
        change(&mut other);
        signed(other)
    };
    let one = signed(said());
    let pair = Contradiction::of_batches(one.clone(), other(|_| ())).expect("they differ");
    assert_eq!((pair.holder(), pair.check(&key), pair.is_of_batches()), (HolderId([7; 16]), Ok(()), true));
    assert_eq!(Contradiction::of_batches(other(|_| ()), one.clone()), Some(pair.clone()));
    let [first, second] = pair.signed();
    assert_eq!(Contradiction::parse(first, second), Some(pair.clone()));
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
