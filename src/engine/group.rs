//! This node as a member of a group: what makes it one, and which peers are members too.
//!
//! Knows: tokens of peers and how long they count. Does not know: what members say to each other (`flood`), who wants
//! which file (`swarm`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peer_proto::digest::Digest;
use peer_proto::group::{Badge, GroupId, HolderId, Roles, Token, TokenFault, TokenRules};
use peer_proto::home::HomeKey;
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;

use super::core::Core;

/// What makes this node a member of a group.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// This node's key: what it says to all members is signed with it.
    pub signer: Signer,
    /// The group's public key.
    pub key: [u8; 32],
    /// This node's token, and the secrets of the epochs that count.
    pub badge: Arc<Badge>,
    /// The present epoch.
    pub epoch: u32,
    /// Holders that are no members any more.
    pub denied: BTreeSet<HolderId>,
}

impl GroupConfig {
    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId::of(&self.key)
    }

    /// Whether a token makes a node a member that may ask, at a moment in seconds since 1970 (GROUP-1, 3).
    pub(super) fn admits(&self, peer: PeerId, token: &Token, now: u64) -> Result<(), TokenFault> {
        let (group, epoch, denied) = (&self.key, self.epoch, &self.denied);
        token.check(&TokenRules { group, peer, now, epoch, denied })
    }
}

/// Peers with a session that showed a token, and until when it counts.
#[derive(Debug, Default)]
pub(super) struct Members {
    until: BTreeMap<PeerId, u64>,
}

impl Core {
    /// Seconds since 1970.
    pub(super) fn wall_s(&self) -> u64 {
        u64::try_from(self.now.wall_unix_ms / 1_000).unwrap_or(0)
    }

    /// A peer showed its token.
    pub(super) fn token_shown(&mut self, peer: PeerId, token: &Token) {
        let now = self.wall_s();
        let Some(group) = &self.config.group else { return };
        let may_ask = token.wish().roles.has(Roles::FETCH);
        match group.admits(peer, token, now) {
            Ok(()) if may_ask => drop(self.members.until.insert(peer, token.wish().not_after)),
            // What it is not, or not any more, it is treated as: a stranger (GROUP-5).
            Ok(()) | Err(_) => drop(self.members.until.remove(&peer)),
        }
    }

    /// Whether this node is a member now.
    pub(super) fn belongs(&self) -> bool {
        let group = self.config.group.as_ref();
        group.is_some_and(|group| group.badge.token.wish().not_after >= self.wall_s())
    }

    /// Whether a peer with a session is a member, and so is this node.
    pub(super) fn is_member(&self, peer: PeerId) -> bool {
        let until = self.members.until.get(&peer);
        until.is_some_and(|until| *until >= self.wall_s()) && self.belongs()
    }

    pub(super) fn forget_token(&mut self, peer: PeerId) {
        self.members.until.remove(&peer);
    }

    /// The key of a file's ranks and homes: of the group, if this node is in one (HOME-2).
    pub(super) fn home_key(&self, digest: &Digest) -> HomeKey {
        match &self.config.group {
            Some(group) => HomeKey::in_group(&group.badge.secret, digest),
            None => HomeKey::of(digest),
        }
    }
}
