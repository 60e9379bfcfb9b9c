//! Copies of borrowed files, made at idle time so that the user's own copy may go.
//!
//! Knows: sharing blocks where the file system can, copying proved pieces where it cannot, how full the disk may
//! get. Never hard links: the user's edit would be ours (LOCAL-3). Does not know: when it is idle.

use std::path::Path;

use peer_proto::content::PieceIndex;

use super::meta::Borrowed;
use super::{Cache, CacheError, at, lock};
use crate::disk::{Existing, FileHandle, Files};
use crate::record::{CacheLimits, RecordId};

/// Bytes that are copied between two syncs, and so what a copy that is told to stop may still take to the disk.
const SYNC_EVERY: u64 = 16 << 20;

/// What became of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyOutcome {
    /// The cache has its own bytes now: all that the record holds.
    Copied,
    /// It had them already.
    NotNeeded,
    /// The disk is too full, or the cache has its share of it: the file stays borrowed.
    NoSpace,
    /// The file is not there any more, and with it the record.
    Changed,
    /// It was told to stop; nothing of the copy is left.
    Stopped,
}

impl<F: Files> Cache<F> {
    /// A record that is still borrowed, if there is one: something to do when nothing else is. The next one `after`
    /// another, in the order of their names and round again, so that one that cannot be copied keeps none waiting.
    #[must_use]
    pub fn next_borrowed(&self, after: Option<RecordId>) -> Option<RecordId> {
        let records = lock(&self.shared.records);
        let borrowed = || records.values().filter(|meta| meta.borrowed.is_some()).map(|meta| meta.summary.id);
        let next = borrowed().find(|id| after.is_none_or(|after| *id > after));
        next.or_else(|| borrowed().next())
    }

    /// Gives the cache its own copy of a borrowed file. Blocks as long as copying takes, or until `goes_on` says no,
    /// which it is asked at every piece.
    ///
    /// # Errors
    /// [`CacheError`]; the file stays borrowed, and nothing of the copy is left.
    pub fn copy_borrowed(
        &self,
        id: RecordId,
        limits: &CacheLimits,
        goes_on: impl Fn() -> bool,
    ) -> Result<CopyOutcome, CacheError> {
        let shared = &*self.shared;
        let (borrowed, len) = {
            let records = lock(&shared.records);
            let meta = records.get(&id).ok_or(CacheError::NoRecord(id))?;
            let Some(borrowed) = meta.borrowed.clone() else { return Ok(CopyOutcome::NotNeeded) };
            (borrowed, meta.summary.content.len)
        };
        let fresh = shared.path(id, "data.new");
        drop(shared.files.remove(&fresh));
        let Some(source) = shared.open_source(id, Some(&borrowed))? else {
            self.lose_source(id, Some(&borrowed))?;
            return Ok(CopyOutcome::Changed);
        };
        if !self.has_space(len, limits)? {
            return Ok(CopyOutcome::NoSpace);
        }
        let outcome = self.copy_to(&fresh, id, (&borrowed, &source), &goes_on);
        if !matches!(outcome, Ok(CopyOutcome::Copied)) {
            drop(shared.files.remove(&fresh));
        }
        outcome
    }

    fn copy_to(
        &self,
        fresh: &Path,
        id: RecordId,
        (borrowed, source): (&Borrowed, &F::File),
        goes_on: &impl Fn() -> bool,
    ) -> Result<CopyOutcome, CacheError> {
        let shared = &*self.shared;
        let path = shared.path(id, "data");
        let file = shared.files.create_new(fresh, 0o600).map_err(at("create", fresh))?;
        if file.share_blocks_of(source).is_err() {
            let outcome = self.copy_pieces(id, &file, fresh, goes_on)?;
            if outcome != CopyOutcome::Copied {
                return Ok(outcome);
            }
        }
        file.sync().map_err(at("sync", fresh))?;
        shared.files.rename(fresh, &path, Existing::Replace).map_err(at("rename", fresh))?;
        shared.files.sync_folder(&shared.folder).map_err(at("sync", &shared.folder))?;
        let mut records = lock(&shared.records);
        let Some(meta) = records.get_mut(&id).filter(|meta| meta.borrowed.as_ref() == Some(borrowed)) else {
            drop(shared.files.remove(&path));
            return Ok(CopyOutcome::Changed);
        };
        meta.borrowed = None;
        shared.write_meta(meta)?;
        Ok(CopyOutcome::Copied)
    }

    /// Copies piece by piece what the record holds, each proved on the way. One that is not what it was is not held
    /// any more, and left out.
    fn copy_pieces(
        &self,
        id: RecordId,
        to: &F::File,
        path: &Path,
        goes_on: &impl Fn() -> bool,
    ) -> Result<CopyOutcome, CacheError> {
        let Some(list) = self.list(id) else { return Ok(CopyOutcome::Changed) };
        to.set_len(list.geometry().len()).map_err(at("extend", path))?;
        let (mut buffer, mut unsynced) = (Vec::new(), 0);
        for piece in (0..list.geometry().piece_count()).map(PieceIndex) {
            if !goes_on() {
                return Ok(CopyOutcome::Stopped);
            }
            let Some(range) = list.geometry().piece_range(piece) else { continue };
            match self.read_piece(id, piece, &mut buffer) {
                Ok(()) => to.write_at(range.start(), &buffer).map_err(at("write", path))?,
                Err(CacheError::NotHeld { .. }) => continue,
                Err(CacheError::NoRecord(_)) => return Ok(CopyOutcome::Changed),
                Err(error) => return Err(error),
            }
            unsynced += range.len();
            if unsynced >= SYNC_EVERY {
                to.sync().map_err(at("sync", path))?;
                unsynced = 0;
            }
        }
        Ok(CopyOutcome::Copied)
    }
}
