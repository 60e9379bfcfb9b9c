//! How long a `get` waits while nothing comes.
//!
//! Knows: what is progress and what is not. Does not know: clocks, what follows when patience is over.

use std::time::Duration;

use peer_proto::time::Instant;

use crate::control::api::{Code, JobState, JobView};

/// Bytes that may be on their way to a disk that takes none: that they came is no progress.
const ON_THEIR_WAY_MAX: u64 = 16 * 1024 * 1024;

/// Patience, and what it goes by.
pub(super) struct Patience {
    span: Duration,
    since: Instant,
    stored: u64,
    /// Bytes that came and were not thrown away: those on their way to the disk count too.
    kept: u64,
    /// The most that they ever were.
    most: u64,
}

impl Patience {
    pub(super) const fn new(span: Duration, now: Instant) -> Self {
        Self { span, since: now, stored: 0, kept: 0, most: 0 }
    }

    /// Any new byte starts the wait afresh, and so does work on bytes that are all here. What is thrown away is none: with
    /// a full disk every try brings some.
    pub(super) fn see(&mut self, view: &JobView, now: Instant) {
        let is_full = view.error.as_ref().is_some_and(|error| error.code == Code::DiskFull);
        let kept = view.bytes.kept();
        let is_more =
            if is_full { kept > self.most.saturating_add(ON_THEIR_WAY_MAX) } else { kept > self.kept };
        let is_whole = view.len == Some(view.stored) && view.state == JobState::Transferring;
        if view.stored > self.stored || is_more || is_whole {
            self.since = now;
            self.most = self.most.max(kept);
        }
        self.stored = self.stored.max(view.stored);
        self.kept = kept;
        if !is_full {
            self.most = self.most.max(kept);
        }
    }

    pub(super) fn left(&self, now: Instant) -> Duration {
        self.span.saturating_sub(now.since(self.since))
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.left(now).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{BytesBySource, Context, JobError};

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    fn view(stored: u64, origin: u64, discarded: u64, code: Option<Code>) -> JobView {
        let bytes = BytesBySource { origin, discarded, ..BytesBySource::default() };
        let error = code.map(|code| JobError::new(code, Context::LocalFile, String::new(), 0));
        JobView { state: JobState::Transferring, stored, bytes, error, ..JobView::default() }
    }

    #[test]
    fn bytes_that_a_full_disk_throws_away_are_no_progress() {
        let mut patience = Patience::new(Duration::from_secs(10), at(0));
        patience.see(&view(5, 5, 0, None), at(1));
        for second in 2..12 {
            // Every try brings a few bytes more than the last one, and loses them.
            let came = 5 + second * 1_000_000;
            patience.see(&view(5, came, came - second * 1_000, Some(Code::DiskFull)), at(second));
        }
        assert!(patience.is_over(at(11)) && !patience.is_over(at(10)));
        patience.see(&view(6, 20_000_000, 0, Some(Code::DiskFull)), at(11));
        assert!(!patience.is_over(at(20)), "a byte was stored");
    }

    #[test]
    fn a_stream_that_begins_anew_is_progress() {
        let mut patience = Patience::new(Duration::from_secs(10), at(0));
        patience.see(&view(0, 900, 0, None), at(5));
        patience.see(&view(0, 900, 900, Some(Code::ConnectionClosed)), at(6));
        assert!(patience.is_over(at(15)), "what was lost is none");
        patience.see(&view(0, 950, 900, Some(Code::ConnectionClosed)), at(14));
        assert!(!patience.is_over(at(23)));
    }
}
