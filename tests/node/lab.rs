//! Whole nodes inside the test's own process: own state folders, real sockets on loopback, real files.
//!
//! Knows: how to start a node, give it a job and look at what came of it. Does not know: what is tested.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nearbits::job::{JobId, JobSpec, JobState, PeerFlags, Priority};
use nearbits::node::{Handle, JobView, Node, NodeConfig, NodeError, PeerAddress};
use nearbits::store::FolderError;
use peer_proto::content::Hash;
use peer_proto::digest::{Algorithm, Digest};
use sha2::Digest as _;

use crate::plain_origin::{Content, PlainOrigin};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node with a folder of its own.
pub(crate) struct LabNode {
    pub(crate) node: Node,
    pub(crate) handle: Handle,
    pub(crate) folder: tempfile::TempDir,
}

impl LabNode {
    /// A node that keeps trying these others.
    pub(crate) async fn start(peers: &[&LabNode]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, peers).await
    }

    /// The same in a folder that is there already.
    pub(crate) async fn start_in(folder: tempfile::TempDir, peers: &[&LabNode]) -> Self {
        let mut config = NodeConfig::embedded(folder.path().join("state"));
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.mdns = false;
        config.static_peers = peers.iter().flat_map(|peer| peer.addresses()).collect();
        Self::start_with(folder, config).await
    }

    pub(crate) async fn start_with(folder: tempfile::TempDir, config: NodeConfig) -> Self {
        // A program that another test starts at this moment holds what this process had open, until it is itself.
        let started = tokio::time::timeout(PATIENCE, async {
            loop {
                match Node::start(config.clone()).await {
                    Err(NodeError::Folder(FolderError::Locked { .. })) => tokio::task::yield_now().await,
                    started => return started,
                }
            }
        });
        let started = started.await.expect("the state folder is let go of");
        let node = started.unwrap_or_else(|error| panic!("{error}"));
        let handle = node.handle();
        Self { node, handle, folder }
    }

    /// Where other nodes find it.
    pub(crate) fn addresses(&self) -> Vec<PeerAddress> {
        let addresses = self.handle.listen_addresses();
        assert!(!addresses.is_empty(), "it listens");
        addresses.iter().map(|text| text.parse().expect("its own address")).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A foreground job that may use peers.
    pub(crate) fn spec(&self, origin: &PlainOrigin, digests: Vec<Digest>) -> JobSpec {
        wish(origin.url(), self.path("payload.bin"), digests)
    }

    pub(crate) async fn submit(&self, spec: JobSpec) -> JobId {
        self.handle.submit(spec).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the job has settled, whatever came of it.
    pub(crate) async fn settled(&self, job: JobId) -> JobView {
        let settled = tokio::time::timeout(PATIENCE, self.handle.settled(job)).await;
        match settled {
            Ok(view) => view.expect("the node runs").expect("the job is there"),
            Err(_) => panic!("it takes too long: {:#?}\n{}", self.handle.job(job).await, self.why(job).await),
        }
    }

    /// Fetches and insists on success.
    pub(crate) async fn fetch(&self, spec: JobSpec) -> JobView {
        let job = self.submit(spec).await;
        self.delivered(job).await
    }

    /// Waits for the delivery and insists on it.
    pub(crate) async fn delivered(&self, job: JobId) -> JobView {
        let view = self.settled(job).await;
        assert_eq!(view.state, JobState::Acknowledged, "{view:#?}\n{}", self.why(job).await);
        view
    }

    /// Waits until the job has so many bytes.
    pub(crate) async fn stored(&self, job: JobId, bytes: u64) -> JobView {
        let mut events = self.handle.watch();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let view = self.handle.job(job).await.expect("the node runs").expect("the job is there");
                if view.stored >= bytes || view.state.is_final() {
                    return view;
                }
                // An event lost to lag is no reason to stop looking.
                drop(tokio::time::timeout(Duration::from_millis(100), events.recv()).await);
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{bytes} bytes take too long"))
    }

    /// Waits until something is true.
    pub(crate) async fn until(&self, is_true: impl Fn() -> bool, what: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_true() {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// The decisions of a job as text, for messages of failed tests.
    pub(crate) async fn why(&self, job: JobId) -> String {
        let decisions = self.handle.decisions(job).await.expect("the node runs").unwrap_or_default();
        decisions
            .iter()
            .map(|why| {
                format!(
                    "{:>7} ms {:?} {} because {} -> {}\n",
                    why.at_ms, why.range, why.chosen, why.why, why.outcome
                )
            })
            .collect()
    }

    /// Waits until this many peers are connected.
    pub(crate) async fn connected(&self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let peers = self.handle.peers().await.expect("the node runs");
                if peers.iter().filter(|peer| peer.connected).count() >= count {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("peers connect");
    }

    pub(crate) async fn shut_down(self) -> tempfile::TempDir {
        self.node.shutdown().await;
        self.folder
    }
}

/// A foreground job that may use peers.
pub(crate) fn wish(url: String, destination: PathBuf, digests: Vec<Digest>) -> JobSpec {
    JobSpec {
        flags: PeerFlags::BOTH,
        priority: Priority::Foreground,
        auto_complete: true,
        retry_delay_s: 5,
        ..JobSpec::for_file(url, destination).named_by(digests)
    }
}

/// The same job with its file at another place.
pub(crate) fn placed(mut spec: JobSpec, destination: PathBuf) -> JobSpec {
    spec.files.iter_mut().for_each(|file| file.destination.clone_from(&destination));
    spec
}

/// Insists that a file is exactly this content.
pub(crate) fn assert_exact(path: &Path, content: Content) {
    use std::io::Read;
    let mut file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(file.metadata().expect("its length").len(), content.len);
    let (mut found, mut wanted) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    while at < content.len {
        let take = usize::try_from((content.len - at).min(1 << 20)).expect("a block");
        file.read_exact(&mut found[..take]).expect("readable");
        content.fill(at, &mut wanted[..take]);
        assert!(found[..take] == wanted[..take], "bytes differ in {at}..{}", at + take as u64);
        at += take as u64;
    }
}

/// The BLAKE3 digest of a content, by the plain implementation.
pub(crate) fn blake3_of(content: Content) -> Digest {
    let mut hasher = blake3::Hasher::new();
    each_block(content, |block| {
        hasher.update(block);
    });
    Digest::new(Algorithm::Blake3, hasher.finalize().as_bytes().to_vec()).expect("32 bytes")
}

/// The SHA-256 digest of a content.
pub(crate) fn sha256_of(content: Content) -> Digest {
    let mut hasher = sha2::Sha256::new();
    each_block(content, |block| hasher.update(block));
    Digest::new(Algorithm::Sha256, hasher.finalize().to_vec()).expect("32 bytes")
}

/// A digest that no content of these tests has.
pub(crate) fn wrong_blake3() -> Digest {
    Digest::new(Algorithm::Blake3, Hash([7; 32]).0.to_vec()).expect("32 bytes")
}

/// The same of the other kind.
pub(crate) fn wrong_sha256() -> Digest {
    Digest::new(Algorithm::Sha256, Hash([7; 32]).0.to_vec()).expect("32 bytes")
}

/// Every block of a content, in order.
pub(crate) fn each_block(content: Content, mut each: impl FnMut(&[u8])) {
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    while at < content.len {
        let take = usize::try_from((content.len - at).min(1 << 20)).expect("a block");
        content.fill(at, &mut block[..take]);
        each(&block[..take]);
        at += take as u64;
    }
}
