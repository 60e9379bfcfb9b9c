//! Codes against the numbers that BITS publishes, and what a job's error keeps.
//!
//! Knows: the table of the headers. Does not know: who raises an error.

use std::collections::BTreeSet;

use super::{Class, Code, Context, JobError, explain};

/// Names of the headers (ERR-10..61), each with its number and its class there or ours.
const PUBLISHED: &[(&str, u32, Class)] = &[
    ("BG_S_PARTIAL_COMPLETE", 0x0020_0017, Class::Ok),
    ("BG_S_UNABLE_TO_DELETE_FILES", 0x0020_001A, Class::Ok),
    ("BG_S_PROXY_CHANGED", 0x0020_002A, Class::Ok),
    ("BG_S_OVERRIDDEN_BY_POLICY", 0x0020_0055, Class::Ok),
    ("BG_E_NOT_FOUND", 0x8020_0001, Class::Call),
    ("BG_E_INVALID_STATE", 0x8020_0002, Class::Call),
    ("BG_E_EMPTY", 0x8020_0003, Class::Call),
    ("BG_E_FILE_NOT_AVAILABLE", 0x8020_0004, Class::Call),
    ("BG_E_PROTOCOL_NOT_AVAILABLE", 0x8020_0005, Class::Call),
    ("BG_E_DESTINATION_LOCKED", 0x8020_000D, Class::Waits),
    ("BG_E_VOLUME_CHANGED", 0x8020_000E, Class::Fatal),
    ("BG_E_ERROR_INFORMATION_UNAVAILABLE", 0x8020_000F, Class::Call),
    ("BG_E_NETWORK_DISCONNECTED", 0x8020_0010, Class::Waits),
    ("BG_E_MISSING_FILE_SIZE", 0x8020_0011, Class::Fatal),
    ("BG_E_INSUFFICIENT_HTTP_SUPPORT", 0x8020_0012, Class::Fatal),
    ("BG_E_INSUFFICIENT_RANGE_SUPPORT", 0x8020_0013, Class::Fatal),
    ("BG_E_NEW_OWNER_DIFF_MAPPING", 0x8020_0015, Class::Call),
    ("BG_E_NEW_OWNER_NO_FILE_ACCESS", 0x8020_0016, Class::Call),
    ("BG_E_PROXY_LIST_TOO_LARGE", 0x8020_0018, Class::Call),
    ("BG_E_PROXY_BYPASS_LIST_TOO_LARGE", 0x8020_0019, Class::Call),
    ("BG_E_INVALID_SERVER_RESPONSE", 0x8020_001B, Class::Fatal),
    ("BG_E_TOO_MANY_FILES", 0x8020_001C, Class::Call),
    ("BG_E_LOCAL_FILE_CHANGED", 0x8020_001D, Class::Fatal),
    ("BG_E_SESSION_NOT_FOUND", 0x8020_001F, Class::Log),
    ("BG_E_TOO_LARGE", 0x8020_0020, Class::Fatal),
    ("BG_E_STRING_TOO_LONG", 0x8020_0021, Class::Call),
    ("BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH", 0x8020_0022, Class::Fatal),
    ("BG_E_SERVER_EXECUTE_ENABLE", 0x8020_0023, Class::Fatal),
    ("BG_E_NO_PROGRESS", 0x8020_0024, Class::Fatal),
    ("BG_E_USERNAME_TOO_LARGE", 0x8020_0025, Class::Call),
    ("BG_E_PASSWORD_TOO_LARGE", 0x8020_0026, Class::Call),
    ("BG_E_INVALID_AUTH_TARGET", 0x8020_0027, Class::Call),
    ("BG_E_INVALID_AUTH_SCHEME", 0x8020_0028, Class::Call),
    ("BG_E_FILE_NOT_FOUND", 0x8020_0029, Class::Fatal),
    ("BG_E_INVALID_RANGE", 0x8020_002B, Class::Fatal),
    ("BG_E_OVERLAPPING_RANGES", 0x8020_002C, Class::Call),
    ("BG_E_CONNECT_FAILURE", 0x8020_002D, Class::Transient),
    ("BG_E_CONNECTION_CLOSED", 0x8020_002E, Class::Transient),
    ("BG_E_BLOCKED_BY_POLICY", 0x8020_003E, Class::Waits),
    ("BG_E_INVALID_PROXY_INFO", 0x8020_003F, Class::Fatal),
    ("BG_E_INVALID_CREDENTIALS", 0x8020_0040, Class::Call),
    ("BG_E_RECORD_DELETED", 0x8020_0042, Class::Call),
    ("BG_E_COMMIT_IN_PROGRESS", 0x8020_0043, Class::Call),
    ("BG_E_DISCOVERY_IN_PROGRESS", 0x8020_0044, Class::Call),
    ("BG_E_UPNP_ERROR", 0x8020_0045, Class::Log),
    ("BG_E_PEERCACHING_DISABLED", 0x8020_0047, Class::Call),
    ("BG_E_BUSYCACHERECORD", 0x8020_0048, Class::Call),
    ("BG_E_TOO_MANY_JOBS_PER_USER", 0x8020_0049, Class::Call),
    ("BG_E_TOO_MANY_JOBS_PER_MACHINE", 0x8020_0050, Class::Call),
    ("BG_E_TOO_MANY_FILES_IN_JOB", 0x8020_0051, Class::Call),
    ("BG_E_TOO_MANY_RANGES_IN_FILE", 0x8020_0052, Class::Call),
    ("BG_E_VALIDATION_FAILED", 0x8020_0053, Class::Fatal),
    ("BG_E_MAXDOWNLOAD_TIMEOUT", 0x8020_0054, Class::Fatal),
    ("BG_E_TOKEN_REQUIRED", 0x8020_0056, Class::Fatal),
    ("BG_E_UNKNOWN_PROPERTY_ID", 0x8020_0057, Class::Call),
    ("BG_E_READ_ONLY_PROPERTY", 0x8020_0058, Class::Call),
    ("BG_E_PROPERTY_SUPPORTED_FOR_DOWNLOAD_JOBS_ONLY", 0x8020_0060, Class::Call),
    ("BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE", 0x8020_0061, Class::Call),
    ("BG_E_READ_ONLY_PROPERTY_AFTER_RESUME", 0x8020_0062, Class::Call),
    ("BG_E_BLOCKED_BY_COST_TRANSFER_POLICY", 0x8020_0059, Class::Waits),
    ("BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE", 0x8020_0063, Class::Call),
    ("BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED", 0x8020_0064, Class::Fatal),
    ("BG_E_STANDBY_MODE", 0x8020_0065, Class::Waits),
    ("BG_E_BLOCKED_BY_BATTERY_POLICY", 0x8020_0067, Class::Waits),
    ("BG_E_BLOCKED_BY_BATTERY_SAVER", 0x8020_0068, Class::Waits),
    ("BG_E_BLOCKED_BY_BACKGROUND_ACCESS_POLICY", 0x8020_006E, Class::Waits),
    ("BG_E_BLOCKED_BY_GAME_MODE", 0x8020_006F, Class::Waits),
    ("BG_E_BLOCKED_BY_SYSTEM_POLICY", 0x8020_0070, Class::Waits),
    ("BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED", 0x8020_0066, Class::Call),
    ("BG_E_WATCHDOG_TIMEOUT", 0x8020_0069, Class::Transient),
    ("BG_E_DATABASE_CORRUPT", 0x8020_006C, Class::Log),
    ("BG_E_RANDOM_ACCESS_NOT_SUPPORTED", 0x8020_006D, Class::Fatal),
    ("BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD", 0x8020_0071, Class::Call),
    ("BG_E_UNSUPPORTED_JOB_CONFIGURATION", 0x8020_0072, Class::Call),
    ("BG_E_REMOTE_FILE_CHANGED", 0x8020_0073, Class::Transient),
    ("BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED", 0x8020_0074, Class::Transient),
    ("BG_E_READ_ONLY_WHEN_JOB_ACTIVE", 0x8020_0075, Class::Call),
    ("BG_E_HTTP_ERROR_400", 0x8019_0190, Class::Fatal),
    ("BG_E_HTTP_ERROR_404", 0x8019_0194, Class::Fatal),
    ("BG_E_HTTP_ERROR_503", 0x8019_01F7, Class::Transient),
    ("BG_E_HTTP_ERROR_504", 0x8019_01F8, Class::Transient),
];

