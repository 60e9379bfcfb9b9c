//! Tickets: a line of text by which whoever has it becomes a member at an enroller (GROUP-4).
//!
//! Knows: the bytes of the line, and how the secret in it is remembered. Does not know: how often one was used, what is given
//! for it (`enrol`).

use std::fmt;

use bytes::{Buf, BufMut, Bytes};

use super::{GroupId, OfferFault};
use crate::digest::{bytes_from_hex, hex};
use crate::limits::{TICKET_ADDRESS_LEN_MAX, TICKET_ADDRESSES_MAX};
use crate::peer::PeerId;
use crate::sign::{SIGNATURE_LEN, Signer, is_signed};

const WORD: &str = "nearbits-ticket-1:";
const LABEL: &str = "nearbits ticket 1";
const FORMAT: u8 = 1;
/// Format, group's key, enroller, secret, until, number of addresses.
const HEAD_LEN: usize = 1 + 32 + 32 + 32 + 8 + 1;

/// What whoever has a ticket knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketSecret(pub [u8; 32]);

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret")
    }
}

impl TicketSecret {
    /// What an enroller remembers it by: nobody gets the secret from it.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        blake3::derive_key("nearbits ticket 1", &self.0)
    }
}

/// A ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The group's public key.
    pub key: [u8; 32],
    /// Who redeems it: the secret is told to nobody else.
    pub enroller: PeerId,
    /// The secret.
    pub secret: TicketSecret,
    /// Seconds since 1970 until which it can be redeemed.
    pub until: u64,
    /// Where the enroller may be reached, as text: at most 8 of at most 128 bytes.
    pub addresses: Vec<String>,
}

impl Ticket {
    /// The group it leads to.
    #[must_use]
    pub fn group(&self) -> GroupId {
        GroupId::of(&self.key)
    }

    /// Whether a text means to be a ticket.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with(WORD)
    }

    /// The line by which it is handed out, signed by the enroller. Of too many addresses the first ones count, of a long one
    /// nothing.
    #[must_use]
    pub fn text(&self, enroller: &Signer) -> String {
        let fits = |address: &&String| address.len() <= TICKET_ADDRESS_LEN_MAX;
        let addresses: Vec<&String> = self.addresses.iter().filter(fits).take(TICKET_ADDRESSES_MAX).collect();
        let mut out = Vec::with_capacity(HEAD_LEN + SIGNATURE_LEN);
        out.put_u8(FORMAT);
        out.put_slice(&self.key);
        out.put_slice(self.enroller.public_key());
        out.put_slice(&self.secret.0);
        out.put_u64(self.until);
        // Both fit a byte.
        out.put_u8(u8::try_from(addresses.len()).unwrap_or(0));
        for address in addresses {
            out.put_u8(u8::try_from(address.len()).unwrap_or(0));
            out.put_slice(address.as_bytes());
        }
        let signature = enroller.sign(LABEL, &out);
        out.put_slice(&signature);
        format!("{WORD}{}", hex(&out))
    }

    /// Reads a line. Its enroller signed it: nothing of it was changed or lost on the way.
    ///
    /// # Errors
    /// [`OfferFault::Unknown`], [`OfferFault::Damaged`].
    pub fn parse(text: &str) -> Result<Self, OfferFault> {
        let digits = text.trim().strip_prefix(WORD).ok_or(OfferFault::Unknown)?;
        let len_max = HEAD_LEN + TICKET_ADDRESSES_MAX * (1 + TICKET_ADDRESS_LEN_MAX) + SIGNATURE_LEN;
        let fits = digits.len() <= 2 * len_max;
        let bytes = bytes_from_hex(digits).filter(|_| fits).ok_or(OfferFault::Damaged)?;
        read(&bytes.into()).ok_or(OfferFault::Damaged)
    }
}

fn read(bytes: &Bytes) -> Option<Ticket> {
    let (body, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>()?;
    if body.len() < HEAD_LEN || body[0] != FORMAT {
        return None;
    }
    let mut rest = &body[1..];
    let [key, enroller, secret] = [array(&mut rest)?, array(&mut rest)?, array(&mut rest)?];
    let until = rest.get_u64();
    let count = usize::from(rest.get_u8());
    let mut addresses = Vec::new();
    for _ in 0..count.min(TICKET_ADDRESSES_MAX + 1) {
        let (len, after) = rest.split_first()?;
        let (text, after) = after.split_at_checked(usize::from(*len))?;
        let is_short = text.len() <= TICKET_ADDRESS_LEN_MAX;
        addresses.push(String::from_utf8(text.to_vec()).ok().filter(|_| is_short)?);
        rest = after;
    }
    let is_whole = rest.is_empty() && count <= TICKET_ADDRESSES_MAX;
    let is_good = is_whole && is_signed(&enroller, LABEL, body, signature);
    let (enroller, secret) = (PeerId::from_public_key(enroller), TicketSecret(secret));
    is_good.then_some(Ticket { key, enroller, secret, until, addresses })
}

fn array(rest: &mut &[u8]) -> Option<[u8; 32]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enroller() -> Signer {
        Signer::of(&[3; 32])
    }

    fn ticket(addresses: &[&str]) -> Ticket {
        Ticket {
            key: Signer::of(&[9; 32]).public_key(),
            enroller: enroller().peer(),
            secret: TicketSecret([5; 32]),
            until: 1_800_000_000,
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn group_4_a_ticket_is_read_as_it_was_made() {
        let full = vec!["x".repeat(128); 8];
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        for addresses in [&[][..], &["192.0.2.7:7411"], &["192.0.2.7:7411", "[2001:db8::7]:7411"], &full] {
            let ticket = ticket(addresses);
            let text = ticket.text(&enroller());
            assert!(Ticket::is_meant(&text) && !text.contains('\n'));
            assert_eq!(Ticket::parse(&format!(" {text}\n")), Ok(ticket));
        }
        let long = "y".repeat(129);
        let more = ticket(&[long.as_str(), "a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        let read = Ticket::parse(&more.text(&enroller())).unwrap();
        assert_eq!(read.addresses.join(""), "abcdefgh");
    }

    #[test]
    fn group_4_a_ticket_that_was_cut_or_changed_is_none() {
        let text = ticket(&["192.0.2.7:7411"]).text(&enroller());
        let digits = bytes_from_hex(text.strip_prefix(WORD).unwrap()).unwrap();
        for bit in 0..digits.len() * 8 {
            let mut flipped = digits.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped.into()), None, "bit {bit}");
        }
        for end in WORD.len()..text.len() {
            assert_eq!(Ticket::parse(&text[..end]), Err(OfferFault::Damaged), "{end} letters");
        }
        assert_eq!(Ticket::parse("nearbits-invitation-2:00"), Err(OfferFault::Unknown));
        let other = ticket(&[]).text(&Signer::of(&[4; 32]));
        assert_eq!(Ticket::parse(&other), Err(OfferFault::Damaged), "somebody else's signature");
    }

    #[test]
    fn group_4_a_ticket_has_golden_bytes_and_its_secret_is_in_no_log() {
        let ticket = ticket(&["ab"]);
        let text = ticket.text(&enroller());
        let head = format!(
            "{WORD}01{}{}{}{:016x}01026162",
            hex(&ticket.key),
            hex(ticket.enroller.public_key()),
            "05".repeat(32),
            1_800_000_000
        );
        assert!(text.starts_with(&head) && text.len() == head.len() + 2 * SIGNATURE_LEN, "{text}");
        assert!(!format!("{ticket:?}").contains("5, 5"));
        assert_ne!(ticket.secret.id(), ticket.secret.0);
    }
}
