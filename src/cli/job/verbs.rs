//! Suspend, resume, complete, cancel, take, forget: one word for one job or for many.
//!
//! Knows: what is said of each, and which exit code follows. Does not know: when a command holds; the node says that.

use serde::Serialize;

use super::called;
use super::find::find;
use crate::cli::args::{AskArgs, CompleteArgs, ForgetArgs, SomeJobs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::{reach, say, table};
use crate::control::api::{Code, CommandDone, JobView, Verb};
use crate::control::client::Client;

/// A job after a command, as JSON: the job, and what a completion left out.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    job: &'a JobView,
    partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
}

/// Commands every job in turn.
pub(super) async fn run(some: &SomeJobs, verb: Verb) -> Result<Exit, Stop> {
    each(&some.jobs, &some.ask, verb, |_| Ok(())).await
}

/// Completes jobs: those of which not every file is whole only where that is said.
pub(super) async fn complete(CompleteArgs { jobs, partial, ask }: &CompleteArgs) -> Result<Exit, Stop> {
    each(jobs, ask, Verb::Complete, |view| if *partial { Ok(()) } else { is_whole(view) }).await
}

/// Commands every job in turn that may be. What is refused of one does not keep the others; the first refusal is the exit
/// code.
async fn each(
    jobs: &[String],
    ask: &AskArgs,
    verb: Verb,
    may: impl Fn(&JobView) -> Result<(), Stop>,
) -> Result<Exit, Stop> {
    let client = reach::running(&ask.place).await?;
    let mut exit = Exit::Done;
    for text in jobs {
        let came_out = match command(&client, text, verb, &may).await {
            Ok(done) => told(&done, verb, ask.json)?,
            Err(stop) if jobs.len() == 1 => return Err(stop),
            Err(stop) => {
                say::failure(format_args!("{text}: {}", stop.line));
                stop.exit
            }
        };
        if exit == Exit::Done {
            exit = came_out;
        }
    }
    Ok(exit)
}

/// Forgets jobs that are over: those that are named, or all.
pub(super) async fn forget(ForgetArgs { mut jobs, over, ask }: ForgetArgs) -> Result<Exit, Stop> {
    if over {
        let all = reach::running(&ask.place).await?.jobs().await?;
        jobs = all.iter().filter(|view| view.state.is_final()).map(|view| view.id.to_string()).collect();
        if jobs.is_empty() && !ask.json {
            say::line("no job is over");
        }
    }
    run(&SomeJobs { jobs, ask }, Verb::Forget).await
}

async fn command(
    client: &Client,
    text: &str,
    verb: Verb,
    may: impl Fn(&JobView) -> Result<(), Stop>,
) -> Result<CommandDone, Stop> {
    let view = find(client, text).await?;
    may(&view)?;
    Ok(client.command(view.id, verb).await?)
}

/// A job whose completion would give up files that somebody may still want. What is over the node refuses itself.
fn is_whole(view: &JobView) -> Result<(), Stop> {
    let JobView { files_total, files_transferred, state, .. } = view;
    if state.is_final() || files_transferred == files_total {
        return Ok(());
    }
    let how = match files_transferred {
        0 => "no file of it is whole yet".to_owned(),
        count => format!(
            "{count} of {files_total} files are whole; --partial delivers those and gives up the others"
        ),
    };
    Err(Stop::new(
        Exit::Partial,
        format!(
            "{} is {}, and left as it is: {how}; `nearbits job wait` waits, `nearbits job cancel` gives it up",
            called(view),
            state.name()
        ),
    ))
}

fn told(done: &CommandDone, verb: Verb, is_json: bool) -> Result<Exit, Stop> {
    let exit = if done.partial { Exit::Partial } else { Exit::Done };
    if is_json {
        table::json_line(&Done { job: &done.job, partial: done.partial, code: done.code })?;
    } else {
        say::line(format_args!("{}: {}", called(&done.job), sentence(done, verb)));
    }
    Ok(exit)
}

/// What a job that is stopped need not fetch again.
fn what_stays(files_from_zero: usize, files_total: usize) -> String {
    match files_from_zero {
        0 => "what was fetched stays".to_owned(),
        _ if files_total == 1 => {
            "its origin cannot go on in the middle of the file, so that it begins anew when it is resumed"
                .to_owned()
        }
        count => format!(
            "what was fetched stays, but of {count} files whose origins cannot go on in the middle: those begin anew"
        ),
    }
}

fn sentence(done: &CommandDone, verb: Verb) -> String {
    let JobView { state, files_total, files_transferred, files_from_zero, owner, .. } = &done.job;
    if matches!(verb, Verb::Complete | Verb::Cancel) && done.code == Some(Code::UnableToDeleteFiles) {
        return format!("{} (BG_S_UNABLE_TO_DELETE_FILES)", done.job.reason);
    }
    match verb {
        Verb::Suspend => format!("{}; {}", state.name(), what_stays(*files_from_zero, *files_total)),
        Verb::Resume => state.name().to_owned(),
        Verb::Complete if done.partial => format!(
            "{}, in part: {files_transferred} of {files_total} files have their final names, the others are given up",
            state.name()
        ),
        Verb::Complete => format!("{}: all files have their final names", state.name()),
        Verb::Cancel => format!("{}; nothing is left of it", state.name()),
        Verb::Forget => format!("{}, and forgotten", state.name()),
        Verb::Take => format!("belongs to user {owner}; header lines that another owner gave it are removed"),
    }
}
