//! Files that no digest names, and attestors of the group vouch for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::attest::{Attestation, Attested};
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::group::{Badge, DenyList, EpochSecret, GroupId, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::session::{Session, SessionConfig};
use peer_proto::sign::Signer;
use peer_proto::standing::{PieceRun, Standing};
use peer_proto::verify::HashList;
use peer_proto::wire::{Frame, FrameKind};

use super::models::session_config;
use super::world::*;
use crate::engine::io::{Footing, LeaseFault, PartFound};
use crate::engine::{Engine, EngineConfig, GroupConfig};
use crate::job::{Header, Headers, JobSpec, JobState, PeerFlags, Policy, TrustFloor};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const DAY: u64 = 24 * 60 * 60;
pub(super) const LEN: u64 = 64 * MIB;
pub(super) const URL: &str = "https://example.org/file";

pub(super) fn group() -> Signer {
    Signer::of(&[90; 32])
}

pub(super) fn key(number: u8) -> Signer {
    Signer::of(&[number; 32])
}

/// What a member may do; attestors live a week.
pub(super) fn wish(number: u8, roles: Roles) -> Wish {
    Wish {
        holder: HolderId([number; 16]),
        peer: key(number).peer(),
        roles: Roles::FETCH.and(Roles::SERVE).and(roles),
        not_before: NOW - DAY,
        not_after: NOW + 5 * DAY,
        epoch: 1,
        serial: 1,
    }
}

pub(super) const MEMBER: Roles = Roles(0);

pub(super) fn badge(wish: &Wish) -> Arc<Badge> {
    Arc::new(Badge { token: Token::grant(&group(), wish), secret: EpochSecret([7; 32]), former: None })
}

/// A member, or an attestor, that has not begun anything; its origin answers over https.
pub(super) fn node(truth: &Arc<HashList>, roles: Roles, policy: &Policy, flags: PeerFlags) -> World {
    let mut world = World::with_flags(truth, flags);
    world.origin.footing = Footing {
        secure: true,
        date_unix_s: Some(NOW.cast_signed()),
        anchor: Some([5; 32]),
        ..Footing::default()
    };
    let group = GroupConfig {
        signer: key(1),
        key: group().public_key(),
        badge: badge(&wish(1, roles)),
        epoch: 1,
        denied: None,
        enroller: None,
    };
    let policy = policy.over(&Policy::default());
    let config = EngineConfig { me: key(1).peer(), groups: Some(group).into(), policy, ..config(flags) };
    world.engine = Engine::new(config, world.now());
    world
}

pub(super) fn world(truth: &Arc<HashList>) -> World {
    node(truth, MEMBER, &Policy::default(), PeerFlags::BOTH)
}

/// What an attestor would say of the file the origin serves.
pub(super) fn said(number: u8, list: &HashList) -> Attested {
    Attested {
        group: GroupId::of(&group().public_key()),
        holder: HolderId([number; 16]),
        peer: key(number).peer(),
        sequence: 1,
        fetched_at: NOW - 600,
        not_after: NOW + DAY,
        url: URL.into(),
        version: version("a", Some(list.content().len)),
        content: list.content(),
        sha256: [3; 32],
        anchor: [5; 32],
    }
}

pub(super) fn attested(number: u8, said: Attested) -> Attestation {
    signed_as(number, Roles::ATTEST, said)
}

fn signed_as(number: u8, roles: Roles, said: Attested) -> Attestation {
    let token = Token::grant(&group(), &wish(number, roles));
    Attestation::sign(&key(number), &token, said).expect("fit to be signed")
}

/// A member that holds all of a list, gives 50 MB/s, and passes these on.
pub(super) fn holder(
    world: &mut World,
    number: u8,
    list: &Arc<HashList>,
    attestations: Vec<Attestation>,
) -> PeerId {
    let id = key(number).peer();
    let badge = Some(badge(&wish(number, MEMBER)));
    neighbour(world, id, badge, list, attestations)
}

pub(super) fn neighbour(
    world: &mut World,
    id: PeerId,
    badge: Option<Arc<Badge>>,
    list: &Arc<HashList>,
    attestations: Vec<Attestation>,
) -> PeerId {
    let config = SessionConfig { peer: key(1).peer(), ..session_config(id, badge) };
    let session = Session::new(config, world.now().monotonic);
    let model = PeerModel::new(session, list, 50_000_000).holding(root_digest(list));
    world.admit(id, PeerModel { attestations, ..model });
    id
}

/// Fetches the file, and says how many of its bytes the peers and the origin gave.
pub(super) fn fetched(world: &mut World) -> (u64, u64) {
    if world.engine.job_view(JOB).is_none() {
        world.submit(spec(&[]));
    }
    world.run(Duration::from_secs(120));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert_eq!(world.disk.values().copied().collect::<Vec<_>>(), world.origin.serves.values(), "exact");
    let bytes = world.view().bytes;
    (bytes.peers, bytes.origin)
}

pub(super) fn why(world: &World) -> String {
    let decisions = world.engine.decisions(JOB).expect("the job is known");
    decisions.iter().map(|one| format!("{} {} {}\n", one.chosen, one.why, one.outcome)).collect()
}

pub(super) fn kinds(world: &mut World, id: PeerId) -> BTreeSet<FrameKind> {
    world.model(id).frames.iter().map(Frame::kind).collect()
}

#[test]
fn attest_5_what_an_attestor_vouches_for_comes_from_members_and_the_origin_is_asked_for_the_audit_only() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    let (peers, origin) = fetched(&mut world);
    // Half a percent of 1 024 pieces, and what was under way when the attestor's word came.
    let audit = 5 * 65_536..=7 * 65_536;
    assert!(audit.contains(&origin), "{origin} bytes from the origin: {}", why(&world));
    assert_eq!(peers + origin, LEN);
    assert!(world.view().trust.starts_with("level 1 (attested)"), "{}", world.view().trust);
    let why = why(&world);
    assert!(why.contains("audit of what attestors vouch for") && why.contains("holder 0303"), "{why}");
    assert_eq!(world.kept, 1);
}

