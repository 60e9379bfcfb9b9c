//! An office whose machines fetch one file after another together, while some of them are killed and come back.
//!
//! Knows: a daemon on each machine (a network namespace) of its own, which machines go and come, what of each file came from
//! the origin, what the daemons hold in memory. Does not know: who fetches what. With `NEARBITS_SOAK=32x10` (machines, files)
//! it says what came of each file; else it is the same with few of them.

use futures::future::join_all;
use nearbits::control::api::JobId;
use nearbits::job::{JobSpec, JobState};

use crate::lab::{assert_exact, blake3_of, sha256_of};
use crate::office::{Addresses, Daemon, Office, eventually};
use crate::on_link::{spec, submit, why};
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const LEN: u64 = 16 * MIB;
/// Bytes a second of the origin's line.
const LINE: u64 = 4_000_000;
/// Others that each machine has met before they begin; a site of sixty need not all know each other.
const SESSIONS: usize = 16;
/// One of so many machines is killed while it fetches, one at least.
const KILLED: usize = 8;
/// What crosses the line to the origin for a file: once with its headers, what everybody asks about it, what the killed were at and
/// what they begin with before they have met the others again. 1.08 to 1.26 of it were seen with 32 machines, three of them killed.
const LINE_MOST: u64 = LEN * 7 / 5;
/// What one daemon may hold that serves and fetches among all the others.
const MEMORY_MOST: u64 = 96 * MIB;
/// What the largest may hold more after the last file than after the second: which of them is the largest, and by what, is chance.
const GROWTH_MOST: u64 = 8 * MIB;

/// Machines, files, and whether it is the long form.
fn size() -> (u8, u64, bool) {
    let Some(text) = std::env::var_os("NEARBITS_SOAK") else { return (8, 3, false) };
    let text = text.into_string().expect("such as 32x10");
    let (machines, files) = text.split_once('x').expect("such as 32x10");
    (machines.parse().expect("a number of machines"), files.parse().expect("a number of files"), true)
}

/// Insists that the kernel remembers all neighbours of all machines: it has one table for all of its namespaces, and whoever
/// finds no room in it reaches nobody.
fn has_room_for_neighbours(machines: u8) {
    let pairs = u64::from(machines) * u64::from(machines - 1);
    for family in ["ipv4", "ipv6"] {
        let name = format!("net/{family}/neigh/default/gc_thresh3");
        let most = std::fs::read_to_string(format!("/proc/sys/{name}")).ok();
        let most = most.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(u64::MAX);
        assert!(
            pairs <= most,
            "{machines} machines are {pairs} neighbours of each other, and this kernel remembers {most}: sysctl -w {name}={}",
            2 * pairs
        );
    }
}

/// The office, and who works in it.
struct Site {
    office: Office,
    daemons: Vec<Daemon>,
}

impl Site {
    async fn open(machines: u8) -> Option<Self> {
        has_room_for_neighbours(machines);
        let office = Office::open(machines, Addresses::Both)?;
        let mut daemons = Vec::new();
        for machine in 0..machines {
            daemons.push(office.daemon(machine, &[]).await);
        }
        for daemon in &daemons {
            daemon.connected(SESSIONS.min(daemons.len() - 1)).await;
        }
        Some(Self { office, daemons })
    }

    fn copy(&self, machine: usize, file: u64) -> std::path::PathBuf {
        self.office.path(&format!("copy{machine} of {file}"))
    }

    /// Kills a machine's daemon and starts it again with what it had on the disk.
    async fn restart(&mut self, machine: usize) {
        let number = u8::try_from(machine).expect("few");
        self.daemons.remove(machine).kill().await;
        let daemon = self.office.daemon(number, &[]).await;
        self.daemons.insert(machine, daemon);
    }

