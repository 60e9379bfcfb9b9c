//! Bytes of a lease from the origin.
//!
//! Knows: which question to ask for a span and when the body is all of it. Does not know: HTTP (`origin`), pieces.

use std::time::Duration;

use bytes::Bytes;
use peer_proto::content::ByteRange;
use peer_proto::version::Version;

use super::fault;
use crate::engine::io::{LeaseFault, OriginFault, Severity, Span};
use crate::job::{Redirects, Remote};
use crate::origin::{Credentials, Fault, Origin, OriginBody, OriginSpan, RedirectRule, Url};

/// How long the end of a body may take to show once its last byte is here.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// An open body of the origin.
pub(super) struct OriginSource {
    body: OriginBody,
    /// What is still to come of the span; `None` where only the body's end tells.
    left: Option<u64>,
    /// Where the next byte belongs.
    next: u64,
    /// Set where one request may bring only the beginning of the span.
    again: Option<Again>,
}

/// What is needed to ask for the rest of a span.
struct Again {
    origin: Origin,
    url: Url,
    pinned: Version,
    end: u64,
}

impl OriginSource {
    /// Asks the origin for a span under the pinned version.
    pub(super) async fn open(
        origin: &Origin,
        remote: &Remote,
        pinned: Version,
        span: Span,
    ) -> Result<Self, LeaseFault> {
        let (origin, url) = asker(origin, remote).map_err(LeaseFault::Origin)?;
        let (question, left) = match span {
            Span::ToEnd => (OriginSpan::Whole, None),
            // A whole file needs no ranges of the origin.
            Span::Range(range) if range.start() == 0 && pinned.len == Some(range.end()) => {
                (OriginSpan::Whole, Some(range.len()))
            }
            Span::Range(range) => (OriginSpan::Range(range), Some(range.len())),
        };
        let body = origin.open(&url, question, Some(&pinned)).await.map_err(|error| failed(&error))?;
        let (next, end) = match span {
            Span::ToEnd => (0, 0),
            Span::Range(range) => (range.start(), range.end()),
        };
        let again = left.map(|_| Again { origin, url, pinned, end });
        Ok(Self { body, left, next, again })
    }

    /// The next bytes in order; `None` once the span is complete.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let chunk = self.body.next().await.map_err(|error| failed(&error))?;
            match (chunk, &mut self.left) {
                (Some(chunk), Some(left)) => {
                    let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                    if len > *left {
                        return Err(fault::broken_rule("an origin's body is no longer than its promise"));
                    }
                    *left -= len;
                    self.next += len;
                    if *left == 0 {
                        self.end().await?;
                    }
                    return Ok(Some(chunk));
                }
                (chunk, None) => return Ok(chunk),
                // The origin answered a beginning of the range, as it may: ask for the rest.
                (None, Some(_)) => self.ask_again().await?,
            }
        }
    }

    /// The last bytes are here. Looks whether the body ends with them, before they are handed out: one that goes on is
    /// of another version than was promised. Only a body that was read to its end lets its connection be used again. An
    /// end that does not show at once is not waited for.
    async fn end(&mut self) -> Result<(), LeaseFault> {
        match tokio::time::timeout(END_PATIENCE, self.body.next()).await {
            Err(_) | Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(_))) => Err(fault::broken_rule("an origin's body is no longer than its promise")),
            Ok(Err(error)) => match error.fault() {
                // Every byte that was promised came before that.
                Fault::Cut { .. } | Fault::TimedOut { .. } => Ok(()),
                _ => Err(failed(&error)),
            },
        }
    }

    async fn ask_again(&mut self) -> Result<(), LeaseFault> {
        let short = || fault::broken_rule("an origin's body is as long as its promise");
        let again = self.again.as_ref().ok_or_else(short)?;
        let rest = ByteRange::new(self.next..again.end).ok_or_else(short)?;
        if self.body.start() >= self.next {
            // Nothing came at all: asking for ever helps nobody.
            return Err(LeaseFault::Origin(OriginFault {
                severity: Severity::Transient { retry_after: None },
                message: "the origin answered with an empty part".into(),
                status: None,
                redirect: None,
            }));
        }
        self.body = again
            .origin
            .open(&again.url, OriginSpan::Range(rest), Some(&again.pinned))
            .await
            .map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// The client for a job's requests, with its header lines and its rule for redirects, and the URL to ask.
pub(super) fn asker(origin: &Origin, remote: &Remote) -> Result<(Origin, Url), OriginFault> {
    let url = crate::origin::parse_url(&remote.url).map_err(|error| fault::unaskable(&error))?;
    let redirects = match remote.redirects {
        Redirects::Follow | Redirects::Report => RedirectRule::Follow,
        Redirects::Deny => RedirectRule::Refuse,
    };
    let origin = origin.with_redirects(redirects);
    if remote.headers.0.is_empty() {
        return Ok((origin, url));
    }
    let lines = remote.headers.0.iter().map(|header| (header.name.as_str(), header.value.as_str()));
    let credentials = Credentials::new(&url, lines).map_err(|error| fault::unaskable(&error))?;
    Ok((origin.with_credentials(credentials), url))
}

fn failed(error: &crate::origin::OriginError) -> LeaseFault {
    LeaseFault::Origin(fault::origin(error))
}
