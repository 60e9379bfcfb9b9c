//! The frames as values, and what makes each of them valid.
//!
//! Knows: the shape rules of the trust protocol (WIRE-1..9), checked the same way before a frame is written and
//! after one was read. Does not know: bytes (`codec`), dialogue (`session`).

use std::time::Duration;

use super::attest::{AttestWant, Attestations, Batches};
use super::fault::FrameFault;
use super::kin::{DenyPage, DenyWant, Enrol, Enrolled, Newest, Tags};
use super::lookup::{Find, Found};
use super::meet::{NamedPeer, Register, check_named};
use super::record::Record;
use super::swarm::{Interest, Leave, PieceClaim, SegmentClaim};
use super::versions::Versions;
use crate::content::{ByteRange, ContentId, Geometry, Hash};
use crate::evidence::Against;
use crate::group::Token;
use crate::limits::{
    CONTROL_FRAME_MAX, GOODBYE_WORDS_MAX, HAVE_PAGES_MAX, HELLO_FRAME_MAX, LIST_PAGE_VALUES, PAGE_FRAME_MAX,
    RANGES_PER_WANT_MAX, RECORDS_PER_FRAME_MAX, RETRY_MAX, VALUES_PER_WANT_MAX,
};
use crate::session::RequestId;
pub use crate::verify::ListPart;

/// One control or page frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The first frame of each side.
    Hello(Hello),
    /// Who holds these?
    Find(Find),
    /// Answers to questions of a [`Find`].
    Found(Found),
    /// Pieces the sender serves.
    Have(Have),
    /// Asks for one part of a hash list.
    ListWant(ListWant),
    /// Asks for bytes.
    Want(Want),
    /// Takes a request back.
    Cancel(Cancel),
    /// Says no to a request.
    Refuse(Refuse),
    /// The last frame: why the sender closes.
    Goodbye(Goodbye),
    /// One part of a hash list.
    ListValues(ListValues),
    /// Says no to a [`ListWant`].
    ListRefuse(ListRefuse),
    /// Joins those who fetch a file together.
    Interest(Interest),
    /// Leaves them.
    Leave(Leave),
    /// Values of pieces read from the origin.
    PieceClaim(PieceClaim),
    /// What the sender fetches from the origin now.
    SegmentClaim(SegmentClaim),
    /// What makes the sender a member of a group.
    Token(Token),
    /// What members say to all of them, passed on unchanged: 1 to 100.
    Records(Vec<Record>),
    /// What do attestors say of this version of a URL?
    AttestWant(AttestWant),
    /// This.
    Attestations(Attestations),
    /// What tells against something that an attestor signed.
    Against(Against),
    /// What attestors read just now of what was asked for.
    Batches(Batches),
    /// The newest that the sender has of what the group signed.
    Newest(Newest),
    /// Asks for a page of a deny list.
    DenyWant(DenyWant),
    /// A page of a deny list.
    DenyPage(DenyPage),
    /// Asks an enroller for a token.
    Enrol(Enrol),
    /// Gives one, or says why not.
    Enrolled(Enrolled),
    /// The sender's group tags are other ones now.
    Tags(Tags),
    /// Where the sender listens, for a rendezvous.
    Register(Register),
    /// What a rendezvous knows of others: 1 to 256.
    Named(Vec<NamedPeer>),
}

/// What kind a frame is. The tags are numbers we chose, never enum positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FrameKind {
    /// [`Frame::Hello`]
    Hello,
    /// [`Frame::Find`]
    Find,
    /// [`Frame::Found`]
    Found,
    /// [`Frame::Have`]
    Have,
    /// [`Frame::ListWant`]
    ListWant,
    /// [`Frame::Want`]
    Want,
    /// [`Frame::Cancel`]
    Cancel,
    /// [`Frame::Refuse`]
    Refuse,
    /// [`Frame::Goodbye`]
    Goodbye,
    /// [`Frame::ListValues`]
    ListValues,
    /// [`Frame::ListRefuse`]
    ListRefuse,
    /// [`Frame::Interest`]
    Interest,
    /// [`Frame::Leave`]
    Leave,
    /// [`Frame::PieceClaim`]
    PieceClaim,
    /// [`Frame::SegmentClaim`]
    SegmentClaim,
    /// [`Frame::Token`]
    Token,
    /// [`Frame::Records`]
    Records,
    /// [`Frame::AttestWant`]
    AttestWant,
    /// [`Frame::Attestations`]
    Attestations,
    /// [`Frame::Against`]
    Against,
    /// [`Frame::Batches`]
    Batches,
    /// [`Frame::Newest`]
    Newest,
    /// [`Frame::DenyWant`]
    DenyWant,
    /// [`Frame::DenyPage`]
    DenyPage,
    /// [`Frame::Enrol`]
    Enrol,
    /// [`Frame::Enrolled`]
    Enrolled,
    /// [`Frame::Tags`]
    Tags,
    /// [`Frame::Register`]
    Register,
    /// [`Frame::Named`]
    Named,
}

