//! What the engine shows to whoever asks it: peers, what attestors signed, permissions, whence bytes came.

use peer_proto::attest::{AttestFault, Attestation, Attested};
use peer_proto::group::{EpochSecret, GroupId, HolderId, Roles, Token};
use peer_proto::void::{Void, Voided};
use peer_proto::wire::Frame;

use super::attested::*;
use super::world::*;
use crate::engine::event::BytesBySource;
use crate::engine::io::Input;
use crate::job::{PeerFlags, Policy};

const CLIENT: PeerFlags = PeerFlags { client: true, server: false };

/// What an attestor takes back, if that lasts to `not_after`.
fn taken_back(one: &Attestation, not_after: u64) -> Void {
    let said = Voided {
        group: one.said().group,
        holder: one.said().holder,
        statement: one.id(),
        sequence: 1,
        not_after,
        reason: "it was read wrong".into(),
    };
    let token = Token::grant(&group(), &wish(3, Roles::ATTEST));
    Void::sign(&key(3), Some(&token), said).expect("fit to be signed")
}

#[test]
fn group_3_a_peer_is_shown_as_a_member_of_the_groups_it_shares_and_a_stranger_as_none() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    let member = holder(&mut world, 2, &truth, Vec::new());
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    let shown = |id| {
        let view =
            world.engine.peer_views().into_iter().find(|view| view.peer == id).expect("it is connected");
        (view.member, view.groups)
    };
    let ours = GroupId::of(&group().public_key()).to_string();
    assert_eq!((shown(member), shown(stranger)), ((true, vec![ours]), (false, Vec::new())));
}

#[test]
fn attest_9_what_attestors_signed_is_shown_and_a_void_that_would_not_count_is_told_before_it_is_handed_in() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    assert_eq!(world.engine.attestations(), []);
    let one = attested(3, said(3, &truth));
    world.tell(Input::AttestationFound(one.clone()));
    let [shown] = &world.engine.attestations()[..] else { panic!("one is known") };
    assert_eq!((&shown.id, shown.url.as_str(), &shown.taken_back), (&one.id().to_string(), URL, &None));

    assert_eq!(world.engine.check_void(&taken_back(&one, NOW - 1)), Err(AttestFault::Over));
    let void = taken_back(&one, NOW + DAY);
    assert_eq!(world.engine.check_void(&void), Ok(()));
    world.tell(Input::VoidFound(void));
    let [shown] = &world.engine.attestations()[..] else { panic!("it is shown still") };
    assert_eq!(shown.taken_back.as_deref(), Some("it was read wrong"));
}

#[test]
fn attest_3_what_is_said_of_another_url_or_another_version_is_not_about_this_one() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    world.tell(Input::AttestationFound(attested(3, said(3, &truth))));
    let about =
        |url: &str, etag: &str| world.engine.core.attests.about(url, &version(etag, Some(MIB))).count();
    assert_eq!((about(URL, "a"), about(URL, "b"), about("https://example.org/other", "a")), (1, 0, 0));
}

#[test]
fn attest_8_what_one_attestor_said_goes_with_it_and_what_others_said_is_still_told() {
    let truth = file(MIB, 1);
    let mut world = world(&truth);
    for number in [3, 4] {
        world.tell(Input::AttestationFound(attested(number, said(number, &truth))));
    }
    let ours = GroupId::of(&group().public_key());
    world.engine.core.drop_holder(Some(GroupId([1; 16])), HolderId([4; 16]));
    world.engine.core.drop_holder(Some(ours), HolderId([3; 16]));
    let member = holder(&mut world, 2, &truth, Vec::new());
    let id = peer_proto::attest::attested_id(&EpochSecret([7; 32]), URL, &version("a", Some(MIB)));
    assert!(world.model(member).session.want_attestations(id).is_some());
    world.pump_and_tell(member);
    let told = world.model(member).frames.iter().find_map(|frame| match frame {
        Frame::Attestations(answer) => Some(answer.list.clone()),
        _ => None,
    });
    assert_eq!(told, Some(vec![attested(4, said(4, &truth))]));
}

#[test]
fn attest_6_what_is_over_is_kept_for_as_long_as_it_could_have_lived_and_no_second_longer() {
    let truth = file(MIB, 1);
    for (late, kept) in [(0, 1), (1, 0)] {
        let mut world = world(&truth);
        let over = NOW - peer_proto::limits::ATTESTATION_LIFE_MAX_S - late;
        let old = Attested { fetched_at: over - DAY, not_after: over, ..said(3, &truth) };
        world.tell(Input::AttestationFound(attested(3, old)));
        assert_eq!(world.engine.attestations().len(), kept, "{late} s later");
    }
}

#[test]
fn attest_2_statements_are_numbered_by_the_clock_and_upwards_though_it_stands_still_or_goes_back() {
    let mut world = world(&file(MIB, 1));
    let numbers = [NOW, NOW, NOW - DAY, NOW + DAY].map(|now| world.engine.core.next_statement(now));
    assert_eq!(numbers, [NOW, NOW + 1, NOW + 2, NOW + DAY]);
}

#[test]
fn peer_3_and_peer_4_what_holds_and_what_is_preferred_are_told_apart() {
    let mut world = World::with_flags(&file(MIB, 1), CLIENT);
    assert_eq!((world.engine.flags(), world.engine.preferred_flags()), (CLIENT, CLIENT));
    let off = Policy { enable_peer_caching: Some(false), ..Policy::default() };
    world.tell(Input::PolicyChanged(Box::new(off.over(&Policy::default()))));
    assert_eq!((world.engine.flags(), world.engine.preferred_flags()), (PeerFlags::NONE, CLIENT));
}

#[test]
fn job_32_bytes_may_be_a_peers_if_a_peer_or_the_cache_gave_some_or_an_earlier_run_that_could_ask() {
    let one = BytesBySource { origin: 9, ..BytesBySource::default() };
    let of = |bytes: BytesBySource| [true, false].map(|may_ask| bytes.has_a_peers(may_ask));
    assert_eq!(of(one), [false, false]);
    assert_eq!(of(BytesBySource { peers: 1, ..one }), [true, true]);
    assert_eq!(of(BytesBySource { cache: 1, ..one }), [true, true]);
    assert_eq!(of(BytesBySource { earlier: 1, ..one }), [true, false]);
    let written = |bytes| serde_json::to_value(bytes).expect("numbers").get("earlier").cloned();
    assert_eq!((written(one), written(BytesBySource { earlier: 1, ..one })), (None, Some(1.into())));
}
