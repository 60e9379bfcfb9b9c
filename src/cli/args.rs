//! The command line.
//!
//! Knows: commands, flags and their help. Does not know: what commands do.

mod attested;
mod group;
mod job;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::control::api::{Ask, TrustFloor, parse_age_days};

pub(super) use attested::{AttestationCommand, VoidArgs};
pub(super) use group::{
    AuthorityArgs, CreateArgs, DenyArgs, GroupCommand, JoinArgs, RotateArgs, TicketArgs, TokenArgs,
};
pub(super) use job::{
    AddArgs, CompleteArgs, FileCommand, ForgetArgs, JobCommand, Limit, ListArgs, OneFile, OneJob,
    PositionArgs, Ranges, RequestArgs, SetArgs, SettingArgs, SomeJobs, ValidateArgs, WaitArgs, WatchArgs,
    WhyArgs,
};

/// Fetches files from neighbours and from their origin, every byte proved.
#[derive(Parser, Debug)]
#[command(name = "nearbits", version, about, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Fetch one file.
    Get(Box<GetArgs>),
    /// Run a node until it is told to end.
    Daemon(DaemonArgs),
    /// Show the running node.
    Status(AskArgs),
    /// The peers the running node knows.
    #[command(subcommand)]
    Peer(PeerCommand),
    /// What the running node keeps.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Groups of machines that trust each other: make one, make members, join, leave.
    #[command(subcommand)]
    Group(GroupCommand),
    /// What attestors of the group signed: look at it, take it back.
    #[command(subcommand)]
    Attestation(AttestationCommand),
    /// The computer's half of the permissions.
    #[command(subcommand)]
    Flags(FlagsCommand),
    /// Jobs: files that the running node fetches in the background, through restarts and lost networks.
    #[command(subcommand)]
    Job(JobCommand),
    /// The files of a job.
    #[command(subcommand)]
    File(FileCommand),
    /// What an administrator says of all jobs.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Say what an error code means and what to do about it; needs no running node.
    Explain(ExplainArgs),
    /// Show it all on this machine: a slow origin and five nodes that share a file.
    Demo(DemoArgs),
    /// Try out in a simulated world what many nodes would do: a scenario file, lived through in virtual time.
    Sim(SimArgs),
    /// Print what a shell needs to complete commands: `nearbits completions bash > /etc/bash_completion.d/nearbits`.
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them: `nearbits man /usr/local/share/man/man1`.
    Man(ManArgs),
}

/// Where the state is, and who is asked.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct PlaceArgs {
    /// Folder for identity, jobs, journals and cache [default: $XDG_STATE_HOME/nearbits].
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// The control socket of a running node.
    #[arg(long, value_name = "SOCK")]
    pub(super) control: Option<PathBuf>,
}

