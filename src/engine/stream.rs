//! What attestors say of files while they read them (ATTEST-7): streams of signed batches, kept in order, passed on.
//!
//! Knows: which streams there are, which members want them and how much of each they have. Does not know: what a file makes of
//! one (`streamed`), attestations of whole files (`attest`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use peer_proto::attest::{AttestFault, AttestRules, Attestation, attested_id};
use peer_proto::batch::Batch;
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::denial::Denial;
use peer_proto::evidence::Contradiction;
use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::version::Version;

use super::attest::attestor;
use super::chance::mixed;
use super::core::Core;
use super::groups::Attestor;
use super::piece_set::{PieceSet, place};

/// Streams that are kept; of more, those that nothing was heard of for longest go.
pub const STREAMS_MAX: usize = 12;
/// Streams of one holder that are kept.
pub const STREAMS_OF_ONE_MAX: usize = 4;
/// What one member wants at a time.
const WANTED_MAX: usize = 64;
/// Members that a batch is told to by its author ...
const TOLD_BY_AUTHOR_MAX: usize = 64;
/// ... and by whoever heard it: like records, it reaches everybody by a few at a time.
const TOLD_BY_OTHERS_MAX: usize = 4;

/// One download of one attestor, as far as it was heard.
#[derive(Debug)]
pub(super) struct Stream {
    /// Without holes from the first on; one at least.
    batches: Vec<Batch>,
    pieces: PieceSet,
    values: Vec<Hash>,
    pub(super) heard_at: Instant,
}

impl Stream {
    fn new(first: Batch, now: Instant) -> Self {
        let mut stream =
            Self { batches: Vec::new(), pieces: PieceSet::new(), values: Vec::new(), heard_at: now };
        stream.push(first, now);
        stream
    }

    fn push(&mut self, batch: Batch, now: Instant) {
        let said = batch.said();
        for (piece, value) in (said.first..).zip(&said.values) {
            if self.values.len() <= place(piece) {
                self.values.resize(place(piece) + 1, Hash([0; 32]));
            }
            self.values[place(piece)] = *value;
            self.pieces.insert(piece..piece + 1);
        }
        self.batches.push(batch);
        self.heard_at = now;
    }

    pub(super) fn last(&self) -> Option<&Batch> {
        self.batches.last()
    }

    /// Whose it is, and in which group.
    pub(super) fn attestor(&self) -> Option<Attestor> {
        self.last().map(|batch| (batch.said().group, batch.said().holder))
    }

    pub(super) fn author(&self) -> Option<PeerId> {
        self.last().map(|batch| batch.said().peer)
    }

    /// The pieces it names the values of.
    pub(super) const fn pieces(&self) -> &PieceSet {
        &self.pieces
    }

    /// The value of a piece, if it was said.
    pub(super) fn value(&self, piece: u32) -> Option<Hash> {
        self.values.get(place(piece)).copied().filter(|_| self.pieces.contains(piece))
    }

    /// The batch that names a piece.
    fn batch_of(&self, piece: u32) -> Option<&Batch> {
        self.batches.iter().rev().find(|batch| batch.said().value(piece).is_some())
    }

    /// Whether a list has another value of a piece, and what was signed of that piece.
    pub(super) fn denies(&self, list: &HashList) -> Option<&Batch> {
        let differs = |piece: &u32| self.value(*piece) != list.value(PieceIndex(*piece));
        self.batch_of(self.pieces.runs().flatten().find(differs)?)
    }

    /// What it signed.
    pub(super) fn evidence(&self) -> Vec<Bytes> {
        self.batches.iter().map(|batch| batch.bytes().clone()).collect()
    }

    /// Whether it is about this version of this URL.
    fn is_about(&self, url: &str, version: &Version) -> bool {
        self.last().is_some_and(|batch| batch.said().url == url && batch.said().version.is_same(version))
    }

