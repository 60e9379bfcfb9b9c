//! `nearbits group`: which groups this node is in; `peer id`.
//!
//! Knows: that a node's membership can be changed whether it runs or not, and which line of many is for it. Does not know:
//! what makes members (`authority`), what is taken and what is not.

mod authority;
mod ticket;

pub(super) use authority::refused as unusable;

use std::io::{ErrorKind, Read};
use std::path::Path;

use peer_proto::group::{Offer, Ticket};
use peer_proto::peer::PeerId;

use super::args::{AskArgs, GroupCommand, JoinArgs, PlaceArgs};
use super::exit::{Exit, Stop};
use super::{amount, place, reach, say, table};
use crate::control::api::{
    GroupOffer, GroupShown, GroupState, GroupTaken, GroupTakenAs, InGroup, OneGroup, Problem,
};
use crate::control::client::{Client, ClientError};
use crate::node::{EnrolmentError, FolderError, NodeError, StoppedNode};

/// How often the folder's lock and its holder's socket are tried.
const ATTEMPTS_MAX: u32 = 100;
/// Bytes of what is read for an offer: invitations for a hundred thousand nodes.
const OFFERS_LEN_MAX: u64 = 64 * 1024 * 1024;

pub(super) async fn run(command: GroupCommand) -> Result<Exit, Stop> {
    match command {
        GroupCommand::Create(args) => authority::create(&args),
        GroupCommand::Token(args) => authority::token(&args),
        GroupCommand::Forget(args) => authority::forget(&args),
        GroupCommand::Rotate(args) => authority::rotate(&args),
        GroupCommand::Ticket(args) => ticket::make(&args).await,
        GroupCommand::Join(args) => join(&args).await,
        GroupCommand::Show(args) => match &args.file {
            Some(file) => authority::show(file, args.ask.json),
            None => {
                let shown = Desk::reach(&args.ask.place).await?.group().await?;
                print(&shown, args.ask.json)
            }
        },
        GroupCommand::Leave(args) => {
            let shown = Desk::reach(&args.ask.place).await?.leave(args.group.as_deref()).await?;
            if args.ask.json {
                return table::json(&shown);
            }
            say::line(match &shown.groups[..] {
                [] => "this node is in no group any more".to_owned(),
                left => format!("left; this node is in {} still", ids(left)),
            });
            Ok(Exit::Done)
        }
    }
}

/// Prints this node's id, and nothing else.
pub(super) async fn peer_id(ask: &AskArgs) -> Result<Exit, Stop> {
    let shown = Desk::reach(&ask.place).await?.group().await?;
    if ask.json {
        return table::json(&serde_json::json!({ "peer_id": shown.peer_id }));
    }
    say::line(shown.peer_id);
    Ok(Exit::Done)
}

/// Who keeps a membership.
enum Desk {
    /// The node that runs.
    Running(Client),
    /// Nobody: the state folder is ours for a moment.
    Stopped(Box<StoppedNode>),
}

impl Desk {
    /// The node that runs, or its state folder, which is made if there is none.
    async fn reach(place: &PlaceArgs) -> Result<Self, Stop> {
        let folder = place::state_dir(place.state_dir.as_deref())?;
        for _ in 0..ATTEMPTS_MAX {
            for socket in place::sockets(place)? {
                if let Ok(client) = Client::reach(&socket).await {
                    return Ok(Self::Running(client));
                }
            }
            if place.control.is_some() {
                // The one that was named, or an error.
                return reach::running(place).await.map(Self::Running);
            }
            match StoppedNode::open(&folder) {
                Ok(node) => return Ok(Self::Stopped(Box::new(node))),
                Err(NodeError::Folder(FolderError::Locked { .. })) => {
                    tokio::time::sleep(reach::pause()).await
                }
                Err(error) => return Err(reach::refused(&error)),
            }
        }
        let line = format!("{} is held by a node that does not answer", folder.display());
        Err(Stop::new(Exit::Transient, line))
    }

    async fn group(&self) -> Result<GroupShown, Stop> {
        match self {
            Self::Running(client) => Ok(client.group().await?),
            Self::Stopped(node) => Ok(node.group().enrolled().await.into()),
        }
    }

    async fn offer(&self, offer: GroupOffer) -> Result<GroupTaken, Stop> {
        match self {
            Self::Running(client) => Ok(client.offer_group(&offer).await?),
            Self::Stopped(node) => {
                let taken = node.group().take(&offer.text, offer.replace).await.map_err(refused)?;
                Ok(GroupTaken::of(&offer.text, taken, self.group().await?))
            }
        }
    }

