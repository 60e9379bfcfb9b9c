//! The command line: what people type, and what they see.
//!
//! Knows: commands, their output and exit codes. Does not know: how anything is done; a running node does it, asked
//! through its control socket, or one that the command embeds.

mod amount;
mod args;
mod attested;
mod cache;
mod daemon;
mod demo;
mod exit;
mod get;
mod group;
mod job;
mod manual;
mod patience;
mod person;
mod place;
mod policy;
mod progress;
mod reach;
mod say;
mod show;
mod signals;
mod sim;
mod summary;
mod table;
mod wish;
mod words;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::exit::{Exit, Stop};
use crate::telemetry::{self, Verbosity};

/// Threads that move bytes and answer requests.
const WORKERS_MAX: usize = 4;

/// Freed memory that the C library keeps for the next allocation.
const KEPT: usize = 512 << 10;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(exit) => exit.into(),
        Err(Stop { exit, line }) => {
            say::failure(line);
            exit.into()
        }
    }
}

fn run() -> Result<Exit, Stop> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(misused(&error)),
        Err(help) => {
            say::text(help);
            return Ok(Exit::Done);
        }
    };
    let verbosity =
        if matches!(cli.command, Command::Daemon(_)) { Verbosity::Daemon } else { Verbosity::Quiet };
    telemetry::init(verbosity);
    telemetry::open_many_files();
    keep_freed_memory();
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, WORKERS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|error| Stop::new(Exit::Fatal, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(carry_out(cli.command));
    // Blocking work that hangs, a read of a dead disk for example, does not hold the command up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

/// Tells the C library's allocator that blocks come and go here. It learns from the first one that is freed: up
/// to this length blocks stay in its heaps, and a heap is cut back only when twice as much is free at its end. Without it
/// each end of a transfer takes some fifty thousand page faults a GiB, because memory is given back and asked for
/// again all the time.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

async fn carry_out(command: Command) -> Result<Exit, Stop> {
    match command {
        Command::Get(args) => get::run(*args).await,
        Command::Daemon(args) => daemon::run(args).await,
        Command::Status(args) => show::status(&args).await,
        Command::Peer(command) => show::peer(command).await,
        Command::Cache(command) => cache::run(command).await,
        Command::Attestation(command) => attested::run(command).await,
        Command::Group(command) => group::run(command).await,
        Command::Flags(command) => show::flags(command).await,
        Command::Job(command) => job::run(command).await,
        Command::File(command) => job::file(command).await,
        Command::Policy(command) => policy::show(command).await,
        Command::Explain(args) => policy::explain_code(&args),
        Command::Demo(args) => demo::run(&args).await,
        Command::Sim(args) => sim::run(args).await,
        Command::Completions(args) => Ok(manual::completions(&args)),
        Command::Man(args) => manual::man(&args),
    }
}

/// What clap says in one line: what is wrong, which values there are, what may have been meant, and where to look.
fn misused(error: &clap::Error) -> Stop {
    let text = error.to_string();
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match error.kind() {
        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let usage =
                text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("nearbits");
            let command = usage.split([' ']).take_while(|word| !word.starts_with(['[', '<']));
            let command = command.collect::<Vec<_>>().join(" ");
            Stop::usage(format!("a command is missing: `{command} --help` lists them"))
        }
        clap::error::ErrorKind::MissingRequiredArgument => {
            let missing = text.lines().skip(1).take_while(|line| !line.is_empty()).map(|line| {
                // One of a group is written as <--this|--that>.
                let group = line.trim().strip_prefix("<--").and_then(|line| line.strip_suffix('>'));
                group.map_or_else(|| line.to_owned(), |names| format!("--{}", names.replace('|', " or ")))
            });
            let missing: Vec<String> = missing.collect();
            Stop::usage(format!("missing: {} (see --help)", missing.join(" ")))
        }
        _ => {
            let is_more = |line: &&str| line.starts_with("[possible values") || line.contains(" similar ");
            let more = text.lines().skip(1).map(str::trim).filter(is_more);
            let line = more.fold(first.to_owned(), |line, more| {
                format!("{line}; {}", more.trim_start_matches("tip: ").trim_matches(['[', ']']))
            });
            Stop::usage(format!("{line} (see --help)"))
        }
    }
}
