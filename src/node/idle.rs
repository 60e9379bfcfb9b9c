//! What a machine's node does beside everything else: lets go what the cache holds too much or too long, and when nothing
//! else is to do makes its own copies of delivered files, so that users may move and change theirs.
//!
//! Knows: when the node is idle. Does not know: how files are copied, what goes first (`cache`).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, CacheError, CopyOutcome};
use crate::clock::Clock;
use crate::disk::RealFiles;
use crate::driver::Keeper;
use crate::record::{KeepAs, RecordId};
use crate::transfer::Transfer;

/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// After a copy failed for want of space, or altogether, nothing is tried for so long.
const REST: Duration = Duration::from_secs(600);

/// Copies one borrowed file at a time until `stop`, which also ends a copy that has begun.
///
/// # Cancel safety
/// A copy that has begun goes on until `stop`, on its own thread.
pub(super) async fn run(
    cache: Cache<RealFiles>,
    keeper: Keeper,
    transfer: Transfer,
    stop: CancellationToken,
) {
    run_every(LOOK_EVERY, cache, keeper, transfer, stop).await;
}

async fn run_every(
    look: Duration,
    cache: Cache<RealFiles>,
    keeper: Keeper,
    transfer: Transfer,
    stop: CancellationToken,
) {
    let clock = Clock::start();
    let (mut copy_from, mut last) = (clock.monotonic(), None);
    while stop.run_until_cancelled(tokio::time::sleep(look)).await.is_some() {
        let limits = keeper.limits();
        let is_to_copy = limits.keep == KeepAs::Copy && clock.monotonic() >= copy_from && !transfer.is_busy();
        let next = if is_to_copy { cache.next_borrowed(last) } else { None };
        let more = next.and_then(|record| cache.record(record)).map_or(0, |record| record.content.len);
        if let Err(error) = keeper.trim(more).await {
            tracing::warn!(%error, "the cache could not be brought within its limits");
        }
        let Some(record) = next else { continue };
        let (cache, stopping) = (cache.clone(), stop.clone());
        let copied = tokio::task::spawn_blocking(move || {
            cache.copy_borrowed(record, &limits, || !stopping.is_cancelled())
        });
        match copied.await {
            Ok(outcome) => {
                last = Some(record);
                if is_in_vain(record, outcome) {
                    copy_from = clock.monotonic().after(REST);
                }
                transfer.tell_cache_changes().await;
            }
            Err(_) => {
                tracing::error!("copying a delivered file broke");
                copy_from = clock.monotonic().after(REST);
            }
        }
    }
}

