//! When a node that is no fetcher asks the origin all the same (HOME-4).
//!
//! Knows: that those who should fetch fail, or that what they fetch comes too slowly. Does not know: how that is measured
//! (`lag`), what is asked for then.

use super::Home;

/// Whether this node leaves the origin to the fetchers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// It does.
    Kept,
    /// What the site has comes to it too slowly: it fetches as if it were one.
    Over,
    /// The origin alone would have given more by now: nothing is left to what others say that they fetch, or read.
    Lost,
}

impl Home {
    /// Whether what the site has comes to this node fast enough.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Whether this node may ask the origin: it is a fetcher, or most of those who should have fetched did not (HOME-4),
    /// or nobody is one, or its patience is over.
    #[must_use]
    pub fn may_fetch(&self) -> bool {
        let impatient = self.failed.len() >= 3 && self.failed.len() * 2 > self.fetchers.len();
        self.fetchers.contains(&self.me)
            || self.fetchers.is_empty()
            || impatient
            || self.patience != Patience::Kept
    }
}
