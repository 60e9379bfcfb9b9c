//! Attestations this node knows: its own and those that members passed on.
//!
//! Knows: which count, how they are found, who attested falsely, how one is made. Does not know: what a file makes of
//! them (`vouched`), where they are kept (`store`).

use std::collections::{BTreeMap, BTreeSet};

use peer_proto::attest::{AttestFault, AttestRules, Attestation, Attested, attested_id};
use peer_proto::content::{ContentId, Hash};
use peer_proto::digest::Algorithm;
use peer_proto::evidence::Contradiction;
use peer_proto::group::{GroupId, HolderId, Roles};
use peer_proto::limits::{ATTESTATION_LIFE_MAX_S, ATTESTATION_SKEW_S, ATTESTATIONS_PER_FRAME_MAX};
use peer_proto::peer::PeerId;
use peer_proto::version::Version;

use super::core::Core;
use super::fallen::Fallen;
use super::file::JobFile;
use super::group::GroupConfig;
use super::groups::Attestor;
use super::io::{Effect, Probe, SealedFile};
use super::stream::Streams;
use super::void::Voids;
use crate::job::FileId;
use crate::record::url::CanonicalUrl;

/// Attestations that are kept; of more, those that end first go.
pub const ATTESTATIONS_MAX: usize = 1_024;
/// Questions to one peer whose answers are still heard.
const ASKED_MAX: u32 = 64;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Attests {
    held: BTreeMap<Hash, Attestation>,
    /// By what members ask for, under the secrets of this epoch and the one before.
    index: BTreeMap<[u8; 32], BTreeSet<Hash>>,
    /// Who attested something that is not so (ATTEST-8, 11).
    pub(super) fallen: Fallen,
    /// What was taken back (ATTEST-9).
    pub(super) voids: Voids,
    /// What attestors say while they read (ATTEST-7).
    pub(super) streams: Streams,
    /// Our questions that are open, and for which file.
    asked: BTreeMap<(PeerId, u32), FileId>,
    /// Rises with each change.
    changes: u64,
    sequence: u64,
}

impl Attests {
    /// Rises whenever something may be believed that was not, or the other way round.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Something counts that did not, or the other way round.
    pub(super) const fn touch(&mut self) {
        self.changes += 1;
    }

    /// The file a question was asked for; it is answered once.
    pub(super) fn answered(&mut self, peer: PeerId, number: u32) -> Option<FileId> {
        self.asked.remove(&(peer, number))
    }

    /// Of one peer the last questions are remembered: one that never answers takes no more room.
    fn note_asked(&mut self, peer: PeerId, number: u32, file: FileId) {
        let old = (peer, 0)..(peer, number.saturating_sub(ASKED_MAX));
        let old: Vec<(PeerId, u32)> = self.asked.range(old).map(|(question, _)| *question).collect();
        for question in old {
            self.asked.remove(&question);
        }
        self.asked.insert((peer, number), file);
    }

    /// A peer went: it answers nothing any more.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.asked.retain(|(asked, _), _| *asked != peer);
        self.streams.forget_peer(peer);
    }

    /// All that are known, whatever they are worth.
    pub(super) fn all(&self) -> impl Iterator<Item = &Attestation> {
        self.held.values()
    }

    /// Those about one version of one URL, whatever they are worth.
    pub(super) fn about<'a>(
        &'a self,
        url: &'a str,
        version: &'a Version,
    ) -> impl Iterator<Item = &'a Attestation> {
        let is_it = move |one: &&Attestation| one.said().url == url && one.said().version.is_same(version);
        self.held.values().filter(is_it)
    }

    fn remove(&mut self, id: Hash) {
        self.held.remove(&id);
        self.index.retain(|_, ids| {
            ids.remove(&id);
            !ids.is_empty()
        });
    }
}

impl Core {
    /// The ids that members of each group ask for in its epoch.
    pub(super) fn ids_to_ask(&self, url: &str, version: &Version) -> Vec<(GroupId, [u8; 32])> {
        let groups = self.live_groups();
        groups.map(|(group, config)| (group, attested_id(&config.badge.secret, url, version))).collect()
    }

    /// Asks a member what attestors say; `false` if it cannot be asked.
    pub(super) fn ask_attestors(&mut self, peer: PeerId, id: [u8; 32], file: FileId) -> bool {
        let session = self.peers.get_mut(peer).map(|peer| &mut peer.session);
        let Some(number) = session.and_then(|session| session.want_attestations(id)) else { return false };
        self.attests.note_asked(peer, number, file);
        self.pump(peer);
        true
    }

