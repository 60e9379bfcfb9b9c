//! Jobs are written down and told of: when, and what happens when that fails.

use std::time::Duration;

use super::desk::*;
use crate::engine::event::{Event, Failure};
use crate::engine::io::*;
use crate::job::{Code, JobSpec, JobState};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_job_that_cannot_be_written_down_is_refused_with_the_reason() {
    let mut desk = Desk::new();
    desk.failing_saves = 1;
    desk.submit(job(1), wish(&["a"]));
    let refusals: Vec<_> = desk
        .events
        .iter()
        .filter_map(|event| match event {
            Event::JobRefused { job, reason, failure, .. } => Some((*job, reason.clone(), *failure)),
            _ => None,
        })
        .collect();
    assert!(
        matches!(refusals.as_slice(), [(id, reason, Failure::Transient)] if *id == job(1) && reason == "no space"),
        "{refusals:?}"
    );
    assert!(desk.engine.job_view(job(1)).is_none() && desk.stored.is_empty());
    desk.run_for(SECOND);
    assert_eq!(desk.probes.len(), 0, "nothing is fetched for it");
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(4 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred, "it may be wished for again");
}

#[test]
fn a_job_that_is_on_its_way_goes_on_when_it_cannot_be_written_down_and_says_so() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(Duration::from_millis(100));
    desk.failing_saves = 1;
    desk.command(job(1), JobCommand::Suspend);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    let reason = desk.view(job(1)).reason;
    assert!(reason.contains("not written down: no space"), "{reason}");
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(6 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

/// A job that is completed on a disk that fails so many saves from then on: how often it is written.
fn saves_of_an_end(failing: usize) -> (usize, JobState) {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(4 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    let before = desk.saves;
    desk.failing_saves = failing;
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    (desk.saves - before, desk.state(job(1)))
}

#[test]
fn the_end_of_a_job_is_written_again_three_times_and_then_it_is_over_all_the_same() {
    // The command is written down first, and that is not repeated: the end follows.
    for (failing, saves) in [(0, 2), (1, 2), (2, 3), (4, 5), (50, 5)] {
        assert_eq!(saves_of_an_end(failing), (saves, JobState::Acknowledged), "{failing} fail");
    }
}

#[test]
fn what_a_restart_makes_the_same_of_is_not_written_down() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(100_000));
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(300));
    assert_eq!((desk.state(job(1)), desk.saves), (JobState::Transferring, 1), "queued, as far as a restart");
}

#[test]
fn job_24_a_job_that_would_wait_longer_than_it_may_be_without_progress_is_not_tried_again() {
    for (delay, state) in [(60, JobState::TransientError), (61, JobState::Error)] {
        let mut desk = Desk::new();
        desk.manners.insert(url("a"), Manner::Away);
        desk.submit(job(1), JobSpec { retry_delay_s: delay, no_progress_s: 60, ..wish(&["a"]) });
        desk.run_for(30 * SECOND);
        assert_eq!(desk.state(job(1)), state, "a delay of {delay} s");
    }
}

#[test]
fn watchers_hear_of_progress_ten_times_a_second_and_of_states_at_once() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(100_000));
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(SECOND);
    desk.events.clear();
    desk.run_for(2 * SECOND);
    let told = desk.events.iter().filter(|event| matches!(event, Event::JobChanged(_))).count();
    assert!((10..=21).contains(&told), "{told} in two seconds");
    desk.events.clear();
    desk.command(job(1), JobCommand::Suspend);
    let state = desk.events.iter().find_map(|event| match event {
        Event::JobChanged(view) => Some(view.state),
        _ => None,
    });
    assert_eq!(state, Some(JobState::Suspended));
}

#[test]
fn job_13_a_whole_completion_has_no_code_and_an_early_one_says_that_it_is_partial() {
    for (seconds, code) in [(6, None), (1, Some(Code::PartialComplete))] {
        let mut desk = Desk::new();
        desk.manners.insert(url("b"), Manner::Gives(300_000));
        desk.submit(job(1), wish(&["a", "b"]));
        desk.run_for(seconds * SECOND);
        desk.command(job(1), JobCommand::Complete);
        desk.run_for(SECOND);
        let view = desk.view(job(1));
        assert_eq!((view.state, view.outcome), (JobState::Acknowledged, code), "after {seconds} s");
    }
}

#[test]
fn who_gave_the_bytes_of_a_file_that_is_set_down_is_remembered() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(300_000));
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(SECOND);
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, desk.open.len()), (JobState::Suspended, 0));
    let shares: Vec<_> = view.sources.iter().map(|share| (share.source.as_str(), share.bytes)).collect();
    assert!(view.bytes.origin > 0);
    assert_eq!(shares, [("origin", view.bytes.origin)]);
}
