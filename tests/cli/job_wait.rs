//! Waiting for jobs and looking on: `job wait`, `job watch`.
//!
//! Knows: exit codes, lines, objects. Does not know: bars; they need a terminal.

use crate::support::{Daemon, Home, Origin, Twist, finish, nearbits, payload, sha256, signal};

#[tokio::test]
async fn the_exit_code_of_a_wait_says_how_the_job_came_out() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(300_000);
    let origin = Origin::start(file.clone()).await;
    let liar = Origin::twisted(file.clone(), 0, Twist::OtherBytesAfter(0)).await;
    let slow = Origin::slow(payload(20_000_000), 100_000).await;
    let fickle = Origin::twisted(file.clone(), 0, Twist::Fickle).await;
    let (url, missing, lies, drips) = (origin.url(), origin.missing_url(), liar.url(), slow.url());
    let changes = fickle.url();
    let digest = sha256(&file);
    for (name, args, code) in [
        ("good", vec![url.as_str()], 0),
        ("missing", vec![&missing], 7),
        ("lied", vec![&lies, "--sha256", &digest], 8),
        ("changed", vec![&changes], 5),
        ("stopped", vec![&url, "--suspended"], 3),
        ("slow", vec![&drips], 4),
    ] {
        home.add(&[&args[..1], &[name, "--name", name], &args[1..]].concat()).await;
        let ran = home.say(&["job", "wait", name, "--timeout", if code == 4 { "1" } else { "60" }]).await;
        assert_eq!(ran.code, code, "{name}: {ran:?}");
    }
    let shown = home.say(&["job", "show", "changed"]).await.out;
    assert!(shown.contains("BG_E_REMOTE_FILE_CHANGED") && shown.contains("--dynamic"), "{shown}");
    let ran = finish(home.get(&changes, "got", &[]).spawn().unwrap()).await;
    assert_eq!(ran.code, 5, "the same as of the job: {ran:?}");
    // Of several, the first bad outcome.
    let ran = home.say(&["job", "wait", "good", "stopped", "missing", "--json"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    let states: Vec<_> = ran.json_lines().iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["transferred", "suspended", "error"]);
    daemon.kill().await;
}

#[tokio::test]
async fn job_10_a_wait_for_a_table_of_jobs_knows_those_that_were_over_long_ago() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(1_000)).await;
    let line = |index: usize| format!("{},f{index}\n", origin.url_in(&index.to_string()));
    std::fs::write(home.join("table.csv"), (0..80).map(line).collect::<String>()).unwrap();
    let ran = home.say(&["job", "add", "--csv", "table.csv", "--per-line", "--auto-complete"]).await;
    let ids: Vec<&str> = ran.out.lines().collect();
    assert_eq!((ran.code, ids.len()), (0, 80), "{ran:?}");
    let ran = home.say(&[&["job", "wait"], &ids[..]].concat()).await;
    assert_eq!((ran.code, ran.out.lines().count()), (0, 80), "{ran:?}");
    let listed = home.say(&["job", "list"]).await;
    assert!(listed.err.contains("16 more are over"), "{listed:?}");
    let why = home.say(&["job", "why", ids[0]]).await;
    assert_eq!(why.code, 0, "{why:?}");
    // What nobody knows is said, and the others are waited for.
    home.add(&[&origin.url(), "last", "--name", "last"]).await;
    let unknown = "0".repeat(32);
    let ran = home.say(&["job", "wait", &unknown, "last"]).await;
    assert!(ran.error_line(7).contains("is not known, or not any more"), "{ran:?}");
    assert!(ran.out.contains("last: transferred"), "{ran:?}");
    assert!(home.say(&["job", "wait", &unknown]).await.error_line(7).contains("BG_E_NOT_FOUND"));
    daemon.kill().await;
}

#[tokio::test]
async fn a_wait_that_takes_too_long_says_where_every_job_stands() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let (slow, quick) = (Origin::slow(payload(20_000_000), 100_000).await, Origin::start(payload(10)).await);
    home.add(&[&slow.url(), "f", "--name", "slow"]).await;
    home.add(&[&quick.url(), "g", "--name", "quick"]).await;
    assert_eq!(home.say(&["job", "wait", "quick"]).await.code, 0);
    let wait = async |more: &[&str]| {
        home.say(&[&["job", "wait", "slow", "quick", "--timeout", "1"], more].concat()).await
    };
    let ran = wait(&[]).await;
    assert!(ran.error_line(4).contains("1 of the jobs"), "{ran:?}");
    assert!(ran.out.contains("slow: transferring") && ran.out.contains("quick: transferred"), "{ran:?}");
    let states: Vec<_> =
        wait(&["--json"]).await.json_lines().iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["transferring", "transferred"]);
    let files = home.say(&["file", "list", "slow"]).await.out;
    assert!(files.contains("transferring"), "a file on its way does not wait: {files}");
    daemon.kill().await;
}

#[tokio::test]
async fn cli_6_a_view_ends_when_all_is_settled_and_says_what_happened() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    assert!(home.say(&["job", "watch"]).await.out.contains("no job is on its way"));
    let origin = Origin::slow(payload(1_500_000), 1_000_000).await;
    home.add(&[&origin.url(), "f", "--name", "first", "--auto-complete"]).await;
    home.add(&[&origin.missing_url(), "g", "--name", "second"]).await;
    let ran = home.say(&["job", "watch", "first", "second", "--refresh", "50"]).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    for words in ["first: acknowledged", "% of 1.4 MiB", "origin ", "second: error", "404"] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    daemon.kill().await;
}

#[tokio::test]
async fn a_view_in_json_has_an_object_for_every_change_with_rates() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::slow(payload(1_500_000), 1_000_000).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    let ran = home.say(&["job", "watch", "--json", "--refresh", "50"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let seen = ran.json_lines();
    assert!(seen.len() > 2 && seen.iter().all(|job| job["id"] == id.as_str()), "{ran:?}");
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{ran:?}");
    assert!(seen.iter().any(|job| job["rates"]["origin"].as_u64().unwrap() > 100_000), "{ran:?}");
    assert_eq!(seen.last().unwrap()["state"], "transferred");
    daemon.kill().await;
}

#[tokio::test]
async fn ctrl_c_ends_the_view_and_not_the_job() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::slow(payload(20_000_000), 500_000).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    let mut watch = nearbits(home.path());
    let out = std::fs::File::create(home.join("out")).unwrap();
    watch.args(["job", "watch", &id, "--state-dir", &home.text("state")]).stdout(out);
    let watch = watch.spawn().unwrap();
    let said = || std::fs::read_to_string(home.join("out")).unwrap();
    crate::support::until("a line", || said().contains("transferring")).await;
    signal(&watch, rustix::process::Signal::INT);
    let ran = finish(watch).await;
    assert!(ran.error_line(130).contains("the jobs go on"), "{ran:?}");
    assert_eq!(home.say(&["job", "show", &id, "--json"]).await.json()["state"], "transferring");
    home.say(&["job", "cancel", &id]).await;
    daemon.kill().await;
}
