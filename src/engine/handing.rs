//! What members hand on to each other of what their group's key signed: the deny list (GROUP-6).
//!
//! Knows: who has a newer one, who is asked for it and until when. Does not know: where it is kept, what follows from it
//! (`group`).

use std::collections::{BTreeMap, BTreeSet};

use peer_proto::group::{DenyList, GroupId, Offer};
use peer_proto::limits::REPLY_TIMEOUT;
use peer_proto::peer::PeerId;
use peer_proto::session::{EnrolBy, HandedOn};
use peer_proto::time::Instant;
use peer_proto::wire::Newest;

use super::core::Core;
use super::group::GroupConfig;
use super::io::Effect;

/// Deny lists of one group that others have.
#[derive(Debug, Default)]
pub(super) struct Handing {
    /// Members with a session, and the epoch they told of.
    epochs: BTreeMap<PeerId, u32>,
    /// Those who may have a newer deny list.
    told: BTreeMap<PeerId, Newest>,
    /// Who is asked for a list, and until when it may take.
    asked: Option<(PeerId, Instant)>,
}

impl Handing {
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.epochs.remove(&peer);
        self.pass_over(peer);
    }

    /// The epoch that a member told of.
    pub(super) fn epoch_of(&self, peer: PeerId) -> u32 {
        self.epochs.get(&peer).copied().unwrap_or(0)
    }

    /// The newest that any of these told of.
    pub(super) fn newest_epoch(&self, among: &BTreeSet<PeerId>) -> u32 {
        among.iter().map(|peer| self.epoch_of(*peer)).max().unwrap_or(0)
    }

    /// Its deny list is not asked for again, unless it tells of another.
    fn pass_over(&mut self, peer: PeerId) {
        self.told.remove(&peer);
        self.asked.take_if(|(asked, _)| *asked == peer);
    }

    fn wake(&self) -> Instant {
        self.asked.map_or(Instant::NEVER, |(_, until)| until)
    }
}

impl GroupConfig {
    /// What this node has of what the group signed for all.
    pub(super) fn newest(&self) -> Newest {
        // None has version 0, which says that there is none.
        let list = self.denied.as_ref().filter(|list| list.version() > 0);
        Newest {
            group: Some(self.id()),
            epoch: self.epoch,
            denied: list.map_or(0, DenyList::version),
            // Bounded by the format.
            denied_len: list.map_or(0, |list| u32::try_from(list.bytes().len()).unwrap_or(0)),
        }
    }
}

impl Core {
    /// When somebody who was asked has taken too long.
    pub(super) fn handing_wake(&self) -> Instant {
        self.handing.values().map(Handing::wake).min().unwrap_or(Instant::NEVER)
    }

    /// Tells a member of a group what this node has.
    pub(super) fn tell_newest(&mut self, id: PeerId, group: GroupId) {
        let config = self.config.groups.get(group).filter(|_| self.is_member_of(id, group));
        let newest = config.map(GroupConfig::newest);
        if let (Some(newest), Some(peer)) = (newest, self.peers.get_mut(id)) {
            peer.session.show_newest(newest);
            self.pump(id);
        }
    }

    /// What a member has to say of what the group signed; nobody else is heard.
    pub(super) fn handed_on(&mut self, id: PeerId, said: HandedOn) {
        match said {
            HandedOn::EnrolAsked { number, by: EnrolBy::Ticket(secret) } => {
                self.ticket_shown(id, number, secret)
            }
            HandedOn::Enrolled { number, given } => {
                if !self.ticket_answered(id, number, &given) {
                    self.enrolled(id, number, given);
                }
            }
            HandedOn::EnrolAsked { number, by: EnrolBy::Member(group) } => {
                if self.is_member_of(id, group) {
                    self.renewal_asked(id, group, number);
                }
            }
            HandedOn::Newest(newest) => {
                let Some(group) = newest.group.filter(|group| self.is_member_of(id, *group)) else { return };
                let handing = self.handing.entry(group).or_default();
                handing.epochs.insert(id, newest.epoch);
                handing.told.insert(id, newest);
                self.ask_for_denied(group);
                self.renew(group);
            }
            HandedOn::DenyWanted(of) => {
                let Some(group) = of.group.filter(|group| self.is_member_of(id, *group)) else { return };
                let list = self.config.groups.get(group).and_then(|group| group.denied.as_ref());
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.session.show_denied(of, list);
                }
                self.pump(id);
            }
            HandedOn::Denied { group, list } => {
                if self.is_member_of(id, group) {
                    self.denied_shown(id, group, list);
                }
            }
        }
    }

    /// Asks whoever told of the newest list of a group for it, if it is newer than the one here and nobody is asked.
    fn ask_for_denied(&mut self, group: GroupId) {
        let Some(mine) = self.config.groups.get(group).map(|group| group.newest().denied) else { return };
        let now = self.time();
        while let Some(handing) = self.handing.get_mut(&group).filter(|handing| handing.asked.is_none()) {
            let newer = handing.told.iter().filter(|(_, newest)| newest.denied > mine);
            let Some((id, newest)) = newer.max_by_key(|(_, newest)| newest.denied) else { return };
            let (id, newest) = (*id, *newest);
            let session = self.peers.get_mut(id).map(|peer| &mut peer.session);
            if session.is_some_and(|session| session.want_denied(newest)) {
                handing.asked = Some((id, now.after(REPLY_TIMEOUT)));
                self.pump(id);
            } else {
                handing.told.remove(&id);
            }
        }
    }

    /// A list came, from whoever was asked or from one who was too late.
    fn denied_shown(&mut self, id: PeerId, group: GroupId, list: Option<DenyList>) {
        let (Some(config), Some(handing)) = (self.config.groups.get(group), self.handing.get_mut(&group))
        else {
            return;
        };
        handing.pass_over(id);
        match list {
            Some(list) if !list.is_signed(&config.key) => {
                self.back_off(id, "it handed on a deny list that the group did not sign");
            }
            // It counts when it is kept; until then the others need not be asked.
            Some(list) if list.version() > config.newest().denied => {
                handing.told.retain(|_, newest| newest.denied > list.version());
                self.effect(Effect::TakeOffer(Box::new(Offer::Denied(list))));
            }
            Some(_) | None => {}
        }
        self.ask_for_denied(group);
    }

    /// Asks the next one if whoever was asked is silent.
    pub(super) fn hurry_denied(&mut self) {
        let now = self.time();
        for group in self.config.groups.ids() {
            let Some(handing) = self.handing.get_mut(&group) else { continue };
            if let Some((late, _)) = handing.asked.take_if(|(_, until)| *until <= now) {
                handing.told.remove(&late);
                self.ask_for_denied(group);
            }
        }
    }
}
