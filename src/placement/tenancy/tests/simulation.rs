//! Random tenants, arrivals, departures, lost nodes and returning ones, with a moved clock. After every step no limit is
//! exceeded and no booking or lease has leaked; what runs is never displaced; and a fleet is not left empty for nobody.

use proptest::prelude::*;

use super::*;

/// One step; small numbers stand for tenants and streams.
#[derive(Clone, Debug)]
enum Step {
    Publish { tenant: usize, stream: u8 },
    Ask { tenant: usize, stream: u8, renditions: usize },
    End { tenant: usize, stream: u8 },
    LoseLease(usize),
    LoseNode,
    GainNode(u8),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (tenant, stream) = (0usize..4, 0u8..12);
    prop_oneof![
        4 => (tenant.clone(), stream.clone()).prop_map(|(tenant, stream)| Step::Publish { tenant, stream }),
        4 => (tenant.clone(), stream.clone(), 1usize..4)
            .prop_map(|(tenant, stream, renditions)| Step::Ask { tenant, stream, renditions }),
        2 => (tenant, stream).prop_map(|(tenant, stream)| Step::End { tenant, stream }),
        1 => (0usize..16).prop_map(Step::LoseLease),
        1 => Just(Step::LoseNode),
        1 => (1u8..8).prop_map(Step::GainNode),
        1 => (0u64..3000).prop_map(Step::Wait),
    ]
}

fn any_limits() -> impl Strategy<Value = TenantLimits> {
    let pixels = prop::option::of(1u64..12).prop_map(|cores| cores.map(|cores| cores * 27_648_000));
    (1usize..12, 1u8..5, pixels, any::<bool>(), 1usize..3).prop_map(
        |(max_streams, weight, max_pixels_per_second, waits, renditions)| TenantLimits {
            weight: f64::from(weight),
            max_streams,
            max_pixels_per_second,
            when_full: if waits { WhenFull::Wait } else { WhenFull::Refuse },
            expected: wish(renditions),
        },
    )
}

/// The real thing, and what it should have.
struct Simulation {
    scene: Scene,
    limits: Vec<TenantLimits>,
    holders: BTreeMap<StreamName, u32>,
    running: BTreeMap<LeaseId, StreamName>,
}

fn named(tenant: usize, name: u8) -> StreamName {
    stream(&format!("{}/{name}", ["a", "b", "c", "d"][tenant]))
}

