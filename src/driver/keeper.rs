//! The cache as its administrator has it: looked at, limited, emptied, read through.
//!
//! Knows: that what goes is told to the brain, and that limits outlive the node. Does not know: who may ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, CacheError, Seen, Usage, Verified};
use crate::clock;
use crate::disk::RealFiles;
use crate::job::PeerRules;
use crate::record::{CacheLimits, CacheSize, CacheWish, LimitError, RecordId, RecordSummary};
use crate::store::LimitStore;
use crate::transfer::Transfer;

/// How long somebody who empties the cache waits for those who read from it.
const READERS_WAIT: Duration = Duration::from_secs(5);
const READERS_LOOK: Duration = Duration::from_millis(50);

/// Why something was not done with the cache.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// There is no such record.
    #[error("there is no record {0}: `nearbits cache list` shows what is there")]
    NoRecord(RecordId),
    /// There was such a record (ERR-43).
    #[error(
        "record {0} is gone: removed, too old, in the way of others, or not what it was; `nearbits cache list` shows what is there"
    )]
    Deleted(RecordId),
    /// Somebody reads it at this moment.
    #[error("record {0} is being read: try again in a few seconds")]
    Busy(RecordId),
    /// The disk says no.
    #[error(transparent)]
    Cache(CacheError),
    /// A limit that is none.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The limits could not be written down; they hold until the node ends all the same.
    #[error("the limits hold until the node ends, but were not kept: {0}")]
    NotKept(String),
    /// The node is ending, or broke.
    #[error("the node is ending")]
    Gone,
}

impl From<CacheError> for KeeperError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::NoRecord(id) => Self::NoRecord(id),
            CacheError::Busy(id) => Self::Busy(id),
            other => Self::Cache(other),
        }
    }
}

/// A record and all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The record.
    pub summary: RecordSummary,
    /// Where it was seen, newest last.
    pub seen: Vec<Seen>,
    /// Whether its bytes are those of a delivered file that lies where its user left it.
    pub is_borrowed: bool,
}

/// What an emptied cache is left with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cleared {
    /// Records that went.
    pub removed: usize,
    /// Records that were being read all the time, and stayed.
    pub busy: usize,
}

/// Who said what of the limits.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// By command; kept.
    command: CacheWish,
    /// By command and configuration.
    preference: CacheLimits,
    /// By the administrator, of all machines he has.
    rules: PeerRules,
}

impl Said {
    /// What holds (PEER-7).
    fn limits(&self) -> CacheLimits {
        CacheLimits {
            size: self.rules.cache_percent().map_or(self.preference.size, CacheSize::Share),
            age_days: self.rules.age_days().unwrap_or(self.preference.age_days),
            keep: self.preference.keep,
        }
    }
}

/// Keeps the cache. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    cache: Cache<RealFiles>,
    transfer: Transfer,
    store: LimitStore<RealFiles>,
    said: Arc<Mutex<Said>>,
    /// One long look at a time.
    verifying: Arc<tokio::sync::Mutex<()>>,
    stop: CancellationToken,
}

impl Keeper {
    /// Keeps this cache within what the rules say, else the `preference`, else what was set last, else the defaults.
    #[must_use]
    pub fn new(
        cache: Cache<RealFiles>,
        transfer: Transfer,
        store: LimitStore<RealFiles>,
        preference: CacheWish,
        rules: PeerRules,
        stop: CancellationToken,
    ) -> Self {
        let command = store.load().unwrap_or_default();
        let preference = preference.and(command).over(CacheLimits::default());
        Self {
            cache,
            transfer,
            store,
            said: Arc::new(Mutex::new(Said { command, preference, rules })),
            verifying: Arc::default(),
            stop,
        }
    }

    /// What holds.
    #[must_use]
    pub fn limits(&self) -> CacheLimits {
        self.said().limits()
    }

    /// What was set for this computer; it holds where no policy says otherwise.
    #[must_use]
    pub fn preference(&self) -> CacheLimits {
        self.said().preference
    }

    /// The administrator says other things now.
    pub(super) fn set_rules(&self, rules: PeerRules) {
        self.said().rules = rules;
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cache takes, and what it may take.
    ///
    /// # Errors
    /// [`KeeperError`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn usage(&self) -> Result<Usage, KeeperError> {
        let limits = self.limits();
        self.with(move |cache| cache.usage(&limits)).await
    }

    /// Changes what is preferred, keeps it across restarts, and lets go at once what is too much then (CACHE-6). Gives what
    /// holds: a policy may say otherwise (PEER-7).
    ///
    /// # Errors
    /// [`KeeperError`]; nothing has changed after [`KeeperError::Limit`].
    ///
    /// # Cancel safety
    /// Dropping it does not take the change back.
    pub async fn set_limits(&self, change: CacheWish) -> Result<CacheLimits, KeeperError> {
        change.check()?;
        let (command, limits) = {
            let mut said = self.said();
            said.command = change.and(said.command);
            said.preference = change.over(said.preference);
            (said.command, said.limits())
        };
        let store = self.store.clone();
        let kept = tokio::task::spawn_blocking(move || store.save(&command)).await;
        self.trim(0).await?;
        match kept {
            Ok(Ok(())) => Ok(limits),
            Ok(Err(error)) => Err(KeeperError::NotKept(error.to_string())),
            Err(_) => Err(KeeperError::Gone),
        }
    }

