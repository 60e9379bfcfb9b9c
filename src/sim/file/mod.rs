//! Scenario files: what people write for `nearbits sim`.
//!
//! Knows: the keys of a file and what they are if left out. Does not know: where the text comes from, what its tables
//! hold (`parts`), what numbers may be (`bounds`), which swarm they mean (`meant`).

mod bounds;
mod meant;
mod parts;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::bounds::{BOUNDS, Bound, MACHINES_MAX};
pub use self::parts::{ChurnPart, Crashes, FaultPart, Named, OfficePart, PartitionPart, RoguePart, What};
use crate::job::Priority;

/// A scenario file, as written. Every key may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwarmFile {
    /// Length of the file in MiB. Default 64.
    pub file_mib: u64,
    /// Length of the file in KiB, instead.
    pub file_kib: Option<u64>,
    /// By which digest jobs name it: `sha-256`, `blake3` or `none`. Default `sha-256`.
    pub named: Named,
    /// Whether jobs may use and serve peers. Default true; false shows what the origin alone would do.
    pub peers: bool,
    /// `foreground` if somebody waits for it; else `high`, `normal` or `low`. Default `foreground`.
    pub priority: Priority,
    /// Offices, all alike. Default 1.
    pub offices: u32,
    /// Machines of each office. Default 10.
    pub machines: u32,
    /// Whether all machines are members of one group: each has 16 sessions at most then, and what they say is passed
    /// on. Default false: strangers, with up to 64 sessions each.
    pub group: bool,
    /// How many of the first machines hold the file from the beginning. Default none.
    pub holders: u32,
    /// Milliseconds between the starts of two machines. Default 0: all at once.
    pub stagger_ms: u64,
    /// Each machine starts up to so many milliseconds later, drawn evenly. Default 0.
    pub spread_ms: u64,
    /// Mbit/s of each office's line, into it. Default 100.
    pub wan_mbit: u64,
    /// Mbit/s of that line, out of the office; as into it if left out.
    pub wan_up_mbit: Option<u64>,
    /// One way over that line, milliseconds. Default 10.
    pub wan_delay_ms: u64,
    /// Packets lost on that line in a million. Default none.
    pub wan_loss_per_million: u32,
    /// Packets lost inside an office in a million. Default none.
    pub lan_loss_per_million: u32,
    /// Mbit/s of each machine's port. Default 1 000.
    pub port_mbit: u64,
    /// How many of a hundred machines share one radio cell of their office. Default none.
    pub wireless_percent: u32,
    /// Mbit/s of that cell, both directions together. Default 200.
    pub cell_mbit: u64,
    /// How many of a hundred machines that want the file may not take it from others. Default none.
    pub client_off_percent: u32,
    /// How many of a hundred machines that want the file give nothing to others. Default none.
    pub server_off_percent: u32,
    /// Mbit/s of the origin. Default 10 000.
    pub origin_mbit: u64,
    /// Mbit/s of one connection of the origin at most; no limit if left out.
    pub origin_connection_mbit: Option<u64>,
    /// Connections it serves at a time, others are told that it is busy; no limit if left out.
    pub origin_connections: Option<u32>,
    /// One way from the edge of an office's line to the origin, milliseconds. Default 10.
    pub origin_delay_ms: u64,
    /// MiB after which the origin cuts every answer off; never if left out.
    pub origin_cuts_after_mib: Option<u64>,
    /// Seconds of virtual time after which it ends. Default 3 600.
    pub limit_s: u64,
    /// Offices that differ, one table for each office there is.
    pub office: Vec<OfficePart>,
    /// Machines that crash.
    pub churn: Option<ChurnPart>,
    /// Offices cut into halves.
    pub partition: Vec<PartitionPart>,
    /// What goes wrong or changes, each with its moment.
    pub fault: Vec<FaultPart>,
    /// Hostile machines; they come after the holders.
    pub rogue: Vec<RoguePart>,
}

/// Why a text is no scenario.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read.
    #[error("{0}")]
    Text(String),
    /// A key says what it may not say.
    #[error("`{key}` is {wants}")]
    Key {
        /// Which key, with its table.
        key: String,
        /// What it may be, and what it is.
        wants: String,
    },
    /// Keys do not go together.
    #[error("{0}")]
    Together(String),
}

impl Default for SwarmFile {
    fn default() -> Self {
        Self {
            file_mib: 64,
            file_kib: None,
            named: Named::Sha256,
            peers: true,
            priority: Priority::Foreground,
            offices: 1,
            machines: 10,
            group: false,
            holders: 0,
            stagger_ms: 0,
            spread_ms: 0,
            wan_mbit: 100,
            wan_up_mbit: None,
            wan_delay_ms: 10,
            wan_loss_per_million: 0,
            lan_loss_per_million: 0,
            port_mbit: 1_000,
            wireless_percent: 0,
            cell_mbit: 200,
            client_off_percent: 0,
            server_off_percent: 0,
            origin_mbit: 10_000,
            origin_connection_mbit: None,
            origin_connections: None,
            origin_delay_ms: 10,
            origin_cuts_after_mib: None,
            limit_s: 3_600,
            office: Vec::new(),
            churn: None,
            partition: Vec::new(),
            fault: Vec::new(),
            rogue: Vec::new(),
        }
    }
}

impl SwarmFile {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`FileFault::Key`] for a number out of bounds, [`FileFault::Text`] with the place in the text for the rest.
    pub fn parse(text: &str) -> Result<Self, FileFault> {
        let unreadable = |error: toml::de::Error| FileFault::Text(error.to_string());
        bounds::check(&toml::from_str(text).map_err(unreadable)?)?;
        toml::from_str(text).map_err(unreadable)
    }
}
