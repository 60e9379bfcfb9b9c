//! Parts on real files, and what two sources, links and full names do to them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;
use peer_proto::verify::piece_values;
use peer_proto::version::Version;
use sha2::Digest as _;

use super::seal::{Next, SealError};
use super::{Opened, Part, Writer};
use crate::disk::memory_files::{MemoryFiles, Operation};
use crate::disk::{DiskError, Existing, FileKind, Files, RealFiles};

const PIECE: usize = 65_536;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 31 + at / 251 * 7 + at / PIECE) % 256).unwrap()).collect()
}

fn version(len: usize) -> Version {
    Version {
        final_origin: "https://example.org:443".into(),
        etag: Some("\"v1\"".into()),
        last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
        len: Some(u64::try_from(len).unwrap()),
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(Algorithm::Sha256, sha2::Sha256::digest(bytes).to_vec()).unwrap()
}

fn run(all: &[u8], first: u32, count: usize, standing: Standing) -> PieceRun {
    let cut = Geometry::of(u64::try_from(all.len()).unwrap()).unwrap();
    let piece_len = usize::try_from(cut.piece_len()).unwrap();
    let from = usize::try_from(first).unwrap() * piece_len;
    let to = (from + count * piece_len).min(all.len());
    PieceRun {
        first: PieceIndex(first),
        values: piece_values(&cut, PieceIndex(first), &all[from..to]).unwrap(),
        standing,
    }
}

/// Writes and commits pieces whose length is 64 KiB.
fn fetch<F: Files>(part: &Part<F>, all: &[u8], pieces: std::ops::Range<usize>) -> Result<(), DiskError> {
    for piece in pieces {
        let bytes = &all[piece * PIECE..((piece + 1) * PIECE).min(all.len())];
        part.write_at(Writer(1), u64::try_from(piece * PIECE).unwrap(), bytes)?;
        part.commit(&run(all, u32::try_from(piece).unwrap(), 1, Standing::Certain))?;
    }
    Ok(())
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("home")).unwrap();
        Self(place)
    }
    fn destination(&self) -> PathBuf {
        self.0.path().join("home/update.bin")
    }
    fn part_path(&self) -> PathBuf {
        self.0.path().join("home/.update.bin.job.part")
    }
    fn open(&self, existing: Existing) -> Result<Opened<RealFiles>, DiskError> {
        Part::open(&RealFiles, &self.destination(), "job", &self.0.path().join("0.journal"), existing)
    }
    fn fresh(&self, len: usize) -> Part<RealFiles> {
        let part = self.open(Existing::Refuse).unwrap().part;
        part.reset(&version(len)).unwrap();
        part
    }
}

#[test]
fn file_5_the_final_name_appears_only_whole_and_by_rename() {
    let (place, all) = (Place::new(), payload(3 * PIECE + 9));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..3).unwrap();
    let partial = std::fs::metadata(place.part_path()).unwrap();
    assert_eq!(partial.permissions().mode() & 0o777, 0o600);
    assert!(!place.destination().exists());
    let Err(SealError::Rotten { pieces }) = part.seal(&[], &[], Next::Waiting) else {
        panic!("a piece is missing")
    };
    assert_eq!(pieces, [PieceIndex(3)]);
    fetch(&part, &all, 3..4).unwrap();
    let sealed = part.seal(&[sha256(&all)], &[Algorithm::Sha512], Next::Waiting).unwrap();
    assert_eq!(sealed.content.root.0, *blake3::hash(&all).as_bytes());
    assert_eq!(sealed.digests.len(), 2);
    assert!(!place.destination().exists());
    part.deliver().unwrap();
    assert_eq!(std::fs::read(place.destination()).unwrap(), all);
    assert_eq!(std::fs::metadata(place.destination()).unwrap().ino(), partial.ino());
    assert!(!place.part_path().exists());
}

