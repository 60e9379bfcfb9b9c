//! Attestors that say what they read while they read it, and members that follow them.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::attest::{AttestRules, Attested, attested_id};
use peer_proto::batch::{Batch, Batched};
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::evidence::{Against, Contradiction, Kind};
use peer_proto::group::{EpochSecret, GroupId, HolderId, Roles, Token};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::void::{Void, Voided};
use peer_proto::wire::{Frame, FrameKind, HaveSet};

use super::attested::*;
use super::world::*;
use crate::engine::fetch::Reach;
use crate::engine::file::{JobFile, Stage};
use crate::job::{JobSpec, JobState, PeerFlags, Policy, TrustFloor};
use crate::record::Voucher;

/// What members fetch the file together under while no digest is known.
fn stand_in() -> Digest {
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    Digest::new(Algorithm::Sha256, id.to_vec()).expect("32 bytes")
}

fn swarm() -> ContentId {
    swarm_id(&stand_in(), LEN)
}

/// What an attestor has said so far.
struct Chain {
    number: u8,
    said: Vec<Batch>,
}

impl Chain {
    fn of(number: u8) -> Self {
        Self { number, said: Vec::new() }
    }

    /// It read these pieces of a list.
    fn reads(&mut self, list: &HashList, pieces: std::ops::Range<u32>) -> Batch {
        let values: Vec<Hash> = pieces.clone().filter_map(|piece| list.value(PieceIndex(piece))).collect();
        let said = Batched {
            group: GroupId::of(&group().public_key()),
            holder: HolderId([self.number; 16]),
            peer: key(self.number).peer(),
            stream: [self.number; 16],
            number: u32::try_from(self.said.len()).expect("few"),
            previous: self.said.last().map_or(Hash([0; 32]), Batch::id),
            at: NOW,
            url: URL.into(),
            version: version("a", Some(list.content().len)),
            first: pieces.start,
            values,
        };
        let token = Token::grant(&group(), &wish(self.number, Roles::ATTEST));
        let batch = Batch::sign(&key(self.number), &token, said).expect("fit");
        self.said.push(batch.clone());
        batch
    }
}

/// An attestor that has just begun to read the file, and a member that wants it.
fn begun(truth: &Arc<HashList>, number: u8) -> (World, PeerId, Chain) {
    let mut world = world(truth);
    let (id, chain) = attestor(&mut world, truth, number);
    world.submit(spec(&[]));
    world.run_for(100);
    (world, id, chain)
}

fn attestor(world: &mut World, truth: &Arc<HashList>, number: u8) -> (PeerId, Chain) {
    let badge = badge(&wish(number, Roles::ATTEST));
    let id = neighbour(world, key(number).peer(), Some(badge), truth, Vec::new());
    let mut chain = Chain::of(number);
    chain.reads(truth, 0..0);
    let model = world.model(id);
    (model.digest, model.batches) = (None, chain.said.clone());
    (id, chain)
}

/// It says that it read these pieces, and has all up to there.
fn reads(world: &mut World, id: PeerId, chain: &mut Chain, list: &HashList, pieces: std::ops::Range<u32>) {
    let now = world.now().monotonic;
    let mut have = HaveSet::new(list.geometry().piece_count());
    have.insert(0..pieces.end);
    let batch = chain.reads(list, pieces);
    let model = world.model(id);
    model.batches = chain.said.clone();
    model.session.show_batches(1, vec![batch]);
    model.session.join_in(Some(GroupId::of(&group().public_key())), &stand_in(), LEN, false);
    model.session.send_have(swarm(), have, now);
    world.pump_and_tell(id);
}

/// The same for so much of the file, a hundredth of a second for each sixteen pieces.
fn goes_on(world: &mut World, id: PeerId, chain: &mut Chain, list: &HashList, pieces: std::ops::Range<u32>) {
    for first in pieces.clone().step_by(16) {
        reads(world, id, chain, list, first..(first + 16).min(pieces.end));
        world.run_for(10);
    }
}

