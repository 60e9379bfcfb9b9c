//! Records over real files that their owner edits, cuts, exchanges and removes.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::verify::{HashList, ListPart, piece_values};

use super::{Cache, CacheError, Change, CopyOutcome, Keep};
use crate::disk::RealFiles;
use crate::record::{CacheLimits, CacheSize, Holding, KeepAs, RecordId, RecordSummary, Scope};
use crate::store::Index;

const PIECE: usize = 65_536;
const ID: RecordId = RecordId([1; 16]);
/// More than any test needs.
const LIMITS: CacheLimits = CacheLimits { size: CacheSize::Share(80), age_days: 90, keep: KeepAs::Copy };

fn payload() -> Vec<u8> {
    (0..4 * PIECE + 33).map(|at| u8::try_from((at * 31 + at / 251 * 7 + at / PIECE) % 256).unwrap()).collect()
}

fn list(all: &[u8]) -> Arc<HashList> {
    let len = u64::try_from(all.len()).unwrap();
    let values = piece_values(&Geometry::of(len).unwrap(), PieceIndex(0), all).unwrap();
    Arc::new(HashList::from_values(len, values).unwrap())
}

fn keep(id: RecordId, all: &[u8]) -> Keep {
    Keep {
        id,
        list: list(all),
        digests: vec![Digest::new(Algorithm::Sha256, vec![5; 32]).unwrap()],
        url: "https://example.org/a".into(),
        version: None,
        scope: Scope::Shareable,
        served: true,
        now_unix_s: 1_000,
        vouched: Vec::new(),
    }
}

struct Place {
    folder: tempfile::TempDir,
    cache: Cache<RealFiles>,
}

impl Place {
    /// A cache and a delivered file it borrows.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cache")).unwrap();
        std::fs::write(folder.path().join("file"), payload()).unwrap();
        let cache = Cache::open(RealFiles, &folder.path().join("cache"), Index::off()).unwrap();
        let place = Self { folder, cache };
        place.cache.keep_borrowed(keep(ID, &payload()), &place.file()).unwrap();
        place
    }
    fn file(&self) -> PathBuf {
        self.folder.path().join("file")
    }
    fn again(&self) -> Cache<RealFiles> {
        Cache::open(RealFiles, &self.folder.path().join("cache"), Index::off()).unwrap()
    }
    fn read(&self, piece: u32) -> Result<Vec<u8>, CacheError> {
        let mut buffer = Vec::new();
        self.cache.read_piece(ID, PieceIndex(piece), &mut buffer).map(|()| buffer)
    }
    /// Nothing of the record can be read, and the brain is told.
    fn expect_gone(&self, what: &str) {
        assert!(matches!(self.read(0), Err(CacheError::NotHeld { .. })), "{what}");
        assert_eq!(self.cache.take_changes(), [Change::Gone(ID)], "{what}");
        assert!(matches!(self.read(1), Err(CacheError::NoRecord(_))), "{what}");
        assert_eq!(self.again().records(), [], "{what}");
    }
}

fn exchange(place: &Place, put: impl FnOnce(&Path)) {
    std::fs::remove_file(place.file()).unwrap();
    put(&place.file());
}

#[test]
fn local_4_an_untouched_file_is_served_from_where_it_lies() {
    let place = Place::new();
    for piece in 0..5 {
        let from = usize::try_from(piece).unwrap() * PIECE;
        let bytes = place.read(piece).unwrap();
        assert_eq!(bytes, payload()[from..(from + PIECE).min(payload().len())]);
    }
    assert!(matches!(place.read(5), Err(CacheError::NotHeld { .. })));
    assert_eq!(place.cache.take_changes(), []);
    let in_cache: Vec<_> = std::fs::read_dir(place.folder.path().join("cache")).unwrap().collect();
    assert_eq!(in_cache.len(), 2, "a description and a list, no bytes");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let held = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path == place.file())).count();
    assert_eq!(held, 0, "no descriptor stays open");
}

