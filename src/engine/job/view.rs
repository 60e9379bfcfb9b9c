//! What a job and its files look like from outside.
//!
//! Knows: sums over files, words for people, how often watchers are told. Does not know: decisions.

use std::time::Duration;

use peer_proto::time::Instant;

use super::{Files, Job, add_share};
use crate::engine::core::Core;
use crate::engine::event::{BytesBySource, Event, FileView, JobView, SourceShare};
use crate::engine::io::{Effect, FilePhase, StoredFile};
use crate::job::{FileSpec, JobError, JobState};

/// Changes of progress are told at most this often for each job.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Whether what is there of a file is of no use once its origin's answer breaks off: it gives no ranges, or nothing tells
/// that two of its answers are of one version.
fn begins_anew(row: &StoredFile, file: &FileSpec) -> bool {
    let Some(probe) = row.memory.probe.as_ref().filter(|_| row.phase == FilePhase::Waiting) else {
        return false;
    };
    let is_named = !file.digests.is_empty() || !probe.digests.is_empty();
    row.stored < row.len.unwrap_or(u64::MAX) && !(probe.ranges && (is_named || probe.version.can_resume()))
}

impl Job {
    /// The job as it stands; sums are over all its files.
    pub(in crate::engine) fn view(&self, files: &Files, core: &Core) -> JobView {
        let first = self.spec.files.first();
        let only = self.rows.first().filter(|_| self.rows.len() == 1);
        let sum = |of: fn(&BytesBySource) -> u64| self.rows.iter().map(|row| of(&row.bytes)).sum();
        let lens: Option<Vec<u64>> = self.rows.iter().map(|row| row.len).collect();
        JobView {
            id: self.id,
            name: self.spec.name.clone(),
            owner: self.owner,
            priority: self.spec.priority,
            url: first.map(|file| file.url.clone()).unwrap_or_default(),
            destination: first.map(|file| file.destination.clone()).unwrap_or_default(),
            state: self.state,
            reason: self.reason(files, core.time()),
            failure: self.failure(),
            error: self.error.clone(),
            error_count: self.error_count,
            outcome: self.outcome(),
            files_from_zero: self
                .rows
                .iter()
                .zip(&self.spec.files)
                .filter(|(row, file)| begins_anew(row, file))
                .count(),
            files_total: self.rows.len(),
            files_transferred: self.rows.iter().filter(|row| row.phase.is_whole()).count(),
            len: lens.filter(|lens| !lens.is_empty()).map(|lens| lens.iter().sum()),
            stored: self.rows.iter().map(|row| row.stored).sum(),
            bytes: BytesBySource {
                origin: sum(|bytes| bytes.origin),
                peers: sum(|bytes| bytes.peers),
                cache: sum(|bytes| bytes.cache),
                earlier: sum(|bytes| bytes.earlier),
                discarded: sum(|bytes| bytes.discarded),
            },
            sources: self.sources(files),
            restarts: self.rows.iter().map(|row| row.restarts).sum(),
            blake3: only.and_then(|row| row.blake3.clone()),
            sha256: only.and_then(|row| row.sha256.clone()),
            trust: self.live(files).next().map(|file| file.trust_text(core)).unwrap_or_default(),
            times: self.times,
            notify: self.spec.notify,
            notify_interval_ms: self.spec.notify_interval_ms,
        }
    }

    /// Its files as they stand, in their order. Where their bytes are until then is for those to say who know paths.
    pub(in crate::engine) fn file_views(&self, files: &Files) -> Vec<FileView> {
        let mut views: Vec<FileView> = (0_u16..).map_while(|index| self.file_view(index)).collect();
        for file in self.live(files).filter(|file| file.is_moving()) {
            views.get_mut(usize::from(file.id.index)).into_iter().for_each(|view| view.is_moving = true);
        }
        views
    }

    /// One of them.
    pub(super) fn file_view(&self, index: u16) -> Option<FileView> {
        let (row, spec) = (self.rows.get(usize::from(index))?, self.spec.files.get(usize::from(index))?);
        Some(FileView {
            index,
            url: spec.url.clone(),
            destination: spec.destination.clone(),
            temp_path: std::path::PathBuf::new(),
            ranges: spec.ranges.clone(),
            phase: row.phase,
            is_moving: false,
            reason: row.reason.clone(),
            failure: row.failure,
            len: row.len,
            stored: row.stored,
            bytes: row.bytes,
            from_peer: row.bytes.peers > 0,
            restarts: row.restarts,
            blake3: row.blake3.clone(),
            sha256: row.sha256.clone(),
            validation: row.validation,
            headers: row.memory.probe.as_ref().map(|probe| probe.headers.clone()).unwrap_or_default(),
        })
    }

    /// Why it stands where it stands, for people; empty if there is nothing to say.
    fn reason(&self, files: &Files, now: Instant) -> String {
        if !self.note.is_empty() {
            return self.note.clone();
        }
        let named = |place: u16, reason: &str| match self.rows.len() {
            1 => reason.to_owned(),
            _ => format!("file {place}: {reason}"),
        };
        let named_error = |error: &JobError| match error.file {
            Some(place) => named(place, &error.message),
            None => error.message.clone(),
        };
        match self.state {
            JobState::Cancelled => {
                let last = self.error.as_ref().map(|error| format!("last error: {}", named_error(error)));
                last.unwrap_or_default()
            }
            JobState::Queued if self.waits_for_foreground() => {
                let words =
                    "a dynamic job has no pace: it waits for `nearbits job set --priority foreground`";
                words.to_owned()
            }
            JobState::Queued if let Some(at) = self.waits_for_start(now) => {
                let seconds = at.since(now).as_secs() + 1;
                format!("many machines may start now: it begins within {seconds} s (`start-spread-s`)")
            }
            JobState::Error => {
                let failed = (0_u16..).zip(&self.rows).find(|(_, row)| row.phase == FilePhase::Failed);
                failed.map(|(place, row)| named(place, &row.reason)).unwrap_or_default()
            }
            JobState::Transferred if !self.is_whole() => self.what_is_left(),
            JobState::TransientError => {
                let stuck = self.live(files).find(|file| !file.reason.is_empty());
                match stuck {
                    Some(file) => named(file.id.index, &file.reason),
                    None => self.error.as_ref().map(named_error).unwrap_or_default(),
                }
            }
            _ => String::new(),
        }
    }

