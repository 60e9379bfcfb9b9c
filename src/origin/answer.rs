//! What the head of an answer says, read strictly.
//!
//! Knows: the fields a download depends on and which combinations of them are refused (D05, D13). Does not know: what
//! was asked (`place`, `mod`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName};
use http::response::Parts;
use peer_proto::digest::Digest;
use peer_proto::version::Version;
use url::Url;

use super::channel::{HEAD_LEN_MAX, HEADERS_MAX};
use super::connect::one_line;
use super::error::{Fault, Violation};
use super::tls::Anchor;
use super::{repr_digest, url::place};

/// What an origin said about a URL without, or before, sending its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it serves now.
    pub version: Version,
    /// Whether it answers range requests: learned, or advertised and not yet disproved.
    pub ranges: bool,
    /// Strong digests it stated for the whole representation, https on every hop (TRUST-11).
    pub digests: Vec<Digest>,
    /// Whether the answer may be shared with others: no `private`, no `no-store`, no credentials sent.
    pub public: bool,
    /// Whether every hop was https.
    pub secure: bool,
    /// Whether it says that others may be answered otherwise: a `Vary` beyond `Accept-Encoding` and `Origin` (ATTEST-2).
    pub varies: bool,
    /// The root certificate that the answering host's chain ended in.
    pub anchor: Option<Anchor>,
    /// Its `Date`, in seconds since 1970.
    pub date: Option<i64>,
    /// From the last question to its answer.
    pub round_trip: Duration,
    /// The URL that answered; another than was asked if there were redirects. May hold secrets.
    pub final_url: Url,
    /// The header block of the answer in its order, at most 16 KiB of it, without `Set-Cookie` (FILE-19). An origin may
    /// repeat there what it was sent, so it is for the owner only.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("version", &self.version)
            .field("ranges", &self.ranges)
            .field("digests", &self.digests)
            .field("public", &self.public)
            .field("secure", &self.secure)
            .field("varies", &self.varies)
            .field("date", &self.date)
            .field("round_trip", &self.round_trip)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// So many bytes.
    Sized(u64),
    /// The sender says when: chunks, or a stream of HTTP/2.
    Marked,
    /// The connection closes.
    Closed,
}

/// The parsed head of one answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) content_range: Option<ContentRange>,
    pub(super) accept_ranges: Option<bool>,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<i64>,
    pub(super) public: bool,
    pub(super) varies: bool,
    pub(super) digests: Vec<Digest>,
    pub(super) coding: Option<String>,
    pub(super) block: HeaderMap,
}

/// `Content-Range`, in half-open bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentRange {
    /// `bytes a-b/len` or `bytes a-b/*`.
    Part { start: u64, end: u64, len: Option<u64> },
    /// `bytes */len`.
    Unsatisfied { len: u64 },
}

impl Head {
    /// Reads a head. `is_head` tells that HEAD was asked, so that no body follows whatever it says.
    pub(super) fn read(parts: &Parts, is_head: bool) -> Result<Self, Violation> {
        let fields = &parts.headers;
        let total: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if total > HEAD_LEN_MAX || fields.len() > HEADERS_MAX {
            return Err(Violation::HeadTooLong);
        }
        let status = parts.status.as_u16();
        let content_range = match single(fields, &header::CONTENT_RANGE, "Content-Range")? {
            None => None,
            Some(text) => Some(ContentRange::parse(&text).ok_or(Violation::NoContentRange)?),
        };
        let date = single(fields, &header::DATE, "Date").ok().flatten().and_then(|text| unix(&text));
        Ok(Self {
            status,
            framing: framing(parts, is_head)?,
            etag: validator(fields, &header::ETAG, "ETag")?,
            last_modified: validator(fields, &header::LAST_MODIFIED, "Last-Modified")?,
            content_range,
            accept_ranges: accept_ranges(fields),
            location: single(fields, &header::LOCATION, "Location")?,
            retry_after: retry_after(fields, date),
            date,
            public: is_public(fields),
            varies: varies(fields),
            digests: repr_digest::digests(fields),
            coding: coding(fields),
            block: fields.clone(),
        })
    }

    /// The version this head shows, if its length is `len`.
    pub(super) fn version(&self, url: &Url, len: Option<u64>) -> Version {
        Version {
            final_origin: place(url),
            etag: self.etag.clone(),
            last_modified: self.last_modified.clone(),
            len,
        }
    }

    /// The length its framing states.
    pub(super) fn stated_len(&self) -> Option<u64> {
        match self.framing {
            Framing::Sized(len) => Some(len),
            Framing::Marked | Framing::Closed => None,
        }
    }

    /// The header block, for its owner (FILE-19). Bytes beyond ASCII are kept as Latin-1.
    pub(super) fn told_headers(&self) -> Vec<(String, String)> {
        let mut left = BLOCK_LEN_MAX;
        let told = self.block.iter().filter(|(name, _)| *name != header::SET_COOKIE);
        told.map_while(|(name, value)| {
            left = left.checked_sub(name.as_str().len() + value.len() + 4)?;
            let value = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            Some((name.as_str().to_owned(), value))
        })
        .collect()
    }

