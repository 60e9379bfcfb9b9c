//! `nearbits cache`, as an administrator uses it.
//!
//! Knows: commands, exit codes, files. Does not know: how records are kept.

use crate::support::{Daemon, Home, Origin, Ran, payload};

struct Kept {
    home: Home,
    daemon: Daemon,
    origin: Origin,
}

impl Kept {
    /// A daemon that fetched two files and keeps both.
    async fn new() -> Self {
        let home = Home::new();
        let daemon = Daemon::start(&home, &["--flags", "client,server"]).await;
        let origin = Origin::start(payload(300_000)).await;
        let kept = Self { home, daemon, origin };
        for name in ["a", "b"] {
            // Different addresses, equal bytes: one record.
            kept.get(&kept.origin.url_in(name), name).await;
        }
        kept
    }

    async fn get(&self, url: &str, name: &str) {
        let got = self.run(&["get", url, "-o", &self.home.text(name)]).await;
        assert_eq!(got.code, 0, "{}", got.err);
    }

    async fn run(&self, args: &[&str]) -> Ran {
        self.home.say(args).await
    }

    /// The records there are, once there are so many.
    async fn records(&self, count: usize) -> Vec<serde_json::Value> {
        let listed = async {
            loop {
                let records = self.run(&["cache", "list", "--json"]).await.json().as_array().unwrap().clone();
                if records.len() == count {
                    break records;
                }
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), listed).await;
        waited.unwrap_or_else(|_| panic!("never {count} records"))
    }
}

#[tokio::test]
async fn cache_12_records_are_listed_shown_found_by_url_and_deleted() {
    let kept = Kept::new().await;
    let records = kept.records(1).await;
    let id = records[0]["id"].as_str().unwrap();
    let urls: Vec<_> = records[0]["seen"].as_array().unwrap().iter().map(|seen| &seen["url"]).collect();
    let (a, b) = (kept.origin.url_in("a"), kept.origin.url_in("b"));
    assert_eq!(urls, [&a, &b], "CACHE-17: two addresses, equal bytes, one record");
    assert_eq!((records[0]["kept"].as_str(), records[0]["held"].as_u64()), (Some("borrow"), Some(300_000)));
    let table = kept.run(&["cache", "list", "--url", &b]).await;
    assert!(table.out.contains(&id[..8]) && table.out.contains(&b), "{}", table.out);
    let none = kept.run(&["cache", "list", "--url", "http://elsewhere.test/"]).await;
    assert_eq!((none.code, none.out.trim()), (0, "the cache is empty"));
    let shown = kept.run(&["cache", "show", &id[..6]]).await;
    assert!(shown.out.contains(&a) && shown.out.contains("delivered file"), "{}", shown.out);
    assert!(shown.out.contains("0:300000"), "CACHE-2: the whole file is one range: {}", shown.out);

    let unknown = kept.run(&["cache", "delete-url", "http://elsewhere.test/"]).await;
    assert_eq!(unknown.code, 7, "{}", unknown.err);
    assert_eq!(kept.run(&["cache", "delete-url", &a]).await.code, 0);
    assert_eq!(kept.records(1).await[0]["seen"].as_array().unwrap().len(), 1, "it was seen elsewhere too");
    let gone = kept.run(&["cache", "delete", &id[..6]]).await;
    assert!(gone.code == 0 && gone.out.contains("1 record removed"), "{} {}", gone.out, gone.err);
    kept.records(0).await;
    let again = kept.run(&["cache", "delete", id]).await;
    assert!(again.code == 7 && again.err.contains("cache list"), "{} {}", again.code, again.err);
    for args in [["cache", "delete", id], ["cache", "show", id], ["cache", "verify", id]] {
        let again = kept.run(&args).await;
        assert!(again.error_line(7).contains("BG_E_RECORD_DELETED"), "ERR-43: {again:?}");
    }
    let never = kept.run(&["cache", "show", &"f".repeat(32)]).await;
    assert!(never.error_line(7).contains("BG_E_NOT_FOUND"), "{never:?}");
    for name in ["a", "b"] {
        assert_eq!(std::fs::read(kept.home.join(name)).unwrap(), payload(300_000), "CACHE-18");
    }
    kept.daemon.kill().await;
}

