//! What a job asks of its requests: header lines of its own, and a rule for redirects.
//!
//! Knows: what an origin saw and what became known of secrets. Does not know: jobs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use nearbits::origin::{
    Credentials, Fault, Origin, OriginSeverity, OriginSpan, RedirectFault, RedirectRule, Url, parse_url,
};
use peer_proto::content::ByteRange;
use peer_proto::version::Version;

use super::origin_fetch::{client, fetch_in_steps};
use super::origin_script::{Act, Asked, Payload, Reply, Scripted, Site, cut, status};

const LEN: u64 = 100_000;
/// A value that stands nowhere else.
const TOKEN: &str = "tok3n-4711-never-to-be-seen";

fn site() -> Site {
    Site::new(Payload::new(17, LEN))
}

fn moved(target: &str) -> Reply {
    status("302 Found", &format!("Location: {target}\r\n"))
}

fn with_secret(url: &Url) -> Origin {
    with_lines(&client(), url, &[("Authorization", TOKEN), ("X-Key", TOKEN)])
}

fn with_lines(origin: &Origin, url: &Url, lines: &[(&str, &str)]) -> Origin {
    origin.with_credentials(Credentials::new(url, lines.iter().copied()).unwrap())
}

#[tokio::test]
async fn http_36_header_lines_go_with_every_request_and_make_the_answer_private() {
    let origin = Scripted::serve(site()).await;
    let url = parse_url(&origin.url("/file")).unwrap();
    let client = with_secret(&url);
    assert!(!client.probe(&url).await.unwrap().public);
    let fetched = fetch_in_steps(&client, &url, LEN / 3).await.unwrap();
    assert!(fetched.bytes == site().payload.all());
    let asked = origin.requests();
    assert!(asked.len() >= 5);
    for asked in asked {
        assert_eq!((asked.header("authorization"), asked.header("x-key")), (Some(TOKEN), Some(TOKEN)));
    }
}

#[tokio::test]
async fn t19_a_connection_that_carried_secrets_serves_only_who_sends_the_same() {
    let origin = Scripted::serve(site()).await;
    let url = parse_url(&origin.url("/file")).unwrap();
    let plain = client();
    let (one, other) = (&[("Authorization", "one")], &[("Authorization", "other")]);
    for asker in [
        plain.clone(),
        with_lines(&plain, &url, one),
        with_lines(&plain, &url, other),
        with_lines(&plain, &url, one),
        plain.clone(),
    ] {
        asker.probe(&url).await.unwrap();
    }
    let connections: Vec<usize> = origin.requests().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 1, 2, 1, 0]);
}

#[tokio::test]
async fn t19_where_secrets_led_is_forgotten() {
    let honest = site();
    let origin = Scripted::start(move |asked| match (asked.target.as_str(), asked.header("authorization")) {
        ("/file", Some(_)) => moved("/signed?for=them"),
        ("/file", None) => status("401 Unauthorized", ""),
        _ => honest.reply(asked),
    })
    .await;
    let url = parse_url(&origin.url("/file")).unwrap();
    let plain = client();
    let answer = with_lines(&plain, &url, &[("Authorization", "x")]).probe(&url).await.unwrap();
    let opened = plain.open(&url, OriginSpan::Whole, Some(&answer.version)).await;
    assert_eq!(opened.unwrap_err().status(), Some(401));
}

#[tokio::test]
async fn http_17_a_redirect_is_followed_and_told_or_refused_with_its_target() {
    let honest = site();
    let origin = Scripted::start(move |asked| match asked.target.as_str() {
        "/old" => moved("/new?signature=abc"),
        _ => honest.reply(asked),
    })
    .await;
    let url = parse_url(&origin.url("/old")).unwrap();
    let target = origin.url("/new?signature=abc");
    let follows = client();
    let answer = follows.probe(&url).await.unwrap();
    assert_eq!(answer.final_url.as_str(), target);
    assert!(answer.headers.iter().any(|(name, value)| name == "content-length" && *value == LEN.to_string()));
    // What was learned by those who follow does not lead round the rule.
    let denies = follows.with_redirects(RedirectRule::Refuse);
    let opened = denies.open(&url, OriginSpan::Whole, Some(&answer.version)).await.unwrap_err();
    for error in [denies.probe(&url).await.unwrap_err(), opened] {
        assert_eq!((error.severity(), error.status()), (OriginSeverity::Fatal, Some(302)));
        let Fault::Redirect(RedirectFault::Refused { target: told, .. }) = error.fault() else {
            panic!("{error}")
        };
        assert_eq!(*told, target);
        let place = origin.url("");
        assert!(error.to_string().ends_with(&format!("leads to {place}")), "{error}");
    }
    let direct = parse_url(&target).unwrap();
    assert!(denies.probe(&direct).await.is_ok());
}

