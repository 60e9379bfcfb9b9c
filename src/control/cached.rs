//! What the control door is asked about the cache.
//!
//! Knows: HTTP and the values of `api`. Does not know: what a record is made of, who may ask (`verbs` does).

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use utoipa::IntoParams;

use super::api::{
    CacheChange, CacheState, Code, Problem, ProblemKind, RecordRow, RecordVerified, RecordsRemoved,
};
use super::server::Desk;
use super::verbs::{Answer, AnyDoor, BODY_LEN_MAX, By, administrators_only, read};
use crate::record::RecordId;

/// Which records.
#[derive(serde::Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichRecords {
    /// Those that were seen under this URL.
    url: Option<String>,
    /// All of them: needed to remove all, so that nobody does by leaving a URL out.
    #[serde(default)]
    #[param(example = true, required = false)]
    all: bool,
}

fn record(text: &str) -> Result<RecordId, Problem> {
    let id = text.parse::<crate::job::JobId>().map(RecordId::from);
    id.map_err(|error| Problem::new(ProblemKind::Usage, format!("{text:?}: {error}")))
}

#[utoipa::path(
    get,
    path = "/v1/records",
    tag = "cache",
    params(WhichRecords),
    responses(
        (status = 200, description = "The records of its cache", body = Vec<RecordRow>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn records<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Query(which): Query<WhichRecords>,
) -> Answer<Vec<RecordRow>> {
    administrators_only(by)?;
    Ok(Json(door.desk.records(which.url).await?))
}

#[utoipa::path(
    get,
    path = "/v1/records/{id}",
    tag = "cache",
    params(("id" = String, Path, description = "The record")),
    responses(
        (status = 200, description = "The record", body = RecordRow),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn record_shown<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<RecordRow> {
    administrators_only(by)?;
    Ok(Json(door.desk.record(record(&id)?).await?))
}

#[utoipa::path(
    delete,
    path = "/v1/records/{id}",
    tag = "cache",
    params(("id" = String, Path, description = "The record")),
    responses(
        (status = 200, description = "It is gone", body = RecordsRemoved),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn remove_record<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<RecordsRemoved> {
    administrators_only(by)?;
    door.desk.remove_record(record(&id)?).await?;
    Ok(Json(RecordsRemoved { records: 1, busy: 0 }))
}

#[utoipa::path(
    delete,
    path = "/v1/records",
    tag = "cache",
    params(WhichRecords),
    responses(
        (status = 200, description = "How many went, and how many were in use and stayed", body = RecordsRemoved),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn remove_records<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Query(which): Query<WhichRecords>,
) -> Answer<RecordsRemoved> {
    administrators_only(by)?;
    match which {
        WhichRecords { url: Some(url), all: false } => match door.desk.forget_url(url.clone()).await? {
            0 => {
                let text = format!(
                    "nothing in the cache was seen under {url}: `nearbits cache list` shows what is there"
                );
                Err(Problem::new(ProblemKind::NotFound, text).with_code(Code::NotFound).into())
            }
            records => Ok(Json(RecordsRemoved { records, busy: 0 })),
        },
        WhichRecords { url: None, all: true } => Ok(Json(door.desk.clear_cache().await?)),
        _ => Err(Problem::new(ProblemKind::Usage, "say which records: url=URL, or all=true").into()),
    }
}

#[utoipa::path(
    post,
    path = "/v1/records/{id}/verify",
    tag = "cache",
    params(("id" = String, Path, description = "The record")),
    responses(
        (status = 200, description = "What was found; it was read to the end", body = RecordVerified),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn verify_record<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<RecordVerified> {
    administrators_only(by)?;
    Ok(Json(door.desk.verify_record(record(&id)?).await?))
}

#[utoipa::path(
    get,
    path = "/v1/cache",
    tag = "cache",
    responses(
        (status = 200, description = "Its limits, and what it takes", body = CacheState),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn cache<D: Desk>(State(door): AnyDoor<D>, Extension(by): By) -> Answer<CacheState> {
    administrators_only(by)?;
    Ok(Json(door.desk.cache_state().await?))
}

#[utoipa::path(
    patch,
    path = "/v1/cache",
    tag = "cache",
    request_body = CacheChange,
    responses(
        (status = 200, description = "Its limits, durable; what was too much is gone", body = CacheState),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn limit_cache<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: axum::body::Body,
) -> Answer<CacheState> {
    administrators_only(by)?;
    door.desk.limit_cache(read(body, BODY_LEN_MAX).await?).await?;
    Ok(Json(door.desk.cache_state().await?))
}
