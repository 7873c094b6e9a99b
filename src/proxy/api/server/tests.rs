use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SHORT: Duration = Duration::from_millis(100);
/// A bound on every wait, far above what any takes.
const LONG: Duration = Duration::from_secs(20);

/// Serves `router` and says where.
async fn start(limits: Limits, router: Router) -> (SocketAddr, Tasks, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    tasks.spawn(serve_within(limits, listener, router, (tasks.clone(), stop.clone())));
    (address, tasks, stop)
}

/// Sends `bytes` and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("the server accepts");
    socket.write_all(bytes).await.expect("the server reads");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LONG, socket.read_to_end(&mut answer)).await;
    // A reset instead of an end is as good: the server has closed.
    let _ = read.expect("the server closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn local_address() -> Router {
    Router::new().route(
        "/",
        get(|Extension(LocalAddress(local)): Extension<LocalAddress>| async move { local.to_string() }),
    )
}

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_and_knows_where_it_arrived() {
    let (address, tasks, stop) = start(LIMITS, local_address()).await;
    let answer = exchange(address, CLOSING).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&address.to_string()), "{answer}");
    stop.cancel();
    tokio::time::timeout(LONG, tasks.finish()).await.expect("all connections end");
}

#[tokio::test]
async fn a_peer_that_dawdles_with_its_request_is_cut_off() {
    let (address, ..) = start(Limits { header_read: SHORT, ..LIMITS }, local_address()).await;
    exchange(address, b"GET / HTTP/1.1\r\nHost: loc").await;
    // An unused connection goes the same way.
    exchange(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let (address, ..) = start(LIMITS, local_address()).await;
    let head = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2 * MAX_HEAD_BYTES));
    let answer = exchange(address, head.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_connection_over_the_bound_waits_for_its_turn() {
    let (address, ..) = start(Limits { connections: 1, header_read: SHORT, ..LIMITS }, local_address()).await;
    let _first = TcpStream::connect(address).await.expect("the server accepts");
    // The second is answered once the first has been cut off.
    assert!(exchange(address, CLOSING).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_peer_that_takes_nothing_of_its_answer_is_cut_off() {
    let large = Router::new().route("/", get(|| async { vec![0u8; 64 * 1024 * 1024] }));
    let (address, tasks, _) = start(Limits { write_stall: SHORT, ..LIMITS }, large).await;
    let mut socket = TcpStream::connect(address).await.expect("the server accepts");
    socket.write_all(CLOSING).await.expect("the server reads");
    let only_the_listener = async {
        while tasks.running() != 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while tasks.running() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, only_the_listener).await.expect("the connection is given up");
}

#[tokio::test]
async fn stopping_ends_unused_connections_at_once_and_others_by_a_deadline() {
    let hanging = Router::new().route("/", get(std::future::pending::<()>));
    let (address, tasks, stop) = start(Limits { drain: SHORT, ..LIMITS }, hanging).await;
    let _unused = TcpStream::connect(address).await.expect("the server accepts");
    let mut waiting = TcpStream::connect(address).await.expect("the server accepts");
    waiting.write_all(CLOSING).await.expect("the server reads");
    stop.cancel();
    tokio::time::timeout(LONG, tasks.finish()).await.expect("all connections end");
}
