//! A run: events in their order, until the time is over.

use std::rc::Rc;

use headgate::wire::cost::Cost;
use headgate::wire::message::LeaseId;
use headgate::wire::report::Heartbeat;

use super::clairvoyant::{Packing, Prefers, everywhere};
use super::machine::{Machine, Refuses};
use super::offline::has_room_if_packed;
use super::outcome::{Outcome, Present};
use super::proxy::{Ask, Chooser, Offer};
use super::queue::{Event, Queue};
use super::random::{Random, hash, unit};
use super::scenario::{Policy, Setting};
use super::time::Time;
use super::truth;

/// How many nodes a stream is offered to at most.
const TRIES: usize = 8;
/// Heartbeats that never come, and that come seconds late.
const LOST: f64 = 0.02;
/// See [`LOST`].
const STALLED: f64 = 0.01;
/// How late a stalled heartbeat is, in seconds: at least, and more at most.
const STALL: (f64, f64) = (1.0, 2.0);
/// How long others are under way: at least, and longer on average.
const DELAY: (f64, f64) = (0.002, 0.02);
/// Samples in the measured time.
const SAMPLES: f64 = 60.0;

/// A run in progress.
struct World<'a> {
    setting: &'a Setting,
    policy: Policy,
    machines: Vec<Machine>,
    proxies: Vec<Box<dyn Chooser>>,
    /// The newest heartbeat that each proxy has of each node.
    newest: Vec<Vec<u64>>,
    /// Where each stream runs, and what it takes there.
    placed: Vec<Option<(usize, Cost)>>,
    /// The same, added up by node.
    truth: Packing,
    queue: Queue,
    time: Time,
    outcome: Outcome,
}

/// What a run gave, and what it took.
#[derive(Debug)]
pub struct Run {
    /// What came of it: the same each time.
    pub outcome: Outcome,
    /// How long each choice took, in nanoseconds, where that was measured.
    pub choices_ns: Vec<u64>,
}

/// Runs `policy` in a setting.
pub fn run(setting: &Setting, policy: Policy) -> Run {
    let mut world = World::new(setting, policy);
    let end = setting.scenario.end();
    while let Some((at, event)) = world.queue.pop().filter(|(at, _)| *at <= end) {
        world.handle(at, event);
    }
    world.end_all(end);
    let choices_ns = world.proxies.iter().flat_map(|proxy| proxy.choices_ns()).copied().collect();
    Run { outcome: world.outcome, choices_ns }
}

impl<'a> World<'a> {
    fn new(setting: &'a Setting, policy: Policy) -> Self {
        let scenario = &setting.scenario;
        let mut queue = Queue::default();
        for (stream, plan) in setting.streams.iter().enumerate() {
            queue.push(plan.arrives, Event::Arrival { stream });
        }
        for node in 0..scenario.nodes {
            let phase = unit(hash(&[scenario.seed, 11, number(node)]));
            queue.push(phase * scenario.heartbeat, Event::Beat { node, number: 1 });
        }
        queue.push(scenario.fill + scenario.settle, Event::Sample);
        let salt = |node: usize| hash(&[scenario.seed, 12, number(node)]);
        let machines =
            setting.hardware.iter().enumerate().map(|(at, node)| Machine::new(node.clone(), salt(at)));
        let proxies = setting.proxies(policy);
        Self {
            machines: machines.collect(),
            newest: vec![vec![0; scenario.nodes]; proxies.len()],
            proxies,
            placed: vec![None; setting.streams.len()],
            truth: Packing::new(&setting.hardware, scenario.headroom, Prefers::Fullest),
            queue,
            time: Time::new(),
            outcome: Outcome::default(),
            setting,
            policy,
        }
    }

    fn handle(&mut self, at: f64, event: Event) {
        match event {
            Event::Arrival { stream } => self.handle_arrival(stream, at),
            Event::Departure { stream } => self.handle_departure(stream, at),
            Event::Beat { node, number } => self.handle_beat(node, number, at),
            Event::Delivery { proxy, node, number, heartbeat } => {
                self.handle_delivery((proxy, node, number), &heartbeat, at);
            }
            Event::Sample => self.handle_sample(at),
        }
    }

