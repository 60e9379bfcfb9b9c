//! Cases for `place`: answers that fit, nearly fit, and do not.
//!
//! Knows: heads built by hand. Does not know: sockets.

use super::*;

const LEN: u64 = 1_000;

fn url() -> Url {
    Url::parse("https://a.example/f").unwrap()
}

fn pinned() -> Version {
    Version {
        final_origin: "https://a.example:443".into(),
        etag: Some("\"1\"".into()),
        last_modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
        len: Some(LEN),
    }
}

fn head(status: u16, fields: &[(&str, String)]) -> Head {
    let mut response = http::Response::builder()
        .status(status)
        .header("etag", "\"1\"")
        .header("last-modified", "Sat, 21 Nov 2026 10:00:00 GMT");
    for (name, value) in fields {
        if response.headers_ref().is_some_and(|fields| fields.contains_key(*name)) {
            response.headers_mut().unwrap().remove(*name);
        }
        if !value.is_empty() {
            response = response.header(*name, value);
        }
    }
    Head::read(&response.body(()).unwrap().into_parts().0, false).unwrap()
}

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start..end).unwrap()
}

fn judge_part(label: &str, sent: u64) -> Result<Placed, Fault> {
    let head = head(206, &[("content-range", label.into()), ("content-length", sent.to_string())]);
    judge(&head, &url(), Asked { range: Some(range(100, 200)), pinned: Some(&pinned()) })
}

#[test]
fn d06_parts_are_placed_by_their_own_label() {
    let placed = |skip, promise| Ok(Placed { version: pinned(), start: 100, skip, promise });
    assert_eq!(judge_part("bytes 100-199/1000", 100), placed(0, Promise::Exactly(100)));
    assert_eq!(judge_part("bytes 100-149/1000", 50), placed(0, Promise::Exactly(50)));
    assert_eq!(judge_part("bytes 64-199/1000", 136), placed(36, Promise::Exactly(100)));
    assert_eq!(judge_part("bytes 100-299/1000", 200), placed(0, Promise::First(100)));
    assert_eq!(judge_part("bytes 0-999/1000", 1_000), placed(100, Promise::First(100)));
}

#[test]
fn d05_labels_that_do_not_fit_are_rejected() {
    for (label, sent) in [
        ("bytes 101-200/1000", 100),
        ("bytes 99-198/1000", 100),
        ("bytes 101-199/1000", 99),
        ("bytes 0-99/1000", 100),
        ("bytes 200-299/1000", 100),
    ] {
        assert_eq!(judge_part(label, sent), Err(Fault::broken(Violation::WrongRange)), "{label}");
    }
    for (label, sent) in [("bytes 100-199/1000", 99), ("bytes 100-199/1000", 101), ("bytes 99-199/1000", 100)]
    {
        assert_eq!(judge_part(label, sent), Err(Fault::broken(Violation::RangeAndLength)), "{label}");
    }
    let absent = head(206, &[("content-length", "100".into())]);
    let asked = Asked { range: Some(range(100, 200)), pinned: Some(&pinned()) };
    assert_eq!(judge(&absent, &url(), asked), Err(Fault::broken(Violation::NoContentRange)));
    let unasked = Asked { range: None, pinned: Some(&pinned()) };
    let part = head(206, &[("content-range", "bytes 0-99/1000".into()), ("content-length", "100".into())]);
    assert_eq!(judge(&part, &url(), unasked), Err(Fault::broken(Violation::NotAsked)));
}

#[test]
fn attest_3_any_difference_from_the_pinned_version_is_a_change() {
    let asked = Asked { range: Some(range(100, 200)), pinned: Some(&pinned()) };
    let part = |name: &'static str, value: &str| {
        let mut fields =
            vec![("content-range", "bytes 100-199/1000".to_owned()), ("content-length", "100".into())];
        fields.push((name, value.into()));
        judge(&head(206, &fields), &url(), asked)
    };
    for (name, value, what) in [
        ("etag", "\"2\"", "ETag"),
        ("etag", "W/\"1\"", "ETag"),
        ("etag", "", "ETag"),
        ("last-modified", "Sat, 21 Nov 2026 10:00:01 GMT", "Last-Modified"),
        ("content-range", "bytes 100-199/1001", "length"),
    ] {
        assert_eq!(part(name, value), Err(Fault::VersionChanged { what }), "{name}: {value}");
    }
    let elsewhere = Url::parse("https://b.example/f").unwrap();
    let same = head(206, &[("content-range", "bytes 100-199/1000".into()), ("content-length", "100".into())]);
    assert_eq!(judge(&same, &elsewhere, asked), Err(Fault::VersionChanged { what: "final origin" }));
}

