//! Records that were here and went, for those who still name them.
//!
//! Knows: the last names. Does not know: why their records went; a restart forgets them.

use std::collections::VecDeque;

use crate::record::RecordId;

/// Names that are remembered.
const GONE_MAX: usize = 1_024;

/// The names of records that went, the last ones last.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<RecordId>);

impl Gone {
    pub(super) fn add(&mut self, id: RecordId) {
        if self.0.len() == GONE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    pub(super) fn has(&self, id: RecordId) -> bool {
        self.0.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_43_the_last_1024_records_that_went_are_remembered() {
        let id = |number: u16| {
            RecordId(
                [[0; 8], number.to_be_bytes().repeat(4).try_into().unwrap()].concat().try_into().unwrap(),
            )
        };
        let mut gone = Gone::default();
        (0..1_024).for_each(|number| gone.add(id(number)));
        assert!(gone.has(id(0)) && gone.has(id(1_023)) && !gone.has(id(1_024)));
        gone.add(id(1_024));
        assert!(!gone.has(id(0)) && gone.has(id(1)) && gone.has(id(1_024)));
    }
}
