//! What kin hand on to each other of what their group's key signed: versions, and the deny list page by page (GROUP-6).
//!
//! Knows: which page is due, its length, the pace of questions. Does not know: whether a list is good, whose is newer, who is
//! a member (the node's engine decides).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::pace::Pace;
use super::{ProtocolError, Session, SessionEvent};
use crate::group::{DenyList, GrantFault, GroupId, Membership, TicketSecret};
use crate::limits::{DENY_PAGE_LEN, DENY_PAGES_PER_SECOND_MAX};
use crate::time::Instant;
use crate::wire::{DenyPage, DenyWant, Frame, Newest, Versions};

/// What kin have to say of what our group signed.
#[derive(Clone, Debug)]
pub enum HandedOn {
    /// The newest that the peer has of it: it names the group.
    Newest(Newest),
    /// The peer asks for a page of the deny list of the group that it names. Answer with [`Session::show_denied`].
    DenyWanted(DenyWant),
    /// The deny list that was asked for, its pages put together: nothing of it is believed yet. `None` if the peer has another
    /// by now.
    Denied {
        /// Whose.
        group: GroupId,
        /// The list.
        list: Option<DenyList>,
    },
    /// The peer asks this node for a token. Answer with [`Session::show_enrolled`].
    EnrolAsked {
        /// The question's name for the answer.
        number: u32,
        /// For what.
        by: EnrolBy,
    },
    /// The answer to a question of ours: a membership whose epochs its group signed, the rest to be checked, or why there is none.
    Enrolled {
        /// The question's name.
        number: u32,
        /// What the enroller gave.
        given: Result<Box<Membership>, GrantFault>,
    },
}

/// For what an enroller gives a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnrolBy {
    /// The secret of a ticket.
    Ticket(TicketSecret),
    /// The asker is a member of this group, and renews its token.
    Member(GroupId),
}

/// A deny list on its way here.
#[derive(Debug)]
struct Coming {
    group: GroupId,
    version: u64,
    /// Bytes of the whole.
    len: usize,
    so_far: BytesMut,
}

impl Coming {
    fn next(&self) -> DenyWant {
        let page = u32::try_from(self.so_far.len() / DENY_PAGE_LEN).unwrap_or(u32::MAX);
        DenyWant { group: Some(self.group), version: self.version, page }
    }

    fn left(&self) -> usize {
        self.len - self.so_far.len()
    }
}

/// Both sides of it.
#[derive(Debug)]
pub(super) struct Handing {
    /// One of each group at a time.
    coming: BTreeMap<GroupId, Coming>,
    pace: Pace,
}

impl Handing {
    pub(super) fn new(now: Instant) -> Self {
        let burst = DENY_PAGES_PER_SECOND_MAX;
        Self { coming: BTreeMap::new(), pace: Pace::new(burst, burst, now) }
    }
}

impl Session {
    /// Whether the peer knows a secret of a group of ours and the frames by which members hand on what it signed.
    #[must_use]
    pub fn hands_on(&self) -> bool {
        self.is_kin() && self.version().is_some_and(|version| version >= Versions::HANDS_ON)
    }

    /// Tells kin what this node has of what the group that is named signed. Meant for members only: the caller checked their token.
    pub fn show_newest(&mut self, newest: Newest) {
        if self.hands_on() && self.meant(newest.group).is_some() {
            self.out.frame(Frame::Newest(newest));
        }
    }

    /// Asks for the deny list that kin told of, which one [`HandedOn::Denied`] answers at most: silence is an answer
    /// too. `false` if it is asked for already, cannot be asked for, or there is none.
    pub fn want_denied(&mut self, newest: Newest) -> bool {
        let Ok(len) = usize::try_from(newest.denied_len) else { return false };
        let Some(group) = self.meant(newest.group) else { return false };
        if !self.hands_on() || len == 0 || self.kin.handing.coming.contains_key(&group) {
            return false;
        }
        let coming = Coming { group, version: newest.denied, len, so_far: BytesMut::new() };
        self.out.frame(Frame::DenyWant(coming.next()));
        self.kin.handing.coming.insert(group, coming);
        true
    }

    /// Answers [`HandedOn::DenyWanted`] with the list that is there: its page, or none if it is another version.
    pub fn show_denied(&mut self, of: DenyWant, list: Option<&DenyList>) {
        let Some(group) = self.meant(of.group).filter(|_| self.hands_on()) else { return };
        let start = usize::try_from(of.page).map_or(usize::MAX, |page| page.saturating_mul(DENY_PAGE_LEN));
        let list =
            list.filter(|list| (list.group(), list.version()) == (group, of.version)).map(DenyList::bytes);
        let list = list.filter(|bytes| start < bytes.len());
        let page = |bytes: &Bytes| bytes.slice(start..bytes.len().min(start.saturating_add(DENY_PAGE_LEN)));
        let bytes = list.map(page).unwrap_or_default();
        self.out.frame(Frame::DenyPage(DenyPage { of, bytes }));
    }

    pub(super) fn handed(&mut self, frame: Frame, now: Instant) -> Result<(), ProtocolError> {
        match frame {
            Frame::Newest(newest) => {
                let group = self.meant(newest.group);
                if group.is_some() {
                    let newest = Newest { group, ..newest };
                    self.out.event(SessionEvent::HandedOn(HandedOn::Newest(newest)));
                }
            }
            Frame::DenyWant(of) if self.meant(of.group).is_some() && self.kin.handing.pace.take(now) => {
                let of = DenyWant { group: self.meant(of.group), ..of };
                self.out.event(SessionEvent::HandedOn(HandedOn::DenyWanted(of)));
            }
            Frame::DenyWant(of) => self.out.frame(Frame::DenyPage(DenyPage { of, bytes: Bytes::new() })),
            Frame::DenyPage(page) => self.page_shown(&page)?,
            _ => {}
        }
        Ok(())
    }

    fn page_shown(&mut self, page: &DenyPage) -> Result<(), ProtocolError> {
        let unasked = ProtocolError::UnaskedPage { page: page.of.page };
        let group = self.meant(page.of.group);
        let coming = group.and_then(|group| self.kin.handing.coming.remove(&group));
        // What was asked for in a group that this node left meanwhile is of no use.
        let Some(mut coming) = coming else { return if group.is_some() { Err(unasked) } else { Ok(()) } };
        let of = DenyWant { group, ..page.of };
        let is_due = page.bytes.is_empty() || page.bytes.len() == coming.left().min(DENY_PAGE_LEN);
        if of != coming.next() || !is_due {
            return Err(unasked);
        }
        coming.so_far.extend_from_slice(&page.bytes);
        if page.bytes.is_empty() || coming.left() == 0 {
            let whole = (coming.left() == 0).then(|| coming.so_far.freeze());
            let parsed = whole.map(|bytes| DenyList::parse(bytes).ok_or(ProtocolError::NoDenyList));
            let whole = parsed.transpose()?;
            self.out.event(SessionEvent::HandedOn(HandedOn::Denied { group: coming.group, list: whole }));
        } else {
            self.out.frame(Frame::DenyWant(coming.next()));
            self.kin.handing.coming.insert(coming.group, coming);
        }
        Ok(())
    }
}
