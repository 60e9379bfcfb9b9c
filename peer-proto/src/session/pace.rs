//! A token bucket in whole numbers.
//!
//! Knows: how many of something may happen by now. Does not know: of what.

use std::time::Duration;

use crate::time::Instant;

/// Lets a burst through at once, and then so many a second.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    burst: u32,
    per_second: u32,
    /// Millionths of a token.
    level: u64,
    at: Instant,
}

const TOKEN: u64 = 1_000_000;

impl Pace {
    pub(super) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self { burst, per_second, level: u64::from(burst) * TOKEN, at: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        match self.level.checked_sub(TOKEN) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }

    /// When the next token is there.
    pub(super) fn ready_at(&self) -> Instant {
        let missing = TOKEN.saturating_sub(self.level).div_ceil(u64::from(self.per_second.max(1)));
        self.at.after(Duration::from_micros(missing))
    }

    fn fill(&mut self, now: Instant) {
        let gone = now.as_micros().saturating_sub(self.at.as_micros());
        self.level = self
            .level
            .saturating_add(gone.saturating_mul(u64::from(self.per_second)))
            .min(u64::from(self.burst) * TOKEN);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_keeps_the_pace() {
        let mut pace = Pace::new(3, 20, Instant::ZERO);
        assert_eq!((0..10).filter(|_| pace.take(Instant::ZERO)).count(), 3);
        assert_eq!(pace.ready_at(), Instant::from_micros(50_000));
        assert!(!pace.take(Instant::from_micros(49_999)));
        assert!(pace.take(Instant::from_micros(50_000)));
        let later = Instant::from_micros(1_000_000_000);
        assert_eq!((0..10).filter(|_| pace.take(later)).count(), 3, "no more than a burst is saved up");
        assert!(!pace.take(Instant::ZERO), "time does not run backwards");
    }
}
