//! Who may take from whom: the computer's flags, the job's, and the administrator's file above both.
//!
//! Knows: nodes, a peer that holds the file, bytes the origin gave. Does not know: how permission is decided.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use nearbits::job::{JobId, JobSpec, JobState, PeerFlags, Rates};
use nearbits::node::{Event, NodeConfig, NodeKind};
use peer_proto::wire::Answer;

use crate::from_peers::{beside_a_holder_with, holder, list_of};
use crate::lab::{LabNode, assert_exact, blake3_of, wish};
use crate::plain_origin::{Content, Manner, PlainOrigin};
use crate::prober::Prober;

const MIB: u64 = 1 << 20;
const PIECE: u64 = 64 << 10;
/// Within it the cache has what was delivered.
const MOMENT: Duration = Duration::from_secs(3);
const OFF: &str = "enable-peer-caching = false\n";
const ON: &str = "enable-peer-caching = true\n";

/// A job that takes ten seconds: the administrator's file is read within one.
fn slow(node: &LabNode, origin: &PlainOrigin, content: Content) -> JobSpec {
    let rates = Rates { total: NonZeroU64::new(content.len / 10), ..Rates::default() };
    JobSpec { rates, ..node.spec(origin, vec![blake3_of(content)]) }
}

/// Replaces the administrator's file in one step.
pub(crate) fn say(policy: &Path, text: &str) {
    let fresh = policy.with_extension("new");
    std::fs::write(&fresh, text).expect("a fresh file");
    std::fs::rename(&fresh, policy).expect("a folder of our own");
}