#[test]
fn a_part_may_leave_out_what_rfc_9110_lets_it() {
    let asked = Asked { range: Some(range(100, 200)), pinned: Some(&pinned()) };
    let fields = [
        ("content-range", "bytes 100-199/*".to_owned()),
        ("content-length", "100".into()),
        ("last-modified", String::new()),
    ];
    assert_eq!(judge(&head(206, &fields), &url(), asked).map(|placed| placed.version), Ok(pinned()));
    let bare = Version { etag: None, last_modified: None, ..pinned() };
    let fields = [
        ("content-range", "bytes 100-199/*".to_owned()),
        ("content-length", "100".into()),
        ("etag", String::new()),
        ("last-modified", String::new()),
    ];
    let asked = Asked { pinned: Some(&bare), ..asked };
    assert_eq!(judge(&head(206, &fields), &url(), asked), Err(Fault::VersionChanged { what: "length" }));
}

#[test]
fn d04_the_whole_instead_of_a_part_means_no_ranges_or_another_version() {
    let asked = Asked { range: Some(range(100, 200)), pinned: Some(&pinned()) };
    let sized = |len: &str| [("content-length", len.to_owned())];
    assert_eq!(judge(&head(200, &sized("1000")), &url(), asked), Err(Fault::NoRanges));
    let chunked = head(200, &[("transfer-encoding", "chunked".into())]);
    assert_eq!(judge(&chunked, &url(), asked), Err(Fault::NoRanges));
    assert_eq!(
        judge(&head(200, &sized("1001")), &url(), asked),
        Err(Fault::VersionChanged { what: "length" })
    );
}

#[test]
fn d09_a_body_that_only_the_closed_connection_ends_is_refused() {
    let asked = Asked { range: None, pinned: None };
    assert_eq!(judge(&head(200, &[]), &url(), asked), Err(Fault::NoLength));
    let chunked = head(200, &[("transfer-encoding", "chunked".into())]);
    assert_eq!(judge(&chunked, &url(), asked).map(|placed| placed.promise), Ok(Promise::Open));
    let asked = Asked { range: None, pinned: Some(&pinned()) };
    assert_eq!(judge(&chunked, &url(), asked).map(|placed| placed.promise), Ok(Promise::Pinned(LEN)));
}

#[test]
fn d11_416_after_the_end_is_the_end_and_anywhere_else_it_is_not() {
    let pin = pinned();
    let judge_416 = |start: u64, label: &str| {
        let fields = [("content-range", label.to_owned()), ("content-length", "0".into())];
        let asked = Asked { range: Some(range(start, start + 10)), pinned: Some(&pin) };
        judge(&head(416, &fields), &url(), asked).map(|placed| placed.promise)
    };
    assert_eq!(judge_416(LEN, "bytes */1000"), Ok(Promise::First(0)));
    assert_eq!(judge_416(LEN, "bytes */999"), Err(Fault::VersionChanged { what: "length" }));
    assert_eq!(judge_416(100, "bytes */1000"), Err(Fault::NoRanges));
    assert_eq!(judge_416(100, ""), Err(Fault::NoRanges));
}

#[test]
fn d10_encoded_bodies_are_refused_before_a_byte_of_them() {
    let gzip = head(200, &[("content-length", "10".into()), ("content-encoding", "gzip".into())]);
    let asked = Asked { range: None, pinned: None };
    assert_eq!(judge(&gzip, &url(), asked), Err(Fault::Encoded { coding: "gzip".into() }));
}
