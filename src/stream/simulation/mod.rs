//! A seeded simulation of a stream's life: a publisher, nodes that vanish and come back, FFmpeg that crashes, links that
//! delay, and a clock that the simulation moves. The real [`Stream`] runs in it; the model checks every commit.
//!
//! One schedule is a function of its seed. A failing seed is printed; `HEADGATE_SEED=n cargo test simulation` replays it.

pub(crate) mod source;
pub(crate) mod transcoder;
mod world;

use std::time::Duration;

use world::{Faults, World};

/// Schedules in `make test`.
const SCHEDULES: u64 = 2_400;

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded and good enough to draw schedules.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A duration from `low` to `high` milliseconds.
    pub(super) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high - low + 1))
    }

    /// True once in `n`.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("HEADGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}

/// Runs schedules with these faults; the seed of one that fails is in the panic's message.
fn run(count: u64, faults: impl Fn(&mut Dice) -> Faults) -> u32 {
    let mut reattachments = 0;
    for seed in seeds(count) {
        let mut dice = Dice::new(seed);
        let faults = faults(&mut dice);
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| World::new(dice, faults).run()));
        match outcome {
            Ok(count) => reattachments += count,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map_or("(no text)", String::as_str);
                panic!("schedule failed, seed {seed}: {text}");
            }
        }
    }
    reattachments
}

#[test]
fn without_faults_everything_comes_out_once() {
    let reattachments = run(100, |_| Faults::default());
    assert_eq!(reattachments, 0);
}

#[test]
fn nodes_that_vanish_lose_nothing() {
    let reattachments = run(SCHEDULES, |dice| Faults {
        node_deaths: 1 + dice.below(6),
        crashes: dice.below(3),
        refusals: dice.below(4),
        ..Faults::default()
    });
    assert!(reattachments > u32::try_from(SCHEDULES).expect("small"), "faults did hit: {reattachments}");
}

#[test]
fn publishers_that_come_and_go_lose_nothing_that_was_accepted() {
    run(SCHEDULES / 2, |dice| Faults {
        node_deaths: dice.below(4),
        reconnects: 1 + dice.below(3),
        takeovers: dice.below(2),
        parameter_changes: dice.below(2),
        no_reordering: dice.one_in(2),
        ..Faults::default()
    });
}

#[test]
fn tracks_that_come_and_go_lose_nothing() {
    run(SCHEDULES / 2, |dice| Faults {
        shapes: true,
        node_deaths: dice.below(4),
        crashes: dice.below(2),
        reconnects: dice.below(3),
        takeovers: dice.below(2),
        parameter_changes: dice.below(2),
        no_reordering: dice.one_in(2),
        ..Faults::default()
    });
}

#[test]
fn publishers_that_vanish_without_a_word_are_replaced() {
    run(400, |dice| Faults {
        silences: 1 + dice.below(2),
        reconnects: dice.below(2),
        takeovers: dice.below(3),
        keeps_publisher: dice.one_in(2),
        node_deaths: dice.below(2),
        ..Faults::default()
    });
}

#[test]
fn a_source_that_is_taken_nowhere_goes_on_when_it_is_taken() {
    run(200, |dice| Faults {
        refused: 1 + dice.below(3),
        reconnects: 1 + dice.below(2),
        node_deaths: dice.below(2),
        ..Faults::default()
    });
}

#[test]
fn an_ffmpeg_that_hangs_at_the_end_of_a_section_is_replaced() {
    run(200, |dice| Faults { reconnects: 1 + dice.below(2), hangs_at_end: 1, ..Faults::default() });
}

#[test]
fn a_section_that_vanished_from_the_log_does_not_hold_up_the_next() {
    run(400, |dice| Faults {
        blackout: Some(dice.millis(3_000, 12_000)),
        reconnects: dice.below(3),
        parameter_changes: dice.below(2),
        small_log: true,
        ..Faults::default()
    });
}

#[test]
fn without_any_node_what_the_log_cannot_hold_is_counted() {
    run(200, |dice| Faults {
        blackout: Some(dice.millis(3_000, 12_000)),
        small_log: true,
        ..Faults::default()
    });
}

#[test]
fn a_stream_that_crashes_ffmpeg_everywhere_backs_off_and_ends() {
    run(100, |_| Faults { poison: true, ..Faults::default() });
}
