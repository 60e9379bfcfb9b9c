//! Many jobs through one node that is killed again and again, from an origin that misbehaves: those of one administrator
//! through the daemon, and those of five users through a node whose doors say who comes in.
//!
//! Knows: `kill -9`, the control door, what is on disk at the end. Does not know: the engine. The long form is
//! `NEARBITS_STORM=300x20x30 cargo test --release --test cli storm`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nearbits::control::api::{FileSpec, JobId, JobSpec, JobState, Submit, Verb};
use nearbits::control::client::{Client, ClientError};
use nearbits::job::Caller;
use nearbits::node::{Node, NodeConfig, NodeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Daemon, Home, until};

/// The test's own process that is a node for five users gets its folder in this variable.
const NODE_OF_USERS: &str = "NEARBITS_STORM_NODE";
const USERS: u32 = 5;

/// Jobs, files of each, kills of the daemon.
fn size() -> (u16, u16, u32) {
    let text = std::env::var("NEARBITS_STORM").unwrap_or_else(|_| "24x5x4".to_owned());
    let mut parts = text.split('x').map(|part| part.parse::<u32>().expect("JOBSxFILESxKILLS"));
    let mut next = || parts.next().expect("JOBSxFILESxKILLS");
    let (jobs, files) = (next(), next());
    (u16::try_from(jobs).expect("few"), u16::try_from(files).expect("few"), next())
}

/// A number that follows from a name.
fn mixed(name: &str) -> u64 {
    let word = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The file of a name: up to 300 KiB, some of them empty.
fn content(name: &str) -> Vec<u8> {
    let number = mixed(name);
    let len =
        if number.is_multiple_of(23) { 0 } else { usize::try_from(number >> 20).expect("64 bits") % 300_000 };
    (0..len)
        .map(|at| u8::try_from((at * 31 + at / 251 * 7 + at / 65_536 + name.len()) % 256).unwrap())
        .collect()
}

/// One in forty is not there, for good.
fn is_missing(name: &str) -> bool {
    mixed(name) % 40 == 1
}

/// An origin of many files: a third of its answers is late, cut, 503 or nothing at all; some files come without ranges.
struct Shaky {
    url: String,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Shaky {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                connections.spawn(async move { drop(answer(stream, &count).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, asked, task }
    }
}

impl Drop for Shaky {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, asked: &AtomicU64) -> std::io::Result<()> {
    let mut held = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut held).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
        held.drain(..end);
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let name = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let mood = mixed(&format!("{name}{number}")) % 100;
        if mood < 8 {
            return Ok(());
        }
        if mood < 16 {
            stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        if is_missing(&name) {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        let body = content(&name);
        let gives_ranges = mixed(&name) % 10 != 3;
        let range = gives_ranges.then(|| range_of(&head, body.len())).flatten();
        let etag = format!("ETag: \"{:x}\"\r\n", mixed(&name));
        let accepts = if gives_ranges { "Accept-Ranges: bytes\r\n" } else { "" };
        let (from, to) = range.unwrap_or((0, body.len()));
        let status = match range {
            Some(_) => {
                format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", to - 1, body.len())
            }
            None => "200 OK".to_owned(),
        };
        let top = format!("HTTP/1.1 {status}\r\n{etag}{accepts}Content-Length: {}\r\n\r\n", to - from);
        stream.write_all(top.as_bytes()).await?;
        if head.starts_with("head") {
            continue;
        }
        let cut = mood < 34;
        let part = &body[from..if cut { from + (to - from) / 2 } else { to }];
        for chunk in part.chunks(32 * 1024) {
            stream.write_all(chunk).await?;
        }
        if cut {
            return Ok(());
        }
    }
}

fn range_of(head: &str, len: usize) -> Option<(usize, usize)> {
    let text = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    let (from, to) = text.trim().split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = to.parse::<usize>().map_or(len, |last| last + 1).min(len);
    (from < to).then_some((from, to))
}

/// What the daemon takes of memory, in bytes.
fn rss(daemon: &Daemon) -> u64 {
    let pid = daemon.child.id().expect("it runs");
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4_096
}

/// Whose jobs they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Administrators,
    OfFiveUsers,
}

fn door_of(state: &Path, user: u32) -> PathBuf {
    state.join(format!("user-{user}.sock"))
}

/// A node in a process of its own, which is this test program.
async fn start_for_users(home: &Home) -> Daemon {
    let own = std::env::current_exe().expect("Linux");
    let mut command = tokio::process::Command::new(own);
    command.args(["--exact", "storm::a_node_of_five_users", "--nocapture"]);
    command.env(NODE_OF_USERS, home.join("state")).env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::null());
    command.stdout(std::fs::File::create(home.join("daemon.out")).expect("writable"));
    command.stderr(std::fs::File::create(home.join("daemon.err")).expect("writable"));
    let child = command.spawn().expect("this program starts");
    let last = door_of(&home.join("state"), USERS - 1);
    until("the node's doors", || std::os::unix::net::UnixStream::connect(&last).is_ok()).await;
    Daemon { child }
}

/// No case but a process of the storm: it returns at once where it was not started as one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_five_users() {
    let Some(state) = std::env::var_os(NODE_OF_USERS).map(PathBuf::from) else { return };
    let config = NodeConfig {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        mdns: false,
        kind: NodeKind::Daemon,
        ..NodeConfig::embedded(state.clone())
    };
    let node = Node::start(config).await.expect("a folder of its own");
    let mut doors = Vec::new();
    for user in 0..USERS {
        let caller = Caller { uid: 2_000 + user, is_administrator: false };
        doors.push(node.open_door_for(&door_of(&state, user), move |_| Some(caller)).await.expect("a door"));
    }
    std::future::pending::<()>().await;
}

