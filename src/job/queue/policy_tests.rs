//! What a policy may say and what holds then.
//!
//! Knows: the rules by their ids. Does not know: where policies are kept.

use super::*;

fn parse(text: &str) -> Policy {
    toml::from_str(text).unwrap()
}

fn alone(text: &str) -> Effective {
    parse(text).over(&Policy::default())
}

#[test]
fn pol_10_to_15_have_the_defaults_of_bits() {
    let held = alone("");
    assert_eq!((held.inactivity_days.value, held.max_download_s.value), (90, 7_776_000));
    assert_eq!((held.jobs_per_machine.value, held.jobs_per_user.value), (300, 60));
    assert_eq!((held.files_per_job.value, held.ranges_per_file.value), (200, 500));
    assert!(held.rows().iter().all(|row| row.source == Source::Default));
}

#[test]
fn a_policy_comes_before_a_preference_and_that_before_the_default() {
    let policy = parse("jobs-per-user = 5\nfiles-per-job = 7");
    let preference = parse("jobs-per-user = 9\nranges-per-file = 3");
    let held = policy.over(&preference);
    assert_eq!(held.jobs_per_user, Value { value: 5, source: Source::Policy });
    assert_eq!(held.files_per_job, Value { value: 7, source: Source::Policy });
    assert_eq!(held.ranges_per_file, Value { value: 3, source: Source::Preference });
    assert_eq!(held.jobs_per_machine, Value { value: 300, source: Source::Default });
}

#[test]
fn pol_11_lim_3_a_jobs_own_time_comes_before_the_policy() {
    let held = alone("max-download-s = 100");
    assert_eq!(held.max_time_s(None), Value { value: 100, source: Source::Policy });
    assert_eq!(held.max_time_s(Some(5_000)), Value { value: 5_000, source: Source::Job });
}

