//! A file whose bytes attestors vouch for: asking for their word, believing it, checking it, finding it false.
//!
//! Knows: levels 1 and 2 for one file (ATTEST-5, 6, 10, 11, 14). Does not know: which attestations there are (`attest`),
//! whether the file's case allows any (`trust`).

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::attest::Attestation;
use peer_proto::content::{ContentId, Geometry, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest, hex};
use peer_proto::group::{GroupId, HolderId};
use peer_proto::limits::UNVERIFIED_BYTES_PER_PEER;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::version::Version;

use super::claims::{AUDITED_FROM, Claims, audit_budget};
use super::core::Core;
use super::fetch::{ANSWER_WAIT, Reach};
use super::file::JobFile;
use super::io::Standing;
use super::lease::PeerSource;
use super::look::Heed;
use super::lookup::{ASK_AGAIN, ASK_AGAIN_MAX};
use super::piece_set::PieceSet;
use super::planner::pieces_in;
use super::why::Chosen;
use crate::job::Ask;

/// What the origin said of its version counts for so long before the file is sealed on somebody else's word (ATTEST-5).
pub const VERSION_FRESH: Duration = Duration::from_secs(10 * 60);
/// One download in so many takes every byte from the origin all the same, and compares (ATTEST-11).
const CANARY: u32 = 50;
/// An origin that does not answer the first audit within this holds back no more what members bring meanwhile.
const AUDIT_WAIT: Duration = Duration::from_secs(2);

/// What attestors say of the version at hand.
#[derive(Clone, Debug)]
pub(super) struct Vouched {
    /// The group whose attestors they are: levels 1 and 2 count those of one.
    pub(super) group: GroupId,
    /// Whose word it is: one attestation of each.
    pub(super) by: BTreeMap<HolderId, Attestation>,
    /// What they attest; `None` while one of them still reads it.
    pub(super) content: Option<ContentId>,
    /// What that one says meanwhile, and who it is.
    pub(super) stream: Option<(Hash, HolderId)>,
    version: Version,
    /// Pieces that are read from the origin to check it.
    pub(super) audits: PieceSet,
    /// When the first of them was drawn.
    drawn_at: Option<Instant>,
    /// Whether this is the download in which everything is.
    pub(super) is_canary: bool,
}

/// Asking for attestors' words.
#[derive(Clone, Debug, Default)]
pub(super) struct Seeking {
    /// How often each member was asked, and when it may be asked again.
    asked: BTreeMap<(PeerId, GroupId), (u32, Instant)>,
    /// Members that did not answer yet.
    open: u32,
    /// Since when.
    began: Option<Instant>,
    /// As of which change the known attestations were looked at.
    seen: Option<u64>,
    /// How many attestors say the same of this version, enough or not.
    pub(super) count: usize,
    /// Whether this download is a canary; drawn once.
    canary: Option<bool>,
}

impl Vouched {
    fn new(group: GroupId, version: Version, is_canary: bool) -> Self {
        let (by, audits) = (BTreeMap::new(), PieceSet::new());
        Self { group, by, content: None, stream: None, version, audits, drawn_at: None, is_canary }
    }

    /// How many vouch.
    fn count(&self) -> usize {
        if self.content.is_none() { 1 } else { self.by.len() }
    }

    fn digest(&self) -> Option<Digest> {
        Digest::new(Algorithm::Blake3, self.content?.root.0.to_vec()).ok()
    }

    /// Has a piece read from the origin to check it.
    pub(super) fn audit(&mut self, piece: u32, now: Instant) {
        self.audits.insert(piece..piece + 1);
        self.drawn_at.get_or_insert(now);
    }

    fn draw_audits(&mut self, mut gaps: PieceSet, count: u32, others: u32, core: &mut Core) {
        let (now, chance) = (core.time(), &mut core.chance);
        // At least one, however many share it: who has the file already audits nothing any more.
        let budget = audit_budget(count, others, chance).max(u32::from(count >= AUDITED_FROM));
        for _ in 0..budget {
            let Some(piece) = gaps.nth(chance.below(gaps.count())) else { return };
            gaps.remove(piece..piece + 1);
            self.audit(piece, now);
        }
    }
}

