//! The commands of whoever runs a group: make it, make members, forget them, begin anew.
//!
//! Knows: where its file lies, what is printed and what is written. Does not know: what is signed (`node::Authority`).

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use peer_proto::peer::PeerId;
use serde_json::json;

use super::moment;
use crate::cli::args::{AuthorityArgs, CreateArgs, DenyArgs, RotateArgs, TokenArgs};
use crate::cli::exit::{Exit, Stop};
use crate::cli::{place, say, table};
use crate::clock;
use crate::node::{Authority, AuthorityError, FolderError, parse_roles};

/// An epoch should end after so many seconds (GROUP-7).
const EPOCH_S: u64 = 90 * 24 * 60 * 60;
/// Bytes of a list of ids.
const LIST_LEN_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn create(args: &CreateArgs) -> Result<Exit, Stop> {
    let folder = place::absolute(args.dir.as_deref().unwrap_or(Path::new(".")))?;
    let path = folder.join(format!("{}.group", args.name));
    let authority = Authority::create(&path, &args.name, now()).map_err(refused)?;
    let copy = authority.save_copy().map_err(refused)?;
    let (id, file, copy) = (authority.id().to_string(), path.display(), copy.display());
    if args.json {
        return table::json(&json!({
            "id": id, "name": args.name, "file": file.to_string(), "copy": copy.to_string(),
        }));
    }
    say::line(format_args!("group {} is {id}; its key is in {file}, for you alone", args.name));
    say::line(format_args!(
        "whoever has that file makes members. Move the copy {copy} to another place now: if both are lost, the group ends as \
         its tokens do"
    ));
    say::line("next: `nearbits peer id` on each machine says its id;");
    say::line(format_args!(
        "`nearbits group token --group {file} PEER-ID` makes an invitation, and `nearbits group join` takes it there"
    ));
    Ok(Exit::Done)
}

pub(super) fn token(args: &TokenArgs) -> Result<Exit, Stop> {
    let mut authority = open(&args.authority)?;
    let mut peers = Vec::new();
    for text in &args.peer {
        peers.push(text.trim().parse::<PeerId>().map_err(|error| Stop::usage(error.to_string()))?);
    }
    if let Some(list) = &args.peers {
        peers.extend(listed(list)?);
    }
    let roles = parse_roles(args.roles.as_deref().unwrap_or("fetch,serve")).map_err(refused)?;
    let (mut lines, mut is_made) = (Vec::new(), std::collections::BTreeSet::new());
    let known = if args.all {
        authority.members().filter(|(_, granted)| !granted.forgotten).map(|(peer, _)| peer).collect()
    } else if args.renew {
        authority.due(now())
    } else {
        Vec::new()
    };
    for peer in known {
        is_made.insert(peer);
        lines.push((peer, authority.renew(peer, now()).map_err(refused)?));
    }
    for peer in peers {
        if is_made.insert(peer) {
            lines.push((peer, authority.grant(peer, roles, args.days, now()).map_err(refused)?));
        }
    }
    let folder = args.out.as_deref().map(place::absolute).transpose()?;
    folder.as_deref().map_or(Ok(()), make_folder)?;
    // What was signed leaves when it is remembered.
    authority.save().map_err(refused)?;
    let (epoch, since) = authority.epoch();
    if now().saturating_sub(since) > EPOCH_S {
        let file = args.authority.file.display();
        say::note(format_args!(
            "epoch {epoch} began {}, more than 90 days ago: `nearbits group rotate --group {file}` begins the next",
            moment(since)
        ));
    }
    match &folder {
        Some(folder) => written(&authority, &lines, folder, args.authority.json),
        None => printed(&authority, &lines, args.authority.json),
    }
}

/// Until when the token of one of its members counts.
fn until(authority: &Authority, peer: PeerId) -> u64 {
    authority.members().find(|(id, _)| *id == peer).map_or(0, |(_, granted)| granted.not_after)
}

