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
/// The sum is measured over the shortest of these in which enough pieces were read: on a narrow line one more or less in a
/// second would pass for a change of the line.
const MEASURED_OVER: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), MEASURED_OVER_MOST];
/// The longest of them.
pub const MEASURED_OVER_MOST: Duration = Duration::from_secs(8);
/// Pieces of each connection: each may have one more or less by chance, and a tenth is to be seen.
const PIECES_ENOUGH: u64 = 8;
const BEGINS_WITHIN: Duration = Duration::from_millis(500);
/// After a try that brought nothing there is none for so long.
const RESTS: Duration = Duration::from_secs(10);

/// The connections of one fetcher.
#[derive(Clone, Debug)]
pub struct Width {
    count: u32,
    /// What is being tried: how many there were before, the sum then, in bytes per second, and over how long that was.
    tried: Option<(u32, u64, Duration)>,
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

    /// Looks at what all fetchers together read: `sum` gives it in bytes per second over a span, and `grain` is one piece
    /// of each of them, in bytes. More connections are tried only if what is `left`, in bytes, takes longer than it takes to see
    /// what they bring; `None`: it is too little.
    pub fn look(
        &mut self,
        sum: impl Fn(Duration) -> u64,
        grain: u64,
        left: Option<u64>,
        now: Instant,
    ) -> WidthChange {
        let look_at = *self.look_at.get_or_insert(now.after(MEASURED_OVER[0]));
        if look_at > now {
            return WidthChange::Same;
        }
        if self.tried.is_none() && (left.is_none() || self.count >= self.most) {
            return WidthChange::Same;
        }
        if let Some((before, sum_before, over)) = self.tried.take()
            && sum(over) < sum_before.saturating_add(sum_before / 10)
        {
            self.count = before;
            self.look_at = Some(now.after(RESTS));
            return WidthChange::Back(before);
        }
        let enough = grain.saturating_mul(PIECES_ENOUGH).saturating_mul(self.count.into());
        let is_enough = |over: &Duration| bytes_in(sum(*over), *over) >= enough;
        let Some(over) = MEASURED_OVER.into_iter().find(is_enough) else {
            self.look_at = Some(now.after(MEASURED_OVER[0]));
            return WidthChange::Same;
        };
        let sum = sum(over);
        let is_left = left.is_some_and(|left| left > bytes_in(sum, BEGINS_WITHIN + over));
        if !is_left || self.count >= self.most {
            return WidthChange::Same;
        }
        self.tried = Some((self.count, sum, over));
        self.count = (self.count * 2).min(self.most);
        self.look_at = Some(now.after(BEGINS_WITHIN + over));
        WidthChange::Tried(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Option<u64> = Some(u64::MAX);
    /// Of pieces so small there are always enough.
    const TINY: u64 = 0;

    const fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn connections_double_while_the_sum_rises_by_a_tenth_and_then_rest() {
        let mut width = Width::default();
        assert_eq!(width.look(|_| 40, TINY, LEFT, at(0)), WidthChange::Same);
        assert_eq!(width.look(|_| 40, TINY, LEFT, at(999)), WidthChange::Same);
        assert_eq!(width.look(|_| 40, TINY, LEFT, at(1_000)), WidthChange::Tried(2));
        assert_eq!(
            width.look(|_| 80, TINY, LEFT, at(2_499)),
            WidthChange::Same,
            "not measured for long enough"
        );
        assert_eq!(width.look(|_| 80, TINY, LEFT, at(2_500)), WidthChange::Tried(4), "kept, and more of it");
        assert_eq!(width.look(|_| 87, TINY, LEFT, at(4_000)), WidthChange::Back(2));
        assert_eq!((width.look(|_| 87, TINY, LEFT, at(13_999)), width.count()), (WidthChange::Same, 2));
        assert_eq!(
            width.look(|_| 60, TINY, LEFT, at(14_000)),
            WidthChange::Tried(4),
            "things may have changed"
        );
        assert_eq!(
            (width.look(|_| 66, TINY, None, at(15_500)), width.count()),
            (WidthChange::Same, 4),
            "a tenth more"
        );
    }

    #[test]
    fn eight_are_the_most_and_none_is_tried_for_the_last_bytes_or_where_the_origin_asked_for_less() {
        let mut width = Width::default();
        assert_eq!([0, 1_000].map(|ms| width.look(|_| 40, TINY, None, at(ms))), [WidthChange::Same; 2]);
        let sums = [40, 80, 160, 320, 640];
        let looks = sums
            .iter()
            .zip(0..)
            .map(|(sum, look)| width.look(|_| *sum, TINY, LEFT, at(2_000 + look * 1_500)));
        let tried = [2, 4, 8].map(WidthChange::Tried);
        assert_eq!(looks.collect::<Vec<_>>(), [&tried[..], &[WidthChange::Same; 2]].concat());
        width.limit();
        assert_eq!([20_000, 30_000].map(|ms| width.look(|_| 40, TINY, LEFT, at(ms))), [WidthChange::Same; 2]);
        assert_eq!(width.count(), 1);
    }

    #[test]
    fn nothing_is_tried_of_which_the_end_of_the_file_would_be_the_end() {
        let mut width = Width::default();
        width.look(|_| 40, TINY, LEFT, at(0));
        assert_eq!(
            width.look(|_| 40, TINY, Some(60), at(1_000)),
            WidthChange::Same,
            "a second and a half is left"
        );
        assert_eq!(width.look(|_| 40, TINY, Some(61), at(1_000)), WidthChange::Tried(2));
    }

    #[test]
    fn on_a_narrow_line_the_sum_is_measured_for_as_long_as_enough_pieces_take_or_nothing_is_tried() {
        const PIECE: u64 = 65_536;
        const EIGHT: u64 = 8 * PIECE;
        let seen = |rate: u64, begun_s: u64| {
            move |over: Duration| rate * PIECE * begun_s.min(over.as_secs()) / over.as_secs()
        };
        let mut width = Width::default();
        for second in 0..4 {
            let change = width.look(seen(20, second), EIGHT, LEFT, at(second * 1_000));
            assert_eq!(change, WidthChange::Same, "after {second} s there were fewer than 64 pieces");
        }
        assert_eq!(width.look(seen(20, 4), EIGHT, LEFT, at(4_000)), WidthChange::Tried(2));
        assert_eq!(width.look(seen(40, 9), EIGHT, LEFT, at(8_499)), WidthChange::Same, "four seconds again");
        assert_eq!(width.look(seen(21, 9), EIGHT, LEFT, at(8_500)), WidthChange::Back(1));
        let mut narrow = Width::default();
        let tries = (0..60).map(|second| narrow.look(seen(7, second), EIGHT, LEFT, at(second * 1_000)));
        assert!(tries.into_iter().all(|change| change == WidthChange::Same), "56 pieces in eight seconds");
    }
}
