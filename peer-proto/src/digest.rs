//! Digests a job, a manifest or an origin may name for a whole file.
//!
//! Knows: which algorithms give trust level 3 (TRUST-11) and how a digest is written. Does not know: how to compute
//! one over a file in pieces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A strong digest algorithm: one that names bytes beyond doubt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
    /// BLAKE3 with 32 bytes: also the root hash of our content ids.
    Blake3,
}

impl Algorithm {
    /// Bytes in a digest of this algorithm.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the length of a digest is never zero")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The number this algorithm has in lookup ids and on disk: chosen, never an enum position.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
            Self::Blake3 => 4,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        })
    }
}

/// The digest of a whole file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

/// Text or bytes that are no digest of the algorithm.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigestError {
    /// The wrong number of bytes or digits.
    #[error("a {algorithm} digest has {} hexadecimal digits, this has {digits}", .algorithm.len() * 2)]
    Length {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// Digits found.
        digits: usize,
    },
    /// A character that is no hexadecimal digit.
    #[error("a {algorithm} digest is written in hexadecimal digits only")]
    NotHex {
        /// The algorithm that was named.
        algorithm: Algorithm,
    },
    /// Not written as `algorithm:hex`.
    #[error("expected ALGORITHM:HEX with sha256, sha384, sha512 or blake3")]
    Unknown,
}

impl Digest {
    /// A digest from its bytes.
    ///
    /// # Errors
    /// [`DigestError::Length`] if the algorithm has another length.
    pub fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Result<Self, DigestError> {
        if bytes.len() != algorithm.len() {
            return Err(DigestError::Length { algorithm, digits: bytes.len() * 2 });
        }
        Ok(Self { algorithm, bytes })
    }

    /// A digest from hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`DigestError`] says what was wrong with the text.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Result<Self, DigestError> {
        if text.chars().count() != algorithm.len() * 2 {
            return Err(DigestError::Length { algorithm, digits: text.chars().count() });
        }
        let bytes = bytes_from_hex(text).ok_or(DigestError::NotHex { algorithm })?;
        Self::new(algorithm, bytes)
    }

    /// Which algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest in lower-case hexadecimal digits, without the algorithm.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Unknown)?;
        let algorithm = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512, Algorithm::Blake3]
            .into_iter()
            .find(|algorithm| algorithm.to_string() == name)
            .ok_or(DigestError::Unknown)?;
        Self::from_hex(algorithm, hex)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Bytes as pairs of lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(pair).collect()
}

/// Bytes from pairs of hexadecimal digits of either case; `None` if the text is anything else.
#[must_use]
pub fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512, Algorithm::Blake3] {
            let digest = Digest::new(algorithm, vec![0xa5; algorithm.len()]).expect("right length");
            assert_eq!(Digest::try_from(digest.to_string()), Ok(digest.clone()));
            assert_eq!(Digest::from_hex(algorithm, &digest.to_hex().to_uppercase()), Ok(digest));
        }
    }

    #[test]
    fn refuses_truncated_foreign_and_unnamed_digests() {
        let algorithm = Algorithm::Sha256;
        assert_eq!(Digest::from_hex(algorithm, "abc"), Err(DigestError::Length { algorithm, digits: 3 }));
        assert_eq!(Digest::from_hex(algorithm, &"zz".repeat(32)), Err(DigestError::NotHex { algorithm }));
        assert_eq!(Digest::try_from("md5:00".to_owned()), Err(DigestError::Unknown));
        assert_eq!(Digest::from_hex(algorithm, &"é".repeat(64)), Err(DigestError::NotHex { algorithm }));
    }
}
