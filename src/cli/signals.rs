//! Ctrl-C and its kin.
//!
//! Knows: which signals mean "end". Does not know: what ends.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the user or the system wants the process to end. Where signals cannot be watched, never.
pub(super) async fn interrupted() {
    let watched = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = watched else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
