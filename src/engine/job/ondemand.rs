//! Bytes of a file that its owner asks for, and a job that has all of them (RNG-10..16, JOB-T31).
//!
//! Knows: which requests hold, what a request lets go on, what is told of ranges. Does not know: how what was asked for
//! comes first (`engine::ondemand`).

use std::collections::BTreeSet;

use peer_proto::content::ByteRange;

use super::command::Refused;
use super::{Files, Job, Turn};
use crate::engine::core::Core;
use crate::engine::event::{Event, FileRanges};
use crate::engine::file::{JobFile, Stage as FileStage};
use crate::engine::io::{Effect, FilePhase, StoredFile};
use crate::engine::ondemand::{inside, told};
use crate::job::{Caller, Cause, Code, JobState, RemoteRange};

/// Ranges of all files of a job that are written down with it, each a few dozen bytes.
const FILLED_KEPT: usize = 32_768;

/// Why a job rests.
const RESTS: &str = "all that was asked for is there; `nearbits file request` asks for more, and `job set --on-demand=no`, then `job resume`, for the rest";
/// The same once everything is wanted.
const RESTS_NO_MORE: &str = "on-demand mode is off: `nearbits job resume` fetches the rest";

impl Job {
    /// Bytes that are to come first, or at all.
    pub(super) fn request_ranges(
        &mut self,
        place: u16,
        ranges: &[RemoteRange],
        by: Caller,
        files: &mut Files,
        core: &mut Core,
    ) -> Result<(), Refused> {
        if ranges.is_empty() {
            return Err(Refused(Code::InvalidArgument, "no range is named".into()));
        }
        let most = core.config.policy.limits(by.maker()).ranges_per_file;
        self.pick(place, files, core, |row| {
            for range in ranges {
                let is_sane = range.len.is_none_or(|len| range.offset.checked_add(len.get()).is_some());
                if !is_sane || row.len.is_some_and(|len| inside(*range, len).is_none()) {
                    let len = row.len.map_or_else(|| "fewer".into(), |len| len.to_string());
                    let words =
                        format!("bytes from {} on were asked for, and file {place} has {len}", range.offset);
                    return Err(Refused(Code::InvalidRange, words));
                }
            }
            let mut all = row.requested.clone();
            all.extend(ranges.iter().filter(|range| !row.requested.contains(range)));
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            if all.len() > most {
                all = merged(&all);
            }
            if all.len() > most {
                let words =
                    format!("file {place} would have {} requests, at most {most} are kept", all.len());
                return Err(Refused(Code::TooManyRangesInFile, words));
            }
            row.requested = all;
            Ok(())
        })
    }

    /// From where on what is missing comes first.
    pub(super) fn set_position(
        &mut self,
        place: u16,
        offset: u64,
        files: &mut Files,
        core: &mut Core,
    ) -> Result<(), Refused> {
        self.pick(place, files, core, |row| {
            if let Some(len) = row.len.filter(|len| offset >= *len) {
                let words = format!("byte {offset} is not in file {place}, which has {len}");
                return Err(Refused(Code::InvalidRange, words));
            }
            row.position = Some(offset);
            Ok(())
        })
    }

    /// Changes what is asked for of a file, if parts of it can be fetched (RNG-13).
    fn pick(
        &mut self,
        place: u16,
        files: &mut Files,
        core: &mut Core,
        change: impl FnOnce(&mut StoredFile) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let (id, count) = (self.file_id(place), self.rows.len());
        let Some(row) = self.rows.get_mut(usize::from(place)) else {
            let words = format!("there is no file {place}: the job has {count}, counted from 0");
            return Err(Refused(Code::FileNotAvailable, words));
        };
        let live = files.get_mut(&id);
        let is_stream = match &live {
            Some(file) => !file.origin.gives_ranges(),
            None => row.memory.probe.as_ref().is_some_and(|probe| !probe.ranges),
        };
        if self.spec.dynamic || (is_stream && !row.phase.is_whole()) {
            let words =
                "the origin gives no ranges of this file, so no part of it can come before the others";
            return Err(Refused(Code::RandomAccessNotSupported, words.into()));
        }
        change(row)?;
        row.memory.rests = false;
        if let Some(file) = live {
            file.ask(row, core);
        }
        self.touch(core);
        // What stopped because nothing was left to do goes on; what its owner stopped does not.
        if self.ranges_done && self.state == JobState::Suspended {
            self.cause(Cause::Resume { has_files: true, is_whole: false }, core);
            (self.ranges_done, self.note) = (false, String::new());
        }
        Ok(())
    }

