//! `nearbits attestation`: what attestors signed, and taking it back.
//!
//! Knows: how it is shown, and that a group's file may sign for everybody. Does not know: who may take what back.

use peer_proto::content::Hash;
use peer_proto::digest::{bytes_from_hex, hex};
use peer_proto::group::HolderId;
use peer_proto::void::Voided;

use super::args::{AskArgs, AttestationCommand, VoidArgs};
use super::exit::{Exit, Stop};
use super::{amount, group, place, reach, say, table};
use crate::control::api::{AttestationView, TakeBack};
use crate::control::client::{Client, ClientError};
use crate::node::Authority;

pub(super) async fn run(command: AttestationCommand) -> Result<Exit, Stop> {
    match command {
        AttestationCommand::List(ask) => list(&ask).await,
        AttestationCommand::Void(args) => void(&args).await,
    }
}

async fn list(ask: &AskArgs) -> Result<Exit, Stop> {
    let known = reach::running(&ask.place).await?.attestations().await?;
    if ask.json {
        return table::json(&known);
    }
    let mut rows = table::new(&["attestation", "url", "len", "holder", "counts until", "state"]);
    for one in &known {
        rows.add_row([
            one.id.chars().take(16).collect(),
            one.url.clone(),
            amount::bytes(one.len),
            one.holder.clone(),
            amount::moment(i64::try_from(one.not_after_unix_s).unwrap_or(i64::MAX).saturating_mul(1_000)),
            state(one),
        ]);
    }
    table::print(&rows, "this node knows of nothing that an attestor signed");
    Ok(Exit::Done)
}

fn state(one: &AttestationView) -> String {
    match (&one.taken_back, &one.fault, one.is_own) {
        (Some(reason), _, _) => format!("taken back: {reason}"),
        (None, Some(fault), _) => format!("does not count: {fault}"),
        (None, None, true) => "this holder's own".to_owned(),
        (None, None, false) => "counts".to_owned(),
    }
}

async fn void(args: &VoidArgs) -> Result<Exit, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let mut wish = TakeBack { what: args.what.clone(), reason: args.reason.clone(), void: None };
    let mut taken = Vec::new();
    match &args.group {
        None => taken.extend(client.take_back(&wish).await?),
        Some(file) => {
            let authority = Authority::open(&place::absolute(file)?).map_err(group::unusable)?;
            for one in meant(&client, &wish).await? {
                let void = voided(&authority, &one, &args.reason)?;
                (wish.what, wish.void) = (one.id, Some(void));
                taken.extend(client.take_back(&wish).await?);
            }
        }
    }
    if args.ask.json {
        return table::json(&taken);
    }
    for one in &taken {
        say::line(format_args!(
            "taken back: what holder {} attested of {}, and members are told",
            one.holder, one.url
        ));
    }
    Ok(Exit::Done)
}

async fn meant(client: &Client, wish: &TakeBack) -> Result<Vec<AttestationView>, Stop> {
    let known = client.attestations().await?;
    wish.meant(known).map_err(|problem| ClientError::Refused(problem).into())
}

/// A void by the group's key, as hexadecimal digits.
fn voided(authority: &Authority, one: &AttestationView, reason: &str) -> Result<String, Stop> {
    let holder = HolderId::from_hex(&one.holder);
    let statement = bytes_from_hex(&one.id).and_then(|bytes| bytes.try_into().ok()).map(Hash);
    let (Some(holder), Some(statement)) = (holder, statement) else {
        return Err(Stop::usage("the node shows an attestation that is none"));
    };
    let said = Voided {
        group: authority.id(),
        holder,
        statement,
        sequence: 1,
        not_after: one.not_after_unix_s,
        reason: reason.to_owned(),
    };
    let void = authority.take_back(said);
    let void = void.ok_or_else(|| Stop::usage("a reason has at most 200 bytes and no control characters"))?;
    Ok(hex(void.bytes()))
}
