//! `get` from its origin, from a neighbour, wrong, interrupted and repeated.
//!
//! Knows: what comes out of the command. Does not know: engines.

use rustix::process::Signal;

use crate::support::{DEADLINE, Daemon, Home, Origin, Twist, blake3, finish, payload, run, sha256, until};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_file_comes_exactly_and_the_object_says_from_where() {
    let home = Home::new();
    let file = payload(3 * MIB + 17);
    let origin = Origin::start(file.clone()).await;
    let ran = finish(home.get(&origin.url(), "out", &["--sha256", &sha256(&file)]).spawn().unwrap()).await;
    let report = ran.json();
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
    assert_eq!(report["path"], home.text("out"));
    assert_eq!(report["len"], 3 * MIB + 17);
    assert_eq!(report["blake3"], blake3(&file));
    assert_eq!(report["sha256"], sha256(&file));
    let bytes = serde_json::json!({"origin": 3 * MIB + 17, "peers": 0, "cache": 0, "discarded": 0});
    assert_eq!(report["bytes"], bytes);
    assert_eq!((&report["restarts"], &report["sources"][0]["source"]), (&0.into(), &"origin".into()));
    assert!(home.names(".out").is_empty(), "no part stays");
}

#[tokio::test]
async fn files_of_telling_sizes_are_exact() {
    let home = Home::new();
    for len in [0, 1, 1_023, 1_025, 65_535, 65_536, 65_537, MIB] {
        let file = payload(len);
        let origin = Origin::start(file.clone()).await;
        let name = format!("out{len}");
        let ran =
            finish(home.get(&origin.url(), &name, &["--blake3", &blake3(&file)]).spawn().unwrap()).await;
        assert_eq!(ran.json()["len"], len, "{ran:?}");
        assert_eq!(std::fs::read(home.join(&name)).unwrap(), file, "{len} bytes");
    }
}

#[tokio::test]
async fn a_neighbour_that_has_the_file_spares_the_origin() {
    let (holder, fetcher) = (Home::new(), Home::new());
    let file = payload(8 * MIB);
    let fast = Origin::start(file.clone()).await;
    let daemon = Daemon::start(&holder, &["--flags", "client,server"]).await;
    let first = holder.get(&fast.url(), "out", &["--blake3", &blake3(&file)]).spawn().unwrap();
    finish(first).await.json();
    let status = run(holder.path(), &["status", "--json", "--state-dir", &holder.text("state")]).await.json();
    let address = status["listen"][0].as_str().unwrap().to_owned();
    // So slow that it matters little when a busy machine lets it have its head start.
    let slow = Origin::slow(file.clone(), 400_000).await;
    let args = ["--blake3", &blake3(&file), "--peer", &address, "--why"];
    let ran = finish(fetcher.get(&slow.url(), "out", &args).spawn().unwrap()).await;
    let report = ran.json();
    assert!(report["bytes"]["peers"].as_u64().unwrap() > 6 << 20, "{ran:?}");
    assert!(slow.sent() < 2 << 20, "{ran:?}");
    assert_eq!(std::fs::read(fetcher.join("out")).unwrap(), file);
    assert!(ran.err.contains(&daemon_id(&address)), "--why names the neighbour: {}", ran.err);
    daemon.kill().await;
}

#[tokio::test]
async fn a_get_that_stays_serves_a_neighbour_that_comes_when_it_is_done() {
    let (holder, fetcher) = (Home::new(), Home::new());
    let file = payload(8 * MIB);
    let origin = Origin::start(file.clone()).await;
    let digest = blake3(&file);
    let staying = holder.get(&origin.url(), "out", &["--blake3", &digest, "--stay", "600"]).spawn().unwrap();
    until("its file", || holder.join("out").exists()).await;
    let status = run(holder.path(), &["status", "--json", "--state-dir", &holder.text("state")]).await.json();
    let address = status["listen"][0].as_str().unwrap().to_owned();
    let slow = Origin::slow(file.clone(), 400_000).await;
    let late = fetcher.get(&slow.url(), "out", &["--blake3", &digest, "--peer", &address]).spawn().unwrap();
    let report = finish(late).await.json();
    assert!(report["bytes"]["peers"].as_u64().unwrap() > 6 << 20, "{report}");
    assert_eq!(std::fs::read(fetcher.join("out")).unwrap(), file);
    crate::support::signal(&staying, Signal::INT);
    let ran = finish(staying).await;
    assert_eq!((ran.code, &ran.json()["len"]), (0, &(8 * MIB).into()), "it has its file: {ran:?}");
}