impl JobFile {
    /// Whether the job, or the origin over https, names a digest.
    pub(super) fn has_digest(&self) -> bool {
        self.named_digests().next().is_some()
            || self.origin.probe.iter().any(|probe| !probe.digests.is_empty())
    }

    /// The root that attestors vouch for, if their word is what counts.
    pub(super) fn vouched_digest(&self) -> Option<Digest> {
        let vouched = self.vouched.as_ref().filter(|_| !self.has_digest())?;
        vouched.digest()
    }

    /// Whether peers may be asked because attestors vouch, and nothing else says what the bytes are.
    pub(super) fn rests_on_attestors(&self) -> bool {
        self.vouched.as_ref().is_some_and(|vouched| !vouched.is_canary) && !self.has_digest()
    }

    /// Asks members what attestors say, and weighs what is known, while nothing better names the bytes. Whoever is not of the group
    /// that the job is kept to is dropped before anybody is asked.
    pub(super) fn seek_attestors(&mut self, core: &mut Core) {
        self.keep_to_group(core);
        if !(core.flags.client && self.wish.flags.client) || self.wish.ask == Ask::Nobody {
            // Nobody is asked; what was proved by attestors' words stays so, and is checked before it is sealed.
            return;
        }
        let Some((url, version)) = self.seeks(core) else {
            if self.origin.reach == Reach::Up || self.has_digest() {
                self.give_up_attestors(core);
            }
            return;
        };
        let wanted = self.attestors_wanted(core);
        let is_over = |vouched: &Vouched| !vouched.version.is_same(&version) || vouched.count() < wanted;
        if self.vouched.as_ref().is_some_and(is_over) {
            self.give_up_attestors(core);
        }
        if self.seeking.seen != Some(core.attests.changes()) {
            self.weigh(&url, &version, core);
            self.seeking.seen = Some(core.attests.changes());
        }
        if self.vouched.as_ref().map_or(0, |vouched| vouched.by.len()) < wanted {
            self.ask_members(&url, &version, core);
        }
    }

    /// URL and version to ask for, if attestors could help at all.
    fn seeks(&self, core: &Core) -> Option<(String, Version)> {
        let case = self.case(core);
        let helps = !self.origin_only
            && !case.has_digest
            && case.floor.attestors().is_some()
            && case.may_be_attested().is_ok();
        let version = case.probe.map(|probe| probe.version.clone())?;
        Some((self.attestable_url().filter(|_| helps)?, version))
    }

    /// How many attestors of one group must say the same before their word is believed (ATTEST-10).
    fn attestors_wanted(&self, core: &Core) -> usize {
        self.wish.trust.max(core.config.policy.trust.floor).attestors().unwrap_or(1)
    }

    fn ask_members(&mut self, url: &str, version: &Version, core: &mut Core) {
        self.seeking.asked.retain(|(peer, _), _| core.peers.get(*peer).is_some());
        let mut ids = core.ids_to_ask(url, version);
        ids.retain(|(group, _)| self.is_for(*group));
        for (group, id) in ids {
            self.ask_members_of(group, id, core);
        }
    }

    fn ask_members_of(&mut self, group: GroupId, id: [u8; 32], core: &mut Core) {
        let now = core.time();
        let members: Vec<PeerId> =
            core.peers.ready().into_iter().filter(|peer| core.is_member_of(*peer, group)).collect();
        for peer in members {
            let asked = self.seeking.asked.get(&(peer, group)).copied();
            let (times, again) = asked.unwrap_or((0, Instant::ZERO));
            if again > now {
                self.wake_at(again);
                continue;
            }
            if core.ask_attestors(peer, id, self.id) {
                self.seeking.began.get_or_insert(now);
                self.seeking.open += u32::from(times == 0);
                let wait = ASK_AGAIN.saturating_mul(1 << times.min(8)).min(ASK_AGAIN_MAX);
                self.seeking.asked.insert((peer, group), (times.saturating_add(1), now.after(wait)));
                self.wake_at(now.after(wait));
            }
        }
    }

    /// Until when the origin waits for members' answers, if it does.
    pub(super) fn waits_for_attestors(&self, now: Instant) -> Option<Instant> {
        let until = self.seeking.began?.after(ANSWER_WAIT);
        (self.seeking.open > 0 && self.vouched.is_none() && until > now).then_some(until)
    }