    fn handle_arrival(&mut self, stream: usize, at: f64) {
        let measured = self.is_measured(at);
        self.outcome.arrived += u64::from(measured);
        if self.offer(stream, at).is_some() {
            self.queue.push(self.setting.streams[stream].departs, Event::Departure { stream });
        } else if measured {
            self.outcome.refused += 1;
            self.judge_refusal(stream);
        }
    }

    /// Offers a stream to one node after the other; the node that took it.
    fn offer(&mut self, stream: usize, at: f64) -> Option<usize> {
        let setting = self.setting;
        let (plan, now) = (&setting.streams[stream], self.time.at(at));
        let proxy = self.proxy_of(stream);
        let mut refused_by = Vec::new();
        for _ in 0..TRIES {
            let ask = Ask { kind: &setting.kinds[plan.kind], stream: plan, refused_by: &refused_by, at, now };
            let offer = self.proxies[proxy].choose(&ask)?;
            let node = offer.node;
            self.judge_offer(&offer, &ask);
            if self.machines[node].takes(&offer.cost, self.refuses(), now) {
                self.start(stream, offer, &ask);
                return Some(node);
            }
            self.outcome.node_refusals += u64::from(self.is_measured(at));
            refused_by.push(node);
        }
        None
    }

    fn start(&mut self, stream: usize, offer: Offer, ask: &Ask<'_>) {
        let (node, lease) = (offer.node, lease(stream));
        let class = self.machines[node].hardware().class();
        let cost = truth::cost(&ask.kind.demand.work, class, &offer.encoders, ask.stream.content);
        let costs = (offer.cost.clone(), cost.clone());
        self.machines[node].start(lease, costs, ask.stream, (ask.at, ask.now));
        self.truth.add(node, &cost);
        self.placed[stream] = Some((node, cost));
        let proxy = self.proxy_of(stream);
        self.proxies[proxy].handle_placed(lease, ask, offer);
    }

    fn handle_departure(&mut self, stream: usize, at: f64) {
        let Some((node, cost)) = self.placed[stream].take() else { return };
        let (lease, now) = (lease(stream), self.time.at(at));
        self.machines[node].end(lease, now);
        self.truth.remove(node, &cost);
        let proxy = self.proxy_of(stream);
        self.proxies[proxy].handle_ended(lease, node, now);
    }

    fn handle_beat(&mut self, node: usize, beat: u64, at: f64) {
        let scenario = &self.setting.scenario;
        let heartbeat = Rc::new(self.machines[node].measure(at, beat, self.time.at(at)));
        if self.is_measured(at) {
            let wanted = self.machines[node].wanted(at);
            let over = self.machines[node].utilization(&wanted) > 1.0;
            self.outcome.node_s += scenario.heartbeat;
            self.outcome.overloaded_s += if over { scenario.heartbeat } else { 0.0 };
        }
        for proxy in 0..self.proxies.len() {
            let mut chance = Random::new(hash(&[scenario.seed, 13, number(node), beat, number(proxy)]));
            let fate = chance.unit();
            let delay = match fate {
                fate if fate < LOST => continue,
                fate if fate < LOST + STALLED => STALL.0 + STALL.1 * chance.unit(),
                _ => DELAY.0 + chance.exponential(DELAY.1),
            };
            let heartbeat = Rc::clone(&heartbeat);
            self.queue.push(at + delay, Event::Delivery { proxy, node, number: beat, heartbeat });
        }
        self.queue.push(at + scenario.heartbeat, Event::Beat { node, number: beat + 1 });
    }

    fn handle_delivery(&mut self, (proxy, node, beat): (usize, usize, u64), heartbeat: &Heartbeat, at: f64) {
        let newest = &mut self.newest[proxy][node];
        if beat > *newest {
            *newest = beat;
            self.proxies[proxy].handle_heartbeat(node, heartbeat, (at, self.time.at(at)));
        }
    }

