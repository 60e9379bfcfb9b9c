//! What was taken back: kept, told to members, and in force (ATTEST-9).
//!
//! Knows: whether something an attestor signed was taken back by whoever may, how this node takes back what it signed. Does
//! not know: what a file makes of it (`vouched`), where it is kept (`store`).

use std::collections::BTreeMap;

use peer_proto::attest::{AttestFault, Attestation};
use peer_proto::content::Hash;
use peer_proto::digest::hex;
use peer_proto::evidence::Against;
use peer_proto::group::{GroupId, Roles};
use peer_proto::peer::PeerId;
use peer_proto::void::{Void, Voided};

use super::attest::attestor;
use super::core::Core;
use super::event::AttestationView;
use super::groups::Attestor;
use super::io::Effect;

/// Voids that are kept; of more, those go whose statements would have been over first.
pub const VOIDS_MAX: usize = 1_024;
/// Voids of one holder's statements that are kept.
pub const VOIDS_OF_ONE_MAX: usize = 64;
/// Voids that a new member is told.
const VOIDS_TOLD_MAX: usize = 64;

/// What was taken back.
#[derive(Debug, Default)]
pub(super) struct Voids {
    /// By what it was, and who said it: nobody takes back what another one said, nor does another group.
    held: BTreeMap<(Hash, Attestor), Void>,
}

impl Voids {
    /// Whether a holder's statement was taken back.
    pub(super) fn has(&self, statement: Hash, who: Attestor) -> bool {
        self.held.contains_key(&(statement, who))
    }

    /// Those of a group that count longest.
    fn newest(&self, group: GroupId) -> Vec<Void> {
        let mut all: Vec<&Void> = self.held.values().filter(|void| void.said().group == group).collect();
        all.sort_by_key(|void| std::cmp::Reverse(void.said().not_after));
        all.into_iter().take(VOIDS_TOLD_MAX).cloned().collect()
    }

    /// Makes room for one of a holder's, at a moment in seconds since 1970; what went for it.
    fn make_room(&mut self, who: Attestor, now: u64) -> Vec<Hash> {
        let mut gone: Vec<(Hash, Attestor)> = Vec::new();
        gone.extend(self.held.iter().filter(|(_, void)| void.said().not_after < now).map(|(key, _)| *key));
        let left = |one: &(&(Hash, Attestor), &Void)| !gone.contains(one.0);
        let its = |one: &(&(Hash, Attestor), &Void)| left(one) && one.0.1 == who;
        let is_full_of_its = self.held.iter().filter(its).count() >= VOIDS_OF_ONE_MAX;
        let is_full = self.held.len() - gone.len() >= VOIDS_MAX;
        let first = match (is_full_of_its, is_full) {
            (true, _) => self.held.iter().filter(its).min_by_key(|(_, void)| void.said().not_after),
            (false, true) => self.held.iter().filter(left).min_by_key(|(_, void)| void.said().not_after),
            (false, false) => None,
        };
        gone.extend(first.map(|(key, _)| *key));
        gone.into_iter().filter_map(|key| self.held.remove(&key)).map(|void| void.id()).collect()
    }
}

impl Core {
    /// A void that was kept when this node ran last.
    pub(super) fn void_found(&mut self, void: Void) {
        if void.said().not_after < self.wall_s() {
            return self.effect(Effect::DropVoid(void.id()));
        }
        self.hold_void(void);
    }

    /// A member passes a void on.
    pub(super) fn void_shown(&mut self, from: PeerId, void: Void) {
        if !self.is_member_of(from, void.said().group) {
            return;
        }
        match self.take_void(void, Some(from)) {
            Ok(()) => {}
            // It may have been good where its clock and group are those of its signer.
            Err(AttestFault::OtherGroup | AttestFault::Over | AttestFault::TooLong) => {}
            Err(_) => self.back_off(from, "it passed on a void that nobody had signed who may"),
        }
    }

