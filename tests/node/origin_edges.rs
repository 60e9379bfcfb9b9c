//! Where requests go: redirects, addresses, TLS, secrets, proxies, reuse of connections (D14, D15, T13–T19, TRUST-11).
//!
//! Knows: the scripted origin, plain and behind TLS. Does not know: what a job is.

use std::collections::BTreeMap;
use std::sync::Arc;

use nearbits::origin::{
    Credentials, Fault, Origin, OriginConfig, OriginSeverity, OriginSpan, ProxySettings, Reach,
    RedirectFault, parse_url,
};
use peer_proto::content::ByteRange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::origin_fetch::{client, client_trusting, config, fetch, fetch_in_steps, url_of};
use super::origin_script::{Act, Payload, Reply, Scripted, Site, acceptor, status};

const LEN: u64 = 300_000;

fn site() -> Site {
    Site::new(Payload::new(11, LEN))
}

fn moved(code: u16, to: &str) -> Reply {
    status(&format!("{code} Moved"), &format!("Location: {to}\r\n"))
}

/// An origin whose `/N` leads to `/N-1` and whose `/0` is the file.
async fn chain() -> Scripted {
    let honest = site();
    Scripted::start(move |asked| {
        let steps: u32 = asked.target.trim_start_matches('/').parse().unwrap_or(0);
        let code = [301, 302, 303, 307, 308][usize::try_from(steps).unwrap() % 5];
        if steps == 0 { honest.reply(asked) } else { moved(code, &format!("/{}#part", steps - 1)) }
    })
    .await
}

#[tokio::test]
async fn d14_ten_redirects_are_followed_and_eleven_are_not() {
    let origin = chain().await;
    for steps in [1, 10] {
        let url = parse_url(&origin.url(&format!("/{steps}"))).unwrap();
        assert!(fetch_in_steps(&client(), &url, 100_000).await.unwrap().bytes == site().payload.all());
    }
    let url = parse_url(&origin.url("/11")).unwrap();
    let error = fetch(&client(), &url).await.unwrap_err();
    assert_eq!(
        (error.fault(), error.severity()),
        (&Fault::Redirect(RedirectFault::TooMany), OriginSeverity::Fatal)
    );
}

#[tokio::test]
async fn d14_a_known_chain_is_not_walked_again_for_each_range() {
    let origin = chain().await;
    let url = parse_url(&origin.url("/5")).unwrap();
    let fetched = fetch_in_steps(&client(), &url, 50_000).await.unwrap();
    assert!(fetched.bytes == site().payload.all());
    let first_hops = origin.requests().iter().filter(|asked| asked.target == "/5").count();
    assert_eq!(first_hops, 1, "the probe only");
}

#[tokio::test]
async fn d14_redirects_to_forbidden_places_are_refused() {
    for (place, is_address) in [
        ("file:///etc/passwd", false),
        ("ftp://a.example/x", false),
        ("gopher://127.0.0.1/", false),
        ("http://u:p@127.0.0.1/", false),
        ("http://metadata.google.internal/x", false),
        ("http://169.254.169.254/latest/meta-data/", true),
        ("http://2852039166/latest/", true),
        ("http://0xa9fea9fe/", true),
        ("http://0251.0376.0251.0376/", true),
        ("http://[::ffff:169.254.169.254]/", true),
        ("http://[fd00:ec2::254]/", true),
        ("http://[fe80::1]/", true),
        ("http://0.0.0.0/", true),
        ("http://0/", true),
        ("http://224.0.0.1/", true),
        ("http://255.255.255.255/", true),
    ] {
        let origin = Scripted::start(move |_| moved(302, place)).await;
        let error = client().probe(&url_of(&origin)).await.unwrap_err();
        assert_eq!(error.severity(), OriginSeverity::Fatal, "{place}: {error}");
        let is_right = match error.fault() {
            Fault::AddressRefused { .. } => is_address,
            Fault::Redirect(RedirectFault::Place(_)) => !is_address,
            _ => false,
        };
        assert!(is_right, "{place}: {error}");
    }
}

#[tokio::test]
async fn d14_loops_and_redirects_to_nowhere_are_errors() {
    let origin = Scripted::start(|asked| moved(302, if asked.target == "/a" { "/b" } else { "/a" })).await;
    let error = client().probe(&parse_url(&origin.url("/a")).unwrap()).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Redirect(RedirectFault::Loop));
    let nowhere = Scripted::start(|_| status("302 Found", "")).await;
    let error = client().probe(&url_of(&nowhere)).await.unwrap_err();
    assert_eq!((error.status(), error.severity()), (Some(302), OriginSeverity::Fatal));
}

