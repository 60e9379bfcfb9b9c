//! What is wrong is said in one line that tells what to do, with the exit code that goes with it.
//!
//! Knows: command lines and files that are wrong. Does not know: what right ones do.

use crate::support::{Daemon, Home, finish, nearbits, run, until};

#[tokio::test]
async fn a_command_line_that_is_wrong_is_a_usage_error() {
    let home = Home::new();
    let hex = "ab".repeat(32);
    for (args, says) in [
        (vec!["get"], "<URL>"),
        (vec!["fetch"], "fetch"),
        (vec!["statu"], "'status'"),
        (vec!["get", "http://a.test/f", "--jsn"], "'--json'"),
        (vec!["job", "list", "--state", "quiet"], "queued, connecting, transferring"),
        (vec!["file", "validate", "job", "0"], "--valid or --invalid"),
        (vec![], "`nearbits --help`"),
        (vec!["job"], "`nearbits job --help`"),
        (vec!["get", "http://a.test/f", "--shout"], "--shout"),
        (vec!["get", "not a url"], "blank"),
        (vec!["get", "a.test/f"], "absolute"),
        (vec!["get", "http://"], "empty host"),
        (vec!["get", "ftp://a.test/f"], "http"),
        (vec!["get", "file:///etc/passwd"], "http"),
        (vec!["get", "http://user:word@a.test/f"], "user"),
        (vec!["get", "http://a.test/"], "-o PATH"),
        (vec!["get", "http://a.test/f", "--sha256", "abc"], "64 hexadecimal digits"),
        (vec!["get", "http://a.test/f", "--sha512", hex.as_str()], "128 hexadecimal digits"),
        (vec!["get", "http://a.test/f", "--blake3", &"zz".repeat(32)], "hexadecimal digits only"),
        (vec!["get", "http://a.test/f", "--limit", "fast"], "500k"),
        (vec!["get", "http://a.test/f", "--peer", "nowhere"], "nowhere"),
        (vec!["daemon", "--flags", "everything"], "client,server"),
        (vec!["flags", "set", "everything"], "client,server"),
    ] {
        let ran = run(home.path(), &args).await;
        let line = ran.error_line(2);
        assert!(line.contains(says), "{args:?}: {line}");
        assert!(ran.out.is_empty(), "{args:?}: {}", ran.out);
    }
    assert!(home.names(".local").is_empty(), "a wrong command line leaves no state folder");
}

#[tokio::test]
async fn help_and_version_are_no_errors() {
    let home = Home::new();
    for args in [vec!["--help"], vec!["get", "--help"], vec!["--version"], vec!["job", "list", "--help"]] {
        let ran = run(home.path(), &args).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert!(!ran.out.is_empty());
    }
}

#[tokio::test]
async fn a_config_key_nobody_knows_is_named_with_its_line() {
    let home = Home::new();
    std::fs::write(home.join("c.toml"), "[peers]\nmdsn = false\n").unwrap();
    let ran = run(home.path(), &["daemon", "--config", &home.text("c.toml")]).await;
    let line = ran.error_line(2);
    assert!(line.contains("line 2") && line.contains("`mdsn`") && line.contains("`mdns`"), "{line}");
    let ran = run(home.path(), &["daemon", "--config", &home.text("missing.toml")]).await;
    assert!(ran.error_line(2).contains("missing.toml"));
    let ran = run(home.path(), &["daemon", "--policy", &home.text("missing.toml")]).await;
    assert!(ran.error_line(2).contains("missing.toml"));
}

#[tokio::test]
async fn a_socket_or_a_state_folder_in_use_is_refused() {
    let home = Home::new();
    let running = Daemon::start(&home, &[]).await;
    let socket = home.text("state/control.sock");
    let ran = run(
        home.path(),
        &[
            "daemon",
            "--no-mdns",
            "--listen",
            "127.0.0.1:0",
            "--state-dir",
            &home.text("other"),
            "--control",
            &socket,
        ],
    )
    .await;
    let said = ran.err.lines().last().unwrap_or_default();
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(said.contains("in use") && said.contains(&socket), "{said}");
    let ran = run(home.path(), &["daemon", "--no-mdns", "--state-dir", &home.text("state")]).await;
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.contains("in use") && ran.err.contains("--state-dir"), "{ran:?}");
    let status = run(home.path(), &["status", "--state-dir", &home.text("state")]).await;
    assert_eq!(status.code, 0, "the first one is not disturbed: {status:?}");
    running.kill().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_reason() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(home.path(), &["daemon", "--no-mdns", "--state-dir", "state", "--listen", &address]).await;
    assert_eq!(ran.code, 5, "{ran:?}");
    let said = ran.err.lines().last().unwrap();
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
}

