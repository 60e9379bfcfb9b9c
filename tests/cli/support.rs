//! What the cases share: the program as a process, a small origin, bytes that follow from their offset.
//!
//! Knows: processes and sockets. Does not know: what is tested.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Everything a case does must be done within this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Bytes the origin sends between two looks at the time.
const SLICE: usize = 16 * 1024;

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one object of `--json`.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The objects of `--json`, one a line.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its one line of error, with the exit code it must have.
    pub(crate) fn error_line(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        let lines: Vec<&str> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "one line of error: {self:?}");
        lines[0].strip_prefix("nearbits: ").expect("errors say who speaks")
    }
}

/// The program, in an environment that belongs to the case.
pub(crate) fn nearbits(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearbits"));
    command
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(home: &Path, args: &[&str]) -> Ran {
    finish(nearbits(home).args(args).spawn().expect("the program starts")).await
}

/// Waits for the end of a process.
pub(crate) async fn finish(child: Child) -> Ran {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.expect("the process ends in time").expect("the process can be waited for");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Sends a signal by the number everybody knows.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).expect("the process runs");
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).expect("not zero"), signal)
        .expect("our own child");
}

/// Looks again and again until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let looked = async {
        while !is_so() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, looked).await.unwrap_or_else(|_| panic!("in vain waited for: {what}"));
}

/// A folder for the case, and a state folder in it.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The same as text, for command lines.
    pub(crate) fn text(&self, name: &str) -> String {
        self.join(name).to_str().expect("temporary folders have plain names").to_owned()
    }

    /// A `get` that needs nobody but the origin, plus these arguments.
    pub(crate) fn get(&self, url: &str, output: &str, more: &[&str]) -> Command {
        let mut command = nearbits(self.path());
        command.args(["get", url, "--json", "--no-mdns", "--listen", "127.0.0.1:0", "--linger", "0"]);
        command.args(["-o", &self.text(output), "--state-dir", &self.text("state")]).args(more);
        command
    }

    /// A command to the node on this home's `state`.
    pub(crate) async fn say(&self, args: &[&str]) -> Ran {
        let state = self.text("state");
        run(self.path(), &[args, &["--state-dir", &state]].concat()).await
    }

    /// The id that a `job add` prints.
    pub(crate) async fn add(&self, args: &[&str]) -> String {
        let ran = self.say(&[&["job", "add"], args].concat()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        ran.out.trim().to_owned()
    }

    /// Names in the folder that begin like this.
    pub(crate) fn names(&self, start: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text"));
        names.filter(|name| name.starts_with(start)).collect()
    }
}

/// Bytes that follow from their offset, never zeros only.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    let word = |index: u64| {
        let mixed = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|index| word(index.try_into().unwrap())).collect();
    bytes.truncate(len);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn blake3(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// What an origin does to its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Twist {
    /// Nothing.
    Honest,
    /// After so many bytes in all it sends others, under the same ETag.
    OtherBytesAfter(u64),
    /// It calls the body gzip.
    Gzip,
    /// It gives no parts.
    NoRanges,
    /// Every answer is of another version.
    Fickle,
}

/// An HTTP origin with one file, at `/file.bin` and at `/…/file.bin`; everything else is 404.
pub(crate) struct Origin {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    /// As fast as it goes.
    pub(crate) async fn start(file: Vec<u8>) -> Self {
        Self::slow(file, 0).await
    }

    /// At so many bytes per second on every connection.
    pub(crate) async fn slow(file: Vec<u8>, bytes_per_s: u64) -> Self {
        Self::twisted(file, bytes_per_s, Twist::Honest).await
    }

