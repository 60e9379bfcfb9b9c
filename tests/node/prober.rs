//! Somebody on peer-proto's frames over a real encrypted socket who asks, and keeps everything he hears.
//!
//! Knows: how to say hello, ask, and measure. Does not know: the node; it shares only the transport and the frames with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nearbits::clock::Clock;
use nearbits::node::PeerAddress;
use nearbits::swarm::{Swarm, SwarmConfig, SwarmEvent};
use peer_proto::digest::Digest;
use peer_proto::group::{Badge, EpochSecret, HolderId, Roles, Token, Wish};
use peer_proto::lookup::{know_proof, lookup_id};
use peer_proto::peer::PeerId;
use peer_proto::session::{Output, Session, SessionConfig};
use peer_proto::wire::{Answer, Find, Frame, Hello, Question, Versions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::groups::group;
use crate::lab::{LabNode, PATIENCE};

/// Somebody on the link who asks, and measures how long the answer takes.
pub(crate) struct Prober {
    swarm: Swarm,
    inbox: mpsc::Receiver<SwarmEvent>,
    stop: CancellationToken,
    node: Option<PeerId>,
    nonce: [u8; 16],
    next: u32,
    clock: Clock,
    /// What it shows to members of the tests' group, if it is one, and the session in which it does.
    badge: Option<Arc<Badge>>,
    session: Option<Session>,
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
            badge: None,
            session: None,
            heard: Vec::new(),
        }
    }

    async fn event(&mut self) -> SwarmEvent {
        let event = tokio::time::timeout(PATIENCE, self.inbox.recv()).await;
        let event = event.expect("the node answers").expect("the swarm runs");
        if let SwarmEvent::Frame { peer, frame } = &event {
            self.heard.push(frame.clone());
            let is_of_group = matches!(frame, Frame::Hello(_) | Frame::Token(_) | Frame::Tags(_));
            if let Some(session) = self.session.as_mut().filter(|_| is_of_group) {
                session.handle_frame(frame.clone(), self.clock.monotonic()).expect("in order");
                self.speak(*peer);
            }
        }
        event
    }

    /// Says what the session of a member says by itself.
    fn speak(&mut self, peer: PeerId) {
        let Some(session) = &mut self.session else { return };
        loop {
            match session.poll_output() {
                Output::Transmit(frame) => self.swarm.send(peer, frame).expect("connected"),
                Output::Event(_) => {}
                Output::WaitUntil(_) => return,
            }
        }
    }

    /// Says hello, and learns the nonce that proofs for this node are made for.
    pub(crate) async fn hello(&mut self) {
        loop {
            match self.event().await {
                SwarmEvent::Connected { peer, .. } => {
                    self.node = Some(peer);
                    if let Some(badge) = self.badge.clone() {
                        let config = SessionConfig {
                            me: self.swarm.peer_id(),
                            peer,
                            my_nonce: [9; 16],
                            filler: [3; 128],
                            badges: Some(badge).into(),
                        };
                        self.session = Some(Session::new(config, self.clock.monotonic()));
                        self.speak(peer);
                    } else {
                        let hello = Hello { versions: Versions::OURS, nonce: [9; 16], tags: [3; 128] };
                        self.swarm.send(peer, Frame::Hello(hello)).expect("just connected");
                    }
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

    /// Listens like a member of the tests' group.
    pub(crate) fn listen_as_member() -> Self {
        let mut prober = Self::listen(Vec::new());
        let now = u64::try_from(nearbits::clock::wall_unix_ms() / 1_000).expect("after 1970");
        let wish = Wish {
            holder: HolderId([33; 16]),
            peer: prober.swarm.peer_id(),
            roles: Roles::FETCH.and(Roles::SERVE),
            not_before: now - 60 * 60,
            not_after: now + 60 * 60,
            epoch: 1,
            serial: 1,
        };
        let token = Token::grant(&group(), &wish);
        prober.badge = Some(Arc::new(Badge { token, secret: EpochSecret([7; 32]), former: None }));
        prober
    }

    /// Says hello and shows that it is a member; returns when the node takes it for one, with nothing heard so far.
    pub(crate) async fn joins(&mut self, node: &LabNode) {
        self.hello().await;
        let me = self.swarm.peer_id();
        let joined = async {
            loop {
                self.everything().await;
                let peers = node.handle.peers().await.expect("the node runs");
                if peers.iter().any(|view| view.peer == me && view.connected && view.member) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.expect("it is taken for a member");
        self.everything().await;
        self.heard.clear();
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
