//! A decision is made of prices, gauges and sets that are prepared once for many nodes. Here it is made again, node by node, of
//! nothing but [`CostModel::predict`] and [`Room::fit`]: both must find the same.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::placement::cost::Used;
use crate::placement::place::explanation::{Lack, Scored};
use crate::placement::room::Fit;
use crate::wire::cost::{GpuResources, Resources};
use crate::wire::report::GpuLoad;

type Made = Vec<Option<EncoderOn>>;

/// All that a decision depends on.
#[derive(Debug)]
struct Case {
    nodes: Vec<(Node, String)>,
    demand: Demand,
    costs: CostModel,
    policy: Policy,
    now: Instant,
}

impl Case {
    fn views(&self) -> Vec<NodeView<'_>> {
        self.nodes.iter().map(|(node, class)| NodeView { class, ..node.view() }).collect()
    }

    fn limit(&self) -> f64 {
        match self.demand.urgency {
            Urgency::New => self.policy.headroom,
            Urgency::Running => self.policy.headroom.max(1.0),
        }
    }

    /// The encoders of a rendition, the best first.
    fn list(&self, rendition: usize) -> Vec<String> {
        let renditions = &self.demand.work.renditions;
        let before = renditions[..rendition].iter().filter(|made| made.is_encoded()).count();
        let mut list = renditions[rendition].encoders().to_vec();
        let used = self.demand.prefer_encoders.get(before);
        list.sort_by_key(|name| Some(name) != used);
        list
    }

    fn cost(&self, node: &NodeView<'_>, made: &[Option<EncoderOn>]) -> Cost {
        let mut work = self.demand.work.clone();
        work.renditions.truncate(made.len());
        self.costs.predict(node.class, &work, made)
    }

    fn fit(&self, node: &NodeView<'_>, made: &[Option<EncoderOn>]) -> Result<Fit, Lack> {
        let mut cost = self.cost(node, made);
        cost.gpus.sort_by_key(|(gpu, _)| *gpu);
        node.room.fit(&cost, self.limit(), self.now).map_err(Lack::from)
    }

    fn judge(&self, node: &NodeView<'_>) -> Result<(Scored, Made), Lack> {
        if node.state != NodeState::Alive {
            return Err(Lack::Alive(node.state));
        }
        if let Some(carriage) = self.demand.reads.iter().find(|read| !node.capabilities.reads.contains(read))
        {
            return Err(Lack::Read(*carriage));
        }
        let lists: Vec<_> = (0..self.demand.work.renditions.len()).map(|at| self.list(at)).collect();
        let without = |devices: &dyn Fn(&str) -> Vec<Option<u32>>| {
            lists.iter().position(|list| !list.is_empty() && list.iter().all(|name| devices(name).is_empty()))
        };
        let all = |name: &str| -> Vec<Option<u32>> {
            let encoders = node.capabilities.encoders.iter().filter(|on| on.encoder == name);
            encoders.map(|on| on.gpu).collect()
        };
        let full = node.room.full_gpus();
        let free = |name: &str| -> Vec<Option<u32>> {
            all(name).into_iter().filter(|gpu| !full.contains(*gpu)).collect()
        };
        if let Some(rendition) = without(&all) {
            return Err(Lack::Encoder(u32::try_from(rendition).expect("few")));
        }
        if node.leases >= node.slots {
            return Err(Lack::FreeSlot(node.slots));
        }
        if let Some(rendition) = without(&free) {
            let gpu = lists[rendition].iter().flat_map(|name| all(name)).flatten().next();
            return Err(Lack::Sessions(gpu.expect("only GPUs are ever full")));
        }
        let together = self.together(node, &lists, &free);
        let (fit, made) = match together {
            Err(lack) => self.apart(node, &lists, &free).ok_or(lack)?,
            Ok(found) => found,
        };
        Ok((self.scored(node, fit, &made), made))
    }

    #[expect(clippy::cast_possible_truncation, reason = "as it is shown")]
    fn scored(&self, node: &NodeView<'_>, fit: Fit, made: &Made) -> Scored {
        let mut used = self.demand.prefer_encoders.iter();
        let renditions = self.demand.work.renditions.iter().zip(made);
        let as_before =
            renditions.filter(|(rendition, _)| rendition.is_encoded()).all(|(rendition, made)| {
                // What would not do any more cannot be gone back to.
                let used = used.next().filter(|used| rendition.encoders().contains(used));
                used.is_none_or(|used| made.as_ref().is_some_and(|made| made.encoder == *used))
            });
        let missing = self.demand.prefer_tags.iter().filter(|tag| !node.tags.contains(tag)).count();
        Scored {
            score: fit.highest as f32,
            last_resort: self.demand.prefer_not.contains(node.name),
            over_headroom: fit.needed > self.policy.headroom,
            other_encoder: !as_before,
            missing_tags: u8::try_from(missing).expect("few"),
        }
    }

    fn together(
        &self,
        node: &NodeView<'_>,
        lists: &[Vec<String>],
        free: &dyn Fn(&str) -> Vec<Option<u32>>,
    ) -> Result<(Fit, Made), Lack> {
        let firsts: Vec<_> =
            lists.iter().map(|list| list.iter().find(|name| !free(name).is_empty())).collect();
        let ways = firsts.iter().flatten().map(|name| free(name).len()).max().unwrap_or(1);
        let mut best: Option<(Fit, Made)> = None;
        let mut lack = None;
        for way in 0..ways {
            let on = |name: &&String| {
                let devices = free(name);
                EncoderOn { encoder: (*name).clone(), gpu: devices[way % devices.len()] }
            };
            let made: Made = firsts.iter().map(|first| first.as_ref().map(on)).collect();
            match self.fit(node, &made) {
                Ok(fit) if best.as_ref().is_none_or(|(best, _)| fit.gpu < best.gpu) => {
                    best = Some((fit, made))
                }
                Ok(_) => {}
                Err(short) => lack = lack.or(Some(short)),
            }
        }
        best.ok_or_else(|| lack.expect("there is a way"))
    }

    fn apart(
        &self,
        node: &NodeView<'_>,
        lists: &[Vec<String>],
        free: &dyn Fn(&str) -> Vec<Option<u32>>,
    ) -> Option<(Fit, Made)> {
        let used = |gpu: &Option<u32>| {
            let gauge = gpu.and_then(|gpu| node.room.gpu_gauge(gpu, self.now));
            gauge.map_or(0.0, |gauge| gauge.highest())
        };
        let mut made: Made = Vec::new();
        let mut fit = None;
        for list in lists {
            let mut tried: Made = Vec::new();
            for name in list {
                let mut devices = free(name);
                devices.sort_by(|a, b| used(a).total_cmp(&used(b)).then(a.cmp(b)));
                let last = made.iter().rev().flatten().find(|on| on.encoder == *name).map(|on| on.gpu);
                devices.sort_by_key(|gpu| Some(*gpu) != last);
                tried.extend(devices.into_iter().map(|gpu| Some(EncoderOn { encoder: name.clone(), gpu })));
            }
            if list.is_empty() {
                tried.push(None);
            }
            let with = |on: &Option<EncoderOn>| [made.as_slice(), std::slice::from_ref(on)].concat();
            (fit, made) =
                tried.iter().find_map(|on| Some((Some(self.fit(node, &with(on)).ok()?), with(on))))?;
        }
        Some((fit?, made))
    }
}

