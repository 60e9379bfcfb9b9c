//! What happens to all jobs, remembered for a while, so that nobody who comes back misses anything.
//!
//! Knows: which events a job's flags raise, how often (NOTIFY-1..5, LIM-6), who may see them (SEC-1), the last of them
//! by their ids (NOTIFY-12). Does not know: how a job is carried out, who is let in.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue};

use super::api::{Caller, Event, JobId, JobState, JobView, Notice, NotifyFlags};
use super::follow::{KEEP_ALIVE, Line, stream};
use super::server::{Desk, Door};

/// Events that are remembered.
const KEPT_MAX: usize = 4_096;
/// Bytes of them: one that has a long URL or many sources takes a few KiB.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events that a listener is given at a time.
const BATCH_MAX: usize = 64;

/// Owner of what concerns the machine and no user: administrators hear of it.
const NOBODYS: u32 = u32::MAX;

/// The events of this process, the last ones kept. All doors of a node share them.
#[derive(Debug)]
pub struct Events {
    /// Tells this process's ids from those of others.
    boot: u64,
    ring: Mutex<Ring>,
    /// The number of the last event, for those who wait for the next.
    last: watch::Sender<u64>,
}

/// What is kept: events with numbers in a row.
#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the last event that was raised.
    last: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    owner: u32,
    name: &'static str,
    json: Arc<str>,
}

/// What comes after an event.
enum After {
    /// It is not known any more; the last one has this number.
    Lost(u64),
    /// These, up to this number.
    Lines(Vec<Bytes>, u64),
}

impl Events {
    /// Events of the node behind `desk`, from now on; and what hears of them until `stop`, to be spawned.
    ///
    /// # Cancel safety
    /// Without the second nobody hears of anything any more.
    pub fn of<D: Desk>(
        desk: D,
        stop: CancellationToken,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let events = Arc::new(Self::new());
        let raiser = Raiser {
            events: Arc::clone(&events),
            changes: desk.changes(),
            desk,
            jobs: BTreeMap::new(),
            quiet: DelayQueue::new(),
        };
        let hearing = async move {
            stop.run_until_cancelled(raiser.run()).await;
        };
        (events, hearing)
    }

