//! What passes the control door about peers.
//!
//! Knows: the shapes of their JSON. Does not know: who may ask.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A peer to keep trying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPeer {
    /// `ip:port`, `[v6%scope]:port`, or a multiaddress.
    #[schema(example = "192.0.2.7:7411")]
    pub address: String,
    /// Whether it is kept across restarts, until it is taken back. Default false: it is tried until the node ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// Which added peer is meant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhichPeer {
    /// The address it was added under.
    #[param(example = "192.0.2.7:7411")]
    pub address: String,
}

/// A peer as the node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeerRow {
    /// Who. Its channel proved it, if it was ever met; empty if it was configured by address alone and nobody answered.
    pub peer: String,
    /// Where.
    pub address: String,
    /// Whether it is on this link, on this machine, was configured, or named by a rendezvous of the configuration.
    pub near: bool,
    /// Whether there is a connection now.
    pub connected: bool,
    /// How the node came to know an address of it, if it knows one: not if the peer only called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_by: Option<PeerKnownBy>,
    /// Whether it is a member of a group of this node's, by a token that counts now.
    #[serde(default)]
    pub member: bool,
    /// The ids of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Payload bytes it gave.
    pub received_bytes: u64,
    /// Payload bytes it was given.
    pub served_bytes: u64,
    /// Seconds until it may come back, if it is banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_s: Option<u64>,
}

/// How a node came to know a peer's address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeerKnownBy {
    /// The configuration names it.
    Configured,
    /// It was added, to be kept across restarts: `peer add`.
    Added,
    /// It was added until the node ends: `get --peer`, a ticket's enroller.
    Command,
    /// It announced itself on a link.
    Announced,
    /// A rendezvous named it.
    Named,
    /// An earlier run met it there, on the same link.
    Remembered,
}

/// What came of asking the network for peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeersAsked {
    /// Whether it is asked now; otherwise it was asked less than ten minutes ago (PEER-15).
    pub asked: bool,
}

/// What came of clearing the list of peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeersForgotten {
    /// Peers whose addresses are forgotten.
    pub peers: usize,
}
