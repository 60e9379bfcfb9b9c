//! The administrator's file: what jobs of this machine may have.
//!
//! Knows: where it is by default, how to read it, how to say what is wrong with it. Does not know: when it is read
//! (`node`), what its values do (`job`).

use std::path::Path;

use super::{ConfigError, line_of, parse, read};
use crate::job::Policy;

/// Where it is if nobody says otherwise.
pub const POLICY_FILE: &str = "/etc/nearbits/policy.toml";

/// Reads the administrator's file at a place that somebody named: there it has to be.
///
/// # Errors
/// As [`load`], and [`ConfigError::Unreadable`] if it is not there.
pub fn load_named(path: &Path) -> Result<Policy, ConfigError> {
    policy(&read(path)?).map_err(|(line, message)| ConfigError::wrong(path, line, message))
}

/// Reads the administrator's file. One that is not there says nothing.
///
/// # Errors
/// [`ConfigError`], with the line and, for an unknown key, its name and the names there are.
pub fn load(path: &Path) -> Result<Policy, ConfigError> {
    match load_named(path) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Policy::default())
        }
        outcome => outcome,
    }
}

fn policy(text: &str) -> Result<Policy, (usize, String)> {
    let policy: Policy = parse(text)?;
    policy.check().map_err(|error| (line_of(text, error.key()), error.to_string()))?;
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_the_document_is_a_whole_policy() {
        let text = include_str!("../../docs/config.md");
        let example = text.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next());
        let policy = policy(example.expect("docs/config.md has an example")).expect("it is valid");
        let json = serde_json::to_value(&policy).expect("plain values");
        // One row of `policy show` for each key that there is.
        let rows = policy.over(&Policy::default()).rows();
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(rows.len()));
    }

    #[test]
    fn pol_20_a_wrong_value_is_refused_with_its_line_and_bounds() {
        let (line, message) = policy("\njobs-per-machine = 9\ninactivity-days = 1000\n").unwrap_err();
        assert_eq!((line, message.as_str()), (3, "inactivity-days is 1000; it may be 1 to 999"));
        let (line, message) = policy("jobs-per-machine = 9\n jobs-per-user=9\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(message.contains("below jobs-per-machine"), "{message}");
    }

    #[test]
    fn pol_20_an_unknown_key_is_refused_by_its_name_and_line() {
        let (line, message) = policy("# ours\njobs-per-usr = 3\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(message.contains("`jobs-per-usr`") && message.contains("`jobs-per-user`"), "{message}");
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing_and_a_folder_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(load(&folder.path().join("policy.toml")).expect("nothing"), Policy::default());
        assert!(load_named(&folder.path().join("policy.toml")).is_err(), "somebody named it");
        assert!(matches!(load(folder.path()), Err(ConfigError::Unreadable { .. })));
    }
}