#[test]
fn attest_11_what_an_attestor_had_read_before_the_part_was_ready_is_checked_as_well() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &(0..1_024).collect::<Vec<u32>>());
    let mut world = world(&truth);
    let (id, mut chain) = attestor(&mut world, &wrong, 2);
    for first in (0..1_024).step_by(256) {
        chain.reads(&wrong, first..first + 256);
    }
    world.model(id).batches = chain.said.clone();
    world.slow_resets = true;
    world.submit(spec(&[]));
    world.run_for(100);
    assert!(why(&world).contains("an attestor of the group reads it now"), "{}", why(&world));
    world.drop_now();
    world.run_for(500);
    let audits = why(&world).matches("audit of what attestors vouch for").count();
    assert!(audits > 0 && world.distrusted.len() == 1, "{}", why(&world));
}

#[test]
fn attest_7_a_member_takes_pieces_while_their_attestor_reads_them_and_asks_the_origin_for_the_audit_only() {
    let truth = file(LEN, 1);
    let (mut world, id, mut chain) = begun(&truth, 3);
    assert_eq!(world.view().bytes.origin, 0, "{}", why(&world));
    assert!(world.view().trust.starts_with("level 1 (attested)"), "{}", world.view().trust);
    goes_on(&mut world, id, &mut chain, &truth, 0..512);
    world.run_for(500);
    let bytes = world.view().bytes;
    assert!(
        bytes.peers >= 490 * 65_536,
        "half of it is here when half of it was read: {bytes:?}\n{}",
        why(&world)
    );
    goes_on(&mut world, id, &mut chain, &truth, 512..1_024);
    let (peers, origin) = fetched(&mut world);
    assert!((65_536..=16 * 65_536).contains(&origin) && peers + origin == LEN, "{origin}: {}", why(&world));
    assert!(why(&world).contains("audit of what attestors vouch for"), "{}", why(&world));
    let statement = chain.said[0].said().stream_id();
    assert_eq!(
        world.kept_vouched,
        [Voucher { group: Some(GroupId::of(&group().public_key()).0), holder: [3; 16], statement }]
    );
}

#[test]
fn attest_7_where_a_stream_stops_the_origin_gives_the_rest() {
    let truth = file(LEN, 1);
    let (mut world, id, mut chain) = begun(&truth, 3);
    goes_on(&mut world, id, &mut chain, &truth, 0..512);
    world.run_for(2_000);
    let before = world.view().bytes.origin;
    assert!(before <= 16 * 65_536, "it is waited for: {before}");
    let (peers, origin) = fetched(&mut world);
    assert!(peers >= 490 * 65_536 && origin >= 512 * 65_536, "{peers} {origin}: {}", why(&world));
    // Words without bytes are not waited for either.
    let (mut world, id, mut chain) = begun(&truth, 3);
    world.model(id).pace = Pace::steady(0);
    goes_on(&mut world, id, &mut chain, &truth, 0..1_024);
    assert_eq!(fetched(&mut world).1, LEN);
}

#[test]
fn attest_7_two_attestors_wanted_or_a_floor_of_digest_makes_nobody_follow() {
    let truth = file(LEN, 1);
    for trust in [TrustFloor::AttestedTwice, TrustFloor::Digest] {
        let mut world = world(&truth);
        let (id, mut chain) = attestor(&mut world, &truth, 3);
        world.submit(JobSpec { trust, ..spec(&[]) });
        world.run_for(100);
        if world.model(id).frames.iter().any(|frame| frame.kind() == FrameKind::AttestWant) {
            goes_on(&mut world, id, &mut chain, &truth, 0..1_024);
        }
        assert_eq!(fetched(&mut world), (0, LEN), "{trust}");
    }
}

#[test]
fn attest_11_a_stream_that_is_false_falls_at_its_first_audit() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &(0..1_024).collect::<Vec<u32>>());
    let (mut world, id, mut chain) = begun(&truth, 3);
    world.model(id).sends = Arc::clone(&wrong);
    goes_on(&mut world, id, &mut chain, &wrong, 0..512);
    let (_, origin) = fetched(&mut world);
    assert!(origin >= LEN, "all of it is the origin's: {origin}");
    let [(fallen, reason)] = world.distrusted.as_slice() else { panic!("{}", why(&world)) };
    assert_eq!(*fallen, HolderId([3; 16]));
    assert!(reason.contains("the origin serves other bytes"), "{reason}");
}

/// What shows that an attestation denies its stream.
fn denial(frame: &Frame) -> Option<Contradiction> {
    match frame {
        Frame::Against(Against::Contradiction(pair)) if pair.kind() == Kind::Denial => Some(pair.clone()),
        _ => None,
    }
}