    /// The content that its values fold to, if it names all of them.
    fn content(&self) -> Option<ContentId> {
        let len = self.last()?.said().len();
        Some(HashList::from_values(len, self.values.clone()).ok()?.content()).filter(|_| {
            peer_proto::content::Geometry::of(len)
                .is_ok_and(|cut| self.pieces.contains_all(0..cut.piece_count()))
        })
    }

    /// A piece of which another stream says something else.
    pub(super) fn differs(&self, other: &Self) -> Option<u32> {
        let mut both = self.pieces.clone();
        both.intersect_with(&other.pieces);
        both.runs().flatten().find(|piece| self.value(*piece) != other.value(*piece))
    }
}

/// All that are known.
#[derive(Debug, Default)]
pub(super) struct Streams {
    held: BTreeMap<Hash, Stream>,
    /// What members asked for, under which number of theirs.
    wanted: BTreeMap<PeerId, BTreeMap<[u8; 32], u32>>,
    /// How many batches of a stream a member has, as far as is known.
    told: BTreeMap<(PeerId, Hash), usize>,
}

impl Streams {
    pub(super) fn get(&self, id: Hash) -> Option<&Stream> {
        self.held.get(&id)
    }

    /// Whether a member asked for this.
    pub(super) fn is_wanted(&self, ids: &BTreeSet<[u8; 32]>) -> bool {
        self.wanted.values().any(|wanted| ids.iter().any(|id| wanted.contains_key(id)))
    }

    fn want(&mut self, peer: PeerId, id: [u8; 32], number: u32) {
        let wanted = self.wanted.entry(peer).or_default();
        if wanted.len() < WANTED_MAX || wanted.contains_key(&id) {
            wanted.insert(id, number);
        }
    }

    fn forget(&mut self, id: Hash) {
        self.held.remove(&id);
        self.told.retain(|(_, stream), _| *stream != id);
    }

    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.wanted.remove(&peer);
        self.told.retain(|(told, _), _| *told != peer);
    }

    /// Streams about one version of one URL.
    pub(super) fn about<'a>(
        &'a self,
        url: &'a str,
        version: &'a Version,
    ) -> impl Iterator<Item = (Hash, &'a Stream)> {
        self.held.iter().filter(|(_, stream)| stream.is_about(url, version)).map(|(id, stream)| (*id, stream))
    }

    /// Makes room for one of an attestor's.
    fn make_room(&mut self, who: Attestor) {
        let oldest = |held: &BTreeMap<Hash, Stream>, its: bool| {
            let mut all = held.iter().filter(|(_, stream)| !its || stream.attestor() == Some(who));
            let first = all.next()?;
            Some(*all.fold(first, |old, one| if one.1.heard_at < old.1.heard_at { one } else { old }).0)
        };
        let its = self.held.values().filter(|stream| stream.attestor() == Some(who)).count();
        if let Some(gone) = oldest(&self.held, true).filter(|_| its >= STREAMS_OF_ONE_MAX) {
            self.forget(gone);
        }
        if let Some(gone) = oldest(&self.held, false).filter(|_| self.held.len() >= STREAMS_MAX) {
            self.forget(gone);
        }
    }
}

impl Core {
    /// Under what members of a group, in this epoch and in the one before, ask for a version of a URL.
    pub(super) fn attested_ids(&self, group: GroupId, url: &str, version: &Version) -> BTreeSet<[u8; 32]> {
        let config = self.config.groups.get(group);
        let secrets = config.into_iter().flat_map(|config| config.badge.secrets());
        secrets.map(|secret| attested_id(secret, url, version)).collect()
    }

    /// Whether a member of a group in which this node attests wants to hear what it reads, of which it said nothing so far.
    pub(super) fn wants_to_hear(&self, group: GroupId, url: &str, version: &Version) -> bool {
        let own = self.config.groups.get(group).map(|config| (group, config.badge.token.wish().holder));
        let said_before = self.attests.about(url, version).any(|one| Some(attestor(one)) == own);
        !said_before && self.attests.streams.is_wanted(&self.attested_ids(group, url, version))
    }

