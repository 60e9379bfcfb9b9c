//! Signed records: what a member of a group says to all of them, and what each passes on unchanged.
//!
//! Knows: their bytes, what each may say, what its signature covers. Does not know: who is a member, which record is
//! new, who should be told (the node's engine decides).

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::swarm::{SegmentClaim, check_pieces};
use crate::content::{ContentId, Geometry, Hash};
use crate::group::{GroupId, Token};
use crate::limits::{RECORD_LEN_MAX, VALUES_PER_CLAIM_MAX};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, Verdict, is_signed};

const FORMAT: u8 = 1;
/// Format, kind, group, author, number, swarm, length.
const HEAD_LEN: usize = 1 + 1 + 16 + 32 + 8 + 32 + 8;

const INTEREST: u8 = 1;
const LEAVE: u8 = 2;
const SEGMENT: u8 = 3;
const PIECES: u8 = 4;

/// What a record says of its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// It wants the file too, and is a member by this token.
    Interest {
        /// Whether it can fetch from the origin for the others.
        fetches: bool,
        /// Its token: whoever never met the author needs it.
        token: Token,
    },
    /// It wants the file no more.
    Leave,
    /// It fetches these pieces from the origin now. The claim before it is over.
    Segment {
        /// Chosen by the author, ascending.
        number: u32,
        /// The pieces; at least one.
        pieces: Range<u32>,
        /// Whether it begins at the end.
        from_back: bool,
        /// What its origin gives it, in KiB per second; zero if it was not measured yet.
        rate_kib: u32,
    },
    /// It read these pieces from the origin, and these are their values (CLAIM-1).
    Pieces {
        /// The first piece.
        first: u32,
        /// 1 to 64 values, of consecutive pieces.
        values: Vec<Hash>,
    },
}

impl Said {
    /// The token in it.
    #[must_use]
    pub const fn token(&self) -> Option<&Token> {
        match self {
            Self::Interest { token, .. } => Some(token),
            Self::Leave | Self::Segment { .. } | Self::Pieces { .. } => None,
        }
    }
}

/// Where a record belongs, and its place among its author's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHead {
    /// In which group it is said.
    pub group: GroupId,
    /// Who says it.
    pub author: PeerId,
    /// Ascending over everything the author says; from 1.
    pub number: u64,
    /// Of which file: [`swarm_id`](crate::home::swarm_id).
    pub swarm: ContentId,
}

/// Bytes that are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("bytes that are no record")]
pub struct NotARecord;

/// One signed statement, as it is carried: its bytes are never written anew, and its clones share them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record(Arc<Signed>);

#[derive(PartialEq, Eq, Debug)]
struct Signed {
    bytes: Bytes,
    head: RecordHead,
    said: Said,
    is_signed: Verdict,
}

impl Record {
    /// Says something; the signer is the author. `None` if it may not be said: no or too many pieces, beyond the end.
    #[must_use]
    pub fn sign(signer: &Signer, head: RecordHead, said: Said) -> Option<Self> {
        is_shaped(&said, head.swarm).then_some(())?;
        let mut out = BytesMut::with_capacity(RECORD_LEN_MAX);
        out.put_u8(FORMAT);
        out.put_u8(kind(&said));
        out.put_slice(&head.group.0);
        out.put_slice(head.author.public_key());
        out.put_u64(head.number);
        out.put_slice(&head.swarm.root.0);
        out.put_u64(head.swarm.len);
        match &said {
            Said::Interest { fetches, token } => {
                out.put_u8(u8::from(*fetches));
                out.put_slice(token.bytes());
            }
            Said::Leave => {}
            Said::Segment { number, pieces, from_back, rate_kib } => {
                out.put_u32(*number);
                out.put_u32(pieces.start);
                out.put_u32(pieces.end);
                out.put_u8(u8::from(*from_back));
                out.put_u32(*rate_kib);
            }
            Said::Pieces { first, values } => {
                out.put_u32(*first);
                values.iter().for_each(|value| out.put_slice(&value.0));
            }
        }
        let signature = signer.sign(label(&said), &out);
        out.put_slice(&signature);
        Some(Self(Arc::new(Signed { bytes: out.freeze(), head, said, is_signed: Verdict::default() })))
    }

    /// Reads a record; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`NotARecord`].
    pub fn parse(bytes: Bytes) -> Result<Self, NotARecord> {
        let (head, said) = read(&bytes).ok_or(NotARecord)?;
        Ok(Self(Arc::new(Signed { bytes, head, said, is_signed: Verdict::default() })))
    }

