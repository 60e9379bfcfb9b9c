//! The partial file: bytes that come in from anywhere, and a journal that says which of them count.
//!
//! Knows: where the part lies, who writes which piece, when things become durable, what survives a restart. Does not
//! know: where bytes come from or whether a value may be trusted; it records what it is told, and proves pieces
//! again only where this machine could have damaged them.

mod claims;
mod open;
pub mod seal;
mod sync;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peer_proto::content::{Geometry, Hash, PieceIndex};
use peer_proto::digest::Algorithm;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;
use peer_proto::verify::piece_value;
use peer_proto::version::Version;

use super::error::{At, DiskError};
use super::files::{BootId, Existing, FileHandle, FileStat, Files};
use super::journal::{Durably, Entry, Header, Journal};
use super::paths::Destination;
use super::pieces::{Piece, Pieces};
use super::prefix::Follower;

use self::claims::Claims;
pub use self::claims::Writer;
pub use self::open::{Found, Opened};

/// The journal is written when this many bytes were committed since it was written last: what `kill -9` costs.
pub const JOURNAL_EVERY: u64 = 4 * 1024 * 1024;
/// Bytes that wait for a sync at most before one is due.
pub const SYNC_EVERY: u64 = 64 * 1024 * 1024;
/// Time after which a sync is due if any bytes wait.
pub const SYNC_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// One file while it comes in. Every method blocks and may be called from any thread.
pub struct Part<F: Files> {
    files: F,
    destination: Destination,
    existing: Existing,
    path: PathBuf,
    journal_path: PathBuf,
    file: Arc<F::File>,
    /// Which file on which device it is, for ever.
    stat: FileStat,
    boot: Option<BootId>,
    /// Held while bytes are written: who writes which piece. Taken before `state`.
    claims: Mutex<Claims>,
    state: Mutex<State<F>>,
    /// Held while a sync runs. Taken before everything else.
    syncing: Mutex<()>,
}

struct State<F: Files> {
    journal: Option<Journal<F>>,
    generation: u32,
    version: Option<Version>,
    len: Option<u64>,
    pieces: Pieces,
    /// Records not yet in the journal, and the bytes they stand for.
    pending: Vec<Entry>,
    pending_bytes: u64,
    unsynced_bytes: u64,
    unsynced_since: Option<Instant>,
    /// A sync failed: nothing that was not durable then is believed to be on disk until it was written again.
    distrusts_data: bool,
    /// The same of the journal.
    distrusts_journal: bool,
    /// Whether the part's name is durable.
    is_name_durable: bool,
    /// Whether the file has its final name.
    is_delivered: bool,
    follower: Option<Follower<F::File>>,
}

impl<F: Files> Part<F> {
    /// Where the bytes lie until they are delivered.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file is delivered to.
    #[must_use]
    pub fn destination(&self) -> PathBuf {
        self.destination.path()
    }

