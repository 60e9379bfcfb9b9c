//! The control door of a node: how other processes of the same user reach it.
//!
//! Knows: which desk stands behind the door. Does not know: what is said there.

use std::path::Path;
use std::sync::Arc;

use super::{Handle, Node, NodeKind};
use crate::control::api::Kind;
use crate::control::desk::NodeDesk;
use crate::control::server::ControlServer;
use crate::control::{BindError, ControlSocket};
use crate::job::Caller;

impl Node {
    /// Lets the same user's processes in at a Unix socket at `path`, until the answer is stopped. A node may have
    /// several doors.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    ///
    /// # Cancel safety
    /// Dropping it may leave a socket under a temporary name beside `path`.
    pub async fn open_door(&self, path: &Path) -> Result<ControlServer, BindError> {
        let socket = ControlSocket::bind(path).await?;
        Ok(ControlServer::start(socket, desk(self.handle(), self.kind()), Arc::clone(&self.events)))
    }

    /// The same for a program that knows better who may come in: `admit` is given the user the kernel names at the other
    /// end of a connection, and says as whom he comes, if at all. The socket has mode 0600 until the program gives it
    /// another.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    ///
    /// # Cancel safety
    /// Dropping it may leave a socket under a temporary name beside `path`.
    pub async fn open_door_for(
        &self,
        path: &Path,
        admit: impl Fn(u32) -> Option<Caller> + Send + Sync + 'static,
    ) -> Result<ControlServer, BindError> {
        let socket = ControlSocket::bind(path).await?;
        let desk = desk(self.handle(), self.kind());
        Ok(ControlServer::start_for(socket, desk, Arc::clone(&self.events), admit))
    }
}

/// What stands behind the door.
pub(super) fn desk(handle: Handle, kind: NodeKind) -> NodeDesk {
    let kind = match kind {
        NodeKind::Embedded => Kind::Embedded,
        NodeKind::Daemon => Kind::Daemon,
    };
    NodeDesk::new(handle, kind)
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
