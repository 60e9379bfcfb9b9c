//! Values of pieces and of whole files.
//!
//! Knows: `blake3::hash` and `bao-tree` as oracles. Does not know: lists on the wire.

use bao_tree::BlockSize;
use bao_tree::io::outboard::PreOrderMemOutboard;
use proptest::prelude::*;

use super::*;

#[test]
fn trust_2_only_piece_of_a_file_has_the_root_for_its_value() {
    for len in [1, 1_024, PIECE - 1, PIECE] {
        let file = bytes_at(0, len);
        let geometry = Geometry::of(len).unwrap();
        assert_eq!(piece_value(&geometry, PieceIndex(0), &file), Ok(root_of(&file)));
        let longer = Geometry::of(2 * PIECE).unwrap();
        let inner = piece_value(&longer, PieceIndex(0), &bytes_at(0, PIECE)).unwrap();
        assert_ne!(inner, root_of(&bytes_at(0, PIECE)), "the root form stands only at the top");
    }
}

#[test]
fn trust_3_pieces_hashed_alone_fold_to_what_blake3_says() {
    for len in TELLING_LENS {
        let file = bytes_at(0, len);
        let geometry = Geometry::of(len).unwrap();
        let mut values = Vec::new();
        for piece in (0..geometry.piece_count()).map(PieceIndex) {
            let range = geometry.piece_range(piece).unwrap();
            let bytes = bytes_at(range.start(), range.len());
            let value = piece_value(&geometry, piece, &bytes).unwrap();
            let mut slowly = PieceHasher::new(&geometry, piece).unwrap();
            for slice in bytes.chunks(999) {
                slowly.update(slice).unwrap();
            }
            assert_eq!((slowly.missing(), slowly.finish()), (0, Ok(value)));
            values.push(value);
        }
        assert_eq!(piece_values(&geometry, PieceIndex(0), &file).as_ref(), Ok(&values), "length {len}");
        let list = HashList::from_values(len, values).unwrap();
        assert_eq!(list.content(), ContentId { root: root_of(&file), len });
    }
}

/// The values of the pieces as `bao-tree` keeps them: pairs of parents, in pre-order.
fn bao_values(
    pairs: &mut std::slice::Chunks<'_, u8>,
    pieces: usize,
    value: Option<Hash>,
    out: &mut Vec<Hash>,
) {
    if pieces == 1 {
        out.extend(value);
        return;
    }
    let pair = pairs.next().expect("a pair for each parent");
    let (left, right) = pair.split_at(32);
    let split = pieces.div_ceil(2).next_power_of_two();
    bao_values(pairs, split, Some(Hash(left.try_into().unwrap())), out);
    bao_values(pairs, pieces - split, Some(Hash(right.try_into().unwrap())), out);
}

#[test]
fn trust_3_bao_tree_keeps_the_same_values() {
    for len in TELLING_LENS.into_iter().filter(|len| *len > PIECE) {
        let file = bytes_at(0, len);
        let outboard = PreOrderMemOutboard::create(&file, BlockSize::from_chunk_log(6));
        let list = list_of(&file);
        assert_eq!(list.content().root.0, *outboard.root.as_bytes());
        let mut values = Vec::new();
        bao_values(&mut outboard.data.chunks(64), list.values().len(), None, &mut values);
        assert_eq!(list.values(), values, "length {len}");
    }
}

