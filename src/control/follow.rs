//! The stream of one job's changes.
//!
//! Knows: when it begins, ends and is kept alive. Does not know: who may listen (`verbs`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::{broadcast, mpsc};

use super::api::{Caller, Event, JobView};
use super::server::{Desk, Door};

/// Silence on an event stream after which a comment keeps it alive.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Events that may wait for a slow reader.
const EVENTS_WAITING_MAX: usize = 16;

/// A part of a stream of server-sent events.
pub(super) type Line = Result<Bytes, std::convert::Infallible>;

/// The stream of one job, which is there.
pub(super) fn one_job<D: Desk>(
    door: Arc<Door<D>>,
    first: JobView,
    by: Caller,
    changes: broadcast::Receiver<Event>,
) -> Response {
    let follower = door.follower();
    stream(move |lines| async move {
        let _follower = follower;
        follow(&door, first, by, changes, lines).await;
    })
}

/// An answer whose lines a task writes, until it ends or nobody reads any more.
pub(super) fn stream<W: Future<Output = ()> + Send + 'static>(
    write: impl FnOnce(mpsc::Sender<Line>) -> W,
) -> Response {
    let (lines, mut waiting) = mpsc::channel(EVENTS_WAITING_MAX);
    tokio::spawn(write(lines));
    let stream = futures::stream::poll_fn(move |context| waiting.poll_recv(context));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Writes a job's changes until it is final, the node leaves, or nobody reads any more.
async fn follow<D: Desk>(
    door: &Door<D>,
    mut view: JobView,
    by: Caller,
    mut changes: broadcast::Receiver<Event>,
    lines: mpsc::Sender<Line>,
) {
    let id = view.id;
    // Whose it is may change while somebody reads.
    while by.may_manage(view.owner) {
        let Ok(json) = serde_json::to_string(&view) else { return };
        if lines.send(Ok(format!("data: {json}\n\n").into())).await.is_err() {
            return;
        }
        if view.state.is_final() {
            drop(lines.send(Ok("event: end\ndata:\n\n".into())).await);
            return;
        }
        view = loop {
            let change = tokio::select! {
                () = door.stop.cancelled() => return,
                () = lines.closed() => return,
                change = tokio::time::timeout(KEEP_ALIVE, changes.recv()) => change,
            };
            match change {
                Ok(Ok(Event::JobChanged(changed))) if changed.id == id => break *changed,
                Ok(Ok(_)) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return,
                // Fallen behind, or silence: the job itself knows best.
                Ok(Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => match door.desk.job(id).await {
                    Ok(Some(current)) => break current,
                    _ => return,
                },
            }
        };
    }
}