#[test]
fn file_11_a_delivered_file_has_the_origins_time_and_the_users_mode() {
    let (place, all) = (Place::new(), payload(10));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..1).unwrap();
    part.seal(&[], &[], Next::Delivery).unwrap();
    part.deliver().unwrap();
    part.deliver().unwrap();
    let delivered = std::fs::metadata(place.destination()).unwrap();
    assert_eq!(delivered.mtime(), 1_795_255_200);
    let umask = crate::disk::files::umask(&RealFiles);
    assert_eq!(delivered.permissions().mode() & 0o777, 0o666 & !umask);
}

#[test]
fn files_of_every_telling_length_are_sealed() {
    for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
        let (place, all) = (Place::new(), payload(len));
        let part = place.fresh(len);
        fetch(&part, &all, 0..len.div_ceil(PIECE)).unwrap();
        let sealed = part.seal(&[sha256(&all)], &[], Next::Delivery).unwrap();
        assert_eq!(sealed.content.root.0, *blake3::hash(&all).as_bytes(), "{len} bytes");
        part.deliver().unwrap();
        assert_eq!(std::fs::read(place.destination()).unwrap(), all);
    }
}

#[test]
fn a_length_learned_at_the_end_makes_pieces_of_what_was_written() {
    let (place, all) = (Place::new(), payload(2 * PIECE + 1));
    let part = place.open(Existing::Refuse).unwrap().part;
    part.reset(&Version { len: None, ..version(0) }).unwrap();
    for (at, bytes) in all.chunks(1000).enumerate() {
        part.write_at(Writer(1), u64::try_from(at * 1000).unwrap(), bytes).unwrap();
    }
    assert!(matches!(part.commit(&run(&all, 0, 3, Standing::Certain)), Err(DiskError::LengthUnknown { .. })));
    part.set_len(u64::try_from(all.len()).unwrap()).unwrap();
    assert!(part.set_len(5).is_err());
    part.commit(&run(&all, 0, 3, Standing::Certain)).unwrap();
    part.flush().unwrap();
    drop(part);
    let found = place.open(Existing::Refuse).unwrap();
    assert_eq!(found.found.len, Some(u64::try_from(all.len()).unwrap()));
    found.part.seal(&[sha256(&all)], &[], Next::Delivery).unwrap();
}

#[test]
fn wire_6_bytes_of_two_sources_in_one_piece_are_read_back_before_they_count() {
    let (place, all) = (Place::new(), payload(2 * PIECE));
    let part = place.fresh(all.len());
    part.write_at(Writer(1), 0, &all[..PIECE]).unwrap();
    // A liar writes into the same piece before the first source's hash was compared.
    part.write_at(Writer(2), 100, &[0xee; 10]).unwrap();
    let outcome = part.commit(&run(&all, 0, 1, Standing::Proved));
    assert!(matches!(outcome, Err(DiskError::NotHeld { piece: PieceIndex(0), .. })));
    assert!(part.is_empty());
    // The same again by an honest second source costs only the reading back.
    part.write_at(Writer(1), 0, &all[..PIECE]).unwrap();
    part.write_at(Writer(3), 0, &all[..PIECE]).unwrap();
    part.commit(&run(&all, 0, 1, Standing::Proved)).unwrap();
    // And a late block changes nothing any more.
    part.write_at(Writer(2), 50, &[0xee; PIECE]).unwrap();
    let mut buffer = Vec::new();
    part.read_piece(PieceIndex(0), &mut buffer).unwrap();
    assert_eq!(buffer, all[..PIECE]);
    let mut second = [0; 50];
    part.read_at(u64::try_from(PIECE).unwrap(), &mut second).unwrap();
    assert_eq!(second, [0xee; 50], "the piece that was still a gap took its bytes");
}

#[test]
fn suspect_pieces_are_written_anew_and_are_gaps_before_that_even_for_the_next_process() {
    let (place, all) = (Place::new(), payload(2 * PIECE));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..2).unwrap();
    part.flush().unwrap();
    part.restand(PieceIndex(1), 1, Standing::Suspect);
    part.write_at(Writer(9), u64::try_from(PIECE).unwrap(), &[1, 2, 3]).unwrap();
    drop(part);
    // As after `kill -9`: nothing was flushed since.
    let found = place.open(Existing::Refuse).unwrap().found;
    assert_eq!(found.runs, [run(&all, 0, 1, Standing::Certain)]);
}

