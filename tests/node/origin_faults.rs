//! Bodies, ranges and versions that go wrong (D01–D12, D18–D20): the outcome is the exact bytes or an error in words.
//!
//! Knows: the scripted origin and the smallest downloader. Does not know: nodes; whole-node cases live elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nearbits::origin::{Fault, Origin, OriginConfig, OriginError, OriginSeverity, OriginSpan, Violation};
use peer_proto::content::ByteRange;

use super::origin_fetch::{client, config, fetch, fetch_in_steps, url_of};
use super::origin_script::{Act, Asked, Payload, Reply, Scripted, Site, cut, status};

const KIB: u64 = 1024;
const PIECE: u64 = 64 * KIB;
const LEN: u64 = 8 * PIECE + 777;

fn payload() -> Payload {
    Payload::new(7, LEN)
}

fn site() -> Site {
    Site::new(payload())
}

/// An origin whose first `count` bodies are told by `wrong`, all else is honest.
async fn wrong_at_first(
    count: usize,
    wrong: impl Fn(&Site, &Asked) -> Reply + Send + Sync + 'static,
) -> Scripted {
    let bodies = AtomicUsize::new(0);
    let site = site();
    Scripted::start(move |asked| {
        if asked.is_head() || bodies.fetch_add(1, Ordering::Relaxed) >= count {
            return site.reply(asked);
        }
        wrong(&site, asked)
    })
    .await
}

fn is_transient(error: &OriginError) -> bool {
    matches!(error.severity(), OriginSeverity::Transient { .. })
}

#[tokio::test]
async fn telling_sizes_are_exact_in_one_go_in_steps_and_in_chunks() {
    for len in
        [0, 1, 1_023, 1_024, 1_025, PIECE - 1, PIECE, PIECE + 1, KIB * KIB - 1, KIB * KIB, KIB * KIB + 1]
    {
        let payload = Payload::new(len, len);
        let origin = Scripted::serve(Site::new(payload)).await;
        for step in [u64::MAX, 100_000] {
            let fetched = fetch_in_steps(&client(), &url_of(&origin), step).await.unwrap();
            assert!(fetched.bytes == payload.all() && fetched.retries == 0, "{len} in steps of {step}");
        }
        let chunked = Scripted::start(move |asked| chunks(&Site::new(payload), asked, b"0\r\n\r\n")).await;
        let fetched = fetch(&client(), &url_of(&chunked)).await.unwrap();
        assert!(fetched.bytes == payload.all(), "{len} in chunks");
    }
}

/// A chunked 200 whatever was asked.
fn chunks(site: &Site, asked: &Asked, end: &[u8]) -> Reply {
    let mut reply = vec![Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec())];
    if asked.is_head() {
        return reply;
    }
    let mut at = 0;
    while at < site.payload.len {
        let next = (at + 10_000).min(site.payload.len);
        reply.push(Act::Send(format!("{:x}\r\n", next - at).into_bytes()));
        reply.push(Act::Payload(site.payload, at..next));
        reply.push(Act::Send(b"\r\n".to_vec()));
        at = next;
    }
    reply.push(Act::Send(end.to_vec()));
    reply
}

async fn resumes_after(end: Act, no_more_than: Duration) {
    for count in [0, 1, PIECE - 1, LEN / 2, LEN - 1] {
        let last_act = end.clone();
        let origin =
            wrong_at_first(1, move |site, asked| cut(site.reply(asked), count, last_act.clone())).await;
        let fetched =
            tokio::time::timeout(no_more_than, fetch(&client(), &url_of(&origin))).await.unwrap().unwrap();
        assert!(fetched.bytes == payload().all(), "after {count} bytes");
        // A reset may overtake the head of the answer; on a used connection that is mended without a word.
        let is_told = fetched.retries == 1 || (matches!(end, Act::Reset) && fetched.retries == 0);
        assert!(is_told && fetched.restarts == 0, "after {count} bytes: {} retries", fetched.retries);
        let last = origin.requests().pop().unwrap();
        if count > 0 && !matches!(end, Act::Reset) {
            assert_eq!(last.range(), Some((count, Some(LEN))));
            assert_eq!(last.header("if-range"), site().etag.as_deref());
        }
    }
}

