//! What of a part that is coming in, or waits to be taken, may be given to peers under the file's root.
//!
//! Knows: that only certain and proved pieces are served (TRUST-1). Does not know: who may ask (`serve`), what is relayed by
//! value (`swarm`).

use std::sync::Arc;

use peer_proto::digest::Digest;

use super::core::Core;
use super::file::{JobFile, Stage};
use super::io::ServeFrom;
use super::serve::Offer;
use super::stored::Validation;

impl JobFile {
    /// What of this job's part may be served: certain and proved pieces under a trusted list (TRUST-1).
    pub(super) fn offer(&self, core: &Core) -> Option<Offer> {
        let on_disk = matches!(self.stage, Stage::Fetching | Stage::Sealing | Stage::Sealed);
        let list = self.claims.trusted.as_ref()?;
        if !on_disk || !self.may_serve(core) || self.reset_to.is_some() {
            return None;
        }
        let count = list.geometry().piece_count();
        let have = self.pieces.servable();
        // Its pieces are what they are; that they are the file is said only of what was validated (VAL-5).
        let sealed = self.sealed.is_some() && self.is_validated();
        let whole = (sealed || self.sealed.is_none()) && have.contains_all(0..count);
        Some(Offer {
            content: list.content(),
            have,
            whole,
            sealed,
            from: ServeFrom::Part(self.file()),
            list: Some(Arc::clone(list)),
        })
    }

    /// Whether somebody named what it is, or called it valid. Complete calls it so too, and takes it away from here.
    fn is_validated(&self) -> bool {
        self.is_named() || self.verdict.is == Validation::Valid
    }

    /// Digests besides the root that the whole file has, and is said to have.
    pub(super) fn checked_digests(&self) -> Vec<Digest> {
        let sealed = self.sealed.as_ref().filter(|_| self.is_validated());
        sealed.map(|sealed| sealed.digests.clone()).unwrap_or_default()
    }
}
