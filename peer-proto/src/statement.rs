//! What signed statements have in common: their signer's token in front, then a signed part with the signature at its end.
//!
//! Knows: that frame, and whether an attestor of a group signed what is in it. Does not know: what is said (`attest`, `batch`,
//! `void`).

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use crate::attest::{AttestFault, AttestRules};
use crate::group::{GroupId, HolderId, Roles, Token, TokenRules, Wish};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

/// A statement that is being written.
pub(crate) struct Draft {
    /// Where what is said is added.
    pub(crate) out: BytesMut,
    signed_at: usize,
}

impl Draft {
    /// Begins with the bytes of a token, or none. `None` if they are too many.
    pub(crate) fn new(shown: &[u8], capacity: usize) -> Option<Self> {
        let mut out = BytesMut::with_capacity(capacity);
        out.put_u16(u16::try_from(shown.len()).ok()?);
        out.put_slice(shown);
        let signed_at = out.len();
        Some(Self { out, signed_at })
    }

    /// Signs it. The bytes, and where the signed part begins; `None` if they are more than `len_max`.
    pub(crate) fn sign(
        mut self,
        signer: &Signer,
        label: &'static str,
        len_max: usize,
    ) -> Option<(Bytes, usize)> {
        let signature = signer.sign(label, &self.out[self.signed_at..]);
        self.out.put_slice(&signature);
        (self.out.len() <= len_max).then(|| (self.out.freeze(), self.signed_at))
    }
}

/// A statement that is being read: nothing of it is believed yet.
pub(crate) struct Opened<'a> {
    /// The bytes of a token, or none.
    pub(crate) shown: &'a [u8],
    /// Where the signed part begins.
    pub(crate) signed_at: usize,
    /// The signed part without its signature.
    pub(crate) body: &'a [u8],
}

impl<'a> Opened<'a> {
    /// Takes the frame off.
    pub(crate) fn read(bytes: &'a [u8], len_max: usize) -> Option<Self> {
        if bytes.len() > len_max {
            return None;
        }
        let signed_at = 2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
        let shown = bytes.get(2..signed_at)?;
        let (body, _) = bytes.get(signed_at..)?.split_last_chunk::<SIGNATURE_LEN>()?;
        Some(Self { shown, signed_at, body })
    }

    /// The token, which must be there.
    pub(crate) fn token(&self) -> Option<Token> {
        Token::parse(Bytes::copy_from_slice(self.shown)).ok()
    }
}

/// Whether these bytes end in a signature of the others under a label.
pub(crate) fn is_signed_by(key: &[u8; 32], label: &'static str, signed: &[u8]) -> bool {
    let parts = signed.split_last_chunk::<SIGNATURE_LEN>();
    parts.is_some_and(|(body, signature)| is_signed(key, label, body, signature))
}

/// Whether this attestor of the group signed a statement under its label: the signature is behind it.
pub(crate) fn check_attestor(
    token: &Token,
    (peer, holder): (PeerId, HolderId),
    label: &'static str,
    signed: &[u8],
    rules: &AttestRules<'_>,
) -> Result<(), AttestFault> {
    let wish = token.wish();
    if !wish.roles.has(Roles::ATTEST) {
        return Err(AttestFault::NotAttestor);
    }
    if wish.holder != holder {
        return Err(AttestFault::OtherHolder);
    }
    let (group, now, epoch, denied) = (rules.group, rules.now, rules.epoch, rules.denied);
    token.check(&TokenRules { group, peer, now, epoch, denied })?;
    if is_signed_by(peer.public_key(), label, signed) { Ok(()) } else { Err(AttestFault::Unsigned) }
}

/// The rules by which a statement of this group's is its signer's, whenever it was made: those of its token's first moment
/// (ATTEST-8).
pub(crate) fn whenever_made<'a>(
    said_in: GroupId,
    group: &'a [u8; 32],
    token: &Token,
) -> Result<AttestRules<'a>, AttestFault> {
    if said_in != GroupId::of(group) {
        return Err(AttestFault::OtherGroup);
    }
    let Wish { not_before: now, epoch, .. } = *token.wish();
    Ok(AttestRules { group, now, epoch, denied: &NOBODY })
}

static NOBODY: BTreeSet<HolderId> = BTreeSet::new();
