//! Content kept for peers and for later jobs: whole files, and parts of files.
//!
//! Knows: records on disk (`<record id>.meta`, `.list`, `.data`), delivered files borrowed in place (LOCAL-4), reads
//! that prove what they give. Does not know: who asks, whether he may (`engine`), which job brought the bytes.

mod copy;
mod gone;
mod meta;
mod read;
mod trim;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peer_proto::content::PieceIndex;
use peer_proto::digest::Digest;
use peer_proto::verify::HashList;
use peer_proto::version::Version;

use crate::disk::{Access, Existing, FileHandle, FileKind, Files};
use crate::record::{Holding, RecordId, RecordSummary, Scope, Voucher};
use crate::store::Index;

pub use self::copy::CopyOutcome;
use self::gone::Gone;
pub use self::meta::Seen;
use self::meta::{Borrowed, Meta, Stamp};
use self::read::Lists;
pub use self::trim::{Hold, Usage};
pub use self::verify::Verified;

/// URLs remembered for one record.
const SEEN_MAX: usize = 16;

/// What is to be kept, and everything known of it.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The record's name: 16 random bytes. Not used if the content is kept already.
    pub id: RecordId,
    /// The hash list, and in it root and length. Of certain and proved pieces only (TRUST-1).
    pub list: Arc<HashList>,
    /// Digests of the whole file that were checked, not merely claimed.
    pub digests: Vec<Digest>,
    /// Where it came from.
    pub url: String,
    /// What the origin said it was, if it was asked.
    pub version: Option<Version>,
    /// Who may use it.
    pub scope: Scope,
    /// Whether the job that brought it allowed serving.
    pub served: bool,
    /// Wall clock, seconds since 1970.
    pub now_unix_s: i64,
    /// Attestors on whose word alone it rests.
    pub vouched: Vec<Voucher>,
}

/// A change of what is held, to be told to the brain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The record holds this now.
    Held(RecordSummary),
    /// The record is gone.
    Gone(RecordId),
}

