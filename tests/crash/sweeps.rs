//! The reference job, stopped before, within and after each of its operations.

use nearbits::disk::memory_files::{Fault, Loss, MemoryFiles, Operation};
use nearbits::job::FileId;

use super::reference::{JOB, Told, check, check_end, jobs, live, machine};

const STOPS: [Fault; 3] = [Fault::StopBefore, Fault::StopWithin, Fault::StopAfter];

/// Operations of an undisturbed life.
fn operations() -> u64 {
    let files = machine();
    live(&files, &mut Told::default()).unwrap();
    check_end(&files);
    files.operations()
}

/// Runs until the fault stops the process.
fn stopped_at(n: u64, fault: Fault) -> (MemoryFiles, Told) {
    let files = machine();
    let mut told = Told::default();
    files.fail_at(n, fault);
    let outcome = live(&files, &mut told);
    // The last operations may fail unseen: what they clean up is swept at the next start.
    assert!(outcome.is_err() || files.is_stopped(), "operation {n} was not met");
    check(&files, &told);
    (files, told)
}

fn finish(files: &MemoryFiles, told: &mut Told, what: &str) {
    let before = told.clone();
    check(files, told);
    live(files, told).unwrap_or_else(|error| panic!("{what}: {error}"));
    if before.accepted && before.seed.is_some() {
        assert_eq!(told.seed, before.seed, "{what}: another identity");
    }
    check(files, told);
    check_end(files);
}

#[test]
fn d40_a_kill_at_any_operation_loses_no_accepted_job_and_no_journalled_piece() {
    let all = operations();
    assert!(all > 30, "{all} operations are too few to be the whole story");
    for n in 0..all {
        for fault in STOPS {
            let (files, mut told) = stopped_at(n, fault);
            files.kill();
            let kept = told.journalled.clone();
            finish(&files, &mut told, &format!("{fault:?} at {n}"));
            assert!(
                told.fetched.iter().all(|piece| !kept.contains(piece)),
                "{fault:?} at {n}: {:?} fetched again although {kept:?} were journalled",
                told.fetched
            );
        }
    }
}

#[test]
fn d41_t26_a_power_cut_at_any_operation_loses_nothing_that_was_synced() {
    for n in 0..operations() {
        for fault in STOPS {
            let losses =
                [Loss::All, Loss::Nothing].into_iter().chain((1..=6).map(|seed| Loss::Some(seed + n)));
            for loss in losses {
                let (files, mut told) = stopped_at(n, fault);
                files.cut_power(loss);
                let kept = told.synced.clone();
                finish(&files, &mut told, &format!("{fault:?} at {n}, {loss:?} lost"));
                assert!(
                    told.fetched.iter().all(|piece| !kept.contains(piece)),
                    "{fault:?} at {n}, {loss:?} lost: {:?} fetched again although {kept:?} were synced",
                    told.fetched
                );
            }
        }
    }
}

#[test]
fn d43_a_stop_inside_recovery_twice_changes_nothing() {
    let all = operations();
    for n in (0..all).step_by(2) {
        for m in (n % 3..40).step_by(3) {
            let (files, mut told) = stopped_at(n, Fault::StopAfter);
            files.cut_power(Loss::Some(n * 64 + m));
            for (again, fault) in [(m, Fault::StopWithin), (m / 2, Fault::StopAfter)] {
                files.fail_at(again, fault);
                let outcome = live(&files, &mut told);
                check(&files, &told);
                if outcome.is_ok() && !files.is_stopped() {
                    break;
                }
                files.cut_power(Loss::Some(m + 1));
            }
            files.clear_faults();
            finish(&files, &mut told, &format!("stop after {n}, then twice around {m}"));
        }
    }
}

#[test]
fn d40_a_stop_after_the_rename_finds_the_delivered_file_and_ends_the_job() {
    let files = machine();
    let mut told = Told::default();
    live(&files, &mut told).unwrap();
    // Find the rename that delivers: after it, the process stops; at the next start the name is taken, by us.
    let mut met = false;
    for n in 0..files.operations() {
        let (files, mut told) = stopped_at(n, Fault::StopAfter);
        let is_delivered = files.contents(std::path::Path::new(super::reference::DESTINATION)).is_some();
        let is_known = files.contents(&jobs(&files).journal_path(FileId { job: JOB, index: 0 })).is_some();
        if is_delivered && is_known && !told.delivered {
            met = true;
            files.kill();
            finish(&files, &mut told, "stopped after the rename");
            assert_eq!(told.fetched, Vec::<u32>::new(), "the delivered file was fetched again");
        }
    }
    assert!(met, "no such moment was found");
}

#[test]
fn a_small_job_makes_at_most_six_syncs() {
    use nearbits::disk::seal::Next;
    use peer_proto::standing::Standing;

    use super::reference::{fetch, open_part, sha256, version};

    let files = machine();
    nearbits::store::folder::prepare(&files, std::path::Path::new(super::reference::STATE)).unwrap();
    let count = || files.count(Operation::Sync) + files.count(Operation::SyncFolder);
    let before = count();
    let store = jobs(&files);
    store.save(JOB, 1, &"the job").unwrap();
    let part = open_part(&files).unwrap().part;
    part.reset(&version()).unwrap();
    (0..3).for_each(|piece| fetch(&part, piece, Standing::Certain).unwrap());
    part.seal(&[sha256()], &[], Next::Delivery).unwrap();
    part.deliver().unwrap();
    store.remove(JOB).unwrap();
    assert_eq!(count() - before, 6);
}
