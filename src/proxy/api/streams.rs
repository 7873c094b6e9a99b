//! `/api/v1/streams`: the streams that have not ended; and what became of one that has, for as long as its playlists are kept.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::stats::StreamStats;
use super::{ApiState, bad_name, error, shown};
use crate::base::clock;
use crate::base::names::{NameError, StreamName};
use crate::base::reason::Reason;
use crate::placement::place::decision::Decision;

/// What stands for a stream in a path: its tenant and its name.
type StreamPath = Result<Path<(String, String)>, PathRejection>;

/// All that there is to say of one: too much to be said of all of them at once.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    stats: &'a StreamStats,
    /// Why the last attempt is where it is, or why it is nowhere; `null` before the first.
    placement: Option<&'a Decision>,
    /// Why it ended; `null` as long as it has not. The numbers are its last.
    ended: Option<Reason>,
}

/// All of them by name, as in the stats.
pub(super) async fn list(State(state): State<ApiState>) -> Response {
    shown(&all(&state))
}

/// The streams of the stats.
pub(super) fn all(state: &ApiState) -> Vec<StreamStats> {
    let (now, streams) = (clock::now(), state.streams.borrow().clone());
    let live = streams.values().filter(|stream| !stream.view.borrow().ended);
    live.map(|stream| stream.stats.borrow().at(now)).collect()
}

/// One stream.
pub(super) async fn one(State(state): State<ApiState>, path: StreamPath) -> Response {
    let name = match parse(path) {
        Ok(name) => name,
        Err(problem) => return bad_name(&problem),
    };
    let stream = state.streams.borrow().get(&name).cloned();
    match stream {
        Some(stream) => {
            let stats = stream.stats.borrow().at(clock::now());
            shown(&Whole { placement: stats.placement.as_deref(), ended: stats.ended, stats: &stats })
        }
        None => {
            let problem = format!("there is no stream {name}");
            error(StatusCode::NOT_FOUND, "no_such_stream", &problem)
        }
    }
}

/// The name, or what is wrong with it.
fn parse(path: StreamPath) -> Result<StreamName, String> {
    let Path((tenant, name)) = path.map_err(|rejection| rejection.to_string())?;
    let part = |text: &str| text.parse().map_err(|problem: NameError| problem.to_string());
    Ok(StreamName { tenant: part(&tenant)?, name: part(&name)? })
}
