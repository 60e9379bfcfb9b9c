//! What an engine keeps of jobs that are over, how often jobs are written down, what is left of them.
//!
//! Knows: numbers of files, jobs and saves; secrets of header lines. Does not know: the disk.

use std::time::Duration;

use super::desk::{Desk, Manner, job, url, wish};
use super::models::sha256;
use crate::engine::ENDED_FILES_MAX;
use crate::engine::io::{FilePhase, Input, JobCommand};
use crate::engine::over::{FRESH_MAX, LISTED_MAX};
use crate::job::{
    Caller, Code, Header, Headers, JobChange, JobSpec, JobState, Limits, Moment, Policy, Redirects,
};

const SECOND: Duration = Duration::from_secs(1);
const ROOT: Caller = Caller { uid: 0, is_administrator: true };
const OTHER: Caller = Caller { uid: 1_001, is_administrator: false };

fn many(count: usize, start: &str) -> JobSpec {
    let names: Vec<String> = (0..count).map(|file| format!("{start}{file}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    JobSpec { auto_complete: true, ..wish(&names) }
}

#[test]
fn job_10_of_jobs_that_are_over_1024_are_listed_the_last_64_with_decisions_and_256_of_their_files() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 16);
    desk.submit_as(job(255), many(ENDED_FILES_MAX + 30, "f"), ROOT, true);
    desk.run_for(40 * SECOND);
    assert_eq!(desk.state(job(255)), JobState::Acknowledged);
    assert_eq!((desk.engine.files.len(), desk.engine.ended_files.len()), (ENDED_FILES_MAX, ENDED_FILES_MAX));
    let cancel = |desk: &mut Desk, number: usize| {
        let mut id = job(1);
        id.0[..8].copy_from_slice(&u64::try_from(number).expect("few").to_be_bytes());
        desk.submit_as(id, many(1, &format!("j{number}-")), ROOT, true);
        desk.command_as(id, JobCommand::Cancel, ROOT);
        desk.run_for(Duration::from_millis(20));
    };
    assert!(!desk.engine.decisions(job(255)).expect("known").is_empty());
    (0..FRESH_MAX).for_each(|number| cancel(&mut desk, number));
    let view = desk.view(job(255));
    assert_eq!((view.state, view.files_transferred), (JobState::Acknowledged, ENDED_FILES_MAX + 30));
    assert!(desk.engine.decisions(job(255)).expect("known").is_empty(), "how it came there is not kept");
    assert!(desk.engine.files.is_empty() && desk.engine.jobs.len() == FRESH_MAX, "nor what it had open");
    desk.command_as(job(255), JobCommand::Resume, ROOT);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::InvalidState));
    (FRESH_MAX..LISTED_MAX).for_each(|number| cancel(&mut desk, number));
    assert_eq!(desk.engine.job_views().len(), LISTED_MAX);
    assert!(desk.engine.job_view(job(255)).is_none() && desk.forgotten.contains(&job(255)));
}

#[test]
fn job_10_jobs_of_many_files_are_listed_no_longer_than_there_is_room() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 16);
    for number in 0..70 {
        let files = if number < 6 { 700 } else { 1 };
        desk.submit_as(job(number), many(files, &format!("j{number}-")), ROOT, true);
        desk.command_as(job(number), JobCommand::Cancel, ROOT);
        desk.run_for(2 * SECOND);
    }
    assert_eq!(desk.engine.job_views().len(), FRESH_MAX + 5, "4 096 files beside the last 64 jobs");
}

#[test]
fn job_10_a_job_that_is_over_is_forgotten_when_its_owner_says_so() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a"]) });
    desk.command(job(1), JobCommand::Forget);
    let (code, reason) = desk.refusal().expect("it is on its way");
    assert!(code == Code::InvalidState && reason.contains("complete or cancel it first"), "{reason}");
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Acknowledged);
    desk.events.clear();
    desk.command_as(job(1), JobCommand::Forget, OTHER);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::AccessDenied));
    desk.events.clear();
    desk.command(job(1), JobCommand::Forget);
    assert_eq!((desk.refusal(), desk.engine.job_view(job(1))), (None, None));
    assert!(desk.stored.is_empty() && desk.engine.job_views().is_empty(), "nor is it found after a restart");
    desk.command(job(1), JobCommand::Forget);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::NotFound));
}