#[test]
fn d24_a_machine_in_no_group_takes_no_byte_for_a_url_and_nobody_is_asked() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    world.origin.footing = Footing { secure: true, ..Footing::default() };
    let id = neighbour(&mut world, key(2).peer(), Some(badge(&wish(2, MEMBER))), &truth, Vec::new());
    assert_eq!(fetched(&mut world), (0, 8 * MIB));
    assert_eq!(kinds(&mut world, id), BTreeSet::from([FrameKind::Hello]));
    assert!(world.view().trust.contains("in no group"), "{}", world.view().trust);
}

/// One row for each thing that keeps an attestation from being used: no byte comes from a peer, and the file is exact.
#[test]
fn t3_and_d25_an_attestation_that_does_not_fit_is_not_used() {
    let truth = file(8 * MIB, 1);
    let wrong = altered(8 * MIB, 1, &[3]);
    let fit = || said(3, &truth);
    let older = version("before", Some(8 * MIB));
    let unsigned = {
        let token = Token::grant(&group(), &wish(3, Roles::ATTEST));
        Attestation::sign(&key(4), &token, fit()).expect("signed by somebody else")
    };
    let outsider = {
        let token = Token::grant(&Signer::of(&[91; 32]), &wish(3, Roles::ATTEST));
        Attestation::sign(&key(3), &token, fit()).expect("in another group")
    };
    let rows = [
        ("a bad signature", vec![unsigned]),
        ("another group's token", vec![outsider]),
        ("a member without the role", vec![signed_as(3, MEMBER, said(3, &wrong))]),
        ("expired", vec![attested(3, Attested { not_after: NOW - 1, ..fit() })]),
        ("from the future", vec![attested(3, Attested { fetched_at: NOW + 700, ..fit() })]),
        ("another size", vec![attested(3, said(3, &file(8 * MIB + 1, 1)))]),
        ("the same, as large as a piece less", vec![attested(3, said(3, &file(8 * MIB - 65_536, 1)))]),
        ("another URL", vec![attested(3, Attested { url: "https://example.org/other".into(), ..fit() })]),
        ("another version, replayed", vec![attested(3, Attested { version: older, ..fit() })]),
        (
            "the same ETag from another host",
            vec![attested(3, {
                let mut said = fit();
                said.version.final_origin = "https://mirror.example.org:443".into();
                said
            })],
        ),
        ("two attestors that contradict each other", vec![attested(3, fit()), attested(4, said(4, &wrong))]),
    ];
    let mut fits = world(&truth);
    holder(&mut fits, 2, &truth, vec![attested(3, fit())]);
    assert!(fetched(&mut fits).0 > 7 * MIB, "what fits is used: {}", why(&fits));
    for (word, attestations) in rows {
        let mut world = world(&truth);
        holder(&mut world, 2, &truth, attestations.clone());
        // Who was believed would bring this one's bytes.
        holder(&mut world, 5, &wrong, attestations);
        assert_eq!(fetched(&mut world), (0, 8 * MIB), "{word}: {}", why(&world));
    }
}

