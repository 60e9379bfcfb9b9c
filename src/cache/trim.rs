//! What has to go: records nobody used for long, and the ones used least lately where there is too much.
//!
//! Knows: limits, and that nothing in use goes. Does not know: who set the limits.

use super::meta::Meta;
use super::{Cache, CacheError, Change, at, lock};
use crate::disk::Files;
use crate::record::{CacheLimits, RecordId};

/// Space that is left free at least, whatever the disk's size.
const FREE_MIN: u64 = 1 << 30;
const DAY_S: i64 = 86_400;
/// A wall clock so far ahead of the last use of any record is not believed: nothing is too old then (D47).
const CLOCK_AHEAD_MAX_S: i64 = 366 * DAY_S;

/// A record that is being read: it stays until this is dropped (CACHE-8).
pub struct Hold<F: Files> {
    cache: Cache<F>,
    id: RecordId,
}

impl<F: Files> Drop for Hold<F> {
    fn drop(&mut self) {
        let mut readers = lock(&self.cache.shared.readers);
        if let Some(count) = readers.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.id);
            }
        }
    }
}

/// What the cache takes, and what it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Records.
    pub records: usize,
    /// Bytes of its own copies.
    pub own: u64,
    /// Bytes of delivered files that it reads where they lie: they take no space of its own.
    pub borrowed: u64,
    /// Bytes its own copies may take at this moment: the limit, or less where the disk is nearly full.
    pub own_max: u64,
}

impl<F: Files> Cache<F> {
    /// Keeps a record from being removed while somebody reads it. `None` if there is no such record.
    #[must_use]
    pub fn hold(&self, id: RecordId) -> Option<Hold<F>> {
        let records = lock(&self.shared.records);
        records.contains_key(&id).then(|| {
            *lock(&self.shared.readers).entry(id).or_insert(0) += 1;
            Hold { cache: self.clone(), id }
        })
    }

    /// What it takes, and what it may take. Blocks.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the disk cannot be looked at.
    pub fn usage(&self, limits: &CacheLimits) -> Result<Usage, CacheError> {
        let space = self.shared.space()?;
        let records = lock(&self.shared.records);
        let sum = |is_own: bool| {
            let kind = records.values().filter(|meta| meta.borrowed.is_none() == is_own);
            kind.map(|meta| meta.summary.held_bytes()).fold(0, u64::saturating_add)
        };
        let own = sum(true);
        let floor = FREE_MIN.max(space.total / 20);
        let own_max = limits.size.of(space.total).min(own.saturating_add(space.free).saturating_sub(floor));
        Ok(Usage { records: records.len(), own, borrowed: sum(false), own_max })
    }

    /// Whether a copy of `len` more bytes is within the limits as things are: beside what is held, and with max(5 %, 1 GiB)
    /// of the disk left free. [`trim`](Self::trim) makes room. Blocks.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the disk cannot be looked at.
    pub fn has_space(&self, len: u64, limits: &CacheLimits) -> Result<bool, CacheError> {
        let usage = self.usage(limits)?;
        Ok(usage.own.saturating_add(len) <= usage.own_max)
    }

    /// Removes what is too old, and the records used least lately until there is room for `more` bytes (CACHE-6, CACHE-9).
    /// What is being read stays for now (CACHE-8). Gives the records that went; they show in
    /// [`take_changes`](Self::take_changes) too. Blocks.
    ///
    /// # Errors
    /// [`CacheError::Io`] when the disk cannot be looked at, or a description cannot be removed; what went before is gone.
    pub fn trim(
        &self,
        limits: &CacheLimits,
        more: u64,
        now_unix_s: i64,
    ) -> Result<Vec<RecordId>, CacheError> {
        let mut gone = Vec::new();
        for id in self.too_old(limits, now_unix_s) {
            gone.extend(self.remove_unread(id)?);
        }
        let usage = self.usage(limits)?;
        // What does not fit into an empty cache drives nothing out of a full one (CACHE-7).
        let more = if more <= usage.own_max { more } else { 0 };
        let mut over = usage.own.saturating_add(more).saturating_sub(usage.own_max);
        if over == 0 {
            return Ok(gone);
        }
        for (_, id, len) in self.own_by_use() {
            if over == 0 {
                break;
            }
            if let Some(id) = self.remove_unread(id)? {
                gone.push(id);
                over = over.saturating_sub(len);
            }
        }
        Ok(gone)
    }

