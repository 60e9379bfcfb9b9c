//! A ban as it is kept across restarts.
//!
//! Knows: what is kept of one. Does not know: who keeps it, why anybody is banned.

use peer_proto::peer::PeerId;
use serde::{Deserialize, Serialize};

/// Why and for how long a peer is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeptBan {
    /// Who.
    pub peer: PeerId,
    /// Its address, as last seen, for people.
    pub address: String,
    /// How often it was refused: each time is twice as long.
    pub strikes: u32,
    /// Whether it lied; otherwise it did not keep to the protocol.
    pub lied: bool,
    /// Seconds that are left of it; zero if only the strikes are remembered.
    pub left_s: u64,
}
