//! The brain: facts in, effects out.
//!
//! Knows: jobs, peers, sources, what to ask of whom and why. Does not know: time but as a value, bytes, sockets, files.

pub mod chance;
pub mod event;
pub mod explain;
pub mod io;
pub mod pace;
pub mod piece_set;
