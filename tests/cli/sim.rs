//! `sim`: scenario files, and what is said of them.
//!
//! Knows: what comes out of the command. Does not know: worlds.

use crate::support::{Home, run};

fn scenario(name: &str) -> String {
    format!("{}/examples/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn the_ready_scenarios_end_well_and_the_same_seed_says_the_same() {
    let home = Home::new();
    for name in ["late-comers", "bad-morning"] {
        let ran = run(home.path(), &["sim", &scenario(name), "--seed", "7", "--json"]).await;
        let report = ran.json();
        assert_eq!((&report["unfinished"], &report["seed"]), (&0.into(), &7.into()), "{ran:?}");
        assert_eq!(run(home.path(), &["sim", &scenario(name), "--seed", "7", "--json"]).await.json(), report);
        let other = run(home.path(), &["sim", &scenario(name), "--seed", "8", "--json"]).await.json();
        assert_ne!(other["fingerprint"], report["fingerprint"]);
    }
}

#[tokio::test]
async fn late_comers_spare_the_line_and_the_table_says_so() {
    let home = Home::new();
    let report = run(home.path(), &["sim", &scenario("late-comers"), "--json"]).await.json();
    assert!(report["origin-permille"].as_u64().unwrap() < 300, "{report}");
    let ran = run(home.path(), &["sim", &scenario("late-comers")]).await;
    assert!(ran.out.contains("11 of 11 machines have the file of 64.0 MiB"), "{ran:?}");
    assert!(ran.out.contains("from the origin"), "{ran:?}");
}

#[tokio::test]
async fn a_scenario_that_makes_no_sense_is_refused_in_one_line() {
    let home = Home::new();
    for (text, word) in [
        ("machinez = 3", "machinez"),
        ("machines = 0", "1 to 10000"),
        ("wan-mbit = 0", "Mbit/s"),
        ("[[fault]]\nat-ms = 1\nwhat = \"explode\"", "explode"),
    ] {
        std::fs::write(home.join("file.toml"), text).unwrap();
        let ran = run(home.path(), &["sim", &home.text("file.toml")]).await;
        assert!(ran.error_line(2).contains(word), "{ran:?}");
    }
}