/// Why the cache cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The piece is not held, or no longer what it was: whatever changed shows in [`Cache::take_changes`].
    #[error("piece {} of record {record} is not held", .piece.0)]
    NotHeld {
        /// The record.
        record: RecordId,
        /// The piece.
        piece: PieceIndex,
    },
    /// There is no such record.
    #[error("there is no record {0}")]
    NoRecord(RecordId),
    /// Somebody reads it at this moment.
    #[error("record {0} is being read: try again in a few seconds")]
    Busy(RecordId),
    /// The file to be kept is not what was sealed, or not ours.
    #[error("{} is not the file that was sealed, and is not kept", .path.display())]
    NotTheFile {
        /// The file.
        path: PathBuf,
    },
    /// The record cannot be written down.
    #[error("record {record} cannot be written down: {reason}")]
    Unwritable {
        /// The record.
        record: RecordId,
        /// Why.
        reason: String,
    },
    /// The system refused an operation.
    #[error("cannot {doing} {}: {cause}", .path.display())]
    Io {
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// The cache. Clones share it; every method blocks.
#[derive(Clone)]
pub struct Cache<F: Files> {
    shared: Arc<Shared<F>>,
}

struct Shared<F: Files> {
    files: F,
    folder: PathBuf,
    index: Index,
    records: Mutex<BTreeMap<RecordId, Meta>>,
    lists: Mutex<Lists>,
    /// How many read a record at this moment; taken after `records`, never before.
    readers: Mutex<BTreeMap<RecordId, u32>>,
    /// The place of the next use among all uses.
    uses: AtomicU64,
    /// The last change of each record that nobody took yet.
    changes: Mutex<BTreeMap<RecordId, Change>>,
    /// Records that were here and went.
    gone: Mutex<Gone>,
    notes: Mutex<Vec<String>>,
}

impl<F: Files> Cache<F> {
    /// Opens the cache in a folder that exists.
    ///
    /// Records come from the index where it has them as they are on disk, else from their own files; the index is
    /// brought in step. What cannot be read is set aside and costs the other records nothing (CACHE-11).
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder itself cannot be read.
    pub fn open(files: F, folder: &Path, index: Index) -> Result<Self, CacheError> {
        let shared = Shared {
            files,
            folder: folder.to_owned(),
            index,
            records: Mutex::new(BTreeMap::new()),
            lists: Mutex::new(Lists::default()),
            readers: Mutex::new(BTreeMap::new()),
            uses: AtomicU64::new(0),
            changes: Mutex::new(BTreeMap::new()),
            gone: Mutex::default(),
            notes: Mutex::new(Vec::new()),
        };
        let cache = Self { shared: Arc::new(shared) };
        cache.load()?;
        Ok(cache)
    }

    /// Whether there was such a record, and it went, since the cache was opened. The last 1024 are remembered.
    #[must_use]
    pub fn was_here(&self, id: RecordId) -> bool {
        lock(&self.shared.gone).has(id)
    }

    /// Everything that is held.
    #[must_use]
    pub fn records(&self) -> Vec<RecordSummary> {
        lock(&self.shared.records).values().map(|meta| meta.summary.clone()).collect()
    }

    /// One record.
    #[must_use]
    pub fn record(&self, id: RecordId) -> Option<RecordSummary> {
        lock(&self.shared.records).get(&id).map(|meta| meta.summary.clone())
    }

    /// The URLs and versions a record was seen under, newest last.
    #[must_use]
    pub fn seen(&self, id: RecordId) -> Vec<Seen> {
        lock(&self.shared.records).get(&id).map(|meta| meta.seen.clone()).unwrap_or_default()
    }

    /// Whether a record's bytes are those of a delivered file that lies where its user left it.
    #[must_use]
    pub fn is_borrowed(&self, id: RecordId) -> bool {
        lock(&self.shared.records).get(&id).is_some_and(|meta| meta.borrowed.is_some())
    }

    /// What changed by itself since this was asked last: pieces that did not prove, files that went.
    #[must_use]
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *lock(&self.shared.changes)).into_values().collect()
    }

    /// What people should know, one line each: what was set aside, what is wrong with the index.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        let mut notes = std::mem::take(&mut *lock(&self.shared.notes));
        notes.extend(self.shared.index.notes());
        notes
    }

    /// Keeps a delivered file where it lies (LOCAL-4). Nothing is copied, no descriptor stays open; every read proves
    /// again what it finds there.
    ///
    /// If the content is held already under the same scope, that record learns the URL and the place.
    ///
    /// # Errors
    /// [`CacheError::NotTheFile`] unless it is a regular file of this user, of the sealed length; as
    /// [`CacheError::Io`] otherwise.
    pub fn keep_borrowed(&self, keep: Keep, destination: &Path) -> Result<RecordSummary, CacheError> {
        let shared = &*self.shared;
        let file = shared.files.open(destination, Access::Read).map_err(at("open", destination))?;
        let stat = file.stat().map_err(at("look at", destination))?;
        let content = keep.list.content();
        if stat.kind != FileKind::Regular || stat.uid != shared.files.uid() || stat.len != content.len {
            return Err(CacheError::NotTheFile { path: destination.to_owned() });
        }
        let borrowed =
            Borrowed { path: destination.to_owned(), device: stat.device, inode: stat.inode, len: stat.len };
        let mut records = lock(&shared.records);
        let is_it = |meta: &&Meta| {
            meta.summary.content == content
                && meta.summary.scope == keep.scope
                && meta.summary.holding == Holding::Whole
        };
        let meta = match records.values().find(is_it).cloned() {
            Some(mut meta) => {
                meta.learn(&keep, shared.next_use());
                if meta.borrowed.is_some() {
                    meta.borrowed = Some(borrowed);
                }
                meta
            }
            None => {
                shared.write_list(keep.id, &keep.list)?;
                Meta::new(&keep, Holding::Whole, Some(borrowed), shared.next_use())
            }
        };
        shared.write_meta(&meta)?;
        let summary = meta.summary.clone();
        records.insert(summary.id, meta);
        shared.index_if_many(&records);
        Ok(summary)
    }

    /// Keeps parts of a content: `read` fills its buffer with a piece and says whether it could. Pieces that do not
    /// prove are left out.
    ///
    /// # Errors
    /// [`CacheError::Io`]; nothing is kept then.
    pub fn insert_partial(
        &self,
        keep: Keep,
        mut read: impl FnMut(PieceIndex, &mut Vec<u8>) -> bool,
    ) -> Result<RecordSummary, CacheError> {
        let shared = &*self.shared;
        let path = shared.path(keep.id, "data");
        drop(shared.files.remove(&path));
        let file = shared.files.create_new(&path, 0o600).map_err(at("create", &path))?;
        let cut = *keep.list.geometry();
        let (mut held, mut buffer) = (Vec::new(), Vec::new());
        for piece in (0..cut.piece_count()).map(PieceIndex) {
            let Some(range) = cut.piece_range(piece) else { continue };
            buffer.clear();
            if read(piece, &mut buffer) && keep.list.check(piece, &buffer).is_ok() {
                file.write_at(range.start(), &buffer).map_err(at("write", &path))?;
                held.push(piece.0);
            }
        }
        file.set_len(cut.len()).map_err(at("extend", &path))?;
        file.sync().map_err(at("sync", &path))?;
        shared.write_list(keep.id, &keep.list)?;
        let holding = meta::holding_of(&held, cut.piece_count());
        let meta = Meta::new(&keep, holding, None, shared.next_use());
        shared.write_meta(&meta)?;
        let summary = meta.summary.clone();
        let mut records = lock(&shared.records);
        records.insert(summary.id, meta);
        shared.index_if_many(&records);
        Ok(summary)
    }

    /// Notes that a record was used now; strangers are answered for 24 h after that (LOOKUP-3).
    ///
    /// # Errors
    /// [`CacheError::Io`] if the record cannot be written; it counts as used in memory all the same.
    pub fn touch(&self, id: RecordId, now_unix_s: i64) -> Result<(), CacheError> {
        let mut records = lock(&self.shared.records);
        let meta = records.get_mut(&id).ok_or(CacheError::NoRecord(id))?;
        meta.used = self.shared.next_use();
        let before = std::mem::replace(&mut meta.summary.last_used_unix_s, now_unix_s);
        // Every use would be a write; to the minute is enough for ages of days.
        let is_same_minute = now_unix_s.div_euclid(60) == before.div_euclid(60);
        if is_same_minute { Ok(()) } else { self.shared.write_meta(meta) }
    }

    /// Makes the index durable. For the end of a node's life; the records are what counts.
    pub fn flush(&self) {
        self.shared.index.flush();
    }

    fn load(&self) -> Result<(), CacheError> {
        let shared = &*self.shared;
        let names = shared.files.list(&shared.folder).map_err(at("list", &shared.folder))?;
        shared.index.expect(names.iter().filter(|name| record_of(name, "meta").is_some()).count());
        let mut whole = BTreeSet::new();
        for name in &names {
            let Some(id) = record_of(name, "meta") else { continue };
            let path = shared.path(id, "meta");
            let stamp =
                shared.files.stat(&path).map(|stat| Stamp::of(&stat)).map_err(at("look at", &path))?;
            let indexed = shared.index.get(id).and_then(|bytes| meta::from_index(&bytes, stamp));
            let is_indexed = indexed.is_some();
            let found = match indexed {
                Some(meta) => Ok(meta),
                None => shared.read_meta(id),
            };
            match found {
                Ok(meta) if meta.summary.id == id => {
                    if !is_indexed {
                        shared.index_meta(&meta, stamp);
                    }
                    whole.insert(id);
                    lock(&shared.records).insert(id, meta);
                }
                Ok(_) => shared.set_aside(id, "it names another record"),
                Err(reason) => shared.set_aside(id, &reason),
            }
        }
        let indexed = shared.index.ids();
        indexed.into_iter().filter(|id| !whole.contains(id)).for_each(|id| shared.index.remove(id));
        let last = lock(&shared.records).values().map(|meta| meta.used).max();
        shared
            .uses
            .store(last.map_or(0, |last| last.saturating_add(1)), std::sync::atomic::Ordering::Relaxed);
        // What a stopped process left beside the records.
        for name in &names {
            let owner = ["list", "data", "data.new", "meta.new", "list.new"].iter().find_map(|kind| {
                let id = record_of(name, kind)?;
                Some((id, kind.ends_with(".new")))
            });
            if let Some((id, is_unfinished)) = owner
                && (is_unfinished || !whole.contains(&id))
            {
                drop(shared.files.remove(&shared.folder.join(name)));
            }
        }
        Ok(())
    }
}

