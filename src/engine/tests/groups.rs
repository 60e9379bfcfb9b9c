//! A member of a group: whom it hears, what it passes on, what it says itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::{Badge, EpochSecret, GroupId, HolderId, Roles, Token, Wish};
use peer_proto::home::swarm_id;
use peer_proto::peer::PeerId;
use peer_proto::session::Session;
use peer_proto::sign::Signer;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::wire::{Frame, Record, RecordHead, Said};

use super::models::session_config;
use super::world::*;
use crate::engine::flood::{INTEREST_AGAIN, TICK_LEN_MAX};
use crate::engine::io::{Input, PartFound};
use crate::engine::piece_set::PieceSet;
use crate::engine::{Engine, EngineConfig, GroupConfig};
use crate::job::{FileSpec, JobId, JobSpec, PeerFlags, Priority};

pub(super) const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;
pub(super) const LEN: u64 = 64 * MIB;
/// An origin that takes its time: the swarm stays together.
const SLOW: u64 = 100_000;

pub(super) fn group() -> Signer {
    Signer::of(&[90; 32])
}

pub(super) fn key(number: u8) -> Signer {
    Signer::of(&[number; 32])
}

pub(super) fn wish(peer: PeerId) -> Wish {
    Wish {
        holder: HolderId([1; 16]),
        peer,
        roles: Roles::FETCH.and(Roles::SERVE),
        not_before: NOW - DAY,
        not_after: NOW + DAY,
        epoch: 1,
        serial: 1,
    }
}

pub(super) fn badge(wish: &Wish) -> Arc<Badge> {
    Arc::new(Badge { token: Token::grant(&group(), wish), secret: EpochSecret([7; 32]), former: None })
}

/// What makes the node a member.
pub(super) fn membership() -> GroupConfig {
    GroupConfig {
        signer: key(1),
        key: group().public_key(),
        badge: badge(&wish(peer_id(1))),
        epoch: 1,
        denied: None,
        enroller: None,
    }
}

/// A member that wants a file of 64 MiB, and nobody else.
pub(super) fn world() -> World {
    world_of(LEN)
}

fn world_of(len: u64) -> World {
    world_that_finds(len, 0)
}

