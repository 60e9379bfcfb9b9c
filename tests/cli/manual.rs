//! What the program says of itself: `explain`, `policy show`, `completions`, `man`.
//!
//! Knows: that most of it needs no node. Does not know: jobs.

use crate::support::{Daemon, Home, run};

#[tokio::test]
async fn err_2_a_code_is_explained_without_a_node() {
    let home = Home::new();
    let say = async |args: &[&str]| run(home.path(), &[&["explain"], args].concat()).await;
    for name in ["BG_E_INVALID_STATE", "invalid_state", "0x80200002"] {
        let ran = say(&[name]).await;
        assert!(ran.code == 0 && ran.out.starts_with("BG_E_INVALID_STATE (0x80200002)"), "{ran:?}");
        assert!(ran.out.contains("what to do"), "{ran:?}");
    }
    let json = say(&["0x80190194", "--json"]).await.json();
    assert_eq!((&json["code"], &json["class"]), (&"BG_E_HTTP_ERROR_404".into(), &"fatal".into()));
    assert!(say(&["nonsense"]).await.error_line(7).contains("BG_E_INVALID_STATE"));
}

#[tokio::test]
async fn pol_20_the_policy_is_shown_with_who_said_it_and_what_follows() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &[]).await;
    let shown = home.say(&["policy", "show", "--json"]).await.json();
    let row = shown["rows"].as_array().unwrap().iter().find(|row| row["id"] == "POL-12").unwrap();
    assert_eq!(
        (&row["name"], &row["value"], &row["source"]),
        (&"jobs-per-machine".into(), &"300".into(), &"default".into())
    );
    let text = home.say(&["policy", "show"]).await.out;
    assert!(text.contains("jobs-per-machine") && text.contains("policy.toml"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn every_shell_gets_completions_for_every_command() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(home.path(), &["completions", shell]).await;
        assert!(ran.code == 0 && ran.err.is_empty(), "{shell}: {ran:?}");
        for word in ["validate", "explain", "no-progress-timeout"] {
            assert!(ran.out.contains(word), "{shell}: {word}");
        }
    }
    assert!(run(home.path(), &["completions", "cmd"]).await.error_line(2).contains("cmd"));
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let home = Home::new();
    let page = run(home.path(), &["man"]).await;
    assert!(page.code == 0 && page.out.contains(".TH nearbits 1"), "{page:?}");
    assert_eq!(run(home.path(), &["man", "pages/man1"]).await.code, 0);
    for name in ["nearbits", "nearbits-get", "nearbits-job-add", "nearbits-file-validate", "nearbits-man"] {
        let page = std::fs::read_to_string(home.join("pages/man1").join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
}