#[tokio::test]
async fn local_6_a_node_of_another_user_is_called_that() {
    if !rustix::process::geteuid().is_root() {
        // Only root may be several users.
        return;
    }
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let state = home.text("state");
    let as_user = async |uid, args: &[&str]| {
        let mut command = nearbits(home.path());
        finish(command.uid(uid).gid(uid).current_dir("/").args(args).spawn().unwrap()).await
    };
    let ask = ["job", "list", "--state-dir", &state];
    let ran = as_user(4_242, &ask).await;
    assert!(ran.error_line(6).contains("belongs to user 0; you are user 4242"), "{ran:?}");
    daemon.kill().await;
    // The other way round: root gets through to the socket, and is not let in.
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(other.path(), Some(4_242), Some(4_242)).unwrap();
    let state = other.path().join("state").to_str().unwrap().to_owned();
    let mut command = nearbits(home.path());
    command.uid(4_242).gid(4_242).current_dir("/").stdin(std::process::Stdio::piped());
    command.args(["daemon", "--no-mdns", "--listen", "127.0.0.1:0", "--until-stdin-closes"]);
    let mut child = command.args(["--state-dir", &state]).spawn().unwrap();
    let socket = other.path().join("state/control.sock");
    until("the daemon's socket", || socket.exists()).await;
    let ran = run(home.path(), &["job", "list", "--state-dir", &state]).await;
    assert!(ran.error_line(6).contains("belongs to user 4242; you are user 0"), "{ran:?}");
    child.kill().await.unwrap();
    // Whom the kernel cannot name, his own socket would not let in.
    std::os::unix::fs::chown(other.path(), Some(65_534), Some(65_534)).unwrap();
    let state = other.path().join("nobody").to_str().unwrap().to_owned();
    let ran =
        as_user(65_534, &["daemon", "--no-mdns", "--listen", "127.0.0.1:0", "--state-dir", &state]).await;
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.lines().last().unwrap().contains("a user of its own"), "{ran:?}");
}

#[tokio::test]
async fn a_file_in_the_place_of_a_state_folder_or_a_socket_is_named_and_left_as_it_is() {
    let home = Home::new();
    std::fs::write(home.join("letter"), "dear").unwrap();
    let letter = home.text("letter");
    let ran = run(home.path(), &["daemon", "--no-mdns", "--state-dir", &letter]).await;
    assert!(ran.error_line(5).contains("letter is no folder"), "{ran:?}");
    let ran = run(home.path(), &["get", "http://127.0.0.1:9/f", "--state-dir", &letter]).await;
    assert!(ran.code == 5 && ran.err.contains("letter is no folder"), "{ran:?}");
    for path in [letter.clone(), home.text("")] {
        let ran = run(home.path(), &["status", "--control", &path]).await;
        assert!(ran.error_line(2).contains("is no socket"), "{path}: {ran:?}");
    }
    assert_eq!(std::fs::read_to_string(&letter).unwrap(), "dear");
}

#[tokio::test]
async fn a_state_folder_of_another_version_is_left_alone() {
    let home = Home::new();
    std::fs::create_dir(home.join("state")).unwrap();
    std::fs::write(home.join("state/version"), "nearbits state 99\n").unwrap();
    for command in [vec!["daemon"], vec!["get", "http://127.0.0.1:9/f", "-o", "f"]] {
        let args = [command, vec!["--no-mdns", "--state-dir", "state"]].concat();
        let ran = run(home.path(), &args).await;
        assert_eq!(ran.code, 5, "{ran:?}");
        assert!(ran.err.lines().last().unwrap().contains("another nearbits version"), "{ran:?}");
    }
    assert_eq!(std::fs::read_to_string(home.join("state/version")).unwrap(), "nearbits state 99\n");
}

#[tokio::test]
async fn a_damaged_identity_is_never_replaced_silently() {
    let home = Home::new();
    Daemon::start(&home, &[]).await.kill().await;
    let identity = home.join("state/identity");
    let mut bytes = std::fs::read(&identity).expect("the identity is a file of its own");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&identity, &bytes).unwrap();
    let ran = run(home.path(), &["daemon", "--no-mdns", "--state-dir", "state"]).await;
    assert_eq!(ran.code, 5, "{ran:?}");
    let said = ran.err.lines().last().unwrap();
    assert!(said.contains("identity") && said.contains("remove"), "{said}");
    assert_eq!(std::fs::read(&identity).unwrap(), bytes);
}

#[tokio::test]
async fn questions_without_a_node_say_how_to_start_one() {
    let home = Home::new();
    for args in [
        vec!["status"],
        vec!["peer", "list"],
        vec!["cache", "list"],
        vec!["flags", "get"],
        vec!["job", "list"],
    ] {
        let args = [args, vec!["--state-dir", "state"]].concat();
        let ran = run(home.path(), &args).await;
        assert!(ran.error_line(4).contains("nearbits daemon"), "{ran:?}");
    }
}
