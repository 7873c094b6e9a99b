use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::stats::{CommittedStats, GopLogStats, RenditionStats, SourceStats, StreamState, StreamStats};
use super::*;
use crate::base::names::{Name, StreamName};
use crate::base::secret::Secret;
use crate::hls::View;
use crate::placement::fleet::snapshot::{FleetTotals, NodeSnapshot, Reserved};
use crate::placement::place::NodeState;
use crate::proxy::fleet::{FleetSnapshot, OrderError};
use crate::proxy::origin::StreamHandle;
use crate::wire::report::{Capacity, Load};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// What the API tells about a stream of this name.
pub(crate) fn stream_stats(stream: &str) -> StreamStats {
    StreamStats {
        tenant: name("live"),
        name: name(stream),
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        node: Some(name("n1")),
        attempts: 2,
        reattachments: 1,
        source: SourceStats::default(),
        committed: CommittedStats::default(),
        frames_lost: 0,
        frames_duplicated: 0,
        frames_undecodable: 0,
        gop_log: GopLogStats::default(),
        startup_ms: None,
        last_failover: None,
        ended: None,
        last_failure: None,
        left_out: 0,
        placement: None,
        renditions: vec![RenditionStats {
            name: name("720p"),
            width: None,
            height: None,
            bitrate: 0,
            frames: 0,
        }],
        uptime_s: 12,
        taken_at: clock::now(),
    }
}

fn node() -> NodeSnapshot {
    NodeSnapshot {
        id: name("n1"),
        name: name("n1"),
        state: NodeState::Alive,
        tags: Vec::new(),
        class: "x86".to_owned(),
        cost_per_hour: None,
        watts: None,
        ffmpeg_version: "5.1.9".to_owned(),
        encoders: vec!["libx264".to_owned()],
        unusable: Vec::new(),
        reads: Vec::new(),
        decodes: Vec::new(),
        gpus: Vec::new(),
        heartbeat_age_ms: 40,
        load: Load { cpu: 0.5, memory: 1024, ..Load::default() },
        capacity: Capacity { cores: 2, memory: 4096, slots: 4, network_bps: None },
        reserved: Reserved::default(),
        leases: Vec::new(),
        leases_reported: 0,
        lease_loads: Vec::new(),
        refused: 0,
        drained: false,
    }
}

fn tenant() -> TenantSnapshot {
    TenantSnapshot {
        name: name("live"),
        weight: 1.0,
        streams: 1,
        max_streams: 100,
        pixels_per_second: 27_648_000,
        max_pixels_per_second: None,
        dominant_share: 0.25,
        waiting: 0,
        refused: 2,
    }
}

/// A state in which nothing ever changes: the senders are gone.
fn state(token: Option<&str>, alive: usize) -> ApiState {
    let fleet = FleetSnapshot {
        fleet: FleetTotals { alive, nodes: 1, ..FleetTotals::default() },
        nodes: vec![node()],
        tenants: vec![tenant()],
        taken_at: Some(clock::now()),
    };
    let handle = StreamHandle {
        view: watch::channel(Arc::new(View::default())).1,
        stats: watch::channel(Arc::new(stream_stats("demo"))).1,
    };
    let demo = StreamName { tenant: name("live"), name: name("demo") };
    ApiState {
        proxy_id: "p1".into(),
        started: clock::now(),
        guard: Guard { token: token.map(Secret::new), listen: "127.0.0.1:8080".parse().expect("an address") },
        listening: watch::channel(true).1,
        ingest: watch::channel(IngestStats {
            publishers: 1,
            ingest_bytes: 2,
            ingest_bitrate: 3,
            ..IngestStats::default()
        })
        .1,
        fleet: FleetHandle::fixed(fleet),
        streams: watch::channel(Arc::new(BTreeMap::from([(demo, handle)]))).1,
        tenants: watch::channel(Arc::new(BTreeMap::from([(
            name("live"),
            TenantIngest { bitrate: 4_000, max_bitrate: None, over_bitrate: 1 },
        )])))
        .1,
    }
}

async fn ask(
    state: ApiState,
    line: (&str, &str),
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, serde_json::Value) {
    let mut request = Request::builder().method(line.0).uri(line.1);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = TowerToHyperService::new(router(state)).call(request).await.expect("infallible");
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body in memory");
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
}

const OWN: &[(&str, &str)] = &[("host", "localhost:8080")];

