//! Any bytes are a token, a record, or neither.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::fuzz::record(bytes));
