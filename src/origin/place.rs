//! Judges an answer against what was asked: which bytes of which version follow.
//!
//! Knows: pinning (ATTEST-3), placement by `Content-Range` (D05, D06), answers without ranges (D04, D11). Does not
//! know: connections.

use peer_proto::content::ByteRange;
use peer_proto::version::Version;
use url::Url;

use super::answer::{ContentRange, Framing, Head};
use super::error::{Fault, Violation};

/// Which bytes are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginSpan {
    /// Everything, from zero.
    Whole,
    /// These bytes.
    Range(ByteRange),
}

/// What a body brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// The version, completed by the pinned one where an answer may leave something out.
    pub(super) version: Version,
    /// Offset in the file of the first byte to deliver.
    pub(super) start: u64,
    /// Bytes before it that are read and dropped.
    pub(super) skip: u64,
    /// Bytes to deliver.
    pub(super) promise: Promise,
}

/// How many bytes are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Promise {
    /// So many, and then the body ends.
    Exactly(u64),
    /// So many; the origin sends more than was asked, which is dropped with the connection.
    First(u64),
    /// As many as the pinned version is long, although this answer does not say so.
    Pinned(u64),
    /// Until the sender marks the end.
    Open,
}

/// What was asked, as far as the answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The range in the `Range` field, if there was one.
    pub(super) range: Option<ByteRange>,
    pub(super) pinned: Option<&'a Version>,
}

/// What follows the head of an answer to GET.
pub(super) fn judge(head: &Head, url: &Url, asked: Asked<'_>) -> Result<Placed, Fault> {
    if let (Some(coding), 200 | 206) = (&head.coding, head.status) {
        return Err(Fault::Encoded { coding: coding.clone() });
    }
    match (head.status, asked.range) {
        (200, None) => whole(head, url, asked.pinned),
        (200, Some(_)) => {
            let version = head.version(url, head.stated_len());
            if let Some(pinned) = asked.pinned {
                settle(pinned, version, Lenient::Len)?;
            }
            Err(Fault::NoRanges)
        }
        (206, None) => Err(Fault::broken(Violation::NotAsked)),
        (206, Some(range)) => part(head, url, range, asked.pinned),
        (416, Some(range)) => unsatisfied(head, url, range, asked.pinned),
        _ => Err(head.status_fault()),
    }
}

fn whole(head: &Head, url: &Url, pinned: Option<&Version>) -> Result<Placed, Fault> {
    let seen = head.version(url, head.stated_len());
    let version = match pinned {
        Some(pinned) => settle(pinned, seen, Lenient::Len)?,
        None => seen,
    };
    let promise = match (head.framing, version.len) {
        (Framing::Sized(len), _) => Promise::Exactly(len),
        (Framing::Marked, Some(len)) => Promise::Pinned(len),
        (Framing::Marked, None) => Promise::Open,
        (Framing::Closed, _) => return Err(Fault::NoLength),
    };
    Ok(Placed { version, start: 0, skip: 0, promise })
}

fn part(head: &Head, url: &Url, range: ByteRange, pinned: Option<&Version>) -> Result<Placed, Fault> {
    let Some(ContentRange::Part { start, end, len }) = head.content_range else {
        return Err(Fault::broken(Violation::NoContentRange));
    };
    let seen = head.version(url, len);
    let version = match pinned {
        Some(pinned) => settle(pinned, seen, Lenient::LenAndDate)?,
        None => seen,
    };
    let wanted_end = range.end().min(len.unwrap_or(u64::MAX));
    let covers_end = end >= wanted_end;
    let fits = start == range.start() || (start < range.start() && covers_end);
    if !fits || end <= range.start() {
        return Err(Fault::broken(Violation::WrongRange));
    }
    // Without a Content-Length the label itself is the promise.
    if head.stated_len().is_some_and(|sent| sent != end - start) {
        return Err(Fault::broken(Violation::RangeAndLength));
    }
    let promise = if end > wanted_end {
        Promise::First(wanted_end - range.start())
    } else {
        Promise::Exactly(end - range.start())
    };
    Ok(Placed { version, start: range.start(), skip: range.start() - start, promise })
}

/// 416: right after the end of the pinned version there is nothing, and that is no error (D11).
fn unsatisfied(head: &Head, url: &Url, range: ByteRange, pinned: Option<&Version>) -> Result<Placed, Fault> {
    let (Some(ContentRange::Unsatisfied { len }), Some(pinned)) = (head.content_range, pinned) else {
        return Err(if head.content_range.is_some() { head.status_fault() } else { Fault::NoRanges });
    };
    if pinned.len != Some(len) {
        return Err(Fault::VersionChanged { what: "length" });
    }
    if range.start() < len {
        return Err(Fault::NoRanges);
    }
    let mut seen = head.version(url, Some(len));
    seen.etag = seen.etag.or_else(|| pinned.etag.clone());
    seen.last_modified = seen.last_modified.or_else(|| pinned.last_modified.clone());
    let version = settle(pinned, seen, Lenient::Len)?;
    Ok(Placed { version, start: len, skip: 0, promise: Promise::First(0) })
}

/// What follows the head of an answer that was made for this question.
pub(super) fn dynamic(head: &Head, url: &Url) -> Result<Placed, Fault> {
    match (judge(head, url, Asked { range: None, pinned: None }), head.framing) {
        (Err(Fault::NoLength), Framing::Closed) => {
            Ok(Placed { version: head.version(url, None), start: 0, skip: 0, promise: Promise::Open })
        }
        (placed, _) => placed,
    }
}

/// What follows the head of an answer with several ranges: the bytes of all its parts and what is between them. `None`
/// if it is another answer, or one whose end could not be told from a cut.
pub(super) fn several(head: &Head, url: &Url, pinned: &Version) -> Result<Option<Placed>, Fault> {
    if head.status != 206 || head.content_range.is_some() || head.coding.is_some() {
        return Ok(None);
    }
    let version = settle(pinned, head.version(url, None), Lenient::LenAndDate)?;
    let promise = match head.framing {
        Framing::Sized(len) => Promise::Exactly(len),
        Framing::Marked => Promise::Open,
        Framing::Closed => return Ok(None),
    };
    Ok(Some(Placed { version, start: 0, skip: 0, promise }))
}

/// What an answer may leave out without being of another version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lenient {
    /// A length that is not stated contradicts nothing, where a validator agrees.
    Len,
    /// Also Last-Modified: a 206 to `If-Range` with a strong ETag need not repeat it (RFC 9110, 15.3.7).
    LenAndDate,
}

fn settle(pinned: &Version, mut seen: Version, lenient: Lenient) -> Result<Version, Fault> {
    let same_etag = pinned.strong_etag().is_some() && pinned.etag == seen.etag;
    if lenient == Lenient::LenAndDate && same_etag && seen.last_modified.is_none() {
        seen.last_modified.clone_from(&pinned.last_modified);
    }
    let same_validator =
        same_etag || (seen.last_modified.is_some() && seen.last_modified == pinned.last_modified);
    if seen.len.is_none() && same_validator {
        seen.len = pinned.len;
    }
    let changed = |what| Err(Fault::VersionChanged { what });
    if seen.final_origin != pinned.final_origin {
        return changed("final origin");
    }
    if seen.etag != pinned.etag {
        return changed("ETag");
    }
    if seen.last_modified != pinned.last_modified {
        return changed("Last-Modified");
    }
    if seen.len != pinned.len {
        return changed("length");
    }
    Ok(seen)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