#[test]
fn attest_8_an_attestor_that_attests_something_else_than_it_streamed_falls() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &[3]);
    for streamed_wrong in [true, false] {
        let (streamed, attests) = if streamed_wrong { (&wrong, &truth) } else { (&truth, &wrong) };
        for until in [512, 1_024] {
            let (mut world, id, mut chain) = begun(&truth, 3);
            let member = holder(&mut world, 2, &truth, Vec::new());
            // Its bytes are slow to come, so that it attests the file before that is here.
            world.model(id).pace = Pace::steady(1_000_000);
            world.model(id).sends = Arc::clone(streamed);
            goes_on(&mut world, id, &mut chain, streamed, 0..until);
            let model = world.model(id);
            model.attestations = vec![attested(3, said(3, attests))];
            (model.list, model.digest) = (Arc::clone(attests), Some(root_digest(attests)));
            let (_, origin) = fetched(&mut world);
            assert!(origin >= LEN, "{until}: {origin}");
            let [(fallen, reason)] = world.distrusted.as_slice() else { panic!("{}", why(&world)) };
            assert!(*fallen == HolderId([3; 16]) && reason.contains("while it read it"), "{reason}");
            // Who had all of so long a stream never asked for the list, and cannot show it.
            let proofs: Vec<_> = world.model(member).frames.iter().filter_map(denial).collect();
            assert_eq!(proofs.len(), usize::from(until == 512), "{proofs:?}");
            assert!(proofs.iter().all(|proof| proof.check(&group().public_key()).is_ok()));
        }
    }
}

#[test]
fn attest_8_who_has_all_of_a_short_stream_shows_members_that_its_attestation_denies_it() {
    let (truth, wrong) = (file(8 * MIB, 1), altered(8 * MIB, 1, &[3]));
    let (mut world, id, mut chain) = begun(&truth, 3);
    let member = holder(&mut world, 2, &truth, Vec::new());
    let all = vec![chain.reads(&wrong, 0..100), chain.reads(&wrong, 100..128)];
    world.model(id).session.show_batches(1, all);
    world.pump_and_tell(id);
    world.model(id).attestations = vec![attested(3, said(3, &truth))];
    fetched(&mut world);
    let [(fallen, reason)] = world.distrusted.as_slice() else { panic!("{}", why(&world)) };
    assert!(*fallen == HolderId([3; 16]) && reason.contains("while it read it"), "{reason}");
    let told = |world: &mut World, id| world.model(id).frames.iter().filter_map(denial).collect::<Vec<_>>();
    let [proof] = told(&mut world, member).try_into().expect("once");
    assert_eq!(proof.check(&group().public_key()), Ok(()), "and whoever is told can see it");

    // A node that heard nothing else believes it, and tells others, but not the one who told it.
    let mut world = self::world(&truth);
    let [member, other] = [2, 4].map(|number| holder(&mut world, number, &truth, Vec::new()));
    world.model(member).session.show_against(Against::Contradiction(proof.clone()));
    world.pump_and_tell(member);
    assert_eq!(world.distrusted.len(), 1);
    assert_eq!((told(&mut world, member), told(&mut world, other)), (vec![], vec![proof]));
}

#[test]
fn attest_8_an_attestor_that_streams_two_things_of_one_piece_falls() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &[3]);
    let (mut world, id, mut chain) = begun(&truth, 3);
    let member = holder(&mut world, 2, &truth, Vec::new());
    goes_on(&mut world, id, &mut chain, &truth, 0..64);
    let mut other = Chain::of(3);
    let first = other.reads(&wrong, 0..4);
    let token = Token::grant(&group(), &wish(3, Roles::ATTEST));
    let first =
        Batch::sign(&key(3), &token, Batched { stream: [9; 16], ..first.said().clone() }).expect("fit");
    world.model(id).session.show_batches(1, vec![first]);
    world.pump_and_tell(id);
    let [(fallen, reason)] = world.distrusted.as_slice() else { panic!("{:?}", world.distrusted) };
    assert!(*fallen == HolderId([3; 16]) && reason.contains("two different things"), "{reason}");
    let is_proof = |frame: &Frame| matches!(frame, Frame::Against(Against::Contradiction(pair)) if pair.kind() == Kind::Pieces);
    assert!(world.model(member).frames.iter().any(is_proof), "members are told");
    assert!(fetched(&mut world).1 >= LEN);
}

