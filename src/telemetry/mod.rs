//! What the node says about itself to whoever runs it: log lines and memory in use.
//!
//! Knows: where log lines go and how `/proc` is read. Does not know: what the lines say.

use std::io::{IsTerminal, Read};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How much a program says on its standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verbosity {
    /// Warnings and errors only: for `get` and other commands whose output people read.
    #[default]
    Quiet,
    /// What a daemon's log should hold.
    Daemon,
    /// Everything.
    Debug,
}

/// The variable that overrules the verbosity, such as `nearbits=debug` or `nearbits::swarm=trace`.
pub const FILTER_VARIABLE: &str = "NEARBITS_LOG";

/// Sends log lines to standard error. Programs call it once, libraries never. A second call changes nothing.
pub fn init(verbosity: Verbosity) {
    let usual = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Daemon => "warn,nearbits=info",
        Verbosity::Debug => "info,nearbits=debug",
    };
    let filter =
        std::env::var(FILTER_VARIABLE).ok().and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(
            || EnvFilter::builder().with_default_directive(LevelFilter::ERROR.into()).parse_lossy(usual),
        );
    let told = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Whoever read them may be gone: that is no reason to end with him.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    if told.is_err() {
        tracing::debug!("log lines already have a place to go");
    }
}

/// Bytes of memory that this process holds right now (its resident set), or `None` where the system does not say.
#[must_use]
pub fn rss_bytes() -> Option<u64> {
    let mut text = String::new();
    std::fs::File::open("/proc/self/statm").ok()?.take(256).read_to_string(&mut text).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_len = u64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page_len)
}

/// Lets this process open as many files as the system allows it: parts, journals and connections take two or three for
/// each file on its way. What the system says against it changes nothing.
pub fn open_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Whether any link of this machine but the loopback is up and has an address; `None` where the system does not say.
#[must_use]
pub fn has_link() -> Option<bool> {
    let links = if_addrs::get_if_addrs().ok()?;
    Some(links.iter().any(|link| !link.is_loopback() && link.is_oper_up()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_memory_in_use() {
        // What the other tests of this process take and give back meanwhile says nothing.
        let held = vec![1_u8; 32 << 20];
        let used = rss_bytes().expect("Linux says");
        assert!(held.iter().all(|byte| *byte == 1));
        assert!(used >= 32 << 20, "{used}");
    }
}
