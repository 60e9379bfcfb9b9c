//! A scripted HTTP origin that writes exact bytes: honest when asked to be, and in any wrong way a test needs.
//!
//! Knows: what was asked and how many bytes left its socket. Does not know: who asks. Payloads are functions of their
//! offset, so that bytes at a wrong place never look right.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nearbits::clock::Clock;
use peer_proto::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Bytes that are a function of a seed and their offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Payload {
    pub(crate) seed: u64,
    pub(crate) len: u64,
}

impl Payload {
    pub(crate) fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub(crate) fn fill(&self, offset: u64, out: &mut [u8]) {
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let word = mix(self.seed ^ (at / 8)).to_le_bytes();
            let skip = usize::try_from(at % 8).unwrap();
            let count = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word[skip..skip + count]);
            at += u64::try_from(count).unwrap();
            rest = later;
        }
    }

    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap()];
        self.fill(range.start, &mut bytes);
        bytes
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        self.bytes(0..self.len)
    }
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Its place among all requests, from zero.
    pub(crate) index: usize,
    /// Its connection's place among all connections, from zero.
    pub(crate) connection: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// First byte, and one past the last if it was named.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<u64>().ok().map(|last| last + 1)))
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Exactly these bytes.
    Send(Vec<u8>),
    /// A part of a payload, throttled.
    Payload(Payload, Range<u64>),
    /// Nothing more, until the other side closes.
    Silence,
    /// Close in good order, here.
    Fin,
    /// Close with a reset, here.
    Reset,
}

/// What to do about a request: the steps, and then the next request unless one of them closed.
pub(crate) type Reply = Vec<Act>;

/// What an honest server would say about a payload, with everything adjustable.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) payload: Payload,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) accept_ranges: Option<String>,
    /// More fields for every answer.
    pub(crate) extra: Vec<(String, String)>,
}

impl Site {
    pub(crate) fn new(payload: Payload) -> Self {
        Self {
            payload,
            etag: Some(format!("\"{:x}-{:x}\"", payload.seed, payload.len)),
            last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
            accept_ranges: Some("bytes".into()),
            extra: Vec::new(),
        }
    }

