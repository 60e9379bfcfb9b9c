//! `file list`, `file validate`: the files of a job.
//!
//! Knows: which columns people want, how a verdict reads. Does not know: what follows from one; the node does.

use comfy_table::Table;

use super::find::find;
use super::{because, called, show};
use crate::cli::args::{OneJob, ValidateArgs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::{amount, reach, say, table};
use crate::control::api::{FilePhase, FileView, Validation};

pub(super) async fn list(one: &OneJob) -> Result<Exit, Stop> {
    let client = reach::running(&one.ask.place).await?;
    let files = client.files(find(&client, &one.job).await?.id).await?;
    if one.ask.json {
        return table::json(&files);
    }
    table::print(&rows(&files), "the job has no files: `nearbits job add --to JOB URL DEST` adds some");
    Ok(Exit::Done)
}

pub(super) async fn validate(args: &ValidateArgs) -> Result<Exit, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let id = find(&client, &args.job).await?.id;
    let file = client.validate(id, args.index, args.valid).await?;
    if args.ask.json {
        return table::json(&file);
    }
    let view = client.job(id).await?;
    let verdict = if args.valid {
        "valid".to_owned()
    } else {
        format!("invalid and removed; the job is {}", view.state.name())
    };
    say::line(format_args!("{}, file {}: {verdict}{}", called(&view), file.index, because(&view)));
    Ok(Exit::Done)
}

/// Files as a table.
pub(super) fn rows<'a>(files: impl IntoIterator<Item = &'a FileView>) -> Table {
    let mut rows =
        table::new(&["file", "phase", "stored", "came from", "verdict", "destination", "url", "reason"]);
    for file in files {
        rows.add_row([
            file.index.to_string(),
            phase(file).to_owned(),
            match file.len {
                Some(len) => format!("{} of {}", amount::bytes(file.stored), amount::bytes(len)),
                None => amount::bytes(file.stored),
            },
            show::came_from(&file.bytes),
            verdict(file.validation).to_owned(),
            file.destination.display().to_string(),
            file.url.clone(),
            file.reason.clone(),
        ]);
    }
    rows
}

const fn phase(file: &FileView) -> &'static str {
    match file.phase {
        FilePhase::Waiting if file.is_moving => "transferring",
        FilePhase::Waiting => "waiting",
        FilePhase::Failed => "failed",
        FilePhase::Whole => "whole",
        FilePhase::Delivered => "delivered",
    }
}

const fn verdict(validation: Validation) -> &'static str {
    match validation {
        Validation::Unknown => "",
        Validation::Valid => "valid",
        Validation::Invalid => "invalid",
    }
}
