//! Whose turn it is, in virtual time (SCHED-1..5).

use std::time::Duration;

use super::desk::{Desk, Manner, job, url, wish};
use crate::engine::io::{Input, JobCommand};
use crate::engine::queue::QueueConfig;
use crate::job::{JobChange, JobSpec, JobState, Priority, Rates};

const SECOND: Duration = Duration::from_secs(1);
const ONE: QueueConfig =
    QueueConfig { background_at_once: 1, slice_s: 5, files_at_once: 4, start_spread_s: 0 };

fn with_priority(priority: Priority, name: &str) -> JobSpec {
    JobSpec { priority, ..wish(&[name]) }
}

#[test]
fn job_t8_a_foreground_job_stops_background_jobs_at_once_and_they_go_on_where_they_were() {
    let mut desk = Desk::new();
    desk.manners.insert(url("slow"), Manner::Gives(100_000));
    desk.submit(job(1), with_priority(Priority::Normal, "slow"));
    desk.run_for(2 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferring);
    desk.submit(job(2), with_priority(Priority::Foreground, "quick"));
    let before = desk.given[&url("slow")];
    desk.run_for(Duration::from_millis(500));
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Queued, JobState::Transferring));
    let while_it_ran = desk.given[&url("slow")] - before;
    assert!(while_it_ran <= 2_000, "{while_it_ran} bytes");
    desk.run_for(20 * SECOND);
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Transferred, JobState::Transferred));
    let twice = desk.given[&url("slow")] - super::desk::LEN;
    assert!(twice <= 65_536, "{twice} bytes twice");
}

#[test]
fn job_t7_and_sched_4_equal_jobs_share_by_slices() {
    let mut desk = Desk::with(|config| config.queue = ONE);
    for number in 1..=3 {
        let name = format!("f{number}");
        desk.manners.insert(url(&name), Manner::Gives(20_000));
        desk.submit(job(number), with_priority(Priority::Normal, &name));
    }
    desk.run_for(45 * SECOND);
    let shares: Vec<u64> = (1..=3).map(|number| desk.given[&url(&format!("f{number}"))]).collect();
    let (least, most) = (shares.iter().min().expect("three"), shares.iter().max().expect("three"));
    assert!(most - least <= most / 10, "{shares:?}");
    let states: Vec<_> = (1..=3).map(|number| desk.state(job(number))).collect();
    assert_eq!(states.iter().filter(|state| **state == JobState::Queued).count(), 2, "{states:?}");
}

#[test]
fn sched_4_whoever_gave_up_its_slice_goes_to_the_end_behind_those_who_wait_longer() {
    let mut desk = Desk::with(|config| config.queue = ONE);
    // They came in another order than that of their ids.
    for number in [2, 3, 1] {
        let name = format!("f{number}");
        desk.manners.insert(url(&name), Manner::Gives(10_000));
        desk.submit(job(number), with_priority(Priority::Normal, &name));
    }
    let mut turns = Vec::new();
    for _ in 0..350 {
        desk.run_for(Duration::from_millis(100));
        let runs = (1..=3).find(|number| desk.state(job(*number)) == JobState::Transferring);
        if runs.is_some() && turns.last() != Some(&runs) {
            turns.push(runs);
        }
    }
    turns.truncate(7);
    assert_eq!(turns, [2, 3, 1, 2, 3, 1, 2].map(Some));
}

#[test]
fn who_forgets_a_job_that_is_over_leaves_the_files_of_others_on_their_way() {
    let mut desk = Desk::new();
    desk.submit(job(1), JobSpec { auto_complete: true, ..wish(&["a"]) });
    desk.run_for(3 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Acknowledged);
    desk.manners.insert(url("b"), Manner::Gives(100_000));
    desk.submit(job(2), wish(&["b"]));
    desk.run_for(2 * SECOND);
    desk.command(job(1), JobCommand::Forget);
    assert_eq!(desk.engine.job_view(job(1)), None);
    desk.run_for(20 * SECOND);
    assert_eq!(desk.state(job(2)), JobState::Transferred);
    let again = desk.given[&url("b")] - super::desk::LEN;
    assert_eq!((again, desk.probes.len()), (0, 2), "it went on as before");
}

#[test]
fn sched_5_jobs_of_one_priority_begin_in_the_order_they_came() {
    let mut desk = Desk::with(|config| config.queue = ONE);
    for number in [3, 1, 2] {
        desk.submit(job(number), with_priority(Priority::Normal, &format!("f{number}")));
    }
    desk.run_for(20 * SECOND);
    assert_eq!(desk.probes, [url("f3"), url("f1"), url("f2")]);
}

