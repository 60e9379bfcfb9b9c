//! An index of the cache's records that may be deleted or break at any time.
//!
//! Knows: sled, and not to trust it: it is opened on its own thread behind a time limit and a panic barrier, set
//! aside when it is damaged, and everything in it can be built again from the records. It is opened only where there
//! are many records: an open sled takes 22 MiB whatever is in it, and a thousand descriptions are read in a blink.
//! Does not know: what a record is; it maps ids to the bytes that describe the record, so that a start need not open
//! as many files as there are records. Everything else is looked for in memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::record::RecordId;

/// Memory sled may keep pages in. Its default is 1 GiB.
const PAGE_CACHE_LEN: u64 = 1024 * 1024;
/// Bytes the index may have on disk before it is built anew (T29).
pub const INDEX_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Time it may take to open.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Records from which on an index saves more than it costs.
pub const INDEXED_FROM: usize = 4_096;
/// Its length on disk is looked at once in so many changes: that walks a folder.
const CHANGES_PER_LOOK: u32 = 1_024;

/// The index. Every operation may find that it is gone; then it finds nothing, and says so once.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    from: usize,
    state: Mutex<State>,
    db: Mutex<Option<sled::Db>>,
    changes: AtomicU32,
    notes: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not needed so far.
    Closed,
    /// Was opened, whatever became of it.
    Tried,
}

impl Index {
    /// An index that is opened when there are so many records, and is off until then.
    #[must_use]
    pub fn from_records(path: &Path, from: usize) -> Self {
        Self {
            path: path.to_owned(),
            from,
            state: Mutex::new(State::Closed),
            db: Mutex::new(None),
            changes: AtomicU32::new(0),
            notes: Mutex::new(Vec::new()),
        }
    }

