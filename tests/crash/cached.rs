//! The cache after rot, and without its index.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nearbits::cache::{Cache, CacheError, Change, CopyOutcome, Keep};
use nearbits::disk::FileKind;
use nearbits::disk::memory_files::{Fault, Loss, MemoryFiles};
use nearbits::record::{CacheLimits, Holding, RecordId, Scope};
use nearbits::store::Index;
use peer_proto::content::PieceIndex;
use peer_proto::verify::HashList;

use super::reference::{LEN, RECORD, STATE, Told, live, machine, payload, run_of, sha256};

fn folder() -> PathBuf {
    PathBuf::from(STATE).join("cache")
}

/// The reference job is done; the cache has its own copy.
fn with_a_record() -> (MemoryFiles, Cache<MemoryFiles>) {
    let files = machine();
    live(&files, &mut Told::default()).unwrap();
    let cache = Cache::open(files.clone(), &folder(), Index::off()).unwrap();
    assert_eq!(cache.records().len(), 1);
    assert!(files.contents(&folder().join(format!("{RECORD}.data"))).is_some(), "it was copied");
    (files, cache)
}

pub(crate) fn list() -> Arc<HashList> {
    let values =
        (0..3).map(|piece| run_of(piece, peer_proto::standing::Standing::Certain).values[0]).collect();
    Arc::new(HashList::from_values(LEN, values).unwrap())
}

pub(crate) fn keep(id: RecordId) -> Keep {
    Keep {
        id,
        list: list(),
        digests: vec![sha256()],
        url: "https://example.org/update.bin".into(),
        version: None,
        scope: Scope::Shareable,
        served: true,
        now_unix_s: 1_795_000_000,
        vouched: Vec::new(),
    }
}

#[test]
fn d46_a_flipped_bit_in_the_cache_is_not_served_and_not_announced() {
    let (files, cache) = with_a_record();
    files.rot(&folder().join(format!("{RECORD}.data")), 65_536 + 5, 0x01);
    let mut buffer = Vec::new();
    assert!(cache.read_piece(RECORD, PieceIndex(0), &mut buffer).is_ok());
    assert!(matches!(
        cache.read_piece(RECORD, PieceIndex(1), &mut buffer),
        Err(CacheError::NotHeld { piece: PieceIndex(1), .. })
    ));
    let changes = cache.take_changes();
    let [Change::Held(summary)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(summary.holding, Holding::Runs(vec![(0, 1), (2, 3)]));
    // Told once, and still so after a restart.
    assert_eq!(cache.take_changes(), []);
    let cache = Cache::open(files, &folder(), Index::off()).unwrap();
    assert_eq!(cache.records(), std::slice::from_ref(summary));
    assert!(cache.read_piece(RECORD, PieceIndex(2), &mut buffer).is_ok());
    assert_eq!(buffer, payload()[2 * 65_536..]);
}

#[test]
fn cache_11_and_d46_rot_in_a_list_or_a_description_costs_that_record_only() {
    for kind in ["list", "meta"] {
        let (files, _) = with_a_record();
        let cache = Cache::open(files.clone(), &folder(), Index::off()).unwrap();
        let other = RecordId([10; 16]);
        let all = payload();
        cache
            .insert_partial(keep(other), |piece, buffer| {
                let from = usize::try_from(piece.0).unwrap() * 65_536;
                buffer.extend_from_slice(&all[from..(from + 65_536).min(all.len())]);
                piece.0 != 1
            })
            .unwrap();
        let path = folder().join(format!("{RECORD}.{kind}"));
        for at in 0..files.contents(&path).unwrap().len() {
            files.kill();
            files.rot(&path, at, 0x20);
            let cache = Cache::open(files.clone(), &folder(), Index::off()).unwrap();
            let mut buffer = Vec::new();
            assert!(cache.read_piece(RECORD, PieceIndex(0), &mut buffer).is_err(), "{kind}, byte {at}");
            assert!(cache.read_piece(other, PieceIndex(0), &mut buffer).is_ok());
            assert!(matches!(
                cache.read_piece(other, PieceIndex(1), &mut buffer),
                Err(CacheError::NotHeld { .. })
            ));
            // Put it back as it was, from where it was set aside.
            files.rot(&path, at, 0x20);
            let aside = folder().join(format!("{RECORD}.meta.damaged"));
            let mut bytes = files.contents(&aside).expect("it was set aside");
            if kind == "meta" {
                bytes[at] ^= 0x20;
            }
            files.put_kind(&folder().join(format!("{RECORD}.meta")), FileKind::Regular, &bytes);
            if kind == "list" {
                let values: Vec<u8> = list().values().iter().flat_map(|value| value.0).collect();
                files.put_kind(&path, FileKind::Regular, &values);
            }
        }
    }
}

#[test]
fn d41_a_power_cut_leaves_records_that_prove_or_none() {
    let all = {
        let (files, _) = with_a_record();
        files.operations()
    };
    for n in 0..all {
        let files = machine();
        files.fail_at(n, Fault::StopAfter);
        drop(live(&files, &mut Told::default()));
        files.cut_power(Loss::Some(n));
        if files.names().contains(&folder()) {
            super::reference::check_records(&files);
        }
    }
}

#[test]
fn d48_a_deleted_or_corrupt_index_is_built_again_from_the_records() {
    let place = tempfile::tempdir().unwrap();
    let (folder, path) = (place.path().join("cache"), place.path().join("index"));
    std::fs::create_dir(&folder).unwrap();
    let file = place.path().join("update.bin");
    std::fs::write(&file, payload()).unwrap();
    let open = || Cache::open(nearbits::disk::RealFiles, &folder, Index::open(&path)).unwrap();
    {
        let cache = open();
        cache.keep_borrowed(keep(RECORD), &file).unwrap();
        cache.flush();
    }
    let breakers: [&dyn Fn(); 5] = [
        &|| {},
        &|| std::fs::remove_dir_all(&path).unwrap(),
        &|| std::fs::write(path.join("db"), b"not a database at all").unwrap(),
        &|| {
            // Rot all over its file, and its configuration.
            let mut bytes = std::fs::read(path.join("db")).unwrap();
            bytes.iter_mut().step_by(3).for_each(|byte| *byte ^= 0xa5);
            std::fs::write(path.join("db"), bytes).unwrap();
            std::fs::write(path.join("conf"), b"\xff\xff\xff\xff").unwrap();
        },
        &|| {
            // Not even a folder.
            std::fs::remove_dir_all(&path).unwrap();
            std::fs::write(&path, b"a file").unwrap();
        },
    ];
    for (n, breaks) in breakers.into_iter().enumerate() {
        breaks();
        let cache = open();
        let found: Vec<RecordId> = cache.records().iter().map(|record| record.id).collect();
        assert_eq!(found, [RECORD], "after breaking it in way {n}");
        let mut buffer = Vec::new();
        cache.read_piece(RECORD, PieceIndex(2), &mut buffer).unwrap();
        cache.flush();
        drop(cache);
        let index = Index::open(&path);
        assert_eq!(index.ids(), [RECORD], "way {n}");
        assert_eq!(index.notes(), Vec::<String>::new(), "it is whole again");
    }
}

#[test]
fn t29_d48_a_churned_index_stays_below_its_bound_and_forgets_what_went() {
    let place = tempfile::tempdir().unwrap();
    let index = Index::open(&place.path().join("index"));
    let id = |n: u8| RecordId([n; 16]);
    for round in 0..10 {
        for n in 0..50 {
            index.put(id(n), &[round; 500]);
        }
    }
    assert_eq!(index.ids(), (0..50).map(id).collect::<Vec<_>>());
    for n in 0..50 {
        assert_eq!(index.get(id(n)), Some(vec![9; 500]));
        index.remove(id(n));
        assert_eq!(index.get(id(n)), None);
    }
    index.flush();
    let len: u64 = walk(&place.path().join("index"));
    assert!(len < nearbits::store::index::INDEX_LEN_MAX, "{len} bytes");
    assert_eq!(index.notes(), Vec::<String>::new());
}

#[test]
fn t29_an_index_that_is_too_small_for_all_there_is_is_done_without() {
    let place = tempfile::tempdir().unwrap();
    let index = Index::open(&place.path().join("index"));
    let long = vec![0x5a; 64 * 1024];
    for n in 0..2_048_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        index.put(RecordId(id), &long);
    }
    assert!(!index.is_on());
    let notes = index.notes();
    assert!(notes.len() == 1 && notes[0].contains("too many for it"), "{notes:?}");
    assert!(!place.path().join("index").exists());
}

