//! The offline best fit: it knows all streams of a moment and what each really takes, and packs them into empty nodes.
//!
//! Streams are packed as they came or the largest first, each on the node that it fills most or where it is cheapest. What counts
//! is the best of these, so that the measure is not too easy: packing the largest first wastes least, but places fewer
//! streams where not all fit, because the large ones are in.

use super::clairvoyant::{Packing, Prefers, everywhere};
use super::hardware::Hardware;
use super::ladders::Kind;
use super::scenario::Setting;
use super::truth::{Ways, float};

/// How many streams of a moment the offline best fit places, of all that would be there then had none been refused; and how
/// many millions of pixels a second are encoded for them.
pub fn packed_anew(setting: &Setting, at: f64) -> (u64, f64) {
    let there = setting.streams.iter().filter(|stream| stream.arrives <= at && at < stream.departs);
    let mut streams: Vec<(Vec<Ways>, f64)> = there
        .map(|stream| {
            let work = &setting.kinds[stream.kind].demand.work;
            (everywhere(work, stream.content), work.encoded_pixel_rate() / 1e6)
        })
        .collect();
    let pack = |streams: &[(Vec<Ways>, f64)], prefers| {
        let mut packing = Packing::new(&setting.hardware, setting.scenario.headroom, prefers);
        let placed = streams.iter().filter(|(ways, _)| place(&mut packing, ways));
        placed.fold((0, 0.0), |(count, pixels), (_, of_one)| (count + 1, pixels + of_one))
    };
    let mut all = vec![pack(&streams, Prefers::Fullest), pack(&streams, Prefers::Cheapest)];
    streams.sort_by(|(a, _), (b, _)| size(b).total_cmp(&size(a)));
    all.push(pack(&streams, Prefers::Fullest));
    let most = all.iter().map(|(count, _)| *count).max().unwrap_or(0);
    let pixels = all.iter().map(|(_, pixels)| *pixels).fold(0.0, f64::max);
    (most, pixels)
}

fn place(packing: &mut Packing, ways: &[Ways]) -> bool {
    let spot = packing.best_fit(ways);
    if let Some(spot) = &spot {
        packing.add(spot.node, &spot.cost);
    }
    spot.is_some()
}

/// Whether all of `streams` would fit into these empty nodes together: best fit, the largest first.
pub fn has_room_if_packed(empty: &Packing, streams: &[Vec<Ways>]) -> bool {
    let mut by_size: Vec<&Vec<Ways>> = streams.iter().collect();
    by_size.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let mut packing = empty.clone();
    by_size.iter().all(|ways| place(&mut packing, ways))
}

/// What orders streams: cores by software where that is allowed, on the class that is the same for all. Those that only a GPU
/// can make come first: they have the fewest places to go.
fn size(ways: &[Ways]) -> f64 {
    ways.first().and_then(|ways| ways.software.as_ref()).map_or(f64::INFINITY, |cost| cost.machine.cpu)
}

/// How many streams of these kinds there is room for when nodes may be used up to `limit`: streams come and stay, until one
/// in fifty was refused of those that a processor can make. (Those that only a GPU can make are refused long before that, as
/// the GPUs fill up with streams that would do without.) The average over several orders, because few nodes hold few streams.
pub fn room_for(hardware: &[Hardware], kinds: &[Kind], limit: f64, seed: u64) -> f64 {
    const REFUSED: f64 = 0.02;
    /// Streams in all that the average is made of, at least.
    const ENOUGH: usize = 2_000;
    let (mut placed, mut orders) = (0_usize, 0_u64);
    while placed < ENOUGH && orders < 64 {
        let seed = seed.wrapping_add(orders);
        let filled = |prefers| fill(Packing::new(hardware, limit, prefers), kinds, REFUSED, seed);
        placed += filled(Prefers::Fullest).max(filled(Prefers::Cheapest));
        orders += 1;
    }
    float(u64::try_from(placed).unwrap_or(u64::MAX)) / float(orders.max(1))
}

fn fill(mut packing: Packing, kinds: &[Kind], bound: f64, seed: u64) -> usize {
    /// More than any node holds.
    const FOR_EACH_NODE: usize = 200;
    let (mut placed, mut refused) = (0_u32, 0_u32);
    for stream in super::arrivals::endless(packing.nodes() * FOR_EACH_NODE, kinds, seed) {
        let ways = everywhere(&kinds[stream.kind].demand.work, stream.content);
        match packing.best_fit(&ways) {
            Some(spot) => {
                packing.add(spot.node, &spot.cost);
                placed += 1;
            }
            None => refused += u32::from(ways.iter().any(|ways| ways.software.is_some())),
        }
        // The first refusals of a small fleet are of streams too large for any node of it.
        if f64::from(refused) > bound * f64::from(placed).max(50.0) {
            break;
        }
    }
    usize::try_from(placed).unwrap_or(usize::MAX)
}
