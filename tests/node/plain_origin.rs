//! An honest HTTP origin on a real socket: any length, content made from its offset, a rate, counters, a kill switch.
//!
//! Knows: HEAD, GET, one range, ETag, chunked bodies, what it sent. Does not know: how to misbehave (`origin_script`).

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nearbits::clock::Clock;
use peer_proto::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bytes made and sent at a time.
const BLOCK: usize = 64 * 1024;

/// The seed of contents that are mostly holes.
const SPARSE: u64 = 0;
/// How far the marks of those reach at least.
const MARK: u64 = 4_096;

/// What an origin serves under every path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    /// Tells contents of the same length apart.
    pub(crate) seed: u64,
    /// Bytes in it.
    pub(crate) len: u64,
}

impl Content {
    pub(crate) const fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    /// Zeros but for marks around zero, 2^32 and the end: for files whose offsets need more than 32 bits.
    pub(crate) const fn sparse(len: u64) -> Self {
        Self { seed: SPARSE, len }
    }

    /// Fills `bytes` with what lies at `offset`: every eight bytes are a function of their place.
    pub(crate) fn fill(&self, offset: u64, bytes: &mut [u8]) {
        if self.seed != SPARSE {
            return self.fill_words(offset, bytes);
        }
        bytes.fill(0);
        let end = offset + u64::try_from(bytes.len()).expect("a block");
        for mark in [0, 1 << 32, self.len] {
            let (from, to) = (offset.max(mark.saturating_sub(MARK)), end.min(mark + MARK));
            if from < to {
                let place = |at: u64| usize::try_from(at - offset).expect("within the block");
                self.fill_words(from, &mut bytes[place(from)..place(to)]);
            }
        }
    }

    fn fill_words(&self, offset: u64, bytes: &mut [u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = mix(self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ (at / 8)).to_le_bytes();
            let skip = usize::try_from(at % 8).expect("below 8");
            let take = (8 - skip).min(rest.len());
            rest[..take].copy_from_slice(&word[skip..skip + take]);
            rest = &mut rest[take..];
            at += u64::try_from(take).expect("at most 8");
        }
    }

    fn etag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.seed, self.len)
    }
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// How an origin behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Bytes per second of all connections together.
    pub(crate) bytes_per_s: Option<u64>,
    /// Whether bodies are chunked and no length is said.
    pub(crate) chunked: bool,
}

/// A running origin. It ends when dropped.
pub(crate) struct PlainOrigin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    content: Mutex<Content>,
    manner: Manner,
    /// Payload bytes that were handed to a socket.
    sent: AtomicU64,
    /// The ranges of bodies that were asked for, in the order they were.
    asked: Mutex<Vec<Range<u64>>>,
    clock: Clock,
    /// When the next byte may go.
    paid: tokio::sync::Mutex<Instant>,
    stop: CancellationToken,
}

impl PlainOrigin {
    pub(crate) async fn start(content: Content, manner: Manner) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::start_on(listener, content, manner)
    }

    /// The same at a place of the caller's choice.
    pub(crate) fn start_on(listener: std::net::TcpListener, content: Content, manner: Manner) -> Self {
        listener.set_nonblocking(true).expect("a socket of ours");
        let listener = TcpListener::from_std(listener).expect("a socket of ours");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            content: Mutex::new(content),
            manner,
            sent: AtomicU64::new(0),
            asked: Mutex::default(),
            clock: Clock::start(),
            paid: tokio::sync::Mutex::new(Instant::ZERO),
            stop: CancellationToken::new(),
        });
        tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/payload.bin", self.address)
    }

    /// Payload bytes sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// The ranges of bodies that were asked for so far.
    pub(crate) fn asked(&self) -> Vec<Range<u64>> {
        self.shared.asked.lock().expect("not poisoned").clone()
    }

    /// Serves something else from now on; bodies on their way break off.
    pub(crate) fn change(&self, content: Content) {
        *self.shared.content.lock().expect("not poisoned") = content;
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        self.shared.stop.cancel();
    }
}

impl Drop for PlainOrigin {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Some(Ok((socket, _))) = shared.stop.run_until_cancelled(listener.accept()).await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            // A caller that goes away is no error of the origin.
            drop(stop.run_until_cancelled(talk(socket, &shared)).await);
        });
    }
}

async fn talk(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    loop {
        let Some(first) = lines.next_line().await? else { return Ok(()) };
        let mut fields = Vec::new();
        while let Some(line) = lines.next_line().await? {
            if line.is_empty() {
                break;
            }
            fields.push(line.to_ascii_lowercase());
        }
        let field = |name: &str| fields.iter().find_map(|line| line.strip_prefix(name).map(str::trim));
        let content = *shared.content.lock().expect("not poisoned");
        let is_same = field("if-range:").is_none_or(|etag| etag == content.etag());
        let range = field("range:").filter(|_| is_same && !shared.manner.chunked);
        answer(&mut writer, shared, content, first.starts_with("HEAD"), range).await?;
    }
}

async fn answer(
    writer: &mut (impl AsyncWriteExt + Unpin),
    shared: &Shared,
    content: Content,
    is_head: bool,
    range: Option<&str>,
) -> io::Result<()> {
    let len = content.len;
    let part = range.and_then(|range| parse_range(range, len));
    let (status, start, end) = match (range, part) {
        (Some(_), None) => ("416 Range Not Satisfiable", 0, 0),
        (_, Some((start, end))) => ("206 Partial Content", start, end),
        (None, None) => ("200 OK", 0, len),
    };
    let mut head = format!("HTTP/1.1 {status}\r\nETag: {}\r\n", content.etag());
    if !shared.manner.chunked {
        head += "Accept-Ranges: bytes\r\n";
    }
    if status.starts_with("206") {
        head += &format!("Content-Range: bytes {start}-{}/{len}\r\n", end - 1);
    } else if status.starts_with("416") {
        head += &format!("Content-Range: bytes */{len}\r\n");
    }
    if shared.manner.chunked {
        head += "Transfer-Encoding: chunked\r\n\r\n";
    } else {
        head += &format!("Content-Length: {}\r\n\r\n", end - start);
    }
    writer.write_all(head.as_bytes()).await?;
    if !is_head {
        shared.asked.lock().expect("not poisoned").push(start..end);
        body(writer, shared, content, start, end).await?;
    }
    writer.flush().await
}

fn parse_range(text: &str, len: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<u64>().ok()?.saturating_add(1).min(len) };
    (start < end).then_some((start, end))
}

async fn body(
    writer: &mut (impl AsyncWriteExt + Unpin),
    shared: &Shared,
    content: Content,
    start: u64,
    end: u64,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut at = start;
    while at < end {
        if *shared.content.lock().expect("not poisoned") != content {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let take = usize::try_from((end - at).min(BLOCK as u64)).expect("a block");
        pace(shared, take).await;
        content.fill(at, &mut block[..take]);
        if shared.manner.chunked {
            writer.write_all(format!("{take:x}\r\n").as_bytes()).await?;
        }
        writer.write_all(&block[..take]).await?;
        if shared.manner.chunked {
            writer.write_all(b"\r\n").await?;
        }
        shared.sent.fetch_add(take as u64, Ordering::SeqCst);
        at += take as u64;
    }
    if shared.manner.chunked {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

async fn pace(shared: &Shared, bytes: usize) {
    let Some(rate) = shared.manner.bytes_per_s else { return };
    let until = {
        let mut paid = shared.paid.lock().await;
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        *paid = (*paid).max(shared.clock.monotonic()).after(cost);
        *paid
    };
    shared.clock.sleep_until(until).await;
}