    /// What its `Content-Type` says, if it stands once.
    pub(super) fn content_type(&self) -> Option<String> {
        single(&self.block, &header::CONTENT_TYPE, "Content-Type").ok().flatten()
    }

    /// What an answer that is no success means.
    pub(super) fn status_fault(&self) -> Fault {
        Fault::Status { status: self.status, retry_after: self.retry_after }
    }
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.split_once(' ')?;
        let (span, total) = rest.trim_start_matches(' ').split_once('/')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        if span == "*" {
            return Some(Self::Unsatisfied { len: number(total)? });
        }
        let (first, last) = span.split_once('-')?;
        let (start, end) = (number(first)?, number(last)?.checked_add(1)?);
        let len = if total == "*" { None } else { Some(number(total)?) };
        (start < end && len.is_none_or(|len| end <= len)).then_some(Self::Part { start, end, len })
    }
}

/// A number below 2^63 written in digits only.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u64>().ok().filter(|value| is_plain && i64::try_from(*value).is_ok())
}

fn framing(parts: &Parts, is_head: bool) -> Result<Framing, Violation> {
    let fields = &parts.headers;
    let len = single(fields, &header::CONTENT_LENGTH, "Content-Length").map_err(|_| Violation::TwoLengths)?;
    let len = len.map(|text| number(&text).ok_or(Violation::BadLength)).transpose()?;
    let codings = all(fields, &header::TRANSFER_ENCODING);
    if !codings.is_empty() && len.is_some() {
        return Err(Violation::TwoLengths);
    }
    if !codings.is_empty() && !codings.join(",").trim().eq_ignore_ascii_case("chunked") {
        return Err(Violation::TransferCoding);
    }
    Ok(match len {
        Some(len) => Framing::Sized(len),
        None if !codings.is_empty() || parts.version == http::Version::HTTP_2 || is_head => Framing::Marked,
        None => Framing::Closed,
    })
}

/// The text of a field that may stand once. Bytes beyond ASCII are kept as Latin-1, so that equal stays equal.
fn single(fields: &HeaderMap, name: &HeaderName, label: &'static str) -> Result<Option<String>, Violation> {
    let mut values = fields.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Violation::Twice(label));
    }
    Ok(Some(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()))
}

fn all(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn validator(
    fields: &HeaderMap,
    name: &HeaderName,
    label: &'static str,
) -> Result<Option<String>, Violation> {
    let text = single(fields, name, label)?.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > VALIDATOR_LEN_MAX) {
        return Err(Violation::TooLong(label));
    }
    Ok(text)
}

fn tokens(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let joined = all(fields, name).join(",");
    joined
        .split(',')
        .map(|token| token.trim().to_ascii_lowercase())
        .filter(|token| !token.is_empty())
        .collect()
}

fn accept_ranges(fields: &HeaderMap) -> Option<bool> {
    let units = tokens(fields, &header::ACCEPT_RANGES);
    (!units.is_empty()).then(|| units.iter().any(|unit| unit == "bytes"))
}

/// LOCAL-1. A directive with fields (`private="x-y"`) counts like one without.
fn is_public(fields: &HeaderMap) -> bool {
    !tokens(fields, &header::CACHE_CONTROL).iter().any(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        name == "private" || name == "no-store"
    })
}

/// ATTEST-2: what these two do to an answer they do not do to ours, which asks for identity and names no origin.
fn varies(fields: &HeaderMap) -> bool {
    tokens(fields, &header::VARY).iter().any(|field| !matches!(field.as_str(), "accept-encoding" | "origin"))
}

fn coding(fields: &HeaderMap) -> Option<String> {
    let codings = tokens(fields, &header::CONTENT_ENCODING);
    codings.into_iter().find(|coding| coding != "identity").map(|coding| one_line(&coding))
}

