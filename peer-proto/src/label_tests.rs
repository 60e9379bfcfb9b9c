//! That a signature which was made for one purpose counts for no other (ATTEST-1).
//!
//! Knows: everything that is signed, where its signature stands, and whose it is. Does not know: what is said.

use std::collections::BTreeSet;

use crate::attest::tests::{NOW, attestor, group, said, signed, wish};
use crate::attest::{AttestRules, Attestation};
use crate::batch::{self, Batch};
use crate::content::{ContentId, Hash};
use crate::group::{
    DenyList, EpochSecret, GroupId, GroupName, HolderId, Membership, Roles, Token, TokenRules, Wish,
};
use crate::sign::{SIGNATURE_LEN, Signer};
use crate::void::{Void, Voided};
use crate::wire::{Record, RecordHead, Said};

/// Bytes of a token without and with its signature.
const TOKEN_BODY: usize = 95;
const TOKEN_LEN: usize = TOKEN_BODY + SIGNATURE_LEN;

/// Something that is signed.
struct Statement {
    what: &'static str,
    label: &'static str,
    signer: Signer,
    bytes: Vec<u8>,
    /// What is signed in them, and where its signature is.
    message: std::ops::Range<usize>,
    signature_at: usize,
    counts: fn(Vec<u8>) -> bool,
}

impl Statement {
    /// One whose signature is at its end; what is signed begins there.
    fn ending(
        what: &'static str,
        label: &'static str,
        signer: Signer,
        (bytes, from): (&[u8], usize),
        counts: fn(Vec<u8>) -> bool,
    ) -> Self {
        let signature_at = bytes.len() - SIGNATURE_LEN;
        let bytes = bytes.to_vec();
        Self { what, label, signer, bytes, message: from..signature_at, signature_at, counts }
    }

    /// Whether it counts when its signer signs it under this label.
    fn counts_under(&self, label: &'static str) -> bool {
        let mut bytes = self.bytes.clone();
        let signature = self.signer.sign(label, &bytes[self.message.clone()]);
        bytes[self.signature_at..self.signature_at + SIGNATURE_LEN].copy_from_slice(&signature);
        (self.counts)(bytes)
    }
}

fn nobody() -> &'static BTreeSet<HolderId> {
    static NOBODY: BTreeSet<HolderId> = BTreeSet::new();
    &NOBODY
}

