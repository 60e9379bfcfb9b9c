//! How a job's state changes: the table, as one total function.
//!
//! Knows: every pair of state and trigger (rule ids JOB-T…, JOB-11). Does not know: what is done about it.

use super::JobState;

/// What may change a job's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The owner stops it for now.
    Suspend,
    /// The owner lets it go on.
    Resume,
    /// The owner takes the file.
    Complete,
    /// The owner gives it up.
    Cancel,
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
    /// A permission changed: the job is planned anew at the same offset.
    Replanned,
    /// The file is sealed.
    Sealed,
    /// The file has its final name.
    Delivered,
}

/// Why a trigger does nothing in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAllowed {
    /// The job is over.
    #[error("the job is over; nothing can happen to it any more")]
    Final,
    /// The file is not whole yet.
    #[error("the file is not whole yet; it can be completed once the job is transferred")]
    NotTransferred,
    /// The trigger belongs to another state; late facts do this and are ignored.
    #[error("this cannot happen in the job's present state")]
    OutOfPlace,
}

impl JobState {
    /// The state after a trigger.
    ///
    /// # Errors
    /// [`NotAllowed`] if the table has no row for the pair; the state stays as it was.
    pub const fn after(self, trigger: Trigger) -> Result<Self, NotAllowed> {
        use JobState::{
            Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, Transferring,
            TransientError,
        };
        use Trigger::{
            Cancel, Complete, Connected, Delivered, Failed, FailedForNow, Picked, Replanned, Resume,
            RetryDue, Sealed, Suspend,
        };
        match (self, trigger) {
            // JOB-T28: nothing happens to a job that is over.
            (
                Acknowledged | Cancelled,
                Suspend | Resume | Complete | Cancel | Picked | Connected | FailedForNow | Failed | RetryDue
                | Replanned | Sealed | Delivered,
            ) => Err(NotAllowed::Final),
            // JOB-T17: Suspend in any state that is not final.
            (
                Queued | Connecting | Transferring | Suspended | Error | TransientError | Transferred,
                Suspend,
            ) => Ok(Suspended),
            // JOB-T2, T15: Resume starts again; T16: or changes nothing.
            (Suspended | Error | TransientError, Resume) => Ok(Queued),
            (Queued | Connecting | Transferring | Transferred, Resume) => Ok(self),
            // JOB-T23, narrowed: one file that is not whole is not taken.
            (Transferred, Complete) => Ok(Transferred),
            (Queued | Connecting | Transferring | Suspended | Error | TransientError, Complete) => {
                Err(NotAllowed::NotTransferred)
            }
            // JOB-T26: Cancel in any state that is not final.
            (
                Queued | Connecting | Transferring | Suspended | Error | TransientError | Transferred,
                Cancel,
            ) => Ok(Cancelled),
            // JOB-T4.
            (Queued | TransientError, Picked) => Ok(Connecting),
            (Connecting | Transferring, Picked) => Ok(self),
            // JOB-T5.
            (Queued | Connecting | Transferring | TransientError, Connected) => Ok(Transferring),
            // JOB-T6, T10.
            (Queued | Connecting | Transferring | TransientError, FailedForNow) => Ok(TransientError),
            // JOB-T11; also a rename that failed after an automatic completion.
            (Queued | Connecting | Transferring | TransientError | Transferred, Failed) => Ok(Error),
            // JOB-T12.
            (TransientError, RetryDue) => Ok(Queued),
            // JOB-T30.
            (Queued | Connecting | Transferring, Replanned) => Ok(Queued),
            (TransientError, Replanned) => Ok(TransientError),
            // JOB-T9.
            (Queued | Connecting | Transferring | TransientError, Sealed) => Ok(Transferred),
            (Transferred, Delivered) => Ok(Acknowledged),
            // A stopped job stays stopped whatever was still on its way.
            (
                Suspended | Error,
                Picked | Connected | FailedForNow | Failed | RetryDue | Replanned | Sealed | Delivered,
            )
            | (Transferred, Picked | Connected | FailedForNow | RetryDue | Replanned | Sealed)
            | (Queued | Connecting | Transferring, RetryDue | Delivered)
            | (TransientError, Delivered) => Err(NotAllowed::OutOfPlace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [JobState; 9] = [
        JobState::Queued,
        JobState::Connecting,
        JobState::Transferring,
        JobState::Suspended,
        JobState::Error,
        JobState::TransientError,
        JobState::Transferred,
        JobState::Acknowledged,
        JobState::Cancelled,
    ];

    #[test]
    fn job_t28_nothing_happens_to_a_job_that_is_over() {
        for state in [JobState::Acknowledged, JobState::Cancelled] {
            for trigger in [Trigger::Suspend, Trigger::Resume, Trigger::Cancel, Trigger::Sealed] {
                assert_eq!(state.after(trigger), Err(NotAllowed::Final));
            }
        }
    }

    #[test]
    fn job_t17_and_t26_hold_in_every_state_that_is_not_final() {
        for state in STATES.into_iter().filter(|state| !state.is_final()) {
            assert_eq!(state.after(Trigger::Suspend), Ok(JobState::Suspended), "{state:?}");
            assert_eq!(state.after(Trigger::Cancel), Ok(JobState::Cancelled), "{state:?}");
        }
    }

    #[test]
    fn job_t2_t15_t16_resume_starts_again_or_changes_nothing() {
        for state in [JobState::Suspended, JobState::Error, JobState::TransientError] {
            assert_eq!(state.after(Trigger::Resume), Ok(JobState::Queued), "{state:?}");
        }
        for state in [JobState::Queued, JobState::Connecting, JobState::Transferring] {
            assert_eq!(state.after(Trigger::Resume), Ok(state), "{state:?}");
        }
    }

    #[test]
    fn job_t30_a_toggled_permission_queues_the_job_again() {
        assert_eq!(JobState::Transferring.after(Trigger::Replanned), Ok(JobState::Queued));
        assert_eq!(JobState::Suspended.after(Trigger::Replanned), Err(NotAllowed::OutOfPlace));
    }

    #[test]
    fn an_unfinished_file_is_not_completed() {
        assert_eq!(JobState::Transferring.after(Trigger::Complete), Err(NotAllowed::NotTransferred));
        assert_eq!(JobState::Transferred.after(Trigger::Complete), Ok(JobState::Transferred));
    }
}
