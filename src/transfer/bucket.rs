//! One rate, kept to the byte, and how finely bytes are cut for it.
//!
//! Knows: what was taken and what is through by now. Does not know: whose bytes they are, which way they go.

use std::num::NonZeroU64;
use std::time::Duration;

use peer_proto::time::Instant;

/// Bytes that were not taken while a source was slow may be caught up for this long.
const CREDIT: Duration = Duration::from_millis(100);
/// How long a slice takes at the rate it is cut for.
const SLICE: Duration = Duration::from_millis(50);
/// A slice is no shorter, except at the end of what there is.
pub(super) const SLICE_LEN_MIN: u64 = 256;
/// A slice is no longer: this much was cut for an old rate when another is set.
const SLICE_LEN_MAX: u64 = 64 * 1024;
/// Shares of a byte: what comes in a microsecond at a byte per second.
const SHARES: u128 = 1_000_000;

/// How many of so many bytes may go in one piece at a rate.
pub(super) fn slice_at(rate: NonZeroU64, len: u64) -> u64 {
    let micros = u128::from(rate.get()) * SLICE.as_micros() / SHARES;
    len.min(u64::try_from(micros).unwrap_or(u64::MAX).clamp(SLICE_LEN_MIN, SLICE_LEN_MAX))
}

/// One rate. What is taken and what has been let through are counted from the beginning, in shares of a byte: a place
/// in the queue is a number that never changes, however the rate does.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) rate: Option<NonZeroU64>,
    at: Instant,
    taken: u128,
    through: u128,
}

impl Bucket {
    /// A bucket without a rate.
    pub(super) const fn new(now: Instant) -> Self {
        Self { rate: None, at: now, taken: 0, through: 0 }
    }

    /// Sets the rate, for those who wait already as well.
    pub(super) fn set(&mut self, rate: Option<NonZeroU64>, now: Instant) {
        self.advance(now);
        self.rate = rate;
    }

    /// Takes the last place for these bytes.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> u128 {
        self.advance(now);
        self.taken += u128::from(bytes) * SHARES;
        self.taken
    }

    /// How long until a place is reached, if the rate stays.
    pub(super) fn wait(&mut self, ticket: u128, now: Instant) -> Duration {
        self.advance(now);
        let Some(rate) = self.rate else { return Duration::ZERO };
        let missing = ticket.saturating_sub(self.through);
        let micros = missing.div_ceil(u128::from(rate.get()));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// How long until all that was taken is through.
    pub(super) fn debt(&mut self, now: Instant) -> Duration {
        self.wait(self.taken, now)
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.since(self.at).as_micros();
        self.at = self.at.max(now);
        match self.rate {
            None => self.through = self.taken,
            Some(rate) => {
                let rate = u128::from(rate.get());
                let credit = self.taken + rate * CREDIT.as_micros();
                self.through = (self.through + rate * passed).min(credit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Instant = Instant::from_micros(5_000_000);

    fn rate(bytes_per_s: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(bytes_per_s)
    }

    fn at(ms: u64) -> Instant {
        START.after(Duration::from_millis(ms))
    }

    fn bucket(bytes_per_s: u64) -> Bucket {
        let mut bucket = Bucket::new(START);
        bucket.set(rate(bytes_per_s), START);
        bucket
    }

    #[test]
    fn two_leases_share_one_rate_in_the_order_of_asking() {
        let mut bucket = bucket(1_000_000);
        let first = bucket.take(500_000, at(0));
        let second = bucket.take(500_000, at(0));
        assert_eq!(bucket.wait(first, at(0)), SECOND / 2);
        assert_eq!(bucket.wait(second, at(0)), SECOND);
        assert_eq!(bucket.wait(second, at(400)), SECOND * 6 / 10);
        assert_eq!(bucket.wait(first, at(500)), Duration::ZERO);
        assert_eq!(bucket.wait(second, at(1_000)), Duration::ZERO);
    }

    #[test]
    fn a_tenth_of_a_second_is_caught_up_and_idle_time_is_not_saved_up() {
        let mut bucket = bucket(1_000_000);
        let ticket = bucket.take(1_000_000, at(3_600_000));
        assert_eq!(bucket.wait(ticket, at(3_600_000)), SECOND - CREDIT);
    }

    #[test]
    fn a_rate_holds_to_the_byte_over_any_number_of_slices() {
        let mut bucket = bucket(64 * 1024);
        let (mut now, mut sent) = (at(0), 0);
        while now < at(100_000) {
            let ticket = bucket.take(3_277, now);
            now = now.after(bucket.wait(ticket, now));
            sent += 3_277;
        }
        let wanted = 64 * 1024 * 100;
        assert!((wanted..=wanted + 2 * 3_277).contains(&sent), "{sent} of {wanted}");
    }

    #[test]
    fn a_new_rate_holds_for_those_who_wait_already() {
        let mut bucket = bucket(1_000);
        let ticket = bucket.take(100_000, at(0));
        assert_eq!(bucket.wait(ticket, at(0)), SECOND * 100);
        bucket.set(rate(99_000), at(1_000));
        assert_eq!(bucket.wait(ticket, at(1_000)), SECOND);
        bucket.set(rate(9_900), at(1_500));
        assert_eq!(bucket.wait(ticket, at(1_500)), SECOND * 5);
        bucket.set(None, at(1_600));
        assert_eq!(bucket.wait(ticket, at(1_600)), Duration::ZERO);
        bucket.set(rate(10), at(1_700));
        assert_eq!(bucket.wait(ticket, at(1_700)), Duration::ZERO, "what passed has passed");
    }
}
