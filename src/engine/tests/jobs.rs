//! Jobs by BITS' rules: several files, completion, cancellation, errors, timers.

use std::time::Duration;

use super::desk::{Desk, LEN, Manner, job, url, wish};
use super::models::ME;
use crate::engine::event::Event;
use crate::engine::io::{FilePhase, JobCommand, Validation};
use crate::job::{Caller, Code, JobChange, JobSpec, JobState, Policy, TrustFloor};

const SECOND: Duration = Duration::from_secs(1);
const OTHER: Caller = Caller { uid: 1_001, is_administrator: false };
const ROOT: Caller = Caller { uid: 0, is_administrator: true };

fn phases(desk: &Desk, number: u8) -> Vec<FilePhase> {
    desk.files(job(number)).into_iter().map(|file| file.phase).collect()
}

#[test]
fn job_t1_a_job_that_is_not_started_waits_suspended() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.probes.len()), (JobState::Suspended, 0));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn job_t3_a_job_without_files_is_not_resumed() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&[]));
    desk.command(job(1), JobCommand::Resume);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::Empty));
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    let files = wish(&["a"]).files;
    desk.command(
        job(1),
        JobCommand::Change(Box::new(JobChange { add_files: files, ..JobChange::default() })),
    );
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn job_12_and_job_t23_and_job_17_and_file_9_complete_gives_every_file_its_name_and_nothing_has_it_before() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b", "c"]));
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Transferred, 0));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 3));
    assert!(desk.events.contains(&Event::JobTaken { job: job(1), is_partial: false }));
    let is_valid = |file: &crate::engine::event::FileView| file.validation == Validation::Valid;
    assert!(desk.files(job(1)).iter().all(is_valid), "JOB-17: nobody said anything against them");
    assert!(desk.open.is_empty() && desk.removed.is_empty(), "{:?} {:?}", desk.open, desk.removed);
}

#[test]
fn job_13_an_early_complete_keeps_what_is_whole_and_removes_the_rest() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.submit(job(1), wish(&["a", "b", "c", "d", "e"]));
    // The third is on its way.
    desk.run_for(Duration::from_millis(2_600));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!(desk.state(job(1)), JobState::Acknowledged);
    assert_eq!(desk.delivered, ["/out/a", "/out/b"].map(std::path::PathBuf::from));
    assert_eq!(desk.removed.len(), 3, "{:?}", desk.removed);
    assert!(desk.events.contains(&Event::JobTaken { job: job(1), is_partial: true }));
}

#[test]
fn job_14_a_rename_that_fails_leaves_the_job_transferred_and_complete_can_be_repeated() {
    let mut desk = Desk::new();
    desk.taken.insert("/out/b".into());
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(5 * SECOND);
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    let view = desk.view(job(1));
    assert_eq!(
        (view.state, phases(&desk, 1)),
        (JobState::Transferred, vec![FilePhase::Delivered, FilePhase::Whole])
    );
    assert!(view.reason.contains("/out/b already exists"), "{}", view.reason);
    assert_eq!(view.error.map(|error| (error.code, error.file)), Some((Code::AccessDenied, Some(1))));
    desk.taken.clear();
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
}

#[test]
fn job_18_and_job_t26_and_job_t17_cancel_removes_parts_of_every_file_open_or_not() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.submit(job(1), wish(&["a", "b", "c"]));
    desk.run_for(Duration::from_millis(1_600));
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    assert!(desk.open.is_empty(), "a stopped job holds nothing open: {:?}", desk.open);
    desk.command(job(1), JobCommand::Cancel);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.removed.len()), (JobState::Cancelled, 3));
    assert!(desk.delivered.is_empty() && desk.stored.is_empty());
}

#[test]
fn job_t28_nothing_happens_to_a_job_that_is_over() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.command(job(1), JobCommand::Cancel);
    desk.run_for(SECOND);
    for command in [JobCommand::Suspend, JobCommand::Resume, JobCommand::Complete, JobCommand::Cancel] {
        desk.events.clear();
        desk.command(job(1), command);
        assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::InvalidState));
    }
    assert_eq!(desk.state(job(1)), JobState::Cancelled);
}

#[test]
fn job_t34_a_whole_job_is_suspended_and_resumed_without_network_traffic() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    let probes = desk.probes.len();
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.probes.len()), (JobState::Transferred, probes));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!(desk.delivered.len(), 1);
}

