//! The command line of `nearbits group`.
//!
//! Knows: its commands, flags and their help. Does not know: what they do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::AskArgs;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum GroupCommand {
    /// Make a group: a file with its key, which makes members. Needs no running node.
    Create(CreateArgs),
    /// Make nodes members: one line each, an invitation, for `group join` on that node. Needs no running node.
    Token(TokenArgs),
    /// Make a ticket, on an enroller: a secret of one line, by which whoever has it makes his machine a member.
    Ticket(TicketArgs),
    /// Make this node a member of a group, beside those it is in, or a member for longer; also takes deny lists.
    #[command(visible_alias = "update")]
    Join(JoinArgs),
    /// Show this node's id and memberships, or all members that a group's file knows.
    Show(ShowArgs),
    /// Leave a group.
    Leave(LeaveArgs),
    /// Say that somebody is no member any more: makes the next deny list, for `group join` on all other nodes.
    Forget(DenyArgs),
    /// Begin the next epoch, or begin anew with another key; needs invitations for everybody afterwards.
    Rotate(RotateArgs),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct CreateArgs {
    /// What people call it: letters, digits, `-`, `_` and `.`.
    pub(in crate::cli) name: String,
    /// The folder for NAME.group and its copy [default: this one].
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Print JSON instead of lines.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The file that makes members.
#[derive(Args, Debug)]
pub(in crate::cli) struct AuthorityArgs {
    /// The group's file, as `group create` made it.
    #[arg(long = "group", value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// Print JSON instead of lines.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct TokenArgs {
    #[command(flatten)]
    pub(in crate::cli) authority: AuthorityArgs,
    /// The nodes' ids, as `nearbits peer id` prints them there.
    #[arg(value_name = "PEER-ID", required_unless_present_any = ["peers", "renew", "all"])]
    pub(in crate::cli) peer: Vec<String>,
    /// A file with an id in front of each line, or - for standard input; what follows an id is not read, nor is what
    /// follows a #.
    #[arg(long, value_name = "LIST")]
    pub(in crate::cli) peers: Option<PathBuf>,
    /// Everybody whose token has half of its life behind it, with the roles and the days of that one.
    #[arg(long, conflicts_with_all = ["roles", "days"])]
    pub(in crate::cli) renew: bool,
    /// Everybody who was given a token and not forgotten, with the roles and the days of that one.
    #[arg(long, conflicts_with_all = ["roles", "days"])]
    pub(in crate::cli) all: bool,
    /// What they may do: fetch, serve, attest, enrol, cache, with commas between [default: fetch,serve].
    #[arg(long, value_name = "ROLES")]
    pub(in crate::cli) roles: Option<String>,
    /// How long the tokens live: 1 to 30, and 1 to 7 with attest [default: the most].
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) days: Option<u16>,
    /// Write each invitation into this folder as PEER-ID.invitation, which is made if it is missing [default: all on
    /// standard output].
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct TicketArgs {
    /// How many machines it may make members: 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) uses: u16,
    /// How long it can be redeemed, as 30m or 24h: 24 hours at most.
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = parse_life)]
    pub(in crate::cli) life_s: u64,
    /// What it gives: fetch, or fetch,serve.
    #[arg(long, value_name = "ROLES", default_value = "fetch,serve")]
    pub(in crate::cli) roles: String,
    /// Which group it leads to, by its id, the beginning of it, or its name; needed if this node is an enroller in several.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) group: Option<String>,
    /// Where those who have it reach this node, ip:port; may be repeated [default: where it listens].
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) address: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

/// Minutes or hours, in seconds.
fn parse_life(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time such as 30m or 24h");
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "m" => number.checked_mul(60).ok_or_else(wrong),
        "h" => number.checked_mul(60 * 60).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

#[derive(Args, Debug)]
pub(in crate::cli) struct JoinArgs {
    /// An invitation, a deny list or a ticket; or a file of such lines, from which this node takes what is for it; or a folder with
    /// a PEER-ID.invitation for it; or - for standard input.
    #[arg(value_name = "TEXT|FILE|FOLDER")]
    pub(in crate::cli) offer: String,
    /// Leave the only other group for this one.
    #[arg(long)]
    pub(in crate::cli) replace: bool,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct ShowArgs {
    /// A group's file: show whom it made members instead of this node's membership.
    #[arg(long = "group", value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct LeaveArgs {
    /// Which, by its id, the beginning of it, or its name; needed if this node is in several.
    #[arg(value_name = "ID")]
    pub(in crate::cli) group: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct DenyArgs {
    #[command(flatten)]
    pub(in crate::cli) authority: AuthorityArgs,
    /// Whom: a peer id, a holder as `group show` prints it, or an invitation.
    #[arg(required = true, value_name = "PEER-ID|HOLDER|INVITATION")]
    pub(in crate::cli) who: Vec<String>,
    /// Write the deny list here [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RotateArgs {
    #[command(flatten)]
    pub(in crate::cli) authority: AuthorityArgs,
    /// Somebody else may have the key: draw another one. It is another group then: members join it beside the old one, or with --replace.
    #[arg(long)]
    pub(in crate::cli) abandon: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_lives_minutes_or_hours() {
        assert_eq!(parse_life("30m"), Ok(1_800));
        assert_eq!(parse_life("24h"), Ok(86_400));
        for text in ["", "h", "24", "24 h", "1d", "-1h", "99999999999999999h", "5é"] {
            assert!(parse_life(text).is_err(), "{text}");
        }
    }
}
