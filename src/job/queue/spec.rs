//! What a job is made of, and whether that can be a job.
//!
//! Knows: properties with their defaults and bounds (JOB-3, 4; FILE-1, 4; LIM-1..3, 9..14; RNG-1..4, 7), who sees
//! which of them. Does not know: whether a folder is there, whether a URL leads anywhere (`disk`, `origin`).

mod change;
mod error;
mod notify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_proto::digest::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::super::{
    Ask, Existing, Headers, OneGroup, PeerFlags, Priority, Rates, Redirects, RemoteRange, TrustFloor,
};

pub use change::{Change, InGroup, MaxSize, Moment};
pub use error::{SpecError, UrlFault};
pub use notify::NotifyFlags;

/// Characters in a job's name (LIM-13).
pub const NAME_CHARS_MAX: usize = 256;
/// Characters in its description (LIM-13).
pub const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Bytes of a URL (LIM-11).
pub const URL_LEN_MAX: usize = 2_200;
/// Bytes between two slashes of its path (LIM-11).
pub const URL_SEGMENT_LEN_MAX: usize = 260;
/// Bytes of a destination: what Linux takes as a path (LIM-12).
pub const DESTINATION_LEN_MAX: usize = 4_096;
/// Bytes of all header lines together, each with its `: ` and line end (LIM-14).
pub const HEADERS_LEN_MAX: usize = 16_384;
/// Other URLs of one file.
pub const MIRRORS_MAX: usize = 8;
/// Digests of one file.
pub const DIGESTS_MAX: usize = 8;
/// Files of a job of somebody who is exempt from LIM-9: the index of a file has 16 bits.
pub const FILES_MAX: u32 = 65_536;
/// Ranges of a file of somebody who is exempt from LIM-10.
pub const RANGES_MAX: u32 = 65_536;
/// The shortest retry delay, in seconds; shorter ones are raised to it (LIM-1).
pub const RETRY_DELAY_MIN_S: u64 = 5;

/// Header lines that the node writes itself: from a job they would ask for other bytes than the node believes.
const OWN_HEADERS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-range",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a job is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schema(as = JobSpec)]
pub struct Spec {
    /// What people call it: 1 to 256 characters, not unique (JOB-1, 4). Whoever submits a job without a name gives it
    /// one ([`Spec::suggested_name`]).
    pub name: String,
    /// What it is for, at most 1 024 characters. Default empty.
    pub description: String,
    /// Its files, in the order they were added. Default none: they may be added later.
    pub files: Vec<FileSpec>,
    /// How urgent it is. Default normal.
    pub priority: Priority,
    /// The job's half of the permissions. Default none.
    pub flags: PeerFlags,
    /// Whether no BranchCache is asked for its files, which BITS says with the number 4 beside the two permissions
    /// (PEER-2). Kept and shown; there is no BranchCache client yet that would heed it. Default no.
    pub disable_branch_cache: bool,
    /// The least that must vouch for its bytes before peers are asked for them; a machine may demand more. Default `auto`.
    pub trust: TrustFloor,
    /// Who is asked for its files beside the origin, and so may learn that this machine wants them (LOOKUP-5). Default `link`.
    pub ask: Ask,
    /// The only group whose members are asked and whose attestors count (GROUP-8): what this machine says of its files it says
    /// in that group. While this machine is not in it, no peer is asked. Default all of its groups, and whom `ask` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<OneGroup>,
    /// Whether attestors of the group may vouch for its URLs although they have a query (ATTEST-2). Default no.
    pub shareable: bool,
    /// Whether it is completed as soon as all its files are whole. Default no.
    pub auto_complete: bool,
    /// What happens when a destination's name is taken. Default: the job fails.
    pub existing: Existing,
    /// Bytes per second it may take. Default without limits.
    pub rates: Rates,
    /// Seconds before a passing failure is tried again. Default 600, at least 5 (LIM-1).
    #[serde(deserialize_with = "raised")]
    pub retry_delay_s: u64,
    /// Seconds without progress after which a passing failure becomes final. Default 1 209 600, which is 14 days; 0
    /// means that nothing is tried again (LIM-2, JOB-24).
    pub no_progress_s: u64,
    /// Seconds it may connect and transfer in all. Default: what the policy says (LIM-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<u64>,
    /// Header lines for every request, 16 384 bytes together (HTTP-36). Secrets.
    pub headers: Headers,
    /// Whether nobody can read the header lines any more (HTTP-37). Default no; never taken back.
    pub headers_write_only: bool,
    /// What a redirect does. Default: it is followed.
    pub redirects: Redirects,
    /// Bytes it may take in all. Default without a limit (FILE-24).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Whether the origin makes its files as it is asked for them, without a length and without ranges (FILE-23).
    /// Default no.
    pub dynamic: bool,
    /// Whether only those bytes of its files are fetched that somebody asks for; needs origins with ranges (FILE-28).
    /// Default no.
    pub on_demand: bool,
    /// Which events somebody is told of. Default: transferred and error.
    pub notify: NotifyFlags,
    /// Milliseconds between two events of changes. Default 500 (LIM-6).
    pub notify_interval_ms: u32,
    /// Whether folders that are missing are made. Default no (FILE-3).
    pub create_dirs: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            files: Vec::new(),
            priority: Priority::default(),
            flags: PeerFlags::NONE,
            disable_branch_cache: false,
            trust: TrustFloor::default(),
            ask: Ask::default(),
            group: None,
            shareable: false,
            auto_complete: false,
            existing: Existing::default(),
            rates: Rates::default(),
            retry_delay_s: 600,
            no_progress_s: 14 * 24 * 3_600,
            max_time_s: None,
            headers: Headers::default(),
            headers_write_only: false,
            redirects: Redirects::default(),
            max_size: None,
            dynamic: false,
            on_demand: false,
            notify: NotifyFlags::default(),
            notify_interval_ms: 500,
            create_dirs: false,
        }
    }
}