struct Storm {
    home: Home,
    whose: Whose,
    daemon: Daemon,
    /// One for each user.
    clients: Vec<Client>,
    most: u64,
}

impl Storm {
    async fn start(home: Home, whose: Whose) -> Self {
        let state = home.join("state");
        let (daemon, doors) = match whose {
            Whose::Administrators => (Daemon::start(&home, &[]).await, vec![state.join("control.sock")]),
            Whose::OfFiveUsers => {
                (start_for_users(&home).await, (0..USERS).map(|user| door_of(&state, user)).collect())
            }
        };
        let mut clients = Vec::new();
        for door in doors {
            clients.push(Client::reach(&door).await.expect("it listens"));
        }
        Self { home, whose, daemon, clients, most: 0 }
    }

    async fn kill_and_start(self) -> Self {
        let Self { home, whose, daemon, most, .. } = self;
        daemon.kill().await;
        Self { most, ..Self::start(home, whose).await }
    }

    /// Whoever made a job.
    fn owner(&self, job: u16) -> &Client {
        &self.clients[usize::from(job) % self.clients.len()]
    }

    /// How many jobs there are, and how many of them are settled.
    async fn look(&mut self) -> (usize, usize) {
        self.most = self.most.max(rss(&self.daemon));
        let (mut all, mut settled) = (0, 0);
        for client in &self.clients {
            let jobs = client.jobs().await.expect("the daemon answers");
            all += jobs.len();
            settled += jobs
                .iter()
                .filter(|job| matches!(job.state, JobState::Transferred | JobState::Error))
                .count();
        }
        (all, settled)
    }
}

