//! What somebody asks for of one file: bytes that come before the rest of it, or that are fetched at all.
//!
//! Pieces are the unit: a range is there when every piece that has a byte of it is certain or proved. Knows: requests,
//! the place that is preferred, what listeners were told (RNG-10..16). Does not know: who may ask (`job`), sources.

use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use peer_proto::content::{ByteRange, Geometry};

use super::core::Core;
use super::event::Failure;
use super::fetch::Reach;
use super::file::{JobFile, Stage};
use super::io::{LeaseId, StoredFile};
use super::lease::{OpenLease, Purpose};
use super::pace::bytes_in;
use super::piece_set::PieceSet;
use super::planner::{longest_run, pieces_in};
use super::trouble::Trouble;
use crate::job::{Code, Context, RemoteRange};

/// Ranges that are told in one event; more come with the next.
const RANGES_PER_EVENT_MAX: usize = 512;
/// What a request to the origin may still bring before it ends early: what has come is known that late.
const LATE: Duration = Duration::from_millis(200);

/// What is asked for of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Bytes that were asked for, in the order in which they were.
    pub(super) requested: Vec<RemoteRange>,
    /// From where on what is missing is preferred.
    pub(super) position: Option<u64>,
    /// Whether everything that was asked for is there, and the file waits for more.
    pub(super) rests: bool,
    /// Pieces that listeners know of.
    told: PieceSet,
}

impl Asked {
    /// What was asked for before the file was put on its way.
    pub(super) fn of(kept: &StoredFile) -> Self {
        Self { requested: kept.requested.clone(), position: kept.position, ..Self::default() }
    }
}

/// The bytes of a range of a file of this length; `None` if not all of them are inside.
pub(super) fn inside(range: RemoteRange, len: u64) -> Option<ByteRange> {
    let end = match range.len {
        Some(count) => range.offset.checked_add(count.get())?,
        None => len,
    };
    ByteRange::new(range.offset..end).filter(|bytes| bytes.end() <= len)
}

/// Bytes as they are told.
pub(super) fn told(bytes: ByteRange) -> RemoteRange {
    RemoteRange { offset: bytes.start(), len: NonZeroU64::new(bytes.len()) }
}

fn runs(pieces: &PieceSet, cut: Geometry) -> impl Iterator<Item = RemoteRange> {
    pieces.runs().filter_map(move |run| cut.pieces_range(run)).map(told)
}

impl JobFile {
    /// Whether some pieces come before others, or instead of them.
    pub(super) const fn has_wishes(&self) -> bool {
        self.wish.on_demand || !self.asked.requested.is_empty() || self.asked.position.is_some()
    }

    /// Whether peers' bytes may be taken. On demand they are read while others are missing, so each piece must be proved
    /// by itself.
    pub(super) const fn may_take_from_peers(&self) -> bool {
        !self.wish.on_demand || self.claims.trusted.is_some()
    }

    /// The pieces of each request, as far as they are inside the file.
    fn requests(&self, cut: Geometry) -> impl Iterator<Item = Range<u32>> {
        let len = cut.len();
        let clamped = move |range: &RemoteRange| {
            let end = range.len.map_or(len, |count| range.offset.saturating_add(count.get()).min(len));
            ByteRange::new(range.offset..end)
        };
        self.asked.requested.iter().filter_map(clamped).map(move |bytes| cut.touched_pieces(bytes))
    }

    fn requested(&self, cut: Geometry) -> PieceSet {
        let mut all = PieceSet::new();
        self.requests(cut).for_each(|pieces| all.insert(pieces));
        all
    }

    /// What of these pieces comes first: those that were asked for, and of them those from the position on.
    fn preferred(&self, among: PieceSet, cut: Geometry) -> PieceSet {
        let mut asked = self.requested(cut);
        asked.intersect_with(&among);
        let mut first = if asked.is_empty() && !self.wish.on_demand { among } else { asked };
        let from = self.asked.position.and_then(|offset| cut.piece_at(offset));
        if let Some(from) = from.filter(|from| first.next_at(from.0).is_some()) {
            first.remove(0..from.0);
        }
        first
    }

    /// The gaps to be filled now.
    pub(super) fn next_gaps(&self) -> PieceSet {
        let gaps = self.gaps();
        match self.geometry.filter(|_| self.has_wishes()) {
            Some(cut) => self.preferred(gaps, cut),
            None => gaps,
        }
    }

    /// Whether nothing comes before the rest now.
    pub(super) fn next_gaps_are_all(&self) -> bool {
        self.next_gaps() == self.gaps()
    }

