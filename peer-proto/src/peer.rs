//! Who a peer is: its public key.
//!
//! Knows: the id and how people read it. Does not know: addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A peer's identity: its Ed25519 public key.
///
/// Written as libp2p writes it (`12D3KooW…`), so that it can be pasted into a multiaddr.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerId([u8; 32]);

/// Identity multihash of a protobuf-wrapped Ed25519 key: the six bytes that precede the key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Text that is no peer id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a peer id: expected the 52 characters starting with 12D3KooW")]
pub struct NotAPeerId {
    text: String,
}

impl PeerId {
    /// The peer with this Ed25519 public key.
    #[must_use]
    pub const fn from_public_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = NotAPeerId;

    fn from_str(text: &str) -> Result<Self, NotAPeerId> {
        let not = || NotAPeerId { text: text.chars().take(80).collect() };
        let bytes = bs58::decode(text).into_vec().map_err(|_| not())?;
        let key = bytes.strip_prefix(&PREFIX).ok_or_else(not)?;
        Ok(Self(key.try_into().map_err(|_| not())?))
    }
}

impl TryFrom<String> for PeerId {
    type Error = NotAPeerId;

    fn try_from(text: String) -> Result<Self, NotAPeerId> {
        text.parse()
    }
}

impl From<PeerId> for String {
    fn from(peer: PeerId) -> Self {
        peer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let peer = PeerId::from_public_key([7; 32]);
        let text = peer.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(peer));
    }

    #[test]
    fn refuses_text_that_is_no_peer_id() {
        for text in ["", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl"] {
            assert!(text.parse::<PeerId>().is_err(), "{text}");
        }
    }
}