#[test]
fn t26_kill_9_costs_at_most_four_mib() {
    let files = MemoryFiles::new();
    files.put_kind(Path::new("/home"), FileKind::Folder, &[]);
    let all = payload(10 << 20);
    let open =
        || Part::open(&files, Path::new("/home/f"), "job", Path::new("/home/j"), Existing::Refuse).unwrap();
    let part = open().part;
    part.reset(&version(all.len())).unwrap();
    fetch(&part, &all, 0..130).unwrap();
    drop(part);
    files.kill();
    let kept: usize = open().found.runs.iter().map(|run| run.values.len() * PIECE).sum();
    assert!(130 * PIECE - kept <= 4 << 20, "{kept} of {} kept", 130 * PIECE);
    assert!(kept > 0);
}

#[test]
fn a_sync_is_due_after_a_second_or_64_mib_and_not_before() {
    let files = MemoryFiles::new();
    files.put_kind(Path::new("/home"), FileKind::Folder, &[]);
    let all = payload(80 << 20);
    let part =
        Part::open(&files, Path::new("/home/f"), "job", Path::new("/home/j"), Existing::Refuse).unwrap().part;
    part.reset(&version(all.len())).unwrap();
    let at = |ms| Instant::ZERO.after(Duration::from_millis(ms));
    assert!(!part.sync_if_due(at(0)).unwrap(), "nothing waits");
    fetch(&part, &all, 0..1).unwrap();
    assert!(!part.sync_if_due(at(5_000)).unwrap(), "the second begins now");
    assert!(!part.sync_if_due(at(5_999)).unwrap());
    assert!(part.sync_if_due(at(6_000)).unwrap());
    assert_eq!(files.count(Operation::Sync), 2, "bytes and journal");
    assert!(!part.sync_if_due(at(60_000)).unwrap());
    fetch(&part, &all, 1..1024).unwrap();
    assert!(!part.sync_if_due(at(60_000)).unwrap(), "63.9 MiB");
    fetch(&part, &all, 1024..1026).unwrap();
    assert!(part.sync_if_due(at(60_001)).unwrap());
}

#[test]
fn t21_foreign_things_under_the_parts_name_are_not_touched() {
    let place = Place::new();
    let other = place.0.path().join("other");
    std::fs::write(&other, b"precious").unwrap();
    let ways: [(&str, &dyn Fn()); 4] = [
        ("a link", &|| symlink(&other, place.part_path()).unwrap()),
        ("a second name", &|| std::fs::hard_link(&other, place.part_path()).unwrap()),
        ("a folder", &|| std::fs::create_dir(place.part_path()).unwrap()),
        ("a pipe", &|| make_pipe(&place.part_path())),
    ];
    for (what, put) in ways {
        put();
        assert!(matches!(place.open(Existing::Refuse), Err(DiskError::InTheWay { .. })), "{what}");
        assert_eq!(std::fs::read(&other).unwrap(), b"precious", "{what}");
        std::fs::remove_file(place.part_path()).or_else(|_| std::fs::remove_dir(place.part_path())).unwrap();
    }
}

#[test]
fn t21_a_part_that_was_exchanged_is_not_delivered() {
    let (place, all) = (Place::new(), payload(100));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..1).unwrap();
    part.seal(&[], &[], Next::Waiting).unwrap();
    std::fs::rename(place.part_path(), place.0.path().join("mine")).unwrap();
    std::fs::write(place.part_path(), b"theirs").unwrap();
    assert!(matches!(part.deliver(), Err(DiskError::InTheWay { .. })));
    assert!(!place.destination().exists());
    part.drop_part().unwrap();
    assert_eq!(std::fs::read(place.part_path()).unwrap(), b"theirs", "not ours to remove");
}