    /// What a member passed on. Only what is about this very version is looked at; the rest was not asked for.
    pub(super) fn attestations_shown(&mut self, peer: PeerId, list: &[Attestation], core: &mut Core) -> Heed {
        self.seeking.open = self.seeking.open.saturating_sub(1);
        let Some((url, version)) = self.seeks(core) else { return Heed::Soon };
        let now = self.true_time(core);
        for one in list.iter().filter(|one| one.said().url == url && one.said().version.is_same(&version)) {
            if let Err(fault) = core.learn(one, now) {
                self.why.note(
                    Chosen::Peer(peer),
                    format!("not believed: {fault}"),
                    said_by(one),
                    core.time(),
                );
            }
        }
        Heed::Now
    }

    /// Weighs all that is known of this version: who says the same, whether that is enough, whether anybody disagrees.
    fn weigh(&mut self, url: &str, version: &Version, core: &mut Core) {
        let (now, time) = (self.true_time(core), core.time());
        let anchor = self.origin.probe.as_ref().and_then(|probe| probe.footing.anchor);
        let same_anchor = core.config.policy.trust.same_anchor;
        let fits = |one: &&Attestation| {
            core.vouches(one, now).is_ok()
                && self.is_for(one.said().group)
                && (!same_anchor || anchor == Some(one.said().anchor))
        };
        let known: Vec<Attestation> = core.attests.about(url, version).filter(fits).cloned().collect();
        let disagree = known.iter().find(|one| known.iter().any(|other| one.contradicts(other))).cloned();
        let disagree_not = disagree.is_none();
        if let Some(one) = &disagree {
            let why = "attestors of the group name different bytes for this version: none is believed";
            self.why.note(Chosen::Nobody, why, said_by(one), time);
        }
        let enough = self.attestors_wanted(core);
        let known = if disagree_not { known } else { Vec::new() };
        let (group, by) = match self.of_one_group(known, enough) {
            Some((group, by)) => (Some(group), by),
            None => (None, BTreeMap::new()),
        };
        let content = by.values().next().filter(|_| by.len() >= enough).map(|one| one.said().content);
        let may_stream = enough == 1 && content.is_none() && disagree_not;
        let streamed = if may_stream { self.best_stream(url, version, core) } else { None };
        let stream = streamed.map(|(id, (_, holder))| (id, holder));
        let group = streamed.map(|(_, (group, _))| group).or(group);
        let is_other = |vouched: &Vouched| match (content, vouched.content) {
            // Members of another group give it, too, and this one's may not even know that it is wanted.
            (Some(content), Some(before)) => content != before || Some(vouched.group) != group,
            // What was streamed is whole.
            (Some(_), None) => Some(vouched.group) != group,
            (None, _) => vouched.content.is_some() || vouched.stream != stream,
        };
        if self.vouched.as_ref().is_some_and(is_other) {
            self.give_up_attestors(core);
        }
        self.seeking.count = if stream.is_some() { 1 } else { by.len() };
        match (&mut self.vouched, content.zip(group)) {
            (Some(vouched), Some((content, _))) => {
                vouched.by = by;
                if vouched.content.replace(content).is_none() {
                    self.root_is_known(content, core);
                }
            }
            (None, Some((content, group))) => self.believe(group, by, content, version.clone(), core),
            (None, None) => {
                if let Some((group, stream)) = group.zip(stream) {
                    self.believe_stream(group, stream, version.clone(), core);
                }
            }
            (Some(_), None) => {}
        }
    }

    /// Those of one group: of that which is believed already as long as it is enough, else of that with the
    /// most attestors. Attestors of two groups are never counted together.
    fn of_one_group(
        &self,
        known: Vec<Attestation>,
        enough: usize,
    ) -> Option<(GroupId, BTreeMap<HolderId, Attestation>)> {
        let mut by_group: BTreeMap<GroupId, BTreeMap<HolderId, Attestation>> = BTreeMap::new();
        for one in known {
            by_group.entry(one.said().group).or_default().insert(one.said().holder, one);
        }
        let believed = self.vouched.as_ref().map(|vouched| vouched.group);
        let best = |(group, by): &(GroupId, BTreeMap<HolderId, Attestation>)| {
            let stays = Some(*group) == believed && by.len() >= enough;
            (stays, by.len(), std::cmp::Reverse(*group))
        };
        by_group.into_iter().max_by_key(best)
    }

