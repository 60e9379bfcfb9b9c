//! Stops, power cuts and broken disks, at every single operation, against the code that ships.
//!
//! Knows: one reference job from an empty state folder to a cached, delivered file, and what must hold whatever
//! happens to it. Does not know: the network; the origin is a function of the offset.

#![allow(clippy::unwrap_used)]

mod cached;
mod faults;
mod journals;
mod office;
mod queue;
mod reference;
mod sweeps;
