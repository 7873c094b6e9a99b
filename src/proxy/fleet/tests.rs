//! The fleet link end to end, over loopback, against a node made of a raw socket.

pub(in crate::proxy) mod fake_node;
mod membership;
pub(in crate::proxy) mod script;
mod secured;

use std::future::Future;

use bytes::Bytes;
use tokio::sync::mpsc;

use self::fake_node::{FakeNode, Wire, request_head, respond};
use super::*;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::Output;
use crate::placement::place::NodeState;
use crate::wire::message::{
    AttemptEnd, CONTROL_PATH, LEASE_PATH, LEASE_SECRET_HEADER, LeaseId, LeaseSpec, NodeMessage, ProxyMessage,
    VERSION_HEADER, WIRE_VERSION,
};
use crate::wire::report::{Capacity, NodeHello};

pub(in crate::proxy) const TOKEN: &str = "hunter2";
/// Far above what anything here takes; what hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::proxy) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens within the test's patience")
}

impl FleetHandle {
    /// Shows what never changes, of a fleet that has stopped.
    pub(in crate::proxy) fn fixed(shown: FleetSnapshot) -> Self {
        Self { inbox: mpsc::channel(1).0, snapshot: watch::channel(Arc::new(shown)).1 }
    }

    /// The same of one that answers orders.
    pub(in crate::proxy) fn answering(
        shown: FleetSnapshot,
        answer: impl Fn(Name, Order) -> Result<(), OrderError> + Send + 'static,
    ) -> Self {
        let (inbox, mut inputs) = mpsc::channel(1);
        Tasks::new().spawn(async move {
            while let Some(Input::Order { node, order, reply }) = inputs.recv().await {
                let answer = match answer(node, order) {
                    Ok(()) => Ok(()),
                    Err(OrderError::UnknownNode(unknown)) => Err(unknown),
                    Err(OrderError::Stopped) => return,
                };
                reply.send(answer).expect("it is waited for");
            }
        });
        Self { inbox, snapshot: watch::channel(Arc::new(shown)).1 }
    }
}

/// A fleet on a port of its own.
struct Proxy {
    fleet: FleetHandle,
    address: std::net::SocketAddr,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Proxy {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut FleetSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut settings = FleetSettings {
            token: Some(Secret::new(TOKEN)),
            heartbeat: Duration::from_millis(250),
            // Long: a loaded test machine must not make a suspect.
            suspect_after: PATIENCE,
            proxy_id: "p1".into(),
            tenants: std::collections::BTreeMap::new(),
            tls: None,
            policy: Policy::default(),
            learned: None,
        };
        change(&mut settings);
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        Self { fleet: start(listener, settings, &tasks, stop.clone()), address, tasks, stop }
    }

    /// With one node that has joined.
    async fn with_node() -> (Self, FakeNode) {
        let proxy = Self::start().await;
        let node = FakeNode::join(proxy.address, "n1").await;
        (proxy, node)
    }

    async fn ask(&self) -> Stream {
        self.try_ask().expect("the fleet runs and has room")
    }

    fn try_ask(&self) -> Result<Stream, &'static str> {
        self.try_ask_for(Vec::new())
    }

    /// Asks for a node whose FFmpeg reads these.
    fn try_ask_for(&self, reads: Vec<Carriage>) -> Result<Stream, &'static str> {
        let (input, inputs) = mpsc::channel(16);
        let (sender, events) = mpsc::channel(16);
        let stream = StreamName {
            tenant: "live".parse().expect("test name"),
            name: "demo".parse().expect("test name"),
        };
        let attempt = script::attempt();
        let demand = Demand { reads, ..Demand::of(&attempt) };
        let request = LeaseRequest { stream, attempt, demand, input: inputs, events: sender };
        self.fleet.request(request)?;
        Ok(Stream { input: Some(input), events })
    }

    async fn shown(&self, wanted: impl FnMut(&Arc<FleetSnapshot>) -> bool) -> Arc<FleetSnapshot> {
        let mut stats = self.fleet.stats();
        soon(stats.wait_for(wanted)).await.expect("the fleet runs").clone()
    }
}

