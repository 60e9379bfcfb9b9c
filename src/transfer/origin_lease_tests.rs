//! Tests of what is asked of an origin for a file of ranges, over a socket of its own.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};

use peer_proto::content::ByteRange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::origin_lease::{OriginSource, probe};
use crate::engine::io::{LeaseFault, Severity, Span};
use crate::job::{Header, Headers, Redirects, Remote, RemoteRange};
use crate::origin::{Origin, OriginConfig, ProxySettings};

const LEN: usize = 1_000;

/// What the origin does about ranges.
#[derive(Clone, Copy)]
enum Manner {
    Honest,
    /// It says so, and sends all.
    NoRanges,
    /// It says that it gives them, and sends all.
    LiesAboutRanges,
    /// It sends at most so many bytes of a range.
    Short(usize),
    /// It answers several ranges in one request, in this way.
    Several(Several),
    /// It has moved.
    Moved,
}

/// How several ranges in one request are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Several {
    Exact,
    OtherOrder,
    OtherBoundary,
    PartMissing,
    Merged,
    /// What is in the second part is not all there, and the answer ends in good order.
    Short,
    /// One part, without more ado.
    OnlyFirst,
    /// All of the file.
    Whole,
    NotSatisfiable,
}

impl Several {
    fn answer(self, parts: &[(usize, usize)]) -> (String, Vec<u8>) {
        let mut parts = parts.to_vec();
        match self {
            Self::OnlyFirst => parts.truncate(1),
            Self::OtherOrder => parts.reverse(),
            Self::PartMissing => drop(parts.pop()),
            Self::Merged => parts = vec![(parts[0].0, parts[0].1), (400, LEN)],
            Self::Whole => return ("200 OK".into(), payload()),
            Self::NotSatisfiable => return ("416 No".into(), Vec::new()),
            Self::Exact | Self::OtherBoundary | Self::Short => {}
        }
        if let [(start, end)] = parts[..] {
            let label = format!("206 Part\r\ncontent-range: bytes {start}-{}/{LEN}", end - 1);
            return (label, payload()[start..end].to_vec());
        }
        let boundary = if self == Self::OtherBoundary { "other" } else { "between" };
        let mut body = Vec::new();
        for (index, (start, end)) in parts.into_iter().enumerate() {
            let label = format!("\r\n--{boundary}\r\ncontent-range: bytes {start}-{}/{LEN}\r\n\r\n", end - 1);
            body.extend(label.into_bytes());
            body.extend(&payload()[start..end]);
            if self == Self::Short && index == 1 {
                body.truncate(body.len() - 30);
                break;
            }
        }
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        ("206 Parts\r\ncontent-type: multipart/byteranges; boundary=between".into(), body)
    }
}

struct Desk {
    url: String,
    /// The `Range` of each GET.
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

fn payload() -> Vec<u8> {
    (0..LEN).map(|at| (at ^ (at >> 3)).to_le_bytes()[0]).collect()
}

impl Desk {
    async fn open(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (mut serving, notes) = (JoinSet::new(), asked.clone());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manner, notes.clone()));
            }
        });
        Self { url, asked, _serving: serving }
    }

    fn remote(&self, ranges: &[(u64, u64)]) -> Remote {
        let ranges =
            ranges.iter().map(|(offset, len)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) });
        Remote { url: self.url.clone(), ranges: ranges.collect(), ..Remote::default() }
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap().to_lowercase();
        let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=").map(str::to_owned));
        let answer = answer(&text, range.as_deref(), manner);
        if text.starts_with("get") {
            asked.lock().unwrap().push(range.unwrap_or_default());
        }
        stream.write_all(&answer).await.unwrap();
    }
}