#[test]
fn d25_a_holder_of_another_size_than_the_origin_shows_gives_no_byte_whatever_is_attested_of_it() {
    let truth = file(8 * MIB, 1);
    for len in [8 * MIB + 1, 8 * MIB - 1, 8 * MIB - 65_536, 16 * MIB] {
        let other = file(len, 2);
        let mut world = world(&truth);
        holder(&mut world, 2, &other, vec![attested(3, said(3, &other))]);
        assert_eq!(fetched(&mut world), (0, 8 * MIB), "{len}: {}", why(&world));
        // Nor if its root is attested under the length that the origin shows.
        let content = ContentId { root: other.content().root, len: 8 * MIB };
        let said = Attested { content, ..said(3, &truth) };
        let mut world = self::world(&truth);
        holder(&mut world, 2, &other, vec![attested(3, said)]);
        assert_eq!(fetched(&mut world), (0, 8 * MIB), "the root of {len}: {}", why(&world));
    }
}

#[test]
fn attest_10_two_attestors_are_two_holders_however_many_nodes_they_have() {
    let truth = file(8 * MIB, 1);
    let fetched_at = |trust: TrustFloor, attestations: Vec<Attestation>| {
        let mut world = world(&truth);
        holder(&mut world, 2, &truth, attestations);
        world.submit(JobSpec { trust, ..spec(&[]) });
        let (peers, _) = fetched(&mut world);
        (peers > 0, world.view().trust)
    };
    let again = |number: u8| {
        let wish = Wish { holder: HolderId([3; 16]), ..wish(number, Roles::ATTEST) };
        let said = Attested { holder: HolderId([3; 16]), ..said(number, &truth) };
        Attestation::sign(&key(number), &Token::grant(&group(), &wish), said).expect("fit")
    };
    let (used, trust) = fetched_at(TrustFloor::AttestedTwice, (3..13).map(again).collect());
    assert!(!used && trust.contains("1 of 2"), "{trust}");
    let others = |count: u8| (13..13 + count).map(|number| attested(number, said(number, &truth)));
    let floors = TrustFloor::ALL.into_iter().skip(1).map_while(|floor| Some((floor, floor.attestors()?)));
    for ((floor, wanted), missing) in floors.zip(1_u8..) {
        // One short of it, and one of those has a second node.
        let few = [again(3), again(4)].into_iter().chain(others(missing - 1)).collect();
        let (used, trust) = fetched_at(floor, few);
        let said = format!("`{floor}`, asks for: {missing} of {wanted}");
        assert!(!used && trust.contains(&said), "{said}: {trust}");
        let (used, trust) = fetched_at(floor, std::iter::once(again(3)).chain(others(missing)).collect());
        let said = format!("vouch for this version: {wanted} of them");
        assert!(used && trust.starts_with("level 2") && trust.contains(&said), "{said}: {trust}");
    }
}

