//! A world lived through: what is done to its nodes on the way, and who looks on.
//!
//! Knows: when it is looked at, when it is over. Does not know: what is looked for, what is counted at the end.

use std::ops::ControlFlow;
use std::time::Duration;

use peer_proto::time::Instant;
use simnet::{HostId, Stage, Trouble};

use super::machine::Machine;
use super::node::Node;
use super::swarm::{Outcome, Swarm, is_over};
use crate::engine::io::Input;

/// A machine's own flags change; those left out stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flip {
    /// Which machine.
    pub host: HostId,
    /// Whether it may take from others.
    pub client: Option<bool>,
    /// Whether it may give to others.
    pub server: Option<bool>,
}

/// Somebody who looks on. What happens in the world does not depend on it.
pub trait Watch {
    /// The next moment to look at.
    fn next(&self) -> Instant {
        Instant::NEVER
    }

    /// Looks, and says whether it goes on.
    fn look(&mut self, stage: &Stage<Machine>) -> ControlFlow<()> {
        let _ = stage;
        ControlFlow::Continue(())
    }

    /// Looks at the last moment.
    fn end(&mut self, stage: &Stage<Machine>) {
        let _ = stage;
    }
}

/// Nobody.
impl Watch for () {}

/// Somebody, or nobody.
impl<A: Watch> Watch for Option<A> {
    fn next(&self) -> Instant {
        self.as_ref().map_or(Instant::NEVER, Watch::next)
    }

    fn look(&mut self, stage: &Stage<Machine>) -> ControlFlow<()> {
        self.as_mut().map_or(ControlFlow::Continue(()), |watch| watch.look(stage))
    }

    fn end(&mut self, stage: &Stage<Machine>) {
        self.iter_mut().for_each(|watch| watch.end(stage));
    }
}

/// Both.
impl<A: Watch, B: Watch> Watch for (A, B) {
    fn next(&self) -> Instant {
        self.0.next().min(self.1.next())
    }

    fn look(&mut self, stage: &Stage<Machine>) -> ControlFlow<()> {
        let now = stage.world.now();
        if self.0.next() <= now {
            self.0.look(stage)?;
        }
        if self.1.next() <= now { self.1.look(stage) } else { ControlFlow::Continue(()) }
    }

    fn end(&mut self, stage: &Stage<Machine>) {
        self.0.end(stage);
        self.1.end(stage);
    }
}

/// How often it is asked whether all have the file.
const ASK_EVERY: Duration = Duration::from_millis(200);

impl Swarm {
    /// Runs until everybody who can has the file, or time is up.
    ///
    /// # Errors
    /// [`Trouble`] if an oracle finds something.
    pub fn run(&self, seed: u64) -> Result<Outcome, Trouble> {
        self.run_watched(seed, &mut ())
    }

    /// The same while somebody looks on, who may break it off: then it is what had come of it until then.
    ///
    /// # Errors
    /// [`Trouble`] if an oracle finds something.
    pub fn run_watched(&self, seed: u64, watch: &mut impl Watch) -> Result<Outcome, Trouble> {
        let mut stage = self.stage(seed);
        let mut flips = self.flips();
        let end = Instant::ZERO.after(self.time_limit());
        let mut asks = Instant::ZERO.after(ASK_EVERY);
        while stage.world.now() < end {
            if watch.next() <= stage.world.now() && watch.look(&stage).is_break() {
                break;
            }
            let flip = flips.first().map_or(Instant::NEVER, |(at, _)| *at);
            stage.world.run_until(asks.min(flip).min(watch.next()).min(end))?;
            let now = stage.world.now();
            while flips.first().is_some_and(|(at, _)| *at <= now) {
                let (_, flip) = flips.remove(0);
                let is_on = stage.world.is_on(flip.host);
                stage.world.act(flip.host, |machine, now| turn(machine, flip, is_on, now))?;
            }
            if now >= asks {
                asks = now.after(ASK_EVERY);
                if is_over(&stage) {
                    break;
                }
            }
        }
        watch.end(&stage);
        Ok(self.outcome(&stage))
    }
}

fn turn(machine: &mut Machine, flip: Flip, is_on: bool, now: Instant) {
    if let Machine::Node(node) = machine {
        node.turn(flip, is_on, now);
    }
}

impl Node {
    /// Somebody turned its flags. A machine that does not run finds them so when it starts.
    fn turn(&mut self, flip: Flip, is_on: bool, now: Instant) {
        self.spec.flags.client = flip.client.unwrap_or(self.spec.flags.client);
        self.spec.flags.server = flip.server.unwrap_or(self.spec.flags.server);
        if is_on {
            self.now = now;
            self.tell(Input::FlagsChanged(self.spec.flags));
        }
    }
}
