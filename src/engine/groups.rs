//! The groups this node is a member of, one beside the other.
//!
//! Knows: that each is judged by its own key, epoch and deny list, and by no other's. Does not know: which peers are members
//! (`group`), what is said in which (`flood`, `handing`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peer_proto::group::{Badges, GroupId, HolderId};
use peer_proto::limits::GROUPS_MAX;

use super::group::GroupConfig;

/// An attestor: a holder in the group that signed his token. Groups name holders as they like, so a holder's id alone says
/// nothing in another group.
pub type Attestor = (GroupId, HolderId);

/// What makes this node a member of each of its groups, in the order of their ids; at most eight.
#[derive(Clone, Debug, Default)]
pub struct Groups(BTreeMap<GroupId, GroupConfig>);

impl From<Option<GroupConfig>> for Groups {
    fn from(group: Option<GroupConfig>) -> Self {
        group.into_iter().collect()
    }
}

impl FromIterator<GroupConfig> for Groups {
    /// Of more than eight the first ones count.
    fn from_iter<I: IntoIterator<Item = GroupConfig>>(groups: I) -> Self {
        let mut all: BTreeMap<GroupId, GroupConfig> =
            groups.into_iter().map(|group| (group.id(), group)).collect();
        while all.len() > GROUPS_MAX {
            all.pop_last();
        }
        Self(all)
    }
}

impl Groups {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&GroupConfig> {
        self.0.get(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &GroupConfig)> + Clone {
        self.0.iter().map(|(id, group)| (*id, group))
    }

    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<GroupId> {
        self.0.keys().copied().collect()
    }

    /// What this node shows in them.
    pub(super) fn badges(&self) -> Badges {
        self.0.values().map(|group| Arc::clone(&group.badge)).collect()
    }
}
