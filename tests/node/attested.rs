//! Real nodes, an https origin that states no digest, and attestors of their group.
//!
//! Knows: what the origin's own count and the nodes' books say of who gave which bytes. Does not know: every condition of an
//! attestation (the engine's tests have them).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nearbits::job::{JobId, JobSpec, Policy, TrustFloor};
use nearbits::node::{JobView, NodeConfig, PeerAddress};
use nearbits::origin::OriginConfig;
use peer_proto::digest::hex;
use peer_proto::group::{GroupId, HolderId, Roles};

use crate::groups::{group, now, write_membership_of};
use crate::lab::{LabNode, wish};
use crate::origin_script::{Payload, Scripted, Site};

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;
pub(crate) const MEMBER: Roles = Roles(0);

/// An origin whose content may turn into another one of the same length under the same ETag.
struct TwoFaced {
    origin: Scripted,
    turned: Arc<AtomicBool>,
}

impl TwoFaced {
    async fn start(payload: Payload) -> Self {
        Self::start_with(payload, false).await
    }

    /// The same; the other content has an ETag of its own if the origin is honest.
    async fn start_with(payload: Payload, is_honest: bool) -> Self {
        let turned = Arc::new(AtomicBool::new(false));
        let is_turned = Arc::clone(&turned);
        let site = Site { last_modified: None, ..Site::new(payload) };
        let etag = if is_honest { Some("\"another\"".to_owned()) } else { site.etag.clone() };
        let other = Site { payload: Payload { seed: payload.seed + 1, ..payload }, etag, ..site.clone() };
        let script = move |asked: &crate::origin_script::Asked| match is_turned.load(Ordering::SeqCst) {
            false => site.reply(asked),
            true => other.reply(asked),
        };
        Self { origin: Scripted::start_tls(script).await, turned }
    }
}

/// Members of one group that know each other and believe the origin's certificate.
pub(crate) struct Office {
    ca: tempfile::NamedTempFile,
}

impl Office {
    pub(crate) fn of(origin: &Scripted) -> Self {
        Self::of_all(&[origin])
    }

    /// The same of several origins.
    pub(crate) fn of_all(origins: &[&Scripted]) -> Self {
        let ca = tempfile::NamedTempFile::new().expect("a file");
        let all: String = origins.iter().map(|origin| origin.ca_pem.as_str()).collect();
        std::fs::write(ca.path(), all).expect("written");
        Self { ca }
    }

    /// A machine of this office: a member with these roles, or in no group at all.
    async fn machine(&self, number: u8, roles: Option<Roles>, peers: &[&LabNode]) -> LabNode {
        self.machine_at(number, roles, peers.iter().flat_map(|peer| peer.addresses()).collect()).await
    }

    /// The same beside whoever listens at these addresses.
    pub(crate) async fn machine_at(
        &self,
        number: u8,
        roles: Option<Roles>,
        peers: Vec<PeerAddress>,
    ) -> LabNode {
        let node = LabNode::start(&[]).await;
        let peer = node.handle.peer_id();
        let folder = node.shut_down().await;
        if let Some(roles) = roles {
            write_membership_of(&folder, HolderId([number; 16]), peer, roles, now(&folder) + DAY);
        }
        self.again_at(folder, peers).await
    }

    async fn again(&self, folder: tempfile::TempDir, peers: &[&LabNode]) -> LabNode {
        self.again_at(folder, peers.iter().flat_map(|peer| peer.addresses()).collect()).await
    }

    pub(crate) async fn again_at(&self, folder: tempfile::TempDir, peers: Vec<PeerAddress>) -> LabNode {
        let count = peers.len();
        let mut config = NodeConfig::embedded(folder.path().join("state"));
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.mdns = false;
        config.static_peers = peers;
        config.origin = OriginConfig { extra_ca: Some(self.ca.path().to_owned()), ..OriginConfig::default() };
        config.preference = Policy { attest_hosts: Some(vec!["localhost".into()]), ..Policy::default() };
        let node = LabNode::start_with(folder, config).await;
        node.connected(count).await;
        node
    }
}

fn spec(node: &LabNode, origin: &Scripted) -> JobSpec {
    wish(origin.url("/update.bin"), node.path("update.bin"), Vec::new())
}

async fn fetch(node: &LabNode, origin: &Scripted, payload: Payload) -> (JobId, JobView) {
    let job = node.submit(spec(node, origin)).await;
    let view = node.delivered(job).await;
    let found = std::fs::read(node.path("update.bin")).expect("delivered");
    assert!(found == payload.all(), "exact: {}", node.why(job).await);
    (job, view)
}

