//! Jobs that are made at the command line: from pairs, lists, tables.
//!
//! Knows: `job add`. Does not know: how jobs come along.

use crate::support::{Daemon, Home, Origin, payload, sha256};

const LEN: usize = 200_000;

/// A daemon, an origin with a file, and the file.
async fn stage() -> (Home, Daemon, Origin, Vec<u8>) {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(LEN);
    let origin = Origin::start(file.clone()).await;
    (home, daemon, origin, file)
}

#[tokio::test]
async fn cli_2_a_job_is_made_fetched_and_delivered_where_it_belongs() {
    let (home, daemon, origin, file) = stage().await;
    std::fs::create_dir(home.join("folder")).unwrap();
    // A relative name, a folder, and a folder that is not there yet.
    let (one, two, three) = (origin.url(), origin.url_in("b"), origin.url_in("c"));
    let pairs = [&one, "plain", &two, "folder", &three, "new/"];
    let more = ["--create-dirs", "--auto-complete", "--sha256", &sha256(&file)];
    let ran = home.say(&[&["job", "add"], &pairs[..], &more[..]].concat()).await;
    assert!(ran.error_line(2).contains("for one file"), "{ran:?}");
    let id = home.add(&[&pairs[..], &more[..2]].concat()).await;
    assert_eq!(id.len(), 32, "the id and nothing else: {id}");
    let waited = home.say(&["job", "wait", &id]).await;
    assert_eq!(waited.code, 0, "{waited:?}");
    for name in ["plain", "folder/file.bin", "new/file.bin"] {
        assert_eq!(std::fs::read(home.join(name)).unwrap(), file, "{name}");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn cli_1_a_suspended_job_begins_when_it_is_told_to() {
    let (home, daemon, origin, _) = stage().await;
    let id = home.add(&[&origin.url(), "f", "--suspended", "--name", "update"]).await;
    let shown = home.say(&["job", "show", &id[..8], "--json"]).await.json();
    assert_eq!((&shown["state"], &shown["name"]), (&"suspended".into(), &"update".into()));
    assert_eq!(home.say(&["job", "resume", "update"]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", "update"]).await.code, 0);
    assert!(!home.join("f").exists(), "it waits to be completed");
    assert_eq!(home.say(&["job", "complete", "update"]).await.code, 0);
    assert_eq!(std::fs::metadata(home.join("f")).unwrap().len(), 200_000);
    daemon.kill().await;
}

#[tokio::test]
async fn file_4_of_a_job_all_files_are_taken_or_none() {
    let (home, daemon, origin, _) = stage().await;
    let ran = home.say(&["job", "add", &origin.url(), "f", &origin.url_in("b"), "f"]).await;
    assert!(ran.error_line(2).contains("the same destination"), "{ran:?}");
    assert_eq!(home.say(&["job", "list", "--json"]).await.json(), serde_json::json!([]));
    // The same of files that are added later.
    let id = home.add(&[&origin.url(), "f", "--suspended"]).await;
    let ran =
        home.say(&["job", "add", "--to", &id, &origin.url_in("b"), "g", &origin.url_in("c"), "f"]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(home.say(&["file", "list", &id, "--json"]).await.json().as_array().unwrap().len(), 1);
    assert_eq!(home.add(&["--to", &id, &origin.url_in("b"), "g", &origin.url_in("c"), "h"]).await, id);
    let files = home.say(&["file", "list", &id, "--json"]).await.json();
    let names = files.as_array().unwrap().iter().map(|file| file["destination"].as_str().unwrap().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), ["f", "g", "h"].map(|name| home.text(name)));
    daemon.kill().await;
}

#[tokio::test]
async fn cli_3_a_list_file_has_a_pair_a_line() {
    let (home, daemon, origin, file) = stage().await;
    let text = format!("# two files\n{} one\n\n{} two words\n", origin.url(), origin.url_in("b"));
    std::fs::write(home.join("list"), text).unwrap();
    let id = home.add(&["--file-list", "list", "--auto-complete"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    assert_eq!(std::fs::read(home.join("two words")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn rng_1_ranges_make_a_file_of_parts() {
    let (home, daemon, origin, file) = stage().await;
    let ran = home.say(&["job", "add", &origin.url(), "f", "--ranges", "0:10,5:10"]).await;
    assert!(ran.error_line(2).contains("BG_E_OVERLAPPING_RANGES"), "{ran:?}");
    let id = home.add(&[&origin.url(), "f", "--ranges", "150000:eof,1000:2000", "--auto-complete"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    assert_eq!(std::fs::read(home.join("f")).unwrap(), [&file[150_000..], &file[1_000..3_000]].concat());
    daemon.kill().await;
}

#[tokio::test]
async fn cli_39_a_table_is_one_job_of_many_files() {
    let (home, daemon, origin, file) = stage().await;
    let digest = sha256(&file);
    let text = format!(
        "Source,Destination,Digest\n{},one,{digest}\n{},\"two, too\",\n",
        origin.url(),
        origin.url_in("b")
    );
    std::fs::write(home.join("table.csv"), text).unwrap();
    let added = home.say(&["job", "add", "--csv", "table.csv", "--auto-complete", "--json"]).await.json();
    assert_eq!(added["files"], 2, "{added}");
    assert_eq!(home.say(&["job", "wait", added["id"].as_str().unwrap()]).await.code, 0);
    assert_eq!(std::fs::read(home.join("two, too")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn cli_39_a_table_is_a_job_a_line_and_a_bad_line_does_not_keep_the_others() {
    let (home, daemon, origin, file) = stage().await;
    let text = format!(
        "{},one,{}\n{},missing/folder/two\n{},three\n",
        origin.url(),
        "0".repeat(64),
        origin.url_in("b"),
        origin.url_in("c")
    );
    std::fs::write(home.join("table.csv"), text).unwrap();
    let ran = home.say(&["job", "add", "--csv", "table.csv", "--per-line", "--auto-complete"]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (3, 2), "{ran:?}");
    assert!(ran.err.starts_with("nearbits: table.csv:2: "), "{ran:?}");
    assert!(ran.err.contains("--create-dirs") && ran.err.contains("PATH_NOT_FOUND"), "{ran:?}");
    let ids: Vec<&str> = ran.out.lines().collect();
    // The digest of the first one is wrong.
    let waited = home.say(&["job", "wait", ids[0]]).await;
    assert_eq!(waited.code, 8, "{waited:?}");
    assert_eq!(home.say(&["job", "wait", ids[1]]).await.code, 0);
    assert_eq!(std::fs::read(home.join("three")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn cli_39_a_line_that_cannot_be_read_does_not_keep_the_others() {
    let (home, daemon, origin, _) = stage().await;
    let text = format!("url,path\nnonsense,one\n{},two\n{}\n", origin.url(), origin.url_in("b"));
    std::fs::write(home.join("table.csv"), text).unwrap();
    let ran = home.say(&["job", "add", "--csv", "table.csv", "--per-line"]).await;
    assert_eq!((ran.code, ran.out.lines().count()), (3, 1), "{ran:?}");
    let said: Vec<&str> = ran.err.lines().collect();
    assert_eq!(said.len(), 2, "{ran:?}");
    assert!(said[0].starts_with("nearbits: table.csv:2: "), "{ran:?}");
    assert!(said[1].starts_with("nearbits: table.csv:4: a URL and a path"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn lim_1_a_retry_delay_that_is_raised_is_said() {
    let (home, daemon, origin, _) = stage().await;
    let ran = home.say(&["job", "add", &origin.url(), "f", "--suspended", "--retry-delay", "1"]).await;
    assert!(ran.code == 0 && ran.err.contains("raised to 5"), "{ran:?}");
    let shown = home.say(&["job", "show", ran.out.trim(), "--json"]).await.json();
    assert_eq!(shown["spec"]["retry-delay-s"], 5);
    daemon.kill().await;
}

#[tokio::test]
async fn a_mirror_is_asked_when_the_url_says_no() {
    let (home, daemon, origin, file) = stage().await;
    let mirror = origin.url();
    let args =
        [&origin.missing_url(), "f", "--mirror", &mirror, "--sha256", &sha256(&file), "--auto-complete"];
    let id = home.add(&args).await;
    let waited = home.say(&["job", "wait", &id]).await;
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_eq!(std::fs::read(home.join("f")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn lim_2_a_job_that_may_not_try_again_is_in_error_at_once() {
    let (home, daemon, _, _) = stage().await;
    let id = home.add(&["http://127.0.0.1:1/f", "f", "--no-progress-timeout", "0"]).await;
    let waited = home.say(&["job", "wait", &id, "--timeout", "60"]).await;
    assert!(waited.code == 4 && waited.out.contains(": error, http://127.0.0.1:1: "), "{waited:?}");
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert_eq!((&shown["state"], &shown["error"]["code"]), (&"error".into(), &"BG_E_CONNECT_FAILURE".into()));
    daemon.kill().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_add_is_one_line() {
    let (home, daemon, origin, _) = stage().await;
    std::fs::write(home.join("headers"), "X-Secret s3cr3t\n").unwrap();
    let url = origin.url();
    for (args, code, says) in [
        (vec![], 2, "no file is named"),
        (vec![url.as_str()], 2, "only one half"),
        (vec!["ftp://a.test/f", "f"], 2, "ftp"),
        (vec![&url, "f", "--limit", "fast"], 2, "is not a rate"),
        (vec![&url, "f", "--priority", "urgent"], 2, "urgent"),
        (vec![&url, "f", "--ranges", "1-2"], 2, "OFFSET:LENGTH"),
        (vec![&url, "f", "--peers", "all"], 2, "no flags"),
        (vec![&url, "f", "--notify", "often"], 2, "no event"),
        (vec![&url, "f", "--sha256", "abc"], 2, "--sha256"),
        (vec![&url, "f", "--digest", "md5:abc"], 2, "ALGORITHM:HEX"),
        (vec![&url, "f", "--header-file", "headers"], 2, "line 1"),
        (vec![&url, "f", "--header-file", "none"], 2, "cannot be read"),
        (vec!["--file-list", "none"], 2, "cannot be read"),
        (vec!["--csv", "none", "--per-line", "--suspended", &url, "f"], 2, "cannot be used with"),
        (vec!["--to", "none", &url, "f"], 7, "job list"),
        (vec![&url, "missing/f"], 6, "--create-dirs"),
        (vec!["--to", "none", &url, "f", "--name", "x"], 2, "job set"),
        (vec!["http://127.0.0.1:1/", "."], 2, "file name"),
    ] {
        let ran = home.say(&[&["job", "add"], &args[..]].concat()).await;
        assert!(ran.error_line(code).contains(says), "{args:?}: {ran:?}");
        assert!(!ran.err.contains("s3cr3t") && ran.out.is_empty(), "{ran:?}");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn job_8_a_place_that_another_job_fills_is_refused_in_words_that_name_it() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let first = home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--name", "first"]).await;
    let ran = home.say(&["job", "add", "http://127.0.0.1:9/g", "f"]).await;
    let line = ran.error_line(6);
    assert!(line.contains(&format!("job {} first brings a file to", &first[..8])), "{line}");
    assert!(line.contains("(ERROR_FILE_EXISTS)"), "{line}");
    let second = home.add(&["http://127.0.0.1:9/g", "g", "--suspended"]).await;
    let ran = home.say(&["job", "add", "--to", &second, "http://127.0.0.1:9/h", "./f"]).await;
    assert!(ran.error_line(6).contains("first brings a file to"), "{ran:?}");
    let ran = home.say(&["job", "add", "http://127.0.0.1:9/h", "h", "http://127.0.0.1:9/i", "h"]).await;
    assert!(ran.error_line(2).contains("have the same destination"), "{ran:?}");
    assert_eq!(home.say(&["job", "cancel", "first"]).await.code, 0);
    home.add(&["http://127.0.0.1:9/g", "f", "--suspended"]).await;
    daemon.kill().await;
}

#[tokio::test]
async fn rng_2_ranges_are_for_http_and_none_at_all_is_no_list() {
    let (home, daemon, origin, _) = stage().await;
    let ran = home.say(&["job", "add", &origin.url(), "f", "--ranges", ""]).await;
    assert!(ran.error_line(2).contains("OFFSET:LENGTH"), "{ran:?}");
    for url in ["ftp://a.test/f", "file:///etc/hostname"] {
        let ran = home.say(&["job", "add", url, "f", "--ranges", "0:10"]).await;
        assert_eq!(ran.code, 2, "{url}: {ran:?}");
    }
    assert_eq!(home.say(&["job", "list", "--json"]).await.json(), serde_json::json!([]));
    daemon.kill().await;
}

#[tokio::test]
async fn rng_8_a_file_that_was_added_without_ranges_has_none() {
    let (home, daemon, origin, _) = stage().await;
    let id = home.add(&[&origin.url(), "whole", "--suspended"]).await;
    home.add(&["--to", &id, &origin.url(), "part", "--ranges", "5:10,0:2"]).await;
    let files = home.say(&["file", "list", &id, "--json"]).await.json();
    assert_eq!(files[0].get("ranges"), None, "{files}");
    let ranges = serde_json::json!([{ "offset": 5, "len": 10 }, { "offset": 0, "len": 2 }]);
    assert_eq!(files[1]["ranges"], ranges, "{files}");
    let shown = home.say(&["job", "show", &id]).await.out;
    assert!(shown.contains("file 1: 5:10, 0:2"), "{shown}");
    daemon.kill().await;
}

#[tokio::test]
async fn rng_9_ranges_that_are_too_short_for_peers_are_advised_against() {
    let (home, daemon, origin, _) = stage().await;
    for (name, ranges, peers, says) in [
        ("f", "0:399", "client,server", true),
        ("g", "0:400,900:eof", "client,server", false),
        ("h", "0:399", "none", false),
    ] {
        let args = ["job", "add", &origin.url(), name, "--suspended", "--ranges", ranges, "--peers", peers];
        let ran = home.say(&args).await;
        assert_eq!((ran.code, ran.err.contains("fewer than 400")), (0, says), "{ran:?}");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn file_23_a_dynamic_job_is_made_and_waits_at_background_priority() {
    let (home, daemon, origin, file) = stage().await;
    for more in [["--on-demand", "--suspended"], ["--ranges", "0:10"]] {
        let ran = home.say(&[&["job", "add", &origin.url(), "g", "--dynamic"], &more[..]].concat()).await;
        assert!(ran.error_line(2).contains("BG_E_UNSUPPORTED_JOB_CONFIGURATION"), "{ran:?}");
    }
    let ran =
        home.say(&["job", "add", &origin.url(), "f", "--dynamic", "--auto-complete", "--limit", "1M"]).await;
    assert!(ran.code == 0 && ran.err.contains("job set --priority foreground"), "it would wait: {ran:?}");
    assert!(ran.err.contains("no limit holds for a dynamic job"), "{ran:?}");
    let id = ran.out.trim();
    let why = home.say(&["job", "why", id]).await;
    assert!(why.out.contains("queued") && why.out.contains("--priority foreground"), "{why:?}");
    let ran = home.say(&["job", "set", id, "--dynamic=no"]).await;
    assert!(ran.err.contains("before the job is resumed"), "{ran:?}");
    assert_eq!(home.say(&["job", "set", id, "--priority", "foreground"]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", id]).await.code, 0);
    assert_eq!(std::fs::read(home.join("f")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn job_t22_a_file_that_is_added_to_a_transferred_job_waits_for_resume_and_everything_says_so() {
    let (home, daemon, origin, file) = stage().await;
    let id = home.add(&[&origin.url(), "f", "--name", "update"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let ran = home.say(&["job", "add", "--to", &id, &origin.url_in("b"), "g"]).await;
    assert!(ran.code == 0 && ran.out.trim() == id && ran.err.contains("`nearbits job resume"), "{ran:?}");
    let ran = home.say(&["job", "wait", &id]).await;
    assert!(ran.code == 3 && ran.out.contains("`nearbits job resume` fetches it"), "{ran:?}");
    assert!(home.say(&["job", "list"]).await.out.contains("not fetched"));
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "complete", &id]).await.code, 0);
    assert!(std::fs::read(home.join("f")).unwrap() == file && std::fs::read(home.join("g")).unwrap() == file);
    daemon.kill().await;
}

#[tokio::test]
async fn trust_a_job_keeps_its_floor_its_list_of_checksums_and_whether_it_is_shareable() {
    let (home, daemon, origin, _) = stage().await;
    let list = "https://example.org/SHA256SUMS";
    let more = ["--suspended", "--trust", "digest", "--shareable", "--digest-from", list];
    let ran = home.say(&[&["job", "add", &origin.url(), "f"], &more[..]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let id = ran.out.trim();
    let spec = async || home.say(&["job", "show", id, "--json"]).await.json()["spec"].clone();
    let made = spec().await;
    assert_eq!((&made["trust"], &made["shareable"]), (&"digest".into(), &true.into()));
    assert_eq!(made["files"][0]["digest-from"], list);
    let ran = home.say(&["job", "set", id, "--trust", "attested-2", "--shareable=no"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let set = spec().await;
    assert_eq!((&set["trust"], &set["shareable"]), (&"attested-2".into(), &false.into()));
    let ran = home.say(&["job", "set", id, "--trust", "level-3"]).await;
    assert!(ran.error_line(2).contains("attested-2"), "{ran:?}");
    let plain = ["--digest-from", "http://example.org/SHA256SUMS"];
    let ran = home.say(&[&["job", "add", &origin.url(), "g"], &plain[..]].concat()).await;
    assert!(ran.error_line(2).contains("https only"), "{ran:?}");
    daemon.kill().await;
}
