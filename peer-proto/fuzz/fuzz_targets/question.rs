//! Any bytes are a question to the link, or none.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::fuzz::question(bytes));
