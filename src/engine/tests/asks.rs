//! Who learns what is here: members, strangers of the site, strangers from elsewhere, by what the policy says of strangers.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use peer_proto::content::ByteRange;
use peer_proto::group::{Badge, EpochSecret, Token};
use peer_proto::peer::PeerId;
use peer_proto::question::{Asker, Audience, Question, Wanted};
use peer_proto::session::{Answer, Session};
use peer_proto::wire::Frame;

use super::groups::{group, key, membership, wish};
use super::models::session_config;
use super::world::*;
use crate::engine::io::*;
use crate::engine::{Engine, EngineConfig};
use crate::job::{PeerFlags, Policy, Strangers};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const FAST: u64 = 40_000_000;
const NOW_S: i64 = 1_800_000_000;
/// Longer ago than what strangers hear of by default.
const OLD_S: i64 = NOW_S - 25 * 3_600;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Member { near: bool },
    Stranger { near: bool },
}

const ALL: [Who; 4] = [
    Who::Member { near: true },
    Who::Member { near: false },
    Who::Stranger { near: true },
    Who::Stranger { near: false },
];

fn tell_policy(world: &mut World, strangers: Option<Strangers>) {
    let policy = Policy { strangers, ..Policy::default() };
    world.tell(Input::PolicyChanged(Box::new(policy.over(&Policy::default()))));
}

/// A member of a group that holds a file, which was used last at this time.
fn holder(strangers: Option<Strangers>, last_used_unix_s: i64) -> World {
    holder_for(Scope::Shareable, strangers, last_used_unix_s)
}

fn holder_for(scope: Scope, strangers: Option<Strangers>, last_used_unix_s: i64) -> World {
    let truth = file(4 * MIB, 1);
    let mut world = World::new(&truth);
    let config = EngineConfig { groups: Some(membership()).into(), ..config(PeerFlags::BOTH) };
    world.engine = Engine::new(config, world.now());
    tell_policy(&mut world, strangers);
    world.tell(Input::RecordHeld(RecordSummary {
        id: RecordId([4; 16]),
        content: truth.content(),
        digests: vec![sha256()],
        holding: Holding::Whole,
        scope,
        served: true,
        last_used_unix_s,
        vouched: Vec::new(),
    }));
    world
}

fn arrives(world: &mut World, who: Who) -> PeerId {
    let id = key(9).peer();
    let (badge, near) = match who {
        Who::Member { near } => {
            let token = Token::grant(&group(), &wish(id));
            (Some(Arc::new(Badge { token, secret: EpochSecret([7; 32]), former: None })), near)
        }
        Who::Stranger { near } => (None, near),
    };
    let session = Session::new(session_config(id, badge), world.now().monotonic);
    let mut model = PeerModel::new(session, &world.truth, FAST);
    model.digest = None;
    world.peers.insert(id, model);
    world.connect(id, near);
    world.pump_and_tell(id);
    world.run_for(50);
    id
}

/// Whether it hears that the file is here.
fn hears(world: &mut World, asker: PeerId, number: u32) -> bool {
    let now = world.now().monotonic;
    world.model(asker).session.find(&[(number, sha256())], now);
    world.pump_and_tell(asker);
    world.run_for(50);
    let answers = std::mem::take(&mut world.model(asker).answers);
    assert_eq!(answers.len(), 1, "every question is answered once");
    answers[0] != Answer::NotHere
}

#[test]
fn lookup_3_members_learn_all_that_is_here_and_strangers_what_the_policy_lets_them() {
    for (strangers, fresh, old) in [
        (None, true, false),
        (Some(Strangers::Off), false, false),
        (Some(Strangers::Recent), true, false),
        (Some(Strangers::All), true, true),
    ] {
        for (last_used, is_told) in [(NOW_S, fresh), (OLD_S, old)] {
            let heard = ALL.map(|who| {
                let mut world = holder(strangers, last_used);
                let asker = arrives(&mut world, who);
                hears(&mut world, asker, 1)
            });
            assert_eq!(heard, [true, true, is_told, false], "{strangers:?}, used at {last_used}");
        }
    }
}

