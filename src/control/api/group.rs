//! What passes the control door about this node's groups.
//!
//! Knows: the shapes of their JSON. Does not know: who may ask.

use peer_proto::group::{DenyList, Membership, Offer, Taken, Ticket};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::driver::Enrolled;

/// Something from whoever runs the group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupOffer {
    /// An invitation, a deny list or a ticket: a line of text.
    pub text: String,
    /// Whether this group takes the place of the only other one; without it, it is one more.
    #[serde(default)]
    pub replace: bool,
}

/// What a ticket should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketOrder {
    /// Which group it leads to, by its id, the beginning of it, or its name. Default the only one in which the node is an enroller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many machines it may make members, 1 to 1 000. Default 1.
    #[serde(default = "once")]
    pub uses: u16,
    /// Seconds it lives, 60 to 86 400. Default 86 400.
    #[serde(default = "a_day")]
    pub life_s: u64,
    /// What it gives: `fetch`, or `fetch` and `serve`. Default both.
    #[serde(default = "usual_roles")]
    pub roles: Vec<String>,
    /// Where those who have it reach the node, each `ip:port`; at most 8. Default where it listens.
    #[serde(default)]
    pub addresses: Vec<String>,
}

const fn once() -> u16 {
    1
}

const fn a_day() -> u64 {
    24 * 60 * 60
}

fn usual_roles() -> Vec<String> {
    ["fetch", "serve"].map(str::to_owned).to_vec()
}

/// A ticket that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketMade {
    /// Its line of text: a secret, for `POST /v1/group` on the machines it is for.
    pub ticket: String,
    /// Until when it can be redeemed, seconds since 1970.
    pub until_unix_s: u64,
    /// How many machines it may make members.
    pub uses: u16,
}

/// Which group is meant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhichGroup {
    /// Its id, the beginning of it, or its name. Default the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Which groups this node is in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupShown {
    /// The node's identity: what a token is made for.
    pub peer_id: String,
    /// Its membership, if it is in a group; of several the first of `groups`.
    pub group: Option<GroupState>,
    /// All its memberships, in the order of the groups' ids.
    #[serde(default)]
    pub groups: Vec<GroupState>,
}

/// A membership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupState {
    /// The group.
    pub id: String,
    /// What its owner calls it, if that came with an invitation. Another group may be called the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it makes the node a member now.
    pub is_member: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Kept over renewals.
    pub holder: String,
    /// What the node may do among members.
    pub roles: Vec<String>,
    /// When the token began to count, seconds since 1970.
    pub not_before_unix_s: u64,
    /// Until when it counts.
    pub not_after_unix_s: u64,
    /// How much of its life is over, in hundredths.
    pub spent_percent: u64,
    /// Whether a newer one should be here by now: from 75 hundredths on.
    pub is_late: bool,
    /// Why there is no newer one though half of its life is over, as far as the node knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<String>,
    /// The token's number: a newer one has a higher one.
    pub serial: u64,
    /// The group's epoch, as this node knows it.
    pub epoch: u32,
    /// The version of the deny list, if anybody ever was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_version: Option<u64>,
    /// Holders that are no members any more.
    pub denied: Vec<String>,
    /// Members that are connected now; absent if the node does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<u32>,
}

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupTakenAs {
    /// The node is a member now.
    Joined,
    /// It was one before, and has a newer token, epoch or deny list.
    Renewed,
    /// It knows a newer deny list.
    Denied,
    /// All of it was there already.
    Known,
    /// The deny list is older than the one that is there, which stays.
    Older,
}

/// What became of an offer, and the memberships after it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupTaken {
    /// What became of it.
    pub taken: GroupTakenAs,
    /// The id of its group.
    #[serde(default)]
    pub group: String,
    /// The memberships after it.
    pub shown: GroupShown,
}

impl GroupTaken {
    /// What became of an offer that was in order, and the memberships after it.
    #[must_use]
    pub fn of(text: &str, taken: Taken, shown: GroupShown) -> Self {
        let ticket = || Ticket::parse(text).map(|ticket| ticket.group());
        let group = Offer::parse(text).map(|offer| offer.group()).or_else(|_| ticket());
        Self { taken: taken.into(), group: group.map(|id| id.to_string()).unwrap_or_default(), shown }
    }

    /// The membership that it is about, if the node is in that group.
    #[must_use]
    pub fn state(&self) -> Option<&GroupState> {
        self.shown.groups.iter().find(|group| group.id == self.group)
    }
}

impl From<Taken> for GroupTakenAs {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Joined => Self::Joined,
            Taken::Renewed => Self::Renewed,
            Taken::Denied { .. } => Self::Denied,
            Taken::Known => Self::Known,
            Taken::Older { .. } => Self::Older,
        }
    }
}

impl GroupShown {
    /// These memberships of this node.
    #[must_use]
    pub fn new(peer_id: String, groups: Vec<GroupState>) -> Self {
        Self { peer_id, group: groups.first().cloned(), groups }
    }

    /// What people have to be told of them, if there is anything: that the node is no member now, or that its token should have
    /// been renewed, and why it was not.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let named = |group: &GroupState| {
            let words = group.complaint()?;
            Some(if self.groups.len() > 1 { format!("{}: {words}", group.id) } else { words })
        };
        let all: Vec<String> = self.groups.iter().filter_map(named).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl GroupState {
    fn complaint(&self) -> Option<String> {
        let group = self;
        let why = group.renewal.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        match &group.reason {
            Some(reason) => Some(format!("no member now, but a stranger: it has {reason}{why}")),
            None if group.is_late => {
                let spent = group.spent_percent;
                Some(format!("{spent} % of its token's life are over, and it was not renewed{why}"))
            }
            None => None,
        }
    }
}

impl From<Enrolled> for GroupShown {
    fn from(enrolled: Enrolled) -> Self {
        let groups = enrolled.memberships.iter().map(|membership| state(membership, &enrolled));
        Self::new(enrolled.peer.to_string(), groups.collect())
    }
}

fn state(membership: &Membership, enrolled: &Enrolled) -> GroupState {
    let wish = membership.token.wish();
    let reason = enrolled.standing(membership).err().map(|fault| fault.to_string());
    let denied = membership.denied.as_ref();
    GroupState {
        id: membership.group().to_string(),
        name: membership.name.as_ref().map(|name| name.text().to_owned()),
        is_member: reason.is_none(),
        reason,
        holder: wish.holder.to_string(),
        roles: wish.roles.names().into_iter().map(str::to_owned).collect(),
        not_before_unix_s: wish.not_before,
        not_after_unix_s: wish.not_after,
        spent_percent: membership.spent_percent(enrolled.now),
        is_late: enrolled.is_late(membership),
        renewal: None,
        serial: wish.serial,
        epoch: membership.epoch,
        denied_version: denied.map(DenyList::version),
        denied: denied.iter().flat_map(|list| list.holders()).map(ToString::to_string).collect(),
        connected: None,
    }
}
