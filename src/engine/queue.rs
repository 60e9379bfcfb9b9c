//! Whose turn it is (SCHED-1..5).
//!
//! Knows: priorities, slices, how many background jobs run at once. Does not know: what jobs do with their turn.

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::time::Instant;
use serde::{Deserialize, Serialize};

use crate::job::{JobId, Priority};

/// Foreground jobs at once; more wait in the order they came.
pub const FOREGROUND_JOBS_MAX: usize = 64;

/// The longest that a background job may be held back before its first turn: an hour.
pub const START_SPREAD_S_MAX: u16 = 3_600;

/// How jobs share the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueueConfig {
    /// Background jobs that run at once, 1 to 64. Default 4, so that one dead origin does not hold up the others.
    pub background_at_once: u16,
    /// Seconds a background job runs while others of its priority wait (SCHED-4). Default 300.
    pub slice_s: u32,
    /// Files of one job on their way at once, 1 to 16. Default 4.
    pub files_at_once: u16,
    /// Seconds within which a background job has its first turn, counted from when it was handed in or the node started, at
    /// a moment that chance chooses; at most 3600. Default 0: at once (SCHED-11).
    pub start_spread_s: u16,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { background_at_once: 4, slice_s: 300, files_at_once: 4, start_spread_s: 0 }
    }
}

impl QueueConfig {
    /// The nearest values that are within their bounds.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            background_at_once: self.background_at_once.clamp(1, 64),
            slice_s: self.slice_s.max(1),
            files_at_once: self.files_at_once.clamp(1, 16),
            start_spread_s: self.start_spread_s.min(START_SPREAD_S_MAX),
        }
    }
}

/// A job that wants its turn, or has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contender {
    /// Which.
    pub job: JobId,
    /// How urgent.
    pub priority: Priority,
    /// Whether a rate limit of its own leaves room for others: it does not push background jobs aside.
    pub is_limited: bool,
    /// Its place: whoever came first, or whose last slice ended first, has the lowest number.
    pub place: u64,
    /// Since when it has its turn; `None` while it waits.
    pub since: Option<Instant>,
}

/// What becomes of a contender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It has its turn, or gets it.
    Runs,
    /// It waits.
    Waits,
    /// It gives its turn to a more urgent job (SCHED-3).
    Preempted,
    /// It gives its turn to one that waits (SCHED-4).
    SliceEnded,
}

/// Who runs now, and when that is to be looked at again.
#[must_use]
pub fn turns(
    contenders: &[Contender],
    config: &QueueConfig,
    now: Instant,
) -> (BTreeMap<JobId, Verdict>, Instant) {
    let mut verdicts = BTreeMap::new();
    let mut again = Instant::NEVER;
    let mut foreground: Vec<&Contender> = at(contenders, Priority::Foreground);
    foreground.sort_by_key(|one| (one.since.is_none(), one.place));
    for (place, one) in foreground.iter().enumerate() {
        let verdict = if place < FOREGROUND_JOBS_MAX { Verdict::Runs } else { Verdict::Waits };
        verdicts.insert(one.job, verdict);
    }
    // Somebody waits for those: the others stand aside until they are done or limited (JOB-T8).
    let mut free =
        if foreground.iter().any(|one| !one.is_limited) { 0 } else { usize::from(config.background_at_once) };
    let slice = Duration::from_secs(u64::from(config.slice_s));
    let mut is_pushed_aside = free == 0;
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        let level = at(contenders, priority);
        if level.is_empty() {
            continue;
        }
        share(&level, if is_pushed_aside { 0 } else { free }, slice, now, &mut verdicts, &mut again);
        // A lower level gets no time while a higher one wants some (SCHED-2).
        is_pushed_aside = true;
        free = 0;
    }
    (verdicts, again)
}

fn at(contenders: &[Contender], priority: Priority) -> Vec<&Contender> {
    contenders.iter().filter(|one| one.priority == priority).collect()
}

