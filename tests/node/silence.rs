//! What does not leave a node: frames of a job that may not use peers, and the secrets of a job that may.
//!
//! Knows: a peer that records every frame, files and logs. Does not know: how it is prevented.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nearbits::job::{Ask, Header, Headers, JobSpec, JobState, PeerFlags, TrustFloor};
use nearbits::node::NodeConfig;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::wire::Frame;
use peer_proto::wire::codec::encode;
use tokio::process::Command;

use crate::lab::{LabNode, assert_exact, blake3_of, wish, wrong_blake3};
use crate::office::reach;
use crate::on_link::{follow, submit};
use crate::origin_script::{Payload, Scripted, Site, status};
use crate::permissions::say;
use crate::plain_origin::{Content, Manner, PlainOrigin};
use crate::prober::Prober;

const MIB: u64 = 1 << 20;
/// Nothing else looks like it.
const TOKEN: &str = "kq7-taint-31-not-for-anybody";

/// What a peer heard beside what every session has.
fn on_behalf_of_jobs(heard: &[Frame]) -> Vec<&Frame> {
    heard.iter().filter(|frame| !matches!(frame, Frame::Hello(_) | Frame::Found(_))).collect()
}

/// What a recording peer hears while a node under this policy and with these flags does a job.
async fn heard_beside(policy: &str, flags: PeerFlags, change: impl FnOnce(&mut JobSpec)) -> Vec<Frame> {
    let content = Content::new(91, 2 * MIB);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let mut recorder = Prober::listen(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let policy_file = folder.path().join("policy.toml");
    say(&policy_file, policy);
    let config = NodeConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        mdns: false,
        static_peers: vec![recorder.address().await.parse().unwrap()],
        policy_file,
        flags: Some(flags),
        ..NodeConfig::embedded(folder.path().join("state"))
    };
    let node = LabNode::start_with(folder, config).await;
    recorder.hello().await;
    node.connected(1).await;
    let mut spec = node.spec(&origin, vec![blake3_of(content)]);
    change(&mut spec);
    let view = node.fetch(spec).await;
    assert_exact(&node.path("payload.bin"), content);
    assert_eq!(view.bytes.peers, 0);
    let heard = recorder.everything().await.to_vec();
    node.shut_down().await;
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_2_and_lookup_5_no_frame_but_hello_leaves_for_a_job_that_may_not_use_peers() {
    let both = PeerFlags::BOTH;
    let no_client = PeerFlags { client: false, server: true };
    type Change = fn(&mut JobSpec);
    let as_it_is: Change = |_| {};
    let cases: [(&str, &str, PeerFlags, Change); 8] = [
        ("the computer's flag", "", no_client, as_it_is),
        ("both of them", "", PeerFlags::NONE, as_it_is),
        ("the policy", "enable-peer-caching = false\n", both, as_it_is),
        ("the policy's floor", "min-trust = \"origin\"\n", both, as_it_is),
        ("the job's flag", "", both, |spec| spec.flags = PeerFlags { client: false, server: true }),
        ("level 0", "", both, |spec| spec.files.iter_mut().for_each(|file| file.digests.clear())),
        ("the job's floor", "", both, |spec| spec.trust = TrustFloor::Origin),
        ("the job's own word", "", both, |spec| spec.ask = Ask::Nobody),
    ];
    for (case, policy, flags, change) in cases {
        let heard = heard_beside(policy, flags, change).await;
        assert_eq!(on_behalf_of_jobs(&heard), [&heard[0]; 0], "{case}");
        assert!(matches!(heard[0], Frame::Hello(_)), "{case}: the recorder hears");
    }
    let heard = heard_beside("", both, as_it_is).await;
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Find(_))), "who may be asked is: {heard:?}");
}

/// Every file below a folder that holds the token.
fn tainted(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("our own folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| holds(&bytes)) {
                found.push(path);
            }
        }
    }
    found
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d34_and_t19_a_secret_of_a_job_is_in_no_frame_no_log_line_and_no_file_but_the_jobs_own() {
    let folder = tempfile::tempdir().unwrap();
    let payload = Payload::new(92, 2 * MIB);
    let site = Site::new(payload);
    let origin = Scripted::start(move |asked| match asked.target.as_str() {
        "/file" => site.reply(asked),
        // What it is asked for, it says back.
        _ => status("404 Not Found", &format!("X-Echo: {}\r\n", asked.header("X-Key").unwrap_or_default())),
    })
    .await;
    let mut recorder = Prober::listen(Vec::new());
    let peer = recorder.address().await;
    let state = folder.path().join("state");
    let log = |name: &str| Stdio::from(std::fs::File::create(folder.path().join(name)).expect("a file"));
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_nearbits"))
        .args(["daemon", "--no-mdns", "--listen", "127.0.0.1:0", "--flags", "client,server", "--peer", &peer])
        .arg("--state-dir")
        .arg(&state)
        .env("NEARBITS_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(log("said"))
        .stderr(log("log"))
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let client = reach(&state).await;
    recorder.hello().await;
    let digest = Digest::from_hex(Algorithm::Blake3, blake3::hash(&payload.all()).to_hex().as_str());
    let digest = digest.expect("64 digits");
    let headers = Headers(vec![Header { name: "X-Key".into(), value: TOKEN.into() }]);
    let spec = |path: &str, name: &str, digest: &Digest| {
        let wish = wish(origin.url(path), folder.path().join(name), vec![digest.clone()]);
        JobSpec { headers: headers.clone(), ..wish }
    };
    let good = submit(&client, spec("/file", "good", &digest)).await;
    let view = follow(&client, good, |_| false).await;
    assert_eq!((view.state, view.bytes.origin), (JobState::Acknowledged, 2 * MIB), "{view:?}");
    let bad = submit(&client, spec("/missing", "bad", &wrong_blake3())).await;
    let view = follow(&client, bad, |view| view.state == JobState::Error).await;
    assert_eq!(view.state, JobState::Error);
    assert!(origin.requests().iter().all(|asked| asked.header("X-Key") == Some(TOKEN)), "the origin is told");
    let heard = recorder.everything().await;
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Find(_))), "the peer is asked: {heard:?}");
    assert!(heard.iter().all(|frame| !holds(&encode(frame).expect("it came so"))), "{heard:?}");
    daemon.kill().await.expect("our own child");
    let kept = [good, bad].map(|job| state.join("jobs").join(job.to_string()).join("job.json"));
    let found = tainted(folder.path());
    assert!(kept.iter().all(|file| found.contains(file)), "the jobs themselves know it: {found:?}");
    // The daemon was killed: it may have been about to replace one of them.
    let is_kept = |file: &PathBuf| kept.contains(file) || kept.contains(&file.with_extension(""));
    assert!(found.iter().all(is_kept), "and nothing else: {found:?}");
    assert!(
        std::fs::metadata(folder.path().join("log")).expect("it is there").len() > 10_000,
        "much is logged"
    );
}
