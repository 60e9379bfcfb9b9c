//! Jobs and time: retries, timeouts, what is counted and what clocks say.

use std::time::Duration;

use super::desk::{Desk, Manner, job, url, wish};
use super::models::ME;
use crate::engine::io::JobCommand;
use crate::job::{Code, JobChange, JobSpec, JobState};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn job_t6_and_job_t12_and_lim_1_and_job_27_after_two_quick_tries_a_job_waits_for_its_retry_delay() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Away);
    desk.submit(job(1), JobSpec { retry_delay_s: 600, ..wish(&["a"]) });
    desk.run_for(10 * SECOND);
    assert_eq!((desk.state(job(1)), desk.probes.len()), (JobState::TransientError, 3));
    assert_eq!(desk.view(job(1)).reason, "cannot connect");
    let source = desk.view(job(1)).error.and_then(|error| error.source);
    assert_eq!(source.as_deref(), Some("http://o.test"), "never a path");
    desk.skip(400 * SECOND);
    assert_eq!(desk.probes.len(), 3, "the delay is at least three quarters of what was said");
    desk.skip(200 * SECOND);
    assert_eq!(desk.probes.len(), 4);
    desk.manners.clear();
    desk.skip(600 * SECOND);
    desk.run_for(5 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn job_t15_resume_tries_at_once() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Away);
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(10 * SECOND);
    let probes = desk.probes.len();
    desk.manners.clear();
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.probes.len()), (JobState::Transferred, probes + 1));
}

#[test]
fn job_t13_and_job_t18_and_job_26_and_job_31_a_network_that_comes_up_ends_every_wait() {
    use crate::engine::io::Input;
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(300));
    desk.tell(Input::NetworkChanged { up: false });
    let view = desk.view(job(1));
    assert_eq!((view.state, view.error_count), (JobState::TransientError, 0), "JOB-31: not counted");
    assert_eq!(view.error.map(|error| error.code), Some(Code::NetworkDisconnected));
    desk.skip(2_000 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::TransientError, "JOB-26: not retried on the timer");
    desk.tell(Input::NetworkChanged { up: true });
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn job_t14_and_lim_2_no_progress_for_long_enough_is_an_error() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Away);
    desk.submit(job(1), JobSpec { no_progress_s: 1_000, retry_delay_s: 300, ..wish(&["a"]) });
    desk.run_for(10 * SECOND);
    desk.skip(900 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::TransientError);
    desk.skip(200 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.error.map(|error| error.code)), (JobState::Error, Some(Code::NoProgress)));
    assert!(view.reason.contains("cannot connect"), "{}", view.reason);
}

#[test]
fn job_24_and_job_25_without_a_no_progress_timeout_the_first_error_is_final() {
    for (no_progress_s, retry_delay_s) in [(0, 5), (10, 600)] {
        let mut desk = Desk::new();
        desk.manners.insert(url("a"), Manner::Away);
        desk.submit(job(1), JobSpec { no_progress_s, retry_delay_s, ..wish(&["a"]) });
        desk.run_for(SECOND);
        assert_eq!((desk.state(job(1)), desk.probes.len()), (JobState::Error, 1));
    }
}

#[test]
fn job_t29_and_lim_3_time_at_work_is_bounded_and_resume_gives_it_anew() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(100_000));
    desk.submit(job(1), JobSpec { max_time_s: Some(4), ..wish(&["a"]) });
    desk.run_for(2 * SECOND);
    desk.command(job(1), JobCommand::Suspend);
    desk.skip(100 * SECOND);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferring, "a pause does not count, and Resume begins anew");
    desk.run_for(2 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.error_count), (JobState::Error, 1));
    assert_eq!(view.error.map(|error| error.code), Some(Code::MaxDownloadTimeout));
}

#[test]
fn job_t27_and_job_34_and_lim_4_a_job_that_nobody_touches_for_ninety_days_is_cancelled() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    desk.skip(89 * day);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    desk.command(
        job(1),
        JobCommand::Change(Box::new(JobChange {
            description: Some("touched".into()),
            ..JobChange::default()
        })),
    );
    desk.skip(89 * day);
    assert_eq!(desk.state(job(1)), JobState::Transferred, "JOB-34: a property change counts");
    desk.skip(2 * day);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.removed.len()), (JobState::Cancelled, 1));
}

