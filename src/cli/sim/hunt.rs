//! Many seeds of one scenario: the first that goes wrong, or what they have in common.
//!
//! Knows: what counts as wrong, medians and worst cases. Does not know: what one run is.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::super::args::SimArgs;
use super::super::exit::{Exit, Stop};
use super::report::fingerprint;
use super::table::seconds;
use super::{Scenario, Wanted, again, interrupted, millis, permille, print_json, say};
use crate::sim::Outcome;

/// What came of all seeds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Hunt<'a> {
    file: &'a str,
    first_seed: u64,
    seeds: u64,
    failure: Option<Failure>,
    summary: Option<Summary>,
    runs: Vec<Run>,
}

/// What came of one seed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Run {
    seed: u64,
    origin_permille: u64,
    wan_permille: u64,
    p50_ms: u64,
    p99_ms: u64,
    last_ms: u64,
    fingerprint: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    seed: u64,
    trouble: String,
    replay: String,
}

/// Medians and worst cases.
#[derive(PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    origin_permille: Range,
    wan_permille: Range,
    p50_ms: Range,
    p99_ms: Range,
    last_ms: Range,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    median: u64,
    worst: u64,
    worst_seed: u64,
}

pub(super) fn run(args: &SimArgs, scenario: &Scenario, seeds: u64, wanted: &Wanted) -> Result<Exit, Stop> {
    let bar = bar(seeds);
    let mut hunt = Hunt {
        file: &scenario.file,
        first_seed: args.seed,
        seeds,
        failure: None,
        summary: None,
        runs: Vec::new(),
    };
    for seed in (0..seeds).map(|more| args.seed.saturating_add(more)) {
        bar.set_message(format!("seed {seed}"));
        let lived = live(args, scenario, seed, wanted);
        if wanted.is_over() {
            break;
        }
        match lived {
            Ok(outcome) => hunt.runs.push(Run::of(seed, &outcome)),
            Err(failure) => {
                hunt.failure = Some(failure);
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    hunt.summary = Summary::of(&hunt.runs);
    if args.json {
        print_json(&hunt)?;
    } else {
        say::line(lines(&hunt).join("\n"));
    }
    match hunt.failure {
        Some(_) => Ok(Exit::CheckFailed),
        None if wanted.is_over() => Err(interrupted()),
        None => Ok(Exit::Done),
    }
}

/// Lives one seed through, or says what is wrong with it and the shortest command that shows it again.
fn live(args: &SimArgs, scenario: &Scenario, seed: u64, wanted: &Wanted) -> Result<Outcome, Failure> {
    let swarm = &scenario.swarm;
    let replay = again(scenario, seed);
    let failed = |trouble: String| Failure { seed, trouble, replay: replay.clone() };
    let lived = swarm.run_watched(seed, &mut wanted.again());
    let outcome = lived.map_err(|trouble| failed(trouble.to_string()))?;
    if let Some(share) = outcome.shares.iter().find(|share| share.done.is_none()) {
        let count = outcome.unfinished();
        return Err(failed(format!("{count} never get the file; machine {}: {}", share.host.0, share.why)));
    }
    if args.beside {
        let failed = |trouble: String| Failure { seed, trouble, replay: format!("{replay} --beside") };
        let plain = swarm.origin_only().run_watched(seed, &mut wanted.again());
        let plain = plain.map_err(|trouble| failed(format!("from the origin alone: {trouble}")))?;
        if let Some(worse) = outcome.worse_than(&plain, swarm.promise()).first() {
            let took = worse.took.map_or_else(|| "for ever".into(), seconds);
            let (host, other) = (worse.host.0, seconds(worse.other));
            return Err(failed(format!("machine {host} waited {took}; from the origin alone {other}")));
        }
    }
    Ok(outcome)
}

fn lines(hunt: &Hunt) -> Vec<String> {
    let ran = hunt.runs.len();
    let mut lines = Vec::new();
    if let Some(Failure { seed, trouble, replay }) = &hunt.failure {
        lines.push(format!("seed {seed} goes wrong: {trouble}"));
        lines.push(format!("it happens again with: {replay}"));
        lines.push(format!("{ran} seeds before it went well"));
    } else {
        lines.push(format!("{ran} of {} seeds, from {} on: all went well", hunt.seeds, hunt.first_seed));
    }
    if let Some(summary) = &hunt.summary {
        let ratio = |range: &Range| (permille(range.median), permille(range.worst), range.worst_seed);
        let span = |range: &Range| (ms(range.median), ms(range.worst), range.worst_seed);
        for (name, (median, worst, seed)) in [
            ("from the origin, times the file", ratio(&summary.origin_permille)),
            ("over all lines, times the file", ratio(&summary.wan_permille)),
            ("half of the machines waited", span(&summary.p50_ms)),
            ("99 % waited", span(&summary.p99_ms)),
            ("the last had it at", span(&summary.last_ms)),
        ] {
            lines.push(format!("  {name:32} median {median:>9}   worst {worst:>9}  (seed {seed})"));
        }
    }
    lines
}

fn ms(count: u64) -> String {
    format!("{}.{:02} s", count / 1_000, count % 1_000 / 10)
}

impl Run {
    fn of(seed: u64, outcome: &Outcome) -> Self {
        Self {
            seed,
            origin_permille: outcome.origin_permille(),
            wan_permille: outcome.wan_permille(),
            p50_ms: millis(outcome.percentile(50)),
            p99_ms: millis(outcome.percentile(99)),
            last_ms: outcome.last().as_micros() / 1_000,
            fingerprint: fingerprint(outcome),
        }
    }
}

impl Summary {
    fn of(runs: &[Run]) -> Option<Self> {
        Some(Self {
            origin_permille: Range::of(runs, |run| run.origin_permille)?,
            wan_permille: Range::of(runs, |run| run.wan_permille)?,
            p50_ms: Range::of(runs, |run| run.p50_ms)?,
            p99_ms: Range::of(runs, |run| run.p99_ms)?,
            last_ms: Range::of(runs, |run| run.last_ms)?,
        })
    }
}

impl Range {
    /// `None` of no runs. Of several that are worst, the first.
    fn of(runs: &[Run], figure: impl Fn(&Run) -> u64) -> Option<Self> {
        let mut sorted: Vec<(u64, std::cmp::Reverse<u64>)> =
            runs.iter().map(|run| (figure(run), std::cmp::Reverse(run.seed))).collect();
        sorted.sort_unstable();
        let (median, _) = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
        let (worst, std::cmp::Reverse(worst_seed)) = *sorted.last()?;
        Some(Self { median, worst, worst_seed })
    }
}

/// A bar, or nothing where nobody could see it.
fn bar(seeds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(seeds);
    // A template that cannot be read shows as the default one.
    let style = ProgressStyle::with_template("{bar:24} {pos} of {len}  {eta:>4}  {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, last_ms: u64) -> Run {
        Run {
            seed,
            origin_permille: 1_000 + seed,
            wan_permille: 1_000,
            p50_ms: 7,
            p99_ms: 9,
            last_ms,
            fingerprint: String::new(),
        }
    }

    #[test]
    fn a_summary_has_the_median_and_the_seed_of_the_worst() {
        let runs = [run(4, 500), run(5, 900), run(6, 100), run(7, 900), run(8, 300)];
        let summary = Summary::of(&runs).unwrap();
        assert_eq!(summary.last_ms, Range { median: 500, worst: 900, worst_seed: 5 });
        assert_eq!(summary.origin_permille, Range { median: 1_006, worst: 1_008, worst_seed: 8 });
        assert_eq!(Summary::of(&runs[..1]).unwrap().p50_ms, Range { median: 7, worst: 7, worst_seed: 4 });
        assert_eq!(Summary::of(&[]), None);
    }
}
