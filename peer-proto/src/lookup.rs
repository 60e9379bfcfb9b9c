//! How to ask for content by a digest without telling it, and how to prove that one knows it (LOOKUP-1, 2).
//!
//! Knows: the ids and proofs of group-less lookups. Does not know: who holds what, or who may learn it.

use std::fmt;

use crate::digest::Digest;
use crate::peer::PeerId;

/// What stands for a digest in a question: whoever does not know the digest learns nothing from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub [u8; 32]);

impl fmt::Display for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lookup id of a digest: derive-key("nearbits lookup 1", algorithm ‖ digest).
#[must_use]
pub fn lookup_id(digest: &Digest) -> LookupId {
    let mut hasher = blake3::Hasher::new_derive_key(LOOKUP_CONTEXT);
    hasher.update(&[digest.algorithm().tag()]).update(digest.bytes());
    LookupId(*hasher.finalize().as_bytes())
}

/// The proof that `asker` knows `digest`, for `answerer` in the session in which it chose `nonce`.
///
/// keyed-BLAKE3(derive-key("nearbits know 1", digest), asker ‖ answerer ‖ nonce): worth nothing to anybody else, or in
/// any other session.
#[must_use]
pub fn know_proof(digest: &Digest, asker: &PeerId, answerer: &PeerId, nonce: &[u8; 16]) -> [u8; 32] {
    *keyed(digest, asker, answerer, nonce).as_bytes()
}

/// Whether `proof` is [`know_proof`] of the same arguments; takes the same time wherever they differ.
#[must_use]
pub fn verify_know_proof(
    digest: &Digest,
    asker: &PeerId,
    answerer: &PeerId,
    nonce: &[u8; 16],
    proof: &[u8; 32],
) -> bool {
    keyed(digest, asker, answerer, nonce) == *proof // blake3::Hash compares in constant time
}

fn keyed(digest: &Digest, asker: &PeerId, answerer: &PeerId, nonce: &[u8; 16]) -> blake3::Hash {
    let key = blake3::derive_key(KNOW_CONTEXT, digest.bytes());
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(asker.public_key()).update(answerer.public_key()).update(nonce);
    hasher.finalize()
}

const LOOKUP_CONTEXT: &str = "nearbits lookup 1";
const KNOW_CONTEXT: &str = "nearbits know 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, bytes_from_hex};

    const ASKER: PeerId = PeerId::from_public_key([1; 32]);
    const ANSWERER: PeerId = PeerId::from_public_key([2; 32]);
    const NONCE: [u8; 16] = [3; 16];

    fn digest(algorithm: Algorithm) -> Digest {
        let bytes = (0..=u8::MAX).take(algorithm.len()).collect();
        Digest::new(algorithm, bytes).expect("right length")
    }

    #[test]
    fn lookup_1_ids_are_golden_and_differ_by_algorithm() {
        for (algorithm, golden) in [
            (Algorithm::Sha256, "3e561dba086615e2c98afd1378f10774fd645c3a0d22c1b78ad058294b51a0ef"),
            (Algorithm::Sha384, "d46b29a1666c1d8aba10b58e8733804896fb723037d7d1dd1fc5813c4ddcc290"),
            (Algorithm::Sha512, "6072d799a995593c2d1485d698d2e7f5b4e35f7d17a438ca50c989561a701433"),
            (Algorithm::Blake3, "f3a6d86aa1a7aa3ac7fd76796e96493804fc155d4277082623513cab772bac95"),
        ] {
            let digest = digest(algorithm);
            let plain = [&[algorithm.tag()], digest.bytes()].concat();
            assert_eq!(lookup_id(&digest).0, blake3::derive_key("nearbits lookup 1", &plain));
            assert_eq!(lookup_id(&digest).to_string(), golden);
        }
    }

    #[test]
    fn lookup_2_proof_is_golden() {
        let proof = know_proof(&digest(Algorithm::Sha256), &ASKER, &ANSWERER, &NONCE);
        let key = blake3::derive_key("nearbits know 1", digest(Algorithm::Sha256).bytes());
        let plain = [&ASKER.public_key()[..], ANSWERER.public_key(), &NONCE].concat();
        assert_eq!(proof, *blake3::keyed_hash(&key, &plain).as_bytes());
        assert_eq!(
            bytes_from_hex("00217df064e52b7852024927d61fdda6300904ad886e4ebdb7285f3914fac447").as_deref(),
            Some(&proof[..]),
            "{}",
            LookupId(proof)
        );
    }

    #[test]
    fn lookup_2_right_id_with_a_wrong_proof_is_refused() {
        let known = digest(Algorithm::Sha256);
        let proof = know_proof(&known, &ASKER, &ANSWERER, &NONCE);
        assert!(verify_know_proof(&known, &ASKER, &ANSWERER, &NONCE, &proof));
        let stranger = PeerId::from_public_key([9; 32]);
        assert!(
            !verify_know_proof(&known, &stranger, &ANSWERER, &NONCE, &proof),
            "seen elsewhere and replayed"
        );
        assert!(!verify_know_proof(&known, &ASKER, &stranger, &NONCE, &proof), "relayed to another answerer");
        assert!(!verify_know_proof(&known, &ANSWERER, &ASKER, &NONCE, &proof), "sent back");
        assert!(!verify_know_proof(&known, &ASKER, &ANSWERER, &[4; 16], &proof), "another session");
        assert!(!verify_know_proof(&digest(Algorithm::Sha512), &ASKER, &ANSWERER, &NONCE, &proof));
        assert!(!verify_know_proof(&known, &ASKER, &ANSWERER, &NONCE, &lookup_id(&known).0));
        for bit in 0..256 {
            let mut flipped = proof;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify_know_proof(&known, &ASKER, &ANSWERER, &NONCE, &flipped), "bit {bit}");
        }
    }
}
