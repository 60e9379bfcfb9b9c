//! A session and whatever a peer may send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| peer_proto::session::fuzz::fuzz_session(script));
