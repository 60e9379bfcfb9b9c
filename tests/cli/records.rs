//! A cache of many records: how soon the daemon answers, what it takes, what its index does when it breaks.
//!
//! Knows: the state folder of a stopped daemon, the door of a running one. Does not know: the engine. The long form is
//! `NEARBITS_RECORDS=100000 cargo test --release --test cli records -- --nocapture`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nearbits::cache::{Cache, Keep};
use nearbits::disk::RealFiles;
use nearbits::record::{RecordId, Scope};
use nearbits::store::Index;
use nearbits::store::index::{INDEX_LEN_MAX, INDEXED_FROM};
use peer_proto::content::{Geometry, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::verify::{HashList, piece_values};
use sha2::Digest as _;

use crate::support::{Daemon, Home};

/// How often every record's description is written in all.
const CHURN: u32 = 10;

fn count() -> u32 {
    let few = INDEXED_FROM + 4;
    std::env::var("NEARBITS_RECORDS")
        .map_or(u32::try_from(few).unwrap(), |text| text.parse().expect("a number"))
}

fn url(record: u32) -> String {
    format!("https://mirror.example.org/pool/main/p/package-{record}/package-{record}_1.0_amd64.deb")
}

fn keep(record: u32, bytes: &[u8]) -> Keep {
    let cut = Geometry::of(u64::try_from(bytes.len()).unwrap()).unwrap();
    let values = piece_values(&cut, PieceIndex(0), bytes).unwrap();
    let mut id = [0x5a; 16];
    id[..4].copy_from_slice(&record.to_be_bytes());
    Keep {
        id: RecordId(id),
        list: Arc::new(HashList::from_values(cut.len(), values).unwrap()),
        digests: vec![Digest::new(Algorithm::Sha256, sha2::Sha256::digest(bytes).to_vec()).unwrap()],
        url: url(record),
        version: None,
        scope: Scope::Shareable,
        served: true,
        now_unix_s: 1_795_000_000,
        vouched: Vec::new(),
    }
}

fn fill(home: &Home, count: u32) {
    let (state, files) = (home.join("state"), home.join("files"));
    std::fs::create_dir(&files).unwrap();
    let index = Index::from_records(&state.join("index"), INDEXED_FROM);
    let cache = Cache::open(RealFiles, &state.join("cache"), index).unwrap();
    for record in 0..count {
        let (path, bytes) = (files.join(record.to_string()), format!("this is package {record}\n"));
        std::fs::write(&path, &bytes).unwrap();
        cache.keep_borrowed(keep(record, bytes.as_bytes()), &path).unwrap();
    }
    cache.flush();
    // What does not fit is done without, and said once.
    let is_too_small = |note: &String| note.contains("too many for it");
    assert!(cache.take_notes().iter().all(is_too_small));
    drop(cache);
    if !state.join("index").exists() {
        return;
    }
    let index = Index::open(&state.join("index"));
    let ids = index.ids();
    assert_eq!(ids.len(), usize::try_from(count).unwrap());
    for _ in 1..CHURN {
        ids.iter().for_each(|id| index.put(*id, &index.get(*id).unwrap()));
    }
    index.flush();
    assert_eq!(index.notes(), Vec::<String>::new());
}

fn len_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { len_of(&entry.path()) } else { entry.metadata().unwrap().len() }
            },
        )
        .sum()
}

#[tokio::test]
#[expect(clippy::print_stderr, clippy::disallowed_methods, reason = "the long form is a measurement")]
async fn d48_and_cache_11_a_cache_of_many_records_is_there_at_once_whatever_its_index_is() {
    let (home, count) = (Home::new(), count());
    Daemon::start(&home, &[]).await.kill().await;
    let index = home.join("state/index");
    let began = Instant::now();
    fill(&home, count);
    eprintln!(
        "{count} records, {} changes of their index in {:?}; index {} bytes",
        count * CHURN,
        began.elapsed(),
        len_of(&index)
    );
    assert!(len_of(&index) <= INDEX_LEN_MAX, "{} bytes", len_of(&index));
    let rot = || {
        let Ok(mut bytes) = std::fs::read(index.join("db")) else { return };
        bytes.iter_mut().step_by(3).for_each(|byte| *byte ^= 0xa5);
        std::fs::write(index.join("db"), bytes).unwrap();
    };
    let ways: [(&str, &dyn Fn()); 3] = [
        ("as it is", &|| {}),
        ("without its index", &|| drop(std::fs::remove_dir_all(&index))),
        ("with rot in it", &rot),
    ];
    for (way, breaks) in ways {
        breaks();
        let began = Instant::now();
        let daemon = Daemon::start(&home, &["--flags", "client,server"]).await;
        let status = home.say(&["status", "--json"]).await.json();
        eprintln!("{way}: answers after {:?}, {} bytes of memory", began.elapsed(), status["rss_bytes"]);
        for record in [0, count / 2, count - 1] {
            let found = home.say(&["cache", "list", "--url", &url(record), "--json"]).await.json();
            let seen = found[0]["seen"].as_array().map(Vec::len);
            assert_eq!(
                (found.as_array().map(Vec::len), seen),
                (Some(1), Some(1)),
                "{way}, record {record}: {found}"
            );
        }
        assert_eq!(home.say(&["cache", "limit", "--json"]).await.json()["records"], count, "{way}");
        daemon.kill().await;
    }
}
