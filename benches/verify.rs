//! How fast bytes are proved: pieces, whole passes, hash lists.
//!
//! Knows: `peer_proto::verify`. Does not know: disks and sockets. Plain `blake3` stands beside as the bound.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peer_proto::content::{ContentId, Geometry, Hash, PieceIndex};
use peer_proto::verify::{HashList, ListAssembler, PieceHasher, StreamHasher, piece_value, piece_values};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|offset| (offset.wrapping_mul(0x9e37_79b9) >> 11).to_le_bytes()[0]).collect()
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn pieces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("piece");
    for (name, len, file_len) in
        [("64KiB", 64 * KIB, 1 << 30), ("1MiB", MIB, 16 << 30), ("4MiB", 4 * MIB, 64 << 30)]
    {
        let bytes = payload(len);
        let geometry = Geometry::of(file_len).expect("shared");
        group.throughput(Throughput::Bytes(len_of(&bytes)));
        group.bench_function(BenchmarkId::new("blake3", name), |bench| {
            bench.iter(|| blake3::hash(black_box(&bytes)))
        });
        group.bench_function(BenchmarkId::new("value", name), |bench| {
            bench.iter(|| piece_value(&geometry, PieceIndex(3), black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("blocks_of_16KiB", name), |bench| {
            bench.iter(|| {
                let mut hasher = PieceHasher::new(&geometry, PieceIndex(3)).expect("in the file");
                for block in black_box(&bytes).chunks(16 * KIB) {
                    hasher.update(block).expect("no more than the piece");
                }
                hasher.finish()
            });
        });
    }
    group.finish();
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pass");
    let bytes = payload(32 * MIB);
    let geometry = Geometry::of(len_of(&bytes)).expect("shared");
    group.throughput(Throughput::Bytes(len_of(&bytes))).sample_size(20);
    group.bench_function("blake3", |bench| bench.iter(|| blake3::hash(black_box(&bytes))));
    group.bench_function("piece_values", |bench| {
        bench.iter(|| piece_values(&geometry, PieceIndex(0), black_box(&bytes)));
    });
    for slice in [16 * KIB, 256 * KIB] {
        group.bench_function(BenchmarkId::new("stream", format!("slices_of_{}KiB", slice / KIB)), |bench| {
            bench.iter(|| {
                let mut hasher = StreamHasher::new();
                black_box(&bytes).chunks(slice).for_each(|slice| hasher.update(slice));
                hasher.finish()
            });
        });
    }
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("list");
    for pieces in [1_024_u64, 16_384] {
        let values: Vec<Hash> =
            (0..pieces).map(|piece| Hash(blake3::hash(&piece.to_le_bytes()).into())).collect();
        let list = HashList::from_values(pieces * 64 * 1024, values).expect("one value for each piece");
        let content: ContentId = list.content();
        group.throughput(Throughput::Elements(pieces)).sample_size(20);
        group.bench_function(BenchmarkId::new("fold", pieces), |bench| {
            bench.iter(|| HashList::proved(content, black_box(list.values()).to_vec()));
        });
        group.bench_function(BenchmarkId::new("assemble", pieces), |bench| {
            bench.iter(|| {
                let mut assembler = ListAssembler::new(content).expect("shared");
                while let Some(part) = assembler.wants().pop() {
                    assembler.take(part, &list.part(part).expect("in the list")).expect("true");
                }
                assembler.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pieces, passes, lists);
criterion_main!(benches);
