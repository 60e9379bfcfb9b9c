//! Streaming batches: what an attestor reads of a file from its origin, said while it reads (ATTEST-7).
//!
//! Knows: their bytes, when one counts, which one follows another in a stream. Does not know: which version the origin
//! serves now, and what is taken on their word (the node's engine decides).

use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::attest::{AttestFault, AttestRules, is_plain, number, put_text, text};
use crate::content::{Geometry, Hash};
use crate::group::{GroupId, HolderId, Token};
use crate::limits::{
    ATTESTATION_SKEW_S, BATCH_LEN_MAX, BATCH_LIFE_MAX_S, STREAM_PIECES_MAX, VALUES_PER_BATCH_MAX,
};
use crate::peer::PeerId;
use crate::sign::Signer;
use crate::statement::{Draft, Opened, check_attestor, whenever_made};
use crate::version::Version;

const LABEL: &str = "nearbits batch 1";
const FORMAT: u8 = 1;

/// What an attestor read of one version of one URL since its batch before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batched {
    /// In which group it is said.
    pub group: GroupId,
    /// Who says it.
    pub holder: HolderId,
    /// The node that signs.
    pub peer: PeerId,
    /// 16 random bytes: one download of one node.
    pub stream: [u8; 16],
    /// From 0 without holes.
    pub number: u32,
    /// The id of the batch before; zeros if there is none.
    pub previous: Hash,
    /// Seconds since 1970.
    pub at: u64,
    /// The URL of the job, in its canonical spelling.
    pub url: String,
    /// What the origin said of the version; it has a length.
    pub version: Version,
    /// The first piece that is spoken of.
    pub first: u32,
    /// The values of consecutive pieces: at most 256. The first batch of a stream may have none: it says what is being read.
    pub values: Vec<Hash>,
}

impl Batched {
    /// Length of the file.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.version.len.unwrap_or(0)
    }

    /// Whether it names no piece.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The name of its stream.
    #[must_use]
    pub fn stream_id(&self) -> Hash {
        let parts: [&[u8]; 4] = [&self.group.0, &self.holder.0, self.peer.public_key(), &self.stream];
        Hash(blake3::derive_key("nearbits stream id 1", &parts.concat()))
    }

    /// The value it names of a piece.
    #[must_use]
    pub fn value(&self, piece: u32) -> Option<Hash> {
        let at = piece.checked_sub(self.first)?;
        self.values.get(usize::try_from(at).ok()?).copied()
    }

    fn is_fit(&self) -> bool {
        let pieces = self.version.len.and_then(|len| Geometry::of(len).ok()).map(|cut| cut.piece_count());
        let count = u32::try_from(self.values.len()).ok();
        let end = count.and_then(|count| self.first.checked_add(count));
        let fits = pieces.is_some_and(|pieces| {
            pieces <= STREAM_PIECES_MAX && end.is_some_and(|end| end <= pieces && self.first <= pieces)
        });
        let is_first = self.number == 0;
        let version = &self.version;
        let optional = version.etag.iter().chain(&version.last_modified);
        fits && self.values.len() <= VALUES_PER_BATCH_MAX
            && (is_first || !self.values.is_empty())
            && is_first == (self.previous == Hash([0; 32]))
            && [&self.url, &version.final_origin].into_iter().chain(optional).all(|text| is_plain(text))
    }
}

/// A batch with the token of its signer, as it is carried: its bytes are never written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch(Arc<Signed>);

#[derive(PartialEq, Eq, Debug)]
struct Signed {
    bytes: Bytes,
    token: Token,
    signed_at: usize,
    said: Batched,
}

impl Batch {
    /// Signs what was read. `None` if it would be too long, or breaks a rule of streams.
    #[must_use]
    pub fn sign(signer: &Signer, token: &Token, said: Batched) -> Option<Self> {
        if !said.is_fit() {
            return None;
        }
        let mut draft = Draft::new(token.bytes(), 1_024 + 32 * said.values.len())?;
        let out = &mut draft.out;
        out.put_u8(FORMAT);
        out.put_slice(&said.group.0);
        out.put_slice(&said.holder.0);
        out.put_slice(said.peer.public_key());
        out.put_slice(&said.stream);
        out.put_u32(said.number);
        out.put_slice(&said.previous.0);
        out.put_u64(said.at);
        out.put_u64(said.len());
        let version = &said.version;
        let optional = [version.etag.as_ref(), version.last_modified.as_ref()];
        for text in [Some(&said.url), Some(&version.final_origin)].into_iter().chain(optional) {
            put_text(out, text)?;
        }
        out.put_u32(said.first);
        out.put_u16(u16::try_from(said.values.len()).ok()?);
        said.values.iter().for_each(|value| out.put_slice(&value.0));
        let (bytes, signed_at) = draft.sign(signer, LABEL, BATCH_LEN_MAX)?;
        Some(Self(Arc::new(Signed { bytes, token: token.clone(), signed_at, said })))
    }