    /// What a transferred job lacks, and what it takes: it does not go on by itself (JOB-T22).
    fn what_is_left(&self) -> String {
        let left = self.rows.iter().filter(|row| !row.phase.is_whole()).count();
        let failed = self.rows.iter().find(|row| row.phase == FilePhase::Failed && !row.reason.is_empty());
        if let Some(row) = failed {
            return row.reason.clone();
        }
        let (files, them) = if left == 1 { ("1 file is", "it") } else { ("files are", "them") };
        let files = if left == 1 { files.to_owned() } else { format!("{left} {files}") };
        format!("{files} not fetched: `nearbits job resume` fetches {them}, `complete` now gives {them} up")
    }

    /// Who gave bytes since the node started, most first.
    fn sources(&self, files: &Files) -> Vec<SourceShare> {
        let mut shares = self.shares.clone();
        self.live(files)
            .flat_map(|file| file.shares.values())
            .for_each(|share| add_share(&mut shares, share));
        let mut sources: Vec<SourceShare> = shares.into_values().collect();
        sources.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.source.cmp(&other.source)));
        sources
    }

    /// Tells watchers what changed: states at once, progress ten times a second.
    pub(super) fn tell(&mut self, files: &mut Files, core: &mut Core) {
        for file in self.live_mut(files) {
            self.announce |= std::mem::take(&mut file.announce);
            self.changed |= std::mem::take(&mut file.changed);
        }
        let now = core.time();
        let due = self.told_at.map_or(Instant::ZERO, |told| told.after(TELL_EVERY));
        if self.announce || (self.changed && due <= now) {
            self.announce = false;
            self.changed = false;
            self.told_at = Some(now);
            self.tell_ranges(None, files, core);
            core.effect(Effect::Tell(Event::JobChanged(Box::new(self.view(files, core)))));
        } else if self.changed {
            self.wake = self.wake.min(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peer_proto::digest::{Algorithm, Digest};
    use peer_proto::version::Version;

    use super::*;
    use crate::engine::io::Probe;

    /// A file of which 5 of 9 bytes are there, from an origin with ranges whose version can be told from others.
    fn half() -> (StoredFile, FileSpec) {
        let version = Version {
            final_origin: "http://o.test:80".into(),
            etag: Some("\"a\"".into()),
            last_modified: None,
            len: Some(9),
        };
        let probe = Probe {
            version,
            ranges: true,
            digests: Vec::new(),
            public: true,
            footing: crate::engine::io::Footing::default(),
            round_trip: Duration::ZERO,
            final_url: String::new(),
            headers: Vec::new(),
        };
        let mut row = StoredFile { stored: 5, len: Some(9), ..StoredFile::default() };
        row.memory.probe = Some(Box::new(probe));
        let file = FileSpec {
            url: "http://o.test/a".into(),
            mirrors: Vec::new(),
            destination: "/out/a".into(),
            digests: Vec::new(),
            digest_from: None,
            ranges: Vec::new(),
        };
        (row, file)
    }

    fn probe(row: &mut StoredFile) -> &mut Probe {
        row.memory.probe.as_mut().expect("it was asked")
    }

    #[test]
    fn http_15_a_file_begins_anew_if_its_origin_gives_no_ranges_or_nothing_tells_its_answers_apart() {
        let digest = || Digest::new(Algorithm::Sha256, vec![1; 32]).expect("32 bytes");
        let (row, file) = half();
        assert!(!begins_anew(&row, &file));
        let (mut row, mut file) = half();
        probe(&mut row).ranges = false;
        assert!(begins_anew(&row, &file));
        file.digests = vec![digest()];
        assert!(begins_anew(&row, &file), "whatever names it");
        let (mut row, mut file) = half();
        probe(&mut row).version.etag = None;
        assert!(begins_anew(&row, &file));
        file.digests = vec![digest()];
        assert!(!begins_anew(&row, &file), "its job names it");
        file.digests.clear();
        probe(&mut row).digests = vec![digest()];
        assert!(!begins_anew(&row, &file), "its origin names it");
    }

    #[test]
    fn http_15_what_is_whole_or_not_asked_yet_does_not_begin_anew() {
        let (mut row, file) = half();
        probe(&mut row).ranges = false;
        let with = |stored, len, phase| StoredFile { stored, len, phase, ..row.clone() };
        assert!(!begins_anew(&with(9, Some(9), FilePhase::Waiting), &file));
        assert!(begins_anew(&with(9, None, FilePhase::Waiting), &file), "nobody knows how much is missing");
        for phase in [FilePhase::Whole, FilePhase::Failed, FilePhase::Delivered] {
            assert!(!begins_anew(&with(5, Some(9), phase), &file), "{phase:?}");
        }
        assert!(!begins_anew(&StoredFile { stored: 5, ..StoredFile::default() }, &file));
    }
}