    /// Takes a void in and tells members, but for the one who told this node. What was taken back stays so, whatever is said
    /// of it later.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn take_void(&mut self, void: Void, from: Option<PeerId>) -> Result<(), AttestFault> {
        let said = void.said();
        let group = self.config.groups.get(said.group).ok_or(AttestFault::OtherGroup)?;
        if self.attests.voids.has(said.statement, (said.group, said.holder)) {
            return Ok(());
        }
        void.check(&group.key, self.wall_s())?;
        self.effect(Effect::KeepVoid(void.clone()));
        self.hold_void(void.clone());
        self.tell_members(&Against::Void(void), from);
        Ok(())
    }

    fn hold_void(&mut self, void: Void) {
        let (statement, who) = (void.said().statement, (void.said().group, void.said().holder));
        for gone in self.attests.voids.make_room(who, self.wall_s()) {
            self.effect(Effect::DropVoid(gone));
        }
        self.attests.voids.held.insert((statement, who), void);
        self.words_fell();
    }

    /// A new member of a group is told what was taken back in it.
    pub(super) fn tell_voids(&mut self, peer: PeerId, group: GroupId) {
        for void in self.attests.voids.newest(group) {
            self.tell_against(peer, Against::Void(void));
        }
    }

    /// Whether a void would count now.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn check_void(&self, void: &Void) -> Result<(), AttestFault> {
        let group = self.config.groups.get(void.said().group).ok_or(AttestFault::OtherGroup)?;
        void.check(&group.key, self.wall_s())
    }

    /// An administrator takes back what this node's holder attested.
    pub(super) fn take_back_all(&mut self, statements: &[String], reason: &str) {
        let is_meant = |one: &&Attestation| statements.contains(&one.id().to_string());
        for one in self.attests.all().filter(is_meant).cloned().collect::<Vec<_>>() {
            self.take_back(&one, reason.to_owned());
        }
    }

    /// Whether this node may take back what a holder attested.
    pub(super) fn speaks_for(&self, (group, holder): Attestor) -> bool {
        let token = self.config.groups.get(group).map(|group| group.badge.token.wish());
        token.is_some_and(|wish| wish.holder == holder && wish.roles.has(Roles::ATTEST))
    }

    /// What attestors signed, for people.
    pub(super) fn attestation_views(&self) -> Vec<AttestationView> {
        let view = |one: &Attestation| {
            let (said, id) = (one.said(), one.id());
            let void = self.attests.voids.held.get(&(id, attestor(one)));
            let fault = self.vouches(one, self.wall_s()).err().filter(|_| void.is_none());
            AttestationView {
                id: id.to_string(),
                group: said.group.to_string(),
                holder: said.holder.to_string(),
                peer: said.peer.to_string(),
                url: said.url.clone(),
                etag: said.version.etag.clone(),
                last_modified: said.version.last_modified.clone(),
                len: said.content.len,
                blake3: said.content.root.to_string(),
                sha256: hex(&said.sha256),
                fetched_at_unix_s: said.fetched_at,
                not_after_unix_s: said.not_after,
                is_own: self.speaks_for(attestor(one)),
                taken_back: void.map(|void| void.said().reason.clone()),
                fault: fault.map(|fault| fault.to_string()),
            }
        };
        self.attests.all().map(view).collect()
    }

    /// Takes back what this node's holder attested. `false` if it is not this holder's, or this node may not speak for it.
    pub(super) fn take_back(&mut self, one: &Attestation, reason: String) -> bool {
        self.take_back_statement(one.id(), attestor(one), one.said().not_after, reason)
    }

    /// The same of anything this node's holder signed, by its id, and until when it would count.
    pub(super) fn take_back_statement(
        &mut self,
        statement: Hash,
        who: Attestor,
        not_after: u64,
        reason: String,
    ) -> bool {
        let Some(group) = self.config.groups.get(who.0).cloned().filter(|_| self.speaks_for(who)) else {
            return false;
        };
        let sequence = self.next_statement(self.wall_s());
        let said = Voided { group: who.0, holder: who.1, statement, sequence, not_after, reason };
        let void = Void::sign(&group.signer, Some(&group.badge.token), said);
        void.is_some_and(|void| self.take_void(void, None).is_ok())
    }
}