    /// Opens or creates the index now.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let index = Self::from_records(path, 0);
        index.expect(0);
        index
    }

    /// An index that is off for ever.
    #[must_use]
    pub fn off() -> Self {
        Self::from_records(Path::new(""), usize::MAX)
    }

    /// There are so many records now: opens the index if that is enough and it was not opened before. Whether it was
    /// opened by this call, and so should be brought in step.
    ///
    /// An index that cannot be opened is set aside, and a new, empty one takes its place; if that fails as well, the
    /// index is off and nothing else is affected. [`notes`](Self::notes) says what happened.
    pub fn expect(&self, record_count: usize) -> bool {
        if record_count < self.from
            || std::mem::replace(&mut *lock(&self.state), State::Tried) == State::Tried
        {
            return false;
        }
        let db = self.guarded_open().or_else(|reason| {
            let path = self.path.display();
            self.note(format!("the index {path} was set aside and is built anew: {reason}"));
            self.set_aside();
            self.guarded_open()
        });
        match db {
            Ok(db) => *lock(&self.db) = Some(db),
            Err(reason) => self.note(format!("no index in {}: {reason}", self.path.display())),
        }
        true
    }

    /// Whether finding nothing here says anything.
    #[must_use]
    pub fn is_on(&self) -> bool {
        lock(&self.db).is_some()
    }

    /// What went wrong since this was asked last, one line each.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// Remembers the bytes that describe a record.
    pub fn put(&self, id: RecordId, description: &[u8]) {
        self.guard(|db| db.insert(id.0, description));
        self.keep_small();
    }

    /// Forgets a record.
    pub fn remove(&self, id: RecordId) {
        self.guard(|db| db.remove(id.0));
    }

    /// The bytes that describe a record.
    #[must_use]
    pub fn get(&self, id: RecordId) -> Option<Vec<u8>> {
        self.guard(|db| db.get(id.0)).flatten().map(|bytes| bytes.to_vec())
    }

    /// Every record it knows, in the order of their ids. What an older version wrote under other keys goes.
    #[must_use]
    pub fn ids(&self) -> Vec<RecordId> {
        let found = self.guard(|db| {
            let mut ids = Vec::new();
            for key in db.iter().keys() {
                let key = key?;
                match <[u8; 16]>::try_from(&key[..]) {
                    Ok(id) => ids.push(RecordId(id)),
                    Err(_) => drop(db.remove(key)?),
                }
            }
            Ok(ids)
        });
        found.unwrap_or_default()
    }

    /// Makes what is in it durable. sled's own flush does not sync its file on Linux, so we do, through our own
    /// descriptor.
    pub fn flush(&self) {
        let flushed = self.guard(|db| db.flush()).is_some();
        if flushed
            && let Err(error) = std::fs::File::open(self.path.join("db")).and_then(|file| file.sync_all())
        {
            self.note(format!("the index {} is not durable: {error}", self.path.display()));
        }
    }

    /// Starts anew when it has grown beyond its bound: sled never gives space back by itself. Does without where all that
    /// is to be remembered is too much.
    fn keep_small(&self) {
        if self.changes.fetch_add(1, Ordering::Relaxed) % CHANGES_PER_LOOK != CHANGES_PER_LOOK - 1 {
            return;
        }
        if self.guard(|db| db.size_on_disk()).is_none_or(|len| len <= INDEX_LEN_MAX) {
            return;
        }
        let records: Option<Vec<(sled::IVec, sled::IVec)>> =
            self.guard(|db| db.iter().collect::<Result<_, _>>());
        let Some(records) = records else { return };
        *lock(&self.db) = None;
        if std::fs::remove_dir_all(&self.path).is_err() {
            return;
        }
        match self.guarded_open() {
            Ok(db) => *lock(&self.db) = Some(db),
            Err(reason) => self.note(format!("no index in {}: {reason}", self.path.display())),
        }
        let len = self.guard(|db| {
            for (key, value) in &records {
                db.insert(key, value)?;
            }
            db.flush()?;
            db.size_on_disk()
        });
        if len.is_some_and(|len| len > INDEX_LEN_MAX / 4 * 3) {
            *lock(&self.db) = None;
            drop(std::fs::remove_dir_all(&self.path));
            let path = self.path.display();
            self.note(format!("the index {path} is off: {} records are too many for it", records.len()));
        }
    }

    /// Opens sled where it can do no harm: on its own thread, behind a panic barrier and a time limit.
    fn guarded_open(&self) -> Result<sled::Db, String> {
        let (sender, receiver) = sync_channel(1);
        let path = self.path.clone();
        let open = move || {
            let opened = catch_unwind(AssertUnwindSafe(|| {
                sled::Config::new()
                    .path(path)
                    .cache_capacity(PAGE_CACHE_LEN)
                    .mode(sled::Mode::LowSpace)
                    .flush_every_ms(None)
                    .open()
            }));
            // If nobody waits any more, it is closed again right here.
            drop(sender.send(match opened {
                Ok(Ok(db)) => Ok(db),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it panicked while it was opened".to_owned()),
            }));
        };
        let thread = std::thread::Builder::new().name("open-index".into()).spawn(open);
        thread.map_err(|error| error.to_string())?;
        match receiver.recv_timeout(OPEN_TIMEOUT) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err("it took too long to open".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("its thread went away".to_owned()),
        }
    }

    /// Keeps the damaged one for whoever wants to look, and only one such.
    fn set_aside(&self) {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".damaged");
        let aside = PathBuf::from(name);
        let removed = |path: &Path| {
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
        };
        if aside.exists()
            && let Err(error) = removed(&aside)
        {
            self.note(format!("cannot remove {}: {error}", aside.display()));
        }
        if std::fs::rename(&self.path, &aside).is_err()
            && let Err(error) = removed(&self.path)
        {
            self.note(format!("cannot remove {}: {error}", self.path.display()));
        }
    }

    /// Runs one operation behind the panic barrier. An index that fails is off until the next start.
    fn guard<T>(&self, operation: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Option<T> {
        let mut db = lock(&self.db);
        let opened = db.as_ref()?;
        let reason = match catch_unwind(AssertUnwindSafe(|| operation(opened))) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        *db = None;
        self.note(format!("the index {} is off: {reason}", self.path.display()));
        None
    }

    fn note(&self, note: String) {
        let mut notes = lock(&self.notes);
        // Nobody reads more than the first few.
        if notes.len() < 16 {
            notes.push(note);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
