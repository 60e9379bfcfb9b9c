//! The configuration file: one struct, made of small ones, read once.
//!
//! Knows: the keys of `nearbits.toml` (`docs/config.md` describes each) and how to say what is wrong with a file.
//! Does not know: what the parts do with their values.

pub mod policy;

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_proto::subnet::Subnet;
use serde::{Deserialize, Serialize};

use crate::job::{PeerFlags, Policy, Rates, ServeRates, TrustFloor};
use crate::node::{OriginConfig, QueueConfig, START_SPREAD_S_MAX, SiteConfig};
use crate::record::CacheWish;
use crate::swarm::{Tunnels, parse_listen};

/// Everything a configuration file may say. What it does not say stays at its default; what the command line says
/// wins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where identity, jobs, journals and cache are kept. Default: `$XDG_STATE_HOME/nearbits`, or
    /// `~/.local/state/nearbits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// A second name for the control socket. Default: only `control.sock` in the state folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// The computer's half of the permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<PeerFlags>,
    /// How peers are found and met.
    pub peers: PeersConfig,
    /// How origins are asked.
    pub origin: OriginSection,
    /// How jobs share the node, and what they may have.
    pub jobs: JobsSection,
    /// What must vouch for bytes of peers, and whose files are attested.
    pub trust: TrustSection,
    /// What the cache may hold.
    pub cache: CacheWish,
    /// How peers are served.
    pub serving: ServingSection,
}

impl Config {
    /// What this node's user prefers of jobs and of trust where the administrator's file says nothing.
    #[must_use]
    pub fn preference(&self) -> Policy {
        let TrustSection { min_trust, attest_hosts, require_same_anchor } = self.trust.clone();
        Policy { min_trust, attest_hosts, require_same_anchor, ..self.jobs.preference() }
    }

    fn trust_fault(&self) -> Option<(&'static str, String)> {
        self.preference().check().err().map(|error| (error.key(), error.to_string()))
    }
}

/// How peers are found and met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PeersConfig {
    /// Addresses to listen on for peers. Default: every address, IPv4 and IPv6, on a port of the system's choice.
    #[serde(deserialize_with = "listen")]
    pub listen: Vec<SocketAddr>,
    /// Whether to announce ourselves and look for others by mDNS. Default true.
    pub mdns: bool,
    /// Whether to ask everybody on the links at once who has what is wanted, and to call who asks for what is here. Default: as
    /// `mdns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_link: Option<bool>,
    /// Peers to keep trying, each `ip:port`, `[v6%scope]:port` or a multiaddress. Default none.
    pub static_peers: Vec<String>,
    /// What this node does for others beside serving them. Default nothing.
    pub roles: Vec<Role>,
    /// Peers with the role of a rendezvous, which name others of the site: written as static peers, and kept trying like
    /// those. Default none.
    pub rendezvous: Vec<String>,
    /// Addresses of the site's machines, as in `10.1.0.0/16`, where a rendezvous is used. Default every private address.
    pub site_nets: Vec<Subnet>,
    /// Whether peers are met over VPNs and other tunnels (tun, tap, WireGuard, PPP, GRE). Default false: static peers and
    /// rendezvous only.
    pub vpn: bool,
}

/// What a node does for others beside serving them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It names those who register with it to each other.
    Rendezvous,
}

impl PeersConfig {
    /// Whether peers are met over tunnels.
    #[must_use]
    pub const fn tunnels(&self) -> Tunnels {
        if self.vpn { Tunnels::Use } else { Tunnels::Shun }
    }

    /// What is of this node's site beyond its links.
    #[must_use]
    pub fn site(&self) -> SiteConfig {
        let is_rendezvous = self.roles.contains(&Role::Rendezvous);
        SiteConfig { is_rendezvous, subnets: self.site_nets.clone() }
    }
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            mdns: true,
            ask_link: None,
            static_peers: Vec::new(),
            roles: Vec::new(),
            rendezvous: Vec::new(),
            site_nets: Vec::new(),
            vpn: false,
        }
    }
}