#[test]
fn trust_3_hostile_index_and_length_are_refused_in_words() {
    let geometry = Geometry::of(5 * PIECE + 7).unwrap();
    let (whole, count) = (bytes_at(0, PIECE), 6);
    for piece in [6, 7, 1 << 20, u32::MAX].map(PieceIndex) {
        let refused = VerifyError::NoSuchPiece { piece, count };
        assert_eq!(piece_value(&geometry, piece, &whole), Err(refused.clone()));
        assert_eq!(piece_values(&geometry, piece, &whole), Err(refused.clone()));
        assert_eq!(list_of(&bytes_at(0, 5 * PIECE + 7)).check(piece, &whole), Err(refused));
    }
    for (piece, expected) in [(0, PIECE), (1, PIECE), (4, PIECE), (5, 7)] {
        let piece = PieceIndex(piece);
        let long = bytes_at(0, expected + 1);
        assert_eq!(piece_value(&geometry, piece, &long), Err(VerifyError::PieceTooLong { piece, expected }));
        for found in [0, 1, expected - 1] {
            let short = VerifyError::PieceTooShort { piece, expected, found };
            assert_eq!(piece_value(&geometry, piece, &bytes_at(0, found)), Err(short));
        }
    }
    let empty = Geometry::of(0).unwrap();
    let nothing = VerifyError::NoSuchPiece { piece: PieceIndex(0), count: 0 };
    assert_eq!(piece_value(&empty, PieceIndex(0), &[]), Err(nothing));
    assert_eq!(piece_values(&geometry, PieceIndex(u32::MAX), &[]), Ok(vec![]), "no bytes are no pieces");
    let two_from_the_last = VerifyError::PieceTooLong { piece: PieceIndex(5), expected: 7 };
    assert_eq!(piece_values(&geometry, PieceIndex(5), &bytes_at(0, PIECE + 7)), Err(two_from_the_last));
}

#[test]
fn trust_3_a_refused_slice_leaves_the_hasher_as_it_was() {
    let geometry = Geometry::of(2 * PIECE).unwrap();
    let mut hasher = PieceHasher::new(&geometry, PieceIndex(1)).unwrap();
    hasher.update(&bytes_at(PIECE, PIECE - 1)).unwrap();
    assert!(hasher.update(b"too much").is_err());
    hasher.update(&bytes_at(2 * PIECE - 1, 1)).unwrap();
    assert_eq!(hasher.finish(), piece_value(&geometry, PieceIndex(1), &bytes_at(PIECE, PIECE)));
}

#[test]
fn trust_3_large_pieces_at_far_offsets_never_panic() {
    let geometry = Geometry::of(4 << 40).unwrap();
    let whole = bytes_at(0, geometry.piece_len());
    let values: Vec<Hash> = [0, 1, 2, 524_288, 1_048_574, 1_048_575]
        .into_iter()
        .map(|piece| piece_value(&geometry, PieceIndex(piece), &whole).unwrap())
        .collect();
    for (place, value) in values.iter().enumerate() {
        assert!(!values[..place].contains(value), "the same bytes elsewhere have another value");
    }
}

fn stream_matches_blake3_and_pieces_impl(len: u64, slice: usize) {
    let file = bytes_at(0, len);
    let mut hasher = StreamHasher::new();
    assert!(hasher.is_empty());
    for slice in file.chunks(slice) {
        hasher.update(slice);
    }
    assert_eq!(hasher.len(), len);
    assert_eq!(hasher.finish(), Ok(list_of(&file)), "length {len} in slices of {slice}");
}

#[test]
fn stream_matches_blake3_and_pieces_cases() {
    for len in TELLING_LENS {
        for slice in [1_000, 16_384, 1 << 20] {
            stream_matches_blake3_and_pieces_impl(len, slice);
        }
    }
}

fn any_len() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3 * PIECE,
        (0..6_u64, 0..3_u64).prop_map(|(piece, past)| (piece * PIECE + past).max(1) - 1)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stream_matches_blake3_and_pieces_proptest(len in any_len(), slice in 1_000..200_000_usize) {
        stream_matches_blake3_and_pieces_impl(len, slice);
    }

    #[test]
    fn trust_3_folded_values_are_the_plain_hash_of_any_length(len in any_len()) {
        let file = bytes_at(0, len);
        prop_assert_eq!(list_of(&file).content().root, root_of(&file));
    }

    #[test]
    fn trust_3_any_index_and_length_gives_a_value_or_words(len: u64, piece: u32, fed in 0..70_000_u64) {
        if let Ok(geometry) = Geometry::of(len) {
            let result = piece_value(&geometry, PieceIndex(piece), &bytes_at(0, fed));
            let expected = geometry.piece_range(PieceIndex(piece)).map(|range| range.len());
            prop_assert_eq!(result.is_ok(), expected == Some(fed));
        }
    }
}
