//! A peer that opens what it may not and says what it must not.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, Stream, SwarmEvent as Libp2pEvent};

use super::super::behaviour::{Behaviour, Happened};
use super::super::handler::{Kind, Opener, StreamEvent};
use super::super::{address, transport};
use super::*;

/// A libp2p node with our transport and protocol names, and no manners. It goes on in the background.
struct Hostile {
    me: PeerId,
    orders: mpsc::Sender<Kind>,
    opened: mpsc::Receiver<(Kind, Stream)>,
    closed: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hostile {
    /// Connects to `node` under the identity of `seed`.
    fn connect(seed: u8, node: &Node) -> Self {
        let (keypair, me) = identity::from_seed([seed; 32]);
        let behaviour = Behaviour::new(Arc::new(Shared::new(me, Tunnels::default()).0));
        let config = libp2p::swarm::Config::with_tokio_executor();
        let stack = transport::build(&keypair).expect("a transport");
        let mut swarm = libp2p::Swarm::new(stack, behaviour, keypair.public().to_peer_id(), config);
        let to = address::to_multiaddr(node.address().socket());
        swarm.dial(DialOpts::unknown_peer_id().address(to).build()).expect("dials");
        let (orders, mut ordered) = mpsc::channel::<Kind>(64);
        let (streams, opened) = mpsc::channel(64);
        let closed = CancellationToken::new();
        let (target, gone) = (node.id(), closed.clone());
        let task = tokio::spawn(async move {
            let mut connection: Option<ConnectionId> = None;
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => match event {
                        Libp2pEvent::ConnectionEstablished { connection_id, .. } => connection = Some(connection_id),
                        Libp2pEvent::ConnectionClosed { .. } | Libp2pEvent::OutgoingConnectionError { .. } => {
                            gone.cancel();
                        }
                        Libp2pEvent::Behaviour(Happened { event: StreamEvent::Ready { kind, stream, opener }, .. }) => {
                            assert!(opener == Opener::Us || kind == Kind::Control);
                            if streams.send((kind, stream)).await.is_err() {
                                return;
                            }
                        }
                        _ => {}
                    },
                    Some(kind) = ordered.recv(), if connection.is_some() => {
                        let Some(connection) = connection else { continue };
                        swarm.behaviour_mut().open(target, connection, kind);
                    }
                }
            }
        });
        Self { me, orders, opened, closed, task }
    }

    async fn open(&mut self, kind: Kind) -> Stream {
        self.orders.send(kind).await.expect("goes on");
        self.next(kind).await
    }

    async fn next(&mut self, kind: Kind) -> Stream {
        let opened = timeout(PATIENCE, self.opened.recv()).await.expect("in time").expect("goes on");
        assert_eq!(opened.0, kind);
        opened.1
    }

    async fn cut_off(&self) {
        timeout(PATIENCE, self.closed.cancelled()).await.expect("cut off in time");
    }
}

/// A node, and a hostile peer that may choose the connection (its id is smaller).
async fn victim() -> (Node, Hostile, Stream) {
    let [small, large] = ordered_seeds();
    let mut node = Node::start(large, "127.0.0.1:0", &[]).await;
    let mut hostile = Hostile::connect(small, &node);
    let control = hostile.open(Kind::Control).await;
    node.connected(hostile.me).await;
    (node, hostile, control)
}

