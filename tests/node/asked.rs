//! The question to the whole link: a holder that nobody had heard of is found by it, and nobody who listens learns
//! anything.
//!
//! Knows: offices without announcements, sockets that hear what is said on a link. Does not know: how a question is
//! made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;

use nearbits::control::api::JobView;
use nearbits::job::{Ask, JobSpec, JobState, PeerFlags, TrustFloor};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::lookup::lookup_id;
use peer_proto::peer::PeerId;
use peer_proto::question::{Asker, Audience, Question, Wanted};

use crate::announced::endures_what;
use crate::groups::join_for_a_day;
use crate::lab::blake3_of;
use crate::office::{Addresses, Daemon, Office};
use crate::on_link::{fetch, follow, spec, submit, why};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 78, 66);
const PORT: u16 = 7_411;
/// Where nobody answers as who asked would.
const TRAP: u16 = 7_777;
/// Of the first machines of an office.
const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2))];

/// A daemon that nobody hears of, and that hears of nobody, but by what is asked on the link.
pub(crate) async fn quiet(office: &Office, machine: u8) -> Daemon {
    quiet_called(office, &format!("daemon{machine}"), machine, &[]).await
}

/// The same with its state in a folder of this name, and more said on its command line.
async fn quiet_called(office: &Office, called: &str, machine: u8, more: &[&str]) -> Daemon {
    let config = office.path("quiet.toml");
    std::fs::write(&config, "[peers]\nmdns = false\nask-link = true\n").expect("a file");
    let args = [&["--config", config.to_str().expect("plain")], more].concat();
    office.daemon_called(called, machine, &args).await
}

/// An origin that is too slow to be of use.
fn slow(office: &Office, content: Content) -> PlainOrigin {
    let manner = Manner { bytes_per_s: Some(500_000), ..Manner::default() };
    PlainOrigin::start_on(office.origin_listener(), content, manner)
}

async fn fetch_slowly(office: &Office, daemon: &Daemon, name: &str, content: Content) -> JobView {
    let origin = slow(office, content);
    let view = fetch(office, daemon, name, &origin, content).await;
    assert!(
        view.bytes.peers * 10 >= content.len * 9,
        "{:?}\n{}",
        view.bytes,
        why(&daemon.client, view.id).await
    );
    view
}

/// Somebody on a machine who hears what is asked there.
fn eavesdropper(office: &Office, machine: u8) -> UdpSocket {
    let socket = office.datagrams(machine, SocketAddr::from((GROUP, PORT)));
    office.join(machine, &socket, GROUP);
    socket.set_nonblocking(true).expect("our own socket");
    socket
}

