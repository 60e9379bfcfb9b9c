//! `nearbits daemon`: a node that runs for its own sake.
//!
//! Knows: how configuration file and command line come together. Does not know: what the node does.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::args::DaemonArgs;
use super::exit::{Exit, Stop};
use super::place::{self, SOCKET_NAME};
use super::{get, reach, say, signals, words};
use crate::config::Config;
use crate::config::policy::{POLICY_FILE, load_named};
use crate::control::api::{FlagsShown, PeerFlags};
use crate::node::{FolderError, Node, NodeConfig, NodeError, NodeKind};

pub(super) async fn run(args: DaemonArgs) -> Result<Exit, Stop> {
    let file = match &args.config {
        Some(path) => Config::load(path).map_err(|error| Stop::usage(error.to_string()))?,
        None => Config::default(),
    };
    if let Some(path) = &args.policy {
        load_named(path).map_err(|error| Stop::usage(error.to_string()))?;
    }
    let config = config(&args, &file)?;
    let state_dir = config.state_dir.clone();
    let node = Node::start(config).await.map_err(|error| refused(&error))?;
    let mut doors = Vec::new();
    let second = args.place.control.as_ref().or(file.control.as_ref());
    let second = second.map(|path| place::absolute(path)).transpose()?;
    let first = state_dir.join(SOCKET_NAME);
    for path in std::iter::once(first.clone()).chain(second.filter(|path| *path != first)) {
        match node.open_door(&path).await {
            Ok(door) => doors.push((path, door)),
            Err(error) => {
                node.shutdown().await;
                return Err(Stop::new(Exit::Fatal, error.to_string()));
            }
        }
    }
    let handle = node.handle();
    let sockets: Vec<String> = doors.iter().map(|(path, _)| path.display().to_string()).collect();
    say::line(format_args!("peer {}, control socket {}", handle.peer_id(), sockets.join(" and ")));
    let flags = handle.permissions().await.map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?;
    let flags = FlagsShown::of(flags.0, flags.1);
    if flags.holds() != PeerFlags::BOTH {
        let (holds, remedy) = (words::flags_text(flags.holds()), words::flags_remedy(flags));
        let effect = if flags.code.is_some() { "" } else { " lets jobs use peers and serve them" };
        say::line(format_args!("flags: {holds} — {remedy}{effect}"));
    }
    tokio::select! {
        () = signals::interrupted() => {}
        () = stdin_closed(), if args.until_stdin_closes => {}
    }
    for (_, door) in doors {
        door.stop().await;
    }
    node.shutdown().await;
    Ok(Exit::Done)
}

fn config(args: &DaemonArgs, file: &Config) -> Result<NodeConfig, Stop> {
    let flags = match &args.flags {
        Some(text) => Some(words::parse_flags(text).map_err(Stop::usage)?),
        None => file.flags,
    };
    let listen = [&args.listen, &file.peers.listen].into_iter().find(|list| !list.is_empty());
    let peers: Vec<String> = args.peer.iter().chain(&file.peers.static_peers).cloned().collect();
    Ok(NodeConfig {
        state_dir: place::state_dir(args.place.state_dir.as_deref().or(file.state_dir.as_deref()))?,
        listen: listen.cloned().unwrap_or_else(get::anywhere),
        mdns: file.peers.mdns && !args.no_mdns,
        ask_link: file.peers.ask_link.filter(|_| !args.no_mdns),
        static_peers: get::peers(&peers)?,
        rendezvous: get::peers(&file.peers.rendezvous)?,
        site: file.peers.site(),
        tunnels: file.peers.tunnels(),
        flags,
        origin: file.origin.client(),
        queue: file.jobs.queue(),
        rates: file.jobs.rates,
        serving: file.serving.rates,
        policy_file: place::absolute(args.policy.as_deref().unwrap_or(Path::new(POLICY_FILE)))?,
        preference: file.preference(),
        cache: file.cache,
        kind: NodeKind::Daemon,
    })
}

fn refused(error: &NodeError) -> Stop {
    if let NodeError::Folder(FolderError::Locked { .. }) = error {
        return Stop::new(Exit::Fatal, format!("{error}: end the other node, or name another --state-dir"));
    }
    reach::refused(error)
}

/// Returns at the end of standard input, whatever comes before it.
async fn stdin_closed() {
    let closed = CancellationToken::new();
    let tell = closed.clone();
    // A thread of its own: a read of standard input cannot be cancelled, and must not hold up the end of the process.
    std::thread::spawn(move || {
        let ignored = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ignored);
        tell.cancel();
    });
    closed.cancelled().await;
}
