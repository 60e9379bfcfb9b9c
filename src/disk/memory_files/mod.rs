//! A file system in memory that forgets: for tests only.
//!
//! Knows: which bytes and names were synced, how to lose the rest, how to fail, tear or stop at the n-th operation.
//! Does not know: who uses it. It is stricter than a journaling file system: a file's name is durable only after
//! its folder was synced, bytes only after the file was, and a failed sync drops what it should have written, as
//! Linux does.

mod disk;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::disk::{Change, Disk, edit};
use super::files::{Access, Existing, FileHandle, FileKind, FileStat, Files, Space};

/// One kind of counted operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// A file or folder was created.
    Create,
    /// Bytes were written.
    Write,
    /// A file was cut or extended.
    SetLen,
    /// A file was synced.
    Sync,
    /// A folder was synced.
    SyncFolder,
    /// A name changed.
    Rename,
    /// A name went.
    Remove,
}

/// What happens at a chosen operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It fails with this system error and does nothing; a failed sync drops the bytes it should have made durable.
    Error(i32),
    /// Half of it happens, then it fails with this system error.
    Short(i32),
    /// The process stops before it.
    StopBefore,
    /// The process stops half-way through it.
    StopWithin,
    /// The process stops after it, without seeing the result.
    StopAfter,
}

/// What a power cut does to what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// All of it is gone.
    All,
    /// Some of it is gone, chosen by this seed; writes may be torn at 512 bytes.
    Some(u64),
    /// By luck everything had reached the disk.
    Nothing,
}

/// The file system. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    disk: Arc<Mutex<Disk>>,
}

/// An open file of a [`MemoryFiles`].
#[derive(Debug)]
pub struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
    life: u64,
    access: Access,
}

const ENOSPC: i32 = 28;
const ELOOP: i32 = 40;

