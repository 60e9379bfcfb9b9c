//! Groups: people's trust in nodes, as tokens that a group's key signed.
//!
//! Knows: who is a member and until when ([`token`]), how two members find out that they are both members without
//! telling anybody else ([`badge`]), who is no member any more ([`deny`]), what makes one node a member ([`membership`]), what its owner calls a group ([`name`]), what
//! a member that enrols others may give ([`enrol`]) and for which secret ([`ticket`]), what becomes of it when a new invitation or deny list is handed in ([`offer`]), which statements of an author were seen
//! already ([`seen`]). Does not know: how invitations travel, or what members say ([`wire::record`](crate::wire::record)).

pub mod badge;
pub mod deny;
pub mod enrol;
pub mod membership;
pub mod name;
pub mod offer;
pub mod seen;
pub mod ticket;
pub mod token;

use std::fmt;

pub use badge::{Badge, Badges, EpochSecret, filler};
pub use deny::DenyList;
pub use enrol::{Asker, GrantFault};
pub use membership::{Former, Membership};
pub use name::{GroupName, is_group_name};
pub use offer::{Offer, OfferFault, OfferRules, Taken};
pub use seen::Seen;
pub use ticket::{Ticket, TicketSecret};
pub use token::{HolderId, Roles, Token, TokenFault, TokenRules, Wish};

/// Which group: it follows from the group's public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 16]);

impl GroupId {
    /// The id of the group with this public key.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("nearbits group 1", public_key)[..16]);
        Self(id)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::digest::hex(&self.0))
    }
}
