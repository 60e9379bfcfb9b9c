//! Whole parts against each other: real sockets, real files, origins and peers that misbehave.
//!
//! Knows: the modules of this one binary. Does not know: the inside of any room.

#![expect(clippy::unwrap_used, reason = "a test binary")]

mod abuse;
mod announced;
mod asked;
mod attestable;
mod attested;
mod badge;
mod checksums;
mod commands;
mod crowded;
mod dynamic;
mod found;
mod from_origin;
mod from_peers;
mod groups;
mod hostile;
mod hushed;
mod interrupted;
mod invalid;
mod ipv6;
mod lab;
mod liars;
mod limits;
mod neighbours;
mod office;
mod on_link;
mod origin_edges;
mod origin_faults;
mod origin_fetch;
mod origin_heads;
mod origin_jobs;
mod origin_script;
mod parted;
mod permissions;
mod plain_origin;
mod prober;
mod queue;
mod ranges;
mod recall;
mod serving;
mod several;
mod silence;
mod soak;
mod subnets;
mod tickets;
mod together;
mod toggles;
mod traitors;
mod unplugged;
mod wiretap;