#[test]
fn attest_11_a_false_attestor_falls_at_the_first_audit_and_is_never_believed_again() {
    let truth = file(LEN, 1);
    let all: Vec<u32> = (0..1_024).collect();
    let wrong = altered(LEN, 1, &all);
    let mut world = world(&truth);
    holder(&mut world, 2, &wrong, vec![attested(3, said(3, &wrong))]);
    let (_, origin) = fetched(&mut world);
    assert!(origin >= LEN, "all of it came from the origin in the end");
    let [(holder_id, reason)] = world.distrusted.as_slice() else { panic!("{:?}", world.distrusted) };
    assert_eq!(*holder_id, HolderId([3; 16]));
    assert!(reason.contains("the origin serves other bytes"), "{reason}");
    let why = why(&world);
    assert!(why.contains("not believed again") && why.contains("holder 0303"), "evidence: {why}");
    assert!(world.attested.is_empty(), "what it said is dropped");
    // The next thing it says is not believed, true or not.
    holder(&mut world, 4, &truth, vec![attested(3, said(3, &truth))]);
    let job = crate::job::JobId([8; 16]);
    let file = JobSpec { name: "again".into(), ..JobSpec::for_file(URL, "/tmp/again") };
    let spec = Box::new(JobSpec { flags: PeerFlags::BOTH, auto_complete: true, ..file });
    world.tell(crate::engine::io::Input::Submit { job, spec, by: ME, start: true });
    world.run_for(60_000);
    let view = world.engine.job_view(job).expect("known");
    assert_eq!((view.state, view.bytes.peers), (JobState::Acknowledged, 0));
}

#[test]
fn attest_11_and_t31_members_bring_a_mebibyte_or_two_pieces_until_the_origin_answers_the_first_audit() {
    for (len, room) in [(LEN, MIB), (16 << 30, 2 * MIB)] {
        let truth = file(len, 1);
        let wrong = file(len, 2);
        let mut world = world(&truth);
        // The first range takes its time.
        world.origin.pace = Pace { then: Some((MIB, 4_000_000_000)), ..Pace::steady(900_000) };
        holder(&mut world, 2, &wrong, vec![attested(3, said(3, &wrong))]);
        let (peers, origin) = fetched(&mut world);
        assert_eq!((peers, world.distrusted.len()), (room, 1), "{}", why(&world));
        assert!(origin >= len, "{origin}");
    }
}

#[test]
fn attest_11_an_origin_that_does_not_answer_holds_members_back_for_two_seconds() {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    world.origin.pace = Pace::steady(0);
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    world.submit(spec(&[]));
    world.run_until(1_000, |world| world.view().bytes.peers > 0);
    let began = world.ms;
    world.run_until(began + 1_800, |_| false);
    assert_eq!(world.view().bytes.peers, MIB);
    world.run_until(began + 3_800, |_| false);
    assert!(world.view().bytes.peers > LEN - 16 * MIB, "{:?}", world.view().bytes);
}

#[test]
fn attest_11_bytes_of_the_origin_that_differ_from_a_members_say_so_and_count_as_an_audit() {
    let truth = file(LEN, 1);
    for (sent, value, falls) in [
        (altered(LEN, 1, &[3]), truth.value(PieceIndex(3)), true),
        (truth.clone(), Some(Hash([9; 32])), false),
    ] {
        let mut world = world(&truth);
        // The origin is slow: its lease is open while members bring the rest.
        world.origin.pace = Pace::steady(1_000);
        holder(&mut world, 2, &sent, vec![attested(3, said(3, &sent))]);
        world.submit(spec(&[]));
        let is_here = |world: &World| world.engine.files.values().any(|file| file.pieces.value(3).is_some());
        world.run_until(30_000, is_here);
        let lease = *world.open_at_origin().first().expect("an audit");
        if !falls {
            // What the origin gave itself before is nobody else's word.
            let file = world.engine.files.values_mut().next().expect("it");
            file.pieces.store(&PieceRun {
                first: PieceIndex(3),
                values: vec![sent.value(PieceIndex(3)).expect("there")],
                standing: Standing::Certain,
            });
        }
        world.end_as(lease, LeaseFault::Differs { piece: PieceIndex(3), value: value.expect("there") });
        assert!(why(&world).contains("piece 3 is stored with another value"), "{}", why(&world));
        assert_eq!(world.distrusted.len(), usize::from(falls), "{:?}", world.distrusted);
    }
}

#[test]
fn attest_11_in_one_of_fifty_downloads_every_byte_is_read_and_one_altered_piece_is_found() {
    let truth = file(MIB * 2, 1);
    let wrong = altered(MIB * 2, 1, &[9]);
    let (mut found, mut canaries) = (0, 0);
    for seed in 0..150 {
        let mut world = world(&truth);
        let config = EngineConfig { seed: [seed; 32], ..member_config() };
        world.engine = Engine::new(config, world.now());
        holder(&mut world, 2, &wrong, vec![attested(3, said(3, &wrong))]);
        world.submit(spec(&[]));
        world.run(Duration::from_secs(60));
        found += world.distrusted.len();
        canaries += usize::from(why(&world).contains("every byte is read from the origin"));
    }
    assert!((1..=9).contains(&canaries), "{canaries} of 150");
    assert_eq!(found, canaries, "files of fewer than 128 pieces have no other audit");
}

