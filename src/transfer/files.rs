//! Effects on the part of one file, in the order they were given: open, empty, seal, deliver, drop; and those on what
//! is kept afterwards.
//!
//! Knows: which of them must find the file quiet. Does not know: how bytes lie on the disk (`disk`, `cache`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::standing::Standing;
use peer_proto::version::Version;
use peer_proto::wire::ListPart;

use super::part_table::{NodePart, OpenPart};
use super::serve::Serving;
use super::serve_sources::{Asked, PartReader, RecordReader};
use super::{Transfer, fault};
use crate::cache::{Cache, CacheError, Change, Keep};
use crate::clock;
use crate::disk::part::Part;
use crate::disk::part::seal::{Next, SealError};
use crate::disk::{self, RealFiles};
use crate::engine::io::{
    EffectId, Input, KeptFile, LocalFault, PartFound, SealFault, SealedFile, ServeFrom, ServeOutcome,
};
use crate::job::{Existing, FileId, Wish};
use crate::record::{RecordId, Scope};

/// So long, and so often, it is waited for those who read a record that is to go.
const READERS_LOOK: Duration = Duration::from_millis(50);
const READERS_LOOKS_MAX: u32 = 100;
/// How often it is looked whether written bytes should be made durable.
const SYNC_LOOK: Duration = Duration::from_millis(250);

/// What the disk does when a name is taken.
#[must_use]
pub const fn existing_rule(existing: Existing) -> disk::Existing {
    match existing {
        Existing::Refuse => disk::Existing::Refuse,
        Existing::Replace => disk::Existing::Replace,
    }
}

impl Transfer {
    /// Opens or creates a part and reads its journal. Answered by [`Input::PartOpened`].
    pub fn open_part(&self, id: EffectId, file: FileId, wish: Wish) {
        let this = self.clone();
        self.turn(file, async move {
            this.inner.tables.quiet(file).await;
            let outcome = this.open(file, wish).await;
            this.tell(Input::PartOpened { id, outcome }).await;
        });
    }

    async fn open(&self, file: FileId, wish: Wish) -> Result<PartFound, LocalFault> {
        let parts = &self.inner.parts;
        if let Some(before) = self.inner.tables.take_part(file) {
            before.closed.cancel();
            blocking(move || before.part.flush().map_err(|error| fault::local(&error))).await?;
        }
        let files = parts.files;
        let journal = parts.jobs.journal_path(file);
        let algorithms = followed(&wish);
        let is_delivered_at_once = wish.auto_complete;
        let opened = blocking(move || {
            let rule = existing_rule(wish.existing);
            let tag = file.job.to_string();
            Part::open(&files, &wish.destination, &tag, &journal, rule).map_err(|error| fault::local(&error))
        })
        .await?;
        let part = Arc::new(opened.part);
        let open = OpenPart {
            part: part.clone(),
            algorithms: algorithms.into(),
            next: if is_delivered_at_once { Next::Delivery } else { Next::Waiting },
            closed: self.inner.stop.child_token(),
        };
        self.keep_synced(&open);
        if opened.found.len.is_some() {
            part.follow(&open.algorithms);
        }
        self.inner.tables.put_part(file, open);
        Ok(PartFound { version: opened.found.version, runs: opened.found.runs })
    }

    /// Makes written bytes durable in the background while the part is open.
    fn keep_synced(&self, open: &OpenPart) {
        let (part, clock, closed) = (open.part.clone(), self.inner.parts.clock, open.closed.clone());
        self.spawn(async move {
            let mut looks = tokio::time::interval(SYNC_LOOK);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while let Some(_look) = closed.run_until_cancelled(looks.tick()).await {
                let part = part.clone();
                let synced = tokio::task::spawn_blocking(move || part.sync_if_due(clock.monotonic())).await;
                if let Ok(Err(error)) = synced {
                    // The part distrusts itself from now on: what was not durable is proved again or fetched again.
                    tracing::warn!(%error, "written bytes could not be made durable");
                }
            }
        });
    }

