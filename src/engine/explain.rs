//! Why every range came from where it came (`get --why`): a decision record per lease.
//!
//! Knows: what was decided and what came of it. Does not know: how decisions are made (`planner`).

use peer_proto::content::ByteRange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One decision: who was asked for a range, who was not and why, what came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Milliseconds since the job started in this process.
    pub at_ms: u64,
    /// Of which file, in a job of several: its place, from zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    /// The bytes, if the decision is about a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Bytes>)]
    pub range: Option<ByteRange>,
    /// Who was chosen: `origin`, `cache`, a peer id, or `nobody`.
    pub chosen: String,
    /// Why, in words.
    pub why: String,
    /// Who was passed over and why, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// What came of it, in words; empty while it is open.
    #[serde(default)]
    pub outcome: String,
}

/// Half-open bytes of a file, as [`ByteRange`] is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Bytes {
    /// The first byte.
    start: u64,
    /// The one after the last.
    end: u64,
}
