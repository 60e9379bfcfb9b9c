//! The engine's only randomness: numbers that follow from the seed handed in.
//!
//! Knows: a small generator (splitmix64 over the folded seed). Does not know: entropy; nothing secret may rest on it
//! beyond what the seed's owner keeps to himself.

use peer_proto::peer::PeerId;

/// A stream of numbers that replays from its seed.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let (words, _) = seed.as_chunks::<8>();
        let state = words.iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, word| {
            mix(state ^ u64::from_le_bytes(*word)).wrapping_add(0x9e37_79b9_7f4a_7c15)
        });
        Self { state }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`; zero if the bound is zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        let number = self.number();
        u32::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number that looks random and is another one for each pair.
pub(super) fn mixed(one: PeerId, other: PeerId) -> u64 {
    let mut both = [0; 8];
    for (at, (a, b)) in one.public_key().iter().zip(other.public_key()).enumerate() {
        both[at % 8] ^= a.rotate_left(3) ^ b.wrapping_mul(a | 1);
    }
    u64::from_be_bytes(both)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn replays_from_its_seed_and_covers_its_range() {
        let (mut a, mut b) = (Chance::new([7; 32]), Chance::new([7; 32]));
        let drawn: Vec<u32> = (0..1_000).map(|_| a.below(10)).collect();
        assert_eq!(drawn, (0..1_000).map(|_| b.below(10)).collect::<Vec<_>>());
        for wanted in 0..10 {
            let count = drawn.iter().filter(|number| **number == wanted).count();
            assert!((50..=150).contains(&count), "{wanted} was drawn {count} times of 1000");
        }
        assert_eq!(a.below(0), 0);
        assert_ne!(Chance::new([8; 32]).number(), Chance::new([9; 32]).number());
    }

    #[test]
    fn the_numbers_are_those_that_splitmix64_is_known_by() {
        let mut chance = Chance { state: 1_234_567 };
        let drawn = [(); 5].map(|()| chance.number());
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(drawn, known);
    }

    #[test]
    fn each_byte_of_a_pairs_number_differs_from_pair_to_pair() {
        let key = |at: usize| {
            let mut key = [7; 32];
            key[at] = 8;
            PeerId::from_public_key(key)
        };
        let one = PeerId::from_public_key([1; 32]);
        let numbers: BTreeSet<u64> = (0..8).map(|at| mixed(one, key(at))).collect();
        assert_eq!(numbers.len(), 8, "a key that differs in one place gives another number: {numbers:x?}");
    }
}
