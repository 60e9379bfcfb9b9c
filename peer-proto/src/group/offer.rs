//! What is handed to a node from its group's authority: an invitation or a deny list, as one line of text.
//!
//! Knows: what is taken and what is not, beside what the node has already. Does not know: how it came, where it is kept.

use super::{DenyList, GroupId, Membership, TokenFault};
use crate::digest::{bytes_from_hex, hex};
use crate::limits::{GROUPS_MAX, OFFER_TEXT_MAX};
use crate::peer::PeerId;

const INVITATION: &str = "nearbits-invitation-2:";
const DENIED: &str = "nearbits-denied-1:";

/// What is handed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Offer {
    /// Makes one node a member, or a member for longer.
    Invitation(Box<Membership>),
    /// Says who is no member any more.
    Denied(DenyList),
}

/// What an offer is held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OfferRules {
    /// The node.
    pub me: PeerId,
    /// Seconds since 1970.
    pub now: u64,
}

/// What became of an offer that was in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// The node is a member now.
    Joined,
    /// It was one before, and has a newer token, epoch or deny list.
    Renewed,
    /// There is a newer deny list, of this version.
    Denied {
        /// Its version.
        version: u64,
        /// How many are denied.
        count: usize,
    },
    /// All of it was there already.
    Known,
    /// The deny list is older than the one there, which stays (GROUP-6).
    Older {
        /// Its version.
        version: u64,
        /// The one that stays.
        known: u64,
    },
}

/// Why an offer is not taken. Nothing has changed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OfferFault {
    /// Neither of the two.
    #[error("this is neither an invitation nor a deny list: both are one line that begins with nearbits-")]
    Unknown,
    /// One of the two, damaged.
    #[error("this is cut short or changed: its group did not sign it so; copy the whole line again")]
    Damaged,
    /// For another node.
    #[error(
        "this invitation is for {for_peer}, and this node is {me}: a token counts for its own node only, a copy is \
         worth nothing; ask for one with this id"
    )]
    OtherPeer {
        /// Whose it is.
        for_peer: PeerId,
        /// Who we are.
        me: PeerId,
    },
    /// The token does not count now.
    #[error("this invitation does not make this node a member: it has {0}")]
    Token(TokenFault),
    /// A member of as many groups as there is room for.
    #[error(
        "this node is a member of {GROUPS_MAX} groups, which is the most: `nearbits group leave` one of them first"
    )]
    Full,
    /// A newer token is there.
    #[error(
        "this invitation is older than the one this node has (serial {offered}, there is {known}); that one stays"
    )]
    Older {
        /// Its serial number.
        offered: u64,
        /// The one that stays.
        known: u64,
    },
    /// A deny list for nobody.
    #[error("this is the deny list of group {0}, and this node is no member of that")]
    NoGroup(GroupId),
}

/// The line by which a deny list is handed out.
#[must_use]
pub fn denied_text(list: &DenyList) -> String {
    format!("{DENIED}{}", hex(list.bytes()))
}

/// The line by which an invitation is handed out; `None` if the group did not seal it.
#[must_use]
pub fn invitation_text(membership: &Membership) -> Option<String> {
    Some(format!("{INVITATION}{}", hex(&membership.invitation()?)))
}

impl Offer {
    /// Reads a line. An invitation is signed by the group that it names; a deny list is not looked at so far, because it
    /// does not name its group's key.
    ///
    /// # Errors
    /// [`OfferFault::Unknown`], [`OfferFault::Damaged`].
    pub fn parse(text: &str) -> Result<Self, OfferFault> {
        let text = text.trim();
        let bytes = |digits: &str| {
            let fits = digits.len() <= OFFER_TEXT_MAX;
            bytes_from_hex(digits).filter(|_| fits).map(bytes::Bytes::from).ok_or(OfferFault::Damaged)
        };
        if let Some(digits) = text.strip_prefix(INVITATION) {
            let membership = Membership::invited(&bytes(digits)?).ok_or(OfferFault::Damaged)?;
            Ok(Self::Invitation(Box::new(membership)))
        } else if let Some(digits) = text.strip_prefix(DENIED) {
            DenyList::parse(bytes(digits)?).map(Self::Denied).ok_or(OfferFault::Damaged)
        } else {
            Err(OfferFault::Unknown)
        }
    }

