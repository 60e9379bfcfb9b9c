//! What an enroller gives: a token for a node, and the epochs as the group signed them (GROUP-3, 5, 7).
//!
//! Knows: what a member with the role may give, to whom, for how long. Does not know: who asks and why (`session`), tickets
//! (`ticket`), the clock.

use super::{HolderId, Membership, Roles, Token, Wish};
use crate::peer::PeerId;
use crate::sign::Signer;

/// Clocks of machines may be so far behind the one that signs.
const SKEW_S: u64 = 10 * 60;

/// Why an enroller gives nothing. The numbers travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum GrantFault {
    /// Not what it is.
    #[error(
        "that machine is no enroller now: its token has no role enrol, is over, or does not come from the group's key"
    )]
    NoEnroller,
    /// The asker was forgotten.
    #[error("whoever runs the group forgot this machine: it gets no token with this identity")]
    Denied,
    /// More than it has.
    #[error("the enroller was not given these roles itself, and gives nobody what it was not given")]
    Roles,
    /// There is nothing to gain.
    #[error(
        "the enroller's own token ends no later than the one that is here: whoever runs the group has to renew that one"
    )]
    NoLonger,
    /// Asked too often.
    #[error("the enroller is asked too often: try again in a minute")]
    Busy,
    /// No ticket, or none of its own.
    #[error("the enroller does not know this ticket: it is another group's, or was over long ago")]
    NoTicket,
    /// Used as often as it may be.
    #[error("this ticket is used up: ask for another")]
    UsedUp,
    /// Too late.
    #[error("this ticket's time is over: ask for another")]
    TicketOver,
    /// Its disk.
    #[error("the enroller could not write down that the ticket was used, and so gives nothing")]
    NotKept,
}

impl GrantFault {
    /// Each with the number by which it travels.
    pub(crate) const ALL: [(Self, u32); 9] = [
        (Self::NoEnroller, 1),
        (Self::Denied, 2),
        (Self::Roles, 3),
        (Self::NoLonger, 4),
        (Self::Busy, 5),
        (Self::NoTicket, 6),
        (Self::UsedUp, 7),
        (Self::TicketOver, 8),
        (Self::NotKept, 9),
    ];
}

/// For whom a token is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Whom it is given to.
    pub holder: HolderId,
    /// The node it makes a member, as the channel proves it.
    pub peer: PeerId,
    /// What it may do.
    pub roles: Roles,
    /// The number of the token that it has, which the new one exceeds.
    pub serial: u64,
}

impl Membership {
    /// Whether this makes the node with this key an enroller at a moment in seconds since 1970.
    #[must_use]
    pub fn may_enrol(&self, me: PeerId, now: u64) -> bool {
        let is_one = self.token.wish().roles.has(Roles::ENROL) && !self.token.is_delegated();
        is_one && self.seal.is_some() && self.check(me, now).is_ok()
    }

    /// Makes a node a member as an enroller, at a moment in seconds since 1970: for as long as roles allow, and no longer than
    /// the enroller's own token lives. Of those who are denied the node hears from members.
    ///
    /// # Errors
    /// [`GrantFault`]: nothing was signed.
    pub fn enrol(&self, signer: &Signer, asker: &Asker, now: u64) -> Result<Self, GrantFault> {
        let Asker { holder, peer, roles, serial } = *asker;
        if !self.may_enrol(signer.peer(), now) {
            return Err(GrantFault::NoEnroller);
        }
        if self.denied.as_ref().is_some_and(|list| list.holders().contains(&holder)) {
            return Err(GrantFault::Denied);
        }
        let own = self.token.wish();
        if !own.roles.without(Roles::ENROL).has(roles) {
            return Err(GrantFault::Roles);
        }
        let former = self.former.as_ref().filter(|former| now <= former.until);
        let not_before = now.saturating_sub(SKEW_S);
        let wish = Wish {
            holder,
            peer,
            roles,
            not_before,
            not_after: not_before.saturating_add(roles.life_max_s()).min(own.not_after),
            // Those who have not heard of the new epoch take its bearer for a member too, as long as the former one is honoured.
            epoch: if former.is_some() { self.epoch.saturating_sub(1) } else { self.epoch },
            serial: serial.saturating_add(1).max(now << 16),
        };
        let token = Token::delegate(&self.token, signer, &wish).ok_or(GrantFault::NoEnroller)?;
        Ok(Self { token, denied: None, ..self.clone() })
    }