#[tokio::test]
async fn a_reader_that_heard_enough_changes_nothing() {
    let home = Home::new();
    let origin = Origin::start(payload(MIB)).await;
    for more in [&["--why"][..], &["--overwrite"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut get = home.get(&origin.url(), "out", more);
        let ran = finish(get.stdout(writer).spawn().unwrap()).await;
        assert_eq!((ran.code, ran.err.contains("panicked")), (0, false), "{ran:?}");
        assert_eq!(std::fs::read(home.join("out")).unwrap(), payload(MIB));
    }
}

fn daemon_id(address: &str) -> String {
    address.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_that_is_not_what_the_digest_names_never_appears() {
    let home = Home::new();
    let origin = Origin::start(payload(2 * MIB)).await;
    for (flag, digest) in [("--sha256", sha256(b"another")), ("--blake3", blake3(b"another"))] {
        let ran = finish(home.get(&origin.url(), "out", &[flag, &digest]).spawn().unwrap()).await;
        assert_eq!(ran.code, 8, "{ran:?}");
        assert!(!home.join("out").exists());
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[tokio::test]
async fn d08_a_validator_that_lies_ends_as_an_integrity_error_and_nothing_is_seen() {
    let home = Home::new();
    let file = payload(4 * MIB);
    let origin = Origin::twisted(file.clone(), 0, Twist::OtherBytesAfter(1 << 20)).await;
    for (flag, digest) in [("--sha256", sha256(&file)), ("--blake3", blake3(&file))] {
        let ran = finish(home.get(&origin.url(), "out", &[flag, &digest]).spawn().unwrap()).await;
        assert_eq!(ran.code, 8, "{ran:?}");
        assert!(!home.join("out").exists());
        assert!(home.names(".out").is_empty(), "the false bytes are gone: {:?}", home.names(".out"));
    }
}

#[tokio::test]
async fn t16_a_body_called_gzip_is_refused_and_never_unpacked() {
    let home = Home::new();
    let origin = Origin::twisted(payload(4 * MIB), 0, Twist::Gzip).await;
    let ran = finish(home.get(&origin.url(), "out", &[]).spawn().unwrap()).await;
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.contains("gzip"), "{ran:?}");
    assert!(!home.join("out").exists());
}

#[tokio::test]
async fn a_file_the_origin_does_not_have_is_not_found() {
    let home = Home::new();
    let origin = Origin::start(payload(1)).await;
    let url = origin.url().replace("file.bin", "other.bin");
    let ran = finish(home.get(&url, "out", &[]).spawn().unwrap()).await;
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.err.contains("/other.bin: HTTP status 404"), "{ran:?}");
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_an_error_that_may_pass() {
    let home = Home::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/file.bin");
    let ran = finish(home.get(&url, "out", &["--timeout", "1"]).spawn().unwrap()).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("the same command goes on"), "{ran:?}");
}

#[tokio::test]
async fn an_interrupted_get_goes_on_where_it_was() {
    let home = Home::new();
    let file = payload(24 * MIB);
    let origin = Origin::slow(file.clone(), 12_000_000).await;
    let more = ["--sha256", &sha256(&file)];
    let mut fetched = 0;
    for _ in 0..2 {
        let get = home.get(&origin.url(), "out", &more).spawn().unwrap();
        let enough = fetched + 6 * 1024 * 1024;
        until("some of it", || origin.sent() > enough).await;
        crate::support::signal(&get, Signal::INT);
        let ran = finish(get).await;
        assert_eq!(ran.code, 130, "{ran:?}");
        assert!(ran.err.contains("the same command goes on"), "{ran:?}");
        assert!(!home.join("out").exists());
        fetched = origin.sent();
    }
    let ran = finish(home.get(&origin.url(), "out", &more).spawn().unwrap()).await;
    let report = ran.json();
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
    let len = u64::try_from(file.len()).unwrap();
    // What it fetched itself, and what was there: they make the file.
    let bytes = |name: &str| report["bytes"][name].as_u64().unwrap();
    assert_eq!(bytes("origin") + bytes("earlier") - bytes("discarded"), len, "{report}");
    assert!(bytes("earlier") > 8 << 20 && bytes("origin") <= origin.sent() - fetched, "{report}");
    assert_eq!(report["sources"][0]["bytes"], report["bytes"]["origin"], "{report}");
    let twice = origin.sent() - len;
    assert!(twice <= 2 * (4 << 20), "{twice} bytes came twice");
}

#[tokio::test]
async fn an_interrupted_get_does_not_promise_to_go_on_where_the_origin_cannot() {
    let home = Home::new();
    let file = payload(24 * MIB);
    let origin = Origin::twisted(file.clone(), 12_000_000, Twist::NoRanges).await;
    let get = home.get(&origin.url(), "out", &["--sha256", &sha256(&file)]).spawn().unwrap();
    until("some of it", || origin.sent() > 6 << 20).await;
    crate::support::signal(&get, Signal::INT);
    let ran = finish(get).await;
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(ran.err.contains("the same command begins anew") && !ran.err.contains("goes on"), "{ran:?}");
}

#[tokio::test]
async fn a_daemon_suspends_what_a_killed_get_left_and_the_same_get_takes_it_up() {
    let home = Home::new();
    let file = payload(24 * MIB);
    let origin = Origin::slow(file.clone(), 20_000_000).await;
    let mut first = home.get(&origin.url(), "out", &[]).spawn().unwrap();
    until("some bytes", || origin.sent() > 12 << 20).await;
    first.kill().await.unwrap();
    let before = origin.sent();
    let daemon = Daemon::start(&home, &[]).await;
    let jobs = run(home.path(), &["job", "list", "--json", "--state-dir", &home.text("state")]).await.json();
    assert_eq!(jobs[0]["state"], "suspended", "{jobs}");
    assert_eq!(origin.sent(), before, "nobody asked the daemon for it");
    let ran = finish(home.get(&origin.url(), "out", &[]).spawn().unwrap()).await;
    ran.json();
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
    let len = u64::try_from(file.len()).unwrap();
    assert!(origin.sent() - before < len, "what was there was not fetched again: {ran:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn a_get_that_forbids_peers_takes_up_no_job_that_was_allowed_them() {
    let home = Home::new();
    let file = payload(4 * MIB);
    let origin = Origin::slow(file.clone(), 6_000_000).await;
    let digest = sha256(&file);
    let get = home.get(&origin.url(), "out", &["--sha256", &digest]).spawn().unwrap();
    until("some of it", || origin.sent() > 1 << 20).await;
    crate::support::signal(&get, Signal::TERM);
    assert_eq!(finish(get).await.code, 130);
    let again = ["--sha256", &digest, "--no-peers"];
    let report = finish(home.get(&origin.url(), "out", &again).spawn().unwrap()).await.json();
    assert_eq!(report["bytes"]["origin"], 4 * MIB, "a job of its own: {report}");
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
}

#[tokio::test]
async fn a_limit_holds() {
    let home = Home::new();
    let file = payload(6 * MIB);
    let origin = Origin::start(file.clone()).await;
    let report = finish(home.get(&origin.url(), "out", &["--limit", "3Mi"]).spawn().unwrap()).await.json();
    assert_eq!(std::fs::read(home.join("out")).unwrap(), file);
    assert!(report["seconds"].as_f64().unwrap() > 1.2, "6 MiB at 3 MiB/s and one burst: {report}");
}

#[tokio::test]
async fn a_get_that_takes_up_another_ones_job_goes_by_its_own_flags() {
    let home = Home::new();
    let file = payload(6 * MIB);
    let origin = Origin::start(file.clone()).await;
    for daemon in [false, true] {
        let daemon = if daemon { Some(Daemon::start(&home, &[]).await) } else { None };
        let before = origin.sent();
        let slowly = ["--limit", "300k", "--overwrite", "--no-peers"];
        let first = home.get(&origin.url(), "out", &slowly).spawn().unwrap();
        until("some of it", || origin.sent() > before + 400_000).await;
        crate::support::signal(&first, Signal::INT);
        assert_eq!(finish(first).await.code, 130);
        let again = home.get(&origin.url(), "out", &["--overwrite", "--no-peers"]).spawn().unwrap();
        let report = finish(again).await.json();
        let seconds = report["seconds"].as_f64().unwrap();
        assert!(seconds < 10.0, "the rest took 18 s at the first one's rate: {report}");
        assert!(report["bytes"]["earlier"].as_u64().unwrap() > 0, "{report}");
        if let Some(daemon) = daemon {
            let shown = home.say(&["job", "list", "--json", "--state", "acknowledged"]).await.json();
            let id = shown.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
            let spec = home.say(&["job", "show", &id, "--json"]).await.json()["spec"].clone();
            assert_eq!(spec["rates"], serde_json::json!({}), "{spec}");
            daemon.kill().await;
        }
    }
}

#[tokio::test]
async fn d52_a_computer_flag_cleared_mid_way_leaves_the_rest_to_the_origin() {
    let (holder, fetcher) = (Home::new(), Home::new());
    let file = payload(12 * MIB);
    let origin = Origin::start(file.clone()).await;
    let digest = blake3(&file);
    let holding = Daemon::start(&holder, &["--flags", "client,server"]).await;
    finish(holder.get(&origin.url(), "out", &["--blake3", &digest]).spawn().unwrap()).await.json();
    let status = run(holder.path(), &["status", "--json", "--state-dir", &holder.text("state")]).await.json();
    let address = status["listen"][0].as_str().unwrap().to_owned();

    // The origin is slow enough to be no help until it has to be, the limit leaves time to clear the flag.
    let slow = Origin::slow(file.clone(), 2_000_000).await;
    let state = fetcher.text("state");
    let fetching = Daemon::start(&fetcher, &["--flags", "client,server", "--peer", &address]).await;
    let get = fetcher.get(&slow.url(), "out", &["--blake3", &digest, "--limit", "3Mi"]).spawn().unwrap();
    let totals = async || {
        run(fetcher.path(), &["status", "--json", "--state-dir", &state]).await.json()["totals"].clone()
    };
    let begun = async { while totals().await["peer_bytes"].as_u64().unwrap() < 2 << 20 {} };
    tokio::time::timeout(DEADLINE, begun).await.expect("the peer gives something");
    run(fetcher.path(), &["flags", "set", "none", "--state-dir", &state]).await;
    let after = totals().await["peer_bytes"].as_u64().unwrap();
    let report = finish(get).await.json();
    assert_eq!(std::fs::read(fetcher.join("out")).unwrap(), file);
    let bytes = |name: &str| report["bytes"][name].as_u64().unwrap();
    assert!(bytes("peers") <= after + (1 << 20), "no peer gives more after {after}: {report}");
    assert!(bytes("origin") > 4 << 20, "the origin gives the rest: {report}");
    let len = u64::try_from(file.len()).unwrap();
    assert!(
        bytes("peers") + bytes("origin") <= len + (4 << 20),
        "what was there is not fetched again: {report}"
    );
    fetching.kill().await;
    holding.kill().await;
}