fn ordered_seeds() -> [u8; 2] {
    if peer_id_of([1; 32]) < peer_id_of([2; 32]) { [1, 2] } else { [2, 1] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_and_d30_a_frame_longer_than_its_kind_allows_is_refused_before_it_is_read() {
    // Hello of 16 MiB; a kind that does not exist; a body that is no protobuf.
    for bytes in [&[0x01, 0xff, 0xff, 0xff][..], &[0x7f, 0, 0, 0], &[0x02, 0, 0, 2, 0xff, 0xff]] {
        let (mut node, hostile, mut control) = victim().await;
        control.write_all(bytes).await.unwrap();
        control.flush().await.unwrap();
        node.bad_frame().await;
        node.lost(hostile.me).await;
        hostile.cut_off().await;
        let (shared, peer) = (Arc::clone(&node.swarm.shared), hostile.me);
        eventually("banned", || locked(&shared.table).is_banned(peer, shared.now())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d28_a_frame_that_is_started_and_not_ended_closes_the_connection() {
    let (mut node, hostile, mut control) = victim().await;
    control.write_all(&[0x01, 0x00]).await.unwrap();
    control.flush().await.unwrap();
    node.lost(hostile.me).await;
    hostile.cut_off().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d28_a_reader_that_stops_is_cut_off_once_too_much_waits_for_it() {
    let (mut node, hostile, _control) = victim().await;
    node.swarm.send(hostile.me, hello()).unwrap();
    let full = (0..200_000).find_map(|_| node.swarm.send(hostile.me, words(&"w".repeat(200))).err());
    assert!(matches!(full, Some(SendError::TooSlow { .. })), "{full:?}");
    node.lost(hostile.me).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d29_a_fourth_data_stream_closes_the_connection() {
    let (mut node, mut hostile, _control) = victim().await;
    let mut lanes = Vec::new();
    for _ in 0..3 {
        lanes.push(hostile.open(Kind::Lane).await);
    }
    hostile.orders.send(Kind::Lane).await.unwrap();
    node.lost(hostile.me).await;
    hostile.cut_off().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_and_d29_more_streams_than_a_connection_may_have_end_it() {
    let (mut node, hostile, _control) = victim().await;
    for _ in 0..60 {
        hostile.orders.send(Kind::Control).await.unwrap();
    }
    node.lost(hostile.me).await;
    hostile.cut_off().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_stream_before_the_control_stream_is_refused() {
    let [small, large] = ordered_seeds();
    let node = Node::start(large, "127.0.0.1:0", &[]).await;
    let hostile = Hostile::connect(small, &node);
    hostile.orders.send(Kind::Lane).await.unwrap();
    hostile.cut_off().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_choose_the_connection_opens_no_control_stream() {
    let [small, large] = ordered_seeds();
    let mut node = Node::start(small, "127.0.0.1:0", &[]).await;
    let mut hostile = Hostile::connect(large, &node);
    let _ours = hostile.next(Kind::Control).await;
    node.connected(hostile.me).await;
    hostile.orders.send(Kind::Control).await.unwrap();
    node.lost(hostile.me).await;
    hostile.cut_off().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_gets_a_control_stream_is_closed() {
    let [small, large] = ordered_seeds();
    let node = Node::start(large, "127.0.0.1:0", &[]).await;
    let hostile = Hostile::connect(small, &node);
    hostile.cut_off().await;
    assert!(node.swarm.block_sender(hostile.me).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_block_that_stops_half_way_closes_the_connection() {
    let (mut node, mut hostile, _control) = victim().await;
    let _receiver = node.swarm.expect_blocks(hostile.me, RequestId(0), 1_000);
    let mut lane = hostile.open(Kind::Lane).await;
    // Half a header, and then nothing.
    lane.write_all(&[0; 10]).await.unwrap();
    lane.flush().await.unwrap();
    node.lost(hostile.me).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_replaces_one_that_went_silent() {
    let (mut node, first, _control) = victim().await;
    let [small, _] = ordered_seeds();
    // The same peer again, as after a crash nobody noticed: the old connection never said goodbye.
    let mut second = Hostile::connect(small, &node);
    let mut control = second.open(Kind::Control).await;
    node.lost(first.me).await;
    node.connected(second.me).await;
    node.swarm.send(second.me, hello()).unwrap();
    let mut kind = [0];
    control.read_exact(&mut kind).await.unwrap();
    assert_eq!(kind, [0x01]);
    first.cut_off().await;
}