#[tokio::test]
async fn d16_t14_a_job_for_many_users_asks_no_private_address() {
    let origin = Scripted::serve(site()).await;
    let strict = Origin::new(OriginConfig { allow_private: Reach::GlobalOnly, ..config() }).unwrap();
    let error = strict.probe(&url_of(&origin)).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::AddressRefused { .. }), "{error}");
    for host in ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.169.254]"] {
        let url = parse_url(&format!("http://{host}:{}/", origin.port)).unwrap();
        assert!(
            matches!(client().probe(&url).await.unwrap_err().fault(), Fault::AddressRefused { .. }),
            "{host}"
        );
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn t14_a_name_that_leads_to_a_metadata_address_is_refused() {
    let names = BTreeMap::from([("evil.test".to_owned(), vec!["169.254.169.254".parse().unwrap()])]);
    let origin = Origin::new(OriginConfig { names, ..config() }).unwrap();
    let error = origin.probe(&parse_url("http://evil.test/x").unwrap()).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::AddressRefused { .. }), "{error}");
}

#[tokio::test]
async fn t13_https_never_leads_to_http_and_strangers_certificates_are_refused() {
    let plain = Scripted::serve(site()).await;
    let target = plain.url("/file");
    let secure = Scripted::start_tls(move |_| moved(302, &target)).await;
    let trusting = client_trusting(&secure.ca_pem, config());
    let error = trusting.probe(&url_of(&secure)).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Redirect(RedirectFault::Downgrade));
    assert!(plain.requests().is_empty());
    let error = client().probe(&url_of(&secure)).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Certificate { .. }), "{error}");
    assert_eq!(error.severity(), OriginSeverity::Fatal);
    let other_name = parse_url(&format!("https://127.0.0.1:{}/", secure.port)).unwrap();
    let error = trusting.probe(&other_name).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Certificate { .. }), "{error}");
}

#[tokio::test]
async fn err_65_a_port_that_speaks_another_protocol_says_which_to_write() {
    let plain = says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let error = client().probe(&plain).await.unwrap_err();
    assert_eq!((error.fault(), error.severity()), (&Fault::NotTls, OriginSeverity::Fatal));
    assert!(error.to_string().contains("write http://"), "{error}");
    let secure = Scripted::start_tls(|asked| site().reply(asked)).await;
    let asked = parse_url(&secure.url("/file").replace("https://", "http://")).unwrap();
    let error = client().probe(&asked).await.unwrap_err();
    assert_eq!((error.fault(), error.severity()), (&Fault::SpeaksTls, OriginSeverity::Fatal));
    assert!(error.to_string().ends_with("write https://"), "{error}");
}

#[tokio::test]
async fn err_65_tls_that_breaks_off_may_pass_and_tls_that_is_refused_does_not() {
    // Alerts: handshake_failure, and internal_error.
    for (alert, hopeless) in [(40, true), (80, false)] {
        let answer = vec![0x15, 3, 3, 0, 2, 2, alert];
        let error = client().probe(&says(answer).await).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Tls { hopeless: found, .. } if *found == hopeless), "{error}");
        assert_eq!(error.severity() == OriginSeverity::Fatal, hopeless, "{error}");
    }
    let error = client().probe(&says(Vec::new()).await).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Unreachable { .. }), "{error}");
}

/// An https URL under which somebody answers every connection with these bytes, and hangs up.
async fn says(answer: Vec<u8>) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4_096];
            let _ = stream.read(&mut hello).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    parse_url(&format!("https://127.0.0.1:{port}/file")).unwrap()
}

#[tokio::test]
async fn https_brings_exact_bytes_and_resumes() {
    let honest = site();
    let origin = Scripted::start_tls(move |asked| match asked.index {
        1 => super::origin_script::cut(honest.reply(asked), LEN / 2, Act::Fin),
        _ => honest.reply(asked),
    })
    .await;
    let fetched = fetch(&client_trusting(&origin.ca_pem, config()), &url_of(&origin)).await.unwrap();
    assert!(fetched.bytes == site().payload.all() && fetched.retries == 1);
}

