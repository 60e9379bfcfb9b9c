//! The configuration file: one struct, made of small ones, read once.
//!
//! Knows: the keys of `nearbits.toml` (`docs/config.md` describes each) and how to say what is wrong with a file.
//! Does not know: what the parts do with their values.

pub mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::job::PeerFlags;
use crate::swarm::parse_listen;

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
    /// Peers to keep trying, each `ip:port`, `[v6%scope]:port` or a multiaddress. Default none.
    pub static_peers: Vec<String>,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self { listen: Vec::new(), mdns: true, static_peers: Vec::new() }
    }
}

/// Addresses as people write them: with the names of interfaces.
fn listen<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(value)?;
    texts.iter().map(|text| parse_listen(text).map_err(serde::de::Error::custom)).collect()
}

/// How origins are asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OriginSection {
    /// A PEM file with certificates of authorities to trust beside the system's. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_ca: Option<PathBuf>,
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

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        parse(text)
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

/// Reads a whole file's text; an error comes with its line, from one.
fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let message = error.message().replace('\n', " ");
        (before.matches('\n').count() + 1, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_its_name_and_line() {
        let (line, message) = Config::parse("[peers]\nmdns = false\nlisen = []\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(message.contains("`lisen`") && message.contains("`listen`"), "{message}");
        assert!(!message.contains('\n'));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
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
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }
}
