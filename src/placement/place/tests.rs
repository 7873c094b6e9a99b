//! What is chosen, and why; by constraint, by preference and by policy. Encoders and devices are in [`encoders`].

mod encoders;
mod properties;
mod reference;

use super::decision::{Decision, Roster};
use super::*;
use crate::base::clock;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::placement::demand::{Replay, Urgency};
use crate::placement::policy::{PolicyKind, Selection};
use crate::placement::work::Work;
use crate::wire::message::LeaseId;
use crate::wire::report::{Capacity, Gpu, LeaseLoad, Load};

fn name(text: &str) -> Name {
    text.parse().expect("test name")
}

/// A node that can be viewed.
#[derive(Clone, Debug)]
struct Node {
    name: Name,
    state: NodeState,
    leases: u32,
    slots: u32,
    tags: Vec<Name>,
    capabilities: Capabilities,
    room: Room,
    cost_per_hour: Option<f64>,
    watts: Option<f64>,
}

fn capacity(slots: u32) -> Capacity {
    Capacity { cores: 8, memory: 16 << 30, slots, network_bps: None }
}

/// Eight cores, so many leases of so many slots, and libx264.
fn node(text: &str, leases: u32, slots: u32) -> Node {
    let capabilities = Capabilities {
        ffmpeg_version: "5.1.9".into(),
        encoders: vec![EncoderOn::cpu("libx264")],
        reads: vec![Carriage::H264, Carriage::Aac],
        decodes: vec![Carriage::H264, Carriage::Hevc],
        ..Capabilities::default()
    };
    Node {
        name: name(text),
        state: NodeState::Alive,
        leases,
        slots,
        tags: Vec::new(),
        capabilities,
        room: Room::new(capacity(slots), &[]),
        cost_per_hour: None,
        watts: None,
    }
}

impl Node {
    /// It measures so much of its CPU in use.
    fn busy(mut self, cpu: f64) -> Self {
        self.room.handle_heartbeat(&Load { cpu, ..Load::default() }, &[], clock::now());
        self
    }

    fn tagged(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|tag| name(tag)).collect();
        self
    }

    fn view(&self) -> NodeView<'_> {
        NodeView {
            name: &self.name,
            state: self.state,
            slots: self.slots,
            leases: self.leases,
            tags: &self.tags,
            class: "x86",
            capabilities: &self.capabilities,
            room: &self.room,
            cost_per_hour: self.cost_per_hour,
            watts: self.watts,
        }
    }
}

fn views(nodes: &[Node]) -> Vec<NodeView<'_>> {
    nodes.iter().map(Node::view).collect()
}

fn rendition(text: &str, height: u32, encoders: &[&str]) -> Rendition {
    let encoders = encoders.iter().map(|&encoder| encoder.to_owned()).collect();
    let video = VideoOutput::H264 { encoders, preset: "veryfast".into() };
    Rendition {
        name: name(text),
        height,
        video_bitrate: Bitrate::kilobits(800),
        fps: None,
        threads: None,
        video,
    }
}

/// Renditions of a source in full HD at 30 pictures a second.
fn demand(renditions: Vec<Rendition>) -> Demand {
    let (audio, deinterlace) = (AudioOutput::Copy, Deinterlace::Off);
    let ladder = Ladder { renditions, audio, latency: Latency::Normal, deinterlace };
    Demand { work: Work::expected(&ladder), ..Demand::default() }
}

/// One rendition in 360 lines by h264_nvenc, or else by this.
fn wants(encoder: &str) -> Demand {
    demand(vec![rendition("360p", 360, &["h264_nvenc", encoder])])
}

fn decide(nodes: &[Node], demand: &Demand, policy: &Policy, seed: u64) -> Result<Choice, Refusal> {
    place(&views(nodes), demand, &CostModel::default(), policy, seed, clock::now())
}

fn told(nodes: &[Node], demand: &Demand, result: &Result<Choice, Refusal>) -> Decision {
    Decision::of(result, demand, std::sync::Arc::new(Roster::of(&views(nodes))))
}

/// A refusal without how much is needed and free, which is the cost model's to say.
fn without_amounts(text: &str) -> &str {
    match text.find("has too little ").map(|at| text.split_at(at)) {
        Some((before, short)) => &text[..before.len() + short.find(": ").unwrap_or(short.len())],
        None => text,
    }
}

#[track_caller]
fn check(nodes: &[Node], demand: &Demand, expected: Result<&str, &str>) {
    let result = decide(nodes, demand, &Policy::default(), 0);
    let text = told(nodes, demand, &result).to_string();
    let got = result.as_ref().map(|choice| choice.node.as_str()).map_err(|_| without_amounts(&text));
    assert_eq!(got, expected);
}

