//! What a machine's node does when nothing else is to do: makes its own copies of delivered files, so that users may
//! move and change theirs.
//!
//! Knows: when the node is idle. Does not know: how files are copied (`cache`).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, CopyOutcome};
use crate::disk::RealFiles;
use crate::transfer::Transfer;

/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// After a copy failed for want of space, or altogether, nothing is tried for so long.
const REST: Duration = Duration::from_secs(600);

/// Copies one borrowed file at a time until `stop`.
///
/// # Cancel safety
/// A copy that has begun goes on to its end on its own thread.
pub(super) async fn run(cache: Cache<RealFiles>, transfer: Transfer, stop: CancellationToken) {
    let mut wait = LOOK_EVERY;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = LOOK_EVERY;
        if transfer.is_busy() {
            continue;
        }
        let cache = cache.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let Some(record) = cache.next_borrowed() else { return Ok(None) };
            cache.copy_borrowed(record).map(|outcome| Some((record, outcome)))
        });
        match copied.await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((record, CopyOutcome::NoSpace)))) => {
                tracing::info!(%record, "no space for a copy: the delivered file stays borrowed");
                wait = REST;
            }
            Ok(Ok(Some((record, outcome)))) => tracing::debug!(%record, ?outcome, "delivered file copied"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a delivered file was not copied");
                wait = REST;
            }
            Err(_) => {
                tracing::error!("copying a delivered file broke");
                wait = REST;
            }
        }
    }
}