impl FrameKind {
    /// Every kind this version knows, by ascending tag.
    pub const ALL: [Self; 29] = [
        Self::Hello,
        Self::Find,
        Self::Found,
        Self::Have,
        Self::ListWant,
        Self::Want,
        Self::Cancel,
        Self::Refuse,
        Self::Goodbye,
        Self::ListValues,
        Self::ListRefuse,
        Self::Interest,
        Self::Leave,
        Self::PieceClaim,
        Self::SegmentClaim,
        Self::Token,
        Self::Records,
        Self::AttestWant,
        Self::Attestations,
        Self::Against,
        Self::Batches,
        Self::Newest,
        Self::DenyWant,
        Self::DenyPage,
        Self::Enrol,
        Self::Enrolled,
        Self::Tags,
        Self::Register,
        Self::Named,
    ];

    /// The first byte of the frame.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Hello => 0x01,
            Self::Find => 0x02,
            Self::Found => 0x03,
            Self::Have => 0x04,
            Self::ListWant => 0x05,
            Self::Want => 0x06,
            Self::Cancel => 0x07,
            Self::Refuse => 0x08,
            Self::Goodbye => 0x09,
            Self::ListValues => 0x10,
            Self::ListRefuse => 0x11,
            Self::Interest => 0x20,
            Self::Leave => 0x21,
            Self::PieceClaim => 0x22,
            Self::SegmentClaim => 0x23,
            Self::Token => 0x24,
            Self::Records => 0x25,
            Self::AttestWant => 0x26,
            Self::Attestations => 0x27,
            Self::Against => 0x28,
            Self::Batches => 0x29,
            Self::Newest => 0x30,
            Self::DenyWant => 0x31,
            Self::DenyPage => 0x32,
            Self::Enrol => 0x33,
            Self::Enrolled => 0x34,
            Self::Tags => 0x35,
            Self::Register => 0x38,
            Self::Named => 0x39,
        }
    }

    /// The kind with this tag, if this version knows one.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// Bytes the body may have at most (WIRE-1, 2).
    #[must_use]
    pub const fn body_max(self) -> u32 {
        match self {
            Self::Hello => HELLO_FRAME_MAX,
            Self::ListValues | Self::Attestations | Self::Against | Self::Batches | Self::DenyPage => {
                PAGE_FRAME_MAX
            }
            Self::Find
            | Self::Found
            | Self::Have
            | Self::ListWant
            | Self::Want
            | Self::Cancel
            | Self::Refuse
            | Self::Goodbye
            | Self::ListRefuse
            | Self::Interest
            | Self::Leave
            | Self::PieceClaim
            | Self::SegmentClaim
            | Self::Token
            | Self::Records
            | Self::AttestWant
            | Self::Newest
            | Self::DenyWant
            | Self::Enrol
            | Self::Enrolled
            | Self::Tags
            | Self::Register
            | Self::Named => CONTROL_FRAME_MAX,
        }
    }
}