    /// With a lie in it.
    pub(crate) async fn twisted(file: Vec<u8>, bytes_per_s: u64, twist: Twist) -> Self {
        // Small buffers: what was sent is what the other side was given, but for little.
        let socket = tokio::net::TcpSocket::new_v4().expect("IPv4");
        socket.set_send_buffer_size(64 * 1024).expect("a small buffer");
        socket.bind("127.0.0.1:0".parse().unwrap()).expect("loopback");
        let listener = socket.listen(64).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let sent = Arc::new(AtomicU64::new(0));
        let (file, count) = (Arc::new(file), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (file, sent) = (Arc::clone(&file), Arc::clone(&count));
                connections.spawn(async move { drop(serve(stream, &file, &sent, bytes_per_s, twist).await) });
            }
        });
        Self { address, sent, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/file.bin", self.address)
    }

    /// The same file under another name.
    pub(crate) fn url_in(&self, folder: &str) -> String {
        format!("http://{}/{folder}/file.bin", self.address)
    }

    /// Where there is no file.
    pub(crate) fn missing_url(&self) -> String {
        format!("http://{}/missing", self.address)
    }

    /// Body bytes that went out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    file: &[u8],
    sent: &AtomicU64,
    bytes_per_s: u64,
    twist: Twist,
) -> std::io::Result<()> {
    let (mut held, mut answers) = (Vec::new(), 0);
    loop {
        while !held.windows(4).any(|four| four == b"\r\n\r\n") {
            let mut more = [0; 4096];
            let len = stream.read(&mut more).await?;
            if len == 0 {
                return Ok(());
            }
            held.extend_from_slice(&more[..len]);
        }
        let mut request = String::from_utf8_lossy(&std::mem::take(&mut held)).to_lowercase();
        if !request.contains("/file.bin ") {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        if twist == Twist::NoRanges {
            request = request.replace("range: ", "x-ignored: ");
        }
        let (first, end, mut head) = head(&request, file.len());
        if twist == Twist::NoRanges {
            head = head.replace("Accept-Ranges: bytes\r\n", "");
        }
        if twist == Twist::Gzip {
            head = head.replace("ETag", "Content-Encoding: gzip\r\nETag");
        }
        if twist == Twist::Fickle {
            answers += 1;
            head = head.replace("\"one\"", &format!("\"{answers}-{}\"", sent.load(Ordering::SeqCst)));
        }
        stream.write_all(head.as_bytes()).await?;
        if request.starts_with("head ") {
            continue;
        }
        let mut pace = tokio::time::interval(Duration::from_micros(
            (16 * 1024 * 1_000_000_u64).checked_div(bytes_per_s).unwrap_or(1).max(1),
        ));
        for slice in file[first..end].chunks(SLICE) {
            if bytes_per_s > 0 {
                pace.tick().await;
            }
            let is_other =
                matches!(twist, Twist::OtherBytesAfter(bytes) if sent.load(Ordering::SeqCst) >= bytes);
            let other: Vec<u8> = slice.iter().map(|byte| byte ^ 0xff).collect();
            stream.write_all(if is_other { &other } else { slice }).await?;
            sent.fetch_add(slice.len().try_into().unwrap(), Ordering::SeqCst);
        }
    }
}

fn head(request: &str, len: usize) -> (usize, usize, String) {
    // An empty file has no range to give: it is sent whole.
    let range = request.lines().find_map(|line| line.strip_prefix("range: bytes=")).filter(|_| len > 0);
    let range = range.and_then(|text| {
        let (first, last) = text.trim().split_once('-')?;
        Some((first.parse().ok()?, last.parse::<usize>().map_or(len, |last| (last + 1).min(len))))
    });
    let (first, end) = range.unwrap_or((0, len));
    let first = first.min(end);
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let content_range = range.map_or(String::new(), |_| {
        format!("Content-Range: bytes {first}-{}/{len}\r\n", end.saturating_sub(1))
    });
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{content_range}ETag: \"one\"\r\nAccept-Ranges: bytes\r\n\r\n",
        end - first
    );
    (first, end, head)
}

/// A daemon of the case: it ends when its standard input is closed, so at the latest with the case.
pub(crate) struct Daemon {
    pub(crate) child: Child,
}

impl Daemon {
    /// Starts a daemon on the home's `state` and waits until it answers.
    pub(crate) async fn start(home: &Home, more: &[&str]) -> Self {
        let mut command = nearbits(home.path());
        command.args(["daemon", "--no-mdns", "--listen", "127.0.0.1:0", "--until-stdin-closes"]);
        command.args(["--state-dir", &home.text("state")]).args(more).stdin(Stdio::piped());
        command.stdout(std::fs::File::create(home.join("daemon.out")).expect("writable"));
        command.stderr(std::fs::File::create(home.join("daemon.err")).expect("writable"));
        let child = command.spawn().expect("the program starts");
        let socket = home.join("state/control.sock");
        until("the daemon's socket", || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        Self { child }
    }

    /// Kills it without a word.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("our own child");
    }
}
