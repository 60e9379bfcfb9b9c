//! Reaching a node: one that runs already, or one we embed because nobody holds the state folder.
//!
//! Knows: that one process at a time holds a state folder, listens at its socket, and serves the others. Does not
//! know: what the node is wanted for.

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::Duration;

use super::args::PlaceArgs;
use super::exit::{Exit, Stop};
use super::place::{self, SOCKET_NAME};
use crate::control::api::{JobState, JobView};
use crate::control::client::Client;
use crate::node::{ControlServer, FolderError, Node, NodeConfig, NodeError};

/// How often the folder's lock and its holder's socket are tried, each time after 10 to 60 ms.
const ATTEMPTS_MAX: u32 = 300;

/// A node that answers.
pub(super) struct Reached {
    /// How to ask it.
    pub(super) client: Client,
    /// The node itself, if it is ours.
    pub(super) host: Option<Host>,
}

/// An embedded node: it holds the state folder, and its door is open to everybody who wants the same folder.
pub(super) struct Host {
    node: Node,
    server: ControlServer,
}

/// The node that runs, or an error.
pub(super) async fn running(place: &PlaceArgs) -> Result<Client, Stop> {
    let sockets = place::sockets(place)?;
    let mut denied = None;
    for socket in &sockets {
        match Client::reach(socket).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                denied = denied.or(Some(Stop::from(error)).filter(|stop| stop.exit == Exit::Denied))
            }
        }
    }
    if let Some(stop) = denied {
        return Err(stop);
    }
    let is_other = |path: &&PathBuf| path.metadata().is_ok_and(|found| !found.file_type().is_socket());
    if let Some(path) = sockets.iter().find(is_other) {
        let line = format!("{} is no socket: name that of a node that runs, or none", path.display());
        return Err(Stop::usage(line));
    }
    let tried: Vec<String> = sockets.iter().map(|path| path.display().to_string()).collect();
    let line = format!("no node is running: `nearbits daemon` starts one (tried {})", tried.join(", "));
    Err(Stop::new(Exit::Transient, line))
}

/// The node that runs, or an embedded one with this configuration.
pub(super) async fn running_or_own(place: &PlaceArgs, config: &NodeConfig) -> Result<Reached, Stop> {
    let sockets = place::sockets(place)?;
    for _ in 0..ATTEMPTS_MAX {
        for socket in &sockets {
            if let Ok(client) = Client::reach(socket).await {
                return Ok(Reached { client, host: None });
            }
        }
        if place.control.is_some() {
            // The one that was named, or an error.
            return running(place).await.map(|client| Reached { client, host: None });
        }
        match Node::start(config.clone()).await {
            Ok(node) => return Host::open(node, config.state_dir.join(SOCKET_NAME)).await,
            Err(NodeError::Folder(FolderError::Locked { .. })) => tokio::time::sleep(pause()).await,
            Err(error) => return Err(refused(&error)),
        }
    }
    let folder = config.state_dir.display();
    Err(Stop::new(
        Exit::Transient,
        format!(
            "{folder} is held by a node that does not answer at its {SOCKET_NAME}: end that process first"
        ),
    ))
}

/// What a node that could not start says, with its exit code.
pub(super) fn refused(error: &NodeError) -> Stop {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Most say their cause themselves.
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    Stop::new(exit_of(error), line)
}

fn exit_of(error: &NodeError) -> Exit {
    if matches!(error, NodeError::Folder(FolderError::NotOurs { .. })) {
        return Exit::Denied;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
        {
            return Exit::Denied;
        }
        cause = error.source();
    }
    Exit::Fatal
}

/// Different for each of several processes that wait for the same lock.
pub(super) fn pause() -> Duration {
    let mut byte = [0];
    // Without chance all wait the same time, which is slower and no worse.
    let _ = getrandom::fill(&mut byte);
    Duration::from_millis(10 + u64::from(byte[0]) / 5)
}

impl Host {
    async fn open(node: Node, socket: PathBuf) -> Result<Reached, Stop> {
        let opened = node.open_door(&socket).await;
        match opened {
            Ok(server) => {
                let client = Client::reach(&socket).await?;
                Ok(Reached { client, host: Some(Self { node, server }) })
            }
            Err(error) => {
                node.shutdown().await;
                Err(Stop::new(Exit::Fatal, error.to_string()))
            }
        }
    }

    /// Stays until the last guest's job has ended, and, for at most `linger`, until no neighbour is fetching from
    /// us. Then gives the folder back.
    pub(super) async fn leave(self, client: &Client, linger: Duration) {
        self.guests_gone(client).await;
        self.node.linger(linger).await;
        self.guests_gone(client).await;
        self.end().await;
    }

    /// Gives the folder back now. Guests take it over and go on.
    pub(super) async fn end(self) {
        self.server.stop().await;
        self.node.shutdown().await;
    }

    async fn guests_gone(&self, client: &Client) {
        while self.server.followers() > 0 || self.has_running_jobs(client).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A guest may have handed in a job and not follow it yet. What a killed process left behind is not waited for.
    async fn has_running_jobs(&self, client: &Client) -> bool {
        let running =
            |state| matches!(state, JobState::Queued | JobState::Connecting | JobState::Transferring);
        let handed_in = self.server.handed_in();
        let is_ours = |job: &JobView| running(job.state) && handed_in.contains(&job.id);
        client.jobs().await.is_ok_and(|jobs| jobs.iter().any(is_ours))
    }
}
