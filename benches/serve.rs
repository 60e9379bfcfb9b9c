//! How fast one node gives blocks to another: loopback, encrypted, nothing written or proved.
//!
//! Knows: the swarm's handle. Does not know: files, hashes. Beside the time per 256 MiB it prints the CPU seconds
//! per GiB of both sides together.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nearbits::swarm::{Swarm, SwarmConfig, SwarmEvent};
use peer_proto::session::RequestId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes moved in one turn.
const TURN: u64 = 256 << 20;
const BLOCK: usize = 256 << 10;

/// Two connected swarms on loopback.
struct Pair {
    giver: Swarm,
    taker: Swarm,
    next_request: u64,
}

async fn start(seed: u8, peer: Option<&Swarm>) -> (Swarm, mpsc::Receiver<SwarmEvent>) {
    let config = SwarmConfig {
        identity_seed: [seed; 32],
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        rendezvous: Vec::new(),
        tunnels: nearbits::swarm::Tunnels::default(),
        remembered: Vec::new(),
        added_peers: Vec::new(),
        mdns: false,
        ask_link: false,
        static_peers: peer
            .map(|peer| peer.listen_addresses()[0].parse().expect("our own form"))
            .into_iter()
            .collect(),
    };
    let (sender, mut events) = mpsc::channel(64);
    let (swarm, _task) = Swarm::start(config, sender, CancellationToken::new()).expect("starts");
    while !matches!(events.recv().await, Some(SwarmEvent::Listening { .. })) {}
    (swarm, events)
}

async fn pair() -> Pair {
    let (giver, mut giver_events) = start(1, None).await;
    let (taker, mut taker_events) = start(2, Some(&giver)).await;
    while !matches!(giver_events.recv().await, Some(SwarmEvent::Connected { .. })) {}
    while !matches!(taker_events.recv().await, Some(SwarmEvent::Connected { .. })) {}
    tokio::spawn(async move { while giver_events.recv().await.is_some() {} });
    tokio::spawn(async move { while taker_events.recv().await.is_some() {} });
    Pair { giver, taker, next_request: 0 }
}

/// Moves [`TURN`] bytes in `requests` requests at the same time.
async fn turn(pair: &mut Pair, requests: u64) {
    let payload: Bytes = (0..BLOCK).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let len = TURN / requests;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let request = RequestId(pair.next_request);
        pair.next_request += 1;
        let mut receiver = pair.taker.expect_blocks(pair.giver.peer_id(), request, len);
        tasks.spawn(async move {
            while let Some(block) = receiver.next().await {
                black_box(block);
            }
        });
        let sender = pair.giver.block_sender(pair.taker.peer_id()).expect("connected");
        let payload = payload.clone();
        tasks.spawn(async move {
            let mut offset = 0;
            while offset < len {
                sender.send(request, offset, payload.clone()).await.expect("connected");
                offset += BLOCK as u64;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("moves");
    }
}

/// CPU seconds this process has used.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[expect(clippy::print_stderr, reason = "a bench reports to the terminal")]
fn serve(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("serve");
    group.throughput(Throughput::Bytes(TURN)).sample_size(10).measurement_time(Duration::from_secs(8));
    for requests in [1, 4] {
        let mut pair = runtime.block_on(pair());
        let (mut turns, before) = (0u32, cpu_s());
        group.bench_function(BenchmarkId::new("requests", requests), |bench| {
            bench.iter(|| {
                turns += 1;
                runtime.block_on(turn(&mut pair, requests));
            });
        });
        let per_turn = (cpu_s() - before) / f64::from(turns.max(1));
        eprintln!("CPU, both sides: {:.2} s/GiB", per_turn * 4.0);
    }
    group.finish();
}

criterion_group!(benches, serve);
criterion_main!(benches);
