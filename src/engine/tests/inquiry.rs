//! The question to the whole link: when it is asked, what stands in it, who calls the asker.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use peer_proto::digest::Digest;
use peer_proto::group::EpochSecret;
use peer_proto::peer::PeerId;
use peer_proto::question::{Asker, Audience, Question, Wanted};
use peer_proto::wire::Frame;

use super::groups::{key, member, membership, neighbour, wish};
use super::world::*;
use crate::engine::inquiry::Inquiries;
use crate::engine::io::*;
use crate::engine::{Engine, EngineConfig};
use crate::job::{Ask, FileId, JobId, JobSpec, PeerFlags};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const SLOW: u64 = 20_000;
const FAST: u64 = 40_000_000;

/// A node that wants a file of a slow origin.
fn seeker(flags: PeerFlags, spec: JobSpec) -> World {
    let mut world = World::with_flags(&file(64 * MIB, 1), flags);
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec);
    world
}

fn to_link(digest: Digest) -> Vec<Wanted> {
    vec![Wanted { digest, audience: Audience::Link }]
}

fn times(world: &World) -> Vec<u64> {
    world.asked_link.iter().map(|(at, _)| *at).collect()
}

#[test]
fn peer_14_and_peer_15_the_link_is_asked_at_once_three_times_again_and_not_for_ten_minutes() {
    let mut world = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    world.run_for(620_000);
    assert_eq!(times(&world), [0, 1_000, 5_000, 25_000, 600_000, 601_000, 605_000]);
    assert!(world.asked_link.iter().all(|(_, wanted)| *wanted == to_link(sha256())));
}

#[test]
fn peer_15_the_same_file_wanted_again_is_not_asked_for_again() {
    let mut world = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    world.run_for(2_000);
    for command in [JobCommand::Suspend, JobCommand::Resume] {
        world.command(command);
        world.run_for(1_000);
    }
    assert_eq!(times(&world), [0, 1_000]);
}

#[test]
fn peer_14_a_file_that_is_on_hold_or_whole_is_not_asked_for() {
    let mut held = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    held.run_for(500);
    held.command(JobCommand::Suspend);
    let mut whole = World::new(&file(MIB, 1));
    whole.submit(JobSpec { auto_complete: false, ..spec(&[sha256()]) });
    for mut world in [held, whole] {
        world.run_for(30_000);
        assert_eq!(times(&world), [0], "{:?}", world.state());
    }
}

#[test]
fn lookup_4_who_clears_the_peers_again_and_again_asks_five_questions_in_a_second() {
    let mut world = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    world.run_for(2_500);
    for _ in 0..10 {
        world.tell(Input::PeersForgotten);
        world.run_for(20);
    }
    let within = times(&world).into_iter().filter(|at| (2_500..3_500).contains(at)).count();
    assert_eq!(within, 5);
}

#[test]
fn lookup_4_sixteen_files_are_asked_for_in_one_question_and_the_others_in_the_next() {
    let mut world = World::new(&file(64 * MIB, 1));
    world.origin.silent = true;
    let digest = |number: u8| Digest::new(peer_proto::digest::Algorithm::Sha256, vec![number; 32]).unwrap();
    for number in 1..=19 {
        let wanted = JobSpec {
            flags: PeerFlags::BOTH,
            priority: crate::job::Priority::Foreground,
            ..JobSpec::for_file("https://example.org/file", format!("/tmp/{number}"))
                .named_by(vec![digest(number)])
        };
        let job = JobId([100 + number; 16]);
        world.tell(Input::Submit { job, spec: Box::new(wanted), by: ME, start: true });
    }
    // All are due again at once.
    world.run_for(500);
    world.asked_link.clear();
    world.tell(Input::PeersForgotten);
    world.run_for(1_500);
    let sizes: Vec<usize> = world.asked_link.iter().map(|(_, wanted)| wanted.len()).take(2).collect();
    assert_eq!(sizes, [16, 3]);
}

#[test]
fn peer_23_who_clears_the_peers_has_the_link_asked_again_at_once() {
    let mut world = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    world.run_for(30_000);
    world.tell(Input::PeersForgotten);
    world.run_for(7_000);
    assert_eq!(times(&world), [0, 1_000, 5_000, 25_000, 30_000, 31_000, 35_000]);
}

