//! What has to go and what stays, on a disk of a chosen size.

use std::path::Path;

use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::verify::{HashList, piece_values};

use super::{Cache, CacheError, Change, CopyOutcome, Keep, Usage};
use crate::disk::memory_files::MemoryFiles;
use crate::record::{CacheLimits, CacheSize, CacheWish, RecordId, Scope};
use crate::store::Index;

const PIECE: usize = 65_536;
const DAY_S: i64 = 86_400;
/// Some moment of 2026.
const NOW: i64 = 1_790_000_000;

fn id(number: u8) -> RecordId {
    RecordId([number; 16])
}

fn payload(number: u8, pieces: usize) -> Vec<u8> {
    (0..pieces * PIECE).map(|at| u8::try_from((at * 31 + at / 251 * 7) % 256).unwrap() ^ number).collect()
}

struct Disk {
    files: MemoryFiles,
    cache: Cache<MemoryFiles>,
}

fn open(files: &MemoryFiles) -> Cache<MemoryFiles> {
    Cache::open(files.clone(), Path::new("/cache"), Index::off()).unwrap()
}

impl Disk {
    fn new() -> Self {
        let files = MemoryFiles::new();
        crate::disk::Files::create_folder(&files, Path::new("/cache"), 0o700).unwrap();
        Self { cache: open(&files), files }
    }

    /// A copy of the cache's own, of so many pieces.
    fn own(&self, number: u8, pieces: usize, now_unix_s: i64) {
        let all = payload(number, pieces);
        let read = |piece: PieceIndex, buffer: &mut Vec<u8>| {
            let at = usize::try_from(piece.0).unwrap() * PIECE;
            buffer.extend_from_slice(&all[at..at + PIECE]);
            true
        };
        self.cache.insert_partial(keep(number, &all, now_unix_s), read).unwrap();
    }

    /// A delivered file that is borrowed.
    fn borrow(&self, number: u8, pieces: usize) -> std::path::PathBuf {
        let all = payload(number, pieces);
        let path = Path::new("/out").join(number.to_string());
        self.files.put(&path, &all);
        self.cache.keep_borrowed(keep(number, &all, NOW), &path).unwrap();
        path
    }

    fn held(&self) -> Vec<u8> {
        self.cache.records().iter().map(|record| record.id.0[0]).collect()
    }
}

fn keep(number: u8, all: &[u8], now_unix_s: i64) -> Keep {
    let len = u64::try_from(all.len()).unwrap();
    let values = piece_values(&Geometry::of(len).unwrap(), PieceIndex(0), all).unwrap();
    Keep {
        id: id(number),
        list: HashList::from_values(len, values).unwrap().into(),
        digests: Vec::new(),
        url: format!("https://example.org/{number}"),
        version: None,
        scope: Scope::Shareable,
        served: true,
        now_unix_s,
        vouched: Vec::new(),
    }
}

fn pieces(count: u64) -> CacheLimits {
    CacheLimits { size: CacheSize::Bytes(count * 65_536), ..CacheLimits::default() }
}

#[test]
fn cache_6_what_was_used_least_lately_goes_first_whatever_the_clock_says() {
    let disk = Disk::new();
    // The clock went back by a year between the second and the third.
    for (number, now) in [(1, NOW), (2, NOW + 5), (3, NOW - 365 * DAY_S), (4, NOW - 365 * DAY_S)] {
        disk.own(number, 2, now);
    }
    disk.cache.touch(id(1), NOW - 365 * DAY_S).unwrap();
    let cache = open(&disk.files);
    assert_eq!(cache.trim(&pieces(8), 0, NOW - 300 * DAY_S).unwrap(), []);
    assert_eq!(cache.trim(&pieces(7), 0, NOW - 300 * DAY_S).unwrap(), [id(2)]);
    assert_eq!(cache.trim(&pieces(6), 2 * 65_536, NOW - 300 * DAY_S).unwrap(), [id(3)]);
    let gone: Vec<_> = cache.take_changes();
    assert_eq!(gone, [Change::Gone(id(2)), Change::Gone(id(3))]);
    assert_eq!(open(&disk.files).records().len(), 2, "and they stay away");
    assert!(disk.files.names().iter().all(|name| !name.to_string_lossy().contains(&id(2).to_string())));
}

