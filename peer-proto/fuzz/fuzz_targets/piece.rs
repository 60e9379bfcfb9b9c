//! Any bytes at any index of a file of any length have a value exactly if they are the piece.
//!
//! Knows: the fuzzer. Does not know: the rule, which stands in the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peer_proto::fuzz::piece(bytes));
