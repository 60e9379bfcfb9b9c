//! Journals and jobs that somebody or something damaged.

use std::path::{Path, PathBuf};

use nearbits::disk::memory_files::MemoryFiles;
use nearbits::disk::{DiskError, Files as _};
use nearbits::job::FileId;
use nearbits::store::folder::{self, FolderError};
use peer_proto::content::PieceIndex;
use peer_proto::peer::PeerId;
use peer_proto::standing::Standing;

use super::reference::{
    JOB, STATE, Told, check_end, fetch, jobs, live, machine, open_part, pieces_of, run_of, version,
};

fn journal() -> PathBuf {
    jobs(&MemoryFiles::new()).journal_path(FileId { job: JOB, index: 0 })
}

/// A part with two pieces in it, journalled one by one.
fn with_two_pieces(standing: Standing) -> MemoryFiles {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    jobs(&files).save(JOB, 1, &"the job").unwrap();
    let part = open_part(&files).unwrap().part;
    part.reset(&version()).unwrap();
    for piece in [0, 1] {
        fetch(&part, piece, standing).unwrap();
        part.flush().unwrap();
    }
    drop(part);
    files.kill();
    files
}

fn found(files: &MemoryFiles) -> Vec<u32> {
    let runs = open_part(files).unwrap().found.runs;
    for run in &runs {
        for (piece, value) in pieces_of(run).into_iter().zip(&run.values) {
            assert_eq!(*value, run_of(piece, run.standing).values[0], "a value nobody wrote");
        }
    }
    runs.iter().flat_map(pieces_of).collect()
}

#[test]
fn d42_a_torn_journal_counts_up_to_its_last_whole_record() {
    let whole = with_two_pieces(Standing::Certain).contents(&journal()).unwrap();
    let mut seen = Vec::new();
    for len in 0..=whole.len() {
        let files = with_two_pieces(Standing::Certain);
        files.put_kind(&journal(), nearbits::disk::FileKind::Regular, &whole[..len]);
        let pieces = found(&files);
        assert!([&[][..], &[0], &[0, 1]].contains(&&pieces[..]), "{len} bytes: {pieces:?}");
        if seen.last() != Some(&pieces.len()) {
            seen.push(pieces.len());
        }
        live(&files, &mut Told { accepted: true, ..Told::default() }).unwrap();
        check_end(&files);
    }
    assert_eq!(seen, [0, 1, 2], "more bytes, more pieces");
}

