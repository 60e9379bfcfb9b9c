//! The tables of a scenario file: offices that differ, what goes wrong, who is hostile.
//!
//! Knows: their keys. Does not know: what becomes of them (`meant`), what their numbers may be (`bounds`).

use serde::{Deserialize, Serialize};

/// By which digest jobs name the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Named {
    #[serde(rename = "sha-256")]
    Sha256,
    Blake3,
    None,
}

/// An office that differs: what it does not say is as the file says for all.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OfficePart {
    /// Its machines.
    pub machines: Option<u32>,
    /// Mbit/s of its line, into it.
    pub wan_mbit: Option<u64>,
    /// Mbit/s of its line, out of it.
    pub wan_up_mbit: Option<u64>,
    /// One way over that line, milliseconds.
    pub wan_delay_ms: Option<u64>,
    /// Packets lost on that line in a million.
    pub wan_loss_per_million: Option<u32>,
}

/// How machines crash.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crashes {
    /// The program is killed.
    Program,
    /// The power goes: what was not synced is lost.
    #[default]
    Power,
    /// The power goes, and the disk is empty when it returns.
    Disk,
}

/// Machines that crash, and perhaps come back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChurnPart {
    /// How many of a hundred machines.
    pub percent: u32,
    /// Between this moment, milliseconds ...
    pub from_ms: u64,
    /// ... and this one.
    pub to_ms: u64,
    /// After how long they start again; never if left out.
    pub back_after_ms: Option<u64>,
    /// How they crash. Default `power`.
    #[serde(default)]
    pub crash: Crashes,
}

/// An office whose machines are in two halves that do not see each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PartitionPart {
    /// Which office, from zero. Default 0.
    #[serde(default)]
    pub office: u32,
    /// How many of a hundred of its machines are in the first half. Default 50.
    #[serde(default = "half")]
    pub percent: u32,
    /// From this moment, milliseconds ...
    pub from_ms: u64,
    /// ... to this one; for ever if left out.
    pub to_ms: Option<u64>,
}

const fn half() -> u32 {
    50
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultPart {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: What,
    /// Which machine, from zero. Default 0.
    #[serde(default)]
    pub machine: u32,
    /// For `cut`, `cut-one-way` and `heal`: the other machine. Default 0.
    #[serde(default)]
    pub other: u32,
    /// For lines: which office, from zero. Default 0.
    #[serde(default)]
    pub office: u32,
    /// For `line`: Mbit/s from now on.
    pub wan_mbit: Option<u64>,
    /// For `origin-slow`: Mbit/s from now on. What it was if left out.
    pub origin_mbit: Option<u64>,
    /// For `origin-slow`: Mbit/s of one connection from now on. What it was if left out.
    pub origin_connection_mbit: Option<u64>,
}

/// What may go wrong, or change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum What {
    Crash,
    PowerCut,
    DiskLoss,
    Start,
    Sleep,
    Wake,
    Move,
    Cut,
    CutOneWay,
    Heal,
    LineDown,
    LineUp,
    Line,
    OriginGone,
    OriginSilent,
    OriginSlow,
    OriginBack,
    ClientOff,
    ClientOn,
    ServerOff,
    ServerOn,
}

/// A hostile machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RoguePart {
    FalseBytes,
    FalseList {
        /// How many pieces of its list are false, others for each such machine; the first one of the file if left out.
        #[serde(rename = "false-pieces")]
        false_pieces: Option<u32>,
    },
    Silent,
    Drips {
        /// How fast.
        #[serde(rename = "bytes-per-s")]
        bytes_per_s: u64,
    },
}
