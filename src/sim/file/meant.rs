//! Which swarm a scenario file means.
//!
//! Knows: what keys mean together. Does not know: what a number may be by itself (`bounds`).

use std::ops::Range;
use std::time::Duration;

use peer_proto::content::Geometry;
use peer_proto::digest::Algorithm;
use peer_proto::time::Instant;
use simnet::{
    Churn, Crash, Fault, HostId, OriginId, OriginSpec, Reach, Scenario, SiteId, SiteSpec, Wan, mbit,
};

use super::{
    ChurnPart, Crashes, FaultPart, FileFault, MACHINES_MAX, Named, OfficePart, RoguePart, SwarmFile, What,
    bounds,
};
use crate::job::PeerFlags;
use crate::sim::life::Flip;
use crate::sim::rogue::Malice;
use crate::sim::swarm::Swarm;

/// Machines of an office that is cut in halves, at most: each pair of them is a cut of its own.
const CUT_MACHINES_MAX: u32 = 1_000;

impl SwarmFile {
    /// The swarm it means.
    ///
    /// # Errors
    /// [`FileFault::Key`] with the first number out of bounds; [`FileFault::Together`] for keys that do not go
    /// together.
    pub fn swarm(&self) -> Result<Swarm, FileFault> {
        let written = toml::Table::try_from(self).map_err(|error| FileFault::Text(error.to_string()))?;
        bounds::check(&written)?;
        let places = self.places()?;
        let machines: u32 = places.iter().map(|(_, machines)| *machines).sum();
        let hostile = u32::try_from(self.rogue.len()).unwrap_or(u32::MAX);
        if self.holders.saturating_add(hostile) > machines {
            return together("there are more `holders` and rogues than machines");
        }
        let len = self.file_kib.map_or(self.file_mib << 20, |kib| kib << 10);
        let names = match self.named {
            Named::Sha256 => Some(Algorithm::Sha256),
            Named::Blake3 => Some(Algorithm::Blake3),
            Named::None => None,
        };
        let arrived = self.stagger_ms.saturating_mul(u64::from(machines)).saturating_add(self.spread_ms);
        let starts = places.iter().scan(0, |next, (_, machines)| {
            let first = *next;
            *next += machines;
            Some(first..*next)
        });
        let starts: Vec<Range<u32>> = starts.collect();
        let too_long = || FileFault::Together("no file is that long".into());
        let mut swarm = Swarm::of(self.scenario(places), len)
            .ok_or_else(too_long)?
            .holders(self.holders)
            .named(names)
            .priority(self.priority)
            .job_flags(if self.peers { PeerFlags::BOTH } else { PeerFlags::NONE })
            .flags_off(self.client_off_percent * 10_000, self.server_off_percent * 10_000)
            .quiet_from(at(arrived))
            .limit(Duration::from_secs(self.limit_s));
        if self.group {
            swarm = swarm.in_a_group();
        }
        if let Some(churn) = &self.churn {
            swarm = swarm.quiet_from(at(churn.to_ms.saturating_add(churn.back_after_ms.unwrap_or(0))));
        }
        swarm = self.hostile(swarm, len);
        swarm = self.cut(swarm, &starts)?;
        for (number, part) in self.fault.iter().enumerate() {
            swarm = self.goes_wrong(swarm, number, part, machines, starts.len())?;
        }
        Ok(swarm)
    }

    fn hostile(&self, mut swarm: Swarm, len: u64) -> Swarm {
        if self.rogue.is_empty() {
            return swarm;
        }
        let count = Geometry::of(len).map_or(0, |cut| cut.piece_count());
        let nothing_true = swarm.library().add_altered(&(0..count).collect::<Vec<u32>>());
        let one_lie = swarm.library().add_altered(&[0]);
        let rogues = u32::try_from(self.rogue.len()).unwrap_or(u32::MAX);
        (0..).zip(&self.rogue).fold(swarm, |mut swarm, (number, rogue)| {
            let malice = match rogue {
                RoguePart::FalseBytes => Malice::FalseBytes { sends: nothing_true },
                RoguePart::FalseList { false_pieces: None } => Malice::FalseList { states: one_lie },
                RoguePart::FalseList { false_pieces: Some(some) } => {
                    let pieces = spread((*some).min(count), count, (number, rogues));
                    Malice::FalseList { states: swarm.library().add_altered(&pieces) }
                }
                RoguePart::Silent => Malice::Silent,
                RoguePart::Drips { bytes_per_s } => Malice::Drips { bytes_per_s: *bytes_per_s },
            };
            swarm.rogue(malice)
        })
    }