    /// A member asks for what attestors say: it is told what they said so far, and what they will say.
    pub(super) fn stream_wanted(&mut self, peer: PeerId, number: u32, id: [u8; 32]) {
        if !self.flags.server || !self.is_member(peer) {
            return;
        }
        self.attests.streams.want(peer, id, number);
        for stream in self.attests.streams.held.keys().copied().collect::<Vec<_>>() {
            self.tell_stream(stream, peer);
        }
    }

    /// Tells a member what it lacks of a stream, if it asked for that.
    fn tell_stream(&mut self, stream: Hash, peer: PeerId) {
        let Some(known) = self.attests.streams.get(stream) else { return };
        let (Some(last), true) = (known.last(), self.stream_counts(stream)) else { return };
        let group = last.said().group;
        if !self.is_member_of(peer, group) {
            return;
        }
        let ids = self.attested_ids(group, &last.said().url, &last.said().version);
        let wanted = self.attests.streams.wanted.get(&peer);
        let number = wanted.and_then(|wanted| ids.iter().find_map(|id| wanted.get(id)).copied());
        let told = self.attests.streams.told.get(&(peer, stream)).copied().unwrap_or(0);
        let new: Vec<Batch> = known.batches.iter().skip(told).cloned().collect();
        let count = known.batches.len();
        let (Some(number), false) = (number, new.is_empty()) else { return };
        let is_told = self.peers.get_mut(peer).is_some_and(|peer| peer.session.show_batches(number, new));
        if is_told {
            self.attests.streams.told.insert((peer, stream), count);
        }
        self.pump(peer);
    }

    /// Tells those who asked what is new of a stream: all of them if it is this node's, else a few.
    fn spread_stream(&mut self, stream: Hash) {
        let is_own = self.attests.streams.get(stream).and_then(Stream::author) == Some(self.config.me);
        let mut peers: Vec<PeerId> = self.attests.streams.wanted.keys().copied().collect();
        peers.sort_by_cached_key(|peer| mixed(self.config.me, *peer));
        let most = if is_own { TOLD_BY_AUTHOR_MAX } else { TOLD_BY_OTHERS_MAX };
        peers.into_iter().take(most).for_each(|peer| self.tell_stream(stream, peer));
    }

    /// Whether what a stream says counts: its author is an attestor that was never found false, and did not take it back.
    pub(super) fn stream_counts(&self, stream: Hash) -> bool {
        let last = self.attests.streams.get(stream).and_then(Stream::last);
        last.is_some_and(|batch| self.batch_counts(batch).is_ok())
    }

    fn batch_counts(&self, batch: &Batch) -> Result<(), AttestFault> {
        let said = batch.said();
        let who = (said.group, said.holder);
        let group = self.config.groups.get(said.group).ok_or(AttestFault::OtherGroup)?;
        if self.attests.fallen.has(who) {
            return Err(AttestFault::NotAttestor);
        }
        if self.attests.voids.has(said.stream_id(), who) {
            return Err(AttestFault::Void);
        }
        let (key, epoch, denied, now) = (&group.key, group.epoch, group.denied(), self.wall_s());
        batch.check(&AttestRules { group: key, now, epoch, denied })
    }

    /// Takes in what a member shows of a stream that some file here wants. `true` if it is news.
    pub(super) fn batch_shown(&mut self, from: PeerId, batch: &Batch) -> bool {
        let said = batch.said();
        let stream = said.stream_id();
        let known = self.attests.streams.get(stream);
        let count = known.map_or(0, |known| known.batches.len());
        let number = place(said.number);
        if number < count {
            self.note_has(from, stream, number + 1);
            return false;
        }
        if number > count || !batch.follows(known.and_then(Stream::last)) {
            // A hole, or another chain: what came before is not known here, or not the same.
            return false;
        }
        match self.batch_counts(batch) {
            Ok(()) => {}
            Err(AttestFault::Unsigned | AttestFault::OtherHolder) => {
                self.back_off(from, "it passed on what no attestor had signed");
                return false;
            }
            Err(_) => return false,
        }
        self.note_has(from, stream, number + 1);
        self.add_batch(batch.clone())
    }

