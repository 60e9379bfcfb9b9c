//! One node of the demo: a process of this very binary, with a state folder of its own.
//!
//! Knows: how such a process is started, asked and ended. Does not know: what the demo wants of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::cli::exit::{Exit, Stop};
use crate::cli::place::SOCKET_NAME;
use crate::control::api::Status;
use crate::control::client::Client;

/// Time for a node to come up, on a machine that is busy with the others.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for a node to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A running node. The process is killed when this is dropped, and ends by itself if the demo is killed, because
/// its standard input is closed then.
pub(super) struct DemoNode {
    /// What people call it.
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) peer_id: String,
    /// Where the others find it.
    pub(super) address: String,
    /// Where it puts its file.
    pub(super) folder: PathBuf,
    child: Child,
}

impl DemoNode {
    /// Starts a node that keeps everything under `folder`.
    pub(super) async fn start(name: String, folder: &Path) -> Result<Self, Stop> {
        let broken = |what: String| Stop::new(Exit::Fatal, format!("{name}: {what}"));
        let state = folder.join("state");
        let files = folder.join("files");
        std::fs::create_dir_all(&files).map_err(|error| broken(format!("{}: {error}", files.display())))?;
        let log = std::fs::File::create(folder.join("log")).map_err(|error| broken(error.to_string()))?;
        let program = std::env::current_exe().map_err(|error| broken(error.to_string()))?;
        let mut command = Command::new(program);
        command
            .args(["daemon", "--listen", "127.0.0.1:0", "--no-mdns", "--flags", "client,server"])
            .arg("--until-stdin-closes")
            .arg("--state-dir")
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            // The demo's origin is on this machine.
            command.env_remove(proxy);
        }
        let mut child = command.spawn().map_err(|error| broken(error.to_string()))?;
        let socket = state.join(SOCKET_NAME);
        let up = async {
            loop {
                if let Ok(client) = Client::reach(&socket).await
                    && let Ok(status) = client.status().await
                    && let Some(address) = loopback(&status)
                {
                    return Ok((client, status.peer_id, address));
                }
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(status);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(START_TIMEOUT, up).await {
            Ok(Ok((client, peer_id, address))) => {
                Ok(Self { name, client, peer_id, address, folder: files, child })
            }
            Ok(Err(status)) => {
                let said = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                Err(broken(format!("ended at once ({status}): {said}")))
            }
            Err(_) => Err(broken("did not come up in time".into())),
        }
    }

    /// Ends the process: politely, then not.
    pub(super) async fn end(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }
}

fn loopback(status: &Status) -> Option<String> {
    status.listen.iter().find(|address| address.starts_with("/ip4/127.")).cloned()
}
