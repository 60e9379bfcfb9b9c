//! Who gets no connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_address_with_another_peers_id_is_refused() {
    let mut first = Node::start(1, "127.0.0.1:0", &[]).await;
    let wrong = PeerAddress::new(first.address().socket(), Some(peer_id_of([9; 32]))).unwrap();
    let second = Node::start(2, "127.0.0.1:0", &[wrong]).await;
    let third = Node::start(3, "127.0.0.1:0", &[first.address()]).await;
    let who = first
        .until(|event| match event {
            SwarmEvent::Connected { peer, .. } => Some(peer),
            _ => None,
        })
        .await;
    assert_eq!(who, third.id(), "not {}", second.id());
    assert!(second.swarm.send(first.id(), words("x")).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_peer_is_refused_until_its_ban_ends() {
    let (mut first, mut second) = pair([1, 2], "127.0.0.1:0").await;
    first.swarm.disconnect(second.id(), Duration::from_secs(3));
    first.lost(second.id()).await;
    second.lost(first.id()).await;
    let banned = || locked(&first.swarm.shared.table).is_banned(second.id(), first.swarm.shared.now());
    assert!(banned());
    // It dials again and again meanwhile; the next time it is heard of, the ban is over.
    let is_banned_at_connect = {
        let peer = second.id();
        let shared = Arc::clone(&first.swarm.shared);
        first
            .until(move |event| match event {
                SwarmEvent::Connected { .. } => Some(locked(&shared.table).is_banned(peer, shared.now())),
                _ => None,
            })
            .await
    };
    assert!(!is_banned_at_connect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_and_d29_handshakes_that_never_end_are_bounded_and_an_honest_peer_gets_in() {
    let first = Node::start(1, "127.0.0.1:0", &[]).await;
    let target = first.address().socket();
    let mut flood = Vec::new();
    for _ in 0..200 {
        if let Ok(stream) = TcpStream::connect(target).await {
            flood.push(stream);
        }
    }
    let mut refused = 0;
    for stream in &mut flood {
        let mut first_byte = [0];
        // Whoever got no place is cut off at once; the others wait for our words.
        let read = timeout(Duration::from_millis(20), stream.read(&mut first_byte)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            refused += 1;
        }
    }
    assert!(refused >= 200 - 32, "{refused} of 200 refused");
    let mut honest = Node::start(2, "127.0.0.1:0", &[first.address()]).await;
    honest.connected(first.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d28_bytes_that_are_no_handshake_close_the_connection() {
    let first = Node::start(1, "127.0.0.1:0", &[]).await;
    let mut stream = TcpStream::connect(first.address().socket()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time");
    assert!(closed.is_err() || answer.len() < 1_024);
}