#[test]
fn lookup_3_a_policy_that_changes_takes_from_strangers_what_they_were_told_and_nothing_from_members() {
    for (who, is_left) in [(Who::Stranger { near: true }, false), (Who::Member { near: true }, true)] {
        let mut world = holder(None, NOW_S);
        let asker = arrives(&mut world, who);
        assert!(hears(&mut world, asker, 1));
        let content = world.truth.content();
        let want = |world: &mut World| {
            let now = world.now().monotonic;
            let range = ByteRange::new(0..65_536).expect("not empty");
            world.model(asker).session.request(content, vec![range], now).expect("room for eight");
            world.pump_and_tell(asker);
            world.run_for(20);
            world.serves.len()
        };
        assert_eq!(want(&mut world), 1);
        tell_policy(&mut world, Some(Strangers::Off));
        assert_eq!(world.effects.iter().any(|name| name == "StopServe"), !is_left, "{who:?}");
        assert_eq!(want(&mut world), if is_left { 2 } else { 1 }, "{who:?}");
        assert_eq!(hears(&mut world, asker, 2), is_left, "{who:?}");
        tell_policy(&mut world, Some(Strangers::Recent));
        assert!(hears(&mut world, asker, 3), "{who:?}");
    }
}

#[test]
fn lookup_3_strangers_join_no_swarm_of_a_node_that_gives_them_nothing_and_leave_when_it_gives_no_more() {
    for strangers in [Strangers::Off, Strangers::Recent] {
        let truth = file(16 * MIB, 1);
        let mut world = World::new(&truth);
        tell_policy(&mut world, Some(strangers));
        let other = world.peer(2, &truth, sha256(), FAST);
        world.model(other).digest = None;
        world.origin.pace = Pace::steady(2_000_000);
        world.submit(spec(&[sha256()]));
        world.run_for(100);
        world.model(other).session.join(&sha256(), truth.content().len, false);
        world.pump_and_tell(other);
        world.run_for(2_000);
        let told = |world: &World| {
            world.peers[&other].frames.iter().filter(|frame| matches!(frame, Frame::PieceClaim(_))).count()
        };
        assert_eq!(told(&world) > 0, strangers == Strangers::Recent);
        tell_policy(&mut world, Some(Strangers::Off));
        world.run_for(100);
        let before = told(&world);
        world.run_for(2_000);
        assert_eq!(told(&world), before, "{strangers:?}: nothing more is told");
        assert!(world.view().stored > 6 * MIB, "it is fetched all the same: {:?}", world.view());
    }
}

#[test]
fn home_1_a_member_from_elsewhere_takes_no_part_in_what_this_site_fetches() {
    for near in [true, false] {
        let mut world = super::groups::world();
        let other = arrives(&mut world, Who::Member { near });
        let len = world.truth.content().len;
        world.model(other).session.join_in(Some(membership().id()), &sha256(), len, true);
        world.pump_and_tell(other);
        world.run_for(300);
        let peer = world.engine.core.peers.get(other).expect("it is connected");
        assert_eq!(!peer.granted.is_empty(), near, "near: {near}");
    }
}

#[test]
fn lookup_3_whose_question_to_the_link_is_veiled_for_members_is_called_whatever_holds_for_strangers() {
    for (audience, strangers, last_used, is_called) in [
        (Audience::Link, Strangers::Off, NOW_S, false),
        (Audience::Link, Strangers::Recent, OLD_S, false),
        (Audience::Link, Strangers::All, OLD_S, true),
        (Audience::Members(EpochSecret([7; 32])), Strangers::Off, OLD_S, true),
    ] {
        let mut world = holder(Some(strangers), last_used);
        assert_eq!(calls(&mut world, audience), is_called, "{strangers:?}, used at {last_used}");
    }
}

/// Whether whoever asks the link for the file is called.
fn calls(world: &mut World, audience: Audience) -> bool {
    let from: SocketAddr = "192.168.7.20:60000".parse().unwrap();
    let port = NonZeroU16::new(7_411).unwrap();
    let asker = Asker { peer: peer_id(2), address: from.ip(), port, nonce: [3; 8] };
    let question = Question::new(&asker, &[Wanted { digest: sha256(), audience }]).unwrap();
    world.tell(Input::LinkAsked { from, question });
    world.run_for(100);
    !world.called.is_empty()
}

#[test]
fn local_1_whoever_asks_for_what_is_one_users_own_or_this_machines_hears_the_same_as_for_what_nobody_has() {
    for (scope, is_told) in
        [(Scope::Shareable, true), (Scope::Machine, false), (Scope::Private { uid: 101 }, false)]
    {
        for who in [Who::Member { near: true }, Who::Stranger { near: true }] {
            let mut world = holder_for(scope, Some(Strangers::All), NOW_S);
            let asker = arrives(&mut world, who);
            assert_eq!(hears(&mut world, asker, 1), is_told, "{scope:?}, {who:?}");
        }
        for audience in [Audience::Link, Audience::Members(EpochSecret([7; 32]))] {
            let mut world = holder_for(scope, Some(Strangers::All), NOW_S);
            assert_eq!(calls(&mut world, audience), is_told, "{scope:?}, on the link");
        }
    }
}