/// One file of a job: from where, to where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileSpec {
    /// An absolute http or https URL, at most 2 200 bytes (FILE-1, LIM-11).
    pub url: String,
    /// Other URLs of the same bytes, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// An absolute path.
    #[schema(value_type = String)]
    pub destination: PathBuf,
    /// Digests that the file at the destination must have, at most 8. Of a file with ranges: what they make together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["sha256:…64 hexadecimal digits"]))]
    pub digests: Vec<Digest>,
    /// Where a publisher's list of checksums or a Metalink names digests of the remote file: an https URL. It is asked each
    /// time the file is put on its way, and what it names must hold like the digests above (TRUST-11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_from: Option<String>,
    /// The parts of the remote file that make the local one, in this order; the whole remote file if empty (RNG-4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RemoteRange>,
}

/// How much a job may have. `None` is for administrators, who are exempt (LIM-9, 10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Files of the job.
    pub files_per_job: Option<u32>,
    /// Ranges of each file.
    pub ranges_per_file: Option<u32>,
}

impl Limits {
    /// For administrators.
    pub const EXEMPT: Self = Self { files_per_job: None, ranges_per_file: None };
}

impl Default for Limits {
    fn default() -> Self {
        Self { files_per_job: Some(200), ranges_per_file: Some(500) }
    }
}

impl Spec {
    /// Whether this can be a job.
    ///
    /// # Errors
    /// The first [`SpecError`] found: what is wrong, in which file, and what to do.
    pub fn check(&self, limits: &Limits) -> Result<(), SpecError> {
        self.check_properties()?;
        self.check_files(0, limits)
    }

    /// The job as somebody may see it: header lines only for its owner, and for nobody once they are write-only
    /// (HTTP-36, 37).
    #[must_use]
    pub fn shown(&self, is_owner: bool) -> Self {
        let mut shown = self.clone();
        if !is_owner || self.headers_write_only {
            shown.headers = Headers::default();
        }
        shown
    }

    /// A name for a job that was given none: the name of its first file, or `job` if it has none.
    #[must_use]
    pub fn suggested_name(&self) -> String {
        let name = self.files.first().and_then(|file| file.destination.file_name());
        let name: String = name
            .map(|name| name.to_string_lossy())
            .unwrap_or_default()
            .chars()
            .filter(|letter| !letter.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        if name.is_empty() { "job".to_owned() } else { name }
    }

    fn check_properties(&self) -> Result<(), SpecError> {
        let (name, description) = (self.name.chars().count(), self.description.chars().count());
        if name == 0 {
            return Err(SpecError::NoName);
        }
        if name > NAME_CHARS_MAX {
            return Err(SpecError::NameTooLong { chars: name });
        }
        if description > DESCRIPTION_CHARS_MAX {
            return Err(SpecError::DescriptionTooLong { chars: description });
        }
        let is_layout = |letter: char| letter == '\n' || letter == '\t';
        if self.name.chars().any(char::is_control)
            || self.description.chars().any(|letter| letter.is_control() && !is_layout(letter))
        {
            return Err(SpecError::ControlInText);
        }
        if self.max_time_s == Some(0) {
            return Err(SpecError::NoTime);
        }
        if self.max_size == Some(0) {
            return Err(SpecError::NoSize);
        }
        if self.dynamic && self.on_demand {
            return Err(SpecError::DynamicOnDemand);
        }
        check_headers(&self.headers)
    }

    /// Checks all files; the limits hold for those from `new_from` on: they may have been higher before.
    fn check_files(&self, new_from: usize, limits: &Limits) -> Result<(), SpecError> {
        let count = self.files.len();
        let most = limits.files_per_job.unwrap_or(FILES_MAX).min(FILES_MAX);
        if new_from < count && exceeds(count, most) {
            return Err(SpecError::TooManyFiles { count, most });
        }
        let mut taken: BTreeMap<&Path, usize> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            let limits = if index < new_from { &Limits::EXEMPT } else { limits };
            check_file(index, file, limits)?;
            if self.dynamic && !file.ranges.is_empty() {
                return Err(SpecError::DynamicRanges { file: index });
            }
            if let Some(first) = taken.insert(&file.destination, index) {
                return Err(SpecError::SameDestination { first, second: index });
            }
        }
        Ok(())
    }
}

