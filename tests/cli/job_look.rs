//! Looking at jobs: `job list`, `job show`, `job why`, `file list`.
//!
//! Knows: what people and programs read of jobs. Does not know: how jobs come along.

use crate::support::{Daemon, Home, Origin, payload, sha256, until};

fn names(jobs: &serde_json::Value) -> Vec<&str> {
    jobs.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn cli_6_cli_36_jobs_are_listed_by_state_and_by_pattern() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    for name in ["alpha", "beta", "gamma"] {
        home.add(&["http://127.0.0.1:9/f", name, "--suspended", "--name", name]).await;
    }
    home.say(&["job", "cancel", "beta"]).await;
    let list = async |more: &[&str]| home.say(&[&["job", "list", "--json"], more].concat()).await.json();
    assert_eq!(names(&list(&["--state", "SUSPENDED", "--name", "[a-b]*"]).await), ["alpha"]);
    assert_eq!(names(&list(&["--name", "*a*m*", "--all-users"]).await), ["gamma"]);
    assert_eq!(names(&list(&[]).await), ["alpha", "beta", "gamma"], "in the order they were made");
    assert_eq!(names(&list(&["--state", "cancelled"]).await), ["beta"]);
    let table = home.say(&["job", "list", "--all-users"]).await;
    for word in ["owner", "alpha", "suspended", "normal", "0/1"] {
        assert!(table.out.contains(word), "{word}: {}", table.out);
    }
    assert_eq!(home.say(&["job", "list", "--name", "z*"]).await.out.trim(), "no job is like this");
    daemon.kill().await;
}

