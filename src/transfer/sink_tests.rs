//! Tests of the pipe's end, on real files.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use peer_proto::content::{ByteRange, Geometry, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::verify::{HashList, StreamHasher};
use peer_proto::version::Version;
use tokio::sync::{mpsc, watch};

use super::lease::{Feed, Limit};
use super::part_table::NodePart;
use super::peer_lease::PeerSource;
use super::sink::{PieceSink, Sink, SinkParts, StreamSink, Sunk};
use crate::clock::Clock;
use crate::disk::part::{Part, Writer};
use crate::disk::{Existing, RealFiles};
use crate::engine::io::{Accept, Input, LeaseFault, LeaseId};
use crate::swarm::{Block, BlockReceiver};

const PIECE: u64 = 64 * 1024;

/// Bytes that are functions of their offset.
fn payload(len: u64) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("small")
}

fn list_of(bytes: &[u8]) -> Arc<HashList> {
    let mut hasher = StreamHasher::new();
    hasher.update(bytes);
    Arc::new(hasher.finish().expect("short enough"))
}

struct Bench {
    _folder: tempfile::TempDir,
    part: Arc<NodePart>,
    limit: watch::Sender<Limit>,
    feed: mpsc::Sender<Feed>,
    chunks: mpsc::Receiver<Feed>,
    facts: mpsc::Receiver<Input>,
    tell: mpsc::Sender<Input>,
}

impl Bench {
    fn new(len: Option<u64>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = folder.path().join("0.journal");
        let path = folder.path().join("file");
        let opened = Part::open(&RealFiles, &path, "job", &journal, Existing::Refuse).expect("a part");
        let version =
            Version { final_origin: "http://example:80".into(), etag: None, last_modified: None, len };
        opened.part.reset(&version).expect("an empty part");
        let (limit, _) = watch::channel(Limit::Until(u64::MAX));
        let (feed, chunks) = mpsc::channel(1_024);
        let (tell, facts) = mpsc::channel(1_024);
        Self { _folder: folder, part: Arc::new(opened.part), limit, feed, chunks, facts, tell }
    }

    fn parts(&self) -> SinkParts {
        SinkParts {
            lease: LeaseId(1),
            part: self.part.clone(),
            facts: self.tell.clone(),
            clock: Clock::start(),
        }
    }

    fn feed(&self, bytes: &[u8], chunk_len: usize) {
        for chunk in bytes.chunks(chunk_len) {
            self.feed.try_send(Feed::Chunk(Bytes::copy_from_slice(chunk))).expect("room");
        }
    }

    fn end(&self) {
        self.feed.try_send(Feed::End).expect("room");
    }

