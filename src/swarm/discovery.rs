//! Finding neighbours: DNS-SD over multicast DNS, service `_nearbits._tcp.local.`.
//!
//! Knows: what our announcement says, which announcements of others are believed (T11), and how to keep a flood
//! from filling the memory. Does not know: who gets dialled. An announcement proves nothing: it is a hint.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{
    IfKind, IfPredicate, Metrics, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent,
    ServiceInfo, TryRecvError,
};
use peer_proto::peer::PeerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::limits::{
    ADDRESSES_PER_ANNOUNCEMENT_MAX, ADDRESSES_PER_PEER_MAX, MDNS_PAUSE_FIRST, MDNS_PAUSE_MAX, MDNS_POLL,
    MDNS_POLL_BUSY, MDNS_RECORDS_MAX, MDNS_TIMERS_MAX,
};
use super::link::{Shared, locked};
use super::listen::Advertised;
use super::onlink::Links;
use super::tunnel::{Tunnels, is_tunnel};
use super::valve::{Census, Position, Valve};

const SERVICE: &str = "_nearbits._tcp.local.";
/// TXT key of the announcement's version, and the only version there is.
const VERSION: (&str, &str) = ("v", "1");
/// TXT key of the peer id.
const ID: &str = "id";
/// How long to wait before trying again when multicast does not work at all.
const RETRY: Duration = Duration::from_secs(60);

/// What this node announces.
#[derive(Clone, Debug)]
pub(super) struct Advert {
    pub(super) me: PeerId,
    pub(super) port: u16,
    pub(super) addresses: Advertised,
}

/// What another node announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Announcement {
    /// It listens on these addresses, all of them on a link of ours.
    Here { peer: PeerId, sockets: Vec<SocketAddr> },
    /// It says goodbye.
    Gone { peer: PeerId },
}