    /// All records, or those seen under a URL, in the order of their names.
    ///
    /// # Errors
    /// [`KeeperError`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn records(&self, url: Option<String>) -> Result<Vec<Shown>, KeeperError> {
        self.with(move |cache| {
            let ids = match &url {
                Some(url) => cache.find_url(url),
                None => cache.records().into_iter().map(|record| record.id).collect(),
            };
            Ok(ids.into_iter().filter_map(|id| shown(cache, id)).collect())
        })
        .await
    }

    /// One record.
    ///
    /// # Errors
    /// [`KeeperError::NoRecord`], [`KeeperError::Deleted`].
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn record(&self, id: RecordId) -> Result<Shown, KeeperError> {
        self.with(move |cache| shown(cache, id).ok_or(CacheError::NoRecord(id))).await
    }

    /// Removes a record (CACHE-12, CACHE-13). A delivered file stays where it is.
    ///
    /// # Errors
    /// [`KeeperError::NoRecord`], [`KeeperError::Deleted`], [`KeeperError::Busy`] while somebody reads it.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have removed it.
    pub async fn remove(&self, id: RecordId) -> Result<(), KeeperError> {
        self.with(move |cache| cache.remove(id)).await
    }

    /// Forgets a URL; a record seen under no other one goes. Gives how many records knew it.
    ///
    /// # Errors
    /// [`KeeperError::Busy`] while somebody reads such a record.
    ///
    /// # Cancel safety
    /// Dropping it may or may not have forgotten it.
    pub async fn forget_url(&self, url: String) -> Result<usize, KeeperError> {
        self.with(move |cache| cache.forget_url(&url)).await
    }

    /// Removes every record there is now, waiting 5 s for those who read (CACHE-13).
    ///
    /// # Errors
    /// [`KeeperError`]; what was removed before is gone.
    ///
    /// # Cancel safety
    /// Dropping it leaves what was not removed yet.
    pub async fn clear(&self) -> Result<Cleared, KeeperError> {
        let all: Vec<RecordId> = self.cache.records().into_iter().map(|record| record.id).collect();
        let emptying = async {
            while !self.remove_all(all.clone()).await?.is_empty() {
                tokio::time::sleep(READERS_LOOK).await;
            }
            Ok::<(), KeeperError>(())
        };
        if let Ok(outcome) = tokio::time::timeout(READERS_WAIT, emptying).await {
            outcome?;
        }
        let busy = all.iter().filter(|id| self.cache.record(**id).is_some()).count();
        Ok(Cleared { removed: all.len() - busy, busy })
    }

    /// Those of them that were being read, and stayed.
    async fn remove_all(&self, ids: Vec<RecordId>) -> Result<Vec<RecordId>, KeeperError> {
        self.with(move |cache| {
            let mut busy = Vec::new();
            for id in ids {
                match cache.remove(id) {
                    Ok(()) | Err(CacheError::NoRecord(_)) => {}
                    Err(CacheError::Busy(_)) => busy.push(id),
                    Err(error) => return Err(error),
                }
            }
            Ok(busy)
        })
        .await
    }

    /// Reads a record through and drops what does not prove. One such look at a time.
    ///
    /// # Errors
    /// [`KeeperError::NoRecord`], [`KeeperError::Deleted`]; [`KeeperError::Gone`] if the node ended before the record did.
    ///
    /// # Cancel safety
    /// Dropping it leaves a look that has begun going on; what it finds is told to the brain with the next change.
    pub async fn verify(&self, id: RecordId) -> Result<Verified, KeeperError> {
        let _one = self.verifying.lock().await;
        let stop = self.stop.clone();
        let found = self.with(move |cache| cache.verify(id, || !stop.is_cancelled())).await?;
        if found.is_stopped { Err(KeeperError::Gone) } else { Ok(found) }
    }

    /// Lets go what is too old and, if `more` bytes are to come, what was used least lately.
    ///
    /// # Errors
    /// [`KeeperError`]; what went before is gone.
    ///
    /// # Cancel safety
    /// Dropping it leaves what did not go yet.
    pub async fn trim(&self, more: u64) -> Result<(), KeeperError> {
        let limits = self.limits();
        let gone = self.with(move |cache| cache.trim(&limits, more, clock::wall_unix_ms() / 1_000)).await?;
        if !gone.is_empty() {
            tracing::info!(records = gone.len(), "the cache let go what was too old or too much");
        }
        Ok(())
    }

    /// Does something that blocks, and tells the brain what changed by it.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Cache<RealFiles>) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, KeeperError> {
        let cache = self.cache.clone();
        let done = tokio::task::spawn_blocking(move || act(&cache)).await;
        self.transfer.tell_cache_changes().await;
        done.map_err(|_| KeeperError::Gone)?.map_err(|error| match error {
            CacheError::NoRecord(id) if self.cache.was_here(id) => KeeperError::Deleted(id),
            other => other.into(),
        })
    }
}

fn shown(cache: &Cache<RealFiles>, id: RecordId) -> Option<Shown> {
    let summary = cache.record(id)?;
    Some(Shown { summary, seen: cache.seen(id), is_borrowed: cache.is_borrowed(id) })
}