pub(super) fn member_config() -> EngineConfig {
    let group = GroupConfig {
        signer: key(1),
        key: group().public_key(),
        badge: badge(&wish(1, MEMBER)),
        epoch: 1,
        denied: None,
        enroller: None,
    };
    EngineConfig { me: key(1).peer(), groups: Some(group).into(), ..config(PeerFlags::BOTH) }
}

#[test]
fn attest_5_before_sealing_the_origin_says_again_that_its_version_stands() {
    let truth = file(LEN, 1);
    for changes in [false, true] {
        let mut world = world(&truth);
        let id = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
        world.model(id).pace = Pace::steady(100_000);
        world.submit(spec(&[]));
        world.run_for(60_000);
        let probes = world.origin.probes;
        if changes {
            world.origin.version = version("b", Some(LEN));
            world.origin.serves = file(LEN, 2);
            world.truth = file(LEN, 2);
        }
        world.run(Duration::from_secs(1_200));
        assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
        assert!(world.origin.probes > probes, "it took longer than ten minutes");
        let disk: Vec<_> = world.disk.values().copied().collect();
        assert_eq!(disk, world.origin.serves.values(), "changed: {changes}");
        assert_eq!(world.resets, 1 + u32::from(changes), "one more if the content is another");
    }
}

#[test]
fn attest_5_while_the_origin_is_away_nothing_is_sealed_on_an_attestors_word() {
    let truth = file(8 * MIB, 1);
    let mut world = world(&truth);
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    world.origin.fault = Some(transient("no answer", None));
    world.submit(spec(&[]));
    world.run_for(20_000);
    assert_eq!((world.view().bytes.peers, world.delivered), (0, 0), "{}", why(&world));
    world.origin.fault = None;
    let (peers, _) = fetched(&mut world);
    assert!(peers > 0);
}

#[test]
fn attest_5_pieces_of_an_earlier_run_count_only_if_attestors_still_vouch_for_them() {
    let truth = file(LEN, 1);
    for vouched in [true, false] {
        let mut world = world(&truth);
        let run = PieceRun {
            first: PieceIndex(0),
            values: truth.values()[..1_000].to_vec(),
            standing: Standing::Proved,
        };
        world.disk = (0..1_000).zip(truth.values().iter().copied()).collect();
        world.found = PartFound { version: Some(world.origin.version.clone()), runs: vec![run] };
        let attestations = if vouched { vec![attested(3, said(3, &truth))] } else { Vec::new() };
        holder(&mut world, 2, &truth, attestations);
        let (peers, origin) = fetched(&mut world);
        match vouched {
            true => assert_eq!(peers + origin, 24 * 65_536, "nothing comes twice: {}", why(&world)),
            false => assert_eq!((peers, origin), (0, LEN), "{}", why(&world)),
        }
    }
}

/// A node in the middle of a file that holder 3 vouches for, when some holder is denied.
fn regrouped(denied: u8) -> (u64, u64) {
    let truth = file(LEN, 1);
    let mut world = world(&truth);
    let id = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    world.model(id).pace = Pace::steady(10_000_000);
    world.submit(spec(&[]));
    world.run_for(2_000);
    let before = world.view().bytes.peers;
    assert!(before > MIB, "{}", why(&world));
    let mut config = only(&member_config().groups);
    config.denied = DenyList::sign(&group(), 1, [HolderId([denied; 16])].into());
    world.tell(crate::engine::io::Input::GroupsChanged(Some(config).into()));
    let (peers, _) = fetched(&mut world);
    (peers, LEN)
}

#[test]
fn group_6_an_attestor_that_is_denied_vouches_for_nothing_any_more() {
    let (peers, len) = regrouped(3);
    assert!(peers < len / 2, "{peers} of {len} bytes");
    let (peers, len) = regrouped(4);
    assert!(peers > len * 98 / 100, "somebody else is denied: {peers} of {len} bytes");
}