fn answer(text: &str, range: Option<&str>, manner: Manner) -> Vec<u8> {
    let units = if matches!(manner, Manner::NoRanges) { "none" } else { "bytes" };
    let fields = format!("etag: \"a\"\r\naccept-ranges: {units}\r\n");
    let bounds = |(first, last): (&str, &str)| (first.parse().unwrap(), last.parse::<usize>().unwrap() + 1);
    let parts =
        range.map(|range| range.split(',').filter_map(|part| part.split_once('-')).map(bounds).collect());
    let parts: Vec<(usize, usize)> = parts.unwrap_or_default();
    let (status, body) = match (manner, parts.first().copied()) {
        (Manner::Several(several), Some(_)) if parts.len() > 1 => several.answer(&parts),
        (Manner::Moved, _) => ("302 Found\r\nlocation: /elsewhere?key=1".to_owned(), Vec::new()),
        (Manner::NoRanges | Manner::LiesAboutRanges, _) | (_, None) => ("200 OK".to_owned(), payload()),
        (Manner::Honest | Manner::Short(_) | Manner::Several(_), Some((start, end))) => {
            let end = if let Manner::Short(most) = manner { end.min(start + most) } else { end };
            let label = format!("206 Part\r\ncontent-range: bytes {start}-{}/{LEN}", end - 1);
            (label, payload()[start..end].to_vec())
        }
    };
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len()).into_bytes();
    if !text.starts_with("head") {
        answer.extend(body);
    }
    answer
}

fn client() -> Origin {
    Origin::new(OriginConfig { proxy: ProxySettings::default(), ..OriginConfig::default() }).unwrap()
}

async fn fetch(remote: &Remote, span: Span) -> Result<Vec<u8>, LeaseFault> {
    fetch_by(&client(), remote, span).await
}

