//! Parts of a file: `file request`, `file position`, `file ranges`, jobs in on-demand mode.
//!
//! Knows: what is printed, exit codes, the events of the control door. Does not know: in which order parts come.

use crate::support::{Daemon, Home, Origin, payload};

const LEN: usize = 1_000_000;

#[tokio::test]
async fn rng_10_to_rng_12_parts_are_asked_for_and_read_while_others_are_missing() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(LEN);
    let origin = Origin::start(file.clone()).await;
    let id = home.add(&[&origin.url(), "film", "--on-demand", "--name", "film"]).await;
    // It stands still: nothing was asked for.
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 3);
    assert_eq!(origin.sent(), 0);
    assert!(home.say(&["file", "ranges", "film", "0"]).await.out.contains("no byte of it is there"));
    let ran = home.say(&["file", "request", "film", "0", "--ranges", "700000:1,131072:65536"]).await;
    assert!(ran.code == 0 && ran.out.contains("film, file 0: "), "{ran:?}");
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 3);
    let shown = home.say(&["file", "ranges", "film", "0", "--json"]).await.json();
    let filled =
        serde_json::json!([{ "offset": 131_072, "len": 65_536 }, { "offset": 655_360, "len": 65_536 }]);
    assert_eq!((&shown["filled"], &shown["len"]), (&filled, &LEN.into()), "{shown}");
    assert_eq!(shown["requested"][0], serde_json::json!({ "offset": 700_000, "len": 1 }));
    assert_eq!(origin.sent(), 131_072, "no byte that nobody asked for");
    let table = home.say(&["file", "ranges", "film", "0"]).await.out;
    assert!(table.contains("offset") && table.contains("655360"), "{table}");
    let part = home.say(&["file", "list", "film", "--json"]).await.json()[0]["temp-path"].clone();
    let there = std::fs::read(part.as_str().unwrap()).unwrap();
    assert!(there[700_000] == file[700_000] && there[131_072..196_608] == file[131_072..196_608]);
    let ran = home.say(&["file", "position", "film", "0", "900000", "--json"]).await;
    assert_eq!(ran.json()["position"], 900_000);
    assert!(ran.err.contains("only says what comes first"), "it asks for nothing: {ran:?}");
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert!(shown["spec"]["on-demand"] == true && shown["reason"].as_str().unwrap().contains("request"));
    // The rest.
    home.say(&["file", "request", "film", "0", "--ranges", "0:eof"]).await;
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 0);
    assert_eq!(origin.sent(), u64::try_from(LEN).unwrap(), "no byte twice");
    daemon.kill().await;
}

#[tokio::test]
async fn rng_13_what_cannot_be_asked_for_is_one_line() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(LEN)).await;
    home.add(&[&origin.url(), "film", "--on-demand", "--name", "film"]).await;
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 3);
    for (args, code, says) in [
        (["request", "film", "0", "--ranges", "1000000:1"], 2, "BG_E_INVALID_RANGE"),
        (["request", "film", "0", "--ranges", "5-6"], 2, "OFFSET:LENGTH"),
        (["request", "film", "1", "--ranges", "0:1"], 2, "counted from 0"),
        (["position", "film", "0", "1000000", "--json"], 2, "BG_E_INVALID_RANGE"),
        (["ranges", "film", "7", "--json", "--json"], 2, "cannot be used"),
    ] {
        let ran = home.say(&[&["file"], &args[..]].concat()).await;
        assert!(ran.error_line(code).contains(says), "{args:?}: {ran:?}");
    }
    assert!(home.say(&["file", "ranges", "film", "7"]).await.error_line(7).contains("no file 7"));
    daemon.kill().await;
}

#[tokio::test]
async fn file_28_the_mode_is_set_and_taken_back() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(LEN);
    let origin = Origin::start(file.clone()).await;
    home.add(&[&origin.url(), "film", "--name", "film", "--suspended"]).await;
    assert_eq!(home.say(&["job", "set", "film", "--on-demand"]).await.code, 0);
    home.say(&["job", "resume", "film"]).await;
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 3);
    assert_eq!(origin.sent(), 0);
    assert_eq!(home.say(&["job", "set", "film", "--on-demand=no"]).await.code, 0);
    home.say(&["job", "resume", "film"]).await;
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 0);
    assert_eq!(origin.sent(), u64::try_from(LEN).unwrap());
    daemon.kill().await;
}

#[tokio::test]
async fn file_28_a_job_that_is_to_fetch_all_of_its_file_again_says_that_it_needs_resume() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(LEN)).await;
    home.add(&[&origin.url(), "film", "--on-demand", "--name", "film"]).await;
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 3);
    assert!(home.say(&["job", "show", "film"]).await.out.contains("only what is asked for"));
    let ran = home.say(&["job", "set", "film", "--on-demand=no"]).await;
    assert!(ran.code == 0 && ran.out.contains("it is suspended, on-demand mode is off"), "{ran:?}");
    assert!(ran.out.contains("`nearbits job resume` fetches the rest"), "{ran:?}");
    assert_eq!(home.say(&["job", "resume", "film"]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", "film"]).await.code, 0);
    daemon.kill().await;
}
