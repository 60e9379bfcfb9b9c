//! Somebody on peer-proto's frames over a real encrypted socket who asks, and keeps everything he hears.
//!
//! Knows: how to say hello, ask, and measure. Does not know: the node; it shares only the transport and the frames with it.

use std::net::SocketAddr;
use std::time::Duration;

use nearbits::clock::Clock;
use nearbits::node::PeerAddress;
use nearbits::swarm::{Swarm, SwarmConfig, SwarmEvent};
use peer_proto::digest::Digest;
use peer_proto::lookup::{know_proof, lookup_id};
use peer_proto::peer::PeerId;
use peer_proto::wire::{Answer, Find, Frame, Hello, Question, Versions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lab::PATIENCE;

/// Somebody on the link who asks, and measures how long the answer takes.
pub(crate) struct Prober {
    swarm: Swarm,
    inbox: mpsc::Receiver<SwarmEvent>,
    stop: CancellationToken,
    node: Option<PeerId>,
    nonce: [u8; 16],
    next: u32,
    clock: Clock,
    /// Every frame that came, the first one first.
    pub(crate) heard: Vec<Frame>,
}

impl Prober {
    /// Dials a node, and says hello.
    pub(crate) async fn meet(node: &[PeerAddress]) -> Self {
        let mut prober = Self::listen(node.to_vec());
        prober.hello().await;
        prober
    }

    /// Listens on loopback, and dials whom it is told to.
    pub(crate) fn listen(static_peers: Vec<PeerAddress>) -> Self {
        let (events, inbox) = mpsc::channel(256);
        let stop = CancellationToken::new();
        let config = SwarmConfig {
            rendezvous: Vec::new(),
            tunnels: nearbits::swarm::Tunnels::default(),
            remembered: Vec::new(),
            identity_seed: [33; 32],
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            mdns: false,
            ask_link: false,
            static_peers,
            added_peers: Vec::new(),
        };
        let (swarm, _) = Swarm::start(config, events, stop.clone()).expect("loopback is free");
        Self {
            swarm,
            inbox,
            stop,
            node: None,
            nonce: [0; 16],
            next: 0,
            clock: Clock::start(),
            heard: Vec::new(),
        }
    }

    async fn event(&mut self) -> SwarmEvent {
        let event = tokio::time::timeout(PATIENCE, self.inbox.recv()).await;
        let event = event.expect("the node answers").expect("the swarm runs");
        if let SwarmEvent::Frame { frame, .. } = &event {
            self.heard.push(frame.clone());
        }
        event
    }

    /// Says hello, and learns the nonce that proofs for this node are made for.
    pub(crate) async fn hello(&mut self) {
        loop {
            match self.event().await {
                SwarmEvent::Connected { peer, .. } => {
                    let hello = Hello { versions: Versions::OURS, nonce: [9; 16], tags: [3; 128] };
                    self.swarm.send(peer, Frame::Hello(hello)).expect("just connected");
                    self.node = Some(peer);
                }
                SwarmEvent::Frame { frame: Frame::Hello(hello), .. } => {
                    self.nonce = hello.nonce;
                    return;
                }
                _ => {}
            }
        }
    }

    /// One question: the answer, and how long it took.
    pub(crate) async fn ask(&mut self, question: Question) -> (Answer, Duration) {
        let first = self.next;
        self.next += 1;
        let start = self.clock.monotonic();
        self.swarm
            .send(self.node.expect("it said hello"), Frame::Find(Find { first, questions: vec![question] }))
            .expect("connected");
        loop {
            if let SwarmEvent::Frame { frame: Frame::Found(found), .. } = self.event().await {
                let answer = found.answers.iter().find(|answer| answer.number == first).expect("its number");
                return (answer.answer, self.clock.monotonic().since(start));
            }
        }
    }

    /// A question as one asks who knows the digest.
    pub(crate) fn knowing(&self, digest: &Digest) -> Question {
        let proof =
            know_proof(digest, &self.swarm.peer_id(), &self.node.expect("it said hello"), &self.nonce);
        Question { id: lookup_id(digest).0, proof }
    }
}

impl Prober {
    /// Where it listens, with its id.
    pub(crate) async fn address(&mut self) -> String {
        loop {
            if let SwarmEvent::Listening { address, .. } = self.event().await {
                return address;
            }
        }
    }

    /// Every frame that the node sent before it answered this question, which it asks for that end.
    pub(crate) async fn everything(&mut self) -> &[Frame] {
        self.ask(Question { id: [1; 32], proof: [1; 32] }).await;
        &self.heard
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
