//! What is shared between the swarm's handle, its loop and the tasks of each connection.
//!
//! Knows: the peers one may send to now, their queues and routes, and how a connection is told to end. Does not
//! know: how connections come about.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::time::Instant;
use peer_proto::wire::{BlockHeader, EncodeError, Frame, codec};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::KnownBy;
use super::blocks::{Block, Gone, Misplaced, Routes, Way};
use super::buffers::Buffers;
use super::dial::PeerTable;
use super::inquiry::Inquiry;
use super::limits::{
    CONTROL_QUEUE_BYTES_MAX, CONTROL_QUEUE_FRAMES_MAX, LANE_QUEUE_BLOCKS, LANES, QUESTIONS_QUEUED_MAX,
};
use super::onlink::Links;
use super::outgoing::Outgoing;
use super::question::Asking;
use super::remember::Memory;
use super::tunnel::Tunnels;

/// What everyone sees. Locks are held for a few instructions, never two at once, never across a wait.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) me: PeerId,
    pub(super) table: Mutex<PeerTable>,
    pub(super) links: Mutex<BTreeMap<PeerId, Arc<Link>>>,
    pub(super) listening: Mutex<Vec<SocketAddr>>,
    pub(super) interfaces: Mutex<Links>,
    pub(super) tunnels: Tunnels,
    pub(super) inquiry: Mutex<Inquiry>,
    pub(super) memory: Mutex<Memory>,
    pub(super) common: Arc<Common>,
    /// Where questions to the link go; nobody takes them where they are switched off.
    pub(super) asking: mpsc::Sender<Asking>,
}

/// The part of it that links need too.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Microseconds since the loop started, as of its last beat (100 ms).
    now: AtomicU64,
    /// Bytes that came for cancelled requests.
    pub(super) discarded: AtomicU64,
    /// Wakes the loop: there is something new to dial, open or close.
    pub(super) wake: Notify,
    /// Wakes discovery: the links are to be asked now.
    pub(super) ask: Notify,
    pub(super) buffers: Arc<Buffers>,
}

/// Takes a lock. A thread that panicked while holding it left nothing half-done: every critical section is a few
/// plain assignments.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The other end takes what the link is to be asked.
    pub(super) fn new(me: PeerId, tunnels: Tunnels) -> (Self, mpsc::Receiver<Asking>) {
        let (asking, to_ask) = mpsc::channel(QUESTIONS_QUEUED_MAX);
        let shared = Self {
            me,
            table: Mutex::new(PeerTable::new(me)),
            links: Mutex::default(),
            listening: Mutex::default(),
            interfaces: Mutex::new(Links::read(tunnels)),
            tunnels,
            inquiry: Mutex::default(),
            memory: Mutex::default(),
            common: Arc::default(),
            asking,
        };
        (shared, to_ask)
    }

    /// The moment of the loop's last beat.
    pub(super) fn now(&self) -> Instant {
        self.common.now()
    }

    pub(super) fn link(&self, peer: PeerId) -> Option<Arc<Link>> {
        locked(&self.links).get(&peer).cloned()
    }

    /// Takes note of who is connected: his address stays known, and on our links it is remembered.
    pub(super) fn note_neighbours(&self) {
        let now = self.now();
        let met: Vec<(PeerId, IpAddr)> =
            locked(&self.links).values().map(|link| (link.peer, link.ip)).collect();
        let links = locked(&self.interfaces).clone();
        for (peer, ip) in met {
            let sockets = locked(&self.table).still_there(peer, ip, now);
            let Some(link) = links.subnet_of(ip) else { continue };
            let mut memory = locked(&self.memory);
            sockets.into_iter().for_each(|socket| memory.met(peer, socket, link, now));
        }
    }

    /// Tries those again who were met before on the links there are now.
    pub(super) fn recall_neighbours(&self) {
        let links = locked(&self.interfaces).clone();
        let here = locked(&self.memory).on(&links.subnets());
        for (peer, mut sockets) in here {
            sockets.retain(|socket| links.takes_announced(*socket));
            locked(&self.table).announce(peer, &sockets, KnownBy::Remembered, self.now());
        }
    }

    /// Forgets a link unless a newer one took its place.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        let mut links = locked(&self.links);
        if links.get(&link.peer).is_some_and(|known| Arc::ptr_eq(known, link)) {
            links.remove(&link.peer);
        }
    }
}

impl Common {
    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn set_now(&self, now: Instant) {
        self.now.store(now.as_micros(), Ordering::Relaxed);
    }
}

/// One peer's connection in use: the one with the control stream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) ip: IpAddr,
    /// Ends every task of this connection.
    pub(super) stop: CancellationToken,
    /// Set when the peer's loss was told: the next link to it waits for that.
    pub(super) ended: CancellationToken,
    control: mpsc::Sender<Bytes>,
    /// Whether our Hello is on its way. What comes before it was meant for an earlier link.
    greeted: AtomicBool,
    queued_bytes: AtomicUsize,
    lanes: Vec<mpsc::Sender<Queued>>,
    lanes_wanted: AtomicBool,
    routes: Mutex<Routes>,
    fault: OnceLock<String>,
    outgoing: Outgoing,
    common: Arc<Common>,
}