#[test]
fn attest_14_another_root_certificate_than_ours_is_refused_where_the_policy_wants_the_same() {
    let truth = file(8 * MIB, 1);
    let strict = Policy { require_same_anchor: Some(true), ..Policy::default() };
    for (policy, anchor, used) in
        [(&strict, [5; 32], true), (&strict, [6; 32], false), (&Policy::default(), [6; 32], true)]
    {
        let mut world = node(&truth, MEMBER, policy, PeerFlags::BOTH);
        holder(&mut world, 2, &truth, vec![attested(3, Attested { anchor, ..said(3, &truth) })]);
        let (peers, _) = fetched(&mut world);
        assert_eq!(peers > 0, used, "{anchor:?}");
    }
}

#[test]
fn trust_the_higher_floor_of_machine_and_job_counts() {
    let truth = file(8 * MIB, 1);
    let floors = [TrustFloor::Auto, TrustFloor::Digest, TrustFloor::Origin];
    for (machine, job) in floors.into_iter().flat_map(|one| floors.map(move |other| (one, other))) {
        let policy = Policy { min_trust: Some(machine), ..Policy::default() };
        for named in [false, true] {
            let mut world = node(&truth, MEMBER, &policy, PeerFlags::BOTH);
            holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
            let digests = if named { vec![root_digest(&truth)] } else { Vec::new() };
            world.submit(JobSpec { trust: job, ..spec(&digests) });
            let (peers, _) = fetched(&mut world);
            let used = match machine.max(job) {
                TrustFloor::Origin => false,
                TrustFloor::Digest => named,
                _ => true,
            };
            assert_eq!(peers > 0, used, "{machine} {job} {named}");
        }
    }
}

/// When the level or a flag forbids peers, nothing but the greeting leaves for any of them on the job's behalf.
#[test]
fn lookup_5_where_level_or_flags_forbid_peers_nothing_but_the_greeting_leaves() {
    let truth = file(8 * MIB, 1);
    let query = format!("{URL}?user=7");
    let client_off = PeerFlags { client: false, server: true };
    let header = Headers(vec![Header { name: "X-Key".into(), value: "7".into() }]);
    let plain = Footing { secure: false, ..Footing::default() };
    let varies = Footing { secure: true, varies: true, ..Footing::default() };
    type Change = Box<dyn Fn(&mut World, &mut JobSpec)>;
    let rows: Vec<(&str, Change)> = vec![
        ("the job's client flag is off", Box::new(move |_, spec| spec.flags = client_off)),
        ("header lines", Box::new(move |_, spec| spec.headers = header.clone())),
        ("a query", Box::new(move |_, spec| spec.files[0].url.clone_from(&query))),
        ("the floor", Box::new(|_, spec| spec.trust = TrustFloor::Digest)),
        ("http", Box::new(move |world, _| world.origin.footing = plain)),
        ("varies", Box::new(move |world, _| world.origin.footing = varies)),
        ("private", Box::new(|world, _| world.origin.public = false)),
        ("a weak version", Box::new(|world, _| world.origin.version.etag = Some("W/\"a\"".into()))),
        ("no ranges", Box::new(|world, _| world.origin.ranges = false)),
    ];
    for (word, change) in rows {
        let mut world = world(&truth);
        let member = holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
        let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
        let mut spec = spec(&[]);
        change(&mut world, &mut spec);
        world.submit(spec);
        assert_eq!(fetched(&mut world), (0, 8 * MIB), "{word}");
        let greeting = BTreeSet::from([FrameKind::Hello, FrameKind::Token, FrameKind::Newest]);
        assert_eq!(kinds(&mut world, member), greeting, "{word}");
        assert_eq!(kinds(&mut world, stranger), BTreeSet::from([FrameKind::Hello]), "{word}");
    }
}

#[test]
fn lookup_5_what_attestors_vouch_for_is_asked_of_members_only() {
    let truth = file(8 * MIB, 1);
    let mut world = world(&truth);
    holder(&mut world, 2, &truth, vec![attested(3, said(3, &truth))]);
    let stranger = neighbour(&mut world, peer_id(9), None, &truth, Vec::new());
    let (peers, _) = fetched(&mut world);
    assert!(peers > 0);
    assert_eq!(kinds(&mut world, stranger), BTreeSet::from([FrameKind::Hello]));
}