#[tokio::test]
async fn d01_fin_after_n_bytes_resumes() {
    resumes_after(Act::Fin, Duration::from_secs(20)).await;
}

#[tokio::test]
async fn d02_reset_after_n_bytes_resumes() {
    resumes_after(Act::Reset, Duration::from_secs(20)).await;
}

#[tokio::test]
async fn d03_silence_mid_body_is_noticed_and_resumed() {
    resumes_after(Act::Silence, Duration::from_secs(20)).await;
}

#[tokio::test]
async fn d04_the_whole_instead_of_a_part_is_never_appended() {
    for advertised in [Some("bytes"), None, Some("none")] {
        let honest = Site { accept_ranges: advertised.map(Into::into), ..site() };
        let first = AtomicUsize::new(0);
        let origin = Scripted::start(move |asked| {
            let whole = Asked { headers: Vec::new(), ..asked.clone() };
            let reply = honest.reply(&whole);
            let is_first_body = !asked.is_head() && asked.range() != Some((0, Some(1)));
            if is_first_body && first.fetch_add(1, Ordering::Relaxed) == 0 {
                return cut(reply, LEN / 2, Act::Fin);
            }
            reply
        })
        .await;
        let fetched = fetch(&client(), &url_of(&origin)).await.unwrap();
        assert!(fetched.bytes == payload().all(), "{advertised:?}");
        assert_eq!(fetched.restarts, 0);
    }
}

#[tokio::test]
async fn d05_wrong_labels_are_rejected_and_the_third_is_an_error() {
    let labels: [fn(u64, u64) -> String; 12] = [
        |start, end| format!("Content-Range: bytes {}-{}/{LEN}\r\n", start + 1, end),
        |start, end| format!("Content-Range: bytes {}-{}/{LEN}\r\n", start - 1, end - 2),
        |start, end| format!("Content-Range: bytes {}-{}/{LEN}\r\n", start + 16 * KIB, end - 1 + 16 * KIB),
        |start, end| format!("Content-Range: bytes {}-{}/{LEN}\r\n", start - 16 * KIB, end - 1 - 16 * KIB),
        |start, end| format!("Content-Range: bytes {}-{}/{LEN}\r\n", end - 1, start),
        |start, _| format!("Content-Range: bytes {start}-18446744073709551615/{LEN}\r\n"),
        |start, end| format!("Content-Range: bytes {start}-{}/99999999999999999999999\r\n", end - 1),
        |_, _| "Content-Range: everything you asked for\r\n".into(),
        |_, _| String::new(),
        |start, end| {
            let label = format!("Content-Range: bytes {start}-{}/{LEN}\r\n", end - 1);
            format!("{label}{label}")
        },
        |start, end| format!("Content-Range: bytes {start}-{}/{LEN}\r\n", end - 2),
        |start, end| format!("Content-Range: bytes={start}-{}/{LEN}\r\n", end - 1),
    ];
    for (index, label) in labels.into_iter().enumerate() {
        let honest = site();
        let origin = Scripted::start(move |asked| match honest.range_of(asked) {
            Some((start, end)) if !asked.is_head() => {
                let fields = format!("{}Content-Length: {}\r\n", label(start, end), end - start);
                vec![honest.head("206 Partial Content", &fields), Act::Payload(honest.payload, start..end)]
            }
            _ => honest.reply(asked),
        })
        .await;
        let (client, url) = (client(), url_of(&origin));
        let pinned = client.probe(&url).await.unwrap().version;
        let range = OriginSpan::Range(ByteRange::new(2 * PIECE..4 * PIECE).unwrap());
        for attempt in 1..=3 {
            let error = client.open(&url, range, Some(&pinned)).await.unwrap_err();
            assert_eq!(is_transient(&error), attempt < 3, "label {index}, attempt {attempt}: {error}");
            assert!(matches!(error.fault(), Fault::Broken { .. }), "label {index}: {error}");
        }
    }
}

