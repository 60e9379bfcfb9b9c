//! How much the cache may hold, for how long, and how it keeps a delivered file.
//!
//! Knows: bounds and defaults (CACHE-5, CACHE-9). Does not know: disks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::job::amount::parse_count;

/// Days an unused record may stay at most (CACHE-9).
pub const AGE_DAYS_MAX: u16 = 120;
/// Hundredths of the disk the cache may take at most (CACHE-5).
const SHARE_MAX: u8 = 80;

/// The bytes the cache's own copies may take together. Written `20%` or `50Gi`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CacheSize {
    /// Hundredths of the disk the cache lies on, 1 to 80.
    Share(u8),
    /// So many bytes, at least 1.
    Bytes(u64),
}

/// What the cache keeps of a delivered file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeepAs {
    /// Its own copy, made when nothing else is to do; the delivered file until then.
    #[default]
    Copy,
    /// The delivered file where it lies, for as long as its user leaves it there.
    Borrow,
}

/// What the cache may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CacheLimits {
    /// Bytes of its own copies.
    #[schema(value_type = String)]
    pub size: CacheSize,
    /// Days after its last use at which a record goes, 1 to [`AGE_DAYS_MAX`].
    pub age_days: u16,
    /// What becomes of a delivered file.
    pub keep: KeepAs,
}

/// What somebody says of the limits; what he does not say is somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CacheWish {
    /// Bytes of the cache's own copies: `20%` of the disk, or `50Gi`. Default 20 % (CACHE-5).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub size: Option<CacheSize>,
    /// Days after its last use at which a record goes, 1 to 120. Default 90 (CACHE-9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<u16>,
    /// What becomes of a delivered file: a `copy`, or `borrow`ed for as long as it lies there. Default `copy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepAs>,
}

impl CacheWish {
    /// These limits, but where this says otherwise.
    #[must_use]
    pub fn over(&self, limits: CacheLimits) -> CacheLimits {
        CacheLimits {
            size: self.size.unwrap_or(limits.size),
            age_days: self.age_days.unwrap_or(limits.age_days),
            keep: self.keep.unwrap_or(limits.keep),
        }
    }

    /// What both say; where both say something, this one.
    #[must_use]
    pub fn and(&self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            age_days: self.age_days.or(other.age_days),
            keep: self.keep.or(other.keep),
        }
    }

    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// [`LimitError`] names the one that is not.
    pub fn check(&self) -> Result<(), LimitError> {
        match self.age_days {
            Some(days) if days == 0 || days > AGE_DAYS_MAX => Err(LimitError::Age(days.to_string())),
            _ => Ok(()),
        }
    }
}

/// Why a limit is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// Neither a share nor a number of bytes.
    #[error(
        "{0:?} is not a size of the cache: write 1% to {SHARE_MAX}% of the disk, or bytes such as 500M or 50Gi"
    )]
    Size(String),
    /// Too few days, or too many.
    #[error("a record may stay for 1 to {AGE_DAYS_MAX} days after its last use, not {0}")]
    Age(String),
}

/// Days that a record may stay, as somebody wrote them.
///
/// # Errors
/// [`LimitError::Age`] for what is no such number.
pub fn parse_age_days(text: &str) -> Result<u16, LimitError> {
    let days = text.parse().ok().filter(|days| (1..=AGE_DAYS_MAX).contains(days));
    days.ok_or_else(|| LimitError::Age(text.to_owned()))
}

impl CacheSize {
    /// Bytes on a disk of `total` bytes.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Share(percent) => total / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { size: CacheSize::Share(20), age_days: 90, keep: KeepAs::Copy }
    }
}

impl FromStr for CacheSize {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let bad = || LimitError::Size(text.to_owned());
        match text.strip_suffix('%') {
            Some(share) => {
                let share = share.parse::<u8>().map_err(|_| bad())?;
                (1..=SHARE_MAX).contains(&share).then_some(Self::Share(share)).ok_or_else(bad)
            }
            None => parse_count(text).filter(|bytes| *bytes > 0).map(Self::Bytes).ok_or_else(bad),
        }
    }
}

impl fmt::Display for CacheSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl TryFrom<String> for CacheSize {
    type Error = LimitError;

    fn try_from(text: String) -> Result<Self, LimitError> {
        text.parse()
    }
}

impl From<CacheSize> for String {
    fn from(size: CacheSize) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_5_a_size_is_a_share_of_the_disk_or_bytes_and_bounded() {
        for (text, size) in [
            ("1%", CacheSize::Share(1)),
            ("80%", CacheSize::Share(80)),
            ("50Gi", CacheSize::Bytes(50 << 30)),
            ("1500000", CacheSize::Bytes(1_500_000)),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        for text in ["0%", "81%", "%", "20 %", "0", "-1", "1.5%", "", "many", "256%"] {
            assert_eq!(text.parse::<CacheSize>(), Err(LimitError::Size(text.to_owned())));
        }
        assert_eq!(CacheSize::Share(20).of(1_000), 200);
        assert_eq!(CacheSize::Bytes(7).of(1_000), 7);
    }

    #[test]
    fn cache_9_a_record_stays_for_1_to_120_days() {
        let check = |days| CacheWish { age_days: Some(days), ..CacheWish::default() }.check();
        assert_eq!([check(1), check(90), check(120)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!([check(0), check(121)], [0, 121].map(|days| Err(LimitError::Age(days.to_string()))));
        assert_eq!(["1", "120"].map(parse_age_days), [Ok(1), Ok(120)]);
        for text in ["0", "121", "99999", "-1", "a week"] {
            assert_eq!(parse_age_days(text), Err(LimitError::Age(text.to_owned())));
        }
        assert_eq!(CacheWish::default().check(), Ok(()));
        assert_eq!(CacheLimits::default().age_days, 90);
    }

    #[test]
    fn what_is_not_said_is_somebody_elses() {
        let size = CacheWish { size: Some(CacheSize::Share(5)), ..CacheWish::default() };
        let both =
            CacheWish { size: Some(CacheSize::Bytes(9)), age_days: Some(7), keep: Some(KeepAs::Borrow) };
        assert_eq!(size.and(both), CacheWish { size: Some(CacheSize::Share(5)), ..both });
        assert_eq!(CacheWish::default().over(CacheLimits::default()), CacheLimits::default());
        let limits = CacheLimits { size: CacheSize::Bytes(9), age_days: 7, keep: KeepAs::Borrow };
        assert_eq!(both.over(CacheLimits::default()), limits);
    }
}
