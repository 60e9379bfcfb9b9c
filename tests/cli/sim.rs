//! `sim`: scenario files, and what is said of them.
//!
//! Knows: what comes out of the command. Does not know: worlds.

use rustix::process::Signal;

use crate::support::{Home, finish, nearbits, run, signal, until};

fn scenario(name: &str) -> String {
    format!("{}/examples/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn every_ready_scenario_ends_well_and_says_what_it_shows() {
    let home = Home::new();
    let folder = format!("{}/examples/scenarios", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<String> =
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(names.len() >= 11, "{names:?}");
    let documented = include_str!("../../docs/simulation.md");
    for name in names {
        let text = std::fs::read_to_string(scenario(&name)).unwrap();
        assert!(text.contains(&format!("\n# nearbits sim examples/scenarios/{name}.toml")), "{name}");
        assert!(documented.contains(&format!("| `{name}.toml` |")), "{name} is not in docs/simulation.md");
        let report = run(home.path(), &["sim", &scenario(&name), "--json"]).await.json();
        assert_eq!(report["unfinished"], 0, "{name}: {report}");
    }
}

#[tokio::test]
async fn the_same_seed_says_the_same() {
    let home = Home::new();
    let scenario = scenario("bad-morning");
    let report = run(home.path(), &["sim", &scenario, "--seed", "7", "--json"]).await.json();
    assert_eq!(report["seed"], 7);
    assert_eq!(run(home.path(), &["sim", &scenario, "--seed", "7", "--json"]).await.json(), report);
    let other = run(home.path(), &["sim", &scenario, "--seed", "8", "--json"]).await.json();
    assert_ne!(other["fingerprint"], report["fingerprint"]);
}

#[tokio::test]
async fn late_comers_spare_the_line_and_the_table_says_so() {
    let home = Home::new();
    let report = run(home.path(), &["sim", &scenario("late-comers"), "--json"]).await.json();
    assert!(report["origin-permille"].as_u64().unwrap() < 300, "{report}");
    assert_eq!(report["beside"], serde_json::Value::Null);
    let ran = run(home.path(), &["sim", &scenario("late-comers")]).await;
    assert!(ran.out.contains("11 of 11 machines have the file of 64.0 MiB"), "{ran:?}");
    assert!(ran.out.contains("from the origin") && ran.out.contains("holds it"), "{ran:?}");
}

#[tokio::test]
async fn the_same_world_beside_shows_what_faults_cost_and_sharing_saves() {
    let home = Home::new();
    let args = ["sim", &scenario("cut-in-halves"), "--beside"];
    let report = run(home.path(), &[&args[..], &["--json"]].concat()).await.json();
    let beside = &report["beside"];
    assert_eq!(beside["origin-only"]["origin-permille"], 12_000, "{report}");
    assert!(beside["without-faults"]["last-ms"].as_u64() < report["last-ms"].as_u64(), "{report}");
    assert_eq!(beside["worse"], serde_json::json!([]), "{report}");
    let ran = run(home.path(), &args).await;
    for said in ["faults cost the last", "12.000 times the file", "nobody waited longer than 1.05"] {
        assert!(ran.out.contains(said), "{said}: {ran:?}");
    }
}

#[tokio::test]
async fn many_seeds_have_a_row_each_and_a_worst_one() {
    let home = Home::new();
    let args = ["sim", &scenario("late-comers"), "--seed", "5", "--seeds", "4"];
    let hunt = run(home.path(), &[&args[..], &["--json"]].concat()).await.json();
    let rows = hunt["runs"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 6, 7, 8]);
    let worst = rows.iter().map(|row| row["last-ms"].as_u64().unwrap()).max();
    assert_eq!(hunt["summary"]["last-ms"]["worst"].as_u64(), worst, "{hunt}");
    assert_eq!(hunt["failure"], serde_json::Value::Null);
    let alone = run(home.path(), &["sim", &scenario("late-comers"), "--seed", "7", "--json"]).await.json();
    assert_eq!(rows[2]["fingerprint"], alone["fingerprint"], "it is the run of that seed");
    let ran = run(home.path(), &args).await;
    assert!(ran.out.contains("4 of 4 seeds, from 5 on: all went well"), "{ran:?}");
    assert_eq!(ran.err, "", "a progress line is for terminals");
}

#[tokio::test]
async fn a_seed_that_goes_wrong_is_told_with_the_command_that_shows_it_again() {
    let home = Home::new();
    let file = home.text("gone.toml");
    let gone = "machines = 2\n[[fault]]\nat-ms = 1000\nwhat = \"origin-gone\"\n";
    std::fs::write(home.join("gone.toml"), gone).unwrap();
    let ran = run(home.path(), &["sim", &file, "--seed", "3", "--seeds", "9"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.starts_with("seed 3 goes wrong: oracle progress"), "{ran:?}");
    let (_, command) = ran.out.split_once("it happens again with: nearbits ").unwrap();
    let again: Vec<&str> = command.lines().next().unwrap().split(' ').collect();
    assert_eq!(again, ["sim", &file, "--seed", "3"]);
    assert!(run(home.path(), &again).await.error_line(1).contains("has got nothing since"));
    // One that is slow is told in other words.
    std::fs::write(home.join("slow.toml"), "wan-mbit = 1\nlimit-s = 5").unwrap();
    let ran = run(home.path(), &["sim", &home.text("slow.toml"), "--seeds", "2"]).await;
    assert!(ran.code == 1 && ran.out.contains("10 never get the file; machine 0: Transferring"), "{ran:?}");
}

#[tokio::test]
async fn a_hunt_that_is_interrupted_tells_what_there_is() {
    let home = Home::new();
    let args = ["sim", &scenario("late-comers"), "--seeds", "1000000"];
    let child = nearbits(home.path()).args(args).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    until("it listens to Ctrl-C", || catches_interrupts(&std::fs::read_to_string(&status).unwrap())).await;
    signal(&child, Signal::INT);
    let ran = finish(child).await;
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(ran.out.contains("of 1000000 seeds, from 1 on: all went well"), "{ran:?}");
}

/// What a process was told by its environment.
fn environment(child: &tokio::process::Child) -> String {
    let bytes = std::fs::read(format!("/proc/{}/environ", child.id().unwrap())).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(target_env = "gnu")]
#[tokio::test]
async fn a_world_of_a_hundred_machines_is_in_large_pages_and_ends_the_same() {
    let home = Home::new();
    let text = "file-mib = 4\nmachines = 100\ngroup = true\nwan-mbit = 100";
    std::fs::write(home.join("many.toml"), text).unwrap();
    let many = home.text("many.toml");
    let child = nearbits(home.path()).args(["sim", &many, "--seeds", "1000000"]).spawn().unwrap();
    until("it began anew", || environment(&child).contains("glibc.malloc.hugetlb=1")).await;
    let status = format!("/proc/{}/status", child.id().unwrap());
    until("it listens to Ctrl-C", || catches_interrupts(&std::fs::read_to_string(&status).unwrap())).await;
    signal(&child, Signal::INT);
    assert_eq!(finish(child).await.code, 130);

    let args = ["sim", &many, "--json"];
    let report = run(home.path(), &args).await.json();
    let child = nearbits(home.path()).args(args).env("GLIBC_TUNABLES", "glibc.malloc.arena_max=2").spawn();
    let plain = finish(child.unwrap()).await;
    assert_eq!(plain.json(), report, "whoever told the C library something is obeyed");
}

/// Whether the signals that a process has handlers for, a mask, contain the second one.
fn catches_interrupts(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
}

#[tokio::test]
async fn a_run_is_drawn_into_one_file() {
    let home = Home::new();
    let page = home.text("page.html");
    let ran = run(home.path(), &["sim", &scenario("crash"), "--plot", &page]).await;
    assert!(ran.code == 0 && ran.out.contains("drawn in"), "{ran:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<path class=\"node").count(), 16);
    let ran = run(home.path(), &["sim", &scenario("crash"), "--plot", "/no/such/folder/page.html"]).await;
    assert!(ran.error_line(5).contains("cannot write"), "{ran:?}");
}

#[tokio::test]
async fn a_scenario_that_makes_no_sense_is_refused_in_one_line() {
    let home = Home::new();
    for (text, word) in [
        ("machinez = 3", "machinez"),
        ("machines = 0", "`machines` is 1 to 10000"),
        ("wan-mbit = 0", "Mbit/s"),
        ("[[fault]]\nat-ms = 1\nwhat = \"explode\"", "explode"),
    ] {
        std::fs::write(home.join("file.toml"), text).unwrap();
        let ran = run(home.path(), &["sim", &home.text("file.toml")]).await;
        assert!(ran.error_line(2).contains(word), "{ran:?}");
    }
}
