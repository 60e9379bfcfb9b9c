//! What a user may do to a job.
//!
//! Knows: the commands. Does not know: when one holds (`job`).

use crate::job::{JobChange, RemoteRange};

/// What a user may do to a job.
#[derive(Clone, PartialEq, Debug)]
pub enum JobCommand {
    /// Stop for now; the part stays.
    Suspend,
    /// Go on.
    Resume,
    /// Deliver what is whole, give up the rest (JOB-12, 13).
    Complete,
    /// Give up and remove every part.
    Cancel,
    /// Change properties, or add files; all or nothing.
    Change(Box<JobChange>),
    /// Make the job the administrator's who asks for it (SEC-6).
    Take,
    /// Show it no more; for a job that is over.
    Forget,
    /// Say whether a file is what it should be (VAL-2..5).
    Validate {
        /// Its place in the job.
        file: u16,
        /// What the application found.
        valid: bool,
    },
    /// Fetch these bytes of a file before the rest of it, or at all in on-demand mode (RNG-10, 15).
    RequestRanges {
        /// Its place in the job.
        file: u16,
        /// Which bytes of the local file; they may overlap each other and what is there.
        ranges: Vec<RemoteRange>,
    },
    /// Fetch what is missing of a file from this byte on first (RNG-11).
    SetPosition {
        /// Its place in the job.
        file: u16,
        /// A byte of the local file.
        offset: u64,
    },
}
