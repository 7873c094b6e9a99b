//! The streams of a run: when each comes, how long it stays, what it is. Drawn before the run, so that every policy meets
//! the same.

use super::ladders::Kind;
use super::random::{Random, hash};

/// Spread of the logarithm of lifetimes: a quarter of the streams last half as long as the median or less, and some for hours.
const LIFETIME_SPREAD: f64 = 1.0;
/// Spread of the logarithm of what contents cost.
const CONTENT_SPREAD: f64 = 0.15;

/// One stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// When it is published, in seconds.
    pub arrives: f64,
    /// When it ends.
    pub departs: f64,
    /// What it is, by its place in the catalogue.
    pub kind: usize,
    /// What its pictures do to the cost of coding them: about 1.
    pub content: f64,
    /// What decides about its ups and downs.
    pub salt: u64,
}

/// How many come, and for how long they stay.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many are there at a time, on average, if all are placed.
    pub present: f64,
    /// How long one stays on average, in seconds.
    pub lifetime: f64,
    /// In the first so many seconds the streams come that are there when the run begins.
    pub fill: f64,
    /// When the last ones come.
    pub end: f64,
}

/// The streams of a crowd, by the time at which they come.
///
/// At the end of the filling the crowd is as it is at any time later: those present then have been there for a while, so
/// what is left of their lives is the rest of a lifetime that is drawn by its length (a longer one is the likelier to be met).
pub fn streams(crowd: &Crowd, kinds: &[Kind], seed: u64) -> Vec<Stream> {
    let mut random = Random::new(hash(&[seed, 1]));
    let median = crowd.lifetime / (LIFETIME_SPREAD * LIFETIME_SPREAD / 2.0).exp();
    let median_met = median * (LIFETIME_SPREAD * LIFETIME_SPREAD).exp();
    let mut streams = Vec::new();
    let mut at = 0.0;
    while at < crowd.end {
        let filling = at < crowd.fill;
        let gap = if filling { crowd.fill } else { crowd.lifetime } / crowd.present;
        at += random.exponential(gap);
        let departs = if filling {
            crowd.fill.max(at) + random.lognormal(median_met, LIFETIME_SPREAD) * random.unit()
        } else {
            at + random.lognormal(median, LIFETIME_SPREAD)
        };
        streams.push(stream(at, departs, kinds, &mut random));
    }
    streams
}

/// Streams that come one after the other and stay, to see how many there is room for.
pub fn endless(count: usize, kinds: &[Kind], seed: u64) -> Vec<Stream> {
    let mut random = Random::new(hash(&[seed, 2]));
    (0..count).map(|_| stream(0.0, f64::INFINITY, kinds, &mut random)).collect()
}

fn stream(arrives: f64, departs: f64, kinds: &[Kind], random: &mut Random) -> Stream {
    let kind = random.weighted(kinds.iter().map(|kind| kind.weight));
    let content = random.lognormal(1.0, CONTENT_SPREAD);
    Stream { arrives, departs, kind, content, salt: random.next() }
}
