//! Frames from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peer_proto::wire::fuzz::fuzz_frame(bytes));
