//! What a lease is, as the hands are told: from whom, which bytes, what they must agree with.
//!
//! Knows: the values of a lease. Does not know: why it was given.

use std::sync::Arc;

use peer_proto::content::{ByteRange, Hash, PieceIndex};
use peer_proto::peer::PeerId;
use peer_proto::session::RequestId;
use peer_proto::standing::Standing;
use peer_proto::verify::HashList;
use peer_proto::version::Version;

use super::LeaseId;
use crate::job::{FileId, Remote};
use crate::record::RecordId;

/// Where a lease's bytes come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaseSource {
    /// The origin, under the pinned version.
    Origin {
        /// Where, and what is sent with the question.
        remote: Arc<Remote>,
        /// Answers of any other version end the lease with [`Severity::VersionChanged`](super::Severity::VersionChanged).
        pinned: Version,
    },
    /// This machine's own cache.
    Record(RecordId),
    /// A peer that was asked with `Want` under this request id.
    Peer {
        /// Who.
        peer: PeerId,
        /// The open request; its blocks arrive in the order of the range.
        request: RequestId,
    },
}

/// What the pieces of a lease must agree with, and what they are then.
#[derive(Clone, Debug)]
pub enum Accept {
    /// From the origin: values are computed, pieces become certain. A trusted list, where there is one, is checked
    /// as well: a difference means the origin contradicts the digest.
    Certain {
        /// The trusted list, if known.
        check: Option<Arc<HashList>>,
    },
    /// From a peer or the cache: each piece must have the list's value, and gets this standing.
    Listed {
        /// The list the request was made under.
        list: Arc<HashList>,
        /// [`Standing::Proved`] under a trusted root, else provisional with the list's author.
        standing: Standing,
    },
    /// From a member of a swarm: the pieces of the lease must have these values, and get this standing.
    Stated {
        /// Length of the file.
        len: u64,
        /// The piece with the first value.
        first: PieceIndex,
        /// A value for each piece of the lease.
        values: Arc<[Hash]>,
        /// [`Standing::Proved`] if a trusted list has the values, else provisional with their author.
        standing: Standing,
    },
}

impl Accept {
    /// The value a piece must have, if it is known.
    #[must_use]
    pub fn value(&self, piece: PieceIndex) -> Option<Hash> {
        match self {
            Self::Certain { check } => check.as_ref()?.value(piece),
            Self::Listed { list, .. } => list.value(piece),
            Self::Stated { first, values, .. } => {
                let place = piece.0.checked_sub(first.0)?;
                values.get(usize::try_from(place).ok()?).copied()
            }
        }
    }

    /// What a piece that agrees is.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Certain { .. } => Standing::Certain,
            Self::Listed { standing, .. } | Self::Stated { standing, .. } => *standing,
        }
    }

    /// The length of the file, if it is known here.
    #[must_use]
    pub fn file_len(&self) -> Option<u64> {
        match self {
            Self::Certain { check } => check.as_ref().map(|list| list.content().len),
            Self::Listed { list, .. } => Some(list.content().len),
            Self::Stated { len, .. } => Some(*len),
        }
    }
}

/// The promise that one source works on one range of one file.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its name; answered by exactly one [`Input::LeaseEnded`](super::Input::LeaseEnded).
    pub id: LeaseId,
    /// The file it works for.
    pub file: FileId,
    /// Whole pieces, or from zero without an end where the length is unknown.
    pub span: Span,
    /// Who provides.
    pub source: LeaseSource,
    /// What the bytes must agree with.
    pub accept: Accept,
}

/// What part of a file a lease covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// These bytes: whole pieces of a file of known length.
    Range(ByteRange),
    /// Everything from zero; the length is learned when the body ends in good order.
    ToEnd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_6_a_lease_knows_how_long_the_file_is_if_a_list_or_a_member_says_so() {
        let list = Arc::new(HashList::from_values(70_000, vec![Hash([1; 32]); 2]).expect("two pieces"));
        let standing = Standing::Proved;
        let values: Arc<[Hash]> = vec![Hash([1; 32])].into();
        let lens = [
            Accept::Certain { check: None },
            Accept::Certain { check: Some(Arc::clone(&list)) },
            Accept::Listed { list, standing },
            Accept::Stated { len: 80_000, first: PieceIndex(0), values, standing },
        ]
        .map(|accept| accept.file_len());
        assert_eq!(lens, [None, Some(70_000), Some(70_000), Some(80_000)]);
    }
}