#[test]
fn job_5_and_job_6_and_job_29_and_err_3_and_job_t11_a_broken_file_does_not_hold_up_the_others_and_ends_in_an_error_that_names_it()
 {
    let mut desk = Desk::new();
    desk.manners.insert(url("b"), Manner::Missing);
    desk.submit(job(1), wish(&["a", "b", "c"]));
    desk.run_for(10 * SECOND);
    let view = desk.view(job(1));
    assert_eq!(view.state, JobState::Error, "{}", view.reason);
    assert_eq!(phases(&desk, 1), [FilePhase::Whole, FilePhase::Failed, FilePhase::Whole]);
    assert_eq!(view.reason, "file 1: 404 Not Found");
    let error = view.error.expect("kept");
    assert_eq!((error.code, error.file, view.error_count), (Code::Http(404), Some(1), 1));
    assert_eq!(error.source.as_deref(), Some("http://o.test"));
    assert!(desk.open.is_empty(), "{:?}", desk.open);
    // JOB-6, 23: repaired by another name and resumed; what is whole is not fetched again.
    let change = JobChange { url: Some((1, url("b2"))), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.given[&url("a")]), (JobState::Transferred, LEN));
    // JOB-29: the last error stays readable.
    assert!(desk.view(job(1)).error.is_some());
}

#[test]
fn job_23_complete_on_an_error_keeps_the_finished_files() {
    let mut desk = Desk::new();
    desk.manners.insert(url("b"), Manner::Missing);
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(10 * SECOND);
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 1));
}

#[test]
fn file_13_and_file_14_a_prefix_is_replaced_in_every_file_and_finished_ones_are_not_fetched_again() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.manners.insert(url("b"), Manner::Away);
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(5 * SECOND);
    let prefix = ("http://o.test/".to_owned(), "http://other.test/".to_owned());
    let change = JobChange { replace_prefix: Some(prefix), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.given[&url("a")]), (JobState::Transferred, LEN));
    assert_eq!(desk.given["http://other.test/b"], LEN);
    let files = desk.engine.file_views(job(1)).expect("known");
    let urls: Vec<_> = files.into_iter().map(|file| file.url).collect();
    assert_eq!(urls, [url("a"), "http://other.test/b".to_owned()], "what is whole is what its URL gave");
}

#[test]
fn file_12_and_file_14_the_bytes_of_a_whole_file_do_not_become_those_of_another_url() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(5 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    let change = JobChange { url: Some((0, url("b"))), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    let (code, words) = desk.refusal().expect("it is refused");
    assert!(code == Code::InvalidState && words.contains("file 0 is transferred"), "{words}");
    assert_eq!(desk.engine.file_views(job(1)).expect("known")[0].url, url("a"));
}

#[test]
fn trust_a_floor_that_is_raised_when_all_is_transferred_is_refused_since_nothing_is_fetched_again() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(5 * SECOND);
    // The last refusal stays the last one: what is taken comes first.
    for (floor, refused) in [(TrustFloor::Auto, false), (TrustFloor::Origin, true)] {
        let change = JobChange { trust: Some(floor), ..JobChange::default() };
        desk.command(job(1), JobCommand::Change(Box::new(change)));
        let words = desk.refusal().map(|(_, words)| words).unwrap_or_default();
        assert_eq!(words.contains("still to be fetched"), refused, "{floor}: {words}");
    }
}

#[test]
fn job_32_and_file_8_everything_of_a_job_survives_a_restart() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    let description = "what it is for".to_owned();
    desk.submit(job(1), JobSpec { description, ..wish(&["a", "b"]) });
    desk.run_for(Duration::from_millis(1_600));
    let before = desk.view(job(1));
    assert_eq!(before.files_transferred, 1);
    let mut desk = desk.restarted();
    desk.run_for(3 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred), (JobState::Transferred, 2));
    assert_eq!((view.owner, view.times.created_unix_ms), (ME.uid, before.times.created_unix_ms));
    let again = desk.given.values().sum::<u64>();
    assert!(again < 2 * LEN - LEN, "{again} bytes were fetched after it");
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
}

#[test]
fn a_transferred_job_found_on_disk_stays_so_and_is_delivered_after_its_bytes_were_looked_at() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(4 * SECOND);
    let mut desk = desk.restarted();
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.open.len(), desk.probes.len()), (JobState::Transferred, 0, 0));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
}

