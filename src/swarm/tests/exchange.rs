//! Frames, connections and the choice between two of them.

use std::collections::BTreeSet;

use super::*;

async fn both_ways(seeds: [u8; 2], listen: &str) {
    let (mut first, mut second) = pair(seeds, listen).await;
    for text in ["one", "two", "three"] {
        first.swarm.send(second.id(), words(text)).unwrap();
        second.swarm.send(first.id(), words(text)).unwrap();
    }
    for text in ["one", "two", "three"] {
        assert_eq!(first.frame().await, words(text));
        assert_eq!(second.frame().await, words(text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_in_order_whoever_dials_over_ipv4() {
    assert!(peer_id_of([1; 32]) != peer_id_of([2; 32]));
    both_ways([1, 2], "127.0.0.1:0").await;
    both_ways([2, 1], "127.0.0.1:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_in_order_over_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    both_ways([1, 2], "[::1]:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_peer_is_near_on_loopback_and_has_an_address_without_port() {
    let mut first = Node::start(1, "127.0.0.1:0", &[]).await;
    let second = Node::start(2, "127.0.0.1:0", &[first.address()]).await;
    let connected = first
        .until(|event| match event {
            SwarmEvent::Connected { peer, address, near, .. } => Some((peer, address, near)),
            _ => None,
        })
        .await;
    assert_eq!(connected, (second.id(), "127.0.0.1".to_owned(), true));
    let known = second.swarm.known_peers();
    assert_eq!((known[0].peer, known[0].by), (Some(first.id()), KnownBy::Configured));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_dial_each_other_use_one_connection() {
    for round in 0..6u8 {
        let (one, two) = (10 + round, 20 + round);
        let mut first = Node::start(one, "127.0.0.1:0", &[]).await;
        let mut second = Node::start(two, "127.0.0.1:0", &[]).await;
        let (to_first, to_second) = (first.address(), second.address());
        first.swarm.add_static(to_second, NamedBy::Command);
        second.swarm.add_static(to_first, NamedBy::Command);
        first.meet(&mut second).await;
        for number in 0..50 {
            let frame = words(&format!("{round} {number}"));
            first.swarm.send(second.id(), frame.clone()).unwrap();
            second.swarm.send(first.id(), frame.clone()).unwrap();
            let is_it = |event| match event {
                SwarmEvent::Frame { frame: got, .. } => Some(got == frame),
                SwarmEvent::Lost { .. } | SwarmEvent::BadFrame { .. } => Some(false),
                _ => None,
            };
            assert!(first.until(is_it).await, "{round} {number}");
            assert!(second.until(is_it).await, "{round} {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_peer_that_comes_back_is_found_again() {
    let (first, mut second) = pair([1, 2], "127.0.0.1:0").await;
    let address = first.address();
    let socket = address.socket();
    first.stop.cancel();
    second.lost(first.id()).await;
    let mut node = first;
    timeout(PATIENCE, &mut node.task).await.expect("ends").unwrap();
    let mut again = Node::start(1, &socket.to_string(), &[]).await;
    again.meet(&mut second).await;
    again.swarm.send(second.id(), words("again")).unwrap();
    assert_eq!(second.frame().await, words("again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_are_heard_before_a_disconnect() {
    let (first, mut second) = pair([1, 2], "127.0.0.1:0").await;
    first.swarm.send(second.id(), words("bye")).unwrap();
    first.swarm.disconnect(second.id(), Duration::ZERO);
    assert_eq!(second.frame().await, words("bye"));
    second.lost(first.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_closes_everything() {
    let (mut first, mut second) = pair([1, 2], "127.0.0.1:0").await;
    first.stop.cancel();
    timeout(PATIENCE, &mut first.task).await.expect("ends").unwrap();
    second.lost(first.id()).await;
    assert!(first.swarm.send(second.id(), words("x")).is_err());
    assert!(first.swarm.listen_addresses().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_listener_holds_up_nobody_else() {
    let mut hub = Node::with(config(1, "127.0.0.1:0", &[]), 4);
    hub.until(|event| matches!(event, SwarmEvent::Listening { .. }).then_some(())).await;
    let mut chatty = Node::start(2, "127.0.0.1:0", &[hub.address()]).await;
    chatty.connected(hub.id()).await;
    chatty.swarm.send(hub.id(), hello()).unwrap();
    for number in 0..200 {
        chatty.swarm.send(hub.id(), words(&number.to_string())).unwrap();
    }
    // The hub's queue is full and nobody reads it; it still takes new connections.
    let mut calm = Node::start(3, "127.0.0.1:0", &[hub.address()]).await;
    let known = hub.swarm.clone();
    let calm_id = calm.id();
    eventually("the second peer is linked", || known.shared.link(calm_id).is_some()).await;
    let mut seen = BTreeSet::new();
    hub.until(|event| match event {
        SwarmEvent::Connected { peer, .. } => seen.insert(peer).then_some(()).filter(|()| seen.len() == 2),
        _ => None,
    })
    .await;
    calm.connected(hub.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_meant_for_an_earlier_connection_is_not_sent_on_the_next() {
    let mut first = Node::start(1, "127.0.0.1:0", &[]).await;
    let mut second = Node::start(2, "127.0.0.1:0", &[first.address()]).await;
    first.connected(second.id()).await;
    second.connected(first.id()).await;
    assert!(first.swarm.send(second.id(), words("stale")).is_err());
    first.swarm.send(second.id(), hello()).unwrap();
    assert_eq!(second.frame().await, hello());
}
