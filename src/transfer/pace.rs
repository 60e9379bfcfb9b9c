//! Keeps a job under its bytes per second.
//!
//! Knows: one rate, shared by all leases of a job. Does not know: where the bytes come from.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peer_proto::time::Instant;

use crate::clock::Clock;

/// Bytes that were not taken while a source was slow may be caught up for this long.
const CREDIT: Duration = Duration::from_millis(100);

/// A rate that several leases draw from, in order of asking.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    bytes_per_s: NonZeroU64,
    /// When everything granted so far will have been paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_s: NonZeroU64, clock: Clock) -> Self {
        Self { clock, bytes_per_s, paid: Mutex::new(clock.monotonic()) }
    }

    /// Waits until these bytes, which have arrived, are within the rate: whoever waits here does not read on, and
    /// the source slows down.
    ///
    /// # Cancel safety
    /// The bytes stay counted: they have arrived.
    pub(super) async fn take(&self, bytes: u64) {
        let until = self.grant(bytes, self.clock.monotonic());
        self.clock.sleep_until(until).await;
    }

    /// Counts the bytes and says when the next may be read.
    fn grant(&self, bytes: u64, now: Instant) -> Instant {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_s.get());
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let oldest = Instant::from_micros(
            now.as_micros().saturating_sub(u64::try_from(CREDIT.as_micros()).unwrap_or(u64::MAX)),
        );
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(oldest).after(cost);
        *paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_share_one_rate() {
        let clock = Clock::start();
        let pace = Pace::new(NonZeroU64::new(1_000_000).expect("not zero"), clock);
        let start = clock.monotonic().after(Duration::from_secs(1));
        let first = pace.grant(500_000, start);
        let second = pace.grant(500_000, start);
        assert_eq!(second.since(first), Duration::from_millis(500));
        assert_eq!(second.since(start), Duration::from_millis(900), "a tenth of a second is caught up");
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let clock = Clock::start();
        let pace = Pace::new(NonZeroU64::new(1_000).expect("not zero"), clock);
        let later = clock.monotonic().after(Duration::from_secs(3_600));
        assert!(pace.grant(1_000, later).since(later) >= Duration::from_millis(900));
    }
}
