//! BITS' job model as values: states and their table, what a job is made of, its errors, what policy says of it.
//!
//! Knows: the rules JOB, FILE, RNG, LIM and POL that can be told without a clock and without files. Does not know:
//! who schedules (`engine`), who may ask (`control`), where jobs are kept (`store`).

pub mod error;
pub mod peering;
pub mod policy;
pub mod spec;
pub mod state;
