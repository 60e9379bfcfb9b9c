//! A rendezvous and those who register with it; who counts as being of the site by that.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use peer_proto::peer::PeerId;
use peer_proto::session::{Answer, Output as SessionOutput, Session, SessionEvent};
use peer_proto::time::Instant;
use peer_proto::wire::NamedPeer;

use super::world::*;
use crate::engine::io::*;
use crate::engine::meet::{NAMED_FOR, NAMED_MAX, NAMED_PER_IP_MAX, REGISTER_EVERY};
use crate::engine::{Engine, SiteConfig};
use crate::job::PeerFlags;

/// An engine, and sessions that talk to it.
struct Hall {
    engine: Engine,
    ms: u64,
    guests: BTreeMap<PeerId, Session>,
    /// What each guest was told, and who registered with it, in this order.
    named: Vec<(PeerId, Vec<NamedPeer>)>,
    registered: Vec<(PeerId, u16)>,
    answers: Vec<(PeerId, Answer)>,
    met: Vec<(PeerId, SocketAddr)>,
    parted: Vec<PeerId>,
}

impl Hall {
    fn new(site: SiteConfig) -> Self {
        let config = crate::engine::EngineConfig { site, ..config(PeerFlags::BOTH) };
        let now = Now { monotonic: Instant::ZERO, wall_unix_ms: 1_800_000_000_000 };
        Self {
            engine: Engine::new(config, now),
            ms: 0,
            guests: BTreeMap::new(),
            named: Vec::new(),
            registered: Vec::new(),
            answers: Vec::new(),
            met: Vec::new(),
            parted: Vec::new(),
        }
    }

    fn rendezvous() -> Self {
        Self::new(SiteConfig { is_rendezvous: true, ..SiteConfig::default() })
    }

    fn now(&self) -> Now {
        Now { monotonic: Instant::from_micros(self.ms * 1_000), wall_unix_ms: 1_800_000_000_000 }
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle_input(input, self.now());
        self.pump();
    }

    /// A peer comes in and says hello.
    fn enter(&mut self, peer: PeerId, address: &str, near: bool) {
        let now = self.now().monotonic;
        self.guests.insert(peer, Session::new(session_config(peer, None), now));
        let (address, nonce) = (address.to_owned(), [9; 16]);
        self.tell(Input::PeerConnected { peer, address, near, link: None, nonce });
    }

    fn register(&mut self, peer: PeerId, port: u16) {
        assert!(self.guest(peer).register(port), "it knows how");
        self.pump();
    }

    fn guest(&mut self, peer: PeerId) -> &mut Session {
        self.guests.get_mut(&peer).expect("it came in")
    }

    fn wait(&mut self, ms: u64) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms += 1_000.min(end - self.ms);
            let now = self.now().monotonic;
            self.guests.values_mut().for_each(|session| session.handle_timeout(now));
            self.engine.handle_timeout(self.now());
            self.pump();
        }
    }

    fn pump(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Output::Effect(effect) = self.engine.poll_output() {
                is_quiet = false;
                match *effect {
                    Effect::Send { peer, frame } => {
                        let now = self.now().monotonic;
                        let guest = self.guests.get_mut(&peer).expect("it came in");
                        guest.handle_frame(frame, now).expect("the engine keeps to the protocol");
                        // In the order in which they are told.
                        self.listen(peer);
                    }
                    Effect::Meet { peer, address } => self.met.push((peer, address)),
                    Effect::Disconnect { peer, .. } => self.parted.push(peer),
                    _ => {}
                }
            }
            let guests: Vec<PeerId> = self.guests.keys().copied().collect();
            is_quiet &= guests.into_iter().all(|peer| !self.listen(peer));
            if is_quiet {
                return;
            }
        }
    }

    /// Carries a guest's frames to the engine; whether there were any.
    fn listen(&mut self, peer: PeerId) -> bool {
        let mut said = false;
        loop {
            match self.guest(peer).poll_output() {
                SessionOutput::Transmit(frame) => {
                    said = true;
                    self.engine.handle_input(Input::FrameReceived { peer, frame }, self.now());
                }
                SessionOutput::Event(SessionEvent::PeersNamed(named)) => self.named.push((peer, named)),
                SessionOutput::Event(SessionEvent::Registered { port }) => self.registered.push((peer, port)),
                SessionOutput::Event(SessionEvent::Found { answer, .. }) => self.answers.push((peer, answer)),
                SessionOutput::Event(_) => {}
                SessionOutput::WaitUntil(_) => return said,
            }
        }
    }

    fn is_near(&self, peer: PeerId) -> bool {
        self.engine.peer_views().iter().any(|view| view.peer == peer && view.near)
    }
}

fn named(peer: PeerId, address: &str) -> NamedPeer {
    NamedPeer { peer, address: address.parse().expect("an address") }
}

