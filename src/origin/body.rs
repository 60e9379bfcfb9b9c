//! The bytes of an answer, held to what its head promised.
//!
//! Knows: how many bytes are to come, and that a body which ends early, late or never is an error. Does not know:
//! what the bytes are.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use peer_proto::version::Version;
use tokio::time::timeout;
use url::Url;

use super::Inner;
use super::channel::{Channel, body_fault};
use super::error::{Fault, OriginError, Phase, Violation};
use super::place::{Placed, Promise};
use super::pool::Destination;
use super::redirect::Reached;

/// A body on its way. Dropping it before the end closes its connection.
pub struct OriginBody {
    inner: Arc<Inner>,
    job_url: Url,
    at: String,
    to: Destination,
    placed: Placed,
    skip_left: u64,
    received: u64,
    state: State,
}

enum State {
    Reading { channel: Channel, incoming: Incoming },
    Finished,
    Failed(Fault),
}

impl std::fmt::Debug for OriginBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginBody")
            .field("at", &self.at)
            .field("start", &self.placed.start)
            .field("promise", &self.placed.promise)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl OriginBody {
    pub(super) fn new(inner: Arc<Inner>, job_url: Url, reached: Reached, placed: Placed) -> Self {
        let Reached { incoming, channel, to, url, .. } = reached;
        let state = if placed.promise == Promise::First(0) {
            State::Finished
        } else {
            State::Reading { channel, incoming }
        };
        let skip_left = placed.skip;
        Self { inner, job_url, at: super::url::place(&url), to, placed, skip_left, received: 0, state }
    }

    /// The version these bytes belong to; the pinned one, if one was named.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.placed.version
    }

    /// Offset in the file of the first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.placed.start
    }

    /// One past the last byte that will come: at most what was asked for, possibly less (the rest is asked for
    /// again). `None` while the length is unknown.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        match (self.placed.promise, &self.state) {
            (Promise::Exactly(count) | Promise::First(count) | Promise::Pinned(count), _) => {
                Some(self.placed.start.saturating_add(count))
            }
            (Promise::Open, State::Finished) => Some(self.placed.start.saturating_add(self.received)),
            (Promise::Open, State::Reading { .. } | State::Failed(_)) => None,
        }
    }

    /// Bytes handed out so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether everything that was promised has come, and ended in good order.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// From now on the next bytes are at most so many, for whoever takes them slowly: the origin then sees a steady
    /// reader, not one that is silent for long.
    pub fn limit_read(&mut self, len: usize) {
        if let State::Reading { channel, .. } = &self.state {
            channel.limit_read(len);
        }
    }

    /// The next bytes, never empty; `None` once the body has ended in good order. Read on until `None`: only then is
    /// the end proved and the connection kept for the next question.
    ///
    /// # Errors
    /// The body broke off, was silent for too long, or brought other than its head promised. The same error comes
    /// again when asked again; bytes handed out before stay good.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; the next call goes on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OriginError> {
        let limit = self.inner.config.no_progress;
        loop {
            let (channel, incoming) = match &mut self.state {
                State::Reading { channel, incoming } => (channel, incoming),
                State::Finished => return Ok(None),
                State::Failed(fault) => {
                    return Err(OriginError { at: self.at.clone(), fault: fault.clone() });
                }
            };
            let step = match timeout(limit, poll_fn(|cx| channel.poll_body(cx, incoming))).await {
                Err(_) if self.is_complete() => Step::Finish,
                Err(_) => Step::Fail(Fault::TimedOut { phase: Phase::Body, limit }),
                Ok(None) => self.at_end(),
                Ok(Some(Err(_))) if self.is_complete() => Step::Finish,
                Ok(Some(Err(error))) => Step::Fail(body_fault(&error, self.received)),
                Ok(Some(Ok(frame))) => frame.into_data().map_or(Step::Nothing, |bytes| self.accept(bytes)),
            };
            match step {
                Step::Nothing => {}
                Step::Bytes(bytes) => return Ok(Some(bytes)),
                Step::LastBytes(bytes) => {
                    self.finish(Reuse::No);
                    return Ok(Some(bytes));
                }
                Step::Finish => {
                    self.finish(Reuse::No);
                    return Ok(None);
                }
                Step::FinishAndKeep => {
                    self.finish(Reuse::Yes);
                    return Ok(None);
                }
                Step::Fail(fault) => return Err(self.fail(fault)),
            }
        }
    }

    fn accept(&mut self, mut bytes: Bytes) -> Step {
        let length = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let skipped = self.skip_left.min(length(&bytes));
        self.skip_left -= skipped;
        bytes.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return Step::Nothing;
        }
        let left = self.left().unwrap_or(u64::MAX);
        let is_last = match self.placed.promise {
            Promise::Open => false,
            Promise::Exactly(_) if length(&bytes) > left => {
                return Step::Fail(Fault::broken(Violation::TooMuch));
            }
            Promise::Pinned(_) if length(&bytes) > left => {
                return Step::Fail(Fault::VersionChanged { what: "length" });
            }
            Promise::Exactly(_) | Promise::Pinned(_) => false,
            Promise::First(_) => {
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                length(&bytes) == left
            }
        };
        self.received += length(&bytes);
        if is_last { Step::LastBytes(bytes) } else { Step::Bytes(bytes) }
    }

    fn at_end(&self) -> Step {
        match (self.placed.promise, self.left()) {
            (_, Some(0) | None) if self.skip_left == 0 => Step::FinishAndKeep,
            (Promise::Pinned(_), _) => Step::Fail(Fault::VersionChanged { what: "length" }),
            _ => Step::Fail(Fault::Cut {
                received: self.received,
                reason: "it ended before its length".into(),
            }),
        }
    }

    /// Whether every promised byte is here although the end was not seen.
    fn is_complete(&self) -> bool {
        matches!(self.placed.promise, Promise::Exactly(_)) && self.left() == Some(0)
    }

    fn left(&self) -> Option<u64> {
        match self.placed.promise {
            Promise::Exactly(count) | Promise::First(count) | Promise::Pinned(count) => {
                Some(count.saturating_sub(self.received))
            }
            Promise::Open => None,
        }
    }

    fn finish(&mut self, reuse: Reuse) {
        let state = std::mem::replace(&mut self.state, State::Finished);
        if let (State::Reading { channel, .. }, Reuse::Yes) = (state, reuse) {
            self.inner.pool.put(self.to.clone(), channel);
        }
        self.inner.habits.forgive(&self.job_url);
    }

    fn fail(&mut self, fault: Fault) -> OriginError {
        let error = self.inner.blame(&self.job_url, self.at.clone(), fault);
        self.state = State::Failed(error.fault.clone());
        error
    }
}

enum Step {
    Nothing,
    Bytes(Bytes),
    LastBytes(Bytes),
    Finish,
    FinishAndKeep,
    Fail(Fault),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}
