//! Blocks: exact, in order, bounded, and only where they were asked for.

use super::*;

const MIB: u64 = 1024 * 1024;
const BLOCK: usize = 256 * 1024;

/// Gives `len` bytes of the test content under a request, in blocks.
async fn give(from: &Node, to: PeerId, request: u64, len: u64) -> Result<(), Gone> {
    let sender = from.swarm.block_sender(to).ok_or(Gone)?;
    let mut offset = 0;
    while offset < len {
        let next = usize::try_from(len - offset).unwrap().min(BLOCK);
        sender.send(RequestId(request), offset, content(offset, next)).await?;
        offset += next as u64;
    }
    Ok(())
}

/// Takes blocks until the receiver ends; the number of bytes, all of which must be right and in order.
async fn take(receiver: &mut BlockReceiver) -> u64 {
    let mut at = 0;
    while let Some(block) = timeout(PATIENCE, receiver.next()).await.expect("in time") {
        assert_eq!(block.offset, at);
        assert!(block.bytes == content(at, block.bytes.len()), "bytes at {at}");
        at += block.bytes.len() as u64;
    }
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_several_requests_arrive_whole_and_in_order() {
    let (first, second) = pair([1, 2], "127.0.0.1:0").await;
    let lens = [1, 255 * 1024 + 7, MIB, 3 * MIB + 5, 4 * MIB];
    let mut receivers: Vec<_> =
        (0..).zip(lens).map(|(id, len)| second.swarm.expect_blocks(first.id(), RequestId(id), len)).collect();
    let giving = async {
        let all = (0..).zip(lens).map(|(id, len)| give(&first, second.id(), id, len));
        futures::future::try_join_all(all).await.unwrap();
    };
    let taking = futures::future::join_all(receivers.iter_mut().map(take));
    let ((), taken) = tokio::join!(giving, taking);
    assert_eq!(taken, lens);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_longer_than_a_block_are_cut() {
    let (first, second) = pair([1, 2], "127.0.0.1:0").await;
    let mut receiver = second.swarm.expect_blocks(first.id(), RequestId(1), MIB + 3);
    let sender = first.swarm.block_sender(second.id()).unwrap();
    let whole = content(0, usize::try_from(MIB).unwrap() + 3);
    let (sent, taken) = tokio::join!(sender.send(RequestId(1), 0, whole), take(&mut receiver));
    assert_eq!((sent, taken), (Ok(()), MIB + 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wire_5_a_block_nobody_asked_for_closes_and_bans() {
    let (mut first, second) = pair([1, 2], "127.0.0.1:0").await;
    give(&second, first.id(), 7, 10).await.unwrap();
    let message = first.bad_frame().await;
    assert!(message.contains("request 7"), "{message}");
    first.lost(second.id()).await;
    let (shared, peer) = (Arc::clone(&first.swarm.shared), second.id());
    eventually("the peer is banned", || locked(&shared.table).is_banned(peer, shared.now())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wire_5_more_than_asked_closes() {
    let (mut first, second) = pair([1, 2], "127.0.0.1:0").await;
    let mut receiver = first.swarm.expect_blocks(second.id(), RequestId(1), 100);
    let sender = second.swarm.block_sender(first.id()).unwrap();
    sender.send(RequestId(1), 0, content(0, 101)).await.unwrap();
    assert_eq!(take(&mut receiver).await, 0);
    first.bad_frame().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wire_5_late_blocks_of_a_dropped_receiver_pass_and_are_counted() {
    let (first, mut second) = pair([1, 2], "127.0.0.1:0").await;
    drop(second.swarm.expect_blocks(first.id(), RequestId(1), MIB));
    give(&first, second.id(), 1, MIB / 2).await.unwrap();
    let swarm = second.swarm.clone();
    eventually("counted", || swarm.discarded_bytes() == MIB / 2).await;
    first.swarm.send(second.id(), words("still here")).unwrap();
    assert_eq!(second.frame().await, words("still here"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wire_8_a_taker_that_stops_makes_the_giver_wait() {
    let (first, second) = pair([1, 2], "127.0.0.1:0").await;
    let len = 64 * MIB;
    let mut receiver = second.swarm.expect_blocks(first.id(), RequestId(1), len);
    let sender = first.swarm.block_sender(second.id()).unwrap();
    let mut sent = 0;
    // Nobody takes: queue, window and buffers fill up, then a send waits.
    while timeout(Duration::from_secs(2), sender.send(RequestId(1), sent, content(sent, BLOCK))).await.is_ok()
    {
        sent += BLOCK as u64;
        assert!(sent <= 8 * MIB, "{sent} bytes are on the way");
    }
    // The send that timed out was not handed over: it is sent again.
    let rest = async {
        while sent < 16 * MIB {
            sender.send(RequestId(1), sent, content(sent, BLOCK)).await.unwrap();
            sent += BLOCK as u64;
        }
    };
    let taking = async {
        let mut at = 0;
        while at < 16 * MIB {
            let block = timeout(PATIENCE, receiver.next()).await.expect("in time").expect("more");
            assert_eq!(block.offset, at);
            assert!(block.bytes == content(at, block.bytes.len()));
            at += block.bytes.len() as u64;
        }
    };
    tokio::join!(rest, taking);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_other_streams_go_on_while_one_taker_stops() {
    let (first, second) = pair([1, 2], "127.0.0.1:0").await;
    let _stuck = second.swarm.expect_blocks(first.id(), RequestId(0), 64 * MIB);
    let mut moving = second.swarm.expect_blocks(first.id(), RequestId(1), 8 * MIB);
    let (to, stuck) = (second.id(), give(&first, second.id(), 0, 64 * MIB));
    tokio::select! {
        _ = stuck => panic!("64 MiB went nowhere"),
        taken = async { tokio::join!(give(&first, to, 1, 8 * MIB), take(&mut moving)).1 } => {
            assert_eq!(taken, 8 * MIB);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_peer_goes_receivers_and_senders_end() {
    let (first, second) = pair([1, 2], "127.0.0.1:0").await;
    let mut receiver = second.swarm.expect_blocks(first.id(), RequestId(1), MIB);
    let sender = second.swarm.block_sender(first.id()).unwrap();
    first.stop.cancel();
    assert_eq!(take(&mut receiver).await, 0);
    assert_eq!(sender.send(RequestId(1), 0, content(0, 10)).await, Err(Gone));
    let (swarm, gone) = (second.swarm.clone(), first.id());
    eventually("unlinked", || swarm.block_sender(gone).is_none()).await;
    assert!(swarm.expect_blocks(gone, RequestId(2), 10).next().await.is_none());
}
