//! Every condition under which a token counts.

use super::*;
use crate::limits::TOKEN_LEN_MAX;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

fn group() -> Signer {
    Signer::of(&[9; 32])
}

fn peer() -> PeerId {
    Signer::of(&[1; 32]).peer()
}

fn wish() -> Wish {
    Wish {
        holder: HolderId([7; 16]),
        peer: peer(),
        roles: Roles::FETCH.and(Roles::SERVE),
        not_before: NOW - DAY,
        not_after: NOW + 20 * DAY,
        epoch: 4,
        serial: 11,
    }
}

/// What becomes of a token under the rules as they are, or with one thing changed.
fn checked(wish: &Wish, change: impl FnOnce(&mut TokenRules<'_>)) -> Result<(), TokenFault> {
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let mut rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    change(&mut rules);
    Token::parse(Token::grant(&group(), wish).bytes().clone()).unwrap().check(&rules)
}

#[test]
fn group_1_a_token_makes_its_node_a_member() {
    assert_eq!(checked(&wish(), |_| {}), Ok(()));
    let last = Wish { epoch: 3, ..wish() };
    assert_eq!(checked(&last, |_| {}), Ok(()), "the epoch before");
}

#[test]
fn group_1_a_token_copied_to_another_node_is_worth_nothing() {
    let other = Signer::of(&[2; 32]).peer();
    assert_eq!(checked(&wish(), |rules| rules.peer = other), Err(TokenFault::OtherPeer));
}

#[test]
fn group_1_a_token_counts_in_its_time_only_and_for_no_longer_than_tokens_live() {
    assert_eq!(checked(&wish(), |rules| rules.now = NOW - DAY), Ok(()));
    assert_eq!(checked(&wish(), |rules| rules.now = NOW - DAY - 1), Err(TokenFault::NotYet));
    assert_eq!(checked(&wish(), |rules| rules.now = NOW + 20 * DAY), Ok(()));
    assert_eq!(checked(&wish(), |rules| rules.now = NOW + 20 * DAY + 1), Err(TokenFault::Over));
    let backwards = Wish { not_before: NOW + DAY, not_after: NOW, ..wish() };
    assert_eq!(checked(&backwards, |_| {}), Err(TokenFault::Over));
    for (roles, days, outcome) in [
        (Roles::FETCH, 30, Ok(())),
        (Roles::FETCH, 31, Err(TokenFault::TooLong)),
        (Roles::ATTEST, 7, Ok(())),
        (Roles::ATTEST, 8, Err(TokenFault::TooLong)),
    ] {
        let wish = Wish { roles, not_before: NOW, not_after: NOW + days * DAY, ..wish() };
        assert_eq!(checked(&wish, |_| {}), outcome, "{roles:?} for {days} days");
    }
}

#[test]
fn group_1_a_token_of_an_older_or_a_coming_epoch_is_refused() {
    for (epoch, outcome) in
        [(2, Err(TokenFault::Epoch)), (3, Ok(())), (4, Ok(())), (5, Err(TokenFault::Epoch))]
    {
        assert_eq!(checked(&Wish { epoch, ..wish() }, |_| {}), outcome, "{epoch}");
    }
    let first = Wish { epoch: u32::MAX, ..wish() };
    assert_eq!(checked(&first, |rules| rules.epoch = 0), Err(TokenFault::Epoch));
}

#[test]
fn group_1_a_denied_holder_is_no_member() {
    let denied = BTreeSet::from([HolderId([7; 16])]);
    let key = group().public_key();
    let rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &denied };
    assert_eq!(Token::grant(&group(), &wish()).check(&rules), Err(TokenFault::Denied));
}