fn any_list() -> impl Strategy<Value = VideoOutput> {
    let encoders = ["h264_nvenc", "libx264", "h264_vaapi", "libopenh264"].map(str::to_owned).to_vec();
    let list = prop::sample::subsequence(encoders, 1..4).prop_shuffle();
    let encoded = list.prop_map(|encoders| VideoOutput::H264 { encoders, preset: "veryfast".into() });
    prop_oneof![1 => Just(VideoOutput::Copy), 6 => encoded]
}

prop_compose! {
    fn any_demand()(
        made in prop::collection::vec((any_list(), prop::sample::select(vec![240, 360, 720, 1080])), 0..5),
        used in prop::collection::vec(prop::sample::select(vec!["h264_nvenc", "libx264"]), 0..4),
        urgency in prop::sample::select(vec![Urgency::New, Urgency::Running]),
        tag: bool, prefer_not: bool,
    ) -> Demand {
        let rendition = |(video, height)| Rendition { video, ..rendition("r", height, &[]) };
        Demand {
            urgency,
            prefer_encoders: used.into_iter().map(str::to_owned).collect(),
            prefer_tags: tag.then(|| name("fast")).into_iter().collect(),
            prefer_not: prefer_not.then(|| name("n1")).into_iter().collect(),
            reads: vec![Carriage::H264],
            ..demand(made.into_iter().map(rendition).collect())
        }
    }
}

