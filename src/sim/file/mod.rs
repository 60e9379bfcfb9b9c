//! Scenario files: what people write for `nearbits sim`.
//!
//! Knows: the keys, their units and bounds, and which swarm they mean. Does not know: where the text comes from.

use std::time::Duration;

use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use serde::Deserialize;
use simnet::{
    Churn, Crash, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteId, SiteSpec, Wan, mbit,
};

use super::rogue::Malice;
use super::swarm::Swarm;
use crate::job::PeerFlags;

/// Machines of one world at most.
pub const MACHINES_MAX: u32 = 10_000;

/// A scenario file, as written. Every key may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwarmFile {
    /// Length of the file in MiB. Default 64.
    pub file_mib: u64,
    /// By which digest jobs name it: `sha-256`, `blake3` or `none`. Default `sha-256`.
    pub named: Named,
    /// Whether jobs may use and serve peers. Default true; false shows what the origin alone would do.
    pub peers: bool,
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
    /// Mbit/s of each office's line. Default 100.
    pub wan_mbit: u64,
    /// One way over that line, milliseconds. Default 10.
    pub wan_delay_ms: u64,
    /// Packets lost on that line in a million. Default none.
    pub wan_loss_per_million: u32,
    /// Mbit/s of each machine's port. Default 1 000.
    pub port_mbit: u64,
    /// How many of a hundred machines share one radio cell of their office. Default none.
    pub wireless_percent: u32,
    /// Mbit/s of that cell, both directions together. Default 200.
    pub cell_mbit: u64,
    /// Mbit/s of the origin. Default 10 000.
    pub origin_mbit: u64,
    /// Mbit/s of one connection of the origin at most; no limit if left out.
    pub origin_connection_mbit: Option<u64>,
    /// Seconds of virtual time after which it ends. Default 3 600.
    pub limit_s: u64,
    /// Machines that crash.
    pub churn: Option<ChurnPart>,
    /// What goes wrong, each with its moment.
    pub fault: Vec<FaultPart>,
    /// Hostile machines; they come after the holders.
    pub rogue: Vec<RoguePart>,
}

/// By which digest jobs name the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Named {
    #[serde(rename = "sha-256")]
    Sha256,
    Blake3,
    None,
}

/// Machines that crash, and perhaps come back.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
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
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultPart {
    /// When, milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: What,
    /// Which machine, from zero. Default 0.
    #[serde(default)]
    pub machine: u32,
    /// For `cut` and `heal`: the other machine. Default 0.
    #[serde(default)]
    pub other: u32,
    /// For lines: which office, from zero. Default 0.
    #[serde(default)]
    pub office: u32,
}

/// What may go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
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
    Heal,
    LineDown,
    LineUp,
    OriginGone,
    OriginSilent,
    OriginBack,
}

/// A hostile machine.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RoguePart {
    FalseBytes,
    FalseList,
    Silent,
    Drips {
        /// How fast.
        #[serde(rename = "bytes-per-s")]
        bytes_per_s: u64,
    },
}

/// Why a text is no scenario.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read.
    #[error("{0}")]
    Text(String),
    /// A number is out of bounds.
    #[error("{0}")]
    Bounds(&'static str),
}

impl Default for SwarmFile {
    fn default() -> Self {
        Self {
            file_mib: 64,
            named: Named::Sha256,
            peers: true,
            offices: 1,
            machines: 10,
            group: false,
            holders: 0,
            stagger_ms: 0,
            wan_mbit: 100,
            wan_delay_ms: 10,
            wan_loss_per_million: 0,
            port_mbit: 1_000,
            wireless_percent: 0,
            cell_mbit: 200,
            origin_mbit: 10_000,
            origin_connection_mbit: None,
            limit_s: 3_600,
            churn: None,
            fault: Vec::new(),
            rogue: Vec::new(),
        }
    }
}