#[test]
fn file_15_a_reported_redirect_becomes_the_files_url_but_header_lines_stay_with_their_origin() {
    let secret = || Headers(vec![Header { name: "Authorization".into(), value: "Bearer x".into() }]);
    let (here, there) = ("http://o.test/new", "http://other.test/new");
    for (headers, redirects, to, wanted) in [
        (Headers::default(), Redirects::Report, there, there.to_owned()),
        (Headers::default(), Redirects::Follow, there, url("a")),
        (secret(), Redirects::Report, here, here.to_owned()),
        (secret(), Redirects::Report, there, url("a")),
    ] {
        let mut desk = Desk::new();
        desk.redirects.insert(url("a"), to.to_owned());
        desk.submit(job(1), JobSpec { headers, redirects, ..wish(&["a"]) });
        desk.run_for(3 * SECOND);
        let spec = desk.engine.stored_job(job(1)).expect("known").spec;
        assert_eq!((desk.state(job(1)), spec.files[0].url.clone()), (JobState::Transferred, wanted));
        // FILE-15: a prefix that the URL does not have any more is found nowhere.
        let prefix = ("http://o.test/a".to_owned(), "http://c.test/a".to_owned());
        let change = JobChange { replace_prefix: Some(prefix), ..JobChange::default() };
        let moment = Moment { has_run: true, is_over: false, is_owner: true };
        let after =
            spec.apply(&change, &moment, &Limits::default()).expect("it is taken").files[0].url.clone();
        assert_eq!(after == spec.files[0].url, spec.files[0].url != url("a"), "{after}");
    }
}

#[test]
fn many_changes_in_a_row_are_one_save_and_a_command_does_not_wait_for_it() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 2);
    desk.submit_as(job(1), JobSpec { auto_complete: false, ..many(8, "f") }, ROOT, true);
    desk.slow_saves = true;
    let before = desk.saves;
    desk.run_for(4 * SECOND);
    assert!(desk.view(job(1)).files_transferred >= 4, "much happened");
    assert_eq!(desk.saves - before, 1, "one copy is on its way to the disk, the next waits");
    // Somebody waits for this one: what is said to be done is on the disk by then.
    desk.command_as(job(1), JobCommand::Suspend, ROOT);
    assert_eq!((desk.saves - before, desk.stored[&job(1)].state), (2, JobState::Suspended));
    desk.save_now();
    desk.run_for(SECOND);
    desk.save_now();
    let kept = &desk.stored[&job(1)];
    let whole = kept.files.iter().filter(|file| file.phase == FilePhase::Whole).count();
    assert_eq!(whole, desk.view(job(1)).files_transferred, "and the rest is written down after it");
}

#[test]
fn file_19_header_blocks_are_kept_no_longer_than_their_files_wait() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(4 * SECOND);
    assert!(desk.files(job(1)).iter().all(|file| file.headers.len() == 1));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert!(desk.files(job(1)).iter().all(|file| file.headers.is_empty()), "64 jobs of 200 files have none");
}

#[test]
fn job_15_what_could_not_be_removed_is_tried_again_at_the_next_start() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(300));
    desk.stuck.insert("/out/a".into());
    desk.command(job(1), JobCommand::Cancel);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.removed.len()), (JobState::Cancelled, 0));
    assert!(desk.view(job(1)).reason.contains("still on the disk"), "{}", desk.view(job(1)).reason);
    assert_eq!(desk.stored[&job(1)].state, JobState::Cancelled, "it stays written down");
    let mut desk = desk.restarted();
    desk.run_for(SECOND);
    assert_eq!((desk.removed.len(), desk.stored.len()), (1, 0), "nothing is left of it");
}

