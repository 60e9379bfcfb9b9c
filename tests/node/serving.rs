//! How fast a peer is served, measured where it counts: at the socket of whoever receives.
//!
//! Knows: a holder, a node beside it, and every byte between them with its time. Does not know: how a rate is kept. The
//! long form is `just line`.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nearbits::clock::Clock;
use nearbits::job::{JobSpec, PeerFlags};
use nearbits::node::{JobCommand, NodeConfig};
use peer_proto::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::from_peers::{held, list_of};
use crate::lab::{LabNode, PATIENCE, blake3_of};
use crate::limits::{is_short, rate_from};
use crate::permissions::say;
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
/// What waits in buffers comes at once, and counts before a window opens.
const FILLED: Duration = Duration::from_millis(800);
const WINDOW: Duration = Duration::from_millis(2_500);

/// When so many bytes had come in all.
type Marks = Arc<Mutex<Vec<(Instant, u64)>>>;

/// Stands between two nodes and counts what the one behind it sends.
struct Tap {
    address: std::net::SocketAddr,
    marks: Marks,
    clock: Clock,
    _tasks: JoinSet<()>,
}

impl Tap {
    async fn before(node: &LabNode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let to = node.addresses()[0].socket();
        let (clock, marks) = (Clock::start(), Marks::default());
        let mut tasks = JoinSet::new();
        let told = marks.clone();
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                pipes.spawn(pipe(near, to, told.clone(), clock));
            }
        });
        Self { address, marks, clock, _tasks: tasks }
    }

    /// Bytes per second from a moment on, once a window of it is over.
    async fn rate(&self, opens: Instant, window: Duration) -> u64 {
        let measured = async {
            loop {
                let seen = rate_from(&self.marks.lock().expect("no panics under the lock"), opens, window);
                match seen {
                    Some(rate) => return rate,
                    None => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, measured).await.expect("bytes come")
    }

    /// When bytes of the file came first.
    async fn begins(&self) -> Instant {
        let begun = async {
            loop {
                let marks = self.marks.lock().expect("no panics under the lock").clone();
                match marks.iter().find(|(_, sum)| *sum > 256 * 1024) {
                    Some((at, _)) => return *at,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, begun).await.expect("the peer is asked")
    }
}

/// Carries bytes both ways, and counts those from the far end.
async fn pipe(near: TcpStream, to: std::net::SocketAddr, marks: Marks, clock: Clock) {
    let Ok(far) = TcpStream::connect(to).await else { return };
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let up = tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = far_in.read(&mut buffer).await {
        {
            let mut marks = marks.lock().expect("no panics under the lock");
            let sum = marks.last().map_or(0, |(_, sum)| *sum) + count as u64;
            marks.push((clock.monotonic(), sum));
        }
        if near_out.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    up.abort();
}

/// A node whose cache holds a content, under a policy.
async fn holder(content: Content, policy: &str) -> (LabNode, std::path::PathBuf) {
    let list = list_of(content);
    let folder = held(content, &list, 0..list.geometry().piece_count());
    let policy_file = folder.path().join("policy.toml");
    say(&policy_file, policy);
    let config = NodeConfig { policy_file: policy_file.clone(), ..quiet(folder.path()) };
    (LabNode::start_with(folder, config).await, policy_file)
}

fn quiet(folder: &Path) -> NodeConfig {
    NodeConfig {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        mdns: false,
        ..NodeConfig::embedded(folder.join("state"))
    }
}

/// A node that knows the holder through the tap only, and fetches the content; its origin gives next to nothing.
async fn asker(tap: &Tap, content: Content) -> (LabNode, PlainOrigin) {
    let folder = tempfile::tempdir().expect("a folder");
    let static_peers = vec![tap.address.to_string().parse().expect("an address")];
    let config = NodeConfig { static_peers, ..quiet(folder.path()) };
    let node = LabNode::start_with(folder, config).await;
    node.connected(1).await;
    let origin = PlainOrigin::start(content, Manner { bytes_per_s: Some(1_000), ..Manner::default() }).await;
    node.submit(node.spec(&origin, vec![blake3_of(content)])).await;
    (node, origin)
}

fn policy(bits: u64) -> String {
    format!("enable-peer-caching = true\nmax-bandwidth-served = {bits}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pol_6_a_peer_sees_the_rate_of_the_policy_and_another_one_while_it_is_served() {
    let content = Content::new(51, 48 * MIB);
    let (peer, policy_file) = holder(content, &policy(16_000_000)).await;
    let tap = Tap::before(&peer).await;
    let (node, _origin) = asker(&tap, content).await;
    let opens = tap.begins().await.after(FILLED);
    let seen = tap.rate(opens, WINDOW).await;
    assert!(seen.abs_diff(2_000_000) <= 300_000, "{seen} bytes/s for 2000000");
    say(&policy_file, &policy(4_000_000));
    let slowed = async { while tap.rate(tap.clock.monotonic(), Duration::from_secs(1)).await > 600_000 {} };
    tokio::time::timeout(PATIENCE, slowed).await.expect("the policy holds for what is being served");
    let seen = tap.rate(tap.clock.monotonic(), WINDOW).await;
    assert!(seen.abs_diff(500_000) <= 100_000, "{seen} bytes/s for 500000");
    // And none, where peer caching is not on by policy (POL-19).
    say(&policy_file, "max-bandwidth-served = 4000000\n");
    let all = async {
        while tap
            .marks
            .lock()
            .expect("no panics under the lock")
            .last()
            .is_none_or(|(_, sum)| *sum < content.len)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("the rest comes at once");
    node.shut_down().await;
    peer.shut_down().await;
}

#[expect(clippy::print_stderr, reason = "a measurement")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pol_6_a_rate_holds_over_every_ten_seconds() {
    if is_short() {
        return;
    }
    for bytes_per_s in [131_072, 1_500_000] {
        let content = Content::new(52, 48 * MIB);
        let (peer, _) = holder(content, &policy(bytes_per_s * 8)).await;
        let tap = Tap::before(&peer).await;
        let (node, _origin) = asker(&tap, content).await;
        let opens = tap.begins().await.after(FILLED);
        let mut seen = Vec::new();
        for second in 0..10 {
            let opens = opens.after(Duration::from_secs(second));
            seen.push(tap.rate(opens, Duration::from_secs(10)).await);
        }
        eprintln!("windows of 10 s: {seen:?} bytes/s for {bytes_per_s}");
        assert!(seen.iter().all(|rate| rate.abs_diff(bytes_per_s) <= bytes_per_s / 20), "{seen:?}");
        node.shut_down().await;
        peer.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_22_serving_yields_to_the_owners_foreground_job_and_goes_on_when_that_is_over() {
    let content = Content::new(53, 64 * MIB);
    let (peer, _) = holder(content, "").await;
    let own = Content::new(54, 64 * MIB);
    let manner = Manner { bytes_per_s: Some(400_000), ..Manner::default() };
    let own_origin = PlainOrigin::start(own, manner).await;
    // No peer has anything to do with the owner's own job.
    let wish = JobSpec { flags: PeerFlags::NONE, ..peer.spec(&own_origin, Vec::new()) };
    let job = peer.submit(wish).await;
    peer.stored(job, 64 * 1024).await;
    let tap = Tap::before(&peer).await;
    let (node, _origin) = asker(&tap, content).await;
    let opens = tap.begins().await.after(FILLED);
    let seen = tap.rate(opens, WINDOW).await;
    assert!((80_000..=200_000).contains(&seen), "{seen} bytes/s beside a foreground job");
    peer.handle.command(job, JobCommand::Cancel).await.expect("it is cancelled");
    let all = async {
        while tap
            .marks
            .lock()
            .expect("no panics under the lock")
            .last()
            .is_none_or(|(_, sum)| *sum < content.len)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("the rest comes at once");
    node.shut_down().await;
    peer.shut_down().await;
}