/// A stream's side of a lease.
struct Stream {
    input: Option<mpsc::Sender<LeaseInput>>,
    events: mpsc::Receiver<Box<(u32, LeaseEvent)>>,
}

impl Stream {
    /// The next event; `None` after the last one.
    async fn event(&mut self) -> Option<LeaseEvent> {
        let (attempt, event) = *soon(self.events.recv()).await?;
        assert_eq!(attempt, script::attempt().number);
        Some(event)
    }

    async fn send(&self, input: LeaseInput) {
        let sender = self.input.as_ref().expect("not given up yet");
        soon(sender.send(input)).await.expect("the lease takes input");
    }

    #[track_caller]
    fn check_placed(event: Option<&LeaseEvent>) {
        assert!(matches!(event, Some(LeaseEvent::Placed { node, .. }) if node.as_str() == "n1"), "{event:?}");
    }

    /// The lease fails for `expected`, and that is the last event.
    async fn check_fails(&mut self, expected: Reason) -> String {
        match self.event().await {
            Some(LeaseEvent::Failed { reason, detail, .. }) => {
                assert_eq!(reason, expected, "{detail}");
                assert_eq!(self.event().await, None);
                detail
            }
            other => panic!("not a failure: {other:?}"),
        }
    }
}

/// A stream and its node, attached.
async fn attached(proxy: &Proxy, node: &mut FakeNode) -> (Stream, Wire) {
    let mut stream = proxy.ask().await;
    let spec = node.lease().await;
    let wire = node.attach(&spec).await;
    Stream::check_placed(stream.event().await.as_ref());
    assert_eq!(stream.event().await, Some(LeaseEvent::Attached));
    (stream, wire)
}

#[tokio::test]
async fn media_goes_down_fragments_come_up_and_the_end_is_the_last_event() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, mut wire) = attached(&proxy, &mut node).await;
    let media = LeaseInput::Media(Bytes::from(vec![7; 300_000]).into());
    for input in [media.clone(), media.clone(), LeaseInput::EndOfInput] {
        stream.send(input).await;
    }
    for expected in [media.clone(), media, LeaseInput::EndOfInput] {
        assert_eq!(wire.receive::<LeaseInput>().await, Some(expected));
    }
    let mut written = 0;
    while written < 3 {
        match stream.event().await {
            Some(LeaseEvent::Written { inputs }) => written += inputs,
            other => panic!("nothing was made yet: {other:?}"),
        }
    }
    assert_eq!(written, 3);
    let end = LeaseOutput::Ended(AttemptEnd { reason: Reason::Completed, detail: String::new() });
    let said = [script::init(Output::Rendition(0)), script::fragment(0, &[9; 200_000]), end];
    for output in &said {
        wire.send(output).await;
    }
    for output in said {
        assert_eq!(stream.event().await, Some(LeaseEvent::Output(output)));
    }
    assert_eq!(stream.event().await, None);
    assert_eq!(wire.receive::<LeaseInput>().await, None);
    proxy.shown(|shown| shown.nodes[0].leases.is_empty()).await;
}

#[tokio::test]
async fn a_lost_connection_is_told_at_once_and_the_slot_is_free() {
    let (proxy, mut node) = Proxy::with_node().await;
    for _ in 0..3 {
        // The fake node has two slots: a third lease fits only if the lost ones are released.
        let (mut stream, wire) = attached(&proxy, &mut node).await;
        drop(wire);
        stream.check_fails(Reason::NodeLost).await;
    }
}

