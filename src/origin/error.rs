//! What can go wrong between us and an origin, and who must act on it.
//!
//! Knows: the classes of HTTP status (HTTP-21), severities, one line for people without secrets. Does not know: how
//! often a caller tries again.

use std::net::IpAddr;
use std::time::Duration;

use super::url::UrlError;

/// A question to an origin that brought no usable answer, or a body that broke off.
///
/// Its text is one line: scheme, host and port, then what happened. Paths, queries, credentials and headers we sent
/// are never part of it.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct OriginError {
    /// Scheme, host and port that were asked; the path too where a job's own URL is answered by an error.
    pub(super) at: String,
    /// What happened.
    pub(super) fault: Fault,
}

/// Who must act on an [`OriginError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginSeverity {
    /// May pass: try again, not before the given time if the origin named one (at most one hour).
    Transient {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Will not pass by itself.
    Fatal,
    /// The origin serves another version now: the file starts again.
    VersionChanged,
    /// The origin does not give ranges: one stream from zero.
    NoRanges,
}

/// What happened, for whoever needs more than the severity.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The name has no address now.
    #[error("cannot resolve the name: {reason}")]
    Unresolved {
        /// What the resolver said.
        reason: String,
    },
    /// The address may not be asked (LOCAL-7).
    #[error("{address} is refused: {reason}")]
    AddressRefused {
        /// The address the name led to.
        address: IpAddr,
        /// The rule.
        reason: &'static str,
    },
    /// A redirect that is not followed.
    #[error("redirect refused: {0}")]
    Redirect(RedirectFault),
    /// No TCP connection, or it was lost before the answer.
    #[error("no connection: {reason}")]
    Unreachable {
        /// What the operating system said.
        reason: String,
    },
    /// The connection ended before an answer.
    #[error("the connection ended before an answer: {reason}")]
    NoAnswer {
        /// What ended it.
        reason: String,
    },
    /// Nothing happened for too long.
    #[error("{phase} took longer than {} s", .limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        phase: Phase,
        /// How long.
        limit: Duration,
    },
    /// The certificate is not trusted, or is not this host's.
    #[error("certificate refused: {reason}")]
    Certificate {
        /// What the check said.
        reason: String,
    },
    /// TLS failed for another reason.
    #[error("TLS failed: {reason}")]
    Tls {
        /// What the TLS library said.
        reason: String,
        /// Whether the two sides will never agree as they are.
        hopeless: bool,
    },
    /// The other side of an https connection does not speak TLS.
    #[error("the port does not speak TLS: if plain HTTP is what it speaks, and is enough, write http://")]
    NotTls,
    /// The other side of a plain connection speaks TLS.
    #[error("the port speaks TLS, not plain HTTP: write https://")]
    SpeaksTls,
    /// The proxy did not open a tunnel.
    #[error("the proxy answered {status} to CONNECT")]
    Proxy {
        /// Its status.
        status: u16,
    },
    /// An answer that is no success.
    #[error("HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// What `Retry-After` said, capped at one hour.
        retry_after: Option<Duration>,
    },
    /// The body ended before the promised length, or the connection did.
    #[error("the body broke off after {received} bytes: {reason}")]
    Cut {
        /// Bytes that had arrived.
        received: u64,
        /// What was missing.
        reason: String,
    },
    /// An answer that breaks the rules of HTTP or contradicts what was asked; none of it is used (D05, D13).
    #[error("unusable answer: {violation}")]
    Broken {
        /// Which rule.
        violation: Violation,
        /// Whether this origin has broken rules so often that asking again is useless.
        hopeless: bool,
    },
    /// Compressed although identity was asked for; there is no decoder here (D10, T16).
    #[error("the body is encoded as {coding}, although only identity was asked for")]
    Encoded {
        /// The coding that was named.
        coding: String,
    },
    /// Only the closed connection would end the body: a cut could not be told from the end (D09).
    #[error("the answer states no length and is not chunked, so its end could not be told from a cut")]
    NoLength,
    /// Another version than the pinned one.
    #[error("the content changed: another {what}")]
    VersionChanged {
        /// Which part of the version differs.
        what: &'static str,
    },
    /// 200, or 416 without need, to a range request.
    #[error("the origin does not answer range requests")]
    NoRanges,
}

/// Why a redirect was not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectFault {
    /// More than ten.
    #[error("more than 10 in a row")]
    TooMany,
    /// It led to a place it came from.
    #[error("it goes round in a circle")]
    Loop,
    /// From https to http (T13).
    #[error("it leads from https to http")]
    Downgrade,
    /// No usable `Location`.
    #[error("it names no place")]
    NoPlace,
    /// A place that may not be asked.
    #[error("{0}")]
    Place(UrlError),
    /// The job follows none (HTTP-17).
    #[error("the job follows none, and this one leads to {place}")]
    Refused {
        /// Scheme, host and port it leads to.
        place: String,
        /// The URL it leads to, which may hold secrets in its path and query.
        target: String,
        /// The status of the redirect.
        status: u16,
    },
}

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Name, TCP, TLS.
    Connect,
    /// The head of the answer.
    Head,
    /// The next bytes of a body.
    Body,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Head => "the answer",
            Self::Body => "the next bytes of the body",
        })
    }
}

