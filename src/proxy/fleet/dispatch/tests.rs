use super::*;
use crate::config::Config;
use crate::placement::demand::Demand;
use crate::placement::policy::Policy;
use crate::proxy::fleet::LeaseEvent;
use crate::proxy::fleet::tests::script;
use crate::wire::message::LeaseInput;
use crate::wire::report::Capacity;

/// Dispatch without its loop: what is to happen next happens in a test's order. Its nodes have a slot each.
struct Scene {
    dispatch: Dispatch,
    /// What tasks have to say, which nobody hears.
    _inputs: mpsc::Receiver<Input>,
    /// What nodes are told.
    told: Vec<mpsc::Receiver<ProxyMessage>>,
    now: Instant,
}

/// The stream's ends of a request.
type Asked = (mpsc::Sender<LeaseInput>, mpsc::Receiver<Box<(u32, LeaseEvent)>>);

fn stream(name: &str) -> StreamName {
    StreamName { tenant: "live".parse().expect("test name"), name: name.parse().expect("test name") }
}

impl Scene {
    fn with(nodes: &[&str]) -> Self {
        let tenants = Config::default().tenants;
        let settings = FleetSettings {
            token: None,
            heartbeat: Duration::from_millis(250),
            suspect_after: Duration::from_millis(750),
            proxy_id: "p1".into(),
            tenants: tenants.iter().map(|(name, tenant)| (name.clone(), tenant.limits())).collect(),
            tls: None,
            policy: Policy { headroom: 100.0, ..Policy::default() },
            learned: None,
        };
        let ((inbox, inputs), now) = (mpsc::channel(64), clock::now());
        let dispatch = Dispatch::new(settings, Tasks::new(), inbox, watch::channel(Arc::default()).0);
        let mut scene = Self { dispatch, _inputs: inputs, told: Vec::new(), now };
        for (id, node) in (1..).zip(nodes) {
            let (queue, told) = mpsc::channel(64);
            let capacity = Capacity { slots: 1, ..script::hello(node).capacity };
            let hello = Box::new(NodeHello { capacity, ..script::hello(node) });
            scene.handle(Input::Hello { connection: ConnectionId(id), hello, queue });
            scene.told.push(told);
        }
        scene
    }

    /// One round of the loop.
    fn handle(&mut self, input: Input) {
        self.dispatch.handle(input, self.now);
        self.dispatch.carry_out_commands();
    }

    fn admit(&mut self, name: &str) -> Result<Booking, Refused> {
        let (answer, mut answered) = oneshot::channel();
        self.handle(Input::Admit { stream: stream(name), answer });
        answered.try_recv().expect("it is answered at once")
    }

    fn ask(&mut self, name: &str) -> Asked {
        let ((input, inputs), (sender, events)) = (mpsc::channel(16), mpsc::channel(16));
        let attempt = script::attempt();
        let demand = Demand::of(&attempt);
        let request = LeaseRequest { stream: stream(name), attempt, demand, input: inputs, events: sender };
        self.handle(Input::Request(Box::new(request)));
        (input, events)
    }

    /// The node that has the only lease.
    fn holder(&self) -> ConnectionId {
        let nodes = self.dispatch.fleet.snapshot(self.now).nodes;
        let holder = nodes.iter().find(|node| !node.leases.is_empty()).expect("it was placed");
        self.dispatch.fleet.connection(&holder.name).expect("it is connected")
    }
}

#[tokio::test]
async fn the_room_of_a_stream_that_has_just_lost_its_node_is_nobody_elses() {
    let mut scene = Scene::with(&["n1", "n2"]);
    let _booking = scene.admit("first").expect("the fleet is empty");
    let (_input, _events) = scene.ask("first");
    let connection = scene.holder();
    scene.handle(Input::Disconnected { connection, reason: Reason::ConnectionLost });
    // The lease's task has not run yet, and its stream has not asked again.
    let refused = scene.admit("second").expect_err("the last slot is not for it");
    assert_eq!(refused.reason, Reason::NoRoom);
}

#[tokio::test]
async fn who_comes_for_an_expired_offer_is_too_late_and_the_stream_is_told_that() {
    let mut scene = Scene::with(&["n1"]);
    let _booking = scene.admit("first").expect("the fleet is empty");
    let (_input, mut events) = scene.ask("first");
    let secret = *scene.dispatch.offers.keys().next().expect("it is on offer");
    scene.now += crate::placement::fleet::OFFER_TIMEOUT;
    let (reply, mut slot) = oneshot::channel();
    scene.dispatch.handle(Input::Claim { secret, reply }, scene.now);
    assert!(slot.try_recv().is_err(), "there is no such lease");
    // What the lease's task sees first is what it tells.
    tokio::task::yield_now().await;
    scene.dispatch.carry_out_commands();
    assert!(scene.dispatch.offers.is_empty());
    let placed = events.recv().await.expect("it was offered");
    assert!(matches!(*placed, (_, LeaseEvent::Placed { .. })), "{placed:?}");
    let (_, last) = *events.recv().await.expect("the lease ends");
    assert!(matches!(last, LeaseEvent::Failed { reason: Reason::HandshakeTimeout, .. }), "{last:?}");
}
