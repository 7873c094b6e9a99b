//! Which of the nodes that would do is the best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::NodeView;
use super::explanation::Scored;
use crate::placement::policy::{Policy, PolicyKind, Selection};
use crate::placement::text_hash::text_hash;

/// What decides between two nodes, the lower the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// [`Scored::preference`].
    tier: (bool, bool, bool, u8),
    policy: [u64; 4],
}

impl Rank {
    #[inline]
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

/// The nodes that may still be the best: a few, however many there were. Where a lot decides, names are drawn and not places,
/// so that the order of the nodes does not matter.
pub(super) struct Candidates<'n, 'a> {
    nodes: &'n [NodeView<'a>],
    seed: u64,
    best: Best,
}

enum Best {
    /// Of all so far.
    OfAll(Option<Candidate>),
    /// Of the lowest tier so far those `most` that drew the lowest lots, the highest of these first.
    OfSome { most: usize, drawn: BinaryHeap<Candidate> },
}

/// A node that would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// What it drew; `None` as long as nobody asked.
    lot: Option<u64>,
    rank: Rank,
    node: usize,
}

impl<'n, 'a> Candidates<'n, 'a> {
    pub(super) fn new(nodes: &'n [NodeView<'a>], policy: &Policy, seed: u64) -> Self {
        let best = match policy.selection {
            Selection::Best => Best::OfAll(None),
            Selection::BestOf(count) => {
                let most = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
                Best::OfSome { most, drawn: BinaryHeap::new() }
            }
        };
        Self { nodes, seed, best }
    }

    /// A node that would do, by its place among all.
    pub(super) fn add(&mut self, node: usize, rank: Rank) {
        let (nodes, seed) = (self.nodes, self.seed);
        let lot = |node: usize| nodes.get(node).map(|node| text_hash(seed, node.name.as_str()));
        match &mut self.best {
            Best::OfAll(None) => self.best = Best::OfAll(Some(Candidate { lot: None, rank, node })),
            Best::OfAll(Some(best)) => match rank.cmp(&best.rank) {
                Ordering::Less => *best = Candidate { lot: None, rank, node },
                Ordering::Equal => {
                    best.lot = best.lot.or_else(|| lot(best.node));
                    *best = (*best).min(Candidate { lot: lot(node), rank, node });
                }
                Ordering::Greater => {}
            },
            Best::OfSome { most, drawn } => {
                match drawn.peek().map(|other| rank.tier.cmp(&other.rank.tier)) {
                    Some(Ordering::Greater) => return,
                    Some(Ordering::Less) => drawn.clear(),
                    Some(Ordering::Equal) | None => {}
                }
                let candidate = Candidate { lot: lot(node), rank, node };
                if drawn.len() < *most {
                    drawn.push(candidate);
                } else if let Some(mut highest) = drawn.peek_mut()
                    && candidate < *highest
                {
                    *highest = candidate;
                }
            }
        }
    }

    /// The best one.
    pub(super) fn best(self) -> Option<usize> {
        match self.best {
            Best::OfAll(best) => best.map(|best| best.node),
            Best::OfSome { drawn, .. } => {
                let best = drawn.into_iter().min_by_key(|candidate| (candidate.rank, candidate.lot));
                best.map(|best| best.node)
            }
        }
    }
}
