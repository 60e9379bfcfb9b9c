//! What is whole gets its final name, or stays whole.

use std::time::Duration;

use super::desk::{Desk, job, wish};
use crate::engine::event::Event;
use crate::engine::io::{FilePhase, JobCommand};
use crate::job::JobState;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn job_14_a_stopped_job_whose_delivery_fails_is_transferred_again_and_its_file_whole() {
    for cannot_even_be_opened in [false, true] {
        let mut desk = Desk::new();
        desk.taken.insert("/out/a".into());
        desk.submit(job(1), wish(&["a"]));
        desk.run_for(3 * SECOND);
        desk.command(job(1), JobCommand::Suspend);
        desk.run_for(SECOND);
        assert_eq!(desk.state(job(1)), JobState::Suspended);
        desk.taken_at_open = cannot_even_be_opened;
        desk.command(job(1), JobCommand::Complete);
        desk.run_for(SECOND);
        let phases: Vec<FilePhase> = desk.files(job(1)).iter().map(|file| file.phase).collect();
        assert_eq!((desk.state(job(1)), phases), (JobState::Transferred, vec![FilePhase::Whole]));
    }
}

#[test]
fn job_t34_a_whole_job_that_is_resumed_is_transferred_at_once() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    desk.command(job(1), JobCommand::Suspend);
    desk.run_for(SECOND);
    desk.events.clear();
    desk.command(job(1), JobCommand::Resume);
    desk.run_for(SECOND);
    let states: Vec<JobState> = desk
        .events
        .iter()
        .filter_map(|event| match event {
            Event::JobChanged(view) => Some(view.state),
            _ => None,
        })
        .collect();
    assert!(!states.is_empty() && states.iter().all(|state| *state == JobState::Transferred), "{states:?}");
}
