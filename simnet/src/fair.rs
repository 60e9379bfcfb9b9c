//! Who gets how much of a shared line.
//!
//! Knows: lanes with a capacity, courses over several of them, and max-min fair rates in whole bytes per second.
//! Where at most [`EXACT_MAX`] courses depend on each other the rates are exactly max-min fair; beyond that, and for
//! [`CROWDED_FOR`] changes after, a change is settled between the courses of the lanes it touches and their
//! neighbours, which is feasible at every moment, leaves little unused, and costs the same however large the world is.
//! Does not know: what travels, or from whom.

use peer_proto::time::Instant;

mod local;
#[cfg(test)]
mod tests;

/// Courses that depend on each other, up to which rates are exact.
pub(crate) const EXACT_MAX: usize = 200;
/// Changes for which lanes that depended on too many courses are not looked at again.
pub(crate) const CROWDED_FOR: u32 = 64;
/// Lanes of one course at most.
pub(crate) const PATH_MAX: usize = 8;

/// One shared line, in one direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LaneId(pub(crate) u32);

/// The lanes a course uses. One that is listed twice (a radio cell, for a sender and a receiver in it) is used twice.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Path {
    lanes: [u32; PATH_MAX],
    len: usize,
}

impl Path {
    pub(crate) fn push(&mut self, lane: LaneId) {
        if let Some(place) = self.lanes.get_mut(self.len) {
            *place = lane.0;
            self.len += 1;
        }
    }

    pub(crate) fn lanes(&self) -> &[u32] {
        self.lanes.get(..self.len).unwrap_or_default()
    }

    fn uses(&self, lane: u32) -> u64 {
        self.lanes().iter().map(|used| u64::from(*used == lane)).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) capacity: u64,
    /// Sum of the rates of its courses.
    pub(crate) used: u64,
    /// Open courses, one entry for each use.
    courses: Vec<u32>,
    /// Bytes times a million that passed before `since`.
    carried: u128,
    since: Instant,
}

#[derive(Clone, Debug, Default)]
struct Course {
    path: Path,
    /// What it may have at most, whatever its lanes give.
    limit: u64,
    rate: u64,
    is_open: bool,
}

/// All lanes and all courses.
#[derive(Debug)]
pub(crate) struct Pipes {
    lanes: Vec<Lane>,
    courses: Vec<Course>,
    /// Courses whose rate changed since this was last drained; some of them twice.
    changed: Vec<u32>,
    exact_max: usize,
    round: u32,
    lane_rounds: Vec<u32>,
    course_rounds: Vec<u32>,
    sharing: u32,
    /// In which sharing a course had its rate last.
    frozen_in: Vec<u32>,
    /// Until which round a lane is taken to depend on too many courses.
    crowded_until: Vec<u32>,
    left: Vec<u64>,
    counts: Vec<u64>,
    /// Room to sort rates in.
    rates: Vec<(u64, u32)>,
}

impl Pipes {
    pub(crate) const fn new(exact_max: usize) -> Self {
        Self {
            lanes: Vec::new(),
            courses: Vec::new(),
            changed: Vec::new(),
            exact_max,
            round: 0,
            lane_rounds: Vec::new(),
            course_rounds: Vec::new(),
            sharing: 0,
            frozen_in: Vec::new(),
            crowded_until: Vec::new(),
            left: Vec::new(),
            counts: Vec::new(),
            rates: Vec::new(),
        }
    }

    pub(crate) fn add_lane(&mut self, capacity: u64) -> LaneId {
        let id = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let since = Instant::ZERO;
        self.lanes.push(Lane { capacity, used: 0, courses: Vec::new(), carried: 0, since });
        self.lane_rounds.push(0);
        self.crowded_until.push(0);
        self.left.push(0);
        self.counts.push(0);
        LaneId(id)
    }

    #[cfg(test)]
    pub(crate) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Bytes that passed a lane until now.
    pub(crate) fn carried(&self, lane: LaneId, now: Instant) -> u64 {
        let carried = self.lanes.get(place(lane.0)).map_or(0, |lane| lane.carried_by(now) / 1_000_000);
        u64::try_from(carried).unwrap_or(u64::MAX)
    }

    pub(crate) fn rate(&self, slot: u32) -> u64 {
        self.courses.get(place(slot)).map_or(0, |course| course.rate)
    }

