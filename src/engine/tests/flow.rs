//! A job's way from wish to delivery, commands, retries, restarts.

use std::time::Duration;

use super::world::*;
use crate::engine::event::{Event, Failure};
use crate::engine::io::*;
use crate::job::{Code, JobChange, JobSpec, JobState, PeerFlags, Priority};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_file_comes_from_the_origin_alone_and_is_delivered() {
    let truth = file(20 * MIB + 7, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    let first = world.events.first();
    assert!(matches!(first, Some(Event::JobAccepted(view)) if view.id == JOB), "{first:?}");
    let ms = world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(ms < 2_400, "{ms} ms for what takes 2100");
    let view = world.view();
    assert_eq!((view.bytes.origin, view.bytes.peers, view.bytes.discarded), (20 * MIB + 7, 0, 0));
    assert_eq!((view.stored, view.blake3), (20 * MIB + 7, Some(truth.content().root.to_string())));
    assert!(view.trust.starts_with("level 0"), "{}", view.trust);
    assert_eq!((world.delivered, world.kept, world.resets), (1, 1, 1));
    assert!(!world.engine.decisions(JOB).expect("known").is_empty());
}

#[test]
fn empty_tiny_and_odd_lengths_are_exact() {
    for len in [0, 1, 65_535, 65_536, 65_537, 3 * MIB + 1] {
        let truth = file(len, 1);
        let mut world = World::new(&truth);
        world.submit(spec(&[root_digest(&truth)]));
        world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged, "length {len}: {}", world.view().reason);
        assert_eq!(world.view().bytes.origin, len);
    }
}

#[test]
fn a_length_that_is_not_told_is_learned_at_the_end() {
    let truth = file(2 * MIB + 3, 1);
    let mut world = World::new(&truth);
    world.origin.version.len = None;
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().len), (JobState::Acknowledged, Some(2 * MIB + 3)));
}

#[test]
fn an_origin_without_ranges_gives_one_stream_and_starts_again_when_cut() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.ranges = false;
    world.origin.cuts_after = Some(3 * MIB);
    world.submit(spec(&[]));
    world.run_for(1_200);
    world.origin.cuts_after = None;
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn a_cut_body_goes_on_where_it_was() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.cuts_after = Some(6 * MIB + 1_000);
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    let again = world.view().bytes.origin - 20 * MIB;
    assert!(again < 5 * 65_536, "{again} bytes again");
    assert!(world.view().restarts == 0 && world.resets == 1);
}

#[test]
fn a_body_that_cannot_be_resumed_starts_again_from_zero() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.version.etag = None;
    world.origin.cuts_after = Some(3 * MIB);
    world.submit(spec(&[]));
    world.run_until(5_000, |world| world.resets == 2);
    assert_eq!(world.resets, 2, "emptied before the second attempt");
    world.origin.cuts_after = None;
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn sec_15_without_a_digest_what_the_origin_serves_is_delivered_as_it_is() {
    let truth = file(4 * MIB, 1);
    for (digests, state) in [(vec![], JobState::Acknowledged), (vec![sha256()], JobState::Error)] {
        let mut world = World::new(&truth);
        world.origin.serves = altered(4 * MIB, 1, &[7]);
        world.submit(spec(&digests));
        world.run(MINUTE);
        assert_eq!((world.state(), world.delivered), (state, u32::from(digests.is_empty())));
    }
}

#[test]
fn err_27_an_answer_that_cannot_be_used_is_final_and_has_its_name() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    let code = Some(Code::InvalidServerResponse);
    world.origin.fault = Some(OriginFault { code, ..OriginFault::new(Severity::Fatal, "garbled", None) });
    world.submit(spec(&[]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.error.map(|error| error.code)), (JobState::Error, code));
}

#[test]
fn err_63_statuses_503_and_504_are_waited_for_under_their_names() {
    let truth = file(MIB, 1);
    for status in [503, 504] {
        let mut world = World::new(&truth);
        world.origin.fault = Some(transient("busy", Some(status)));
        world.submit(spec(&[]));
        world.run_for(10_000);
        let view = world.view();
        assert_eq!(
            (view.state, view.error.map(|error| error.code)),
            (JobState::TransientError, Some(Code::Http(status)))
        );
        world.origin.fault = None;
        world.run(MINUTE);
        assert_eq!(world.state(), JobState::Acknowledged);
    }
}

#[test]
fn d18_a_busy_origin_is_asked_again_with_back_off() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    let retry_after = Some(Duration::from_secs(5));
    let severity = Severity::Transient { retry_after };
    world.origin.fault = Some(OriginFault::new(severity, "503", Some(503)));
    world.submit(spec(&[]));
    world.run_for(4_900);
    assert_eq!((world.origin.probes, world.state()), (1, JobState::TransientError));
    assert_eq!((world.view().reason.as_str(), world.view().failure), ("503", Some(Failure::Transient)));
    world.origin.fault = None;
    world.run_for(1_000);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert_eq!((world.view().reason.as_str(), world.view().failure), ("", None));
}

