//! What the control door is asked about this node's groups.
//!
//! Knows: HTTP and the values of `api`. Does not know: what is taken and what is not.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use peer_proto::limits::OFFER_TEXT_MAX;

use super::api::{
    GroupOffer, GroupShown, GroupTaken, Problem, ProblemKind, TicketMade, TicketOrder, WhichGroup,
};
use super::server::Desk;
use super::verbs::{Answer, AnyDoor, By, administrators_only, read, refusal};

/// Bytes of an order for a ticket.
const ORDER_LEN_MAX: usize = 4_096;

/// Bytes of a request that brings a deny list.
const OFFER_LEN_MAX: usize = OFFER_TEXT_MAX + 1_024;

#[utoipa::path(
    get,
    path = "/v1/group",
    tag = "group",
    responses(
        (status = 200, description = "Which groups the node is in", body = GroupShown),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn group<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<GroupShown> {
    administrators_only(by)?;
    Ok(Json(door.desk.group().await?))
}

#[utoipa::path(
    post,
    path = "/v1/group",
    tag = "group",
    request_body = GroupOffer,
    responses(
        (status = 200, description = "What became of it, durable", body = GroupTaken),
        (status = "default", description = "Refused, and why; nothing has changed", body = Problem),
    ),
)]
pub(super) async fn offer<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<GroupTaken> {
    administrators_only(by)?;
    Ok(Json(door.desk.offer_group(read(body, OFFER_LEN_MAX).await?).await?))
}

#[utoipa::path(
    delete,
    path = "/v1/group",
    tag = "group",
    params(WhichGroup),
    responses(
        (status = 200, description = "The node is not in that group any more", body = GroupShown),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn leave<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    which: Result<Query<WhichGroup>, QueryRejection>,
) -> Answer<GroupShown> {
    administrators_only(by)?;
    let Query(which) = which.map_err(|error| refusal(ProblemKind::Usage, error.body_text()))?;
    door.desk.leave_group(which).await?;
    Ok(Json(door.desk.group().await?))
}

#[utoipa::path(
    post,
    path = "/v1/group/tickets",
    tag = "group",
    request_body = TicketOrder,
    responses(
        (status = 200, description = "A ticket; what is needed to redeem it is durable", body = TicketMade),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn ticket<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<TicketMade> {
    administrators_only(by)?;
    Ok(Json(door.desk.make_ticket(read(body, ORDER_LEN_MAX).await?).await?))
}