    /// A course wants its share from now on.
    pub(crate) fn enter(&mut self, slot: u32, path: Path, limit: u64, now: Instant) {
        if self.courses.len() <= place(slot) {
            self.courses.resize_with(place(slot) + 1, Course::default);
            self.course_rounds.resize(place(slot) + 1, 0);
            self.frozen_in.resize(place(slot) + 1, 0);
        }
        self.leave(slot, now);
        let Some(course) = self.courses.get_mut(place(slot)) else { return };
        *course = Course { path, limit, rate: 0, is_open: true };
        for lane in path.lanes() {
            if let Some(lane) = self.lanes.get_mut(place(*lane)) {
                lane.courses.push(slot);
            }
        }
        match self.component(path.lanes()) {
            Some(members) => self.share_exactly(&members, now),
            None => self.enter_locally(slot, now),
        }
    }

    /// A course wants nothing any more.
    pub(crate) fn leave(&mut self, slot: u32, now: Instant) {
        let path = match self.courses.get(place(slot)) {
            Some(course) if course.is_open => course.path,
            _ => return,
        };
        self.set_rate(slot, 0, now);
        if let Some(course) = self.courses.get_mut(place(slot)) {
            course.is_open = false;
        }
        for lane in path.lanes() {
            let Some(lane) = self.lanes.get_mut(place(*lane)) else { continue };
            if let Some(at) = lane.courses.iter().position(|other| *other == slot) {
                lane.courses.swap_remove(at);
            }
        }
        match self.component(path.lanes()) {
            Some(members) => self.share_exactly(&members, now),
            None => path.lanes().iter().for_each(|lane| self.raise(*lane, now)),
        }
    }

    /// A line gets faster or slower.
    pub(crate) fn set_capacity(&mut self, lane: LaneId, capacity: u64, now: Instant) {
        let Some(known) = self.lanes.get_mut(place(lane.0)) else { return };
        known.capacity = capacity;
        match self.component(&[lane.0]) {
            Some(members) => self.share_exactly(&members, now),
            None => self.fit_locally(lane.0, now),
        }
    }

    /// Courses whose rate may have changed since the last call.
    pub(crate) fn take_changed(&mut self, into: &mut Vec<u32>) {
        into.clear();
        std::mem::swap(into, &mut self.changed);
    }

