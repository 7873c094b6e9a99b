//! Random choices that can be made again: the seed is printed, and `HEADGATE_SEED` sets it.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64: small, and good enough to choose moments.
pub struct Random {
    state: u64,
}

impl Random {
    /// From `HEADGATE_SEED`, or from the clock. Prints the seed.
    pub fn seeded() -> Self {
        let given = std::env::var("HEADGATE_SEED").ok();
        let seed = given.map_or_else(from_clock, |text| text.parse().expect("HEADGATE_SEED is a number"));
        println!("seed: HEADGATE_SEED={seed}");
        Self { state: seed }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_nanos()))
}
