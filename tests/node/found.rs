//! How long it takes to find the one machine of many that holds a file, when nobody ever met it.
//!
//! Knows: an office of as many daemons as it is told, each on a machine (a network namespace) of its own, pairs of them
//! that never met, when a job chose its first source. Does not know: how the holder is found. With `NEARBITS_LOOKUP=40x100`
//! (machines, tries) it measures, and insists on 300 ms for 99 of 100; else it looks only whether it works.

use crate::asked::quiet;
use crate::lab::blake3_of;
use crate::office::{Addresses, Daemon, Office};
use crate::on_link::{fetch, follow, spec, submit, why};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const LEN: u64 = 2 << 20;
const FOUND_WITHIN_MS: u64 = 300;

/// Machines and tries, and whether the clock counts.
fn size() -> (u8, usize, bool) {
    let Some(text) = std::env::var_os("NEARBITS_LOOKUP") else { return (6, 6, false) };
    let text = text.into_string().expect("such as 40x100");
    let (machines, tries) = text.split_once('x').expect("such as 40x100");
    (machines.parse().expect("a number of machines"), tries.parse().expect("a number of tries"), true)
}

/// Lets one machine get a file and another look for it; milliseconds until that one chose the first as a source.
async fn try_once(office: &Office, turn: usize, holder: &Daemon, asker: &Daemon) -> u64 {
    let content = Content::new(10_000 + u64::try_from(turn).expect("few"), LEN);
    let origin = PlainOrigin::start_on(office.origin_listener(), content, Manner::default());
    fetch(office, holder, &format!("held{turn}"), &origin, content).await;
    let manner = Manner { bytes_per_s: Some(100_000), ..Manner::default() };
    let slow = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let wish = spec(office, &format!("asked{turn}"), &slow, blake3_of(content));
    let job = submit(&asker.client, wish).await;
    let view = follow(&asker.client, job, |_| false).await;
    let said = why(&asker.client, job).await;
    assert!(view.bytes.peers * 10 >= LEN * 9, "{view:?}\n{said}");
    let id = holder.client.status().await.expect("it answers").peer_id;
    let decisions = asker.client.why(job).await.expect("it answers");
    let chosen = decisions.iter().filter(|decision| decision.chosen == id && decision.range.is_some());
    chosen.map(|decision| decision.at_ms).min().unwrap_or_else(|| panic!("never chosen:\n{said}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "whoever measures wants to see it")]
async fn peer_25_the_one_holder_among_many_machines_is_found_by_who_never_met_it() {
    let (machines, tries, is_measured) = size();
    let Some(office) = Office::open(machines, Addresses::Both) else { return };
    let mut daemons = Vec::new();
    for machine in 0..machines {
        daemons.push(quiet(&office, machine).await);
    }
    let mut took = Vec::new();
    for turn in 0..tries {
        // Pairs that never met: the next machine, then the one after it, ...
        let (asker, away) = (turn % daemons.len(), 1 + turn / daemons.len());
        assert!(away * 2 < daemons.len(), "{machines} machines have no {tries} such pairs");
        let holder = (asker + away) % daemons.len();
        took.push(try_once(&office, turn, &daemons[holder], &daemons[asker]).await);
    }
    took.sort_unstable();
    let share = |hundredths: usize| took[(took.len() * hundredths).div_ceil(100) - 1];
    let (median, most, worst) = (share(50), share(99), share(100));
    if is_measured {
        println!(
            "{tries} tries among {machines}: {median} ms half of them, {most} ms 99 of 100, {worst} ms all"
        );
        assert!(most <= FOUND_WITHIN_MS, "{took:?}");
    }
}
