//! Tokens: what makes a node a member (GROUP-1, 3).
//!
//! The group's key signs tokens; so does an *enroller*, a member whose own token the group's key signed with that role: such a
//! token travels with its enroller's behind it, and counts while that one does. Knows: their bytes, and every condition under which one counts, with time as a value. Does not know: the clock, who
//! is denied (both are handed in), enrolment.

use std::collections::BTreeSet;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::GroupId;
use crate::digest::{bytes_from_hex, hex};
use crate::limits::{TOKEN_LIFE_ATTEST_S, TOKEN_LIFE_MAX_S};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, Verdict, is_signed};

const LABEL: &str = "nearbits token 1";
/// For tokens that an enroller gave.
const DELEGATED_LABEL: &str = "nearbits token 2";
const FORMAT: u8 = 1;
const DELEGATED: u8 = 2;
/// Format, group, holder, peer, roles, not before, not after, epoch, serial.
const BODY_LEN: usize = 1 + 16 + 16 + 32 + 2 + 8 + 8 + 4 + 8;
const LEN: usize = BODY_LEN + SIGNATURE_LEN;

/// Whom a token was given to: kept over renewals and changes of the peer id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HolderId(pub [u8; 16]);

impl HolderId {
    /// Whom tokens of a group for this node are given to, whoever gives them: so who was denied is denied however he comes
    /// back with the same identity.
    #[must_use]
    pub fn of(group: GroupId, peer: PeerId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("nearbits holder 2");
        hasher.update(&group.0).update(peer.public_key());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }

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

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
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
    /// Not signed by the group's key, nor by the enroller it names.
    #[error("a token that the group's key did not sign")]
    Unsigned,
    /// Given by somebody whose own token does not count now, or does not make him an enroller.
    #[error("a token whose enroller is none now")]
    NoEnroller,
    /// Given by an enroller who is no member any more.
    #[error("a token whose enroller is denied")]
    EnrollerDenied,
    /// Gives roles that its enroller may not give, or lives longer than its enroller's.
    #[error("a token that gives more than its enroller has")]
    BeyondEnroller,
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
    /// Who gave it, if the group's key did not.
    enroller: Option<Box<Token>>,
    /// By the key of its own group, or of its own enroller.
    is_signed: Verdict,
}

impl Token {
    /// Makes a token with the group's key.
    #[must_use]
    pub fn grant(group: &Signer, wish: &Wish) -> Self {
        let id = GroupId::of(&group.public_key());
        let mut out = packed(FORMAT, id, wish);
        let signature = group.sign(LABEL, &out);
        out.put_slice(&signature);
        Self { bytes: out.freeze(), group: id, wish: *wish, enroller: None, is_signed: Verdict::default() }
    }

    /// Makes a token as an enroller: `own` is the token of the node whose key signs, and goes along. Whether it counts is seen
    /// when it is checked. `None` if that one was given by an enroller itself.
    #[must_use]
    pub fn delegate(own: &Self, signer: &Signer, wish: &Wish) -> Option<Self> {
        if own.is_delegated() {
            return None;
        }
        let mut out = packed(DELEGATED, own.group, wish);
        let signature = signer.sign(DELEGATED_LABEL, &out);
        out.put_slice(&signature);
        out.put_slice(&own.bytes);
        Some(Self {
            bytes: out.freeze(),
            group: own.group,
            wish: *wish,
            enroller: Some(Box::new(own.clone())),
            is_signed: Verdict::default(),
        })
    }

    /// Reads a token; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn parse(bytes: Bytes) -> Result<Self, TokenFault> {
        let (format, group, wish) = read(&bytes).ok_or(TokenFault::Malformed)?;
        let enroller = match (format, bytes.len()) {
            (FORMAT, LEN) => None,
            (DELEGATED, both) if both == 2 * LEN => match Self::parse(bytes.slice(LEN..))? {
                own if !own.is_delegated() => Some(Box::new(own)),
                _ => return Err(TokenFault::Malformed),
            },
            _ => return Err(TokenFault::Malformed),
        };
        Ok(Self { bytes, group, wish, enroller, is_signed: Verdict::default() })
    }

    /// Whether an enroller gave it: nodes before version 6 of the protocol cannot read it.
    #[must_use]
    pub const fn is_delegated(&self) -> bool {
        self.enroller.is_some()
    }

    /// Whether it or its enroller's belongs to one of these.
    #[must_use]
    pub fn is_of(&self, holders: &BTreeSet<HolderId>) -> bool {
        let enroller = self.enroller.as_deref().map(|own| own.wish.holder);
        holders.contains(&self.wish.holder) || enroller.is_some_and(|holder| holders.contains(&holder))
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
        match &self.enroller {
            None if self.is_signed(rules.group, LABEL) => Ok(()),
            Some(own) => self.check_enroller(own, rules),
            None => Err(TokenFault::Unsigned),
        }
    }

    /// Whether its enroller may have given it, and did.
    fn check_enroller(&self, own: &Self, rules: &TokenRules<'_>) -> Result<(), TokenFault> {
        let (mine, theirs) = (&self.wish, &own.wish);
        let may_give = theirs.roles.without(Roles::ENROL);
        if !may_give.has(mine.roles) || mine.not_after > theirs.not_after {
            return Err(TokenFault::BeyondEnroller);
        }
        match own.check(&TokenRules { peer: theirs.peer, ..*rules }) {
            Ok(()) if theirs.roles.has(Roles::ENROL) => {}
            Err(TokenFault::Denied) => return Err(TokenFault::EnrollerDenied),
            Ok(()) | Err(_) => return Err(TokenFault::NoEnroller),
        }
        let is_signed = self.is_signed(theirs.peer.public_key(), DELEGATED_LABEL);
        if is_signed { Ok(()) } else { Err(TokenFault::Unsigned) }
    }

    /// By the only key that may have signed it: the one its group's id is made of, or its enroller's.
    fn is_signed(&self, key: &[u8; 32], label: &'static str) -> bool {
        let signed = || {
            let (body, rest) = self.bytes.split_at_checked(BODY_LEN)?;
            Some(is_signed(key, label, body, rest.first_chunk()?))
        };
        self.is_signed.or(|| signed().unwrap_or(false))
    }
}

fn packed(format: u8, group: GroupId, wish: &Wish) -> BytesMut {
    let mut out = BytesMut::with_capacity(2 * LEN);
    out.put_u8(format);
    out.put_slice(&group.0);
    out.put_slice(&wish.holder.0);
    out.put_slice(wish.peer.public_key());
    out.put_u16(wish.roles.0);
    out.put_u64(wish.not_before);
    out.put_u64(wish.not_after);
    out.put_u32(wish.epoch);
    out.put_u64(wish.serial);
    out
}

/// What the first token in these bytes says, whatever follows it.
fn read(bytes: &[u8]) -> Option<(u8, GroupId, Wish)> {
    if bytes.len() < LEN {
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
    Some((*format, GroupId(*group), wish))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