#[track_caller]
fn check_pack(nodes: &[Node], expected: &str) {
    let policy = Policy { kind: PolicyKind::Pack, ..Policy::default() };
    for seed in 0..8 {
        let choice = decide(nodes, &wants("libx264"), &policy, seed).expect("one will do");
        assert_eq!(choice.node.as_str(), expected);
    }
}

#[test]
fn the_node_that_will_be_used_least_gets_it() {
    let nodes = [node("a", 0, 8).busy(0.5), node("b", 5, 8).busy(0.25), node("c", 0, 8).busy(0.6)];
    check(&nodes, &wants("libx264"), Ok("b"));
    check(&[node("a", 2, 8).busy(0.5), node("b", 1, 1)], &wants("libx264"), Ok("a"));
    check(&[], &wants("libx264"), Err("no node has joined"));
}

#[test]
fn every_dimension_counts() {
    let full = |load: Load| {
        let mut full = node("a", 0, 8);
        full.room.handle_heartbeat(&load, &[], clock::now());
        full
    };
    let other = || node("b", 0, 8).busy(0.3);
    let memory = Load { memory: 8 << 30, ..Load::default() };
    check(&[full(memory), other()], &wants("libx264"), Ok("b"));
    check(&[full(Load { disk_busy: 0.5, ..Load::default() }), other()], &wants("libx264"), Ok("b"));
    let limited = |bps| {
        let capacity = Capacity { network_bps: Some(1_000_000_000), ..capacity(8) };
        let mut limited = Node { room: Room::new(capacity, &[]), ..node("a", 0, 8) };
        let load = Load { net_tx_bps: bps, ..Load::default() };
        limited.room.handle_heartbeat(&load, &[], clock::now());
        limited
    };
    check(&[limited(500_000_000), other()], &wants("libx264"), Ok("b"));
    check(&[limited(100_000_000), other()], &wants("libx264"), Ok("a"));
}

#[test]
fn a_node_is_filled_up_to_the_headroom() {
    let refusal = "no node will do: a has too little CPU";
    check(&[node("a", 0, 8).busy(0.83)], &wants("libx264"), Err(refusal));
    let memory = |gib: u64| {
        let mut full = node("a", 0, 8);
        full.room.handle_heartbeat(&Load { memory: gib << 30, ..Load::default() }, &[], clock::now());
        full
    };
    let refusal = "no node will do: a has too little memory";
    check(&[memory(14)], &wants("libx264"), Err(refusal));
    check(&[memory(13)], &wants("libx264"), Ok("a"));
}

#[test]
fn a_stream_that_lost_its_node_may_fill_another_where_nothing_is_under_the_headroom() {
    let running = Demand { urgency: Urgency::Running, ..wants("libx264") };
    check(&[node("a", 0, 8).busy(0.83)], &running, Ok("a"));
    check(&[node("a", 0, 8).busy(0.83), node("b", 0, 8).busy(0.7)], &running, Ok("b"));
    let refusal = "no node will do: a has too little CPU";
    check(&[node("a", 0, 8).busy(0.97)], &running, Err(refusal));
    let failed_there = Demand { prefer_not: vec![name("b")], ..running };
    check(&[node("a", 0, 8).busy(0.83), node("b", 0, 8).busy(0.1)], &failed_there, Ok("a"));
}

#[test]
fn over_one_the_headroom_overcommits() {
    let policy = Policy { headroom: 100.0, ..Policy::default() };
    assert!(decide(&[node("a", 0, 8).busy(1.0)], &wants("libx264"), &policy, 0).is_ok());
}

#[test]
fn only_a_live_node_gets_a_lease() {
    let with = |state| Node { state, ..node("a", 0, 8) };
    check(&[with(NodeState::Suspect)], &wants("libx264"), Err("no node will do: a is suspect"));
    check(&[with(NodeState::Draining)], &wants("libx264"), Err("no node will do: a is draining"));
    check(&[with(NodeState::Lost)], &wants("libx264"), Err("no node will do: a is lost"));
}

#[test]
fn a_node_whose_leases_fall_behind_gets_no_more() {
    let mut liar = node("a", 0, 8);
    let mut now = clock::now();
    liar.room.reserve(LeaseId(1), Cost::default(), Replay::None, now);
    let report =
        LeaseLoad { lease: LeaseId(1), cpu: Some(0.1), memory: 0, speed: Some(0.8), lag_ms: Some(4000) };
    for _ in 0..12 {
        liar.room.handle_heartbeat(&Load::default(), &[report], now);
        now += std::time::Duration::from_secs(1);
    }
    check(&[liar.clone(), node("b", 7, 8).busy(0.7)], &wants("libx264"), Ok("b"));
    let refusal = "no node will do: a cannot keep up: one of its leases is 4000 ms behind or slow";
    check(&[liar], &wants("libx264"), Err(refusal));
}

