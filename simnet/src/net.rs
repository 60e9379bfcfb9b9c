//! How sites, their lines and their machines are wired.
//!
//! Knows: which lanes lie between two places, how long the way is, what loss costs. Does not know: who talks.

use std::time::Duration;

use crate::fair::{LaneId, Path, Pipes};
use crate::link::LinkSpec;
use crate::origin::OriginSpec;

/// Names a site in its world: in the order they were added, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SiteId(pub u32);

/// Names a radio cell in its world: in the order they were added, from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CellId(pub u32);

/// Bytes per second of so many Mbit/s.
#[must_use]
pub const fn mbit(count: u64) -> u64 {
    count * 125_000
}

/// The line between a site and everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wan {
    /// Bytes per second into the site.
    pub down_bytes_per_s: u64,
    /// Bytes per second out of it.
    pub up_bytes_per_s: u64,
    /// One way.
    pub delay: Duration,
    /// Packets lost in a million.
    pub loss_per_million: u32,
}

impl Wan {
    /// So many Mbit/s both ways, 10 ms, no loss.
    #[must_use]
    pub const fn mbit(count: u64) -> Self {
        Self {
            down_bytes_per_s: mbit(count),
            up_bytes_per_s: mbit(count),
            delay: Duration::from_millis(10),
            loss_per_million: 0,
        }
    }
}

/// A site: machines on one link behind one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SiteSpec {
    /// Its line.
    pub wan: Wan,
    /// One way between two of its machines.
    pub delay: Duration,
    /// Packets lost in a million between two of its machines.
    pub loss_per_million: u32,
}

impl SiteSpec {
    /// A quiet LAN (200 µs, no loss) behind a line.
    #[must_use]
    pub const fn behind(wan: Wan) -> Self {
        Self { wan, delay: Duration::from_micros(200), loss_per_million: 0 }
    }
}

/// Where a machine sits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// At which site.
    pub site: SiteId,
    /// Bytes per second of its port, each way.
    pub port_bytes_per_s: u64,
    /// The radio cell it shares with others, if it has no wire.
    pub cell: Option<CellId>,
}

/// How long a stream bears a cut before it breaks: what the real node sets for its sockets.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const SEGMENT_LEN: u64 = 1_448;

#[derive(Debug)]
struct Site {
    spec: SiteSpec,
    down: LaneId,
    up: LaneId,
}

/// A machine's own lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attached {
    pub(crate) seat: Seat,
    up: LaneId,
    down: LaneId,
    cell: Option<LaneId>,
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    sites: Vec<Site>,
    cells: Vec<LaneId>,
}

impl Net {
    pub(crate) fn add_site(&mut self, spec: SiteSpec, pipes: &mut Pipes) -> SiteId {
        let id = u32::try_from(self.sites.len()).unwrap_or(u32::MAX);
        let down = pipes.add_lane(spec.wan.down_bytes_per_s);
        let up = pipes.add_lane(spec.wan.up_bytes_per_s);
        self.sites.push(Site { spec, down, up });
        SiteId(id)
    }

    pub(crate) fn add_cell(&mut self, rate: u64, pipes: &mut Pipes) -> CellId {
        let id = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        self.cells.push(pipes.add_lane(rate));
        CellId(id)
    }

    pub(crate) fn attach(&self, seat: Seat, pipes: &mut Pipes) -> Attached {
        let cell = seat.cell.and_then(|cell| self.cells.get(crate::fair::place(cell.0)).copied());
        let up = pipes.add_lane(seat.port_bytes_per_s);
        let down = pipes.add_lane(seat.port_bytes_per_s);
        Attached { seat, up, down, cell }
    }

    fn site(&self, id: SiteId) -> Option<&Site> {
        self.sites.get(crate::fair::place(id.0))
    }

    /// Lanes of a site's line: into it, out of it.
    pub(crate) fn wan_lanes(&self, id: SiteId) -> Option<(LaneId, LaneId)> {
        self.site(id).map(|site| (site.down, site.up))
    }

    pub(crate) fn set_wan(&mut self, id: SiteId, wan: Wan) {
        if let Some(site) = self.sites.get_mut(crate::fair::place(id.0)) {
            site.spec.wan = wan;
        }
    }

    /// The way of bytes from one machine to another.
    pub(crate) fn path(&self, from: &Attached, to: &Attached) -> Path {
        let mut path = Path::default();
        path.push(from.up);
        from.cell.into_iter().for_each(|cell| path.push(cell));
        if from.seat.site != to.seat.site {
            self.site(from.seat.site).into_iter().for_each(|site| path.push(site.up));
            self.site(to.seat.site).into_iter().for_each(|site| path.push(site.down));
        }
        to.cell.into_iter().for_each(|cell| path.push(cell));
        path.push(to.down);
        path
    }

