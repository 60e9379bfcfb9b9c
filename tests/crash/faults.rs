//! Full disks, disks that fail once, disks that forget.

use std::io::ErrorKind;
use std::path::Path;

use nearbits::disk::DiskError;
use nearbits::disk::memory_files::{Fault, Loss, Operation};
use nearbits::disk::seal::{Next, SealError};
use nearbits::store::folder;
use peer_proto::content::PieceIndex;
use peer_proto::standing::Standing;

use super::reference::{
    DESTINATION, JOB, LEN, STATE, Told, check, check_end, fetch, jobs, live, machine, open_part, payload,
    sha256, version,
};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

#[test]
fn d44_t27_no_space_or_an_error_at_any_operation_is_said_and_the_job_goes_on_later() {
    let files = machine();
    live(&files, &mut Told::default()).unwrap();
    for n in 0..files.operations() {
        for fault in [Fault::Error(ENOSPC), Fault::Short(ENOSPC), Fault::Error(EIO), Fault::Short(EIO)] {
            let files = machine();
            let mut told = Told::default();
            files.fail_at(n, fault);
            // Only cleaning up may fail unseen.
            let outcome = live(&files, &mut told);
            check(&files, &told);
            if let Err(error) = &outcome {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
            files.clear_faults();
            live(&files, &mut told).unwrap_or_else(|error| panic!("{fault:?} at {n}, then: {error}"));
            check(&files, &told);
            // And what was said to be durable is.
            files.cut_power(Loss::All);
            check(&files, &told);
            live(&files, &mut told).unwrap_or_else(|error| panic!("{fault:?} at {n}, power cut: {error}"));
            check_end(&files);
        }
    }
}

#[test]
fn d44_a_full_disk_is_named_as_such_and_nothing_stored_is_lost() {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    jobs(&files).save(JOB, 1, &"the job").unwrap();
    let part = open_part(&files).unwrap().part;
    part.reset(&version()).unwrap();
    fetch(&part, 0, Standing::Certain).unwrap();
    files.set_space(Some(LEN / 2));
    let error = fetch(&part, 2, Standing::Certain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    files.set_space(None);
    [1, 2].into_iter().for_each(|piece| fetch(&part, piece, Standing::Certain).unwrap());
    part.seal(&[sha256()], &[], Next::Delivery).unwrap();
    part.deliver().unwrap();
    assert_eq!(files.contents(Path::new(DESTINATION)), Some(payload()));
}

#[test]
fn d45_after_a_failed_sync_nothing_is_believed_until_it_was_written_again() {
    // How many syncs of the part's bytes there are, counted in an undisturbed life.
    let files = machine();
    live(&files, &mut Told::default()).unwrap();
    let mut failed = 0;
    for n in 0..files.operations() {
        let files = machine();
        folder::prepare(&files, Path::new(STATE)).unwrap();
        jobs(&files).save(JOB, 1, &"the job").unwrap();
        let part = open_part(&files).unwrap().part;
        part.reset(&version()).unwrap();
        files.fail_at(n, Fault::Error(EIO));
        let syncs = files.count(Operation::Sync);
        let store = |piece| fetch(&part, piece, Standing::Certain);
        let first = store(0).and_then(|()| store(1)).and_then(|()| part.sync());
        if files.count(Operation::Sync) > syncs && first.is_err() {
            failed += 1;
        }
        // Whatever it was: the job tries again, in the same process, with the same part.
        let held: Vec<u32> = part.runs().iter().flat_map(super::reference::pieces_of).collect();
        for piece in (0..3).filter(|piece| !held.contains(piece)) {
            store(piece).or_else(|_| store(piece)).unwrap();
        }
        let seal = || part.seal(&[sha256()], &[], Next::Waiting);
        let sealed = seal().or_else(|_| seal()).unwrap_or_else(|error| panic!("at {n}: {error}"));
        assert_eq!(sealed.digests, [sha256()]);
        // Sealed means durable: were the lost bytes only in memory, this would show it.
        drop(part);
        files.cut_power(Loss::All);
        let opened = open_part(&files).unwrap();
        assert_eq!(opened.found.runs.iter().map(|run| run.values.len()).sum::<usize>(), 3, "at {n}");
        opened.part.seal(&[sha256()], &[], Next::Delivery).unwrap();
        opened.part.deliver().unwrap();
        assert_eq!(files.contents(Path::new(DESTINATION)), Some(payload()));
    }
    assert!(failed >= 2, "both the bytes' and the journal's sync must have failed once, {failed} did");
}

#[test]
fn d45_bytes_that_changed_under_a_failed_sync_are_gaps() {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    jobs(&files).save(JOB, 1, &"the job").unwrap();
    let part = open_part(&files).unwrap().part;
    part.reset(&version()).unwrap();
    (0..3).for_each(|piece| fetch(&part, piece, Standing::Certain).unwrap());
    files.fail_at(0, Fault::Error(EIO));
    assert!(part.sync().is_err());
    files.rot(part.path(), 70_000, 0x40);
    match part.seal(&[], &[], Next::Delivery) {
        Err(SealError::Rotten { pieces }) => assert_eq!(pieces, [PieceIndex(1)]),
        other => panic!("{other:?}"),
    }
    assert_eq!(files.contents(Path::new(DESTINATION)), None);
    fetch(&part, 1, Standing::Certain).unwrap();
    part.seal(&[sha256()], &[], Next::Delivery).unwrap();
    part.deliver().unwrap();
}

#[test]
fn a_digest_that_differs_because_the_disk_rotted_says_so() {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    let part = {
        jobs(&files).save(JOB, 1, &"the job").unwrap();
        open_part(&files).unwrap().part
    };
    part.reset(&version()).unwrap();
    (0..3).for_each(|piece| fetch(&part, piece, Standing::Certain).unwrap());
    let wrong = peer_proto::digest::Digest::new(peer_proto::digest::Algorithm::Sha256, vec![1; 32]).unwrap();
    match part.seal(&[wrong], &[], Next::Delivery) {
        Err(SealError::Mismatch { found, .. }) => assert_eq!(found, sha256()),
        other => panic!("{other:?}"),
    }
    files.rot(part.path(), 3, 0x40);
    let digest = peer_proto::digest::Digest::new(peer_proto::digest::Algorithm::Sha512, vec![1; 64]).unwrap();
    match part.seal(&[digest], &[], Next::Delivery) {
        Err(SealError::Rotten { pieces }) => assert_eq!(pieces, [PieceIndex(0)]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(part.deliver(), Ok(()) | Err(DiskError::Io { .. })));
}
