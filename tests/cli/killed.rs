//! Processes that are killed without a word, and processes that start in the same instant (must-show h, n).
//!
//! Knows: `kill -9`. Does not know: journals.

use std::collections::BTreeSet;
use std::process::Stdio;

use tokio::process::Child;

use crate::support::{Daemon, Home, Origin, blake3, finish, nearbits, payload, run, sha256, until};

const MIB: usize = 1 << 20;

fn eight_gets(home: &Home, origin: &Origin, file: &[u8]) -> Vec<Child> {
    let digest = sha256(file);
    let get = |number: usize| {
        home.get(&origin.url(), &format!("out{number}"), &["--sha256", &digest]).spawn().unwrap()
    };
    (0..8).map(get).collect()
}

#[tokio::test]
async fn eight_gets_in_the_same_instant_share_one_empty_state_folder() {
    let home = Home::new();
    let file = payload(4 * MIB);
    let origin = Origin::slow(file.clone(), 4_000_000).await;
    let gets = eight_gets(&home, &origin, &file);
    for (number, ran) in futures::future::join_all(gets.into_iter().map(finish)).await.into_iter().enumerate()
    {
        assert_eq!(ran.json()["sha256"], sha256(&file), "get {number}: {ran:?}");
        assert_eq!(std::fs::read(home.join(&format!("out{number}"))).unwrap(), file, "get {number}");
    }
    assert!(home.join("state/identity").exists());
}