/// Which bytes come, when these were asked for.
type Shape = fn(u64, u64) -> (u64, u64);

#[tokio::test]
async fn d06_shorter_and_earlier_parts_are_used_and_longer_ones_cut() {
    let shapes: [Shape; 5] = [
        |start, end| (start, (start + 10_000).min(end)),
        |start, end| (start.saturating_sub(1), end),
        |start, end| (start / PIECE * PIECE, end),
        |start, _| (start, LEN),
        |start, end| (start / PIECE * PIECE, (end + PIECE).min(LEN)),
    ];
    for (index, shape) in shapes.into_iter().enumerate() {
        let honest = site();
        let origin = Scripted::start(move |asked| match honest.range_of(asked) {
            Some((start, end)) if !asked.is_head() => {
                let (from, to) = shape(start, end);
                vec![honest.part_head(from, to), Act::Payload(honest.payload, from..to)]
            }
            _ => honest.reply(asked),
        })
        .await;
        let fetched = fetch_in_steps(&client(), &url_of(&origin), 100_001).await.unwrap();
        assert!(fetched.bytes == payload().all(), "shape {index}");
        assert_eq!((fetched.retries, fetched.restarts), (0, 0), "shape {index}");
    }
}

/// Serves `old` to the first two requests (a HEAD and a cut body), `new` afterwards.
async fn changing(old: Site, new: Site, honours_if_range: bool) -> Scripted {
    Scripted::start(move |asked| match asked.index {
        0 => old.reply(asked),
        1 => cut(old.reply(asked), LEN / 2, Act::Fin),
        _ if honours_if_range => new.reply(asked),
        _ => {
            let headers = asked.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("if-range"));
            new.reply(&Asked { headers: headers.cloned().collect(), ..asked.clone() })
        }
    })
    .await
}

#[tokio::test]
async fn d07_a_changed_version_starts_again_and_is_never_mixed() {
    let old = site();
    let later = Some("Sat, 21 Nov 2026 11:00:00 GMT".to_owned());
    let with = |len: u64| Site { etag: Some(format!("\"new-{len}\"")), ..Site::new(Payload::new(8, len)) };
    let dated = Site { etag: None, last_modified: later, ..Site::new(Payload::new(8, LEN)) };
    for (old, new) in [
        (old.clone(), with(LEN)),
        (old.clone(), with(LEN + 5_000)),
        (old.clone(), with(LEN - 5_000)),
        (old.clone(), with(LEN / 4)),
        (Site { etag: None, ..old.clone() }, dated),
        (old.clone(), Site { last_modified: None, ..with(LEN) }),
    ] {
        for honours_if_range in [true, false] {
            let wanted = new.payload.all();
            let origin = changing(old.clone(), new.clone(), honours_if_range).await;
            let fetched = fetch(&client(), &url_of(&origin)).await.unwrap();
            assert!(fetched.bytes == wanted, "{new:?}, If-Range honoured: {honours_if_range}");
            assert_eq!(fetched.restarts, 1);
        }
    }
}

#[tokio::test]
async fn d07_weak_or_missing_validators_never_join_two_bodies() {
    let weak = |tag: &str| Some(format!("W/\"{tag}\""));
    let old = Site { etag: weak("1"), last_modified: None, ..site() };
    let same_tag = Site { etag: weak("1"), last_modified: None, ..Site::new(Payload::new(8, LEN)) };
    let bare = Site { etag: None, last_modified: None, ..site() };
    let bare_new = Site { etag: None, last_modified: None, ..Site::new(Payload::new(8, LEN)) };
    for (old, new) in [(old, same_tag), (bare, bare_new)] {
        let wanted = new.payload.all();
        let origin = changing(old, new, false).await;
        let fetched = fetch(&client(), &url_of(&origin)).await.unwrap();
        assert!(fetched.bytes == wanted);
        assert!(origin.requests().iter().skip(2).all(|asked| asked.range().is_none()));
    }
}

