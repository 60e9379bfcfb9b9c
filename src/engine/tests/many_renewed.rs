//! What two groups hand on to a node that is in both: tokens and deny lists, each in its own group.

use std::sync::Arc;

use bytes::Bytes;
use peer_proto::group::{
    Badge, DenyList, GrantFault, GroupId, HolderId, Membership, Offer, Roles, Token, Wish,
};
use peer_proto::peer::PeerId;
use peer_proto::wire::{Enrol, Frame, Newest};

use super::groups::{NOW, key, wish};
use super::many::{badge, ids, keys, membership, neighbour_with, world};
use super::world::*;
use crate::engine::GroupConfig;
use crate::engine::io::Input;

const DAY: u64 = 24 * 60 * 60;

/// This node's membership with three quarters of its token's life behind it.
fn due(group: usize) -> GroupConfig {
    let wish = Wish { not_before: NOW - 3 * DAY, not_after: NOW + DAY, ..wish(peer_id(1)) };
    GroupConfig { badge: badge(group, &wish), ..membership(group) }
}

/// What makes a node an enroller of a group.
fn enroller(group: usize, number: u8) -> Membership {
    let roles = Roles::FETCH.and(Roles::SERVE).and(Roles::ENROL);
    let wish = Wish {
        holder: HolderId([number; 16]),
        roles,
        not_before: NOW - DAY,
        not_after: NOW + 20 * DAY,
        ..wish(key(number).peer())
    };
    let Badge { secret, .. } = (*badge(group, &wish)).clone();
    let token = Token::grant(&keys()[group], &wish);
    let key = keys()[group].public_key();
    Membership { key, epoch: 1, secret, former: None, token, denied: None, name: None, seal: None }
        .sealed(&keys()[group])
}

/// An enroller of both groups.
fn enroller_of_both(world: &mut World, number: u8) -> PeerId {
    let badge = |group| {
        let own = enroller(group, number);
        Arc::new(Badge { token: own.token, secret: own.secret, former: None })
    };
    neighbour_with(world, number, [badge(0), badge(1)].into_iter().collect())
}

/// What a neighbour was asked for: the numbers, and in which group.
fn asked(world: &mut World, id: PeerId) -> Vec<(u32, GroupId)> {
    let asked = world.model(id).frames.iter().filter_map(|frame| match frame {
        Frame::Enrol(Enrol { number, ticket: None, group }) => Some((*number, group.expect("it is named"))),
        _ => None,
    });
    asked.collect()
}

fn answer(world: &mut World, id: PeerId, number: u32, given: Result<Bytes, GrantFault>) {
    world.model(id).session.show_enrolled(number, given);
    world.pump_and_tell(id);
}

#[test]
fn group_5_tokens_of_two_groups_are_renewed_at_one_enroller_at_the_same_time() {
    let mut world = world(vec![due(0), due(1)]);
    let id = enroller_of_both(&mut world, 2);
    assert_eq!(asked(&mut world, id), [(1, ids()[0]), (2, ids()[1])]);
    // The answers come in whatever order; each counts in the group that it was asked for in.
    for (number, group) in [(2, 1), (1, 0)] {
        let own = world.engine.core.config.groups.get(ids()[group]).expect("a member").badge.token.clone();
        let given = enroller(group, 2).renew(&key(2), &own, NOW).expect("it may be given");
        answer(&mut world, id, number, Ok(given.invitation().expect("sealed")));
    }
    let offered = world.offers.iter().map(Offer::group).collect::<Vec<_>>();
    assert_eq!(offered, [ids()[1], ids()[0]]);
    let fresh = |group| {
        let wish = Wish { not_before: NOW - 600, not_after: NOW + 20 * DAY, ..wish(peer_id(1)) };
        GroupConfig { badge: badge(group, &wish), ..membership(group) }
    };
    world.tell(Input::GroupsChanged([fresh(0), due(1)].into_iter().collect()));
    assert_eq!(world.engine.renewal_fault(ids()[0]), None);
    assert!(world.engine.renewal_fault(ids()[1]).is_some(), "it was not kept yet");
}

#[test]
fn group_5_what_one_group_refuses_is_no_fault_in_the_other_and_no_token_of_it_counts_there() {
    let mut world = world(vec![due(0), due(1)]);
    let id = enroller_of_both(&mut world, 2);
    // A token of the second group is no answer to a question in the first.
    let own = world.engine.core.config.groups.get(ids()[1]).expect("a member").badge.token.clone();
    let given = enroller(1, 2).renew(&key(2), &own, NOW).expect("it may be given");
    answer(&mut world, id, 1, Ok(given.invitation().expect("sealed")));
    assert!(world.offers.is_empty());
    answer(&mut world, id, 2, Err(GrantFault::Roles));
    let fault = |group: usize| world.engine.renewal_fault(ids()[group]).expect("it failed").to_string();
    assert!(fault(0).contains("another token") && fault(1).contains("not given these roles"));
}

#[test]
fn group_6_a_deny_list_is_asked_of_and_told_to_members_of_its_own_group() {
    let mut world = world(vec![membership(0), membership(1)]);
    let shown = |groups: &[usize], number: u8| {
        let wish = Wish { holder: HolderId([number; 16]), ..wish(key(number).peer()) };
        groups.iter().map(|group| badge(*group, &wish)).collect()
    };
    let both = neighbour_with(&mut world, 2, shown(&[0, 1], 2));
    let second = neighbour_with(&mut world, 3, shown(&[1], 3));
    let list = DenyList::sign(&keys()[1], 7, [HolderId([9; 16])].into()).expect("short");
    let denied_len = u32::try_from(list.bytes().len()).expect("short");
    let newest = |group: usize| Newest { group: Some(ids()[group]), epoch: 1, denied: 7, denied_len };
    world.model(both).session.show_newest(newest(1));
    world.pump_and_tell(both);
    let wanted = |world: &mut World, id| {
        let wants = world.model(id).frames.iter().filter_map(|frame| match frame {
            Frame::DenyWant(of) => of.group,
            _ => None,
        });
        wants.collect::<Vec<_>>()
    };
    assert_eq!((wanted(&mut world, both), wanted(&mut world, second)), (vec![ids()[1]], vec![]));
    // It is the second group's list, and counts in that only.
    let denied = GroupConfig { denied: Some(list), ..membership(1) };
    world.tell(Input::GroupsChanged([membership(0), denied].into_iter().collect()));
    let told = |world: &mut World, id, group: usize| {
        let newest = world.model(id).frames.iter().filter_map(|frame| match frame {
            Frame::Newest(newest) if newest.group == Some(ids()[group]) => Some(newest.denied),
            _ => None,
        });
        newest.last()
    };
    assert_eq!([0, 1].map(|group| told(&mut world, both, group)), [Some(0), Some(7)]);
    assert_eq!([0, 1].map(|group| told(&mut world, second, group)), [None, Some(7)]);
}
