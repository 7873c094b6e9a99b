//! What a door is made of, and what it logs.

use std::io::{self, Write};
use std::sync::Arc;

use tracing::Level;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::proxy::tests::encoder::Encoder;
use crate::proxy::tests::house::{DEMO, House, configuration};

/// What was logged on this thread since it was made.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs of `level` and above, until the guard is dropped.
    fn start(level: Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("logs are UTF-8")
    }

    /// How many lines have `part`.
    fn count(&self, part: &str) -> usize {
        self.text().lines().filter(|line| line.contains(part)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn door(config: &Config) -> Door {
    let house = House::open(|_| {}).await;
    Door::new(config, house.registry.clone())
}

#[tokio::test]
async fn a_door_is_as_it_was_configured() {
    let mut config = configuration();
    config.rtmp.max_message_size = crate::base::units::ByteSize(123_456);
    config.rtmp.chunk_size = 789;
    config.rtmp.max_chunk_streams = 9;
    config.rtmp.max_connections = 5;
    let door = door(&config).await;
    assert_eq!((door.limits.max_message_bytes, door.limits.chunk_size), (123_456, 789));
    assert_eq!((door.limits.max_chunk_streams, door.bounds.max_connections), (9, 5));
    assert_eq!(door.tenants, config.tenants);
}

/// The sum that this room's header makes.
#[tokio::test]
async fn what_a_stranger_can_make_us_keep_is_within_its_bound() {
    let limits = door(&configuration()).await.limits;
    let tls = rationed::RATION_BYTES;
    let answers = limits.max_output_bytes + 1024;
    // As many as can be configured, at the size that `rtmp::chunk` states.
    let chunk_streams = 64 * 56;
    let sum = limits.max_message_bytes_unproved + rtmp::UNPROVED_READ_BYTES + answers + tls + chunk_streams;
    assert!(sum <= limits::MAX_UNPROVED_MEMORY_BYTES, "{sum}");
}

#[tokio::test]
async fn what_strangers_do_is_logged_within_a_bound_and_health_checks_are_not() {
    let door = door(&configuration()).await;
    let (log, _guard) = Log::start(Level::INFO);
    for _ in 0..50 {
        door.log_stranger(Reason::ConnectionLost, "end of file");
        door.log_stranger(Reason::ProtocolViolation, "nonsense");
        door.log_refusal(Reason::WrongKey, "a wrong key");
    }
    assert_eq!(log.count("end of file"), 0);
    // A second window may begin while the loop runs, on a machine that is held up.
    let within = |count, bound| (bound..=2 * bound).contains(&count);
    assert!(within(log.count("nonsense"), 5), "{}", log.count("nonsense"));
    // Strangers cannot use up what is there for refusals.
    assert!(within(log.count("a wrong key"), 20), "{}", log.count("a wrong key"));
    for _ in 0..50 {
        door.log_turned_away(([127, 0, 0, 1], 9).into(), Limit::ConnectionsPerAddress);
    }
    assert!(within(log.count("limit=\"max_connections_per_address\" allowed=100"), 2), "{}", log.text());
}

#[tokio::test]
async fn a_connection_is_told_in_one_line_each_and_no_key_is_in_any() {
    let house = House::open(|_| {}).await;
    let (log, _guard) = Log::start(Level::TRACE);
    let mut refused = Encoder::ask(house.rtmp, "live", "demo?key=sesame-but-wrong").await;
    refused.closed().await;
    let mut encoder = Encoder::publish(house.rtmp, DEMO).await;
    encoder.unpublish().await;
    encoder.closed().await;
    crate::proxy::tests::house::until(|| log.count("publisher ended") > 0).await;
    assert_eq!(log.count("publisher refused"), 1);
    assert_eq!(log.count("connection ended without publishing"), 0, "the refusal said it");
    assert_eq!(log.count("publisher opened"), 1);
    assert_eq!(log.count("tls=\"none\""), 1);
    assert_eq!(log.count("reason=unpublished"), log.count("publisher ended") + log.count("stream ended"));
    assert!(!log.text().contains("sesame"), "{}", log.text());
}