    /// A member asks. Whoever serves nothing says nothing.
    pub(super) fn attest_wanted(&mut self, peer: PeerId, number: u32, id: [u8; 32]) {
        let may = |one: &Attestation| self.flags.server && self.is_member_of(peer, one.said().group);
        let (now, attests) = (self.wall_s(), &self.attests);
        let known = attests.index.get(&id).into_iter().flatten().filter_map(|id| attests.held.get(id));
        let told = known.filter(|one| may(one) && self.vouches(one, now).is_ok());
        let list: Vec<Attestation> = told.take(ATTESTATIONS_PER_FRAME_MAX).cloned().collect();
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.session.show_attestations(number, list);
        }
        self.pump(peer);
    }

    /// Whether an attestation counts at a moment in seconds since 1970, and its attestor was never found false.
    pub(super) fn vouches(&self, one: &Attestation, now: u64) -> Result<(), AttestFault> {
        let who = attestor(one);
        let group = self.config.groups.get(who.0).ok_or(AttestFault::OtherGroup)?;
        if self.attests.fallen.has(who) {
            return Err(AttestFault::NotAttestor);
        }
        if self.attests.voids.has(one.id(), who) {
            return Err(AttestFault::Void);
        }
        let (key, epoch, denied) = (&group.key, group.epoch, group.denied());
        one.check(&AttestRules { group: key, now, epoch, denied })
    }

    /// Takes in an attestation that counts now. One of an attestor who said something else of the same version before is
    /// proof against that attestor (ATTEST-8).
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn learn(&mut self, one: &Attestation, now: u64) -> Result<(), AttestFault> {
        let id = one.id();
        if self.attests.held.contains_key(&id) {
            return Ok(());
        }
        self.vouches(one, now)?;
        let against = |other: &Attestation| Contradiction::of(other.clone(), one.clone());
        if let Some(pair) = self.attests.held.values().find_map(against) {
            self.fall(pair, None);
            return Err(AttestFault::NotAttestor);
        }
        if self.denies_its_stream(one) {
            return Err(AttestFault::NotAttestor);
        }
        self.hold(one.clone());
        self.effect(Effect::KeepAttestation(one.clone()));
        Ok(())
    }

    /// One that was kept when this node ran last. Whether it still counts is looked at when it is used; one whose time is
    /// long over, by whatever clock, goes.
    pub(super) fn attestation_found(&mut self, one: Attestation) {
        let is_over = one.said().not_after.saturating_add(ATTESTATION_LIFE_MAX_S) < self.wall_s();
        if is_over || self.attests.fallen.has(attestor(&one)) {
            self.effect(Effect::DropAttestation(one.id()));
        } else {
            self.hold(one);
        }
    }

    /// Nothing of an attestor's is kept any more; of that holder in whatever group if none is named.
    pub(super) fn drop_holder(&mut self, group: Option<GroupId>, holder: HolderId) {
        let is_its = |who: Attestor| who.1 == holder && group.is_none_or(|group| group == who.0);
        let its = |one: &Attestation| is_its(attestor(one));
        self.drop_streams_where(is_its);
        let ids: Vec<Hash> =
            self.attests.held.iter().filter(|(_, one)| its(one)).map(|(id, _)| *id).collect();
        for id in ids {
            self.attests.remove(id);
            self.effect(Effect::DropAttestation(id));
        }
        self.attests.changes += 1;
    }

    fn hold(&mut self, one: Attestation) {
        self.index_attestation(&one);
        self.attests.held.insert(one.id(), one);
        self.attests.changes += 1;
        while self.attests.held.len() > ATTESTATIONS_MAX
            && let Some(oldest) = self.attests.held.iter().min_by_key(|(_, one)| one.said().not_after)
        {
            let id = *oldest.0;
            self.attests.remove(id);
            self.effect(Effect::DropAttestation(id));
        }
    }
}

impl Core {
    /// Files an attestation under what members ask for, in this epoch and the one before.
    fn index_attestation(&mut self, one: &Attestation) {
        let said = one.said();
        let Some(group) = self.config.groups.get(said.group) else { return };
        for secret in group.badge.secrets() {
            let wanted = attested_id(secret, &said.url, &said.version);
            self.attests.index.entry(wanted).or_default().insert(one.id());
        }
    }

    /// This node's membership is another one: members ask under other ids, and other attestors count or are denied (GROUP-6).
    pub(super) fn weigh_attestations_anew(&mut self) {
        self.attests.index.clear();
        for one in self.attests.held.values().cloned().collect::<Vec<_>>() {
            self.index_attestation(&one);
        }
        self.words_fell();
    }

    /// The groups in which this node is an attestor now.
    pub(super) fn attests_in(&self) -> impl Iterator<Item = GroupId> + '_ {
        let is_one = |group: &GroupConfig| group.badge.token.wish().roles.has(Roles::ATTEST);
        self.live_groups().filter(move |(_, group)| is_one(group)).map(|(id, _)| id)
    }

    /// Numbers what this node says as an attestor, at a moment in seconds since 1970.
    pub(super) fn next_statement(&mut self, now: u64) -> u64 {
        self.attests.sequence = (self.attests.sequence + 1).max(now);
        self.attests.sequence
    }
}