#[test]
fn peer_25_whoever_was_found_is_asked_in_its_session_and_the_link_no_more() {
    let truth = file(64 * MIB, 1);
    let mut world = seeker(PeerFlags::BOTH, spec(&[root_digest(&truth)]));
    world.run_for(100);
    world.peer(2, &truth, root_digest(&truth), 1_000_000);
    world.run_for(10_000);
    assert_eq!(times(&world), [0]);
    assert!(world.view().bytes.peers > 0);
}

#[test]
fn peer_2_and_lookup_5_who_may_not_be_asked_is_not() {
    let may = spec(&[sha256()]);
    let client_off = PeerFlags { client: false, server: true };
    for (flags, spec) in [
        (client_off, may.clone()),
        (PeerFlags::BOTH, JobSpec { flags: client_off, ..may.clone() }),
        (PeerFlags::BOTH, JobSpec { ask: Ask::Nobody, ..may.clone() }),
        // This node is in no group.
        (PeerFlags::BOTH, JobSpec { ask: Ask::Members, ..may.clone() }),
        (PeerFlags::BOTH, spec(&[])),
    ] {
        let mut world = seeker(flags, spec.clone());
        let other = world.peer(2, &world.truth.clone(), sha256(), FAST);
        world.run_for(3_000);
        assert_eq!(times(&world), [0; 0], "{flags:?} {spec:?}");
        let told = |frame: &Frame| matches!(frame, Frame::Find(_) | Frame::Interest(_));
        assert!(!world.peers[&other].frames.iter().any(told), "{flags:?} {spec:?}");
        assert_eq!(world.model(other).asked, 0);
    }
}

