//! Of which groups this node is a member, by what its state folder holds.
//!
//! Knows: which faults of a token make a node a stranger, and which are errors of whoever put it there; how memberships are
//! changed while no node runs. Does not know: what members do (`engine`).

use std::path::Path;

use peer_proto::group::{Membership, TokenFault};
use peer_proto::sign::Signer;

use super::NodeError;
use crate::driver::enrolment::{Enrolment, Held, config};
use crate::engine::{GroupConfig, Groups};
use crate::store::StateFolder;

/// What the brain is told of memberships when it starts, at a moment in milliseconds since 1970.
pub(super) fn counts(held: &Held, signer: &Signer, now_ms: i64) -> Result<Groups, NodeError> {
    let counting = held.values().filter_map(|held| counts_one(held, signer, now_ms).transpose());
    counting.collect()
}

fn counts_one(held: &Membership, signer: &Signer, now_ms: i64) -> Result<Option<GroupConfig>, NodeError> {
    let now = u64::try_from(now_ms / 1_000).unwrap_or(0);
    match config(held, signer, now) {
        Ok(config) => Ok(Some(config)),
        // Its jobs go on by the rules of strangers (GROUP-5).
        Err(
            TokenFault::Over
            | TokenFault::NotYet
            | TokenFault::Epoch
            | TokenFault::Denied
            | TokenFault::EnrollerDenied
            | TokenFault::NoEnroller,
        ) => Ok(None),
        Err(fault) => Err(NodeError::Group(fault)),
    }
}

/// The state folder of a node that does not run, held as if it did.
#[derive(Debug)]
pub struct StoppedNode {
    enrolment: Enrolment,
    /// Held for its lock.
    _folder: StateFolder,
}

impl StoppedNode {
    /// Takes the state folder; makes it, and an identity in it, if there is none. Blocks.
    ///
    /// # Errors
    /// [`NodeError::Folder`], with [`FolderError::Locked`](super::FolderError::Locked) if a node runs there.
    pub fn open(state_dir: &Path) -> Result<Self, NodeError> {
        let folder = StateFolder::open(state_dir)?;
        let signer = Signer::of(folder.identity_seed());
        let held = folder.group().load()?;
        Ok(Self { enrolment: Enrolment::new(&folder, signer, held, None), _folder: folder })
    }

    /// Which groups it is in, to be joined and left.
    #[must_use]
    pub const fn group(&self) -> &Enrolment {
        &self.enrolment
    }
}
