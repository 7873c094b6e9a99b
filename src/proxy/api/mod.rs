//! The HTTP side of a proxy: health, stats, what operators ask of nodes and streams, and what players read, on one port.

pub mod guard;
mod nodes;
pub mod server;
mod stall;
pub mod stats;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::base::clock;
use crate::base::names::Name;
use crate::placement::tenancy::snapshot::TenantSnapshot;
use crate::proxy::fleet::{FleetHandle, FleetSnapshot};
use crate::proxy::origin::{self, StreamDirectory, Waiters};
use guard::{Guard, Refusal};
use server::LocalAddress;
pub use server::serve;
use stats::{IngestStats, ProxyStats, Stats, TenantIngest, TenantStats};

/// What the HTTP side reads. Every part is a snapshot that its owner replaces; nothing is locked while one is written.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The proxy's identity.
    pub proxy_id: Arc<str>,
    /// When the proxy started.
    pub started: Instant,
    /// Who may ask `/api`.
    pub guard: Guard,
    /// Whether all listeners are open; once `true` it stays so.
    pub listening: watch::Receiver<bool>,
    /// What publishers send.
    pub ingest: watch::Receiver<IngestStats>,
    /// The nodes, and who carries out what operators want of them.
    pub fleet: FleetHandle,
    /// The streams.
    pub streams: StreamDirectory,
    /// What each tenant's publishers send.
    pub tenants: watch::Receiver<Arc<BTreeMap<Name, TenantIngest>>>,
}

/// The body of every answer under `/api`, `/readyz` and unknown paths that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// All routes of a proxy's HTTP port.
pub fn router(state: ApiState) -> Router {
    let guarded = Router::new()
        .route("/api/v1/stats", get(stats))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/{id}", get(nodes::one))
        .route("/api/v1/nodes/{id}/drain", post(nodes::drain).delete(nodes::undrain))
        .route("/api/v1/nodes/{id}/prove", post(nodes::prove))
        .route("/api/v1/streams", get(streams::list))
        .route("/api/v1/streams/{tenant}/{name}", get(streams::one))
        .layer(middleware::from_fn_with_state(state.clone(), check));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(guarded)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state.clone())
        .merge(origin::router(state.streams, Waiters::default()))
}

/// Lets a request through to `/api` if [`Guard`] does.
async fn check(
    State(state): State<ApiState>,
    reached: Option<Extension<LocalAddress>>,
    request: Request,
    next: Next,
) -> Response {
    let reached = reached.map(|Extension(LocalAddress(address))| address.ip());
    let (headers, reads) = (request.headers(), matches!(*request.method(), Method::GET | Method::HEAD));
    let checked =
        if reads { state.guard.check(headers, reached) } else { state.guard.check_order(headers, reached) };
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal @ Refusal::WrongToken) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (challenge, error(StatusCode::UNAUTHORIZED, refusal.code(), &refusal)).into_response()
        }
        Err(refusal @ (Refusal::ForeignHost | Refusal::ForeignOrigin | Refusal::ForeignOrder)) => {
            error(StatusCode::FORBIDDEN, refusal.code(), &refusal)
        }
    }
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Publishers are welcome: all listeners are open, and there is a node to transcode on.
async fn readyz(State(state): State<ApiState>) -> Response {
    let (listening, alive) = (*state.listening.borrow(), state.fleet.now().fleet.alive);
    match (listening, alive) {
        (false, _) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "not_listening", &"not all listeners are open yet")
        }
        (true, 0) => error(StatusCode::SERVICE_UNAVAILABLE, "no_node", &"no node is alive"),
        (true, _) => "ok\n".into_response(),
    }
}

async fn stats(State(state): State<ApiState>) -> Response {
    let now = clock::now();
    let fleet = state.fleet.now();
    let proxy = ProxyStats {
        id: state.proxy_id.as_ref().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: now.saturating_duration_since(state.started).as_secs(),
        ingest: *state.ingest.borrow(),
    };
    let body = Stats {
        proxy,
        fleet: fleet.fleet,
        nodes: fleet.nodes_at(now),
        streams: streams::all(&state),
        tenants: tenants(&fleet, &state.tenants.borrow()),
    };
    shown(&body)
}

fn tenants(fleet: &FleetSnapshot, sent: &BTreeMap<Name, TenantIngest>) -> Vec<TenantStats> {
    let stats = |tenant: &TenantSnapshot| TenantStats {
        ingest: sent.get(&tenant.name).copied().unwrap_or_default(),
        fleet: tenant.clone(),
    };
    fleet.tenants.iter().map(stats).collect()
}

/// An answer that is true now and not later.
fn shown(body: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// What stands in the path for a node, tenant or stream cannot be the name of one.
fn bad_name(problem: &dyn std::fmt::Display) -> Response {
    error(StatusCode::BAD_REQUEST, "bad_name", problem)
}

async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", &"there is nothing at this path")
}

async fn method_not_allowed() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &"this path does not take that method")
}

fn error(status: StatusCode, code: &str, message: &dyn std::fmt::Display) -> Response {
    let body = ApiError { code: code.to_owned(), message: message.to_string() };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
pub(crate) mod tests;