/// A member of a group with a job that says whom to ask.
fn seeking_member(ask: Ask) -> World {
    let mut world = World::new(&file(64 * MIB, 1));
    let config = EngineConfig { groups: Some(membership()).into(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world.origin.pace = Pace::steady(SLOW);
    world.submit(JobSpec { ask, ..spec(&[sha256()]) });
    world
}

#[test]
fn lookup_5_a_job_for_members_asks_members_alone_and_tells_nobody_else() {
    for (ask, asked) in [(Ask::Members, 0), (Ask::Link, 1)] {
        let mut world = seeking_member(ask);
        let stranger = world.peer(9, &world.truth.clone(), root_digest(&world.truth.clone()), FAST);
        let kin = member(&mut world, 20);
        world.run_for(500);
        let audience = match ask {
            Ask::Members => Audience::Members(EpochSecret([7; 32])),
            Ask::Link | Ask::Nobody => Audience::Link,
        };
        let wanted = vec![Wanted { digest: sha256(), audience }];
        assert_eq!(world.asked_link, [(0, wanted)], "{ask}");
        assert_eq!(world.model(stranger).asked, asked, "{ask}");
        assert_eq!(world.model(kin).asked, 1, "{ask}");
        let told = |frame: &Frame| matches!(frame, Frame::Interest(_));
        let is_told = world.peers[&stranger].frames.iter().any(told);
        assert_eq!(is_told, ask == Ask::Link, "{ask}");
    }
}

#[test]
fn lookup_5_a_stranger_who_wants_the_same_learns_nothing_of_a_job_for_members() {
    let mut world = seeking_member(Ask::Members);
    let stranger = world.peer(9, &world.truth.clone(), sha256(), FAST);
    world.run_for(200);
    let len = world.truth.content().len;
    world.model(stranger).session.join(&sha256(), len, true);
    world.pump_and_tell(stranger);
    world.run_for(2_000);
    let said = |frame: &&Frame| !matches!(frame, Frame::Hello(_));
    assert_eq!(world.peers[&stranger].frames.iter().find(said), None);
    assert_eq!(world.view().bytes.peers, 0);
}

#[test]
fn lookup_4_five_questions_leave_in_a_second_however_many_files_are_wanted() {
    let start = peer_proto::time::Instant::ZERO;
    let at = |ms: u64| start.after(std::time::Duration::from_millis(ms));
    let mut inquiries = Inquiries::new([1; 32]);
    let file = FileId { job: JobId([1; 16]), index: 0 };
    inquiries.seek(peer_proto::lookup::lookup_id(&sha256()), file, start);
    let mut left = Vec::new();
    for ms in (0..2_000).step_by(10) {
        if inquiries.may_leave(at(ms)) {
            inquiries.note_left(at(ms));
            left.push(ms);
        }
    }
    assert_eq!(left, [0, 10, 20, 30, 40, 1_000, 1_010, 1_020, 1_030, 1_040]);
    assert_eq!(inquiries.wake(), at(2_000), "what is due waits for the oldest to be a second ago");
}

fn record(list: &peer_proto::verify::HashList) -> RecordSummary {
    RecordSummary {
        id: RecordId([4; 16]),
        content: list.content(),
        digests: vec![sha256()],
        holding: Holding::Whole,
        scope: Scope::Shareable,
        served: true,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    }
}

const FROM: &str = "192.168.7.20:60000";

fn asker(number: u8) -> Asker {
    let from: SocketAddr = FROM.parse().unwrap();
    Asker {
        peer: peer_id(number),
        port: NonZeroU16::new(7_411).unwrap(),
        address: from.ip(),
        nonce: [number; 8],
    }
}

fn asks(world: &mut World, from: &str, wanted: &[Wanted]) {
    let question = Question::new(&asker(2), wanted).unwrap();
    world.tell(Input::LinkAsked { from: from.parse().unwrap(), question });
}

fn callees(world: &World) -> Vec<(PeerId, String)> {
    world.called.iter().map(|(_, peer, socket)| (*peer, socket.to_string())).collect()
}

/// Whether a node with this record calls somebody who asks for a digest.
fn calls(flags: PeerFlags, record: RecordSummary, wanted: &[Wanted], from: &str) -> bool {
    let mut world = World::with_flags(&file(4 * MIB, 1), flags);
    world.tell(Input::RecordHeld(record));
    asks(&mut world, from, wanted);
    world.run_for(100);
    !world.called.is_empty()
}

#[test]
fn lookup_3_who_holds_it_and_may_say_so_calls_the_asker_and_nobody_else_does() {
    let truth = file(4 * MIB, 1);
    let good = || record(&truth);
    let here = || to_link(sha256());
    assert!(calls(PeerFlags::BOTH, good(), &here(), FROM));
    assert!(calls(PeerFlags::BOTH, good(), &to_link(root_digest(&truth)), FROM));
    assert!(!calls(PeerFlags { client: true, server: false }, good(), &here(), FROM));
    assert!(!calls(PeerFlags::BOTH, good(), &to_link(root_digest(&file(MIB, 3))), FROM), "another file");
    assert!(!calls(PeerFlags::BOTH, good(), &here(), "192.168.7.21:60000"), "seen, and sent from elsewhere");
    let used_today = RecordSummary { last_used_unix_s: 1_800_000_000 - 23 * 3_600, ..good() };
    assert!(calls(PeerFlags::BOTH, used_today, &here(), FROM), "used within a day");
    let members = Wanted { digest: sha256(), audience: Audience::Members(EpochSecret([7; 32])) };
    assert!(!calls(PeerFlags::BOTH, good(), &[members], FROM), "not for strangers");
    for hidden in [
        RecordSummary { served: false, ..good() },
        RecordSummary { scope: Scope::Machine, ..good() },
        RecordSummary { scope: Scope::Private { uid: 1 }, ..good() },
        RecordSummary { last_used_unix_s: 1_800_000_000 - 25 * 3_600, ..good() },
    ] {
        assert!(!calls(PeerFlags::BOTH, hidden.clone(), &here(), FROM), "{hidden:?}");
    }
}

#[test]
fn lookup_4_the_asker_is_called_once_at_a_moment_of_chance_within_50_ms() {
    let truth = file(4 * MIB, 1);
    let mut moments = Vec::new();
    for seed in 0..20 {
        let mut world = World::new(&truth);
        world.engine = Engine::new(EngineConfig { seed: [seed; 32], ..config(PeerFlags::BOTH) }, world.now());
        world.tell(Input::RecordHeld(record(&truth)));
        for _ in 0..3 {
            asks(&mut world, FROM, &to_link(sha256()));
        }
        world.run_for(200);
        assert_eq!(callees(&world), [(peer_id(2), "192.168.7.20:7411".to_owned())]);
        moments.push(world.called[0].0);
    }
    assert!(moments.iter().all(|at| *at <= 50), "{moments:?}");
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() >= 4, "{moments:?}");
}

#[test]
fn lookup_4_nobody_is_called_who_is_connected_or_banned_or_after_the_permission_went() {
    let truth = file(4 * MIB, 1);
    let holder = || {
        let mut world = World::new(&truth);
        world.tell(Input::RecordHeld(record(&truth)));
        world
    };
    let mut connected = holder();
    connected.peer(2, &truth, sha256(), FAST);
    let mut banned = holder();
    banned.peer(2, &truth, sha256(), FAST);
    banned.tell(Input::BadFrame { peer: peer_id(2), message: "garbage".into() });
    let mut withdrawn = holder();
    for world in [&mut connected, &mut banned, &mut withdrawn] {
        asks(world, FROM, &to_link(sha256()));
    }
    withdrawn.tell(Input::FlagsChanged(PeerFlags { client: true, server: false }));
    for world in [&mut connected, &mut banned, &mut withdrawn] {
        world.run_for(100);
        assert_eq!(callees(world), []);
    }
}

#[test]
fn lookup_3_who_fetches_it_calls_the_asker_unless_its_job_is_for_others() {
    for (ask, flags, is_called) in [
        (Ask::Link, PeerFlags::BOTH, true),
        (Ask::Link, PeerFlags { client: true, server: false }, false),
        (Ask::Nobody, PeerFlags::BOTH, false),
    ] {
        let mut world = seeker(PeerFlags::BOTH, JobSpec { ask, flags, ..spec(&[sha256()]) });
        world.run_for(500);
        asks(&mut world, FROM, &to_link(sha256()));
        world.run_for(100);
        assert_eq!(!world.called.is_empty(), is_called, "{ask} {flags:?}");
    }
    let mut members_only = seeking_member(Ask::Members);
    let mut held = seeker(PeerFlags::BOTH, spec(&[sha256()]));
    held.run_for(500);
    held.command(JobCommand::Suspend);
    for world in [&mut members_only, &mut held] {
        world.run_for(500);
        asks(world, FROM, &to_link(sha256()));
        world.run_for(100);
        assert_eq!(callees(world), []);
    }
}

#[test]
fn lookup_1_members_understand_what_is_meant_for_members() {
    let truth = file(4 * MIB, 1);
    for (secret, is_called) in [(7, true), (8, false)] {
        let mut world = World::new(&truth);
        let config = EngineConfig { groups: Some(membership()).into(), ..config(PeerFlags::BOTH) };
        world.engine = Engine::new(config, world.now());
        world.tell(Input::RecordHeld(record(&truth)));
        let audience = Audience::Members(EpochSecret([secret; 32]));
        asks(&mut world, FROM, &[Wanted { digest: sha256(), audience }]);
        world.run_for(100);
        assert_eq!(!world.called.is_empty(), is_called);
    }
}

#[test]
fn t7_a_flood_of_questions_leaves_64_askers_to_call_at_most() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.tell(Input::RecordHeld(record(&truth)));
    let from: SocketAddr = FROM.parse().unwrap();
    for number in 2..202 {
        let question = Question::new(&asker(number), &to_link(sha256())).unwrap();
        world.tell(Input::LinkAsked { from, question });
    }
    world.run_for(100);
    assert_eq!(world.called.len(), 64);
}

#[test]
fn lookup_5_members_who_go_leave_a_job_for_members_to_the_origin() {
    let mut world = seeking_member(Ask::Members);
    let kin = neighbour(&mut world, &wish(key(20).peer()));
    world.run_for(300);
    assert_eq!(world.model(kin).asked, 1);
    world.tell(Input::GroupsChanged(None.into()));
    world.run_for(1_000);
    assert!(world.disconnected.contains(&kin), "its session begins anew");
    world.peers.clear();
    world.peer(20, &world.truth.clone(), root_digest(&world.truth.clone()), FAST);
    world.run_for(3_000);
    assert_eq!(world.model(peer_id(20)).asked, 0);
}
