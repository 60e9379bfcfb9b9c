//! Which version of a URL an origin serves (ATTEST-3).
//!
//! Knows: when two answers show the same version, and when a validator is strong. Does not know: HTTP.

use serde::{Deserialize, Serialize};

/// What an origin said about the bytes behind a URL, each field exactly as it was sent.
///
/// A version is *not* a content hash: common servers make "strong" ETags from time and size.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Version {
    /// Scheme, host and port that finally answered, such as `https://cdn.example:443`. Never a path or a query:
    /// those of a redirect's target may carry signatures (ATTEST-4).
    pub final_origin: String,
    /// The ETag as sent, quotes and `W/` included.
    pub etag: Option<String>,
    /// The Last-Modified text as sent.
    pub last_modified: Option<String>,
    /// Bytes of the whole file, if the origin said.
    pub len: Option<u64>,
}

impl Version {
    /// Whether both show the same version: every field exactly equal wherever either side has it (ATTEST-3).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    /// The ETag, if it is a strong one and so may stand in `If-Range`.
    #[must_use]
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"'))
    }

    /// Whether two answers of this version may be joined into one file: a strong ETag, or a Last-Modified and a
    /// length (HTTP-14). Without either, an interrupted body starts again from zero.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.len.is_some()
            && (self.strong_etag().is_some() || self.last_modified.is_some() && self.etag.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version {
            final_origin: "https://example.org:443".into(),
            etag: Some("\"a\"".into()),
            last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
            len: Some(7),
        }
    }

    #[test]
    fn attest_3_every_field_counts() {
        let pinned = version();
        assert!(pinned.is_same(&version()));
        for other in [
            Version { etag: Some("\"b\"".into()), ..version() },
            Version { etag: None, ..version() },
            Version { last_modified: None, ..version() },
            Version { len: Some(8), ..version() },
            Version { final_origin: "https://mirror.example.org:443".into(), ..version() },
        ] {
            assert!(!pinned.is_same(&other), "{other:?}");
        }
    }

    #[test]
    fn weak_and_missing_validators_do_not_allow_resuming() {
        assert!(version().can_resume());
        assert!(!Version { etag: Some("W/\"a\"".into()), ..version() }.can_resume());
        assert!(Version { etag: None, ..version() }.can_resume());
        assert!(!Version { etag: None, last_modified: None, ..version() }.can_resume());
        assert!(!Version { len: None, ..version() }.can_resume());
    }
}
