//! This node as a member of a group: what makes it one, and which peers are members too.
//!
//! Knows: tokens of peers and how long they count, what becomes of sessions when the membership is another one. Does not
//! know: what members say to each other (`flood`), who wants which file (`swarm`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peer_proto::digest::Digest;
use peer_proto::group::{
    Badge, DenyList, GroupId, HolderId, Membership, Roles, Token, TokenFault, TokenRules,
};
use peer_proto::home::HomeKey;
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;

use super::Engine;
use super::core::Core;
use super::file::{JobFile, Stage};
use super::io::Effect;
use super::look::Heed;

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
    /// Who is no member any more, if anybody ever was forgotten.
    pub denied: Option<DenyList>,
    /// What this node hands on of its membership if it is an enroller.
    pub enroller: Option<Arc<Membership>>,
}

impl GroupConfig {
    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId::of(&self.key)
    }

    /// Holders that are no members any more.
    pub(super) fn denied(&self) -> &BTreeSet<HolderId> {
        static NOBODY: BTreeSet<HolderId> = BTreeSet::new();
        self.denied.as_ref().map_or(&NOBODY, DenyList::holders)
    }

    /// Whether a token's holder is no member any more, or whoever gave it to him.
    pub(super) fn denies(&self, token: &Token) -> bool {
        token.is_of(self.denied())
    }

    /// Whether a token makes a node a member that may ask, at a moment in seconds since 1970 (GROUP-1, 3).
    pub(super) fn admits(&self, peer: PeerId, token: &Token, now: u64) -> Result<(), TokenFault> {
        let (group, epoch, denied) = (&self.key, self.epoch, self.denied());
        token.check(&TokenRules { group, peer, now, epoch, denied })
    }
}

/// Peers with a session that showed a token that counted then.
#[derive(Debug, Default)]
pub(super) struct Members {
    tokens: BTreeMap<PeerId, Token>,
    /// Those whose token the group's key signed and that may give others theirs.
    enrollers: BTreeSet<PeerId>,
}

impl Members {
    /// What a peer showed.
    pub(super) fn token(&self, peer: PeerId) -> Option<&Token> {
        self.tokens.get(&peer)
    }

    pub(super) const fn enrollers(&self) -> &BTreeSet<PeerId> {
        &self.enrollers
    }

    /// `true` if it showed none before.
    fn insert(&mut self, peer: PeerId, token: &Token) -> bool {
        if token.wish().roles.has(Roles::ENROL) && !token.is_delegated() {
            self.enrollers.insert(peer);
        } else {
            self.enrollers.remove(&peer);
        }
        self.tokens.insert(peer, token.clone()).is_none()
    }

    fn remove(&mut self, peer: PeerId) {
        self.tokens.remove(&peer);
        self.enrollers.remove(&peer);
    }
}

impl Engine {
    /// This node is a member of another group now, of none, or the same with a newer token, epoch or deny list.
    ///
    /// In the same group its sessions go on: members are shown the new token, those who are denied by now go, and where the
    /// epoch is another one so do those who were strangers, because they may not be any more. In another group all
    /// sessions begin anew, and what members said of files that are on their way is forgotten.
    pub(super) fn group_changed(&mut self, group: Option<GroupConfig>) {
        let again = match (&self.core.config.group, &group) {
            (None, None) => return,
            (Some(before), Some(after)) if before.key == after.key => self.core.outsiders(before, after),
            (Some(_), _) | (None, Some(_)) => {
                self.with_all(Heed::Now, JobFile::leave_group);
                self.core.peers.iter().map(|(id, _)| id).collect()
            }
        };
        self.core.config.group = group;
        for peer in again {
            let until = self.core.time();
            let reason = "the session begins anew: this node's membership is another one".into();
            self.core.effect(Effect::Disconnect { peer, until, reason });
            self.leave_peer(peer);
        }
        self.core.show_badge();
        self.core.renewal_begins_anew();
        self.core.weigh_attestations_anew();
        self.with_all(Heed::Soon, JobFile::forget_denied);
    }
}

impl Core {
    /// Peers whose sessions are of no use when the same group's membership is another one: they are denied, or the epoch is
    /// another one and they were strangers, who may be members after it.
    fn outsiders(&self, before: &GroupConfig, after: &GroupConfig) -> Vec<PeerId> {
        let is_new_epoch = before.badge.secret != after.badge.secret;
        let is_denied = |peer: &PeerId| {
            let shown = self.members.tokens.get(peer);
            shown.is_some_and(|token| after.denies(token))
        };
        let peers = self.peers.iter();
        peers
            .filter(|(id, peer)| is_denied(id) || (is_new_epoch && !peer.session.is_kin()))
            .map(|(id, _)| id)
            .collect()
    }

    /// Members in whose sessions the token was shown are shown the one that counts now.
    fn show_badge(&mut self) {
        let Some(badge) = self.config.group.as_ref().map(|group| Arc::clone(&group.badge)) else { return };
        for id in self.peers.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.session.renew(Some(Arc::clone(&badge)).into());
            }
            self.pump(id);
            self.tell_newest(id);
        }
    }
}

impl JobFile {
    /// Whatever members of the old group said of this file is not heard any more; those of the new one are met at the next
    /// look.
    fn leave_group(&mut self, core: &mut Core) {
        if self.stage != Stage::Over {
            self.leave_swarm(core);
        }
    }
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
            Ok(()) if may_ask => {
                if self.members.insert(peer, token) {
                    self.tell_all_against(peer);
                    self.tell_newest(peer);
                    self.renew_at(peer);
                }
            }
            // What it is not, or not any more, it is treated as: a stranger (GROUP-5).
            Ok(()) | Err(_) => self.members.remove(peer),
        }
    }

    /// Whether this node is a member now.
    pub(super) fn belongs(&self) -> bool {
        let group = self.config.group.as_ref();
        group.is_some_and(|group| group.badge.token.wish().not_after >= self.wall_s())
    }

    /// Whether a peer with a session is a member, and so is this node.
    pub(super) fn is_member(&self, peer: PeerId) -> bool {
        let token = self.members.tokens.get(&peer);
        token.is_some_and(|token| token.wish().not_after >= self.wall_s()) && self.belongs()
    }

    pub(super) fn forget_token(&mut self, peer: PeerId) {
        self.members.remove(peer);
    }

    /// The key of a file's ranks and homes: of the group, if this node is in one (HOME-2).
    pub(super) fn home_key(&self, digest: &Digest) -> HomeKey {
        match &self.config.group {
            Some(group) => {
                // Who has not heard of the new epoch knows the one before: all rank alike as long as that is honoured.
                let Badge { secret, former, .. } = &*group.badge;
                HomeKey::in_group(former.as_ref().unwrap_or(secret), digest)
            }
            None => HomeKey::of(digest),
        }
    }
}
