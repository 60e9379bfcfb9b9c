//! Keeps what peers are given under its bytes per second, and shares it among them.
//!
//! Whoever serves asks before each slice and waits for its turn. Small requests have every second turn while any of them
//! waits, so that the rest of a file does not wait for somebody's whole one; peers have equal shares, however many
//! requests each has open, and a peer's own requests take turns. Knows: the rates, whose turn it is. Does not know: who
//! set the rates and why (`engine::yielding`), what the bytes are.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use tokio::sync::Notify;

use super::bucket::{Bucket, slice_at};
use crate::clock::Clock;
use crate::engine::io::{SMALL_REQUEST, ServePace, Yields};

/// All that is being served, and what it may take.
#[derive(Clone)]
pub(super) struct Uploads {
    clock: Clock,
    queue: Arc<Mutex<Queue>>,
}

/// One request being served.
pub(super) struct Upload {
    of: Uploads,
    owed: Owed,
}

/// What decides about a request's turns.
#[derive(Clone, Copy, Debug)]
struct Owed {
    peer: PeerId,
    size: Size,
    yields: Yields,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Small,
    Large,
}

impl Uploads {
    pub(super) fn new(clock: Clock) -> Self {
        let queue = Arc::new(Mutex::new(Queue::new(clock.monotonic())));
        Self { clock, queue }
    }

    /// Sets what may be taken, of what is being served at once.
    pub(super) fn set(&self, pace: ServePace) {
        let now = self.clock.monotonic();
        let mut queue = lock(&self.queue);
        queue.set(pace, now);
        // Who waits for a limit that is gone is not told by whoever is next: there may be nobody.
        queue.waiting.values().for_each(|waiter| waiter.woken.notify_one());
    }

    /// A request of so many bytes is served from now on.
    pub(super) fn open(&self, peer: PeerId, len: u64, yields: Yields) -> Upload {
        let size = if len <= SMALL_REQUEST { Size::Small } else { Size::Large };
        lock(&self.queue).open(peer, self.clock.monotonic());
        Upload { of: self.clone(), owed: Owed { peer, size, yields } }
    }
}

impl Upload {
    /// Waits for the next turn. How many of `len` bytes may go now: at least one, if there is any.
    ///
    /// # Cancel safety
    /// Dropping the future gives the turn to somebody else.
    pub(super) async fn turn(&self, len: u64) -> u64 {
        let Uploads { clock, queue } = &self.of;
        let Some(place) = Place::take(queue, self.owed) else { return len };
        loop {
            let step = lock(queue).step(place.number, len, clock.monotonic());
            match step {
                Step::Go(slice) => return slice,
                Step::Behind => place.woken.notified().await,
                Step::First(wait) => {
                    let at = clock.monotonic().after(wait);
                    tokio::select! {
                        () = clock.sleep_until(at) => {}
                        () = place.woken.notified() => {}
                    }
                }
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        lock(&self.of.queue).close(self.owed.peer);
    }
}

/// A place among those who wait; left when it is dropped.
struct Place<'a> {
    queue: &'a Mutex<Queue>,
    number: u64,
    woken: Arc<Notify>,
}

impl<'a> Place<'a> {
    /// `None` if no limit holds for whoever owes this.
    fn take(queue: &'a Mutex<Queue>, owed: Owed) -> Option<Self> {
        let mut open = lock(queue);
        open.is_limited(owed.yields).then(|| {
            let (number, woken) = open.enter(owed);
            Self { queue, number, woken }
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(self.queue).leave(self.number);
    }
}

/// Who waits, and what there is to wait for. Time comes as a value.
struct Queue {
    total: Bucket,
    beside: Bucket,
    of_peer: Option<NonZeroU64>,
    accounts: BTreeMap<PeerId, Account>,
    waiting: BTreeMap<u64, Waiter>,
    next: u64,
    /// What whoever had the last turn had been given before it: nobody who comes back is owed more than from there on.
    given: u64,
    last: Size,
}

/// What one peer was given.
struct Account {
    open: usize,
    bucket: Bucket,
    given: u64,
}

struct Waiter {
    owed: Owed,
    woken: Arc<Notify>,
}

/// What somebody who waits does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// So many bytes go.
    Go(u64),
    /// Nobody is before it, and it waits for a rate.
    First(Duration),
    /// Somebody is before it, and knows.
    Behind,
}

impl Queue {
    fn new(now: Instant) -> Self {
        Self {
            total: Bucket::new(now),
            beside: Bucket::new(now),
            of_peer: None,
            accounts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next: 0,
            given: 0,
            last: Size::Large,
        }
    }

