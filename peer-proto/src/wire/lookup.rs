//! The frames that ask who holds something, and answer.
//!
//! Knows: their shape (LOOKUP-1, 2). Does not know: ids and proofs ([`lookup`](crate::lookup)), who is answered.

use super::fault::FrameFault;
use crate::content::{ContentId, Geometry};
use crate::limits::IDS_PER_FIND_MAX;

/// One lookup: the id, and the proof that the asker knows the digest behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// The lookup id (LOOKUP-1).
    pub id: [u8; 32],
    /// The proof, made for this answerer's nonce (LOOKUP-2).
    pub proof: [u8; 32],
}

/// Up to 32 questions, numbered upward from `first`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Find {
    /// The number of the first question; higher than any number its sender used before.
    pub first: u32,
    /// The questions; 1 to 32.
    pub questions: Vec<Question>,
}

impl Find {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let count = self.questions.len();
        let last = u32::try_from(count).ok().and_then(|count| self.first.checked_add(count));
        if count == 0 || count > IDS_PER_FIND_MAX || last.is_none() {
            return Err(FrameFault::QuestionCount { count });
        }
        Ok(())
    }
}

/// What a peer says of one lookup id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Not held, not allowed, over a limit: all the same to the asker (LOOKUP-4).
    NotHere,
    /// Held, in whole or in part.
    Here {
        /// What the digest names, on the word of the sender.
        content: ContentId,
        /// Whether every piece is served. Otherwise `Have` frames follow.
        whole: bool,
        /// Whether the sender says it checked the whole file against the digest: its hash list is then a sealed
        /// list, and the sender answers for it (CLAIM-1, TRUST-8).
        sealed: bool,
    },
}

/// An answer and the question it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NumberedAnswer {
    /// Number of the question.
    pub number: u32,
    /// The answer.
    pub answer: Answer,
}

/// Answers to up to 32 questions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The answers, by ascending number; 1 to 32.
    pub answers: Vec<NumberedAnswer>,
}

impl Found {
    pub(super) fn check(&self) -> Result<(), FrameFault> {
        let count = self.answers.len();
        if count == 0 || count > IDS_PER_FIND_MAX {
            return Err(FrameFault::QuestionCount { count });
        }
        if !self.answers.is_sorted_by(|one, next| one.number < next.number) {
            return Err(FrameFault::NotAscending);
        }
        for numbered in &self.answers {
            if let Answer::Here { content, .. } = numbered.answer {
                Geometry::of(content.len)?;
            }
        }
        Ok(())
    }
}