    /// The run of these pieces that the origin is asked for next: requests in their order, or from the position on.
    pub(super) fn next_run(&self, targets: &PieceSet) -> Option<Range<u32>> {
        let Some(cut) = self.geometry.filter(|_| self.has_wishes()) else { return longest_run(targets) };
        if self.asked.position.is_none() {
            for pieces in self.requests(cut) {
                let run = targets.run_at(pieces.start, u32::MAX);
                if let Some(run) = run.filter(|run| run.start < pieces.end) {
                    return Some(run);
                }
            }
            return longest_run(targets);
        }
        targets.run_at(0, u32::MAX)
    }

    /// Requests to the origin end early that bring something else first, while something that was asked for waits.
    pub(super) fn yield_to_asked(&mut self, cut: &Geometry, core: &mut Core) {
        if !self.has_wishes() {
            return;
        }
        let mut missing = PieceSet::of(0..cut.piece_count());
        missing.subtract(self.pieces.held());
        let first = self.preferred(missing, *cut);
        let late = pieces_in(cut, bytes_in(self.origin.speed.recent(core.time()), LATE)).saturating_add(1);
        let (mut waiting, mut cuts) = (first.clone(), Vec::<(LeaseId, u32)>::new());
        for (id, lease) in self.leases.iter().filter(|(_, lease)| !lease.released) {
            let mut end = lease.pieces.end;
            if is_at_origin(lease) {
                let at = lease.position(cut.piece_len());
                let from = at.saturating_add(late).min(end);
                end = (from..end).find(|piece| !first.contains(*piece)).unwrap_or(end);
                if end < lease.pieces.end {
                    cuts.push((*id, end));
                }
            }
            waiting.remove(lease.pieces.start..end);
        }
        if !waiting.is_empty() || self.wish.on_demand {
            cuts.into_iter().for_each(|(id, end)| self.trim(id, end, core));
        }
    }

    /// Whether what was asked for can be had; the file fails otherwise (RNG-13). Of an ordinary job it is a hint.
    pub(super) fn can_pick(&mut self, core: &mut Core) -> bool {
        if !self.wish.on_demand || self.is_whole() {
            return true;
        }
        let is_stream = self.len.is_none() || !self.origin.gives_ranges() || !self.is_joinable();
        let outside = self.len.and_then(|len| {
            let range = self.asked.requested.iter().find(|range| inside(**range, len).is_none())?;
            Some(format!("bytes from {} on were asked for, and the file has {len}", range.offset))
        });
        let (code, text) = match outside {
            Some(text) => (Code::InvalidRange, text),
            None if is_stream && self.origin.reach == Reach::Up => {
                let text = "the origin gives no ranges of it, so parts cannot be fetched on demand";
                (Code::RandomAccessNotSupported, text.to_owned())
            }
            None => return true,
        };
        self.fail(Failure::Fatal, Trouble { code, context: Context::RemoteFile, status: None, text }, core);
        false
    }

    /// Lets go of the file if everything that was asked for is there and it is not whole (RNG-14). `true` if so.
    pub(super) fn rest(&mut self, core: &mut Core) -> bool {
        let Some(cut) = self.geometry.filter(|_| self.wish.on_demand && self.leases.is_empty()) else {
            return false;
        };
        let mut left = self.requested(cut);
        left.subtract(self.pieces.held());
        if left.is_empty() && self.origin.asking.is_none() {
            self.asked.rests = true;
            self.park(core);
        }
        left.is_empty()
    }

    /// Somebody asks for more, or for something else first.
    pub(super) fn ask(&mut self, row: &StoredFile, core: &mut Core) {
        self.asked.requested.clone_from(&row.requested);
        self.asked.position = row.position;
        self.asked.rests = false;
        self.wake_at(core.time());
        core.dirty.insert(self.id);
    }

    /// What may be read of it: merged, in order (RNG-12). `None` while that is not known.
    pub(super) fn filled(&self) -> Option<Vec<RemoteRange>> {
        if matches!(self.stage, Stage::New | Stage::Opening | Stage::Dropping) {
            return None;
        }
        let cut = self.geometry?;
        Some(runs(&self.pieces.servable(), cut).collect())
    }

    /// What was there when the file was put on its way is no news.
    pub(super) fn know_filled(&mut self) {
        self.asked.told = self.pieces.servable();
    }

    /// What has come since listeners were told last (RNG-16).
    pub(super) fn news(&mut self) -> Vec<RemoteRange> {
        let Some(cut) = self.geometry else { return Vec::new() };
        let mut fresh = self.pieces.servable();
        self.asked.told.intersect_with(&fresh);
        fresh.subtract(&self.asked.told);
        let some: Vec<Range<u32>> = fresh.runs().take(RANGES_PER_EVENT_MAX).collect();
        some.iter().for_each(|run| self.asked.told.insert(run.clone()));
        some.into_iter().filter_map(|run| cut.pieces_range(run)).map(told).collect()
    }
}

fn is_at_origin(lease: &OpenLease) -> bool {
    lease.is_from_origin() && !lease.stopped && !lease.to_end && lease.purpose == Purpose::Gap
}
