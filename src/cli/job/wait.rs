//! `job wait`: until nothing more happens by itself.
//!
//! Knows: when a job is settled, and which exit code that is. Does not know: how it gets there.

use std::time::Duration;

use super::find::find_all;
use super::{because, called, is_in_part, state};
use crate::cli::args::WaitArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::{reach, say, signals, table};
use crate::control::api::{JobState, JobView};
use crate::control::client::Client;

pub(super) async fn run(args: &WaitArgs) -> Result<Exit, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let (jobs, missing) = find_all(&client, &args.jobs).await?;
    let waited = async {
        if args.jobs.len() > 1 {
            missing.iter().for_each(|stop| say::failure(&stop.line));
        }
        let exit = all(args, &client, &jobs).await?;
        match missing.into_iter().next() {
            Some(stop) if args.jobs.len() == 1 => Err(stop),
            Some(stop) if exit == Exit::Done => Ok(stop.exit),
            _ => Ok(exit),
        }
    };
    tokio::select! {
        exit = waited => exit,
        () = signals::interrupted() => Err(Stop::new(Exit::Interrupted, "interrupted; the jobs go on")),
    }
}

/// The first bad outcome, once all are settled or patience is over.
async fn all(args: &WaitArgs, client: &Client, jobs: &[JobView]) -> Result<Exit, Stop> {
    let over = over(args.timeout.map(Duration::from_secs));
    tokio::pin!(over);
    let mut exit = Exit::Done;
    // One after the other: all are through when the slowest is.
    for (index, job) in jobs.iter().enumerate() {
        let (view, came_out) = tokio::select! {
            settled = settled(client, job) => settled?,
            () = &mut over => return left(args, client, &jobs[index..], exit).await,
        };
        told(&view, args.ask.json)?;
        if exit == Exit::Done {
            exit = came_out;
        }
    }
    Ok(exit)
}

/// Says where the jobs stand that were not told of when patience was over. Some may be settled all the same.
async fn left(args: &WaitArgs, client: &Client, jobs: &[JobView], mut exit: Exit) -> Result<Exit, Stop> {
    let mut open = 0_usize;
    for job in jobs {
        let view = client.job(job.id).await?;
        let delivers_itself = client.spec(job.id).await?.auto_complete;
        told(&view, args.ask.json)?;
        match outcome(&view, delivers_itself) {
            None => open += 1,
            Some(came_out) if exit == Exit::Done => exit = came_out,
            Some(_) => {}
        }
    }
    if open == 0 {
        return Ok(exit);
    }
    let seconds = args.timeout.unwrap_or_default();
    Err(Stop::new(Exit::Transient, format!("not settled after {seconds} s: {open} of the jobs; they go on")))
}

/// Follows one job until it is settled.
async fn settled(client: &Client, job: &JobView) -> Result<(JobView, Exit), Stop> {
    let delivers_itself = client.spec(job.id).await?.auto_complete;
    let mut events = client.follow(job.id).await?;
    let mut said = String::new();
    while let Some(view) = events.next().await? {
        if let Some(exit) = outcome(&view, delivers_itself) {
            return Ok((view, exit));
        }
        // Whoever waits wants to know for what, once.
        let stands = matches!(view.state, JobState::Queued | JobState::TransientError);
        let reason = because(&view);
        if stands && !reason.is_empty() && reason != said {
            say::note(format_args!("{}: {}{reason}", called(&view), state(&view)));
            said = reason;
        }
    }
    Err(Stop::new(Exit::Fatal, format!("{}: the node stopped telling of the job", called(job))))
}

async fn over(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}

fn told(view: &JobView, is_json: bool) -> Result<(), Stop> {
    if is_json {
        return table::json_line(view);
    }
    say::line(format_args!("{}: {}{}", called(view), state(view), because(view)));
    Ok(())
}

/// How a job came out for whoever waits for it; `None` while it goes on by itself. A failure that may pass is waited
/// for: the node tries again.
pub(super) fn outcome(view: &JobView, delivers_itself: bool) -> Option<Exit> {
    match view.state {
        JobState::Acknowledged if is_in_part(view) => Some(Exit::Partial),
        JobState::Acknowledged => Some(Exit::Done),
        // Files were added since, or one is gone: it says what is needed (JOB-T22).
        JobState::Transferred if view.files_transferred < view.files_total => Some(Exit::Partial),
        JobState::Transferred => (!delivers_itself).then_some(Exit::Done),
        JobState::Suspended | JobState::Cancelled => Some(Exit::Partial),
        JobState::Error => Some(Exit::of_job(view)),
        JobState::Queued | JobState::Connecting | JobState::Transferring | JobState::TransientError => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Code, Context, Failure, JobError};

    #[test]
    fn the_exit_code_says_how_a_job_came_out() {
        let of = |state, at_once| outcome(&JobView { state, ..JobView::default() }, at_once);
        assert_eq!(of(JobState::Transferred, false), Some(Exit::Done));
        assert_eq!(of(JobState::Transferred, true), None, "it is about to be delivered");
        assert_eq!(of(JobState::Acknowledged, true), Some(Exit::Done));
        let state = JobState::Acknowledged;
        let in_part = JobView { state, files_total: 2, files_transferred: 1, ..JobView::default() };
        assert_eq!(outcome(&in_part, false), Some(Exit::Partial), "the other file was given up");
        assert_eq!(of(JobState::Cancelled, false), Some(Exit::Partial));
        assert_eq!(of(JobState::TransientError, false), None, "it is tried again");
        let failed = |failure, code: Option<Code>| {
            let error = code.map(|code| JobError::new(code, Context::RemoteFile, String::new(), 0));
            let state = JobState::Error;
            outcome(&JobView { state, failure: Some(failure), error, ..JobView::default() }, false)
        };
        assert_eq!(failed(Failure::Fatal, Some(Code::Http(404))), Some(Exit::NotFound));
        assert_eq!(failed(Failure::Integrity, Some(Code::ValidationFailed)), Some(Exit::Integrity));
        assert_eq!(failed(Failure::Fatal, Some(Code::ConnectFailure)), Some(Exit::Transient));
        assert_eq!(failed(Failure::Denied, None), Some(Exit::Denied));
        assert_eq!(failed(Failure::Fatal, Some(Code::RemoteFileChanged)), Some(Exit::Fatal), "as `get` says");
        let added = JobView { state: JobState::Transferred, files_total: 2, files_transferred: 1, ..in_part };
        assert_eq!(outcome(&added, false), Some(Exit::Partial), "a file waits for `resume`");
    }
}
