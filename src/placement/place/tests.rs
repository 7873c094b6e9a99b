use proptest::prelude::*;

use super::*;
use crate::placement::demand::EncoderDemand;

fn name(text: &str) -> Name {
    text.parse().expect("test name")
}

/// A node that can be viewed: name, state, leases of slots, and one encoder.
#[derive(Clone, Debug)]
struct Node {
    name: Name,
    state: NodeState,
    leases: u32,
    slots: u32,
    encoders: Vec<EncoderOn>,
    ffmpeg: &'static str,
    reads: Vec<Carriage>,
}

fn node(text: &str, leases: u32, slots: u32) -> Node {
    let (encoders, reads) = (vec![EncoderOn::cpu("libx264")], vec![Carriage::H264, Carriage::Aac]);
    Node { name: name(text), state: NodeState::Alive, leases, slots, encoders, ffmpeg: "5.1.9", reads }
}

impl Node {
    fn view(&self) -> NodeView<'_> {
        NodeView {
            name: &self.name,
            state: self.state,
            slots: self.slots,
            leases: self.leases,
            encoders: &self.encoders,
            ffmpeg_version: self.ffmpeg,
            reads: &self.reads,
        }
    }
}

fn views(nodes: &[Node]) -> Vec<NodeView<'_>> {
    nodes.iter().map(Node::view).collect()
}

fn wants(encoder: &str) -> Demand {
    let wanted = EncoderDemand { rendition: name("360p"), any_of: vec!["h264_nvenc".into(), encoder.into()] };
    Demand { encoders: vec![wanted], ..Demand::default() }
}

fn check(nodes: &[Node], demand: &Demand, expected: Result<&str, &str>) {
    let choice = place(&views(nodes), demand, 0);
    let got = choice.map(|choice| choice.node.to_string()).map_err(|refusal| refusal.to_string());
    assert_eq!(got.as_deref().map_err(String::as_str), expected);
}

#[test]
fn the_node_with_the_fewest_leases_gets_it() {
    check(&[node("a", 2, 8), node("b", 1, 8), node("c", 3, 8)], &wants("libx264"), Ok("b"));
    check(&[node("a", 2, 8), node("b", 1, 1)], &wants("libx264"), Ok("a"));
    check(&[], &wants("libx264"), Err("no node has joined"));
}

#[test]
fn only_a_live_node_gets_a_lease() {
    let with = |state| Node { state, ..node("a", 0, 8) };
    check(&[with(NodeState::Suspect)], &wants("libx264"), Err("no node will do: a is suspect"));
    check(&[with(NodeState::Draining)], &wants("libx264"), Err("no node will do: a is draining"));
    check(&[with(NodeState::Lost)], &wants("libx264"), Err("no node will do: a is lost"));
}

#[test]
fn each_rendition_needs_one_of_its_encoders() {
    check(&[node("a", 0, 8)], &wants("libx264"), Ok("a"));
    let refusal = "no node will do: a has no encoder for 360p (h264_nvenc, libx265)";
    check(&[node("a", 0, 8)], &wants("libx265"), Err(refusal));
    check(&[node("a", 0, 8)], &Demand::default(), Ok("a"));
}

/// A node with an FFmpeg that reads HEVC as well.
fn newer(text: &str, leases: u32, slots: u32) -> Node {
    let reads = vec![Carriage::H264, Carriage::Aac, Carriage::Hevc];
    Node { ffmpeg: "7.1", reads, ..node(text, leases, slots) }
}

fn hevc() -> Demand {
    Demand { reads: vec![Carriage::Hevc, Carriage::Aac], ..wants("libx264") }
}

#[test]
fn only_a_node_whose_ffmpeg_reads_the_input_gets_it() {
    check(&[node("a", 0, 8), newer("b", 5, 8)], &hevc(), Ok("b"));
    let plain = Demand { reads: vec![Carriage::H264, Carriage::Aac], ..wants("libx264") };
    check(&[node("a", 0, 8), newer("b", 5, 8)], &plain, Ok("a"));
    let refusal = "no node will do: a has FFmpeg 5.1.9, which does not read hevc from FLV (6.1 does), \
                   b has all 8 slots taken";
    check(&[node("a", 0, 8), newer("b", 8, 8)], &hevc(), Err(refusal));
}

/// Expects a demand for HEVC to be refused for this reason.
#[track_caller]
fn check_reason(nodes: &[Node], demand: &Demand, expected: Reason) {
    let refusal = place(&views(nodes), demand, 0).expect_err("nothing is feasible");
    assert_eq!(refusal.reason(), expected, "{refusal}");
}

#[test]
fn what_no_node_can_read_is_not_waited_for() {
    let text = "no node can read hevc from FLV: FFmpeg 6.1 or later is needed";
    check(&[node("a", 0, 8), node("b", 8, 8)], &hevc(), Err(text));
    check_reason(&[node("a", 0, 8), node("b", 8, 8)], &hevc(), Reason::UnsupportedCodec);
    let excluded = Demand { exclude: vec![name("b")], ..hevc() };
    check_reason(&[node("a", 0, 8), newer("b", 0, 8)], &excluded, Reason::UnsupportedCodec);
    let both = Demand { reads: vec![Carriage::Hevc, Carriage::Opus], ..hevc() };
    let text = "no node can read opus from FLV: FFmpeg 8.0 or later is needed";
    check(&[node("a", 0, 8), newer("b", 0, 8)], &both, Err(text));
}

