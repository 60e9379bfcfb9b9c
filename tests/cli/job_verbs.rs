//! Commands to jobs: suspend, resume, complete, cancel, take, and verdicts on files.
//!
//! Knows: exit codes and what is left on the disk. Does not know: states' table.

use crate::support::{Daemon, Home, Origin, Twist, payload, until};

#[tokio::test]
async fn cli_4_cli_37_several_jobs_are_commanded_at_once() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::slow(payload(20_000_000), 100_000).await;
    for name in ["a", "b"] {
        home.add(&[&origin.url(), name, "--name", name]).await;
    }
    let ran = home.say(&["job", "suspend", "a", "b", "--json"]).await;
    let states: Vec<_> = ran.json_lines().iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["suspended", "suspended"], "{ran:?}");
    // Suspending what is suspended is no error (CLI-37); what is not there does not keep the others.
    let ran = home.say(&["job", "resume", "a", "nobody", "b"]).await;
    assert_eq!((ran.code, ran.out.lines().count(), ran.err.lines().count()), (7, 2, 1), "{ran:?}");
    let ran = home.say(&["job", "cancel", "a", "b"]).await;
    assert!(ran.code == 0 && ran.out.contains("nothing is left of it"), "{ran:?}");
    assert_eq!(home.names(".").len(), 0, "{:?}", home.names("."));
    daemon.kill().await;
}

#[tokio::test]
async fn cli_31_a_name_that_fits_several_jobs_is_refused_with_their_ids() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let one = home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--name", "update"]).await;
    let two = home.add(&["http://127.0.0.1:9/f", "g", "--suspended", "--name", "update"]).await;
    let ran = home.say(&["job", "cancel", "update"]).await;
    let line = ran.error_line(2);
    assert!(line.contains(&one[..8]) && line.contains(&two[..8]), "{line}");
    assert_eq!(home.say(&["job", "cancel", &one[..10]]).await.code, 0);
    // The other one is the only one now that is not over.
    assert_eq!(home.say(&["job", "cancel", "update"]).await.code, 0);
    daemon.kill().await;
}

#[tokio::test]
async fn a_part_that_somebody_removed_is_fetched_again_after_resume() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let file = payload(300_000);
    let origin = Origin::start(file.clone()).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let part = home.say(&["file", "list", &id, "--json"]).await.json()[0]["temp-path"].clone();
    std::fs::remove_file(part.as_str().unwrap()).unwrap();
    let ran = home.say(&["job", "complete", &id]).await;
    assert!(ran.code != 0 && ran.err.contains("somebody removed it; `nearbits job resume`"), "{ran:?}");
    let ran = home.say(&["job", "wait", &id]).await;
    assert!(ran.code == 3 && ran.out.contains("job resume"), "{ran:?}");
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    let ran = home.say(&["job", "wait", &id]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(home.say(&["job", "complete", &id]).await.code, 0);
    assert_eq!(std::fs::read(home.join("f")).unwrap(), file);
    daemon.kill().await;
}

