//! Which statements of one author were taken in already, by their numbers.
//!
//! Knows: the highest number and the 128 below it; whatever is older counts as seen. Does not know: what was said.

/// Statements of one author. They come over several ways, so a few may come out of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    highest: u64,
    /// Bit `n` stands for the number `highest - 1 - n`.
    below: u128,
}

impl Seen {
    /// Whether a statement of this number is new. Numbers begin at 1.
    #[must_use]
    pub fn is_new(&self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(0) => false,
            Some(back) => back <= 128 && self.below & 1 << (back - 1) == 0,
        }
    }

    /// Whether a statement of this number is so old that nobody can tell whether it was seen.
    #[must_use]
    pub const fn is_past(&self, number: u64) -> bool {
        self.highest.saturating_sub(number) > 128
    }

    /// Takes in that a statement was seen. Only those whose signature was checked may be: else a forged number would hide
    /// true ones.
    pub fn note(&mut self, number: u64) {
        if number > self.highest {
            let step = number - self.highest;
            let shift =
                |bits: u128, by: u64| u32::try_from(by).ok().and_then(|by| bits.checked_shl(by)).unwrap_or(0);
            self.below = shift(self.below, step);
            if self.highest > 0 {
                self.below |= shift(1, step - 1);
            }
            self.highest = number;
        } else if let Some(back) = (self.highest - number).checked_sub(1).filter(|back| *back < 128) {
            self.below |= 1 << back;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_is_new_once() {
        let mut seen = Seen::default();
        for number in [3, 1, 2, 200, 199, 73] {
            assert!(seen.is_new(number), "{number}");
            seen.note(number);
            assert!(!seen.is_new(number), "{number}");
        }
        assert!(!seen.is_new(0) && !seen.is_new(71), "too old to tell");
        assert!(seen.is_past(71) && !seen.is_past(72) && !seen.is_past(300));
        assert!(seen.is_new(72) && seen.is_new(u64::MAX));
        seen.note(u64::MAX);
        assert!(!seen.is_new(200));
    }

    proptest! {
        #[test]
        fn a_window_tells_what_a_set_tells(numbers in proptest::collection::vec(1_u64..400, 1..200)) {
            let (mut seen, mut slow) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                let highest = slow.last().copied().unwrap_or(0);
                let is_old = number + 128 < highest;
                prop_assert_eq!(seen.is_new(number), !is_old && !slow.contains(&number));
                seen.note(number);
                slow.insert(number);
            }
        }
    }
}