impl<F: Files> Shared<F> {
    fn path(&self, id: RecordId, kind: &str) -> PathBuf {
        self.folder.join(format!("{id}.{kind}"))
    }

    fn read_meta(&self, id: RecordId) -> Result<Meta, String> {
        let bytes = self.files.read(&self.path(id, "meta"), meta::META_LEN_MAX).map_err(|e| e.to_string())?;
        meta::decode(&bytes)
    }

    /// Writes a record's description in one step, and brings the index in step with it. Not synced: a record lost in
    /// a power cut costs a fetch, a torn one is set aside.
    fn write_meta(&self, meta: &Meta) -> Result<(), CacheError> {
        let id = meta.summary.id;
        let bytes = meta::encode(meta).map_err(|reason| CacheError::Unwritable { record: id, reason })?;
        let path = self.path(id, "meta");
        self.write_whole(id, "meta", &bytes)?;
        let stat = self.files.stat(&path).map_err(at("look at", &path))?;
        self.index_meta(meta, Stamp::of(&stat));
        Ok(())
    }

    /// Opens the index once there are enough records, and brings it in step.
    fn index_if_many(&self, records: &BTreeMap<RecordId, Meta>) {
        if !self.index.expect(records.len()) {
            return;
        }
        let indexed = self.index.ids();
        indexed.into_iter().filter(|id| !records.contains_key(id)).for_each(|id| self.index.remove(id));
        for (id, meta) in records {
            if let Ok(stat) = self.files.stat(&self.path(*id, "meta")) {
                self.index_meta(meta, Stamp::of(&stat));
            }
        }
    }

