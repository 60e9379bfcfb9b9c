//! The operating system's files.
//!
//! Knows: which flags keep links, pipes and races out. Does not know: anything about the bytes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, OFlags, RenameFlags};

use super::files::{Access, Existing, FileHandle, FileKind, FileStat, Files, Space};

/// The files of this machine, as this process may see them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

/// Never through a link, never waiting for a pipe's other end, never inherited.
fn guarded() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0)
}

impl Files for RealFiles {
    type File = File;

    fn create_new(&self, path: &Path, mode: u32) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(guarded())
            .open(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        OpenOptions::new().read(true).write(access == Access::ReadWrite).custom_flags(guarded()).open(path)
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Files::open(self, path, Access::Read)?.take(len_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > len_max) {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path, existing: Existing) -> io::Result<()> {
        if existing == Existing::Replace {
            return fs::rename(from, to);
        }
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // Some network file systems know no flags. A second name fails if the first is taken, as wanted.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().mode(mode).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names =
            fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        Ok(stat_of(&fs::symlink_metadata(path)?))
    }

    fn stat_followed(&self, path: &Path) -> io::Result<FileStat> {
        Ok(stat_of(&fs::metadata(path)?))
    }

    fn may_write(&self, folder: &Path) -> io::Result<()> {
        let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        // With the effective user, as the later `create_new` will be judged.
        Ok(rustix::fs::accessat(CWD, folder, wanted, rustix::fs::AtFlags::EACCESS)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    fn uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }
}

/// Bytes of one write to the system. Linux puts what a call brings into one folio if it can, and a page cache made of
/// large folios is slow to fill: 1 GiB into ext4 (6.18, a virtual machine) takes 0.34 s of system time in writes of
/// 64 KiB, 1.0 s in writes of 128 KiB, 2.5 s in writes of 512 KiB.
const WRITE_LEN: usize = 64 * 1024;

impl FileHandle for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        for slice in bytes.chunks(WRITE_LEN) {
            self.write_all_at(slice, at)?;
            at = at.saturating_add(u64::try_from(slice.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    /// Into room that nobody has to fill with zeros first.
    fn append_at(&self, offset: u64, len: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let before = buffer.len();
        let end = before.saturating_add(len);
        buffer.reserve_exact(len);
        let mut at = offset;
        while buffer.len() < end {
            let read = rustix::io::retry_on_intr(|| rustix::io::pread(self, spare_capacity(buffer), at));
            match read.map_err(io::Error::from) {
                Ok(0) => {
                    buffer.truncate(before);
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(count) => at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)),
                Err(error) => {
                    buffer.truncate(before);
                    return Err(error);
                }
            }
        }
        // Where there was more room than was asked for, more was read.
        buffer.truncate(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.set_permissions(fs::Permissions::from_mode(mode))
    }

    fn set_modified(&self, unix_s: i64) -> io::Result<()> {
        let keep = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = rustix::fs::Timestamps {
            last_access: keep,
            last_modification: rustix::fs::Timespec { tv_sec: unix_s, tv_nsec: 0 },
        };
        Ok(rustix::fs::futimens(self, &times)?)
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(stat_of(&self.metadata()?))
    }

    fn share_blocks_of(&self, source: &Self) -> io::Result<()> {
        reflink_copy::reflink_file(source, self)
    }
}

fn stat_of(metadata: &fs::Metadata) -> FileStat {
    let kind = metadata.file_type();
    FileStat {
        kind: if kind.is_file() {
            FileKind::Regular
        } else if kind.is_dir() {
            FileKind::Folder
        } else if kind.is_symlink() {
            FileKind::Symlink
        } else {
            debug_assert!(
                kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device()
            );
            FileKind::Special
        },
        len: metadata.len(),
        device: metadata.dev(),
        inode: metadata.ino(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        links: metadata.nlink(),
        modified_unix_s: metadata.mtime(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_brings_exactly_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let all: Vec<u8> = (0..300_000_usize).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        fs::write(&path, &all).unwrap();
        let file = Files::open(&RealFiles, &path, Access::Read).unwrap();
        // With more room than is wanted, with none, and with something in front.
        for capacity in [0, 10, 1 << 20] {
            let mut buffer = Vec::with_capacity(capacity);
            buffer.extend_from_slice(b"front");
            file.append_at(1_000, 200_000, &mut buffer).unwrap();
            assert!(buffer[..5] == *b"front" && buffer[5..] == all[1_000..201_000], "{capacity}");
            file.append_at(0, 0, &mut buffer).unwrap();
            assert_eq!(buffer.len(), 200_005);
            let error = file.append_at(299_999, 2, &mut buffer).unwrap_err();
            assert_eq!((error.kind(), buffer.len()), (io::ErrorKind::UnexpectedEof, 200_005));
        }
    }
}