#[tokio::test]
async fn err_62_a_missing_file_is_named_by_its_path_and_what_may_be_a_key_is_not() {
    let origin = Scripted::start(|asked| match asked.target.as_str() {
        "/old" => moved("/signed/abc?key=def"),
        _ => status("404 Not Found", ""),
    })
    .await;
    let place = origin.url("");
    for (target, path) in [("/a%20file", "/a%20file"), ("/file?key=def", "/file"), ("/old", "")] {
        let error = client().probe(&parse_url(&origin.url(target)).unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{place}{path}: HTTP status 404"), "{target}");
    }
}

/// Every way an origin goes wrong that has a text of its own, and one that repeats what it was sent.
fn misdeed(number: usize, asked: &Asked) -> Reply {
    let honest = site();
    let head = |text: &str| vec![Act::Send(format!("HTTP/1.1 {text}\r\n\r\n").into_bytes())];
    let echo = format!("X-Echo: {TOKEN}\r\nSet-Cookie: {TOKEN}\r\n");
    match number {
        0 => status("404 Not Found", &echo),
        1 => status("503 Busy", &format!("Retry-After: 1\r\n{echo}")),
        2 => vec![Act::Send(b"SMTP ready\r\n\r\n".to_vec()), Act::Fin],
        3 => head("206 Part\r\nContent-Range: bytes 7-8/9\r\nContent-Length: 2"),
        4 => cut(honest.reply(asked), LEN / 2, Act::Reset),
        5 => cut(honest.reply(asked), LEN / 3, Act::Silence),
        6 => head("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5"),
        7 => vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec()), Act::Fin],
        8 => Site { accept_ranges: None, ..honest }.reply(&Asked { headers: Vec::new(), ..asked.clone() }),
        9 => Site { etag: Some(format!("\"{}\"", asked.index)), ..honest }.reply(asked),
        10 => moved(&asked.target),
        11 => moved("ftp://elsewhere/"),
        12 => moved("http://169.254.169.254/"),
        13 => head("200 OK\r\nContent-Length: 1\r\nContent-Length: 2"),
        14 => vec![Act::Reset],
        _ => Site { extra: vec![("X-Echo".into(), TOKEN.into())], ..honest }.reply(asked),
    }
}

const MISDEEDS: usize = 16;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn p12_t19_no_header_line_shows_in_a_log_an_error_or_a_debug_text() {
    let log = Log::default();
    let kept = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || kept.clone())
        .finish();
    let listening = tracing::subscriber::set_default(subscriber);
    let mut told = String::new();
    let mut faults = 0;
    for number in 0..MISDEEDS {
        let origin = Scripted::start(move |asked| misdeed(number, asked)).await;
        let url = parse_url(&origin.url("/file")).unwrap();
        let client = with_secret(&url);
        told += &format!("{client:?}");
        let mut note = |outcome: Result<String, nearbits::origin::OriginError>| match outcome {
            Ok(text) => told += &text,
            Err(error) => {
                faults += 1;
                told += &format!("{error} {error:?} {:?}", error.fault());
            }
        };
        let answer = client.probe(&url).await;
        note(answer.map(|answer| format!("{answer:?}")));
        let pinned =
            Version { final_origin: origin.url(""), last_modified: None, etag: None, len: Some(LEN) };
        for (span, pinned) in [
            (OriginSpan::Whole, None),
            (OriginSpan::Range(ByteRange::new(9..LEN).unwrap()), None),
            (OriginSpan::Whole, Some(&pinned)),
        ] {
            match client.open(&url, span, pinned).await {
                Err(error) => note(Err(error)),
                Ok(mut body) => loop {
                    note(Ok(format!("{body:?}")));
                    match body.next().await {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => {
                            note(Err(error));
                            break;
                        }
                    }
                },
            }
        }
        assert!(origin.requests().iter().any(|asked| asked.header("x-key") == Some(TOKEN)), "{number}");
    }
    drop(listening);
    assert!(faults > 3 * (MISDEEDS - 2), "{faults}");
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("HTTP status 404"), "the log was written:\n{logged}");
    for text in [&told, &logged] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}
