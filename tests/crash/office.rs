//! The engine over the shipping store and parts, on a disk that can be stopped at every operation.
//!
//! Knows: how each effect is performed at once, on one thread. Does not know: the network; origins are functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nearbits::disk::memory_files::MemoryFiles;
use nearbits::disk::part::{Part, Writer};
use nearbits::disk::seal::{Next, SealError};
use nearbits::disk::{DiskError, Existing};
use nearbits::engine::event::{Event, JobView};
use nearbits::engine::io::*;
use nearbits::engine::queue::QueueConfig;
use nearbits::engine::{Engine, EngineConfig, SiteConfig};
use nearbits::job::{Caller, FileId, JobId, JobSpec, PeerFlags, Policy, ServeRates};
use nearbits::store::{Damaged, JobStore, folder};
use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use peer_proto::verify::piece_value;
use peer_proto::version::Version;

use super::reference::STATE;

/// Two pieces, the last one short.
pub(crate) const LEN: u64 = 65_536 + 777;
const ME: Caller = Caller { uid: 0, is_administrator: false };

pub(crate) fn payload(url: &str) -> Vec<u8> {
    let mark = url.bytes().fold(7_u64, |sum, byte| sum * 31 % 251 + u64::from(byte));
    (0..LEN).map(|at| u8::try_from((at * 31 + at / 251 * 7 + mark) % 256).unwrap()).collect()
}

fn version() -> Version {
    Version {
        final_origin: "https://example.org:443".into(),
        etag: Some("\"v1\"".into()),
        last_modified: None,
        len: Some(LEN),
    }
}

/// One life of a node.
pub(crate) struct Office {
    files: MemoryFiles,
    store: JobStore<MemoryFiles>,
    engine: Engine,
    now: Duration,
    parts: BTreeMap<FileId, Part<MemoryFiles>>,
    urls: BTreeMap<FileId, String>,
    leases: BTreeMap<LeaseId, (Lease, u64)>,
    inbox: Vec<Input>,
    /// What was told against the last command.
    refused: Option<String>,
    /// Bytes taken from the origin.
    pub(crate) fetched: u64,
    pub(crate) damaged: Vec<Damaged>,
}

impl Office {
    /// Starts on whatever is on the disk.
    pub(crate) fn start(files: &MemoryFiles) -> Result<Self, Box<dyn std::error::Error>> {
        folder::prepare(files, Path::new(STATE))?;
        let store = JobStore::new(files.clone(), PathBuf::from(STATE).join("jobs"));
        let config = EngineConfig {
            me: PeerId::from_public_key([1; 32]),
            seed: [3; 32],
            flags: PeerFlags::NONE,
            embedded: false,
            expects_peers: false,
            neighbours_known: 0,
            groups: None.into(),
            site: SiteConfig::default(),
            queue: QueueConfig { files_at_once: 2, ..QueueConfig::default() },
            serving: ServeRates::default(),
            policy: Policy::default().over(&Policy::default()),
        };
        let loaded = store.load_all::<StoredJob>()?;
        let mut office = Self {
            files: files.clone(),
            store,
            engine: Engine::new(config, Now { monotonic: Instant::ZERO, wall_unix_ms: 1_800_000_000_000 }),
            now: Duration::ZERO,
            parts: BTreeMap::new(),
            urls: BTreeMap::new(),
            leases: BTreeMap::new(),
            inbox: Vec::new(),
            refused: None,
            fetched: 0,
            damaged: loaded.damaged,
        };
        for job in loaded.jobs {
            office.tell(Input::JobFound(Box::new(job)));
        }
        Ok(office)
    }

    fn moment(&self) -> Now {
        let micros = u64::try_from(self.now.as_micros()).unwrap();
        let wall_unix_ms = 1_800_000_000_000 + i64::try_from(self.now.as_millis()).unwrap();
        Now { monotonic: Instant::from_micros(micros), wall_unix_ms }
    }

    fn tell(&mut self, input: Input) {
        self.inbox.push(input);
        self.settle();
    }

