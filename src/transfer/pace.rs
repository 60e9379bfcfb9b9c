//! Keeps jobs, and the whole machine, under their bytes per second.
//!
//! Bytes that have come wait here in slices until every rate they fall under lets them pass; whoever waits does not
//! read on, and the source slows down. Leases of a job take turns, and so do jobs. Knows: the rates, and who draws
//! from them. Does not know: who set them and why, what the bytes are.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peer_proto::time::Instant;
use tokio::sync::watch;

use super::bucket::{Bucket, slice_at};
use crate::clock::Clock;
use crate::job::{JobId, Rates};

/// Which of a job's rates bytes fall under, beside the total.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// From an origin.
    Wan,
    /// From a peer.
    Lan,
}

/// All rates that were set.
pub(super) struct Paces {
    clock: Clock,
    machine: Arc<Budget>,
    jobs: Mutex<BTreeMap<JobId, Arc<Budget>>>,
    changed: watch::Sender<()>,
}

/// What one lease draws from.
#[derive(Clone)]
pub(super) struct Pace {
    clock: Clock,
    line: Line,
    job: Arc<Budget>,
    machine: Arc<Budget>,
    changed: watch::Receiver<()>,
}

impl Paces {
    pub(super) fn new(clock: Clock) -> Self {
        let now = clock.monotonic();
        Self {
            clock,
            machine: Arc::new(Budget::new(now)),
            jobs: Mutex::default(),
            changed: watch::channel(()).0,
        }
    }

    /// Sets the rates of a job, or of the whole machine. Leases that are at work keep to them at once.
    pub(super) fn set(&self, job: Option<JobId>, rates: Rates) {
        let now = self.clock.monotonic();
        match job {
            None => self.machine.set(rates, now),
            Some(job) => self.job(job).set(rates, now),
        }
        self.changed.send_replace(());
        self.forget_unlimited();
    }

    /// What a lease of a job draws from.
    pub(super) fn of(&self, job: JobId, line: Line) -> Pace {
        self.forget_unlimited();
        Pace {
            clock: self.clock,
            line,
            job: self.job(job),
            machine: self.machine.clone(),
            changed: self.changed.subscribe(),
        }
    }

    fn job(&self, job: JobId) -> Arc<Budget> {
        let new = || Arc::new(Budget::new(self.clock.monotonic()));
        lock(&self.jobs).entry(job).or_insert_with(new).clone()
    }

    /// A job without a limit needs a place only while it has leases: one may be set meanwhile.
    fn forget_unlimited(&self) {
        lock(&self.jobs).retain(|_, budget| Arc::strong_count(budget) > 1 || budget.is_limited());
    }
}

impl Pace {
    /// How many of the bytes that have come may pass next in one go.
    pub(super) fn slice(&self, len: u64) -> u64 {
        let Some(rate) = self.slowest() else { return len };
        slice_at(rate, len)
    }

    fn slowest(&self) -> Option<NonZeroU64> {
        self.job.slowest(self.line).into_iter().chain(self.machine.slowest(self.line)).min()
    }

    /// Waits until these bytes are within all rates they fall under.
    ///
    /// # Cancel safety
    /// Bytes whose turn had come stay counted: they have arrived.
    pub(super) async fn take(&self, bytes: u64) {
        let mut changed = self.changed.clone();
        if self.slowest().is_none() {
            return;
        }
        // One lease of a job at a time stands before the machine's rates, so that jobs share them, not leases.
        let turn = match self.line {
            Line::Wan => &self.job.wan_turn,
            Line::Lan => &self.job.lan_turn,
        };
        let _turn = turn.lock().await;
        let now = self.clock.monotonic();
        let (of_job, of_machine) =
            (self.job.take(bytes, self.line, now), self.machine.take(bytes, self.line, now));
        loop {
            changed.mark_unchanged();
            let now = self.clock.monotonic();
            let wait =
                self.job.wait(of_job, self.line, now).max(self.machine.wait(of_machine, self.line, now));
            if wait == Duration::ZERO {
                return;
            }
            tokio::select! {
                () = self.clock.sleep_until(now.after(wait)) => {}
                told = changed.changed() => if told.is_err() {
                    // The table is gone: nothing will change any more.
                    return self.clock.sleep_until(now.after(wait)).await;
                }
            }
        }
    }
}

/// The rates of one owner, and whose turn it is.
struct Budget {
    buckets: Mutex<Buckets>,
    wan_turn: tokio::sync::Mutex<()>,
    lan_turn: tokio::sync::Mutex<()>,
}

