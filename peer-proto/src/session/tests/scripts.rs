//! Scripts from seeds: whatever a peer sends, in whatever order.

use proptest::prelude::*;

use crate::session::fuzz::fuzz_session;

#[test]
fn any_script_from_a_seed_keeps_every_bound() {
    for seed in 0_u32..400 {
        let mut script = Vec::new();
        let mut block = *blake3::hash(&seed.to_be_bytes()).as_bytes();
        for _ in 0..40 {
            script.extend_from_slice(&block);
            block = *blake3::hash(&block).as_bytes();
        }
        fuzz_session(&script);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_script_keeps_every_bound(script in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        fuzz_session(&script);
    }
}
