//! Which parts are open, and which leases and answers work right now.
//!
//! Knows: names and what they stand for while they live. Does not know: what any of them does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peer_proto::digest::Algorithm;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::lease::Limit;
use crate::disk::RealFiles;
use crate::disk::part::Part;
use crate::disk::part::seal::Next;
use crate::engine::io::{LeaseId, ServeId};
use crate::job::FileId;

/// A part on this machine's own disks.
pub(super) type NodePart = Part<RealFiles>;

/// A part that is open, and what its job asks of it.
#[derive(Clone)]
pub(super) struct OpenPart {
    pub(super) part: Arc<NodePart>,
    /// Digests the job names: computed while the file comes in.
    pub(super) algorithms: Arc<[Algorithm]>,
    /// What follows its seal.
    pub(super) next: Next,
    /// Cancelled when the part is not ours any more.
    pub(super) closed: CancellationToken,
}

/// The tables of the hands.
#[derive(Default)]
pub(super) struct Tables {
    parts: Mutex<BTreeMap<FileId, OpenPart>>,
    leases: Mutex<BTreeMap<LeaseId, (FileId, watch::Sender<Limit>)>>,
    serves: Mutex<BTreeMap<ServeId, CancellationToken>>,
    lease_ended: Notify,
    serve_ended: Notify,
}

impl Tables {
    pub(super) fn part(&self, file: FileId) -> Option<OpenPart> {
        lock(&self.parts).get(&file).cloned()
    }

    /// Remembers a part and gives back the one that was open before.
    pub(super) fn put_part(&self, file: FileId, part: OpenPart) -> Option<OpenPart> {
        lock(&self.parts).insert(file, part)
    }

    pub(super) fn take_part(&self, file: FileId) -> Option<OpenPart> {
        lock(&self.parts).remove(&file)
    }

    pub(super) fn all_parts(&self) -> Vec<OpenPart> {
        lock(&self.parts).values().cloned().collect()
    }

    /// Enters a lease; it leaves when the returned guard is dropped.
    pub(super) fn enter_lease(self: &Arc<Self>, lease: LeaseId, file: FileId, end: u64) -> LeaseEntry {
        let (limit, watched) = watch::channel(Limit::Until(end));
        lock(&self.leases).insert(lease, (file, limit));
        LeaseEntry { tables: self.clone(), lease, limit: watched }
    }

    pub(super) fn trim(&self, lease: LeaseId, end: u64) {
        self.limit(lease, |limit| match limit {
            Limit::Until(before) if end < *before => *limit = Limit::Until(end),
            Limit::Until(_) | Limit::Stopped => {}
        });
    }

    pub(super) fn stop_lease(&self, lease: LeaseId) {
        self.limit(lease, |limit| *limit = Limit::Stopped);
    }

    fn limit(&self, lease: LeaseId, change: impl FnOnce(&mut Limit)) {
        // A lease that has ended needs no limit any more.
        if let Some((_, limit)) = lock(&self.leases).get(&lease) {
            limit.send_modify(change);
        }
    }

    pub(super) fn lease_count(&self) -> usize {
        lock(&self.leases).len()
    }

    pub(super) fn stop_all_leases(&self) {
        for (_, limit) in lock(&self.leases).values() {
            limit.send_replace(Limit::Stopped);
        }
    }

    /// Stops all leases of a file and waits until none of them touches it any more.
    ///
    /// # Cancel safety
    /// The leases are stopped all the same.
    pub(super) async fn quiet(&self, file: FileId) {
        loop {
            let ended = self.lease_ended.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            let mut is_quiet = true;
            for (_, limit) in lock(&self.leases).values().filter(|(of, _)| *of == file) {
                limit.send_replace(Limit::Stopped);
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
            ended.await;
        }
    }

    /// Enters an answer to a peer; it leaves when the returned guard is dropped.
    pub(super) fn enter_serve(self: &Arc<Self>, serve: ServeId) -> ServeEntry {
        let stop = CancellationToken::new();
        lock(&self.serves).insert(serve, stop.clone());
        ServeEntry { tables: self.clone(), serve, stop }
    }

    pub(super) fn stop_serve(&self, serve: ServeId) {
        if let Some(stop) = lock(&self.serves).get(&serve) {
            stop.cancel();
        }
    }

    pub(super) fn serve_count(&self) -> usize {
        lock(&self.serves).len()
    }

    /// Waits until another answer has ended.
    pub(super) async fn serve_ended(&self) {
        self.serve_ended.notified().await;
    }
}

/// A lease's place in the table.
pub(super) struct LeaseEntry {
    tables: Arc<Tables>,
    lease: LeaseId,
    pub(super) limit: watch::Receiver<Limit>,
}

impl Drop for LeaseEntry {
    fn drop(&mut self) {
        lock(&self.tables.leases).remove(&self.lease);
        self.tables.lease_ended.notify_waiters();
    }
}

/// An answer's place in the table.
pub(super) struct ServeEntry {
    tables: Arc<Tables>,
    serve: ServeId,
    pub(super) stop: CancellationToken,
}

impl Drop for ServeEntry {
    fn drop(&mut self) {
        lock(&self.tables.serves).remove(&self.serve);
        self.tables.serve_ended.notify_waiters();
    }
}

/// The tables stay whole even if a thread broke while it held them: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
