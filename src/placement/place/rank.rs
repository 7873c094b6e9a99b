//! Which of the nodes that would do is the best.

use super::NodeView;
use super::explanation::Scored;
use crate::placement::policy::{Policy, PolicyKind, Selection};

/// What decides between two nodes, the lower the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// [`Scored::preference`].
    tier: (bool, bool, bool, u8),
    policy: [u64; 4],
}

impl Rank {
    pub(super) fn new(node: &NodeView<'_>, scored: Scored, policy: PolicyKind) -> Self {
        let tier = scored.preference();
        let score = u64::from(scored.score.to_bits());
        let policy = match policy {
            PolicyKind::Spread => [score, 0, 0, 0],
            PolicyKind::Pack => {
                let cores = f64::from(node.room.capacity().cores.max(1));
                let watts = node.watts.map(|watts| watts / cores);
                [u64::from(node.leases == 0), order(node.cost_per_hour), order(watts), !score]
            }
        };
        Self { tier, policy }
    }
}

/// A number that is never negative, as its bits, which order as it does; last what nobody told.
fn order(number: Option<f64>) -> u64 {
    number.map_or(u64::MAX, |number| number.max(0.0).to_bits())
}

/// The nodes that may still be the best.
pub(super) struct Candidates {
    seed: u64,
    selection: Selection,
    /// With [`Selection::Best`] those of the lowest rank so far, which are equal; or else those of the lowest tier so far.
    best: Vec<(Rank, usize)>,
}

impl Candidates {
    pub(super) fn new(policy: &Policy, seed: u64) -> Self {
        Self { seed, selection: policy.selection, best: Vec::new() }
    }

    /// A node that would do, by its place among all.
    pub(super) fn add(&mut self, node: usize, rank: Rank) {
        if let Some((best, _)) = self.best.first() {
            let order = match self.selection {
                Selection::Best => rank.cmp(best),
                Selection::BestOf(_) => rank.tier.cmp(&best.tier),
            };
            if order.is_gt() {
                return;
            }
            if order.is_lt() {
                self.best.clear();
            }
        }
        self.best.push((rank, node));
    }

    /// The best one. Names are drawn, not places, so that the order of the nodes does not matter.
    pub(super) fn best(self, nodes: &[NodeView<'_>]) -> Option<usize> {
        let Self { seed, selection, best } = self;
        let lot = |node: usize| nodes.get(node).map(|node| draw(seed, node.name.as_str()));
        if let [(_, only)] = best[..] {
            return Some(only);
        }
        let mut drawn: Vec<_> = best.into_iter().map(|(rank, node)| (lot(node), rank, node)).collect();
        if let Selection::BestOf(count) = selection {
            let count = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
            if count < drawn.len() {
                drawn.select_nth_unstable(count - 1);
                drawn.truncate(count);
            }
        }
        drawn.into_iter().min_by_key(|(lot, rank, _)| (*rank, *lot)).map(|(.., node)| node)
    }
}

/// A number for a name that looks random and is the same for the same seed: FNV-1a (Fowler, Noll, Vo), its bits mixed by
/// the last step of SplitMix64.
fn draw(seed: u64, name: &str) -> u64 {
    let start = 0xCBF2_9CE4_8422_2325 ^ seed;
    let hash = name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
