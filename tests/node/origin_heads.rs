//! Heads that no server should send (D13, T17): an error of the origin's, little memory, no hanging.
//!
//! Knows: raw bytes. Does not know: what hyper makes of them.

use std::time::Duration;

use nearbits::origin::{Fault, OriginError, OriginSeverity, OriginSpan, Violation};

use super::origin_fetch::{client, fetch, url_of};
use super::origin_script::{Act, Payload, Scripted, Site};

/// What the client makes of an origin that says this to every question and then closes.
async fn outcome_of(head: Vec<u8>) -> (OriginError, u64) {
    let origin = Scripted::start(move |_| vec![Act::Send(head.clone()), Act::Fin]).await;
    let (client, url) = (client(), url_of(&origin));
    let asked = client.open(&url, OriginSpan::Whole, None);
    let opened = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
    let error = match opened {
        Err(error) => error,
        Ok(mut body) => loop {
            match body.next().await {
                Ok(Some(_)) => {}
                Ok(None) => unreachable!("an answer that cannot be right was taken for a good one"),
                Err(error) => break error,
            }
        },
    };
    (error, origin.sent())
}

#[tokio::test]
async fn d13_malformed_heads_are_errors_of_the_origin() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nNo colon here\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\n folded\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\0b\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX : a\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\nETag: \"b\"\r\n\r\nhello",
        "HTTP/1.1 twohundred OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "hello, this is HTTP/0.9",
        "\r\n\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let (error, _) = outcome_of(head.as_bytes().to_vec()).await;
        assert!(
            matches!(error.severity(), OriginSeverity::Transient { retry_after: None }),
            "{head:?}: {error}"
        );
        assert!(matches!(error.fault(), Fault::Broken { .. } | Fault::NoAnswer { .. }), "{head:?}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[tokio::test]
async fn d13_t17_endless_heads_are_cut_at_64_kib() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let long = |text: String| text.into_bytes();
    for (name, head) in [
        ("one value of 8 MiB", long(format!("{ok}X: {}\r\n\r\n", "v".repeat(8 << 20)))),
        ("200 000 fields", long(format!("{ok}{}\r\n", "X: y\r\n".repeat(200_000)))),
        ("101 fields", long(format!("{ok}{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(100)))),
        ("20 000 interim answers", long("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(20_000))),
        ("a status line without end", long(format!("HTTP/1.1 200 {}", "k".repeat(1 << 20)))),
    ] {
        let (error, sent) = outcome_of(head).await;
        let is_right = matches!(
            error.fault(),
            Fault::Broken { violation: Violation::HeadTooLong | Violation::Garbled, .. }
        );
        assert!(is_right, "{name}: {error}");
        // What the client did not read stays in socket buffers.
        assert!(sent < 8 << 20, "{name}: {sent} bytes left the origin");
    }
}

#[tokio::test]
async fn d13_a_few_interim_answers_are_fine() {
    let site = Site::new(Payload::new(3, 5_000));
    let origin = Scripted::start(move |asked| {
        let mut reply = vec![Act::Send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(3))];
        reply.extend(site.reply(asked));
        reply
    })
    .await;
    assert!(fetch(&client(), &url_of(&origin)).await.unwrap().bytes == Payload::new(3, 5_000).all());
}

#[tokio::test]
async fn t17_a_length_beyond_all_disks_only_costs_what_arrives() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nhello", i64::MAX);
    let (error, _) = outcome_of(head.into_bytes()).await;
    assert!(matches!(error.fault(), Fault::Cut { received: 5, .. }), "{error}");
}

#[tokio::test]
async fn t17_a_head_that_drips_for_ever_times_out() {
    let origin = Scripted::start(|_| vec![Act::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), Act::Silence]).await;
    let error = client().open(&url_of(&origin), OriginSpan::Whole, None).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::TimedOut { .. }), "{error}");
    assert_eq!(error.severity(), OriginSeverity::Transient { retry_after: None });
}

#[tokio::test]
async fn t17_a_body_beyond_its_promise_is_never_handed_out() {
    let origin = Scripted::start(|_| {
        let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nTransfer-Encoding: chunked\r\n\r\n";
        vec![Act::Send(format!("{part}5\r\nhello\r\n4\r\nmore\r\n0\r\n\r\n").into_bytes())]
    })
    .await;
    let span = OriginSpan::Range(peer_proto::content::ByteRange::new(0..5).unwrap());
    let mut body = client().open(&url_of(&origin), span, None).await.unwrap();
    let mut got = Vec::new();
    let error = loop {
        match body.next().await {
            Ok(Some(bytes)) => got.extend_from_slice(&bytes),
            Ok(None) => unreachable!("four bytes too many were swallowed"),
            Err(error) => break error,
        }
    };
    assert!(b"hello".starts_with(&got));
    assert!(matches!(error.fault(), Fault::Broken { violation: Violation::TooMuch, .. }), "{error}");
    assert!(body.next().await.is_err() && !body.is_finished());
}
