//! Parts of files that somebody asks for, in virtual time (RNG-10..16, JOB-T31).

use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use super::desk::{self, Desk, Manner, job, url, wish};
use super::world::*;
use crate::engine::event::{Event, FilePhase};
use crate::engine::io::*;
use crate::job::{Code, JobChange, JobSpec, JobState, NotifyFlags, RemoteRange};

const PIECE: u64 = 65_536;
const LEN: u64 = 20 * MIB + 7;
const SECOND: Duration = Duration::from_secs(1);

fn range(offset: u64, len: u64) -> RemoteRange {
    RemoteRange { offset, len: NonZeroU64::new(len) }
}

fn request(ranges: &[(u64, u64)]) -> JobCommand {
    let ranges = ranges.iter().map(|(offset, len)| range(*offset, *len)).collect();
    JobCommand::RequestRanges { file: 0, ranges }
}

fn on_demand(digests: &[peer_proto::digest::Digest]) -> JobSpec {
    JobSpec { on_demand: true, auto_complete: false, ..spec(digests) }
}

/// Runs until the job stands still.
fn rest(world: &mut World) {
    world.run_until(world.ms + 60_000, |world| {
        matches!(world.state(), JobState::Suspended | JobState::Transferred | JobState::Error)
    });
}

fn filled(world: &World) -> Vec<RemoteRange> {
    world.engine.file_ranges(JOB, 0).expect("known").filled.expect("known")
}

fn spans(pieces: &[Range<u64>]) -> Vec<(u64, Option<u64>)> {
    pieces.iter().map(|pieces| (pieces.start * PIECE, Some(pieces.end * PIECE))).collect()
}

fn refusal(world: &World) -> Option<Code> {
    world.events.iter().rev().find_map(|event| match event {
        Event::CommandRefused { code, .. } => Some(*code),
        _ => None,
    })
}

#[test]
fn rng_10_and_rng_12_what_is_asked_for_is_fetched_in_that_order_and_no_byte_twice() {
    let mut world = World::new(&file(LEN, 1));
    world.submit(on_demand(&[]));
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Suspended, 0));
    assert_eq!((world.view().len, filled(&world)), (Some(LEN), Vec::new()));
    world.command(request(&[(10 * MIB + 5, 1), (2 * MIB, MIB), (2 * MIB + 100, MIB)]));
    rest(&mut world);
    assert_eq!(world.origin_spans, spans(&[160..161, 32..49]));
    assert_eq!(filled(&world), [range(32 * PIECE, 17 * PIECE), range(160 * PIECE, PIECE)]);
    // Once more, and a little on either side.
    world.command(request(&[(2 * MIB - 1, MIB + 2 * PIECE)]));
    rest(&mut world);
    assert_eq!(world.origin_spans[2..], spans(&[31..32, 49..50]));
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Suspended, 20 * PIECE));
    world.command(request(&[(0, 0)]));
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Transferred, LEN));
    assert_eq!(filled(&world), [range(0, LEN)]);
    assert_eq!(world.resets, 1);
}

#[test]
fn file_28_a_job_that_rests_says_what_it_needs_once_all_of_it_is_wanted() {
    let mut world = World::new(&file(LEN, 1));
    world.submit(on_demand(&[]));
    rest(&mut world);
    let change = JobChange { on_demand: Some(false), ..JobChange::default() };
    world.command(JobCommand::Change(Box::new(change)));
    assert_eq!(world.state(), JobState::Suspended);
    assert_eq!(world.view().reason, "on-demand mode is off: `nearbits job resume` fetches the rest");
    world.command(JobCommand::Resume);
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Transferred, LEN));
}

