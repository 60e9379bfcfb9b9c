//! The frames of a rendezvous: a node says where it listens, and is told of others of its site.
//!
//! Knows: their shape. Does not know: who may register, what is dialled (the node's engine decides).

use std::net::SocketAddr;

use super::fault::FrameFault;
use crate::limits::PEERS_NAMED_MAX;
use crate::peer::PeerId;

/// "I listen at this port of the address you see me at: name me to others of my site, and name them to me." Means
/// nothing to a node that is no rendezvous.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// A TCP port; not zero.
    pub port: u16,
}

/// A peer and where it listens: a hint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NamedPeer {
    /// Who should answer there.
    pub peer: PeerId,
    /// Where. IPv6 without scope and flow, never an IPv4 address in disguise.
    pub address: SocketAddr,
}

impl Register {
    pub(super) const fn check(self) -> Result<(), FrameFault> {
        if self.port == 0 { Err(FrameFault::Port) } else { Ok(()) }
    }
}

pub(super) fn check_named(named: &[NamedPeer]) -> Result<(), FrameFault> {
    if named.is_empty() || named.len() > PEERS_NAMED_MAX {
        return Err(FrameFault::NamedCount { count: named.len() });
    }
    match named.iter().find(|named| named.address.port() == 0) {
        Some(_) => Err(FrameFault::Port),
        None => Ok(()),
    }
}
