//! Where a file's bytes are at the origin, and what is sent with the question.
//!
//! Knows: values. Does not know: HTTP (`origin`), files.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of the remote file (RNG-1). The local file holds a file's ranges back to back, in the order given (RNG-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemoteRange {
    /// The first byte, in the remote file.
    pub offset: u64,
    /// How many; to the end of the remote file if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub len: Option<NonZeroU64>,
}

/// What a redirect of the origin does (HTTP-17).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// It is followed; the file's remote name stays.
    #[default]
    Follow,
    /// It is followed, and the file's remote name becomes the last URL.
    Report,
    /// The job ends in an error that names the target.
    Deny,
}

/// Header lines that are sent with every request of a job (HTTP-36): secrets. They show in no error and no log.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Headers(pub Vec<Header>);

/// One header line.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} header lines", self.0.len())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header line")
    }
}

/// All that is needed to ask an origin for a file of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remote {
    /// An absolute http or https URL.
    pub url: String,
    /// The parts of it that make the local file; the whole remote file if empty.
    pub ranges: Vec<RemoteRange>,
    /// What is sent with every request.
    pub headers: Headers,
    /// What a redirect does.
    pub redirects: Redirects,
    /// Whether the origin makes it as it is asked for: in one stream, each time another one, at no rate but its own
    /// (HTTP-15).
    pub dynamic: bool,
}

impl Remote {
    /// The length of the local file, if it is made of ranges that all have one.
    #[must_use]
    pub fn ranges_len(&self) -> Option<u64> {
        let mut lens = self.ranges.iter().map(|range| range.len.map(NonZeroU64::get));
        let sum = lens.try_fold(0_u64, |sum, len| sum.checked_add(len?));
        sum.filter(|_| !self.ranges.is_empty())
    }
}

/// Bytes per second, each without a limit if absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rates {
    /// From all sources together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub total: Option<NonZeroU64>,
    /// From origins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub wan: Option<NonZeroU64>,
    /// From peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub lan: Option<NonZeroU64>,
}

/// Bytes per second that peers are given, each without a limit if absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeRates {
    /// All peers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<NonZeroU64>,
    /// Any one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<NonZeroU64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_9_header_lines_do_not_show_where_values_are_printed() {
        let header = Header { name: "X-Token".into(), value: "s3cr3t".into() };
        assert_eq!(format!("{header:?}"), "a header line");
        let headers = Headers(vec![header.clone(), header]);
        assert_eq!(format!("{headers:?}"), "2 header lines");
    }

    #[test]
    fn rng_4_the_local_file_is_as_long_as_its_ranges_together_if_all_have_a_length() {
        let len = |ranges: &[(u64, u64)]| {
            let range =
                |(offset, len): &(u64, u64)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) };
            Remote { ranges: ranges.iter().map(range).collect(), ..Remote::default() }.ranges_len()
        };
        assert_eq!(len(&[]), None, "the whole remote file");
        assert_eq!(len(&[(5, 3), (0, 4)]), Some(7));
        assert_eq!(len(&[(5, 3), (0, 0)]), None, "one goes to the end");
        assert_eq!((len(&[(0, u64::MAX)]), len(&[(0, u64::MAX), (0, 1)])), (Some(u64::MAX), None));
    }
}
