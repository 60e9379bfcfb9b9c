//! A hostile peer: a program of its own on peer-proto's frames, over a real encrypted socket.
//!
//! Knows: how to answer lookups, lists and requests with whatever its [`Plan`] says. Does not know: the node; it
//! shares only the transport and the frames with it.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nearbits::swarm::{Swarm, SwarmConfig, SwarmEvent};
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::wire::{
    Answer, Find, Found, Frame, FrameKind, Hello, ListPart, ListValues, NumberedAnswer, Versions, Want,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::badge::Badge;

/// What the hostile peer says and sends.
pub(crate) struct Plan {
    /// What it names in answer to every lookup.
    pub(crate) content: ContentId,
    /// Whether it says it checked the whole file.
    pub(crate) sealed: bool,
    /// The values it sends for pages of the list.
    pub(crate) values: Vec<Hash>,
    /// The bytes it sends.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// What it does with a request.
    pub(crate) manner: Manner,
    /// What makes it a member of the group; without it, it is a stranger.
    pub(crate) badge: Option<Badge>,
}

/// As long as blocks may be: what a liar wastes at once.
const BLOCK_LEN: u64 = 256 * 1024;

/// How it serves requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends the plan's bytes.
    Serves,
    /// Takes requests and never answers.
    Silent,
    /// Sends the plan's bytes, one in a second.
    Drips,
    /// Sends the plan's bytes until it has sent so many, and other ones from then on.
    Turns { after: u64 },
    /// Sends the plan's bytes up to the last of the first piece, and closes the connection.
    BreaksOff,
}

impl Plan {
    /// A peer that is honest about these bytes.
    pub(crate) fn honest(bytes: &[u8]) -> Self {
        let list = list_of(bytes);
        Self {
            content: list.content(),
            sealed: true,
            values: list.values().to_vec(),
            bytes: Arc::new(bytes.to_vec()),
            manner: Manner::Serves,
            badge: None,
        }
    }

    /// The same peer as one who shows this to members.
    pub(crate) fn showing(self, badge: Badge) -> Self {
        Self { badge: Some(badge), ..self }
    }

    /// A peer whose list and bytes agree with each other, but are false in these bytes.
    pub(crate) fn consistent_lie(bytes: &[u8], false_bytes: Range<usize>) -> Self {
        let mut forged = bytes.to_vec();
        for byte in &mut forged[false_bytes] {
            *byte ^= 0x5a;
        }
        Self::honest(&forged)
    }

    /// A peer that gives the true list and then sends bytes that are false from this offset on.
    pub(crate) fn false_bytes(bytes: &[u8], from: usize) -> Self {
        let mut plan = Self::honest(bytes);
        let mut forged = bytes.to_vec();
        for byte in &mut forged[from..] {
            *byte ^= 0x5a;
        }
        plan.bytes = Arc::new(forged);
        plan
    }
}

/// The true hash list of some bytes.
pub(crate) fn list_of(bytes: &[u8]) -> HashList {
    let len = u64::try_from(bytes.len()).expect("fits");
    let cut = peer_proto::content::Geometry::of(len).expect("small");
    let values = (0..cut.piece_count())
        .map(|index| {
            let range = cut.piece_range(PieceIndex(index)).expect("in the file").as_range();
            let range =
                usize::try_from(range.start).expect("fits")..usize::try_from(range.end).expect("fits");
            peer_proto::verify::piece_value(&cut, PieceIndex(index), &bytes[range]).expect("a whole piece")
        })
        .collect();
    HashList::from_values(len, values).expect("the right number of values")
}

/// A running hostile peer.
pub(crate) struct Hostile {
    swarm: Swarm,
    stop: CancellationToken,
    sent: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    heard: Arc<Mutex<Vec<Frame>>>,
}

impl Hostile {
    /// Starts it on a loopback port of the system's choice. `seed` makes its identity.
    pub(crate) async fn start(seed: u8, plan: Plan) -> Self {
        let (events, inbox) = mpsc::channel(256);
        let stop = CancellationToken::new();
        let config = SwarmConfig {
            identity_seed: [seed; 32],
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            rendezvous: Vec::new(),
            tunnels: nearbits::swarm::Tunnels::default(),
            remembered: Vec::new(),
            mdns: false,
            ask_link: false,
            static_peers: Vec::new(),
            added_peers: Vec::new(),
        };
        let (swarm, _) = Swarm::start(config, events, stop.clone()).expect("loopback is free");
        let hostile = Self {
            swarm: swarm.clone(),
            stop,
            sent: Arc::default(),
            requests: Arc::default(),
            heard: Arc::default(),
        };
        let (ready, listening) = tokio::sync::oneshot::channel();
        tokio::spawn(run(
            swarm,
            inbox,
            Arc::new(plan),
            Arc::clone(&hostile.sent),
            Arc::clone(&hostile.requests),
            Arc::clone(&hostile.heard),
            ready,
        ));
        listening.await.expect("it listens");
        hostile
    }

    /// Where it listens, with its id.
    pub(crate) fn address(&self) -> String {
        self.swarm.listen_addresses().into_iter().next().expect("it listens")
    }