    fn settle(&mut self) {
        let mut count = 0;
        while !self.inbox.is_empty() {
            count += 1;
            assert!(count < 10_000, "in circles");
            let input = self.inbox.remove(0);
            self.engine.handle_input(input, self.moment());
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Output::Effect(effect) = self.engine.poll_output() {
            // A stopped process does nothing more.
            if !self.files.is_stopped() {
                self.perform(*effect);
            }
        }
    }

    /// Whether it was acknowledged.
    pub(crate) fn submit(&mut self, job: JobId, spec: JobSpec) -> bool {
        self.refused = None;
        self.tell(Input::Submit { job, spec: Box::new(spec), by: ME, start: false });
        self.refused.is_none() && !self.files.is_stopped() && self.engine.job_view(job).is_some()
    }

    /// Whether it was acknowledged.
    pub(crate) fn command(&mut self, job: JobId, command: JobCommand) -> bool {
        self.refused = None;
        self.tell(Input::Command { job, command, by: ME });
        self.refused.is_none() && !self.files.is_stopped()
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end && !self.files.is_stopped() {
            self.now += Duration::from_millis(20);
            self.engine.handle_timeout(self.moment());
            self.drain();
            self.settle();
            let open: Vec<LeaseId> = self.leases.keys().copied().collect();
            open.into_iter().for_each(|lease| self.give(lease));
            self.settle();
        }
    }

    pub(crate) fn view(&self, job: JobId) -> Option<JobView> {
        self.engine.job_view(job)
    }

    pub(crate) fn stored(&self, job: JobId) -> Option<StoredJob> {
        self.engine.stored_job(job)
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::PersistJob { id, job } => {
                let count = u16::try_from(job.files.len()).unwrap();
                let saved = self.store.save(job.id, count, &*job);
                let outcome = saved.map_err(|error| {
                    self.refused = Some(error.to_string());
                    local(error.kind(), &error.to_string())
                });
                self.inbox.push(Input::JobPersisted { id, outcome });
            }
            Effect::ForgetJob { job } => drop(self.store.remove(job)),
            Effect::OpenPart { id, file, wish } => {
                self.urls.insert(file, wish.remote.url.clone());
                let outcome = self.open(file, &wish.destination);
                self.inbox.push(Input::PartOpened { id, outcome: outcome.map_err(|error| fault(&error)) });
            }
            Effect::ClosePart { file } => {
                if let Some(part) = self.parts.remove(&file) {
                    drop(part.flush());
                }
            }
            Effect::ResetPart { id, file, version } => {
                let outcome = self.parts[&file].reset(&version).map_err(|error| fault(&error));
                self.inbox.push(Input::PartReset { id, outcome });
            }
            Effect::PinPart { file, version } => drop(self.parts[&file].pin(&version)),
            Effect::Restand { file, first, count, standing } => {
                self.parts[&file].restand(first, count, standing);
            }
            Effect::Probe { id, remote, .. } => {
                let probe = Probe {
                    version: version(),
                    ranges: true,
                    digests: Vec::new(),
                    public: true,
                    footing: Footing::default(),
                    round_trip: Duration::from_millis(1),
                    final_url: remote.url.clone(),
                    headers: Vec::new(),
                };
                self.inbox.push(Input::Probed { id, outcome: Ok(probe) });
            }
            Effect::StartLease(lease) => drop(self.leases.insert(lease.id, (lease, 0))),
            Effect::StopLease { lease } => self.end(lease, Err(LeaseFault::Stopped)),
            Effect::Seal { id, file, .. } => {
                let outcome = self.seal(file);
                self.inbox.push(Input::Sealed { id, outcome });
            }
            Effect::Deliver { id, file } => {
                let outcome = self.parts[&file].deliver().map_err(|error| fault(&error));
                self.inbox.push(Input::Delivered { id, outcome });
            }
            Effect::DropPart { id, file, destination } => {
                let outcome = self.drop_part(file, &destination).map_err(|error| fault(&error));
                self.inbox.push(Input::PartDropped { id, outcome });
            }
            Effect::Tell(Event::CommandRefused { reason, .. } | Event::JobRefused { reason, .. }) => {
                self.refused = Some(reason);
            }
            _ => {}
        }
    }

