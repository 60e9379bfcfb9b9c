//! Several whole-file digests, computed in one pass.
//!
//! Knows: the SHA-2 family. Does not know: BLAKE3, whose root comes from piece values; where the bytes come from.

use peer_proto::digest::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Hash states that can be copied at any point and continued from there (CLAIM-9).
#[derive(Clone, Default, Debug)]
pub struct DigestSet {
    sha256: Option<Sha256>,
    sha384: Option<Sha384>,
    sha512: Option<Sha512>,
}

impl DigestSet {
    /// States for the algorithms named; BLAKE3 is left out.
    #[must_use]
    pub fn new(algorithms: &[Algorithm]) -> Self {
        Self {
            sha256: algorithms.contains(&Algorithm::Sha256).then(Sha256::new),
            sha384: algorithms.contains(&Algorithm::Sha384).then(Sha384::new),
            sha512: algorithms.contains(&Algorithm::Sha512).then(Sha512::new),
        }
    }

    /// Whether nothing is computed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.sha384.is_none() && self.sha512.is_none()
    }

    /// Whether everything among `algorithms` is computed here.
    #[must_use]
    pub fn covers(&self, algorithms: &[Algorithm]) -> bool {
        algorithms.iter().all(|algorithm| match algorithm {
            Algorithm::Sha256 => self.sha256.is_some(),
            Algorithm::Sha384 => self.sha384.is_some(),
            Algorithm::Sha512 => self.sha512.is_some(),
            Algorithm::Blake3 => true,
        })
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(state) = &mut self.sha256 {
            state.update(bytes);
        }
        if let Some(state) = &mut self.sha384 {
            state.update(bytes);
        }
        if let Some(state) = &mut self.sha512 {
            state.update(bytes);
        }
    }

    /// The digests of what was taken so far; the states stay.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let found = [
            self.sha256.clone().map(|state| (Algorithm::Sha256, state.finalize().to_vec())),
            self.sha384.clone().map(|state| (Algorithm::Sha384, state.finalize().to_vec())),
            self.sha512.clone().map(|state| (Algorithm::Sha512, state.finalize().to_vec())),
        ];
        found
            .into_iter()
            .flatten()
            .filter_map(|(algorithm, bytes)| Digest::new(algorithm, bytes).ok())
            .collect()
    }
}
