//! The frames in which members ask for attestations and hand them on.
//!
//! Knows: what each may hold. Does not know: attestations themselves ([`attest`](crate::attest)).

use super::fault::FrameFault;
use crate::attest::Attestation;
use crate::batch::Batch;
use crate::limits::{ATTESTATIONS_PER_FRAME_MAX, BATCHES_PER_FRAME_MAX};

/// Asks a member for what attestors say of one version of a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttestWant {
    /// Chosen by the sender, higher than any before: the answer carries it.
    pub number: u32,
    /// [`attested_id`](crate::attest::attested_id) of the URL and the version.
    pub id: [u8; 32],
}

/// What attestors say: an answer to an [`AttestWant`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attestations {
    /// Number of the question.
    pub number: u32,
    /// At most eight; none if nothing is known. Nothing of them is believed yet.
    pub list: Vec<Attestation>,
}

/// What attestors read of what an [`AttestWant`] asked for, while they read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batches {
    /// Number of the question.
    pub number: u32,
    /// 1 to 32 batches. Nothing of them is believed yet.
    pub list: Vec<Batch>,
}

impl Batches {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let count = self.list.len();
        if count == 0 || count > BATCHES_PER_FRAME_MAX {
            return Err(FrameFault::BatchCount { count });
        }
        Ok(())
    }
}

impl Attestations {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let count = self.list.len();
        if count > ATTESTATIONS_PER_FRAME_MAX {
            return Err(FrameFault::AttestationCount { count });
        }
        Ok(())
    }
}