    /// Who it is.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.swarm.peer_id()
    }

    /// Payload bytes it handed to its socket.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests it was asked.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Every frame that came to it, the first one first.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.heard.lock().expect("nobody panicked").clone()
    }

    /// Whether a frame of this kind ever came to it.
    pub(crate) fn heard(&self, kind: FrameKind) -> bool {
        self.frames().iter().any(|frame| frame.kind() == kind)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn run(
    swarm: Swarm,
    mut inbox: mpsc::Receiver<SwarmEvent>,
    plan: Arc<Plan>,
    sent: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    heard: Arc<Mutex<Vec<Frame>>>,
    ready: tokio::sync::oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    while let Some(event) = inbox.recv().await {
        match event {
            SwarmEvent::Listening { .. } => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
            SwarmEvent::Connected { peer, .. } => {
                let nonce = [9; 16];
                let tags = plan.badge.as_ref().map(|badge| badge.tags(&swarm.peer_id(), &peer, &nonce));
                let hello = Hello { versions: Versions::OURS, nonce, tags: tags.unwrap_or([3; 128]) };
                let _ = swarm.send(peer, Frame::Hello(hello));
            }
            SwarmEvent::Frame { peer, frame } => {
                heard.lock().expect("nobody panicked").push(frame.clone());
                let as_member = plan.badge.iter().flat_map(|badge| badge.answers(&frame));
                for answer in as_member.chain(answers(&plan, &frame)) {
                    let _ = swarm.send(peer, answer);
                }
                if let Frame::Want(want) = frame {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let (swarm, plan, sent) = (swarm.clone(), Arc::clone(&plan), Arc::clone(&sent));
                    match plan.manner {
                        Manner::Serves | Manner::Turns { .. } => {
                            drop(tokio::spawn(serve(swarm, peer, want, plan, sent)))
                        }
                        Manner::Silent => {}
                        Manner::Drips => drop(tokio::spawn(drip(swarm, peer, want, plan, sent))),
                        Manner::BreaksOff => drop(tokio::spawn(break_off(swarm, peer, want, plan, sent))),
                    }
                }
            }
            _ => {}
        }
    }
}

fn answers(plan: &Plan, frame: &Frame) -> Vec<Frame> {
    match frame {
        Frame::Find(Find { first, questions }) => {
            let answer = Answer::Here { content: plan.content, whole: true, sealed: plan.sealed };
            let count = u32::try_from(questions.len()).expect("at most 32");
            let answers = (0..count).map(|index| NumberedAnswer { number: first + index, answer }).collect();
            vec![Frame::Found(Found { answers })]
        }
        Frame::ListWant(want) => {
            let values = match want.part {
                ListPart::Head => Vec::new(),
                ListPart::Page(page) => {
                    let page = usize::try_from(page).expect("small");
                    plan.values.chunks(1_024).nth(page).unwrap_or_default().to_vec()
                }
            };
            vec![Frame::ListValues(ListValues { content: want.content, part: want.part, values })]
        }
        _ => Vec::new(),
    }
}

async fn serve(swarm: Swarm, peer: PeerId, want: Want, plan: Arc<Plan>, sent: Arc<AtomicU64>) {
    let Some(sender) = swarm.block_sender(peer) else { return };
    let mut offset = 0;
    for range in want.ranges {
        let mut at = range.start();
        while at < range.end() {
            let end = range.end().min(at + BLOCK_LEN);
            let at_byte = usize::try_from(at).expect("small");
            let end_byte = usize::try_from(end).expect("small").min(plan.bytes.len());
            let mut block = plan.bytes.get(at_byte..end_byte).unwrap_or_default().to_vec();
            block.resize(usize::try_from(end - at).expect("small"), 0xee);
            if matches!(plan.manner, Manner::Turns { after } if sent.load(Ordering::Relaxed) >= after) {
                block.iter_mut().for_each(|byte| *byte ^= 0x5a);
            }
            if sender.send(want.request, offset, Bytes::from(block)).await.is_err() {
                return;
            }
            sent.fetch_add(end - at, Ordering::Relaxed);
            offset += end - at;
            at = end;
        }
    }
}

async fn drip(swarm: Swarm, peer: PeerId, want: Want, plan: Arc<Plan>, sent: Arc<AtomicU64>) {
    let Some(sender) = swarm.block_sender(peer) else { return };
    let mut beat = tokio::time::interval(std::time::Duration::from_secs(1));
    for offset in 0..want.ranges[0].len() {
        beat.tick().await;
        let at = usize::try_from(want.ranges[0].start() + offset).expect("small");
        let byte = Bytes::copy_from_slice(&plan.bytes[at..=at]);
        if sender.send(want.request, offset, byte).await.is_err() {
            return;
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

async fn break_off(swarm: Swarm, peer: PeerId, want: Want, plan: Arc<Plan>, sent: Arc<AtomicU64>) {
    let Some(sender) = swarm.block_sender(peer) else { return };
    let piece = peer_proto::content::Geometry::of(plan.content.len).expect("small").piece_len();
    let at = usize::try_from(want.ranges[0].start()).expect("small");
    let almost = usize::try_from(piece - 1).expect("small");
    let block = Bytes::copy_from_slice(&plan.bytes[at..at + almost]);
    if sender.send(want.request, 0, block).await.is_ok() {
        sent.fetch_add(piece - 1, Ordering::Relaxed);
        swarm.disconnect(peer, std::time::Duration::ZERO);
    }
}