    /// Removes a record that nobody reads (CACHE-12). A borrowed file stays where it is: it is the user's (CACHE-18).
    ///
    /// # Errors
    /// [`CacheError::NoRecord`], [`CacheError::Busy`]; [`CacheError::Io`] if its description is still there.
    pub fn remove(&self, id: RecordId) -> Result<(), CacheError> {
        if !lock(&self.shared.records).contains_key(&id) {
            return Err(CacheError::NoRecord(id));
        }
        self.remove_unread(id)?.map(drop).ok_or(CacheError::Busy(id))
    }

    /// Records seen under this URL, in the order of their names.
    #[must_use]
    pub fn find_url(&self, url: &str) -> Vec<RecordId> {
        let records = lock(&self.shared.records);
        let is_seen = |meta: &&Meta| meta.seen.iter().any(|seen| seen.url == url);
        records.values().filter(is_seen).map(|meta| meta.summary.id).collect()
    }

    /// Forgets a URL: a record that was seen under no other one goes. Gives how many records knew it.
    ///
    /// # Errors
    /// As [`remove`](Self::remove); what was forgotten before stays so.
    pub fn forget_url(&self, url: &str) -> Result<usize, CacheError> {
        let found = self.find_url(url);
        for id in &found {
            let is_last = {
                let mut records = lock(&self.shared.records);
                let Some(meta) = records.get_mut(id) else { continue };
                let is_last = meta.seen.iter().all(|seen| seen.url == url);
                if !is_last {
                    meta.seen.retain(|seen| seen.url != url);
                    self.shared.write_meta(meta)?;
                }
                is_last
            };
            if is_last {
                self.remove(*id)?;
            }
        }
        Ok(found.len())
    }

    /// `Some(id)` if it went, `None` if somebody reads it or it was not there.
    fn remove_unread(&self, id: RecordId) -> Result<Option<RecordId>, CacheError> {
        {
            let mut records = lock(&self.shared.records);
            if lock(&self.shared.readers).contains_key(&id) || records.remove(&id).is_none() {
                return Ok(None);
            }
        }
        self.shared.changed(Change::Gone(id));
        self.shared.forget_files(id)?;
        Ok(Some(id))
    }

    fn too_old(&self, limits: &CacheLimits, now_unix_s: i64) -> Vec<RecordId> {
        let records = lock(&self.shared.records);
        let uses = || records.values().map(|meta| meta.summary.last_used_unix_s);
        let Some(latest) = uses().max() else { return Vec::new() };
        if now_unix_s.saturating_sub(latest) > CLOCK_AHEAD_MAX_S {
            return Vec::new();
        }
        let age = i64::from(limits.age_days) * DAY_S;
        let is_old = |meta: &&Meta| now_unix_s.saturating_sub(meta.summary.last_used_unix_s) > age;
        records.values().filter(is_old).map(|meta| meta.summary.id).collect()
    }

    /// Its own copies, the one used least lately first, with their bytes.
    fn own_by_use(&self) -> Vec<(u64, RecordId, u64)> {
        let records = lock(&self.shared.records);
        let own = records.values().filter(|meta| meta.borrowed.is_none());
        let mut order: Vec<_> =
            own.map(|meta| (meta.used, meta.summary.id, meta.summary.held_bytes())).collect();
        order.sort_unstable();
        order
    }
}

impl<F: Files> super::Shared<F> {
    fn space(&self) -> Result<crate::disk::Space, CacheError> {
        self.files.space(&self.folder).map_err(at("look at", &self.folder))
    }

    /// The place of a use among all uses: clocks may jump, this does not (D47).
    pub(super) fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
