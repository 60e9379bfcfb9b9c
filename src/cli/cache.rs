//! `nearbits cache`: what the running node keeps, and how much of it.
//!
//! Knows: columns, and records named by the first digits of their names. Does not know: where the answers come from.

use std::num::NonZeroU64;

use super::args::{AskArgs, CacheCommand};
use super::exit::{Exit, Stop};
use super::{amount, reach, say, table, words};
use crate::control::api::{
    CacheChange, CacheLimits, CacheSize, CacheState, JobId, KeepAs, LimitError, Problem, ProblemKind,
    RecordId, RecordRow, RecordsRemoved, RemoteRange,
};
use crate::control::client::{Client, ClientError};

/// Ranges of a record that are shown; `--json` has all.
const RANGES_SHOWN_MAX: usize = 16;

pub(super) async fn run(command: CacheCommand) -> Result<Exit, Stop> {
    match command {
        CacheCommand::List { url, ask } => {
            let client = reach::running(&ask.place).await?;
            let records = client.records(url.as_deref()).await?;
            if ask.json {
                return table::json(&records);
            }
            list(&records);
            note_flags(&client, records.iter().any(|record| record.served)).await?;
            Ok(Exit::Done)
        }
        CacheCommand::Show { record, ask } => {
            let client = reach::running(&ask.place).await?;
            let shown = client.record(named(&client, &record).await?).await?;
            if ask.json {
                return table::json(&shown);
            }
            show(&shown);
            note_flags(&client, shown.served).await?;
            Ok(Exit::Done)
        }
        CacheCommand::Delete { records, ask } => {
            let client = reach::running(&ask.place).await?;
            let mut removed = RecordsRemoved { records: 0, busy: 0 };
            for record in &records {
                removed.records += client.remove_record(named(&client, record).await?).await?.records;
            }
            told(removed, ask.json)
        }
        CacheCommand::DeleteUrl { url, ask } => {
            told(reach::running(&ask.place).await?.forget_url(&url).await?, ask.json)
        }
        CacheCommand::Clear(ask) => told(reach::running(&ask.place).await?.clear_cache().await?, ask.json),
        CacheCommand::Limit { size, ask } => {
            let size = size.map(|text| text.parse()).transpose();
            let size = size.map_err(|error: LimitError| Stop::usage(error.to_string()))?;
            limits(&ask, CacheChange { size, ..CacheChange::default() }).await
        }
        CacheCommand::Age { days, ask } => {
            limits(&ask, CacheChange { age_days: days, ..CacheChange::default() }).await
        }
        CacheCommand::Keep { kept, ask } => {
            limits(&ask, CacheChange { keep: kept.map(KeepAs::from), ..CacheChange::default() }).await
        }
        CacheCommand::Verify { record, ask } => verify(record.as_deref(), &ask).await,
    }
}

fn list(records: &[RecordRow]) {
    let mut rows = table::new(&["record", "blake3", "held", "of", "kept as", "scope", "for peers", "url"]);
    for record in records {
        rows.add_row([
            record.id.chars().take(8).collect(),
            record.blake3.clone(),
            amount::bytes(record.held),
            amount::bytes(record.len),
            kept(record.kept).to_owned(),
            record.scope.clone(),
            if record.served { "yes" } else { "no" }.to_owned(),
            record.seen.last().map(|seen| seen.url.clone()).unwrap_or_default(),
        ]);
    }
    table::print(&rows, "the cache is empty");
}

/// Says that the computer's half of the permission is missing for what its records allow.
async fn note_flags(client: &Client, is_for_peers: bool) -> Result<(), Stop> {
    if is_for_peers {
        let computer = client.flags().await?;
        if !computer.holds().server {
            let remedy = words::flags_remedy(computer);
            say::note(format_args!(
                "the computer's own flags forbid to give: peers get nothing of it: {remedy}"
            ));
        }
    }
    Ok(())
}

const fn kept(kept: KeepAs) -> &'static str {
    match kept {
        KeepAs::Copy => "copy",
        KeepAs::Borrow => "delivered file",
    }
}

fn show(record: &RecordRow) {
    let seen: Vec<String> = record
        .seen
        .iter()
        .map(|seen| {
            let said = [("ETag", &seen.etag), ("Last-Modified", &seen.last_modified)];
            let said = said.iter().filter_map(|(name, value)| Some(format!(" ({name} {})", value.as_ref()?)));
            format!("{}{}", seen.url, said.collect::<String>())
        })
        .collect();
    let rows = [
        ("record", record.id.clone()),
        ("blake3", record.blake3.clone()),
        ("other digests", record.digests.join("\n")),
        ("held", format!("{} of {}", amount::bytes(record.held), amount::bytes(record.len))),
        ("ranges", ranges(record.ranges.as_deref().unwrap_or_default())),
        ("validated", if record.validated { "yes" } else { "no" }.to_owned()),
        ("kept as", kept(record.kept).to_owned()),
        ("scope", record.scope.clone()),
        ("for peers", if record.served { "yes" } else { "no" }.to_owned()),
        ("last used", amount::moment(record.last_used_unix_s.saturating_mul(1_000))),
        ("seen at", seen.join("\n")),
    ];
    say::line(table::pairs(rows).trim_fmt());
}

/// The ranges of a record in one line, as `job add --ranges` has them.
fn ranges(held: &[RemoteRange]) -> String {
    let shown = held.iter().take(RANGES_SHOWN_MAX);
    let mut parts: Vec<String> =
        shown.map(|range| format!("{}:{}", range.offset, range.len.map_or(0, NonZeroU64::get))).collect();
    if let Some(rest) = held.len().checked_sub(RANGES_SHOWN_MAX).filter(|rest| *rest > 0) {
        parts.push(format!("and {rest} more: `--json` has all"));
    }
    parts.join(", ")
}

