//! The pictures of a run: progress of each machine, use of the lines, where bytes came from, who got and gave what.
//!
//! Knows: what is drawn of a trace. Does not know: where that lies on paper (`chart`).

use std::fmt::Write;

use peer_proto::time::Instant;
use simnet::{Crash, Fault, Reach};

use super::super::super::amount;
use super::super::Scenario;
use super::chart::{Chart, WIDTH, escaped, line, real, words};
use crate::sim::{Flip, Outcome, Sample, Share, Trace};

/// Rates are drawn for so many steps at most ...
const STEPS_MAX: usize = 160;
/// ... of so many seconds at least: what comes is told to machines that often.
const STEP_MIN: f64 = 0.1;
/// Places on all curves of machines together, at most.
const PLACES_MAX: usize = 100_000;
/// Machines that have a bar of their own; of more, those that waited longest.
const BARS_MAX: usize = 48;
/// Moments with a word, at most.
const MARKS_MAX: usize = 14;
/// Lines of words for them.
const MARK_ROWS: usize = 3;
/// Offices that are drawn apart; more are drawn as one.
const OFFICES_MAX: usize = 8;

pub(super) fn all(page: &mut String, scenario: &Scenario, outcome: &Outcome, trace: &Trace) {
    let marks = marks(scenario, outcome.ended);
    let seconds = seconds(outcome.ended);
    progress(page, outcome, trace, seconds, &marks);
    lines(page, scenario, trace, seconds, &marks);
    sources(page, trace, seconds, &marks);
    machines(page, outcome);
}

fn figure(page: &mut String, title: &str, keys: &[(&str, &str)], svg: &str) {
    let key = |(class, text): &(&str, &str)| {
        let (shape, class) = class.split_once(' ').unwrap_or(("", class));
        format!("<span class=\"key\"><i class=\"{shape} {class}\"></i>{}</span>", escaped(text))
    };
    let keys: String = keys.iter().map(key).collect();
    write!(page, "<figure>\n<figcaption><h2>{title}</h2>{keys}</figcaption>\n{svg}</figure>\n")
        .unwrap_or_default();
}

/// One curve for each machine.
fn progress(page: &mut String, outcome: &Outcome, trace: &Trace, seconds_all: f64, marks: &[(f64, String)]) {
    let rows = mark_rows(marks);
    let chart = Chart::new(320.0, rows, seconds_all, 100.0);
    let samples = trace.samples();
    let every = (trace.machines().len() * samples.len()).div_ceil(PLACES_MAX).max(1);
    let last = samples.len().saturating_sub(1);
    let drawn: Vec<&Sample> = samples
        .iter()
        .enumerate()
        .filter(|(at, _)| at % every == 0 || *at == last)
        .map(|(_, sample)| sample)
        .collect();
    let mut svg = String::new();
    chart.marks(&mut svg, rows, marks);
    let opacity = (3.0 / real(trace.machines().len()).sqrt()).clamp(0.12, 0.9);
    for (index, host) in trace.machines().iter().enumerate() {
        let held = |sample: &&Sample| {
            (seconds(sample.at), sample.held.get(index).map_or(0.0, |held| f64::from(*held) / 100.0))
        };
        let points: Vec<(f64, f64)> = drawn.iter().map(held).collect();
        let share = outcome.share(*host);
        let class = match share {
            Some(share) if share.from_peers > share.from_origin => "p",
            Some(_) => "o",
            None => "s",
        };
        write!(
            svg,
            "<path class=\"node {class}\" stroke-opacity=\"{opacity:.2}\" d=\"{}\"><title>machine {}: {}</title></path>",
            chart.curve(&points),
            host.0,
            escaped(&ending(share))
        )
        .unwrap_or_default();
    }
    let mut keys = vec![("p", "more from others"), ("o", "more from the origin")];
    if trace.machines().len() > outcome.shares.len() {
        keys.push(("s", "lost for good"));
    }
    figure(page, "How much of the file each machine has", &keys, &chart.svg("progress", "percent", &svg));
}

fn ending(share: Option<&Share>) -> String {
    match share {
        None => "lost for good".into(),
        Some(Share { done: Some(at), .. }) => format!("all of it at {}", super::table::moment(*at)),
        Some(share) => share.why.clone(),
    }
}

