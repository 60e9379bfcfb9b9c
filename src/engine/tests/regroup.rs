//! A node that joins, renews or leaves while it runs: whom it still takes for a member, and who takes it for one.

use std::sync::Arc;

use peer_proto::group::{Badge, Badges, DenyList, EpochSecret, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::session::{Output, Session};
use peer_proto::sign::Signer;
use peer_proto::wire::{Frame, Hello, Said, Versions};

use super::groups::*;
use super::models::session_config;
use super::world::*;
use crate::engine::io::Input;
use crate::engine::{GroupConfig, Groups};

const DAY: u64 = 24 * 60 * 60;

/// A member whose token has a holder of its own.
fn holder(world: &mut World, number: u8) -> PeerId {
    neighbour(world, &Wish { holder: HolderId([number; 16]), ..wish(key(number).peer()) })
}

/// The node's own membership with a token that lives longer, in an epoch.
fn renewed(epoch: u8) -> GroupConfig {
    let wish = Wish { not_after: NOW + 2 * DAY, serial: 2, ..wish(peer_id(1)) };
    let former = (epoch > 7).then_some(EpochSecret([7; 32]));
    let badge = Badge { token: Token::grant(&group(), &wish), secret: EpochSecret([epoch; 32]), former };
    GroupConfig { badge: Arc::new(badge), ..membership() }
}

fn badge_without_former(epoch: u8) -> Arc<Badge> {
    let GroupConfig { badge, .. } = renewed(epoch);
    Arc::new(Badge { former: None, ..(*badge).clone() })
}

fn change(world: &mut World, group: Option<GroupConfig>) {
    world.tell(Input::GroupsChanged(group.into()));
    world.run_for(200);
}

/// Until when each token counts that a peer was shown.
fn tokens_shown(world: &mut World, id: PeerId) -> Vec<u64> {
    let shown = world.model(id).frames.iter().filter_map(|frame| match frame {
        Frame::Token(token) => Some(token.wish().not_after),
        _ => None,
    });
    shown.collect()
}

#[test]
fn group_5_a_renewed_token_is_shown_to_members_in_the_sessions_that_are_open() {
    let mut world = world();
    let one = member(&mut world, 2);
    let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
    change(&mut world, Some(renewed(7)));
    assert_eq!(tokens_shown(&mut world, one), [NOW + DAY, NOW + 2 * DAY]);
    assert!(tokens_shown(&mut world, stranger).is_empty());
    assert_eq!(world.disconnected, []);
    assert!(world.engine.core.is_member(one));
}

/// A stranger whose version knows of no tags but those of a Hello.
fn older(world: &mut World) -> PeerId {
    let id = key(6).peer();
    let mut session = Session::new(session_config(id, None), world.now().monotonic);
    let Output::Transmit(Frame::Hello(hello)) = session.poll_output() else { panic!("a Hello first") };
    let model = PeerModel::new(session, &world.truth, 100_000);
    world.admit(id, model);
    let hello = Hello { versions: Versions { min: 1, max: 8 }, ..hello };
    world.tell(Input::FrameReceived { peer: id, frame: Frame::Hello(hello) });
    id
}

/// How often a peer was shown other tags.
fn tags_shown(world: &mut World, id: PeerId) -> usize {
    world.model(id).frames.iter().filter(|frame| matches!(frame, Frame::Tags(_))).count()
}

#[test]
fn group_3_whose_token_allows_it_to_serve_only_asks_for_nothing_and_is_no_member() {
    let mut world = world();
    let [one, other] = [(2, Roles::SERVE), (3, Roles::FETCH)]
        .map(|(number, roles)| neighbour(&mut world, &Wish { roles, ..wish(key(number).peer()) }));
    assert_eq!([one, other].map(|id| world.engine.core.is_member(id)), [false, true]);
}

#[test]
fn group_8_what_members_of_a_group_that_was_left_said_of_a_file_is_forgotten() {
    let mut world = world();
    let one = member(&mut world, 2);
    show(&mut world, one, &[interest(8, 1)]);
    let knows = |world: &World| world.engine.files.values().any(|file| file.knows_author(key(8).peer()));
    assert!(knows(&world));
    change(&mut world, Some(renewed(7)));
    assert!(knows(&world), "it is a member still");
    change(&mut world, None);
    assert!(!knows(&world));
}

#[test]
fn group_8_of_more_groups_than_eight_the_first_eight_count() {
    let of = |count: u8| -> Groups {
        (0..count)
            .map(|number| GroupConfig { key: Signer::of(&[number; 32]).public_key(), ..membership() })
            .collect()
    };
    assert_eq!([7, 8, 9, 12].map(|count| of(count).ids().len()), [7, 8, 8, 8]);
}

#[test]
fn group_7_another_epoch_is_shown_in_open_sessions_and_begins_those_of_older_strangers_anew() {
    let mut world = world();
    let one = member(&mut world, 2);
    let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
    let older = older(&mut world);
    change(&mut world, Some(renewed(8)));
    assert_eq!(world.disconnected, [older], "it may know the new secret, and cannot be told");
    assert_eq!([one, stranger].map(|id| tags_shown(&mut world, id)), [1, 1]);
    assert!(world.engine.core.is_member(one));
    assert_eq!(tokens_shown(&mut world, one).len(), 2);
    assert!(tokens_shown(&mut world, stranger).is_empty());
}

#[test]
fn group_7_members_of_both_epochs_rank_by_the_secret_that_both_know() {
    let key_of = |group| {
        let mut world = world();
        change(&mut world, Some(group));
        world.engine.core.home_key(&sha256(), Some(membership().id()))
    };
    let (before, both) = (key_of(renewed(7)), key_of(renewed(8)));
    assert!(before == both);
    let after = GroupConfig { badge: badge_without_former(8), ..membership() };
    assert!(key_of(after) != before, "and by the new one when nobody honours the old one any more");
}

#[test]
fn group_6_who_is_denied_loses_his_session_and_is_heard_through_nobody() {
    let mut world = world();
    let [one, other] = [2, 3].map(|number| holder(&mut world, number));
    let said = |number: u8, sequence| {
        let wish = Wish { holder: HolderId([number; 16]), ..wish(key(number).peer()) };
        let token = Token::grant(&group(), &wish);
        record(number, sequence, Said::Interest { fetches: true, token })
    };
    show(&mut world, one, &[said(8, 1), said(9, 1)]);
    world.run_for(200);
    assert_eq!(told(&mut world, other).len(), 2);
    let denied = DenyList::sign(&group(), 1, [HolderId([2; 16]), HolderId([8; 16])].into());
    change(&mut world, Some(GroupConfig { denied, ..membership() }));
    assert_eq!(world.disconnected, [one]);
    assert!(!world.engine.core.is_member(one) && world.engine.core.is_member(other));
    // A third passes on what the two say; only the one who is not denied is heard.
    let third = holder(&mut world, 4);
    show(&mut world, third, &[said(8, 2), pieces(8, 3), said(9, 2)]);
    world.run_for(200);
    let heard: Vec<_> = told(&mut world, other).into_keys().map(|(author, _)| author).collect();
    assert_eq!(heard.iter().filter(|author| **author == key(8).peer()).count(), 1, "what it said before");
    assert_eq!(heard.iter().filter(|author| **author == key(9).peer()).count(), 2);
    assert!(!told(&mut world, third).into_keys().any(|(author, _)| author == key(8).peer()));
}

#[test]
fn group_6_who_was_made_a_member_by_an_enroller_that_is_denied_loses_his_session_too() {
    let mut world = world();
    let roles = Roles::FETCH.and(Roles::SERVE).and(Roles::ENROL);
    let own = Wish { holder: HolderId([3; 16]), roles, ..wish(key(3).peer()) };
    let own = Token::grant(&group(), &own);
    let given = Wish { holder: HolderId([2; 16]), ..wish(key(2).peer()) };
    let given = Token::delegate(&own, &key(3), &given).expect("an enroller");
    let one = neighbour_with(&mut world, given);
    let other = holder(&mut world, 4);
    assert!(world.engine.core.is_member(one) && world.engine.core.is_member(other));
    let denied = DenyList::sign(&group(), 1, [HolderId([3; 16])].into());
    change(&mut world, Some(GroupConfig { denied, ..membership() }));
    assert_eq!(world.disconnected, [one]);
    assert!(!world.engine.core.is_member(one) && world.engine.core.is_member(other));
}

#[test]
fn who_leaves_a_group_or_goes_over_to_another_begins_sessions_with_its_members_anew() {
    for group in [None, Some(GroupConfig { key: Signer::of(&[3; 32]).public_key(), ..membership() })] {
        let mut world = world();
        let [one, other] = [2, 3].map(|number| member(&mut world, number));
        let stranger = world.peer(5, &file(LEN, 1), root_digest(&file(LEN, 2)), 1);
        assert!(world.engine.core.is_member(one));
        change(&mut world, group);
        let mut gone = world.disconnected.clone();
        gone.sort_unstable();
        let mut all = [one, other];
        all.sort_unstable();
        assert_eq!(gone, all);
        assert!(world.engine.core.peers.get(stranger).is_some());
        assert!(!world.engine.core.is_member(one) && !world.engine.core.is_member(other));
        // Nobody is banned for it, and the job goes on.
        assert!(world.engine.peer_views().iter().all(|peer| peer.banned_for_s.is_none()));
        let before = world.disk.len();
        world.run_for(5_000);
        assert!(world.disk.len() > before);
    }
}

#[test]
fn who_joins_a_group_meets_its_members_as_members_in_the_sessions_that_are_open() {
    let mut world = World::new(&file(LEN, 1));
    world.origin.pace = Pace::steady(100_000);
    world.submit(spec(&[sha256()]));
    world.run_for(50);
    let one = member(&mut world, 2);
    let older = older(&mut world);
    assert!(!world.engine.core.is_member(one), "this node has no token yet");
    let leases = world.open_at_origin();
    assert!(!leases.is_empty());
    change(&mut world, Some(membership()));
    assert_eq!(world.disconnected, [older]);
    assert_eq!(world.open_at_origin(), leases, "what is under way goes on");
    assert!(world.engine.core.is_member(one));
    // It hears in which group the file is wanted now, and says the same.
    world.model(one).session.join_in(Some(membership().id()), &sha256(), LEN, true);
    world.pump_and_tell(one);
    world.run_for(200);
    let frames = &world.model(one).frames;
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Records(_))), "it is told as a member is");
    assert_eq!(tags_shown(&mut world, one), 1);
}

#[test]
fn group_8_who_is_shown_a_group_of_ours_in_an_open_session_is_a_member_from_then_on() {
    let mut world = world();
    // It has no token so far, and joins while its session is open.
    let id = key(2).peer();
    let model =
        PeerModel::new(Session::new(session_config(id, None), world.now().monotonic), &world.truth, 100_000);
    world.admit(id, model);
    assert!(!world.engine.core.is_member(id));
    let badges = Badges::from(Some(badge(&wish(id))));
    world.model(id).session.renew_tags(badges, [0x66; 16], [0x77; 128]);
    world.pump_and_tell(id);
    assert!(world.engine.core.is_member(id));
    assert_eq!(tokens_shown(&mut world, id), [NOW + DAY], "and it is shown ours");
    assert_eq!(world.disconnected, []);
}
