//! Opening a part: adopting what an earlier process left, proving it again after a boot.
//!
//! Knows: which files beside a destination are ours, what a restart and what a power cut can have done to them. Does
//! not know: whether the version is still the origin's.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::verify::piece_value;
use peer_proto::version::Version;

use super::{Claims, Part, State};
use crate::disk::error::{At, DiskError};
use crate::disk::files::{Access, BootId, Existing, FileHandle, FileStat, Files, boot_id};
use crate::disk::journal::{self, Durably, Entry, Header, Journal, Replay};
use crate::disk::paths::{self, Destination};
use crate::disk::pieces::Pieces;

/// A part, opened, and what was in it.
pub struct Opened<F: Files> {
    /// The part.
    pub part: Part<F>,
    /// What counts of it.
    pub found: Found,
}

/// What an opened part holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The version its bytes belong to; `None` if there was nothing.
    pub version: Option<Version>,
    /// The file's length, if known.
    pub len: Option<u64>,
    /// The pieces whose bytes are there and agree with the journal.
    pub runs: Vec<PieceRun>,
    /// Whether the file has its final name already: the process stopped between the rename and the end of the job.
    pub is_delivered: bool,
}

impl<F: Files> Part<F> {
    /// Opens or creates the part of a destination.
    ///
    /// `tag` names the job; `journal` is the file that keeps what is known, in the state folder. A part left by an
    /// earlier process is adopted if it is the very file the journal speaks of. After a boot every piece is read and
    /// proved against its journalled value, and only what agrees counts.
    ///
    /// # Errors
    /// [`DiskError::Destination`] if the destination cannot take a file; [`DiskError::InTheWay`] if something foreign
    /// has the part's name; [`DiskError::ForeignJournal`]; [`DiskError::Io`].
    pub fn open(
        files: &F,
        destination: &Path,
        tag: &str,
        journal: &Path,
        existing: Existing,
    ) -> Result<Opened<F>, DiskError> {
        let place = paths::parse(destination)?;
        let boot = boot_id(files);
        let replay = Journal::replay(files, journal)?;
        drop(files.remove(&journal::sibling(journal)));
        let opening = Opening { files, place, path_tag: tag, journal, existing, boot };
        if let Some(replay) = &replay
            && let Some(opened) = opening.delivered(replay)?
        {
            return Ok(opened);
        }
        paths::check_destination(files, destination, existing)?;
        opening.adopt_or_create(replay)
    }
}

struct Opening<'a, F: Files> {
    files: &'a F,
    place: Destination,
    path_tag: &'a str,
    journal: &'a Path,
    existing: Existing,
    boot: Option<BootId>,
}

