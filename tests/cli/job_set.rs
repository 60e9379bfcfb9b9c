//! Changing jobs: `job set`.
//!
//! Knows: every property that can be set. Does not know: what running transfers do about it.

use crate::support::{Daemon, Home, Origin, payload, sha256};

#[tokio::test]
async fn cli_7_cli_8_cli_12_every_property_can_be_set_and_is_shown() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let id =
        home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--limit", "1M", "--limit-lan", "3M"]).await;
    let rest = [
        "--name",
        "new",
        "--description",
        "why not",
        "--priority",
        "FOREGROUND",
        "--peers",
        "client,server",
        "--disable-branch-cache",
        "--ask",
        "members",
        "--auto-complete",
        "--overwrite",
        "--create-dirs=yes",
        "--limit",
        "none",
        "--limit-wan",
        "2M",
        "--retry-delay=35",
        "--no-progress-timeout",
        "3600",
        "--max-time=7200",
        "--max-size=10GiB",
        "--redirect",
        "deny",
        "--notify",
        "changed,file",
        "--notify-interval=100",
        "--json",
    ];
    let set = home.say(&[&["job", "set", &id], &rest[..]].concat()).await.json();
    let spec = &set["spec"];
    for (key, value) in [
        ("name", serde_json::json!("new")),
        ("description", "why not".into()),
        ("priority", "foreground".into()),
        ("flags", serde_json::json!({"client": true, "server": true})),
        ("disable-branch-cache", true.into()),
        ("ask", "members".into()),
        ("auto-complete", true.into()),
        ("existing", "replace".into()),
        ("create-dirs", true.into()),
        // What is not named stays.
        ("rates", serde_json::json!({"wan": 2_000_000, "lan": 3_000_000})),
        ("retry-delay-s", 35.into()),
        ("no-progress-s", 3_600.into()),
        ("max-time-s", 7_200.into()),
        ("max-size", 10_737_418_240_u64.into()),
        ("redirects", "deny".into()),
        ("notify-interval-ms", 100.into()),
    ] {
        assert_eq!(spec[key], value, "{key}: {spec}");
    }
    assert_eq!(
        (&spec["notify"]["job-modification"], &spec["notify"]["job-error"]),
        (&true.into(), &false.into())
    );
    let set = home.say(&["job", "set", "new", "--auto-complete=no", "--overwrite=no", "--json"]).await.json();
    assert_eq!((&set["spec"]["auto-complete"], &set["spec"]["existing"]), (&false.into(), &"refuse".into()));
    let said = home.say(&["job", "set", "new", "--name", "newer"]).await;
    assert!(said.code == 0 && said.out.contains("newer: changed"), "{said:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn file_24_a_limit_of_size_is_set_shown_lifted_and_kept_to() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(300_000)).await;
    let id = home.add(&[&origin.url(), "f", "--suspended", "--max-size", "128KiB"]).await;
    assert!(home.say(&["job", "show", &id]).await.out.contains("128.0 KiB"));
    for bad in ["0", "much"] {
        let ran = home.say(&["job", "set", &id, "--max-size", bad]).await;
        assert!(ran.error_line(2).contains("10GiB"), "{ran:?}");
    }
    let set = home.say(&["job", "set", &id, "--max-size", "none", "--json"]).await.json();
    assert_eq!(set["spec"].get("max-size"), None, "{set}");
    let set = home.say(&["job", "set", &id, "--max-size", "200k", "--json"]).await.json();
    assert_eq!(set["spec"]["max-size"], 200_000, "{set}");
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 5);
    let shown = home.say(&["job", "show", &id]).await.out;
    for words in ["BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED", "its limit of size is 200000", "higher --max-size"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let late = home.say(&["job", "set", &id, "--max-size", "none"]).await;
    assert!(late.error_line(5).contains("BG_E_READ_ONLY_PROPERTY_AFTER_RESUME"), "{late:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn cli_21_file_12_urls_are_changed_one_by_one_and_by_their_beginning() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let id = home.add(&["http://a.test/x/1", "f", "http://a.test/y/2", "g", "--suspended"]).await;
    let urls = async || {
        let files = home.say(&["file", "list", &id, "--json"]).await.json();
        [0, 1].map(|index| files[index]["url"].as_str().unwrap().to_owned())
    };
    let set = home.say(&["job", "set", &id, "--replace-prefix", "http://a.test/x", "https://b.test"]).await;
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(urls().await, ["https://b.test/1", "http://a.test/y/2"]);
    let ran = home.say(&["job", "set", &id, "--url", "http://c.test/3"]).await;
    assert!(ran.error_line(2).contains("--file INDEX"), "{ran:?}");
    let set = home.say(&["job", "set", &id, "--file", "1", "--url", "http://c.test/3"]).await;
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(urls().await, ["https://b.test/1", "http://c.test/3"]);
    daemon.kill().await;
}

#[tokio::test]
async fn cli_16_header_lines_come_from_a_file_and_can_be_hidden_for_good() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    std::fs::write(home.join("headers"), "X-Token: s3cr3t\n").unwrap();
    let id = home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--header-file", "headers"]).await;
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert_eq!(shown["spec"]["headers"][0]["value"], "s3cr3t");
    assert!(home.say(&["job", "show", &id]).await.out.contains("X-Token"));
    assert_eq!(home.say(&["job", "set", &id, "--headers-write-only"]).await.code, 0);
    for args in [vec!["job", "show", &id], vec!["job", "show", &id, "--json"], vec!["job", "list", "--json"]]
    {
        let ran = home.say(&args).await;
        assert!(ran.code == 0 && !ran.out.contains("s3cr3t"), "{ran:?}");
    }
    assert_eq!(home.say(&["job", "set", &id, "--no-headers"]).await.code, 0);
    daemon.kill().await;
}