#[test]
fn auto_complete_delivers_each_file_as_soon_as_it_is_whole() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a", "b"]) });
    desk.run_for(Duration::from_millis(1_600));
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Transferring, 1));
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
}

#[test]
fn val_3_and_job_t32_an_invalid_file_from_the_origin_is_an_error_and_resume_fetches_it_again() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(4 * SECOND);
    desk.command(job(1), JobCommand::Validate { file: 1, valid: false });
    desk.run_for(SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.stored), (JobState::Error, LEN));
    assert_eq!(view.error.map(|error| (error.code, error.file)), Some((Code::ValidationFailed, Some(1))));
    assert_eq!(desk.files(job(1))[1].validation, Validation::Invalid);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.given[&url("b")]), (JobState::Transferred, 2 * LEN));
}

#[test]
fn val_2_nothing_is_said_of_a_file_that_is_not_whole() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(300));
    desk.command(job(1), JobCommand::Validate { file: 0, valid: true });
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::Pending));
    desk.command(job(1), JobCommand::Validate { file: 3, valid: true });
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::FileNotAvailable));
    desk.run_for(3 * SECOND);
    desk.command(job(1), JobCommand::Validate { file: 0, valid: true });
    assert_eq!(desk.files(job(1))[0].validation, Validation::Valid);
}

#[test]
fn d39_t25_and_lim_7_and_lim_8_and_lim_26_and_lim_27_and_pol_12_one_job_too_many_is_refused_and_others_are_not_affected()
 {
    let policy = Policy { jobs_per_user: Some(2), jobs_per_machine: Some(3), ..Policy::default() };
    let mut desk = Desk::with(|config| config.policy = policy.over(&Policy::default()));
    for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
        desk.submit(job(number), wish(&[name]));
    }
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::TooManyJobsPerUser));
    desk.submit_as(job(4), wish(&["d"]), OTHER, true);
    assert!(desk.engine.job_view(job(4)).is_some());
    desk.submit_as(job(5), wish(&["e"]), Caller { uid: 1_002, is_administrator: false }, true);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::TooManyJobsPerMachine));
    desk.submit_as(job(6), wish(&["f"]), ROOT, true);
    assert!(desk.engine.job_view(job(6)).is_some(), "administrators are exempt");
    // LIM-27: those that wait to be completed count until they are.
    desk.run_for(10 * SECOND);
    desk.command(job(1), JobCommand::Complete);
    desk.command_as(job(6), JobCommand::Complete, ROOT);
    desk.run_for(SECOND);
    desk.submit(job(7), wish(&["g"]));
    assert!(desk.engine.job_view(job(7)).is_some());
}

#[test]
fn d39_and_lim_9_and_pol_14_and_file_4_a_set_of_too_many_files_adds_none() {
    let policy = Policy { files_per_job: Some(2), ..Policy::default() };
    let mut desk = Desk::with(|config| config.policy = policy.over(&Policy::default()));
    desk.submit(job(1), wish(&["a", "b", "c"]));
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::TooManyFilesInJob));
    desk.submit(job(2), wish(&["a"]));
    let add_files = wish(&["b", "c"]).files;
    desk.command(job(2), JobCommand::Change(Box::new(JobChange { add_files, ..JobChange::default() })));
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::TooManyFilesInJob));
    assert_eq!(desk.view(job(2)).files_total, 1);
}