fn by_rules(check: impl FnOnce(&AttestRules<'_>) -> bool) -> bool {
    check(&AttestRules { group: &group().public_key(), now: NOW, epoch: 4, denied: nobody() })
}

fn token_counts(bytes: Vec<u8>) -> bool {
    let rules = TokenRules {
        group: &group().public_key(),
        peer: attestor().peer(),
        now: NOW,
        epoch: 4,
        denied: nobody(),
    };
    Token::parse(bytes.into()).is_ok_and(|token| token.check(&rules).is_ok())
}

fn record_counts(bytes: Vec<u8>) -> bool {
    Record::parse(bytes.into()).is_ok_and(|record| record.is_signed())
}

/// Where the part begins that is signed behind a token.
fn behind_token(bytes: &[u8]) -> (&[u8], usize) {
    (bytes, 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

/// What attestors say.
fn of_attestors() -> Vec<Statement> {
    let token = Token::grant(&group(), &wish());
    let one = signed(said());
    let voided = Voided {
        group: said().group,
        holder: said().holder,
        statement: one.id(),
        sequence: 5,
        not_after: said().not_after,
        reason: "it was read wrong".into(),
    };
    let batch = batch::tests::signed(batch::tests::said());
    let void = Void::sign(&attestor(), Some(&token), voided.clone()).unwrap();
    let groups = Void::sign(&group(), None, voided).unwrap();
    let void_counts: fn(Vec<u8>) -> bool =
        |bytes| Void::parse(bytes.into()).is_ok_and(|void| void.check(&group().public_key(), NOW).is_ok());
    vec![
        Statement::ending(
            "an attestation",
            "nearbits attest 1",
            attestor(),
            behind_token(one.bytes()),
            |bytes| {
                by_rules(|rules| Attestation::parse(bytes.into()).is_ok_and(|one| one.check(rules).is_ok()))
            },
        ),
        Statement::ending("a batch", "nearbits batch 1", attestor(), behind_token(batch.bytes()), |bytes| {
            by_rules(|rules| Batch::parse(bytes.into()).is_ok_and(|one| one.check(rules).is_ok()))
        }),
        Statement::ending("a void", "nearbits void 1", attestor(), behind_token(void.bytes()), void_counts),
        Statement::ending(
            "a void of the group's",
            "nearbits void 1",
            group(),
            behind_token(groups.bytes()),
            void_counts,
        ),
    ]
}

/// What makes members, and no members.
fn of_groups() -> Vec<Statement> {
    let token = Token::grant(&group(), &wish());
    let enroller = Signer::of(&[3; 32]);
    let roles = Roles::FETCH.and(Roles::ENROL).and(Roles::ATTEST);
    let own = Wish { holder: HolderId([3; 16]), peer: enroller.peer(), roles, ..wish() };
    let given = Token::delegate(&Token::grant(&group(), &own), &enroller, &wish()).unwrap();
    let denied = DenyList::sign(&group(), 2, [HolderId([8; 16])].into()).unwrap();
    let name = GroupName::sign(&group(), "branch").unwrap();
    let membership = Membership {
        key: group().public_key(),
        epoch: 4,
        secret: EpochSecret([4; 32]),
        former: None,
        token: token.clone(),
        denied: None,
        name: None,
        seal: None,
    };
    let epochs = 1 + 32 + 4 + 32 + 8 + 32;
    vec![
        Statement::ending("a token", "nearbits token 1", group(), (token.bytes(), 0), token_counts),
        Statement {
            what: "an enroller's token",
            label: "nearbits token 2",
            signer: enroller,
            bytes: given.bytes().to_vec(),
            message: 0..TOKEN_BODY,
            signature_at: TOKEN_LEN - SIGNATURE_LEN,
            counts: token_counts,
        },
        Statement::ending("a deny list", "nearbits deny 1", group(), (denied.bytes(), 0), |bytes| {
            DenyList::parse(bytes.into()).is_some_and(|list| list.is_signed(&group().public_key()))
        }),
        Statement {
            what: "a name",
            label: "nearbits group name 1",
            signer: group(),
            bytes: name.bytes().to_vec(),
            message: SIGNATURE_LEN..name.bytes().len(),
            signature_at: 0,
            counts: |bytes| GroupName::parse(&bytes, &group().public_key()).is_some(),
        },
        Statement {
            what: "an invitation",
            label: "nearbits epoch 2",
            signer: group(),
            bytes: membership.sealed(&group()).invitation().unwrap().to_vec(),
            message: 0..epochs,
            signature_at: epochs,
            counts: |bytes| Membership::invited(&bytes.into()).is_some(),
        },
    ]
}

/// What members say to each other while they fetch a file.
fn of_members() -> Vec<Statement> {
    let head = RecordHead {
        group: GroupId::of(&group().public_key()),
        author: attestor().peer(),
        number: 5,
        swarm: ContentId { root: Hash([0xaa; 32]), len: 131_073 },
    };
    let interest = Said::Interest { fetches: true, token: Token::grant(&group(), &wish()) };
    let segment = Said::Segment { number: 9, pieces: 1..3, from_back: true, rate_kib: 1_500 };
    let pieces = Said::Pieces { first: 1, values: vec![Hash([0xcc; 32]); 2] };
    [
        ("an interest", "nearbits interest 1", interest),
        ("a farewell", "nearbits interest 1", Said::Leave),
        ("a segment claim", "nearbits segment 1", segment),
        ("a claim", "nearbits claim 1", pieces),
    ]
    .map(|(what, label, said)| {
        let record = Record::sign(&attestor(), head, said).unwrap();
        Statement::ending(what, label, attestor(), (record.bytes(), 0), record_counts)
    })
    .into()
}

#[test]
fn attest_1_a_signature_under_the_label_of_one_kind_of_statement_counts_for_no_other_kind() {
    let all: Vec<Statement> = of_attestors().into_iter().chain(of_groups()).chain(of_members()).collect();
    let labels: BTreeSet<&'static str> = all.iter().map(|one| one.label).collect();
    assert_eq!(labels.len(), 11, "each kind has its own: {labels:?}");
    for one in &all {
        assert!((one.counts)(one.bytes.clone()), "{} as it was made", one.what);
        for label in &labels {
            assert_eq!(one.counts_under(label), *label == one.label, "{} under {label:?}", one.what);
        }
    }
}