#[test]
fn rng_14_and_job_t31_a_job_rests_when_all_is_there_and_its_owners_word_counts_more() {
    let mut world = World::new(&file(LEN, 1));
    world.submit(on_demand(&[]));
    rest(&mut world);
    assert!(world.view().reason.contains("file request"), "{}", world.view().reason);
    world.command(request(&[(0, 1)]));
    assert_ne!(world.state(), JobState::Suspended);
    rest(&mut world);
    assert_eq!((world.state(), world.view().error), (JobState::Suspended, None));
    // Resume alone finds nothing to do.
    world.command(JobCommand::Resume);
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Suspended, PIECE));
    world.command(JobCommand::Suspend);
    world.command(request(&[(MIB, 1)]));
    world.run_for(2_000);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Suspended, PIECE));
    world.command(JobCommand::Resume);
    rest(&mut world);
    assert_eq!(world.view().bytes.origin, 2 * PIECE);
    // Out of the mode, the rest of the file is wanted.
    let change = JobChange { on_demand: Some(false), ..JobChange::default() };
    world.command(JobCommand::Change(Box::new(change)));
    world.command(JobCommand::Resume);
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Transferred, LEN));
}

#[test]
fn rng_11_what_is_missing_from_the_position_on_comes_first() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(2_000_000);
    world.submit(JobSpec { auto_complete: false, ..spec(&[]) });
    world.run_for(1_000);
    world.command(JobCommand::SetPosition { file: 0, offset: 15 * MIB + 3 });
    world.run_for(1_500);
    let there = filled(&world);
    assert_eq!(there.len(), 2, "{there:?}");
    assert!(there[0].len.is_some_and(|len| len.get() < 3 * MIB), "{there:?}");
    assert_eq!(there[1].offset, 15 * MIB, "{there:?}");
    rest(&mut world);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Transferred, LEN));
    world.command(JobCommand::SetPosition { file: 0, offset: LEN });
    assert_eq!(refusal(&world), Some(Code::InvalidRange));
}

#[test]
fn rng_13_what_cannot_be_had_is_refused_or_ends_the_job() {
    let mut world = World::new(&file(LEN, 1));
    // Nothing is known of the file yet.
    world.origin.silent = true;
    world.submit(on_demand(&[]));
    world.command(request(&[(LEN - 1, 2)]));
    assert_eq!(refusal(&world), None);
    world.origin_speaks();
    rest(&mut world);
    let error = world.view().error.expect("it failed");
    assert_eq!((world.state(), error.code), (JobState::Error, Code::InvalidRange), "{}", error.message);
    for outside in [request(&[(0, 1), (LEN, 1)]), request(&[(LEN - 1, 2)]), request(&[(LEN, 0)])] {
        let before = world.events.len();
        world.command(outside);
        assert!(matches!(
            world.events[before..],
            [Event::CommandRefused { code: Code::InvalidRange, .. }, ..]
        ));
    }
    let without = JobCommand::RequestRanges { file: 0, ranges: Vec::new() };
    for (command, code) in [(without, Code::InvalidArgument), (request(&[(u64::MAX, 2)]), Code::InvalidRange)]
    {
        world.command(command);
        assert_eq!(refusal(&world), Some(code));
    }
    world.command(JobCommand::RequestRanges { file: 1, ranges: vec![range(0, 1)] });
    assert_eq!(refusal(&world), Some(Code::FileNotAvailable));
}

#[test]
fn rng_13_an_origin_without_ranges_or_that_loses_them_has_no_parts() {
    for loses in [false, true] {
        let mut world = World::new(&file(LEN, 1));
        world.origin.ranges = loses;
        world.origin.pace = Pace::steady(1_000_000);
        world.submit(on_demand(&[]));
        rest(&mut world);
        if loses {
            world.command(request(&[(5 * MIB, MIB)]));
            world.run_for(50);
            world.origin.ranges = false;
            world.origin.cuts_after = Some(2 * PIECE);
            rest(&mut world);
        }
        let error = world.view().error.expect("it failed");
        assert_eq!((world.state(), error.code), (JobState::Error, Code::RandomAccessNotSupported));
    }
    let mut world = World::new(&file(LEN, 1));
    world.origin.ranges = false;
    world.submit(spec(&[]));
    world.run_for(200);
    world.command(request(&[(5 * MIB, 1)]));
    assert_eq!(refusal(&world), Some(Code::RandomAccessNotSupported));
    assert_eq!(world.state(), JobState::Transferring);
}

