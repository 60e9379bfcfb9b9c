//! How many connections each fetcher has with an origin that gives little to each of them.
//!
//! Whoever fetches together sees what all of them read, so each can tell alone whether more connections bring more: it
//! doubles its own, and goes back if the sum does not rise by a tenth. Knows: the sum, what was tried. Does not know: who
//! fetches what (`home`), connections of a node that is alone (`pace`).

use std::time::Duration;

use peer_proto::time::Instant;

use super::pace::bytes_in;

/// Connections of one fetcher at most.
pub const CONNECTIONS_MAX: u32 = 8;
/// The sum is measured over so long, and what more connections bring from so long after.
pub const MEASURED_OVER: Duration = Duration::from_secs(1);
const BEGINS_WITHIN: Duration = Duration::from_millis(500);
/// After a try that brought nothing there is none for so long.
const RESTS: Duration = Duration::from_secs(10);

/// The connections of one fetcher.
#[derive(Clone, Debug)]
pub struct Width {
    count: u32,
    /// What is being tried: how many there were before, and the sum then, in bytes per second.
    tried: Option<(u32, u64)>,
    /// When it is looked at next; `None` while nothing was fetched yet.
    look_at: Option<Instant>,
    most: u32,
}

impl Default for Width {
    fn default() -> Self {
        Self { count: 1, tried: None, look_at: None, most: CONNECTIONS_MAX }
    }
}

/// What a look came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WidthChange {
    /// Nothing changed.
    Same,
    /// So many are tried.
    Tried(u32),
    /// More brought nothing: so many again.
    Back(u32),
}

impl Width {
    /// Connections to have now.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The origin asked for less: one connection from now on.
    pub fn limit(&mut self) {
        *self = Self { most: 1, ..Self::default() };
    }

    /// Looks at what all fetchers together read, in bytes per second over [`MEASURED_OVER`]. More connections are tried
    /// only if what is `left`, in bytes, takes longer than it takes to see what they bring; `None`: it is too little.
    pub fn look(&mut self, sum: impl FnOnce() -> u64, left: Option<u64>, now: Instant) -> WidthChange {
        let look_at = *self.look_at.get_or_insert(now.after(MEASURED_OVER));
        if look_at > now {
            return WidthChange::Same;
        }
        if self.tried.is_none() && (left.is_none() || self.count >= self.most) {
            return WidthChange::Same;
        }
        let sum = sum();
        if let Some((before, sum_before)) = self.tried.take()
            && sum < sum_before.saturating_add(sum_before / 10)
        {
            self.count = before;
            self.look_at = Some(now.after(RESTS));
            return WidthChange::Back(before);
        }
        let is_enough = left.is_some_and(|left| left > bytes_in(sum, BEGINS_WITHIN + MEASURED_OVER));
        if !is_enough || self.count >= self.most {
            return WidthChange::Same;
        }
        self.tried = Some((self.count, sum));
        self.count = (self.count * 2).min(self.most);
        self.look_at = Some(now.after(BEGINS_WITHIN + MEASURED_OVER));
        WidthChange::Tried(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Option<u64> = Some(u64::MAX);

    const fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn connections_double_while_the_sum_rises_by_a_tenth_and_then_rest() {
        let mut width = Width::default();
        assert_eq!(width.look(|| 40, LEFT, at(0)), WidthChange::Same);
        assert_eq!(width.look(|| 40, LEFT, at(999)), WidthChange::Same);
        assert_eq!(width.look(|| 40, LEFT, at(1_000)), WidthChange::Tried(2));
        assert_eq!(width.look(|| 80, LEFT, at(2_499)), WidthChange::Same, "not measured for long enough");
        assert_eq!(width.look(|| 80, LEFT, at(2_500)), WidthChange::Tried(4), "kept, and more of it");
        assert_eq!(width.look(|| 87, LEFT, at(4_000)), WidthChange::Back(2));
        assert_eq!((width.look(|| 87, LEFT, at(13_999)), width.count()), (WidthChange::Same, 2));
        assert_eq!(width.look(|| 60, LEFT, at(14_000)), WidthChange::Tried(4), "things may have changed");
        assert_eq!(
            (width.look(|| 66, None, at(15_500)), width.count()),
            (WidthChange::Same, 4),
            "a tenth more"
        );
    }

    #[test]
    fn eight_are_the_most_and_none_is_tried_for_the_last_bytes_or_where_the_origin_asked_for_less() {
        let mut width = Width::default();
        assert_eq!([0, 1_000].map(|ms| width.look(|| 40, None, at(ms))), [WidthChange::Same; 2]);
        let sums = [40, 80, 160, 320, 640];
        let looks =
            sums.iter().zip(0..).map(|(sum, look)| width.look(|| *sum, LEFT, at(2_000 + look * 1_500)));
        let tried = [2, 4, 8].map(WidthChange::Tried);
        assert_eq!(looks.collect::<Vec<_>>(), [&tried[..], &[WidthChange::Same; 2]].concat());
        width.limit();
        assert_eq!([20_000, 30_000].map(|ms| width.look(|| 40, LEFT, at(ms))), [WidthChange::Same; 2]);
        assert_eq!(width.count(), 1);
    }

    #[test]
    fn nothing_is_tried_of_which_the_end_of_the_file_would_be_the_end() {
        let mut width = Width::default();
        width.look(|| 40, LEFT, at(0));
        assert_eq!(width.look(|| 40, Some(60), at(1_000)), WidthChange::Same, "a second and a half is left");
        assert_eq!(width.look(|| 40, Some(61), at(1_000)), WidthChange::Tried(2));
    }
}