#[test]
fn file_24_a_job_takes_no_more_bytes_than_it_may() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.submit(job(1), JobSpec { max_size: Some(LEN + 1), ..wish(&["a", "b"]) });
    desk.run_for(5 * SECOND);
    let view = desk.view(job(1));
    assert_eq!(view.state, JobState::Error, "{}", view.reason);
    assert_eq!(view.error.map(|error| error.code), Some(Code::MaxDownloadSizeLimitReached));
    assert_eq!(view.error_count, 1);
    assert!(desk.given[&url("a")] == LEN && desk.given.get(&url("b")).is_none_or(|bytes| *bytes < LEN / 4));
    assert!(desk.open.is_empty());
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { max_size: Some(2 * LEN), ..wish(&["a", "b"]) });
    desk.run_for(5 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn file_16_mirrors_are_tried_when_the_first_url_says_no_or_nothing() {
    for manner in [Manner::Missing, Manner::Away] {
        let mut desk = Desk::new();
        desk.manners.insert(url("a"), manner);
        desk.manners.insert(url("m1"), Manner::Missing);
        let mut spec = wish(&["a"]);
        spec.files[0].mirrors = vec![url("m1"), url("m2")];
        desk.submit(job(1), spec);
        desk.run_for(15 * SECOND);
        let view = desk.view(job(1));
        assert_eq!(view.state, JobState::Transferred, "{manner:?}: {}", view.reason);
        assert_eq!(desk.given.values().sum::<u64>(), LEN);
        assert_eq!(view.url, url("a"), "its remote name stays");
    }
}

#[test]
fn job_1_and_job_9_jobs_are_told_apart_by_their_ids_alone() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    desk.submit_as(job(2), wish(&["b"]), ME, false);
    assert_eq!(desk.view(job(1)).name, desk.view(job(2)).name);
    desk.command(job(2), JobCommand::Cancel);
    assert_eq!(desk.state(job(1)), JobState::Suspended);
    desk.command(job(3), JobCommand::Resume);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::NotFound));
}

#[test]
fn job_36_and_file_18_sums_are_unknown_while_one_length_is_and_count_every_file() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(Duration::from_millis(500));
    let view = desk.view(job(1));
    assert_eq!((view.len, view.files_total, view.files_transferred), (None, 2, 0));
    assert!(view.stored > 0 && view.bytes.origin >= view.stored);
    desk.run_for(4 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.len, view.stored, view.files_transferred), (Some(2 * LEN), 2 * LEN, 2));
    let of_files: u64 = desk.files(job(1)).iter().map(|file| file.bytes.origin).sum();
    assert_eq!((view.bytes.origin, of_files), (2 * LEN, 2 * LEN));
    let [origin] = &view.sources[..] else { panic!("one origin gave all: {:?}", view.sources) };
    assert!(origin.bytes == 2 * LEN && origin.leases >= 2, "{origin:?}");
    let decisions = desk.engine.decisions(job(1)).expect("known");
    let of: std::collections::BTreeSet<_> = decisions.iter().map(|decision| decision.file).collect();
    assert_eq!(of, [Some(0), Some(1)].into(), "each is of a file");
    assert!(desk.files(job(1)).iter().all(|file| !file.from_peer));
}

#[test]
fn file_3_a_file_moves_while_its_bytes_are_asked_for_and_not_before_or_after_or_on_hold() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    let moves = |desk: &Desk| desk.files(job(1))[0].is_moving;
    assert!(!moves(&desk));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(Duration::from_millis(300));
    assert!(moves(&desk));
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(Duration::from_millis(50));
    assert!(!moves(&desk));
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), moves(&desk)), (JobState::Transferred, false));
    let kept = &desk.stored[&job(1)].files[0];
    assert!(kept.decisions.count() > 0, "why it came whence it came is written down with it");
}

#[test]
fn job_t30_and_sched_3_a_toggled_permission_queues_a_job_and_it_goes_on() {
    use crate::engine::io::Input;
    use crate::job::PeerFlags;
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { flags: PeerFlags::BOTH, ..wish(&["a"]) });
    desk.run_for(Duration::from_millis(300));
    assert_eq!(desk.state(job(1)), JobState::Transferring);
    desk.events.clear();
    desk.tell(Input::FlagsChanged(PeerFlags::BOTH));
    let why = desk.engine.decisions(job(1)).expect("known");
    assert!(why.iter().any(|decision| decision.why.contains("a permission changed")), "{why:?}");
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.given[&url("a")] < LEN + 2 * 65_536), (JobState::Transferred, true));
}

#[test]
fn job_t2_and_job_t4_and_job_t5_and_job_t9_a_job_runs_through_its_states_in_order() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    let mut states: Vec<JobState> = Vec::new();
    for event in &desk.events {
        if let Event::JobChanged(view) = event
            && states.last() != Some(&view.state)
        {
            states.push(view.state);
        }
    }
    let wanted = [
        JobState::Suspended,
        JobState::Queued,
        JobState::Connecting,
        JobState::Transferring,
        JobState::Transferred,
    ];
    assert_eq!(states, wanted);
}

