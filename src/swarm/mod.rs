//! The swarm: encrypted connections to other nodes, frames and blocks over them.
//!
//! Knows: libp2p (named nowhere else), discovery on the link, who may connect, which of two connections is used,
//! framing and back-pressure. Does not know: what frames mean, which peer is worth asking, what a lease is; whether
//! bytes are right is for `verify`.
//!
//! Of two peers the one with the smaller id opens the control stream, on one connection of its choice; so however
//! many of them were dialled at once, both use the same one. Blocks travel on three long-lived streams in each
//! direction, opened when first needed; a request stays on one of them.

mod address;
mod admission;
mod behaviour;
mod blocks;
mod buffers;
mod calls;
mod dial;
mod discovery;
mod handler;
mod identity;
mod inquiry;
mod joined;
mod limits;
mod link;
mod listen;
mod muxer;
mod onlink;
mod outgoing;
mod question;
mod remember;
mod run;
mod scoped;
mod streams;
mod tls;
mod transport;
mod tunnel;
mod valve;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::question::{Question, Wanted};
use peer_proto::session::RequestId;
use peer_proto::subnet::Subnet;
use peer_proto::wire::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use address::{AddressError, PeerAddress, parse_listen};
pub use blocks::{Block, BlockReceiver, BlockSender, Gone};
pub use identity::peer_id_of;
pub use link::SendError;
pub use outgoing::OutgoingBuffer;
pub use remember::RememberedPeer;
pub use tls::TlsSetupError;
pub use transport::TransportSetupError;
pub use tunnel::Tunnels;

use dial::Purpose;
pub use dial::{Named, NamedBy};
use link::{Shared, locked};
use remember::Memory;

/// What a swarm needs to start.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// Seed of the node's Ed25519 key, and so of its peer id.
    pub identity_seed: [u8; 32],
    /// Where to listen. Port 0 lets the system choose, one port for all of them if it can. Empty: do not listen.
    pub listen: Vec<SocketAddr>,
    /// Whether to announce this node on its links by mDNS and to look for others.
    pub mdns: bool,
    /// Whether to ask all of the links this node is announced on at once, and to hear what others ask.
    pub ask_link: bool,
    /// Peers to stay connected to; at most 256, further ones are ignored.
    pub static_peers: Vec<PeerAddress>,
    /// Peers that `peer add` named in an earlier run. They count as static peers.
    pub added_peers: Vec<PeerAddress>,
    /// Peers that name others of the site to this node. They count as static peers.
    pub rendezvous: Vec<PeerAddress>,
    /// Whether peers are met over VPNs and other tunnels. Configured ones always are.
    pub tunnels: Tunnels,
    /// Neighbours that an earlier run met.
    pub remembered: Vec<RememberedPeer>,
}

/// Why a swarm could not start.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The encrypted transport could not be built.
    #[error("cannot build the peer transport")]
    Transport(#[from] TransportSetupError),
    /// Listening failed.
    #[error("cannot listen on {socket}")]
    Listen {
        /// Where.
        socket: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What happens in the swarm. For one peer always in this order: `Connected`, any number of `Frame`, perhaps
/// `BadFrame`, `Lost`.
#[derive(Clone, Debug)]
pub enum SwarmEvent {
    /// A peer is connected and can be sent frames.
    Connected {
        /// Who; the channel proved it.
        peer: PeerId,
        /// Its IP address, without port.
        address: String,
        /// Whether that address is on one of our links, loopback, or was configured (LOOKUP-3).
        near: bool,
        /// The subnet of ours that it is on, or one that stands for where it is.
        link: Option<Subnet>,
        /// Whether the configuration has it as a rendezvous.
        rendezvous: bool,
    },
    /// The connection is gone.
    Lost {
        /// Whose.
        peer: PeerId,
    },
    /// A frame arrived.
    Frame {
        /// From whom.
        peer: PeerId,
        /// The frame, decoded and within its caps.
        frame: Frame,
    },
    /// A peer sent what cannot be decoded, or blocks nobody asked for. The connection closes; the peer is refused
    /// for a minute, doubling each time (WIRE-9).
    BadFrame {
        /// From whom.
        peer: PeerId,
        /// What was wrong, one line.
        message: String,
    },
    /// This node listens.
    Listening {
        /// Where, with this node's id: fit for another node's `--peer`.
        address: String,
        /// The same without the id.
        at: SocketAddr,
    },
    /// Another node asks everybody on a link of ours. Nothing is proved but that it knows the digests of what it asks for.
    Asked {
        /// Where the datagram came from.
        from: SocketAddr,
        /// What it says.
        question: Question,
    },
    /// Another node announced itself on a link. A hint: nothing is proved yet.
    Discovered {
        /// Who it says it is.
        peer: PeerId,
        /// Where it says it listens, the first of its addresses.
        address: String,
    },
}

/// A peer the swarm knows of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPeer {
    /// Who, if known: a configured address may not say, and nobody may have answered there yet.
    pub peer: Option<PeerId>,
    /// Where it may be dialled.
    pub address: SocketAddr,
    /// How this node came to know it.
    pub by: KnownBy,
    /// Whether it is connected now.
    pub connected: bool,
}

/// How a node came to know a peer's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownBy {
    /// The configuration named it.
    Configured,
    /// `peer add` named it.
    Added,
    /// Another command named it, for as long as the node runs.
    Command,
    /// It announced itself on a link.
    Announced,
    /// A rendezvous named it.
    Named,
    /// It was met there before, on the same link.
    Remembered,
}

