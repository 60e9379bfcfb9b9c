//! Where a file may not go, it does not go, and nothing that was there is lost (must-show l).
//!
//! Knows: paths that refuse. Does not know: how they are checked.

use crate::support::{Home, Origin, finish, payload, run};

async fn refused(home: &Home, origin: &Origin, output: &str, says: &str) {
    let ran = finish(home.get(&origin.url(), output, &[]).spawn().unwrap()).await;
    let said = ran.err.lines().last().unwrap_or_default();
    assert_eq!(ran.code, 6, "{output}: {ran:?}");
    assert!(said.contains(says), "{output}: {said}");
    assert!(ran.out.is_empty(), "{output}: {ran:?}");
}

#[tokio::test]
async fn file_3_missing_folders_taken_names_and_symlinks_are_refused_before_a_byte_is_fetched() {
    let home = Home::new();
    let origin = Origin::start(payload(100_000)).await;
    std::fs::write(home.join("taken"), b"mine").unwrap();
    std::fs::write(home.join("target"), b"mine too").unwrap();
    std::os::unix::fs::symlink(home.join("target"), home.join("link")).unwrap();
    std::os::unix::fs::symlink(home.join("nowhere"), home.join("dangling")).unwrap();
    for (output, says) in [
        ("missing/file", "missing"),
        ("taken", "taken"),
        ("link", "link"),
        ("dangling", "dangling"),
        ("../../../../../../proc/file", "proc"),
    ] {
        refused(&home, &origin, output, says).await;
    }
    assert_eq!(origin.sent(), 0);
    assert_eq!(std::fs::read(home.join("taken")).unwrap(), b"mine");
    assert_eq!(std::fs::read(home.join("target")).unwrap(), b"mine too");
    assert!(!home.join("nowhere").exists());
}

#[tokio::test]
async fn an_existing_file_is_replaced_only_when_asked() {
    let home = Home::new();
    let file = payload(100_000);
    let origin = Origin::start(file.clone()).await;
    std::fs::write(home.join("taken"), b"mine").unwrap();
    let ran = finish(home.get(&origin.url(), "taken", &["--overwrite"]).spawn().unwrap()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(std::fs::read(home.join("taken")).unwrap(), file);
}

#[tokio::test]
async fn a_full_file_system_is_an_error_that_may_pass() {
    let home = Home::new();
    let small = home.join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&small)
        .stderr(std::process::Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        // Not permitted here.
        return;
    }
    let origin = Origin::start(payload(8_000_000)).await;
    let ran = finish(home.get(&origin.url(), "small/file", &["--timeout", "3"]).spawn().unwrap()).await;
    let is_there = small.join("file").exists();
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(ran.code, 4, "{ran:?}");
    let says: Vec<&str> = ran.err.lines().filter(|line| line.to_lowercase().contains("space")).collect();
    assert!(says[0].starts_with("waiting: ") && says[0].contains("tried again"), "said at once: {ran:?}");
    assert!(says.last().unwrap().contains("gave up after 3 s"), "{ran:?}");
    assert!(!is_there);
}

#[tokio::test]
async fn the_last_part_of_the_url_names_the_file_in_the_current_folder() {
    let home = Home::new();
    let origin = Origin::start(payload(10)).await;
    let ran = run(home.path(), &["get", &origin.url(), "--no-mdns", "--linger", "0"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(std::fs::read(home.join("file.bin")).unwrap(), payload(10));
    assert!(ran.out.lines().next().unwrap().contains("no digest"), "{}", ran.out);
}

#[tokio::test]
async fn a_state_folder_of_another_user_is_denied() {
    let home = Home::new();
    std::fs::create_dir(home.join("state")).unwrap();
    if std::os::unix::fs::chown(home.join("state"), Some(12_345), None).is_err() {
        // Only root may give a folder away.
        return;
    }
    let ran = finish(home.get("http://127.0.0.1:9/f", "f", &["--timeout", "1"]).spawn().unwrap()).await;
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.err.contains("is not a folder of this user"), "{ran:?}");
}
