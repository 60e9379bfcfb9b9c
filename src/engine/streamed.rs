//! A file that an attestor of the group still reads: saying what was read, as the attestor, or following it (ATTEST-7).
//!
//! Knows: when this node streams a file, which stream a file follows, how long it waits for one. Does not know: the streams
//! themselves (`stream`), what attestations of whole files are worth (`vouched`).

use std::time::Duration;

use peer_proto::batch::{Batch, Batched};
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::denial::Denial;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::GroupId;
use peer_proto::limits::{BATCH_LIFE_MAX_S, STREAM_PIECES_MAX, VALUES_PER_BATCH_MAX};
use peer_proto::standing::PieceRun;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::version::Version;

use super::claims::{AUDITED_FROM, audit_budget};
use super::core::Core;
use super::fetch::Reach;
use super::file::{JobFile, Stage};
use super::groups::Attestor;
use super::lease::Purpose;
use super::piece_set::{PieceSet, place};
use super::stream::Stream;
use super::why::Chosen;

/// What was read is said so often.
pub const SAY_EVERY: Duration = Duration::from_millis(200);
/// A stream of which nothing comes for so long, neither words nor bytes, is not waited for any more.
pub const STREAM_PATIENCE: Duration = Duration::from_secs(3);

/// One file's part in streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Streaming {
    /// What this node says of it.
    own: Option<Own>,
    /// Values of the stream that is followed.
    values: Vec<Hash>,
    known: PieceSet,
    /// When a piece came last, or was named last while none was missing.
    moved_at: Instant,
    held: u32,
    lacks: bool,
    /// Whether it is waited for no more.
    gave_up: bool,
}

/// What an attestor has said of its own download.
#[derive(Clone, Debug)]
struct Own {
    /// To whose members it is said: of several groups to those who asked first.
    group: GroupId,
    stream: [u8; 16],
    last: Option<Batch>,
    said: PieceSet,
    next_at: Instant,
    version: Version,
}

impl Streaming {
    /// The value of a piece in the stream that is followed.
    pub(super) fn value(&self, piece: u32) -> Option<Hash> {
        self.values.get(place(piece)).copied().filter(|_| self.known.contains(piece))
    }

    fn note(&mut self, piece: u32, value: Hash) {
        if self.values.len() <= place(piece) {
            self.values.resize(place(piece) + 1, Hash([0; 32]));
        }
        self.values[place(piece)] = value;
        self.known.insert(piece..piece + 1);
    }

    /// Follows nothing any more; what this node says itself goes on.
    pub(super) fn unfollow(&mut self) {
        *self = Self { own: self.own.take(), ..Self::default() };
    }
}

impl JobFile {
    /// Whether this node says what it reads of it.
    pub(super) const fn gives_stream(&self) -> bool {
        self.streaming.own.is_some()
    }

    /// Whether its pieces are believed because an attestor that reads it says their values; as long as no list proves them.
    pub(super) fn follows_stream(&self) -> bool {
        let has_stream = self.vouched.as_ref().is_some_and(|vouched| vouched.stream.is_some());
        has_stream && self.claims.trusted.is_none() && self.rests_on_attestors()
    }

    /// Whether it is about this version of this URL, as attestors name it.
    pub(super) fn is_about(&self, url: &str, version: &Version) -> bool {
        let is_it = self.origin.probe.as_ref().is_some_and(|probe| probe.version.is_same(version));
        is_it && self.stage == Stage::Fetching && self.attestable_url().is_some_and(|mine| mine == url)
    }

    /// The group in which this node says what it reads of it, or whose attestor says that.
    pub(super) fn streamed_in(&self) -> Option<GroupId> {
        let followed = self.vouched.as_ref().filter(|_| self.follows_stream()).map(|vouched| vouched.group);
        self.streaming.own.as_ref().map(|own| own.group).or(followed)
    }

    /// What members of that group fetch it together under, while no digest is known: who is no member cannot know it.
    pub(super) fn stand_in(&self, core: &Core) -> Option<Digest> {
        let url = self.attestable_url()?;
        let version = &self.origin.probe.as_ref()?.version;
        let badge = &core.config.groups.get(self.streamed_in()?)?.badge;
        let id = peer_proto::attest::attested_id(badge.oldest(), &url, version);
        Digest::new(Algorithm::Sha256, id.to_vec()).ok()
    }

