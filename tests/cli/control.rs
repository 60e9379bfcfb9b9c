//! A running daemon and the questions people put to it.
//!
//! Knows: `status`, `flags`, `peer`, `cache`, `job`. Does not know: the socket's language.

use crate::support::{Daemon, Home, Origin, finish, payload, run, sha256, signal};

#[tokio::test]
async fn a_daemon_says_that_its_flags_are_off_and_keeps_what_is_set() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let state = home.text("state");
    let says = |text: &str| std::fs::read_to_string(home.join("daemon.out")).unwrap().contains(text);
    crate::support::until("a line about the flags", || says("nearbits flags set client,server")).await;
    let flags = run(home.path(), &["flags", "get", "--state-dir", &state]).await;
    assert_eq!(flags.out.trim(), "none");
    let flags = run(home.path(), &["flags", "set", "client,server", "--state-dir", &state]).await;
    assert_eq!((flags.code, flags.out.trim()), (0, "client,server"));
    daemon.kill().await;
    let daemon = Daemon::start(&home, &[]).await;
    let flags = run(home.path(), &["flags", "get", "--json", "--state-dir", &state]).await;
    let both = serde_json::json!({"client": true, "server": true});
    let shown = serde_json::json!({"client": true, "server": true, "preference": both});
    assert_eq!(flags.json(), shown);
    daemon.kill().await;
}

#[tokio::test]
async fn peer_4_and_peer_5_and_peer_7_what_is_set_is_kept_and_called_overridden_while_a_policy_says_otherwise()
 {
    let home = Home::new();
    let policy = home.text("policy.toml");
    let text = "enable-peer-caching = true\ndisable-peer-caching-server = true\nmax-cache-size-percent = 3\n";
    std::fs::write(&policy, text).unwrap();
    let daemon = Daemon::start(&home, &["--policy", &policy]).await;
    let set = home.say(&["flags", "set", "server"]).await;
    assert_eq!(set.code, 0, "{}", set.err);
    assert!(
        set.out.starts_with("client\n")
            && set.out.contains("prefers server")
            && set.out.contains("policy show")
    );
    let shown = home.say(&["flags", "get", "--json"]).await.json();
    assert_eq!(shown["code"], "BG_S_OVERRIDDEN_BY_POLICY", "{shown}");
    assert_eq!((&shown["client"], &shown["server"]), (&true.into(), &false.into()), "what holds: {shown}");
    // A job's flags are the job's own, whatever holds for the computer.
    let wish = ["job", "add", "http://127.0.0.1:9/a", "f", "--suspended", "--peers", "client,server"];
    let id = home.say(&wish).await.out;
    let job = home.say(&["job", "show", id.trim()]).await.out;
    assert!(job.contains("client,server"), "{job}");
    let limit = home.say(&["cache", "limit", "40%", "--json"]).await.json();
    assert_eq!(
        (limit["limits"]["size"].as_str(), limit["preference"]["size"].as_str()),
        (Some("3%"), Some("40%"))
    );
    assert_eq!(limit["code"], "BG_S_OVERRIDDEN_BY_POLICY", "{limit}");
    // What differs in nothing is not called overridden.
    let same = home.say(&["flags", "set", "client", "--json"]).await.json();
    assert_eq!(same.get("code"), None, "{same}");
    let rows = home.say(&["policy", "show"]).await.out;
    assert!(rows.contains("POL-3") && rows.contains("disable-peer-caching-server"), "{rows}");
    daemon.kill().await;
    let daemon = Daemon::start(&home, &[]).await;
    let shown = home.say(&["flags", "get"]).await;
    assert_eq!(shown.out.trim(), "client", "the policy is gone, and what was set holds");
    let limit = home.say(&["cache", "limit", "--json"]).await.json();
    assert_eq!((limit["limits"]["size"].as_str(), limit.get("code")), (Some("40%"), None));
    daemon.kill().await;
}

#[tokio::test]
async fn status_lists_what_is_documented() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--flags", "client"]).await;
    let status = run(home.path(), &["status", "--json", "--state-dir", &home.text("state")]).await.json();
    assert!(status["peer_id"].as_str().unwrap().starts_with("12D3KooW"));
    assert!(status["listen"][0].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"));
    assert_eq!(status["flags"], serde_json::json!({"client": true, "server": false}));
    for key in ["origin_bytes", "peer_bytes", "served_bytes", "discarded_bytes", "banned_peers"] {
        assert_eq!(status["totals"][key], 0, "{key}");
    }
    assert!(status["rss_bytes"].as_u64().unwrap() > 1_000_000);
    let table = run(home.path(), &["status", "--state-dir", &home.text("state")]).await;
    assert!(table.out.contains("peer id"), "{}", table.out);
    daemon.kill().await;
}

/// What `peer list` has: addresses, and how each came to be known.
async fn listed(home: &Home) -> Vec<(String, String)> {
    let rows = home.say(&["peer", "list", "--json"]).await.json();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "address"), text(row, "known_by"))).collect()
}

