//! `sim`: a scenario file lived through by simulated nodes, and what came of it.
//!
//! Knows: the table and the object people read. Does not know: worlds (`sim`).

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::amount;
use super::args::SimArgs;
use super::exit::{Exit, Stop};
use crate::sim::{Outcome, Share, SwarmFile};

/// Machines that are listed one by one; of more, those that waited longest.
const LISTED_MAX: usize = 32;
const FILE_LEN_MAX: u64 = 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    file: &'a str,
    seed: u64,
    len: u64,
    machines: usize,
    unfinished: usize,
    origin_bytes: u64,
    origin_asks: u64,
    origin_permille: u64,
    p50_ms: u64,
    p99_ms: u64,
    last_ms: u64,
    events: u64,
    fingerprint: String,
    nodes: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    machine: u32,
    took_ms: Option<u64>,
    from_origin: u64,
    from_peers: u64,
    sent: u64,
    why: String,
}

pub(super) fn run(args: &SimArgs) -> Result<Exit, Stop> {
    let name = args.file.display().to_string();
    let size = std::fs::metadata(&args.file).map(|found| found.len());
    let text = match size {
        Ok(len) if len > FILE_LEN_MAX => return Err(Stop::usage(format!("{name} is longer than 1 MiB"))),
        Ok(_) => std::fs::read_to_string(&args.file),
        Err(error) => Err(error),
    };
    let text = text.map_err(|error| Stop::usage(format!("cannot read {name}: {error}")))?;
    let wish = SwarmFile::parse(&text).and_then(|file| file.swarm());
    let wish = wish.map_err(|fault| Stop::usage(format!("{name}: {fault}")))?;
    let outcome = wish.run(args.seed).map_err(|trouble| {
        let again = format!("nearbits sim {name} --seed {}", args.seed);
        Stop::new(Exit::CheckFailed, format!("{trouble}. It happens again with: {again}"))
    })?;
    if args.json {
        let report = report(&name, args.seed, &outcome);
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?);
    } else {
        show(&outcome);
    }
    Ok(if outcome.unfinished() == 0 { Exit::Done } else { Exit::CheckFailed })
}

fn report<'a>(file: &'a str, seed: u64, outcome: &Outcome) -> Report<'a> {
    let row = |share: &Share| Row {
        machine: share.host.0,
        took_ms: share.took.map(millis),
        from_origin: share.from_origin,
        from_peers: share.from_peers,
        sent: share.sent,
        why: share.why.clone(),
    };
    Report {
        file,
        seed,
        len: outcome.len,
        machines: outcome.shares.len(),
        unfinished: outcome.unfinished(),
        origin_bytes: outcome.origin_bytes,
        origin_asks: outcome.origin_asks,
        origin_permille: outcome.origin_permille(),
        p50_ms: millis(outcome.percentile(50)),
        p99_ms: millis(outcome.percentile(99)),
        last_ms: outcome.last().as_micros() / 1_000,
        events: outcome.steps,
        fingerprint: format!("{:016x}", outcome.fingerprint),
        nodes: outcome.shares.iter().map(row).collect(),
    }
}

fn show(outcome: &Outcome) {
    let all = outcome.shares.len();
    let permille = outcome.origin_permille();
    println!(
        "{} of {all} machines have the file of {}",
        all - outcome.unfinished(),
        amount::bytes(outcome.len)
    );
    println!(
        "the origin sent {}.{:03} times the file: {}",
        permille / 1_000,
        permille % 1_000,
        amount::bytes(outcome.origin_bytes)
    );
    println!(
        "half of them waited {}, 99 % {}; the last had it at {}\n",
        seconds(outcome.percentile(50)),
        seconds(outcome.percentile(99)),
        seconds(Duration::from_micros(outcome.last().as_micros()))
    );
    let mut shares: Vec<&Share> = outcome.shares.iter().collect();
    shares.sort_by_key(|share| (share.took.is_some(), std::cmp::Reverse(share.took), share.host));
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["machine", "waited", "from the origin", "from others", "to others"]);
    for share in shares.iter().take(LISTED_MAX) {
        table.add_row([
            share.host.0.to_string(),
            share.took.map_or_else(|| format!("for ever ({})", share.why), seconds),
            amount::bytes(share.from_origin),
            amount::bytes(share.from_peers),
            amount::bytes(share.sent),
        ]);
    }
    println!("{}", table.trim_fmt());
    if all > LISTED_MAX {
        println!(" and {} more that waited less", all - LISTED_MAX);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(span: Duration) -> String {
    let ms = span.as_millis();
    format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10)
}
