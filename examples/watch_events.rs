//! Follows every event of a node while it fetches a file.
//!
//! `cargo run --example watch_events -- URL FILE`. Knows: how events arrive and what a slow reader must do. Does not
//! know: what to draw with them.

#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::path::PathBuf;

use nearbits::job::{Existing, JobSpec, PeerFlags};
use nearbits::node::{Event, Node, NodeConfig};
use tokio::sync::broadcast::error::RecvError;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch_events URL FILE".into());
    };
    let node = Node::start(NodeConfig::embedded(PathBuf::from("nearbits-state"))).await?;
    let handle = node.handle();
    // Watch first, then submit: nothing is missed.
    let mut events = handle.watch();
    let spec = JobSpec {
        flags: PeerFlags::BOTH,
        auto_complete: true,
        existing: Existing::Replace,
        ..JobSpec::for_file(url, std::path::absolute(path)?)
    };
    let job = handle.submit(spec).await?;
    loop {
        match events.recv().await {
            Ok(Event::JobChanged(view)) if view.id == job => {
                println!("{:?}: {} of {:?} bytes {}", view.state, view.stored, view.len, view.reason);
                if view.state.is_final() || view.failure.is_some() {
                    break;
                }
            }
            Ok(event) => println!("{event:?}"),
            // We were too slow: what was lost is in the job's present state.
            Err(RecvError::Lagged(lost)) => println!("{lost} events were lost: {:?}", handle.job(job).await?),
            Err(RecvError::Closed) => break,
        }
    }
    node.shutdown().await;
    Ok(())
}
