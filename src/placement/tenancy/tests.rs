//! What each rule amounts to, on a fleet of which only CPU cores and slots count.

mod simulation;

use super::*;
use crate::base::reason::Reason;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Rendition, VideoOutput};
use crate::placement::work::Work;
use crate::wire::cost::{GpuResources, Resources};

/// What one 720p rendition at 30 pictures a second has.
const PIXELS: f64 = 1280.0 * 720.0 * 30.0;

/// A node that takes a core for each 720p rendition.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub cores: f64,
    pub slots: f64,
    pub tags: Vec<Name>,
    pub leases: BTreeMap<LeaseId, Cost>,
}

/// Nodes that are alive, and what was placed on them.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    pub nodes: Vec<Node>,
    last_lease: u64,
}

pub fn cost_of(wish: &Wish) -> Cost {
    let cpu = wish.work.encoded_pixel_rate() / PIXELS;
    Cost { machine: Resources { cpu, ..Resources::default() }, gpus: Vec::new() }
}

fn amounts(cpu: f64, slots: f64) -> Amounts {
    Amounts::new(Resources { cpu, ..Resources::default() }, GpuResources::default(), slots)
}

impl Node {
    fn free(&self) -> Amounts {
        let mut free = amounts(self.cores, self.slots);
        self.leases.values().for_each(|cost| free -= Amounts::of(cost));
        free
    }

    fn has_tags(&self, wish: &Wish) -> bool {
        wish.require_tags.iter().all(|tag| self.tags.contains(tag))
    }
}

impl Nodes {
    /// So many nodes, each with as many slots as cores.
    pub fn of(nodes: usize, cores: f64) -> Self {
        let node = Node { cores, slots: cores, ..Node::default() };
        Self { nodes: vec![node; nodes], last_lease: 0 }
    }

    /// Puts a stream on the emptiest node with room, as the fleet does.
    pub fn place(&mut self, wish: &Wish) -> Option<(LeaseId, Cost)> {
        let cost = cost_of(wish);
        let with_room = self
            .nodes
            .iter_mut()
            .filter(|node| node.has_tags(wish) && node.free().covers(&Amounts::of(&cost)));
        let node = with_room.max_by(|a, b| {
            let free = |node: &Node| node.free().share_of(&amounts(node.cores, node.slots));
            free(a).total_cmp(&free(b))
        })?;
        self.last_lease += 1;
        let lease = LeaseId(self.last_lease);
        node.leases.insert(lease, cost.clone());
        Some((lease, cost))
    }

    pub fn release(&mut self, lease: LeaseId) {
        self.nodes.iter_mut().for_each(|node| drop(node.leases.remove(&lease)));
    }
}

impl FleetRoom for Nodes {
    fn nodes(&self) -> Vec<NodeRoom> {
        let room = |node: &Node| NodeRoom { usable: amounts(node.cores, node.slots), free: node.free() };
        self.nodes.iter().map(room).collect()
    }

    fn candidates(&self, wish: &Wish) -> Vec<Candidate> {
        let suited = self.nodes.iter().enumerate().filter(|(_, node)| node.has_tags(wish));
        suited.map(|(at, _)| (at, Amounts::of(&cost_of(wish)))).collect()
    }

    fn shortage(&self, wish: &Wish) -> Option<String> {
        let full = self.clone().place(wish).is_none();
        full.then(|| "no node has room: n1 has 4.0 of 4.0 cores in use".to_owned())
    }
}

pub fn name(text: &str) -> Name {
    text.parse().expect("test name")
}

/// `TENANT/STREAM`.
pub fn stream(text: &str) -> StreamName {
    let (tenant, stream) = text.split_once('/').expect("the test writes both");
    StreamName { tenant: name(tenant), name: name(stream) }
}

