//! Making a part durable, and not believing a disk that failed once.
//!
//! Knows: when a sync is due, what a failed one may have lost. Does not know: what the clock says; it is told.

use std::io;

use peer_proto::content::PieceIndex;
use peer_proto::time::Instant;
use peer_proto::verify::piece_value;

use super::{Part, SYNC_AFTER, SYNC_EVERY, lock};
use crate::disk::error::{At, DiskError};
use crate::disk::files::{FileHandle, Files};
use crate::disk::journal::{Durably, Entry, Journal};

impl<F: Files> Part<F> {
    /// Syncs if 64 MiB or one second of bytes wait for it; whether it did. Call it now and then from a thread that may
    /// block, at least once a second while bytes come in.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn sync_if_due(&self, now: Instant) -> Result<bool, DiskError> {
        {
            let mut state = self.state();
            if state.unsynced_bytes == 0 || state.is_delivered {
                return Ok(false);
            }
            let since = *state.unsynced_since.get_or_insert(now);
            if state.unsynced_bytes < SYNC_EVERY && now.since(since) < SYNC_AFTER {
                return Ok(false);
            }
        }
        // Somebody else is at it: it need not be done twice.
        if self.syncing.try_lock().is_err() {
            return Ok(false);
        }
        self.sync()?;
        Ok(true)
    }

    /// Makes everything committed so far durable: bytes, the part's name, journal, in this order.
    ///
    /// # Errors
    /// [`DiskError::Io`]. Nothing is believed then: the next sync reads, proves and writes again every piece that
    /// was not durable, and those that do not prove are gaps (their number shows in [`runs`](Self::runs)).
    pub fn sync(&self) -> Result<(), DiskError> {
        let _syncing = lock(&self.syncing);
        self.sync_data()?;
        if !self.state().is_name_durable {
            self.sync_name()?;
        }
        self.sync_journal()
    }

    /// Bytes and journal only: enough where the name changes at once anyway.
    pub(in crate::disk) fn sync_unnamed(&self) -> Result<(), DiskError> {
        let _syncing = lock(&self.syncing);
        self.sync_data()?;
        self.sync_journal()
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        if self.state().distrusts_data {
            self.write_again()?;
        }
        let covered = {
            let mut state = self.state();
            (state.unsynced_bytes, state.unsynced_since) = (0, None);
            state.pieces.not_durable()
        };
        let outcome = self.file.sync();
        let mut state = self.state();
        match outcome {
            Ok(()) => {
                state.pieces.mark_durable(&covered);
                Ok(())
            }
            Err(error) => {
                // The kernel may have dropped those bytes and will not say so a second time (fsync-gate).
                state.distrusts_data = true;
                state.unsynced_bytes = state.unsynced_bytes.max(1);
                // The next process must know as well. If this cannot be written either, the first error counts.
                state.pending.push(Entry::Doubt);
                drop(self.flush_state(&mut state));
                Err(error).at("sync", &self.path)
            }
        }
    }

    fn sync_name(&self) -> Result<(), DiskError> {
        let folder = &self.destination.folder;
        self.files.sync_folder(folder).at("sync", folder)?;
        self.state().is_name_durable = true;
        Ok(())
    }

    fn sync_journal(&self) -> Result<(), DiskError> {
        let unsynced = {
            let mut state = self.state();
            if state.distrusts_journal {
                return self.rewrite_journal(&mut state, Durably::Synced);
            }
            self.flush_state(&mut state)?;
            state.journal.as_ref().map(Journal::unsynced)
        };
        let Some(unsynced) = unsynced else { return Ok(()) };
        // Not under the lock: bytes keep coming in meanwhile.
        let outcome = unsynced.sync(&self.files);
        let mut state = self.state();
        if outcome.is_ok() {
            if let Some(journal) = &mut state.journal {
                journal.mark_synced(&unsynced);
            }
            return Ok(());
        }
        // Not tried again: written anew, from memory, as another file.
        state.distrusts_journal = true;
        self.rewrite_journal(&mut state, Durably::Synced)
    }

    /// Reads, proves and writes every piece that no sync has covered, so that the next sync has something to do.
    fn write_again(&self) -> Result<(), DiskError> {
        let _claims = lock(&self.claims);
        let mut state = self.state();
        let Some(cut) = state.pieces.geometry().copied() else { return Ok(()) };
        let mut buffer = Vec::new();
        for (piece, value) in state.pieces.not_durable() {
            let Some(range) = cut.piece_range(piece) else { continue };
            buffer.resize(usize::try_from(range.len()).unwrap_or(0), 0);
            let agrees = match self.file.read_at(range.start(), &mut buffer) {
                Ok(()) => piece_value(&cut, piece, &buffer).is_ok_and(|found| found == value),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error).at("read", &self.path),
            };
            if agrees {
                self.file.write_at(range.start(), &buffer).at("write", &self.path)?;
            } else {
                self.forget_in(&mut state, piece, 1);
            }
        }
        // `distrusts_data` stays: pieces unfinished now had bytes in flight, and must be written again as well
        // before they are believed. It costs one more write per piece on a disk that has failed already.
        Ok(())
    }

    /// Pieces whose bytes do not have their values any more; they are gaps from now on.
    pub(in crate::disk) fn drop_rotten(&self) -> Result<Vec<PieceIndex>, DiskError> {
        let mut rotten = Vec::new();
        let mut buffer = Vec::new();
        let mut state = self.state();
        let Some(cut) = state.pieces.geometry().copied() else { return Ok(rotten) };
        let stored: Vec<_> = state.pieces.each().map(|(piece, stored)| (piece, stored.value)).collect();
        for (piece, value) in stored {
            let Some(range) = cut.piece_range(piece) else { continue };
            buffer.resize(usize::try_from(range.len()).unwrap_or(0), 0);
            let agrees = match self.file.read_at(range.start(), &mut buffer) {
                Ok(()) => piece_value(&cut, piece, &buffer).is_ok_and(|found| found == value),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error).at("read", &self.path),
            };
            if !agrees {
                self.forget_in(&mut state, piece, 1);
                rotten.push(piece);
            }
        }
        Ok(rotten)
    }
}