#[tokio::test]
async fn t19_d15_credentials_reach_their_own_origin_only() {
    let other = Scripted::serve(site()).await;
    let back = Arc::new(std::sync::Mutex::new(String::new()));
    let away = Arc::clone(&back);
    let honest = site();
    let target = other.url("/file");
    let origin = Scripted::start(move |asked| match asked.target.as_str() {
        "/same" => moved(302, "/file"),
        "/other-port" => moved(302, &target),
        "/there-and-back" => moved(302, &away.lock().unwrap()),
        _ => honest.reply(asked),
    })
    .await;
    let home = origin.url("/file");
    let bouncer = Scripted::start(move |_| moved(302, &home)).await;
    *back.lock().unwrap() = bouncer.url("/bounce");
    for path in ["/same", "/other-port", "/there-and-back"] {
        let url = parse_url(&origin.url(path)).unwrap();
        let secrets =
            Credentials::new(&url, [("Authorization", "Basic c2VjcmV0"), ("Cookie", "id=secret")]).unwrap();
        let answer = client().with_credentials(secrets).probe(&url).await.unwrap();
        assert!(!answer.public);
    }
    let carries = |asked: &super::origin_script::Asked| {
        (asked.header("authorization").is_some(), asked.header("cookie").is_some())
    };
    let seen: Vec<_> = origin.requests().iter().map(|a| (a.target.clone(), carries(a))).collect();
    let yes = (true, true);
    let wanted = [
        ("/same", yes),
        ("/file", yes),
        ("/other-port", yes),
        ("/there-and-back", yes),
        ("/file", (false, false)),
    ];
    assert_eq!(seen, wanted.map(|(target, carried)| (target.to_owned(), carried)));
    for stranger in [&other, &bouncer] {
        assert!(stranger.requests().iter().all(|asked| carries(asked) == (false, false)));
    }
}

#[tokio::test]
async fn trust_11_a_digest_counts_over_https_only() {
    let mut digest_site = site();
    let value = format!("sha-256=:{}=:", "A".repeat(43));
    digest_site.extra.push(("Repr-Digest".into(), value));
    let (plain_site, secure_site) = (digest_site.clone(), digest_site);
    let plain = Scripted::serve(plain_site).await;
    assert_eq!(client().probe(&url_of(&plain)).await.unwrap().digests, []);
    let secure = Scripted::start_tls(move |asked| secure_site.reply(asked)).await;
    let answer = client_trusting(&secure.ca_pem, config()).probe(&url_of(&secure)).await.unwrap();
    assert_eq!(answer.digests.len(), 1);
    // One plain hop in front, and the digest proves nothing.
    let target = secure.url("/file");
    let front = Scripted::start(move |_| moved(301, &target)).await;
    let answer = client_trusting(&secure.ca_pem, config()).probe(&url_of(&front)).await.unwrap();
    assert_eq!(answer.digests, []);
    assert!(answer.version.final_origin.starts_with("https://localhost:"));
}

#[tokio::test]
async fn attest_14_an_answer_names_the_root_its_certificates_ended_in_and_whether_every_hop_was_https() {
    let plain = Scripted::serve(site()).await;
    let answer = client().probe(&url_of(&plain)).await.unwrap();
    assert_eq!((answer.secure, answer.anchor), (false, None));
    let secure = Scripted::start_tls(|asked| site().reply(asked)).await;
    let asked = async || client_trusting(&secure.ca_pem, config()).probe(&url_of(&secure)).await;
    let answer = asked().await.unwrap();
    let anchor = answer.anchor.expect("it is one of those that were given");
    assert!(answer.secure && anchor.is_extra);
    assert_eq!(asked().await.unwrap().anchor, Some(anchor), "it is always the same");
    let target = secure.url("/file");
    let front = Scripted::start(move |_| moved(301, &target)).await;
    let answer = client_trusting(&secure.ca_pem, config()).probe(&url_of(&front)).await.unwrap();
    assert_eq!((answer.secure, answer.anchor), (false, Some(anchor)));
}

