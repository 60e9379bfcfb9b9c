//! Processes of our program on the machines of one office: they find each other without configuration, quickly, and
//! the line to the origin carries a file once.
//!
//! Knows: what a user of several machines meets. Does not know: how an office is made (`office`).

use std::net::Ipv4Addr;
use std::process::Output;
use std::time::Duration;

use nearbits::clock::Clock;
use nearbits::control::api::{JobId, JobView, Submit};
use nearbits::control::client::Client;
use nearbits::job::{JobSpec, JobState};
use peer_proto::digest::Digest;
use peer_proto::time::Instant;
use tokio::process::Child;

use crate::lab::{PATIENCE, assert_exact, blake3_of, wish};
use crate::office::{Addresses, Daemon, Office, eventually, reach};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
/// Tries for a bound in time: the machine that runs the tests may be busy with others, a user's is not. One try
/// within the bound shows that the program needs no longer.
const TRIES: u8 = 3;

/// A job for a daemon of the office.
pub(crate) fn spec(office: &Office, name: &str, origin: &PlainOrigin, digest: Digest) -> JobSpec {
    wish(origin.url(), office.path(name), vec![digest])
}

pub(crate) async fn submit(client: &Client, spec: JobSpec) -> JobId {
    client.submit(&Submit { spec, adopt: false, start: true }).await.expect("a good wish").id
}

/// Follows a job until `is_so`, or until it is final.
pub(crate) async fn follow(client: &Client, job: JobId, is_so: impl Fn(&JobView) -> bool) -> JobView {
    let mut events = client.follow(job).await.expect("the job is there");
    let followed = async {
        loop {
            let view = events.next().await.expect("the node runs").expect("it is final first");
            if is_so(&view) || view.state.is_final() {
                return view;
            }
        }
    };
    tokio::time::timeout(PATIENCE, followed).await.expect("it does not take that long")
}

/// Fetches through a daemon and insists on exact bytes.
pub(crate) async fn fetch(
    office: &Office,
    daemon: &Daemon,
    name: &str,
    origin: &PlainOrigin,
    content: Content,
) -> JobView {
    fetch_by(office, daemon, name, origin, content, blake3_of(content)).await
}

/// The same with a digest of the caller's choice.
pub(crate) async fn fetch_by(
    office: &Office,
    daemon: &Daemon,
    name: &str,
    origin: &PlainOrigin,
    content: Content,
    digest: Digest,
) -> JobView {
    let job = submit(&daemon.client, spec(office, name, origin, digest)).await;
    let view = follow(&daemon.client, job, |_| false).await;
    assert_eq!(view.state, JobState::Acknowledged, "{view:#?}\n{}", why(&daemon.client, job).await);
    assert_exact(&office.path(name), content);
    view
}

pub(crate) async fn why(client: &Client, job: JobId) -> String {
    let decisions = client.why(job).await.unwrap_or_default();
    let lines = decisions.iter().map(|why| {
        format!("{:>6} ms {:?} {}: {} -> {}\n", why.at_ms, why.range, why.chosen, why.why, why.outcome)
    });
    lines.collect()
}

pub(crate) async fn ended(child: Child) -> Output {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("it ends in time").expect("it can be waited for")
}

