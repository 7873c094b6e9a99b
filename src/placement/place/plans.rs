//! What it costs to make the first renditions of a ladder by some encoders, on each class of machine. On which of several GPUs
//! an encoder runs does not change a prediction, only whose it is; so plans leave that open, and there are few of them.
//! Each is found from the plan of one rendition less.

use std::collections::BTreeMap;

use super::wanted::{Pick, Wanted};
use crate::placement::cost::{Class, CostModel, Factors, Forecast};
use crate::placement::room::Need;
use crate::placement::work::Work;
use crate::wire::cost::{Cost, GpuResources};
use crate::wire::report::EncoderOn;

/// The most plans that are remembered in one decision. Where there are more, all are found out anew.
const MAX_PLANS: usize = 4096;
/// The prices that are remembered of each, for so many classes.
const PRICES: usize = 8;

/// The plan of no rendition.
pub(super) const NOTHING: PlanId = PlanId(0);

/// A plan, by its place among all. Good until [`Plans::tidy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlanId(usize);

/// Whether plans that were found before are still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tidied {
    /// They are.
    AsBefore,
    /// All are gone.
    Anew,
}

/// All plans of one demand that were asked for.
pub(super) struct Plans<'a> {
    work: &'a Work,
    costs: &'a CostModel,
    limit: f64,
    seed: u64,
    plans: Vec<Plan<'a>>,
}

struct Plan<'a> {
    /// That of one rendition less.
    before: PlanId,
    forecast: Forecast<'a>,
    /// How each rendition is made; which GPU is not said by its number, which is the rendition's place.
    picks: Vec<Option<Pick>>,
    /// Whether each rendition is encoded by what the last attempt used.
    as_before: bool,
    /// The plans of one rendition more, by [`step`]; none is found at [`NOTHING`].
    next: Vec<PlanId>,
    /// Prices of the classes that were asked for last, by their hash; the first is for all where all need the same.
    prices: Vec<(Option<Class<'a>>, Price)>,
}

/// What a plan costs on one class of machine.
#[derive(Clone, Debug)]
pub(super) struct Price {
    pub(super) machine: Need,
    /// Of a GPU, for each rendition.
    pub(super) gpus: Vec<Need>,
    /// Of a GPU that all of them would share, and for the last one.
    pub(super) together: Need,
    pub(super) last: Need,
    /// Whether those before the last one need as much of GPUs as they do without it.
    pub(super) continues: bool,
}

impl<'a> Plans<'a> {
    /// Plans for demands that may fill each dimension up to `limit`.
    pub(super) fn new(work: &'a Work, costs: &'a CostModel, limit: f64, seed: u64) -> Self {
        Self { work, costs, limit, seed, plans: Vec::new() }
    }

    #[inline]
    pub(super) fn tell_classes_apart(&self) -> bool {
        self.costs.has_learnt()
    }

