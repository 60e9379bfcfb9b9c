//! A neighbour that floods the link with announcements, the fastest way it can.
//!
//! Knows: hand-made multicast DNS packets and the daemon's memory while they come (D32). Does not know: how it is
//! bounded.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::thread::JoinHandle;
use std::time::Duration;

use peer_proto::peer::PeerId;

use crate::office::{Addresses, Daemon, Office, eventually};
use crate::on_link::fetch;
use crate::plain_origin::{Content, Manner, PlainOrigin};
use crate::wiretap::Datagram;

const MIB: u64 = 1 << 20;
/// What a flood may cost.
const GROWTH_MAX: u64 = 16 * MIB;
/// Peers that a node remembers, and those that are connected besides.
const PEERS_MAX: usize = 1_024 + 128;
/// Announcements live as long as a record can say.
const TTL: u32 = 0x7fff_ffff;
/// Where announced neighbours say that they listen.
const PORT: u16 = 4_710;
/// Most of an Ethernet frame.
const PACKET_LEN: usize = 1_400;
/// What of UDP fits an Ethernet frame; a node lets nothing longer through.
const DATAGRAM_LEN_MAX: usize = 1_500;
/// New neighbours that fit one.
const NEIGHBOURS: u32 = 3;
/// Packets that announce twenty thousand neighbours.
const TWENTY_THOUSAND: u32 = 20_000_u32.div_ceil(NEIGHBOURS);

/// What the packets are full of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flood {
    /// Ever new neighbours of our kind, complete in every way.
    Neighbours,
    /// The same, at addresses of the office where nobody is.
    OnLink,
    /// One neighbour, ever new addresses.
    Addresses,
    /// The same neighbour again and again.
    Repeats,
    /// Ever new services of other kinds.
    OtherServices,
    /// Ever new neighbours with texts as long as a datagram of multicast DNS may be.
    Texts,
    /// Ever new host names of few letters: the most records to a packet.
    Hosts,
}

impl Flood {
    /// The `turn`th packet.
    fn packet(self, turn: u32) -> Vec<u8> {
        let mut packet = Packet::new();
        match self {
            Self::Neighbours => {
                for index in 0..NEIGHBOURS {
                    packet.neighbour(turn * NEIGHBOURS + index, "_nearbits", 1, &[]);
                }
            }
            Self::OnLink => {
                for index in 0..NEIGHBOURS {
                    let number = turn * NEIGHBOURS + index;
                    packet.neighbour(number, "_nearbits", number % 100, &[]);
                }
            }
            Self::Addresses => packet.neighbour(0, "_nearbits", turn, &[]),
            Self::Repeats => packet.neighbour(0, "_nearbits", 0, &[]),
            Self::OtherServices => {
                for index in 0..NEIGHBOURS {
                    packet.neighbour(turn * NEIGHBOURS + index, &format!("_s{turn}"), 1, &[]);
                }
            }
            Self::Texts => packet.neighbour(turn, "_nearbits", 1, &[b'x'; 8_000]),
            Self::Hosts => {}
        }
        let mut index = 0;
        while packet.bytes.len() < PACKET_LEN && matches!(self, Self::Addresses | Self::Repeats | Self::Hosts)
        {
            match self {
                Self::Hosts => packet.address(&[&format!("{:x}", turn * 100 + index)], index),
                Self::Addresses => packet.address(&["flood0"], turn * 100 + index),
                _ => packet.address(&["flood0"], index),
            }
            index += 1;
        }
        let packet = packet.finish();
        assert!(packet.len() <= DATAGRAM_LEN_MAX || self == Self::Texts, "it would not be heard");
        packet
    }

    /// Sends that many packets from a machine; ends by itself.
    fn start(self, office: &Office, machine: u8, packets: u32) -> JoinHandle<()> {
        let socket = office.datagrams(machine, (Ipv4Addr::UNSPECIFIED, 5_353).into());
        std::thread::spawn(move || self.send(&socket, 0..packets))
    }

    /// Sends them no faster than a daemon can look at them, five every ten milliseconds.
    fn start_slowly(self, office: &Office, machine: u8, packets: u32) -> tokio::task::JoinHandle<()> {
        let socket = office.datagrams(machine, (Ipv4Addr::UNSPECIFIED, 5_353).into());
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(10));
            for first in (0..packets).step_by(5) {
                beat.tick().await;
                self.send(&socket, first..first + 5);
            }
        })
    }

    fn send(self, socket: &UdpSocket, packets: Range<u32>) {
        for turn in packets {
            // What does not fit anywhere is lost: it is a flood.
            drop(socket.send_to(&self.packet(turn), (Ipv4Addr::new(224, 0, 0, 251), 5_353)));
        }
    }
}

