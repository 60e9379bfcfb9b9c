//! The command line of jobs and of their files.
//!
//! Knows: flags, their help, how their values are written. Does not know: what commands do.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use peer_proto::digest::Digest;

use super::AskArgs;
use crate::cli::amount::{parse_limit, parse_max_size};
use crate::cli::words::{parse_digest, parse_flags, parse_index, parse_notify, parse_ranges};
use crate::control::api::{
    Ask, JobState, MaxSize, NotifyFlags, PeerFlags, Priority, Redirects, RemoteRange, TrustFloor,
};

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum JobCommand {
    /// Make a job, or add files to one; prints its id.
    ///
    /// All of its files are taken, or none. The job begins at once unless --suspended is given (BITS makes jobs
    /// suspended). When it is transferred, its files wait for `nearbits job complete` to get their final names, unless
    /// --auto-complete is given.
    Add(Box<AddArgs>),
    /// List jobs.
    List(ListArgs),
    /// Show all of one job: state, last error and what to do about it, settings, files.
    Show(OneJob),
    /// Change a job: all that is named, or nothing if one part is refused.
    Set(Box<SetArgs>),
    /// Make another user's job your own; for administrators. Header lines of the owner before are removed.
    Take(SomeJobs),
    /// Stop jobs for now; what was fetched stays.
    Suspend(SomeJobs),
    /// Let jobs begin or go on, also after an error.
    Resume(SomeJobs),
    /// Give the files their final names. A job of which not every file is whole is left as it is (exit code 3), unless
    /// --partial says to give the others up.
    Complete(CompleteArgs),
    /// Give jobs up; nothing is left of them.
    Cancel(SomeJobs),
    /// Show jobs no more that are over; what they delivered stays. The last 1024 of them are listed otherwise.
    Forget(ForgetArgs),
    /// Wait until jobs are transferred, failed or stopped; the exit code says how it went.
    Wait(WaitArgs),
    /// Look on: one bar per job, rates by source, why it waits. Ends when all jobs are settled.
    Watch(WatchArgs),
    /// Say why every range came from where it came, and who was passed over.
    Why(WhyArgs),
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum FileCommand {
    /// List the files of a job.
    List(OneJob),
    /// Say whether a whole file is what it should be. A wrong one is removed: if peers gave any of it, it is fetched
    /// again from the origin, else the job is in error.
    Validate(ValidateArgs),
    /// Fetch parts of a file before the rest of it, or at all if the job is in on-demand mode.
    ///
    /// A job that is suspended because everything was there that had been asked for goes on. No byte is fetched twice; the
    /// unit is a piece, 64 KiB of a file up to 1 GiB. What is there can be read under the temporary name.
    Request(RequestArgs),
    /// Fetch what is missing of a file from one byte on first, as after a jump in a film.
    Position(PositionArgs),
    /// List the parts of a file that can be read already.
    Ranges(OneFile),
}

/// A file of a job.
#[derive(Args, Debug)]
pub(in crate::cli) struct OneFile {
    /// The job: its name, or the first digits of its id.
    #[arg(value_name = "JOB")]
    pub(in crate::cli) job: String,
    /// The place of the file in it, from 0.
    #[arg(value_name = "INDEX", value_parser = parse_index)]
    pub(in crate::cli) index: u16,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RequestArgs {
    #[command(flatten)]
    pub(in crate::cli) place: OneFile,
    /// Which bytes of the file: offset:length with a comma between, such as 0:4096,1048576:eof.
    #[arg(long, value_name = "OFF:LEN,…", value_parser = parse_ranges, required = true)]
    pub(in crate::cli) ranges: Ranges,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct PositionArgs {
    #[command(flatten)]
    pub(in crate::cli) place: OneFile,
    /// The byte of the file.
    #[arg(value_name = "OFFSET")]
    pub(in crate::cli) offset: u64,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct OneJob {
    /// The job: its name, or the first digits of its id.
    #[arg(value_name = "JOB")]
    pub(in crate::cli) job: String,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct SomeJobs {
    /// The jobs: names, or first digits of ids.
    #[arg(value_name = "JOB", required = true)]
    pub(in crate::cli) jobs: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct CompleteArgs {
    /// The jobs: names, or first digits of ids.
    #[arg(value_name = "JOB", required = true)]
    pub(in crate::cli) jobs: Vec<String>,
    /// Also where not every file is whole: those that are get their names, the others are given up. Exit code 3.
    #[arg(long)]
    pub(in crate::cli) partial: bool,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct ForgetArgs {
    /// The jobs: names, or first digits of ids.
    #[arg(value_name = "JOB", required_unless_present = "over")]
    pub(in crate::cli) jobs: Vec<String>,
    /// All of yours that were completed or cancelled.
    #[arg(long, conflicts_with = "jobs")]
    pub(in crate::cli) over: bool,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct AddArgs {
    /// Pairs of an http or https URL and where its file goes: a file, or a folder for a file named like the URL's last
    /// part. Relative paths begin at the current folder.
    #[arg(value_name = "URL DEST")]
    pub(in crate::cli) pairs: Vec<String>,
    /// Add the files to this job instead of making a new one: its name, or the first digits of its id.
    #[arg(long, value_name = "JOB")]
    pub(in crate::cli) to: Option<String>,
    /// Read more pairs from a file, or from standard input if it is `-`: one a line, URL first, a blank between. Empty
    /// lines and lines that begin with # are left out.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file_list: Option<PathBuf>,
    /// Read more files from a table, or from standard input if it is `-`: url,path[,digest]. A first line with the names
    /// of the columns may say their order (also Source,Destination).
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) csv: Option<PathBuf>,
    /// Make a job of every line of the table. A line that is refused does not keep the others.
    #[arg(long, requires = "csv", conflicts_with_all = ["pairs", "to", "file_list", "sha256", "digest",
        "ranges", "mirror"])]
    pub(in crate::cli) per_line: bool,
    /// The SHA-256 that the file must have; lets neighbours help. For one file; more are named in a table.
    #[arg(long, value_name = "HEX")]
    pub(in crate::cli) sha256: Option<String>,
    /// An https URL of a list such as SHA256SUMS, or of a Metalink, that names the digests of all these files.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) digest_from: Option<String>,
    /// Another digest that the file must have, such as blake3:HEX or sha512:HEX. May be repeated.
    #[arg(long, value_name = "ALGORITHM:HEX", value_parser = parse_digest)]
    pub(in crate::cli) digest: Vec<Digest>,
    /// Only these parts of the remote file, in this order: offset:length with a comma between, such as 0:4096,1048576:eof.
    /// For one file. With --peers, ranges of at least 400 bytes are advised.
    #[arg(long, value_name = "OFF:LEN,…", value_parser = parse_ranges)]
    pub(in crate::cli) ranges: Option<Ranges>,
    /// Another URL of the same bytes, tried when the first says no. May be repeated. For one file.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) mirror: Vec<String>,
    /// Do not begin: `nearbits job resume` does.
    #[arg(long, conflicts_with = "to")]
    pub(in crate::cli) suspended: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingArgs,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("of_file").multiple(true)))]
pub(in crate::cli) struct SetArgs {
    /// The job: its name, or the first digits of its id.
    #[arg(value_name = "JOB")]
    pub(in crate::cli) job: String,
    /// The place of the file that --url, --sha256 or --digest is for, from 0 [default: the only one].
    #[arg(long, value_name = "INDEX", value_parser = parse_index, requires = "of_file")]
    pub(in crate::cli) file: Option<u16>,
    /// Another URL for that file; what was fetched stays if the bytes are the same.
    #[arg(long, value_name = "URL", group = "of_file")]
    pub(in crate::cli) url: Option<String>,
    /// Another SHA-256 that the file must have, instead of all digests it had: while it is in error, or not begun.
    #[arg(long, value_name = "HEX", group = "of_file")]
    pub(in crate::cli) sha256: Option<String>,
    /// The same with any digest, such as blake3:HEX. May be repeated.
    #[arg(long, value_name = "ALGORITHM:HEX", value_parser = parse_digest, group = "of_file")]
    pub(in crate::cli) digest: Vec<Digest>,
    /// In all URLs that begin with OLD, NEW takes its place.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "url")]
    pub(in crate::cli) replace_prefix: Vec<String>,
    /// Take the header lines away.
    #[arg(long, conflicts_with = "header_file")]
    pub(in crate::cli) no_headers: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingArgs,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

/// What may be said of a job when it is made, and later.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub(in crate::cli) struct SettingArgs {
    /// What people call it, at most 256 characters [default: like its first file].
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,
    /// What it is for, at most 1024 characters.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) description: Option<String>,
    /// How urgent it is [default: normal].
    #[arg(long, value_enum, ignore_case = true, value_name = "PRIORITY")]
    pub(in crate::cli) priority: Option<PriorityArg>,
    /// The job's half of the permissions: client (take bytes from peers), server (serve them), both with a comma, or none.
    /// The computer's half is `nearbits flags` [default: none].
    #[arg(long, value_name = "FLAGS", value_parser = parse_flags)]
    pub(in crate::cli) peers: Option<PeerFlags>,
    /// Ask no BranchCache. Kept and shown; no BranchCache is asked yet anyhow.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) disable_branch_cache: Option<bool>,
    /// Give the files their final names as soon as all are whole.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) auto_complete: Option<bool>,
    /// Replace existing files of yours.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) overwrite: Option<bool>,
    /// What must vouch for the bytes before peers are asked, at least: auto (a digest, or an attestor of this machine's
    /// group), attested-2 to attested-5 (a digest, or so many attestors), digest, or origin, which asks no peer at all
    /// [default: auto].
    #[arg(long, value_name = "FLOOR", value_parser = str::parse::<TrustFloor>)]
    pub(in crate::cli) trust: Option<TrustFloor>,
    /// Who is asked beside the origin, and so may learn that this machine wants the files: link (everybody on the link, and
    /// configured peers), members (of this machine's group), or none [default: link].
    #[arg(long, value_name = "WHOM", value_parser = str::parse::<Ask>)]
    pub(in crate::cli) ask: Option<Ask>,
    /// Keep to one of this machine's groups, by its id, the beginning of it, or its name: only its members are asked, only its attestors
    /// count; or none, for all of its groups [default: none].
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) group: Option<String>,
    /// Attestors of the group may vouch for the URLs although they have a query.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) shareable: Option<bool>,
    /// Make folders that are missing.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) create_dirs: Option<bool>,
    /// Bytes per second from all sources together, such as 500k, 2.5M or 1Gi, or none.
    #[arg(long, value_name = "RATE", value_parser = parse_limit)]
    pub(in crate::cli) limit: Option<Limit>,
    /// Bytes per second from origins, or none.
    #[arg(long, value_name = "RATE", value_parser = parse_limit)]
    pub(in crate::cli) limit_wan: Option<Limit>,
    /// Bytes per second from peers, or none.
    #[arg(long, value_name = "RATE", value_parser = parse_limit)]
    pub(in crate::cli) limit_lan: Option<Limit>,
    /// Seconds before a failure that may pass is tried again, at least 5 [default: 600].
    #[arg(long, value_name = "SECS")]
    pub(in crate::cli) retry_delay: Option<u64>,
    /// Seconds without a byte after which such a failure is final; 0 means that nothing is tried again [default: 14 days].
    #[arg(long, value_name = "SECS")]
    pub(in crate::cli) no_progress_timeout: Option<u64>,
    /// Seconds it may connect and transfer in all; 0 for what the policy says [default: what the policy says].
    #[arg(long, value_name = "SECS")]
    pub(in crate::cli) max_time: Option<u64>,
    /// Bytes it may take in all, such as 700M or 10GiB, or none; what is too long is an error as soon as that is known. To be
    /// set before the job begins [default: none].
    #[arg(long, value_name = "SIZE", value_parser = parse_max_size)]
    pub(in crate::cli) max_size: Option<MaxSize>,
    /// Header lines for every request, one `Name: value` a line. A file, so that no secret is in a list of processes;
    /// /dev/fd/3 is a file too.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) header_file: Option<PathBuf>,
    /// Nobody can read the header lines any more, not even you. Never taken back.
    #[arg(long)]
    pub(in crate::cli) headers_write_only: bool,
    /// What a redirect does: follow it, follow and report the new URL, or fail [default: follow].
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(in crate::cli) redirect: Option<RedirectArg>,
    /// The origin makes the files as it is asked: one stream each, from zero after any break, at no limit, at foreground
    /// priority only, never from or for peers. To be set before the job begins.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) dynamic: Option<bool>,
    /// Fetch only what `nearbits file request` asks for; needs an origin that gives ranges.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
        value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    pub(in crate::cli) on_demand: Option<bool>,
    /// Of which events listeners are told: transferred, error, changed, file, ranges with commas, or none; or BITS'
    /// number [default: transferred,error].
    #[arg(long, value_name = "EVENTS", value_parser = parse_notify)]
    pub(in crate::cli) notify: Option<NotifyFlags>,
    /// Milliseconds between two events of changes [default: 500].
    #[arg(long, value_name = "MS")]
    pub(in crate::cli) notify_interval: Option<u32>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {
    /// Those of all users; for administrators.
    #[arg(long)]
    pub(in crate::cli) all_users: bool,
    /// Only those in this state.
    #[arg(long, value_enum, ignore_case = true, value_name = "STATE")]
    pub(in crate::cli) state: Option<StateArg>,
    /// Only those with such a name: * stands for any letters, ? for one, [a-r] for one of these.
    #[arg(long, value_name = "PATTERN")]
    pub(in crate::cli) name: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct WaitArgs {
    /// The jobs: names, or first digits of ids.
    #[arg(value_name = "JOB", required = true)]
    pub(in crate::cli) jobs: Vec<String>,
    /// Wait no longer than so many seconds; then the exit code is 4.
    #[arg(long, value_name = "SECS")]
    pub(in crate::cli) timeout: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct WatchArgs {
    /// The jobs: names, or first digits of ids [default: all that are not settled].
    #[arg(value_name = "JOB")]
    pub(in crate::cli) jobs: Vec<String>,
    /// Those of all users; for administrators.
    #[arg(long, conflicts_with = "jobs")]
    pub(in crate::cli) all_users: bool,
    /// Look every so many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    pub(in crate::cli) refresh: u64,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct WhyArgs {
    /// Only of this file: its place, from 0.
    #[arg(long, value_name = "INDEX", value_parser = parse_index)]
    pub(in crate::cli) file: Option<u16>,
    #[command(flatten)]
    pub(in crate::cli) one: OneJob,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("verdict").required(true).args(["valid", "invalid"])))]
pub(in crate::cli) struct ValidateArgs {
    /// The job: its name, or the first digits of its id.
    #[arg(value_name = "JOB")]
    pub(in crate::cli) job: String,
    /// The place of the file in it, from 0.
    #[arg(value_name = "INDEX", value_parser = parse_index)]
    pub(in crate::cli) index: u16,
    /// It is what it should be.
    #[arg(long)]
    pub(in crate::cli) valid: bool,
    /// It is not.
    #[arg(long)]
    pub(in crate::cli) invalid: bool,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}

/// A limit that is set, or taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Limit(pub(in crate::cli) Option<NonZeroU64>);

/// Parts of a remote file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Ranges(pub(in crate::cli) Vec<RemoteRange>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum PriorityArg {
    /// Somebody waits for it; no limit for background jobs holds.
    Foreground,
    /// Before other background jobs.
    High,
    /// The usual one.
    Normal,
    /// After all others.
    Low,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Foreground => Self::Foreground,
            PriorityArg::High => Self::High,
            PriorityArg::Normal => Self::Normal,
            PriorityArg::Low => Self::Low,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum RedirectArg {
    /// The file's URL stays.
    Follow,
    /// The last URL becomes the file's.
    Report,
    /// The job is in error, which names the target.
    Deny,
}

impl From<RedirectArg> for Redirects {
    fn from(redirect: RedirectArg) -> Self {
        match redirect {
            RedirectArg::Follow => Self::Follow,
            RedirectArg::Report => Self::Report,
            RedirectArg::Deny => Self::Deny,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum StateArg {
    Queued,
    Connecting,
    Transferring,
    Suspended,
    Error,
    #[value(alias = "transient_error")]
    TransientError,
    Transferred,
    Acknowledged,
    Cancelled,
}

impl From<StateArg> for JobState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Queued => Self::Queued,
            StateArg::Connecting => Self::Connecting,
            StateArg::Transferring => Self::Transferring,
            StateArg::Suspended => Self::Suspended,
            StateArg::Error => Self::Error,
            StateArg::TransientError => Self::TransientError,
            StateArg::Transferred => Self::Transferred,
            StateArg::Acknowledged => Self::Acknowledged,
            StateArg::Cancelled => Self::Cancelled,
        }
    }
}
