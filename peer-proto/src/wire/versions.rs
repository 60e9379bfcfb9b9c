//! Which versions of the protocol there are, and which one two sides speak (WIRE-1).
//!
//! Knows: with which version which frames came. Does not know: what each changed (`docs/protocol.md`).

use super::fault::FrameFault;

/// The protocol versions a side speaks, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl Versions {
    /// What this crate speaks.
    pub const OURS: Self = Self { min: 1, max: 9 };
    /// The first version with the frames of swarms.
    pub const SWARM: u32 = 2;
    /// The first version with the frames of groups.
    pub const GROUP: u32 = 3;
    /// The first version with the frames of attestations.
    pub const ATTEST: u32 = 4;
    /// The first version with what tells against attestors.
    pub const EVIDENCE: u32 = 5;
    /// The first version with the frames by which members hand on what their group signed.
    pub const HANDS_ON: u32 = 6;
    /// The first version with the frames of a rendezvous.
    pub const MEET: u32 = 7;
    /// The first version in which a session may be one of several groups: whatever belongs to one names it.
    pub const GROUPS: u32 = 8;
    /// The first version in which an attestation that denies its stream is told of.
    pub const DENIAL: u32 = 9;
    /// The first version in which a session is told that its tags are others, and need not begin anew for that.
    pub const TAGS: u32 = 9;
    /// The first version in which what an enroller gives has the group's name with it.
    pub const NAMES: u32 = 9;

    /// The highest version both sides speak (WIRE-1).
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let highest = self.max.min(other.max);
        (highest >= self.min && highest >= other.min).then_some(highest)
    }

    pub(super) const fn check(self) -> Result<(), FrameFault> {
        if self.min == 0 || self.min > self.max { Err(FrameFault::Versions) } else { Ok(()) }
    }
}
