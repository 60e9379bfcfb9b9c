//! Permissions that change while bytes move: the computer's and the job's by the command line, the giver's by itself.
//!
//! Knows: a pair of nodes, an origin that notes what it is asked for. Does not know: policies (`permissions`).

use std::num::NonZeroU64;
use std::ops::Range;
use std::process::Stdio;

use nearbits::control::api::{JobId, JobView};
use nearbits::control::client::Client;
use nearbits::job::{JobSpec, JobState, PeerFlags, Priority, Rates, RemoteRange};
use tokio::process::{Child, Command};

use crate::from_peers::{beside_a_holder_with, holder, list_of};
use crate::lab::{LabNode, assert_exact, blake3_of};
use crate::office::{daemon_at, eventually, reach};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const PIECE: u64 = 64 << 10;
/// What was on its way and not stored yet when a change of permission cut it comes again.
const CUT: u64 = 2 * MIB;

/// An origin, a node that holds its content, and our program as a daemon beside it, which is told everything by other calls
/// of the program.
struct Pair {
    origin: PlainOrigin,
    giver: LabNode,
    taker: Client,
    folder: tempfile::TempDir,
    _daemon: Child,
}

impl Pair {
    async fn start(content: Content, flags: &str) -> Self {
        let list = list_of(content);
        let origin = PlainOrigin::start(content, Manner::default()).await;
        let giver = holder(content, &list, 0..list.geometry().piece_count()).await;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let peer = giver.handle.listen_addresses().remove(0);
        let daemon = daemon_at(&state, &["--flags", flags, "--peer", &peer]);
        let taker = reach(&state).await;
        giver.connected(1).await;
        Self { origin, giver, taker, folder, _daemon: daemon }
    }

    /// Calls the program as its user does; what it printed.
    async fn call(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearbits"));
        command.args(args).arg("--state-dir").arg(self.folder.path().join("state"));
        let ran = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success(), "{args:?}: {said}");
        said
    }

    /// A job with these flags for the origin's file, at a mebibyte and a half a second.
    async fn add(&self, content: Content, peers: &str) -> JobId {
        let (url, digest) = (self.origin.url(), format!("blake3:{}", blake3_of(content).to_hex()));
        let to = self.folder.path().join("file");
        let args = ["job", "add", &url, to.to_str().unwrap(), "--digest", &digest, "--peers", peers];
        self.call(&[&args, ["--auto-complete", "--limit", "1500Ki"].as_slice()].concat()).await;
        self.taker.jobs().await.unwrap()[0].id
    }

    /// Waits until what is there of the job is so.
    async fn once(&self, job: JobId, what: &str, is_so: impl Fn(&JobView) -> bool) -> JobView {
        eventually(what, async || {
            let view = self.taker.job(job).await.unwrap();
            let is_over = view.state.is_final() || view.state == JobState::Error;
            (is_so(&view) || is_over).then_some(view)
        })
        .await
    }

    /// What is stored of the job's file.
    async fn filled(&self, job: JobId) -> Vec<Range<u64>> {
        bounds(&self.taker.ranges(job, 0).await.unwrap().filled.unwrap())
    }

    async fn given(&self) -> u64 {
        self.giver.handle.totals().await.unwrap().served_bytes
    }

    /// What is so of every job whose permission changed on its way, whatever gave its bytes.
    async fn ends_well(self, job: JobId, content: Content) -> JobView {
        let view = self.once(job, "the end", |_| false).await;
        assert_eq!(view.state, JobState::Acknowledged, "{view:#?}");
        assert_exact(&self.folder.path().join("file"), content);
        let twice = view.bytes.origin + view.bytes.peers - content.len;
        assert!(twice <= CUT, "{twice} bytes came twice: {view:#?}");
        assert_eq!(view.error_count, 0);
        self.giver.shut_down().await;
        view
    }
}

fn bounds(ranges: &[RemoteRange]) -> Vec<Range<u64>> {
    ranges.iter().map(|range| range.offset..range.offset + range.len.map_or(0, NonZeroU64::get)).collect()
}

