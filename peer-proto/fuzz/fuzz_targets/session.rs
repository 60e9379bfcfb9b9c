//! Whatever a peer sends, and in whatever order, a session keeps its bounds.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::session::fuzz::fuzz_session(bytes));
