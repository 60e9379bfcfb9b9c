//! `job set`: a job is changed, all at once.
//!
//! Knows: which flags belong to one file. Does not know: what may change when; the node says that.

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
        url: new_url(&args, &view)?,
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

fn new_url(args: &SetArgs, view: &JobView) -> Result<Option<(u16, String)>, Stop> {
    match (&args.url, args.file) {
        (None, _) => Ok(None),
        (Some(url), Some(file)) => Ok(Some((file, url.clone()))),
        (Some(url), None) if view.files_total == 1 => Ok(Some((0, url.clone()))),
        (Some(_), None) => Err(Stop::usage(format!(
            "the job has {} files: say which one the URL is for with --file INDEX",
            view.files_total
        ))),
    }
}
