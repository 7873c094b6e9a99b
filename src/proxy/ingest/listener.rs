//! Accepts publishers, within the bound on connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, info, info_span};

use crate::base::clock;
use crate::base::rate::RateBound;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::stream::PublisherId;

use super::{Door, rtmp};

/// How long to wait after a failed accept: the process is out of descriptors, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that are logged in a second.
const REFUSALS_LOGGED: u32 = 2;

/// Serves RTMP on `listener`, which is bound already, until `stop`. Over the bound on connections a newcomer is closed at
/// once: waiting in the backlog, an encoder would seem to hang.
pub async fn serve_rtmp(listener: TcpListener, door: Door, tasks: Tasks, stop: CancellationToken) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let permits = Arc::new(Semaphore::new(door.max_connections));
    let mut log = RateBound::per_second(REFUSALS_LOGGED);
    let door = Arc::new(door);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "accept failed");
                clock::until(Some(clock::now() + ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            if log.admits(clock::now()) {
                info!(%peer, limit = door.max_connections, "connection refused: too many");
            }
            continue;
        };
        let publisher = PublisherId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (door, stop) = (Arc::clone(&door), stop.clone());
        let span = info_span!("publisher", id = publisher.0, %peer);
        let connection = async move {
            rtmp::serve(socket, publisher, &door, stop).await;
            drop(permit);
        };
        tasks.spawn(connection.instrument(span));
    }
}

#[cfg(test)]
mod tests;
