//! The policy: by what a node is chosen among those that would do.

use serde::{Deserialize, Serialize};

/// Utilisation that new streams leave free, so that what runs can grow and a lost node's streams find room.
pub const DEFAULT_HEADROOM: f64 = 0.85;

/// How nodes are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// What is best.
    pub kind: PolicyKind,
    /// The share of every dimension that may be in use after placing; over 1 it overcommits.
    pub headroom: f64,
    /// Among how many the best is looked for.
    pub selection: Selection,
}

/// What is best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// The node that will be used least: the streams are spread over all.
    #[default]
    Spread,
    /// Few and cheap nodes: those in use already, by cost an hour, then by watts a core, then the fullest that fits.
    Pack,
}

/// Among how many the best is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Among all.
    #[default]
    Best,
    /// Among so many random ones, at least one. Where several proxies place on the same nodes, the best of all would be
    /// the same for each of them until the next heartbeat (Mitzenmacher, *How Useful Is Old Information?*, 2000).
    BestOf(u32),
}

impl Default for Policy {
    fn default() -> Self {
        Self { kind: PolicyKind::Spread, headroom: DEFAULT_HEADROOM, selection: Selection::Best }
    }
}