/// A stream of so many 720p renditions, that is as many cores.
pub fn wish(renditions: usize) -> Wish {
    let rendition = Rendition {
        name: name("720p"),
        height: 720,
        video_bitrate: Bitrate::kilobits(2_000),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".into()], preset: "veryfast".into() },
    };
    let ladder = Ladder {
        renditions: vec![rendition; renditions],
        audio: AudioOutput::Copy,
        latency: Latency::Normal,
        deinterlace: Deinterlace::Off,
    };
    Wish { work: Work::expected(&ladder), require_tags: Vec::new() }
}

pub fn limits() -> TenantLimits {
    TenantLimits {
        weight: 1.0,
        max_streams: 1000,
        max_pixels_per_second: None,
        when_full: WhenFull::Refuse,
        expected: wish(1),
    }
}

/// Tenants `a`, `b`, ... with these limits, a fleet, and a clock.
struct Scene {
    tenancy: Tenancy,
    nodes: Nodes,
    now: Instant,
}

impl Scene {
    fn new<const N: usize>(nodes: Nodes, tenants: [TenantLimits; N]) -> Self {
        let names = ('a'..='z').map(|letter| name(&letter.to_string()));
        let tenancy = Tenancy::new(names.zip(tenants).collect());
        Self { tenancy, nodes, now: crate::base::clock::now() }
    }

    fn admit(&mut self, text: &str) -> Result<(), TenancyRefusal> {
        self.tenancy.admit(&stream(text), &self.nodes, self.now)
    }

    /// Asks for a lease as dispatch does.
    fn ask(&mut self, text: &str, wish: &Wish) -> Result<LeaseId, TenancyRefusal> {
        let stream = stream(text);
        self.tenancy.handle_demand(&stream, wish, &self.nodes, self.now)?;
        let Some((lease, cost)) = self.nodes.place(wish) else {
            self.tenancy.handle_waiting(&stream, self.now);
            return Err(Shortage::Full("the fleet says so".to_owned()).into());
        };
        self.tenancy.handle_placed(&stream, lease, &cost);
        Ok(lease)
    }

    fn run(&mut self, text: &str) -> Result<LeaseId, TenancyRefusal> {
        self.admit(text)?;
        self.ask(text, &wish(1))
    }

    fn release(&mut self, lease: LeaseId) {
        self.nodes.release(lease);
        self.tenancy.handle_released(lease);
    }

    /// Streams `T/0`, `T/1`, ... until one is refused: how many there are, and why there are no more.
    fn fill(&mut self, tenant: &str) -> (usize, Reason) {
        (0..1000)
            .find_map(|count| Some((count, self.run(&format!("{tenant}/{count}")).err()?.reason())))
            .expect("the fleet is smaller")
    }

    fn shown(&self, tenant: &str) -> snapshot::TenantSnapshot {
        let all = self.tenancy.snapshot(&self.nodes, self.now);
        all.into_iter().find(|shown| shown.name.as_str() == tenant).expect("it is configured")
    }
}

#[test]
fn one_stream_more_than_allowed_is_refused_and_room_that_was_given_back_is_free() {
    let mut scene = Scene::new(Nodes::of(1, 100.0), [TenantLimits { max_streams: 3, ..limits() }]);
    assert_eq!(scene.fill("a"), (3, Reason::LimitExceeded));
    let refusal = scene.admit("a/more").expect_err("three is all");
    assert_eq!(refusal.to_string(), "tenant a has 3 of 3 streams (max_streams): end one of them first");
    assert_eq!((scene.shown("a").streams, scene.shown("a").refused), (3, 2));
    scene.tenancy.handle_ended(&stream("a/1"));
    assert_eq!(scene.admit("a/more"), Ok(()));
}

#[test]
fn a_stream_that_is_there_is_admitted_whatever_there_is_not() {
    let mut scene = Scene::new(Nodes::of(1, 1.0), [TenantLimits { max_streams: 1, ..limits() }]);
    let lease = scene.run("a/0").expect("there is room for one");
    assert_eq!(scene.admit("a/0"), Ok(()), "a takeover, or the next of the name before the last has gone");
    scene.tenancy.handle_ended(&stream("a/0"));
    assert_eq!(scene.shown("a").streams, 1, "one still has it");
    scene.tenancy.handle_ended(&stream("a/0"));
    assert_eq!((scene.shown("a").streams, scene.tenancy.leases.len()), (0, 0));
    scene.release(lease);
    scene.tenancy.handle_ended(&stream("a/0"));
    assert_eq!(scene.run("a/1").map(drop), Ok(()));
}