#[tokio::test]
async fn peers_are_added_listed_asked_for_and_forgotten() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &["--flags", "client,server", "--peer", "127.0.0.1:8"]).await;
    assert_eq!(home.say(&["peer", "add", "127.0.0.1:9"]).await.code, 0);
    let wrong = home.say(&["peer", "add", "nowhere"]).await;
    assert!(wrong.error_line(2).contains("nowhere"), "{wrong:?}");
    let wrong = home.say(&["peer", "add", "127.0.0.1:0"]).await;
    assert!(wrong.error_line(2).contains("nobody listens at port 0"), "{wrong:?}");
    let rows = home.say(&["peer", "list", "--json"]).await.json();
    let row = &rows[1];
    assert_eq!(
        (row["peer"].as_str(), row["address"].as_str(), row["known_by"].as_str(), &row["connected"]),
        (Some(""), Some("127.0.0.1:9"), Some("added"), &false.into()),
        "{rows}"
    );
    let asked = home.say(&["peer", "discover", "--json"]).await.json();
    assert_eq!(asked, serde_json::json!({"asked": true}));
    let again = home.say(&["peer", "discover"]).await;
    assert!(again.code == 0 && again.out.contains("ten minutes"), "{again:?}");
    let cleared = home.say(&["peer", "clear", "--json"]).await.json();
    assert_eq!(cleared, serde_json::json!({"peers": 1}));
    assert_eq!(listed(&home).await, [("127.0.0.1:8".into(), "configured".into())], "it stays");
    let asked = home.say(&["peer", "discover"]).await;
    assert!(asked.out.contains("is asked"), "{asked:?}");
    daemon.kill().await;
    let daemon = Daemon::start(&home, &["--flags", "client,server"]).await;
    assert_eq!(listed(&home).await, [], "what was cleared does not come back");
    daemon.kill().await;
}