#[test]
fn t21_d36_a_folder_that_was_exchanged_gets_nothing() {
    for (way, is_a_link) in [("by a link to another folder", true), ("by a new folder", false)] {
        let (place, all) = (Place::new(), payload(100));
        let part = place.fresh(all.len());
        fetch(&part, &all, 0..1).unwrap();
        part.seal(&[], &[], Next::Waiting).unwrap();
        let (home, moved, other) =
            (place.0.path().join("home"), place.0.path().join("moved"), place.0.path().join("other"));
        std::fs::rename(&home, &moved).unwrap();
        std::fs::create_dir(&other).unwrap();
        if is_a_link {
            symlink(&other, &home).unwrap()
        } else {
            std::fs::create_dir(&home).unwrap()
        }
        assert!(matches!(part.deliver(), Err(DiskError::Io { .. })), "{way}");
        for folder in [&home, &moved, &other] {
            assert!(!folder.join("update.bin").exists(), "{way}: {}", folder.display());
        }
        std::fs::remove_file(&home).or_else(|_| std::fs::remove_dir(&home)).unwrap();
        std::fs::rename(&moved, &home).unwrap();
        part.deliver().unwrap();
        assert_eq!(std::fs::read(place.destination()).unwrap(), all, "{way}, and back again");
    }
}

#[test]
fn d36_a_destination_on_another_file_system_than_the_state_is_served_by_rename_too() {
    let (state, all) = (Place::new(), payload(3 * PIECE));
    let device = |path: &Path| std::fs::metadata(path).map(|stat| stat.dev()).ok();
    let places = ["/dev/shm", "/tmp", "/var/tmp"].map(Path::new).into_iter();
    let mut others =
        places.filter(|place| device(place).is_some_and(|one| Some(one) != device(state.0.path())));
    // A machine with one file system only shows nothing here.
    let Some(elsewhere) = others.find_map(|place| tempfile::tempdir_in(place).ok()) else { return };
    let destination = elsewhere.path().join("update.bin");
    let journal = state.0.path().join("0.journal");
    let part = Part::open(&RealFiles, &destination, "job", &journal, Existing::Refuse).unwrap().part;
    part.reset(&version(all.len())).unwrap();
    fetch(&part, &all, 0..3).unwrap();
    part.seal(&[], &[], Next::Waiting).unwrap();
    part.deliver().unwrap();
    assert_eq!(std::fs::read(&destination).unwrap(), all);
}

#[test]
fn t22_d36_a_destination_that_cannot_be_is_refused_in_one_line() {
    let place = Place::new();
    let home = place.0.path().join("home");
    std::fs::create_dir(home.join("folder")).unwrap();
    std::fs::write(home.join("file"), b"old").unwrap();
    symlink(home.join("file"), home.join("link")).unwrap();
    symlink(home.join("nothing"), home.join("dangling")).unwrap();
    make_pipe(&home.join("pipe"));
    let long = format!("{}/{}", home.display(), "n".repeat(256));
    let check = |path: &Path, existing| crate::disk::paths::check_destination(&RealFiles, path, existing);
    let cases = [
        (PathBuf::from("relative/file"), "not an absolute path"),
        (home.join("missing/file"), "does not exist"),
        (home.join("file/below"), "is not a folder"),
        (home.join("folder"), "is a folder"),
        (home.join("new/"), "does not name a file"),
        (home.join(".."), "does not name a file"),
        (home.join("nul\0byte"), "does not name a file"),
        (home.join("link"), "symbolic link"),
        (home.join("dangling"), "symbolic link"),
        (home.join("pipe"), "not a regular file"),
        (PathBuf::from("/dev/null"), "not a regular file"),
        (PathBuf::from("/"), "does not name a file"),
        (PathBuf::from(long), "too long"),
    ];
    for (path, says) in cases {
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = check(&path, existing).expect_err(says).to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{path:?}: {error}");
        }
    }
    let error = check(&home.join("file"), Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");
    assert!(check(&home.join("file"), Existing::Replace).is_ok());
    assert!(check(&home.join("n".repeat(255)), Existing::Refuse).is_ok());
}

#[test]
fn d36_read_only_folders_and_foreign_files_are_refused() {
    let files = MemoryFiles::new();
    files.put(Path::new("/home/theirs"), b"x");
    files.act_as(2000);
    let check = |existing| crate::disk::paths::check_destination(&files, Path::new("/home/theirs"), existing);
    assert!(check(Existing::Replace).unwrap_err().to_string().contains("another user"));
    files.set_mode_of(Path::new("/home"), 0o555);
    let error = crate::disk::paths::check_destination(&files, Path::new("/home/new"), Existing::Refuse);
    assert!(error.unwrap_err().to_string().contains("cannot be written"));
}

