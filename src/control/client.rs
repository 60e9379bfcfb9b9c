//! Asking a node through its control socket.
//!
//! Knows: one request per connection, and the stream of a job's events. Does not know: which socket is the right
//! one.

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
    AddPeer, Command, Decision, JobId, JobView, PeerFlags, PeerRow, Problem, ProblemKind, RecordRow, Status,
    Submit, Submitted, Verb,
};
use super::socket;

/// Largest answer that is read.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
/// Largest single event.
const EVENT_LEN_MAX: usize = 4 * 1024 * 1024;
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

    /// All jobs.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn jobs(&self) -> Result<Vec<JobView>, ClientError> {
        self.read("/v1/jobs").await
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

    /// The peers the node knows.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn peers(&self) -> Result<Vec<PeerRow>, ClientError> {
        self.read("/v1/peers").await
    }

    /// The records of its cache.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn records(&self) -> Result<Vec<RecordRow>, ClientError> {
        self.read("/v1/records").await
    }

    /// The computer's flags.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn flags(&self) -> Result<PeerFlags, ClientError> {
        self.read("/v1/flags").await
    }

    /// Changes the computer's flags.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The change may or may not have been made.
    pub async fn set_flags(&self, flags: PeerFlags) -> Result<PeerFlags, ClientError> {
        self.write(Method::PUT, "/v1/flags", &flags).await
    }

    /// Makes the node keep trying a peer.
    ///
    /// # Errors
    /// See [`ClientError`].
    ///
    /// # Cancel safety
    /// The peer may or may not have been added.
    pub async fn add_peer(&self, address: &str) -> Result<(), ClientError> {
        self.write(Method::POST, "/v1/peers", &AddPeer { address: address.to_owned() }).await
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
    pub async fn command(&self, id: JobId, verb: Verb) -> Result<JobView, ClientError> {
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
        let body = self.ask(Method::GET, &format!("/v1/jobs/{id}/events"), Bytes::new()).await?;
        Ok(JobEvents { client: self.clone(), body, held: BytesMut::new() })
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
        let answer = async {
            let body = self.ask(method, path, body).await?;
            Ok(Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|_| self.gone())?.to_bytes())
        };
        let bytes = tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| self.gone())??;
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
    client: Client,
    body: Incoming,
    held: BytesMut,
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
        loop {
            if let Some(end) = self.held.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.held.split_to(end + 2);
                match event.strip_prefix(b"data: ") {
                    Some(json) => {
                        let view =
                            serde_json::from_slice(json).map_err(|source| self.client.unreadable(source))?;
                        return Ok(Some(view));
                    }
                    None if event.starts_with(b"event: end") => return Ok(None),
                    // A comment that keeps the line alive.
                    None => continue,
                }
            }
            if self.held.len() > EVENT_LEN_MAX {
                return Err(self.client.gone());
            }
            let Some(Ok(frame)) = self.body.frame().await else { return Err(self.client.gone()) };
            if let Ok(bytes) = frame.into_data() {
                self.held.extend_from_slice(&bytes);
            }
        }
    }
}
