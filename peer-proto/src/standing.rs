//! How much a piece on disk may be trusted.
//!
//! Knows: the standings and runs of pieces that share one. Does not know: who decides them (the node's engine) or
//! where they are kept (its journal).

use crate::content::{Hash, PieceIndex};
use crate::peer::PeerId;

/// How much a piece on disk may be trusted. A piece without one is a gap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// Read from the origin by this node under the version pinned for this attempt.
    Certain,
    /// Agrees with a trusted root.
    Proved,
    /// Agrees only with what this peer stated.
    Provisional {
        /// Who answers for the value.
        author: PeerId,
    },
    /// Provisional, and its author was refuted: counts as a gap, compared when fetched anew.
    Suspect,
}

/// Consecutive pieces with their values and one standing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PieceRun {
    /// The first piece.
    pub first: PieceIndex,
    /// A value for each piece, in order; never empty.
    pub values: Vec<Hash>,
    /// The standing of all of them.
    pub standing: Standing,
}
