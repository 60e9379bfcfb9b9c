//! What the control door is asked about peers.
//!
//! Knows: HTTP and the values of `api`. Does not know: how peers are found.

use axum::extract::State;
use axum::{Extension, Json};

use super::api::{AddPeer, PeerRow, PeersAsked, PeersForgotten, Problem};
use super::server::Desk;
use super::verbs::{Answer, AnyDoor, BODY_LEN_MAX, By, administrators_only, read};

#[utoipa::path(
    get,
    path = "/v1/peers",
    tag = "peers",
    responses(
        (status = 200, description = "The peers it knows", body = Vec<PeerRow>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn known<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<Vec<PeerRow>> {
    administrators_only(by)?;
    Ok(Json(door.desk.peers().await?))
}

#[utoipa::path(
    post,
    path = "/v1/peers",
    tag = "peers",
    request_body = AddPeer,
    responses(
        (status = 200, description = "It is tried from now on", body = ()),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn add<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<()> {
    administrators_only(by)?;
    let AddPeer { address } = read(body, BODY_LEN_MAX).await?;
    door.desk.add_peer(address).await?;
    Ok(Json(()))
}

#[utoipa::path(
    delete,
    path = "/v1/peers",
    tag = "peers",
    responses(
        (status = 200, description = "How many were forgotten; sessions, bans and configured peers stay", body = PeersForgotten),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn clear<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<PeersForgotten> {
    administrators_only(by)?;
    Ok(Json(PeersForgotten { peers: door.desk.forget_peers().await? }))
}

#[utoipa::path(
    post,
    path = "/v1/peers/discovery",
    tag = "peers",
    responses(
        (status = 200, description = "Whether the network is asked now; who answers shows up in the list", body = PeersAsked),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn discover<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<PeersAsked> {
    administrators_only(by)?;
    Ok(Json(PeersAsked { asked: door.desk.discover_peers().await? }))
}