#[test]
fn cache_6_a_lower_limit_is_kept_at_once_and_no_more_goes_than_must() {
    let disk = Disk::new();
    (1..=4).for_each(|number| disk.own(number, usize::from(number), NOW));
    assert_eq!(disk.cache.trim(&pieces(8), 0, NOW).unwrap(), [id(1), id(2)]);
    assert_eq!(disk.cache.usage(&pieces(8)).unwrap().own, 7 * 65_536);
}

#[test]
fn cache_7_what_is_larger_than_the_whole_cache_is_not_kept_and_drives_nothing_out() {
    let disk = Disk::new();
    disk.own(1, 2, NOW);
    let path = disk.borrow(2, 5);
    assert!(!disk.cache.has_space(5 * 65_536, &pieces(4)).unwrap());
    assert_eq!(disk.cache.trim(&pieces(4), 5 * 65_536, NOW).unwrap(), []);
    assert_eq!(disk.cache.copy_borrowed(id(2), &pieces(4), || true).unwrap(), CopyOutcome::NoSpace);
    assert_eq!(
        disk.cache.copy_borrowed(id(2), &pieces(5), || true).unwrap(),
        CopyOutcome::NoSpace,
        "it is too full"
    );
    disk.cache.trim(&pieces(5), 5 * 65_536, NOW).unwrap();
    assert_eq!(disk.cache.copy_borrowed(id(2), &pieces(5), || true).unwrap(), CopyOutcome::Copied);
    assert_eq!(disk.held(), [2]);
    assert!(disk.files.contents(&path).is_some());
}

#[test]
fn cache_5_and_cache_10_the_disk_keeps_a_twentieth_or_a_gibibyte_free() {
    let disk = Disk::new();
    (1..=2).for_each(|number| disk.own(number, 2, NOW));
    let gib = 1 << 30;
    let used = (1_u64 << 40) - crate::disk::Files::space(&disk.files, Path::new("/")).unwrap().free;
    // Room for one of the two beside the gibibyte.
    disk.files.set_space(Some(gib + used - 65_536));
    let share = CacheLimits { size: CacheSize::Share(80), ..CacheLimits::default() };
    assert_eq!(disk.cache.usage(&share).unwrap().own_max, 3 * 65_536);
    assert_eq!(disk.cache.trim(&share, 0, NOW).unwrap(), [id(1)]);
    let large = CacheLimits::default();
    disk.files.set_space(Some(100 * gib));
    assert_eq!(disk.cache.usage(&large).unwrap().own_max, 20 * gib);
}

#[test]
fn cache_8_what_is_being_read_stays_until_the_reader_is_done() {
    let disk = Disk::new();
    (1..=3).for_each(|number| disk.own(number, 1, NOW));
    let first = disk.cache.hold(id(1)).unwrap();
    let second = disk.cache.hold(id(1)).unwrap();
    assert_eq!(disk.cache.trim(&pieces(1), 0, NOW).unwrap(), [id(2), id(3)]);
    assert!(matches!(disk.cache.remove(id(1)), Err(CacheError::Busy(_))));
    assert!(matches!(disk.cache.forget_url("https://example.org/1"), Err(CacheError::Busy(_))));
    drop(first);
    assert!(matches!(disk.cache.remove(id(1)), Err(CacheError::Busy(_))));
    drop(second);
    disk.cache.remove(id(1)).unwrap();
    assert!(matches!(disk.cache.remove(id(1)), Err(CacheError::NoRecord(_))));
    assert!(disk.cache.hold(id(1)).is_none());
}