/// A GPU's sessions, how many are open, and how busy its encoder is.
type AnyGpu = (Option<u32>, u32, f64);

prop_compose! {
    fn any_node()(
        gpus in prop::collection::vec((prop::option::of(1u32..6), 0u32..5, 0.0..1.0), 0..4),
        on in prop::collection::vec((prop::sample::select(vec!["h264_nvenc", "h264_vaapi", "libopenh264"]), prop::option::of(0u32..4)), 0..6),
        x264 in prop::bool::weighted(0.8), cpu in 0.0..0.9,
        leases in prop::collection::vec((0.0..1.0, 0.0..0.2, 0u32..4, prop::option::of(0u64..3000), 0u64..12_000), 0..4),
        state in prop::sample::select(vec![NodeState::Alive, NodeState::Alive, NodeState::Alive, NodeState::Draining]),
        slots in 0u32..6, tag: bool, reads in prop::bool::weighted(0.9),
        class in prop::sample::select(vec!["x86", "arm", "x86 on ice"]),
    ) -> (Node, String, u64) {
        let mut made = Node { state, slots, ..node("n", 1, 0) };
        made.tags = tag.then(|| name("fast")).into_iter().collect();
        made.capabilities.reads.retain(|_| reads);
        made.capabilities.encoders.retain(|_| x264);
        made.capabilities.encoders.extend(on.into_iter().map(|(encoder, gpu)| EncoderOn { encoder: encoder.into(), gpu }));
        made.capabilities.encoders.sort();
        made.capabilities.encoders.dedup();
        let listed = |(index, (sessions, ..)): (u32, &AnyGpu)| Gpu { index, name: "L4".into(), memory: 24 << 30, sessions: *sessions };
        made.capabilities.gpus = (0..).zip(&gpus).map(listed).collect();
        made.room = Room::new(capacity(slots), &made.capabilities.gpus);
        // Leases were given one after the other, and some have caught up.
        let mut after = Duration::ZERO;
        let start = clock::now();
        for (id, (cpu_of, encoder, gpu, lag, wait)) in (0u64..).zip(leases) {
            let machine = Resources { cpu: cpu_of, ..Resources::default() };
            let of_gpu = GpuResources { encoder, sessions: 1.0, ..GpuResources::default() };
            made.room.reserve(LeaseId(id), Cost { machine, gpus: vec![(gpu, of_gpu)] }, Replay::None, start + after);
            let busy = |(index, (_, sessions, encoder)): (u32, &AnyGpu)| GpuLoad { index, sessions: *sessions, encoder: *encoder, ..GpuLoad::default() };
            let load = Load { cpu, gpus: (0..).zip(&gpus).map(busy).collect(), ..Load::default() };
            let report = LeaseLoad { lease: LeaseId(id), cpu: Some(cpu_of / 2.0), memory: 0, speed: None, lag_ms: lag };
            made.room.handle_heartbeat(&load, &[report], start + after);
            after += Duration::from_millis(wait / 4);
        }
        (made, class.to_owned(), u64::try_from(after.as_millis()).expect("seconds"))
    }
}

