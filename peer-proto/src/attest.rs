//! Attestations: what an enrolled attestor of a group read from an origin, signed (ATTEST-1).
//!
//! Knows: their bytes, every condition under which one counts, with time as a value, the id under which members ask for
//! those of a URL, when two of them contradict each other. Does not know: whether the bytes were fit to be attested, which
//! version the origin serves now, how many are needed (the node's engine decides).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::content::{ContentId, Geometry, Hash};
use crate::group::{EpochSecret, GroupId, HolderId, Token, TokenFault};
use crate::limits::{ATTESTATION_LEN_MAX, ATTESTATION_LIFE_MAX_S, ATTESTATION_SKEW_S};
use crate::peer::PeerId;
use crate::sign::Signer;
use crate::statement::{Draft, Opened, check_attestor, whenever_made};
use crate::version::Version;

const LABEL: &str = "nearbits attest 1";
const FORMAT: u8 = 1;
/// Length of a text that is not there.
const NONE: u16 = u16::MAX;

/// What an attestor says of one version of one URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// In which group it is said.
    pub group: GroupId,
    /// Who says it, over changes of its peer id (ATTEST-10).
    pub holder: HolderId,
    /// The node that signs.
    pub peer: PeerId,
    /// The how-manieth attestation of this node.
    pub sequence: u64,
    /// Seconds since 1970 at which the last byte came from the origin.
    pub fetched_at: u64,
    /// Seconds since 1970 until which it counts.
    pub not_after: u64,
    /// The URL of the job, in its canonical spelling (ATTEST-4).
    pub url: String,
    /// What the origin said of the version; its length is that of `content`.
    pub version: Version,
    /// Root and length of the bytes.
    pub content: ContentId,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// Fingerprint of the certificate the origin's chain ended in; zeros if it is not known (ATTEST-14).
    pub anchor: [u8; 32],
}

/// Why an attestation does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttestFault {
    /// No attestation at all.
    #[error("bytes that are no attestation")]
    Malformed,
    /// Another group's.
    #[error("an attestation of another group")]
    OtherGroup,
    /// Its signer is no member, or not any more.
    #[error("its signer has {0}")]
    Token(#[from] TokenFault),
    /// Its signer is a member that may not attest.
    #[error("its signer is no attestor")]
    NotAttestor,
    /// It names another holder than its signer's token.
    #[error("an attestation in somebody else's name")]
    OtherHolder,
    /// Made in the future.
    #[error("an attestation of a time that has not come")]
    Future,
    /// After its time.
    #[error("an attestation whose time is over")]
    Over,
    /// Made for longer than attestations may live.
    #[error("an attestation that was made to live too long")]
    TooLong,
    /// Whoever said it took it back.
    #[error("an attestation that was taken back")]
    Void,
    /// Not signed by the node it names.
    #[error("an attestation that its signer did not sign")]
    Unsigned,
}

/// What an attestation must agree with.
#[derive(Clone, Copy, Debug)]
pub struct AttestRules<'a> {
    /// The group's public key.
    pub group: &'a [u8; 32],
    /// Seconds since 1970 (ATTEST-6).
    pub now: u64,
    /// The present epoch.
    pub epoch: u32,
    /// Holders that are no members any more.
    pub denied: &'a BTreeSet<HolderId>,
}

/// An attestation with the token of its signer, as it is carried: its bytes are never written anew, and its clones share
/// them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attestation(Arc<Signed>);

#[derive(PartialEq, Eq, Debug)]
struct Signed {
    bytes: Bytes,
    token: Token,
    /// Where the signed part begins.
    signed_at: usize,
    said: Attested,
}

impl Attestation {
    /// Attests; the signer is the node that says it. `None` if it would be too long, or names no file that can be shared.
    #[must_use]
    pub fn sign(signer: &Signer, token: &Token, said: Attested) -> Option<Self> {
        Geometry::of(said.content.len).ok()?;
        if said.version.len != Some(said.content.len) || !said.texts().all(|text| is_plain(text)) {
            return None;
        }
        let mut draft = Draft::new(token.bytes(), 1_024)?;
        let out = &mut draft.out;
        out.put_u8(FORMAT);
        out.put_slice(&said.group.0);
        out.put_slice(&said.holder.0);
        out.put_slice(said.peer.public_key());
        for number in [said.sequence, said.fetched_at, said.not_after, said.content.len] {
            out.put_u64(number);
        }
        out.put_slice(&said.content.root.0);
        out.put_slice(&said.sha256);
        out.put_slice(&said.anchor);
        for text in [Some(&said.url), Some(&said.version.final_origin)]
            .into_iter()
            .chain([said.version.etag.as_ref(), said.version.last_modified.as_ref()])
        {
            put_text(out, text)?;
        }
        let (bytes, signed_at) = draft.sign(signer, LABEL, ATTESTATION_LEN_MAX)?;
        Some(Self(Arc::new(Signed { bytes, token: token.clone(), signed_at, said })))
    }

    /// Reads an attestation; nothing of it is believed yet.
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

