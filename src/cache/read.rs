//! Reading from records: hash lists, and pieces that are proved in the very buffer they are given away in.
//!
//! Knows: what may have happened to a borrowed file since (LOCAL-4), and that a list is believed only if it folds.
//! Does not know: sockets.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::verify::{HashList, ListPart};

use super::meta::{Borrowed, holds, without};
use super::{Cache, CacheError, Change, Shared, at, lock};
use crate::disk::{Access, FileHandle, FileKind, Files};
use crate::record::{Holding, RecordId};

/// Lists kept in memory at most.
const LISTS_MAX: usize = 8;
/// Values in all of them at most, unless one alone has more: 2 MiB.
const LIST_VALUES_MAX: usize = 64 * 1024;

/// The lists used last.
#[derive(Default)]
pub(super) struct Lists(VecDeque<(RecordId, Arc<HashList>)>);

impl Lists {
    fn find(&mut self, id: RecordId) -> Option<Arc<HashList>> {
        let at = self.0.iter().position(|(known, _)| *known == id)?;
        let found = self.0.remove(at)?;
        let list = Arc::clone(&found.1);
        self.0.push_front(found);
        Some(list)
    }

    fn add(&mut self, id: RecordId, list: Arc<HashList>) {
        self.forget(id);
        self.0.push_front((id, list));
        let values = |lists: &Self| lists.0.iter().map(|(_, list)| list.values().len()).sum::<usize>();
        while self.0.len() > LISTS_MAX || (self.0.len() > 1 && values(self) > LIST_VALUES_MAX) {
            self.0.pop_back();
        }
    }

    pub(super) fn forget(&mut self, id: RecordId) {
        self.0.retain(|(known, _)| *known != id);
    }
}

