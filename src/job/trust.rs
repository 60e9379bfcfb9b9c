//! How much must vouch for bytes before a peer is asked for them: what a machine and a job may demand.
//!
//! Knows: the floors, and what an administrator says of attestations (ATTEST-2, 14). Does not know: which level a file
//! reaches (`engine::trust`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The least that must vouch for a file's bytes before peers are asked for them. A machine and a job may each name one;
/// the higher one counts.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TrustFloor {
    /// A digest; without one, an attestor of this machine's group, if the origin's answer is fit for that.
    #[default]
    Auto,
    /// A digest, or two attestors of one group that say the same.
    #[serde(rename = "attested-2")]
    AttestedTwice,
    /// A digest, or three attestors.
    #[serde(rename = "attested-3")]
    AttestedByThree,
    /// A digest, or four attestors.
    #[serde(rename = "attested-4")]
    AttestedByFour,
    /// A digest, or five attestors.
    #[serde(rename = "attested-5")]
    AttestedByFive,
    /// A digest.
    Digest,
    /// Nothing is enough: every byte comes from the origin.
    Origin,
}

/// Text that names no floor.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no trust floor: auto, attested-2 to attested-5, digest or origin")]
pub struct NotAFloor(String);

impl TrustFloor {
    /// All of them, the lowest first.
    pub const ALL: [Self; 7] = [
        Self::Auto,
        Self::AttestedTwice,
        Self::AttestedByThree,
        Self::AttestedByFour,
        Self::AttestedByFive,
        Self::Digest,
        Self::Origin,
    ];

    /// Its name, as it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::AttestedTwice => "attested-2",
            Self::AttestedByThree => "attested-3",
            Self::AttestedByFour => "attested-4",
            Self::AttestedByFive => "attested-5",
            Self::Digest => "digest",
            Self::Origin => "origin",
        }
    }

    /// How many attestors of one group, each another holder, are enough; `None` where no number of them is.
    #[must_use]
    pub const fn attestors(self) -> Option<usize> {
        match self {
            Self::Auto => Some(1),
            Self::AttestedTwice => Some(2),
            Self::AttestedByThree => Some(3),
            Self::AttestedByFour => Some(4),
            Self::AttestedByFive => Some(5),
            Self::Digest | Self::Origin => None,
        }
    }
}

impl fmt::Display for TrustFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TrustFloor {
    type Err = NotAFloor;

    fn from_str(text: &str) -> Result<Self, NotAFloor> {
        Self::ALL.into_iter().find(|floor| floor.name() == text).ok_or_else(|| NotAFloor(text.to_owned()))
    }
}

/// What holds of trust on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustRules {
    /// The machine's floor.
    pub floor: TrustFloor,
    /// Hosts whose files may be attested although their certificates end in a root that this machine's configuration
    /// added.
    pub attest_hosts: Vec<String>,
    /// Whether an attestation counts only if its origin's certificates ended in the same root as they do here.
    pub same_anchor: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_read_as_it_is_written_and_a_higher_one_demands_more() {
        for floor in TrustFloor::ALL {
            assert_eq!(floor.name().parse(), Ok(floor));
            let json = serde_json::to_string(&floor).expect("a word");
            assert_eq!(json, format!("\"{floor}\""));
        }
        assert!(TrustFloor::ALL.is_sorted_by(|low, high| low < high));
        let attestors = TrustFloor::ALL.map(TrustFloor::attestors);
        assert_eq!(attestors, [Some(1), Some(2), Some(3), Some(4), Some(5), None, None]);
        let error = "level-3".parse::<TrustFloor>().expect_err("no such floor").to_string();
        assert_eq!(error, "`level-3` is no trust floor: auto, attested-2 to attested-5, digest or origin");
    }
}
