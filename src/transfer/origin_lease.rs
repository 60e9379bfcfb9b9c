//! What an origin serves, and bytes of a lease from it.
//!
//! Knows: which questions to ask for a span and when a body is all of it. Does not know: HTTP (`origin`), pieces, where
//! local bytes lie in the remote file (`layout`).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use peer_proto::content::ByteRange;
use peer_proto::digest::Digest;
use peer_proto::version::Version;

use super::fault;
use super::layout::{Layout, LayoutError};
use crate::engine::io::{Footing, LeaseFault, OriginFault, Probe, Severity, Span};
use crate::job::{Redirects, Remote};
use crate::origin::{
    Credentials, Fault, Origin, OriginBody, OriginError, OriginSeverity, OriginSpan, RedirectRule,
    SEVERAL_LEN_MAX, SEVERAL_MAX, SeveralBody, SeveralFault, Url,
};

/// How long the end of a body may take to show once its last byte is here.
const END_PATIENCE: Duration = Duration::from_millis(500);

/// An open body of the origin, and what follows it.
pub(super) struct OriginSource {
    asker: Asker,
    body: Body,
    /// Parts after the current one that come in the same answer.
    following: usize,
    /// Where the next byte lies in the remote file.
    next: u64,
    /// Where the current part ends there; `None` where only the body's end tells.
    end: Option<u64>,
    /// The parts after this one.
    rest: VecDeque<ByteRange>,
}

/// What is read now.
enum Body {
    One(OriginBody),
    Several(SeveralBody),
}

/// Asks for parts of one version of one remote file.
struct Asker {
    origin: Origin,
    url: Url,
    pinned: Version,
    /// Whether the local file is made of ranges.
    is_laid_out: bool,
    /// Whether the remote file is made as it is asked for.
    is_dynamic: bool,
}

impl OriginSource {
    /// Asks the origin for a span under the pinned version.
    pub(super) async fn open(
        origin: &Origin,
        remote: &Remote,
        pinned: &Version,
        span: Span,
    ) -> Result<Self, LeaseFault> {
        let (origin, url) = asker(origin, remote).map_err(LeaseFault::Origin)?;
        let (pinned, layout) = Layout::behind(pinned, &remote.ranges)
            .map_err(|error| LeaseFault::Origin(fault::layout(&error)))?;
        let is_laid_out = layout.is_some();
        let mut rest = match (layout, span) {
            (Some(layout), Span::Range(range)) => layout.remote(range),
            (Some(layout), Span::ToEnd) => layout.whole().map(|all| layout.remote(all)).unwrap_or_default(),
            (None, Span::Range(range)) => VecDeque::from([range]),
            (None, Span::ToEnd) => VecDeque::new(),
        };
        let asker = Asker { origin, url, pinned, is_laid_out, is_dynamic: remote.dynamic };
        let first = rest.pop_front();
        let (body, following) = asker.begin(first, &rest).await?;
        let (next, end) = (first.map_or(0, |part| part.start()), first.map(|part| part.end()));
        Ok(Self { asker, body, following, next, end, rest })
    }

    /// From now on the next bytes are at most so many.
    pub(super) fn limit_read(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match &mut self.body {
            Body::One(body) => body.limit_read(len),
            Body::Several(body) => body.limit_read(len),
        }
    }

    /// The next bytes in order; `None` once the span is complete.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LeaseFault> {
        loop {
            if self.end == Some(self.next) {
                let Some(part) = self.rest.pop_front() else { return Ok(None) };
                match self.following.checked_sub(1) {
                    Some(left) => self.following = left,
                    None => (self.body, self.following) = self.asker.begin(Some(part), &self.rest).await?,
                }
                (self.next, self.end) = (part.start(), Some(part.end()));
            }
            let Some(chunk) = self.chunk().await? else { continue };
            match (chunk, self.end) {
                (Some(chunk), Some(end)) => {
                    self.next += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                    if self.next > end {
                        return Err(fault::broken_rule("an origin's body is no longer than its promise"));
                    }
                    if self.next == end && self.following == 0 {
                        self.finish().await?;
                    }
                    return Ok(Some(chunk));
                }
                (chunk, None) => return Ok(chunk),
                // The origin answered a beginning of the range, as it may: ask for the rest.
                (None, Some(end)) => self.ask_again(end).await?,
            }
        }
    }

    /// What comes next; nothing if the parts must be asked for one by one from here on (RNG-17).
    async fn chunk(&mut self) -> Result<Option<Option<Bytes>>, LeaseFault> {
        let fault = match &mut self.body {
            Body::One(body) => return body.next().await.map(Some).map_err(|error| self.asker.failed(&error)),
            Body::Several(body) => match body.next().await {
                Ok(Some(chunk)) => return Ok(Some(Some(chunk))),
                Ok(None) => SeveralFault::NotAsAsked,
                Err(fault) => fault,
            },
        };
        if let SeveralFault::Origin(error) = fault {
            return Err(self.asker.failed(&error));
        }
        self.asker.origin.deny_several(&self.asker.url);
        let left = self.end.and_then(|end| ByteRange::new(self.next..end));
        self.body = Body::One(self.asker.ask(left).await?);
        self.following = 0;
        Ok(None)
    }

    /// The last bytes are here. Looks whether the body ends with them, before they are handed out: one that goes on is
    /// of another version than was promised. Only a body that was read to its end lets its connection be used again. An
    /// end that does not show at once is not waited for.
    async fn finish(&mut self) -> Result<(), LeaseFault> {
        let body = match &mut self.body {
            Body::One(body) => body,
            // What is wrong behind the last part does it no harm.
            Body::Several(body) => {
                drop(tokio::time::timeout(END_PATIENCE, body.next()).await);
                return Ok(());
            }
        };
        match tokio::time::timeout(END_PATIENCE, body.next()).await {
            Err(_) | Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(_))) => Err(fault::broken_rule("an origin's body is no longer than its promise")),
            Ok(Err(error)) => match error.fault() {
                // Every byte that was promised came before that.
                Fault::Cut { .. } | Fault::TimedOut { .. } => Ok(()),
                _ => Err(self.asker.failed(&error)),
            },
        }
    }

    async fn ask_again(&mut self, end: u64) -> Result<(), LeaseFault> {
        let short = || fault::broken_rule("an origin's body is as long as its promise");
        let rest = ByteRange::new(self.next..end).ok_or_else(short)?;
        if matches!(&self.body, Body::One(body) if body.start() >= self.next) {
            // Nothing came at all: asking for ever helps nobody.
            let severity = Severity::Transient { retry_after: None };
            let fault = OriginFault::new(severity, "the origin answered with an empty part", None);
            return Err(LeaseFault::Origin(fault));
        }
        self.body = Body::One(self.asker.ask(Some(rest)).await?);
        Ok(())
    }
}

