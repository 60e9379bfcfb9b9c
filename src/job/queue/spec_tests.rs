//! What can be a job, what can become of one, who sees which of it.
//!
//! Knows: the rules by their ids. Does not know: folders and origins.

use std::num::NonZeroU64;

use peer_proto::digest::Algorithm;

use super::super::super::Header;
use super::super::error::Code;
use super::*;

const FRESH: Moment = Moment { has_run: false, is_over: false, is_owner: true };
const RUNNING: Moment = Moment { has_run: true, is_over: false, is_owner: true };

fn file(name: &str) -> FileSpec {
    FileSpec {
        url: format!("https://origin.example/{name}"),
        mirrors: Vec::new(),
        destination: format!("/srv/{name}").into(),
        digests: Vec::new(),
        digest_from: None,
        ranges: Vec::new(),
    }
}

fn job(files: Vec<FileSpec>) -> Spec {
    Spec { name: "updates".into(), files, ..Spec::default() }
}

fn range(offset: u64, len: u64) -> RemoteRange {
    RemoteRange { offset, len: NonZeroU64::new(len) }
}

fn with_ranges(ranges: &[RemoteRange]) -> Spec {
    job(vec![FileSpec { ranges: ranges.to_vec(), ..file("a") }])
}

fn line(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

fn refusal(spec: &Spec) -> Option<(SpecError, Code)> {
    spec.check(&Limits::default()).err().map(|error| (error.clone(), error.code()))
}

#[test]
fn job_3_a_job_has_the_defaults_of_bits() {
    let spec: Spec = serde_json::from_str("{}").unwrap();
    assert_eq!(spec, Spec::default());
    assert_eq!((spec.retry_delay_s, spec.no_progress_s, spec.max_time_s), (600, 1_209_600, None));
    assert_eq!((spec.priority, spec.flags, spec.notify.number()), (Priority::Normal, PeerFlags::NONE, 0x3));
    assert_eq!((spec.redirects, spec.notify_interval_ms, spec.dynamic), (Redirects::Follow, 500, false));
}

#[test]
fn a_job_survives_being_written_down_and_unknown_keys_are_refused() {
    let mut spec = with_ranges(&[range(0, 5), RemoteRange { offset: 9, len: None }]);
    spec.files[0].mirrors.push("http://mirror.example/a".into());
    spec.max_time_s = Some(60);
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    assert!(serde_json::from_str::<Spec>(r#"{"prority": "low"}"#).is_err());
}

#[test]
fn job_4_and_lim_13_a_name_has_1_to_256_characters_and_a_description_1024() {
    let named = |name: &str| Spec { name: name.into(), ..job(vec![]) };
    assert_eq!(refusal(&named(&"ü".repeat(256))), None);
    let too_long = refusal(&named(&"ü".repeat(257)));
    assert_eq!(too_long, Some((SpecError::NameTooLong { chars: 257 }, Code::StringTooLong)));
    assert_eq!(refusal(&named("")), Some((SpecError::NoName, Code::InvalidArgument)));
    assert_eq!(refusal(&named("a\u{1b}[2J")), Some((SpecError::ControlInText, Code::InvalidArgument)));

    let described = |text: String| Spec { description: text, ..job(vec![]) };
    assert_eq!(refusal(&described("two\nlines\tand a column".into())), None);
    let refused = refusal(&described("a\u{1b}[2J".into()));
    assert_eq!(refused, Some((SpecError::ControlInText, Code::InvalidArgument)));
    assert_eq!(refusal(&described("x".repeat(1_024))), None);
    let too_long = refusal(&described("x".repeat(1_025)));
    assert_eq!(too_long, Some((SpecError::DescriptionTooLong { chars: 1_025 }, Code::StringTooLong)));
}

#[test]
fn job_4_a_job_without_a_name_is_named_after_its_first_file() {
    assert_eq!(job(vec![file("big.iso"), file("b")]).suggested_name(), "big.iso");
    assert_eq!(job(vec![]).suggested_name(), "job");
}

#[test]
fn file_1_a_url_is_absolute_and_of_http() {
    let url = |url: &str| {
        let spec = job(vec![file("ok"), FileSpec { url: url.into(), ..file("a") }]);
        match refusal(&spec) {
            Some((SpecError::Url { file: 1, fault }, Code::InvalidArgument)) => Some(fault),
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    };
    for fine in ["http://a", "HTTPS://a.example:8080/x?y=/z", "https://[::1]/"] {
        assert_eq!(url(fine), None, "{fine}");
    }
    for scheme in ["ftp://a/b", "file:///etc/passwd"] {
        assert_eq!(url(scheme), Some(UrlFault::Scheme), "{scheme}");
    }
    for relative in ["", "a/b", "//a/b", "http:a", "http:///b", "http://?q"] {
        assert_eq!(url(relative), Some(UrlFault::NotAbsolute), "{relative}");
    }
    assert_eq!(url("http://a/b c"), Some(UrlFault::Control));
    assert_eq!(url("http://a/b\r\nHost: c"), Some(UrlFault::Control));
}

#[test]
fn lim_11_a_url_has_2200_bytes_and_each_part_of_its_path_260() {
    let at = |path: String| FileSpec { url: format!("http://a/{path}"), ..file("a") };
    let long = format!("?{}", "q".repeat(2_200 - 10));
    assert_eq!(refusal(&job(vec![at(long.clone())])), None);
    let fault = UrlFault::TooLong { len: 2_201 };
    let spec = job(vec![at(format!("{long}q"))]);
    assert_eq!(refusal(&spec).map(|(error, _)| error), Some(SpecError::Url { file: 0, fault }));

    assert_eq!(refusal(&job(vec![at(format!("{0}/{0}", "p".repeat(260)))])), None);
    let fault = UrlFault::LongSegment { len: 261 };
    let spec = job(vec![at("p".repeat(261))]);
    assert_eq!(refusal(&spec).map(|(error, _)| error), Some(SpecError::Url { file: 0, fault }));
}

#[test]
fn file_1_lim_12_a_destination_is_an_absolute_path_of_a_file() {
    let to = |path: &str| refusal(&job(vec![FileSpec { destination: path.into(), ..file("a") }]));
    assert_eq!(to("/srv/with * and ?"), None);
    let relative = to("srv/a").expect("refused");
    assert_eq!(relative, (SpecError::RelativeDestination { file: 0 }, Code::InvalidArgument));
    for path in ["/", "/srv/", "/srv/..", "/srv/a\0b"] {
        assert_eq!(to(path).map(|(error, _)| error), Some(SpecError::NoFileName { file: 0 }), "{path:?}");
    }
    let long = format!("/{}", "d".repeat(4_096));
    assert_eq!(
        to(&long).map(|(error, _)| error),
        Some(SpecError::DestinationTooLong { file: 0, len: 4_097 })
    );
    assert_eq!(to(&long[..4_096]), None);
}

#[test]
fn a_file_has_8_mirrors_and_8_digests_at_most() {
    let mirrored =
        |count| job(vec![FileSpec { mirrors: vec!["http://mirror/a".into(); count], ..file("a") }]);
    assert_eq!(refusal(&mirrored(8)), None);
    for count in [9, 10] {
        let error = SpecError::TooManyMirrors { file: 0, count };
        assert_eq!(refusal(&mirrored(count)).map(|(error, _)| error), Some(error));
    }
    let digest = Digest::new(Algorithm::Sha256, vec![7; 32]).unwrap();
    let named = |count| job(vec![FileSpec { digests: vec![digest.clone(); count], ..file("a") }]);
    assert_eq!(refusal(&named(8)), None);
    for count in [9, 10] {
        let error = SpecError::TooManyDigests { file: 0, count };
        assert_eq!(refusal(&named(count)).map(|(error, _)| error), Some(error));
    }
}

#[test]
fn two_files_of_a_job_do_not_share_a_destination() {
    let again = FileSpec { destination: "/srv//./a".into(), ..file("other") };
    let error = refusal(&job(vec![file("a"), file("b"), again])).expect("refused");
    assert_eq!(error, (SpecError::SameDestination { first: 0, second: 2 }, Code::InvalidArgument));
}

#[test]
fn lim_9_a_job_has_200_files_unless_its_maker_is_exempt() {
    let files = |count: usize| job((0..count).map(|index| file(&index.to_string())).collect());
    assert_eq!(refusal(&files(200)), None);
    let error = SpecError::TooManyFiles { count: 201, most: 200 };
    assert_eq!(refusal(&files(201)), Some((error, Code::TooManyFilesInJob)));
    assert_eq!(files(201).check(&Limits::EXEMPT), Ok(()));
}

#[test]
fn lim_10_and_pol_15_a_file_has_500_ranges_unless_its_maker_is_exempt() {
    let ranges: Vec<RemoteRange> = (0..501).map(|index| range(index * 10, 10)).collect();
    assert_eq!(refusal(&with_ranges(&ranges[..500])), None);
    let error = SpecError::TooManyRanges { file: 0, count: 501, most: 500 };
    assert_eq!(refusal(&with_ranges(&ranges)), Some((error, Code::TooManyRangesInFile)));
    assert_eq!(with_ranges(&ranges).check(&Limits::EXEMPT), Ok(()));
}

#[test]
fn rng_1_a_range_may_reach_the_end_but_has_a_byte_and_an_offset_that_exists() {
    assert_eq!(refusal(&with_ranges(&[RemoteRange { offset: 7, len: None }])), None);
    assert!(serde_json::from_str::<RemoteRange>(r#"{"offset": 0, "len": 0}"#).is_err());
    assert!(serde_json::from_str::<RemoteRange>(r#"{"offset": "eof", "len": 1}"#).is_err());
    let error = SpecError::RangeTooFar { file: 0, range: 1 };
    assert_eq!(refusal(&with_ranges(&[range(0, 1), range(u64::MAX, 1)])), Some((error, Code::InvalidRange)));
}

#[test]
fn rng_3_rng_7_ranges_with_a_byte_in_common_are_refused_in_any_order() {
    let to_end = |offset| RemoteRange { offset, len: None };
    let overlaps = [
        [range(0, 10), range(9, 5)],
        [range(100, 5), range(100, 7)],
        [range(3, 4), range(3, 4)],
        [range(0, 100), range(10, 5)],
        [to_end(50), range(60, 1)],
        [to_end(50), to_end(90)],
    ];
    for [first, second] in overlaps {
        for ranges in [[first, second], [second, first]] {
            let error = SpecError::Overlap { file: 0, first: 0, second: 1 };
            assert_eq!(refusal(&with_ranges(&ranges)), Some((error, Code::OverlappingRanges)), "{ranges:?}");
        }
    }
}

#[test]
fn rng_4_ranges_may_come_in_any_order_and_touch() {
    let ranges = [range(100, 100), range(900, 100), range(400, 100), range(500, 400), range(0, 100)];
    assert_eq!(refusal(&with_ranges(&ranges)), None);
}

#[test]
fn file_23_a_dynamic_job_has_no_ranges() {
    let spec = Spec { dynamic: true, ..with_ranges(&[range(0, 1)]) };
    let error = SpecError::DynamicRanges { file: 0 };
    assert_eq!(refusal(&spec), Some((error, Code::UnsupportedJobConfiguration)));
    let change = Change { dynamic: Some(true), ..Change::default() };
    let error = with_ranges(&[range(0, 1)]).apply(&change, &FRESH, &Limits::default());
    assert_eq!(error, Err(SpecError::DynamicRanges { file: 0 }));
}

#[test]
fn lim_14_header_lines_have_16384_bytes_together() {
    let with = |len: usize| Spec { headers: Headers(vec![line("x", &"v".repeat(len))]), ..job(vec![]) };
    assert_eq!(refusal(&with(16_384 - 5)), None);
    let error = SpecError::HeadersTooLong { len: 16_385 };
    assert_eq!(refusal(&with(16_384 - 4)), Some((error, Code::StringTooLong)));
}

#[test]
fn http_36_header_lines_are_headers_and_none_of_ours() {
    let with = |name: &str, value: &str| {
        refusal(&Spec { headers: Headers(vec![line(name, value)]), ..job(vec![]) }).map(|(error, _)| error)
    };
    assert_eq!(with("X-Token", "a b\tc"), None);
    for (name, value) in [("", "v"), ("a b", "v"), ("a:b", "v"), ("x", "v\r\ny: z"), ("x", "\0")] {
        assert_eq!(with(name, value), Some(SpecError::NoHeader { line: 0 }), "{name:?} {value:?}");
    }
    for name in ["Range", "host", "IF-RANGE"] {
        assert!(matches!(with(name, "v"), Some(SpecError::OwnHeader { line: 0, .. })), "{name}");
    }
}

#[test]
fn errors_of_a_job_show_no_secret() {
    let mut spec = job(vec![FileSpec { url: "ftp://a/?token=secret".into(), ..file("a") }]);
    let error = spec.check(&Limits::default()).unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
    spec = Spec { headers: Headers(vec![line("Host", "secret")]), ..job(vec![]) };
    let error = spec.check(&Limits::default()).unwrap_err().to_string();
    assert!(!error.contains("secret") && !format!("{spec:?}").contains("secret"), "{error}");
}

#[test]
fn lim_1_a_retry_delay_under_5_s_is_raised_to_5() {
    let spec: Spec = serde_json::from_str(r#"{"retry-delay-s": 1}"#).unwrap();
    assert_eq!(spec.retry_delay_s, 5);
    let change = Change { retry_delay_s: Some(0), ..Change::default() };
    assert_eq!(job(vec![]).apply(&change, &RUNNING, &Limits::default()).unwrap().retry_delay_s, 5);
}

#[test]
fn lim_3_a_job_without_time_is_refused_and_a_change_to_none_gives_the_policys_again() {
    let spec = Spec { max_time_s: Some(0), ..job(vec![]) };
    assert_eq!(refusal(&spec), Some((SpecError::NoTime, Code::InvalidArgument)));
    let spec = Spec { max_time_s: Some(60), ..job(vec![]) };
    let change = Change { max_time_s: Some(0), ..Change::default() };
    assert_eq!(spec.apply(&change, &RUNNING, &Limits::default()).unwrap().max_time_s, None);
    let change = Change { max_time_s: Some(1), ..Change::default() };
    assert_eq!(spec.apply(&change, &RUNNING, &Limits::default()).unwrap().max_time_s, Some(1));
}

#[test]
fn file_4_files_are_added_all_or_none() {
    let spec = job(vec![file("a")]);
    let change = Change { add_files: vec![file("b"), file("c")], ..Change::default() };
    let next = spec.apply(&change, &RUNNING, &Limits::default()).unwrap();
    assert_eq!(next.files, [file("a"), file("b"), file("c")]);
    let change = Change { add_files: vec![file("b"), file("a")], ..Change::default() };
    let error = spec.apply(&change, &RUNNING, &Limits::default());
    assert_eq!(error, Err(SpecError::SameDestination { first: 0, second: 2 }));
}

#[test]
fn job_7_properties_change_at_any_time_and_files_stay() {
    let change = Change {
        name: Some("other".into()),
        priority: Some(Priority::Low),
        flags: Some(PeerFlags::BOTH),
        notify: NotifyFlags::from_number(0x8),
        ..Change::default()
    };
    let spec = job(vec![file("a")]);
    let next = spec.apply(&change, &RUNNING, &Limits::default()).unwrap();
    let wanted = Spec {
        name: "other".into(),
        priority: Priority::Low,
        flags: PeerFlags::BOTH,
        notify: NotifyFlags::from_number(0x8).unwrap(),
        ..spec
    };
    assert_eq!(next, wanted);
}

#[test]
fn lim_9_a_limit_that_sank_refuses_more_files_and_nothing_else() {
    let limits = Limits { files_per_job: Some(1), ranges_per_file: Some(1) };
    let mut spec = with_ranges(&[range(0, 1), range(5, 1)]);
    spec.files.push(file("b"));
    let change = Change { name: Some("other".into()), ..Change::default() };
    assert_eq!(spec.apply(&change, &RUNNING, &limits).unwrap().name, "other");
    let change = Change { add_files: vec![file("c")], ..Change::default() };
    let error = SpecError::TooManyFiles { count: 3, most: 1 };
    assert_eq!(spec.apply(&change, &RUNNING, &limits), Err(error));
}

#[test]
fn file_12_one_files_url_is_replaced() {
    let spec = job(vec![file("a"), file("b")]);
    let to = |index, url: &str| {
        let change = Change { url: Some((index, url.into())), ..Change::default() };
        spec.apply(&change, &RUNNING, &Limits::default())
    };
    let next = to(1, "http://mirror.example/b").unwrap();
    assert_eq!(
        (next.files[0].url.as_str(), next.files[1].url.as_str()),
        ("https://origin.example/a", "http://mirror.example/b")
    );
    assert_eq!(to(2, "http://a/"), Err(SpecError::NoSuchFile { file: 2, count: 2 }));
    assert_eq!(to(0, "ftp://a/"), Err(SpecError::Url { file: 0, fault: UrlFault::Scheme }));
}

#[test]
fn file_12_digests_that_are_set_take_the_place_of_a_list_of_checksums() {
    let mut spec = job(vec![file("a")]);
    spec.files[0].digest_from = Some("https://origin.example/SHA256SUMS".into());
    let digest = Digest::new(Algorithm::Sha256, vec![7; 32]).unwrap();
    let change = Change { digests: Some((0, vec![digest.clone()])), ..Change::default() };
    let next = spec.apply(&change, &RUNNING, &Limits::default()).unwrap();
    assert_eq!((&next.files[0].digests[..], &next.files[0].digest_from), (&[digest][..], &None));
}

#[test]
fn file_13_a_prefix_is_replaced_at_the_start_of_each_url_that_has_it() {
    let mut spec = job(vec![file("a"), file("b")]);
    spec.files[1].url = "https://other.example/?from=https://origin.example/".into();
    let swap = |old: &str, new: &str| {
        let change = Change { replace_prefix: Some((old.into(), new.into())), ..Change::default() };
        spec.apply(&change, &RUNNING, &Limits::default())
    };
    let next = swap("https://origin.example/", "http://new.example/x/").unwrap();
    assert_eq!(next.files[0].url, "http://new.example/x/a");
    assert_eq!(next.files[1].url, spec.files[1].url);
    assert_eq!(swap("HTTPS://ORIGIN.EXAMPLE/", "http://b/"), Ok(spec.clone()));
    assert_eq!(swap("", "http://b/"), Err(SpecError::EmptyPrefix));
    assert_eq!(swap("https://", ""), Err(SpecError::EmptyPrefix));
    let long = format!("https://{}", "x/".repeat(1_100));
    let fault = UrlFault::TooLong { len: long.len() + "origin.example/a".len() };
    assert_eq!(swap("https://", &long), Err(SpecError::Url { file: 0, fault }));
}

#[test]
fn file_20_file_24_some_properties_are_read_only_after_the_first_resume() {
    let spec = job(vec![file("a")]);
    let changes = [
        ("max-size", Change { max_size: Some(MaxSize(Some(1))), ..Change::default() }),
        ("dynamic", Change { dynamic: Some(true), ..Change::default() }),
    ];
    for (property, change) in changes {
        assert!(spec.apply(&change, &FRESH, &Limits::default()).is_ok(), "{property}");
        let error = spec.apply(&change, &RUNNING, &Limits::default()).unwrap_err();
        assert_eq!(error, SpecError::AfterResume { property });
        assert_eq!(error.code(), Code::ReadOnlyPropertyAfterResume);
    }
    let change = Change { max_size: Some(MaxSize(Some(0))), ..Change::default() };
    let error = spec.apply(&change, &FRESH, &Limits::default()).unwrap_err();
    assert_eq!((error.code(), error), (Code::MaxDownloadSizeInvalidValue, SpecError::NoSize));
}

#[test]
fn file_24_a_limit_of_size_is_set_and_lifted_and_stays_where_nothing_is_said() {
    let read = |json: &str| serde_json::from_str::<Change>(json).unwrap();
    let limits = Limits::default();
    let limited = job(vec![file("a")]).apply(&read(r#"{"max-size": 10}"#), &FRESH, &limits).unwrap();
    assert_eq!(limited.max_size, Some(10));
    let same = limited.apply(&read(r#"{"name": "b"}"#), &FRESH, &limits).unwrap();
    assert_eq!(same.max_size, Some(10));
    let lifted = limited.apply(&read(r#"{"max-size": null}"#), &FRESH, &limits).unwrap();
    assert_eq!(lifted.max_size, None);
    let change = Change { max_size: Some(MaxSize(None)), ..Change::default() };
    assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"max-size":null}"#);
}

#[test]
fn job_t28_a_job_that_is_over_is_not_changed() {
    let moment = Moment { is_over: true, ..RUNNING };
    let error = job(vec![]).apply(&Change::default(), &moment, &Limits::default()).unwrap_err();
    assert_eq!((error.code(), error), (Code::InvalidState, SpecError::Over));
}

#[test]
fn http_36_only_the_owner_sets_removes_and_reads_header_lines() {
    let headers = Headers(vec![line("X-Token", "secret")]);
    let change = Change { headers: Some(headers.clone()), ..Change::default() };
    let admin = Moment { is_owner: false, ..RUNNING };
    let error = job(vec![]).apply(&change, &admin, &Limits::default()).unwrap_err();
    assert_eq!((error.code(), error), (Code::AccessDenied, SpecError::NotOwner));

    let spec = job(vec![]).apply(&change, &RUNNING, &Limits::default()).unwrap();
    assert_eq!(spec.shown(true).headers, headers);
    assert_eq!(spec.shown(false).headers, Headers::default());
    let removal = Change { headers: Some(Headers::default()), ..Change::default() };
    assert_eq!(spec.apply(&removal, &RUNNING, &Limits::default()), Ok(job(vec![])));
}

#[test]
fn http_37_write_only_header_lines_are_read_by_nobody_and_stay_so() {
    let headers = Headers(vec![line("X-Token", "secret")]);
    let spec = Spec { headers, ..job(vec![]) };
    let hide = Change { headers_write_only: Some(true), ..Change::default() };
    let hidden = spec.apply(&hide, &RUNNING, &Limits::default()).unwrap();
    assert_eq!(hidden.headers, spec.headers);
    assert_eq!(hidden.shown(true).headers, Headers::default());
    let show = Change { headers_write_only: Some(false), ..Change::default() };
    let error = hidden.apply(&show, &RUNNING, &Limits::default()).unwrap_err();
    assert_eq!((error.code(), error), (Code::ReadOnlyProperty, SpecError::WriteOnlyForGood));
    let other = Change { headers: Some(Headers(vec![line("X-Token", "new")])), ..Change::default() };
    assert!(hidden.apply(&other, &RUNNING, &Limits::default()).unwrap().headers_write_only);
}

#[test]
fn notify_1_flags_have_bits_numbers_and_disable_overrides_the_others() {
    for number in 0..0x40 {
        let flags = NotifyFlags::from_number(number).unwrap();
        assert_eq!(flags.number(), number);
        let wanted = if number & 0x4 == 0 { number } else { 0x4 };
        assert_eq!(flags.effective().number(), wanted);
    }
    assert_eq!(NotifyFlags::from_number(0x40), None);
    assert_eq!(NotifyFlags::from_number(0x20).map(|flags| flags.file_ranges_transferred), Some(true));
}

#[test]
fn file_27_changes_are_told_every_500_ms_unless_the_job_says_otherwise_at_any_time() {
    assert_eq!(Spec::default().notify_interval_ms, 500);
    for moment in [FRESH, RUNNING] {
        let change = Change { notify_interval_ms: Some(0), ..Change::default() };
        let next = job(vec![file("a")]).apply(&change, &moment, &Limits::default()).unwrap();
        assert_eq!(next.notify_interval_ms, 0);
    }
}

#[test]
fn what_differs_between_two_jobs_of_one_wish_makes_the_one_do_what_the_other_was_to_do() {
    let rates = Rates { total: NonZeroU64::new(9), ..Rates::default() };
    let mut known = Spec { rates, max_time_s: Some(60), existing: Existing::Replace, ..job(vec![file("a")]) };
    assert_eq!(Change::between(&known, &known), None);
    known.name = "another".into();
    known.trust = crate::job::TrustFloor::Digest;
    let wanted = Spec {
        priority: Priority::Foreground,
        retry_delay_s: 5,
        no_progress_s: 6,
        ask: Ask::Nobody,
        shareable: true,
        redirects: Redirects::Deny,
        ..job(vec![file("a")])
    };
    let change = Change::between(&known, &wanted).expect("they differ");
    let changed = known.apply(&change, &RUNNING, &Limits::default()).expect("it may change");
    assert_eq!(changed, Spec { name: known.name, ..wanted }, "all but what people call it");
}
