//! The state folder: one layout, one owner, one identity.
//!
//! Knows: its version, its lock, the seed of the node's key. Does not know: what the parts keep in their folders.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use peer_proto::digest::bytes_from_hex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{Access, Existing, FileHandle, FileKind, Files, RealFiles};

const VERSION: &str = "nearbits state 1\n";
const IDENTITY_TITLE: &str = "nearbits identity 1";
/// Bytes of the small files of ours that we are willing to read.
const SMALL_FILE_MAX: u64 = 4_096;
/// The same of added peers: 256 addresses.
const ADDED_LEN_MAX: u64 = 256 << 10;
/// The same of neighbours: 1 024 with eight addresses each, and as many bans, need 2 MiB.
const NEIGHBOURS_LEN_MAX: u64 = 4 << 20;

/// The open state folder. While it lives, no other process opens it.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    seed: [u8; 32],
    /// Unlocked by the system when it is closed, however the process ends.
    _lock: File,
}

/// Why a state folder cannot be used. Each says what to do, in one line.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process holds it: use that one, through its control socket.
    #[error("the state folder {} is in use by another nearbits", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Another version of the layout.
    #[error(
        "{} holds the state of another nearbits version ({found:?}); use that version, or name another folder",
        .path.display()
    )]
    ForeignVersion {
        /// The folder.
        path: PathBuf,
        /// The first line of its version file.
        found: String,
    },
    /// The identity file is not what we wrote.
    #[error(
        "the identity {} is damaged; restore it from a backup, or remove it to become a new peer",
        .path.display()
    )]
    DamagedIdentity {
        /// The file.
        path: PathBuf,
    },
    /// The membership file is not what it should be.
    #[error("the membership {} is damaged; restore it, or remove it to be in no group", .path.display())]
    DamagedGroup {
        /// The file.
        path: PathBuf,
    },
    /// A file, or something else, lies there.
    #[error("{} is no folder: the state of a node is in a folder of its own; name another path", .path.display())]
    NotAFolder {
        /// What lies there.
        path: PathBuf,
    },
    /// Not a folder of this user.
    #[error("the state folder {} is not a folder of this user", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("no random bytes for a new identity: {0}")]
    NoRandomness(getrandom::Error),
    /// The system refused an operation.
    #[error("cannot {doing} {}: {cause}", .path.display())]
    Io {
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl StateFolder {
    /// Opens, and at first makes, the state folder: locks it, checks its version, reads or draws the identity.
    ///
    /// Any number of processes may do this in the same instant: one gets it, the others get
    /// [`FolderError::Locked`] and find that one's control socket in it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let io = |doing: &'static str| {
            let path = path.to_owned();
            move |cause: io::Error| FolderError::Io { doing, path, cause }
        };
        if path.exists() && !path.is_dir() {
            return Err(FolderError::NotAFolder { path: path.to_owned() });
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("create"))?;
        let files = RealFiles;
        let stat = files.stat_followed(path).map_err(io("look at"))?;
        if stat.kind != FileKind::Folder || stat.uid != files.uid() {
            return Err(FolderError::NotOurs { path: path.to_owned() });
        }
        if stat.mode & 0o077 != 0 {
            // Ours, and open to others: the identity in it must not be.
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(io("close"))?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io("create the lock in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => return Err(io("lock")(cause)),
        }
        let seed = prepare(&files, path)?;
        Ok(Self { path: path.to_owned(), seed, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The seed of the node's Ed25519 key.
    #[must_use]
    pub const fn identity_seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// What attestors of the group said.
    #[must_use]
    pub fn attestations(&self) -> super::AttestStore<RealFiles> {
        super::AttestStore::new(RealFiles, self.path.join("attestations"))
    }

    /// Jobs and their journals.
    #[must_use]
    pub fn jobs(&self) -> super::JobStore<RealFiles> {
        super::JobStore::new(RealFiles, self.path.join("jobs"))
    }

    /// The computer's flags.
    #[must_use]
    pub fn flags(&self) -> super::FlagStore<RealFiles> {
        super::FlagStore::new(RealFiles, self.path.clone(), "flags.json")
    }

    /// What was said of the cache's limits.
    #[must_use]
    pub fn cache_limits(&self) -> super::LimitStore<RealFiles> {
        super::LimitStore::new(RealFiles, self.path.clone(), "cache.json")
    }

    /// Peers that were added by command.
    #[must_use]
    pub fn added_peers(&self) -> super::AddedStore<RealFiles> {
        super::AddedStore::sized(RealFiles, self.path.clone(), "peers.json", ADDED_LEN_MAX)
    }

    /// Whom this node met, and whom it refuses.
    #[must_use]
    pub fn neighbours<T: Serialize + DeserializeOwned>(&self) -> super::Setting<RealFiles, T> {
        super::Setting::sized(RealFiles, self.path.clone(), "neighbours.json", NEIGHBOURS_LEN_MAX)
    }

    /// What makes this node a member of a group, if it is one.
    #[must_use]
    pub fn group(&self) -> super::GroupStore<RealFiles> {
        super::GroupStore::new(RealFiles, self.path.clone())
    }

    /// The tickets this node made as an enroller.
    #[must_use]
    pub fn tickets(&self) -> super::TicketStore<RealFiles> {
        super::TicketStore::new(RealFiles, self.path.clone())
    }

    /// Where the cache keeps its records.
    #[must_use]
    pub fn cache_path(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Where the rebuildable index lies.
    #[must_use]
    pub fn index_path(&self) -> PathBuf {
        self.path.join("index")
    }
}

/// Version, folders and identity of a locked state folder, over any [`Files`]; gives the identity's seed.
///
/// # Errors
/// [`FolderError`]; nothing of a folder of another version is touched.
pub fn prepare<F: Files>(files: &F, path: &Path) -> Result<[u8; 32], FolderError> {
    check_version(files, path)?;
    for name in ["jobs", "cache"] {
        let folder = path.join(name);
        match files.create_folder(&folder, 0o700) {
            Ok(()) => files.sync_folder(path).map_err(at("sync", path))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(at("create", &folder)(error)),
        }
    }
    identity(files, path)
}

fn check_version<F: Files>(files: &F, folder: &Path) -> Result<(), FolderError> {
    let path = folder.join("version");
    match files.read(&path, SMALL_FILE_MAX) {
        Ok(found) if found == VERSION.as_bytes() => Ok(()),
        Ok(found) => {
            let text = String::from_utf8_lossy(&found);
            let found = text.lines().next().unwrap_or_default().chars().take(80).collect();
            Err(FolderError::ForeignVersion { path: folder.to_owned(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_once(files, &path, VERSION.as_bytes()),
        Err(error) => Err(at("read", &path)(error)),
    }
}

fn identity<F: Files>(files: &F, folder: &Path) -> Result<[u8; 32], FolderError> {
    let path = folder.join("identity");
    match files.read(&path, SMALL_FILE_MAX) {
        Ok(bytes) => {
            let seed =
                parse_identity(&bytes).ok_or_else(|| FolderError::DamagedIdentity { path: path.clone() })?;
            close(files, &path)?;
            Ok(seed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(FolderError::NoRandomness)?;
            write_once(files, &path, identity_text(&seed).as_bytes())?;
            Ok(seed)
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(FolderError::DamagedIdentity { path })
        }
        Err(error) => Err(at("read", &path)(error)),
    }
}

/// Takes everybody else's rights from a file of ours: a backup may have been restored with them, and the next reader may
/// not be us.
pub(super) fn close<F: Files>(files: &F, path: &Path) -> Result<(), FolderError> {
    if files.stat(path).is_ok_and(|stat| stat.mode & 0o077 != 0)
        && let Ok(file) = files.open(path, Access::Read)
    {
        file.set_mode(0o600).map_err(at("close", path))?;
    }
    Ok(())
}

/// Three lines: title, seed, the first 8 bytes of the seed's BLAKE3 hash.
fn identity_text(seed: &[u8; 32]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{IDENTITY_TITLE}\n{}\n{}\n", hex(seed), hex(&blake3::hash(seed).as_bytes()[..8]))
}

fn parse_identity(bytes: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(bytes).ok()?;
    let seed: [u8; 32] = bytes_from_hex(text.lines().nth(1)?)?.try_into().ok()?;
    (text == identity_text(&seed)).then_some(seed)
}

/// Writes a file that is whole or not there.
pub(super) fn write_once<F: Files>(files: &F, path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_whole(files, path, bytes, Existing::Refuse)
}

/// Writes a file that is whole, or what it was before; for its owner alone.
pub(super) fn replace<F: Files>(files: &F, path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_whole(files, path, bytes, Existing::Replace)
}

fn write_whole<F: Files>(
    files: &F,
    path: &Path,
    bytes: &[u8],
    existing: Existing,
) -> Result<(), FolderError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    drop(files.remove(&fresh));
    let file = files.create_new(&fresh, 0o600).map_err(at("create", &fresh))?;
    file.write_at(0, bytes).map_err(at("write", &fresh))?;
    file.sync().map_err(at("sync", &fresh))?;
    files.rename(&fresh, path, existing).map_err(at("rename", &fresh))?;
    let folder = path.parent().unwrap_or(path);
    files.sync_folder(folder).map_err(at("sync", folder))
}

pub(super) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Io { doing, path, cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn eight_that_start_in_one_instant_get_one_identity_and_no_other_error() {
        for _ in 0..20 {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("a/state");
            let barrier = Barrier::new(8);
            let seeds: Vec<[u8; 32]> = std::thread::scope(|scope| {
                let one = || {
                    barrier.wait();
                    // Each waits for its turn, as clients do that find the holder gone.
                    loop {
                        match StateFolder::open(&path) {
                            Ok(folder) => return *folder.identity_seed(),
                            Err(FolderError::Locked { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    }
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(seeds.iter().all(|seed| *seed == seeds[0]));
        }
    }

    #[test]
    fn a_folder_in_use_is_said_to_be_and_is_free_when_its_holder_goes() {
        let place = tempfile::tempdir().unwrap();
        let first = StateFolder::open(place.path()).unwrap();
        let error = StateFolder::open(place.path()).unwrap_err();
        assert!(matches!(error, FolderError::Locked { .. }));
        assert!(error.to_string().contains("in use by another nearbits"));
        let seed = *first.identity_seed();
        drop(first);
        assert_eq!(*StateFolder::open(place.path()).unwrap().identity_seed(), seed);
    }

    #[test]
    fn local_3_nobody_else_reads_the_folder_or_the_identity() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(StateFolder::open(&path).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("cache")), 0o700);
        assert_eq!(mode(&path.join("identity")), 0o600);
        std::fs::set_permissions(path.join("identity"), std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(StateFolder::open(&path).unwrap());
        assert_eq!(mode(&path.join("identity")), 0o600);
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_an_error_of_one_line() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state");
        std::fs::write(&path, b"x").unwrap();
        let error = StateFolder::open(&path).unwrap_err().to_string();
        assert!(error.contains("state") && !error.contains('\n'), "{error}");
    }
}
