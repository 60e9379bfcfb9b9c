//! When an attestation counts, and when it is worth nothing.

use super::*;
use crate::digest::bytes_from_hex;
use crate::group::{Roles, Wish};
use crate::sign::SIGNATURE_LEN;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 24 * 60 * 60;

pub(crate) fn group() -> Signer {
    Signer::of(&[9; 32])
}

pub(crate) fn attestor() -> Signer {
    Signer::of(&[1; 32])
}

pub(crate) fn wish() -> Wish {
    Wish {
        holder: HolderId([7; 16]),
        peer: attestor().peer(),
        roles: Roles::FETCH.and(Roles::ATTEST),
        not_before: NOW - DAY,
        not_after: NOW + 6 * DAY,
        epoch: 4,
        serial: 11,
    }
}

pub(crate) fn said() -> Attested {
    Attested {
        group: GroupId::of(&group().public_key()),
        holder: HolderId([7; 16]),
        peer: attestor().peer(),
        sequence: 3,
        fetched_at: NOW - 60,
        not_after: NOW - 60 + 7 * DAY,
        url: "https://example.org/u.bin".into(),
        version: Version {
            final_origin: "https://example.org:443".into(),
            etag: Some("\"a\"".into()),
            last_modified: None,
            len: Some(131_073),
        },
        content: ContentId { root: Hash([0xaa; 32]), len: 131_073 },
        sha256: [0xbb; 32],
        anchor: [0xcc; 32],
    }
}

pub(crate) fn signed(said: Attested) -> Attestation {
    Attestation::sign(&attestor(), &Token::grant(&group(), &wish()), said).expect("fit to be signed")
}

/// What becomes of an attestation under the rules as they are, or with one thing changed.
fn checked(attestation: &Attestation, change: impl FnOnce(&mut AttestRules<'_>)) -> Result<(), AttestFault> {
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let mut rules = AttestRules { group: &key, now: NOW, epoch: 4, denied: &nobody };
    change(&mut rules);
    Attestation::parse(attestation.bytes().clone())?.check(&rules)
}

#[test]
fn attest_1_what_an_attestor_signed_counts_and_reads_back() {
    let attestation = signed(said());
    assert_eq!(checked(&attestation, |_| {}), Ok(()));
    let read = Attestation::parse(attestation.bytes().clone()).unwrap();
    assert_eq!(read, attestation);
    assert_eq!(read.said(), &said());
    for version in [
        Version { etag: None, last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()), ..said().version },
        Version { etag: Some(String::new()), ..said().version },
    ] {
        let attestation = signed(Attested { version: version.clone(), ..said() });
        assert_eq!(Attestation::parse(attestation.bytes().clone()).unwrap().said().version, version);
    }
}