fn check_file(index: usize, file: &FileSpec, limits: &Limits) -> Result<(), SpecError> {
    check_url(&file.url).map_err(|fault| SpecError::Url { file: index, fault })?;
    if file.mirrors.len() > MIRRORS_MAX {
        return Err(SpecError::TooManyMirrors { file: index, count: file.mirrors.len() });
    }
    for (mirror, url) in file.mirrors.iter().enumerate() {
        check_url(url).map_err(|fault| SpecError::Mirror { file: index, mirror, fault })?;
    }
    if let Some(url) = &file.digest_from {
        check_url(url).map_err(|fault| SpecError::DigestFrom { file: index, fault })?;
        if !url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err(SpecError::InsecureDigests { file: index });
        }
        if !file.ranges.is_empty() {
            return Err(SpecError::DigestsOfParts { file: index });
        }
    }
    if file.digests.len() > DIGESTS_MAX {
        return Err(SpecError::TooManyDigests { file: index, count: file.digests.len() });
    }
    check_destination(index, &file.destination)?;
    let most = limits.ranges_per_file.unwrap_or(RANGES_MAX).min(RANGES_MAX);
    if exceeds(file.ranges.len(), most) {
        return Err(SpecError::TooManyRanges { file: index, count: file.ranges.len(), most });
    }
    check_ranges(index, &file.ranges)
}

/// What can be told of a URL without parsing it. Whoever asks it (`origin`) is stricter.
fn check_url(url: &str) -> Result<(), UrlFault> {
    if url.len() > URL_LEN_MAX {
        return Err(UrlFault::TooLong { len: url.len() });
    }
    if url.chars().any(|letter| letter.is_control() || letter == ' ') {
        return Err(UrlFault::Control);
    }
    let (scheme, rest) = url.split_once("://").ok_or(UrlFault::NotAbsolute)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(UrlFault::Scheme);
    }
    let mut segments = rest.split(['?', '#']).next().unwrap_or_default().split('/');
    if segments.next().is_none_or(str::is_empty) {
        return Err(UrlFault::NotAbsolute);
    }
    match segments.find(|segment| segment.len() > URL_SEGMENT_LEN_MAX) {
        Some(segment) => Err(UrlFault::LongSegment { len: segment.len() }),
        None => Ok(()),
    }
}

fn check_destination(index: usize, destination: &Path) -> Result<(), SpecError> {
    let bytes = destination.as_os_str().as_encoded_bytes();
    if bytes.len() > DESTINATION_LEN_MAX {
        return Err(SpecError::DestinationTooLong { file: index, len: bytes.len() });
    }
    if !destination.is_absolute() {
        return Err(SpecError::RelativeDestination { file: index });
    }
    if destination.file_name().is_none() || bytes.contains(&0) || bytes.ends_with(b"/") {
        return Err(SpecError::NoFileName { file: index });
    }
    Ok(())
}

/// RNG-1, 3, 7: no byte twice, whatever the order; a range to the end has everything after its first byte.
fn check_ranges(index: usize, ranges: &[RemoteRange]) -> Result<(), SpecError> {
    let mut sorted: Vec<(u64, u64, usize)> = Vec::with_capacity(ranges.len());
    for (range, RemoteRange { offset, len }) in ranges.iter().enumerate() {
        let end = len.map_or(Some(u64::MAX), |len| offset.checked_add(len.get()));
        let end = end.ok_or(SpecError::RangeTooFar { file: index, range })?;
        sorted.push((*offset, end, range));
    }
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && start < end
        {
            let (first, second) = (*first.min(second), *first.max(second));
            return Err(SpecError::Overlap { file: index, first, second });
        }
    }
    Ok(())
}

fn check_headers(headers: &Headers) -> Result<(), SpecError> {
    let len: usize = headers.0.iter().map(|line| line.name.len() + line.value.len() + ": \r\n".len()).sum();
    if len > HEADERS_LEN_MAX {
        return Err(SpecError::HeadersTooLong { len });
    }
    for (line, header) in headers.0.iter().enumerate() {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = !header.name.is_empty() && header.name.bytes().all(is_token);
        if !is_name || header.value.chars().any(|letter| letter.is_control() && letter != '\t') {
            return Err(SpecError::NoHeader { line });
        }
        if OWN_HEADERS.iter().any(|own| header.name.eq_ignore_ascii_case(own)) {
            return Err(SpecError::OwnHeader { line, name: header.name.to_ascii_lowercase() });
        }
    }
    Ok(())
}

fn exceeds(count: usize, most: u32) -> bool {
    u32::try_from(count).map_or(true, |count| count > most)
}

fn raised<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    Ok(u64::deserialize(value)?.max(RETRY_DELAY_MIN_S))
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
