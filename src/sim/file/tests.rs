//! Scenario files: what they mean, what is refused, and that `docs/simulation.md` explains every key.

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::time::Instant;
use simnet::{Fault, HostId, OriginId, OriginSpec, SiteId, Wan, mbit};
use toml::{Table, Value};

use super::*;
use crate::sim::{Flip, Outcome};

/// A file that says everything.
const ALL_KEYS: &str = r#"
file-mib = 1
file-kib = 256
named = "blake3"
peers = true
priority = "low"
offices = 1
machines = 3
holders = 1
stagger-ms = 5
spread-ms = 5
wan-mbit = 50
wan-up-mbit = 20
wan-delay-ms = 20
wan-loss-per-million = 10
lan-loss-per-million = 1
port-mbit = 100
wireless-percent = 10
cell-mbit = 50
client-off-percent = 10
server-off-percent = 10
origin-mbit = 100
origin-connection-mbit = 50
origin-connections = 8
origin-delay-ms = 5
origin-cuts-after-mib = 1
limit-s = 100

[[office]]
machines = 4
wan-mbit = 10
wan-up-mbit = 5
wan-delay-ms = 30
wan-loss-per-million = 100

[churn]
percent = 10
from-ms = 10
to-ms = 20
back-after-ms = 100
crash = "disk"

[[partition]]
office = 0
percent = 40
from-ms = 10
to-ms = 1000

[[fault]]
at-ms = 5
what = "line"
machine = 1
other = 2
office = 0
wan-mbit = 5
origin-mbit = 5
origin-connection-mbit = 5

[[rogue]]
kind = "drips"
bytes-per-s = 1000

[[rogue]]
kind = "false-list"
false-pieces = 3
"#;

fn parsed(text: &str) -> SwarmFile {
    SwarmFile::parse(text).unwrap_or_else(|fault| panic!("{fault}"))
}

fn outcome(text: &str) -> Outcome {
    parsed(text).swarm().unwrap().run(1).unwrap()
}

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

/// The name of each key with a value that is not a table, and the table it is in.
fn leaves(table: &Table) -> Vec<(String, String, Value)> {
    fn walk(name: &str, table: &Table, found: &mut Vec<(String, String, Value)>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => walk(key, inner, found),
                Value::Array(parts) => {
                    parts.iter().filter_map(Value::as_table).for_each(|part| walk(key, part, found));
                }
                other => found.push((name.to_owned(), key.clone(), other.clone())),
            }
        }
    }
    let mut found = Vec::new();
    walk("", table, &mut found);
    found
}

fn bound_of(table: &str, key: &str) -> Option<&'static Bound> {
    let own = format!("{table}.{key}");
    BOUNDS.iter().find(|bound| bound.key == own || bound.key == key)
}

#[test]
fn a_file_that_says_everything_is_read_and_every_number_in_it_has_bounds() {
    let file = parsed(ALL_KEYS);
    assert!(file.swarm().is_ok(), "{:?}", file.swarm().err());
    let written = Table::try_from(&file).unwrap();
    for (table, key, value) in leaves(&written) {
        let has_bounds = bound_of(&table, &key).is_some();
        assert_eq!(has_bounds, value.is_integer(), "{table}.{key}");
    }
    // And it does say everything: no key is left that is not in it.
    let said = format!("{:?}", file);
    assert!(!said.contains("None") && !said.contains("[]"), "{said}");
}

#[test]
fn every_key_stands_in_the_documentation_with_its_default_and_its_bounds() {
    let text = include_str!("../../../docs/simulation.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let defaults = Table::try_from(SwarmFile::default()).unwrap();
    for (table, key, _) in leaves(&Table::try_from(parsed(ALL_KEYS)).unwrap()) {
        let name = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("`{name}` has no row in docs/simulation.md"));
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, default, allowed] = cells[..] else { panic!("four cells: {row}") };
        if let Some(bound) = bound_of(&table, &key) {
            assert_eq!(allowed, format!("{} to {}", bound.least, bound.most), "`{name}`");
        }
        if let Some(value) = defaults.get(&key).filter(|_| table.is_empty()) {
            assert_eq!(default, value.to_string().trim_matches('"'), "`{name}`");
        }
    }
}

