//! Jobs on disk: `jobs/<id>/job.json`, and beside it one journal per file.
//!
//! Knows: how a job becomes durable before anybody is told, and what a stopped process leaves. Does not know: what a
//! job says; it keeps whatever value of the caller reads and writes as JSON.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::damaged::{self, Damaged};
use crate::disk::{Existing, FileHandle, Files};
use crate::job::{FileId, JobId};

/// Bytes of one job: a spec, and the decisions that are kept with it.
pub const JOB_LEN_MAX: u64 = 8 * 1024 * 1024;

const JOB: &str = "job.json";
const JOB_NEW: &str = "job.json.new";
const JOB_DAMAGED: &str = "job.json.damaged";

/// The jobs of one state folder.
#[derive(Clone, Debug)]
pub struct JobStore<F: Files> {
    files: F,
    folder: PathBuf,
}

/// What was found on disk.
#[derive(Clone, Debug)]
pub struct Loaded<J> {
    /// Jobs that can be read, in the order of their ids.
    pub jobs: Vec<J>,
    /// Jobs that cannot, set aside now or at an earlier start.
    pub damaged: Vec<Damaged>,
}

/// Why a job is not durable, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JobStoreError {
    /// The system refused an operation.
    #[error("cannot {doing} {}: {cause}", .path.display())]
    Io {
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The job is not a value JSON can say, or is longer than 8 MiB.
    #[error("job {id} cannot be written down: {reason}")]
    Unwritable {
        /// The job.
        id: JobId,
        /// Why.
        reason: String,
    },
}

impl JobStoreError {
    /// The system's word for it.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { cause, .. } => cause.kind(),
            Self::Unwritable { .. } => io::ErrorKind::InvalidInput,
        }
    }
}

impl<F: Files> JobStore<F> {
    /// The jobs below `folder`, which exists.
    pub const fn new(files: F, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// Where the journal of a file lies.
    #[must_use]
    pub fn journal_path(&self, file: FileId) -> PathBuf {
        self.job_folder(file.job).join(format!("{}.journal", file.index))
    }

    /// Makes a job of so many files durable: when this returns, it survives everything. Three syncs the first time, two
    /// afterwards.
    ///
    /// # Errors
    /// [`JobStoreError`]; the job is then as it was before.
    pub fn save<J: Serialize>(&self, id: JobId, files: u16, job: &J) -> Result<(), JobStoreError> {
        let unwritable = |reason: String| JobStoreError::Unwritable { id, reason };
        let bytes = serde_json::to_vec_pretty(job).map_err(|error| unwritable(error.to_string()))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > JOB_LEN_MAX {
            return Err(unwritable(format!("{} bytes are too many", bytes.len())));
        }
        let folder = self.job_folder(id);
        let is_new = match self.files.create_folder(&folder, 0o700) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.stat(&folder.join(JOB)).is_err()
            }
            Err(error) => return Err(at("create", &folder)(error)),
        };
        let last = self.journal_path(FileId { job: id, index: files.saturating_sub(1) });
        if files > 0 && (is_new || self.files.stat(&last).is_err()) {
            (0..files).try_for_each(|index| self.name_journal(FileId { job: id, index }))?;
        }
        replace(&self.files, &folder, [JOB_NEW, JOB], &bytes)?;
        if is_new {
            self.files.sync_folder(&self.folder).map_err(at("sync", &self.folder))?;
        }
        Ok(())
    }

    /// The journal's name becomes durable together with the job's; it is filled in place later.
    fn name_journal(&self, file: FileId) -> Result<(), JobStoreError> {
        let journal = self.journal_path(file);
        match self.files.create_new(&journal, 0o600) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(at("create", &journal)(error)),
        }
    }

    /// Reads every job. What a process left that stopped before its job was durable is removed; a job that cannot be
    /// read is set aside, and taken up again by a start that can read it.
    ///
    /// # Errors
    /// [`JobStoreError::Io`] if the folder itself cannot be read.
    pub fn load_all<J: DeserializeOwned>(&self) -> Result<Loaded<J>, JobStoreError> {
        let names = self.files.list(&self.folder).map_err(at("list", &self.folder))?;
        let mut loaded = Loaded { jobs: Vec::new(), damaged: Vec::new() };
        for name in names {
            let Some(id) = name.to_str().and_then(|name| name.parse::<JobId>().ok()) else { continue };
            let path = self.job_folder(id).join(JOB);
            let aside = self.job_folder(id).join(JOB_DAMAGED);
            let (found, text) = match self.files.read(&path, JOB_LEN_MAX) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match self.files.read(&aside, JOB_LEN_MAX) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            self.sweep(id);
                            continue;
                        }
                        text => (&aside, text),
                    }
                }
                text => (&path, text),
            };
            let outcome = match &text {
                Ok(text) => serde_json::from_slice(text).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(job) => {
                    if found == &aside && self.files.rename(&aside, &path, Existing::Refuse).is_err() {
                        continue;
                    }
                    loaded.jobs.push(job);
                }
                Err(reason) => {
                    let is_moved =
                        found == &path && self.files.rename(&path, &aside, Existing::Replace).is_ok();
                    let path = if is_moved { aside } else { found.clone() };
                    let parts = damaged::parts_of(&self.files, id, &text.unwrap_or_default());
                    loaded.damaged.push(Damaged { job: id, path, reason, parts });
                }
            }
        }
        Ok(loaded)
    }

    /// Forgets a job: its description first, then what lay beside it. Not synced: after a power cut a forgotten job
    /// may be found once more, with its file already delivered.
    ///
    /// # Errors
    /// [`JobStoreError::Io`] if its description is still there.
    pub fn remove(&self, id: JobId) -> Result<(), JobStoreError> {
        let path = self.job_folder(id).join(JOB);
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("remove", &path)(error)),
            _ => {}
        }
        self.sweep(id);
        Ok(())
    }

    /// Removes what lies in the folder of a job without description, unless it was set aside.
    fn sweep(&self, id: JobId) {
        let folder = self.job_folder(id);
        let names = self.files.list(&folder).unwrap_or_default();
        if names.iter().any(|name| name == JOB_DAMAGED) {
            return;
        }
        for name in names {
            drop(self.files.remove(&folder.join(name)));
        }
        drop(self.files.remove_folder(&folder));
    }

    fn job_folder(&self, id: JobId) -> PathBuf {
        self.folder.join(id.to_string())
    }
}

/// Puts a file, mode 0600, in the place of the one that had its name, in one step: written under the first name, it gets the
/// second. When this returns, it survives everything; if it fails, what was there before still is.
pub(super) fn replace<F: Files>(
    files: &F,
    folder: &Path,
    [fresh, name]: [&str; 2],
    bytes: &[u8],
) -> Result<(), JobStoreError> {
    let (fresh, path) = (folder.join(fresh), folder.join(name));
    drop(files.remove(&fresh));
    let file = files.create_new(&fresh, 0o600).map_err(at("create", &fresh))?;
    file.write_at(0, bytes).map_err(at("write", &fresh))?;
    file.sync().map_err(at("sync", &fresh))?;
    files.rename(&fresh, &path, Existing::Replace).map_err(at("rename", &fresh))?;
    files.sync_folder(folder).map_err(at("sync", folder))
}

pub(super) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JobStoreError {
    let path = path.to_owned();
    move |cause| JobStoreError::Io { doing, path, cause }
}