    /// Each office and how many machines it has.
    fn places(&self) -> Result<Vec<(SiteSpec, u32)>, FileFault> {
        if !self.office.is_empty() && self.offices != 1 {
            return together("`offices` is left out where [[office]] says them one by one");
        }
        let as_all = OfficePart::default();
        let count = usize::try_from(self.offices).unwrap_or(usize::MAX);
        let parts: Vec<&OfficePart> =
            if self.office.is_empty() { vec![&as_all; count] } else { self.office.iter().collect() };
        let places: Vec<(SiteSpec, u32)> =
            parts.iter().map(|part| (self.site(part), part.machines.unwrap_or(self.machines))).collect();
        let all: u64 = places.iter().map(|(_, machines)| u64::from(*machines)).sum();
        if all > u64::from(MACHINES_MAX) {
            return together(&format!(
                "{all} machines are more than {MACHINES_MAX}, which all offices may have"
            ));
        }
        Ok(places)
    }

    fn site(&self, part: &OfficePart) -> SiteSpec {
        let down = part.wan_mbit.unwrap_or(self.wan_mbit);
        let up = part.wan_up_mbit.or(self.wan_up_mbit).unwrap_or(down);
        let wan = Wan {
            down_bytes_per_s: mbit(down),
            up_bytes_per_s: mbit(up),
            delay: Duration::from_millis(part.wan_delay_ms.unwrap_or(self.wan_delay_ms)),
            loss_per_million: part.wan_loss_per_million.unwrap_or(self.wan_loss_per_million),
        };
        SiteSpec { loss_per_million: self.lan_loss_per_million, ..SiteSpec::behind(wan) }
    }

    fn scenario(&self, places: Vec<(SiteSpec, u32)>) -> Scenario {
        let mut scenario = Scenario::sites(places)
            .port(mbit(self.port_mbit))
            .origin(self.origin(Reach::Up))
            .staggered(Duration::from_millis(self.stagger_ms))
            .spread(Duration::from_millis(self.spread_ms));
        if self.wireless_percent > 0 {
            scenario = scenario.wireless(self.wireless_percent * 10_000, mbit(self.cell_mbit));
        }
        match &self.churn {
            Some(churn) => scenario.churn(meant_churn(churn)),
            None => scenario,
        }
    }

    fn origin(&self, reach: Reach) -> OriginSpec {
        OriginSpec {
            rate_bytes_per_s: mbit(self.origin_mbit),
            flow_rate_bytes_per_s: self.origin_connection_mbit.map_or(u64::MAX, mbit),
            delay: Duration::from_millis(self.origin_delay_ms),
            flows_max: self.origin_connections.unwrap_or(u32::MAX),
            cuts_after: self.origin_cuts_after_mib.map(|mib| mib << 20),
            reach,
            ..OriginSpec::default()
        }
    }

    /// Cuts the offices that are to be cut, and heals them.
    fn cut(&self, mut swarm: Swarm, offices: &[Range<u32>]) -> Result<Swarm, FileFault> {
        for (number, part) in self.partition.iter().enumerate() {
            let office = usize::try_from(part.office).ok().and_then(|office| offices.get(office));
            let Some(office) = office.cloned() else {
                return below(&format!("partition[{number}].office"), offices.len(), part.office);
            };
            let count = office.end - office.start;
            if count > CUT_MACHINES_MAX {
                return together(&format!("[[partition]] cuts offices of up to {CUT_MACHINES_MAX} machines"));
            }
            if part.to_ms.is_some_and(|to| to < part.from_ms) {
                return together(&format!("`partition[{number}].to-ms` is before its `from-ms`"));
            }
            let middle = office.start + count * part.percent / 100;
            for one in office.start..middle {
                for other in middle..office.end {
                    let (one, other) = (HostId(one), HostId(other));
                    swarm = swarm.fault(at(part.from_ms), Fault::Cut(one, other));
                    if let Some(to) = part.to_ms {
                        swarm = swarm.fault(at(to), Fault::Heal(one, other));
                    }
                }
            }
        }
        Ok(swarm)
    }

