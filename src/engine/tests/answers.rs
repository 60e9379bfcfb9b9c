//! What peers answer: whose word is taken, what is asked of whom, and whom the file is taken from because of it.

use std::time::Duration;

use peer_proto::content::ContentId;
use peer_proto::peer::PeerId;
use peer_proto::session::Answer;
use peer_proto::time::Instant;

use super::world::*;
use crate::engine::claims::Fetching;
use crate::engine::fetch::{LIST_WAIT, LOOK_FOR};
use crate::engine::file::JobFile;
use crate::engine::io::Input;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobState, PeerFlags};

const LEN: u64 = 16 * MIB;
const SLOW: u64 = 100_000;

/// A node that began to fetch a file named by its root, and has heard the origin.
fn fetching() -> World {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec(&[root_digest(&truth)]));
    world.run_for(300);
    world
}

fn only_file(world: &mut World) -> &mut JobFile {
    world.engine.files.values_mut().next().expect("one is on its way")
}

/// Somebody answers; `true` if the file is taken from him from now on.
fn taken(world: &mut World, id: PeerId, content: ContentId) -> bool {
    let file = world.engine.files.values_mut().next().expect("one is on its way");
    let answer = Answer::Here { content, whole: true, sealed: true };
    file.answered_by(id, answer, &mut world.engine.core);
    file.sources.contains_key(&id)
}

#[test]
fn peer_33_of_64_holders_each_is_taken_and_one_more_is_not() {
    let mut world = fetching();
    let content = world.truth.content();
    for number in 100..164 {
        assert!(taken(&mut world, peer_id(number), content), "{number}");
    }
    assert!(!taken(&mut world, peer_id(200), content));
    assert!(taken(&mut world, peer_id(163), content), "who is one already may say so again");
}

#[test]
fn trust_5_and_peer_2_an_answer_of_another_content_or_from_who_was_refuted_or_must_not_be_asked_counts_not() {
    let content = file(LEN, 1).content();
    let other = file(LEN, 2).content();
    let id = peer_id(100);
    let mut world = fetching();
    assert!(!taken(&mut world, id, other), "another root");
    assert!(!taken(&mut world, id, ContentId { len: LEN + 1, ..content }), "another length");
    let now = world.now().monotonic;
    world.engine.core.peers.refute(id, now);
    let root = std::mem::take(&mut only_file(&mut world).claims.root);
    assert!(!taken(&mut world, id, content), "it was refuted, and its word would count");
    only_file(&mut world).claims.root = root;
    assert!(taken(&mut world, id, content), "a root proves what it gives");
    let mut world = fetching();
    world.tell(Input::FlagsChanged(PeerFlags { client: false, server: true }));
    assert!(!taken(&mut world, id, content), "no peer may be asked");
    assert!(taken(&mut fetching(), id, content));
}

#[test]
fn peer_25_of_a_file_with_a_root_and_other_digests_peers_are_asked_for_the_root_alone() {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(SLOW);
    world.submit(spec(&[sha256(), root_digest(&truth)]));
    let asked: Vec<_> = world.asked_link[0].1.iter().map(|wanted| wanted.digest.clone()).collect();
    assert_eq!(asked, [root_digest(&truth)]);
}

#[test]
fn trust_5_a_list_is_trusted_at_once_if_the_origin_says_its_length_and_else_when_its_last_piece_agrees() {
    for (says_len, peers_first) in [(true, 0), (false, 1)] {
        let truth = file(LEN, 1);
        let mut world = World::new(&truth);
        world.origin.pace = Pace::steady(SLOW);
        if !says_len {
            world.origin.version.len = None;
        }
        let peer = world.peer(2, &truth, root_digest(&truth), 0);
        world.submit(spec(&[root_digest(&truth)]));
        world.run_for(1_000);
        let file = world.engine.files.values().next().expect("on its way");
        assert_eq!(file.claims.trusted.is_some(), says_len);
        assert_eq!(u32::from(file.claims.candidate.is_some()), peers_first);
        world.model(peer).pace = Pace::steady(40_000_000);
        world.origin.pace = Pace::steady(40_000_000);
        world.run(Duration::from_secs(60));
        assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    }
}

/// Whether a peer may still help a file whose list is held back, if that is all that is changed.
fn hopes(change: impl FnOnce(&mut JobFile, Instant)) -> bool {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    world.origin.pace = Pace::steady(SLOW);
    let peer = world.peer(2, &truth, sha256(), SLOW);
    world.model(peer).lists_held = Some(Vec::new());
    world.submit(spec(&[sha256()]));
    world.run_for(500);
    // Long after all that was said.
    let now = Instant::ZERO.after(Duration::from_secs(60));
    world.engine.core.now.monotonic = now;
    let file = world.engine.files.values_mut().next().expect("on its way");
    assert!(
        file.sources.contains_key(&peer) && !file.claims.fetching.is_empty(),
        "it was asked for its list"
    );
    change(file, now);
    file.has_hope(&world.engine.core)
}

fn ago(now: Instant, span: Duration) -> Instant {
    Instant::from_micros(now.as_micros().saturating_sub(u64::try_from(span.as_micros()).expect("short")))
}

/// No list is on its way, and the peer said what it has so long ago.
fn said(file: &mut JobFile, now: Instant, span: Duration) {
    file.claims.fetching.clear();
    file.sources.values_mut().for_each(|source| source.since = ago(now, span));
}

#[test]
fn peer_34_a_list_that_is_on_its_way_is_hope_for_three_times_as_long_as_it_may_take() {
    let on_its_way = |span: Duration| {
        hopes(|file, now| {
            said(file, now, LOOK_FOR);
            let fetching = Fetching { asked: vec![peer_id(2)], since: ago(now, span) };
            file.claims.fetching.insert(ContentId { len: 1, ..self::file(LEN, 1).content() }, fetching);
        })
    };
    assert!(on_its_way(Duration::ZERO) && on_its_way(LIST_WAIT * 3 - Duration::from_micros(1)));
    assert!(!on_its_way(LIST_WAIT * 3));
}

#[test]
fn peer_34_a_source_is_hope_while_its_answer_is_fresh_and_it_has_not_failed_four_times() {
    let millis = Duration::from_millis(1);
    assert!(hopes(|file, now| said(file, now, LOOK_FOR - millis)));
    assert!(!hopes(|file, now| said(file, now, LOOK_FOR)), "it has no list, and said so long ago");
    let failing = |times| {
        hopes(|file, now| {
            said(file, now, Duration::ZERO);
            for source in file.sources.values_mut() {
                (0..times).for_each(|_| source.breaker.fail(0, now));
            }
        })
    };
    assert_eq!([3, 4].map(failing), [true, false]);
    let nothing = |file: &mut JobFile, now| {
        said(file, now, Duration::ZERO);
        file.sources.values_mut().for_each(|source| source.have = PieceSet::new());
    };
    assert!(!hopes(nothing), "it has nothing that is missing");
}
