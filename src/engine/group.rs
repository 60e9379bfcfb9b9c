//! This node as a member of groups: what makes it one, and which peers are members too.
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
use super::groups::Groups;
use super::io::Effect;
use super::look::Heed;
use super::peers::Peer;

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

    /// Whether this node's token counts still, at a moment in seconds since 1970.
    pub(super) fn is_live(&self, now: u64) -> bool {
        self.badge.token.wish().not_after >= now
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

/// Peers with a session that showed a token that counted then, for each group.
#[derive(Debug, Default)]
pub(super) struct Members {
    tokens: BTreeMap<(PeerId, GroupId), Token>,
    /// Those whose token the group's key signed and that may give others theirs.
    enrollers: BTreeMap<GroupId, BTreeSet<PeerId>>,
}

impl Members {
    /// What a peer showed in a group.
    pub(super) fn token(&self, peer: PeerId, group: GroupId) -> Option<&Token> {
        self.tokens.get(&(peer, group))
    }

    pub(super) fn enrollers(&self, group: GroupId) -> &BTreeSet<PeerId> {
        static NOBODY: BTreeSet<PeerId> = BTreeSet::new();
        self.enrollers.get(&group).unwrap_or(&NOBODY)
    }

    /// The groups in which a peer showed one.
    fn groups_of(&self, peer: PeerId) -> impl Iterator<Item = GroupId> + '_ {
        let all = (peer, GroupId([0; 16]))..=(peer, GroupId([0xff; 16]));
        self.tokens.range(all).map(|((_, group), _)| *group)
    }

    /// `true` if it showed none before.
    fn insert(&mut self, peer: PeerId, token: &Token) -> bool {
        let enrollers = self.enrollers.entry(token.group()).or_default();
        if token.wish().roles.has(Roles::ENROL) && !token.is_delegated() {
            enrollers.insert(peer);
        } else {
            enrollers.remove(&peer);
        }
        self.tokens.insert((peer, token.group()), token.clone()).is_none()
    }

    fn remove(&mut self, peer: PeerId, group: GroupId) {
        self.tokens.remove(&(peer, group));
        if let Some(enrollers) = self.enrollers.get_mut(&group) {
            enrollers.remove(&peer);
        }
    }

    /// This node is in a group no more.
    fn forget_group(&mut self, group: GroupId) {
        self.tokens.retain(|(_, of), _| *of != group);
        self.enrollers.remove(&group);
    }
}

impl Engine {
    /// This node is a member of other groups now, of none, or of the same with a newer token, epoch or deny list.
    ///
    /// In the groups that stay sessions go on: members are shown the new token, those who are denied by now go, and where the
    /// epoch is another one so do those who were no kin, because they may be after it. Sessions with kin of a group that was
    /// left begin anew, and what its members said of files that are on their way is forgotten. After a group was joined, or
    /// is in another epoch, everybody is shown other tags, because anybody may be a member of it; sessions of versions that
    /// cannot be told begin anew.
    pub(super) fn groups_changed(&mut self, groups: Groups) {
        let (before, after) = (self.core.config.groups.ids(), groups.ids());
        if before.is_empty() && after.is_empty() {
            return;
        }
        let gone: BTreeSet<GroupId> = before.difference(&after).copied().collect();
        let has_joined = !after.is_subset(&before);
        let shows_others = self.core.shows_others(&groups);
        let again = self.core.outsiders(&groups, &gone, has_joined);
        if has_joined || !gone.is_empty() {
            self.with_all(Heed::Now, |file, core| file.leave_groups(&gone, has_joined, core));
        }
        self.core.config.groups = groups;
        for peer in again {
            let until = self.core.time();
            let reason = "the session begins anew: this node's membership is another one".into();
            self.core.effect(Effect::Disconnect { peer, until, reason });
            self.leave_peer(peer);
        }
        gone.iter().for_each(|group| self.core.forget_group(*group));
        self.core.show_badges(shows_others);
        self.core.renewals_begin_anew();
        self.core.weigh_attestations_anew();
        self.with_all(Heed::Soon, JobFile::forget_denied);
    }
}

impl Core {
    /// Peers whose sessions are of no use with these groups: kin of one that was left, those who are denied, and strangers
    /// who may be members of one that was joined or has another epoch.
    fn outsiders(&self, groups: &Groups, gone: &BTreeSet<GroupId>, has_joined: bool) -> Vec<PeerId> {
        let is_outside = |id: PeerId, peer: &Peer| {
            let is_of_gone = !peer.ready || !peer.session.groups().is_disjoint(gone);
            let must_begin = has_joined && !peer.session.meets_anew();
            must_begin || (!gone.is_empty() && is_of_gone) || self.is_outside(id, peer, groups)
        };
        self.peers.iter().filter(|(id, peer)| is_outside(*id, peer)).map(|(id, _)| id).collect()
    }

    /// Whether a Hello would show other tags: of a group that was joined, or of another epoch.
    fn shows_others(&self, groups: &Groups) -> bool {
        groups.iter().any(|(id, after)| {
            let before = self.config.groups.get(id);
            before.is_none_or(|before| before.badge.secret != after.badge.secret)
        })
    }

    /// Whether a session begins anew because of what is new in groups that stay.
    fn is_outside(&self, id: PeerId, peer: &Peer, groups: &Groups) -> bool {
        let mut both =
            groups.iter().filter_map(|(group, after)| Some((self.config.groups.get(group)?, after)));
        both.any(|(before, after)| {
            let group = after.id();
            let is_new_epoch = before.badge.secret != after.badge.secret;
            let is_denied = self.members.token(id, group).is_some_and(|token| after.denies(token));
            is_denied || (is_new_epoch && !peer.session.is_kin_of(group) && !peer.session.meets_anew())
        })
    }

