//! Real swarms on loopback: what one says, the other hears; what one must not do, it cannot.

mod admission;
mod blocks;
mod exchange;
mod hostile;

use std::time::Duration;

use bytes::Bytes;
use peer_proto::wire::{Frame, Goodbye, Hello, Versions};
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running swarm with its events.
struct Node {
    swarm: Swarm,
    events: mpsc::Receiver<SwarmEvent>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Node {
    fn with(config: SwarmConfig, queue: usize) -> Self {
        let (sender, events) = mpsc::channel(queue);
        let stop = CancellationToken::new();
        let (swarm, task) = Swarm::start(config, sender, stop.clone()).expect("starts");
        Self { swarm, events, stop, task }
    }

    /// A swarm listening on `listen`, known by its seed.
    async fn start(seed: u8, listen: &str, peers: &[PeerAddress]) -> Self {
        let mut node = Self::with(config(seed, listen, peers), 1_024);
        node.until(|event| matches!(event, SwarmEvent::Listening { .. }).then_some(())).await;
        node
    }

    fn id(&self) -> PeerId {
        self.swarm.peer_id()
    }

    /// Where this node listens, with its id.
    fn address(&self) -> PeerAddress {
        self.swarm.listen_addresses()[0].parse().expect("what we print we read")
    }

    /// The first event that `pick` takes; others are dropped.
    async fn until<T>(&mut self, mut pick: impl FnMut(SwarmEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the swarm runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("in time")
    }

    async fn connected(&mut self, to: PeerId) {
        self.until(|event| matches!(event, SwarmEvent::Connected { peer, .. } if peer == to).then_some(()))
            .await;
    }

    /// Both are connected and said Hello.
    async fn meet(&mut self, other: &mut Self) {
        self.connected(other.id()).await;
        other.connected(self.id()).await;
        self.swarm.send(other.id(), hello()).expect("connected");
        other.swarm.send(self.id(), hello()).expect("connected");
        assert_eq!(self.frame().await, hello());
        assert_eq!(other.frame().await, hello());
    }

    async fn lost(&mut self, to: PeerId) {
        self.until(|event| matches!(event, SwarmEvent::Lost { peer } if peer == to).then_some(())).await;
    }

    async fn frame(&mut self) -> Frame {
        self.until(|event| match event {
            SwarmEvent::Frame { frame, .. } => Some(frame),
            _ => None,
        })
        .await
    }

    async fn bad_frame(&mut self) -> String {
        self.until(|event| match event {
            SwarmEvent::BadFrame { message, .. } => Some(message),
            _ => None,
        })
        .await
    }
}

fn config(seed: u8, listen: &str, peers: &[PeerAddress]) -> SwarmConfig {
    SwarmConfig {
        identity_seed: [seed; 32],
        listen: vec![listen.parse().expect("an address")],
        rendezvous: Vec::new(),
        tunnels: crate::swarm::Tunnels::default(),
        remembered: Vec::new(),
        mdns: false,
        ask_link: false,
        static_peers: peers.to_vec(),
        added_peers: Vec::new(),
    }
}

/// Two connected swarms; the second dials the first. Which of them has the smaller id depends on the seeds.
async fn pair(seeds: [u8; 2], listen: &str) -> (Node, Node) {
    let mut first = Node::start(seeds[0], listen, &[]).await;
    let mut second = Node::start(seeds[1], listen, &[first.address()]).await;
    first.meet(&mut second).await;
    (first, second)
}

/// The frame every session starts with.
fn hello() -> Frame {
    Frame::Hello(Hello { versions: Versions::OURS, nonce: [7; 16], tags: [9; 128] })
}

fn words(text: &str) -> Frame {
    Frame::Goodbye(Goodbye { words: text.to_owned() })
}

/// `len` bytes from `offset` of the endless test content: a function of the offset, never zeros.
fn content(offset: u64, len: usize) -> Bytes {
    let byte = |at: u64| u8::try_from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).unwrap() | 1;
    (offset..).map(byte).take(len).collect()
}

/// Waits until `is_so`, looking again every few milliseconds.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            look.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}
