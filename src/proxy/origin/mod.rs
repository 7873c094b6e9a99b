//! The origin: the HTTP server that players read. Playlists are written per request from a snapshot, segments are
//! shared; nothing here waits for a stream's task or holds a lock while it answers.

mod answer;
mod range;
mod resource;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use axum::routing::any;
use tokio::sync::watch;

use crate::base::names::StreamName;
use crate::hls::{AUDIO_NAME, OutputView, View, multivariant, playlist};
use crate::proxy::api::stats::StreamStats;
use answer::Failure;
use resource::{Resource, Wanted};
pub use wait::Waiters;

/// Where all of a proxy's streams are to be found: the read side of a map that is replaced whole when a stream comes or
/// goes. A stream that has ended stays as long as its segments shall be fetched.
pub type StreamDirectory = watch::Receiver<Arc<BTreeMap<StreamName, StreamHandle>>>;

/// The read side of one stream.
#[derive(Clone, Debug)]
pub struct StreamHandle {
    /// What players may read now.
    pub view: watch::Receiver<Arc<View>>,
    /// What the API tells about it.
    pub stats: watch::Receiver<Arc<StreamStats>>,
}

#[derive(Clone)]
struct Origin {
    streams: StreamDirectory,
    waiters: Waiters,
}

/// Routes `/hls/…`. `waiters` bounds how many players may wait for a stream's first segments, and for how long.
pub fn router(streams: StreamDirectory, waiters: Waiters) -> Router {
    // One route for all below, so that every answer, a refusal too, carries the headers that browsers ask for.
    Router::new().route("/hls/{*path}", any(serve)).with_state(Origin { streams, waiters })
}

async fn serve(State(origin): State<Origin>, request: Request) -> Response {
    let response = match *request.method() {
        Method::GET | Method::HEAD => match origin.find(request.uri().path(), range_of(&request)).await {
            Ok(response) => response,
            Err(failure) => failure.into_response(),
        },
        Method::OPTIONS => answer::options(),
        _ => answer::method_not_allowed(),
    };
    let response = if request.method() == Method::HEAD { answer::without_body(response) } else { response };
    answer::with_cors(response)
}

/// The `Range` header, which means something with GET only (RFC 9110 §14.2).
fn range_of(request: &Request) -> Option<&str> {
    let headers: &HeaderMap = request.headers();
    let value = headers.get(header::RANGE).filter(|_| request.method() == Method::GET)?;
    value.to_str().ok()
}

impl Origin {
    async fn find(&self, path: &str, range: Option<&str>) -> Result<Response, Failure> {
        let resource: Resource = resource::parse(path).ok_or(Failure::NotFound)?;
        // The handle is cloned, so that the directory is not held while a player waits.
        let stream = self.streams.borrow().get(&resource.stream).cloned().ok_or(Failure::NotFound)?;
        match &resource.wanted {
            Wanted::Multivariant => {
                let view = self.waiters.ready(stream.view).await?;
                Ok(answer::playlist(multivariant::multivariant(&view), view.ended))
            }
            Wanted::Media(name) => {
                let view = self.waiters.ready(stream.view).await?;
                let output = view.output(name).ok_or(Failure::NotFound)?;
                Ok(answer::playlist(playlist::media(&view, output), view.ended))
            }
            Wanted::Init(name, number) => {
                let view = stream.view.borrow().clone();
                let output = view.output(name).ok_or(Failure::NotFound)?;
                let bytes = output.init(*number).ok_or(Failure::NotFound)?;
                Ok(answer::media(bytes, media_type(output), range))
            }
            Wanted::Segment(name, sequence) => {
                let view = stream.view.borrow().clone();
                let output = view.output(name).ok_or(Failure::NotFound)?;
                let bytes = output.segment(*sequence).ok_or(Failure::NotFound)?;
                Ok(answer::media(bytes, media_type(output), range))
            }
        }
    }
}

/// RFC 4337 §2: a file with video is `video/mp4`, one with audio alone `audio/mp4`.
fn media_type(output: &OutputView) -> &'static str {
    if output.name.as_str() == AUDIO_NAME { "audio/mp4" } else { "video/mp4" }
}

#[cfg(test)]
mod tests;