    /// Empties a part and pins it to a version. Answered by [`Input::PartReset`].
    pub fn reset_part(&self, id: EffectId, file: FileId, version: Version) {
        let this = self.clone();
        self.turn(file, async move {
            this.inner.tables.quiet(file).await;
            let outcome = this
                .on_part(file, move |open| {
                    open.part.reset(&version).map_err(|error| fault::local(&error))?;
                    if version.len.is_some() {
                        open.part.follow(&open.algorithms);
                    }
                    Ok(())
                })
                .await;
            this.tell(Input::PartReset { id, outcome }).await;
        });
    }

    /// Says to the journal which version the bytes belong to. Not answered.
    pub fn pin_part(&self, file: FileId, version: Version) {
        let this = self.clone();
        self.turn(file, async move {
            let done =
                this.on_part(file, move |open| open.part.pin(&version).map_err(|error| fault::local(&error)));
            if let Err(error) = done.await {
                tracing::warn!(job = %file.job, %error, "the origin's version is not in the journal");
            }
        });
    }

    /// Changes standings in the journal. Not answered.
    pub fn restand(&self, file: FileId, first: PieceIndex, count: u32, standing: Standing) {
        let this = self.clone();
        self.turn(file, async move {
            let done = this.on_part(file, move |open| {
                open.part.restand(first, count, standing);
                Ok(())
            });
            if let Err(error) = done.await {
                tracing::warn!(job = %file.job, %error, "standings not changed");
            }
        });
    }

    /// Validates the whole file and syncs it. Answered by [`Input::Sealed`].
    pub fn seal(&self, id: EffectId, file: FileId, len: u64, digests: Vec<Digest>, want_sha256: bool) {
        let this = self.clone();
        self.turn(file, async move {
            this.inner.tables.quiet(file).await;
            let outcome = this.seal_now(file, len, digests, want_sha256).await;
            this.tell(Input::Sealed { id, outcome }).await;
        });
    }

    async fn seal_now(
        &self,
        file: FileId,
        len: u64,
        digests: Vec<Digest>,
        want_sha256: bool,
    ) -> Result<SealedFile, SealFault> {
        let open = self.inner.tables.part(file).ok_or_else(|| SealFault::Local(not_open()))?;
        let sealing = tokio::task::spawn_blocking(move || {
            open.part.set_len(len)?;
            let also: &[Algorithm] = if want_sha256 { &[Algorithm::Sha256] } else { &[] };
            open.part.seal(&digests, also, open.next)
        });
        match sealing.await {
            Ok(Ok(sealed)) => {
                Ok(SealedFile { content: sealed.content, list: sealed.list, digests: sealed.digests })
            }
            Ok(Err(SealError::Mismatch { algorithm, found })) => {
                Err(SealFault::Mismatch { algorithm, found })
            }
            Ok(Err(SealError::Rotten { pieces })) => Err(SealFault::Rotten { pieces }),
            Ok(Err(SealError::Disk(error))) => Err(SealFault::Local(fault::local(&error))),
            Err(_) => Err(SealFault::Local(fault::broken("sealing ends"))),
        }
    }

    /// Gives the sealed file its final name, durably. Answered by [`Input::Delivered`].
    pub fn deliver(&self, id: EffectId, file: FileId) {
        let this = self.clone();
        self.turn(file, async move {
            let outcome =
                this.on_part(file, |open| open.part.deliver().map_err(|error| fault::local(&error))).await;
            this.tell(Input::Delivered { id, outcome }).await;
        });
    }

    /// Writes down what the journal lacks and lets go of the part. Not answered.
    pub fn close_part(&self, file: FileId) {
        let this = self.clone();
        self.turn(file, async move {
            this.inner.tables.quiet(file).await;
            if let Some(open) = this.inner.tables.take_part(file) {
                open.closed.cancel();
                let closed = blocking(move || open.part.flush().map_err(|error| fault::local(&error)));
                if let Err(error) = closed.await {
                    tracing::warn!(job = %file.job, %error, "some bytes are fetched again");
                }
            }
        });
    }