/// The promise holds if one of the tries kept it.
fn assert_once_within(bound: Duration, took: &[(Duration, String)]) {
    let said: Vec<String> = took.iter().map(|(took, said)| format!("{took:?}\n{said}")).collect();
    assert!(took.iter().any(|(took, _)| *took <= bound), "never within {bound:?}:\n{}", said.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_on_a_switch_find_each_other_and_share_a_file() {
    let Some(office) = Office::open(4, Addresses::Both) else { return };
    let content = Content::new(31, 32 * MIB);
    let manner = Manner { bytes_per_s: Some(20_000_000), ..Manner::default() };
    let origin = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let mut daemons = Vec::new();
    for machine in 0..4 {
        daemons.push(office.daemon(machine, &[]).await);
    }
    for daemon in &daemons {
        daemon.connected(3).await;
    }
    let first = fetch(&office, &daemons[0], "copy0", &origin, content).await;
    assert_eq!(first.bytes.origin, content.len, "{first:#?}");
    let others = tokio::join!(
        fetch(&office, &daemons[1], "copy1", &origin, content),
        fetch(&office, &daemons[2], "copy2", &origin, content),
        fetch(&office, &daemons[3], "copy3", &origin, content),
    );
    for (view, daemon) in [&others.0, &others.1, &others.2].into_iter().zip(&daemons[1..]) {
        let why = why(&daemon.client, view.id).await;
        assert!(view.bytes.peers * 100 >= content.len * 99, "{:?}\n{why}", view.bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_byte_of_a_peer_comes_within_a_second_of_a_cold_start() {
    let Some(office) = Office::open(4, Addresses::Both) else { return };
    let content = Content::new(32, 16 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let manner = Manner { bytes_per_s: Some(500_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let mut daemons = Vec::new();
    for machine in 0..3 {
        let daemon = office.daemon(machine, &[]).await;
        fetch(&office, &daemon, &format!("copy{machine}"), &origin, content).await;
        daemons.push(daemon);
    }
    let mut took = Vec::new();
    for turn in 0..TRIES {
        let (state, name) = (office.path(&format!("cold{turn}")), format!("cold-copy{turn}"));
        let digest = blake3_of(content).to_hex();
        let mut command =
            office.nearbits(3, ["get", &slow.url(), "--blake3", &digest, "--json", "--why", "-o"]);
        command.arg(office.path(&name)).arg("--state-dir").arg(&state);
        let clock = Clock::start();
        let child = command.spawn().expect("the program starts");
        let client = reach(&state).await;
        let job = eventually("the job", async || client.jobs().await.ok()?.first().map(|job| job.id)).await;
        let view = follow(&client, job, |view| view.bytes.peers > 0).await;
        let at = clock.monotonic();
        let output = ended(child).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && view.bytes.peers > 0, "{view:#?}\n{said}");
        assert_exact(&office.path(&name), content);
        took.push((at.since(Instant::ZERO), said));
    }
    assert_once_within(Duration::from_secs(1), &took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_byte_of_a_peer_comes_within_300_ms_to_a_warm_daemon() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let contents = (0..u64::from(TRIES)).map(|turn| Content::new(40 + turn, 16 * MIB));
    let holder = office.daemon(0, &[]).await;
    let warm = office.daemon(1, &[]).await;
    let mut took = Vec::new();
    for (turn, content) in contents.enumerate() {
        let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
        fetch(&office, &holder, &format!("copy{turn}"), &origin, content).await;
        warm.connected(1).await;
        let manner = Manner { bytes_per_s: Some(500_000), ..Manner::default() };
        let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
        let name = format!("warm-copy{turn}");
        let spec = spec(&office, &name, &slow, blake3_of(content));
        let clock = Clock::start();
        let job = submit(&warm.client, spec).await;
        let view = follow(&warm.client, job, |view| view.bytes.peers > 0).await;
        let at = clock.monotonic();
        let end = follow(&warm.client, job, |_| false).await;
        let said = why(&warm.client, job).await;
        assert!(view.bytes.peers > 0 && end.state == JobState::Acknowledged, "{end:#?}\n{said}");
        assert_exact(&office.path(&name), content);
        took.push((at.since(Instant::ZERO), said));
    }
    assert_once_within(Duration::from_millis(300), &took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_line_carries_the_file_once_for_three_machines() {
    let Some(office) = Office::open(3, Addresses::Both) else { return };
    office.narrow_wan("20mbit");
    let content = Content::new(33, 8 * MIB);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    let mut daemons = Vec::new();
    for machine in 0..3 {
        daemons.push(office.daemon(machine, &[]).await);
    }
    for daemon in &daemons {
        daemon.connected(2).await;
    }
    for (machine, daemon) in daemons.iter().enumerate() {
        fetch(&office, daemon, &format!("copy{machine}"), &origin, content).await;
    }
    let crossed = office.wan_bytes();
    assert!(crossed >= content.len, "the counter counts: {crossed}");
    assert!(crossed * 10 <= content.len * 11, "{crossed} bytes over the line for {}", content.len);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d51_a_machine_that_comes_back_under_another_address_is_found_again() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let (stays, moves) = (office.daemon(0, &[]).await, office.daemon(1, &[]).await);
    stays.connected(1).await;
    moves.connected(1).await;
    let address = Ipv4Addr::new(10, 99, 0, 77);
    office.replug(1, address);
    // The catalogue gives it a minute, which is what every test has for anything.
    eventually("the machine at its new address", async || {
        let peers = stays.client.peers().await.expect("the daemon answers");
        peers.iter().any(|peer| peer.connected && peer.address == address.to_string()).then_some(())
    })
    .await;
}
