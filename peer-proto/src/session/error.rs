//! What can go wrong in a dialogue, and whose fault it is.
//!
//! Knows: protocol errors (close and back off) apart from lies (ban: TRUST-8). Does not know: how long.

use crate::limits::{GOODBYE_WORDS_MAX, IDS_PER_SECOND_MAX, LIST_PARTS_IN_FLIGHT_MAX};
use crate::verify::VerifyError;
use crate::wire::{FrameFault, FrameKind, ListPart, Versions};

use super::RequestId;

/// The peer broke the protocol: close, and back off one minute, doubling (WIRE-9). Not a lie.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// No Hello within 2 s.
    #[error("no hello within 2 s")]
    NoHello,
    /// The first frame was another.
    #[error("the first frame was {kind:?}, not Hello")]
    NotHello {
        /// What it was.
        kind: FrameKind,
    },
    /// Another Hello.
    #[error("a second hello")]
    SecondHello,
    /// The versions of the two sides have nothing in common.
    #[error(
        "no common version: one side speaks {} to {}, the other {} to {}",
        Versions::OURS.min, Versions::OURS.max, .theirs.min, .theirs.max
    )]
    NoCommonVersion {
        /// What the peer speaks.
        theirs: Versions,
    },
    /// An answer to a question that was never asked.
    #[error("an answer to question {number}, which was not asked")]
    UnaskedAnswer {
        /// The number.
        number: u32,
    },
    /// A part of a hash list that was not asked for (WIRE-3).
    #[error("a part of a hash list that was not asked for: {part:?}")]
    UnaskedList {
        /// Which part.
        part: ListPart,
    },
    /// A page of a deny list that was not asked for, or of another length than it has.
    #[error("page {page} of a deny list, which was not asked for so")]
    UnaskedPage {
        /// Which page.
        page: u32,
    },
    /// The pages that were asked for are no deny list.
    #[error("bytes that are no deny list")]
    NoDenyList,
    /// An enroller's answer that is no invitation.
    #[error("bytes that are no invitation")]
    NoInvitation,
    /// A request that was never made.
    #[error("request {} was never made", .request.0)]
    UnknownRequest {
        /// Its name.
        request: RequestId,
    },
    /// Numbers of questions and requests must ascend.
    #[error("number {number} was used before")]
    NumberGoesBack {
        /// The number.
        number: u64,
    },
    /// Far more questions than the pace allows.
    #[error("too many questions: {IDS_PER_SECOND_MAX} a second are allowed")]
    TooManyQuestions,
    /// More parts of hash lists asked for at once than allowed (WIRE-3), or one of them twice.
    #[error("more than {LIST_PARTS_IN_FLIGHT_MAX} parts of hash lists asked for at once")]
    TooManyLists,
    /// Peers named to somebody who did not register.
    #[error("peers were named to a node that had not registered")]
    NotRegistered,
    /// A frame against a rule of shape.
    #[error(transparent)]
    Fault(#[from] FrameFault),
}

/// Why a hash list did not come.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListFault {
    /// The peer does not have it (any more).
    #[error("the peer does not have the list")]
    NotHeld,
    /// The peer did not answer within 5 s.
    #[error("the peer did not send the list in time")]
    Silent,
    /// Too many lists wait already: a limit of this node.
    #[error("too many lists are wanted from this peer")]
    TooMany,
    /// A part does not fold to the root it was sent under.
    #[error("the list is wrong: {0}")]
    Wrong(#[source] VerifyError),
}

impl ListFault {
    /// Whether the peer lied (TRUST-8): it sent a part under a root that the part does not fold to.
    #[must_use]
    pub const fn is_lie(&self) -> bool {
        match self {
            Self::Wrong(error) => error.is_lie(),
            Self::NotHeld | Self::Silent | Self::TooMany => false,
        }
    }
}

/// Words as a `Goodbye` may carry them.
pub(super) fn fit(words: &str) -> String {
    let mut fitted = String::new();
    for letter in words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }) {
        if fitted.len() + letter.len_utf8() > GOODBYE_WORDS_MAX {
            break;
        }
        fitted.push(letter);
    }
    fitted
}