#[test]
fn attest_9_a_stream_that_is_taken_back_is_followed_no_more() {
    let truth = file(LEN, 1);
    for (holder_of, counts) in [(3, true), (4, false)] {
        let (mut world, id, mut chain) = begun(&truth, 3);
        goes_on(&mut world, id, &mut chain, &truth, 0..512);
        let said = Voided {
            group: GroupId::of(&group().public_key()),
            holder: HolderId([holder_of; 16]),
            statement: chain.said[0].said().stream_id(),
            sequence: 1,
            not_after: NOW + DAY,
            reason: "a test".into(),
        };
        let void = Void::sign(&group(), None, said).expect("fit");
        world.model(id).session.show_against(Against::Void(void));
        world.pump_and_tell(id);
        goes_on(&mut world, id, &mut chain, &truth, 512..1_024);
        let (_, origin) = fetched(&mut world);
        assert_eq!(origin >= LEN, counts, "{origin}: {}", why(&world));
    }
}

#[test]
fn attest_7_the_attestation_of_the_whole_file_takes_the_place_of_its_stream() {
    let truth = file(LEN, 1);
    let (mut world, id, mut chain) = begun(&truth, 3);
    goes_on(&mut world, id, &mut chain, &truth, 0..512);
    let one = attested(3, said(3, &truth));
    let model = world.model(id);
    (model.attestations, model.digest) = (vec![one.clone()], Some(root_digest(&truth)));
    let (peers, origin) = fetched(&mut world);
    assert!(peers + origin == LEN && origin <= 16 * 65_536, "{peers} {origin}: {}", why(&world));
    assert_eq!(
        world.kept_vouched,
        [Voucher { group: Some(one.said().group.0), holder: [3; 16], statement: one.id() }]
    );
}

#[test]
fn lookup_5_a_file_without_a_digest_is_followed_among_members_only() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    let (id, mut chain) = attestor(&mut world, &truth, 3);
    world.submit(spec(&[]));
    world.run_for(100);
    goes_on(&mut world, id, &mut chain, &truth, 0..1_024);
    fetched(&mut world);
    assert_eq!(kinds(&mut world, stranger), std::collections::BTreeSet::from([FrameKind::Hello]));
}

/// What an attestor told a member of what it reads.
fn told(world: &mut World, id: PeerId) -> Vec<Batch> {
    let batches = |frame: &Frame| match frame {
        Frame::Batches(batches) => batches.list.clone(),
        _ => Vec::new(),
    };
    world.model(id).frames.iter().flat_map(batches).collect()
}

#[test]
fn attest_7_an_attestor_says_what_it_reads_to_members_that_ask_and_then_attests_the_same() {
    let truth = file(LEN, 1);
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    let member = holder(&mut world, 2, &truth, Vec::new());
    let silent = holder(&mut world, 4, &truth, Vec::new());
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    world.submit(spec(&[]));
    world.run_for(1_000);
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    assert_eq!(world.model(member).session.want_attestations(id), Some(1));
    world.pump_and_tell(member);
    let first = told(&mut world, member);
    assert!(!first.is_empty() && !first[0].said().is_empty(), "what was read before is said at once");
    fetched(&mut world);
    let all = told(&mut world, member);
    let (key, nobody) = (group().public_key(), std::collections::BTreeSet::new());
    let rules = AttestRules { group: &key, now: NOW, epoch: 1, denied: &nobody };
    let mut values = std::collections::BTreeMap::new();
    for (at, batch) in all.iter().enumerate() {
        assert!(batch.check(&rules).is_ok() && batch.follows(at.checked_sub(1).map(|before| &all[before])));
        values.extend((batch.said().first..).zip(batch.said().values.clone()));
    }
    assert_eq!(values.into_values().collect::<Vec<_>>(), truth.values(), "all of it, before it is attested");
    assert_eq!(world.attested.len(), 1);
    assert_eq!((told(&mut world, silent).len(), told(&mut world, stranger).len()), (0, 0));
}

