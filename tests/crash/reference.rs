//! The reference job: everything memory does for one download, written so that it goes on from whatever is there.

use std::error::Error;
use std::path::{Path, PathBuf};

use nearbits::cache::{Cache, Keep};
use nearbits::disk::Existing;
use nearbits::disk::memory_files::MemoryFiles;
use nearbits::disk::part::{Part, Writer};
use nearbits::disk::seal::Next;
use nearbits::job::{FileId, JobId};
use nearbits::record::{CacheLimits, RecordId, Scope};
use nearbits::store::{Index, JobStore, folder};
use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::verify::piece_value;
use peer_proto::version::Version;
use sha2::Digest as _;

pub(crate) const STATE: &str = "/state";
pub(crate) const DESTINATION: &str = "/home/user/update.bin";
pub(crate) const JOB: JobId = JobId([7; 16]);
pub(crate) const RECORD: RecordId = RecordId([9; 16]);
/// Three pieces, the last one short.
pub(crate) const LEN: u64 = 2 * 65_536 + 777;

/// What is known for certain from outside: the caller was told, or it must not be asked for again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) seed: Option<[u8; 32]>,
    /// The job was accepted.
    pub(crate) accepted: bool,
    /// Pieces that survive `kill -9`.
    pub(crate) journalled: Vec<u32>,
    /// Pieces that survive a power cut.
    pub(crate) synced: Vec<u32>,
    /// Pieces taken from the origin by the last run.
    pub(crate) fetched: Vec<u32>,
    /// The file is under its final name, durably.
    pub(crate) delivered: bool,
    /// The job was forgotten.
    pub(crate) finished: bool,
}

pub(crate) fn payload() -> Vec<u8> {
    (0..LEN).map(|at| u8::try_from((at * 31 + at / 251 * 7 + at / 65_536) % 256).unwrap()).collect()
}

pub(crate) fn version() -> Version {
    Version {
        final_origin: "https://example.org:443".into(),
        etag: Some("\"v1\"".into()),
        last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
        len: Some(LEN),
    }
}

pub(crate) fn sha256() -> Digest {
    Digest::new(Algorithm::Sha256, sha2::Sha256::digest(payload()).to_vec()).unwrap()
}

/// A machine with an empty state folder and a user's folder.
pub(crate) fn machine() -> MemoryFiles {
    let files = MemoryFiles::new();
    files.put_kind(Path::new("/home/user"), nearbits::disk::FileKind::Folder, &[]);
    files.put_kind(Path::new(STATE), nearbits::disk::FileKind::Folder, &[]);
    files
}

pub(crate) fn jobs(files: &MemoryFiles) -> JobStore<MemoryFiles> {
    JobStore::new(files.clone(), PathBuf::from(STATE).join("jobs"))
}

pub(crate) fn open_part(
    files: &MemoryFiles,
) -> Result<nearbits::disk::part::Opened<MemoryFiles>, nearbits::disk::DiskError> {
    let journal = jobs(files).journal_path(FileId { job: JOB, index: 0 });
    Part::open(files, Path::new(DESTINATION), &JOB.to_string(), &journal, Existing::Refuse)
}

