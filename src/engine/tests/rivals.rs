//! Two jobs for one place.
//!
//! Knows: who is refused and what is said. Does not know: paths of a real file system.

use std::time::Duration;

use super::desk::{Desk, Manner, job, url, wish};
use crate::engine::io::JobCommand;
use crate::job::{Caller, Code, JobChange, JobSpec, JobState};

const SECOND: Duration = Duration::from_secs(1);
const OTHER: Caller = Caller { uid: 1_001, is_administrator: false };
const ROOT: Caller = Caller { uid: 0, is_administrator: true };

fn refused(desk: &Desk) -> (Code, String) {
    desk.refusal().expect("refused")
}

#[test]
fn job_8_a_second_job_for_the_same_place_is_refused_and_names_the_first() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { name: "first".into(), ..wish(&["a", "b"]) });
    desk.submit(job(2), wish(&["c", "b"]));
    let (code, reason) = refused(&desk);
    assert_eq!(code, Code::FileExists);
    assert!(reason.starts_with("file 1: job 01010101 first brings a file to /out/b already"), "{reason}");
    // An early `complete` would throw away what it has.
    assert!(reason.contains("`nearbits job resume 01010101` lets that job go on,"), "{reason}");
    assert!(reason.contains("`nearbits job cancel 01010101`") && !reason.contains("complete"), "{reason}");
    assert!(desk.engine.job_view(job(2)).is_none());
    // Written another way it is the same place.
    let mut spec = wish(&["c"]);
    spec.files[0].destination = "/out/./b".into();
    desk.events.clear();
    desk.submit(job(3), spec);
    assert_eq!(refused(&desk).0, Code::FileExists);
    desk.command(job(1), JobCommand::Cancel);
    desk.run_for(SECOND);
    desk.submit(job(4), wish(&["c", "b"]));
    assert!(desk.engine.job_view(job(4)).is_some(), "one that is over is in nobody's way");
}

#[test]
fn job_8_two_jobs_for_one_url_are_two_jobs_and_each_brings_its_own_file() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    let mut spec = wish(&["b"]);
    spec.files[0].url = url("a");
    desk.submit(job(2), spec);
    desk.run_for(10 * SECOND);
    for number in [1, 2] {
        assert_eq!(desk.state(job(number)), JobState::Transferred);
        desk.command(job(number), JobCommand::Complete);
    }
    desk.run_for(SECOND);
    assert_eq!(desk.delivered, ["/out/a", "/out/b"].map(std::path::PathBuf::from));
    assert_eq!(desk.given[&url("a")], 2 * super::desk::LEN, "each transfers on its own");
}

#[test]
fn job_8_a_file_that_is_added_is_refused_in_the_same_way_and_nothing_of_the_change_counts() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.submit(job(2), wish(&["b"]));
    let add_files = wish(&["c", "a"]).files;
    let change = JobChange { add_files, name: Some("new".into()), ..JobChange::default() };
    desk.command(job(2), JobCommand::Change(Box::new(change)));
    let (code, reason) = refused(&desk);
    assert!(code == Code::FileExists && reason.contains("job 01010101"), "{reason}");
    let view = desk.view(job(2));
    assert_eq!((view.files_total, view.name.as_str()), (1, "job"));
}

#[test]
fn sec_1_another_users_job_is_not_named_but_to_administrators() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { name: "secret".into(), ..wish(&["a"]) });
    desk.submit_as(job(2), wish(&["a"]), OTHER, true);
    let (_, reason) = refused(&desk);
    assert_eq!(reason, "another user's job brings a file to /out/a; name another destination");
    desk.events.clear();
    desk.submit_as(job(3), wish(&["a"]), ROOT, true);
    assert!(refused(&desk).1.contains("secret"));
}

#[test]
fn a_file_that_has_its_name_already_is_in_nobodys_way() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.manners.insert(url("b"), Manner::Missing);
    desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a", "b"]) });
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.delivered.len()), (JobState::Error, 1));
    desk.submit(job(2), wish(&["a"]));
    assert!(desk.engine.job_view(job(2)).is_some());
}

#[test]
fn what_an_interrupted_command_left_is_given_up_for_another_wish_of_the_same_user() {
    for (by, is_taken) in [(super::models::ME, true), (OTHER, false)] {
        let mut desk = Desk::with(|config| config.embedded = true);
        desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a"]) });
        desk.run_for(Duration::from_millis(300));
        desk.events.clear();
        desk.submit_as(job(2), wish(&["a"]), by, true);
        assert_eq!(refused(&desk).0, Code::FileExists, "somebody may still wait for it");
        desk.command(job(1), JobCommand::Suspend);
        desk.submit_as(job(3), wish(&["a"]), by, true);
        desk.run_for(SECOND);
        assert_eq!(desk.engine.job_view(job(3)).is_some(), is_taken);
        assert_eq!(desk.state(job(1)) == JobState::Cancelled, is_taken);
    }
}
