//! `job add`: a job is made, or gets more files.
//!
//! Knows: that the files of a job are taken all or none, and that lines of a table may be jobs of their own. Does not
//! know: how files are written on the command line (`sources`), what a job may be; the node says that.

use std::num::NonZeroU64;

use serde::Serialize;

use super::change::{change, new_job};
use super::find::find;
use super::short;
use super::sources::{self, Named};
use crate::cli::args::AddArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::group::{in_group, one_group};
use crate::cli::{reach, say, table, words};
use crate::control::api::{
    Code, FileSpec, JobChange, JobId, JobSpec, JobState, PeerFlags, Priority, Problem, Rates, Submit,
};
use crate::control::client::{Client, ClientError};

/// Bytes that a range should have where peers are involved (RNG-9).
const RANGE_LEN_ADVISED: u64 = 400;

/// What is printed of a job that was made.
#[derive(Serialize)]
struct Added {
    id: JobId,
    files: usize,
}

pub(super) async fn run(args: AddArgs) -> Result<Exit, Stop> {
    if args.per_line {
        return per_line(&args, sources::lines(&args)?).await;
    }
    let files = sources::files(&args)?;
    let files: Vec<FileSpec> = files.into_iter().map(|named| listed(&args, named.file)).collect();
    let count = files.len();
    let id = match &args.to {
        Some(text) => extend(&args, text, files).await?,
        None => {
            let spec = JobSpec { files, ..new_job(&args.settings)? };
            let client = reach::running(&args.ask.place).await?;
            let spec = JobSpec { group: one_group(args.settings.group.as_deref(), &client).await?, ..spec };
            warn_of_flags(&client, &spec).await?;
            warn_of_short_ranges(&spec);
            let id = submit(&client, spec.clone(), !args.suspended).await?;
            warn_of_dynamic(&spec);
            id
        }
    };
    told(&args, id, count)?;
    Ok(Exit::Done)
}

/// A file whose digests the named list of checksums knows, if one is named.
fn listed(args: &AddArgs, file: FileSpec) -> FileSpec {
    FileSpec { digest_from: args.digest_from.clone(), ..file }
}

/// More files for a job that is there; its settings may be changed with it. Both are done, or neither.
async fn extend(args: &AddArgs, text: &str, add_files: Vec<FileSpec>) -> Result<JobId, Stop> {
    if args.settings.name.is_some() {
        return Err(Stop::usage(
            "with --to a job keeps its name: `nearbits job set JOB --name TEXT` changes it",
        ));
    }
    let client = reach::running(&args.ask.place).await?;
    let id = find(&client, text).await?.id;
    let spec = client.spec(id).await?;
    let group = in_group(args.settings.group.as_deref(), &client).await?;
    let change = JobChange { add_files, group, ..change(&args.settings, spec.rates)? };
    let creates = change.create_dirs.unwrap_or(spec.create_dirs);
    let changed = client.change(id, &change).await.map_err(|error| refused(error, creates))?;
    if matches!(changed.state, JobState::Transferred | JobState::Error) {
        let short = short(&changed);
        say::note(format_args!(
            "the job is {}: `nearbits job resume {short}` fetches what was added",
            changed.state.name()
        ));
    }
    Ok(changed.id)
}

/// A job of every line. A line that is refused is said, and the others go on, as a pipeline would (CLI-39).
async fn per_line(args: &AddArgs, lines: Vec<Result<Named, Stop>>) -> Result<Exit, Stop> {
    let usual = new_job(&args.settings)?;
    let client = reach::running(&args.ask.place).await?;
    let usual = JobSpec { group: one_group(args.settings.group.as_deref(), &client).await?, ..usual };
    let (mut made, mut refused) = (0_usize, None);
    warn_of_flags(&client, &usual).await?;
    warn_of_dynamic(&usual);
    for line in lines {
        let outcome = match line {
            Ok(Named { whence, file }) => {
                let spec = JobSpec { files: vec![listed(args, file)], ..usual.clone() };
                let id = submit(&client, spec, !args.suspended).await;
                id.map_err(|stop| Stop::new(stop.exit, format!("{whence}: {}", stop.line)))
            }
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(id) => {
                made += 1;
                told(args, id, 1)?;
            }
            Err(stop) => {
                say::failure(&stop.line);
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

/// What a job that was not taken says; of a folder that is not there, what makes it.
fn refused(error: ClientError, creates: bool) -> Stop {
    let is_missing =
        matches!(&error, ClientError::Refused(Problem { code: Some(Code::PathNotFound), .. }) if !creates);
    let Stop { exit, line } = error.into();
    Stop { exit, line: if is_missing { format!("{line}; --create-dirs makes it") } else { line } }
}

async fn submit(client: &Client, spec: JobSpec, start: bool) -> Result<JobId, Stop> {
    let creates = spec.create_dirs;
    let made = client.submit(&Submit { spec, adopt: false, start }).await;
    Ok(made.map_err(|error| refused(error, creates))?.id)
}

fn told(args: &AddArgs, id: JobId, files: usize) -> Result<(), Stop> {
    if args.ask.json {
        return table::json_line(&Added { id, files });
    }
    say::line(id);
    Ok(())
}

/// RNG-9: where peers are involved, parts should not be shorter than they can be named for.
fn warn_of_short_ranges(spec: &JobSpec) {
    let lens = spec.files.iter().flat_map(|file| &file.ranges).filter_map(|range| range.len);
    let shortest = lens.map(NonZeroU64::get).min().filter(|len| *len < RANGE_LEN_ADVISED);
    if let Some(len) = shortest.filter(|_| spec.flags.client) {
        say::note(format_args!(
            "a range has {len} bytes: neighbours are of little help with fewer than {RANGE_LEN_ADVISED}"
        ));
    }
}

/// SCHED-8, FILE-23: a dynamic job runs at one priority, and nothing holds it back.
fn warn_of_dynamic(spec: &JobSpec) {
    if !spec.dynamic {
        return;
    }
    if spec.priority != Priority::Foreground {
        say::note("a dynamic job runs at foreground priority only: `nearbits job set --priority foreground`");
    }
    if spec.rates != Rates::default() {
        say::note("no limit holds for a dynamic job: its origin sends as fast as it makes");
    }
}

/// Says that the computer's half of the permissions is missing for what the job is allowed.
async fn warn_of_flags(client: &Client, spec: &JobSpec) -> Result<(), Stop> {
    if spec.flags == PeerFlags::NONE {
        return Ok(());
    }
    let computer = client.flags().await?;
    if spec.flags.and(computer.holds()) != spec.flags {
        let remedy = words::flags_remedy(computer);
        say::note(format_args!("the job may use peers, but the computer's own flags forbid it: {remedy}"));
    }
    Ok(())
}