#[tokio::test]
async fn stats_have_the_contracts_fields() {
    let (status, headers, body) = ask(state(None, 1), ("GET", "/api/v1/stats"), OWN).await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (StatusCode::OK, None));
    let fields = |value: &serde_json::Value| -> String {
        value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fields(&body), "fleet nodes proxy streams tenants");
    assert_eq!(fields(&body["proxy"]), "id ingest_bitrate ingest_bytes publishers rtmp uptime_s version");
    assert_eq!(fields(&body["fleet"]), "alive capacity_cores draining nodes queue_length used_cores");
    let node = "capacity class cost_per_hour decodes drained encoders ffmpeg_version gpus heartbeat_age_ms id \
                lease_loads leases leases_reported load name reads refused reserved state tags unusable watts";
    assert_eq!(fields(&body["nodes"][0]), node);
    let stream = "attempts committed frames_duplicated frames_lost frames_undecodable gop_log last_failover \
                  last_failure left_out name node protocol reattachments renditions source startup_ms state \
                  tenant uptime_s";
    assert_eq!(fields(&body["streams"][0]), stream);
    assert_eq!(
        fields(&body["streams"][0]["source"]),
        "audio_codec bitrate bytes fps frames gop_ms height more_other_tracks other_tracks video_codec width"
    );
    let tenant = "bitrate dominant_share max_bitrate max_pixels_per_second max_streams name over_bitrate \
                  pixels_per_second refused streams waiting weight";
    assert_eq!(fields(&body["tenants"][0]), tenant);
    assert_eq!(body["tenants"][0]["bitrate"], 4_000);
    assert_eq!((&body["nodes"][0]["state"], &body["streams"][0]["state"]), (&"alive".into(), &"live".into()));
    let stats: Stats = serde_json::from_value(body).expect("what is written can be read");
    assert!(stats.nodes[0].heartbeat_age_ms >= 40 && stats.streams[0].uptime_s >= 12);
}

#[test]
fn ages_go_on_between_snapshots() {
    let passed = std::time::Duration::from_secs(3);
    let fleet = state(None, 1).fleet.now();
    let taken_at = fleet.taken_at.expect("the fixture says when it was taken");
    assert_eq!(fleet.nodes_at(taken_at + passed)[0].heartbeat_age_ms, 3040);
    let stats = stream_stats("a");
    assert_eq!(stats.at(stats.taken_at + passed).uptime_s, 15);
}

#[tokio::test]
async fn the_api_is_guarded_and_health_is_not() {
    let stats = ("GET", "/api/v1/stats");
    let (status, _, body) = ask(state(None, 1), stats, &[("host", "evil.example")]).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &"foreign_host".into()));
    let (status, headers, body) = ask(state(Some("s3cret"), 1), stats, OWN).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &"wrong_token".into()));
    assert_eq!(headers["www-authenticate"], "Bearer");
    let (status, ..) = ask(state(Some("s3cret"), 1), stats, &[("authorization", "Bearer s3cret")]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, ..) = ask(state(Some("s3cret"), 1), ("GET", "/healthz"), &[("host", "evil.example")]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn readiness_needs_listeners_and_a_node() {
    assert_eq!(ask(state(None, 1), ("GET", "/readyz"), &[]).await.0, StatusCode::OK);
    let (status, _, body) = ask(state(None, 0), ("GET", "/readyz"), &[]).await;
    assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"no_node".into()));
    let early = ApiState { listening: watch::channel(false).1, ..state(None, 1) };
    assert_eq!(ask(early, ("GET", "/readyz"), &[]).await.2["code"], "not_listening");
}

#[tokio::test]
async fn errors_are_json_with_a_code() {
    let (status, _, body) = ask(state(None, 1), ("GET", "/nothing"), OWN).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &"not_found".into()));
    let (status, headers, body) = ask(state(None, 1), ("POST", "/api/v1/stats"), OWN).await;
    assert_eq!((status, &body["code"]), (StatusCode::METHOD_NOT_ALLOWED, &"method_not_allowed".into()));
    assert_eq!(headers["allow"], "GET,HEAD");
    let (status, headers, _) = ask(state(None, 1), ("GET", "/hls/live/none/index.m3u8"), OWN).await;
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (StatusCode::NOT_FOUND, &"*".parse().expect("a value"))
    );
}

/// A fleet in which only `n1` can be told anything.
fn obedient() -> ApiState {
    let shown = state(None, 1);
    let fleet =
        FleetHandle::answering((*shown.fleet.now()).clone(), |node, order| match (node.as_str(), order) {
            ("n1", _) => Ok(()),
            _ => Err(OrderError::UnknownNode(node.into())),
        });
    ApiState { fleet, ..shown }
}

/// Asks an obedient fleet; the status, and the code where there is one.
async fn check(method: &str, path: &str, expected: (u16, Option<&str>)) {
    let (status, headers, body) = ask(obedient(), (method, path), OWN).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), expected, "{method} {path}: {body}");
    assert_eq!(headers["cache-control"], "no-store", "{method} {path}");
}

