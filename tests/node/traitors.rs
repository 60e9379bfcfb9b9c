//! Members and attestors that lie to a real node over real sockets, with tokens that count.
//!
//! Knows: which bytes the origin serves, who says what of them, and what the node makes of it. Does not know: liars that nobody
//! vouches for (`liars`), attestors that are nodes (`attested`).

use nearbits::job::{Ask, JobSpec, PeerFlags};
use nearbits::node::{JobView, PeerAddress};
use peer_proto::attest::Attestation;
use peer_proto::content::ContentId;
use peer_proto::digest::{Algorithm, Digest, hex};
use peer_proto::group::Roles;
use peer_proto::verify::HashList;
use peer_proto::version::Version;
use peer_proto::wire::{Find, Frame, FrameKind, Question};

use crate::attested::{CANARIES_IN_A_ROW, MEMBER, Office, is_canary};
use crate::badge::{Badge, Member, Word};
use crate::groups::{now, takes_peer_for};
use crate::hostile::{Hostile, Manner, Plan, list_of};
use crate::lab::{LabNode, wish};
use crate::origin_script::{Payload, Scripted, Site};

const MIB: u64 = 1 << 20;

/// An https origin that states no digest, and the office that fetches from it.
struct Scene {
    site: Site,
    bytes: Vec<u8>,
    origin: Scripted,
    office: Office,
    now: u64,
}

impl Scene {
    async fn new(payload: Payload) -> Self {
        let site = Site { last_modified: None, ..Site::new(payload) };
        let served = site.clone();
        let origin = Scripted::start_tls(move |asked| served.reply(asked)).await;
        let office = Office::of(&origin);
        let now = now(&tempfile::tempdir().expect("a folder"));
        Self { site, bytes: payload.all(), origin, office, now }
    }

    /// That the version which the origin serves has this content.
    fn word(&self, content: ContentId) -> Word {
        let version = Version {
            final_origin: format!("https://localhost:{}", self.origin.port),
            etag: self.site.etag.clone(),
            last_modified: None,
            len: Some(content.len),
        };
        Word { url: self.origin.url("/update.bin"), version, content }
    }

    /// A member that takes these for members too.
    async fn machine(&self, members: &[&Hostile]) -> LabNode {
        let node = self.office.machine_at(1, Some(MEMBER), addresses(members)).await;
        meets(node, members).await
    }

    /// The same machine in its next life, beside these.
    async fn again(&self, node: LabNode, members: &[&Hostile]) -> LabNode {
        let node = self.office.again_at(node.shut_down().await, addresses(members)).await;
        meets(node, members).await
    }

    fn spec(&self, node: &LabNode) -> JobSpec {
        wish(self.origin.url("/update.bin"), node.path("update.bin"), Vec::new())
    }

    /// Fetches the file, and insists that it is exact. What came of it, and why.
    async fn fetch(&self, node: &LabNode) -> (JobView, String) {
        let view = node.fetch(self.spec(node)).await;
        let why = node.why(view.id).await;
        assert!(std::fs::read(node.path("update.bin")).expect("delivered") == self.bytes, "exact: {why}");
        (view, why)
    }

    /// The same on a machine of its own that does not happen to read all from the origin to check attestors.
    async fn fetch_believing(&self, members: &[&Hostile]) -> (LabNode, JobView, String) {
        for _ in 0..CANARIES_IN_A_ROW {
            let node = self.machine(members).await;
            let (view, why) = self.fetch(&node).await;
            if !is_canary(&why) {
                return (node, view, why);
            }
        }
        panic!("one in fifty, {CANARIES_IN_A_ROW} times in a row");
    }
}

fn addresses(all: &[&Hostile]) -> Vec<PeerAddress> {
    all.iter().map(|one| one.address().parse().expect("an address")).collect()
}

/// Waits until a node takes these for members.
async fn meets(node: LabNode, members: &[&Hostile]) -> LabNode {
    for one in members {
        takes_peer_for(&node, one.peer_id(), true).await;
    }
    node
}

