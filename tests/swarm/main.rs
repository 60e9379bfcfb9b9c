//! Worlds from seeds: every way a job may be named, machines may arrive and things may go wrong, crossed with each other.
//!
//! Two hundred small worlds run with every `cargo test`; `just seeds N` runs N larger ones. One that fails names its
//! seed; `NEARBITS_SEED=N cargo test --test swarm` runs that one alone (with `NEARBITS_SEEDS` as it was, if it was set).
//! Knows: which worlds there are, and what must hold of each. Does not know: how engines or worlds work (`nearbits::sim`).

#![allow(clippy::unwrap_used)]

mod judge;
mod matrix;
mod mixture;

use nearbits::sim::SwarmFile;

use self::judge::judge;
use self::matrix::{CELLS, Form, TROUBLES, Trouble, world};

/// A number from the environment.
fn wished(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Seeds of one row of the matrix: each of its cells once, or more often in the large form.
fn seeds(row: u64, rows: u64) -> (Form, Vec<u64>) {
    let (form, all) = match wished("NEARBITS_SEEDS") {
        Some(all) => (Form::Large, all),
        None => (Form::Small, CELLS * rows),
    };
    let of_row = |seed: &u64| seed % rows == row;
    let seeds = match wished("NEARBITS_SEED") {
        Some(seed) => vec![seed],
        None => (0..all).collect(),
    };
    (form, seeds.into_iter().filter(of_row).collect())
}

/// Lives through every cell of a row.
fn live(trouble: Trouble) {
    let rows = u64::try_from(TROUBLES.len()).unwrap();
    let row = u64::try_from(TROUBLES.iter().position(|other| *other == trouble).unwrap()).unwrap();
    let (form, seeds) = seeds(row, rows);
    let wrong: Vec<String> = seeds
        .into_iter()
        .filter_map(|seed| {
            let (cell, swarm) = world(trouble, seed / rows, form, seed);
            judge(&swarm, trouble, seed).err().map(|what| format!("seed {seed}, {cell:?}: {what}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} worlds go wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! rows {
    ($($name:ident: $trouble:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            live(Trouble::$trouble);
        })*

        #[test]
        fn every_trouble_has_its_test() {
            assert_eq!(TROUBLES, [$(Trouble::$trouble),*]);
        }
    };
}

rows! {
    all_get_the_file_where_nothing_goes_wrong: Nothing,
    all_get_the_file_where_programs_crash: Crashes,
    all_get_the_file_where_machines_lose_power: PowerCuts,
    all_get_the_file_where_machines_sleep: Sleep,
    all_get_the_file_where_machines_move: Moves,
    all_get_the_file_where_the_office_is_cut_in_halves: Partition,
    all_get_the_file_where_packets_are_lost: Loss,
    all_get_the_file_where_the_origin_goes_and_returns: OriginGone,
    all_get_the_file_where_the_origin_falls_silent: OriginSilent,
    all_get_the_file_where_the_origin_becomes_slow: OriginSlow,
    all_get_the_file_where_the_origin_gives_little_to_each: Connections,
    all_get_the_file_where_somebody_gives_false_bytes: FalseBytes,
    all_get_the_file_where_somebody_swears_to_a_false_list: FalseList,
    all_get_the_file_where_somebody_says_nothing: Silent,
    all_get_the_file_where_somebody_drips: Drips,
    all_get_the_file_where_most_share_a_radio_cell: Wireless,
    all_get_the_file_where_there_are_several_offices: Offices,
}

/// What all read is told in pieces, of which a narrow line brings few a second.
#[test]
fn home_4_on_a_narrow_line_the_site_fetches_once_too() {
    let text = "file-mib = 16\nmachines = 8\nwan-mbit = 4\n";
    let swarm = SwarmFile::parse(text).unwrap().swarm().unwrap();
    for seed in 1..=6 {
        let outcome = swarm.run(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let per_mille = outcome.origin_bytes * 1_000 / outcome.len;
        assert!(outcome.unfinished() == 0 && per_mille <= 1_100, "seed {seed}: {per_mille} of 1000 bytes");
    }
}