    /// Whom it is for; a deny list is for all members.
    #[must_use]
    pub fn for_peer(&self) -> Option<PeerId> {
        match self {
            Self::Invitation(membership) => Some(membership.token.wish().peer),
            Self::Denied(_) => None,
        }
    }

    /// The group that it is of.
    #[must_use]
    pub fn group(&self) -> GroupId {
        match self {
            Self::Invitation(membership) => membership.group(),
            Self::Denied(list) => list.group(),
        }
    }

    /// What the node has after it in the offer's group, and what became of the offer. `held` is what it has now; that of
    /// another group counts for nothing.
    ///
    /// # Errors
    /// [`OfferFault`]; what the node has stays as it is.
    pub fn taken(
        self,
        held: Option<&Membership>,
        rules: &OfferRules,
    ) -> Result<(Membership, Taken), OfferFault> {
        let held = held.filter(|held| held.group() == self.group());
        match self {
            Self::Invitation(offered) => invited(*offered, held, rules),
            Self::Denied(list) => denied(list, held),
        }
    }
}

fn invited(
    offered: Membership,
    held: Option<&Membership>,
    rules: &OfferRules,
) -> Result<(Membership, Taken), OfferFault> {
    let wish = offered.token.wish();
    if wish.peer != rules.me {
        return Err(OfferFault::OtherPeer { for_peer: wish.peer, me: rules.me });
    }
    let (serial, before) = (wish.serial, held);
    let known = before.map_or(0, |before| before.token.wish().serial);
    if known > serial {
        return Err(OfferFault::Older { offered: serial, known });
    }
    // Of two deny lists the newer one: an invitation may have lain about.
    let version = |list: &Option<DenyList>| list.as_ref().map_or(0, DenyList::version);
    let known_list = before.and_then(|before| before.denied.clone());
    let denied = if version(&known_list) > version(&offered.denied) { known_list } else { offered.denied };
    // Whoever enrols may know the group from before it had a name.
    let name = offered.name.clone().or_else(|| before.and_then(|before| before.name.clone()));
    let after = Membership { denied, name, ..offered };
    after.check(rules.me, rules.now).map_err(OfferFault::Token)?;
    let taken = match before {
        None => Taken::Joined,
        Some(before) if *before == after => Taken::Known,
        Some(_) => Taken::Renewed,
    };
    Ok((after, taken))
}