#[test]
fn t22_a_name_taken_meanwhile_stays_with_whoever_took_it_and_the_part_stays_too() {
    let (place, all) = (Place::new(), payload(100));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..1).unwrap();
    part.seal(&[], &[], Next::Waiting).unwrap();
    std::fs::write(place.destination(), b"first").unwrap();
    let error = part.deliver().unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    assert_eq!(std::fs::read(place.destination()).unwrap(), b"first");
    assert_eq!(std::fs::metadata(place.part_path()).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(place.destination()).unwrap();
    part.deliver().unwrap();
    assert_eq!(std::fs::read(place.destination()).unwrap(), all);
}

#[test]
fn an_existing_file_is_replaced_where_that_was_asked_for() {
    let (place, all) = (Place::new(), payload(100));
    std::fs::write(place.destination(), b"old").unwrap();
    let part = place.open(Existing::Replace).unwrap().part;
    part.reset(&version(all.len())).unwrap();
    fetch(&part, &all, 0..1).unwrap();
    part.seal(&[], &[], Next::Delivery).unwrap();
    assert_eq!(std::fs::read(place.destination()).unwrap(), b"old");
    part.deliver().unwrap();
    assert_eq!(std::fs::read(place.destination()).unwrap(), all);
}

#[test]
fn a_part_whose_version_was_unknown_is_pinned_and_keeps_its_pieces() {
    let (place, all) = (Place::new(), payload(3 * PIECE));
    let part = place.open(Existing::Refuse).unwrap().part;
    let unknown =
        Version { final_origin: String::new(), etag: None, last_modified: None, ..version(all.len()) };
    part.reset(&unknown).unwrap();
    fetch(&part, &all, 0..2).unwrap();
    assert!(matches!(part.pin(&version(all.len() + 1)), Err(DiskError::BeyondEnd { .. })));
    part.pin(&version(all.len())).unwrap();
    drop(part);
    let again = place.open(Existing::Refuse).unwrap();
    assert_eq!(again.found.version, Some(version(all.len())));
    assert_eq!(again.found.runs.iter().map(|run| run.values.len()).sum::<usize>(), 2);
}

#[test]
fn trust_1_a_provisional_piece_is_given_by_its_value_only_and_a_suspect_one_never() {
    let (place, all) = (Place::new(), payload(2 * PIECE));
    let part = place.fresh(all.len());
    let author = PeerId::from_public_key([5; 32]);
    part.write_at(Writer(1), 0, &all).unwrap();
    let held = run(&all, 0, 2, Standing::Provisional { author });
    part.commit(&held).unwrap();
    let values = held.values;
    let mut buffer = Vec::new();
    assert!(matches!(part.append_pieces(0..2, &mut buffer), Err(DiskError::NotHeld { .. })));
    part.append_by_value(0..2, &values, &mut buffer).unwrap();
    assert_eq!(buffer, all);
    let other = [values[0], values[0]];
    assert!(matches!(part.append_by_value(0..2, &other, &mut Vec::new()), Err(DiskError::NotHeld { .. })));
    assert!(part.append_by_value(0..2, &values[..1], &mut Vec::new()).is_err(), "a piece without a value");
    part.restand(PieceIndex(1), 1, Standing::Suspect);
    assert!(part.append_by_value(1..2, &values[1..], &mut Vec::new()).is_err());
    part.append_by_value(0..1, &values[..1], &mut Vec::new()).unwrap();
}

