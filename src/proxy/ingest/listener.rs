//! Accepts publishers, within the bounds on connections: one loop a port, the same for RTMP and RTMPS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument, debug, info_span, warn};

use crate::base::clock;
use crate::base::rate::RateBound;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::stream::PublisherId;

use super::{Door, rtmp};

/// How long to wait after a failed accept: the process is out of descriptors, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failed accepts that are logged in a second.
const FAILURES_LOGGED: u32 = 1;

/// Serves RTMP on `listener`, which is bound already, until `stop`; over TLS where there is a `tls`. Over a bound on
/// connections a newcomer is closed at once: waiting in the backlog, an encoder would seem to hang.
pub async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    tls: Option<TlsAcceptor>,
    tasks: Tasks,
    stop: CancellationToken,
) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut failures = RateBound::per_second(FAILURES_LOGGED);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            // It has gone while it waited; that is no reason to let the next one wait.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                debug!(%error, "a newcomer has gone");
                continue;
            }
            Err(error) => {
                if failures.admits(clock::now()) {
                    warn!(%error, "no connection can be accepted");
                }
                stop.run_until_cancelled(clock::until(Some(clock::now() + ACCEPT_PAUSE))).await;
                continue;
            }
        };
        let publisher = PublisherId(NEXT.fetch_add(1, Ordering::Relaxed));
        let seat = match door.meter.admit(publisher, peer.ip()) {
            Ok(seat) => seat,
            Err(limit) => {
                door.log_turned_away(peer, limit);
                continue;
            }
        };
        let span = info_span!("publisher", id = publisher.0, %peer);
        let connection = rtmp::serve(socket, seat, Arc::clone(&door), tls.clone(), stop.clone());
        tasks.spawn(connection.instrument(span));
    }
}

#[cfg(test)]
mod tests;