#[test]
fn attest_7_an_attestor_that_has_not_begun_when_it_is_asked_says_so_when_it_begins() {
    let truth = file(LEN, 1);
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    let member = holder(&mut world, 2, &truth, Vec::new());
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    world.model(member).session.want_attestations(id);
    world.pump_and_tell(member);
    world.submit(spec(&[]));
    world.run_for(300);
    let first = told(&mut world, member);
    assert!(!first.is_empty() && first[0].said().number == 0);
    assert_eq!(world.state(), JobState::Transferring);
    // Who attests follows nobody: it reads all of it itself.
    let (id, mut chain) = attestor(&mut world, &truth, 3);
    world.run_for(100);
    goes_on(&mut world, id, &mut chain, &truth, 0..256);
    world.run(Duration::from_secs(60));
    assert_eq!((world.view().bytes.peers, world.attested.len()), (0, 1), "{}", why(&world));
}

#[test]
fn attest_7_an_attestor_serves_what_it_reads_by_value_and_goes_on_when_it_is_done() {
    let truth = file(LEN, 1);
    let mut world = node(&truth, Roles::ATTEST, &Policy::default(), PeerFlags::BOTH);
    let member = holder(&mut world, 2, &truth, Vec::new());
    world.submit(spec(&[]));
    world.run_for(1_000);
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    world.model(member).session.want_attestations(id);
    world.pump_and_tell(member);
    world.run_for(300);
    world.model(member).session.join_in(Some(GroupId::of(&group().public_key())), &stand_in(), LEN, false);
    world.pump_and_tell(member);
    let now = world.now().monotonic;
    let range = peer_proto::content::ByteRange::new(0..65_536).expect("not empty");
    let wanted = |world: &mut World| {
        let values = vec![truth.value(PieceIndex(0)).expect("the first")];
        let session = &mut world.model(member).session;
        session.request_values(swarm(), vec![range], values, now).expect("a place");
        world.pump_and_tell(member);
        world.serves.len()
    };
    assert_eq!(wanted(&mut world), 1);
    fetched(&mut world);
    world.tell(crate::engine::io::Input::RecordHeld(super::fallen::record(&truth, &[])));
    assert_eq!(wanted(&mut world), 2, "from the record that its file became");
    assert!(!world.origin_spans.is_empty() && Attested { ..said(1, &truth) }.content == truth.content());
}

/// What an attestor said of a whole file in batches of so many pieces.
fn whole(number: u8, list: &HashList, step: usize) -> Vec<Batch> {
    let mut chain = Chain::of(number);
    (0..1_024)
        .step_by(step)
        .for_each(|first| drop(chain.reads(list, first..first + u32::try_from(step).expect("few"))));
    chain.said
}

#[test]
fn attest_8_an_attestation_of_another_content_than_was_streamed_is_not_believed_nor_its_author_again() {
    let truth = file(LEN, 1);
    let wrong = altered(LEN, 1, &[7]);
    for (read, list, is_believed) in [(1_024, &truth, true), (1_008, &wrong, true), (1_024, &wrong, false)] {
        let mut world = world(&truth);
        let core = &mut world.engine.core;
        for batch in whole(3, &truth, 16).into_iter().take(read / 16) {
            assert!(core.add_batch(batch));
        }
        let one = attested(3, said(3, list));
        assert_eq!(core.learn(&one, NOW).is_ok(), is_believed, "{read} pieces");
        assert_eq!(core.attests.fallen.has((one.said().group, one.said().holder)), !is_believed);
        let other = attested(4, said(4, &wrong));
        assert_eq!(core.learn(&other, NOW), Ok(()), "another one said nothing before");
    }
}

#[test]
fn attest_8_the_streams_of_who_fell_go_and_those_of_others_and_about_others_stay_apart() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let core = &mut world.engine.core;
    for number in [3, 4] {
        assert!(core.add_batch(whole(number, &truth, 16).remove(0)));
    }
    let count = |core: &crate::engine::core::Core, url: &str, etag: &str| {
        core.attests.streams.about(url, &version(etag, Some(LEN))).count()
    };
    assert_eq!(
        (count(core, URL, "a"), count(core, URL, "b"), count(core, "https://a.test/", "a")),
        (2, 0, 0)
    );
    let ours = GroupId::of(&group().public_key());
    core.drop_holder(Some(ours), HolderId([3; 16]));
    assert_eq!(count(core, URL, "a"), 1);
    core.drop_holder(None, HolderId([4; 16]));
    assert_eq!(count(core, URL, "a"), 0);
}

