//! Amounts in every dimension that tenants share, added up over machines or streams.

use std::ops::{Add, AddAssign, SubAssign};

use crate::wire::cost::{Cost, GpuResources, Resources};

/// Dimensions: four of the machine, four of its GPUs together, and slots.
const DIMENSIONS: usize = 9;

/// What rounding may add up to, as a share of what is compared.
const ROUNDING: f64 = 1e-9;

/// So much in each dimension. Of what is had, a dimension that nobody can measure is infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts([f64; DIMENSIONS]);

impl Amounts {
    /// Of a machine, of all its GPUs together, and of its slots.
    #[must_use]
    pub fn new(machine: Resources, gpu: GpuResources, slots: f64) -> Self {
        Self([
            machine.cpu,
            machine.memory,
            machine.disk,
            machine.network,
            gpu.encoder,
            gpu.decoder,
            gpu.memory,
            gpu.sessions,
            slots,
        ])
    }

    /// What one lease needs: its cost and a slot.
    #[must_use]
    pub fn of(cost: &Cost) -> Self {
        let gpu = cost.gpus.iter().fold(GpuResources::default(), |sum, (_, needed)| sum + *needed);
        Self::new(cost.machine, gpu, 1.0)
    }

    /// The largest share of `all` in any dimension: the dominant share (Ghodsi et al., *Dominant Resource Fairness*, NSDI
    /// 2011, §4). A dimension of which there is nothing, or without end, is nobody's.
    #[must_use]
    pub fn share_of(&self, all: &Self) -> f64 {
        let known = self.0.iter().zip(&all.0).filter(|(_, all)| all.is_finite() && **all > 0.0);
        known.map(|(part, all)| part / all).fold(0.0, f64::max)
    }

    /// Whether `needed` is there in every dimension.
    #[must_use]
    pub fn covers(&self, needed: &Self) -> bool {
        self.0.iter().zip(&needed.0).all(|(&had, &needed)| needed <= 0.0 || needed * (1.0 - ROUNDING) <= had)
    }
}

impl Add for Amounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

impl SubAssign for Amounts {
    fn sub_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(left, taken)| *left -= taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(cpu: f64, slots: f64) -> Amounts {
        Amounts::new(Resources { cpu, ..Resources::default() }, GpuResources::default(), slots)
    }

    #[test]
    fn the_dominant_share_is_the_largest() {
        let check = |part: Amounts, expected: f64| {
            let share = part.share_of(&cores(8.0, 10.0));
            assert!((share - expected).abs() < 1e-12, "{share}");
        };
        check(cores(4.0, 1.0), 0.5);
        check(cores(0.5, 4.0), 0.4);
        check(cores(0.0, 0.0), 0.0);
        let sessions = GpuResources { sessions: 3.0, ..GpuResources::default() };
        check(Amounts::new(Resources::default(), sessions, 1.0), 0.1);
        assert!(cores(1.0, 1.0).share_of(&cores(f64::INFINITY, 0.0)).abs() < f64::EPSILON, "it is nobody's");
    }

    #[test]
    fn what_is_needed_must_be_there_in_every_dimension() {
        let check = |had: Amounts, needed, expected| assert_eq!(had.covers(&needed), expected, "{had:?}");
        check(cores(1.0, 1.0), cores(1.0, 1.0), true);
        check(cores(1.0, 0.0), cores(1.0, 1.0), false);
        check(cores(0.9, 5.0), cores(1.0, 1.0), false);
        check(cores(-0.5, 5.0), cores(0.0, 1.0), true);
        check(cores(f64::INFINITY, 1.0), cores(1e18, 1.0), true);
    }

    #[test]
    fn three_tenths_fit_into_what_three_tenths_left() {
        let mut left = cores(0.9, 9.0);
        for _ in 0..3 {
            assert!(left.covers(&cores(0.3, 1.0)));
            left -= cores(0.3, 1.0);
        }
        assert!(!left.covers(&cores(0.01, 1.0)));
    }

    #[test]
    fn a_lease_takes_its_cost_on_all_gpus_and_a_slot() {
        let gpu = GpuResources { encoder: 0.25, sessions: 1.0, ..GpuResources::default() };
        let machine = Resources { cpu: 2.0, ..Resources::default() };
        let cost = Cost { machine, gpus: vec![(0, gpu), (1, gpu)] };
        assert_eq!(Amounts::of(&cost), Amounts::new(machine, gpu + gpu, 1.0));
    }
}
