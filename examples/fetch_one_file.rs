//! Fetches one file, from neighbours where they can prove it, and says where the bytes came from.
//!
//! `cargo run --example fetch_one_file -- URL FILE [sha256:HEX]`. Knows: the shortest way through the library. Does not
//! know: daemons; if one runs on the same state folder, use the command line.

#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::path::PathBuf;
use std::time::Duration;

use nearbits::job::{JobSpec, JobState, PeerFlags, Priority};
use nearbits::node::{Node, NodeConfig};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fetch_one_file URL FILE [ALGORITHM:HEX]".into());
    };
    let digests = arguments.next().map(|text| text.try_into()).transpose()?.into_iter().collect();

    let node = Node::start(NodeConfig::embedded(PathBuf::from("nearbits-state"))).await?;
    let handle = node.handle();
    let spec = JobSpec {
        flags: PeerFlags::BOTH,
        priority: Priority::Foreground,
        auto_complete: true,
        retry_delay_s: 5,
        ..JobSpec::for_file(url, std::path::absolute(path)?).named_by(digests)
    };
    let job = handle.submit(spec).await?;
    let view = handle.settled(job).await?.ok_or("the job is gone")?;
    println!("{:?} {}", view.state, view.reason);
    println!("{} bytes from the origin, {} from peers", view.bytes.origin, view.bytes.peers);
    for source in &view.sources {
        println!("  {}: {} bytes", source.source, source.bytes);
    }
    let is_done = view.state == JobState::Acknowledged;
    // Neighbours that are in the middle of something may finish it.
    node.linger(Duration::from_secs(5)).await;
    node.shutdown().await;
    if is_done { Ok(()) } else { Err("the file was not fetched".into()) }
}
