//! This node's key, and peer ids on both sides of the libp2p border.
//!
//! Knows: how a seed becomes a key, and that a peer id is an Ed25519 key in an identity multihash. Does not know:
//! where the seed is kept.

use libp2p::identity::{Keypair, ed25519};
use peer_proto::peer::PeerId;

/// What precedes the key in libp2p's form of an Ed25519 peer id: identity multihash of a protobuf-wrapped key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The key pair of a node and its public name.
pub(super) fn from_seed(mut seed: [u8; 32]) -> (Keypair, PeerId) {
    let secret = ed25519::SecretKey::try_from_bytes(&mut seed).expect("any 32 bytes are an Ed25519 seed");
    let pair = ed25519::Keypair::from(secret);
    let me = PeerId::from_public_key(pair.public().to_bytes());
    (Keypair::from(pair), me)
}

/// The id of the node whose identity seed this is.
#[must_use]
pub fn peer_id_of(seed: [u8; 32]) -> PeerId {
    from_seed(seed).1
}

/// Our id as libp2p writes it.
pub(super) fn to_libp2p(peer: PeerId) -> libp2p::PeerId {
    let mut bytes = [0; 38];
    bytes[..6].copy_from_slice(&PREFIX);
    bytes[6..].copy_from_slice(peer.public_key());
    libp2p::PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

/// libp2p's id as ours; `None` if its key is not Ed25519.
pub(super) fn from_libp2p(peer: &libp2p::PeerId) -> Option<PeerId> {
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&PREFIX)?;
    Some(PeerId::from_public_key(key.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_the_same_on_both_sides_of_the_border() {
        let (pair, me) = from_seed([9; 32]);
        let theirs = pair.public().to_peer_id();
        assert_eq!(theirs.to_string(), me.to_string());
        assert_eq!(from_libp2p(&theirs), Some(me));
        assert_eq!(to_libp2p(me), theirs);
        assert_eq!(peer_id_of([9; 32]), me);
    }

    #[test]
    fn a_key_of_another_kind_has_no_id_here() {
        let hashed = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().expect("a hashed key");
        assert_eq!(from_libp2p(&hashed), None);
    }
}