#[tokio::test]
async fn d09_a_body_without_length_is_an_error_unless_it_is_chunked() {
    let honest = site();
    let origin = Scripted::start(move |asked| {
        let mut reply = vec![honest.head("200 OK", "Connection: close\r\n")];
        if !asked.is_head() {
            reply.extend([Act::Payload(honest.payload, 0..LEN / 2), Act::Fin]);
        }
        reply
    })
    .await;
    let error = fetch(&client(), &url_of(&origin)).await.unwrap_err();
    assert_eq!((error.fault(), error.severity()), (&Fault::NoLength, OriginSeverity::Fatal));
    let one_point_oh =
        Scripted::start(|_| vec![Act::Send(b"HTTP/1.0 200 OK\r\n\r\nhalf a file".to_vec()), Act::Fin]).await;
    assert_eq!(fetch(&client(), &url_of(&one_point_oh)).await.unwrap_err().fault(), &Fault::NoLength);
}

#[tokio::test]
async fn d09_bad_chunks_are_an_error_and_cut_chunks_start_again() {
    for end in ["zz\r\n", "-5\r\n", "5;", "fffffffffffffffff\r\n", "5\r\nhello!!\r\n"] {
        let honest = site();
        let origin = Scripted::start(move |asked| {
            let mut reply = chunks(&honest, asked, end.as_bytes());
            reply.push(Act::Fin);
            reply
        })
        .await;
        let error = fetch(&client(), &url_of(&origin)).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Broken { .. } | Fault::Cut { .. }), "{end:?}: {error}");
    }
    let bodies = AtomicUsize::new(0);
    let honest = site();
    let origin = Scripted::start(move |asked| {
        let is_first =
            asked.range().is_none() && !asked.is_head() && bodies.fetch_add(1, Ordering::Relaxed) == 0;
        let reply = chunks(&honest, asked, b"0\r\n\r\n");
        if is_first { cut(reply, LEN / 2, Act::Fin) } else { reply }
    })
    .await;
    let fetched = fetch(&client(), &url_of(&origin)).await.unwrap();
    assert!(fetched.bytes == payload().all() && fetched.retries == 1);
}

#[tokio::test]
async fn d10_a_forced_coding_is_refused_and_its_body_not_read() {
    for coding in ["gzip", "br", "deflate, gzip", "zstd"] {
        let extra = vec![("Content-Encoding".to_owned(), coding.to_owned())];
        let bomb = Site { extra, ..Site::new(Payload::new(1, 1 << 40)) };
        let origin = Scripted::serve(bomb).await;
        let error = fetch(&client(), &url_of(&origin)).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Encoded { .. }), "{error}");
        assert_eq!(error.severity(), OriginSeverity::Fatal);
        assert!(origin.requests().iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
        assert!(origin.sent() < 64 * KIB * KIB, "{} bytes", origin.sent());
    }
}

#[tokio::test]
async fn d11_416_is_the_end_only_right_after_the_end_of_the_same_version() {
    let origin = Scripted::serve(site()).await;
    let (client, url) = (client(), url_of(&origin));
    let pinned = client.probe(&url).await.unwrap().version;
    let after = |len: u64| OriginSpan::Range(ByteRange::new(len..len + 10).unwrap());
    let mut body = client.open(&url, after(LEN), Some(&pinned)).await.unwrap();
    assert_eq!((body.next().await.unwrap(), body.end()), (None, Some(LEN)));
    let grown = peer_proto::version::Version { len: Some(LEN + 5), ..pinned };
    let error = client.open(&url, after(LEN + 5), Some(&grown)).await.unwrap_err();
    assert_eq!(error.severity(), OriginSeverity::VersionChanged);
    let honest = site();
    let stubborn = Scripted::start(move |asked| match asked.range() {
        Some(_) => status("416 Range Not Satisfiable", &format!("Content-Range: bytes */{LEN}\r\n")),
        None => honest.reply(asked),
    })
    .await;
    let fetched = fetch_in_steps(&super::origin_fetch::client(), &url_of(&stubborn), 100_000).await.unwrap();
    assert!(fetched.bytes == payload().all());
}

