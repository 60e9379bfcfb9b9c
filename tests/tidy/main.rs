//! The house rules, as a test: who may name whom, sizes, bans; and documents against code (`documents`).
//!
//! Knows: the table of arrows (`ARCHITECTURE.md` draws it) and the limits of `CONTRIBUTING.md`. Does not know: how
//! sources are read (`source`), what any room does.

mod documents;
mod source;

use std::fs;

use self::source::{Source, root};

/// Who may name whom inside `src/`. A room not listed may name nothing of the others. An entry may be a room or a
/// module of one. A new arrow is a design change: argue it in the commit that adds it here.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    // The front door: `control::api` is the values both ends speak.
    ("cli", &["control::client", "control::api", "node", "sim", "config", "clock", "telemetry"]),
    (
        "config",
        &["job", "record", "origin", "swarm", "cache", "disk", "store", "transfer", "telemetry", "node"],
    ),
    // `engine::event` and `engine::explain` are values the driver's handle speaks.
    ("control", &["driver", "job", "record", "engine::event", "engine::explain", "telemetry"]),
    // The wires. A node has every part, because it builds them.
    (
        "node",
        &[
            "cache",
            "clock",
            "config",
            "control",
            "disk",
            "driver",
            "engine",
            "job",
            "origin",
            "record",
            "store",
            "swarm",
            "telemetry",
            "transfer",
        ],
    ),
    (
        "driver",
        &[
            "engine",
            "transfer",
            "store",
            "cache",
            "swarm",
            "origin",
            "job",
            "record",
            "clock",
            "disk",
            "telemetry",
        ],
    ),
    ("clock", &["engine::io"]),
    // The brain.
    ("engine", &["job", "record"]),
    ("job", &[]),
    ("record", &["job"]),
    // The hands: of the engine, the values of leases and effects only.
    (
        "transfer",
        &["origin", "swarm", "cache", "disk", "store", "engine::io", "job", "record", "clock", "telemetry"],
    ),
    ("swarm", &["cache", "telemetry"]),
    ("origin", &["telemetry"]),
    // Memory. A stored job is a value of `engine::io`.
    ("store", &["record", "job", "disk", "engine::io", "telemetry"]),
    ("cache", &["record", "job", "disk", "store", "telemetry"]),
    ("disk", &["telemetry"]),
    ("telemetry", &[]),
    ("sim", &["engine", "job", "record", "store", "cache", "disk"]),
];

/// Crates that only some rooms may name.
const KEPT_CRATES: &[(&str, &[&str])] = &[
    ("libp2p", &["swarm"]),
    ("mdns_sd", &["swarm"]),
    ("sled", &["store"]),
    ("hyper", &["origin", "control"]),
    ("hyper_util", &["origin", "control"]),
    ("axum", &["control"]),
    // Values say of themselves how they are written; the document is made in `control`.
    ("utoipa", &["control", "engine", "job", "record"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("csv", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("anyhow", &["cli", "main"]),
];

/// Words that only one file may say in code.
const KEPT_WORDS: &[(&str, &str)] = &[("hazmat", "peer-proto/src/verify/subtree.rs")];

/// Rooms of `src/` that are pure: no IO, no clock, no async, no chance, no unordered maps, no log.
const PURE_ROOMS: &[&str] = &["engine", "job", "record", "sim"];

/// What pure code never names.
const IMPURE: &[&str] = &[
    "tokio",
    "tracing",
    "rand",
    "getrandom",
    "hyper",
    "libp2p",
    "sled",
    "futures",
    "std::fs",
    "std::thread",
    "std::env",
    "std::io",
    "std::process",
    "std::sync::Mutex",
    "HashMap",
    "HashSet",
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_name_follows_the_table_of_arrows() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src"]) {
        let room = source.room();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            if room != "lib" {
                wrong.push(format!("{}: room {room:?} is not in the table of arrows", source.name));
            }
            continue;
        };
        for (name, line) in source.crate_names() {
            let Some(named) = name.first().cloned() else { continue };
            let is_inside = named == room || room == "lib";
            let is_allowed = allowed.iter().any(|entry| {
                let wanted: Vec<&str> = entry.split("::").collect();
                wanted.iter().zip(&name).all(|(wanted, found)| wanted == found) && wanted.len() <= name.len()
            });
            if !is_inside && !is_allowed {
                wrong.push(format!("{}:{line}: {room} may not name {}", source.name, name.join("::")));
            }
        }
    }
    report("arrows against the table", &wrong);
}

#[test]
fn each_foreign_crate_stays_in_its_room() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src"]) {
        let room = source.room();
        for (path, line) in &source.outside_tests().paths {
            let Some(first) = path.first() else { continue };
            for (kept, rooms) in KEPT_CRATES {
                if first == kept && !rooms.contains(&room.as_str()) {
                    wrong.push(format!("{}:{line}: {kept} belongs to {}", source.name, rooms.join(", ")));
                }
            }
        }
    }
    report("crates outside their room", &wrong);
}

