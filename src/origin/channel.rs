//! One HTTP connection with one question at a time.
//!
//! A connection is driven by whoever reads its answer, in the same task: bytes go from the socket to the reader
//! without a hand-over, and dropping the reader closes the connection. Only HTTP/2 needs tasks of its own; they end
//! with the channel.
//!
//! Knows: hyper. Does not know: which origin this is, what an answer means.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connect::{Connected, one_line};
use super::error::{Fault, Phase, Violation};
use super::gate::{Gate, Gated};
use super::reach::Class;
use super::tls::{Anchor, SpeaksTls};

type Io = TokioIo<Gated>;
type Question = Empty<Bytes>;

/// A connection that is ready for a question, or whose answer is being read.
pub(super) struct Channel {
    line: Line,
    gate: Gate,
    /// Class of the address it is connected to: checked again before each reuse.
    pub(super) class: Class,
    /// The root its certificates ended in, if it has any.
    pub(super) anchor: Option<Anchor>,
    /// Whether it answered a question before; then a silent end may only mean that it was closed while idle.
    pub(super) is_used: bool,
}

enum Line {
    One {
        sender: http1::SendRequest<Question>,
        drive: Option<Pin<Box<http1::Connection<Io, Question>>>>,
    },
    Two {
        sender: http2::SendRequest<Question>,
        drive: Option<Pin<Box<http2::Connection<Io, Question, Tasks>>>>,
        _tasks: Arc<Mutex<JoinSet<()>>>,
    },
}

/// Why no head came.
pub(super) enum AskFault {
    /// The connection ended before a byte of the answer.
    Silent(String),
    /// Anything else.
    Other(Fault),
}

impl Channel {
    /// Starts HTTP on a fresh connection.
    pub(super) async fn open(connected: Connected) -> Result<Self, Fault> {
        let Connected { stream, class, is_h2, anchor } = connected;
        let gate = Gate::new();
        let io = TokioIo::new(Gated::new(stream, gate.clone()));
        let fail = |error: hyper::Error| Fault::Unreachable { reason: told(&error) };
        let line = if is_h2 {
            let tasks = Arc::new(Mutex::new(JoinSet::new()));
            let (sender, drive) = http2::Builder::new(Tasks(Arc::downgrade(&tasks)))
                .initial_stream_window_size(H2_WINDOW)
                .initial_connection_window_size(H2_WINDOW)
                .max_frame_size(H2_FRAME)
                .max_header_list_size(u32::try_from(HEAD_LEN_MAX).unwrap_or(u32::MAX))
                .handshake(io)
                .await
                .map_err(fail)?;
            Line::Two { sender, drive: Some(Box::pin(drive)), _tasks: tasks }
        } else {
            let (sender, drive) = http1::Builder::new()
                .max_headers(HEADERS_MAX)
                .max_header_size(HEAD_LEN_MAX)
                .max_buf_size(READ_LEN_MAX)
                .handshake(io)
                .await
                .map_err(fail)?;
            Line::One { sender, drive: Some(Box::pin(drive)) }
        };
        Ok(Self { line, gate, class, anchor, is_used: false })
    }

    /// Whether both sides speak HTTP/2.
    pub(super) fn is_h2(&self) -> bool {
        matches!(self.line, Line::Two { .. })
    }

