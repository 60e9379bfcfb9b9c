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
