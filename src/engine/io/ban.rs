//! What is held against peers and links, as it is kept across restarts.
//!
//! Knows: what is kept of it. Does not know: who keeps it, why anybody is banned, what blows a fuse.

use peer_proto::peer::PeerId;
use peer_proto::subnet::Subnet;
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

/// What strangers on one link did (CLAIM-12).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeptFuse {
    /// The link's subnet.
    pub link: Subnet,
    /// How often in a row it was not listened to: each time is twice as long.
    pub times: u32,
    /// Seconds for which it is not listened to; zero if it is.
    pub left_s: u64,
    /// How many seconds ago files were found wrong that still count.
    pub files_s: Vec<u64>,
}
