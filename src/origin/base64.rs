//! Base64 as HTTP uses it: credentials for proxies, digests in structured fields.
//!
//! Knows: RFC 4648 section 4 with padding, nothing looser. Does not know: what the bytes mean.

/// The text of some bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let value =
            group.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = usize::try_from(value >> (18 - 6 * place) & 63).unwrap_or_default();
            text.push(if place <= group.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

/// The bytes of a text; `None` if it is anything but padded base64 in the one form [`encode`] gives.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for group in groups {
        let mut value = 0_u32;
        for digit in group {
            let place = ALPHABET.iter().position(|letter| letter == digit).unwrap_or(0);
            value = value << 6 | u32::try_from(place).ok()?;
        }
        bytes.extend_from_slice(&value.to_be_bytes()[1..]);
    }
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    bytes.truncate(bytes.len().checked_sub(padding.min(2))?);
    (encode(&bytes) == text).then_some(bytes)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_nothing_looser() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"\xff\xfe\xfd", "//79"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        for text in ["Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9\n", "Zm 9", "-_==", "é==="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
