//! Whose a job is, and who may do what with another one's (SEC-1, 5, 6).
//!
//! Knows: owners, administrators, the system. Does not know: how a caller is told from another (`control`).

use std::time::Duration;

use super::desk::{Desk, job, wish};
use super::models::ME;
use crate::engine::io::JobCommand;
use crate::job::{Caller, Code, Header, Headers, JobChange, JobSpec, JobState};

const SECOND: Duration = Duration::from_secs(1);
const OTHER: Caller = Caller { uid: 1_001, is_administrator: false };
const ROOT: Caller = Caller { uid: 0, is_administrator: true };

#[test]
fn sec_1_d37_t23_another_users_verbs_are_refused_and_an_administrators_are_not() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    for command in [
        JobCommand::Resume,
        JobCommand::Suspend,
        JobCommand::Complete,
        JobCommand::Cancel,
        JobCommand::Take,
        JobCommand::Validate { file: 0, valid: true },
        JobCommand::Change(Box::new(JobChange { name: Some("mine".into()), ..JobChange::default() })),
    ] {
        desk.events.clear();
        desk.command_as(job(1), command.clone(), OTHER);
        assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::AccessDenied), "{command:?}");
    }
    assert_eq!((desk.state(job(1)), desk.view(job(1)).name), (JobState::Suspended, "job".into()));
    desk.command_as(job(1), JobCommand::Resume, ROOT);
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.view(job(1)).owner), (JobState::Transferred, ME.uid));
}

#[test]
fn sec_5_the_systems_jobs_are_managed_by_the_system_and_by_no_other_administrator() {
    let deputy = Caller { uid: 1_002, is_administrator: true };
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ROOT, false);
    desk.submit_as(job(2), wish(&["b"]), ME, false);
    for command in [JobCommand::Take, JobCommand::Resume, JobCommand::Cancel] {
        desk.events.clear();
        desk.command_as(job(1), command.clone(), deputy);
        assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::AccessDenied), "{command:?}");
    }
    desk.command_as(job(2), JobCommand::Take, deputy);
    assert_eq!((desk.view(job(1)).owner, desk.view(job(2)).owner), (ROOT.uid, deputy.uid));
    desk.command_as(job(1), JobCommand::Resume, ROOT);
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
}

#[test]
fn sec_6_an_administrator_takes_a_job_over_without_its_secrets() {
    let mut desk = Desk::new();
    let secret = Header { name: "Authorization".into(), value: "Bearer x".into() };
    desk.submit_as(job(1), JobSpec { headers: Headers(vec![secret]), ..wish(&["a"]) }, ME, false);
    desk.command(job(1), JobCommand::Take);
    assert_eq!(
        desk.refusal().map(|(code, _)| code),
        Some(Code::AccessDenied),
        "its owner is no administrator"
    );
    desk.command_as(job(1), JobCommand::Take, ROOT);
    let stored = desk.engine.stored_job(job(1)).expect("known");
    assert_eq!((stored.owner, stored.spec.headers), (ROOT.uid, Headers::default()));
}

#[test]
fn sec_6_what_the_owner_before_sent_along_is_sent_no_more() {
    let mut desk = Desk::new();
    let secret = Header { name: "Authorization".into(), value: "Bearer x".into() };
    desk.submit(job(1), JobSpec { headers: Headers(vec![secret]), ..wish(&["a"]) });
    desk.run_for(Duration::from_millis(300));
    desk.command_as(job(1), JobCommand::Take, ROOT);
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    assert_eq!(desk.headers_sent.last(), Some(&0), "{:?}", desk.headers_sent);
}

#[test]
fn sec_6_an_administrator_who_takes_what_is_his_already_keeps_its_header_lines() {
    let mut desk = Desk::new();
    let headers = Headers(vec![Header { name: "X-Token".into(), value: "secret".into() }]);
    desk.submit_as(job(1), JobSpec { headers: headers.clone(), ..wish(&["a"]) }, ROOT, false);
    desk.command_as(job(1), JobCommand::Take, ROOT);
    assert_eq!(desk.engine.stored_job(job(1)).expect("known").spec.headers, headers);
}

#[test]
fn sec_1_who_may_not_change_a_job_does_not_learn_which_names_are_taken() {
    let mut desk = Desk::new();
    desk.submit_as(job(1), wish(&["a"]), ME, false);
    desk.submit_as(job(2), wish(&["b"]), ME, false);
    let add = || {
        let change = JobChange { add_files: wish(&["b"]).files, ..JobChange::default() };
        JobCommand::Change(Box::new(change))
    };
    desk.command_as(job(1), add(), OTHER);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::AccessDenied));
    desk.command_as(job(1), add(), ME);
    assert_eq!(desk.refusal().map(|(code, _)| code), Some(Code::FileExists));
}
