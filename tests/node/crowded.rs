//! An address that many share, and a door at which many stand: whoever is honest among them is used.
//!
//! Knows: what a node takes from whom, its descriptors and its memory. Does not know: how it tells them apart.

use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Child;

use crate::hostile::{Hostile, Plan};
use crate::lab::{LabNode, assert_exact, blake3_of, wish};
use crate::office::{daemon_at, reach};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;

fn bytes_of(content: Content) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(content.len).unwrap()];
    content.fill(0, &mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_9_three_honest_peers_at_the_address_of_a_liar_are_used_and_he_alone_is_banned() {
    let content = Content::new(111, 32 * MIB);
    let bytes = bytes_of(content);
    let liar = Hostile::start(111, Plan::false_bytes(&bytes, 0)).await;
    let mut honest = Vec::new();
    for seed in 112..115 {
        honest.push(Hostile::start(seed, Plan::honest(&bytes)).await);
    }
    // From the origin alone it would take longer than any test waits.
    let manner = Manner { bytes_per_s: Some(100_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = nearbits::node::NodeConfig::embedded(folder.path().join("state"));
    (config.listen, config.mdns) = (vec![([127, 0, 0, 1], 0).into()], false);
    config.static_peers = honest.iter().chain([&liar]).map(|peer| peer.address().parse().unwrap()).collect();
    let node = LabNode::start_with(folder, config).await;
    node.connected(4).await;
    let view = node.fetch(node.spec(&origin, vec![blake3_of(content)])).await;
    assert_exact(&node.path("payload.bin"), content);
    let why = node.why(view.id).await;
    let rows = node.handle.peers().await.unwrap();
    let ip = |address: &str| address.rsplit_once(':').map_or(address.to_owned(), |(ip, _)| ip.to_owned());
    let first = ip(&rows[0].address);
    assert!(rows.len() == 4 && rows.iter().all(|row| ip(&row.address) == first), "one address: {rows:#?}");
    let banned: Vec<_> = rows.iter().filter(|row| row.banned_for_s.is_some()).map(|row| row.peer).collect();
    assert_eq!(banned, [liar.peer_id()], "{why}");
    for peer in &honest {
        assert!(peer.sent() >= MIB, "{} bytes of {}\n{why}", peer.sent(), peer.peer_id());
    }
    node.shut_down().await;
}

/// Our program as a daemon that holds a file, in a process of its own.
struct Holder {
    address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Holder {
    async fn of(content: Content) -> Self {
        let origin = PlainOrigin::start(content, Manner::default()).await;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let child = daemon_at(&state, &["--flags", "client,server"]);
        let client = reach(&state).await;
        let spec = wish(origin.url(), folder.path().join("file"), vec![blake3_of(content)]);
        let job = crate::on_link::submit(&client, spec).await;
        crate::on_link::follow(&client, job, |view| view.state.is_final()).await;
        let address = client.status().await.unwrap().listen.remove(0);
        Self { address, child, _folder: folder }
    }

    fn descriptors(&self) -> usize {
        let pid = self.child.id().expect("it runs");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
    }

    /// The most memory it ever held, in bytes.
    fn peak(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// The port it listens at.
    fn port(&self) -> u16 {
        let digits = self.address.split("/tcp/").nth(1).or_else(|| self.address.rsplit(':').next());
        let digits: String = digits.expect("a port").chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a port")
    }
}

/// Eight connections from each of 250 addresses, in which nothing is ever said.
async fn two_thousand(port: u16) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for host in 1..=250 {
        for _ in 0..8 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 1, host], 0).into()).unwrap();
            let calling = socket.connect(([127, 0, 0, 1], port).into());
            // Who is not let in is no less of a flood.
            if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), calling).await {
                open.push(stream);
            }
        }
    }
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d29_two_thousand_silent_connections_take_few_descriptors_and_an_honest_peer_gets_in() {
    let content = Content::new(116, 8 * MIB);
    let holder = Holder::of(content).await;
    let before = holder.descriptors();
    let flood = two_thousand(holder.port()).await;
    let beside = holder.descriptors();
    assert!(flood.len() >= 1_900, "{} got through", flood.len());
    let manner = Manner { bytes_per_s: Some(100_000), ..Manner::default() };
    let origin = PlainOrigin::start(content, manner).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = nearbits::node::NodeConfig::embedded(folder.path().join("state"));
    (config.listen, config.mdns) = (vec![([127, 0, 0, 1], 0).into()], false);
    config.static_peers = vec![holder.address.parse().unwrap()];
    let node = LabNode::start_with(folder, config).await;
    let view = node.fetch(node.spec(&origin, vec![blake3_of(content)])).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.peers * 2 >= content.len, "{:?}", view.bytes);
    let (most, peak) = (beside.max(holder.descriptors()), holder.peak());
    // As many as there are places for connections; P7 allows 512 in all.
    assert!(most <= before + 128, "{most} descriptors, {before} before");
    assert!(peak <= 64 * MIB, "{peak} bytes at the peak");
    drop(flood);
    node.shut_down().await;
}