/// The same with so many pieces of the file on its disk, which it read from the origin before; the tenth is missing.
fn world_that_finds(len: u64, count: usize) -> World {
    let truth = file(len, 1);
    let mut world = World::new(&truth);
    let run = |pieces: std::ops::Range<usize>| PieceRun {
        first: PieceIndex(u32::try_from(pieces.start).expect("few")),
        values: truth.values()[pieces].to_vec(),
        standing: Standing::Certain,
    };
    if count > 10 {
        let runs = vec![run(0..9), run(10..count)];
        world.found = PartFound { version: Some(world.origin.version.clone()), runs };
    }
    let config = EngineConfig { groups: Some(membership()).into(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    world
}

/// A neighbour that the group's key gave this token.
pub(super) fn neighbour(world: &mut World, wish: &Wish) -> PeerId {
    neighbour_with(world, Token::grant(&group(), wish))
}

/// A neighbour with this token.
pub(super) fn neighbour_with(world: &mut World, token: Token) -> PeerId {
    let id = token.wish().peer;
    let badge = Badge { token, secret: EpochSecret([7; 32]), former: None };
    let session = Session::new(session_config(id, Some(Arc::new(badge))), world.now().monotonic);
    let model = PeerModel::new(session, &world.truth, SLOW);
    world.admit(id, model);
    join(world, id);
    id
}

/// It wants the file too.
fn join(world: &mut World, id: PeerId) {
    let len = world.truth.content().len;
    world.model(id).session.join_in(Some(membership().id()), &sha256(), len, true);
    world.pump_and_tell(id);
}

pub(super) fn member(world: &mut World, number: u8) -> PeerId {
    neighbour(world, &wish(key(number).peer()))
}

fn swarm() -> ContentId {
    swarm_id(&sha256(), LEN)
}

pub(super) fn record(number: u8, sequence: u64, said: Said) -> Record {
    let (group, author) = (GroupId::of(&group().public_key()), key(number).peer());
    let head = RecordHead { group, author, number: sequence, swarm: swarm() };
    Record::sign(&key(number), head, said).expect("it may be said")
}

pub(super) fn interest(number: u8, sequence: u64) -> Record {
    let token = Token::grant(&group(), &wish(key(number).peer()));
    record(number, sequence, Said::Interest { fetches: true, token })
}

pub(super) fn pieces(number: u8, sequence: u64) -> Record {
    record(number, sequence, Said::Pieces { first: 0, values: vec![Hash([number; 32]); 4] })
}

pub(super) fn show(world: &mut World, id: PeerId, records: &[Record]) {
    world.model(id).session.show_records(records.to_vec());
    world.pump_and_tell(id);
}

/// How often a neighbour was told each record of another author than the node.
pub(super) fn told(world: &mut World, id: PeerId) -> BTreeMap<(PeerId, u64), usize> {
    let mut told = BTreeMap::new();
    for frame in &world.model(id).frames {
        let Frame::Records(records) = frame else { continue };
        for head in records.iter().map(Record::head).filter(|head| head.author != peer_id(1)) {
            *told.entry((head.author, head.number)).or_default() += 1;
        }
    }
    told
}

pub(super) fn once(records: &[Record]) -> BTreeMap<(PeerId, u64), usize> {
    records.iter().map(|record| ((record.head().author, record.head().number), 1)).collect()
}

#[test]
fn home_1_what_a_far_member_says_is_passed_on_once_and_not_to_whom_it_came_from() {
    let mut world = world();
    let [one, other, third] = [2, 3, 4].map(|number| member(&mut world, number));
    show(&mut world, one, &[interest(8, 1)]);
    world.run_for(200);
    let [to_one, to_other, to_third] = [one, other, third].map(|id| told(&mut world, id));
    assert_eq!(to_one, BTreeMap::new(), "it came from there");
    assert_eq!((to_other, to_third), (once(&[interest(8, 1)]), once(&[interest(8, 1)])));
    show(&mut world, one, &[pieces(8, 2)]);
    show(&mut world, other, &[pieces(8, 2)]);
    world.run_for(200);
    show(&mut world, third, &[interest(8, 1), pieces(8, 2)]);
    world.run_for(200);
    assert_eq!(told(&mut world, one), BTreeMap::new());
    assert_eq!(told(&mut world, other), once(&[interest(8, 1)]), "it had the claim before its turn came");
    assert_eq!(told(&mut world, third), once(&[interest(8, 1), pieces(8, 2)]));
}

#[test]
fn claim_1_what_nobody_signed_is_not_passed_on_and_its_bearer_is_sent_away() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    show(&mut world, one, &[interest(8, 1)]);
    let mut forged = pieces(8, 2).bytes().to_vec();
    let middle = forged.len() - 100;
    forged[middle] ^= 1;
    show(&mut world, one, &[Record::parse(forged.into()).expect("well-formed")]);
    world.run_for(200);
    assert_eq!(told(&mut world, other), once(&[interest(8, 1)]));
    assert_eq!(world.disconnected, [one], "it passed on what it had not checked");
    // The true one of that number is heard all the same.
    show(&mut world, other, &[pieces(8, 2)]);
    assert_eq!(world.disconnected, [one]);
}

#[test]
fn home_1_who_showed_no_good_token_is_not_heard() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    let with = |sequence, group: &Signer, wish: Wish| {
        record(8, sequence, Said::Interest { fetches: true, token: Token::grant(group, &wish) })
    };
    let good = wish(key(8).peer());
    for said in [
        pieces(8, 1),
        with(2, &Signer::of(&[91; 32]), good),
        with(3, &group(), wish(key(9).peer())),
        with(4, &group(), Wish { not_after: NOW - 1, ..good }),
        with(5, &group(), Wish { epoch: 3, ..good }),
        with(6, &group(), Wish { roles: Roles::SERVE, ..good }),
    ] {
        show(&mut world, one, &[said]);
    }
    world.run_for(200);
    assert_eq!(told(&mut world, other), BTreeMap::new());
    assert_eq!(world.disconnected, [], "passing on is no lie: its clock may differ");
}

