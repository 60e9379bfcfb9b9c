//! How fast sets of ranges change and answer, from one hole to every second piece.
//!
//! Knows: `peer_proto::range_set`. Does not know: who asks.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use peer_proto::content::ByteRange;
use peer_proto::range_set::RangeSet;

/// Pieces of a file of 1 GiB.
const PIECES: u64 = 16_384;

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start..end).expect("not empty")
}

/// A set with a hole of one piece after each `stride - 1` pieces.
fn holes_each(stride: u64) -> RangeSet {
    (0..PIECES / stride).map(|tooth| range(tooth * stride, (tooth + 1) * stride - 1)).collect()
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range_set");
    for stride in [2, 64, PIECES] {
        let set = holes_each(stride);
        let other = holes_each(stride / 2 + 2);
        let name = |what| BenchmarkId::new(what, format!("{}_ranges", set.range_count()));
        group.bench_function(name("fill_and_dig_one"), |bench| {
            let mut set = set.clone();
            let hole = range(PIECES / 2 - 1, PIECES / 2);
            bench.iter(|| {
                set.insert(black_box(hole));
                set.remove(black_box(hole));
            });
        });
        group.bench_function(name("contains"), |bench| {
            bench.iter(|| set.contains(black_box(range(PIECES / 2, PIECES / 2 + 1))));
        });
        group.bench_function(name("first_gap_at"), |bench| {
            bench.iter(|| set.first_gap_at(black_box(PIECES / 2), PIECES));
        });
        group.bench_function(name("walk_gaps"), |bench| bench.iter(|| set.gaps(range(0, PIECES)).count()));
        group
            .bench_function(name("intersection"), |bench| bench.iter(|| set.intersection(black_box(&other))));
        group.bench_function(name("union"), |bench| bench.iter(|| set.union(black_box(&other))));
    }
    group.finish();
}

criterion_group!(benches, changes);
criterion_main!(benches);
