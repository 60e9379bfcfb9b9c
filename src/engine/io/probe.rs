//! What an origin says before it gives bytes.
//!
//! Knows: values. Does not know: who asked, what follows.

use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::version::Version;

/// What the word of an origin stands on, for others than the one who asked (ATTEST-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Footing {
    /// Whether every hop was https.
    pub secure: bool,
    /// Whether others may be answered otherwise: `Vary` beyond `Accept-Encoding` and `Origin`.
    pub varies: bool,
    /// The answer's `Date`, in seconds since 1970.
    pub date_unix_s: Option<i64>,
    /// Fingerprint of the root certificate that the answering host's chain ended in.
    pub anchor: Option<[u8; 32]>,
    /// Whether that root is not one of the system's, but was configured.
    pub is_own_anchor: bool,
}

/// What the origin answered to a probe.
#[derive(Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it serves now.
    pub version: Version,
    /// Whether it answers range requests (learned, or advertised and not yet disproved).
    pub ranges: bool,
    /// Strong digests it stated for the whole representation over https on every hop (TRUST-11).
    pub digests: Vec<Digest>,
    /// Whether the answer may be shared with others (no `private`, no `no-store`; LOCAL-1).
    pub public: bool,
    /// What an attestation of this version would stand on.
    pub footing: Footing,
    /// From question to answer.
    pub round_trip: Duration,
    /// The URL that answered: another than was asked if there were redirects.
    pub final_url: String,
    /// The header block of the answer, at most 16 KiB of it (FILE-19). For the owner only: an origin may repeat there
    /// what it was sent.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("version", &self.version)
            .field("ranges", &self.ranges)
            .field("digests", &self.digests)
            .field("public", &self.public)
            .field("footing", &self.footing)
            .field("round_trip", &self.round_trip)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}
