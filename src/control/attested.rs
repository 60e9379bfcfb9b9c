//! What the control door is asked about what attestors signed.
//!
//! Knows: HTTP and the values of `api`. Does not know: who may take what back.

use axum::extract::State;
use axum::{Extension, Json};

use super::api::{AttestationView, Problem, TakeBack};
use super::server::Desk;
use super::verbs::{Answer, AnyDoor, BODY_LEN_MAX, By, administrators_only, read};

#[utoipa::path(
    get,
    path = "/v1/attestations",
    tag = "group",
    responses(
        (status = 200, description = "What attestors of the group signed, as far as the node knows", body = Vec<AttestationView>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn attestations<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
) -> Answer<Vec<AttestationView>> {
    administrators_only(by)?;
    Ok(Json(door.desk.attestations().await?))
}

#[utoipa::path(
    post,
    path = "/v1/attestations/void",
    tag = "group",
    request_body = TakeBack,
    responses(
        (status = 200, description = "What was taken back, as it is known now", body = Vec<AttestationView>),
        (status = "default", description = "Refused, and why; nothing has changed", body = Problem),
    ),
)]
pub(super) async fn take_back<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<Vec<AttestationView>> {
    administrators_only(by)?;
    Ok(Json(door.desk.take_back(read(body, BODY_LEN_MAX).await?).await?))
}