#[tokio::test]
async fn a_lost_node_takes_its_leases_with_it() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, _wire) = attached(&proxy, &mut node).await;
    drop(node);
    let detail = stream.check_fails(Reason::NodeLost).await;
    assert_eq!(detail, "the control connection of n1 ended: connection_lost");
    let shown = proxy.shown(|shown| shown.nodes[0].state == NodeState::Lost).await;
    assert_eq!(shown.fleet.nodes, 0);
    proxy.ask().await.check_fails(Reason::NoNode).await;
}

#[tokio::test]
async fn what_no_node_can_read_is_refused_for_that_reason() {
    let (proxy, mut node) = Proxy::with_node().await;
    let ask = |reads: &[Carriage]| proxy.try_ask_for(reads.to_vec()).expect("the fleet runs");
    let detail = ask(&[Carriage::Hevc, Carriage::Aac]).check_fails(Reason::UnsupportedCodec).await;
    assert_eq!(detail, "no node can read hevc from FLV: FFmpeg 6.1 or later is needed");
    let mut stream = ask(&[Carriage::H264, Carriage::Aac]);
    Stream::check_placed(stream.event().await.as_ref());
    node.lease().await;
}

#[tokio::test]
async fn a_stream_gives_up_by_dropping_its_input() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, mut wire) = attached(&proxy, &mut node).await;
    stream.input = None;
    stream.check_fails(Reason::Superseded).await;
    assert_eq!(wire.receive::<LeaseInput>().await, None);

    let mut stream = proxy.ask().await;
    let spec = node.lease().await;
    Stream::check_placed(stream.event().await.as_ref());
    stream.send(LeaseInput::EndOfInput).await;
    stream.input = None;
    stream.check_fails(Reason::Superseded).await;
    let cancel = ProxyMessage::Cancel { lease: spec.lease, reason: Reason::Superseded };
    assert_eq!(node.wire.receive().await, Some(cancel));
    let answer = respond(proxy.address, &node.lease_request(&spec)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

/// The node takes nothing, so that the socket and then every queue fills up; giving up is noticed all the same.
#[tokio::test]
async fn a_stream_can_leave_a_node_that_hangs() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, _wire) = attached(&proxy, &mut node).await;
    let media = LeaseInput::Media(Bytes::from(vec![0; 1 << 20]).into());
    let input = stream.input.take().expect("not given up yet");
    let stuck = async {
        // Reports of what is written must be taken, or there would be no room for them.
        tokio::select! {
            () = async { while input.send(media.clone()).await.is_ok() {} } => {}
            () = async { while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(500), stream.events.recv()).await {} } => {}
        }
    };
    soon(stuck).await;
    drop(input);
    let last = soon(async {
        let mut last = None;
        while let Some((_, event)) = stream.events.recv().await.map(|said| *said) {
            last = Some(event);
        }
        last
    });
    assert!(matches!(last.await, Some(LeaseEvent::Failed { reason: Reason::Superseded, .. })));
}

#[tokio::test]
async fn a_refused_lease_fails_with_the_nodes_reason() {
    let (proxy, mut node) = Proxy::with_node().await;
    let mut stream = proxy.ask().await;
    let LeaseSpec { lease, .. } = node.lease().await;
    node.wire.send(&NodeMessage::LeaseRefused { lease, reason: Reason::NoSlot, detail: String::new() }).await;
    Stream::check_placed(stream.event().await.as_ref());
    stream.check_fails(Reason::NoSlot).await;
}

#[tokio::test]
async fn an_offer_that_the_node_ignores_expires_and_is_cancelled() {
    let (proxy, mut node) = Proxy::with_node().await;
    let mut stream = proxy.ask().await;
    let LeaseSpec { lease, .. } = node.lease().await;
    Stream::check_placed(stream.event().await.as_ref());
    let detail = stream.check_fails(Reason::HandshakeTimeout).await;
    assert_eq!(detail, "n1 did not connect for the lease within 2 s");
    let cancel = ProxyMessage::Cancel { lease, reason: Reason::HandshakeTimeout };
    assert_eq!(node.wire.receive().await, Some(cancel));
}