#[tokio::test]
async fn cache_5_and_cache_9_limits_are_kept_across_restarts_and_bad_ones_refused() {
    let kept = Kept::new().await;
    let usual = kept.run(&["cache", "limit", "--json"]).await.json();
    assert_eq!(
        (usual["limits"]["size"].as_str(), usual["limits"]["age-days"].as_u64()),
        (Some("20%"), Some(90))
    );
    for (args, exit, word) in [
        (["cache", "limit", "81%"], 2, "80%"),
        (["cache", "limit", "much"], 2, "50Gi"),
        (["cache", "age", "0"], 2, "120 days"),
        (["cache", "age", "121"], 2, "120 days"),
        (["cache", "age", "99999"], 2, "1 to 120 days"),
        (["cache", "keep", "link"], 2, "borrow"),
    ] {
        let refused = kept.run(&args).await;
        assert!(
            refused.code == exit && refused.err.contains(word),
            "{args:?}: {} {}",
            refused.code,
            refused.err
        );
    }
    for args in [["cache", "limit", "1Gi"], ["cache", "age", "7"], ["cache", "keep", "borrow"]] {
        assert_eq!(kept.run(&args).await.code, 0, "{args:?}");
    }
    let Kept { home, daemon, .. } = kept;
    daemon.kill().await;
    let daemon = Daemon::start(&home, &[]).await;
    let limits = home.say(&["cache", "limit", "--json"]).await.json();
    let limits = &limits["limits"];
    assert_eq!(limits["size"].as_str(), Some("1073741824"), "{limits}");
    assert_eq!((limits["age-days"].as_u64(), limits["keep"].as_str()), (Some(7), Some("borrow")));
    let table = home.say(&["cache", "age"]).await;
    assert!(table.out.contains("7 days") && table.out.contains("not copied"), "{}", table.out);
    daemon.kill().await;
}

#[tokio::test]
async fn cache_11_and_d46_verify_finds_a_flipped_bit_and_drops_that_piece_only() {
    let kept = Kept::new().await;
    kept.records(1).await;
    let good = kept.run(&["cache", "verify"]).await;
    assert!(good.code == 0 && good.out.contains("5 pieces"), "{} {}", good.out, good.err);
    // The file that is borrowed is the last one delivered.
    let path = kept.home.join("b");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 0x20;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    let damaged = kept.run(&["cache", "verify"]).await;
    assert!(damaged.code == 8 && damaged.out.contains("1 dropped"), "{} {}", damaged.code, damaged.out);
    let held = kept.records(1).await[0]["held"].as_u64();
    assert_eq!(held, Some(300_000 - 65_536));
    let id = kept.records(1).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(kept.records(1).await[0].get("ranges"), None, "a list stays short");
    let shown = kept.run(&["cache", "show", &id[..6], "--json"]).await.json();
    let ranges = serde_json::json!([{"offset": 0, "len": 65_536}, {"offset": 131_072, "len": 168_928}]);
    assert_eq!((&shown["ranges"], &shown["validated"]), (&ranges, &true.into()), "CACHE-2, CACHE-4");
    let shown = kept.run(&["cache", "show", &id]).await;
    assert!(shown.out.contains("0:65536, 131072:168928"), "{}", shown.out);
    let other = if id.starts_with('f') { "e" } else { "f" };
    let unknown = kept.run(&["cache", "verify", other]).await;
    assert_eq!(unknown.code, 7, "{}", unknown.err);
    // A job that wants it again gets its one bad piece from the origin, and is exact.
    kept.get(&kept.origin.url_in("a"), "c").await;
    assert_eq!(std::fs::read(kept.home.join("c")).unwrap(), payload(300_000));
    kept.daemon.kill().await;
}

#[tokio::test]
async fn cache_13_clear_empties_the_cache_and_leaves_what_was_delivered() {
    let kept = Kept::new().await;
    kept.records(1).await;
    let cleared = kept.run(&["cache", "clear"]).await;
    assert!(cleared.code == 0 && cleared.out.contains("1 record removed"), "{} {}", cleared.out, cleared.err);
    kept.records(0).await;
    assert_eq!(kept.run(&["cache", "clear", "--json"]).await.json()["records"], 0);
    let folder = std::fs::read_dir(kept.home.join("state/cache")).unwrap();
    assert_eq!(folder.count(), 0, "nothing of it is left on disk");
    assert_eq!(std::fs::read(kept.home.join("a")).unwrap(), payload(300_000));
    kept.daemon.kill().await;
}
