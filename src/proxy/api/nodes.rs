//! `/api/v1/nodes`: the nodes as the fleet last showed them, and what an operator may have done to one. An order is carried
//! out when it is answered; what it changes is shown within a quarter of a second.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{ApiState, bad_name, error, shown};
use crate::base::clock;
use crate::base::names::{Name, NameError};
use crate::proxy::fleet::{Order, OrderError};

/// What stands for a node in a path.
type NodePath = Result<Path<String>, PathRejection>;

/// All nodes by name, as in the stats.
pub(super) async fn list(State(state): State<ApiState>) -> Response {
    shown(&state.fleet.now().nodes_at(clock::now()))
}

/// One node.
pub(super) async fn one(State(state): State<ApiState>, path: NodePath) -> Response {
    let node = match name(path) {
        Ok(node) => node,
        Err(problem) => return bad_name(&problem),
    };
    match state.fleet.now().node_at(&node, clock::now()) {
        Some(found) => shown(&found),
        None => unknown(&OrderError::UnknownNode(node.into())),
    }
}

/// Gives it no new lease.
pub(super) async fn drain(state: State<ApiState>, path: NodePath) -> Response {
    order(state, path, Order::Drain).await
}

/// Gives it leases again.
pub(super) async fn undrain(state: State<ApiState>, path: NodePath) -> Response {
    order(state, path, Order::Undrain).await
}

/// Has it prove again what it can do.
pub(super) async fn prove(state: State<ApiState>, path: NodePath) -> Response {
    order(state, path, Order::Prove).await
}

async fn order(State(state): State<ApiState>, path: NodePath, order: Order) -> Response {
    let node = match name(path) {
        Ok(node) => node,
        Err(problem) => return bad_name(&problem),
    };
    match state.fleet.order(node.clone(), order).await {
        Ok(()) => {
            tracing::info!(%node, ?order, "order of an operator carried out");
            (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response()
        }
        Err(refusal @ OrderError::UnknownNode(_)) => unknown(&refusal),
        Err(stopped @ OrderError::Stopped) => error(StatusCode::SERVICE_UNAVAILABLE, "stopping", &stopped),
    }
}

/// The name, or what is wrong with it.
fn name(path: NodePath) -> Result<Name, String> {
    let Path(text) = path.map_err(|rejection| rejection.to_string())?;
    text.parse().map_err(|problem: NameError| problem.to_string())
}

fn unknown(refusal: &OrderError) -> Response {
    error(StatusCode::NOT_FOUND, "no_such_node", refusal)
}
