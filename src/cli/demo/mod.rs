//! `nearbits demo`: a slow origin and five real nodes on this machine, shown live and checked.
//!
//! Knows: the story (four want a file at once that nobody has, one comes late), what must be true of it, and the table at
//! the end. Does not know: how nodes do it.

mod node;
mod origin;
mod table;
mod view;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use peer_proto::digest::{Algorithm, Digest};
use sha2::Digest as _;
use tokio::io::AsyncReadExt;

use self::node::DemoNode;
use self::origin::Origin;
use self::view::{Line, View};
use super::args::{DemoArgs, DemoDigest};
use super::exit::{Exit, Stop};
use super::{amount, say, signals};
use crate::clock::Clock;
use crate::control::api::{JobSpec, JobState, JobView, PeerFlags, Priority, Submit};

/// The whole demo ends within this, one way or the other.
const DEMO_TIMEOUT: Duration = Duration::from_secs(55);
/// Nodes that want the file at once while nobody has it; one more comes late.
const AT_ONCE: usize = 4;
const MIB: u64 = 1 << 20;

/// One node's fetch, done and looked at.
struct Fetched {
    name: String,
    view: JobView,
    took: Duration,
    /// Whether SHA-256, by another implementation than the one that proved the bytes, agrees.
    is_exact: bool,
}

/// Everything the table is made of.
struct Outcome {
    len: u64,
    wan_bytes: u64,
    wan_bytes_per_s: u64,
    fetched: Vec<Fetched>,
    /// Peer ids and the names of their nodes.
    names: Vec<(String, String)>,
}

pub(super) async fn run(args: &DemoArgs) -> Result<Exit, Stop> {
    let folder = tempfile::Builder::new().prefix("nearbits-demo-").tempdir();
    let folder =
        folder.map_err(|error| Stop::new(Exit::Fatal, format!("cannot make a temporary folder: {error}")))?;
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(DEMO_TIMEOUT, play(args, folder.path())) => match outcome {
            Ok(outcome) => outcome?,
            Err(_) => return Err(Stop::new(Exit::CheckFailed, "the demo did not end within 55 s")),
        },
        () = signals::interrupted() => return Err(Stop::new(Exit::Interrupted, "interrupted")),
    };
    let (text, failed) = table::judge(&outcome);
    say::line(format_args!("\n{text}"));
    if let Err(error) = folder.close() {
        return Err(Stop::new(Exit::CheckFailed, format!("the temporary folder stays behind: {error}")));
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Stop::new(Exit::CheckFailed, format!("checks failed: {}", failed.join("; "))))
}

/// The story.
async fn play(args: &DemoArgs, folder: &Path) -> Result<Outcome, Stop> {
    let len = args.size_mib.clamp(1, 512) * MIB;
    let wan_bytes_per_s = args.wan_mb_per_s.clamp(1, 10_000) * 1_000_000;
    let file = payload(len);
    let wanted: [u8; 32] = sha2::Sha256::digest(&file).into();
    let digest = match args.digest {
        DemoDigest::Blake3 => Digest::new(Algorithm::Blake3, blake3::hash(&file).as_bytes().to_vec()),
        DemoDigest::Sha256 => Digest::new(Algorithm::Sha256, wanted.to_vec()),
    };
    let digest = digest.map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?;
    let origin = Origin::start(file, wan_bytes_per_s).await;
    let origin = origin.map_err(|error| Stop::new(Exit::Fatal, format!("the demo's origin: {error}")))?;
    let view = View::new();
    view.say(&format!(
        "origin: {} behind a line of {} MB/s; {} nodes, each its own process",
        amount::bytes(len),
        args.wan_mb_per_s,
        AT_ONCE + 1
    ));
    let nodes = (1..=AT_ONCE + 1).map(|number| {
        let folder = folder.join(format!("node{number}"));
        async move { DemoNode::start(format!("node {number}"), &folder).await }
    });
    let nodes = try_join_all(nodes).await?;
    introduce(&nodes).await?;

    let fetch = Fetch { origin: &origin, digest: &digest, wanted: &wanted, len, view: &view };
    let (at_once, late) = nodes.split_at(AT_ONCE);
    view.say("1. four nodes want the file at once; only the origin has it");
    let mut fetched = try_join_all(at_once.iter().map(|node| fetch.by(node))).await?;
    view.say("2. one comes late: everybody has it");
    fetched.extend(try_join_all(late.iter().map(|node| fetch.by(node))).await?);

    let names = nodes.iter().map(|node| (node.peer_id.clone(), node.name.clone())).collect();
    let wan_bytes = origin.sent();
    futures::future::join_all(nodes.into_iter().map(DemoNode::end)).await;
    Ok(Outcome { len, wan_bytes, wan_bytes_per_s, fetched, names })
}

/// Tells every node of every other one: mDNS would do it on a real link.
async fn introduce(nodes: &[DemoNode]) -> Result<(), Stop> {
    for node in nodes {
        for other in nodes.iter().filter(|other| other.peer_id != node.peer_id) {
            node.client.add_peer(&other.address).await?;
        }
    }
    Ok(())
}

/// What every node is asked to do.
struct Fetch<'a> {
    origin: &'a Origin,
    digest: &'a Digest,
    wanted: &'a [u8; 32],
    len: u64,
    view: &'a View,
}

impl Fetch<'_> {
    async fn by(&self, node: &DemoNode) -> Result<Fetched, Stop> {
        let clock = Clock::start();
        let line = self.view.line(&node.name, self.len);
        let destination = node.folder.join("update.bin");
        let spec = JobSpec {
            flags: PeerFlags::BOTH,
            priority: Priority::Foreground,
            auto_complete: true,
            retry_delay_s: 5,
            ..JobSpec::for_file(self.origin.url(), destination.clone()).named_by(vec![self.digest.clone()])
        };
        let view = follow(node, spec, &line).await?;
        let took = clock.monotonic().since(peer_proto::time::Instant::ZERO);
        line.done(&view, &amount::seconds(took));
        let is_exact = sha256(&destination).await.is_ok_and(|found| found == *self.wanted);
        Ok(Fetched { name: node.name.clone(), view, took, is_exact })
    }
}

async fn follow(node: &DemoNode, spec: JobSpec, line: &Line) -> Result<JobView, Stop> {
    let id = node.client.submit(&Submit { spec, adopt: false, start: true }).await?.id;
    let mut events = node.client.follow(id).await?;
    while let Some(view) = events.next().await? {
        line.show(&view);
        match view.state {
            JobState::Acknowledged => return Ok(view),
            JobState::Error => {
                return Err(Stop::new(Exit::CheckFailed, format!("{}: {}", node.name, view.reason)));
            }
            _ => {}
        }
    }
    Err(Stop::new(Exit::CheckFailed, format!("{}: the node stopped telling of its job", node.name)))
}

/// SHA-256 of a file, by the `sha2` crate.
async fn sha256(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let len = file.read(&mut buffer).await?;
        if len == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..len).unwrap_or_default());
    }
}

/// Bytes that are a function of their offset: a piece in the wrong place shows.
fn payload(len: u64) -> Bytes {
    let word = |index: u64| {
        let mut mixed = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 31)
    };
    (0..len.div_ceil(8)).flat_map(|index| word(index).to_le_bytes()).collect()
}
