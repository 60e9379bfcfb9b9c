//! A queue of jobs, stopped before, within and after each of its operations, and with every call failing once.

use std::path::PathBuf;
use std::time::Duration;

use nearbits::disk::memory_files::{Fault, Loss, MemoryFiles};
use nearbits::engine::io::JobCommand;
use nearbits::job::{JobChange, JobId, JobState, Priority};

use super::office::{LEN, Office, payload, shared, spec};
use super::reference::machine;

const TAKEN: JobId = JobId([1; 16]);
const GIVEN_UP: JobId = JobId([2; 16]);
const STOPS: [Fault; 3] = [Fault::StopBefore, Fault::StopWithin, Fault::StopAfter];
const NAMES: [&str; 3] = ["a", "added", "b"];
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// What callers were told: it holds from then on, whatever happens.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    submitted: bool,
    urgent: bool,
    /// The last of Suspend and Resume that was acknowledged; `None` while another one is on its way.
    suspended: Option<bool>,
    added: bool,
    taken: bool,
    other_submitted: bool,
    /// Its cancellation was asked for, and perhaps acknowledged.
    other_cancelled: bool,
}

fn change(job: &mut Office, change: JobChange) -> bool {
    job.command(TAKEN, JobCommand::Change(Box::new(change)))
}

/// What a user does with two jobs. It goes on from what was told before; it ends early where the process stops.
fn live(files: &MemoryFiles, told: &mut Told) -> Result<Office, Box<dyn std::error::Error>> {
    let mut office = Office::start(files)?;
    assert!(office.damaged.is_empty(), "a job is whole or not there");
    check(&office, files, *told);
    if !told.submitted {
        told.submitted = office.submit(TAKEN, spec(&["a", "b"]));
    }
    if !told.other_submitted {
        told.other_submitted = office.submit(GIVEN_UP, spec(&["c", "d"]));
    }
    if !told.urgent {
        told.urgent =
            change(&mut office, JobChange { priority: Some(Priority::High), ..JobChange::default() });
    }
    let mut stand = |office: &mut Office, command: JobCommand| {
        told.suspended = None;
        let suspends = command == JobCommand::Suspend;
        told.suspended = office.command(TAKEN, command).then_some(suspends);
    };
    stand(&mut office, JobCommand::Resume);
    office.run_for(Duration::from_millis(100));
    stand(&mut office, JobCommand::Suspend);
    // A refusal is told, so a user tries once more.
    for _ in 0..2 {
        let has = office.stored(TAKEN).is_some_and(|job| job.spec.files.len() == 3);
        let add_files = spec(&["added"]).files;
        let adds = JobChange { add_files, ..JobChange::default() };
        told.added = told.added || (!has && change(&mut office, adds));
    }
    let mut stand = |office: &mut Office, command: JobCommand| {
        told.suspended = None;
        let suspends = command == JobCommand::Suspend;
        told.suspended = office.command(TAKEN, command).then_some(suspends);
    };
    stand(&mut office, JobCommand::Resume);
    office.command(GIVEN_UP, JobCommand::Resume);
    if wait_until_whole(&mut office) {
        told.suspended = None;
        office.command(TAKEN, JobCommand::Complete);
        office.run_for(Duration::from_millis(200));
    }
    told.taken |=
        !files.is_stopped() && office.view(TAKEN).is_some_and(|view| view.state == JobState::Acknowledged);
    told.other_cancelled = true;
    office.command(GIVEN_UP, JobCommand::Cancel);
    office.run_for(Duration::from_millis(200));
    Ok(office)
}

/// Waits as a user does, who tries again what failed.
fn wait_until_whole(office: &mut Office) -> bool {
    for _ in 0..100 {
        match office.view(TAKEN).map(|view| view.state) {
            Some(JobState::Transferred) => return true,
            Some(JobState::Error) => drop(office.command(TAKEN, JobCommand::Resume)),
            _ => {}
        }
        office.run_for(Duration::from_millis(200));
    }
    false
}