#[test]
fn attest_7_a_member_that_showed_a_batch_is_told_what_comes_after_it_and_no_batch_is_heard_before_the_last() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let [one, other] = [2, 5].map(|number| holder(&mut world, number, &truth, Vec::new()));
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    for member in [one, other] {
        assert!(world.model(member).session.want_attestations(id).is_some());
        world.pump_and_tell(member);
    }
    let said = whole(3, &truth, 16);
    let core = &mut world.engine.core;
    assert!(!core.batch_shown(one, &said[1]), "what came before is not known");
    assert!(core.batch_shown(one, &said[0]) && core.batch_shown(one, &said[1]));
    assert!(!core.batch_shown(other, &said[0]), "it is no news");
    assert!(core.batch_shown(one, &said[2]));
    world.run_for(10);
    let told = |member: PeerId| -> Vec<u32> {
        let batches = world.peers[&member].frames.iter().filter_map(|frame| match frame {
            Frame::Batches(shown) => Some(shown.list.iter().map(|batch| batch.said().number)),
            _ => None,
        });
        batches.flatten().collect()
    };
    assert_eq!((told(one), told(other)), (vec![], vec![0, 1, 2]));
}

/// What is made of a file, to see what follows from that alone.
type Change = fn(&mut JobFile);

#[test]
fn attest_7_an_attestor_streams_what_it_reads_itself_of_a_version_that_is_settled_and_nothing_else() {
    let truth = file(LEN, 1);
    let id = attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(LEN)));
    let would = |roles: Roles, spec: JobSpec, change: fn(&mut JobFile)| {
        let mut world = node(&truth, roles, &Policy::default(), PeerFlags::BOTH);
        world.submit(spec);
        world.run_for(500);
        let file = world.engine.files.values_mut().next().expect("on its way");
        change(file);
        [id, [1; 32]].map(|id| file.would_stream(&id, &world.engine.core))
    };
    assert_eq!(would(Roles::ATTEST, spec(&[]), |_| {}), [true, false]);
    assert_eq!(would(MEMBER, spec(&[]), |_| {}), [false, false], "no attestor");
    assert_eq!(would(Roles::ATTEST, spec(&[sha256()]), |_| {}), [false, false], "a digest names it");
    let unfit: [(&str, Change); 6] = [
        ("it is emptied", |file| file.reset_to = Some(version("b", Some(LEN)))),
        ("another version is here", |file| file.pinned = Some(version("b", Some(LEN)))),
        ("nothing is known of what is here", |file| file.pinned = None),
        ("it is sealed", |file| file.stage = Stage::Sealed),
        ("the origin is away", |file| file.origin.reach = Reach::Away),
        ("its length is not known", |file| file.geometry = None),
    ];
    for (why, change) in unfit {
        assert_eq!(would(Roles::ATTEST, spec(&[]), change), [false, false], "{why}");
    }
}

/// A member that follows an attestor, and what is made of its file.
fn following<T>(look: impl FnOnce(&mut JobFile) -> T) -> T {
    let truth = file(LEN, 1);
    let (mut world, id, mut chain) = begun(&truth, 3);
    goes_on(&mut world, id, &mut chain, &truth, 0..32);
    look(world.engine.files.values_mut().next().expect("on its way"))
}

#[test]
fn attest_7_a_stream_is_followed_until_a_list_proves_the_pieces_or_nobody_vouches() {
    assert!(following(|file| file.follows_stream()));
    assert!(!following(|file| {
        file.claims.trusted = Some(self::file(LEN, 1));
        file.follows_stream()
    }));
    assert!(!following(|file| {
        file.vouched = None;
        file.follows_stream()
    }));
    let before_and_after = following(|file| {
        let before = file.streaming.value(3);
        file.streaming.unfollow();
        (before, file.streaming.value(3))
    });
    assert_eq!(before_and_after, (file(LEN, 1).value(PieceIndex(3)), None));
}

#[test]
fn attest_7_a_stream_is_about_a_file_of_its_url_and_version_while_that_is_fetched() {
    let is_about = |url: &str, etag: &str| following(|file| file.is_about(url, &version(etag, Some(LEN))));
    assert!(is_about(URL, "a"));
    assert!(!is_about("https://example.org/other", "a") && !is_about(URL, "b"));
    assert!(!following(|file| {
        file.stage = Stage::Sealed;
        file.is_about(URL, &version("a", Some(LEN)))
    }));
}