    /// Nothing more is handed on or asked for in a group.
    fn forget_group(&mut self, group: GroupId) {
        self.members.forget_group(group);
        self.handing.remove(&group);
        self.renewal.remove(&group);
    }

    /// Members in whose sessions tokens were shown are shown those that count now; and everybody other tags, if there are others.
    fn show_badges(&mut self, shows_others: bool) {
        let badges = self.config.groups.badges();
        for id in self.peers.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            let meets_anew = self.peers.get(id).is_some_and(|peer| shows_others && peer.session.meets_anew());
            let nonce = match meets_anew {
                true => std::array::from_fn(|_| u8::try_from(self.chance.below(256)).unwrap_or(0)),
                false => [0; 16],
            };
            let filler = peer_proto::group::filler(&self.config.seed, id, &nonce);
            if let Some(peer) = self.peers.get_mut(id) {
                match meets_anew {
                    true => peer.session.renew_tags(badges.clone(), nonce, filler),
                    false => peer.session.renew(badges.clone()),
                }
            }
            self.pump(id);
            for group in self.config.groups.ids() {
                self.tell_newest(id, group);
            }
        }
    }
}

impl JobFile {
    /// Whatever members of a group that was left said of this file is not heard any more. Among strangers it begins anew if
    /// a group was joined: its members are met at the next look.
    fn leave_groups(&mut self, gone: &BTreeSet<GroupId>, has_joined: bool, core: &mut Core) {
        let group = self.swarm.as_ref().map(|swarm| swarm.group);
        let is_over = group.is_some_and(|group| group.map_or(has_joined, |group| gone.contains(&group)));
        if self.stage != Stage::Over && is_over {
            self.leave_swarm(core);
        }
    }
}

impl Core {
    /// Seconds since 1970.
    pub(super) fn wall_s(&self) -> u64 {
        u64::try_from(self.now.wall_unix_ms / 1_000).unwrap_or(0)
    }

    /// A peer showed its token in a group.
    pub(super) fn token_shown(&mut self, peer: PeerId, token: &Token) {
        let (now, id) = (self.wall_s(), token.group());
        let Some(group) = self.config.groups.get(id) else { return };
        let may_ask = token.wish().roles.has(Roles::FETCH);
        match group.admits(peer, token, now) {
            Ok(()) if may_ask => {
                if self.members.insert(peer, token) {
                    self.tell_all_against(peer, id);
                    self.tell_newest(peer, id);
                    self.renew_at(peer, id);
                }
            }
            // What it is not, or not any more, it is treated as: a stranger (GROUP-5).
            Ok(()) | Err(_) => self.members.remove(peer, id),
        }
    }

    /// Whether this node is a member of any group now.
    pub(super) fn belongs(&self) -> bool {
        self.live_groups().next().is_some()
    }

    /// Whether it is one of this group.
    pub(super) fn belongs_to(&self, group: GroupId) -> bool {
        self.config.groups.get(group).is_some_and(|group| group.is_live(self.wall_s()))
    }

    /// The groups of which this node is a member now.
    pub(super) fn live_groups(&self) -> impl Iterator<Item = (GroupId, &GroupConfig)> + Clone {
        let now = self.wall_s();
        self.config.groups.iter().filter(move |(_, group)| group.is_live(now))
    }

    /// Whether a peer with a session is a member of some group, and so is this node.
    pub(super) fn is_member(&self, peer: PeerId) -> bool {
        self.common_groups(peer).next().is_some()
    }

    /// Whether a peer with a session is a member of this group, and so is this node.
    pub(super) fn is_member_of(&self, peer: PeerId, group: GroupId) -> bool {
        let token = self.members.token(peer, group);
        token.is_some_and(|token| token.wish().not_after >= self.wall_s()) && self.belongs_to(group)
    }

    /// The groups of which both this node and a peer with a session are members.
    pub(super) fn common_groups(&self, peer: PeerId) -> impl Iterator<Item = GroupId> + '_ {
        self.members.groups_of(peer).filter(move |group| self.is_member_of(peer, *group))
    }

    pub(super) fn forget_token(&mut self, peer: PeerId) {
        for group in self.members.groups_of(peer).collect::<Vec<_>>() {
            self.members.remove(peer, group);
        }
    }

    /// The group in which a file is fetched if nobody who wants it is known: that with the most members here, of several the
    /// first.
    pub(super) fn likely_group(&self) -> Option<GroupId> {
        let ready = self.peers.ready();
        let count = |group: GroupId| ready.iter().filter(|peer| self.is_member_of(**peer, group)).count();
        let groups = self.live_groups().map(|(group, _)| group);
        groups.max_by_key(|group| (count(*group), std::cmp::Reverse(*group)))
    }

    /// The key of a file's ranks and homes: of the group in which it is fetched, if it is one (HOME-2).
    pub(super) fn home_key(&self, digest: &Digest, group: Option<GroupId>) -> HomeKey {
        match group.and_then(|group| self.config.groups.get(group)) {
            // Who has not heard of the new epoch knows the one before: all rank alike as long as that is honoured.
            Some(group) => HomeKey::in_group(group.badge.oldest(), digest),
            None => HomeKey::of(digest),
        }
    }
}
