//! Where a job stands, and how that changes: BITS' table, as one total function.
//!
//! Knows: every pair of state and cause (JOB-T1..T34; download jobs only, so T24 and T25, which are about uploads,
//! have no row). Does not know: what is done about a change, who asked for it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a job stands. A new job is suspended (JOB-3, JOB-T1).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = JobState)]
pub enum State {
    /// Ready, waits for its turn.
    Queued,
    /// Asks the origin and looks for peers.
    Connecting,
    /// Bytes are coming in.
    Transferring,
    /// Stopped by its owner, or not started yet.
    #[default]
    Suspended,
    /// Stopped until somebody acts.
    Error,
    /// Waits after an error that may pass, or for a condition to end.
    TransientError,
    /// Every file is whole; waits to be completed.
    Transferred,
    /// Completed: its files have their final names. Final.
    Acknowledged,
    /// Given up: nothing is left of it. Final.
    Cancelled,
}

/// What may change a job's state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// Somebody lets it go on (JOB-T2, T3, T15, T16, T22, T34).
    Resume {
        /// Whether the job has a file at all.
        has_files: bool,
        /// Whether every file is whole and sealed.
        is_whole: bool,
    },
    /// Somebody stops it for now (JOB-T17, T34).
    Suspend,
    /// Somebody took its files, and those that are whole have their final names now (JOB-T23).
    Complete,
    /// Somebody wanted its files, and one of them could not be given its final name (JOB-14).
    DeliveryFailed,
    /// Somebody gives it up (JOB-T26).
    Cancel,
    /// Files were added to it (JOB-7, T22): they wait for the files before them, or for Resume.
    FilesAdded,
    /// The scheduler picks it (JOB-T4).
    Picked,
    /// A source is there: bytes may come in (JOB-T5).
    Connected,
    /// No source is there, and that may pass (JOB-T6).
    CannotConnect,
    /// Its time slice is over and files are left (JOB-T7).
    SliceEnded,
    /// A job of a higher priority is ready (JOB-T8).
    Preempted,
    /// Every file is whole and sealed (JOB-T9).
    AllDone,
    /// Something failed that may pass (JOB-T10).
    FailedForNow,
    /// Something failed that will not pass by itself (JOB-T11).
    Failed,
    /// Its retry delay is over. Only for jobs that do not wait for a condition (JOB-T12, JOB-26).
    RetryDue,
    /// The network came up (JOB-T13).
    NetworkUp,
    /// It made no progress for its no-progress timeout (JOB-T14).
    NoProgress,
    /// The network is lost (JOB-T18).
    NetworkLost,
    /// Its owner logged off, and it runs only while he is there (JOB-T19).
    OwnerLoggedOff,
    /// The limit for background jobs became zero. Never told to foreground jobs (JOB-T20, BW-8).
    LimitZero,
    /// The limit is above zero again, told to jobs that wait for this (JOB-T20).
    LimitLifted,
    /// The network costs more than the job may spend (JOB-T21).
    CostForbidden,
    /// It does not any more, told to jobs that wait for this (JOB-T21, COST-2).
    CostAllowed,
    /// Another condition that the job waits for has ended: there is space again, the disk is unlocked (JOB-26).
    ConditionEnded,
    /// Nothing happened to it for the inactivity timeout (JOB-T27).
    Inactive,
    /// It connected and transferred for longer than it may in all (JOB-T29).
    TimeOver,
    /// A permission to use peers changed, its own or the computer's (JOB-T30).
    FlagsToggled,
    /// All ranges that were asked for are there, and a file is not whole (JOB-T31).
    RangesDone,
    /// An application calls a file invalid (JOB-T32).
    FileInvalid {
        /// Whether any byte of it came from a peer: then it is fetched again, from the origin (VAL-4).
        from_peer: bool,
    },
    /// The identity that its owner lent it is gone (JOB-T33).
    IdentityLost,
}

/// Why a cause changes nothing in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The job is over (JOB-T28).
    #[error("the job is over; nothing can happen to it any more")]
    Final,
    /// There is nothing to fetch (JOB-T3).
    #[error("the job has no files; add one, then resume it")]
    Empty,
    /// The cause belongs to another state. Late facts do this and are ignored.
    #[error("this cannot happen in the job's present state")]
    OutOfPlace,
}