/// What was asked of the origin goes on where what was there ended, and nothing is asked for that was there.
fn assert_goes_on(asked: &[Range<u64>], filled: &[Range<u64>]) {
    assert!(!asked.is_empty(), "the origin is asked");
    for range in asked {
        assert_eq!(range.start % PIECE, 0, "{asked:?}");
        let known = filled.iter().find(|known| known.start < range.end && range.start < known.end);
        assert!(known.is_none(), "{range:?} is there: {filled:?}; asked: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_9_and_cli_27_the_computers_flag_is_switched_on_and_off_by_the_command_line_while_a_job_runs() {
    let content = Content::new(101, 24 * MIB);
    let pair = Pair::start(content, "none").await;
    let job = pair.add(content, "client,server").await;
    let alone = pair.once(job, "two mebibytes of the origin", |view| view.stored >= 2 * MIB).await;
    assert_eq!((alone.bytes.peers, pair.given().await), (0, 0), "{alone:#?}");
    pair.call(&["flags", "set", "client,server"]).await;
    let helped = pair.once(job, "the peer gives", |view| view.bytes.peers >= 4 * MIB).await;
    assert!(!helped.state.is_final(), "{helped:#?}");
    // The origin gave what it had been asked for before, and no more while the peer gives.
    let (asked, filled) = (pair.origin.asked(), pair.filled(job).await);
    pair.call(&["flags", "set", "none"]).await;
    let (off, given) = (pair.taker.job(job).await.unwrap(), pair.given().await);
    assert!(off.stored >= helped.stored && off.bytes.origin <= helped.bytes.origin + CUT, "{off:#?}");
    let later = pair.once(job, "the origin goes on", |view| view.stored >= off.stored + 4 * MIB).await;
    assert!(later.bytes.peers <= off.bytes.peers + 4 * MIB, "then {off:#?}, now {later:#?}");
    assert!(pair.given().await <= given + 4 * MIB, "the giver gave no more");
    assert_goes_on(&pair.origin.asked()[asked.len()..], &filled);
    let view = pair.ends_well(job, content).await;
    assert_eq!(view.bytes.peers, later.bytes.peers, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_8_and_peer_9_and_cli_26_the_jobs_flag_is_switched_off_and_on_by_the_command_line_while_it_runs()
{
    let content = Content::new(102, 24 * MIB);
    let pair = Pair::start(content, "client,server").await;
    let job = pair.add(content, "client,server").await;
    pair.once(job, "two mebibytes of the peer", |view| view.stored >= 2 * MIB).await;
    assert_eq!(pair.origin.asked(), [], "the peer gives all of it");
    let (id, filled) = (job.to_string(), pair.filled(job).await);
    pair.call(&["job", "set", &id, "--peers", "server"]).await;
    let off = pair.taker.job(job).await.unwrap();
    let later = pair.once(job, "the origin goes on", |view| view.stored >= off.stored + 6 * MIB).await;
    assert!(later.bytes.peers <= off.bytes.peers + 4 * MIB, "then {off:#?}, now {later:#?}");
    assert!(later.bytes.origin >= 2 * MIB && !later.state.is_final(), "{later:#?}");
    assert_goes_on(&pair.origin.asked(), &filled);
    pair.call(&["job", "set", &id, "--peers", "client"]).await;
    let (on, given) = (pair.taker.job(job).await.unwrap(), pair.given().await);
    let view = pair.once(job, "the end", |_| false).await;
    assert!(view.bytes.origin <= on.bytes.origin + MIB, "then {on:#?}, now {view:#?}");
    assert!(pair.given().await >= given + 4 * MIB, "then {on:#?}, now {view:#?}");
    pair.ends_well(job, content).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_2_and_peer_37_a_giver_that_takes_its_server_flag_away_is_left_and_used_again_when_it_is_back() {
    let content = Content::new(103, 32 * MIB);
    let (origin, giver, node, _) = beside_a_holder_with(content, "").await;
    let rates = Rates { total: NonZeroU64::new(2 * MIB), ..Rates::default() };
    let spec = node.spec(&origin, vec![blake3_of(content)]);
    // Nobody waits for it: the origin is left alone while a peer gives, however slowly.
    let job = node.submit(JobSpec { rates, priority: Priority::Normal, ..spec }).await;
    node.stored(job, 4 * MIB).await;
    assert_eq!(origin.asked(), [], "the peer gives all of it");
    let filled = node.handle.file_ranges(job, 0).await.unwrap().unwrap().filled.unwrap();
    giver.handle.set_flags(PeerFlags { client: true, server: false }).await.unwrap();
    node.until(|| !origin.asked().is_empty(), "the origin goes on").await;
    let given = giver.handle.totals().await.unwrap().served_bytes;
    let without = node.stored(job, 14 * MIB).await;
    assert_eq!(giver.handle.totals().await.unwrap().served_bytes, given, "it gives nothing while it is off");
    assert!(without.bytes.origin >= 4 * MIB, "{without:#?}");
    assert_goes_on(&origin.asked(), &bounds(&filled));
    giver.handle.set_flags(PeerFlags::BOTH).await.unwrap();
    let view = node.delivered(job).await;
    assert_exact(&node.path("payload.bin"), content);
    let why = node.why(job).await;
    let more = view.bytes.peers.saturating_sub(without.bytes.peers);
    assert!(more >= 6 * MIB, "only {more} bytes when it was back: {view:#?}\n{why}");
    assert!(giver.handle.totals().await.unwrap().served_bytes >= given + 6 * MIB);
    let twice = view.bytes.origin + view.bytes.peers - content.len;
    assert!(twice <= CUT, "{twice} bytes came twice: {view:#?}\n{why}");
    assert_eq!((view.error_count, view.bytes.peers + view.bytes.origin >= content.len), (0, true));
    giver.shut_down().await;
    node.shut_down().await;
}
