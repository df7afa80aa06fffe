//! Randomness that can be had again: a run prints its seed and takes one from `DOCKET_TEST_SEED`.

use uuid::Uuid;

const VARIABLE: &str = "DOCKET_TEST_SEED";

/// A sequence of numbers that follows from its seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The seed of this run, printed.
    ///
    /// # Panics
    /// When the variable holds something else than a number.
    pub fn of_this_run() -> Self {
        let seed = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().expect("a seed is a number"),
            Err(_) => Uuid::new_v4().as_u64_pair().0,
        };
        println!("{VARIABLE}={seed}");
        Self(seed)
    }

    /// A sequence of its own that follows from a number.
    pub fn of(number: u64) -> Self {
        Self(number)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// An id.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next_u64(), self.next_u64())
    }
}
