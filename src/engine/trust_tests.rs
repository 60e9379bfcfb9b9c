//! Every case that a file may be in, and the level of trust that comes of it.

use super::*;

/// A probe that is fit for anything.
fn probe() -> Probe {
    Probe {
        version: Version {
            final_origin: "https://example.org:443".into(),
            etag: Some("\"a\"".into()),
            last_modified: None,
            len: Some(9),
        },
        ranges: true,
        digests: Vec::new(),
        public: true,
        footing: Footing { secure: true, date_unix_s: Some(1_800_000_000), ..Footing::default() },
        round_trip: Duration::ZERO,
        final_url: String::new(),
        headers: Vec::new(),
    }
}

/// What may be so or not of a file, one after the other.
const EACH: [bool; 2] = [true, false];

/// The whole matrix: a digest or not, a group or not, https or not, how firm the version is, whether the answer is public,
/// whether header lines were sent, whether the URL has a query, whether the job says that it is shareable, how many
/// attestors vouch, and each floor. What comes out is worked out here a second time, from the rules as they are written.
#[test]
fn trust_11_and_attest_2_every_case_has_its_level() {
    let versions = [(Some("\"a\""), true), (Some("W/\"a\""), false), (None, false)];
    let mut cases = 0;
    for floor in TrustFloor::ALL {
        for bits in 0..(1_u32 << 7) {
            let [has_digest, is_member, secure, public, has_headers, has_query, is_shareable] =
                std::array::from_fn(|at| bits & (1 << at) != 0);
            for (etag, is_strong) in versions {
                for vouchers in 0..7 {
                    let mut probe = probe();
                    probe.version.etag = etag.map(str::to_owned);
                    (probe.footing.secure, probe.public) = (secure, public);
                    let case = Case {
                        floor,
                        has_digest,
                        is_member,
                        lacks_its_group: false,
                        is_plain: true,
                        has_headers,
                        has_query,
                        is_shareable,
                        probe: Some(&probe),
                        gives_ranges: true,
                        vouchers,
                        is_canary: false,
                    };
                    let is_fit = is_member
                        && secure
                        && public
                        && !has_headers
                        && (!has_query || is_shareable)
                        && is_strong;
                    let wanted = match floor {
                        TrustFloor::Origin => Level::Origin,
                        _ if has_digest => Level::Digest,
                        TrustFloor::Auto if is_fit && vouchers == 1 => Level::Attested,
                        TrustFloor::Auto | TrustFloor::AttestedTwice if is_fit && vouchers >= 2 => {
                            Level::AttestedBySeveral
                        }
                        TrustFloor::AttestedByThree if is_fit && vouchers >= 3 => Level::AttestedBySeveral,
                        TrustFloor::AttestedByFour if is_fit && vouchers >= 4 => Level::AttestedBySeveral,
                        TrustFloor::AttestedByFive if is_fit && vouchers >= 5 => Level::AttestedBySeveral,
                        _ => Level::Origin,
                    };
                    assert_eq!(case.trust().level, wanted, "{case:?}");
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 7 * 128 * 3 * 7);
}

/// A case that would be believed, and one thing changed.
fn reason(change: impl FnOnce(&mut Case<'_>), of_origin: impl FnOnce(&mut Probe)) -> Trust {
    let mut probe = probe();
    of_origin(&mut probe);
    let mut case = Case {
        floor: TrustFloor::Auto,
        has_digest: false,
        is_member: true,
        lacks_its_group: false,
        is_plain: true,
        has_headers: false,
        has_query: false,
        is_shareable: false,
        probe: Some(&probe),
        gives_ranges: true,
        vouchers: 1,
        is_canary: false,
    };
    change(&mut case);
    case.trust()
}

#[test]
fn attest_2_each_condition_shuts_the_gate_alone_and_says_which_it_was() {
    let open = reason(|_| {}, |_| {});
    assert_eq!(open.to_string(), "level 1 (attested): an attestor of the group vouches for this version");
    let shut = [
        ("no group", reason(|case| case.is_member = false, |_| {})),
        ("not in the group", reason(|case| case.lacks_its_group = true, |_| {})),
        ("whole files", reason(|case| case.is_plain = false, |_| {})),
        ("header lines", reason(|case| case.has_headers = true, |_| {})),
        ("a query", reason(|case| case.has_query = true, |_| {})),
        ("known yet", reason(|case| case.probe = None, |_| {})),
        ("https", reason(|_| {}, |probe| probe.footing.secure = false)),
        ("not for others", reason(|_| {}, |probe| probe.public = false)),
        ("otherwise", reason(|_| {}, |probe| probe.footing.varies = true)),
        ("strong ETag", reason(|_| {}, |probe| probe.version.etag = None)),
        ("strong ETag", reason(|_| {}, |probe| probe.version.len = None)),
        ("no ranges", reason(|case| case.gives_ranges = false, |_| {})),
        ("no attestor", reason(|case| case.vouchers = 0, |_| {})),
        ("to check them", reason(|case| case.is_canary = true, |_| {})),
        ("`attested-2`", reason(|case| case.floor = TrustFloor::AttestedTwice, |_| {})),
        ("`attested-3`", reason(|case| case.floor = TrustFloor::AttestedByThree, |_| {})),
        ("`attested-4`", reason(|case| case.floor = TrustFloor::AttestedByFour, |_| {})),
        ("`digest`", reason(|case| case.floor = TrustFloor::Digest, |_| {})),
        ("`origin`", reason(|case| case.floor = TrustFloor::Origin, |_| {})),
    ];
    let few =
        reason(|case| (case.floor, case.vouchers) = (TrustFloor::AttestedByFive, 4), |_| {}).to_string();
    assert!(few.ends_with("than the floor, `attested-5`, asks for: 4 of 5"), "{few}");
    for (word, trust) in shut {
        assert_eq!(trust.level, Level::Origin, "{word}");
        assert!(trust.why.contains(word), "{word}: {}", trust.why);
    }
    for shareable in EACH {
        let query = reason(|case| (case.has_query, case.is_shareable) = (true, shareable), |_| {});
        assert_eq!(query.level == Level::Attested, shareable);
    }
}

#[test]
fn attest_2_without_a_strong_etag_a_date_of_a_minute_before_tells_versions_apart() {
    let dated = |text: &str, etag: Option<&str>, date: Option<i64>| {
        let version = Version {
            last_modified: Some(text.to_owned()),
            etag: etag.map(str::to_owned),
            ..probe().version
        };
        is_firm(&version, Footing { date_unix_s: date, ..Footing::default() })
    };
    // 2026-11-21 10:00:00 is 1 795 255 200.
    let (text, at) = ("Sat, 21 Nov 2026 10:00:00 GMT", 1_795_255_200);
    assert!(dated(text, None, Some(at + 60)));
    assert!(!dated(text, None, Some(at + 59)));
    assert!(!dated(text, None, Some(at - 60)), "from the future");
    assert!(!dated(text, None, None) && !dated("yesterday", None, Some(at + 60)));
    assert!(dated(text, Some("\"a\""), Some(at + 60)));
    assert!(!dated(text, Some("\"a\""), Some(at + 59)), "an ETag may be made of that very second");
    assert!(!dated(text, Some("W/\"a\""), Some(at + 60)));
}