/// A question to the running node.
#[derive(Args, Clone, Debug)]
pub(super) struct AskArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct GetArgs {
    /// Where the file comes from first: an http or https URL.
    pub(super) url: String,
    /// Where it goes: a file, or an existing folder [default: the URL's last part, in this folder].
    #[arg(short, long, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
    /// The SHA-256 the file must have; lets neighbours help.
    #[arg(long, value_name = "HEX")]
    pub(super) sha256: Option<String>,
    /// The SHA-384 the file must have; lets neighbours help.
    #[arg(long, value_name = "HEX")]
    pub(super) sha384: Option<String>,
    /// The SHA-512 the file must have; lets neighbours help.
    #[arg(long, value_name = "HEX")]
    pub(super) sha512: Option<String>,
    /// The BLAKE3 the file must have; lets neighbours help, and proves every piece at once.
    #[arg(long, value_name = "HEX")]
    pub(super) blake3: Option<String>,
    /// An https URL of a list such as SHA256SUMS, or of a Metalink, that names the file's digest; lets neighbours help.
    #[arg(long, value_name = "URL")]
    pub(super) digest_from: Option<String>,
    /// Neither ask peers for this file nor serve it to them.
    #[arg(long)]
    pub(super) no_peers: bool,
    /// What must vouch for the bytes before peers are asked, at least: auto (a digest, or an attestor of this machine's
    /// group), attested-2 to attested-5 (a digest, or so many attestors), digest, or origin, which asks no peer at all.
    #[arg(long, value_name = "FLOOR", default_value = "auto", value_parser = str::parse::<TrustFloor>)]
    pub(super) trust: TrustFloor,
    /// Attestors of the group may vouch for the URL although it has a query.
    #[arg(long)]
    pub(super) shareable: bool,
    /// Who is asked beside the origin, and so may learn that this machine wants the file: link (everybody on the link, and
    /// --peer), members (of this machine's group), or none.
    #[arg(long, value_name = "WHOM", default_value = "link", value_parser = str::parse::<Ask>)]
    pub(super) ask: Ask,
    /// Keep to one of this machine's groups, by its id, the beginning of it, or its name: only its members are asked, only its attestors
    /// count.
    #[arg(long, value_name = "ID")]
    pub(super) group: Option<String>,
    /// A peer to try: ip:port, [v6%scope]:port or a multiaddress. May be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(super) peer: Vec<String>,
    /// Neither announce this node on the link nor look for others (embedded node only).
    #[arg(long)]
    pub(super) no_mdns: bool,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Listen for peers here: ip:port or [v6%interface]:port (embedded node only). May be repeated [default: every
    /// address, a free port].
    #[arg(long, value_name = "ADDR", value_parser = crate::node::parse_listen)]
    pub(super) listen: Vec<SocketAddr>,
    /// Bytes per second from all sources together, such as 500k, 2.5M or 1Gi.
    #[arg(long, value_name = "RATE")]
    pub(super) limit: Option<String>,
    /// Afterwards, serve neighbours that are fetching from us for at most so many seconds (embedded node only).
    #[arg(long, value_name = "SECS", default_value_t = 5)]
    pub(super) linger: u64,
    /// Afterwards, stay for so many seconds and serve whoever asks (embedded node only).
    #[arg(long, value_name = "SECS", default_value_t = 0)]
    pub(super) stay: u64,
    /// Give up when no byte has come for so many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    pub(super) timeout: u64,
    /// Replace an existing file of yours.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// A PEM file with authorities to trust beside the system's (embedded node only).
    #[arg(long, value_name = "FILE")]
    pub(super) extra_ca: Option<PathBuf>,
    /// Say afterwards why every range came from where it came.
    #[arg(long)]
    pub(super) why: bool,
    /// Print one JSON object at the end, and nothing else on standard output.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DaemonArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Read this configuration file (docs/config.md).
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Read the administrator's limits for jobs here (docs/config.md) [default: /etc/nearbits/policy.toml].
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Listen for peers here: ip:port or [v6%interface]:port. May be repeated [default: every address, a free port].
    #[arg(long, value_name = "ADDR", value_parser = crate::node::parse_listen)]
    pub(super) listen: Vec<SocketAddr>,
    /// Neither announce this node on the link nor look for others.
    #[arg(long)]
    pub(super) no_mdns: bool,
    /// A peer to keep trying. May be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(super) peer: Vec<String>,
    /// The computer's permissions: client, server, both with a comma, or none.
    #[arg(long, value_name = "FLAGS")]
    pub(super) flags: Option<String>,
    /// End when standard input is closed: for programs that start a node of their own.
    #[arg(long, hide = true)]
    pub(super) until_stdin_closes: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum PeerCommand {
    /// List them.
    List(AskArgs),
    /// Print this node's own id, for an invitation into a group; makes an identity if there is none yet. Needs no running
    /// node.
    Id(AskArgs),
    /// Ask the network who is there, at most every ten minutes. It is asked without that, too.
    Discover(AskArgs),
    /// Forget all that the configuration does not name, added ones too. Sessions go on, and bans hold.
    Clear(AskArgs),
    /// Take back one that was added. Its session goes on.
    Remove {
        /// The address it was added under.
        address: String,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Keep trying one, across restarts, until it is removed or all are cleared.
    Add {
        /// ip:port, [v6%scope]:port or a multiaddress.
        address: String,
        #[command(flatten)]
        ask: AskArgs,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum CacheCommand {
    /// List its records.
    List {
        /// Only those that were seen under this URL.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show all that is known of a record.
    Show {
        /// Its name, or the first digits of it.
        record: String,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove records; delivered files stay where they are.
    Delete {
        /// Their names, or the first digits of them.
        #[arg(required = true, value_name = "RECORD")]
        records: Vec<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Forget a URL; records that were seen under no other one go.
    DeleteUrl {
        /// The URL, as the job had it.
        url: String,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove every record; what is being read has five seconds to end.
    Clear(AskArgs),
    /// Show what the cache may take and what it takes, or say how much it may take; what is too much goes at once.
    Limit {
        /// 1% to 80% of the disk, or bytes such as 500M or 50Gi.
        size: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show the limits, or say after how many days without use a record goes.
    Age {
        /// 1 to 120.
        #[arg(value_parser = parse_age_days)]
        days: Option<u16>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show the limits, or say what becomes of delivered files.
    Keep {
        /// Make a copy of them when idle, or read them where they lie for as long as they are there.
        kept: Option<KeptAs>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Read a record through, or all of them; what does not prove is dropped, and fetched again when it is needed.
    Verify {
        /// Its name, or the first digits of it [default: all].
        record: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// What becomes of a delivered file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum KeptAs {
    Copy,
    Borrow,
}

impl From<KeptAs> for crate::control::api::KeepAs {
    fn from(kept: KeptAs) -> Self {
        match kept {
            KeptAs::Copy => Self::Copy,
            KeptAs::Borrow => Self::Borrow,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum FlagsCommand {
    /// Show them.
    Get(AskArgs),
    /// Change them; running jobs go on from the sources that are allowed then.
    Set {
        /// client, server, both with a comma, or none.
        flags: String,
        #[command(flatten)]
        ask: AskArgs,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum PolicyCommand {
    /// Show every value that holds, who said so, and what follows from it.
    Show(AskArgs),
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Its name, such as BG_E_INVALID_STATE or only invalid_state, or its number, such as 0x80200002.
    pub(super) code: String,
    /// Print JSON instead of lines.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete commands.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Write all pages into this folder, which is made if it is missing [default: the first page, on standard output].
    pub(super) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// How large the file is.
    #[arg(long, value_name = "MIB", default_value_t = 32, hide = true)]
    pub(super) size_mib: u64,
    /// How fast the origin's line is, megabytes per second.
    #[arg(long, value_name = "MB/S", default_value_t = 10, hide = true)]
    pub(super) wan_mb_per_s: u64,
    /// How the jobs name the file.
    #[arg(long, value_enum, default_value_t = DemoDigest::Blake3, hide = true)]
    pub(super) digest: DemoDigest,
}

#[derive(Args, Debug)]
pub(super) struct SimArgs {
    /// The scenario: machines, lines, what goes wrong (examples/scenarios/).
    #[arg(value_name = "FILE.toml")]
    pub(super) file: PathBuf,
    /// All chance follows from it: the same seed gives the same run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Run so many seeds, from --seed on; stop at the first one that goes wrong and say how to repeat it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) seeds: Option<u64>,
    /// Run the same world twice more, without its faults and from the origin alone, and say what both make of it.
    #[arg(long)]
    pub(super) beside: bool,
    /// Draw what happened: a page for a browser, in one file.
    #[arg(long, value_name = "OUT.html", conflicts_with = "seeds")]
    pub(super) plot: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

/// The digest that the demo's jobs carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum DemoDigest {
    Blake3,
    Sha256,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_argument_is_explained() {
        use clap::CommandFactory;
        fn look(command: &clap::Command, path: &str, silent: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if command.get_about().is_none() {
                silent.push(path.clone());
            }
            let is_silent = |arg: &&clap::Arg| !arg.is_hide_set() && arg.get_help().is_none();
            silent.extend(
                command.get_arguments().filter(is_silent).map(|arg| format!("{path} {}", arg.get_id())),
            );
            command.get_subcommands().for_each(|inner| look(inner, &path, silent));
        }
        let mut silent = Vec::new();
        look(&Cli::command(), "", &mut silent);
        assert!(silent.is_empty(), "{silent:?}");
    }
}