/// Shares `places` among jobs of one priority, in turn.
fn share(
    level: &[&Contender],
    places: usize,
    slice: Duration,
    now: Instant,
    verdicts: &mut BTreeMap<JobId, Verdict>,
    again: &mut Instant,
) {
    let waiting = level.iter().filter(|one| one.since.is_none()).count();
    let running = level.len() - waiting;
    let is_over = |one: &Contender| one.since.is_some_and(|since| since.after(slice) <= now);
    // As many slices end as jobs can take their place.
    let takers = waiting.saturating_sub(places.saturating_sub(running));
    let mut order: Vec<&&Contender> = level.iter().collect();
    let mut over: Vec<&&Contender> = level.iter().filter(|one| is_over(one)).collect();
    over.sort_by_key(|one| (one.since, one.place));
    let leaving: Vec<JobId> = over.into_iter().take(takers).map(|one| one.job).collect();
    order.sort_by_key(|one| (leaving.contains(&one.job), one.since.is_none(), one.place));
    for (place, one) in order.into_iter().enumerate() {
        let verdict = match (place < places, one.since) {
            (true, since) => {
                if waiting > 0 && level.len() > places {
                    *again = (*again).min(since.unwrap_or(now).after(slice));
                }
                Verdict::Runs
            }
            (false, None) => Verdict::Waits,
            (false, Some(_)) if leaving.contains(&one.job) && places > 0 => Verdict::SliceEnded,
            (false, Some(_)) => Verdict::Preempted,
        };
        verdicts.insert(one.job, verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: QueueConfig =
        QueueConfig { background_at_once: 1, slice_s: 10, files_at_once: 4, start_spread_s: 0 };

    fn at_s(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    fn job(number: u8, priority: Priority, since: Option<u64>) -> Contender {
        let job = JobId([number; 16]);
        Contender { job, priority, is_limited: false, place: number.into(), since: since.map(at_s) }
    }

    fn verdict(contenders: &[Contender], now: u64, config: &QueueConfig) -> Vec<Verdict> {
        let (verdicts, _) = turns(contenders, config, at_s(now));
        contenders.iter().map(|one| verdicts[&one.job]).collect()
    }

    #[test]
    fn sched_1_foreground_jobs_run_together() {
        let jobs: Vec<_> = (0..8).map(|number| job(number, Priority::Foreground, None)).collect();
        assert!(verdict(&jobs, 0, &SLICE).iter().all(|verdict| *verdict == Verdict::Runs));
    }

    #[test]
    fn sched_1_of_very_many_foreground_jobs_the_first_64_run_and_those_that_run_stay() {
        let mut jobs: Vec<_> = (0..66).map(|number| job(number, Priority::Foreground, None)).collect();
        jobs[65].since = Some(at_s(0));
        let runs: Vec<bool> = verdict(&jobs, 1, &SLICE).iter().map(|one| *one == Verdict::Runs).collect();
        assert_eq!(runs, [&[true; 63][..], &[false, false, true]].concat());
    }

    #[test]
    fn sched_4_what_is_configured_out_of_bounds_is_the_nearest_that_is_not() {
        let [least, most] = [0, u16::MAX].map(|count| QueueConfig {
            background_at_once: count,
            slice_s: count.into(),
            files_at_once: count,
            start_spread_s: count,
        });
        let of = |config: QueueConfig| {
            let QueueConfig { background_at_once, slice_s, files_at_once, start_spread_s } = config.bounded();
            (background_at_once, slice_s, files_at_once, start_spread_s)
        };
        assert_eq!(of(least), (1, 1, 1, 0));
        assert_eq!(of(most), (64, 65_535, 16, 3_600));
        assert_eq!(QueueConfig::default().bounded(), QueueConfig::default());
    }

    #[test]
    fn sched_4_a_slice_counts_from_when_each_began() {
        let two = QueueConfig { background_at_once: 2, ..SLICE };
        let jobs = [
            job(1, Priority::Normal, Some(4)),
            job(2, Priority::Normal, Some(3)),
            job(3, Priority::Normal, None),
        ];
        let (verdicts, again) = turns(&jobs, &two, at_s(5));
        assert!(jobs[..2].iter().all(|one| verdicts[&one.job] == Verdict::Runs));
        assert_eq!(again, at_s(13), "the one that began first ends first");
    }

    #[test]
    fn sched_2_a_lower_level_waits_for_all_of_a_higher_one() {
        let four = QueueConfig { background_at_once: 4, ..SLICE };
        let jobs =
            [job(1, Priority::Low, None), job(2, Priority::High, None), job(3, Priority::Normal, None)];
        assert_eq!(verdict(&jobs, 0, &four), [Verdict::Waits, Verdict::Runs, Verdict::Waits]);
    }

    #[test]
    fn sched_3_a_foreground_job_takes_the_place_of_background_jobs() {
        let jobs = [job(1, Priority::High, Some(0)), job(2, Priority::Foreground, None)];
        assert_eq!(verdict(&jobs, 1, &SLICE), [Verdict::Preempted, Verdict::Runs]);
        let limited = [jobs[0], Contender { is_limited: true, ..jobs[1] }];
        assert_eq!(verdict(&limited, 1, &SLICE), [Verdict::Runs, Verdict::Runs]);
    }

    #[test]
    fn sched_3_a_higher_background_job_takes_the_place_of_a_lower_one() {
        let jobs = [job(1, Priority::Low, Some(0)), job(2, Priority::Normal, None)];
        assert_eq!(verdict(&jobs, 1, &SLICE), [Verdict::Preempted, Verdict::Runs]);
    }

    #[test]
    fn sched_4_slices_go_round() {
        let jobs = [job(1, Priority::Normal, Some(0)), job(2, Priority::Normal, None)];
        assert_eq!(verdict(&jobs, 9, &SLICE), [Verdict::Runs, Verdict::Waits]);
        assert_eq!(verdict(&jobs, 10, &SLICE), [Verdict::SliceEnded, Verdict::Runs]);
        let (_, again) = turns(&jobs, &SLICE, at_s(3));
        assert_eq!(again, at_s(10));
    }

    #[test]
    fn sched_4_nobody_gives_up_a_slice_that_nobody_wants() {
        let two = QueueConfig { background_at_once: 2, ..SLICE };
        let jobs = [job(1, Priority::Normal, Some(0)), job(2, Priority::Normal, None)];
        assert_eq!(verdict(&jobs, 100, &two), [Verdict::Runs, Verdict::Runs]);
        let alone = [job(1, Priority::Normal, Some(0))];
        assert_eq!(verdict(&alone, 100, &SLICE), [Verdict::Runs]);
        assert_eq!(turns(&alone, &SLICE, at_s(100)).1, Instant::NEVER);
    }

    #[test]
    fn sched_4_of_two_slices_that_are_over_the_one_that_began_first_ends_for_the_one_taker_without_a_place() {
        let three = QueueConfig { background_at_once: 3, ..SLICE };
        let jobs = [
            job(1, Priority::Normal, Some(1)),
            job(2, Priority::Normal, Some(0)),
            job(3, Priority::Normal, None),
            job(4, Priority::Normal, None),
        ];
        let wanted = [Verdict::Runs, Verdict::SliceEnded, Verdict::Runs, Verdict::Runs];
        assert_eq!(verdict(&jobs, 50, &three), wanted);
    }

    #[test]
    fn sched_4_slices_are_looked_at_only_while_somebody_waits_for_a_place() {
        let two = QueueConfig { background_at_once: 2, ..SLICE };
        let [runs, also, waits] = [(1, Some(0)), (2, Some(0)), (3, None)]
            .map(|(number, since)| job(number, Priority::Normal, since));
        let again = |jobs: &[Contender], config| turns(jobs, config, at_s(3)).1;
        assert_eq!(again(&[runs, waits], &two), Instant::NEVER, "there is a place for each");
        assert_eq!(again(&[runs, also], &SLICE), Instant::NEVER, "one of them had its place taken away");
        assert_eq!(again(&[runs, also, waits], &two), at_s(10));
    }

    #[test]
    fn sched_3_who_stands_aside_for_the_foreground_does_not_lose_its_place_in_the_row() {
        let jobs = [
            job(1, Priority::Normal, Some(0)),
            job(2, Priority::Normal, None),
            job(3, Priority::Foreground, None),
        ];
        assert_eq!(verdict(&jobs, 50, &SLICE), [Verdict::Preempted, Verdict::Waits, Verdict::Runs]);
    }

    #[test]
    fn sched_4_only_as_many_slices_end_as_there_are_takers() {
        let two = QueueConfig { background_at_once: 2, ..SLICE };
        let jobs = [
            job(1, Priority::Normal, Some(0)),
            job(2, Priority::Normal, Some(1)),
            job(3, Priority::Normal, None),
        ];
        assert_eq!(verdict(&jobs, 50, &two), [Verdict::SliceEnded, Verdict::Runs, Verdict::Runs]);
    }
}
