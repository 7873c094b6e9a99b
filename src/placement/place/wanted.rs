//! What a demand wants of encoders, made ready once for a decision over many nodes, and the costs that were predicted in
//! it already.

use crate::placement::cost::CostModel;
use crate::placement::demand::Demand;
use crate::placement::work::Work;
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// The most different prices that are remembered in one decision; beyond that the oldest is predicted anew. A fleet has a few
/// classes of machines, and on each a few ways to encode a ladder.
const PRICES: usize = 32;

/// One rendition's encoder: by its place in [`Wanted::names`], and its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) name: usize,
    pub(super) gpu: Option<u32>,
}

/// What is wanted of encoders.
pub(super) struct Wanted<'a> {
    work: &'a Work,
    /// All encoders that any rendition names, each once.
    pub(super) names: Vec<&'a str>,
    /// For each rendition the encoders that would do, the best first; none for a copy.
    pub(super) lists: Vec<Vec<usize>>,
    /// For each rendition the encoder that the last attempt used.
    pub(super) before: Vec<Option<usize>>,
    costs: &'a CostModel,
    prices: Vec<Price<'a>>,
    oldest: usize,
}

/// What a choice of encoders costs on machines of one class.
struct Price<'a> {
    class: &'a str,
    picks: Vec<Option<Pick>>,
    cost: Cost,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(demand: &'a Demand, costs: &'a CostModel) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut place = |name: &'a str| {
            names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let renditions = &demand.work.renditions;
        let mut lists: Vec<Vec<usize>> = renditions
            .iter()
            .map(|rendition| rendition.encoders().iter().map(|name| place(name)).collect())
            .collect();
        let before = last_used(demand, &names, &lists);
        for (list, used) in lists.iter_mut().zip(&before) {
            // What the last attempt used comes first, the others keep their order.
            list.sort_by_key(|name| Some(*name) != *used);
        }
        Self { work: &demand.work, names, lists, before, costs, prices: Vec::new(), oldest: 0 }
    }

    /// What the first renditions cost on a machine of this class, encoded as `picks` has it.
    pub(super) fn price(&mut self, class: &'a str, picks: &[Option<Pick>]) -> &Cost {
        let known = self.prices.iter().position(|price| price.class == class && price.picks == picks);
        let at = known.unwrap_or_else(|| self.predict(class, picks));
        &self.prices[at].cost
    }

    fn predict(&mut self, class: &'a str, picks: &[Option<Pick>]) -> usize {
        let encoders = self.encoders(picks);
        let mut work = self.work.clone();
        work.renditions.truncate(picks.len());
        let cost = self.costs.predict(class, &work, &encoders);
        let price = Price { class, picks: picks.to_vec(), cost };
        if self.prices.len() < PRICES {
            self.prices.push(price);
            return self.prices.len() - 1;
        }
        let at = self.oldest;
        self.oldest = (at + 1) % PRICES;
        self.prices[at] = price;
        at
    }

    /// The picks as a lease has them.
    pub(super) fn encoders(&self, picks: &[Option<Pick>]) -> Vec<Option<EncoderOn>> {
        let on = |pick: &Pick| EncoderOn { encoder: self.names[pick.name].to_owned(), gpu: pick.gpu };
        picks.iter().map(|pick| pick.as_ref().map(on)).collect()
    }

    /// Whether each rendition is encoded by what the last attempt used; so it is where there was none.
    pub(super) fn is_as_before(&self, picks: &[Option<Pick>]) -> bool {
        let same = |(pick, before): (&Option<Pick>, &Option<usize>)| match (pick, before) {
            (Some(pick), Some(before)) => pick.name == *before,
            (None, _) | (_, None) => true,
        };
        picks.iter().zip(&self.before).all(same)
    }
}

/// The encoder of the last attempt for each rendition, where it still would do.
fn last_used(demand: &Demand, names: &[&str], lists: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut used = demand.prefer_encoders.iter();
    let of = |list: &Vec<usize>| {
        let used = if list.is_empty() { None } else { used.next() };
        list.iter().copied().find(|name| used.is_some_and(|used| used == names[*name]))
    };
    lists.iter().map(of).collect()
}
