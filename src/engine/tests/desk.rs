//! Scripted hands for many files: each URL gives its own content at its own pace, in virtual time.
//!
//! Knows: what of each file is on disk, what origins say, what was renamed and removed. Does not know: peers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::PieceIndex;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::models::{ME, config, fatal, file, transient, version};
use crate::engine::Engine;
use crate::engine::event::{Event, FileView, JobView};
use crate::engine::io::*;
use crate::job::{Caller, FileId, FileSpec, JobId, JobSpec, JobState, PeerFlags, Rates, Wish};

/// Bytes of every file, in 16 pieces.
pub(super) const LEN: u64 = 16 * 65_536;
const STEP: Duration = Duration::from_millis(10);

/// What the origin of a URL does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// It gives so many bytes in each second.
    Gives(u64),
    /// It refuses connections.
    Away,
    /// It does not have the file.
    Missing,
}

struct Running {
    lease: Lease,
    at: u64,
    end: u64,
}

pub(super) struct Desk {
    pub(super) engine: Engine,
    pub(super) now: Duration,
    /// The wall clock's lead over the other one.
    pub(super) wall_ms: i64,
    pub(super) manners: BTreeMap<String, Manner>,
    /// What was asked of origins, in order.
    pub(super) probes: Vec<String>,
    /// Bytes each URL gave.
    pub(super) given: BTreeMap<String, u64>,
    disk: BTreeMap<FileId, BTreeSet<u32>>,
    urls: BTreeMap<FileId, String>,
    pub(super) open: BTreeSet<FileId>,
    pub(super) delivered: Vec<PathBuf>,
    pub(super) removed: Vec<PathBuf>,
    /// Destinations whose rename fails.
    pub(super) taken: BTreeSet<PathBuf>,
    /// Destinations whose parts somebody removed.
    pub(super) gone: BTreeSet<PathBuf>,
    /// Those cannot even be opened.
    pub(super) taken_at_open: bool,
    /// Parts take their time to open, until somebody says so.
    pub(super) slow_opens: bool,
    opening: Vec<Input>,
    /// Jobs are written down when somebody says so.
    pub(super) slow_saves: bool,
    saving: Vec<Input>,
    /// How many saves fail from now on: the disk is full.
    pub(super) failing_saves: usize,
    /// Destinations beside which nothing can be removed.
    pub(super) stuck: BTreeSet<PathBuf>,
    /// Where URLs lead to.
    pub(super) redirects: BTreeMap<String, String>,
    /// How many header lines each probe and lease sent.
    pub(super) headers_sent: Vec<usize>,
    places: BTreeMap<FileId, PathBuf>,
    pub(super) stored: BTreeMap<JobId, StoredJob>,
    pub(super) saves: usize,
    pub(super) forgotten: Vec<JobId>,
    pub(super) rates: Vec<(Option<JobId>, Rates)>,
    pub(super) events: Vec<Event>,
    leases: BTreeMap<LeaseId, Running>,
    inbox: VecDeque<Input>,
}

pub(super) fn job(number: u8) -> JobId {
    JobId([number; 16])
}

/// A job of files `/out/NAME`, from URLs of the same name.
pub(super) fn wish(names: &[&str]) -> JobSpec {
    let file = |name: &&str| FileSpec {
        url: url(name),
        mirrors: Vec::new(),
        destination: format!("/out/{name}").into(),
        digests: Vec::new(),
        digest_from: None,
        ranges: Vec::new(),
    };
    JobSpec { name: "job".into(), files: names.iter().map(file).collect(), ..JobSpec::default() }
}