impl<F: Files> Opening<'_, F> {
    fn same_boot(&self, header: &Header) -> bool {
        header.boot.is_some() && header.boot == self.boot
    }

    /// Whether this is the file the journal speaks of. Device numbers may change from boot to boot; then the bytes
    /// themselves decide.
    fn is_named_by(&self, header: &Header, stat: &FileStat) -> bool {
        stat.is_plain_of(self.files.uid())
            && stat.inode == header.inode
            && (stat.device == header.device || !self.same_boot(header))
    }

    /// The case of a process that stopped after the rename and before the job was forgotten.
    fn delivered(&self, replay: &Replay) -> Result<Option<Opened<F>>, DiskError> {
        let (header, path) = (&replay.header, self.place.path());
        if self.files.stat(&self.place.part_path(self.path_tag)).is_ok() {
            return Ok(None);
        }
        let Ok(named) = self.files.stat(&path) else { return Ok(None) };
        if !self.is_named_by(header, &named) || header.len != Some(named.len) {
            return Ok(None);
        }
        let file = self.files.open(&path, Access::Read).at("open", &path)?;
        let stat = file.stat().at("look at", &path)?;
        let mut pieces = apply(replay);
        if stat.inode != named.inode || !pieces.missing().is_empty() {
            return Ok(None);
        }
        if !self.same_boot(header) {
            prove_again(&file, &path, &mut pieces)?;
            if !pieces.missing().is_empty() {
                return Ok(None);
            }
        }
        // Only a sealed file gets this name: its digest has decided over what was suspect.
        for piece in pieces.gaps() {
            pieces.restand(piece, 1, Standing::Proved);
        }
        let mut part = self.part(file, stat, Some(replay), pieces);
        part.path = path;
        let state = part.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.is_delivered = true;
        // It was sealed, and so written again and synced, before it got this name.
        state.distrusts_data = false;
        if !replay.is_torn {
            state.journal = Some(Journal::go_on(self.files, self.journal, replay)?);
        }
        Ok(Some(opened(part)))
    }

    fn adopt_or_create(&self, replay: Option<Replay>) -> Result<Opened<F>, DiskError> {
        let path = self.place.part_path(self.path_tag);
        let in_the_way = || DiskError::InTheWay { path: path.clone() };
        match self.files.stat(&path) {
            Ok(stat) if !stat.is_plain_of(self.files.uid()) => Err(in_the_way()),
            Ok(named) => {
                if let Some(replay) = replay.filter(|replay| self.is_named_by(&replay.header, &named)) {
                    let file = self.files.open(&path, Access::ReadWrite).at("open", &path)?;
                    let stat = file.stat().at("look at", &path)?;
                    // Between the two looks the name may have been given to something else (T21).
                    if !self.is_named_by(&replay.header, &stat) {
                        return Err(in_the_way());
                    }
                    return self.adopt(file, stat, &replay);
                }
                // Ours by name and owner, but nothing tells what is in it: it was created and never pinned.
                self.files.remove(&path).at("remove", &path)?;
                self.create(&path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(&path),
            Err(cause) => Err(DiskError::Io { doing: "look at", path, cause }),
        }
    }

    fn create(&self, path: &Path) -> Result<Opened<F>, DiskError> {
        let file = self.files.create_new(path, 0o600).at("create", path)?;
        let stat = file.stat().at("look at", path)?;
        Ok(opened(self.part(file, stat, None, Pieces::default())))
    }

    fn adopt(&self, file: F::File, stat: FileStat, replay: &Replay) -> Result<Opened<F>, DiskError> {
        let path = self.place.part_path(self.path_tag);
        let mut pieces = apply(replay);
        let same_boot = self.same_boot(&replay.header);
        if same_boot {
            forget_beyond(&mut pieces, stat.len);
        } else {
            prove_again(&file, &path, &mut pieces)?;
        }
        let part = self.part(file, stat, Some(replay), pieces);
        {
            let mut state = part.state();
            if same_boot && !replay.is_torn {
                state.journal = Some(Journal::go_on(self.files, self.journal, replay)?);
            } else {
                // What was proved now is recorded under this boot before anything is built on it. The old journal
                // stays until the new one is whole: a crash in here starts the same recovery again (D43).
                part.rewrite_journal(&mut state, Durably::Synced)?;
            }
        }
        Ok(opened(part))
    }

    fn part(&self, file: F::File, stat: FileStat, replay: Option<&Replay>, pieces: Pieces) -> Part<F> {
        let state = State {
            journal: None,
            generation: replay.map_or(0, |replay| replay.header.generation),
            version: replay.map(|replay| replay.header.version.clone()),
            len: replay.and_then(|replay| replay.header.len),
            pieces,
            pending: Vec::new(),
            pending_bytes: 0,
            unsynced_bytes: 0,
            unsynced_since: None,
            // Which pieces were durable before a failed sync is not known any more: all are written again. After a
            // boot they were read from the disk itself.
            distrusts_data: replay.is_some_and(|replay| {
                self.same_boot(&replay.header) && replay.entries.contains(&Entry::Doubt)
            }),
            distrusts_journal: false,
            is_name_durable: false,
            is_delivered: false,
            follower: None,
        };
        Part {
            files: self.files.clone(),
            destination: self.place.clone(),
            existing: self.existing,
            path: self.place.part_path(self.path_tag),
            journal_path: self.journal.to_owned(),
            file: Arc::new(file),
            stat,
            boot: self.boot,
            claims: Mutex::new(Claims::default()),
            state: Mutex::new(state),
            syncing: Mutex::new(()),
        }
    }
}

fn opened<F: Files>(part: Part<F>) -> Opened<F> {
    let found = {
        let state = part.state();
        Found {
            version: state.version.clone(),
            len: state.len,
            runs: state.pieces.runs(),
            is_delivered: state.is_delivered,
        }
    };
    Opened { part, found }
}

/// What the journal's records add up to. Records that speak of pieces the file does not have are void.
fn apply(replay: &Replay) -> Pieces {
    let cut = |len: Option<u64>| len.and_then(|len| Geometry::of(len).ok());
    let mut pieces = cut(replay.header.len).map(Pieces::of).unwrap_or_default();
    for entry in &replay.entries {
        match entry {
            Entry::Run(run) if pieces.has(run.first, run.values.len()) => pieces.put(run),
            Entry::Restand { first, count, standing } => pieces.restand(*first, *count, *standing),
            Entry::Gap { first, count } => pieces.forget(*first, *count),
            Entry::Run(_) | Entry::Length(_) | Entry::Doubt => {}
        }
    }
    pieces
}

/// Pieces whose bytes are not in the file at all.
fn forget_beyond(pieces: &mut Pieces, file_len: u64) {
    let Some(cut) = pieces.geometry().copied() else { return };
    let beyond: Vec<PieceIndex> = pieces
        .each()
        .map(|(piece, _)| piece)
        .filter(|piece| cut.piece_range(*piece).is_none_or(|range| range.end() > file_len))
        .collect();
    beyond.into_iter().for_each(|piece| pieces.forget(piece, 1));
}

/// Reads every stored piece and forgets those that do not have their value.
fn prove_again<H: FileHandle>(file: &H, path: &Path, pieces: &mut Pieces) -> Result<(), DiskError> {
    let Some(cut) = pieces.geometry().copied() else { return Ok(()) };
    let mut buffer = Vec::new();
    let stored: Vec<_> = pieces.each().map(|(piece, stored)| (piece, stored.value)).collect();
    for (piece, value) in stored {
        let Some(range) = cut.piece_range(piece) else { continue };
        buffer.resize(usize::try_from(range.len()).unwrap_or(0), 0);
        let agrees = match file.read_at(range.start(), &mut buffer) {
            Ok(()) => piece_value(&cut, piece, &buffer).is_ok_and(|found| found == value),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            // A sector that cannot be read is a gap as well: it is written anew.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => false,
            Err(error) => return Err(error).at("read", path),
        };
        if !agrees {
            pieces.forget(piece, 1);
        }
    }
    Ok(())
}
