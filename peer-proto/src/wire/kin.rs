//! The frames in which members hand on what their group's key signed, who is no member any more, and in which an enroller gives
//! tokens.
//!
//! Knows: what each may hold. Does not know: deny lists and tokens themselves ([`group`](crate::group)), who is told.

use bytes::Bytes;

use super::fault::FrameFault;
use crate::group::deny::DENY_LIST_LEN_MAX;
use crate::group::{GrantFault, GroupId};
use crate::limits::{DENY_PAGE_LEN, DENY_PAGES_MAX, GRANT_LEN_MAX};

/// The newest that the sender has of what the group's key signed for all members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Newest {
    /// Whose. Versions before 8 say none: it is the one group that both are in.
    pub group: Option<GroupId>,
    /// The present epoch.
    pub epoch: u32,
    /// Version of the deny list; zero if nobody was ever denied.
    pub denied: u64,
    /// Its bytes; zero together with the version.
    pub denied_len: u32,
}

impl Newest {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let fits = usize::try_from(self.denied_len).is_ok_and(|len| len <= DENY_LIST_LEN_MAX);
        if !fits || (self.denied == 0) != (self.denied_len == 0) {
            return Err(FrameFault::DenyList);
        }
        Ok(())
    }
}

/// Asks for one page of a deny list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DenyWant {
    /// Whose; as in [`Newest`].
    pub group: Option<GroupId>,
    /// Version of the list.
    pub version: u64,
    /// Zero-based; a list has at most three.
    pub page: u32,
}

impl DenyWant {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        if self.page < DENY_PAGES_MAX { Ok(()) } else { Err(FrameFault::DenyList) }
    }
}

/// One page of a deny list: the answer to a [`DenyWant`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DenyPage {
    /// Which page of which list.
    pub of: DenyWant,
    /// 32 768 bytes, or those that are left of the list; none if the sender has another list by now.
    pub bytes: Bytes,
}

impl DenyPage {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        if self.bytes.len() > DENY_PAGE_LEN { Err(FrameFault::DenyList) } else { self.of.check() }
    }
}

/// Asks an enroller for a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrol {
    /// Chosen by the sender, higher than any before: the answer carries it.
    pub number: u32,
    /// The secret of a ticket, from a node that is no member yet; a member renews its own token.
    pub ticket: Option<[u8; 32]>,
    /// In which group a member renews its token; as in [`Newest`].
    pub group: Option<GroupId>,
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, ticket, .. } = self;
        write!(f, "Enrol {{ number: {number}, by a ticket: {} }}", ticket.is_some())
    }
}

/// The answer to an [`Enrol`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrolled {
    /// Number of the question.
    pub number: u32,
    /// An invitation without a deny list: nothing of it is believed yet. Or why there is none.
    pub given: Result<Bytes, GrantFault>,
}

impl Enrolled {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        match &self.given {
            Ok(bytes) if bytes.is_empty() || bytes.len() > GRANT_LEN_MAX => Err(FrameFault::Grant),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Other group tags than in the Hello: the sender is in another group, or a group in another epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tags {
    /// Fresh random bytes that these tags are made with: they look like no others. Those of the Hello stay what proofs are for.
    pub nonce: [u8; 16],
    /// Eight group tags of 16 bytes, or random filler that looks the same (GROUP-2).
    pub tags: [u8; 128],
}
