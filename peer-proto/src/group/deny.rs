//! Who is no member any more, though his token may still live (GROUP-6).
//!
//! Knows: the bytes of a deny list, and that its version only rises. Does not know: how it reaches members.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use super::{GroupId, HolderId};
use crate::limits::DENIED_HOLDERS_MAX;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

const LABEL: &str = "nearbits deny 1";
const FORMAT: u8 = 1;
/// Format, group, version.
const HEAD_LEN: usize = 1 + 16 + 8;
const HOLDER_LEN: usize = 16;

/// Bytes of a deny list at most.
pub const DENY_LIST_LEN_MAX: usize = HEAD_LEN + DENIED_HOLDERS_MAX * HOLDER_LEN + SIGNATURE_LEN;

/// A deny list, as it is carried: its bytes are never written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DenyList {
    bytes: Bytes,
    group: GroupId,
    version: u64,
    holders: BTreeSet<HolderId>,
}

impl DenyList {
    /// Makes a deny list with the group's key; `None` if these are more than [`DENIED_HOLDERS_MAX`].
    #[must_use]
    pub fn sign(group: &Signer, version: u64, holders: BTreeSet<HolderId>) -> Option<Self> {
        if holders.len() > DENIED_HOLDERS_MAX {
            return None;
        }
        let id = GroupId::of(&group.public_key());
        let mut out = BytesMut::with_capacity(HEAD_LEN + holders.len() * HOLDER_LEN + SIGNATURE_LEN);
        out.put_u8(FORMAT);
        out.put_slice(&id.0);
        out.put_u64(version);
        holders.iter().for_each(|holder| out.put_slice(&holder.0));
        let signature = group.sign(LABEL, &out);
        out.put_slice(&signature);
        Some(Self { bytes: out.freeze(), group: id, version, holders })
    }

    /// Reads a deny list; nothing of it is believed yet. `None` if these bytes are none: also if holders do not ascend.
    #[must_use]
    pub fn parse(bytes: Bytes) -> Option<Self> {
        if bytes.len() > DENY_LIST_LEN_MAX {
            return None;
        }
        let (body, _) = bytes.split_last_chunk::<SIGNATURE_LEN>()?;
        let (format, rest) = body.split_first()?;
        let (group, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (holders, []) = rest.as_chunks::<HOLDER_LEN>() else { return None };
        let ascends = holders.is_sorted_by(|before, after| before < after);
        if *format != FORMAT || !ascends {
            return None;
        }
        let (group, version) = (GroupId(*group), u64::from_be_bytes(*version));
        let holders = holders.iter().map(|holder| HolderId(*holder)).collect();
        Some(Self { bytes, group, version, holders })
    }

    /// Whether the group with this public key signed it, for itself.
    #[must_use]
    pub fn is_signed(&self, key: &[u8; 32]) -> bool {
        let signed = self.bytes.split_last_chunk::<SIGNATURE_LEN>();
        self.group == GroupId::of(key)
            && signed.is_some_and(|(body, signature)| is_signed(key, LABEL, body, signature))
    }

    /// As it travels.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whose it is.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// A higher one takes the place of a lower one.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Those who are no members any more.
    #[must_use]
    pub const fn holders(&self) -> &BTreeSet<HolderId> {
        &self.holders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Signer {
        Signer::of(&[9; 32])
    }

    fn holders(count: u16) -> BTreeSet<HolderId> {
        let holder = |number: u16| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            HolderId(id)
        };
        (0..count).map(holder).collect()
    }

    #[test]
    fn group_6_a_deny_list_is_read_as_it_was_signed_up_to_4096_holders() {
        for count in [0, 1, 2, 4_096] {
            let list = DenyList::sign(&group(), 7, holders(count)).unwrap();
            assert!(list.bytes().len() <= 96 * 1024);
            let read = DenyList::parse(list.bytes().clone()).unwrap();
            assert_eq!(read, list);
            assert_eq!((read.version(), read.holders().len()), (7, usize::from(count)));
            assert!(read.is_signed(&group().public_key()));
            assert!(!read.is_signed(&Signer::of(&[8; 32]).public_key()), "another group's key");
        }
        assert_eq!(DenyList::sign(&group(), 7, holders(4_097)), None);
    }

    #[test]
    fn group_6_a_changed_deny_list_is_none_or_not_signed() {
        let list = DenyList::sign(&group(), 7, holders(3)).unwrap();
        for bit in 0..list.bytes().len() * 8 {
            let mut flipped = list.bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let counts =
                DenyList::parse(flipped.into()).is_some_and(|list| list.is_signed(&group().public_key()));
            assert!(!counts, "bit {bit}");
        }
        for end in 0..list.bytes().len() {
            let counts = DenyList::parse(list.bytes().slice(..end))
                .is_some_and(|list| list.is_signed(&group().public_key()));
            assert!(!counts, "{end} bytes");
        }
    }

    #[test]
    fn holders_that_do_not_ascend_are_no_deny_list() {
        let list = DenyList::sign(&group(), 7, holders(2)).unwrap();
        let mut bytes = list.bytes().to_vec();
        bytes.copy_within(HEAD_LEN..HEAD_LEN + HOLDER_LEN, HEAD_LEN + HOLDER_LEN);
        assert_eq!(DenyList::parse(bytes.into()), None);
        let too_long = vec![FORMAT; DENY_LIST_LEN_MAX + 1];
        assert_eq!(DenyList::parse(too_long.into()), None);
    }
}
