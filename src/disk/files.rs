//! The few things we ask of a file system, synchronous and small enough to be simulated.
//!
//! Knows: names, handles, what is durable after which call. Does not know: what the bytes mean. [`RealFiles`] is the
//! operating system; `memory_files` is a file system that forgets, for tests.
//!
//! [`RealFiles`]: super::RealFiles

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// What an opened file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// What happens when a name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// The operation fails with `AlreadyExists`.
    Refuse,
    /// What had the name loses it.
    Replace,
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket, a device.
    Special,
}

/// What the file system says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Bytes in it.
    pub len: u64,
    /// The device it lies on.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
    /// Permission bits, without the kind.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// How many names it has.
    pub links: u64,
    /// When its bytes last changed, seconds since 1970.
    pub modified_unix_s: i64,
}

impl FileStat {
    /// Whether it is a regular file of `uid` with one name: the only kind we adopt as our own.
    #[must_use]
    pub fn is_plain_of(&self, uid: u32) -> bool {
        self.kind == FileKind::Regular && self.uid == uid && self.links == 1
    }
}

/// A file system. Every call blocks; none retries.
pub trait Files: Clone + Send + Sync + 'static {
    /// An open file.
    type File: FileHandle;

    /// Creates a file that was not there, for reading and writing; never follows a link at the last name.
    ///
    /// # Errors
    /// `AlreadyExists`, and whatever the system says.
    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Self::File>;
    /// Opens a file; never follows a link at the last name, never waits for the other end of a pipe.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;
    /// All bytes of a file of at most `len_max` bytes. For small files and those of `/proc`.
    ///
    /// # Errors
    /// `FileTooLarge` if there are more; nothing beyond is kept.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>>;
    /// Gives a file another name in one step. Durable after both folders were synced.
    ///
    /// # Errors
    /// `AlreadyExists` where `existing` refuses.
    fn rename(&self, from: &Path, to: &Path, existing: Existing) -> io::Result<()>;
    /// Removes a file's name.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, and whatever the system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Whatever the system says; the names may then be lost.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder whose parent exists.
    ///
    /// # Errors
    /// `AlreadyExists`, and whatever the system says.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// What a name stands for; a link is reported as a link.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;
    /// What a name leads to; links are followed.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn stat_followed(&self, path: &Path) -> io::Result<FileStat>;
    /// Whether this process may create names in a folder.
    ///
    /// # Errors
    /// `PermissionDenied` or `ReadOnlyFilesystem` if not.
    fn may_write(&self, folder: &Path) -> io::Result<()>;
    /// Bytes this process may still write on the file system of `path`, and the size of all of it.
    ///
    /// # Errors
    /// Whatever the system says.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The user this process acts as.
    fn uid(&self) -> u32;
}

/// How full a file system is, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Free for this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// An open file.
pub trait FileHandle: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the system says; any part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills all of `bytes` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Appends `len` bytes from `offset` to `buffer`, which is as it was after an error.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn append_at(&self, offset: u64, len: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let before = buffer.len();
        buffer.resize(before.saturating_add(len), 0);
        self.read_at(offset, &mut buffer[before..]).inspect_err(|_| buffer.truncate(before))
    }
    /// Makes the bytes durable. After an error nothing written since the last success may be believed to be on disk,
    /// and a second call proves nothing.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Sets the permission bits.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Sets the time of the last change, seconds since 1970.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_modified(&self, unix_s: i64) -> io::Result<()>;
    /// What the file system says of the open file, whatever its name stands for by now.
    ///
    /// # Errors
    /// Whatever the system says.
    fn stat(&self) -> io::Result<FileStat>;
    /// Makes this empty file share the blocks of `source`, copy on write.
    ///
    /// # Errors
    /// `Unsupported` where the file system cannot.
    fn share_blocks_of(&self, source: &Self) -> io::Result<()>;
}

/// Bytes of a `/proc` file we look at.
const PROC_LEN_MAX: u64 = 64 * 1024;

/// Names one start of this machine: what was not synced before it changed may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootId(pub [u8; 16]);

/// Which start of the machine this is; `None` where the system does not say, and then nothing is the same boot.
pub fn boot_id(files: &impl Files) -> Option<BootId> {
    let text = files.read(Path::new("/proc/sys/kernel/random/boot_id"), PROC_LEN_MAX).ok()?;
    let digits: String = String::from_utf8(text).ok()?.trim().chars().filter(|c| *c != '-').collect();
    Some(BootId(peer_proto::digest::bytes_from_hex(&digits)?.try_into().ok()?))
}

/// The permission bits this process takes from new files. Read, not set: setting it to look at it would race with
/// every other thread.
pub fn umask(files: &impl Files) -> u32 {
    const USUAL: u32 = 0o022;
    let Ok(text) = files.read(Path::new("/proc/self/status"), PROC_LEN_MAX) else { return USUAL };
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok())
        .unwrap_or(USUAL)
}
