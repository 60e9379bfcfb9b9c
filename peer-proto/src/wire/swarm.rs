//! The frames of nodes that fetch one file together: who is there, what the origin's pieces are, who fetches what.
//!
//! Knows: their shape (HOME-1, CLAIM-1). Does not know: who is believed, who fetches (the node's engine decides).

use std::ops::Range;

use crate::content::{ContentId, Geometry, Hash};
use crate::group::GroupId;
use crate::limits::VALUES_PER_CLAIM_MAX;

use super::fault::FrameFault;
use super::lookup::Question;

/// "I want this file too": the sender is a member of the swarm from now on, until it leaves or its session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// Which file: its lookup id, and the proof that the sender knows the digest behind it (LOOKUP-2).
    pub question: Question,
    /// Its length, as the sender's origin states it.
    pub len: u64,
    /// Whether the sender can fetch from the origin for the others.
    pub fetches: bool,
    /// The group in which the sender fetches it: said to its members only. Versions before 8 say none.
    pub group: Option<GroupId>,
}

/// Values of pieces that the sender read from the origin itself (CLAIM-1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PieceClaim {
    /// The swarm: [`swarm_id`](crate::home::swarm_id).
    pub swarm: ContentId,
    /// The first piece.
    pub first: u32,
    /// 1 to 64 values, of consecutive pieces.
    pub values: Vec<Hash>,
}

impl PieceClaim {
    /// The pieces it speaks of.
    #[must_use]
    pub fn pieces(&self) -> Range<u32> {
        let count = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.first..self.first.saturating_add(count)
    }

    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let count = self.values.len();
        if count == 0 || count > VALUES_PER_CLAIM_MAX {
            return Err(FrameFault::ClaimCount { count });
        }
        check_pieces(&self.pieces(), self.swarm)
    }
}

/// "I fetch this from the origin now": what others need not ask it for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentClaim {
    /// The swarm.
    pub swarm: ContentId,
    /// Chosen by the sender, ascending in its session.
    pub number: u32,
    /// The pieces; at least one.
    pub pieces: Range<u32>,
    /// Whether it begins at the end.
    pub from_back: bool,
    /// What the sender's origin gives it, in KiB per second; zero if it was not measured yet.
    pub rate_kib: u32,
}

impl SegmentClaim {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        check_pieces(&self.pieces, self.swarm)
    }
}

/// "I want this file no more."
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leave {
    /// The swarm.
    pub swarm: ContentId,
}

pub(super) fn check_pieces(pieces: &Range<u32>, swarm: ContentId) -> Result<(), FrameFault> {
    let count = Geometry::of(swarm.len)?.piece_count();
    if pieces.start >= pieces.end || pieces.end > count {
        return Err(FrameFault::PiecesBeyondEnd { end: pieces.end, count });
    }
    Ok(())
}