/// What the offices' lines carry, one above the other.
fn lines(page: &mut String, scenario: &Scenario, trace: &Trace, seconds_all: f64, marks: &[(f64, String)]) {
    let steps = steps(trace);
    let offices = trace.samples().first().map_or(0, |sample| sample.wan.len());
    let apart = if offices > OFFICES_MAX { 1 } else { offices };
    let of = |sample: &Sample, office: usize| match apart {
        1 => sample.wan.iter().sum(),
        _ => sample.wan.get(office).copied().unwrap_or(0),
    };
    let rates: Vec<Vec<(f64, f64)>> =
        (0..apart).map(|office| rates(&steps, |sample| of(sample, office))).collect();
    let layers = stacked(&rates);
    let room: f64 = scenario.swarm.lines().map(|line| megabits(line.down_bytes_per_s)).sum();
    let peak = highest(&layers);
    // A line that is far from full is not drawn: what flows would be a streak at the bottom.
    let most = if room < 4.0 * peak { room.max(peak) } else { peak };
    let rows = mark_rows(marks);
    let chart = Chart::new(260.0, rows, seconds_all, most * 1.12);
    let mut svg = String::new();
    for (office, pair) in layers.windows(2).enumerate() {
        let opacity = 0.75 - 0.5 * real(office) / real(apart.max(2));
        let [lower, upper] = pair else { continue };
        write!(
            svg,
            "<path class=\"office\" fill-opacity=\"{opacity:.2}\" d=\"{}\"><title>{}</title></path>",
            chart.between(lower, upper),
            if apart == offices { format!("office {office}") } else { format!("all {offices} offices") }
        )
        .unwrap_or_default();
    }
    if let Some(total) = layers.last() {
        write!(svg, "<path class=\"total\" d=\"{}\"/>", chart.steps(total)).unwrap_or_default();
    }
    if room <= most {
        let name = if offices == 1 { "the line" } else { "all lines" };
        chart.level(&mut svg, room, &format!("{name}: {room:.0} Mbit/s"));
    }
    chart.marks(&mut svg, rows, marks);
    let title = if offices == 1 { "What comes over the line" } else { "What comes over the lines" };
    let key = if apart > 1 { "each office, the first one at the bottom" } else { "into the office" };
    figure(page, title, &[("box o", key)], &chart.svg("lines", "Mbit/s", &svg));
}

/// Where bytes come from.
fn sources(page: &mut String, trace: &Trace, seconds_all: f64, marks: &[(f64, String)]) {
    let steps = steps(trace);
    let rates = [rates(&steps, |sample| sample.from_origin), rates(&steps, |sample| sample.from_peers)];
    let layers = stacked(&rates);
    let rows = mark_rows(marks);
    let chart = Chart::new(260.0, rows, seconds_all, highest(&layers) * 1.08);
    let mut svg = String::new();
    for (class, pair) in ["o", "p"].into_iter().zip(layers.windows(2)) {
        let [lower, upper] = pair else { continue };
        write!(svg, "<path class=\"area {class}\" d=\"{}\"/>", chart.between(lower, upper))
            .unwrap_or_default();
    }
    chart.marks(&mut svg, rows, marks);
    let keys = [("box o", "from the origin"), ("box p", "from other machines")];
    figure(page, "Where all machines get their bytes from", &keys, &chart.svg("sources", "Mbit/s", &svg));
}

/// What each machine got, and gave.
fn machines(page: &mut String, outcome: &Outcome) {
    let mut shares: Vec<&Share> = outcome.shares.iter().collect();
    shares.sort_by_key(|share| (share.took.is_some(), std::cmp::Reverse(share.took), share.host));
    shares.truncate(BARS_MAX);
    shares.sort_by_key(|share| share.host);
    let mut bars: Vec<(String, u64, u64, u64)> = shares
        .iter()
        .map(|share| (share.host.0.to_string(), share.from_origin, share.from_peers, share.sent))
        .collect();
    bars.extend(outcome.givers.iter().take(8).map(|giver| {
        let name = if giver.holds { "holder" } else { "hostile" };
        (format!("{} {name}", giver.host.0), 0, 0, giver.sent)
    }));
    let got = bars.iter().map(|(_, origin, peers, _)| origin + peers).max().unwrap_or(0);
    let gave = bars.iter().map(|(_, _, _, gave)| *gave).max().unwrap_or(0);
    let (name_width, room, row) = (84.0, WIDTH - 84.0 - 150.0, 17.0);
    let scale = room / (float(got) + float(gave)).max(1.0);
    let zero = name_width + 70.0 + float(gave) * scale;
    let mut svg = String::new();
    let height = 12.0 + row * real(bars.len());
    for (index, (name, origin, peers, gave)) in bars.iter().enumerate() {
        let top = 4.0 + row * real(index);
        words(&mut svg, "name", "end", (name_width - 22.0, top + 10.5), name);
        let bar = |svg: &mut String, class: &str, from: f64, bytes: u64| {
            let width = float(bytes) * scale;
            let x = if class == "g" { from - width } else { from };
            let (x, text) = (x.max(0.0), amount::bytes(bytes));
            write!(svg, "<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"12\"><title>{text}</title></rect>")
                .unwrap_or_default();
            width
        };
        let gave_width = bar(&mut svg, "g", zero - 1.0, *gave);
        let origin_width = bar(&mut svg, "o", zero + 1.0, *origin);
        let peers_width = bar(&mut svg, "p", zero + 1.0 + origin_width, *peers);
        words(&mut svg, "", "end", (zero - gave_width - 7.0, top + 10.5), &amount::bytes(*gave));
        let end = (zero + origin_width + peers_width + 8.0, top + 10.5);
        words(&mut svg, "", "start", end, &amount::bytes(origin + peers));
    }
    line(&mut svg, "axis", (zero, 0.0), (zero, height));
    let svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"machines\">{svg}</svg>\n");
    let keys = [("box g", "gave to others"), ("box o", "got from the origin"), ("box p", "got from others")];
    let title = match outcome.shares.len().saturating_sub(BARS_MAX) {
        0 => "What each machine gave and got".into(),
        more => format!("What each machine gave and got (without {more} that waited less)"),
    };
    figure(page, &title, &keys, &svg);
}