    async fn leave(&self, which: Option<&str>) -> Result<GroupShown, Stop> {
        match self {
            Self::Running(client) => Ok(client.leave_group(which).await?),
            Self::Stopped(node) => {
                node.group().leave(which).await.map_err(refused)?;
                self.group().await
            }
        }
    }
}

/// The same words and the same exit code as of a node that runs.
fn refused(error: EnrolmentError) -> Stop {
    ClientError::Refused(Problem::from(error)).into()
}

async fn join(args: &JoinArgs) -> Result<Exit, Stop> {
    let desk = Desk::reach(&args.ask.place).await?;
    let before = desk.group().await?;
    let text = offered(&args.offer, &before.peer_id)?;
    if Ticket::is_meant(&text) {
        return ticket::join(desk, text, args).await;
    }
    let me: PeerId = before.peer_id.parse().map_err(|_| Stop::usage("the node says no id"))?;
    let mut last = None;
    for line in for_me(&text, me)? {
        let offer = GroupOffer { text: line.to_owned(), replace: args.replace };
        let taken = desk.offer(offer).await?;
        if !args.ask.json {
            say::line(told(&taken));
        }
        last = Some(taken.shown);
    }
    match last {
        Some(shown) if args.ask.json => table::json(&shown),
        _ => Ok(Exit::Done),
    }
}

/// The lines that are offered.
fn offered(offer: &str, peer_id: &str) -> Result<String, Stop> {
    if offer.trim_start().starts_with("nearbits-") {
        return Ok(offer.to_owned());
    }
    let read = |from: &mut dyn Read, name: &str| {
        let mut text = String::new();
        let outcome = from.take(OFFERS_LEN_MAX).read_to_string(&mut text);
        outcome.map(|_| text).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => {
                Stop::usage(format!("{name} is no text, and an invitation is one line of it"))
            }
            _ => Stop::usage(format!("cannot read {name}: {error}")),
        })
    };
    if offer.trim().is_empty() {
        return Err(Stop::usage("the invitation is empty: name one, a file or a folder of them, or `-`"));
    }
    if offer == "-" {
        return read(&mut std::io::stdin(), "standard input");
    }
    let mut path = Path::new(offer).to_owned();
    if path.is_dir() {
        path.push(format!("{peer_id}.invitation"));
        if !path.exists() {
            let line = format!(
                "the folder {offer} has no invitation for this machine, {peer_id}.invitation: ask for one with this id"
            );
            return Err(Stop::usage(line));
        }
    }
    let name = path.display().to_string();
    let mut file = std::fs::File::open(&path).map_err(|error| {
        Stop::usage(format!("{name} is neither an invitation nor a file of them: {error}"))
    })?;
    read(&mut file, &name)
}

/// Of several lines those that are for this node: its invitation, then deny lists. A single one is for the node to judge.
fn for_me(text: &str, me: PeerId) -> Result<Vec<&str>, Stop> {
    let lines = (1_usize..).zip(text.lines().map(str::trim));
    let lines: Vec<(usize, &str)> =
        lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    if let [(_, line)] = lines[..] {
        return Ok(vec![line]);
    }
    let (mut invitations, mut denied, mut others) = (Vec::new(), Vec::new(), 0_usize);
    for (number, line) in lines {
        let offer = Offer::parse(line).map_err(|fault| Stop::usage(format!("line {number}: {fault}")))?;
        match offer.for_peer() {
            None => denied.push(line),
            Some(peer) if peer == me => invitations.push(line),
            Some(_) => others += 1,
        }
    }
    if invitations.is_empty() && denied.is_empty() {
        let line = if others == 0 {
            "there is no invitation in it".to_owned()
        } else {
            format!(
                "none of these {others} invitations is for this node, which is {me}: ask for one with this id"
            )
        };
        return Err(Stop::new(if others == 0 { Exit::Usage } else { Exit::Denied }, line));
    }
    invitations.extend(denied);
    Ok(invitations)
}

fn told(taken: &GroupTaken) -> String {
    let Some(group) = taken.state() else { return "this node is in no group".into() };
    let (id, until) = (&group.id, until(group));
    let (version, count) = (group.denied_version.unwrap_or(0), group.denied.len());
    match taken.taken {
        GroupTakenAs::Joined => format!("member of group {id} {until}, with {}", group.roles.join(",")),
        GroupTakenAs::Renewed => {
            format!("renewed: member of group {id} {until}, with {}", group.roles.join(","))
        }
        GroupTakenAs::Denied if !group.is_member => {
            format!("deny list {version} of group {id}: this node is no member any more")
        }
        GroupTakenAs::Denied => format!("deny list {version} of group {id}: {count} denied"),
        GroupTakenAs::Known => format!("nothing new: member of group {id} {until}"),
        GroupTakenAs::Older => format!("ignored: a newer deny list, {version}, is there already"),
    }
}

