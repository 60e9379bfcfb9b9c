//! What a job still knows of its files when something happened beside it: files added, parts removed, a restart.
//!
//! Knows: scripted hands, virtual time. Does not know: the disk.

use std::time::Duration;

use super::desk::{Desk, LEN, Manner, job, url, wish};
use crate::engine::io::{FilePhase, JobCommand};
use crate::job::{Code, JobChange, JobState};

const SECOND: Duration = Duration::from_secs(1);

fn phases(desk: &Desk, number: u8) -> Vec<FilePhase> {
    desk.files(job(number)).iter().map(|file| file.phase).collect()
}

#[test]
fn job_t22_files_may_be_added_to_a_transferred_job() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    let files = wish(&["b"]).files;
    desk.command(
        job(1),
        JobCommand::Change(Box::new(JobChange { add_files: files, ..JobChange::default() })),
    );
    desk.run_for(SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred, view.files_total), (JobState::Transferred, 1, 2));
    let says = "1 file is not fetched: `nearbits job resume` fetches it, `complete` now gives it up";
    assert_eq!(view.reason, says, "it does not go on by itself");
    let mut desk = desk.restarted();
    assert_eq!(desk.view(job(1)).reason, says);
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(3 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred, view.reason.as_str()), (JobState::Transferred, 2, ""));
    assert_eq!(desk.given.get(&url("a")), None, "what is whole is not fetched again");
}

#[test]
fn a_part_that_somebody_removed_is_missed_at_complete_and_fetched_again_after_resume() {
    for is_restarted in [false, true] {
        let mut desk = Desk::new();
        desk.submit(job(1), wish(&["a", "b"]));
        desk.run_for(5 * SECOND);
        if is_restarted {
            desk = desk.restarted();
            desk.run_for(SECOND);
        }
        desk.gone.insert("/out/b".into());
        desk.command(job(1), JobCommand::Complete);
        desk.run_for(SECOND);
        let (code, reason) = desk.refusal().expect("refused");
        assert!(code == Code::PathNotFound && reason.contains("somebody removed it; `nearbits job resume`"));
        let view = desk.view(job(1));
        assert_eq!((view.state, view.files_transferred), (JobState::Transferred, 1));
        assert!(view.reason.contains("`nearbits job resume` fetches the file again"), "{}", view.reason);
        assert_eq!(phases(&desk, 1), [FilePhase::Delivered, FilePhase::Failed]);
        desk.given.clear();
        desk.command(job(1), JobCommand::Resume);
        desk.run_for(4 * SECOND);
        assert_eq!((desk.state(job(1)), phases(&desk, 1)[1]), (JobState::Transferred, FilePhase::Whole));
        assert_eq!((desk.given.get(&url("a")), desk.given[&url("b")]), (None, LEN), "{is_restarted}");
        desk.command(job(1), JobCommand::Complete);
        desk.run_for(SECOND);
        assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Acknowledged, 2));
    }
}

#[test]
fn what_leases_brought_while_a_job_was_stopped_is_known_after_a_restart() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(600));
    desk.slow_saves = true;
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    desk.save_now();
    desk.run_for(SECOND);
    desk.save_now();
    let stored = desk.view(job(1)).stored;
    assert!(stored > 0 && stored < LEN);
    assert_eq!(desk.restarted().view(job(1)).stored, stored);
}

#[test]
fn a_cancelled_job_says_what_its_last_error_was() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Missing);
    desk.submit(job(1), wish(&["a", "b"]));
    desk.run_for(5 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Error);
    desk.command(job(1), JobCommand::Cancel);
    desk.run_for(SECOND);
    let view = desk.view(job(1));
    assert!(view.state == JobState::Cancelled && view.reason.starts_with("last error: file 0: "), "{view:?}");
}