/// Samples between which rates are drawn.
fn steps(trace: &Trace) -> Vec<&Sample> {
    let samples = trace.samples();
    let end = samples.last().map_or(0.0, |last| seconds(last.at));
    let step = STEP_MIN.max(end / real(STEPS_MAX));
    let mut steps: Vec<&Sample> = Vec::new();
    for sample in samples {
        let is_due = steps.last().is_none_or(|last| seconds(sample.at) - seconds(last.at) >= step * 0.999);
        if is_due {
            steps.push(sample);
        }
    }
    if let (Some(last), Some(end)) = (steps.last().map(|last| last.at), samples.last())
        && last < end.at
    {
        steps.push(end);
    }
    steps
}

/// Mbit/s between each two samples, with the moment of the second.
fn rates(steps: &[&Sample], bytes: impl Fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let rate = |pair: &[&Sample]| {
        let [before, after] = pair else { return (0.0, 0.0) };
        let span = seconds(after.at) - seconds(before.at);
        (seconds(after.at), megabits(bytes(after).saturating_sub(bytes(before))) / span)
    };
    steps.windows(2).map(rate).collect()
}

/// Each above the sum of those before it; the first is zero.
fn stacked(rates: &[Vec<(f64, f64)>]) -> Vec<Vec<(f64, f64)>> {
    let zero: Vec<(f64, f64)> = rates.first().into_iter().flatten().map(|(until, _)| (*until, 0.0)).collect();
    let mut layers = vec![zero];
    for rates in rates {
        let below = layers.last().into_iter().flatten();
        layers.push(below.zip(rates).map(|((until, sum), (_, rate))| (*until, sum + rate)).collect());
    }
    layers
}

fn highest(layers: &[Vec<(f64, f64)>]) -> f64 {
    layers.last().into_iter().flatten().map(|(_, value)| *value).fold(0.0, f64::max)
}

/// What goes wrong, each moment once, in words.
fn marks(scenario: &Scenario, end: Instant) -> Vec<(f64, String)> {
    let faults = scenario.swarm.faults().iter().map(|(at, fault)| (*at, said(fault)));
    let flips = scenario.swarm.flips().into_iter().map(|(at, flip)| (at, turned(flip)));
    let mut all: Vec<(Instant, (&str, Option<u32>))> =
        faults.chain(flips).filter(|(at, _)| *at <= end).collect();
    all.sort_by_key(|(at, (word, _))| (*at, *word));
    let mut marks: Vec<(f64, String)> = Vec::new();
    for group in all.chunk_by(|(at, (word, _)), (other, (next, _))| at == other && word == next) {
        let Some((at, (word, machine))) = group.first() else { continue };
        let text = match (group.len(), machine) {
            (1, Some(machine)) => format!("{machine} {word}"),
            (1, None) => (*word).to_owned(),
            (count, Some(_)) => format!("{count} × {word}"),
            (_, None) => (*word).to_owned(),
        };
        marks.push((seconds(*at), text));
    }
    marks.truncate(MARKS_MAX);
    marks
}

fn said(fault: &Fault) -> (&'static str, Option<u32>) {
    match fault {
        Fault::Cut(..) | Fault::CutOneWay(..) | Fault::Break(..) => ("cut", None),
        Fault::Heal(..) | Fault::Connect(..) => ("healed", None),
        Fault::Start(host) => ("starts", Some(host.0)),
        Fault::Crash(host, Crash::Program) => ("crashes", Some(host.0)),
        Fault::Crash(host, Crash::Power) => ("loses power", Some(host.0)),
        Fault::Crash(host, Crash::Disk) => ("loses its disk", Some(host.0)),
        Fault::Sleep(host) => ("sleeps", Some(host.0)),
        Fault::Wake(host) => ("wakes", Some(host.0)),
        Fault::Move(host) => ("moves", Some(host.0)),
        Fault::LineDown(_) => ("line down", None),
        Fault::LineUp(_) => ("line up", None),
        Fault::Line(..) => ("other line", None),
        Fault::Origin(_, spec) => match spec.reach {
            Reach::Up => ("origin there", None),
            Reach::Refuses => ("origin gone", None),
            Reach::Silent => ("origin silent", None),
        },
    }
}

const fn turned(flip: Flip) -> (&'static str, Option<u32>) {
    let word = match (flip.client, flip.server) {
        (Some(false), _) => "client off",
        (Some(true), _) => "client on",
        (None, Some(false)) => "server off",
        (None, _) => "server on",
    };
    (word, Some(flip.host.0))
}

fn mark_rows(marks: &[(f64, String)]) -> usize {
    marks.len().min(MARK_ROWS)
}

fn seconds(at: Instant) -> f64 {
    float(at.as_micros()) / 1e6
}

fn megabits(bytes: u64) -> f64 {
    float(bytes) * 8.0 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "places on paper")]
fn float(count: u64) -> f64 {
    count as f64
}
