//! The program as people run it: processes, exit codes, lines, files.
//!
//! Knows: what a user can see. Does not know: anything inside.

#![allow(clippy::unwrap_used)]

mod api;
mod attested;
mod bad_input;
mod cached;
mod control;
mod demo;
mod destinations;
mod file_ranges;
mod get;
mod group;
mod job_add;
mod job_look;
mod job_set;
mod job_verbs;
mod job_wait;
mod killed;
mod manual;
mod records;
mod sim;
mod storm;
mod support;
