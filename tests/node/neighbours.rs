//! How a daemon comes to know its neighbours, and what it keeps of them.
//!
//! Knows: daemons of one office, and the list that people see. Does not know: how an office is made (`office`).

use nearbits::control::api::{PeerKnownBy, PeerRow};

use crate::office::{Addresses, Daemon, Office, eventually};

async fn only_peer(daemon: &Daemon) -> Option<PeerRow> {
    daemon.client.peers().await.expect("the daemon answers").pop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_14_and_peer_23_who_was_forgotten_is_found_again_by_asking() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let (one, other) = (office.daemon(0, &[]).await, office.daemon(1, &[]).await);
    one.connected(1).await;
    other.connected(1).await;
    eventually("its announcement", async || {
        only_peer(&one).await.filter(|row| row.known_by == Some(PeerKnownBy::Announced))
    })
    .await;
    assert_eq!(one.client.forget_peers().await.expect("it does").peers, 1);
    let row = only_peer(&one).await.expect("the session goes on");
    assert_eq!((row.connected, row.known_by), (true, None), "{row:?}");
    assert!(one.client.discover_peers().await.expect("it does").asked);
    eventually("its answer", async || {
        only_peer(&one).await.filter(|row| row.known_by == Some(PeerKnownBy::Announced))
    })
    .await;
    assert!(!one.client.discover_peers().await.expect("it answers").asked, "PEER-15");
}