impl SwarmFile {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`FileFault::Text`] with the place in the text.
    pub fn parse(text: &str) -> Result<Self, FileFault> {
        toml::from_str(text).map_err(|error| FileFault::Text(error.to_string()))
    }

    /// The swarm it means.
    ///
    /// # Errors
    /// [`FileFault::Bounds`] if there are too many machines, or none, or the file is too long.
    pub fn swarm(&self) -> Result<Swarm, FileFault> {
        let machines = self.offices.saturating_mul(self.machines);
        let hostile = u32::try_from(self.rogue.len()).unwrap_or(u32::MAX);
        if machines == 0 || machines > MACHINES_MAX {
            return Err(FileFault::Bounds("offices x machines is 1 to 10000"));
        }
        if self.holders.saturating_add(hostile) > machines {
            return Err(FileFault::Bounds("there are more holders and rogues than machines"));
        }
        let rates = [self.wan_mbit, self.port_mbit, self.cell_mbit, self.origin_mbit];
        if rates.into_iter().chain(self.origin_connection_mbit).any(|rate| rate == 0 || rate > 1_000_000) {
            return Err(FileFault::Bounds("a rate is 1 to 1000000 Mbit/s"));
        }
        let len = self.file_mib.checked_mul(1 << 20).ok_or(FileFault::Bounds("the file is too long"))?;
        let swarm = Swarm::of(self.scenario(), len).ok_or(FileFault::Bounds("the file is too long"))?;
        let names = match self.named {
            Named::Sha256 => Some(Algorithm::Sha256),
            Named::Blake3 => Some(Algorithm::Blake3),
            Named::None => None,
        };
        let arrived = at(self.stagger_ms.saturating_mul(u64::from(machines)));
        let mut swarm = swarm
            .holders(self.holders)
            .named(names)
            .job_flags(if self.peers { PeerFlags::BOTH } else { PeerFlags::NONE })
            .quiet_from(arrived)
            .limit(Duration::from_secs(self.limit_s));
        if self.group {
            swarm = swarm.in_a_group();
        }
        if let Some(churn) = &self.churn {
            swarm = swarm.quiet_from(at(churn.to_ms.saturating_add(churn.back_after_ms.unwrap_or(0))));
        }
        let lie = swarm.library().add_altered(&[0]);
        for rogue in &self.rogue {
            swarm = swarm.rogue(match rogue {
                RoguePart::FalseBytes => Malice::FalseBytes { sends: lie },
                RoguePart::FalseList => Malice::FalseList { states: lie },
                RoguePart::Silent => Malice::Silent,
                RoguePart::Drips { bytes_per_s } => Malice::Drips { bytes_per_s: (*bytes_per_s).max(1) },
            });
        }
        Ok(self.fault.iter().fold(swarm, |swarm, part| swarm.fault(at(part.at_ms), self.meant(part))))
    }

    fn scenario(&self) -> Scenario {
        let delay = Duration::from_millis(self.wan_delay_ms);
        let wan = Wan { delay, loss_per_million: self.wan_loss_per_million, ..Wan::mbit(self.wan_mbit) };
        let mut scenario = Scenario::offices(self.offices, self.machines, wan)
            .site(SiteSpec::behind(wan))
            .port(mbit(self.port_mbit))
            .origin(self.origin(Reach::Up))
            .staggered(Duration::from_millis(self.stagger_ms));
        if self.wireless_percent > 0 {
            let share = self.wireless_percent.min(100).saturating_mul(10_000);
            scenario = scenario.wireless(share, mbit(self.cell_mbit));
        }
        if let Some(churn) = &self.churn {
            scenario = scenario.churn(Churn {
                per_million: churn.percent.min(100).saturating_mul(10_000),
                crash: Crash::Power,
                during: at(churn.from_ms)..at(churn.to_ms),
                back_after: churn.back_after_ms.map(Duration::from_millis),
            });
        }
        scenario
    }

    fn origin(&self, reach: Reach) -> OriginSpec {
        OriginSpec {
            rate_bytes_per_s: mbit(self.origin_mbit),
            flow_rate_bytes_per_s: self.origin_connection_mbit.map_or(u64::MAX, mbit),
            reach,
            ..OriginSpec::default()
        }
    }

    fn meant(&self, part: &FaultPart) -> Fault {
        let (host, other, site) = (HostId(part.machine), HostId(part.other), SiteId(part.office));
        let origin = |reach| Fault::Origin(OriginId(0), self.origin(reach));
        match part.what {
            What::Crash => Fault::Crash(host, Crash::Program),
            What::PowerCut => Fault::Crash(host, Crash::Power),
            What::DiskLoss => Fault::Crash(host, Crash::Disk),
            What::Start => Fault::Start(host),
            What::Sleep => Fault::Sleep(host),
            What::Wake => Fault::Wake(host),
            What::Move => Fault::Move(host),
            What::Cut => Fault::Cut(host, other),
            What::Heal => Fault::Heal(host, other),
            What::LineDown => Fault::LineDown(site),
            What::LineUp => Fault::LineUp(site),
            What::OriginGone => origin(Reach::Refuses),
            What::OriginSilent => origin(Reach::Silent),
            What::OriginBack => origin(Reach::Up),
        }
    }
}

const fn at(ms: u64) -> Instant {
    Instant::from_micros(ms.saturating_mul(1_000))
}