#[test]
fn d42_a_flipped_byte_anywhere_in_a_journal_ends_it_there() {
    let len = with_two_pieces(Standing::Certain).contents(&journal()).unwrap().len();
    for at in 0..len {
        let files = with_two_pieces(Standing::Certain);
        files.rot(&journal(), at, 0x10);
        match open_part(&files) {
            // The digit of its version, by the same flip.
            Err(DiskError::ForeignJournal { .. }) => assert!(at < 19, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
            Ok(_) => {
                files.kill();
                let pieces = found(&files);
                assert!(pieces.len() < 2, "byte {at}: {pieces:?}");
                live(&files, &mut Told { accepted: true, ..Told::default() }).unwrap();
                check_end(&files);
            }
        }
    }
}

#[test]
fn d42_an_empty_or_foreign_journal_is_told_apart() {
    let files = with_two_pieces(Standing::Certain);
    files.put_kind(&journal(), nearbits::disk::FileKind::Regular, &[]);
    assert_eq!(found(&files), Vec::<u32>::new());
    let files = with_two_pieces(Standing::Certain);
    let future = b"nearbits journal 2\nwhatever it says by then";
    files.put_kind(&journal(), nearbits::disk::FileKind::Regular, future);
    for _ in 0..2 {
        let error = open_part(&files).err().expect("a journal from the future is not guessed at");
        assert!(error.to_string().contains("newer nearbits"), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    assert_eq!(files.contents(&journal()).unwrap(), future, "and not touched");
}

#[test]
fn d42_a_damaged_job_is_set_aside_once_and_the_others_go_on() {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    let store = jobs(&files);
    let other = nearbits::job::JobId([8; 16]);
    store.save(JOB, 1, &"one").unwrap();
    store.save(other, 1, &"two").unwrap();
    files.rot(&PathBuf::from(STATE).join("jobs").join(JOB.to_string()).join("job.json"), 0, 0xff);
    let loaded = store.load_all::<String>().unwrap();
    assert_eq!(loaded.jobs, ["two"]);
    assert_eq!(loaded.damaged.len(), 1);
    assert!(files.contents(&loaded.damaged[0].path).is_some(), "nothing is thrown away");
    let again = store.load_all::<String>().unwrap();
    assert_eq!((again.jobs, again.damaged), (loaded.jobs, loaded.damaged), "and it is still named");
}

#[test]
fn job_33_a_job_that_cannot_be_read_is_named_with_its_parts_and_taken_up_by_who_can_read_it() {
    let files = machine();
    folder::prepare(&files, Path::new(STATE)).unwrap();
    let store = jobs(&files);
    let spec = serde_json::json!({ "files": [{ "destination": "/home/user/a.bin" }, { "destination": "/home/user/b.bin" }] });
    store.save(JOB, 2, &spec).unwrap();
    let part = PathBuf::from(format!("/home/user/.b.bin.{JOB}.part"));
    files.create_new(&part, 0o600).unwrap();
    // A version that knows other jobs than the one that wrote this.
    let loaded = store.load_all::<u32>().unwrap();
    let [damaged] = &loaded.damaged[..] else { panic!("{loaded:?}") };
    assert_eq!((damaged.job, &damaged.parts), (JOB, &vec![part.clone()]));
    let text = damaged.to_string();
    assert!(text.contains("job.json.damaged") && text.contains(&part.display().to_string()), "{text}");
    let again = store.load_all::<serde_json::Value>().unwrap();
    assert_eq!((again.jobs, again.damaged), (vec![spec.clone()], Vec::new()));
    assert_eq!(store.load_all::<serde_json::Value>().unwrap().jobs, [spec], "as it lay before");
}

#[test]
fn d42_a_foreign_version_or_a_damaged_identity_says_what_to_do() {
    let files = machine();
    let seed = folder::prepare(&files, Path::new(STATE)).unwrap();
    assert_eq!(folder::prepare(&files, Path::new(STATE)).unwrap(), seed, "one identity for ever");
    let identity = PathBuf::from(STATE).join("identity");
    let len = files.contents(&identity).unwrap().len();
    for at in 0..len {
        files.rot(&identity, at, 0x01);
        let error = folder::prepare(&files, Path::new(STATE)).unwrap_err();
        assert!(matches!(error, FolderError::DamagedIdentity { .. }), "byte {at}: {error}");
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
        files.rot(&identity, at, 0x01);
    }
    files.put_kind(
        &PathBuf::from(STATE).join("version"),
        nearbits::disk::FileKind::Regular,
        b"nearbits state 9\n",
    );
    let error = folder::prepare(&files, Path::new(STATE)).unwrap_err();
    assert!(error.to_string().contains("nearbits state 9"), "{error}");
}

#[test]
fn trust_1_after_a_kill_provisional_pieces_are_still_provisional_and_not_given_away() {
    let author = PeerId::from_public_key([3; 32]);
    let files = with_two_pieces(Standing::Provisional { author });
    let opened = open_part(&files).unwrap();
    assert_eq!(opened.found.runs.len(), 1);
    assert_eq!(opened.found.runs[0].standing, Standing::Provisional { author });
    let mut buffer = Vec::new();
    for piece in [0, 1].map(PieceIndex) {
        assert!(matches!(opened.part.read_piece(piece, &mut buffer), Err(DiskError::NotHeld { .. })));
    }
    // SHA-256 still decides: once it agreed, the engine says so, and the pieces may be given away.
    opened.part.restand(PieceIndex(0), 2, Standing::Proved);
    opened.part.flush().unwrap();
    files.kill();
    let opened = open_part(&files).unwrap();
    assert_eq!(opened.found.runs[0].standing, Standing::Proved);
    assert!(opened.part.read_piece(PieceIndex(1), &mut buffer).is_ok());
}

#[test]
fn trust_1_a_piece_whose_standing_cannot_be_read_is_a_gap() {
    let author = PeerId::from_public_key([3; 32]);
    let whole = with_two_pieces(Standing::Provisional { author }).contents(&journal()).unwrap();
    // The byte before the first place where the author stands.
    let at = whole.windows(32).position(|bytes| bytes == [3; 32]).unwrap() - 1;
    let files = with_two_pieces(Standing::Provisional { author });
    files.rot(&journal(), at, 0x04);
    assert_eq!(found(&files), Vec::<u32>::new());
}
