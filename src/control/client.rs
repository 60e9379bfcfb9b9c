//! Asking a node through its control socket.
//!
//! Knows: one request per connection, and the streams of events. Does not know: which socket is the right
//! one.

mod attested;
mod cached;
mod group;
mod peer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{
    Command, CommandDone, Decision, Explanation, FileRanges, FileView, FlagsShown, JobChange, JobId, JobSpec,
    JobView, ListJobs, Notice, PeerFlags, PolicyShown, Position, Problem, ProblemKind, RequestRanges, Status,
    Submit, Submitted, Verb, Verdict,
};
use super::socket;

/// Largest answer that is read.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
/// Largest single event: a reset has all jobs in it.
const EVENT_LEN_MAX: usize = 16 * 1024 * 1024;
/// Time for a whole answer; events are not bound by it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A way to one node's control door. Cheap to clone; connects anew for every request.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

/// Why a node was not asked, or refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no node answers at {}: {source}", .path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the answer never came: the node is gone or going.
    #[error("the node at {} went away", .path.display())]
    Gone {
        /// The socket.
        path: PathBuf,
    },
    /// The node answered in no way we understand.
    #[error("the node at {} gave an answer that cannot be read: {source}", .path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The node said no.
    #[error("{}", .0.error)]
    Refused(Problem),
}

impl ClientError {
    /// Whether asking another holder of the same state folder may help.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Gone { .. }
                | Self::Refused(Problem { kind: ProblemKind::Busy, .. })
        )
    }
}