pub(super) fn url(name: &str) -> String {
    format!("http://o.test/{name}")
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut crate::engine::EngineConfig)) -> Self {
        let mut config = config(PeerFlags::NONE);
        change(&mut config);
        let now = Now { monotonic: Instant::ZERO, wall_unix_ms: 1_800_000_000_000 };
        Self {
            engine: Engine::new(config, now),
            now: Duration::ZERO,
            wall_ms: 1_800_000_000_000,
            manners: BTreeMap::new(),
            probes: Vec::new(),
            given: BTreeMap::new(),
            disk: BTreeMap::new(),
            urls: BTreeMap::new(),
            open: BTreeSet::new(),
            delivered: Vec::new(),
            removed: Vec::new(),
            taken: BTreeSet::new(),
            gone: BTreeSet::new(),
            taken_at_open: false,
            slow_opens: false,
            opening: Vec::new(),
            slow_saves: false,
            saving: Vec::new(),
            failing_saves: 0,
            stuck: BTreeSet::new(),
            redirects: BTreeMap::new(),
            headers_sent: Vec::new(),
            places: BTreeMap::new(),
            stored: BTreeMap::new(),
            saves: 0,
            forgotten: Vec::new(),
            rates: Vec::new(),
            events: Vec::new(),
            leases: BTreeMap::new(),
            inbox: VecDeque::new(),
        }
    }

    /// The same machine after the node was killed: what is on disk is there, nothing else.
    pub(super) fn restarted(self) -> Self {
        let mut next = Self::new();
        next.manners = self.manners;
        next.disk = self.disk;
        next.urls = self.urls;
        next.places = self.places;
        next.delivered = self.delivered;
        next.removed = self.removed;
        next.taken = self.taken;
        next.stored = self.stored;
        next.wall_ms = self.wall_ms;
        for stored in next.stored.clone().into_values() {
            next.tell(Input::JobFound(Box::new(stored)));
        }
        next
    }

    fn moment(&self) -> Now {
        let micros = u64::try_from(self.now.as_micros()).expect("short");
        let ms = i64::try_from(self.now.as_millis()).expect("short");
        Now { monotonic: Instant::from_micros(micros), wall_unix_ms: self.wall_ms + ms }
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.inbox.push_back(input);
        self.settle();
    }

    fn settle(&mut self) {
        let mut count = 0;
        loop {
            while let Some(input) = self.inbox.pop_front() {
                count += 1;
                assert!(count < 50_000, "in circles");
                self.engine.handle_input(input, self.moment());
                self.drain();
            }
            if self.inbox.is_empty() {
                return;
            }
        }
    }

    fn drain(&mut self) -> Instant {
        loop {
            match self.engine.poll_output() {
                Output::Effect(effect) => self.perform(*effect),
                Output::WaitUntil(at) => return at,
            }
        }
    }

    pub(super) fn submit(&mut self, id: JobId, spec: JobSpec) {
        self.submit_as(id, spec, ME, true);
    }

    pub(super) fn submit_as(&mut self, id: JobId, spec: JobSpec, by: Caller, start: bool) {
        self.tell(Input::Submit { job: id, spec: Box::new(spec), by, start });
    }

    pub(super) fn command(&mut self, id: JobId, command: JobCommand) {
        self.command_as(id, command, ME);
    }

    pub(super) fn command_as(&mut self, id: JobId, command: JobCommand, by: Caller) {
        self.tell(Input::Command { job: id, command, by });
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += STEP;
            if self.drain() <= self.moment().monotonic {
                self.engine.handle_timeout(self.moment());
                self.drain();
            }
            self.settle();
            self.move_bytes();
            self.settle();
        }
    }

    /// Lets much time pass in which nothing moves but timers.
    pub(super) fn skip(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let at = Duration::from_micros(self.drain().as_micros());
            self.now = at.clamp(self.now, end);
            self.engine.handle_timeout(self.moment());
            self.drain();
            self.settle();
            if self.now >= end {
                return;
            }
            if at <= self.now {
                self.now += STEP;
            }
        }
    }

    /// What took its time is open now.
    pub(super) fn open_now(&mut self) {
        let opening = std::mem::take(&mut self.opening);
        opening.into_iter().for_each(|opened| self.tell(opened));
    }

    /// What was to be written down is written down now.
    pub(super) fn save_now(&mut self) {
        let saving = std::mem::take(&mut self.saving);
        saving.into_iter().for_each(|saved| self.tell(saved));
    }

    pub(super) fn view(&self, id: JobId) -> JobView {
        self.engine.job_view(id).expect("a known job")
    }

    pub(super) fn state(&self, id: JobId) -> JobState {
        self.view(id).state
    }

    pub(super) fn files(&self, id: JobId) -> Vec<FileView> {
        self.engine.file_views(id).expect("a known job")
    }

    /// The last refusal of a command.
    pub(super) fn refusal(&self) -> Option<(crate::job::Code, String)> {
        self.events.iter().rev().find_map(|event| match event {
            Event::CommandRefused { code, reason, .. } | Event::JobRefused { code, reason, .. } => {
                Some((*code, reason.clone()))
            }
            _ => None,
        })
    }

    fn manner(&self, url: &str) -> Manner {
        self.manners.get(url).copied().unwrap_or(Manner::Gives(1_000_000))
    }

    fn content(url: &str) -> Arc<HashList> {
        file(LEN, url.bytes().fold(1, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte)))
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::PersistJob { id, job } => self.save(id, *job),
            Effect::ForgetJob { job } => {
                self.stored.remove(&job);
                self.forgotten.push(job);
            }
            Effect::OpenPart { id, file, wish } => self.open_part(id, file, &wish),
            Effect::ClosePart { file } => {
                assert!(self.open.remove(&file) || self.taken_at_open, "{file:?} is not open");
            }
            Effect::DropPart { id, file, destination } => {
                self.open.remove(&file);
                if self.stuck.contains(&destination) {
                    let message = format!("the part of {} cannot be removed", destination.display());
                    let outcome = Err(LocalFault { kind: LocalFaultKind::Denied, message });
                    return self.inbox.push_back(Input::PartDropped { id, outcome });
                }
                self.disk.remove(&file);
                if !self.delivered.contains(&destination) {
                    self.removed.push(destination);
                }
                self.inbox.push_back(Input::PartDropped { id, outcome: Ok(()) });
            }
            Effect::ResetPart { id, file, .. } => {
                self.disk.insert(file, BTreeSet::new());
                self.inbox.push_back(Input::PartReset { id, outcome: Ok(()) });
            }
            Effect::Probe { id, remote, .. } => {
                self.headers_sent.push(remote.headers.0.len());
                self.probe(id, &remote.url);
            }
            Effect::StartLease(lease) => {
                let Span::Range(range) = lease.span else { panic!("lengths are known here") };
                self.leases.insert(lease.id, Running { at: range.start(), end: range.end(), lease });
            }
            Effect::TrimLease { lease, end } => {
                self.leases.get_mut(&lease).into_iter().for_each(|run| run.end = run.end.min(end));
            }
            Effect::StopLease { lease } => self.end(lease, Err(LeaseFault::Stopped)),
            Effect::Seal { id, file, .. } => {
                let list = Self::content(&self.urls[&file]);
                let sealed = SealedFile { content: list.content(), list, digests: Vec::new() };
                self.inbox.push_back(Input::Sealed { id, outcome: Ok(sealed) });
            }
            Effect::Deliver { id, file } => {
                let place = self.places[&file].clone();
                let message = format!("{} already exists", place.display());
                let outcome = if self.gone.remove(&place) {
                    self.disk.remove(&file);
                    let message = format!("cannot look at the part of {}", place.display());
                    Err(LocalFault { kind: LocalFaultKind::NotFound, message })
                } else if self.taken.contains(&place) {
                    Err(LocalFault { kind: LocalFaultKind::Denied, message })
                } else {
                    self.delivered.push(place);
                    Ok(())
                };
                self.inbox.push_back(Input::Delivered { id, outcome });
            }
            Effect::SetRates { job, rates } => self.rates.push((job, rates)),
            Effect::Tell(event) => self.events.push(event),
            _ => {}
        }
    }

    fn save(&mut self, id: EffectId, job: StoredJob) {
        self.saves += 1;
        let mut outcome = Ok(());
        if self.failing_saves > 0 {
            self.failing_saves -= 1;
            let message = "no space".to_owned();
            outcome = Err(LocalFault { kind: LocalFaultKind::NoSpace, message });
        } else {
            self.stored.insert(job.id, job);
        }
        let saved = Input::JobPersisted { id, outcome };
        if self.slow_saves {
            self.saving.push(saved);
        } else {
            self.inbox.push_back(saved);
        }
    }

    fn open_part(&mut self, id: EffectId, file: FileId, wish: &Wish) {
        assert!(self.open.insert(file), "{file:?} is opened twice");
        self.urls.insert(file, wish.remote.url.clone());
        self.places.insert(file, wish.destination.clone());
        let mut outcome = Ok(self.found(file));
        if self.taken_at_open && self.taken.contains(&wish.destination) {
            self.open.remove(&file);
            let message = format!("{} already exists", wish.destination.display());
            outcome = Err(LocalFault { kind: LocalFaultKind::Denied, message });
        }
        let opened = Input::PartOpened { id, outcome };
        if self.slow_opens {
            self.opening.push(opened);
        } else {
            self.inbox.push_back(opened);
        }
    }

    fn found(&self, file: FileId) -> PartFound {
        let list = Self::content(&self.urls[&file]);
        let Some(pieces) = self.disk.get(&file) else { return PartFound { version: None, runs: Vec::new() } };
        let runs = pieces.iter().map(|piece| PieceRun {
            first: PieceIndex(*piece),
            values: vec![list.value(PieceIndex(*piece)).expect("inside")],
            standing: Standing::Certain,
        });
        PartFound { version: Some(version("a", Some(LEN))), runs: runs.collect() }
    }

    fn probe(&mut self, id: EffectId, url: &str) {
        self.probes.push(url.to_owned());
        let outcome = match self.manner(url) {
            Manner::Gives(_) => Ok(Probe {
                version: version("a", Some(LEN)),
                ranges: true,
                digests: Vec::new(),
                public: true,
                footing: Footing::default(),
                round_trip: Duration::from_millis(10),
                final_url: self.redirects.get(url).cloned().unwrap_or_else(|| url.to_owned()),
                headers: vec![("x-origin".to_owned(), "says".to_owned())],
            }),
            Manner::Away => Err(transient("cannot connect", None)),
            Manner::Missing => Err(fatal("404 Not Found")),
        };
        self.inbox.push_back(Input::Probed { id, outcome });
    }

    fn end(&mut self, lease: LeaseId, outcome: Result<(), LeaseFault>) {
        if let Some(run) = self.leases.remove(&lease) {
            let Span::Range(range) = run.lease.span else { return };
            let received = run.at - range.start();
            self.inbox.push_back(Input::LeaseEnded { lease, received, len: None, outcome });
        }
    }

    /// Every URL gives what comes in one step, shared by its leases.
    fn move_bytes(&mut self) {
        let mut open: BTreeMap<String, Vec<LeaseId>> = BTreeMap::new();
        for (id, run) in &self.leases {
            let LeaseSource::Origin { remote, .. } = &run.lease.source else { continue };
            open.entry(remote.url.clone()).or_default().push(*id);
        }
        for (url, leases) in open {
            match self.manner(&url) {
                Manner::Gives(rate) => {
                    let bytes = rate * 10 / 1_000 / u64::try_from(leases.len()).expect("few");
                    leases.into_iter().for_each(|id| self.give(id, bytes, &url));
                }
                Manner::Away | Manner::Missing => {
                    let fault = transient("connection reset", None);
                    leases.into_iter().for_each(|id| self.end(id, Err(LeaseFault::Origin(fault.clone()))));
                }
            }
        }
    }

    fn give(&mut self, id: LeaseId, bytes: u64, url: &str) {
        let Some(run) = self.leases.get_mut(&id) else { return };
        let (before, file) = (run.at, run.lease.file);
        // Mirrors have the same bytes.
        let list = Self::content(&self.urls[&file]);
        run.at = (run.at + bytes).min(run.end);
        let (at, end) = (run.at, run.end);
        let Span::Range(range) = run.lease.span else { return };
        *self.given.entry(url.to_owned()).or_default() += at - before;
        for piece in before / 65_536..at / 65_536 {
            let piece = u32::try_from(piece).expect("few");
            self.disk.entry(file).or_default().insert(piece);
            let values = vec![list.value(PieceIndex(piece)).expect("inside")];
            let run = PieceRun { first: PieceIndex(piece), values, standing: Standing::Certain };
            self.inbox.push_back(Input::PiecesStored { lease: id, run });
        }
        self.inbox.push_back(Input::Progress { lease: id, received: at - range.start() });
        if at >= end {
            self.end(id, Ok(()));
        }
    }
}
