//! Who writes into which piece.
//!
//! Knows: the first writer of every unfinished piece, and whether there was a second. Does not know: leases, bytes.

use std::collections::BTreeMap;

use peer_proto::content::PieceIndex;

/// Names one stream of bytes into a part; two leases never share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writer(pub u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    One(Writer),
    /// Bytes of several sources: what one of them hashed may not be what lies on disk.
    Mixed,
}

/// Claims of pieces that are being written: at most one entry per unfinished piece.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<PieceIndex, Claim>);

impl Claims {
    pub(super) fn claim(&mut self, piece: PieceIndex, writer: Writer) {
        let claim = self.0.entry(piece).or_insert(Claim::One(writer));
        if *claim != Claim::One(writer) {
            *claim = Claim::Mixed;
        }
    }

    /// What lies in this piece is not what one writer alone has written.
    pub(super) fn mix(&mut self, piece: PieceIndex) {
        self.0.insert(piece, Claim::Mixed);
    }

    /// Whether bytes of several writers may lie in a piece.
    pub(super) fn is_mixed(&self, piece: PieceIndex) -> bool {
        self.0.get(&piece) == Some(&Claim::Mixed)
    }

    /// Ends the claim: the piece is stored.
    pub(super) fn release(&mut self, piece: PieceIndex) {
        self.0.remove(&piece);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