#[tokio::test]
async fn a_change_that_is_refused_says_so_under_bits_name_and_changes_nothing() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::slow(payload(5_000_000), 200_000).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    crate::support::until("bytes on their way", || origin.sent() > 50_000).await;
    let ran = home.say(&["job", "set", &id, "--priority", "low", "--name", &"n".repeat(257)]).await;
    assert!(ran.error_line(2).contains("(BG_E_STRING_TOO_LONG)"), "{ran:?}");
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert_eq!((&shown["name"], &shown["priority"]), (&"f".into(), &"normal".into()));
    let ran = home.say(&["job", "set", &id]).await;
    assert!(ran.error_line(2).contains("nothing is named"), "{ran:?}");
    home.say(&["job", "cancel", &id]).await;
    daemon.kill().await;
}

#[tokio::test]
async fn a_limit_that_is_set_holds_for_the_running_job() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(4_000_000)).await;
    let id = home.add(&[&origin.url(), "f", "--limit", "64k", "--auto-complete"]).await;
    let early = home.say(&["job", "wait", &id, "--timeout", "1"]).await;
    assert_eq!(early.code, 4, "{early:?}");
    assert_eq!(home.say(&["job", "set", &id, "--limit", "none"]).await.code, 0);
    let waited = home.say(&["job", "wait", &id, "--timeout", "30"]).await;
    assert_eq!(waited.code, 0, "a minute at the old rate: {waited:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_wrong_digest_is_set_right_and_nothing_is_fetched_twice() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(300_000);
    let origin = Origin::start(file.clone()).await;
    let id = home.add(&[&origin.url(), "f", "--sha256", &sha256(b"another"), "--auto-complete"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 8);
    let ran = home.say(&["job", "set", &id, "--sha256", "12"]).await;
    assert!(ran.error_line(2).contains("--sha256"), "{ran:?}");
    let ran = home.say(&["job", "set", &id, "--file", "0", "--sha256", &sha256(&file)]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    assert_eq!(std::fs::read(home.join("f")).unwrap(), file);
    assert_eq!(origin.sent(), 300_000);
    let other = home.add(&[&origin.url(), "g", "--sha256", &sha256(&file)]).await;
    assert_eq!(home.say(&["job", "wait", &other]).await.code, 0);
    let ran = home.say(&["job", "set", &other, "--sha256", &sha256(b"another")]).await;
    assert!(ran.error_line(5).contains("only while it is in error or not begun"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn file_13_a_prefix_that_no_url_has_is_said() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--name", "update"]).await;
    let set = async |more: &[&str]| {
        let args = ["job", "set", "update", "--replace-prefix", "http://old.test/", "http://new.test/"];
        home.say(&[&args, more].concat()).await
    };
    let ran = set(&[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.starts_with("note: no URL of the job begins with \"http://old.test/\""), "{ran:?}");
    assert!(ran.out.contains("update: nothing is changed"), "{ran:?}");
    let ran = set(&["--priority", "high"]).await;
    assert!(ran.err.contains("none is changed") && ran.out.contains("update: changed"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn what_was_corrected_needs_no_other_advice_than_to_resume() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(1_000)).await;
    let id = home.add(&[&origin.missing_url(), "f"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 7);
    assert_eq!(home.say(&["job", "set", &id, "--url", &origin.url()]).await.code, 0);
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert!(shown["advice"].as_str().unwrap().contains("`nearbits job resume` tries again"), "{shown}");
    let ran = home.say(&["job", "why", &id, "--file", "x"]).await;
    assert!(ran.error_line(2).contains("a number from 0"), "{ran:?}");
    daemon.kill().await;
}
