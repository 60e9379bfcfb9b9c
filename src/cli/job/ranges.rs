//! `file request`, `file position`, `file ranges`: parts of a file.
//!
//! Knows: how parts are shown. Does not know: which can be had; the node says that.

use super::find::find;
use super::{because, called};
use crate::cli::args::{OneFile, PositionArgs, RequestArgs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::{amount, reach, say, table};
use crate::control::api::{FileRanges, JobView, RemoteRange, RequestRanges};
use crate::control::client::Client;

pub(super) async fn request(args: RequestArgs) -> Result<Exit, Stop> {
    let (client, view) = job(&args.place).await?;
    let wanted = RequestRanges { ranges: args.ranges.0 };
    let ranges = client.request(view.id, args.place.index, wanted).await?;
    told(&client, &view, &args.place, &ranges).await
}

pub(super) async fn position(args: &PositionArgs) -> Result<Exit, Stop> {
    let (client, view) = job(&args.place).await?;
    let ranges = client.seek(view.id, args.place.index, args.offset).await?;
    if client.spec(view.id).await?.on_demand {
        say::note(
            "in on-demand mode a position only says what comes first of what `nearbits file request` asks for",
        );
    }
    told(&client, &view, &args.place, &ranges).await
}

pub(super) async fn list(place: &OneFile) -> Result<Exit, Stop> {
    let (client, view) = job(place).await?;
    let ranges = client.ranges(view.id, place.index).await?;
    if place.ask.json {
        return table::json(&ranges);
    }
    let Some(filled) = &ranges.filled else {
        say::line("what is there is not known before the job goes on");
        return Ok(Exit::Done);
    };
    let mut rows = table::new(&["offset", "length"]);
    for range in filled {
        rows.add_row([range.offset.to_string(), range.len.map_or(0, u64::from).to_string()]);
    }
    table::print(&rows, "no byte of it is there yet");
    Ok(Exit::Done)
}

async fn job(place: &OneFile) -> Result<(Client, JobView), Stop> {
    let client = reach::running(&place.ask.place).await?;
    let view = find(&client, &place.job).await?;
    Ok((client, view))
}

/// One line about a file of which something was asked for.
async fn told(client: &Client, view: &JobView, place: &OneFile, ranges: &FileRanges) -> Result<Exit, Stop> {
    if place.ask.json {
        return table::json(ranges);
    }
    let view = client.job(view.id).await?;
    let (state, why) = (view.state.name(), because(&view));
    let there = there(ranges);
    say::line(format_args!("{}, file {}: {there}; the job is {state}{why}", called(&view), place.index));
    Ok(Exit::Done)
}

fn there(ranges: &FileRanges) -> String {
    let sum = |filled: &[RemoteRange]| filled.iter().filter_map(|range| range.len).map(u64::from).sum();
    match (&ranges.filled, ranges.len) {
        (Some(filled), Some(len)) => {
            format!("{} of {} are there", amount::bytes(sum(filled)), amount::bytes(len))
        }
        (Some(filled), None) => format!("{} are there", amount::bytes(sum(filled))),
        (None, _) => "asked for".to_owned(),
    }
}