/// The handle on a running swarm. Cheap to clone; the swarm ends with its `stop` token, not with its handles.
#[derive(Clone, Debug)]
pub struct Swarm {
    shared: Arc<Shared>,
}

impl Swarm {
    /// Starts a swarm on the current tokio runtime. It runs until `stop` is cancelled; the handle returned beside
    /// it is done when every connection is closed.
    ///
    /// When `events` is full, only the connections with something to tell wait.
    ///
    /// # Errors
    /// [`SwarmError::Listen`] if an address with a port of its own cannot be listened on, or none of the others.
    pub fn start(
        config: SwarmConfig,
        events: mpsc::Sender<SwarmEvent>,
        stop: CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), SwarmError> {
        let (keypair, me) = identity::from_seed(config.identity_seed);
        let (shared, to_ask) = Shared::new(me, config.tunnels);
        let shared = Arc::new(shared);
        let named = |addresses: &[PeerAddress], purpose, by| {
            for address in addresses {
                locked(&shared.table).configure(*address, purpose, by, shared.now());
            }
        };
        named(&config.static_peers, Purpose::Peer, NamedBy::Configuration);
        named(&config.rendezvous, Purpose::Rendezvous, NamedBy::Configuration);
        named(&config.added_peers, Purpose::Peer, NamedBy::Added);
        *locked(&shared.memory) = Memory::restore(config.remembered.clone(), shared.now());
        let run = run::Run::new(Arc::clone(&shared), &keypair, &config, to_ask, events, stop)?;
        Ok((Self { shared }, tokio::spawn(run.run())))
    }