fn wish(origin: &Shaky, folder: &std::path::Path, job: u16, files: u16) -> JobSpec {
    let file = |number: u16| {
        let name = format!("{job}-{number}");
        FileSpec {
            url: format!("{}/{name}", origin.url),
            mirrors: Vec::new(),
            destination: folder.join(name),
            digests: Vec::new(),
            digest_from: None,
            ranges: Vec::new(),
        }
    };
    JobSpec {
        name: format!("job {job}"),
        files: (0..files).map(file).collect(),
        retry_delay_s: 5,
        ..JobSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_jobs_survives_kills_and_a_shaky_origin() {
    rage(Whose::Administrators).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_1_a_storm_of_five_users_jobs_survives_kills_and_each_sees_his_own() {
    rage(Whose::OfFiveUsers).await;
}

#[expect(clippy::print_stderr, reason = "the long form is a measurement")]
async fn rage(whose: Whose) {
    let (jobs, files, kills) = size();
    let origin = Shaky::start().await;
    let mut storm = Storm::start(Home::new(), whose).await;
    std::fs::create_dir(storm.home.join("out")).unwrap();
    let before = rss(&storm.daemon);
    let mut known: BTreeMap<JobId, u16> = BTreeMap::new();
    for job in 0..jobs {
        let spec = wish(&origin, &storm.home.join("out"), job, files);
        let submit = Submit { spec, adopt: false, start: true };
        known.insert(storm.owner(job).submit(&submit).await.expect("it is taken").id, job);
    }
    for kill in 1..=kills {
        let enough =
            usize::from(jobs) * usize::try_from(kill).unwrap() / (usize::try_from(kills).unwrap() + 1);
        wait_for(&mut storm, enough).await;
        storm = storm.kill_and_start().await;
        assert_eq!(storm.look().await.0, known.len(), "the queue is whole after kill {kill}");
    }
    wait_for(&mut storm, usize::from(jobs)).await;
    judge(&storm, &known, files).await;
    let end = rss(&storm.daemon);
    let mib = |bytes: u64| bytes / (1 << 20);
    eprintln!(
        "{jobs} jobs of {files} files, {kills} kills, {} requests: RSS {} MiB before, {} at most, {} at the end",
        origin.asked.load(Ordering::Relaxed),
        mib(before),
        mib(storm.most),
        mib(end)
    );
    assert!(storm.most <= 256 << 20, "{} MiB", mib(storm.most));
    assert!(end <= before + (25 << 20), "{} MiB after {}", mib(end), mib(before));
    storm.daemon.kill().await;
}

async fn wait_for(storm: &mut Storm, enough: usize) {
    let mut last = (0, 0_u32);
    loop {
        let settled = storm.look().await.1;
        if settled >= enough {
            return;
        }
        if settled > last.0 {
            last = (settled, 0);
        }
        last.1 += 1;
        assert!(last.1 < 1_200, "nothing settles any more at {settled} of {enough}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every file is exact after Complete, or its error names it.
async fn judge(storm: &Storm, known: &BTreeMap<JobId, u16>, files: u16) {
    for (id, job) in known {
        if storm.whose == Whose::OfFiveUsers {
            let other = storm.owner(job + 1).command(*id, Verb::Cancel).await;
            assert!(matches!(other, Err(ClientError::Refused(_))), "{other:?}");
        }
        let view = storm.owner(*job).job(*id).await.expect("it is there");
        let missing: Vec<u16> = (0..files).filter(|number| is_missing(&format!("{job}-{number}"))).collect();
        if missing.is_empty() {
            assert_eq!(view.state, JobState::Transferred, "{view:?}");
        } else {
            assert_eq!(view.state, JobState::Error, "{view:?}");
            let error = view.error.clone().expect("it is named");
            assert!(error.file.is_some_and(|file| missing.contains(&file)), "{error:?} for {missing:?}");
            assert_eq!(error.code.to_string(), "BG_E_HTTP_ERROR_404");
        }
        let done = storm.owner(*job).command(*id, Verb::Complete).await.expect("it is completed");
        assert_eq!(done.partial, !missing.is_empty(), "{view:?}");
        for number in 0..files {
            let name = format!("{job}-{number}");
            let found = std::fs::read(storm.home.join("out").join(&name)).ok();
            assert_eq!(found.is_none(), missing.contains(&number), "{name}");
            assert!(found.is_none_or(|bytes| bytes == content(&name)), "{name} is not exact");
        }
    }
    let left: Vec<PathBuf> = std::fs::read_dir(storm.home.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