    fn goes_wrong(
        &self,
        swarm: Swarm,
        number: usize,
        part: &FaultPart,
        machines: u32,
        offices: usize,
    ) -> Result<Swarm, FileFault> {
        let named = |key: &str| format!("fault[{number}].{key}");
        for (key, machine) in [("machine", part.machine), ("other", part.other)] {
            if machine >= machines {
                return below(&named(key), usize::try_from(machines).unwrap_or(usize::MAX), machine);
            }
        }
        if usize::try_from(part.office).is_ok_and(|office| office >= offices) {
            return below(&named("office"), offices, part.office);
        }
        let moment = at(part.at_ms);
        if let Some(flip) = flip(part) {
            return Ok(swarm.flip(moment, flip));
        }
        match self.meant(part) {
            Some(fault) => Ok(swarm.fault(moment, fault)),
            None => Err(FileFault::Key { key: named("wan-mbit"), wants: "what a `line` needs".into() }),
        }
    }

    /// What a part means in the world; `None` if it is a line without its rate.
    fn meant(&self, part: &FaultPart) -> Option<Fault> {
        let (host, other, site) = (HostId(part.machine), HostId(part.other), SiteId(part.office));
        let origin = |spec| Fault::Origin(OriginId(0), spec);
        Some(match part.what {
            What::Crash => Fault::Crash(host, Crash::Program),
            What::PowerCut => Fault::Crash(host, Crash::Power),
            What::DiskLoss => Fault::Crash(host, Crash::Disk),
            What::Start => Fault::Start(host),
            What::Sleep => Fault::Sleep(host),
            What::Wake => Fault::Wake(host),
            What::Move => Fault::Move(host),
            What::Cut => Fault::Cut(host, other),
            What::CutOneWay => Fault::CutOneWay(host, other),
            What::Heal => Fault::Heal(host, other),
            What::LineDown => Fault::LineDown(site),
            What::LineUp => Fault::LineUp(site),
            What::Line => {
                let known = usize::try_from(part.office).ok().and_then(|office| self.office.get(office));
                let rate = part.wan_mbit.map(mbit)?;
                let wan = self.site(known.unwrap_or(&OfficePart::default())).wan;
                Fault::Line(site, Wan { down_bytes_per_s: rate, up_bytes_per_s: rate, ..wan })
            }
            What::OriginGone => origin(self.origin(Reach::Refuses)),
            What::OriginSilent => origin(self.origin(Reach::Silent)),
            What::OriginBack => origin(self.origin(Reach::Up)),
            What::OriginSlow => {
                let known = self.origin(Reach::Up);
                let each = part.origin_connection_mbit.map_or(known.flow_rate_bytes_per_s, mbit);
                let all = part.origin_mbit.map_or(known.rate_bytes_per_s, mbit);
                origin(OriginSpec { rate_bytes_per_s: all, flow_rate_bytes_per_s: each, ..known })
            }
            What::ClientOff | What::ClientOn | What::ServerOff | What::ServerOn => return None,
        })
    }
}

fn flip(part: &FaultPart) -> Option<Flip> {
    let (client, server) = match part.what {
        What::ClientOff => (Some(false), None),
        What::ClientOn => (Some(true), None),
        What::ServerOff => (None, Some(false)),
        What::ServerOn => (None, Some(true)),
        _ => return None,
    };
    Some(Flip { host: HostId(part.machine), client, server })
}

fn meant_churn(churn: &ChurnPart) -> Churn {
    Churn {
        per_million: churn.percent * 10_000,
        crash: match churn.crash {
            Crashes::Program => Crash::Program,
            Crashes::Power => Crash::Power,
            Crashes::Disk => Crash::Disk,
        },
        during: at(churn.from_ms)..at(churn.to_ms),
        back_after: churn.back_after_ms.map(Duration::from_millis),
    }
}

fn together<T>(what: &str) -> Result<T, FileFault> {
    Err(FileFault::Together(what.into()))
}

fn below<T>(key: &str, count: usize, found: u32) -> Result<T, FileFault> {
    let last = count.saturating_sub(1);
    Err(FileFault::Key { key: key.into(), wants: format!("0 to {last} here, not {found}") })
}

/// So many pieces of a file of `count`, spread over it evenly: others for each of the machines, of which this is one.
fn spread(some: u32, count: u32, (number, machines): (u32, u32)) -> Vec<u32> {
    let (some, count) = (u64::from(some), u64::from(count));
    let (number, machines) = (u64::from(number), u64::from(machines.max(1)));
    let place = |at: u64| (at * 2 * machines + 2 * number + 1) * count / (2 * machines * some.max(1));
    (0..some).filter_map(|at| u32::try_from(place(at)).ok()).collect()
}

const fn at(ms: u64) -> Instant {
    Instant::from_micros(ms.saturating_mul(1_000))
}
