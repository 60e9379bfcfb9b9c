//! Questions to a running node, and its answers as tables or JSON.
//!
//! Knows: which columns people want. Does not know: where the answers come from.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::args::{AskArgs, CacheCommand, FlagsCommand, JobCommand, OneJob, PeerCommand};
use super::exit::{Exit, Stop};
use super::{amount, reach, say, summary};
use crate::control::api::{JobView, PeerFlags, Verb};
use crate::control::client::Client;

pub(super) async fn status(ask: &AskArgs) -> Result<Exit, Stop> {
    let status = reach::running(&ask.place).await?.status().await?;
    if ask.json {
        return print_json(&status);
    }
    let totals = status.totals;
    let mut table = table(&[]);
    for (name, value) in [
        ("peer id", status.peer_id),
        ("listens at", status.listen.join("\n")),
        ("flags", flags_text(status.flags)),
        ("from origins", amount::bytes(totals.origin_bytes)),
        ("from peers", amount::bytes(totals.peer_bytes)),
        ("served to peers", amount::bytes(totals.served_bytes)),
        ("thrown away", amount::bytes(totals.discarded_bytes)),
        ("banned peers", totals.banned_peers.to_string()),
        ("memory", amount::bytes(status.rss_bytes)),
        ("version", status.version),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    say::line(table.trim_fmt());
    Ok(Exit::Done)
}

pub(super) async fn peer(command: PeerCommand) -> Result<Exit, Stop> {
    let ask = match command {
        PeerCommand::List(ask) => ask,
        PeerCommand::Add { address, ask } => {
            reach::running(&ask.place).await?.add_peer(&address).await?;
            return Ok(Exit::Done);
        }
    };
    let peers = reach::running(&ask.place).await?.peers().await?;
    if ask.json {
        return print_json(&peers);
    }
    let mut table = table(&["peer", "address", "state", "gave us", "took"]);
    for peer in &peers {
        let state = match (peer.banned_s, peer.connected) {
            (Some(seconds), _) => format!("banned for {seconds} s"),
            (None, true) => "connected".into(),
            (None, false) => "gone".into(),
        };
        table.add_row([
            peer.peer.clone(),
            peer.address.clone(),
            state,
            amount::bytes(peer.received_bytes),
            amount::bytes(peer.served_bytes),
        ]);
    }
    print_table(&table, peers.is_empty(), "no peer was met yet");
    Ok(Exit::Done)
}

pub(super) async fn cache(CacheCommand::List(ask): CacheCommand) -> Result<Exit, Stop> {
    let records = reach::running(&ask.place).await?.records().await?;
    if ask.json {
        return print_json(&records);
    }
    let mut table = table(&["record", "blake3", "held", "of", "scope", "served"]);
    for record in &records {
        table.add_row([
            record.id.chars().take(8).collect(),
            record.blake3.clone(),
            amount::bytes(record.held),
            amount::bytes(record.len),
            record.scope.clone(),
            if record.served { "yes" } else { "no" }.to_owned(),
        ]);
    }
    print_table(&table, records.is_empty(), "the cache is empty");
    Ok(Exit::Done)
}

pub(super) async fn flags(command: FlagsCommand) -> Result<Exit, Stop> {
    let (flags, is_json) = match command {
        FlagsCommand::Get(ask) => (reach::running(&ask.place).await?.flags().await?, ask.json),
        FlagsCommand::Set { flags, ask } => {
            let flags = parse_flags(&flags)?;
            (reach::running(&ask.place).await?.set_flags(flags).await?, ask.json)
        }
    };
    if is_json {
        return print_json(&flags);
    }
    say::line(flags_text(flags));
    Ok(Exit::Done)
}

pub(super) async fn job(command: JobCommand) -> Result<Exit, Stop> {
    let (one, verb) = match command {
        JobCommand::List(ask) => return list_jobs(&ask).await,
        JobCommand::Show(one) => (one, None),
        JobCommand::Why(one) => return why(&one).await,
        JobCommand::Suspend(one) => (one, Some(Verb::Suspend)),
        JobCommand::Resume(one) => (one, Some(Verb::Resume)),
        JobCommand::Complete(one) => (one, Some(Verb::Complete)),
        JobCommand::Cancel(one) => (one, Some(Verb::Cancel)),
    };
    let client = reach::running(&one.ask.place).await?;
    let mut view = find(&client, &one.id).await?;
    if let Some(verb) = verb {
        view = client.command(view.id, verb).await?.job;
    }
    if one.ask.json {
        return print_json(&view);
    }
    let mut table = table(&[]);
    for (name, value) in [
        ("job", view.id.to_string()),
        ("url", view.url.clone()),
        ("destination", view.destination.display().to_string()),
        ("state", state(&view)),
        ("reason", view.reason.clone()),
        ("stored", stored(&view)),
        ("trust", view.trust.clone()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    say::line(table.trim_fmt());
    Ok(Exit::Done)
}

async fn list_jobs(ask: &AskArgs) -> Result<Exit, Stop> {
    let jobs = reach::running(&ask.place).await?.jobs().await?;
    if ask.json {
        return print_json(&jobs);
    }
    let mut table = table(&["job", "state", "stored", "destination", "reason"]);
    for view in &jobs {
        let id: String = view.id.to_string().chars().take(8).collect();
        let destination = view.destination.display().to_string();
        table.add_row([id, state(view), stored(view), destination, view.reason.clone()]);
    }
    print_table(&table, jobs.is_empty(), "there are no jobs");
    Ok(Exit::Done)
}

async fn why(one: &OneJob) -> Result<Exit, Stop> {
    let client = reach::running(&one.ask.place).await?;
    let decisions = client.why(find(&client, &one.id).await?.id).await?;
    if one.ask.json {
        return print_json(&decisions);
    }
    say::line(summary::why(&decisions));
    Ok(Exit::Done)
}

/// The one job whose id starts like this.
async fn find(client: &Client, start: &str) -> Result<JobView, Stop> {
    let mut found = client.jobs().await?;
    found.retain(|view| view.id.to_string().starts_with(&start.to_lowercase()));
    match (found.pop(), found.len()) {
        (Some(view), 0) => Ok(view),
        (Some(_), _) => {
            Err(Stop::usage(format!("more than one job starts with {start:?}: write more of its id")))
        }
        (None, _) => Err(Stop::new(
            Exit::NotFound,
            format!("no job starts with {start:?}: `nearbits job list` shows all"),
        )),
    }
}

/// Reads `client`, `server`, both with a comma, or `none`.
pub(super) fn parse_flags(text: &str) -> Result<PeerFlags, Stop> {
    let mut flags = PeerFlags::NONE;
    if text == "none" {
        return Ok(flags);
    }
    for name in text.split(',') {
        match name.trim() {
            "client" => flags.client = true,
            "server" => flags.server = true,
            _ => {
                return Err(Stop::usage(format!(
                    "{text:?} are no flags: client, server, client,server or none"
                )));
            }
        }
    }
    Ok(flags)
}

/// The way [`parse_flags`] reads them.
pub(super) fn flags_text(flags: PeerFlags) -> String {
    match (flags.client, flags.server) {
        (true, true) => "client,server",
        (true, false) => "client",
        (false, true) => "server",
        (false, false) => "none",
    }
    .into()
}

fn state(view: &JobView) -> String {
    serde_json::to_value(view.state)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

fn stored(view: &JobView) -> String {
    match view.len {
        Some(len) => format!("{} of {}", amount::bytes(view.stored), amount::bytes(len)),
        None => amount::bytes(view.stored),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

fn print_table(table: &Table, is_empty: bool, otherwise: &str) {
    if is_empty {
        say::line(otherwise);
    } else {
        say::line(table.trim_fmt());
    }
}

fn print_json(value: &impl Serialize) -> Result<Exit, Stop> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Stop::new(Exit::Fatal, error.to_string()))?;
    say::line(text);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_they_are_written() {
        for text in ["none", "client", "server", "client,server"] {
            assert_eq!(parse_flags(text).map(flags_text).expect("flags"), text);
        }
        for text in ["", "both", "client;server", "client,", "Client"] {
            assert_eq!(parse_flags(text).expect_err("no flags").exit, Exit::Usage, "{text}");
        }
    }
}
