//! The question to the whole link, as datagrams (`peer_proto::question` has its bytes).
//!
//! Knows: the sockets of its multicast groups, over which links it goes and comes, how much is read of it. Does not know:
//! who asks for what, who has it. Nothing here ever answers: what is heard goes to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::limits::QUESTION_LEN_MAX;
use peer_proto::question::{Asker, Question, Wanted};
use peer_proto::time::Instant;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::SwarmEvent;
use super::discovery::Advert;
use super::limits::{
    QUESTION_DATAGRAMS_PER_S_MAX, QUESTION_LINKS_MAX, QUESTION_TICK, QUESTIONS_PER_IP_PER_S_MAX,
    QUESTIONS_PER_S_MAX,
};
use super::link::{Shared, locked};
use super::listen::Advertised;
use super::onlink::{Links, Net};

/// Where questions go: a group for use inside a site, and one for use on a link that nobody assigned.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 78, 66);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x4e42);
const PORT: u16 = 7_411;
const SECOND: Duration = Duration::from_secs(1);

/// What the link is to be asked.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) nonce: [u8; 8],
    pub(super) wanted: Vec<Wanted>,
}

/// Asks and listens until `stop`, on the links that an announcement would go to. Links that come and go are followed.
pub(super) async fn run(
    own: Advert,
    shared: Arc<Shared>,
    mut asking: mpsc::Receiver<Asking>,
    heard: mpsc::Sender<SwarmEvent>,
    stop: CancellationToken,
) {
    let mut beat = tokio::time::interval(QUESTION_TICK);
    let (mut links, mut ears, mut gate) = (Links::default(), Ears::default(), Gate::default());
    let mut buffer = [0; QUESTION_LEN_MAX + 1];
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(asking) = asking.recv() => ask(&own, &links, &asking),
            (len, from) = ears.hear(&mut buffer), if gate.is_open(shared.now()) => {
                let datagram = buffer.get(..len).unwrap_or_default();
                if gate.admits(from.ip(), shared.now())
                    && let Some(question) = read(datagram, from, &links, &own)
                {
                    // Whoever has too much to do already hears no more questions.
                    drop(heard.try_send(SwarmEvent::Asked { from, question }));
                }
            }
            _ = beat.tick() => {
                let present = announced_on(&own.addresses, &locked(&shared.interfaces));
                if present != links {
                    ears = Ears::open(&present);
                    links = present;
                }
            }
        }
    }
}

/// Those of this machine's addresses that an announcement would name.
fn announced_on(addresses: &Advertised, links: &Links) -> Links {
    let is_named = |net: &&Net| match addresses {
        Advertised::Nothing => false,
        Advertised::These(these) => these.contains(&net.ip),
        Advertised::All { v4, v6 } => {
            if net.ip.is_ipv4() {
                *v4
            } else {
                *v6
            }
        }
    };
    Links::new(links.nets().iter().filter(is_named).copied().collect())
}

/// A question that counts: its shape is good, it is not our own, and its asker may be called on one of these links (T11).
fn read(datagram: &[u8], from: SocketAddr, links: &Links, own: &Advert) -> Option<Question> {
    let question = Question::decode(datagram).ok()?;
    let asker = question.asker(from.ip());
    let mut listens_at = from;
    listens_at.set_port(asker.port.get());
    (asker.peer != own.me && links.takes_announced(listens_at)).then_some(question)
}

/// Sends a question over every link, once over each.
fn ask(own: &Advert, links: &Links, asking: &Asking) {
    let Some(port) = NonZeroU16::new(own.port) else { return };
    for net in one_of_each_link(links) {
        let asker = Asker { peer: own.me, port, address: net.ip, nonce: asking.nonce };
        let Some(question) = Question::new(&asker, &asking.wanted) else { return };
        if let Err(error) = send(&net, &question.encode()) {
            debug!(address = %net.ip, %error, "a question to the link was not sent");
        }
    }
}

/// The address a link is asked from: its IPv4 address if it has one, else its link-local one, else any.
fn one_of_each_link(links: &Links) -> Vec<Net> {
    let rank = |net: &Net| match net.ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 1,
        IpAddr::V6(_) => 2,
    };
    let mut best: BTreeMap<u32, Net> = BTreeMap::new();
    for net in links.nets() {
        let known = best.entry(net.index).or_insert(*net);
        if rank(net) < rank(known) {
            *known = *net;
        }
    }
    best.into_values().take(QUESTION_LINKS_MAX).collect()
}