#[test]
fn rng_15_on_an_ordinary_job_a_request_comes_before_the_rest() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(1_000_000);
    world.submit(spec(&[]));
    world.run_for(2_000);
    world.command(request(&[(19 * MIB, PIECE), (10 * MIB, 3 * PIECE)]));
    world.run_for(1_200);
    let there = filled(&world);
    let has = |offset: u64, len: u64| {
        there.iter().any(|range| range.offset == offset && range.len.is_some_and(|there| there.get() >= len))
    };
    assert!(has(19 * MIB, PIECE) && has(10 * MIB, 3 * PIECE), "{there:?}");
    assert_eq!(world.origin_spans[1..3], spans(&[304..305, 160..163]));
    world.run(60 * SECOND);
    assert_eq!((world.state(), world.view().bytes.origin), (JobState::Acknowledged, LEN));
}

#[test]
fn rng_15_peers_give_what_was_asked_for_first_too() {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(0);
    world.peer(2, &truth, root_digest(&truth), 1_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(4_000);
    world.command(request(&[(19 * MIB, PIECE)]));
    world.run_for(4_000);
    assert!(world.disk.contains_key(&304), "{:?}", world.origin_spans);
    assert!(world.view().stored < LEN / 2);
}

#[test]
fn rng_10_on_demand_peers_give_only_what_is_asked_for_and_each_piece_proved() {
    let truth = file(LEN, 1);
    for digest in [root_digest(&truth), sha256()] {
        let is_root = digest == root_digest(&truth);
        let mut world = World::new(&truth);
        world.origin.pace = Pace::steady(1_000_000);
        world.peer(2, &truth, digest.clone(), 50_000_000);
        world.submit(on_demand(&[digest]));
        world.command(request(&[(10 * MIB, MIB)]));
        rest(&mut world);
        let view = world.view();
        assert_eq!((view.state, view.stored), (JobState::Suspended, MIB), "{}", view.reason);
        // A SHA-256 of the whole proves no part of it.
        let from_peers = if is_root { MIB } else { 0 };
        assert_eq!((view.bytes.peers, view.bytes.origin), (from_peers, MIB - from_peers), "{is_root}");
    }
}

#[test]
fn rng_16_events_list_what_came_since_the_one_before() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(2_000_000);
    let notify = NotifyFlags { file_ranges_transferred: true, ..NotifyFlags::default() };
    world.submit(JobSpec { notify, ..on_demand(&[]) });
    world.command(request(&[(10 * MIB, MIB), (0, 1)]));
    rest(&mut world);
    let told = |world: &World| -> Vec<RemoteRange> {
        let ranges = world.events.iter().filter_map(|event| match event {
            Event::FileRanges { job: JOB, file: 0, ranges } => Some(ranges.clone()),
            _ => None,
        });
        ranges.flatten().collect()
    };
    let first = told(&world);
    assert!(first.len() > 3, "in steps: {first:?}");
    let sum: u64 = first.iter().filter_map(|range| range.len).map(u64::from).sum();
    assert_eq!(sum, MIB + PIECE, "each byte once: {first:?}");
    world.command(request(&[(0, 2 * PIECE)]));
    rest(&mut world);
    assert_eq!(told(&world)[first.len()..], [range(PIECE, PIECE)], "what was there is no news");
}