#[tokio::test]
async fn job_12_a_completion_in_part_is_told_and_has_its_own_exit_code() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(50_000)).await;
    let id = home.add(&[&origin.url(), "good", &origin.missing_url(), "bad", "--name", "two"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 7);
    let ran = home.say(&["job", "complete", &id]).await;
    assert!(ran.error_line(3).contains("1 of 2 files are whole; --partial delivers those"), "{ran:?}");
    assert_eq!(
        home.say(&["job", "show", &id, "--json"]).await.json()["state"],
        "error",
        "it is left as it is"
    );
    let ran = home.say(&["job", "complete", &id, "--partial", "--json"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    let done = &ran.json_lines()[0];
    assert_eq!((&done["partial"], &done["code"]), (&true.into(), &"BG_S_PARTIAL_COMPLETE".into()), "{done}");
    assert_eq!(done["state"], "acknowledged");
    assert!(home.join("good").exists() && !home.join("bad").exists());
    let ran = home.say(&["job", "wait", &id]).await;
    assert!(ran.code == 3 && ran.out.contains("acknowledged (part)"), "{ran:?}");
    assert!(home.say(&["job", "list"]).await.out.contains("acknowledged (part)"));
    daemon.kill().await;
}

#[tokio::test]
async fn job_t28_a_job_that_is_over_takes_no_command() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let id = home.add(&["http://127.0.0.1:9/f", "f", "--suspended"]).await;
    assert_eq!(home.say(&["job", "cancel", &id]).await.code, 0);
    for verb in ["resume", "suspend", "complete", "cancel"] {
        let ran = home.say(&["job", verb, &id]).await;
        assert!(ran.error_line(5).contains("(BG_E_INVALID_STATE)"), "{verb}: {ran:?}");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn cli_25_val_2_a_verdict_on_a_file_counts() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let origin = Origin::start(payload(50_000)).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let ran = home.say(&["file", "validate", &id, "0"]).await;
    assert!(ran.error_line(2).contains("--valid or --invalid"), "{ran:?}");
    let ran = home.say(&["file", "validate", &id, "7", "--valid"]).await;
    assert!(ran.error_line(2).contains("BG_E_FILE_NOT_AVAILABLE"), "{ran:?}");
    let file = home.say(&["file", "validate", &id, "0", "--valid", "--json"]).await.json();
    assert_eq!(file["validation"], "valid");
    // All of it came from the origin: fetching it again would give the same.
    let ran = home.say(&["file", "validate", &id, "0", "--invalid"]).await;
    assert!(ran.code == 0 && ran.out.contains("invalid and removed; the job is error"), "{ran:?}");
    assert_eq!(home.say(&["job", "resume", &id]).await.code, 0);
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    daemon.kill().await;
}

#[tokio::test]
async fn cli_24_a_job_of_ones_own_may_be_taken_and_keeps_its_header_lines() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    std::fs::write(home.join("headers"), "X-Token: s3cr3t\n").unwrap();
    let id = home.add(&["http://127.0.0.1:9/f", "f", "--suspended", "--header-file", "headers"]).await;
    // The daemon's own user is an administrator; what another owner gave would go (SEC-6, in the engine's tests).
    let ran = home.say(&["job", "take", &id]).await;
    assert!(ran.code == 0 && ran.out.contains("belongs to user"), "{ran:?}");
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    assert_eq!(shown["spec"]["headers"][0]["name"], "X-Token");
    assert_eq!(shown["owner"].as_u64(), Some(rustix::process::geteuid().as_raw().into()));
    daemon.kill().await;
}

#[tokio::test]
async fn jobs_that_are_over_are_forgotten_one_by_one_or_all() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    for name in ["a", "b", "c"] {
        home.add(&["http://127.0.0.1:9/f", name, "--suspended", "--name", name]).await;
    }
    let ran = home.say(&["job", "forget", "a"]).await;
    assert!(ran.error_line(5).contains("complete or cancel it first (BG_E_INVALID_STATE)"), "{ran:?}");
    assert_eq!(home.say(&["job", "forget", "--over"]).await.out, "no job is over\n");
    assert_eq!(home.say(&["job", "cancel", "a", "b"]).await.code, 0);
    let ran = home.say(&["job", "forget", "a"]).await;
    assert!(ran.code == 0 && ran.out.ends_with("a: cancelled, and forgotten\n"), "{ran:?}");
    let ran = home.say(&["job", "forget", "--over", "--json"]).await;
    assert_eq!(ran.json_lines().len(), 1, "{ran:?}");
    let left = home.say(&["job", "list", "--json"]).await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["name"]), (1, &"c".into()));
    assert!(home.say(&["job", "forget"]).await.error_line(2).contains("JOB"));
    daemon.kill().await;
}

#[tokio::test]
async fn a_stopped_job_says_truly_what_stays_of_it() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    for (twist, says) in [(Twist::Honest, "what was fetched stays"), (Twist::NoRanges, "it begins anew")] {
        let origin = Origin::twisted(payload(5_000_000), 200_000, twist).await;
        let id = home.add(&[&origin.url(), "f"]).await;
        until("bytes on their way", || origin.sent() > 50_000).await;
        let ran = home.say(&["job", "suspend", &id]).await;
        assert!(ran.code == 0 && ran.out.contains(says), "{twist:?}: {ran:?}");
        assert_eq!(home.say(&["job", "cancel", &id]).await.code, 0);
    }
    daemon.kill().await;
}