    fn handle_sample(&mut self, at: f64) {
        let (mut largest, mut sum) = (0.0_f64, 0.0);
        for machine in &self.machines {
            let utilization = machine.utilization(&machine.wanted(at));
            largest = largest.max(utilization);
            sum += utilization;
        }
        let mean = sum / truth::float(number(self.machines.len()));
        self.outcome.largest_over_mean += largest / mean.max(f64::MIN_POSITIVE);
        self.outcome.mean += mean;
        self.outcome.present.push(self.present(at));
        self.outcome.samples += 1;
        self.queue.push(at + self.setting.scenario.measured / SAMPLES, Event::Sample);
    }

    fn present(&self, at: f64) -> Present {
        let running = self.placed.iter().zip(&self.setting.streams).filter(|(placed, _)| placed.is_some());
        let pixels =
            running.map(|(_, plan)| self.setting.kinds[plan.kind].demand.work.encoded_pixel_rate() / 1e6);
        let (streams, megapixels) = pixels.fold((0, 0.0), |(count, sum), pixels| (count + 1, sum + pixels));
        Present { at, streams, megapixels }
    }

    /// Whether an offline best fit would have had room for a stream that was refused.
    fn judge_refusal(&mut self, stream: usize) {
        let setting = self.setting;
        let plan = &setting.streams[stream];
        let ways = everywhere(&setting.kinds[plan.kind].demand.work, plan.content);
        if self.truth.has_room(&ways) {
            self.outcome.room_as_it_was += 1;
            return;
        }
        if self.outcome.packed >= setting.scenario.packings {
            return;
        }
        let running = self.placed.iter().zip(&setting.streams).filter(|(placed, _)| placed.is_some());
        let running =
            running.map(|(_, plan)| everywhere(&setting.kinds[plan.kind].demand.work, plan.content));
        let all: Vec<_> = running.chain([ways]).collect();
        let empty = Packing::new(&setting.hardware, setting.scenario.headroom, Prefers::Fullest);
        self.outcome.packed += 1;
        self.outcome.room_if_packed += u64::from(has_room_if_packed(&empty, &all));
    }

    /// What no proxy may offer, whatever it knows. With one proxy, which knows of all encoder sessions, nor more of these than there are.
    fn judge_offer(&mut self, offer: &Offer, ask: &Ask<'_>) {
        let machine = &self.machines[offer.node];
        if !machine.can_encode(&offer.encoders) {
            self.outcome.violate(format_args!("{}: node {} has no {:?}", ask.at, offer.node, offer.encoders));
        }
        let encoded = ask.kind.demand.work.renditions.iter().map(|made| made.is_encoded());
        if !encoded.eq(offer.encoders.iter().map(Option::is_some)) {
            self.outcome.violate(format_args!("{}: not what was asked for: {:?}", ask.at, offer.encoders));
        }
        if self.proxies.len() == 1
            && let Some(gpu) = machine.lacks_sessions(&offer.cost)
        {
            self.outcome
                .violate(format_args!("{}: GPU {gpu} of node {} has no session left", ask.at, offer.node));
        }
        if ask.refused_by.contains(&offer.node) {
            self.outcome.violate(format_args!("{}: node {} is asked again", ask.at, offer.node));
        }
    }

    /// Every stream ends, so that what is still reserved then is a leak.
    fn end_all(&mut self, end: f64) {
        for stream in 0..self.placed.len() {
            self.handle_departure(stream, end);
        }
        self.outcome.held_at_end = self.proxies.iter().map(|proxy| proxy.held()).sum();
    }

    fn refuses(&self) -> Refuses {
        match self.policy {
            Policy::Clairvoyant(_) => Refuses::Nothing,
            Policy::Ours(_) | Policy::Rival(_) => self.setting.scenario.refuses,
        }
    }

    fn is_measured(&self, at: f64) -> bool {
        at >= self.setting.scenario.fill + self.setting.scenario.settle
    }

    fn proxy_of(&self, stream: usize) -> usize {
        let proxies = number(self.proxies.len());
        usize::try_from(self.setting.streams[stream].salt % proxies).unwrap_or(0)
    }
}

fn lease(stream: usize) -> LeaseId {
    LeaseId(number(stream))
}

fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}
