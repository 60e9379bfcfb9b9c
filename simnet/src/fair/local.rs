//! Sharing settled among neighbours, where too many courses depend on each other to look at them all.
//!
//! Knows: taking from the courses above a new one's share, giving what became free to those below. Does not know: the
//! exact shares.

use peer_proto::time::Instant;

use super::{Pipes, place};

/// Less than this part of a lane is not worth giving to others.
const CRUMB: u64 = 256;

impl Pipes {
    /// A course that is listed with no rate takes its share from those above it.
    pub(super) fn enter_locally(&mut self, slot: u32, now: Instant) {
        let Some(course) = self.courses.get(place(slot)) else { return };
        let path = course.path;
        let limit = course.limit;
        let levels = path.lanes().iter().map(|lane| self.level(*lane, slot, path.uses(*lane)));
        let rate = levels.min().unwrap_or(u64::MAX).min(limit);
        self.set_rate(slot, rate, now);
        let mut eased = Vec::new();
        for lane in path.lanes() {
            self.lower(*lane, Some(slot), &mut eased, now);
        }
        self.raise_each(eased, now);
    }

    /// A lane whose capacity changed takes back, or gives.
    pub(super) fn fit_locally(&mut self, lane: u32, now: Instant) {
        let mut eased = Vec::new();
        self.lower(lane, None, &mut eased, now);
        self.raise_each(eased, now);
        self.raise(lane, now);
    }

    fn raise_each(&mut self, mut lanes: Vec<u32>, now: Instant) {
        lanes.sort_unstable();
        lanes.dedup();
        lanes.into_iter().for_each(|lane| self.raise(lane, now));
    }

    /// Rates of the other courses of a lane, the lowest first. To be given back as `rates`.
    fn others(&mut self, lane: u32, but: Option<u32>) -> Vec<(u64, u32)> {
        let mut rates = std::mem::take(&mut self.rates);
        rates.clear();
        let courses = self.lanes.get(place(lane)).map(|lane| lane.courses.as_slice()).unwrap_or_default();
        let others = courses.iter().filter(|slot| Some(**slot) != but);
        rates.extend(others.map(|slot| (self.rate(*slot), *slot)));
        rates.sort_unstable();
        rates
    }

    /// What one course may have on a lane if those above the same level come down to it.
    fn level(&mut self, lane: u32, slot: u32, uses: u64) -> u64 {
        let capacity = self.lanes.get(place(lane)).map_or(0, |lane| lane.capacity);
        let others = self.others(lane, Some(slot));
        let level = fill(capacity, &others, uses);
        self.rates = others;
        level
    }

    /// Brings an overfull lane down to its capacity, from the top.
    fn lower(&mut self, lane: u32, keep: Option<u32>, eased: &mut Vec<u32>, now: Instant) {
        let Some(known) = self.lanes.get(place(lane)) else { return };
        if known.used <= known.capacity {
            return;
        }
        let kept = keep.map_or(0, |slot| {
            let uses = self.courses.get(place(slot)).map_or(0, |course| course.path.uses(lane));
            self.rate(slot).saturating_mul(uses)
        });
        let capacity = known.capacity.saturating_sub(kept);
        let others = self.others(lane, keep);
        let level = fill(capacity, &others, 0);
        for (rate, slot) in others.iter().rev() {
            if *rate <= level {
                break;
            }
            self.set_rate(*slot, level, now);
            let path = self.courses.get(place(*slot)).map(|course| course.path).unwrap_or_default();
            eased.extend(path.lanes().iter().filter(|other| **other != lane));
        }
        self.rates = others;
    }

    /// Gives what a lane has left to its courses, the slowest first, as far as their other lanes allow.
    pub(super) fn raise(&mut self, lane: u32, now: Instant) {
        for _ in 0..2 {
            let Some(known) = self.lanes.get(place(lane)) else { return };
            let spare = known.capacity.saturating_sub(known.used);
            if spare <= known.capacity / CRUMB {
                return;
            }
            let rates = self.others(lane, None);
            let level = fill_up(spare, &rates);
            for (rate, slot) in rates.iter().take_while(|(rate, _)| *rate < level) {
                let more = level.saturating_sub(*rate).min(self.room(*slot));
                // A slow course is worth a small gain, a fast one is not.
                if more > *rate / CRUMB {
                    let rate = self.rate(*slot);
                    self.set_rate(*slot, rate.saturating_add(more), now);
                }
            }
            self.rates = rates;
        }
    }

    /// How much more a course could have without taking from others.
    fn room(&self, slot: u32) -> u64 {
        let Some(course) = self.courses.get(place(slot)) else { return 0 };
        let spares = course.path.lanes().iter().filter_map(|lane| {
            let known = self.lanes.get(place(*lane))?;
            Some(known.capacity.saturating_sub(known.used) / course.path.uses(*lane).max(1))
        });
        let spare = spares.min().unwrap_or(u64::MAX);
        spare.min(course.limit.saturating_sub(course.rate))
    }
}

/// The level at which courses with these rates (ascending), and `more` that take all of it, fill a capacity.
fn fill(capacity: u64, rates: &[(u64, u32)], more: u64) -> u64 {
    let mut left = capacity;
    let mut count = u64::try_from(rates.len()).unwrap_or(u64::MAX).saturating_add(more);
    for (rate, _) in rates {
        if count == 0 || *rate > left / count {
            break;
        }
        left -= rate;
        count -= 1;
    }
    left.checked_div(count).unwrap_or(u64::MAX)
}

/// The level to which the lowest of these rates (ascending) can be raised with so much.
fn fill_up(spare: u64, rates: &[(u64, u32)]) -> u64 {
    let (mut sum, mut count, mut level) = (0_u64, 0_u64, 0);
    for (rate, _) in rates {
        if count > 0 && spare.saturating_add(sum) / count <= *rate {
            break;
        }
        sum = sum.saturating_add(*rate);
        count += 1;
        level = spare.saturating_add(sum) / count;
    }
    level
}