prop_compose! {
    fn any_case()(
        nodes in prop::collection::vec(any_node(), 0..6), demand in any_demand(), headroom in 0.2..1.5,
        lessons in prop::collection::vec((0usize..6, 0usize..5, 0.05..3.0, 0.01..0.5), 0..4), later in 0u64..9000,
        pack: bool,
    ) -> Case {
        let now = clock::now() + Duration::from_millis(nodes.iter().map(|(.., after)| *after).max().unwrap_or(0) + later);
        let named = |(at, (mut node, class, _)): (usize, (Node, String, u64))| {
            node.name = name(&format!("n{at}"));
            (node, class)
        };
        let nodes: Vec<_> = nodes.into_iter().enumerate().map(named).collect();
        let kind = if pack { PolicyKind::Pack } else { PolicyKind::Spread };
        let mut case = Case { nodes, demand, costs: CostModel::default(), policy: Policy { kind, headroom, ..Policy::default() }, now };
        // What was learnt of the whole ladder and of its beginnings, on classes of these nodes.
        for (at, renditions, cpu, encoder) in lessons {
            let Some((_, class)) = case.nodes.get(at) else { continue };
            let mut work = case.demand.work.clone();
            work.renditions.truncate(renditions);
            let first = |made: &crate::placement::work::RenditionWork| {
                made.encoders().first().map(|first| EncoderOn { encoder: first.clone(), gpu: Some(0) })
            };
            let made: Made = work.renditions.iter().map(first).collect();
            let gpus = vec![(0, GpuResources { encoder, ..GpuResources::default() })];
            case.costs.learn(class, &work, &made, &Used { cpu, memory: 1 << 28, gpus });
        }
        case
    }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * a.abs().max(b.abs()).max(1e-3)
}

/// Rounding may differ, as sums are added up in another order.
fn is_alike(found: Verdict, expected: &Result<(Scored, Made), Lack>) -> bool {
    match (found, expected) {
        (Verdict::Feasible(found), Ok((expected, _))) => {
            is_near(found.score.into(), expected.score.into())
                && Scored { score: expected.score, ..found } == *expected
        }
        (
            Verdict::LeftOut(Lack::Room { dimension, needed, free }),
            Err(Lack::Room { dimension: other, needed: other_needed, free: other_free }),
        ) => {
            dimension == *other
                && is_near(needed.into(), (*other_needed).into())
                && is_near(free.into(), (*other_free).into())
        }
        (Verdict::LeftOut(found), Err(expected)) => found == *expected,
        (Verdict::Feasible(_), Err(_)) | (Verdict::LeftOut(_), Ok(_)) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_finds_what_judging_one_by_one_does(case in any_case(), seed: u64) {
        let views = case.views();
        let expected: Vec<_> = views.iter().map(|node| case.judge(node)).collect();
        let result = place(&views, &case.demand, &case.costs, &case.policy, seed, case.now);
        let explanation = match &result {
            Ok(choice) => &choice.explanation,
            Err(refusal) => &refusal.explanation,
        };
        for (found, expected) in explanation.verdicts().iter().zip(&expected) {
            prop_assert!(is_alike(*found, expected), "{found:?} is not {expected:?}");
        }
        prop_assert_eq!(explanation.verdicts().len(), expected.len());
        prop_assert_eq!(result.is_ok(), expected.iter().any(Result::is_ok));
        let Ok(choice) = result else { return Ok(()) };
        let at = choice.explanation.chosen().expect("it was chosen");
        let (scored, made) = expected[at].as_ref().expect("it is feasible");
        prop_assert_eq!(&choice.encoders, made);
        let cost = case.cost(&views[at], made);
        prop_assert!(is_near(choice.cost.machine.cpu, cost.machine.cpu) && is_near(choice.cost.machine.memory, cost.machine.memory));
        for (gpu, needed) in &choice.cost.gpus {
            prop_assert!(is_near(needed.encoder, cost.gpu(*gpu).encoder) && is_near(needed.sessions, cost.gpu(*gpu).sessions));
        }
        let feasible = || expected.iter().flatten().map(|(scored, _)| scored);
        let best = feasible().map(|scored| scored.preference()).min();
        prop_assert_eq!(best, Some(scored.preference()));
        if case.policy.kind == PolicyKind::Spread {
            let least = feasible().filter(|other| other.preference() == scored.preference());
            let least = least.map(|scored| scored.score).fold(f32::INFINITY, f32::min);
            prop_assert!(is_near(scored.score.into(), least.into()), "{} is not {least}", scored.score);
        }
    }
}