/// Seconds or a date (which needs the answer's own `Date`: two clocks are not compared); at most one hour (D18).
fn retry_after(fields: &HeaderMap, date: Option<i64>) -> Option<Duration> {
    let text = single(fields, &header::RETRY_AFTER, "Retry-After").ok()??;
    let text = text.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<u64>().unwrap_or(u64::MAX)
    } else {
        let wait = unix(text)?.saturating_sub(date?);
        u64::try_from(wait).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn unix(text: &str) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Bytes of a header block that are kept with a file, line ends included.
const BLOCK_LEN_MAX: usize = 16 * 1_024;
/// Bytes of an ETag or a Last-Modified that are kept with a job.
const VALIDATOR_LEN_MAX: usize = 1_024;
/// Longest wait an origin can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Result<Head, Violation> {
        let mut response = http::Response::builder().status(206);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        Head::read(&response.body(()).unwrap().into_parts().0, false)
    }

    fn range(text: &str) -> Option<ContentRange> {
        ContentRange::parse(text)
    }

    #[test]
    fn d05_content_range_is_read_strictly() {
        let part = |start, end, len| Some(ContentRange::Part { start, end, len });
        assert_eq!(range("bytes 0-0/1"), part(0, 1, Some(1)));
        assert_eq!(range("Bytes 5-9/*"), part(5, 10, None));
        assert_eq!(range("bytes */7"), Some(ContentRange::Unsatisfied { len: 7 }));
        for text in [
            "",
            "bytes",
            "bytes 9-5/10",
            "bytes 0-10/10",
            "bytes 0-9/9",
            "bytes -1-9/10",
            "bytes +0-9/10",
            "bytes 0-9",
            "bytes 0-9/",
            "bytes */*",
            "lines 0-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/18446744073709551616",
            "bytes 0-9/9223372036854775808",
            "bytes zero-nine/ten",
            "bytes=0-9/10",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
        let two = head(&[("content-range", "bytes 0-0/1"), ("content-range", "bytes 0-0/1")]);
        assert_eq!(two.unwrap_err(), Violation::Twice("Content-Range"));
        assert_eq!(head(&[("content-range", "text")]).unwrap_err(), Violation::NoContentRange);
    }

    #[test]
    fn d13_lengths_are_one_plain_number_or_chunks() {
        assert_eq!(head(&[("content-length", "5")]).unwrap().framing, Framing::Sized(5));
        assert_eq!(head(&[("transfer-encoding", "Chunked")]).unwrap().framing, Framing::Marked);
        assert_eq!(head(&[]).unwrap().framing, Framing::Closed);
        for (fields, wanted) in [
            (&[("content-length", "5"), ("content-length", "5")][..], Violation::TwoLengths),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], Violation::TwoLengths),
            (&[("content-length", "5, 6")], Violation::BadLength),
            (&[("content-length", "-5")], Violation::BadLength),
            (&[("content-length", "+5")], Violation::BadLength),
            (&[("content-length", "18446744073709551616")], Violation::BadLength),
            (&[("content-length", "9223372036854775808")], Violation::BadLength),
            (&[("transfer-encoding", "gzip, chunked")], Violation::TransferCoding),
            (&[("transfer-encoding", "identity")], Violation::TransferCoding),
        ] {
            assert_eq!(head(fields).unwrap_err(), wanted, "{fields:?}");
        }
    }

    #[test]
    fn d18_retry_after_is_honoured_and_capped_at_one_hour() {
        let date = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
        let wait = |text: &'static str| head(&[date, ("retry-after", text)]).unwrap().retry_after;
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sat, 21 Nov 2026 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sat, 21 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        for absurd in ["999999", "99999999999999999999999999", "Sat, 21 Nov 2099 10:00:00 GMT"] {
            assert_eq!(wait(absurd), Some(RETRY_AFTER_MAX), "{absurd}");
        }
        for nonsense in ["-5", "+5", "soon", "", "1e3"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        let dateless = head(&[("retry-after", "Sat, 21 Nov 2026 10:01:30 GMT")]).unwrap();
        assert_eq!(dateless.retry_after, None);
    }

    #[test]
    fn local_1_private_and_no_store_answers_are_not_public() {
        assert!(head(&[("cache-control", "public, max-age=60")]).unwrap().public);
        assert!(!head(&[("cache-control", "max-age=0, Private")]).unwrap().public);
        assert!(!head(&[("cache-control", "private=\"set-cookie\"")]).unwrap().public);
        assert!(!head(&[("cache-control", "a"), ("cache-control", "no-store")]).unwrap().public);
    }

    #[test]
    fn attest_2_an_answer_that_varies_with_who_asks_is_seen() {
        for vary in ["Accept-Encoding", "accept-encoding, ORIGIN", ""] {
            assert!(!head(&[("vary", vary)]).unwrap().varies, "{vary}");
        }
        for vary in ["*", "User-Agent", "Accept-Encoding, Cookie"] {
            assert!(head(&[("vary", vary)]).unwrap().varies, "{vary}");
        }
    }

    #[test]
    fn file_19_the_header_block_is_told_up_to_16_kib_and_without_cookies() {
        let long = "x".repeat(BLOCK_LEN_MAX - 20);
        let fields =
            [("X-A", "1"), ("set-cookie", "id=1"), ("X-B", "2"), ("x-long", long.as_str()), ("x-c", "3")];
        let told = head(&fields).unwrap().told_headers();
        assert_eq!(told, [("x-a".to_owned(), "1".to_owned()), ("x-b".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn d10_any_coding_but_identity_is_seen() {
        assert_eq!(head(&[("content-encoding", "identity")]).unwrap().coding, None);
        assert_eq!(head(&[("content-encoding", "identity, GZIP")]).unwrap().coding.as_deref(), Some("gzip"));
    }
}
