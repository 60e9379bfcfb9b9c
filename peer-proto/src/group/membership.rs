//! What makes one node a member of a group, and the invitation it comes in.
//!
//! Knows: what belongs together and the bytes it travels as. Does not know: whether it is taken (`offer`), where it is kept.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes};

use super::{Badge, DenyList, EpochSecret, GroupId, GroupName, Token, TokenFault, TokenRules};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

const LABEL: &str = "nearbits epoch 2";
const FORMAT: u8 = 2;
/// Format, key, epoch, secret, until when the one before is honoured, that one.
const HEAD_LEN: usize = 1 + 32 + 4 + 32 + 8 + 32;

/// The secret of the epoch before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Former {
    /// The secret.
    pub secret: EpochSecret,
    /// Seconds since 1970 until which it is honoured (GROUP-7).
    pub until: u64,
}

/// What makes a node a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The group's public key.
    pub key: [u8; 32],
    /// The present epoch.
    pub epoch: u32,
    /// Its secret.
    pub secret: EpochSecret,
    /// The epoch before.
    pub former: Option<Former>,
    /// The node's token.
    pub token: Token,
    /// Who is no member any more, if anybody ever was forgotten.
    pub denied: Option<DenyList>,
    /// What its owner calls the group, if he said so. Nothing follows from it.
    pub name: Option<GroupName>,
    /// The group's signature of its key and of what is said of its epochs. Without it this node cannot hand the epoch on.
    pub seal: Option<[u8; SIGNATURE_LEN]>,
}

impl Membership {
    /// The group's id.
    #[must_use]
    pub fn group(&self) -> GroupId {
        GroupId::of(&self.key)
    }

    /// Whether it makes this node a member now, in seconds since 1970.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, peer: PeerId, now: u64) -> Result<(), TokenFault> {
        let nobody = BTreeSet::new();
        let denied = self.denied.as_ref().map_or(&nobody, DenyList::holders);
        self.token.check(&TokenRules { group: &self.key, peer, now, epoch: self.epoch, denied })
    }

    /// What the node shows other members now, in seconds since 1970.
    #[must_use]
    pub fn badge(&self, now: u64) -> Badge {
        let former = self.former.as_ref().filter(|former| now <= former.until);
        Badge {
            token: self.token.clone(),
            secret: self.secret.clone(),
            former: former.map(|former| former.secret.clone()),
        }
    }

    /// How many hundredths of its token's life are over, from 100 on all.
    #[must_use]
    pub fn spent_percent(&self, now: u64) -> u64 {
        let wish = self.token.wish();
        let (life, spent) =
            (wish.not_after.saturating_sub(wish.not_before), now.saturating_sub(wish.not_before));
        spent.saturating_mul(100).checked_div(life).unwrap_or(100)
    }

    /// The same as the group signs it: secrets too are this group's and nobody else's.
    #[must_use]
    pub fn sealed(self, group: &Signer) -> Self {
        Self { seal: Some(group.sign(LABEL, &self.epochs())), ..self }
    }

    /// The invitation by which it reaches its node; `None` without a seal. It consists of what the group signed, each part by
    /// itself: the epochs, the token, the deny list, and the name if there is one.
    #[must_use]
    pub fn invitation(&self) -> Option<Bytes> {
        let mut out = self.epochs();
        out.put_slice(&self.seal?);
        let denied = self.denied.as_ref().map(|list| list.bytes().clone()).unwrap_or_default();
        let name = self.name.as_ref().map(GroupName::bytes);
        for part in [self.token.bytes().clone(), denied].into_iter().chain(name) {
            // All are far shorter than 4 GiB.
            out.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            out.put_slice(&part);
        }
        Some(out.into())
    }

    /// Reads an invitation. What it says of epochs and of who is denied is the group's word then; whether its token counts,
    /// and whether anybody wants this group, is not looked at.
    #[must_use]
    pub fn invited(bytes: &Bytes) -> Option<Self> {
        let (head, _) = bytes.split_at_checked(HEAD_LEN)?;
        let mut rest = bytes.slice(1..);
        let key = array(&mut rest)?;
        let epoch = rest.get_u32();
        let secret = EpochSecret(array(&mut rest)?);
        let until = rest.get_u64();
        let former = EpochSecret(array(&mut rest)?);
        let seal: [u8; SIGNATURE_LEN] = array(&mut rest)?;
        let token = Token::parse(part(&mut rest)?).ok()?;
        let denied = match part(&mut rest)? {
            none if none.is_empty() => None,
            list => Some(DenyList::parse(list).filter(|list| list.is_signed(&key))?),
        };
        let name = match rest.is_empty() {
            true => None,
            false => Some(GroupName::parse(&part(&mut rest)?, &key)?),
        };
        let former = (until > 0).then_some(Former { secret: former, until });
        let is_whole = head[0] == FORMAT && rest.is_empty() && is_signed(&key, LABEL, head, &seal);
        is_whole.then_some(Self { key, epoch, secret, former, token, denied, name, seal: Some(seal) })
    }

    /// What the seal is a signature of.
    fn epochs(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN);
        out.put_u8(FORMAT);
        out.put_slice(&self.key);
        out.put_u32(self.epoch);
        out.put_slice(&self.secret.0);
        out.put_u64(self.former.as_ref().map_or(0, |former| former.until));
        out.put_slice(&self.former.as_ref().map_or([0; 32], |former| former.secret.0));
        out
    }
}