#[test]
fn attest_1_every_flipped_bit_makes_an_attestation_worthless() {
    let attestation = signed(said());
    for bit in 0..attestation.bytes().len() * 8 {
        let mut flipped = attestation.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (key, nobody) = (group().public_key(), BTreeSet::new());
        let rules = AttestRules { group: &key, now: NOW, epoch: 4, denied: &nobody };
        let outcome = Attestation::parse(flipped.into()).and_then(|read| read.check(&rules));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

#[test]
fn attest_1_a_signature_made_for_something_else_never_counts_here() {
    let whole = signed(said());
    let body_end = whole.bytes().len() - SIGNATURE_LEN;
    for label in ["nearbits token 1", "nearbits claim 1", "nearbits interest 1", "nearbits segment 1"] {
        let mut bytes = whole.bytes().to_vec();
        let other = attestor().sign(label, &bytes[whole.0.signed_at..body_end]);
        bytes[body_end..].copy_from_slice(&other);
        let forged = Attestation::parse(bytes.into()).unwrap();
        assert_eq!(checked(&forged, |_| {}), Err(AttestFault::Unsigned), "{label}");
    }
}

#[test]
fn attest_1_its_bytes_are_golden() {
    let attestation = signed(said());
    let token = Token::grant(&group(), &wish());
    let text = |text: &str| {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}{hex}", text.len())
    };
    let golden = format!(
        "01ea2b00e7a073937789b65a15cd023c44{}{}{:016x}{:016x}{:016x}{:016x}{}{}{}{}{}{}ffff",
        "07".repeat(16),
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
        3,
        NOW - 60,
        NOW - 60 + 7 * DAY,
        131_073,
        "aa".repeat(32),
        "bb".repeat(32),
        "cc".repeat(32),
        text("https://example.org/u.bin"),
        text("https://example.org:443"),
        text("\"a\""),
    );
    let bytes = attestation.bytes();
    assert_eq!(bytes[..2], [0, 159]);
    assert_eq!(&bytes[2..161], token.bytes());
    assert_eq!(Some(&bytes[161..bytes.len() - SIGNATURE_LEN]), bytes_from_hex(&golden).as_deref());
    for end in 0..bytes.len() {
        assert_eq!(Attestation::parse(bytes.slice(..end)), Err(AttestFault::Malformed), "{end} bytes");
    }
    let long = [&bytes[..], &[0]].concat();
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let rules = AttestRules { group: &key, now: NOW, epoch: 4, denied: &nobody };
    let longer = Attestation::parse(long.into()).and_then(|read| read.check(&rules));
    assert!(longer.is_err(), "{longer:?}");
}

#[test]
fn attest_6_an_attestation_counts_in_its_time_and_for_a_week_at_most() {
    let attestation = signed(said());
    for (now, outcome) in [
        (NOW - 60 - ATTESTATION_SKEW_S, Ok(())),
        (NOW - 60 - ATTESTATION_SKEW_S - 1, Err(AttestFault::Future)),
        (NOW + 6 * DAY, Ok(())),
        // Its signer's token is over before it is.
        (NOW + 6 * DAY + 1, Err(AttestFault::Token(TokenFault::Over))),
        (NOW - 60 + 7 * DAY + 1, Err(AttestFault::Over)),
    ] {
        assert_eq!(checked(&attestation, |rules| rules.now = now), outcome, "{now}");
    }
    let long = signed(Attested { not_after: NOW - 60 + 7 * DAY + 1, ..said() });
    assert_eq!(checked(&long, |_| {}), Err(AttestFault::TooLong));
    let backwards = signed(Attested { fetched_at: NOW + 9, not_after: NOW + 8, ..said() });
    assert_eq!(checked(&backwards, |_| {}), Err(AttestFault::Over));
}

#[test]
fn attest_10_only_a_live_attestor_of_this_group_attests_and_in_its_own_name() {
    let by = |wish: Wish| Attestation::sign(&attestor(), &Token::grant(&group(), &wish), said()).unwrap();
    let member = by(Wish { roles: Roles::FETCH.and(Roles::SERVE), ..wish() });
    assert_eq!(checked(&member, |_| {}), Err(AttestFault::NotAttestor));
    let other_holder = by(Wish { holder: HolderId([8; 16]), ..wish() });
    assert_eq!(checked(&other_holder, |_| {}), Err(AttestFault::OtherHolder));
    let copied = by(Wish { peer: Signer::of(&[2; 32]).peer(), ..wish() });
    assert_eq!(checked(&copied, |_| {}), Err(AttestFault::Token(TokenFault::OtherPeer)));
    let old = by(Wish { epoch: 2, ..wish() });
    assert_eq!(checked(&old, |_| {}), Err(AttestFault::Token(TokenFault::Epoch)));
    let stranger = Token::grant(&Signer::of(&[8; 32]), &wish());
    let stranger = Attestation::sign(&attestor(), &stranger, said()).unwrap();
    assert_eq!(checked(&stranger, |_| {}), Err(AttestFault::Token(TokenFault::OtherGroup)));
    let elsewhere = signed(Attested { group: GroupId([1; 16]), ..said() });
    assert_eq!(checked(&elsewhere, |_| {}), Err(AttestFault::OtherGroup));
    let somebody =
        Attestation::sign(&Signer::of(&[2; 32]), &Token::grant(&group(), &wish()), said()).unwrap();
    assert_eq!(checked(&somebody, |_| {}), Err(AttestFault::Unsigned));
}

#[test]
fn group_6_denying_an_attestor_voids_its_records() {
    let denied = BTreeSet::from([HolderId([7; 16])]);
    let key = group().public_key();
    let rules = AttestRules { group: &key, now: NOW, epoch: 4, denied: &denied };
    assert_eq!(signed(said()).check(&rules), Err(AttestFault::Token(TokenFault::Denied)));
}

#[test]
fn attest_10_two_that_name_other_bytes_for_one_version_contradict_each_other() {
    let one = signed(said());
    let bytes = |root| signed(Attested { content: ContentId { root, len: 131_073 }, ..said() });
    assert!(one.contradicts(&bytes(Hash([0xab; 32]))));
    assert!(one.contradicts(&signed(Attested { sha256: [1; 32], ..said() })));
    assert!(!one.contradicts(&signed(Attested { sequence: 4, ..said() })), "said twice");
    let version = Version { etag: Some("\"b\"".into()), ..said().version };
    assert!(!one.contradicts(&signed(Attested { version, sha256: [1; 32], ..said() })), "another version");
    let url = "https://example.org/v.bin".into();
    assert!(!one.contradicts(&signed(Attested { url, sha256: [1; 32], ..said() })), "another URL");
    assert_ne!(one.id(), signed(Attested { sequence: 4, ..said() }).id());
}

#[test]
fn attest_3_every_field_of_the_version_makes_another_id_and_so_does_the_epoch() {
    let secret = EpochSecret([3; 32]);
    let version = said().version;
    let url = said().url;
    let id = attested_id(&secret, &url, &version);
    assert_eq!(id, attested_id(&secret, &url, &version.clone()));
    for other in [
        Version { final_origin: "https://cdn.example.org:443".into(), ..version.clone() },
        Version { etag: None, ..version.clone() },
        Version { etag: None, last_modified: Some("\"a\"".into()), ..version.clone() },
        Version { len: Some(131_072), ..version.clone() },
        Version { len: None, ..version.clone() },
    ] {
        assert_ne!(id, attested_id(&secret, &url, &other), "{other:?}");
    }
    assert_ne!(id, attested_id(&secret, "https://example.org/u.bi", &version));
    assert_ne!(id, attested_id(&EpochSecret([4; 32]), &url, &version));
}

#[test]
fn attest_1_what_is_too_long_or_hides_control_characters_is_not_signed() {
    let token = Token::grant(&group(), &wish());
    let sign = |said| Attestation::sign(&attestor(), &token, said);
    let path = "x".repeat(ATTESTATION_LEN_MAX);
    assert!(sign(Attested { url: format!("https://example.org/{path}"), ..said() }).is_none());
    assert!(sign(Attested { url: "https://example.org/\u{7}".into(), ..said() }).is_none());
    let shorter = ContentId { len: 131_072, ..said().content };
    assert!(sign(Attested { content: shorter, ..said() }).is_none(), "two lengths");
    let len = crate::limits::FILE_LEN_MAX + 1;
    let version = Version { len: Some(len), ..said().version };
    assert!(sign(Attested { content: ContentId { len, ..said().content }, version, ..said() }).is_none());
}