impl Client {
    /// Connects once to see whether a node answers at `path`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn reach(path: &Path) -> Result<Self, ClientError> {
        let client = Self { path: path.to_owned() };
        client.connect().await?;
        Ok(client)
    }

    /// Where the node listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The node as it stands.
    ///
    /// # Errors
    /// See [`ClientError`]. The same holds for the other questions.
    ///
    /// # Cancel safety
    /// Nothing is lost; the same holds for the other questions.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.read("/v1/status").await
    }

    /// The caller's own jobs.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn jobs(&self) -> Result<Vec<JobView>, ClientError> {
        self.jobs_where(&ListJobs::default()).await
    }

    /// Some jobs.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if those of all users are asked for by somebody who is no administrator.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn jobs_where(&self, wanted: &ListJobs) -> Result<Vec<JobView>, ClientError> {
        let mut query = url::form_urlencoded::Serializer::new(String::from("/v1/jobs?"));
        query.append_pair("all", if wanted.all { "true" } else { "false" });
        if let Some(name) = &wanted.name {
            query.append_pair("name", name);
        }
        if let Some(state) = wanted.state {
            query.append_pair("state", state.name());
        }
        self.read(&query.finish()).await
    }

    /// What a job is made of. Its header lines are there for its owner only.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn spec(&self, id: JobId) -> Result<JobSpec, ClientError> {
        self.read(&format!("/v1/jobs/{id}/spec")).await
    }

    /// The files of a job, in their order.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn files(&self, id: JobId) -> Result<Vec<FileView>, ClientError> {
        self.read(&format!("/v1/jobs/{id}/files")).await
    }

    /// Changes a job: all of it, or nothing. The job as it is then.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The change may or may not have been made.
    pub async fn change(&self, id: JobId, change: &JobChange) -> Result<JobView, ClientError> {
        self.write(Method::PATCH, &format!("/v1/jobs/{id}"), change).await
    }

    /// Says whether a file is what it should be. The file as it is then.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been said.
    pub async fn validate(&self, id: JobId, file: u16, valid: bool) -> Result<FileView, ClientError> {
        let path = format!("/v1/jobs/{id}/files/{file}/validation");
        self.write(Method::POST, &path, &Verdict { valid }).await
    }

    /// What is there of a file, and what is asked for.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ranges(&self, id: JobId, file: u16) -> Result<FileRanges, ClientError> {
        self.read(&format!("/v1/jobs/{id}/files/{file}/ranges")).await
    }

    /// Asks for parts of a file before the rest of it. What is there and asked for then.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been asked for.
    pub async fn request(
        &self,
        id: JobId,
        file: u16,
        wanted: RequestRanges,
    ) -> Result<FileRanges, ClientError> {
        self.write(Method::POST, &format!("/v1/jobs/{id}/files/{file}/ranges"), &wanted).await
    }

    /// Says from where on a file is wanted first. What is there and asked for then.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been said.
    pub async fn seek(&self, id: JobId, file: u16, offset: u64) -> Result<FileRanges, ClientError> {
        let path = format!("/v1/jobs/{id}/files/{file}/position");
        self.write(Method::POST, &path, &Position { offset }).await
    }

    /// What the administrator and the configuration say of jobs.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn policy(&self) -> Result<PolicyShown, ClientError> {
        self.read("/v1/policy").await
    }

    /// What a code means, such as `BG_E_NOT_FOUND` or `0x80200001`.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn explain(&self, code: &str) -> Result<Explanation, ClientError> {
        let code: String = url::form_urlencoded::byte_serialize(code.as_bytes()).collect();
        self.read(&format!("/v1/explain/{code}")).await
    }

    /// What the node can be asked, as an OpenAPI document.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.read("/v1/openapi.json").await
    }

    /// One job.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn job(&self, id: JobId) -> Result<JobView, ClientError> {
        self.read(&format!("/v1/jobs/{id}")).await
    }

    /// Why the ranges of a job came from where they came.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn why(&self, id: JobId) -> Result<Vec<Decision>, ClientError> {
        self.read(&format!("/v1/jobs/{id}/why")).await
    }

    /// The computer's flags.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn flags(&self) -> Result<FlagsShown, ClientError> {
        self.read("/v1/flags").await
    }

    /// Changes the computer's flags.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The change may or may not have been made.
    pub async fn set_flags(&self, flags: PeerFlags) -> Result<FlagsShown, ClientError> {
        self.write(Method::PUT, "/v1/flags", &flags).await
    }

    /// Hands in a wish.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The wish may or may not have been taken; handing it in again with `adopt` finds it.
    pub async fn submit(&self, submit: &Submit) -> Result<Submitted, ClientError> {
        self.write(Method::POST, "/v1/jobs", submit).await
    }

    /// Does something to a job.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// It may or may not have been done.
    pub async fn command(&self, id: JobId, verb: Verb) -> Result<CommandDone, ClientError> {
        self.write(Method::POST, &format!("/v1/jobs/{id}/command"), &Command { command: verb }).await
    }

    /// Follows a job: the first event is the job as it stands.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn follow(&self, id: JobId) -> Result<JobEvents, ClientError> {
        Ok(JobEvents { lines: self.listen(&format!("/v1/jobs/{id}/events")).await? })
    }

    /// Follows all jobs the caller may see. After the event with the id `since` nothing is left out; without it, or if the
    /// node does not remember that far back, the first one is [`Notice::Reset`].
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn events(&self, since: Option<&str>) -> Result<Notices, ClientError> {
        let path = match since {
            Some(id) => url::form_urlencoded::Serializer::new(String::from("/v1/events?"))
                .append_pair("since", id)
                .finish(),
            None => "/v1/events".into(),
        };
        Ok(Notices { lines: self.listen(&path).await? })
    }

    async fn listen(&self, path: &str) -> Result<Lines, ClientError> {
        let body = self.ask(Method::GET, path, Bytes::new()).await?;
        Ok(Lines { client: self.clone(), body, held: BytesMut::new() })
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.whole(Method::GET, path, Bytes::new()).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| self.unreadable(source))?;
        self.whole(method, path, body.into()).await
    }

    async fn whole<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        self.whole_within(ANSWER_TIMEOUT, method, path, body).await
    }

    async fn whole_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let answer = async {
            let body = self.ask(method, path, body).await?;
            Ok(Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|_| self.gone())?.to_bytes())
        };
        let bytes = tokio::time::timeout(limit, answer).await.map_err(|_| self.gone())??;
        serde_json::from_slice(&bytes).map_err(|source| self.unreadable(source))
    }

    /// Sends one request; an answer that is no success becomes an error.
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| self.gone())?;
        // Ends by itself when the answer was read or dropped.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "nearbits")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| self.gone())?;
        let answer = sender.send_request(request).await.map_err(|_| self.gone())?;
        let status = answer.status();
        let body = answer.into_body();
        if status.is_success() {
            return Ok(body);
        }
        let bytes = Limited::new(body, EVENT_LEN_MAX).collect().await.map_err(|_| self.gone())?.to_bytes();
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            Problem::new(ProblemKind::Fatal, format!("the node answered with status {status}"))
        });
        Err(ClientError::Refused(problem))
    }

    async fn connect(&self) -> Result<tokio::net::UnixStream, ClientError> {
        socket::connect(&self.path)
            .await
            .map_err(|source| ClientError::Unreachable { path: self.path.clone(), source })
    }

    fn gone(&self) -> ClientError {
        ClientError::Gone { path: self.path.clone() }
    }

    fn unreadable(&self, source: serde_json::Error) -> ClientError {
        ClientError::Answer { path: self.path.clone(), source }
    }
}

