//! What came of one run, for people.
//!
//! Knows: the lines above the table, its columns and what stands in them. Does not know: where it is shown (the page
//! has the same table).

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use peer_proto::time::Instant;

use super::super::amount;
use super::{Beside, permille};
use crate::sim::{Outcome, Share};

/// Machines that are listed one by one; of more, those that waited longest.
pub(super) const LISTED_MAX: usize = 32;
/// Sources that are named; of more, those that gave most.
const SOURCES_MAX: usize = 3;

pub(super) const COLUMNS: [&str; 5] = ["machine", "waited", "from the origin", "from others", "to others"];

/// All of it.
pub(super) fn text(outcome: &Outcome, beside: Option<&Beside>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(COLUMNS);
    rows(outcome, LISTED_MAX).into_iter().for_each(|row| {
        table.add_row(row);
    });
    let lines = [figures(outcome), remarks(outcome, beside)].concat().join("\n");
    let rest = match outcome.shares.len().saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more that waited less\n"),
    };
    format!("{lines}\n\n{}\n{rest}", table.trim_fmt())
}

/// The figures of the run.
fn figures(outcome: &Outcome) -> Vec<String> {
    let all = outcome.shares.len();
    let mut lines = vec![
        format!(
            "{} of {all} machines have the file of {}",
            all - outcome.unfinished(),
            amount::bytes(outcome.len)
        ),
        format!(
            "the origin sent {} times the file: {}",
            permille(outcome.origin_permille()),
            amount::bytes(outcome.origin_bytes)
        ),
        format!(
            "half of them waited {}, 99 % {}; the last had it at {}",
            seconds(outcome.percentile(50)),
            seconds(outcome.percentile(99)),
            moment(outcome.last())
        ),
    ];
    lines.extend(outcome.fairness_permille().map(|index| {
        format!(
            "fairness of what they gave each other: {} (Jain's index, 1 if all gave alike)",
            permille(index)
        )
    }));
    lines
}

/// What else there is to say: of several offices, of the runs beside.
pub(super) fn remarks(outcome: &Outcome, beside: Option<&Beside>) -> Vec<String> {
    let mut lines = Vec::new();
    if outcome.lines.len() > 1 {
        let offices = outcome.lines.iter().take(8).map(|(down, _)| amount::bytes(*down));
        let more = if outcome.lines.len() > 8 { " …" } else { "" };
        lines.push(format!(
            "over the lines into the offices came {} times the file: {}{more}",
            permille(outcome.wan_permille()),
            offices.collect::<Vec<_>>().join(", ")
        ));
    }
    lines.extend(beside.into_iter().flat_map(|beside| beside_lines(outcome, beside)));
    lines
}

fn beside_lines(outcome: &Outcome, beside: &Beside) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(calm) = &beside.calm {
        lines.push(format!(
            "without what goes wrong: the last at {}, a mean of {}; faults cost the last {}, the mean {}",
            moment(calm.last()),
            seconds(calm.mean()),
            lost(span(outcome.last()), span(calm.last())),
            lost(outcome.mean(), calm.mean())
        ));
    }
    let plain = &beside.plain;
    let file = permille(plain.origin_permille());
    lines.push(match (plain.unfinished(), plain.shares.len()) {
        (0, _) => format!(
            "from the origin alone: the last at {}, {} times as late, a mean of {}; {file} times the file",
            moment(plain.last()),
            ratio(span(plain.last()), span(outcome.last())),
            seconds(plain.mean()),
        ),
        (count, all) => {
            format!("from the origin alone: {count} of {all} never get it; {file} times the file")
        }
    });
    let worse = beside.worse(outcome);
    let promise = format!(
        "{} times as long and {} s",
        hundredths(beside.promise.percent.into()),
        beside.promise.plus.as_secs()
    );
    lines.push(match worse.first() {
        None => format!("nobody waited longer than {promise}"),
        Some(first) => format!(
            "{} waited longer than {promise}: machine {} first, {} beside {}",
            worse.len(),
            first.host.0,
            first.took.map_or_else(|| "for ever".into(), seconds),
            seconds(first.other)
        ),
    });
    lines
}

/// The machines that waited longest, each with its cells; then those that only gave.
pub(super) fn rows(outcome: &Outcome, most: usize) -> Vec<[String; 5]> {
    let mut shares: Vec<&Share> = outcome.shares.iter().collect();
    shares.sort_by_key(|share| (share.took.is_some(), std::cmp::Reverse(share.took), share.host));
    let mut rows: Vec<[String; 5]> = shares.into_iter().take(most).map(row).collect();
    for giver in outcome.givers.iter().take(most) {
        rows.push([
            giver.host.0.to_string(),
            if giver.holds { "holds it" } else { "hostile" }.into(),
            String::new(),
            String::new(),
            amount::bytes(giver.sent),
        ]);
    }
    rows
}

fn row(share: &Share) -> [String; 5] {
    [
        share.host.0.to_string(),
        share.took.map_or_else(|| format!("for ever ({})", share.why), seconds),
        amount::bytes(share.from_origin),
        from_others(share),
        amount::bytes(share.sent),
    ]
}

fn from_others(share: &Share) -> String {
    let named = share.sources.iter().take(SOURCES_MAX);
    let named: Vec<String> =
        named.map(|(host, bytes)| format!("{}: {}", host.0, amount::bytes(*bytes))).collect();
    let rest = share.sources.len().saturating_sub(SOURCES_MAX);
    let all = amount::bytes(share.from_peers);
    match (named.is_empty(), rest) {
        (true, _) => all,
        (false, 0) => format!("{all} ({})", named.join(", ")),
        (false, rest) => format!("{all} ({}, {rest} more)", named.join(", ")),
    }
}

/// How much later, or earlier.
fn lost(with: Duration, without: Duration) -> String {
    match with.checked_sub(without) {
        Some(more) => seconds(more),
        None => format!("nothing ({} earlier)", seconds(without - with)),
    }
}

fn ratio(long: Duration, short: Duration) -> String {
    hundredths((long.as_micros() * 100).checked_div(short.as_micros()).unwrap_or(0))
}

fn hundredths(count: u128) -> String {
    format!("{}.{:02}", count / 100, count % 100)
}

fn span(at: Instant) -> Duration {
    at.since(Instant::ZERO)
}

pub(super) fn moment(at: Instant) -> String {
    seconds(span(at))
}

pub(super) fn seconds(span: Duration) -> String {
    let ms = span.as_millis();
    format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10)
}