#[tokio::test]
async fn d12_a_refused_or_lying_head_gives_way_to_get() {
    let lies: [fn(&Site) -> Reply; 9] = [
        |_| status("403 Forbidden", ""),
        |_| status("405 Method Not Allowed", ""),
        |_| status("501 Not Implemented", ""),
        |_| status("404 Not Found", ""),
        |site| vec![site.head("200 OK", &format!("Content-Length: {}\r\n", LEN + 5))],
        |site| vec![site.head("200 OK", "Content-Length: 5\r\n")],
        |site| vec![site.head("200 OK", "Content-Length: 0\r\n")],
        |_| {
            vec![Act::Send(format!("HTTP/1.1 200 OK\r\nETag: \"other\"\r\nAccept-Ranges: bytes\r\nContent-Length: {LEN}\r\n\r\n").into_bytes())]
        },
        |_| vec![Act::Fin],
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let honest = site();
        let origin =
            Scripted::start(move |asked| if asked.is_head() { lie(&honest) } else { honest.reply(asked) })
                .await;
        let fetched = fetch(&client(), &url_of(&origin)).await.unwrap();
        assert!(fetched.bytes == payload().all(), "lie {index}");
        assert!(fetched.restarts <= 1, "lie {index}");
    }
}

#[tokio::test]
async fn d12_an_origin_that_never_answers_head_is_asked_by_get_next_time() {
    let honest = site();
    let origin =
        Scripted::start(move |asked| if asked.is_head() { vec![Act::Silence] } else { honest.reply(asked) })
            .await;
    let config = OriginConfig { head_timeout: Duration::from_millis(200), ..config() };
    let fetched = fetch(&Origin::new(config).unwrap(), &url_of(&origin)).await.unwrap();
    assert!(fetched.bytes == payload().all() && fetched.retries == 1);
}

#[tokio::test]
async fn d06_a_complete_part_needs_no_end_mark() {
    for end in [Act::Silence, Act::Fin] {
        let origin = Scripted::start(move |_| {
            let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nTransfer-Encoding: chunked\r\n\r\n";
            vec![Act::Send(format!("{head}5\r\nhello\r\n").into_bytes()), end.clone()]
        })
        .await;
        let span = OriginSpan::Range(ByteRange::new(0..5).unwrap());
        let mut body = client().open(&url_of(&origin), span, None).await.unwrap();
        assert_eq!(body.next().await.unwrap().as_deref(), Some(&b"hello"[..]));
        assert!(body.next().await.unwrap().is_none() && body.is_finished());
    }
}

#[tokio::test]
async fn d12_lengths_that_never_agree_are_an_error() {
    // No Accept-Ranges: the probe learns by asking for the first byte, which states another length than the whole does.
    let honest = Site { accept_ranges: None, ..site() };
    let origin = Scripted::start(move |asked| match honest.range_of(asked) {
        Some((start, end)) => vec![honest.part_head(start, end), Act::Payload(honest.payload, start..end)],
        None => vec![
            honest.head("200 OK", &format!("Content-Length: {}\r\n", LEN - 1)),
            Act::Payload(honest.payload, 0..LEN - 1),
        ],
    })
    .await;
    let error = fetch(&client(), &url_of(&origin)).await.unwrap_err();
    assert_eq!(error.severity(), OriginSeverity::VersionChanged);
}