    /// Removes part and journal, open or not. Answered by [`Input::PartDropped`].
    pub fn drop_part(&self, id: EffectId, file: FileId, destination: PathBuf) {
        let this = self.clone();
        self.turn(file, async move {
            this.inner.tables.quiet(file).await;
            let open = this.inner.tables.take_part(file);
            let (files, journal) = (this.inner.parts.files, this.inner.parts.jobs.journal_path(file));
            let dropped = blocking(move || {
                let dropped = match open {
                    Some(open) => {
                        open.closed.cancel();
                        open.part.drop_part()
                    }
                    None => Part::discard(&files, &destination, &file.job.to_string(), &journal),
                };
                dropped.map_err(|error| fault::local(&error))
            });
            let outcome = dropped.await;
            if let Err(error) = &outcome {
                tracing::warn!(job = %file.job, %error, "something of a job stays on disk");
            }
            this.tell(Input::PartDropped { id, outcome }).await;
        });
    }

    /// Keeps a delivered file in the cache. Tells [`Input::RecordHeld`] if it was kept.
    pub fn keep(&self, kept: KeptFile) {
        let KeptFile { file, destination, sealed, url, version, scope, vouched } = kept;
        let this = self.clone();
        self.turn(file, async move {
            let cache = this.inner.parts.cache.clone();
            let mut id = [0; 16];
            if let Err(error) = getrandom::fill(&mut id) {
                tracing::warn!(%error, "no random name for a record: the file is not kept");
                return;
            }
            let kept = tokio::task::spawn_blocking(move || {
                let keep = Keep {
                    id: RecordId(id),
                    list: sealed.list,
                    digests: sealed.digests,
                    url,
                    version,
                    scope,
                    vouched,
                    // The brain keeps nothing that may not be served.
                    served: scope == Scope::Shareable,
                    now_unix_s: clock::wall_unix_ms() / 1_000,
                };
                cache.keep_borrowed(keep, &destination)
            });
            match kept.await {
                Ok(Ok(summary)) => this.tell(Input::RecordHeld(summary)).await,
                Ok(Err(error)) => tracing::info!(job = %file.job, %error, "not kept for peers"),
                Err(_) => tracing::error!(job = %file.job, "keeping a file broke"),
            }
        });
    }