/// Every datagram that came so far, with its source.
fn heard(socket: &UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut heard = Vec::new();
    let mut buffer = [0; 2_048];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        heard.push((buffer[..len].to_vec(), from));
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_14_and_peer_25_a_holder_that_nobody_heard_of_is_found_by_the_question() {
    let Some(office) = Office::open(6, Addresses::Both) else { return };
    let content = Content::new(61, 8 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let holder = quiet(&office, 0).await;
    fetch(&office, &holder, "held", &origin, content).await;
    let mut others = Vec::new();
    for machine in 1..6 {
        others.push(quiet(&office, machine).await);
    }
    let (asker, idle) = others.split_last().expect("five");
    assert!(asker.client.peers().await.expect("it answers").is_empty());
    fetch_slowly(&office, asker, "asked", content).await;
    let peers = asker.client.peers().await.expect("it answers");
    let met: Vec<&str> =
        peers.iter().filter(|peer| peer.connected).map(|peer| peer.address.as_str()).collect();
    assert_eq!(met, ["10.99.0.1"], "whoever has nothing to give does not call");
    for daemon in idle {
        assert!(daemon.client.peers().await.expect("it answers").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t9_and_lookup_4_who_listens_on_the_link_hears_the_question_and_no_answer() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    let content = Content::new(62, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let (asker, holder) = (quiet(&office, 0).await, quiet(&office, 1).await);
    let wire = office.wiretap();
    fetch(&office, &holder, "held", &origin, content).await;
    fetch_slowly(&office, &asker, "asked", content).await;
    let on_link = wire.datagrams();
    let said = |by: IpAddr| on_link.iter().filter(|one| one.source == by).collect::<Vec<_>>();
    let asked = said(ADDRESSES[0]);
    assert!(!asked.is_empty(), "the asker asked");
    assert!(asked.iter().all(|one| one.destination == IpAddr::from(GROUP)), "{asked:?}");
    let digest = blake3_of(content);
    for question in asked.iter().map(|one| &one.payload) {
        assert!(question.len() <= 512, "{} bytes", question.len());
        let id = lookup_id(&digest).0;
        for secret in [digest.bytes(), &id[..], b"http", b"asked", b"10.98"] {
            let part = secret.len().min(13);
            let tells = question.windows(part).any(|seen| secret.windows(part).any(|known| known == seen));
            assert!(!tells, "{secret:?} stands in {question:?}");
        }
    }
    // It asked itself, when it fetched the file; else not a word in the open.
    let holder_asked = said(ADDRESSES[1]);
    assert!(holder_asked.iter().all(|one| one.destination == IpAddr::from(GROUP)), "{holder_asked:?}");
    let last = on_link.iter().rposition(|one| one.source == ADDRESSES[1]);
    let first = on_link.iter().position(|one| one.source == ADDRESSES[0]);
    assert!(last < first, "no datagram of the holder after the question: {on_link:?}");
}

/// A job for a file that no machine has met, and its origin.
fn fresh(office: &Office, number: u64, change: impl FnOnce(&mut JobSpec)) -> (JobSpec, PlainOrigin) {
    let content = Content::new(630 + number, MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let mut spec = spec(office, &format!("fresh{number}"), &origin, blake3_of(content));
    change(&mut spec);
    (spec, origin)
}

/// Fetches it through a daemon; none of it comes from anywhere but its origin.
async fn fetch_alone(daemon: &Daemon, (spec, origin): (JobSpec, PlainOrigin)) {
    let job = submit(&daemon.client, spec).await;
    let view = follow(&daemon.client, job, |_| false).await;
    assert_eq!((view.state, view.bytes.origin), (JobState::Acknowledged, MIB), "{view:?}");
    drop(origin);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_2_and_lookup_5_nothing_is_asked_where_it_is_switched_off_or_nobody_may_be_asked() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let ear = eavesdropper(&office, 1);
    let unheard = |what: &str| assert_eq!(heard(&ear), [], "{what}");
    let asker = quiet(&office, 0).await;
    type Change = fn(&mut JobSpec);
    let cases: [(&str, Change); 5] = [
        ("the job's own word", |spec| spec.ask = Ask::Nobody),
        ("members alone, and no group", |spec| spec.ask = Ask::Members),
        ("the job's flag", |spec| spec.flags = PeerFlags { client: false, server: true }),
        ("level 0", |spec| spec.files.iter_mut().for_each(|file| file.digests.clear())),
        ("the job's floor", |spec| spec.trust = TrustFloor::Origin),
    ];
    for (number, (name, change)) in (0..).zip(cases) {
        fetch_alone(&asker, fresh(&office, number, change)).await;
        unheard(name);
    }
    asker.client.set_flags(PeerFlags { client: false, server: true }).await.expect("our own daemon");
    fetch_alone(&asker, fresh(&office, 10, |_| {})).await;
    unheard("the computer's flag");
    asker.client.set_flags(PeerFlags::BOTH).await.expect("our own daemon");
    fetch_alone(&asker, fresh(&office, 11, |_| {})).await;
    assert!(!heard(&ear).is_empty(), "where nothing forbids it the link is asked");
    for (number, text) in (20..).zip(["enable-peer-caching = false\n", "min-trust = \"origin\"\n"]) {
        let (called, policy) = (format!("policy{number}"), office.path(&format!("{number}.toml")));
        std::fs::write(&policy, text).expect("a file");
        let daemon = quiet_called(&office, &called, 0, &["--policy", policy.to_str().expect("plain")]).await;
        fetch_alone(&daemon, fresh(&office, number, |_| {})).await;
        unheard(text);
        daemon.end().await;
    }
    // What is said by --no-mdns goes for both.
    let mute = office.daemon_called("mute", 0, &["--no-mdns"]).await;
    fetch_alone(&mute, fresh(&office, 30, |_| {})).await;
    unheard("--no-mdns");
}

/// Ever new askers who are not there: half of them make their marks up, the others know what is held.
fn forge(socket: &UdpSocket, digest: &Digest, count: u32) {
    let IpAddr::V4(own) = socket.local_addr().expect("our own socket").ip() else { return };
    for turn in 0..count {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&turn.to_be_bytes());
        let asker = Asker {
            peer: PeerId::from_public_key(key),
            port: NonZeroU16::new(TRAP).expect("not zero"),
            address: own.into(),
            nonce: u64::from(turn).to_be_bytes(),
        };
        let made_up = Digest::new(Algorithm::Sha256, key.to_vec()).expect("32 bytes");
        let digest = if turn % 2 == 0 { digest.clone() } else { made_up };
        let wanted = vec![Wanted { digest, audience: Audience::Link }; 16];
        let question = Question::new(&asker, &wanted).expect("something is wanted");
        // What does not fit anywhere is lost: it is a flood.
        drop(socket.send_to(&question.encode(), (GROUP, PORT)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d32_and_t7_an_honest_asker_is_called_after_twenty_thousand_forged_questions() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    let content = Content::new(64, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let holder = quiet(&office, 0).await;
    fetch(&office, &holder, "held", &origin, content).await;
    let digest = blake3_of(content);
    let trap = office.listener(1, SocketAddr::from(([10, 99, 0, 2], TRAP)));
    trap.set_nonblocking(true).expect("our own socket");
    let start = || {
        let socket = office.datagrams(1, SocketAddr::from(([10, 99, 0, 2], 0)));
        std::thread::spawn(move || forge(&socket, &digest, 20_000))
    };
    endures_what(&holder, "forged questions", start, std::thread::JoinHandle::is_finished).await;
    let asker = quiet(&office, 2).await;
    let manner = Manner { bytes_per_s: Some(50_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let view = fetch(&office, &asker, "asked", &slow, content).await;
    assert!(view.bytes.peers * 2 >= content.len, "{:?}", view.bytes);
    // Few calls went to where nobody answers as who asked would.
    let calls = std::iter::from_fn(|| trap.accept().ok()).count();
    assert!((1..=8).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_14_the_question_goes_over_ipv6_and_between_two_nodes_of_one_machine() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let content = Content::new(65, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let holder = quiet(&office, 0).await;
    fetch(&office, &holder, "held", &origin, content).await;
    let over_v6 = quiet_called(&office, "v6", 1, &["--listen", "[::]:0"]).await;
    fetch_slowly(&office, &over_v6, "over-v6", content).await;
    let peers = holder.client.peers().await.expect("it answers");
    let link_local = Office::link_local(1).to_string();
    assert!(peers.iter().any(|peer| peer.address == link_local), "{peers:?}");
    let beside = quiet_called(&office, "beside", 0, &[]).await;
    fetch_slowly(&office, &beside, "beside-copy", content).await;
}

/// A daemon of this name as a member of the tests' group.
async fn member(office: &Office, machine: u8) -> Daemon {
    let called = format!("member{machine}");
    let before = quiet_called(office, &called, machine, &[]).await;
    let peer = before.client.status().await.expect("it answers").peer_id.parse().expect("its own id");
    before.kill().await;
    join_for_a_day(&office.path(&called), machine, peer);
    quiet_called(office, &called, machine, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookup_5_and_lookup_1_a_question_for_members_is_understood_by_members_alone() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    let content = Content::new(66, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let (asker, kin) = (member(&office, 0).await, member(&office, 1).await);
    let stranger = quiet(&office, 2).await;
    fetch(&office, &stranger, "strangers", &origin, content).await;
    let alone = JobSpec { ask: Ask::Members, ..spec(&office, "alone", &origin, blake3_of(content)) };
    // Only a stranger holds it, who cannot tell what is asked for.
    let job = submit(&asker.client, alone).await;
    let view = follow(&asker.client, job, |_| false).await;
    assert_eq!(
        (view.state, view.bytes.peers),
        (JobState::Acknowledged, 0),
        "{}",
        why(&asker.client, job).await
    );
    assert!(asker.client.peers().await.expect("it answers").is_empty(), "nobody called");
    let other = Content::new(67, 4 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), other, Manner::default());
    fetch(&office, &kin, "kins", &origin, other).await;
    let slow = slow(&office, other);
    let spec = JobSpec { ask: Ask::Members, ..spec(&office, "shared", &slow, blake3_of(other)) };
    let job = submit(&asker.client, spec).await;
    let view = follow(&asker.client, job, |_| false).await;
    assert!(view.bytes.peers * 10 >= other.len * 9, "{:?}\n{}", view.bytes, why(&asker.client, job).await);
    let met = asker.client.peers().await.expect("it answers");
    assert!(met.iter().all(|peer| peer.address == "10.99.0.2" && peer.member), "{met:?}");
}