#[test]
fn group_1_group_8_another_groups_key_signs_nothing_here() {
    let (other, nobody) = (Signer::of(&[8; 32]).public_key(), BTreeSet::new());
    let rules = TokenRules { group: &other, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    assert_eq!(Token::grant(&group(), &wish()).check(&rules), Err(TokenFault::OtherGroup));
    // One that names this group and is signed by somebody else.
    let mut bytes = Token::grant(&group(), &wish()).bytes().to_vec();
    let forged = Signer::of(&[8; 32]).sign(LABEL, &bytes[..BODY_LEN]);
    bytes[BODY_LEN..].copy_from_slice(&forged);
    let key = group().public_key();
    let rules = TokenRules { group: &key, ..rules };
    assert_eq!(Token::parse(bytes.into()).unwrap().check(&rules), Err(TokenFault::Unsigned));
}

#[test]
fn group_1_every_flipped_bit_makes_a_token_worthless() {
    let token = Token::grant(&group(), &wish());
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    for bit in 0..token.bytes().len() * 8 {
        let mut flipped = token.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = Token::parse(flipped.into()).and_then(|token| token.check(&rules));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

#[test]
fn group_3_unknown_roles_are_ignored_and_grant_nothing() {
    let wish = Wish { roles: Roles(0x8001), ..wish() };
    assert_eq!(checked(&wish, |_| {}), Ok(()));
    assert!(wish.roles.has(Roles::FETCH) && !wish.roles.has(Roles::SERVE));
}

#[test]
fn a_token_has_golden_bytes_and_nothing_else_is_one() {
    let bytes = Token::grant(&group(), &wish()).bytes().clone();
    let golden = format!(
        "01ea2b00e7a073937789b65a15cd023c44{}{}0003{:016x}{:016x}00000004000000000000000b",
        "07".repeat(16),
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
        NOW - DAY,
        NOW + 20 * DAY
    );
    assert_eq!(Some(&bytes[..BODY_LEN]), bytes_from_hex(&golden).as_deref());
    assert!(bytes.len() <= TOKEN_LEN_MAX);
    for end in 0..bytes.len() {
        assert_eq!(Token::parse(bytes.slice(..end)), Err(TokenFault::Malformed));
    }
    let long = [&bytes[..], &[0]].concat();
    assert_eq!(Token::parse(long.into()), Err(TokenFault::Malformed));
}

/// A member with the role, as the group's key made it, and its key.
fn enroller(roles: Roles, not_after: u64) -> (Token, Signer) {
    let signer = Signer::of(&[3; 32]);
    let wish = Wish { holder: HolderId([3; 16]), peer: signer.peer(), roles, not_after, ..wish() };
    (Token::grant(&group(), &wish), signer)
}

const ENROLLER: Roles = Roles(1 | 2 | 8);

/// What becomes of a token that an enroller with these roles gave.
fn delegated(roles: Roles, wish: &Wish, change: impl FnOnce(&mut TokenRules<'_>)) -> Result<(), TokenFault> {
    let (own, signer) = enroller(roles, NOW + 20 * DAY);
    let token = Token::delegate(&own, &signer, wish).unwrap();
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let mut rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    change(&mut rules);
    let read = Token::parse(token.bytes().clone()).unwrap();
    assert_eq!(read, token);
    read.check(&rules)
}

#[test]
fn group_3_an_enrollers_token_makes_its_node_a_member_as_the_groups_does() {
    assert_eq!(delegated(ENROLLER, &wish(), |_| {}), Ok(()));
    assert_eq!(delegated(ENROLLER, &wish(), |rules| rules.epoch = 5), Ok(()), "the next epoch");
    let other = Signer::of(&[2; 32]).peer();
    assert_eq!(delegated(ENROLLER, &wish(), |rules| rules.peer = other), Err(TokenFault::OtherPeer));
    let over = |rules: &mut TokenRules<'_>| rules.now = NOW + 21 * DAY;
    assert_eq!(delegated(ENROLLER, &wish(), over), Err(TokenFault::Over));
}

#[test]
fn group_3_nobody_gives_what_he_was_not_given() {
    let all = ENROLLER.and(Roles::ATTEST);
    let attest = Wish { roles: Roles::FETCH.and(Roles::ATTEST), not_after: NOW + 5 * DAY, ..wish() };
    assert_eq!(delegated(ENROLLER, &attest, |_| {}), Err(TokenFault::BeyondEnroller));
    // An enroller that may attest has a token of a week itself.
    let (own, signer) = enroller(all, NOW + 5 * DAY);
    let key = group().public_key();
    let nobody = BTreeSet::new();
    let rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    assert_eq!(Token::delegate(&own, &signer, &attest).unwrap().check(&rules), Ok(()));
    let longer = Wish { not_after: NOW + 5 * DAY + 1, ..wish() };
    let token = Token::delegate(&own, &signer, &longer).unwrap();
    assert_eq!(token.check(&rules), Err(TokenFault::BeyondEnroller), "it ends with its enroller's");
    let enrol = Wish { roles: ENROLLER, ..wish() };
    assert_eq!(delegated(ENROLLER, &enrol, |_| {}), Err(TokenFault::BeyondEnroller), "no enroller makes one");
    let none = Roles::FETCH.and(Roles::SERVE);
    assert_eq!(delegated(none, &wish(), |_| {}), Err(TokenFault::NoEnroller), "without the role");
}

#[test]
fn group_3_a_token_counts_while_its_enrollers_does() {
    let denied = BTreeSet::from([HolderId([3; 16])]);
    let key = group().public_key();
    let (own, signer) = enroller(ENROLLER, NOW + 20 * DAY);
    let token = Token::delegate(&own, &signer, &wish()).unwrap();
    let rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &denied };
    assert_eq!(token.check(&rules), Err(TokenFault::EnrollerDenied));
    let nobody = BTreeSet::new();
    let rules = TokenRules { denied: &nobody, ..rules };
    assert_eq!(token.check(&rules), Ok(()));
    // An enroller of an epoch long gone.
    let old = Wish { epoch: 2, roles: ENROLLER, peer: signer.peer(), ..wish() };
    let token = Token::delegate(&Token::grant(&group(), &old), &signer, &wish()).unwrap();
    assert_eq!(token.check(&rules), Err(TokenFault::NoEnroller));
    // One that the group's key did not make.
    let own = Token::grant(&Signer::of(&[8; 32]), own.wish());
    let token = Token::delegate(&own, &signer, &wish()).unwrap();
    assert_eq!(token.check(&rules), Err(TokenFault::OtherGroup));
    let id = GroupId::of(&key).0;
    let mut forged = token.bytes().to_vec();
    forged[1..17].copy_from_slice(&id);
    forged[LEN + 1..LEN + 17].copy_from_slice(&id);
    let resigned = signer.sign(DELEGATED_LABEL, &forged[..BODY_LEN]);
    forged[BODY_LEN..LEN].copy_from_slice(&resigned);
    let token = Token::parse(forged.into()).unwrap();
    assert_eq!(token.check(&rules), Err(TokenFault::NoEnroller));
}

#[test]
fn group_3_a_token_behind_a_token_behind_a_token_is_none() {
    let (own, signer) = enroller(ENROLLER, NOW + 20 * DAY);
    let second = Token::delegate(&own, &signer, &Wish { peer: signer.peer(), ..wish() }).unwrap();
    assert_eq!(Token::delegate(&second, &signer, &wish()), None);
    let mut bytes = second.bytes()[..LEN].to_vec();
    bytes.extend_from_slice(second.bytes());
    assert_eq!(Token::parse(bytes.into()), Err(TokenFault::Malformed));
}

#[test]
fn group_3_every_flipped_bit_makes_an_enrollers_token_worthless() {
    let (own, signer) = enroller(ENROLLER, NOW + 20 * DAY);
    let token = Token::delegate(&own, &signer, &wish()).unwrap();
    let (key, nobody) = (group().public_key(), BTreeSet::new());
    let rules = TokenRules { group: &key, peer: peer(), now: NOW, epoch: 4, denied: &nobody };
    for bit in 0..token.bytes().len() * 8 {
        let mut flipped = token.bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = Token::parse(flipped.into()).and_then(|token| token.check(&rules));
        assert!(outcome.is_err(), "bit {bit}");
    }
    for end in 0..token.bytes().len() {
        let outcome = Token::parse(token.bytes().slice(..end)).and_then(|token| token.check(&rules));
        assert!(outcome.is_err(), "{end} bytes");
    }
}

#[test]
fn group_3_an_enrollers_token_has_golden_bytes() {
    let (own, signer) = enroller(ENROLLER, NOW + 20 * DAY);
    let token = Token::delegate(&own, &signer, &wish()).unwrap();
    let direct = Token::grant(&group(), &wish());
    assert_eq!(token.bytes()[0], 2);
    assert_eq!(token.bytes()[1..BODY_LEN], direct.bytes()[1..BODY_LEN], "it says the same");
    assert_eq!(token.bytes()[LEN..], own.bytes()[..]);
    assert!(is_signed(
        &signer.public_key(),
        "nearbits token 2",
        &token.bytes()[..BODY_LEN],
        token.bytes()[BODY_LEN..LEN].try_into().unwrap()
    ));
}

#[test]
fn group_6_a_node_is_the_same_holder_whoever_gives_it_a_token() {
    let id = GroupId::of(&group().public_key());
    assert_eq!(HolderId::of(id, peer()), HolderId::of(id, peer()));
    let other = GroupId::of(&Signer::of(&[8; 32]).public_key());
    assert_ne!(HolderId::of(id, peer()), HolderId::of(other, peer()));
    assert_ne!(HolderId::of(id, peer()), HolderId::of(id, Signer::of(&[2; 32]).peer()));
}
