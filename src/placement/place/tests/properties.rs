//! What holds for any fleet: the choice is feasible and the best, the order of the nodes does not matter, and every score
//! is a number.

use proptest::prelude::*;

use super::*;
use crate::placement::load::{bounded_heartbeat, bounded_hello};
use crate::placement::place::explanation::Verdict;
use crate::wire::report::{GpuLoad, Heartbeat, NodeHello};

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let state = prop::sample::select(vec![
        NodeState::Alive,
        NodeState::Alive,
        NodeState::Suspect,
        NodeState::Draining,
        NodeState::Lost,
    ]);
    prop::collection::vec((state, 0u32..4, 0u32..4, 0u32..10), 0..8).prop_map(|nodes| {
        let named = |(at, (state, leases, slots, busy))| {
            let made = node(&format!("n{at}"), leases, slots).busy(f64::from(busy) / 9.0);
            Node { state, ..made }
        };
        nodes.into_iter().enumerate().map(named).collect()
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let kind = prop::sample::select(vec![PolicyKind::Spread, PolicyKind::Pack]);
    let selection = prop::sample::select(vec![Selection::Best, Selection::BestOf(2)]);
    (kind, selection, 0.05..2.0).prop_map(|(kind, selection, headroom)| Policy { kind, headroom, selection })
}

/// Numbers of the kind that a broken or hostile node reports.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.0..1.0,
        prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e18, 0.0]),
    ]
}

prop_compose! {
    fn any_report()(numbers in prop::array::uniform8(any_number()), amounts: [u64; 6], small: [u32; 3]) -> (NodeHello, Heartbeat) {
        let [cpu, disk_busy, disk_latency_ms, encoder, decoder, lease_cpu, speed, watts] = numbers;
        let [memory, disk_read_bps, net_rx_bps, net_tx_bps, memory_used, lag_ms] = amounts;
        let [cores, slots, sessions] = small;
        let capabilities = Capabilities {
            encoders: vec![EncoderOn::cpu("libx264"), EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(0) }],
            gpus: vec![Gpu { index: 0, name: "L4".into(), memory: amounts[0], sessions: Some(sessions) }],
            ..Capabilities::default()
        };
        let gpu = GpuLoad { index: 0, encoder, decoder, memory_used, sessions, ..GpuLoad::default() };
        let hello = NodeHello {
            name: name("a"),
            tags: Vec::new(),
            class: "x86".into(),
            cost_per_hour: Some(cpu),
            watts: Some(watts),
            capacity: Capacity { cores, memory, slots, network_bps: Some(net_rx_bps) },
            capabilities,
        };
        let load = Load {
            cpu, memory, disk_read_bps, disk_busy, disk_latency_ms, net_rx_bps, net_tx_bps, gpus: vec![gpu],
            ..Load::default()
        };
        let lease = LeaseLoad {
            lease: LeaseId(1), cpu: Some(lease_cpu), memory, speed: Some(speed), lag_ms: Some(lag_ms),
        };
        (hello, Heartbeat { load, leases: vec![lease] })
    }
}

proptest! {
    #[test]
    fn the_choice_is_feasible_and_nothing_feasible_is_left_unnamed(
        nodes in any_nodes(), policy in any_policy(), seed: u64,
    ) {
        let demand = wants("libx264");
        let limit = policy.headroom;
        let cost = CostModel::default().predict("x86", &demand.work, &[Some(EncoderOn::cpu("libx264"))]);
        let feasible = |node: &Node| {
            let fits = node.room.fit(&cost, limit, clock::now()).is_ok();
            node.state == NodeState::Alive && node.leases < node.slots && fits
        };
        let result = decide(&nodes, &demand, &policy, seed);
        let explanation = match &result {
            Ok(choice) => &choice.explanation,
            Err(refusal) => &refusal.explanation,
        };
        prop_assert_eq!(explanation.verdicts().len(), nodes.len());
        for (node, verdict) in nodes.iter().zip(explanation.verdicts()) {
            prop_assert_eq!(feasible(node), matches!(verdict, Verdict::Feasible(_)));
        }
        let chosen = result.ok().map(|choice| choice.node);
        let chosen = chosen.and_then(|name| nodes.iter().find(|node| node.name == name));
        prop_assert_eq!(chosen.is_some_and(feasible), nodes.iter().any(feasible));
    }

    #[test]
    fn nothing_feasible_is_used_less_than_the_choice(nodes in any_nodes(), seed: u64) {
        let Ok(choice) = decide(&nodes, &wants("libx264"), &Policy::default(), seed) else { return Ok(()) };
        let scores = choice.explanation.verdicts().iter().filter_map(|verdict| match verdict {
            Verdict::Feasible(scored) => Some(scored.score),
            Verdict::LeftOut(_) => None,
        });
        let least = scores.fold(f32::INFINITY, f32::min);
        let Some(Verdict::Feasible(chosen)) = choice.explanation.chosen().map(|at| choice.explanation.verdicts()[at])
        else { panic!("the choice is feasible") };
        prop_assert_eq!(chosen.score, least);
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter(nodes in any_nodes(), policy in any_policy(), seed: u64) {
        let mut reversed = nodes.clone();
        reversed.reverse();
        let demand = Demand { prefer_not: vec![name("n1")], ..wants("libx264") };
        let chosen = |nodes: &[Node]| decide(nodes, &demand, &policy, seed).ok().map(|choice| choice.node);
        prop_assert_eq!(chosen(&nodes), chosen(&reversed));
    }

    #[test]
    fn every_tied_node_is_drawn_by_some_seed(count in 1usize..6) {
        let nodes: Vec<Node> = (0..count).map(|n| node(&format!("n{n}"), 1, 2)).collect();
        let draw = |seed| decide(&nodes, &wants("libx264"), &Policy::default(), seed).expect("feasible").node;
        let drawn: std::collections::BTreeSet<Name> = (0..100).map(draw).collect();
        prop_assert_eq!(drawn.len(), count);
    }

    #[test]
    fn a_score_is_a_number_whatever_a_node_reports((hello, heartbeat) in any_report(), policy in any_policy()) {
        let hello = bounded_hello(hello).expect("its numbers are clamped");
        let heartbeat = bounded_heartbeat(&heartbeat, hello.capacity).expect("its numbers are clamped");
        let now = clock::now();
        let mut room = Room::new(hello.capacity, &hello.capabilities.gpus);
        room.reserve(LeaseId(1), Cost::default(), Replay::None, now);
        room.handle_heartbeat(&heartbeat.load, &heartbeat.leases, now);
        let (state, leases, slots) = (NodeState::Alive, 0, 8);
        let NodeHello { name, tags, capabilities, cost_per_hour, watts, .. } = hello;
        let node = Node { name, state, leases, slots, tags, capabilities, room, cost_per_hour, watts };
        for demand in [wants("libx264"), Demand { urgency: Urgency::Running, ..wants("libx264") }, Demand::default()] {
            if let Ok(choice) = decide(std::slice::from_ref(&node), &demand, &policy, 0) {
                let Verdict::Feasible(scored) = choice.explanation.verdicts()[0] else { panic!("it is chosen") };
                prop_assert!(scored.score.is_finite() && scored.score >= 0.0, "{:?}", scored);
            }
        }
    }
}