    fn index_meta(&self, meta: &Meta, stamp: Stamp) {
        if !self.index.is_on() {
            return;
        }
        let Ok(bytes) = meta::for_index(meta, stamp) else { return };
        self.index.put(meta.summary.id, &bytes);
    }

    fn write_list(&self, id: RecordId, list: &HashList) -> Result<(), CacheError> {
        let bytes: Vec<u8> = list.values().iter().flat_map(|value| value.0).collect();
        self.write_whole(id, "list", &bytes)
    }

    fn write_whole(&self, id: RecordId, kind: &str, bytes: &[u8]) -> Result<(), CacheError> {
        let (fresh, path) = (self.path(id, &format!("{kind}.new")), self.path(id, kind));
        drop(self.files.remove(&fresh));
        let file = self.files.create_new(&fresh, 0o600).map_err(at("create", &fresh))?;
        file.write_at(0, bytes).map_err(at("write", &fresh))?;
        self.files.rename(&fresh, &path, Existing::Replace).map_err(at("rename", &fresh))
    }

    /// The description first: without it nothing else counts.
    fn forget_files(&self, id: RecordId) -> Result<(), CacheError> {
        self.index.remove(id);
        lock(&self.lists).forget(id);
        let path = self.path(id, "meta");
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("remove", &path)(error)),
            _ => {}
        }
        for kind in ["list", "data", "data.new"] {
            drop(self.files.remove(&self.path(id, kind)));
        }
        Ok(())
    }

    /// A record that cannot be read stays for whoever wants to look, out of the way.
    fn set_aside(&self, id: RecordId, reason: &str) {
        let path = self.path(id, "meta");
        let moved = self.files.rename(&path, &self.path(id, "meta.damaged"), Existing::Replace);
        let outcome = if moved.is_ok() { "was set aside" } else { "is left alone" };
        self.index.remove(id);
        let mut notes = lock(&self.notes);
        if notes.len() < 64 {
            notes.push(format!("record {id} {outcome}: {reason}"));
        }
    }

    fn changed(&self, change: Change) {
        let id = match &change {
            Change::Held(summary) => summary.id,
            Change::Gone(id) => {
                lock(&self.gone).add(*id);
                *id
            }
        };
        lock(&self.changes).insert(id, change);
    }
}

/// The record a file of the cache's folder belongs to, if it is of this kind.
fn record_of(name: &std::ffi::OsStr, kind: &str) -> Option<RecordId> {
    let id = name.to_str()?.strip_suffix(kind)?.strip_suffix('.')?;
    id.parse::<crate::job::JobId>().ok().map(RecordId::from)
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |cause| CacheError::Io { doing, path, cause }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trim_tests;