    /// URL, version and file, if this node may stream it.
    fn streamable(&self, core: &Core) -> Option<(String, Version)> {
        let version = self.origin.probe.as_ref().map(|probe| &probe.version)?;
        let is_pinned = self.pinned.as_ref().is_some_and(|pinned| pinned.is_same(version));
        let pieces = self.geometry.map_or(0, |cut| cut.piece_count());
        let fits = (1..=STREAM_PIECES_MAX).contains(&pieces) && is_pinned && self.reset_to.is_none();
        let fetches = self.stage == Stage::Fetching && self.origin.reach == Reach::Up && !self.has_digest();
        if !fits || !fetches || self.vouched.is_some() || !self.may_attest(core) {
            return None;
        }
        Some((self.attestable_url()?, version.clone()))
    }

    /// Whether this node would say what it reads of it under this id.
    pub(super) fn would_stream(&self, id: &[u8; 32], core: &Core) -> bool {
        let about = self.streamable(core);
        let Some((url, version)) = about else { return false };
        self.attests_in(core).any(|group| core.attested_ids(group, &url, &version).contains(id))
    }

    /// Says what was read since it was said last, if a member wants to know.
    pub(super) fn tend_stream(&mut self, core: &mut Core) {
        let now = core.time();
        let Some((url, version)) = self.streamable(core) else {
            self.streaming.own = None;
            return;
        };
        if self.streaming.own.as_ref().is_some_and(|own| !own.version.is_same(&version)) {
            self.streaming.own = None;
        }
        if self.streaming.own.is_none() {
            let wanted_in = self.attests_in(core).find(|group| core.wants_to_hear(*group, &url, &version));
            let Some(group) = wanted_in.filter(|_| !self.streaming.gave_up) else { return };
            let stream = std::array::from_fn(|_| u8::try_from(core.chance.below(256)).unwrap_or(0));
            let said = PieceSet::new();
            self.streaming.own =
                Some(Own { group, stream, last: None, said, next_at: now, version: version.clone() });
        }
        match self.streaming.own.as_ref().map(|own| own.next_at).filter(|next| *next > now) {
            Some(next) => self.wake_at(next),
            None => self.say_read(&url, &version, core),
        }
    }

    /// Signs what was read and not said yet.
    fn say_read(&mut self, url: &str, version: &Version, core: &mut Core) {
        let now = core.time();
        let Some(mut own) = self.streaming.own.take() else { return };
        let mut unsaid = self.pieces.certain().clone();
        unsaid.subtract(&own.said);
        let step = u32::try_from(VALUES_PER_BATCH_MAX).unwrap_or(u32::MAX);
        let mut runs: Vec<(u32, Vec<Hash>)> = Vec::new();
        for run in unsaid.runs() {
            for first in run.clone().step_by(place(step)) {
                let end = first.saturating_add(step).min(run.end);
                runs.push((first, (first..end).filter_map(|piece| self.pieces.value(piece)).collect()));
            }
        }
        if own.last.is_none() && runs.is_empty() {
            // It says what is being read before the first piece is there: whoever wants it need not ask the origin.
            runs.push((0, Vec::new()));
        }
        for (first, values) in runs {
            let count = u32::try_from(values.len()).unwrap_or(0);
            let Some(batch) = self.batch(&own, url, version, (first, values), core) else { return };
            own.said.insert(first..first + count);
            own.last = Some(batch.clone());
            if !core.add_batch(batch) {
                return;
            }
        }
        own.next_at = now.after(SAY_EVERY);
        self.wake_at(own.next_at);
        self.streaming.own = Some(own);
    }

    fn batch(
        &self,
        own: &Own,
        url: &str,
        version: &Version,
        (first, values): (u32, Vec<Hash>),
        core: &Core,
    ) -> Option<Batch> {
        let group = core.config.groups.get(own.group)?;
        let number = own.last.as_ref().map_or(Some(0), |last| last.said().number.checked_add(1))?;
        let holder = group.badge.token.wish().holder;
        // What it said of a piece before, in another download, must not be denied now: nobody would believe either.
        let its = |(_, stream): &(Hash, &Stream)| stream.attestor() == Some((own.group, holder));
        let mut others = core.attests.streams.about(url, version).filter(its);
        let differs = |stream: &Stream| {
            let mut said = (first..).zip(&values);
            said.any(|(piece, value)| stream.value(piece).is_some_and(|before| before != *value))
        };
        if others.any(|(_, stream)| differs(stream)) {
            return None;
        }
        let said = Batched {
            group: own.group,
            holder,
            peer: core.config.me,
            stream: own.stream,
            number,
            previous: own.last.as_ref().map_or(Hash([0; 32]), Batch::id),
            at: self.true_time(core),
            url: url.to_owned(),
            version: version.clone(),
            first,
            values,
        };
        Batch::sign(&group.signer, &group.badge.token, said)
    }