#[test]
fn pixels_are_limited_as_expected_and_as_they_are() {
    let most = Some(4 * 27_648_000);
    let tenant = TenantLimits { max_pixels_per_second: most, ..limits() };
    let mut scene = Scene::new(Nodes::of(1, 100.0), [tenant]);
    scene.run("a/0").expect("the first of four");
    scene.admit("a/1").expect("the second");
    scene.ask("a/1", &wish(3)).expect("it takes three of four");
    let refusal = scene.admit("a/2").expect_err("none is left");
    assert_eq!(
        refusal.to_string(),
        "tenant a has 110.6 of 110.6 million pixels a second (max_pixels_per_second), and this stream takes \
         27.6 million: end another one first, or send fewer pictures a second or smaller ones"
    );
    let refusal = scene.ask("a/0", &wish(2)).expect_err("it has become more than is left");
    assert_eq!(refusal.reason(), Reason::LimitExceeded);
    scene.ask("a/0", &wish(1)).expect("what it was before it may still be");
    assert_eq!(scene.shown("a").pixels_per_second, 110_592_000);
    assert_eq!(scene.shown("a").refused, 2);
}

#[test]
fn without_any_node_every_stream_is_taken_and_waits() {
    let mut scene = Scene::new(Nodes::default(), [limits()]);
    scene.admit("a/0").expect("a node may come");
    scene.ask("a/0", &wish(1)).expect_err("not yet");
    assert_eq!((scene.shown("a").waiting, scene.tenancy.queue_length(scene.now)), (1, 1));
    assert!(scene.shown("a").dominant_share.abs() < f64::EPSILON);
    scene.nodes = Nodes::of(1, 1.0);
    scene.ask("a/0", &wish(1)).expect("a node is there");
    assert_eq!(scene.tenancy.queue_length(scene.now), 0);
    assert!((scene.shown("a").dominant_share - 1.0).abs() < 1e-9);
}

#[test]
fn without_room_a_publish_is_refused_or_waits_as_its_tenant_has_it() {
    let patient = TenantLimits { when_full: WhenFull::Wait, ..limits() };
    let mut scene = Scene::new(Nodes::of(1, 1.0), [limits(), patient]);
    let lease = scene.run("a/0").expect("an empty fleet");
    let refusal = scene.admit("a/1").expect_err("the fleet is full");
    assert_eq!(refusal.reason(), Reason::NoRoom);
    assert_eq!(refusal.to_string(), "no node has room: n1 has 4.0 of 4.0 cores in use; try again later");
    scene.admit("b/0").expect("it waits");
    assert_eq!(scene.ask("b/0", &wish(1)).expect_err("it waits").reason(), Reason::NoRoom);
    scene.release(lease);
    scene.tenancy.handle_ended(&stream("a/0"));
    assert!(scene.ask("b/0", &wish(1)).is_ok());
}

#[test]
fn a_stream_that_no_node_could_ever_take_is_no_question_of_room() {
    let bound = Wish { require_tags: vec![name("gpu")], ..wish(1) };
    let mut scene = Scene::new(Nodes::of(2, 4.0), [TenantLimits { expected: bound.clone(), ..limits() }]);
    assert_eq!(scene.admit("a/0").expect_err("no tag").reason(), Reason::NoNode);
    scene.nodes.nodes[1].tags = bound.require_tags;
    assert_eq!(scene.admit("a/0"), Ok(()));
}

#[test]
fn what_is_promised_is_nobody_elses() {
    let mut scene = Scene::new(Nodes::of(1, 2.0), [limits(), limits()]);
    scene.admit("a/0").expect("there is room for two");
    scene.admit("b/0").expect("and this is the second");
    let refusal = scene.admit("a/1").expect_err("the fleet is empty, but not for it");
    assert_eq!(refusal, Shortage::Promised.into());
    scene.ask("a/0", &wish(1)).expect("it was promised");
    scene.tenancy.handle_ended(&stream("b/0"));
    assert_eq!(scene.admit("b/1"), Ok(()));
}