/// The group that a job is to be kept to, by its id, the beginning of it, or its name.
pub(super) async fn one_group(which: Option<&str>, client: &Client) -> Result<Option<OneGroup>, Stop> {
    Ok(in_group(which, client).await?.and_then(|InGroup(group)| group))
}

/// The same as a change of a job: `none` is for all groups.
pub(super) async fn in_group(which: Option<&str>, client: &Client) -> Result<Option<InGroup>, Stop> {
    let Some(which) = which else { return Ok(None) };
    let whole = which.parse::<OneGroup>().ok();
    let group = match (which, whole) {
        ("none", _) => None,
        (_, Some(group)) => Some(group),
        (_, None) => Some(meant(which, &client.group().await?.groups)?),
    };
    Ok(Some(InGroup(group)))
}

/// The one of these groups that is called this, or whose id begins so.
fn meant(which: &str, groups: &[GroupState]) -> Result<OneGroup, Stop> {
    let is_called = |group: &GroupState| group.name.as_deref() == Some(which) || group.id.starts_with(which);
    let those = groups.iter().filter(|group| is_called(group));
    let meant: Vec<GroupState> = those.cloned().collect();
    match (&meant[..], groups) {
        ([one], _) => one.id.parse().map_err(|error| Stop::new(Exit::Fatal, format!("{}: {error}", one.id))),
        (_, []) => {
            Err(Stop::new(Exit::NotFound, "this machine is in no group: --group has nothing to keep to"))
        }
        ([], _) => {
            let line = format!("this machine is in no group {which:?}: it is in {}", ids(groups));
            Err(Stop::new(Exit::NotFound, line))
        }
        _ => Err(Stop::usage(format!("{which:?} may be any of {}: give more of the id", ids(&meant)))),
    }
}

fn ids(groups: &[GroupState]) -> String {
    let called = |group: &GroupState| match &group.name {
        Some(name) => format!("{} ({name})", group.id),
        None => group.id.clone(),
    };
    groups.iter().map(called).collect::<Vec<_>>().join(", ")
}

fn until(group: &GroupState) -> String {
    format!("until {}", moment(group.not_after_unix_s))
}

fn moment(unix_s: u64) -> String {
    amount::moment(i64::try_from(unix_s).unwrap_or(i64::MAX).saturating_mul(1_000))
}

fn print(shown: &GroupShown, is_json: bool) -> Result<Exit, Stop> {
    if is_json {
        return table::json(shown);
    }
    let mut rows = vec![("peer id", shown.peer_id.clone())];
    if shown.groups.is_empty() {
        rows.push(("group", "none: `nearbits group join` takes an invitation for this id".into()));
    }
    shown.groups.iter().for_each(|group| rows.extend(rows_of(group)));
    say::line(table::pairs(rows).trim_fmt());
    Ok(Exit::Done)
}

fn rows_of(group: &GroupState) -> Vec<(&'static str, String)> {
    let state = match &group.reason {
        None => "member".to_owned(),
        Some(reason) => format!("no member now, but a stranger: it has {reason}"),
    };
    let late = if group.is_member && group.is_late {
        "; it should have been renewed by now: ask whoever runs the group for a newer one"
    } else {
        ""
    };
    let not_renewed = group.renewal.as_ref().map(|why| ("renewal", format!("not so far: {why}")));
    let denied = match group.denied_version {
        None => "nobody".to_owned(),
        Some(version) => format!("{} (version {version})\n{}", group.denied.len(), group.denied.join("\n")),
    };
    let connected = group.connected.map(|count| ("connected", format!("{count} members")));
    let rows = vec![
        ("group", group.id.clone()),
        ("name", group.name.clone().unwrap_or_default()),
        ("this node", state),
        ("roles", group.roles.join(",")),
        ("token", format!("{}, {} % of its life is over{late}", until(group), group.spent_percent)),
        ("holder", group.holder.clone()),
        ("epoch", group.epoch.to_string()),
        ("denied", denied.trim_end().to_owned()),
    ];
    rows.into_iter().chain(connected).chain(not_renewed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_no_line_and_of_lines_that_are_none_something_is_said() {
        let me = PeerId::from_public_key([1; 32]);
        let error = for_me("\n# nothing\n", me).expect_err("nothing is there");
        assert!(error.line.contains("no invitation"), "{}", error.line);
        let error = for_me("# first\nhello\nworld\n", me).expect_err("nothing of it is an offer");
        assert!(error.line.starts_with("line 2: "), "{}", error.line);
        assert_eq!(for_me("  one line \n\n", me).expect("for the node to judge"), ["one line"]);
    }
}
