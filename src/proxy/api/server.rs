//! The HTTP server: accepts connections, bounds how many there are and how long a slow peer may hold one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::stall::StallGuard;
use crate::base::clock;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;

/// The local address of a request's connection, as an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress(pub SocketAddr);

/// Bounds on what strangers may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. When all are taken, new ones wait in the kernel's backlog.
    connections: usize,
    /// How long a peer may take to send a request's headers, from the answer before on: also how long an unused
    /// connection stays. Longer than a target duration, at which players come back.
    header_read: Duration,
    /// How long a peer may take nothing of an answer.
    write_stall: Duration,
    /// How long answers under way may take after the order to stop.
    drain: Duration,
}

const LIMITS: Limits = Limits {
    connections: 4096,
    header_read: Duration::from_secs(20),
    write_stall: Duration::from_secs(30),
    drain: Duration::from_secs(5),
};

/// Pause after the system refused to accept, for want of file descriptors mostly: there is nothing to do but wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The largest head of a request; a longer one is refused with 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Serves `router` until `stop`; connections run as tasks of `tasks` and end within 5 s after it.
pub async fn serve(listener: TcpListener, router: Router, tasks: Tasks, stop: CancellationToken) {
    serve_within(LIMITS, listener, router, (tasks, stop)).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    (tasks, stop): (Tasks, CancellationToken),
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        // The permit comes before the accept, so that a connection over the bound costs us nothing.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(permit), Ok((socket, _peer))) => {
                let (router, stop) = (router.clone(), stop.clone());
                tasks.spawn(async move {
                    connection(limits, socket, router, stop).await;
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                clock::until(clock::now().checked_add(ACCEPT_PAUSE)).await;
            }
            // Nobody closes the semaphore.
            (Err(_), Ok(_)) => return,
        }
    }
}

async fn connection(limits: Limits, socket: TcpStream, router: Router, stop: CancellationToken) {
    let Ok(local) = socket.local_addr() else { return };
    // Without it the last part of an answer could wait 40 ms for the peer's delayed ACK; an error changes only that.
    let _ = socket.set_nodelay(true);
    let router = router.layer(Extension(LocalAddress(local)));
    let io = TokioIo::new(StallGuard::new(socket, limits.write_stall));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_read).max_buf_size(MAX_HEAD_BYTES);
    let serving = builder.serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                result = serving.as_mut() => result,
                () = clock::until(clock::now().checked_add(limits.drain)) => Ok(()),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

#[cfg(test)]
mod tests;
