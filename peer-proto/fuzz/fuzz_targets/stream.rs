//! Any file in any slices has the root that BLAKE3 gives.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::fuzz::stream(bytes));
