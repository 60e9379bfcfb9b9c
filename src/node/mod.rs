//! A whole node: the library's face.
//!
//! [`Node::start`] builds every part and joins them; [`Node::handle`] is how programs talk to it. Knows: who needs
//! whom, in which order things start and end. Does not know: how any of it works.

mod config;
mod door;
mod error;
mod idle;
mod membership;
mod neighbours;
mod network;
mod policy;
mod start;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{NodeConfig, NodeKind};
pub use self::error::NodeError;
pub use self::membership::StoppedNode;
use crate::cache::Cache;
pub use crate::control::BindError;
use crate::control::events::Events;
pub use crate::control::server::ControlServer;
use crate::disk::RealFiles;
pub use crate::driver::{
    AddedError, Cleared, Done, Enrolled, Enrolment, EnrolmentError, Gone, Handle, Keeper, KeeperError,
    PeerView, PolicyState, RequestError, Shown, TicketError, TicketWish, Totals,
};
pub use crate::engine::SiteConfig;
pub use crate::engine::event::{BytesBySource, Event, Failure, FileView, JobView, SourceShare};
pub use crate::engine::explain::Decision;
pub use crate::engine::io::JobCommand;
pub use crate::engine::queue::{QueueConfig, START_SPREAD_S_MAX};
pub use crate::job::{Policy, Rates};
pub use crate::origin::{OriginConfig, UrlError, parse_url};
pub use crate::store::FolderError;
use crate::store::StateFolder;
pub use crate::store::authority::{Authority, AuthorityError, Granted, parse_roles};
pub use crate::swarm::{PeerAddress, Tunnels, parse_listen};
use crate::transfer::Transfer;

/// After the last answer to a peer it may come back for more within this time.
const LINGER_QUIET: Duration = Duration::from_millis(500);

/// A running node. It holds its state folder's lock until [`shutdown`](Self::shutdown).
pub struct Node {
    handle: Handle,
    transfer: Transfer,
    kind: NodeKind,
    stop: CancellationToken,
    driver: JoinHandle<()>,
    swarm: JoinHandle<()>,
    /// What it does beside its jobs.
    tasks: TaskTracker,
    /// What its doors tell of all jobs.
    events: Arc<Events>,
    cache: Cache<RealFiles>,
    neighbours: neighbours::Keeping,
    /// Held for its lock.
    folder: StateFolder,
}

impl Node {
    /// Takes the state folder, reads what is known, listens, and goes on with the jobs it finds.
    ///
    /// # Errors
    /// [`NodeError::Folder`] if another process holds the folder or it is not usable; the others name what could not
    /// be started. Nothing is left running.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing running.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        start::start(config).await
    }

    /// How to talk to it. Cheap to clone.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// For whose sake it runs.
    #[must_use]
    pub const fn kind(&self) -> NodeKind {
        self.kind
    }

    /// Stays a moment, at most `at_most`, while neighbours are being served.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn linger(&self, at_most: Duration) {
        let served = async {
            let mut is_served = self.transfer.serve_count() > 0;
            while is_served {
                while self.transfer.serve_count() > 0 {
                    // An answer may end between the look and the wait, hence the time limit.
                    drop(tokio::time::timeout(LINGER_QUIET, self.transfer.serve_ended()).await);
                }
                tokio::time::sleep(LINGER_QUIET).await;
                is_served = self.transfer.serve_count() > 0;
            }
        };
        // Time is up: neighbours go on elsewhere.
        drop(tokio::time::timeout(at_most, served).await);
    }

    /// Ends it: leases stop where they are, journals are written, the lock is given back. Unfinished jobs go on when
    /// a node is started on the same folder again.
    ///
    /// # Cancel safety
    /// Dropping it ends the node less tidily: pieces not yet in the journals are fetched again.
    pub async fn shutdown(self) {
        self.neighbours.save().await;
        let Self { handle, transfer, stop, driver, swarm, tasks, cache, folder, .. } = self;
        stop.cancel();
        drop(handle);
        // A part that broke has said so; here only its end matters.
        drop(driver.await);
        transfer.shut_down().await;
        drop(swarm.await);
        tasks.wait().await;
        // What the index lacks is read from the records at the next start.
        drop(tokio::task::spawn_blocking(move || cache.flush()).await);
        drop(transfer);
        drop(folder);
    }
}