/// Waits until these flags hold.
async fn holds(node: &LabNode, flags: PeerFlags) {
    let waited = tokio::time::timeout(crate::lab::PATIENCE, async {
        while node.handle.flags().await.expect("it runs") != flags {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the policy is read");
}

/// The states a job went through so far.
fn states(events: &mut tokio::sync::broadcast::Receiver<Event>, job: JobId) -> Vec<JobState> {
    let mut states = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::JobChanged(view) = event
            && view.id == job
            && states.last() != Some(&view.state)
        {
            states.push(view.state);
        }
    }
    states
}

#[tokio::test]
async fn peer_1_and_pol_1_the_flags_of_each_kind_of_node_under_each_policy() {
    for (kind, own) in [(NodeKind::Embedded, PeerFlags::BOTH), (NodeKind::Daemon, PeerFlags::NONE)] {
        for (text, expected) in [
            (None, own),
            (Some(""), own),
            (Some(OFF), PeerFlags::NONE),
            (Some(ON), PeerFlags::BOTH),
            (
                Some("enable-peer-caching = true\ndisable-peer-caching-server = true"),
                PeerFlags { client: true, server: false },
            ),
            (Some("disable-peer-caching-client = true"), own),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let policy = folder.path().join("policy.toml");
            if let Some(text) = text {
                say(&policy, text);
            }
            let usual = NodeConfig::embedded(folder.path().join("state"));
            // Whoever embeds a node says both; a daemon that nobody told anything has what its kind has.
            let flags = usual.flags.filter(|_| kind == NodeKind::Embedded);
            let config =
                NodeConfig { kind, flags, listen: Vec::new(), mdns: false, policy_file: policy, ..usual };
            let node = LabNode::start_with(folder, config).await;
            let seen = node.handle.permissions().await.unwrap();
            assert_eq!(seen, (expected, own), "{kind:?} {text:?}");
            node.shut_down().await;
        }
    }
}

/// Whether a node of this kind, with these flags of its own under this policy, takes a file of a job with those flags from a
/// peer that holds it, and whether somebody who asks is told then that it is there.
async fn takes_and_serves(
    kind: NodeKind,
    computer: PeerFlags,
    text: &str,
    job: PeerFlags,
    mark: u64,
) -> (bool, bool) {
    let content = Content::new(mark, 2 * MIB);
    let list = list_of(content);
    let origin = PlainOrigin::start(content, Manner::default()).await;
    let peer = holder(content, &list, 0..list.geometry().piece_count()).await;
    let folder = tempfile::tempdir().unwrap();
    let policy_file = folder.path().join("policy.toml");
    say(&policy_file, text);
    let config = NodeConfig {
        kind,
        flags: Some(computer),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        mdns: false,
        static_peers: peer.addresses(),
        policy_file,
        ..NodeConfig::embedded(folder.path().join("state"))
    };
    let node = LabNode::start_with(folder, config).await;
    node.connected(1).await;
    let spec = JobSpec { flags: job, ..node.spec(&origin, vec![blake3_of(content)]) };
    let view = node.fetch(spec).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!([0, content.len].contains(&view.bytes.peers), "all of it or nothing: {view:?}");
    assert_eq!(origin.sent() == 0, view.bytes.peers > 0, "{view:?}");
    let mut asker = Prober::meet(&node.addresses()).await;
    let kept = async || !node.handle.cache().records(None).await.unwrap().is_empty();
    // What is kept is kept a moment after the file is there; what is not, is not within that moment either.
    let looked = async {
        while !kept().await {
            tokio::task::yield_now().await;
        }
    };
    drop(tokio::time::timeout(MOMENT, looked).await);
    let question = asker.knowing(&blake3_of(content));
    let is_told = matches!(asker.ask(question).await.0, Answer::Here { .. });
    node.shut_down().await;
    peer.shut_down().await;
    (view.bytes.peers > 0, is_told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_2_and_peer_3_and_pol_1_to_pol_3_who_takes_and_who_serves_among_real_nodes() {
    let (client, server) =
        (PeerFlags { client: true, server: false }, PeerFlags { client: false, server: true });
    let (none, both) = (PeerFlags::NONE, PeerFlags::BOTH);
    let no_client = "enable-peer-caching = true\ndisable-peer-caching-client = true\n";
    let no_server = "enable-peer-caching = true\ndisable-peer-caching-server = true\n";
    // All cells are in the engine's own tests.
    for (mark, (kind, computer, text, job, comes)) in (200..).zip([
        (NodeKind::Embedded, both, "", both, (true, true)),
        (NodeKind::Daemon, client, "", both, (true, false)),
        (NodeKind::Daemon, both, "", server, (false, true)),
        (NodeKind::Embedded, server, "", client, (false, false)),
        (NodeKind::Daemon, none, ON, both, (true, true)),
        (NodeKind::Embedded, both, OFF, both, (false, false)),
        (NodeKind::Daemon, both, no_client, both, (false, true)),
        (NodeKind::Embedded, none, no_server, both, (true, false)),
    ]) {
        let seen = takes_and_serves(kind, computer, text, job, mark).await;
        assert_eq!(seen, comes, "{kind:?} {computer:?} {text:?} {job:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_9_and_peer_10_a_policy_that_forbids_peers_sends_a_running_job_to_the_origin() {
    let content = Content::new(81, 16 * MIB);
    let (origin, peer, node, policy) = beside_a_holder_with(content, "").await;
    let job = node.submit(slow(&node, &origin, content)).await;
    node.stored(job, 2 * MIB).await;
    let mut events = node.handle.watch();
    say(&policy, OFF);
    holds(&node, PeerFlags::NONE).await;
    let before = node.handle.job(job).await.unwrap().unwrap();
    assert!(before.stored < content.len, "too late: {before:?}");
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.origin > 0 && view.bytes.peers > 0, "{view:?}\n{}", node.why(job).await);
    // Nothing was fetched twice: what had come from the peer is not asked of the origin.
    assert!(view.bytes.origin + view.bytes.peers <= content.len + 2 * MIB, "{view:?}");
    assert_eq!(view.error_count, before.error_count);
    // JOB-T30: it was queued anew, which passes too quickly to be told.
    let why = node.why(job).await;
    assert!(why.contains("a permission changed"), "{why}");
    let states = states(&mut events, job);
    assert!(!states.contains(&JobState::TransientError) && !states.contains(&JobState::Error), "{states:?}");
    let preferred = node.handle.permissions().await.unwrap().1;
    assert_eq!(preferred, PeerFlags::BOTH, "PEER-4: what the computer prefers is kept");
    peer.shut_down().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_9_and_peer_10_a_policy_that_allows_peers_brings_a_running_job_to_them() {
    let content = Content::new(82, 16 * MIB);
    let (origin, peer, node, policy) = beside_a_holder_with(content, OFF).await;
    let job = node.submit(slow(&node, &origin, content)).await;
    let before = node.stored(job, 2 * MIB).await;
    assert_eq!(before.bytes.peers, 0, "{before:?}");
    say(&policy, ON);
    holds(&node, PeerFlags::BOTH).await;
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    assert!(view.bytes.origin > 0 && view.bytes.peers > 0, "{view:?}\n{}", node.why(job).await);
    assert!(view.bytes.origin + view.bytes.peers <= content.len + 2 * MIB, "{view:?}");
    assert_eq!(view.error_count, 0);
    peer.shut_down().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_9_and_peer_10_a_flag_that_is_taken_away_ends_what_peers_give_to_every_job_and_the_origin_gives_the_rest()
 {
    let content = Content::new(84, 16 * MIB);
    let (origin, peer, node, _) = beside_a_holder_with(content, "").await;
    let mut jobs = Vec::new();
    for name in ["one", "two", "three"] {
        let spec = wish(origin.url(), node.path(name), vec![blake3_of(content)]);
        jobs.push(node.submit(JobSpec { rates: slow(&node, &origin, content).rates, ..spec }).await);
    }
    for job in &jobs {
        node.stored(*job, 2 * MIB).await;
    }
    assert_eq!(origin.asked(), [], "the peer gives all of it");
    node.handle.set_flags(PeerFlags { client: false, server: true }).await.unwrap();
    let given = peer.handle.totals().await.unwrap().served_bytes;
    let mut origin_bytes = 0;
    for (job, name) in jobs.iter().zip(["one", "two", "three"]) {
        let before = node.handle.job(*job).await.unwrap().unwrap();
        let view = node.delivered(*job).await;
        assert_exact(&node.path(name), content);
        let why = node.why(*job).await;
        assert!(why.contains("a permission changed"), "{why}");
        assert_eq!(view.error_count, 0);
        // Four leases of a mebibyte were open; what they had stored by then is told when they end.
        assert!(view.bytes.peers <= before.bytes.peers + 4 * MIB, "before {before:?}, now {view:?}");
        assert!(view.bytes.origin >= content.len / 2, "{view:?}");
        origin_bytes += view.bytes.origin;
    }
    // The giver's own count: it gave no more, but for what was on its way to each job.
    let given_more = peer.handle.totals().await.unwrap().served_bytes - given;
    assert!(given_more <= 3 * 4 * MIB, "{given_more}");
    let asked = origin.asked();
    assert!(asked.iter().all(|range| range.start % PIECE == 0), "it is asked for whole pieces: {asked:?}");
    let len: u64 = asked.iter().map(|range| range.end - range.start).sum();
    assert_eq!(len, origin_bytes, "and for what no peer had given: {asked:?}");
    assert!(len <= 3 * (content.len - 2 * MIB), "{asked:?}");
    peer.shut_down().await;
    node.shut_down().await;
}

#[tokio::test]
async fn peer_8_a_toggle_at_one_level_changes_nothing_while_the_other_is_off() {
    let content = Content::new(83, 4 * MIB);
    let (origin, peer, node, policy) = beside_a_holder_with(content, "").await;
    let spec = JobSpec { flags: PeerFlags::NONE, ..slow(&node, &origin, content) };
    let job = node.submit(spec).await;
    node.stored(job, MIB / 4).await;
    let mut events = node.handle.watch();
    for (text, flags) in [(OFF, PeerFlags::NONE), (ON, PeerFlags::BOTH)] {
        say(&policy, text);
        holds(&node, flags).await;
    }
    let view = node.delivered(job).await;
    assert_eq!((view.bytes.peers, view.bytes.origin), (0, content.len), "{view:?}");
    let (why, states) = (node.why(job).await, states(&mut events, job));
    assert!(!why.contains("a permission changed") && !states.contains(&JobState::Queued), "{states:?} {why}");
    peer.shut_down().await;
    node.shut_down().await;
}
