//! Chance that can be had again.
//!
//! ChaCha8 with the seed as its key and the story's number as its stream: the cipher is specified, so its numbers are the
//! same on every platform and in every version of the crate. Everything drawn from them is whole numbers made here, not
//! by `rand`'s distributions, which may change with its versions, and never floats, which differ between machines.

use super::rates::Rate;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};

/// A sequence of numbers that follows from a seed and a stream.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The `stream`th sequence of a seed; no two share numbers.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut numbers = ChaCha8Rng::from_seed(key);
        numbers.set_stream(stream);
        Self(numbers)
    }

    /// A number below `bound`, which is at least 1. The bias of the multiplication is below `bound` in 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound.max(1))) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add_unsigned(self.below(high.abs_diff(low).saturating_add(1)))
    }

    /// As [`Dice::between`], for small numbers.
    pub(super) fn pieces(&mut self, low: u32, high: u32) -> u32 {
        // Not above `high`.
        self.between(low.into(), high.into()) as u32
    }

    /// Whether what happens at this rate happens.
    pub(super) fn happens(&mut self, rate: Rate) -> bool {
        self.below(Rate::OF) < u64::from(rate.0)
    }

    /// One of some, all alike.
    pub(super) fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len() as u64) as usize]
    }

    /// One of some, by their weights.
    pub(super) fn weighted<'a, T>(&mut self, some: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
        let total = some.iter().map(|one| u64::from(weight(one))).sum();
        let mut left = self.below(total);
        for one in some {
            match left.checked_sub(u64::from(weight(one))) {
                Some(rest) => left = rest,
                None => return one,
            }
        }
        &some[some.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_numbers_are_those_of_chacha8_for_ever() {
        let mut dice = Dice::new(42, 7);
        let drawn: Vec<_> = (0..4).map(|_| dice.below(1_000_000)).collect();
        assert_eq!(drawn, [185_679, 580_359, 945_304, 734_301]);
    }

    #[test]
    fn weights_and_bounds_are_kept() {
        let mut dice = Dice::new(1, 1);
        let some = [("never", 0), ("once", 1), ("often", 3)];
        let mut often = 0;
        for _ in 0..4_000 {
            let (word, weight) = *dice.weighted(&some, |one| one.1);
            assert!(weight > 0, "{word}");
            often += u32::from(word == "often");
            assert!((-3..=5).contains(&dice.between(-3, 5)));
        }
        assert!((2_800..3_200).contains(&often), "{often}");
    }
}
