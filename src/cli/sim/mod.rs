//! `sim`: a scenario file lived through by simulated nodes, and what came of it.
//!
//! Knows: what was asked for, when it is broken off. Does not know: worlds (`sim`), how it is told (`report`, `table`,
//! `page`), how many seeds are run (`hunt`), where the bytes of a large world are (`memory`).

mod hunt;
mod memory;
mod page;
mod report;
mod table;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peer_proto::time::Instant;
use simnet::{Stage, Trouble};

use super::args::SimArgs;
use super::exit::{Exit, Stop};
use super::{say, signals};
use crate::sim::{Limit, Machine, Outcome, Swarm, SwarmFile, Trace, Watch, Worse};

const FILE_LEN_MAX: u64 = 1024 * 1024;

/// A scenario that was read.
#[derive(Debug)]
struct Scenario {
    /// Its file, as the command line names it.
    file: String,
    text: String,
    swarm: Swarm,
}

/// What the same world and seed would be otherwise.
#[derive(Clone, Debug)]
struct Beside {
    /// Without its faults, churn and rogues; absent if it has none.
    calm: Option<Outcome>,
    /// With every byte from the origin.
    plain: Outcome,
    /// How much worse than that is allowed.
    promise: Limit,
}

impl Beside {
    /// Machines that are worse off than is promised.
    fn worse(&self, outcome: &Outcome) -> Vec<Worse> {
        outcome.worse_than(&self.plain, self.promise)
    }
}

/// Breaks a run off when it is no longer wanted.
#[derive(Clone, Debug, Default)]
struct Wanted {
    is_over: Arc<AtomicBool>,
    next: Instant,
}

/// How often it is looked whether a run is still wanted, in virtual time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Wanted {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// For another run.
    fn again(&self) -> Self {
        Self { next: Instant::ZERO, ..self.clone() }
    }
}

impl Watch for Wanted {
    fn next(&self) -> Instant {
        self.next
    }

    fn look(&mut self, stage: &Stage<Machine>) -> ControlFlow<()> {
        self.next = stage.world.now().after(LOOK_EVERY);
        if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

pub(super) async fn run(args: SimArgs) -> Result<Exit, Stop> {
    let scenario = read(&args)?;
    memory::begin_with_large_pages(scenario.swarm.machine_count());
    let wanted = Wanted::default();
    let flag = Arc::clone(&wanted.is_over);
    let mut work = tokio::task::spawn_blocking(move || match args.seeds {
        Some(seeds) => hunt::run(&args, &scenario, seeds, &wanted),
        None => once(&args, &scenario, &wanted),
    });
    let done = tokio::select! {
        done = &mut work => done,
        () = signals::interrupted() => {
            flag.store(true, Ordering::Relaxed);
            // What is there is still told, unless nobody wants to wait for it.
            tokio::select! {
                done = &mut work => done,
                () = signals::interrupted() => return Err(interrupted()),
            }
        }
    };
    done.map_err(|error| Stop::new(Exit::Fatal, format!("the simulation broke: {error}")))?
}

fn interrupted() -> Stop {
    Stop::new(Exit::Interrupted, "interrupted")
}

fn read(args: &SimArgs) -> Result<Scenario, Stop> {
    let file = args.file.display().to_string();
    let size = std::fs::metadata(&args.file).map(|found| found.len());
    let text = match size {
        Ok(len) if len > FILE_LEN_MAX => return Err(Stop::usage(format!("{file} is longer than 1 MiB"))),
        Ok(_) => std::fs::read_to_string(&args.file),
        Err(error) => Err(error),
    };
    let text = text.map_err(|error| Stop::usage(format!("cannot read {file}: {error}")))?;
    let swarm = SwarmFile::parse(&text).and_then(|wish| wish.swarm());
    let swarm = swarm.map_err(|fault| Stop::usage(format!("{file}: {fault}")))?;
    Ok(Scenario { file, text, swarm })
}

/// One run, told at length.
fn once(args: &SimArgs, scenario: &Scenario, wanted: &Wanted) -> Result<Exit, Stop> {
    let swarm = &scenario.swarm;
    let failed = |trouble: Trouble| {
        Stop::new(
            Exit::CheckFailed,
            format!("{trouble}. It happens again with: {}", again(scenario, args.seed)),
        )
    };
    let mut watch = (wanted.again(), args.plot.is_some().then(Trace::new));
    let outcome = swarm.run_watched(args.seed, &mut watch).map_err(failed)?;
    let beside = match args.beside && !wanted.is_over() {
        true => Some(beside(swarm, args.seed, wanted).map_err(failed)?),
        false => None,
    };
    if wanted.is_over() {
        return Err(interrupted());
    }
    let told = report::Report::of(scenario, args.seed, &outcome, beside.as_ref());
    if let (Some(path), Some(trace)) = (&args.plot, &watch.1) {
        let page = page::of(scenario, args.seed, &outcome, trace, beside.as_ref());
        let written = std::fs::write(path, page);
        written
            .map_err(|error| Stop::new(Exit::Fatal, format!("cannot write {}: {error}", path.display())))?;
    }
    if args.json {
        print_json(&told)?;
    } else {
        say::text(table::text(&outcome, beside.as_ref()));
        if let Some(path) = &args.plot {
            say::line(format_args!("drawn in {}", path.display()));
        }
    }
    let is_kept = beside.is_none_or(|beside| beside.worse(&outcome).is_empty());
    Ok(if outcome.unfinished() == 0 && is_kept { Exit::Done } else { Exit::CheckFailed })
}

/// The same world and seed without its faults, and from the origin alone.
fn beside(swarm: &Swarm, seed: u64, wanted: &Wanted) -> Result<Beside, Trouble> {
    let calm = swarm.calm().map(|calm| calm.run_watched(seed, &mut wanted.again())).transpose()?;
    let plain = swarm.origin_only().run_watched(seed, &mut wanted.again())?;
    Ok(Beside { calm, plain, promise: swarm.promise() })
}

/// The command that runs a seed again.
fn again(scenario: &Scenario, seed: u64) -> String {
    format!("nearbits sim {} --seed {seed}", scenario.file)
}

fn print_json(told: &impl serde::Serialize) -> Result<(), Stop> {
    let text =
        serde_json::to_string_pretty(told).map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?;
    say::line(text);
    Ok(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// So many thousandths, such as `1.004`.
fn permille(count: u64) -> String {
    format!("{}.{:03}", count / 1_000, count % 1_000)
}