fn send(net: &Net, bytes: &[u8]) -> io::Result<()> {
    let socket = Socket::new(domain_of(net.ip), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let (from, to): (SocketAddr, SocketAddr) = match net.ip {
        IpAddr::V4(ip) => {
            socket.set_multicast_if_v4(&ip)?;
            socket.set_multicast_ttl_v4(1)?;
            ((ip, 0).into(), (GROUP_V4, PORT).into())
        }
        IpAddr::V6(ip) => {
            socket.set_multicast_if_v6(net.index)?;
            socket.set_multicast_hops_v6(1)?;
            let scope = if ip.is_unicast_link_local() { net.index } else { 0 };
            (
                SocketAddrV6::new(ip, 0, 0, scope).into(),
                SocketAddrV6::new(GROUP_V6, PORT, 0, net.index).into(),
            )
        }
    };
    socket.bind(&from.into())?;
    socket.send_to(bytes, &to.into()).map(drop)
}

const fn domain_of(ip: IpAddr) -> Domain {
    if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
}

/// The sockets that hear what others ask.
#[derive(Debug, Default)]
struct Ears {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Ears {
    /// Opens those it can.
    fn open(links: &Links) -> Self {
        let open = |is_v4: bool| {
            let nets: Vec<Net> =
                links.nets().iter().filter(|net| net.ip.is_ipv4() == is_v4).copied().collect();
            if nets.is_empty() {
                return None;
            }
            listen(is_v4, &nets)
                .inspect_err(|error| debug!(%error, is_v4, "questions to the link are not heard"))
                .ok()
        };
        Self { v4: open(true), v6: open(false) }
    }

    /// The next datagram: how long it is, or would be with one byte more, and where it came from.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn hear(&self, buffer: &mut [u8; QUESTION_LEN_MAX + 1]) -> (usize, SocketAddr) {
        loop {
            let socket = tokio::select! {
                socket = readable(self.v4.as_ref()) => socket,
                socket = readable(self.v6.as_ref()) => socket,
            };
            if let Ok(heard) = socket.try_recv_from(&mut buffer[..]) {
                return heard;
            }
        }
    }
}

async fn readable(socket: Option<&UdpSocket>) -> &UdpSocket {
    match socket {
        Some(socket) if socket.readable().await.is_ok() => socket,
        _ => std::future::pending().await,
    }
}

/// A socket for questions that come over these links. Several nodes of a machine may have one each.
fn listen(is_v4: bool, nets: &[Net]) -> io::Result<UdpSocket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if is_v4 {
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddr::from((GROUP_V4, PORT)).into())?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
        // A group of a link can be bound to on one interface only; this socket joins it on all of them.
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
    }
    let mut joined = BTreeSet::new();
    for net in nets.iter().filter(|net| joined.insert(net.index)).take(QUESTION_LINKS_MAX) {
        let outcome = match net.ip {
            IpAddr::V4(ip) if net.index == 0 => socket.join_multicast_v4(&GROUP_V4, &ip),
            IpAddr::V4(_) => {
                socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(net.index))
            }
            IpAddr::V6(_) => socket.join_multicast_v6(&GROUP_V6, net.index),
        };
        if let Err(error) = outcome {
            debug!(address = %net.ip, %error, "questions of this link are not heard");
        }
    }
    UdpSocket::from_std(socket.into())
}

/// How much of what arrives is looked at: little of one address, and so much in all. What is over that costs a read, until
/// even that is too much.
#[derive(Debug)]
struct Gate {
    second: Instant,
    arrived: u32,
    admitted: u32,
    of_address: BTreeMap<IpAddr, u32>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { second: Instant::ZERO, arrived: 0, admitted: 0, of_address: BTreeMap::new() }
    }
}

impl Gate {
    /// Whether anything is read at all now.
    fn is_open(&mut self, now: Instant) -> bool {
        if now.since(self.second) >= SECOND {
            *self = Self { second: now, ..Self::default() };
        }
        self.arrived < QUESTION_DATAGRAMS_PER_S_MAX
    }

    /// Whether a datagram that came from this address is looked at.
    fn admits(&mut self, ip: IpAddr, now: Instant) -> bool {
        if !self.is_open(now) || self.admitted >= QUESTIONS_PER_S_MAX {
            self.arrived = self.arrived.saturating_add(1);
            return false;
        }
        self.arrived = self.arrived.saturating_add(1);
        // As many addresses at most as may be admitted: one that is not there yet was admitted with its first.
        let count = self.of_address.entry(ip).or_insert(0);
        *count = count.saturating_add(1);
        let may = *count <= QUESTIONS_PER_IP_PER_S_MAX;
        self.admitted = self.admitted.saturating_add(u32::from(may));
        may
    }
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