#[tokio::test]
async fn cli_7_cli_9_cli_10_a_job_is_shown_with_all_that_is_known_of_it() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(100_000);
    let origin = Origin::start(file.clone()).await;
    let url = origin.url();
    let args = [&url, "f", "--name", "update", "--description", "for Tuesday", "--peers", "client"];
    let ran = home.say(&[&["job", "add"], &args[..]].concat()).await;
    assert!(ran.code == 0 && ran.err.contains("nearbits flags set"), "{ran:?}");
    assert_eq!(home.say(&["job", "wait", "update"]).await.code, 0);
    let shown = home.say(&["job", "show", "update", "--json"]).await.json();
    assert_eq!(
        (&shown["state"], &shown["len"], &shown["stored"]),
        (&"transferred".into(), &100_000.into(), &100_000.into())
    );
    assert_eq!((&shown["files-total"], &shown["files-transferred"]), (&1.into(), &1.into()));
    assert_eq!(shown["spec"]["description"], "for Tuesday");
    assert_eq!(shown["spec"]["flags"], serde_json::json!({"client": true, "server": false}));
    assert_eq!(shown["files"][0]["phase"], "whole");
    for time in ["created-unix-ms", "modified-unix-ms", "transferred-unix-ms"] {
        assert!(shown["times"][time].as_i64().unwrap() > 1_700_000_000_000, "{time}");
    }
    let text = home.say(&["job", "show", "update"]).await.out;
    for words in ["for Tuesday", "transferred", "retry delay", "10 min", "14 days", "f", "Z"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn cli_11_an_error_is_shown_with_its_code_and_what_to_do() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(10)).await;
    let id = home.add(&[&origin.missing_url(), "f"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 7);
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert_eq!(
        (&shown["error"]["code"], &shown["error"]["status"]),
        (&"BG_E_HTTP_ERROR_404".into(), &404.into())
    );
    assert_eq!(shown["error-count"], 1);
    assert!(shown["advice"].as_str().unwrap().contains("URL"), "{shown}");
    let text = home.say(&["job", "show", &id]).await.out;
    assert!(text.contains("BG_E_HTTP_ERROR_404 (0x80190194)") && text.contains("what to do"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_wrong_digest_is_shown_beside_what_the_file_has_until_it_is_over() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(1_000)).await;
    let wrong = "0".repeat(64);
    let id = home.add(&[&origin.url(), "f", "--sha256", &wrong]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 8);
    let text = home.say(&["job", "show", &id]).await.out;
    let has = sha256(&payload(1_000));
    for words in [&format!("file 0: sha256:{wrong}"), &has, "`nearbits job set --digest`"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let id = home.add(&[&origin.missing_url(), "g"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 7);
    assert_eq!(home.say(&["job", "set", &id, "--url", &origin.url()]).await.code, 0);
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let text = home.say(&["job", "show", &id]).await.out;
    assert!(!text.contains("what to do"), "{text}");
    assert!(!text.contains("last error") || text.contains("last error (over)"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn why_tells_who_was_asked_and_which_half_of_a_permission_was_missing() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(100_000);
    let origin = Origin::start(file.clone()).await;
    let id = home.add(&[&origin.url(), "f", &origin.url_in("b"), "g"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let text = home.say(&["job", "why", &id]).await.out;
    assert!(text.contains("the job allows none, the computer none: none holds"), "{text}");
    assert!(text.contains("file 1: ") && text.contains(" origin: "), "{text}");
    let decisions = home.say(&["job", "why", &id, "--file", "1", "--json"]).await.json();
    let decisions = decisions.as_array().unwrap();
    assert!(!decisions.is_empty() && decisions.iter().all(|made| made["file"] == 1), "{decisions:?}");
    let ran = home.say(&["job", "why", &id, "--file", "2"]).await;
    assert!(ran.error_line(7).contains("2 files"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn cli_25_files_are_listed_with_where_their_bytes_are() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let id = home.add(&["http://127.0.0.1:9/a", "f", "http://127.0.0.1:9/b", "g", "--suspended"]).await;
    let files = home.say(&["file", "list", &id, "--json"]).await.json();
    assert_eq!((&files[1]["index"], &files[1]["url"]), (&1.into(), &"http://127.0.0.1:9/b".into()));
    let temp = files[1]["temp-path"].as_str().unwrap();
    assert!(temp.starts_with(home.path().to_str().unwrap()) && !temp.ends_with("/g"), "{temp}");
    assert_eq!((&files[1]["validation"], &files[1]["from-peer"]), (&"unknown".into(), &false.into()));
    let text = home.say(&["file", "list", &id]).await.out;
    assert!(text.contains("waiting") && text.contains("http://127.0.0.1:9/b"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn file_7_the_part_has_a_name_and_can_be_read_while_it_comes_in() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(3 * (1 << 20));
    let origin = Origin::slow(file.clone(), 2_000_000).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    let files = home.say(&["file", "list", &id, "--json"]).await.json();
    let part = std::path::PathBuf::from(files[0]["temp-path"].as_str().unwrap());
    assert_eq!(part.parent(), Some(home.path()), "beside its destination");
    let mut begun = Vec::new();
    until("its first bytes", || {
        begun = std::fs::read(&part).unwrap_or_default();
        begun.starts_with(&file[..1024])
    })
    .await;
    let reader = std::fs::File::open(&part).unwrap();
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    assert_eq!(std::fs::read(&part).unwrap(), file, "who reads does not disturb");
    assert_eq!(home.say(&["job", "complete", &id]).await.code, 0);
    assert!(!part.exists() && reader.metadata().unwrap().len() == file.len() as u64);
    daemon.kill().await;
}

#[tokio::test]
async fn job_33_and_err_57_a_job_that_cannot_be_read_is_named_by_status_and_list_with_what_it_left() {
    let home = Home::new();
    let origin = Origin::slow(payload(8 << 20), 2_000_000).await;
    let daemon = Daemon::start(&home, &[]).await;
    let id = home.add(&[&origin.url(), "f", "--name", "lost"]).await;
    until("some of it", || origin.sent() > 1 << 20).await;
    assert_eq!(home.say(&["status", "--json"]).await.json()["damaged_jobs"], serde_json::Value::Null);
    daemon.kill().await;
    let job = std::fs::read_dir(home.join("state").join("jobs")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(job.join("job.json")).unwrap();
    std::fs::write(job.join("job.json"), &text[..text.len() / 2]).unwrap();
    for _ in 0..2 {
        let daemon = Daemon::start(&home, &[]).await;
        let damaged = home.say(&["status", "--json"]).await.json()["damaged_jobs"][0].clone();
        let full = damaged["id"].as_str().unwrap();
        assert!(full.starts_with(&id), "{damaged}");
        assert!(damaged["path"].as_str().unwrap().ends_with("job.json.damaged"), "{damaged}");
        let part = damaged["parts"][0].as_str().unwrap();
        assert!(std::path::Path::new(part).exists(), "{damaged}");
        let status = home.say(&["status"]).await.out;
        assert!(status.contains(full) && status.contains(part), "{status}");
        let list = home.say(&["job", "list"]).await;
        assert!(list.err.contains("1 job could not be read"), "{list:?}");
        let log = std::fs::read_to_string(home.join("daemon.err")).unwrap();
        assert!(log.contains("BG_E_DATABASE_CORRUPT") && log.contains(full), "{log}");
        daemon.kill().await;
    }
}
