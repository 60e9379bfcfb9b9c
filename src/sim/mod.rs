//! The engine that ships, in a simulated world.
//!
//! [`Node`] is the engine and its sessions as a [`simnet::Host`]: effects are performed by modelled hands, frames go
//! over modelled lines, bytes are counted and never moved. What a piece *is* follows from which content it was read
//! from ([`content`]), so a lie is a piece of another content. [`Rogue`] breaks promises on purpose. A [`Swarm`] says
//! who is where and wants what; its [`Outcome`] says what came of it. Knows: what the real hands do with each effect
//! (`transfer`), and what must hold of an engine whatever happens. Does not know: sockets, files, clocks.

mod compare;
pub mod content;
mod file;
#[cfg(test)]
mod group_tests;
mod hands;
mod life;
#[cfg(test)]
mod lying_tests;
mod machine;
mod moves;
#[cfg(test)]
mod mutant_tests;
mod node;
mod part;
mod rogue;
mod roster;
mod swarm;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod together_tests;
mod trace;

pub use compare::{Limit, Worse};
pub use content::Library;
pub use file::{
    BOUNDS, Bound, ChurnPart, Crashes, FaultPart, FileFault, MACHINES_MAX, Named, OfficePart, PartitionPart,
    RoguePart, SwarmFile, What,
};
pub use life::{Flip, Watch};
pub use machine::{Machine, Parcel};
pub use node::{Node, NodeSpec, Tally};
pub use rogue::{Malice, Rogue};
pub use roster::Roster;
pub use swarm::{Giver, Outcome, Share, Swarm};
pub use trace::{Sample, Trace};