#[test]
fn err_10_to_63_codes_have_the_published_names_and_numbers() {
    for (name, number, class) in PUBLISHED {
        let code: Code = name.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((code.name().as_ref(), code.number(), code.class()), (*name, *number, *class));
    }
}

#[test]
fn no_two_codes_share_a_name_or_a_number() {
    for (index, code) in Code::NAMED.iter().enumerate() {
        for other in &Code::NAMED[index + 1..] {
            assert_ne!(code.name(), other.name());
            assert_ne!(code.number(), other.number(), "{code} {other}");
        }
    }
}

#[test]
fn http_21_statuses_have_their_classes() {
    for status in [300, 301, 302, 303, 304, 305, 307, 400, 401, 403, 404, 407, 410, 414, 416, 499, 501, 505] {
        assert_eq!(Code::Http(status).class(), Class::Fatal, "{status}");
    }
    for status in [306, 310, 399, 408, 409, 425, 429, 500, 502, 503, 504, 599, 203, 600] {
        assert_eq!(Code::Http(status).class(), Class::Transient, "{status}");
    }
}

#[test]
fn http_21_what_a_status_means_and_what_to_do_is_said_in_words_of_its_own() {
    let told = [
        (302, "a redirect that is not followed", "or allow redirects"),
        (401, "wants credentials", "Give the job credentials"),
        (403, "forbids", "the right to read"),
        (404, "does not have this file", "Correct the file's URL, then"),
        (407, "proxy wants credentials", "Give the job credentials"),
        (408, "waited too long", "Nothing; it is tried again"),
        (410, "does not have this file", "Correct the file's URL, then"),
        (414, "too long", "or tell whoever runs the server"),
        (416, "no such bytes", "or tell whoever runs the server"),
        (425, "asked later", "Nothing; it is tried again"),
        (429, "asked later", "Nothing; it is tried again"),
        (500, "it failed", "Nothing; it is tried again"),
        (501, "does not support", "or tell whoever runs the server"),
        (503, "too busy", "Nothing; it is tried again"),
        (504, "behind it did not answer", "Nothing; it is tried again"),
        (505, "does not support", "or tell whoever runs the server"),
    ];
    for (status, meaning, advice) in told {
        let code = Code::Http(status);
        assert!(code.text().contains(meaning), "{status}: {}", code.text());
        assert!(code.advice().contains(advice), "{status}: {}", code.advice());
    }
    assert_eq!(Code::Http(418).text(), "The server answered with the status 418.", "nobody knows more of it");
}

