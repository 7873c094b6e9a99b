use std::time::Duration;

use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::*;
use crate::base::units::Bitrate;
use crate::hls::{InitSegment, Segment};
use crate::media::time::Ticks;
use crate::proxy::api::tests::stream_stats;

const SHORT: Duration = Duration::from_millis(20);

fn output(name: &str, segments: u64) -> OutputView {
    let init = Some(Arc::new(InitSegment { number: 7, data: Bytes::from_static(b"init") }));
    let segment = |sequence| {
        Arc::new(Segment {
            sequence,
            start: Ticks(180_000),
            end: Ticks(360_000),
            data: Some(Bytes::from_static(b"0123456789")),
            init: init.clone(),
            discontinuity: false,
            discontinuities_before: 0,
        })
    };
    OutputView {
        name: name.parse().expect("a name"),
        configuration: None,
        segments: (7..7 + segments).map(segment).collect(),
        peak: Bitrate(1),
        average: Bitrate(1),
        frame_rate: None,
    }
}

fn view(segments: u64, ended: bool) -> Arc<View> {
    let renditions = vec![output("720p", segments)];
    Arc::new(View {
        target_duration_seconds: 10,
        window: 6,
        ended,
        renditions,
        audio: Some(output("audio", segments)),
    })
}

/// An origin with the one stream `live/demo`.
struct Fixture {
    service: TowerToHyperService<Router>,
    view: watch::Sender<Arc<View>>,
    _stats: watch::Sender<Arc<StreamStats>>,
}

fn origin(first: Arc<View>, waiters: Waiters) -> Fixture {
    let (view, view_receiver) = watch::channel(first);
    let (stats, stats_receiver) = watch::channel(Arc::new(stream_stats("demo")));
    let handle = StreamHandle { view: view_receiver, stats: stats_receiver };
    let name = StreamName { tenant: "live".parse().expect("a name"), name: "demo".parse().expect("a name") };
    let (_, streams) = watch::channel(Arc::new(BTreeMap::from([(name, handle)])));
    Fixture { service: TowerToHyperService::new(router(streams, waiters)), view, _stats: stats }
}

impl Fixture {
    async fn ask(&self, method: Method, path: &str, range: Option<&str>) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let request = request.body(axum::body::Body::empty()).expect("a request");
        let (parts, body) = self.service.call(request).await.expect("infallible").into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body in memory");
        assert_eq!(parts.headers["access-control-allow-origin"], "*");
        (parts.status, parts.headers, body)
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Bytes) {
        self.ask(Method::GET, path, None).await
    }
}

#[tokio::test]
async fn playlists_and_media_have_their_types_and_caching() {
    let origin = origin(view(2, false), Waiters::default());
    for (path, media_type, caching) in [
        ("index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("720p/index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("720p/init-7.mp4", "video/mp4", "public, max-age=31536000, immutable"),
        ("720p/8.m4s", "video/mp4", "public, max-age=31536000, immutable"),
        ("audio/8.m4s", "audio/mp4", "public, max-age=31536000, immutable"),
    ] {
        let (status, headers, body) = origin.get(&format!("/hls/live/demo/{path}")).await;
        assert_eq!((status, body.is_empty()), (StatusCode::OK, false), "{path}");
        assert_eq!(
            (&headers["content-type"], &headers["cache-control"]),
            (&media_type.parse().expect("a value"), &caching.parse().expect("a value"))
        );
    }
    origin.view.send_replace(view(2, true));
    let (_, headers, body) = origin.get("/hls/live/demo/720p/index.m3u8").await;
    assert_eq!(headers["cache-control"], "public, max-age=10");
    assert!(body.ends_with(b"#EXT-X-ENDLIST\n"));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let origin = origin(view(2, false), Waiters::default());
    for path in [
        "live/other/index.m3u8",
        "live/demo/1080p/index.m3u8",
        "live/demo/720p/99.m4s",
        "live/demo/720p/init-8.mp4",
        "x",
    ] {
        let (status, headers, _) = origin.get(&format!("/hls/{path}")).await;
        assert_eq!(
            (status, &headers["cache-control"]),
            (StatusCode::NOT_FOUND, &"no-store".parse().expect("a value")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn ranges_select_bytes() {
    let origin = origin(view(2, false), Waiters::default());
    let path = "/hls/live/demo/720p/7.m4s";
    let (status, headers, body) = origin.ask(Method::GET, path, Some("bytes=2-4")).await;
    assert_eq!((status, body.as_ref()), (StatusCode::PARTIAL_CONTENT, &b"234"[..]));
    assert_eq!(headers["content-range"], "bytes 2-4/10");
    let (status, headers, _) = origin.ask(Method::GET, path, Some("bytes=10-")).await;
    assert_eq!(
        (status, &headers["content-range"]),
        (StatusCode::RANGE_NOT_SATISFIABLE, &"bytes */10".parse().expect("a value"))
    );
    let (status, headers, body) = origin.ask(Method::HEAD, path, Some("bytes=2-4")).await;
    assert_eq!(
        (status, &headers["content-length"], body.len()),
        (StatusCode::OK, &"10".parse().expect("a value"), 0)
    );
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let origin = origin(view(2, false), Waiters::default());
    let (status, headers, _) = origin.ask(Method::POST, "/hls/live/demo/index.m3u8", None).await;
    assert_eq!(
        (status, &headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD, OPTIONS".parse().expect("a value"))
    );
    let (status, headers, _) = origin.ask(Method::OPTIONS, "/hls/live/demo/index.m3u8", None).await;
    assert_eq!(
        (status, &headers["access-control-allow-headers"]),
        (StatusCode::NO_CONTENT, &"Range".parse().expect("a value"))
    );
}

#[tokio::test]
async fn a_player_that_comes_early_waits_for_the_first_segments() {
    let origin = origin(view(0, false), Waiters::default());
    let (answer, ()) = tokio::join!(origin.get("/hls/live/demo/index.m3u8"), async {
        tokio::task::yield_now().await;
        origin.view.send_replace(view(1, false));
    });
    assert_eq!(answer.0, StatusCode::OK);
}

#[tokio::test]
async fn waiting_has_an_end_and_a_bound() {
    let patient = origin(view(0, false), Waiters::new(1, SHORT));
    let path = "/hls/live/demo/720p/index.m3u8";
    let (first, second) = tokio::join!(patient.get(path), patient.get(path));
    for ((status, headers, body), text) in [(first, "nothing to play yet"), (second, "too many players")] {
        assert_eq!(
            (status, &headers["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"2".parse().expect("a value"))
        );
        assert!(String::from_utf8_lossy(&body).contains(text));
    }
    patient.view.send_replace(view(0, true));
    assert_eq!(patient.get(path).await.0, StatusCode::NOT_FOUND);
}