    /// The attestor whose stream was followed attests the whole file: its root proves the pieces from now on.
    fn root_is_known(&mut self, content: ContentId, core: &mut Core) {
        let why = "the attestor that was followed has read all of it and attests it".to_owned();
        self.why.note(Chosen::Nobody, why, String::new(), core.time());
        if self.rests_on_attestors() {
            self.claims.root = Some(content.root);
            self.ask_at = Instant::ZERO;
        }
        self.changed = true;
        self.wake_at(core.time());
    }

    fn believe_stream(
        &mut self,
        group: GroupId,
        stream: (Hash, HolderId),
        version: Version,
        core: &mut Core,
    ) {
        let chance = &mut core.chance;
        let is_canary = *self.seeking.canary.get_or_insert_with(|| chance.below(CANARY) == 0);
        let why = match is_canary {
            false => {
                "members may give it: an attestor of the group reads it now, and says what the pieces are"
            }
            true => "an attestor reads it now, and this time every byte is read from the origin to check it",
        };
        let (id, holder) = stream;
        let said = format!("stream {} by holder {}", hex(&id.0[..8]), hex(&holder.0));
        self.why.note(Chosen::Nobody, why, said, core.time());
        let stream = Some(stream);
        let vouched = Vouched::new(group, version, is_canary);
        self.vouched = Some(Vouched { stream, ..vouched });
        self.begin_to_follow(core);
        self.changed = true;
    }

    fn believe(
        &mut self,
        group: GroupId,
        by: BTreeMap<HolderId, Attestation>,
        content: ContentId,
        version: Version,
        core: &mut Core,
    ) {
        let chance = &mut core.chance;
        let is_canary = *self.seeking.canary.get_or_insert_with(|| chance.below(CANARY) == 0);
        let why = match is_canary {
            false => "peers may give it: attestors of the group vouch for its bytes",
            true => "attestors vouch for it, and this time every byte is read from the origin to check them",
        };
        let signed = by.values().map(said_by).collect::<Vec<_>>().join("; ");
        self.why.note(Chosen::Nobody, why, signed, core.time());
        let vouched = Vouched::new(group, version, is_canary);
        self.vouched = Some(Vouched { by, content: Some(content), ..vouched });
        if !is_canary {
            self.claims.root = Some(content.root);
            self.ask_at = Instant::ZERO;
            self.recall_vouched();
            self.wake_at(core.time());
        }
        self.changed = true;
    }

    /// Draws the pieces that are read from the origin, now that every value is known (CLAIM-5, ATTEST-11).
    pub(super) fn audit_attestors(&mut self, core: &mut Core) {
        if !self.rests_on_attestors() {
            return;
        }
        let (gaps, count) = (self.gaps(), self.geometry.map_or(0, |cut| cut.piece_count()));
        let has_all = |source: &PeerSource| source.have.contains_all(0..count);
        let fetching = self.sources.values().filter(|source| !has_all(source)).count();
        let others = u32::try_from(fetching).unwrap_or(u32::MAX / 2);
        if let Some(vouched) = self.vouched.as_mut().filter(|vouched| vouched.audits.is_empty()) {
            vouched.draw_audits(gaps, count, others, core);
        }
    }

    /// Pieces that only the origin may give, because they check what attestors vouch for.
    pub(super) fn audited(&self) -> Option<&PieceSet> {
        self.vouched.as_ref().filter(|_| self.rests_on_attestors()).map(|vouched| &vouched.audits)
    }

    /// Until when members bring no more than a little on attestors' word: until the origin answers the first audit, or takes
    /// too long to.
    pub(super) fn first_audit_until(&self, now: Instant) -> Option<Instant> {
        let vouched =
            self.vouched.as_ref().filter(|_| self.rests_on_attestors() && self.origin.gives_ranges())?;
        let until = vouched.drawn_at?.after(AUDIT_WAIT);
        (until > now && !vouched.audits.intersects(self.pieces.certain())).then_some(until)
    }