#[test]
fn err_66_a_full_disk_is_waited_for_and_a_refused_one_is_not() {
    assert_eq!(Code::DiskFull.class(), Class::Waits);
    assert_eq!(Code::AccessDenied.class(), Class::Fatal);
}

#[test]
fn job_31_waiting_is_not_counted_as_an_error() {
    for code in [Code::NetworkDisconnected, Code::DestinationLocked, Code::BlockedByPolicy] {
        assert!(!code.is_counted(), "{code}");
    }
    for code in [Code::ConnectFailure, Code::NoProgress, Code::Http(503)] {
        assert!(code.is_counted(), "{code}");
    }
}

#[test]
fn every_code_is_explained_by_its_name_and_by_its_number() {
    for code in Code::NAMED.iter().copied().chain([Code::Http(404), Code::Http(503), Code::Http(302)]) {
        let by_name = explain(&code.name()).unwrap_or_else(|| panic!("{code}"));
        assert_eq!(by_name.code, code);
        assert_eq!(explain(&by_name.number).as_ref(), Some(&by_name));
        for text in [&by_name.text, &by_name.advice] {
            assert!(text.ends_with('.') && !text.contains('\n'), "{code}: {text}");
        }
    }
}

#[test]
fn codes_are_read_as_people_write_them_and_nothing_else_is() {
    for text in ["no_progress", "BG_E_NO_PROGRESS", " bg_e_no_progress ", "0x80200024"] {
        assert_eq!(text.parse(), Ok(Code::NoProgress), "{text}");
    }
    assert_eq!("http_error_404".parse(), Ok(Code::Http(404)));
    assert_eq!(Code::Http(404).to_string(), "BG_E_HTTP_ERROR_404", "they are shown as they are read");
    for text in
        ["", "BG_E_", "BG_E_NOTHING", "0x", "0x80209999", "BG_E_HTTP_ERROR_99", "BG_E_HTTP_ERROR_70000"]
    {
        assert!(explain(text).is_none(), "{text}");
    }
}