    /// Whether every lane carries no more than it can, and no course stands still that need not.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (index, lane) in self.lanes.iter().enumerate() {
            let uses = u64::try_from(lane.courses.len()).unwrap_or(u64::MAX);
            let sum: u64 = lane.courses.iter().map(|slot| self.rate(*slot)).sum();
            if sum != lane.used {
                return Err(format!("lane {index} counts {} B/s, its courses have {sum}", lane.used));
            }
            if sum > lane.capacity {
                return Err(format!("lane {index} carries {sum} B/s of {}", lane.capacity));
            }
            let starved = lane.courses.iter().find(|slot| self.rate(**slot) == 0);
            if let Some(slot) = starved.filter(|slot| self.may_move(**slot, uses)) {
                return Err(format!("course {slot} on lane {index} stands still"));
            }
        }
        Ok(())
    }

    fn may_move(&self, slot: u32, uses: u64) -> bool {
        let Some(course) = self.courses.get(place(slot)) else { return false };
        let wide =
            |lane: &u32| self.lanes.get(place(*lane)).is_some_and(|lane| lane.capacity > 64 * uses.max(1));
        course.limit > 0 && course.path.lanes().iter().all(wide)
    }

    /// Lanes and courses that depend on each other, from some lanes on; `None` if too many courses do.
    fn component(&mut self, from: &[u32]) -> Option<Members> {
        self.round = self.round.wrapping_add(1);
        let round = self.round;
        let is_crowded =
            |lane: &u32| self.crowded_until.get(place(*lane)).is_some_and(|until| *until > round);
        if from.iter().any(is_crowded) {
            return None;
        }
        let mut members = Members::default();
        for lane in from {
            if std::mem::replace(self.lane_rounds.get_mut(place(*lane))?, round) != round {
                members.lanes.push(*lane);
            }
        }
        let mut next = 0;
        while let Some(lane) = members.lanes.get(next).copied() {
            next += 1;
            for slot in &self.lanes.get(place(lane))?.courses {
                if std::mem::replace(self.course_rounds.get_mut(place(*slot))?, round) == round {
                    continue;
                }
                if members.courses.len() >= self.exact_max {
                    for lane in &members.lanes {
                        *self.crowded_until.get_mut(place(*lane))? = round.saturating_add(CROWDED_FOR);
                    }
                    return None;
                }
                members.courses.push(*slot);
                for lane in self.courses.get(place(*slot))?.path.lanes() {
                    if std::mem::replace(self.lane_rounds.get_mut(place(*lane))?, round) != round {
                        members.lanes.push(*lane);
                    }
                }
            }
        }
        Some(members)
    }

    /// Progressive filling: the narrowest lane is shared out first, then the narrowest of the rest, and so on.
    fn share_exactly(&mut self, members: &Members, now: Instant) {
        for lane in &members.lanes {
            if let Some(known) = self.lanes.get(place(*lane)) {
                self.left[place(*lane)] = known.capacity;
                self.counts[place(*lane)] = u64::try_from(known.courses.len()).unwrap_or(u64::MAX);
            }
        }
        let mut lanes = members.lanes.clone();
        let limit_of =
            |pipes: &Self, slot: u32| pipes.courses.get(place(slot)).map_or(0, |course| course.limit);
        let mut by_limit: Vec<(u64, u32)> =
            members.courses.iter().map(|slot| (limit_of(self, *slot), *slot)).collect();
        by_limit.sort_unstable();
        self.sharing = self.sharing.wrapping_add(1);
        let mut least_limited = by_limit.iter().copied().peekable();
        let mut frozen: Vec<(u64, u32)> = Vec::new();
        loop {
            while least_limited.next_if(|(_, slot)| self.is_frozen(*slot)).is_some() {}
            if least_limited.peek().is_none() {
                return;
            }
            lanes.retain(|lane| self.counts[place(*lane)] > 0);
            let share = |pipes: &Self, lane: u32| pipes.left[place(lane)] / pipes.counts[place(lane)].max(1);
            let narrowest = lanes.iter().map(|lane| (share(self, *lane), *lane)).min();
            let (level, lane) = narrowest.unwrap_or((u64::MAX, u32::MAX));
            let mut is_limited = false;
            while let Some((limit, slot)) = least_limited.next_if(|(limit, _)| *limit <= level) {
                if !self.is_frozen(slot) {
                    self.freeze(slot, limit, now);
                    is_limited = true;
                }
            }
            if is_limited {
                continue;
            }
            let courses = self.lanes.get(place(lane)).map(|lane| lane.courses.as_slice()).unwrap_or_default();
            let open = courses.iter().filter(|slot| !self.is_frozen(**slot));
            frozen.clear();
            frozen.extend(open.map(|slot| (limit_of(self, *slot), *slot)));
            if frozen.is_empty() {
                return;
            }
            // A course that passes a lane twice is listed there twice.
            frozen.sort_unstable();
            frozen.dedup();
            frozen.iter().for_each(|(_, slot)| self.freeze(*slot, level, now));
        }
    }

    fn is_frozen(&self, slot: u32) -> bool {
        self.frozen_in.get(place(slot)) == Some(&self.sharing)
    }

    fn freeze(&mut self, slot: u32, rate: u64, now: Instant) {
        let Some(course) = self.courses.get(place(slot)) else { return };
        self.frozen_in[place(slot)] = self.sharing;
        for lane in course.path.lanes() {
            self.left[place(*lane)] = self.left[place(*lane)].saturating_sub(rate);
            self.counts[place(*lane)] = self.counts[place(*lane)].saturating_sub(1);
        }
        self.set_rate(slot, rate, now);
    }

    fn set_rate(&mut self, slot: u32, rate: u64, now: Instant) {
        let Some(course) = self.courses.get_mut(place(slot)) else { return };
        let before = std::mem::replace(&mut course.rate, rate);
        if before == rate {
            return;
        }
        for lane in course.path.lanes() {
            let Some(lane) = self.lanes.get_mut(place(*lane)) else { continue };
            lane.carried = lane.carried_by(now);
            lane.since = now;
            lane.used = lane.used.saturating_sub(before).saturating_add(rate);
        }
        self.changed.push(slot);
    }

    #[cfg(test)]
    pub(crate) fn force_rate(&mut self, slot: u32, rate: u64, now: Instant) {
        self.set_rate(slot, rate, now);
    }
}

impl Lane {
    fn carried_by(&self, now: Instant) -> u128 {
        let micros = now.as_micros().saturating_sub(self.since.as_micros());
        self.carried + u128::from(self.used) * u128::from(micros)
    }
}

#[derive(Debug, Default)]
struct Members {
    lanes: Vec<u32>,
    courses: Vec<u32>,
}

/// A number as a place in a list.
pub(crate) fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
