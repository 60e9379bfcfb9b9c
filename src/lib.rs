//! nearbits: a content distribution node.
//!
//! Background download jobs that survive anything, whose bytes come from neighbours when they can be proved and from
//! the origin when not. `ARCHITECTURE.md` has the map.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod disk;
pub mod driver;
pub mod engine;
pub mod job;
pub mod node;
pub mod origin;
pub mod record;
pub mod sim;
pub mod store;
pub mod swarm;
pub mod telemetry;
pub mod transfer;