fn array<const N: usize>(rest: &mut Bytes) -> Option<[u8; N]> {
    (rest.len() >= N).then(|| rest.split_to(N)).and_then(|bytes| bytes.as_ref().try_into().ok())
}

/// A length and so many bytes.
fn part(rest: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    (rest.len() >= len).then(|| rest.split_to(len))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::group::{HolderId, Roles, Wish};

    pub(in crate::group) const NOW: u64 = 1_800_000_000;
    pub(in crate::group) const DAY: u64 = 24 * 60 * 60;

    pub(in crate::group) fn group() -> Signer {
        Signer::of(&[9; 32])
    }

    pub(in crate::group) fn peer() -> PeerId {
        Signer::of(&[1; 32]).peer()
    }

    /// A membership of this group, as good as any.
    pub(in crate::group) fn membership(group: &Signer, serial: u64) -> Membership {
        let wish = Wish {
            holder: HolderId([7; 16]),
            peer: peer(),
            roles: Roles::FETCH.and(Roles::SERVE),
            not_before: NOW - DAY,
            not_after: NOW + 3 * DAY,
            epoch: 3,
            serial,
        };
        Membership {
            key: group.public_key(),
            epoch: 4,
            secret: EpochSecret([4; 32]),
            former: Some(Former { secret: EpochSecret([3; 32]), until: NOW + DAY }),
            token: Token::grant(group, &wish),
            denied: DenyList::sign(group, 2, [HolderId([8; 16])].into()),
            name: GroupName::sign(group, "branch"),
            seal: None,
        }
        .sealed(group)
    }

    #[test]
    fn group_4_an_invitation_is_read_as_it_was_made() {
        let whole = membership(&group(), 1);
        let fresh = Membership { former: None, denied: None, ..whole.clone() }.sealed(&group());
        let unnamed = Membership { name: None, ..whole.clone() };
        for membership in [whole, fresh, unnamed] {
            assert_eq!(Membership::invited(&membership.invitation().unwrap()), Some(membership));
        }
        let unsealed = Membership { seal: None, ..membership(&group(), 1) };
        assert_eq!(unsealed.invitation(), None);
    }

    #[test]
    fn group_4_every_flipped_bit_makes_an_invitation_worthless() {
        let bytes = membership(&group(), 1).invitation().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let counts =
                Membership::invited(&flipped.into()).is_some_and(|read| read.check(peer(), NOW).is_ok());
            assert!(!counts, "bit {bit}");
        }
        let name = bytes.len() - (4 + SIGNATURE_LEN + "branch".len());
        for end in 0..bytes.len() {
            let read = Membership::invited(&bytes.slice(..end));
            assert_eq!(read.is_some(), end == name, "{end} bytes: it need not have a name");
        }
    }

    #[test]
    fn group_8_an_invitation_that_another_key_signed_is_none() {
        let bytes = membership(&group(), 1).sealed(&Signer::of(&[8; 32])).invitation().unwrap();
        assert_eq!(Membership::invited(&bytes), None);
        let foreign = DenyList::sign(&Signer::of(&[8; 32]), 2, [HolderId([8; 16])].into());
        let bytes = Membership { denied: foreign, ..membership(&group(), 1) }.invitation().unwrap();
        assert_eq!(Membership::invited(&bytes), None, "another group's deny list");
        let foreign = GroupName::sign(&Signer::of(&[8; 32]), "branch");
        let bytes = Membership { name: foreign, ..membership(&group(), 1) }.invitation().unwrap();
        assert_eq!(Membership::invited(&bytes), None, "another group's name");
    }

    #[test]
    fn group_7_the_former_secret_is_honoured_until_its_time_is_over() {
        let member = membership(&group(), 1);
        assert_eq!(member.badge(NOW + DAY).former, Some(EpochSecret([3; 32])));
        assert_eq!(member.badge(NOW + DAY + 1).former, None);
    }

    #[test]
    fn group_5_the_spent_part_of_a_life_is_told_in_hundredths() {
        let member = membership(&group(), 1);
        let at = [NOW - 2 * DAY, NOW - DAY, NOW + DAY, NOW + 2 * DAY, NOW + 3 * DAY, NOW + 7 * DAY];
        assert_eq!(at.map(|now| member.spent_percent(now)), [0, 0, 50, 75, 100, 200]);
    }
}