#[test]
fn group_5_a_neighbour_whose_token_is_over_is_a_stranger() {
    let mut world = world();
    let good = member(&mut world, 2);
    let over = neighbour(&mut world, &Wish { not_after: NOW - 1, ..wish(key(3).peer()) });
    show(&mut world, over, &[interest(8, 1)]);
    show(&mut world, good, &[interest(7, 1)]);
    world.run_for(200);
    assert_eq!(told(&mut world, good), BTreeMap::new(), "nothing is heard from it");
    assert_eq!(told(&mut world, over), BTreeMap::new(), "and nothing told to it");
    let frames = &world.model(over).frames;
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Interest(_))), "it is served as a stranger");
}

#[test]
fn a_newcomer_is_told_who_is_there_and_what_they_read() {
    let mut world = world();
    let one = member(&mut world, 2);
    let fetches = Said::Segment { number: 1, pieces: 0..16, from_back: false, rate_kib: 5 };
    let said = [interest(8, 1), pieces(8, 2), record(8, 3, fetches), interest(9, 1)];
    show(&mut world, one, &said);
    world.run_for(1_000);
    let late = member(&mut world, 3);
    world.run_for(200);
    assert_eq!(told(&mut world, late), once(&said));
}

#[test]
fn home_1_who_left_or_was_not_heard_of_for_30_s_is_told_to_nobody() {
    let mut world = world();
    let one = member(&mut world, 2);
    show(&mut world, one, &[interest(8, 1), interest(9, 1), record(9, 2, Said::Leave)]);
    world.run_for(31_000);
    let late = member(&mut world, 3);
    world.run_for(200);
    assert_eq!(told(&mut world, late), BTreeMap::new());
    // What was said then is not said again in its name.
    show(&mut world, one, &[interest(9, 1)]);
    world.run_for(200);
    assert_eq!(told(&mut world, late), BTreeMap::new());
}

#[test]
fn a_member_says_again_that_it_is_there_and_says_what_it_reads() {
    let mut world = world();
    let one = member(&mut world, 2);
    world.run_for(u64::try_from(INTEREST_AGAIN.as_millis()).expect("short") + 3_000);
    let (mut interests, mut read) = (Vec::new(), PieceSet::new());
    for frame in &world.model(one).frames {
        let Frame::Records(records) = frame else { continue };
        for record in records.iter().filter(|record| record.head().author == peer_id(1)) {
            match record.said() {
                Said::Interest { .. } => interests.push(record.head().number),
                Said::Pieces { first, values } => {
                    read.insert(*first..*first + u32::try_from(values.len()).expect("few"));
                }
                Said::Leave | Said::Segment { .. } => {}
            }
        }
    }
    assert!(interests.len() == 2 && interests.is_sorted_by(|one, next| one < next), "{interests:?}");
    assert!(!read.is_empty() && read.count() == u32::try_from(world.disk.len()).expect("few"), "{read:?}");
    assert!(!world.model(one).frames.iter().any(|frame| matches!(frame, Frame::PieceClaim(_))), "said once");
}

#[test]
fn group_2_a_stranger_is_told_first_hand_and_shown_nothing_of_the_group() {
    let mut world = world();
    let id = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), SLOW);
    join(&mut world, id);
    world.run(Duration::from_secs(4));
    let frames = &world.model(id).frames;
    let is_of_groups = |frame: &&Frame| matches!(frame, Frame::Token(_) | Frame::Records(_));
    assert_eq!(frames.iter().filter(is_of_groups).count(), 0);
    for wanted in [
        |frame: &Frame| matches!(frame, Frame::Interest(_)),
        |frame: &Frame| matches!(frame, Frame::PieceClaim(_)),
        |frame: &Frame| matches!(frame, Frame::Have(_)),
    ] {
        assert!(frames.iter().any(wanted), "{frames:?}");
    }
}

