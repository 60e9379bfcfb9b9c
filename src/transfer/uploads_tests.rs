//! Whose turn it is, at which rate.
//!
//! Knows: requests of a few peers that always want more. Does not know: bytes.

use super::*;
use crate::job::ServeRates;

const MS: Duration = Duration::from_millis(1);
const BLOCK: u64 = 256 * 1024;

fn peer(number: u8) -> PeerId {
    PeerId::from_public_key([number; 32])
}

fn rate(bytes_per_s: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes_per_s)
}

fn pace(total: u64, of_peer: u64, beside: u64) -> ServePace {
    let rates = ServeRates { total: rate(total), peer: rate(of_peer) };
    ServePace { rates, beside: rate(beside) }
}

fn owed(number: u8, size: Size) -> Owed {
    Owed { peer: peer(number), size, yields: Yields::ToForeground }
}

/// Requests that want to send without end, and what each was given.
struct Crowd {
    queue: Queue,
    now: Instant,
    waiting: BTreeMap<u64, usize>,
    owed: Vec<Owed>,
    given: Vec<u64>,
}

impl Crowd {
    fn new(pace: ServePace, owed: &[Owed]) -> Self {
        let now = Instant::from_micros(9_000_000);
        let mut queue = Queue::new(now);
        queue.set(pace, now);
        let mut crowd =
            Self { queue, now, waiting: BTreeMap::new(), owed: owed.to_vec(), given: vec![0; owed.len()] };
        for (at, one) in owed.iter().enumerate() {
            crowd.queue.open(one.peer, now);
            crowd.ask(at);
        }
        crowd
    }

    fn ask(&mut self, at: usize) {
        let (number, _) = self.queue.enter(self.owed[at]);
        self.waiting.insert(number, at);
    }

    /// Serves whoever is first until so much time has passed.
    fn run(&mut self, span: Duration) -> &[u64] {
        let end = self.now.after(span);
        loop {
            let (first, wait) = self.queue.first(self.now).expect("somebody always waits");
            if self.now.after(wait) > end {
                self.now = end;
                return &self.given;
            }
            self.now = self.now.after(wait);
            // Somebody else may have become first while this one waited.
            let Step::Go(slice) = self.queue.step(first, BLOCK, self.now) else { continue };
            self.queue.leave(first);
            let at = self.waiting.remove(&first).expect("it waits");
            self.given[at] += slice;
            self.ask(at);
        }
    }
}

#[test]
fn pol_6_all_peers_together_are_given_what_the_rate_allows_and_no_more() {
    let crowd = [owed(1, Size::Large), owed(2, Size::Large), owed(2, Size::Small)];
    for total in [131_072, 10_000_000, 536_870_900] {
        let mut crowd = Crowd::new(pace(total, 0, 0), &crowd);
        let sum: u64 = crowd.run(MS * 10_000).iter().sum();
        assert!(sum.abs_diff(total * 10) <= total / 10, "{sum} in ten seconds at {total}");
    }
}

#[test]
fn cache_19_peers_have_equal_shares_however_many_requests_each_has_open() {
    let mut all = vec![owed(1, Size::Large); 7];
    all.push(owed(2, Size::Large));
    let mut crowd = Crowd::new(pace(1_000_000, 0, 0), &all);
    let given = crowd.run(MS * 20_000).to_vec();
    let many: u64 = given[..7].iter().sum();
    assert!(many.abs_diff(given[7]) <= 100_000, "{given:?}");
    assert!(given[..7].iter().all(|one| one.abs_diff(many / 7) <= 60_000), "in turn: {given:?}");
}

#[test]
fn cache_19_a_small_request_has_every_second_turn_before_any_number_of_large_ones() {
    let mut all: Vec<Owed> = (1..41).map(|number| owed(number, Size::Large)).collect();
    all.push(owed(41, Size::Small));
    let mut crowd = Crowd::new(pace(1_000_000, 0, 0), &all);
    let small = crowd.run(MS * 1_000)[40];
    assert!(small >= 450_000, "{small} of a megabyte");
    // Nor are the large ones starved by small ones.
    for size in &mut all[..40] {
        size.size = Size::Small;
    }
    all[40].size = Size::Large;
    let mut crowd = Crowd::new(pace(1_000_000, 0, 0), &all);
    let large = crowd.run(MS * 1_000)[40];
    assert!((450_000..=650_000).contains(&large), "{large} of a megabyte");
}

