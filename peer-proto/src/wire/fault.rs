//! The rules of shape that frames can break.
//!
//! Knows: what to say of each. Does not know: where they are checked ([`frame`](super::frame) and its neighbours).

use crate::content::TooLong;
use crate::limits::{
    ATTESTATIONS_PER_FRAME_MAX, BATCHES_PER_FRAME_MAX, GOODBYE_WORDS_MAX, GRANT_LEN_MAX, HAVE_PAGES_MAX,
    IDS_PER_FIND_MAX, PEERS_NAMED_MAX, RANGES_PER_WANT_MAX, RECORDS_PER_FRAME_MAX, VALUES_PER_CLAIM_MAX,
    VALUES_PER_WANT_MAX,
};

/// A rule of shape that a frame breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameFault {
    /// Versions must be at least 1, the oldest first.
    #[error("the versions are not an ascending pair of positive numbers")]
    Versions,
    /// Between 1 and 32, and countable.
    #[error("{count} questions or answers in one frame: between 1 and {IDS_PER_FIND_MAX} are allowed")]
    QuestionCount {
        /// How many there were.
        count: usize,
    },
    /// Numbers, pages or ranges out of order, repeated or overlapping.
    #[error("numbers, pages or ranges do not ascend, or overlap")]
    NotAscending,
    /// Between 1 and 64.
    #[error("{count} pages in one frame: between 1 and {HAVE_PAGES_MAX} are allowed")]
    PageCount {
        /// How many there were.
        count: usize,
    },
    /// The file has fewer pages.
    #[error("the file has no page {page}")]
    NoSuchPage {
        /// The page.
        page: u32,
    },
    /// A bit beyond the last piece.
    #[error("page {page} names a piece beyond the end of the file")]
    BitBeyondEnd {
        /// The page.
        page: u32,
    },
    /// The content's hash list has no such part.
    #[error("the content's hash list has no such part")]
    NoSuchPart,
    /// The wrong number of values.
    #[error("{count} values in a part of a hash list that has {expected}")]
    ValueCount {
        /// How many there were.
        count: usize,
        /// How many there must be.
        expected: u32,
    },
    /// Between 1 and 64.
    #[error("{count} ranges in one request: between 1 and {RANGES_PER_WANT_MAX} are allowed")]
    RangeCount {
        /// How many there were.
        count: usize,
    },
    /// Empty or backwards.
    #[error("the range {start}..{end} is empty")]
    EmptyRange {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// Outside the file.
    #[error("a range ends at {end}, the file at {len}")]
    RangeBeyondEnd {
        /// The end of the range.
        end: u64,
        /// The length of the file.
        len: u64,
    },
    /// One for each piece asked for, or none at all.
    #[error(
        "{count} values in a request: as many as pieces, at most {VALUES_PER_WANT_MAX}, or none are allowed"
    )]
    WantedValueCount {
        /// How many there were.
        count: usize,
    },
    /// Between 1 and 64.
    #[error("{count} values in a claim: between 1 and {VALUES_PER_CLAIM_MAX} are allowed")]
    ClaimCount {
        /// How many there were.
        count: usize,
    },
    /// No pieces, or some beyond the end.
    #[error("pieces up to {end} of a file that has {count}, or none")]
    PiecesBeyondEnd {
        /// One past the last piece.
        end: u32,
        /// Pieces the file has.
        count: u32,
    },
    /// Between 1 and 100.
    #[error("{count} records in one frame: between 1 and {RECORDS_PER_FRAME_MAX} are allowed")]
    RecordCount {
        /// How many there were.
        count: usize,
    },
    /// At most 8.
    #[error("{count} attestations in one frame: at most {ATTESTATIONS_PER_FRAME_MAX} are allowed")]
    AttestationCount {
        /// How many there were.
        count: usize,
    },
    /// Between 1 and 32.
    #[error("{count} batches in one frame: between 1 and {BATCHES_PER_FRAME_MAX} are allowed")]
    BatchCount {
        /// How many there were.
        count: usize,
    },
    /// Two attestations that may both be so, or of two attestors, or not two.
    #[error("what is said against an attestor does not contradict itself")]
    NoContradiction,
    /// Longer than the longest, or a version without bytes, or bytes without a version.
    #[error("no deny list has this length or this page")]
    DenyList,
    /// Neither an invitation nor a reason.
    #[error("an answer with neither an invitation of at most {GRANT_LEN_MAX} bytes nor a reason")]
    Grant,
    /// Between 1 and 256.
    #[error("{count} peers named in one frame: between 1 and {PEERS_NAMED_MAX} are allowed")]
    NamedCount {
        /// How many there were.
        count: usize,
    },
    /// Nobody listens at port 0.
    #[error("port 0 is no place to listen")]
    Port,
    /// Between 1 ms and 60 s.
    #[error("the time to ask again is not between 1 ms and 60 s")]
    RetryTime,
    /// Too long, or with control characters.
    #[error("the words are longer than {GOODBYE_WORDS_MAX} bytes or hold control characters")]
    Words,
    /// No shared file is that long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}