#[tokio::test]
async fn d18_retry_after_reaches_the_caller_capped() {
    for (fields, wanted) in [
        ("Retry-After: 7\r\n", Some(7)),
        ("Retry-After: 99999999999999999999\r\n", Some(3_600)),
        ("Date: Sat, 21 Nov 2026 10:00:00 GMT\r\nRetry-After: Sat, 21 Nov 2026 10:00:30 GMT\r\n", Some(30)),
        ("Retry-After: -7\r\n", None),
        ("", None),
    ] {
        for line in ["503 Service Unavailable", "429 Too Many Requests"] {
            let origin = Scripted::start(move |_| status(line, fields)).await;
            let error = client().probe(&url_of(&origin)).await.unwrap_err();
            let retry_after = wanted.map(Duration::from_secs);
            assert_eq!(error.severity(), OriginSeverity::Transient { retry_after }, "{line} {fields}");
            assert_eq!(error.status(), line[..3].parse().ok());
        }
    }
}

#[tokio::test]
async fn d19_a_flaky_origin_is_exact_in_bounded_requests() {
    let honest = site();
    let origin = Scripted::start(move |asked| {
        // A fixed third of all requests fails, each in another way.
        match asked.index * 7 % 20 {
            0 | 7 => status("503 Service Unavailable", ""),
            1 | 9 => vec![Act::Reset],
            2 | 13 => cut(honest.reply(asked), 30_000, Act::Fin),
            3 => cut(honest.reply(asked), 10_000, Act::Reset),
            _ => honest.reply(asked),
        }
    })
    .await;
    let fetched = fetch_in_steps(&client(), &url_of(&origin), 50_000).await.unwrap();
    assert!(fetched.bytes == payload().all());
    assert!(origin.requests().len() < 60, "{} requests", origin.requests().len());
}

#[tokio::test]
async fn d20_denied_and_gone_mid_way_are_fatal() {
    for line in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"] {
        let honest = site();
        let origin = Scripted::start(move |asked| match asked.index {
            0 => honest.reply(asked),
            1 => cut(honest.reply(asked), LEN / 2, Act::Fin),
            _ => status(line, ""),
        })
        .await;
        let error = fetch(&client(), &url_of(&origin)).await.unwrap_err();
        assert_eq!((error.severity(), error.status()), (OriginSeverity::Fatal, line[..3].parse().ok()));
        assert_eq!(origin.requests().len(), 3);
    }
}

#[tokio::test]
async fn t15_a_part_nobody_asked_for_is_not_used() {
    let honest = site();
    let origin = Scripted::start(move |asked| {
        if asked.is_head() {
            honest.reply(asked)
        } else {
            vec![honest.part_head(0, LEN), Act::Payload(honest.payload, 0..LEN)]
        }
    })
    .await;
    let (client, url) = (client(), url_of(&origin));
    let error = client.open(&url, OriginSpan::Whole, None).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Broken { violation: Violation::NotAsked, .. }));
}

#[tokio::test]
async fn an_origin_that_dies_mid_body_is_worth_another_try_later() {
    let mut origin = Scripted::serve(Site::new(Payload::new(1, 64 << 20))).await;
    origin.throttle(64 << 20);
    let (client, url) = (client(), url_of(&origin));
    let mut body = client.open(&url, OriginSpan::Whole, None).await.unwrap();
    let first = body.next().await.unwrap().unwrap();
    assert!(Payload::new(1, 64 << 20).all().starts_with(&first));
    assert!(origin.sent() < 32 << 20, "throttled, {} bytes had left", origin.sent());
    origin.stop().await;
    let error = loop {
        if let Err(error) = body.next().await {
            break error;
        }
    };
    assert!(is_transient(&error) && matches!(error.fault(), Fault::Cut { .. }), "{error}");
    let error = client.probe(&url).await.unwrap_err();
    assert!(is_transient(&error) && matches!(error.fault(), Fault::Unreachable { .. }), "{error}");
}