/// Addresses as people write them: with the names of interfaces.
fn listen<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(value)?;
    texts.iter().map(|text| parse_listen(text).map_err(serde::de::Error::custom)).collect()
}

/// How origins are asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OriginSection {
    /// A PEM file with certificates of authorities to trust beside the system's. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_ca: Option<PathBuf>,
    /// Seconds for name and TCP, and again for TLS, 1 to 3600. Default 10 (LIM-21).
    pub connect_timeout_s: u16,
    /// Seconds from a question to the head of its answer, 1 to 3600. Default 30 (LIM-21).
    pub answer_timeout_s: u16,
    /// Seconds without a byte after which an answer counts as broken off, 1 to 3600. Default 30 (LIM-21).
    pub silence_timeout_s: u16,
}

impl Default for OriginSection {
    fn default() -> Self {
        Self { extra_ca: None, connect_timeout_s: 10, answer_timeout_s: 30, silence_timeout_s: 30 }
    }
}

impl OriginSection {
    /// How the client asks; the rest is as usual.
    #[must_use]
    pub fn client(&self) -> OriginConfig {
        let span = |seconds: u16| Duration::from_secs(seconds.into());
        OriginConfig {
            extra_ca: self.extra_ca.clone(),
            connect_timeout: span(self.connect_timeout_s),
            head_timeout: span(self.answer_timeout_s),
            no_progress: span(self.silence_timeout_s),
            ..OriginConfig::default()
        }
    }

    /// The key that is out of its bounds, and what they are.
    fn fault(&self) -> Option<(&'static str, String)> {
        let spans = [
            ("connect-timeout-s", self.connect_timeout_s),
            ("answer-timeout-s", self.answer_timeout_s),
            ("silence-timeout-s", self.silence_timeout_s),
        ];
        let wrong = spans.into_iter().find(|(_, seconds)| !(1..=ORIGIN_TIMEOUT_S_MAX).contains(seconds));
        wrong
            .map(|(key, seconds)| (key, format!("{key} is {seconds}; it may be 1 to {ORIGIN_TIMEOUT_S_MAX}")))
    }
}

/// The longest that the origin's client may wait for anything: an hour.
const ORIGIN_TIMEOUT_S_MAX: u16 = 3_600;

/// How peers are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServingSection {
    /// Bytes per second that peers are given: `total` all together, `peer` any one of them. Default without limits; a
    /// policy may say less (POL-6).
    pub rates: ServeRates,
}

/// How jobs share the node, and what they may have where the administrator's file says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JobsSection {
    /// Background jobs that run at once, 1 to 64. Default 4.
    pub background_at_once: u16,
    /// Seconds a background job runs while others of its priority wait, at least 1. Default 300 (SCHED-4).
    pub slice_s: u32,
    /// Files of one job on their way at once, 1 to 16. Default 4.
    pub files_at_once: u16,
    /// Seconds within which a background job begins, at a moment that chance chooses, 0 to 3600. Default 0: at once (SCHED-11).
    pub start_spread_s: u16,
    /// Bytes per second of all jobs together: `total`, `wan` for origins, `lan` for peers. Default without limits.
    pub rates: Rates,
    /// Days without any activity after which a job is given up, 1 to 999. Default 90 (POL-10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactivity_days: Option<u16>,
    /// Seconds a job may connect and transfer in all, at least 1. Default 7 776 000 (POL-11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_download_s: Option<u64>,
    /// Jobs of all users together, at least 1. Default 300 (POL-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_machine: Option<u32>,
    /// Jobs of one user, fewer than of all together. Default 60 (POL-13).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_user: Option<u32>,
    /// Files of a job, 1 to 65 536. Default 200 (POL-14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_per_job: Option<u32>,
    /// Ranges of a file, 1 to 65 536. Default 500 (POL-15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges_per_file: Option<u32>,
}

/// Trust: a policy that says more comes first, and a floor is only ever raised.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrustSection {
    /// The least that must vouch for bytes before peers are asked: `auto`, `attested-2` to
    /// `attested-5`, `digest` or `origin`. Default `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_trust: Option<TrustFloor>,
    /// Hosts, at most 64, whose files are attested although their certificates end in a root of `[origin]`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest_hosts: Option<Vec<String>>,
    /// Whether attestors must have seen the same root certificate of the origin as this machine. Default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_same_anchor: Option<bool>,
}