    /// Says what is left to be said of a file that is whole. `false` if what this node's holder said of its pieces is not so:
    /// then that is taken back.
    pub(super) fn end_stream(&mut self, list: &HashList, core: &mut Core) -> bool {
        let version = self.origin.probe.as_ref().map(|probe| probe.version.clone());
        let (Some(url), Some(version)) = (self.attestable_url(), version) else { return true };
        self.say_read(&url, &version, core);
        self.streaming.own = None;
        let is_so = |stream: &Stream, piece: u32| stream.value(piece) == list.value(PieceIndex(piece));
        let mut denied: Vec<(Hash, Attestor, u64)> = Vec::new();
        for (id, stream) in core.attests.streams.about(&url, &version) {
            let is_denied = stream.pieces().runs().flatten().any(|piece| !is_so(stream, piece));
            let own = stream.attestor().filter(|who| is_denied && core.speaks_for(*who));
            let until = stream.last().map(|last| last.said().at.saturating_add(BATCH_LIFE_MAX_S));
            denied.extend(own.zip(until).map(|(who, until)| (id, who, until)));
        }
        for (id, who, not_after) in &denied {
            let reason = "what was read turned out to be something else".to_owned();
            core.take_back_statement(*id, *who, *not_after, reason);
        }
        denied.is_empty()
    }

    /// The stream to follow, if no attestation of the whole file is known: that which is followed as long as it counts, else
    /// the longest. None, if attestors say different things.
    pub(super) fn best_stream(&self, url: &str, version: &Version, core: &Core) -> Option<(Hash, Attestor)> {
        if self.may_attest(core) {
            // Who attests reads all of it himself.
            return None;
        }
        let about = core.attests.streams.about(url, version);
        let is_for = |stream: &Stream| stream.attestor().is_some_and(|(group, _)| self.is_for(group));
        let counts = |(id, stream): &(Hash, &Stream)| core.stream_counts(*id) && is_for(stream);
        let all: Vec<(Hash, &Stream)> = about.filter(counts).collect();
        let disagree = all.iter().any(|(_, one)| all.iter().any(|(_, other)| one.differs(other).is_some()));
        let followed = self.vouched.as_ref().and_then(|vouched| vouched.stream);
        let is_followed = |(id, _): &&(Hash, &Stream)| followed.is_some_and(|(followed, _)| followed == *id);
        let best =
            all.iter().find(is_followed).or_else(|| all.iter().max_by_key(|(_, one)| one.pieces().count()));
        let (id, stream) = best.filter(|_| !disagree)?;
        Some((*id, stream.attestor()?))
    }

    /// A stream is followed from now on: the origin gives what is checked, and nothing else.
    pub(super) fn begin_to_follow(&mut self, core: &mut Core) {
        self.streaming.unfollow();
        self.streaming.moved_at = core.time();
        if self.rests_on_attestors() {
            self.doubt_all_but_certain(core);
            self.stop_where(core, |lease| lease.is_from_origin() && lease.purpose == Purpose::Gap);
        }
        self.wake_at(core.time());
    }

    /// Takes in what the stream that is followed says by now; draws what is read from the origin to check it.
    pub(super) fn follow_stream(&mut self, core: &mut Core) {
        let stream =
            self.vouched.as_ref().filter(|_| self.claims.trusted.is_none()).and_then(|one| one.stream);
        let Some((id, _)) = stream else { return };
        // Before the part is of this version there is nothing to draw audits among, nor to compare with.
        if !self.is_of_vouched_version() {
            return;
        }
        let Some(stream) = core.attests.streams.get(id) else { return };
        let mut new = stream.pieces().clone();
        new.subtract(&self.streaming.known);
        let values: Vec<(u32, Hash)> =
            new.runs().flatten().filter_map(|piece| Some((piece, stream.value(piece)?))).collect();
        for (piece, value) in &values {
            self.streaming.note(*piece, *value);
        }
        let denied = values.iter().find(|(piece, value)| {
            self.pieces.certain().contains(*piece) && self.pieces.value(*piece) != Some(*value)
        });
        if let Some((piece, _)) = denied {
            return self.differs_from_vouched(*piece, self.pieces.value(*piece), core);
        }
        self.draw_stream_audits(&new, core);
        let mut lacking = self.streaming.known.clone();
        lacking.subtract(self.pieces.held());
        self.audited().into_iter().for_each(|audited| lacking.subtract(audited));
        let (held, lacks) = (self.pieces.held().count(), !lacking.is_empty());
        if held != self.streaming.held || (lacks && !self.streaming.lacks) {
            self.streaming.moved_at = core.time();
        }
        (self.streaming.held, self.streaming.lacks) = (held, lacks);
    }

