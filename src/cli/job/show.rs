//! `job show`: all that is known of one job.
//!
//! Knows: how properties, times, errors and files read. Does not know: what they do.

use std::num::NonZeroU64;

use serde::Serialize;

use super::find::find;
use super::{files, reason, state, stored};
use crate::cli::args::OneJob;
use crate::cli::exit::{Exit, Stop};
use crate::cli::words::{flags_text, notify_text};
use crate::cli::{amount, person, reach, say, table};
use crate::control::api::{
    BytesBySource, Code, Existing, FileSpec, FileView, JobError, JobId, JobSpec, JobState, JobView, Rates,
    Redirects, RemoteRange,
};
use crate::control::client::Client;

/// Files that are listed with their job; `file list` has all.
const FILES_SHOWN_MAX: usize = 20;

/// Ranges of a file that are shown; `--json` has all.
const RANGES_SHOWN_MAX: usize = 16;

/// The object of `job show --json`: the job as it stands, what it is made of, its files.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    view: &'a JobView,
    /// What to do about the last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    spec: &'a JobSpec,
    files: &'a [FileView],
}

pub(super) async fn run(one: &OneJob) -> Result<Exit, Stop> {
    let client = reach::running(&one.ask.place).await?;
    let id = find(&client, &one.job).await?.id;
    print(&client, id, one.ask.json).await
}

/// Prints a job as it stands.
pub(super) async fn print(client: &Client, id: JobId, is_json: bool) -> Result<Exit, Stop> {
    let (view, spec, files) = (client.job(id).await?, client.spec(id).await?, client.files(id).await?);
    if is_json {
        let advice = view.error.as_ref().filter(|_| !is_over(&view)).map(|error| advice(error, &view, &spec));
        return table::json(&Shown { view: &view, advice, spec: &spec, files: &files });
    }
    let rows =
        standing(&view).into_iter().chain(troubles(&view, &spec)).chain(wanted(&spec)).chain(settings(&spec));
    say::line(table::pairs(rows).trim_fmt());
    if !files.is_empty() {
        say::line("");
        say::line(files::rows(files.iter().take(FILES_SHOWN_MAX)).trim_fmt());
    }
    if files.len() > FILES_SHOWN_MAX {
        let rest = files.len() - FILES_SHOWN_MAX;
        say::line(format_args!("and {rest} files more: `nearbits file list {id}` shows all"));
    }
    Ok(Exit::Done)
}

fn standing(view: &JobView) -> Vec<(&'static str, String)> {
    vec![
        ("job", view.id.to_string()),
        ("name", view.name.clone()),
        ("owner", format!("user {}", person::user(view.owner))),
        ("state", state(view).to_owned()),
        ("reason", reason(view).to_owned()),
        ("files", format!("{} of {} whole", view.files_transferred, view.files_total)),
        ("stored", stored(view)),
        ("came from", came_from(&view.bytes)),
        ("trust", view.trust.clone()),
        ("blake3", view.blake3.clone().unwrap_or_default()),
        ("sha256", view.sha256.clone().unwrap_or_default()),
        ("created", amount::moment(view.times.created_unix_ms)),
        ("changed", amount::moment(view.times.modified_unix_ms)),
        ("transferred", view.times.transferred_unix_ms.map(amount::moment).unwrap_or_default()),
    ]
}

/// Bytes by source, those that gave nothing left out.
pub(super) fn came_from(bytes: &BytesBySource) -> String {
    let BytesBySource { origin, peers, cache, earlier, discarded } = *bytes;
    let earlier = ("already on disk from an earlier run", earlier);
    [("origin", origin), ("peers", peers), ("cache", cache), earlier, ("thrown away", discarded)]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", amount::bytes(count)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether the last error does not matter any more.
const fn is_over(view: &JobView) -> bool {
    matches!(view.state, JobState::Transferred | JobState::Acknowledged)
}

/// What to do about an error.
fn advice(error: &JobError, view: &JobView, spec: &JobSpec) -> &'static str {
    if view.state == JobState::Error && view.times.modified_unix_ms > error.last_unix_ms {
        return "The job was changed since: `nearbits job resume` tries again.";
    }
    let file = error.file.map_or(0, usize::from);
    let is_named = spec.files.get(file).is_some_and(|file| !file.digests.is_empty());
    if error.code == Code::ValidationFailed && is_named {
        return "If the digest is wrong, `nearbits job set --digest` sets the right one; else the server has another \
                file. Resume fetches the file again.";
    }
    if error.code == Code::ValidationFailed {
        return "Resume fetches the file again.";
    }
    error.code.advice()
}

