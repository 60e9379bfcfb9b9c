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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_16_and_peer_17_who_was_met_is_found_again_after_a_restart_without_an_announcement() {
    let Some(office) = Office::open(2, Addresses::Both) else { return };
    let (one, other) = (office.daemon(0, &[]).await, office.daemon(1, &[]).await);
    one.connected(1).await;
    other.connected(1).await;
    let is_announced =
        async || only_peer(&one).await.filter(|row| row.known_by == Some(PeerKnownBy::Announced));
    let met = eventually("its announcement", is_announced).await;
    let state = one.state.clone();
    one.end().await;
    let kept = std::fs::read_to_string(state.join("neighbours.json")).expect("it is written at the end");
    assert!(kept.contains(&met.peer) && kept.contains("10.99.0.0/24"), "{kept}");

    // It hears nothing and says nothing; the other one knows another port of it.
    let one = office.daemon(0, &["--no-mdns"]).await;
    one.connected(1).await;
    let found = only_peer(&one).await.expect("it is there");
    assert_eq!((&found.peer, found.known_by), (&met.peer, Some(PeerKnownBy::Remembered)));
    one.end().await;

    // What cannot be read is an empty table and a line in the log.
    std::fs::write(state.join("neighbours.json"), &kept[..kept.len() / 2]).expect("written");
    let one = office.daemon(0, &["--no-mdns", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(one.client.peers().await.expect("it answers"), []);
    assert!(state.join("neighbours.json.damaged").exists());
    let log = std::fs::read_to_string(office.path("daemon0.err")).expect("its log");
    assert!(log.contains("neighbours.json.damaged"), "{log}");
}