    /// As it travels.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Where it belongs and who says it, to be believed after [`is_signed`](Self::is_signed) only.
    #[must_use]
    pub fn head(&self) -> &RecordHead {
        &self.0.head
    }

    /// What it says; to be believed as little before.
    #[must_use]
    pub fn said(&self) -> &Said {
        &self.0.said
    }

    /// Whether its author signed it. Before that it is neither believed nor passed on.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let check = |(body, signature): (&[u8], &[u8; SIGNATURE_LEN])| {
            is_signed(self.head().author.public_key(), label(self.said()), body, signature)
        };
        self.0.is_signed.or(|| self.bytes().split_last_chunk().is_some_and(check))
    }

    /// A segment claim as neighbours tell it to each other, if it is one.
    #[must_use]
    pub fn segment(&self) -> Option<SegmentClaim> {
        let Said::Segment { number, pieces, from_back, rate_kib } = self.said() else { return None };
        let (number, pieces, from_back, rate_kib) = (*number, pieces.clone(), *from_back, *rate_kib);
        Some(SegmentClaim { swarm: self.head().swarm, number, pieces, from_back, rate_kib })
    }
}

const fn kind(said: &Said) -> u8 {
    match said {
        Said::Interest { .. } => INTEREST,
        Said::Leave => LEAVE,
        Said::Segment { .. } => SEGMENT,
        Said::Pieces { .. } => PIECES,
    }
}

const fn label(said: &Said) -> &'static str {
    match said {
        Said::Interest { .. } | Said::Leave => "nearbits interest 1",
        Said::Segment { .. } => "nearbits segment 1",
        Said::Pieces { .. } => "nearbits claim 1",
    }
}

fn is_shaped(said: &Said, swarm: ContentId) -> bool {
    match said {
        Said::Interest { .. } | Said::Leave => Geometry::of(swarm.len).is_ok(),
        Said::Segment { pieces, .. } => check_pieces(pieces, swarm).is_ok(),
        Said::Pieces { first, values } => {
            let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
            let end = first.checked_add(count);
            values.len() <= VALUES_PER_CLAIM_MAX
                && end.is_some_and(|end| check_pieces(&(*first..end), swarm).is_ok())
        }
    }
}

fn read(bytes: &Bytes) -> Option<(RecordHead, Said)> {
    if bytes.len() > RECORD_LEN_MAX {
        return None;
    }
    let body = bytes.len().checked_sub(SIGNATURE_LEN).filter(|end| *end >= HEAD_LEN)?;
    let (first, rest) = bytes.split_first_chunk::<2>()?;
    let [FORMAT, kind] = *first else { return None };
    let (group, rest) = rest.split_first_chunk()?;
    let (author, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (root, rest) = rest.split_first_chunk()?;
    let (len, _) = rest.split_first_chunk()?;
    let head = RecordHead {
        group: GroupId(*group),
        author: PeerId::from_public_key(*author),
        number: u64::from_be_bytes(*number),
        swarm: ContentId { root: Hash(*root), len: u64::from_be_bytes(*len) },
    };
    let said = match kind {
        INTEREST => {
            let (fetches, _) = bytes[HEAD_LEN..body].split_first()?;
            let token = Token::parse(bytes.slice(HEAD_LEN + 1..body)).ok()?;
            Said::Interest { fetches: flag(*fetches)?, token }
        }
        LEAVE if body == HEAD_LEN => Said::Leave,
        SEGMENT => segment(&bytes[HEAD_LEN..body])?,
        PIECES => {
            let (first, values) = bytes[HEAD_LEN..body].split_first_chunk()?;
            let (values, []) = values.as_chunks::<32>() else { return None };
            Said::Pieces {
                first: u32::from_be_bytes(*first),
                values: values.iter().copied().map(Hash).collect(),
            }
        }
        _ => return None,
    };
    (head.number > 0 && is_shaped(&said, head.swarm)).then_some((head, said))
}

fn segment(bytes: &[u8]) -> Option<Said> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (end, rest) = rest.split_first_chunk()?;
    let (from_back, rest) = rest.split_first()?;
    let rate: &[u8; 4] = rest.try_into().ok()?;
    Some(Said::Segment {
        number: u32::from_be_bytes(*number),
        pieces: u32::from_be_bytes(*start)..u32::from_be_bytes(*end),
        from_back: flag(*from_back)?,
        rate_kib: u32::from_be_bytes(*rate),
    })
}

const fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::bytes_from_hex;
    use crate::group::{HolderId, Roles, Wish};
    use crate::limits::PIECE_LEN_MIN;

    /// Three pieces, the last one short.
    const SWARM: ContentId = ContentId { root: Hash([0xaa; 32]), len: 2 * PIECE_LEN_MIN + 1 };

    fn author() -> Signer {
        Signer::of(&[1; 32])
    }

    fn head() -> RecordHead {
        RecordHead { group: GroupId([0xbb; 16]), author: author().peer(), number: 5, swarm: SWARM }
    }

    fn token() -> Token {
        let wish = Wish {
            holder: HolderId([7; 16]),
            peer: author().peer(),
            roles: Roles::FETCH,
            not_before: 1,
            not_after: 2,
            epoch: 3,
            serial: 4,
        };
        Token::grant(&Signer::of(&[9; 32]), &wish)
    }

    fn each() -> Vec<Said> {
        vec![
            Said::Interest { fetches: true, token: token() },
            Said::Leave,
            Said::Segment { number: 9, pieces: 1..3, from_back: true, rate_kib: 1_500 },
            Said::Pieces { first: 1, values: vec![Hash([0xcc; 32]); 2] },
        ]
    }

    #[test]
    fn claim_1_every_record_has_golden_bytes_and_reads_back() {
        let key: String = author().public_key().iter().map(|byte| format!("{byte:02x}")).collect();
        let token: String = token().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let bodies = [
            (1, format!("01{token}")),
            (2, String::new()),
            (3, "00000009000000010000000301000005dc".into()),
            (4, format!("00000001{}", "cc".repeat(64))),
        ];
        for (said, (kind, body)) in each().into_iter().zip(bodies) {
            let record = Record::sign(&author(), head(), said).unwrap();
            let head = format!(
                "01{kind:02x}{}{key}0000000000000005{}0000000000020001",
                "bb".repeat(16),
                "aa".repeat(32)
            );
            let (written, _) = record.bytes().split_last_chunk::<64>().unwrap();
            assert_eq!(Some(written), bytes_from_hex(&format!("{head}{body}")).as_deref(), "{record:?}");
            assert_eq!(Record::parse(record.bytes().clone()).as_ref(), Ok(&record));
            assert!(record.is_signed());
        }
    }

    #[test]
    fn claim_1_no_flipped_bit_of_a_record_stays_signed() {
        for said in each() {
            let record = Record::sign(&author(), head(), said).unwrap();
            for bit in (0..record.bytes().len() * 8).step_by(3) {
                let mut flipped = record.bytes().to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let is_signed = Record::parse(flipped.into()).is_ok_and(|record| record.is_signed());
                assert!(!is_signed, "bit {bit} of {record:?}");
            }
        }
    }

    #[test]
    fn claim_1_a_record_signed_by_somebody_else_is_not_its_authors() {
        for said in each() {
            let forged = Record::sign(&Signer::of(&[2; 32]), head(), said).unwrap();
            assert!(!forged.is_signed(), "an unsigned value passed on could frame its author");
        }
    }

    #[test]
    fn what_a_record_may_not_say_is_neither_signed_nor_read() {
        let fits = |said| Record::sign(&author(), head(), said).is_some();
        for (start, end, allowed) in [(0, 3, true), (0, 4, false), (2, 2, false), (3, 2, false)] {
            let pieces = start..end;
            assert_eq!(fits(Said::Segment { number: 0, pieces, from_back: false, rate_kib: 0 }), allowed);
        }
        let pieces = |first, count| Said::Pieces { first, values: vec![Hash([1; 32]); count] };
        for (first, count, allowed) in [(0, 3, true), (0, 4, false), (0, 0, false), (u32::MAX, 1, false)] {
            assert_eq!(fits(pieces(first, count)), allowed, "{count} from {first}");
        }
        let long = RecordHead { swarm: ContentId { len: 1 << 30, ..SWARM }, ..head() };
        assert!(Record::sign(&author(), long, pieces(0, 64)).is_some());
        assert!(Record::sign(&author(), long, pieces(0, 65)).is_none());
        let longest = Record::sign(&author(), long, pieces(0, 64)).unwrap();
        assert!(longest.bytes().len() <= RECORD_LEN_MAX);
        for said in each() {
            let record = Record::sign(&author(), head(), said).unwrap();
            for end in 0..record.bytes().len() {
                // A claim that is cut between two values is well-formed, and signed no more.
                assert!(
                    Record::parse(record.bytes().slice(..end)).is_ok_and(|cut| cut.is_signed()).eq(&false)
                );
            }
        }
    }
}