/// A member whose word for a version is this, as whoever says it to all who ask.
fn saying(member: &Member, attestations: Vec<Attestation>) -> Badge {
    Badge { attestations, ..member.badge() }
}

/// That a member was asked what attestors say, what it said changed nothing, and nobody asked it for a byte.
async fn brings_nothing(scene: &Scene, hostile: &Hostile, node: &LabNode, what: &str) -> String {
    let (view, why) = scene.fetch(node).await;
    let len = scene.site.payload.len;
    assert!(hostile.heard(FrameKind::AttestWant), "{what}: nobody asked: {why}");
    assert_eq!((view.bytes.origin, view.bytes.peers, hostile.requests()), (len, 0, 0), "{what}: {why}");
    assert!(view.trust.starts_with("level 0 (origin)"), "{what}: {}", view.trust);
    assert!(!why.contains("vouch for"), "{what}: it was believed for a while: {why}");
    why
}

/// That a node keeps why it does not believe this attestor any more, and what it signed.
async fn fell(node: &LabNode, attestor: &Member, why: &str) {
    let (group, holder) = (attestor.token.group(), attestor.token.wish().holder);
    let kept = node.path(&format!("state/attestations/{group}{holder}.false"));
    node.until(|| kept.exists(), why).await;
    let text = std::fs::read_to_string(&kept).expect("kept");
    assert!(text.starts_with("the origin serves other bytes than it "), "{text}");
    assert!(text.lines().count() > 1, "what it signed: {text}");
    assert!(why.contains("an attestor of the group is not believed again -> "), "{why}");
    assert!(why.contains(&holder.to_string()), "who: {why}");
}

