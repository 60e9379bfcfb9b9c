//! The command line of `nearbits attestation`.
//!
//! Knows: its commands, flags and their help. Does not know: what they do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::AskArgs;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum AttestationCommand {
    /// Show what attestors of the group signed, as far as the running node knows.
    List(AskArgs),
    /// Take back what this node's holder attested, or with the group's file what anybody did; members are told.
    Void(VoidArgs),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct VoidArgs {
    /// An attestation's id, as `attestation list` prints it, or a URL.
    #[arg(value_name = "ID|URL")]
    pub(in crate::cli) what: String,
    /// Why, for people: at most 200 bytes.
    #[arg(long, value_name = "TEXT", default_value = "an administrator took it back")]
    pub(in crate::cli) reason: String,
    /// The group's file, as `group create` made it: takes back what any attestor of the group signed.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) group: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArgs,
}