    fn piece_sink(&self, len: u64, range: std::ops::Range<u64>, accept: Accept) -> PieceSink {
        let geometry = Geometry::of(len).expect("short enough");
        let range = ByteRange::new(range).expect("not empty");
        let sink = PieceSink::new(self.parts(), geometry, range, accept, self.limit.subscribe());
        sink.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Runs a sink to its end; what it said, and the runs it told.
    fn run(mut self, sink: impl Sink) -> (Result<Sunk, LeaseFault>, Vec<PieceRun>, Arc<NodePart>) {
        drop(self.feed);
        drop(self.tell);
        let sunk = sink.run(self.chunks);
        let mut runs = Vec::new();
        while let Ok(fact) = self.facts.try_recv() {
            match fact {
                Input::PiecesStored { lease: LeaseId(1), run } => runs.push(run),
                other => panic!("{other:?}"),
            }
        }
        (sunk, runs, self.part)
    }
}

fn count(runs: &[PieceRun]) -> usize {
    runs.iter().map(|run| run.values.len()).sum()
}

fn listed(list: &Arc<HashList>) -> Accept {
    Accept::Listed { list: list.clone(), standing: Standing::Proved }
}

#[test]
fn stores_and_tells_every_piece_whatever_the_chunks() {
    let bytes = payload(5 * PIECE + 7);
    let list = list_of(&bytes);
    for chunk_len in [1_000, 65_536, 100_000, 1 << 20] {
        let bench = Bench::new(Some(5 * PIECE + 7));
        bench.feed(&bytes, chunk_len);
        bench.end();
        let sink = bench.piece_sink(5 * PIECE + 7, 0..5 * PIECE + 7, Accept::Certain { check: None });
        let (sunk, runs, part) = bench.run(sink);
        assert!(matches!(sunk, Ok(Sunk::All { len: None })));
        let values: Vec<_> = runs.iter().flat_map(|run| run.values.clone()).collect();
        assert_eq!(values, list.values());
        let mut found = vec![0; bytes.len()];
        part.read_at(0, &mut found).expect("readable");
        assert!(found == bytes, "chunks of {chunk_len}");
    }
}

#[test]
fn trust_8_a_wrong_piece_ends_the_lease_and_what_agreed_before_stays() {
    let bytes = payload(4 * PIECE);
    let list = list_of(&bytes);
    let mut wrong = bytes.clone();
    wrong[at(2 * PIECE) + 5] ^= 1;
    for chunk_len in [100_000, 1 << 20] {
        let bench = Bench::new(Some(4 * PIECE));
        bench.feed(&wrong, chunk_len);
        bench.end();
        let sink = bench.piece_sink(4 * PIECE, 0..4 * PIECE, listed(&list));
        let (sunk, runs, part) = bench.run(sink);
        assert!(matches!(sunk, Err(LeaseFault::WrongBytes { piece: PieceIndex(2) })));
        assert_eq!(count(&runs), 2);
        assert_eq!(count(&part.runs()), 2, "no false byte is stored");
        let mut found = vec![0; at(2 * PIECE)];
        part.read_at(0, &mut found).expect("readable");
        assert!(found == bytes[..found.len()], "what agreed is on disk, chunks of {chunk_len}");
    }
}

#[test]
fn pieces_before_one_in_which_two_sources_met_are_told() {
    let bytes = payload(4 * PIECE);
    let bench = Bench::new(Some(4 * PIECE));
    // Another source was there before, with other bytes for the third piece.
    let other = payload(5 * PIECE).split_off(at(4 * PIECE));
    bench.part.write_at(Writer(9), 2 * PIECE, &other).expect("written");
    let values = list_of(&other).values().to_vec();
    let run = PieceRun { first: PieceIndex(2), values, standing: Standing::Certain };
    bench.part.commit(&run).expect("stored");
    bench.feed(&bytes, 1 << 20);
    bench.end();
    let sink = bench.piece_sink(4 * PIECE, 0..4 * PIECE, Accept::Certain { check: None });
    let (sunk, runs, part) = bench.run(sink);
    let value = list_of(&bytes).values()[2];
    let differs = LeaseFault::Differs { piece: PieceIndex(2), value };
    assert!(matches!(sunk, Err(fault) if fault == differs), "it is said which, and what it is here");
    assert_eq!((runs[0].first, count(&runs)), (PieceIndex(0), 2), "what is stored is told");
    assert_eq!(count(&part.runs()), 3);
}

#[test]
fn a_trimmed_lease_ends_where_it_was_trimmed() {
    let bytes = payload(4 * PIECE);
    let bench = Bench::new(Some(4 * PIECE));
    bench.limit.send_replace(Limit::Until(3 * PIECE));
    bench.feed(&bytes[at(PIECE)..], 50_000);
    let sink = bench.piece_sink(4 * PIECE, PIECE..4 * PIECE, Accept::Certain { check: None });
    let (sunk, runs, _) = bench.run(sink);
    assert!(matches!(sunk, Ok(Sunk::All { .. })));
    assert_eq!((runs[0].first, count(&runs)), (PieceIndex(1), 2));
}

#[test]
fn a_feed_that_breaks_off_leaves_whole_pieces_only() {
    let bytes = payload(4 * PIECE);
    let bench = Bench::new(Some(4 * PIECE));
    bench.feed(&bytes[..at(2 * PIECE + 100)], 30_000);
    let sink = bench.piece_sink(4 * PIECE, 0..4 * PIECE, Accept::Certain { check: None });
    let (sunk, runs, _) = bench.run(sink);
    assert!(matches!(sunk, Ok(Sunk::Part)));
    assert_eq!(count(&runs), 2);
}

#[test]
fn a_body_without_a_length_is_cut_into_pieces_at_its_end() {
    for len in [0, 1, PIECE, 3 * PIECE + 9] {
        let bytes = payload(len);
        let bench = Bench::new(None);
        bench.feed(&bytes, 70_000);
        bench.end();
        let sink = StreamSink::new(bench.parts(), Accept::Certain { check: None });
        let sink = sink.unwrap_or_else(|fault| panic!("{fault}"));
        let (sunk, runs, part) = bench.run(sink);
        assert!(matches!(sunk, Ok(Sunk::All { len: Some(learned) }) if learned == len));
        assert_eq!(count(&runs), at(len.div_ceil(PIECE)));
        assert_eq!(part.len(), Some(len));
    }
}

#[test]
fn a_body_without_a_length_that_breaks_off_stores_nothing() {
    let bench = Bench::new(None);
    bench.feed(&payload(3 * PIECE), 70_000);
    let sink = StreamSink::new(bench.parts(), Accept::Certain { check: None });
    let sink = sink.unwrap_or_else(|fault| panic!("{fault}"));
    let (sunk, runs, _) = bench.run(sink);
    assert!(matches!(sunk, Ok(Sunk::Part)));
    assert!(runs.is_empty());
}

#[tokio::test]
async fn a_lease_that_panics_ends_exactly_once() {
    let (tell, mut facts) = mpsc::channel(8);
    let work = async { panic!("a thread of ours broke") };
    super::lease::report(LeaseId(7), tell, work).await;
    let fact = facts.recv().await;
    assert!(matches!(
        fact,
        Some(Input::LeaseEnded { lease: LeaseId(7), outcome: Err(LeaseFault::Local(_)), .. })
    ));
    assert!(facts.recv().await.is_none());
}

#[test]
fn trust_1_a_piece_of_a_member_must_have_the_value_it_was_asked_by() {
    let bytes = payload(4 * PIECE);
    let list = list_of(&bytes);
    let author = PeerId::from_public_key([5; 32]);
    let value = |piece| list.value(PieceIndex(piece)).expect("a piece of it");
    for (values, wrong) in [
        (vec![value(1), value(2)], None),
        (vec![value(1), value(3)], Some(PieceIndex(2))),
        // Bytes beyond what was named are nobody's.
        (vec![value(1)], Some(PieceIndex(2))),
    ] {
        let bench = Bench::new(Some(4 * PIECE));
        let range = at(PIECE)..at(3 * PIECE);
        bench.feed(&bytes[range], 100_000);
        bench.end();
        let standing = Standing::Provisional { author };
        let accept = Accept::Stated { len: 4 * PIECE, first: PieceIndex(1), values: values.into(), standing };
        let sink = bench.piece_sink(4 * PIECE, PIECE..3 * PIECE, accept);
        let (sunk, runs, part) = bench.run(sink);
        assert_eq!(count(&runs), if wrong.is_some() { 1 } else { 2 });
        assert!(part.runs().iter().all(|run| run.standing == standing));
        match (sunk, wrong) {
            (Ok(_), None) => {}
            (Err(LeaseFault::WrongBytes { piece }), Some(wrong)) => assert_eq!(piece, wrong),
            (sunk, _) => panic!("{:?} instead of {wrong:?}", sunk.err()),
        }
    }
}

#[test]
fn t1_the_next_block_of_a_peer_is_taken_once_the_pieces_before_it_are_proved_here() {
    let bytes = payload(4 * PIECE);
    let bench = Bench::new(Some(4 * PIECE));
    let sink = bench.piece_sink(4 * PIECE, PIECE..4 * PIECE, listed(&list_of(&bytes)));
    let (sender, blocks) = mpsc::channel(3);
    for (block, offset) in bytes[at(PIECE)..].chunks(at(PIECE)).zip([0, PIECE, 2 * PIECE]) {
        let bytes = Bytes::copy_from_slice(block);
        sender.try_send(Block { offset, bytes }).expect("room");
    }
    let range = ByteRange::new(PIECE..4 * PIECE).expect("not empty");
    let geometry = Geometry::of(4 * PIECE).expect("short enough");
    let mut source = PeerSource::new(BlockReceiver::of(blocks), range, geometry, sink.proved());
    let mut next =
        || source.next().now_or_never().map(|next| next.map(|block| block.map(|block| block.len())));

    assert!(matches!(next(), Some(Ok(Some(len))) if len == at(PIECE)));
    assert!(next().is_none(), "the second is here, and nothing says that the first is right");
    bench.feed(&bytes[at(PIECE)..at(2 * PIECE)], at(PIECE));
    bench.end();
    assert!(matches!(bench.run(sink).0, Ok(Sunk::Part)));
    assert!(matches!(next(), Some(Ok(Some(len))) if len == at(PIECE)));
    assert!(matches!(next(), Some(Ok(None))), "nobody proves any more");
    assert_eq!(sender.capacity(), 2, "the third was left where it lay");
}
