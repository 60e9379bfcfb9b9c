//! Who may learn what a job wants: whoever is asked does (LOOKUP-5).
//!
//! Knows: the three answers. Does not know: who is on the link, who is a member (`engine`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who is asked for a job's files. Whoever is asked, and knows their digest, learns that this machine wants them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Everybody on the link, and configured peers.
    #[default]
    Link,
    /// Members of this machine's group.
    Members,
    /// Nobody but the origin.
    #[serde(rename = "none")]
    Nobody,
}

/// Text that names none of them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` says not whom to ask: link, members or none")]
pub struct NotAnAsk(String);

impl Ask {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Link, Self::Members, Self::Nobody];

    /// Its name, as it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Members => "members",
            Self::Nobody => "none",
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Ask {
    type Err = NotAnAsk;

    fn from_str(text: &str) -> Result<Self, NotAnAsk> {
        Self::ALL.into_iter().find(|ask| ask.name() == text).ok_or_else(|| NotAnAsk(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_5_whom_to_ask_is_read_as_it_is_written() {
        for ask in Ask::ALL {
            assert_eq!(ask.name().parse(), Ok(ask));
            let json = serde_json::to_string(&ask).expect("a word");
            assert_eq!(json, format!("\"{ask}\""));
        }
        let error = "strangers".parse::<Ask>().expect_err("no such word").to_string();
        assert_eq!(error, "`strangers` says not whom to ask: link, members or none");
    }
}
