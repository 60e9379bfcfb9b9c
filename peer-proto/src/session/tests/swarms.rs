//! Joining a swarm, what is claimed in it, and leaving it.

use super::pair::*;
use crate::content::{ContentId, Hash};
use crate::home::swarm_id;
use crate::limits::IDS_PER_SECOND_MAX;
use crate::lookup::{know_proof, lookup_id, verify_know_proof};
use crate::session::SessionEvent;
use crate::wire::{
    Frame, Have, HavePage, Hello, Interest, Leave, PageBits, PieceClaim, Question, SegmentClaim, Versions,
};

const LEN: u64 = 100 * 65_536;

fn swarm() -> ContentId {
    swarm_id(&digest(1), LEN)
}

/// Greeted by a peer that speaks versions 1 and 2.
fn among_equals() -> Alone {
    let mut alone = Alone::new();
    let versions = Versions { min: 1, max: 2 };
    alone.take(Frame::Hello(Hello { versions, nonce: [0xee; 16], tags: [0; 128] })).unwrap();
    alone.frames();
    alone.events();
    alone
}

fn interest() -> Frame {
    let proof = know_proof(&digest(1), &you(), &me(), &[0xdd; 16]);
    let question = Question { id: lookup_id(&digest(1)).0, proof };
    Frame::Interest(Interest { question, len: LEN, fetches: true, group: None })
}

#[test]
fn home_1_interest_proves_that_its_sender_knows_the_digest() {
    let mut alone = among_equals();
    alone.session.join(&digest(1), LEN, false);
    alone.poll();
    let frames = alone.frames();
    let [Frame::Interest(interest)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((interest.question.id, interest.len, interest.fetches), (lookup_id(&digest(1)).0, LEN, false));
    let proof = &interest.question.proof;
    assert!(verify_know_proof(&digest(1), &me(), &you(), &[0xee; 16], proof), "made for the peer's nonce");
}

#[test]
fn home_1_interest_and_claims_of_a_peer_are_told_as_they_came() {
    let mut alone = among_equals();
    alone.take(interest()).unwrap();
    let events = alone.events();
    let [SessionEvent::Interested { id, proof, len: LEN, fetches: true, group: None }] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(*id, lookup_id(&digest(1)));
    assert!(verify_know_proof(&digest(1), &you(), &me(), &[0xdd; 16], proof));
    let pieces = PieceClaim { swarm: swarm(), first: 3, values: vec![Hash([1; 32]); 4] };
    let segment = SegmentClaim { swarm: swarm(), number: 1, pieces: 0..16, from_back: false, rate_kib: 7 };
    alone.take(Frame::PieceClaim(pieces.clone())).unwrap();
    alone.take(Frame::SegmentClaim(segment.clone())).unwrap();
    alone.take(Frame::Leave(Leave { swarm: swarm() })).unwrap();
    let events = alone.events();
    let [
        SessionEvent::PiecesClaimed(told),
        SessionEvent::SegmentClaimed(claimed),
        SessionEvent::Withdrew { swarm: left },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((told, claimed, *left), (&pieces, &segment, swarm()));
}

#[test]
fn interest_that_comes_more_often_than_questions_may_is_not_told() {
    let mut alone = among_equals();
    for _ in 0..IDS_PER_SECOND_MAX + 10 {
        alone.take(interest()).unwrap();
    }
    assert_eq!(u32::try_from(alone.events().len()), Ok(IDS_PER_SECOND_MAX));
}

#[test]
fn claim_1_values_leave_in_batches_of_64() {
    let mut alone = among_equals();
    alone.session.claim_pieces(swarm(), 10, &[Hash([1; 32]); 70]);
    alone.poll();
    let frames = alone.frames();
    let [Frame::PieceClaim(first), Frame::PieceClaim(rest)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((first.pieces(), rest.pieces()), (10..74, 74..80));
}

#[test]
fn the_have_set_of_a_swarm_is_kept_from_joining_to_leaving() {
    let mut alone = among_equals();
    let have =
        || Frame::Have(Have { content: swarm(), pages: vec![HavePage { page: 0, bits: PageBits::All }] });
    alone.take(have()).unwrap();
    assert!(alone.session.have(swarm()).is_none(), "WIRE-4: nothing of what was not asked for");
    alone.session.join(&digest(1), LEN, true);
    alone.take(have()).unwrap();
    assert!(alone.session.have(swarm()).is_some_and(|have| have.is_whole()));
    alone.session.leave(swarm());
    alone.poll();
    assert!(alone.session.have(swarm()).is_none());
    assert_eq!(alone.frames().last(), Some(&Frame::Leave(Leave { swarm: swarm() })));
}

#[test]
fn wire_1_a_peer_of_version_1_is_told_nothing_of_swarms() {
    let mut alone = Alone::greeted();
    let segment = SegmentClaim { swarm: swarm(), number: 1, pieces: 0..16, from_back: false, rate_kib: 7 };
    alone.session.join(&digest(1), LEN, true);
    alone.session.claim_pieces(swarm(), 0, &[Hash([1; 32])]);
    alone.session.claim_segment(segment);
    alone.session.leave(swarm());
    alone.poll();
    assert_eq!(alone.frames(), []);
}
