//! Attestors that are not believed any more: how that becomes known, who is told, what falls with them.
//!
//! Knows: whose word counts for nothing here, what proves it to others (ATTEST-8), which records rest on it. Does not know:
//! which attestations there are (`attest`), what a file makes of it (`vouched`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use peer_proto::attest::AttestFault;
use peer_proto::evidence::{Against, Contradiction, Kind};
use peer_proto::group::{GroupId, HolderId};
use peer_proto::peer::PeerId;

use super::Engine;
use super::core::Core;
use super::file::JobFile;
use super::group::GroupConfig;
use super::groups::Attestor;
use super::io::{Effect, KeptFile};
use super::look::Heed;
use crate::record::{Scope, Voucher};

/// Attestors that are remembered for a false word.
const FALLEN_MAX: usize = 4_096;
/// Proofs that are kept to be passed on: each is at most 36 KiB, and a newcomer is told all of them at once.
const PROOFS_MAX: usize = 16;

/// Who fell.
#[derive(Debug, Default)]
pub(super) struct Fallen {
    /// In which group, and who; in all of them if that is not known any more.
    holders: BTreeSet<(Option<GroupId>, HolderId)>,
    /// What proves it to everybody, where something does.
    proofs: BTreeMap<Attestor, Contradiction>,
    /// Whether what rests on them is to be looked at again.
    pub(super) is_news: bool,
}

impl Fallen {
    pub(super) fn has(&self, (group, holder): Attestor) -> bool {
        self.holders.contains(&(Some(group), holder)) || self.holders.contains(&(None, holder))
    }

    /// Keeps what proves it, for newcomers.
    fn keep(&mut self, pair: Contradiction) {
        if self.proofs.len() < PROOFS_MAX {
            self.proofs.insert((pair.group(), pair.holder()), pair);
        }
    }
}

impl Engine {
    /// Attestors may count less than before: whatever rests on them is looked at again.
    pub(super) fn look_at_vouched(&mut self) {
        self.with_all(Heed::Soon, |_, _| {});
        for job in self.jobs.values_mut() {
            job.refuse_unvouched(&mut self.files, &mut self.core);
            self.touched.insert(job.id);
        }
    }
}

impl Core {
    /// An attestor that was found false when this node ran last, and what proves it to others.
    pub(super) fn distrust_found(
        &mut self,
        group: Option<GroupId>,
        holder: HolderId,
        proof: Option<Contradiction>,
    ) {
        self.drop_holder(group, holder);
        if self.attests.fallen.holders.len() < FALLEN_MAX {
            self.attests.fallen.holders.insert((group, holder));
        }
        proof.into_iter().for_each(|pair| self.attests.fallen.keep(pair));
        self.words_fell();
    }

    /// An attestor said what is not so: nothing it ever says counts here, and what it said is kept as evidence.
    pub(super) fn distrust(&mut self, (group, holder): Attestor, evidence: Vec<Bytes>, why: String) {
        self.distrust_found(Some(group), holder, None);
        self.effect(Effect::Distrust { group, holder, evidence, why });
    }

    /// An attestor contradicts itself: whoever is a member is told, but for the one who told this node (ATTEST-8).
    pub(super) fn fall(&mut self, pair: Contradiction, from: Option<PeerId>) {
        let why = match pair.kind() {
            Kind::Contents => "it signed two different contents of one version",
            Kind::Pieces => "it said two different things of one piece of one version",
            Kind::Denial => "what it attested is not what it said while it read it",
        };
        self.distrust((pair.group(), pair.holder()), pair.parts(), why.to_owned());
        self.attests.fallen.keep(pair.clone());
        self.tell_members(&Against::Contradiction(pair), from);
    }

    /// Tells every member of its group with a session, but for one.
    pub(super) fn tell_members(&mut self, against: &Against, but: Option<PeerId>) {
        let (group, peers) = (against.group(), self.peers.ready().into_iter());
        let is_told = |peer: &PeerId| Some(*peer) != but && self.is_member_of(*peer, group);
        let members: Vec<PeerId> = peers.filter(is_told).collect();
        members.into_iter().for_each(|peer| self.tell_against(peer, against.clone()));
    }

