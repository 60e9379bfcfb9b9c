//! What all peers together say they have takes a bounded place, and who says little is not forgotten for who says much.

use peer_proto::content::{ContentId, Hash};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::session::{Answer, Output};
use peer_proto::wire::{Found, Frame, Have, HavePage, NumberedAnswer, PageBits};

use super::world::*;
use crate::engine::io::Input;
use crate::engine::peers::HAVE_MEMORY_MAX;

const CONTENTS: u8 = 64;
/// As long as a file may be: a million pieces, a thousand pages of them.
const LONGEST: u64 = 4 << 40;

/// The node asks a peer for this many files, and the peer says that it has a part of each, which are all others.
fn says_much(world: &mut World, peer: PeerId, pages: u16) {
    for number in 0..CONTENTS {
        let digest = Digest::new(Algorithm::Sha256, vec![number; 32]).expect("32 bytes");
        let now = world.now().monotonic;
        let session = &mut world.engine.core.peers.get_mut(peer).expect("it is connected").session;
        session.find(&[(1_000 + u32::from(number), digest)], now);
        while !matches!(session.poll_output(), Output::WaitUntil(_)) {}
        let content = ContentId { root: Hash([number; 32]), len: LONGEST };
        let answer = Answer::Here { content, whole: false, sealed: true };
        let answers = vec![NumberedAnswer { number: number.into(), answer }];
        world.tell(Input::FrameReceived { peer, frame: Frame::Found(Found { answers }) });
        for first in (0..pages).step_by(64) {
            let page = |page| HavePage { page, bits: PageBits::Bits(Box::new([0x55; 128])) };
            let pages = (first..pages.min(first + 64)).map(page).collect();
            world.tell(Input::FrameReceived { peer, frame: Frame::Have(Have { content, pages }) });
        }
        world.run_for(110);
    }
}

#[test]
fn wire_4_what_peers_have_takes_16_mib_in_all_and_who_says_most_is_forgotten_first() {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let [modest, greedy, greedier] = [2, 3, 4].map(|number| {
        let peer = world.peer(number, &truth, sha256(), 1_000_000);
        world.run_for(20);
        peer
    });
    let of =
        |world: &World, peer: PeerId| world.engine.core.peers.get(peer).expect("there").session.have_memory();
    says_much(&mut world, modest, 64);
    let modest_bytes = of(&world, modest);
    assert!(modest_bytes > 0);
    for peer in [greedy, greedier] {
        says_much(&mut world, peer, 1_024);
    }
    assert!(world.engine.core.peers.have_memory() <= HAVE_MEMORY_MAX);
    let held = [modest, greedy, greedier].map(|peer| of(&world, peer));
    assert_eq!(held.iter().sum::<usize>(), world.engine.core.peers.have_memory());
    assert_eq!(held[0], modest_bytes, "{held:?}");
    assert!(
        held[1..].iter().all(|bytes| *bytes > HAVE_MEMORY_MAX / 4),
        "shared by those who say much: {held:?}"
    );
}
