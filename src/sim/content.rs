//! Contents of files that exist only as their piece values.
//!
//! Knows: numbered contents, what they are called, what an origin that serves them says. Does not know: bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use peer_proto::content::{Geometry, Hash, PieceIndex};
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::peer::PeerId;
use peer_proto::verify::HashList;
use peer_proto::version::Version;
use simnet::{Dice, HostId};

use super::roster::Roster;

/// The content everybody wants.
pub const TRUTH: u16 = 0;
/// Where the modelled origins are.
pub const URL: &str = "https://origin.example/file";

/// All contents of a world, by number.
#[derive(Clone, Debug)]
pub struct Library {
    lists: Vec<Arc<HashList>>,
    roster: Option<Arc<Roster>>,
}

impl Library {
    /// A library with the truth in it: a file of so many bytes.
    ///
    /// `None` if no file is that long.
    #[must_use]
    pub fn of(len: u64) -> Option<Self> {
        Some(Self { lists: vec![list(len, 0, &[])?], roster: None })
    }

    /// Adds the truth with some pieces false; returns its number.
    pub fn add_altered(&mut self, false_pieces: &[u32]) -> u16 {
        let truth = &self.lists[0];
        let altered = list(truth.content().len, 0, false_pieces);
        let altered = altered.unwrap_or_else(|| Arc::clone(truth));
        self.add(altered)
    }

    /// Adds another version: a file that has nothing in common with the truth; returns its number.
    pub fn add_version(&mut self, len: u64) -> u16 {
        let mark = u64::try_from(self.lists.len()).unwrap_or(u64::MAX);
        let other = list(len, mark, &[]).unwrap_or_else(|| Arc::clone(&self.lists[0]));
        self.add(other)
    }

    /// The machines of the world are members of one group.
    pub fn enrol(&mut self, machines: u32) {
        self.roster = Some(Arc::new(Roster::of(machines)));
    }

    /// The members of the group, if there is one.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_deref()
    }

    /// The peer id of a host: a member's key, else its number and bytes that look random.
    #[must_use]
    pub fn peer_of(&self, host: HostId) -> PeerId {
        self.roster().and_then(|roster| roster.peer_of(host)).unwrap_or_else(|| peer_of(host))
    }

    /// The host with a peer id.
    #[must_use]
    pub fn host_of(&self, peer: PeerId) -> HostId {
        self.roster().and_then(|roster| roster.host_of(peer)).unwrap_or_else(|| host_of(peer))
    }

    fn add(&mut self, list: Arc<HashList>) -> u16 {
        self.lists.push(list);
        u16::try_from(self.lists.len() - 1).unwrap_or(u16::MAX)
    }

    /// A content's piece values; the truth's if there is no such content.
    #[must_use]
    pub fn list(&self, content: u16) -> &Arc<HashList> {
        self.lists.get(usize::from(content)).unwrap_or(&self.lists[0])
    }

    /// The value of a piece.
    #[must_use]
    pub fn value(&self, content: u16, piece: u32) -> Option<Hash> {
        self.list(content).value(PieceIndex(piece))
    }

    /// The digest a content has. There are no bytes to compute a SHA-256 of: it follows from the number.
    #[must_use]
    pub fn digest(&self, content: u16, algorithm: Algorithm) -> Option<Digest> {
        let bytes = match algorithm {
            Algorithm::Blake3 => self.list(content).content().root.0.to_vec(),
            _ => {
                let mut dice = Dice::new(u64::from(content) << 8 | u64::from(algorithm.tag()));
                let mut bytes = dice.bytes::<64>().to_vec();
                bytes.truncate(algorithm.len());
                bytes
            }
        };
        Digest::new(algorithm, bytes).ok()
    }

    /// What an origin says that serves a content.
    #[must_use]
    pub fn version(&self, content: u32) -> Version {
        let number = u16::try_from(content).unwrap_or(u16::MAX);
        Version {
            final_origin: "https://origin.example:443".into(),
            etag: Some(format!("\"{content}\"")),
            last_modified: None,
            len: Some(self.list(number).content().len),
        }
    }
}

fn list(len: u64, mark: u64, false_pieces: &[u32]) -> Option<Arc<HashList>> {
    let count = Geometry::of(len).ok()?.piece_count();
    let false_pieces: BTreeSet<u32> = false_pieces.iter().copied().collect();
    let value = |piece: u32| {
        let lie = u64::from(false_pieces.contains(&piece));
        Hash(Dice::new(mark << 40 ^ lie << 33 ^ u64::from(piece)).bytes())
    };
    HashList::from_values(len, (0..count).map(value).collect()).ok().map(Arc::new)
}

/// The peer id of a host that is no member.
fn peer_of(host: HostId) -> PeerId {
    let mut key: [u8; 32] = Dice::new(u64::from(host.0) | 1 << 50).bytes();
    key[28..].copy_from_slice(&host.0.to_be_bytes());
    PeerId::from_public_key(key)
}

fn host_of(peer: PeerId) -> HostId {
    let mut number = [0; 4];
    number.copy_from_slice(&peer.public_key()[28..]);
    HostId(u32::from_be_bytes(number))
}