/// A node with an FFmpeg that reads HEVC as well.
fn newer(text: &str, leases: u32, slots: u32) -> Node {
    let mut newer = node(text, leases, slots);
    newer.capabilities.ffmpeg_version = "7.1".into();
    newer.capabilities.reads.push(Carriage::Hevc);
    newer
}

fn hevc() -> Demand {
    Demand { reads: vec![Carriage::Hevc, Carriage::Aac], ..wants("libx264") }
}

#[test]
fn only_a_node_whose_ffmpeg_reads_and_decodes_the_input_gets_it() {
    check(&[node("a", 0, 8), newer("b", 0, 8).busy(0.5)], &hevc(), Ok("b"));
    let plain = Demand { reads: vec![Carriage::H264, Carriage::Aac], ..wants("libx264") };
    check(&[node("a", 0, 8), newer("b", 0, 8).busy(0.5)], &plain, Ok("a"));
    let refusal = "no node will do: a has FFmpeg 5.1.9, which does not read hevc from FLV (6.1 does), \
                   b has all 8 slots taken";
    check(&[node("a", 0, 8), newer("b", 8, 8)], &hevc(), Err(refusal));
    let av1 = Demand { decodes: vec![Carriage::H264, Carriage::Av1], ..wants("libx264") };
    let refusal = "no node will do: a has FFmpeg 5.1.9, which does not decode av1";
    check(&[node("a", 0, 8)], &av1, Err(refusal));
    check(&[node("a", 0, 8)], &Demand { decodes: vec![Carriage::Hevc], ..wants("libx264") }, Ok("a"));
}

/// Expects a demand to be refused for this reason.
#[track_caller]
fn check_reason(nodes: &[Node], demand: &Demand, expected: Reason) {
    let refusal = decide(nodes, demand, &Policy::default(), 0).expect_err("nothing is feasible");
    assert_eq!(refusal.reason(), expected);
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
    let mut no_encoder = newer("b", 0, 8);
    no_encoder.capabilities.encoders.clear();
    check_reason(&[node("a", 0, 8), no_encoder], &hevc(), Reason::NoNode);
    check_reason(&[], &hevc(), Reason::NoNode);
    check_reason(&[Node { state: NodeState::Lost, ..node("a", 0, 8) }], &hevc(), Reason::NoNode);
}

#[test]
fn there_is_no_room_where_an_able_node_is_full() {
    check_reason(&[node("a", 0, 8), newer("b", 8, 8)], &hevc(), Reason::NoRoom);
    check_reason(&[node("a", 0, 8).busy(1.0)], &wants("libx264"), Reason::NoRoom);
    let lost = Node { state: NodeState::Lost, ..node("a", 8, 8) };
    check_reason(&[lost], &wants("libx264"), Reason::NoNode);
}

