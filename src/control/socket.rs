//! The Unix socket of the control door: made, found stale, reached, removed.
//!
//! Knows: how a socket gets its name with the right mode, and names too long for the kernel. Does not know: what is
//! said over it.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Bytes of a path the kernel takes in a socket address, the final zero left out.
const SOCKET_PATH_MAX: usize = 107;

/// What the kernel says of a user it cannot map into our namespace.
pub(super) const UNMAPPED_UID: u32 = 65_534;

/// A socket that listens, and takes its name away when it goes.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Why a control socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error(
        "the control socket {} is in use by a running node: use it with --control, or name another one",
        .path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The name is taken by something that is no socket.
    #[error("{} exists and is not a socket: name another path for the control socket", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// This process runs as the user that stands for all whom the kernel cannot name.
    #[error(
        "user {UNMAPPED_UID} is also what the kernel says of users it cannot name, so the control socket would let in \
         nobody, not even you: run nearbits as a user of its own"
    )]
    Nameless,
    /// The operating system refused.
    #[error("cannot make the control socket {}: {source}", .path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl ControlSocket {
    /// Listens at `path` with mode 0600. A socket there that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    ///
    /// # Cancel safety
    /// Dropping it may leave a socket under a temporary name beside `path`.
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        if rustix::process::geteuid().as_raw() == UNMAPPED_UID {
            return Err(BindError::Nameless);
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket { path: path.to_owned() });
            }
            Ok(_) if connect(path).await.is_ok() => return Err(BindError::InUse { path: path.to_owned() }),
            _ => {}
        }
        Self::make(path).map_err(|source| BindError::Refused { path: path.to_owned(), source })
    }

    /// The name appears by rename, after the mode is right: there is no moment at which others may connect.
    fn make(path: &Path) -> io::Result<Self> {
        let (folder, name) = split(path)?;
        let near = format!(".{name}.{}", std::process::id());
        let _ = std::fs::remove_file(folder.join(&near));
        let listener = through_folder(&folder, &near, |path| UnixListener::bind(path))?;
        let temporary = folder.join(&near);
        std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&temporary, path))
            .inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next caller.
    ///
    /// # Errors
    /// What the operating system says, mostly that too many files are open.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects to the socket at `path`, however long that path is.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return UnixStream::connect(path).await;
    }
    let (folder, name) = split(path)?;
    let handle = std::fs::File::open(&folder)?;
    UnixStream::connect(short(&handle, &name)).await
}

/// Calls `make` with a path to `name` in `folder` that fits a socket address.
fn through_folder<T>(
    folder: &Path,
    name: &str,
    make: impl FnOnce(PathBuf) -> io::Result<T>,
) -> io::Result<T> {
    let path = folder.join(name);
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return make(path);
    }
    let handle = std::fs::File::open(folder)?;
    make(short(&handle, name))
}

/// The same file by way of our own descriptor of its folder.
fn short(folder: &std::fs::File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

fn split(path: &Path) -> io::Result<(PathBuf, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn local_6_the_socket_is_the_owners_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("control.sock");
        let socket = ControlSocket::bind(&path).await.expect("a fresh path");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn refuses_a_socket_in_use_and_replaces_a_stale_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("control.sock");
        let first = ControlSocket::bind(&path).await.expect("a fresh path");
        assert!(matches!(ControlSocket::bind(&path).await, Err(BindError::InUse { .. })));
        // What a killed process leaves: the name, and nobody behind it.
        std::fs::hard_link(&path, folder.path().join("stale.sock")).expect("same folder");
        drop(first);
        let stale = folder.path().join("stale.sock");
        let again = ControlSocket::bind(&stale).await.expect("nobody listens there");
        assert!(connect(again.path()).await.is_ok());
    }

    #[tokio::test]
    async fn refuses_to_replace_a_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("precious");
        std::fs::write(&path, b"text").expect("writable");
        assert!(matches!(ControlSocket::bind(&path).await, Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read(&path).expect("still there"), b"text");
    }

    #[tokio::test]
    async fn a_path_longer_than_a_socket_address_works() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("writable");
        let socket = ControlSocket::bind(&deep.join("control.sock")).await.expect("through the folder");
        assert!(connect(socket.path()).await.is_ok());
    }
}
