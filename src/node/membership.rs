//! Whether this node is a member of a group, by what its state folder holds.
//!
//! Knows: which faults of a token make a node a stranger, and which are errors of whoever put it there. Does not know:
//! what members do (`engine`).

use std::collections::BTreeSet;
use std::sync::Arc;

use peer_proto::group::{Badge, TokenFault, TokenRules};
use peer_proto::sign::Signer;

use super::NodeError;
use crate::engine::GroupConfig;
use crate::store::StateFolder;

/// The membership that counts at this moment, in milliseconds since 1970.
pub(super) fn read(folder: &StateFolder, now_ms: i64) -> Result<Option<GroupConfig>, NodeError> {
    let Some(stored) = folder.group()? else { return Ok(None) };
    let signer = Signer::of(folder.identity_seed());
    let denied = BTreeSet::new();
    let now = u64::try_from(now_ms / 1_000).unwrap_or(0);
    let (group, peer, epoch) = (&stored.key, signer.peer(), stored.epoch);
    match stored.token.check(&TokenRules { group, peer, now, epoch, denied: &denied }) {
        Ok(()) => {}
        // Its jobs go on by the rules of strangers (GROUP-5).
        Err(fault @ (TokenFault::Over | TokenFault::NotYet | TokenFault::Epoch)) => {
            tracing::warn!("this node is no member of its group now: {fault}");
            return Ok(None);
        }
        Err(fault) => return Err(NodeError::Group(fault)),
    }
    let until_unix_s = stored.token.wish().not_after;
    tracing::info!(group = ?peer_proto::group::GroupId::of(&stored.key), until_unix_s, "member of a group");
    let badge = Badge { token: stored.token, secret: stored.secret, former: stored.former };
    Ok(Some(GroupConfig { signer, key: stored.key, badge: Arc::new(badge), epoch, denied }))
}