/// A block in front of a data stream.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) header: BlockHeader,
    pub(super) bytes: Bytes,
}

/// The other ends of a link's queues.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) control: mpsc::Receiver<Bytes>,
    pub(super) lanes: Vec<mpsc::Receiver<Queued>>,
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no connection to this peer now.
    #[error("not connected to {peer}")]
    NotConnected {
        /// Who.
        peer: PeerId,
    },
    /// The peer takes its frames too slowly: more than 1 MiB or 256 frames wait. The connection is closed.
    #[error("{peer} reads too slowly")]
    TooSlow {
        /// Who.
        peer: PeerId,
    },
    /// The frame breaks a rule of shape: this node's fault.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Link {
    pub(super) fn new(
        peer: PeerId,
        ip: IpAddr,
        stop: CancellationToken,
        common: Arc<Common>,
    ) -> (Arc<Self>, Queues) {
        let (control, control_queue) = mpsc::channel(CONTROL_QUEUE_FRAMES_MAX);
        let (lanes, lane_queues) = (0..LANES).map(|_| mpsc::channel(LANE_QUEUE_BLOCKS)).unzip();
        let link = Self {
            peer,
            ip,
            stop,
            ended: CancellationToken::new(),
            control,
            greeted: AtomicBool::new(false),
            queued_bytes: AtomicUsize::new(0),
            lanes,
            lanes_wanted: AtomicBool::new(false),
            routes: Mutex::default(),
            fault: OnceLock::new(),
            outgoing: Outgoing::new(),
            common,
        };
        (Arc::new(link), Queues { control: control_queue, lanes: lane_queues })
    }

    /// Queues a control frame; never waits. A full queue ends the connection.
    ///
    /// A frame before the Hello was sent by somebody who has not yet heard that the earlier link to this peer is
    /// gone: it is not for this one.
    pub(super) fn send(&self, frame: &Frame) -> Result<(), SendError> {
        if matches!(frame, Frame::Hello(_)) {
            self.greeted.store(true, Ordering::Relaxed);
        } else if !self.greeted.load(Ordering::Relaxed) {
            return Err(SendError::NotConnected { peer: self.peer });
        }
        let bytes = codec::encode(frame)?;
        let len = bytes.len();
        let before = self.queued_bytes.fetch_add(len, Ordering::Relaxed);
        let refused = if before + len > CONTROL_QUEUE_BYTES_MAX {
            SendError::TooSlow { peer: self.peer }
        } else {
            match self.control.try_send(bytes) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => SendError::TooSlow { peer: self.peer },
                Err(mpsc::error::TrySendError::Closed(_)) => SendError::NotConnected { peer: self.peer },
            }
        };
        self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
        self.stop.cancel();
        Err(refused)
    }

    /// `len` bytes left the control queue.
    pub(super) fn unqueue(&self, len: usize) {
        self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
    }

    /// The peer broke the protocol: the connection ends with these words.
    pub(super) fn break_off(&self, message: String) {
        self.fault.get_or_init(|| message);
        self.stop.cancel();
    }

    /// What the peer did wrong, if anything.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Opens a route for the blocks of a request.
    pub(super) fn expect_blocks(&self, request: RequestId, len: u64) -> Option<mpsc::Receiver<Block>> {
        if self.stop.is_cancelled() {
            return None;
        }
        locked(&self.routes).expect(request, len)
    }

    /// See [`Routes::cancel`].
    pub(super) fn cancel_blocks(&self, request: RequestId) {
        locked(&self.routes).cancel(request, self.common.now());
    }

    /// Where an incoming block goes.
    pub(super) fn route(&self, header: BlockHeader) -> Result<Way, Misplaced> {
        let mut routes = locked(&self.routes);
        let way = routes.pass(header, self.common.now());
        let discarded = routes.take_discarded();
        drop(routes);
        self.common.discarded.fetch_add(discarded, Ordering::Relaxed);
        // Routes close when the link ends; a block that was on the way then is no fault of the peer.
        if self.stop.is_cancelled() { Ok(Way::Discard) } else { way }
    }

    /// Room for an incoming block.
    pub(super) fn buffers(&self) -> &Arc<Buffers> {
        &self.common.buffers
    }

    /// Room for outgoing blocks.
    pub(super) const fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Asks for the data streams towards the peer, once.
    pub(super) fn want_lanes(&self) {
        if !self.lanes_wanted.swap(true, Ordering::Relaxed) {
            self.common.wake.notify_one();
        }
    }

    /// Whether the data streams were asked for.
    pub(super) fn lanes_wanted(&self) -> bool {
        self.lanes_wanted.load(Ordering::Relaxed)
    }

    /// Puts a block in front of a data stream; waits while it is taken.
    pub(super) async fn send_block(
        &self,
        lane: usize,
        header: BlockHeader,
        bytes: Bytes,
    ) -> Result<(), Gone> {
        let lane = self.lanes.get(lane).ok_or(Gone)?;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Gone),
            sent = lane.send(Queued { header, bytes }) => sent.map_err(|_| Gone),
        }
    }

    /// Ends the routes: nothing more will come.
    pub(super) fn close_routes(&self) {
        locked(&self.routes).close();
    }
}
