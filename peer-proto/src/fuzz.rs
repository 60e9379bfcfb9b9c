//! Bodies of the fuzz targets: each takes any bytes and checks what must hold of them.
//!
//! Knows: the pure parts that meet hostile bytes. Does not know: the fuzzer; the targets in `peer-proto/fuzz` are a
//! few lines each, and ordinary tests run the bodies on seeded bytes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;

use crate::attest::{AttestRules, Attestation};
use crate::batch::Batch;
use crate::content::{ByteRange, ContentId, Geometry, Hash, PieceIndex};
use crate::digest::{Algorithm, Digest};
use crate::group::{EpochSecret, Token, TokenRules};
use crate::limits::PIECE_LEN_MIN;
use crate::question::Question;
use crate::range_set::RangeSet;
use crate::verify::{HashList, ListAssembler, ListPart, PieceHasher, StreamHasher, piece_value};
use crate::void::Void;
use crate::wire::Record;

/// A range set changed by the bytes stays the same as a vector of booleans.
///
/// # Panics
/// If it does not.
pub fn range_set(bytes: &[u8]) {
    let mut set = RangeSet::new();
    let mut slow = vec![false; 512];
    for change in bytes.as_chunks::<3>().0 {
        let start = u64::from(change[1]);
        let Some(range) = ByteRange::new(start..start + u64::from(change[2])) else { continue };
        let held = change[0] % 2 == 0;
        if held {
            set.insert(range)
        } else {
            set.remove(range)
        }
        for (offset, place) in (0..).zip(&mut slow) {
            if range.as_range().contains(&offset) {
                *place = held;
            }
        }
    }
    let held: u64 = (0..).zip(&slow).filter(|(offset, _)| set.contains_offset(*offset)).map(|_| 1).sum();
    assert_eq!(set.len(), held, "length");
    assert!((0..).zip(&slow).all(|(offset, held)| set.contains_offset(offset) == *held), "contents");
    let edges = slow.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(set.range_count(), (edges + usize::from(slow[0])).div_ceil(2), "ranges are merged");
}

/// A hash list from the bytes is refused in words, or folds the same way whole and part by part.
///
/// # Panics
/// If it does not.
pub fn hash_list(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((lie, rest)) = rest.split_first_chunk::<2>() else { return };
    let values: Vec<Hash> = rest.as_chunks::<32>().0.iter().copied().map(Hash).collect();
    let stated = u64::from_le_bytes(*len);
    if let Ok(mut assembler) = ListAssembler::new(ContentId { root: Hash([lie[0]; 32]), len: stated }) {
        for page in [0, 1, u32::from(lie[1]), u32::MAX] {
            assert!(assembler.take_page(page, &values).is_err(), "a root nobody knows a list of");
        }
        assert!(assembler.take_head(&values).is_err(), "a root nobody knows a head of");
    }
    let _refused_in_words = HashList::from_values(stated, values.clone());
    let full = u64::try_from(values.len()).unwrap_or(0) * PIECE_LEN_MIN;
    let Ok(list) = HashList::from_values(full.saturating_sub(stated % PIECE_LEN_MIN), values) else { return };
    assert_eq!(HashList::proved(list.content(), list.values().to_vec()).as_ref(), Ok(&list), "proves itself");
    let Ok(mut assembler) = ListAssembler::new(list.content()) else { return };
    for part in [ListPart::Head].into_iter().chain((0..list.page_count()).map(ListPart::Page)) {
        let Some(mut values) = list.part(part) else { continue };
        let place = usize::from(lie[0]) % values.len();
        values[place].0[usize::from(lie[1] % 32)] ^= 1 << (lie[1] / 32);
        assert!(assembler.take(part, &values).is_err(), "one bit is enough");
        values[place].0[usize::from(lie[1] % 32)] ^= 1 << (lie[1] / 32);
        assert_eq!(assembler.take(part, &values), Ok(()), "each part proves itself");
    }
    assert_eq!(assembler.finish().as_ref(), Some(&list), "parts make the whole");
}

/// A piece of any index and length has a value exactly if it is all of that piece, and slices do not matter.
///
/// # Panics
/// If that is not so.
pub fn piece(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((index, rest)) = rest.split_first_chunk::<4>() else { return };
    let piece = PieceIndex(u32::from_le_bytes(*index));
    for len in [u64::from_le_bytes(*len), u64::from(len[0]) * 1_000] {
        let Ok(geometry) = Geometry::of(len) else { continue };
        let value = piece_value(&geometry, piece, rest);
        let fits =
            geometry.piece_range(piece).is_some_and(|range| usize::try_from(range.len()) == Ok(rest.len()));
        assert_eq!(value.is_ok(), fits, "exactly all of the piece");
        if let Ok(mut hasher) = PieceHasher::new(&geometry, piece) {
            let taken = rest.chunks(usize::from(index[0]) + 1).try_for_each(|slice| hasher.update(slice));
            assert_eq!(taken.and_then(|()| hasher.finish()).ok(), value.ok(), "slices do not matter");
        }
    }
}

