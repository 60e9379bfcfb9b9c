//! What passes the control door about this node's group.
//!
//! Knows: the shapes of their JSON. Does not know: who may ask.

use peer_proto::group::{DenyList, Membership, Taken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::driver::Enrolled;

/// Something from whoever runs the group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupOffer {
    /// An invitation, a deny list or a ticket: a line of text.
    pub text: String,
    /// Whether the node may leave another group for this one.
    #[serde(default)]
    pub replace: bool,
}

/// What a ticket should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketOrder {
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

/// Which group this node is in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupShown {
    /// The node's identity: what a token is made for.
    pub peer_id: String,
    /// Its membership, if it is in a group.
    pub group: Option<GroupState>,
}

/// A membership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupState {
    /// The group.
    pub id: String,
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

/// What became of an offer, and the membership after it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct GroupTaken {
    /// What became of it.
    pub taken: GroupTakenAs,
    /// The membership after it.
    pub shown: GroupShown,
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
    /// What people have to be told of it, if there is anything: that the node is no member now, or that its token should have
    /// been renewed, and why it was not.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let group = self.group.as_ref()?;
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
        let group = enrolled.membership.as_ref().map(|membership| state(membership, &enrolled));
        Self { peer_id: enrolled.peer.to_string(), group }
    }
}

fn state(membership: &Membership, enrolled: &Enrolled) -> GroupState {
    let wish = membership.token.wish();
    let reason = enrolled.standing().and_then(Result::err).map(|fault| fault.to_string());
    let denied = membership.denied.as_ref();
    GroupState {
        id: membership.group().to_string(),
        is_member: reason.is_none(),
        reason,
        holder: wish.holder.to_string(),
        roles: wish.roles.names().into_iter().map(str::to_owned).collect(),
        not_before_unix_s: wish.not_before,
        not_after_unix_s: wish.not_after,
        spent_percent: membership.spent_percent(enrolled.now),
        is_late: enrolled.is_late(),
        renewal: None,
        serial: wish.serial,
        epoch: membership.epoch,
        denied_version: denied.map(DenyList::version),
        denied: denied.iter().flat_map(|list| list.holders()).map(ToString::to_string).collect(),
    }
}