impl Frame {
    /// Which kind of frame this is.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        match self {
            Self::Hello(_) => FrameKind::Hello,
            Self::Find(_) => FrameKind::Find,
            Self::Found(_) => FrameKind::Found,
            Self::Have(_) => FrameKind::Have,
            Self::ListWant(_) => FrameKind::ListWant,
            Self::Want(_) => FrameKind::Want,
            Self::Cancel(_) => FrameKind::Cancel,
            Self::Refuse(_) => FrameKind::Refuse,
            Self::Goodbye(_) => FrameKind::Goodbye,
            Self::ListValues(_) => FrameKind::ListValues,
            Self::ListRefuse(_) => FrameKind::ListRefuse,
            Self::Interest(_) => FrameKind::Interest,
            Self::Leave(_) => FrameKind::Leave,
            Self::PieceClaim(_) => FrameKind::PieceClaim,
            Self::SegmentClaim(_) => FrameKind::SegmentClaim,
            Self::Token(_) => FrameKind::Token,
            Self::Records(_) => FrameKind::Records,
            Self::AttestWant(_) => FrameKind::AttestWant,
            Self::Attestations(_) => FrameKind::Attestations,
            Self::Against(_) => FrameKind::Against,
            Self::Batches(_) => FrameKind::Batches,
            Self::Newest(_) => FrameKind::Newest,
            Self::DenyWant(_) => FrameKind::DenyWant,
            Self::DenyPage(_) => FrameKind::DenyPage,
            Self::Enrol(_) => FrameKind::Enrol,
            Self::Enrolled(_) => FrameKind::Enrolled,
            Self::Tags(_) => FrameKind::Tags,
            Self::Register(_) => FrameKind::Register,
            Self::Named(_) => FrameKind::Named,
        }
    }

    /// Whether every rule of shape holds. Decoded frames passed this; written ones are checked before they leave.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), FrameFault> {
        match self {
            Self::Hello(hello) => hello.versions.check(),
            Self::Find(find) => find.check(),
            Self::Found(found) => found.check(),
            Self::Have(have) => have.check(),
            Self::ListWant(want) => want.part.values_in(want.content).map(drop),
            Self::Want(want) => want.check(),
            Self::Cancel(_) => Ok(()),
            Self::Refuse(refuse) => refuse.check(),
            Self::Goodbye(goodbye) => goodbye.check(),
            Self::ListValues(list) => list.check(),
            Self::ListRefuse(refuse) => refuse.part.values_in(refuse.content).map(drop),
            Self::Interest(interest) => Ok(Geometry::of(interest.len).map(drop)?),
            Self::Leave(_) => Ok(()),
            Self::PieceClaim(claim) => claim.check(),
            Self::SegmentClaim(claim) => claim.check(),
            // What they hold was checked when it was read, or made.
            Self::Token(_) => Ok(()),
            Self::Records(records) if records.is_empty() || records.len() > RECORDS_PER_FRAME_MAX => {
                Err(FrameFault::RecordCount { count: records.len() })
            }
            Self::Records(_) | Self::AttestWant(_) | Self::Against(_) => Ok(()),
            Self::Attestations(answer) => answer.check(),
            Self::Batches(batches) => batches.check(),
            Self::Newest(newest) => newest.check(),
            Self::DenyWant(want) => want.check(),
            Self::DenyPage(page) => page.check(),
            Self::Enrol(_) | Self::Tags(_) => Ok(()),
            Self::Enrolled(answer) => answer.check(),
            Self::Register(register) => register.check(),
            Self::Named(named) => check_named(named),
        }
    }
}

/// The first frame of each side, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// What the sender speaks.
    pub versions: Versions,
    /// Fresh random bytes: proofs of knowledge sent to this side are made for them (LOOKUP-2).
    pub nonce: [u8; 16],
    /// Eight group tags of 16 bytes, or random filler that looks the same (GROUP-2).
    pub tags: [u8; 128],
}

/// Which of the 1 024 pieces of one page are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PageBits {
    /// None of them.
    None,
    /// All of them (up to the last piece of the file).
    All,
    /// Those whose bit is set; piece `8 * i + j` of the page is bit `j`, counted from the low end, of byte `i`.
    Bits(Box<[u8; 128]>),
}

/// One page of a have-set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HavePage {
    /// Zero-based number of the page: it is about pieces `1024 * page ..`.
    pub page: u16,
    /// Its pieces.
    pub bits: PageBits,
}

/// Pages of a have-set. Each replaces what was said of that page before; pages not named stay as they were, and
/// are empty at the beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Have {
    /// Of which content.
    pub content: ContentId,
    /// The pages, ascending; 1 to 64.
    pub pages: Vec<HavePage>,
}

impl Have {
    fn check(&self) -> Result<(), FrameFault> {
        let geometry = Geometry::of(self.content.len)?;
        let count = self.pages.len();
        if count == 0 || count > HAVE_PAGES_MAX {
            return Err(FrameFault::PageCount { count });
        }
        if !self.pages.is_sorted_by(|one, next| one.page < next.page) {
            return Err(FrameFault::NotAscending);
        }
        for page in &self.pages {
            let first = u32::from(page.page) * LIST_PAGE_VALUES;
            if first >= geometry.piece_count() {
                return Err(FrameFault::NoSuchPage { page: u32::from(page.page) });
            }
            let pieces = geometry.piece_count() - first;
            if let PageBits::Bits(bits) = &page.bits
                && super::have::bits_end(bits) > pieces
            {
                return Err(FrameFault::BitBeyondEnd { page: u32::from(page.page) });
            }
        }
        Ok(())
    }
}

impl ListPart {
    /// How many values this part of a content's list has: 1 to 1 024. The files of at most one piece have an empty
    /// list: the root is their proof.
    ///
    /// # Errors
    /// [`FrameFault::NoSuchPart`] if the content's list has no such part, [`FrameFault::TooLong`] if the content is
    /// too long to be shared.
    pub fn values_in(self, content: ContentId) -> Result<u32, FrameFault> {
        let pieces = Geometry::of(content.len)?.piece_count();
        let pages = pieces.div_ceil(LIST_PAGE_VALUES);
        match self {
            Self::Head if pages > 1 => Ok(pages),
            Self::Page(page) if pieces > 1 && page < pages => {
                Ok((pieces - page * LIST_PAGE_VALUES).min(LIST_PAGE_VALUES))
            }
            Self::Head | Self::Page(_) => Err(FrameFault::NoSuchPart),
        }
    }
}

