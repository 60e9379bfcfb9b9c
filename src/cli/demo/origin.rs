//! The demo's origin: one file behind a narrow line, every byte counted at the socket.
//!
//! Knows: as much HTTP/1.1 as a file server needs (HEAD, GET, one range, one strong ETag). Does not know: who asks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use peer_proto::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Bytes that pass the line in one go.
const SLICE_LEN: usize = 16 * 1024;
/// Bytes of a request's head.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
const ETAG: &str = "\"demo-1\"";

/// A running origin. It ends when this is dropped.
pub(super) struct Origin {
    address: SocketAddr,
    line: Arc<Line>,
    stop: CancellationToken,
}

/// The narrow line all connections share.
struct Line {
    clock: Clock,
    bytes_per_s: u64,
    /// When the line is free again.
    free_at: Mutex<Instant>,
    sent: AtomicU64,
}

impl Origin {
    /// Serves `file` at any path, on loopback, at `bytes_per_s` for all connections together.
    pub(super) async fn start(file: Bytes, bytes_per_s: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let line = Arc::new(Line {
            clock: Clock::start(),
            bytes_per_s,
            free_at: Mutex::new(Instant::ZERO),
            sent: AtomicU64::new(0),
        });
        let origin =
            Self { address: listener.local_addr()?, line: Arc::clone(&line), stop: CancellationToken::new() };
        tokio::spawn(accept(listener, file, line, origin.stop.clone()));
        Ok(origin)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/update.bin", self.address)
    }

    /// Bytes that left the socket so far, heads included.
    pub(super) fn sent(&self) -> u64 {
        self.line.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Line {
    /// Waits for the line, then sends.
    async fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        for slice in bytes.chunks(SLICE_LEN) {
            let start = {
                let mut free_at = self.free_at.lock().await;
                let start = (*free_at).max(self.clock.monotonic());
                let len = u64::try_from(slice.len()).unwrap_or(u64::MAX);
                let micros = len.saturating_mul(1_000_000) / self.bytes_per_s.max(1);
                *free_at = start.after(Duration::from_micros(micros));
                start
            };
            self.clock.sleep_until(start).await;
            stream.write_all(slice).await?;
            self.sent.fetch_add(u64::try_from(slice.len()).unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, file: Bytes, line: Arc<Line>, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
                let (file, line) = (file.clone(), Arc::clone(&line));
                connections.spawn(async move {
                    // A fetcher that goes away in the middle is its own business.
                    drop(answer_all(stream, &file, &line).await);
                    drop(seat);
                });
            }
        }
    }
}

/// Answers requests until the other side has no more.
async fn answer_all(mut stream: TcpStream, file: &Bytes, line: &Line) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut held = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let mut more = [0; 2_048];
            let len = stream.read(&mut more).await?;
            if len == 0 || held.len() > HEAD_LEN_MAX {
                return Ok(());
            }
            held.extend_from_slice(more.get(..len).unwrap_or_default());
        };
        let head = String::from_utf8_lossy(held.get(..end).unwrap_or_default()).into_owned();
        held.drain(..end);
        let (head, body) = answer(&head, file);
        line.send(&mut stream, head.as_bytes()).await?;
        line.send(&mut stream, &body).await?;
    }
}

/// The answer to one request: its head and its body.
fn answer(request: &str, file: &Bytes) -> (String, Bytes) {
    let mut lines = request.lines();
    let method = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
    let header = |name: &str| {
        request.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let common = format!(
        "ETag: {ETAG}\r\nLast-Modified: Sat, 21 Nov 2026 06:00:00 GMT\r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n"
    );
    if method != "GET" && method != "HEAD" {
        return ("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n".into(), Bytes::new());
    }
    let is_current = header("if-range").is_none_or(|tag| tag == ETAG);
    let range =
        header("range").filter(|_| is_current && method == "GET").and_then(|text| range(&text, file.len()));
    let (status, body, extra) = match range {
        Some(Err(())) => {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n\r\n",
                file.len()
            );
            return (head, Bytes::new());
        }
        Some(Ok((first, end))) => (
            "206 Partial Content",
            file.slice(first..end),
            format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, file.len()),
        ),
        None => ("200 OK", file.clone(), String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}{common}\r\n", body.len());
    (head, if method == "HEAD" { Bytes::new() } else { body })
}

/// `bytes=FIRST-LAST` or `bytes=FIRST-`; other forms are answered with the whole file.
fn range(text: &str, len: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<usize>().ok()?.saturating_add(1).min(len) };
    Some(if first < end { Ok((first, end)) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> String {
        let (head, body) = answer(request, &Bytes::from_static(b"0123456789"));
        format!("{} {}", head.lines().next().unwrap_or_default(), String::from_utf8_lossy(&body))
    }

    #[test]
    fn answers_whole_files_ranges_and_heads() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK 0123456789");
        assert_eq!(status("HEAD / HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK ");
        assert_eq!(status("GET / HTTP/1.1\r\nRange: bytes=2-4\r\n\r\n"), "HTTP/1.1 206 Partial Content 234");
        assert_eq!(status("GET / HTTP/1.1\r\nrange: bytes=8-\r\n\r\n"), "HTTP/1.1 206 Partial Content 89");
        assert_eq!(
            status("GET / HTTP/1.1\r\nRange: bytes=10-\r\n\r\n"),
            "HTTP/1.1 416 Range Not Satisfiable "
        );
        let stale = "GET / HTTP/1.1\r\nIf-Range: \"other\"\r\nRange: bytes=2-4\r\n\r\n";
        assert_eq!(status(stale), "HTTP/1.1 200 OK 0123456789");
        assert!(status("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    }
}
