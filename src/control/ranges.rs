//! Requests about parts of a file: what is there, what is to come first.
//!
//! Knows: paths and bodies. Does not know: when parts can be had; the node says that.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::api::{Code, FileRanges, JobId, JobView, Position, Problem, ProblemKind, RequestRanges};
use super::server::{Desk, Door};
use super::verbs::{Answer, AnyDoor, BODY_LEN_MAX, By, Refusal, parse_place, read, visible};
use crate::driver::JobCommand;

/// The ranges of a file, if there is such a file.
async fn of_file<D: Desk>(door: &Door<D>, id: JobId, file: u16) -> Answer<FileRanges> {
    let missing = || {
        let text = format!("there is no file {file} in the job: they are counted from 0");
        Refusal::from(Problem::new(ProblemKind::NotFound, text).with_code(Code::FileNotAvailable))
    };
    door.desk.ranges(id, file).await?.map(Json).ok_or_else(missing)
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/files/{index}/ranges",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), ("index" = u16, Path, description = "Its place in the job, from 0")),
    responses(
        (status = 200, description = "What is there of it and what is asked for", body = FileRanges),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn filled<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path((id, index)): Path<(String, String)>,
) -> Answer<FileRanges> {
    let file = parse_place(&index)?;
    let JobView { id, .. } = visible(&door, &id, by).await?;
    of_file(&door, id, file).await
}

#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/files/{index}/ranges",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), ("index" = u16, Path, description = "Its place in the job, from 0")),
    request_body = RequestRanges,
    responses(
        (status = 200, description = "Taken, and durable; what is there and what is asked for then", body = FileRanges),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn request<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path((id, index)): Path<(String, String)>,
    body: Body,
) -> Answer<FileRanges> {
    let RequestRanges { ranges } = read(body, BODY_LEN_MAX).await?;
    let file = parse_place(&index)?;
    let JobView { id, .. } = visible(&door, &id, by).await?;
    door.desk.command(id, JobCommand::RequestRanges { file, ranges }, by).await?;
    of_file(&door, id, file).await
}

#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/files/{index}/position",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), ("index" = u16, Path, description = "Its place in the job, from 0")),
    request_body = Position,
    responses(
        (status = 200, description = "Taken, and durable; what is there and what is asked for then", body = FileRanges),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn seek<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path((id, index)): Path<(String, String)>,
    body: Body,
) -> Answer<FileRanges> {
    let Position { offset } = read(body, BODY_LEN_MAX).await?;
    let file = parse_place(&index)?;
    let JobView { id, .. } = visible(&door, &id, by).await?;
    door.desk.command(id, JobCommand::SetPosition { file, offset }, by).await?;
    of_file(&door, id, file).await
}
