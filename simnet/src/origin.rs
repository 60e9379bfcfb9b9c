//! Where files first come from: a server that may be slow, busy, cut, changed, false or gone.
//!
//! Knows: what it says and what it really serves, as numbers that the model of the content gives a meaning. Does not
//! know: HTTP, files, digests.

use std::time::Duration;

/// Names an origin in its world: in the order they were added, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OriginId(pub u32);

/// Whether an origin can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// It answers.
    #[default]
    Up,
    /// It refuses at once, and breaks off what is under way.
    Refuses,
    /// It says nothing, and what is under way stands still.
    Silent,
}

/// What an origin is like. Replaced as a whole by [`Fault::Origin`](crate::Fault::Origin).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginSpec {
    /// Bytes it sends in a second, to all together.
    pub rate_bytes_per_s: u64,
    /// Bytes it sends in a second on one connection at most.
    pub flow_rate_bytes_per_s: u64,
    /// One way, from the edge of any site's line.
    pub delay: Duration,
    /// Flows it serves at a time; further ones are told that it is busy.
    pub flows_max: u32,
    /// Bytes after which it cuts each flow off.
    pub cuts_after: Option<u64>,
    /// Which version it says it serves.
    pub says: u32,
    /// Which version its bytes really are.
    pub serves: u32,
    /// Whether it can be reached.
    pub reach: Reach,
}

impl Default for OriginSpec {
    /// A good server: 10 Gbit/s, 10 ms away, version 0.
    fn default() -> Self {
        Self {
            rate_bytes_per_s: 1_250_000_000,
            flow_rate_bytes_per_s: u64::MAX,
            delay: Duration::from_millis(10),
            flows_max: u32::MAX,
            cuts_after: None,
            says: 0,
            serves: 0,
            reach: Reach::Up,
        }
    }
}

/// What an origin answers to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It serves this version.
    Says {
        /// Which.
        version: u32,
        /// From question to answer.
        round_trip: Duration,
    },
    /// The connection was refused.
    Refused,
    /// Nothing came in all the time a client waits.
    Silence,
}

/// What went out of an origin so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OriginCounts {
    /// Questions it was asked.
    pub asks: u64,
    /// Flows it started.
    pub flows: u64,
    /// Bytes of flows that were sent.
    pub bytes: u64,
    /// Flows it serves now.
    pub open: u32,
}