/// The events of one job, as they come.
#[derive(Debug)]
pub struct JobEvents {
    lines: Lines,
}

impl JobEvents {
    /// The job after its next change; `None` when the node says no more of it, because the job is final.
    ///
    /// # Errors
    /// [`ClientError::Gone`] if the node went away in the middle.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<JobView>, ClientError> {
        let event = self.lines.next().await?;
        if event.name == "end" {
            return Ok(None);
        }
        serde_json::from_str(&event.data).map(Some).map_err(|source| self.lines.client.unreadable(source))
    }
}

/// The events of all jobs, as they come.
#[derive(Debug)]
pub struct Notices {
    lines: Lines,
}

/// An event and the id to come back with.
#[derive(Clone, PartialEq, Debug)]
pub struct Noticed {
    /// Its id: what comes after it is to be had with [`Client::events`].
    pub id: String,
    /// What happened.
    pub notice: Notice,
}

impl Notices {
    /// The next event. An event may come twice, after a reset or a return.
    ///
    /// # Errors
    /// [`ClientError::Gone`] if the node went away.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Noticed, ClientError> {
        let event = self.lines.next().await?;
        let notice = serde_json::from_str(&event.data);
        Ok(Noticed { id: event.id, notice: notice.map_err(|source| self.lines.client.unreadable(source))? })
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
struct Lines {
    client: Client,
    body: Incoming,
    held: BytesMut,
}

/// One of them.
#[derive(Default)]
struct Sent {
    id: String,
    name: String,
    data: String,
}

impl Lines {
    async fn next(&mut self) -> Result<Sent, ClientError> {
        // Bytes of `held` that hold no end of an event.
        let mut seen = 0;
        loop {
            if let Some(end) = self.held[seen..].windows(2).position(|pair| pair == b"\n\n") {
                let event = self.held.split_to(seen + end + 2);
                seen = 0;
                let sent = Sent::parse(&String::from_utf8_lossy(&event));
                // What has neither name nor data is a comment that keeps the line alive.
                if sent.name.is_empty() && sent.data.is_empty() {
                    continue;
                }
                return Ok(sent);
            }
            if self.held.len() > EVENT_LEN_MAX {
                return Err(self.client.gone());
            }
            seen = self.held.len().saturating_sub(1);
            let Some(Ok(frame)) = self.body.frame().await else { return Err(self.client.gone()) };
            if let Ok(bytes) = frame.into_data() {
                self.held.extend_from_slice(&bytes);
            }
        }
    }
}

impl Sent {
    fn parse(text: &str) -> Self {
        let mut sent = Self::default();
        for line in text.lines() {
            match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value)))
            {
                Some(("id", value)) => value.clone_into(&mut sent.id),
                Some(("event", value)) => value.clone_into(&mut sent.name),
                Some(("data", value)) => value.clone_into(&mut sent.data),
                _ => {}
            }
        }
        sent
    }
}
