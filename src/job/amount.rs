//! Amounts as people write them in commands and files.
//!
//! Knows: numbers with units. Does not know: what is counted.

/// Reads a count: a number, perhaps with a fraction, and `k`, `M`, `G` (1000) or `Ki`, `Mi`, `Gi` (1024), with or without
/// a `B` behind it.
#[must_use]
pub fn parse_count(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit: u64 = match text[number.len()..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let fraction = u128::from(part) * u128::from(unit) / u128::from(scale);
    whole.checked_mul(unit)?.checked_add(u64::try_from(fraction).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_24_and_cache_5_counts_are_read_with_every_unit() {
        for (text, count) in [
            ("0", 0),
            ("7B", 7),
            ("2k", 2_000),
            ("2K", 2_000),
            ("2KB", 2_000),
            ("3M", 3_000_000),
            ("4G", 4_000_000_000),
            ("2Ki", 2_048),
            ("3MiB", 3 << 20),
            ("4Gi", 4 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_count(text), Some(count), "{text}");
        }
        for text in ["", "k", "2T", "2kk", "-1", "+1", "1 k", "18446744073709551616", "18446744073709551615k"]
        {
            assert_eq!(parse_count(text), None, "{text}");
        }
    }

    #[test]
    fn file_24_and_cache_5_a_fraction_has_nine_digits_at_most_and_is_cut_to_whole_bytes() {
        for (text, count) in [
            ("1.5k", Some(1_500)),
            ("0.0009k", Some(0)),
            ("1.123456789G", Some(1_123_456_789)),
            ("1.1234567890G", None),
            ("1.", Some(1)),
            (".5", None),
            ("1.x", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse_count(text), count, "{text}");
        }
    }
}
