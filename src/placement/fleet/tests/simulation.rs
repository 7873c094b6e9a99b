//! Anything that nodes and streams can do, in any order, with a moved clock: the invariants of [`Fleet`] hold after
//! every step, and every lease ends exactly once.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// One step; small numbers stand for connections and leases, and may name none.
#[derive(Clone, Debug)]
enum Step {
    Hello {
        connection: u64,
        node: u8,
        slots: u32,
    },
    /// Of the node on a connection: its CPU in tenths, and a lease that it reports, by its number and how far behind it is.
    Heartbeat {
        connection: u64,
        cpu: u8,
        lease: u64,
        lag_ms: u64,
    },
    Capabilities {
        connection: u64,
        encoder: u8,
    },
    Drain(u8),
    Undrain(u8),
    Leaving(u64),
    Disconnected(u64),
    Refused {
        connection: u64,
        lease: u64,
    },
    Reserve {
        prefer_not: u8,
    },
    Attached(u64),
    Released(u64),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (connection, lease) = (0u64..6, 0u64..12);
    prop_oneof![
        (connection.clone(), 0u8..4, 0u32..4).prop_map(|(connection, node, slots)| Step::Hello {
            connection,
            node,
            slots
        }),
        (connection.clone(), 0u8..12, lease.clone(), 0u64..6000)
            .prop_map(|(connection, cpu, lease, lag_ms)| Step::Heartbeat { connection, cpu, lease, lag_ms }),
        (connection.clone(), 0u8..3)
            .prop_map(|(connection, encoder)| Step::Capabilities { connection, encoder }),
        (0u8..4).prop_map(Step::Drain),
        (0u8..4).prop_map(Step::Undrain),
        connection.clone().prop_map(Step::Leaving),
        connection.clone().prop_map(Step::Disconnected),
        (connection, lease.clone()).prop_map(|(connection, lease)| Step::Refused { connection, lease }),
        (0u8..4).prop_map(|prefer_not| Step::Reserve { prefer_not }),
        lease.clone().prop_map(Step::Attached),
        lease.prop_map(Step::Released),
        (0u64..3000).prop_map(Step::Wait),
    ]
}

fn node_name(node: u8) -> Name {
    name(&format!("n{node}"))
}

/// The fleet, and the leases that should be open.
struct Simulation {
    world: World,
    open: BTreeSet<LeaseId>,
    drained: BTreeSet<Name>,
}

impl Simulation {
    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let World { fleet, now } = &mut self.world;
        // Errors are answers like any other: what matters is that the invariants hold.
        match step {
            Step::Hello { connection, node, slots } => {
                let hello = hello(node_name(node).as_str(), slots);
                let _ = fleet.handle_hello(ConnectionId(connection), hello, *now);
            }
            Step::Heartbeat { connection, cpu, lease, lag_ms } => {
                let lag_ms = Some(lag_ms);
                let report =
                    LeaseLoad { lease: LeaseId(lease), cpu: Some(0.5), memory: 9, speed: Some(1.0), lag_ms };
                let beat = Heartbeat { leases: vec![report], ..heartbeat(f64::from(cpu) / 10.0) };
                let _ = fleet.handle_heartbeat(ConnectionId(connection), &beat, *now);
            }
            Step::Capabilities { connection, encoder } => {
                let mut capabilities = hello("a", 1).capabilities;
                capabilities.encoders.truncate(usize::from(encoder));
                let _ = fleet.handle_capabilities(ConnectionId(connection), capabilities, *now);
            }
            Step::Drain(node) => {
                let _ = fleet.drain(&node_name(node), *now);
                self.drained.insert(node_name(node));
                self.drained.retain(|name| fleet.drains.contains(name));
            }
            Step::Undrain(node) => {
                let _ = fleet.undrain(&node_name(node), *now);
                self.drained.remove(&node_name(node));
            }
            Step::Leaving(connection) => {
                let _ = fleet.handle_leaving(ConnectionId(connection), *now);
            }
            Step::Disconnected(connection) => {
                fleet.handle_disconnected(ConnectionId(connection), Reason::ConnectionLost, *now);
            }
            Step::Refused { connection, lease } => {
                let (connection, lease) = (ConnectionId(connection), LeaseId(lease));
                let _ = fleet.handle_lease_refused(connection, lease, (Reason::NoSlot, ""), *now);
            }
            Step::Reserve { prefer_not } => {
                let demand = Demand { prefer_not: vec![node_name(prefer_not)], ..Demand::default() };
                if let Ok(offer) = fleet.reserve(&demand, *now) {
                    prop_assert!(!self.drained.contains(&offer.choice.node), "it is drained");
                    prop_assert!(self.open.insert(offer.lease));
                }
            }
            Step::Attached(lease) => {
                let attached = fleet.handle_attached(LeaseId(lease), *now);
                prop_assert!(!attached || self.open.contains(&LeaseId(lease)));
            }
            Step::Released(lease) => {
                fleet.handle_released(LeaseId(lease), *now);
                self.open.remove(&LeaseId(lease));
            }
            Step::Wait(millis) => {
                *now += Duration::from_millis(millis);
                fleet.handle_deadline(*now);
            }
        }
        Ok(())
    }

    /// Every failure is of an open lease, and closes it; nothing is said to a connection that is gone.
    fn check_commands(&mut self) -> Result<(), TestCaseError> {
        for command in self.world.commands() {
            match command {
                Command::Fail(failure) => prop_assert!(self.open.remove(&failure.lease)),
                Command::Disconnect { connection, .. } => {
                    prop_assert!(!self.world.fleet.connections.contains_key(&connection));
                }
                Command::Cancel { .. } | Command::Report { .. } | Command::EncodersLost { .. } => {}
            }
        }
        Ok(())
    }

    fn check_invariants(&self) -> Result<(), TestCaseError> {
        let World { fleet, now } = &self.world;
        prop_assert_eq!(fleet.leases.keys().copied().collect::<BTreeSet<_>>(), self.open.clone());
        for (connection, name) in &fleet.connections {
            prop_assert_eq!(fleet.members[name].connection(), Some(*connection));
        }
        for (name, member) in &fleet.members {
            let view = member.view();
            prop_assert!(view.leases <= view.slots);
            let held = fleet.leases.iter().filter(|(_, lease)| lease.node == *name).map(|(&id, _)| id);
            prop_assert_eq!(held.collect::<BTreeSet<_>>(), member.leases.clone());
            // Each lease has its room, and nothing else has.
            let reserved = member.room.reserved();
            prop_assert_eq!(reserved.memory > 0.0, !member.leases.is_empty());
            if let Some(connection) = member.connection() {
                prop_assert_eq!(&fleet.connections[&connection], name);
            }
        }
        // Nothing is overdue once time has been told.
        prop_assert!(fleet.next_deadline().is_none_or(|at| at > *now));
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_invariants_hold_whatever_happens(steps in prop::collection::vec(any_step(), 0..120)) {
        let mut simulation = Simulation { world: World::new(), open: BTreeSet::new(), drained: BTreeSet::new() };
        for step in steps {
            simulation.step(step)?;
            simulation.check_commands()?;
            simulation.check_invariants()?;
        }
    }
}
