//! How a file's state changes: the table, as one total function.
//!
//! Knows: every pair of state and trigger. A file stands in the same nine states as its job, which makes its own state
//! of its files' (`job`, by BITS' table). Does not know: what is done about it.

use crate::job::JobState;

/// What may change a file's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trigger {
    /// Its job has lost its turn, or is suspended.
    Suspend,
    /// Its job is resumed.
    Resume,
    /// It is its turn, or the time to retry has come and its sources are asked.
    Picked,
    /// Bytes may come in: a source is there.
    Connected,
    /// Something failed that may pass.
    FailedForNow,
    /// Something failed that will not pass by itself.
    Failed,
    /// A wait after a passing failure is over.
    RetryDue,
    /// A permission changed: the file is planned anew at the same offset.
    Replanned,
    /// The file is sealed.
    Sealed,
    /// The file has its final name.
    Delivered,
}

/// The state after a trigger; `None` if the pair has no row: late facts do this, and the state stays as it was.
pub(super) const fn after(state: JobState, trigger: Trigger) -> Option<JobState> {
    use JobState::{
        Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, Transferring,
        TransientError,
    };
    use Trigger::{
        Connected, Delivered, Failed, FailedForNow, Picked, Replanned, Resume, RetryDue, Sealed, Suspend,
    };
    match (state, trigger) {
        (Queued | Connecting | Transferring | Suspended | Error | TransientError | Transferred, Suspend) => {
            Some(Suspended)
        }
        (Suspended | Error | TransientError, Resume) | (TransientError, RetryDue) => Some(Queued),
        (Queued | Connecting | Transferring | Transferred, Resume)
        | (Connecting | Transferring, Picked)
        | (TransientError, Replanned) => Some(state),
        (Queued | TransientError, Picked) => Some(Connecting),
        (Queued | Connecting | Transferring | TransientError, Connected) => Some(Transferring),
        (Queued | Connecting | Transferring | TransientError, FailedForNow) => Some(TransientError),
        // Also a rename that failed after an automatic completion.
        (Queued | Connecting | Transferring | TransientError | Transferred, Failed) => Some(Error),
        (Queued | Connecting | Transferring, Replanned) => Some(Queued),
        (Queued | Connecting | Transferring | TransientError, Sealed) => Some(Transferred),
        (Transferred, Delivered) => Some(Acknowledged),
        // A stopped file stays stopped whatever was still on its way; nothing happens to one that is over.
        (Acknowledged | Cancelled, _)
        | (
            Suspended | Error,
            Picked | Connected | FailedForNow | Failed | RetryDue | Replanned | Sealed | Delivered,
        )
        | (Transferred, Picked | Connected | FailedForNow | RetryDue | Replanned | Sealed)
        | (Queued | Connecting | Transferring, RetryDue | Delivered)
        | (TransientError, Delivered) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_file_ignores_what_was_on_its_way() {
        for trigger in [Trigger::Connected, Trigger::FailedForNow, Trigger::Sealed, Trigger::Replanned] {
            assert_eq!(after(JobState::Suspended, trigger), None, "{trigger:?}");
        }
    }

    #[test]
    fn a_file_that_waits_to_retry_may_be_sealed_and_delivered() {
        let sealed = after(JobState::TransientError, Trigger::Sealed);
        assert_eq!(sealed, Some(JobState::Transferred));
        assert_eq!(after(JobState::Transferred, Trigger::Delivered), Some(JobState::Acknowledged));
        assert_eq!(after(JobState::Acknowledged, Trigger::Suspend), None);
    }
}
