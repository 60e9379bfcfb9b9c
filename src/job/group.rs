//! The one group that a job is kept to.
//!
//! Knows: how its id is written. Does not know: which groups this machine is in, who is a member (`engine`).

use std::fmt;
use std::str::FromStr;

use peer_proto::digest::bytes_from_hex;
use peer_proto::group::GroupId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The group whose members alone are asked for a job's files, by its id: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "00112233445566778899aabbccddeeff")]
pub struct OneGroup(pub GroupId);

/// Text that is no group's id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a group's id has 32 hexadecimal digits")]
pub struct NotAGroupId;

impl fmt::Display for OneGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OneGroup {
    type Err = NotAGroupId;

    fn from_str(text: &str) -> Result<Self, NotAGroupId> {
        let bytes = bytes_from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|id| Self(GroupId(id))).ok_or(NotAGroupId)
    }
}

impl TryFrom<String> for OneGroup {
    type Error = NotAGroupId;

    fn try_from(text: String) -> Result<Self, NotAGroupId> {
        text.parse()
    }
}

impl From<OneGroup> for String {
    fn from(group: OneGroup) -> Self {
        group.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_8_the_group_of_a_job_is_read_as_it_is_written() {
        let group = OneGroup(GroupId([0xa5; 16]));
        assert_eq!(group.to_string(), "a5".repeat(16));
        assert_eq!(group.to_string().parse(), Ok(group));
        let json = serde_json::to_string(&group).expect("text");
        assert_eq!(serde_json::from_str::<OneGroup>(&json).expect("read"), group);
        for text in ["", "a5", "head office", &"a5".repeat(17)] {
            assert_eq!(text.parse::<OneGroup>(), Err(NotAGroupId), "{text}");
        }
    }
}
