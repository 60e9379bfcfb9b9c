//! Amounts as people write and read them.
//!
//! Knows: bytes, rates, spans. Does not know: what is counted.

use std::num::NonZeroU64;
use std::time::Duration;

use super::args::Limit;
use crate::control::api::{MaxSize, parse_count};

/// Reads a rate in bytes per second: a number with `k`, `M`, `G` (1000) or `Ki`, `Mi`, `Gi` (1024), such as `2.5M`.
pub(super) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bad = || format!("{text:?} is not a rate: write bytes per second, such as 500k, 2.5M or 1Gi");
    parse_count(text.trim_end_matches("/s")).and_then(NonZeroU64::new).ok_or_else(bad)
}

/// Reads a rate, or `none`.
pub(super) fn parse_limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse_rate(text).map(|rate| Limit(Some(rate)))
}

/// Reads how many bytes a job may take: as rates are written, and at least one, or `none`.
pub(super) fn parse_max_size(text: &str) -> Result<MaxSize, String> {
    let bad = || format!("{text:?} is no size: write bytes, at least one, such as 700M or 10GiB, or none");
    match text {
        "none" => Ok(MaxSize(None)),
        text => {
            parse_count(text).filter(|bytes| *bytes > 0).map(|bytes| MaxSize(Some(bytes))).ok_or_else(bad)
        }
    }
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

/// Whole seconds in the largest unit that has none left over, such as `10 min` or `14 days`.
pub(super) fn span(seconds: u64) -> String {
    for (unit, len) in [("days", 86_400), ("h", 3_600), ("min", 60)] {
        if seconds >= 2 * len && seconds.is_multiple_of(len) {
            return format!("{} {unit}", seconds / len);
        }
    }
    format!("{seconds} s")
}

/// A moment in milliseconds since 1970, as RFC 3339 writes it, in UTC and whole seconds.
pub(super) fn moment(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from the first of March of year 0, so that a leap day is the last of its year: eras have 400
    // years and 146 097 days.
    let day = days + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        year + era * 400 + later,
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// How often something happened.
pub(super) fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
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

    #[test]
    fn a_limit_may_be_none() {
        assert_eq!(parse_limit("none"), Ok(Limit(None)));
        assert_eq!(parse_limit("2k"), Ok(Limit(NonZeroU64::new(2_000))));
        assert!(parse_limit("no").is_err());
    }

    #[test]
    fn file_24_a_size_is_read_with_its_unit_and_is_never_zero() {
        for (text, size) in
            [("none", None), ("1", Some(1)), ("700M", Some(700_000_000)), ("10GiB", Some(10 << 30))]
        {
            assert_eq!(parse_max_size(text), Ok(MaxSize(size)), "{text}");
        }
        for text in ["0", "0.1", "", "much", "10TB/s", "-1"] {
            assert!(parse_max_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc_3339_does() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (1_795_959_245_678, "2026-11-29T13:34:05Z"),
        ] {
            assert_eq!(moment(unix_ms), text);
        }
    }

    #[test]
    fn spans_are_written_in_the_unit_they_were_thought_in() {
        for (seconds, text) in
            [(0, "0 s"), (60, "60 s"), (600, "10 min"), (5, "5 s"), (1_209_600, "14 days"), (7_200, "2 h")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