    pub(super) fn tell_against(&mut self, peer: PeerId, against: Against) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.session.show_against(against);
        }
        self.pump(peer);
    }

    /// A new member of a group is told what is known against its attestors.
    pub(super) fn tell_all_against(&mut self, peer: PeerId, group: GroupId) {
        let proofs = self.attests.fallen.proofs.values();
        for pair in proofs.filter(|pair| pair.group() == group).cloned().collect::<Vec<_>>() {
            self.tell_against(peer, Against::Contradiction(pair));
        }
        self.tell_voids(peer, group);
    }

    /// A member passes on what tells against an attestor.
    pub(super) fn against_shown(&mut self, from: PeerId, against: Against) {
        let pair = match against {
            Against::Contradiction(pair) => pair,
            Against::Void(void) => return self.void_shown(from, void),
        };
        let is_known = self.attests.fallen.proofs.contains_key(&(pair.group(), pair.holder()));
        let is_heard = !is_known && self.is_member_of(from, pair.group());
        let Some(group) = self.config.groups.get(pair.group()).filter(|_| is_heard) else { return };
        match pair.check(&group.key) {
            Ok(()) => self.fall(pair, Some(from)),
            Err(AttestFault::OtherGroup) => {}
            Err(_) => self.back_off(from, "it passed on what no attestor had signed"),
        }
    }

    /// Whether all of these vouched, and nobody's word of them counts any more.
    pub(super) fn are_gone(&self, vouched: &[Voucher]) -> bool {
        self.are_fewer_than(1, vouched)
    }

    /// Whether these vouched, and fewer of them still count than a floor asks for. If they were fewer when they were believed,
    /// none may be missing.
    pub(super) fn are_fewer_than(&self, wanted: usize, vouched: &[Voucher]) -> bool {
        let is_gone_in = |group: GroupId, one: &Voucher| {
            let holder = HolderId(one.holder);
            let denied = self.config.groups.get(group).map(GroupConfig::denied);
            self.attests.fallen.has((group, holder))
                || self.attests.voids.has(one.statement, (group, holder))
                || denied.is_some_and(|denied| denied.contains(&holder))
        };
        let is_gone = |one: &Voucher| match one.group {
            Some(group) => is_gone_in(GroupId(group), one),
            // Written down when there was one group only.
            None => self.config.groups.iter().any(|(group, _)| is_gone_in(group, one)),
        };
        let standing = vouched.iter().filter(|one| !is_gone(one)).count();
        standing < wanted.min(vouched.len())
    }

    /// Less counts than before: what rests on it is looked at again, and the cache lets go of what it has on it.
    pub(super) fn words_fell(&mut self) {
        self.attests.touch();
        self.attests.fallen.is_news = true;
        self.drop_unvouched();
    }

    /// Lets go of what the cache has on the word of those who fell: nobody is given it from now on.
    fn drop_unvouched(&mut self) {
        let unvouched = self.records.values().filter(|record| self.are_gone(&record.vouched));
        for record in unvouched.map(|record| record.id).collect::<Vec<_>>() {
            self.record_gone(record);
            self.effect(Effect::DropRecord { record });
        }
    }
}

impl JobFile {
    /// Attestors on whose word alone the bytes are believed: none if a digest names them, or all of them are the origin's.
    pub(super) fn vouchers(&self) -> Vec<Voucher> {
        let count = self.geometry.map_or(0, |cut| cut.piece_count());
        if !self.rests_on_attestors() || self.pieces.certain().contains_all(0..count) {
            return Vec::new();
        }
        let Some(vouched) = &self.vouched else { return Vec::new() };
        let by = vouched.by.iter().map(|(holder, one)| (one.id(), *holder));
        let stream = vouched.stream.filter(|_| vouched.content.is_none());
        let group = Some(vouched.group.0);
        by.chain(stream).map(|(statement, holder)| Voucher { group, holder: holder.0, statement }).collect()
    }

    /// Leaves a delivered file to the cache, for later jobs and for peers.
    pub(super) fn keep(&self, core: &mut Core) {
        let Some(sealed) = self.sealed.clone() else { return };
        if !core.flags.and(self.wish.flags).server && !self.verdict.for_cache {
            return;
        }
        self.note_delivered_by_url(sealed.content, core);
        // What was not for others is not for other users of this machine either (LOCAL-1).
        let scope = match (self.is_public(), self.wish.flags.server) {
            (false, _) => Scope::Private { uid: self.owner },
            (true, true) => Scope::Shareable,
            // The job said so after its file was judged: that one stays, and peers are not given it (VAL-6).
            (true, false) => Scope::Machine,
        };
        core.effect(Effect::Keep(Box::new(KeptFile {
            file: self.file(),
            destination: self.wish.destination.clone(),
            sealed,
            url: self.wish.remote.url.clone(),
            version: self.origin.probe.as_ref().map(|probe| probe.version.clone()),
            scope,
            vouched: self.vouched_by.clone(),
        })));
    }
}