#[tokio::test]
async fn when_the_holder_of_the_state_folder_is_killed_the_others_finish() {
    let home = Home::new();
    let file = payload(8 * MIB);
    let origin = Origin::slow(file.clone(), 2_000_000).await;
    let mut gets = eight_gets(&home, &origin, &file);
    until("bytes for all", || origin.sent() > 4_000_000).await;
    let holder = holder(&home);
    let place = gets.iter().position(|get| get.id() == holder).expect("one of them holds the folder");
    let mut killed = gets.remove(place);
    killed.kill().await.unwrap();
    let ran = futures::future::join_all(gets.into_iter().map(finish)).await;
    let paths: BTreeSet<String> =
        ran.iter().map(|ran| ran.json()["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths.len(), 7);
    for path in paths {
        assert_eq!(std::fs::read(&path).unwrap(), file, "{path}");
    }
}

/// Which process listens at the state folder's socket: the kernel lists who holds a lock in it.
fn holder(home: &Home) -> Option<u32> {
    let socket =
        std::os::unix::net::UnixStream::connect(home.join("state/control.sock")).expect("somebody listens");
    let peer = rustix::net::sockopt::socket_peercred(&socket).expect("Linux says");
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

#[tokio::test]
async fn when_the_serving_peer_is_killed_the_rest_comes_from_the_origin() {
    let (holder, fetcher) = (Home::new(), Home::new());
    let file = payload(48 * MIB);
    let origin = Origin::start(file.clone()).await;
    let daemon = Daemon::start(&holder, &["--flags", "client,server"]).await;
    let digest = blake3(&file);
    finish(holder.get(&origin.url(), "out", &["--blake3", &digest]).spawn().unwrap()).await.json();
    let status = run(holder.path(), &["status", "--json", "--state-dir", &holder.text("state")]).await.json();
    let address = status["listen"][0].as_str().unwrap().to_owned();
    let before = origin.sent();
    let args = ["--blake3", &digest, "--peer", &address, "--limit", "16Mi", "--why"];
    let get = fetcher.get(&origin.url(), "out", &args).spawn().unwrap();
    let part_len = || {
        let mut names = fetcher.names(".out").into_iter();
        let part = names.find(|name| name.ends_with(".part"));
        part.and_then(|name| Some(std::fs::metadata(fetcher.join(&name)).ok()?.len())).unwrap_or(0)
    };
    until("a third of the file", || part_len() > 16 << 20).await;
    assert!(origin.sent() - before <= 4 << 20, "the peer gives until it is killed");
    daemon.kill().await;
    let ran = finish(get).await;
    let bytes = &ran.json()["bytes"];
    let of = |source: &str| bytes[source].as_u64().unwrap();
    assert_eq!(std::fs::read(fetcher.join("out")).unwrap(), file);
    assert!(of("peers") >= 2 << 20 && of("origin") > 0, "{ran:?}");
    let len = u64::try_from(file.len()).unwrap();
    assert!(of("peers") + of("origin") <= len + (4 << 20), "{ran:?}");
}

#[tokio::test]
async fn a_daemon_killed_twenty_times_ends_with_the_exact_file() {
    let home = Home::new();
    let file = payload(96 * MIB);
    let origin = Origin::slow(file.clone(), 30_000_000).await;
    let digest = sha256(&file);
    let mut daemon = Daemon::start(&home, &[]).await;
    let mut get = home.get(&origin.url(), "out", &["--sha256", &digest]).spawn().unwrap();
    until("the first bytes", || origin.sent() > 0).await;
    // Nobody follows the job any more: the daemon alone carries it on.
    get.kill().await.unwrap();
    let mut kills: u64 = 0;
    while kills < 20 {
        let enough = origin.sent() + 1_500_000;
        until("more bytes, or all", || origin.sent() > enough || home.join("out").exists()).await;
        if home.join("out").exists() {
            break;
        }
        daemon.kill().await;
        kills += 1;
        daemon = Daemon::start(&home, &[]).await;
    }
    until("the file", || home.join("out").exists()).await;
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
    let len = u64::try_from(file.len()).unwrap();
    let again = origin.sent().saturating_sub(len);
    assert!(again <= kills * (4 << 20), "{again} bytes came again after {kills} kills");
    assert_eq!(kills, 20, "the file came too soon");
    let status = run(home.path(), &["status", "--json", "--state-dir", &home.text("state")]).await;
    status.json();
    daemon.kill().await;
}

#[tokio::test]
async fn after_a_kill_the_sources_of_a_job_add_up_to_what_is_there() {
    let home = Home::new();
    let file = payload(24 << 20);
    let origin = Origin::slow(file.clone(), 8_000_000).await;
    let daemon = Daemon::start(&home, &[]).await;
    let id = home.add(&[&origin.url(), "f"]).await;
    until("much of it", || origin.sent() > 14 << 20).await;
    daemon.kill().await;
    let daemon = Daemon::start(&home, &[]).await;
    assert_eq!(home.say(&["job", "wait", &id]).await.code, 0);
    let shown = home.say(&["job", "show", &id, "--json"]).await.json();
    let bytes = |name: &str| shown["bytes"][name].as_u64().unwrap_or_default();
    assert!(bytes("earlier") > 1 << 20, "{shown}");
    assert_eq!(bytes("origin") + bytes("earlier") - bytes("discarded"), 24 << 20, "{shown}");
    let text = home.say(&["job", "show", &id]).await.out;
    assert!(text.contains("already on disk from an earlier run"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_daemon_goes_on_when_whoever_read_its_log_is_gone() {
    let (home, file) = (Home::new(), payload(MIB));
    let origin = Origin::start(file.clone()).await;
    let mut command = nearbits(home.path());
    command.args(["daemon", "--no-mdns", "--listen", "127.0.0.1:0", "--until-stdin-closes", "--state-dir"]);
    command.arg(home.text("state")).env("NEARBITS_LOG", "debug").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let socket = home.join("state/control.sock");
    until("the daemon's socket", || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
    drop(daemon.stderr.take());
    for name in ["one", "two"] {
        let ran = finish(home.get(&origin.url(), name, &[]).spawn().unwrap()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(std::fs::read(home.join(name)).unwrap(), file);
        assert!(daemon.try_wait().unwrap().is_none(), "it runs");
    }
    daemon.kill().await.unwrap();
}
