//! How two nearbits peers talk and prove bytes to each other.
//!
//! This crate is pure: no IO, no clock, no async, no randomness of its own, no unordered iteration. Time arrives
//! as an [`Instant`](time::Instant) argument, random bytes as arguments, frames as values.
//!
//! Knows: content ids and piece geometry ([`content`]), sets of ranges ([`range_set`]), proofs ([`verify`]),
//! lookup ids and their proofs ([`lookup`]), what a node asks its whole link ([`question`]), who fetches what of a file
//! that many want ([`home`]), who is a member of a group ([`group`], [`sign`]), what attestors say of a URL ([`attest`], [`batch`])
//! and what proves them false or takes it back ([`evidence`], [`denial`], [`void`]), the frames and their bytes ([`wire`]), the
//! dialogue of two peers ([`session`]). Does not
//! know: sockets, files, jobs, which peer is worth asking.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod attest;
pub mod batch;
pub mod content;
pub mod denial;
pub mod digest;
pub mod evidence;
#[doc(hidden)]
pub mod fuzz;
pub mod group;
pub mod home;
#[cfg(test)]
mod label_tests;
pub mod limits;
pub mod lookup;
pub mod peer;
pub mod question;
pub mod range_set;
pub mod session;
pub mod sign;
pub mod standing;
mod statement;
pub mod subnet;
pub mod time;
pub mod verify;
pub mod version;
pub mod void;
pub mod wire;
