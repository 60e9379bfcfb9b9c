//! `job set`: a job is changed, all at once.
//!
//! Knows: which flags belong to one file. Does not know: what may change when; the node says that.

use peer_proto::digest::{Algorithm, Digest};

use super::change::change;
use super::find::find;
use super::{because, called, show};
use crate::cli::args::SetArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::group::in_group;
use crate::cli::{reach, say};
use crate::control::api::{FileSpec, Headers, JobChange, JobSpec, JobView};
use crate::node::parse_url;

pub(super) async fn run(args: SetArgs) -> Result<Exit, Stop> {
    if let Some(url) = &args.url {
        parse_url(url).map_err(|error| Stop::usage(format!("--url: {error}")))?;
    }
    let client = reach::running(&args.ask.place).await?;
    let view = find(&client, &args.job).await?;
    let before = client.spec(view.id).await?;
    let mut wanted = JobChange {
        url: match args.url.clone() {
            Some(url) => Some((which(&args, &view)?, url)),
            None => None,
        },
        digests: match digests(&args)? {
            digests if digests.is_empty() => None,
            digests => Some((which(&args, &view)?, digests)),
        },
        replace_prefix: match args.replace_prefix.as_slice() {
            [old, new] => Some((old.clone(), new.clone())),
            _ => None,
        },
        group: in_group(args.settings.group.as_deref(), &client).await?,
        ..change(&args.settings, before.rates)?
    };
    if args.no_headers {
        wanted.headers = Some(Headers::default());
    }
    if wanted == JobChange::default() {
        return Err(Stop::usage(
            "nothing is named that is to change: `nearbits job set --help` lists what can",
        ));
    }
    let view = client.change(view.id, &wanted).await?;
    let misses = misses_prefix(&wanted, &before);
    if let Some(prefix) = misses {
        say::note(format_args!("no URL of the job begins with {prefix:?}: none is changed"));
    }
    if args.ask.json {
        return show::print(&client, view.id, true).await;
    }
    let is_alone =
        JobChange { replace_prefix: wanted.replace_prefix.clone(), ..JobChange::default() } == wanted;
    let what = if misses.is_some() && is_alone { "nothing is changed" } else { "changed" };
    // What stands still may need another word to go on.
    let stands = match because(&view) {
        why if why.is_empty() => String::new(),
        why => format!("; it is {}{why}", view.state.name()),
    };
    say::line(format_args!("{}: {what}{stands}; `nearbits job show {}` shows all", called(&view), view.id));
    Ok(Exit::Done)
}

/// A prefix that is to be replaced and that no URL has (FILE-13).
fn misses_prefix<'a>(wanted: &'a JobChange, before: &JobSpec) -> Option<&'a str> {
    let (old, _) = wanted.replace_prefix.as_ref()?;
    let begins = |file: &FileSpec| file.url.starts_with(old.as_str());
    (!before.files.iter().any(begins)).then_some(old)
}

/// The file that is meant.
fn which(args: &SetArgs, view: &JobView) -> Result<u16, Stop> {
    match args.file {
        Some(file) => Ok(file),
        None if view.files_total == 1 => Ok(0),
        None => Err(Stop::usage(format!(
            "the job has {} files: say which one is meant with --file INDEX",
            view.files_total
        ))),
    }
}

fn digests(args: &SetArgs) -> Result<Vec<Digest>, Stop> {
    let mut digests = args.digest.clone();
    if let Some(hex) = &args.sha256 {
        let digest = Digest::from_hex(Algorithm::Sha256, hex);
        digests.push(digest.map_err(|error| Stop::usage(format!("--sha256: {error}")))?);
    }
    Ok(digests)
}