#[test]
fn rng_10_requests_outlive_the_node() {
    let mut desk = Desk::new();
    desk.manners.insert(url("f"), Manner::Gives(200_000));
    desk.submit(job(1), JobSpec { on_demand: true, ..wish(&["f", "g"]) });
    desk.run_for(SECOND);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    desk.command(job(1), request(&[(8 * PIECE, 4 * PIECE)]));
    desk.command(job(1), JobCommand::SetPosition { file: 0, offset: 9 * PIECE });
    desk.run_for(SECOND / 2);
    assert_eq!(desk.state(job(1)), JobState::Transferring);
    let mut desk = desk.restarted();
    desk.run_for(3 * SECOND);
    let of_file = |desk: &Desk, file| desk.engine.file_ranges(job(1), file).expect("known");
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    let ranges = of_file(&desk, 0);
    assert_eq!((ranges.filled, ranges.position), (Some(vec![range(8 * PIECE, 4 * PIECE)]), Some(9 * PIECE)));
    assert_eq!((of_file(&desk, 1).filled, of_file(&desk, 1).len), (Some(Vec::new()), Some(desk::LEN)));
    // It rests over a restart too, knows what it has, and goes on when more is asked for.
    let mut desk = desk.restarted();
    assert_eq!(of_file(&desk, 0).filled, Some(vec![range(8 * PIECE, 4 * PIECE)]));
    desk.run_for(SECOND);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    desk.command(job(1), JobCommand::RequestRanges { file: 1, ranges: vec![range(0, 0)] });
    desk.run_for(3 * SECOND);
    assert_eq!(desk.files(job(1))[1].phase, FilePhase::Whole);
    assert_eq!(desk.state(job(1)), JobState::Suspended, "the other file is not whole");
    desk.command(job(1), request(&[(0, 0)]));
    desk.run_for(6 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    assert!(desk.given[&url("f")] <= desk::LEN + 2 * PIECE, "{} bytes", desk.given[&url("f")]);
}

#[test]
fn rng_10_more_files_than_are_open_at_once_all_come_to_rest() {
    let mut desk = Desk::new();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    desk.submit(job(1), JobSpec { on_demand: true, ..wish(&names) });
    desk.run_for(2 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    assert!(desk.files(job(1)).iter().all(|file| file.len == Some(desk::LEN)));
    for file in 0..7 {
        desk.command(job(1), JobCommand::RequestRanges { file, ranges: vec![range(PIECE, 1)] });
    }
    desk.run_for(2 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    assert!(desk.files(job(1)).iter().all(|file| file.stored == PIECE));
}

#[test]
fn file_28_on_demand_mode_and_dynamic_content_exclude_each_other() {
    let spec = JobSpec { dynamic: true, ..on_demand(&[]) };
    let mut world = World::new(&file(LEN, 1));
    world.submit(spec);
    let refused = matches!(
        world.events.last(),
        Some(Event::JobRefused { code: Code::UnsupportedJobConfiguration, .. })
    );
    assert!(refused, "{:?}", world.events);
}

#[test]
fn rng_11_requests_that_touch_become_one_where_there_would_be_too_many_and_more_are_refused() {
    let policy = crate::job::Policy { ranges_per_file: Some(2), ..crate::job::Policy::default() };
    let mut desk = Desk::with(|config| config.policy = policy.over(&crate::job::Policy::default()));
    desk.submit(job(1), JobSpec { on_demand: true, ..wish(&["a"]) });
    desk.run_for(SECOND);
    let kept = |desk: &Desk| desk.engine.file_ranges(job(1), 0).expect("known").requested;
    let mut ask = |ranges: &[(u64, u64)]| {
        desk.events.clear();
        desk.command(job(1), request(ranges));
        (desk.refusal().map(|(code, _)| code), kept(&desk))
    };
    assert_eq!(ask(&[(0, 10), (10, 10)]), (None, vec![range(0, 10), range(10, 10)]));
    assert_eq!(ask(&[(500, 10)]), (None, vec![range(0, 20), range(500, 10)]));
    let (refused, still) = ask(&[(900, 10)]);
    assert_eq!((refused, still), (Some(Code::TooManyRangesInFile), vec![range(0, 20), range(500, 10)]));
}