    /// This node's id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.shared.me
    }

    /// Where this node listens now, with its id: fit for another node's `--peer`.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        let sockets = locked(&self.shared.listening).clone();
        sockets.into_iter().map(|socket| address::with_peer(socket, self.shared.me)).collect()
    }

    /// Sends a control or page frame. Never waits. The first frame after `Connected` is a Hello (WIRE-1): others
    /// before it belong to an earlier connection of this peer, and are not sent.
    ///
    /// # Errors
    /// [`SendError::NotConnected`]; [`SendError::TooSlow`] if too much waits already: the connection then closes;
    /// [`SendError::Encode`] if the frame breaks a rule of shape.
    pub fn send(&self, peer: PeerId, frame: Frame) -> Result<(), SendError> {
        self.shared.link(peer).ok_or(SendError::NotConnected { peer })?.send(&frame)
    }

    /// Closes the connection to a peer, after what was already sent to it, and refuses it for `ban`, at most a day.
    /// Zero: it may come back at once.
    pub fn disconnect(&self, peer: PeerId, ban: Duration) {
        locked(&self.shared.table).ban(peer, ban, self.shared.now());
        if let Some(link) = self.shared.link(peer) {
            link.stop.cancel();
        }
        self.shared.common.wake.notify_one();
    }

    /// Asks everybody on the links this node is announced on, if that is switched on. Never waits; what is too much is lost,
    /// as any datagram may be.
    pub fn ask_link(&self, nonce: [u8; 8], wanted: Vec<Wanted>) {
        drop(self.shared.asking.try_send(question::Asking { nonce, wanted }));
    }

    /// Connects to a peer that asked the link for what is here: one try, among the dials that strangers get.
    pub fn call(&self, peer: PeerId, socket: SocketAddr) {
        if locked(&self.shared.table).call(peer, socket, self.shared.now()) {
            self.shared.common.wake.notify_one();
        }
    }

    /// Adds a peer to stay connected to, if fewer than 256 are.
    pub fn add_static(&self, address: PeerAddress, by: NamedBy) -> Named {
        let named = locked(&self.shared.table).configure(address, Purpose::Peer, by, self.shared.now());
        self.shared.common.wake.notify_one();
        named
    }

    /// Forgets a peer that [`NamedBy::Added`] names, at exactly this address. Its session stays.
    pub fn remove_added(&self, address: PeerAddress) {
        locked(&self.shared.table).remove_added(address);
    }

    /// Tries a peer that a rendezvous named, as if it had announced itself there; never at this machine's loopback, at a
    /// metadata service, at what is no single machine, or through a tunnel that is shunned.
    pub fn meet(&self, peer: PeerId, address: SocketAddr) {
        let links = locked(&self.shared.interfaces).clone();
        let is_shunned = links.is_shunned(address.ip()) || links.is_behind_shunned(address);
        if onlink::takes_named(address) && !is_shunned {
            let now = self.shared.now();
            locked(&self.shared.table).announce(peer, &[address], KnownBy::Named, now);
            self.shared.common.wake.notify_one();
        }
    }

    /// Asks the links who is there, and tries at once whom it would try later (PEER-14). Returns without waiting for
    /// anybody. `false`: they were asked less than ten minutes ago, and are not asked again (PEER-15).
    #[must_use]
    pub fn discover(&self) -> bool {
        let now = self.shared.now();
        let begins = locked(&self.shared.inquiry).begin(now);
        if begins {
            locked(&self.shared.table).retry(now);
            self.shared.recall_neighbours();
            self.shared.common.ask.notify_one();
            self.shared.common.wake.notify_one();
        }
        begins
    }

    /// Forgets every peer that the configuration does not name; how many they were. Connections stay, and so do bans. The next
    /// [`discover`](Self::discover) asks (PEER-23).
    #[must_use]
    pub fn forget_peers(&self) -> usize {
        locked(&self.shared.inquiry).lift();
        locked(&self.shared.memory).clear();
        locked(&self.shared.table).clear()
    }

    /// Neighbours to be kept for the next run: who proved his id at an address of one of our links, within seven days.
    #[must_use]
    pub fn remembered(&self) -> Vec<RememberedPeer> {
        self.shared.note_neighbours();
        locked(&self.shared.memory).all(self.shared.now())
    }

    /// How many neighbours that were met before may be on our links now.
    #[must_use]
    pub fn remembered_here(&self) -> usize {
        let links = locked(&self.shared.interfaces).subnets();
        locked(&self.shared.memory).on(&links).len()
    }

    /// Every peer known now, configured ones first; one entry per address.
    #[must_use]
    pub fn known_peers(&self) -> Vec<KnownPeer> {
        let connected: Vec<PeerId> = locked(&self.shared.links).keys().copied().collect();
        let table = locked(&self.shared.table);
        let known = table.known(self.shared.now()).map(|(peer, address, by)| KnownPeer {
            peer,
            address,
            by,
            connected: peer.is_some_and(|peer| connected.contains(&peer)),
        });
        known.collect()
    }

    /// Opens the way for the blocks of a request of `len` bytes; call this before the request is sent. The receiver
    /// ends at once if the peer is not connected.
    #[must_use]
    pub fn expect_blocks(&self, peer: PeerId, request: RequestId, len: u64) -> BlockReceiver {
        let way = self
            .shared
            .link(peer)
            .and_then(|link| link.expect_blocks(request, len).map(|blocks| (blocks, (link, request))));
        match way {
            Some((blocks, route)) => BlockReceiver::new(blocks, Some(route)),
            None => BlockReceiver::new(mpsc::channel(1).1, None),
        }
    }

    /// Lets late blocks of a request pass unseen: 4 MiB for ten seconds (WIRE-5). Dropping the receiver does the
    /// same.
    pub fn cancel_blocks(&self, peer: PeerId, request: RequestId) {
        if let Some(link) = self.shared.link(peer) {
            link.cancel_blocks(request);
        }
    }

    /// A way to give blocks to a peer; `None` if it is not connected.
    #[must_use]
    pub fn block_sender(&self, peer: PeerId) -> Option<BlockSender> {
        let link = self.shared.link(peer)?;
        link.want_lanes();
        Some(BlockSender::new(link))
    }

    /// Bytes that came for cancelled requests since the start.
    #[must_use]
    pub fn discarded_bytes(&self) -> u64 {
        self.shared.common.discarded.load(Ordering::Relaxed)
    }
}
