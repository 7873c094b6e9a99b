use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use tokio::signal::unix::{SignalKind, signal};

use super::*;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("within the test's patience")
}

#[tokio::test]
async fn a_role_that_ends_by_itself_ends_the_process_with_its_result() {
    soon(until_signalled(|_| async { Ok(()) })).await.expect("it ended well");
    let failed = soon(until_signalled(|_| async { anyhow::bail!("no") })).await;
    assert_eq!(failed.expect_err("it failed").to_string(), "no");
}

/// Signals are the whole process's, so both rules are in one test.
#[tokio::test]
async fn one_signal_stops_in_order_and_a_second_at_once() {
    // Once tokio has a handler, the signal does not end the test itself.
    let _handler = signal(SignalKind::terminate()).expect("handlers may be installed");
    let orderly = until_signalled(|stop| async move {
        // Again, should the first have come before anyone waited for it.
        while !stop.is_cancelled() {
            tokio::task::yield_now().await;
            raise(Signal::SIGTERM)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("stopped in order")
    });
    assert_eq!(soon(orderly).await.expect_err("its own result").to_string(), "stopped in order");

    let stubborn = until_signalled(|_| async {
        loop {
            raise(Signal::SIGTERM)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    soon(stubborn).await.expect("ending at once is no failure");
}