impl Default for MemoryFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryFiles {
    /// An empty file system with a root folder, owned by user 1000.
    #[must_use]
    pub fn new() -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new())) }
    }

    /// The `n`-th counted operation from now (zero: the next one) meets this fault, once.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        let mut disk = self.lock();
        let at = disk.operations + n;
        disk.faults.insert(at, fault);
    }

    /// Takes back all faults that were not met.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// How many operations were counted since the start.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How many operations of one kind were counted since the start.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Whether a fault stopped the process; everything fails until [`kill`](Self::kill) or
    /// [`cut_power`](Self::cut_power).
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// The process is gone and a new one starts: old handles are dead, everything written is there.
    pub fn kill(&self) {
        let mut disk = self.lock();
        disk.life += 1;
        disk.stopped = false;
        disk.faults.clear();
    }

    /// The power goes and comes back: what was not synced suffers, and the boot id changes.
    pub fn cut_power(&self, loss: Loss) {
        let mut disk = self.lock();
        disk.lose(loss);
        disk.life += 1;
        disk.boot += 1;
        disk.stopped = false;
        disk.faults.clear();
    }

    /// How many bytes all files together may have; `None` for no bound.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.lock().space = bytes;
    }

    /// Acts as another user from now on.
    pub fn act_as(&self, uid: u32) {
        self.lock().uid = uid;
    }

    /// Puts a durable regular file of the current user there, without counting; its folder must exist.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.put_kind(path, FileKind::Regular, bytes);
    }

    /// Puts a durable thing of any kind there, without counting; a folder that is there stays. Folders on the way are
    /// made.
    pub fn put_kind(&self, path: &Path, kind: FileKind, bytes: &[u8]) {
        let mut disk = self.lock();
        for folder in path.ancestors().skip(1) {
            disk.put_inode(folder, FileKind::Folder, &[]);
        }
        if kind != FileKind::Folder {
            disk.names.remove(path);
        }
        disk.put_inode(path, kind, bytes);
    }

    /// Changes permission bits, without counting.
    pub fn set_mode_of(&self, path: &Path, mode: u32) {
        let mut disk = self.lock();
        if let Some(inode) = disk.at(path).ok().and_then(|id| disk.inodes.get_mut(&id)) {
            inode.mode = mode;
        }
    }

    /// Flips the bits of `mask` in one byte, in memory and on disk, as rot would. Nothing if there is no such byte.
    pub fn rot(&self, path: &Path, offset: usize, mask: u8) {
        let mut disk = self.lock();
        let Some(inode) = disk.at(path).ok().and_then(|id| disk.inodes.get_mut(&id)) else { return };
        for copy in [&mut inode.bytes, &mut inode.durable] {
            if let Some(byte) = copy.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    /// Every name there is, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file, without counting and whatever its mode; `None` if there is none.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.lock();
        let inode = disk.inodes.get(disk.names.get(path)?)?;
        (inode.kind == FileKind::Regular).then(|| inode.bytes.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, disk: &Disk, inode: u64, access: Access) -> MemoryFile {
        MemoryFile { disk: Arc::clone(&self.disk), inode, life: disk.life, access }
    }
}

impl Files for MemoryFiles {
    type File = MemoryFile;

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<MemoryFile> {
        let mut disk = self.lock();
        let life = disk.life;
        disk.alive(life)?;
        let inode = disk.create(path, FileKind::Regular, mode)?;
        Ok(self.handle(&disk, inode, Access::ReadWrite))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<MemoryFile> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        let id = disk.at(path)?;
        match disk.inode(id)?.kind {
            FileKind::Regular => Ok(self.handle(&disk, id, access)),
            FileKind::Symlink => Err(io::Error::from_raw_os_error(ELOOP)),
            // As a pipe opened without waiting: it opens, and is not what it should be.
            FileKind::Special if access == Access::Read => Ok(self.handle(&disk, id, access)),
            FileKind::Special | FileKind::Folder => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        if path == Path::new("/proc/sys/kernel/random/boot_id") {
            return Ok(format!("00000000-0000-0000-0000-{:012x}\n", disk.boot).into_bytes());
        }
        let inode = disk.inode(disk.at(path)?)?;
        if inode.kind != FileKind::Regular {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if inode.bytes.len() as u64 > len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(inode.bytes.clone())
    }

    fn rename(&self, from: &Path, to: &Path, existing: Existing) -> io::Result<()> {
        let mut disk = self.lock();
        disk.alive(disk.life)?;
        let id = disk.at(from)?;
        if existing == Existing::Refuse && disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.writable_parent(from)?;
        disk.writable_parent(to)?;
        let edits = vec![(from.to_owned(), None), (to.to_owned(), Some(id))];
        disk.operate(
            Operation::Rename,
            |_| {},
            |disk| {
                disk.rename(edits);
                Ok(())
            },
        )
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        disk.alive(disk.life)?;
        if disk.inode(disk.at(path)?)?.kind == FileKind::Folder {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        disk.writable_parent(path)?;
        disk.operate(
            Operation::Remove,
            |_| {},
            |disk| {
                disk.rename(vec![(path.to_owned(), None)]);
                Ok(())
            },
        )
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let mut disk = self.lock();
        disk.operate(
            Operation::Remove,
            |_| {},
            |disk| {
                disk.rename(vec![(path.to_owned(), None)]);
                Ok(())
            },
        )
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        disk.alive(disk.life)?;
        disk.at(path)?;
        disk.operate(
            Operation::SyncFolder,
            |_| {},
            |disk| {
                let touches = |edits: &Vec<(PathBuf, Option<u64>)>| {
                    edits.iter().any(|(name, _)| name.parent() == Some(path))
                };
                let (now, later): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut disk.pending_names).into_iter().partition(touches);
                disk.pending_names = later;
                for (name, id) in now.into_iter().flatten() {
                    edit(&mut disk.durable_names, &name, id);
                }
                Ok(())
            },
        )
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        let mut disk = self.lock();
        disk.alive(disk.life)?;
        disk.create(path, FileKind::Folder, mode)?;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        if disk.inode(disk.at(path)?)?.kind != FileKind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let inside = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| name.file_name().map(OsString::from)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        disk.stat(disk.at(path)?)
    }

    fn stat_followed(&self, path: &Path) -> io::Result<FileStat> {
        Files::stat(self, path)
    }

    fn may_write(&self, folder: &Path) -> io::Result<()> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        disk.writable_parent(&folder.join("any"))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let disk = self.lock();
        disk.alive(disk.life)?;
        let total = disk.space.unwrap_or(1 << 40);
        Ok(Space { free: total.saturating_sub(disk.used()), total })
    }

    fn uid(&self) -> u32 {
        self.lock().uid
    }
}

impl MemoryFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.alive(self.life)?;
        Ok(disk)
    }

    fn change(&self, operation: Operation, change: Change) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut disk = self.lock()?;
        let len = disk.inode(self.inode)?.bytes.len();
        let end = match &change {
            Change::Write { offset, bytes } => offset + bytes.len(),
            Change::SetLen(len) => *len,
        };
        let more = end.saturating_sub(len) as u64;
        if disk.space.is_some_and(|space| disk.used() + more > space) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let half = change.half();
        disk.operate(
            operation,
            |disk| {
                if let (Some(half), Ok(inode)) = (half, disk.inode_mut(self.inode)) {
                    inode.change(half);
                }
            },
            |disk| {
                disk.inode_mut(self.inode)?.change(change);
                Ok(())
            },
        )
    }
}

impl FileHandle for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(Operation::Write, Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let disk = self.lock()?;
        let inode = disk.inode(self.inode)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = start.checked_add(bytes.len()).and_then(|end| inode.bytes.get(start..end));
        bytes.copy_from_slice(found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.lock()?;
        let outcome = disk.operate(
            Operation::Sync,
            |disk| {
                // Half of what was pending reaches the disk.
                if let Ok(inode) = disk.inode_mut(self.inode) {
                    let half = inode.pending.len() / 2;
                    for change in inode.pending.drain(..half).collect::<Vec<_>>() {
                        change.apply(&mut inode.durable);
                    }
                }
            },
            |disk| {
                let inode = disk.inode_mut(self.inode)?;
                for change in std::mem::take(&mut inode.pending) {
                    change.apply(&mut inode.durable);
                }
                Ok(())
            },
        );
        if outcome.is_err() && !disk.stopped {
            // The kernel marks the pages clean and forgets: they are in memory only, for ever.
            disk.inode_mut(self.inode)?.pending.clear();
        }
        outcome
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.change(Operation::SetLen, Change::SetLen(len))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.lock()?.inode_mut(self.inode)?.mode = mode;
        Ok(())
    }

    fn set_modified(&self, unix_s: i64) -> io::Result<()> {
        self.lock()?.inode_mut(self.inode)?.modified_unix_s = unix_s;
        Ok(())
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.lock()?.stat(self.inode)
    }

    fn share_blocks_of(&self, _source: &Self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