#[test]
fn what_some_node_could_read_is_waited_for() {
    for state in [NodeState::Suspect, NodeState::Draining, NodeState::Lost] {
        let able = Node { state, ..newer("b", 0, 8) };
        check_reason(&[node("a", 0, 8), able], &hevc(), Reason::NoNode);
    }
    check_reason(&[node("a", 0, 8), newer("b", 8, 8)], &hevc(), Reason::NoNode);
    let no_encoder = Node { encoders: Vec::new(), ..newer("b", 0, 8) };
    check_reason(&[node("a", 0, 8), no_encoder], &hevc(), Reason::NoNode);
    check_reason(&[], &hevc(), Reason::NoNode);
    check_reason(&[Node { state: NodeState::Lost, ..node("a", 0, 8) }], &hevc(), Reason::NoNode);
}

#[test]
fn exclusion_is_strict_and_preference_is_not() {
    let nodes = [node("a", 0, 8), node("b", 5, 8)];
    let demand = |exclude: &[&str], prefer_not: &[&str]| Demand {
        exclude: exclude.iter().map(|text| name(text)).collect(),
        prefer_not: prefer_not.iter().map(|text| name(text)).collect(),
        ..Demand::default()
    };
    check(&nodes, &demand(&["a"], &[]), Ok("b"));
    check(&nodes, &demand(&[], &["a"]), Ok("b"));
    check(&nodes, &demand(&["b"], &["a"]), Ok("a"));
    check(&nodes, &demand(&[], &["a", "b"]), Ok("a"));
    check(&nodes, &demand(&["a", "b"], &[]), Err("no node will do: a is excluded, b is excluded"));
}

#[test]
fn a_long_refusal_is_cut() {
    let nodes: Vec<Node> = (0..9).map(|n| node(&format!("n{n}"), 1, 1)).collect();
    let text = place(&views(&nodes), &wants("libx264"), 0).expect_err("all are full").to_string();
    assert!(text.ends_with("n3 has all 1 slots taken, and 5 more"), "{text}");
}

#[test]
fn the_explanation_is_what_the_api_shows() {
    let nodes = [node("a", 0, 8), Node { state: NodeState::Suspect, ..node("b", 0, 8) }];
    let choice = place(&views(&nodes), &wants("libx264"), 7).expect("a is feasible");
    let expected = serde_json::json!({
        "node": "a",
        "explanation": {
            "feasible": [{ "node": "a", "score": 0.0, "last_resort": false }],
            "left_out": [{ "node": "b", "constraint": { "failed": "alive", "state": "suspect" } }],
        },
    });
    assert_eq!(serde_json::to_value(choice).expect("plain data"), expected);
}

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let state = prop::sample::select(vec![
        NodeState::Alive,
        NodeState::Alive,
        NodeState::Suspect,
        NodeState::Draining,
        NodeState::Lost,
    ]);
    prop::collection::vec((state, 0u32..4, 0u32..4), 0..8).prop_map(|nodes| {
        let named = |(at, (state, leases, slots))| Node { state, ..node(&format!("n{at}"), leases, slots) };
        nodes.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn the_choice_is_feasible_and_nothing_feasible_has_fewer_leases(nodes in any_nodes(), seed: u64) {
        let feasible = |node: &&Node| node.state == NodeState::Alive && node.leases < node.slots;
        let least = nodes.iter().filter(feasible).map(|node| node.leases).min();
        match place(&views(&nodes), &wants("libx264"), seed) {
            Ok(choice) => {
                let chosen = nodes.iter().find(|node| node.name == choice.node).expect("one of ours");
                prop_assert!(feasible(&chosen));
                prop_assert_eq!(Some(chosen.leases), least);
                let explained = choice.explanation.feasible.len() + choice.explanation.left_out.len();
                prop_assert_eq!(explained, nodes.len());
            }
            Err(refusal) => {
                prop_assert_eq!(least, None);
                prop_assert_eq!(refusal.explanation.left_out.len(), nodes.len());
            }
        }
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter(nodes in any_nodes(), seed: u64) {
        let mut reversed = nodes.clone();
        reversed.reverse();
        let demand = Demand { prefer_not: vec![name("n1")], ..wants("libx264") };
        prop_assert_eq!(place(&views(&nodes), &demand, seed), place(&views(&reversed), &demand, seed));
    }

    #[test]
    fn every_tied_node_is_drawn_by_some_seed(count in 1usize..6) {
        let nodes: Vec<Node> = (0..count).map(|n| node(&format!("n{n}"), 1, 2)).collect();
        let draw = |seed| place(&views(&nodes), &wants("libx264"), seed).expect("all are feasible").node;
        let drawn: std::collections::BTreeSet<Name> = (0..count as u64).map(draw).collect();
        prop_assert_eq!(drawn.len(), count);
    }
}