    /// Everybody fetches a file at once, all but the last, who comes when the others have it. What crossed the line to the
    /// origin, in bytes.
    async fn fetch(&mut self, file: u64) -> u64 {
        let content = Content::new(file, LEN);
        let manner = Manner { bytes_per_s: Some(LINE), ..Manner::default() };
        let origin = PlainOrigin::start_on(self.office.origin_listener(), content, manner);
        let crossed = self.office.wan_bytes();
        let digest = if file.is_multiple_of(2) { blake3_of(content) } else { sha256_of(content) };
        let late = self.daemons.len() - 1;
        let mut jobs = Vec::new();
        for machine in 0..late {
            jobs.push(self.submit(machine, file, &origin, digest.clone()).await);
        }
        for nth in 0..(late / KILLED).max(1) {
            let machine = (usize::try_from(file).expect("few") + nth * KILLED) % late;
            self.stored(machine, jobs[machine], LEN / 8).await;
            self.restart(machine).await;
        }
        join_all(jobs.iter().enumerate().map(|(machine, job)| self.delivered(machine, *job))).await;
        let once = origin.sent();
        let job = self.submit(late, file, &origin, digest).await;
        self.delivered(late, job).await;
        assert!(origin.sent() - once <= LEN / 64, "who comes late finds it with the others");
        for machine in 0..self.daemons.len() {
            assert_exact(&self.copy(machine, file), content);
            // What was delivered is its user's, who may remove it.
            std::fs::remove_file(self.copy(machine, file)).expect("it is there");
        }
        self.office.wan_bytes() - crossed
    }

    async fn submit(
        &self,
        machine: usize,
        file: u64,
        origin: &PlainOrigin,
        digest: peer_proto::digest::Digest,
    ) -> JobId {
        let name = format!("copy{machine} of {file}");
        let wish = spec(&self.office, &name, origin, digest);
        submit(&self.daemons[machine].client, JobSpec { retry_delay_s: 5, ..wish }).await
    }

    /// Waits until a job has so many bytes, or all.
    async fn stored(&self, machine: usize, job: JobId, bytes: u64) {
        let client = &self.daemons[machine].client;
        eventually(&format!("{bytes} bytes at machine {machine}"), async || {
            let view = client.job(job).await.expect("the daemon answers");
            (view.stored >= bytes || view.state == JobState::Acknowledged).then_some(())
        })
        .await;
    }

    async fn delivered(&self, machine: usize, job: JobId) {
        let client = &self.daemons[machine].client;
        let mut events = client.follow(job).await.expect("the job is there");
        loop {
            let view = events.next().await.expect("the node runs").expect("it is final first");
            if view.state.is_final() {
                assert_eq!(
                    view.state,
                    JobState::Acknowledged,
                    "{machine}: {view:#?}\n{}",
                    why(client, job).await
                );
                return;
            }
        }
    }

    /// What each daemon holds in memory beside the program itself.
    fn memory(&self) -> Vec<u64> {
        let held = |daemon: &Daemon| {
            let memory = daemon.memory();
            memory.now - memory.code
        };
        self.daemons.iter().map(held).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "whoever measures wants to see it")]
async fn p7_machines_that_go_and_come_share_file_after_file_and_grow_no_further() {
    let (machines, files, is_long) = size();
    let Some(mut site) = Site::open(machines).await else { return };
    let mut settled = 0;
    for file in 0..files {
        let crossed = site.fetch(file).await;
        let memory = site.memory();
        let most = memory.iter().max().copied().unwrap_or(0);
        if is_long {
            let (crossed, most) = (crossed * 1_000 / LEN, most / MIB);
            println!(
                "file {file}: {crossed} thousandths of it on the line, {most} MiB in the largest of {machines} daemons"
            );
        }
        assert!(crossed <= LINE_MOST, "file {file}: {crossed} bytes on the line");
        assert!(most <= MEMORY_MOST, "file {file}: {memory:?}");
        if file == 1 {
            settled = most;
        } else if file == files - 1 {
            assert!(most <= settled + GROWTH_MOST, "{settled} bytes before, now {memory:?}");
        }
    }
}
