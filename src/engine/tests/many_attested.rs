//! Attestors of two groups: each counts in his own, and nobody of the one touches the other's.

use std::collections::BTreeSet;
use std::sync::Arc;

use peer_proto::attest::{Attestation, Attested};
use peer_proto::evidence::{Against, Contradiction};
use peer_proto::group::{Badge, EpochSecret, GroupId, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use peer_proto::verify::HashList;
use peer_proto::void::{Void, Voided};
use peer_proto::wire::FrameKind;

use super::attested::*;
use super::models::only;
use super::world::*;
use crate::engine::{Engine, EngineConfig, GroupConfig};
use crate::job::{PeerFlags, Policy, TrustFloor};

/// The second group; the first is that of `attested`.
fn other_group() -> Signer {
    Signer::of(&[91; 32])
}

pub(super) fn other_id() -> GroupId {
    GroupId::of(&other_group().public_key())
}

fn other_badge(wish: &Wish) -> Arc<Badge> {
    let token = Token::grant(&other_group(), wish);
    Arc::new(Badge { token, secret: EpochSecret([8; 32]), former: None })
}

/// A node in both groups, with these roles in each.
pub(super) fn world_of_both(truth: &Arc<HashList>, roles: Roles) -> World {
    let mut world = node(truth, roles, &Policy::default(), PeerFlags::BOTH);
    let first = only(&world.engine.core.config.groups);
    let badge = other_badge(&wish(1, roles));
    let second = GroupConfig { key: other_group().public_key(), badge, ..first.clone() };
    let groups = [first, second].into_iter().collect();
    let config = EngineConfig { me: key(1).peer(), groups, ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    world
}

/// The same statement as an attestor of the second group makes it: groups name holders as they like.
pub(super) fn in_other(number: u8, list: &HashList) -> Attestation {
    let said = Attested { group: other_id(), ..said(number, list) };
    let token = Token::grant(&other_group(), &wish(number, Roles::ATTEST));
    Attestation::sign(&key(number), &token, said).expect("fit to be signed")
}

/// A member of the second group that holds all of a list, and passes these on.
pub(super) fn other_holder(
    world: &mut World,
    number: u8,
    list: &Arc<HashList>,
    said: Vec<Attestation>,
) -> PeerId {
    let badge = other_badge(&wish(number, MEMBER));
    neighbour(world, key(number).peer(), Some(badge), list, said)
}

#[test]
fn attest_10_attestors_of_two_groups_are_never_counted_together() {
    let truth = file(8 * MIB, 1);
    for (of_other, is_enough) in [(true, false), (false, true)] {
        let mut world = world_of_both(&truth, MEMBER);
        let first = attested(3, said(3, &truth));
        match of_other {
            true => {
                holder(&mut world, 2, &truth, vec![first]);
                other_holder(&mut world, 5, &truth, vec![in_other(4, &truth)]);
            }
            false => {
                holder(&mut world, 2, &truth, vec![first, attested(4, said(4, &truth))]);
            }
        }
        let mut wish = spec(&[]);
        wish.trust = TrustFloor::AttestedTwice;
        world.submit(wish);
        let (peers, _) = fetched(&mut world);
        assert_eq!(peers > 0, is_enough, "{}", why(&world));
    }
}

#[test]
fn lookup_5_what_one_group_vouches_for_is_asked_of_its_own_members() {
    let truth = file(8 * MIB, 1);
    let mut world = world_of_both(&truth, MEMBER);
    let one = other_holder(&mut world, 2, &truth, vec![in_other(3, &truth)]);
    let foreign = holder(&mut world, 4, &truth, Vec::new());
    let (peers, _) = fetched(&mut world);
    assert!(peers > 0, "{}", why(&world));
    let asked = |world: &mut World, id| kinds(world, id).contains(&FrameKind::Find);
    assert!(asked(&mut world, one) && !asked(&mut world, foreign));
    assert!(kinds(&mut world, foreign).contains(&FrameKind::AttestWant), "it might have vouched too");
}

#[test]
fn attest_10_attestors_of_two_groups_that_deny_each_other_are_both_not_believed() {
    let truth = file(8 * MIB, 1);
    let wrong = altered(8 * MIB, 1, &[3]);
    let mut world = world_of_both(&truth, MEMBER);
    holder(&mut world, 2, &wrong, vec![attested(3, said(3, &wrong))]);
    other_holder(&mut world, 5, &truth, vec![in_other(4, &truth)]);
    world.submit(spec(&[]));
    assert_eq!(fetched(&mut world), (0, 8 * MIB), "{}", why(&world));
    assert_eq!(world.distrusted, [], "one of them is right, and nobody can tell which");
}

#[test]
fn attest_8_and_attest_9_who_falls_or_takes_back_in_one_group_does_nothing_in_another() {
    let truth = file(8 * MIB, 1);
    let wrong = altered(8 * MIB, 1, &[3]);
    let mut world = world_of_both(&truth, MEMBER);
    // Whoever runs the first group names a holder as the second does, and has him contradict himself.
    let again = attested(3, Attested { sequence: 2, ..said(3, &wrong) });
    let pair = Contradiction::of(attested(3, said(3, &truth)), again).expect("they differ");
    let from = holder(&mut world, 2, &truth, Vec::new());
    let good = in_other(3, &truth);
    let said = Voided {
        group: GroupId::of(&group().public_key()),
        holder: HolderId([3; 16]),
        statement: good.id(),
        sequence: 1,
        not_after: NOW + DAY,
        reason: "so that nobody believes it".into(),
    };
    let void = Void::sign(&group(), None, said).expect("fit");
    for against in [Against::Contradiction(pair), Against::Void(void)] {
        world.model(from).session.show_against(against);
        world.pump_and_tell(from);
    }
    assert_eq!(world.distrusted.len(), 1, "in the first group");
    let bearer = other_holder(&mut world, 5, &truth, vec![good]);
    let (peers, _) = fetched(&mut world);
    assert!(peers > 0 && world.view().trust.starts_with("level 1 (attested)"), "{}", why(&world));
    let told: BTreeSet<FrameKind> = kinds(&mut world, bearer);
    assert!(!told.contains(&FrameKind::Against), "nothing of the first group is told in the second");
}

#[test]
fn attest_2_an_attestor_of_two_groups_says_what_it_read_in_each() {
    let truth = file(8 * MIB, 1);
    let mut world = world_of_both(&truth, Roles::ATTEST);
    world.origin.footing.is_own_anchor = false;
    assert_eq!(fetched(&mut world), (0, 8 * MIB));
    let groups: BTreeSet<GroupId> = world.attested.iter().map(|one| one.said().group).collect();
    assert_eq!(groups, [GroupId::of(&group().public_key()), other_id()].into());
}
