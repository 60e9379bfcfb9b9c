//! What choosing one lease costs: at most 20 µs at 16 384 pieces and 64 providers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use nearbits::engine::piece_set::PieceSet;
use nearbits::engine::planner::{lease_pieces, orphans, pick};
use peer_proto::content::Geometry;

const PIECES: u32 = 16_384;
const PROVIDERS: u32 = 64;

/// The worst case for runs: every provider holds every third piece, shifted; every other piece is missing.
fn scattered() -> (PieceSet, Vec<PieceSet>) {
    let mut gaps = PieceSet::new();
    (0..PIECES).step_by(2).for_each(|piece| gaps.insert(piece..piece + 1));
    let holds = |provider: u32| {
        let mut have = PieceSet::new();
        (provider % 3..PIECES).step_by(3).for_each(|piece| have.insert(piece..piece + 1));
        have
    };
    (gaps, (0..PROVIDERS).map(holds).collect())
}

fn planner(criterion: &mut Criterion) {
    let geometry = Geometry::of(u64::from(PIECES) * 65_536).expect("1 GiB");
    let (gaps, providers) = scattered();
    let mut from = 0;
    criterion.bench_function("planner/pick one lease of 64 scattered providers", |bencher| {
        bencher.iter(|| {
            from = (from + 4_099) % PIECES;
            let count = lease_pieces(&geometry, 100_000_000, true, gaps.count(), PROVIDERS);
            let have = &providers[usize::try_from(from % PROVIDERS).expect("small")];
            black_box(pick(&gaps, have, from, count))
        });
    });
    criterion.bench_function("planner/gaps nobody of 64 providers holds", |bencher| {
        bencher.iter(|| black_box(orphans(&gaps, providers.iter())));
    });
}

criterion_group!(benches, planner);
criterion_main!(benches);
