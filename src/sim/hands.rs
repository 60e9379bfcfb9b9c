//! What the modelled hands do with each effect.
//!
//! Knows: how long each takes, what is on disk, what an engine must never ask for. Does not know: how bytes move
//! (`moves`).

use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::version::Version;
use peer_proto::wire::Frame;
use simnet::{Answer, HostOutput, OriginId};

use super::content::TRUTH;
use super::machine::{Parcel, wire_len};
use super::node::Node;
use super::part::Part;
use crate::engine::event::Event;
use crate::engine::io::{
    Effect, EffectId, Footing, Input, LocalFault, LocalFaultKind, OriginFault, Output, Probe, SealFault,
    SealedFile, Serve, Severity, Standing,
};
use crate::job::{FileId, JobState};
use crate::record::RecordId;

/// A small file written and synced.
const SYNC_TIME: Duration = Duration::from_millis(4);
/// A small read.
const READ_TIME: Duration = Duration::from_micros(300);
/// What is left to hash and sync when the last piece is there.
const SEAL_TIME: Duration = Duration::from_millis(25);

impl Node {
    /// Performs everything the engine wants now; returns when it wants to be asked again.
    pub(super) fn perform_all(&mut self) -> Instant {
        loop {
            match self.engine.poll_output() {
                Output::Effect(effect) => self.perform(*effect),
                Output::WaitUntil(at) => return at,
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::PersistJob { id, job } => {
                self.jobs.insert(job.id, *job);
                self.tell_later(SYNC_TIME, Input::JobPersisted { id, outcome: Ok(()) });
            }
            Effect::ForgetJob { job } => drop(self.jobs.remove(&job)),
            Effect::FetchDigests { .. } => self.broke("no scenario has lists of checksums".to_owned()),
            Effect::OpenPart { id, file, .. } => self.open_part(id, file),
            Effect::ResetPart { id, file, version } => self.reset_part(id, file, version),
            Effect::PinPart { file, version } => {
                self.parts.get_mut(&file).into_iter().for_each(|part| part.version = Some(version.clone()));
            }
            Effect::Restand { file, first, count, standing } => {
                self.restand(file, first.0..first.0.saturating_add(count), standing);
            }
            Effect::Probe { id, .. } => self.ask_origin(id),
            Effect::StartLease(lease) => self.start_lease(lease),
            Effect::TrimLease { lease, end } => self.trim_lease(lease, end),
            Effect::StopLease { lease } => self.stop_lease(lease),
            Effect::Seal { id, file, len, digests, .. } => self.seal(id, file, len, &digests),
            Effect::Deliver { id, file } => {
                self.must_be_idle(file, "a file is delivered");
                self.tell_later(SYNC_TIME, Input::Delivered { id, outcome: Ok(()) });
            }
            Effect::ClosePart { file } => self.must_be_idle(file, "a part is closed"),
            // Machines of a simulated site meet at once: nobody need be called.
            Effect::AskLink { .. } | Effect::Call { .. } => {}
            // The links of the world set the pace; nodes live for one run, in which the engine remembers attestors.
            Effect::SetRates { .. }
            | Effect::SetServePace(_)
            | Effect::TakeOffer(_)
            | Effect::Ticket(_)
            | Effect::KeepAttestation(_)
            | Effect::DropAttestation(_)
            | Effect::KeepVoid(_)
            | Effect::DropVoid(_)
            | Effect::Distrust { .. }
            | Effect::Meet { .. } => {}
            Effect::DropPart { id, file, .. } => {
                self.parts.remove(&file);
                self.tell_later(SYNC_TIME, Input::PartDropped { id, outcome: Ok(()) });
            }
            Effect::Keep(kept) => self.keep(&kept.sealed),
            Effect::DropRecord { record } => {
                self.records.remove(&record);
                self.tell_later(SYNC_TIME, Input::RecordGone(record));
            }
            Effect::Send { peer, frame } => self.send(peer, frame),
            Effect::Disconnect { peer, until, .. } => self.send_away(self.host_of(peer), until),
            Effect::ReadList { id, record, part } => {
                let list = self.records.get(&record).map(|(_, content)| self.spec.library.list(*content));
                let values = list.and_then(|list| list.part(part));
                self.tell_later(READ_TIME, Input::ListRead { id, values });
            }
            Effect::RecallList { id, record } => self.recall_list(id, record),
            Effect::Serve(Serve { id, peer, request, from, ranges, values, .. }) => {
                self.serve(id, self.host_of(peer), request, from, &ranges, &values);
            }
            Effect::StopServe { id } => {
                self.out.extend(self.serves.get(&id).copied().map(HostOutput::Cancel))
            }
            Effect::Tell(event) => self.heard(event),
        }
    }

    fn send(&mut self, peer: PeerId, frame: Frame) {
        match wire_len(&frame) {
            Some(len) => {
                let message = Parcel::Frame(Box::new(frame));
                self.out.push_back(HostOutput::Send { to: self.host_of(peer), message, len });
            }
            None => self.broke(format!("a frame that cannot be sent: {frame:?}")),
        }
    }

    fn ask_origin(&mut self, id: EffectId) {
        let number = self.number();
        self.probes.insert(number, id);
        self.out.push_back(HostOutput::Ask { origin: OriginId(0), number });
    }

    fn recall_list(&mut self, id: EffectId, record: RecordId) {
        let known = self.records.get(&record);
        let list = known.map(|(_, content)| Arc::clone(self.spec.library.list(*content)));
        self.tell_later(READ_TIME, Input::ListRecalled { id, list });
    }

    fn reset_part(&mut self, id: EffectId, file: FileId, version: Version) {
        self.must_be_idle(file, "a part is emptied");
        let mut part = Part::new(self.spec.room);
        part.version = Some(version);
        self.parts.insert(file, part);
        self.tell_later(SYNC_TIME, Input::PartReset { id, outcome: Ok(()) });
    }

    fn restand(&mut self, file: FileId, pieces: std::ops::Range<u32>, standing: Standing) {
        if let Some(part) = self.parts.get_mut(&file) {
            part.restand(pieces, standing, &self.spec.library);
        }
    }

    fn must_be_idle(&mut self, file: FileId, what: &str) {
        if self.leases.values().any(|running| running.lease.file == file) {
            self.broke(format!("{what} while somebody writes to it"));
        }
    }

    fn open_part(&mut self, id: EffectId, file: FileId) {
        let room = self.spec.room;
        let part = self.parts.entry(file).or_insert_with(|| Part::new(room));
        let len = part.version.as_ref().and_then(|version| version.len);
        let count = len.and_then(|len| Geometry::of(len).ok()).map_or(0, |cut| cut.piece_count());
        let found = part.found(&self.spec.library, count);
        self.tell_later(SYNC_TIME, Input::PartOpened { id, outcome: Ok(found) });
    }

    /// The origin answered a question.
    pub(super) fn probed(&mut self, number: u64, answer: Answer) {
        let Some(id) = self.probes.remove(&number) else { return };
        let fault = |message: &str| {
            let severity = Severity::Transient { retry_after: None };
            Err(OriginFault::new(severity, message, None))
        };
        let outcome = match answer {
            Answer::Says { version, round_trip } => Ok(Probe {
                version: self.spec.library.version(version),
                ranges: true,
                digests: Vec::new(),
                public: true,
                footing: Footing::default(),
                round_trip,
                final_url: String::new(),
                headers: Vec::new(),
            }),
            Answer::Refused => fault("connection refused"),
            Answer::Silence => fault("no answer"),
        };
        self.inbox.push_back(Input::Probed { id, outcome });
    }

    fn seal(&mut self, id: EffectId, file: FileId, len: u64, digests: &[Digest]) {
        self.must_be_idle(file, "a file is sealed");
        let library = Arc::clone(&self.spec.library);
        let count = Geometry::of(len).map_or(0, |cut| cut.piece_count());
        let content = self.parts.get(&file).and_then(|part| part.content(&library, count));
        let named = |content: u16, digest: &&Digest| {
            library.digest(content, digest.algorithm()).as_ref() != Some(*digest)
        };
        let wrong = content.and_then(|content| digests.iter().find(|digest| named(content, digest)));
        let held = self.parts.get(&file).map_or(0, |part| part.disk.held());
        let outcome = match (content, wrong) {
            _ if held < count => {
                self.broke(format!("a file is sealed with {held} of {count} pieces"));
                Err(SealFault::Local(local(LocalFaultKind::Io, "gaps")))
            }
            (Some(content), None) => {
                let list = Arc::clone(library.list(content));
                let digests = [Algorithm::Sha256]
                    .into_iter()
                    .filter_map(|algorithm| library.digest(content, algorithm));
                Ok(SealedFile { content: list.content(), digests: digests.collect(), list })
            }
            (None, _) | (_, Some(_)) => match digests.first() {
                Some(digest) => {
                    Err(SealFault::Mismatch { algorithm: digest.algorithm(), found: not(digest) })
                }
                // Nobody can tell a mixture from a file where no digest is known; an origin's versions are never mixed.
                None => {
                    self.broke("a file is sealed that is a mixture".into());
                    Err(SealFault::Local(local(LocalFaultKind::Io, "a mixture")))
                }
            },
        };
        if outcome.is_ok() {
            self.parts.get_mut(&file).into_iter().for_each(|part| part.disk.sync());
        }
        self.tell_later(SEAL_TIME, Input::Sealed { id, outcome });
    }

    fn keep(&mut self, sealed: &SealedFile) {
        let library = Arc::clone(&self.spec.library);
        let numbers =
            (0..).take_while(|number| *number == 0 || !Arc::ptr_eq(library.list(*number), library.list(0)));
        let content = numbers.take(64).find(|number| library.list(*number).content() == sealed.content);
        let record = RecordId(self.dice.bytes());
        let kept = self.record(record, content.unwrap_or(TRUTH));
        self.records.insert(record, kept.clone());
        self.tell_later(SYNC_TIME, Input::RecordHeld(kept.0));
    }

    fn heard(&mut self, event: Event) {
        let Event::JobChanged(view) = event else { return };
        let before = self.states.insert(view.id, view.state).unwrap_or(JobState::Queued);
        if !is_allowed(before, view.state) {
            self.broke(format!("a job goes from {before:?} to {:?}", view.state));
        }
        if view.state == JobState::Acknowledged && self.tally.done.is_none() {
            self.tally.done = Some(self.now);
            let truth = self.spec.library.list(TRUTH).content().root.to_string();
            if self.spec.names.is_some() && view.blake3.as_ref() != Some(&truth) {
                self.broke(format!("delivered {:?} for {truth}", view.blake3));
            }
        }
    }
}

/// Whether a watcher may see one state after the other: what happens within one moment is told once.
fn is_allowed(before: JobState, after: JobState) -> bool {
    use JobState::{Acknowledged, Cancelled, Error, Transferred};
    match before {
        Acknowledged | Cancelled => after == before,
        Transferred => matches!(after, Transferred | Acknowledged | Cancelled | Error | JobState::Suspended),
        _ => after != Acknowledged || before != Error,
    }
}

/// Another digest than this one.
fn not(digest: &Digest) -> Digest {
    let bytes = digest.bytes().iter().map(|byte| !byte).collect();
    Digest::new(digest.algorithm(), bytes).unwrap_or_else(|_| digest.clone())
}

pub(super) fn local(kind: LocalFaultKind, message: &str) -> LocalFault {
    LocalFault { kind, message: message.into() }
}
