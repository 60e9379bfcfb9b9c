//! A world in a seed: virtual time, seeded links and hosts, to drive sans-IO protocols in tests.
#![cfg_attr(test, allow(clippy::unwrap_used))]