#[test]
fn home_3_pieces_that_are_said_to_be_read_again_and_again_and_never_given_come_from_the_origin() {
    let mut world = world_of(2 * MIB);
    world.origin.pace = Pace::steady(4_000_000);
    let one = member(&mut world, 2);
    let swarm = swarm_id(&sha256(), 2 * MIB);
    let values: Vec<Hash> = world.truth.values().to_vec();
    let mut number = 0;
    let mut say = |world: &mut World, said| {
        number += 1;
        let (group, author) = (GroupId::of(&group().public_key()), key(8).peer());
        let record = Record::sign(&key(8), RecordHead { group, author, number, swarm }, said).expect("fits");
        show(world, one, &[record]);
    };
    let token = Token::grant(&group(), &wish(key(8).peer()));
    say(&mut world, Said::Interest { fetches: true, token });
    let mut read_by_1_s = 0;
    for second in 0..12 {
        say(&mut world, Said::Pieces { first: 0, values: values.clone() });
        world.run_for(1_000);
        if second == 0 {
            read_by_1_s = world.disk.len();
        }
    }
    assert!(read_by_1_s < values.len(), "they are believed to be on their way at first: {read_by_1_s}");
    assert_eq!(world.disk.len(), values.len());
}

#[test]
fn what_one_member_says_beyond_all_measure_is_not_passed_on() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    let said: Vec<Record> =
        [interest(8, 1)].into_iter().chain((2..1_400).map(|number| pieces(8, number))).collect();
    show(&mut world, one, &said);
    world.run_for(200);
    let passed_on = told(&mut world, other).len();
    assert!((1_000..1_100).contains(&passed_on), "{passed_on}");
    assert_eq!(world.disconnected, [], "its bearer is not to blame");
    show(&mut world, one, &[interest(7, 1)]);
    world.run_for(200);
    assert_eq!(told(&mut world, other).len(), passed_on + 1, "others are heard as before");
}

#[test]
fn a_newcomer_learns_what_was_read_long_ago_and_passes_it_on_once() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    // The way a neighbour tells it: who it is, by its last word, then what it read before that.
    let old: Vec<Record> = (2..300).map(|number| pieces(8, number)).collect();
    let mut said = vec![interest(8, 1_000)];
    said.extend(old.iter().cloned());
    show(&mut world, one, &said);
    world.run_for(200);
    show(&mut world, one, &old);
    show(&mut world, one, &[interest(8, 900)]);
    world.run_for(200);
    assert_eq!(told(&mut world, other), once(&said));
    let late = member(&mut world, 4);
    world.run_for(200);
    assert_eq!(told(&mut world, late), once(&said));
    let records = world.model(late).frames.iter().filter_map(|frame| match frame {
        Frame::Records(records) => Some(records.iter()),
        _ => None,
    });
    let first = records.flatten().find(|record| record.head().author == key(8).peer()).cloned();
    assert!(matches!(first.expect("told").said(), Said::Interest { .. }), "else what follows is not heard");
}

#[test]
fn a_newcomer_hears_of_a_long_file_in_several_ticks() {
    let mut world = world();
    let one = member(&mut world, 2);
    let said: Vec<Record> =
        [interest(8, 1)].into_iter().chain((2..1_000).map(|number| pieces(8, number))).collect();
    show(&mut world, one, &said);
    world.run_for(500);
    let late = member(&mut world, 4);
    world.run_for(60);
    let len = |frame: &Frame| match frame {
        Frame::Records(records) => records.iter().map(|record| record.bytes().len()).sum(),
        _ => 0,
    };
    let first: usize = world.model(late).frames.iter().map(len).sum();
    assert!(first <= TICK_LEN_MAX, "{first} bytes at once fill what waits for the line");
    world.run_for(400);
    assert_eq!(told(&mut world, late), once(&said));
}

#[test]
fn home_1_a_newcomer_is_not_told_of_who_was_not_heard_of_for_15_s() {
    let mut world = world();
    let one = member(&mut world, 2);
    show(&mut world, one, &[interest(8, 1)]);
    world.run_for(10_000);
    show(&mut world, one, &[interest(9, 1)]);
    world.run_for(10_000);
    let late = member(&mut world, 3);
    world.run_for(200);
    assert_eq!(told(&mut world, late), once(&[interest(9, 1)]));
}