    /// Removes a record from the cache, once nobody reads it. Tells [`Input::RecordGone`] if it went.
    pub fn drop_record(&self, record: RecordId) {
        let this = self.clone();
        self.spawn(async move {
            let mut looks = 0;
            let outcome = loop {
                let cache = this.inner.parts.cache.clone();
                let outcome = tokio::task::spawn_blocking(move || cache.remove(record)).await;
                looks += 1;
                if !matches!(outcome, Ok(Err(CacheError::Busy(_)))) || looks == READERS_LOOKS_MAX {
                    break outcome;
                }
                tokio::time::sleep(READERS_LOOK).await;
            };
            match outcome {
                Ok(Ok(()) | Err(CacheError::NoRecord(_))) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%record, %error, "what was called invalid stays in the cache")
                }
                Err(_) => tracing::error!(%record, "removing a record broke"),
            }
            this.tell_cache_changes().await;
        });
    }

    /// Reads one part of a record's hash list. Answered by [`Input::ListRead`].
    pub fn read_list(&self, id: EffectId, record: RecordId, part: ListPart) {
        let this = self.clone();
        self.spawn(async move {
            let cache = this.inner.parts.cache.clone();
            let values = tokio::task::spawn_blocking(move || cache.list_part(record, part)).await;
            this.tell(Input::ListRead { id, values: values.ok().flatten() }).await;
            this.tell_cache_changes().await;
        });
    }

    /// Reads a record's whole list. Answered by [`Input::ListRecalled`].
    pub fn recall_list(&self, id: EffectId, record: RecordId) {
        let this = self.clone();
        self.spawn(async move {
            let cache = this.inner.parts.cache.clone();
            let list = tokio::task::spawn_blocking(move || cache.list(record)).await;
            this.tell(Input::ListRecalled { id, list: list.ok().flatten() }).await;
            this.tell_cache_changes().await;
        });
    }

    /// Serves from where the brain says, and tells if a record turned out to hold less than it thought.
    pub(super) async fn serve_from(
        &self,
        serving: Serving,
        from: ServeFrom,
        values: Vec<Hash>,
    ) -> (u64, ServeOutcome) {
        let asked = Asked::new(values);
        match from {
            ServeFrom::Part(file) => match self.inner.tables.part(file) {
                None => (0, ServeOutcome::NotHeld),
                Some(open) => serving.run(PartReader::new(open.part, asked)).await,
            },
            ServeFrom::Record(record) => {
                let cache = self.inner.parts.cache.clone();
                // What is read for a peer is not removed meanwhile (CACHE-8).
                let Some(hold) = cache.hold(record) else { return (0, ServeOutcome::NotHeld) };
                let (sent, outcome) = serving.run(RecordReader::new(cache.clone(), record, asked)).await;
                drop(hold);
                self.after_serving(cache, record, outcome).await;
                (sent, outcome)
            }
        }
    }

    /// Notes that a record was used, and tells what changed with it.
    async fn after_serving(&self, cache: Cache<RealFiles>, record: RecordId, outcome: ServeOutcome) {
        let touched = tokio::task::spawn_blocking(move || {
            if outcome == ServeOutcome::Sent
                && let Err(error) = cache.touch(record, clock::wall_unix_ms() / 1_000)
            {
                tracing::debug!(%record, %error, "use not noted");
            }
        });
        drop(touched.await);
        self.tell_cache_changes().await;
    }

    /// Tells what records turned out to hold no longer.
    ///
    /// # Cancel safety
    /// Dropping it may lose what it has taken and not yet told.
    pub async fn tell_cache_changes(&self) {
        let cache = self.inner.parts.cache.clone();
        let changes = tokio::task::spawn_blocking(move || cache.take_changes());
        for change in changes.await.unwrap_or_default() {
            self.tell(match change {
                Change::Held(summary) => Input::RecordHeld(summary),
                Change::Gone(record) => Input::RecordGone(record),
            })
            .await;
        }
    }

    /// Writes down what journals do not have yet.
    pub(super) async fn flush_parts(&self) {
        let parts: Vec<Arc<NodePart>> =
            self.inner.tables.all_parts().into_iter().map(|open| open.part).collect();
        let flushed = tokio::task::spawn_blocking(move || {
            for part in parts {
                if let Err(error) = part.flush() {
                    tracing::warn!(%error, "a journal could not be written; some bytes are fetched again");
                }
            }
        });
        drop(flushed.await);
    }

    async fn on_part<T: Send + 'static>(
        &self,
        file: FileId,
        work: impl FnOnce(&OpenPart) -> Result<T, LocalFault> + Send + 'static,
    ) -> Result<T, LocalFault> {
        let open = self.inner.tables.part(file).ok_or_else(not_open)?;
        blocking(move || work(&open)).await
    }

    fn turn(&self, file: FileId, work: impl Future<Output = ()> + Send + 'static) {
        let queued = self.inner.turns.queue(file, work);
        self.spawn(queued);
    }
}

/// Digests computed while the file comes in: those the job names; where it names none and may be shared, the one it
/// is shared under, so that sealing has little left to read.
fn followed(wish: &Wish) -> Vec<Algorithm> {
    if wish.digests.is_empty() && wish.flags.server {
        return vec![Algorithm::Sha256];
    }
    wish.digests.iter().map(Digest::algorithm).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalFault> + Send + 'static,
) -> Result<T, LocalFault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(fault::broken("file work ends")))
}

fn not_open() -> LocalFault {
    fault::broken("the part is open")
}