    /// What its class makes of a node; nothing where no class makes a difference.
    #[inline]
    pub(super) fn class(&self, class: &'a str) -> Option<Class<'a>> {
        self.tell_classes_apart().then(|| Class::new(class, self.seed))
    }

    /// Makes room, if need be, and the plan of no rendition.
    #[inline]
    pub(super) fn tidy(&mut self, wanted: &Wanted<'_>) -> Tidied {
        if (1..MAX_PLANS).contains(&self.plans.len()) {
            return Tidied::AsBefore;
        }
        self.plans.clear();
        self.plans.push(self.plan(NOTHING, Vec::new(), wanted));
        Tidied::Anew
    }

    /// The plan that has one rendition more, made so.
    #[inline]
    pub(super) fn with(&mut self, before: PlanId, pick: Option<Pick>, wanted: &Wanted<'_>) -> PlanId {
        let step = step(pick);
        let known = self.plans[before.0].next[step];
        if known != NOTHING {
            return known;
        }
        let mut picks = self.plans[before.0].picks.clone();
        let place = u32::try_from(picks.len()).unwrap_or(u32::MAX);
        picks.push(pick.map(|pick| Pick { gpu: pick.gpu.map(|_| place), ..pick }));
        let plan = self.plan(before, picks, wanted);
        self.plans.push(plan);
        let made = PlanId(self.plans.len() - 1);
        self.plans[before.0].next[step] = made;
        made
    }

    /// Whether a plan encodes each rendition by what the last attempt used.
    #[inline]
    pub(super) fn is_as_before(&self, plan: PlanId) -> bool {
        self.plans[plan.0].as_before
    }

    /// What a plan costs on machines of this class.
    #[inline]
    pub(super) fn price(&mut self, plan: PlanId, class: Option<Class<'a>>) -> &Price {
        let known = &self.plans[plan.0];
        let class = class.filter(|_| !known.forecast.is_of_all());
        let at = class.map_or(0, |class| low_bits(class.number()) % PRICES);
        if known.prices.get(at).is_none_or(|(of, _)| *of != class) {
            self.remember(plan, at, class);
        }
        &self.plans[plan.0].prices[at].1
    }

    fn remember(&mut self, plan: PlanId, at: usize, class: Option<Class<'a>>) {
        let limit = self.limit;
        let (factors, before) = (self.factors(plan, class), self.plans[plan.0].before);
        let continues = factors.is_same_of_gpus(&self.factors(before, class));
        let Plan { forecast, picks, prices, .. } = &mut self.plans[plan.0];
        if prices.len() <= at {
            prices.resize_with(at + 1, || (None, Price::nothing()));
        }
        let (of, price) = &mut prices[at];
        *of = class;
        price.machine = Need::of_machine(&factors.of_machine(&forecast.estimate().machine), limit);
        price.continues = continues;
        price.gpus.clear();
        price.gpus.resize(picks.len(), Need::NOTHING);
        let mut together = GpuResources::default();
        for (rendition, needed) in &forecast.estimate().gpus {
            let needed = factors.of_gpu(needed);
            together += needed;
            let rendition = usize::try_from(*rendition).ok().and_then(|at| price.gpus.get_mut(at));
            if let Some(rendition) = rendition {
                *rendition = Need::of_gpu(&needed, limit);
            }
        }
        price.together = Need::of_gpu(&together, limit);
        price.last = price.gpus.last().copied().unwrap_or(Need::NOTHING);
    }

    /// The same as a lease has it, with each GPU once.
    pub(super) fn cost(&self, plan: PlanId, class: Option<Class<'a>>, picks: &[Option<Pick>]) -> Cost {
        let factors = self.factors(plan, class);
        let estimate = self.plans[plan.0].forecast.estimate();
        let mut gpus = BTreeMap::new();
        for (rendition, needed) in &estimate.gpus {
            let pick = usize::try_from(*rendition).ok().and_then(|at| picks.get(at)).copied().flatten();
            if let Some(gpu) = pick.and_then(|pick| pick.gpu) {
                *gpus.entry(gpu).or_insert_with(GpuResources::default) += factors.of_gpu(needed);
            }
        }
        Cost { machine: factors.of_machine(&estimate.machine), gpus: gpus.into_iter().collect() }
    }

    /// How the price of a plan is made of its estimate.
    fn factors(&self, plan: PlanId, class: Option<Class<'a>>) -> Factors {
        class.map_or(Factors::ESTIMATED, |class| self.plans[plan.0].forecast.factors(&class))
    }

    fn plan(&self, before: PlanId, picks: Vec<Option<Pick>>, wanted: &Wanted<'_>) -> Plan<'a> {
        let mut work = self.work.clone();
        work.renditions.truncate(picks.len());
        let encoders: Vec<Option<EncoderOn>> = wanted.encoders(&picks);
        let mut names = picks.iter().map(|pick| pick.map(|pick| pick.name)).enumerate();
        Plan {
            before,
            forecast: self.costs.forecast(&work, &encoders, self.seed),
            as_before: names.all(|(rendition, name)| wanted.is_as_before(rendition, name)),
            picks,
            next: vec![NOTHING; wanted.names.len() * 2 + 1],
            prices: Vec::new(),
        }
    }
}

impl Price {
    fn nothing() -> Self {
        let [machine, together, last] = [Need::NOTHING; 3];
        Self { machine, together, last, gpus: Vec::new(), continues: false }
    }
}

/// Where the plan is found that has one rendition more, made so.
#[inline]
fn step(pick: Option<Pick>) -> usize {
    pick.map_or(0, |pick| pick.name * 2 + if pick.gpu.is_some() { 2 } else { 1 })
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
fn low_bits(number: u64) -> usize {
    number as usize
}