    fn new() -> Self {
        // The standard library draws these keys at random.
        let boot = std::hash::RandomState::new().build_hasher().finish();
        Self { boot, ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raise(&self, owner: u32, notice: &Notice) {
        let Ok(json) = serde_json::to_string(notice) else { return };
        let last = self.ring().push(Entry { owner, name: notice.name(), json: json.into() });
        self.last.send_replace(last);
    }

    /// Some were missed: whoever listens is told what is there now.
    fn forget(&self) {
        let last = self.ring().forget();
        self.last.send_replace(last);
    }

    /// The number of an id of this process.
    fn number(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.split_once('-')?;
        if u64::from_str_radix(boot, 16) == Ok(self.boot) { number.parse().ok() } else { None }
    }

    fn after(&self, seen: Option<u64>, by: Caller) -> After {
        let ring = self.ring();
        let oldest = ring.last - u64::try_from(ring.entries.len()).unwrap_or(ring.last);
        let Some(seen) = seen.filter(|seen| (oldest..=ring.last).contains(seen)) else {
            return After::Lost(ring.last);
        };
        let skipped = usize::try_from(seen - oldest).unwrap_or(usize::MAX);
        let (mut lines, mut number) = (Vec::new(), seen);
        for entry in ring.entries.iter().skip(skipped).take(BATCH_MAX) {
            number += 1;
            if by.may_manage(entry.owner) {
                lines.push(self.line(number, entry.name, &entry.json));
            }
        }
        After::Lines(lines, number)
    }

    fn line(&self, number: u64, name: &str, json: &str) -> Bytes {
        format!("id: {:016x}-{number}\nevent: {name}\ndata: {json}\n\n", self.boot).into()
    }
}

impl Ring {
    fn push(&mut self, entry: Entry) -> u64 {
        self.bytes += entry.json.len();
        self.entries.push_back(entry);
        while self.entries.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.json.len();
        }
        self.last += 1;
        self.last
    }

    /// Leaves a gap in the numbers that nobody can have seen the end of.
    fn forget(&mut self) -> u64 {
        self.entries.clear();
        self.bytes = 0;
        self.last += 1;
        self.last
    }
}

/// Makes notices of what the node tells.
struct Raiser<D> {
    events: Arc<Events>,
    desk: D,
    changes: broadcast::Receiver<Event>,
    /// Jobs that are not over.
    jobs: BTreeMap<JobId, Known>,
    /// Jobs whose next change is held back until then.
    quiet: DelayQueue<JobId>,
}

/// What was told of a job.
struct Known {
    owner: u32,
    state: JobState,
    transferred_unix_ms: Option<i64>,
    flags: NotifyFlags,
    interval: Duration,
    /// Set while changes are held back.
    quiet: Option<delay_queue::Key>,
    /// The last change that is held back.
    held: Option<Box<JobView>>,
}

impl Known {
    fn of(view: &JobView) -> Self {
        Self {
            owner: view.owner,
            state: view.state,
            transferred_unix_ms: view.times.transferred_unix_ms,
            flags: view.notify.effective(),
            interval: Duration::from_millis(view.notify_interval_ms.into()),
            quiet: None,
            held: None,
        }
    }
}

impl<D: Desk> Raiser<D> {
    async fn run(mut self) {
        // Whoever came before that may have missed some.
        self.learn().await;
        self.events.forget();
        loop {
            tokio::select! {
                Some(over) = poll_fn(|context| self.quiet.poll_expired(context)) => self.go_on(over.into_inner()),
                change = self.changes.recv() => match change {
                    Ok(event) => self.hear(event),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::debug!(missed, "events were missed: listeners are told what is there");
                        self.learn().await;
                        self.events.forget();
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    /// Looks at all jobs, without telling anybody.
    async fn learn(&mut self) {
        let Ok(views) = self.desk.jobs().await else { return };
        self.quiet.clear();
        let open = views.iter().filter(|view| !view.state.is_final());
        self.jobs = open.map(|view| (view.id, Known::of(view))).collect();
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::JobAccepted(view) => {
                // What came of it since is told after this.
                let (job, known) = (view.id, Known::of(&view));
                if !known.flags.disable {
                    self.events.raise(view.owner, &Notice::JobCreated { job: view });
                }
                self.jobs.insert(job, known);
            }
            Event::JobChanged(view) => self.changed(view),
            Event::FileTransferred { job, file } => {
                if let Some(known) = self.jobs.get(&job)
                    && known.flags.file_transferred
                {
                    self.events.raise(known.owner, &Notice::FileTransferred { job, file });
                }
            }
            Event::FileRanges { job, file, ranges } => {
                if let Some(known) = self.jobs.get(&job)
                    && known.flags.file_ranges_transferred
                {
                    self.events.raise(known.owner, &Notice::FileRanges { job, file, ranges });
                }
            }
            Event::TokenOld { group, until_unix_s, is_over, reason } => {
                let notice = Notice::GroupTokenOld { group, until_unix_s, is_over, reason };
                self.events.raise(NOBODYS, &notice);
            }
            Event::JobRefused { .. } | Event::JobTaken { .. } | Event::CommandRefused { .. } => {}
        }
    }

    fn changed(&mut self, view: Box<JobView>) {
        let Some(known) = self.jobs.get_mut(&view.id) else { return };
        let id = view.id;
        let next = Known::of(&view);
        // A job that completes itself is past TRANSFERRED before anybody hears of it.
        let is_transferred = next.transferred_unix_ms.is_some()
            && (next.transferred_unix_ms != known.transferred_unix_ms
                || (next.state == JobState::Transferred && known.state != JobState::Transferred));
        let is_error = next.state == JobState::Error && known.state != JobState::Error;
        let is_over = next.state.is_final();
        let (quiet, held) = (known.quiet.take(), known.held.take());
        *known = Known { quiet, held, ..next };
        if !is_transferred && !is_error && !is_over {
            return self.modified(view);
        }
        let (owner, flags) = (known.owner, known.flags);
        if let Some(job) = known.held.take().filter(|_| flags.job_modification) {
            self.events.raise(owner, &Notice::JobChanged { job });
        }
        if is_transferred && flags.job_transferred {
            self.events.raise(owner, &Notice::JobTransferred { job: view.clone() });
        }
        if is_error && flags.job_error {
            self.events.raise(owner, &Notice::JobError { job: view.clone() });
        }
        if is_over {
            if let Some(key) = self.jobs.remove(&id).and_then(|known| known.quiet) {
                self.quiet.try_remove(&key);
            }
            if !flags.disable {
                self.events.raise(owner, &Notice::JobOver { job: view });
            }
        }
    }

    /// A change that is told at most once in the job's interval (LIM-6).
    fn modified(&mut self, view: Box<JobView>) {
        let Some(known) = self.jobs.get_mut(&view.id).filter(|known| known.flags.job_modification) else {
            return;
        };
        if known.quiet.is_some() {
            known.held = Some(view);
            return;
        }
        let (id, owner) = (view.id, known.owner);
        if !known.interval.is_zero() {
            known.quiet = Some(self.quiet.insert(id, known.interval));
        }
        self.events.raise(owner, &Notice::JobChanged { job: view });
    }

    /// The interval of a job is over.
    fn go_on(&mut self, job: JobId) {
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.quiet = None;
        if let Some(held) = known.held.take() {
            self.modified(held);
        }
    }
}

/// The stream of all jobs the caller may see, after the event with this id.
pub(super) fn all_jobs<D: Desk>(door: Arc<Door<D>>, by: Caller, since: Option<&str>) -> Response {
    let seen = since.and_then(|id| door.events.number(id));
    stream(move |lines| async move { listen(&door, by, seen, lines).await })
}

async fn listen<D: Desk>(door: &Door<D>, by: Caller, mut seen: Option<u64>, lines: mpsc::Sender<Line>) {
    let events = &door.events;
    let mut last = events.last.subscribe();
    loop {
        let known = *last.borrow_and_update();
        let batch = match events.after(seen, by) {
            After::Lines(batch, number) => {
                seen = Some(number);
                batch
            }
            After::Lost(number) => {
                // What happens from here on comes as well, even if these views have it already.
                let Ok(mut jobs) = door.desk.jobs().await else { return };
                jobs.retain(|view| by.may_manage(view.owner));
                let reset = Notice::Reset { jobs };
                let Ok(json) = serde_json::to_string(&reset) else { return };
                seen = Some(number);
                vec![events.line(number, reset.name(), &json)]
            }
        };
        for line in batch {
            if lines.send(Ok(line)).await.is_err() {
                return;
            }
        }
        if seen.is_some_and(|seen| seen < known) {
            continue;
        }
        let fresh = tokio::select! {
            () = door.stop.cancelled() => return,
            () = lines.closed() => return,
            fresh = tokio::time::timeout(KEEP_ALIVE, last.changed()) => fresh,
        };
        match fresh {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                if lines.send(Ok(": still here\n\n".into())).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