#[test]
fn sched_2_a_lower_level_waits_until_the_higher_ones_are_done() {
    let mut desk = Desk::with(|config| config.queue = QueueConfig { background_at_once: 4, ..ONE });
    desk.submit(job(1), with_priority(Priority::Low, "low"));
    desk.submit(job(2), with_priority(Priority::High, "high"));
    desk.run_for(Duration::from_millis(500));
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Queued, JobState::Transferring));
    desk.run_for(5 * SECOND);
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Transferred, JobState::Transferred));
}

#[test]
fn one_dead_origin_does_not_hold_up_the_queue() {
    let mut desk = Desk::with(|config| config.queue = ONE);
    desk.manners.insert(url("dead"), Manner::Away);
    desk.submit(job(1), with_priority(Priority::High, "dead"));
    desk.submit(job(2), with_priority(Priority::Low, "alive"));
    desk.run_for(10 * SECOND);
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::TransientError, JobState::Transferred));
}

#[test]
fn one_dead_file_does_not_hold_up_the_others_of_its_job() {
    let mut desk = Desk::with(|config| config.queue.files_at_once = 1);
    desk.manners.insert(url("b"), Manner::Away);
    desk.submit(job(1), wish(&["a", "b", "c", "d"]));
    desk.run_for(10 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred), (JobState::TransientError, 3), "{}", view.reason);
}

#[test]
fn many_dead_files_do_not_hold_up_the_others_of_their_job() {
    let mut desk = Desk::new();
    let names: Vec<String> = (0..20).map(|file| format!("f{file}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The first twelve are dead.
    desk.manners.extend(names.iter().take(12).map(|name| (url(name), Manner::Away)));
    desk.submit(job(1), JobSpec { retry_delay_s: 30, ..wish(&names) });
    desk.run_for(60 * SECOND);
    let view = desk.view(job(1));
    assert_eq!((view.state, view.files_transferred), (JobState::TransientError, 8), "{}", view.reason);
    desk.manners.clear();
    desk.run_for(120 * SECOND);
    assert_eq!((desk.state(job(1)), desk.view(job(1)).files_transferred), (JobState::Transferred, 20));
}

#[test]
fn a_priority_that_is_changed_counts_at_once() {
    let mut desk = Desk::with(|config| config.queue = ONE);
    for (number, name) in [(1, "a"), (2, "b")] {
        desk.manners.insert(url(name), Manner::Gives(50_000));
        desk.submit(job(number), with_priority(Priority::Normal, name));
    }
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Transferring, JobState::Queued));
    let change = JobChange { priority: Some(Priority::High), ..JobChange::default() };
    desk.command(job(2), JobCommand::Change(Box::new(change)));
    desk.run_for(SECOND);
    assert_eq!((desk.state(job(1)), desk.state(job(2))), (JobState::Queued, JobState::Transferring));
}