/// How many streams one tenant gets that is alone, on a fleet for `streams`, with `others` configured beside it; and how many
/// of these get their first one then.
fn check_pusher(streams: f64, others: usize, expected: (usize, usize)) {
    let names = (0..=others).map(|at| (name(&format!("t{at}")), limits()));
    let tenancy = Tenancy::new(names.collect());
    let mut scene = Scene { tenancy, nodes: Nodes::of(1, streams), now: crate::base::clock::now() };
    let (pushed, reason) = scene.fill("t0");
    assert_eq!(reason, Reason::NoRoom);
    let first = (1..=others).filter(|other| scene.run(&format!("t{other}/0")).is_ok()).count();
    assert_eq!((pushed, first), expected, "{streams} streams, {others} others");
}

#[test]
fn who_pushes_a_hundred_streams_leaves_one_to_each_other() {
    check_pusher(100.0, 0, (100, 0));
    check_pusher(100.0, 1, (99, 1));
    check_pusher(100.0, 5, (95, 5));
    // A fifth of the fleet is all that is kept back.
    check_pusher(100.0, 50, (80, 20));
    check_pusher(1000.0, 100, (936, 64));
    // Of a small fleet one stream, and of one that has no two whoever comes first has it.
    check_pusher(4.0, 3, (3, 1));
    check_pusher(2.0, 1, (1, 1));
    check_pusher(1.0, 1, (1, 0));
}

#[test]
fn a_stream_too_large_to_be_kept_room_for_holds_nobody_up() {
    let large = TenantLimits { expected: wish(6), ..limits() };
    let impossible = TenantLimits { expected: wish(11), ..limits() };
    let mut scene = Scene::new(Nodes::of(1, 10.0), [limits(), large, impossible]);
    assert_eq!(scene.fill("a"), (10, Reason::NoRoom));
}

#[test]
fn tenants_that_ask_in_turn_share_by_weight() {
    let heavy = TenantLimits { weight: 3.0, ..limits() };
    let mut scene = Scene::new(Nodes::of(4, 10.0), [heavy, limits(), limits()]);
    let mut counts = [0; 3];
    for at in 0..120 {
        let tenant = at % 3;
        counts[tenant] += usize::from(scene.run(&format!("{}/{at}", ["a", "b", "c"][tenant])).is_ok());
    }
    // While there is room nobody is kept from it; towards the end the richer is.
    assert_eq!(counts.iter().sum::<usize>(), 40);
    assert!(counts[0] > counts[1], "{counts:?}");
    let waiting = |weight| TenantLimits { weight, when_full: WhenFull::Wait, ..limits() };
    let mut scene = Scene::new(Nodes::default(), [waiting(3.0), waiting(1.0)]);
    let names: Vec<String> = (0..40).flat_map(|at| [format!("a/{at}"), format!("b/{at}")]).collect();
    names.iter().for_each(|text| scene.admit(text).expect("there is no node"));
    scene.nodes = Nodes::of(1, 20.0);
    // The order in which they ask is against the heavier one.
    for _ in 0..40 {
        names.iter().rev().for_each(|text| drop(scene.ask(text, &wish(1))));
    }
    let shares = ["a", "b"].map(|tenant| (scene.shown(tenant).dominant_share * 20.0).round());
    assert!(shares == [15.0, 5.0], "{shares:?}");
}

