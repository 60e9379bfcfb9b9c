//! Jobs whose description cannot be read: where it lies, why, and what of their files is still on the disk (JOB-33).
//!
//! Knows: how destinations look in a description, whole or torn. Does not know: what else a job says.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::Files;
use crate::disk::paths::Destination;
use crate::job::JobId;

/// Destinations of one job that are looked at; torn text may seem to name any number.
const DESTINATIONS_MAX: usize = 4_096;
const KEY: &[u8] = b"\"destination\"";

/// A job that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damaged {
    /// Its name.
    pub job: JobId,
    /// Where its description lies now.
    pub path: PathBuf,
    /// Why it cannot be read, in one line.
    pub reason: String,
    /// Partial files of it that are there, beside their destinations: as many as the text still tells.
    pub parts: Vec<PathBuf>,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "job {} cannot be read and was set aside as {}: {}",
            self.job,
            self.path.display(),
            self.reason
        )?;
        for part in &self.parts {
            write!(f, "; {} stays", part.display())?;
        }
        Ok(())
    }
}

/// The partial files of a job that are there, as far as what is left of its description tells.
pub(super) fn parts_of(files: &impl Files, job: JobId, text: &[u8]) -> Vec<PathBuf> {
    let tag = job.to_string();
    let parts = destinations(text).into_iter().filter_map(|path| part_of(&path, &tag));
    parts.filter(|part| files.stat(part).is_ok()).collect()
}

fn part_of(path: &Path, tag: &str) -> Option<PathBuf> {
    let (folder, name) = path.is_absolute().then(|| path.parent().zip(path.file_name())).flatten()?;
    Some(Destination { folder: folder.to_owned(), name: name.to_owned() }.part_path(tag))
}

/// Every text that stands as a `"destination"`, whatever stands around it.
fn destinations(text: &[u8]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while found.len() < DESTINATIONS_MAX
        && let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY)
    {
        rest = rest.get(at + KEY.len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        // Whatever follows the text is none of its business.
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<PathBuf>();
        found.extend(values.next().and_then(Result::ok));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_found_in_whole_and_in_torn_text() {
        let whole =
            br#"{"spec":{"files":[{"url":"u","destination":"/a/b \"c\""},{"destination" : "/d"}]},"x":1}"#;
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        assert_eq!(destinations(whole), paths(&["/a/b \"c\"", "/d"]));
        assert_eq!(destinations(&whole[..60]), paths(&["/a/b \"c\""]));
        assert_eq!(destinations(b"\xff\"destination\": 7, \"destination\""), paths(&[]));
    }

    #[test]
    fn a_part_is_looked_for_beside_an_absolute_destination_only() {
        assert_eq!(part_of(Path::new("/out/f.bin"), "ab"), Some("/out/.f.bin.ab.part".into()));
        assert_eq!((part_of(Path::new("f.bin"), "ab"), part_of(Path::new("/"), "ab")), (None, None));
    }
}