/// A response of multicast DNS.
struct Packet {
    bytes: Vec<u8>,
    answers: u16,
}

impl Packet {
    const PTR: u16 = 12;
    const TXT: u16 = 16;
    const SRV: u16 = 33;
    const A: u16 = 1;

    fn new() -> Self {
        Self { bytes: vec![0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0], answers: 0 }
    }

    /// One instance with everything that belongs to it.
    fn neighbour(&mut self, number: u32, service: &str, address: u32, padding: &[u8]) {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let peer = PeerId::from_public_key(key).to_string();
        let host = format!("flood{number}");
        self.instance(&peer, &host, service, padding);
        self.address(&[&host], address);
    }

    /// An instance at a host, whose addresses are its own affair.
    fn instance(&mut self, peer: &str, host: &str, service: &str, padding: &[u8]) {
        let instance = [peer, service, "_tcp"];
        self.record(&[service, "_tcp"], Self::PTR, &name(&instance));
        let [high, low] = PORT.to_be_bytes();
        self.record(&instance, Self::SRV, &[&[0, 0, 0, 0, high, low], name(&[host]).as_slice()].concat());
        let mut text = Vec::new();
        for entry in
            [b"v=1".as_slice(), format!("id={peer}").as_bytes()].into_iter().chain(padding.chunks(250))
        {
            text.push(u8::try_from(entry.len()).expect("short"));
            text.extend_from_slice(entry);
        }
        self.record(&instance, Self::TXT, &text);
    }

    /// An address of the office.
    fn address(&mut self, host: &[&str], number: u32) {
        let [_, high, middle, low] = number.to_be_bytes();
        let ip = if number < 100 { [10, 99, 0, low + 100] } else { [10, high, middle, low] };
        self.record(host, Self::A, &ip);
    }

    fn record(&mut self, labels: &[&str], kind: u16, value: &[u8]) {
        self.bytes.extend(name(labels));
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend([0, 1]);
        self.bytes.extend(TTL.to_be_bytes());
        self.bytes.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.answers += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.bytes
    }
}

/// A name under `local.`, uncompressed.
fn name(labels: &[&str]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels.iter().copied().chain(["local", ""]) {
        name.push(u8::try_from(label.len()).expect("short"));
        name.extend_from_slice(label.as_bytes());
    }
    name
}

/// Floods a daemon, and insists on its answers and its memory all the while.
async fn endures(office: &Office, daemon: &Daemon, flood: Flood, packets: u32) {
    let start = || flood.start(office, 1, packets);
    endures_what(daemon, &format!("{flood:?}"), start, JoinHandle::is_finished).await;
}