#[test]
fn cache_9_what_nobody_used_for_so_many_days_goes_and_a_use_begins_the_days_anew() {
    let disk = Disk::new();
    (1..=3).for_each(|number| disk.own(number, 1, NOW));
    disk.cache.touch(id(2), NOW + 80 * DAY_S).unwrap();
    let limits = CacheLimits::default();
    assert_eq!(disk.cache.trim(&limits, 0, NOW + 90 * DAY_S).unwrap(), []);
    assert_eq!(disk.cache.trim(&limits, 0, NOW + 90 * DAY_S + 1).unwrap(), [id(1), id(3)]);
    let week = CacheWish { age_days: Some(7), ..CacheWish::default() }.over(limits);
    assert_eq!(disk.cache.trim(&week, 0, NOW + 88 * DAY_S).unwrap(), [id(2)]);
}

#[test]
fn d47_a_clock_that_jumps_by_years_costs_nothing() {
    let disk = Disk::new();
    disk.own(1, 1, NOW);
    for now in [NOW + 367 * DAY_S, NOW + 50 * 365 * DAY_S, i64::MAX, 0, i64::MIN] {
        assert_eq!(disk.cache.trim(&CacheLimits::default(), 0, now).unwrap(), [], "{now}");
    }
}

#[test]
fn cache_12_a_url_is_forgotten_and_what_was_seen_elsewhere_stays() {
    let disk = Disk::new();
    let path = disk.borrow(1, 1);
    let other = Keep { url: "https://mirror.test/1".into(), ..keep(9, &payload(1, 1), NOW) };
    // Equal content under a second URL is the same record (CACHE-17).
    assert_eq!(disk.cache.keep_borrowed(other, &path).unwrap().id, id(1));
    disk.own(2, 1, NOW);
    assert_eq!(disk.cache.find_url("https://mirror.test/1"), [id(1)]);
    assert_eq!(disk.cache.forget_url("https://example.org/1").unwrap(), 1);
    assert_eq!((disk.held(), disk.cache.find_url("https://example.org/1")), (vec![1, 2], Vec::new()));
    assert_eq!(open(&disk.files).seen(id(1)).len(), 1, "it is written down");
    assert_eq!(disk.cache.forget_url("https://mirror.test/1").unwrap(), 1);
    assert_eq!(disk.cache.forget_url("https://mirror.test/1").unwrap(), 0);
    assert_eq!(disk.held(), [2]);
    assert!(disk.files.contents(&path).is_some(), "CACHE-18: the user's file is the user's");
}

#[test]
fn what_is_borrowed_takes_no_space_of_the_cache() {
    let disk = Disk::new();
    disk.borrow(1, 3);
    disk.own(2, 2, NOW);
    let usage = disk.cache.usage(&pieces(2)).unwrap();
    assert_eq!(usage, Usage { records: 2, own: 2 * 65_536, borrowed: 3 * 65_536, own_max: 2 * 65_536 });
    assert_eq!(disk.cache.trim(&pieces(2), 0, NOW).unwrap(), []);
}

#[test]
fn verify_finds_what_is_no_longer_what_it_was_and_holds_it_no_longer() {
    let disk = Disk::new();
    disk.own(1, 4, NOW);
    let data = Path::new("/cache").join(format!("{}.data", id(1)));
    disk.files.rot(&data, 2 * PIECE + 77, 0x10);
    let found = disk.cache.verify(id(1), || true).unwrap();
    assert_eq!((found.good, found.lost, found.is_stopped), (3, 1, false));
    let again = disk.cache.verify(id(1), || true).unwrap();
    assert_eq!((again.good, again.lost), (3, 0));
    assert_eq!(disk.cache.take_changes().len(), 1);
    assert!(disk.cache.verify(id(1), || false).unwrap().is_stopped);
    assert!(matches!(disk.cache.verify(id(7), || true), Err(CacheError::NoRecord(_))));
}
