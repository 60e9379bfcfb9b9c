//! `job set`: a job is changed, all at once.
//!
//! Knows: which flags belong to one file. Does not know: what may change when; the node says that.

use peer_proto::digest::{Algorithm, Digest};

use super::change::change;
use super::find::find;
use super::{called, show};
use crate::cli::args::SetArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::{reach, say};
use crate::control::api::{Headers, JobChange, JobView};
use crate::node::parse_url;

pub(super) async fn run(args: SetArgs) -> Result<Exit, Stop> {
    if let Some(url) = &args.url {
        parse_url(url).map_err(|error| Stop::usage(format!("--url: {error}")))?;
    }
    let client = reach::running(&args.ask.place).await?;
    let view = find(&client, &args.job).await?;
    let rates = client.spec(view.id).await?.rates;
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
        ..change(&args.settings, rates)?
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
    if args.ask.json {
        return show::print(&client, view.id, true).await;
    }
    say::line(format_args!("{}: changed; `nearbits job show {}` shows all", called(&view), view.id));
    Ok(Exit::Done)
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
