//! Jobs of a running node: made, looked at, changed, waited for.
//!
//! Knows: which command does what; how a job is told from others. Does not know: how a job comes along.

mod add;
mod change;
mod files;
mod find;
mod list;
mod ranges;
mod set;
mod show;
mod sources;
mod verbs;
mod wait;
mod watch;
mod why;

use super::amount;
use super::args::{FileCommand, JobCommand};
use super::exit::{Exit, Stop};
use crate::control::api::{JobState, JobView, Verb};

pub(super) async fn run(command: JobCommand) -> Result<Exit, Stop> {
    match command {
        JobCommand::Add(args) => add::run(*args).await,
        JobCommand::List(args) => list::run(&args).await,
        JobCommand::Show(one) => show::run(&one).await,
        JobCommand::Set(args) => set::run(*args).await,
        JobCommand::Take(some) => verbs::run(&some, Verb::Take).await,
        JobCommand::Suspend(some) => verbs::run(&some, Verb::Suspend).await,
        JobCommand::Resume(some) => verbs::run(&some, Verb::Resume).await,
        JobCommand::Complete(args) => verbs::complete(&args).await,
        JobCommand::Cancel(some) => verbs::run(&some, Verb::Cancel).await,
        JobCommand::Forget(args) => verbs::forget(args).await,
        JobCommand::Wait(args) => wait::run(&args).await,
        JobCommand::Watch(args) => watch::run(&args).await,
        JobCommand::Why(args) => why::run(&args).await,
    }
}

pub(super) async fn file(command: FileCommand) -> Result<Exit, Stop> {
    match command {
        FileCommand::List(one) => files::list(&one).await,
        FileCommand::Validate(args) => files::validate(&args).await,
        FileCommand::Request(args) => ranges::request(args).await,
        FileCommand::Position(args) => ranges::position(&args).await,
        FileCommand::Ranges(args) => ranges::list(&args).await,
    }
}

/// The digits by which people know a job.
fn short(view: &JobView) -> String {
    view.id.to_string().chars().take(8).collect()
}

/// The job in a line about it: its first digits and its name.
fn called(view: &JobView) -> String {
    format!("{} {}", short(view), view.name)
}

/// Whether it was completed with only some of its files.
fn is_in_part(view: &JobView) -> bool {
    view.state == JobState::Acknowledged && view.files_transferred < view.files_total
}

/// Where it stands.
fn state(view: &JobView) -> &'static str {
    if is_in_part(view) { "acknowledged (part)" } else { view.state.name() }
}

/// Why it stands where it stands; empty if there is nothing to say.
fn reason(view: &JobView) -> &str {
    let is_stuck = matches!(view.state, JobState::Error | JobState::TransientError);
    match &view.error {
        Some(error) if is_stuck && view.reason.is_empty() => &error.message,
        _ => &view.reason,
    }
}

/// The same behind what was said already.
fn because(view: &JobView) -> String {
    let reason = reason_and_retry(view);
    if reason.is_empty() { String::new() } else { format!(", {reason}") }
}

/// The same, and when it is tried again.
fn reason_and_retry(view: &JobView) -> String {
    let waits = view.state == JobState::TransientError;
    match view.error.as_ref().and_then(|error| error.retry_at_unix_ms).filter(|_| waits) {
        Some(at) => format!("{}; tried again {}", reason(view), amount::moment(at)),
        None => reason(view).to_owned(),
    }
}

/// What is there of what is wanted.
fn stored(view: &JobView) -> String {
    match view.len {
        Some(len) => format!("{} of {}", amount::bytes(view.stored), amount::bytes(len)),
        None => amount::bytes(view.stored),
    }
}
