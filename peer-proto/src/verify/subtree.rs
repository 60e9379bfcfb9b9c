//! The one door to BLAKE3's tree (TRUST-3): nothing else names `hazmat`.
//!
//! Knows: which subtree may stand where, the root form and the inner form, how values fold. Does not know: pieces.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::VerifyError;
use crate::content::Hash;

/// Whether a value is the top of its tree. The two forms never agree (TRUST-2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// The root of a whole file.
    Root,
    /// Anything below it.
    Inner,
}

/// Hashes exactly one subtree, in as many slices as it pleases its feeder.
#[derive(Clone)]
pub(super) struct SubtreeHasher {
    hasher: blake3::Hasher,
    offset: u64,
    len: u64,
    fed: u64,
    form: Form,
    /// Bytes since the last stretch that was hashed: shorter than one. Included in `fed`.
    gathered: Vec<u8>,
}

impl SubtreeHasher {
    /// A hasher for the `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`VerifyError::Misplaced`] unless the subtree can stand there: not empty (but for the empty file), a root at
    /// offset 0 only, an offset that its length, rounded up to a power of two of at least a chunk, divides.
    pub(super) fn new(offset: u64, len: u64, form: Form) -> Result<Self, VerifyError> {
        let misplaced = VerifyError::Misplaced { offset, len };
        let allowed = match form {
            Form::Root => offset == 0,
            Form::Inner => {
                let span = len.max(CHUNK_LEN).checked_next_power_of_two();
                len > 0
                    && span.is_some_and(|span| offset.is_multiple_of(span))
                    && offset.checked_add(len).is_some()
            }
        };
        if !allowed {
            return Err(misplaced);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset);
        Ok(Self { hasher, offset, len, fed: 0, form, gathered: Vec::new() })
    }

    /// Bytes still to come.
    pub(super) const fn missing(&self) -> u64 {
        self.len - self.fed
    }

    /// Bytes fed so far.
    pub(super) const fn fed(&self) -> u64 {
        self.fed
    }

    /// Feeds the next bytes; `false`, and nothing fed, if they are more than are missing.
    ///
    /// Whole stretches are hashed where they lie; only the ends of a slice are gathered into one, because hashing
    /// a few chunks at a time costs five times as much as copying and hashing them together.
    pub(super) fn update(&mut self, bytes: &[u8]) -> bool {
        let Some(len) = u64::try_from(bytes.len()).ok().filter(|len| *len <= self.missing()) else {
            return false;
        };
        self.fed += len;
        let mut rest = bytes;
        if !self.gathered.is_empty() {
            rest = self.gather(rest);
        }
        let (stretches, end) = rest.split_at(rest.len() - rest.len() % STRETCH_LEN);
        self.hasher.update(stretches);
        self.gather(end);
        if self.missing() == 0 {
            self.hasher.update(&self.gathered);
            self.gathered = Vec::new();
        }
        true
    }

    /// Takes bytes into the stretch that is being gathered, hashes it when it is full, gives the others back.
    fn gather<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(bytes.len().min(STRETCH_LEN - self.gathered.len()));
        if taken.is_empty() {
            return rest;
        }
        self.gathered.reserve_exact(STRETCH_LEN - self.gathered.len());
        self.gathered.extend_from_slice(taken);
        if self.gathered.len() == STRETCH_LEN {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        rest
    }

    /// The value; `None` if bytes are missing.
    pub(super) fn finish(&self) -> Option<Hash> {
        if self.missing() > 0 { None } else { self.finish_short(self.form) }
    }

    /// The value of what was fed, as the last bytes of its file; `None` if that can have no value of this form.
    ///
    /// A shorter subtree can stand wherever a longer one can.
    pub(super) fn finish_short(&self, form: Form) -> Option<Hash> {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.gathered);
        match form {
            Form::Root if self.offset == 0 => Some(Hash(*hasher.finalize().as_bytes())),
            Form::Inner if self.fed > 0 => Some(Hash(hasher.finalize_non_root())),
            Form::Root | Form::Inner => None,
        }
    }
}

/// The value over two neighbouring subtrees, the left of which is a whole power of two.
pub(super) fn parent(left: &Hash, right: &Hash, form: Form) -> Hash {
    match form {
        Form::Root => Hash(*merge_subtrees_root(&left.0, &right.0, Mode::Hash).as_bytes()),
        Form::Inner => Hash(merge_subtrees_non_root(&left.0, &right.0, Mode::Hash)),
    }
}

/// Folds the values of neighbouring pieces, splitting at the largest power of two below their number (TRUST-4).
///
/// One value is its own fold: for `Form::Root` it must already be in root form. `None` without values.
pub(super) fn fold(values: &[Hash], form: Form) -> Option<Hash> {
    if let [] | [_] = values {
        return values.first().copied();
    }
    let (left, right) = values.split_at(values.len().div_ceil(2).next_power_of_two());
    Some(parent(&fold(left, Form::Inner)?, &fold(right, Form::Inner)?, form))
}

/// The root of the empty file.
pub(super) fn root_of_nothing() -> Hash {
    Hash(*blake3::hash(&[]).as_bytes())
}

/// Bytes in one BLAKE3 chunk.
const CHUNK_LEN: u64 = 1024;
/// Bytes that are hashed together: sixteen chunks, which the widest vector units take in one go.
const STRETCH_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_3_refuses_every_place_where_no_subtree_can_stand() {
        for (offset, len, form) in [
            (0, 0, Form::Inner),
            (1_024, 0, Form::Inner),
            (1, 1, Form::Inner),
            (1_023, 1_024, Form::Inner),
            (1_024, 1_025, Form::Inner),
            (2_048, 4_096, Form::Inner),
            (65_536, 65_537, Form::Inner),
            (1_024, 1_024, Form::Root),
            (u64::MAX - 1_023, 1_024, Form::Inner),
            (0, u64::MAX, Form::Inner),
            (1 << 63, (1 << 63) + 1, Form::Inner),
        ] {
            assert_eq!(
                SubtreeHasher::new(offset, len, form).err(),
                Some(VerifyError::Misplaced { offset, len }),
                "{len} bytes at {offset}, {form:?}"
            );
        }
        for (offset, len) in
            [(0, 1), (0, 5_000), (1_024, 1), (65_536, 65_535), (65_536, 65_536), (1 << 62, 1 << 62)]
        {
            assert!(SubtreeHasher::new(offset, len, Form::Inner).is_ok(), "{len} bytes at {offset}");
        }
    }

    #[test]
    fn trust_3_takes_neither_more_nor_fewer_bytes_than_announced() {
        let mut hasher = SubtreeHasher::new(1_024, 3, Form::Inner).unwrap();
        assert!(!hasher.update(b"abcd"));
        assert!(hasher.update(b"ab"));
        assert_eq!((hasher.finish(), hasher.missing(), hasher.fed()), (None, 1, 2));
        assert!(!hasher.update(b"cd"));
        assert!(hasher.update(b"c"));
        assert!(hasher.finish().is_some());
        assert!(!hasher.update(b"d"));
    }

    #[test]
    fn no_values_have_no_fold_and_one_is_its_own() {
        assert_eq!(fold(&[], Form::Root), None);
        assert_eq!(fold(&[Hash([7; 32])], Form::Inner), Some(Hash([7; 32])));
    }
}