#[test]
fn exclusion_is_strict_and_preference_is_not() {
    let nodes = [node("a", 0, 8), node("b", 0, 8).busy(0.5)];
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
fn required_tags_must_be_there_and_preferred_ones_had_better() {
    let nodes = [node("a", 0, 8), node("b", 0, 8).busy(0.5).tagged(&["gpu", "rack-1"])];
    let with = |require: &[&str], prefer: &[&str]| Demand {
        require_tags: require.iter().map(|tag| name(tag)).collect(),
        prefer_tags: prefer.iter().map(|tag| name(tag)).collect(),
        ..wants("libx264")
    };
    check(&nodes, &with(&["gpu"], &[]), Ok("b"));
    check(&nodes, &with(&[], &["rack-1"]), Ok("b"));
    check(&nodes, &with(&[], &["rack-2"]), Ok("a"));
    check(&nodes, &with(&[], &["rack-2", "gpu"]), Ok("b"));
    let refusal = "no node will do: a has no tag gpu, b has no tag rack-2";
    check(&nodes, &with(&["gpu", "rack-2"], &[]), Err(refusal));
}

#[test]
fn packing_fills_few_and_cheap_nodes() {
    let priced = |text, leases, cost_per_hour| Node { cost_per_hour, ..node(text, leases, 8) };
    check_pack(&[priced("a", 0, Some(0.1)), priced("b", 1, Some(9.0)).busy(0.5)], "b");
    check_pack(&[priced("a", 0, Some(0.2)), priced("b", 0, Some(0.1)), priced("c", 0, None)], "b");
    let drawing = |text, watts| Node { watts, ..priced(text, 1, Some(0.1)) };
    check_pack(&[drawing("a", Some(90.0)), drawing("b", Some(80.0)), drawing("c", None)], "b");
    check_pack(&[node("a", 1, 8).busy(0.2), node("b", 1, 8).busy(0.6), node("c", 1, 8).busy(0.9)], "b");
}

#[test]
fn the_best_of_a_few_random_ones_is_not_always_the_best_of_all() {
    let nodes: Vec<Node> = (0..16).map(|n| node(&format!("n{n}"), 0, 8).busy(f64::from(n) / 40.0)).collect();
    let chosen = |selection, seeds: u64| -> std::collections::BTreeSet<Name> {
        let policy = Policy { selection, ..Policy::default() };
        let decide = |seed| decide(&nodes, &wants("libx264"), &policy, seed).expect("all are feasible");
        (0..seeds).map(|seed| decide(seed).node).collect()
    };
    assert_eq!(chosen(Selection::Best, 64).len(), 1);
    let two = chosen(Selection::BestOf(2), 400);
    assert!(two.len() >= 12 && !two.contains(&name("n15")), "the worst is never the better of two: {two:?}");
    assert_eq!(chosen(Selection::BestOf(0), 400).len(), 16, "one at least is drawn");
    assert_eq!(chosen(Selection::BestOf(99), 64), chosen(Selection::Best, 1));
}

#[test]
fn a_long_refusal_is_cut() {
    let nodes: Vec<Node> = (0..9).map(|n| node(&format!("n{n}"), 1, 1)).collect();
    let demand = wants("libx264");
    let result = decide(&nodes, &demand, &Policy::default(), 0);
    let text = told(&nodes, &demand, &result).to_string();
    assert!(text.ends_with("n3 has all 1 slots taken, and 5 more"), "{text}");
}

#[test]
fn the_decision_is_what_the_api_shows() {
    let mut nodes = vec![node("c", 0, 8).busy(0.5), node("a", 0, 8).busy(0.25)];
    nodes.push(Node { state: NodeState::Suspect, ..node("b", 0, 8) });
    nodes.push(node("d", 0, 8).busy(0.83));
    let demand = Demand { prefer_not: vec![name("c")], ..wants("libx264") };
    let result = decide(&nodes, &demand, &Policy::default(), 7);
    let shown = serde_json::to_value(told(&nodes, &demand, &result)).expect("plain data");
    assert_eq!((&shown["node"], &shown["reason"]), (&"a".into(), &serde_json::Value::Null));
    assert_eq!(shown["encoders"], serde_json::json!([{ "encoder": "libx264", "gpu": null }]));
    assert!(shown["cost"]["machine"]["cpu"].as_f64().is_some_and(|cores| cores > 0.1));
    let feasible = shown["feasible"].as_array().expect("a list");
    let told = |node: &serde_json::Value| (node["node"].clone(), node["last_resort"].clone());
    let expected = [("a".into(), false.into()), ("c".into(), true.into())];
    assert_eq!(feasible.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(feasible[0]["score"].as_f64().is_some_and(|score| (0.25..0.35).contains(&score)));
    let suspect = serde_json::json!({
        "node": "b", "constraint": { "failed": "alive", "state": "suspect" }, "text": "is suspect",
    });
    assert_eq!(shown["left_out"][0], suspect);
    let full = &shown["left_out"][1]["constraint"];
    assert_eq!((&full["failed"], &full["dimension"]), (&"room".into(), &"cpu".into()));
    let text = self::told(&nodes, &demand, &result).to_string();
    assert!(text.starts_with("a (") && text.contains(" %), c ("), "{text}");
    assert!(text.contains("%); not b, which is suspect, d, which has too little CPU: "), "{text}");
    let none = decide(&nodes[2..3], &demand, &Policy::default(), 7);
    let shown = serde_json::to_value(self::told(&nodes[2..3], &demand, &none)).expect("plain data");
    assert_eq!((&shown["node"], &shown["reason"]), (&serde_json::Value::Null, &"no_node".into()));
}

#[test]
fn what_would_do_with_nothing_else_to_do_is_suitable() {
    let nodes = [
        node("a", 8, 8).busy(1.0),
        Node { state: NodeState::Lost, ..node("b", 0, 8) },
        node("c", 0, 8).tagged(&["gpu"]),
    ];
    let at = |demand: &Demand| -> Vec<usize> {
        let suitable = suitable(&views(&nodes), demand, &CostModel::default(), clock::now());
        suitable
            .into_iter()
            .map(|(at, cost)| {
                assert!(cost.machine.cpu > 0.0);
                at
            })
            .collect()
    };
    assert_eq!(at(&wants("libx264")), [0, 2]);
    assert_eq!(at(&Demand { require_tags: vec![name("gpu")], ..wants("libx264") }), [2]);
    assert_eq!(at(&wants("libx265")), [0; 0]);
}