#[test]
fn the_poorest_that_waits_goes_first_as_long_as_it_asks() {
    let patient = TenantLimits { when_full: WhenFull::Wait, ..limits() };
    // No third one is kept room for.
    let small = TenantLimits { max_streams: 2, ..patient.clone() };
    let mut scene = Scene::new(Nodes::of(1, 4.0), [patient, small]);
    let leases: Vec<_> = (0..3).map(|at| scene.run(&format!("a/{at}")).expect("room")).collect();
    scene.run("b/0").expect("the last");
    scene.admit("a/3").expect("it waits");
    scene.admit("b/1").expect("it waits");
    scene.release(leases[0]);
    scene.tenancy.handle_ended(&stream("a/0"));
    assert_eq!(scene.ask("a/3", &wish(1)), Err(Shortage::Promised.into()), "b/1 is to have it");
    scene.now += WAITING_FOR;
    scene.ask("a/3", &wish(1)).expect("b/1 has not asked for too long");
    assert!(scene.ask("b/1", &wish(1)).is_err(), "and comes too late");
}

#[test]
fn a_large_stream_of_a_poorer_tenant_is_not_starved_by_small_ones() {
    let poor = TenantLimits { when_full: WhenFull::Wait, expected: wish(3), ..limits() };
    let mut scene = Scene::new(Nodes::of(1, 4.0), [limits(), poor]);
    let leases: Vec<_> = (0..4).filter_map(|at| scene.run(&format!("a/{at}")).ok()).collect();
    assert_eq!(leases.len(), 4, "more than half a fleet is not kept for one");
    scene.admit("b/0").expect("it waits");
    for (at, lease) in leases.iter().take(3).enumerate() {
        scene.ask("b/0", &wish(3)).expect_err("not yet");
        scene.release(*lease);
        scene.tenancy.handle_ended(&stream(&format!("a/{at}")));
        let small = scene.admit(&format!("a/again{at}"));
        let expected = if at < 2 { Shortage::AfterPoorer } else { Shortage::Promised };
        assert_eq!(small, Err(expected.into()));
    }
    scene.ask("b/0", &wish(3)).expect("its turn has come");
}

#[test]
fn a_stream_that_lost_its_node_goes_before_new_ones() {
    let mut scene = Scene::new(Nodes::of(2, 2.0), [limits(), limits()]);
    let lease = scene.run("a/0").expect("an empty fleet");
    scene.run("a/1").expect("room");
    scene.run("b/0").expect("room");
    let lost = scene.nodes.nodes.iter().position(|node| node.leases.contains_key(&lease)).expect("placed");
    scene.nodes.nodes[lost] = Node::default();
    scene.tenancy.handle_released(lease);
    assert_eq!(scene.admit("b/1").expect_err("it is to come back").reason(), Reason::NoRoom);
    scene.nodes.nodes.push(Node { cores: 0.5, slots: 1.0, ..Node::default() });
    let half = Wish {
        work: Work { source: wish(1).work.source, renditions: Vec::new(), ..wish(1).work },
        ..wish(1)
    };
    scene.ask("a/0", &wish(2)).expect_err("and nobody has two cores free");
    assert_eq!(scene.tenancy.queue_length(scene.now), 1);
    assert!(scene.ask("b/0", &half).is_ok(), "a stream that runs is not held up");
}

#[test]
fn a_lease_of_an_earlier_stream_is_none_of_the_later() {
    let mut scene = Scene::new(Nodes::of(1, 4.0), [limits()]);
    let before = scene.run("a/0").expect("room");
    scene.tenancy.handle_ended(&stream("a/0"));
    let after = scene.run("a/0").expect("room");
    scene.release(before);
    assert_eq!(scene.tenancy.leases.keys().copied().collect::<Vec<_>>(), [after]);
    let booking = &scene.tenancy.tenants[&name("a")].bookings[&name("0")];
    assert_eq!(booking.leases, BTreeSet::from([after]));
}

#[test]
fn who_is_not_configured_has_nothing_and_disturbs_nobody() {
    let mut scene = Scene::new(Nodes::of(1, 4.0), [limits()]);
    assert_eq!(scene.admit("z/0").expect_err("unknown").reason(), Reason::UnknownTenant);
    let lease = scene.ask("z/0", &wish(1)).expect("nothing is known against it");
    scene.release(lease);
    scene.tenancy.handle_ended(&stream("z/0"));
    assert_eq!(scene.fill("a"), (4, Reason::NoRoom));
}
