//! What an administrator set while the node ran: the computer's flags, the cache's limits.
//!
//! Knows: the small file each is kept in, and how it is replaced in one step. Does not know: what they mean, who says
//! otherwise.

use std::marker::PhantomData;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::Files;
use crate::job::PeerFlags;
use crate::record::CacheWish;

use super::jobs::{JobStoreError, replace};

/// Bytes of the file that we are willing to read.
const SETTING_LEN_MAX: u64 = 4_096;

/// Keeps one setting below the state folder.
#[derive(Clone, Debug)]
pub struct Setting<F: Files, T> {
    files: F,
    folder: PathBuf,
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

/// The computer's flags.
pub type FlagStore<F> = Setting<F, PeerFlags>;
/// What was said of the cache's limits.
pub type LimitStore<F> = Setting<F, CacheWish>;

impl<F: Files, T: Serialize + DeserializeOwned> Setting<F, T> {
    /// The setting kept under this name in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf, name: &'static str) -> Self {
        Self { files, folder, name, value: PhantomData }
    }

    /// What was set last; `None` if nothing ever was, or it cannot be read.
    #[must_use]
    pub fn load(&self) -> Option<T> {
        let bytes = self.files.read(&self.folder.join(self.name), SETTING_LEN_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
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
}