impl Default for JobsSection {
    fn default() -> Self {
        let QueueConfig { background_at_once, slice_s, files_at_once, start_spread_s } =
            QueueConfig::default();
        Self {
            background_at_once,
            slice_s,
            files_at_once,
            start_spread_s,
            rates: Rates::default(),
            inactivity_days: None,
            max_download_s: None,
            jobs_per_machine: None,
            jobs_per_user: None,
            files_per_job: None,
            ranges_per_file: None,
        }
    }
}

impl JobsSection {
    /// How jobs share the node.
    #[must_use]
    pub const fn queue(&self) -> QueueConfig {
        let Self { background_at_once, slice_s, files_at_once, start_spread_s, .. } = *self;
        QueueConfig { background_at_once, slice_s, files_at_once, start_spread_s }
    }

    /// What jobs may have where the administrator's file says nothing.
    #[must_use]
    pub fn preference(&self) -> Policy {
        Policy {
            inactivity_days: self.inactivity_days,
            max_download_s: self.max_download_s,
            jobs_per_machine: self.jobs_per_machine,
            jobs_per_user: self.jobs_per_user,
            files_per_job: self.files_per_job,
            ranges_per_file: self.ranges_per_file,
            // The rest are preferred elsewhere: the computer's flags, the cache's limits.
            ..Policy::default()
        }
    }

    /// The key that is out of its bounds, and what they are.
    fn fault(&self) -> Option<(&'static str, String)> {
        let counts = [
            ("background-at-once", u32::from(self.background_at_once), 1..=64),
            ("slice-s", self.slice_s, 1..=u32::MAX),
            ("files-at-once", u32::from(self.files_at_once), 1..=16),
            ("start-spread-s", u32::from(self.start_spread_s), 0..=u32::from(START_SPREAD_S_MAX)),
        ];
        let wrong = counts.into_iter().find(|(_, value, may)| !may.contains(value));
        if let Some((key, value, may)) = wrong {
            return Some((key, format!("{key} is {value}; it may be {} to {}", may.start(), may.end())));
        }
        self.preference().check().err().map(|error| (error.key(), error.to_string()))
    }
}

/// Why a configuration file cannot be used, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not what `docs/config.md` describes.
    #[error("{}, line {line}: {message}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with the line and, for an unknown key, its name and the names there are.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        Self::parse(&text).map_err(|(line, message)| ConfigError::wrong(path, line, message))
    }

    fn cache_fault(&self) -> Option<(&'static str, String)> {
        self.cache.check().err().map(|error| ("age-days", error.to_string()))
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let config: Self = parse(text)?;
        let faults = [config.origin.fault(), config.jobs.fault(), config.trust_fault(), config.cache_fault()];
        match faults.into_iter().flatten().next() {
            Some((key, message)) => Err((line_of(text, key), message)),
            None => Ok(config),
        }
    }
}

impl ConfigError {
    fn wrong(path: &Path, line: usize, message: String) -> Self {
        Self::Wrong { path: path.to_owned(), line, message }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// The line of a key that occurs once, from one.
fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| line.split('=').next().is_some_and(|name| name.trim() == key);
    text.lines().position(is_it).unwrap_or_default() + 1
}

/// Reads a whole file's text; an error comes with its line, from one, and says whose value is wrong.
fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let is_no_word = error.message() == "wanted string or table";
        let words = error.span().filter(|_| is_no_word).and_then(|place| words_for::<T>(text, place));
        let message = words.unwrap_or_else(|| plainly(&error.message().replace('\n', " ")));
        let message = match before.lines().last().and_then(|line| line.split_once('=')) {
            Some((key, _)) if !before.ends_with('\n') => format!("{}: {message}", key.trim()),
            _ => message,
        };
        (before.matches('\n').count() + 1, message)
    })
}