/// The same with a flood of any kind.
pub(crate) async fn endures_what<T>(
    daemon: &Daemon,
    flood: &str,
    start: impl FnOnce() -> T,
    is_over: impl Fn(&T) -> bool,
) {
    let before = daemon.memory();
    daemon.forget_peak();
    let sending = start();
    eventually("the end of the flood", async || {
        daemon.client.status().await.expect("it answers");
        let peers = daemon.client.peers().await.expect("it answers").len();
        assert!(peers <= PEERS_MAX, "{flood}: {peers} peers");
        is_over(&sending).then_some(())
    })
    .await;
    let memory = daemon.memory();
    // Code that runs for the first time is no memory that a flood fills.
    let code = memory.code.saturating_sub(before.code);
    let grown = memory.peak.saturating_sub(before.now).saturating_sub(code);
    let before = before.now;
    assert!(
        grown <= GROWTH_MAX,
        "{flood}: {grown} bytes more than {before} at the peak, beside {code} of code"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d32_a_flood_of_neighbours_fills_no_memory_and_passes() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let daemon = office.daemon(0, &[]).await;
    endures(&office, &daemon, Flood::Neighbours, 100_000).await;
    let content = Content::new(34, 8 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    fetch(&office, &daemon, "copy0", &origin, content).await;
    let late = office.daemon(1, &[]).await;
    late.connected(1).await;
    let manner = Manner { bytes_per_s: Some(500_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let view = fetch(&office, &late, "copy1", &slow, content).await;
    assert!(view.bytes.peers * 10 >= content.len * 9, "{:?}", view.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d32_no_kind_of_announcement_fills_the_memory() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    for flood in [Flood::Addresses, Flood::Repeats, Flood::OtherServices, Flood::Texts, Flood::Hosts] {
        let daemon = office.daemon(0, &[]).await;
        endures(&office, &daemon, flood, 50_000).await;
        daemon.kill().await;
    }
}

/// 20 000 neighbours that are not there, at addresses of the link: whoever is there is found among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d32_and_t10_an_honest_peer_is_used_after_twenty_thousand_forged_announcements() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    let config = office.path("announced.toml");
    std::fs::write(&config, "[peers]\nask-link = false\n").expect("a file");
    let config = ["--config", config.to_str().expect("plain")];
    let daemon = office.daemon(0, &config).await;
    let start = || Flood::OnLink.start_slowly(&office, 1, TWENTY_THOUSAND);
    endures_what(&daemon, "forged announcements", start, tokio::task::JoinHandle::is_finished).await;
    let heard = daemon.client.peers().await.expect("it answers").len();
    assert!(heard >= 1_000, "{heard} of them were taken for neighbours");
    let content = Content::new(35, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let holder = office.daemon(2, &config).await;
    fetch(&office, &holder, "held", &origin, content).await;
    // From the origin alone it would take longer than any test waits.
    let manner = Manner { bytes_per_s: Some(50_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let view = fetch(&office, &daemon, "wanted", &slow, content).await;
    assert!(view.bytes.peers * 2 >= content.len, "{:?}", view.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d32_an_honest_peer_is_found_by_the_question_while_forged_announcements_come_and_come() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    let content = Content::new(36, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let config = office.path("asked.toml");
    std::fs::write(&config, "[peers]\nmdns = false\nask-link = true\n").expect("a file");
    // Whoever wants the file hears announcements, forged ones alone; who holds it makes none.
    let holder = office.daemon(2, &["--config", config.to_str().expect("plain")]).await;
    fetch(&office, &holder, "held", &origin, content).await;
    let daemon = office.daemon(0, &[]).await;
    let sending = Flood::OnLink.start_slowly(&office, 1, TWENTY_THOUSAND);
    let manner = Manner { bytes_per_s: Some(50_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let view = fetch(&office, &daemon, "wanted", &slow, content).await;
    assert!(view.bytes.peers * 2 >= content.len, "{:?}", view.bytes);
    sending.abort();
}

/// A question for our service, of multicast DNS.
fn query() -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(name(&["_nearbits", "_tcp"]));
    bytes.extend([0, 12, 0, 1]);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t9_and_d31_no_question_of_multicast_dns_makes_a_node_send_anything_to_who_is_named_as_its_source() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let daemon = office.daemon(0, &[]).await;
    let group = (Ipv4Addr::new(224, 0, 0, 251), 5_353);
    let one_shot = office.datagrams(1, (Ipv4Addr::new(10, 99, 0, 2), 40_000).into());
    one_shot.set_nonblocking(true).expect("our own socket");
    // From its first answer on the library's sockets are held back.
    eventually("the valve", async || {
        one_shot.send_to(&query(), group).expect("a link");
        let mut buffer = [0; 2_048];
        let answered = tokio::time::timeout(Duration::from_millis(300), async {
            while one_shot.recv_from(&mut buffer).is_err() {
                tokio::task::yield_now().await;
            }
        });
        answered.await.is_err().then_some(())
    })
    .await;
    let wire = office.wiretap();
    let asker = office.datagrams(1, (Ipv4Addr::new(10, 99, 0, 2), 5_353).into());
    for _ in 0..20 {
        for (socket, to) in [
            (&one_shot, group),
            (&one_shot, (Ipv4Addr::new(10, 99, 0, 1), 5_353)),
            (&asker, (Ipv4Addr::new(10, 99, 0, 1), 5_353)),
        ] {
            socket.send_to(&query(), to).expect("a link");
        }
    }
    // This one is heard, and answered to all; what came before it was looked at by then.
    let mut answers = Vec::new();
    asker.send_to(&query(), group).expect("a link");
    let holder = IpAddr::from([10, 99, 0, 1]);
    let said = async {
        while !answers.iter().any(|one: &Datagram| one.payload.len() > 100) {
            answers.extend(wire.datagrams().into_iter().filter(|one| one.source == holder));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::lab::PATIENCE, said).await.expect("it answers everybody");
    let aimed: Vec<_> = answers.iter().filter(|one| !one.destination.is_multicast()).collect();
    assert_eq!(aimed, [&answers[0]; 0]);
    daemon.client.status().await.expect("it answers");
}
