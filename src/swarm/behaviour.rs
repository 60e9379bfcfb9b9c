//! The swarm's own libp2p behaviour: lets connections in or refuses them, and passes streams on.
//!
//! Knows: admission, bans, the handler of each connection. Does not know: which of two connections is used, what
//! is said on a stream.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::admission::{Admission, Refused, Standing};
use super::handler::{Handler, Kind, StreamEvent};
use super::link::{Shared, locked};
use super::{address, identity};

/// A stream event with the connection it happened on.
#[derive(Debug)]
pub(super) struct Happened {
    /// On which connection.
    pub(super) connection: ConnectionId,
    /// What.
    pub(super) event: StreamEvent,
}

/// See the module.
pub(super) struct Behaviour {
    shared: Arc<Shared>,
    admission: Admission,
    queue: VecDeque<ToSwarm<Happened, Kind>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, admission: Admission::default(), queue: VecDeque::new(), waker: None }
    }

    /// Asks a connection for one more stream.
    pub(super) fn open(&mut self, peer: peer_proto::peer::PeerId, connection: ConnectionId, kind: Kind) {
        self.queue.push_back(ToSwarm::NotifyHandler {
            peer_id: identity::to_libp2p(peer),
            handler: NotifyHandler::One(connection),
            event: kind,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Open connections of peers nobody configured.
    pub(super) fn strangers(&self) -> usize {
        self.admission.strangers()
    }

    fn standing(&self, peer: Option<peer_proto::peer::PeerId>, ip: IpAddr) -> Standing {
        let table = locked(&self.shared.table);
        if table.is_configured(peer, ip) {
            Standing::Configured
        } else if ip.is_loopback() {
            Standing::Local
        } else {
            Standing::Stranger
        }
    }

    /// Whether a connection goes through a tunnel over which nobody is met.
    fn is_shunned(&self, local: &Multiaddr, remote: IpAddr) -> bool {
        let own = address::from_multiaddr(local).as_ref().map(SocketAddr::ip);
        let links = locked(&self.shared.interfaces);
        links.is_shunned(remote) || own.is_some_and(|own| links.is_shunned(own))
    }

    /// Somebody comes in, not through a tunnel unless he is configured.
    fn enter_from(
        &mut self,
        id: ConnectionId,
        peer: &PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, Refused> {
        let ip = address::from_multiaddr(remote).as_ref().map(SocketAddr::ip).ok_or(Refused::Foreign)?;
        let standing = self.standing(identity::from_libp2p(peer), ip);
        if standing == Standing::Stranger && self.is_shunned(local, ip) {
            return Err(Refused::Tunnel);
        }
        self.enter(id, peer, remote)
    }

    fn enter(&mut self, id: ConnectionId, peer: &PeerId, remote: &Multiaddr) -> Result<Handler, Refused> {
        let peer = identity::from_libp2p(peer).ok_or(Refused::Foreign)?;
        let ip = address::from_multiaddr(remote).as_ref().map(SocketAddr::ip).ok_or(Refused::Foreign)?;
        if peer == self.shared.me {
            return Err(Refused::Myself);
        }
        if locked(&self.shared.table).is_banned(peer, self.shared.now()) {
            return Err(Refused::Banned);
        }
        self.admission.enter(id, peer, ip, self.standing(Some(peer), ip))?;
        Ok(Handler::default())
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Happened;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = address::from_multiaddr(remote).as_ref().map(SocketAddr::ip);
        let ip = ip.ok_or_else(|| ConnectionDenied::new(Refused::Foreign))?;
        let standing = self.standing(None, ip);
        self.admission.knock(id, ip, standing, self.shared.now()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.enter_from(id, &peer, local, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.enter(id, &peer, remote).map_err(ConnectionDenied::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.admission.leave(closed.connection_id),
            FromSwarm::DialFailure(failed) => self.admission.leave(failed.connection_id),
            FromSwarm::ListenFailure(failed) => self.admission.leave(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.queue.push_back(ToSwarm::GenerateEvent(Happened { connection, event }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Happened, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some(next) => Poll::Ready(next),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