impl JobFile {
    /// The file was read from its origin, every piece of it: if this node is an attestor and all is as it should be, it
    /// says so to each group in which it is one (ATTEST-2, 13).
    pub(super) fn attest(&mut self, sealed: &SealedFile, core: &mut Core) {
        if !self.end_stream(&sealed.list, core) {
            return;
        }
        let whole = 0..sealed.list.geometry().piece_count();
        if !self.may_attest(core) || !self.pieces.certain().contains_all(whole) {
            return;
        }
        let sha256 = sealed.digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
        let sha256 = sha256.and_then(|digest| digest.bytes().try_into().ok());
        let Some((probe, sha256)) = self.origin.probe.clone().zip(sha256) else { return };
        let is_it = self.pinned.as_ref().is_some_and(|pinned| pinned.is_same(&probe.version));
        let Some((url, true)) = self.attestable_url().map(|url| (url, is_it)) else { return };
        let read = (sealed.content, sha256);
        for id in self.attests_in(core).collect::<Vec<_>>() {
            let Some(group) = core.config.groups.get(id).cloned() else { continue };
            let who = (id, group.badge.token.wish().holder);
            if self.stands_by(&url, &probe.version, who, read, core) {
                self.attest_in(&group, &url, &probe, read, core);
            }
        }
    }

    /// Says in one group what this node read.
    fn attest_in(
        &mut self,
        group: &GroupConfig,
        url: &str,
        probe: &Probe,
        (content, sha256): (ContentId, [u8; 32]),
        core: &mut Core,
    ) {
        let now = self.true_time(core);
        let said = Attested {
            group: group.id(),
            holder: group.badge.token.wish().holder,
            peer: core.config.me,
            sequence: core.next_statement(now),
            fetched_at: now,
            not_after: now.saturating_add(ATTESTATION_LIFE_MAX_S),
            url: url.to_owned(),
            version: probe.version.clone(),
            content,
            sha256,
            anchor: probe.footing.anchor.unwrap_or([0; 32]),
        };
        if let Some(one) = Attestation::sign(&group.signer, &group.badge.token, said)
            && core.learn(&one, now).is_ok()
        {
            self.note_attested(&one, core);
        }
    }

    /// Whether what this node's holder said of this version before is what was read now. If not, nobody can tell which of them
    /// the origin means, and all of it is taken back; of that version it says nothing more (ATTEST-9).
    fn stands_by(
        &mut self,
        url: &str,
        version: &Version,
        who: Attestor,
        read: (ContentId, [u8; 32]),
        core: &mut Core,
    ) -> bool {
        let about = core.attests.about(url, version).filter(|one| attestor(one) == who);
        let mine: Vec<Attestation> = about.cloned().collect();
        if mine.iter().all(|one| (one.said().content, one.said().sha256) == read) {
            return !mine.iter().any(|one| core.attests.voids.has(one.id(), who));
        }
        let reason = "the origin served its attestor other bytes under the same version later";
        for one in mine {
            if core.take_back(&one, reason.to_owned()) {
                self.note_taken_back(&one, reason, core);
            }
        }
        false
    }

    /// Whether this node would attest this file, once it has read it whole.
    pub(super) fn may_attest(&self, core: &Core) -> bool {
        let trusted_root = self.origin.probe.as_ref().is_some_and(|probe| {
            let host = host_of(&probe.version.final_origin);
            !probe.footing.is_own_anchor
                || core.config.policy.trust.attest_hosts.iter().any(|named| named == host)
        });
        // What a mirror gave was not read under the job's URL.
        self.attests_in(core).next().is_some()
            && trusted_root
            && self.mirror == 0
            && self.may_serve(core)
            && self.case(core).may_be_attested().is_ok()
    }

    /// The URL of the job as attestations name it.
    pub(super) fn attestable_url(&self) -> Option<String> {
        let url = CanonicalUrl::parse(&self.wish.remote.url).ok()?;
        Some(url.as_str().to_owned())
    }

    /// Seconds since 1970: by the origin's clock if this machine's is more than ten minutes off (ATTEST-6).
    pub(super) fn true_time(&self, core: &Core) -> u64 {
        let mine = core.wall_s();
        let date = self.origin.probe.as_ref().filter(|probe| probe.footing.secure);
        let date = date.and_then(|probe| u64::try_from(probe.footing.date_unix_s?).ok());
        let Some(asked_at) = self.origin.probed_at else { return mine };
        let theirs = date.map(|date| date.saturating_add(core.time().since(asked_at).as_secs()));
        theirs.filter(|theirs| theirs.abs_diff(mine) > ATTESTATION_SKEW_S).unwrap_or(mine)
    }
}

/// Who signed an attestation.
pub(super) fn attestor(one: &Attestation) -> Attestor {
    (one.said().group, one.said().holder)
}

/// The host of `https://host:port`.
fn host_of(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    #[test]
    fn the_host_of_an_origin_is_its_name_without_scheme_and_port() {
        assert_eq!(host_of("https://example.org:443"), "example.org");
        assert_eq!(host_of("https://[::1]:8443"), "[::1]");
    }

    #[test]
    fn lookup_5_a_peer_that_went_answers_no_question_and_another_one_does() {
        let [gone, here] = [1, 2].map(|number| PeerId::from_public_key([number; 32]));
        let file = FileId { job: JobId([7; 16]), index: 0 };
        let mut attests = Attests::default();
        attests.note_asked(gone, 1, file);
        attests.note_asked(here, 1, file);
        attests.forget_peer(gone);
        assert_eq!((attests.answered(gone, 1), attests.answered(here, 1)), (None, Some(file)));
    }
}
