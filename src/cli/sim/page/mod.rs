//! One run as a page for a browser: a single file without scripts, readable in light and in dark.
//!
//! Knows: which pictures there are, what stands around them. Does not know: axes (`chart`), what came of a run
//! (`table` says it in words).

mod chart;
mod pictures;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use self::chart::escaped;
use super::super::amount;
use super::{Beside, Scenario, again, permille, table};
use crate::sim::{Outcome, Trace};

const STYLE: &str = include_str!("page.css");

/// The page of one run.
pub(super) fn of(
    scenario: &Scenario,
    seed: u64,
    outcome: &Outcome,
    trace: &Trace,
    beside: Option<&Beside>,
) -> String {
    let title = title(&scenario.file);
    let remarks = table::remarks(outcome, beside);
    let remarks: String = remarks.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · nearbits sim</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p class=\"about\">{}</p>\n{}\
         <ul class=\"said\">{remarks}</ul>\n",
        escaped(&about(&scenario.text)),
        figures(outcome)
    );
    pictures::all(&mut page, scenario, outcome, trace);
    rows(&mut page, outcome);
    write!(
        page,
        "<details><summary>The scenario</summary><pre>{}</pre></details>\n\
         <footer><code>{}</code> draws it again with <code>--plot</code> · {} events · {:016x}</footer>\n\
         </main>\n</body>\n</html>\n",
        escaped(&scenario.text),
        escaped(&again(scenario, seed)),
        outcome.steps,
        outcome.fingerprint
    )
    .unwrap_or_default();
    page
}

/// The file's name without folder and ending.
fn title(file: &str) -> String {
    let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    escaped(&stem.unwrap_or_else(|| file.to_owned()).replace(['-', '_'], " "))
}

/// The comment a scenario begins with.
fn about(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with("nearbits sim"));
    lines.collect::<Vec<_>>().join(" ")
}

fn figures(outcome: &Outcome) -> String {
    let all = outcome.shares.len();
    let mut figures = vec![
        ("over the lines, times the file", permille(outcome.wan_permille())),
        ("last machine", table::moment(outcome.last())),
        ("half of them waited", table::seconds(outcome.percentile(50))),
        ("99 % waited", table::seconds(outcome.percentile(99))),
        ("have the file", format!("{} of {all}", all - outcome.unfinished())),
    ];
    figures.extend(outcome.fairness_permille().map(|index| ("fairness of what they gave", permille(index))));
    figures.push(("the file", amount::bytes(outcome.len)));
    let figure = |(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escaped(value));
    let figures: String = figures.iter().map(|(name, value)| figure((name, value))).collect();
    format!("<dl class=\"figures\">\n{figures}</dl>\n")
}

fn rows(page: &mut String, outcome: &Outcome) {
    let cells = |tag: &str, row: &[String]| -> String {
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect()
    };
    let head = table::COLUMNS.map(ToOwned::to_owned);
    let rows = table::rows(outcome, table::LISTED_MAX);
    let rows: Vec<String> = rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
    let rest = outcome.shares.len().saturating_sub(table::LISTED_MAX);
    let rest = if rest > 0 {
        format!("<p class=\"about\">and {rest} more that waited less</p>")
    } else {
        String::new()
    };
    write!(
        page,
        "<figure class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>{}</tbody>\n</table>{rest}</figure>\n",
        cells("th", &head),
        rows.join("\n")
    )
    .unwrap_or_default();
}