fn printed(authority: &Authority, lines: &[(PeerId, String)], is_json: bool) -> Result<Exit, Stop> {
    for (peer, line) in lines {
        if is_json {
            let not_after_unix_s = until(authority, *peer);
            table::json_line(&json!({
                "peer_id": peer, "not_after_unix_s": not_after_unix_s, "invitation": line,
            }))?;
        } else {
            say::line(line);
        }
    }
    if lines.is_empty() && !is_json {
        say::note("no token is due");
    }
    Ok(Exit::Done)
}

/// The folder for invitations is there before any is signed: nobody is a member whose invitation is nowhere.
fn make_folder(folder: &Path) -> Result<(), Stop> {
    if folder.exists() && !folder.is_dir() {
        let line = format!("{} is a file: invitations go to a folder, a file for each", folder.display());
        return Err(Stop::usage(line));
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Stop::new(Exit::Fatal, format!("cannot make {}: {error}", folder.display())))
}

fn written(
    authority: &Authority,
    lines: &[(PeerId, String)],
    folder: &Path,
    is_json: bool,
) -> Result<Exit, Stop> {
    for (peer, line) in lines {
        let path = folder.join(format!("{peer}.invitation"));
        write(&path, line)?;
        if is_json {
            let not_after_unix_s = until(authority, *peer);
            table::json_line(&json!({
                "peer_id": peer, "not_after_unix_s": not_after_unix_s, "file": path.display().to_string(),
            }))?;
        }
    }
    let last = lines.iter().map(|(peer, _)| until(authority, *peer)).min();
    if !is_json {
        say::line(match last {
            Some(until) => format!(
                "{} invitations in {}, until {}; `nearbits group join` takes that folder",
                lines.len(),
                folder.display(),
                moment(until)
            ),
            None => "no token is due".to_owned(),
        });
    }
    Ok(Exit::Done)
}

pub(super) fn forget(args: &DenyArgs) -> Result<Exit, Stop> {
    let mut authority = open(&args.authority)?;
    let (line, count) = authority.forget(&args.who, now()).map_err(refused)?;
    authority.save().map_err(refused)?;
    if let Some(out) = &args.out {
        write(&place::absolute(out)?, &line)?;
    }
    if args.authority.json {
        return table::json(&json!({ "denied": line, "new": count }));
    }
    match &args.out {
        Some(out) => say::line(format_args!("the deny list is in {}; new on it: {count}", out.display())),
        None => say::line(&line),
    }
    say::note(
        "hand it to a member that is connected to others, which tells them: `nearbits group join` takes it there; new \
         invitations bring it along",
    );
    Ok(Exit::Done)
}

pub(super) fn rotate(args: &RotateArgs) -> Result<Exit, Stop> {
    let mut authority = open(&args.authority)?;
    let old = authority.id();
    let cut_off = if args.abandon { authority.abandon(now()).map(|()| 0) } else { authority.rotate(now()) };
    let cut_off = cut_off.map_err(refused)?;
    authority.save().map_err(refused)?;
    let (id, (epoch, _)) = (authority.id().to_string(), authority.epoch());
    if args.authority.json {
        return table::json(&json!({ "id": id, "epoch": epoch, "cut_off": cut_off }));
    }
    let file = args.authority.file.display();
    let name = authority.name();
    if args.abandon {
        say::line(format_args!(
            "group {name} begins anew: it is {id} now, and the old key means nothing in it"
        ));
        say::line(format_args!(
            "next: `nearbits group token --group {file} --all`, and `nearbits group join` on every machine; each is in both groups \
             until `nearbits group leave {old}`. If the old key is in wrong hands, `nearbits group join --replace` leaves the \
             old one at once"
        ));
    } else {
        say::line(format_args!(
            "group {name} is in epoch {epoch}; the secret of the one before is honoured for 7 days"
        ));
        if cut_off > 0 {
            say::line(format_args!("{cut_off} tokens are of an older epoch still, and stop counting"));
        }
        say::line(format_args!(
            "next: `nearbits group token --group {file} --all`, and `nearbits group join` on every machine within these days"
        ));
    }
    say::note(format_args!("copy {file} to where its copy is kept"));
    Ok(Exit::Done)
}

