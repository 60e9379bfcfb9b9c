//! Questions to a running node, and its answers as tables or JSON.
//!
//! Knows: which columns people want. Does not know: where the answers come from.

use super::args::{AskArgs, FlagsCommand, PeerCommand};
use super::exit::{Exit, Stop};
use super::words::{flags_text, parse_flags};
use super::{amount, group, reach, say, table};
use crate::control::api::PeerKnownBy;

pub(super) async fn status(ask: &AskArgs) -> Result<Exit, Stop> {
    let status = reach::running(&ask.place).await?.status().await?;
    if ask.json {
        return table::json(&status);
    }
    let (totals, damaged) = (status.totals, status.damaged_jobs);
    let rows = [
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
    ];
    say::line(table::pairs(rows).trim_fmt());
    if let Some(complaint) = status.group {
        say::line(format!("\nits group: {complaint}"));
    }
    for unheard in status.unheard_links {
        let until = amount::moment(unheard.until_unix_ms);
        say::line(format!("\nstrangers at {} are not listened to until {until}:", unheard.link));
        say::line("  twice within a day what they swore to was not the file; members of the group are");
    }
    for job in damaged {
        say::line(format!("\njob {} cannot be read: {}", job.id, job.reason));
        say::line(format!("  it was set aside as {}", job.path.display()));
        for part in job.parts {
            say::line(format!("  what it has fetched is in {}", part.display()));
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn peer(command: PeerCommand) -> Result<Exit, Stop> {
    let ask = match command {
        PeerCommand::List(ask) => ask,
        PeerCommand::Id(ask) => return group::peer_id(&ask).await,
        PeerCommand::Discover(ask) => return discover(&ask).await,
        PeerCommand::Clear(ask) => return clear(&ask).await,
        PeerCommand::Add { address, ask } => {
            reach::running(&ask.place).await?.keep_peer(&address).await?;
            return Ok(Exit::Done);
        }
        PeerCommand::Remove { address, ask } => {
            reach::running(&ask.place).await?.remove_peer(&address).await?;
            return Ok(Exit::Done);
        }
    };
    let peers = reach::running(&ask.place).await?.peers().await?;
    if ask.json {
        return table::json(&peers);
    }
    let mut rows = table::new(&["peer", "address", "state", "known by", "gave us", "took"]);
    for peer in &peers {
        let state = match (peer.banned_s, peer.connected) {
            (Some(seconds), _) => format!("banned for {seconds} s"),
            (None, true) if peer.member => "connected, member".into(),
            (None, true) => "connected".into(),
            (None, false) if peer.known_by.is_some() => "not connected".into(),
            (None, false) => "gone".into(),
        };
        rows.add_row([
            peer.peer.clone(),
            peer.address.clone(),
            state,
            peer.known_by.map_or("it called", known_by).to_owned(),
            amount::bytes(peer.received_bytes),
            amount::bytes(peer.served_bytes),
        ]);
    }
    table::print(&rows, "no peer is known yet");
    Ok(Exit::Done)
}

const fn known_by(by: PeerKnownBy) -> &'static str {
    match by {
        PeerKnownBy::Configured => "configuration",
        PeerKnownBy::Added => "peer add",
        PeerKnownBy::Command => "a command",
        PeerKnownBy::Announced => "announcement",
        PeerKnownBy::Named => "rendezvous",
        PeerKnownBy::Remembered => "earlier run",
    }
}

async fn discover(ask: &AskArgs) -> Result<Exit, Stop> {
    let asked = reach::running(&ask.place).await?.discover_peers().await?;
    if ask.json {
        return table::json(&asked);
    }
    say::line(if asked.asked {
        "the network is asked; `nearbits peer list` shows who answers"
    } else {
        "the network was asked less than ten minutes ago; `nearbits peer list` shows who answered"
    });
    Ok(Exit::Done)
}

async fn clear(ask: &AskArgs) -> Result<Exit, Stop> {
    let forgotten = reach::running(&ask.place).await?.forget_peers().await?;
    if ask.json {
        return table::json(&forgotten);
    }
    say::line(format_args!("forgotten: {}", forgotten.peers));
    Ok(Exit::Done)
}

pub(super) async fn flags(command: FlagsCommand) -> Result<Exit, Stop> {
    let (flags, is_json) = match command {
        FlagsCommand::Get(ask) => (reach::running(&ask.place).await?.flags().await?, ask.json),
        FlagsCommand::Set { flags, ask } => {
            let flags = parse_flags(&flags).map_err(Stop::usage)?;
            (reach::running(&ask.place).await?.set_flags(flags).await?, ask.json)
        }
    };
    if is_json {
        return table::json(&flags);
    }
    say::line(flags_text(flags.holds()));
    if flags.code.is_some() {
        say::line(format_args!(
            "this computer prefers {}, and a policy overrides that: `nearbits policy show`",
            flags_text(flags.preference)
        ));
    }
    Ok(Exit::Done)
}
