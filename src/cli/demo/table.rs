//! The demo's table, and whether everything in it is as it must be.
//!
//! Knows: the checks and their figures. Does not know: how the figures came about.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::{Fetched, Outcome};
use crate::cli::amount;

/// Who comes late takes at most so many hundredths of the file from the origin: everybody else holds it.
const LATE_SHARE_MAX: u64 = 5;
/// All together, at most so many hundredths of the file may cross the line, probes and heads included ...
const WAN_SHARE_MAX: u64 = 106;
/// ... and so much for each node, which may begin before it knows who else is there.
const FIRST_REQUEST: u64 = 256 * 1024;

/// The text to show, and the checks that failed.
pub(super) fn judge(outcome: &Outcome) -> (String, Vec<String>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["node", "from origin", "from peers", "who served it", "seconds", "SHA-256"]);
    for fetched in &outcome.fetched {
        table.add_row([
            fetched.name.clone(),
            amount::bytes(fetched.view.bytes.origin),
            amount::bytes(fetched.view.bytes.peers),
            served_by(fetched, outcome),
            amount::seconds(fetched.took),
            if fetched.is_exact { "exact" } else { "WRONG" }.into(),
        ]);
    }
    let mut text = table.to_string();
    let copies = u64::try_from(outcome.fetched.len()).unwrap_or(1);
    let without = outcome.len.saturating_mul(copies);
    let alone = Duration::from_micros(without.saturating_mul(1_000_000) / outcome.wan_bytes_per_s.max(1));
    let _ = write!(
        text,
        "\nover the WAN: {} ({} of the file), read at the origin's socket; without sharing {} and at least {} of line time",
        amount::bytes(outcome.wan_bytes),
        hundredths(outcome.wan_bytes, outcome.len),
        amount::bytes(without),
        amount::seconds(alone),
    );
    let failed = failures(outcome);
    let _ = write!(text, "\nchecks: {}", if failed.is_empty() { "all passed" } else { "FAILED" });
    (text, failed)
}

fn failures(outcome: &Outcome) -> Vec<String> {
    let mut failed = Vec::new();
    for fetched in outcome.fetched.iter().filter(|fetched| !fetched.is_exact) {
        failed.push(format!("{}'s file is not the origin's", fetched.name));
    }
    if let Some(late) = outcome.fetched.last() {
        let origin = late.view.bytes.origin;
        if origin.saturating_mul(100) > outcome.len.saturating_mul(LATE_SHARE_MAX) {
            failed.push(format!(
                "{} came late and took {} from the origin",
                late.name,
                amount::bytes(origin)
            ));
        }
    }
    let nodes = u64::try_from(outcome.fetched.len()).unwrap_or(u64::MAX);
    let once = outcome.len.saturating_mul(WAN_SHARE_MAX) / 100;
    if outcome.wan_bytes > once.saturating_add(nodes.saturating_mul(FIRST_REQUEST)) {
        failed.push(format!("{} of the file crossed the WAN", hundredths(outcome.wan_bytes, outcome.len)));
    }
    failed
}

fn served_by(fetched: &Fetched, outcome: &Outcome) -> String {
    let name = |source: &str| {
        let found = outcome.names.iter().find(|(peer, _)| peer == source);
        found.map_or_else(|| source.to_owned(), |(_, name)| name.clone())
    };
    let shares = fetched.view.sources.iter().filter(|share| share.bytes > 0);
    let shares: Vec<String> =
        shares.map(|share| format!("{} {}", name(&share.source), amount::bytes(share.bytes))).collect();
    shares.join(", ")
}

/// `part / whole` with two decimals and a times sign.
fn hundredths(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{BytesBySource, JobId, JobState, JobView, SourceShare};

    const LEN: u64 = 32 << 20;

    fn fetched(name: &str, origin: u64, is_exact: bool) -> Fetched {
        let view = JobView {
            id: JobId([1; 16]),
            state: JobState::Acknowledged,
            len: Some(LEN),
            stored: LEN,
            bytes: BytesBySource { origin, peers: LEN - origin, cache: 0, ..BytesBySource::default() },
            sources: vec![SourceShare {
                source: "12D3A".into(),
                address: None,
                bytes: LEN - origin,
                leases: 1,
            }],
            ..JobView::default()
        };
        Fetched { name: name.into(), view, took: Duration::from_secs(1), is_exact }
    }

    fn outcome(fetched: Vec<Fetched>, wan_bytes: u64) -> Outcome {
        let names = vec![("12D3A".into(), "node 1".into())];
        Outcome { len: LEN, wan_bytes, wan_bytes_per_s: 10_000_000, fetched, names }
    }

    #[test]
    fn those_who_start_at_once_may_each_take_a_part_of_it_from_the_origin() {
        let once = outcome(
            vec![
                fetched("node 1", LEN / 2, true),
                fetched("node 2", LEN / 2, true),
                fetched("node 3", 0, true),
            ],
            LEN + 4_000,
        );
        assert_eq!(judge(&once).1, [""; 0]);
    }

    #[test]
    fn a_good_run_passes_and_names_who_served() {
        let good = outcome(vec![fetched("node 1", LEN, true), fetched("node 2", 0, true)], LEN + 4_000);
        let (text, failed) = judge(&good);
        assert!(failed.is_empty(), "{failed:?}");
        assert!(text.contains("node 1 32.0 MiB") && text.contains("1.00 ×"), "{text}");
    }

    #[test]
    fn each_check_can_fail() {
        let bad = outcome(vec![fetched("node 1", LEN, false), fetched("node 2", LEN / 2, true)], LEN * 3 / 2);
        assert_eq!(judge(&bad).1.len(), 3);
    }
}