    /// Sends a question and waits for the head of its answer.
    pub(super) async fn ask(
        &mut self,
        question: Request<Question>,
        limit: Duration,
    ) -> Result<Response<Incoming>, AskFault> {
        if !self.is_h2() {
            self.gate.expect_head(HEAD_LEN_MAX);
        }
        let answer: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>> =
            match &mut self.line {
                Line::One { sender, .. } => Box::pin(sender.send_request(question)),
                Line::Two { sender, .. } => Box::pin(sender.send_request(question)),
            };
        let waited = timeout(limit, self.head(answer)).await;
        self.gate.open();
        let is_used = std::mem::replace(&mut self.is_used, true);
        match waited {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(fault)) => Err(fault),
            Err(_) if is_used => Err(AskFault::Silent("no answer on a reused connection".into())),
            Err(_) => Err(AskFault::Other(Fault::TimedOut { phase: Phase::Head, limit })),
        }
    }

    async fn head(
        &mut self,
        mut answer: Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>,
    ) -> Result<Response<Incoming>, AskFault> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|error| head_fault(&error)));
            }
            self.drive(cx);
            if let Poll::Ready(outcome) = answer.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|error| head_fault(&error)));
            }
            if self.gate.is_spent() {
                return Poll::Ready(Err(AskFault::Other(Fault::broken(Violation::HeadTooLong))));
            }
            Poll::Pending
        })
        .await
    }

    /// From here on at most so many bytes of a body are read in one go. A stream of HTTP/2 has a window for that.
    pub(super) fn limit_read(&self, len: usize) {
        if !self.is_h2() {
            self.gate.limit_read(len);
        }
    }

    /// The next frame of a body that came over this channel.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.drive(cx);
        Pin::new(body).poll_frame(cx)
    }

    /// Whether another question can be asked at once: the last answer was read to its end, the other side has not
    /// closed and has not said anything since.
    pub(super) async fn is_ready(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            let ready = match &mut self.line {
                Line::One { sender, drive } => {
                    drive.is_some() && matches!(sender.poll_ready(cx), Poll::Ready(Ok(())))
                }
                Line::Two { sender, drive, .. } => {
                    drive.is_some() && matches!(sender.poll_ready(cx), Poll::Ready(Ok(())))
                }
            };
            Poll::Ready(ready)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        // How a connection ended is told through the answer or its body.
        match &mut self.line {
            Line::One { drive, .. } => {
                if drive.as_mut().is_some_and(|drive| drive.as_mut().poll(cx).is_ready()) {
                    *drive = None;
                }
            }
            Line::Two { drive, .. } => {
                if drive.as_mut().is_some_and(|drive| drive.as_mut().poll(cx).is_ready()) {
                    *drive = None;
                }
            }
        }
    }
}

/// Where HTTP/2 puts its tasks: they end with the channel.
#[derive(Clone)]
pub(super) struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // Every question leaves some that have ended.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}

/// What an error of a body means; `received` bytes had come.
pub(super) fn body_fault(error: &hyper::Error, received: u64) -> Fault {
    let kind = io_error(error).map(std::io::Error::kind);
    let is_malformed =
        matches!(kind, Some(std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData));
    if is_malformed && !error.is_incomplete_message() {
        return Fault::broken(Violation::BadChunks);
    }
    Fault::Cut { received, reason: told(error) }
}

fn head_fault(error: &hyper::Error) -> AskFault {
    let inner = io_error(error).and_then(std::io::Error::get_ref);
    if inner.is_some_and(|inner| inner.is::<SpeaksTls>()) {
        return AskFault::Other(Fault::SpeaksTls);
    }
    if error.is_parse_too_large() {
        return AskFault::Other(Fault::broken(Violation::HeadTooLong));
    }
    if error.is_parse() {
        return AskFault::Other(Fault::broken(Violation::Garbled));
    }
    AskFault::Silent(told(error))
}

fn io_error(error: &hyper::Error) -> Option<&std::io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

/// The innermost reason, on one line.
fn told(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    one_line(&text)
}

/// Bytes of all heads of one answer, interim ones included.
pub(super) const HEAD_LEN_MAX: usize = 64 * 1024;
/// Fields in a head.
pub(super) const HEADERS_MAX: usize = 100;
/// Bytes one read of a body may bring: few system calls, and large chunks for those who hash and write them.
const READ_LEN_MAX: usize = 512 * 1024;
/// Bytes an HTTP/2 origin may send ahead: 4 MiB keep 300 Mbit/s busy at 100 ms.
const H2_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes in one frame of HTTP/2.
const H2_FRAME: u32 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tasks_of_answered_questions_do_not_pile_up() {
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        let executor = Tasks(Arc::downgrade(&tasks));
        for _ in 0..1_000 {
            executor.execute(async {});
            tokio::task::yield_now().await;
        }
        assert!(tasks.lock().unwrap().len() < 10);
    }
}
