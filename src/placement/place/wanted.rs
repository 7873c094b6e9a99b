//! What a demand wants of encoders, made ready once for a decision over many nodes.

use crate::placement::demand::Demand;
use crate::wire::report::EncoderOn;

/// One rendition's encoder: by its place in [`Wanted::names`], and its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) name: usize,
    pub(super) gpu: Option<u32>,
}

/// What is wanted of encoders.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// All encoders that any rendition names, each once.
    pub(super) names: Vec<&'a str>,
    /// For each rendition the encoders that would do, the best first; none for a copy.
    pub(super) lists: Vec<Vec<usize>>,
    /// For each rendition the encoder that the last attempt used.
    before: Vec<Option<usize>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(demand: &'a Demand) -> Self {
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
        Self { names, lists, before }
    }

    /// The picks as a lease has them.
    pub(super) fn encoders(&self, picks: &[Option<Pick>]) -> Vec<Option<EncoderOn>> {
        let on = |pick: &Pick| EncoderOn { encoder: self.names[pick.name].to_owned(), gpu: pick.gpu };
        picks.iter().map(|pick| pick.as_ref().map(on)).collect()
    }

    /// Whether this is what the last attempt used for this rendition; so it is where there was none.
    pub(super) fn is_as_before(&self, rendition: usize, name: Option<usize>) -> bool {
        let before = self.before.get(rendition).copied().flatten();
        before.is_none() || name.is_none() || before == name
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
