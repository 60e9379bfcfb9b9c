//! Why a node could not start.
//!
//! Knows: which part refused, and what a person can do. Does not know: exit codes.

use peer_proto::group::TokenFault;

use crate::cache::CacheError;
use crate::config::ConfigError;
use crate::origin::OriginConfigError;
use crate::store::FolderError;
use crate::store::jobs::JobStoreError;
use crate::swarm::SwarmError;

/// Why a node could not start. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The state folder: held by another process, of another version, damaged, not writable.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The jobs in it.
    #[error(transparent)]
    Jobs(#[from] JobStoreError),
    /// The cache in it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The membership in it.
    #[error("a token in group.json, or in a group-ID.json, does not make this node a member: {0}")]
    Group(TokenFault),
    /// The settings for origins.
    #[error(transparent)]
    Origin(#[from] OriginConfigError),
    /// The administrator's file.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// Listening for peers.
    #[error("{0}")]
    Swarm(#[from] SwarmError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// A part of ours broke while it started.
    #[error("an internal error stopped the start")]
    Broken,
}
