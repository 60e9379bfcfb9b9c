//! A world in a seed: virtual time, seeded links and hosts, to drive sans-IO protocols in tests.
//!
//! Knows: hosts behind one trait ([`host`]), links with rate, delay, loss and cuts ([`link`]), chance from a seed
//! ([`dice`]), and the order of everything ([`world`]). The same seed gives the same run, event for event, on any
//! machine: integers only, ordered maps only, no clock. Does not know: what hosts say to each other.
//!
//! A small start: disks, origins, shared bottlenecks, scenarios and oracles are still to come.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod dice;
pub mod host;
pub mod link;
pub mod world;

pub use dice::Dice;
pub use host::{Host, HostId, HostOutput};
pub use link::{LinkCounts, LinkSpec};
pub use world::{Fault, Spinning, World};
