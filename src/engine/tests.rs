//! The engine against scripted hands in virtual time.

use super::*;

fn now(ms: u64) -> Now {
    Now { monotonic: Instant::from_micros(ms * 1_000), wall_unix_ms: 1_800_000_000_000 }
}

#[test]
fn a_fresh_engine_wants_nothing() {
    let config = EngineConfig {
        me: PeerId::from_public_key([1; 32]),
        seed: [2; 32],
        flags: PeerFlags::BOTH,
        expects_peers: false,
    };
    let mut engine = Engine::new(config, now(0));
    assert!(matches!(engine.poll_output(), Output::WaitUntil(Instant::NEVER)));
}
