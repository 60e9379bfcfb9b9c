//! The one door to users' paths: what a destination must be before a byte is fetched.
//!
//! Knows: relative names, missing and read-only folders, links, special files, foreign files (T20, T21, T22). Does
//! not know: who submitted the job; this process acts as its own user only.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files::{Existing, FileKind, Files};

/// Bytes of one name, on every file system we know.
const NAME_LEN_MAX: usize = 255;
/// Bytes of a whole path, without the closing zero.
const PATH_LEN_MAX: usize = 4_095;

/// A place a file may be delivered to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The folder, which exists and may be written.
    pub folder: PathBuf,
    /// The final name in it.
    pub name: OsString,
}

impl Destination {
    /// The final path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The partial file's path: `.<name>.<tag>.part` beside the final one (FILE-6), the name cut where the whole
    /// would be too long.
    #[must_use]
    pub fn part_path(&self, tag: &str) -> PathBuf {
        let fixed = ".".len() + ".".len() + tag.len() + ".part".len();
        let name = self.name.as_bytes();
        let mut cut = name.len().min(NAME_LEN_MAX.saturating_sub(fixed));
        // Not within a character, so that the name stays readable.
        while cut < name.len() && cut > 0 && name[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        let mut part = OsString::from(".");
        part.push(std::ffi::OsStr::from_bytes(&name[..cut]));
        part.push(".");
        part.push(tag);
        part.push(".part");
        self.folder.join(part)
    }
}

/// Why a destination cannot take a file. Each says what and where, in one line.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Not an absolute path.
    #[error("the destination {0:?} is not an absolute path")]
    Relative(PathBuf),
    /// A zero byte, or no file name at the end.
    #[error("the destination {0:?} does not name a file")]
    NoName(PathBuf),
    /// A name or path longer than file systems take.
    #[error("the destination's name is too long: {len} bytes, at most {max}")]
    TooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// The folder is not there.
    #[error("the folder {} does not exist; create it first", .0.display())]
    NoFolder(PathBuf),
    /// Something on the way is no folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The folder may not be written.
    #[error("the folder {} cannot be written: {cause}", .folder.display())]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The system cannot tell what is there.
    #[error("cannot look at {}: {cause}", .path.display())]
    Unseen {
        /// What was looked at.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The name is taken and may not be replaced.
    #[error("{} already exists; remove it, or allow it to be replaced (`--overwrite`)", .0.display())]
    Taken(PathBuf),
    /// The name is a symbolic link, which is never followed.
    #[error("{} is a symbolic link; name the file itself", .0.display())]
    Symlink(PathBuf),
    /// The name is a folder.
    #[error("{} is a folder; name a file in it", .0.display())]
    Folder(PathBuf),
    /// The name is a pipe, a socket or a device.
    #[error("{} is not a regular file", .0.display())]
    Special(PathBuf),
    /// The existing file is somebody else's.
    #[error("{} belongs to another user and is not replaced", .0.display())]
    Foreign(PathBuf),
}

impl DestinationError {
    /// The system's word for it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Relative(_) | Self::NoName(_) => io::ErrorKind::InvalidInput,
            Self::TooLong { .. } => io::ErrorKind::InvalidFilename,
            Self::NoFolder(_) => io::ErrorKind::NotFound,
            Self::NotAFolder(_) => io::ErrorKind::NotADirectory,
            Self::NotWritable { cause, .. } | Self::Unseen { cause, .. } => cause.kind(),
            Self::Taken(_) => io::ErrorKind::AlreadyExists,
            Self::Symlink(_) | Self::Folder(_) | Self::Special(_) | Self::Foreign(_) => {
                io::ErrorKind::PermissionDenied
            }
        }
    }
}

/// Looks at a destination without touching anything.
///
/// What it allows may change until the rename, which checks again in one step; nothing here is relied upon for
/// safety, only for an early and clear answer.
///
/// # Errors
/// [`DestinationError`], one line for people.
pub fn check_destination(
    files: &impl Files,
    path: &Path,
    existing: Existing,
) -> Result<Destination, DestinationError> {
    let destination = parse(path)?;
    let folder = &destination.folder;
    match files.stat_followed(folder) {
        Ok(stat) if stat.kind == FileKind::Folder => {}
        Ok(_) => return Err(DestinationError::NotAFolder(folder.clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DestinationError::NoFolder(folder.clone()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(DestinationError::NotAFolder(folder.clone()));
        }
        Err(cause) => return Err(DestinationError::Unseen { path: folder.clone(), cause }),
    }
    check_name(files, &destination, existing)?;
    files
        .may_write(folder)
        .map_err(|cause| DestinationError::NotWritable { folder: folder.clone(), cause })?;
    Ok(destination)
}

/// Makes the folders of a destination that are missing, each for its owner and whom the umask lets in.
///
/// # Errors
/// [`DestinationError`] if one cannot be made; those above it stay.
pub fn create_folders(files: &impl Files, path: &Path) -> Result<(), DestinationError> {
    let destination = parse(path)?;
    let mut missing = Vec::new();
    let mut folder = destination.folder.as_path();
    while files.stat_followed(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        missing.push(folder);
        let Some(above) = folder.parent() else { break };
        folder = above;
    }
    for folder in missing.into_iter().rev() {
        match files.create_folder(folder, 0o777 & !super::files::umask(files)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DestinationError::NotWritable { folder: folder.to_owned(), cause: error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The shape of a destination, before the file system is asked.
///
/// # Errors
/// [`DestinationError`] if it can be no file's path.
pub fn parse(path: &Path) -> Result<Destination, DestinationError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > PATH_LEN_MAX {
        return Err(DestinationError::TooLong { len: bytes.len(), max: PATH_LEN_MAX });
    }
    if !path.is_absolute() {
        return Err(DestinationError::Relative(path.to_owned()));
    }
    let no_name = || DestinationError::NoName(path.to_owned());
    if bytes.contains(&0) || bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        return Err(no_name());
    }
    let name = path.file_name().ok_or_else(no_name)?;
    if name.len() > NAME_LEN_MAX {
        return Err(DestinationError::TooLong { len: name.len(), max: NAME_LEN_MAX });
    }
    let folder = path.parent().ok_or_else(no_name)?.to_owned();
    Ok(Destination { folder, name: name.to_owned() })
}

/// What may stand under the final name.
fn check_name(
    files: &impl Files,
    destination: &Destination,
    existing: Existing,
) -> Result<(), DestinationError> {
    let path = destination.path();
    let stat = match files.stat(&path) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(DestinationError::Unseen { path, cause }),
    };
    match stat.kind {
        FileKind::Symlink => Err(DestinationError::Symlink(path)),
        FileKind::Folder => Err(DestinationError::Folder(path)),
        FileKind::Special => Err(DestinationError::Special(path)),
        FileKind::Regular if existing == Existing::Refuse => Err(DestinationError::Taken(path)),
        FileKind::Regular if stat.uid != files.uid() => Err(DestinationError::Foreign(path)),
        FileKind::Regular => Ok(()),
    }
}