#[test]
fn d47_t28_and_lim_25_what_the_wall_clock_does_plays_no_role() {
    for leap_days in [-400, 400] {
        let mut desk = Desk::new();
        desk.manners.insert(url("b"), Manner::Away);
        desk.submit(job(1), wish(&["a"]));
        desk.submit(job(2), wish(&["b"]));
        desk.run_for(5 * SECOND);
        desk.wall_ms += leap_days * 24 * 60 * 60 * 1_000;
        desk.run_for(5 * SECOND);
        let mut desk = desk.restarted();
        desk.run_for(5 * SECOND);
        assert_eq!(desk.state(job(1)), JobState::Transferred);
        assert_eq!(desk.state(job(2)), JobState::TransientError);
    }
}

#[test]
fn job_22_and_job_30_errors_are_counted_when_they_end_a_transfer_and_never_go_down() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { retry_delay_s: 5, ..wish(&["a"]) });
    desk.run_for(Duration::from_millis(400));
    desk.manners.insert(url("a"), Manner::Away);
    desk.run_for(10 * SECOND);
    let counted = desk.view(job(1)).error_count;
    assert!(counted >= 1 && desk.state(job(1)) == JobState::TransientError, "{counted}");
    desk.run_for(20 * SECOND);
    assert!(desk.view(job(1)).error_count > counted, "again on every failed retry");
    desk.manners.clear();
    // The least delay is the job's; a source that goes on failing is left alone for up to 25 s.
    desk.run_for(30 * SECOND);
    let view = desk.view(job(1));
    assert_eq!(view.state, JobState::Transferred, "{}", view.reason);
    assert!(view.error_count > counted);
    let error = view.error.expect("kept for the life of the job");
    assert!(error.count >= 1 && error.first_unix_ms <= error.last_unix_ms);
}

#[test]
fn job_28_progress_begins_the_no_progress_time_anew() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { no_progress_s: 100, retry_delay_s: 20, ..wish(&["a"]) });
    for _ in 0..3 {
        desk.manners.insert(url("a"), Manner::Away);
        desk.run_for(5 * SECOND);
        desk.run_for(60 * SECOND);
        assert_eq!(desk.state(job(1)), JobState::TransientError);
        desk.manners.insert(url("a"), Manner::Gives(70_000));
        desk.command(job(1), JobCommand::Resume);
        desk.run_for(Duration::from_millis(2_500));
        assert_eq!(desk.state(job(1)), JobState::Transferring);
    }
}

#[test]
fn job_35_times_say_when_it_was_made_changed_and_whole() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    let made = desk.view(job(1)).times;
    assert_eq!((made.created_unix_ms, made.transferred_unix_ms), (made.modified_unix_ms, None));
    desk.run_for(SECOND);
    desk.command(
        job(1),
        JobCommand::Change(Box::new(JobChange { name: Some("n".into()), ..JobChange::default() })),
    );
    let changed = desk.view(job(1)).times;
    assert_eq!(changed.modified_unix_ms - made.modified_unix_ms, 1_000);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    let whole = desk.view(job(1)).times;
    assert!(whole.transferred_unix_ms.is_some_and(|at| at > changed.modified_unix_ms));
    assert_eq!(whole.created_unix_ms, made.created_unix_ms);
}

#[test]
fn job_t12_a_job_is_tried_again_though_none_of_its_files_is_on_its_way() {
    // More jobs wait than may keep their files open; and one whose URL is changed while it waits.
    let mut desk = Desk::new();
    for number in 1..=40 {
        let name = format!("f{number}");
        desk.manners.insert(url(&name), Manner::Away);
        desk.submit(job(number), JobSpec { retry_delay_s: 60, ..wish(&[&name]) });
    }
    desk.run_for(30 * SECOND);
    assert!((1..=40).all(|number| desk.state(job(number)) == JobState::TransientError));
    let change = JobChange { url: Some((0, url("other"))), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred, "what was changed is tried at once");
    desk.manners.clear();
    desk.run_for(180 * SECOND);
    let whole = (1..=40).filter(|number| desk.state(job(*number)) == JobState::Transferred).count();
    assert_eq!(whole, 40);
}

#[test]
fn job_t30_and_job_t29_a_queued_turn_is_a_turn_again_at_once() {
    use crate::job::{PeerFlags, Priority};
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(100_000));
    desk.submit(job(1), JobSpec { priority: Priority::Foreground, max_time_s: Some(4), ..wish(&["a"]) });
    desk.run_for(SECOND);
    let change = JobChange { flags: Some(PeerFlags::BOTH), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    desk.run_for(SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferring);
    desk.run_for(4 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Error, "its time at work counts");
}
