//! Voids: what an attestor, or the group's key, takes back (ATTEST-9).
//!
//! Knows: their bytes and when one counts. Does not know: what was said, and what follows when it is taken back (the node's
//! engine decides).

use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::attest::{AttestFault, is_plain, number, put_text, text};
use crate::content::Hash;
use crate::group::{GroupId, HolderId, Token};
use crate::limits::{ATTESTATION_LIFE_MAX_S, ATTESTATION_SKEW_S, VOID_LEN_MAX, VOID_REASON_MAX};
use crate::peer::PeerId;
use crate::sign::Signer;
use crate::statement::{Draft, Opened, check_attestor, is_signed_by, whenever_made};

const LABEL: &str = "nearbits void 1";
const FORMAT: u8 = 1;

/// What is taken back, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voided {
    /// In which group.
    pub group: GroupId,
    /// Who said it.
    pub holder: HolderId,
    /// The id of what was said.
    pub statement: Hash,
    /// The how-manieth statement of its signer.
    pub sequence: u64,
    /// Seconds since 1970 until which the statement would have counted.
    pub not_after: u64,
    /// For people: at most 200 bytes without control characters.
    pub reason: String,
}

/// A void as it is carried: its bytes are never written anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Void(Arc<Signed>);

#[derive(PartialEq, Eq, Debug)]
struct Signed {
    bytes: Bytes,
    /// Of the node that signed it; `None` if the group's key did.
    token: Option<Token>,
    signed_at: usize,
    signer: [u8; 32],
    said: Voided,
}

impl Void {
    /// Takes something back: as the node of the holder who said it, with its token; or with the group's key, without one.
    /// `None` if the reason is too long, or not for people.
    #[must_use]
    pub fn sign(signer: &Signer, token: Option<&Token>, said: Voided) -> Option<Self> {
        if said.reason.len() > VOID_REASON_MAX || !is_plain(&said.reason) {
            return None;
        }
        let mut draft = Draft::new(token.map_or(&[][..], |token| token.bytes()), 512)?;
        let out = &mut draft.out;
        out.put_u8(FORMAT);
        out.put_slice(&said.group.0);
        out.put_slice(&said.holder.0);
        out.put_slice(&signer.public_key());
        out.put_slice(&said.statement.0);
        out.put_u64(said.sequence);
        out.put_u64(said.not_after);
        put_text(out, Some(&said.reason))?;
        let (bytes, signed_at) = draft.sign(signer, LABEL, VOID_LEN_MAX)?;
        let (token, signer) = (token.cloned(), signer.public_key());
        Some(Self(Arc::new(Signed { bytes, token, signed_at, signer, said })))
    }

    /// Reads a void; nothing of it is believed yet.
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
    pub fn said(&self) -> &Voided {
        &self.0.said
    }

    /// Its name: a hash of its bytes.
    #[must_use]
    pub fn id(&self) -> Hash {
        Hash(blake3::derive_key("nearbits void id 1", &self.0.bytes))
    }

    /// Whether it counts at a moment in seconds since 1970: the holder it names signed it, or the group with this key did,
    /// and what it takes back might count still. That the holder is no attestor any more does not matter: it speaks against
    /// itself.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, group: &[u8; 32], now: u64) -> Result<(), AttestFault> {
        let said = self.said();
        if said.group != GroupId::of(group) {
            return Err(AttestFault::OtherGroup);
        }
        if said.not_after < now {
            return Err(AttestFault::Over);
        }
        if said.not_after > now.saturating_add(ATTESTATION_LIFE_MAX_S + ATTESTATION_SKEW_S) {
            return Err(AttestFault::TooLong);
        }
        let (signer, signed) = (&self.0.signer, &self.0.bytes[self.0.signed_at..]);
        match &self.0.token {
            Some(token) => {
                let by = (PeerId::from_public_key(*signer), said.holder);
                check_attestor(token, by, LABEL, signed, &whenever_made(said.group, group, token)?)
            }
            None if signer == group && is_signed_by(group, LABEL, signed) => Ok(()),
            None => Err(AttestFault::Unsigned),
        }
    }
}

fn read(bytes: &Bytes) -> Option<Void> {
    let opened = Opened::read(bytes, VOID_LEN_MAX)?;
    let token = if opened.shown.is_empty() { None } else { Some(opened.token()?) };
    let signed_at = opened.signed_at;
    let (format, rest) = opened.body.split_first()?;
    let (group, rest) = rest.split_first_chunk()?;
    let (holder, rest) = rest.split_first_chunk()?;
    let (signer, rest) = rest.split_first_chunk()?;
    let (statement, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = number(rest)?;
    let (not_after, rest) = number(rest)?;
    let (reason, rest) = text(rest)?;
    let reason = reason.filter(|reason| reason.len() <= VOID_REASON_MAX)?;
    if *format != FORMAT || !rest.is_empty() {
        return None;
    }
    let (group, holder, statement) = (GroupId(*group), HolderId(*holder), Hash(*statement));
    let said = Voided { group, holder, statement, sequence, not_after, reason };
    Some(Void(Arc::new(Signed { bytes: bytes.clone(), token, signed_at, signer: *signer, said })))
}

#[cfg(test)]
#[path = "void_tests.rs"]
mod tests;