#[test]
fn local_4_an_edited_piece_is_not_held_and_the_record_shrinks() {
    let place = Place::new();
    let mut edited = payload();
    edited[2 * PIECE + 7] ^= 1;
    // In place: same file, same length.
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::OpenOptions::new().write(true).open(place.file()).unwrap(),
        &edited,
        0,
    )
    .unwrap();
    assert!(place.read(1).is_ok());
    assert!(matches!(place.read(2), Err(CacheError::NotHeld { .. })));
    let changes = place.cache.take_changes();
    let [Change::Held(RecordSummary { holding, .. })] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(*holding, Holding::Runs(vec![(0, 2), (3, 5)]));
    assert!(place.read(3).is_ok());
    assert_eq!(place.again().records()[0].holding, *holding);
}

/// Two changes that are taken one after the other may be told the other way round; the next question sets it right.
#[test]
fn whoever_asks_for_what_is_not_held_is_told_what_is() {
    let place = Place::new();
    let partial = RecordId([2; 16]);
    let all = payload();
    let read = |piece: PieceIndex, buffer: &mut Vec<u8>| {
        let from = usize::try_from(piece.0).unwrap() * PIECE;
        buffer.extend_from_slice(&all[from..(from + PIECE).min(all.len())]);
        piece.0 < 3
    };
    let summary = place.cache.insert_partial(keep(partial, &all), read).unwrap();
    let mut buffer = Vec::new();
    assert!(place.cache.read_piece(partial, PieceIndex(4), &mut buffer).is_err());
    assert_eq!(place.cache.take_changes(), [Change::Held(summary)]);
    place.cache.remove(partial).unwrap();
    assert!(place.cache.read_piece(partial, PieceIndex(0), &mut buffer).is_err());
    assert_eq!(place.cache.take_changes(), [Change::Gone(partial)]);
}

#[test]
fn local_4_a_truncated_file_is_not_held() {
    let place = Place::new();
    std::fs::OpenOptions::new().write(true).open(place.file()).unwrap().set_len(9).unwrap();
    place.expect_gone("cut");
}