impl Asker {
    /// Asks for a part and as many of those behind it as go into one request; says how many follow it.
    async fn begin(
        &self,
        first: Option<ByteRange>,
        rest: &VecDeque<ByteRange>,
    ) -> Result<(Body, usize), LeaseFault> {
        let is_short = |part: &ByteRange| part.len() <= SEVERAL_LEN_MAX;
        let parts = first.into_iter().chain(rest.iter().copied()).take_while(is_short);
        let parts: Vec<ByteRange> = parts.take(SEVERAL_MAX).collect();
        if parts.len() > 1 {
            let opening = self.origin.open_several(&self.url, &parts, &self.pinned);
            if let Some(body) = opening.await.map_err(|error| self.failed(&error))? {
                return Ok((Body::Several(body), parts.len() - 1));
            }
        }
        Ok((Body::One(self.ask(first).await?), 0))
    }

    /// Asks for a part of the remote file, or for all of it.
    async fn ask(&self, part: Option<ByteRange>) -> Result<OriginBody, LeaseFault> {
        if self.is_dynamic {
            return self.origin.open_dynamic(&self.url).await.map_err(|error| self.failed(&error));
        }
        let span = part.map_or(OriginSpan::Whole, OriginSpan::Range);
        let opening = self.origin.open(&self.url, span, Some(&self.pinned));
        opening.await.map_err(|error| self.failed(&error))
    }

    /// A file of ranges is never fetched as one stream from zero (RNG-6).
    fn failed(&self, error: &OriginError) -> LeaseFault {
        LeaseFault::Origin(match error.severity() {
            OriginSeverity::NoRanges if self.is_laid_out => fault::layout(&LayoutError::NoRanges),
            _ => fault::origin(error),
        })
    }
}

/// Asks the origin what it serves now, and says it of the local file.
pub(super) async fn probe(origin: &Origin, remote: &Remote) -> Result<Probe, OriginFault> {
    let (origin, url) = asker(origin, remote)?;
    if remote.dynamic {
        return Ok(unasked(&url));
    }
    let answer = origin.probe(&url).await.map_err(|error| fault::origin(&error))?;
    let layout = Layout::of(&remote.ranges, answer.version.len).map_err(|error| fault::layout(&error))?;
    if layout.is_some() && !answer.ranges {
        return Err(fault::layout(&LayoutError::NoRanges));
    }
    // What the origin states of the whole remote file says nothing of parts of it.
    let (version, digests) = match layout {
        None => (answer.version, answer.digests),
        Some(layout) => (layout.local_version(answer.version), Vec::new()),
    };
    Ok(Probe {
        version,
        ranges: answer.ranges,
        digests,
        public: answer.public,
        footing: Footing {
            secure: answer.secure,
            varies: answer.varies,
            date_unix_s: answer.date,
            anchor: answer.anchor.map(|anchor| anchor.fingerprint),
            is_own_anchor: answer.anchor.is_none_or(|anchor| anchor.is_extra),
        },
        round_trip: answer.round_trip,
        final_url: answer.final_url.into(),
        headers: answer.headers,
    })
}

/// What a publisher's list of checksums names for the file of a URL. The job's own header lines are not for the list's host.
pub(super) async fn digests(origin: &Origin, list: &str, url: &str) -> Result<Vec<Digest>, OriginFault> {
    let parsed = |url| crate::origin::parse_url(url).map_err(|error| fault::unaskable(&error));
    let (list, url) = (parsed(list)?, parsed(url)?);
    origin.checksums(&list, &url).await.map_err(|error| fault::checksums(&error))
}

/// What is known of a file that is made when it is asked for: nothing, and it is for nobody else (HTTP-15).
fn unasked(url: &Url) -> Probe {
    let final_origin = url.origin().ascii_serialization();
    Probe {
        version: Version { final_origin, etag: None, last_modified: None, len: None },
        ranges: false,
        digests: Vec::new(),
        public: false,
        footing: Footing::default(),
        round_trip: Duration::ZERO,
        final_url: String::new(),
        headers: Vec::new(),
    }
}

/// The client for a job's requests, with its header lines and its rule for redirects, and the URL to ask.
fn asker(origin: &Origin, remote: &Remote) -> Result<(Origin, Url), OriginFault> {
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