/// The parts of remote files that files are made of, and the digests they must have.
fn wanted(spec: &JobSpec) -> Vec<(&'static str, String)> {
    let shown = spec.files.iter().take(FILES_SHOWN_MAX).enumerate();
    let in_parts = shown.filter(|(_, file)| !file.ranges.is_empty()).map(|(index, file)| {
        let end = |range: &RemoteRange| range.len.map_or_else(|| "eof".to_owned(), |len| len.to_string());
        let parts = file.ranges.iter().map(|range| format!("{}:{}", range.offset, end(range)));
        let mut parts: Vec<String> = parts.take(RANGES_SHOWN_MAX + 1).collect();
        if parts.len() > RANGES_SHOWN_MAX {
            parts[RANGES_SHOWN_MAX] = format!("{} in all", file.ranges.len());
        }
        ("ranges", format!("file {index}: {}", parts.join(", ")))
    });
    let named =
        spec.files.iter().take(FILES_SHOWN_MAX).enumerate().filter(|(_, file)| !file.digests.is_empty());
    let row = |(index, file): (usize, &FileSpec)| {
        let digests: Vec<String> = file.digests.iter().map(ToString::to_string).collect();
        ("must have", format!("file {index}: {}", digests.join(", ")))
    };
    in_parts.chain(named.map(row)).collect()
}

fn troubles(view: &JobView, spec: &JobSpec) -> Vec<(&'static str, String)> {
    let Some(error) = &view.error else { return Vec::new() };
    let JobError { code, context, file, count, first_unix_ms, last_unix_ms, retry_at_unix_ms, .. } = error;
    let file = file.map(|file| format!(", file {file}")).unwrap_or_default();
    let seen = match count {
        0 | 1 => amount::moment(*last_unix_ms),
        _ => format!(
            "{count} times, from {} to {}",
            amount::moment(*first_unix_ms),
            amount::moment(*last_unix_ms)
        ),
    };
    let retry_at = retry_at_unix_ms.filter(|_| view.state == JobState::TransientError);
    vec![
        (
            if is_over(view) { "last error (over)" } else { "last error" },
            format!("{} ({:#010x}) {}{file}", code.name(), code.number(), context.text()),
        ),
        ("", error.message.clone()),
        ("seen", seen),
        ("what to do", if is_over(view) { String::new() } else { advice(error, view, spec).to_owned() }),
        ("tried again", retry_at.map(amount::moment).unwrap_or_default()),
        ("errors so far", view.error_count.to_string()),
    ]
}

fn settings(spec: &JobSpec) -> Vec<(&'static str, String)> {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let headers = match (spec.headers_write_only, spec.headers.0.len()) {
        (true, _) => "nobody can read them".to_owned(),
        (false, 0) => String::new(),
        (false, _) => {
            let names: Vec<&str> = spec.headers.0.iter().map(|line| line.name.as_str()).collect();
            names.join(", ")
        }
    };
    vec![
        ("description", spec.description.clone()),
        ("priority", priority(spec.priority).to_owned()),
        ("peers", flags_text(spec.flags)),
        ("asked", spec.ask.to_string()),
        ("kept to group", spec.group.map(|group| group.to_string()).unwrap_or_default()),
        ("BranchCache", if spec.disable_branch_cache { "disabled" } else { "" }.into()),
        ("auto-complete", yes_no(spec.auto_complete)),
        ("existing files", if spec.existing == Existing::Replace { "replaced" } else { "refused" }.into()),
        ("missing folders", if spec.create_dirs { "made" } else { "refused" }.into()),
        ("limits", rates(spec.rates)),
        ("retry delay", amount::span(spec.retry_delay_s)),
        ("no progress", no_progress(spec.no_progress_s)),
        ("max time", spec.max_time_s.map_or_else(|| "what the policy says".into(), amount::span)),
        ("max size", spec.max_size.map_or_else(|| "none".into(), amount::bytes)),
        ("on demand", if spec.on_demand { "only what is asked for" } else { "" }.into()),
        ("dynamic", if spec.dynamic { "yes" } else { "" }.into()),
        ("header lines", headers),
        ("redirects", redirects(spec.redirects).to_owned()),
        ("notify", notify_text(spec.notify)),
    ]
}

fn no_progress(seconds: u64) -> String {
    match seconds {
        0 => "nothing is tried again".into(),
        seconds => format!("final after {}", amount::span(seconds)),
    }
}

fn rates(rates: Rates) -> String {
    let rate = |name: &str, rate: Option<NonZeroU64>| {
        rate.map(|rate| format!("{name} {}/s", amount::bytes(rate.get())))
    };
    let rates = [rate("all", rates.total), rate("origins", rates.wan), rate("peers", rates.lan)];
    let rates: Vec<String> = rates.into_iter().flatten().collect();
    if rates.is_empty() { "none".into() } else { rates.join(", ") }
}

pub(super) const fn priority(priority: crate::control::api::Priority) -> &'static str {
    use crate::control::api::Priority;
    match priority {
        Priority::Foreground => "foreground",
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

const fn redirects(redirects: Redirects) -> &'static str {
    match redirects {
        Redirects::Follow => "followed",
        Redirects::Report => "followed and reported",
        Redirects::Deny => "an error",
    }
}