/// What is wrong with a value that should be one of some words: the parser lists them where it finds another one.
fn words_for<T: serde::de::DeserializeOwned>(text: &str, place: Range<usize>) -> Option<String> {
    let with_a_word = format!("{}\"?\"{}", text.get(..place.start)?, text.get(place.end..)?);
    let error = toml::from_str::<T>(&with_a_word).err()?;
    let words = error.message().strip_prefix("unknown variant `?`, expected ")?;
    Some(format!("{} stands where {words} is wanted", text.get(place)?.trim()))
}

/// What the parser says of a value of the wrong kind, without its words for kinds.
fn plainly(message: &str) -> String {
    let said = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, wanted)) = said.and_then(|said| said.split_once(", expected ")) else {
        return message.to_owned();
    };
    let found = match found.split_once(' ') {
        Some(("string", text)) => text.to_owned(),
        Some((_, value)) if value.starts_with('`') => value.trim_matches('`').to_owned(),
        Some(_) | None => match found {
            "map" => "a table".to_owned(),
            "sequence" => "a list".to_owned(),
            found => found.to_owned(),
        },
    };
    let wanted = match wanted {
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        "a string" => "a text in quotes",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number (not negative, not too large)",
        wanted if wanted.starts_with("struct ") => "a table",
        wanted => wanted,
    };
    format!("{found} stands where {wanted} is wanted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CacheLimits;

    #[test]
    fn an_unknown_key_is_refused_by_its_name_and_line() {
        let (line, message) = Config::parse("[peers]\nmdns = false\nlisen = []\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(message.contains("`lisen`") && message.contains("`listen`"), "{message}");
        assert!(!message.contains('\n'));
    }

    #[test]
    fn a_value_of_a_wrong_kind_is_refused_with_the_name_of_its_key_and_its_line() {
        let (line, message) = Config::parse("[peers]\nmdns = \"no\"\n").unwrap_err();
        assert_eq!((line, message.as_str()), (2, "mdns: \"no\" stands where true or false is wanted"));
        let (line, message) = parse::<Policy>("jobs-per-user = 3\n jobs-per-machine = [3]\n").unwrap_err();
        assert!(
            line == 2
                && message
                    == "jobs-per-machine: a list stands where a whole number (not negative, not too large) is wanted",
            "{message}"
        );
        let (line, message) = parse::<Policy>("jobs-per-user = -1\n").unwrap_err();
        assert!(
            line == 1 && message.starts_with("jobs-per-user: -1 stands where a whole number"),
            "{message}"
        );
        let (line, message) = Config::parse("peers = 3\n").unwrap_err();
        assert_eq!((line, message.as_str()), (1, "peers: 3 stands where a table is wanted"));
        let (line, message) = parse::<Policy>("jobs-per-user\n").unwrap_err();
        assert!(line == 1 && !message.starts_with("jobs-per-user: "), "{message}");
    }

    #[test]
    fn trust_an_unknown_floor_and_too_many_hosts_are_refused_with_their_line() {
        let (line, message) = Config::parse("[trust]\nmin-trust = \"level-3\"\n").unwrap_err();
        assert!(line == 2 && message.contains("`level-3`") && message.contains("`attested-2`"), "{message}");
        let (line, message) = Config::parse("[trust]\nmin-trust = 3\n").unwrap_err();
        assert_eq!(
            (line, message.as_str()),
            (
                2,
                "min-trust: 3 stands where one of `auto`, `attested-2`, `attested-3`, `attested-4`, \
                 `attested-5`, `digest`, `origin` is wanted"
            )
        );
        let hosts = vec!["\"a\""; 65].join(",");
        let (line, message) = Config::parse(&format!("[trust]\n\nattest-hosts = [{hosts}]\n")).unwrap_err();
        assert_eq!((line, message.as_str()), (3, "attest-hosts is 65; it may be 0 to 64"));
    }

    #[test]
    fn a_cache_limit_out_of_bounds_is_refused_with_its_line() {
        for (text, word) in [("[cache]\nage-days = 200\n", "120 days"), ("[cache]\nsize = \"99%\"\n", "80%")]
        {
            let (line, message) = Config::parse(text).unwrap_err();
            assert!(line == 2 && message.contains(word), "{line} {message}");
        }
    }

    #[test]
    fn a_role_that_is_none_and_a_subnet_that_is_none_are_refused_with_their_line() {
        for (text, word) in [
            ("[peers]\nroles = [\"relay\"]\n", "`rendezvous`"),
            ("[peers]\nsite-nets = [\"10.1.0.0\"]\n", "10.1.0.0/16"),
        ] {
            let (line, message) = Config::parse(text).unwrap_err();
            assert!(line == 2 && message.contains(word), "{line} {message}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_its_line() {
        let (line, message) = Config::parse("\n[peers]\nlisten = [\"nowhere\"]\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(message.contains("address to listen on"), "{message}");
    }

    #[test]
    fn the_example_in_the_document_is_a_whole_configuration() {
        let text = include_str!("../../docs/config.md");
        let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let config = Config::parse(example.expect("docs/config.md has an example")).expect("it is valid");
        assert_eq!(config.flags, Some(PeerFlags::BOTH));
        assert!(config.state_dir.is_some() && config.control.is_some() && config.origin.extra_ca.is_some());
        assert_eq!(config.peers.static_peers.len(), 2);
        assert_eq!((config.peers.rendezvous.len(), config.peers.site_nets.len()), (1, 2));
        assert!(config.peers.site().is_rendezvous);
        assert_eq!((config.peers.tunnels(), PeersConfig::default().tunnels()), (Tunnels::Use, Tunnels::Shun));
        assert_eq!(config.jobs.queue(), QueueConfig::default());
        assert_eq!(config.preference().inactivity_days, Some(30));
        assert_eq!(config.preference().min_trust, Some(TrustFloor::AttestedTwice));
        assert!(
            config.preference().attest_hosts.is_some() && config.preference().require_same_anchor.is_some()
        );
        assert!(config.jobs.rates.total.is_some() && config.jobs.rates.wan.is_some());
        assert!(config.serving.rates.total.is_some() && config.serving.rates.peer.is_some());
        assert_eq!(config.cache.over(CacheLimits::default()), CacheLimits::default());
    }

    #[test]
    fn a_number_out_of_its_bounds_is_refused_with_its_line() {
        for (text, named) in [
            ("[origin]\n\nconnect-timeout-s = 0\n", "connect-timeout-s is 0; it may be 1 to 3600"),
            ("[origin]\n\nanswer-timeout-s = 3601\n", "answer-timeout-s is 3601; it may be 1 to 3600"),
            ("[origin]\n\nsilence-timeout-s = 0\n", "silence-timeout-s is 0; it may be 1 to 3600"),
            ("[jobs]\n\nbackground-at-once = 65\n", "background-at-once is 65; it may be 1 to 64"),
            ("[jobs]\n\nslice-s=0\n", "slice-s is 0; it may be 1 to 4294967295"),
            ("[jobs]\n\n  files-at-once = 17", "files-at-once is 17; it may be 1 to 16"),
            ("[jobs]\n\nstart-spread-s = 3601", "start-spread-s is 3601; it may be 0 to 3600"),
            ("[jobs]\n\ninactivity-days = 0\n", "inactivity-days is 0; it may be 1 to 999"),
            ("[jobs]\n\nrates = { total = 0 }\n", "nonzero"),
            ("[serving]\n\nrates = { peer = 0 }\n", "nonzero"),
        ] {
            let (line, message) = Config::parse(text).unwrap_err();
            assert_eq!(line, 3, "{text}: {message}");
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn lim_21_the_times_of_the_origins_client_are_what_the_file_says_and_else_its_own() {
        let client = |text: &str| {
            let config = Config::parse(text).unwrap().origin.client();
            [config.connect_timeout, config.head_timeout, config.no_progress]
        };
        let usual = OriginConfig::default();
        assert_eq!(client(""), [usual.connect_timeout, usual.head_timeout, usual.no_progress]);
        let text = "[origin]\nconnect-timeout-s = 1\nanswer-timeout-s = 3600\nsilence-timeout-s = 300\n";
        assert_eq!(client(text), [1, 3_600, 300].map(Duration::from_secs));
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }
}
