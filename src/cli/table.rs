//! Answers as tables, or as JSON.
//!
//! Knows: how a table and an object are printed. Does not know: what is in them.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::exit::{Exit, Stop};
use super::say;

/// A table with these columns; without a header if there are none.
pub(super) fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

/// A table of names and what belongs to them; rows with nothing to say are left out.
pub(super) fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> Table {
    let mut table = new(&[]);
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([name.to_owned(), value]);
    }
    table
}

/// Prints a table, or a sentence if it has no row.
pub(super) fn print(table: &Table, otherwise: &str) {
    if table.row_count() == 0 {
        say::line(otherwise);
    } else {
        say::line(table.trim_fmt());
    }
}

/// Prints a value as JSON, over several lines.
pub(super) fn json(value: &impl Serialize) -> Result<Exit, Stop> {
    say::line(serde_json::to_string_pretty(value).map_err(unwritable)?);
    Ok(Exit::Done)
}

/// Prints a value as JSON in one line: one of several.
pub(super) fn json_line(value: &impl Serialize) -> Result<(), Stop> {
    say::line(serde_json::to_string(value).map_err(unwritable)?);
    Ok(())
}

fn unwritable(error: serde_json::Error) -> Stop {
    Stop::new(Exit::Fatal, error.to_string())
}
