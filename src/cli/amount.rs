//! Amounts as people write and read them.
//!
//! Knows: bytes, rates, spans. Does not know: what is counted.

use std::num::NonZeroU64;
use std::time::Duration;

/// Reads a rate in bytes per second: a number with `k`, `M`, `G` (1000) or `Ki`, `Mi`, `Gi` (1024), such as `2.5M`.
pub(super) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bad = || format!("{text:?} is not a rate: write bytes per second, such as 500k, 2.5M or 1Gi");
    let number = text.trim_end_matches(|character: char| character.is_ascii_alphabetic() || character == '/');
    let unit: u64 = match text[number.len()..].trim_end_matches("/s").trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(bad()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
        return Err(bad());
    }
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let scale = 10_u64.pow(u32::try_from(part.len()).map_err(|_| bad())?);
    let part: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| bad())? };
    let fraction = u128::from(part) * u128::from(unit) / u128::from(scale);
    let rate = whole.checked_mul(unit).and_then(|rate| rate.checked_add(u64::try_from(fraction).ok()?));
    rate.and_then(NonZeroU64::new).ok_or_else(bad)
}

/// Bytes with a unit of 1024 and one decimal, such as `64.0 MiB`.
pub(super) fn bytes(count: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if count >= 1 << shift {
            let tenths = (u128::from(count) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} B")
}

/// Seconds with two decimals, such as `3.41 s`.
pub(super) fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}

/// Bytes in a span as a rate in MB/s.
pub(super) fn rate(count: u64, span: Duration) -> String {
    let micros = span.as_micros().max(1);
    let tenths = u128::from(count) * 10 / micros;
    format!("{}.{} MB/s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_units() {
        for (text, rate) in [
            ("1", 1),
            ("500k", 500_000),
            ("2.5M", 2_500_000),
            ("1Gi", 1 << 30),
            ("3MB/s", 3_000_000),
            ("0.5Ki", 512),
        ] {
            assert_eq!(parse_rate(text).map(NonZeroU64::get), Ok(rate), "{text}");
        }
        for text in ["", "0", "-1", "fast", "1X", "1.2.3M", "99999999999999999999", ".5M", "1e3"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_written_with_one_decimal() {
        for (count, text) in
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(rate(10_000_000, Duration::from_secs(1)), "10.0 MB/s");
    }
}
