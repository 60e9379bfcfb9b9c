//! The one loop that owns libp2p's swarm.
//!
//! Knows: connections from their birth to their end, which one of a peer is used, when to dial. Does not know: what
//! is said on the streams; each has its own task.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, Stream, SwarmEvent as Libp2pEvent};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::behaviour::{Behaviour, Happened};
use super::dial::{Announced, Dial, Reason, Strangers};
use super::discovery::{self, Announcement};
use super::handler::{Kind, Opener, StreamEvent};
use super::limits::{
    ANNOUNCEMENTS_QUEUED_MAX, CONTROL_TIMEOUT, INTERFACES_EVERY, LANES, SETTLED_AFTER, STRANGERS_DIALLED_MAX,
    TICK,
};
use super::link::{Link, Queued, Shared, locked};
use super::onlink::Links;
use super::question::{self, Asking};
use super::{KnownBy, SwarmConfig, SwarmError, SwarmEvent, address, identity, listen, streams, transport};

/// Events of the loop itself that wait for room; more are dropped, they are hints.
const WAITING_EVENTS_MAX: usize = 64;

/// See the module.
pub(super) struct Run {
    swarm: libp2p::Swarm<Behaviour>,
    shared: Arc<Shared>,
    events: mpsc::Sender<SwarmEvent>,
    stop: CancellationToken,
    listen: Vec<SocketAddr>,
    mdns: Mdns,
    /// What the link is to be asked, until the task that asks it has begun.
    to_ask: Option<mpsc::Receiver<Asking>>,
    connections: BTreeMap<ConnectionId, Connection>,
    dials: BTreeMap<ConnectionId, Dial>,
    waiting_events: VecDeque<SwarmEvent>,
    announcements: mpsc::Receiver<Announcement>,
    announcer: mpsc::Sender<Announcement>,
    tasks: JoinSet<Option<(ConnectionId, Arc<Link>)>>,
    interfaces_read: Instant,
}

/// Where discovery stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mdns {
    Off,
    /// Starts with the first listening address that others can reach: an announcement needs the port.
    Waiting,
    Running,
}

/// One established connection.
struct Connection {
    peer: PeerId,
    socket: SocketAddr,
    since: Instant,
    control: Control,
    /// Data streams of ours that were not opened yet.
    lane_queues: Vec<mpsc::Receiver<Queued>>,
    lanes_asked: bool,
}

/// The control stream of a connection.
enum Control {
    /// None yet; the peer is to open it, or another connection has it.
    None,
    /// We asked for it.
    Asked,
    /// There is one.
    Open(Arc<Link>),
}

impl Run {
    pub(super) fn new(
        shared: Arc<Shared>,
        keypair: &Keypair,
        config: &SwarmConfig,
        to_ask: mpsc::Receiver<Asking>,
        events: mpsc::Sender<SwarmEvent>,
        stop: CancellationToken,
    ) -> Result<Self, SwarmError> {
        let transport = transport::build(keypair)?;
        let me = keypair.public().to_peer_id();
        let behaviour = Behaviour::new(Arc::clone(&shared));
        let swarm_config = libp2p::swarm::Config::with_tokio_executor();
        let mut swarm = libp2p::Swarm::new(transport, behaviour, me, swarm_config);
        open_listeners(&mut swarm, &config.listen)?;
        let (announcer, announcements) = mpsc::channel(ANNOUNCEMENTS_QUEUED_MAX);
        Ok(Self {
            swarm,
            shared,
            events,
            stop,
            listen: config.listen.clone(),
            mdns: if config.mdns { Mdns::Waiting } else { Mdns::Off },
            to_ask: Some(to_ask).filter(|_| config.ask_link),
            connections: BTreeMap::new(),
            dials: BTreeMap::new(),
            waiting_events: VecDeque::new(),
            announcements,
            announcer,
            tasks: JoinSet::new(),
            interfaces_read: Instant::ZERO,
        })
    }

    pub(super) async fn run(mut self) {
        let mut beat = tokio::time::interval(TICK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let started = beat.tick().await;
        let stop = self.stop.clone();
        self.shared.recall_neighbours();
        self.dial_due();
        loop {
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(ended) = self.tasks.join_next() => self.on_task_ended(ended.ok().flatten()),
                Some(announcement) = self.announcements.recv() => self.on_announcement(announcement),
                () = shared.common.wake.notified() => self.on_wake(),
                at = beat.tick() => {
                    self.shared.common.set_now(Instant::ZERO.after(at.duration_since(started)));
                    self.on_beat();
                }
            }
            self.tell_waiting();
        }
        self.shut_down().await;
    }

