//! What the numbers of a scenario file may be.
//!
//! Knows: a range and a unit for each key. Does not know: what they mean together (`meant`).

use toml::{Table, Value};

use super::FileFault;

/// What a number may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The key, with its table in front where another table has the same one with another range.
    pub key: &'static str,
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
    /// Of what.
    pub unit: &'static str,
}

const fn bound(key: &'static str, least: u32, most: u32, unit: &'static str) -> Bound {
    Bound { key, least, most, unit }
}

/// Machines of one world at most.
pub const MACHINES_MAX: u32 = 10_000;
/// The longest span: thirty days.
const SPAN_MAX_MS: u32 = 2_592_000_000;
const RATE_MAX: u32 = 1_000_000;

/// Every key with a number.
pub const BOUNDS: &[Bound] = &[
    bound("file-mib", 0, 4_194_304, "MiB"),
    bound("file-kib", 0, 4_194_304, "KiB"),
    bound("offices", 1, 1_000, "offices"),
    bound("machines", 1, MACHINES_MAX, "machines"),
    bound("holders", 0, MACHINES_MAX, "machines"),
    bound("stagger-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("spread-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("wan-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("wan-up-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("wan-delay-ms", 0, 10_000, "milliseconds"),
    bound("wan-loss-per-million", 0, 500_000, "packets in a million"),
    bound("lan-loss-per-million", 0, 500_000, "packets in a million"),
    bound("port-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("wireless-percent", 0, 100, "of a hundred machines"),
    bound("cell-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("client-off-percent", 0, 100, "of a hundred machines"),
    bound("server-off-percent", 0, 100, "of a hundred machines"),
    bound("origin-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("origin-connection-mbit", 1, RATE_MAX, "Mbit/s"),
    bound("origin-connections", 1, RATE_MAX, "connections"),
    bound("origin-delay-ms", 0, 10_000, "milliseconds"),
    bound("origin-cuts-after-mib", 1, 4_194_304, "MiB"),
    bound("limit-s", 1, 2_592_000, "seconds"),
    bound("churn.percent", 0, 100, "of a hundred machines"),
    bound("partition.percent", 1, 99, "of a hundred machines"),
    bound("from-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("to-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("back-after-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("at-ms", 0, SPAN_MAX_MS, "milliseconds"),
    bound("machine", 0, MACHINES_MAX - 1, "as machines are counted"),
    bound("other", 0, MACHINES_MAX - 1, "as machines are counted"),
    bound("partition.office", 0, 999, "as offices are counted"),
    bound("fault.office", 0, 999, "as offices are counted"),
    bound("false-pieces", 1, 16_384, "pieces"),
    bound("bytes-per-s", 1, 1_000_000_000, "bytes per second"),
];

impl Bound {
    fn of(table: &str, key: &str) -> Option<&'static Self> {
        let own = format!("{table}.{key}");
        BOUNDS.iter().find(|bound| bound.key == own || bound.key == key)
    }
}

/// Whether every number is one that its key may have.
///
/// # Errors
/// [`FileFault::Key`] for the first that is not.
pub(super) fn check(table: &Table) -> Result<(), FileFault> {
    check_table("", table)
}

fn check_table(name: &str, table: &Table) -> Result<(), FileFault> {
    for (key, value) in table {
        match value {
            Value::Integer(number) => check_number(name, key, *number)?,
            Value::Table(inner) => check_table(key, inner)?,
            Value::Array(parts) => {
                parts.iter().filter_map(Value::as_table).try_for_each(|part| check_table(key, part))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_number(table: &str, key: &str, number: i64) -> Result<(), FileFault> {
    match Bound::of(table, key) {
        Some(Bound { least, most, .. }) if (i64::from(*least)..=i64::from(*most)).contains(&number) => Ok(()),
        Some(Bound { least, most, unit, .. }) => {
            let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            Err(FileFault::Key { key, wants: format!("{least} to {most} ({unit}), not {number}") })
        }
        // No such key: the types say so, with the place in the text.
        None => Ok(()),
    }
}