/// Says what came of a copy, and whether the next one should wait.
fn is_in_vain(record: RecordId, outcome: Result<CopyOutcome, CacheError>) -> bool {
    match outcome {
        Ok(CopyOutcome::NoSpace) => {
            tracing::info!(%record, "no space for a copy: the delivered file stays borrowed");
            true
        }
        Ok(outcome) => {
            tracing::debug!(%record, ?outcome, "delivered file looked at");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "a delivered file was not copied");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use peer_proto::digest::{Algorithm, Digest};
    use peer_proto::verify::StreamHasher;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::cache::Keep;
    use crate::engine::io::Input;
    use crate::job::PeerRules;
    use crate::origin::{Origin, OriginConfig};
    use crate::record::{CacheLimits, CacheSize, CacheWish, Scope};
    use crate::store::{Index, JobStore, LimitStore};
    use crate::swarm::{Swarm, SwarmConfig};
    use crate::transfer::TransferParts;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A cache in `folder` that borrows a file of so many bytes, all of them holes.
    fn borrowing(folder: &Path, len: u64) -> Cache<RealFiles> {
        let path = folder.join("file");
        std::fs::File::create_new(&path).expect("a file").set_len(len).expect("a long one");
        std::fs::create_dir(folder.join("cache")).expect("a folder");
        let mut hasher = StreamHasher::new();
        let block = vec![0; 1 << 20];
        (0..len >> 20).for_each(|_| hasher.update(&block));
        let cache = Cache::open(RealFiles, &folder.join("cache"), Index::off()).expect("a cache");
        let keep = Keep {
            id: RecordId([1; 16]),
            list: Arc::new(hasher.finish().expect("short enough")),
            digests: vec![Digest::new(Algorithm::Sha256, vec![5; 32]).expect("32 bytes")],
            url: "https://example.org/a".into(),
            version: None,
            scope: Scope::Shareable,
            served: true,
            now_unix_s: 1_000,
            vouched: Vec::new(),
        };
        cache.keep_borrowed(keep, &path).expect("kept");
        cache
    }

    fn hands(
        folder: &Path,
        cache: &Cache<RealFiles>,
        stop: &CancellationToken,
    ) -> (Transfer, mpsc::Receiver<Input>) {
        let alone = SwarmConfig {
            identity_seed: [1; 32],
            listen: Vec::new(),
            mdns: false,
            ask_link: false,
            static_peers: Vec::new(),
            added_peers: Vec::new(),
            rendezvous: Vec::new(),
            tunnels: crate::swarm::Tunnels::default(),
            remembered: Vec::new(),
        };
        let (swarm, _) = Swarm::start(alone, mpsc::channel(1).0, stop.clone()).expect("a swarm");
        let (facts, told) = mpsc::channel(16);
        let parts = TransferParts {
            origin: Origin::new(OriginConfig::default()).expect("a client"),
            swarm,
            cache: cache.clone(),
            files: RealFiles,
            jobs: JobStore::new(RealFiles, folder.to_owned()),
            facts,
            clock: Clock::start(),
        };
        (Transfer::new(parts), told)
    }

    fn keeper(
        folder: &Path,
        cache: &Cache<RealFiles>,
        transfer: &Transfer,
        stop: &CancellationToken,
    ) -> Keeper {
        keeper_with(CacheWish::default(), folder, cache, transfer, stop)
    }

    fn keeper_with(
        wish: CacheWish,
        folder: &Path,
        cache: &Cache<RealFiles>,
        transfer: &Transfer,
        stop: &CancellationToken,
    ) -> Keeper {
        let store = LimitStore::new(RealFiles, folder.to_owned(), "cache.json");
        Keeper::new(cache.clone(), transfer.clone(), store, wish, PeerRules::default(), stop.clone())
    }

    #[tokio::test]
    async fn a_node_that_stops_does_not_wait_for_the_copy_of_a_large_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let len = 512 << 20;
        let cache = borrowing(folder.path(), len);
        if !cache.has_space(len, &CacheLimits::default()).expect("a disk") {
            // Not tried: this disk is too full for a copy to begin.
            return;
        }
        let stop = CancellationToken::new();
        let (transfer, _told) = hands(folder.path(), &cache, &stop);
        let keeper = keeper(folder.path(), &cache, &transfer, &stop);
        let idle =
            tokio::spawn(run_every(Duration::from_millis(1), cache.clone(), keeper, transfer, stop.clone()));
        let in_cache = |kind: &str| {
            let names = std::fs::read_dir(folder.path().join("cache")).expect("a folder").flatten();
            names.filter(|name| name.path().to_string_lossy().ends_with(kind)).count()
        };
        let begun = async {
            while in_cache(".data.new") + in_cache(".data") == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, begun).await.expect("it begins");
        let clock = Clock::start();
        stop.cancel();
        timeout(PATIENCE, idle).await.expect("it ends").expect("in good order");
        let took = Duration::from_micros(clock.monotonic().as_micros());
        // Where blocks can be shared there was nothing to stop.
        assert!(in_cache(".data") == 0 || took < Duration::from_secs(1), "{took:?}");
        assert_eq!(in_cache(".data.new"), 0);
    }

    #[tokio::test]
    async fn the_brain_is_told_of_a_file_that_went() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = borrowing(folder.path(), 1 << 20);
        let stop = CancellationToken::new();
        let (transfer, mut told) = hands(folder.path(), &cache, &stop);
        let keeper = keeper(folder.path(), &cache, &transfer, &stop);
        std::fs::remove_file(folder.path().join("file")).expect("it is there");
        let idle = tokio::spawn(run_every(Duration::from_millis(1), cache, keeper, transfer, stop.clone()));
        let fact = timeout(PATIENCE, told.recv()).await.expect("it is told");
        assert!(matches!(fact, Some(Input::RecordGone(RecordId([1, ..])))), "{fact:?}");
        stop.cancel();
        idle.await.expect("in good order");
    }

    /// A copy of the cache's own, twice as long as what is borrowed.
    fn add_own(cache: &Cache<RealFiles>, number: u8) -> RecordId {
        let mut hasher = StreamHasher::new();
        hasher.update(&vec![number; 2 << 20]);
        let own = Keep {
            id: RecordId([number; 16]),
            list: Arc::new(hasher.finish().expect("short enough")),
            digests: Vec::new(),
            url: "https://example.org/b".into(),
            version: None,
            scope: Scope::Shareable,
            served: true,
            now_unix_s: 1_000,
            vouched: Vec::new(),
        };
        let fill = |_, buffer: &mut Vec<u8>| {
            buffer.resize(65_536, number);
            true
        };
        cache.insert_partial(own, fill).expect("kept").id
    }

    #[tokio::test]
    async fn cache_6_too_much_goes_by_itself_and_what_is_to_be_borrowed_is_not_copied() {
        for keep in [KeepAs::Borrow, KeepAs::Copy] {
            let folder = tempfile::tempdir().expect("a folder");
            let cache = borrowing(folder.path(), 1 << 20);
            let stop = CancellationToken::new();
            let (transfer, mut told) = hands(folder.path(), &cache, &stop);
            let wish = CacheWish { size: Some(CacheSize::Bytes(3 << 19)), age_days: None, keep: Some(keep) };
            let keeper = keeper_with(wish, folder.path(), &cache, &transfer, &stop);
            let idle = tokio::spawn(run_every(
                Duration::from_millis(1),
                cache.clone(),
                keeper,
                transfer,
                stop.clone(),
            ));
            // When the second one went, whoever looks has had time to copy after the first.
            for number in [2, 3] {
                let too_much = add_own(&cache, number);
                let gone = async {
                    while !matches!(told.recv().await, Some(Input::RecordGone(id)) if id == too_much) {}
                };
                timeout(PATIENCE, gone).await.expect("it goes");
            }
            let is_borrowed = || cache.is_borrowed(RecordId([1; 16]));
            if keep == KeepAs::Borrow {
                assert!(is_borrowed());
            } else if cache.has_space(1 << 20, &CacheLimits::default()).expect("a disk") {
                let copied = async {
                    while is_borrowed() {
                        tokio::task::yield_now().await;
                    }
                };
                timeout(PATIENCE, copied).await.expect("it is copied");
            }
            stop.cancel();
            idle.await.expect("in good order");
        }
    }
}