pub(super) fn show(file: &Path, is_json: bool) -> Result<Exit, Stop> {
    let authority = Authority::open(&place::absolute(file)?).map_err(refused)?;
    let (epoch, since) = authority.epoch();
    if is_json {
        let member = |(peer, granted): (PeerId, &crate::node::Granted)| {
            json!({
                "peer_id": peer, "holder": granted.holder, "roles": granted.roles.split(',').collect::<Vec<_>>(),
                "not_before_unix_s": granted.not_before, "not_after_unix_s": granted.not_after,
                "epoch": granted.epoch, "serial": granted.serial, "forgotten": granted.forgotten,
            })
        };
        return table::json(&json!({
            "name": authority.name(), "id": authority.id().to_string(), "epoch": epoch, "since_unix_s": since,
            "members": authority.members().map(member).collect::<Vec<_>>(),
        }));
    }
    let (name, id) = (authority.name(), authority.id());
    say::line(format_args!("group {name} is {id}, in epoch {epoch} since {}", moment(since)));
    let mut rows = table::new(&["peer", "holder", "roles", "token until"]);
    for (peer, granted) in authority.members() {
        let until = match (granted.forgotten, granted.not_after < now()) {
            (true, _) => "forgotten".to_owned(),
            (false, true) => format!("{}, over", moment(granted.not_after)),
            (false, false) => moment(granted.not_after),
        };
        rows.add_row([peer.to_string(), granted.holder.clone(), granted.roles.clone(), until]);
    }
    table::print(&rows, "it has no members yet");
    Ok(Exit::Done)
}

fn open(args: &AuthorityArgs) -> Result<Authority, Stop> {
    Authority::open(&place::absolute(&args.file)?).map_err(refused)
}

/// Ids in front of the lines of a list.
fn listed(list: &Path) -> Result<Vec<PeerId>, Stop> {
    let unreadable = |error: std::io::Error| Stop::usage(format!("cannot read {}: {error}", list.display()));
    let mut text = String::new();
    if list == Path::new("-") {
        std::io::stdin().take(LIST_LEN_MAX).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(list).map_err(unreadable)?;
        file.take(LIST_LEN_MAX).read_to_string(&mut text).map_err(unreadable)?;
    }
    let words = (1_usize..).zip(text.lines()).filter_map(|(number, line)| {
        let code = line.split('#').next().unwrap_or_default();
        Some((number, code.split_whitespace().next()?))
    });
    words
        .map(|(number, word)| {
            word.parse().map_err(|error| Stop::usage(format!("{}, line {number}: {error}", list.display())))
        })
        .collect()
}

/// Writes a line for this user alone; whole, or what was there before.
fn write(path: &Path, line: &str) -> Result<(), Stop> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        let mut file = file?;
        writeln!(file, "{line}")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    written().map_err(|error| Stop::new(Exit::Fatal, format!("cannot write {}: {error}", path.display())))
}

/// Seconds since 1970.
fn now() -> u64 {
    u64::try_from(clock::wall_unix_ms() / 1_000).unwrap_or(0)
}

pub(in crate::cli) fn refused(error: AuthorityError) -> Stop {
    let exit = match &error {
        AuthorityError::Folder(FolderError::Io { cause, .. }) => match cause.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Fatal,
        },
        AuthorityError::Exists(_) | AuthorityError::Forgotten(_) => Exit::Denied,
        AuthorityError::Folder(_) | AuthorityError::NoRandomness(_) | AuthorityError::Full => Exit::Fatal,
        _ => Exit::Usage,
    };
    Stop::new(exit, error.to_string())
}