    /// Pieces that may still be taken on attestors' word before that: a mebibyte of them, or two.
    pub(super) fn room_before_audit(&self, cut: &Geometry, now: Instant) -> u32 {
        if self.first_audit_until(now).is_none() {
            return u32::MAX;
        }
        let coming: u32 = self
            .leases
            .values()
            .filter(|lease| lease.peer().is_some() && !lease.stopped)
            .map(|lease| lease.left(cut.piece_len()))
            .sum();
        let brought = self.pieces.proved().count().saturating_add(coming);
        pieces_in(cut, UNVERIFIED_BYTES_PER_PEER).max(2).saturating_sub(brought)
    }

    /// Nobody vouches for this version any more: what rests on it is in doubt, and comes from the origin.
    fn give_up_attestors(&mut self, core: &mut Core) {
        (self.seeking.count, self.seeking.seen) = (0, None);
        let Some(vouched) = self.vouched.take() else { return };
        self.seeking.canary = None;
        self.streaming.unfollow();
        if vouched.is_canary {
            return;
        }
        if self.swarm.as_ref().is_some_and(|swarm| swarm.by_url) {
            self.leave_swarm(core);
        }
        self.stop_where(core, |lease| lease.peer().is_some());
        if self.named_digests().next().is_none() {
            self.recall_no_more(core);
        }
        self.claims = Claims::new(&self.digests());
        self.doubt_all_but_certain(core);
        self.forget_sources(core);
        self.changed = true;
    }

    /// What this node did not read from the origin itself is in doubt: it comes from there again.
    pub(super) fn doubt_all_but_certain(&mut self, core: &mut Core) {
        let mut doubtful = self.pieces.held().clone();
        doubtful.subtract(self.pieces.certain());
        for run in doubtful.runs().collect::<Vec<_>>() {
            self.restand(run, Standing::Suspect, core);
        }
    }

    /// Another floor, of the job or the machine, or another group to keep to: who may not be asked any more is not, and attestors are weighed anew.
    pub(super) fn floor_changed(&mut self, core: &mut Core) {
        self.seeking.seen = None;
        self.keep_to_group(core);
        self.drop_who_may_not_be_asked(core);
        self.wake_at(core.time());
    }

    pub(super) fn drop_who_may_not_be_asked(&mut self, core: &mut Core) {
        let may_ask = |peer: &PeerId| self.wants_peers(core) && self.may_ask(*peer, core);
        if !self.sources.keys().all(may_ask) {
            self.leave_swarm(core);
            self.stop_where(core, |lease| lease.peer().is_some());
            self.forget_sources(core);
        }
    }

    /// Whether what is on disk is of the version that attestors vouch for, so that it can tell whether they are right.
    pub(super) fn is_of_vouched_version(&self) -> bool {
        let is_it =
            |vouched: &Vouched| self.pinned.as_ref().is_some_and(|pinned| pinned.is_same(&vouched.version));
        self.reset_to.is_none() && self.vouched.as_ref().is_some_and(is_it)
    }

    /// Whether everybody who vouched still counts: their time may be over by now, or they were denied or found false.
    pub(super) fn attestors_stand(&mut self, core: &Core) -> bool {
        let now = self.true_time(core);
        let stands = |one: &Attestation| core.vouches(one, now).is_ok();
        let stream =
            self.vouched.as_ref().filter(|vouched| vouched.content.is_none()).and_then(|one| one.stream);
        let all_stand = self.vouched.as_ref().is_none_or(|vouched| vouched.by.values().all(stands))
            && stream.is_none_or(|(id, _)| core.stream_counts(id));
        if !all_stand {
            self.seeking.seen = None;
        }
        all_stand
    }

    /// The origin serves other bytes than attestors vouched for (ATTEST-11): they are not believed again.
    pub(super) fn attestors_are_false(&mut self, found: &str, core: &mut Core) {
        let Some(vouched) = self.vouched.clone() else { return };
        for (holder, one) in vouched.by {
            if core.take_back(&one, found.to_owned()) {
                self.note_taken_back(&one, found, core);
                continue;
            }
            let why = format!("the origin serves other bytes than it vouched for: {found}");
            self.why.note(
                Chosen::Nobody,
                "an attestor of the group is not believed again",
                said_by(&one),
                core.time(),
            );
            core.distrust((vouched.group, holder), vec![one.bytes().clone()], why);
        }
        if let Some((id, holder)) = vouched.stream.filter(|_| vouched.content.is_none()) {
            let evidence = core.attests.streams.get(id).map(|stream| stream.evidence()).unwrap_or_default();
            let why = format!("the origin serves other bytes than it said while it read them: {found}");
            self.why.note(
                Chosen::Nobody,
                "an attestor of the group is not believed again",
                hex(&holder.0),
                core.time(),
            );
            core.distrust((vouched.group, holder), evidence, why);
        }
        self.give_up_attestors(core);
        self.repair = None;
    }

