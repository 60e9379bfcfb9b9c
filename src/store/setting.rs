//! Small things a node writes down while it runs: the computer's flags, the cache's limits, its neighbours.
//!
//! Knows: the small file each is kept in, and how it is replaced in one step. Does not know: what they mean, who says
//! otherwise.

use std::marker::PhantomData;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{Existing, Files};
use crate::job::PeerFlags;
use crate::record::CacheWish;

use super::jobs::{JobStoreError, replace};

/// Bytes of a file of few values that we are willing to read.
const SETTING_LEN_MAX: u64 = 4_096;

/// Keeps one setting below the state folder.
#[derive(Clone, Debug)]
pub struct Setting<F: Files, T> {
    files: F,
    folder: PathBuf,
    name: &'static str,
    len_max: u64,
    value: PhantomData<fn() -> T>,
}

/// The computer's flags.
pub type FlagStore<F> = Setting<F, PeerFlags>;
/// Addresses of peers that `peer add` named, as they were written.
pub type AddedStore<F> = Setting<F, Vec<String>>;
/// What was said of the cache's limits.
pub type LimitStore<F> = Setting<F, CacheWish>;

impl<F: Files, T: Serialize + DeserializeOwned> Setting<F, T> {
    /// The setting kept under this name in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf, name: &'static str) -> Self {
        Self::sized(files, folder, name, SETTING_LEN_MAX)
    }

    /// The same for a file of at most so many bytes.
    pub const fn sized(files: F, folder: PathBuf, name: &'static str, len_max: u64) -> Self {
        Self { files, folder, name, len_max, value: PhantomData }
    }

    /// What was set last; `None` if nothing ever was, or it cannot be read.
    #[must_use]
    pub fn load(&self) -> Option<T> {
        let bytes = self.files.read(&self.folder.join(self.name), self.len_max).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The same; what is there and cannot be read is set aside as `<name>.damaged`, in place of an earlier one, and that is
    /// said in a line for the log.
    pub fn load_or_set_aside(&self) -> (Option<T>, Option<String>) {
        let path = self.folder.join(self.name);
        let reason = match self.files.read(&path, self.len_max) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(value) => return (Some(value), None),
                Err(error) => error.to_string(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (None, None),
            Err(error) => error.to_string(),
        };
        let aside = self.folder.join(format!("{}.damaged", self.name));
        let outcome = match self.files.rename(&path, &aside, Existing::Replace) {
            Ok(()) => format!("it was set aside as {}", aside.display()),
            Err(error) => format!("it stays there: {error}"),
        };
        (None, Some(format!("{} cannot be read ({reason}); {outcome}", path.display())))
    }

    /// Keeps it: when this returns, it survives everything.
    ///
    /// # Errors
    /// [`JobStoreError::Io`]; what was kept before is still there.
    pub fn save(&self, value: &T) -> Result<(), JobStoreError> {
        // Settings are plain values, which JSON can always say.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        replace(&self.files, &self.folder, [&format!("{}.new", self.name), self.name], &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealFiles;

    #[test]
    fn what_was_set_last_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FlagStore::new(RealFiles, folder.path().to_owned(), "flags.json");
        assert_eq!(store.load(), None);
        for flags in [PeerFlags::BOTH, PeerFlags { client: true, server: false }] {
            store.save(&flags).expect("saved");
            assert_eq!(store.load(), Some(flags));
        }
    }

    #[test]
    fn what_is_damaged_is_set_aside_once_with_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Setting::<_, Vec<u32>>::sized(RealFiles, folder.path().to_owned(), "list.json", 20);
        assert_eq!(store.load_or_set_aside(), (None, None), "nothing is there");
        store.save(&vec![1, 2]).expect("saved");
        assert_eq!(store.load_or_set_aside(), (Some(vec![1, 2]), None));
        let too_long = "[".to_owned() + &" ".repeat(40) + "]";
        for text in ["[1, 2", "{}", "\0", too_long.as_str()] {
            std::fs::write(folder.path().join("list.json"), text).expect("written");
            let (found, note) = store.load_or_set_aside();
            assert_eq!(found, None);
            let note = note.expect("it is said");
            assert!(note.contains("list.json.damaged") && !note.contains('\n'), "{note}");
            assert_eq!(std::fs::read_to_string(folder.path().join("list.json.damaged")).expect("kept"), text);
            assert_eq!(store.load_or_set_aside(), (None, None), "once");
        }
    }
}