#[test]
fn cache_22_a_peer_is_given_no_more_than_its_own_limit_and_the_rest_is_the_others() {
    let crowd = [owed(1, Size::Large), owed(1, Size::Large), owed(2, Size::Large)];
    let mut crowd = Crowd::new(pace(0, 200_000, 0), &crowd);
    let given = crowd.run(MS * 10_000).to_vec();
    assert!((given[0] + given[1]).abs_diff(2_000_000) <= 40_000, "{given:?}");
    assert!(given[2].abs_diff(2_000_000) <= 40_000, "{given:?}");
}

#[test]
fn cache_22_only_what_yields_is_slowed_beside_foreground_jobs() {
    let own = Owed { yields: Yields::Never, ..owed(1, Size::Large) };
    let mut crowd = Crowd::new(pace(1_000_000, 0, 100_000), &[own, owed(2, Size::Large)]);
    let given = crowd.run(MS * 10_000).to_vec();
    assert!(given[1].abs_diff(1_000_000) <= 20_000, "{given:?}");
    assert!(given[0].abs_diff(9_000_000) <= 150_000, "{given:?}");
    assert!(!Queue::new(crowd.now).is_limited(Yields::ToForeground));
}

#[test]
fn pol_6_another_rate_holds_for_what_is_being_served() {
    let mut crowd = Crowd::new(pace(1_000_000, 0, 0), &[owed(1, Size::Large)]);
    let first = crowd.run(MS * 5_000)[0];
    let now = crowd.now;
    crowd.queue.set(pace(200_000, 0, 0), now);
    let second = crowd.run(MS * 5_000)[0] - first;
    assert!(second.abs_diff(1_000_000) <= 60_000, "{second} after {first}");
}

#[test]
fn who_comes_back_is_owed_nothing_for_the_time_it_was_away() {
    let mut crowd = Crowd::new(pace(1_000_000, 0, 0), &[owed(1, Size::Large)]);
    crowd.queue.open(peer(2), crowd.now);
    crowd.run(MS * 60_000);
    crowd.owed.push(owed(2, Size::Large));
    crowd.given = vec![0; 2];
    crowd.ask(1);
    let given = crowd.run(MS * 1_000).to_vec();
    assert!(given[0].abs_diff(given[1]) <= 100_000, "{given:?}");
}

#[test]
fn a_peer_that_comes_anew_for_every_request_keeps_to_its_limit() {
    let now = Instant::from_micros(9_000_000);
    let mut queue = Queue::new(now);
    queue.set(pace(0, 100_000, 0), now);
    queue.open(peer(1), now);
    let (number, _) = queue.enter(owed(1, Size::Large));
    assert_eq!(queue.step(number, 5_000, now), Step::Go(5_000));
    queue.leave(number);
    queue.close(peer(1));
    queue.open(peer(2), now);
    queue.open(peer(1), now);
    let (number, _) = queue.enter(owed(1, Size::Large));
    assert_eq!(queue.step(number, 5_000, now), Step::First(MS * 50));
}

/// Serves without end, in tasks, as `transfer` does.
async fn serves(of: Uploads, number: u8, len: u64, given: Arc<Mutex<[u64; 3]>>) {
    let upload = of.open(peer(number), len, Yields::ToForeground);
    loop {
        let slice = upload.turn(BLOCK).await;
        lock_given(&given)[usize::from(number)] += slice;
        tokio::task::yield_now().await;
    }
}

fn lock_given(given: &Mutex<[u64; 3]>) -> MutexGuard<'_, [u64; 3]> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test]
async fn tasks_that_wait_wake_each_other_and_a_dropped_one_holds_nobody_up() {
    let of = Uploads::new(Clock::start());
    of.set(pace(2_000_000, 0, 0));
    let given = Arc::new(Mutex::new([0; 3]));
    let mut tasks = tokio::task::JoinSet::new();
    let dropped = tasks.spawn(serves(of.clone(), 0, u64::MAX, given.clone()));
    for _ in 0..3 {
        tasks.spawn(serves(of.clone(), 1, u64::MAX, given.clone()));
        tasks.spawn(serves(of.clone(), 2, 1, given.clone()));
    }
    let reach = async |sum: u64| {
        let reached = async {
            while lock_given(&given).iter().sum::<u64>() < sum {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("they go on");
    };
    reach(500_000).await;
    dropped.abort();
    reach(1_500_000).await;
    // Those who wait for a byte a second are let go at once.
    of.set(pace(1, 0, 0));
    tokio::task::yield_now().await;
    of.set(ServePace::default());
    reach(1 << 30).await;
    assert!(lock_given(&given).iter().all(|bytes| *bytes > 0), "{given:?}");
}
