//! Each oracle finds a fault of the engine that is put there on purpose, and finds nothing without it.

use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{Fault, HostId, Scenario, Wan};

use super::*;
use crate::engine::mutant::{Mutant, with};

const MIB: u64 = 1024 * 1024;

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

fn office(machines: u32, mib: u64) -> Swarm {
    let swarm = Swarm::of(Scenario::branch_office(machines, Wan::mbit(100)), mib * MIB).unwrap();
    swarm.limit(Duration::from_secs(120))
}

/// Runs, and says what an oracle found, or that somebody never got the file.
fn found(swarm: &Swarm) -> Result<Outcome, String> {
    let outcome = swarm.run(1).map_err(|trouble| trouble.to_string())?;
    match outcome.unfinished() {
        0 => Ok(outcome),
        count => Err(format!("{count} never got the file")),
    }
}

/// The same, and the origin sends the file about once.
fn sent_once(swarm: &Swarm) -> Result<Outcome, String> {
    sent(swarm, 1_020)
}

/// The same, and the origin does not send it twice, where somebody owes what he says he has.
fn sent_less_than_twice(swarm: &Swarm) -> Result<Outcome, String> {
    sent(swarm, 2_000)
}

fn sent(swarm: &Swarm, most: u64) -> Result<Outcome, String> {
    let outcome = found(swarm)?;
    let permille = outcome.origin_permille();
    if permille <= most { Ok(outcome) } else { Err(format!("the origin sent {permille} thousandths")) }
}

/// The same as the first, and nobody is worse off than with the origin alone.
fn never_worse(swarm: &Swarm) -> Result<Outcome, String> {
    let outcome = found(swarm)?;
    let plain = swarm.origin_only().run(1).map_err(|trouble| trouble.to_string())?;
    match outcome.worse_than(&plain, swarm.promise()).first() {
        None => Ok(outcome),
        Some(worse) => Err(format!("worse off than with the origin alone: {worse:?}")),
    }
}

type Check = fn(&Swarm) -> Result<Outcome, String>;

/// The check finds the fault and says so, and finds nothing in the engine that ships.
fn is_found(mutant: Mutant, swarm: &Swarm, check: Check, says: &str) {
    let healthy = with(None, || check(swarm));
    assert!(healthy.is_ok(), "without {mutant:?}: {:?}", healthy.err());
    let wrong = with(Some(mutant), || check(swarm));
    let wrong = wrong.err().unwrap_or_else(|| panic!("{mutant:?} is not found"));
    assert!(wrong.contains(says), "{mutant:?}: {wrong}");
}

#[test]
fn the_oracle_of_what_is_served_finds_unproved_bytes() {
    // A slow radio cell: the list is there long before the file, and what was taken on words is proved by it.
    let cell = Scenario::branch_office(9, Wan::mbit(121)).wireless(800_000, simnet::mbit(100));
    let swarm = Swarm::of(cell, 12 * MIB).unwrap().named(Some(Algorithm::Blake3));
    // Four of five seeds find it.
    let found = |swarm: &Swarm| {
        let outcomes: Result<Vec<Outcome>, _> = (1..4).map(|seed| swarm.run(seed)).collect();
        outcomes.map_err(|trouble| trouble.to_string())?.pop().ok_or_else(|| "no run".to_owned())
    };
    is_found(Mutant::ForgetsTheJournal, &swarm, found, "neither certain nor proved");
}

#[test]
fn the_oracle_of_counts_finds_bytes_that_are_not_counted() {
    is_found(Mutant::MiscountsServed, &office(3, 8).holders(1), found, "was told");
}

#[test]
fn the_oracle_of_permission_finds_who_takes_or_gives_without_it() {
    let says = "without permission";
    is_found(Mutant::TakesUnasked, &office(4, 8).holders(1).flags_off(1_000_000, 0), found, says);
    is_found(Mutant::GivesUnasked, &office(8, 8).flags_off(0, 500_000), found, says);
}

#[test]
fn the_oracle_of_sealing_finds_gaps() {
    is_found(Mutant::SealsWithAGap, &office(3, 8), found, "is sealed with");
}

#[test]
fn the_oracle_of_rest_finds_who_never_waits() {
    is_found(Mutant::NeverRests, &office(2, 8), found, "does not come to rest");
}

#[test]
fn the_oracle_of_progress_finds_who_waits_for_others_for_ever() {
    let silent = office(4, 16).holders(1).rogue(Malice::Silent);
    is_found(Mutant::WaitsForEver, &silent, found, "has got nothing since");
}

#[test]
fn the_count_of_origin_bytes_finds_who_fetches_alone() {
    is_found(Mutant::TellsNobody, &office(6, 32), sent_once, "thousandths");
    let drips = office(5, 16).rogue(Malice::Drips { bytes_per_s: 20_000 });
    is_found(Mutant::SiteNeverForgets, &drips, sent_less_than_twice, "thousandths");
}

#[test]
fn the_run_from_the_origin_alone_finds_who_leaves_a_segment_to_a_sleeper() {
    let sleepy = office(3, 32).fault(ms(1_500), Fault::Sleep(HostId(0)));
    let sleepy = sleepy.fault(ms(90_000), Fault::Wake(HostId(0)));
    is_found(Mutant::ClaimsNeverEnd, &sleepy, never_worse, "worse off");
}