/// Asks for one part of a hash list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListWant {
    /// Whose list.
    pub content: ContentId,
    /// Which part.
    pub part: ListPart,
}

/// Asks for bytes of a content. The provider compares the pair with its own before it sends (TRUST-7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// Chosen by the sender, higher than any before: its blocks carry it.
    pub request: RequestId,
    /// Root and length, always as a pair.
    pub content: ContentId,
    /// 1 to 64 ranges inside the file, ascending and disjoint. The blocks come in this order.
    pub ranges: Vec<ByteRange>,
    /// Inside a swarm, whose root is none: the value of each piece in these ranges, which are whole pieces. The
    /// provider answers for bytes that have these values (TRUST-1). Empty otherwise.
    pub values: Vec<Hash>,
}

impl Want {
    /// Whether its ranges and values may stand in one frame (TRUST-7, WIRE-7).
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), FrameFault> {
        let geometry = Geometry::of(self.content.len)?;
        check_ranges(&self.ranges, self.content.len)?;
        if self.values.is_empty() {
            return Ok(());
        }
        let mut pieces = 0;
        for range in &self.ranges {
            let touched = geometry.touched_pieces(*range);
            if geometry.pieces_range(touched.clone()) != Some(*range) {
                return Err(FrameFault::WantedValueCount { count: self.values.len() });
            }
            pieces += touched.len();
        }
        if pieces != self.values.len() || pieces > VALUES_PER_WANT_MAX {
            return Err(FrameFault::WantedValueCount { count: self.values.len() });
        }
        Ok(())
    }
}

/// Whether these ranges may stand in a `Want` for a file of `len` bytes (WIRE-7).
fn check_ranges(ranges: &[ByteRange], len: u64) -> Result<(), FrameFault> {
    if ranges.is_empty() || ranges.len() > RANGES_PER_WANT_MAX {
        return Err(FrameFault::RangeCount { count: ranges.len() });
    }
    if !ranges.is_sorted_by(|one, next| one.end() <= next.start()) {
        return Err(FrameFault::NotAscending);
    }
    match ranges.last() {
        Some(last) if last.end() > len => Err(FrameFault::RangeBeyondEnd { end: last.end(), len }),
        Some(_) | None => Ok(()),
    }
}

/// Takes a request back; blocks already under way may still arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cancel {
    /// The sender's own request.
    pub request: RequestId,
}

/// Why a provider does not serve a request. None of these is a lie (TRUST-7, 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefuseReason {
    /// It knows this file under another root or length.
    Other,
    /// It no longer holds, or no longer proves, these pieces.
    NotHeld,
    /// Too much to do.
    Busy {
        /// When to ask again: 1 ms to 60 s.
        retry: Duration,
    },
}

impl RefuseReason {
    /// When to ask again, if that would help.
    #[must_use]
    pub const fn retry(self) -> Option<Duration> {
        match self {
            Self::Busy { retry } => Some(retry),
            Self::Other | Self::NotHeld => None,
        }
    }
}

/// Says no to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refuse {
    /// The request of the receiver.
    pub request: RequestId,
    /// Why.
    pub reason: RefuseReason,
}

impl Refuse {
    const fn check(&self) -> Result<(), FrameFault> {
        match self.reason {
            RefuseReason::Busy { retry }
                if retry.as_millis() == 0 || retry.as_millis() > RETRY_MAX.as_millis() =>
            {
                Err(FrameFault::RetryTime)
            }
            RefuseReason::Other | RefuseReason::NotHeld | RefuseReason::Busy { .. } => Ok(()),
        }
    }
}

/// The last frame: why the sender closes the connection, in words for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Goodbye {
    /// At most 200 bytes of text without control characters.
    pub words: String,
}

impl Goodbye {
    fn check(&self) -> Result<(), FrameFault> {
        if self.words.len() > GOODBYE_WORDS_MAX || self.words.chars().any(char::is_control) {
            return Err(FrameFault::Words);
        }
        Ok(())
    }
}

/// One part of a hash list: an answer to a [`ListWant`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListValues {
    /// Whose list.
    pub content: ContentId,
    /// Which part.
    pub part: ListPart,
    /// Exactly as many values as that part has.
    pub values: Vec<Hash>,
}

impl ListValues {
    fn check(&self) -> Result<(), FrameFault> {
        let expected = self.part.values_in(self.content)?;
        if u32::try_from(self.values.len()) != Ok(expected) {
            return Err(FrameFault::ValueCount { count: self.values.len(), expected });
        }
        Ok(())
    }
}

/// Says that a part of a hash list is not to be had here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListRefuse {
    /// Whose list.
    pub content: ContentId,
    /// Which part.
    pub part: ListPart,
}
