//! Copies of borrowed files, made at idle time so that the user's own copy may go.
//!
//! Knows: sharing blocks where the file system can, copying proved pieces where it cannot, how full the disk may
//! get. Never hard links: the user's edit would be ours (LOCAL-3). Does not know: when it is idle.

use std::path::Path;

use peer_proto::content::PieceIndex;

use super::{Cache, CacheError, at, lock};
use crate::disk::{Existing, FileHandle, Files};
use crate::record::{Holding, RecordId};

/// Space that is left free at least, whatever the disk's size.
const FREE_MIN: u64 = 1 << 30;

/// What became of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyOutcome {
    /// The cache has its own bytes now.
    Copied,
    /// It had them already.
    NotNeeded,
    /// The disk is too full, or the cache has its share of it: the file stays borrowed.
    NoSpace,
    /// The file changed meanwhile; the record shrank or went.
    Changed,
}

impl<F: Files> Cache<F> {
    /// A record that is still borrowed, if there is one: something to do when nothing else is.
    #[must_use]
    pub fn next_borrowed(&self) -> Option<RecordId> {
        lock(&self.shared.records).values().find(|meta| meta.borrowed.is_some()).map(|meta| meta.summary.id)
    }

    /// Gives the cache its own copy of a borrowed file. Blocks as long as copying takes.
    ///
    /// # Errors
    /// [`CacheError`]; the file stays borrowed.
    pub fn copy_borrowed(&self, id: RecordId) -> Result<CopyOutcome, CacheError> {
        let shared = &*self.shared;
        let (borrowed, len) = {
            let records = lock(&shared.records);
            let meta = records.get(&id).ok_or(CacheError::NoRecord(id))?;
            let Some(borrowed) = meta.borrowed.clone() else { return Ok(CopyOutcome::NotNeeded) };
            (borrowed, meta.summary.content.len)
        };
        if !self.has_space(len)? {
            return Ok(CopyOutcome::NoSpace);
        }
        let (fresh, path) = (shared.path(id, "data.new"), shared.path(id, "data"));
        drop(shared.files.remove(&fresh));
        let file = shared.files.create_new(&fresh, 0o600).map_err(at("create", &fresh))?;
        let Some(source) = shared.open_source(id, Some(&borrowed))? else {
            drop(shared.files.remove(&fresh));
            return Ok(CopyOutcome::Changed);
        };
        if file.share_blocks_of(&source).is_err() && !self.copy_pieces(id, &file, &fresh)? {
            drop(shared.files.remove(&fresh));
            return Ok(CopyOutcome::Changed);
        }
        file.sync().map_err(at("sync", &fresh))?;
        shared.files.rename(&fresh, &path, Existing::Replace).map_err(at("rename", &fresh))?;
        shared.files.sync_folder(&shared.folder).map_err(at("sync", &shared.folder))?;
        let mut records = lock(&shared.records);
        let Some(meta) = records.get_mut(&id).filter(|meta| meta.borrowed.as_ref() == Some(&borrowed)) else {
            drop(shared.files.remove(&path));
            return Ok(CopyOutcome::Changed);
        };
        meta.borrowed = None;
        shared.write_meta(meta)?;
        Ok(CopyOutcome::Copied)
    }

    /// Copies piece by piece, each proved on the way; false if one of them is not what it was.
    fn copy_pieces(&self, id: RecordId, to: &F::File, path: &Path) -> Result<bool, CacheError> {
        let Some(list) = self.list(id) else { return Ok(false) };
        let mut buffer = Vec::new();
        for piece in (0..list.geometry().piece_count()).map(PieceIndex) {
            let Some(range) = list.geometry().piece_range(piece) else { continue };
            match self.read_piece(id, piece, &mut buffer) {
                Ok(()) => to.write_at(range.start(), &buffer).map_err(at("write", path))?,
                Err(CacheError::NotHeld { .. } | CacheError::NoRecord(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether `len` more bytes leave max(5 %, 1 GiB) of the disk free, and the cache within a fifth of it.
    fn has_space(&self, len: u64) -> Result<bool, CacheError> {
        let shared = &*self.shared;
        let space = shared.files.space(&shared.folder).map_err(at("look at", &shared.folder))?;
        let own: u64 = lock(&shared.records)
            .values()
            .filter(|meta| meta.borrowed.is_none() && meta.summary.holding == Holding::Whole)
            .map(|meta| meta.summary.content.len)
            .fold(0, u64::saturating_add);
        let left = space.free.saturating_sub(len);
        Ok(left >= FREE_MIN.max(space.total / 20) && own.saturating_add(len) <= space.total / 5)
    }
}
