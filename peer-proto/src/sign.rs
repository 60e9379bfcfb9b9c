//! Signatures of nodes and groups: Ed25519, checked strictly, each under a label of its own.
//!
//! Knows: what exactly is signed, so that a signature made for one purpose never counts for another. Does not know:
//! what is said, or where keys are kept; a [`Signer`] is handed in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::peer::PeerId;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// A secret key that signs: a node's, whose public half is its peer id, or a group's.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer of {}", self.peer())
    }
}

impl Signer {
    /// The signer with this secret: 32 bytes that nobody can guess.
    #[must_use]
    pub fn of(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The public half as the id of a node.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        PeerId::from_public_key(self.public_key())
    }

    /// Signs a message for one purpose.
    #[must_use]
    pub fn sign(&self, label: &'static str, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.key.sign(&signed(label, message)).to_bytes()
    }
}

/// Whether a signature of this key is good for this message and purpose: strictly, so that nobody can make a second one
/// of it, and no key verifies everything.
#[must_use]
pub fn is_signed(
    public_key: &[u8; 32],
    label: &'static str,
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public_key) else { return false };
    key.verify_strict(&signed(label, message), &Signature::from_bytes(signature)).is_ok()
}

/// Whether the signature on something that never changes is good, once somebody asked: clones share the answer, which costs
/// as much as a thousand hashes. Says nothing of what is signed, so that two are always equal.
#[derive(Clone, Default)]
pub(crate) struct Verdict(Arc<OnceLock<bool>>);

impl Verdict {
    /// The answer there is, or the one that `check` gives now.
    pub(crate) fn or(&self, check: impl FnOnce() -> bool) -> bool {
        *self.0.get_or_init(check)
    }
}

impl PartialEq for Verdict {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Verdict {}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.get() {
            Some(true) => "good",
            Some(false) => "false",
            None => "not looked at",
        })
    }
}

/// What is signed: the label, a zero, and the message's hash under a key derived from the label (ATTEST-1).
fn signed(label: &'static str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + 33);
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out.extend_from_slice(&blake3::derive_key(label, message));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_its_key_label_and_message_only() {
        let (one, other) = (Signer::of(&[1; 32]), Signer::of(&[2; 32]));
        let signature = one.sign("nearbits token 1", b"message");
        let key = one.public_key();
        assert!(is_signed(&key, "nearbits token 1", b"message", &signature));
        assert!(!is_signed(&other.public_key(), "nearbits token 1", b"message", &signature));
        assert!(!is_signed(&key, "nearbits claim 1", b"message", &signature), "another purpose");
        assert!(!is_signed(&key, "nearbits token 1", b"massage", &signature));
        for bit in 0..SIGNATURE_LEN * 8 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed(&key, "nearbits token 1", b"message", &flipped), "bit {bit}");
        }
    }

    #[test]
    fn a_verdict_is_given_once_for_all_clones() {
        let verdict = Verdict::default();
        let clone = verdict.clone();
        assert_eq!(format!("{clone:?}"), "not looked at");
        assert!(!verdict.or(|| false) && !clone.or(|| panic!("it is known")));
        assert_eq!((format!("{clone:?}").as_str(), clone == Verdict::default()), ("false", true));
    }

    #[test]
    fn keys_that_verify_everything_verify_nothing() {
        // The neutral point, as key and as the first half of a signature whose second half is zero.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; SIGNATURE_LEN];
        signature[0] = 1;
        assert!(!is_signed(&neutral, "nearbits token 1", b"anything", &signature));
        assert!(!is_signed(&[0xff; 32], "nearbits token 1", b"anything", &signature), "no point at all");
    }

    #[test]
    fn a_signer_never_shows_its_secret() {
        let signer = Signer::of(&[1; 32]);
        assert_eq!(format!("{signer:?}"), format!("Signer of {}", signer.peer()));
    }
}