    /// The origin's bytes of a piece that a member brought meanwhile are others, and were left out. If attestors vouch for what
    /// the member brought, they are wrong, as if it had been an audit.
    pub(super) fn origin_differs(&mut self, piece: PieceIndex, value: Hash, core: &mut Core) {
        let is_brought = !self.pieces.certain().contains(piece.0);
        let differs = self.pieces.value(piece.0).is_some_and(|held| held != value);
        if is_brought && differs && self.rests_on_attestors() && self.is_of_vouched_version() {
            self.differs_from_vouched(piece.0, Some(value), core);
        }
    }

    /// The value of a piece from the origin is not the vouched one.
    pub(super) fn differs_from_vouched(&mut self, piece: u32, value: Option<Hash>, core: &mut Core) {
        let value = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        self.attestors_are_false(&format!("piece {piece} of the origin has the value {value}"), core);
    }

    /// The whole file is not what attestors vouch for. If every piece is the origin's, they are wrong; else what is not may be
    /// of somebody who was believed before.
    pub(super) fn differs_from_attestors(&mut self, found: &Digest, core: &mut Core) {
        let count = self.geometry.map_or(0, |cut| cut.piece_count());
        if self.pieces.certain().contains_all(0..count) {
            let found = format!("the whole file's BLAKE3 is {}", found.to_hex());
            self.attestors_are_false(&found, core);
        } else {
            self.doubt_all_but_certain(core);
        }
    }

    /// Whether the origin said recently enough that its version is still this one. If not, it is asked again; `false`
    /// until it answers.
    pub(super) fn version_is_fresh(&mut self, core: &mut Core) -> bool {
        if !self.rests_on_attestors() {
            return true;
        }
        let now = core.time();
        if !self.attestors_stand(core) {
            self.wake_at(now);
            return false;
        }
        let is_fresh = self.origin.probed_at.is_some_and(|at| now.since(at) <= VERSION_FRESH);
        if is_fresh && self.origin.reach == Reach::Up {
            return true;
        }
        self.wake_at(now.after(Duration::from_millis(100)));
        match self.origin.reach {
            Reach::Up => self.origin.reach = Reach::Unknown,
            Reach::Unknown | Reach::Away if self.origin.asking.is_some() => {}
            Reach::Unknown | Reach::Away => self.fail_for_now(self.origin.fault.clone(), core),
            Reach::Dead => {
                let failure = self.origin.failure.unwrap_or(super::event::Failure::Fatal);
                self.fail(failure, self.origin.fault.clone(), core);
            }
        }
        false
    }

    /// Says in the file's decisions that this node took back what it had attested.
    pub(super) fn note_taken_back(&mut self, one: &Attestation, why: &str, core: &Core) {
        let why = format!("what this node attested is taken back: {why}");
        self.why.note(Chosen::Nobody, why, said_by(one), core.time());
    }

    /// Says in the file's decisions that this node attested it.
    pub(super) fn note_attested(&mut self, one: &Attestation, core: &Core) {
        let why = "this node attests it to its group: every byte came from the origin, over https";
        self.why.note(Chosen::Origin, why, said_by(one), core.time());
    }
}

/// Who signed what, for people: enough to find the attestor and the attestation.
fn said_by(one: &Attestation) -> String {
    let said = one.said();
    format!(
        "attestation {} by holder {}, peer {}, root {}, fetched {}, certificates from {}",
        hex(&one.id().0[..8]),
        hex(&said.holder.0),
        said.peer,
        said.content.root,
        said.fetched_at,
        if said.anchor == [0; 32] { "an unknown root".to_owned() } else { hex(&said.anchor[..8]) },
    )
}