#[test]
fn an_index_is_opened_when_there_are_records_enough_and_then_knows_all_of_them() {
    let place = tempfile::tempdir().unwrap();
    let (folder, path) = (place.path().join("cache"), place.path().join("index"));
    std::fs::create_dir(&folder).unwrap();
    let file = place.path().join("update.bin");
    std::fs::write(&file, payload()).unwrap();
    let open = || Cache::open(nearbits::disk::RealFiles, &folder, Index::from_records(&path, 3)).unwrap();
    let cache = open();
    for n in 1..=5_u8 {
        let own = Keep { scope: Scope::Private { uid: u32::from(n) }, ..keep(RecordId([n; 16])) };
        cache.keep_borrowed(own, &file).unwrap();
        assert_eq!(path.exists(), n >= 3, "after record {n}");
        assert_eq!(cache.records().len(), usize::from(n));
    }
    cache.remove(RecordId([2; 16])).unwrap();
    cache.flush();
    drop(cache);
    assert_eq!(open().records().len(), 4);
    assert_eq!(Index::open(&path).ids().len(), 4);
}

fn walk(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(
            |entry| if entry.path().is_dir() { walk(&entry.path()) } else { entry.metadata().unwrap().len() },
        )
        .sum()
}

#[test]
fn d44_a_copy_that_fails_leaves_no_part_of_it_on_the_disk() {
    let place = PathBuf::from("/home/user/borrowed.bin");
    let borrowed = || {
        let files = MemoryFiles::new();
        files.put_kind(&folder(), FileKind::Folder, &[]);
        files.put(&place, &payload());
        let cache = Cache::open(files.clone(), &folder(), Index::off()).unwrap();
        cache.keep_borrowed(keep(RECORD), &place).unwrap();
        (files, cache)
    };
    let (files, cache) = borrowed();
    let before = files.operations();
    assert_eq!(cache.copy_borrowed(RECORD, &CacheLimits::default(), || true).unwrap(), CopyOutcome::Copied);
    let all = files.operations() - before;
    assert!(all > 5, "{all} operations");
    for n in 0..all {
        for errno in [5, 28] {
            let (files, cache) = borrowed();
            files.fail_at(n, Fault::Error(errno));
            let outcome = cache.copy_borrowed(RECORD, &CacheLimits::default(), || true);
            let left: Vec<PathBuf> = files
                .names()
                .into_iter()
                .filter(|name| name.to_string_lossy().ends_with(".data.new"))
                .collect();
            assert_eq!(left, Vec::<PathBuf>::new(), "operation {n}, error {errno}: {outcome:?}");
            let mut buffer = Vec::new();
            let read = cache.read_piece(RECORD, PieceIndex(2), &mut buffer);
            assert!(read.is_ok() || outcome.is_ok(), "operation {n}, error {errno}: {outcome:?}, {read:?}");
        }
    }
}