#[test]
fn what_was_read_within_a_tick_is_said_in_one_word_with_the_right_values() {
    let mut world = world();
    let one = member(&mut world, 2);
    // It reads its own segments, so this node's do not lie in a row.
    show(&mut world, one, &[interest(2, 1)]);
    world.origin.pace = Pace::steady(20_000_000);
    world.run_for(1_000);
    let mut said = BTreeMap::new();
    let mut count = 0;
    for frame in &world.peers[&one].frames {
        let Frame::Records(records) = frame else { continue };
        for record in records.iter().filter(|record| record.head().author == peer_id(1)) {
            let Said::Pieces { first, values } = record.said() else { continue };
            count += 1;
            said.extend((*first..).zip(values.iter().copied()));
        }
    }
    assert!(said.len() > 100 && count <= said.len() / 4, "{count} words for {} pieces", said.len());
    for (piece, value) in said {
        assert_eq!(Some(&value), world.disk.get(&piece), "piece {piece}");
    }
}

#[test]
fn group_5_a_token_that_was_good_is_good_to_its_last_second_and_no_longer() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    let token = Token::grant(&group(), &Wish { not_after: NOW + 5, ..wish(key(8).peer()) });
    let again = |number| record(8, number, Said::Interest { fetches: true, token: token.clone() });
    for (ms, number) in [(100, 1), (5_100, 2), (6_100, 3)] {
        world.run_for(ms - world.ms);
        show(&mut world, one, &[again(number)]);
    }
    world.run_for(200);
    assert_eq!(told(&mut world, other), once(&[again(1), again(2)]));
}

#[test]
fn what_a_member_read_before_it_was_restarted_is_said_too() {
    let mut world = world_that_finds(LEN, 100);
    let one = member(&mut world, 2);
    world.run_for(500);
    let mut said = PieceSet::new();
    for frame in &world.peers[&one].frames {
        let Frame::Records(records) = frame else { continue };
        for record in records.iter().filter(|record| record.head().author == peer_id(1)) {
            let Said::Pieces { first, values } = record.said() else { continue };
            for (piece, value) in (*first..).zip(values) {
                assert_eq!(Some(*value), world.truth.value(PieceIndex(piece)), "piece {piece}");
                said.insert(piece..piece + 1);
            }
        }
    }
    assert!(said.contains_all(0..9) && said.contains_all(10..100), "{said:?}");
}

/// Seventeen jobs of four files each, all on their way, of as many digests.
fn wanting_many(world: &mut World) -> Vec<Digest> {
    let digest = |number: u8| Digest::new(Algorithm::Sha256, vec![number; 32]).expect("32 bytes");
    let digests: Vec<Digest> = (100..168).map(digest).collect();
    for (number, digests) in (0..).zip(digests.chunks(4)) {
        let file = |(place, digest): (usize, &Digest)| {
            let destination = format!("/tmp/{number}-{place}");
            let mut one =
                JobSpec::for_file("https://example.org/file", destination).named_by(vec![digest.clone()]);
            one.files.remove(0)
        };
        let files: Vec<FileSpec> = digests.iter().enumerate().map(file).collect();
        let spec = JobSpec {
            name: "many".into(),
            files,
            flags: PeerFlags::BOTH,
            priority: Priority::Foreground,
            ..JobSpec::default()
        };
        world.tell(Input::Submit {
            job: JobId([100 + number; 16]),
            spec: Box::new(spec),
            by: ME,
            start: true,
        });
    }
    world.run_for(50);
    digests
}

#[test]
fn wire_4_one_member_is_heard_of_64_contents_and_of_no_more() {
    let mut world = world();
    let one = member(&mut world, 2);
    let digests = wanting_many(&mut world);
    let knowing = |world: &World, author: u8| {
        let author = key(author).peer();
        world.engine.files.values().filter(|file| file.knows_author(author)).count()
    };
    for author in [8, 9] {
        for (sequence, digest) in (1..).zip(&digests) {
            let (group, by) = (GroupId::of(&group().public_key()), key(author).peer());
            let token = Token::grant(&self::group(), &wish(by));
            let head = RecordHead { group, author: by, number: sequence, swarm: swarm_id(digest, LEN) };
            let said = Said::Interest { fetches: true, token };
            show(&mut world, one, &[Record::sign(&key(author), head, said).expect("it may be said")]);
            // Nobody is heard without end at one moment.
            world.run_for(100);
            let heard = usize::try_from(sequence).expect("few").min(64);
            assert_eq!(knowing(&world, author), heard);
        }
    }
}