    fn note_has(&mut self, peer: PeerId, stream: Hash, count: usize) {
        let told = self.attests.streams.told.entry((peer, stream)).or_default();
        *told = (*told).max(count);
    }

    /// Adds a batch that counts, and tells those who want it. `false` if its author contradicts itself by it.
    pub(super) fn add_batch(&mut self, batch: Batch) -> bool {
        let (now, said) = (self.time(), batch.said());
        let (stream, who) = (said.stream_id(), (said.group, said.holder));
        match self.attests.streams.held.get_mut(&stream) {
            Some(known) => known.push(batch, now),
            None => {
                self.attests.streams.make_room(who);
                self.attests.streams.held.insert(stream, Stream::new(batch, now));
                self.attests.touch();
            }
        }
        if self.stream_is_false_to_itself(stream) {
            return false;
        }
        self.spread_stream(stream);
        true
    }

    /// Whether the author of a stream says something else elsewhere: that proves itself, and members are told (ATTEST-8).
    fn stream_is_false_to_itself(&mut self, stream: Hash) -> bool {
        let pair = self.denied_elsewhere(stream);
        let is_false = pair.is_some();
        pair.into_iter().for_each(|pair| self.fall(pair, None));
        is_false
    }

    fn denied_elsewhere(&self, stream: Hash) -> Option<Contradiction> {
        let known = self.attests.streams.get(stream)?;
        let (said, who) = (known.last()?.said(), known.attestor());
        let others = self.attests.streams.about(&said.url, &said.version);
        let mut others = others.filter(|(id, other)| *id != stream && other.attestor() == who);
        let (piece, other) = others.find_map(|(_, other)| Some((known.differs(other)?, other)))?;
        Contradiction::of_batches(known.batch_of(piece)?.clone(), other.batch_of(piece)?.clone())
    }

    /// Whether an attestation is not what its holder said while it read: then it is not believed again, and members are told
    /// if what shows it is short enough (ATTEST-8).
    pub(super) fn denies_its_stream(&mut self, one: &Attestation) -> bool {
        let Some(batches) = self.denied_stream(one) else { return false };
        match Denial::by_root(one.clone(), batches.clone()) {
            Some(denial) => self.fall(denial.into(), None),
            None => {
                let signed = [one.bytes()].into_iter().chain(batches.iter().map(Batch::bytes));
                let why = "what it attested is not what it said while it read it".to_owned();
                self.distrust(attestor(one), signed.cloned().collect(), why);
            }
        }
        true
    }

    fn denied_stream(&self, one: &Attestation) -> Option<Vec<Batch>> {
        let said = one.said();
        let streams = self.attests.streams.about(&said.url, &said.version);
        let mut its = streams.filter(|(_, stream)| stream.attestor() == Some(attestor(one)));
        let is_denied = |stream: &Stream| stream.content().is_some_and(|content| content != said.content);
        its.find(|(_, stream)| is_denied(stream)).map(|(_, stream)| stream.batches.clone())
    }

