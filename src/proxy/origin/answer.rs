//! The answers of the origin: status, headers and bodies.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::range::{Selection, select};

/// RFC 8216bis §4: the media type of playlists.
const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// A live playlist is asked for again and again; what is stored must be asked about first (RFC 9111 §5.2.2.4).
const LIVE: &str = "no-cache";
/// The playlist of an ended stream does not change, but a new stream may take its name.
const ENDED: &str = "public, max-age=10";
/// A URL of a segment or init segment never means other bytes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// What does not exist now may exist in a moment.
const NEVER_STORED: &str = "no-store";
const METHODS: &str = "GET, HEAD, OPTIONS";
/// Seconds after which a player may try again.
const RETRY_AFTER: &str = "2";

/// Why there is nothing to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No such stream, output or segment, or no longer.
    NotFound,
    /// The stream lives and has nothing to play yet.
    NotReady,
    /// Too many players wait for streams to begin.
    Crowded,
}

impl Failure {
    pub(super) fn into_response(self) -> Response {
        let (status, text) = match self {
            Failure::NotFound => (StatusCode::NOT_FOUND, "not found\n"),
            Failure::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "the stream has nothing to play yet\n"),
            Failure::Crowded => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many players wait for a stream to begin\n")
            }
        };
        let mut response = (status, [(header::CACHE_CONTROL, NEVER_STORED)], text).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            set(&mut response, header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

pub(super) fn playlist(text: String, ended: bool) -> Response {
    let caching = if ended { ENDED } else { LIVE };
    ([(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, caching)], text).into_response()
}

/// An init segment or a segment, or the part of it that `range` asks for.
pub(super) fn media(bytes: &Bytes, media_type: &'static str, range: Option<&str>) -> Response {
    let length = bytes.len();
    let (status, body, content_range) = match select(range, length) {
        Selection::Whole => (StatusCode::OK, bytes.clone(), None),
        Selection::Part(part) => {
            let content_range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, bytes.slice(part), Some(content_range))
        }
        Selection::Unsatisfiable => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, content_range).into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, IMMUTABLE),
        (header::ACCEPT_RANGES, "bytes"),
    ];
    let content_range = content_range.map(|value| [(header::CONTENT_RANGE, value)]);
    match content_range {
        Some(content_range) => (status, headers, content_range, body).into_response(),
        None => (status, headers, body).into_response(),
    }
}

/// The answer to a preflight (Fetch §3.2.3).
pub(super) fn options() -> Response {
    let headers = [
        (header::ALLOW, METHODS),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

pub(super) fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, METHODS)]).into_response()
}

/// The answer to HEAD: all headers of GET, `Content-Length` too, and no body (RFC 9110 §9.3.2).
pub(super) fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = axum::body::HttpBody::size_hint(&body).exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// Pages of any origin may play: what is below `/hls` is public to whoever can reach it.
pub(super) fn with_cors(mut response: Response) -> Response {
    set(&mut response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let exposed = "Content-Length, Content-Range, Accept-Ranges, Date, Retry-After";
    set(&mut response, header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