    /// The token of its signer; nothing of it is believed yet.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.0.token
    }

    /// What it says, to be believed after [`check`](Self::check) only.
    #[must_use]
    pub fn said(&self) -> &Attested {
        &self.0.said
    }

    /// Its name: a hash of its signed bytes.
    #[must_use]
    pub fn id(&self) -> Hash {
        Hash(blake3::derive_key("nearbits attestation id 1", &self.0.bytes[self.0.signed_at..]))
    }

    /// Whether it counts now (ATTEST-1, 6, 10). Signatures are looked at last: they cost most.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, rules: &AttestRules<'_>) -> Result<(), AttestFault> {
        let said = self.said();
        if said.group != GroupId::of(rules.group) {
            return Err(AttestFault::OtherGroup);
        }
        if said.fetched_at > rules.now.saturating_add(ATTESTATION_SKEW_S) {
            return Err(AttestFault::Future);
        }
        if said.not_after < rules.now || said.not_after < said.fetched_at {
            return Err(AttestFault::Over);
        }
        if said.not_after - said.fetched_at > ATTESTATION_LIFE_MAX_S {
            return Err(AttestFault::TooLong);
        }
        self.check_signer(rules)
    }

    /// Whether an attestor of the group with this key said so, whenever that was: it answers for it even if it does not
    /// count any more (ATTEST-8).
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

    /// Whether both speak of one version of one URL and name other bytes (ATTEST-8, 10).
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.said(), other.said());
        let is_same = mine.url == theirs.url && mine.version.is_same(&theirs.version);
        is_same && (mine.content, mine.sha256) != (theirs.content, theirs.sha256)
    }
}

impl Attested {
    fn texts(&self) -> impl Iterator<Item = &String> {
        let version = &self.version;
        let optional = version.etag.iter().chain(&version.last_modified);
        [&self.url, &version.final_origin].into_iter().chain(optional)
    }
}

/// The id under which members ask for attestations of one version of a URL (LOOKUP-1): whoever is no member of this epoch
/// learns nothing from it.
#[must_use]
pub fn attested_id(secret: &EpochSecret, url: &str, version: &Version) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(&secret.0);
    hasher.update(b"nearbits attested 1");
    let texts = [Some(url), Some(version.final_origin.as_str()), version.etag.as_deref()];
    for text in texts.into_iter().chain([version.last_modified.as_deref()]) {
        let len = text.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX - 1));
        hasher.update(&len.to_be_bytes()).update(text.unwrap_or_default().as_bytes());
    }
    hasher.update(&version.len.unwrap_or(u64::MAX).to_be_bytes());
    *hasher.finalize().as_bytes()
}

/// No control characters: what is signed ends in logs, too.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(crate) fn put_text(out: &mut BytesMut, text: Option<&String>) -> Option<()> {
    let len = match text {
        Some(text) => u16::try_from(text.len()).ok().filter(|len| *len != NONE)?,
        None => NONE,
    };
    out.put_u16(len);
    out.put_slice(text.map_or(&[], |text| text.as_bytes()));
    Some(())
}

/// A text, if there is one, and what follows it.
pub(crate) fn text(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = u16::from_be_bytes(*len);
    if len == NONE {
        return Some((None, rest));
    }
    let (text, rest) = rest.split_at_checked(usize::from(len))?;
    let text = String::from_utf8(text.to_vec()).ok().filter(|text| is_plain(text))?;
    Some((Some(text), rest))
}

pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

fn read(bytes: &Bytes) -> Option<Attestation> {
    let opened = Opened::read(bytes, ATTESTATION_LEN_MAX)?;
    let (token, signed_at) = (opened.token()?, opened.signed_at);
    let (format, rest) = opened.body.split_first()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (holder, rest) = rest.split_first_chunk()?;
    let (peer, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = number(rest)?;
    let (fetched_at, rest) = number(rest)?;
    let (not_after, rest) = number(rest)?;
    let (len, rest) = number(rest)?;
    let (root, rest) = rest.split_first_chunk()?;
    let (sha256, rest) = rest.split_first_chunk()?;
    let (anchor, rest) = rest.split_first_chunk()?;
    let (url, rest) = text(rest)?;
    let (final_origin, rest) = text(rest)?;
    let (etag, rest) = text(rest)?;
    let (last_modified, rest) = text(rest)?;
    if *format != FORMAT || !rest.is_empty() || Geometry::of(len).is_err() {
        return None;
    }
    let said = Attested {
        group: GroupId(*group),
        holder: HolderId(*holder),
        peer: PeerId::from_public_key(*peer),
        sequence,
        fetched_at,
        not_after,
        url: url?,
        version: Version { final_origin: final_origin?, etag, last_modified, len: Some(len) },
        content: ContentId { root: Hash(*root), len },
        sha256: *sha256,
        anchor: *anchor,
    };
    Some(Attestation(Arc::new(Signed { bytes: bytes.clone(), token, signed_at, said })))
}

#[cfg(test)]
#[path = "attest_tests.rs"]
pub(crate) mod tests;
