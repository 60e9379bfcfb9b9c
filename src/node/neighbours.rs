//! What a node keeps of its peers for its next run: whom it met where, who is refused (PEER-16, PEER-17), and which links are
//! not listened to (CLAIM-12).
//!
//! Knows: when that is written down: a minute after it changed, every ten minutes while anything is known, and at the end. Does
//! not know: who is worth keeping (`swarm`, `engine`).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Clock};
use crate::disk::RealFiles;
use crate::driver::Handle;
use crate::engine::io::{KeptBan, KeptFuse};
use crate::store::Setting;
use crate::swarm::RememberedPeer;

/// How often it is looked whether something changed.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often ages are written down although nobody came or went.
const REWRITE_EVERY: Duration = Duration::from_secs(600);

/// The file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Neighbours {
    /// When it was written, by the wall clock.
    written_unix_ms: i64,
    pub(super) peers: Vec<RememberedPeer>,
    pub(super) bans: Vec<KeptBan>,
    #[serde(default)]
    pub(super) fuses: Vec<KeptFuse>,
}

impl Neighbours {
    /// What holds after the time since it was written, whatever the clock says of that: time that runs backwards is none.
    /// What is left of bans and fuses is not less for that: a node that sleeps forgives nobody.
    pub(super) fn aged(mut self, now_unix_ms: i64) -> Self {
        let passed_s = u64::try_from(now_unix_ms.saturating_sub(self.written_unix_ms)).unwrap_or(0) / 1_000;
        for peer in &mut self.peers {
            peer.unmet_s = peer.unmet_s.saturating_add(passed_s);
        }
        self
    }

    /// What is worth writing down at once.
    fn gist(&self) -> Gist {
        let peers = self.peers.iter().map(|one| (one.peer, one.address)).collect();
        let fuses = self.fuses.iter().map(|fuse| (fuse.link, fuse.times, fuse.files_s.len())).collect();
        (peers, self.bans.iter().map(|ban| (ban.peer, ban.strikes)).collect(), fuses)
    }
}

type Gist = (BTreeSet<(PeerId, SocketAddr)>, BTreeSet<(PeerId, u32)>, BTreeSet<(Subnet, u32, usize)>);

/// Writes them down.
#[derive(Clone)]
pub(super) struct Keeping {
    store: Setting<RealFiles, Neighbours>,
    handle: Handle,
    clock: Clock,
    /// What is in the file, and since when.
    written: Arc<Mutex<(Gist, Instant)>>,
}

impl Keeping {
    pub(super) fn new(
        store: Setting<RealFiles, Neighbours>,
        handle: Handle,
        clock: Clock,
        found: &Neighbours,
    ) -> Self {
        Self { store, handle, clock, written: Arc::new(Mutex::new((found.gist(), Instant::ZERO))) }
    }

    /// Keeps the file true until `stop`.
    ///
    /// # Cancel safety
    /// Dropping it loses at most what was not written yet.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.save().await;
        }
    }

    /// Writes down what is known now, if that is worth it.
    ///
    /// # Cancel safety
    /// The file is the old one or the new one.
    pub(super) async fn save(&self) {
        let (Ok(bans), Ok(fuses)) = (self.handle.bans().await, self.handle.fuses().await) else { return };
        let peers = self.handle.remembered_peers();
        let found = Neighbours { written_unix_ms: clock::wall_unix_ms(), peers, bans, fuses };
        let mut written = self.written.lock().await;
        let (gist, now) = (found.gist(), self.clock.monotonic());
        let is_old = now.since(written.1) >= REWRITE_EVERY && gist != Gist::default();
        if gist == written.0 && !is_old {
            return;
        }
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.save(&found)).await {
            Ok(Ok(())) => *written = (gist, now),
            Ok(Err(error)) => tracing::warn!(%error, "the next run will not know this one's neighbours"),
            Err(_) => tracing::error!("writing down neighbours broke"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_12_what_an_earlier_version_wrote_has_no_fuses_and_what_is_written_is_read_again() {
        let before = r#"{"written-unix-ms":1,"peers":[],"bans":[]}"#;
        let mut kept: Neighbours = serde_json::from_str(before).expect("an earlier file");
        assert!(kept.fuses.is_empty());
        let nothing = kept.gist();
        let link = "10.1.2.0/24".parse().expect("a subnet");
        kept.fuses.push(KeptFuse { link, times: 0, left_s: 0, files_s: vec![4] });
        assert_ne!(kept.gist(), nothing, "one file is worth writing down");
        let text = serde_json::to_string(&kept).expect("written");
        assert_eq!(serde_json::from_str::<Neighbours>(&text).expect("read"), kept);
    }

    #[test]
    fn d47_time_that_runs_backwards_or_leaps_changes_ages_only() {
        let one = RememberedPeer {
            peer: PeerId::from_public_key([1; 32]),
            address: ([10, 1, 2, 3], 80).into(),
            link: "10.1.2.0/24".parse().expect("a subnet"),
            unmet_s: 5,
        };
        let ban = KeptBan { peer: one.peer, address: "10.1.2.3".into(), strikes: 2, lied: true, left_s: 600 };
        let link = "10.1.2.0/24".parse().expect("a subnet");
        let fuse = KeptFuse { link, times: 1, left_s: 3_000, files_s: vec![600] };
        let (bans, fuses) = (vec![ban], vec![fuse]);
        let kept = Neighbours { written_unix_ms: 1_000_000, peers: vec![one], bans, fuses };
        for (now, unmet_s) in [(0, 5), (i64::MIN, 5), (1_000_000, 5), (1_060_000, 65)] {
            let aged = kept.clone().aged(now);
            let is_held = aged.bans == kept.bans && aged.fuses == kept.fuses;
            assert_eq!((aged.peers[0].unmet_s, is_held), (unmet_s, true), "{now}");
        }
        assert!(kept.aged(i64::MAX).peers[0].unmet_s > 400 * 24 * 3_600);
    }
}