/// A rule that an answer broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// Not HTTP, or fields that cannot be read.
    #[error("not a well-formed HTTP answer")]
    Garbled,
    /// More than 64 KiB or more than 100 fields.
    #[error("its head is longer than 64 KiB or has more than 100 fields")]
    HeadTooLong,
    /// Two lengths, or a length beside a transfer coding.
    #[error("it states its length twice")]
    TwoLengths,
    /// A length that is no number below 2^63.
    #[error("its length is no usable number")]
    BadLength,
    /// A transfer coding other than `chunked`.
    #[error("its transfer coding is not chunked")]
    TransferCoding,
    /// A field that may stand once stands twice.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// A validator that is too long to keep.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// 206 to a request without range.
    #[error("a part was sent although the whole was asked for")]
    NotAsked,
    /// 206 without a `Content-Range` that can be read.
    #[error("a part without a readable Content-Range")]
    NoContentRange,
    /// `Content-Range` is neither a beginning of what was asked nor all of it.
    #[error("Content-Range does not fit what was asked")]
    WrongRange,
    /// The length of the body is not that of its `Content-Range`.
    #[error("Content-Range and Content-Length disagree")]
    RangeAndLength,
    /// A body with more bytes than its head promised.
    #[error("the body is longer than its head promised")]
    TooMuch,
    /// Chunks that cannot be read.
    #[error("the chunks of the body are malformed")]
    BadChunks,
}

impl OriginError {
    /// Who must act.
    #[must_use]
    pub fn severity(&self) -> OriginSeverity {
        self.fault.severity()
    }

    /// The HTTP status, if an answer with a status of error was the reason.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.fault {
            Fault::Status { status, .. }
            | Fault::Proxy { status }
            | Fault::Redirect(RedirectFault::Refused { status, .. }) => Some(status),
            _ => None,
        }
    }

    /// What happened.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl Fault {
    pub(super) fn broken(violation: Violation) -> Self {
        Self::Broken { violation, hopeless: false }
    }

    pub(super) fn severity(&self) -> OriginSeverity {
        const TRANSIENT: OriginSeverity = OriginSeverity::Transient { retry_after: None };
        match self {
            Self::Unresolved { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::TimedOut { .. }
            | Self::Tls { hopeless: false, .. }
            | Self::Cut { .. }
            | Self::Broken { hopeless: false, .. } => TRANSIENT,
            Self::AddressRefused { .. }
            | Self::Redirect(_)
            | Self::Certificate { .. }
            | Self::Tls { hopeless: true, .. }
            | Self::NotTls
            | Self::SpeaksTls
            | Self::Encoded { .. }
            | Self::NoLength
            | Self::Broken { hopeless: true, .. } => OriginSeverity::Fatal,
            Self::Proxy { status } if is_transient(*status) => TRANSIENT,
            Self::Status { status, retry_after } if is_transient(*status) => {
                OriginSeverity::Transient { retry_after: *retry_after }
            }
            Self::Proxy { .. } | Self::Status { .. } => OriginSeverity::Fatal,
            Self::VersionChanged { .. } => OriginSeverity::VersionChanged,
            Self::NoRanges => OriginSeverity::NoRanges,
        }
    }
}

/// HTTP-21 with our additions 425 and 429; 308 is a redirect like 307.
fn is_transient(status: u16) -> bool {
    match status {
        300..=305 | 307 | 308 => false,
        400..=499 => matches!(status, 408 | 409 | 425 | 429),
        501 | 505 => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_21_statuses_are_transient_or_fatal_as_in_the_table() {
        let transient = [306, 310, 399, 408, 409, 425, 429, 500, 502, 503, 504, 599, 203, 600];
        let fatal =
            [300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 403, 404, 407, 410, 412, 416, 451, 501, 505];
        for status in transient {
            let severity = Fault::Status { status, retry_after: None }.severity();
            assert_eq!(severity, OriginSeverity::Transient { retry_after: None }, "{status}");
        }
        for status in fatal {
            let fault = Fault::Status { status, retry_after: Some(Duration::from_secs(1)) };
            assert_eq!(fault.severity(), OriginSeverity::Fatal, "{status}");
        }
    }

    #[test]
    fn the_text_is_one_line_that_starts_with_the_place() {
        let error = OriginError {
            at: "https://example.org:443".into(),
            fault: Fault::Status { status: 503, retry_after: None },
        };
        assert_eq!(error.to_string(), "https://example.org:443: HTTP status 503");
        assert_eq!(error.status(), Some(503));
    }
}