    fn set(&mut self, pace: ServePace, now: Instant) {
        self.total.set(pace.rates.total, now);
        self.beside.set(pace.beside, now);
        self.of_peer = pace.rates.peer;
        self.accounts.values_mut().for_each(|account| account.bucket.set(pace.rates.peer, now));
    }

    fn is_limited(&self, yields: Yields) -> bool {
        let beside = self.beside.rate.is_some() && yields == Yields::ToForeground;
        self.total.rate.is_some() || self.of_peer.is_some() || beside
    }

    fn open(&mut self, peer: PeerId, now: Instant) {
        // Who comes back before its last bytes are through has not lost its account.
        self.accounts.retain(|_, account| account.open > 0 || account.bucket.debt(now) > Duration::ZERO);
        let of_peer = self.of_peer;
        let account = self.accounts.entry(peer).or_insert_with(|| {
            let mut bucket = Bucket::new(now);
            bucket.set(of_peer, now);
            Account { open: 0, bucket, given: 0 }
        });
        account.open += 1;
    }

    fn close(&mut self, peer: PeerId) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.open = account.open.saturating_sub(1);
        }
    }

    fn enter(&mut self, owed: Owed) -> (u64, Arc<Notify>) {
        let number = self.next;
        self.next += 1;
        if let Some(account) = self.accounts.get_mut(&owed.peer) {
            account.given = account.given.max(self.given);
        }
        let woken = Arc::new(Notify::new());
        self.waiting.insert(number, Waiter { owed, woken: Arc::clone(&woken) });
        (number, woken)
    }

    fn leave(&mut self, number: u64) {
        self.waiting.remove(&number);
        // Whoever is first now looks for itself; of the others at most one is woken for nothing.
        if let Some((_, waiter)) = self.waiting.first_key_value() {
            waiter.woken.notify_one();
        }
    }

    /// What whoever has this place does next.
    fn step(&mut self, number: u64, len: u64, now: Instant) -> Step {
        let Some((first, wait)) = self.first(now) else { return Step::Go(len) };
        if first != number {
            self.waiting[&first].woken.notify_one();
            return Step::Behind;
        }
        if wait > Duration::ZERO {
            return Step::First(wait);
        }
        let owed = self.waiting[&number].owed;
        let slice = self.slice(owed.yields, len);
        self.total.take(slice, now);
        if owed.yields == Yields::ToForeground {
            self.beside.take(slice, now);
        }
        if let Some(account) = self.accounts.get_mut(&owed.peer) {
            account.bucket.take(slice, now);
            self.given = account.given;
            account.given += slice;
        }
        self.last = owed.size;
        Step::Go(slice)
    }

    /// Whose turn is next, and how long until then.
    fn first(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let beside = self.beside.debt(now);
        let (last, accounts) = (self.last, &mut self.accounts);
        let orders = self.waiting.iter().map(|(number, Waiter { owed, .. })| {
            let account = accounts.get_mut(&owed.peer);
            let (mut own, given) =
                account.map_or((Duration::ZERO, 0), |account| (account.bucket.debt(now), account.given));
            if owed.yields == Yields::ToForeground {
                own = own.max(beside);
            }
            (own, owed.size == last, given, *number)
        });
        let (own, _, _, number) = orders.min()?;
        Some((number, own.max(self.total.debt(now))))
    }

    fn slice(&self, yields: Yields, len: u64) -> u64 {
        let beside = self.beside.rate.filter(|_| yields == Yields::ToForeground);
        let slowest = [self.total.rate, self.of_peer, beside].into_iter().flatten().min();
        slowest.map_or(len, |rate| slice_at(rate, len))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "uploads_tests.rs"]
mod tests;
