//! Notices that the machine's network went or came back.
//!
//! Knows: how often that is looked at, and that only changes are told. Does not know: what links are (`telemetry`), what
//! jobs make of it (`engine`).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::io::Input;
use crate::telemetry;

/// A link that came back is noticed within this (SCHED-10).
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells of changes until `stop`. A machine that never had a link is not told that it lost one.
///
/// # Cancel safety
/// Dropping it loses nothing.
pub(super) async fn run(tell: mpsc::Sender<Input>, stop: CancellationToken) {
    let mut was_up = telemetry::has_link();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let up = telemetry::has_link();
        if was_up.is_some() && up.is_some() && up != was_up {
            let up = up == Some(true);
            tracing::info!(up, "the machine's network changed");
            if tell.send(Input::NetworkChanged { up }).await.is_err() {
                return;
            }
        }
        was_up = up;
    }
}
