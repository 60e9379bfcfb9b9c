//! How fast sources are, when they are late, and how long a failing one is left alone.
//!
//! Knows: measured rates over windows, back-off, the number of ranged origin connections worth having. Does not
//! know: what the bytes are, who else could give them (`planner`).

use std::collections::VecDeque;
use std::time::Duration;

use peer_proto::time::Instant;

use super::width::Width;

/// Back-off after the first failure.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
/// Back-off at most: whoever comes back is used again within 30 s (D50).
pub const BACK_OFF_MAX: Duration = Duration::from_secs(25);
/// Ranged connections to one origin and job at most.
pub const ORIGIN_LANES_MAX: u32 = 8;
/// A source that gave no byte for this long while it owed some is late, and gets a second beside it.
pub const SILENCE: Duration = Duration::from_millis(1_000);
/// A source at less than a quarter of its usual rate is late.
pub const LATE_SHARE: u64 = 4;
/// Time to the first byte of a request before the source is late.
pub const FIRST_BYTE: Duration = Duration::from_millis(1_500);

/// What a source gives counts as known when it gave so much ...
const MEASURED_FROM: u64 = 1024 * 1024;
/// ... or owed bytes for so long without a break: one that gives a thousand a second, or none, is known by then, too.
const MEASURED_WITHIN: Duration = Duration::from_secs(2);

const BUCKET: Duration = Duration::from_millis(100);
const BUCKETS_MAX: usize = 100;

/// Bytes over the last ten seconds in buckets of 100 ms.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    buckets: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// Notes bytes that arrived just now.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        match self.buckets.back_mut() {
            Some((start, sum)) if now.since(*start) < BUCKET => *sum = sum.saturating_add(bytes),
            _ => self.buckets.push_back((now, bytes)),
        }
        if self.buckets.len() > BUCKETS_MAX {
            self.buckets.pop_front();
        }
    }

    /// Bytes of the last `window`.
    #[must_use]
    pub fn bytes(&self, window: Duration, now: Instant) -> u64 {
        self.buckets.iter().rev().take_while(|(at, _)| now.since(*at) <= window).map(|(_, bytes)| bytes).sum()
    }

    /// Bytes per second over the last `window`.
    #[must_use]
    pub fn rate(&self, window: Duration, now: Instant) -> u64 {
        per_second(self.bytes(window, now), window)
    }
}

