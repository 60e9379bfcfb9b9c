//! An origin that changes in the middle of a file, or fails and has mirrors: what is kept, what is asked, what is given up.

use std::time::Duration;

use super::world::*;
use crate::engine::io::*;
use crate::job::{JobSpec, JobState};

const MINUTE: Duration = Duration::from_secs(60);
const LEN: u64 = 20 * MIB;

fn says(world: &World, words: &str) -> usize {
    let decisions = world.engine.decisions(JOB).expect("known");
    decisions.iter().filter(|decision| decision.why.contains(words)).count()
}

/// A job of a file that another URL gives as well.
fn mirrored() -> JobSpec {
    let mut spec = spec(&[sha256()]);
    spec.files[0].mirrors = vec!["https://mirror.example/file".into()];
    spec
}

#[test]
fn http_11_a_retry_after_of_half_an_hour_is_waited_for() {
    let mut world = World::new(&file(MIB, 1));
    let retry_after = Some(Duration::from_secs(30 * 60));
    world.origin.fault = Some(OriginFault::new(Severity::Transient { retry_after }, "503", Some(503)));
    world.submit(spec(&[]));
    world.run_for(10 * 60 * 1_000);
    assert_eq!(world.origin.probes, 1);
}

#[test]
fn a_mirror_is_asked_at_once_after_a_final_answer_and_else_after_the_third_failure() {
    // The question to the mirror is one of them.
    for (fault, probes) in [(fatal("404 Not Found"), 2), (transient("reset", None), 4)] {
        let mut world = World::new(&file(MIB, 1));
        world.origin.fault = Some(fault);
        world.submit(mirrored());
        world.run_until(60_000, |world| says(world, "another URL of the file is asked, mirror 1") > 0);
        assert_eq!(world.origin.probes, probes);
    }
}

#[test]
fn file_7_what_was_read_from_one_mirror_is_kept_for_the_next_and_the_digest_decides() {
    let mut world = World::new(&file(LEN, 1));
    world.submit(mirrored());
    world.run_for(1_000);
    let before = world.view().bytes.origin;
    (world.origin.fault, world.origin.silent) = (Some(fatal("gone")), true);
    world.open_at_origin().into_iter().for_each(|lease| world.break_off(lease));
    world.run_until(60_000, |world| says(world, "mirror 1") > 0);
    world.origin.fault = None;
    world.origin.version = version("mirror", Some(LEN));
    world.origin_speaks();
    let (pins, resets) = (world.pins, world.resets);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!((world.pins - pins, world.resets - resets), (1, 0));
    assert!(before > 4 * MIB && world.view().bytes.origin < LEN + MIB, "{}", world.view().bytes.origin);
}

#[test]
fn http_9_another_version_begins_anew_though_it_is_as_long_and_a_digest_is_known() {
    let mut world = World::new(&file(LEN, 1));
    world.submit(spec(&[sha256()]));
    world.run_for(1_000);
    world.origin.version = version("b", Some(LEN));
    world.open_at_origin().into_iter().for_each(|lease| world.break_off(lease));
    world.run(MINUTE);
    assert_eq!((world.state(), world.resets, world.view().restarts), (JobState::Acknowledged, 2, 1));
}

#[test]
fn http_9_a_content_that_changes_for_the_sixth_time_within_an_hour_is_given_up() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(20_000);
    world.submit(spec(&[]));
    for change in 1..=6 {
        world.run_for(3 * 60 * 1_000);
        assert!(world.state() != JobState::Error, "change {change}: {}", world.view().reason);
        world.origin.version = version(&format!("v{change}"), Some(LEN));
        world.open_at_origin().into_iter().for_each(|lease| world.break_off(lease));
    }
    world.run_for(10_000);
    assert_eq!(world.state(), JobState::Error);
    assert!(world.view().reason.contains("keeps changing"), "{}", world.view().reason);
}

#[test]
fn http_9_an_origin_that_answers_now_this_way_and_now_that_way_is_given_up_too() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(20_000);
    world.submit(spec(&[]));
    world.run_for(1_000);
    for _ in 0..6 {
        // A body is of another version, and the next answer is of the first one again.
        world.origin.silent = true;
        world.origin.version = version("b", Some(LEN));
        world.open_at_origin().into_iter().for_each(|lease| world.break_off(lease));
        world.run_for(3_000);
        world.origin.version = version("a", Some(LEN));
        let asked = world.origin.leases;
        world.origin_speaks();
        world.run_for(10);
        assert_eq!(world.origin.leases, asked, "not at once");
        world.run_for(60_000);
        if world.state() == JobState::Error {
            break;
        }
    }
    assert!(world.view().reason.contains("keeps changing"), "{}", world.view().reason);
    assert_eq!(world.resets, 1, "nothing was thrown away for it");
}

#[test]
fn http_15_a_weak_version_that_breaks_off_is_continued_where_a_digest_decides() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.version.etag = None;
    world.origin.cuts_after = Some(6 * MIB);
    world.submit(spec(&[sha256()]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.resets, world.view().restarts), (JobState::Acknowledged, 1, 0));
}

#[test]
fn trust_2_nothing_more_is_taken_from_an_origin_that_contradicts_the_digest() {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.serves = altered(LEN, 1, &[0]);
    world.origin.pace = Pace::steady(1_000_000);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(1_000);
    world.peer(2, &truth, root_digest(&truth), 4_000_000);
    world.run_for(500);
    let before = world.view().bytes.origin;
    assert!(before > 0);
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.bytes.origin), (JobState::Acknowledged, before), "{}", view.reason);
}
