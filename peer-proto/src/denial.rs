//! An attestation that denies what its holder signed while it read the file (ATTEST-8): what shows that to others.
//!
//! Knows: two ways to show it, both within one frame. Batches that name every piece fold to another root: for files short
//! enough, and nothing else is needed. Or one batch names a value that a piece of the attested content has not, which a path up
//! to its root proves: for files of any length, by whoever had the list. Does not know: who is told (`evidence`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::attest::{AttestFault, Attestation};
use crate::batch::Batch;
use crate::content::{Geometry, Hash, PieceIndex};
use crate::limits::{BATCHES_PER_FRAME_MAX, DENIAL_LEN_MAX, DENIAL_PATH_MAX};
use crate::verify::{HashList, is_value_of};

/// See the module. What was signed is of one holder of one group and of one version of one URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    attestation: Attestation,
    batches: Vec<Batch>,
    shown: Shown,
}

/// How it shows.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Shown {
    /// The batches name every piece, and fold to another root.
    ByRoot,
    /// The only batch names another value of this piece than the content has.
    ByPiece { piece: PieceIndex, value: Hash, path: Vec<Hash> },
}

impl Denial {
    /// What batches that name every piece show, if they are few enough to be passed on and fold to another root than was
    /// attested. They need not be of one stream.
    #[must_use]
    pub fn by_root(attestation: Attestation, batches: Vec<Batch>) -> Option<Self> {
        let parts = batches.iter().map(Batch::bytes).chain([attestation.bytes()]);
        let len: usize = parts.map(|part| part.len() + 2).sum();
        let fits = batches.len() <= BATCHES_PER_FRAME_MAX && len <= DENIAL_LEN_MAX;
        if !fits || !batches.iter().all(|batch| is_same(&attestation, batch)) {
            return None;
        }
        let content = attestation.said().content;
        let named = |piece| batches.iter().find_map(|batch| batch.said().value(piece));
        let values: Option<Vec<Hash>> =
            (0..Geometry::of(content.len).ok()?.piece_count()).map(named).collect();
        let read = HashList::from_values(content.len, values?).ok()?.content();
        (read != content).then_some(Self { attestation, batches, shown: Shown::ByRoot })
    }

    /// What one batch shows whoever has the list of the attested content, if it names another value of a piece.
    #[must_use]
    pub fn by_piece(attestation: Attestation, batch: Batch, list: &HashList) -> Option<Self> {
        if list.content() != attestation.said().content {
            return None;
        }
        let named = (batch.said().first..).zip(&batch.said().values);
        let (piece, value) = named
            .filter_map(|(piece, said)| Some((PieceIndex(piece), list.value(PieceIndex(piece))?, said)))
            .find_map(|(piece, value, said)| (value != *said).then_some((piece, value)))?;
        Self::by_path(attestation, batch, Shown::ByPiece { piece, value, path: list.path(piece)? })
    }

    fn by_path(attestation: Attestation, batch: Batch, shown: Shown) -> Option<Self> {
        let Shown::ByPiece { piece, value, path } = &shown else { return None };
        let is_it = is_same(&attestation, &batch)
            && batch.said().value(piece.0).is_some_and(|said| said != *value)
            && is_value_of(attestation.said().content, *piece, *value, path);
        is_it.then_some(Self { attestation, batches: vec![batch], shown })
    }

    /// What was signed, and behind it, if it shows by one piece, that piece (4), its value and the path, each of 32 bytes.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        let signed = [self.attestation.bytes()].into_iter().chain(self.batches.iter().map(Batch::bytes));
        let mut parts: Vec<Bytes> = signed.cloned().collect();
        if let Shown::ByPiece { piece, value, path } = &self.shown {
            let mut last = BytesMut::with_capacity(36 + 32 * path.len());
            last.put_u32(piece.0);
            last.put_slice(&value.0);
            path.iter().for_each(|beside| last.put_slice(&beside.0));
            parts.push(last.freeze());
        }
        parts
    }

    /// Such parts, if they show it.
    pub(crate) fn parse(parts: &[Bytes]) -> Option<Self> {
        let (attestation, rest) = parts.split_first()?;
        let attestation = Attestation::parse(attestation.clone()).ok()?;
        if let [batch, last] = rest
            && let Some(shown) = read_path(last)
            && let Some(denial) = Self::by_path(attestation.clone(), Batch::parse(batch.clone()).ok()?, shown)
        {
            return Some(denial);
        }
        if rest.len() > BATCHES_PER_FRAME_MAX {
            return None;
        }
        let batches: Result<Vec<Batch>, AttestFault> = rest.iter().cloned().map(Batch::parse).collect();
        Self::by_root(attestation, batches.ok()?)
    }

    /// The attestation that is denied.
    #[must_use]
    pub const fn attestation(&self) -> &Attestation {
        &self.attestation
    }

    /// Whether an attestor of the group with this key signed all of it, whenever that was.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, group: &[u8; 32]) -> Result<(), AttestFault> {
        self.attestation.check_author(group)?;
        self.batches.iter().try_for_each(|batch| batch.check_author(group))
    }
}

/// A piece, its value and its path.
fn read_path(bytes: &Bytes) -> Option<Shown> {
    let (piece, rest) = bytes.split_first_chunk()?;
    let (hashes, more) = rest.as_chunks::<32>();
    let (value, path) = hashes.split_first()?;
    if !more.is_empty() || path.len() > DENIAL_PATH_MAX {
        return None;
    }
    let path = path.iter().map(|hash| Hash(*hash)).collect();
    Some(Shown::ByPiece { piece: PieceIndex(u32::from_be_bytes(*piece)), value: Hash(*value), path })
}

/// Whether both are of one holder of one group, and about one version of one URL.
fn is_same(attestation: &Attestation, batch: &Batch) -> bool {
    let (mine, theirs) = (attestation.said(), batch.said());
    (mine.holder, mine.group, &mine.url) == (theirs.holder, theirs.group, &theirs.url)
        && mine.version.is_same(&theirs.version)
}
