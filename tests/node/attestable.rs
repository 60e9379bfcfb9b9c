//! Which answers of an https origin an attestor vouches for, and that what only its origin may know reaches nobody.
//!
//! Knows: origins, an attestor, and a member that keeps all it hears. Does not know: what attestors' words bring (`attested`).

use nearbits::job::{JobSpec, JobState, PeerFlags};
use peer_proto::attest::attested_id;
use peer_proto::content::Hash;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::{EpochSecret, Roles};
use peer_proto::version::Version;
use peer_proto::wire::{AttestWant, Frame, FrameKind, codec};

use crate::attested::{MEMBER, Office};
use crate::badge::{Badge, Member};
use crate::groups::{SECRET, now, takes_peer_for};
use crate::hostile::{Hostile, Plan, list_of};
use crate::lab::{LabNode, wish};
use crate::origin_script::{Payload, Scripted, Site, status};

const MIB: u64 = 1 << 20;
const KEY: &str = "X-Signature=9f8e7d6c";

fn site(payload: Payload) -> Site {
    Site { last_modified: None, ..Site::new(payload) }
}

/// What a machine attested itself: URLs, with who answered for them in the end.
async fn attested(node: &LabNode) -> Vec<String> {
    let known = node.handle.attestations().await.expect("it runs");
    known.into_iter().filter(|one| one.is_own).map(|one| one.url).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_2_an_attestor_vouches_for_plain_answers_only_and_a_cookie_makes_none_of_them_private() {
    let payload = Payload::new(31, MIB / 4);
    let plain = Scripted::start(move |asked| site(payload).reply(asked)).await;
    let stripped = plain.url("/file");
    let origin = Scripted::start_tls(move |asked| {
        let with = |name: &str, value: &str| {
            let extra = vec![(name.to_owned(), value.to_owned())];
            Site { extra, ..site(payload) }.reply(asked)
        };
        match asked.target.as_str() {
            "/cookie" => with("Set-Cookie", "id=7; Secure"),
            "/vary" => with("Vary", "Cookie"),
            "/private" => with("Cache-Control", "private"),
            "/not-stored" => with("Cache-Control", "no-store"),
            "/coded" => with("Content-Encoding", "gzip"),
            "/weak" => Site { etag: Some("W/\"a\"".into()), ..site(payload) }.reply(asked),
            "/stripped" => status("302 Found", &format!("Location: {stripped}\r\n")),
            _ => site(payload).reply(asked),
        }
    })
    .await;
    let office = Office::of(&origin);
    let attestor = office.machine_at(1, Some(Roles::ATTEST), Vec::new()).await;
    for (path, comes, counts) in [
        ("/plain", true, true),
        ("/cookie", true, true),
        ("/vary", true, false),
        ("/private", true, false),
        ("/not-stored", true, false),
        ("/weak", true, false),
        ("/plain?id=7", true, false),
        ("/coded", false, false),
        ("/stripped", false, false),
    ] {
        let name = path.trim_start_matches('/');
        let job = attestor.submit(wish(origin.url(path), attestor.path(name), Vec::new())).await;
        let view = attestor.settled(job).await;
        assert_eq!(view.state == JobState::Acknowledged, comes, "{path}: {view:#?}");
        let urls = attested(&attestor).await;
        assert_eq!(urls.contains(&origin.url(path)), counts, "{path}: {urls:?}");
    }
    assert_eq!(plain.requests().len(), 0, "nobody follows from https to http");
}

/// That a text is in no frame that came, as it travels.
fn says_nowhere(spy: &Hostile, secret: &str) {
    let frames = spy.frames();
    assert!(!frames.is_empty());
    for frame in frames {
        let bytes = codec::encode(&frame).expect("it came");
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} in {frame:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_4_of_a_signed_place_that_an_origin_leads_to_nothing_but_its_host_is_attested_or_told() {
    let payload = Payload::new(33, 2 * MIB);
    let store = Scripted::start_tls(move |asked| site(payload).reply(asked)).await;
    let target = store.url(&format!("/blobs/4711?{KEY}"));
    let origin = Scripted::start_tls(move |_| status("302 Found", &format!("Location: {target}\r\n"))).await;
    let office = Office::of_all(&[&origin, &store]);
    let attestor = office.machine_at(1, Some(Roles::ATTEST), Vec::new()).await;
    let url = origin.url("/update.bin");
    attestor.fetch(wish(url.clone(), attestor.path("update.bin"), Vec::new())).await;
    assert_eq!(attested(&attestor).await, std::slice::from_ref(&url));
    // A member asks for it, and hears of the next download too.
    let host = format!("https://localhost:{}", store.port);
    let (etag, len) = (site(payload).etag, Some(payload.len));
    let version = Version { final_origin: host.clone(), etag, last_modified: None, len };
    let id = attested_id(&EpochSecret(SECRET), &url, &version);
    let member = Member::new(40, MEMBER, now(&attestor.folder));
    let asks = Badge { says: vec![Frame::AttestWant(AttestWant { number: 1, id })], ..member.badge() };
    let spy = Hostile::start(40, Plan::honest(&payload.all()).showing(asks)).await;
    let mut addresses = attestor.addresses();
    attestor.handle.add_peer(spy.address().parse().expect("an address"));
    addresses.push(spy.address().parse().expect("an address"));
    let second = office.machine_at(2, Some(MEMBER), addresses).await;
    takes_peer_for(&second, spy.peer_id(), true).await;
    let view = second.fetch(wish(url.clone(), second.path("update.bin"), Vec::new())).await;
    assert!(std::fs::read(second.path("update.bin")).expect("delivered") == payload.all());
    assert!(spy.heard(FrameKind::AttestWant), "the second one asked: {}", second.why(view.id).await);
    second.until(|| spy.heard(FrameKind::Attestations), "the attestor answers").await;
    let told = spy.frames().into_iter().find_map(|frame| match frame {
        Frame::Attestations(answer) => answer.list.into_iter().next(),
        _ => None,
    });
    let told = told.expect("one");
    assert_eq!((&told.said().url, &told.said().version.final_origin), (&url, &host));
    for secret in [KEY, "/blobs/4711"] {
        says_nowhere(&spy, secret);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_4_a_url_with_a_key_in_it_is_told_to_nobody_and_asked_of_nobody_by_its_name() {
    let payload = Payload::new(34, 2 * MIB);
    let bytes = payload.all();
    let origin = Scripted::start_tls(move |asked| site(payload).reply(asked)).await;
    let office = Office::of(&origin);
    let member = Member::new(41, MEMBER, now(&tempfile::tempdir().expect("a folder")));
    let spy = Hostile::start(41, Plan::honest(&bytes).showing(member.badge())).await;
    let address = spy.address().parse().expect("an address");
    let attestor = office.machine_at(1, Some(Roles::ATTEST), vec![address]).await;
    takes_peer_for(&attestor, spy.peer_id(), true).await;
    let url = origin.url(&format!("/blobs/4711?{KEY}"));
    // Its digest is asked for, and nothing of the URL goes with it.
    let Hash(root) = list_of(&bytes).content().root;
    let digest = Digest::new(Algorithm::Blake3, root.to_vec()).expect("32 bytes");
    let spec = wish(url.clone(), attestor.path("named"), vec![digest]);
    let flags = PeerFlags { client: true, server: false };
    attestor.fetch(JobSpec { flags, ..spec }).await;
    let finds = || spy.frames().iter().filter(|frame| frame.kind() == FrameKind::Find).count();
    let before = finds();
    assert!(before > 0, "it was asked");
    // Without a digest there is nothing to ask for, and nothing to attest.
    let unnamed = attestor.fetch(wish(url, attestor.path("unnamed"), Vec::new())).await;
    assert!(unnamed.trust.contains("a URL with a query"), "{}", unnamed.trust);
    assert_eq!((finds(), spy.heard(FrameKind::AttestWant)), (before, false), "nobody is asked");
    assert!(attested(&attestor).await.is_empty());
    for secret in [KEY, "/blobs/4711", "localhost"] {
        says_nowhere(&spy, secret);
    }
}
