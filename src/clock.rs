//! The one reader of clocks: everything else is told what time it is.
//!
//! Knows: the monotonic clock, the wall clock, and how to wait for a moment. Does not know: who asks and why.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peer_proto::time::Instant;

use crate::engine::io::Now;

/// The node's clock: it counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of clocks")]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// What the brain is told: time since the start, and the wall clock beside it.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall_unix_ms: wall_unix_ms() }
    }

    /// Time since the start.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of clocks")]
    pub fn monotonic(&self) -> Instant {
        let passed = std::time::Instant::now().saturating_duration_since(self.start);
        Instant::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Waits for a moment; for ever if it is [`Instant::NEVER`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn sleep_until(&self, moment: Instant) {
        if moment == Instant::NEVER {
            return std::future::pending().await;
        }
        let wait = moment.since(self.monotonic());
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Milliseconds since 1970 by the wall clock; negative before that. For ages and calendars only.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one reader of clocks")]
pub fn wall_unix_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_a_moment_and_not_for_one_that_has_passed() {
        let clock = Clock::start();
        let moment = clock.monotonic().after(Duration::from_millis(20));
        clock.sleep_until(moment).await;
        assert!(clock.monotonic() >= moment);
        clock.sleep_until(Instant::ZERO).await;
        assert!(clock.now().wall_unix_ms > 1_600_000_000_000, "the wall clock is set");
    }

    #[tokio::test]
    async fn a_moment_that_never_comes_is_waited_for_for_ever() {
        let clock = Clock::start();
        let waited = tokio::time::timeout(Duration::from_millis(20), clock.sleep_until(Instant::NEVER));
        assert!(waited.await.is_err());
    }
}
