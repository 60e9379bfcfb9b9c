//! Embeds a node that serves what it holds until the program is interrupted.
//!
//! `cargo run --example embed_a_serving_node -- STATE_FOLDER [LISTEN] [PEER]...`. Knows: how a program keeps a node
//! for its neighbours. Does not know: how it got its records; fetch something with `fetch_one_file` first.

#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::path::PathBuf;

use nearbits::job::PeerFlags;
use nearbits::node::{Node, NodeConfig};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let state_dir = arguments.next().ok_or("usage: embed_a_serving_node STATE_FOLDER [LISTEN] [PEER]...")?;
    let mut config = NodeConfig::embedded(PathBuf::from(state_dir));
    if let Some(listen) = arguments.next() {
        config.listen = vec![listen.parse()?];
    }
    config.static_peers = arguments.map(|peer| peer.parse()).collect::<Result<_, _>>()?;
    // It gives and does not take: a job of its own would use the origin only.
    config.flags = Some(PeerFlags { client: false, server: true });

    let node = Node::start(config).await?;
    let handle = node.handle();
    println!("this node is {}", handle.peer_id());
    for address in handle.listen_addresses() {
        println!("listening on {address}");
    }
    for record in handle.cache().records(None).await?.into_iter().map(|shown| shown.summary) {
        println!("holds {}, {} bytes", record.content.root, record.content.len);
    }
    tokio::signal::ctrl_c().await?;
    println!("{} bytes served", handle.totals().await?.served_bytes);
    node.shutdown().await;
    Ok(())
}