#[test]
fn local_4_a_file_replaced_by_anything_else_is_not_held() {
    type Way<'a> = (&'a str, &'a dyn Fn(&Path));
    let ways: [Way<'_>; 5] = [
        ("the same bytes in another file", &|path| std::fs::write(path, payload()).unwrap()),
        ("a pipe", &|path| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
        ("a link to a private file", &|path| symlink("/etc/shadow", path).unwrap()),
        ("a folder", &|path| std::fs::create_dir(path).unwrap()),
        ("nothing", &|_| {}),
    ];
    for (what, put) in ways {
        let place = Place::new();
        // The old inode must not be free for the new file.
        std::fs::hard_link(place.file(), place.folder.path().join("kept")).unwrap();
        exchange(&place, put);
        place.expect_gone(what);
    }
}

#[test]
fn local_4_a_link_is_not_kept_in_the_first_place() {
    let place = Place::new();
    let link = place.folder.path().join("link");
    symlink(place.file(), &link).unwrap();
    assert!(place.cache.keep_borrowed(keep(RecordId([2; 16]), &payload()), &link).is_err());
    std::fs::write(place.folder.path().join("short"), b"short").unwrap();
    let short = place.folder.path().join("short");
    let error = place.cache.keep_borrowed(keep(RecordId([2; 16]), &payload()), &short);
    assert!(matches!(error, Err(CacheError::NotTheFile { .. })));
}

#[test]
fn cache_18_and_local_3_a_copy_is_the_caches_own_and_never_a_second_name() {
    let place = Place::new();
    assert_eq!(place.cache.next_borrowed(None), Some(ID));
    match place.cache.copy_borrowed(ID, &LIMITS, || true).unwrap() {
        CopyOutcome::Copied => {}
        // A disk with less than a gigabyte to spare: said, and still served from where it lies.
        CopyOutcome::NoSpace => return assert!(place.read(0).is_ok()),
        other => panic!("{other:?}"),
    }
    let copy = std::fs::metadata(place.folder.path().join(format!("cache/{ID}.data"))).unwrap();
    let original = std::fs::metadata(place.file()).unwrap();
    assert_ne!(copy.ino(), original.ino());
    assert_eq!((copy.nlink(), original.nlink()), (1, 1));
    assert_eq!(copy.mode() & 0o777, 0o600);
    std::fs::remove_file(place.file()).unwrap();
    assert_eq!(place.read(4).unwrap(), payload()[4 * PIECE..]);
    assert_eq!(place.cache.copy_borrowed(ID, &LIMITS, || true).unwrap(), CopyOutcome::NotNeeded);
    assert_eq!(place.cache.next_borrowed(None), None);
}

#[test]
fn cache_18_removing_a_record_leaves_the_users_file() {
    let place = Place::new();
    place.cache.remove(ID).unwrap();
    assert_eq!(std::fs::read(place.file()).unwrap(), payload());
    assert_eq!(place.again().records(), []);
    assert!(matches!(place.cache.remove(ID), Err(CacheError::NoRecord(_))));
}

#[test]
fn cache_2_parts_are_records_too_and_false_pieces_are_left_out() {
    let place = Place::new();
    let id = RecordId([2; 16]);
    let all = payload();
    let summary = place
        .cache
        .insert_partial(keep(id, &all), |piece, buffer| {
            let from = usize::try_from(piece.0).unwrap() * PIECE;
            buffer.extend_from_slice(&all[from..(from + PIECE).min(all.len())]);
            if piece.0 == 3 {
                buffer[0] ^= 1;
            }
            piece.0 != 0
        })
        .unwrap();
    assert_eq!(summary.holding, Holding::Runs(vec![(1, 3), (4, 5)]));
    let mut buffer = Vec::new();
    assert!(place.cache.read_piece(id, PieceIndex(4), &mut buffer).is_ok());
    assert!(place.cache.read_piece(id, PieceIndex(3), &mut buffer).is_err());
    assert_eq!(place.cache.list_part(id, ListPart::Page(0)).unwrap(), list(&all).values());
    assert_eq!(place.cache.list_part(id, ListPart::Page(1)), None);
}

#[test]
fn cache_1_a_record_says_what_was_seen_where_and_when_and_what_of_it_is_held() {
    let place = Place::new();
    let version = peer_proto::version::Version {
        final_origin: "https://example.org:443".into(),
        etag: Some("\"1\"".into()),
        last_modified: Some("Sun, 29 Nov 2026 00:00:00 GMT".into()),
        len: Some(u64::try_from(payload().len()).unwrap()),
    };
    let again =
        Keep { version: Some(version.clone()), now_unix_s: 2_000, ..keep(RecordId([2; 16]), &payload()) };
    place.cache.keep_borrowed(again, &place.file()).unwrap();
    // The description outlives the process.
    let cache = place.again();
    let [record] = &cache.records()[..] else { panic!("one content, one record") };
    assert_eq!((record.id, record.content), (ID, list(&payload()).content()));
    assert_eq!((&record.holding, record.served, record.last_used_unix_s), (&Holding::Whole, true, 2_000));
    let seen: Vec<_> = cache.seen(ID).into_iter().map(|seen| (seen.url, seen.version)).collect();
    assert_eq!(seen, [("https://example.org/a".to_owned(), Some(version))]);
}

#[test]
fn cache_10_a_file_of_one_byte_is_kept_too() {
    let place = Place::new();
    let id = RecordId([2; 16]);
    let path = place.folder.path().join("small");
    std::fs::write(&path, b"x").unwrap();
    let summary = place.cache.keep_borrowed(keep(id, b"x"), &path).unwrap();
    assert_eq!((summary.content.len, summary.holding), (1, Holding::Whole));
    let mut buffer = Vec::new();
    place.cache.read_piece(id, PieceIndex(0), &mut buffer).unwrap();
    assert_eq!(buffer, b"x");
}

#[test]
fn cache_17_two_jobs_of_one_content_share_a_record() {
    let place = Place::new();
    let again = place.folder.path().join("again");
    std::fs::write(&again, payload()).unwrap();
    let other = Keep { url: "https://example.org/b".into(), ..keep(RecordId([2; 16]), &payload()) };
    let summary = place.cache.keep_borrowed(other, &again).unwrap();
    assert_eq!(summary.id, ID);
    let urls: Vec<String> = place.cache.seen(ID).into_iter().map(|seen| seen.url).collect();
    assert_eq!(urls, ["https://example.org/a", "https://example.org/b"]);
    // The newer place is read from now on.
    std::fs::remove_file(place.file()).unwrap();
    assert!(place.read(0).is_ok());
    // Another scope is another record: private content is never mixed with shared (LOCAL-1).
    let private = Keep { scope: Scope::Private { uid: 1 }, ..keep(RecordId([3; 16]), &payload()) };
    assert_eq!(place.cache.keep_borrowed(private, &again).unwrap().id, RecordId([3; 16]));
    assert_eq!(place.again().records().len(), 2);
}

#[test]
fn a_use_is_remembered_across_restarts() {
    let place = Place::new();
    place.cache.touch(ID, 5_000).unwrap();
    assert_eq!(place.again().records()[0].last_used_unix_s, 5_000);
}

#[test]
fn lookup_3_a_record_in_steady_use_is_remembered_as_used() {
    let place = Place::new();
    // A peer comes every half minute, for ten minutes.
    let uses = (5_000..=5_600).step_by(30);
    uses.for_each(|now| place.cache.touch(ID, now).unwrap());
    let remembered = place.again().records()[0].last_used_unix_s;
    assert!((5_540..=5_600).contains(&remembered), "{remembered}");
}

/// Keeps a second file of other bytes beside the first, under this id.
fn keep_second(place: &Place, id: RecordId) -> Vec<u8> {
    let other: Vec<u8> = payload().iter().rev().copied().collect();
    let path = place.folder.path().join("second");
    std::fs::write(&path, &other).unwrap();
    place.cache.keep_borrowed(keep(id, &other), &path).unwrap();
    other
}

#[test]
fn a_file_that_went_does_not_keep_the_others_from_being_copied() {
    let place = Place::new();
    let second = RecordId([2; 16]);
    keep_second(&place, second);
    std::fs::remove_file(place.file()).unwrap();
    assert_eq!(place.cache.next_borrowed(None), Some(ID));
    let outcome = place.cache.copy_borrowed(ID, &LIMITS, || true).unwrap();
    if outcome == CopyOutcome::NoSpace {
        return;
    }
    assert_eq!(outcome, CopyOutcome::Changed);
    assert_eq!(place.cache.take_changes(), [Change::Gone(ID)]);
    assert_eq!(place.cache.next_borrowed(None), Some(second));
}

#[test]
fn a_record_that_cannot_be_copied_keeps_none_waiting() {
    let place = Place::new();
    let second = RecordId([2; 16]);
    keep_second(&place, second);
    let next = |after| place.cache.next_borrowed(after);
    assert_eq!([next(None), next(Some(ID)), next(Some(second))], [Some(ID), Some(second), Some(ID)]);
}

#[test]
fn a_copy_that_is_told_to_stop_leaves_nothing_and_can_be_made_later() {
    let place = Place::new();
    let asked = std::cell::Cell::new(0);
    let twice = || {
        asked.set(asked.get() + 1);
        asked.get() <= 2
    };
    match place.cache.copy_borrowed(ID, &LIMITS, twice).unwrap() {
        CopyOutcome::Stopped => {}
        // A disk that is too full, or one that shares blocks and so has nothing to stop.
        CopyOutcome::NoSpace | CopyOutcome::Copied => return,
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(place.folder.path().join("cache")).unwrap().count(), 2);
    assert_eq!(place.cache.copy_borrowed(ID, &LIMITS, || true).unwrap(), CopyOutcome::Copied);
    assert_eq!(place.read(4).unwrap(), payload()[4 * PIECE..]);
}

#[test]
fn what_is_left_of_an_edited_file_is_copied_once() {
    let place = Place::new();
    let mut edited = payload();
    edited[4 * PIECE + 7] ^= 1;
    let file = std::fs::OpenOptions::new().write(true).open(place.file()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &edited, 0).unwrap();
    match place.cache.copy_borrowed(ID, &LIMITS, || true).unwrap() {
        CopyOutcome::Copied => {}
        CopyOutcome::NoSpace => return,
        other => panic!("{other:?}"),
    }
    assert_eq!(place.cache.next_borrowed(None), None, "it is not tried for ever");
    std::fs::remove_file(place.file()).unwrap();
    for piece in 0..4 {
        let from = usize::try_from(piece).unwrap() * PIECE;
        assert_eq!(place.read(piece).unwrap(), payload()[from..from + PIECE]);
    }
    assert!(matches!(place.read(4), Err(CacheError::NotHeld { .. })));
    assert_eq!(place.again().records()[0].holding, Holding::Runs(vec![(0, 4)]));
}
