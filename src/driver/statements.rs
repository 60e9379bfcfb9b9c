//! What attestors said and what of it is taken back, on its way to the disk.
//!
//! Knows: the order of the changes, and whether one of them failed. Does not know: what is said, or what counts (the
//! engine).

use std::sync::{Arc, Mutex, PoisonError};

use peer_proto::attest::AttestFault;
use peer_proto::void::Void;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{Gone, Handle, Request, RequestError};
use crate::disk::RealFiles;
use crate::engine::io::Input;
use crate::job::Code;
use crate::store::{AttestStore, JobStoreError};
use crate::transfer::Turns;

/// The statements of a running node that are kept for its next run.
pub(super) struct Statements {
    store: AttestStore<RealFiles>,
    turns: Turns<()>,
    /// Why the last change that failed did, since somebody asked.
    unkept: Arc<Mutex<Option<String>>>,
}

impl Statements {
    pub(super) fn new(store: AttestStore<RealFiles>) -> Self {
        Self { store, turns: Turns::default(), unkept: Arc::default() }
    }

    /// Changes what is kept, in the order of the changes.
    pub(super) fn change(
        &self,
        tasks: &TaskTracker,
        change: impl FnOnce(&AttestStore<RealFiles>) -> Result<(), JobStoreError> + Send + 'static,
    ) {
        let (store, unkept) = (self.store.clone(), Arc::clone(&self.unkept));
        let work = self.turns.queue((), async move {
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || change(&store)).await {
                tracing::warn!(%error, "what attestors said holds until the node ends only");
                *unkept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        });
        tasks.spawn(work);
    }

    /// Answers when all changes so far are on the disk: why not, if one of them could not be.
    pub(super) fn settle(&self, tasks: &TaskTracker, reply: oneshot::Sender<Result<(), String>>) {
        let unkept = Arc::clone(&self.unkept);
        let work = self.turns.queue((), async move {
            let fault = unkept.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(reply.send(fault.map_or(Ok(()), Err)));
        });
        tasks.spawn(work);
    }
}

impl Handle {
    /// Takes back what this node's holder attested, by the ids of it; what is another one's stays. Returns when that is on
    /// the disk.
    ///
    /// # Errors
    /// [`Gone`]; refused, if it could not be written down: it is taken back then until the node ends.
    ///
    /// # Cancel safety
    /// It may or may not have been taken back.
    pub async fn take_back(&self, statements: Vec<String>, reason: String) -> Result<(), RequestError> {
        self.ask(Request::Tell(Box::new(Input::TakeBack { statements, reason }))).await?;
        self.settle_statements().await
    }

    /// Waits until what attestors said so far, and what was taken back, is on the disk.
    async fn settle_statements(&self) -> Result<(), RequestError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::SettleStatements(reply)).await?;
        answer.await.map_err(|_| Gone)?.map_err(|error| RequestError::Refused {
            reason: format!("it is taken back until the node ends, and could not be written down: {error}"),
            failure: None,
            code: Code::IoDevice,
        })
    }

    /// Hands in a void; whether it counts. Returns when it is on the disk.
    ///
    /// # Errors
    /// [`Gone`]; refused, if it could not be written down: it counts then until the node ends.
    ///
    /// # Cancel safety
    /// It may or may not have been taken in.
    pub async fn hand_in_void(&self, void: Void) -> Result<Result<(), AttestFault>, RequestError> {
        let looked_at = void.clone();
        let outcome = self.read(move |engine| engine.check_void(&looked_at)).await?;
        if outcome.is_ok() {
            self.ask(Request::Tell(Box::new(Input::VoidMade(void)))).await?;
            self.settle_statements().await?;
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn attest_9_whoever_waits_hears_of_what_could_not_be_kept_once_and_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AttestStore::new(RealFiles, folder.path().to_owned());
        let (statements, tasks) = (Statements::new(store), TaskTracker::new());
        let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
        statements.change(&tasks, move |store| {
            held.recv().expect("it is released");
            store.drop_void(peer_proto::content::Hash([7; 32]))
        });
        let (reply, mut first) = oneshot::channel();
        statements.settle(&tasks, reply);
        assert!(first.try_recv().is_err(), "the change before it goes on");
        release.send(()).expect("it waits");
        assert_eq!(first.await, Ok(Ok(())), "what was not there is gone");
        let cause = io::Error::from(io::ErrorKind::StorageFull);
        let fault = JobStoreError::Io { doing: "write", path: folder.path().to_owned(), cause };
        statements.change(&tasks, |_| Err(fault));
        for outcome in [false, true] {
            let (reply, answer) = oneshot::channel();
            statements.settle(&tasks, reply);
            assert_eq!(answer.await.expect("an answer").is_ok(), outcome);
        }
    }
}
