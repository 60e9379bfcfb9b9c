//! `job add`: a job is made, or gets more files.
//!
//! Knows: that the files of a job are taken all or none, and that lines of a table may be jobs of their own. Does not
//! know: how files are written on the command line (`sources`), what a job may be; the node says that.

use serde::Serialize;

use super::change::{change, new_job};
use super::find::find;
use super::sources::{self, Named};
use crate::cli::args::AddArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::{reach, say, table};
use crate::control::api::{FileSpec, JobChange, JobId, JobSpec, PeerFlags, Submit};
use crate::control::client::Client;

/// What is printed of a job that was made.
#[derive(Serialize)]
struct Added {
    id: JobId,
    files: usize,
}

pub(super) async fn run(args: AddArgs) -> Result<Exit, Stop> {
    let files = sources::files(&args)?;
    if args.per_line {
        return per_line(&args, files).await;
    }
    let files: Vec<FileSpec> = files.into_iter().map(|named| named.file).collect();
    let count = files.len();
    let id = match &args.to {
        Some(text) => extend(&args, text, files).await?,
        None => {
            let spec = JobSpec { files, ..new_job(&args.settings)? };
            let client = reach::running(&args.ask.place).await?;
            warn_of_flags(&client, &spec).await?;
            submit(&client, spec, !args.suspended).await?
        }
    };
    told(&args, id, count)?;
    Ok(Exit::Done)
}

/// More files for a job that is there; its settings may be changed with it. Both are done, or neither.
async fn extend(args: &AddArgs, text: &str, add_files: Vec<FileSpec>) -> Result<JobId, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let id = find(&client, text).await?.id;
    let rates = client.spec(id).await?.rates;
    let change = JobChange { add_files, ..change(&args.settings, rates)? };
    Ok(client.change(id, &change).await?.id)
}

/// A job of every line. A line that is refused is said, and the others go on, as a pipeline would (CLI-39).
async fn per_line(args: &AddArgs, files: Vec<Named>) -> Result<Exit, Stop> {
    let usual = new_job(&args.settings)?;
    let client = reach::running(&args.ask.place).await?;
    let (mut made, mut refused) = (0_usize, None);
    for Named { whence, file } in files {
        let spec = JobSpec { files: vec![file], ..usual.clone() };
        if made == 0 {
            warn_of_flags(&client, &spec).await?;
        }
        match submit(&client, spec, !args.suspended).await {
            Ok(id) => {
                made += 1;
                told(args, id, 1)?;
            }
            Err(stop) => {
                eprintln!("nearbits: {whence}: {}", stop.line);
                refused = refused.or(Some(stop.exit));
            }
        }
    }
    Ok(match refused {
        None => Exit::Done,
        Some(_) if made > 0 => Exit::Partial,
        Some(exit) => exit,
    })
}

async fn submit(client: &Client, spec: JobSpec, start: bool) -> Result<JobId, Stop> {
    Ok(client.submit(&Submit { spec, adopt: false, start }).await?.id)
}

fn told(args: &AddArgs, id: JobId, files: usize) -> Result<(), Stop> {
    if args.ask.json {
        return table::json_line(&Added { id, files });
    }
    say::line(id);
    Ok(())
}

/// Says that the computer's half of the permissions is missing for what the job is allowed.
async fn warn_of_flags(client: &Client, spec: &JobSpec) -> Result<(), Stop> {
    if spec.flags == PeerFlags::NONE {
        return Ok(());
    }
    let computer = client.flags().await?;
    if spec.flags.and(computer) != spec.flags {
        eprintln!(
            "nearbits: the job may use peers, but the computer's own flags forbid it: `nearbits flags set client,server`"
        );
    }
    Ok(())
}