#[test]
fn pol_4_and_pol_5_and_pol_6_and_pol_10_to_15_values_have_bounds() {
    let wrong = [
        ("inactivity-days = 0", "inactivity-days"),
        ("inactivity-days = 1000", "inactivity-days"),
        ("max-download-s = 0", "max-download-s"),
        ("jobs-per-machine = 0", "jobs-per-machine"),
        ("jobs-per-user = 0", "jobs-per-user"),
        ("files-per-job = 0", "files-per-job"),
        ("files-per-job = 65537", "files-per-job"),
        ("ranges-per-file = 0", "ranges-per-file"),
        ("ranges-per-file = 65537", "ranges-per-file"),
        ("max-content-age-days = 0", "max-content-age-days"),
        ("max-content-age-days = 121", "max-content-age-days"),
        ("max-cache-size-percent = 0", "max-cache-size-percent"),
        ("max-cache-size-percent = 81", "max-cache-size-percent"),
        ("max-bandwidth-served = 1048575", "max-bandwidth-served"),
        ("max-bandwidth-served = 4294967201", "max-bandwidth-served"),
    ];
    for (text, named) in wrong {
        match parse(text).check() {
            Err(PolicyError::OutOfBounds { key, .. }) => assert_eq!(key, named, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for fine in [
        "inactivity-days = 999\nfiles-per-job = 1",
        "max-bandwidth-served = 1048576",
        "max-bandwidth-served = 4294967200",
    ] {
        assert_eq!(parse(fine).check(), Ok(()), "{fine}");
    }
    assert_eq!(Policy::default().check(), Ok(()));
}

#[test]
fn pol_13_a_user_has_fewer_jobs_than_the_machine() {
    let error = PolicyError::UserNotBelowMachine { of_user: 7, of_machine: 7 };
    assert_eq!(parse("jobs-per-user = 7\njobs-per-machine = 7").check(), Err(error));
    assert_eq!(parse("jobs-per-user = 6\njobs-per-machine = 7").check(), Ok(()));
    assert_eq!(parse("jobs-per-machine = 7").check(), Ok(()));
}

#[test]
fn an_unknown_key_of_a_policy_is_refused() {
    assert!(toml::from_str::<Policy>("jobs-per-machines = 7").is_err());
    // What has no effect yet is not taken either.
    assert!(toml::from_str::<Policy>("max-bandwidth = {}").is_err());
    assert!(toml::from_str::<Policy>("insecure-tls = \"allowed\"").is_err());
}

#[test]
fn lim_7_lim_8_one_job_more_is_refused_at_the_limit() {
    let held = alone("jobs-per-machine = 4\njobs-per-user = 2");
    let admit = |of_user, of_machine| held.admit(Maker::User, JobCounts { of_user, of_machine });
    assert_eq!(admit(1, 3), Ok(()));
    assert_eq!(admit(2, 3), Err(TooManyJobs::OfUser { limit: 2 }));
    assert_eq!(admit(0, 4), Err(TooManyJobs::OfMachine { limit: 4 }));
    assert_eq!(admit(2, 4).map_err(TooManyJobs::code), Err(Code::TooManyJobsPerMachine));
    assert_eq!(admit(2, 3).map_err(TooManyJobs::code), Err(Code::TooManyJobsPerUser));
}

#[test]
fn lim_7_to_10_administrators_are_exempt() {
    let held = alone("jobs-per-machine = 1\nfiles-per-job = 3\nranges-per-file = 4");
    let jobs = JobCounts { of_user: 500, of_machine: 500 };
    assert_eq!(held.admit(Maker::Administrator, jobs), Ok(()));
    assert_eq!(held.limits(Maker::Administrator), Limits::EXEMPT);
    let limits = Limits { files_per_job: Some(3), ranges_per_file: Some(4) };
    assert_eq!(held.limits(Maker::User), limits);
}

#[test]
fn pol_15_a_file_has_as_many_ranges_as_the_policy_says_and_its_number_is_what_holds() {
    let held = alone("ranges-per-file = 4");
    assert_eq!(held.ranges_per_file, Value { value: 4, source: Source::Policy });
    assert_eq!(held.limits(Maker::User).ranges_per_file, Some(4));
    assert_eq!(alone("").limits(Maker::User).ranges_per_file, Some(500));
}

#[test]
fn pol_20_every_value_has_a_row_with_its_rule_source_and_effect() {
    let policy = parse("jobs-per-user = 5");
    let rows = policy.over(&parse("files-per-job = 9")).rows();
    let of = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        (row.id.as_str(), row.value.as_str(), row.source)
    };
    assert_eq!(of("jobs-per-user"), ("POL-13", "5", Source::Policy));
    assert_eq!(of("files-per-job"), ("POL-14", "9", Source::Preference));
    assert_eq!(of("inactivity-days"), ("POL-10", "90", Source::Default));
    let full = "inactivity-days = 1\nmax-download-s = 1\njobs-per-machine = 2\njobs-per-user = 1
        files-per-job = 1\nranges-per-file = 1\nenable-peer-caching = true\ndisable-peer-caching-client = true
        disable-peer-caching-server = false\nmax-content-age-days = 120\nmax-cache-size-percent = 80
        max-bandwidth-served = 1048576
        min-trust = 'digest'\nattest-hosts = ['a', 'b']\nrequire-same-anchor = true
strangers = 'off'";
    let keys = toml::from_str::<toml::Table>(full).unwrap();
    let shown = parse(full).over(&Policy::default()).rows();
    assert_eq!(shown.len(), keys.len());
    assert!(shown.iter().all(|row| keys.contains_key(&row.name) && row.source == Source::Policy));
}

#[test]
fn trust_a_floor_can_only_be_raised_and_the_row_says_who_raised_it() {
    let row = |policy: &str, preference: &str| {
        let rows = parse(policy).over(&parse(preference)).rows();
        let row = rows.into_iter().find(|row| row.name == "min-trust").unwrap();
        (row.value, row.source)
    };
    let (digest, twice) = ("min-trust = 'digest'", "min-trust = 'attested-2'");
    assert_eq!(row("", ""), ("auto".into(), Source::Default));
    assert_eq!(row(digest, ""), ("digest".into(), Source::Policy));
    assert_eq!(row("", digest), ("digest".into(), Source::Preference));
    assert_eq!(row(digest, twice), ("digest".into(), Source::Policy), "not lowered");
    assert_eq!(row(twice, digest), ("digest".into(), Source::Preference), "raised");
    assert_eq!(row(twice, twice), ("attested-2".into(), Source::Policy));
}

#[test]
fn attest_2_more_than_64_hosts_are_refused() {
    let hosts = |count| Policy { attest_hosts: Some(vec!["a".into(); count]), ..Policy::default() };
    assert_eq!(hosts(64).check(), Ok(()));
    let error = hosts(65).check().unwrap_err();
    assert_eq!(
        (error.key(), error.to_string().as_str()),
        ("attest-hosts", "attest-hosts is 65; it may be 0 to 64")
    );
}
