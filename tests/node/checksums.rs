//! Digests from a publisher's list, over real https.

use nearbits::job::{JobSpec, JobState};
use nearbits::node::NodeConfig;
use nearbits::origin::OriginConfig;
use sha2::Digest as _;

use crate::lab::{LabNode, wish};
use crate::origin_script::{Act, Asked, Payload, Reply, Scripted, Site, status};

const MIB: u64 = 1 << 20;

fn hex(payload: Payload) -> String {
    sha2::Sha256::digest(payload.all()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A site with the payload and this list beside it.
fn site(payload: Payload, list: String) -> impl Fn(&Asked) -> Reply {
    let file = Site::new(payload);
    move |asked: &Asked| match asked.target.as_str() {
        "/pool/update.bin" => file.reply(asked),
        "/pool/SHA256SUMS" => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n\r\n",
                list.len()
            );
            let mut reply = vec![Act::Send(head.into_bytes())];
            if !asked.is_head() {
                reply.push(Act::Send(list.clone().into_bytes()));
            }
            reply
        }
        _ => status("404 Not Found", ""),
    }
}

/// A node that believes the origin's certificate, with these peers.
async fn node(origin: &Scripted, peers: &[&LabNode]) -> LabNode {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &origin.ca_pem).expect("written");
    let mut config = NodeConfig::embedded(folder.path().join("state"));
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.mdns = false;
    config.static_peers = peers.iter().flat_map(|peer| peer.addresses()).collect();
    config.origin = OriginConfig { extra_ca: Some(ca), ..OriginConfig::default() };
    let node = LabNode::start_with(folder, config).await;
    node.connected(peers.len()).await;
    node
}

fn spec(node: &LabNode, origin: &Scripted, list: &str) -> JobSpec {
    let mut spec = wish(origin.url("/pool/update.bin"), node.path("update.bin"), Vec::new());
    spec.files[0].digest_from = Some(origin.url(list));
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_11_a_list_of_checksums_lets_strangers_help_and_decides_in_the_end() {
    let payload = Payload::new(31, 4 * MIB);
    let list = format!("{}  other.bin\n{}  update.bin\n", "0".repeat(64), hex(payload));
    let origin = Scripted::start_tls(site(payload, list)).await;
    let first = node(&origin, &[]).await;
    first.fetch(spec(&first, &origin, "/pool/SHA256SUMS")).await;
    let second = node(&origin, &[&first]).await;
    let view = second.fetch(spec(&second, &origin, "/pool/SHA256SUMS")).await;
    assert!(view.bytes.peers > 0, "{:?}", view.bytes);
    assert!(view.trust.starts_with("level 3 (digest): sha256"), "{}", view.trust);
    assert!(std::fs::read(second.path("update.bin")).expect("delivered") == payload.all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_11_a_wrong_list_and_one_that_lacks_the_file_end_the_job_in_words() {
    let payload = Payload::new(32, MIB);
    for (list, path, words) in [
        (format!("{}  update.bin\n", "0".repeat(64)), "/pool/SHA256SUMS", "sha256"),
        (
            format!("{}  other.bin\n", hex(payload)),
            "/pool/SHA256SUMS",
            "have no SHA-256, SHA-384, SHA-512 or BLAKE3 digest of update.bin",
        ),
        (String::new(), "/pool/nothing", "404"),
    ] {
        let origin = Scripted::start_tls(site(payload, list)).await;
        let node = node(&origin, &[]).await;
        let job = node.submit(spec(&node, &origin, path)).await;
        let view = node.settled(job).await;
        assert_eq!(view.state, JobState::Error);
        assert!(view.reason.contains(words), "{}", view.reason);
        assert!(!node.path("update.bin").exists());
    }
}
