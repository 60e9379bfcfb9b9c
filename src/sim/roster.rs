//! The machines of a world as members of one group: keys, tokens, the epoch's secret, all from their numbers.
//!
//! Knows: which key is whose. Does not know: what members do.

use std::collections::BTreeMap;
use std::sync::Arc;

use peer_proto::group::{Badge, EpochSecret, HolderId, Roles, Token, Wish};
use peer_proto::peer::PeerId;
use peer_proto::sign::Signer;
use simnet::{Dice, HostId};

use super::node::WALL_UNIX_S;
use crate::engine::GroupConfig;

const DAY: u64 = 24 * 60 * 60;
const EPOCH: u32 = 1;

/// Every machine with its key.
#[derive(Clone, Debug)]
pub struct Roster {
    signers: Vec<Signer>,
    hosts: BTreeMap<PeerId, HostId>,
    group: Signer,
}

impl Roster {
    /// So many members.
    #[must_use]
    pub fn of(machines: u32) -> Self {
        let signers: Vec<Signer> = (0..machines).map(|number| signer(u64::from(number) | 1 << 51)).collect();
        let hosts = (0..).map(HostId).zip(&signers).map(|(host, signer)| (signer.peer(), host)).collect();
        Self { signers, hosts, group: signer(1 << 52) }
    }

    /// The peer id of a machine.
    #[must_use]
    pub fn peer_of(&self, host: HostId) -> Option<PeerId> {
        self.signer(host).map(Signer::peer)
    }

    /// The machine with a peer id.
    #[must_use]
    pub fn host_of(&self, peer: PeerId) -> Option<HostId> {
        self.hosts.get(&peer).copied()
    }

    /// What makes a machine a member.
    #[must_use]
    pub fn membership(&self, host: HostId) -> Option<GroupConfig> {
        let signer = self.signer(host)?.clone();
        let mut holder = [0; 16];
        holder[12..].copy_from_slice(&host.0.to_be_bytes());
        let wish = Wish {
            holder: HolderId(holder),
            peer: signer.peer(),
            roles: Roles::FETCH.and(Roles::SERVE),
            not_before: WALL_UNIX_S - DAY,
            not_after: WALL_UNIX_S + 20 * DAY,
            epoch: EPOCH,
            serial: u64::from(host.0),
        };
        let token = Token::grant(&self.group, &wish);
        let secret = EpochSecret(Dice::new(1 << 53).bytes());
        Some(GroupConfig {
            signer,
            key: self.group.public_key(),
            badge: Arc::new(Badge { token, secret, former: None }),
            epoch: EPOCH,
            denied: None,
            enroller: None,
        })
    }

    fn signer(&self, host: HostId) -> Option<&Signer> {
        self.signers.get(usize::try_from(host.0).ok()?)
    }
}

fn signer(number: u64) -> Signer {
    Signer::of(&Dice::new(number).bytes())
}