    /// Reads a batch; nothing of it is believed yet.
    ///
    /// # Errors
    /// [`AttestFault::Malformed`].
    pub fn parse(bytes: Bytes) -> Result<Self, AttestFault> {
        read(&bytes).ok_or(AttestFault::Malformed)
    }

    /// As it travels.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// What it says, to be believed after [`check`](Self::check) only.
    #[must_use]
    pub fn said(&self) -> &Batched {
        &self.0.said
    }

    /// Its name: a hash of its signed bytes.
    #[must_use]
    pub fn id(&self) -> Hash {
        Hash(blake3::derive_key("nearbits batch id 1", &self.0.bytes[self.0.signed_at..]))
    }

    /// Whether it follows another one in a stream, or begins one.
    #[must_use]
    pub fn follows(&self, before: Option<&Self>) -> bool {
        let said = self.said();
        match before {
            None => said.number == 0,
            Some(before) => {
                let last = before.said();
                said.stream_id() == last.stream_id()
                    && Some(said.number) == last.number.checked_add(1)
                    && said.previous == before.id()
                    && said.url == last.url
                    && said.version == last.version
            }
        }
    }

    /// Whether it counts now: as an attestation does (ATTEST-1, 6, 10), for a day. Signatures are looked at last.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, rules: &AttestRules<'_>) -> Result<(), AttestFault> {
        let said = self.said();
        if said.group != GroupId::of(rules.group) {
            return Err(AttestFault::OtherGroup);
        }
        if said.at > rules.now.saturating_add(ATTESTATION_SKEW_S) {
            return Err(AttestFault::Future);
        }
        if said.at.saturating_add(BATCH_LIFE_MAX_S) < rules.now {
            return Err(AttestFault::Over);
        }
        self.check_signer(rules)
    }

    /// Whether an attestor of the group with this key said so, whenever that was: it answers for it (ATTEST-8).
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check_author(&self, group: &[u8; 32]) -> Result<(), AttestFault> {
        self.check_signer(&whenever_made(self.said().group, group, &self.0.token)?)
    }

    fn check_signer(&self, rules: &AttestRules<'_>) -> Result<(), AttestFault> {
        let Signed { token, bytes, signed_at, .. } = &*self.0;
        let (peer, holder) = (self.said().peer, self.said().holder);
        check_attestor(token, (peer, holder), LABEL, &bytes[*signed_at..], rules)
    }
}

fn read(bytes: &Bytes) -> Option<Batch> {
    let opened = Opened::read(bytes, BATCH_LEN_MAX)?;
    let (token, signed_at) = (opened.token()?, opened.signed_at);
    let (format, rest) = opened.body.split_first()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (holder, rest) = rest.split_first_chunk()?;
    let (peer, rest) = rest.split_first_chunk()?;
    let (stream, rest) = rest.split_first_chunk()?;
    let (batch_number, rest) = rest.split_first_chunk()?;
    let (previous, rest) = rest.split_first_chunk()?;
    let (at, rest) = number(rest)?;
    let (len, rest) = number(rest)?;
    let (url, rest) = text(rest)?;
    let (final_origin, rest) = text(rest)?;
    let (etag, rest) = text(rest)?;
    let (last_modified, rest) = text(rest)?;
    let (first, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (values, []) = rest.as_chunks::<32>() else { return None };
    if values.len() != usize::from(u16::from_be_bytes(*count)) {
        return None;
    }
    let said = Batched {
        group: GroupId(*group),
        holder: HolderId(*holder),
        peer: PeerId::from_public_key(*peer),
        stream: *stream,
        number: u32::from_be_bytes(*batch_number),
        previous: Hash(*previous),
        at,
        url: url?,
        version: Version { final_origin: final_origin?, etag, last_modified, len: Some(len) },
        first: u32::from_be_bytes(*first),
        values: values.iter().map(|value| Hash(*value)).collect(),
    };
    let is_good = *format == FORMAT && said.is_fit();
    is_good.then(|| Batch(Arc::new(Signed { bytes: bytes.clone(), token, signed_at, said })))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
pub(crate) mod tests;