#[tokio::test]
async fn a_node_can_be_drained_undrained_and_proved() {
    for (method, order) in [("POST", "drain"), ("DELETE", "drain"), ("POST", "prove")] {
        check(method, &format!("/api/v1/nodes/n1/{order}"), (204, None)).await;
        check(method, &format!("/api/v1/nodes/n2/{order}"), (404, Some("no_such_node"))).await;
        for wrong in ["-n", "n%2F1", "n%20", "%FF"] {
            check(method, &format!("/api/v1/nodes/{wrong}/{order}"), (400, Some("bad_name"))).await;
        }
    }
    let stopped = ask(state(None, 1), ("POST", "/api/v1/nodes/n1/drain"), OWN).await;
    assert_eq!((stopped.0.as_u16(), &stopped.2["code"]), (503, &"stopping".into()));
    let (status, headers, _) = ask(obedient(), ("GET", "/api/v1/nodes/n1/drain"), OWN).await;
    assert_eq!(
        (status, &headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST,DELETE".parse().expect("a value"))
    );
    assert_eq!(ask(obedient(), ("PUT", "/api/v1/nodes/n1"), OWN).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn orders_are_not_taken_from_other_pages() {
    let line = ("POST", "/api/v1/nodes/n1/drain");
    for origin in ["null", "http://evil.example"] {
        let headers = [("host", "localhost:8080"), ("origin", origin)];
        let (status, _, body) = ask(obedient(), line, &headers).await;
        assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &"foreign_origin".into()), "{origin}");
        let guarded = state(Some("s3cret"), 1);
        let headers = [&headers[..], &[("authorization", "Bearer s3cret")]].concat();
        let (status, _, body) = ask(guarded, line, &headers).await;
        assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &"foreign_origin".into()), "{origin}");
    }
    let (status, ..) = ask(obedient(), line, &[("host", "evil.example")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, ..) = ask(state(Some("s3cret"), 1), line, OWN).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nodes_and_streams_are_shown_as_in_the_stats() {
    let all = ask(state(None, 1), ("GET", "/api/v1/stats"), OWN).await.2;
    let at = |path: &'static str| async move { ask(state(None, 1), ("GET", path), OWN).await.2 };
    let without_age = |mut node: serde_json::Value| {
        let age = node["heartbeat_age_ms"].take();
        assert!(age.as_u64() >= Some(40), "{age}");
        node
    };
    let (listed, one) = (at("/api/v1/nodes").await, at("/api/v1/nodes/n1").await);
    assert_eq!(without_age(listed[0].clone()), without_age(all["nodes"][0].clone()));
    assert_eq!(without_age(one), without_age(all["nodes"][0].clone()));
    assert_eq!(at("/api/v1/streams").await, all["streams"]);
    let one = at("/api/v1/streams/live/demo").await;
    assert_eq!((&one["name"], &one["attempts"]), (&all["streams"][0]["name"], &2.into()));
    let has_placement = |stream: &serde_json::Value| stream.get("placement").is_some();
    assert_eq!((has_placement(&one), has_placement(&all["streams"][0])), (true, false));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_a_code() {
    check("GET", "/api/v1/nodes/n2", (404, Some("no_such_node"))).await;
    check("GET", "/api/v1/nodes/a%00b", (400, Some("bad_name"))).await;
    check("GET", "/api/v1/streams/live/none", (404, Some("no_such_stream"))).await;
    check("GET", "/api/v1/streams/other/demo", (404, Some("no_such_stream"))).await;
    check("GET", "/api/v1/streams/live/.demo", (400, Some("bad_name"))).await;
    check("GET", "/api/v1/streams/live/%FF", (400, Some("bad_name"))).await;
    check("GET", "/api/v1/streams/live", (404, Some("not_found"))).await;
    let ended = ApiState { streams: ended_streams(), ..obedient() };
    let (status, _, body) = ask(ended.clone(), ("GET", "/api/v1/streams/live/demo"), OWN).await;
    assert_eq!((status, &body["ended"]), (StatusCode::OK, &"unpublished".into()), "its last words");
    assert_eq!(ask(ended, ("GET", "/api/v1/streams"), OWN).await.2, serde_json::json!([]));
}

/// A stream that is still shown to players, and over.
fn ended_streams() -> crate::proxy::origin::StreamDirectory {
    let ended = Some(crate::base::reason::Reason::Unpublished);
    let handle = StreamHandle {
        view: watch::channel(Arc::new(View { ended: true, ..View::default() })).1,
        stats: watch::channel(Arc::new(StreamStats { ended, ..stream_stats("demo") })).1,
    };
    watch::channel(Arc::new(BTreeMap::from([(
        StreamName { tenant: name("live"), name: name("demo") },
        handle,
    )])))
    .1
}
