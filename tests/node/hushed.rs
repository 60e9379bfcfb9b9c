//! What does not leave a node for its own group: a member hears nothing of a job that may not use peers, or whose file is
//! nobody else's.
//!
//! Knows: a member that records every frame, an origin that says what it is told to. Does not know: strangers (`silence`).

use nearbits::job::{Ask, Header, Headers, JobSpec, JobState, PeerFlags, Policy, TrustFloor};
use nearbits::node::NodeConfig;
use nearbits::origin::OriginConfig;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::group::{HolderId, Roles};
use peer_proto::wire::Frame;

use crate::groups::{now, write_membership_of};
use crate::lab::{LabNode, wish};
use crate::origin_script::{Payload, Scripted, Site};
use crate::permissions::say;
use crate::prober::Prober;

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;
const BOTH: PeerFlags = PeerFlags::BOTH;
const SERVER: PeerFlags = PeerFlags { client: false, server: true };

/// A node of the tests' group under this policy, and a member beside it that records what it hears.
struct Beside {
    node: LabNode,
    member: Prober,
    _ca: tempfile::NamedTempFile,
}

impl Beside {
    async fn start(origin: &Scripted, policy: &str, flags: PeerFlags) -> Self {
        let node = LabNode::start(&[]).await;
        let peer = node.handle.peer_id();
        let folder = node.shut_down().await;
        write_membership_of(&folder, HolderId([1; 16]), peer, Roles(0), now(&folder) + DAY);
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &origin.ca_pem).unwrap();
        let extra_ca = (!origin.ca_pem.is_empty()).then(|| ca.path().to_owned());
        let policy_file = folder.path().join("policy.toml");
        say(&policy_file, policy);
        let mut member = Prober::listen_as_member();
        let config = NodeConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            mdns: false,
            static_peers: vec![member.address().await.parse().unwrap()],
            policy_file,
            flags: Some(flags),
            origin: OriginConfig { extra_ca, ..OriginConfig::default() },
            preference: Policy { attest_hosts: Some(vec!["localhost".into()]), ..Policy::default() },
            ..NodeConfig::embedded(folder.path().join("state"))
        };
        let node = LabNode::start_with(folder, config).await;
        member.joins(&node).await;
        Self { node, member, _ca: ca }
    }

    /// What the member hears while the node does a job, answers to the member's own questions left out.
    async fn heard(mut self, spec: JobSpec, payload: Payload) -> Vec<Frame> {
        let view = self.node.fetch(spec).await;
        assert!(std::fs::read(self.node.path("file")).unwrap() == payload.all(), "exact");
        assert_eq!(view.bytes.peers, 0);
        let heard = self.member.everything().await.to_vec();
        self.node.shut_down().await;
        heard.into_iter().filter(|frame| !matches!(frame, Frame::Found(_))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_2_and_lookup_5_a_member_hears_nothing_of_a_job_that_may_not_use_peers() {
    type Change = fn(&mut JobSpec);
    let as_it_is: Change = |_| {};
    let cases: [(&str, &str, PeerFlags, Change); 9] = [
        ("nothing", "", BOTH, as_it_is),
        ("the computer's flag", "", SERVER, as_it_is),
        ("both of them", "", PeerFlags::NONE, as_it_is),
        ("the policy", "enable-peer-caching = false\n", BOTH, as_it_is),
        ("the policy's floor", "min-trust = \"origin\"\n", BOTH, as_it_is),
        ("the job's flag", "", BOTH, |spec| spec.flags = SERVER),
        ("level 0", "", BOTH, |spec| spec.files.iter_mut().for_each(|file| file.digests.clear())),
        ("the job's floor", "", BOTH, |spec| spec.trust = TrustFloor::Origin),
        ("the job's own word", "", BOTH, |spec| spec.ask = Ask::Nobody),
    ];
    let payload = Payload::new(93, 2 * MIB);
    let digest = Digest::from_hex(Algorithm::Blake3, blake3::hash(&payload.all()).to_hex().as_str()).unwrap();
    for (forbids, policy, flags, change) in cases {
        let origin = Scripted::serve(Site::new(payload)).await;
        let beside = Beside::start(&origin, policy, flags).await;
        let mut spec = wish(origin.url("/file"), beside.node.path("file"), vec![digest.clone()]);
        change(&mut spec);
        let heard = beside.heard(spec, payload).await;
        assert_eq!(heard.is_empty(), forbids != "nothing", "{forbids} forbids: {heard:?}");
    }
}

/// One thing that makes a file nobody else's, or leaves nothing to tell its version by.
#[derive(Clone, Copy)]
struct Private {
    name: &'static str,
    is_tls: bool,
    of_site: fn(&mut Site),
    of_job: fn(&mut JobSpec),
    path: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_2_and_peer_39_a_member_hears_nothing_of_a_url_that_is_not_for_others() {
    let usual = Private { name: "nothing", is_tls: true, of_site: |_| {}, of_job: |_| {}, path: "/file" };
    let cases = [
        Private { name: "plain http", is_tls: false, ..usual },
        Private { name: "a query", path: "/file?key=1", ..usual },
        Private { name: "private", of_site: |site| site.extra.push(cache_control("private")), ..usual },
        Private { name: "no-store", of_site: |site| site.extra.push(cache_control("no-store")), ..usual },
        Private { name: "a weak ETag", of_site: |site| site.etag = Some("W/\"a\"".into()), ..usual },
        Private {
            name: "no version",
            of_site: |site| (site.etag, site.last_modified) = (None, None),
            ..usual
        },
        Private { name: "credentials", of_job: |spec| spec.headers = authorization(), ..usual },
        usual,
    ];
    let payload = Payload::new(94, 2 * MIB);
    for case in cases {
        let mut site = Site { last_modified: None, ..Site::new(payload) };
        (case.of_site)(&mut site);
        let script = move |asked: &crate::origin_script::Asked| site.reply(asked);
        let origin =
            if case.is_tls { Scripted::start_tls(script).await } else { Scripted::start(script).await };
        let beside = Beside::start(&origin, "", BOTH).await;
        let mut spec = wish(origin.url(case.path), beside.node.path("file"), Vec::new());
        (case.of_job)(&mut spec);
        let heard = beside.heard(spec, payload).await;
        assert_eq!(heard.is_empty(), case.name != "nothing", "{}: {heard:?}", case.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attest_4_a_url_with_a_password_is_refused_and_a_member_hears_nothing_of_it() {
    let origin = Scripted::serve(Site::new(Payload::new(95, MIB))).await;
    let mut beside = Beside::start(&origin, "", BOTH).await;
    let url = origin.url("/file").replacen("://", "://user:password@", 1);
    let spec = wish(url, beside.node.path("file"), Vec::new());
    if let Ok(job) = beside.node.handle.submit(spec).await {
        let view = beside.node.settled(job).await;
        assert_eq!((view.state, view.bytes.origin), (JobState::Error, 0), "{view:?}");
        assert!(!view.reason.contains("password@"), "{view:?}");
    }
    assert_eq!(origin.requests().len(), 0, "the origin is not asked");
    let heard = beside.member.everything().await;
    assert!(heard.iter().all(|frame| matches!(frame, Frame::Found(_))), "{heard:?}");
}

fn cache_control(value: &str) -> (String, String) {
    ("Cache-Control".to_owned(), value.to_owned())
}

fn authorization() -> Headers {
    Headers(vec![Header { name: "Authorization".into(), value: "Basic dXNlcjpwYXNz".into() }])
}
