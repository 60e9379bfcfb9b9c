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
    /// The group in which this file is fetched when its swarm begins: that of those who are known to want it, else that with
    /// the most members here.
    pub(super) fn fetched_in(&self, core: &Core) -> Option<GroupId> {
        self.together_in.filter(|group| core.belongs_to(*group)).or_else(|| core.likely_group())
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
        if here == there || is_met || (both_could && here < there) {
            return;
        }
        self.together_in = Some(there);
        self.leave_swarm(core);
        self.tend_swarm(core);
    }
}