/// TRUST-3: an offset or a length that BLAKE3's tree is given unchecked panics, or gives another subtree's value.
#[test]
fn trust_3_what_is_dangerous_has_one_door() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests", "benches", "examples"]) {
        let is_rule = source.name.starts_with("tests/tidy/");
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, door) in KEPT_WORDS.iter().filter(|(word, _)| code.contains(word)) {
                if source.name != *door && !is_rule {
                    wrong.push(format!("{}:{}: {word} belongs to {door}", source.name, index + 1));
                }
            }
        }
    }
    report("words outside their file", &wrong);
}

#[test]
fn the_brain_and_the_protocol_are_pure() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto/src", "simnet/src"]) {
        if source.name.starts_with("src/") && !PURE_ROOMS.contains(&source.room().as_str()) {
            continue;
        }
        let facts = source.outside_tests();
        for (path, line) in &facts.paths {
            let name = path.join("::");
            let is_impure = IMPURE.iter().any(|banned| {
                name == *banned
                    || name.starts_with(&format!("{banned}::"))
                    || (!banned.contains("::")
                        && path.iter().any(|part| part == banned)
                        && banned.starts_with('H'))
            });
            if is_impure {
                wrong.push(format!("{}:{line}: pure code names {name}", source.name));
            }
        }
        wrong.extend(facts.casts.iter().map(|line| format!("{}:{line}: an `as` cast", source.name)));
        wrong
            .extend(facts.async_fns.iter().map(|line| format!("{}:{line}: async in pure code", source.name)));
    }
    report("impurities", &wrong);
}

#[test]
fn only_the_clock_reads_clocks_and_no_channel_is_unbounded() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto/src", "simnet/src"]) {
        for (path, line) in &source.outside_tests().paths {
            let ends =
                |tail: &[&str]| path.ends_with(&tail.iter().map(ToString::to_string).collect::<Vec<_>>());
            if source.name != "src/clock.rs" && (ends(&["Instant", "now"]) || ends(&["SystemTime", "now"])) {
                wrong.push(format!("{}:{line}: reads a clock; only src/clock.rs may", source.name));
            }
            if ends(&["unbounded_channel"])
                || ends(&["mpsc", "unbounded"])
                || ends(&["std", "sync", "mpsc", "channel"])
            {
                wrong.push(format!("{}:{line}: an unbounded channel", source.name));
            }
        }
    }
    report("clocks and channels", &wrong);
}

#[test]
fn files_and_functions_fit_their_limits() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests", "benches", "examples"]) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines, the limit is {FILE_LINES_MAX}", source.name));
        }
        for (function, line, len) in &source.all_code().functions {
            if *len > FUNCTION_LINES_MAX {
                wrong.push(format!(
                    "{}:{line}: fn {function} has {len} lines, the limit is {FUNCTION_LINES_MAX}",
                    source.name
                ));
            }
        }
    }
    let main = fs::read_to_string(root().join("src/main.rs")).expect("src/main.rs is there");
    if main.lines().count() >= 60 {
        wrong.push("src/main.rs: what main does, no test does; keep it under 60 lines".into());
    }
    report("sizes", &wrong);
}

#[test]
fn every_module_says_what_it_knows() {
    let wrong: Vec<String> =
        Source::all(&["src", "peer-proto/src", "simnet/src", "tests", "benches", "examples"])
            .into_iter()
            .filter(|source| !source.text.trim_start().starts_with("//!"))
            .map(|source| format!("{}: does not start with //!", source.name))
            .collect();
    report("modules without a word", &wrong);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let mut wrong = Vec::new();
    for source in Source::all(&["src", "peer-proto", "simnet", "tests"]) {
        if source.name.starts_with("tests/tidy/") {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            for banned in ["#[ignore", "#[should_panic", "thread::sleep("] {
                if line.trim_start().starts_with(banned) || (banned.ends_with('(') && line.contains(banned)) {
                    wrong.push(format!("{}:{}: {banned}", source.name, index + 1));
                }
            }
        }
    }
    report("tests that hide or sleep", &wrong);
}

fn report(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}\n", wrong.join("\n  "));
}