#[test]
fn err_4_contexts_have_the_published_names_and_numbers() {
    let all = [
        Context::None,
        Context::Unknown,
        Context::QueueManager,
        Context::Notification,
        Context::LocalFile,
        Context::RemoteFile,
        Context::Transport,
        Context::RemoteApplication,
        Context::ServerCertificate,
    ];
    let numbers: Vec<u32> = all.into_iter().map(Context::number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let text = serde_json::to_string(&[Context::LocalFile, Context::Transport]).unwrap();
    assert_eq!(text, r#"["BG_ERROR_CONTEXT_LOCAL_FILE","BG_ERROR_CONTEXT_GENERAL_TRANSPORT"]"#);
    let told: BTreeSet<&str> = all.into_iter().map(Context::text).filter(|text| text.contains(' ')).collect();
    assert_eq!(told.len(), 8, "each place but nowhere has words of its own: {told:?}");
}

#[test]
fn err_5_the_same_error_at_the_same_file_counts_on() {
    let at = |code, file, now| JobError {
        file: Some(file),
        ..JobError::new(code, Context::RemoteFile, "gone".into(), now)
    };
    let first = at(Code::Http(503), 1, 1_000);
    assert_eq!((first.status, first.count), (Some(503), 1));
    let again = at(Code::Http(503), 1, 5_000).following(Some(&first));
    assert_eq!((again.count, again.first_unix_ms, again.last_unix_ms), (2, 1_000, 5_000));
    let elsewhere = at(Code::Http(503), 2, 6_000).following(Some(&again));
    assert_eq!((elsewhere.count, elsewhere.first_unix_ms), (1, 6_000));
    let other = at(Code::Timeout, 1, 7_000).following(Some(&again));
    assert_eq!((other.count, other.first_unix_ms), (1, 7_000));
}

#[test]
fn err_5_an_error_is_stored_with_the_name_of_its_code() {
    let error = JobError::new(Code::DiskFull, Context::LocalFile, "no space".into(), 7);
    let text = serde_json::to_string(&error).unwrap();
    assert_eq!(
        text,
        r#"{"code":"ERROR_DISK_FULL","context":"BG_ERROR_CONTEXT_LOCAL_FILE","message":"no space","first-unix-ms":7,"last-unix-ms":7,"count":1}"#
    );
    assert_eq!(serde_json::from_str::<JobError>(&text).unwrap(), error);
    assert!(serde_json::from_str::<Code>("\"BG_E_NOTHING\"").is_err());
}