    /// Draws audits among pieces that were named just now: one of the first, then as many as are due (CLAIM-5).
    fn draw_stream_audits(&mut self, new: &PieceSet, core: &mut Core) {
        let count = self.geometry.map_or(0, |cut| cut.piece_count());
        if !self.rests_on_attestors() || count < AUDITED_FROM {
            return;
        }
        let mut fresh = self.gaps();
        fresh.intersect_with(new);
        let others = u32::try_from(self.sources.len().saturating_sub(1)).unwrap_or(u32::MAX / 2);
        let budget = audit_budget(count, others, &mut core.chance);
        let Some(vouched) = &mut self.vouched else { return };
        let mut drawn: Vec<u32> = Vec::new();
        if vouched.audits.is_empty() {
            drawn.extend(fresh.nth(core.chance.below(fresh.count().max(1))));
        }
        drawn.extend(fresh.runs().flatten().filter(|_| core.chance.below(count) < budget.saturating_sub(1)));
        let now = core.time();
        drawn.into_iter().for_each(|piece| vouched.audit(piece, now));
    }

    /// Whether the origin waits because an attestor reads the file, and what it read comes in.
    pub(super) fn waits_for_stream(&mut self, core: &Core) -> bool {
        let Some((id, _)) = self.vouched.as_ref().and_then(|vouched| vouched.stream) else { return false };
        if !self.follows_stream() || self.streaming.gave_up {
            return false;
        }
        let now = core.time();
        let heard_at = core.attests.streams.get(id).map_or(Instant::ZERO, |stream| stream.heard_at);
        let moved_at = self.streaming.moved_at;
        let since = if self.streaming.lacks { moved_at } else { moved_at.max(heard_at) };
        if now.since(since) < STREAM_PATIENCE {
            self.wake_at(since.after(STREAM_PATIENCE));
            return true;
        }
        self.streaming.gave_up = true;
        let why = "the attestor that reads it says nothing more, or its bytes do not come: the rest is the origin's";
        self.why.note(Chosen::Origin, why, String::new(), now);
        false
    }

    /// Pieces came from the origin: whether they are what the stream says.
    pub(super) fn compare_with_stream(&mut self, run: &PieceRun, core: &mut Core) {
        if self.vouched.as_ref().is_none_or(|vouched| vouched.stream.is_none()) {
            return;
        }
        let denies =
            |(piece, value): &(u32, &Hash)| self.streaming.value(*piece).is_some_and(|said| said != **value);
        let denied = (run.first.0..).zip(&run.values).find(denies).map(|(piece, value)| (piece, *value));
        if let Some((piece, value)) = denied
            && self.is_of_vouched_version()
        {
            self.differs_from_vouched(piece, Some(value), core);
        }
    }

    /// The attestation of the whole file is here: its list must have what was said of single pieces. `false` if it has not, and
    /// its attestor fell by that.
    pub(super) fn list_has_stream(&mut self, list: &HashList, core: &mut Core) -> bool {
        let Some(vouched) = &self.vouched else { return true };
        let (Some((id, holder)), Some(_)) = (vouched.stream, vouched.content) else { return true };
        let (Some(stream), Some(one)) = (core.attests.streams.get(id), vouched.by.get(&holder)) else {
            return true;
        };
        let Some(batch) = stream.denies(list) else { return true };
        let Some(denial) = Denial::by_piece(one.clone(), batch.clone(), list) else { return true };
        core.fall(denial.into(), None);
        false
    }

    /// The id of the swarm is that of a URL: the file that was delivered has these bytes.
    pub(super) fn note_delivered_by_url(&self, content: ContentId, core: &mut Core) {
        if let Some(swarm) = self.swarm.as_ref().filter(|swarm| swarm.by_url) {
            core.serving.note_by_url(swarm.id, content);
        }
    }
}
