//! Jobs that are over: how many are kept whole, how many are listed, what goes when there is no room.

use std::time::Duration;

use super::desk::{Desk, job, wish};
use crate::engine::io::{JobCommand, StoredJob};
use crate::engine::job::Job;
use crate::engine::over::{FRESH_MAX, LISTED_MAX, Over};
use crate::job::{Code, JobId, JobState};

const LISTED_ONLY: usize = LISTED_MAX - FRESH_MAX;

fn id(number: usize) -> JobId {
    let mut id = job(9);
    id.0[..8].copy_from_slice(&number.to_be_bytes());
    id
}

/// A job that was over before this node started.
fn past(desk: &Desk, number: usize, files: usize) -> Job {
    let mut spec = wish(&["a"]);
    spec.files = vec![spec.files[0].clone(); files];
    let stored =
        StoredJob { id: id(number), spec, state: JobState::Acknowledged, ..desk.stored[&job(1)].clone() };
    Job::found(stored, &desk.engine.core)
}

/// A desk with one job written down.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk
}

#[test]
fn job_10_the_last_64_jobs_that_are_over_are_kept_whole() {
    let mut over = Over::default();
    for number in 0..FRESH_MAX {
        assert_eq!(over.end(id(number)), None);
    }
    assert_eq!(over.end(id(64)), Some(id(0)));
    assert_eq!([0, 1, 64].map(|number| over.is_fresh(id(number))), [false, true, true]);
    assert!(over.forget(id(64)).is_none(), "the engine has it");
    assert_eq!([1, 64].map(|number| over.is_fresh(id(number))), [true, false]);
    assert_eq!((over.end(id(65)), over.end(id(66))), (None, Some(id(1))));
}

#[test]
fn job_10_of_those_that_are_only_listed_the_oldest_goes_for_one_too_many() {
    let desk = desk();
    let mut over = Over::default();
    for number in 0..LISTED_ONLY {
        assert!(over.list(past(&desk, number, 1)).is_empty(), "{number}");
    }
    let gone: Vec<JobId> = over.list(past(&desk, LISTED_ONLY, 1)).iter().map(|job| job.id).collect();
    assert_eq!((gone, over.past().count()), (vec![id(0)], LISTED_ONLY));
    assert_eq!([0, 1].map(|number| over.get(id(number)).is_some()), [false, true]);
    assert_eq!(over.forget(id(1)).map(|job| job.id), Some(id(1)));
    assert!(over.list(past(&desk, 2_000, 1)).is_empty(), "there is room again");
    let gone: Vec<JobId> = over.list(past(&desk, 2_001, 1)).iter().map(|job| job.id).collect();
    assert_eq!(gone, [id(2)]);
}

#[test]
fn job_10_jobs_with_many_files_stay_as_long_as_there_is_room_for_4096_rows() {
    let desk = desk();
    let mut over = Over::default();
    let mut gone = |number, files| -> Vec<JobId> {
        over.list(past(&desk, number, files)).iter().map(|job| job.id).collect()
    };
    assert_eq!((gone(1, 4_000), gone(2, 96)), (vec![], vec![]), "4 096 together");
    assert_eq!(gone(3, 1), [id(1)]);
    assert_eq!((gone(4, 3_999), gone(5, 1)), (vec![], vec![id(2)]));
    assert_eq!(gone(6, 9_000), [3, 4, 5].map(id), "the last one stays, whatever it has");
    assert_eq!(gone(7, 1), [id(6)]);
}

#[test]
fn job_10_a_job_that_is_only_listed_is_shown_without_its_decisions_refuses_commands_and_can_be_forgotten() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_secs(3));
    desk.command(job(1), JobCommand::Complete);
    desk.run_for(Duration::from_millis(100));
    assert_eq!(desk.state(job(1)), JobState::Acknowledged);
    for number in 0..FRESH_MAX {
        assert!(!desk.engine.decisions(job(1)).expect("known").is_empty(), "{number}");
        desk.submit(id(number), wish(&[&format!("f{number}")]));
        desk.command(id(number), JobCommand::Cancel);
        desk.run_for(Duration::from_millis(20));
    }
    assert!(desk.engine.decisions(job(1)).expect("known").is_empty());
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred, view.sources.len()), (JobState::Acknowledged, 1, 1));
    assert_eq!((desk.engine.job_views().len(), desk.engine.jobs.len()), (FRESH_MAX + 1, FRESH_MAX));
    desk.command(job(1), JobCommand::Resume);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::InvalidState));
    desk.command(job(1), JobCommand::Forget);
    assert_eq!((desk.engine.job_view(job(1)), desk.forgotten.last()), (None, Some(&job(1))));
}
