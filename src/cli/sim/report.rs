//! What came of one run, as an object.
//!
//! Knows: the names of its fields, which programs rely on (`docs/simulation.md`). Does not know: tables.

use serde::Serialize;

use super::{Beside, Scenario, millis};
use crate::sim::{Giver, Outcome, Share, Worse};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report<'a> {
    file: &'a str,
    seed: u64,
    len: u64,
    machines: usize,
    unfinished: usize,
    origin_bytes: u64,
    origin_asks: u64,
    origin_permille: u64,
    wan_bytes: u64,
    wan_permille: u64,
    p50_ms: u64,
    p99_ms: u64,
    mean_ms: u64,
    last_ms: u64,
    fairness_permille: Option<u64>,
    events: u64,
    fingerprint: String,
    beside: Option<BesideRow>,
    offices: Vec<OfficeRow>,
    nodes: Vec<Row>,
    givers: Vec<GiverRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    machine: u32,
    began_ms: u64,
    took_ms: Option<u64>,
    from_origin: u64,
    from_peers: u64,
    sources: Vec<Source>,
    sent: u64,
    why: String,
}

#[derive(Debug, Serialize)]
struct Source {
    machine: u32,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct GiverRow {
    machine: u32,
    holds: bool,
    sent: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct OfficeRow {
    down_bytes: u64,
    up_bytes: u64,
}

/// The same world and seed, otherwise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BesideRow {
    without_faults: Option<OtherRow>,
    origin_only: OtherRow,
    /// Machines that are worse off than is promised beside the origin alone.
    worse: Vec<WorseRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct OtherRow {
    unfinished: usize,
    origin_permille: u64,
    wan_permille: u64,
    mean_ms: u64,
    last_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct WorseRow {
    machine: u32,
    took_ms: Option<u64>,
    origin_only_ms: u64,
}

impl<'a> Report<'a> {
    pub(super) fn of(scenario: &'a Scenario, seed: u64, outcome: &Outcome, beside: Option<&Beside>) -> Self {
        let beside = beside.map(|beside| BesideRow {
            without_faults: beside.calm.as_ref().map(other),
            origin_only: other(&beside.plain),
            worse: beside.worse(outcome).iter().map(worse).collect(),
        });
        let offices = outcome.lines.iter();
        Self {
            file: &scenario.file,
            seed,
            len: outcome.len,
            machines: outcome.shares.len(),
            unfinished: outcome.unfinished(),
            origin_bytes: outcome.origin_bytes,
            origin_asks: outcome.origin_asks,
            origin_permille: outcome.origin_permille(),
            wan_bytes: outcome.wan_bytes(),
            wan_permille: outcome.wan_permille(),
            p50_ms: millis(outcome.percentile(50)),
            p99_ms: millis(outcome.percentile(99)),
            mean_ms: millis(outcome.mean()),
            last_ms: outcome.last().as_micros() / 1_000,
            fairness_permille: outcome.fairness_permille(),
            events: outcome.steps,
            fingerprint: fingerprint(outcome),
            beside,
            offices: offices.map(|(down, up)| OfficeRow { down_bytes: *down, up_bytes: *up }).collect(),
            nodes: outcome.shares.iter().map(row).collect(),
            givers: outcome.givers.iter().map(giver).collect(),
        }
    }
}

pub(super) fn fingerprint(outcome: &Outcome) -> String {
    format!("{:016x}", outcome.fingerprint)
}

fn worse(worse: &Worse) -> WorseRow {
    WorseRow { machine: worse.host.0, took_ms: worse.took.map(millis), origin_only_ms: millis(worse.other) }
}

fn other(outcome: &Outcome) -> OtherRow {
    OtherRow {
        unfinished: outcome.unfinished(),
        origin_permille: outcome.origin_permille(),
        wan_permille: outcome.wan_permille(),
        mean_ms: millis(outcome.mean()),
        last_ms: outcome.last().as_micros() / 1_000,
    }
}

fn row(share: &Share) -> Row {
    let sources = share.sources.iter().map(|(host, bytes)| Source { machine: host.0, bytes: *bytes });
    Row {
        machine: share.host.0,
        began_ms: share.began.as_micros() / 1_000,
        took_ms: share.took.map(millis),
        from_origin: share.from_origin,
        from_peers: share.from_peers,
        sources: sources.collect(),
        sent: share.sent,
        why: share.why.clone(),
    }
}

fn giver(giver: &Giver) -> GiverRow {
    GiverRow { machine: giver.host.0, holds: giver.holds, sent: giver.sent }
}