async fn banned(node: &LabNode) -> u64 {
    node.handle.totals().await.expect("it runs").banned_peers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t31_whoever_has_an_attestors_key_and_lies_everywhere_falls_at_an_audit_and_is_believed_no_more() {
    let scene = Scene::new(Payload::new(51, 64 * MIB)).await;
    let thief = Member::new(80, Roles::ATTEST, scene.now);
    let plan = Plan::consistent_lie(&scene.bytes, 0..scene.bytes.len());
    let word = thief.attests(&scene.word(plan.content));
    // Of another file it says what is so.
    let url = scene.origin.url("/other.bin");
    let other = thief.attests(&Word { url: url.clone(), ..scene.word(list_of(&scene.bytes).content()) });
    let hostile = Hostile::start(80, plan.showing(saying(&thief, vec![word.clone(), other]))).await;
    let (node, view, why) = scene.fetch_believing(&[&hostile]).await;
    assert!(hostile.requests() > 0 && why.contains("audit of what attestors vouch for"), "{why}");
    assert!(view.bytes.origin >= scene.site.payload.len, "{:?}\n{why}", view.bytes);
    assert!(view.bytes.peers <= view.bytes.discarded, "none of its bytes is in the file\n{why}");
    fell(&node, &thief, &why).await;
    let proof = [hex(&word.id().0[..8]), hostile.peer_id().to_string(), word.said().content.root.to_string()];
    assert!(proof.iter().all(|part| why.contains(part)), "{proof:?} {why}");
    assert_eq!(banned(&node).await, 0, "its bytes are what it said they were");

    let requests = hostile.requests();
    let view = node.fetch(wish(url, node.path("other.bin"), Vec::new())).await;
    assert!(std::fs::read(node.path("other.bin")).expect("delivered") == scene.bytes);
    assert_eq!((view.bytes.origin, hostile.requests()), (scene.site.payload.len, requests));
    let why = node.why(view.id).await;
    assert!(why.contains("not believed: its signer is no attestor"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t31_and_attest_7_what_a_false_attestor_says_while_it_reads_is_found_out_too() {
    let scene = Scene::new(Payload::new(52, 16 * MIB)).await;
    let thief = Member::new(81, Roles::ATTEST, scene.now);
    let plan = Plan::consistent_lie(&scene.bytes, 0..scene.bytes.len());
    let list = HashList::from_values(plan.content.len, plan.values.clone()).expect("its list");
    let batches = thief.streams(&scene.word(plan.content), &list);
    let hostile = Hostile::start(81, plan.showing(Badge { batches, ..thief.badge() })).await;
    let (node, view, why) = scene.fetch_believing(&[&hostile]).await;
    assert!(why.contains("an attestor of the group reads it now"), "{why}");
    assert!(view.bytes.origin >= scene.site.payload.len && view.bytes.peers == 0, "{:?}\n{why}", view.bytes);
    fell(&node, &thief, &why).await;
}

/// Fetches the file again and again from a false attestor until that falls: how often it was believed, and why it fell.
async fn believed_until_it_fell(scene: &Scene, node: &LabNode, most: usize) -> (usize, String) {
    for count in 0..most {
        let path = node.path(&format!("{count}.bin"));
        let spec = wish(scene.origin.url("/update.bin"), path.clone(), Vec::new());
        // What is left behind in a cache would be found there.
        let flags = PeerFlags { client: true, server: false };
        let view = node.fetch(JobSpec { flags, ..spec }).await;
        let why = node.why(view.id).await;
        let is_false = std::fs::read(&path).expect("delivered") != scene.bytes;
        std::fs::remove_file(&path).expect("delivered");
        if !is_false {
            return (count, why);
        }
        assert!(view.trust.starts_with("level 1 (attested)"), "{}\n{why}", view.trust);
    }
    panic!("believed {most} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_12_one_false_piece_lives_until_a_download_reads_everything_and_no_longer() {
    // Of fewer than 128 pieces none is drawn for an audit; one download in fifty reads them all.
    let scene = Scene::new(Payload::new(59, 2 * MIB)).await;
    let thief = Member::new(60, Roles::ATTEST, scene.now);
    let plan = Plan::consistent_lie(&scene.bytes, 1_000_000..1_000_001);
    let word = thief.attests(&scene.word(plan.content));
    let hostile = Hostile::start(60, plan.showing(saying(&thief, vec![word]))).await;
    let node = scene.machine(&[&hostile]).await;
    let (_, why) = believed_until_it_fell(&scene, &node, 1_000).await;
    fell(&node, &thief, &why).await;
    let (view, why) = scene.fetch(&node).await;
    assert_eq!(view.bytes.peers, 0, "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_11_an_attestor_that_is_false_in_half_of_the_pieces_falls_at_one_of_the_first_audits() {
    let scene = Scene::new(Payload::new(61, 8 * MIB)).await;
    let thief = Member::new(61, Roles::ATTEST, scene.now);
    let half = 0..scene.bytes.len() / 2;
    let plan = Plan::consistent_lie(&scene.bytes, half);
    let word = thief.attests(&scene.word(plan.content));
    let hostile = Hostile::start(61, plan.showing(saying(&thief, vec![word]))).await;
    let node = scene.machine(&[&hostile]).await;
    let (_, why) = believed_until_it_fell(&scene, &node, 60).await;
    fell(&node, &thief, &why).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_12_and_group_3_a_member_that_may_not_attest_is_not_believed_whatever_it_signs() {
    let scene = Scene::new(Payload::new(53, 4 * MIB)).await;
    let plan = || Plan::consistent_lie(&scene.bytes, 0..scene.bytes.len());
    let attestor = Member::new(70, Roles::ATTEST, scene.now);
    let rows = [
        ("in its own name", 82, "not believed: its signer is no attestor"),
        ("in an attestor's name", 83, "not believed: an attestation that its signer did not sign"),
    ];
    for (what, seed, reason) in rows {
        let member = Member::new(seed, MEMBER, scene.now);
        let signs = match seed {
            82 => member.clone(),
            _ => Member { signer: member.signer.clone(), ..attestor.clone() },
        };
        let word = signs.attests(&scene.word(plan().content));
        let hostile = Hostile::start(seed, plan().showing(saying(&member, vec![word]))).await;
        let node = scene.machine(&[&hostile]).await;
        let why = brings_nothing(&scene, &hostile, &node, what).await;
        assert!(why.contains(reason), "{what}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_3_and_t3_an_attestors_true_word_on_anything_else_brings_no_byte_when_a_member_replays_it() {
    let scene = Scene::new(Payload::new(54, 4 * MIB)).await;
    let attestor = Member::new(71, Roles::ATTEST, scene.now);
    let other = Payload::new(55, 4 * MIB).all();
    let longer = Payload::new(55, 4 * MIB + 1).all();
    let word = |bytes: &[u8], change: &dyn Fn(&mut Word)| {
        let mut word = scene.word(list_of(bytes).content());
        change(&mut word);
        (attestor.attests(&word), Plan::honest(bytes))
    };
    let port = scene.origin.port;
    let rows = [
        ("another host", word(&other, &|word| word.url = format!("https://origin.test:{port}/update.bin"))),
        ("another path", word(&other, &|word| word.url.push('2'))),
        (
            "another host that answers in the end",
            word(&other, &|word| word.version.final_origin = format!("https://origin.test:{port}")),
        ),
        (
            "another port that answers in the end",
            word(&other, &|word| word.version.final_origin = "https://localhost:443".into()),
        ),
        (
            "a date",
            word(&other, &|word| word.version.last_modified = Some("Sat, 21 Nov 2026 10:00:00 GMT".into())),
        ),
        ("another length", word(&longer, &|_| {})),
        ("an earlier version", word(&other, &|word| word.version.etag = Some("\"before\"".into()))),
        ("no ETag", word(&other, &|word| word.version.etag = None)),
    ];
    for (seed, (what, (attestation, plan))) in (90..).zip(rows) {
        let member = Member::new(seed, MEMBER, scene.now);
        let hostile = Hostile::start(seed, plan.showing(saying(&member, vec![attestation]))).await;
        let node = scene.machine(&[&hostile]).await;
        brings_nothing(&scene, &hostile, &node, what).await;
    }
    // The same word on this very version is believed, whoever passes it on.
    let (attestation, plan) = word(&scene.bytes, &|_| {});
    let member = Member::new(98, MEMBER, scene.now);
    let hostile = Hostile::start(98, plan.showing(saying(&member, vec![attestation]))).await;
    let (_, view, why) = scene.fetch_believing(&[&hostile]).await;
    assert!(view.trust.starts_with("level 1 (attested)") && view.bytes.peers > 0, "{}\n{why}", view.trust);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_9_what_an_attestor_took_back_brings_no_byte_when_a_member_replays_it() {
    let scene = Scene::new(Payload::new(56, 4 * MIB)).await;
    let attestor = Member::new(72, Roles::ATTEST, scene.now);
    let plan = Plan::consistent_lie(&scene.bytes, 0..1);
    let one = attestor.attests(&scene.word(plan.content));
    let honest = Member::new(84, MEMBER, scene.now);
    let tells = Badge { says: vec![attestor.takes_back(&one)], ..honest.badge() };
    let teller = Hostile::start(84, Plan::honest(&scene.bytes).showing(tells)).await;
    let member = Member::new(85, MEMBER, scene.now);
    let hostile = Hostile::start(85, plan.showing(saying(&member, vec![one]))).await;
    let node = scene.machine(&[&teller]).await;
    let folder = node.path("state/attestations");
    let has_void = || std::fs::read_dir(&folder).is_ok_and(|mut files| files.any(|file| is_void(&file)));
    node.until(has_void, "the void is kept").await;
    // After a restart the teller is gone, and the liar has the node for itself.
    drop(teller);
    let node = scene.again(node, &[&hostile]).await;
    let why = brings_nothing(&scene, &hostile, &node, "taken back").await;
    assert!(why.contains("not believed: an attestation that was taken back"), "{why}");
}

fn is_void(file: &std::io::Result<std::fs::DirEntry>) -> bool {
    let path = file.as_ref().map(std::fs::DirEntry::path);
    path.is_ok_and(|path| path.extension().is_some_and(|ending| ending == "void"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_1_and_group_2_a_copied_token_or_one_without_the_secret_makes_nobody_a_member() {
    let scene = Scene::new(Payload::new(57, 4 * MIB)).await;
    let attestor = Member::new(73, Roles::ATTEST, scene.now);
    let word = attestor.attests(&scene.word(list_of(&scene.bytes).content()));
    // Whoever answers a question that came behind a token has looked at the token.
    let asks =
        vec![Frame::Find(Find { first: 0, questions: vec![Question { id: [1; 32], proof: [1; 32] }] })];
    let badge = |seed: u8| Badge {
        says: asks.clone(),
        ..saying(&Member::new(seed, MEMBER, scene.now), vec![word.clone()])
    };
    for (what, seed, badge, is_shown) in [
        ("a copy", 86, Badge { token: attestor.token.clone(), ..badge(86) }, true),
        ("no secret", 87, Badge { secret: None, ..badge(87) }, false),
    ] {
        let hostile = Hostile::start(seed, Plan::honest(&scene.bytes).showing(badge)).await;
        let node = scene.office.machine_at(1, Some(MEMBER), addresses(&[&hostile])).await;
        node.until(|| hostile.heard(FrameKind::Found), "it answers").await;
        takes_peer_for(&node, hostile.peer_id(), false).await;
        assert_eq!(
            hostile.heard(FrameKind::Token),
            is_shown,
            "{what}: tokens are shown to who knows the secret"
        );
        // Neither for what a digest names, where members alone are to be asked, nor for a URL.
        let digest = Digest::new(Algorithm::Blake3, list_of(&scene.bytes).content().root.0.to_vec());
        let spec =
            wish(scene.origin.url("/update.bin"), node.path("named.bin"), digest.ok().into_iter().collect());
        let flags = PeerFlags { client: true, server: false };
        let view = node.fetch(JobSpec { ask: Ask::Members, flags, ..spec }).await;
        assert_eq!((view.bytes.peers, hostile.requests()), (0, 0), "{what}");
        let (view, why) = scene.fetch(&node).await;
        assert_eq!((view.bytes.peers, hostile.requests()), (0, 0), "{what}: {why}");
        assert!(!hostile.heard(FrameKind::AttestWant), "{what}: a stranger is asked nothing of attestors");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_8_a_member_that_gives_right_pieces_of_an_attested_file_first_and_then_false_ones_is_banned_alone()
 {
    let scene = Scene::new(Payload::new(58, 32 * MIB)).await;
    let attestor = Member::new(74, Roles::ATTEST, scene.now);
    let member = Member::new(88, MEMBER, scene.now);
    let word = attestor.attests(&scene.word(list_of(&scene.bytes).content()));
    let plan = Plan { manner: Manner::Turns { after: 8 * MIB }, ..Plan::honest(&scene.bytes) };
    let hostile = Hostile::start(88, plan.showing(saying(&member, vec![word]))).await;
    let (node, view, why) = scene.fetch_believing(&[&hostile]).await;
    let kept = view.bytes.peers - view.bytes.discarded;
    assert!(hostile.sent() > 8 * MIB && kept > 0, "it lied later: {:?}\n{why}", view.bytes);
    assert!(view.bytes.discarded <= MIB, "{:?}\n{why}", view.bytes);
    assert_eq!(kept + view.bytes.origin, scene.site.payload.len, "{:?}\n{why}", view.bytes);
    assert!(why.contains("banned: it sent wrong bytes for piece"), "{why}");
    let peers = node.handle.peers().await.expect("it runs");
    let its = peers.iter().find(|row| row.peer == hostile.peer_id()).expect("it is shown");
    assert!(its.banned_for_s.is_some_and(|left| left <= 600), "one lie: {its:?}");
    // The attestor said what is so.
    assert!(view.trust.starts_with("level 1 (attested)"), "{}", view.trust);
    assert!(!why.contains("not believed"), "{why}");
}