impl<F: Files> Cache<F> {
    /// The hash list of a record. One that does not fold to the record's root costs the record.
    #[must_use]
    pub fn list(&self, id: RecordId) -> Option<Arc<HashList>> {
        let shared = &*self.shared;
        if let Some(list) = lock(&shared.lists).find(id) {
            return Some(list);
        }
        let content = lock(&shared.records).get(&id)?.summary.content;
        let path = shared.path(id, "list");
        let len_max = u64::from(peer_proto::limits::LIST_PAGES_MAX)
            * u64::from(peer_proto::limits::LIST_PAGE_VALUES)
            * 32;
        let list = match shared.files.read(&path, len_max) {
            Ok(bytes) => values_of(&bytes).and_then(|values| HashList::proved(content, values).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Perhaps no descriptor was left: the record is not to blame.
            Err(_) => return None,
        };
        let Some(list) = list.map(Arc::new) else {
            if lock(&shared.records).remove(&id).is_some() {
                shared.set_aside(id, "its hash list is damaged");
                shared.changed(Change::Gone(id));
            }
            return None;
        };
        lock(&shared.lists).add(id, Arc::clone(&list));
        Some(list)
    }

    /// One part of a record's hash list; `None` if the record is gone or has no such part.
    #[must_use]
    pub fn list_part(&self, id: RecordId, part: ListPart) -> Option<Vec<Hash>> {
        self.list(id)?.part(part)
    }

    /// Reads a piece and proves it in the very buffer it is returned in.
    ///
    /// A piece that does not prove is dropped from the record (D46); a borrowed file that was replaced costs the
    /// whole record. Both show in [`take_changes`](Self::take_changes). The file is opened for this read only.
    ///
    /// # Errors
    /// [`CacheError::NotHeld`], [`CacheError::NoRecord`]; [`CacheError::Io`] if this machine is at its end, which
    /// says nothing of the piece.
    pub fn read_piece(
        &self,
        id: RecordId,
        piece: PieceIndex,
        buffer: &mut Vec<u8>,
    ) -> Result<(), CacheError> {
        buffer.clear();
        self.append_pieces(id, piece.0..piece.0.saturating_add(1), buffer)
    }

    /// Reads consecutive pieces behind what `buffer` holds already, in one go, and proves each of them there. As
    /// [`read_piece`](Self::read_piece) otherwise; `buffer` is as it was if any of them cannot be given.
    ///
    /// # Errors
    /// As [`read_piece`](Self::read_piece), for the first piece that is not held.
    pub fn append_pieces(
        &self,
        id: RecordId,
        pieces: Range<u32>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), CacheError> {
        let shared = &*self.shared;
        let not_held = |piece: u32| CacheError::NotHeld { record: id, piece: PieceIndex(piece) };
        let borrowed = {
            let records = lock(&shared.records);
            // Whoever asked did not know: perhaps he was told things in another order. He is told again.
            let Some(meta) = records.get(&id) else {
                shared.changed(Change::Gone(id));
                return Err(CacheError::NoRecord(id));
            };
            if let Some(missing) = pieces.clone().find(|piece| !holds(&meta.summary.holding, *piece)) {
                shared.changed(Change::Held(meta.summary.clone()));
                return Err(not_held(missing));
            }
            meta.borrowed.clone()
        };
        let list = self.list(id).ok_or_else(|| not_held(pieces.start))?;
        let cut = list.geometry();
        let range = cut.pieces_range(pieces.clone()).ok_or_else(|| not_held(pieces.start))?;
        let Some(file) = shared.open_source(id, borrowed.as_ref())? else {
            self.lose_source(id, borrowed.as_ref())?;
            return Err(not_held(pieces.start));
        };
        let before = buffer.len();
        let len = usize::try_from(range.len()).unwrap_or(0);
        let wrong = match file.append_at(range.start(), len, buffer) {
            Ok(()) => first_wrong(&list, pieces, &buffer[before..]),
            // Cut off, or a sector that cannot be read: only the pieces there are to blame.
            Err(error) if says_bytes_are_gone(&error) && pieces.len() > 1 => {
                return pieces.into_iter().try_for_each(|piece| {
                    self.append_pieces(id, piece..piece + 1, buffer).inspect_err(|_| buffer.truncate(before))
                });
            }
            Err(error) if says_bytes_are_gone(&error) => Some(pieces.start),
            Err(error) => return Err(at("read", &shared.path(id, "data"))(error)),
        };
        let Some(wrong) = wrong else { return Ok(()) };
        buffer.truncate(before);
        self.drop_piece(id, PieceIndex(wrong), cut.piece_count())?;
        Err(not_held(wrong))
    }

    /// The record shrinks by one piece; without any it is gone.
    fn drop_piece(&self, id: RecordId, piece: PieceIndex, piece_count: u32) -> Result<(), CacheError> {
        let shared = &*self.shared;
        let mut records = lock(&shared.records);
        let Some(meta) = records.get_mut(&id) else { return Ok(()) };
        meta.summary.holding = without(&meta.summary.holding, piece.0, piece_count);
        if meta.summary.holding == Holding::Runs(Vec::new()) {
            records.remove(&id);
            shared.changed(Change::Gone(id));
            return shared.forget_files(id);
        }
        shared.changed(Change::Held(meta.summary.clone()));
        shared.write_meta(meta)
    }

    /// The record's bytes are gone as a whole, unless it got others meanwhile.
    pub(super) fn lose_source(&self, id: RecordId, borrowed: Option<&Borrowed>) -> Result<(), CacheError> {
        let shared = &*self.shared;
        let mut records = lock(&shared.records);
        if records.get(&id).is_none_or(|meta| meta.borrowed.as_ref() != borrowed) {
            return Ok(());
        }
        records.remove(&id);
        shared.changed(Change::Gone(id));
        shared.forget_files(id)
    }
}

impl<F: Files> Shared<F> {
    /// Opens where the bytes are. `None` if the file that was recorded is not there any more, or no longer that file.
    pub(super) fn open_source(
        &self,
        id: RecordId,
        borrowed: Option<&Borrowed>,
    ) -> Result<Option<F::File>, CacheError> {
        let path = borrowed.map_or_else(|| self.path(id, "data"), |borrowed| borrowed.path.clone());
        let file = match self.files.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if says_file_is_gone(&error) => return Ok(None),
            Err(error) => return Err(io_at(path, error)),
        };
        let stat = file.stat().map_err(at("look at", &path))?;
        let is_ours = stat.kind == FileKind::Regular && stat.uid == self.files.uid();
        let is_the_one = borrowed.is_none_or(|borrowed| {
            (stat.device, stat.inode, stat.len) == (borrowed.device, borrowed.inode, borrowed.len)
        });
        Ok((is_ours && is_the_one).then_some(file))
    }
}

/// The first of these pieces whose bytes do not have their value.
fn first_wrong(list: &HashList, pieces: Range<u32>, bytes: &[u8]) -> Option<u32> {
    let mut rest = bytes;
    pieces.into_iter().find(|piece| {
        let len = list.geometry().piece_range(PieceIndex(*piece)).map_or(0, |range| range.len());
        let (one, after) = rest.split_at(usize::try_from(len).unwrap_or(usize::MAX).min(rest.len()));
        rest = after;
        list.check(PieceIndex(*piece), one).is_err()
    })
}

fn io_at(path: PathBuf, cause: io::Error) -> CacheError {
    CacheError::Io { doing: "open", path, cause }
}

fn values_of(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (values, []) = bytes.as_chunks::<32>() else { return None };
    Some(values.iter().copied().map(Hash).collect())
}

/// Not there, a link, a pipe nobody writes to, not ours to read: whatever it is, it is not what was recorded.
fn says_file_is_gone(error: &io::Error) -> bool {
    const ENXIO: i32 = 6;
    const ELOOP: i32 = 40;
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
    ) || matches!(error.raw_os_error(), Some(ENXIO | ELOOP))
}

fn says_bytes_are_gone(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(EIO)
}