    /// The version the bytes belong to, once one is pinned.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.state().version.clone()
    }

    /// The file's length, once known.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        self.state().len
    }

    /// Whether no piece is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state().pieces.each().next().is_none()
    }

    /// What is stored.
    #[must_use]
    pub fn runs(&self) -> Vec<PieceRun> {
        self.state().pieces.runs()
    }

    /// Empties the part and pins it to a version. Everything known of the old bytes is forgotten first.
    ///
    /// # Errors
    /// [`DiskError`]; the old journal may then still stand, and its pieces are proved by it as before.
    pub fn reset(&self, version: &Version) -> Result<(), DiskError> {
        let _syncing = lock(&self.syncing);
        let mut claims = lock(&self.claims);
        let mut state = self.state();
        self.refuse_delivered(&state)?;
        let pieces = match version.len {
            Some(len) => Pieces::of(self.cut(len)?),
            None => Pieces::default(),
        };
        state.follower = None;
        state.generation = state.generation.saturating_add(1);
        state.version = Some(version.clone());
        state.len = version.len;
        state.pieces = pieces;
        state.pending.clear();
        (state.pending_bytes, state.unsynced_bytes, state.unsynced_since) = (0, 0, None);
        state.journal = None;
        claims.clear();
        // Everything will be written again anyway.
        state.distrusts_data = false;
        self.rewrite_journal(&mut state, Durably::Later)?;
        self.file.set_len(0).at("empty", &self.path)
    }

    /// Pins a part whose version was unknown to the one its origin states; what is stored stays.
    ///
    /// # Errors
    /// [`DiskError::BeyondEnd`] if the version has another length. [`DiskError::Io`]; the old journal then still
    /// stands, and a later flush tries again.
    pub fn pin(&self, version: &Version) -> Result<(), DiskError> {
        let mut state = self.state();
        self.refuse_delivered(&state)?;
        if state.len != version.len {
            return Err(self.beyond(version.len.unwrap_or(0)));
        }
        state.version = Some(version.clone());
        // What it replaces may be durable, unless it speaks of nothing.
        let is_bare = state.pieces.each().next().is_none() && state.pending.is_empty();
        let durably = if is_bare { Durably::Later } else { Durably::Synced };
        let pinned = self.rewrite_journal(&mut state, durably);
        state.distrusts_journal |= pinned.is_err();
        pinned
    }

    /// The length is learned at the good end of a body that did not say it before. Pieces can be committed from then
    /// on.
    ///
    /// # Errors
    /// [`DiskError::BeyondEnd`] beyond 4 TiB, or if another length is known already.
    pub fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        match state.len {
            Some(known) if known == len => Ok(()),
            Some(known) => Err(self.beyond(known)),
            None => {
                state.pieces = Pieces::of(self.cut(len)?);
                state.len = Some(len);
                state.pending.push(Entry::Length(len));
                Ok(())
            }
        }
    }

    /// Writes bytes where they belong. They do not count before their pieces are committed.
    ///
    /// Bytes of pieces that are stored already are left out: the first proof wins, and a late second source changes
    /// nothing. Bytes of suspect pieces are written, after the journal says that those are gaps.
    ///
    /// # Errors
    /// [`DiskError::BeyondEnd`], [`DiskError::Io`]; any part of the bytes may have been written.
    pub fn write_at(&self, writer: Writer, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(len).ok_or_else(|| self.beyond(offset))?;
        let mut claims = lock(&self.claims);
        let wanted = {
            let mut state = self.state();
            self.refuse_delivered(&state)?;
            match state.pieces.geometry().copied() {
                Some(cut) if end > cut.len() => return Err(self.beyond(cut.len())),
                Some(cut) => self.make_way(&mut state, &mut claims, writer, &cut, offset..end)?,
                None => std::iter::once(offset..end).collect(),
            }
        };
        for range in wanted {
            let from = usize::try_from(range.start - offset).unwrap_or(usize::MAX);
            let to = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            if let Some(bytes) = bytes.get(from..to) {
                self.file.write_at(range.start, bytes).at("write", &self.path)?;
            }
        }
        Ok(())
    }

    /// Makes room for pieces of a trusted standing: what is stored in their place under another value, on a peer's
    /// word only, becomes a gap. Call it before these pieces are written.
    ///
    /// # Errors
    /// [`DiskError::Io`] if the journal cannot say so; nothing may be written then.
    pub fn make_room(&self, run: &PieceRun) -> Result<(), DiskError> {
        if !matches!(run.standing, Standing::Certain | Standing::Proved) {
            return Ok(());
        }
        let mut claims = lock(&self.claims);
        let mut state = self.state();
        let mut is_changed = false;
        for (piece, value) in (run.first.0..).map(PieceIndex).zip(&run.values) {
            let is_refuted = state.pieces.at(piece).is_some_and(|stored| {
                matches!(stored.standing, Standing::Provisional { .. }) && stored.value != *value
            });
            if is_refuted {
                self.forget_in(&mut state, piece, 1);
                // Whoever wrote it before that other one did has to look at what lies there.
                claims.mix(piece);
                is_changed = true;
            }
        }
        if is_changed { self.flush_state(&mut state) } else { Ok(()) }
    }

    /// These pieces were written and hash to these values. Told to the journal every 4 MiB, or by
    /// [`flush`](Self::flush).
    ///
    /// A piece that two sources wrote into is read back first.
    ///
    /// # Errors
    /// [`DiskError::NotHeld`] names a piece in which bytes of two sources got mixed, which stays a gap, [`DiskError::Differs`]
    /// one that is stored with another value; those before it are committed. [`DiskError::LengthUnknown`],
    /// [`DiskError::BeyondEnd`]. [`DiskError::Io`] if the journal cannot be written: they count, a later flush tries again.
    pub fn commit(&self, run: &PieceRun) -> Result<(), DiskError> {
        let mut claims = lock(&self.claims);
        let mut state = self.state();
        let cut = self.geometry(&state)?;
        if !state.pieces.has(run.first, run.values.len()) {
            return Err(self.beyond(cut.len()));
        }
        let mut good = run.clone();
        let mut fault = None;
        for (index, piece) in (run.first.0..).map(PieceIndex).take(run.values.len()).enumerate() {
            let is_other = |stored: &super::pieces::Piece| {
                stored.standing != Standing::Suspect && stored.value != run.values[index]
            };
            if state.pieces.at(piece).is_some_and(is_other) {
                // Its bytes were left out when they were written: what is stored stays.
                fault = Some(DiskError::Differs { path: self.path.clone(), piece });
                good.values.truncate(index);
                break;
            }
            if claims.is_mixed(piece) && self.read_back(&cut, piece)? != Some(run.values[index]) {
                // Still mixed, for whoever commits it next.
                fault = Some(DiskError::NotHeld { path: self.path.clone(), piece });
                good.values.truncate(index);
                break;
            }
            claims.release(piece);
        }
        if !good.values.is_empty() {
            let bytes = self.run_bytes(&cut, &good);
            state.pieces.put(&good);
            state.pending.push(Entry::Run(good));
            state.pending_bytes += bytes;
            state.unsynced_bytes += bytes;
            let prefix = state.pieces.prefix_len();
            if let Some(follower) = &mut state.follower {
                follower.advance(prefix);
            }
        }
        if state.pending_bytes >= JOURNAL_EVERY {
            self.flush_state(&mut state)?;
        }
        fault.map_or(Ok(()), Err)
    }

    /// Changes the standing of stored pieces; their bytes stay.
    pub fn restand(&self, first: PieceIndex, count: u32, standing: Standing) {
        let mut state = self.state();
        state.pieces.restand(first, count, standing);
        state.pending.push(Entry::Restand { first, count, standing });
        self.follow_prefix(&mut state, first);
    }

    /// Makes pieces gaps again: their bytes are not what they were.
    pub fn forget(&self, first: PieceIndex, count: u32) {
        self.forget_in(&mut self.state(), first, count);
    }

    /// Writes everything committed to the journal, so that `kill -9` loses none of it.
    ///
    /// # Errors
    /// [`DiskError::Io`]; a later flush tries again.
    pub fn flush(&self) -> Result<(), DiskError> {
        self.flush_state(&mut self.state())
    }

    /// Reads bytes as they are; for whoever proves them himself.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_at(offset, bytes).at("read", &self.path)
    }

    /// Reads a certain or proved piece and proves it in this very buffer (TRUST-1). A piece that is no longer what it
    /// was is dropped.
    ///
    /// # Errors
    /// [`DiskError::NotHeld`] if the piece may not be given away; [`DiskError::Io`].
    pub fn read_piece(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
        buffer.clear();
        self.append_pieces(piece.0..piece.0.saturating_add(1), buffer)
    }

    /// Reads consecutive pieces behind what `buffer` holds already, in one go, and proves each of them there. As
    /// [`read_piece`](Self::read_piece) otherwise; `buffer` is of no use if any of them cannot be given.
    ///
    /// # Errors
    /// As [`read_piece`](Self::read_piece), for the first piece that may not be given away.
    pub fn append_pieces(&self, pieces: Range<u32>, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
        self.append_if(pieces, buffer, |_, held| {
            matches!(held.standing, Standing::Certain | Standing::Proved)
        })
    }

    /// The same for pieces that have exactly these values, provisional ones too: whoever asks by value answers for
    /// what he asks (TRUST-1). Suspect ones are not given.
    ///
    /// # Errors
    /// As [`read_piece`](Self::read_piece), for the first piece that does not have its value.
    pub fn append_by_value(
        &self,
        pieces: Range<u32>,
        values: &[Hash],
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        let first = pieces.start;
        self.append_if(pieces, buffer, |piece, held| {
            let asked = usize::try_from(piece - first).ok().and_then(|place| values.get(place));
            asked == Some(&held.value) && held.standing != Standing::Suspect
        })
    }

    fn append_if(
        &self,
        pieces: Range<u32>,
        buffer: &mut Vec<u8>,
        may_give: impl Fn(u32, &Piece) -> bool,
    ) -> Result<(), DiskError> {
        let not_held = |piece: u32| DiskError::NotHeld { path: self.path.clone(), piece: PieceIndex(piece) };
        let (cut, values) = {
            let state = self.state();
            let value_of = |piece: u32| match state.pieces.at(PieceIndex(piece)) {
                Some(held) if may_give(piece, held) => Ok(held.value),
                _ => Err(not_held(piece)),
            };
            let values = pieces.clone().map(value_of).collect::<Result<Vec<_>, _>>()?;
            (self.geometry(&state)?, values)
        };
        let range = cut.pieces_range(pieces.clone()).ok_or_else(|| not_held(pieces.start))?;
        let before = buffer.len();
        let len = usize::try_from(range.len()).unwrap_or(0);
        self.file.append_at(range.start(), len, buffer).at("read", &self.path)?;
        let mut rest = &buffer[before..];
        for (piece, value) in pieces.map(PieceIndex).zip(values) {
            let len = cut.piece_range(piece).map_or(0, |range| range.len());
            let (one, after) = rest.split_at(usize::try_from(len).unwrap_or(usize::MAX).min(rest.len()));
            rest = after;
            if piece_value(&cut, piece, one).is_ok_and(|found| found == value) {
                continue;
            }
            let mut state = self.state();
            // Unless it was replaced while we read.
            if state.pieces.at(piece).is_some_and(|stored| stored.value == value) {
                self.forget_in(&mut state, piece, 1);
            }
            return Err(not_held(piece.0));
        }
        Ok(())
    }

    /// Hashes the stored prefix on a thread of its own from now on, so that sealing has little left to do.
    pub fn follow(&self, algorithms: &[Algorithm]) {
        let mut state = self.state();
        let wanted: Vec<Algorithm> =
            algorithms.iter().copied().filter(|algorithm| *algorithm != Algorithm::Blake3).collect();
        if wanted.is_empty() || state.follower.as_ref().is_some_and(|follower| follower.covers(&wanted)) {
            return;
        }
        let mut follower = Follower::start(Arc::clone(&self.file), &wanted, state.len.unwrap_or(0));
        follower.advance(state.pieces.prefix_len());
        state.follower = Some(follower);
    }

    /// Removes part and journal, whatever is in them. After a delivery nothing is removed: the file is the user's, and
    /// the journal goes with the job's folder, after the job, so that a stop in between is recognised.
    ///
    /// # Errors
    /// [`DiskError::Io`] if one of them is still there.
    pub fn drop_part(&self) -> Result<(), DiskError> {
        let mut state = self.state();
        state.follower = None;
        state.journal = None;
        if state.is_delivered {
            return Ok(());
        }
        let is_ours = |found: FileStat| found.inode == self.stat.inode && found.device == self.stat.device;
        if self.files.stat(&self.path).is_ok_and(is_ours) {
            gone(self.files.remove(&self.path)).at("remove", &self.path)?;
        }
        gone(self.files.remove(&self.journal_path)).at("remove", &self.journal_path)
    }

    /// Removes a part that is not open, and its journal. What is under the final name stays.
    ///
    /// # Errors
    /// [`DiskError::Destination`] if that can be no file's path, [`DiskError::Io`] if one of the two is still there.
    pub fn discard(files: &F, destination: &Path, tag: &str, journal: &Path) -> Result<(), DiskError> {
        let path = super::paths::parse(destination)?.part_path(tag);
        if files.stat(&path).is_ok_and(|found| found.is_plain_of(files.uid())) {
            gone(files.remove(&path)).at("remove", &path)?;
        }
        drop(files.remove(&super::journal::sibling(journal)));
        gone(files.remove(journal)).at("remove", journal)
    }

    /// What of `range` is to be written: pieces that are stored are left out, suspect ones become gaps, durably enough
    /// for `kill -9`, before their bytes change.
    fn make_way(
        &self,
        state: &mut State<F>,
        claims: &mut Claims,
        writer: Writer,
        cut: &Geometry,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<std::ops::Range<u64>>, DiskError> {
        let mut wanted: Vec<std::ops::Range<u64>> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let Some((piece, whole)) =
                cut.piece_at(at).and_then(|piece| Some((piece, cut.piece_range(piece)?)))
            else {
                break;
            };
            let end = whole.end().min(range.end);
            let standing = state.pieces.at(piece).map(|stored| stored.standing);
            if standing == Some(Standing::Suspect) {
                self.forget_in(state, piece, 1);
                self.flush_state(state)?;
            }
            if matches!(standing, None | Some(Standing::Suspect)) {
                claims.claim(piece, writer);
                match wanted.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => wanted.push(at..end),
                }
            }
            at = end;
        }
        Ok(wanted)
    }

    fn read_back(
        &self,
        cut: &Geometry,
        piece: PieceIndex,
    ) -> Result<Option<peer_proto::content::Hash>, DiskError> {
        let Some(range) = cut.piece_range(piece) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(range.len()).unwrap_or(0)];
        match self.file.read_at(range.start(), &mut bytes) {
            Ok(()) => Ok(piece_value(cut, piece, &bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error).at("read", &self.path),
        }
    }

    fn forget_in(&self, state: &mut State<F>, first: PieceIndex, count: u32) {
        state.pieces.forget(first, count);
        state.pending.push(Entry::Gap { first, count });
        self.follow_prefix(state, first);
    }

    /// The stored prefix may be another: hash states beyond it, or beyond what changed, are of no use.
    fn follow_prefix(&self, state: &mut State<F>, changed: PieceIndex) {
        let prefix = state.pieces.prefix_len();
        let changed = state
            .pieces
            .geometry()
            .and_then(|cut| cut.piece_range(changed))
            .map_or(prefix, |range| range.start());
        if let Some(follower) = &mut state.follower {
            if prefix <= changed {
                follower.rewind(prefix);
            }
            follower.advance(prefix);
        }
    }

    fn flush_state(&self, state: &mut State<F>) -> Result<(), DiskError> {
        if state.version.is_none() {
            return Ok(());
        }
        if state.distrusts_journal || state.journal.as_ref().is_none_or(Journal::is_long) {
            // What it replaces may be durable: the new one must be before it takes the name.
            return self.rewrite_journal(state, Durably::Synced);
        }
        if let Some(journal) = &mut state.journal {
            journal.append(&state.pending)?;
        }
        state.pending.clear();
        state.pending_bytes = 0;
        Ok(())
    }

    /// Writes the journal anew from what is known: one header, one record per run.
    fn rewrite_journal(&self, state: &mut State<F>, durably: Durably) -> Result<(), DiskError> {
        let Some(version) = state.version.clone() else { return Ok(()) };
        state.generation = state.generation.saturating_add(1);
        let header = Header {
            generation: state.generation,
            boot: self.boot,
            device: self.stat.device,
            inode: self.stat.inode,
            version,
            len: state.len,
        };
        let mut entries: Vec<Entry> = state.pieces.runs().into_iter().map(Entry::Run).collect();
        if state.distrusts_data {
            entries.push(Entry::Doubt);
        }
        state.journal = Some(Journal::write_new(&self.files, &self.journal_path, header, &entries, durably)?);
        state.pending.clear();
        state.pending_bytes = 0;
        state.distrusts_journal = false;
        Ok(())
    }

    fn run_bytes(&self, cut: &Geometry, run: &PieceRun) -> u64 {
        let end = run.first.0.saturating_add(u32::try_from(run.values.len()).unwrap_or(u32::MAX));
        cut.pieces_range(run.first.0..end).map_or(0, |range| range.len())
    }

    fn geometry(&self, state: &State<F>) -> Result<Geometry, DiskError> {
        state.pieces.geometry().copied().ok_or_else(|| DiskError::LengthUnknown { path: self.path.clone() })
    }

    fn cut(&self, len: u64) -> Result<Geometry, DiskError> {
        Geometry::of(len).map_err(|_| self.beyond(len))
    }

    fn beyond(&self, offset: u64) -> DiskError {
        DiskError::BeyondEnd { path: self.path.clone(), offset }
    }

    /// A delivered file is the user's: never written again.
    fn refuse_delivered(&self, state: &State<F>) -> Result<(), DiskError> {
        if state.is_delivered {
            return Err(super::paths::DestinationError::Taken(self.destination.path()).into());
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State<F>> {
        lock(&self.state)
    }
}

/// Nothing to remove is as good as removed.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