#[test]
fn d20_a_fatal_answer_ends_the_job_with_a_reason_and_resume_tries_again() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    world.origin.fault = Some(fatal("404 Not Found"));
    world.submit(spec(&[]));
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.failure), (JobState::Error, Some(Failure::Fatal)));
    assert_eq!(view.reason, "404 Not Found");
    world.origin.fault = None;
    world.command(JobCommand::Resume);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
}

#[test]
fn d07_and_file_10_a_changed_version_starts_the_file_again() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.cuts_after = Some(5 * MIB);
    world.submit(spec(&[]));
    world.run_for(600);
    assert!(world.view().stored > 0);
    let fresh = file(9 * MIB, 2);
    world.origin.version = version("b", Some(9 * MIB));
    world.origin.serves = fresh.clone();
    world.origin.cuts_after = None;
    let end = world.ms + 60_000;
    world.run_until(end, |world| world.resets > 1);
    assert_eq!(world.view().stored, 0, "progress goes back to zero");
    world.run(MINUTE);
    let view = world.view();
    assert_eq!((view.state, view.restarts, view.len), (JobState::Acknowledged, 1, Some(9 * MIB)));
    assert_eq!(view.blake3, Some(fresh.content().root.to_string()));
}

#[test]
fn d07_and_err_60_content_that_keeps_changing_is_an_error_of_its_own_name() {
    let truth = file(80 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    for change in 0..20 {
        world.run_for(2_500);
        world.origin.version = version(&format!("v{change}"), Some(80 * MIB));
        world.origin.cuts_after = Some(MIB);
    }
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().restarts), (JobState::Error, 5));
    assert_eq!(world.view().reason, "the content keeps changing at the origin");
    assert_eq!(world.view().error.map(|error| error.code), Some(Code::RemoteFileChanged));
}

#[test]
fn suspend_stops_and_resume_goes_on_from_the_same_offset() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    world.run_for(1_000);
    world.command(JobCommand::Suspend);
    let given = world.origin.pace.given;
    world.run_for(3_000);
    assert_eq!((world.origin.pace.given, world.state()), (given, JobState::Suspended));
    world.command(JobCommand::Resume);
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    assert!(world.view().bytes.origin - 20 * MIB <= 65_536);
}

#[test]
fn cancel_leaves_nothing_and_late_facts_are_harmless() {
    let truth = file(20 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    world.run_for(500);
    world.command(JobCommand::Cancel);
    world.run_for(100);
    assert_eq!(world.state(), JobState::Cancelled);
    assert!(world.effects.iter().any(|name| name == "DropPart"));
    assert!(world.effects.iter().any(|name| name == "ForgetJob"));
    for lease in 0..200 {
        world.tell(Input::LeaseEnded { lease: LeaseId(lease), received: 1, len: None, outcome: Ok(()) });
        world.tell(Input::PartDropped { id: EffectId(lease), outcome: Ok(()) });
    }
    world.command(JobCommand::Resume);
    assert!(matches!(world.events.last(), Some(Event::CommandRefused { .. })));
    assert_eq!(world.delivered, 0);
}

#[test]
fn job_12_a_finished_job_waits_for_its_owner() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let mut wish = spec(&[]);
    wish.auto_complete = false;
    world.submit(wish);
    world.run_for(2_000);
    assert_eq!((world.state(), world.delivered), (JobState::Transferred, 0));
    world.command(JobCommand::Suspend);
    world.command(JobCommand::Resume);
    world.run_for(100);
    assert_eq!(world.state(), JobState::Transferred, "JOB-T34: without network traffic");
    world.command(JobCommand::Complete);
    assert_eq!((world.state(), world.delivered), (JobState::Acknowledged, 1));
}

#[test]
fn a_taken_name_at_the_rename_keeps_the_sealed_file() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    let message = "the name is taken".to_owned();
    world.deliver_fault = Some(LocalFault { kind: LocalFaultKind::Denied, message });
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().failure), (JobState::Error, Some(Failure::Denied)));
    world.command(JobCommand::Resume);
    world.run(MINUTE);
    assert_eq!((world.state(), world.delivered), (JobState::Acknowledged, 1));
    assert_eq!(world.view().bytes.origin, MIB);
}

#[test]
fn d44_no_space_waits_and_goes_on() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let message = "no space".to_owned();
    world.lease_fault = Some(LocalFault { kind: LocalFaultKind::NoSpace, message });
    world.submit(spec(&[]));
    world.run_for(300);
    assert_eq!((world.state(), world.view().reason.as_str()), (JobState::TransientError, "no space"));
    assert_eq!(world.view().error_count, 0, "JOB-31: a wait for a condition counts as no error");
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
}