#[tokio::test]
async fn peer_23_who_was_added_is_a_peer_after_a_restart_until_it_is_removed_and_whom_get_named_is_not() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    for address in ["127.0.0.1:9", "/ip4/127.0.0.1/tcp/10", "127.0.0.1:9"] {
        let added = home.say(&["peer", "add", address]).await;
        assert_eq!(added.code, 0, "{}", added.err);
    }
    let origin = Origin::start(payload(1_000)).await;
    let got = finish(home.get(&origin.url(), "f", &["--peer", "127.0.0.1:11"]).spawn().unwrap()).await;
    assert_eq!(got.code, 0, "{}", got.err);
    let row = |port: u16, by: &str| (format!("127.0.0.1:{port}"), by.to_owned());
    assert_eq!(listed(&home).await, [row(9, "added"), row(10, "added"), row(11, "command")]);
    assert!(home.say(&["peer", "list"]).await.out.contains("peer add"));

    // It is killed, and nothing more is said to it.
    daemon.kill().await;
    let daemon = Daemon::start(&home, &["--peer", "127.0.0.1:12"]).await;
    assert_eq!(listed(&home).await, [row(12, "configured"), row(9, "added"), row(10, "added")]);
    let removed = home.say(&["peer", "remove", "127.0.0.1:10"]).await;
    assert_eq!(removed.code, 0, "another way to write it: {}", removed.err);
    for address in ["127.0.0.1:10", "127.0.0.1:12"] {
        let again = home.say(&["peer", "remove", address]).await;
        assert!(again.error_line(7).contains("was not added"), "{again:?}");
    }
    assert!(home.say(&["peer", "remove", "nowhere"]).await.error_line(2).contains("nowhere"));
    assert_eq!(listed(&home).await, [row(12, "configured"), row(9, "added")]);
    daemon.kill().await;

    // A list that cannot be read is set aside, and a line in it that is no address now holds up nobody.
    std::fs::write(home.join("state/peers.json"), r#"["[fe80::1%nolink0]:9","127.0.0.1:13"]"#).unwrap();
    let daemon = Daemon::start(&home, &[]).await;
    assert_eq!(listed(&home).await, [row(13, "added")]);
    assert_eq!(home.say(&["peer", "remove", "[fe80::1%nolink0]:9"]).await.code, 0);
    let kept = std::fs::read_to_string(home.join("state/peers.json")).unwrap();
    assert_eq!(kept, r#"["127.0.0.1:13"]"#);
    daemon.kill().await;
    std::fs::write(home.join("state/peers.json"), "[").unwrap();
    let daemon = Daemon::start(&home, &[]).await;
    assert_eq!(listed(&home).await, []);
    assert!(home.join("state/peers.json.damaged").exists());
    daemon.kill().await;
}

#[tokio::test]
async fn lim_21_how_long_an_origin_may_be_silent_is_what_the_configuration_says() {
    let home = Home::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::write(home.join("c.toml"), "[origin]\nanswer-timeout-s = 1\n").unwrap();
    let daemon = Daemon::start(&home, &["--config", &home.text("c.toml")]).await;
    let id = home.add(&[&format!("http://{}/f", silent.local_addr().unwrap()), "f"]).await;
    let failed = async {
        loop {
            let error = home.say(&["job", "show", &id, "--json"]).await.json()["error"].clone();
            if !error.is_null() {
                break error["message"].as_str().unwrap().to_owned();
            }
        }
    };
    let message = tokio::time::timeout(crate::support::DEADLINE, failed).await.expect("it says so");
    assert!(message.contains("longer than 1 s"), "{message}");
    daemon.kill().await;
}

#[tokio::test]
async fn cache_14_peers_are_not_looked_for_while_peer_caching_is_off_and_whoever_switched_it_off_is_named() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let refused = home.say(&["peer", "discover"]).await;
    let line = refused.error_line(6);
    for words in ["BG_E_PEERCACHING_DISABLED", "nearbits flags set client,server"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    // What is known can be looked at and cleared; one half is enough to look.
    assert_eq!(home.say(&["peer", "list"]).await.code, 0);
    assert_eq!(home.say(&["peer", "clear"]).await.code, 0);
    assert_eq!(home.say(&["flags", "set", "server"]).await.code, 0);
    assert_eq!(home.say(&["peer", "discover"]).await.code, 0);
    daemon.kill().await;

    std::fs::write(home.join("policy.toml"), "enable-peer-caching = false\n").unwrap();
    let daemon = Daemon::start(&home, &["--policy", &home.text("policy.toml")]).await;
    let refused = home.say(&["peer", "discover"]).await;
    let line = refused.error_line(6);
    assert!(line.contains("enable-peer-caching = false in") && line.contains("policy.toml"), "{line}");
    daemon.kill().await;
}

#[tokio::test]
async fn local_6_a_caller_of_another_user_is_turned_away() {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else.
        return;
    }
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    for name in ["", "state", "state/control.sock"] {
        open(&home.join(name));
    }
    let mut ask = tokio::process::Command::new("setpriv");
    ask.args(["--reuid", "65533", "--clear-groups", env!("CARGO_BIN_EXE_nearbits"), "status", "--control"]);
    ask.arg(home.join("state/control.sock")).env_clear().current_dir("/");
    ask.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let Ok(child) = ask.spawn() else { return };
    let ran = finish(child).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains("12D3KooW"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_get_leans_on_the_daemon_that_runs_and_its_cache_lists_the_file() {
    let home = Home::new();
    let file = payload(300_000);
    let origin = Origin::start(file.clone()).await;
    let daemon = Daemon::start(&home, &["--flags", "client,server"]).await;
    let state = home.text("state");
    let get = home.get(&origin.url(), "file", &["--sha256", &sha256(&file)]).spawn().unwrap();
    assert_eq!(finish(get).await.json()["len"], 300_000);
    let status = run(home.path(), &["status", "--json", "--state-dir", &state]).await.json();
    assert_eq!(status["totals"]["origin_bytes"], 300_000, "{status}");
    let records = run(home.path(), &["cache", "list", "--json", "--state-dir", &state]).await.json();
    assert_eq!((&records[0]["len"], &records[0]["held"]), (&300_000.into(), &300_000.into()), "{records}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_job_can_be_suspended_resumed_and_cancelled_by_the_start_of_its_id() {
    let home = Home::new();
    let origin = Origin::slow(payload(20_000_000), 1_000_000).await;
    let daemon = Daemon::start(&home, &[]).await;
    let state = home.text("state");
    let get = home.get(&origin.url(), "file", &[]).spawn().unwrap();
    crate::support::until("bytes on their way", || origin.sent() > 100_000).await;
    let jobs = run(home.path(), &["job", "list", "--json", "--state-dir", &state]).await.json();
    let id = jobs[0]["id"].as_str().unwrap()[..6].to_owned();
    let job = async |verb: &str| run(home.path(), &["job", verb, &id, "--json", "--state-dir", &state]).await;
    assert_eq!(job("suspend").await.json()["state"], "suspended");
    let got = finish(get).await;
    assert_eq!(got.code, 3, "{got:?}");
    assert_ne!(job("resume").await.json()["state"], "suspended");
    assert_eq!(job("cancel").await.code, 0);
    assert!(!home.join("file").exists());
    let ran = run(home.path(), &["job", "show", "ffffff", "--state-dir", &state]).await;
    assert!(ran.error_line(7).contains("job list"), "{ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn an_idle_daemon_ends_at_once() {
    let home = Home::new();
    let mut daemon = Daemon::start(&home, &[]).await;
    assert_eq!(home.say(&["status"]).await.code, 0);
    signal(&daemon.child, rustix::process::Signal::TERM);
    // It takes 10 ms where nobody else wants the processor.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(1), daemon.child.wait()).await;
    assert!(ended.expect("at once").expect("our own child").success());
}