/// Bytes per second, if `bytes` came in `span`.
#[must_use]
pub fn per_second(bytes: u64, span: Duration) -> u64 {
    let micros = span.as_micros().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// Bytes that come in `span` at a rate.
#[must_use]
pub fn bytes_in(rate: u64, span: Duration) -> u64 {
    u64::try_from(u128::from(rate) * span.as_micros() / 1_000_000).unwrap_or(u64::MAX)
}

/// What is known of one source's speed.
#[derive(Clone, Debug, Default)]
pub struct Speed {
    meter: Meter,
    /// Since when it has owed bytes without a break; `None` while it owes none.
    owing_since: Option<Instant>,
    last_byte: Option<Instant>,
    /// When it was last known that what it gives is held back on this side.
    excused: Option<Instant>,
    usual: u64,
    usual_at: Option<Instant>,
    total: u64,
    /// For how long it owed bytes before it does now.
    owed: Duration,
    /// Whether it once owed bytes for long enough to tell what it gives.
    was_watched: bool,
}

impl Speed {
    /// The source owes bytes now (has an open lease), or owes none any more.
    pub fn owes(&mut self, owing: bool, now: Instant) {
        match (owing, self.owing_since) {
            (true, None) => {
                self.owing_since = Some(now);
                self.last_byte = None;
            }
            (false, Some(_)) => {
                self.was_watched |= self.owing(now) >= MEASURED_WITHIN;
                self.owed += self.owing(now);
                self.owing_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Bytes arrived.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        if bytes == 0 {
            return;
        }
        self.total = self.total.saturating_add(bytes);
        self.meter.add(bytes, now);
        self.last_byte = Some(now);
        let Some(since) = self.owing_since else { return };
        let span = now.since(since);
        if span < Duration::from_millis(200) {
            return;
        }
        let recent = self.recent(now);
        if recent >= self.usual {
            self.usual = recent;
            self.usual_at = Some(now);
        } else if self.usual_at.is_none_or(|at| now.since(at) >= Duration::from_secs(1)) {
            self.usual -= (self.usual - recent) / 8;
            self.usual_at = Some(now);
        }
    }

    /// Bytes per second over the last second, or over the shorter time the source has owed bytes.
    #[must_use]
    pub fn recent(&self, now: Instant) -> u64 {
        let window = Duration::from_secs(1);
        let owed = self.owing_since.map_or(window, |since| now.since(since));
        let window = owed.clamp(BUCKET, window);
        self.meter.rate(window, now)
    }

    /// Bytes per second over the last ten seconds.
    #[must_use]
    pub fn over_ten_seconds(&self, now: Instant) -> u64 {
        self.meter.rate(Duration::from_secs(10), now)
    }

    /// Its usual rate in bytes per second: the best of late, slowly forgotten. Zero if it never gave any.
    #[must_use]
    pub const fn usual(&self) -> u64 {
        self.usual
    }

    /// Bytes it gave in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// What it usually gives, in bytes per second, once enough was seen of it to say so.
    #[must_use]
    pub fn measured(&self, now: Instant) -> Option<u64> {
        let was_watched = self.was_watched || self.owing(now) >= MEASURED_WITHIN;
        // Requests of a moment, such as checks, say nothing of a rate.
        let is_known = self.usual > 0 || self.total == 0;
        (is_known && (was_watched || self.total >= MEASURED_FROM)).then_some(self.usual)
    }

    /// For how long it has owed bytes without a break, and without an excuse.
    #[must_use]
    pub fn owing(&self, now: Instant) -> Duration {
        self.unexcused_since().map_or(Duration::ZERO, |since| now.since(since))
    }

    fn unexcused_since(&self) -> Option<Instant> {
        self.owing_since.map(|since| self.excused.map_or(since, |excused| excused.max(since)))
    }

    /// What it gives is held back on this side: it is judged from now on only, and by the pace it is held to.
    pub fn excuse(&mut self, now: Instant) {
        self.excused = Some(now);
        self.humble(now);
    }

    /// What it gives in bytes per second by all that is known of it: what is usual, or what came while it owed any if that was
    /// a moment only.
    #[must_use]
    pub fn known(&self, now: Instant) -> u64 {
        match (self.usual, self.excused) {
            (0, None) => per_second(self.total, (self.owed + self.owing(now)).max(BUCKET)),
            (usual, _) => usual,
        }
    }

    /// When it was last known that what it gives is held back on this side.
    #[must_use]
    pub const fn excused(&self) -> Option<Instant> {
        self.excused
    }

    /// Whether it has owed bytes for so long, and gives fewer than so many a second.
    #[must_use]
    pub fn trickles(&self, from: Duration, slow: u64, now: Instant) -> bool {
        self.owing(now) >= from && self.recent(now) < slow && !super::mutant::Mutant::SiteNeverForgets.lives()
    }

    /// Whether it owes bytes and is silent, or far below its usual rate: time for a second source.
    #[must_use]
    pub fn is_late(&self, now: Instant) -> bool {
        let Some(since) = self.unexcused_since() else { return false };
        match self.last_byte {
            None => now.since(since) >= FIRST_BYTE,
            Some(last) if now.since(last.max(since)) >= SILENCE => true,
            Some(_) => {
                now.since(since) >= Duration::from_secs(1)
                    && self.recent(now).saturating_mul(LATE_SHARE) < self.usual
            }
        }
    }

    /// Whether it owes bytes and gave none for so long.
    #[must_use]
    pub fn is_silent(&self, span: Duration, now: Instant) -> bool {
        let since = self.unexcused_since().map(|since| self.last_byte.map_or(since, |last| last.max(since)));
        since.is_some_and(|since| now.since(since) >= span)
    }

    /// Forgets what was usual: after a slow spell the new pace is the measure.
    pub fn humble(&mut self, now: Instant) {
        self.usual = self.recent(now);
        self.usual_at = Some(now);
    }
}

/// Leaves a failing source alone for a while, longer each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    failures: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// Counts a failure; `jitter` in 0..=255 spreads the waits of many nodes over the last quarter.
    pub fn fail(&mut self, jitter: u32, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let doubled = BACK_OFF_FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(6));
        let wait = doubled.min(BACK_OFF_MAX);
        self.until = Some(now.after(wait - wait / 1_024 * jitter.min(255)));
    }

    /// Leaves the source alone at least until then.
    pub fn wait_until(&mut self, until: Instant) {
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// It works.
    pub fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Whether the source may be asked.
    #[must_use]
    pub fn is_closed(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When it may be asked again, if not now.
    #[must_use]
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// How many ranged connections to the origin are worth having: one at first, doubled while the sum of the rates
/// rises by a tenth, one for good after a 429 or a `Retry-After`.
#[derive(Clone, Debug)]
pub struct Lanes {
    count: u32,
    before: Option<(u32, u64)>,
    changed: Option<Instant>,
    settled: bool,
    /// How many there are while others fetch the same.
    pub together: Width,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { count: 1, before: None, changed: None, settled: false, together: Width::default() }
    }
}

/// What the last look at the lanes came to; worth a decision record if it is not `Same`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaneChange {
    /// Nothing changed.
    Same,
    /// More connections are tried: from, to, rate so far.
    Tried(u32, u32, u64),
    /// More connections did not help: back to this many.
    Back(u32),
    /// More connections helped and are kept.
    Kept(u32),
}

impl Lanes {
    /// Connections to have now.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The origin asked for less: one connection from now on.
    pub fn limit(&mut self) {
        *self = Self { settled: true, ..Self::default() };
        self.together.limit();
    }

    /// Looks at the rate of all origin connections together, measured while all of them were busy.
    pub fn look(&mut self, rate: u64, can_split: bool, now: Instant) -> LaneChange {
        let changed = *self.changed.get_or_insert(now);
        if self.settled || now.since(changed) < Duration::from_millis(1_500) {
            return LaneChange::Same;
        }
        if let Some((count, before)) = self.before.take() {
            if rate < before.saturating_add(before / 10) {
                self.count = count;
                self.settled = true;
                return LaneChange::Back(count);
            }
            self.changed = Some(now);
            self.settled = self.count >= ORIGIN_LANES_MAX;
            return LaneChange::Kept(self.count);
        }
        if !can_split {
            return LaneChange::Same;
        }
        let from = self.count;
        self.before = Some((from, rate));
        self.count = (from * 2).min(ORIGIN_LANES_MAX);
        self.changed = Some(now);
        LaneChange::Tried(from, self.count, rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn a_source_that_slows_to_a_twentieth_is_late_within_a_second() {
        let mut speed = Speed::default();
        speed.owes(true, at(0));
        for step in 1..=40 {
            speed.add(1_000_000, at(step * 100));
            assert!(!speed.is_late(at(step * 100)));
        }
        let late = (41..60).find(|step| {
            speed.add(50_000, at(step * 100));
            speed.is_late(at(step * 100))
        });
        assert!(late.is_some_and(|step| step <= 50), "late at step {late:?}");
    }

    #[test]
    fn a_silent_source_is_late_after_a_second_and_one_that_owes_nothing_never() {
        let mut speed = Speed::default();
        assert!(!speed.is_late(at(10_000)));
        speed.owes(true, at(0));
        speed.add(1_000, at(500));
        assert!(!speed.is_late(at(1_499)));
        assert!(speed.is_late(at(1_500)));
        speed.owes(false, at(1_500));
        assert!(!speed.is_late(at(9_000)));
    }

    #[test]
    fn a_source_that_is_held_back_is_not_late_until_it_is_let_go_and_then_silent() {
        let mut speed = Speed::default();
        speed.owes(true, at(0));
        for step in 1..=20 {
            speed.add(1_000_000, at(step * 100));
        }
        for step in 21..=400 {
            if step % 50 == 0 {
                speed.add(100, at(step * 100));
            }
            speed.excuse(at(step * 100));
            let now = at(step * 100 + 99);
            assert!(!speed.is_late(now) && !speed.is_silent(SILENCE, now), "step {step}");
            assert!(!speed.trickles(Duration::from_secs(1), u64::MAX, now));
            assert!(speed.owing(now) < Duration::from_secs(1), "too short to be judged");
        }
        assert!(!speed.is_late(at(40_999)));
        assert!(speed.is_late(at(41_000)), "the excuse does not last");
    }

    #[test]
    fn the_breaker_doubles_up_to_25_seconds_and_forgives() {
        let mut breaker = Breaker::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            breaker.fail(0, at(0));
            waits.push(breaker.opens_at(at(0)).map(|until| until.since(at(0)).as_secs()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 25, 25, 25, 25].map(Some));
        breaker.succeed();
        assert!(breaker.is_closed(at(0)));
        breaker.fail(255, at(0));
        assert!(breaker.is_closed(at(800)), "jitter shortens the wait by up to a quarter");
    }

    #[test]
    fn lanes_double_while_that_pays_and_obey_the_origin() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.look(100, true, at(0)), LaneChange::Same);
        assert_eq!(lanes.look(100, true, at(1_500)), LaneChange::Tried(1, 2, 100));
        assert_eq!(lanes.look(190, true, at(3_000)), LaneChange::Kept(2));
        assert_eq!(lanes.look(190, true, at(4_500)), LaneChange::Tried(2, 4, 190));
        assert_eq!(lanes.look(200, true, at(6_000)), LaneChange::Back(2));
        assert_eq!(lanes.look(90, true, at(60_000)), LaneChange::Same);
        lanes.limit();
        assert_eq!(lanes.count(), 1);
    }

    #[test]
    fn a_meter_counts_the_last_ten_seconds_and_what_is_in_its_window_to_the_millisecond() {
        let mut meter = Meter::default();
        for step in 0..200 {
            meter.add(10, at(step * 100));
            meter.add(1, at(step * 100 + 99));
        }
        assert_eq!(meter.bytes(Duration::from_secs(60), at(20_000)), 100 * 11, "a hundred buckets");
        assert_eq!(meter.bytes(Duration::from_millis(200), at(20_000)), 2 * 11);
        assert_eq!(meter.bytes(Duration::from_millis(199), at(20_000)), 11);
        assert_eq!(meter.rate(Duration::from_millis(200), at(20_000)), 110);
    }

    #[test]
    fn a_rate_is_over_a_second_or_the_shorter_time_the_source_has_owed_bytes() {
        let mut speed = Speed::default();
        speed.owes(true, at(10_000));
        speed.add(1_000, at(10_050));
        assert_eq!(speed.recent(at(10_050)), 10_000, "a tenth of a second at least");
        assert_eq!(speed.recent(at(10_500)), 2_000);
        assert_eq!((speed.recent(at(11_050)), speed.recent(at(11_051))), (1_000, 0));
        assert_eq!(speed.over_ten_seconds(at(20_050)), 100);
    }

    #[test]
    fn what_is_usual_is_the_best_of_late_and_forgotten_by_an_eighth_of_the_difference_a_second() {
        let mut speed = Speed::default();
        speed.owes(true, at(0));
        speed.add(1_000, at(100));
        assert_eq!(speed.usual(), 0, "too early to tell");
        speed.add(15_000, at(200));
        assert_eq!(speed.usual(), 80_000);
        speed.add(0, at(1_500));
        assert_eq!((speed.usual(), speed.total()), (80_000, 16_000));
        speed.add(800, at(1_199));
        assert_eq!(speed.usual(), 80_000, "not within a second");
        speed.add(7_200, at(1_300));
        assert_eq!(speed.usual(), 80_000 - (80_000 - 8_000) / 8);
        speed.add(1, at(1_301));
        assert_eq!(speed.usual(), 71_000, "once a second");
        speed.humble(at(1_301));
        assert_eq!(speed.usual(), 8_001);
    }

    #[test]
    fn a_source_is_late_from_its_first_byte_on_at_less_than_a_quarter_of_what_is_usual() {
        let usual_and_now = |now: u64| {
            let mut speed = Speed::default();
            speed.owes(true, at(0));
            assert!(!speed.is_late(at(1_499)) && speed.is_late(at(1_500)), "no byte at all");
            speed.add(4_000, at(1_000));
            speed.add(1, at(1_900));
            speed.add(now, at(2_001));
            speed.is_late(at(2_001))
        };
        assert!(!usual_and_now(1_000), "a quarter of 4001 is enough");
        assert!(usual_and_now(999));
        // In its first second it may begin slowly.
        let mut speed = Speed::default();
        speed.owes(true, at(0));
        speed.add(100_000, at(200));
        speed.owes(false, at(300));
        speed.owes(true, at(5_000));
        speed.add(10, at(5_100));
        assert!(!speed.is_late(at(5_999)) && speed.is_late(at(6_000)));
    }

    #[test]
    fn a_trickle_is_less_than_so_much_for_so_long_and_silence_is_counted_from_the_last_byte() {
        let mut speed = Speed::default();
        let span = Duration::from_secs(2);
        assert!(!speed.trickles(span, 1, at(9_000)) && !speed.is_silent(span, at(9_000)), "it owes nothing");
        speed.owes(true, at(0));
        assert!(!speed.is_silent(span, at(1_999)) && speed.is_silent(span, at(2_000)));
        speed.add(500, at(2_000));
        assert!(!speed.trickles(span, 500, at(2_000)) && speed.trickles(span, 501, at(2_000)));
        assert!(!speed.trickles(span + Duration::from_millis(1), 501, at(2_000)));
        assert!(!speed.is_silent(span, at(3_999)) && speed.is_silent(span, at(4_000)));
        speed.owes(true, at(3_000));
        assert_eq!(speed.owing(at(4_000)), Duration::from_secs(4), "it owed bytes already");
        speed.owes(false, at(4_000));
        assert_eq!(speed.owing(at(5_000)), Duration::ZERO);
    }

    #[test]
    fn a_source_that_is_left_alone_is_left_alone_to_the_end_and_for_the_longer_of_two_reasons() {
        let mut breaker = Breaker::default();
        breaker.wait_until(at(3_000));
        breaker.wait_until(at(2_000));
        assert!(!breaker.is_closed(at(2_999)) && breaker.is_closed(at(3_000)));
        assert_eq!((breaker.opens_at(at(2_999)), breaker.opens_at(at(3_000))), (Some(at(3_000)), None));
        assert_eq!(breaker.failures(), 0, "waiting is no failure");
        breaker.fail(255, at(10_000));
        let wait = breaker.opens_at(at(10_000)).map(|until| until.since(at(10_000)).as_millis());
        assert_eq!((wait, breaker.failures()), (Some(750), 1), "a quarter less");
    }

    #[test]
    fn eight_lanes_are_the_most_and_none_is_tried_where_there_is_nothing_to_split() {
        let mut lanes = Lanes::default();
        let mut changes = Vec::new();
        for look in 0..12_u32 {
            changes.push(lanes.look(100 << look, true, at(u64::from(look) * 1_500)));
        }
        assert_eq!(lanes.count(), ORIGIN_LANES_MAX);
        let tried = changes.iter().filter(|change| matches!(change, LaneChange::Tried(..))).count();
        assert_eq!((tried, changes[7..].iter().all(|change| *change == LaneChange::Same)), (3, true));
        let mut lanes = Lanes::default();
        assert_eq!([0, 1_500].map(|ms| lanes.look(100, false, at(ms))), [LaneChange::Same; 2]);
        assert_eq!(lanes.look(100, true, at(1_500)), LaneChange::Tried(1, 2, 100));
        assert_eq!(lanes.look(110, true, at(2_999)), LaneChange::Same, "not measured for long enough");
        assert_eq!(lanes.look(110, true, at(3_000)), LaneChange::Kept(2), "a tenth more");
    }

    #[test]
    fn bytes_and_rates_say_the_same() {
        let span = Duration::from_millis(1_500);
        assert_eq!((bytes_in(1_000, span), per_second(1_500, span)), (1_500, 1_000));
        assert_eq!(bytes_in(u64::MAX, Duration::from_secs(60)), u64::MAX, "as much as there can be");
    }
}
