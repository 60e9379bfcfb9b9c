//! Why something is no job, or no change of one.
//!
//! Knows: one variant per cause, its code, one line for people. Does not know: secrets: URLs and header lines are
//! never part of a text.

use super::super::error::Code;
use super::{
    DESCRIPTION_CHARS_MAX, DESTINATION_LEN_MAX, DIGESTS_MAX, HEADERS_LEN_MAX, MIRRORS_MAX, NAME_CHARS_MAX,
    URL_LEN_MAX, URL_SEGMENT_LEN_MAX,
};

/// Why something is no job, or no change of one. Files, ranges and lines are counted from zero.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpecError {
    /// JOB-4.
    #[error("the job has no name; give it one")]
    NoName,
    /// JOB-4, LIM-13.
    #[error("the job's name has {chars} characters, at most {NAME_CHARS_MAX} are allowed; shorten it")]
    NameTooLong {
        /// Characters found.
        chars: usize,
    },
    /// JOB-4, LIM-13.
    #[error(
        "the job's description has {chars} characters, at most {DESCRIPTION_CHARS_MAX} are allowed; shorten it"
    )]
    DescriptionTooLong {
        /// Characters found.
        chars: usize,
    },
    /// It would be shown in terminals.
    #[error("the job's name or description contains a control character; leave it out")]
    ControlInText,
    /// A job without time.
    #[error("a job with no time to transfer can do nothing; name a number of seconds above zero")]
    NoTime,
    /// FILE-24.
    #[error("a job that may take no bytes can do nothing; name a number of bytes above zero")]
    NoSize,
    /// LIM-14.
    #[error("the header lines have {len} bytes together, at most {HEADERS_LEN_MAX} are allowed")]
    HeadersTooLong {
        /// Bytes found.
        len: usize,
    },
    /// HTTP-36.
    #[error(
        "header line {line} is no header; its name may have letters, digits and -, its value no control character"
    )]
    NoHeader {
        /// Which line.
        line: usize,
    },
    /// A line that decides which bytes come.
    #[error("header line {line} is {name}, which nearbits writes itself; leave it out")]
    OwnHeader {
        /// Which line.
        line: usize,
        /// Its name.
        name: String,
    },
    /// LIM-9, 26.
    #[error("the job would have {count} files, at most {most} are allowed; make several jobs")]
    TooManyFiles {
        /// Files there would be.
        count: usize,
        /// The limit.
        most: u32,
    },
    /// LIM-10, 26.
    #[error(
        "file {file} has {count} ranges, at most {most} are allowed; join neighbours, or fetch the whole file"
    )]
    TooManyRanges {
        /// Which file.
        file: usize,
        /// Ranges found.
        count: usize,
        /// The limit.
        most: u32,
    },
    /// FILE-1, LIM-11.
    #[error("file {file}: {fault}")]
    Url {
        /// Which file.
        file: usize,
        /// What is wrong with its URL.
        fault: UrlFault,
    },
    /// The same of another URL of the file.
    #[error("file {file}, mirror {mirror}: {fault}")]
    Mirror {
        /// Which file.
        file: usize,
        /// Which of its mirrors.
        mirror: usize,
        /// What is wrong with it.
        fault: UrlFault,
    },
    /// The URL of a list of checksums is no good.
    #[error("file {file}, digest-from: {fault}")]
    DigestFrom {
        /// Which file.
        file: usize,
        /// What is wrong with it.
        fault: UrlFault,
    },
    /// What comes over http could be anybody's word (TRUST-11).
    #[error("file {file}, digest-from: a list of checksums counts over https only; name an https URL")]
    InsecureDigests {
        /// Which file.
        file: usize,
    },
    /// A list of checksums says nothing of parts of a file.
    #[error(
        "file {file}: a list of checksums names the whole remote file, not ranges of it; leave out one of the two"
    )]
    DigestsOfParts {
        /// Which file.
        file: usize,
    },
    /// More URLs than are tried.
    #[error("file {file} has {count} mirrors, at most {MIRRORS_MAX} are allowed; name the best ones")]
    TooManyMirrors {
        /// Which file.
        file: usize,
        /// Mirrors found.
        count: usize,
    },
    /// More digests than are checked.
    #[error("file {file} has {count} digests, at most {DIGESTS_MAX} are allowed; one strong one is enough")]
    TooManyDigests {
        /// Which file.
        file: usize,
        /// Digests found.
        count: usize,
    },
    /// FILE-1.
    #[error("file {file}: the destination is not an absolute path; write it from / on")]
    RelativeDestination {
        /// Which file.
        file: usize,
    },
    /// FILE-1.
    #[error("file {file}: the destination does not name a file")]
    NoFileName {
        /// Which file.
        file: usize,
    },
    /// LIM-12.
    #[error("file {file}: the destination has {len} bytes, at most {DESTINATION_LEN_MAX} are allowed")]
    DestinationTooLong {
        /// Which file.
        file: usize,
        /// Bytes found.
        len: usize,
    },
    /// One would replace the other.
    #[error("files {first} and {second} have the same destination; give each its own")]
    SameDestination {
        /// One file.
        first: usize,
        /// The other, added later.
        second: usize,
    },
    /// RNG-1.
    #[error("file {file}: range {range} ends beyond what a file can have")]
    RangeTooFar {
        /// Which file.
        file: usize,
        /// Which of its ranges.
        range: usize,
    },
    /// RNG-3.
    #[error("file {file}: ranges {first} and {second} have bytes in common; ask for each byte once")]
    Overlap {
        /// Which file.
        file: usize,
        /// One range.
        first: usize,
        /// The other, given later.
        second: usize,
    },
    /// FILE-23.
    #[error("file {file} has ranges, which a dynamic job cannot have; leave out one of the two")]
    DynamicRanges {
        /// Which file.
        file: usize,
    },
    /// FILE-23, 28.
    #[error("a dynamic job has no ranges, so it cannot be in on-demand mode; leave out one of the two")]
    DynamicOnDemand,
    /// FILE-23, 24: only before the first Resume.
    #[error("{property} can only be set before the job is resumed for the first time; make a new job")]
    AfterResume {
        /// Which property.
        property: &'static str,
    },
    /// HTTP-37.
    #[error("header lines that were made write-only stay so; set others, or make a new job")]
    WriteOnlyForGood,
    /// HTTP-36.
    #[error("only the job's owner may set its header lines")]
    NotOwner,
    /// JOB-T28.
    #[error("the job is over; it cannot be changed any more")]
    Over,
    /// FILE-12.
    #[error("the job has {count} file{}, counted from zero: there is no file {file}", if *count == 1 { "" } else { "s" })]
    NoSuchFile {
        /// The index that was named.
        file: usize,
        /// Files there are.
        count: usize,
    },
    /// FILE-13.
    #[error("a URL's prefix can only be replaced by another one: neither may be empty")]
    EmptyPrefix,
}