#[tokio::test]
async fn one_connection_serves_probe_and_ranges() {
    let origin = Scripted::serve(site()).await;
    let client = client();
    assert!(fetch_in_steps(&client, &url_of(&origin), 50_000).await.unwrap().bytes == site().payload.all());
    assert_eq!((origin.connections(), origin.requests().len()), (1, 7));
    assert!(origin.requests().iter().all(|asked| asked.connection == 0));
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_no_error() {
    let honest = site();
    let origin = Scripted::start(move |asked| {
        let mut reply = honest.reply(asked);
        reply.push(Act::Fin);
        reply
    })
    .await;
    let fetched = fetch_in_steps(&client(), &url_of(&origin), 50_000).await.unwrap();
    assert!(fetched.bytes == site().payload.all() && fetched.retries == 0);
}

#[tokio::test]
async fn a_second_address_is_tried_when_the_first_is_dead() {
    let origin = Scripted::start_v6(|asked| site().reply(asked)).await;
    let addresses = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    let names = BTreeMap::from([("two.test".to_owned(), addresses)]);
    let client = Origin::new(OriginConfig { names, ..config() }).unwrap();
    let url = parse_url(&format!("http://two.test:{}/file", origin.port)).unwrap();
    assert!(fetch(&client, &url).await.unwrap().bytes == site().payload.all());
    assert!(fetch(&super::origin_fetch::client(), &url_of(&origin)).await.is_ok(), "a literal [::1]");
}

#[tokio::test]
async fn an_http_proxy_is_asked_in_absolute_form() {
    let honest = site();
    let proxy = Scripted::start(move |asked| honest.reply(asked)).await;
    let settings = ProxySettings {
        http: Some(format!("http://u:p@127.0.0.1:{}", proxy.port)),
        ..ProxySettings::default()
    };
    let client = Origin::new(OriginConfig { proxy: settings, ..config() }).unwrap();
    let url = parse_url("http://origin.test/dir/file?q=1").unwrap();
    let fetched = fetch_in_steps(&client, &url, 100_000).await.unwrap();
    assert!(fetched.bytes == site().payload.all());
    for asked in proxy.requests() {
        assert_eq!(asked.target, "http://origin.test/dir/file?q=1");
        assert_eq!(asked.header("host"), Some("origin.test"));
        assert_eq!(asked.header("proxy-authorization"), Some("Basic dTpw"));
    }
    let literal = parse_url("http://169.254.169.254/latest").unwrap();
    assert!(matches!(client.probe(&literal).await.unwrap_err().fault(), Fault::AddressRefused { .. }));
}

#[tokio::test]
async fn https_goes_through_a_proxy_in_a_tunnel() {
    let secure = Scripted::start_tls(|asked| site().reply(asked)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let origin_port = secure.port;
    let tunnel = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tokio::io::AsyncReadExt::read_u8(&mut near).await.unwrap());
        }
        tokio::io::AsyncWriteExt::write_all(&mut near, b"HTTP/1.1 200 Go\r\nX: y\r\n\r\n").await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", origin_port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        String::from_utf8(head).unwrap()
    });
    let settings = ProxySettings { https: Some(proxy.to_string()), ..ProxySettings::default() };
    let client = client_trusting(&secure.ca_pem, OriginConfig { proxy: settings, ..config() });
    let url = parse_url("https://origin.test/file").unwrap();
    assert!(fetch(&client, &url).await.unwrap().bytes == site().payload.all());
    drop(client);
    let head = tunnel.await.unwrap();
    assert!(head.starts_with("CONNECT origin.test:443 HTTP/1.1\r\nHost: origin.test:443\r\n"), "{head}");
}

#[tokio::test]
async fn http_2_origins_are_spoken_to_in_http_2() {
    let (tls, ca_pem) = acceptor(&[b"h2", b"http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let payload = Payload::new(5, 3 << 20);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = tls.accept(stream).await.unwrap();
            tokio::spawn(serve_h2(stream, payload));
        }
    });
    let client = client_trusting(&ca_pem, config());
    let url = parse_url(&format!("https://localhost:{port}/file")).unwrap();
    let fetched = fetch_in_steps(&client, &url, 1 << 20).await.unwrap();
    assert!(fetched.bytes == payload.all() && fetched.retries == 0);
    // Half a body, then the reader goes: nothing is left behind that would hold the connection.
    let span = OriginSpan::Range(ByteRange::new(0..2 << 20).unwrap());
    let mut body = client.open(&url, span, None).await.unwrap();
    assert!(body.next().await.unwrap().is_some());
    drop(body);
    server.abort();
}

async fn serve_h2(stream: tokio_rustls::server::TlsStream<TcpStream>, payload: Payload) {
    let service =
        hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
            assert_eq!(request.version(), http::Version::HTTP_2);
            let range =
                request.headers().get("range").and_then(|value| value.to_str().ok()).and_then(|text| {
                    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
                    Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()? + 1))
                });
            let response =
                http::Response::builder().header("etag", "\"h2\"").header("accept-ranges", "bytes");
            let (response, bytes) = match range {
                Some((start, end)) => (
                    response
                        .status(206)
                        .header("content-range", format!("bytes {start}-{}/{}", end - 1, payload.len)),
                    payload.bytes(start..end),
                ),
                None => (response.header("content-length", payload.len), payload.all()),
            };
            let bytes = if request.method() == http::Method::HEAD { Vec::new() } else { bytes };
            response.body(http_body_util::Full::new(bytes::Bytes::from(bytes)))
        });
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
}