/// What must hold at every start.
fn check(office: &Office, files: &MemoryFiles, told: Told) {
    for name in ["a", "b", "c", "d", "added"] {
        let found = shared(files, name);
        let wanted = payload(&format!("https://example.org/{name}"));
        assert!(found.is_none_or(|bytes| *bytes == *wanted), "{name} is not what it should be");
    }
    if told.taken {
        NAMES.iter().for_each(|name| assert!(shared(files, name).is_some(), "{name} is gone"));
    }
    match office.stored(TAKEN) {
        None => assert!(told.taken || !told.submitted, "an acknowledged job is lost: {told:?}"),
        Some(job) => {
            assert!(!told.urgent || job.spec.priority == Priority::High, "{told:?}");
            assert!(!told.added || job.spec.files.len() == 3, "{told:?}");
            if told.suspended == Some(true) {
                assert_eq!(job.state, JobState::Suspended, "{told:?}");
            }
        }
    }
    if told.other_submitted && !told.other_cancelled {
        assert!(office.stored(GIVEN_UP).is_some(), "an acknowledged job is lost: {told:?}");
    }
}

/// A last life in peace: everything ends as its owner wants it.
fn finish(files: &MemoryFiles, told: &mut Told, what: &str) -> u64 {
    let mut office = live(files, told).unwrap_or_else(|error| panic!("{what}: {error}"));
    for _ in 0..3 {
        if office.view(TAKEN).is_none_or(|view| view.state.is_final()) {
            break;
        }
        // What failed for want of a disk is tried again.
        office.command(TAKEN, JobCommand::Resume);
        office.run_for(Duration::from_secs(40));
        office.command(TAKEN, JobCommand::Complete);
        office.run_for(Duration::from_secs(1));
    }
    let view = office.view(TAKEN).map(|view| (view.state, view.reason));
    for name in NAMES {
        assert!(shared(files, name).is_some(), "{what}: {name} is missing: {view:?} {told:?}");
    }
    check(&office, files, *told);
    let fetched = office.fetched;
    drop(office);
    let beside: Vec<PathBuf> = files
        .names()
        .into_iter()
        .filter(|name| name.parent() == Some(std::path::Path::new("/home/user")))
        .collect();
    let wanted: Vec<PathBuf> = NAMES.iter().map(|name| PathBuf::from("/home/user").join(name)).collect();
    assert_eq!(beside, wanted, "{what}: something is left beside the files");
    fetched
}

fn operations() -> u64 {
    let files = machine();
    let mut told = Told::default();
    live(&files, &mut told).unwrap();
    assert!(told.taken && told.other_cancelled, "{told:?}");
    files.operations()
}

/// Runs until the fault stops the process.
fn stopped_at(n: u64, fault: Fault) -> (MemoryFiles, Told) {
    let files = machine();
    let mut told = Told::default();
    files.fail_at(n, fault);
    drop(live(&files, &mut told));
    assert!(files.is_stopped(), "operation {n} was not met");
    (files, told)
}

#[test]
fn job_32_a_kill_at_any_operation_loses_nothing_that_was_acknowledged() {
    let all = operations();
    assert!(all > 100, "{all} operations are too few to be the whole story");
    for n in 0..all {
        for fault in STOPS {
            let (files, mut told) = stopped_at(n, fault);
            files.kill();
            let fetched = finish(&files, &mut told, &format!("{fault:?} at {n}"));
            assert!(fetched <= 5 * LEN, "{fault:?} at {n}: {fetched} bytes");
        }
    }
}

#[test]
fn job_32_a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    for n in 0..operations() {
        for fault in STOPS {
            for loss in [Loss::All, Loss::Nothing, Loss::Some(1 + n), Loss::Some(1_000 + n)] {
                let (files, mut told) = stopped_at(n, fault);
                files.cut_power(loss);
                finish(&files, &mut told, &format!("{fault:?} at {n}, {loss:?} lost"));
            }
        }
    }
}

#[test]
fn p9_every_call_that_fails_once_is_survived() {
    for n in 0..operations() {
        for fault in [Fault::Error(ENOSPC), Fault::Short(ENOSPC), Fault::Error(EIO), Fault::Short(EIO)] {
            let files = machine();
            let mut told = Told::default();
            files.fail_at(n, fault);
            drop(live(&files, &mut told));
            files.clear_faults();
            finish(&files, &mut told, &format!("{fault:?} at {n}"));
            files.cut_power(Loss::All);
            let office = Office::start(&files).unwrap();
            check(&office, &files, told);
        }
    }
}
