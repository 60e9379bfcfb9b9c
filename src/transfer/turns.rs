//! Tasks that belong to one thing run one after another, in the order they were given.
//!
//! Knows: who is last in the queue of a key. Does not know: what the tasks do.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// One queue for each key; queues of different keys do not wait for each other.
#[derive(Debug)]
pub struct Turns<K> {
    last: Mutex<BTreeMap<K, oneshot::Receiver<()>>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { last: Mutex::new(BTreeMap::new()) }
    }
}

impl<K: Ord> Turns<K> {
    /// Takes the next place in the queue of `key` and returns a future that waits for its turn and then runs
    /// `work`. The place is taken at once, not when the future is first polled.
    ///
    /// # Cancel safety
    /// Dropping the future gives up its place; those behind it go on.
    pub fn queue<W: Future>(&self, key: K, work: W) -> impl Future<Output = W::Output> + use<W, K> {
        let (done, next) = oneshot::channel::<()>();
        let before = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.retain(|_, waiting| {
                !matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed))
            });
            last.insert(key, next)
        };
        async move {
            if let Some(before) = before {
                // It ends when the one before is done or dropped; nothing is ever sent.
                drop(before.await);
            }
            let output = work.await;
            drop(done);
            output
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tasks_of_one_key_keep_their_order() {
        let turns = Turns::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..200_u32 {
            let seen = seen.clone();
            tasks.spawn(turns.queue(number % 2, async move {
                tokio::task::yield_now().await;
                seen.lock().expect("not poisoned").push(number);
            }));
        }
        while tasks.join_next().await.is_some() {}
        let seen = seen.lock().expect("not poisoned");
        for parity in 0..2 {
            let of_key: Vec<u32> = seen.iter().copied().filter(|number| number % 2 == parity).collect();
            assert!(of_key.is_sorted() && of_key.len() == 100, "{of_key:?}");
        }
    }

    #[tokio::test]
    async fn a_dropped_task_does_not_stop_those_behind_it() {
        let turns = Turns::default();
        drop(turns.queue((), std::future::pending::<()>()));
        turns.queue((), async {}).await;
    }
}