#[test]
fn a_number_out_of_bounds_is_refused_with_its_key_and_what_it_may_be() {
    for (text, said) in [
        ("machines = 0", "`machines` is 1 to 10000 (machines), not 0"),
        ("wan-mbit = -3", "`wan-mbit` is 1 to 1000000 (Mbit/s), not -3"),
        ("[[office]]\nwan-mbit = 0", "`office.wan-mbit` is 1 to 1000000 (Mbit/s), not 0"),
        ("[[partition]]\nfrom-ms = 1\npercent = 100", "`partition.percent` is 1 to 99"),
        ("[churn]\npercent = 101\nfrom-ms = 1\nto-ms = 2", "`churn.percent` is 0 to 100"),
    ] {
        let fault = SwarmFile::parse(text).unwrap_err().to_string();
        assert!(fault.contains(said), "{text}: {fault}");
    }
    // The same where no text was read.
    let fault = SwarmFile { machines: 0, ..SwarmFile::default() }.swarm().unwrap_err();
    assert_eq!(fault.to_string(), "`machines` is 1 to 10000 (machines), not 0");
}

#[test]
fn a_word_that_is_not_known_is_refused_with_those_that_are() {
    for (text, words) in [
        ("machinez = 3", ["machinez", "`machines`"]),
        ("named = \"md5\"", ["md5", "`sha-256`, `blake3`, `none`"]),
        ("[[fault]]\nat-ms = 1\nwhat = \"explode\"", ["explode", "`power-cut`"]),
        ("[[rogue]]\nkind = \"bad\"", ["bad", "`false-bytes`"]),
        (
            "[churn]\npercent = 1\nfrom-ms = 1\nto-ms = 1\ncrash = \"x\"",
            ["`x`", "`program`, `power`, `disk`"],
        ),
    ] {
        let fault = SwarmFile::parse(text).unwrap_err().to_string();
        assert!(words.iter().all(|word| fault.contains(word)), "{text}: {fault}");
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    for (text, said) in [
        ("machines = 2\nholders = 3", "more `holders` and rogues than machines"),
        ("offices = 2\n[[office]]\nmachines = 3", "`offices` is left out"),
        ("offices = 1000\nmachines = 100", "100000 machines are more than 10000"),
        (
            "machines = 3\n[[fault]]\nat-ms = 1\nwhat = \"crash\"\nmachine = 3",
            "`fault[0].machine` is 0 to 2 here, not 3",
        ),
        ("[[fault]]\nat-ms = 1\nwhat = \"line-down\"\noffice = 1", "`fault[0].office` is 0 to 0 here, not 1"),
        ("[[fault]]\nat-ms = 1\nwhat = \"line\"", "`fault[0].wan-mbit` is what a `line` needs"),
        ("[[partition]]\nfrom-ms = 1\noffice = 2", "`partition[0].office` is 0 to 0 here, not 2"),
        ("[[partition]]\nfrom-ms = 9\nto-ms = 8", "before its `from-ms`"),
        ("machines = 2000\n[[partition]]\nfrom-ms = 9", "up to 1000 machines"),
    ] {
        let fault = parsed(text).swarm().unwrap_err().to_string();
        assert!(fault.contains(said), "{text}: {fault}");
    }
}

#[test]
fn offices_that_differ_have_their_own_lines_and_machines() {
    let file = parsed(
        "wan-mbit = 80\nmachines = 2\n[[office]]\nwan-mbit = 20\nwan-up-mbit = 5\n[[office]]\nmachines = 3",
    );
    let swarm = file.swarm().unwrap();
    let lines: Vec<Wan> = swarm.lines().collect();
    assert_eq!(lines, [Wan { up_bytes_per_s: mbit(5), ..Wan::mbit(20) }, Wan::mbit(80)]);
    let outcome = outcome("file-mib = 4\n[[office]]\nmachines = 1\nwan-mbit = 10\n[[office]]\nmachines = 1");
    let took: Vec<Duration> = outcome.shares.iter().filter_map(|share| share.took).collect();
    assert!(took[0] > Duration::from_secs(3) && took[1] < Duration::from_secs(1), "{took:?}");
    let copy = 4 << 20..(4 << 20) + 400;
    assert!(outcome.lines.iter().all(|(down, _)| copy.contains(down)), "{:?}", outcome.lines);
}

#[test]
fn a_partition_cuts_every_pair_between_two_halves_and_heals_it() {
    let file = parsed(
        "[[office]]\nmachines = 2\n[[office]]\nmachines = 4\n[[partition]]\noffice = 1\nfrom-ms = 5\nto-ms = 9",
    );
    let swarm = file.swarm().unwrap();
    let mut cut: BTreeMap<(u32, u32), Vec<Instant>> = BTreeMap::new();
    for (at, fault) in swarm.faults() {
        let (Fault::Cut(one, other) | Fault::Heal(one, other)) = fault else { panic!("{fault:?}") };
        cut.entry((one.0, other.0)).or_default().push(*at);
    }
    assert_eq!(cut.keys().copied().collect::<Vec<_>>(), [(2, 4), (2, 5), (3, 4), (3, 5)]);
    assert!(cut.values().all(|at| at[..] == [ms(5), ms(9)]));
}

#[test]
fn faults_mean_what_they_say() {
    let of = |text: &str| {
        let text = format!("origin-mbit = 500\n[[fault]]\nat-ms = 7\n{text}");
        parsed(&text).swarm().unwrap()
    };
    assert_eq!(
        of("what = \"cut-one-way\"\nmachine = 1\nother = 2").faults(),
        [(ms(7), Fault::CutOneWay(HostId(1), HostId(2)))]
    );
    assert_eq!(of("what = \"line\"\nwan-mbit = 3").faults(), [(ms(7), Fault::Line(SiteId(0), Wan::mbit(3)))]);
    let slow =
        OriginSpec { rate_bytes_per_s: mbit(500), flow_rate_bytes_per_s: mbit(2), ..OriginSpec::default() };
    let fault = Fault::Origin(OriginId(0), slow);
    assert_eq!(of("what = \"origin-slow\"\norigin-connection-mbit = 2").faults(), [(ms(7), fault)]);
    let swarm = of("what = \"server-off\"\nmachine = 4");
    let flip = Flip { host: HostId(4), client: None, server: Some(false) };
    assert_eq!((swarm.faults(), swarm.flips()), (&[][..], vec![(ms(7), flip)]));
}

#[test]
fn a_machine_whose_client_flag_goes_off_takes_nothing_more_from_others() {
    let text = "file-mib = 32\nmachines = 3\nholders = 1\nnamed = \"blake3\"\nport-mbit = 50";
    let flip = "\n[[fault]]\nat-ms = 2500\nwhat = \"client-off\"\nmachine = 2";
    let (before, after) = (outcome(text), outcome(&format!("{text}{flip}")));
    assert!(before.share(HostId(2)).unwrap().from_origin < 12 << 20, "{:?}", before.shares);
    let share = after.share(HostId(2)).unwrap();
    assert!(share.from_peers > 4 << 20 && share.from_origin > 16 << 20, "{:?}", after.shares);
}

#[test]
fn flags_that_are_off_hold_for_about_as_many_as_are_said() {
    let text = "file-mib = 1\nmachines = 40\nholders = 1\nclient-off-percent = 50";
    let outcome = outcome(text);
    let alone = outcome.shares.iter().filter(|share| share.from_peers == 0).count();
    assert!((12..=28).contains(&alone), "{alone} of {}", outcome.shares.len());
    let silent = parsed("file-mib = 1\nmachines = 4\nholders = 1\nserver-off-percent = 100").swarm().unwrap();
    let outcome = silent.run(1).unwrap();
    assert!(outcome.shares.iter().all(|share| share.sent == 0 && !share.may_serve), "{:?}", outcome.shares);
}