    /// Renews the token of a member that is good now, as an enroller: the same holder and roles, for longer or in a newer epoch.
    ///
    /// # Errors
    /// [`GrantFault`]: nothing was signed.
    pub fn renew(&self, signer: &Signer, token: &Token, now: u64) -> Result<Self, GrantFault> {
        let before = token.wish();
        let asker =
            Asker { holder: before.holder, peer: before.peer, roles: before.roles, serial: before.serial };
        let renewed = self.enrol(signer, &asker, now)?;
        let after = renewed.token.wish();
        let gains = after.not_after > before.not_after || self.epoch > before.epoch;
        if gains { Ok(renewed) } else { Err(GrantFault::NoLonger) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::membership::tests::{DAY, NOW, group, membership, peer};
    use crate::group::{Former, Offer, OfferRules, Taken};

    /// An enroller with these roles, whose token lives so many days more.
    fn enroller(roles: Roles, days: u64) -> (Membership, Signer) {
        let signer = Signer::of(&[3; 32]);
        let wish = Wish {
            holder: HolderId([3; 16]),
            peer: signer.peer(),
            roles,
            not_before: NOW - DAY,
            not_after: NOW + days * DAY,
            epoch: 4,
            serial: 1,
        };
        let token = Token::grant(&group(), &wish);
        (Membership { token, former: None, ..membership(&group(), 1) }.sealed(&group()), signer)
    }

    fn usual() -> Roles {
        Roles::FETCH.and(Roles::SERVE)
    }

    fn asker() -> Asker {
        Asker { holder: HolderId([7; 16]), peer: peer(), roles: usual(), serial: 5 }
    }

    fn taken(
        given: Membership,
        held: Option<&Membership>,
    ) -> Result<(Membership, Taken), super::super::OfferFault> {
        let rules = OfferRules { me: peer(), now: NOW };
        Offer::Invitation(Box::new(given)).taken(held, &rules)
    }

    #[test]
    fn group_5_an_enroller_gives_a_member_a_token_for_thirty_days_or_as_long_as_its_own_lives() {
        for (days, left) in [(29, 29 * DAY), (20, 20 * DAY)] {
            let (own, signer) = enroller(usual().and(Roles::ENROL), days);
            let given = own.enrol(&signer, &asker(), NOW).unwrap();
            let wish = *given.token.wish();
            assert_eq!(wish.not_after, (NOW + left).min(NOW - SKEW_S + 30 * DAY));
            assert_eq!((wish.holder, wish.roles, wish.epoch), (HolderId([7; 16]), usual(), 4));
            assert!(wish.serial > 5 && given.denied.is_none());
            let read = Membership::invited(&given.invitation().unwrap()).unwrap();
            assert_eq!(read, given);
            assert_eq!(taken(read, None).unwrap().1, Taken::Joined);
        }
    }

    #[test]
    fn group_5_a_renewed_token_keeps_holder_and_roles_and_the_members_deny_list() {
        let (own, signer) = enroller(usual().and(Roles::ENROL), 20);
        let held = membership(&group(), 5);
        let given = own.renew(&signer, &held.token, NOW).unwrap();
        let (after, became) = taken(given, Some(&held)).unwrap();
        assert_eq!(became, Taken::Renewed);
        let (before, wish) = (held.token.wish(), after.token.wish());
        assert_eq!((wish.holder, wish.roles), (before.holder, before.roles));
        assert!(wish.not_after > before.not_after && after.denied == held.denied);
    }

    #[test]
    fn group_5_renewing_what_lives_as_long_already_is_refused() {
        let (own, signer) = enroller(usual().and(Roles::ENROL), 3);
        let held = membership(&group(), 5);
        assert!(own.renew(&signer, &held.token, NOW).is_ok(), "of the epoch before: there is a newer one");
        let same = Token::grant(&group(), &Wish { epoch: 4, ..*held.token.wish() });
        assert_eq!(own.renew(&signer, &same, NOW), Err(GrantFault::NoLonger));
    }

    #[test]
    fn group_3_whoever_is_no_enroller_gives_nothing() {
        let (own, signer) = enroller(usual(), 20);
        assert_eq!(own.enrol(&signer, &asker(), NOW), Err(GrantFault::NoEnroller));
        let (own, signer) = enroller(usual().and(Roles::ENROL), 20);
        assert_eq!(own.enrol(&signer, &asker(), NOW + 21 * DAY), Err(GrantFault::NoEnroller));
        assert_eq!(own.enrol(&Signer::of(&[4; 32]), &asker(), NOW), Err(GrantFault::NoEnroller));
        let unsealed = Membership { seal: None, ..own.clone() };
        assert_eq!(unsealed.enrol(&signer, &asker(), NOW), Err(GrantFault::NoEnroller));
        let given = own.enrol(&signer, &asker(), NOW).unwrap();
        let named = Asker { peer: Signer::of(&[1; 32]).peer(), ..asker() };
        assert_eq!(given.enrol(&Signer::of(&[1; 32]), &named, NOW), Err(GrantFault::NoEnroller));
    }

    #[test]
    fn group_3_roles_that_an_enroller_was_not_given_it_does_not_give() {
        let (own, signer) = enroller(usual().and(Roles::ENROL), 20);
        for roles in [usual().and(Roles::ATTEST), usual().and(Roles::ENROL), Roles(0x8001)] {
            let asker = Asker { roles, ..asker() };
            assert_eq!(own.enrol(&signer, &asker, NOW), Err(GrantFault::Roles), "{roles:?}");
        }
        let (own, signer) = enroller(usual().and(Roles::ENROL).and(Roles::ATTEST), 6);
        let attests = Asker { roles: usual().and(Roles::ATTEST), ..asker() };
        let given = own.enrol(&signer, &attests, NOW).unwrap();
        assert_eq!(taken(given, None).unwrap().1, Taken::Joined);
    }

    #[test]
    fn group_6_who_is_denied_is_given_nothing() {
        let (own, signer) = enroller(usual().and(Roles::ENROL), 20);
        let denied = Asker { holder: HolderId([8; 16]), ..asker() };
        assert_eq!(own.enrol(&signer, &denied, NOW), Err(GrantFault::Denied));
    }

    #[test]
    fn group_7_a_new_epoch_comes_with_the_renewal_and_its_token_counts_for_both() {
        let (own, signer) = enroller(usual().and(Roles::ENROL), 20);
        let former = Former { secret: own.secret.clone(), until: NOW + DAY };
        let secret = crate::group::EpochSecret([5; 32]);
        let own = Membership { epoch: 5, secret, former: Some(former), ..own }.sealed(&group());
        let held = membership(&group(), 5);
        let held = Membership { former: None, ..held };
        let given = own.renew(&signer, &held.token, NOW).unwrap();
        assert_eq!(given.token.wish().epoch, 4);
        let (after, _) = taken(given, Some(&held)).unwrap();
        assert_eq!((after.epoch, &after.secret), (5, &own.secret));
        assert_eq!(own.renew(&signer, &held.token, NOW + 2 * DAY).unwrap().token.wish().epoch, 5);
    }
}
