//! What each request means.
//!
//! Knows: paths, how much a body may have, who may ask for what (SEC-1, JOB-9). Does not know: who is let in
//! (`server`), what is done ([`Desk`]).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use super::api::{
    Caller, Code, Command, CommandDone, Decision, Explanation, FileView, FlagsShown, JobChange, JobId,
    JobSpec, JobView, ListJobs, Notice, PeerFlags, PolicyShown, Problem, ProblemKind, Since, Status, Submit,
    Submitted, Verdict, explain,
};
use super::server::{Desk, Door};
use super::{attested, cached, events, follow, glob, group, openapi, peers, ranges};
use crate::driver::{Done, JobCommand};

/// Bytes of a request's body.
pub(super) const BODY_LEN_MAX: usize = 64 * 1024;
/// The same where a body may hold files: 200 of them, each with a long URL and mirrors.
const FILES_LEN_MAX: usize = 4 * 1024 * 1024;
/// The same of an administrator, who may hand in 65 536 files.
const MANY_FILES_LEN_MAX: usize = 64 * 1024 * 1024;

pub(super) fn router<D: Desk>(door: Arc<Door<D>>) -> Router {
    Router::new()
        .route("/v1/status", get(status::<D>))
        .route("/v1/jobs", get(jobs::<D>).post(submit::<D>))
        .route("/v1/jobs/{id}", get(job::<D>).patch(change::<D>))
        .route("/v1/jobs/{id}/spec", get(spec::<D>))
        .route("/v1/jobs/{id}/files", get(files::<D>))
        .route("/v1/jobs/{id}/files/{index}/validation", post(validate::<D>))
        .route("/v1/jobs/{id}/files/{index}/ranges", get(ranges::filled::<D>).post(ranges::request::<D>))
        .route("/v1/jobs/{id}/files/{index}/position", post(ranges::seek::<D>))
        .route("/v1/jobs/{id}/command", post(command::<D>))
        .route("/v1/jobs/{id}/events", get(job_events::<D>))
        .route("/v1/jobs/{id}/why", get(why::<D>))
        .route("/v1/events", get(all_events::<D>))
        .route("/v1/policy", get(policy::<D>))
        .route("/v1/explain/{code}", get(explained))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/peers", get(peers::known::<D>).post(peers::add::<D>).delete(peers::clear::<D>))
        .route("/v1/peers/added", delete(peers::remove::<D>))
        .route("/v1/peers/discovery", post(peers::discover::<D>))
        .route("/v1/records", get(cached::records::<D>).delete(cached::remove_records::<D>))
        .route("/v1/records/{id}", get(cached::record_shown::<D>).delete(cached::remove_record::<D>))
        .route("/v1/records/{id}/verify", post(cached::verify_record::<D>))
        .route("/v1/cache", get(cached::cache::<D>).patch(cached::limit_cache::<D>))
        .route("/v1/attestations", get(attested::attestations::<D>))
        .route("/v1/attestations/void", post(attested::take_back::<D>))
        .route("/v1/group", get(group::group::<D>).post(group::offer::<D>).delete(group::leave::<D>))
        .route("/v1/group/tickets", post(group::ticket::<D>))
        .route("/v1/flags", get(flags::<D>).put(set_flags::<D>))
        .fallback(|| async { refusal(ProblemKind::NotFound, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            refusal(ProblemKind::Usage, "this path does not know this method")
        })
        .layer(middleware::from_fn(json_only))
        .with_state(door)
}

/// A [`Problem`] as an answer.
pub(super) struct Refusal(Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

pub(super) fn refusal(kind: ProblemKind, text: impl Into<String>) -> Refusal {
    Refusal(Problem::new(kind, text))
}

pub(super) type Answer<T> = Result<Json<T>, Refusal>;
pub(super) type AnyDoor<D> = State<Arc<Door<D>>>;
pub(super) type By = Extension<Caller>;

/// A web page can make a browser send forms, not JSON: verbs that change something ask for JSON (LOCAL-6).
async fn json_only(request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe();
    if changes && !is_json(request.headers()) {
        let text = "a request that changes something needs Content-Type: application/json";
        return refusal(ProblemKind::Usage, text).into_response();
    }
    next.run(request).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a body of at most so many bytes.
pub(super) async fn read<T: DeserializeOwned>(body: Body, len_max: usize) -> Result<T, Refusal> {
    let whole: Result<Bytes, _> = Limited::new(body, len_max).collect().await.map(|whole| whole.to_bytes());
    let bytes = whole.map_err(|error| {
        refusal(ProblemKind::Usage, format!("the request's body, at most {len_max} bytes: {error}"))
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| refusal(ProblemKind::Usage, format!("the request's body: {error}")))
}

/// How long a body with files may be.
const fn files_len_max(by: Caller) -> usize {
    if by.is_administrator { MANY_FILES_LEN_MAX } else { FILES_LEN_MAX }
}

fn parse_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|error| refusal(ProblemKind::Usage, format!("{text:?}: {error}")))
}

/// The place of a file in its job.
pub(super) fn parse_place(text: &str) -> Result<u16, Refusal> {
    text.parse().map_err(|_| {
        refusal(ProblemKind::Usage, format!("{text:?} is no place of a file: they are counted from 0"))
    })
}

fn no_such_job(id: JobId) -> Refusal {
    let text = format!("there is no job {id}: `nearbits job list` shows all");
    Refusal(Problem::new(ProblemKind::NotFound, text).with_code(Code::NotFound))
}

fn denied(text: &str) -> Refusal {
    Refusal(Problem::new(ProblemKind::Denied, text).with_code(Code::AccessDenied))
}

/// What is not a user's own business.
pub(super) fn administrators_only(by: Caller) -> Result<(), Refusal> {
    if by.is_administrator { Ok(()) } else { Err(denied("only an administrator may ask for this")) }
}

/// A job that the caller may see (SEC-1, JOB-9).
pub(super) async fn visible<D: Desk>(door: &Door<D>, id: &str, by: Caller) -> Result<JobView, Refusal> {
    let id = parse_id(id)?;
    let view = door.desk.job(id).await?.ok_or_else(|| no_such_job(id))?;
    if by.may_manage(view.owner) {
        Ok(view)
    } else {
        Err(denied("the job belongs to another user: ask its owner or an administrator"))
    }
}

#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "node",
    responses(
        (status = 200, description = "The node as it stands", body = Status),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn status<D: Desk>(State(door): AnyDoor<D>) -> Answer<Status> {
    Ok(Json(door.desk.status().await?))
}

#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(ListJobs),
    responses(
        (status = 200, description = "The jobs", body = Vec<JobView>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn jobs<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    wanted: Result<Query<ListJobs>, QueryRejection>,
) -> Answer<Vec<JobView>> {
    let Query(wanted) = wanted.map_err(|error| refusal(ProblemKind::Usage, error.body_text()))?;
    if wanted.all && !by.is_administrator {
        return Err(denied("only an administrator may see the jobs of all users"));
    }
    let mut views = door.desk.jobs().await?;
    views.retain(|view| {
        (wanted.all || view.owner == by.uid)
            && wanted.state.is_none_or(|state| view.state == state)
            && wanted.name.as_ref().is_none_or(|name| glob::matches(name, &view.name))
    });
    Ok(Json(views))
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn job<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<JobView> {
    Ok(Json(visible(&door, &id, by).await?))
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/spec",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "What it is made of; header lines for its owner only", body = JobSpec),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn spec<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<JobSpec> {
    let JobView { id, owner, .. } = visible(&door, &id, by).await?;
    let spec = door.desk.spec(id).await?.ok_or_else(|| no_such_job(id))?;
    Ok(Json(spec.shown(owner == by.uid)))
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/files",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "Its files, in their order", body = Vec<FileView>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn files<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<Vec<FileView>> {
    let JobView { id, owner, .. } = visible(&door, &id, by).await?;
    let mut files = door.desk.files(id).await?.ok_or_else(|| no_such_job(id))?;
    if by.uid != owner {
        // The header block is its owner's alone (FILE-19).
        files.iter_mut().for_each(|file| file.headers = Vec::new());
    }
    Ok(Json(files))
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/why",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "Why every range came from where it came, oldest first", body = Vec<Decision>),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn why<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Answer<Vec<Decision>> {
    let JobView { id, .. } = visible(&door, &id, by).await?;
    door.desk.why(id).await?.map(Json).ok_or_else(|| no_such_job(id))
}

#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    request_body = Submit,
    responses(
        (status = 200, description = "The job, durable", body = Submitted),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn submit<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: Body,
) -> Answer<Submitted> {
    let Submit { spec, adopt, start } = read(body, files_len_max(by)).await?;
    let _one_at_a_time = door.submitting.lock().await;
    if door.stop.is_cancelled() {
        return Err(refusal(ProblemKind::Busy, "the node is leaving: try again"));
    }
    let known = if adopt { door.desk.find(&spec, by).await? } else { None };
    let submitted = match known {
        Some(id) => {
            adjust(&door, id, &spec, by).await?;
            Submitted { id, adopted: true }
        }
        None => Submitted { id: door.desk.submit(spec, by, start).await?, adopted: false },
    };
    door.remember(submitted.id);
    Ok(Json(submitted))
}

/// A job that is taken up again does what is wished now: its limits, its priority, its times, its rule for a taken name.
async fn adjust<D: Desk>(door: &Door<D>, id: JobId, wanted: &JobSpec, by: Caller) -> Result<(), Refusal> {
    let known = door.desk.spec(id).await?.ok_or_else(|| no_such_job(id))?;
    if let Some(change) = JobChange::between(&known, wanted) {
        door.desk.command(id, JobCommand::Change(Box::new(change)), by).await?;
    }
    Ok(())
}

#[utoipa::path(
    patch,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    request_body = JobChange,
    responses(
        (status = 200, description = "The job after all of the change", body = JobView),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn change<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
    body: Body,
) -> Answer<JobView> {
    let change: JobChange = read(body, files_len_max(by)).await?;
    let before = visible(&door, &id, by).await?;
    door.desk.command(before.id, JobCommand::Change(Box::new(change)), by).await?;
    Ok(Json(door.desk.job(before.id).await?.unwrap_or(before)))
}

#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/files/{index}/validation",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), ("index" = u16, Path, description = "Its place in the job, from 0")),
    request_body = Verdict,
    responses(
        (status = 200, description = "The file as it is then", body = FileView),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn validate<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path((id, index)): Path<(String, String)>,
    body: Body,
) -> Answer<FileView> {
    let Verdict { valid } = read(body, BODY_LEN_MAX).await?;
    let file = parse_place(&index)?;
    let JobView { id, owner, .. } = visible(&door, &id, by).await?;
    door.desk.command(id, JobCommand::Validate { file, valid }, by).await?;
    let files = door.desk.files(id).await?.unwrap_or_default();
    let mut view = files.into_iter().find(|view| view.index == file).ok_or_else(|| no_such_job(id))?;
    if by.uid != owner {
        view.headers = Vec::new();
    }
    Ok(Json(view))
}

#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/command",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    request_body = Command,
    responses(
        (status = 200, description = "Done, and durable", body = CommandDone),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn command<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
    body: Body,
) -> Answer<CommandDone> {
    let Command { command } = read(body, BODY_LEN_MAX).await?;
    let before = visible(&door, &id, by).await?;
    let done = door.desk.command(before.id, command.into(), by).await?;
    let (partial, job) = (done == Done::InPart, door.desk.job(before.id).await?.unwrap_or(before));
    let code = job.outcome.or_else(|| partial.then_some(Code::PartialComplete));
    Ok(Json(CommandDone { job, partial, code }))
}

#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "The job now and at every change, as server-sent events; one named `end` is the last", body = JobView, content_type = "text/event-stream"),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn job_events<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let changes = door.desk.changes();
    let first = visible(&door, &id, by).await?;
    Ok(follow::one_job(door, first, by, changes))
}

/// A browser that comes back names the last event it had in a header, beside the address it began with.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "jobs",
    params(Since, ("last-event-id" = Option<String>, Header, description = "The last event that was seen")),
    responses(
        (status = 200, description = "What happens to the jobs the caller may see, as server-sent events with ids", body = Notice, content_type = "text/event-stream"),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn all_events<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    wanted: Result<Query<Since>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(Since { since }) = wanted.map_err(|error| refusal(ProblemKind::Usage, error.body_text()))?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    Ok(events::all_jobs(door, by, last.or(since.as_deref())))
}

#[utoipa::path(
    get,
    path = "/v1/policy",
    tag = "node",
    responses(
        (status = 200, description = "What holds, and who said so", body = PolicyShown),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn policy<D: Desk>(State(door): AnyDoor<D>) -> Answer<PolicyShown> {
    Ok(Json(door.desk.policy().await?))
}

#[utoipa::path(
    get,
    path = "/v1/explain/{code}",
    tag = "node",
    params(("code" = String, Path, description = "Its name or its number", example = "BG_E_NOT_FOUND")),
    responses(
        (status = 200, description = "What it means and what to do", body = Explanation),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn explained(Path(code): Path<String>) -> Answer<Explanation> {
    explain(&code).map(Json).ok_or_else(|| {
        let text = format!("{code:?} is no code of BITS; they look like BG_E_NOT_FOUND or 0x80200001");
        refusal(ProblemKind::NotFound, text)
    })
}

#[utoipa::path(
    get,
    path = "/v1/flags",
    tag = "node",
    responses(
        (status = 200, description = "The computer's flags", body = FlagsShown),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn flags<D: Desk>(State(door): AnyDoor<D>) -> Answer<FlagsShown> {
    Ok(Json(door.desk.flags().await?))
}

#[utoipa::path(
    put,
    path = "/v1/flags",
    tag = "node",
    request_body = PeerFlags,
    responses(
        (status = 200, description = "The flags, durable; a policy may say otherwise", body = FlagsShown),
        (status = "default", description = "Refused, and why", body = Problem),
    ),
)]
pub(super) async fn set_flags<D: Desk>(
    State(door): AnyDoor<D>,
    Extension(by): By,
    body: Body,
) -> Answer<FlagsShown> {
    administrators_only(by)?;
    door.desk.set_flags(read(body, BODY_LEN_MAX).await?).await?;
    Ok(Json(door.desk.flags().await?))
}