#[test]
fn sched_9_three_hundred_jobs_hold_few_files_open() {
    let mut desk = Desk::new();
    for number in 0..300_u16 {
        let mut id = [9; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let names: Vec<String> = (0..20).map(|file| format!("j{number}-{file}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let root = crate::job::Caller { uid: 0, is_administrator: true };
        desk.submit_as(crate::job::JobId(id), wish(&names), root, true);
    }
    desk.run_for(5 * SECOND);
    assert!((1..=64).contains(&desk.open.len()), "{}", desk.open.len());
    let running = desk.engine.job_views().iter().filter(|view| view.state.is_active()).count();
    assert_eq!(running, 4);
}

#[test]
fn many_jobs_that_wait_for_their_origins_keep_few_files_open() {
    let mut desk = Desk::new();
    for number in 0..100_u8 {
        let names: Vec<String> = (0..20).map(|file| format!("j{number}-{file}")).collect();
        desk.manners.extend(names.iter().map(|name| (url(name), Manner::Away)));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let root = crate::job::Caller { uid: 0, is_administrator: true };
        desk.submit_as(job(number), JobSpec { priority: Priority::Foreground, ..wish(&names) }, root, true);
    }
    desk.run_for(30 * SECOND);
    assert!(desk.open.len() <= 256, "{}", desk.open.len());
    desk.manners.clear();
    for number in 0..100 {
        desk.command_as(
            job(number),
            JobCommand::Resume,
            crate::job::Caller { uid: 0, is_administrator: true },
        );
    }
    desk.run_for(120 * SECOND);
    let whole = (0..100).filter(|number| desk.state(job(*number)) == JobState::Transferred).count();
    assert_eq!(whole, 100);
}

/// A desk that holds background jobs back for up to ten seconds, by this seed.
fn spread(seed: u8) -> Desk {
    Desk::with(|config| {
        config.seed = [seed; 32];
        config.queue = QueueConfig { start_spread_s: 10, ..QueueConfig::default() };
    })
}

/// The hundredths of a second after which a background job's origin is asked.
fn first_asked(desk: &mut Desk) -> u64 {
    let step = Duration::from_millis(10);
    (0..2_000)
        .find(|_| {
            desk.run_for(step);
            !desk.probes.is_empty()
        })
        .expect("it begins")
}

#[test]
fn sched_11_background_jobs_of_many_machines_begin_at_moments_of_their_own() {
    let mut starts: Vec<u64> = (1..=20)
        .map(|seed| {
            let mut desk = spread(seed);
            desk.submit(job(1), wish(&["a"]));
            first_asked(&mut desk)
        })
        .collect();
    starts.sort_unstable();
    assert!(starts.iter().all(|start| *start <= 1_001), "none later than ten seconds: {starts:?}");
    assert!(starts[0] < 300 && starts[19] > 700, "over all of the span: {starts:?}");
    starts.dedup();
    assert!(starts.len() > 15, "{starts:?}");
}

#[test]
fn sched_11_a_job_that_is_held_back_says_so_and_an_urgent_one_never_is() {
    // A seed by which it waits.
    let mut desk = spread(3);
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(Duration::from_millis(100));
    let view = desk.view(job(1));
    assert_eq!(view.state, JobState::Queued);
    assert!(
        view.reason.contains("begins within") && view.reason.contains("start-spread-s"),
        "{}",
        view.reason
    );
    desk.submit(job(2), with_priority(Priority::Foreground, "b"));
    desk.run_for(Duration::from_millis(100));
    assert_eq!(desk.probes, [url("b")]);
    let change = JobChange { priority: Some(Priority::Foreground), ..JobChange::default() };
    desk.command(job(1), JobCommand::Change(Box::new(change)));
    desk.run_for(Duration::from_millis(100));
    assert_eq!(desk.probes, [url("b"), url("a")], "somebody waits for it now");
}

#[test]
fn sched_11_a_job_is_held_back_once_and_not_when_it_goes_on() {
    for seed in 1..=6 {
        let mut desk = spread(seed);
        desk.manners.insert(url("a"), Manner::Gives(10_000));
        desk.submit(job(1), wish(&["a"]));
        desk.run_for(11 * SECOND);
        desk.command(job(1), JobCommand::Suspend);
        desk.run_for(SECOND);
        assert_eq!(desk.state(job(1)), JobState::Suspended);
        desk.command(job(1), JobCommand::Resume);
        desk.run_for(SECOND / 2);
        assert_eq!(desk.state(job(1)), JobState::Transferring, "seed {seed}");
    }
}

#[test]
fn sched_11_without_a_span_a_job_begins_at_once() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    assert!(first_asked(&mut desk) <= 2);
}

#[test]
fn job_t18_when_the_network_is_back_files_that_wait_for_a_retry_are_asked_for_at_once() {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), Manner::Away);
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(60 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::TransientError);
    let before = desk.probes.len();
    desk.run_for(SECOND);
    assert_eq!(desk.probes.len(), before, "it waits");
    desk.tell(Input::NetworkChanged { up: true });
    desk.run_for(Duration::from_millis(100));
    assert!(desk.probes.len() > before);
}

#[test]
fn job_t22_a_job_that_was_whole_says_what_it_lacks_since_files_were_added() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    desk.run_for(3 * SECOND);
    assert_eq!((desk.state(job(1)), desk.view(job(1)).reason), (JobState::Transferred, String::new()));
    let mut add = |name: &str| {
        let change = JobChange { add_files: wish(&[name]).files, ..JobChange::default() };
        desk.command(job(1), JobCommand::Change(Box::new(change)));
        (desk.state(job(1)), desk.view(job(1)).reason)
    };
    let one = "1 file is not fetched: `nearbits job resume` fetches it, `complete` now gives it up";
    assert_eq!(add("b"), (JobState::Transferred, one.to_owned()));
    let two = "2 files are not fetched: `nearbits job resume` fetches them, `complete` now gives them up";
    assert_eq!(add("c"), (JobState::Transferred, two.to_owned()));
}

#[test]
fn lim_5_a_jobs_own_rates_are_told_when_it_comes_and_when_they_change_and_none_of_a_job_without() {
    let mut desk = Desk::new();
    desk.submit(job(1), wish(&["a"]));
    assert!(desk.rates.is_empty());
    let rates = Rates { total: std::num::NonZeroU64::new(50_000), ..Rates::default() };
    desk.submit(job(2), JobSpec { rates, ..wish(&["b"]) });
    assert_eq!(desk.rates, [(Some(job(2)), rates)]);
    let set = |rates| JobCommand::Change(Box::new(JobChange { rates: Some(rates), ..JobChange::default() }));
    desk.command(job(1), set(Rates::default()));
    assert_eq!(desk.rates.len(), 1, "nothing changed");
    desk.command(job(1), set(rates));
    assert_eq!(desk.rates[1..], [(Some(job(1)), rates)]);
}
