//! A list that is followed because another file than the one that was asked for is here (CLAIM-10, step 3).
//!
//! Knows: which pieces must speak for it first. Does not know: what is here (`walk`), how audits are drawn (`claims`).

use std::sync::Arc;

use peer_proto::time::Instant;
use peer_proto::verify::HashList;

use super::chance::Chance;
use super::claims::{Audit, Claims};
use super::piece_set::PieceSet;

/// Pieces that must speak for a list.
const ANSWERS: u32 = 3;

/// How far a list's trial is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Trial {
    /// The file was not found wrong yet, or not with this list known.
    #[default]
    Untried,
    /// So many pieces in which it differs from what is here must agree with the origin first.
    Open(u32),
    /// They did: the rest of these pieces is taken under it.
    Won,
}

impl Claims {
    /// Whether the followed hint is to be put on trial: it was not yet.
    pub(super) fn owes_trial(&self) -> bool {
        let active = self.active.and_then(|active| self.hint(active));
        active.is_some_and(|hint| !hint.refuted && hint.audit.trial == Trial::Untried)
    }

    /// Whether answers are waited for before more is taken under the followed hint.
    pub(super) fn is_on_trial(&self) -> bool {
        let active = self.active.and_then(|active| self.hint(active));
        active.is_some_and(|hint| !hint.cleared && matches!(hint.audit.trial, Trial::Open(_)))
    }

    /// Puts the followed hint on trial (CLAIM-10, step 3): of the pieces in which it differs from what is here, three that are
    /// drawn now, or all, must be what the origin gives before another one is taken under it.
    pub(super) fn draw_trial(&mut self, mut differing: PieceSet, chance: &mut Chance) {
        let Some(hint) = self.active.and_then(|active| self.hint_mut(active)) else { return };
        let mut pieces = Vec::new();
        let mut wanted = 0;
        while wanted < ANSWERS
            && let Some(piece) = differing.nth(chance.below(differing.count()))
        {
            differing.remove(piece..piece + 1);
            pieces.push(piece);
            wanted += 1;
        }
        hint.cleared = pieces.is_empty();
        hint.audit = Audit { pieces, grows_at: Instant::NEVER, answers: 0, trial: Trial::Open(wanted) };
    }

    /// The list whose trial was won just now, once.
    pub(super) fn trial_won(&mut self) -> Option<Arc<HashList>> {
        let hint = self.active.and_then(|active| self.hint_mut(active))?;
        let is_won = hint.cleared && matches!(hint.audit.trial, Trial::Open(_));
        hint.audit.trial = if is_won { Trial::Won } else { hint.audit.trial };
        is_won.then(|| Arc::clone(&hint.list))
    }
}