/// What is wrong with a URL, without the URL: it may hold secrets.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlFault {
    /// LIM-11.
    #[error("the URL has {len} bytes, the limit is {URL_LEN_MAX}")]
    TooLong {
        /// Bytes found.
        len: usize,
    },
    /// LIM-11.
    #[error("a part of the URL's path has {len} bytes, the limit is {URL_SEGMENT_LEN_MAX}")]
    LongSegment {
        /// Bytes found.
        len: usize,
    },
    /// FILE-2.
    #[error("the URL contains a control character or a blank; encode blanks as %20")]
    Control,
    /// No scheme, or no host.
    #[error("this is no absolute URL; write it with https:// and the server's name")]
    NotAbsolute,
    /// FILE-1.
    #[error("the URL's scheme is not supported; use http or https")]
    Scheme,
}

impl SpecError {
    /// BITS' code for it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NameTooLong { .. } | Self::DescriptionTooLong { .. } | Self::HeadersTooLong { .. } => {
                Code::StringTooLong
            }
            Self::NoSize => Code::MaxDownloadSizeInvalidValue,
            Self::TooManyFiles { .. } => Code::TooManyFilesInJob,
            Self::TooManyRanges { .. } => Code::TooManyRangesInFile,
            Self::RangeTooFar { .. } => Code::InvalidRange,
            Self::Overlap { .. } => Code::OverlappingRanges,
            Self::DynamicRanges { .. } | Self::DynamicOnDemand => Code::UnsupportedJobConfiguration,
            Self::AfterResume { .. } => Code::ReadOnlyPropertyAfterResume,
            Self::WriteOnlyForGood => Code::ReadOnlyProperty,
            Self::NotOwner => Code::AccessDenied,
            Self::Over => Code::InvalidState,
            Self::NoName
            | Self::ControlInText
            | Self::NoTime
            | Self::NoHeader { .. }
            | Self::OwnHeader { .. }
            | Self::Url { .. }
            | Self::Mirror { .. }
            | Self::DigestFrom { .. }
            | Self::InsecureDigests { .. }
            | Self::DigestsOfParts { .. }
            | Self::TooManyMirrors { .. }
            | Self::TooManyDigests { .. }
            | Self::RelativeDestination { .. }
            | Self::NoFileName { .. }
            | Self::DestinationTooLong { .. }
            | Self::SameDestination { .. }
            | Self::NoSuchFile { .. }
            | Self::EmptyPrefix => Code::InvalidArgument,
        }
    }
}
