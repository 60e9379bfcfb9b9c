//! What members hand on to each other of what their group's key signed: the deny list (GROUP-6).
//!
//! Knows: who has a newer one, who is asked for it and until when. Does not know: where it is kept, what follows from it
//! (`group`).

use std::collections::{BTreeMap, BTreeSet};

use peer_proto::group::{DenyList, Offer};
use peer_proto::limits::REPLY_TIMEOUT;
use peer_proto::peer::PeerId;
use peer_proto::session::{EnrolBy, HandedOn};
use peer_proto::time::Instant;
use peer_proto::wire::Newest;

use super::core::Core;
use super::group::GroupConfig;
use super::io::Effect;

/// Deny lists that others have.
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
        self.handing.wake()
    }

    /// Tells a member what this node has.
    pub(super) fn tell_newest(&mut self, id: PeerId) {
        let newest = self.config.group.as_ref().filter(|_| self.is_member(id)).map(GroupConfig::newest);
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
            _ if !self.is_member(id) => {}
            HandedOn::EnrolAsked { number, by: EnrolBy::Member(_) } => self.renewal_asked(id, number),
            HandedOn::Newest(newest) => {
                self.handing.epochs.insert(id, newest.epoch);
                self.handing.told.insert(id, newest);
                self.ask_for_denied();
                self.renew();
            }
            HandedOn::DenyWanted(of) => {
                let list = self.config.group.as_ref().and_then(|group| group.denied.as_ref());
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.session.show_denied(of, list);
                }
                self.pump(id);
            }
            HandedOn::Denied { list, .. } => self.denied_shown(id, list),
        }
    }

    /// Asks whoever told of the newest list for it, if it is newer than the one here and nobody is asked.
    fn ask_for_denied(&mut self) {
        let Some(mine) = self.config.group.as_ref().map(|group| group.newest().denied) else { return };
        while self.handing.asked.is_none() {
            let newer = self.handing.told.iter().filter(|(_, newest)| newest.denied > mine);
            let Some((id, newest)) = newer.max_by_key(|(_, newest)| newest.denied) else { return };
            let (id, newest) = (*id, *newest);
            let session = self.peers.get_mut(id).map(|peer| &mut peer.session);
            if session.is_some_and(|session| session.want_denied(newest)) {
                self.handing.asked = Some((id, self.time().after(REPLY_TIMEOUT)));
                self.pump(id);
            } else {
                self.handing.told.remove(&id);
            }
        }
    }

    /// A list came, from whoever was asked or from one who was too late.
    fn denied_shown(&mut self, id: PeerId, list: Option<DenyList>) {
        self.handing.pass_over(id);
        let Some(group) = &self.config.group else { return };
        match list {
            Some(list) if !list.is_signed(&group.key) => {
                self.back_off(id, "it handed on a deny list that the group did not sign");
            }
            // It counts when it is kept; until then the others need not be asked.
            Some(list) if list.version() > group.newest().denied => {
                self.handing.told.retain(|_, newest| newest.denied > list.version());
                self.effect(Effect::TakeOffer(Box::new(Offer::Denied(list))));
            }
            Some(_) | None => {}
        }
        self.ask_for_denied();
    }

    /// Asks the next one if whoever was asked is silent.
    pub(super) fn hurry_denied(&mut self) {
        let now = self.time();
        if let Some((late, _)) = self.handing.asked.take_if(|(_, until)| *until <= now) {
            self.handing.told.remove(&late);
            self.ask_for_denied();
        }
    }
}
