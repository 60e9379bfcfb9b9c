//! Any bytes are a frame or an error, and a frame reads back what it writes.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::wire::fuzz::fuzz_frame(bytes));