/// Nobody sees so many downloads in a row in which everything is read from the origin.
pub(crate) const CANARIES_IN_A_ROW: u32 = 6;

/// The same on a new member that is not in its download in fifty in which it reads everything to check attestors. What the
/// origin sent meanwhile comes with it.
async fn fetch_believing(
    office: &Office,
    (number, peers): (u8, &[&LabNode]),
    origin: &Scripted,
    payload: Payload,
) -> (LabNode, JobId, JobView, u64) {
    for _ in 0..CANARIES_IN_A_ROW {
        let node = office.machine(number, Some(MEMBER), peers).await;
        let before = origin.sent();
        let (job, view) = fetch(&node, origin, payload).await;
        if !is_canary(&node.why(job).await) {
            return (node, job, view, origin.sent() - before);
        }
        drop(node.shut_down().await);
    }
    panic!("one in fifty, {CANARIES_IN_A_ROW} times in a row");
}

/// Whether it was that one download in fifty in which everything is read from the origin: nothing rests on an attestor then.
pub(crate) fn is_canary(why: &str) -> bool {
    why.contains("every byte is read from the origin")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_5_what_an_attestor_read_goes_round_the_office_and_survives_its_restart_and_its_absence() {
    let payload = Payload::new(21, 24 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    let (job, view) = fetch(&attestor, &origin, payload).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (payload.len, 0));
    assert!(attestor.why(job).await.contains("attests it to its group"), "{}", attestor.why(job).await);
    // What it said is on its disk.
    let attestor = office.again(attestor.shut_down().await, &[]).await;
    let (second, job, view, sent) = fetch_believing(&office, (2, &[&attestor]), &origin, payload).await;
    assert!(view.trust.starts_with("level 1 (attested)"), "{}", view.trust);
    // The audit: half a percent of 384 pieces, and whatever was under way.
    assert!(view.bytes.peers >= payload.len - 4 * MIB / 4, "{:?}\n{}", view.bytes, second.why(job).await);
    assert!(sent <= 2 * MIB, "the origin sent {sent}");
    // The second one passes the word on, and the bytes, when the attestor is gone.
    drop(attestor.shut_down().await);
    let (third, job, view, _) = fetch_believing(&office, (3, &[&second]), &origin, payload).await;
    assert!(view.bytes.peers >= payload.len - MIB, "{:?}\n{}", view.bytes, third.why(job).await);
    let holder = hex(&[1; 16]);
    assert!(third.why(job).await.contains(&holder), "who vouched: {}", third.why(job).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_12_and_attest_12_a_member_that_may_not_attest_and_a_machine_in_no_group_bring_nothing_for_a_url()
 {
    let payload = Payload::new(22, 4 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    let member = office.machine(1, Some(MEMBER), &[]).await;
    fetch(&member, &origin, payload).await;
    for roles in [Some(MEMBER), None] {
        let other = office.machine(2, roles, &[&member]).await;
        let (job, view) = fetch(&other, &origin, payload).await;
        assert_eq!((view.bytes.origin, view.bytes.peers), (payload.len, 0), "{}", other.why(job).await);
        assert!(view.trust.starts_with("level 0 (origin)"), "{}", view.trust);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t31_an_attestor_whose_word_is_not_what_the_origin_serves_is_found_out_and_never_believed_again() {
    let payload = Payload::new(23, 64 * MIB);
    let TwoFaced { origin, turned } = TwoFaced::start(Payload { seed: 24, ..payload }).await;
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&attestor, &origin, Payload { seed: 24, ..payload }).await;
    // The origin serves other bytes under the same ETag: what the attestor says is false for everybody else.
    turned.store(true, Ordering::SeqCst);
    let truth = Payload { seed: 25, ..payload };
    let second = office.machine(2, Some(MEMBER), &[&attestor]).await;
    let (job, view) = fetch(&second, &origin, truth).await;
    assert!(view.bytes.origin >= truth.len, "{:?}", view.bytes);
    let why = second.why(job).await;
    assert!(why.contains("not believed again") && why.contains(&hex(&[1; 16])), "the evidence: {why}");
    // Neither after a restart.
    let folder = second.shut_down().await;
    let kept = folder.path().join(false_one());
    assert!(std::fs::read_to_string(kept).expect("kept").contains("the origin serves other bytes"));
    let second = office.again(folder, &[&attestor]).await;
    let spec = crate::lab::placed(spec(&second, &origin), second.path("again.bin"));
    let view = second.fetch(spec).await;
    assert_eq!(view.bytes.peers, 0);
}

/// Where a node keeps that the first attestor of the group is false.
fn false_one() -> String {
    let group = GroupId::of(&group().public_key());
    format!("state/attestations/{group}{}.false", hex(&[1; 16]))
}

/// Until a file is there.
async fn appears(path: &std::path::Path) {
    until(&path.display().to_string(), || async { path.exists() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_8_an_attestor_that_contradicts_itself_is_known_to_members_who_never_asked_it() {
    let payload = Payload::new(27, 4 * MIB);
    let TwoFaced { origin, turned } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    // One attestor, on two machines that do not know each other, reads two contents under one version.
    let first = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&first, &origin, payload).await;
    turned.store(true, Ordering::SeqCst);
    let other = Payload { seed: payload.seed + 1, ..payload };
    let second = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&second, &origin, other).await;
    // Whoever hears both believes neither, and tells the rest of the office.
    let told = office.machine(3, Some(MEMBER), &[]).await;
    let hears = office.machine(2, Some(MEMBER), &[&first, &second, &told]).await;
    let (_, view) = fetch(&hears, &origin, other).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (other.len, 0));
    let evidence = told.path(&false_one());
    appears(&evidence).await;
    // It tells those who come later, after a restart too, when all others are gone.
    let told = office.again(told.shut_down().await, &[]).await;
    let late = office.machine(4, Some(MEMBER), &[&told]).await;
    appears(&late.path(&false_one())).await;
    let text = std::fs::read_to_string(evidence).expect("kept");
    assert!(text.starts_with("it signed two different contents") && text.lines().count() == 3, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_7_members_take_a_file_while_their_attestor_reads_it_and_the_origin_gives_it_once() {
    for _ in 0..CANARIES_IN_A_ROW {
        if followed_by_both().await {
            return;
        }
    }
    panic!("one of two in fifty, {CANARIES_IN_A_ROW} times in a row");
}

/// Two members beside an attestor that reads; `false` if one of them read everything to check it.
async fn followed_by_both() -> bool {
    let payload = Payload::new(31, 24 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    origin.throttle(4 * MIB);
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    let second = office.machine(2, Some(MEMBER), &[&attestor]).await;
    let third = office.machine(3, Some(MEMBER), &[&attestor, &second]).await;
    let reads = attestor.submit(spec(&attestor, &origin)).await;
    attestor.stored(reads, MIB).await;
    let members = [&second, &third];
    let jobs = [second.submit(spec(&second, &origin)).await, third.submit(spec(&third, &origin)).await];
    let mut audits = 0;
    for (member, job) in members.into_iter().zip(jobs) {
        let view = member.delivered(job).await;
        let why = member.why(job).await;
        let found = std::fs::read(member.path("update.bin")).expect("delivered");
        assert!(found == payload.all(), "exact: {why}");
        if is_canary(&why) {
            return false;
        }
        let checked = u64::try_from(why.matches("audit of what attestors vouch for").count()).expect("few");
        audits += checked;
        assert!(view.trust.starts_with("level 1 (attested)"), "{}", view.trust);
        // When the attestor ends, a member may fetch what it lacks at that moment itself: a tick of 200 ms at most.
        let beyond = view.bytes.origin - checked * 65_536;
        assert!(checked > 0 && beyond < MIB + MIB / 4, "{:?}\n{why}", view.bytes);
        assert!(why.contains("an attestor that reads the file says what they are"), "{why}");
    }
    let view = attestor.delivered(reads).await;
    assert_eq!((view.bytes.origin - view.bytes.discarded, view.bytes.peers), (payload.len, 0));
    assert!(attestor.why(reads).await.contains("attests it to its group"));
    let most = payload.len + (audits + 4) * 65_536 + 3 * MIB;
    assert!(origin.sent() < most, "the origin sent {} of {}", origin.sent(), payload.len);
    true
}

/// Until something is so.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let waited = tokio::time::timeout(crate::lab::PATIENCE, async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not so: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_9_what_an_attestor_takes_back_is_given_to_nobody_any_more_and_stays_so() {
    let payload = Payload::new(29, 4 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&attestor, &origin, payload).await;
    let (second, _, view, _) = fetch_believing(&office, (2, &[&attestor]), &origin, payload).await;
    assert!(view.bytes.peers > 0, "{}", view.trust);
    let kept = || async { !second.handle.cache().records(None).await.expect("it runs").is_empty() };
    until("the second one keeps it", kept).await;
    let known = attestor.handle.attestations().await.expect("it runs");
    let [one] = known.as_slice() else { panic!("{known:?}") };
    assert!(one.is_own && one.url == origin.url("/update.bin") && one.taken_back.is_none());
    // Nobody else may.
    second.handle.take_back(vec![one.id.clone()], "no".into()).await.expect("it runs");
    let known = second.handle.attestations().await.expect("it runs");
    assert!(!known[0].is_own && known[0].taken_back.is_none(), "{known:?}");
    attestor.handle.take_back(vec![one.id.clone()], "a test".into()).await.expect("it runs");
    let gone = || async { second.handle.cache().records(None).await.expect("it runs").is_empty() };
    until("the second one lets go of it", gone).await;
    let known = second.handle.attestations().await.expect("it runs");
    assert_eq!(known[0].taken_back.as_deref(), Some("a test"));
    assert!(second.path("update.bin").exists(), "what was delivered stays");
    // Not after a restart either, and not for those who come later.
    let second = office.again(second.shut_down().await, &[]).await;
    let third = office.machine(3, Some(MEMBER), &[&second, &attestor]).await;
    let (_, view) = fetch(&third, &origin, payload).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (payload.len, 0), "{}", view.trust);
    let known = second.handle.attestations().await.expect("it runs");
    assert_eq!(known[0].taken_back.as_deref(), Some("a test"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_a_job_that_wants_a_digest_takes_nothing_on_an_attestors_word() {
    let payload = Payload::new(26, 4 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&attestor, &origin, payload).await;
    let second = office.machine(2, Some(MEMBER), &[&attestor]).await;
    for (trust, name) in [(TrustFloor::Digest, "digest"), (TrustFloor::AttestedTwice, "attested-2")] {
        let spec = crate::lab::placed(spec(&second, &origin), second.path(name));
        let view = second.fetch(JobSpec { trust, ..spec }).await;
        assert_eq!(view.bytes.peers, 0);
        assert!(view.trust.contains(&format!("`{name}`")), "{}", view.trust);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t3_what_was_attested_of_a_version_that_is_over_brings_no_byte() {
    let payload = Payload::new(27, 8 * MIB);
    let TwoFaced { origin, turned } = TwoFaced::start_with(payload, true).await;
    let office = Office::of(&origin);
    let attestor = office.machine(1, Some(Roles::ATTEST), &[]).await;
    fetch(&attestor, &origin, payload).await;
    turned.store(true, Ordering::SeqCst);
    let truth = Payload { seed: 28, ..payload };
    let second = office.machine(2, Some(MEMBER), &[&attestor]).await;
    let (job, view) = fetch(&second, &origin, truth).await;
    assert_eq!((view.bytes.origin, view.bytes.peers), (truth.len, 0), "{}", second.why(job).await);
    assert!(view.trust.starts_with("level 0 (origin)"), "{}", view.trust);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_10_three_attestors_are_enough_for_who_asks_for_three_and_not_for_who_asks_for_four() {
    let payload = Payload::new(29, 4 * MIB);
    let TwoFaced { origin, .. } = TwoFaced::start(payload).await;
    let office = Office::of(&origin);
    let mut attestors = Vec::new();
    for number in 1..4 {
        let attestor = office.machine(number, Some(Roles::ATTEST), &[]).await;
        fetch(&attestor, &origin, payload).await;
        attestors.push(attestor);
    }
    let all: Vec<&LabNode> = attestors.iter().collect();
    let on_floor = async |number, trust| {
        let node = office.machine(number, Some(MEMBER), &all).await;
        let job = node.submit(JobSpec { trust, ..spec(&node, &origin) }).await;
        let view = node.delivered(job).await;
        let found = std::fs::read(node.path("update.bin")).expect("delivered");
        assert!(found == payload.all(), "exact: {}", node.why(job).await);
        (is_canary(&node.why(job).await), view)
    };
    let (_, four) = on_floor(4, TrustFloor::AttestedByFour).await;
    assert_eq!((four.bytes.origin, four.bytes.peers), (payload.len, 0));
    assert!(four.trust.contains("`attested-4`, asks for: 3 of 4"), "{}", four.trust);
    for number in (5..).take(CANARIES_IN_A_ROW as usize) {
        let (is_canary, three) = on_floor(number, TrustFloor::AttestedByThree).await;
        if !is_canary {
            assert_eq!((three.bytes.origin, three.bytes.peers), (0, payload.len), "{}", three.trust);
            return;
        }
    }
    panic!("one in fifty, {CANARIES_IN_A_ROW} times in a row");
}