    /// Nothing that was asked for is missing, and a file is not whole (JOB-T31).
    pub(super) fn rest(&mut self, files: &mut Files, core: &mut Core) {
        if self.cause(Cause::RangesDone, core) {
            self.ranges_done = true;
            self.note_rest();
            self.turn = Turn::None;
            self.park_all(files, core);
        }
    }

    /// Says why it rests, if it does.
    pub(super) fn note_rest(&mut self) {
        if self.ranges_done {
            self.note = if self.spec.on_demand { RESTS } else { RESTS_NO_MORE }.to_owned();
        }
    }

    /// All of its files are wanted, or only what is asked for: those that rest look again when it goes on (FILE-28).
    pub(super) fn wake_resting(&mut self) {
        self.note_rest();
        self.rows.iter_mut().for_each(|row| row.memory.rests = false);
    }

    /// What is there of a file, and what is asked for.
    pub(in crate::engine) fn ranges(&self, place: u16, files: &Files) -> Option<FileRanges> {
        let row = self.rows.get(usize::from(place))?;
        let all = || row.len.and_then(|len| ByteRange::new(0..len)).map(told).into_iter().collect();
        let live = files.get(&self.file_id(place)).filter(|_| !row.phase.is_whole());
        let filled = match row.phase {
            FilePhase::Whole | FilePhase::Delivered => Some(all()),
            FilePhase::Waiting | FilePhase::Failed => {
                let kept = || row.filled.clone().or_else(|| (row.stored == 0).then(Vec::new));
                live.and_then(JobFile::filled).or_else(kept)
            }
        };
        Some(FileRanges { len: row.len, filled, requested: row.requested.clone(), position: row.position })
    }

    /// What of a file's ranges is written down: on demand, and if there are few.
    pub(super) fn kept_ranges(&self, row: &StoredFile) -> Option<Vec<RemoteRange>> {
        let most = FILLED_KEPT / self.rows.len().max(1);
        let is_kept = self.spec.on_demand || !row.requested.is_empty();
        row.filled.clone().filter(|ranges| is_kept && ranges.len() <= most)
    }

    /// Tells what has come of these files, or of all that are on their way (RNG-16).
    pub(super) fn tell_ranges(&self, only: Option<&BTreeSet<u16>>, files: &mut Files, core: &mut Core) {
        if !self.spec.notify.effective().file_ranges_transferred {
            return;
        }
        for file in self.live_mut(files) {
            let is_meant = only.is_none_or(|places| places.contains(&file.id.index));
            if !is_meant || matches!(file.stage, FileStage::New | FileStage::Opening | FileStage::Dropping) {
                continue;
            }
            let ranges = file.news();
            if !ranges.is_empty() {
                let (job, file) = (self.id, file.id.index);
                core.effect(Effect::Tell(Event::FileRanges { job, file, ranges }));
            }
        }
    }
}

/// The same bytes in as few ranges as can be, by their offsets.
fn merged(ranges: &[RemoteRange]) -> Vec<RemoteRange> {
    let end = |range: &RemoteRange| range.len.map(|len| range.offset.saturating_add(len.get()));
    let mut sorted: Vec<(u64, Option<u64>)> = ranges.iter().map(|range| (range.offset, end(range))).collect();
    sorted.sort_unstable_by_key(|(offset, _)| *offset);
    let mut all: Vec<(u64, Option<u64>)> = Vec::new();
    for (offset, end) in sorted {
        match all.last_mut() {
            Some((_, None)) => {}
            Some((_, Some(before))) if offset <= *before => {
                let last = end.map(|end| end.max(*before));
                all.last_mut().into_iter().for_each(|range| range.1 = last);
            }
            _ => all.push((offset, end)),
        }
    }
    let range = |(offset, end): (u64, Option<u64>)| RemoteRange {
        offset,
        len: end.and_then(|end| std::num::NonZeroU64::new(end - offset)),
    };
    all.into_iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_requests_are_as_few_ranges_as_can_be() {
        let range = |offset, len| RemoteRange { offset, len: std::num::NonZeroU64::new(len) };
        let list = [range(90, 10), range(0, 10), range(5, 20), range(25, 1), range(95, 0), range(200, 5)];
        assert_eq!(merged(&list), [range(0, 26), range(90, 0)]);
        assert_eq!(merged(&[range(7, 3), range(7, 3)]), [range(7, 3)]);
    }
}