fn denied(list: DenyList, held: Option<&Membership>) -> Result<(Membership, Taken), OfferFault> {
    let held = held.ok_or(OfferFault::NoGroup(list.group()))?;
    if !list.is_signed(&held.key) {
        return Err(OfferFault::Damaged);
    }
    let (version, count) = (list.version(), list.holders().len());
    let known = held.denied.as_ref().map_or(0, DenyList::version);
    if version < known {
        return Ok((held.clone(), Taken::Older { version, known }));
    }
    if version == known {
        return Ok((held.clone(), Taken::Known));
    }
    Ok((Membership { denied: Some(list), ..held.clone() }, Taken::Denied { version, count }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::membership::tests::{DAY, NOW, group, membership, peer};
    use std::sync::Arc;

    use crate::group::{Badges, EpochSecret, GroupName, HolderId, Roles, Token, Wish};
    use crate::sign::Signer;

    const RULES: fn() -> OfferRules = || OfferRules { me: peer(), now: NOW };

    fn other() -> Signer {
        Signer::of(&[8; 32])
    }

    fn text(membership: &Membership) -> String {
        invitation_text(&membership.clone().sealed(&group())).unwrap()
    }

    fn take(text: &str, held: Option<&Membership>) -> Result<(Membership, Taken), OfferFault> {
        Offer::parse(text)?.taken(held, &RULES())
    }

    /// Another wish in the same membership.
    fn with(change: impl FnOnce(&mut Wish)) -> Membership {
        let before = membership(&group(), 5);
        let mut wish = *before.token.wish();
        change(&mut wish);
        Membership { token: Token::grant(&group(), &wish), ..before }
    }

    #[test]
    fn group_4_an_invitation_makes_its_node_a_member_once() {
        let (member, taken) = take(&format!(" {}\n", text(&membership(&group(), 5))), None).unwrap();
        assert_eq!((&member, taken), (&membership(&group(), 5), Taken::Joined));
        assert_eq!(take(&text(&member), Some(&member)).unwrap(), (member, Taken::Known));
    }

    #[test]
    fn group_1_a_copied_invitation_is_refused_with_both_ids() {
        let stranger = other().peer();
        let rules = OfferRules { me: stranger, ..RULES() };
        let offer = Offer::parse(&text(&membership(&group(), 5))).unwrap();
        assert_eq!(offer.for_peer(), Some(peer()));
        let fault = offer.taken(None, &rules).unwrap_err();
        assert_eq!(fault, OfferFault::OtherPeer { for_peer: peer(), me: stranger });
        let words = fault.to_string();
        assert!(words.contains(&peer().to_string()) && words.contains("worth nothing"), "{words}");
    }

    #[test]
    fn group_1_an_invitation_whose_token_does_not_count_is_refused() {
        for (offered, fault) in [
            (with(|wish| wish.not_after = NOW - 1), TokenFault::Over),
            (with(|wish| wish.not_before = NOW + 1), TokenFault::NotYet),
            (with(|wish| wish.not_after = NOW + 40 * DAY), TokenFault::TooLong),
            (with(|wish| wish.epoch = 2), TokenFault::Epoch),
            (with(|wish| wish.holder = HolderId([8; 16])), TokenFault::Denied),
            (
                with(|wish| {
                    wish.roles = Roles::FETCH.and(Roles::ATTEST);
                    wish.not_after = NOW + 8 * DAY;
                }),
                TokenFault::TooLong,
            ),
        ] {
            assert_eq!(take(&text(&offered), None), Err(OfferFault::Token(fault)));
        }
    }

    #[test]
    fn group_4_a_renewed_token_takes_the_place_of_an_older_one_and_never_the_other_way() {
        let (old, new) = (membership(&group(), 5), membership(&group(), 6));
        assert_eq!(take(&text(&new), Some(&old)).unwrap(), (new.clone(), Taken::Renewed));
        let fault = OfferFault::Older { offered: 5, known: 6 };
        assert_eq!(take(&text(&old), Some(&new)), Err(fault));
    }

    #[test]
    fn group_8_a_member_keeps_the_name_of_its_group_until_it_hears_another() {
        let named = |name: Option<&str>, serial| {
            let name = name.and_then(|name| GroupName::sign(&group(), name));
            Membership { name, ..membership(&group(), serial) }
        };
        for (before, offered, after) in [
            (None, Some("branch"), Some("branch")),
            (Some("branch"), None, Some("branch")),
            (Some("branch"), Some("office"), Some("office")),
        ] {
            let (member, taken) = take(&text(&named(offered, 6)), Some(&named(before, 5))).unwrap();
            assert_eq!((member.name.as_ref().map(GroupName::text), taken), (after, Taken::Renewed));
        }
    }

    #[test]
    fn group_6_an_invitation_does_not_bring_an_older_deny_list_back() {
        let newer = DenyList::sign(&group(), 3, [HolderId([9; 16])].into());
        let held = Membership { denied: newer.clone(), ..membership(&group(), 5) };
        let (after, taken) = take(&text(&membership(&group(), 6)), Some(&held)).unwrap();
        assert_eq!((after.denied, taken), (newer, Taken::Renewed));
        // Nor does it make somebody a member again who is on the newer one.
        let mine = DenyList::sign(&group(), 3, [HolderId([7; 16])].into());
        let held = Membership { denied: mine, ..held };
        let again = take(&text(&membership(&group(), 6)), Some(&held));
        assert_eq!(again, Err(OfferFault::Token(TokenFault::Denied)));
    }

    #[test]
    fn group_8_another_group_is_joined_whatever_was_handed_in_for_this_one() {
        let mine = DenyList::sign(&group(), 3, [HolderId([7; 16])].into());
        let held = Membership { denied: mine, ..membership(&group(), 5) };
        let line = invitation_text(&membership(&other(), 1)).unwrap();
        assert_eq!(Offer::parse(&line).unwrap().group(), membership(&other(), 1).group());
        // Neither its serial number nor who is denied means anything there.
        assert_eq!(take(&line, Some(&held)).unwrap(), (membership(&other(), 1), Taken::Joined));
    }

    #[test]
    fn group_6_a_deny_list_is_taken_if_its_version_rises_and_its_group_signed_it() {
        let held = membership(&group(), 5);
        let list = |signer: &Signer, version| {
            denied_text(&DenyList::sign(signer, version, [HolderId([7; 16])].into()).unwrap())
        };
        let (after, taken) = take(&list(&group(), 3), Some(&held)).unwrap();
        assert_eq!(taken, Taken::Denied { version: 3, count: 1 });
        assert_eq!(after.check(peer(), NOW), Err(TokenFault::Denied), "it was this node that was meant");
        assert_eq!(take(&list(&group(), 2), Some(&held)).unwrap(), (held.clone(), Taken::Known));
        let older = Taken::Older { version: 1, known: 2 };
        assert_eq!(take(&list(&group(), 1), Some(&held)).unwrap(), (held.clone(), older));
        let id = GroupId::of(&other().public_key());
        assert_eq!(take(&list(&other(), 9), None), Err(OfferFault::NoGroup(id)));
        assert_eq!(take(&list(&other(), 9), Some(&held)), Err(OfferFault::NoGroup(id)));
        // One that says it is this group's, and another key signed it.
        let mut forged = DenyList::sign(&other(), 9, [].into()).unwrap().bytes().to_vec();
        forged[1..17].copy_from_slice(&held.group().0);
        let line = format!("{DENIED}{}", hex(&forged));
        assert_eq!(take(&line, Some(&held)), Err(OfferFault::Damaged));
    }

    #[test]
    fn group_7_members_of_the_epoch_before_and_of_the_present_one_take_each_other_for_members() {
        // As the authority makes them while the former secret is honoured: tokens still name the epoch before.
        let old = Membership { epoch: 3, secret: EpochSecret([3; 32]), former: None, ..with(|_| {}) };
        let new = membership(&group(), 6);
        let (one, other, group_id) = (peer(), other().peer(), GroupId::of(&group().public_key()));
        for (mine, theirs) in [(&old, &new), (&new, &old)] {
            assert_eq!(Membership { token: theirs.token.clone(), ..mine.clone() }.check(peer(), NOW), Ok(()));
            let mut tags = [0; 128];
            let badges = |of: &Membership| Badges::from(Some(Arc::new(of.badge(NOW))));
            badges(mine).put_tags(&one, &other, &[5; 16], &mut tags);
            assert_eq!(badges(theirs).known(&one, &other, &[5; 16], &tags), [group_id].into());
        }
    }

    #[test]
    fn what_is_no_offer_is_said_to_be_none() {
        let line = text(&membership(&group(), 5));
        for text in ["", "hello", &line[1..], "12D3KooW"] {
            assert_eq!(Offer::parse(text), Err(OfferFault::Unknown), "{text}");
        }
        for text in [&line[..line.len() - 1], &line[..100], INVITATION, DENIED, &format!("{line}zz")] {
            assert_eq!(Offer::parse(text), Err(OfferFault::Damaged), "{text}");
        }
        let long = format!("{DENIED}{}", "00".repeat(OFFER_TEXT_MAX));
        assert_eq!(Offer::parse(&long), Err(OfferFault::Damaged));
    }
}