impl State {
    /// All nine, in BITS' order: the place of each is BITS' number for it.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Connecting,
        Self::Transferring,
        Self::Suspended,
        Self::Error,
        Self::TransientError,
        Self::Transferred,
        Self::Acknowledged,
        Self::Cancelled,
    ];

    /// Its name as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Connecting => "connecting",
            Self::Transferring => "transferring",
            Self::Suspended => "suspended",
            Self::Error => "error",
            Self::TransientError => "transient-error",
            Self::Transferred => "transferred",
            Self::Acknowledged => "acknowledged",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can happen to the job any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Cancelled)
    }

    /// Whether the job has a time slice and its time counts as transfer time (LIM-3).
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Connecting | Self::Transferring)
    }

    /// The state after a cause.
    ///
    /// # Errors
    /// [`Refusal`] if the table has no row for the pair; the state stays as it was.
    pub const fn after(self, cause: Cause) -> Result<Self, Refusal> {
        use Cause as C;
        use State::{
            Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, Transferring,
            TransientError,
        };
        // Every cause is named; `_` in the place of a state means "any that is not final".
        match (self, cause) {
            // T28
            (Acknowledged | Cancelled, _) => Err(Refusal::Final),
            // T3
            (Suspended, C::Resume { has_files: false, .. }) => Err(Refusal::Empty),
            // T34
            (Suspended | Transferred, C::Resume { is_whole: true, .. }) => Ok(Transferred),
            // T2, T22, T15
            (Suspended | Transferred | TransientError | Error, C::Resume { .. }) => Ok(Queued),
            // T16
            (Queued | Connecting | Transferring, C::Resume { .. }) => Ok(self),
            // T17, T31
            (_, C::Suspend) | (Connecting | Transferring, C::RangesDone) => Ok(Suspended),
            // T23
            (_, C::Complete) => Ok(Acknowledged),
            // JOB-14: what was stopped for the delivery stays stopped.
            (Suspended | Error | Transferred, C::DeliveryFailed) => Ok(self),
            (Queued | Connecting | Transferring | TransientError, C::DeliveryFailed) => Ok(Suspended),
            // T26, T27
            (_, C::Cancel | C::Inactive) => Ok(Cancelled),
            // JOB-7
            (_, C::FilesAdded) => Ok(self),
            // T4
            (Queued, C::Picked) => Ok(Connecting),
            // T5; a later file of the job connects while others transfer.
            (Connecting | Transferring, C::Connected) => Ok(Transferring),
            // T9; the last file may be sealed when the job has lost its turn.
            (Queued | Connecting | Transferring | TransientError, C::AllDone) => Ok(Transferred),
            // T7, T8, T19, T30: a job that connects has a slice too.
            (
                Connecting | Transferring,
                C::SliceEnded | C::Preempted | C::OwnerLoggedOff | C::FlagsToggled,
            ) => Ok(Queued),
            // PEER-9: the others see the new permission when their turn comes.
            (Queued | Suspended | Error | TransientError | Transferred, C::FlagsToggled) => Ok(self),
            // T6, T10
            (Connecting | Transferring, C::CannotConnect | C::FailedForNow) => Ok(TransientError),
            // T18, T20, T21
            (Queued | Connecting | Transferring, C::NetworkLost | C::LimitZero | C::CostForbidden) => {
                Ok(TransientError)
            }
            // T12, T13, JOB-26
            (
                TransientError,
                C::RetryDue | C::NetworkUp | C::LimitLifted | C::CostAllowed | C::ConditionEnded,
            ) => Ok(Queued),
            // T11; what was still being checked may fail when the job has lost its turn. T33
            (Queued | Connecting | Transferring | TransientError, C::Failed | C::IdentityLost)
            // T14, T29, T32
            | (TransientError, C::NoProgress)
            | (Connecting | Transferring, C::TimeOver)
            | (_, C::FileInvalid { from_peer: false }) => Ok(Error),
            // T32
            (_, C::FileInvalid { from_peer: true }) => Ok(Queued),
            (
                _,
                C::Picked | C::Connected | C::CannotConnect | C::SliceEnded | C::Preempted | C::AllDone
                | C::FailedForNow | C::Failed | C::RetryDue | C::NetworkUp | C::NoProgress | C::NetworkLost
                | C::OwnerLoggedOff | C::LimitZero | C::LimitLifted | C::CostForbidden | C::CostAllowed
                | C::ConditionEnded | C::TimeOver | C::RangesDone | C::IdentityLost,
            ) => Err(Refusal::OutOfPlace),
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