fn told(removed: RecordsRemoved, is_json: bool) -> Result<Exit, Stop> {
    let exit = if removed.busy == 0 { Exit::Done } else { Exit::Transient };
    if is_json {
        table::json(&removed)?;
        return Ok(exit);
    }
    say::line(format_args!("{} removed; delivered files stay where they are", counted(removed.records)));
    if removed.busy > 0 {
        say::line(format_args!("{} being read, and stayed: try again", counted(removed.busy)));
    }
    Ok(exit)
}

fn counted(records: usize) -> String {
    if records == 1 { "1 record".into() } else { format!("{records} records") }
}

/// Changes what is said of the limits, if anything is, and shows what holds.
async fn limits(ask: &AskArgs, change: CacheChange) -> Result<Exit, Stop> {
    let client = reach::running(&ask.place).await?;
    let state = if change == CacheChange::default() {
        client.cache().await?
    } else {
        client.limit_cache(&change).await?
    };
    if ask.json {
        return table::json(&state);
    }
    let CacheState { limits, preference, code, records, own_bytes, borrowed_bytes, own_max_bytes } = state;
    let rows = [
        ("may take", may_take(limits.size, own_max_bytes)),
        ("takes", amount::bytes(own_bytes)),
        ("delivered files", format!("{}, read where they lie", amount::bytes(borrowed_bytes))),
        ("records", records.to_string()),
        ("go when unused for", format!("{} days", limits.age_days)),
        (
            "delivered files are",
            if limits.keep == KeepAs::Copy { "copied when idle" } else { "not copied" }.into(),
        ),
    ];
    say::line(table::pairs(rows).trim_fmt());
    if code.is_some() {
        let CacheLimits { size, age_days, .. } = preference;
        say::line(format_args!(
            "this computer prefers {size} and {age_days} days, and a policy overrides that: `nearbits policy show`"
        ));
    }
    Ok(Exit::Done)
}

/// The limit, and what is left of it where the disk is nearly full.
fn may_take(size: CacheSize, now: u64) -> String {
    match size {
        CacheSize::Share(percent) => {
            format!("{} ({percent} % of the disk, max(5 %, 1 GiB) left free)", amount::bytes(now))
        }
        CacheSize::Bytes(bytes) if bytes > now => {
            format!("{} ({} if the disk were not so full)", amount::bytes(now), amount::bytes(bytes))
        }
        CacheSize::Bytes(bytes) => amount::bytes(bytes),
    }
}

async fn verify(record: Option<&str>, ask: &AskArgs) -> Result<Exit, Stop> {
    let client = reach::running(&ask.place).await?;
    let ids = match record {
        Some(record) => vec![named(&client, record).await?],
        None => client.records(None).await?.iter().filter_map(|record| id_of(&record.id)).collect(),
    };
    let mut found = Vec::new();
    for id in ids {
        match client.verify_record(id).await {
            Ok(one) => found.push(one),
            // It went while others were looked at.
            Err(ClientError::Refused(Problem { kind: ProblemKind::NotFound, .. })) if record.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let lost: u64 = found.iter().map(|one| u64::from(one.lost)).sum();
    let exit = if lost == 0 { Exit::Done } else { Exit::Integrity };
    if ask.json {
        table::json(&found)?;
        return Ok(exit);
    }
    let good: u64 = found.iter().map(|one| u64::from(one.good)).sum();
    let what = counted(found.len());
    if lost == 0 {
        say::line(format_args!("{what} read, {good} pieces: all are what they were"));
    } else {
        for one in found.iter().filter(|one| one.lost > 0) {
            say::line(format_args!("record {}: {} pieces were not what they were", one.id, one.lost));
        }
        say::line(format_args!(
            "{what} read: {good} pieces good, {lost} dropped; nothing of them is served, the next job fetches them again"
        ));
    }
    Ok(exit)
}

/// A record by its whole name, or by the first digits of it.
async fn named(client: &Client, text: &str) -> Result<RecordId, Stop> {
    match id_of(text) {
        Some(id) => Ok(id),
        None => find(client, text).await.and_then(|row| id_of(&row.id).ok_or_else(|| nothing(text))),
    }
}

async fn find(client: &Client, text: &str) -> Result<RecordRow, Stop> {
    let mut found: Vec<RecordRow> = client.records(None).await?;
    found.retain(|record| !text.is_empty() && record.id.starts_with(&text.to_ascii_lowercase()));
    match (found.len(), found.pop()) {
        (1, Some(record)) => Ok(record),
        (0, _) => Err(nothing(text)),
        (count, _) => Err(Stop::usage(format!("{count} records begin with {text}: write more of the name"))),
    }
}

fn nothing(text: &str) -> Stop {
    Stop::new(Exit::NotFound, format!("there is no record {text}: `nearbits cache list` shows what is there"))
}

fn id_of(text: &str) -> Option<RecordId> {
    text.parse::<JobId>().ok().map(RecordId::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_2_many_ranges_are_shown_in_one_line_that_says_how_many_more_there_are() {
        let held: Vec<RemoteRange> =
            (0..20).map(|place| RemoteRange { offset: place * 200, len: NonZeroU64::new(100) }).collect();
        assert_eq!(ranges(&held[..2]), "0:100, 200:100");
        assert!(ranges(&held[..16]).ends_with("3000:100"), "none is left out of sixteen");
        assert!(ranges(&held).ends_with("3000:100, and 4 more: `--json` has all"), "{}", ranges(&held));
    }
}
