//! A file that is coming in, on a modelled disk.
//!
//! Knows: what each piece was read from and how it stands, what a power cut takes. Does not know: why it is written.

use std::ops::Range;
use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::time::Instant;
use peer_proto::version::Version;
use simnet::{Disk, DiskFault, HostId};

use super::content::Library;
use crate::engine::io::PartFound;

/// One piece on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Which content it was read from.
    pub(super) content: u16,
    standing: Mark,
}

/// A standing that fits into a few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Certain,
    Proved,
    Provisional(HostId),
    Suspect,
}

/// A part and its journal.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) version: Option<Version>,
    pub(super) disk: Disk<Piece>,
    synced_at: Instant,
}

/// Data is synced in the background at least this often while bytes come in.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Part {
    pub(super) const fn new(room: u32) -> Self {
        Self { version: None, disk: Disk::new(room), synced_at: Instant::ZERO }
    }

    pub(super) fn write(
        &mut self,
        piece: u32,
        content: u16,
        (standing, library): (Standing, &Library),
        now: Instant,
    ) -> Result<(), DiskFault> {
        // As the real part does: what stands firm stays when it comes again, on somebody's word.
        if self.is_servable(piece) && !matches!(standing, Standing::Certain | Standing::Proved) {
            return Ok(());
        }
        self.disk.write(piece, Piece { content, standing: mark(standing, library) })?;
        if now.since(self.synced_at) >= SYNC_EVERY {
            self.disk.sync();
            self.synced_at = now;
        }
        Ok(())
    }

    pub(super) fn restand(&mut self, pieces: Range<u32>, standing: Standing, library: &Library) {
        for at in pieces {
            if let Some(piece) = self.disk.read(at) {
                // A change of standing needs no room, so it does not fail.
                self.disk.write(at, Piece { standing: mark(standing, library), ..piece }).unwrap_or_default();
            }
        }
    }

    /// Whether a piece may be given to others (TRUST-1).
    pub(super) fn is_servable(&self, piece: u32) -> bool {
        self.disk.read(piece).is_some_and(|piece| matches!(piece.standing, Mark::Certain | Mark::Proved))
    }

    /// What is found when the part is opened again.
    pub(super) fn found(&self, library: &Library, count: u32) -> PartFound {
        let mut runs: Vec<PieceRun> = Vec::new();
        for at in 0..count {
            let Some(piece) = self.disk.read(at) else { continue };
            let Some(value) = library.value(piece.content, at) else { continue };
            let standing = unmark(piece.standing, library);
            match runs.last_mut() {
                Some(run) if run.standing == standing && follows(run, at) => run.values.push(value),
                _ => runs.push(PieceRun { first: PieceIndex(at), values: vec![value], standing }),
            }
        }
        let version = if runs.is_empty() { None } else { self.version.clone() };
        PartFound { version, runs }
    }

    /// The one content all of a file's pieces were read from, or agree with; `None` if they are a mixture.
    pub(super) fn content(&self, library: &Library, count: u32) -> Option<u16> {
        let first = if count == 0 { Some(0) } else { self.disk.read(0).map(|piece| piece.content) }?;
        let is_of = |content: u16| {
            (0..count).all(|at| {
                self.disk.read(at).is_some_and(|piece| {
                    piece.content == content || library.value(piece.content, at) == library.value(content, at)
                })
            })
        };
        [first, super::content::TRUTH].into_iter().find(|content| is_of(*content))
    }
}

fn follows(run: &PieceRun, at: u32) -> bool {
    u32::try_from(run.values.len()).is_ok_and(|count| run.first.0 + count == at)
}

fn mark(standing: Standing, library: &Library) -> Mark {
    match standing {
        Standing::Certain => Mark::Certain,
        Standing::Proved => Mark::Proved,
        Standing::Provisional { author } => Mark::Provisional(library.host_of(author)),
        Standing::Suspect => Mark::Suspect,
    }
}

fn unmark(mark: Mark, library: &Library) -> Standing {
    match mark {
        Mark::Certain => Standing::Certain,
        Mark::Proved => Standing::Proved,
        Mark::Provisional(host) => Standing::Provisional { author: library.peer_of(host) },
        Mark::Suspect => Standing::Suspect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_firm_stays_when_it_comes_again_on_a_word() {
        let (mut part, library) = (Part::new(9), Library::of(1 << 20).unwrap());
        let word = Standing::Provisional { author: library.peer_of(HostId(1)) };
        part.write(3, 0, (word, &library), Instant::ZERO).unwrap();
        assert!(!part.is_servable(3));
        part.restand(3..4, Standing::Proved, &library);
        part.write(3, 1, (word, &library), Instant::ZERO).unwrap();
        assert!(part.is_servable(3));
        assert_eq!(part.disk.read(3).map(|piece| piece.content), Some(0));
    }
}
