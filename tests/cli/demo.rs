//! The demo, small.
//!
//! Knows: its checks pass and nothing of it stays. Does not know: its nodes.

use crate::support::{Home, nearbits};

#[tokio::test]
async fn the_demo_passes_its_checks_and_leaves_nothing_behind() {
    for digest in ["blake3", "sha256"] {
        let home = Home::new();
        let mut demo = nearbits(home.path());
        demo.args(["demo", "--size-mib", "6", "--wan-mb-per-s", "8", "--digest", digest])
            .env("TMPDIR", home.path());
        let ran = crate::support::finish(demo.spawn().unwrap()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("checks: all passed"), "{ran:?}");
        assert_eq!(ran.out.matches(" exact").count(), 5, "{ran:?}");
        assert!(home.names("nearbits-demo").is_empty());
    }
}