/// Takes the names away under which nothing could be opened or renamed.
fn taken_then_free(desk: &mut Desk, number: u8) {
    desk.command(job(number), JobCommand::Complete);
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(number)), desk.delivered.len()), (JobState::Transferred, 0));
    assert!(desk.refusal().is_some_and(|(_, reason)| reason.contains("already exists")));
    assert_eq!(desk.view(job(number)).error_count, 1);
    desk.taken.clear();
    desk.events.clear();
    desk.command(job(number), JobCommand::Complete);
    desk.run_for(SECOND);
}

#[test]
fn job_14_a_file_that_cannot_even_be_opened_for_its_delivery_is_kept_and_delivered_later() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    let mut desk = desk.restarted();
    desk.taken.insert("/out/a".into());
    desk.taken_at_open = true;
    taken_then_free(&mut desk, 1);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 1));
    assert!(desk.removed.is_empty(), "{:?}", desk.removed);
    assert!(desk.events.contains(&Event::JobTaken { job: job(1), is_partial: false }));
}

#[test]
fn job_14_and_job_23_a_failed_automatic_delivery_loses_nothing() {
    for completes in [true, false] {
        let mut desk = Desk::new();
        desk.taken.insert("/out/a".into());
        desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a"]) });
        desk.run_for(3 * SECOND);
        assert_eq!((desk.state(job(1)), phases(&desk, 1)), (JobState::Error, vec![FilePhase::Failed]));
        desk.taken.clear();
        desk.command(job(1), if completes { JobCommand::Complete } else { JobCommand::Resume });
        desk.run_for(SECOND);
        assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 1));
        assert_eq!((desk.given[&url("a")], desk.removed.len()), (LEN, 0));
    }
}

#[test]
fn job_26_a_network_that_goes_while_files_are_delivered_harms_none() {
    use crate::engine::io::Input;
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(4 * SECOND);
    let mut desk = desk.restarted();
    desk.slow_opens = true;
    desk.command(job(1), JobCommand::Complete);
    desk.tell(Input::NetworkChanged { up: false });
    desk.open_now();
    desk.run_for(SECOND);
    desk.open_now();
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
    assert!(desk.removed.is_empty(), "{:?}", desk.removed);
}

#[test]
fn val_3_a_file_that_is_on_its_way_to_its_name_is_not_called_invalid_any_more() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    let mut desk = desk.restarted();
    desk.slow_opens = true;
    desk.command(job(1), JobCommand::Complete);
    desk.events.clear();
    desk.command(job(1), JobCommand::Validate { file: 0, valid: false });
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::InvalidState));
    desk.open_now();
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 1));
}

#[test]
fn file_20_auto_complete_may_be_switched_at_any_time() {
    for millis in [300, 3_000] {
        let mut desk = Desk::new();
        desk.submit(job(1), wish(&["a"]));
        desk.run_for(Duration::from_millis(millis));
        let on = JobChange { auto_complete: Some(true), ..JobChange::default() };
        desk.command(job(1), JobCommand::Change(Box::new(on)));
        desk.run_for(4 * SECOND);
        assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 1), "{millis} ms");
        let mut desk = Desk::new();
        desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a"]) });
        desk.run_for(Duration::from_millis(300));
        let off = JobChange { auto_complete: Some(false), ..JobChange::default() };
        desk.command(job(1), JobCommand::Change(Box::new(off)));
        desk.run_for(4 * SECOND);
        assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Transferred, 0));
    }
}

#[test]
fn however_much_was_decided_a_job_of_many_files_stays_small_enough_to_be_written() {
    let mut desk = Desk::new();
    let names: Vec<String> = (0..100).map(|file| format!("f{file}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    desk.submit_as(job(1), JobSpec { retry_delay_s: 5, ..wish(&names) }, ROOT, true);
    for round in 0..40 {
        let manner = if round % 2 == 0 { Manner::Away } else { Manner::Gives(40_000) };
        names.iter().for_each(|name| {
            desk.manners.insert(url(name), manner);
        });
        desk.run_for(3 * SECOND);
        desk.command_as(job(1), JobCommand::Resume, ROOT);
    }
    let stored = desk.stored.get(&job(1)).expect("kept");
    let (most, sum) = (80, stored.files.iter().map(|file| file.decisions.count()).sum::<usize>());
    assert!(stored.files.iter().all(|file| file.decisions.count() <= most) && sum > 100, "{sum}");
    assert!(serde_json::to_vec_pretty(stored).expect("JSON").len() < 4 << 20);
}