async fn fetch_by(client: &Origin, remote: &Remote, span: Span) -> Result<Vec<u8>, LeaseFault> {
    let pinned = probe(client, remote).await.map_err(LeaseFault::Origin)?.version;
    let mut source = OriginSource::open(client, remote, &pinned, span).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = source.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

const RANGES: [(u64, u64); 4] = [(100, 100), (900, 0), (400, 50), (450, 50)];

fn wanted() -> Vec<u8> {
    let all = payload();
    [&all[100..200], &all[900..], &all[400..500]].concat()
}

#[tokio::test]
async fn rng_4_the_local_file_is_the_ranges_back_to_back_in_the_order_given() {
    let desk = Desk::open(Manner::Honest).await;
    let remote = desk.remote(&RANGES);
    assert_eq!(probe(&client(), &remote).await.unwrap().version.len, Some(300));
    let all = Span::Range(ByteRange::new(0..300).unwrap());
    assert_eq!(fetch(&remote, all).await.unwrap(), wanted());
    let each = ["100-199,900-999,400-499", "100-199", "900-999", "400-499"];
    assert_eq!(*desk.asked.lock().unwrap(), each, "all at once, which it does not know, then each by itself");
    desk.asked.lock().unwrap().clear();
    let some = Span::Range(ByteRange::new(150..250).unwrap());
    assert_eq!(fetch(&remote, some).await.unwrap(), wanted()[150..250]);
    assert_eq!(*desk.asked.lock().unwrap(), ["950-999,400-449", "950-999", "400-449"]);
    assert_eq!(fetch(&remote, Span::ToEnd).await.unwrap(), wanted());
    assert!(desk.asked.lock().unwrap().iter().all(|range| !range.is_empty()), "never all of the remote file");
}

#[tokio::test]
async fn rng_4_a_range_that_is_answered_in_part_is_asked_for_again() {
    let desk = Desk::open(Manner::Short(70)).await;
    let remote = desk.remote(&RANGES);
    let all = Span::Range(ByteRange::new(0..300).unwrap());
    assert_eq!(fetch(&remote, all).await.unwrap(), wanted());
    let asked = desk.asked.lock().unwrap().clone();
    assert_eq!(asked[1..], ["100-199", "170-199", "900-999", "970-999", "400-499", "470-499"]);
}

/// All of [`RANGES`] as they are asked for in one request.
const ALL_AT_ONCE: &str = "100-199,900-999,400-499";

#[tokio::test]
async fn rng_17_several_ranges_come_in_one_answer() {
    let desk = Desk::open(Manner::Several(Several::Exact)).await;
    let remote = desk.remote(&RANGES);
    let all = Span::Range(ByteRange::new(0..300).unwrap());
    assert_eq!(fetch(&remote, all).await.unwrap(), wanted());
    assert_eq!(*desk.asked.lock().unwrap(), [ALL_AT_ONCE]);
    // More than go into one request.
    desk.asked.lock().unwrap().clear();
    let many: Vec<(u64, u64)> = (0..70).map(|index| (index * 14, 10)).collect();
    let expected: Vec<u8> = many
        .iter()
        .flat_map(|(offset, _)| {
            let start = usize::try_from(*offset).unwrap();
            payload()[start..start + 10].to_vec()
        })
        .collect();
    assert_eq!(fetch(&desk.remote(&many), Span::ToEnd).await.unwrap(), expected);
    let counts = desk.asked.lock().unwrap().iter().map(|range| range.split(',').count()).collect::<Vec<_>>();
    assert_eq!(counts, [32, 32, 6]);
}

#[tokio::test]
async fn rng_17_an_answer_that_is_not_as_asked_leads_to_one_range_for_each_request() {
    for (several, taken) in [
        (Several::OtherOrder, 0),
        (Several::OtherBoundary, 0),
        (Several::PartMissing, 2),
        (Several::Merged, 1),
        (Several::Short, 1),
        (Several::OnlyFirst, 0),
        (Several::Whole, 0),
        (Several::NotSatisfiable, 0),
    ] {
        let desk = Desk::open(Manner::Several(several)).await;
        let remote = desk.remote(&RANGES);
        let (client, all) = (client(), Span::Range(ByteRange::new(0..300).unwrap()));
        assert_eq!(fetch_by(&client, &remote, all).await.unwrap(), wanted(), "{several:?}");
        let mut asked = desk.asked.lock().unwrap().clone();
        let each = ["100-199", "900-999", "400-499"];
        assert_eq!(asked.remove(0), ALL_AT_ONCE, "{several:?}");
        assert_eq!(asked, each[taken..], "{several:?}");
        // It is remembered.
        desk.asked.lock().unwrap().clear();
        assert_eq!(fetch_by(&client, &remote, all).await.unwrap(), wanted(), "{several:?}");
        assert_eq!(*desk.asked.lock().unwrap(), each, "{several:?}");
    }
}

#[tokio::test]
async fn http_8_one_range_of_the_whole_file_is_asked_for_without_a_range() {
    let desk = Desk::open(Manner::NoRanges).await;
    let all = Span::Range(ByteRange::new(0..1_000).unwrap());
    assert_eq!(fetch(&desk.remote(&[(0, 0)]), all).await.unwrap(), payload());
    assert_eq!(fetch(&desk.remote(&[(0, 600), (600, 400)]), all).await.unwrap(), payload());
    assert!(desk.asked.lock().unwrap().iter().all(String::is_empty));
}

#[tokio::test]
async fn rng_5_a_range_outside_the_remote_file_is_fatal() {
    let desk = Desk::open(Manner::Honest).await;
    for range in [(999, 2), (1_000, 1), (1_000, 0)] {
        let fault = probe(&client(), &desk.remote(&[(0, 1), range])).await.unwrap_err();
        assert_eq!(fault.severity, Severity::Fatal);
        let place = format!("from byte {} lies outside the remote file, which has 1000 bytes", range.0);
        assert!(fault.message.contains(&place), "{fault}");
    }
}

#[tokio::test]
async fn rng_6_an_origin_without_ranges_is_fatal_and_gives_no_stream_from_zero() {
    for manner in [Manner::NoRanges, Manner::LiesAboutRanges] {
        let desk = Desk::open(manner).await;
        for span in [Span::Range(ByteRange::new(0..300).unwrap()), Span::ToEnd] {
            let Err(LeaseFault::Origin(fault)) = fetch(&desk.remote(&RANGES), span).await else {
                panic!("bytes came")
            };
            assert_eq!(fault.severity, Severity::Fatal);
            assert!(fault.message.contains("does not answer range requests"), "{fault}");
        }
    }
}

#[tokio::test]
async fn http_17_a_refused_redirect_names_its_target() {
    let desk = Desk::open(Manner::Moved).await;
    let remote = Remote { redirects: Redirects::Deny, ..desk.remote(&[]) };
    let fault = probe(&client(), &remote).await.unwrap_err();
    assert_eq!((fault.severity, fault.status), (Severity::Fatal, Some(302)));
    assert_eq!(fault.redirect, Some(desk.url.replace("/file", "/elsewhere?key=1")));
}

#[tokio::test]
async fn t18_a_header_line_with_a_line_end_is_never_sent() {
    let desk = Desk::open(Manner::Honest).await;
    let header = Header { name: "X-Key".into(), value: "secret\r\nHost: b".into() };
    let remote = Remote { headers: Headers(vec![header]), ..desk.remote(&[]) };
    let fault = probe(&client(), &remote).await.unwrap_err();
    assert_eq!(fault.severity, Severity::Fatal);
    assert!(!format!("{fault} {fault:?} {remote:?}").contains("secret"));
}
