//! What members hand on of what their group signed: who is asked for it, what is kept, who is told.

use peer_proto::group::{DenyList, HolderId, Offer, Wish};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use peer_proto::wire::{DenyWant, Frame, Newest};

use super::groups::*;
use super::world::*;
use crate::engine::GroupConfig;
use crate::engine::io::Input;

const HOUR: u64 = 60 * 60;

/// The group's deny list of this version: somebody far away is on it.
fn list(version: u64) -> DenyList {
    DenyList::sign(&group(), version, [HolderId([0xee; 16])].into()).expect("a short one")
}

fn newest(list: &DenyList) -> Newest {
    let denied_len = u32::try_from(list.bytes().len()).expect("short");
    Newest { group: Some(membership().id()), epoch: 1, denied: list.version(), denied_len }
}

/// A member says what it has.
fn tells(world: &mut World, id: PeerId, list: &DenyList) {
    world.model(id).session.show_newest(newest(list));
    world.pump_and_tell(id);
}

/// What a member was asked for.
fn asked(world: &mut World, id: PeerId) -> Vec<DenyWant> {
    let frames = world.model(id).frames.iter();
    let wants = frames.filter_map(|frame| match frame {
        Frame::DenyWant(want) => Some(*want),
        _ => None,
    });
    wants.collect()
}

/// What a member was told that this node has.
fn told_newest(world: &mut World, id: PeerId) -> Vec<u64> {
    let frames = world.model(id).frames.iter();
    let told = frames.filter_map(|frame| match frame {
        Frame::Newest(newest) => Some(newest.denied),
        _ => None,
    });
    told.collect()
}

/// A member gives the page it was asked for last.
fn gives(world: &mut World, id: PeerId, list: &DenyList) {
    let of = *asked(world, id).last().expect("it was asked");
    world.model(id).session.show_denied(of, Some(list));
    world.pump_and_tell(id);
}

fn offered(world: &World) -> Vec<u64> {
    let version = |offer: &Offer| match offer {
        Offer::Denied(list) => list.version(),
        Offer::Invitation(_) => panic!("a deny list"),
    };
    world.offers.iter().map(version).collect()
}

#[test]
fn group_6_a_newer_deny_list_is_asked_of_one_member_kept_and_told_to_all() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    assert_eq!((told_newest(&mut world, one), told_newest(&mut world, other)), (vec![0], vec![0]));
    tells(&mut world, one, &list(5));
    tells(&mut world, other, &list(5));
    assert_eq!(asked(&mut world, one), [DenyWant { group: Some(membership().id()), version: 5, page: 0 }]);
    assert!(asked(&mut world, other).is_empty(), "one at a time");
    gives(&mut world, one, &list(5));
    assert_eq!(offered(&world), [5]);
    let group = GroupConfig { denied: Some(list(5)), ..membership() };
    world.tell(Input::GroupsChanged(Some(group).into()));
    assert_eq!((told_newest(&mut world, one), told_newest(&mut world, other)), (vec![0, 5], vec![0, 5]));
    world.run_for(10_000);
    assert!(asked(&mut world, other).is_empty(), "it is here already");
}

#[test]
fn group_6_a_list_that_is_not_newer_is_not_asked_for() {
    let mut world = world();
    let group = GroupConfig { denied: Some(list(5)), ..membership() };
    world.tell(Input::GroupsChanged(Some(group).into()));
    let one = member(&mut world, 2);
    assert_eq!(told_newest(&mut world, one), [5]);
    for version in [4, 5] {
        tells(&mut world, one, &list(version));
    }
    assert!(asked(&mut world, one).is_empty());
    // Whoever has an older one is given this one.
    assert!(world.model(one).session.want_denied(newest(&list(5))));
    world.pump_and_tell(one);
    let frames = &world.model(one).frames;
    let page = frames.iter().find_map(|frame| match frame {
        Frame::DenyPage(page) => Some(page.bytes.clone()),
        _ => None,
    });
    assert_eq!(page.as_ref(), Some(list(5).bytes()));
}

