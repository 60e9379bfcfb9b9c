//! In which of this node's groups a file is fetched together: in one at a time.
//!
//! Knows: the rule by which those who want one file come together in one group. Does not know: what they say to each other
//! there (`flood`), who is a member (`group`).
//!
//! Ranks and homes are keyed with a group's secret, and records name a group: a file is in one swarm, and that in one group.
//! Members of other groups are strangers in it, who are told and taken from each by itself: nothing that was said in a group
//! reaches another one.

use peer_proto::group::GroupId;
use peer_proto::peer::PeerId;

use super::core::Core;
use super::file::JobFile;

impl JobFile {
    /// Whether what is said in a group may be heard and said for this file: its job may be kept to another one.
    pub(super) fn is_for(&self, group: GroupId) -> bool {
        self.wish.group.is_none_or(|only| only.0 == group)
    }

    /// Whether its job is kept to a group of which this node is no member now: then nobody is asked.
    pub(super) fn lacks_its_group(&self, core: &Core) -> bool {
        self.wish.group.is_some_and(|only| !core.belongs_to(only.0))
    }

    /// Whether this node is a member of a group that counts for this file.
    pub(super) fn is_in_a_group(&self, core: &Core) -> bool {
        core.live_groups().any(|(group, _)| self.is_for(group))
    }

    /// Groups in which this node says as an attestor what it reads of this file.
    pub(super) fn attests_in<'a>(&'a self, core: &'a Core) -> impl Iterator<Item = GroupId> + 'a {
        core.attests_in().filter(|group| self.is_for(*group))
    }

    /// Whose token is over by now, or was of another group from the beginning, is a source no more where one group is kept to.
    pub(super) fn keep_to_group(&mut self, core: &mut Core) {
        let in_group = self.swarm.as_ref().and_then(|swarm| swarm.group);
        if self.swarm.is_some() && self.wish.group.is_some_and(|only| in_group != Some(only.0)) {
            self.leave_swarm(core);
        }
        if self.wish.group.is_some() {
            self.drop_who_may_not_be_asked(core);
        }
    }

    /// The group in which this file is fetched when its swarm begins: that which its job is kept to, if it is; that of those who are known to want it, else that with
    /// the most members here.
    pub(super) fn fetched_in(&self, core: &Core) -> Option<GroupId> {
        match self.wish.group {
            Some(only) => Some(only.0).filter(|group| core.belongs_to(*group)),
            None => self.together_in.filter(|group| core.belongs_to(*group)).or_else(|| core.likely_group()),
        }
    }

    pub(super) fn is_of_len(&self, len: u64) -> bool {
        self.swarm.as_ref().is_some_and(|swarm| swarm.id.len == len)
    }

    /// Somebody wants the file too, and fetches it in another group than this node: as long as nobody is met in this node's, it
    /// goes over to that. Of two nodes that could both go over to the other's it is the one in the later group.
    pub(super) fn go_over_to(&mut self, peer: PeerId, group: Option<GroupId>, core: &mut Core) {
        let Some(swarm) = self.swarm.as_ref().filter(|swarm| !swarm.by_url) else { return };
        let (Some(here), Some(there)) = (swarm.group, group) else { return };
        let has_met = swarm.circle.as_ref().is_some_and(|circle| circle.has_neighbours());
        let is_met = has_met && core.belongs_to(here);
        let both_could = core.is_member_of(peer, here);
        if here == there || is_met || (both_could && here < there) || !self.is_for(there) {
            return;
        }
        self.together_in = Some(there);
        self.leave_swarm(core);
        self.tend_swarm(core);
    }
}