/// The `number`th of many peers.
fn many(number: u32) -> PeerId {
    let mut key = [0xcc; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PeerId::from_public_key(key)
}

#[test]
fn those_who_are_there_hear_of_a_newcomer_before_it_hears_of_them() {
    let mut hall = Hall::rendezvous();
    let (one, other) = (peer_id(2), peer_id(3));
    hall.enter(one, "10.1.0.2", false);
    hall.enter(other, "10.2.0.3", false);
    hall.register(one, 7_411);
    assert_eq!(hall.named, [], "there is nobody else");
    hall.register(other, 80);
    let news = [(one, vec![named(other, "10.2.0.3:80")]), (other, vec![named(one, "10.1.0.2:7411")])];
    assert_eq!(hall.named, news, "each at the address it came from");
    assert!(hall.is_near(one) && hall.is_near(other), "they are of its site");
    hall.named.clear();
    hall.register(other, 80);
    assert_eq!(hall.named, [news[1].clone()], "no news for those who know it");
    assert_eq!(hall.met, [], "it dials nobody for that");
}

#[test]
fn a_node_that_is_no_rendezvous_takes_no_registration() {
    let mut hall = Hall::new(SiteConfig::default());
    for (number, address) in [(2, "10.1.0.2"), (3, "10.2.0.3")] {
        hall.enter(peer_id(number), address, false);
        hall.register(peer_id(number), 7_411);
    }
    assert_eq!(hall.named, []);
    assert!(!hall.is_near(peer_id(2)) && hall.parted.is_empty());
}

#[test]
fn t11_only_addresses_of_the_site_are_registered_or_met() {
    let everywhere =
        ["10.1.0.2", "fd00::2", "8.8.8.8", "127.0.0.1", "::1", "169.254.169.254", "fe80::2", "100.64.0.1"];
    let documented = "192.0.2.7";
    for (subnets, taken) in [
        (vec![], &everywhere[..2]),
        (vec!["192.0.2.0/24", "127.0.0.0/8", "169.254.0.0/16", "fe80::/10"], &[documented][..]),
    ] {
        let subnets: Vec<_> = subnets.into_iter().map(|text| text.parse().expect("a subnet")).collect();
        let addresses = || everywhere.iter().chain([&documented]).enumerate();
        let mut hall = Hall::new(SiteConfig { is_rendezvous: true, subnets: subnets.clone() });
        for (number, address) in addresses() {
            let peer = many(u32::try_from(number).expect("few"));
            hall.enter(peer, address, false);
            hall.register(peer, 80);
        }
        let told: Vec<String> = hall
            .named
            .iter()
            .flat_map(|(_, named)| named)
            .map(|named| named.address.ip().to_string())
            .collect();
        assert!(told.iter().all(|ip| taken.contains(&ip.as_str())), "{told:?}");
        let near = hall.engine.peer_views().into_iter().filter(|view| view.near).count();
        assert_eq!(near, taken.len());

        let mut hall = Hall::new(SiteConfig { is_rendezvous: false, subnets });
        let by = peer_id(2);
        hall.tell(Input::Listening { at: "10.9.0.1:7411".parse().expect("an address") });
        hall.enter(by, "10.9.0.2", true);
        hall.tell(Input::RendezvousMet { peer: by });
        let all: Vec<NamedPeer> = addresses()
            .map(|(number, address)| NamedPeer {
                peer: many(u32::try_from(number).expect("few")),
                address: SocketAddr::new(address.parse().expect("an address"), 80),
            })
            .collect();
        hall.guest(by).name_peers(&all);
        hall.guest(by).name_peers(&[NamedPeer { peer: peer_id(1), address: all[0].address }]);
        hall.pump();
        let met: Vec<String> = hall.met.iter().map(|(_, address)| address.ip().to_string()).collect();
        assert_eq!(met, taken, "and never itself");
    }
}

#[test]
fn t10_a_rendezvous_keeps_1024_registrations_and_32_of_one_address_for_ten_minutes() {
    let mut hall = Hall::rendezvous();
    let count = u32::try_from(NAMED_MAX).expect("few") + 40;
    for number in 0..count {
        let [_, _, high, low] = number.to_be_bytes();
        let address = if number < 40 { "10.0.0.1".to_owned() } else { format!("10.1.{high}.{low}") };
        hall.enter(many(number), &address, false);
        hall.register(many(number), 80);
        // Its session ends, what it said holds on.
        hall.tell(Input::PeerLost { peer: many(number) });
        hall.guests.remove(&many(number));
    }
    hall.enter(peer_id(2), "10.2.0.2", false);
    hall.register(peer_id(2), 81);
    assert_eq!(hall.named.iter().filter(|(peer, _)| *peer == peer_id(2)).count(), 0, "there is no room");
    hall.wait(u64::try_from(NAMED_FOR.as_millis()).expect("short"));
    hall.named.clear();
    hall.register(peer_id(2), 81);
    hall.enter(many(1), "10.0.0.1", false);
    hall.register(many(1), 80);
    let news = [
        (peer_id(2), vec![named(many(1), "10.0.0.1:80")]),
        (many(1), vec![named(peer_id(2), "10.2.0.2:81")]),
    ];
    assert_eq!(hall.named, news, "all that was said before is forgotten");
}

#[test]
fn t10_one_address_stands_for_32_registrations_at_most() {
    let mut hall = Hall::rendezvous();
    for number in 0..40 {
        hall.enter(many(number), "10.0.0.1", false);
        hall.register(many(number), 80);
    }
    hall.named.clear();
    hall.enter(peer_id(2), "10.1.0.2", false);
    hall.register(peer_id(2), 80);
    let last = hall.named.last().expect("it is told of the others").1.len();
    assert_eq!(last, NAMED_PER_IP_MAX);
}

#[test]
fn a_node_registers_with_its_rendezvous_and_says_every_five_minutes_that_it_is_there() {
    let mut hall = Hall::new(SiteConfig::default());
    let (by, stranger) = (peer_id(2), peer_id(3));
    hall.enter(by, "10.9.0.2", true);
    hall.enter(stranger, "10.9.0.3", true);
    hall.tell(Input::RendezvousMet { peer: by });
    assert_eq!(hall.registered, [], "it does not listen yet");
    hall.tell(Input::Listening { at: "127.0.0.1:9".parse().expect("an address") });
    hall.tell(Input::Listening { at: "[2001:db8::1]:10".parse().expect("an address") });
    assert_eq!(hall.registered, [], "nor where the rendezvous could see it");
    hall.tell(Input::Listening { at: "0.0.0.0:7411".parse().expect("an address") });
    assert_eq!(hall.registered, [(by, 7_411)]);
    hall.wait(u64::try_from(REGISTER_EVERY.as_millis()).expect("short"));
    assert_eq!(hall.registered, [(by, 7_411), (by, 7_411)]);
    hall.tell(Input::PeerLost { peer: by });
    hall.guests.remove(&by);
    hall.enter(by, "10.9.0.2", true);
    assert_eq!(hall.registered.len(), 2, "another session: it may be another by now");
    hall.tell(Input::RendezvousMet { peer: by });
    assert_eq!(hall.registered.len(), 3);
}

#[test]
fn lookup_3_who_was_named_and_comes_from_there_is_of_the_site() {
    let mut hall = Hall::new(SiteConfig::default());
    let (by, early, late, elsewhere) = (peer_id(2), peer_id(3), peer_id(4), peer_id(5));
    hall.tell(Input::Listening { at: "0.0.0.0:7411".parse().expect("an address") });
    hall.enter(by, "10.9.0.2", true);
    hall.tell(Input::RendezvousMet { peer: by });
    hall.enter(early, "10.1.0.3", false);
    hall.enter(elsewhere, "10.66.0.5", false);
    assert!(!hall.is_near(early));
    let list = [named(early, "10.1.0.3:80"), named(late, "10.1.0.4:80"), named(elsewhere, "10.1.0.5:80")];
    hall.guest(by).name_peers(&list);
    hall.pump();
    hall.enter(late, "10.1.0.4", false);
    assert!(hall.is_near(early) && hall.is_near(late));
    assert!(!hall.is_near(elsewhere), "it is not where it was said to be");
    assert_eq!(hall.parted, [], "nobody was turned away before");
    // What a rendezvous said holds for ten minutes, a session as long as it lasts.
    hall.wait(u64::try_from(NAMED_FOR.as_millis()).expect("short"));
    assert!(hall.is_near(late));
    hall.enter(late, "10.1.0.4", false);
    assert!(!hall.is_near(late));
}

#[test]
fn whoever_was_turned_away_before_it_was_named_begins_anew() {
    let mut hall = Hall::new(SiteConfig::default());
    let (by, early) = (peer_id(2), peer_id(3));
    hall.tell(Input::Listening { at: "0.0.0.0:7411".parse().expect("an address") });
    hall.enter(by, "10.9.0.2", true);
    hall.tell(Input::RendezvousMet { peer: by });
    hall.enter(early, "10.1.0.3", false);
    hall.guest(early).join(&sha256(), 4 * MIB, true);
    hall.pump();
    assert_eq!(hall.parted, []);
    hall.guest(by).name_peers(&[named(early, "10.1.0.3:80")]);
    hall.pump();
    assert_eq!(hall.parted, [early]);
    hall.enter(early, "10.1.0.3", false);
    assert!(hall.is_near(early));
}
