//! What is said between brain and hands about tickets, of both sides.

use bytes::Bytes;
use peer_proto::group::{GrantFault, Membership, TicketSecret};
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

/// A fact about tickets.
#[derive(Clone, Debug)]
pub enum TicketFact {
    /// Somebody wants a ticket redeemed at its enroller. Answered by [`TicketWork::Answered`], unless another one takes its place
    /// or its time is over.
    Redeem {
        /// Who redeems it; there is a session with it, or there will be.
        enroller: PeerId,
        /// The secret, for that node only.
        secret: TicketSecret,
        /// It is not asked after this moment.
        until: Instant,
    },
    /// Answer to [`TicketWork::Spend`].
    Spent {
        /// Who asked.
        peer: PeerId,
        /// The number of its question.
        number: u32,
        /// An invitation, or why there is none.
        given: Result<Bytes, GrantFault>,
    },
}

/// Something to do about tickets.
#[derive(Clone, Debug)]
pub enum TicketWork {
    /// A node shows this node, an enroller, a ticket. Answered by [`TicketFact::Spent`], once it is durable that it was used.
    Spend {
        /// Who.
        peer: PeerId,
        /// The number of its question.
        number: u32,
        /// What it knows.
        secret: TicketSecret,
    },
    /// What became of [`TicketFact::Redeem`]: a membership that is still to be checked.
    Answered(Result<Box<Membership>, TicketFault>),
}

/// Why a ticket was not redeemed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TicketFault {
    /// The enroller says no.
    #[error("{0}")]
    Refused(#[from] GrantFault),
    /// It speaks an older version.
    #[error("the machine that made this ticket runs an older version by now, which redeems none")]
    Older,
}
