//! IPv6: peers and origins on the loopback, peers on a link-local address that is nothing without its interface.
//!
//! Knows: what a user writes and sees. Does not know: how addresses are told apart (`swarm::address`).

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use nearbits::node::NodeConfig;

use crate::lab::{LabNode, assert_exact, blake3_of, sha256_of};
use crate::office::{Addresses, Daemon, Office};
use crate::on_link::{ended, fetch};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
/// An origin nobody would wait for: what comes from it is a few pieces.
const SLOW: Manner = Manner { bytes_per_s: Some(500_000), chunked: false };

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::LOCALHOST, 0))
}

/// A node that talks over the IPv6 loopback only.
async fn node(peers: &[&LabNode]) -> LabNode {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = NodeConfig::embedded(folder.path().join("state"));
    config.listen = vec![loopback()];
    config.mdns = false;
    config.static_peers = peers.iter().flat_map(|peer| peer.addresses()).collect();
    LabNode::start_with(folder, config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_fetches_from_origin_and_peer_on_the_ipv6_loopback() {
    let content = Content::new(51, 16 * MIB);
    let origin_at =
        |manner| PlainOrigin::start_on(TcpListener::bind(loopback()).expect("IPv6"), content, manner);
    let (origin, slow) = (origin_at(Manner::default()), origin_at(SLOW));
    assert!(origin.url().starts_with("http://[::1]:"), "{}", origin.url());
    let first = node(&[]).await;
    let view = first.fetch(first.spec(&origin, vec![sha256_of(content)])).await;
    assert_eq!(view.bytes.origin, content.len);
    let second = node(&[&first]).await;
    let job = second.submit(second.spec(&slow, vec![sha256_of(content)])).await;
    let view = second.delivered(job).await;
    assert_exact(&second.path("payload.bin"), content);
    assert!(view.bytes.peers * 100 >= content.len * 95, "{:?}\n{}", view.bytes, second.why(job).await);
    let from = view.sources.iter().find(|source| source.source != "origin").expect("the peer");
    assert_eq!(from.address.as_deref(), Some("::1"), "{from:?}");
    second.shut_down().await;
    first.shut_down().await;
}

/// The port a daemon listens at on its link-local address.
async fn port(daemon: &Daemon, machine: u8) -> u16 {
    let listen = daemon.client.status().await.expect("the daemon answers").listen;
    let wanted = format!("/ip6/{}/tcp/", Office::link_local(machine));
    let at =
        listen.iter().find_map(|address| address.split_once(&wanted)).unwrap_or_else(|| panic!("{listen:?}"));
    at.1.split('/').next().expect("a part").parse().expect("a port")
}

/// A `get` on machine 1 beside a slow origin on its own loopback takes the file from machine 0.
async fn gets_from_the_peer(office: &Office, content: Content, name: &str, more: &[&str]) {
    let slow = PlainOrigin::start_on(office.listener(1, loopback()), content, SLOW);
    let digest = blake3_of(content).to_hex();
    let mut command = office.nearbits(1, ["get", &slow.url(), "--blake3", &digest, "--json", "--why"]);
    command.arg("-o").arg(office.path(name)).arg("--state-dir").arg(office.path(&format!("{name}.state")));
    let output = ended(command.args(more).spawn().expect("the program starts")).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{more:?}: {said}");
    assert_exact(&office.path(name), content);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    let peers = report["bytes"]["peers"].as_u64().expect("a count");
    assert!(peers * 100 >= content.len * 95, "{more:?}: {report:#}\n{said}");
    let link_local = Office::link_local(0).to_string();
    let from = report["sources"].as_array().expect("sources").iter().find(|from| from["source"] != "origin");
    assert_eq!(from.expect("the peer")["address"], link_local.as_str(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_local_peer_is_reached_through_its_interface() {
    let Some(office) = Office::open(2, Addresses::LinkLocalOnly) else { return };
    let content = Content::new(52, 16 * MIB);
    let origin = PlainOrigin::start_on(office.listener(0, loopback()), content, Manner::default());
    let ip = Office::link_local(0);
    let holder = office.daemon(0, &["--no-mdns", "--listen", "[::]:0"]).await;
    fetch(&office, &holder, "copy", &origin, content).await;
    let at = port(&holder, 0).await;
    let (by_name, by_number) = (format!("[{ip}%eth0]:{at}"), format!("[{ip}%{}]:{at}", office.interface(1)));
    let multiaddress = format!("/ip6zone/eth0/ip6/{ip}/tcp/{at}");
    for (form, peer) in [by_name, by_number, multiaddress].iter().enumerate() {
        gets_from_the_peer(&office, content, &format!("copy{form}"), &["--no-mdns", "--peer", peer]).await;
    }
    holder.kill().await;
    // Listening there and nowhere else.
    for (form, interface) in ["eth0".to_owned(), office.interface(0).to_string()].iter().enumerate() {
        let holder = office.daemon(0, &["--no-mdns", "--listen", &format!("[{ip}%{interface}]:0")]).await;
        let peer = format!("[{ip}%eth0]:{}", port(&holder, 0).await);
        gets_from_the_peer(&office, content, &format!("more{form}"), &["--no-mdns", "--peer", &peer]).await;
        holder.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_with_nothing_but_link_local_addresses_find_each_other() {
    let Some(office) = Office::open(2, Addresses::LinkLocalOnly) else { return };
    let content = Content::new(53, 16 * MIB);
    let origin = PlainOrigin::start_on(office.listener(0, loopback()), content, Manner::default());
    let holder = office.daemon(0, &[]).await;
    fetch(&office, &holder, "copy", &origin, content).await;
    gets_from_the_peer(&office, content, "found", &[]).await;
}
