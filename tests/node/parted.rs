//! An office whose machines lose each other, the switch and the origin while they fetch, in turn and at random.
//!
//! Knows: which way is cut and for how long, what must have come thirty seconds after the last cut is healed. Does not
//! know: how nodes notice. One run in the suite; `NEARBITS_PARTED=20 cargo test --test node p15` makes twenty.

use std::time::Duration;

use nearbits::control::api::JobId;
use nearbits::job::{JobSpec, JobState};
use tokio::time::sleep;

use crate::lab::{assert_exact, sha256_of};
use crate::office::{Addresses, Daemon, Office, eventually};
use crate::on_link::{spec, submit, why};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MACHINES: u8 = 4;
const MIB: u64 = 1 << 20;
/// Bytes a second that the origin gives, to all of them together.
const LINE: u64 = 1_500_000;
/// After what was cut is healed, everybody goes on within this time (P15).
const RECOVERY: Duration = Duration::from_secs(30);

/// What is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// A machine's cable.
    Cable(u8),
    /// What the first machine sends to the second is lost; the way back is whole.
    OneWay(u8, u8),
    /// Neither hears the other.
    BothWays(u8, u8),
    /// Nobody reaches the origin.
    Origin,
}

impl Cut {
    fn set(self, office: &Office, is_cut: bool) {
        match self {
            Self::Cable(machine) => office.plug(machine, !is_cut),
            Self::OneWay(from, to) => office.lose(from, to, is_cut),
            Self::BothWays(one, other) => {
                office.lose(one, other, is_cut);
                office.lose(other, one, is_cut);
            }
            Self::Origin => office.plug_origin(!is_cut),
        }
    }
}

/// Draws cuts; the same seed draws the same.
struct Draw(u64);

impl Draw {
    /// A number below `count`.
    fn below(&mut self, count: u64) -> u64 {
        self.0 = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9);
        (self.0 >> 33) % count
    }

    fn cut(&mut self) -> Cut {
        let mut machine = |but: Option<u8>| loop {
            let drawn = u8::try_from(self.below(u64::from(MACHINES))).expect("few");
            if Some(drawn) != but {
                return drawn;
            }
        };
        let one = machine(None);
        let other = machine(Some(one));
        match self.below(4) {
            0 => Cut::Cable(one),
            1 => Cut::OneWay(one, other),
            2 => Cut::BothWays(one, other),
            _ => Cut::Origin,
        }
    }
}

/// Makes a cut, lets time pass, heals it.
async fn pass(office: &Office, cut: Cut, for_ms: u64) {
    cut.set(office, true);
    sleep(Duration::from_millis(for_ms)).await;
    cut.set(office, false);
}

/// Everybody has got more than before, or has all of it.
async fn go_on(daemons: &[Daemon], jobs: &[JobId], what: &str) {
    for (daemon, job) in daemons.iter().zip(jobs) {
        let view = async || daemon.client.job(*job).await.expect("the daemon answers");
        let before = view().await.stored;
        let goes_on = eventually("more bytes", async || {
            let view = view().await;
            (view.stored > before || view.state == JobState::Acknowledged).then_some(())
        });
        if tokio::time::timeout(RECOVERY, goes_on).await.is_err() {
            panic!("{what}: {:#?}\n{}", view().await, why(&daemon.client, *job).await);
        }
    }
}

async fn whole(daemon: &Daemon, job: JobId, what: &str) {
    let view = async || daemon.client.job(job).await.expect("the daemon answers");
    let done = async || (view().await.state == JobState::Acknowledged).then_some(());
    if tokio::time::timeout(RECOVERY * 2, eventually("the file", done)).await.is_err() {
        panic!("{what}: {:#?}\n{}", view().await, why(&daemon.client, job).await);
    }
}

/// All machines fetch a file at once; every kind of cut comes once, then six that are drawn overlap as they happen to.
async fn run(office: &Office, seed: u64) {
    let content = Content::new(seed, 36 * MIB);
    let manner = Manner { bytes_per_s: Some(LINE), ..Manner::default() };
    let origin = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let (mut daemons, mut jobs) = (Vec::new(), Vec::new());
    for machine in 0..MACHINES {
        daemons.push(office.daemon_called(&format!("daemon{machine} of {seed}"), machine, &[]).await);
    }
    for daemon in &daemons {
        daemon.connected(usize::from(MACHINES) - 1).await;
    }
    for (machine, daemon) in daemons.iter().enumerate() {
        let wish = spec(office, &format!("copy{machine} of {seed}"), &origin, sha256_of(content));
        // The least delay there is, as `nearbits get` asks for.
        jobs.push(submit(&daemon.client, JobSpec { retry_delay_s: 5, ..wish }).await);
    }
    let mut draw = Draw(seed);
    for cut in [Cut::Cable(0), Cut::OneWay(1, 2), Cut::BothWays(2, 3), Cut::Origin] {
        pass(office, cut, 1_000 + draw.below(1_500)).await;
        go_on(&daemons, &jobs, &format!("seed {seed}, after {cut:?}")).await;
    }
    let drawn: Vec<(u64, Cut, u64)> =
        (0..6).map(|_| (draw.below(4_000), draw.cut(), 300 + draw.below(2_500))).collect();
    let cuts = drawn.iter().map(|(after, cut, for_ms)| async move {
        sleep(Duration::from_millis(*after)).await;
        pass(office, *cut, *for_ms).await;
    });
    futures::future::join_all(cuts).await;
    let what = format!("seed {seed}, after {drawn:?}");
    go_on(&daemons, &jobs, &what).await;
    for (machine, (daemon, job)) in daemons.iter().zip(&jobs).enumerate() {
        whole(daemon, *job, &what).await;
        assert_exact(&office.path(&format!("copy{machine} of {seed}")), content);
    }
    for daemon in daemons {
        daemon.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_and_d50_machines_that_lose_each_other_or_the_origin_go_on_within_30_s_of_healing() {
    let runs = std::env::var("NEARBITS_PARTED").map_or(1, |runs| runs.parse().expect("a number of runs"));
    let Some(office) = Office::open(MACHINES, Addresses::Both) else { return };
    for seed in 1..=runs {
        run(&office, seed).await;
    }
}