struct Buckets {
    total: Bucket,
    wan: Bucket,
    lan: Bucket,
}

/// Places in the queues of a total and of a line.
#[derive(Clone, Copy)]
struct Tickets {
    total: u128,
    line: u128,
}

impl Budget {
    fn new(now: Instant) -> Self {
        let new = || Bucket::new(now);
        Self {
            buckets: Mutex::new(Buckets { total: new(), wan: new(), lan: new() }),
            wan_turn: tokio::sync::Mutex::default(),
            lan_turn: tokio::sync::Mutex::default(),
        }
    }

    fn set(&self, rates: Rates, now: Instant) {
        let mut buckets = lock(&self.buckets);
        buckets.total.set(rates.total, now);
        buckets.wan.set(rates.wan, now);
        buckets.lan.set(rates.lan, now);
    }

    fn is_limited(&self) -> bool {
        let buckets = lock(&self.buckets);
        [&buckets.total, &buckets.wan, &buckets.lan].into_iter().any(|bucket| bucket.rate.is_some())
    }

    fn slowest(&self, line: Line) -> Option<NonZeroU64> {
        let mut buckets = lock(&self.buckets);
        let total = buckets.total.rate;
        total.into_iter().chain(buckets.line(line).rate).min()
    }

    fn take(&self, bytes: u64, line: Line, now: Instant) -> Tickets {
        let mut buckets = lock(&self.buckets);
        Tickets { total: buckets.total.take(bytes, now), line: buckets.line(line).take(bytes, now) }
    }

    fn wait(&self, tickets: Tickets, line: Line, now: Instant) -> Duration {
        let mut buckets = lock(&self.buckets);
        buckets.total.wait(tickets.total, now).max(buckets.line(line).wait(tickets.line, now))
    }
}

impl Buckets {
    const fn line(&mut self, line: Line) -> &mut Bucket {
        match line {
            Line::Wan => &mut self.wan,
            Line::Lan => &mut self.lan,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::bucket::SLICE_LEN_MIN;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(bytes_per_s: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(bytes_per_s)
    }

    #[tokio::test]
    async fn bw_6_a_limit_of_the_lan_does_not_slow_the_wan() {
        let paces = Paces::new(Clock::start());
        paces.set(None, Rates { lan: rate(1), ..Rates::default() });
        let (lan, wan) = (paces.of(JobId([1; 16]), Line::Lan), paces.of(JobId([1; 16]), Line::Wan));
        assert_eq!((lan.slice(u64::MAX), wan.slice(u64::MAX)), (SLICE_LEN_MIN, u64::MAX));
        let slow = tokio::spawn(async move { lan.take(1_000_000).await });
        tokio::task::yield_now().await;
        wan.take(1 << 40).await;
        assert!(!slow.is_finished());
        paces.set(None, Rates::default());
        slow.await.expect("it ends when the limit goes");
    }

    #[tokio::test]
    async fn jobs_share_a_machine_evenly_however_many_leases_they_have() {
        let paces = Paces::new(Clock::start());
        paces.set(None, Rates { total: rate(2_000_000), ..Rates::default() });
        let counts = Arc::new(Mutex::new([0_u64; 2]));
        let mut leases = tokio::task::JoinSet::new();
        for job in [0, 0, 0, 0, 0, 0, 0, 1_u8] {
            let (pace, counts) = (paces.of(JobId([job; 16]), Line::Wan), counts.clone());
            leases.spawn(async move {
                loop {
                    pace.take(50_000).await;
                    lock(&counts)[usize::from(job)] += 1;
                }
            });
        }
        let both = async {
            while lock(&counts).iter().sum::<u64>() < 60 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SECOND * 60, both).await.expect("they go on");
        let [many, one] = *lock(&counts);
        // By leases it would be 52 and 8. What a machine under load catches up may go to either of them.
        assert!(many.abs_diff(one) <= 16, "{many} and {one}");
    }

    #[tokio::test]
    async fn a_job_without_limit_and_lease_is_forgotten() {
        let paces = Paces::new(Clock::start());
        let job = JobId([1; 16]);
        let held = || lock(&paces.jobs).len();
        let pace = paces.of(job, Line::Wan);
        paces.set(None, Rates::default());
        assert_eq!(held(), 1, "a limit may be set while it has leases");
        drop(pace);
        paces.set(Some(job), Rates { wan: rate(1), ..Rates::default() });
        assert_eq!(held(), 1);
        paces.set(Some(job), Rates::default());
        paces.set(None, Rates::default());
        assert_eq!(held(), 0);
    }
}