    /// The fields that tell the version, and the extra ones.
    pub(crate) fn fields(&self) -> String {
        let mut text = String::new();
        let named = [
            ("ETag", &self.etag),
            ("Last-Modified", &self.last_modified),
            ("Accept-Ranges", &self.accept_ranges),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in &self.extra {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text
    }

    /// A head with this status line and these fields beside the site's own.
    pub(crate) fn head(&self, status: &str, fields: &str) -> Act {
        Act::Send(format!("HTTP/1.1 {status}\r\n{}{fields}\r\n", self.fields()).into_bytes())
    }

    /// The range an honest server would send: none if `If-Range` names another version.
    pub(crate) fn range_of(&self, asked: &Asked) -> Option<(u64, u64)> {
        let (start, end) = asked.range()?;
        let is_same = asked.header("if-range").is_none_or(|validator| {
            self.etag.as_deref() == Some(validator) || self.last_modified.as_deref() == Some(validator)
        });
        is_same.then(|| (start, end.unwrap_or(self.payload.len).min(self.payload.len)))
    }

    /// What an honest server would do.
    pub(crate) fn reply(&self, asked: &Asked) -> Reply {
        let len = self.payload.len;
        match self.range_of(asked) {
            Some((start, _)) if start >= len && !asked.is_head() => {
                vec![self.head(
                    "416 Range Not Satisfiable",
                    &format!("Content-Range: bytes */{len}\r\nContent-Length: 0\r\n"),
                )]
            }
            Some((start, end)) if !asked.is_head() => {
                vec![self.part_head(start, end), Act::Payload(self.payload, start..end)]
            }
            _ => {
                let mut reply = vec![self.head("200 OK", &format!("Content-Length: {len}\r\n"))];
                if !asked.is_head() {
                    reply.push(Act::Payload(self.payload, 0..len));
                }
                reply
            }
        }
    }

    /// The honest head of a 206.
    pub(crate) fn part_head(&self, start: u64, end: u64) -> Act {
        let len = self.payload.len;
        let fields =
            format!("Content-Range: bytes {start}-{}/{len}\r\nContent-Length: {}\r\n", end - 1, end - start);
        self.head("206 Partial Content", &fields)
    }
}

/// Cuts a reply after `count` bytes of payload and ends it with `end`.
pub(crate) fn cut(reply: Reply, count: u64, end: Act) -> Reply {
    let mut left = count;
    let mut kept = Vec::new();
    for act in reply {
        match act {
            Act::Payload(payload, range) if range.end - range.start > left => {
                kept.push(Act::Payload(payload, range.start..range.start + left));
                kept.push(end);
                return kept;
            }
            Act::Payload(payload, range) => {
                left -= range.end - range.start;
                kept.push(Act::Payload(payload, range));
            }
            other => kept.push(other),
        }
    }
    kept
}

/// A whole answer without a body.
pub(crate) fn status(line: &str, fields: &str) -> Reply {
    vec![Act::Send(format!("HTTP/1.1 {line}\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes())]
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The origin; it stops when dropped.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    /// The certificate, for [`nearbits::origin::OriginConfig::extra_ca`]; empty without TLS.
    pub(crate) ca_pem: String,
    host: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Script,
    requests: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    sent: AtomicU64,
    marks: Mutex<Vec<(Instant, u64)>>,
    bytes_per_s: AtomicU64,
    clock: Clock,
    free_at: tokio::sync::Mutex<Instant>,
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Scripted {
    /// Listens on loopback and answers by the script.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1", None, script).await
    }

    /// The same on `[::1]`.
    pub(crate) async fn start_v6(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("[::1]", None, script).await
    }

    /// The same behind TLS (HTTP/1.1), with a certificate for `localhost` and `origin.test`.
    pub(crate) async fn start_tls(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("localhost", Some(certificate()), script).await
    }

    /// Serves one payload honestly.
    pub(crate) async fn serve(site: Site) -> Self {
        Self::start(move |asked| site.reply(asked)).await
    }

    async fn listen(
        host: &'static str,
        tls: Option<(TlsAcceptor, String)>,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let bind = if host == "localhost" { "127.0.0.1:0".to_owned() } else { format!("{host}:0") };
        let listener = TcpListener::bind(bind).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            marks: Mutex::default(),
            bytes_per_s: AtomicU64::new(0),
            clock: Clock::start(),
            free_at: tokio::sync::Mutex::new(Instant::ZERO),
        });
        let (acceptor, ca_pem) = tls.map_or((None, String::new()), |(acceptor, pem)| (Some(acceptor), pem));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Self { port, ca_pem, host, shared, accepting }
    }

    /// A URL of this origin.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.ca_pem.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}:{}{path}", self.host, self.port)
    }

    /// All bytes together leave at most this fast.
    pub(crate) fn throttle(&self, bytes_per_s: u64) {
        self.shared.bytes_per_s.store(bytes_per_s, Ordering::Relaxed);
    }

    /// Bytes handed to the socket so far, heads included (before TLS).
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// When so many bytes had been handed to the socket, one entry for each hand-over.
    pub(crate) fn marks(&self) -> Vec<(Instant, u64)> {
        self.shared.marks.lock().unwrap().clone()
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Closes the listener and every connection.
    pub(crate) async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            match tls {
                None => converse_plain(stream, connection, &shared).await,
                Some(tls) => {
                    if let Ok(mut stream) = tls.accept(stream).await {
                        let _ = converse(&mut stream, connection, &shared).await;
                        let _ = stream.shutdown().await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse_plain(mut stream: TcpStream, connection: usize, shared: &Shared) {
    match converse(&mut stream, connection, shared).await {
        Some(Act::Reset) => drop(stream.set_zero_linger()),
        _ => drop(stream.shutdown().await),
    }
}

/// Answers until somebody closes; gives the act that did.
async fn converse(stream: &mut dyn Duplex, connection: usize, shared: &Shared) -> Option<Act> {
    let mut buffer = Vec::new();
    loop {
        let asked = read_request(stream, &mut buffer, connection, shared).await?;
        for act in (shared.script)(&asked) {
            match act {
                Act::Send(bytes) => send(stream, &bytes, shared).await?,
                Act::Payload(payload, range) => send_payload(stream, payload, range, shared).await?,
                Act::Silence => {
                    while stream.read(&mut [0; 64]).await.ok()? > 0 {}
                    return None;
                }
                Act::Fin | Act::Reset => return Some(act),
            }
        }
    }
}

async fn read_request(
    stream: &mut dyn Duplex,
    buffer: &mut Vec<u8>,
    connection: usize,
    shared: &Shared,
) -> Option<Asked> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 || buffer.len() > 64 * 1024 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut requests = shared.requests.lock().unwrap();
    let asked = Asked { method, target, headers, index: requests.len(), connection };
    requests.push(asked.clone());
    Some(asked)
}

async fn send_payload(
    stream: &mut dyn Duplex,
    payload: Payload,
    range: Range<u64>,
    shared: &Shared,
) -> Option<()> {
    let mut bytes = vec![0; 64 * 1024];
    let mut at = range.start;
    while at < range.end {
        let count = usize::try_from((range.end - at).min(64 * 1024)).unwrap();
        payload.fill(at, &mut bytes[..count]);
        send(stream, &bytes[..count], shared).await?;
        at += u64::try_from(count).unwrap();
    }
    Some(())
}

async fn send(stream: &mut dyn Duplex, bytes: &[u8], shared: &Shared) -> Option<()> {
    for part in bytes.chunks(64 * 1024) {
        let count = u64::try_from(part.len()).unwrap();
        wait_for_turn(count, shared).await;
        stream.write_all(part).await.ok()?;
        let sent = shared.sent.fetch_add(count, Ordering::Relaxed) + count;
        shared.marks.lock().unwrap().push((shared.clock.monotonic(), sent));
    }
    stream.flush().await.ok()
}

async fn wait_for_turn(count: u64, shared: &Shared) {
    let rate = shared.bytes_per_s.load(Ordering::Relaxed);
    if rate == 0 {
        return;
    }
    let start = {
        let mut free_at = shared.free_at.lock().await;
        let start = (*free_at).max(shared.clock.monotonic());
        *free_at = start.after(Duration::from_micros(count * 1_000_000 / rate));
        start
    };
    shared.clock.sleep_until(start).await;
}

/// A TLS acceptor with a fresh certificate, and that certificate as PEM.
pub(crate) fn certificate() -> (TlsAcceptor, String) {
    acceptor(&[b"http/1.1"])
}

/// The same with these protocols on offer.
pub(crate) fn acceptor(protocols: &[&[u8]]) -> (TlsAcceptor, String) {
    let names = vec!["localhost".to_owned(), "origin.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}