#[tokio::test]
async fn nonsense_on_a_lease_ends_it() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, mut wire) = attached(&proxy, &mut node).await;
    wire.write(b"\xff\xff\xff\xff\x21 a fragment of 4 GiB").await;
    let detail = stream.check_fails(Reason::ProtocolViolation).await;
    assert!(detail.contains("4294967294 bytes"), "{detail}");
    let (mut stream, mut wire) = attached(&proxy, &mut node).await;
    wire.send(&script::fragment(7, b"moof")).await;
    let detail = stream.check_fails(Reason::ProtocolViolation).await;
    assert_eq!(detail, "the node broke the protocol: the attempt has no output Rendition(7)");
}

/// One request to a fleet port without nodes, and how its answer begins.
async fn check_answer(request: &str, expected: &str) {
    let proxy = Proxy::start().await;
    let answer = respond(proxy.address, request).await;
    assert!(answer.starts_with(expected), "{answer}");
}

#[tokio::test]
async fn strangers_are_turned_away_with_a_status_and_a_text() {
    let sound = request_head(CONTROL_PATH, TOKEN, &[]);
    check_answer(&sound.replace(TOKEN, "hunter3"), "HTTP/1.1 401 ").await;
    check_answer(&sound.replace(CONTROL_PATH, "/fleet/v1/nothing"), "HTTP/1.1 404 ").await;
    check_answer(&sound.replace("GET", "POST"), "HTTP/1.1 400 ").await;
    check_answer("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 400 ").await;
    check_answer("\x16\x03\x01 a TLS hello, or anything else\r\n\r\n", "HTTP/1.1 400 ").await;
    let proxy = Proxy::start().await;
    let other = sound.replace(&format!("{VERSION_HEADER}: {WIRE_VERSION}"), &format!("{VERSION_HEADER}: 7"));
    let answer = respond(proxy.address, &other).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("version 7 of the fleet protocol and the proxy version"), "{answer}");
}

#[tokio::test]
async fn a_secret_opens_one_connection_once() {
    let (proxy, mut node) = Proxy::with_node().await;
    let mut stream = proxy.ask().await;
    let spec = node.lease().await;
    let wrong = request_head(LEASE_PATH, TOKEN, &[(LEASE_SECRET_HEADER, &"0".repeat(32))]);
    assert!(respond(proxy.address, &wrong).await.starts_with("HTTP/1.1 403 "));
    let _wire = node.attach(&spec).await;
    let again = respond(proxy.address, &node.lease_request(&spec)).await;
    assert!(again.starts_with("HTTP/1.1 403 "), "{again}");
    Stream::check_placed(stream.event().await.as_ref());
    assert_eq!(stream.event().await, Some(LeaseEvent::Attached));
}

#[tokio::test]
async fn a_second_node_of_the_same_name_is_told_so_and_the_first_one_stays() {
    let (proxy, mut node) = Proxy::with_node().await;
    let mut second = Wire::upgrade(proxy.address, &request_head(CONTROL_PATH, TOKEN, &[])).await;
    second.send(&NodeMessage::Hello(Box::new(script::hello("n1")))).await;
    let refused = ProxyMessage::Refused {
        reason: Reason::NameTaken,
        detail: "a node named n1 is connected already".into(),
    };
    assert_eq!(second.receive().await, Some(refused));
    assert_eq!(second.receive::<ProxyMessage>().await, None);
    attached(&proxy, &mut node).await;
}

/// What a node sends on a fresh control connection, and why it is refused.
async fn check_refused(sent: &[NodeMessage], garbage: &[u8], expected: Reason) {
    let proxy = Proxy::start().await;
    let mut wire = Wire::upgrade(proxy.address, &request_head(CONTROL_PATH, TOKEN, &[])).await;
    for message in sent {
        wire.send(message).await;
    }
    wire.write(garbage).await;
    loop {
        match soon(wire.receive::<ProxyMessage>()).await {
            Some(ProxyMessage::Refused { reason, detail }) => {
                assert_eq!(reason, expected, "{detail}");
                break;
            }
            Some(ProxyMessage::Welcome { .. }) => {}
            other => panic!("not refused: {other:?}"),
        }
    }
    assert_eq!(wire.receive::<ProxyMessage>().await, None);
}

