//! The computer's flags, as they were set last.
//!
//! Knows: the small file they are kept in, and how it is replaced in one step. Does not know: policy, jobs' flags.

use std::path::PathBuf;

use crate::disk::{Existing, FileHandle, Files};
use crate::job::PeerFlags;

use super::jobs::{JobStoreError, at};

/// Bytes of the file that we are willing to read.
const FLAGS_LEN_MAX: u64 = 4_096;

/// Keeps the computer's flags below the state folder.
#[derive(Clone, Debug)]
pub struct FlagStore<F: Files> {
    files: F,
    folder: PathBuf,
}

impl<F: Files> FlagStore<F> {
    /// The flags kept in `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// What was set last; `None` if nothing ever was, or it cannot be read.
    #[must_use]
    pub fn load(&self) -> Option<PeerFlags> {
        let bytes = self.files.read(&self.folder.join("flags.json"), FLAGS_LEN_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps them: when this returns, they survive everything.
    ///
    /// # Errors
    /// [`JobStoreError::Io`]; what was kept before is still there.
    pub fn save(&self, flags: PeerFlags) -> Result<(), JobStoreError> {
        let (fresh, path) = (self.folder.join("flags.json.new"), self.folder.join("flags.json"));
        // Two booleans are always a value JSON can say.
        let bytes = serde_json::to_vec(&flags).unwrap_or_default();
        drop(self.files.remove(&fresh));
        let file = self.files.create_new(&fresh, 0o600).map_err(at("create", &fresh))?;
        file.write_at(0, &bytes).map_err(at("write", &fresh))?;
        file.sync().map_err(at("sync", &fresh))?;
        self.files.rename(&fresh, &path, Existing::Replace).map_err(at("rename", &fresh))?;
        self.files.sync_folder(&self.folder).map_err(at("sync", &self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealFiles;

    #[test]
    fn what_was_set_last_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FlagStore::new(RealFiles, folder.path().to_owned());
        assert_eq!(store.load(), None);
        for flags in [PeerFlags::BOTH, PeerFlags { client: true, server: false }] {
            store.save(flags).expect("saved");
            assert_eq!(store.load(), Some(flags));
        }
    }
}