    /// The way of bytes from an origin to a machine.
    pub(crate) fn path_from_origin(&self, origin: LaneId, to: &Attached) -> Path {
        let mut path = Path::default();
        path.push(origin);
        self.site(to.seat.site).into_iter().for_each(|site| path.push(site.down));
        to.cell.into_iter().for_each(|cell| path.push(cell));
        path.push(to.down);
        path
    }

    /// The line that messages between two machines see.
    pub(crate) fn line(&self, from: &Attached, to: &Attached) -> LinkSpec {
        let mut line = LinkSpec {
            rate_bytes_per_s: from.seat.port_bytes_per_s.min(to.seat.port_bytes_per_s),
            delay: Duration::ZERO,
            loss_per_million: 0,
            patience: PATIENCE,
        };
        let (Some(one), Some(other)) = (self.site(from.seat.site), self.site(to.seat.site)) else {
            return line;
        };
        line.delay = one.spec.delay;
        line.loss_per_million = one.spec.loss_per_million;
        if from.seat.site != to.seat.site {
            let (out, into) = (one.spec.wan, other.spec.wan);
            line.delay = line
                .delay
                .saturating_add(other.spec.delay)
                .saturating_add(out.delay)
                .saturating_add(into.delay);
            line.rate_bytes_per_s = line.rate_bytes_per_s.min(out.up_bytes_per_s).min(into.down_bytes_per_s);
            line.loss_per_million = line.loss_per_million + out.loss_per_million + into.loss_per_million;
        }
        line
    }

    /// One way between an origin and a machine, and the loss on it.
    pub(crate) fn way_to_origin(&self, origin: &OriginSpec, at: &Attached) -> (Duration, u32) {
        let Some(site) = self.site(at.seat.site) else { return (origin.delay, 0) };
        let delay = origin.delay.saturating_add(site.spec.wan.delay).saturating_add(site.spec.delay);
        (delay, site.spec.wan.loss_per_million + site.spec.loss_per_million)
    }
}

/// What loss leaves of one connection's rate: the square-root law for a segment of 1 448 bytes.
pub(crate) fn goodput_max(one_way: Duration, loss_per_million: u32) -> u64 {
    if loss_per_million == 0 {
        return u64::MAX;
    }
    let round_trip_us = u64::try_from(one_way.as_micros()).unwrap_or(u64::MAX).saturating_mul(2).max(100);
    // segment / (round trip × √(2·loss/3)), with the loss in millionths: √1 000 000 is 1 000.
    let root = (u64::from(loss_per_million) * 2 * 1_000_000 / 3).isqrt().max(1);
    let per_s =
        u128::from(SEGMENT_LEN) * 1_000_000 * 1_000_000 / u128::from(round_trip_us) / u128::from(root);
    let left = u128::from(1_000_000_u32.saturating_sub(loss_per_million));
    u64::try_from(per_s * left / 1_000_000).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_costs_what_the_square_root_law_says() {
        // 1 448 bytes / (20 ms × √(2/3 × 1 %)) is 887 kB/s; one percent of it is sent again.
        let rate = goodput_max(Duration::from_millis(10), 10_000);
        assert!((870_000..890_000).contains(&rate), "{rate}");
        let quarter = goodput_max(Duration::from_millis(10), 160_000);
        assert!((rate / 6..rate / 4).contains(&quarter), "{quarter}");
        assert_eq!(goodput_max(Duration::from_millis(10), 0), u64::MAX);
    }

    #[test]
    fn a_way_goes_over_the_lines_that_lie_between() {
        let mut pipes = Pipes::new(200);
        let mut net = Net::default();
        let sites = [10, 20].map(|rate| net.add_site(SiteSpec::behind(Wan::mbit(rate)), &mut pipes));
        let cell = net.add_cell(mbit(50), &mut pipes);
        let seat = |site, cell| Seat { site, port_bytes_per_s: mbit(1_000), cell };
        let wired = net.attach(seat(sites[0], None), &mut pipes);
        let radio = [(); 2].map(|()| net.attach(seat(sites[0], Some(cell)), &mut pipes));
        let far = net.attach(seat(sites[1], None), &mut pipes);
        let capacities = |path: Path| -> Vec<u64> {
            path.lanes()
                .iter()
                .map(|lane| pipes.lanes()[crate::fair::place(*lane)].capacity / mbit(1))
                .collect()
        };
        assert_eq!(capacities(net.path(&wired, &radio[0])), [1_000, 50, 1_000]);
        assert_eq!(capacities(net.path(&radio[0], &radio[1])), [1_000, 50, 50, 1_000]);
        assert_eq!(capacities(net.path(&wired, &far)), [1_000, 10, 20, 1_000]);
        let line = net.line(&wired, &far);
        assert_eq!((line.rate_bytes_per_s, line.delay), (mbit(10), Duration::from_micros(20_400)));
    }
}