#[test]
fn a_missing_folder_is_denied_at_once() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    let message = "no such folder".to_owned();
    world.open_fault = Some(LocalFault { kind: LocalFaultKind::NotFound, message });
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!((world.state(), world.view().failure), (JobState::Error, Some(Failure::Denied)));
    assert_eq!(world.origin.probes, 0);
}

#[test]
fn a_job_found_on_disk_goes_on_from_its_part() {
    let truth = file(20 * MIB, 1);
    let mut first = World::new(&truth);
    first.submit(spec(&[]));
    first.run_for(1_000);
    let stored = first.engine.stored_job(JOB).expect("known");
    let mut world = World::new(&truth);
    world.disk = first.disk.clone();
    let runs = first.disk.iter().map(|(piece, value)| peer_proto::standing::PieceRun {
        first: peer_proto::content::PieceIndex(*piece),
        values: vec![*value],
        standing: Standing::Certain,
    });
    world.found = PartFound { version: Some(first.origin.version.clone()), runs: runs.collect() };
    world.tell(Input::JobFound(Box::new(stored)));
    world.run(MINUTE);
    assert_eq!((world.state(), world.resets), (JobState::Acknowledged, 0));
    // What came before counts on, as far as it was told.
    let origin = world.view().bytes.origin;
    assert!((20 * MIB - 2 * 65_536..=20 * MIB).contains(&origin), "{origin}");
}

#[test]
fn a_suspended_job_found_on_disk_stays_suspended() {
    let truth = file(MIB, 1);
    let mut first = World::new(&truth);
    first.submit(spec(&[]));
    first.command(JobCommand::Suspend);
    let stored = first.engine.stored_job(JOB).expect("known");
    let mut world = World::with_flags(&truth, PeerFlags::NONE);
    world.tell(Input::JobFound(Box::new(stored)));
    world.run_for(2_000);
    assert_eq!((world.state(), world.origin.probes), (JobState::Suspended, 0));
}

#[test]
fn a_daemon_suspends_what_an_interrupted_command_left() {
    let truth = file(MIB, 1);
    let mut command = World::embedded(&truth);
    command.submit(spec(&[]));
    let stored = command.engine.stored_job(JOB).expect("known");
    let mut other_command = World::embedded(&truth);
    other_command.tell(Input::JobFound(Box::new(stored.clone())));
    other_command.run(MINUTE);
    assert_eq!(other_command.state(), JobState::Acknowledged);
    let mut daemon = World::new(&truth);
    daemon.tell(Input::JobFound(Box::new(stored)));
    daemon.run_for(2_000);
    assert_eq!((daemon.state(), daemon.origin.probes), (JobState::Suspended, 0));
    assert!(daemon.view().reason.contains("job resume"), "{}", daemon.view().reason);
    daemon.command(JobCommand::Resume);
    // From then on it is the daemon's own.
    let stored = daemon.engine.stored_job(JOB).expect("known");
    let mut again = World::new(&truth);
    again.tell(Input::JobFound(Box::new(stored)));
    again.run(MINUTE);
    assert_eq!(again.state(), JobState::Acknowledged);
}

#[test]
fn more_connections_are_tried_and_kept_only_if_they_pay() {
    let truth = file(120 * MIB, 1);
    let mut world = World::new(&truth);
    world.submit(spec(&[]));
    world.run(MINUTE);
    assert_eq!(world.state(), JobState::Acknowledged);
    let decisions = world.engine.decisions(JOB).expect("known");
    assert!(decisions.iter().any(|decision| decision.why.contains("trying 2")), "{decisions:#?}");
    assert!(decisions.iter().any(|decision| decision.why.contains("back to 1")));
    assert!(world.view().bytes.origin <= 120 * MIB + 65_536);
}

#[test]
fn sched_8_a_dynamic_job_that_is_set_down_waits_and_begins_again() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    (world.origin.version.etag, world.origin.version.len) = (None, None);
    world.submit(JobSpec { dynamic: true, priority: Priority::Foreground, ..spec(&[]) });
    world.run_for(200);
    assert_eq!(world.state(), JobState::Transferring);
    let change = |priority| {
        let change = JobChange { priority: Some(priority), ..JobChange::default() };
        JobCommand::Change(Box::new(change))
    };
    world.command(change(Priority::High));
    world.run_for(5_000);
    assert_eq!((world.state(), world.origin.leases), (JobState::Queued, 1));
    assert!(world.view().reason.contains("foreground"), "{}", world.view().reason);
    world.command(change(Priority::Foreground));
    world.run(MINUTE);
    assert_eq!((world.state(), world.origin.leases), (JobState::Acknowledged, 2));
    assert!(world.view().bytes.origin > 4 * MIB, "from zero: {}", world.view().bytes.origin);
}