#[test]
fn a_delivered_file_is_known_again_though_its_journal_calls_a_piece_suspect() {
    let (place, all) = (Place::new(), payload(3 * PIECE));
    let part = place.fresh(all.len());
    fetch(&part, &all, 0..3).unwrap();
    part.restand(PieceIndex(1), 1, Standing::Suspect);
    part.seal(&[sha256(&all)], &[], Next::Delivery).unwrap();
    part.deliver().unwrap();
    // The process stops before anybody says that the piece is proved now.
    drop(part);
    let again = place.open(Existing::Refuse).unwrap();
    assert!(again.found.runs.iter().all(|run| run.standing != Standing::Suspect), "{:?}", again.found.runs);
    assert_eq!(again.found.runs.iter().map(|run| run.values.len()).sum::<usize>(), 3);
    again.part.seal(&[sha256(&all)], &[], Next::Delivery).unwrap();
    again.part.deliver().unwrap();
    assert_eq!(std::fs::read(place.destination()).unwrap(), all);
}

#[test]
fn a_mixed_piece_stays_mixed_until_what_lies_there_was_looked_at() {
    let (place, all) = (Place::new(), payload(PIECE));
    let other: Vec<u8> = all.iter().map(|byte| byte ^ 0x5a).collect();
    let part = place.fresh(all.len());
    // Two writers, each with a value of its own; the file ends up half of each.
    part.write_at(Writer(1), 0, &other).unwrap();
    part.write_at(Writer(2), 0, &all[..PIECE / 2]).unwrap();
    let first = run(&other, 0, 1, Standing::Certain);
    assert!(matches!(part.commit(&first), Err(DiskError::NotHeld { .. })));
    let second = run(&all, 0, 1, Standing::Proved);
    assert!(matches!(part.commit(&second), Err(DiskError::NotHeld { .. })), "nobody believes it unread");
    part.write_at(Writer(3), 0, &all).unwrap();
    part.commit(&second).unwrap();
    assert_eq!(part.runs(), [second]);
}

#[test]
fn a_piece_that_made_room_is_read_before_its_first_writer_is_believed() {
    let (place, all) = (Place::new(), payload(PIECE));
    let other: Vec<u8> = all.iter().map(|byte| byte ^ 0x5a).collect();
    let part = place.fresh(all.len());
    part.write_at(Writer(1), 0, &all).unwrap();
    part.write_at(Writer(2), 0, &other).unwrap();
    let author = peer_proto::peer::PeerId::from_public_key([1; 32]);
    part.commit(&run(&other, 0, 1, Standing::Provisional { author })).unwrap();
    let certain = run(&all, 0, 1, Standing::Certain);
    part.make_room(&certain).unwrap();
    assert!(matches!(part.commit(&certain), Err(DiskError::NotHeld { .. })), "the other's bytes lie there");
    part.write_at(Writer(1), 0, &all).unwrap();
    part.commit(&certain).unwrap();
    // A word does not make it less.
    part.commit(&run(&all, 0, 1, Standing::Provisional { author })).unwrap();
    assert_eq!(part.runs(), [certain]);
}

#[test]
fn file_6_a_name_of_255_bytes_has_a_part_too() {
    let place = Place::new();
    let destination = place.0.path().join("home").join("ä".repeat(127) + "z");
    let tag = "0123456789abcdef0123456789abcdef";
    let opened =
        Part::open(&RealFiles, &destination, tag, &place.0.path().join("0.journal"), Existing::Refuse)
            .unwrap();
    let name = opened.part.path().file_name().unwrap().to_str().expect("cut between characters").to_owned();
    assert!(name.len() <= 255 && name.ends_with(&format!(".{tag}.part")) && name.starts_with(".ä"));
    opened.part.drop_part().unwrap();
    assert_eq!(std::fs::read_dir(place.0.path().join("home")).unwrap().count(), 0);
}

#[test]
fn writes_and_commits_beyond_the_end_are_refused() {
    let (place, all) = (Place::new(), payload(100));
    let part = place.fresh(all.len());
    assert!(matches!(part.write_at(Writer(1), 50, &[0; 51]), Err(DiskError::BeyondEnd { .. })));
    assert!(matches!(part.write_at(Writer(1), u64::MAX, &[0; 51]), Err(DiskError::BeyondEnd { .. })));
    let mut two = run(&all, 0, 1, Standing::Certain);
    two.values.push(two.values[0]);
    assert!(matches!(part.commit(&two), Err(DiskError::BeyondEnd { .. })));
}

fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
