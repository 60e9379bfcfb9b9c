//! Our own instant: a value handed in, never read from a clock.
//!
//! Knows: arithmetic that saturates instead of failing. Does not know: what time it is.

use std::fmt;
use std::time::Duration;

/// Microseconds since this node (or this simulation) started.
///
/// Wall clock and zone travel beside it, as values, for ages and calendars only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment the node or the simulation started.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes: a timer set to it is off.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant that lies `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant and `span` more; [`NEVER`](Self::NEVER) if that lies beyond the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Instant::NEVER.after(Duration::from_secs(1)), Instant::NEVER);
        assert_eq!(Instant::ZERO.since(Instant::NEVER), Duration::ZERO);
        assert_eq!(Instant::ZERO.after(Duration::from_millis(1_500)).as_micros(), 1_500_000);
        assert_eq!(format!("{:?}", Instant::from_micros(1_500_000)), "1.500000s");
    }
}
