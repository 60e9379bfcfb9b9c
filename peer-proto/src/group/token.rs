//! Tokens: what makes a node a member (GROUP-1, 3).
//!
//! Knows: their bytes, and every condition under which one counts, with time as a value. Does not know: the clock, who
//! is denied (both are handed in), enrolment.

use std::collections::BTreeSet;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::GroupId;
use crate::digest::{bytes_from_hex, hex};
use crate::limits::{TOKEN_LEN_MAX, TOKEN_LIFE_ATTEST_S, TOKEN_LIFE_MAX_S};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

const LABEL: &str = "nearbits token 1";
const FORMAT: u8 = 1;
/// Format, group, holder, peer, roles, not before, not after, epoch, serial.
const BODY_LEN: usize = 1 + 16 + 16 + 32 + 2 + 8 + 8 + 4 + 8;

/// Whom a token was given to: kept over renewals and changes of the peer id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HolderId(pub [u8; 16]);

impl HolderId {
    /// The holder that people write with these 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        bytes_from_hex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// What a member may do. Unknown bits are carried and mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles(pub u16);

impl Roles {
    /// May ask.
    pub const FETCH: Self = Self(1);
    /// What it says it holds counts.
    pub const SERVE: Self = Self(2);
    /// May sign what a URL contains.
    pub const ATTEST: Self = Self(4);
    /// May give tokens to others.
    pub const ENROL: Self = Self(8);
    /// May have others fetch for the site.
    pub const CACHE: Self = Self(16);

    /// Those that have a name, and the names.
    pub const NAMED: [(Self, &'static str); 5] = [
        (Self::FETCH, "fetch"),
        (Self::SERVE, "serve"),
        (Self::ATTEST, "attest"),
        (Self::ENROL, "enrol"),
        (Self::CACHE, "cache"),
    ];

    /// The names of these; what has none is left out.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMED.iter().filter(|(role, _)| self.has(*role)).map(|(_, name)| *name).collect()
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }

    /// Seconds that a token with these roles may live.
    #[must_use]
    pub const fn life_max_s(self) -> u64 {
        if self.has(Self::ATTEST) { TOKEN_LIFE_ATTEST_S } else { TOKEN_LIFE_MAX_S }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of these are among them.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Whom it was given to.
    pub holder: HolderId,
    /// The node it makes a member.
    pub peer: PeerId,
    /// What it may do.
    pub roles: Roles,
    /// Seconds since 1970 from which on it counts ...
    pub not_before: u64,
    /// ... and until which.
    pub not_after: u64,
    /// The epoch it was made in.
    pub epoch: u32,
    /// The how-manieth token of its signer.
    pub serial: u64,
}

/// Why a token does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenFault {
    /// No token at all.
    #[error("bytes that are no token")]
    Malformed,
    /// Another group's.
    #[error("a token of another group")]
    OtherGroup,
    /// The channel proves another node.
    #[error("a token of another node")]
    OtherPeer,
    /// Before its time.
    #[error("a token that does not count yet")]
    NotYet,
    /// After its time.
    #[error("a token whose time is over")]
    Over,
    /// Made for longer than tokens may live.
    #[error("a token that was made to live too long")]
    TooLong,
    /// Neither this epoch's nor the last one's.
    #[error("a token of another epoch")]
    Epoch,
    /// Its holder is no member any more.
    #[error("a token of somebody who is denied")]
    Denied,
    /// Not signed by the group's key.
    #[error("a token that the group's key did not sign")]
    Unsigned,
}

/// What a token must agree with.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules<'a> {
    /// The group's public key.
    pub group: &'a [u8; 32],
    /// The node, as the channel proves it, or as it signed.
    pub peer: PeerId,
    /// Seconds since 1970.
    pub now: u64,
    /// The present epoch.
    pub epoch: u32,
    /// Holders that are no members any more.
    pub denied: &'a BTreeSet<HolderId>,
}

/// A token, as it is carried: its bytes are never written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    bytes: Bytes,
    group: GroupId,
    wish: Wish,
}

impl Token {
    /// Makes a token with the group's key.
    #[must_use]
    pub fn grant(group: &Signer, wish: &Wish) -> Self {
        let id = GroupId::of(&group.public_key());
        let mut out = BytesMut::with_capacity(BODY_LEN + SIGNATURE_LEN);
        out.put_u8(FORMAT);
        out.put_slice(&id.0);
        out.put_slice(&wish.holder.0);
        out.put_slice(wish.peer.public_key());
        out.put_u16(wish.roles.0);
        out.put_u64(wish.not_before);
        out.put_u64(wish.not_after);
        out.put_u32(wish.epoch);
        out.put_u64(wish.serial);
        let signature = group.sign(LABEL, &out);
        out.put_slice(&signature);
        Self { bytes: out.freeze(), group: id, wish: *wish }
    }

    /// Reads a token; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn parse(bytes: Bytes) -> Result<Self, TokenFault> {
        let (group, wish) = read(&bytes).ok_or(TokenFault::Malformed)?;
        Ok(Self { group, wish, bytes })
    }

    /// As it travels.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whose token it says it is.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// What it says, to be believed after [`check`](Self::check) only.
    #[must_use]
    pub const fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Whether it makes this node a member now (GROUP-1). The signature is looked at last: it costs most.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, rules: &TokenRules<'_>) -> Result<(), TokenFault> {
        let wish = &self.wish;
        let life = wish.not_after.checked_sub(wish.not_before).ok_or(TokenFault::Over)?;
        let is_epoch = wish.epoch == rules.epoch || wish.epoch.checked_add(1) == Some(rules.epoch);
        for (fails, fault) in [
            (self.group != GroupId::of(rules.group), TokenFault::OtherGroup),
            (wish.peer != rules.peer, TokenFault::OtherPeer),
            (rules.now < wish.not_before, TokenFault::NotYet),
            (rules.now > wish.not_after, TokenFault::Over),
            (life > wish.roles.life_max_s(), TokenFault::TooLong),
            (!is_epoch, TokenFault::Epoch),
            (rules.denied.contains(&wish.holder), TokenFault::Denied),
        ] {
            if fails {
                return Err(fault);
            }
        }
        let Some((body, signature)) = self.bytes.split_last_chunk::<SIGNATURE_LEN>() else {
            return Err(TokenFault::Malformed);
        };
        if is_signed(rules.group, LABEL, body, signature) { Ok(()) } else { Err(TokenFault::Unsigned) }
    }
}

fn read(bytes: &[u8]) -> Option<(GroupId, Wish)> {
    if bytes.len() != BODY_LEN + SIGNATURE_LEN || bytes.len() > TOKEN_LEN_MAX {
        return None;
    }
    let (format, rest) = bytes.split_first()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (holder, rest) = rest.split_first_chunk()?;
    let (peer, rest) = rest.split_first_chunk()?;
    let (roles, rest) = rest.split_first_chunk()?;
    let (not_before, rest) = rest.split_first_chunk()?;
    let (not_after, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (serial, _) = rest.split_first_chunk()?;
    let wish = Wish {
        holder: HolderId(*holder),
        peer: PeerId::from_public_key(*peer),
        roles: Roles(u16::from_be_bytes(*roles)),
        not_before: u64::from_be_bytes(*not_before),
        not_after: u64::from_be_bytes(*not_after),
        epoch: u32::from_be_bytes(*epoch),
        serial: u64::from_be_bytes(*serial),
    };
    (*format == FORMAT).then_some((GroupId(*group), wish))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