    /// Every task is told to stop; those that only wait for a listener are not waited for.
    async fn shut_down(mut self) {
        let links: Vec<Arc<Link>> = std::mem::take(&mut *locked(&self.shared.links)).into_values().collect();
        for link in &links {
            link.stop.cancel();
        }
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let patience = std::time::Duration::from_millis(300);
        let closing = async {
            loop {
                self.swarm.select_next_some().await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(patience, drained) => {}
            () = closing => {}
        }
        self.tasks.shutdown().await;
        locked(&self.shared.listening).clear();
    }

    fn on_event(&mut self, event: Libp2pEvent<Happened>) {
        match event {
            Libp2pEvent::Behaviour(Happened { connection, event }) => self.on_stream(connection, event),
            Libp2pEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(connection_id, &peer_id, &endpoint);
            }
            Libp2pEvent::ConnectionClosed { connection_id, .. } => self.on_closed(connection_id),
            Libp2pEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(dial) = self.dials.remove(&connection_id) {
                    debug!(socket = %dial.socket, %error, "dial failed");
                    locked(&self.shared.table).failed(&dial, self.shared.now());
                }
            }
            Libp2pEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(from = %send_back_addr, %error, "inbound connection refused");
            }
            Libp2pEvent::NewListenAddr { address, .. } => self.on_listening(&address),
            Libp2pEvent::ExpiredListenAddr { address, .. } => self.on_deaf(&address),
            _ => {}
        }
    }

    fn on_listening(&mut self, address: &libp2p::Multiaddr) {
        let Some(socket) = address::from_multiaddr(address) else { return };
        let links = locked(&self.shared.interfaces).clone();
        if let Some(socket) = listen::dialable(socket, &links) {
            locked(&self.shared.listening).push(socket);
            let address = address::with_peer(socket, self.shared.me);
            info!(%address, "listening");
            self.tell(SwarmEvent::Listening { address, at: socket });
        }
        if listen::is_announced(socket, &self.listen) {
            self.meet_neighbours(socket.port());
        }
    }

    /// Others can reach this node at `port`: it looks for them, and lets itself be found.
    fn meet_neighbours(&mut self, port: u16) {
        let addresses = listen::advertised(&self.listen, port);
        let advert = discovery::Advert { me: self.shared.me, port, addresses };
        if self.mdns == Mdns::Waiting {
            self.mdns = Mdns::Running;
            let (advert, shared) = (advert.clone(), Arc::clone(&self.shared));
            let (announcer, stop) = (self.announcer.clone(), self.stop.child_token());
            self.tasks.spawn(async move {
                discovery::run(advert, shared, announcer, stop).await;
                None
            });
        }
        if let Some(to_ask) = self.to_ask.take() {
            let (shared, events, stop) =
                (Arc::clone(&self.shared), self.events.clone(), self.stop.child_token());
            self.tasks.spawn(async move {
                question::run(advert, shared, to_ask, events, stop).await;
                None
            });
        }
    }

    fn on_deaf(&mut self, address: &libp2p::Multiaddr) {
        let Some(socket) = address::from_multiaddr(address) else { return };
        let same = |known: &SocketAddr| known.ip() == socket.ip() && known.port() == socket.port();
        locked(&self.shared.listening).retain(|known| !same(known));
    }

    fn on_established(&mut self, id: ConnectionId, peer: &libp2p::PeerId, endpoint: &ConnectedPoint) {
        let now = self.shared.now();
        let dial = self.dials.remove(&id);
        let socket = address::from_multiaddr(endpoint.get_remote_address());
        let (Some(peer), Some(socket)) = (identity::from_libp2p(peer), socket) else {
            self.swarm.close_connection(id);
            return;
        };
        if let Some(dial) = dial {
            locked(&self.shared.table).reached(&dial, peer, now);
        }
        debug!(%peer, %socket, dialled = dial.is_some(), "connected");
        let mut connection = Connection {
            peer,
            socket,
            since: now,
            control: Control::None,
            lane_queues: Vec::new(),
            lanes_asked: false,
        };
        if self.shared.me < peer {
            if !self.wants_control_on_new(peer, dial.is_some(), now) {
                self.connections.insert(id, connection);
                self.swarm.close_connection(id);
                return;
            }
            connection.control = Control::Asked;
            self.swarm.behaviour_mut().open(peer, id, Kind::Control);
        }
        self.connections.insert(id, connection);
    }

    /// We choose: the first connection, and a later one only if the peer dialled it long after the first: then the
    /// peer likely lost the first. Our own dial to an address without an id says nothing of the kind.
    fn wants_control_on_new(&self, peer: PeerId, dialled: bool, now: Instant) -> bool {
        let mut others = self.connections.values().filter(|other| other.peer == peer);
        others.all(|other| match &other.control {
            Control::None => true,
            Control::Asked => false,
            Control::Open(link) => {
                link.stop.is_cancelled() || (!dialled && now.since(other.since) >= SETTLED_AFTER)
            }
        })
    }

    fn on_closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        // Its tasks end by themselves, after they took what had already arrived.
        if let Control::Open(link) = &connection.control {
            self.shared.forget(link);
        }
        if !self.connections.values().any(|other| other.peer == connection.peer) {
            locked(&self.shared.table).lost(connection.peer, self.shared.now());
        }
    }

    fn on_stream(&mut self, id: ConnectionId, event: StreamEvent) {
        let Some(connection) = self.connections.get(&id) else { return };
        let chooser = self.shared.me < connection.peer;
        match (event, &connection.control) {
            (StreamEvent::Ready { kind: Kind::Control, opener: Opener::Us, stream }, Control::Asked) => {
                self.link_up(id, stream);
            }
            (StreamEvent::Ready { kind: Kind::Control, opener: Opener::Them, stream }, Control::None)
                if !chooser =>
            {
                self.link_up(id, stream);
            }
            (StreamEvent::Ready { kind: Kind::Lane, opener: Opener::Them, stream }, Control::Open(link)) => {
                let link = Arc::clone(link);
                self.tasks.spawn(async move {
                    streams::take_blocks(link, stream).await;
                    None
                });
            }
            (StreamEvent::Ready { kind: Kind::Lane, opener: Opener::Us, stream }, Control::Open(link)) => {
                let link = Arc::clone(link);
                self.lane_up(id, link, stream);
            }
            (StreamEvent::Failed { kind }, _) => {
                debug!(peer = %connection.peer, ?kind, "the peer does not open our stream");
                self.swarm.close_connection(id);
            }
            (StreamEvent::Ready { kind, .. } | StreamEvent::TooMany { kind }, _) => {
                self.refuse_stream(id, kind);
            }
        }
    }

    /// The peer opened a stream it has no right to.
    fn refuse_stream(&mut self, id: ConnectionId, kind: Kind) {
        let Some(connection) = self.connections.get(&id) else { return };
        match &connection.control {
            Control::Open(link) => link.break_off(format!("a {kind:?} stream too many")),
            _ => {
                let mut table = locked(&self.shared.table);
                table.protocol_error(connection.peer, self.shared.now());
            }
        }
        self.swarm.close_connection(id);
    }

    /// The control stream stands: this connection is the one in use, any other of this peer is closed.
    fn link_up(&mut self, id: ConnectionId, stream: Stream) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let peer = connection.peer;
        let common = Arc::clone(&self.shared.common);
        let ip = connection.socket.ip().to_canonical();
        let (link, queues) = Link::new(peer, ip, self.stop.child_token(), common);
        connection.control = Control::Open(Arc::clone(&link));
        connection.lane_queues = queues.lanes;
        let near = ip.is_loopback()
            || locked(&self.shared.interfaces).is_on_link(ip)
            || locked(&self.shared.table).is_configured(Some(peer), ip);
        let links = locked(&self.shared.interfaces).clone();
        let net = links.link_of(ip);
        // Whoever is behind a tunnel is not named to the site at the other end of it.
        let rendezvous =
            locked(&self.shared.table).is_rendezvous(peer, ip) && !links.is_behind_shunned(connection.socket);
        let before = locked(&self.shared.links).insert(peer, Arc::clone(&link));
        if let Some(before) = &before {
            before.stop.cancel();
        }
        let others: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(other, connection)| connection.peer == peer && **other != id)
            .map(|(other, _)| *other)
            .collect();
        for other in others {
            self.swarm.close_connection(other);
        }
        let connected = SwarmEvent::Connected { peer, address: ip.to_string(), near, link: net, rendezvous };
        let before = before.map(|before| before.ended.clone());
        let events = self.events.clone();
        self.tasks.spawn(async move {
            streams::control(&link, stream, queues.control, connected, events, before).await;
            Some((id, link))
        });
    }

    fn lane_up(&mut self, id: ConnectionId, link: Arc<Link>, stream: Stream) {
        let queue = self.connections.get_mut(&id).and_then(|connection| connection.lane_queues.pop());
        if let Some(queue) = queue {
            self.tasks.spawn(async move {
                streams::give_blocks(link, stream, queue).await;
                None
            });
        }
    }

    /// The control stream of a connection ended, and with it the connection.
    fn on_task_ended(&mut self, ended: Option<(ConnectionId, Arc<Link>)>) {
        let Some((id, link)) = ended else { return };
        self.shared.forget(&link);
        if link.fault().is_some() {
            locked(&self.shared.table).protocol_error(link.peer, self.shared.now());
        }
        self.swarm.close_connection(id);
    }

    fn on_announcement(&mut self, announcement: Announcement) {
        match announcement {
            Announcement::Here { peer, sockets } => {
                let now = self.shared.now();
                let announced = locked(&self.shared.table).announce(peer, &sockets, KnownBy::Announced, now);
                if let (Announced::New, Some(first)) = (announced, sockets.first()) {
                    self.tell(SwarmEvent::Discovered { peer, address: first.to_string() });
                    self.dial_due();
                }
            }
            Announcement::Gone { peer } => locked(&self.shared.table).withdraw(peer),
        }
    }

    /// Something was asked for through the handle.
    fn on_wake(&mut self) {
        let mut wanted = Vec::new();
        for (id, connection) in &mut self.connections {
            if let Control::Open(link) = &connection.control
                && link.lanes_wanted()
                && !connection.lanes_asked
            {
                connection.lanes_asked = true;
                wanted.push((connection.peer, *id));
            }
        }
        for (peer, id) in wanted {
            for _ in 0..LANES {
                self.swarm.behaviour_mut().open(peer, id, Kind::Lane);
            }
        }
        self.close_banned();
        self.dial_due();
    }

    fn on_beat(&mut self) {
        let now = self.shared.now();
        if now.since(self.interfaces_read) >= INTERFACES_EVERY {
            self.interfaces_read = now;
            let links = Links::read(self.shared.tunnels);
            let before = std::mem::replace(&mut *locked(&self.shared.interfaces), links.clone());
            if before != links {
                self.shared.recall_neighbours();
            }
            self.shared.note_neighbours();
        }
        let idle: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, one)| {
                !matches!(one.control, Control::Open(_)) && now.since(one.since) >= CONTROL_TIMEOUT
            })
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.swarm.close_connection(id);
        }
        self.dial_due();
    }

    /// Connections of banned peers that have no control stream yet; those that have one are told by it.
    fn close_banned(&mut self) {
        let now = self.shared.now();
        let table = locked(&self.shared.table);
        let banned: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, one)| !matches!(one.control, Control::Open(_)) && table.is_banned(one.peer, now))
            .map(|(id, _)| *id)
            .collect();
        drop(table);
        for id in banned {
            self.swarm.close_connection(id);
        }
    }

    fn dial_due(&mut self) {
        let connected = self.connections.values().map(|one| one.peer);
        let busy: BTreeSet<PeerId> =
            connected.chain(self.dials.values().filter_map(|dial| dial.peer)).collect();
        let under_way =
            self.dials.values().filter(|dial| !matches!(dial.reason, Reason::Configured(_))).count();
        let strangers = if self.swarm.behaviour().strangers() + under_way < STRANGERS_DIALLED_MAX {
            Strangers::Dial
        } else {
            Strangers::Wait
        };
        let now = self.shared.now();
        let due = locked(&self.shared.table).next_dials(now, &busy, strangers);
        for dial in due {
            let to = address::to_multiaddr(dial.socket);
            let options = match dial.peer {
                Some(peer) => DialOpts::peer_id(identity::to_libp2p(peer)).addresses(vec![to]).build(),
                None => DialOpts::unknown_peer_id().address(to).build(),
            };
            let id = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => drop(self.dials.insert(id, dial)),
                Err(error) => {
                    debug!(socket = %dial.socket, %error, "dial refused");
                    locked(&self.shared.table).failed(&dial, now);
                }
            }
        }
    }

    /// An event of the loop itself: never waits for whoever listens.
    fn tell(&mut self, event: SwarmEvent) {
        if self.waiting_events.len() < WAITING_EVENTS_MAX {
            self.waiting_events.push_back(event);
        }
        self.tell_waiting();
    }

    fn tell_waiting(&mut self) {
        while let Some(event) = self.waiting_events.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting_events.push_front(event);
                return;
            }
        }
    }
}

/// An address whose port the user chose must work; of the others at least one.
fn open_listeners(swarm: &mut libp2p::Swarm<Behaviour>, wanted: &[SocketAddr]) -> Result<(), SwarmError> {
    let mut opened = 0;
    let mut last = None;
    for (socket, asked) in listen::settle_ports(wanted).into_iter().zip(wanted) {
        let mut outcome = swarm.listen_on(address::to_multiaddr(socket));
        if outcome.is_err() && asked.port() == 0 && socket.port() != 0 {
            outcome = swarm.listen_on(address::to_multiaddr(*asked));
        }
        match outcome {
            Ok(_) => opened += 1,
            Err(error) => {
                let source = match error {
                    libp2p::TransportError::Other(source) => source,
                    other => std::io::Error::other(other.to_string()),
                };
                let failed = SwarmError::Listen { socket: *asked, source };
                if asked.port() != 0 {
                    return Err(failed);
                }
                debug!(%socket, error = %failed, "not listening here");
                last = Some(failed);
            }
        }
    }
    match last {
        Some(failed) if opened == 0 => Err(failed),
        _ => Ok(()),
    }
}