/// Announces and browses until `stop`. When a flood fills the service cache, which has no bound of its own, the
/// cache is thrown away and discovery pauses: 5 s, doubling to 5 min, and 5 s again after as long a peace.
pub(super) async fn run(
    advert: Advert,
    shared: Arc<Shared>,
    announcements: mpsc::Sender<Announcement>,
    stop: CancellationToken,
) {
    let mut pause = MDNS_PAUSE_FIRST;
    loop {
        let wait = match Browse::open(&advert, shared.tunnels) {
            Err(error) => {
                warn!(%error, "no discovery on this machine's links for now");
                RETRY
            }
            Ok(mut browse) => {
                let opened = shared.now();
                let flooded = tokio::select! {
                    () = stop.cancelled() => false,
                    () = browse.until_flooded(&advert, &shared, &announcements) => true,
                };
                drop(browse);
                if !flooded {
                    return;
                }
                if shared.now().since(opened) > MDNS_PAUSE_MAX {
                    pause = MDNS_PAUSE_FIRST;
                }
                warn!(pause_s = pause.as_secs(), "a flood of announcements: discovery pauses");
                let this = pause;
                pause = (pause * 2).min(MDNS_PAUSE_MAX);
                this
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One run of the multicast DNS daemon.
struct Browse {
    daemon: ServiceDaemon,
    found: Receiver<ServiceEvent>,
    own_name: Option<String>,
    valve: Holdback,
    /// Asked, and not yet answered.
    metrics: Option<Receiver<Metrics>>,
}

/// How the daemon is kept from reading on and on.
enum Holdback {
    /// Its sockets are not there yet.
    Awaited(Census),
    Valve(Valve),
    /// The system forbids it. A flood that leaves the daemon no pause is then bounded only by its own end.
    None,
}

/// What a look at the daemon showed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It keeps up.
    Fine,
    /// It did not answer since the last look.
    Silent,
    /// It holds too much.
    Flooded,
}

impl Browse {
    fn open(advert: &Advert, tunnels: Tunnels) -> mdns_sd::Result<Self> {
        let before = Census::take();
        let daemon = ServiceDaemon::new()?;
        if tunnels == Tunnels::Shun {
            let shunned = IfPredicate::new(|interface| is_tunnel(&interface.name));
            daemon.disable_interface(IfKind::Predicate(shunned))?;
        }
        let own = advert.service()?;
        let own_name = own.as_ref().map(|own| own.get_fullname().to_owned());
        if let Some(own) = own {
            daemon.register(own)?;
        }
        let found = daemon.browse(SERVICE)?;
        // Who answers this has opened his sockets.
        let metrics = daemon.get_metrics().ok();
        Ok(Self { daemon, found, own_name, valve: Holdback::Awaited(before), metrics })
    }

    /// Passes announcements on; returns when the cache is over its bound, or the events were too many.
    async fn until_flooded(
        &mut self,
        advert: &Advert,
        shared: &Shared,
        announcements: &mpsc::Sender<Announcement>,
    ) {
        loop {
            tokio::select! {
                () = self.valve.arrival() => {}
                () = tokio::time::sleep(MDNS_POLL) => {}
                () = shared.common.ask.notified() => self.ask_again(),
            }
            tokio::time::sleep(MDNS_POLL_BUSY).await;
            let look = self.look();
            self.valve.turn(look);
            if look == Look::Flooded {
                return;
            }
            let links = locked(&shared.interfaces).clone();
            loop {
                let event = match self.found.try_recv() {
                    Ok(event) => event,
                    Err(TryRecvError::Empty) => break,
                    // More events than its queue holds: the daemon tells us nothing any more.
                    Err(TryRecvError::Disconnected) => return,
                };
                let announcement = match event {
                    ServiceEvent::ServiceResolved(service) => read_announcement(&service, &links, advert.me),
                    ServiceEvent::ServiceRemoved(_, name) => {
                        peer_of_name(&name).map(|peer| Announcement::Gone { peer })
                    }
                    _ => None,
                };
                let Some(announcement) = announcement else { continue };
                if announcements.send(announcement).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Asks the links at once, instead of when its turn comes.
    fn ask_again(&mut self) {
        match self.daemon.browse(SERVICE) {
            Ok(found) => self.found = found,
            Err(error) => debug!(%error, "the links could not be asked again"),
        }
    }

    /// Takes the answer to the last question, and asks again.
    fn look(&mut self) -> Look {
        let look = match self.metrics.as_ref().map(Receiver::try_recv) {
            Some(Ok(counted)) if is_flooded(&counted) => Look::Flooded,
            Some(Err(TryRecvError::Empty)) => return Look::Silent,
            _ => Look::Fine,
        };
        self.metrics = self.daemon.get_metrics().ok();
        look
    }
}

impl Holdback {
    async fn arrival(&self) {
        match self {
            Self::Valve(valve) => valve.arrival().await,
            Self::Awaited(_) => {}
            Self::None => std::future::pending().await,
        }
    }

    /// Lets the daemon read only while it keeps up.
    fn turn(&mut self, look: Look) {
        if let Self::Awaited(before) = self {
            match Valve::install(before) {
                Ok(valve) if valve.holds_sockets() => *self = Self::Valve(valve),
                Ok(_) => {}
                Err(error) => self.give_up(&error),
            }
        }
        if let Self::Valve(valve) = self {
            let position = if look == Look::Fine { Position::Open } else { Position::Shut };
            if let Err(error) = valve.turn(position) {
                self.give_up(&error);
            }
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        warn!(%error, "a flood of multicast DNS could not be held back on this system");
        *self = Self::None;
    }
}

impl Drop for Browse {
    /// Says goodbye and ends the daemon's thread. Its own answers to this are of no interest.
    fn drop(&mut self) {
        if let Some(name) = &self.own_name {
            drop(self.daemon.unregister(name));
        }
        if let Err(error) = self.daemon.shutdown() {
            debug!(%error, "multicast DNS did not shut down in good order");
        }
    }
}

impl Advert {
    /// The service to register; `None` if there is nothing others could dial.
    fn service(&self) -> mdns_sd::Result<Option<ServiceInfo>> {
        let name = self.me.to_string();
        let host = format!("nearbits-{}.local.", name.get(40..).unwrap_or(&name).to_lowercase());
        let properties = [VERSION, (ID, name.as_str())];
        let these = match &self.addresses {
            Advertised::Nothing => return Ok(None),
            Advertised::These(these) => these.as_slice(),
            Advertised::All { .. } => &[],
        };
        let mut service = ServiceInfo::new(SERVICE, &name, &host, these, self.port, &properties[..])?;
        // Nobody else can rightly have this name: it is a key. So there is nothing to probe for.
        service.set_requires_probe(false);
        if let Advertised::All { v4, v6 } = self.addresses {
            service = service.enable_addr_auto();
            match (v4, v6) {
                (true, false) => service.set_interfaces(vec![IfKind::IPv4]),
                (false, true) => service.set_interfaces(vec![IfKind::IPv6]),
                _ => {}
            }
        }
        Ok(Some(service))
    }
}

/// Whether the daemon holds more than it may: records of every kind, or timers.
fn is_flooded(metrics: &Metrics) -> bool {
    let records: i64 =
        metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| *count).sum();
    let timers = metrics.get("timer").copied().unwrap_or(0);
    records > MDNS_RECORDS_MAX || timers > MDNS_TIMERS_MAX
}

/// The peer whose service this is: our instance names are peer ids.
fn peer_of_name(full_name: &str) -> Option<PeerId> {
    full_name.strip_suffix(SERVICE)?.strip_suffix('.')?.parse().ok()
}

/// What a service says, if it is one of ours, of this version, not our own, and has an address on our links.
fn read_announcement(service: &ResolvedService, links: &Links, me: PeerId) -> Option<Announcement> {
    if service.get_property_val_str(VERSION.0) != Some(VERSION.1) {
        return None;
    }
    let peer: PeerId = service.get_property_val_str(ID)?.parse().ok()?;
    if peer == me || peer_of_name(&service.fullname) != Some(peer) {
        return None;
    }
    let offered = service.addresses.iter().take(ADDRESSES_PER_ANNOUNCEMENT_MAX);
    let mut sockets: Vec<SocketAddr> = offered
        .map(|ip| links.with_scope(to_socket(ip, service.port)))
        .filter(|socket| links.takes_announced(*socket))
        .collect();
    // A set has no order; ours is IPv4 first.
    sockets.sort_unstable();
    sockets.truncate(ADDRESSES_PER_PEER_MAX);
    (!sockets.is_empty()).then_some(Announcement::Here { peer, sockets })
}

fn to_socket(ip: &ScopedIp, port: u16) -> SocketAddr {
    match (ip, ip.to_ip_addr()) {
        (ScopedIp::V6(scoped), IpAddr::V6(v6)) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, scoped.scope_id().index).into()
        }
        (_, ip) => SocketAddr::new(ip, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::identity::peer_id_of;
    use crate::swarm::onlink::Net;

    fn links() -> Links {
        Links::new(vec![Net { ip: "192.168.7.20".parse().unwrap(), prefix: 24, index: 2 }])
    }

    fn announced(name: &str, id: &str, version: &str, addresses: &[&str]) -> Option<Announcement> {
        let ips: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let properties = [("v", version), ("id", id)];
        let service =
            ServiceInfo::new(SERVICE, name, "a.local.", ips.as_slice(), 4710, &properties[..]).unwrap();
        read_announcement(&service.as_resolved_service(), &links(), peer_id_of([1; 32]))
    }

    #[test]
    fn d32_only_on_link_addresses_of_an_announcement_are_taken() {
        let them = peer_id_of([2; 32]).to_string();
        let addresses = ["192.168.7.9", "127.0.0.1", "8.8.8.8", "169.254.169.254", "::1", "fe80::1"];
        let here = Announcement::Here {
            peer: peer_id_of([2; 32]),
            sockets: vec!["192.168.7.9:4710".parse().unwrap()],
        };
        assert_eq!(announced(&them, &them, "1", &addresses), Some(here));
        assert_eq!(announced(&them, &them, "1", &addresses[1..]), None);
    }

    #[test]
    fn d32_an_announcement_of_many_addresses_is_cut() {
        let them = peer_id_of([2; 32]).to_string();
        let many: Vec<String> = (1..250).map(|last| format!("192.168.7.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let Some(Announcement::Here { sockets, .. }) = announced(&them, &them, "1", &many) else {
            panic!("not taken")
        };
        assert_eq!(sockets.len(), ADDRESSES_PER_PEER_MAX);
    }

    #[test]
    fn t11_announcements_that_are_not_ours_are_ignored() {
        let (us, them) = (peer_id_of([1; 32]).to_string(), peer_id_of([2; 32]).to_string());
        for (name, id, version) in [
            (us.as_str(), us.as_str(), "1"),
            (&them, &them, "2"),
            (&them, &us, "1"),
            (&them, "nobody", "1"),
            ("somebody", &them, "1"),
        ] {
            assert_eq!(announced(name, id, version, &["192.168.7.9"]), None, "{name} {id} {version}");
        }
    }

    #[test]
    fn our_own_announcement_names_version_id_and_port() {
        let me = peer_id_of([1; 32]);
        let advert = |addresses| Advert { me, port: 4710, addresses };
        let service = advert(Advertised::All { v4: true, v6: true }).service().unwrap().unwrap();
        assert_eq!(service.get_property_val_str("id"), Some(me.to_string().as_str()));
        assert_eq!(service.get_property_val_str("v"), Some("1"));
        assert_eq!(peer_of_name(service.get_fullname()), Some(me));
        assert!(advert(Advertised::Nothing).service().unwrap().is_none());
    }
}
