//! What its owner calls a group: for people, who tell several by it, and believed in nothing else.
//!
//! Knows: its bounds, its bytes, who signed it. Does not know: whether another group is called the same.

use bytes::{BufMut, Bytes};

use crate::limits::GROUP_NAME_LEN_MAX;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

const LABEL: &str = "nearbits group name 1";

/// A name as the group's key signed it. Whoever made a group may call it what he likes, and like another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupName {
    text: String,
    signature: [u8; SIGNATURE_LEN],
}

/// Whether a group may be called so: 1 to 64 letters, digits, `-`, `_` and `.` of ASCII, and no dot in front.
#[must_use]
pub fn is_group_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=GROUP_NAME_LEN_MAX).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_plain)
}

impl GroupName {
    /// Names the group whose key this is. `None` if it may not be called so.
    #[must_use]
    pub fn sign(group: &Signer, text: &str) -> Option<Self> {
        let signature = group.sign(LABEL, text.as_bytes());
        is_group_name(text).then(|| Self { text: text.to_owned(), signature })
    }

    /// The name.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it travels and is kept: the signature (64), the name.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(SIGNATURE_LEN + self.text.len());
        out.put_slice(&self.signature);
        out.put_slice(self.text.as_bytes());
        out.into()
    }

    /// Reads it, if the group with this key is called so.
    #[must_use]
    pub fn parse(bytes: &[u8], group: &[u8; 32]) -> Option<Self> {
        let (signature, text) = bytes.split_first_chunk()?;
        let text = std::str::from_utf8(text).ok().filter(|text| is_group_name(text))?;
        let is_its = is_signed(group, LABEL, text.as_bytes(), signature);
        is_its.then(|| Self { text: text.to_owned(), signature: *signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;

    fn group() -> Signer {
        Signer::of(&[9; 32])
    }

    #[test]
    fn group_8_a_name_is_read_as_its_group_signed_it_and_as_no_other_did() {
        let name = GroupName::sign(&group(), "head-office.1").unwrap();
        let bytes = name.bytes();
        assert_eq!(hex(&bytes[64..]), hex(b"head-office.1"));
        assert_eq!(hex(&bytes[..8]), "3bbc9c412667778c");
        assert_eq!(GroupName::parse(&bytes, &group().public_key()), Some(name.clone()));
        assert_eq!(GroupName::parse(&bytes, &Signer::of(&[8; 32]).public_key()), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GroupName::parse(&flipped, &group().public_key()), None, "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(GroupName::parse(&bytes[..end], &group().public_key()), None, "{end} bytes");
        }
    }

    #[test]
    fn group_8_a_name_is_short_and_plain() {
        let long = "x".repeat(64);
        for text in ["a", "A-b_c.9", &long] {
            assert!(is_group_name(text) && GroupName::sign(&group(), text).is_some(), "{text}");
        }
        for text in ["", ".a", "a b", "a\n", "é", "a\u{202e}b", "a/b", &format!("{long}x")] {
            assert!(!is_group_name(text) && GroupName::sign(&group(), text).is_none(), "{text:?}");
        }
    }
}