    /// Nothing that these attestors streamed is kept any more.
    pub(super) fn drop_streams_where(&mut self, is_meant: impl Fn(Attestor) -> bool) {
        let held = self.attests.streams.held.iter();
        let its = held.filter(|(_, stream)| stream.attestor().is_some_and(&is_meant));
        for id in its.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.attests.streams.forget(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use peer_proto::batch::Batched;
    use peer_proto::group::{HolderId, Roles, Token, Wish};
    use peer_proto::sign::Signer;

    use super::*;

    /// The first batch of a stream of a holder.
    fn first(holder: u8, stream: u8) -> Batch {
        let signer = Signer::of(&[holder; 32]);
        let wish = Wish {
            holder: HolderId([holder; 16]),
            peer: signer.peer(),
            roles: Roles::ATTEST,
            not_before: 0,
            not_after: 1,
            epoch: 0,
            serial: 0,
        };
        let said = Batched {
            group: GroupId([1; 16]),
            holder: wish.holder,
            peer: wish.peer,
            stream: [stream; 16],
            number: 0,
            previous: Hash([0; 32]),
            at: 1,
            url: "https://example.org/a".into(),
            version: Version {
                final_origin: "https://example.org:443".into(),
                etag: Some("\"a\"".into()),
                last_modified: None,
                len: Some(3 * 65_536),
            },
            first: 0,
            values: vec![Hash([stream; 32]); 2],
        };
        Batch::sign(&signer, &Token::grant(&Signer::of(&[99; 32]), &wish), said).expect("fit")
    }

    fn begun(streams: &mut Streams, holder: u8, stream: u8) {
        let now = Instant::from_micros(u64::from(holder) * 1_000 + u64::from(stream));
        let batch = first(holder, stream);
        streams.make_room((GroupId([1; 16]), HolderId([holder; 16])));
        streams.held.insert(batch.said().stream_id(), Stream::new(batch, now));
    }

    #[test]
    fn attest_7_streams_are_bounded_for_each_holder_and_in_all_and_the_oldest_go() {
        let mut streams = Streams::default();
        (1..=9).for_each(|stream| begun(&mut streams, 1, stream));
        assert_eq!(streams.held.len(), STREAMS_OF_ONE_MAX);
        assert!(streams.get(first(1, 9).said().stream_id()).is_some());
        assert!(streams.get(first(1, 5).said().stream_id()).is_none());
        for holder in 2..40 {
            begun(&mut streams, holder, 1);
        }
        assert_eq!(streams.held.len(), STREAMS_MAX);
        assert!(
            streams
                .held
                .values()
                .all(|stream| stream.attestor() > Some((GroupId([1; 16]), HolderId([27; 16]))))
        );
    }

    #[test]
    fn what_members_want_is_bounded_and_forgotten_with_them() {
        let (mut streams, peer) = (Streams::default(), PeerId::from_public_key([5; 32]));
        for number in 0..100_u8 {
            streams.want(peer, [number; 32], u32::from(number));
        }
        assert_eq!(streams.wanted[&peer].len(), WANTED_MAX);
        streams.want(peer, [3; 32], 200);
        assert_eq!(
            streams.wanted[&peer].get(&[3; 32]),
            Some(&200),
            "what it asks again it asks under a new number"
        );
        assert!(streams.is_wanted(&BTreeSet::from([[200; 32], [4; 32]])));
        assert!(!streams.is_wanted(&BTreeSet::from([[99; 32]])));
        streams.forget_peer(peer);
        assert!(!streams.is_wanted(&BTreeSet::from([[4; 32]])));
    }

    #[test]
    fn attest_8_two_streams_differ_where_both_name_a_piece_and_evidence_is_what_names_it() {
        let now = Instant::ZERO;
        let (one, other) = (Stream::new(first(1, 1), now), Stream::new(first(1, 2), now));
        assert_eq!((one.differs(&other), one.differs(&one)), (Some(0), None));
        assert_eq!((one.value(1), one.value(2), one.content()), (Some(Hash([1; 32])), None, None));
        assert!(one.batch_of(1).is_some() && one.batch_of(2).is_none());
        assert_eq!(one.evidence(), [first(1, 1).bytes().clone()]);
    }

    #[test]
    fn attest_7_what_a_member_asked_and_was_told_goes_with_it_and_with_the_stream() {
        let [one, other] = [1, 2].map(|number| PeerId::from_public_key([number; 32]));
        let [first, second] = [1, 2].map(|number| Hash([number; 32]));
        let mut streams = Streams::default();
        [one, other].into_iter().for_each(|peer| streams.want(peer, [7; 32], 1));
        streams.told = [((one, first), 3), ((other, first), 4), ((one, second), 5)].into();
        let told = |streams: &Streams| streams.told.values().copied().collect::<Vec<_>>();
        streams.forget(second);
        assert_eq!(told(&streams), [3, 4]);
        streams.forget_peer(one);
        assert_eq!((told(&streams), streams.wanted.keys().collect::<Vec<_>>()), (vec![4], vec![&other]));
    }
}