#[test]
fn group_6_a_list_that_the_group_did_not_sign_sends_its_bearer_away_and_the_next_one_is_asked() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    let mut forged = DenyList::sign(&Signer::of(&[7; 32]), 9, [HolderId([1; 16])].into())
        .expect("a short one")
        .bytes()
        .to_vec();
    forged[1..17].copy_from_slice(&membership().id().0);
    let forged = DenyList::parse(forged.into()).expect("well-formed");
    tells(&mut world, one, &forged);
    tells(&mut world, other, &list(5));
    gives(&mut world, one, &forged);
    assert_eq!((offered(&world), world.disconnected.clone()), (vec![], vec![one]));
    assert_eq!(asked(&mut world, other), [DenyWant { group: Some(membership().id()), version: 5, page: 0 }]);
    gives(&mut world, other, &list(5));
    assert_eq!(offered(&world), [5]);
}

#[test]
fn group_6_whoever_is_silent_for_5_s_is_passed_over() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| member(&mut world, number));
    tells(&mut world, one, &list(6));
    tells(&mut world, other, &list(5));
    world.run_for(4_900);
    assert!(asked(&mut world, other).is_empty());
    world.run_for(200);
    assert_eq!(asked(&mut world, other), [DenyWant { group: Some(membership().id()), version: 5, page: 0 }]);
    // Too late, and welcome all the same.
    gives(&mut world, one, &list(6));
    assert_eq!(offered(&world), [6]);
    gives(&mut world, other, &list(5));
    assert_eq!(offered(&world), [6, 5], "it counts when it is kept, and the higher one stays then");
}

#[test]
fn group_6_a_list_that_came_too_late_to_be_new_is_not_kept_again() {
    let mut world = world();
    let one = member(&mut world, 2);
    assert_eq!(world.engine.core.handing_wake(), peer_proto::time::Instant::NEVER, "nobody is asked");
    tells(&mut world, one, &list(5));
    assert!(world.engine.core.handing_wake() > world.now().monotonic, "it has time to answer");
    let group = GroupConfig { denied: Some(list(5)), ..membership() };
    world.tell(Input::GroupsChanged(Some(group).into()));
    gives(&mut world, one, &list(5));
    assert!(offered(&world).is_empty());
}

#[test]
fn group_6_who_has_a_newer_list_than_the_one_that_came_is_asked_before_that_one_counts() {
    let mut world = world();
    let [one, other, third] = [2, 3, 4].map(|number| member(&mut world, number));
    tells(&mut world, one, &list(5));
    tells(&mut world, other, &list(6));
    tells(&mut world, third, &list(5));
    gives(&mut world, one, &list(5));
    let versions =
        |world: &mut World, id| -> Vec<u64> { asked(world, id).iter().map(|want| want.version).collect() };
    assert_eq!((versions(&mut world, other), versions(&mut world, third)), (vec![6], vec![]));
    gives(&mut world, other, &list(6));
    assert_eq!((offered(&world), versions(&mut world, third)), (vec![5, 6], vec![]));
}

#[test]
fn group_6_whoever_knows_the_secret_and_is_no_member_is_neither_told_nor_heard() {
    let mut world = world();
    let over = Wish { not_after: NOW - HOUR, ..wish(key(2).peer()) };
    let one = neighbour(&mut world, &over);
    assert!(world.model(one).session.is_kin());
    tells(&mut world, one, &list(5));
    assert!(world.model(one).session.want_denied(newest(&list(5))));
    world.pump_and_tell(one);
    let frames = &world.model(one).frames;
    let is_handed =
        |frame: &Frame| matches!(frame, Frame::Newest(_) | Frame::DenyWant(_) | Frame::DenyPage(_));
    assert!(!frames.iter().any(is_handed), "{frames:?}");
}