#[test]
fn job_15_success_has_a_code_of_its_own_when_something_was_left_over() {
    for command in [JobCommand::Complete, JobCommand::Cancel] {
        let mut desk = Desk::new();
        desk.manners.insert(url("b"), Manner::Missing);
        desk.submit(job(1), wish(&["a", "b"]));
        desk.run_for(4 * SECOND);
        desk.stuck.insert("/out/b".into());
        desk.command(job(1), command.clone());
        desk.run_for(SECOND);
        let view = desk.view(job(1));
        assert!(view.state.is_final(), "{command:?}: {:?}", view.state);
        assert_eq!(view.outcome, Some(Code::UnableToDeleteFiles), "{command:?}");
        assert!(view.reason.contains("the part of /out/b cannot be removed"), "{}", view.reason);
    }
}

#[test]
fn job_30_a_failure_that_a_resumed_job_meets_is_a_new_one() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Away);
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(20 * SECOND);
    let before = desk.view(job(1));
    assert_eq!(before.state, JobState::TransientError);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(Duration::from_millis(200));
    let after = desk.view(job(1));
    assert_eq!((after.state, after.error_count), (JobState::TransientError, before.error_count + 1));
}

#[test]
fn file_16_resume_begins_with_the_files_own_url_again() {
    let mut desk = Desk::new();
    for name in ["a", "m1", "m2"] {
        desk.manners.insert(url(name), Manner::Away);
    }
    let mut spec = wish(&["a"]);
    spec.files[0].mirrors = vec![url("m1"), url("m2")];
    desk.submit(job(1), spec);
    desk.run_for(60 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::TransientError);
    assert_eq!(desk.probes.last(), Some(&url("m2")), "all of them were tried");
    desk.manners.remove(&url("a"));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!(
        (desk.state(job(1)), desk.given.get(&url("a"))),
        (JobState::Transferred, Some(&super::desk::LEN))
    );
}

#[test]
fn err_1_a_call_that_fails_is_no_error_of_the_job_and_an_error_of_the_job_fails_no_call() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&[]));
    desk.command(job(1), JobCommand::Resume);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::Empty));
    assert_eq!((desk.view(job(1)).error, desk.view(job(1)).error_count), (None, 0));
    desk.events.clear();
    desk.manners.insert(url("a"), Manner::Missing);
    desk.submit(job(2), wish(&["a"]));
    desk.run_for(3 * SECOND);
    assert_eq!(desk.refusal(), None);
    assert_eq!(desk.view(job(2)).error.map(|error| error.code), Some(Code::Http(404)));
}

#[test]
fn pol_13_a_policy_that_changes_counts_for_the_next_job_and_takes_none_away() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.submit(job(2), wish(&["b"]));
    let policy = Policy { jobs_per_user: Some(2), ..Policy::default() };
    desk.tell(Input::PolicyChanged(Box::new(policy.over(&Policy::default()))));
    desk.submit(job(3), wish(&["c"]));
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::TooManyJobsPerUser));
    desk.run_for(6 * SECOND);
    assert_eq!([job(1), job(2)].map(|id| desk.state(id)), [JobState::Transferred; 2]);
}

#[test]
fn digests_change_only_of_a_file_that_has_not_begun_or_is_in_error() {
    let mut desk = Desk::new();
    desk.manners.insert(url("gone"), Manner::Missing);
    desk.submit(job(1), wish(&["gone", "a"]));
    desk.submit_as(job(2), wish(&["b"]), ROOT, false);
    desk.run_for(Duration::from_millis(1_500));
    assert!(desk.files(job(1))[1].stored > 0);
    let mut refusal = |id, place| {
        desk.events.clear();
        let change = JobChange { digests: Some((place, vec![sha256()])), ..JobChange::default() };
        desk.command_as(id, JobCommand::Change(Box::new(change)), ROOT);
        desk.refusal().map(|(code, _)| code)
    };
    assert_eq!([refusal(job(1), 0), refusal(job(1), 1)], [None, Some(Code::InvalidState)]);
    assert_eq!(refusal(job(2), 0), None);
}

#[test]
fn rng_16_nothing_is_known_to_be_there_of_a_file_that_was_begun_and_is_not_open() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Gives(300_000));
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(SECOND);
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    let desk = desk.restarted();
    let filled = |place| desk.engine.file_ranges(job(1), place).expect("known").filled.map(|runs| runs.len());
    assert!(desk.files(job(1))[0].stored > 0);
    assert_eq!(filled(0), None, "its ranges are not written down for an ordinary job");
}