pub(crate) fn run_of(piece: u32, standing: Standing) -> PieceRun {
    let cut = Geometry::of(LEN).unwrap();
    let range = cut.piece_range(PieceIndex(piece)).unwrap().as_range();
    let bytes = &payload()[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    let value = piece_value(&cut, PieceIndex(piece), bytes).unwrap();
    PieceRun { first: PieceIndex(piece), values: vec![value], standing }
}

/// Writes one piece in two halves, as blocks arrive, and commits it.
pub(crate) fn fetch(
    part: &Part<MemoryFiles>,
    piece: u32,
    standing: Standing,
) -> Result<(), nearbits::disk::DiskError> {
    let range = Geometry::of(LEN).unwrap().piece_range(PieceIndex(piece)).unwrap().as_range();
    let all = payload();
    let bytes = &all[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    let half = bytes.len() / 2;
    let writer = Writer(u64::from(piece));
    part.write_at(writer, range.start, &bytes[..half])?;
    part.write_at(writer, range.start + u64::try_from(half).unwrap(), &bytes[half..])?;
    part.commit(&run_of(piece, standing))
}

/// One life of the node: from whatever is on disk to the end of the job, unless something stops it.
pub(crate) fn live(files: &MemoryFiles, told: &mut Told) -> Result<(), Box<dyn Error>> {
    told.fetched.clear();
    told.seed = Some(folder::prepare(files, Path::new(STATE))?);
    let store = jobs(files);
    let loaded = store.load_all::<String>()?;
    assert!(loaded.damaged.is_empty(), "a job is whole or not there");
    if loaded.jobs.is_empty() {
        if told.finished {
            return Ok(());
        }
        assert!(!told.accepted || told.delivered, "an accepted job was lost");
        if told.delivered {
            told.finished = true;
            return Ok(());
        }
        store.save(JOB, 1, &"the job")?;
        told.accepted = true;
    }
    let opened = open_part(files)?;
    let part = opened.part;
    let held: Vec<u32> = opened.found.runs.iter().flat_map(pieces_of).collect();
    if opened.found.version.as_ref().is_none_or(|found| !found.is_same(&version())) {
        part.reset(&version())?;
    }
    part.follow(&[Algorithm::Sha256]);
    for piece in (0..3).filter(|piece| !held.contains(piece)) {
        fetch(&part, piece, Standing::Certain)?;
        told.fetched.push(piece);
        if piece == 0 {
            part.flush()?;
            told.journalled.push(0);
        } else if piece == 1 {
            part.sync()?;
            told.journalled.push(1);
            told.synced.extend([0, 1]);
        }
    }
    let sealed = part.seal(&[sha256()], &[], Next::Delivery)?;
    told.journalled.push(2);
    part.deliver()?;
    told.delivered = true;
    keep(files, &sealed)?;
    store.remove(JOB)?;
    told.finished = true;
    Ok(())
}

fn keep(files: &MemoryFiles, sealed: &nearbits::disk::seal::Sealed) -> Result<(), Box<dyn Error>> {
    let cache = Cache::open(files.clone(), &PathBuf::from(STATE).join("cache"), Index::off())?;
    let kept = cache.keep_borrowed(
        Keep {
            id: RECORD,
            list: sealed.list.clone(),
            digests: sealed.digests.clone(),
            url: "https://example.org/update.bin".into(),
            version: Some(version()),
            scope: Scope::Shareable,
            served: true,
            now_unix_s: 1_795_000_000,
            vouched: Vec::new(),
        },
        Path::new(DESTINATION),
    )?;
    cache.copy_borrowed(kept.id, &CacheLimits::default(), || true)?;
    Ok(())
}

pub(crate) fn pieces_of(run: &PieceRun) -> Vec<u32> {
    (run.first.0..).take(run.values.len()).collect()
}

/// What must hold at every moment, seen from outside.
pub(crate) fn check(files: &MemoryFiles, told: &Told) {
    let found = files.contents(Path::new(DESTINATION));
    assert!(found.as_ref().is_none_or(|bytes| *bytes == payload()), "a wrong file has the final name");
    if told.delivered {
        assert!(found.is_some(), "a delivered file is gone");
    }
}

/// What must hold at the end: the file, nothing else beside it, and records that prove what they give.
pub(crate) fn check_end(files: &MemoryFiles) {
    assert_eq!(files.contents(Path::new(DESTINATION)), Some(payload()));
    let beside: Vec<PathBuf> =
        files.names().into_iter().filter(|name| name.parent() == Some(Path::new("/home/user"))).collect();
    assert_eq!(beside, [PathBuf::from(DESTINATION)], "something is left beside the file");
    let of_jobs = files
        .names()
        .into_iter()
        .filter(|name| name.starts_with("/state/jobs") && *name != Path::new("/state/jobs"))
        .count();
    assert_eq!(of_jobs, 0, "something is left of the job");
    check_records(files);
}

/// Records prove what they give, or give nothing.
pub(crate) fn check_records(files: &MemoryFiles) {
    let cache = Cache::open(files.clone(), &PathBuf::from(STATE).join("cache"), Index::off()).unwrap();
    let mut buffer = Vec::new();
    for record in cache.records() {
        for piece in 0..3 {
            if cache.read_piece(record.id, PieceIndex(piece), &mut buffer).is_ok() {
                let from = usize::try_from(piece).unwrap() * 65_536;
                assert_eq!(buffer, payload()[from..from + buffer.len()]);
            }
        }
    }
}