impl Simulation {
    fn new(limits: Vec<TenantLimits>) -> Self {
        let tenants = ["a", "b", "c", "d"].map(name).into_iter().zip(limits.clone()).collect();
        let scene = Scene {
            tenancy: Tenancy::new(tenants),
            nodes: Nodes::of(2, 4.0),
            now: crate::base::clock::now(),
        };
        Self { scene, limits, holders: BTreeMap::new(), running: BTreeMap::new() }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Publish { tenant, stream } => self.publish(named(tenant, stream))?,
            Step::Ask { tenant, stream, renditions } => self.ask(&named(tenant, stream), renditions)?,
            Step::End { tenant, stream } => {
                let stream = named(tenant, stream);
                self.scene.tenancy.handle_ended(&stream);
                if let Some(holders) = self.holders.get_mut(&stream) {
                    *holders -= 1;
                }
                self.holders.retain(|_, holders| *holders > 0);
            }
            Step::LoseLease(at) => {
                if let Some(lease) = self.running.keys().nth(at).copied() {
                    self.lose(lease);
                }
            }
            Step::LoseNode => {
                if let Some(node) = self.scene.nodes.nodes.pop() {
                    node.leases.keys().for_each(|lease| self.lose(*lease));
                }
            }
            Step::GainNode(cores) if self.scene.nodes.nodes.len() < 5 => {
                self.scene.nodes.nodes.extend(Nodes::of(1, f64::from(cores)).nodes);
            }
            Step::GainNode(_) => {}
            Step::Wait(millis) => self.scene.now += Duration::from_millis(millis),
        }
        Ok(())
    }

    fn publish(&mut self, stream: StreamName) -> Result<(), TestCaseError> {
        let (there, idle) = (self.holders.contains_key(&stream), self.scene.nodes.nodes.is_empty());
        let Scene { tenancy, nodes, now } = &mut self.scene;
        let before = tenancy.clone();
        let admitted = tenancy.admit(&stream, nodes, *now);
        prop_assert!(!there || admitted.is_ok(), "a stream that is there was refused: {admitted:?}");
        match admitted {
            Ok(()) => *self.holders.entry(stream).or_default() += 1,
            Err(refusal) => {
                prop_assert!(!idle || refusal.reason() == Reason::LimitExceeded, "without a node all wait");
                let booked = |tenancy: &Tenancy| {
                    tenancy.tenants.values().map(|account| account.bookings.len()).sum::<usize>()
                };
                prop_assert_eq!(booked(tenancy), booked(&before));
            }
        }
        Ok(())
    }

    fn ask(&mut self, stream: &StreamName, renditions: usize) -> Result<(), TestCaseError> {
        if !self.holders.contains_key(stream) || self.running.values().any(|runs| runs == stream) {
            return Ok(());
        }
        let ran =
            self.scene.tenancy.booking(stream).is_some_and(|booking| booking.standing != Standing::Waiting);
        match self.scene.ask(&stream.to_string(), &wish(renditions)) {
            Ok(lease) => drop(self.running.insert(lease, stream.clone())),
            Err(TenancyRefusal::Room(Shortage::Full(_))) => {}
            Err(TenancyRefusal::Room(_)) => {
                prop_assert!(!ran, "who has room is only kept from it by the fleet")
            }
            Err(refusal) => prop_assert_eq!(refusal.reason(), Reason::LimitExceeded),
        }
        Ok(())
    }

    fn lose(&mut self, lease: LeaseId) {
        self.running.remove(&lease);
        self.scene.release(lease);
    }

    fn check_invariants(&self) -> Result<(), TestCaseError> {
        let tenancy = &self.scene.tenancy;
        for (account, limits) in tenancy.tenants.values().zip(&self.limits) {
            prop_assert!(account.bookings.len() <= limits.max_streams);
            let most = limits.max_pixels_per_second.map_or(f64::INFINITY, as_float);
            prop_assert!(account.pixel_rate(None) <= most);
            for booking in account.bookings.values() {
                prop_assert!(booking.standing == Standing::Waiting || booking.cost.is_some());
                prop_assert!(booking.leases.is_empty() || booking.standing == Standing::Ran);
            }
        }
        let booked: BTreeMap<StreamName, u32> = tenancy
            .tenants
            .iter()
            .flat_map(|(tenant, account)| account.bookings.iter().map(move |booked| (tenant, booked)))
            .map(|(tenant, (name, booking))| {
                (StreamName { tenant: tenant.clone(), name: name.clone() }, booking.holders)
            })
            .collect();
        prop_assert_eq!(&booked, &self.holders);
        let running = self.running.iter().filter(|(_, stream)| self.holders.contains_key(stream));
        let known = running.map(|(lease, stream)| (*lease, stream.clone())).collect::<BTreeMap<_, _>>();
        prop_assert!(tenancy.leases.iter().all(|lease| known.contains_key(lease.0)));
        prop_assert!(tenancy.queue_length(self.scene.now) <= booked.len());
        Ok(())
    }

    /// Everybody leaves, and nothing stays behind.
    fn check_nothing_leaks(mut self) -> Result<(), TestCaseError> {
        let leases: Vec<LeaseId> = self.running.keys().copied().collect();
        leases.into_iter().for_each(|lease| self.lose(lease));
        for (stream, holders) in std::mem::take(&mut self.holders) {
            (0..holders).for_each(|_| self.scene.tenancy.handle_ended(&stream));
        }
        prop_assert!(self.scene.tenancy.leases.is_empty());
        prop_assert!(self.scene.tenancy.tenants.values().all(|account| account.bookings.is_empty()));
        prop_assert!(
            self.scene.tenancy.tenants.values().all(|account| account.taken() == Amounts::default())
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_invariants_hold_whatever_happens(
        limits in prop::collection::vec(any_limits(), 4),
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let mut simulation = Simulation::new(limits);
        for step in steps {
            simulation.step(step)?;
            simulation.check_invariants()?;
        }
        simulation.check_nothing_leaks()?;
    }

    /// One tenant pushes as much as it can, whatever runs already: nobody's stream is displaced, and the next tenant's first
    /// stream is taken.
    #[test]
    fn a_pusher_takes_nobodys_stream_and_not_the_last_place(
        nodes in 1usize..6,
        cores in 2u8..12,
        before in 0usize..4,
        weights in (1u8..5, 1u8..5),
    ) {
        let weighted = |weight: u8| TenantLimits { weight: f64::from(weight), ..limits() };
        let tenants = [weighted(weights.0), weighted(weights.1), limits()];
        let mut scene = Scene::new(Nodes::of(nodes, f64::from(cores)), tenants);
        let theirs: Vec<_> = (0..before).filter_map(|at| scene.run(&format!("c/{at}")).ok()).collect();
        let (pushed, _) = scene.fill("a");
        let all = nodes * usize::from(cores);
        prop_assert!(pushed + theirs.len() + 2 >= all, "no more than a stream for each is kept back");
        let held = |scene: &Scene, lease| scene.nodes.nodes.iter().any(|node| node.leases.contains_key(lease));
        prop_assert!(theirs.iter().all(|lease| held(&scene, lease)));
        if theirs.len() + 1 < all {
            prop_assert!(scene.run("b/0").is_ok(), "{pushed} pushed, {} of c", theirs.len());
        }
    }

    /// Who is alone in asking gets all but what is kept for the others.
    #[test]
    fn unused_room_is_lent(others in 0usize..12, nodes in 1usize..5, cores in 1u8..20) {
        let names = (0..=others).map(|at| (name(&format!("t{at}")), limits()));
        let mut scene = Scene {
            tenancy: Tenancy::new(names.collect()),
            nodes: Nodes::of(nodes, f64::from(cores)),
            now: crate::base::clock::now(),
        };
        let all = nodes * usize::from(cores);
        let kept = if all < 2 { 0 } else { others.min((all / 5).max(1)) };
        let (pushed, reason) = scene.fill("t0");
        prop_assert_eq!((pushed, reason), (all - kept, Reason::NoRoom));
    }
}