    fn open(&mut self, file: FileId, destination: &Path) -> Result<PartFound, DiskError> {
        let journal = self.store.journal_path(file);
        let tag = file.job.to_string();
        let opened = Part::open(&self.files, destination, &tag, &journal, Existing::Refuse)?;
        self.parts.insert(file, opened.part);
        Ok(PartFound { version: opened.found.version, runs: opened.found.runs })
    }

    fn seal(&self, file: FileId) -> Result<SealedFile, SealFault> {
        match self.parts[&file].seal(&[], &[], Next::Waiting) {
            Ok(sealed) => {
                Ok(SealedFile { content: sealed.content, list: sealed.list, digests: sealed.digests })
            }
            Err(SealError::Rotten { pieces }) => Err(SealFault::Rotten { pieces }),
            Err(SealError::Mismatch { algorithm, found }) => Err(SealFault::Mismatch { algorithm, found }),
            Err(SealError::Disk(error)) => Err(SealFault::Local(fault(&error))),
        }
    }

    fn drop_part(&mut self, file: FileId, destination: &Path) -> Result<(), DiskError> {
        let journal = self.store.journal_path(file);
        match self.parts.remove(&file) {
            Some(part) => part.drop_part(),
            None => Part::discard(&self.files, destination, &file.job.to_string(), &journal),
        }
    }

    /// One piece of a lease, or its end.
    fn give(&mut self, id: LeaseId) {
        let Some((lease, done)) = self.leases.get(&id).map(|(lease, done)| (lease.clone(), *done)) else {
            return;
        };
        let Span::Range(range) = lease.span else { return };
        let cut = Geometry::of(LEN).unwrap();
        let at = range.start() + done;
        let piece = cut.piece_at(at).unwrap();
        let whole = cut.piece_range(piece).unwrap();
        match self.write(&lease, piece, whole.start(), whole.end()) {
            Ok(run) => {
                let received = whole.end() - range.start();
                self.fetched += whole.len();
                self.leases.insert(id, (lease, received));
                self.inbox.push(Input::PiecesStored { lease: id, run });
                self.inbox.push(Input::Progress { lease: id, received });
                if whole.end() >= range.end() {
                    self.end(id, Ok(()));
                }
            }
            Err(error) => self.end(id, Err(LeaseFault::Local(fault(&error)))),
        }
    }

    fn write(&self, lease: &Lease, piece: PieceIndex, start: u64, end: u64) -> Result<PieceRun, DiskError> {
        let all = payload(&self.urls[&lease.file]);
        let bytes = &all[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
        let value = piece_value(&Geometry::of(LEN).unwrap(), piece, bytes).unwrap();
        let run = PieceRun { first: piece, values: vec![value], standing: Standing::Certain };
        let part = &self.parts[&lease.file];
        part.write_at(Writer(lease.id.0), start, bytes)?;
        part.commit(&run)?;
        Ok(run)
    }

    fn end(&mut self, lease: LeaseId, outcome: Result<(), LeaseFault>) {
        if let Some((_, received)) = self.leases.remove(&lease) {
            self.inbox.push(Input::LeaseEnded { lease, received, len: None, outcome });
        }
    }
}

fn local(kind: std::io::ErrorKind, message: &str) -> LocalFault {
    let kind = match kind {
        std::io::ErrorKind::StorageFull => LocalFaultKind::NoSpace,
        _ => LocalFaultKind::Io,
    };
    LocalFault { kind, message: message.to_owned() }
}

fn fault(error: &DiskError) -> LocalFault {
    local(error.kind(), &error.to_string())
}

/// A job of these files of `/home/user`.
pub(crate) fn spec(names: &[&str]) -> JobSpec {
    let file = |name: &&str| {
        JobSpec::for_file(format!("https://example.org/{name}"), format!("/home/user/{name}")).files.remove(0)
    };
    JobSpec {
        name: "a job".into(),
        files: names.iter().map(file).collect(),
        retry_delay_s: 5,
        ..JobSpec::default()
    }
}

pub(crate) fn shared(files: &MemoryFiles, name: &str) -> Option<Arc<[u8]>> {
    files.contents(&Path::new("/home/user").join(name)).map(Into::into)
}
