//! Any bytes as a hash list are refused in words, or fold the same way whole and in parts.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::fuzz::hash_list(bytes));