/// Any bytes are a token, a record, an attestation, a batch, a void, or none of these; what is one is so by its very bytes, and nobody signed it.
///
/// # Panics
/// If that is not so.
pub fn record(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(token) = Token::parse(bytes.clone()) {
        let (key, denied) = ([9; 32], BTreeSet::new());
        let wish = token.wish();
        let now = wish.not_before;
        let rules = TokenRules { group: &key, peer: wish.peer, now, epoch: wish.epoch, denied: &denied };
        assert!(token.check(&rules).is_err(), "not by a key that signed nothing");
        assert_eq!(token.bytes(), &bytes, "carried as it came");
    }
    if let Ok(attestation) = Attestation::parse(bytes.clone()) {
        let (key, denied) = ([9; 32], BTreeSet::new());
        let now = attestation.said().fetched_at;
        let rules = AttestRules { group: &key, now, epoch: 0, denied: &denied };
        assert!(attestation.check(&rules).is_err(), "no attestor out of nowhere");
        assert_eq!(attestation.bytes(), &bytes, "carried as it came");
    }
    if let Ok(batch) = Batch::parse(bytes.clone()) {
        let (key, denied) = ([9; 32], BTreeSet::new());
        let rules = AttestRules { group: &key, now: batch.said().at, epoch: 0, denied: &denied };
        assert!(batch.check(&rules).is_err(), "no attestor out of nowhere");
        assert_eq!(batch.bytes(), &bytes, "carried as it came");
    }
    if let Ok(void) = Void::parse(bytes.clone()) {
        assert!(
            void.check(&[9; 32], void.said().not_after).is_err(),
            "nobody takes anything back out of nowhere"
        );
        assert_eq!(void.bytes(), &bytes, "carried as it came");
    }
    if let Ok(record) = Record::parse(bytes.clone()) {
        assert!(!record.is_signed(), "a signature out of nowhere");
        assert_eq!(record.bytes(), &bytes, "carried as it came");
    }
}

/// Any bytes are a question to the link or none; what is one is so by its very bytes, and means nothing that its sender does
/// not know.
///
/// # Panics
/// If that is not so.
pub fn question(bytes: &[u8]) {
    let Ok(question) = Question::decode(bytes) else { return };
    assert_eq!(question.encode(), bytes, "a question reads back what it writes");
    let secret = EpochSecret([9; 32]);
    let from = IpAddr::from([192, 168, 7, 20]);
    let digest = Digest::new(Algorithm::Blake3, vec![9; 32]).expect("right length");
    for clue in question.clues(from, std::iter::once(&secret)) {
        assert!(!clue.ids().is_empty(), "it stands for some id");
        assert!(!clue.means(&digest), "a proof out of nowhere");
    }
}

/// One pass over the bytes, in slices of any length, gives the root that BLAKE3 gives.
///
/// # Panics
/// If it does not.
pub fn stream(bytes: &[u8]) {
    let Some((slice, rest)) = bytes.split_first_chunk::<2>() else { return };
    let file = rest.repeat(usize::from(slice[0]) + 1);
    let mut hasher = StreamHasher::new();
    for slice in file.chunks(usize::from(u16::from_le_bytes(*slice)) + 1) {
        hasher.update(slice);
    }
    let root = hasher.finish().map(|list| list.content().root);
    assert_eq!(root, Ok(Hash(*blake3::hash(&file).as_bytes())), "the same root");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random and are the same for the same seed.
    fn seeded(seed: u64, len: usize) -> Vec<u8> {
        let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.flatten().take(len).collect()
    }

    fn run(body: fn(&[u8]), len_max: usize) {
        for seed in 0..400 {
            let len = usize::try_from(seed * 7_919).unwrap() % len_max;
            body(&seeded(seed, len));
        }
        body(&[]);
    }

    #[test]
    fn range_set_body_holds_on_seeded_bytes() {
        run(range_set, 600);
    }

    #[test]
    fn trust_4_hash_list_body_holds_on_seeded_bytes() {
        run(hash_list, 8 * 1_024);
        for values in [1_023, 1_024, 1_025, 2_049] {
            hash_list(&seeded(values, 10 + 32 * usize::try_from(values).unwrap()));
        }
    }

    #[test]
    fn trust_3_piece_body_holds_on_seeded_bytes() {
        run(piece, 2_000);
        for index in 0..4_u8 {
            let header = [&[250, 0, 0, 0, 0, 0, 0, 0, index, 0, 0, 0][..], &seeded(7, 65_536)].concat();
            piece(&header);
            piece(&header[..12 + 250_000 % 65_536]);
        }
    }

    #[test]
    fn claim_1_record_body_holds_on_seeded_bytes() {
        run(record, 300);
        for kind in 0..6 {
            for len in [162, 175, 230, 322] {
                // A head that fits a file of 100 pieces, and a body that looks random.
                let mut bytes = [vec![1, kind], seeded(u64::from(kind), len - 2)].concat();
                bytes[90..98].copy_from_slice(&(100 * PIECE_LEN_MIN).to_be_bytes());
                bytes[98..106].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3]);
                record(&bytes);
            }
        }
        record(&[vec![1], seeded(1, 158)].concat());
    }

    #[test]
    fn lookup_2_question_body_holds_on_seeded_bytes() {
        run(question, 600);
        for marks in 0..18 {
            question(&[vec![1], seeded(marks, 42 + 28 * usize::try_from(marks).unwrap())].concat());
        }
    }

    #[test]
    fn stream_body_holds_on_seeded_bytes() {
        run(stream, 3_000);
    }
}