#[tokio::test]
async fn a_node_that_misbehaves_is_refused() {
    let hello = || NodeMessage::Hello(Box::new(script::hello("n1")));
    let heartbeat = || NodeMessage::Heartbeat(script::heartbeat());
    check_refused(&[heartbeat()], b"", Reason::ProtocolViolation).await;
    check_refused(&[hello(), hello()], b"", Reason::ProtocolViolation).await;
    check_refused(&[hello()], b"\0\0\0\x02\x63?", Reason::ProtocolViolation).await;
    check_refused(&[hello()], b"\0\xff\xff\xff\x01{", Reason::LimitExceeded).await;
    let mut flood = vec![heartbeat(); 1000];
    flood.insert(0, hello());
    check_refused(&flood, b"", Reason::LimitExceeded).await;
    let (lease, reason, detail) = (LeaseId(1), Reason::NoSlot, String::new());
    let mut refusals = vec![NodeMessage::LeaseRefused { lease, reason, detail }; 3000];
    refusals.insert(0, hello());
    check_refused(&refusals, b"", Reason::LimitExceeded).await;
}

/// As when another node is lost, and this one has less room than it seemed.
#[tokio::test]
async fn hundreds_of_leases_at_once_and_as_many_refusals_lose_no_node() {
    const LEASES: usize = 300;
    let proxy = Proxy::start_with(|settings| settings.policy.headroom = 100.0).await;
    let wire = Wire::upgrade(proxy.address, &request_head(CONTROL_PATH, TOKEN, &[])).await;
    let small = script::hello("n1");
    let hello = NodeHello { capacity: Capacity { slots: 1000, ..small.capacity }, ..small };
    let mut node = FakeNode::join_as(proxy.address, wire, hello).await;
    let mut streams: Vec<_> = (0..LEASES).map(|_| proxy.try_ask().expect("the queue has room")).collect();
    let mut refusals = Vec::new();
    for _ in 0..LEASES {
        let lease = node.lease().await.lease;
        refusals.push(NodeMessage::LeaseRefused { lease, reason: Reason::NoRoom, detail: String::new() });
    }
    for refusal in &refusals {
        node.wire.send(refusal).await;
    }
    for stream in &mut streams {
        Stream::check_placed(stream.event().await.as_ref());
        stream.check_fails(Reason::NoRoom).await;
    }
    attached(&proxy, &mut node).await;
}

#[tokio::test]
async fn heartbeats_and_leaving_are_shown() {
    let (proxy, mut node) = Proxy::with_node().await;
    node.wire.send(&NodeMessage::Heartbeat(script::heartbeat())).await;
    let shown = proxy.shown(|shown| shown.fleet.used_cores > 1.9).await;
    assert_eq!((shown.fleet.alive, shown.nodes[0].state), (1, NodeState::Alive));
    node.wire.send(&NodeMessage::Leaving).await;
    proxy.shown(|shown| shown.fleet.draining == 1).await;
    drop(node);
    proxy.shown(|shown| shown.nodes.is_empty()).await;
}

#[tokio::test]
async fn stopping_closes_leases_and_nodes_and_refuses_what_comes_later() {
    let (proxy, mut node) = Proxy::with_node().await;
    let (mut stream, mut wire) = attached(&proxy, &mut node).await;
    proxy.stop.cancel();
    stream.check_fails(Reason::Shutdown).await;
    assert_eq!(wire.receive::<LeaseInput>().await, None);
    assert_eq!(node.wire.receive::<ProxyMessage>().await, None);
    drop(node);
    soon(proxy.tasks.finish()).await;
    assert_eq!(proxy.try_ask().err(), Some("the fleet has stopped"));
}
