//! A world in a seed: virtual time, links, hosts, to drive sans-IO protocols in tests.
//!
//! A program that can be run here takes facts in, gives outputs out, and is told the time: it implements [`Host`].
//! A [`Scenario`] puts hosts at sites; the [`World`] runs them. Ten lines show whether twenty machines that all fetch
//! the same 10 MB really share their office's line:
//!
//! ```
//! use simnet::*;
//! use peer_proto::time::Instant;
//!
//! #[derive(Default)]
//! struct Fetcher { orders: Vec<HostOutput<()>>, done: Option<Instant> }
//!
//! impl Host for Fetcher {
//!     type Message = ();
//!     fn handle_start(&mut self, _now: Instant) {
//!         self.orders.push(HostOutput::Pull { origin: OriginId(0), number: 1, spec: FlowSpec::of(10_000_000) });
//!     }
//!     fn handle_flow(&mut self, event: FlowEvent<()>, now: Instant) {
//!         if let FlowEvent::Ended { end: FlowEnd::Complete, .. } = event { self.done = Some(now) }
//!     }
//!     fn handle_connected(&mut self, _peer: Neighbour, _now: Instant) {}
//!     fn handle_message(&mut self, _from: HostId, _message: (), _now: Instant) {}
//!     fn handle_lost(&mut self, _peer: HostId, _now: Instant) {}
//!     fn handle_timeout(&mut self, _now: Instant) {}
//!     fn poll_output(&mut self) -> HostOutput<()> {
//!         self.orders.pop().unwrap_or(HostOutput::WaitUntil(Instant::NEVER))
//!     }
//! }
//!
//! let mut stage = Scenario::branch_office(20, Wan::mbit(100)).build(7, |_, _| Fetcher::default());
//! stage.world.run_until(Instant::from_micros(60_000_000))?;
//! let last = stage.world.hosts().filter_map(|(_, host)| host.done).max();
//! // 200 MB at 12.5 MB/s are 16 s, and the first byte takes two trips of 20.2 ms.
//! assert_eq!(last, Some(Instant::from_micros(16_040_400)));
//! # Ok::<(), Trouble>(())
//! ```
//!
//! What goes wrong is scheduled as a [`Fault`]. After every step the world checks itself: bytes that are received were
//! sent, no line carries more than it can, what may move moves, nothing grows without bound; oracles about the hosts
//! are added with [`World::add_oracle`]. A run that fails is replayed by its seed.
//!
//! Knows: hosts behind one trait ([`host`]), streams with rate, delay, loss and cuts ([`link`]), sites with shared
//! lines ([`net`]), bulk transfers over them at fair rates ([`flow`]), origins that misbehave ([`origin`]), disks that
//! forget ([`disk`]), chance from a seed ([`dice`]), ready-made worlds ([`scenario`]), and the order of everything ([`world`]). The same seed gives the same run, event for event,
//! on any machine: integers only, ordered maps only, no clock. Does not know: what hosts say to each other.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod dice;
pub mod disk;
mod fair;
pub mod flow;
pub mod host;
pub mod link;
pub mod net;
pub mod origin;
mod queue;
pub mod scenario;
pub mod world;

pub use dice::Dice;
pub use disk::{Disk, DiskFault};
pub use flow::{FlowEnd, FlowEvent, FlowId, FlowSpec};
pub use host::{Crash, Discovery, Host, HostId, HostOutput, Neighbour};
pub use link::{LinkCounts, LinkSpec};
pub use net::{CellId, Seat, SiteId, SiteSpec, Wan, mbit};
pub use origin::{Answer, OriginCounts, OriginId, OriginSpec, Reach};
pub use scenario::{Churn, Scenario, Stage};
pub use world::{Fault, Oracle, Traffic, Trouble, World};
